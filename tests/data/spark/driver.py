"""A data step's Spark session with one executor, in a process that believes to be a pod: says where its tasks ran."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import pyarrow as pa

from daybreak_data.spark.session import open_session


def where(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        name = os.environ.get("SPARK_EXECUTOR_POD_NAME", "the driver")
        yield pa.RecordBatch.from_pydict({"pod": [name], "total": [sum(batch.column(0).to_pylist())]})


if __name__ == "__main__":
    with open_session("test", 1, sys.argv[1], executors=1) as session:
        rows = session.range(0, 1000, 1, 2).mapInArrow(where, "pod string, total long").collect()
        print(json.dumps([[row["pod"], row["total"]] for row in rows]))
