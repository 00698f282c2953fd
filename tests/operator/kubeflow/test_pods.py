"""A run's podTemplate and executors on Kubeflow: in the package as kfp-kubernetes would have put them, or refused."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from kfp import compiler, dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2 as protocol

from daybreak_contracts import names, steps
from daybreak_data.spark.kubernetes import executors_from
from daybreak_operator.core.plan import PipelinePods
from daybreak_operator.core.training.children import owned
from daybreak_operator.core.training.children.pipeline_pods import EXECUTOR_STEPS
from daybreak_operator.core.training.children.pod_translation import translated
from daybreak_operator.core.training.decide import decide
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kubeflow import package as kubeflow_package
from tests.operator.training.world import World

PROFILES = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")
SINGLE = PROFILES.model_copy(update={"kubeflow_namespace": "kubeflow"})
SHARED = SINGLE.model_copy(update={"shared_claim": "shared"})
AFFINITY = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
    }
}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"team": "ml"}, "annotations": {"note": "yes"}},
    "spec": {
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [
            {"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        ],
        "affinity": {"nodeAffinity": AFFINITY},
        "imagePullSecrets": [{"name": "registry"}],
        "activeDeadlineSeconds": 30,
        "containers": [
            {"name": "pytorch", "env": [{"name": "NCCL_DEBUG", "value": "INFO"}]},
            {
                "name": "pipeline",
                "imagePullPolicy": "Always",
                "env": [
                    {"name": "PROXY", "value": "http://proxy"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
                    {"name": "MIRROR", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "mirror"}}},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
                "resources": {
                    "limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
                    "requests": {"cpu": "1", "memory": "1Gi"},
                },
                "volumeMounts": [
                    {"name": "code", "mountPath": "/data/src", "subPath": "main"},
                    {"name": "keys", "mountPath": "/keys"},
                    {"name": "rules", "mountPath": "/rules"},
                    {"name": "fast", "mountPath": "/fast"},
                ],
            },
        ],
        "volumes": [
            {"name": "code", "persistentVolumeClaim": {"claimName": "sources"}},
            {"name": "keys", "secret": {"secretName": "deploy"}},
            {"name": "rules", "configMap": {"name": "filters"}},
            {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            {"name": "checkpoints", "hostPath": {"path": "/only/of/training"}},
        ],
    },
}


@dsl.component(base_image="daybreak/data:0", install_kfp_package=False)
def step() -> None:
    """Do nothing."""


@dsl.pipeline(name="said-to-kfp")
def said_to_kfp() -> None:
    """TEMPLATE, said in kfp's own words."""
    task = step()
    task.set_cpu_limit("2").set_memory_limit("4Gi").set_cpu_request("1").set_memory_request("1Gi")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    task.set_env_variable("PROXY", "http://proxy")
    kubernetes.add_pod_label(task, "team", "ml")
    kubernetes.add_pod_annotation(task, "note", "yes")
    kubernetes.add_node_selector(task, "pool", "cpu")
    kubernetes.add_toleration(task, "dedicated", "Exists", None, "NoExecute", 300)
    kubernetes.add_node_affinity_json(task, AFFINITY)
    kubernetes.set_image_pull_secrets(task, ["registry"])
    kubernetes.set_timeout(task, 30)
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.use_secret_as_env(task, "hub", {"token": "TOKEN"})
    kubernetes.use_config_map_as_env(task, "site", {"mirror": "MIRROR"})
    kubernetes.use_field_path_as_env(task, "NODE", "spec.nodeName")
    kubernetes.mount_pvc(task, "sources", "/data/src", sub_path="main")
    kubernetes.use_secret_as_volume(task, "deploy", "/keys")
    kubernetes.use_config_map_as_volume(task, "filters", "/rules")
    kubernetes.empty_dir_mount(task, "fast", "/fast", medium="Memory", size_limit="1Gi")


def test_a_template_is_said_as_kfp_itself_says_it(tmp_path: Path) -> None:
    compiler.Compiler().compile(said_to_kfp, str(tmp_path / "p.yaml"))
    spec, platform = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    found = translated(TEMPLATE)
    assert found.platform == platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-step"]
    container = spec["deploymentSpec"]["executors"]["exec-step"]["container"]
    assert found.container["env"] == container["env"]
    assert without_old_fields(container["resources"]) == found.container["resources"]
    assert found.refused == []


def without_old_fields(resources: dict[str, Any]) -> dict[str, Any]:
    """Back ends since 2.14 do not read the fields beside the ones that end in a quantity."""
    kept = {name: value for name, value in resources.items() if name.startswith("resource")}
    accelerator = resources["accelerator"]
    return kept | {"accelerator": {name: accelerator[name] for name in ("resourceType", "resourceCount")}}


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "pipeline", **fields}]}}


