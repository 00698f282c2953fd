"""How people shape pods: the installation's defaults and each object's own patch, on every pod that we make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from daybreak_contracts.errors import UserError
from daybreak_operator.core.pod_shape.defaults import CERTIFICATES_FOLDER, shaped
from daybreak_operator.core.pod_shape.patch import patched_pod
from daybreak_operator.pod_defaults import PodDefaults
from daybreak_operator.settings import Settings, from_environment
from tests.operator.deployment.world import World as Serving
from tests.operator.deployment.world import a_spec
from tests.operator.training.world import World as Training
from tests.packaging.render import CHART

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def defaults(**parts: Any) -> PodDefaults:
    """As the chart's JSON says it."""
    return PodDefaults.model_validate(parts)


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"own": "1"}},
        "spec": {"containers": [{"name": "engine", "image": "i"}], **spec},
    }


def terms(*expressions: str) -> dict[str, Any]:
    found = [
        {"matchExpressions": [{"key": key, "operator": "Exists"} for key in one.split()]}
        for one in expressions
    ]
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": found}}}


def templates(thing: Any) -> Iterator[dict[str, Any]]:
    """Yield every pod template within an object, however deep."""
    if isinstance(thing, dict):
        if "containers" in (thing.get("spec") or {}):
            yield thing
        for value in thing.values():
            yield from templates(value)


