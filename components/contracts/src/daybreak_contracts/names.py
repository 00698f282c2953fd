"""Every name that is said in more than one place: API group, kinds, labels, finalizers, steps.

Nothing else in the project spells the label prefix (a ratchet test holds it).
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

GROUP = "daybreak.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
ApiVersion = Literal["daybreak.dev/v1alpha1"]
"""The same as a type; a type checker knows no computed literals."""
CATEGORY = "daybreak"
KIND_RUN = "TrainingRun"
KIND_DEPLOYMENT = "ModelDeployment"
PLURAL_RUN = "trainingruns"
PLURAL_DEPLOYMENT = "modeldeployments"

# On the cluster -------------------------------------------------------------------------------------------------
FIELD_OWNER = "daybreak-operator"
"""Field manager of every server-side apply."""
FINALIZER = f"{GROUP}/finalizer"
"""Held only while something outside the cluster's own garbage collection must be stopped."""
LEASE = "daybreak-operator"

LABEL_OWNER_KIND = f"{GROUP}/owner-kind"
"""On every child: ``TrainingRun`` or ``ModelDeployment``; what the operator's own watches select by."""
LABEL_OWNER = f"{GROUP}/owner"
"""On every child: name of the object it belongs to."""
LABEL_OWNER_UID = f"{GROUP}/owner-uid"
LABEL_ROLE = f"{GROUP}/role"
"""What a child is for: one of the ``ROLE_`` values."""
LABEL_STAGE = f"{GROUP}/stage"
LABEL_POD_TEMPLATE = f"{GROUP}/pod-template"
"""On a run's jobs: digest of the ``podTemplate`` that they were made with."""
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_REVISION = f"{GROUP}/revision"
"""Short digest of the model that a serving pod answers with."""
LABEL_POOL = f"{GROUP}/pool"
LABEL_ZONE = f"{GROUP}/zone"
LABEL_MARKET = f"{GROUP}/market"
"""On nodes too: ``Reserved``, ``Spot`` or ``OnDemand``."""
LABEL_ACCELERATOR = "nvidia.com/gpu.product"
"""On nodes, as the GPU feature discovery of the GPU operator sets it."""
LABEL_NODE_ZONE = "topology.kubernetes.io/zone"
RESOURCE_GPU = "nvidia.com/gpu"
ANNOTATION_DIGEST = f"{GROUP}/model-digest"
ANNOTATION_SPEC = f"{GROUP}/applied"
"""Digest of what was applied: an unchanged child is not applied again."""

ANNOTATION_BACKEND = f"{GROUP}/pipelines"
"""On a TrainingRun: ``KubeflowPipelines`` or ``Job``, instead of what the installation chose."""
ANNOTATION_GATEWAY = f"{GROUP}/gateway"
"""On a ModelDeployment: ``namespace/name`` of the Gateway (Gateway API) that an HTTPRoute is made for; unset: none."""
ANNOTATION_HOSTNAMES = f"{GROUP}/hostnames"
"""On a ModelDeployment: the HTTPRoute's host names, with commas between them."""

RUNTIME_PYTHON = "TritonPython"
RUNTIME_VLLM = "TritonVLLM"
RUNTIMES = (RUNTIME_PYTHON, RUNTIME_VLLM)
"""What there are engines of; each has an environment and an image of its own."""

ROLE_RESULTS = "results"
ROLE_ARGUMENTS = "arguments"
ROLE_RECORD = "record"
"""What serves everyone, kept beside a ModelDeployment: it has no owner, so it outlives the object and its status."""
ROLE_SNAPSHOT = "snapshot"
ROLE_PIPELINE = "pipeline"
ROLE_TRAINING = "training"
ROLE_EXECUTOR = "executor"
CONTAINER_EXECUTOR = "spark-kubernetes-executor"
"""Spark's own default name of an executor's container."""
ROLE_ENGINE = "engine"
ROLE_GATEWAY = "gateway"
ROLE_ACCESS = "access"

