"""Which document every token of a shard artifact came from: files and columns, written by one room, read by others.

``documents.json`` lists a side's partitions in the order of its samples; the folder of each holds
``documents.parquet``, a row a document. Sample ``n`` of a side is the sample of that number over all its partitions,
and holds the tokens ``n * context_length`` on of their padded streams. Owns no reading and no writing.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

DESCRIPTION_FILE = "documents.json"
DOCUMENTS_FILE = "documents.parquet"
TRAIN = "train"
HELD_OUT = "held_out"
PROVENANCE = ("path_id", "source", "repository", "path", "language", "licence")
FIRST_TOKEN = "first_token"
"""Where a document begins in the stream of its partition."""
NUM_TOKENS = "num_tokens"
"""Its length there, the token that ends it counted."""


class ShardPartition(BaseModel):
    """What ``documents.json`` says of one partition."""

    model_config = ConfigDict(frozen=True)

    partition: str = Field(pattern=r"^part-\d+$")
    """Its folder below the side's."""
    samples: int
    tokens: int
    """Without the padding of the last sample."""


class ShardDescription(BaseModel):
    """``documents.json``, as far as readers need it."""

    model_config = ConfigDict(frozen=True)

    context_length: int = Field(alias="contextLength")
    train: tuple[ShardPartition, ...]
    held_out: tuple[ShardPartition, ...]

    def partitions(self, side: str) -> tuple[ShardPartition, ...]:
        """Return the partitions of ``train`` or ``held_out``, in the order of their samples."""
        return self.held_out if side == HELD_OUT else self.train
