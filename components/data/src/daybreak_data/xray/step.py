"""The x-ray step: a documents artifact to numbers, a page that a person reads, and a record in MLflow.

Owns the artifact's layout and the order of the work; ``statistics`` counts, ``page`` shows,
``tracking`` records. Changes nothing in the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import XrayArgs, XrayResult
from daybreak_data.spark.session import open_session, watched
from daybreak_data.xray import page, statistics, tracking
from daybreak_data.xray.totals import metrics_of

CODE_VERSION = 3
PAGE_FILE = "xray.html"
JSON_FILE = "xray.json"
STATISTICS = "statistics"


def run_xray(args: XrayArgs, progress: Progress) -> XrayResult:
    """Write the x-ray and record it. A tracking server that is down costs a warning, never the step."""
    documents = artifacts.load(args.documents)
    digest = artifacts.digest_of(
        {
            "step": names.STEP_XRAY,
            "code": CODE_VERSION,
            "title": args.title,
            "documents": documents.digest,
        }
    )
    uri = artifacts.uri_of(args.output, names.STEP_XRAY, digest)

    def write(staging: Path) -> dict[str, Any]:
        artifacts.verify(args.documents, documents)
        return _write(args, documents, staging, progress)

    manifest, cached = artifacts.produce(
        uri,
        step=names.STEP_XRAY,
        digest=digest,
        inputs={"documents": documents.digest},
        work_dir=args.work_dir,
        write=write,
    )
    result = XrayResult.model_validate({**manifest.result, "uri": uri, "digest": digest, "cached": cached})
    progress.report("recording in MLflow")
    tracking.record(args, result, {"documents": documents.digest[:16], "seed": str(args.seed)})
    return result


def _write(
    args: XrayArgs, documents: artifacts.Manifest, staging: Path, progress: Progress
) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with (
        open_session("xray", args.cores, args.work_dir, args.executors) as session,
        watched(session, progress, "measuring"),
    ):
        found = statistics.compute(session, args.documents, documents)
    (staging / STATISTICS).mkdir()
    for name, table in found.items():
        pq.write_table(table, staging / STATISTICS / f"{name}.parquet", compression="zstd")
    rows = statistics.as_json(found)
    metrics = metrics_of(rows)
    text = page.render(args.title, documents.digest, rows)
    storage.write_bytes(str(staging / PAGE_FILE), text.encode())
    summary = {"title": args.title, "documents": documents.digest, "metrics": metrics, "statistics": rows}
    storage.write_json(str(staging / JSON_FILE), summary)
    return {"html": PAGE_FILE, "metrics": metrics}
