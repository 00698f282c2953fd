"""What there is to train on, by the shards of an earlier run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daybreak_contracts import artifacts, storage
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.steps import ShardResult
from daybreak_pipelines.local.run import settings_of
from daybreak_pipelines.training_plan.data_count import of_shards
from tests.pipelines.training_plan.test_command import MANIFEST
from tests.plugins.data_artifacts import (
    CONTEXT,
    document,
    tokenizer_json,
    write_documents,
    write_shards,
    write_tokenizer,
)

TEXTS = [f"def f{number}(x):\n    return x + {number}\n" * (number % 5 + 1) for number in range(30)]


@pytest.mark.parametrize("context", [CONTEXT, 2 * CONTEXT])
def test_shards_are_known_again_by_their_length_of_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: int
) -> None:
    """The last sample of a partition is padded: tokens by samples are less than the length, and were taken for it."""
    monkeypatch.chdir(tmp_path)
    rows = [document(f"m{n}.py", text, repository=f"r/{n % 4}") for n, text in enumerate(TEXTS)]
    documents = write_documents(tmp_path, rows)
    uri = write_shards(tmp_path, documents, write_tokenizer(tmp_path, tokenizer_json(TEXTS), documents))
    made = artifacts.load(uri)
    result = ShardResult.model_validate({**made.result, "uri": uri, "digest": made.digest})
    assert result.num_train_tokens % result.num_train_samples, "no sample is padded: the case is none"
    manifest = yaml.safe_load(MANIFEST)
    manifest["spec"]["training"]["contextLength"] = context
    run = TrainingRun.model_validate(manifest)
    settings = settings_of(run, 0)
    storage.write_json(f"{settings.work_dir}/results/shards.json", {"result": result.model_dump(mode="json")})
    found = of_shards(run, settings)
    assert (found is not None) == (context == CONTEXT)
    assert found is None or found.tokens == result.num_train_tokens
