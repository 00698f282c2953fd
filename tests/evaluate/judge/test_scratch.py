"""Temporary files in both tiers: honest programs have them, hostile ones fill nothing, and nothing of them is left."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.rootfs import MAX_ENTRIES, SCRATCH_PREFIX, empty_folder, used_bytes
from daybreak_evaluate.judge.values import Program, SandboxLimits
from tests.evaluate.judge.answers import cases_of

TIERS: dict[str, tuple[str, ...]] = {"tier 2": (), "tier 1": ("namespaces",)}
HONEST = cases_of(
    r"""
--- temporary file
import tempfile
def f(x):
    with tempfile.TemporaryFile('w+') as file:
        file.write('ab' * x)
        file.seek(0)
        return file.read()
>>> f(2) == 'abab'

--- named temporary file
import tempfile, os
def f(x):
    with tempfile.NamedTemporaryFile('w+', suffix='.txt') as file:
        file.write('ab' * x)
        file.flush()
        return os.path.getsize(file.name)
>>> f(2) == 4

--- spooled temporary file
import tempfile
def f(x):
    with tempfile.SpooledTemporaryFile(max_size=3) as file:
        file.write(b'abcdef')
        file.seek(x)
        return file.read()
>>> f(2) == b'cdef'

--- file in the working folder
def f(x):
    with open('notes.txt', 'w') as file:
        file.write(x)
    with open('notes.txt') as file:
        return file.read()
>>> f('ab') == 'ab'

--- temporary folder
import tempfile, pathlib
def f(x):
    with tempfile.TemporaryDirectory() as folder:
        for i in range(x):
            pathlib.Path(folder, f'{i}.txt').write_text(str(i))
        return sorted(p.name for p in pathlib.Path(folder).iterdir())
>>> f(2) == ['0.txt', '1.txt']

--- changes and lists folders
import os
def f(x):
    os.makedirs('a/b', exist_ok=True)
    os.chdir('a')
    return os.listdir('.')
>>> f(1) == ['b']

--- glob and shutil
import os, shutil, glob
def f(x):
    os.mkdir('d'); open('d/1.txt', 'w').close(); shutil.copy('d/1.txt', 'd/2.txt')
    found = sorted(glob.glob('d/*.txt')); shutil.rmtree('d')
    return found
>>> f(1) == ['d/1.txt', 'd/2.txt']
"""
)
SEES = "import os\ndef f(x):\n    return [os.listdir('.'), len(os.listdir(os.environ['TMPDIR']))]\n>>> f(1) == [[], 0]"
HOSTILE = {
    "more than it may have": "for i in range(40):\n    open(f'{i}', 'wb').write(bytes(1 << 20))\nwhile True: pass\n",
    "many files": "i = 0\nwhile True:\n    i += 1\n    open(str(i), 'w').close()\n",
    "folders in folders": "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')\n",
    "a folder that nobody may open": "import os\nos.mkdir('a')\nos.mkdir('a/b')\nopen('a/b/c', 'w').close()\n"
    "os.chmod('a/b', 0)\nos.chmod('a', 0)\n",
    "links": "import os\nos.symlink('/', 'root')\nos.symlink('x', 'y')\nos.mkfifo('p')\n",
    "its neighbours": "import os\nfound = os.listdir('..')\n",
    "files of the machine": "import os\nos.link('/etc/hostname', 'h')\nfound = open('h').read()\n",
    "a link to the machine": "import os\nos.symlink('/etc/passwd', 'h')\nfound = open('h').read()\n",
    "removing others": "import os, shutil\nfor path in ('..', '/tmp'):\n    shutil.rmtree(path, ignore_errors=True)\n"
    "os.rmdir(os.getcwd())\n",
}


def program(source: str, condition: str = "f() == 1") -> Program:
    test = f"def check(candidate):\n    f = candidate\n    assert {condition}\n"
    return Program(source + "\n", "f", "", test)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_temporary_files_are_the_same_in_every_tier_that_can_hide_the_machines(tier: str) -> None:
    kept = Path(tempfile.gettempdir(), "daybreak-kept-by-a-test")
    kept.touch()
    sees = cases_of(f"\n--- sees\n{SEES}\n")["sees"]
    programs = [program(*each) for each in HONEST.values()]
    with Judge(SandboxLimits(timeout_s=4.0), workers=2, without=TIERS[tier]) as judge:
        if judge.tier.level == 1 and "temporary files on the machine's disk" not in judge.tier.details:
            pytest.skip(f"no temporary files here: {judge.tier}")
        verdicts = dict(judge.judge(programs))
        hostile = dict(
            judge.judge([program(f"{source}\ndef f(): return 2\n") for source in HOSTILE.values()])
        )
        after = dict(judge.judge([program(*sees)] * 4))
    assert {name: verdicts[index].result for index, name in enumerate(HONEST)} == dict.fromkeys(
        HONEST, "passed"
    )
    assert not any(verdict.passed for verdict in hostile.values())
    assert {verdict.result for verdict in after.values()} == {"passed"}
    assert kept.exists() and [*Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*")] == []
    kept.unlink()


def test_a_folder_is_emptied_however_deep_it_is(tmp_path: Path) -> None:
    inside = tmp_path
    for number in range(40):
        inside = inside / ("d" * 90 + str(number))
    inside.mkdir(parents=True)
    for _ in range(2):  # 7,400 characters: longer than a path may be
        (tmp_path / "top").mkdir()
        next(path for path in tmp_path.iterdir() if path.name != "top").rename(tmp_path / "top" / "more")
        (tmp_path / "top").rename(tmp_path / ("e" * 90))
    (tmp_path / "link").symlink_to(tmp_path.parent)
    (tmp_path / "file").write_text("x")
    empty_folder(str(tmp_path))
    assert [*tmp_path.iterdir()] == [] and tmp_path.parent.exists()


def test_what_a_folder_holds_is_counted_up_to_a_number_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(100_000))
    (tmp_path / "root").symlink_to("/")
    assert 100_000 <= (used_bytes(str(tmp_path)) or 0) < 200_000
    for number in range(MAX_ENTRIES):
        (tmp_path / "a" / str(number)).touch()
    assert used_bytes(str(tmp_path)) is None
    assert used_bytes(str(tmp_path / "gone")) == 0
