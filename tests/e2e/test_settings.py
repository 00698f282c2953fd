"""What a node is told, and images of folders: the parts that need no node."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cluster.reach import ROOT
from tests.e2e import image, node
from tests.e2e.cluster import full_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("daybreak", "docker.io/library/daybreak:latest"),
        ("daybreak:1", "docker.io/library/daybreak:1"),
        ("team/daybreak", "docker.io/team/daybreak:latest"),
        ("registry.test/a/b", "registry.test/a/b:latest"),
        ("registry.test:5000/a:1", "registry.test:5000/a:1"),
        ("localhost/a", "localhost/a:latest"),
        ("registry.test/a@sha256:" + "0" * 64, "registry.test/a@sha256:" + "0" * 64),
    ],
)
def test_names_are_written_out_as_a_node_does(name: str, expected: str) -> None:
    assert full_name(name) == expected


def test_containers_see_the_project_once_and_read_only() -> None:
    folders = node.host_folders(java=None)
    assert ROOT in folders
    assert not any(a != b and a.is_relative_to(b) for a in folders for b in folders)
    stock = {
        "process": {"rlimits": [1], "noNewPrivileges": True, "cwd": "/"},
        "mounts": [{"destination": "/proc"}],
    }
    spec = node.runtime_spec(stock, folders)
    assert spec["process"] == {"cwd": "/"}
    assert spec["mounts"][0] == {"destination": "/proc"}
    assert all("ro" in mount["options"] for mount in spec["mounts"][1:])
    assert len(spec["mounts"]) == 1 + len(folders)


def test_an_image_holds_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    image.write_image(
        file, "a:1", ["A=b"], ("python", "-m"), "1000", programs=[Path(sys.executable).resolve()]
    )
    with tarfile.open(file) as tar:
        blobs = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]
    for name, content in blobs.items():
        if name.startswith("blobs/"):
            assert image.digest(content) == name.removeprefix("blobs/").replace("/", ":")
    (described,) = json.loads(blobs["index.json"])["manifests"]
    assert described["annotations"] == {"io.containerd.image.name": "a:1"}
    manifest = json.loads(blobs["blobs/" + described["digest"].replace(":", "/")])
    config = json.loads(blobs["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["config"]["Entrypoint"] == ["python", "-m"]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    layer = blobs["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        names = set(tar.getnames())
    assert {"bin", "usr", "tmp", "etc/passwd"} <= names
    assert any("libc.so" in name for name in names)
    assert not any(name.startswith(("lib/", "bin/")) for name in names), "those are links"
