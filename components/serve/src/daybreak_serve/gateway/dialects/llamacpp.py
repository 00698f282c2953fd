"""llama.cpp's server: ``/infill`` (llama.vim, llama.vscode) and ``/completion`` (Continue). Pure.

Fields by llama.cpp's ``tools/server/README.md``. Sampling and cache switches of that engine are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem, invalid, renamed
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read

KEPT = ("model", "stream", "user")
"""Fields that mean the same in OpenAI's words."""
OWN = ("prompt", "input_prefix", "input_suffix")
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
        *sampling.TOKENS,
        "temperature",
        "top_p",
        "seed",
        "stop",
    }
)
"""Known there, without effect here or read apart: nothing to warn of."""
LLAMA_WORDS = (b'"n_predict"', b'"cache_prompt"', b'"id_slot"', b'"samplers"', b'"response_fields"')
"""Fields by which its clients are told where OpenAI's share a path."""
WORDS = {
    "max_tokens": "n_predict",
    "context.text": "input_extra.text",
    "context.path": "input_extra.filename",
}
INFILL_WORDS = {"prompt": "input_prefix and prompt", "suffix": "input_suffix"}
PROBLEM_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    404: "not_found_error",
    401: "authentication_error",
    403: "permission_error",
    503: "unavailable_error",
}


class LlamaCpp(Dialect):
    """One of the two routes."""

    stream_type = EVENTS

    def __init__(self, *, infill: bool) -> None:
        self._infill = infill
        self.name = "llama.cpp infill" if infill else "llama.cpp"

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        document = parse_object(body)
        refuse_misplaced(document, OWN if self._infill else OWN[:1])
        found = {name: document[name] for name in KEPT if name in document}
        found |= {name: value for name, value in document.items() if name not in (*KEPT, *LEFT_OUT)}
        found |= sampling.llamacpp(document)
        found["stop"] = _without_empty(document.get("stop"))
        try:
            if self._infill:
                return read(found | _infill_of(document), headers.file, limits, "text")
            found["prompt"] = document.get("prompt", "")
            return read(found, headers.file, limits, headers.prompt)
        except ApiProblem as problem:
            raise renamed(problem, WORDS | (INFILL_WORDS if self._infill else {})) from problem

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return the answer's object."""
        return as_json(_last(identity, choices[0], usage))

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one event."""
        return event({"index": choice.index, "content": choice.text, "tokens": [], "stop": False})

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the event that says ``stop: true``; there is no other end."""
        return event(_last(identity, replace(choices[0], text=""), usage))

    def problem(self, problem: ApiProblem) -> bytes:
        """Return llama.cpp's error object."""
        kind = PROBLEM_TYPES.get(problem.status, "server_error")
        return as_json({"error": {"code": problem.status, "message": problem.message, "type": kind}})


def _without_empty(stop: Any) -> Any:
    """Return the stop strings but for empty ones, which that server leaves out."""
    return [text for text in stop if text != ""] if isinstance(stop, list) else stop or None


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


def _last(identity: CompletionIdentity, choice: CompletionChoice, usage: Usage) -> dict[str, Any]:
    timings = {
        **_timed("prompt", usage.prompt_tokens, usage.first_s),
        **_timed("predicted", usage.completion_tokens, usage.rest_s),
    }
    return {
        "index": 0,
        "content": choice.text,
        "id_slot": 0,
        "stop": True,
        "model": identity.model,
        "tokens_predicted": usage.completion_tokens,
        "tokens_evaluated": usage.prompt_tokens,
        "tokens_cached": 0,
        "stop_type": _stop_type(choice),
        "stopping_word": choice.stop or "",
        "truncated": False,
        "timings": timings,
        **{f"timings/{name}": value for name, value in timings.items()},  # as `response_fields` spells them
    }


def _stop_type(choice: CompletionChoice) -> str:
    if choice.stop:
        return "word"
    return "limit" if choice.finish_reason == "length" else "eos"


def _timed(name: str, count: int, seconds: float) -> dict[str, float]:
    """Return what llama.vim and llama.vscode show beside a completion; all of it, or they show none."""
    return {
        f"{name}_n": count,
        f"{name}_ms": round(1000 * seconds, 3),
        f"{name}_per_token_ms": round(1000 * seconds / count, 3) if count else 0.0,
        f"{name}_per_second": round(count / seconds, 3) if seconds else 0.0,
    }
