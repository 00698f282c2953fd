"""``run.json``: what a run made, at the top of its output, so that ``daybreak serve`` and people find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.plan import TrainingPlan

FILE = "run.json"
PLAN = "plan.json"
"""In a run's work folder: what ``daybreak plan --measure`` found, for the run's report."""


class PublishedModel(BaseModel):
    """The model folder and its digest; set only when the model was evaluated and passed its gates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    digest: str


class RunRecord(BaseModel):
    """A finished run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: PublishedModel | None
    failed_gates: tuple[str, ...] = ()
    results: dict[str, Any]
    """Step to its Result as JSON."""
    seconds: dict[str, float]
    peak_bytes: dict[str, int] = {}
    """Step to the most memory of its processes together."""
    plan: TrainingPlan | None = None
    """What was planned of the training before it ran."""


def keep_plan(work_dir: str, plan: TrainingPlan) -> None:
    """Keep a measured plan until its run ends."""
    storage.write_json(str(Path(work_dir) / PLAN), plan.model_dump(mode="json"))


def kept_plan(work_dir: str) -> TrainingPlan | None:
    """Return the plan that was kept; None when there is none that can be read."""
    try:
        return TrainingPlan.model_validate_json((Path(work_dir) / PLAN).read_bytes())
    except (OSError, ValueError):
        return None


def write(output: str, record: RunRecord) -> None:
    """Write the record; it appears whole or not at all."""
    storage.write_json(storage.join(output, FILE), record.model_dump(mode="json"))


def read(output: str) -> RunRecord:
    """Read the record of a run's output; absent is a UserError."""
    location = storage.join(output, FILE)
    if not storage.exists(location):
        raise UserError(f"{output}: no finished run here (no {FILE}); run `daybreak run MANIFEST` first")
    return RunRecord.model_validate(storage.read_json(location))


def find_model(run: str) -> str:
    """Return the model folder that a person means: a model folder, a run's output, its name, or its manifest."""
    if is_model_folder(run):
        return run
    return _model_of(find_output(run))


def is_model_folder(uri: str) -> bool:
    """Tell whether a folder holds a model, ours or a hub's; one that cannot be served is told so by who opens it."""
    names = ("config.json", "adapter_config.json")
    if any(storage.exists(storage.join(uri, name)) for name in names):
        return True
    return not storage.is_remote(uri) and any(storage.local_path(uri).glob("*.gguf"))


def find_output(run: str) -> str:
    """Return the output that a person means by a run's output, its name, or its manifest."""
    if run.endswith((".yaml", ".yml")):
        from daybreak_contracts.manifests.validate import load_run

        return load_run(Path(run)).spec.output.uri
    named = storage.join("runs", run)
    if "/" not in run and not storage.exists(storage.join(run, FILE)) and storage.exists(named):
        return named
    return run


def find_training_digest(output: str) -> str | None:
    """Return the digest of the training that a finished run ended with; None while there is no record."""
    if not storage.exists(storage.join(output, FILE)):
        return None
    digest = read(output).results.get(names.STEP_TRAIN, {}).get("digest")
    return None if digest is None else str(digest)


def _model_of(output: str) -> str:
    record = read(output)
    if record.model is None:
        raise UserError(f"{output}: the run did not pass its gates: {'; '.join(record.failed_gates)}")
    return record.model.uri
