"""The same prompt wherever a model meets one: in training, in evaluation and behind the gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_evaluate.generation import LoadedModel
from daybreak_evaluate.suites.protocol import Prompt
from daybreak_model.fim import MIN_PROMPT, PromptEncoder
from daybreak_model.vocabulary import TextEncoder, special_ids
from daybreak_serve.gateway.http.requests import RequestLimits, parse
from daybreak_serve.gateway.pool.prompts import PromptComposer
from daybreak_serve.model_metadata import metadata_of
from daybreak_serve.modelfolder import open_model
from daybreak_train.objectives.fill_in_the_middle import FillInTheMiddleObjective, Sentinels, restore
from daybreak_train.objectives.token_codec import TokenCodec
from tests.model.conftest import CONTEXT_LENGTH, write_model
from tests.plugins.profiles import examples

PIECES = (
    *names.SPECIAL_TOKENS[:8], "<", "|>", "def f(x):\n", "    return ", "\n", "\r\n", "\t", " ", "+= 1", "'", "\x00",
    "\u00e9", "e\u0301", "\u6570\u636e", "\U0001f642", "\U0001f469\u200d\U0001f467", "\ufeff", "\ufffd", "x" * 40,
)  # fmt: skip
ANY = st.characters(exclude_categories=["Cs"])
CODE = st.lists(st.sampled_from(PIECES) | ANY, max_size=40).map("".join)
PROMPTS_IN_AN_EXAMPLE = 20
LIMITS = RequestLimits(model_name="m", default_max_tokens=16, max_tokens=CONTEXT_LENGTH)


@pytest.fixture(scope="module")
def evaluated(model_folder: Path) -> LoadedModel:
    return LoadedModel(model_folder, device="cpu", cores=1)


def composer_of(folder: Path) -> PromptComposer:
    model = open_model(str(folder), folder)
    text = (model.path / "tokenizer.json").read_text(encoding="utf-8")
    return PromptComposer(text, metadata_of(model, content_digest="", max_concurrency=1))


@pytest.fixture(scope="module")
def gateway(model_folder: Path) -> PromptComposer:
    return composer_of(model_folder)


@pytest.fixture(scope="module")
def packed_model(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str
) -> tuple[LoadedModel, PromptComposer]:
    folder = write_model(
        tmp_path_factory.mktemp("packed"), tokenizer_json, "fillInTheMiddle", layout="Repository"
    )
    return LoadedModel(folder, device="cpu", cores=1), composer_of(folder)


def some_code(random: Random) -> str:
    """Return code that spells special tokens, and characters of every plane."""
    plane = random.choice((0x80, 0x800, 0xD800, 0x110000))
    characters = (chr(random.randrange(plane)) for _ in range(random.choice((0, 1, 9))))
    pieces = [*random.choices(PIECES, k=random.choice((0, 1, 5, 40))), *characters]
    random.shuffle(pieces)
    return "".join(pieces).encode("utf-8", "ignore").decode()  # a half of a surrogate pair is no text


async def compare(evaluated: LoadedModel, gateway: PromptComposer, random: Random) -> None:
    prefix, suffix = some_code(random), random.choice((None, some_code(random)))
    max_tokens = random.randrange(1, CONTEXT_LENGTH)
    body = {"prompt": prefix, "suffix": suffix, "max_tokens": max_tokens}
    served = (await gateway.compose(parse(json.dumps(body).encode(), None, LIMITS, "text"))).token_ids
    assert list(served) == evaluated.encode(Prompt("x", prefix, suffix), CONTEXT_LENGTH - max_tokens), body
    assert 1 <= len(served) <= CONTEXT_LENGTH - max_tokens, body
    marks = {name: evaluated.tokenizer.token_to_id(name) for name in names.SPECIAL_TOKENS}
    special = [token for token in served if token in marks.values()]
    if suffix is not None and CONTEXT_LENGTH - max_tokens >= MIN_PROMPT:
        assert special == [marks[names.FIM_PREFIX], marks[names.FIM_SUFFIX], marks[names.FIM_MIDDLE]], body
    if suffix is None:
        assert special == ([] if prefix else [marks[names.END_OF_TEXT]]), body


@pytest.mark.slow
@settings(max_examples=examples(10_000 // PROMPTS_IN_AN_EXAMPLE))
@given(st.integers(0, 1 << 64))
def test_evaluation_and_gateway_compose_the_same_prompt(
    evaluated: LoadedModel, gateway: PromptComposer, seed: int
) -> None:
    async def compare_all() -> None:
        random = Random(seed)
        for _ in range(PROMPTS_IN_AN_EXAMPLE):
            await compare(evaluated, gateway, random)

    asyncio.run(compare_all())


@pytest.mark.slow
@given(CODE.filter(bool), st.integers(0, 1 << 40))
def test_a_prompt_begins_as_a_training_sample_does(tokenizer_json: str, text: str, sample: int) -> None:
    from tokenizers import Tokenizer

    marks = Sentinels.of(special_ids(tokenizer_json))
    codec = TokenCodec(Tokenizer.from_str(tokenizer_json))
    objective = FillInTheMiddleObjective(codec, marks, 1.0, 0.0, 7)
    trained = objective.rearranged(codec.encode(text), (0, sample, 0), 1 << 20)
    assert trained is not None
    prefix, middle, suffix = restore(trained, marks, spm=False)
    before, behind = codec.decode(prefix), codec.decode(suffix)
    assert before is not None and behind is not None
    asked = PromptEncoder(tokenizer_json, "PSM").compose(before, behind, 1 << 20)
    assert [*asked.token_ids, *middle] == trained


def test_a_model_that_never_learned_to_fill_in_is_asked_from_the_left(
    tmp_path: Path, tokenizer_json: str
) -> None:
    folder = write_model(tmp_path, tokenizer_json, "nextToken")
    request = parse(json.dumps({"prompt": "a = ", "suffix": " + 1"}).encode(), None, LIMITS)
    served = asyncio.run(composer_of(folder).compose(request)).token_ids
    evaluated = LoadedModel(folder, device="cpu", cores=1).encode(Prompt("x", "a = ", " + 1"), 100)
    assert list(served) == evaluated == TextEncoder(tokenizer_json).encode("a = ")


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(seed=st.integers(0, 1 << 64), max_tokens=st.integers(1, CONTEXT_LENGTH - MIN_PROMPT))
def test_other_files_stand_in_front_as_in_training_and_alike_for_both(
    packed_model: tuple[LoadedModel, PromptComposer], seed: int, max_tokens: int
) -> None:
    evaluated, gateway = packed_model
    random = Random(seed)
    others = [{"path": f"{name}.py", "text": some_code(random)} for name in "ab"[: random.randrange(3)]]
    prefix, suffix = some_code(random), random.choice((None, some_code(random)))
    body = {"prompt": prefix, "suffix": suffix, "max_tokens": max_tokens, "context": others, "path": "c.py"}
    request = parse(json.dumps(body).encode(), None, LIMITS)
    served = asyncio.run(gateway.compose(request))
    budget = CONTEXT_LENGTH - max_tokens
    ids = list(served.token_ids)
    assert ids == evaluated.encode(Prompt("x", prefix, suffix, request.around), budget)
    assert 1 <= len(ids) <= budget
    marks = evaluated.marks
    assert marks is not None
    expected = [
        *((file["path"], file["text"]) for file in others[len(others) - served.num_files :]),
    ]
    encoder = TextEncoder(evaluated.tokenizer.to_str())
    front = [
        token
        for path, text in expected
        for token in (*marks.file_opening(encoder.encode(f"{path}\n")), *encoder.encode(text))
    ]
    opening = marks.file_opening(encoder.encode("c.py\n"))
    if len(opening) <= min(budget - MIN_PROMPT, budget // 2):
        assert ids[: len(front) + len(opening)] == [*front, *opening]
