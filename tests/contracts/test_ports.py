"""Ports for servers of this machine: free, different, and not those that the kernel gives to connections."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from daybreak_contracts import ports
from daybreak_contracts.errors import TransientError


def test_they_are_different_and_free_and_no_connections(tmp_path: Path) -> None:
    said = tmp_path / "range"
    said.write_text("20000\t60999\n")
    found = ports.free_ports(50, said)
    assert len(set(found)) == 50
    assert all(ports.LOWEST_PORT <= port < 20_000 for port in found)


@pytest.mark.parametrize("text", ["", "words", "1024\t65535"])
def test_a_range_that_says_nothing_or_all_leaves_ports_to_choose_from(tmp_path: Path, text: str) -> None:
    said = tmp_path / "range"
    said.write_text(text)
    assert ports.free_ports(3, said)
    assert ports.free_ports(3, tmp_path / "absent")


def test_one_that_is_taken_is_passed_over_and_too_few_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "candidates_below", lambda _: range(port, port + 1))
        with pytest.raises(TransientError, match="fewer than 1 are free"):
            ports.free_port()
