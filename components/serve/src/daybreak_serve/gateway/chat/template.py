"""``python -m daybreak_serve.gateway.chat.template``: renders chat templates in a process of its own, and nothing else.

A template comes with a model, so it is a stranger's program. It gets Jinja's sandbox as transformers uses it, no files,
bounded memory and bounded time: this process ends itself by an alarm when a template does not, whatever it computes.
Lines of JSON in, lines of JSON out; the first line is the template with the tokens that it may name.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

import jinja2.debug  # noqa: F401 - Jinja loads it at the first error, when no file can be opened any more
from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

RENDER_S = 2.0
"""A template takes milliseconds."""
IDLE_S = 300.0
"""Without work for that long the process ends; the next conversation starts another."""
MEMORY_BYTES = 512 << 20
MAX_CHARACTERS = 4 << 20
"""Of a rendered conversation; a request's body has at most one million."""
MAX_REASON = 300
Render = Callable[[Sequence[Mapping[str, Any]]], str]


class GenerationTag(Extension):
    """Transformers' ``{% generation %}``, which marks what a model says, for training: here it is its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Read up to the end tag."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def compiled(template: str, tokens: Mapping[str, str]) -> Render:
    """Return what renders messages by a template, with a turn of the model's begun at the end."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _as_json
    environment.globals.pop("lipsum", None)
    environment.globals["dict"] = _new_dict
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    found = environment.from_string(template)

    def render(messages: Sequence[Mapping[str, Any]]) -> str:
        text = found.render(
            messages=[dict(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=True,
            **tokens,
        )
        if len(text) > MAX_CHARACTERS:
            raise TemplateError(
                f"it makes {len(text)} characters of them, at most {MAX_CHARACTERS} are taken"
            )
        return text

    return render


def _new_dict(*args: Any, **values: Any) -> dict[Any, Any]:
    """Stand for ``dict``, whose attributes are nobody's business."""
    return dict(*args, **values)


def _refuse(message: object) -> str:
    raise TemplateError(str(message))


def _now(layout: str) -> str:
    return datetime.now().astimezone().strftime(layout)


def _as_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def answer(render: Render, line: str) -> str:
    """Return the answer to one line of messages: the text, or why there is none."""
    try:
        found = {"text": render(json.loads(line))}
    except MemoryError:
        found = {"reason": "it takes too much memory"}
    except RecursionError:
        found = {"reason": "it calls itself without end"}
    except Exception as error:  # noqa: BLE001 - a stranger's program fails in any way
        found = {"reason": str(error)[:MAX_REASON] or type(error).__name__}
    return json.dumps(found)


def serve(source: TextIO, sink: TextIO) -> None:
    """Answer lines until there are no more; too long a one ends the process by its alarm."""
    first = json.loads(source.readline())
    signal.setitimer(signal.ITIMER_REAL, RENDER_S)
    try:
        render = compiled(first["template"], first["tokens"])
    except Exception as error:  # noqa: BLE001 - of any kind, as above
        reason = f"is not valid Jinja: {error}"[:MAX_REASON]
        sink.write(json.dumps({"reason": reason}) + "\n")
        sink.flush()
        return
    answer(render, "[]")  # what it loads late it loads now
    _give_up_files()
    sink.write("{}\n")
    sink.flush()
    while True:
        signal.setitimer(signal.ITIMER_REAL, IDLE_S)
        line = source.readline()
        if not line:
            return
        signal.setitimer(signal.ITIMER_REAL, RENDER_S)
        sink.write(answer(render, line) + "\n")
        sink.flush()


def _give_up_files() -> None:
    """Open nothing any more, write no file, leave no core."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Serve standard input and output."""
    os.nice(5)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    serve(sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
