"""What strangers write into a manifest: each is refused with what to write instead, and that is then taken."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.manifests import field_words, meant, pod_template
from daybreak_contracts.manifests.model_tree import places_of
from daybreak_contracts.manifests.validate import validate_text
from daybreak_contracts.resources import ModelDeployment, TrainingRun
from tests.plugins.profiles import examples

HEAD: dict[str, Any] = {"apiVersion": "daybreak.dev/v1alpha1", "metadata": {"name": "a"}}
RUN = HEAD | {
    "kind": "TrainingRun",
    "spec": {
        "output": {"uri": "runs/a"},
        "data": {"sources": [{"name": "a", "directory": {"path": "/src"}}]},
        "model": {"size": "1m"},
    },
}
POOL = {"name": "p", "accelerator": "nvidia-l4", "zones": ["a"]}
DEPLOYMENT = HEAD | {
    "kind": "ModelDeployment",
    "spec": {"model": {"trainingRunRef": {"name": "r"}}, "pools": [POOL]},
}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return an object with one field set; what is on the way is made."""
    made = copy.deepcopy(base)
    part: Any = made
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in above:
        part = part.setdefault(step, {}) if isinstance(part, dict) else part[step]
    part[last] = value
    return made


def said(base: dict[str, Any], path: str, value: Any) -> list[str]:
    text = yaml.safe_dump(changed(base, path, value), sort_keys=False)
    return [str(problem) for problem in validate_text(text.encode(), "m.yaml")]


RUNS: list[tuple[str, Any, str]] = [
    ("spec.training.deadlineSeconds", "24h", "write 86400"),
    ("spec.training.deadlineSeconds", "1h30m", "write 5400"),
    ("spec.training.deadlineSeconds", "7 days", "write 604800"),
    ("spec.training.deadlineSeconds", "PT2H", "write 7200"),
    ("spec.training.deadlineSeconds", "P1DT2H", "write 93600"),
    ("spec.training.deadlineSeconds", "300", "write 300"),
    ("spec.runPolicy.ttlSecondsAfterFinished", "7d", "write 604800"),
    ("spec.data.sources.0.maxBytes", "50MB", "write 50000000"),
    ("spec.data.sources.0.maxBytes", "50Mi", "write 52428800"),
    ("spec.data.sources.0.maxBytes", "1.5 GiB", "write 1610612736"),
    ("spec.training.tokens", "10B", "write 10000000000"),
    ("spec.training.tokens", "2.5 billion tokens", "write 2500000000"),
    ("spec.training.tokens", "10,000,000", "write 10000000"),
    ("spec.training.tokens", "10_000_000", "write 10000000"),
    ("spec.training.contextLength", "2k", "write 2048"),
    ("spec.tokenizer.train.vocabularySize", "32k", "write 32768"),
    ("spec.training.schedule.peakRate", 3e-4, 'write "0.0003"'),
    ("spec.training.schedule.peakRate", 1e-05, 'write "0.00001"'),
    ("spec.training.schedule.peakRate", "3e-4 ", 'write "0.0003"'),
    ("spec.training.objective.fillInTheMiddle.rate", "50%", 'write "0.5"'),
    ("spec.data.duplicates.threshold", 70, 'write "0.7"'),
    ("spec.data.duplicates.threshold", "0,7", 'write "0.7"'),
    ("spec.training.objective", "fim", "write {fillInTheMiddle: {}}"),
    ("spec.training.objective", "ul2", "write {ul2: {}}"),
    ("spec.model", "125m", "write {size: 125m}"),
    ("spec.data.sources.0.directory", "/data", "write {path: /data}"),
    ("spec.data.sources.0", {"name": "x", "git": {"urls": "https://h/a/b"}}, "write ['https://h/a/b']"),
    ("spec.data.languages", "python, go", "write [python, go]"),
    ("spec.data.languages", ["py"], "did you mean python?"),
    ("spec.data.languages", [".rs"], ""),
    ("spec.data.filters", "StarCoder2", "write {profile: StarCoder2}"),
    ("spec.evaluation.suites", "HumanEval", "write [{name: HumanEval}]"),
    ("spec.evaluation.suites", ["HumanEval"], "write {name: HumanEval}"),
    ("spec.evaluation.gates", [{"metric": "HumanEval/pass@1", "min": "0.1"}], "write humaneval/pass@1"),
    ("spec.evaluation.gates", [{"metric": "humaneval/pass@1", "min": "20%"}], 'write "0.2"'),
    ("spec.runPolicy.failureRules", [{"onExitCodes": 137, "action": "Restart"}], "write [137]"),
    ("spec.tracking.mlflow", "http://mlflow", "write {uri: 'http://mlflow'}"),
    ("spec.data.licences", {"allow": ["Apache 2.0"]}, "write Apache-2.0"),
    ("metadata.name", "First_Run", "write first-run"),
    ("metadata.namespace", "Team A", "write team-a"),
    ("spec.output.uri", "runs/a ", "write runs/a"),
    ("spec.output.uri", "s3:/bucket/x", "write s3://bucket/x"),
    ("spec.output.uri", "S3://bucket/x", "write s3://bucket/x"),
    ("spec.output.uri", "s3a://bucket/x", "write s3://bucket/x"),
    ("spec.output.uri", "s3//bucket/x", "write s3://bucket/x"),
    ("spec.output.uri", "file:/data/x", "write file:///data/x"),
    ("spec.output.uri", "~/runs", "no shell fills it in here"),
    ("spec.output.uri", "$HOME/runs", "no shell fills it in here"),
    ("spec.output.uri", "${BUCKET}/runs", "no shell fills it in here"),
    ("spec.tracking.mlflow.uri", "mlflow:5000", "begin with a scheme"),
    ("spec.training.lr", 0.1, "did you mean spec.training.schedule.peakRate?"),
    ("spec.training.seqLen", 512, "did you mean contextLength?"),
    ("spec.training.numNodes", 2, "did you mean nodes?"),
    ("spec.training.tolerations", [], "did you mean podTemplate?"),
    ("spec.training.checkpoint.saveTotalLimit", 3, "did you mean keep?"),
    ("spec.data.licenses", {}, "did you mean licences?"),
    ("spec.data.pii", {}, "did you mean personalData?"),
    ("spec.tokens", 5, "did you mean spec.training.tokens?"),
]
DEPLOYMENTS: list[tuple[str, Any, str]] = [
    ("spec.model", "first-run", "write {trainingRunRef: {name: first-run}}"),
    ("spec.model.name", "first-run", "did you mean spec.model.trainingRunRef.name?"),
    ("spec.runtime", "TritonPython", "write {kind: TritonPython}"),
    ("spec.runtime.kind", "vllm", "did you mean TritonVLLM?"),
    ("spec.runtime.kind", "TritonTRTLLM", "use TritonPython or TritonVLLM"),
    ("spec.pools.0.zones", "a", "write [a]"),
    ("spec.pools.0.pricePerHour", "$0.35", 'write "0.35"'),
    ("spec.pools.0.minReplicas", 1, "did you mean min?"),
    ("spec.scaling.targetUtilization", "65%", 'write "0.65"'),
    ("spec.scaling.targetUtilization", 65, 'write "0.65"'),
    ("spec.rollout.ramp", "1,5,100", "write [1, 5, 100]"),
    ("spec.rollout.canary", [100], "did you mean ramp?"),
    ("spec.rollout.guardrails.maxP95LatencyMs", "500ms", "write 500"),
    ("spec.rollout.guardrails.maxP95LatencyMs", "1.5s", "write 1500"),
    ("spec.gateway.auth", {"jwt": {"issuer": "a.example", "audience": "x"}}, "write https://a.example"),
    ("spec.gateway.allowedOrigins", ["https://ide.example/"], "write https://ide.example"),
    ("spec.gateway.allowedOrigins", ["ide.example"], "write https://ide.example"),
]


