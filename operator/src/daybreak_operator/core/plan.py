"""What a decision hands to the shell, and nothing else: the whole desired state.

``decide(observed, now) -> Plan`` is pure and level-based: the same observation gives the same plan, and a plan that
was carried out half gives, at the next pass, the rest of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | Sequence[Json] | None"
"""What a manifest is made of."""
Object = Mapping[str, Any]
"""A Kubernetes object as its API speaks it."""
Status = Mapping[str, Any]
"""A status as it is stored."""
Severity = Literal["Normal", "Warning"]
"""Type of an event."""


@dataclass(frozen=True)
class Finding:
    """Why something is as it is: a CamelCase reason for programs, a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Ref:
    """One object to delete; the uid guards against deleting a namesake made since."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class ObjectEvent:
    """A Kubernetes event about the reconciled object; sent after the status was written."""

    type: Severity
    reason: str
    message: str


@dataclass(frozen=True)
class PipelinePods:
    """What the pods of a Kubeflow run get besides what their pipeline was compiled with."""

    platform: Mapping[str, Json] = field(default_factory=dict)
    """Fields of kfp-kubernetes' ``KubernetesExecutorConfig``."""
    container: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the task's container (``PipelineContainerSpec``)."""
    steps: tuple[str, ...] = ()
    """Only for the tasks of these steps; empty: for all."""


@dataclass(frozen=True)
class Submit:
    """A Kubeflow pipeline run to submit, at most once ever: ``run_id`` is deterministic.

    The shell asks for ``run_id`` first and posts only when it is surely absent.
    """

    run_id: str
    pipeline: str
    """``names.DATA_PIPELINE`` or ``names.MODEL_PIPELINE``."""
    display_name: str
    experiment: str
    parameters: Mapping[str, Json]
    service_account: str
    namespace: str = ""
    """Profile that the experiment belongs to, where Kubeflow knows profiles: the run's pods are made there."""
    pods: tuple[PipelinePods, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the shell carries out, in this order: status first where it records an attempt, then the children.

    ``status_first`` is for counters: an attempt is written down before its children are made, so an operator killed
    in between makes the same child, never a second one.
    """

    status: Mapping[str, Json]
    """The whole status (JSON); written only when it differs from the stored one."""
    apply: tuple[Object, ...] = ()
    """Children to have: server-side apply with owner reference; one that is already so is left alone."""
    delete: tuple[Ref, ...] = ()
    submit: tuple[Submit, ...] = ()
    terminate: tuple[str, ...] = ()
    """Kubeflow run ids to stop."""
    events: tuple[ObjectEvent, ...] = ()
    requeue_after_s: float | None = None
    """Requeue after this many seconds when nothing happens; None means never."""
    status_first: bool = False
    finalizer: bool = False
    """Whether the object must carry ``names.FINALIZER`` after this pass."""
    delete_self: bool = False
    """The object's time to live is over."""
