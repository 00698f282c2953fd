"""The trainings of tests/train, on a GPU."""

from tests.train.conftest import ledger, made, middle, tokenizer, zygote

__all__ = ["ledger", "made", "middle", "tokenizer", "zygote"]
