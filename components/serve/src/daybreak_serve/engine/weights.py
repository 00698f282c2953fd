"""The tensors of a model folder, read one by one when they are asked for: one file, or several with an index.

A model is laid out anew for computing, so what was read is let go again: a start needs the memory of one layer more
than the engine. Needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from daybreak_model.decoder.shape import WEIGHTS, WEIGHTS_INDEX


class FolderWeights:
    """Tensors by their names, in float32."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        index = folder / WEIGHTS_INDEX
        names = [WEIGHTS]
        if index.is_file():
            document = json.loads(index.read_text(encoding="utf-8"))
            names = sorted(set(document["weight_map"].values()))
        self._readers: dict[str, Callable[[str], Tensor]] = {}
        for name in names:
            file: Any = safe_open(folder / name, framework="pt")
            self._readers |= dict.fromkeys(file.keys(), file.get_tensor)

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __getitem__(self, name: str) -> Tensor:
        return self._readers[name](name).float()
