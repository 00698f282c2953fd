"""``daybreak evaluate RUN|MODEL|URL``: a model that is there already, asked on suites, scored into a folder.

Owns what a subject is and the folder: scores, samples, protocol, page, as the artifact of a run has them. What was
answered and judged is kept as it comes, so that the same command goes on where it was killed.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.steps import Score
from daybreak_evaluate import evaluate
from daybreak_evaluate.endpoint import ModelServer, ServedModel
from daybreak_evaluate.journal import ResultJournal
from daybreak_evaluate.kept_answers import AnsweringModel, KeptAnswers
from daybreak_evaluate.suites import registry
from daybreak_evaluate.suites.settings import SuiteContext, TextModel

JOURNAL = ".journal"
SERVED_NEW_TOKENS = 512
SERVED_CONTEXT = 4096
"""Tokens that a server's model is taken to see at least; the server itself cuts or refuses what is longer."""
MODEL_FILES = ("config.json", "tokenizer.json", "*.safetensors")


@dataclass(frozen=True)
class Subject:
    """A model to be scored."""

    identity: tuple[str, ...]
    """What its answers depend on."""
    context_length: int
    new_tokens: int
    """Longest answer, where the context has room for it."""
    load: Callable[[], AbstractContextManager[AnsweringModel]]
    about: Mapping[str, Any]
    """What the page says of it."""
    text_model: Callable[[], TextModel] | None = None
    held_out: Callable[[], Path] | None = None
    """The rows of the run that it came from, for suites that ask for code like its own."""
    in_repository: bool = False


@dataclass(frozen=True)
class Options:
    """How it is scored."""

    folder: Path
    seed: int = 0
    workers: int = 0


def of_server(server: ModelServer) -> Subject:
    """Return the model behind a server; it is asked for its name at once."""
    with ServedModel(server) as model:
        name = model.name
    named = ModelServer(server.url, name, server.key)
    return Subject(
        identity=("server", named.base, name),
        context_length=SERVED_CONTEXT,
        new_tokens=SERVED_NEW_TOKENS,
        load=lambda: ServedModel(named),
        about={"server": named.base, "model": name},
    )


def of_folder(model: str, work_dir: Path, shards: str | None = None) -> Subject:
    """Return a model folder, with the rows of its run where there are some."""
    from daybreak_evaluate.generation import LoadedModel

    folder = _fetched(model, work_dir, "")
    config = storage.read_json(str(folder / "config.json"))
    if not isinstance(config, dict) or "max_position_embeddings" not in config:
        raise UserError(f"{model}: no model here, config.json names no max_position_embeddings")
    load = functools.cache(lambda: LoadedModel(folder))
    digest = _digest(folder)
    in_repository = False
    if shards is not None:
        in_repository = artifacts.load(shards).result.get("layout") == "Repository"
    return Subject(
        identity=("folder", digest),
        context_length=int(config["max_position_embeddings"]),
        new_tokens=evaluate.new_tokens(),
        load=lambda: nullcontext(load()),
        about={"folder": model, "contextLength": config["max_position_embeddings"], "digest": digest},
        text_model=load,
        held_out=None
        if shards is None
        else lambda: _fetched(shards, work_dir, evaluate.HELD_OUT) / evaluate.HELD_OUT,
        in_repository=in_repository,
    )


def score(
    subject: Subject, suites: Sequence[Suite], options: Options, progress: Progress
) -> tuple[Score, ...]:
    """Score a model on suites and write the folder."""
    options.folder.mkdir(parents=True, exist_ok=True)
    with ResultJournal(options.folder / JOURNAL) as journal, ExitStack() as opened:
        plugins = [plugin for plugin, _ in registry.make_all(suites, _context(subject, options, journal))]
        load = functools.cache(lambda: opened.enter_context(subject.load()))
        model = KeptAnswers(load, journal, subject.identity)
        outcomes = evaluate.run_suites(plugins, lambda: model, progress)
        try:
            evaluate.write_outcomes(options.folder, outcomes, subject.about)
        except OSError as error:
            raise TransientError(f"{options.folder}: cannot be written ({error})") from error
        journal.forget()
    return tuple(score for outcome in outcomes.values() for score in outcome.scores)


def _context(subject: Subject, options: Options, journal: ResultJournal) -> SuiteContext:
    return SuiteContext(
        seed=options.seed,
        max_new_tokens=min(subject.new_tokens, subject.context_length // 2),
        max_prompt_tokens=evaluate.PROMPT_TOKENS,
        context_length=subject.context_length,
        workers=options.workers,
        work_dir=str(options.folder),
        in_repository=subject.in_repository,
        held_out=subject.held_out,
        model=subject.text_model,
        verdicts=journal,
    )


def _fetched(uri: str, work_dir: Path, below: str) -> Path:
    """Return a local folder with what lies below a folder of an artifact or a model."""
    if not storage.is_remote(uri):
        return storage.local_path(uri)
    folder = work_dir / f"fetched-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"
    storage.copy_tree(storage.join(uri, below) if below else uri, str(folder / below))
    return folder


def _digest(folder: Path) -> str:
    """Return the digest of what a model's answers depend on."""
    seen = hashlib.sha256()
    for file in sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern)}):
        with file.open("rb") as opened:
            seen.update(f"{file.name}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return seen.hexdigest()
