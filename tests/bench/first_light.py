"""What the model of first-light writes into twenty gaps that a person would try, and how much of it is Python.

The gaps were written before anything was tuned on them. A completion counts when it changes the program: with it in
place the text parses, and not to the same program as without it (an empty one, blanks or a comment do not count).
Twenty are few: models of the same training differ by three. So functions of Python's own library, which no run reads,
are asked as well, a gap in each, drawn by a seed.
"""

from __future__ import annotations

import ast
import json
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.row import Row

PROMPTS = Path(__file__).with_name("first_light_prompts.json")
RUN = Path("runs/first-light")
MAX_NEW_TOKENS = 32
SEED = 7
SHORTEST, LONGEST = 150, 600
"""Characters of a function or class in which a gap is drawn: what a context of 256 tokens holds."""
A_FILE = 2
TOKEN = re.compile(r"\w+|[^\w\s]")


def stands(prefix: str, completion: str, suffix: str) -> bool:
    """Tell whether a completion, put in its place, makes a Python program that is not the one without it."""
    with_it, without = _program(prefix + completion + suffix), _program(prefix + suffix)
    return with_it is not None and with_it != without


def _program(text: str) -> str | None:
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError):
        return None


def library_gaps() -> Iterator[dict[str, Any]]:
    """Yield gaps in short functions and classes of the standard library: some tokens of a line, or the rest of it."""
    draw = random.Random(SEED)
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    for file in files:
        text = file.read_text(errors="replace")
        lines = text.splitlines(keepends=True)
        tops = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        sources = ["".join(lines[node.lineno - 1 : node.end_lineno]) for node in tops]
        for source in [one for one in sources if SHORTEST < len(one) < LONGEST][:A_FILE]:
            ends = [found.end() for found in TOKEN.finditer(source)]
            begin = draw.choice(ends[3:-3])
            line_end = source.find("\n", begin)
            here = [end for end in ends if begin < end and (end <= line_end or line_end < 0)]
            if here:
                yield {"name": file.stem, "prefix": source[:begin], "suffix": source[draw.choice(here) :]}


def completions(folder: Path, gaps: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Return each gap with the greedy completion of a model folder, to the end of the line as an editor asks."""
    from daybreak_evaluate.generation import LoadedModel
    from daybreak_evaluate.suites.protocol import Prompt, Sampling

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
    prompts = [Prompt(f"{at}", gap["prefix"], gap["suffix"] or None) for at, gap in enumerate(gaps)]
    texts = model.complete(prompts, sampling, lambda *_: None)
    return [(gap, text) for gap, [text] in zip(gaps, texts, strict=True)]


def measure() -> list[Row]:
    """Ask the model of the last run of first-light, and say its score on held-out code beside."""
    record = json.loads((RUN / "run.json").read_text())
    model = Path(record["results"]["export"]["uri"])
    parsed = 0
    for gap, text in completions(model, json.loads(PROMPTS.read_text())):
        good = stands(gap["prefix"], text, gap["suffix"])
        parsed += good
        print(f"{'+' if good else '-'} {gap['name']}: {text!r}", file=sys.stderr)
    library = [
        stands(gap["prefix"], text, gap["suffix"]) for gap, text in completions(model, list(library_gaps()))
    ]
    scores = {score["metric"]: score["value"] for score in record["results"]["evaluate"]["scores"]}
    trained = record["results"]["train"]
    seen = f"{trained['tokens'] / 1e6:.2f} million tokens, {trained['num_parameters'] / 1e6:.2f} million parameters"
    return [
        Row("completions that parse in place, of 20", parsed, "", ">= 10", note=seen),
        Row(f"the same, of {len(library)} gaps in the standard library", sum(library), "", ""),
        *(
            Row(f"edit similarity, {kind}", scores[f"held-out/{kind}-similarity"], "", ">= 0.30")
            for kind in ("next-line", "middle")
        ),
    ]
