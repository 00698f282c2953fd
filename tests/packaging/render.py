"""The chart and the kustomizations as objects; ``python -m tests.packaging.render`` writes what is made of the chart.

The chart is the source: `manifests/base` and `manifests/monitoring` hold its output with default values.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import binaries

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "daybreak"
MANIFESTS = ROOT / "manifests"
NAMESPACE = "daybreak"
KUBERNETES = "1.34.0"
HEADER = "# Written by `make generate` from charts/daybreak; edit the chart.\n"
MONITORING = ("monitoring.podMonitor=true", "monitoring.rules=true", "monitoring.dashboard=true")
Object = dict[str, Any]
Key = tuple[str, str, str, str]


class RenderError(Exception):
    """The program refused; the text is what it said."""


def program(name: str) -> Path:
    """Return where helm, promtool or kubectl is, after building it where it never was."""
    found = binaries.find(name) if name == "kubectl" else None
    return found or binaries.programs([name], os.environ, lambda text: print(text, file=sys.stderr))[name]


def run(name: str, *arguments: str) -> str:
    """Run a program and return what it prints; RenderError when it fails."""
    done = subprocess.run(
        [str(program(name)), *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RenderError(done.stdout + done.stderr)
    return done.stdout


def chart_text(values: Sequence[Path] = (), settings: Sequence[str] = (), *more: str) -> str:
    """Return the chart rendered with value files and ``a.b=c`` settings; the same is rendered once."""
    return _rendered(tuple(values), tuple(settings), more)


@cache
def _rendered(values: tuple[Path, ...], settings: tuple[str, ...], more: tuple[str, ...]) -> str:
    options = [f"--values={file}" for file in values] + [f"--set={setting}" for setting in settings]
    fixed = ["--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    return run("helm", "template", "daybreak", str(CHART), *fixed, *options, *more)


def chart(values: Sequence[Path] = (), settings: Sequence[str] = (), *more: str) -> list[Object]:
    """Return the chart's objects, hooks too."""
    return objects(chart_text(values, settings, *more))


def kustomization(folder: Path) -> list[Object]:
    """Return the objects of a kustomization."""
    return objects(run("kubectl", "kustomize", str(folder)))


def objects(text: str) -> list[Object]:
    """Return the documents that are not empty."""
    return [document for document in yaml.safe_load_all(text) if document]


def key(thing: Object) -> Key:
    """Return what tells an object from all others."""
    metadata = thing["metadata"]
    return thing["apiVersion"], thing["kind"], metadata.get("namespace", ""), metadata["name"]


def is_hook(thing: Object) -> bool:
    """Return whether Helm handles the object at its own times."""
    return "helm.sh/hook" in thing["metadata"].get("annotations", {})


def by_key(things: Sequence[Object]) -> dict[Key, Object]:
    """Return installed objects by what tells them apart; no two may be the same."""
    installed = [thing for thing in things if not is_hook(thing)]
    found = {key(thing): thing for thing in installed}
    assert len(found) == len(installed), "an object is there twice"
    return found


def generated_files() -> dict[Path, str]:
    """Return each file that is made of the chart, by its path."""
    base = dict(_by_template(chart_text(), "base"))
    rendered = chart_text((), MONITORING, "--show-only", "templates/monitoring.yaml")
    return (
        base | dict(_by_template(rendered, "monitoring")) | {MANIFESTS / "argocd/argocd-cm.yaml": argocd_cm()}
    )


def argocd_cm() -> str:
    """Return the part of Argo CD's ConfigMap that tells it the health of our kinds."""
    lines = [HEADER.replace("charts/daybreak; edit the chart", "health/; edit the scripts").rstrip()]
    lines += ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: argocd-cm, namespace: argocd}", "data:"]
    for script in sorted((MANIFESTS / "argocd" / "health").glob("*/health.lua")):
        lines.append(f"  resource.customizations.health.daybreak.dev_{script.parent.name}: |")
        lines += [f"    {line}".rstrip() for line in script.read_text().splitlines()]
    return "\n".join(lines) + "\n"


def _by_template(text: str, folder: str) -> Iterator[tuple[Path, str]]:
    found: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        source = re.match(r"# Source: daybreak/templates/(.+)\n", document)
        if source is None or not any(not is_hook(thing) for thing in objects(document)):
            continue
        found.setdefault(source.group(1), []).append(document[source.end() :].rstrip() + "\n")
    for name, documents in found.items():
        yield MANIFESTS / folder / name, HEADER + "---\n".join(documents)


def main() -> None:
    """Write what differs; where there is no Helm and no Go to build it, say so."""
    try:
        files = generated_files()
    except binaries.NoClusterError as reason:
        sys.exit(f"manifests/base is as it was: {reason}")
    for path, content in files.items():
        if not path.is_file() or path.read_text() != content:
            path.write_text(content)
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
