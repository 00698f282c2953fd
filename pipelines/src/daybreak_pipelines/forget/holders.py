"""Which artifacts hold documents that a rule names, and what is done about each. Reads, and mends when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.names import STEP_DOCUMENTS, STEP_INGEST, STEP_SHARDS
from daybreak_contracts.resources.run import Exclusion
from daybreak_pipelines.forget.lineage import CHECKPOINTS, FoundArtifact, of_steps

MENDED = (STEP_SHARDS, STEP_DOCUMENTS, STEP_INGEST)
"""Steps whose artifacts are rewritten, in the order in which they are: a document's place is looked up in what comes
later, so a rewriting that was stopped finds it again."""
SAID = {
    STEP_SHARDS: "its tokens are replaced by padding, which is never trained on; all other samples stay as they are",
    STEP_DOCUMENTS: "its rows are taken out",
    STEP_INGEST: "its rows are taken out",
    names.STEP_TOKENIZER: "was made from data that held it: it keeps frequent pieces of words, no text",
    CHECKPOINTS: "was trained on it: this cannot be mended without training again; remove the folder",
    names.STEP_TRAIN: "was trained on it: this cannot be mended without training again; its examples may quote it",
    names.STEP_EXPORT: "was trained on it: this cannot be mended without training again",
    names.STEP_EVALUATE: "its samples may quote it: remove the folder, or evaluate again",
    names.STEP_XRAY: "its tables may name it, and so may its record in MLflow: remove both, the next run writes them",
}
"""What happens to an artifact of each step, or what a person has to do."""


@dataclass(frozen=True)
class HolderEntry:
    """An artifact that holds documents, or that was made of one that does."""

    step: str
    uri: str
    digest: str
    documents: int = 0
    tokens: int = 0
    before: str = ""
    """Digest of its bytes before, and ``after`` it was mended."""
    after: str = ""

    @property
    def is_mended(self) -> bool:
        """Whether its kind can be mended."""
        return self.step in MENDED


@dataclass(frozen=True)
class ForgetTarget:
    """What is to go: a rule, and the places of the documents that it names by id."""

    rule: Exclusion
    path_ids: frozenset[int] = frozenset()


def target_of(rule: Exclusion, found: Sequence[FoundArtifact]) -> ForgetTarget:
    """Return what a rule names, ids looked up in the documents and ingest artifacts that are here."""
    from daybreak_data.takeback import tables
    from daybreak_data.takeback.rule import TakeBackRule

    if not rule.document_ids:
        return ForgetTarget(rule)
    by_id = TakeBackRule.of(Exclusion(document_ids=rule.document_ids))
    holding = of_steps(found, STEP_DOCUMENTS, STEP_INGEST)
    places = {place for one in holding for place in tables.places_of(one.uri, by_id)}
    return ForgetTarget(rule, frozenset(places))


def direct(found: Sequence[FoundArtifact], target: ForgetTarget) -> list[HolderEntry]:
    """Return the artifacts that hold documents, or whose rewriting was stopped half way."""
    from daybreak_data.takeback import rewrite, tables, tokens
    from daybreak_data.takeback.rule import TakeBackRule

    wanted = TakeBackRule.of(target.rule, target.path_ids)
    holders = []
    for one in of_steps(found, *MENDED):
        num_documents, num_tokens = (
            tokens.count(one.uri, wanted)
            if one.step == STEP_SHARDS
            else (len(tables.places_of(one.uri, wanted)), 0)
        )
        if num_documents or rewrite.is_unfinished(one.uri):
            holders.append(HolderEntry(one.step, one.uri, one.digest, num_documents, num_tokens, one.content))
    return holders


def copies(found: Sequence[FoundArtifact], target: ForgetTarget) -> int:
    """Return how many files were dropped as copies of documents that stay."""
    from daybreak_data.takeback import tables
    from daybreak_data.takeback.rule import TakeBackRule

    wanted = TakeBackRule.of(target.rule, target.path_ids)
    return max((tables.num_copies(one.uri, wanted) for one in of_steps(found, STEP_DOCUMENTS)), default=0)


def mend(holder: HolderEntry, target: ForgetTarget) -> HolderEntry:
    """Take the documents out of an artifact and return its entry with the digest that it has then."""
    from daybreak_data.takeback import tables, tokens
    from daybreak_data.takeback.rule import TakeBackRule

    wanted = TakeBackRule.of(target.rule, target.path_ids)
    if holder.step == STEP_SHARDS:
        tokens.blank(holder.uri, wanted)
    else:
        tables.take_rows(holder.uri, wanted)
    return replace(holder, after=artifacts.load(holder.uri).content_digest)


def clear(output: str, holders: Sequence[HolderEntry]) -> None:
    """Remove copies of shards that a stopped step or a training's cache left: they are made again when needed."""
    above = storage.join(output, STEP_SHARDS)
    for head in sorted({name.partition("/")[0] for name in storage.list_files(above)}):
        if head.startswith(".parts-"):
            storage.remove_tree(storage.join(above, head))
    for one in holders:
        if one.step == STEP_SHARDS and not storage.is_remote(output):
            storage.remove_tree(storage.join(output, ".work", "shard-cache", one.digest[:16]))
