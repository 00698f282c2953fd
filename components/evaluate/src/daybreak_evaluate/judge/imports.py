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
    "__future__", "_strptime", "abc", "argparse", "array", "ast", "asyncio", "base64", "bdb", "binascii",
    "builtins", "bz2", "cProfile", "calendar", "cmath", "cmd", "code", "codecs", "codeop", "collections.abc",
    "colorsys", "compileall", "concurrent.futures", "concurrent.futures.process", "concurrent.futures.thread",
    "configparser", "contextlib", "contextvars", "copyreg", "csv", "ctypes", "ctypes.util", "curses.ascii",
    "dataclasses", "decimal", "difflib", "dis", "doctest", "email", "email.message", "email.mime.multipart",
    "email.mime.text", "email.parser", "email.utils", "encodings.ascii", "encodings.base64_codec",
    "encodings.cp1252", "encodings.cp437", "encodings.hex_codec", "encodings.idna", "encodings.latin_1",
    "encodings.punycode", "encodings.raw_unicode_escape", "encodings.rot_13", "encodings.unicode_escape",
    "encodings.utf_16", "encodings.utf_16_be", "encodings.utf_16_le", "encodings.utf_32", "encodings.utf_32_le",
    "encodings.utf_8_sig", "enum", "errno", "faulthandler", "filecmp", "fileinput", "fnmatch", "fractions", "gc",
    "getopt", "getpass", "gettext", "glob", "graphlib", "grp", "gzip", "hmac", "html", "html.entities",
    "html.parser", "http", "http.client", "http.cookies", "http.server", "importlib.metadata",
    "importlib.resources", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "linecache", "locale",
    "logging", "lzma", "mailbox", "marshal", "mimetypes", "mmap", "modulefinder", "multiprocessing.connection",
    "multiprocessing.dummy", "multiprocessing.managers", "multiprocessing.pool", "multiprocessing.queues",
    "multiprocessing.shared_memory", "multiprocessing.synchronize", "netrc", "numbers", "opcode", "optparse", "os",
    "os.path", "pathlib", "pdb", "pickle", "pkgutil", "platform", "plistlib", "posixpath", "pprint", "profile",
    "pstats", "pwd", "py_compile", "pyclbr", "queue", "quopri", "reprlib", "resource", "rlcompleter", "runpy",
    "sched", "secrets", "select", "selectors", "shlex", "shutil", "signal", "smtplib", "socket", "socketserver",
    "sqlite3", "ssl", "stat", "string", "stringprep", "struct", "subprocess", "symtable", "sys", "sysconfig",
    "tabnanny", "tarfile", "tempfile", "termios", "textwrap", "threading", "timeit", "token", "tokenize", "tomllib",
    "trace", "traceback", "tracemalloc", "types", "unicodedata", "unittest", "unittest.mock", "urllib.error",
    "urllib.parse", "urllib.request", "uuid", "warnings", "wave", "weakref", "wsgiref.util", "xml.dom.minidom",
    "xml.etree.ElementTree", "xml.sax", "xmlrpc.client", "zipapp", "zipfile", "zlib", "zoneinfo", "numpy",
    "numpy.linalg", "numpy.random", "sympy",
)  # fmt: skip
"""Imported as well where a candidate cannot open a file, so that it could import nothing else."""
