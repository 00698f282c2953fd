"""TrainingRun: raw source code in, an evaluated model folder out.

Its parts live beside it (data, training, evaluation) and are offered from here by name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daybreak_contracts.errors import UserError
from daybreak_contracts.names import ApiVersion
from daybreak_contracts.resources import rules
from daybreak_contracts.resources.data import (
    ArchivesSource,
    Data,
    DirectorySource,
    Duplicates,
    Exclusion,
    Executors,
    Filters,
    GitSource,
    Handling,
    InstalledPackagesSource,
    JsonLinesSource,
    LanguageFilters,
    MixtureRow,
    ParquetSource,
    PersonalData,
    Source,
    TableSource,
)
from daybreak_contracts.resources.evaluation import Evaluation, Gate, Suite
from daybreak_contracts.resources.fields import (
    Between,
    Count,
    Flag,
    OptionalUri,
    Resource,
    Seconds,
    Text,
    Uri,
)
from daybreak_contracts.resources.languages import Language
from daybreak_contracts.resources.metadata import ObjectMeta
from daybreak_contracts.resources.problems import ProblemFile, Problems
from daybreak_contracts.resources.rules import Rule, Transition
from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_contracts.resources.training import (
    Checkpointing,
    CustomModel,
    FillInTheMiddle,
    Model,
    NextToken,
    Objective,
    Placement,
    ReuseTokenizer,
    Tokenizer,
    Training,
    TrainTokenizer,
)

__all__ = [
    "DEFAULT_FAILURE_RULES",
    "FROZEN_ONCE_STARTED",
    "ArchivesSource",
    "Checkpointing",
    "CustomModel",
    "Data",
    "DirectorySource",
    "Duplicates",
    "Evaluation",
    "Exclusion",
    "Executors",
    "FailureRule",
    "FillInTheMiddle",
    "Filters",
    "Gate",
    "GitSource",
    "Handling",
    "InstalledPackagesSource",
    "JsonLinesSource",
    "Language",
    "LanguageFilters",
    "MixtureRow",
    "Mlflow",
    "Model",
    "NextToken",
    "Objective",
    "Output",
    "ParquetSource",
    "PersonalData",
    "Placement",
    "ProblemFile",
    "Problems",
    "ReuseTokenizer",
    "RunPolicy",
    "Source",
    "Suite",
    "TableSource",
    "Tokenizer",
    "Tracking",
    "TrainTokenizer",
    "Training",
    "TrainingRun",
    "TrainingRunSpec",
    "Wandb",
]


class FailureRule(Resource):
    """What a failure of training leads to; the first rule that matches decides."""

    on_pod_condition: Text | None = None
    """Matches when a pod has this condition, as ``DisruptionTarget``; absent matches any."""
    on_exit_codes: Annotated[tuple[Annotated[int, Between(1, 255)], ...], Field(max_length=32)] | None = None
    """Matches when the first container that failed left one of these; absent matches any."""
    action: Literal["Restart", "RestartFree", "Fail"]
    """Restart counts against `backoffLimit`, RestartFree does not, Fail ends the run."""


DEFAULT_FAILURE_RULES = (
    FailureRule(on_pod_condition="DisruptionTarget", action="RestartFree"),
    FailureRule(on_exit_codes=(2,), action="Fail"),
    FailureRule(action="Restart"),
)


class RunPolicy(Resource):
    """How long the run may take and how failures are met."""

    active_deadline_seconds: Seconds | None = None
    """The run fails when it takes longer, time in a queue left out; absent means never."""
    ttl_seconds_after_finished: Annotated[int, Between(0, 31_536_000)] | None = None
    """The object is deleted this long after the end (never the output); absent means kept."""
    backoff_limit: Count = 3
    """Counted restarts before the run fails."""
    pods_ready_timeout_seconds: Seconds = 1800
    """How long training pods may wait for capacity before another place is tried."""
    failure_rules: Annotated[tuple[FailureRule, ...], Field(max_length=32)] = DEFAULT_FAILURE_RULES
    """What a failure of training leads to; the first rule that matches decides."""


class Mlflow(Resource):
    """MLflow tracking server."""

    rules = (rules.tracking_server("uri"),)

    uri: OptionalUri = ""
    """Address of the server; empty means a local store below the run's output."""


class Wandb(Resource):
    """Weights & Biases; a missing key makes it log offline."""

    project: Text = ""
    """Name of the project; empty turns it off."""
    secret_ref: Text = ""
    """Secret of the same namespace whose key ``apiKey`` is the API key."""


class Tracking(Resource):
    """Where metrics go besides the run's own ledger."""

    mlflow: Mlflow = Mlflow()
    """MLflow."""
    wandb: Wandb = Wandb()
    """Weights & Biases."""


class Output(Resource):
    """Where the run's artifacts go."""

    rules = (rules.stored("uri"),)

    uri: Uri
    """Everything the run makes lies below this folder."""


def _repositories_are_not_denoised(spec: TrainingRunSpec) -> bool:
    return spec.data.layout == "File" or spec.training.objective.ul2 is None


def _names_no_model_or_nothing_of_one(spec: TrainingRunSpec) -> bool:
    training = spec.training
    lengths = (training.tokens, training.tokens_per_parameter, training.deadline_seconds)
    return spec.model is not None or not (spec.evaluation.gates or any(lengths))


def _problem_files(spec: TrainingRunSpec) -> set[str]:
    suites = (suite.problems for suite in spec.evaluation.suites)
    return {file.uri for file in (*suites, *spec.data.decontaminate_files) if file is not None}


def _trained_problems(spec: TrainingRunSpec) -> list[str]:
    tables = [source.jsonl or source.parquet for source in spec.data.sources]
    return [table.uri for table in tables if table is not None and table.uri in _problem_files(spec)]


