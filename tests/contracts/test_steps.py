"""The command line that all components share: arguments in, result or error out, exit codes, progress."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import steps
from daybreak_contracts.errors import ArtifactError, DaybreakError, TransientError, UserError, exit_code_of
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import Step, StepArgs, StepResult


class EchoArgs(StepArgs):
    text: str


class EchoResult(StepResult):
    text: str


def echo(args: EchoArgs, progress: Progress) -> EchoResult:
    progress.report("echoing", 1, 1)
    return EchoResult(uri=f"{args.output}/echo", digest="d", text=args.text)


def run(folder: Path, step: Any, arguments: str | None = None) -> tuple[int, dict[str, Any]]:
    """Run one step as a component's ``__main__`` does; return exit code and result file."""
    file, result = folder / "args.json", folder / "out" / "result.json"
    if arguments is None:
        arguments = json.dumps({"output": "o", "work_dir": "w", "text": "ü"})
    file.write_text(arguments)
    code = steps.main(
        {"echo": Step(args=EchoArgs, run=step)}, ["echo", "--args-file", str(file), "--result", str(result)]
    )
    return code, json.loads(result.read_text())


def failing(error: BaseException) -> Any:
    def step(args: EchoArgs, progress: Progress) -> EchoResult:
        raise error

    return step


def test_a_step_leaves_its_result(tmp_path: Path) -> None:
    assert run(tmp_path, echo) == (
        0,
        {"result": {"uri": "o/echo", "digest": "d", "cached": False, "text": "ü"}},
    )
    assert steps.read_result(tmp_path / "out/result.json", EchoResult).text == "ü"


@pytest.mark.parametrize(
    ("error", "code", "comes_back_as"),
    [
        pytest.param(UserError("mend it"), 2, UserError, id="the user's fault"),
        pytest.param(ArtifactError("torn"), 2, UserError, id="a torn artifact"),
        pytest.param(TransientError("later"), 75, TransientError, id="the world's fault"),
    ],
)
def test_an_error_comes_back_as_it_was(
    tmp_path: Path, error: DaybreakError, code: int, comes_back_as: type[Exception], capsys: Any
) -> None:
    found, document = run(tmp_path, failing(error))
    assert found == document["error"]["exitCode"] == code
    assert document["error"]["kind"] == type(error).__name__
    assert capsys.readouterr().err == f"echo: {error}\n"
    with pytest.raises(comes_back_as, match=str(error)):
        steps.read_result(tmp_path / "out/result.json", EchoResult)


@pytest.mark.parametrize(("error", "code"), [(ZeroDivisionError("bug"), 1), (KeyboardInterrupt(), 130)])
def test_a_bug_and_ctrl_c_rise_but_are_written_down(tmp_path: Path, error: BaseException, code: int) -> None:
    with pytest.raises(type(error)):
        run(tmp_path, failing(error))
    document = json.loads((tmp_path / "out/result.json").read_text())
    assert document["error"]["exitCode"] == exit_code_of(error) == code
    assert "in step" in document["error"]["traceback"]
    with pytest.raises(RuntimeError):
        steps.read_result(tmp_path / "out/result.json", EchoResult)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param("", "args.json", id="nothing"),
        pytest.param("{", "Invalid JSON", id="no JSON"),
        pytest.param('{"output": "o", "work_dir": "w"}', "text", id="a field missing"),
        pytest.param(
            '{"output": "o", "work_dir": "w", "text": "t", "typo": 1}', "typo", id="a field too many"
        ),
    ],
)
def test_bad_arguments_are_the_callers_to_mend(tmp_path: Path, arguments: str, words: str) -> None:
    code, document = run(tmp_path, echo, arguments)
    assert code == 2
    assert words in document["error"]["message"]


def test_missing_arguments_are_named(tmp_path: Path) -> None:
    argv = ["echo", "--args-file", str(tmp_path / "none"), "--result", str(tmp_path / "r.json")]
    assert steps.main({"echo": Step(args=EchoArgs, run=echo)}, argv) == 2
    assert "none: not found" in (tmp_path / "r.json").read_text()


