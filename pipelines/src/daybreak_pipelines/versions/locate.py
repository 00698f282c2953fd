"""Which documents artifact and shards a person means by a run's output, name or manifest, or by a folder.

Reads manifests only. Artifacts are found below the output itself, so one that was moved is found, too.
"""

from __future__ import annotations

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import UserError
from daybreak_pipelines.local import record


def documents_and_shards(place: str) -> tuple[str, str | None]:
    """Return the documents artifact that a person means, and the shards made of it, None when there are none."""
    if storage.exists(storage.join(place, artifacts.MANIFEST)):
        output = place.rstrip("/").rpartition("/")[0].rpartition("/")[0] or "."
        return place, _shards(output, artifacts.load(place).digest)
    output = record.find_output(place)
    found = _chosen(output, names.STEP_DOCUMENTS, artifacts.of_step(output, names.STEP_DOCUMENTS))
    if not found:
        raise UserError(
            f"{place}: no documents here: run `daybreak data MANIFEST`, or name a documents artifact"
        )
    if len(found) > 1:
        raise UserError(f"{place}: holds several documents artifacts, name one: {', '.join(sorted(found))}")
    uri, manifest = next(iter(found.items()))
    return uri, _shards(output, manifest.digest)


def _shards(output: str, documents: str) -> str | None:
    made = artifacts.of_step(output, names.STEP_SHARDS)
    fitting = {uri: one for uri, one in made.items() if one.inputs.get("documents") == documents}
    return min(_chosen(output, names.STEP_SHARDS, fitting), default=None)


def _chosen(output: str, step: str, found: dict[str, artifacts.Manifest]) -> dict[str, artifacts.Manifest]:
    """Leave of several the one that the run's record names, if it does."""
    if len(found) < 2 or not storage.exists(storage.join(output, record.FILE)):
        return found
    digest = record.read(output).results.get(step, {}).get("digest")
    named = {uri: one for uri, one in found.items() if one.digest == digest}
    return named or found
