"""One small Spark session for all tests of the data room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from daybreak_data.spark import open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two local threads; steps that run in this process use it again."""
    with open_session("tests", 2, str(tmp_path_factory.mktemp("spark"))) as session:
        yield session
