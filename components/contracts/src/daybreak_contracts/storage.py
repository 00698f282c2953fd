"""Where bytes are: local paths, ``s3://`` and ``gs://`` behind one fsspec file system.

Remote file systems are pyarrow's, wrapped for fsspec (ADR 0003: s3fs cannot be locked beside the rest).
S3 takes its endpoint and credentials from the usual ``AWS_*`` variables. Owns no artifact rules.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem

from daybreak_contracts.errors import UserError
from daybreak_contracts.storage_errors import translate

REMOTE_SCHEMES = ("s3", "gs")
BLOCK_BYTES = 8 << 20
DEFAULT_REGION = "us-east-1"


def scheme_of(uri: str) -> str:
    """Return ``file``, ``s3`` or ``gs``; any other scheme is a UserError."""
    if not uri or "\0" in uri:
        raise UserError(f"{uri!r}: not a path, a URI has characters and none of them is NUL")
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


def filesystem(
    uri: str, environment: Mapping[str, str] | None = None
) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a URI and the path inside it. The environment is the process's unless given."""
    scheme = scheme_of(uri)
    if scheme == "file":
        return LocalFileSystem(auto_mkdir=True), str(local_path(uri).absolute())
    path = uri.partition("://")[2].rstrip("/")
    if not path or path.startswith("/"):
        raise UserError(f"{uri}: names no bucket, write {scheme}://bucket/folder")
    if {"", ".", ".."} & set(path.split("/")):
        raise UserError(f"{uri}: an object store knows no empty folder name, . or .., write the name itself")
    options = s3_options(os.environ if environment is None else environment) if scheme == "s3" else {}
    return _remote(scheme, tuple(options.items()), os.getpid()), path


def s3_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what pyarrow's S3 file system is made with, from the variables that every S3 client knows.

    Absent keys are left to the AWS SDK: its profile files, web identity and instance roles work.
    """
    options: dict[str, Any] = {
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
        "connect_timeout": 10.0,
        "request_timeout": 60.0,
        "allow_bucket_creation": False,
    }
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        options["endpoint_override"] = endpoint
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        options |= {"access_key": key, "secret_key": secret}
        if environment.get("AWS_SESSION_TOKEN"):
            options["session_token"] = environment["AWS_SESSION_TOKEN"]
    return options


@functools.lru_cache(maxsize=8)
def _remote(scheme: str, options: tuple[tuple[str, Any], ...], pid: int) -> fsspec.AbstractFileSystem:
    """Keep connections; a forked process gets its own, because the SDK's threads do not live on in it."""
    del pid
    from pyarrow import fs  # imported late: half a second that local runs need not pay

    if scheme == "gs":
        return ArrowFSWrapper(fs.GcsFileSystem(), skip_instance_cache=True)
    return ArrowFSWrapper(fs.S3FileSystem(**dict(options)), skip_instance_cache=True)


@contextlib.contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn I/O errors inside into errors that name the URI and tell who can mend them."""
    try:
        yield
    except OSError as error:
        better = translate(uri, error, remote=is_remote(uri))
        if better is error:
            raise
        raise better from error


def exists(uri: str) -> bool:
    """Tell whether a file or a folder with something in it is at the URI."""
    fs, path = filesystem(uri)
    with translated(uri):
        return bool(fs.exists(path))


def read_bytes(uri: str) -> bytes:
    """Read a whole file. Missing is a UserError."""
    fs, path = filesystem(uri)
    with translated(uri), fs.open(path, "rb") as file:
        return bytes(file.read())


def write_bytes(uri: str, data: bytes) -> None:
    """Write a whole file so that a reader sees the old bytes or all of the new ones, never a part."""
    fs, path = filesystem(uri)
    with translated(uri):
        if not is_remote(uri):
            _write_local(Path(path), data)
            return
        with fs.open(path, "wb") as file:  # an object store shows an object only when its upload has ended
            file.write(data)


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
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
    except (ValueError, RecursionError) as error:
        raise UserError(f"{uri}: not valid JSON ({error})") from error


def write_json(uri: str, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes."""
    write_bytes(uri, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def list_files(uri: str) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted. Missing folder: empty list."""
    fs, path = filesystem(uri)
    with translated(uri):
        if not fs.exists(path):
            return []
        found = fs.find(path)
    prefix = path.rstrip("/") + "/"
    return sorted(str(name).removeprefix(prefix) for name in found if str(name).startswith(prefix))


def copy_tree(source: str, target: str) -> None:
    """Copy every file below one folder to another, whatever the two are."""
    for name in list_files(source):
        copy_file(join(source, name), join(target, name))


def copy_file(source: str, target: str) -> None:
    """Copy one file in pieces of 8 MiB. A copy that was cut off may leave a part at the target."""
    source_fs, source_path = filesystem(source)
    target_fs, target_path = filesystem(target)
    with translated(source):
        reader = source_fs.open(source_path, "rb")
    with reader, translated(target):
        if not is_remote(target):
            Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        with target_fs.open(target_path, "wb") as writer:
            for block in blocks_of(reader):
                writer.write(block)


def blocks_of(reader: Any) -> Iterator[bytes]:
    """Yield the rest of an open file in blocks of 8 MiB."""
    while block := reader.read(BLOCK_BYTES):
        yield block


def remove_file(uri: str) -> None:
    """Remove a file; a missing one is fine."""
    fs, path = filesystem(uri)
    with translated(uri):
        if fs.exists(path):
            fs.rm_file(path)


def remove_tree(uri: str) -> None:
    """Remove a folder and all below it; a missing one is fine."""
    if not is_remote(uri):
        shutil.rmtree(local_path(uri), ignore_errors=True)
        return
    fs, path = filesystem(uri)
    with translated(uri):
        if fs.exists(path):
            fs.rm(path, recursive=True)
