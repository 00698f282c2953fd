"""Character sets of source files: ours beside the detectors that one would install, on ten encodings.

Seconds are of the processor. The cases are made by the peers' script: modules of the standard library with 1, 5 or 20
of Django's translated messages as comments.
"""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from daybreak_contracts.report.formats import counted
from daybreak_data.text.decode import Decoded, decode
from tests.bench.peer import run_peer
from tests.bench.row import Row

REQUIREMENTS = (
    "chardet==7.7.0",
    "faust-cchardet==3.2.0",
    "charset-normalizer==3.5.3",
    "django==5.2.8",
)


def measure() -> list[Row]:
    """Speed and files restored exactly by number of comments, for each peer; by encoding for the best of them."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "cases.json"
        peers = run_peer(
            "charset detectors", REQUIREMENTS, "charset_detectors.py", str(place), timeout_s=1800
        )
        cases = json.loads(place.read_text())["cases"]
    files = [base64.b64decode(case["data"]) for case in cases]
    began = time.process_time()
    found = [decode(data) for data in files]
    seconds = time.process_time() - began
    ours = [
        isinstance(one, Decoded) and one.text == case["text"] for one, case in zip(found, cases, strict=True)
    ]
    speed = sum(map(len, files)) / 1e6
    best = max(peers, key=lambda name: sum(peers[name]["right"]))
    rows = []
    for name, peer in peers.items():
        title = f"{name} {peer['version']}"
        rows.append(Row("detection", speed / seconds, "MB/s/core", "", title, speed / peer["seconds"]))
        for key in ("comments", "charset") if name == best else ("comments",):
            rows += _shares(key, cases, ours, title, peer["right"])
    return rows


def _shares(
    key: str, cases: list[dict[str, Any]], ours: list[bool], peer: str, theirs: list[bool]
) -> list[Row]:
    """Return the share of files restored exactly, by encoding or by number of comments."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, case in enumerate(cases):
        groups[case[key]].append(place)
    return [
        Row(
            f"restored from {name}" if key == "charset" else f"restored with {counted(name, 'comment')}",
            sum(ours[place] for place in places) / len(places),
            "",
            "",
            peer,
            sum(theirs[place] for place in places) / len(places),
            f"{len(places)} files",
        )
        for name, places in groups.items()
    ]
