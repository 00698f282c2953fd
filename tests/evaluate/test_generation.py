"""Generation: the same text for any batch, transformers' own greedy text, nucleus sampling by its definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_evaluate import attention, generation
from daybreak_evaluate.generation import LoadedModel, draw, stream
from daybreak_evaluate.suites.protocol import Prompt, Sampling
from tests.plugins.profiles import examples

PROMPTS = [Prompt(f"p{number}", "def function(first" * number + "\n    total") for number in (1, 2, 3, 5, 8)]


def sampling(
    num_samples: int = 1, temperature: float = 0.0, stop: tuple[str, ...] = (), new: int = 20
) -> Sampling:
    return Sampling(num_samples, temperature, 0.95, new, 200, stop, seed=7)


def ignore(activity: str, done: float, total: float) -> None:
    """Take no notice of progress."""


@pytest.fixture(scope="module")
def model(model_uri: str) -> LoadedModel:
    return LoadedModel(Path(model_uri), "cpu", cores=2)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_text_does_not_depend_on_the_batch(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    together = model.complete(PROMPTS, sampling(3, temperature), ignore)
    alone = [model.complete([prompt], sampling(3, temperature), ignore)[0] for prompt in PROMPTS]
    backwards = model.complete(PROMPTS[::-1], sampling(3, temperature), ignore)[::-1]
    assert together == alone == backwards
    assert [len(texts) for texts in together] == [3] * 5
    if temperature:
        assert len({text for texts in together for text in texts}) == 15


@pytest.mark.slow
def test_greedy_text_is_transformers_own(model: LoadedModel) -> None:
    for prompt in PROMPTS:
        tokens = torch.tensor([model.encode(prompt, 200)])
        banned = torch.nonzero(model._banned)[:, 0].tolist()
        expected = model.model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=20,
            do_sample=False,
            suppress_tokens=banned,
            eos_token_id=model.end_of_text,
            pad_token_id=model.pad,
        )
        text = model.decode(expected[0, tokens.shape[1] :].tolist())
        assert model.complete([prompt], sampling(), ignore) == [[text]]


def test_a_text_ends_before_the_first_stop_word(model: LoadedModel) -> None:
    [[whole]] = model.complete(PROMPTS[:1], sampling(new=40), ignore)
    stop = whole[len(whole) // 2 :][:2]
    [[cut]] = model.complete(PROMPTS[:1], sampling(new=40, stop=("never", stop)), ignore)
    assert cut == whole[: whole.index(stop)]


def test_progress_counts_samples(model: LoadedModel) -> None:
    seen: list[tuple[float, float]] = []
    model.complete(PROMPTS, sampling(2), lambda _, done, total: seen.append((done, total)))
    assert seen[-1] == (10, 10)


def test_text_that_spells_a_special_token_is_text(model: LoadedModel) -> None:
    tokens = model.encode(Prompt("x", f"a{names.END_OF_TEXT}b{names.FIM_MIDDLE}"), 100)
    assert min(tokens) >= len(names.SPECIAL_TOKENS)
    assert model.decode(tokens) == f"a{names.END_OF_TEXT}b{names.FIM_MIDDLE}"


def test_a_prompt_keeps_what_is_nearest_to_the_cursor(model: LoadedModel) -> None:
    prompt = Prompt("x", "a\n" * 100 + "before", "after" + "\nb" * 100)
    tokens = model.encode(prompt, 60)
    marks = [
        model.tokenizer.token_to_id(name) for name in (names.FIM_PREFIX, names.FIM_SUFFIX, names.FIM_MIDDLE)
    ]
    places = [tokens.index(mark) for mark in marks]
    assert len(tokens) == 60 and places[0] == 0 and places[2] == 59
    assert model.decode(tokens[: places[1]]).endswith("before")
    assert model.decode(tokens[places[1] :]).startswith("after")
    assert model.decode(model.encode(Prompt("x", "a\n" * 100 + "before"), 5)).endswith("fore")


def test_a_context_without_room_for_a_prompt_is_refused(model: LoadedModel) -> None:
    with pytest.raises(UserError, match="no room for a prompt"):
        model.complete(PROMPTS, sampling(new=256), ignore)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no model here"):
        LoadedModel(tmp_path)


def test_surprise_is_the_mean_over_answers_tokens(model: LoadedModel) -> None:
    prompt, answer = PROMPTS[2], " = first + second"
    before, wanted = model.encode(prompt, 200), model.tokenizer.encode(answer).ids
    with torch.inference_mode():
        logits = model.model(torch.tensor([before + wanted])).logits[0].float().log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(wanted) - 1)
    expected = -sum(float(logits[place, token]) for place, token in zip(places, wanted, strict=True)) / len(
        wanted
    )
    assert model.surprise([prompt], [answer], ignore) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (6, 1)])
def test_one_query_attends_as_torch_does(heads: int, groups: int) -> None:
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(2, heads, 1, 8, generator=generator)
    key, value = (torch.randn(2, groups, 7, 8, generator=generator) for _ in range(2))
    mask = torch.ones(2, 1, 1, 9, dtype=torch.bool)
    mask[1, ..., :3] = False
    repeated = [states.repeat_interleave(heads // groups, 1) for states in (key, value)]
    for seen in (mask, None):
        limits = None if seen is None else seen[..., :7]
        expected = torch.nn.functional.scaled_dot_product_attention(
            query, *repeated, attn_mask=limits, scale=0.3
        )
        ours = attention.one_query(query, key, value, seen, 0.3)
        torch.testing.assert_close(ours, expected.transpose(1, 2))


@settings(deadline=None, max_examples=examples(100))
@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True),
    st.floats(0, 0.999),
    st.floats(0.2, 2),
    st.floats(0.05, 1),
)
def test_nucleus_by_its_definition(
    logits: list[float], uniform: float, temperature: float, top_p: float
) -> None:
    chances = torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, 0).tolist()
    order = sorted(range(len(logits)), key=lambda index: (-chances[index], index))
    kept, mass = [], 0.0
    for index in order:
        if kept and mass >= top_p:
            break
        kept.append(index)
        mass += chances[index]
    below, expected = 0.0, kept[-1]
    for index in kept:
        below += chances[index]
        if abs(below - uniform * mass) < 1e-9 or abs(mass - top_p) < 1e-9:
            return  # on the edge, either is right
        if below > uniform * mass:
            expected = index
            break
    drawn = draw(
        torch.tensor([logits], dtype=torch.float64), torch.tensor([uniform]).double(), temperature, top_p
    )
    assert drawn.tolist() == [expected]


def test_streams_are_keyed_by_seed_prompt_and_number() -> None:
    streams = [stream(seed, key, number, 4) for seed in (0, 1) for key in ("a", "b") for number in (0, 1)]
    assert len({tuple(values) for values in streams}) == 8
    assert stream(0, "a", 0, 4).tolist() == stream(0, "a", 0, 9)[:4].tolist()
    assert generation.default_device() in ("cpu", "cuda")
