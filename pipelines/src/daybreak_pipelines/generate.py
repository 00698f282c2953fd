"""``make generate``: every committed file that is computed from code; ``--check`` only compares."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMPILED = Path("pipelines/src/daybreak_pipelines/compiled")


def compiled_pipelines() -> dict[Path, str]:
    """Return the golden pipeline packages: path below the root, content."""
    from kfp import compiler

    from daybreak_pipelines.kubeflow.definitions import PIPELINES

    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, pipeline in PIPELINES.items():
            package = Path(folder) / f"{name}.yaml"
            compiler.Compiler().compile(pipeline, str(package))
            files[COMPILED / package.name] = package.read_text()
    return files


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check all generated files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a file differs")
    options = parser.parse_args(argv)
    from daybreak_contracts.definitions.generate import generated_files

    differing = []
    for path, content in {**generated_files(ROOT), **compiled_pipelines()}.items():
        target = ROOT / path
        if target.is_file() and target.read_text() == content:
            continue
        differing.append(str(path))
        if not options.check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
    if not differing:
        return 0
    print(f"{'differ, run `make generate`' if options.check else 'written'}: {', '.join(differing)}")
    return 1 if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
