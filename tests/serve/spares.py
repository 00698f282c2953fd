"""Whether a served model's spare processes wait at their gates, seen from outside."""

from __future__ import annotations

import os
from pathlib import Path

from daybreak_serve.local.serving import LocalServer


def have_spares(server: LocalServer) -> bool:
    """Tell whether Triton and the gateway each have a spare that has imported everything."""
    gates = {str(path) for path in server.folder.glob("*.standby")}
    others = [pid for pid in Path("/proc").glob("[0-9]*") if pid.name != str(os.getpid())]
    return len({link for pid in others for link in opened_by(pid) if link in gates}) >= 2


def opened_by(process: Path) -> list[str]:
    """Return what a process of /proc has open."""
    try:
        return [str(link.readlink()) for link in (process / "fd").iterdir()]
    except OSError:
        return []
