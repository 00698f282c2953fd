"""LiveCodeBench's rows of code generation (LiveCodeBench/LiveCodeBench, Jain et al. 2024, arXiv 2403.07974).

Tests are JSON as text: public ones, and private ones that the published files pack (base64 of zlib of a pickled text).
The pickle is read without making anything of it but text.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Any, NoReturn

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import MAX_FILE_BYTES, ProblemRow
from daybreak_evaluate.suites.formats.statements import call_task, json_field, program_task
from daybreak_evaluate.task import Example, Task


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row: Python."""
    task_id, statement = f"LiveCodeBench/{row.label('question_id')}", row.text("question_content")
    starter = row.optional_text("starter_code") or ""
    tests = [_checked(row, test) for test in (*_public(row), *_private(row))]
    if not tests:
        raise UserError(f"{row.place}: public_test_cases and private_test_cases have no test")
    if len({test["testtype"] for test in tests}) > 1:
        raise UserError(f"{row.place}: testtype must be the same in all tests of a problem")
    if tests[0]["testtype"] == "stdin":
        return program_task(task_id, statement, [Example(test["input"], test["output"]) for test in tests])
    metadata = json_field(row, "metadata")
    function = metadata.get("func_name") if isinstance(metadata, dict) else None
    if not isinstance(function, str):
        raise UserError(f"{row.place}: metadata must say func_name, which the tests call")
    calls = [
        ([_value(row, line) for line in test["input"].split("\n")], [_value(row, test["output"])])
        for test in tests
    ]
    return call_task(task_id, statement, starter, function, calls)


def _public(row: ProblemRow) -> list[Any]:
    return _tests(row, "public_test_cases", json_field(row, "public_test_cases"))


def _private(row: ProblemRow) -> list[Any]:
    packed = row.values.get("private_test_cases")
    if isinstance(packed, str) and packed.strip() and packed.lstrip()[:1] not in "[{":
        return _tests(row, "private_test_cases", _unpacked(row, packed))
    return _tests(row, "private_test_cases", json_field(row, "private_test_cases"))


def _tests(row: ProblemRow, field: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UserError(f"{row.place}: {field} must be a list of tests")
    return value


def _checked(row: ProblemRow, test: Any) -> dict[str, str]:
    match test:
        case {"input": str(), "output": str(), "testtype": "stdin" | "functional"}:
            return dict(test)
    raise UserError(f"{row.place}: each test must have input, output and testtype (stdin or functional)")


def _value(row: ProblemRow, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{row.place}: a test of a function must hold JSON, got {text[:60]!r}") from error


def _unpacked(row: ProblemRow, packed: str) -> Any:
    try:
        inflater = zlib.decompressobj()
        data = inflater.decompress(base64.b64decode(packed, validate=True), MAX_FILE_BYTES)
        if inflater.unconsumed_tail:
            raise ValueError(f"more than {MAX_FILE_BYTES >> 30} GiB")
        return json.loads(_TextUnpickler(io.BytesIO(data)).load())
    except (
        binascii.Error,
        zlib.error,
        ValueError,
        TypeError,
        pickle.UnpicklingError,
        EOFError,
        RecursionError,
    ) as error:
        raise UserError(
            f"{row.place}: private_test_cases is neither JSON nor what LiveCodeBench packs ({error}), fetch the "
            "file again"
        ) from error


class _TextUnpickler(pickle.Unpickler):
    """Reads a pickled text. Anything that a pickle could make beyond plain values is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it wants {module}.{name}, and may hold only text")
