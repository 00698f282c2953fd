"""How a run ended, kept where a lost status does not take it: in a ConfigMap that no object owns.

Backups bring a run back without its status, and it would make its data, and perhaps its model, once more. Owns what is
remembered, and when it is believed: only of the same spec, and only while nothing was ever said of the run.
docs/backup.md says what a person sees of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from daybreak_contracts import names
from daybreak_operator.core import conditions
from daybreak_operator.core.observed.objects import ObservedConfigMap
from daybreak_operator.core.plan import Finding, Json, Object, ObjectEvent, Status
from daybreak_operator.core.training.observed import live_spec, objects
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.core.training.status import codec

FILE = "finished.json"
GENERATION = "observedGeneration"


def record_of(run: Object) -> tuple[Object, ...]:
    """Return the record to have of a run that is over; none of one that never began."""
    status: Status = run.get("status") or {}
    if not status.get("snapshot"):
        return ()
    metadata = objects.metadata(run)
    kept = {name: value for name, value in status.items() if name != GENERATION}
    labels = {
        names.LABEL_OWNER_KIND: names.KIND_RUN,
        names.LABEL_OWNER: metadata.get("name"),
        names.LABEL_OWNER_UID: objects.uid(run),
        names.LABEL_ROLE: names.ROLE_RECORD,
    }
    where = {"name": names.finished_name(str(metadata.get("name"))), "namespace": metadata.get("namespace")}
    record: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**where, "labels": labels},
        "data": {FILE: json.dumps(kept, sort_keys=True)},
    }
    return (record,)


def recovered(observed: RunObservation) -> dict[str, Json] | None:
    """Return the status of a run that was over before its status was lost; None of any other."""
    kept = _remembered(observed)
    if kept is None or _spec_of(observed) != kept.get("snapshot"):
        return None
    generation = objects.generation(observed.run)
    said = [{**item, GENERATION: generation} for item in codec.conditions(kept)]
    return {**codec.sound(kept), GENERATION: generation, "conditions": said}


def events_of(observed: RunObservation) -> tuple[ObjectEvent, ...]:
    """Return what is told of a run that has no status, and a namesake that is remembered."""
    kept = _remembered(observed)
    if kept is None:
        return ()
    name = names.finished_name(str(objects.metadata(observed.run).get("name")))
    if _spec_of(observed) == kept.get("snapshot"):
        said = (
            f"the status was lost; the run had ended at {kept.get('completionTime')}, as ConfigMap {name} remembers: "
            "its result stands, whether its artifacts are still there was not looked at. To run it once more, delete "
            "the run, then that ConfigMap, and apply the run again"
        )
        return (ObjectEvent("Warning", "ResultRecovered", said),)
    said = f"ConfigMap {name} remembers a run of this name with another spec: this one begins with its first step"
    return (ObjectEvent("Normal", "BeginsAnew", said),)


def _remembered(observed: RunObservation) -> Mapping[str, Json] | None:
    if observed.run.get("status") or objects.is_leaving(observed.run):
        return None
    kept = _read(observed.record)
    if kept is None or not conditions.is_true(codec.conditions(kept), "Finished"):
        return None
    return kept


def _read(record: ObservedConfigMap | None) -> Mapping[str, Json] | None:
    try:
        kept = json.loads(record.data.get(FILE, "")) if record is not None else None
    except ValueError:
        return None
    return kept if isinstance(kept, dict) else None


def _spec_of(observed: RunObservation) -> str:
    live = live_spec.validated(observed.run)
    return "" if isinstance(live, Finding) else live[1]
