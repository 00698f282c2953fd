"""The kustomizations are the chart, object by object, and what is written of the chart is up to date."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from tests.packaging import render
from tests.packaging.render import CHART, MANIFESTS, MONITORING, ROOT, Object

pytestmark = pytest.mark.needs("programs")

WAVE = "argocd.argoproj.io/sync-wave"
NAMESPACE_KEY = ("v1", "Namespace", "", "daybreak")


def unordered(things: list[Object]) -> dict[render.Key, Object]:
    """Sort the environment: no variable names another, and kustomize puts patched ones first."""
    found = render.by_key(things)
    for thing in found.values():
        if thing["kind"] == "Deployment":
            for container in thing["spec"]["template"]["spec"]["containers"]:
                assert all("$(" not in variable.get("value", "") for variable in container["env"])
                container["env"].sort(key=lambda variable: variable["name"])
    return found


def installed_by_chart(values: list[Path], settings: tuple[str, ...] = ()) -> dict[render.Key, Object]:
    return unordered(render.chart(values, settings, "--include-crds"))


def written_files() -> list[Path]:
    """Return the files that say of themselves that they are written; found without Helm, which may not be built."""
    found = sorted(MANIFESTS.glob("*/*.yaml"))
    return [path for path in found if path.read_text().startswith("# Written by `make generate`")]


@pytest.mark.parametrize("path", written_files(), ids=lambda path: str(path.relative_to(MANIFESTS)))
def test_a_written_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == render.generated_files()[path], "run `make generate`"


def test_every_file_that_is_made_of_the_chart_is_written() -> None:
    assert sorted(render.generated_files()) == [*written_files()], "run `make generate`"


def test_nothing_else_is_written_there() -> None:
    ours = {MANIFESTS / "base" / "namespace.yaml"}
    made = {path for path in render.generated_files() if path.parent.name != "argocd"}
    there = {path for folder in ("base", "monitoring") for path in (MANIFESTS / folder).iterdir()}
    assert {path for path in there - made - ours if path.name != "kustomization.yaml"} == set()


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        pytest.param("base", [], id="the base is the default"),
        pytest.param("overlays/dev", [CHART / "ci" / "dev-values.yaml"], id="for a laptop"),
        pytest.param("overlays/kubeflow", [CHART / "ci" / "kubeflow-values.yaml"], id="with Kubeflow"),
    ],
)
def test_an_overlay_is_the_chart_with_its_values(folder: str, values: list[Path]) -> None:
    ours = unordered(render.kustomization(MANIFESTS / folder))
    assert ours.pop(NAMESPACE_KEY)["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted"
    }
    assert ours == installed_by_chart(values)


def test_monitoring_can_be_added_to_any(tmp_path: Path) -> None:
    copied = tmp_path / "manifests"
    for name in ("base", "crds", "monitoring"):
        shutil.copytree(MANIFESTS / name, copied / name)
    overlay = copied / "mine"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("resources: [../base]\ncomponents: [../monitoring]\n")
    ours = unordered(render.kustomization(overlay))
    del ours[NAMESPACE_KEY]
    assert ours == installed_by_chart([], MONITORING)


def test_argo_cd_brings_the_kinds_first() -> None:
    ours = render.by_key(render.kustomization(MANIFESTS / "overlays" / "argocd"))
    base = render.by_key(render.kustomization(MANIFESTS / "base"))
    bare = copy.deepcopy(ours)
    waves = {}
    for key, thing in bare.items():
        annotations = thing["metadata"]["annotations"]
        waves[key] = annotations.pop(WAVE)
        if not annotations:
            del thing["metadata"]["annotations"]
    assert bare == base
    first = {"CustomResourceDefinition", "Namespace"}
    assert waves == {key: "-2" if key[1] in first else "-1" for key in base}


def test_a_folder_of_kinds_can_still_be_applied_as_it_is() -> None:
    """kubectl takes every .yaml of a folder for a manifest."""
    things = [
        thing
        for file in (ROOT / "manifests/crds").glob("*.yaml")
        for thing in render.objects(file.read_text())
    ]
    assert {thing["kind"] for thing in things} == {"CustomResourceDefinition"}
