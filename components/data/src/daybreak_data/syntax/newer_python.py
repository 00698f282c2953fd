"""Python that is newer than the CPython here, rewritten to what every CPython since 3.11 reads alike.

Owns: type parameters, their defaults and ``type`` statements (3.12 and 3.13, PEP 695 and 696), strings in f-strings
(3.12, PEP 701), ``except A, B:`` and t-strings (3.14, PEP 758 and 750), lazy imports, unpacking in comprehensions and
``+1`` in a pattern (3.15, PEP 810 and 798, python/cpython#148566), and the magics that IPython writes into an exported
notebook. Older, too: ``async`` and ``await`` as names, which they were until 3.7. Only these are taken out, so
CPython's own parser still judges all the rest: tree-sitter alone misses one truncated file in six.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daybreak_data.syntax import grammars

if TYPE_CHECKING:
    from tree_sitter import Node

_TEMPLATE_STRING = re.compile(r"(?<![\w\"'])(?:[tT](?=[rR]?[\"'])|([rR])[tT](?=[\"']))")
_PARAMETERS = r"\[(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*\]"
_GENERIC = re.compile(rf"\b((?:def|class)[ \t]+\w+)[ \t]*{_PARAMETERS}(?=[ \t]*[(:])")
_ALIAS = re.compile(rf"(?<![^\s;])type[ \t]+(\w+)[ \t]*(?:{_PARAMETERS})?[ \t]*(?==(?!=))")
_UNPACKING = re.compile(r"(?<=[\[({])(\s*)\*\*?(?=[^,\[\]{}:=]{1,200}?\sfor\s)")
_LAZY = re.compile(r"(?<![^\s;])lazy[ \t]+(?=(?:import|from)\b)")
_CASE = re.compile(r"^[ \t]*case\b[^\n]*", re.MULTILINE)
_PLUS = re.compile(r"((?:\bcase|[(\[{,|=:])[ \t]*)\+[ \t]*(?=[0-9.])")
_MAGIC = re.compile(r"^(?=[ \t]*(?:%{1,2}[a-zA-Z]|![\w./]|\?{1,2}\w|[\w.]+\?{1,2}[ \t]*$))", re.MULTILINE)
_ASSIGNED_MAGIC = re.compile(r"^([ \t]*\w[\w, ]*=[ \t]*)[!%][a-zA-Z./][^\n]*$", re.MULTILINE)
_ASYNC_NAME = re.compile(r"\b(async|await)\b(?=[ \t]*(?:[=,:.)\]]|$))|(?<=\.)(async|await)\b", re.MULTILINE)
_SINGLE_NAME = re.compile(rb"[a-z_]\w*")
_LOOKED_INTO = frozenset(("except_clause", "string"))

_Edit = tuple[int, int, bytes]


def rewritten(text: str) -> str | None:
    """The text without what is newer; None where there is nothing of the kind."""
    plain = _ASSIGNED_MAGIC.sub(r"\1None", _MAGIC.sub("#", _TEMPLATE_STRING.sub(r"\1f", text)))
    plain = _CASE.sub(lambda line: _PLUS.sub(r"\1", line.group()), plain)
    plain = _ASYNC_NAME.sub(r"\1\2_", _LAZY.sub("", plain))
    plain = _UNPACKING.sub(r"\1", _ALIAS.sub(r"\1", _GENERIC.sub(r"\1", plain)))
    data = plain.encode("utf-8", "surrogatepass")
    tree = grammars.tree_of(data, "python")
    edits = _edits(tree.root_node, data) if tree is not None else []
    if not edits:
        return plain if plain != text else None
    for start, end, new in sorted(edits, reverse=True):
        data = data[:start] + new + data[end:]
    return data.decode("utf-8", "surrogatepass")


def _edits(root: Node, data: bytes) -> list[_Edit]:
    found: list[_Edit] = []
    cursor = root.walk()
    while True:
        node = cursor.node
        edits = _edits_of(node, data) if node is not None and node.type in _LOOKED_INTO else []
        found += edits
        replaced = (
            any((start, end) == (node.start_byte, node.end_byte) for start, end, _ in edits)
            if node
            else False
        )
        if not replaced and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found


def _edits_of(node: Node, data: bytes) -> list[_Edit]:
    if node.type == "string":
        nests = any(child.type == "interpolation" for child in node.children)
        return [(node.start_byte, node.end_byte, b'""')] if nests and not node.has_error else []
    return _parenthesised(node, data)


def _parenthesised(node: Node, data: bytes) -> list[_Edit]:
    """``except A, B:`` with parentheses; ``except A, error:`` is Python 2's and stays."""
    colon = next((child for child in node.children if child.type == ":"), None)
    commas = [child for child in node.children if child.type == ","]
    if colon is None or not commas:
        return []
    start = node.start_byte + len(b"except")
    last = data[commas[-1].end_byte : colon.start_byte].strip()
    if len(commas) == 1 and _SINGLE_NAME.fullmatch(last):
        return []
    return [(start, start, b" ("), (colon.start_byte, colon.start_byte, b")")]
