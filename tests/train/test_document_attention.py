"""No document sees another, at any length and in every way that attention is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.planning.sizes import Dimensions
from daybreak_train import document_attention
from daybreak_train.document_attention import BLOCK, block_mask, dense_mask, document_spans, mask_for
from daybreak_train.model import Llama, ModelConfig, initialise

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
DIMS = Dimensions(hidden_size=16, layers=2, heads=2, key_value_heads=1, intermediate_size=24)
END = 0
WAYS: dict[str, Callable[[torch.Tensor, int], Any]] = {
    "dense": dense_mask,
    "by-document": document_spans,
    "flex": block_mask,
}


def built(context: int) -> Llama:
    model = Llama(ModelConfig(DIMS, 160, context, end_of_text=END))
    initialise(model, 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)  # attention that is far from uniform
    return model


def packed(*sizes: int, seed: int = 0) -> torch.Tensor:
    """One sample of documents that end, each as long as asked with its end; the last is cut by the sample's edge."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 160, (1, sum(sizes)), generator=generator)
    for stop in torch.tensor(sizes[:-1]).cumsum(0).tolist():
        tokens[0, stop - 1] = END
    return tokens


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sizes", [(16, 1, 30, 17), (5,), (1, 1, 1), (120, 8, 140, 32)], ids=str)
def test_a_document_among_others_has_the_logits_it_has_alone(way: str, sizes: tuple[int, ...]) -> None:
    model, tokens = built(512), packed(*sizes)
    with torch.no_grad():
        together = model(tokens, WAYS[way](tokens, END))
        alone = torch.cat([model(document) for document in tokens.split(sizes, 1)], 1)
    # rotary positions differ by a shift, which attention does not feel
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_beyond_the_dense_mask_documents_are_kept_apart_too() -> None:
    model, tokens = built(5000), packed(1500, 700, 2000, 800)
    assert isinstance(mask_for(tokens, END), document_attention.DocumentSpans)
    with torch.no_grad():
        together = model(tokens, mask_for(tokens, END))
        alone = torch.cat([model(document) for document in tokens.split((1500, 700, 2000, 800), 1)], 1)
        labels = tokens.roll(-1, 1)
        loss = model.loss_sum(tokens, labels)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    wanted = torch.nn.functional.cross_entropy(alone[0], labels[0], reduction="sum")
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-4)


def test_gradients_by_document_are_those_of_the_dense_mask() -> None:  # flex has none on a CPU: tests/gpu
    tokens = torch.cat([packed(50, 3, 40, 70, seed=1), packed(100, 63, seed=2)])
    gradients = []
    for make in (dense_mask, document_spans):
        model = built(256).double()  # in single precision some processors' kernels differ by 0.3 % here
        model.hidden(tokens, make(tokens, END)).square().sum().backward()
        gradients.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.integers(0, 9))
def test_blocks_are_left_out_where_no_pair_is_seen_and_whole_where_all_are(
    sizes: list[int], seed: int
) -> None:
    tokens = torch.cat([packed(*sizes, seed=seed), packed(*sizes[::-1], seed=seed)])
    mask, length = block_mask(tokens, END), tokens.shape[1]
    rows = -(-length // BLOCK)
    seen = torch.zeros(2, rows * BLOCK, rows * BLOCK, dtype=torch.bool)
    seen[:, :length, :length] = dense_mask(tokens, END)[:, 0]
    any_pair = blocked(seen, rows).any(3)
    seen[:, length:, :length] = True  # no query there that could be hidden from anything
    partly = listed(mask.kv_num_blocks[:, 0], mask.kv_indices[:, 0])
    assert mask.full_kv_num_blocks is not None
    assert mask.full_kv_indices is not None
    whole = listed(mask.full_kv_num_blocks[:, 0], mask.full_kv_indices[:, 0])
    assert torch.equal(partly | whole, any_pair)
    assert torch.equal(whole, blocked(seen, rows).all(3))


def blocked(pairs: torch.Tensor, rows: int) -> torch.Tensor:
    """(batch, positions, positions) as (batch, rows, columns, pairs of a block)."""
    return pairs.view(-1, rows, BLOCK, rows, BLOCK).transpose(2, 3).flatten(3)


def listed(number: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Which blocks each row names, as (batch, rows, columns)."""
    found = torch.zeros(which.shape, dtype=torch.bool)
    for sample in range(which.shape[0]):
        for row in range(which.shape[1]):
            found[sample, row, which[sample, row, : number[sample, row]].long()] = True
    return found


def test_one_document_is_plain_causal() -> None:
    model = built(32)
    tokens = torch.randint(1, 160, (2, 32))
    torch.testing.assert_close(model(tokens, mask_for(tokens, END)), model(tokens), rtol=1e-4, atol=1e-5)


def test_the_end_belongs_to_its_document_and_nothing_after_it_does() -> None:
    mask = dense_mask(packed(16, 16), END)
    assert mask[0, 0, 15, :16].all()
    assert not mask[0, 0, 16, :16].any()
