"""The record of what was taken back, in ``forgotten/`` of each output: written before anything is mended, and after.

A run of the command that was stopped finds there what it set out to do, and what the artifacts were before.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from daybreak_contracts import artifacts, storage
from daybreak_pipelines.forget.holders import SAID, HolderEntry

FOLDER = "forgotten"
NOTE = "forgotten.json"
"""Beside the manifest of what cannot be mended."""


class ForgottenRecord(BaseModel):
    """One rule in one output."""

    model_config = ConfigDict(frozen=True)

    rule: dict[str, list[str]]
    begun: str
    ended: str | None = None
    copies: int = 0
    """Files that were dropped as copies of documents that stay."""
    holders: tuple[HolderEntry, ...] = ()
    deployments: tuple[str, ...] = ()
    not_asked: str = ""
    """Why no cluster was asked; empty when one was."""


def location(output: str, rule: dict[str, list[str]]) -> str:
    """Return where the record of a rule lies."""
    return storage.join(output, FOLDER, f"{artifacts.digest_of(rule)[:16]}.json")


def read(output: str, rule: dict[str, list[str]]) -> ForgottenRecord | None:
    """Return the record of a rule, None when it was never asked for here."""
    where = location(output, rule)
    return ForgottenRecord.model_validate(storage.read_json(where)) if storage.exists(where) else None


def write(output: str, record: ForgottenRecord) -> None:
    """Write the record; it appears whole or not at all."""
    storage.write_json(location(output, record.rule), record.model_dump(mode="json"))


def joined(known: Sequence[HolderEntry], found: Sequence[HolderEntry]) -> list[HolderEntry]:
    """Return what was set out for, with what was found since; what was known first says what was before."""
    have = {one.uri for one in known}
    return [*known, *(one for one in found if one.uri not in have)]


def note(holder: HolderEntry, rule: dict[str, list[str]], when: str) -> None:
    """Say beside a model that it was trained on what was taken back; said once a rule."""
    where = storage.join(holder.uri, NOTE)
    entries = storage.read_json(where) if storage.exists(where) else []
    if rule not in [one["rule"] for one in entries]:
        storage.write_json(
            where, [*entries, {"rule": rule, "when": when, "said": f"This model {SAID[holder.step]}."}]
        )


def relative(output: str | None, uri: str) -> str:
    """Return a URI as a person reads it below an output."""
    return uri if output is None else uri.removeprefix(output.rstrip("/") + "/")
