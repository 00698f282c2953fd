"""Kubeflow Pipelines as a back end: how a run stands, start one at most once, stop one.

Speaks through the API client that kfp generates (``kfp_server_api``), below ``kfp.Client``: that one cannot choose a
run's id and waits without a limit for a server that is down (decision 0009). Decides nothing about a TrainingRun.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Submit
from daybreak_operator.core.training.observed.observation import PipelineRun, PipelineState
from daybreak_operator.settings import Images, Settings
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kubeflow import package as kubeflow_package
from daybreak_operator.shell.kubeflow.pods import namespaces_of_pods, pods_of_runs

TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where Kubeflow's guide for multi-user installations mounts a token for the pipelines API."""
CONNECT_S = 3.0
READ_S = 10.0
LOST_AFTER_S: Mapping[PipelineState, float] = {"Pending": 600.0, "Running": 120.0, "Canceling": 120.0}
"""No pods for this long while the back end says so. Its state lags by a minute after an outage (observed); what is
Pending may wait for a workflow controller that is down, whose pods then come."""
STOPPED_AFTER_S = 600.0
"""What a run may take to be stopped, pods or not: nobody waits for one longer."""
SETTLE_S = 10.0
"""How long an unclear submission is asked about at once."""
SETTLE_PAUSE_S = 1.0
QUIET_S = 60.0
"""How long after an unclear submission nothing is posted under its id: a server may still be at work on it."""
STATES: Mapping[str, PipelineState] = {
    "PENDING": "Pending",
    "RUNNING": "Running",
    "PAUSED": "Running",
    "CANCELING": "Canceling",
    "SUCCEEDED": "Succeeded",
    "SKIPPED": "Succeeded",
    "FAILED": "Failed",
    "CANCELED": "Failed",
}
"""CANCELED is in the API's list, but a terminated run was only ever seen FAILED."""
INTERNAL = 500
MAX_DISPLAY_NAME = 100
"""A name that is too long is a 500; the limit itself is not documented."""


class Api(Protocol):
    """The part of the generated client that is used; every call takes ``_request_timeout``."""

    def run_service_get_run(self, run_id: str, **options: Any) -> Any:
        """``GET runs/{id}``."""

    def run_service_create_run(self, run: Any, **options: Any) -> Any:
        """``POST runs``."""

    def run_service_terminate_run(self, run_id: str, **options: Any) -> Any:
        """``POST runs/{id}:terminate``."""


