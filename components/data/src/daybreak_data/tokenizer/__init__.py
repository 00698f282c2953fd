"""The tokenizer step: a byte-level BPE trained on a sample of the documents."""
