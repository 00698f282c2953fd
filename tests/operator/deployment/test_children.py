"""The children: their shape, and which of them go when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.resources.access import TokenIssuer
from daybreak_operator.core.deployment.children.desired import DRAIN_MAX_S, DRAIN_S
from daybreak_operator.core.deployment.decide import decide
from daybreak_operator.core.plan import Object
from daybreak_operator.core.pod_shape.demands import NodeDemand, terms
from daybreak_operator.node_labels import NodeLabels
from daybreak_operator.settings import Images, Settings
from tests.operator.deployment.world import M1, M2, World, a_spec, model, serving_world

SETTINGS = Settings(images=Images(serve="registry/serve@sha256:1"), storage_secret="s3")


def planned(world: World) -> dict[tuple[str, str], Object]:
    """What a pass applies, by kind and name."""
    return {(child["kind"], child["metadata"]["name"]): child for child in world.plan().apply}


def engine(world: World) -> Any:
    """The pod of the first serving Deployment."""
    found = [
        child
        for (kind, _), child in planned(world).items()
        if kind == "Deployment" and child["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_ENGINE
    ]
    return found[0]


def pool(**parts: Any) -> dict[str, Any]:
    return {"name": "l4", "accelerator": "nvidia-l4", "zones": ["a"], "max": 4, **parts}


class TestServingPods:
    def test_fetch_and_check_before_anything_is_opened(self) -> None:
        world = World(settings=SETTINGS)
        pod = engine(world)["spec"]["template"]["spec"]
        (fetch,), (serve,) = pod["initContainers"], pod["containers"]
        args = ["daybreak_serve.pod", "fetch", "--uri", "s3://models/111", "--digest", M1]
        assert fetch["args"] == [*args, "--into", "/models/current"]
        assert fetch["envFrom"] == [{"secretRef": {"name": "s3"}}]
        assert fetch["image"] == serve["image"] == "registry/serve@sha256:1"
        assert serve["args"] == ["daybreak_serve.pod", "engine", "--model", "/models/current"]
        assert serve["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert {mount["mountPath"] for mount in serve["volumeMounts"]} == {"/models", "/dev/shm", "/tmp"}
        assert serve["resources"]["limits"] == {"nvidia.com/gpu": "1"}
        assert pod["serviceAccountName"] == "daybreak-pipeline"

    def test_keep_to_the_restricted_standard(self) -> None:
        world = World()
        for child in world.plan().apply:
            if child["kind"] != "Deployment":
                continue
            pod = child["spec"]["template"]["spec"]
            assert pod["securityContext"] == {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    def test_need_no_gpu_where_the_pool_has_none(self) -> None:
        deployment = engine(World(spec=a_spec(pools=[pool(gpus=0)])))
        pod = deployment["spec"]["template"]["spec"]
        assert "limits" not in pod["containers"][0]["resources"]
        assert pod["tolerations"] == []
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert names.LABEL_ACCELERATOR not in str(terms)

    @pytest.mark.parametrize(
        ("market", "tolerated"), [("OnDemand", False), ("Spot", True), ("Reserved", True)]
    )
    def test_run_where_their_pool_is(self, market: str, tolerated: bool) -> None:
        deployment = engine(World(spec=a_spec(pools=[pool(market=market)])))
        pod = deployment["spec"]["template"]["spec"]
        required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        demand = NodeDemand(("a",), "nvidia-l4", NodeLabels().accelerators_of("nvidia.com/gpu"), market)
        assert required["nodeSelectorTerms"] == terms(NodeLabels(), demand)
        assert (names.LABEL_MARKET in [one["key"] for one in pod["tolerations"]]) == tolerated
        assert "nvidia.com/gpu" in [one["key"] for one in pod["tolerations"]]

    def test_check_a_signature_only_where_it_is_required(self) -> None:
        key = {"name": "keys", "key": "model.pem"}
        for required in (True, False):
            world = World(spec=a_spec(signature={"required": required, "publicKeySecretRef": key}))
            pod = engine(world)["spec"]["template"]["spec"]
            args = pod["initContainers"][0]["args"]
            assert ("--public-key" in args) == required
            volumes = [volume for volume in pod["volumes"] if volume["name"] == "signature"]
            items = [{"key": "model.pem", "path": "public-key.pem"}]
            wanted = [{"name": "signature", "secret": {"secretName": "keys", "items": items}}]
            assert volumes == (wanted if required else [])

    def test_take_their_image_and_their_concurrency_from_the_spec(self) -> None:
        world = World(spec=a_spec(runtime={"image": "mine", "maxConcurrency": 32}))
        (serve,) = engine(world)["spec"]["template"]["spec"]["containers"]
        assert serve["image"] == "mine"
        assert serve["args"][-2:] == ["--max-concurrency", "32"]

    def test_run_vllm_by_an_image_of_its_own(self) -> None:
        settings = Settings(images=Images(serve="registry/serve", vllm="registry/vllm"))
        world = World(spec=a_spec(runtime={"kind": "TritonVLLM"}), settings=settings)
        pod = engine(world)["spec"]["template"]["spec"]
        (serve,), (fetch,) = pod["containers"], pod["initContainers"]
        assert (serve["image"], fetch["image"]) == ("registry/vllm", "registry/vllm")
        assert serve["args"] == [
            "daybreak_serve.pod",
            "engine",
            "--model",
            "/models/current",
            "--runtime",
            "TritonVLLM",
        ]
        gateway: Any = planned(world)["Deployment", "completions-gateway"]
        assert gateway["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/serve"

    def test_are_updated_without_losing_one(self) -> None:
        deployment = engine(World())
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
        assert names.LABEL_OWNER_UID not in selector
        assert labels[names.LABEL_REVISION] == M1[:10]


class TestTheGateway:
    def test_has_all_it_needs(self) -> None:
        children = planned(World(settings=SETTINGS))
        name = "completions-gateway"
        kinds = ("ServiceAccount", "Role", "RoleBinding", "Service", "PodDisruptionBudget", "Deployment")
        assert {(kind, name) for kind in kinds} <= set(children)
        deployment: Any = children["Deployment", name]
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert deployment["spec"]["replicas"] == 2
        assert container["args"] == ["daybreak_serve.pod", "gateway", "--deployment", "team/completions"]
        assert [port["containerPort"] for port in container["ports"]] == [8000, 9090]
        service: Any = children["Service", name]
        assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
        role: Any = children["Role", name]
        assert [(rule["resources"], rule.get("resourceNames")) for rule in role["rules"]] == [
            (["modeldeployments"], ["completions"]),
            (["endpointslices"], None),
        ]
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}

    def test_asks_for_credentials_as_the_spec_says(self) -> None:
        jwt = {"issuer": "https://login.example.org", "audience": "completions"}
        auth = {"apiKeysSecretRef": {"name": "people", "key": "keys.txt"}, "jwt": jwt}
        limits = {"user": {"concurrency": 4}, "groups": [{"name": "interns", "tokensPerDay": 1000}]}
        pages = ["https://ide.example.org", "vscode-webview://1a2b"]
        world = World(spec=a_spec(gateway={"auth": auth, "limits": limits, "allowedOrigins": pages}))
        pod: Any = planned(world)["Deployment", "completions-gateway"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        args = container["args"][4:]
        assert args[:3] == ["--api-keys", "/etc/daybreak/auth/keys", "--jwt"]
        assert TokenIssuer.model_validate_json(args[3]) == TokenIssuer.model_validate(jwt)
        assert (args[4], json.loads(args[5])) == ("--limits", limits)
        assert args[6:] == ["--allow-origin", pages[0], "--allow-origin", pages[1]]
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "auth"]
        assert mount == {"name": "auth", "mountPath": "/etc/daybreak/auth", "readOnly": True}
        items = [{"key": "keys.txt", "path": "keys"}]
        assert {"name": "auth", "secret": {"secretName": "people", "items": items}} in pod["volumes"]

    def test_alone_reaches_the_engines(self) -> None:
        children = planned(World())
        policy: Any = children["NetworkPolicy", "completions-engines"]
        (rule,) = policy["spec"]["ingress"]
        assert [port["port"] for port in rule["ports"]] == [8001, 8080]
        assert rule["from"][0]["podSelector"]["matchLabels"][names.LABEL_ROLE] == names.ROLE_GATEWAY
        assert policy["spec"]["podSelector"]["matchLabels"][names.LABEL_ROLE] == names.ROLE_ENGINE

    def test_is_reached_by_named_namespaces_alone_where_any_are_named(self) -> None:
        assert ("NetworkPolicy", "completions-gateway") not in planned(World())
        world = World(settings=Settings(gateway_clients=("ingress-nginx", "ide")))
        policy: Any = planned(world)["NetworkPolicy", "completions-gateway"]
        asking, metrics = policy["spec"]["ingress"]
        edge, gateways = asking["from"]
        assert edge["namespaceSelector"]["matchExpressions"][0]["values"] == ["ingress-nginx", "ide"]
        assert gateways["podSelector"] == policy["spec"]["podSelector"]
        assert gateways["podSelector"]["matchLabels"][names.LABEL_ROLE] == names.ROLE_GATEWAY
        assert [rule["ports"][0]["port"] for rule in (asking, metrics)] == [8000, 9090]
        world.look()
        world.settings = Settings()
        assert [(ref.kind, ref.name) for ref in world.look().delete] == [
            ("NetworkPolicy", "completions-gateway")
        ]
        assert ("NetworkPolicy", "completions-gateway") not in planned(world)

    def test_finds_a_models_engines_by_a_headless_service(self) -> None:
        children = planned(World())
        service: Any = children["Service", names.engine_service("completions", M1)]
        assert service["spec"]["clusterIP"] == "None"
        assert [port["name"] for port in service["spec"]["ports"]] == ["grpc", "http"]
        assert service["spec"]["selector"][names.LABEL_REVISION] == M1[:10]

    def test_has_a_route_from_outside_when_one_is_asked_for_and_can_be(self) -> None:
        asked = {
            names.ANNOTATION_GATEWAY: "infra/public",
            names.ANNOTATION_HOSTNAMES: "code.example, c.example",
        }
        world = World(annotations=asked, has_gateway_api=True)
        route: Any = planned(world)["HTTPRoute", "completions-gateway"]
        assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "infra"}]
        assert route["spec"]["hostnames"] == ["code.example", "c.example"]
        world.look()
        world.annotations = {}
        assert [ref.kind for ref in world.look().delete] == ["HTTPRoute"]
        assert ("HTTPRoute", "completions-gateway") not in planned(world)
        world.annotations, world.has_gateway_api = asked, False
        assert ("HTTPRoute", "completions-gateway") not in planned(world)


def test_every_child_carries_its_owners_labels() -> None:
    for child in World().plan().apply:
        labels = child["metadata"]["labels"]
        assert labels[names.LABEL_OWNER_KIND] == "ModelDeployment"
        assert (labels[names.LABEL_OWNER], labels[names.LABEL_OWNER_UID]) == ("completions", "u-1")
        assert child["metadata"]["namespace"] == "team"
        assert len(child["metadata"]["name"]) <= 63


class TestWhatGoes:
    def replaced(self) -> World:
        """M2 was about to come and M1 is asked for again."""
        world = serving_world()
        world.change(model=model(M2))
        world.run(60)
        world.change(model=model(M1))
        world.look()
        return world

    @pytest.mark.slow
    def test_a_models_pods_stay_until_gateways_had_time_to_leave_it(self) -> None:
        world = self.replaced()
        assert world.routing.candidate is None
        world.run(DRAIN_S - 5)
        assert len(world.pods(M2)) == 1
        world.run(10)
        assert world.pods(M2) == []
        assert [key for key in world.children if M2[:10] in key[1]] == []
        world.run(10)
        assert world.status["retired"] == []

    @pytest.mark.slow
    def test_a_gateway_that_is_behind_keeps_them(self) -> None:
        world = self.replaced()
        world.behind = True
        world.run(DRAIN_MAX_S - 10)
        assert len(world.pods(M2)) == 1
        world.run(20)
        assert world.pods(M2) == []

    @pytest.mark.slow
    def test_a_model_that_comes_back_keeps_its_pods(self) -> None:
        world = self.replaced()
        before = [pod["metadata"]["uid"] for pod in world.pods(M2)]
        world.tick(20)
        world.change(model=model(M2))
        world.run(120)
        assert [pod["metadata"]["uid"] for pod in world.pods(M2)] == before
        assert world.status["retired"] == []

    def test_a_pool_that_is_removed_goes_once_the_others_answer(self) -> None:
        world = serving_world()
        world.change(pools=[pool(name="h100", accelerator="nvidia-h100", zones=["c"])])
        world.look()
        assert world.ready(M1) == 2
        world.run(60)
        assert {pod["metadata"]["labels"][names.LABEL_POOL] for pod in world.pods(M1)} == {"h100"}
        assert world.ready(M1) == 2

    def test_nothing_is_done_to_an_object_that_is_being_deleted(self) -> None:
        world = serving_world()
        observed = world.observed()
        observed.deployment["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"  # type: ignore[index]
        plan = decide(observed, world.now)
        assert (plan.apply, plan.delete, plan.status, plan.requeue_after_s) == ((), (), world.status, None)
        assert not plan.finalizer
