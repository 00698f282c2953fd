"""How a step's output becomes true: a manifest, put last.

An artifact is a folder with ``manifest.json``. The manifest holds the digest of what made it (step, code
version, parameters, inputs) and size and SHA-256 of every file. A folder without a manifest does not exist.
Readers read what the manifest lists, nothing else. Locally the whole folder appears by one rename.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from daybreak_contracts import staging as staging_folders
from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError, TransientError, UserError
from daybreak_contracts.storage_errors import NO_SPACE

MANIFEST = "manifest.json"


PUBLISH_ATTEMPTS = 5


def _inside(path: str) -> str:
    """Refuse a path that leads out of its folder: a manifest may come from anywhere."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or path == MANIFEST:
        raise ValueError(f"must be a path below the artifact's folder, got {path!r}")
    return path


class FileEntry(BaseModel):
    """One file of an artifact: path below its folder, size in bytes, SHA-256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, AfterValidator(_inside)]
    size: int
    sha256: str


class Manifest(BaseModel):
    """What an artifact is and what made it. Holds no time and no host, so equal work gives equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    digest: str
    """What made it: ``digest_of(step, code version, parameters, input digests)``."""
    inputs: dict[str, str]
    """Name of the input to its digest."""
    files: tuple[FileEntry, ...]
    result: dict[str, Any]
    """The step's Result as JSON: a skipped step returns this one."""

    @property
    def content_digest(self) -> str:
        """Digest of the files alone: two artifacts with equal bytes have equal content digests."""
        return digest_of([entry.model_dump() for entry in self.files])


