"""``daybreak validate``: what a person is told, where, and how much at once; what no text may do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.manifests.manifest_text import MAX_BYTES, MAX_DEPTH, read_documents
from daybreak_contracts.manifests.problems import path_text, render, value_text
from daybreak_contracts.manifests.validate import (
    files_of,
    load_deployment,
    load_run,
    report,
    validate_file,
    validate_text,
)
from tests.plugins.profiles import examples

ROOT = Path(__file__).resolve().parents[3]
RUN = """\
apiVersion: daybreak.dev/v1alpha1
kind: TrainingRun
metadata: {name: a}
spec:
  output: {uri: runs/a}
  data: {sources: [{name: a, directory: {path: /src}}]}
  model: {size: 1m}
"""


def said(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [str(problem) for problem in validate_text(data, "m.yaml")]


def test_a_mixture_of_a_source_that_there_is_not_is_told_the_nearest_one() -> None:
    text = RUN.replace("{name: a, directory", "{name: internal, directory").replace(
        "}}]}", "}}], mixture: [{source: intern, epochs: '3'}]}"
    )
    (problem,) = said(text)
    assert "every source in mixture must be one of sources, got intern (did you mean internal?)" in problem


def test_everything_wrong_is_said_at_once_in_the_order_of_the_text() -> None:
    """The golden text is read by people: change it only on purpose."""
    folder = Path(__file__).parent
    problems = validate_text((folder / "mistakes.yaml").read_bytes(), "mistakes.yaml")
    assert render(problems) + "\n" == (folder / "mistakes.txt").read_text()


def test_more_processes_than_samples_are_found_before_any_data_work() -> None:
    wrong = RUN.replace("1m", "10m") + "  training: {gpusPerNode: 8, contextLength: 2048}\n"
    (problem,) = said(wrong)
    assert problem.startswith("m.yaml:8:3: spec.training: 8 processes")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "m.yaml: holds no object (begin with apiVersion:", id="an empty file"),
        pytest.param("# a\n---\n", "m.yaml: holds no object", id="only comments"),
        pytest.param("a: [1", "m.yaml:2:1: not valid YAML: while parsing a flow sequence", id="a bracket left open"),
        pytest.param("a:\n\t- b", "m.yaml:2:1: not valid YAML", id="a tab for indentation"),
        pytest.param("a: *b", "m.yaml:1:4: not valid YAML: found undefined alias", id="an alias of nothing"),
        pytest.param("a: 1\nb: 2\na: 3", "m.yaml:3:1: a: given twice, first in line 1 (keep", id="a key twice"),
        pytest.param("a: \0", "m.yaml:1:4: holds a NUL character", id="a NUL character"),
        pytest.param("a: \x07", "m.yaml:1:4: not valid YAML: holds a character that YAML does not allow", id="a bell"),
        pytest.param(b"ab\n\xff", "m.yaml:2:1: not UTF-8 text", id="bytes that are no text"),
        pytest.param("a: !!python/object:os.system x", "m.yaml:1:4: a: tag tag:yaml.org,2002:python", id="a tag"),
        pytest.param("[1, 2]", "m.yaml:1:1: must be a mapping with apiVersion", id="a list for an object"),
        pytest.param("? [a]\n: b", "m.yaml:1:3: a key must be text", id="a list for a key"),
        pytest.param("kind: TrainingRun", "m.yaml:1:1: apiVersion: is required (add", id="no version"),
        pytest.param("kind: Traningrun", "(did you mean TrainingRun?)", id="a mistyped kind"),
        pytest.param("apiVersion: v1\nkind: Pod", 'ModelDeployment, got "Pod"', id="a pod"),
        pytest.param("kind: TrainingRun\nspec: 5", "spec: must be a mapping, got 5", id="a number for a spec"),
        pytest.param("kind: TrainingRun\nspek: {}", "spek: unknown field (did you mean spec?)", id="a mistyped spec"),
        pytest.param("[" * 5000, f"nested deeper than {MAX_DEPTH}", id="brackets without end"),
        pytest.param("- " * 5000, f"nested deeper than {MAX_DEPTH}", id="lists without end"),
        pytest.param("a: &a [*a]", "aliases unfold to more than", id="a list that holds itself"),
        pytest.param("x: [" + "a," * 250_000 + "]", "more values than a manifest can hold", id="half a million values"),
        pytest.param("a" * (MAX_BYTES + 1), "larger than 1,048,576 bytes", id="a megabyte of text"),
    ],
)  # fmt: skip
def test_a_bad_text_is_named_with_its_place(text: str | bytes, sentence: str) -> None:
    problems = said(text)
    assert any(sentence in problem for problem in problems), problems


@pytest.mark.slow
def test_a_bomb_of_aliases_is_refused_quickly_and_once() -> None:
    lines = ["a0: &a0 [" + ",".join(["x"] * 9) + "]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 12)]
    started = time.monotonic()
    problems = [problem for problem in said("\n".join(lines)) if "unfold" in problem]
    assert len(problems) == 1
    assert time.monotonic() - started < 20  # unfolded it would be 3e11 values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("2001-01-01", "2001-01-01", id="a date is text"),
        pytest.param("1:30", "1:30", id="a time is text"),
        pytest.param("0x10", 16, id="hexadecimal"),
        pytest.param("3e9", 3e9, id="a power of ten"),
        pytest.param('"3e9"', "3e9", id="in quotes it is text too"),
        pytest.param("1.5", 1.5, id="a float"),
        pytest.param("yes", True, id="yes is true"),
        pytest.param('"yes"', "yes", id="in quotes it is text"),
        pytest.param("~", None, id="nothing"),
        pytest.param("9" * 5000, "9" * 5000, id="a number of five thousand digits is text"),
        pytest.param("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}, id="a merged mapping"),
        pytest.param("{<<: [{a: 1}, {a: 2, b: 2}]}", {"a": 1, "b": 2}, id="merged mappings, the first wins"),
    ],
)
def test_values_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    documents, problems = read_documents(f"v: {text}".encode(), "m.yaml")
    assert problems == []
    assert documents[0].value == {"v": value}


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert said(b"\xef\xbb\xbf" + RUN.encode()) == []


def test_each_document_of_a_file_is_checked() -> None:
    assert said(f"{RUN}---\n{RUN}  seeds: 1\n---\n") == [
        "m.yaml:16:3: spec.seeds: unknown field (did you mean seed?)"
    ]


def test_a_password_in_an_address_is_not_repeated() -> None:
    text = RUN.replace("runs/a", "http://me:secret@host/x").replace("/src", "https://me:secret@host\\x07")
    problems = said(text)
    assert problems
    assert "secret" not in " ".join(problems)


def test_an_empty_field_of_a_choice_is_explained() -> None:
    (problem,) = said(RUN + "  training:\n    objective:\n      nextToken:\n")
    assert problem.endswith("got none (an empty field counts as absent, write nextToken: {})")


def test_a_field_in_the_wrong_place_is_found_elsewhere() -> None:
    (problem,) = said(RUN + "  contextLenght: 512\n")
    assert (
        problem == "m.yaml:8:3: spec.contextLenght: unknown field (did you mean spec.training.contextLength?)"
    )


def with_licences(licences: str) -> str:
    return RUN.replace("{path: /src}}]", f"{{path: /src}}}}], licences: {licences}")


@pytest.mark.parametrize(
    ("licence", "remedy"),
    [
        pytest.param("Apache2.0", "did you mean Apache-2.0?", id="a mistyped licence"),
        pytest.param(
            "GPL-3.0", "did you mean GPL-3.0-only or GPL-3.0-or-later?", id="a withdrawn identifier"
        ),
        pytest.param("zzzzzzzzzz", "see https://spdx.org/licenses/", id="nothing near"),
    ],
)
def test_a_licence_that_is_none_of_the_list(licence: str, remedy: str) -> None:
    (problem,) = said(with_licences(f"{{allow: [MIT, {licence}]}}"))
    assert f"{licence} is no identifier of the SPDX licence list, {remedy}" in problem


def test_licences_are_taken_in_any_case() -> None:
    assert said(with_licences("{allow: [mit], deny: [gpl-3.0-only], unknown: Drop}")) == []


def test_numbers_that_lost_their_kind_are_taken() -> None:
    assert said(RUN + "  seed: 5.0\n") == []
    assert said(RUN + "  training: {tokens: 3e9}\n") == []
    assert said(RUN + "  seed: 5.5\n") == ["m.yaml:8:3: spec.seed: must be a whole number, got 5.5"]


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    assert validate_text(data, "m.yaml")


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,? \n\t<~0.", max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    assert validate_text(text.encode(), "m.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(part=st.sampled_from(["metadata", "spec", "status", "output", "data", "training"]), value=JSON)
def test_no_value_in_any_place_makes_it_fail(part: str, value: object) -> None:
    manifest = yaml.safe_load(RUN)
    if part in ("metadata", "spec", "status"):
        manifest[part] = value
    else:
        manifest["spec"][part] = value
    validate_text(yaml.safe_dump(manifest).encode(), "m.yaml")


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ((), ""),
        (("spec", "data", "sources", 1, "git", "urls", 0), "spec.data.sources[1].git.urls[0]"),
        (("metadata", "labels", "a.b/c"), 'metadata.labels["a.b/c"]'),
        ((0, "a"), "[0].a"),
    ],
)
def test_paths_are_written_as_people_do(location: tuple[str | int, ...], text: str) -> None:
    assert path_text(location) == text


def test_long_values_are_shortened() -> None:
    assert len(value_text("x" * 1000)) <= 80


class TestFiles:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        (problem,) = validate_file(tmp_path / "none.yaml")
        assert str(problem) == f"{tmp_path}/none.yaml: cannot be read: no such file or directory"

    def test_a_folder(self, tmp_path: Path) -> None:
        (problem,) = validate_file(tmp_path)
        assert "is a directory" in str(problem)

    def test_a_device_without_end_is_not_read_to_its_end(self) -> None:
        (problem,) = validate_file(Path("/dev/zero"))
        assert "larger than" in str(problem)

    def test_report_says_what_is_valid_and_counts_what_is_not(self, tmp_path: Path) -> None:
        good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
        good.write_text(RUN)
        bad.write_text(RUN + "  sead: 1\n")
        assert report([good]) == (f"{good}: TrainingRun a is valid", 0)
        text, exit_code = report([good, bad])
        assert exit_code == 2
        assert text.splitlines() == [
            f"{good}: TrainingRun a is valid",
            f"{bad}:8:3: spec.sead: unknown field (did you mean seed?)",
            "1 problem",
        ]

    def test_loading_gives_the_model_with_its_defaults(self) -> None:
        run = load_run(ROOT / "manifests/examples/first-light.yaml")
        assert run.metadata.name == "first-light"
        assert run.spec.training.nodes == 1
        assert load_deployment(ROOT / "manifests/examples/completions.yaml").spec.pools[0].name == "l4-spot"

    def test_loading_something_wrong_is_one_error_with_all_of_it(self, tmp_path: Path) -> None:
        file = tmp_path / "m.yaml"
        file.write_text(RUN.replace("1m", "2m") + "  sead: 1\n")
        with pytest.raises(UserError) as caught:
            load_run(file)
        assert len(str(caught.value).splitlines()) == 2

    def test_loading_another_kind_names_what_was_found(self) -> None:
        file = ROOT / "manifests/examples/completions.yaml"
        with pytest.raises(UserError, match="must hold one TrainingRun, found ModelDeployment completions"):
            load_run(file)


OTHERS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
"""


