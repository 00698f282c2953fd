"""Where bytes are: local paths, ``s3://`` and ``gs://`` behind one fsspec file system.

Remote file systems are pyarrow's, wrapped for fsspec (ADR 0003: s3fs cannot be locked beside the rest).
S3 takes its endpoint and credentials from the usual ``AWS_*`` variables. Owns no artifact rules.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem

from daybreak_contracts.errors import TransientError, UserError

REMOTE_SCHEMES = ("s3", "gs")


def scheme_of(uri: str) -> str:
    """Return ``file``, ``s3`` or ``gs``; any other scheme is a UserError."""
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return "file"
    if scheme != "file" and scheme not in REMOTE_SCHEMES:
        raise UserError(f"{uri}: scheme {scheme!r} is not supported, use a path, file://, s3:// or gs://")
    return scheme


def is_remote(uri: str) -> bool:
    """Tell whether the URI needs a network to be read."""
    return scheme_of(uri) in REMOTE_SCHEMES


def local_path(uri: str) -> Path:
    """Return the local path of a local URI; a remote one is a UserError."""
    if is_remote(uri):
        raise UserError(f"{uri}: a local path is needed here")
    return Path(uri.removeprefix("file://"))


def join(uri: str, *parts: str) -> str:
    """Join URI parts with single slashes."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts if part)])


def filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a URI and the path inside it."""
    scheme = scheme_of(uri)
    if scheme == "file":
        return LocalFileSystem(auto_mkdir=True), str(local_path(uri).absolute())
    return ArrowFSWrapper(_arrow_filesystem(scheme)), uri.partition("://")[2]


def _arrow_filesystem(scheme: str) -> Any:
    from pyarrow import fs  # imported late: half a second that local runs need not pay

    if scheme == "gs":
        return fs.GcsFileSystem()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        connect_timeout=10,
        request_timeout=60,
        allow_bucket_creation=False,
    )


def _translate(uri: str, error: OSError) -> Exception:
    """Give an I/O error the name of the thing and tell who can fix it."""
    import errno

    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return UserError(f"{uri}: not found")
    if isinstance(error, PermissionError) or error.errno == errno.EACCES:
        return UserError(f"{uri}: permission denied")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransientError(f"{uri}: no space left on the device, free some and run again")
    if is_remote(uri):
        return TransientError(f"{uri}: {error}")
    return error


def exists(uri: str) -> bool:
    """Tell whether a file or a folder with something in it is at the URI."""
    fs, path = filesystem(uri)
    try:
        return bool(fs.exists(path))
    except OSError as error:
        raise _translate(uri, error) from error


def read_bytes(uri: str) -> bytes:
    """Read a whole file. Missing is a UserError."""
    fs, path = filesystem(uri)
    try:
        with fs.open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise _translate(uri, error) from error
    return bytes(data)


def write_bytes(uri: str, data: bytes) -> None:
    """Write a whole file so that a reader sees the old bytes or all of the new ones, never a part."""
    fs, path = filesystem(uri)
    try:
        if not is_remote(uri):
            _write_local(Path(path), data)
            return
        with fs.open(path, "wb") as file:  # an object store shows an object only when its upload has ended
            file.write(data)
    except OSError as error:
        raise _translate(uri, error) from error


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(uri: str) -> Any:
    """Read a JSON file; text that is not JSON is a UserError that names the file."""
    data = read_bytes(uri)
    try:
        return json.loads(data)
    except ValueError as error:
        raise UserError(f"{uri}: not valid JSON ({error})") from error


def write_json(uri: str, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes."""
    write_bytes(uri, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def list_files(uri: str) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted. Missing folder: empty list."""
    fs, path = filesystem(uri)
    try:
        if not fs.exists(path):
            return []
        found = fs.find(path)
    except OSError as error:
        raise _translate(uri, error) from error
    prefix = path.rstrip("/") + "/"
    return sorted(str(name).removeprefix(prefix) for name in found)


def copy_tree(source: str, target: str) -> None:
    """Copy every file below one folder to another, whatever the two are."""
    for name in list_files(source):
        copy_file(join(source, name), join(target, name))


def copy_file(source: str, target: str) -> None:
    """Copy one file in pieces of 8 MiB."""
    source_fs, source_path = filesystem(source)
    target_fs, target_path = filesystem(target)
    try:
        if not is_remote(target):
            Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        with source_fs.open(source_path, "rb") as reader, target_fs.open(target_path, "wb") as writer:
            for block in _blocks(reader):
                writer.write(block)
    except OSError as error:
        raise _translate(target, error) from error


def _blocks(reader: Any, size: int = 8 << 20) -> Iterator[bytes]:
    while block := reader.read(size):
        yield block


def remove_tree(uri: str) -> None:
    """Remove a folder and all below it; a missing one is fine."""
    if not is_remote(uri):
        shutil.rmtree(local_path(uri), ignore_errors=True)
        return
    fs, path = filesystem(uri)
    if fs.exists(path):
        fs.rm(path, recursive=True)
