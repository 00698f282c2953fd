"""Which artifacts of runs were made of which: a walk over their manifests, by digests.

Owns where artifacts lie below an output. Looks at no document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.names import STEP_DOCUMENTS, STEP_INGEST, STEP_SHARDS
from daybreak_pipelines.local import record

STEPS = (
    STEP_SHARDS,
    STEP_DOCUMENTS,
    STEP_INGEST,
    names.STEP_TOKENIZER,
    names.STEP_TRAIN,
    names.STEP_EXPORT,
    names.STEP_EVALUATE,
    names.STEP_XRAY,
)
CHECKPOINTS, TRAINING = "checkpoints", "training.json"


@dataclass(frozen=True)
class FoundArtifact:
    """An artifact, or the checkpoints of a training that has none yet."""

    step: str
    uri: str
    digest: str
    inputs: frozenset[str]
    """Digests of what it was made of."""
    content: str
    """Digest of its bytes as its manifest has them."""


def find_artifacts(place: str) -> tuple[str | None, list[FoundArtifact]]:
    """Return the output that a person means and its artifacts; of a model folder that stands alone only itself."""
    if storage.exists(storage.join(place, artifacts.MANIFEST)):
        return None, [_artifact(place, artifacts.load(place))]
    output = record.find_output(place)
    found = [_artifact(*one) for step in STEPS for one in artifacts.of_step(output, step).items()]
    found += _checkpoints(output)
    if not found:
        raise UserError(
            f"{place}: no run here, name a run's output, its name, its manifest, or a model folder"
        )
    return output, found


def derived(found: Iterable[FoundArtifact], holders: Iterable[str]) -> list[FoundArtifact]:
    """Return what was made of artifacts with these digests, however many steps later."""
    known, everything = set(holders), list(found)
    chosen: list[FoundArtifact] = []
    while fresh := [one for one in everything if one not in chosen and one.inputs & known]:
        chosen += fresh
        known |= {one.digest for one in fresh}
    return chosen


def _artifact(uri: str, manifest: artifacts.Manifest) -> FoundArtifact:
    inputs = frozenset(manifest.inputs.values())
    return FoundArtifact(manifest.step, uri, manifest.digest, inputs, manifest.content_digest)


def _checkpoints(output: str) -> list[FoundArtifact]:
    """Return the trainings that left checkpoints; each says of which shards it reads."""
    above = storage.join(output, CHECKPOINTS)
    records = [name for name in storage.list_files(above) if name.partition("/")[2] == TRAINING]
    found = []
    for name in records:
        told = storage.read_json(storage.join(above, name))
        shards = str(told["args"]["shards"])
        try:
            made_of = artifacts.load(shards if storage.exists(shards) else _moved(output, shards)).digest
        except ArtifactError:
            continue  # its shards are gone: what they held cannot be told
        folder = storage.join(above, name.partition("/")[0])
        found.append(FoundArtifact(CHECKPOINTS, folder, str(told["digest"]), frozenset([made_of]), ""))
    return found


def _moved(output: str, shards: str) -> str:
    """Return where shards lie in an output that was moved with all that is in it."""
    return storage.join(output, STEP_SHARDS, shards.rstrip("/").rpartition("/")[2])


def of_steps(found: Sequence[FoundArtifact], *steps: str) -> list[FoundArtifact]:
    """Return those that one of these steps made, in the order of the steps."""
    return [one for step in steps for one in found if one.step == step]
