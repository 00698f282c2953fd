"""What an API server tells of a namespace, with the moment at which it was told. Owns no cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from daybreak_contracts.errors import TransientError
from daybreak_operator.shell.kube.client import Kube, Selector
from daybreak_operator.shell.kube.resources import ApiResource

Body = dict[str, Any]


@dataclass
class Diary:
    """The lines, in their order: when, how, what."""

    kube: Kube
    namespace: str
    lines: list[tuple[float, str, Body]] = field(default_factory=list)

    def follow(self, *resources: ApiResource) -> None:
        """Write until this process ends."""
        for resource in resources:
            threading.Thread(target=self._write, args=(resource,), daemon=True).start()

    def _write(self, resource: ApiResource) -> None:
        version = "0"
        while True:
            try:
                for how, body in self.kube.watch(resource, self.namespace, Selector(), version, 120.0):
                    version = body.get("metadata", {}).get("resourceVersion", version)
                    if how not in ("BOOKMARK", "OPENED"):
                        self.lines.append((time.monotonic(), how, body))
            except TransientError:
                continue

    def when(self, is_it: Callable[[Body], bool]) -> float | None:
        """Return when something was first so."""
        return next((at for at, how, body in list(self.lines) if how != "DELETED" and is_it(body)), None)
