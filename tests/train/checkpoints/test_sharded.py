"""A checkpoint of many parts is whole or does not exist, and any number of processes goes on from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError, TransientError, UserError
from daybreak_train.checkpoints import sharded, snapshots
from daybreak_train.checkpoints.parts import WHOLE, Part, holders, rows_of
from daybreak_train.checkpoints.snapshots import Snapshot

RUN = "c" * 64
SHAPES = {"wide": (7, 3), "norm": (5,), "few": (2, 2)}


@given(total=st.integers(0, 50), count=st.integers(1, 12))
def test_the_parts_of_a_tensor_are_all_its_rows_once(total: int, count: int) -> None:
    rows = [range(*rows_of(total, Part(index, count))) for index in range(count)]
    assert [row for part in rows for row in part] == list(range(total))
    assert [len(part) for part in rows] == [
        len(chunk) for chunk in torch.empty(total).chunk(count) if len(chunk)
    ] + [0] * sum(not part for part in rows)


@given(total=st.integers(1, 50), before=st.integers(1, 9), now=st.integers(1, 9))
def test_what_a_process_reads_holds_its_rows_and_all_together_read_everything(
    total: int, before: int, now: int
) -> None:
    seen = set()
    for index in range(now):
        read = holders([total], Part(index, now), before)
        there = {row for holder in read for row in range(*rows_of(total, Part(holder, before)))}
        assert there >= set(range(*rows_of(total, Part(index, now))))
        seen |= there
    assert seen == set(range(total))


class ThreadPeers:
    """Threads of one process as the peers of each other."""

    def __init__(self, part: Part, said: list[Any], barrier: threading.Barrier) -> None:
        self.part, self._said, self._barrier = part, said, barrier

    def from_leader(self, mine: Any) -> Any:
        return self.of_all(mine)[0]

    def of_all(self, mine: Any) -> list[Any]:
        self._said[self.part.index] = mine
        self._barrier.wait(20)
        everyone = list(self._said)
        self._barrier.wait(20)
        return everyone


def together(count: int, work: Callable[[ThreadPeers], Any]) -> list[Any]:
    """Do the same work as every one of some processes; return what each returns or raises."""
    said: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def one(index: int) -> Any:
        try:
            return work(ThreadPeers(Part(index, count), said, barrier))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            return error

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def weights(step: int) -> dict[str, torch.Tensor]:
    return {
        name: torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape) + step
        for name, shape in SHAPES.items()
    }


def snapshot(step: int, part: Part = WHOLE) -> Snapshot:
    def cut(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor[slice(*rows_of(len(tensor), part))].clone() for name, tensor in tensors.items()}

    moments = {f"{name}/exp_avg": -tensor for name, tensor in weights(step).items()}
    totals = {
        "model": {name: shape[0] for name, shape in SHAPES.items()},
        "optimizer": {f"{name}/exp_avg": shape[0] for name, shape in SHAPES.items()},
    }
    scalars = {"wide/step": torch.tensor(float(step))}
    return Snapshot(
        step=step,
        tensors={
            "model": cut(weights(step)),
            "optimizer": {**cut(moments), **scalars},
            "random": {"0/torch": torch.arange(3)},
        },
        state={"elapsedSeconds": 1.5},
        ledger=b'{"step": 1}\n' if part.index == 0 else b"",
        part=part,
        totals={} if part.is_whole else totals,
    )


def folder_with(place: str, work: Path, count: int, *steps: int) -> str:
    for step in steps:
        ends = together(
            count,
            lambda peers, step=step: sharded.write(place, snapshot(step, peers.part), RUN, str(work), peers),
        )
        assert ends == [None] * count
    return place


def newest(folder: str, count: int) -> tuple[list[Any], list[str]]:
    said: list[str] = []
    rows = [shape[0] for shape in SHAPES.values()]
    return together(count, lambda peers: sharded.newest(folder, RUN, rows, peers, said.append)), said


def holds(found: Snapshot, step: int, part: Part) -> None:
    wanted = snapshot(step, part)
    assert (found.step, found.part, found.state) == (step, part, wanted.state)
    for group in ("model", "optimizer", "random"):
        assert found.tensors[group].keys() >= {
            name for name, tensor in wanted.tensors[group].items() if tensor.numel()
        }
        for name, tensor in wanted.tensors[group].items():
            if tensor.numel():
                assert torch.equal(found.tensors[group][name], tensor), (group, name)


@pytest.mark.parametrize(("before", "now"), [(2, 2), (2, 1), (2, 3), (3, 2), (4, 3), (5, 8), (8, 1)])
def test_any_number_of_processes_goes_on_from_any_other(before: int, now: int, tmp_path: Path) -> None:
    folder = folder_with(str(tmp_path / "checkpoints"), tmp_path, before, 10, 20)
    found, said = newest(folder, now)
    assert said == []
    for index, one in enumerate(found):
        holds(one, 20, Part(index, now))
    assert found[0].ledger == b'{"step": 1}\n'
    lone = snapshots.newest(folder, RUN, said.append)
    assert lone is not None
    holds(lone, 20, WHOLE)
    assert sorted(path.name for path in Path(folder).iterdir()) == ["step-000000000010", "step-000000000020"]


def test_parts_go_on_from_a_whole_one(tmp_path: Path) -> None:
    folder = str(tmp_path / "checkpoints")
    snapshots.write(folder, snapshot(10), RUN, str(tmp_path))
    found, _ = newest(folder, 3)
    # whoever restores cuts it: a whole tensor is told by not being among the cut ones
    assert all(
        one.totals == {} and torch.equal(one.tensors["model"]["wide"], weights(10)["wide"]) for one in found
    )


DAMAGE = {
    "one-part-cut-in-half": ("model-00001.safetensors", lambda data: data[: len(data) // 2]),
    "one-bit-of-one-part": ("optimizer-00002.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "one-part-gone": ("model-00002.safetensors", None),
    "manifest-cut": ("manifest.json", lambda data: data[:40]),
    "manifest-without-a-part": (
        "manifest.json",
        lambda data: data.replace(b'"model-00001.safetensors"', b'"other-00001.safetensors"'),
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("now", [1, 2, 3])
def test_a_part_that_is_damaged_makes_its_checkpoint_invalid_for_all(
    kind: str, now: int, tmp_path: Path
) -> None:
    folder = folder_with(str(tmp_path / "checkpoints"), tmp_path, 3, 10, 20)
    name, change = DAMAGE[kind]
    file = Path(snapshots.uri_of(folder, 20)) / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    found, said = newest(folder, now)
    assert [one.step for one in found] == [10] * now
    assert len(said) == 1
    assert "step-000000000020" in said[0]


def test_none_valid_among_some_is_refused_by_all(tmp_path: Path) -> None:
    folder = folder_with(str(tmp_path / "checkpoints"), tmp_path, 2, 10)
    (Path(snapshots.uri_of(folder, 10)) / "model-00001.safetensors").unlink()
    found, _ = newest(folder, 2)
    assert [type(one) for one in found] == [ArtifactError] * 2


def test_a_process_that_cannot_write_its_part_leaves_no_checkpoint(tmp_path: Path) -> None:
    folder = folder_with(str(tmp_path / "checkpoints"), tmp_path, 2, 10)

    def work(peers: ThreadPeers) -> None:
        mine = snapshot(20, peers.part)
        if peers.part.index == 1:
            mine.tensors["model"]["wide"].requires_grad_()  # type: ignore[index]
            object.__setattr__(mine, "tensors", {"model": {"wide": "no tensor"}})
        sharded.write(folder, mine, RUN, str(tmp_path), peers)

    ends = together(2, work)
    assert all(isinstance(end, Exception) for end in ends)
    assert str(ends[0]).startswith("rank 1: ")
    assert [path.name for path in Path(folder).iterdir()] == ["step-000000000010"]


def test_a_leader_that_cannot_begin_keeps_nobody_waiting(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    ends = together(
        2,
        lambda peers: sharded.write(
            str(blocked / "checkpoints"), snapshot(1, peers.part), RUN, str(tmp_path), peers
        ),
    )
    assert isinstance(ends[0], UserError)
    assert isinstance(ends[1], TransientError)


def test_a_disk_that_is_not_shared_is_said(tmp_path: Path) -> None:
    folder = str(tmp_path / "checkpoints")

    class Elsewhere(ThreadPeers):
        """A process on another machine: the leader's folder is not there."""

        def from_leader(self, mine: Any) -> Any:
            place = super().from_leader(mine)
            return place if self.part.index == 0 else f"{place}-elsewhere"

    def work(peers: ThreadPeers) -> None:
        peers.__class__ = Elsewhere
        sharded.write(folder, snapshot(1, peers.part), RUN, str(tmp_path), peers)

    ends = together(2, work)
    assert [type(end) for end in ends] == [UserError, UserError]
    assert "is not shared between the machines" in str(ends[0])


@pytest.mark.slow
def test_parts_live_in_a_bucket_too(bucket: str, tmp_path: Path) -> None:
    folder = folder_with(bucket, tmp_path, 2, 1, 2, 3)
    snapshots.prune(folder, 2)
    found, said = newest(folder, 3)
    for index, one in enumerate(found):
        holds(one, 3, Part(index, 3))
    storage.write_bytes(storage.join(folder, "step-000000000003/model-00001.safetensors"), b"torn")
    found, said = newest(folder, 2)
    assert ([one.step for one in found], len(said)) == ([2, 2], 1)
    assert list(tmp_path.iterdir()) == []
