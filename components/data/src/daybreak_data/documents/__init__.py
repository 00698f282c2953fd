"""The documents step: ingest per source, rules, duplicates, and an account of everything left out."""
