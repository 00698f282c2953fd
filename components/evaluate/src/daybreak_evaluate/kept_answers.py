"""A model whose answers are kept as they come: a killed evaluation asks for the others alone.

Owns the keys of answers: the model's identity, the prompt, how it is sampled, the number of the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from daybreak_evaluate.journal import ResultJournal, key_of
from daybreak_evaluate.suites.protocol import Prompt, Report, Sampling


class AnsweringModel(Protocol):
    """A model that gives its answers one by one. A row is a prompt's number times the samples, and the sample."""

    def answers(
        self, prompts: Sequence[Prompt], sampling: Sampling, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """Yield row and text of each wanted row, as they come."""

    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        """Return the mean negative log-likelihood of the answers, in nats per token."""


class KeptAnswers:
    """A completer for suites; the model is asked for only when an answer is missing."""

    def __init__(
        self, model: Callable[[], AnsweringModel], journal: ResultJournal, identity: Sequence[Any]
    ) -> None:
        self._model = model
        self._journal = journal
        self._identity = list(identity)

    def complete(self, prompts: Sequence[Prompt], sampling: Sampling, report: Report) -> list[list[str]]:
        """Return ``num_samples`` completions for each prompt."""
        each = sampling.num_samples
        # the number of samples changes none of them
        how = {name: value for name, value in asdict(sampling).items() if name != "num_samples"}
        keys = [
            key_of("answer", self._identity, asdict(prompt), how, number)
            for prompt in prompts
            for number in range(each)
        ]
        missing = [row for row, key in enumerate(keys) if key not in self._journal]
        num_done = len(keys) - len(missing)
        report("asking", num_done, len(keys))
        if missing:
            for row, text in self._model().answers(prompts, sampling, missing):
                self._journal.add(keys[row], text)
                num_done += 1
                report("asking", num_done, len(keys))
        texts = [self._journal[key] for key in keys]
        return [texts[start : start + each] for start in range(0, len(texts), each)]

    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        """Return the mean negative log-likelihood of the answers, in nats per token."""
        key = key_of("surprise", self._identity, [asdict(prompt) for prompt in prompts], list(answers))
        if key not in self._journal:
            self._journal.add(key, self._model().surprise(prompts, answers, report))
        found: float = self._journal[key]
        return found
