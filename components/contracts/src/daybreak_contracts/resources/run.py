"""TrainingRun: raw source code in, an evaluated model folder out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from daybreak_contracts.resources.fields import (
    Count,
    DecimalText,
    Name,
    OptionalUri,
    Ratio,
    Resource,
    Seconds,
    Text,
    Uri,
    require_one,
)
from daybreak_contracts.resources.metadata import ObjectMeta
from daybreak_contracts.resources.run_status import TrainingRunStatus


class Language(StrEnum):
    """Programming languages that a run can keep; the names are linguist's, in lower case."""

    PYTHON = "python"
    JAVASCRIPT = "javascript"
    TYPESCRIPT = "typescript"
    JAVA = "java"
    GO = "go"
    C = "c"
    CPP = "cpp"
    RUST = "rust"
    CSHARP = "csharp"
    RUBY = "ruby"
    PHP = "php"
    SHELL = "shell"
    SQL = "sql"
    HTML = "html"
    CSS = "css"
    JSON = "json"
    YAML = "yaml"
    TOML = "toml"
    XML = "xml"
    MARKDOWN = "markdown"


class DirectorySource(Resource):
    """A folder of source code; every folder directly below it counts as one repository."""

    path: Uri


class ParquetSource(Resource):
    """Rows with the text of one file each, as in The Stack."""

    uri: Uri
    content_column: Text = "content"
    path_column: Text = "path"
    language_column: Text = ""
    licence_column: Text = ""
    repository_column: Text = ""


class GitSource(Resource):
    """Git repositories, cloned without history at one reference."""

    urls: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=256)]
    ref: Text = ""
    """Branch or tag; empty means each repository's default branch."""


class ArchivesSource(Resource):
    """Archives: tar (plain, gz, bz2, xz, zst), zip, wheel, npm and deb packages."""

    uris: Annotated[tuple[Uri, ...], Field(min_length=1, max_length=256)]


class InstalledPackagesSource(Resource):
    """The source code of this Python environment: the standard library and the installed packages."""

    packages: Annotated[tuple[Text, ...], Field(max_length=256)] = ()
    """Only these distributions; empty means all of them and the standard library (named ``stdlib``)."""


class Source(Resource):
    """One named source. Adding one re-uses the work done on the others."""

    name: Name
    directory: DirectorySource | None = None
    parquet: ParquetSource | None = None
    git: GitSource | None = None
    archives: ArchivesSource | None = None
    installed_packages: InstalledPackagesSource | None = None
    max_bytes: Annotated[int, Field(ge=1, le=1 << 50)] | None = None
    """Take a seeded random sample of files of about this many bytes; absent means everything."""

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        require_one(self, "directory", "parquet", "git", "archives", "installed_packages")
        return self


class Filters(Resource):
    """Which files are good enough. StarCoder2: the published rules; Strict adds OpenCoder's."""

    profile: Literal["None", "StarCoder2", "Strict"] = "StarCoder2"


class Duplicates(Resource):
    """Near-duplicate removal: MinHash of 5-grams, 256 permutations, Jaccard threshold."""

    threshold: Ratio = "0.70"
    scope: Literal["None", "Exact", "File"] = "File"
    """None keeps everything, Exact drops equal files, File also near-duplicates."""


Handling = Literal["Redact", "Keep", "Drop"]


class PersonalData(Resource):
    """What happens to personal data: Redact replaces it, Drop drops the file, Keep leaves it."""

    emails: Handling = "Redact"
    ip_addresses: Handling = "Redact"
    keys: Handling = "Redact"


class Executors(Resource):
    """Where Spark runs: 0 = one process, ``local[*]``; n = Spark on Kubernetes with n executor pods."""

    count: Annotated[int, Field(ge=0, le=1000)] = 0


class Data(Resource):
    """Which code, and what is done to it before training."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=32)]
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=32)] = (
        Language.PYTHON,
        Language.JAVASCRIPT,
        Language.TYPESCRIPT,
        Language.JAVA,
        Language.GO,
        Language.C,
        Language.CPP,
        Language.RUST,
    )
    filters: Filters = Filters()
    duplicates: Duplicates = Duplicates()
    personal_data: PersonalData = PersonalData()
    decontaminate: Annotated[tuple[Literal["HumanEval"], ...], Field(max_length=8)] = ("HumanEval",)
    executors: Executors = Executors()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Data:
        names = [source.name for source in self.sources]
        if len(names) != len(set(names)):
            raise ValueError(f"source names must be unique, got {', '.join(names)}")
        return self


class TrainTokenizer(Resource):
    """Train a byte-level BPE on a sample of the run's own documents."""

    vocabulary_size: Annotated[int, Field(ge=512, le=1 << 20)] = 32768
    sample_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 40)] = 2147483648


class ReuseTokenizer(Resource):
    """Use the tokenizer of an earlier run: the URI of its artifact."""

    uri: Uri


class Tokenizer(Resource):
    """Train one, or re-use one."""

    train: TrainTokenizer | None = None
    reuse: ReuseTokenizer | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Tokenizer:
        require_one(self, "train", "reuse")
        return self


class CustomModel(Resource):
    """Dimensions of a Llama-style model."""

    hidden_size: Annotated[int, Field(ge=16, le=65536)]
    layers: Annotated[int, Field(ge=1, le=512)]
    heads: Annotated[int, Field(ge=1, le=512)]
    key_value_heads: Annotated[int, Field(ge=1, le=512)]
    intermediate_size: Annotated[int, Field(ge=16, le=1 << 20)]

    @model_validator(mode="after")
    def _heads_divide(self) -> CustomModel:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"hiddenSize must be an even multiple of heads, got {self.hidden_size} / {self.heads}"
            )
        if self.heads % self.key_value_heads:
            raise ValueError(
                f"heads must be a multiple of keyValueHeads, got {self.heads} / {self.key_value_heads}"
            )
        return self