def test_an_unknown_step_ends_with_the_known_ones(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        steps.main({"echo": Step(args=EchoArgs, run=echo)}, ["ekko", "--args-file", "a", "--result", "b"])
    assert caught.value.code == 2
    assert "echo" in capsys.readouterr().err


@given(text=st.text(), seed=st.integers(), cores=st.integers(0, 64))
def test_arguments_survive_their_json(text: str, seed: int, cores: int) -> None:
    args = EchoArgs(output="o", work_dir="w", seed=seed, cores=cores, text=text)
    assert EchoArgs.model_validate_json(args.model_dump_json()) == args


def test_arguments_with_resources_survive_their_json() -> None:
    args = steps.TrainArgs.model_validate(
        {
            "output": "o",
            "work_dir": "w",
            "shards": "s",
            "tokenizer": "t",
            "model": {"size": "1m"},
            "training": {"objective": {"fillInTheMiddle": {}}, "contextLength": 512},
            "run_name": "n",
        }
    )
    assert args.training.context_length == 512
    assert steps.TrainArgs.model_validate_json(args.model_dump_json()) == args
    assert steps.TrainArgs.model_validate(args.model_dump(mode="json")) == args


@pytest.mark.parametrize("kind", steps.StepArgs.__subclasses__(), ids=lambda kind: kind.__name__)
def test_arguments_refuse_what_they_do_not_know(kind: type[StepArgs]) -> None:
    with pytest.raises(ValueError, match="nobodyKnows"):
        kind.model_validate({"output": "o", "work_dir": "w", "nobodyKnows": 1})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_a_pod_gets_one_line_a_minute_and_the_end(self) -> None:
        stream, clock = io.StringIO(), Clock()
        progress = Progress("data", stream=stream, clock=clock)
        for second in range(0, 121, 1):
            clock.now = float(second)
            progress.report("reading", second, 121)
        progress.report("reading", 121, 121)
        assert stream.getvalue().splitlines() == [
            "data: reading   0 % (0 s)",
            "data: reading  50 % (60 s)",
            "data: reading  99 % (120 s)",
            "data: reading 100 % (120 s)",
        ]

    def test_a_terminal_gets_a_line_that_is_rewritten(self) -> None:
        stream, clock = Terminal(), Clock()
        progress = Progress("data", stream=stream, clock=clock)
        progress.report("reading", 1, 4)
        clock.now = 0.1
        progress.report("reading", 2, 4)
        clock.now = 0.3
        progress.report("reading", 3, 4)
        assert stream.getvalue() == "\r\x1b[Kdata: reading  25 % (0 s)\r\x1b[Kdata: reading  75 % (0 s)"

    def test_no_share_is_made_up_where_nobody_knows_the_total(self) -> None:
        stream = io.StringIO()
        Progress("data", stream=stream, clock=Clock()).report("reading")
        assert "%" not in stream.getvalue()

    def test_a_launcher_gets_a_file_and_the_stream_stays_silent(self, tmp_path: Path) -> None:
        stream, clock, file = io.StringIO(), Clock(), tmp_path / "p.json"
        progress = Progress("data", stream=stream, file=file, clock=clock)
        progress.report("reading", 1, 4)
        progress.report("reading", 2, 4)
        assert json.loads(file.read_text()) == {
            "step": "data",
            "activity": "reading",
            "done": 1,
            "total": 4,
            "seconds": 0.0,
        }
        progress.report("reading", 4, 4)
        assert json.loads(file.read_text())["done"] == 4
        assert stream.getvalue() == ""
        assert [path.name for path in tmp_path.iterdir()] == ["p.json"]

    def test_a_step_without_a_total_does_not_write_for_each_call(self, tmp_path: Path) -> None:
        clock, file = Clock(), tmp_path / "p.json"
        progress = Progress("data", stream=io.StringIO(), file=file, clock=clock)
        for number in range(100):
            progress.report("reading", number)
        assert json.loads(file.read_text())["done"] == 0


@pytest.mark.slow
def test_importing_the_contracts_is_light() -> None:
    """Every component pays for this at every start."""
    code = "import sys, daybreak_contracts.steps, daybreak_contracts.artifacts; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not loaded & {"pyarrow", "yaml", "torch", "pyspark", "pandas", "numpy", "kfp", "mlflow"}
