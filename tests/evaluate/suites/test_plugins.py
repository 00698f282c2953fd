"""A package with a suite and a runtime of its own, installed as pip would: found, asked and judged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "our_bench"
ENTRY_POINTS = "[daybreak.suites]\nOurBench = our_bench:suite\n\n[daybreak.runtimes]\nrpn = our_bench:Rpn\n"
PLAY = """
import json, sys
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate.suites import registry
from daybreak_evaluate.suites.protocol import ignore_progress
from tests.evaluate.suites.own_problems import Knows, context_of
from pathlib import Path

answers = {"sum/0": "    return a + b\\n", "sum/1": " > b:\\n        return True\\n", "rpn/0": "+\\n"}
suite, package = registry.make(Suite(name="OurBench"), context_of(Path(sys.argv[1])))
tasks = suite.tasks()
completer = Knows(lambda prompt: answers[prompt.key])
prompts, sampling = suite.prompts(tasks, completer, ignore_progress)
outcome = suite.judge(tasks, completer.complete(prompts, sampling, ignore_progress), ignore_progress)
print(json.dumps({
    "known": registry.known_names(),
    "package": package,
    "metrics": suite.metrics,
    "scores": {score.metric: [round(score.value, 3), score.num_tasks] for score in outcome.scores},
    "edition": [suite.fingerprint["edition"], outcome.protocol["edition"]],
}))
"""


def install(
    folder: Path, entry_points: str = ENTRY_POINTS, version: str = "1.2", name: str = "our_bench"
) -> Path:
    """Lay a module and its metadata where an installer would."""
    site = folder / "site"
    metadata = site / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(PACKAGE / "our_bench.py", site)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    )
    (metadata / "entry_points.txt").write_text(entry_points)
    return site


def run(site: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own that has the package."""
    root = Path(__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": f"{site}:{root}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_an_outsiders_suite_is_asked_and_judged_like_ours(tmp_path: Path) -> None:
    done = run(install(tmp_path), PLAY, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "known": ["HumanEval", "HeldOutCompletion", "OurBench"],
        "package": "our-bench 1.2",
        "metrics": ["our-bench/pass@1", "our-bench/python/pass@1", "our-bench/rpn/pass@1"],
        "scores": {
            "our-bench/pass@1": [0.667, 3],
            "our-bench/python/pass@1": [0.5, 2],
            "our-bench/rpn/pass@1": [1.0, 1],
        },
        "edition": ["2026-11", "2026-11"],
    }


MAKE = (
    "import sys; from pathlib import Path; from daybreak_contracts.resources.evaluation import Suite\n"
    "from daybreak_contracts.errors import UserError\n"
    "from daybreak_evaluate.suites import registry; from tests.evaluate.suites.own_problems import context_of\n"
    "suite = Suite(name='OurBench', samples_per_task=int(sys.argv[2]))\n"
    "try:\n    registry.make(suite, context_of(Path(sys.argv[1])))\n"
    "except UserError as error:\n    print(error)\n"
)


def test_what_a_plug_in_refuses_is_the_users_fault(tmp_path: Path) -> None:
    done = run(install(tmp_path), MAKE, str(tmp_path), "11")
    assert done.stdout == "OurBench: samplesPerTask must be at most 10\n", done.stderr


def test_a_plug_in_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    site = install(tmp_path, "[daybreak.suites]\nOurBench = our_bench:gone\n")
    assert (
        "OurBench: the plug-in of our-bench 1.2 cannot be loaded (AttributeError"
        in run(site, MAKE, str(tmp_path), "1").stdout
    )


def test_a_name_of_ours_cannot_be_taken(tmp_path: Path) -> None:
    site = install(tmp_path, "[daybreak.suites]\nHumanEval = our_bench:suite\n")
    assert (
        "registers HumanEval in daybreak.suites, which is a name of ours"
        in run(site, MAKE, str(tmp_path), "1").stdout
    )


def test_one_name_of_two_packages_is_refused(tmp_path: Path) -> None:
    site = install(tmp_path)
    install(tmp_path / "other", "[daybreak.suites]\nOurBench = our_bench:Rpn\n", name="their_bench")
    both = Path(f"{site}:{tmp_path / 'other' / 'site'}")
    said = run(both, MAKE, str(tmp_path), "1").stdout
    assert "OurBench is registered in daybreak.suites by" in said and "their-bench 1.2" in said


def test_validate_knows_what_is_installed(tmp_path: Path) -> None:
    manifest = tmp_path / "run.yaml"
    manifest.write_text(
        "apiVersion: daybreak.dev/v1alpha1\nkind: TrainingRun\nmetadata: {name: x}\nspec:\n  output: {uri: /tmp/x}\n"
        "  data: {sources: [{name: a, directory: {path: /tmp}}]}\n  evaluation: {suites: [{name: OurBench}]}\n"
    )
    program = "import sys; from daybreak_pipelines.cli import main; sys.exit(main(['validate', sys.argv[1]]))"
    known = run(install(tmp_path), program, str(manifest))
    assert known.returncode == 0, known.stdout + known.stderr
    unknown = run(tmp_path, program, str(manifest))
    assert unknown.returncode == 2
    assert "no suite is named OurBench, registered here are HumanEval, HeldOutCompletion" in unknown.stdout
