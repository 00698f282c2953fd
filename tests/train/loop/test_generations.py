"""What the model writes at a look: prompts from held-out documents, greedy, the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_train.loop.generations import GenerationPrompt, greedy, prompt_of

END, PAD = 0, 4
SPECIAL = {names.END_OF_TEXT: 0, names.FIM_PREFIX: 1, names.FIM_SUFFIX: 3, names.FIM_MIDDLE: 2}


class Counting(torch.nn.Module):
    """A model to which the likeliest token is the one after the last, and that sees no token behind it."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return torch.nn.functional.one_hot((tokens + 1) % 100, 100).float()


def test_rows_of_different_lengths_are_continued_each_behind_its_own_end() -> None:
    model: Any = Counting()
    found = greedy(model, [[7], [40, 41, 42]], 4, torch.device("cpu"))
    assert found == [[8, 9, 10, 11], [43, 44, 45, 46]]


def test_greedy_moves_no_random_generator(tiny_llama: Any) -> None:
    before = torch.get_rng_state()
    first = greedy(tiny_llama, [[5, 6, 7]], 6, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert greedy(tiny_llama, [[5, 6, 7]], 6, torch.device("cpu")) == first


@pytest.fixture(scope="module")
def tiny_llama() -> Any:
    from daybreak_model.llama.sizes import Dimensions
    from daybreak_train.model import Llama, ModelConfig, initialise

    model = Llama(ModelConfig(Dimensions(16, 2, 2, 1, 32), 64, 32))
    initialise(model, 3)
    return model


@given(st.lists(st.integers(0, 20), min_size=12, max_size=200), st.booleans())
def test_a_prompt_fits_and_its_parts_follow_each_other(row: list[int], gap: bool) -> None:
    prompt = prompt_of(np.array(row, np.int64), END, PAD, gap)
    if prompt is None:
        return
    assert len(prompt.ids("PSM" if gap else "None", SPECIAL)) + len(prompt.expected) <= len(row)
    whole = [*prompt.prefix, *prompt.expected, *prompt.suffix]
    assert END not in whole
    kept = [token for token in row if token != PAD]  # padding stands where a document was taken back
    assert any(kept[at : at + len(whole)] == whole for at in range(len(kept)))


def test_a_gap_is_asked_in_the_order_of_training() -> None:
    assert GenerationPrompt((10,), (11,), (12,)).ids("PSM", SPECIAL) == [1, 10, 3, 12, 2]
