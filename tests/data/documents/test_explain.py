"""``daybreak inspect``: one answer a file, whatever the file is."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_data.documents.explain import explain_paths, render_for_person

CODE = "def add(left, right):\n    return left + right\n"
KEYS = ["path", "language", "encoding", "generated", "filter", "syntax", "personalData", "decision"]


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
