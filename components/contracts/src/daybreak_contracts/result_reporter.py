"""How a step in a pod reports result, error and progress to the operator: it patches keys of one ConfigMap.

Owns the protocol (``<step>.json``, ``progress.json``) and its patience. Standard library only, for every image has it.
Makes no object: the operator made the ConfigMap, and a Role that allows exactly this patch.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import Any

from daybreak_contracts import errors
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.kubernetes_access import Access, access_of_pod, is_in_pod

RESULTS_CONFIGMAP = "DAYBREAK_RESULTS_CONFIGMAP"
"""``<namespace>/<ConfigMap>``."""
PROGRESS_KEY = "progress.json"
PROGRESS_INTERVAL_S = 15.0

PATIENCE_S = 600.0
"""How long a result is offered to an API server that does not answer: longer than a control plane's upgrade."""
REFUSED_PATIENCE_S = 20.0
"""How long a refusal (401, 403, 404) is asked again: rights and tokens reach the API server's caches late."""
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Between tries; the last one repeats."""
REQUEST_S = 15.0
MAX_RESULT_BYTES = 900_000
"""A ConfigMap takes 1 MiB over all its keys (``corev1.MaxSecretSize``); the rest is the other steps'."""
MAX_MESSAGE_CHARACTERS = 16_000
MAX_ACTIVITY_CHARACTERS = 500
REFUSALS = (401, 403, 404)


def key_of(step: str) -> str:
    """Return the key of the ConfigMap that holds a step's result or error."""
    return f"{step}.json"


@dataclass(frozen=True)
class RetryClock:
    """Time, as something to be given."""

    now: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class StepResultReporter:
    """One ConfigMap, and how it is reached."""

    namespace: str
    name: str
    access: Access
    """Its files are read for each request, because tokens are replaced."""
    clock: RetryClock = RetryClock()

    def result(self, step: str, result: Mapping[str, Any]) -> None:
        """Report a result, trying for ten minutes.

        A refusal or a result that is too large is a UserError; an API server that stays away is a TransientError.
        """
        text = json.dumps({"result": result})
        if len(text.encode()) > MAX_RESULT_BYTES:
            raise UserError(
                f"{step}: its result has {len(text.encode())} bytes, at most {MAX_RESULT_BYTES} fit into ConfigMap "
                f"{self.namespace}/{self.name}: run with fewer sources, languages or suites"
            )
        self._deliver({key_of(step): text}, PATIENCE_S)

    def error(self, step: str, error: BaseException) -> None:
        """Hand an error over; when that fails, say so on stderr: the error itself must rise on."""
        self.failure(step, errors.document_of(error))

    def failure(self, step: str, document: Mapping[str, Any]) -> None:
        """Report an error that is written down already (``errors.document_of``)."""
        text = json.dumps({"error": _shortened(dict(document))})
        try:
            self._deliver({key_of(step): text}, PATIENCE_S)
        except errors.DaybreakError as failure:
            print(f"{step}: its error could not be reported: {failure}", file=sys.stderr)

    def held(self, step: str) -> dict[str, Any] | None:
        """Return what was reported for a step, by a patch that changes nothing: no other right is needed."""
        text = self._deliver({}, PATIENCE_S).get(key_of(step))
        return None if text is None else dict(json.loads(text))

    def progress(self, state: Mapping[str, Any]) -> None:
        """Offer progress once; what fails is a DaybreakError."""
        document = {**state, "activity": str(state.get("activity", ""))[:MAX_ACTIVITY_CHARACTERS]}
        self._deliver({PROGRESS_KEY: json.dumps(document)}, patience_s=0.0)

    def _deliver(self, data: Mapping[str, str], patience_s: float) -> Mapping[str, str]:
        """Patch and return all that the ConfigMap then holds."""
        began, tries = self.clock.now(), 0
        while True:
            try:
                return self._patch(data)
            except (UserError, TransientError) as error:
                refused = isinstance(error, UserError)
                patience = min(patience_s, REFUSED_PATIENCE_S) if refused else patience_s
                pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
                if self.clock.now() - began + pause > patience:
                    raise
                tries += 1
                self.clock.sleep(pause)

    def _patch(self, data: Mapping[str, str]) -> Mapping[str, str]:
        where = f"ConfigMap {self.namespace}/{self.name}"
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{self.name}?fieldManager=daybreak-step"
        url = self.access.server + path
        request = urllib.request.Request(url, json.dumps({"data": data}).encode(), method="PATCH")
        request.add_header("Content-Type", "application/merge-patch+json")
        request.add_header("Accept", "application/json")
        try:
            request.add_header("Authorization", self.access.authorization() or "")
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}),  # a proxy is for what lies outside the cluster
                urllib.request.HTTPSHandler(context=self._tls()),
            )
            with opener.open(request, timeout=REQUEST_S) as answer:
                body = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _explained(where, error.code, error.read(10_000)) from error
        except FileNotFoundError as error:
            raise UserError(
                f"{where}: {error.filename} is not there: the pod needs its service account's token "
                "(automountServiceAccountToken: true)"
            ) from error
        except (OSError, HTTPException) as error:  # URLError is an OSError
            raise TransientError(
                f"{where}: the API server {self.access.server} does not answer: {error}"
            ) from error
        except ValueError as error:
            raise TransientError(f"{where}: what the API server answers is no JSON: {error}") from error
        found: Mapping[str, str] = body.get("data") or {}
        return found

    def _tls(self) -> ssl.SSLContext:
        file = self.access.ca_file
        is_there = file is not None and file.exists()
        return (self.access if is_there else replace(self.access, ca_file=None)).tls()


