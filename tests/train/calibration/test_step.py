"""Some real steps tell the speed and memory of a training before there is any data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from daybreak_contracts import names
from daybreak_contracts.resources.training import CustomModel, Model, Training
from daybreak_contracts.steps import CalibrateArgs, CalibrateResult
from daybreak_train.calibration import synthetic
from daybreak_train.calibration.step_times import speeds, warm
from tests.train.conftest import Zygote

TINY = CustomModel(hidden_size=32, layers=2, heads=2, key_value_heads=1, intermediate_size=64)


def test_a_calibration_measures_and_leaves_nothing(tmp_path: Path, zygote: Zygote) -> None:
    training = Training.model_validate(
        {"objective": {"fillInTheMiddle": {}}, "contextLength": 64, "tokens": 1 << 40}
    )
    work = tmp_path / "work"
    args = CalibrateArgs(
        output=str(work),
        work_dir=str(work),
        cores=1,
        model=Model(custom=TINY),
        training=training,
        vocabulary_size=1024,
        samples_per_step=4,
    )
    found = CalibrateResult.model_validate(zygote.run(args, tmp_path))
    assert 0 < found.low <= found.likely <= found.high
    assert found.peak_memory_bytes > 50_000_000
    assert found.loop_s > 0
    assert not list(work.iterdir())


@pytest.mark.parametrize(
    ("seconds", "left"),
    [
        pytest.param([2.0] * 20, 17, id="four-steps-where-one-takes-seconds"),
        pytest.param([0.5] * 4 + [0.25] * 96, 89, id="four-seconds-where-a-step-takes-none"),
        pytest.param([0.01] * 100, 50, id="no-more-than-half"),
        pytest.param([1.0], 1, id="one-is-kept"),
    ],
)
def test_the_beginning_is_left_out(seconds: list[float], left: int) -> None:
    assert len(warm(seconds)) == left


@given(st.lists(st.floats(1e-3, 60), min_size=1, max_size=300))
def test_half_of_the_steps_and_one_at_least_are_kept(seconds: list[float]) -> None:
    kept = list(warm(seconds))
    assert kept == seconds[len(seconds) - len(kept) :]
    assert len(kept) >= max(1, len(seconds) // 2)


@given(st.lists(st.floats(1e-3, 60), min_size=1, max_size=30))
@example([0.02] * 15 + [0.4])  # seen on a machine that stalled once: p10 was above the mean
def test_the_range_of_speeds_holds_the_mean(seconds: list[float]) -> None:
    low, likely, high = speeds(seconds, 256)
    assert 0 < low <= likely <= high
    assert likely == pytest.approx(256 * len(seconds) / sum(seconds))


@pytest.mark.parametrize("size", [512, 1024, 4096])
def test_a_made_up_tokenizer_has_every_token_that_was_asked_for(tmp_path: Path, size: int) -> None:
    uri = synthetic.make_tokenizer(tmp_path, size)
    tokenizer = Tokenizer.from_file(str(Path(uri) / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == size
    assert tokenizer.token_to_id(names.END_OF_TEXT) == names.SPECIAL_TOKENS.index(names.END_OF_TEXT)
