"""What ``daybreak tasks`` says of functions that it did not keep, on a repository with one of each fate."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.progress import Progress
from daybreak_evaluate.runtimes.in_repository.losses import MISSED, NOT_TRIED, UNREACHED, Losses
from daybreak_evaluate.runtimes.in_repository.write_tasks import write_tasks

LOOP = "    found = 0\n    for each in numbers:\n        found += each\n    return found\n\n\n"
SHOP = "".join(f"def {name}(numbers):\n{LOOP}" for name in ("total", "never_called", "whatever_comes"))
TESTS = (
    "import shop\n\n\ndef test_total():\n    assert shop.total([1, 2]) == 3\n\n\n"
    "def test_nothing():\n    try:\n        shop.whatever_comes([1])\n    except Exception:\n        pass\n"
)


def test_nothing_is_said_where_nothing_was_lost() -> None:
    losses = Losses()
    losses[MISSED] += 0
    assert losses.said() == ""


def test_reasons_come_by_their_counts() -> None:
    losses = Losses({NOT_TRIED: 2, UNREACHED: 5})
    assert losses.said() == f"not kept: 5 ({UNREACHED}), 2 ({NOT_TRIED})"


@pytest.mark.slow
def test_functions_that_make_no_task_are_counted_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(TESTS)
    said = write_tasks(folder, tmp_path / "tasks.jsonl", 10, Progress("tasks"))
    assert said.startswith("1 functions of 1 file")
    assert f"not kept: 1 ({UNREACHED}), 1 ({MISSED})" in said
