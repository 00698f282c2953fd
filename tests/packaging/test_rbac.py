"""The operator's rights on a real API server: enough for all it asks for, and nothing beyond."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.ports import free_ports
from daybreak_operator.settings import Settings
from daybreak_operator.shell import preflight, uninstall
from daybreak_operator.shell.kube.answers import RefusedError
from daybreak_operator.shell.kube.client import Kube, connect
from daybreak_operator.shell.kube.resources import CHILDREN, PODS, SECRETS, resource_of
from daybreak_operator.shell.kubeflow.pods import namespaces_of_pods, pods_of_runs
from tests.cluster.reach import KubectlError, Reach, wait_for
from tests.data.spark import test_kubernetes
from tests.operator.shell.test_process import answer, conditions, environment, example, running
from tests.packaging import rbac, render
from tests.packaging.render import CHART, NAMESPACE, Object

pytestmark = pytest.mark.needs("programs")

USER = f"system:serviceaccount:{NAMESPACE}:{rbac.ACCOUNT}"
APPLIED = {"list", "watch", "create", "patch", "delete"}
CONFIG_MAPS = resource_of("v1", "ConfigMap")


@pytest.fixture(scope="module")
def installed(cluster: Reach) -> Iterator[Reach]:
    """The operator's roles, and no operator; they are taken away again, so nobody's own may be there."""
    if cluster.get("clusterrole", "daybreak-operator") is not None:
        pytest.skip("Daybreak is installed on this cluster")
    things = rbac.operator_objects()
    for thing in things:
        if thing["metadata"].get("namespace") in (None, NAMESPACE):
            cluster.apply(thing)
    yield cluster
    for thing in reversed(things):
        if thing["kind"].startswith("Cluster"):
            cluster.kubectl("delete", thing["kind"], thing["metadata"]["name"], "--ignore-not-found")


def allowed(cluster: Reach, user: str, asked: list[tuple[str, str, str]]) -> list[bool]:
    """Ask the API server: verb, ``plural.group`` or ``plural.group/subresource``, namespace."""
    reviews = []
    for verb, resource, namespace in asked:
        name, _, subresource = resource.partition("/")
        plural, _, group = name.partition(".")
        attributes = {"verb": verb, "resource": plural, "group": group, "namespace": namespace}
        spec = {"user": user, "resourceAttributes": attributes | {"subresource": subresource}}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    lines = ["-o", "jsonpath={.status.allowed}{'\\n'}"]
    answers = cluster.kubectl("create", "-f", "-", *lines, stdin=yaml.safe_dump_all(reviews))
    return [answer == "true" for answer in answers.split()]


MAY = [
    ("patch", "trainingruns.daybreak.dev", "anywhere"),
    ("update", "trainingruns.daybreak.dev/status", "anywhere"),
    ("update", "modeldeployments.daybreak.dev/status", "anywhere"),
    ("delete", "trainingruns.daybreak.dev", "anywhere"),
    ("create", "jobs.batch", "anywhere"),
    ("patch", "pytorchjobs.kubeflow.org", "anywhere"),
    ("patch", "trainjobs.trainer.kubeflow.org", "anywhere"),
    ("patch", "trainingruntimes.trainer.kubeflow.org", "anywhere"),
    ("list", "workloads.kueue.x-k8s.io", "anywhere"),
    ("patch", "httproutes.gateway.networking.k8s.io", "anywhere"),
    ("get", "secrets", "anywhere"),
    ("delete", "pods", "anywhere"),
    ("create", "events", "anywhere"),
    ("update", "leases.coordination.k8s.io", NAMESPACE),
    ("watch", "nodes", ""),
]
MAY_NOT = [
    ("list", "secrets", "anywhere"),
    ("watch", "secrets", "anywhere"),
    ("create", "secrets", "anywhere"),
    ("create", "pods", "anywhere"),
    ("create", "pods/exec", "anywhere"),
    ("delete", "modeldeployments.daybreak.dev", "anywhere"),
    ("create", "trainingruns.daybreak.dev", "anywhere"),
    ("update", "leases.coordination.k8s.io", "anywhere"),
    ("patch", "nodes", ""),
    ("create", "serviceaccounts/token", "anywhere"),
    ("create", "clusterroles.rbac.authorization.k8s.io", ""),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io", ""),
    ("escalate", "roles.rbac.authorization.k8s.io", "anywhere"),
    ("bind", "roles.rbac.authorization.k8s.io", "anywhere"),
    ("impersonate", "users", ""),
    ("update", "customresourcedefinitions.apiextensions.k8s.io", ""),
    ("delete", "namespaces", ""),
    ("watch", "workloads.kueue.x-k8s.io", "anywhere"),
]


class TestTheOperator:
    def test_may_what_it_must(self, installed: Reach) -> None:
        assert dict(zip(MAY, allowed(installed, USER, MAY), strict=True)) == dict.fromkeys(MAY, True)

    def test_may_nothing_beyond(self, installed: Reach) -> None:
        answers = allowed(installed, USER, MAY_NOT)
        assert dict(zip(MAY_NOT, answers, strict=True)) == dict.fromkeys(MAY_NOT, False)

    def test_finds_that_it_can_work(self, installed: Reach, tmp_path: Path) -> None:
        kubeconfig = installed.kubeconfig_of(rbac.ACCOUNT, NAMESPACE, tmp_path)
        preflight.check(connect({}, str(kubeconfig)), Settings(namespace=NAMESPACE))

    def test_grants_its_pods_what_it_has_and_nothing_more(self, installed: Reach) -> None:
        namespace = installed.namespace()

        def grant(resource: str) -> None:
            rule = {"apiGroups": [""], "resources": [resource], "verbs": ["get", "patch"]}
            role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [rule]}
            role["metadata"] = {"name": f"grant-{resource}", "namespace": namespace}
            installed.kubectl("create", "--as", USER, "-f", "-", stdin=json.dumps(role))

        grant("configmaps")
        with pytest.raises(KubectlError, match="attempting to grant RBAC permissions not currently held"):
            grant("secrets")


def verbs_by_resource(rules: list[Object]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


class TestRules:
    def test_every_child_that_is_watched_is_also_made_and_no_other_kind_is(self) -> None:
        rules = verbs_by_resource(rbac.operator_rules())
        children = {(r.api_version.rpartition("/")[0], r.plural) for r in CHILDREN if r != PODS}
        assert {child: rules.get(child, set()) & APPLIED for child in children} == dict.fromkeys(
            children, APPLIED
        )
        made = {resource for resource, verbs in rules.items() if "create" in verbs}
        assert made - children == {("", "events")}

    @pytest.mark.parametrize("name", ["default", "full", "kubeflow", "profiles"])
    def test_no_rule_is_open_ended(self, name: str) -> None:
        values = [] if name == "default" else [CHART / "ci" / f"{name}-values.yaml"]
        for thing in render.chart(values):
            for rule in thing.get("rules", []) if "Role" in thing["kind"] else []:
                said = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
                assert "*" not in said, thing["metadata"]["name"]
                assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])

    def test_pods_of_pipelines_may_start_executors_where_they_are_let(self) -> None:
        """The right-hand side is what a driver was run with on a real API server."""
        things = render.chart((), ["serviceAccount.executors=true", "namespaces={a,b}"])
        roles = [t for t in things if t["metadata"]["name"] == "daybreak-pipeline-executors"]
        assert [(t["kind"], t["metadata"]["namespace"]) for t in roles] == [
            *(("Role", "a"), ("Role", "b")),
            *(("RoleBinding", "a"), ("RoleBinding", "b")),
        ]
        assert verbs_by_resource(roles[0]["rules"]) == verbs_by_resource(test_kubernetes.RULES)
        assert not [t for t in render.chart() if t["metadata"]["name"] == "daybreak-pipeline-executors"]

    def test_the_operators_objects_are_all_it_needs_to_act(self) -> None:
        kinds = {(thing["kind"], thing["metadata"]["name"]) for thing in rbac.operator_objects()}
        assert kinds >= {
            ("Namespace", NAMESPACE),
            ("ServiceAccount", rbac.ACCOUNT),
            ("ClusterRoleBinding", "daybreak-operator"),
            ("ClusterRoleBinding", "daybreak-operator-cluster"),
            ("RoleBinding", "daybreak-operator"),
        }


class TestPeople:
    """Aggregation needs a controller manager; the labels are what it goes by."""

    @pytest.mark.parametrize(
        ("name", "roles"),
        [
            pytest.param("daybreak-view", {"view", "edit", "admin"}, id="all may look"),
            pytest.param("daybreak-edit", {"edit", "admin"}, id="editors may change"),
        ],
    )
    def test_roles_are_added_to_those_of_the_cluster(self, name: str, roles: set[str]) -> None:
        (role,) = [
            thing
            for thing in rbac.operator_objects()
            if (thing["kind"], thing["metadata"]["name"]) == ("ClusterRole", name)
        ]
        prefix = "rbac.authorization.k8s.io/aggregate-to-"
        labels = role["metadata"]["labels"]
        assert {label.removeprefix(prefix) for label in labels if label.startswith(prefix)} == roles

    def test_nobody_writes_what_is_the_operators(self) -> None:
        rules = verbs_by_resource(rbac.rules_of("daybreak-edit", "ClusterRole"))
        assert all("status" not in resource for _, resource in rules)


@dataclass(frozen=True)
class Elsewhere:
    """An operator's account that is bound in two namespaces and nowhere else, as the chart binds it."""

    kube: Kube
    settings: Settings
    pipelines: str


