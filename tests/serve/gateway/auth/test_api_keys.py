"""Files of API keys, as they are written, changed and mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_serve.gateway.auth.api_keys import KeyFile, KeyHolder, digest_of, parse_keys

LINE = f"ada sha256:{digest_of('k')}"


def test_a_file_of_keys_that_breaks_later_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    file, warnings, now = tmp_path / "keys", list[str](), [0.0]
    file.write_text(f"{LINE}\n")
    keys = KeyFile(file, lambda: now[0], warnings.append)
    for number, change in enumerate((lambda: file.write_text("ada: secret-key\n"), file.unlink), 1):
        change()
        now[0] += 5
        assert keys.holder("k") == KeyHolder("ada")
        assert len(warnings) == number
        assert "secret-key" not in warnings[-1]


@pytest.mark.parametrize(
    "line",
    ["ada", "ada sha256:12", "ada md5:" + "a" * 32, "ada secret", f"{LINE} staff,@proxy", f"{LINE} a b"],
)
def test_a_line_that_is_no_key_is_named_and_not_shown(line: str) -> None:
    with pytest.raises(UserError, match="line 2") as caught:
        parse_keys(f"\n{line}\n", "keys")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "holder"),
    [
        pytest.param(LINE, KeyHolder("ada"), id="a user"),
        pytest.param(
            f"{LINE} staff,berlin # since May", KeyHolder("ada", ("staff", "berlin")), id="with groups"
        ),
        pytest.param(f"{LINE} @proxy", KeyHolder("ada", is_proxy=True), id="a proxy"),
    ],
)
def test_a_line_says_who_holds_the_key(line: str, holder: KeyHolder) -> None:
    assert parse_keys(f"# people\n\n{line}\n", "keys") == {digest_of("k"): holder}


def test_a_mounted_secret_that_changes_is_read_again(tmp_path: Path) -> None:
    """As the kubelet does it: files are links into a folder that one rename replaces."""

    def mount(version: int, text: str) -> None:
        (folder := tmp_path / f"..version-{version}").mkdir()
        (folder / "keys").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    now, warnings = [0.0], list[str]()
    mount(1, f"{LINE}\n")
    (tmp_path / "keys").symlink_to("..data/keys")
    keys = KeyFile(tmp_path / "keys", lambda: now[0], warnings.append)
    assert keys.holder("k") == KeyHolder("ada")
    mount(2, f"ada sha256:{digest_of('l')}\n")
    now[0] += 5
    assert (keys.holder("k"), keys.holder("l")) == (None, KeyHolder("ada"))
    assert warnings == []