@dataclass(frozen=True)
class Choices:
    """What an installation chooses; every default is a plain single-user Kubeflow."""

    images: Images | None = None
    """Instead of the names that the packages were compiled with."""
    token_file: Path = TOKEN_FILE
    packages: Path | None = None
    """Folder with compiled pipelines; None: those of the installed daybreak-pipelines."""
    pods_of: Callable[[str], tuple[ObservedPod, ...] | None] | None = None
    """Finds the pods with label ``names.LABEL_KUBEFLOW_RUN`` of a run, None where that can't be told; without it no run
    that has not been asked to stop is ever called lost."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    timeouts_s: tuple[float, float] = (CONNECT_S, READ_S)
    """To connect, to answer."""


def back_end(settings: Settings, kube: Kube) -> Kubeflow:
    """Return the back end of an installation: with its images, and able to tell a lost run."""
    pods_of = pods_of_runs(kube, namespaces_of_pods(settings))
    return Kubeflow(settings.kubeflow_url, Choices(images=settings.images, pods_of=pods_of))


class NotThereError(Exception):
    """The back end answered that there is no such thing (404)."""


class NoAnswerError(Exception):
    """The back end did not answer; whether it heard may be unknown."""

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        self.was_sent = was_sent


@dataclass(frozen=True)
class KubeflowExperiment:
    """What runs are filed under; its namespace is where Kubeflow with profiles makes their pods, else empty."""

    name: str
    namespace: str


class UnclearError(TransientError):
    """A submission that may or may not have reached the back end."""


@dataclass
class SubmissionCache:
    """What is remembered between calls; losing it costs a request or a moment, never a second run."""

    experiments: dict[KubeflowExperiment, str] = field(default_factory=dict)
    """To its id."""
    podless: dict[str, float] = field(default_factory=dict)
    """Run that is not over to when it was first seen without pods."""
    stopping: dict[str, float] = field(default_factory=dict)
    """Run that is being stopped to when that was first seen."""
    unclear: dict[str, float] = field(default_factory=dict)
    """Run to when its submission was left unclear."""


class Kubeflow:
    """The back end at a URL."""

    def __init__(self, url: str, choices: Choices | None = None) -> None:
        import kfp_server_api

        self._choices = choices or Choices()
        configuration = kfp_server_api.Configuration(host=url.rstrip("/"))
        configuration.retries = (
            False  # a POST is never sent twice, and a server that is down is told of at once
        )
        self._client = kfp_server_api.ApiClient(configuration)
        self._runs: Api = kfp_server_api.RunServiceApi(self._client)
        self._experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self._url = url
        self._memory = SubmissionCache()

    @property
    def pods_of(self) -> Callable[[str], tuple[ObservedPod, ...] | None] | None:
        """What finds the pods of a run."""
        return self._choices.pods_of

    def get(self, run_id: str) -> PipelineRun:
        """Return how a run stands; a back end that is down or refuses us is a TransientError."""
        try:
            with self._asking(f"run {run_id}"):
                run = self._runs.run_service_get_run(run_id, **self._options())
        except NotThereError:
            self._forget(run_id)
            return PipelineRun("Absent")
        found = pipeline_run(run)
        if found.state not in LOST_AFTER_S:
            self._forget(run_id)
            return found
        pods = self._choices.pods_of(run_id) if self._choices.pods_of is not None else None
        drivers = tuple(pod for pod in pods or () if not pod.label(names.LABEL_OWNER_UID))
        return self._lost(run_id, found.state, pods) or replace(found, pods=drivers)

    def submit(self, request: Submit) -> bool:
        """Start a run unless one has its id; at most one is ever started, whatever is lost on the way.

        Return whether this call started it.

        A spec or parameter that the back end refuses is a UserError. TransientError: ask again later.
        """
        run_id, choices = request.run_id, self._choices
        if self.get(run_id).state != "Absent":
            self._memory.unclear.pop(run_id, None)
            return False
        unclear_since = self._memory.unclear.get(run_id)
        if unclear_since is not None and choices.clock() - unclear_since < QUIET_S:
            raise TransientError(f"Kubeflow run {run_id}: it is not clear yet whether it was started")
        if choices.pods_of is not None and choices.pods_of(run_id) != ():
            raise TransientError(f"Kubeflow run {run_id}: has pods, but the back end does not know it (yet)")
        body = self._body(request)
        try:
            self._post(run_id, body)
        except NotThereError:  # its experiment was deleted: surely no run was made
            self._memory.experiments.pop(experiment_of(request), None)
            try:
                self._post(run_id, {**body, "experiment_id": self._experiment(experiment_of(request))})
            except NotThereError as error:
                raise TransientError(f"Kubeflow experiment {request.experiment}: came and went") from error
        return True

    def terminate(self, run_id: str) -> None:
        """Stop a run; one that is absent, over or being stopped is fine."""
        import kfp_server_api

        try:
            with self._asking(f"run {run_id}"):
                try:
                    self._runs.run_service_terminate_run(run_id, **self._options())
                except kfp_server_api.ApiException as error:
                    if error.status != 400:  # final already, or CANCELING
                        raise
        except NotThereError:
            return

    def _lost(
        self, run_id: str, state: PipelineState, pods: tuple[ObservedPod, ...] | None
    ) -> PipelineRun | None:
        """Tell a run that nothing works at any more from one that its back end only says is alive."""
        now, memory = self._choices.clock(), self._memory
        if state == "Canceling":
            stopping = now - memory.stopping.setdefault(run_id, now)
            if stopping >= STOPPED_AFTER_S:
                return PipelineRun("Lost", f"the back end has been stopping it for {stopping:.0f} s")
        if pods != ():
            memory.podless.pop(run_id, None)
            return None
        podless = now - memory.podless.setdefault(run_id, now)
        if podless < LOST_AFTER_S[state]:
            return None
        return PipelineRun("Lost", f"the back end says {state.upper()}, but had no pods for {podless:.0f} s")

    def _forget(self, run_id: str) -> None:
        self._memory.podless.pop(run_id, None)
        self._memory.stopping.pop(run_id, None)

    def _body(self, request: Submit) -> dict[str, Any]:
        choices = self._choices
        package = kubeflow_package.read(request.pipeline, choices.packages)
        if choices.images is not None:
            package = kubeflow_package.with_images(package, choices.images)
        package = kubeflow_package.with_pods(package, request.pods)
        return {
            "run_id": request.run_id,
            "experiment_id": self._experiment(experiment_of(request)),
            "display_name": request.display_name[:MAX_DISPLAY_NAME],
            "pipeline_spec": package,
            "runtime_config": {"parameters": dict(request.parameters)},
            "service_account": request.service_account,
        }

    def _post(self, run_id: str, body: Mapping[str, Any]) -> None:
        """Post once; whatever is unclear after it is settled by asking, never by posting."""
        import kfp_server_api

        try:
            with _answered():
                self._runs.run_service_create_run(dict(body), **self._options())
        except NoAnswerError as error:
            if not error.was_sent:
                raise TransientError(f"{self._url}: cannot be reached: {error}") from error
            self._settle(run_id, str(error))
        except kfp_server_api.ApiException as error:
            if error.status == 404:
                raise NotThereError from error
            if error.status in (400, 401, 403, 413, 422):
                raise UserError(f"Kubeflow refuses run {run_id}: {_said(error)}") from error
            if error.status == INTERNAL and self._is_absent(run_id):
                raise _refused_spec(run_id, error) from error
            self._settle(run_id, _said(error))
        self._memory.unclear.pop(run_id, None)

    def _is_absent(self, run_id: str) -> bool:
        try:
            return self.get(run_id).state == "Absent"
        except TransientError:
            return False

    def _settle(self, run_id: str, why: str) -> None:
        """Ask until the run is there; when it does not come, remember that it still may."""
        choices = self._choices
        self._memory.unclear[run_id] = began = choices.clock()
        while choices.clock() - began < SETTLE_S:
            try:
                if self.get(run_id).state != "Absent":
                    return
            except TransientError as error:
                why = str(error)
            choices.sleep(SETTLE_PAUSE_S)
        raise UnclearError(f"Kubeflow run {run_id}: it is not clear whether it was started: {why}")

    def _experiment(self, wanted: KubeflowExperiment) -> str:
        """Return the id of an experiment, made when there is none of that name."""
        if wanted not in self._memory.experiments:
            found = self._find_experiment(wanted) or self._make_experiment(wanted)
            self._memory.experiments[wanted] = found
        return self._memory.experiments[wanted]

    def _find_experiment(self, wanted: KubeflowExperiment) -> str | None:
        predicate = {"operation": 1, "key": "display_name", "stringValue": wanted.name}
        with self._asking(f"experiment {wanted.name}"):
            answer = self._experiments.experiment_service_list_experiments(
                filter=json.dumps({"predicates": [predicate]}),
                namespace=wanted.namespace,
                **self._options(),
            )
        return str(answer.experiments[0].experiment_id) if answer.experiments else None

    def _make_experiment(self, wanted: KubeflowExperiment) -> str:
        import kfp_server_api

        body = kfp_server_api.V2beta1Experiment(display_name=wanted.name, namespace=wanted.namespace)
        try:
            with self._asking(f"experiment {wanted.name}"):
                made = self._experiments.experiment_service_create_experiment(body, **self._options())
        except TransientError:
            # Somebody else made it at the same time, or the answer got lost.
            found = self._find_experiment(wanted)
            if found is None:
                raise
            return found
        return str(made.experiment_id)

    def _options(self) -> dict[str, Any]:
        """Return what every call is given; a token is read anew, because it is replaced every hour."""
        if self._choices.token_file.exists():
            token = self._choices.token_file.read_text().strip()
            self._client.set_default_header("Authorization", f"Bearer {token}")
        return {"_request_timeout": self._choices.timeouts_s}

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn the client's errors into ours, for calls that may be made again."""
        import kfp_server_api

        try:
            with _answered():
                yield
        except NoAnswerError as error:
            raise TransientError(f"{self._url}: cannot be reached: {error}") from error
        except kfp_server_api.ApiException as error:
            if error.status == 404:
                raise NotThereError from error
            raise TransientError(f"Kubeflow {what}: {_said(error)}") from error