CANNOT = [
    pytest.param({"spec": {"priorityClassName": "high"}}, "spec.priorityClassName", id="a priority"),
    pytest.param({"spec": {"affinity": {"podAffinity": {}}}}, "spec.affinity.podAffinity", id="other pods"),
    pytest.param({"spec": {"nodeSelector": None}}, "spec.nodeSelector", id="what is taken away"),
    pytest.param(
        {"spec": {"containers": [{"name": "side", "image": "x"}]}}, "spec.containers[side]", id="a side-car"
    ),
    pytest.param(container(image="x"), "spec.containers[pipeline].image", id="another image"),
    pytest.param(
        container(envFrom=[{"secretRef": {"name": "x"}}]), "containers[pipeline].envFrom", id="whole Secrets"
    ),
    pytest.param(
        container(resources={"limits": {"ephemeral-storage": "1Gi"}}),
        "resources.limits.ephemeral-storage",
        id="a resource of another kind",
    ),
    pytest.param(
        container(env=[{"name": "N", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]),
        "env[N].valueFrom.resourceFieldRef",
        id="a variable from its limits",
    ),
    pytest.param(
        container(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
        "volumeMounts[x]",
        id="a mount of no volume",
    ),
    pytest.param(
        {
            "spec": {
                "volumes": [{"name": "x", "nfs": {"server": "s", "path": "/"}}],
                **container(volumeMounts=[{"name": "x", "mountPath": "/x"}])["spec"],
            }
        },
        "spec.volumes[x].nfs",
        id="a volume of another kind",
    ),
    pytest.param(
        {"spec": {"volumes": [{"name": "settings"}]}}, "spec.volumes[settings]", id="our own volume"
    ),
    pytest.param({"spec": {"tolerations": [{"$patch": "replace"}]}}, "spec.tolerations", id="a directive"),
    pytest.param({"kind": "Pod"}, "kind", id="what no template has"),
]


@pytest.mark.parametrize(("template", "path"), CANNOT)
def test_what_kubeflow_cannot_do_holds_the_run_and_is_named(template: dict[str, Any], path: str) -> None:
    world = World({"training": {"podTemplate": template}}, PROFILES)
    plan = world.settle(2)
    assert world.condition("Stalled") == ("True", "NotOnKubeflow")
    said = world.message("Stalled")
    assert path in said
    assert "annotation daybreak.dev/pipelines: Job" in said
    assert (plan.submit, world.children, "startTime" in world.status) == ((), {}, False)
    world.run["metadata"]["annotations"] = {names.ANNOTATION_BACKEND: "Job"}
    world.look()
    assert world.condition("Stalled")[0] == "False"
    assert world.of_kind("Job")


@pytest.mark.parametrize(
    ("template", "path"),
    [
        pytest.param({"spec": {"serviceAccountName": "admin"}}, "spec.serviceAccountName", id="an account"),
        pytest.param(
            {"spec": {"imagePullSecrets": [{"name": "x"}]}}, "spec.imagePullSecrets", id="registry Secrets"
        ),
        pytest.param(
            container(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
            "env[K].valueFrom.secretKeyRef",
            id="a Secret",
        ),
        pytest.param(
            {"spec": {"volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": "c"}}]}},
            "spec.volumes[scratch].persistentVolumeClaim",
            id="a claim",
        ),
    ],
)
def test_nobody_reaches_into_kubeflows_own_namespace_by_a_template(
    template: dict[str, Any], path: str
) -> None:
    world = World({"training": {"podTemplate": template}}, SINGLE)
    assert world.settle(2).submit == ()
    assert world.condition("Stalled") == ("True", "NotOnKubeflow")
    said = f"{path} would be looked for in kubeflow, where Kubeflow Pipelines runs the pods, not in ml"
    assert said in world.message("Stalled")
    assert World({"training": {"podTemplate": template}}, PROFILES).settle(1).submit


