"""``daybreak inspect``: one answer a file, whatever the file is."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Data
from daybreak_data.documents.explain import explain_paths, explain_sources, render_for_person
from daybreak_data.rules import document_rules

CODE = "def add(left, right):\n    return left + right\n"
KEYS = ["path", "source", "language", "encoding", "generated", "filter", "syntax", "personalData", "decision"]


def look(*paths: Path) -> dict[str, dict[str, Any]]:
    answers = list(explain_paths(paths))
    assert all(list(answer) == KEYS for answer in answers)
    assert all(json.loads(json.dumps(answer)) == answer for answer in answers)
    assert all(render_for_person(answer) for answer in answers)
    return {Path(answer["path"]).name: answer for answer in answers}


def test_a_good_file_is_kept_with_all_that_was_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("# é jane.doe@mail-server.org\n" + CODE)
    assert look(file)["a.py"] == {
        "path": str(file),
        "source": None,
        "language": "python",
        "encoding": "utf-8",
        "generated": None,
        "filter": None,
        "syntax": "ok",
        "personalData": [{"kind": "email", "start": 4, "end": 28, "rule": "email"}],
        "decision": "keep",
    }


def test_every_check_is_told_even_after_the_first_that_decides(tmp_path: Path) -> None:
    file = tmp_path / "node_modules" / "a.py"
    file.parent.mkdir()
    file.write_text("# jane.doe@mail-server.org\nx = (\n" + "y" * 1200 + "\n")
    answer = look(tmp_path)["a.py"]
    assert answer["decision"] == "drop: filter/long-line"
    assert answer["filter"] == "long-line"
    assert answer["generated"] == "node-modules"
    assert answer["syntax"] == "error: line 2: '(' was never closed"
    assert [found["kind"] for found in answer["personalData"]] == ["email"]


def test_what_is_no_plain_file_is_told_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.py").write_text(CODE)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "outside.py").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "empty.py").touch()
    with (tmp_path / "huge.py").open("wb") as huge:
        huge.truncate(2 << 30)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        answers = look(tmp_path)
    assert {name: answer["decision"] for name, answer in answers.items()} == {
        "b.py": "keep",
        "pipe.py": "drop: ingest/special-file",
        "outside.py": "drop: ingest/symbolic-link",
        "loop": "drop: ingest/symbolic-link",
        "empty.py": "drop: ingest/empty",
        "huge.py": "drop: ingest/too-large",
        "socket": "drop: ingest/special-file",
    }


def test_a_link_that_a_person_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "b.py").symlink_to("a.py")
    (tmp_path / "c.py").symlink_to("gone.py")
    assert look(tmp_path / "b.py", tmp_path / "c.py")["b.py"]["decision"] == "keep"
    assert look(tmp_path / "c.py")["c.py"]["decision"] == "drop: ingest/unreadable"


def test_devices_and_endless_files_are_answered(tmp_path: Path) -> None:
    answers = [
        answer["decision"]
        for answer in explain_paths([Path("/dev/zero"), Path("/proc/self/cmdline"), tmp_path])
    ]
    assert answers == ["drop: ingest/special-file", "drop: ingest/binary"]


def test_file_names_that_are_no_text_are_answered(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.py")).write_text(CODE)
    answers = list(explain_paths([tmp_path]))
    assert [answer["decision"] for answer in answers] == ["keep"]
    assert json.dumps(answers).encode("utf-8")


def test_folders_are_walked_in_order_and_deeply(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(200):
        deep = deep / "a"
    deep.mkdir(parents=True)
    (deep / "z.py").write_text(CODE)
    (tmp_path / "b.py").write_text(CODE)
    (tmp_path / "B.py").write_text(CODE)
    assert [Path(answer["path"]).name for answer in explain_paths([tmp_path])] == ["B.py", "b.py", "z.py"]


def test_a_path_that_is_not_there_is_an_error_before_anything_is_answered(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CODE)
    with pytest.raises(UserError, match="gone: not found"):
        next(explain_paths([tmp_path, tmp_path / "gone"]))


def data_of(root: Path, **more: Any) -> Data:
    """A run's data: one folder of repositories."""
    source = {"name": "code", "directory": {"path": str(root)}, **more.pop("source", {})}
    return Data.model_validate({"sources": [source], **more})


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