@pytest.mark.parametrize(
    ("base", "path", "value", "remedy"),
    [pytest.param(RUN, *row, id=f"{row[0]}={row[1]!r}") for row in RUNS]
    + [pytest.param(DEPLOYMENT, *row, id=f"{row[0]}={row[1]!r}") for row in DEPLOYMENTS],
)
def test_one_mistake_is_told_once_with_what_to_write(
    base: dict[str, Any], path: str, value: Any, remedy: str
) -> None:
    found = said(base, path, value)
    assert len(found) == 1 or not remedy, found
    assert all(remedy in problem for problem in found), found


REPOSITORIES = {
    "github.com/a/b": "https://github.com/a/b",
    "gitlab.com/a/b/c.git": "https://gitlab.com/a/b/c.git",
    "https://github.com/a/b/tree/main/src": "https://github.com/a/b, and",
    "https://gitlab.example/a/b/c/-/blob/main/x.py": "https://gitlab.example/a/b/c, and",
    "http://git.example/a/b": "https://git.example/a/b",
    "git://git.example/a/b": "https://git.example/a/b",
    "s3://bucket/a.git": "",
}


@pytest.mark.parametrize("url", REPOSITORIES)
def test_what_git_does_not_clone_is_said_before_anything_runs(url: str) -> None:
    (problem,) = said(RUN, "spec.data.sources.0", {"name": "a", "git": {"urls": [url]}})
    assert "what git clones" in problem
    assert f"write {REPOSITORIES[url]}" in problem or not REPOSITORIES[url]


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/a/b", "https://github.com/a/b.git", "git@github.com:a/b.git", "ssh://git@h/a/b",
        "/srv/git/b", "../b", "~/b", "b.bundle", "file:///srv/b", "https://github.com/a/tree", "github/a/b", "https://github.com/tree/x",
        "https://gitlab.com/g/sub/tree",
    ],
)  # fmt: skip
def test_what_git_clones_is_taken(url: str) -> None:
    assert said(RUN, "spec.data.sources.0", {"name": "a", "git": {"urls": [url]}}) == []


