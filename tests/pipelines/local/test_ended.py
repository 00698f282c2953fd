"""What is said of a step that died without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_pipelines.local.runner import ended_without_result


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        pytest.param(-9, TransientError, "killed (signal 9): most likely", id="killed"),
        pytest.param(137, TransientError, "killed (signal 9)", id="killed-below-a-shell"),
        pytest.param(1, RuntimeError, "exit code 1; log:", id="a-bug"),
        pytest.param(-11, RuntimeError, "exit code -11; log:", id="a-crash"),
    ],
)
def test_a_step_that_died_is_told_with_the_end_of_its_log(
    code: int, kind: type[Exception], words: str, tmp_path: Path
) -> None:
    log = tmp_path / "train.log"
    log.write_text("\n".join(f"line {number}" for number in range(100)))
    error = ended_without_result("train", code, log)
    assert type(error) is kind
    assert f"train: ended without a result, {words}" in str(error)
    assert "line 75\n" in str(error)
    assert "line 74\n" not in str(error)
