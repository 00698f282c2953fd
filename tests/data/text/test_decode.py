"""Bytes to text: what is declared is believed, what is valid is not touched, and nothing raises."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_data.text import damaged
from daybreak_data.text.decode import LIMIT_BYTES, Decoded, Undecodable, decode
from tests.plugins.profiles import examples

JAPANESE = "# 日本語のコメントです。ファイルを読み込みます。\nname = '設定'\n"
CHINESE = "# 这是一个测试文件，用来读取配置。\nname = '默认设置'\n"
TRADITIONAL = "# 這是一個測試檔案，用來讀取設定。我們在這裡說中文。\nname = '預設'\n"
KOREAN = "# 이 파일은 설정을 읽는 코드입니다. 다음과 같이 사용할 수 있습니다.\nname = '기본값'\n"
RUSSIAN = "# Этот файл читает настройки программы и возвращает словарь\nname = 'имя'\n"
FRENCH = "# Créé par l'équipe : méthode appelée à la fin\nname = 'été'\n"
TYPOGRAPHIC = "// It’s the “best” way – costs 5 €\n"
CZECH = "# Příliš žluťoučký kůň úpěl ďábelské ódy a všechno řekl\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", Undecodable("empty"), id="an empty file is called empty"),
        pytest.param(
            b"// at most 73.14\xb5s, 128 LSB/\xb0C, 25 \xb0C, \xb15 V, 3 mm\xb2\n",
            Decoded(
                "// at most 73.14\u00b5s, 128 LSB/\u00b0C, 25 \u00b0C, \u00b15 V, 3 mm\u00b2\n", "cp1252"
            ),
            id="signs of units say what they are",
        ),
        pytest.param(
            b"/* \xa9 2004 A. Person */\n",
            Decoded("/* \u00a9 2004 A. Person */\n", "cp1252"),
            id="so does the sign before a year",
        ),
        pytest.param(b"x \xb5\xb0 y\n", Undecodable("unknown-encoding"), id="two of them alone do not"),
        pytest.param(
            b"pages 10\xe2\x80?16\n",
            Decoded("pages 10\ufffd?16\n", "utf-8-replaced"),
            id="a dash whose last byte became a question mark",
        ),
        pytest.param(codecs.BOM_UTF8, Undecodable("empty"), id="a byte order mark alone is called empty"),
        pytest.param(
            b"x" * (LIMIT_BYTES + 1), Undecodable("too-large"), id="a file over the limit is not read"
        ),
        pytest.param(b"a\0b", Undecodable("binary"), id="a NUL byte makes a file binary"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00\x00", Undecodable("binary"), id="an executable is binary"),
        pytest.param(bytes(range(1, 32)) * 9 + b"\xff", Undecodable("binary"), id="control bytes are binary"),
        pytest.param(b"\xff\xfea\0\0\0b\0", Undecodable("binary"), id="NUL in UTF-16 is binary too"),
        pytest.param(b"a = 1\n", Decoded("a = 1\n", "utf-8"), id="ASCII is UTF-8"),
        pytest.param(b"a\r\nb\rc\n", Decoded("a\r\nb\rc\n", "utf-8"), id="line ends stay as they are"),
        pytest.param(b"\xef\xbb\xbfa", Decoded("a", "utf-8-sig"), id="a UTF-8 mark is taken off"),
        pytest.param(b"\xff\xfea\0", Decoded("a", "utf-16-le"), id="little-endian UTF-16 by its mark"),
        pytest.param(b"*\x04P\x01X\0", Undecodable("binary"), id="a few bytes with a zero at an even place"),
        pytest.param(b"BZh91AY&SY\xea\xe0\x8d\x8f", Undecodable("binary"), id="a few bytes that are packed"),
        pytest.param(b"\xfe\xff\0a", Decoded("a", "utf-16-be"), id="big-endian UTF-16 by its mark"),
        pytest.param(
            b"\xff\xfe\0\0a\0\0\0", Decoded("a", "utf-32-le"), id="little-endian UTF-32 by its mark"
        ),
        pytest.param(b"\0\0\xfe\xff\0\0\0a", Decoded("a", "utf-32-be"), id="big-endian UTF-32 by its mark"),
        pytest.param(
            "é = 'Ã©'\n".encode(), Decoded("é = 'Ã©'\n", "utf-8"), id="mojibake in valid UTF-8 is left alone"
        ),
        pytest.param(
            b"# -*- coding: latin-1 -*-\nx = '\xa4'\n",
            Decoded("# -*- coding: latin-1 -*-\nx = '¤'\n", "iso8859-1"),
            id="a coding cookie is believed",
        ),
        pytest.param(
            b'<meta charset="iso-8859-15"><p>5 \xa4',
            Decoded('<meta charset="iso-8859-15"><p>5 €', "iso8859-15"),
            id="an HTML declaration is believed",
        ),
        pytest.param(
            b"# coding: rot13\nx = '\xe9'\n",
            Decoded("# coding: rot13\nx = 'é'\n", "cp1252"),
            id="a cookie that names no character set is ignored",
        ),
        pytest.param(
            b"# coding: nonsense\nx = 'caf\xe9'\n",
            Decoded("# coding: nonsense\nx = 'café'\n", "cp1252"),
            id="a cookie that nobody knows is ignored",
        ),
    ],
)
def test_a_file_is_decoded_by_what_it_says(data: bytes, expected: Decoded | Undecodable) -> None:
    assert decode(data) == expected


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        pytest.param(FRENCH, "latin-1", id="French in Latin-1"),
        pytest.param(TYPOGRAPHIC, "cp1252", id="typographic quotes in Windows-1252"),
        pytest.param(CZECH, "cp1250", id="Czech in Windows-1250"),
        pytest.param(CZECH, "iso8859-2", id="Czech in Latin-2"),
        pytest.param(RUSSIAN, "cp1251", id="Russian in Windows-1251"),
        pytest.param(RUSSIAN, "koi8-r", id="Russian in KOI8-R"),
        pytest.param(JAPANESE, "shift_jis", id="Japanese in Shift_JIS"),
        pytest.param(JAPANESE, "euc_jp", id="Japanese in EUC-JP"),
        pytest.param(JAPANESE, "iso2022_jp", id="Japanese in ISO-2022-JP"),
        pytest.param(CHINESE, "gb18030", id="Chinese in GB 18030"),
        pytest.param(TRADITIONAL, "big5", id="Chinese in Big5"),
        pytest.param(KOREAN, "euc_kr", id="Korean in EUC-KR"),
        pytest.param(KOREAN, "johab", id="Korean in Johab"),
        pytest.param(KOREAN, "iso2022_kr", id="Korean in ISO-2022-KR"),
    ],
)
def test_a_legacy_charset_is_restored_byte_by_byte(text: str, codec: str) -> None:
    data = text.encode(codec)
    found = decode(data)
    assert isinstance(found, Decoded)
    assert found.text == text
    assert found.text.encode(found.encoding) == data


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b'log("%.2f\xb0C", t);', 'log("%.2f°C", t);', id="a degree behind a conversion"),
        pytest.param(b"// in \xb5T\n", "// in µT\n", id="a unit of a field"),
        pytest.param(b"// 10\xb3 of them\n", "// 10³ of them\n", id="a power"),
        pytest.param(b"  \xb3 text\n", None, id="a raised number alone, or the line of a frame"),
        pytest.param(b"author: Ensar \xdeamil\n", None, id="a letter of Iceland or of Turkey"),
        pytest.param(
            b"compared with today\xd2s engines", None, id="a letter that is Korean for one set alone"
        ),
    ],
)
def test_single_signs_are_read_where_they_belong(data: bytes, text: str | None) -> None:
    expected = Undecodable("unknown-encoding") if text is None else Decoded(text, "cp1252")
    assert decode(data) == expected


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param("// 居中，支持扩展", "gb18030", id="words of programmers"),
        pytest.param("// todo:判断是否enabled", "gb18030", id="a question"),
        pytest.param("Русский текст", "cp1251", id="a capital of Windows, no dash of a Mac"),
    ],
)
def test_a_few_words_are_read(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == Decoded(text, encoding)


def test_a_test_of_decoders_is_in_no_old_set() -> None:
    valid, bad = "κόσμε ╔═╗ €".encode(), b" \xc3 \xe2\x82 \xff\xfe \xc0\xaf \xed\xa0\x80 "
    assert damaged.is_full_of_utf8(valid + bad * 2, "koi8_u")
    assert not damaged.is_full_of_utf8(valid + bad * 9, "koi8_u")
    assert not damaged.is_full_of_utf8("Читает настройки, ещё не всё".encode("koi8_r") * 9, "koi8_r")
    assert not damaged.is_full_of_utf8("读取配置文件".encode("gb18030") * 9, "gb18030")


def test_two_short_comments_in_a_long_program_are_enough() -> None:
    program = "def add(left, right):\n    return left + right\n\n\n" * 200
    data = (program + "# größer als früher\n" + program).encode("latin-1")
    found = decode(data)
    assert isinstance(found, Decoded)
    assert "größer als früher" in found.text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1b"), min_size=1))
def test_valid_utf8_is_never_changed(text: str) -> None:
    found = decode(text.encode())
    if text.startswith("\ufeff"):
        assert found in (Decoded(text[1:], "utf-8-sig"), Undecodable("empty"))
    else:
        assert found == Decoded(text, "utf-8")


@pytest.mark.slow
@given(st.binary())
@settings(max_examples=examples(400))
def test_no_bytes_raise_and_every_text_came_from_its_bytes(data: bytes) -> None:
    found = decode(data)
    if isinstance(found, Undecodable):
        assert found.reason in {"empty", "too-large", "binary", "unknown-encoding"}
        return
    assert "\0" not in found.text
    if found.encoding == damaged.REPLACED:
        assert found.text == data.decode(errors="replace").replace("\0", "\ufffd")
    elif found.encoding == "cesu-8":
        assert found.text.encode("utf-16-le").decode("utf-16-le", "surrogatepass") == found.text
    elif not found.encoding.startswith(("utf-16", "utf-32", "utf-8-sig")):
        assert found.text.encode(found.encoding) == data


@given(st.sampled_from(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]), st.text(min_size=1))
def test_what_a_mark_announces_comes_back(encoding: str, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode().replace("\0", "")
    marks = {
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }
    found = decode(marks[encoding] + text.encode(encoding))
    assert found == Decoded(text, encoding) if text else found == Undecodable("empty")
