"""The model computes what Llama computes, and its loss is cross entropy."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from daybreak_model.llama.sizes import SIZES, Dimensions, num_parameters
from daybreak_train import model as models
from daybreak_train.model import IGNORED, Llama, ModelConfig, initialise, linear_cross_entropy

DIMS = Dimensions(hidden_size=48, layers=3, heads=4, key_value_heads=2, intermediate_size=80)
CONFIG = ModelConfig(DIMS, vocabulary_size=160, context_length=32)


def built(seed: int = 0) -> Llama:
    model = Llama(CONFIG)
    initialise(model, seed)
    return model


@pytest.mark.parametrize("rows_in_a_chunk", [1, 7, 1000], ids=["single-rows", "uneven-chunks", "one-chunk"])
def test_chunked_loss_and_gradients_are_those_of_cross_entropy(
    rows_in_a_chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.LOGITS_IN_A_CHUNK, "cpu", rows_in_a_chunk * 160)
    torch.manual_seed(1)
    hidden = torch.randn(20, 48, requires_grad=True)
    weight = torch.randn(160, 48, requires_grad=True)
    labels = torch.randint(0, 160, (20,))
    labels[[3, 4, 19]] = IGNORED
    ours = linear_cross_entropy(hidden, weight, labels)
    (ours * 0.5).backward()
    gradients = [hidden.grad, weight.grad]
    hidden.grad = weight.grad = None
    theirs = functional.cross_entropy(hidden @ weight.T, labels, ignore_index=IGNORED, reduction="sum")
    (theirs * 0.5).backward()
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    for mine, other in zip(gradients, [hidden.grad, weight.grad], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_loss_without_gradients_is_the_same() -> None:
    model, tokens = built(), torch.randint(0, 160, (2, 32))
    with torch.no_grad():
        alone = model.loss_sum(tokens, tokens)
    assert float(alone) == pytest.approx(float(model.loss_sum(tokens, tokens).detach()), rel=1e-6)


def test_a_batch_without_labels_has_no_loss_and_no_gradient() -> None:
    model, tokens = built(), torch.randint(0, 160, (1, 8))
    loss = model.loss_sum(tokens, torch.full_like(tokens, IGNORED))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert (
        float(sum(weight.grad.abs().sum() for weight in model.parameters() if weight.grad is not None)) == 0.0
    )


def test_an_untrained_model_knows_nothing() -> None:
    tokens = torch.randint(0, 160, (4, 32))
    loss = float(built().loss_sum(tokens, tokens.roll(-1, 1)).detach()) / tokens.numel()
    assert loss == pytest.approx(math.log(160), abs=0.1)


def test_no_position_sees_what_comes_after_it() -> None:
    model, tokens = built(), torch.randint(0, 160, (1, 32))
    changed = tokens.clone()
    changed[0, 20:] = (changed[0, 20:] + 1) % 160
    before, after = model(tokens), model(changed)
    assert torch.equal(before[0, :20], after[0, :20])
    assert not torch.allclose(before[0, 20], after[0, 20])


def test_initialisation_is_the_designs() -> None:
    weights = built().state_dict()
    shrunk = 0.02 / math.sqrt(2 * DIMS.layers)
    assert float(weights["embedding.weight"].std()) == pytest.approx(0.02, rel=0.05)
    assert float(weights["layers.0.attention.out.weight"].std()) == pytest.approx(shrunk, rel=0.1)
    assert float(weights["layers.2.feed_forward.down.weight"].std()) == pytest.approx(shrunk, rel=0.1)
    assert torch.equal(weights["layers.1.attention_norm.weight"], torch.ones(48))


def test_initialisation_depends_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = built(3)
    torch.manual_seed(6)
    second = built(3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(built(4).embedding.weight, first.embedding.weight)


def test_layers_that_are_computed_twice_give_the_same_bits() -> None:
    once, twice = built(), built()
    twice.recompute(True)
    tokens = torch.randint(0, 160, (2, 32), generator=torch.Generator().manual_seed(5))
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-2) for model in (once, twice)]
    for _ in range(5):
        losses = []
        for model, optimizer in zip((once, twice), optimizers, strict=True):
            optimizer.zero_grad()
            loss = model.loss_sum(tokens, tokens)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        assert torch.equal(*losses)
    for mine, other in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_layers_that_are_computed_twice_keep_less() -> None:
    kept = []
    for recomputed in (False, True):
        model, sizes = built(), []
        model.recompute(recomputed)
        tokens = torch.zeros((4, 32), dtype=torch.long)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            model.loss_sum(tokens, tokens)
        kept.append(sum(sizes))
    assert 3 * kept[1] < kept[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["3b", "7b"])
def test_the_largest_sizes_are_built_as_they_are_counted(size: str) -> None:
    with torch.device("meta"):
        model = Llama(ModelConfig(SIZES[size], 32_768, 2048))
    assert sum(weight.numel() for weight in model.parameters()) == num_parameters(SIZES[size], 32_768)
