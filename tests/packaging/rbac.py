"""The operator's rights as the chart gives them, for tests that run the operator under exactly these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.reach import Reach
from tests.packaging.render import MANIFESTS, NAMESPACE, Object, chart

ACCOUNT = "daybreak-operator"
FILES = ("serviceaccounts.yaml", "rbac.yaml")


@dataclass(frozen=True)
class Elsewhere:
    """Where such an operator lives, which namespace it watches, where Kubeflow's pods are, and its own account."""

    home: str
    team: str
    pipelines: str
    kubeconfig: Path


def operator_objects() -> list[Object]:
    """Return namespace, service account, roles and bindings with default values; the operator lives in `daybreak`.

    Read from `manifests/base`, so that no Helm is needed: tests/packaging holds that it is the chart's.
    """
    texts = [(MANIFESTS / "base" / name).read_text() for name in ("namespace.yaml", *FILES)]
    return [thing for text in texts for thing in yaml.safe_load_all(text) if thing]


def operator_rules() -> list[Object]:
    """Return the rules of the ClusterRole that holds in every watched namespace."""
    return rules_of("daybreak-operator", "ClusterRole")


def rules_of(name: str, kind: str) -> list[Object]:
    """Return the rules of one role."""
    (found,) = [
        thing for thing in operator_objects() if thing["kind"] == kind and thing["metadata"]["name"] == name
    ]
    return list(found["rules"])


def account_of(home: str) -> str:
    """Return the operator's account in an installation of ``bound_elsewhere``."""
    return f"{ACCOUNT}-{home}"


def bound_elsewhere(home: str, team: str, pipelines: str, *, cluster_scope: bool = True) -> list[Object]:
    """Return the roles and bindings of an operator that lives in one namespace and watches another.

    Kubeflow Pipelines, without profiles, runs its pods in the third. Names are made over, so that an installation that
    is there is left alone.
    """
    settings = [
        f"operator.clusterScope={str(cluster_scope).lower()}",
        "operator.watchNamespaces={team}",
        "pipelines.kubeflow.url=http://ml-pipeline.pipelines:8888",
        "pipelines.kubeflow.namespace=pipelines",
        "storage.secret=storage",
    ]
    others = {NAMESPACE: home, "team": team, "pipelines": pipelines, ACCOUNT: account_of(home)}
    others["daybreak-operator-cluster"] = f"daybreak-operator-cluster-{home}"
    return [
        _renamed(thing, others)
        for thing in chart((), settings)
        if "Role" in thing["kind"] and thing["metadata"]["name"].startswith(ACCOUNT)
    ]


@contextmanager
def elsewhere(cluster: Reach, folder: Path, *, cluster_scope: bool = True) -> Iterator[Elsewhere]:
    """Bind an operator's account as ``bound_elsewhere`` says, in namespaces of its own."""
    home, team, pipelines = cluster.namespace(), cluster.namespace(), cluster.namespace()
    things = bound_elsewhere(home, team, pipelines, cluster_scope=cluster_scope)
    for thing in things:
        cluster.apply(thing)
    account = account_of(home)
    cluster.kubectl("create", "serviceaccount", account, "-n", home)
    yield Elsewhere(home, team, pipelines, cluster.kubeconfig_of(account, home, folder))
    for thing in things:
        if thing["kind"].startswith("Cluster"):
            cluster.kubectl("delete", thing["kind"], thing["metadata"]["name"])


def _renamed(value: Any, others: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(item, others) for name, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, others) for item in value]
    return others.get(value, value) if isinstance(value, str) else value
