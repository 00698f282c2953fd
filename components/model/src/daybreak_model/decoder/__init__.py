"""Decoder-only transformers that our own engine computes, ours and other families': their shape and their weights."""
