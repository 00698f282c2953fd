"""The shards step: tokens in MDS shards for training and held-out evaluation."""
