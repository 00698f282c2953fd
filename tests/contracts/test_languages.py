"""What a manifest may call a language, and what is said of a name that nobody knows."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from daybreak_contracts.manifests.validate import validate_text
from daybreak_contracts.resources.languages import Language, spellings

MANIFEST = """apiVersion: daybreak.dev/v1alpha1
kind: TrainingRun
metadata: {name: first}
spec:
  data:
    sources: [{name: code, directory: {path: /code}}]
    languages: [LANGUAGE]
  model: {size: 1m}
  output: {uri: /runs}
"""


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("cpp", "cpp"),
        ("C++", "cpp"),
        ("c#", "csharp"),
        ("golang", "go"),
        ("lua", "lua"),
        ("kotlin", "kotlin"),
        ("objective-c", "objective-c"),
        ("Objective-C", "objective-c"),
        ("objc", "objective-c"),
        ("jupyter", "jupyter-notebook"),
        ("protobuf", "protocol-buffer"),
        ("dockerfile", "dockerfile"),
        ("vue", "vue"),
        ("tsx", "typescript"),
        ("tsql", "sql"),
    ],
)
def test_each_spelling_means_one_language(said: str, meant: str) -> None:
    assert TypeAdapter(Language).validate_python(said) == meant


def test_a_name_is_its_own_spelling() -> None:
    assert all(spellings()[name] == name for name in spellings().values())


@pytest.mark.parametrize(
    ("said", "guess"),
    [
        ("pyhton", "did you mean python?"),
        ("javscript", "did you mean javascript?"),
        ("kotlyn", "did you mean kotlin?"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(said: str, guess: str) -> None:
    problems = [
        str(problem) for problem in validate_text(MANIFEST.replace("LANGUAGE", said).encode(), "m.yaml")
    ]
    assert len(problems) == 1
    assert "data.languages" in problems[0]
    assert guess in problems[0]


@pytest.mark.parametrize("said", ["", "\n", "-x", "a" * 65, "no such language"])
def test_what_is_no_language_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Language).validate_python(said)
