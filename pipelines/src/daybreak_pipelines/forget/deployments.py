"""Which deployments of a cluster serve a model, asked by ``kubectl``; a cluster that cannot be asked is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Collection
from typing import Any

TIMEOUT_S = 20


def serving(models: Collection[str], kubeconfig: str | None) -> tuple[list[str], str]:
    """Return ``namespace/name`` of the deployments that serve models with these digests, or why nobody was asked."""
    program = shutil.which("kubectl")
    if program is None:
        return [], "no kubectl here"
    chosen = ["--kubeconfig", kubeconfig] if kubeconfig else []
    command = [program, *chosen, "get", "modeldeployments", "-A", "-o", "json", "--request-timeout=10s"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
    if done.returncode:
        return [], (done.stderr.strip().splitlines() or ["kubectl failed"])[-1]
    return holding(json.loads(done.stdout)["items"], models), ""


def holding(objects: list[dict[str, Any]], models: Collection[str]) -> list[str]:
    """Return ``namespace/name`` of the deployments whose spec or status names one of these digests."""
    return sorted(
        f"{one['metadata']['namespace']}/{one['metadata']['name']}"
        for one in objects
        if _digests([one.get("spec", {}).get("model"), one.get("status")]) & set(models)
    )


def _digests(value: Any) -> set[str]:
    """Return the digests of models that stand anywhere below; a refused one serves nobody."""
    if isinstance(value, list):
        return {found for one in value for found in _digests(one)}
    if not isinstance(value, dict):
        return set()
    own = {str(value["digest"])} if "digest" in value else set()
    return own | {found for name, one in value.items() if name != "rejected" for found in _digests(one)}
