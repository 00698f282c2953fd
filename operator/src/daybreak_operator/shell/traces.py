"""Reads spot traces from files: the public JSON of one zone per file, or one file with all zones.

Owns the formats and what is said about bad ones. Brings no trace along: the public ones have no licence to be copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_operator.core.capacity.simulate import Trace
from daybreak_operator.synthetic_trace import synthetic_trace

SYNTHETIC = "synthetic:"
FORMATS = (
    'a folder with one {"metadata": {"gap_seconds": 195}, "data": [0, 1, ...]} per zone, such a file, '
    'or a file {"gapSeconds": 195, "zones": {"a": [0, 1, ...]}, "prices": {"a": 0.33}}'
)


def trace_of(text: str, num_steps: int | None = None) -> Trace:
    """Return the trace that ``synthetic:SEED``, a file or a folder names; UserError says what is wrong with it."""
    if text.startswith(SYNTHETIC):
        seed = text.removeprefix(SYNTHETIC)
        if not seed.isdecimal():
            raise UserError(f"--trace {text}: the seed must be a whole number, as in synthetic:7")
        return synthetic_trace(int(seed)) if num_steps is None else synthetic_trace(int(seed), num_steps)
    path = Path(text)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"--trace {text}: the folder holds no .json file; give {FORMATS}")
    if len(files) == 1 and "zones" in (document := document_of(files[0])):
        trace = whole(files[0], document)
    else:
        trace = joined(path.name, files)
    return trace if num_steps is None else trace.part(0, num_steps)


def document_of(file: Path) -> Mapping[str, Any]:
    """Return a file's JSON object."""
    try:
        document = json.loads(file.read_text())
    except OSError as error:
        raise UserError(f"--trace {file}: {error.strerror}; give {FORMATS}") from error
    except ValueError as error:
        raise UserError(f"--trace {file} is no JSON ({error}); give {FORMATS}") from error
    if not isinstance(document, dict):
        raise UserError(f"--trace {file} must hold a JSON object; give {FORMATS}")
    return document


def joined(name: str, files: list[Path]) -> Trace:
    """Return the trace of one file per zone, cut to the shortest."""
    capacity = {}
    gaps = {}
    for file in files:
        document = document_of(file)
        metadata = document.get("metadata")
        gaps[file] = gap_of(file, metadata.get("gap_seconds") if isinstance(metadata, dict) else None)
        capacity[file.stem] = series_of(file, "data", document.get("data"))
    if len(set(gaps.values())) > 1:
        differing = ", ".join(f"{file.name} {gap} s" for file, gap in gaps.items())
        raise UserError(f"--trace: all zones need steps of the same length, got {differing}")
    shortest = min(len(series) for series in capacity.values())
    return Trace(
        name, next(iter(gaps.values())), {zone: series[:shortest] for zone, series in capacity.items()}
    )


def whole(file: Path, document: Mapping[str, Any]) -> Trace:
    """Return the trace of one file with all zones."""
    zones = document["zones"]
    if not isinstance(zones, dict) or not zones:
        raise UserError(f"--trace {file}: zones must name at least one zone; give {FORMATS}")
    capacity = {zone: series_of(file, f"zones.{zone}", series) for zone, series in zones.items()}
    if len({len(series) for series in capacity.values()}) > 1:
        raise UserError(f"--trace {file}: all zones need the same number of steps")
    prices = document.get("prices", {})
    if not isinstance(prices, dict) or not all(isinstance(price, int | float) for price in prices.values()):
        raise UserError(f"--trace {file}: prices must be numbers by zone, as shares of on-demand")
    return Trace(file.stem, gap_of(file, document.get("gapSeconds")), capacity, prices)


def gap_of(file: Path, gap: object) -> int:
    """Return the seconds of a step."""
    if not isinstance(gap, int) or isinstance(gap, bool) or gap <= 0:
        raise UserError(f"--trace {file}: the seconds of a step must be a whole number above 0, got {gap!r}")
    return gap


def series_of(file: Path, field: str, series: object) -> list[int]:
    """Return one zone's steps."""
    if not isinstance(series, list) or not series:
        raise UserError(f"--trace {file}: {field} must be a list with one number per step; give {FORMATS}")
    for step, number in enumerate(series):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise UserError(f"--trace {file}: {field}[{step}] must be a whole number from 0, got {number!r}")
    return series
