"""tree-sitter as judge of a text: how many bytes of it the grammar could not place.

Owns: the grammars, the budget of a parse and the share of errors that is forgiven. Parsers are made on
first use, one a language and process. Does not own: which files are excused (syntax.py).
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from daybreak_data.syntax.result import SyntaxResult, skipped

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

MOST_IN_ERROR = 0.01
"""docs/thresholds.md: ERROR or MISSING on more than 1 % of the bytes."""
STEPS_PER_BYTE, FREE_STEPS = 0.1, 2000
"""Steps of 100 parser operations that a file may take. Code takes at most 0.024 a byte (measured); text made to
multiply the parser's stacks takes any number. Counting steps, not seconds: the same verdict on every machine."""

MOST_VISITED = 200_000
"""Nodes looked at in search of errors; a tree with more of them has more errors than any file is forgiven."""
LONGEST_LINE, DEEPEST_NESTING, MOST_OPEN_ANGLES = 50_000, 1000, 2000
"""Files beyond are kept unread: in 10,000 unclosed angles tree-sitter-java takes 909 MB and 5 s inside one step
(memory grows with the square), where no budget can stop it. Source code nests under 100 deep."""
_ANGLED = frozenset(
    ("java", "csharp", "cpp", "typescript", "tsx", "rust", "html", "kotlin", "scala", "swift")
)
MOST_OPEN_TAGS, MOST_HERE_DOCUMENTS = 10_000, 500
"""The scanners of HTML and of the shell keep a list of what is open and copy it at every token: 80,000 open tags
take minutes, 100,000 here-documents 1.3 GB."""
SHALLOW_BYTES, DEEP_STACK_BYTES = 32_768, 512 << 20
"""tree-sitter frees and compares nested nodes recursively: 100,000 nested blocks overflow a stack of 8 MB."""

