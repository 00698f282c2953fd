"""Kubeflow without profiles, as a whole: the real operator under its chart's rights watches one namespace, Kubeflow's
pods run in another, and a run's results, errors and troubles find their way.

The back end is the stand-in; API server, RBAC and the way of a result are real.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.kubernetes_access import ACCOUNT_FOLDER
from daybreak_contracts.result_reporter import RetryClock, reporter_from
from daybreak_operator.__main__ import DECISIONS
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kube.client import connect
from daybreak_operator.shell.kubeflow.back_end import back_end as kubeflow_at
from daybreak_operator.shell.run import Operator, OperatorConfig
from tests.cluster.reach import Reach, wait_for
from tests.operator.kubeflow.stand_in import BackEnd, serve
from tests.operator.shell.replica import QUICK
from tests.packaging import rbac

RUN: dict[str, Any] = {
    "output": {"uri": "s3://models/old"},
    "data": {"sources": [{"name": "code", "directory": {"path": "/data/src"}}]},
    "model": {"size": "1m"},
}


@dataclass(frozen=True)
class Place:
    """Where everything is."""

    cluster: Reach
    kubeconfig: Path
    settings: Settings
    team: str
    pipelines: str


@pytest.fixture
def back_end() -> Iterator[BackEnd]:
    with serve() as found:
        yield found


@pytest.fixture
def place(cluster: Reach, back_end: BackEnd, tmp_path: Path) -> Iterator[Place]:
    with rbac.elsewhere(cluster, tmp_path) as bound:
        for namespace in (bound.team, bound.pipelines):
            cluster.kubectl("create", "serviceaccount", "daybreak-pipeline", "-n", namespace)
        settings = Settings(
            backend="KubeflowPipelines",
            kubeflow_url=back_end.url,
            kubeflow_namespace=bound.pipelines,
            storage_secret="storage",
            namespace=bound.home,
            watch_namespaces=(bound.team,),
        )
        yield Place(cluster, bound.kubeconfig, settings, bound.team, bound.pipelines)


@contextmanager
def operating(place: Place) -> Iterator[None]:
    """Run the operator, with its own decisions and its own account, until the body ends."""
    client = connect({}, str(place.kubeconfig))
    made = OperatorConfig(
        kube=client,
        settings=place.settings,
        decisions=DECISIONS,
        me="one",
        port=0,
        pipelines=kubeflow_at(place.settings, client),
        timing=QUICK,
        end=lambda code: pytest.fail(f"the watchdog ended it with {code}"),
    )
    began = threading.Event()
    held: dict[str, Any] = {}

    async def run() -> None:
        held["loop"], held["stop"] = asyncio.get_running_loop(), asyncio.Event()
        began.set()
        await Operator(made).run(held["stop"])
        await asyncio.sleep(0.1)  # kopf's connections close in the background

    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(asyncio.run, run())
        began.wait()
        try:
            yield
        finally:
            if not ended.done():
                held["loop"].call_soon_threadsafe(held["stop"].set)
            ended.result(60)


def stalled(place: Place) -> dict[str, str]:
    found = place.cluster.get("trainingrun", "first", place.team) or {}
    known = (found.get("status") or {}).get("conditions") or []
    return {item["type"]: item for item in known}.get("Stalled", {})


def step(place: Place, folder: Path, namespace: str) -> Any:
    """What a step of Kubeflow's pod reports its result with, as the account of a namespace."""
    account = folder / namespace
    account.mkdir()
    token = place.cluster.kubectl("create", "token", "daybreak-pipeline", "-n", namespace).strip()
    (account / "token").write_text(token)
    config = place.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json")
    authority = json.loads(config)["clusters"][0]["cluster"].get("certificate-authority")
    if authority:
        (account / "ca.crt").write_text(Path(authority).read_text())
    address = urlsplit(place.cluster.url)
    environment = {
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(address.port or 443),
        ACCOUNT_FOLDER: str(account),
    }
    found = reporter_from(environment, f"{place.team}/first-data-1", RetryClock(sleep=lambda seconds: None))
    assert found is not None
    return found


@pytest.mark.slow  # some 15 s: an operator under an account of its own, from start to end
def test_a_run_and_kubeflows_pods_need_not_share_a_namespace(
    place: Place, back_end: BackEnd, tmp_path: Path
) -> None:
    cluster, team, pipelines = place.cluster, place.team, place.pipelines
    for namespace in (team, pipelines):
        cluster.kubectl("create", "secret", "generic", "storage", "-n", namespace)
    run = {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "spec": RUN}
    with operating(place):
        cluster.apply({**run, "metadata": {"name": "first", "namespace": team}})
        run_id = wait_for("a Kubeflow run", lambda: next(iter(back_end.runs), None))
        assert back_end.runs[run_id]["service_account"] == "daybreak-pipeline"
        back_end.move(run_id, "RUNNING")

        kubernetes = back_end.runs[run_id]["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
        told = kubernetes["deploymentSpec"]["executors"]["exec-documents"]["podMetadata"]["labels"]
        labels = {**told, names.LABEL_KUBEFLOW_RUN: run_id}
        metadata = {"name": "kubeflows", "namespace": pipelines, "labels": labels}
        spec = {"containers": [{"name": "main", "image": "r.example/data"}]}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
        container = {
            "name": "main",
            "image": "r.example/data",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
        }
        status = {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
        patch = json.dumps({"status": status})
        cluster.kubectl(
            *(
                "patch",
                "pod",
                "kubeflows",
                "-n",
                pipelines,
                "--subresource=status",
                "--type=merge",
                "-p",
                patch,
            )
        )
        wait_for("a word on the image", lambda: stalled(place).get("reason") == "ImageCannotBePulled")
        cluster.kubectl("delete", "pod", "kubeflows", "-n", pipelines, "--force", "--grace-period=0")

        with pytest.raises(UserError, match="may not patch it"):
            step(place, tmp_path, team).result("documents", {})
        step(place, tmp_path, pipelines).failure(
            "documents", {"exitCode": 2, "kind": "UserError", "message": "no code there", "traceback": ""}
        )
        wait_for("the verdict", lambda: finished(place) == "step documents: no code there")


def finished(place: Place) -> str | None:
    found = place.cluster.get("trainingrun", "first", place.team) or {}
    conditions = {item["type"]: item for item in (found.get("status") or {}).get("conditions") or []}
    return str(conditions["Finished"]["message"]) if "Finished" in conditions else None
