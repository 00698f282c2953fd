"""The signals that ask a training to end, remembered until a step is over."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopSignals:
    """Remembers that the process was asked to end; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.received = 0
        if threading.current_thread() is not threading.main_thread():
            self._before: dict[int, Any] = {}
            return
        self._before = {name: signal.signal(name, self._note) for name in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number

    def restore(self) -> None:
        """Give the signals back."""
        for name, handler in self._before.items():
            signal.signal(name, handler)
