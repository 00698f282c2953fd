"""Who can mend an I/O error: turns what a file system or an object store said into our error tree.

The codes are those of errno(3) and of the AWS SDK, as pyarrow puts them into its messages.
"""

from __future__ import annotations

import errno
import re

from daybreak_contracts.errors import TransientError, UserError

FULL = {
    errno.ENOSPC: "no space left on the device, free some and run again",
    errno.EDQUOT: "the quota is used up, free some space and run again",
}
"""A disk that fills up fails whatever the input is: infrastructure, and what was written before stays good."""
NO_SPACE = tuple(FULL)
LOCAL = {
    errno.ENOENT: "not found",
    errno.ENOTDIR: "not found: a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.EISDIR: "is a folder, a file is needed",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "too many symbolic links",
    errno.EFBIG: "larger than the file system allows",
    errno.EMFILE: "too many open files, raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine, raise its limit (sysctl fs.file-max)",
}
"""What a user can mend."""
PASSING = (
    errno.ETIMEDOUT, errno.ESTALE, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTUNREACH,
    errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOLCK, errno.EAGAIN, errno.EBUSY, errno.EINTR,
)  # fmt: skip
"""Network file systems: the same call may succeed later."""
BROKEN = {
    errno.EIO: "the disk or the network file system failed",
    errno.EREMOTEIO: "the disk or the network file system failed",
    errno.ENOTCONN: "the file system is not mounted any more (its FUSE process ended)",
    errno.ENODEV: "the disk is gone",
    errno.ENXIO: "the disk is gone",
    errno.EUCLEAN: "the file system is damaged",
}
"""What somebody must look at, but no bug of ours; what was written before stays good."""
DENIED = (
    "ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID",
    "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT", "INVALID_SIGNATURE", "ACCOUNT_BLOCKED",
)  # fmt: skip


def translate(uri: str, error: OSError, *, remote: bool) -> Exception:
    """Return the error to raise instead: it names the URI, and its class says who can mend it.

    A local error that neither a user nor time mends is returned as it is: a bug of ours.
    """
    if remote:
        return _of_object_store(uri, error)
    if error.errno in LOCAL:
        return UserError(f"{uri}: {LOCAL[error.errno]}")
    if error.errno in FULL:
        return TransientError(f"{uri}: {FULL[error.errno]}")
    if error.errno in PASSING:
        return TransientError(f"{uri}: {error.strerror}")
    if error.errno in BROKEN:
        return TransientError(
            f"{uri}: {BROKEN[error.errno]} ({error.strerror}), look at the kernel's log and run again"
        )
    return error


def _of_object_store(uri: str, error: OSError) -> Exception:
    """The wrapper calls many things a missing file, so the store's own code counts first."""
    text = str(error)
    found = re.search(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))?", text)
    code, status = (found.group(1), found.group(2)) if found else ("", None)
    if code == "NO_SUCH_BUCKET":
        return UserError(f"{uri}: no such bucket, create it or mend the URI")
    if code in DENIED or status in ("401", "403"):
        return UserError(
            f"{uri}: access denied ({code}), check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
        )
    if status in ("301", "307"):
        return UserError(f"{uri}: the bucket is in another region, set AWS_REGION")
    if code == "VALIDATION":
        return UserError(f"{uri}: cannot be asked for, check the URI and AWS_ENDPOINT_URL ({text})")
    if "Not a regular file" in text:
        return UserError(f"{uri}: {LOCAL[errno.EISDIR]}")
    if code in ("NO_SUCH_KEY", "RESOURCE_NOT_FOUND") or status == "404":
        return UserError(f"{uri}: not found")
    if not code and isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return UserError(f"{uri}: not found")
    if not code and isinstance(error, PermissionError):
        return UserError(f"{uri}: permission denied")
    return TransientError(f"{uri}: {text}")
