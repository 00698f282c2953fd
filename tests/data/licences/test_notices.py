"""The licences that notices at the head of files grant, in the wordings that the licences recommend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.licences import notice_header

GNU = (
    "This is free software: you can redistribute it and/or modify it under the terms of the GNU {name} as published"
    " by the Free Software Foundation{version}.\nIt comes without warranty. See the GNU {name} for more details.\nYou"
    " should have received a copy of the GNU {name} along with it."
)
ANY_LATER = ", either version 3 of the License, or (at your option) any later version"
BSD = (
    "Redistribution and use in source and binary forms, with or without modification, are permitted provided that"
    " these conditions are met:\n1. Redistributions of source code must retain this.\n2. Redistributions in binary form"
    " must reproduce this.\n"
)
MPL = "MPL 1.1/GPL 2.0\nSubject to the Mozilla Public License Version 1.1\nAlternatively, under the terms of the"


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        pytest.param(
            GNU.format(name="General Public License", version=ANY_LATER), "GPL-3.0-or-later", id="or later"
        ),
        pytest.param(
            GNU.format(name="General Public License", version="; version 2 of the License"),
            "GPL-2.0-only",
            id="one version",
        ),
        pytest.param(
            GNU.format(
                name="Lesser General Public License",
                version="; either version 2.1 of the License, or (at your option) any later version",
            ),
            "LGPL-2.1-or-later",
            id="the lesser one",
        ),
        pytest.param(
            GNU.format(
                name="General Public License",
                version=", either version 2 or (at your option)\nversion 3 of the License",
            ),
            "GPL-2.0-only OR GPL-3.0-only",
            id="one of two versions",
        ),
        pytest.param(
            GNU.format(name="General Public License", version=""), "", id="no version: the folder says"
        ),
        pytest.param("Released under the GPLv2.", "GPL-2.0-only", id="in short"),
        pytest.param("Released under GPL v2 or later.", "GPL-2.0-or-later", id="in short, or later"),
        pytest.param("The format is compatible with the GPL version 2 tool.", "", id="no grant"),
        pytest.param(
            'Licensed under the Apache License, Version 2.0 (the "License");\nyou may not use it otherwise.',
            "Apache-2.0",
            id="Apache",
        ),
        pytest.param(
            "Part of a project, under the Apache License v2.0 with LLVM Exceptions.",
            "Apache-2.0 WITH LLVM-exception",
            id="with an exception",
        ),
        pytest.param(BSD, "BSD-2-Clause", id="two clauses"),
        pytest.param(
            BSD + "3. Neither the name of us nor others may be used.", "BSD-3-Clause", id="three clauses"
        ),
        pytest.param("Distributed under the terms of the MIT license.", "MIT", id="one sentence"),
        pytest.param(
            MPL + " GNU General Public License Version 2 or later (the GPL), which then applies.",
            "GPL-2.0-or-later OR MPL-1.1",
            id="a choice, with a heading that is shorter than the text",
        ),
        pytest.param(
            BSD
            + "Some parts: Permission is hereby granted, free of charge, to any person obtaining a copy of it.",
            "MIT AND BSD-2-Clause",
            id="two without a choice",
        ),
        pytest.param("The licence stands in the file LICENSE.", "", id="a place only"),
    ],
)
@pytest.mark.parametrize(
    ("language", "frame"), [("c", "/*\n * {}\n */\nint a;\n"), ("python", "# {}\nimport a\n")]
)
def test_a_notice_grants(said: str, licence: str, language: str, frame: str) -> None:
    prefix = "\n * " if language == "c" else "\n# "
    assert notice_header(frame.format(said.replace("\n", prefix)), language) == licence


def test_a_string_in_code_grants_nothing() -> None:
    assert notice_header('x = 1\nNOTICE = "Released under the GPLv2."\n', "python") == ""


@given(
    st.text(alphabet=st.sampled_from("gnu general public license version 123.or later\n#/* "), max_size=600)
)
def test_no_text_raises(text: str) -> None:
    assert isinstance(notice_header(f"# licence gpl {text}", "python"), str)


def test_a_long_head_is_read_in_linear_time() -> None:
    assert notice_header("# gpl gnu general public license " * 5_000, "python") == ""
