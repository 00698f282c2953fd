"""A cluster of its own for a room of figures: it stands while the figures are taken and says on stderr what it does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import launcher


@contextmanager
def cluster_of(parts: launcher.Parts) -> Iterator[launcher.Cluster]:
    """Start a cluster of these parts, and end it with the body."""
    cluster = launcher.start(parts, os.environ, lambda text: print(text, file=sys.stderr))
    try:
        yield cluster
    finally:
        cluster.close()
