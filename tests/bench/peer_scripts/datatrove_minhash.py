"""datatrove's MinHash deduplication with its defaults, four stages on this machine.

Arguments: a folder with JSONL files, a scratch folder, the number of workers.
Prints {"seconds", "cpu_seconds", "kept"}.
"""

import json
import resource
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def run_stage(steps: list, tasks: int, workers: int, logs: Path) -> None:
    LocalPipelineExecutor(
        pipeline=steps,
        tasks=tasks,
        workers=workers,
        logging_dir=str(logs),
        skip_completed=False,
        start_method="fork",  # so that their CPU seconds count as those of children
    ).run()


def main(source: str, scratch: Path, workers: int) -> None:
    config = MinhashConfig()
    signatures, buckets, removed, kept = (
        str(scratch / n) for n in ("signatures", "buckets", "remove", "kept")
    )
    began = time.monotonic()
    signature = MinhashDedupSignature(output_folder=signatures, config=config)
    run_stage([JsonlReader(source), signature], workers, workers, scratch / "logs1")
    bucket = MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)
    run_stage([bucket], config.num_buckets, workers, scratch / "logs2")
    cluster = MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=config)
    run_stage([cluster], 1, 1, scratch / "logs3")
    keep = [
        JsonlReader(source),
        MinhashDedupFilter(input_folder=removed),
        JsonlWriter(kept, compression=None),
    ]
    run_stage(keep, workers, workers, scratch / "logs4")
    seconds = time.monotonic() - began
    lines = sum(1 for path in Path(kept).glob("*.jsonl") for _ in path.open())
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "kept": lines}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
