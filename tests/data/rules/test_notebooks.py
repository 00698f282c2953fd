"""Notebooks as scripts: cells in order, Markdown and magics as comments, no outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.run import PersonalData
from daybreak_data.rules.document_rules import (
    RuleOptions,
    assess_after_duplicates,
    assess_before_duplicates,
)
from daybreak_data.rules.notebooks import script_of


def notebook(*cells: tuple[str, Any], **metadata: Any) -> str:
    made = [
        {"cell_type": kind, "source": source, "metadata": {}, "outputs": ["x" * 99]} for kind, source in cells
    ]
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            notebook(("markdown", ["# Title\n", "\n", "text"]), ("code", ["a = 1\n", "a"])),
            "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\na = 1\na\n",
            id="Markdown becomes comments",
        ),
        pytest.param(
            notebook(("markdown", "word " * 30)),
            f"# %% [markdown]\n# {'word ' * 23}word\n# {'word ' * 5}word\n",
            id="a long paragraph is wrapped",
        ),
        pytest.param(notebook(("code", "a = 1")), "# %%\na = 1\n", id="a source that is one text"),
        pytest.param(
            notebook(("code", "%matplotlib inline\n!ls\na = b\n  %timeit a")),
            "# %%\n# %matplotlib inline\n# !ls\na = b\n#   %timeit a\n",
            id="magics become comments",
        ),
        pytest.param(notebook(("code", "%%bash\nls")), "# %%\n# %%bash\n# ls\n", id="bash"),
        pytest.param(notebook(("code", "  \n"), ("raw", "a")), "# %% [markdown]\n# a\n", id="empty"),
        pytest.param(
            notebook(("code", "x <- 1"), language_info={"name": "R"}),
            "# %% kernel r\n\n# %%\nx <- 1\n",
            id="another kernel is named",
        ),
        pytest.param(
            notebook(("markdown", "a"), ("code", "val x = 1"), kernelspec={"language": "scala"}),
            "// %% kernel scala\n\n// %% [markdown]\n// a\n\n// %%\nval x = 1\n",
            id="a kernel with slashes",
        ),
        pytest.param(
            json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": ["a\n", "b"]}]}], "nbformat": 3}),
            "# %%\na\nb\n",
            id="the format of 2013",
        ),
        pytest.param('{"cells": 3}', None, id="cells that are none"),
        pytest.param("[1]", None, id="other JSON"),
        pytest.param('{"cells": [', None, id="a file that is cut"),
        pytest.param("[" * 100_000, None, id="a file that is nested too deeply"),
    ],
)  # fmt: skip
def test_a_notebook_becomes_a_script(text: str, expected: str | None) -> None:
    assert script_of(text) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["cells", "source", "cell_type", "metadata", "worksheets", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_notebook_or_none(document: Any) -> None:
    found = script_of(json.dumps(document))
    assert found is None or isinstance(found, str)


OPTIONS = RuleOptions(("jupyter-notebook",), "None", PersonalData())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (notebook(("code", "def first[T](a: list[T]) -> T:\n    return a[0]\n")), None),
        (notebook(("code", "x <- c(1, 2"), language_info={"name": "R"}), None),
        (notebook(("code", "a = (1,")), "syntax-error"),
        ('{"cells": [', "syntax-error"),
    ],
    ids=["Python", "a kernel without parser", "code that is cut", "a file that is cut"],
)
def test_a_notebook_is_judged_by_its_code(text: str, reason: str | None) -> None:
    before = assess_before_duplicates("r/a.ipynb", text.encode(), OPTIONS)
    drop = before.drop or assess_after_duplicates("r/a.ipynb", before.text, before.language, OPTIONS).drop
    assert before.language == "jupyter-notebook"
    assert (drop.reason if drop else None) == reason
