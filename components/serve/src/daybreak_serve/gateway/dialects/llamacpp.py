"""llama.cpp's server: ``/infill`` (llama.vim, llama.vscode) and ``/completion`` (Continue). Pure.

Fields by llama.cpp's ``tools/server/README.md``. Sampling and cache switches of that engine are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_serve.gateway.dialects.dialect import CompletionChoice, RequestHeaders
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read

KEPT = ("model", "temperature", "top_p", "stream", "user")
"""Fields that mean the same in OpenAI's words."""
LEFT_OUT = frozenset(
    {
        "cache_prompt",
        "id_slot",
        "samplers",
        "n_indent",
        "t_max_prompt_ms",
        "t_max_predict_ms",
        "response_fields",
        "top_k",
        "min_p",
        "typical_p",
        "tfs_z",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "repeat_penalty",
        "repeat_last_n",
        "penalize_nl",
        "presence_penalty",
        "frequency_penalty",
        "dynatemp_range",
        "dynatemp_exponent",
        "dry_multiplier",
        "dry_base",
        "grammar",
        "n_keep",
        "n_probs",
        "min_keep",
        "ignore_eos",
        "logit_bias",
        "post_sampling_probs",
        "return_tokens",
        "timings_per_token",
        "xtc_probability",
        "xtc_threshold",
        "lora",
        "n_cmpl",
        "input_prefix",
        "input_suffix",
        "input_extra",
        "prompt",
        "n_predict",
        "stop",
        "seed",
    }
)
"""Known there, without effect here or read apart: nothing to warn of."""
LLAMA_WORDS = (b'"n_predict"', b'"cache_prompt"', b'"id_slot"', b'"samplers"', b'"response_fields"')
"""Fields by which its clients are told where OpenAI's share a path."""
PROBLEM_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    404: "not_found_error",
    401: "authentication_error",
    403: "permission_error",
    503: "unavailable_error",
}


class LlamaCpp:
    """One of the two routes."""

    stream_type = EVENTS

    def __init__(self, *, infill: bool) -> None:
        self._infill = infill
        self.name = "llama.cpp infill" if infill else "llama.cpp"

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        document = parse_object(body)
        found = {name: document[name] for name in KEPT if name in document}
        found |= {name: value for name, value in document.items() if name not in (*KEPT, *LEFT_OUT)}
        found |= tokens_of(document) | _seed_of(document)
        without_unset(found)
        found["stop"] = document.get("stop") or None
        try:
            if self._infill:
                return read(found | _infill_of(document), headers.file, limits, "text")
            found["prompt"] = document.get("prompt", "")
            return read(found, headers.file, limits, headers.prompt)
        except ApiProblem as problem:
            raise _renamed(problem, infill=self._infill) from problem

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return the answer's object."""
        return as_json(_last(identity, choices[0], usage))

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one event."""
        return event({"index": choice.index, "content": choice.text, "tokens": [], "stop": False})

    def end(self, identity: CompletionIdentity, usage: Usage, *, with_usage: bool) -> bytes:
        """Return the event that says ``stop: true``; there is no other end."""
        return event(_last(identity, CompletionChoice(0, "", "stop"), usage))

    def problem(self, problem: ApiProblem) -> bytes:
        """Return llama.cpp's error object."""
        kind = PROBLEM_TYPES.get(problem.status, "server_error")
        return as_json({"error": {"code": problem.status, "message": problem.message, "type": kind}})


def tokens_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``max_tokens``: -1 means no bound there, and 0, a request that only warms a cache, asks for one token."""
    number = document.get("n_predict")
    number = document.get("max_tokens") if number is None else number
    if number is None or number in (-1, -2):
        return {}
    return {"max_tokens": 1 if number == 0 and number is not False else number}


def without_unset(found: dict[str, Any]) -> None:
    """Take sampling away that means none to engines on one machine: a share of 0 or below (Cody sends -1) or above 1,
    a temperature below 0, which is the likeliest token.
    """
    top_p, temperature = found.get("top_p"), found.get("temperature")
    if isinstance(top_p, int | float) and not isinstance(top_p, bool) and not 0 < top_p <= 1:
        del found["top_p"]
    if isinstance(temperature, int | float) and temperature < 0:
        found["temperature"] = 0


def _seed_of(document: Mapping[str, Any]) -> dict[str, Any]:
    seed = document.get("seed")
    return {} if seed is None or seed == -1 else {"seed": seed}


def _infill_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands around the cursor; ``prompt`` is what was typed behind ``input_prefix`` already."""
    parts = {name: document.get(name) or "" for name in ("input_prefix", "prompt", "input_suffix")}
    for name, value in parts.items():
        if not isinstance(value, str):
            raise invalid(f"{name} must be a string", name)
    extra = document.get("input_extra") or []
    if not isinstance(extra, list) or not all(isinstance(file, dict) for file in extra):
        raise invalid("input_extra must be a list of objects with filename and text", "input_extra")
    files = [{"path": file.get("filename") or "", "text": file.get("text") or ""} for file in extra]
    return {
        "prompt": parts["input_prefix"] + parts["prompt"],
        "suffix": parts["input_suffix"],
        "context": files[-64:],
    }


def _renamed(problem: ApiProblem, *, infill: bool) -> ApiProblem:
    """Return a problem in the client's own words."""
    names = {
        "max_tokens": "n_predict",
        "context.text": "input_extra.text",
        "context.path": "input_extra.filename",
    }
    names |= {"prompt": "input_prefix and prompt", "suffix": "input_suffix"} if infill else {}
    name = names.get(problem.param or "")
    if name is None:
        return problem
    message = problem.message.replace(str(problem.param), name, 1)
    return ApiProblem(problem.status, message, problem.type, name, problem.code)


def _last(identity: CompletionIdentity, choice: CompletionChoice, usage: Usage) -> dict[str, Any]:
    timings = {"prompt_n": usage.prompt_tokens, "predicted_n": usage.completion_tokens}
    return {
        "index": 0,
        "content": choice.text,
        "id_slot": 0,
        "stop": True,
        "model": identity.model,
        "tokens_predicted": usage.completion_tokens,
        "tokens_evaluated": usage.prompt_tokens,
        "stop_type": "limit" if choice.finish_reason == "length" else "eos",
        "stopping_word": "",
        "truncated": False,
        "timings": timings,
        **{f"timings/{name}": value for name, value in timings.items()},  # as `response_fields` spells them
    }
