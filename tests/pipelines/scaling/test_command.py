"""The command over records of finished runs: words, JSON, the page, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.steps import TokenizerResult, TrainResult
from daybreak_pipelines.local import record
from daybreak_pipelines.scaling.command import Wanted, scale_runs
from daybreak_pipelines.scaling.law import Law

LAW = Law(1.7, 406.4, 410.7, 0.34, 0.28, False)


def finished(folder: Path, parameters: int, tokens: int, *, epochs: float = 1.0, tokenizer: str = "a") -> str:
    output = folder / f"{parameters}-{tokens}-{tokenizer}"
    output.mkdir()
    trained = TrainResult(
        uri="u",
        digest="d",
        num_parameters=parameters,
        steps=1,
        tokens=tokens,
        loss=1.0,
        held_out_loss=LAW.loss(parameters, tokens),
        tokens_per_second=1.0,
        peak_memory_bytes=1,
        stopped_by="Tokens",
        epochs=epochs,
    )
    made = TokenizerResult(uri="u", digest=tokenizer, vocabulary_size=4096, bytes_per_token={})
    results = {
        names.STEP_TRAIN: trained.model_dump(mode="json"),
        names.STEP_TOKENIZER: made.model_dump(mode="json"),
    }
    written = record.RunRecord(name=f"<{output.name}>", model=None, results=results, seconds={})
    record.write(str(output), written)
    return str(output)


@pytest.mark.slow
def test_three_runs_tell_of_the_next_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        finished(tmp_path, n, d, epochs=d / 1e7)
        for n, d in ((10**6, 10**7), (3 * 10**6, 10**7), (10**6, 10**8))
    ]
    page = tmp_path / "law.html"
    assert scale_runs(runs, Wanted("10m", 10**9), page, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    (next_size,) = told["predictions"]
    assert next_size["likely"] == pytest.approx(LAW.loss(next_size["parameters"], 10**9), rel=0.01)
    assert "repeated its data 10 times" in told["warnings"][-1]
    assert "&lt;1000000-" in page.read_text()
    assert scale_runs(runs, Wanted(), page, as_json=False) == 0
    said = capsys.readouterr().out
    assert "exponents published, not fitted" in said
    assert "next: 10m" in said


def test_losses_under_two_tokenizers_are_not_compared(tmp_path: Path) -> None:
    runs = [finished(tmp_path, 10**6, 10**7, tokenizer=name) for name in "abc"]
    with pytest.raises(UserError, match="different tokenizers"):
        scale_runs(runs, Wanted(), tmp_path / "law.html", as_json=False)


def test_two_runs_are_refused(tmp_path: Path) -> None:
    runs = [finished(tmp_path, n, 10**7) for n in (10**6, 10**7)]
    with pytest.raises(UserError, match="at least 3 finished runs, got 2"):
        scale_runs(runs, Wanted(), tmp_path / "law.html", as_json=False)
