"""How a completion behaves in an editor: where it ends, what of it is held back, its line ends. Pure.

For requests that say what stands behind the cursor or ask for a mode:

- text that repeats what follows the cursor ends before the repetition;
- text of blanks alone is no completion;
- ``Line`` ends with the first line that is not blank, ``Block`` at the first line that leaves the cursor's block.

The same text comes out streamed or whole: what cannot be decided yet is held back.
"""

from __future__ import annotations

import re
from typing import Literal

CompletionMode = Literal["Line", "Block"]
MIN_REPEATED = 4
"""Characters, blanks at the ends not counted: shorter repetitions (a bracket, ``end``) are as often meant."""
CLOSERS = ("}", ")", "]")
TAB_COLUMNS = 4
BARE_LINE_END = re.compile(r"(?<!\r)\n")


class CompletionShaper:
    """Shapes one growing text."""

    def __init__(self, prefix: str, suffix: str | None, mode: CompletionMode | None) -> None:
        self._is_shaped = suffix is not None or mode is not None
        self._mode = mode
        line = prefix[prefix.rfind("\n") + 1 :]
        self._base = _columns(line)
        self._is_behind_code = bool(line.strip())
        rest, _, below = (suffix or "").replace("\r\n", "\n").partition("\n")
        self._rest = rest.rstrip() if _is_long(rest) else ""
        first = next((line for line in below.split("\n") if line.strip()), "")
        self._below = first.strip() if _is_long(first) else ""
        around = prefix[-4096:] + (suffix or "")[:4096]
        self._is_crlf = around.count("\r\n") * 2 > around.count("\n")
        self._text = ""
        self._num_out = 0
        self._ends_with_cr = False
        self.is_over = False
        """Nothing more will be shown: the rest need not be made."""

    def add(self, text: str) -> str:
        """Take what the model wrote; return what can be shown now."""
        if self.is_over:
            return ""
        if not self._is_shaped:
            return self._with_line_ends(text)
        self._text += text
        return self._advance(final=False)

    def finish(self) -> str:
        """Return what was held back and is shown after all."""
        if self.is_over or not self._is_shaped:
            return ""
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> str:
        end = self._end(final)
        if end is not None:
            self.is_over = True
        else:
            end = len(self._text) if final else self._decided()
        if not self._text[:end].strip():
            return ""
        shown = self._text[self._num_out : end]
        self._num_out = max(self._num_out, end)
        return self._with_line_ends(shown)

    def _end(self, final: bool) -> int | None:
        """Return where the text ends by a rule; None: by none so far."""
        start = 0
        while True:
            stop = self._text.find("\n", start)
            is_last = stop < 0
            line = self._text[start:] if is_last else self._text[start:stop]
            is_whole = not is_last or final
            if line.strip() and (end := self._end_in(line, start, is_whole)) is not None:
                return end
            if is_last:
                return None
            start = stop + 1

    def _end_in(self, line: str, start: int, is_whole: bool) -> int | None:
        """Return where the text ends because of this line, which begins at ``start`` and is not blank."""
        before = len(self._text[:start].rstrip("\r\n")) if start else 0
        if is_whole and self._rest and line.rstrip().endswith(self._rest):
            return start + len(line.rstrip()) - len(self._rest)
        if start and is_whole and self._below and line.strip() == self._below:
            return before
        if self._mode == "Block" and start:
            columns, is_closing = _columns(line), line.lstrip().startswith(CLOSERS)
            least = self._base + 1 if self._is_behind_code and not is_closing else self._base
            if columns < least:
                return before
            if is_whole and is_closing and columns == self._base and self._is_behind_code:
                return start + len(line)
        if self._mode == "Line" and is_whole:
            return start + len(line.rstrip("\r"))
        return None

    def _decided(self) -> int:
        """Return up to where nothing that is still to come can take text away."""
        start = self._text.rfind("\n") + 1
        line = self._text[start:]
        end = len(self._text.rstrip())
        if self._rest:
            end = min(end, start + _start_of(line, self._rest))
        if start and self._below and line.strip() and self._below.startswith(line.strip()):
            end = min(end, len(self._text[:start].rstrip()))
        return end

    def _with_line_ends(self, text: str) -> str:
        """Write line ends as the file has them."""
        if not self._is_crlf or not text:
            return text
        found = BARE_LINE_END.sub("\r\n", text)
        if self._ends_with_cr and text[0] == "\n":  # the pair came in two pieces
            found = found[1:]
        self._ends_with_cr = text[-1] == "\r"
        return found


def _is_long(text: str) -> bool:
    return len(text.strip()) >= MIN_REPEATED


def _columns(line: str) -> int:
    expanded = line.expandtabs(TAB_COLUMNS)
    return len(expanded) - len(expanded.lstrip())


def _start_of(line: str, wanted: str) -> int:
    """Return where the end of a line may have begun to spell a text; the line's length where it has not."""
    for start in range(max(0, len(line.rstrip()) - len(wanted)), len(line)):
        if wanted.startswith(line[start:].rstrip()):
            return start
    return len(line)