@contextmanager
def _answered() -> Iterator[None]:
    """Turn every way of getting no answer into one error.

    The generated client meets a broken TLS connection with an AttributeError of its own: its error has no body.
    """
    import kfp_server_api
    import urllib3

    try:
        yield
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
        raise NoAnswerError(str(error), was_sent=False) from error
    except urllib3.exceptions.HTTPError as error:
        raise NoAnswerError(str(error), was_sent=True) from error
    except AttributeError as error:
        if not isinstance(error.__context__, kfp_server_api.ApiException):
            raise
        raise NoAnswerError(str(error.__context__.reason), was_sent=True) from error


def experiment_of(request: Submit) -> KubeflowExperiment:
    """Return what a run is filed under."""
    return KubeflowExperiment(request.experiment, request.namespace)


def pipeline_run(run: Any) -> PipelineRun:
    """Return how a run stands, from the API's ``V2beta1Run``."""
    state = STATES.get(str(run.state or "PENDING"), "Running")
    history = [str(entry.state) for entry in run.state_history or ()]
    message = ""
    if state == "Failed" and ("CANCELING" in history or str(run.state) == "CANCELED"):
        message = "it was terminated"
    ended = None
    if state in ("Succeeded", "Failed") and run.finished_at is not None:
        ended = run.finished_at.timestamp()
        ended = ended if ended > 0 else None  # 1970 until done
    return PipelineRun(state, message, ended)


def _said(error: Any) -> str:
    """Return the sentence of an error answer, whichever of the API's two shapes it has."""
    try:
        document = json.loads(error.body)
        text = document.get("message") or document.get("error_message") or document.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        text = ""
    return f"status {error.status}: {str(text or error.reason)[:500]}"


def _refused_spec(run_id: str, error: Any) -> UserError | TransientError:
    """Tell a spec that the back end cannot read from a back end that is ill: both are 500, code 13 the former."""
    try:
        code = json.loads(error.body).get("code")
    except (TypeError, ValueError, AttributeError):
        code = None
    if code == 13:
        return UserError(f"Kubeflow cannot start run {run_id}: {_said(error)}")
    return TransientError(f"Kubeflow did not start run {run_id}: {_said(error)}")
