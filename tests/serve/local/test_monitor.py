"""What is started again: at once the first time, from a spare where there is one, and whatever dies while it loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from daybreak_contracts.progress import Progress
from daybreak_serve import standby
from daybreak_serve.engine.repository import build_repository
from daybreak_serve.engine.triton import TritonServer
from daybreak_serve.local import monitor
from daybreak_serve.local.serving import serve
from daybreak_serve.modelfolder import ModelFolder
from daybreak_serve.process import first_end
from tests.serve.conftest import group_of, new_server, slow_repository
from tests.serve.spares import have_spares, opened_by

WAITER = """
import os
from daybreak_serve.standby import wait_until_wanted
print("up", flush=True)
wait_until_wanted(os.environ)
print("wanted", flush=True)
"""


def spare_process(gate: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, standby.VARIABLE: str(gate)}
    return subprocess.Popen(
        [sys.executable, "-c", WAITER], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("is_early", [False, True], ids=["it waits already", "it is wanted before it waits"])
def test_a_spare_goes_on_when_it_is_wanted(tmp_path: Path, is_early: bool) -> None:
    gate = standby.StandbyGate(tmp_path / "gate")
    with spare_process(tmp_path / "gate") as process:
        assert process.stdout is not None
        if is_early:
            gate.open()
        assert process.stdout.readline() == "up\n"
        if not is_early:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
            gate.open()
        assert process.stdout.readline() == "wanted\n"
    gate.close()
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_spare_ends_with_its_starter(tmp_path: Path) -> None:
    gate = standby.StandbyGate(tmp_path / "gate")
    with spare_process(tmp_path / "gate") as process:
        assert process.stdout is not None
        process.stdout.readline()
        until(lambda: any("gate" in link for link in opened_by(Path(f"/proc/{process.pid}"))))
        gate.close()
        assert process.stdout.read() == ""
    assert process.returncode == 1


def test_who_is_no_spare_waits_for_nothing() -> None:
    standby.wait_until_wanted({})


def test_an_end_is_told_at_once_also_of_who_is_not_ours(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        began = time.monotonic()
        assert not first_end([parent.pid, grandchild], 0.1)
        os.kill(grandchild, signal.SIGKILL)
        assert first_end([parent.pid, grandchild], 60)
        assert time.monotonic() - began < 30
    assert first_end([parent.pid], 60)


@pytest.mark.parametrize(
    ("meminfo", "has_room"),
    [
        ("MemTotal:       9000000 kB\nMemAvailable:    5000000 kB\n", True),
        ("MemTotal:       9000000 kB\nMemAvailable:    3000000 kB\n", False),
        ("MemTotal:       9000000 kB\n", False),
    ],
    ids=["much", "little", "unknown"],
)
def test_a_spare_takes_memory_that_nobody_needs(meminfo: str, has_room: bool) -> None:
    assert standby.has_room(meminfo) == has_room


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stubs_of(server: TritonServer) -> list[int]:
    return [pid for pid in group_of(server.child.pid) if pid != server.child.pid]


@pytest.mark.needs("triton")
def test_a_spare_takes_the_port_over_and_leaves_nothing(model: ModelFolder, tmp_path: Path) -> None:
    slow_repository(model, tmp_path)
    file = tmp_path / "repository/completion/1/model.py"
    waits = "import os\nfrom daybreak_serve.standby import wait_until_wanted\nwait_until_wanted(os.environ)\n"
    file.write_text(waits + file.read_text())
    server = new_server(tmp_path)
    try:
        server.start()
        assert not server.wants_spare  # it does not serve yet
        server.wait_ready(Progress("serve"))
        assert not server.is_broken()
        assert server.wants_spare
        server.prepare_spare()
        assert not server.wants_spare
        first, port = server.child.pid, server.reach.port
        os.kill(first, signal.SIGKILL)
        until(server.is_broken)
        server.kill()
        server.start()
        server.wait_ready(Progress("serve"))
        assert (server.child.pid != first, server.reach.port) == (True, port)
        assert not server.is_broken()
        assert server.why_hung(time.monotonic()) is None
        server.prepare_spare()
    finally:
        server.stop()
    assert list(tmp_path.glob("*.standby")) == []
    assert [path for path in Path("/dev/shm").glob(f"daybreak_{os.getpid()}_*") if server_made(path)] == []


def server_made(path: Path) -> bool:
    """Whether a region is one of the last three servers of this process: those of fixtures are older."""
    return int(path.name.split("_")[3]) > TritonServer._serial - 3


@pytest.mark.needs("triton")
def test_an_engine_that_dies_while_it_loads_is_noticed(model: ModelFolder, tmp_path: Path) -> None:
    """Triton goes on waiting for it: a second crash, during the start after the first one, was never noticed."""
    repository = build_repository(model, tmp_path / "repository")
    (repository / "completion/1/model.py").write_text("import time\ntime.sleep(600)\n")
    server = new_server(tmp_path)
    try:
        server.start()
        until(lambda: bool(stubs_of(server)))
        assert not server.is_broken()
        for pid in stubs_of(server):
            os.kill(pid, signal.SIGKILL)
        until(server.is_broken, 20)
    finally:
        server.stop()


@pytest.mark.needs("triton")
@pytest.mark.slow
def test_deaths_with_spares_are_a_short_outage_and_nothing_is_left(model_uri: str, tmp_path: Path) -> None:
    with serve(model_uri, work_dir=tmp_path, port=0) as server:
        until(lambda: have_spares(server), 120)
        began = time.monotonic()
        for victim in (stubs_of(server.triton)[0], server.gateway_pid()):
            os.kill(victim, signal.SIGKILL)
        time.sleep(0.02)
        with httpx.Client(base_url=server.url, trust_env=False, timeout=60, verify=False) as client:
            until(lambda: answers(client), 60)
        assert time.monotonic() - began < 5
    assert not any(tmp_path.iterdir())


def answers(client: httpx.Client) -> bool:
    try:
        return client.post("/v1/completions", json={"prompt": "x", "max_tokens": 1}).status_code == 200
    except httpx.TransportError:
        return False


def test_pauses_come_with_the_third_short_life() -> None:
    assert [monitor.pause_before(number) for number in range(6)] == [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]
