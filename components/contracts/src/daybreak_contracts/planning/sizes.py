"""The named model sizes: dimensions, exact parameter counts, FLOPs per token.

Owns the arithmetic of a Llama-style model. Owns no tensor: everything here is an integer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line's help lists the sizes, and needs no resource
    from daybreak_contracts.resources.training import Model


@dataclass(frozen=True)
class Dimensions:
    """A Llama-style model without its vocabulary: widths in channels, tied embeddings, no biases."""

    hidden_size: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate_size: int

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.heads

    def to_json(self) -> dict[str, Any]:
        """Return the five numbers under their own names."""
        return asdict(self)


# 125m to 3b: docs/thresholds.md; 7b has the shape of Llama 3 8B. 1m and 10m are for two CPU cores and a vocabulary of
# 4,096 to 8,192 tokens: wide and shallow, because small matrices and many layers leave a CPU waiting. Exact counts,
# embeddings (tied) counted once:
#
#          vocabulary 4,096   8,192    32,768
#   1m             1.31 M     1.84 M    4.98 M
#   10m            8.06 M     9.64 M   19.07 M
#   125m                              100.68 M
SIZES = {
    "1m": Dimensions(hidden_size=128, layers=4, heads=2, key_value_heads=1, intermediate_size=384),
    "10m": Dimensions(hidden_size=384, layers=4, heads=6, key_value_heads=3, intermediate_size=1024),
    "125m": Dimensions(hidden_size=768, layers=12, heads=12, key_value_heads=4, intermediate_size=2048),
    "350m": Dimensions(hidden_size=1024, layers=24, heads=8, key_value_heads=2, intermediate_size=2816),
    "1b": Dimensions(hidden_size=2048, layers=22, heads=16, key_value_heads=4, intermediate_size=5632),
    "3b": Dimensions(hidden_size=2560, layers=32, heads=20, key_value_heads=4, intermediate_size=6912),
    "7b": Dimensions(hidden_size=4096, layers=32, heads=32, key_value_heads=8, intermediate_size=14336),
}


def dimensions_of(model: Model) -> Dimensions:
    """Return the dimensions that the manifest names or spells out."""
    if model.size is not None:
        return SIZES[model.size]
    assert model.custom is not None
    return Dimensions(**model.custom.model_dump())


def num_parameters(dims: Dimensions, vocabulary_size: int) -> int:
    """Return the exact number of weights, tied embeddings counted once.

    Per layer: q and o (d x d), k and v (d x kv), three d x ff matrices, two norms. Then the embedding and one norm.
    """
    d, kv = dims.hidden_size, dims.key_value_heads * dims.head_size
    attention = 2 * d * d + 2 * d * kv
    layer = attention + 3 * d * dims.intermediate_size + 2 * d
    return vocabulary_size * d + dims.layers * layer + d


def flops_per_token(dims: Dimensions, vocabulary_size: int, context_length: int) -> int:
    """Return the training FLOPs of one token: ``6 N + 12 L d T``.

    The convention of LLM Foundry's benchmarks (mosaicml/llm-foundry, scripts/train/benchmarking): N counts tied
    embeddings once, attention is counted full (not causal), a multiply-add is two. Recomputation is not counted.
    """
    parameters = num_parameters(dims, vocabulary_size)
    return 6 * parameters + 12 * dims.layers * dims.hidden_size * context_length