def test_objects_of_other_tools_in_a_file_are_passed_over_and_named(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(OTHERS + RUN)
    assert load_run(file).metadata.name == "a"
    text, exit_code = report([file])
    assert exit_code == 0
    assert text.splitlines() == [
        f"{file}: TrainingRun a is valid",
        f"{file}: ConfigMap settings is not ours, not checked",
        f"{file}: Deployment web is not ours, not checked",
    ]


@pytest.mark.parametrize("head", ["apiVersion: daybreak.io/v1\nkind: Run", "apiVersion: v1alpha1\nkind: Run"])
def test_a_mistyped_group_of_ours_is_no_other_tools(head: str) -> None:
    assert any("kind: must be one of" in problem for problem in said(head))


def test_nothing_of_ours_is_no_success(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(OTHERS)
    text, exit_code = report([file])
    assert exit_code == 2
    assert "no TrainingRun or ModelDeployment here" in text
    with pytest.raises(
        UserError, match="must hold one TrainingRun, found ConfigMap settings, Deployment web"
    ):
        load_run(file)


def test_a_list_of_kubectl_is_its_objects() -> None:
    value = yaml.safe_load(RUN)
    wrong = {**value, "spec": {**value["spec"], "model": {"size": "2m"}}}
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [value, wrong]}, sort_keys=False)
    (problem,) = said(text)
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "2m" in words)
    assert problem.startswith(f"m.yaml:{line}:")
    assert "spec.model.size: must be one of" in problem


def test_a_folder_is_the_manifests_in_it(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "notes.md", "c.json"):
        (tmp_path / name).write_text(RUN)
    (tmp_path / "deeper").mkdir()
    assert [path.name for path in files_of([tmp_path, tmp_path / "notes.md"])] == [
        "a.yaml",
        "b.yml",
        "c.json",
        "notes.md",
    ]
    with pytest.raises(UserError, match="no manifest in this folder"):
        files_of([tmp_path / "deeper"])
