"""Peers run in environments of their own, installed when they are first measured; a script in, its JSON out."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "peer_scripts"


def peer_python(name: str, requirements: Sequence[str]) -> Path:
    """Return the Python of a peer's environment, installed when it is first asked for."""
    home = ROOT / ".cache" / "peers" / name.replace(" ", "-")
    python = home / "bin" / "python"
    stamp = home / "requirements.json"
    if not stamp.exists() or json.loads(stamp.read_text()) != list(requirements):
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run(["uv", "venv", "-q", "--python", "3.11", str(home)], check=True)
        subprocess.run(["uv", "pip", "install", "-q", "--python", str(python), *requirements], check=True)
        stamp.write_text(json.dumps(list(requirements)))
    return python


def run_peer(name: str, requirements: Sequence[str], script: str, *args: str, timeout_s: int = 600) -> Any:
    """Run ``peer_scripts/<script>`` with the peer's Python and return what its last line of output says."""
    python = peer_python(name, requirements)
    done = subprocess.run(
        [str(python), str(SCRIPTS / script), *args],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=timeout_s,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])
