"""Ports of loopback for servers that this machine starts for itself: Triton, the meeting place of training processes.

They lie below the range from which the kernel gives ports to outgoing connections. A port of that range that was free
when it was asked for may be some connection's when its server, seconds later, wants it: of a busy machine's trainings
some met nobody, and waited.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from daybreak_contracts.errors import TransientError

LOWEST_PORT = 10_000
TRIED = 500
LOOPBACK = "127.0.0.1"
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int, range_file: Path = RANGE) -> list[int]:
    """Return different ports that nobody listens on now; a TransientError where there are not so many."""
    found: list[int] = []
    candidates = candidates_below(_first_of_connections(range_file))
    for port in random.sample(candidates, min(TRIED, len(candidates))):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
    if len(found) < count:
        raise TransientError(
            f"of {TRIED} ports between {candidates.start} and {candidates.stop} fewer than {count} are free on "
            "loopback: end servers that nobody needs"
        )
    return found


def free_port() -> int:
    """Return a port that nobody listens on now."""
    return free_ports(1)[0]


def candidates_below(first_of_connections: int) -> range:
    """Return the ports to choose from; where connections may have them nearly all, those they may have.

    >>> candidates_below(32_768), candidates_below(1024)
    (range(10000, 32768), range(10000, 65536))
    """
    highest = first_of_connections if first_of_connections > LOWEST_PORT + TRIED else 65_536
    return range(LOWEST_PORT, highest)


def _first_of_connections(range_file: Path) -> int:
    try:
        return int(range_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux' default, where it does not say
