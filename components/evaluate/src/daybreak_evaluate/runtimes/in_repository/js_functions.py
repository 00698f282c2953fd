"""Functions of a JavaScript or TypeScript file whose bodies can be taken out.

A body lies between a brace that ends its line and one that begins one. Owns where it begins and ends in the text, and
whether an answer is a body and nothing else. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from daybreak_evaluate.runtimes.in_repository.functions import MAX_BODY_LINES, MIN_BODY_LINES

DECLARED = ("function_declaration", "generator_function_declaration", "method_definition")
ASSIGNED = ("arrow_function", "function_expression", "generator_function")
CLASSES = ("class_declaration", "abstract_class_declaration")
STUB = "throw new Error('taken out');\n"
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class JavaScriptFunction:
    """A function and the text around its body."""

    name: str
    """As ``Class.method``."""
    first_line: int
    before: str
    """Everything up to and with the line of the opening brace."""
    body: str
    behind: str
    """From the line of the closing brace on."""

    def stubbed(self) -> str:
        """Return the file with a body that throws."""
        return f"{self.before}{STUB}{self.behind}"


def with_marks(path: str, text: str, functions: Sequence[JavaScriptFunction], first: int) -> str:
    """Return the file with functions that say, by numbers from ``first`` on, that they ran; no line moves."""
    everything = "(globalThis as any)" if re.search(r"\.[cm]?tsx?$", path) else "globalThis"
    lines = text.encode().splitlines(keepends=True)
    for number, each in enumerate(functions, first):
        place = len(each.before.encode().splitlines())
        lines[place] = f"{everything}.daybreakReached?.({number}); ".encode() + lines[place]
    return b"".join(lines).decode()


@cache
def _language(ending: str) -> Language:
    match ending:
        case "ts" | "mts" | "cts":
            return Language(tree_sitter_typescript.language_typescript())
        case "tsx":
            return Language(tree_sitter_typescript.language_tsx())
    return Language(tree_sitter_javascript.language())


def _parsed(path: str, text: str) -> Node | None:
    data = text.encode("utf-8", "replace")
    language = _language(path.rpartition(".")[2])
    return Parser(language).parse(data).root_node if len(data) <= MAX_BYTES else None


def functions_in(path: str, text: str) -> Iterator[JavaScriptFunction]:
    """Yield the functions with a body of some lines; of a file with errors, none."""
    root = _parsed(path, text)
    if root is None or root.has_error:
        return
    lines = text.encode().splitlines(keepends=True)
    for node, name in _functions(root, ""):
        body = node.child_by_field_name("body")
        if body is None or body.type != "statement_block":
            continue
        first, last = body.start_point[0], body.end_point[0]
        if lines[first].rstrip() != lines[first][: body.start_point[1] + 1] or lines[last][
            : body.end_point[1] - 1
        ].strip(b" \t"):
            continue
        inner = lines[first + 1 : last]
        if MIN_BODY_LINES <= sum(bool(line.strip()) for line in inner) <= MAX_BODY_LINES:
            parts = (lines[: first + 1], inner, lines[last:])
            before, inside, behind = (b"".join(part).decode() for part in parts)
            yield JavaScriptFunction(name, node.start_point[0] + 1, before, inside, behind)


def _functions(node: Node, owner: str) -> Iterator[tuple[Node, str]]:
    waiting = [(node, owner)]
    while waiting:
        node, owner = waiting.pop()
        if node.type in DECLARED:
            yield node, f"{owner}{_name(node)}"
        elif node.type in (
            "variable_declarator",
            "assignment_expression",
            "field_definition",
            "public_field_definition",
            "pair",
        ):
            value = node.child_by_field_name("value") or node.child_by_field_name("right")
            if value is not None and value.type in ASSIGNED:
                yield value, f"{owner}{_name(node)}"
        below = f"{owner}{_name(node)}." if node.type in CLASSES else owner
        waiting.extend((child, below) for child in reversed(node.named_children))


def _name(node: Node) -> str:
    for field in ("name", "left", "property", "key"):
        found = node.child_by_field_name(field)
        if found is not None and found.text is not None:
            return found.text.decode("utf-8", "replace")[:100]
    return "anonymous"


def is_body(path: str, before: str, body: str, behind: str) -> bool:
    """Tell whether the text between is all of the block that ``before`` opens, and leaves no error in the file."""
    root = _parsed(path, f"{before}{body}{behind}")
    if root is None or root.has_error:
        return False
    opening = len(before.rstrip().encode("utf-8", "replace")) - 1
    closing = len(f"{before}{body}".encode("utf-8", "replace")) + len(behind) - len(behind.lstrip(" \t"))
    block = root.descendant_for_byte_range(opening, opening + 1)
    while block is not None and block.type != "statement_block":
        block = block.parent
    return block is not None and (block.start_byte, block.end_byte) == (opening, closing + 1)
