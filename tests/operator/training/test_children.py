"""The objects that a run makes: what pods are told, what they may do, where they may run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.resources.run import Placement
from daybreak_contracts.steps import TrainArgs
from daybreak_data.spark import kubernetes as spark
from daybreak_data.spark.kubernetes import executors_from
from daybreak_operator.core.pod_shape.patch import merge, patched_pod
from daybreak_operator.core.training.placement import PlacementTarget, place_after, place_of, places
from daybreak_operator.pod_defaults import ContainerResources, PodDefaults, TrustedCertificates
from daybreak_operator.settings import Settings
from daybreak_pipelines.kubeflow import packages
from tests.operator.training.world import SPEC, UID, World

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline", storage_secret="keys")

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def training(spec: dict[str, Any] | None = None, settings: Settings | None = None, **more: Any) -> World:
    world = World(spec, settings, **more)
    world.make_data()
    return world


def container(world: World, kind: str) -> dict[str, Any]:
    return dict(pod_spec(world, kind)["containers"][0])


def pod_spec(world: World, kind: str) -> dict[str, Any]:
    spec = world.the(kind)["spec"]
    template = spec["pytorchReplicaSpecs"]["Master"]["template"] if kind == "PyTorchJob" else spec["template"]
    return dict(template["spec"])


def pod_template(kind: str, **spec: Any) -> dict[str, Any]:
    found = training(spec).the(kind)["spec"]
    return dict(
        found["pytorchReplicaSpecs"]["Master"]["template"] if kind == "PyTorchJob" else found["template"]
    )


class TestPyTorchJob:
    def test_has_a_master_and_a_worker_for_every_further_node(self) -> None:
        job = training({"model": {"size": "1b"}, "training": {"nodes": 3, "gpusPerNode": 8}}).the(
            "PyTorchJob"
        )
        replicas = job["spec"]["pytorchReplicaSpecs"]
        assert {role: replica["replicas"] for role, replica in replicas.items()} == {"Master": 1, "Worker": 2}
        assert {replica["restartPolicy"] for replica in replicas.values()} == {"Never"}
        assert job["spec"]["nprocPerNode"] == "8"
        assert job["spec"]["runPolicy"] == {"cleanPodPolicy": "Running"}
        assert job["apiVersion"] == "kubeflow.org/v1"

    def test_of_one_node_has_no_worker(self) -> None:
        job = training({"training": {"nodes": 1}}).the("PyTorchJob")
        assert list(job["spec"]["pytorchReplicaSpecs"]) == ["Master"]
        assert "limits" not in container(training({"training": {"nodes": 1}}), "PyTorchJob")["resources"]

    @pytest.mark.parametrize(
        ("change", "least", "most"),
        [
            pytest.param({"model": {"size": "1m"}}, 31, 31, id="a-small-state-is-saved-in-no-time"),
            pytest.param(
                {"model": {"size": "7b"}, "training": {"nodes": 2, "gpusPerNode": 8}},
                60,
                90,
                id="parts-are-written-at-once",
            ),
            pytest.param(
                {"model": {"size": "7b"}, "training": {"nodes": 1}}, 690, 720, id="one-process-writes-it-all"
            ),
        ],
    )
    def test_the_time_to_save_follows_from_the_state(
        self, change: dict[str, Any], least: int, most: int
    ) -> None:
        assert least <= pod_spec(training(change), "PyTorchJob")["terminationGracePeriodSeconds"] <= most

    def test_runs_the_trainer_on_arguments_that_it_understands(self) -> None:
        world = training()
        made = container(world, "PyTorchJob")
        assert made["name"] == "pytorch"
        assert made["command"] == [
            "python",
            "-m",
            "daybreak_train.pod",
            "--args-file",
            "/etc/daybreak/args.json",
        ]
        assert made["ports"] == [{"name": "progress", "containerPort": 8080, "protocol": "TCP"}]
        assert made["resources"]["limits"] == {"nvidia.com/gpu": "1"}
        assert {"name": "DAYBREAK_RESULTS_CONFIGMAP", "value": "ml/first-light-train-1"} in made["env"]
        assert {"name": "DAYBREAK_RUN_UID", "value": world.run["metadata"]["uid"]} in made["env"]
        assert {"name": "shared-memory", "mountPath": "/dev/shm"} in made["volumeMounts"]
        text = world.children[("ConfigMap", "first-light-train-1-arguments")]["data"]["args.json"]
        args = TrainArgs.model_validate_json(text)
        assert (args.output, args.shards, args.run_name) == (
            "s3://models/first-light",
            "s3://o/shards",
            "first-light",
        )

    def test_may_be_given_an_image(self) -> None:
        assert container(training({"training": {"image": "r/own:1"}}), "PyTorchJob")["image"] == "r/own:1"
        assert container(training(), "PyTorchJob")["image"] == "daybreak/train"

    def test_and_jobs_take_the_queue_of_the_run_but_pods_do_not(self) -> None:
        world = training(labels={"kueue.x-k8s.io/queue-name": "gpus"})
        for kind in ("PyTorchJob", "Job"):
            assert world.the(kind)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
        world.make_pods()
        assert all("kueue" not in str(pod["metadata"]["labels"]) for pod in world.of_kind("Pod"))


class TestEveryPod:
    @pytest.mark.parametrize("kind", ["Job", "PyTorchJob"])
    def test_keeps_restricted_pod_security(self, kind: str) -> None:
        world = training()
        spec = pod_spec(world, kind)
        assert spec["securityContext"] == RESTRICTED
        assert spec["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["restartPolicy"] == "Never"
        assert spec["serviceAccountName"] == "daybreak-pipeline"

    @pytest.mark.parametrize("kind", ["Job", "PyTorchJob"])
    def test_gets_the_storage_secret_and_the_tracking_key(self, kind: str) -> None:
        tracking = {"tracking": {"wandb": {"project": "p", "secretRef": "keys"}}}
        made = container(training(tracking, Settings(storage_secret="s3-keys")), kind)
        assert made["envFrom"] == [{"secretRef": {"name": "s3-keys"}}]
        source = {"secretKeyRef": {"name": "keys", "key": "apiKey", "optional": True}}
        assert {"name": "WANDB_API_KEY", "valueFrom": source} in made["env"]

    @pytest.mark.parametrize("kind", ["Job", "PyTorchJob"])
    def test_is_left_on_its_node_unless_the_run_says_otherwise(self, kind: str) -> None:
        karpenter, autoscaler = (
            "karpenter.sh/do-not-disrupt",
            "cluster-autoscaler.kubernetes.io/safe-to-evict",
        )
        for patch, wanted in (({}, "true"), ({"metadata": {"annotations": {karpenter: "false"}}}, "false")):
            found = pod_template(kind, training={**SPEC["training"], "podTemplate": patch})["metadata"][
                "annotations"
            ]
            assert found == {karpenter: wanted, autoscaler: "false"}

    @pytest.mark.parametrize("kind", ["Job", "PyTorchJob"])
    def test_carries_the_runs_patch(self, kind: str) -> None:
        patch = {
            "metadata": {"annotations": {"team": "search"}, "labels": {names.LABEL_OWNER_UID: "stolen"}},
            "spec": {
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "containers": [{"name": "pytorch", "env": [{"name": "NCCL_DEBUG", "value": "INFO"}]}],
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "9Gi"}}],
            },
        }
        world = training({"training": {"podTemplate": patch}})
        spec = pod_spec(world, kind)
        assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
        assert {"name": "scratch", "emptyDir": {"sizeLimit": "9Gi"}} in spec["volumes"]
        assert [item["name"] for item in spec["containers"]] == [
            "pytorch" if kind == "PyTorchJob" else "pipeline"
        ]
        patched = {"name": "NCCL_DEBUG", "value": "INFO"} in spec["containers"][0]["env"]
        assert patched == (kind == "PyTorchJob")
        world.make_pods()
        assert {pod["metadata"]["labels"][names.LABEL_OWNER_UID] for pod in world.of_kind("Pod")} == {UID}


class TestJob:
    def test_runs_the_pipeline_once(self) -> None:
        world = World()
        world.look()
        job = world.the("Job")
        assert (job["spec"]["backoffLimit"], "ttlSecondsAfterFinished" in job["spec"]) == (0, False)
        assert container(world, "Job")["command"] == [
            *("python", "-m", "daybreak_pipelines", "job", "--pipeline", "daybreak-data"),
            *("--parameters", "/etc/daybreak/parameters.json"),
        ]
        text = world.children[("ConfigMap", "first-light-data-1-arguments")]["data"]["parameters.json"]
        assert json.loads(json.loads(text)["xray_args"])["title"] == "first-light"


class TestExecutors:
    DATA: tuple[Any, ...] = tuple({**SPEC["data"], "executors": {"count": 3}}.items())

    def test_are_told_to_the_data_stages_pod_as_it_reads_them(self) -> None:
        world = World({"data": dict(self.DATA)}, Settings(shared_claim="scratch"))
        world.look()
        made = container(world, "Job")
        told = {item["name"]: item.get("value", "known at start") for item in made["env"]}
        found = executors_from({"KUBERNETES_SERVICE_HOST": "10.0.0.1", **told}, 3)
        assert found is not None
        assert (found.image, found.claim, found.service_account) == (
            "daybreak/data",
            "scratch",
            "daybreak-pipeline",
        )
        assert dict(found.labels)[names.LABEL_OWNER_UID] == UID
        assert dict(found.labels)[names.LABEL_ROLE] == names.ROLE_EXECUTOR
        volume = {"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}}
        assert volume in pod_spec(world, "Job")["volumes"]
        assert {"name": "scratch", "mountPath": names.WORK_DIR} in made["volumeMounts"]

    def test_are_shaped_by_the_installation_and_the_run(self) -> None:
        """As any pod of the run: what a quota, a taint, a private CA or a policy of the namespace wants."""
        defaults = PodDefaults(
            labels={"team": "ml"},
            env=({"name": "HTTPS_PROXY", "value": "http://proxy:3128"},),
            tolerations=({"key": "batch", "operator": "Exists"},),
            priority_class_name="batch",
            certificates=TrustedCertificates(config_map="our-ca"),
            resources={
                "spark-kubernetes-executor": ContainerResources(requests={"ephemeral-storage": "5Gi"})
            },
        )
        taint = {"key": "gpu", "operator": "Exists"}
        template = {"metadata": {"annotations": {"a.example/b": "c"}}, "spec": {"tolerations": [taint]}}
        spec = {"data": dict(self.DATA), "training": {"podTemplate": template}}
        world = World(spec, Settings(shared_claim="scratch", pod_defaults=defaults))
        world.look()
        told = {item["name"]: item.get("value", "known at start") for item in container(world, "Job")["env"]}
        found = executors_from({"KUBERNETES_SERVICE_HOST": "10.0.0.1", **told}, 3)
        assert found is not None
        pod = spark.pod_template(found, "/work")
        (made,) = pod["spec"]["containers"]
        assert pod["metadata"]["labels"] == {"team": "ml", names.LABEL_ROLE: names.ROLE_EXECUTOR}
        assert pod["metadata"]["annotations"]["a.example/b"] == "c"
        assert pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
        assert [item["key"] for item in pod["spec"]["tolerations"]] == ["batch", "gpu"]
        assert pod["spec"]["priorityClassName"] == "batch"
        assert {item["name"] for item in made["env"]} >= {"HOME", "HTTPS_PROXY", "SSL_CERT_FILE"}
        assert [item["name"] for item in pod["spec"]["volumes"]] == ["work", "trusted-certificates"]
        assert [item["name"] for item in made["volumeMounts"]] == ["work", "trusted-certificates"]
        assert made["resources"] == {"requests": {"ephemeral-storage": "5Gi"}}
        assert made["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    def test_wait_in_the_queue_of_the_run(self) -> None:
        queue = {"kueue.x-k8s.io/queue-name": "batch"}
        world = World({"data": dict(self.DATA)}, Settings(shared_claim="scratch"), labels=queue)
        world.look()
        told = {item["name"]: item.get("value", "known at start") for item in container(world, "Job")["env"]}
        found = executors_from({"KUBERNETES_SERVICE_HOST": "10.0.0.1", **told}, 3)
        assert found is not None
        metadata = spark.pod_template(found, "/work")["metadata"]
        assert metadata["labels"] | queue == metadata["labels"]
        assert metadata["labels"]["kueue.x-k8s.io/managed"] == "true"
        assert "kueue.x-k8s.io/pod-suspending-parent" in metadata["annotations"]

    def test_are_nobodys_business_elsewhere(self) -> None:
        world = training({"data": dict(self.DATA)}, Settings(shared_claim="scratch"))
        assert "DAYBREAK_SHARED_CLAIM" not in str(world.the("PyTorchJob"))
        world = World(settings=Settings(shared_claim="scratch"))
        world.look()
        assert "DAYBREAK_SHARED_CLAIM" not in str(world.the("Job"))


@pytest.mark.parametrize("settings", [Settings(), KUBEFLOW], ids=["by Jobs", "by Kubeflow"])
def test_pipelines_know_every_parameter_that_they_are_given(settings: Settings) -> None:
    world = World(settings=settings)
    parameters = []
    for part in (lambda: world.settle(1), world.make_data, world.train):
        part()
        plan = world.plan
        assert plan is not None
        parameters += [(submit.pipeline, submit.parameters) for submit in plan.submit]
    for stage, pipeline in (("data", names.DATA_PIPELINE), ("model", names.MODEL_PIPELINE)):
        if settings.backend == "Job":
            text = world.children[("ConfigMap", f"first-light-{stage}-1-arguments")]["data"][
                "parameters.json"
            ]
            parameters.append((pipeline, json.loads(text)))
    assert {pipeline for pipeline, _ in parameters} == {names.DATA_PIPELINE, names.MODEL_PIPELINE}
    for pipeline, values in parameters:
        packages.check_parameters(pipeline, dict(values))


class TestAccess:
    def test_reaches_the_results_of_the_attempt_and_nothing_else(self) -> None:
        world = training()
        assert world.the("Role")["rules"] == [
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": ["first-light-train-1"],
                "verbs": ["get", "patch"],
            }
        ]
        (subject,) = world.the("RoleBinding")["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": "daybreak-pipeline", "namespace": "ml"}
        assert world.the("RoleBinding")["roleRef"]["name"] == world.the("Role")["metadata"]["name"]

    def test_trainers_are_reached_by_each_other_and_for_their_progress(self) -> None:
        spec = training().children[("NetworkPolicy", "first-light-trainers")]["spec"]
        mine = {"matchLabels": {names.LABEL_OWNER: "first-light", names.LABEL_ROLE: names.ROLE_TRAINING}}
        assert spec["podSelector"] == mine
        among, progress = spec["ingress"]
        assert among == {"from": [{"podSelector": mine}]}
        assert progress["ports"] == [{"protocol": "TCP", "port": 8080}]
        pod = training().the("PyTorchJob")["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["metadata"]
        assert mine["matchLabels"].items() <= pod["labels"].items()

    def test_pods_of_pipelines_are_reached_by_each_other_alone(self) -> None:
        world = World()
        world.look()
        spec = world.children[("NetworkPolicy", "first-light-pipelines")]["spec"]
        (rule,) = spec["ingress"]
        assert "ports" not in rule, "Spark chooses its ports itself"
        assert rule["from"] == [{"podSelector": spec["podSelector"]}]
        labels = world.the("Job")["spec"]["template"]["metadata"]["labels"]
        assert spec["podSelector"]["matchLabels"].items() <= labels.items()
        assert labels[names.LABEL_ROLE] in spec["podSelector"]["matchExpressions"][0]["values"]

    def test_results_stay_the_pods_own(self) -> None:
        world = training()
        world.hand_over("train")
        plan = world.plan
        assert plan is not None
        results = [item for item in plan.apply if item["metadata"]["name"] == "first-light-train-1"]
        assert all("data" not in item for item in results if item["kind"] == "ConfigMap")


def test_every_child_goes_with_the_run() -> None:
    world = training()
    for item in world.children.values():
        (owner,) = item["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["kind"], owner["controller"]) == (UID, "TrainingRun", True)
        assert item["metadata"]["labels"][names.LABEL_OWNER] == "first-light"
        assert len(item["metadata"]["name"]) <= 63


ALL = ("Reserved", "Spot", "OnDemand")


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        pytest.param({}, [PlacementTarget()], id="anything goes"),
        pytest.param(
            {"zones": ["a", "b"]}, [PlacementTarget("a"), PlacementTarget("b")], id="zones, best first"
        ),
        pytest.param({"markets": ["Spot"]}, [PlacementTarget(None, "Spot")], id="one market is a demand"),
        pytest.param(
            {"zones": ["a", "b"], "markets": ["Spot", "OnDemand"]},
            [
                PlacementTarget("a", "Spot"),
                PlacementTarget("b", "Spot"),
                PlacementTarget("a", "OnDemand"),
                PlacementTarget("b", "OnDemand"),
            ],
            id="the best market in every zone first",
        ),
        pytest.param(
            {"zones": ["a", "b"], "sameZone": False}, [PlacementTarget()], id="zones together are one place"
        ),
        pytest.param({"zones": ["a", "a"]}, [PlacementTarget("a")], id="a zone said twice is one"),
    ],
)
def test_places(placement: dict[str, Any], expected: list[PlacementTarget]) -> None:
    wanted = Placement.model_validate(placement)
    assert list(places(wanted)) == expected
    walked = [place_of(wanted, None, None)]
    for _ in range(len(expected)):
        walked.append(place_after(wanted, walked[-1]))
    assert walked == [*expected, expected[0]]


def required(world: World) -> list[Any]:
    node = pod_spec(world, "PyTorchJob")["affinity"].get("nodeAffinity", {})
    terms = node.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    return [(demand["key"], demand["values"]) for term in terms for demand in term["matchExpressions"]]


def with_placement(**placement: Any) -> World:
    return training({"training": {"nodes": 2, "placement": placement}})


class TestAffinity:
    def test_all_markets_ask_nothing_of_nodes_but_prefer(self) -> None:
        world = with_placement()
        assert required(world) == []
        affinity = pod_spec(world, "PyTorchJob")["affinity"]
        preferred = affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        own = [
            (item["weight"], test["operator"], test["values"])
            for item in preferred
            for test in item["preference"]["matchExpressions"]
            if test["key"] == names.LABEL_MARKET
        ]
        assert own == [(100, "In", ["Reserved"]), (33, "In", ["Spot"]), (1, "NotIn", ["Reserved", "Spot"])]
        (near,) = affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        assert near["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"

    def test_a_place_is_a_demand(self) -> None:
        world = with_placement(zones=["a", "b"], markets=["Spot", "OnDemand"])
        assert required(world)[:2] == [("topology.kubernetes.io/zone", ["a"]), (names.LABEL_MARKET, ["Spot"])]
        assert ("karpenter.sh/capacity-type", ["spot"]) in required(world)
        assert "podAffinity" not in pod_spec(world, "PyTorchJob")["affinity"]

    def test_without_the_same_zone_all_zones_are_allowed(self) -> None:
        world = with_placement(zones=["a", "b"], sameZone=False)
        assert required(world) == [("topology.kubernetes.io/zone", ["a", "b"])]

    def test_one_pod_has_nobody_to_be_near(self) -> None:
        world = training({"training": {"nodes": 1}})
        assert "podAffinity" not in pod_spec(world, "PyTorchJob")["affinity"]


@pytest.mark.parametrize(
    ("base", "patch", "expected"),
    [
        pytest.param(
            {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}, id="mappings are merged"
        ),
        pytest.param({"a": 1, "b": 2}, {"a": None}, {"b": 2}, id="null deletes"),
        pytest.param({"args": [1, 2]}, {"args": [3]}, {"args": [3]}, id="plain lists are replaced"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
            id="named lists are merged by name",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "x", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "y", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "y", "mountPath": "/a"}]},
            id="mounts are merged by their path",
        ),
        pytest.param(
            {"volumes": [{"name": "x", "emptyDir": {}}, {"name": "y"}]},
            {"volumes": [{"name": "x", "$patch": "delete"}]},
            {"volumes": [{"name": "y"}]},
            id="an item may be taken out",
        ),
        pytest.param(
            {"securityContext": {"a": 1}},
            {"securityContext": {"$patch": "replace", "b": 2}},
            {"securityContext": {"b": 2}},
            id="a mapping may be replaced",
        ),
        pytest.param(
            {"env": [{"name": "A"}]}, {"env": "B"}, {"env": "B"}, id="nonsense is left to the API server"
        ),
    ],
)
def test_a_patch_is_strategic(base: Any, patch: Any, expected: Any) -> None:
    assert merge(base, patch) == expected


def test_a_container_of_the_runs_own_is_added() -> None:
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "pipeline", "image": "i"}]}}
    sidecar = {"name": "proxy", "image": "p"}
    assert patched_pod(pod, {"spec": {"containers": [sidecar]}})["spec"]["containers"][1] == sidecar
