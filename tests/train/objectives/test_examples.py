"""Examples show each layout once, the shortest that shows enough, and mark what is predicted."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from daybreak_contracts import names
from daybreak_contracts.resources.run import Objective
from daybreak_train.objectives.examples import SHORTEST, ExampleWriter
from daybreak_train.objectives.select import objective_for
from tests.train.conftest import some_code


@pytest.mark.parametrize(
    ("spec", "layouts"),
    [
        pytest.param({"nextToken": {}}, {""}, id="next-token"),
        pytest.param(
            {"fillInTheMiddle": {}}, {"", "<fim_prefix>", "<fim_prefix><fim_suffix>"}, id="fill-in-the-middle"
        ),
        pytest.param({"ul2": {}}, {"<|mode_r|>", "<|mode_s|>", "<|mode_x|>"}, id="ul2"),
    ],
)
def test_each_layout_is_shown_once(spec: dict[str, object], layouts: set[str], tokenizer: Tokenizer) -> None:
    end, pad = tokenizer.token_to_id(names.END_OF_TEXT), tokenizer.token_to_id(names.FIM_PAD)
    objective = objective_for(Objective.model_validate(spec), tokenizer, 1)
    writer = ExampleWriter(objective, str(tokenizer.to_str()), end, pad)
    ids = [token for text in some_code() for token in (*tokenizer.encode(text).ids, end)]
    for sample in range(len(ids) // 2048):
        writer.add(np.array(ids[sample * 2048 : (sample + 1) * 2048]), sample)
    examples = writer.examples()
    shown = [example["layout"] for example in examples]
    assert shown == sorted(layouts)
    for example in examples:
        text = "".join(part["text"] for part in example["parts"])
        assert text.startswith(example["layout"])
        assert text.endswith(names.END_OF_TEXT)
        assert len(tokenizer.encode(text).ids) >= SHORTEST
        assert "nextToken" not in spec or [part["isTarget"] for part in example["parts"]] == [True]
