"""``python -m daybreak_data.class_archive``: make the archive of classes that this environment's Spark sessions share.

Set-up runs it. It lets Java record the classes that the documents step and the x-ray load over a few made-up files.
An archive that is there stays; those of a Java that was here before go. Killed at any moment it leaves none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daybreak_contracts import errors
from daybreak_data.spark import classes
from daybreak_data.spark.java import require_java

FILES = 6
FOLDER = ".spark-classes"
"""Beside the archive, for what is on the way."""


def make(archive: Path) -> bool:
    """Make the archive at this path unless it is there; return whether it was made. A second set-up waits."""
    if archive.exists():
        return False
    folder = archive.parent / FOLDER
    folder.mkdir(exist_ok=True)
    with _only_one(folder):
        if archive.exists():
            return False
        print("setup: recording the classes of Spark, once: half a minute", file=sys.stderr)
        for left in folder.iterdir():  # by one that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            recorded = Path(scratch) / archive.name
            _run_steps(Path(scratch), recorded)
            for old in archive.parent.glob(classes.NAME.format("*")):
                old.unlink()
            recorded.replace(archive)
    return True


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _run_steps(folder: Path, recorded: Path) -> None:
    # Imported here: where the archive is there set-up pays for none of them.
    from daybreak_contracts.progress import Progress
    from daybreak_contracts.steps import DocumentsArgs, XrayArgs
    from daybreak_data.documents.step import run_documents
    from daybreak_data.spark.session import open_session
    from daybreak_data.xray.step import run_xray

    code = folder / "code" / "repository"
    code.mkdir(parents=True)
    for number in range(FILES):
        (code / f"module_{number}.py").write_text(_program(number))
    source = {"name": "code", "directory": {"path": str(folder / "code")}}
    output, work = str(folder / "output"), str(folder / "work")
    common = {"output": output, "work_dir": work, "cores": 2}
    data = {"sources": [source], "languages": ["python"]}
    with (folder / "progress").open("w") as told, open_session("classes", 2, work, record=recorded):
        documents = run_documents(
            DocumentsArgs.model_validate({**common, "data": data}), Progress("documents", stream=told)
        )
        run_xray(
            XrayArgs.model_validate({**common, "documents": documents.uri}), Progress("xray", stream=told)
        )


def _program(number: int) -> str:
    return "".join(
        f"def shift_{number}_{line}(values: list[int]) -> list[int]:\n"
        f'    """Return the values moved by {line}."""\n'
        f"    return [value + {line} for value in values]\n\n\n"
        for line in range(number + 3)
    )


def main() -> int:
    """Make it, or say in one line why there is none, with the exit code of the error."""
    try:
        make(classes.archive_of(require_java(os.environ), Path(sys.prefix)))
    except errors.DaybreakError as error:
        print(f"setup: Spark's classes were not recorded: {error}", file=sys.stderr)
        return error.exit_code
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
