"""What other packages registered: suites and runtimes under the names of their entry points.

Owns finding and loading. A package whose plug-in cannot be loaded is named, with what its own import said.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from daybreak_contracts.errors import UserError

SUITES = "daybreak.suites"
RUNTIMES = "daybreak.runtimes"


@dataclass(frozen=True)
class Registration:
    """One name that a package registered."""

    name: str
    package: str
    """Distribution and version, as ``our-suites 1.2``: a newer one may score otherwise."""
    entry: metadata.EntryPoint

    def load(self) -> Any:
        """Import what is registered; whatever goes wrong in it is the package's fault, and it is named."""
        try:
            return self.entry.load()
        except Exception as error:
            raise UserError(
                f"{self.name}: the plug-in of {self.package} cannot be loaded "
                f"({type(error).__name__}: {error}); install a version that works, or take it away"
            ) from error


def registered(group: str, taken: Collection[str]) -> dict[str, Registration]:
    """Return what is registered by name. Two packages may not use one name, nor a name of our own (``taken``)."""
    found: dict[str, Registration] = {}
    for entry in metadata.entry_points(group=group):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package"
        one = Registration(entry.name, package, entry)
        if entry.name in taken:
            raise UserError(
                f"{package} registers {entry.name} in {group}, which is a name of ours; remove it"
            )
        if entry.name in found and found[entry.name].entry.value != entry.value:
            raise UserError(
                f"{entry.name} is registered in {group} by {found[entry.name].package} and by {package}; remove one"
            )
        found[entry.name] = one
    return found
