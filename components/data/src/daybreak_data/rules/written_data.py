"""Which JSON, YAML and text a person wrote: settings, workflows, charts, modules of SNMP; and not records of data.

Owns the shapes by which such files are known. Pure. Does not own how long they may be (limits.py).

DeepSeek-Coder keeps JSON and YAML of 50 to 5,000 characters, to be rid of data. A workflow, a playbook or a chart of
9,000 characters is a program: it has keys that a tool prescribes, comments, commands, expressions.
"""

from __future__ import annotations

import re

_YAML_SHAPES = (
    r"^apiVersion:[^\n]*$",  # Kubernetes, Helm
    r"^[\"']?on[\"']?:(?=[\s\S]*^jobs:)|^runs:(?=[\s\S]*^ {2}using:)",  # GitHub
    r"^(?:services|x-[\w-]+):(?=[\s\S]*^ {4}(?:image|build):)",  # Compose
    r"^-\s+(?:hosts|import_playbook|(?:ansible\.builtin\.)?(?:include|import)_\w+|block|set_fact|command|shell|assert)\b",
    r"^-\s+name:[^\n]*\n(?:\s+[\w.]+:[^\n]*\n)*?\s+(?:[a-z_]+\.[a-z_]+\.)?[a-z_]+:\s*(?:$|[^\n]*=)",  # Ansible
    r"^(?:stages|steps|jobs|pool|trigger|variables|parameters|extends|pipelines?|workflows|orbs|before_script)\s*:",
    r"^(?:repos|rules|linters|plugins|site_name|theme|nav|AllCops|inherit_from|language|matrix|environment)\s*:",
    r"^(?:AWSTemplateFormatVersion|Resources|heat_template_version|resources|provider|functions)\s*:",
    r"^(?:argument_specs|analyzer|linter|include)\s*:",  # Ansible's roles, Dart
    r"^services:(?=[\s\S]*^ {4,8}(?:class|arguments|tags|autowire|autoconfigure|resource):)",  # Symfony
    r"^form:(?=[\s\S]*^ +fields:)",  # blueprints of Grav
)
_YAML_SHAPE = re.compile("|".join(f"(?:{shape})" for shape in _YAML_SHAPES), re.MULTILINE)
_SCRIPT = re.compile(r":[ \t]+[|>][+-]?\d?[ \t]*$", re.MULTILINE)
"""A key whose value is a text of several lines: a script, a test, a description."""
_LEAST_SCRIPTS = 4
_SCHEMA = re.compile(r"\s*\{\s*\"\$schema\"\s*:")
_MIB = re.compile(r"^[ \t]*[A-Z][\w-]*[ \t]+DEFINITIONS[ \t]*::=[ \t]*BEGIN\b", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{-?\s*\S|\{%-?\s")
_COMMENT = re.compile(r"^\s*#\s?\S", re.MULTILINE)
_COMMENTED = 0.02
"""Share of the lines with a comment of their own from which on a YAML file was written."""
_JSON_NAMES = re.compile(
    r"(?:^|/)(?:package|composer|bower|deno|nx|lerna|turbo|angular|project|vcpkg|devcontainer|launch|tasks|settings"
    r"|extensions|manifest|app|global|CMakePresets|babel\.config|jest\.config|[jt]sconfig(?:\.[\w.-]+)?|\.\w+rc"
    r"|renovate|biome|functionSignatures|(?:[\w.-]+[.-])?schema)\.json$|(?:^|/)snippets/[\w.-]+\.json$|(?:^|/)\.\w+rc$|\.(?:code-workspace|sublime-[\w-]+)$",
    re.IGNORECASE,
)


def is_written(text: str, family: str, path: str) -> bool:
    """Tell whether a file of a data format is a program or settings, by its name, its keys or its comments."""
    if family == "json":
        return _JSON_NAMES.search(path.replace("\\", "/")) is not None or _SCHEMA.match(text) is not None
    if family == "text":
        return _MIB.search(text) is not None
    if family != "yaml":
        return False
    if (
        _YAML_SHAPE.search(text)
        or len(_TEMPLATE.findall(text)) > 2
        or len(_SCRIPT.findall(text)) >= _LEAST_SCRIPTS
    ):
        return True
    return len(_COMMENT.findall(text)) > _COMMENTED * (text.count("\n") + 1)
