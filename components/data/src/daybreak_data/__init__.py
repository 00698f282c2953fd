"""Raw source code to training shards: ingest, clean, deduplicate, x-ray, tokenizer, shards (on Spark)."""