WORK_DIR = "/tmp/daybreak"
"""Local scratch folder of a step in a pod; a volume of its own is mounted there."""
# What a data step's pod knows of itself, for Spark's executors (downward API, and the installation's choices).
ENV_POD_NAME = "DAYBREAK_POD_NAME"
ENV_POD_NAMESPACE = "DAYBREAK_POD_NAMESPACE"
ENV_RUN_UID = "DAYBREAK_RUN_UID"
"""Of the TrainingRun whose pod this is: the same for all its attempts, and for no other run of any cluster."""
ENV_POD_IP = "DAYBREAK_POD_IP"
ENV_POD_ACCOUNT = "DAYBREAK_POD_ACCOUNT"
"""Service account of the executors' pods; the namespace's default unless set."""
ENV_EXECUTOR_IMAGE = "DAYBREAK_EXECUTOR_IMAGE"
ENV_EXECUTOR_CORES = "DAYBREAK_EXECUTOR_CORES"
ENV_EXECUTOR_MEMORY_MB = "DAYBREAK_EXECUTOR_MEMORY_MB"
ENV_EXECUTOR_LABELS = "DAYBREAK_EXECUTOR_LABELS"
"""``name=value,name=value``: what the operator finds a run's executors by."""
ENV_EXECUTOR_POD = "DAYBREAK_EXECUTOR_POD"
"""JSON of a pod (``metadata``, ``spec``): what an installation and a run add to that of an executor."""
ENV_PULL_SECRETS = "DAYBREAK_PULL_SECRETS"
"""Secrets with registry credentials, with commas between them, in each namespace of pods; empty: none."""
ENV_SHARED_CLAIM = "DAYBREAK_SHARED_CLAIM"
"""PersistentVolumeClaim, mounted at the step's ``work_dir``, that many pods may write to at once."""

# Ports, each said here only.
PORT_GATEWAY = 8000
"""Completions and events."""
PORT_GATEWAY_METRICS = 9090
"""``/metrics`` and ``/snapshot``."""
PORT_ENGINE = 8001
"""Triton's gRPC."""
PORT_ENGINE_METRICS = 8002
PORT_ENGINE_HTTP = 8080
"""Probes and the model's metadata."""
PORT_TRAINER = 8080
"""``/progress`` of a training's first pod."""
PORT_RENDEZVOUS = 29500
"""Where the processes of a training meet, on its first pod; torch's own default."""
PORT_OPERATOR = 8080
"""Probes and metrics of the operator."""
PORT_LOCAL = 8080
"""``daybreak serve``."""

LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
LABEL_QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
QUEUE_LABELS = (LABEL_QUEUE, LABEL_QUEUE_PRIORITY)
"""Kueue's, on a TrainingRun or a ModelDeployment: copied to what makes its pods."""
LABEL_KUBEFLOW_RUN = "pipeline/runid"
"""Kubeflow's own label on the pods of a run."""
NO_SECRET = "daybreak-no-secret"
"""Stands where a Secret's name is wanted and there is none: Kubernetes takes no empty name, but an optional Secret."""
STORAGE_SECRET_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "HF_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "WANDB_API_KEY",
)
"""What Kubeflow's pods take from the storage Secret: Kubeflow maps keys one by one. Other pods take all keys."""

STAGE_DATA = "data"
STAGE_TRAIN = "train"
STAGE_MODEL = "model"
DATA_PIPELINE = "daybreak-data"
MODEL_PIPELINE = "daybreak-model"


def short(digest: str) -> str:
    """Return what stands for a digest in names and labels: 10 characters of it, without its algorithm."""
    return digest.rpartition(":")[2][:10]


SHA256_DIGITS = 64


def revision_key(digest: str, runtime: str) -> str:
    """Return what names a model beside itself on another runtime: its digest, and a digest of both behind it."""
    return f"{digest}:{hashlib.sha256(f'{digest} {runtime}'.encode()).hexdigest()[:10]}"


def model_of(revision: str) -> str:
    """Return the digest of a revision's model, as it was given: ``d:TAG`` is of ``d``, all else is a model itself."""
    head, _, _ = revision.rpartition(":")
    return head if len(head) >= SHA256_DIGITS else revision


def stage_child(run: str, stage: str, attempt: int) -> str:
    """Return the name of a stage's job and of its results in its attempt, from 1."""
    return f"{run}-{stage}-{attempt}"


def train_job(run: str, attempt: int, nodes: int) -> str:
    """Return the name of an attempt's TrainJob: as short as its pods need, whose names are labels of 63.

    JobSet makes ``NAME-node-0-INDEX`` of it, and refuses the whole set where five more characters have no room.
    """
    whole = stage_child(run, STAGE_TRAIN, attempt)
    room = 63 - len(f"-node-0-{nodes - 1}-abcde")
    if len(whole) <= room:
        return whole
    tail = f"-{hashlib.sha256(run.encode()).hexdigest()[:6]}-{STAGE_TRAIN}-{attempt}"
    return run[: room - len(tail)].rstrip("-") + tail


def arguments_name(run: str, stage: str, attempt: int) -> str:
    """Return the name of the ConfigMap that a stage's pods read their arguments from."""
    return f"{stage_child(run, stage, attempt)}-arguments"


def snapshot_name(run: str) -> str:
    """Return the name of the ConfigMap that holds the spec that a run was started with."""
    return f"{run}-snapshot"


def pipeline_run_id(uid: str, stage: str, attempt: int) -> str:
    """Return the id that the operator chooses for a Kubeflow run: the same after any restart of the operator."""
    return f"{uid}-{stage}-{attempt}"