def made_by(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every pod template of a run and of a deployment, by the name of the container that works."""
    world = Training(settings=settings)
    world.make_data()
    serving = Serving(settings=settings).plan().apply
    found = [*world.children.values(), *map(dict, serving)]
    return {
        template["spec"]["containers"][0]["name"]: template
        for child in found
        if child["kind"] != "Pod"
        for template in templates(child)
    }


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


class TestAnInstallation:
    def test_has_defaults_that_reach_every_pod_and_every_container(self) -> None:
        shape = defaults(
            labels={"team": "ml"},
            annotations={"note": "x"},
            env=[{"name": "HTTPS_PROXY", "value": "http://proxy"}],
            nodeSelector={"kubernetes.io/arch": "amd64"},
            tolerations=[{"key": "dedicated", "operator": "Exists"}],
            priorityClassName="batch",
            runtimeClassName="nvidia",
            certificates={"configMap": "ca", "key": "bundle.pem"},
        )
        found = made_by(Settings(pod_defaults=shape))
        assert set(found) == {"pipeline", "pytorch", "engine", "gateway"}
        for template in found.values():
            metadata, spec = template["metadata"], template["spec"]
            assert (metadata["labels"]["team"], metadata["annotations"]["note"]) == ("ml", "x")
            assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
            assert {"key": "dedicated", "operator": "Exists"} in spec["tolerations"]
            assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("batch", "nvidia")
            assert {"name": "trusted-certificates", "configMap": {"name": "ca"}} in spec["volumes"]
            for container in containers(template):
                env = {item["name"]: item.get("value") for item in container["env"]}
                assert env["HTTPS_PROXY"] == "http://proxy"
                assert (
                    env["SSL_CERT_FILE"] == env["REQUESTS_CA_BUNDLE"] == f"{CERTIFICATES_FOLDER}/bundle.pem"
                )
                assert CERTIFICATES_FOLDER in [mount["mountPath"] for mount in container["volumeMounts"]]

    def test_asks_for_processor_and_memory_in_every_container(self) -> None:
        for template in made_by(Settings()).values():
            for container in containers(template):
                assert set(container["resources"]["requests"]) >= {"cpu", "memory"}, container["name"]

    def test_leaves_ids_to_the_cluster_where_that_is_wanted(self) -> None:
        for template in made_by(Settings(pod_defaults=defaults(fixedUserIds=False))).values():
            assert template["spec"]["securityContext"] == {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            }

    def test_has_the_charts_values_as_its_defaults(self) -> None:
        values = yaml.safe_load((CHART / "values.yaml").read_text())["pods"]
        assert PodDefaults.model_validate(values) == PodDefaults()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            pytest.param("{", "JSON", id="no JSON"),
            pytest.param('{"toleration": []}', "DAYBREAK_POD_DEFAULTS: toleration: ", id="an unknown field"),
            pytest.param('{"labels": []}', "DAYBREAK_POD_DEFAULTS: labels: ", id="another kind of value"),
        ],
    )
    def test_is_told_what_cannot_be(self, text: str, said: str) -> None:
        with pytest.raises(UserError, match=said):
            from_environment({"DAYBREAK_POD_DEFAULTS": text})
        good = from_environment({"DAYBREAK_POD_DEFAULTS": '{"labels": {"a": "b"}}'})
        assert good.pod_defaults.labels == {"a": "b"}

    def test_reaches_the_pods_of_kubeflow_as_far_as_it_can_be_told_of_them(self) -> None:
        shape = defaults(
            labels={"team": "ml"},
            env=[{"name": "HTTPS_PROXY", "value": "http://proxy"}],
            tolerations=[{"key": "dedicated", "operator": "Exists"}],
            priorityClassName="batch",
            certificates={"configMap": "ca"},
        )
        kubeflow = Settings(backend="KubeflowPipelines", kubeflow_url="http://k", pod_defaults=shape)
        own = {"spec": {"tolerations": [{"key": "mine"}]}}
        (request,) = Training({"training": {"podTemplate": own}}, kubeflow).settle(1).submit
        every = request.pods[0]
        assert every.platform["podMetadata"]["labels"]["team"] == "ml"
        assert [taint["key"] for taint in every.platform["tolerations"]] == ["dedicated", "mine"]
        assert every.platform["configMapAsVolume"][0]["mountPath"] == CERTIFICATES_FOLDER
        assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in every.container["env"]
        assert every.container["resources"] == {"resourceCpuRequest": "250m", "resourceMemoryRequest": "1Gi"}


class TestAPatch:
    @pytest.mark.parametrize(
        ("resources", "made"),
        [
            pytest.param(None, {"requests": {"cpu": "250m", "memory": "1Gi"}}, id="nothing said"),
            pytest.param(
                {"limits": {"cpu": "100m"}},
                {"limits": {"cpu": "100m"}, "requests": {"memory": "1Gi"}},
                id="a limit below the default request takes its place",
            ),
            pytest.param(
                {"requests": {"cpu": "4", "memory": "8Gi"}},
                {"requests": {"cpu": "4", "memory": "8Gi"}},
                id="all requests said",
            ),
        ],
    )
    def test_is_asked_before_the_default_resources(self, resources: Any, made: Any) -> None:
        said = {} if resources is None else {"resources": resources}
        template = {"spec": {"containers": [{"name": "engine", **said}]}}
        assert shaped(pod(), defaults(), template)["spec"]["containers"][0]["resources"] == made

    def test_wins_over_the_defaults(self) -> None:
        shape = defaults(
            labels={"team": "ml", "own": "stolen"}, priorityClassName="low", nodeSelector={"a": "b"}
        )
        template = {
            "metadata": {"labels": {"team": "search"}},
            "spec": {"priorityClassName": "high", "nodeSelector": None},
        }
        found = shaped(pod(), shape, template)
        assert found["metadata"]["labels"] == {"team": "search", "own": "1"}
        assert found["spec"]["priorityClassName"] == "high"
        assert "nodeSelector" not in found["spec"]

    @pytest.mark.parametrize(
        ("own", "theirs", "both"),
        [
            pytest.param(terms("zone"), terms("disk"), ["zone disk"], id="both are demanded"),
            pytest.param(terms("zone"), terms("ssd", "nvme"), ["zone ssd", "zone nvme"], id="one of two"),
            pytest.param(terms("zone"), {"podAffinity": {}}, ["zone"], id="another affinity"),
            pytest.param(terms("zone"), None, ["zone"], id="taken away"),
        ],
    )
    def test_adds_to_what_placement_demands(self, own: Any, theirs: Any, both: list[str]) -> None:
        found = patched_pod(pod(affinity=own), {"spec": {"affinity": theirs}})["spec"]["affinity"]
        said = found["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
        assert [" ".join(one["key"] for one in term["matchExpressions"]) for term in said] == both
        assert ("podAffinity" in found) == ("podAffinity" in (theirs or {}))

    def test_adds_tolerations(self) -> None:
        one, two = {"key": "nvidia.com/gpu"}, {"key": "mine"}
        found = patched_pod(pod(tolerations=[one]), {"spec": {"tolerations": [one, two]}})
        assert found["spec"]["tolerations"] == [one, two]


class TestServing:
    def test_engines_and_gateways_have_patches_of_their_own(self) -> None:
        engine = {
            "metadata": {"annotations": {"a": "b"}},
            "spec": {
                "priorityClassName": "high",
                "runtimeClassName": "nvidia",
                "volumes": [{"name": "ca", "secret": {"secretName": "ca"}}],
                "initContainers": [{"name": "fetch", "env": [{"name": "HF_HOME", "value": "/x"}]}],
                "containers": [{"name": "engine", "resources": {"requests": {"cpu": "4"}}}],
            },
        }
        gateway = {"spec": {"nodeSelector": {"pool": "cpu"}}}
        world = Serving(spec=a_spec(podTemplate=engine, gateway={"podTemplate": gateway}))
        found = {
            template["spec"]["containers"][0]["name"]: template
            for child in world.plan().apply
            for template in templates(dict(child))
        }
        spec = found["engine"]["spec"]
        assert found["engine"]["metadata"]["annotations"]["a"] == "b"
        assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("high", "nvidia")
        assert "ca" in [volume["name"] for volume in spec["volumes"]]
        assert spec["initContainers"][0]["env"] == [{"name": "HF_HOME", "value": "/x"}]
        assert spec["containers"][0]["resources"]["requests"] == {"cpu": "4", "memory": "1Gi"}
        assert "nodeSelector" not in spec
        assert found["gateway"]["spec"]["nodeSelector"] == {"pool": "cpu"}
        assert "priorityClassName" not in found["gateway"]["spec"]

    @pytest.mark.parametrize(
        ("resource", "tolerated"),
        [
            ("nvidia.com/gpu", ["nvidia.com/gpu"]),
            ("nvidia.com/mig-1g.10gb", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb"]),
            ("nvidia.com/gpu.shared", ["nvidia.com/gpu", "nvidia.com/gpu.shared"]),
            ("amd.com/gpu", ["amd.com/gpu"]),
            ("gpu.intel.com/i915", ["gpu.intel.com/i915"]),
        ],
    )
    def test_other_gpus_are_asked_for_by_their_names(self, resource: str, tolerated: list[str]) -> None:
        pools = [{"name": "p", "accelerator": "x", "zones": ["a"], "max": 2, "gpuResource": resource}]
        world = Serving(spec=a_spec(pools=pools))
        (spec,) = [
            template["spec"]
            for child in world.plan().apply
            for template in templates(dict(child))
            if template["spec"]["containers"][0]["name"] == "engine"
        ]
        assert spec["containers"][0]["resources"]["limits"] == {resource: "1"}
        assert [taint["key"] for taint in spec["tolerations"]] == tolerated

    def test_replicas_of_a_place_prefer_nodes_of_their_own(self) -> None:
        found = made_by(Settings())["engine"]
        (spread,) = found["spec"]["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (
            "kubernetes.io/hostname",
            "ScheduleAnyway",
        )
        assert spread["labelSelector"]["matchLabels"].items() <= found["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ('pods "x" is forbidden: failed quota: q: must specify requests.cpu for: engine', "podTemplate"),
        ('pods "x" is forbidden: exceeded quota: q, requested: requests.cpu=1', "raise the quota"),
        ('pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi', "LimitRange"),
        (
            'Pod "x" is invalid: requests: Invalid value: "1Gi": must be less than or equal to memory limit',
            "LimitRange",
        ),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes', "podTemplate"),
        ('pods "x" is forbidden: no PriorityClass with name high was found', "priorityClassName"),
    ],
    ids=[
        "a quota wants requests",
        "a quota is full",
        "a LimitRange",
        "a default limit",
        "pod security",
        "a class that is not there",
    ],
)
@pytest.mark.parametrize("role", ["engine", "gateway"])
def test_pods_that_are_refused_are_told_with_a_remedy(role: str, refusal: str, remedy: str) -> None:
    world = Serving()
    world.run(60)
    for child in world.children.values():
        if child["kind"] == "Deployment" and child["metadata"]["labels"]["daybreak.dev/role"] == role:
            failure = {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": refusal,
            }
            child.setdefault("status", {})["conditions"] = [failure]
    status = world.plan().status
    stalled = next(one for one in status["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "ReplicasRefused")
    assert refusal in stalled["message"]
    assert remedy in stalled["message"].rpartition("; ")[2]
