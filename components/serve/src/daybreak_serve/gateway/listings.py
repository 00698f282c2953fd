"""What clients ask about the one model before they ask it: in OpenAI's words, Ollama's, vLLM's, TGI's and Tabby's.

Owns no state: what is told is of the revision that the caller is routed to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daybreak_contracts import names
from daybreak_serve.gateway.auth.caller import caller_of
from daybreak_serve.gateway.experiments.fleet import ServingFleet
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.model_metadata import ModelMetadata

OLLAMA_VERSION = "0.12.0"
"""The oldest that clients of late 2026 ask for."""
OLLAMA_DETAILS: Mapping[str, object] = {
    "parent_model": "",
    "format": "",
    "family": "daybreak",
    "families": ["daybreak"],
    "parameter_size": "",
    "quantization_level": "",
}
"""All fields of its own answer: Roo Code leaves a model out that lacks one."""


class Listings:
    """Handlers of a gateway."""

    def __init__(self, fleet: ServingFleet, model_name: str) -> None:
        self._fleet = fleet
        self._name = model_name
        self._created = int(time.time())

    def routes(self) -> list[Route]:
        """Return their paths; `/models` is what llama.cpp's server has beside `/v1/models`."""
        return [
            Route("/v1/models", self.models),
            Route("/models", self.models),
            Route("/v1/models/{name}", self.models),
            Route("/api/tags", self.ollama_tags),
            Route("/api/ps", self.ollama_tags),
            Route("/api/show", self.ollama_model, methods=["POST"]),
            Route("/api/version", self.ollama_version),
            Route("/info", self.tgi_info),
            Route("/props", self.llama_props),
            Route("/{base:path}/models", self.models),
            Route("/{base:path}/api/tags", self.ollama_tags),
            Route("/{base:path}/api/ps", self.ollama_tags),
            Route("/{base:path}/api/show", self.ollama_model, methods=["POST"]),
            Route("/v1beta/server_setting", self.tabby_settings),
        ]

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``: the one model, in OpenAI's and Anthropic's words at once, with what an editor wants to
        know of the caller's revision of it.
        """
        model: dict[str, object] = {
            "id": self._name,
            "object": "model",
            "created": self._created,
            "owned_by": "daybreak",
            "type": "model",
            "display_name": self._name,
            "created_at": _shown(self._created),
        }
        digest, metadata = self._of_caller(request)
        if digest:
            model["digest"] = names.model_of(digest)
        if metadata is not None:
            length = metadata.context_length
            model |= {"context_length": length, "max_model_len": length, "fim": metadata.fim}
        name = request.path_params.get("name")
        if name is None:
            ends = {"has_more": False, "first_id": self._name, "last_id": self._name}
            return JSONResponse({"object": "list", "data": [model], **ends})
        if name != model["id"]:
            message = f"the model {name!r} does not exist, this gateway serves {model['id']!r}"
            raise ApiProblem(404, message, param="model", code="model_not_found")
        return JSONResponse(model)

    async def ollama_tags(self, request: Request) -> Response:
        """``GET /api/tags``, and ``/api/ps``: the one model is always loaded."""
        digest, _ = self._of_caller(request)
        one = {
            "name": self._name,
            "model": self._name,
            "modified_at": _shown(self._created),
            "size": 0,
            "digest": digest,
            "details": OLLAMA_DETAILS,
        }
        return JSONResponse({"models": [one]})

    async def ollama_model(self, request: Request) -> Response:
        """``POST /api/show``, for any name: Continue reads the context, and by the template whether gaps are filled."""
        _, metadata = self._of_caller(request)
        fills = metadata is not None and metadata.fim != "None"
        length = metadata.context_length if metadata else 0
        abilities = ["completion", *(["insert"] if fills else [])]
        return JSONResponse(
            {
                "parameters": f"num_ctx {length}",
                "template": "{{ .Prompt }}{{ .Suffix }}" if fills else "{{ .Prompt }}",
                "details": OLLAMA_DETAILS,
                "model_info": {
                    "general.architecture": "daybreak",
                    "general.basename": self._name,
                    "daybreak.context_length": length,
                },
                "capabilities": abilities,
            }
        )

    async def ollama_version(self, request: Request) -> Response:
        """``GET /api/version``."""
        return JSONResponse({"version": OLLAMA_VERSION})

    async def tgi_info(self, request: Request) -> Response:
        """``GET /info`` of text-generation-inference."""
        _, metadata = self._of_caller(request)
        length = metadata.context_length if metadata else 0
        return JSONResponse({"model_id": self._name, "max_input_length": length, "max_total_tokens": length})

    async def llama_props(self, request: Request) -> Response:
        """``GET /props`` of llama.cpp's server, by which llama.vscode finds the context."""
        _, metadata = self._of_caller(request)
        length = metadata.context_length if metadata else 0
        settings = {"n_ctx": length, "params": {}}
        return JSONResponse(
            {"default_generation_settings": settings, "total_slots": 1, "model_path": self._name}
        )

    async def tabby_settings(self, request: Request) -> Response:
        """``GET /v1beta/server_setting``: nothing is sent to anybody else."""
        return JSONResponse({"disable_client_side_telemetry": True})

    def _of_caller(self, request: Request) -> tuple[str, ModelMetadata | None]:
        caller = caller_of(request.scope)
        for revision in self._fleet.choices(caller.user, caller.groups)[:1]:
            return revision.digest, revision.model.metadata if revision.model else None
        return "", None


def _shown(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}Z"
