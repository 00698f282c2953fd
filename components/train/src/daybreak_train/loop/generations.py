"""What the model writes while it learns: the same few held-out prompts at each look, answered greedily.

Owns choice and layout of the prompts and the greedy loop. No random number is drawn. All processes answer, since a
sharded model takes all of them for a pass; who records is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from daybreak_contracts import names, storage
from daybreak_contracts.layouts.shards import HELD_OUT
from daybreak_model.fim import FimOrder, compose, fim_ids
from daybreak_model.repository_context import FileMarks
from daybreak_model.token_rows import TokenRows
from daybreak_model.vocabulary import token_bytes
from daybreak_train.loop.run import Run
from daybreak_train.model import Llama
from daybreak_train.objectives.protocol import Tokens, file_parts

PROMPTS = 3
NEW_TOKENS = 48
PROMPT_TOKENS = 96
SMALLEST_FRAGMENT = 8
WHOLE = 1 << 30
"""Tokens that a prompt may have: these are small."""


@dataclass(frozen=True)
class GenerationPrompt:
    """A held-out fragment with a part to write: its end, or a gap."""

    prefix: tuple[int, ...]
    expected: tuple[int, ...]
    suffix: tuple[int, ...] = ()

    def ids(self, order: FimOrder, special: Mapping[str, int]) -> list[int]:
        """Return what the model is asked, as an editor asks it."""
        return list(compose(self.prefix, self.suffix, WHOLE, order, special).token_ids)


def prompt_of(
    row: Tokens, end_of_text: int, pad: int, gap: bool, files: FileMarks | None = None
) -> GenerationPrompt | None:
    """Return the prompt of a sample, from its longest part of a file; None if all are tiny."""
    ids = max((part.ids for part in file_parts(row, end_of_text, pad, files)), key=len, default=[])
    if len(ids) < SMALLEST_FRAGMENT:
        return None
    new = min(NEW_TOKENS, len(row) // 3)
    room = min(PROMPT_TOKENS, len(row) - new - 3)
    if not gap:
        cut = min(room, len(ids) // 2)
        return GenerationPrompt(tuple(ids[:cut]), tuple(ids[cut : cut + new]))
    first = min(room // 2, len(ids) // 3)
    last = first + min(new // 2, len(ids) // 3)
    return GenerationPrompt(tuple(ids[:first]), tuple(ids[first:last]), tuple(ids[last : last + room // 2]))


def generate(run: Run, llama: Llama) -> list[dict[str, str]]:
    """Return prompt, suffix, text and what stood there, for each prompt; leaves the model in evaluation mode."""
    shape, tokenizer = run.sample_shape, run.inputs.tokenizer
    end = tokenizer.token_to_id(names.END_OF_TEXT)
    wanted = run.args.training.objective.fill_in_the_middle
    order: FimOrder = "PSM" if wanted is not None and float(wanted.rate) > 0 else "None"
    special = fim_ids(str(tokenizer.to_str()), order)
    rows, count = TokenRows(storage.join(run.args.shards, HELD_OUT)), run.inputs.shards.num_held_out_samples
    chosen = sorted({(2 * index + 1) * count // (2 * PROMPTS) for index in range(PROMPTS)})
    is_packed = run.inputs.shards.layout == "Repository"
    files = FileMarks.of(str(tokenizer.to_str())) if is_packed else None
    found = (prompt_of(rows[at], end, shape.pad_id, order != "None", files) for at in chosen)
    prompts = [prompt for prompt in found if prompt is not None]
    if not prompts:
        return []
    new = min(NEW_TOKENS, shape.context_length // 3)
    stops = {end, shape.pad_id, *([files.separator] if files else [])}
    answers = greedy(llama, [prompt.ids(order, special) for prompt in prompts], new, run.device)
    table = token_bytes(str(tokenizer.to_str()), special_as_text=False)

    def text(ids: Sequence[int]) -> str:
        return b"".join(table[token] for token in ids).decode(errors="replace")

    return [
        {
            "prompt": text(prompt.prefix),
            "suffix": text(prompt.suffix),
            "text": text(_until(answer, stops)),
            "expected": text(prompt.expected),
        }
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _until(ids: Sequence[int], stops: set[int]) -> Sequence[int]:
    return ids[: next((place for place, token in enumerate(ids) if token in stops), len(ids))]


def greedy(llama: Llama, prompts: Sequence[Sequence[int]], new: int, device: torch.device) -> list[list[int]]:
    """Return ``new`` tokens behind each prompt, the likeliest each time.

    All rows have one length from the start (what is behind a row's last token is not seen by causal attention), so a
    compiled model meets one shape.
    """
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    tokens = torch.zeros((len(prompts), int(lengths.max()) + new), dtype=torch.long, device=device)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
    every = torch.arange(len(prompts), device=device)
    llama.eval()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        for step in range(new):
            logits = llama(tokens)
            tokens[every, lengths + step] = logits[every, lengths + step - 1].argmax(-1)
    kept = tokens.tolist()
    return [row[len(prompt) : len(prompt) + new] for row, prompt in zip(kept, prompts, strict=True)]