def digest_of(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def uri_of(output: str, step: str, digest: str) -> str:
    """Return where the artifact of a step with this digest lies below an output URI."""
    return storage.join(output, step, digest[:16])


def load(uri: str) -> Manifest:
    """Read the manifest of an artifact. Missing or malformed is an ArtifactError."""
    location = storage.join(uri, MANIFEST)
    try:
        return Manifest.model_validate(storage.read_json(location))
    except UserError as error:
        raise ArtifactError(f"{uri}: no artifact here ({error})") from error
    except ValueError as error:
        raise ArtifactError(f"{location}: not a manifest of ours, remove the folder and run again") from error


def of_step(output: str, step: str) -> dict[str, Manifest]:
    """Return the whole artifacts of a step below an output, by their URIs; what is broken or unfinished is none."""
    above, found = storage.join(output, step), {}
    for head in sorted({name.partition("/")[0] for name in storage.list_files(above) if "/" in name}):
        uri = storage.join(above, head)
        with contextlib.suppress(ArtifactError):
            found[uri] = load(uri)
    return found


def find(uri: str, digest: str) -> Manifest | None:
    """Return the manifest when the artifact exists, was made by the same work and still has its bytes."""
    if not storage.exists(storage.join(uri, MANIFEST)):
        return None
    try:
        manifest = load(uri)
        if manifest.digest == digest:
            verify(uri, manifest)
            return manifest
    except ArtifactError:
        pass  # torn or tampered: the caller makes it anew
    return None


def verify(uri: str, manifest: Manifest) -> None:
    """Compare every file with the manifest. The first that is missing or differs is an ArtifactError."""
    for entry in manifest.files:
        location = storage.join(uri, entry.path)
        size, sha256 = _measure(location)
        if size < 0:
            raise ArtifactError(f"{location}: listed in the manifest but missing, run the step again")
        if (size, sha256) != (entry.size, entry.sha256):
            raise ArtifactError(f"{location}: was changed after it was committed, run the step again")


def _measure(location: str) -> tuple[int, str]:
    """Return size and SHA-256 of a file; -1 when there is no file."""
    fs, path = storage.filesystem(location)
    digest, size = hashlib.sha256(), 0
    with storage.translated(location):
        try:
            with fs.open(path, "rb") as file:
                for block in storage.blocks_of(file):
                    digest.update(block)
                    size += len(block)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if storage.is_remote(location) and storage.exists(location):
                raise  # the store said something else than "missing"
            return -1, ""
    return size, digest.hexdigest()


def commit(
    uri: str,
    staging: Path,
    *,
    step: str,
    digest: str,
    inputs: dict[str, str],
    result: dict[str, Any],
) -> Manifest:
    """Publish a staged local folder as the artifact at ``uri``. Killed at any moment, it is all or nothing.

    Returns the manifest that stands there. A second writer with the same digest is harmless: whoever is first
    wins, the other's work is dropped. Two that send to an object store at the same moment both put their bytes;
    if those differ, their digests tell.
    """
    _open_to_readers(staging)
    manifest = Manifest(step=step, digest=digest, inputs=inputs, files=_entries(staging), result=result)
    if storage.is_remote(uri):
        present = find(uri, digest)
        if present is not None:
            return present  # another run reads it by now: it must not be gone for a moment
        storage.remove_file(storage.join(uri, MANIFEST))  # a torn artifact must not look whole in between
        for entry in manifest.files:
            storage.copy_file(str(staging / entry.path), storage.join(uri, entry.path))
        storage.write_json(storage.join(uri, MANIFEST), manifest.model_dump(mode="json"))
        return manifest
    storage.write_json(str(staging / MANIFEST), manifest.model_dump(mode="json"))
    with storage.translated(uri):
        return _publish_folder(staging, storage.local_path(uri), manifest)


def _open_to_readers(staging: Path) -> None:
    """Give every file the mode that the umask allows: libraries that write through temporary files leave 0600.

    The folder was made by mkdir, so its mode tells the umask; asking for it would change it for all threads.
    """
    allowed = staging.stat().st_mode & 0o666
    for path in staging.rglob("*"):
        mode = path.stat().st_mode & 0o777
        wanted = allowed if path.is_file() else allowed | (allowed & 0o444) >> 2
        if mode | wanted != mode:
            path.chmod(mode | wanted)


def _entries(folder: Path) -> tuple[FileEntry, ...]:
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            found.append(FileEntry(path=name, size=path.stat().st_size, sha256=digest_of_file(path)))
    return tuple(found)


def _publish_folder(staging: Path, target: Path, manifest: Manifest) -> Manifest:
    """Rename the folder to its place. What is there already stays when it is good, and goes when it is torn."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(PUBLISH_ATTEMPTS):
        try:
            staging.rename(target)
            return manifest
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        present = find(str(target), manifest.digest)
        if present is not None:
            storage.remove_tree(str(staging))
            return present
        torn = staging_folders.make(target.parent)
        with contextlib.suppress(FileNotFoundError):  # another writer was faster to take it away
            target.rename(torn / target.name)
        storage.remove_tree(str(torn))
    raise TransientError(f"{target}: other writers keep putting torn artifacts here, run the step again")


def staging_folder(uri: str, work_dir: str) -> Path:
    """Return a fresh local folder to write an artifact into; on the disk of a local target."""
    if storage.is_remote(uri):
        parent = Path(work_dir)
    else:
        parent = storage.local_path(uri).absolute().parent
    with storage.translated(str(parent)):
        return staging_folders.make(parent)


def produce(
    uri: str,
    *,
    step: str,
    digest: str,
    inputs: dict[str, str],
    work_dir: str,
    write: Callable[[Path], dict[str, Any]],
) -> tuple[Manifest, bool]:
    """Return the artifact and whether it was there already; otherwise ``write`` it into staging and commit.

    ``write`` gets an empty local folder and returns the step's result as JSON. A disk that fills up is a
    TransientError, whoever meets it. Whatever ``write`` fails of, an equal artifact that another run committed
    meanwhile is taken instead: the other one tidies up what both worked with.
    """
    present = find(uri, digest)
    if present is not None:
        return present, True
    staging = staging_folder(uri, work_dir)
    try:
        with _full_disk_is_said(staging.parent):
            result = write(staging)
            return commit(uri, staging, step=step, digest=digest, inputs=inputs, result=result), False
    except Exception:
        present = find(uri, digest)
        if present is None:
            raise
        return present, True
    finally:
        storage.remove_tree(str(staging))


@contextlib.contextmanager
def _full_disk_is_said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise TransientError(f"{folder}: no space left on the device, free some and run again") from error