class TestRolesAlone:
    """``operator.clusterScope: false``: nothing is bound to the whole cluster, and the real operator works."""

    def test_the_operator_works_and_asks_for_nothing_else(self, cluster: Reach, tmp_path: Path) -> None:
        (port,) = free_ports(1)
        log = tmp_path / "log"
        with rbac.elsewhere(cluster, tmp_path, cluster_scope=False) as bound:
            own = {
                "DAYBREAK_PORT": str(port),
                "DAYBREAK_CLUSTER_SCOPE": "false",
                "DAYBREAK_NAMESPACE": bound.home,
            }
            given = environment(bound.kubeconfig, bound.team, **own)
            run = example("team-cluster.yaml", bound.team)
            deployment = example("completions.yaml", bound.team)
            with running(given, log) as process:
                for body in (run, deployment):
                    cluster.apply(body)
                wait_for("readiness", lambda: answer(port, "/readyz")[0] == 200)
                for kind, body in (("trainingrun", run), ("modeldeployment", deployment)):
                    name = body["metadata"]["name"]
                    wait_for(f"{kind}", lambda k=kind, n=name: conditions(cluster, k, n, bound.team))
                wait_for(
                    "the data job", lambda: cluster.kubectl("get", "jobs", "-n", bound.team, "-o", "name")
                )
                cluster.kubectl("delete", "trainingrun", run["metadata"]["name"], "-n", bound.team)
                metrics = answer(port, "/metrics")[1]
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0, log.read_text()
        requests = [line for line in metrics.splitlines() if line.startswith("daybreak_api_requests_total")]
        assert requests
        assert not [line for line in requests if 'code="403"' in line or 'resource="nodes"' in line]
        text = log.read_text()
        assert text.count("nodes are not seen (DAYBREAK_CLUSTER_SCOPE is false)") == 1
        assert "forbidden" not in text

    def test_whoever_forgot_to_say_so_is_told_how(self, cluster: Reach, tmp_path: Path) -> None:
        with rbac.elsewhere(cluster, tmp_path, cluster_scope=False) as bound:
            settings = Settings(namespace=bound.home, watch_namespaces=(bound.team,))
            said = r"may not: list nodes, watch nodes; .* set operator.clusterScope to false"
            with pytest.raises(UserError, match=said):
                preflight.check(connect({}, str(bound.kubeconfig)), settings)


