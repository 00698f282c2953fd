"""How much there is to train on, before anything runs: from shards that are there, else by counting files.

Reads listings, never a file's text. What only a download would tell (git, Parquet) is left to the person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

from daybreak_contracts import arguments, artifacts, names, storage
from daybreak_contracts.errors import DaybreakError
from daybreak_contracts.layouts import shards as layout
from daybreak_contracts.layouts.shards import ShardDescription
from daybreak_contracts.planning import data_amount
from daybreak_contracts.planning.data_amount import DataAmount
from daybreak_contracts.planning.plan import vocabulary_of
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.resources.data import Source
from daybreak_contracts.resources.training import Tokenizer
from daybreak_contracts.steps import ShardResult, TokenizerResult
from daybreak_pipelines.local import record

UNPACKED = 4.0
"""What an archive holds, in its own bytes."""


def amount_of(run: TrainingRun, settings: arguments.RunSettings) -> DataAmount | None:
    """Return what there is to train on; None when only a download would tell."""
    return of_shards(run, settings) or of_sources(run, settings.work_dir)


def vocabulary_size(tokenizer: Tokenizer) -> int | None:
    """Return the tokens of a re-used tokenizer, by its manifest; None of one that is to be trained, or not there."""
    if tokenizer.reuse is None or not storage.exists(storage.join(tokenizer.reuse.uri, artifacts.MANIFEST)):
        return None
    made = artifacts.load(tokenizer.reuse.uri)
    return (
        TokenizerResult.model_validate(made.result).vocabulary_size
        if made.step == names.STEP_TOKENIZER
        else None
    )


def asked(tokens: int, context_length: int) -> DataAmount:
    """Return what a person said."""
    return DataAmount(tokens, max(1, tokens // context_length), "as asked")


def of_shards(run: TrainingRun, settings: arguments.RunSettings) -> DataAmount | None:
    """Return what the shards of the newest run in this output hold; None when there are none of this context."""
    for result in _shard_results(settings):
        if result.num_train_samples < 1:
            continue
        if _context_length(result) == run.spec.training.context_length:
            return DataAmount(
                result.num_train_tokens,
                result.num_train_samples,
                f"the shards {result.uri}",
                result.unique_train_tokens,
            )
    return None


def _context_length(result: ShardResult) -> int:
    """Return the length of a sample as the shards say it: padding makes tokens by samples less."""
    described = storage.read_json(storage.join(result.uri, layout.DESCRIPTION_FILE))
    return ShardDescription.model_validate(described).context_length


def _shard_results(settings: arguments.RunSettings) -> list[ShardResult]:
    found = []
    left = Path(settings.work_dir) / "results" / f"{names.STEP_SHARDS}.json"
    try:
        if left.exists():
            found.append(ShardResult.model_validate(storage.read_json(str(left))["result"]))
        kept = record.read(settings.output).results.get(names.STEP_SHARDS)
        if kept is not None:
            found.append(ShardResult.model_validate(kept))
    except (DaybreakError, ValueError, KeyError):
        pass  # no finished run here, or an unfinished one of another release
    return [result for result in found if storage.exists(storage.join(result.uri, artifacts.MANIFEST))]


def of_sources(run: TrainingRun, work_dir: str) -> DataAmount | None:
    """Return what the files of all sources will become; None when one of them cannot be counted from here."""
    sizes = [_wanted_bytes(source, run, work_dir) for source in run.spec.data.sources]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    unique, mixed = (sum(counts) for counts in zip(*known, strict=True))
    origin = f"estimated from {unique / 1e6:,.0f} MB of files in the wanted languages"
    context = run.spec.training.context_length
    vocabulary = vocabulary_size(run.spec.tokenizer) or vocabulary_of(run.spec.tokenizer)
    if not run.spec.data.mixture:
        return data_amount.estimated(unique, vocabulary, context, origin)
    a_pass = data_amount.estimated(mixed, vocabulary, context, f"{origin}, as the mixture repeats them")
    return replace(a_pass, unique_tokens=data_amount.estimated(unique, vocabulary, context, origin).tokens)


def _wanted_bytes(source: Source, run: TrainingRun, work_dir: str) -> tuple[float, float] | None:
    """Return the bytes of a source in the wanted languages that are trained on, by the names of its files.

    Once, and as often as the mixture repeats them. Of an archive's files the languages are not known yet: its rows of
    the mixture that name a language are left out.
    """
    from daybreak_data.rules.document_rules import language_of
    from daybreak_data.shards.mixture import Mixture
    from daybreak_data.sources import list_source

    if source.git is not None or source.parquet is not None:
        return None
    refs = list_source(source, work_dir).expand().refs
    epochs_of = partial(Mixture(run.spec.data.mixture).epochs, source.name)
    if source.archives is not None:
        size = min(UNPACKED * sum(ref.size for ref in refs), source.max_bytes or float("inf"))
        return _weighed({"": size}, epochs_of)
    total = sum(ref.size for ref in refs)
    taken = min(total, source.max_bytes or total) / total if total else 0.0
    sizes: Counter[str] = Counter()
    for ref in refs:
        sizes[language_of(ref.path, "") or ""] += ref.size
    wanted = {name: taken * size for name, size in sizes.items() if name in run.spec.data.languages}
    return _weighed(wanted, epochs_of)


def _weighed(sizes: Mapping[str, float], epochs_of: Callable[[str], Decimal]) -> tuple[float, float]:
    epochs = {language: float(epochs_of(language)) for language in sizes}
    once = sum(size * min(1.0, epochs[language]) for language, size in sizes.items())
    return once, sum(size * epochs[language] for language, size in sizes.items())
