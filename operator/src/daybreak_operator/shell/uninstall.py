"""``python -m daybreak_operator.shell.uninstall``: let every object go before the operator is removed.

Stops the operator first, since a living one would put its finalizer back. What runs in Kubeflow is left running; all
else belongs to the objects and goes or stays with them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

from daybreak_contracts import names
from daybreak_contracts.errors import DaybreakError, TransientError, exit_code_of
from daybreak_operator.core.plan import Object
from daybreak_operator.settings import Settings, from_environment
from daybreak_operator.shell.kube import client as clients
from daybreak_operator.shell.kube.answers import ConflictError, NotFoundError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import PODS, PRIMARIES, ApiResource, resource_for

DEPLOYMENT = "daybreak-operator"
"""As the chart names it."""
SELECTOR = "app.kubernetes.io/name=daybreak,app.kubernetes.io/component=operator"
LOOK_EVERY_S = 1.0
MAX_LOOKS = 120
"""Longer than the pod's grace period of 30 s, shorter than the hook's deadline of 240 s."""
TRIES = 5


def stop_operator(kube: Kube, namespace: str, wait: Callable[[float], None]) -> None:
    """Scale the operator to none and wait until no pod of it lives; TransientError when one outlives the wait."""
    metadata = {"name": DEPLOYMENT, "namespace": namespace}
    none = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 0}}
    if kube.exists(resource_for(none), namespace, DEPLOYMENT):  # else an apply would make one
        kube.apply(none, force=True)
    for _ in range(MAX_LOOKS):
        alive = [pod["metadata"]["name"] for pod in _all(kube, PODS, namespace, SELECTOR) if _lives(pod)]
        if not alive:
            return
        wait(LOOK_EVERY_S)
    raise TransientError(f"the operator still runs: {', '.join(alive)}")


def let_go(kube: Kube, settings: Settings) -> int:
    """Take the operator's finalizer off every object that it watches; return how many had it."""
    places: tuple[str | None, ...] = settings.watch_namespaces or (None,)
    held = [
        thing
        for resource in PRIMARIES
        for place in places
        for thing in _all(kube, resource, place, "")
        if names.FINALIZER in _finalizers(thing)
    ]
    for thing in held:
        _free(kube, thing)
    return len(held)


def _all(kube: Kube, resource: ApiResource, namespace: str | None, selector: str) -> list[Object]:
    try:
        return [thing for page, _ in kube.pages(resource, namespace, selector) for thing in page]
    except NotFoundError:
        return []  # the kind was removed before


def _lives(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _finalizers(thing: Object) -> list[str]:
    return thing["metadata"].get("finalizers") or []


def _free(kube: Kube, thing: Object) -> None:
    """Others may write at the same time: read again and try again."""
    metadata = thing["metadata"]
    for _ in range(TRIES):
        try:
            kube.set_finalizers(thing, [name for name in _finalizers(thing) if name != names.FINALIZER])
            return
        except NotFoundError:
            return
        except ConflictError:
            thing = kube.get(resource_for(thing), metadata["namespace"], metadata["name"])
    raise TransientError(f"{thing['kind']} {metadata['namespace']}/{metadata['name']} changes all the time")


def main(environment: Mapping[str, str]) -> int:
    """Stop the operator, let all go; return the exit code."""
    try:
        kube, settings = clients.connect(environment), from_environment(environment)
        stop_operator(kube, settings.namespace, time.sleep)
        print(f"let go: {let_go(kube, settings)}", flush=True)
    except DaybreakError as error:
        print(f"daybreak-operator: {error}", file=sys.stderr)
        return exit_code_of(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