class TestKubeflowInItsOwnNamespace:
    """The operator watches one namespace; Kubeflow Pipelines, without profiles, runs the pods in another."""

    @pytest.fixture
    def elsewhere(self, cluster: Reach, tmp_path: Path) -> Iterator[Elsewhere]:
        with rbac.elsewhere(cluster, tmp_path) as bound:
            settings = Settings(
                namespace=bound.home,
                watch_namespaces=(bound.team,),
                kubeflow_url="http://k",
                kubeflow_namespace=bound.pipelines,
            )
            yield Elsewhere(connect({}, str(bound.kubeconfig)), settings, bound.pipelines)

    def test_is_enough_to_begin(self, elsewhere: Elsewhere) -> None:
        preflight.check(elsewhere.kube, elsewhere.settings)

    def test_lets_pods_and_the_storage_secret_be_looked_for(
        self, cluster: Reach, elsewhere: Elsewhere
    ) -> None:
        pods_of = pods_of_runs(elsewhere.kube, namespaces_of_pods(elsewhere.settings))
        assert pods_of("a-run") == ()
        metadata = {"name": "x", "namespace": elsewhere.pipelines, "labels": {"pipeline/runid": "a-run"}}
        spec = {"containers": [{"name": "main", "image": "r.example/data"}]}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        assert pods_of("a-run")
        assert not elsewhere.kube.exists(SECRETS, elsewhere.pipelines, "storage")

    @pytest.mark.parametrize(
        "refused",
        [
            pytest.param(lambda e: e.kube.exists(SECRETS, e.pipelines, "another"), id="other Secrets"),
            pytest.param(
                lambda e: e.kube.find(CONFIG_MAPS, e.pipelines, "any"), id="what Kubeflow is set up by"
            ),
            pytest.param(
                lambda e: e.kube.find(PODS, "default", "any"), id="pods of namespaces that are neither"
            ),
        ],
    )
    def test_lets_nothing_else_be_seen_there(
        self, elsewhere: Elsewhere, refused: Callable[[Elsewhere], object]
    ) -> None:
        with pytest.raises(RefusedError, match="forbidden"):
            refused(elsewhere)

    def test_what_is_missing_is_named_before_the_operator_begins(
        self, cluster: Reach, elsewhere: Elsewhere
    ) -> None:
        bindings = cluster.kubectl("get", "rolebindings", "-n", elsewhere.pipelines, "-o", "name").split()
        cluster.kubectl("delete", "-n", elsewhere.pipelines, *bindings)
        with pytest.raises(UserError, match=f"list pods in {elsewhere.pipelines}, watch pods in"):
            preflight.check(elsewhere.kube, elsewhere.settings)


