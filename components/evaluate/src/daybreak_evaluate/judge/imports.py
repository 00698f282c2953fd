"""Which modules are imported before the lock: a fixed list, never what a candidate names.

Owns the two lists. Importing a module runs its code with the judge's own rights, and some modules do more than define
things (``unittest.__main__`` runs tests, ``antigravity`` opens a browser), so the candidate has no say here.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable

WARM_MODULES = (
    "bisect", "collections", "copy", "datetime", "fractions", "functools", "hashlib", "heapq", "itertools", "math",
    "operator", "random", "re", "statistics", "string", "time", "typing",
)  # fmt: skip
"""What completions import most; imported once in the zygote instead of once a candidate."""

AHEAD_MODULES = (
    "__future__", "_strptime", "abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "builtins",
    "calendar", "cmath", "codecs", "collections.abc", "colorsys", "concurrent.futures",
    "concurrent.futures.thread", "configparser", "contextlib", "contextvars", "csv", "ctypes", "dataclasses",
    "decimal", "difflib", "dis", "email", "encodings.ascii", "encodings.hex_codec", "encodings.idna",
    "encodings.latin_1", "encodings.punycode", "encodings.rot_13", "encodings.unicode_escape",
    "encodings.utf_16", "encodings.utf_32", "encodings.utf_8_sig", "enum", "errno", "fileinput", "fnmatch",
    "gc", "getopt", "glob", "graphlib", "gzip", "hmac", "html", "html.entities", "html.parser", "inspect", "io",
    "ipaddress", "json", "keyword", "linecache", "locale", "logging", "multiprocessing.dummy",
    "multiprocessing.pool", "numbers", "os", "os.path", "pathlib", "pickle", "platform", "posixpath", "pprint",
    "queue", "quopri", "reprlib", "sched", "secrets", "selectors", "shlex", "signal", "socket", "stat",
    "string", "stringprep", "struct", "sys", "tempfile", "textwrap", "threading", "timeit", "token", "tokenize",
    "traceback", "types", "unicodedata", "unittest", "unittest.mock", "urllib.parse", "uuid", "warnings",
    "weakref", "xml.etree.ElementTree", "zlib", "zoneinfo", "numpy", "numpy.linalg", "numpy.random", "sympy",
)  # fmt: skip
"""Imported as well where a candidate cannot open a file, so that it could import nothing else."""


def import_all(names: Iterable[str]) -> None:
    """Import those that this machine has."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