FILES = {
    "r/a.py": CODE,
    "r/b.go": "package b\n\nfunc One() int { return 1 }\n",
    "r/long.py": "x = '" + "y" * 1200 + "'\n",
    "r/mail.py": "# jane.doe@mail-server.org\n" + CODE,
    "foe/c.py": "def third():\n    return 3\n",
    "node_modules/a.py": CODE,
    "loose.py": "def loose():\n    return 4\n",
}


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        pytest.param({}, {}, id="as-it-is"),
        pytest.param({"languages": ["python"]}, {"r/b.go": "drop: language/other-language"}, id="languages"),
        pytest.param(
            {"filters": {"profile": "None"}}, {"r/long.py": "keep", "node_modules/a.py": "keep"}, id="filters"
        ),
        pytest.param(
            {"personalData": {"emails": "Drop"}},
            {"r/mail.py": "drop: personal-data/personal-data"},
            id="personal-data",
        ),
        pytest.param(
            {"exclude": {"repositories": ["foe"], "paths": ["a.py"]}},
            {
                "foe/c.py": "drop: exclusion/excluded",
                "r/a.py": "drop: exclusion/excluded",
                "node_modules/a.py": "drop: exclusion/excluded",
            },
            id="exclusion",
        ),
        pytest.param(
            {"exclude": {"documentIds": [hashlib.sha256(CODE.encode()).hexdigest()]}},
            {"r/a.py": "drop: exclusion/excluded"},
            id="a-document",
        ),
    ],
)
def test_the_answers_are_of_the_run(tmp_path: Path, more: dict[str, Any], changed: dict[str, str]) -> None:
    write(tmp_path / "code", FILES)
    usual = dict.fromkeys(FILES, "keep") | {
        "r/long.py": "drop: filter/long-line",
        "node_modules/a.py": "drop: generated/generated",
    }
    data = data_of(tmp_path / "code", **more)
    root = tmp_path / "code"
    of_sources = {
        answer["path"].removeprefix("code/"): answer["decision"]
        for answer in explain_sources(data, str(tmp_path / "work"), seed=0)
    }
    assert of_sources == usual | changed
    of_paths = {
        str(Path(answer["path"]).relative_to(root)): answer["decision"]
        for answer in explain_paths([root], data)
    }
    assert of_paths == usual | changed
    one = list(explain_paths([root / "node_modules" / "a.py"], data))
    assert [(answer["source"], answer["decision"]) for answer in one] == [
        ("code", (usual | changed)["node_modules/a.py"])
    ]


def test_a_file_in_no_source_is_answered_by_the_rules_alone(tmp_path: Path) -> None:
    write(tmp_path, {"code/r/a.py": CODE, "elsewhere/b.py": CODE})
    (answer,) = explain_paths([tmp_path / "elsewhere"], data_of(tmp_path / "code"))
    assert (answer["source"], answer["decision"]) == (None, "keep")


def test_rows_links_and_what_a_sample_leaves_out_are_answered(tmp_path: Path) -> None:
    write(tmp_path / "code", {f"r/{number}.py": f"def f{number}():\n    return 1\n" for number in range(9)})
    (tmp_path / "code" / "r" / "link.py").symlink_to("0.py")
    rows = '{"content": "package a\\n", "path": "a", "lang": "Go"}\n{"cut\n'
    write(tmp_path / "rows", {"a.jsonl": rows})
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path / "code" / "r"), *who, *arguments], check=True)
    table = {"name": "rows", "jsonl": {"uri": str(tmp_path / "rows"), "languageColumn": "lang"}}
    folder = {"name": "code", "directory": {"path": str(tmp_path / "code")}, "maxBytes": 70}
    git = {"name": "git", "git": {"urls": [str(tmp_path / "code" / "r")]}}
    answers = list(
        explain_sources(
            Data.model_validate({"sources": [table, folder, git]}), str(tmp_path / "work"), seed=0
        )
    )
    decisions = [answer["decision"] for answer in answers]
    assert answers[0]["language"] == "go"
    assert decisions[:3] == ["keep", "fail: ingest/torn-file", "drop: ingest/symbolic-link"]
    assert Counter(decisions[12:]) == {"drop: ingest/symbolic-link": 1, "keep": 9}
    assert Counter(decisions[3:12]) == {"keep": 3, "drop: sample/sample": 6}


def test_what_is_kept_is_in_a_language_that_a_manifest_can_name(tmp_path: Path) -> None:
    files = {
        "words.txt": "Some words about nothing much.\n" * 20,
        "a.lua": "local a = 1\nreturn a\n",
        "a.py": CODE,
    }
    write(tmp_path, files)
    kept = [answer["language"] for answer in explain_paths([tmp_path]) if answer["decision"] == "keep"]
    assert "lua" in kept
    assert list(data_of(tmp_path, languages=kept).languages) == kept


def test_every_check_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            asked.append(name)
            return function(*arguments)

        return call

    for module, name in (
        (document_rules, "check_syntax"),
        (document_rules, "find_personal_data"),
        (document_rules.filters, "check_filters"),
        (document_rules.generated, "find_generated"),
    ):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    write(tmp_path, {"good.py": CODE, "long.py": FILES["r/long.py"]})
    assert len(list(explain_paths([tmp_path]))) == 2
    assert set(Counter(asked).values()) == {2}
