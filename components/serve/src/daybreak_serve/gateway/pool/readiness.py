"""Whether this gateway can complete: the engine answers, and answers what the model answered when it was made.

The golden completion is asked once per life of the engine, and again when the engine fails. Owns no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.pool.streams import EngineClient, EngineDown, EngineRefused
from daybreak_serve.modelfolder import Golden


class Readiness:
    """The last known state; `reason` None means ready."""

    def __init__(self, engine: EngineClient, golden: Golden | None, fallback_prompt: Sequence[int]) -> None:
        self._engine = engine
        self._golden = golden
        self._fallback_prompt = tuple(fallback_prompt)
        self.is_proven = False
        """Whether the golden completion was answered since the engine was last doubted."""
        self.is_wrong = False
        """True when the engine answers something else than the golden completion: waiting will not help."""
        self.reason: str | None = "the engine was not asked yet"

    async def probe(self) -> None:
        """Bring the state up to date."""
        if not await self._engine.is_ready():
            self.is_proven, self.is_wrong = False, False
            self.reason = "the engine does not answer"
        elif not self.is_proven:
            await self._prove()

    def distrust(self) -> None:
        """Ask the golden completion again: the engine refused a request, it may be half dead."""
        self.is_proven = False

    def suspect(self, reason: str) -> None:
        """Believe it to be down until it proves otherwise: a request found it so."""
        self.is_proven, self.reason = False, reason

    async def _prove(self) -> None:
        golden = self._golden
        prompt = golden.prompt_ids if golden else self._fallback_prompt
        expected = golden.token_ids if golden else None
        try:
            answered = await self._engine.complete(
                prompt, GenerationOptions(max_tokens=len(expected or (0,)))
            )
        except (EngineDown, EngineRefused) as error:
            self.reason = f"the engine fails: {error}"
            return
        self.is_wrong = expected is not None and answered != expected
        if self.is_wrong:
            self.reason = (
                f"the golden completion differs: expected {list(expected or ())}, got {list(answered)}"
            )
            return
        self.is_proven, self.reason = True, None
