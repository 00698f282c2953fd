"""The operator's rights as the chart gives them, for tests that run the operator under exactly these."""

from __future__ import annotations

import yaml

from tests.packaging.render import MANIFESTS, Object

ACCOUNT = "daybreak-operator"
FILES = ("serviceaccounts.yaml", "rbac.yaml")


def operator_objects() -> list[Object]:
    """Return namespace, service account, roles and bindings with default values; the operator lives in `daybreak`.

    Read from `manifests/base`, so that no Helm is needed: tests/packaging holds that it is the chart's.
    """
    texts = [(MANIFESTS / "base" / name).read_text() for name in ("namespace.yaml", *FILES)]
    return [thing for text in texts for thing in yaml.safe_load_all(text) if thing]


def operator_rules() -> list[Object]:
    """Return the rules of the ClusterRole that holds in every watched namespace."""
    return rules_of("daybreak-operator", "ClusterRole")


def rules_of(name: str, kind: str) -> list[Object]:
    """Return the rules of one role."""
    (found,) = [
        thing for thing in operator_objects() if thing["kind"] == kind and thing["metadata"]["name"] == name
    ]
    return list(found["rules"])
