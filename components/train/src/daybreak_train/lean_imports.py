"""Import Composer and Streaming without the parts of them that nobody here uses.

Both packages import ``transformers`` (and with it scikit-learn, pandas, the whole of ``torch._dynamo``) for text
metrics and example datasets: half of a ten-second start, paid again by every rank and every restart. Owns only how
the two are imported; what they do is not touched.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any


class _Absent(types.ModuleType):
    """Stands for a package while another one is being imported; any name in it is an empty class."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.util.spec_from_loader(name, None)
        self.__path__: list[str] = []
        self.__version__ = "0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    """Keep packages from being imported; those that are there already stay."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = _Absent(name)
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def import_composer() -> types.ModuleType:
    """Return the ``composer`` package."""
    if "composer" in sys.modules:
        return sys.modules["composer"]
    with _without("transformers"):
        return importlib.import_module("composer")


def import_streaming() -> types.ModuleType:
    """Return ``streaming.base``, which holds StreamingDataset and Stream."""
    if "streaming" not in sys.modules:
        spec = importlib.util.find_spec("streaming")
        assert spec is not None
        shell = types.ModuleType("streaming")
        shell.__spec__ = spec
        shell.__path__ = list(spec.submodule_search_locations or [])
        # The package itself only passes on what its base holds; others in this process may want it (PEP 562).
        shell.__dict__["__getattr__"] = lambda name: getattr(importlib.import_module("streaming.base"), name)
        sys.modules["streaming"] = shell
    return importlib.import_module("streaming.base")
