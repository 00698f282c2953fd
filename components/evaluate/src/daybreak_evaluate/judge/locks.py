"""The semaphore of ``multiprocessing`` for a place where no second process can be.

Owns a stand-in for ``_multiprocessing.SemLock``. The real one makes a file in ``/dev/shm``, which a candidate has in no
tier; between threads, all that ``ThreadPool``, ``multiprocessing.Lock`` and their kin need is this.
"""

from __future__ import annotations

import importlib
import threading

RECURSIVE = 0
"""The kind of lock that its owner may take again; the other kind is a semaphore."""
_native = importlib.import_module("_multiprocessing")


class ThreadSemLock:
    """A semaphore, or a lock that its owner may take again; the methods are those of CPython's ``SemLock``."""

    SEM_VALUE_MAX = _native.SemLock.SEM_VALUE_MAX

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        self.kind, self.maxvalue, self.handle, self.name = kind, maxvalue, 0, None
        self._value = value
        self._owner: int | None = None
        self._taken = 0
        self._changed = threading.Condition(threading.Lock())

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; False when it could not be had in time."""
        with self._changed:
            if self.kind == RECURSIVE and self._is_mine():
                self._taken += 1
                return True
            longest = (None if timeout is None else max(timeout, 0.0)) if block else 0.0
            if not self._changed.wait_for(lambda: self._value > 0, longest):
                return False
            self._value -= 1
            self._owner = threading.get_ident()
            self._taken += 1
            return True

    def release(self) -> None:
        """Give it back."""
        with self._changed:
            if self.kind == RECURSIVE:
                if not self._is_mine():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                if self._taken > 1:
                    self._taken -= 1
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._taken -= 1
            self._value += 1
            self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return self._taken > 0 and self._owner == threading.get_ident()

    def _count(self) -> int:
        return self._taken

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0

    def _after_fork(self) -> None:
        """Nobody forks here."""


def use_threads() -> None:
    """Have ``multiprocessing`` take this one."""
    _native.SemLock = ThreadSemLock  # type: ignore[attr-defined]
