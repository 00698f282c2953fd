"""Fetching a model: whole and of the digest that was asked, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import artifacts, storage
from daybreak_contracts.artifacts import FileEntry, Manifest
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_serve.modelfolder import open_fetched
from daybreak_serve.pod import fetch as fetching
from daybreak_serve.pod.__main__ import main
from daybreak_serve.pod.fetch import FetchArgs, fetch, matches
from daybreak_serve.pod.signature import sign

DIGEST = "ab" * 32


def take(uri: str, into: Path, digest: str = DIGEST, public_key: Path | None = None) -> Manifest:
    return fetch(FetchArgs(uri, digest, into, public_key), Progress("fetch", stream=io.StringIO()))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def changed(model_uri: str, tmp_path: Path) -> Path:
    """A copy of the model that a test may change."""
    return Path(shutil.copytree(model_uri, tmp_path / "stored"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of keys as openssl makes them, and one of another kind."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    made = {"ours": ed25519.Ed25519PrivateKey.generate(), "theirs": ed25519.Ed25519PrivateKey.generate()}
    for name, key in {**made, "curve": ec.generate_private_key(ec.SECP256R1())}.items():
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        (folder / f"{name}.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)
    return folder


def test_a_model_is_fetched_whole_and_can_be_served(model_uri: str, tmp_path: Path) -> None:
    manifest = take(model_uri, tmp_path / "models/current")
    assert left_in(tmp_path / "models") == ["current"]
    artifacts.verify(str(tmp_path / "models/current"), manifest)
    model, again = open_fetched(tmp_path / "models/current")
    assert (model.digest, again) == (DIGEST, manifest)


@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_the_digest_is_of_what_made_it_or_of_its_bytes(model_uri: str, tmp_path: Path, prefix: str) -> None:
    manifest = artifacts.load(model_uri)
    assert take(model_uri, tmp_path / "a", prefix + DIGEST) == manifest
    assert take(model_uri, tmp_path / "b", prefix + manifest.content_digest) == manifest
    assert not matches(prefix + "cd" * 32, manifest)


def test_another_digest_is_refused_before_anything_is_copied(model_uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="point uri and digest at the same export"):
        take(model_uri, tmp_path / "models/current", "cd" * 32)
    assert left_in(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("tokenizer.json", b"{}", id="another file"),
        pytest.param("golden.json", b"", id="an empty file"),
        pytest.param("model.safetensors", None, id="a file that grew"),
    ],
)
def test_a_changed_file_is_refused_and_nothing_is_left(
    changed: Path, tmp_path: Path, name: str, data: bytes | None
) -> None:
    file = changed / name
    file.write_bytes(file.read_bytes() + b"\0" if data is None else data)
    with pytest.raises(UserError, match=f"{name}: was changed after it was committed"):
        take(str(changed), tmp_path / "models/current")
    assert left_in(tmp_path / "models") == []


def test_a_missing_file_is_refused(changed: Path, tmp_path: Path) -> None:
    (changed / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        take(str(changed), tmp_path / "models/current")
    assert left_in(tmp_path / "models") == []


def test_a_pickle_is_refused(changed: Path, tmp_path: Path) -> None:
    manifest = json.loads((changed / "manifest.json").read_text())
    (changed / "weights.bin").write_bytes(b"x")
    entry = {"path": "weights.bin", "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    (changed / "manifest.json").write_text(json.dumps({**manifest, "files": [*manifest["files"], entry]}))
    with pytest.raises(UserError, match="may run code"):
        take(str(changed), tmp_path / "models/current")


def test_what_is_there_and_whole_is_left_and_what_is_torn_is_made_anew(
    model_uri: str, tmp_path: Path
) -> None:
    target = tmp_path / "models/current"
    take(model_uri, target)
    before = target.stat().st_ino
    take(model_uri, target)
    assert target.stat().st_ino == before
    (target / "config.json").write_text("{}")
    (target / "left-over").write_text("from an earlier model")
    manifest = take(model_uri, target)
    artifacts.verify(str(target), manifest)
    assert not (target / "left-over").exists()


@pytest.mark.slow
def test_what_a_killed_fetch_left_is_swept(model_uri: str, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from daybreak_contracts import staging
import os, signal
folder = staging.make(Path({str(tmp_path / "models")!r}))
(folder / "half").write_text("of a file")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(left_in(tmp_path / "models")) == 1
    take(model_uri, tmp_path / "models/current")
    assert left_in(tmp_path / "models") == ["current"]


@pytest.mark.slow
@given(st.integers(0, 70), st.integers(1, 9))
def test_blocks_are_read_in_their_order_whatever_their_number(size: int, block: int) -> None:
    import tempfile
    from concurrent.futures import ThreadPoolExecutor

    data = bytes(range(size))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(fetching.NUM_READERS) as readers:
        (Path(folder) / "file").write_bytes(data)
        entry = FileEntry(path="file", size=size, sha256=hashlib.sha256(data).hexdigest())
        blocks = list(fetching.blocks(folder, entry, readers, block))
    assert b"".join(blocks) == data
    assert all(len(one) == block for one in blocks[:-1])


class TestSignatures:
    def test_a_signed_model_is_taken(self, changed: Path, keys: Path, tmp_path: Path) -> None:
        assert sign(str(changed), keys / "ours.pem").endswith("manifest.json.sig")
        take(str(changed), tmp_path / "current", public_key=keys / "ours.pub")

    def test_openssl_agrees(self, changed: Path, keys: Path, tmp_path: Path) -> None:
        import base64

        openssl = shutil.which("openssl")
        assert openssl is not None
        sign(str(changed), keys / "ours.pem")
        (tmp_path / "sig").write_bytes(base64.b64decode((changed / "manifest.json.sig").read_bytes()))
        command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", keys / "ours.pub", "-rawin"]
        done = subprocess.run(
            [*command, "-in", changed / "manifest.json", "-sigfile", tmp_path / "sig"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Signature Verified Successfully" in done.stdout, done

    def test_an_unsigned_model_is_refused(self, changed: Path, keys: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="serves signed models only"):
            take(str(changed), tmp_path / "current", public_key=keys / "ours.pub")

    def test_a_signature_by_somebody_else_is_refused(self, changed: Path, keys: Path, tmp_path: Path) -> None:
        sign(str(changed), keys / "theirs.pem")
        with pytest.raises(UserError, match="signed by somebody else"):
            take(str(changed), tmp_path / "current", public_key=keys / "ours.pub")
        assert left_in(tmp_path) == ["stored"]

    def test_a_model_and_manifest_changed_together_are_found_out_by_the_signature(
        self, changed: Path, keys: Path, tmp_path: Path
    ) -> None:
        sign(str(changed), keys / "ours.pem")
        (changed / "golden.json").write_text("{}")
        manifest = json.loads((changed / "manifest.json").read_text())
        for entry in manifest["files"]:
            if entry["path"] == "golden.json":
                entry |= {"size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
        (changed / "manifest.json").write_text(json.dumps(manifest))
        take(str(changed), tmp_path / "unsigned")  # the digest of what made it is the same
        with pytest.raises(UserError, match="is not the signature of this manifest"):
            take(str(changed), tmp_path / "current", public_key=keys / "ours.pub")

    @pytest.mark.parametrize("data", [b"", b"!", b"AAAA", b"\xff" * 90])
    def test_something_else_than_a_signature_is_refused(
        self, changed: Path, keys: Path, tmp_path: Path, data: bytes
    ) -> None:
        (changed / "manifest.json.sig").write_bytes(data)
        with pytest.raises(UserError, match="is not the signature"):
            take(str(changed), tmp_path / "current", public_key=keys / "ours.pub")

    @pytest.mark.parametrize(
        ("name", "reason"), [("curve.pub", "must be an Ed25519"), ("ours.pem", "not a public key in PEM")]
    )
    def test_a_key_of_another_kind_is_refused(
        self, changed: Path, keys: Path, tmp_path: Path, name: str, reason: str
    ) -> None:
        sign(str(changed), keys / "ours.pem")
        with pytest.raises(UserError, match=reason):
            take(str(changed), tmp_path / "current", public_key=keys / name)

    def test_a_torn_model_is_not_signed(self, changed: Path, keys: Path) -> None:
        (changed / "golden.json").write_text("{}")
        with pytest.raises(UserError, match="was changed"):
            sign(str(changed), keys / "ours.pem")
        assert not (changed / "manifest.json.sig").exists()


class TestCommand:
    def test_it_says_what_it_did(
        self, model_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        into = str(tmp_path / "models/current")
        assert main(["fetch", "--uri", model_uri, "--digest", DIGEST, "--into", into]) == 0
        assert f"fetched {DIGEST}" in capsys.readouterr().out

    def test_a_refusal_is_one_sentence_also_for_kubernetes(
        self, model_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message, into = tmp_path / "termination-log", str(tmp_path / "models/current")
        message.touch()
        command = ["fetch", "--uri", model_uri, "--digest", "cd" * 32, "--into", into]
        assert main(command, termination_log=message) == 2
        assert message.read_text().startswith("fetch: ")
        assert message.read_text() == capsys.readouterr().err.strip()
        assert "\n" not in message.read_text()

    def test_a_store_that_is_away_can_be_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from daybreak_contracts.ports import free_port

        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(TransientError):
            take("s3://models/one", tmp_path / "current")

    def test_a_key_signs_from_the_command_line(self, changed: Path, keys: Path) -> None:
        assert main(["sign", "--model", str(changed), "--private-key", str(keys / "ours.pem")]) == 0
        assert (changed / "manifest.json.sig").is_file()


@pytest.mark.slow
def test_a_signed_model_is_fetched_from_object_storage(
    bucket: str, changed: Path, keys: Path, tmp_path: Path
) -> None:
    storage.copy_tree(str(changed), f"{bucket}/one")
    sign(f"{bucket}/one", keys / "ours.pem")
    manifest = take(f"{bucket}/one", tmp_path / "current", public_key=keys / "ours.pub")
    artifacts.verify(str(tmp_path / "current"), manifest)
    storage.write_bytes(f"{bucket}/one/config.json", b"{}")
    with pytest.raises(UserError, match=r"config\.json: was changed"):
        take(f"{bucket}/one", tmp_path / "other")