def _explained(where: str, status: int, body: bytes) -> errors.DaybreakError:
    try:
        said = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        said = body.decode(errors="replace")[:500]
    if status == 403:
        return UserError(
            f"{where}: the service account may not patch it ({said}); it needs a Role with verb patch on this name"
        )
    if status == 404:
        return UserError(
            f"{where}: is not there ({said}); its TrainingRun was deleted, or {RESULTS_CONFIGMAP} is wrong"
        )
    if status == 401:
        return UserError(f"{where}: the API server does not accept the pod's token ({said})")
    if status in (400, 413, 415, 422):
        return UserError(f"{where}: refused with status {status} ({said})")
    return TransientError(f"{where}: the API server says {status} ({said})")


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    message = document["message"]
    left = len(message) - MAX_MESSAGE_CHARACTERS
    if left <= 0:
        return document
    return {
        **document,
        "message": f"{message[:MAX_MESSAGE_CHARACTERS]} ... ({left} more characters are in the pod's log)",
    }


def reporter_from(
    environment: Mapping[str, str], named: str = "", clock: RetryClock | None = None
) -> StepResultReporter | None:
    """Return the way that ``named`` or else the environment gives; None where nobody waits for results.

    A name without the pod's own address of the API server is a UserError.
    """
    target = named or environment.get(RESULTS_CONFIGMAP, "")
    if not target:
        return None
    namespace, slash, name = target.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise UserError(f"{RESULTS_CONFIGMAP} must be <namespace>/<ConfigMap>, got {target!r}")
    if not is_in_pod(environment):
        raise UserError(
            f"{RESULTS_CONFIGMAP} is {target} but KUBERNETES_SERVICE_HOST is not set: this is no pod"
        )
    return StepResultReporter(namespace, name, access_of_pod(environment), clock or RetryClock())


class ProgressPoster:
    """Reports the newest progress from a thread of its own: a slow API server never slows a step."""

    def __init__(self, reporter: StepResultReporter, interval_s: float = PROGRESS_INTERVAL_S) -> None:
        self._reporter = reporter
        self._interval_s = interval_s
        self._newest: Mapping[str, Any] | None = None
        self._came = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, state: Mapping[str, Any]) -> None:
        """Take progress: ``step``, ``activity``, ``done``, ``total``."""
        self._newest = {**state, "updated": round(self._reporter.clock.unix(), 1)}
        self._came.set()
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._post, name="step-progress", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Post no more; what is on its way may still arrive."""
        self._closed.set()
        self._came.set()

    def _post(self) -> None:
        told = False
        while True:
            self._came.wait()
            self._came.clear()
            if self._closed.is_set() or self._newest is None:
                return
            try:
                self._reporter.progress(self._newest)
            except errors.DaybreakError as error:
                if not told:  # once: the result will be offered anyhow, with more patience
                    print(f"progress could not be reported: {error}", file=sys.stderr)
                told = True
            if self._closed.wait(self._interval_s):
                return
