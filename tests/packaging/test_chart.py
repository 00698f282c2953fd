"""The chart: what it renders with each file of values, what it refuses, and what it lets the operator do."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

import daybreak_operator.__main__
from daybreak_contracts import names
from daybreak_contracts.resources.deployment import Gateway
from daybreak_operator.core.deployment.children import gateway
from daybreak_operator.core.deployment.children.identity import OwnerIdentity
from daybreak_operator.core.training.children.gang import PROGRESS_PORT
from daybreak_operator.node_labels import NodeLabels
from daybreak_operator.pod_defaults import PodDefaults
from daybreak_operator.settings import Images, Settings, from_environment
from daybreak_operator.shell.kubeflow import back_end as kubeflow
from tests.packaging import render
from tests.packaging.render import CHART, NAMESPACE, Object, RenderError

VALUES = {"default": [], **{file.stem: [file] for file in sorted((CHART / "ci").glob("*.yaml"))}}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
every_file = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())


def only(things: list[Object], kind: str, name: str) -> Object:
    (found,) = [thing for thing in things if (thing["kind"], thing["metadata"]["name"]) == (kind, name)]
    return found


def pods(things: list[Object]) -> Iterator[tuple[str, Object]]:
    for thing in things:
        name = thing["metadata"]["name"]
        if thing["kind"] == "Pod":
            yield name, thing["spec"]
        elif thing["kind"] in ("Deployment", "Job"):
            yield name, thing["spec"]["template"]["spec"]


@pytest.mark.needs("programs")
class TestEveryFileOfValues:
    @every_file
    def test_it_lints(self, values: list[Path]) -> None:
        options = [f"--values={file}" for file in values]
        lint = render.run(
            "helm", "lint", str(CHART), "--strict", "--kube-version", render.KUBERNETES, *options
        )
        assert "0 chart(s) failed" in lint

    @every_file
    def test_every_object_says_where_it_lies_and_what_it_belongs_to(self, values: list[Path]) -> None:
        things = render.chart(values)
        render.by_key(things)
        for thing in things:
            assert ("namespace" in thing["metadata"]) != (thing["kind"] in CLUSTER_SCOPED), thing["metadata"]
            assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"] == "daybreak"

    @every_file
    def test_pods_are_such_as_the_restricted_standard_admits(self, values: list[Path]) -> None:
        found = dict(pods(render.chart(values)))
        assert "daybreak-operator" in found
        for name, spec in found.items():
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
            kinds = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
            assert kinds <= {"emptyDir", "projected"}
            for container in spec["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }

    def test_every_pod_can_fetch_its_image(self) -> None:
        things = render.chart(VALUES["full-values"], ["uninstall.letGo=true"])
        ready = {"name": "registry"}
        accounts = {
            thing["metadata"]["name"]: thing.get("imagePullSecrets", [])
            for thing in things
            if thing["kind"] == "ServiceAccount"
        }
        assert all(secrets == [ready] for secrets in accounts.values())
        found = dict(pods(things))
        assert set(found) == {"daybreak-operator", "daybreak-operator-test", "daybreak-uninstall"}
        for spec in found.values():
            assert ready in [
                *spec.get("imagePullSecrets", []),
                *accounts.get(spec.get("serviceAccountName"), []),
            ]

    @every_file
    def test_selectors_find_the_pods_and_nothing_else(self, values: list[Path]) -> None:
        things = render.chart(values)
        deployment = only(things, "Deployment", "daybreak-operator")
        selector = deployment["spec"]["selector"]["matchLabels"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert only(things, "Service", "daybreak-operator")["spec"]["selector"] == selector
        others = [only(things, "Pod", "daybreak-operator-test")["metadata"]["labels"]]
        assert all(not selector.items() <= other.items() for other in others)


OF_THE_PROCESS = {"DAYBREAK_POD", "DAYBREAK_LOG_LEVEL"}


def test_what_the_process_itself_reads_is_named_as_it_reads_it() -> None:
    assert {
        name for name in OF_THE_PROCESS if f'"{name}"' in inspect.getsource(daybreak_operator.__main__)
    } == (OF_THE_PROCESS)


def variables_of(settings: type[Settings]) -> set[str]:
    """Return the names of the variables that settings are read from."""
    names = {
        str(field.validation_alias or f"DAYBREAK_{name.upper()}")
        for name, field in settings.model_fields.items()
        if name != "images"
    }
    return names | {f"DAYBREAK_IMAGE_{name.upper()}" for name in Images.model_fields}


@pytest.mark.needs("programs")
class TestSettings:
    """The operator reads what the chart sets."""

    @staticmethod
    def settings(values: list[Path]) -> Settings:
        deployment = only(render.chart(values), "Deployment", "daybreak-operator")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        given = {
            item["name"]: item.get("value", NAMESPACE)  # the one without is the pod's own namespace
            for item in container["env"]
            if item["name"].startswith("DAYBREAK_")
        }
        assert set(given) - OF_THE_PROCESS == variables_of(Settings)
        return from_environment(given)

    def test_of_the_default_installation(self) -> None:
        images = Images(**{name: f"daybreak/{name}:0.1.0" for name in Images.model_fields})
        assert self.settings([]) == Settings(images=images)

    def test_of_one_that_changes_everything(self) -> None:
        at = "registry.example.com/team/daybreak"
        full = yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text())
        assert self.settings([CHART / "ci" / "full-values.yaml"]) == Settings(
            images=Images(
                data=f"{at}/data:1.2",
                train=f"{at}/train@sha256:{'a' * 64}",
                evaluate=f"{at}/evaluate:1.2",
                serve=f"{at}/serve:1.2",
                vllm=f"{at}/vllm:1.2",
                pipelines=f"{at}/pipelines:1.2",
            ),
            backend="KubeflowPipelines",
            kubeflow_url="http://ml-pipeline.mlops:8888",
            kubeflow_namespace="mlops",
            kubeflow_experiment="ours",
            pipeline_service_account="runner",
            storage_secret="storage",
            shared_claim="scratch",
            pull_secrets=("registry",),
            gateway_clients=("ingress-nginx",),
            cluster_domain="example.internal",
            pod_defaults=PodDefaults.model_validate(full["pods"]),
            node_labels=NodeLabels.model_validate(full["nodeLabels"]),
            namespace=NAMESPACE,
            watch_namespaces=("models", "research"),
        )

    def test_of_kubeflow_with_profiles(self) -> None:
        found = self.settings([CHART / "ci" / "profiles-values.yaml"])
        assert (found.kubeflow_url, found.kubeflow_namespace) == ("http://ml-pipeline.kubeflow:8888", "")


@pytest.mark.needs("programs")
class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("setting", "place"),
        [
            pytest.param("opertor.replicas=2", "opertor", id="an unknown block"),
            pytest.param("operator.replica=2", "replica", id="an unknown value"),
            pytest.param("pods.resources.trainer.requests.cpu=1", "trainer", id="an unknown container"),
            pytest.param("operator.replicas=-1", "replicas", id="a number below its least"),
            pytest.param("pipelines.backend=Tekton", "backend", id="an unknown back end"),
            pytest.param("pipelines.backend=KubeflowPipelines", "url", id="Kubeflow without its address"),
            pytest.param("images.digests.train=sha256:1", "train", id="half a digest"),
            pytest.param("images.digests.trainer=sha256:1", "trainer", id="a digest of an unknown image"),
            pytest.param("namespaces[0]=Default", "namespaces", id="a namespace that cannot be"),
            pytest.param("images.registry=https://r.example.com", "registry", id="a registry with a scheme"),
        ],
    )
    def test_a_wrong_value_is_named(self, setting: str, place: str) -> None:
        with pytest.raises(RenderError, match=place):
            render.chart((), [setting])


class TestSchema:
    def test_it_knows_every_value_and_no_other(self) -> None:
        def paths(schema: dict[str, Any], values: dict[str, Any], at: str = "") -> Iterator[str]:
            known = schema.get("properties", {})
            if schema.get("additionalProperties") is not False or at == ".images.digests":
                return
            for name in set(known) ^ set(values):
                yield f"{at}.{name}"
            for name in set(known) & set(values):
                if isinstance(values[name], dict):
                    yield from paths(known[name], values[name], f"{at}.{name}")

        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        optional = {".global"}
        assert set(paths(SCHEMA, defaults)) == optional

    def test_every_value_is_described(self) -> None:
        def silent(schema: dict[str, Any], at: str) -> Iterator[str]:
            for name, inner in schema.get("properties", {}).items():
                if at not in {".images.digests", ".operator.resources"} and "description" not in inner:
                    yield f"{at}.{name}"
                yield from silent(inner, f"{at}.{name}")

        assert list(silent(SCHEMA, "")) == []

    def test_the_full_file_leaves_no_value_as_it_is(self) -> None:
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        full = yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text())

        def same(left: dict[str, Any], right: dict[str, Any], at: str = "") -> Iterator[str]:
            for name, value in left.items():
                if isinstance(value, dict) and value:
                    yield from same(value, right.get(name, {}), f"{at}.{name}")
                elif right.get(name, value) == value:
                    yield f"{at}.{name}"

        unchanged = {".serviceAccount.create", ".networkPolicy.enabled", ".pipelines.kubeflow.multiUser"}
        unchanged |= {".operator.clusterScope"}
        assert set(same(defaults, full)) == unchanged


@pytest.mark.needs("programs")
class TestChoices:
    def test_named_namespaces_bound_the_rights(self) -> None:
        things = render.chart([CHART / "ci" / "full-values.yaml"])
        bindings = [thing for thing in things if thing.get("roleRef", {}).get("name") == "daybreak-operator"]
        assert {(thing["kind"], thing["metadata"].get("namespace")) for thing in bindings} == {
            ("RoleBinding", NAMESPACE),
            ("RoleBinding", "models"),
            ("RoleBinding", "research"),
        }

    @pytest.mark.parametrize("backend", ["Job", "KubeflowPipelines"])
    def test_an_address_of_kubeflow_opens_the_way_to_it_whichever_is_the_default(self, backend: str) -> None:
        address = "pipelines.kubeflow.url=http://ml-pipeline.kubeflow:8888"
        things = render.chart((), [f"pipelines.backend={backend}", address])
        kinds = {thing["kind"] for thing in things if thing["metadata"].get("namespace") == "kubeflow"}
        assert kinds == {"ServiceAccount", "RoleBinding"}
        policy = only(things, "NetworkPolicy", "daybreak-operator")
        chosen = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}}}
        assert {"to": [chosen]} in policy["spec"]["egress"]

    def test_with_profiles_accounts_and_tokens_are_those_of_profiles(self) -> None:
        things = render.chart(VALUES["profiles-values"])
        assert not [thing for thing in things if thing["metadata"].get("namespace") == "kubeflow"]
        runners = [thing for thing in things if thing["metadata"]["name"] == "daybreak-pipeline-runner"]
        assert {(thing["metadata"]["namespace"], thing["roleRef"]["name"]) for thing in runners} == {
            ("team-a", "kubeflow-edit"),
            ("team-b", "kubeflow-edit"),
        }
        spec = only(things, "Deployment", "daybreak-operator")["spec"]["template"]["spec"]
        (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "kubeflow"]
        (token,) = volume["projected"]["sources"]
        (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "kubeflow"]
        assert f"{mount['mountPath']}/{token['serviceAccountToken']['path']}" == str(kubeflow.TOKEN_FILE)
        assert token["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"

    def test_where_kubeflow_runs_pods_the_account_may_start_executors_too(self) -> None:
        settings = [
            "serviceAccount.executors=true",
            "pipelines.kubeflow.url=http://ml-pipeline.kubeflow:8888",
        ]
        named = [
            t for t in render.chart((), settings) if t["metadata"]["name"] == "daybreak-pipeline-executors"
        ]
        assert {t["metadata"]["namespace"] for t in named} == {"default", "kubeflow"}

    def test_two_replicas_stand_apart_and_are_not_evicted_together(self) -> None:
        things = render.chart((), ["operator.replicas=2"])
        spec = only(things, "Deployment", "daybreak-operator")["spec"]
        (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"] == spec["selector"]
        assert only(things, "PodDisruptionBudget", "daybreak-operator")["spec"]["maxUnavailable"] == 1

    def test_an_account_that_exists_is_left_alone(self) -> None:
        things = render.chart((), ["serviceAccount.create=false"])
        accounts = {thing["metadata"]["name"] for thing in things if thing["kind"] == "ServiceAccount"}
        assert accounts == {"daybreak-operator", "daybreak-uninstall"}

    @pytest.mark.parametrize(
        "more", [(), ("pipelines.kubeflow.url=http://k", "pipelines.kubeflow.multiUser=true")]
    )
    def test_without_rights_of_the_cluster_nothing_is_of_the_cluster(self, more: tuple[str, ...]) -> None:
        settings = ["operator.clusterScope=false", "operator.watchNamespaces={a,b}", *more]
        things = render.chart((), settings)
        assert not [thing for thing in things if thing["kind"] in CLUSTER_SCOPED]
        roles = {(t["metadata"]["namespace"], t["metadata"]["name"]) for t in things if t["kind"] == "Role"}
        bound = [t for t in things if t["kind"] == "RoleBinding" and t["roleRef"]["kind"] == "Role"]
        assert {(t["metadata"]["namespace"], t["roleRef"]["name"]) for t in bound} == roles
        assert {("a", "daybreak-operator-watched"), ("b", "daybreak-uninstall-watched")} <= roles
        ours = {t["roleRef"]["name"] for t in things if t["kind"] == "RoleBinding"} - {"kubeflow-edit"}
        assert ours == {name for _, name in roles}

    def test_without_rights_of_the_cluster_namespaces_must_be_named(self) -> None:
        with pytest.raises(render.RenderError, match=r"name the namespaces in operator\.watchNamespaces"):
            render.chart((), ["operator.clusterScope=false"])

    def test_everything_optional_can_be_left_out(self) -> None:
        off = ["userRoles.aggregate=false", "networkPolicy.enabled=false", "uninstall.letGo=false"]
        kinds = {(thing["kind"], thing["metadata"]["name"]) for thing in render.chart((), off)}
        assert kinds == {
            ("ServiceAccount", "daybreak-operator"),
            ("ServiceAccount", "daybreak-pipeline"),
            ("ClusterRole", "daybreak-operator"),
            ("ClusterRole", "daybreak-operator-cluster"),
            ("ClusterRoleBinding", "daybreak-operator"),
            ("ClusterRoleBinding", "daybreak-operator-cluster"),
            ("Role", "daybreak-operator"),
            ("RoleBinding", "daybreak-operator"),
            ("Service", "daybreak-operator"),
            ("Deployment", "daybreak-operator"),
            ("Pod", "daybreak-operator-test"),
        }


@pytest.mark.needs("programs")
class TestWhatTheOperatorsPodsLookLike:
    """The chart selects pods that the operator makes: by its labels, at its ports."""

    gateway: ClassVar = gateway.gateway_container(
        OwnerIdentity("ours", "default", "uid"), Gateway(), Settings()
    )
    ports: ClassVar = {port["name"]: port["containerPort"] for port in gateway["ports"]}

    def test_the_network_policy_lets_metrics_be_asked_for(self) -> None:
        policy = only(render.chart(), "NetworkPolicy", "daybreak-operator")
        opened = {
            peer["podSelector"]["matchLabels"][names.LABEL_ROLE]: [port["port"] for port in rule["ports"]]
            for rule in policy["spec"]["egress"]
            for peer in rule.get("to", [])
            if "podSelector" in peer
        }
        assert opened == {
            names.ROLE_GATEWAY: [self.ports["metrics"]],
            names.ROLE_TRAINING: [PROGRESS_PORT],
        }

    def test_prometheus_scrapes_gateways(self) -> None:
        monitor = only(render.chart((), ["monitoring.podMonitor=true"]), "PodMonitor", "daybreak-gateways")
        spec = monitor["spec"]
        assert spec["selector"]["matchLabels"] == {names.LABEL_ROLE: names.ROLE_GATEWAY}
        assert spec["podTargetLabels"] == [names.LABEL_OWNER]
        assert {end["port"] for end in spec["podMetricsEndpoints"]} <= set(self.ports)

    def test_the_operator_listens_where_its_service_points(self) -> None:
        things = render.chart()
        deployment = only(things, "Deployment", "daybreak-operator")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert [port["containerPort"] for port in container["ports"]] == [
            int(daybreak_operator.__main__.DEFAULT_PORT)
        ]
