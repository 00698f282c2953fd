"""What the gateway of one machine is told of its model."""

from __future__ import annotations

import json

import pytest

from daybreak_serve.gateway.app import local_fleet
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.modelfolder import ModelFolder


@pytest.mark.parametrize("layout", ["File", "Repository"])
async def test_it_composes_as_the_model_was_trained(model: ModelFolder, layout: str) -> None:
    config = GatewayConfig.model_validate(
        {
            "engine": "127.0.0.1:1",
            "model_folder": str(model.path),
            "model_digest": model.digest,
            "context_length": model.context_length,
            "vocabulary_size": model.vocabulary_size,
            "layout": layout,
            "begin_ids": [7],
        }
    )
    fleet, _ = local_fleet(GatewayConfig.model_validate(json.loads(config.model_dump_json())))
    found = fleet.revisions[model.digest].model
    assert found is not None
    assert (found.metadata.layout, found.metadata.openings.begin) == (layout, (7,))
    await fleet.close()