def submitted(spec: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The data pipeline as it would be sent: task to its platform configuration and its container."""
    (request,) = decide(World(spec, settings).observe(), World().now).submit
    package = kubeflow_package.with_pods(kubeflow_package.read(request.pipeline, None), request.pods)
    platform = package["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    containers = package["pipeline_spec"]["deploymentSpec"]["executors"]
    return {
        name.removeprefix("exec-"): (platform[name], containers[name]["container"]) for name in containers
    }


def test_every_task_of_the_compiled_pipeline_gets_the_template_and_our_labels() -> None:
    tasks = submitted({"training": {"podTemplate": TEMPLATE}}, PROFILES)
    assert set(tasks) == {"documents", "xray", "tokenizer", "shards"}
    for platform, made in tasks.values():
        assert platform["nodeSelector"] == {"labels": {"pool": "cpu"}}
        labels = platform["podMetadata"]["labels"]
        assert (labels["team"], labels[names.LABEL_OWNER]) == ("ml", "first-light")
        assert {"mountPath": names.WORK_DIR, "volumeName": "work"} in platform["emptyDirMounts"]
        assert made["resources"]["resourceMemoryLimit"] == "4Gi"
        assert made["image"]
        secrets = [entry.get("secretName") for entry in platform["secretAsEnv"]]
        assert secrets == [None, "hub"], "the storage Secret stays"


def test_a_runs_queue_is_that_of_its_pods() -> None:
    """Kueue admits jobs, and where there are none pods, by the same label."""
    world = World({}, PROFILES, labels={owned.QUEUE_LABEL: "research"})
    (request,) = world.settle(1).submit
    assert request.pods[0].platform["podMetadata"]["labels"][owned.QUEUE_LABEL] == "research"


def test_a_templates_account_is_the_kubeflow_runs() -> None:
    world = World({"training": {"podTemplate": {"spec": {"serviceAccountName": "mine"}}}}, PROFILES)
    (request,) = world.settle(1).submit
    assert request.service_account == "mine"
    assert world.the("RoleBinding")["subjects"][0]["name"] == "mine"


def test_a_claim_for_scratch_takes_the_place_of_the_empty_folder() -> None:
    volume = {"name": "scratch", "persistentVolumeClaim": {"claimName": "big"}}
    tasks = submitted({"training": {"podTemplate": {"spec": {"volumes": [volume]}}}}, PROFILES)
    for platform, _ in tasks.values():
        assert platform["emptyDirMounts"] == []
        assert [(mount["constant"], mount["mountPath"]) for mount in platform["pvcMount"]] == [
            ("big", names.WORK_DIR)
        ]


def test_the_steps_that_drive_executors_are_those_whose_arguments_have_them() -> None:
    made = {"xray": steps.XrayArgs, "shards": steps.ShardArgs, "tokenizer": steps.TokenizerArgs}
    assert {step for step, args in made.items() if "executors" in args.model_fields} == {*EXECUTOR_STEPS}


class TestExecutors:
    SPEC: ClassVar[dict[str, Any]] = {
        "data": {
            "sources": [{"name": "internal", "directory": {"path": "/data/src"}}],
            "executors": {"count": 3},
        }
    }

    def test_tasks_that_drive_them_know_themselves_and_share_a_volume(self) -> None:
        tasks = submitted(self.SPEC, SHARED)
        drivers = {name for name, (platform, _) in tasks.items() if "pvcMount" in platform}
        assert drivers == {"xray", "shards"}
        for name in drivers:
            platform, made = tasks[name]
            given = {item["name"]: item["value"] for item in made["env"]}
            given |= {item["name"]: f"<{item['fieldPath']}>" for item in platform["fieldPathAsEnv"]}
            found = executors_from({**given, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 3)
            assert found is not None
            assert (found.namespace, found.claim) == ("<metadata.namespace>", "shared")
            assert (found.driver_pod, found.driver_ip) == ("<metadata.name>", "<status.podIP>")
            assert (found.image, found.service_account) == ("daybreak/data", "daybreak-pipeline")
            assert dict(found.labels)[names.LABEL_OWNER] == "first-light"
            assert platform["emptyDirMounts"] == []

    def test_none_are_none(self) -> None:
        tasks = submitted({}, SHARED)
        assert not [name for name, (platform, _) in tasks.items() if "pvcMount" in platform]


FIELDS = [
    *(
        "name",
        "metadata",
        "labels",
        "spec",
        "containers",
        "env",
        "valueFrom",
        "secretKeyRef",
        "volumes",
        "key",
    ),
    *("volumeMounts", "tolerations", "resources", "limits", "affinity", "secret", "emptyDir"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("pipeline"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), JSON))
def test_no_template_breaks_its_translation(template: dict[str, Any]) -> None:
    found = translated(template)
    assert json.dumps([found.platform, found.container])
    assert all(isinstance(path, str) for path in [*found.refused, *found.neighbours])


def test_every_field_that_is_written_is_one_that_kubeflow_knows() -> None:
    for pods in (
        translated(TEMPLATE).platform,
        *[task for task, _ in submitted(TestExecutors.SPEC, SHARED).values()],
    ):
        parsed = ParseDict(pods, protocol.KubernetesExecutorConfig())
        assert MessageToDict(parsed)


def test_a_package_keeps_what_it_was_compiled_with() -> None:
    package = kubeflow_package.read(names.DATA_PIPELINE, None)
    assert kubeflow_package.with_pods(package, ()) == package
    assert kubeflow_package.with_pods(package, (PipelinePods(),)) == package