_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "html": ("tree_sitter_html", "language"),
    "css": ("tree_sitter_css", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "shell": ("tree_sitter_bash", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    "scala": ("tree_sitter_scala", "language"),
    "swift": ("tree_sitter_swift", "language"),
    "objective-c": ("tree_sitter_objc", "language"),
}


def knows(language: str) -> bool:
    """Whether there is a grammar."""
    return language in _GRAMMARS


def is_clean(text: str, language: str) -> bool:
    """Whether the grammar places every byte."""
    tree = tree_of(text.encode("utf-8", "surrogatepass"), language)
    return tree is not None and not tree.root_node.has_error


def tree_of(data: bytes, language: str) -> Tree | None:
    """The tree, None where reading the text cannot be bounded."""
    return None if _unfit(data, language) else _parse(data, language, lambda: False)


@dataclass(frozen=True)
class Placed:
    """How much of a text a grammar could place, and where it could not."""

    parser: str
    is_clean: bool = False
    line: int = 0
    """Of the first fault."""
    share: float = 0.0
    """Of the bytes that are in error; 1 where nothing fits."""
    reaches_end: bool = False
    """The last thing in the text is a fault, as in a file that was cut."""

    @property
    def fits(self) -> bool:
        """No more is in error than what is forgiven."""
        return self.share <= MOST_IN_ERROR

    @property
    def detail(self) -> str:
        """The fault in words, without its line."""
        if self.share >= 1:
            return "nothing fits the grammar"
        return f"{self.share:.{1 if self.share > MOST_IN_ERROR else 2}%} of the bytes do not fit the grammar"


def place(text: str, language: str, path: str, is_late: Callable[[], bool]) -> Placed | SyntaxResult:
    """Return what the grammar could place, or why it was not asked.

    A C header that is no C is read as C++ before it is judged: nothing in ``x.h`` says which it is.
    """
    data = text.encode("utf-8", "surrogatepass")
    found = _place(data, language, is_late)
    if isinstance(found, Placed) and not found.fits and language == "c" and path.endswith(".h"):
        again = _place(data, "cpp", is_late)
        return again if isinstance(again, Placed) and again.fits else found
    return found


def goes_on(text: str, language: str) -> bool:
    """Whether what is written behind a text stands outside of it: then its last fault ends before the text does.

    A grammar that is too old for the last statement finds a fault there, too; a block that nothing closes swallows
    the method that follows, and a string or a list is whole once it is closed.
    """
    if language not in _PROBES:
        return False
    probe = _PROBES[language]
    tree = tree_of((text + probe).encode("utf-8", "surrogatepass"), language)
    last = tree.root_node.children[-1] if tree is not None and tree.root_node.children else None
    stands_alone = (
        last is not None and not last.has_error and (last.text or b"").strip() == probe.strip().encode()
    )
    return stands_alone and not any(is_clean(text + closer, language) for closer in _CLOSERS)


_PROBES = {"ruby": "\n\ndef after_all\n  nil\nend\n"}
_CLOSERS = ("'\n", '"\n', "`\n", ")\n", "]\n", "}\n", "\nend\n", " nil\n")


def _place(data: bytes, language: str, is_late: Callable[[], bool]) -> Placed | SyntaxResult:
    parser = f"tree-sitter-{language}"
    unfit = _unfit(data, language)
    if unfit:
        return skipped(parser, unfit)
    tree = _parse(data, language, is_late)
    if tree is None:
        return skipped(parser, "takes too long to parse")
    root = tree.root_node
    if not root.has_error:
        return Placed(parser, is_clean=True)
    faults = _faults(root)
    line = faults[0].start_point[0] + 1 if faults else root.start_point[0] + 1
    whole = root.is_error or any(fault.is_error and _spans(fault, root) for fault in faults)
    share = 1.0 if whole else _bytes_in_error(faults) / max(len(data), 1)
    at_end = whole or any(not data[fault.end_byte :].strip() for fault in faults)
    return Placed(parser, line=line, share=share, reaches_end=at_end)


def _unfit(data: bytes, language: str) -> str | None:
    """Why the text is not given to a parser: what it would take cannot be bounded by a budget."""
    longest = max(map(len, data.split(b"\n")))
    if longest > LONGEST_LINE:
        return f"a line of {longest} bytes, parsed up to {LONGEST_LINE}"
    if nesting(data, b"([{", b")]}") > DEEPEST_NESTING:
        return f"brackets nested deeper than {DEEPEST_NESTING}"
    if language in _ANGLED and nesting(data, b"<", b">") > MOST_OPEN_ANGLES:
        return f"more than {MOST_OPEN_ANGLES} angle brackets open"
    if language == "html" and data.count(b"<") - 2 * data.count(b"</") > MOST_OPEN_TAGS:
        return f"more than {MOST_OPEN_TAGS} tags open"
    if language == "shell" and data.count(b"<<") > MOST_HERE_DOCUMENTS:
        return f"more than {MOST_HERE_DOCUMENTS} here-documents"
    return None


def nesting(data: bytes, opening: bytes, closing: bytes) -> int:
    """The deepest nesting of brackets anywhere in the bytes, those in strings and comments counted too."""
    table = np.zeros(256, dtype=np.int8)
    table[list(opening)], table[list(closing)] = 1, -1
    level = np.cumsum(table[np.frombuffer(data, dtype=np.uint8)], dtype=np.int32)
    if not len(level):
        return 0
    lowest = np.minimum(np.minimum.accumulate(level), 0)
    return int((level - lowest).max())


def _spans(fault: Node, root: Node) -> bool:
    return fault.start_byte <= root.start_byte and fault.end_byte >= root.end_byte


def _bytes_in_error(faults: list[Node]) -> int:
    """Bytes of all ERROR nodes, nested ones once; a MISSING node has no bytes and counts for one."""
    total = end = 0
    for fault in sorted(faults, key=lambda node: (node.start_byte, -node.end_byte)):
        if fault.is_missing:
            total += 1
        elif fault.end_byte > end:
            total += fault.end_byte - max(fault.start_byte, end)
            end = fault.end_byte
    return total


def _faults(root: Node) -> list[Node]:
    """The outermost ERROR nodes and all MISSING nodes, in the order of the text.

    Walks only into what holds an error, with a cursor: a query takes quadratic time on a deep tree.
    """
    faults: list[Node] = []
    cursor = root.walk()
    for _ in range(MOST_VISITED):
        node = cursor.node
        if node is None:
            return faults
        if node.is_error or node.is_missing:
            faults.append(node)
        elif node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return faults
    return faults


def _parse(data: bytes, language: str, is_late: Callable[[], bool]) -> Tree | None:
    """The tree, or None when the budget is spent."""
    allowed = FREE_STEPS + int(STEPS_PER_BYTE * len(data))
    steps = 0

    def is_over(*_state: object) -> bool:
        nonlocal steps
        steps += 1
        return steps > allowed or (steps % 64 == 0 and is_late())

    def read(offset: int, _point: object) -> bytes:
        return data[offset:]

    try:
        # Only a parse from a callback can be interrupted; the whole rest at once costs no more than bytes do.
        if len(data) <= SHALLOW_BYTES:
            return _parser(language).parse(read, progress_callback=is_over)
        return _on_deep_stack(lambda: _parser(language).parse(read, progress_callback=is_over))
    except ValueError:  # "Parsing failed": interrupted
        _parser(language).reset()
        return None


def _on_deep_stack(parse: Callable[[], Tree | None]) -> Tree | None:
    """Run a parse on a stack that deep nesting cannot overflow; only what is used of it takes memory."""
    outcome: list[Tree | None] = []
    faults: list[ValueError] = []

    def run() -> None:
        try:
            outcome.append(parse())
        except ValueError as fault:
            faults.append(fault)

    before = threading.stack_size(DEEP_STACK_BYTES)
    try:
        thread = threading.Thread(target=run, name="deep-parse")
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if faults:
        raise faults[0]
    return outcome[0]


@cache
def _parser(language: str) -> Parser:
    from tree_sitter import Language, Parser

    module, function = _GRAMMARS[language]
    return Parser(Language(getattr(importlib.import_module(module), function)()))