def access_name(run: str) -> str:
    """Return the name of the Role and RoleBinding that let a run's pods write their results."""
    return f"{run}-results"


def training_service(run: str) -> str:
    """Return the name of the headless Service over a run's training pods, where an Indexed Job makes them."""
    return f"{run}-{STAGE_TRAIN}"


def trainers_policy(run: str) -> str:
    """Return the name of the NetworkPolicy that lets only trainers of the same run reach each other."""
    return f"{run}-trainers"


def pipelines_policy(run: str) -> str:
    """Return the name of the NetworkPolicy that lets only pods of a run's own pipelines reach each other."""
    return f"{run}-pipelines"


def engine_name(deployment: str, digest: str, pool: str, zone: str) -> str:
    """Return the name of the Deployment of one revision in one pool and zone; at most 54 characters.

    It ends in a digest of pool and zone: their names may be long, ``a-b`` in ``c`` is not ``a`` in ``b-c``, and what a
    label may hold and a name may not (OpenStack has zones with capitals) is written otherwise before it.
    """
    tail = hashlib.sha256(f"{pool}/{zone}".encode()).hexdigest()[:6]
    whole = re.sub(r"[^a-z0-9.-]", "-", f"{deployment}-{short(digest)}-{pool}-{zone}".lower())
    whole = re.sub(r"[.-]*(?:-\.|\.-|\.\.)[.-]*", "-", whole)
    name = whole[: MAX_CHILD_NAME - 7].rstrip("-.")
    return f"{name}-{tail}"


def gateway_name(deployment: str) -> str:
    """Return the name of the gateway's Deployment, Service and PodDisruptionBudget."""
    return f"{deployment}-gateway"


def record_name(deployment: str) -> str:
    """Return the name of the ConfigMap that remembers which model a deployment has in production."""
    return f"{deployment}-production"


def finished_name(run: str) -> str:
    """Return the name of the ConfigMap that remembers how a run ended."""
    return f"{run}-finished"


def engine_policy(deployment: str) -> str:
    """Return the name of the NetworkPolicy that lets only the gateway reach the engines."""
    return f"{deployment}-engines"


def engine_service(deployment: str, digest: str) -> str:
    """Return the name of the headless Service over all engines of one revision."""
    return f"{deployment}-{short(digest)}"


MAX_CHILD_NAME = 54
"""Deployments and Jobs add up to nine characters to the names of their pods, which are labels of 63."""

STEP_INGEST = "ingest"
STEP_DOCUMENTS = "documents"
STEP_XRAY = "xray"
STEP_TOKENIZER = "tokenizer"
STEP_SHARDS = "shards"
STEP_TRAIN = "train"
STEP_EXPORT = "export"
STEP_EVALUATE = "evaluate"

# Special tokens, in the order of their ids. Other programs find them in raw text, so code must not spell them by
# chance: the first seven are what the field's tools write into prompts (StarCoder's spelling, which every editor
# plug-in with fill-in-the-middle knows), the others no language can spell (docs/decisions/0076-text-is-text.md).
END_OF_TEXT = "<|endoftext|>"
FIM_PREFIX = "<fim_prefix>"
FIM_MIDDLE = "<fim_middle>"
FIM_SUFFIX = "<fim_suffix>"
FIM_PAD = "<fim_pad>"
REPOSITORY_NAME = "<|repo_name|>"
FILE_SEPARATOR = "<|file_sep|>"
UNUSED_TOKENS = tuple(
    f"<|unused_{index}|>" for index in range(4)
)  # stood for personal data, which is text now
MODE_TOKENS = {kind: f"<|mode_{kind.lower()}|>" for kind in ("R", "S", "X")}
NUM_SENTINELS = 100
SENTINEL_TOKENS = tuple(f"<|extra_id_{index}|>" for index in range(NUM_SENTINELS))
SPECIAL_TOKENS = (
    END_OF_TEXT,
    FIM_PREFIX,
    FIM_MIDDLE,
    FIM_SUFFIX,
    FIM_PAD,
    REPOSITORY_NAME,
    FILE_SEPARATOR,
    *UNUSED_TOKENS,
    *MODE_TOKENS.values(),
    *SENTINEL_TOKENS,
)
RESPELLED_TOKENS = {
    **dict(zip(("<NAME>", "<EMAIL>", "<KEY>", "<PASSWORD>"), UNUSED_TOKENS, strict=True)),
    **{f"[{kind}]": token for kind, token in MODE_TOKENS.items()},
    **{f"<extra_id_{index}>": token for index, token in enumerate(SENTINEL_TOKENS)},
}
"""What tokenizers of earlier versions call a token, and its name now: `board[X]` and `Map<KEY>` are code."""
