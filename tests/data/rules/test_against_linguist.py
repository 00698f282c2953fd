"""Our transcription against linguist itself, where the Debian package ``ruby-github-linguist`` is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from daybreak_data.rules.generated import find_generated
from daybreak_data.rules.languages import detect_language, key_of
from daybreak_data.text.decode import Decoded, decode

ASK = """
require 'linguist'; require 'json'
STDIN.each_line do |line|
  blob = Linguist::FileBlob.new(line.chomp)
  text = blob.data.dup.force_encoding('UTF-8').scrub
  puts JSON.generate([blob.language && blob.language.name, Linguist::Generated.generated?(line.chomp, text)])
end
"""
WANTED = {
    "python", "javascript", "typescript", "java", "go", "c", "cpp", "rust", "csharp", "ruby", "php", "shell", "sql",
    "html", "css", "json", "yaml", "toml", "xml", "markdown",
}  # fmt: skip
"""What most manifests name."""


@pytest.fixture(scope="module")
def answers() -> list[tuple[Path, str, Any, bool]]:
    if shutil.which("github-linguist") is None:
        pytest.skip(
            "linguist is not installed (apt-get install ruby-github-linguist); the tables hold without it"
        )
    folder = Path(sysconfig.get_path("purelib"))
    files = [
        file
        for file in sorted(folder.rglob("*"))[::61]
        if file.is_file() and 0 < file.stat().st_size < 100_000
    ]
    asked = subprocess.run(
        ["ruby", "-e", ASK],
        input="".join(f"{file}\n" for file in files),
        capture_output=True,
        text=True,
        check=True,
    )
    found = []
    for file, line in zip(files, asked.stdout.splitlines(), strict=True):
        decoded = decode(file.read_bytes())
        if isinstance(decoded, Decoded):
            language, is_generated = json.loads(line)
            found.append((file, decoded.text, key_of(language) if language else None, is_generated))
    return found


@pytest.mark.slow
def test_we_name_the_language_that_linguist_names(answers: list[tuple[Path, str, Any, bool]]) -> None:
    wrong = [
        (str(file), expected, found)
        for file, text, expected, _ in answers
        if (found := detect_language(str(file), text)) != expected and (expected in WANTED or found in WANTED)
    ]
    assert len(answers) > 300
    assert len(wrong) <= 0.01 * len(answers), wrong


@pytest.mark.slow
def test_we_miss_nothing_that_linguist_calls_generated(answers: list[tuple[Path, str, Any, bool]]) -> None:
    missed = [
        str(file)
        for file, text, _, is_generated in answers
        if is_generated and find_generated(str(file), text, detect_language(str(file), text)) is None
    ]
    assert missed == []