_IS_NO_PROBLEM_FILE = (
    "!(has(self.data.decontaminateFiles) && self.data.decontaminateFiles.exists(f, f.uri == {uri})) && "
    "!(has(self.evaluation) && has(self.evaluation.suites) && "
    "self.evaluation.suites.exists(s, has(s.problems) && s.problems.uri == {uri}))"
)


class TrainingRunSpec(Resource):
    """What to make, from what, how."""

    rules = (
        Rule(
            message="a length of training and gates need a model: name one, or leave them out for data alone",
            cel="has(self.model) || !((has(self.evaluation) && has(self.evaluation.gates) && "
            "size(self.evaluation.gates) > 0) || (has(self.training) && (has(self.training.tokens) || "
            "has(self.training.tokensPerParameter) || has(self.training.deadlineSeconds))))",
            holds=_names_no_model_or_nothing_of_one,
            at="model",
        ),
        Rule(
            message="data.layout Repository is for nextToken and fillInTheMiddle: ul2 takes layout File",
            cel="!(has(self.data.layout) && self.data.layout == 'Repository') || "
            "!(has(self.training) && has(self.training.objective) && has(self.training.objective.ul2))",
            holds=_repositories_are_not_denoised,
            at="data",
        ),
        Rule(
            message="a file of evaluation problems must not be trained on: take it out of data.sources",
            cel="self.data.sources.all(t, "
            f"(!has(t.jsonl) || ({_IS_NO_PROBLEM_FILE.format(uri='t.jsonl.uri')})) && "
            f"(!has(t.parquet) || ({_IS_NO_PROBLEM_FILE.format(uri='t.parquet.uri')})))",
            holds=lambda spec: not _trained_problems(spec),
            at="data",
            got=lambda spec: ", ".join(_trained_problems(spec)),
        ),
    )

    suspend: Flag = False
    """True stops the run and frees its machines; false lets it go on from its last checkpoint."""
    output: Output
    """Where the run's artifacts go."""
    data: Data
    """Which code, and what is done to it before training."""
    tokenizer: Tokenizer = Tokenizer(train=TrainTokenizer())
    """Train a tokenizer, or re-use one."""
    model: Model | None = None
    """How large the model is; absent, the run makes data alone: documents, x-ray, tokenizer, shards."""
    training: Training = Training()
    """How long, how and where the model is trained."""
    evaluation: Evaluation = Evaluation()
    """How the model is judged and when it is good enough."""
    run_policy: RunPolicy = RunPolicy()
    """How long the run may take and how failures are met."""
    tracking: Tracking = Tracking()
    """Where metrics go besides the run's own ledger."""
    seed: Annotated[int, Between(0, 2**31 - 1)] = 0
    """Seed of every sample, shuffle and initialisation of the run."""

    def wanted_model(self) -> Model:
        """Return the model to train; a UserError when the run makes data alone."""
        if self.model is None:
            raise UserError("spec.model is absent, so this run makes data alone: name a model to train one")
        return self.model


FROZEN_ONCE_STARTED = ("output", "data", "tokenizer", "model", "training", "seed")
"""Fields of the spec that a started run is made from; of ``training`` all but ``LIVE_IN_TRAINING``."""


LIVE_IN_TRAINING = ("pod_template",)
"""Fields of ``spec.training`` that say how pods look, not what is made: what the cluster refuses can be corrected."""


def _frozen_training() -> Transition:
    frozen = [name for name in Training.model_fields if name not in LIVE_IN_TRAINING]

    def keeps(new: TrainingRun, old: TrainingRun) -> bool:
        started = new.status is not None and new.status.start_time is not None
        now, then = new.spec.training, old.spec.training
        return not started or all(getattr(now, name) == getattr(then, name) for name in frozen)

    same = [
        f"(has(self.spec.training.{field}) == has(oldSelf.spec.training.{field}) && "
        f"(!has(self.spec.training.{field}) || self.spec.training.{field} == oldSelf.spec.training.{field}))"
        for field in (str(Training.model_fields[name].alias or name) for name in frozen)
    ]
    return Transition(
        message="spec.training cannot change once the run has started, but for podTemplate: make a new TrainingRun",
        cel="!has(self.status) || !has(self.status.startTime) || "
        "(has(self.spec.training) == has(oldSelf.spec.training) && "
        f"(!has(self.spec.training) || ({' && '.join(same)})))",
        keeps=keeps,
    )


def _frozen(name: str) -> Transition:
    def keeps(new: TrainingRun, old: TrainingRun) -> bool:
        started = new.status is not None and new.status.start_time is not None
        return not started or getattr(new.spec, name) == getattr(old.spec, name)

    return Transition(
        message=f"spec.{name} cannot change once the run has started: make a new TrainingRun",
        # At the root, because only there a rule sees both spec and status. An object that was stored before the field
        # was required lacks it: a rule that breaks on that would refuse every write of its status and finalizers.
        cel="!has(self.status) || !has(self.status.startTime) || "
        f"(has(self.spec.{name}) == has(oldSelf.spec.{name}) && "
        f"(!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name}))",
        keeps=keeps,
    )


class TrainingRun(Resource):
    """One training of one model: raw source code in, an evaluated model folder out."""

    transitions = tuple(
        _frozen_training() if name == "training" else _frozen(name) for name in FROZEN_ONCE_STARTED
    )

    api_version: ApiVersion
    """Always `daybreak.dev/v1alpha1`."""
    kind: Literal["TrainingRun"]
    """Always `TrainingRun`."""
    metadata: ObjectMeta
    """Name, namespace, labels, annotations."""
    spec: TrainingRunSpec
    """What to make, from what, how."""
    status: TrainingRunStatus | None = None
    """Written by the operator only."""
