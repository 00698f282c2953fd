"""Which objective a manifest asks for: a new objective is a file beside this one and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daybreak_contracts.resources.run import Objective as ObjectiveSpec
from daybreak_model.repository_context import ALONE, FileMarks, Layout
from daybreak_train.objectives import fill_in_the_middle, next_token, ul2
from daybreak_train.objectives.protocol import SampleObjective

OBJECTIVES: Mapping[str, Callable[[Any, Any, int, FileMarks | None], SampleObjective]] = {
    "next_token": next_token.make,
    "fill_in_the_middle": fill_in_the_middle.make,
    "ul2": ul2.make,
}
"""By the field of the manifest's ``objective``."""


def objective_for(spec: ObjectiveSpec, tokenizer: Any, seed: int, layout: Layout = ALONE) -> SampleObjective:
    """Return the objective that the manifest asks for; ``tokenizer`` is a ``tokenizers.Tokenizer``."""
    files = FileMarks.of(str(tokenizer.to_str())) if layout == "Repository" else None
    wanted = {name: getattr(spec, name) for name in OBJECTIVES}
    (name,) = (name for name, value in wanted.items() if value is not None)
    return OBJECTIVES[name](wanted[name], tokenizer, seed, files)
