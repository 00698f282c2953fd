"""Batched generation with torch and a ``LlamaForCausalLM`` folder, on the processor or a GPU.

Owns prompts as tokens, the key-value cache, sampling and stopping. Randomness is a counter-based stream per sample,
keyed by seed, prompt and sample number, so that a result does not depend on the batch it was made in.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daybreak_contracts import names
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_evaluate import attention
from daybreak_evaluate.suites.protocol import Prompt, Report, Sampling
from daybreak_model.fim import PromptEncoder, order_of
from daybreak_model.llama.config import OBJECTIVE_KEY
from daybreak_model.repository_context import LAYOUT_KEY, layout_of
from daybreak_model.sampling import first_stop, nucleus
from daybreak_model.vocabulary import TextEncoder, special_ids

CACHE_BYTES = 512 << 20
"""Room for the keys and values of all batches that run at a time on the processor; a GPU gets eight times that."""
MAX_BATCH = 64
PROBE_TOKENS, MIN_PROBE_PROMPT = 256, 8
CHECK_STOPS_EVERY = 8
"""Steps between two looks at the text; the end of a text does not depend on it."""


@dataclass
class CompletionRow:
    """One completion on its way."""

    index: int
    """Its place in the result."""
    prompt: list[int]
    uniforms: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)
    done: bool = False


class LoadedModel:
    """A model folder, loaded."""

    def __init__(self, folder: Path, device: str = "", cores: int = 0) -> None:
        from tokenizers import Tokenizer
        from transformers import LlamaForCausalLM

        if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
            raise ArtifactError(
                f"{folder}: no model here, expected config.json, model.safetensors, tokenizer.json"
            )
        self.cores = cores if cores else len(os.sched_getaffinity(0))
        self.device = torch.device(device if device else default_device())
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.model = LlamaForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, attn_implementation=attention.register()
        )
        self.model.to(self.device).eval()
        tokenizer_json = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self.tokenizer = Tokenizer.from_str(tokenizer_json)
        special = special_ids(tokenizer_json)
        missing = [token for token in (names.END_OF_TEXT, names.FIM_PAD) if token not in special]
        if missing:
            raise UserError(
                f"the model's tokenizer has no {missing[0]}; use a tokenizer that this project trained"
            )
        objective = getattr(self.model.config, OBJECTIVE_KEY, None)
        layout = layout_of({LAYOUT_KEY: getattr(self.model.config, LAYOUT_KEY, None)})
        self._prompts = PromptEncoder(tokenizer_json, order_of(objective, special), layout)
        self.marks = self._prompts.marks
        self._encoder = TextEncoder(tokenizer_json)
        self.context_length = int(self.model.config.max_position_embeddings)
        self.end_of_text, self.pad = special[names.END_OF_TEXT], special[names.FIM_PAD]
        # a file of a repository ends where the next one begins
        self._ends = {self.end_of_text, *([self.marks.separator] if self.marks else [])}
        self._banned = self._banned_tokens()

    def _banned_tokens(self) -> Tensor:
        """Special and spare tokens stand for no text: they are never drawn, the end of text excepted."""
        size = int(self.model.config.vocab_size)
        banned = torch.zeros(size, dtype=torch.bool)
        banned[self.tokenizer.get_vocab_size() :] = True
        for token, added in self.tokenizer.get_added_tokens_decoder().items():
            if added.special and token < size:
                banned[token] = True
        banned[sorted(self._ends)] = False
        return banned.to(self.device)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones left out."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def encode(self, prompt: Prompt, limit: int) -> list[int]:
        """Return a prompt's tokens, cut to what stands nearest to the cursor."""
        return list(self._prompts.compose(prompt.prefix, prompt.suffix, limit, prompt.around).token_ids)

    def complete(self, prompts: Sequence[Prompt], sampling: Sampling, report: Report) -> list[list[str]]:
        """Return ``num_samples`` completions for each prompt, longest prompts first inside."""
        each = sampling.num_samples
        texts = [""] * (len(prompts) * each)
        for num_done, (index, text) in enumerate(self.answers(prompts, sampling, range(len(texts))), 1):
            texts[index] = text
            report("generating", num_done, len(texts))
        return [texts[start : start + each] for start in range(0, len(texts), each)]

    def answers(
        self, prompts: Sequence[Prompt], sampling: Sampling, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """Yield row and text as batches are done; row 7 of 5 samples a prompt is prompt 1, sample 2."""
        wanted = set(rows)
        chosen = [row for row in self._rows(prompts, sampling) if row.index in wanted]
        for batch in self._in_parallel(self._batches(chosen, sampling.max_new_tokens), sampling):
            yield from ((row.index, self._text(row, sampling)) for row in batch)

    def _in_parallel(
        self, batches: Sequence[list[CompletionRow]], sampling: Sampling
    ) -> Iterator[list[CompletionRow]]:
        """Run batches, on the processor one in each core, and yield them as they are done."""
        if self.device.type != "cpu":
            for batch in batches:
                yield self._run(batch, sampling)
            return
        with one_torch_thread(), ThreadPoolExecutor(self.cores) as pool:
            pending = [pool.submit(self._run, batch, sampling) for batch in batches]
            for future in as_completed(pending):
                yield future.result()

    def _rows(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[CompletionRow]:
        limit = min(sampling.max_prompt_tokens, self.context_length - sampling.max_new_tokens)
        if limit < 1:
            raise UserError(
                f"the model's context of {self.context_length} tokens has no room for a prompt beside "
                f"{sampling.max_new_tokens} new tokens"
            )
        rows: list[CompletionRow] = []
        for prompt in prompts:
            tokens = self.encode(prompt, limit)
            for number in range(sampling.num_samples):
                uniforms = stream(sampling.seed, prompt.key, number, sampling.max_new_tokens)
                rows.append(CompletionRow(len(rows), tokens, uniforms))
        return rows

    def _batches(self, rows: Sequence[CompletionRow], max_new_tokens: int) -> list[list[CompletionRow]]:
        """Group prompts of like lengths, so that little is padded and the cache fits."""
        config = self.model.config
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        per_token = (
            2 * config.num_hidden_layers * config.num_key_value_heads * head * self.model.dtype.itemsize
        )
        on_cpu = self.device.type == "cpu"
        room = CACHE_BYTES // self.cores if on_cpu else 8 * CACHE_BYTES
        most = min(MAX_BATCH, -(-len(rows) // self.cores)) if on_cpu else MAX_BATCH
        batches: list[list[CompletionRow]] = []
        for row in sorted(rows, key=lambda row: -len(row.prompt)):
            length = len(batches[-1][0].prompt) if batches else 0
            cost = per_token * (length + max_new_tokens)
            if not batches or len(batches[-1]) == most or (len(batches[-1]) + 1) * cost > room:
                batches.append([])
            batches[-1].append(row)
        return batches

    @torch.inference_mode()
    def _run(self, batch: list[CompletionRow], sampling: Sampling) -> list[CompletionRow]:
        """Generate until every row has met its end."""
        width = len(batch[0].prompt)
        mask = torch.zeros(len(batch), width + sampling.max_new_tokens, dtype=torch.long)
        tokens = torch.full((len(batch), width), self.pad)
        for position, row in enumerate(batch):
            tokens[position, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[position, width - len(row.prompt) :] = 1
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        positions = (mask[:, :width].cumsum(1) - 1).clamp(min=0)
        cache = _cache(self.model.config.num_hidden_layers, width + sampling.max_new_tokens)
        alive = list(batch)
        for step in range(sampling.max_new_tokens):
            output = self.model(
                input_ids=tokens,
                attention_mask=mask[:, : width + step],
                position_ids=positions,
                cache=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            chosen = self._choose(output.logits[:, -1].float(), alive, step, sampling)
            self._append(alive, chosen.tolist(), step, sampling)
            kept = [index for index, row in enumerate(alive) if not row.done]
            if not kept:
                break
            tokens, positions = chosen[:, None], positions[:, -1:] + 1
            if len(kept) <= len(alive) // 2:
                choice = torch.tensor(kept, device=self.device)
                cache.batch_select_indices(choice)
                tokens, positions, mask = tokens[choice], positions[choice], mask[choice]
                alive = [alive[index] for index in kept]
        return batch

    def _choose(
        self, logits: Tensor, alive: Sequence[CompletionRow], step: int, sampling: Sampling
    ) -> Tensor:
        logits = logits.masked_fill(self._banned, -math.inf)
        if sampling.temperature == 0:
            return logits.argmax(-1)
        uniforms = torch.tensor([row.uniforms[step] for row in alive], device=logits.device)
        return draw(logits, uniforms, sampling.temperature, sampling.top_p)

    def _append(
        self, alive: Sequence[CompletionRow], chosen: Sequence[int], step: int, sampling: Sampling
    ) -> None:
        look = step % CHECK_STOPS_EVERY == CHECK_STOPS_EVERY - 1
        for row, token in zip(alive, chosen, strict=True):
            if row.done:
                continue
            if token in self._ends:
                row.done = True
                continue
            row.tokens.append(token)
            if look:
                text = self.decode(row.tokens)
                row.done = first_stop(text, sampling.stop) is not None

    def _text(self, row: CompletionRow, sampling: Sampling) -> str:
        text = self.decode(row.tokens)
        return text[: first_stop(text, sampling.stop)]

    @torch.inference_mode()
    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        """Return the mean negative log-likelihood of the answers, in nats per token."""
        total, count = 0.0, 0
        with one_torch_thread():
            for done, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
                report("probing", done, len(prompts))
                wanted = self._encoder.encode(answer)
                limit = min(self.context_length, PROBE_TOKENS) - len(wanted)
                if wanted and limit >= MIN_PROBE_PROMPT:
                    total += self._surprise_of(self.encode(prompt, limit), wanted)
                    count += len(wanted)
        return total / count if count else math.inf

    def _surprise_of(self, before: list[int], wanted: list[int]) -> float:
        tokens = torch.tensor([before + wanted], device=self.device)
        logits = self.model(input_ids=tokens, logits_to_keep=len(wanted) + 1).logits[0, :-1].float()
        return float(torch.nn.functional.cross_entropy(logits, tokens[0, len(before) :], reduction="sum"))


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch from sharing one operation among cores.

    A small model's operations are too short for that: on a busy machine torch's own threads spend nine tenths of
    their time waiting for one another (measured: 43 s of processor time instead of 5).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def default_device() -> str:
    """Return ``cuda`` where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def stream(seed: int, key: str, number: int, length: int) -> NDArray[np.float64]:
    """Return the uniform numbers of one sample: Philox, keyed by what the sample is."""
    digest = hashlib.sha256(f"{seed}\0{key}\0{number}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little"))).random(length)


def draw(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Tensor:
    """Draw one token a row by nucleus sampling.

    ``logits`` (batch, vocabulary), ``uniforms`` (batch,) in [0, 1).
    """
    chances, order = torch.softmax(logits.double() / temperature, -1).sort(
        stable=True, dim=-1, descending=True
    )
    place = nucleus(chances, uniforms.double(), top_p)
    drawn: Tensor = order.gather(-1, place[:, None])[:, 0]
    return drawn


def _cache(num_layers: int, capacity: int) -> Any:
    """Return a cache whose room is taken once: growing one by a copy a step costs more than a small model's step."""
    from transformers.cache_utils import Cache, DynamicLayer

    class Roomy(DynamicLayer):
        """Keys and values of one layer, views of a buffer of full length."""

        def update(
            self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
        ) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                shape = (*key_states.shape[:2], capacity, key_states.shape[3])
                self.room = (key_states.new_empty(shape), value_states.new_empty(shape))
                self.length = 0
            end = self.length + key_states.shape[2]
            for room, states in zip(self.room, (key_states, value_states), strict=True):
                room[:, :, self.length : end] = states
            self.length = end
            self.keys, self.values = (room[:, :, :end] for room in self.room)
            return self.keys, self.values

        def batch_select_indices(self, indices: Tensor) -> None:
            self.room = (self.room[0][indices], self.room[1][indices])
            self.keys, self.values = (room[:, :, : self.length] for room in self.room)

    return Cache(layers=[Roomy() for _ in range(num_layers)])
