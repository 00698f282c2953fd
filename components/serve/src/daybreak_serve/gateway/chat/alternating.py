"""The same conversation for templates that take turns strictly: user, assistant, user. Pure.

Agents say something as the system in the middle of a conversation (Claude Code 2.1), or twice as the user (opencode,
avante); the templates of Mistral, Llama 2 and Gemma refuse both, and Gemma's a system at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

Message = Mapping[str, str]
BETWEEN = "\n\n"


def gentler(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Yield the conversation in forms that stricter templates take, each saying all that was said.

    >>> said = [("system", "a"), ("user", "b"), ("system", "c")]
    >>> for form in gentler([{"role": role, "content": content} for role, content in said]):
    ...     print([(one["role"], one["content"]) for one in form])
    [('system', 'a'), ('user', 'b\\n\\nc')]
    [('user', 'a\\n\\nb\\n\\nc')]
    """
    found = list(messages)
    num_first = next((place for place, one in enumerate(found) if one["role"] != "system"), len(found))
    first, rest = found[:num_first], [_as_user(one) for one in found[num_first:]]
    yield _joined([*first, *rest])
    yield _joined([*map(_as_user, first), *rest])


def says_all(messages: Iterable[Message], text: str) -> bool:
    """Tell whether a text says what the user and the system said.

    Of a model's own words a template may leave thoughts out, and what tools told it may write as JSON (Llama 3.1).
    """
    return all(one["content"].strip() in text for one in messages if one["role"] in ("user", "system"))


def _as_user(message: Message) -> Message:
    return {**message, "role": "user"} if message["role"] not in ("user", "assistant") else message


def _joined(messages: Iterable[Message]) -> list[Message]:
    """Return messages with those of one role behind one another as one."""
    found: list[Message] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"]:
            found[-1] = {**message, "content": found[-1]["content"] + BETWEEN + message["content"]}
        else:
            found.append(message)
    return found
