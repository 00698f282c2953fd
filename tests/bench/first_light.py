"""What the model of first-light writes into twenty gaps that a person would try, and how much of it is Python.

The gaps were written before anything was tuned on them. A completion counts when it changes the program: with it in
place the text parses, and not to the same program as without it (an empty one, blanks or a comment do not count).
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.row import Row

PROMPTS = Path(__file__).with_name("first_light_prompts.json")
RUN = Path("runs/first-light")
MAX_NEW_TOKENS = 32


def stands(prefix: str, completion: str, suffix: str) -> bool:
    """Tell whether a completion, put in its place, makes a Python program that is not the one without it."""
    with_it, without = _program(prefix + completion + suffix), _program(prefix + suffix)
    return with_it is not None and with_it != without


def _program(text: str) -> str | None:
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError):
        return None


def completions(folder: Path) -> list[tuple[dict[str, Any], str]]:
    """Return each gap with the greedy completion of a model folder, to the end of the line as an editor asks."""
    from daybreak_evaluate.generation import LoadedModel
    from daybreak_evaluate.suites.protocol import Prompt, Sampling

    gaps = json.loads(PROMPTS.read_text())
    model = LoadedModel(folder)
    sampling = Sampling(
        num_samples=1,
        temperature=0.0,
        top_p=1.0,
        max_new_tokens=MAX_NEW_TOKENS,
        max_prompt_tokens=model.context_length,
        stop=("\n",),
        seed=0,
    )
    prompts = [Prompt(gap["name"], gap["prefix"], gap["suffix"] or None) for gap in gaps]
    texts = model.complete(prompts, sampling, lambda *_: None)
    return [(gap, text) for gap, [text] in zip(gaps, texts, strict=True)]


def measure() -> list[Row]:
    """Ask the model of the last run of first-light, and say its score on held-out code beside."""
    record = json.loads((RUN / "run.json").read_text())
    parsed = 0
    for gap, text in completions(Path(record["results"]["export"]["uri"])):
        good = stands(gap["prefix"], text, gap["suffix"])
        parsed += good
        print(f"{'+' if good else '-'} {gap['name']}: {text!r}", file=sys.stderr)
    scores = {score["metric"]: score["value"] for score in record["results"]["evaluate"]["scores"]}
    trained = record["results"]["train"]
    seen = f"{trained['tokens'] / 1e6:.2f} million tokens, {trained['num_parameters'] / 1e6:.2f} million parameters"
    return [
        Row("completions that parse in place, of 20", parsed, "", ">= 10", note=seen),
        *(
            Row(f"edit similarity, {kind}", scores[f"held-out/{kind}-similarity"], "", ">= 0.30")
            for kind in ("next-line", "middle")
        ),
    ]
