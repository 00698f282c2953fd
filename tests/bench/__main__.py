"""``make bench``: run every room's measurements and write docs/benchmarks.md.

Each room's module has ``measure() -> list[Row]``. A room can be named to run alone; its part of the page is
replaced, the others stay.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.row import Row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
ROOMS = {
    "rules": ("Filters, generated code, syntax", "data.rules"),
    "syntax": ("Syntax on public repositories", "data.syntax"),
    "charsets": ("Character sets", "data.charsets"),
    "personal_data": ("Personal data", "data.personal_data"),
    "duplicates": ("Near-duplicates", "data.duplicates"),
    "tokenizer": ("Tokenizer and shards", "data.tokenizer"),
    "plan": ("Plan against truth", "plan"),
    "train": ("Training", "train"),
    "objectives": ("Objectives", "objectives"),
    "sweep": ("Peak rate by size, length and batch", "sweep"),
    "scaling": ("A scaling law and a run that it has not seen", "scaling"),
    "first_light": ("First light", "first_light"),
    "guard": ("Guard against spikes", "guard.battery"),
    "kills": ("Trainings that are killed", "kills"),
    "sharding": ("State in parts", "sharding"),
    "gguf": ("A file for llama.cpp", "gguf"),
    "evaluate": ("Judge", "evaluate"),
    "sandboxes": ("Sandboxes", "sandboxes"),
    "runtimes": ("Languages", "runtimes"),
    "serve": ("Gateway", "serve.gateway"),
    "cpu_engine": ("Engine for processors", "serve.cpu_engine"),
    "base_model": ("A base model on a processor", "serve.base_model"),
    "streams": ("Streams on a processor", "serve.streams"),
    "saturation": ("Saturation of one machine", "serve.saturation"),
    "faults": ("Faults and shares at the gateway", "serve.faults"),
    "rollout": ("Rollout at the gateway", "serve.rollout"),
    "rollback": ("Rollback after a breach", "operator.rollback"),
    "gang": ("Gang restart", "operator.gang"),
    "operator": ("Operator", "operator.burst"),
    "idle": ("Operator at rest", "operator.idle"),
    "watchdog": ("Operator with frozen watches", "operator.watchdog"),
    "capacity": ("Placement on spot traces", "operator.capacity"),
    "zones": ("Placement as it runs", "operator.zones"),
    "whole": ("The whole run", "whole"),
}
"""What can be named: the heading of its part of the page, and the module that measures it."""
HEAD = """# Benchmarks

Ours beside the peer, on the same machine in the same run; the peer's figure is what we measured here, not what it
publishes, unless its name says so. `make bench` writes this page (`uv run python -m tests.bench ROOM` one part of it).
Timings on a shared machine vary by some ten percent: read ratios, not digits.
"""


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table; where the peer is better it is said."""
    lines = ["| what | ours | target | peer | peer's figure | note |", "|---|---|---|---|---|---|"]
    for row in rows:
        peer = "" if row.peer_figure is None else f"{row.peer_figure:,.4g} {row.unit}"
        lines.append(
            f"| {row.what} | {row.ours:,.4g} {row.unit} | {row.target} | {row.peer} | {peer} | {row.note} |"
        )
    return "\n".join(lines)


def section(room: str, rows: Sequence[Row], seconds: float) -> str:
    """Return one room's part of the page, between marks that let it be replaced."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    where = f"{platform.machine()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, Python {platform.python_version()}"
    return (
        f"<!-- {room} -->\n## {ROOMS[room][0]}\n`python -m tests.bench {room}` at `{commit}`, "
        f"{time.strftime('%Y-%m-%d')}, {where}; took {seconds:.0f} s.\n\n{table(rows)}\n<!-- end {room} -->\n"
    )


def replace(page: str, room: str, text: str) -> str:
    """Return the page with a room's part replaced, or added at the end."""
    pattern = re.compile(rf"<!-- {room} -->\n.*?<!-- end {room} -->\n", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: text, page)
    return f"{page.rstrip()}\n\n{text}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the rooms named, or all, and write the page after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", choices=[*ROOMS, []], metavar="ROOM", help=", ".join(ROOMS))
    parser.add_argument("--count", type=int, help="kills in all, for the room kills (200)")
    options = parser.parse_args(argv)
    if options.count is not None:
        os.environ["DAYBREAK_BENCH_KILLS"] = str(options.count)
    for room in options.rooms or ROOMS:
        print(f"bench: {room}", file=sys.stderr)
        began = time.monotonic()
        rows = importlib.import_module(f"tests.bench.{ROOMS[room][1]}").measure()
        page = PAGE.read_text() if PAGE.exists() else HEAD
        PAGE.write_text(replace(page, room, section(room, rows, time.monotonic() - began)))
        print(table(rows), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
