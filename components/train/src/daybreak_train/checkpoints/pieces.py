"""The tensors of a checkpoint from the bytes of its files, whole or cut to the rows of one part.

Owns the format within a file. What does not fit together is a ValueError; the bytes were verified before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from daybreak_train.checkpoints.parts import Part, Rows, overlap, rows_of

SUFFIX = ".safetensors"
IS_PART = re.compile(r"-(\d{5})\.safetensors$")
ROWS = "rows"
"""In the header of a part's file: tensor to its first row, the one after its last, and the rows of all parts."""
Groups = dict[str, dict[str, Tensor]]
Totals = dict[str, dict[str, int]]


def part_in(name: str, count: int) -> Part | None:
    """Return which part a file's name says it is; None for a file that is whole."""
    found = IS_PART.search(name)
    return None if found is None else Part(int(found.group(1)), count)


def joined(contents: Mapping[str, bytes], mine: Part, count: int) -> tuple[Groups, Totals]:
    """Return every group's tensors, and of those that are cut to ``mine`` the rows of the whole.

    ``contents`` is file name to bytes; there are ``count`` parts of what is cut, 1 for whole files.
    """
    groups: Groups = {}
    totals: Totals = {}
    parts: dict[str, list[tuple[dict[str, Tensor], dict[str, Any]]]] = {}
    for name, data in contents.items():
        try:
            tensors = load(data)
        except SafetensorError as error:
            raise ValueError(f"{name}: {error}") from error
        if part_in(name, count) is None:
            groups[name.removesuffix(SUFFIX)] = tensors
        else:
            parts.setdefault(IS_PART.sub("", name), []).append((tensors, _rows(data)))
    for group, found in parts.items():
        groups[group], totals[group] = _joined(group, found, mine)
    return groups, {} if mine.is_whole else totals


def _rows(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    rows: dict[str, Any] = json.loads(header.get("__metadata__", {}).get(ROWS, "{}"))
    return rows


def _joined(
    group: str, found: list[tuple[dict[str, Tensor], dict[str, Any]]], mine: Part
) -> tuple[dict[str, Tensor], dict[str, int]]:
    names = {name: tensors[name] for tensors, _ in found for name in tensors}
    cut = {name: int(rows[2]) for _, said in found for name, rows in said.items()}
    tensors: dict[str, Tensor] = {}
    for name, sample in names.items():
        if name not in cut:
            tensors[name] = sample  # a scalar, the same in every part
            continue
        first, end = rows_of(cut[name], mine)
        target = torch.empty((end - first, *sample.shape[1:]), dtype=sample.dtype)
        filled = sum(
            _copy(target, (first, end), part[name], said[name]) for part, said in found if name in said
        )
        if filled != end - first:
            raise ValueError(f"{group}/{name}: {filled} of {end - first} rows are there")
        tensors[name] = target
    return tensors, cut


def _copy(target: Tensor, wanted: Rows, source: Tensor, said: Any) -> int:
    """Copy the rows that a part has of those wanted; return how many."""
    start, stop, _ = (int(value) for value in said)
    if source.shape[0] != stop - start:
        raise ValueError(f"a part says that it has rows {start} to {stop}, it has {source.shape[0]}")
    first, end = overlap(wanted, (start, stop))
    if end > first:
        target[first - wanted[0] : end - wanted[0]] = source[first - start : end - start]
    return end - first
