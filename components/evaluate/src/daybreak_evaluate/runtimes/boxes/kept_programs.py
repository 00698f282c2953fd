"""Programs of tests that were compiled before: the answers to one task share the test's side.

Owns how many are kept. Only text of tests is compiled to one; no answer has a part in it or can write it.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from daybreak_evaluate.runtimes.boxes.values import TEST_OUT

PROGRAM = f"{TEST_OUT}/program"
MAX_BYTES = 128 << 20


class KeptPrograms:
    """The last ones that were used, by name."""

    def __init__(self) -> None:
        self._programs: OrderedDict[str, bytes] = OrderedDict()

    def put_into(self, folder: str, name: str) -> bool:
        """Write the program of that name where its steps would have; tells whether there is one."""
        program = self._programs.get(name)
        if program is None:
            return False
        self._programs.move_to_end(name)
        path = Path(folder, PROGRAM)
        path.write_bytes(program)
        path.chmod(0o755)
        return True

    def take_from(self, folder: str, name: str) -> None:
        """Keep what the steps of that name have built."""
        self._programs[name] = Path(folder, PROGRAM).read_bytes()
        while len(self._programs) > 1 and sum(map(len, self._programs.values())) > MAX_BYTES:
            self._programs.popitem(last=False)
