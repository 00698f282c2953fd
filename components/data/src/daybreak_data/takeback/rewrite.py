"""Replaces some files of an artifact and its manifest, so that a kill at any moment can be made good.

A journal beside the manifest holds the manifest that is to come. The artifact keeps its digest, which names the work
that made it; its files' digests say what they are now. Works on object stores, which know no renaming.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from daybreak_contracts import artifacts, storage
from daybreak_contracts.artifacts import FileEntry, Manifest
from daybreak_contracts.errors import ArtifactError

JOURNAL = "forgetting.json"


def is_unfinished(uri: str) -> bool:
    """Tell whether a rewriting of this artifact was stopped half way."""
    return storage.exists(storage.join(uri, JOURNAL))


def replace(uri: str, changed: Mapping[str, bytes]) -> Manifest:
    """Put new contents in the place of files of an artifact, in their order, and a manifest that fits them last."""
    manifest = artifacts.load(uri)
    new = _with(manifest, changed)
    journal = storage.join(uri, JOURNAL)
    storage.write_json(journal, new.model_dump(mode="json"))
    for path, data in changed.items():
        storage.write_bytes(storage.join(uri, path), data)
    _finish(uri, new)
    return new


def read(uri: str, path: str) -> bytes:
    """Return a file of an artifact; one with other bytes than manifest or journal say is an ArtifactError."""
    data = storage.read_bytes(storage.join(uri, path))
    found = hashlib.sha256(data).hexdigest()
    if found not in {entry.sha256 for one in _manifests(uri) for entry in one.files if entry.path == path}:
        raise ArtifactError(
            f"{storage.join(uri, path)}: was changed after it was committed, run the step again"
        )
    return data


def resume(uri: str) -> None:
    """Finish a rewriting whose files were all replaced; one that was stopped before is left for the next ``replace``.

    The manifest then takes what is there already, so that the work goes on from a state that fits.
    """
    if not is_unfinished(uri):
        return
    manifest, new = _manifests(uri)
    known = {entry.path: entry for entry in manifest.files}
    meant = [entry.path for entry in new.files if entry != known[entry.path]]
    _finish(uri, _with(manifest, {path: read(uri, path) for path in meant}))


def _with(manifest: Manifest, contents: Mapping[str, bytes]) -> Manifest:
    """Return a manifest that says what these files hold now."""
    entries = {entry.path: entry for entry in manifest.files}
    for path, data in contents.items():
        entries[path] = FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    return manifest.model_copy(update={"files": tuple(entries[path] for path in sorted(entries))})


def _manifests(uri: str) -> list[Manifest]:
    found = [artifacts.load(uri)]
    if is_unfinished(uri):
        found.append(Manifest.model_validate(storage.read_json(storage.join(uri, JOURNAL))))
    return found


def _finish(uri: str, manifest: Manifest) -> None:
    storage.write_json(storage.join(uri, artifacts.MANIFEST), manifest.model_dump(mode="json"))
    storage.remove_file(storage.join(uri, JOURNAL))
