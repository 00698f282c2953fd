"""Prompts: order of fill-in-the-middle, what is cut, and that text never becomes a special token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model import marks
from daybreak_model.fim import ComposedPrompt, compose, fim_ids, order_of, split_budget

SPECIAL = {names.END_OF_TEXT: 0, names.FIM_PREFIX: 1, names.FIM_MIDDLE: 2, names.FIM_SUFFIX: 3}
IDS = st.lists(st.integers(10, 99), max_size=60)


@pytest.mark.parametrize(
    ("fim", "suffix", "expected"),
    [
        pytest.param("PSM", [20, 21], (1, 10, 11, 3, 20, 21, 2), id="prefix, suffix, middle"),
        pytest.param("PSM", None, (10, 11), id="no suffix, no fill-in-the-middle"),
        pytest.param("None", [20, 21], (10, 11), id="a model that never learned it"),
        pytest.param("PSM", [], (1, 10, 11, 3, 2), id="an empty suffix still says that the file ends"),
    ],
)
def test_the_order_is_that_of_training(fim: str, suffix: list[int] | None, expected: tuple[int, ...]) -> None:
    assert compose([10, 11], suffix, 100, fim, SPECIAL) == ComposedPrompt(expected, 0)


def test_an_empty_prompt_starts_a_document() -> None:
    assert compose([], None, 10, "PSM", SPECIAL) == ComposedPrompt((0,), 0)


@pytest.mark.parametrize("budget", [1, 2])
def test_a_budget_without_room_for_the_marks_leaves_the_suffix_out(budget: int) -> None:
    prompt = compose([10, 11, 12], [20, 21], budget, "PSM", SPECIAL)
    assert prompt == ComposedPrompt((10, 11, 12)[-budget:], 5 - budget)


@pytest.mark.parametrize(
    ("num_prefix", "num_suffix", "budget", "expected"),
    [
        pytest.param(100, 100, 40, (30, 10), id="both too long: three quarters and one"),
        pytest.param(10, 100, 40, (10, 30), id="a short prefix leaves its room"),
        pytest.param(100, 4, 40, (36, 4), id="a short suffix leaves its room"),
        pytest.param(10, 10, 40, (10, 10), id="both fit"),
        pytest.param(10, 10, 0, (0, 0), id="no room"),
    ],
)
def test_the_budget_is_split(
    num_prefix: int, num_suffix: int, budget: int, expected: tuple[int, int]
) -> None:
    assert split_budget(num_prefix, num_suffix, budget) == expected


@given(IDS, st.none() | IDS, st.integers(4, 80), st.sampled_from(["None", "PSM"]))
def test_a_prompt_keeps_the_end_of_the_prefix_and_the_start_of_the_suffix(
    prefix: list[int], suffix: list[int] | None, budget: int, fim: str
) -> None:
    prompt = compose(prefix, suffix, budget, fim, SPECIAL)
    assert 1 <= len(prompt.token_ids) <= budget
    has_suffix = suffix is not None and fim != "None"
    given_tokens = len(prefix) + (len(suffix or []) if has_suffix else 0)
    text = [token for token in prompt.token_ids if token >= 10]
    assert len(text) + prompt.num_dropped == given_tokens
    num_special = 3 if has_suffix else (0 if prefix else 1)
    assert len(prompt.token_ids) == len(text) + num_special
    if given_tokens + num_special <= budget:
        assert prompt.num_dropped == 0
    if has_suffix:
        at = prompt.token_ids.index(3)
        start, end = prompt.token_ids[1:at], prompt.token_ids[at + 1 : -1]
        assert tuple(prefix[len(prefix) - len(start) :]) == start
        assert tuple((suffix or [])[: len(end)]) == end
    elif prefix:
        assert tuple(prefix[-len(text) :]) == tuple(text)


def test_a_tokenizer_without_the_tokens_is_refused() -> None:
    tokenizer = '{"added_tokens": [{"content": "<|endoftext|>", "id": 0}]}'
    assert fim_ids(tokenizer, "None") == {names.END_OF_TEXT: 0}
    with pytest.raises(UserError, match="fim_prefix"):
        fim_ids(tokenizer, "PSM")


@pytest.mark.parametrize(
    ("objective", "special", "expected"),
    [
        pytest.param("fillInTheMiddle", SPECIAL, "PSM", id="trained to fill in"),
        pytest.param("nextToken", SPECIAL, "None", id="never trained to fill in"),
        pytest.param("ul2", SPECIAL, "None", id="denoisers are something else"),
        pytest.param(None, SPECIAL, "PSM", id="does not say, has the tokens"),
        pytest.param(None, {}, "None", id="does not say, has no tokens"),
    ],
)
def test_a_model_is_asked_as_it_was_trained(
    objective: str | None, special: dict[str, int], expected: str
) -> None:
    assert order_of(objective, special) == expected


@pytest.mark.parametrize(
    ("special", "expected"),
    [
        pytest.param(SPECIAL, (3, 20, 21, 1, 10, 11, 2), id="a mark behind the prefix"),
        pytest.param(
            {0: 0, names.FIM_PREFIX: 1, names.FIM_SUFFIX: 3}, (3, 20, 21, 1, 10, 11), id="none behind it"
        ),
    ],
)
def test_suffix_first(special: dict[str, int], expected: tuple[int, ...]) -> None:
    assert compose([10, 11], [20, 21], 100, "SPM", special) == ComposedPrompt(expected, 0)
    cut = compose(list(range(10, 60)), list(range(60, 99)), 20, "SPM", special)
    assert len(cut.token_ids) <= 20
    assert cut.num_dropped == 50 + 39 - 17


def test_a_family_is_asked_suffix_first_only_when_it_has_no_other_marks() -> None:
    seed = ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>")
    assert marks.suffix_first(seed) == seed
    assert marks.suffix_first(["[SUFFIX]", "[PREFIX]", "[MIDDLE]"]) == ("[PREFIX]", "[SUFFIX]")
    assert marks.suffix_first(["[SUFFIX]", *seed[:2]]) == ()
    assert marks.suffix_first([*seed, *marks.FIM_ROLES]) == ()
    mellum = [*marks.FIM_ROLES, "<filename>", "<reponame>", "<system>", "</assistant>"]
    assert (
        marks.suffix_first(mellum) == marks.FIM_ROLES
    )  # spelled as StarCoder's, which is asked prefix first
    assert marks.suffix_first([*marks.FIM_ROLES, "<filename>", "<reponame>"]) == ()
    assert order_of(None, SPECIAL, is_suffix_first=True) == "SPM"
    assert order_of("nextToken", SPECIAL, is_suffix_first=True) == "None"


def test_every_family_says_where_its_order_was_read() -> None:
    assert all(family.source for family in marks.FIM_FAMILIES)
    for family in marks.FIM_FAMILIES:
        found = marks.family_of((*family.spelled, *family.told_by))
        assert found is not None
        assert (found.spelled, found.order) == (family.spelled, family.order)
