"""Plain data across the border: values of the standard library's types as tagged JSON, and nothing else.

Owns the encoding that tester and candidate speak. It is not pickle: the reader makes exact types of a fixed list, and
instances of classes that the prompt defines, by the prompt's own code; so an object's ``__eq__``, ``__hash__`` or
``__reduce__`` never reaches the tester. Iterators stay where they are, and their items are asked for.
"""

from daybreak_evaluate.judge.plain.codec import MAX_DEPTH, MAX_DRAWN, dumps, loads
from daybreak_evaluate.judge.plain.kinds import NotPlainError

__all__ = ["MAX_DEPTH", "MAX_DRAWN", "NotPlainError", "dumps", "loads"]
