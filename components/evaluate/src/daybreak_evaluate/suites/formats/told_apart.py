"""Which public format a row is of, by its fields: for the sentence about a row that is not of the format it should be.

Owns the fields by which they are told apart, and why some formats are not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIELDS: Mapping[str, tuple[str, ...]] = {
    "LiveCodeBench": ("question_content", "public_test_cases"),
    "Apps": ("question", "input_output"),
    "CodeContests": ("description", "public_tests"),
    "Mbpp": ("code", "test_list"),
    "MultiPLE": ("name", "tests", "stop_tokens"),
    "Safim": ("eval_prompt", "ground_truth"),
    "HumanEvalInfilling": ("suffix", "canonical_solution", "entry_point"),
    "Mxeval": ("language", "description", "entry_point"),
}
NOT_TAKEN: Mapping[tuple[str, ...], str] = {
    (
        "complete_prompt",
        "instruct_prompt",
    ): "BigCodeBench, whose tests reach into the answer's own process (mocks, files, "
    "figures), which is another one here: run bigcodebench itself on the model's samples",
    (
        "code_context",
        "reference_code",
    ): "DS-1000, whose tests run the answer inside of a text of their own and compare data "
    "frames and figures: run DS-1000's own test_ds1000.py on the model's samples",
    ("code", "input", "output"): "CRUXEval, which asks what a program does and has no program to write",
    (
        "instance_id",
        "problem_statement",
    ): "SWE-bench, which asks for a patch of a repository: for functions of a repository "
    "of your own take `daybreak tasks`",
    ("skeleton", "methods_info"): "ClassEval, whose answers are classes that the test makes objects of",
    (
        "cropped_code",
        "next_line",
    ): "RepoBench, which compares text: HeldOutCompletion does so on your own files",
    (
        "groundtruth",
        "crossfile_context",
    ): "CrossCodeEval, which compares text: HeldOutCompletion does so on your own files",
}


def sentence_for(values: Mapping[str, Any], expected: str) -> str:
    """Return what to say of a row under the format ``expected``; empty where nothing speaks against it."""
    if expected not in FIELDS or not _has(values, FIELDS[expected]):
        for fields, reason in NOT_TAKEN.items():
            if _has(values, fields):
                return f"this is a row of {reason}"
        for name, fields in FIELDS.items():
            if name != expected and _has(values, fields):
                return f"this is a row of the format {name}, the manifest says {expected}"
    return ""


def _has(values: Mapping[str, Any], fields: tuple[str, ...]) -> bool:
    return all(field in values for field in fields)