@pytest.mark.parametrize("values", ["default", "dev", "kubeflow", "profiles", "full"])
def test_a_real_api_server_takes_every_object_and_pod(cluster: Reach, values: str) -> None:
    files = [] if values == "default" else [CHART / "ci" / f"{values}-values.yaml"]
    off = ["monitoring.podMonitor=false", "monitoring.rules=false"]  # kinds that are not there
    things = render.chart(files, off)
    for namespace in {thing["metadata"].get("namespace") for thing in things} - {None}:
        standard = {"pod-security.kubernetes.io/enforce": "restricted"} if namespace == NAMESPACE else {}
        about = {"name": namespace, "labels": standard}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": about})
        account = {"name": "default", "namespace": namespace}
        cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    asked = [thing for thing in things if thing["kind"] != "Pod"] + [
        pod for thing in things for pod in pods_of(thing)
    ]
    said = cluster.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "-f",
        "-",
        stdin=yaml.safe_dump_all(asked),
    )
    assert said.count("serverside-applied") == len(asked)
    assert said.count("pod/") >= 2


def pods_of(thing: Object) -> Iterator[Object]:
    """A pod as its controller would make it; its account is the default one, for a dry run makes no other."""
    spec = thing["spec"] if thing["kind"] == "Pod" else thing.get("spec", {}).get("template", {}).get("spec")
    if spec:
        about = {"name": f"{thing['metadata']['name']}-pod", "namespace": thing["metadata"]["namespace"]}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": about,
            "spec": {**spec, "serviceAccountName": "default"},
        }


class TestUninstall:
    @pytest.fixture
    def kube(self, cluster: Reach) -> Kube:
        return connect({}, str(cluster.kubeconfig))

    def run(self, name: str, namespace: str, finalizers: list[str]) -> dict[str, Any]:
        example = render.objects((render.MANIFESTS / "examples" / "own-code.yaml").read_text())[0]
        example["metadata"] = {"name": name, "namespace": namespace, "finalizers": finalizers}
        return example

    def test_takes_the_operators_finalizer_and_no_other(self, cluster: Reach, kube: Kube) -> None:
        namespace = cluster.namespace()
        cluster.apply(self.run("held", namespace, [names.FINALIZER]))
        cluster.apply(self.run("held-by-two", namespace, [names.FINALIZER, "example.com/other"]))
        cluster.apply(self.run("free", namespace, []))
        cluster.kubectl("delete", "trainingrun", "held", "-n", namespace, "--wait=false")
        settings = Settings(watch_namespaces=(namespace,))
        assert uninstall.let_go(kube, settings) == 2
        assert cluster.get("trainingrun", "held", namespace) is None
        two = cluster.get("trainingrun", "held-by-two", namespace)
        assert two is not None
        assert two["metadata"]["finalizers"] == ["example.com/other"]
        assert uninstall.let_go(kube, settings) == 0

    def test_stops_the_operator_first_and_waits_for_its_last_pod(self, cluster: Reach, kube: Kube) -> None:
        namespace = cluster.namespace()
        deployment = only_deployment()
        deployment["metadata"]["namespace"] = namespace
        template = deployment["spec"]["template"]
        cluster.apply(deployment)
        metadata = {"name": "last", "namespace": namespace, "labels": template["metadata"]["labels"]}
        spec = {**template["spec"], "serviceAccountName": "default", "automountServiceAccountToken": False}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        waited = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            cluster.kubectl("delete", "pod", "last", "-n", namespace, "--grace-period=0", "--force")

        uninstall.stop_operator(kube, namespace, wait)
        assert waited == [uninstall.LOOK_EVERY_S]
        stopped = cluster.get("deployment", uninstall.DEPLOYMENT, namespace)
        assert stopped is not None
        assert stopped["spec"]["replicas"] == 0

    def test_needs_no_operator_to_be_there(self, cluster: Reach, kube: Kube) -> None:
        namespace = cluster.namespace()
        uninstall.stop_operator(kube, namespace, lambda _: pytest.fail("nothing to wait for"))
        assert cluster.get("deployment", uninstall.DEPLOYMENT, namespace) is None


def only_deployment() -> Object:
    (found,) = [thing for thing in render.chart() if thing["kind"] == "Deployment"]
    return found
