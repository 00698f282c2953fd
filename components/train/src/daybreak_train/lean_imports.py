"""Import Composer and Streaming without the parts of them that nobody here uses.

Both packages import ``transformers`` (and with it scikit-learn, pandas, the whole of ``torch._dynamo``) for text
metrics and example datasets, and Composer what its metrics of pictures and sound need: most of a ten-second start,
paid again by every rank and every restart. Owns only how the two are imported; of what they do one look is left out
that nobody reads.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import platform
import sys
import types
from collections.abc import Iterator, MutableSequence, Sequence
from typing import Any

OF_OTHERS = ("transformers", "torchvision", "torchmetrics")
"""What Composer's metrics, example models and algorithms are made of, and what Streaming knows batches of."""


class _Absent(types.ModuleType):
    """Stands for a package while another one is being imported; any name in it is an empty class."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - the type that a module has it by
    __version__ = "0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Nowhere(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds absent packages, and whatever is asked for below them."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where an absent module is, nothing for others."""
        absent = fullname.partition(".")[0] in self._packages
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if absent else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return what stands for it."""
        return _Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing: it has no code."""


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    """Keep packages from being imported; those that are there already stay."""
    finder = _Nowhere([name for name in names if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Absent)]:
            del sys.modules[name]


def import_composer() -> types.ModuleType:
    """Return the ``composer`` package."""
    if "composer" not in sys.modules:
        with _without(*OF_OTHERS):
            importlib.import_module("composer")
            # Its engine does so at the first step, to put algorithms in order: there are none.
            importlib.import_module("composer.algorithms")
        # For the name of the processor it starts a process that computes for a second; `precision` reads it itself.
        importlib.import_module("composer.utils.collect_env").get_cpu_model = platform.machine  # type: ignore[attr-defined]
    return sys.modules["composer"]


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
    with _without(*OF_OTHERS):
        return importlib.import_module("streaming.base")
