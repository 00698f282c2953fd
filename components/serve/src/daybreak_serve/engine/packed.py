"""Weight matrices whose products have the same bits in a row however many rows there are.

The usual product of torch (MKL) sums in another order for one row than for four; oneDNN, with its own layout of the
weights, does not. So a request's logits are the same whoever is computed beside it. Large matrices are also faster that
way for few rows. Needs a torch with oneDNN, as every x86-64 wheel is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LIKELY_ROWS = 8
"""The layout is chosen for so many; the result does not depend on it."""
SMALL = 128 * 1024
"""Numbers in a matrix below which calling oneDNN costs more than the product."""


class PackedMatrix:
    """``x @ weight.T + bias`` for rows ``x``."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), LIKELY_ROWS)
        self._small = weight.contiguous() if weight.numel() < SMALL else None
        self._bias = None if bias is None else bias.contiguous()
        self._product = torch.ops.mkldnn._linear_pointwise.default

    def __call__(self, x: Tensor, *, apart: bool) -> Tensor:
        """Return the product, each row the same to the bit whatever the number of rows.

        With ``apart`` a small matrix takes rows one after the other, which is the fastest for few: other bits than
        without, again the same for any number.
        """
        found = self._multiplied(x, apart=apart)
        return found if self._bias is None else found + self._bias

    def _multiplied(self, x: Tensor, *, apart: bool) -> Tensor:
        if not apart or self._small is None:
            product: Tensor = self._product(x, self._packed, None, "none", [], "")
            return product
        if x.shape[0] == 1:
            return functional.linear(x, self._small)
        return torch.cat([functional.linear(row, self._small) for row in torch.split(x, 1)])
