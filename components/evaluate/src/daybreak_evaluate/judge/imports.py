"""Which modules are imported before the lock: a fixed list, never what a candidate names.

Owns the two lists. Importing a module runs its code with the judge's own rights, and some modules do more than define
things (``unittest.__main__`` runs tests, ``antigravity`` opens a browser), so the candidate has no say here.
"""

from __future__ import annotations

WARM_MODULES = (
    "bisect", "collections", "copy", "datetime", "fractions", "functools", "hashlib", "heapq", "itertools", "math",
    "operator", "random", "re", "statistics", "string", "time", "typing",
)  # fmt: skip
"""What completions import most; imported once in the zygote instead of once a candidate."""

AHEAD_MODULES = (
    "__future__", "_strptime", "abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "builtins",
    "bz2", "calendar", "cmath", "cmd", "code", "codecs", "codeop", "collections.abc", "colorsys",
    "concurrent.futures", "concurrent.futures.thread", "configparser", "contextlib", "contextvars", "copyreg",
    "csv", "ctypes", "dataclasses", "decimal", "difflib", "dis", "doctest", "email", "email.message",
    "email.parser", "email.utils", "encodings.ascii", "encodings.hex_codec", "encodings.idna",
    "encodings.latin_1", "encodings.punycode", "encodings.rot_13", "encodings.unicode_escape",
    "encodings.utf_16", "encodings.utf_32", "encodings.utf_8_sig", "enum", "errno", "faulthandler", "filecmp",
    "fileinput", "fnmatch", "fractions", "gc", "getopt", "gettext", "glob", "graphlib", "gzip", "hmac", "html",
    "html.entities", "html.parser", "http", "importlib.metadata", "importlib.resources", "inspect", "io",
    "ipaddress", "itertools", "json", "keyword", "linecache", "locale", "logging", "lzma", "marshal",
    "mimetypes", "mmap", "multiprocessing.connection", "multiprocessing.dummy", "multiprocessing.pool",
    "multiprocessing.queues", "multiprocessing.synchronize", "numbers", "opcode", "optparse", "os", "os.path",
    "pathlib", "pickle", "pkgutil", "platform", "plistlib", "posixpath", "pprint", "pyclbr", "queue", "quopri",
    "reprlib", "resource", "sched", "secrets", "select", "selectors", "shlex", "shutil", "signal", "socket",
    "stat", "string", "stringprep", "struct", "subprocess", "symtable", "sys", "sysconfig", "tarfile",
    "tempfile", "textwrap", "threading", "timeit", "token", "tokenize", "tomllib", "traceback", "tracemalloc",
    "types", "unicodedata", "unittest", "unittest.mock", "urllib.parse", "uuid", "warnings", "weakref",
    "xml.dom.minidom", "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo", "numpy", "numpy.linalg",
    "numpy.random", "sympy",
)  # fmt: skip
"""Imported as well where a candidate cannot open a file, so that it could import nothing else."""
