"""A `LlamaForCausalLM` folder as the engine's `LanguageModel`: safetensors only, no code of the folder is run.

Keeps the caches of the last requests: an editor asks again with a prompt that begins like the last one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_REUSED = 16
"""Tokens; a shorter common start is not worth the bookkeeping."""


class LlamaModel:
    """Runs on CPU in float32. One thread at a time."""

    def __init__(self, folder: Path, *, num_threads: int, kept_caches: int = 4) -> None:
        import torch
        from transformers import LlamaForCausalLM

        torch.set_num_threads(num_threads)
        model = LlamaForCausalLM.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, torch_dtype=torch.float32
        )
        self._torch = torch
        self._model = model.eval()
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._num_kept = kept_caches
        self.context_length = int(model.config.max_position_embeddings)
        self.vocabulary_size = int(model.config.vocab_size)

    def start(self, prompt_ids: Sequence[int]) -> tuple[Any, int]:
        """Return a cache, a kept one cut to its common start with the prompt where there is one."""
        from transformers import DynamicCache

        wanted = tuple(prompt_ids[:-1])  # the last token must be fed: its logits are not in the cache
        best = max(self._kept, key=lambda kept: common_start(kept, wanted), default=())
        length = common_start(best, wanted)
        if length < MIN_REUSED:
            return DynamicCache(), 0
        cache = self._kept.pop(best)
        cache.crop(length)
        return cache, length

    def advance(self, cache: Any, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """Feed tokens; return the logits after the last, shape ``(vocabulary,)``."""
        with self._torch.inference_mode():
            ids = self._torch.tensor([list(token_ids)], dtype=self._torch.long)
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: NDArray[np.float32] = output.logits[0, -1].numpy()
        return logits

    def release(self, cache: Any, token_ids: Sequence[int]) -> None:
        """Keep the cache for a prompt that begins alike; the oldest goes."""
        if cache.get_seq_length() != len(token_ids):  # a request that failed half-way: not to be trusted
            return
        self._kept[tuple(token_ids)] = cache
        while len(self._kept) > self._num_kept:
            self._kept.popitem(last=False)


def common_start(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two lists share."""
    shortest = min(len(first), len(second))
    differing = (index for index in range(shortest) if first[index] != second[index])
    return next(differing, shortest)