@pytest.mark.parametrize(
    "uri",
    [
        "runs/a",
        "/data/x",
        "s3://b/x",
        "gs://b/x",
        "file:///x",
        "s3/x",
        "https/x",
        "a:b/x",
        "x~/y",
        "./$x",
        "a b",
    ],
)
def test_paths_and_addresses_of_storage_are_taken(uri: str) -> None:
    assert said(RUN, "spec.output.uri", uri) == []


@pytest.mark.parametrize(
    ("template", "place", "words"),
    [
        ({"tolerations": []}, "tolerations", "did you mean spec.tolerations?"),
        ({"labels": {}}, "labels", "did you mean metadata.labels?"),
        ({"spec": {"toleration": []}}, "spec.toleration", "did you mean tolerations?"),
        ({"spec": {"env": []}}, "spec.env", "did you mean containers[].env?"),
        ({"spec": {"tolerations": {"key": "a"}}}, "spec.tolerations", "must be a list"),
        ({"spec": {"tolerations": [{"effect": "NoShedule"}]}}, "spec.tolerations[0].effect", "NoSchedule"),
        ({"spec": {"nodeSelector": {"spot": True}}}, "spec.nodeSelector.spot", 'write it in quotes: "true"'),
        ({"metadata": {"labels": {"team": 7}}}, "metadata.labels.team", 'write it in quotes: "7"'),
        ({"spec": {"containers": [{"resources": {}}]}}, "spec.containers[0].name", "is required"),
        (
            {"spec": {"containers": [{"name": "pytorch", "env": [{"name": "A", "value": 1}]}]}},
            "spec.containers[0].env[0].value",
            'write it in quotes: "1"',
        ),
        (
            {"spec": {"containers": [{"name": "pytorch", "resources": {"limits": {"memory": "64GB"}}}]}},
            "spec.containers[0].resources.limits.memory",
            "write 64G",
        ),
        (
            {"spec": {"containers": [{"name": "pytorch", "resources": {"limits": {"memory": "16 gib"}}}]}},
            "spec.containers[0].resources.limits.memory",
            "write 16Gi",
        ),
        (
            {"spec": {"containers": [{"name": "pytorch", "volumeMount": []}]}},
            "spec.containers[0].volumeMount",
            "did you mean volumeMounts?",
        ),
    ],
)
def test_a_pod_template_that_no_cluster_takes(template: dict[str, Any], place: str, words: str) -> None:
    (problem,) = said(RUN, "spec.training.podTemplate", template)
    assert f"spec.training.podTemplate.{place}: " in problem
    assert words in problem
    for path in ("spec.podTemplate", "spec.gateway.podTemplate"):
        (problem,) = said(DEPLOYMENT, path, template)
        assert words in problem


def test_pod_templates_that_clusters_take() -> None:
    template = {
        "metadata": {"labels": {"a": "1"}, "annotations": None},
        "spec": {
            "$retainKeys": ["containers"],
            "aFieldOfNextYear": 1,
            "tolerations": [{"key": "a", "operator": "Exists"}, {"effect": "NoExecute"}],
            "nodeSelector": {"a": "true", "$patch": "replace"},
            "containers": [
                {
                    "name": "pytorch",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}],
                    "resources": {
                        "limits": {"cpu": 4, "memory": "16Gi", "x.y/z": "1e3"},
                        "requests": {"cpu": 0.5},
                    },
                },
                {"$patch": "delete", "name": "b"},
            ],
        },
    }
    assert said(RUN, "spec.training.podTemplate", template) == []


def test_pods_and_containers_have_the_fields_of_the_client() -> None:
    from kubernetes.client import V1Container, V1PodSpec

    assert set(V1Container.attribute_map.values()) == pod_template.CONTAINER_FIELDS
    newer = set(V1PodSpec.attribute_map.values()) - pod_template.POD_FIELDS
    assert newer <= {"evictionResponders", "schedulingGroup"}  # alpha: nobody misspells them


def test_each_field_in_the_table_of_words_is_one_of_ours() -> None:
    ours = {alias for kind in (TrainingRun, ModelDeployment) for alias, _ in places_of(kind)}
    assert sorted(set(field_words.WORDS) - ours) == []


VALUES = st.one_of(
    st.text(max_size=12),
    st.from_regex(re.compile(r"[0-9]{1,4}(\.[0-9]{1,2})?\s?(ms|s|m|h|d|k|M|MB|GiB|B|%|)"), fullmatch=True),
    st.integers(-5, 10**6),
    st.floats(0, 100),
)
FIELDS = [
    (base, path)
    for base, rows in ((RUN, RUNS), (DEPLOYMENT, DEPLOYMENTS))
    for path in sorted({row[0] for row in rows})
]


@pytest.mark.slow
@settings(max_examples=examples(150))
@given(st.sampled_from(FIELDS), VALUES)
def test_what_is_said_to_be_written_is_taken(field: tuple[dict[str, Any], str], value: Any) -> None:
    base, path = field
    found = [problem for problem in said(base, path, value) if "(write " in problem]
    for problem in found:
        proposed = yaml.safe_load(re.findall(r"\(write (.*)\)$", problem)[0])
        assert said(base, path, proposed) == [], (problem, proposed)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_durations(text: str) -> None:
    found = meant.seconds(text)
    assert found is None or found >= 0
