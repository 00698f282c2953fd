"""Personal data: speed on real code, quality on planted truth, beside datatrove and detect-secrets.

The peers see the same planted files. They are asked for values, not for places: a value counts as found when it
is planted there, so that nobody loses by where a span begins.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.resources.run import PersonalData
from daybreak_data.personal_data import find_personal_data, redact
from tests.bench.data.corpus import environment_code
from tests.bench.peer import run_peer
from tests.bench.row import Row
from tests.data.personal_data import test_quality as quality

CORPUS_BYTES = 100_000_000
SLOW_PEER_BYTES = 2_000_000
NOTE = "our own planted files and notations; ours to the character, the peer by value"


@dataclass(frozen=True)
class Peer:
    """A peer's name with its version, what to install, and the script that runs it."""

    name: str
    requirements: tuple[str, ...]
    script: str


DATATROVE = Peer(
    "datatrove 0.10.1",
    ("datatrove[io]==0.10.1", "spacy", "regex", "nltk", "tokenizers", "xxhash<4"),
    "datatrove_personal_data.py",
)
DETECT_SECRETS = Peer("detect-secrets 1.5.0", ("detect-secrets==1.5.0",), "detect_secrets_keys.py")
ADDRESSES = {"email", "ip address"}
ASKED = {
    "email": DATATROVE,
    "ip address": DATATROVE,
    "key by its form": DETECT_SECRETS,
    "key by its name": DETECT_SECRETS,
}
TARGETS = {
    "email": (0.97, 0.98),
    "ip address": (0.95, 0.95),
    "key by its form": (0.98, 0.98),
    "key by its name": (0.80, 0.65),
}


Found = dict[str, list[list[str]]]


def measure() -> list[Row]:
    """Measure on one core; quality on 150 files of ten planted and ten hard negative lines per kind."""
    corpus = environment_code(CORPUS_BYTES)
    few = environment_code(SLOW_PEER_BYTES)
    planted = {what: quality.planted_files(what, num_files=150, seed=0) for what in quality.PLANTS}
    search_s, redact_s, num_findings = _ours(corpus)
    trove_s, trove_found = _peer(DATATROVE, corpus, planted)
    secrets_s, secrets_found = _peer(DETECT_SECRETS, few, planted)
    rate, few_rate = _megabytes(corpus), _megabytes(few)
    rows = [
        Row(
            "search, all kinds",
            rate / search_s,
            "MB/s/core",
            ">= 15, goal 30",
            "datatrove 0.10.1 PIIFormatter",
            rate / trove_s,
            f"{rate:.0f} MB of this environment's code, {num_findings} findings; the peer: emails and IPv4 only",
        ),
        Row(
            "search and redaction",
            rate / (search_s + redact_s),
            "MB/s/core",
            ">= 15, goal 30",
            "detect-secrets 1.5.0",
            few_rate / secrets_s,
            f"the peer: keys only, no redaction, {few_rate:.0f} MB",
        ),
    ]
    found = {DATATROVE: trove_found, DETECT_SECRETS: secrets_found}
    for what in quality.PLANTS:
        rows += _quality_rows(what, planted[what], found[ASKED[what]][what], ASKED[what].name)
    return rows


def _megabytes(corpus: Sequence[tuple[str, str]]) -> float:
    return sum(len(text.encode()) for _, text in corpus) / 1e6


def _ours(corpus: Sequence[tuple[str, str]]) -> tuple[float, float, int]:
    find_personal_data("", "")  # compiles the rules
    began = time.process_time()
    findings = [find_personal_data(text, path) for path, text in corpus]
    searched = time.process_time()
    for (_, text), some in zip(corpus, findings, strict=True):
        redact(text, some, PersonalData())
    return searched - began, time.process_time() - searched, sum(map(len, findings))


def _peer(
    peer: Peer, corpus: Sequence[tuple[str, str]], planted: dict[str, list[quality.Planted]]
) -> tuple[float, Found]:
    files = [file.text for what in planted for file in planted[what]]
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.json"
        given.write_text(json.dumps({"corpus": [text for _, text in corpus], "planted": files}))
        answer = run_peer(peer.name, peer.requirements, peer.script, str(given))
    found = iter(answer["found"])
    return answer["seconds"], {what: [next(found) for _ in planted[what]] for what in planted}


def _quality_rows(
    what: str, files: Sequence[quality.Planted], peer_found: Sequence[Sequence[str]], peer: str
) -> list[Row]:
    precision, recall, _ = quality.measure(what, num_files=150, seed=0)
    num_right = num_hits = num_recalled = num_planted = 0
    for file, values in zip(files, peer_found, strict=True):
        truth = {file.text[start:end] for _, start, end in file.spans}
        hits = {value for value in values if what not in ADDRESSES or ("@" in value) == (what == "email")}
        num_planted += len(truth)
        num_hits += len(hits)
        num_right += sum(_any_overlap(hit, truth) for hit in hits)
        num_recalled += sum(_any_overlap(value, hits) for value in truth)
    targets = TARGETS[what]
    peer_precision, peer_recall = num_right / max(1, num_hits), num_recalled / num_planted
    return [
        Row(f"{what}: precision", precision, "", f">= {targets[0]:.2f}", peer, peer_precision, NOTE),
        Row(f"{what}: recall", recall, "", f">= {targets[1]:.2f}", peer, peer_recall, NOTE),
    ]


def _any_overlap(value: str, others: set[str]) -> bool:
    return any(value in other or other in value for other in others)
