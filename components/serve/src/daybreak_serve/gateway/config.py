"""What a gateway is told at its start; on one machine as one JSON file. Owns no decision."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.access import AccessLimits, TokenIssuer
from daybreak_contracts.resources.deployment import Gateway
from daybreak_model.fim import FimOrder
from daybreak_model.repository_context import ALONE, Layout
from daybreak_serve.hubfolder import ChatTemplate


class GatewaySettings(BaseModel):
    """What a gateway needs wherever it runs. No secrets: of keys there is a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: str = "daybreak"
    """What clients call it, whichever revision answers."""
    default_max_tokens: int = Field(default=64, ge=1)
    max_held: int = Field(default=64, ge=0)
    """Requests that may wait for a place of one revision."""
    body_limit_bytes: int = Field(default=1 << 20, ge=1024)
    engine_timeout_s: float = Field(default=30.0, gt=0)
    """Silence of an engine after which it counts as down."""
    probe_interval_s: float = Field(default=0.5, gt=0)
    event_log: str = ""
    """JSONL file of events; empty keeps none."""
    num_records: int = Field(default=100_000, ge=1)
    """Completions that events can still refer to."""
    host: str = "127.0.0.1"
    port: int = Field(default=names.PORT_LOCAL, ge=0, le=65535)
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may ask, as ``https://ide.example.org``."""
    api_keys: str = ""
    """File of API keys (`auth/api_keys.py`); empty: there are none."""
    jwt: TokenIssuer | None = None
    """Whose tokens are taken. Without it and a file of keys everybody may ask, and headers say who it is."""
    limits: AccessLimits = AccessLimits()
    """How much a user, and a group, may ask of this gateway."""
    tls_certificate: str = ""
    tls_key: str = ""
    """PEM files (`http/tls.py`), both or none; empty: plain HTTP."""
    drain_s: int = Field(default=10, ge=0)
    """Bound of the time for requests in flight at the end."""

    @property
    def asks_for_credentials(self) -> bool:
        """Whether one must have a key or a token."""
        return bool(self.api_keys) or self.jwt is not None


class GatewayConfig(GatewaySettings):
    """A gateway before one engine whose model lies on this machine."""

    engine: str
    """Host and port of Triton's gRPC."""
    model_folder: str
    """Verified local folder; the tokenizer is read from it."""
    model_digest: str
    context_length: int = Field(ge=16)
    vocabulary_size: int = Field(ge=1)
    golden_prompt_ids: tuple[int, ...] = ()
    golden_token_ids: tuple[int, ...] = ()
    """What the engine must answer to it; empty: any one token proves that it is alive."""
    fim: FimOrder = "PSM"
    """Order of a fill-in-the-middle prompt; None: the model never learned it, suffixes are ignored."""
    layout: Layout = ALONE
    begin_ids: tuple[int, ...] = ()
    """What stands before every prompt."""
    empty_prompt_id: int | None = None
    """What an empty prompt becomes; None: the end-of-text token."""
    chat: ChatTemplate | None = None
    """How conversations are written; None: the model takes none."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Largest ``max_tokens`` a client may ask for."""
    max_inflight: int = Field(default=8, ge=1)
    """Requests in the engine at once."""
    hold_ms: int = Field(default=Gateway().hold_ms, ge=0)
    """How long requests wait before 429: about the patience of somebody who types."""


def read_config(path: Path) -> GatewayConfig:
    """Read a config file; what is wrong in it is a UserError."""
    try:
        return GatewayConfig.model_validate(storage.read_json(str(path)))
    except ValidationError as error:
        raise UserError(f"{path}: {error}") from error
