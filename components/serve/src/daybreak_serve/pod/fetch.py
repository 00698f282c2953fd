"""A model folder from where it is stored to the pod's own disk; nothing opens it before it was checked.

Every block is hashed on its way, the folder appears by one rename, a fetch that was killed is begun anew. Owns
neither what a manifest means (contracts) nor what a model must hold (`modelfolder`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daybreak_contracts import artifacts, staging, storage
from daybreak_contracts.artifacts import FileEntry, Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_serve import hubfolder
from daybreak_serve.modelfolder import refuse_pickles
from daybreak_serve.pod import signature

BLOCK_BYTES = 16 << 20
NUM_READERS = 8
"""Blocks on their way at once: one connection to an object store gives some 100 MB/s, eight fill a pod's network."""


@dataclass(frozen=True)
class FetchArgs:
    """What is fetched."""

    uri: str
    digest: str
    """Of the manifest or of the files' bytes; with or without ``sha256:``."""
    into: Path
    public_key: Path | None = None


def fetch(args: FetchArgs, progress: Progress) -> Manifest:
    """Bring the model folder to ``into``; one that is there and whole is left as it is.

    A manifest of another digest, a wrong or missing signature, a pickle, a file that differs: UserErrors, and
    nothing is left at ``into``.
    """
    if hubfolder.is_hub_folder(args.uri):
        return _fetch_base(args, progress)
    manifest, data = _manifest_of(args)
    refuse_pickles(args.uri, [entry.path for entry in manifest.files])
    target = args.into.absolute()
    if _is_there(target, data, manifest):
        progress.report("there already", 1, 1)
        return manifest
    with _staged(target) as folder:
        _copy(args.uri, manifest.files, folder, progress)
        storage.write_bytes(str(folder / artifacts.MANIFEST), data)
    return manifest


def _fetch_base(args: FetchArgs, progress: Progress) -> Manifest:
    """Bring a base model's folder, which has no manifest: its bytes must have the digest that was asked for."""
    if args.public_key is not None:
        raise UserError(
            f"{args.uri}: a folder without our manifest cannot be signed, take the public key out: "
            "the digest that was asked for names its bytes"
        )
    target = args.into.absolute()
    present = _present_base(target, args.digest)
    if present is not None:
        progress.report("there already", 1, 1)
        return present
    files = [_sized(args.uri, name) for name in hubfolder.served_files(args.uri)]
    with _staged(target) as folder:
        manifest = hubfolder.manifest_of(_copy(args.uri, files, folder, progress))
        if not matches(args.digest, manifest):
            raise UserError(
                f"{args.uri}: is the model {manifest.digest}, but {args.digest} was asked for; "
                "`daybreak serve` of the same folder says its digest"
            )
        storage.write_json(str(folder / artifacts.MANIFEST), manifest.model_dump(mode="json"))
    return manifest


def _present_base(target: Path, digest: str) -> Manifest | None:
    """Return the manifest of a base model that lies there whole already."""
    if not (target / artifacts.MANIFEST).is_file():
        return None
    try:
        manifest = artifacts.load(str(target))
        artifacts.verify(str(target), manifest)
    except ArtifactError:
        return None
    return manifest if matches(digest, manifest) else None


def _sized(uri: str, name: str) -> FileEntry:
    location = storage.join(uri, name)
    fs, path = storage.filesystem(location)
    with storage.translated(location):
        return FileEntry(path=name, size=int(fs.size(path)), sha256="")


@contextlib.contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """Give a fresh folder beside the target that takes its place at the end; of a failure nothing is left."""
    with storage.translated(str(target)):
        folder = staging.make(target.parent)
    try:
        yield folder
        storage.remove_tree(str(target))
        _rename(folder, target)
    finally:
        storage.remove_tree(str(folder))


def _manifest_of(args: FetchArgs) -> tuple[Manifest, bytes]:
    """Return the manifest and its bytes: signed by the key when there is one, and of the digest that was asked."""
    location = storage.join(args.uri, artifacts.MANIFEST)
    data = storage.read_bytes(location)
    if args.public_key is not None:
        signature.check(args.uri, data, args.public_key)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactError(f"{location}: not a manifest of ours, export the model again") from error
    if not matches(args.digest, manifest):
        raise UserError(
            f"{args.uri}: is the model {manifest.digest}, but {args.digest} was asked for; "
            "point uri and digest at the same export"
        )
    return manifest, data


def matches(digest: str, manifest: Manifest) -> bool:
    """Tell whether a digest names this folder: by what made it, as a run publishes it, or by its bytes alone."""
    return digest.rpartition(":")[2] in (manifest.digest.rpartition(":")[2], manifest.content_digest)


def _is_there(target: Path, data: bytes, manifest: Manifest) -> bool:
    present = target / artifacts.MANIFEST
    if not present.is_file() or present.read_bytes() != data:
        return False
    try:
        artifacts.verify(str(target), manifest)
    except ArtifactError:
        return False  # torn: it is fetched anew
    return True


def _copy(uri: str, files: Sequence[FileEntry], folder: Path, progress: Progress) -> list[FileEntry]:
    """Copy files and return them with their digests; one of another digest than is listed is refused."""
    total, done, found = sum(entry.size for entry in files), 0, []
    with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="fetch") as readers:
        for entry in files:
            target = folder / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with storage.translated(str(target)), target.open("wb") as file:
                for block in blocks(uri, entry, readers):
                    digest.update(block)
                    file.write(block)
                    done += len(block)
                    progress.report(f"fetching {entry.path}", done, total)
                file.flush()
                os.fsync(file.fileno())
            if entry.sha256 not in ("", digest.hexdigest()):
                raise _changed(storage.join(uri, entry.path))
            found.append(entry.model_copy(update={"sha256": digest.hexdigest()}))
    return found


def blocks(
    uri: str, entry: FileEntry, readers: ThreadPoolExecutor, block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Yield a file's blocks in order; readers are at most ``NUM_READERS`` blocks ahead of who takes them."""
    location = storage.join(uri, entry.path)
    waiting: deque[Future[bytes]] = deque()
    try:
        for start in range(0, entry.size, block_bytes):
            waiting.append(readers.submit(_read, location, start, min(entry.size, start + block_bytes)))
            if len(waiting) == NUM_READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
    if _read(location, entry.size, entry.size + 1, may_end=True):
        raise _changed(location)


def _read(location: str, start: int, end: int, *, may_end: bool = False) -> bytes:
    """Return the bytes of a file from ``start`` up to ``end``; a file that ends before is not the listed one."""
    fs, path = storage.filesystem(location)
    with storage.translated(location), fs.open(path, "rb") as file:
        file.seek(start)
        data = bytes(file.read(end - start))
    if len(data) < end - start and not may_end:
        raise _changed(location)
    return data


def _changed(location: str) -> ArtifactError:
    return ArtifactError(f"{location}: was changed after it was committed, export the model again")


def _rename(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        raise UserError(f"{target}: is a mount point, mount the volume at {target.parent}") from error
