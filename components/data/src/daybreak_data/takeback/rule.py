"""Which documents a rule of ``data.exclude`` names, in artifacts that were made already. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from daybreak_contracts.resources.run import Exclusion
from daybreak_data.documents.exclusion import ExclusionRules, all_rules


@dataclass(frozen=True)
class TakeBackRule:
    """A rule, and the places of those documents that it names by id: shards know places only."""

    names: ExclusionRules
    document_ids: Set[str]
    path_ids: Set[int] = frozenset()

    @classmethod
    def of(cls, rule: Exclusion, path_ids: Set[int] = frozenset()) -> TakeBackRule:
        """Return what a rule names; ``path_ids`` are the places of its ids where they were looked up."""
        return cls(all_rules(rule), frozenset(rule.document_ids), path_ids)

    def takes(self, repository: str | None, path: str | None, path_id: int, document_id: str = "") -> bool:
        """Tell whether a document goes."""
        if path_id in self.path_ids or document_id in self.document_ids:
            return True
        return bool(self.names.reason_for(repository or "", path or ""))

    def takes_repository(self, repository: str | None) -> bool:
        """Tell whether all of a repository goes."""
        return bool(replace(self.names, paths=()).reason_for(repository or "", ""))
