"""Any server that speaks OpenAI's protocol as the model that a suite asks: ``POST /v1/completions``.

Owns requests, their limits in time and number, and which failures are tried again. The key goes into one header and
nowhere else; redirects are not followed, so that it reaches no other server.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import httpx

from daybreak_contracts.errors import TransientError, UserError
from daybreak_evaluate.suites.protocol import Prompt, Report, Sampling
from daybreak_model.sampling import first_stop

MAX_STOPS = 4
"""OpenAI's protocol takes no more; the text is cut by all of them here."""
MAX_ANSWER_BYTES = 16 << 20
CONNECT_S, READ_S = 10.0, 120.0
REQUEST_S = 300.0
"""Of one request in all: a server that sends a byte a minute answers nothing."""
ATTEMPTS = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
AT_A_TIME = 8
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class ModelServer:
    """A server's address and what it takes to be answered."""

    url: str
    """``http://host:port``, with or without ``/v1``."""
    model: str = ""
    """Empty: the first that ``/v1/models`` names."""
    key: str = field(default="", repr=False)

    @property
    def base(self) -> str:
        """Return the address without ``/v1``."""
        return self.url.rstrip("/").removesuffix("/completions").removesuffix("/v1").rstrip("/")


class ServedModel:
    """A model behind a server; opened by ``with``. ``sleep`` and ``clock`` are arguments for tests."""

    def __init__(
        self,
        endpoint: ModelServer,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._sleep = sleep
        self._clock = clock
        headers = {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        limits = httpx.Timeout(READ_S, connect=CONNECT_S)
        self._client = httpx.Client(timeout=limits, headers=headers, trust_env=False, follow_redirects=False)
        self.name = endpoint.model

    def __enter__(self) -> ServedModel:
        if not self.name:
            found = self._ask("GET", "/v1/models", None)
            models = found.get("data") if isinstance(found, dict) else None
            named = (
                [one.get("id") for one in models if isinstance(one, dict)] if isinstance(models, list) else []
            )
            if not named or not isinstance(named[0], str):
                raise UserError(f"{self._endpoint.url}: names no model at /v1/models; give one with --model")
            self.name = named[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def answers(
        self, prompts: Sequence[Prompt], sampling: Sampling, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """Yield row and text as they come, asked a few at a time; row 7 of 5 samples a prompt is prompt 1, sample 2.

        After a failure no more is asked, and what was answered is yielded before it is raised.
        """
        waiting = iter(rows)
        failure: BaseException | None = None
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            running: dict[Future[str], int] = {}
            while True:
                while (
                    failure is None and len(running) < AT_A_TIME and (row := next(waiting, None)) is not None
                ):
                    prompt, number = divmod(row, sampling.num_samples)
                    running[pool.submit(self._complete_one, prompts[prompt], number, sampling)] = row
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    row = running.pop(future)
                    if (error := future.exception()) is not None:
                        failure = failure or error
                    else:
                        yield row, future.result()
        if failure is not None:
            raise failure

    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        """Refuse: the protocol has no likelihoods of a text that the server did not write."""
        raise UserError(
            f"{self._endpoint.url}: a server tells no likelihoods, evaluate the model folder instead"
        )

    def _complete_one(self, prompt: Prompt, number: int, sampling: Sampling) -> str:
        body: dict[str, Any] = {
            "model": self.name,
            "prompt": prompt.prefix,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "stop": list(sampling.stop[:MAX_STOPS]),
            "seed": _seed(sampling.seed, prompt.key, number),
        }
        if sampling.temperature > 0:
            body["top_p"] = sampling.top_p
        if prompt.suffix is not None:
            body["suffix"] = prompt.suffix
        found = self._ask("POST", "/v1/completions", body)
        try:
            text = found["choices"][0]["text"]
        except (KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise UserError(
                f"{self._endpoint.url}: answered without choices[0].text, is this OpenAI's protocol?"
            )
        return text[: first_stop(text, sampling.stop)]

    def _ask(self, method: str, path: str, body: Any) -> Any:
        """Return the answer's JSON; what may pass is tried again, a bounded number of times."""
        said, asked_pause = "", 0.0
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(self._pause(attempt, asked_pause))
            asked_pause = 0.0
            try:
                status, headers, data = self._send(method, path, body)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise UserError(f"{self._endpoint.url}: not a URL, use http://host:port") from error
            except httpx.TransportError as error:
                said = f"does not answer ({type(error).__name__}: {error})"
                continue
            if status in BUSY:
                said = f"answered {status} ({_message(data)})"
                asked_pause = _retry_after(headers.get("retry-after", ""))
                continue
            return self._checked(status, data, path)
        raise TransientError(
            f"{self._endpoint.url}: {said}, {ATTEMPTS} times; run the same command again, what was answered is kept"
        )

    def _send(self, method: str, path: str, body: Any) -> tuple[int, httpx.Headers, bytes]:
        """Send one request and read its answer, within bounds of bytes and time."""
        ends = self._clock() + REQUEST_S
        with self._client.stream(method, f"{self._endpoint.base}{path}", json=body) as response:
            data = b""
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > MAX_ANSWER_BYTES:
                    raise UserError(
                        f"{self._endpoint.url}: answered with more than {MAX_ANSWER_BYTES >> 20} MiB"
                    )
                if self._clock() > ends:
                    raise httpx.ReadTimeout(f"no whole answer in {REQUEST_S:g} s")
            return response.status_code, response.headers, data

    def _checked(self, status: int, data: bytes, path: str) -> Any:
        url = self._endpoint.url
        if status in (401, 403):
            raise UserError(f"{url}: answered {status} ({_message(data)}); put the key into OPENAI_API_KEY")
        if status == 404:
            raise UserError(
                f"{url}: has no {path} ({_message(data)}); a server of chats alone cannot be asked"
            )
        if status != 200:
            raise UserError(f"{url}: answered {status} ({_message(data)})")
        try:
            return json.loads(data)
        except ValueError as error:
            raise UserError(f"{url}: answered {path} with no JSON, is this OpenAI's protocol?") from error

    @staticmethod
    def _pause(attempt: int, said: float) -> float:
        return float(min(LONGEST_PAUSE_S, max(said, FIRST_PAUSE_S * 2 ** (attempt - 1))))


def _seed(seed: int, key: str, number: int) -> int:
    """Return the seed of one sample: 31 bits, as servers take it."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{key}\0{number}".encode()).digest()[:4], "big") >> 1


def _retry_after(text: str) -> float:
    """Return the seconds that a server asks for; a date, or nothing, is 0."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < float("inf") else 0.0


def _message(data: bytes) -> str:
    """Return what a server says of its refusal, in a line of bounded length."""
    try:
        found = json.loads(data)["error"]
        text = str(found["message"] if isinstance(found, dict) else found)
    except (ValueError, KeyError, TypeError):
        text = data.decode("utf-8", "replace")
    return " ".join(text.split())[:200] or "no words"
