"""The environment of torchrun and PyTorchJob becomes one value, or one clear error."""

from __future__ import annotations

import pytest

from daybreak_contracts.errors import UserError
from daybreak_train.pod.environment import PodPlacement, ProcessPlacement, placement_from, pod_from

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "run-master-0",
    "MASTER_PORT": "23456",
    "TORCHELASTIC_RESTART_COUNT": "2",
}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, ProcessPlacement(), id="nothing-set-is-one-lone-process"),
        pytest.param(
            {"DAYBREAK_RUN_UID": "1-2"}, ProcessPlacement(run_uid="1-2"), id="one-lone-process-of-a-cluster"
        ),
        pytest.param(
            TORCHRUN, ProcessPlacement(5, 8, 1, 4, "run-master-0", 23456, 2), id="torchrun-sets-everything"
        ),
        pytest.param(
            {"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "m", "MASTER_PORT": "23456"},
            ProcessPlacement(1, 3, 0, 1, "m", 23456),
            id="a-pytorchjob-pod-without-torchrun-is-one-process",
        ),
    ],
)
def test_placement(environ: dict[str, str], expected: ProcessPlacement) -> None:
    assert placement_from(environ) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"RANK": "8"}, "RANK must be below WORLD_SIZE=8, got 8", id="rank-outside-the-world"),
        pytest.param({"RANK": "-1"}, "RANK must be a whole number", id="negative-rank"),
        pytest.param({"RANK": "two"}, "RANK must be a whole number", id="rank-in-words"),
        pytest.param(
            {"WORLD_SIZE": "0"}, "WORLD_SIZE must be a whole number of at least 1", id="empty-world"
        ),
        pytest.param({"LOCAL_RANK": "4"}, "LOCAL_RANK must be below", id="local-rank-outside-the-node"),
        pytest.param({"LOCAL_WORLD_SIZE": "3"}, "not a multiple", id="uneven-nodes"),
        pytest.param({"MASTER_PORT": "70000"}, "MASTER_PORT must be a port", id="no-such-port"),
        pytest.param({"MASTER_ADDR": ""}, "MASTER_ADDR is not set", id="several-nodes-without-a-master"),
        pytest.param({"RANK": None}, "RANK is not set but its partner is", id="half-set"),
    ],
)
def test_contradictions_name_the_variable(changes: dict[str, str | None], message: str) -> None:
    environ = {name: value for name, value in {**TORCHRUN, **changes}.items() if value is not None}
    with pytest.raises(UserError, match=message):
        placement_from(environ)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"RANK": "0"}, None, id="not-a-pod"),
        pytest.param(
            {"PET_NNODES": "2", "PET_NODE_RANK": "1", "MASTER_ADDR": "m-0", "MASTER_PORT": "23456"},
            PodPlacement(1, 2, 0, "m-0", 23456),
            id="processes-are-left-to-the-step",
        ),
        pytest.param(
            {
                "PET_NNODES": "1:4",
                "PET_NPROC_PER_NODE": "8",
                "PET_MASTER_ADDR": "m",
                "PET_MASTER_PORT": "1234",
            },
            PodPlacement(0, 4, 8, "m", 1234),
            id="an-elastic-job-says-a-range",
        ),
        pytest.param(
            {"PET_NNODES": "1", "PET_NPROC_PER_NODE": "auto"},
            PodPlacement(0, 1, 0, "127.0.0.1", 29500),
            id="auto",
        ),
    ],
)
def test_pod(environ: dict[str, str], expected: PodPlacement | None) -> None:
    assert pod_from(environ) == expected


def test_a_pod_with_a_bad_number_of_nodes_is_refused() -> None:
    with pytest.raises(UserError, match="PET_NNODES must be a number or min:max"):
        pod_from({"PET_NNODES": "some"})


def test_leaders() -> None:
    placement = placement_from({**TORCHRUN, "RANK": "4", "LOCAL_RANK": "0"})
    assert (placement.is_leader, placement.is_local_leader, placement.num_nodes) == (False, True, 2)
