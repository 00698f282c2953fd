"""What a gateway must know of a model to ask it: the metadata that every engine pod shows at ``GET /model``.

The tokenizer itself lies at ``GET /tokenizer``; the metadata holds its digest. Owns no HTTP.
"""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from daybreak_contracts import artifacts
from daybreak_model.fim import FimOrder, Openings
from daybreak_model.repository_context import ALONE, Layout
from daybreak_serve.hubfolder import ChatTemplate
from daybreak_serve.modelfolder import ModelFolder


class ModelMetadata(BaseModel):
    """One engine's model. Unknown fields are ignored: gateways and engines are not updated together."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    digest: str
    """Of the manifest."""
    content_digest: str
    """Of the files' bytes; a deployment may name its model by either."""
    context_length: int = Field(ge=16)
    vocabulary_size: int = Field(ge=1)
    fim: FimOrder
    layout: Layout = ALONE
    """Engines of earlier releases do not say it: theirs stand alone."""
    begin_ids: tuple[int, ...] = ()
    """What stands before every prompt; models of ours have nothing there."""
    empty_prompt_id: int | None = None
    """What an empty prompt becomes; None: the end-of-text token."""
    chat: ChatTemplate | None = None
    """How conversations are written; None: the model takes none."""
    max_concurrency: int = Field(ge=1)
    """Requests that this engine works at at once."""
    golden_prompt_ids: tuple[int, ...] = ()
    golden_token_ids: tuple[int, ...] = ()
    tokenizer_sha256: str

    @property
    def openings(self) -> Openings:
        """What the model wants at the front of a prompt."""
        return Openings(self.begin_ids, self.empty_prompt_id)

    def is_of(self, digest: str) -> bool:
        """Tell whether this is the model that a digest names."""
        return digest.rpartition(":")[2] in (self.digest.rpartition(":")[2], self.content_digest)


def metadata_of(model: ModelFolder, *, content_digest: str, max_concurrency: int) -> ModelMetadata:
    """Return the metadata of a verified model folder."""
    golden = model.golden
    return ModelMetadata(
        digest=model.digest,
        content_digest=content_digest,
        context_length=model.context_length,
        vocabulary_size=model.vocabulary_size,
        fim=model.fim,
        layout=model.layout,
        begin_ids=model.openings.begin,
        empty_prompt_id=model.openings.empty,
        chat=model.chat,
        max_concurrency=max_concurrency,
        golden_prompt_ids=golden.prompt_ids if golden else (),
        golden_token_ids=golden.token_ids if golden else (),
        tokenizer_sha256=artifacts.digest_of_file(model.path / "tokenizer.json"),
    )


def check_tokenizer(data: bytes, metadata: ModelMetadata) -> str:
    """Return a tokenizer's text; ValueError when it is not the one of the metadata."""
    found = hashlib.sha256(data).hexdigest()
    if found != metadata.tokenizer_sha256:
        raise ValueError(f"the tokenizer's digest is {found}, the metadata says {metadata.tokenizer_sha256}")
    json.loads(data)
    return data.decode()
