"""What importing the room costs: a gateway and a data step must not load torch for a prompt or an alphabet."""

from __future__ import annotations

import subprocess
import sys

import pytest

import daybreak_model

pytestmark = pytest.mark.slow

TEXT_PARTS = ["fim", "sampling", "vocabulary", "llama.config", "llama.sizes", "token_rows"]


@pytest.mark.parametrize("name", TEXT_PARTS)
def test_the_text_parts_load_neither_torch_nor_transformers(name: str) -> None:
    loaded = "sorted({'torch', 'transformers'} & set(sys.modules))"
    code = f"import sys, {daybreak_model.__name__}.{name}; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
