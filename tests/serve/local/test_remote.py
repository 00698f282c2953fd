"""A model in object storage: copied once, verified, used again."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError
from daybreak_serve.modelfolder import open_model

pytestmark = pytest.mark.slow


def test_a_remote_model_is_copied_once_and_verified(bucket: str, model_uri: str, tmp_path: Path) -> None:
    uri = f"{bucket}/export/one"
    storage.copy_tree(model_uri, uri)
    first = open_model(uri, tmp_path)
    assert first.path == tmp_path / "models" / ("ab" * 8)
    artifacts.verify(str(first.path), artifacts.load(str(first.path)))
    storage.remove_tree(f"{uri}/model.safetensors")  # not needed again
    assert open_model(uri, tmp_path) == first
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["ab" * 8]


def test_a_cached_copy_that_was_changed_is_fetched_again(bucket: str, model_uri: str, tmp_path: Path) -> None:
    uri = f"{bucket}/export/two"
    storage.copy_tree(model_uri, uri)
    first = open_model(uri, tmp_path)
    (first.path / "config.json").write_text("{}")
    assert open_model(uri, tmp_path) == first


def test_a_remote_model_that_was_tampered_with_is_refused(
    bucket: str, model_uri: str, tmp_path: Path
) -> None:
    uri = f"{bucket}/export/three"
    storage.copy_tree(model_uri, uri)
    storage.write_bytes(f"{uri}/tokenizer.json", b"{}")
    with pytest.raises(UserError, match="changed after it was committed"):
        open_model(uri, tmp_path)
    assert list((tmp_path / "models").iterdir()) == []