class Model(Resource):
    """A named size, or custom dimensions."""

    size: Literal["1m", "10m", "125m", "350m", "1b", "3b"] | None = None
    custom: CustomModel | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Model:
        require_one(self, "size", "custom")
        return self


class NextToken(Resource):
    """Plain left-to-right training."""


class FillInTheMiddle(Resource):
    """Bavarian et al. 2022 (arXiv 2207.14255): character-level, context-level."""

    rate: Ratio = "0.5"
    """Share of documents that are transformed."""
    spm_share: Ratio = "0.5"
    """Of those, the share laid out suffix-prefix-middle."""


class Objective(Resource):
    """What the model learns to predict."""

    next_token: NextToken | None = None
    fill_in_the_middle: FillInTheMiddle | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Objective:
        require_one(self, "next_token", "fill_in_the_middle")
        return self


class Checkpointing(Resource):
    """How often and how many."""

    every_seconds: Seconds | None = None
    """Absent: from the failure rate and the measured stall (Young/Daly)."""
    keep: Annotated[int, Field(ge=2, le=100)] = 3


class Placement(Resource):
    """Where training pods may run."""

    zones: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    same_zone: bool = True
    markets: Annotated[
        tuple[Literal["Reserved", "Spot", "OnDemand"], ...], Field(min_length=1, max_length=3)
    ] = ("Reserved", "Spot", "OnDemand")


class Training(Resource):
    """How long, how and where the model is trained. Give at most one of the three lengths."""

    objective: Objective = Objective(next_token=NextToken())
    tokens_per_parameter: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Training length as a multiple of the parameter count; 20 when no length is given (Chinchilla)."""
    tokens: Annotated[int, Field(ge=1, le=1 << 60)] | None = None
    deadline_seconds: Seconds | None = None
    context_length: Annotated[int, Field(ge=32, le=1 << 20)] = 2048
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = 0
    """0 trains on the CPU."""
    image: Text = ""
    checkpoint: Checkpointing = Checkpointing()
    placement: Placement = Placement()
    pod_template: dict[str, Any] = Field(default_factory=dict)
    """Strategic patch for every pod of the run: volumes, secrets, tolerations, node selectors."""

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        lengths = [self.tokens_per_parameter, self.tokens, self.deadline_seconds]
        if sum(value is not None for value in lengths) > 1:
            raise ValueError("give at most one of tokensPerParameter, tokens, deadlineSeconds")
        return self


class Suite(Resource):
    """One evaluation suite."""

    name: Literal["HumanEval", "HeldOutCompletion"]
    samples_per_task: Annotated[int, Field(ge=1, le=1000)] = 1
    max_tasks: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Only this many tasks, chosen by seed; absent means all (HeldOutCompletion: 1,000)."""


class Gate(Resource):
    """A floor or ceiling that a score must keep for the model to be published."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[A-Za-z0-9@_.-]+$", max_length=128)]
    min: DecimalText | None = None
    max: DecimalText | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Gate:
        if self.min is None and self.max is None:
            raise ValueError("min or max must be given")
        return self


class Evaluation(Resource):
    """How the model is judged and when it is good enough."""

    suites: Annotated[tuple[Suite, ...], Field(max_length=16)] = (
        Suite(name="HumanEval"),
        Suite(name="HeldOutCompletion"),
    )
    gates: Annotated[tuple[Gate, ...], Field(max_length=32)] = ()


class FailureRule(Resource):
    """What a failure of training leads to; the first rule that matches decides."""

    on_pod_condition: Text | None = None
    on_exit_codes: Annotated[tuple[Annotated[int, Field(ge=1, le=255)], ...], Field(max_length=32)] | None = (
        None
    )
    action: Literal["Restart", "RestartFree", "Fail"]


DEFAULT_FAILURE_RULES = (
    FailureRule(on_pod_condition="DisruptionTarget", action="RestartFree"),
    FailureRule(on_exit_codes=(2,), action="Fail"),
    FailureRule(action="Restart"),
)


class RunPolicy(Resource):
    """How long the run may take and how failures are met."""

    active_deadline_seconds: Seconds | None = None
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    backoff_limit: Count = 3
    pods_ready_timeout_seconds: Seconds = 1800
    failure_rules: Annotated[tuple[FailureRule, ...], Field(max_length=32)] = DEFAULT_FAILURE_RULES


class Mlflow(Resource):
    """MLflow tracking server; empty means a local store below the run's output."""

    uri: OptionalUri = ""


class Wandb(Resource):
    """Weights & Biases; an empty project turns it off, a missing key makes it log offline."""

    project: Text = ""
    secret_ref: Text = ""


class Tracking(Resource):
    """Where metrics go besides the run's own ledger."""

    mlflow: Mlflow = Mlflow()
    wandb: Wandb = Wandb()


class Output(Resource):
    """Everything the run makes lies below this URI."""

    uri: Uri


class TrainingRunSpec(Resource):
    """What to make, from what, how."""

    suspend: bool = False
    output: Output
    data: Data
    tokenizer: Tokenizer = Tokenizer(train=TrainTokenizer())
    model: Model
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    run_policy: RunPolicy = RunPolicy()
    tracking: Tracking = Tracking()
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of every sample, shuffle and initialisation of the run."""


class TrainingRun(Resource):
    """One training of one model."""

    api_version: Literal["daybreak.dev/v1alpha1"]
    kind: Literal["TrainingRun"]
    metadata: ObjectMeta
    spec: TrainingRunSpec
    status: TrainingRunStatus | None = None
