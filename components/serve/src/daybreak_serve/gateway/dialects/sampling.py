"""What the numbers of a request mean to the engine whose words it uses, in ours. Pure.

One function an engine, by what that engine does with the number, not by what its name suggests:

| | llama.cpp | Ollama | text-generation-inference | OpenAI, vLLM |
|---|---|---|---|---|
| no bound | ``n_predict`` -1 | ``num_predict`` of 0 or less | (needs one) | ``max_tokens`` -1 (LM Studio, LangChain) |
| likeliest token | ``temperature`` or ``top_p`` of 0 or less | the same | ``do_sample`` false | either of them 0 |
| all tokens | ``top_p`` of 1 or more | the same | (below 1) | ``top_p`` 1 |
| any seed | -1, 4294967295 | -1 | none | none, -1 (vLLM) |

By llama.cpp's ``src/llama-sampling.cpp`` and ``tools/server/README.md``, Ollama's ``sample/samplers.go``, ``runner.go``
and ``docs/modelfile.md``, text-generation-inference's ``validation.rs`` and ``tokens.py``, OpenAI's API reference and
vLLM's ``sampling_params.py``. A value of a wrong type is left as it is: who reads the request names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_BOUND = -1
"""As `requests.read` has it: as many tokens as there can be."""
ANY_SEED = 0xFFFFFFFF
SEEDS = 1 << 63
TOKENS = ("n_predict", "max_completion_tokens", "max_tokens")
"""One field by three names in llama.cpp's server and, but for the first, OpenAI's; the first that is given counts."""


def llamacpp(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return llama.cpp's numbers in our words; 0 tokens, which only warms a cache there, are one here.

    >>> llamacpp({"n_predict": -1, "top_p": -1, "temperature": 0.2, "seed": -1})
    {'max_tokens': -1, 'temperature': 0}
    >>> llamacpp({"n_predict": 0, "top_p": 1.5})
    {'max_tokens': 1, 'top_p': 1}
    """
    found = tokens_of(document)
    seed = document.get("seed")
    if seed is not None and seed not in (-1, ANY_SEED):
        found["seed"] = seed
    return found | _nucleus(document)


def tokens_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number of tokens by whichever name it has, at every path: llama.cpp's clients ask at OpenAI's, too.

    In llama.cpp's own word -2, all that the context holds, is what no bound is here, and 0 only warms a cache.

    >>> tokens_of({"max_tokens": 9, "max_completion_tokens": 7})
    {'max_tokens': 7}
    >>> tokens_of({"n_predict": 0}), tokens_of({"n_predict": -2})
    ({'max_tokens': 1}, {'max_tokens': -1})
    """
    name = next((name for name in TOKENS if document.get(name) is not None), None)
    if name is None:
        return {}
    number = document[name]
    if name == TOKENS[0] and _is_number(number):
        number = {-2: NO_BOUND, 0: 1}.get(number, number)
    return {"max_tokens": number}


def ollama(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return Ollama's numbers in our words.

    >>> ollama({"num_predict": 0, "top_p": 0, "temperature": 0.8, "seed": 7})
    {'max_tokens': -1, 'seed': 7, 'temperature': 0}
    """
    number, seed = options.get("num_predict"), options.get("seed")
    found: dict[str, Any] = {}
    if number is not None:
        found["max_tokens"] = NO_BOUND if _is_number(number) and number <= 0 else number
    if seed is not None and seed != -1:
        found["seed"] = seed
    return found | _nucleus(options)


def textgen(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return text-generation-inference's numbers in our words.

    It refuses a share or a temperature of 0; here they mean what they mean elsewhere.

    >>> textgen({"max_new_tokens": 60, "do_sample": False, "temperature": 0.2, "top_p": 0.95})
    {'max_tokens': 60}
    """
    named = {"max_new_tokens": "max_tokens", "seed": "seed"}
    found = {ours: parameters[name] for name, ours in named.items() if parameters.get(name) is not None}
    return found | (_nucleus(parameters) if parameters.get("do_sample", True) else {})


def openai(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body of OpenAI's with its numbers in our words: the schema there allows a share of 0, seeds below 0
    and, in conversations and by llama.cpp and others elsewhere too, ``max_completion_tokens``.

    >>> openai({"prompt": "a", "top_p": 0, "seed": -2, "max_completion_tokens": 8})
    {'prompt': 'a', 'seed': 9223372036854775806, 'temperature': 0, 'max_tokens': 8}
    """
    found = {name: value for name, value in document.items() if name not in TOKENS}
    if _is_number(found.get("top_p")) and found["top_p"] == 0:
        del found["top_p"]
        found["temperature"] = 0
    seed = found.get("seed")
    if isinstance(seed, int) and -SEEDS <= seed < 0:
        found["seed"] = None if seed == -1 else seed % SEEDS
    return found | tokens_of(document)


def _nucleus(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return temperature and share as engines on one machine read them: a share keeps at least the likeliest token,
    so one of 0 or less (Cody sends -1) keeps no other.
    """
    share, temperature = found.get("top_p"), found.get("temperature")
    if any(
        _is_number(number) and float(number) <= 0 for number in (share, temperature) if number is not None
    ):
        return {"temperature": 0}
    shares = {} if share is None else {"top_p": min(share, 1) if _is_number(share) else share}
    return shares | ({} if temperature is None else {"temperature": temperature})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
