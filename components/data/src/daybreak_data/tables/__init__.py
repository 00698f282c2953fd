"""The Parquet tables of the ingest and documents artifacts."""
