"""What is found, cut out to the character, and what is left alone, one case a line."""

from __future__ import annotations

import pytest

from daybreak_data.personal_data import Detection, find_personal_data
from daybreak_data.personal_data.key_rules import KEY_RULES


def found(text: str, path: str = "app.py") -> list[tuple[str, str]]:
    return [(finding.kind, finding.value) for finding in find_personal_data(text, path)]


def test_a_finding_has_character_offsets_behind_any_letters() -> None:
    text = "naïve 数据 😀 jane@acme.io, 93.184.216.34"
    assert find_personal_data(text, "a.py") == [
        Detection("email", 11, 23, "email", "jane@acme.io"),
        Detection("ipAddress", 25, 38, "ipv4", "93.184.216.34"),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("email=jane@acme.io", "jane@acme.io", id="after an equals sign"),
        pytest.param("mail:jane@acme.io", "jane@acme.io", id="after a colon"),
        pytest.param("lists/jane@acme.io", "jane@acme.io", id="after a slash"),
        pytest.param("to jane@acme.io.", "jane@acme.io", id="before the full stop of a sentence"),
        pytest.param(r"Hi\njane@acme.io", "jane@acme.io", id="after an escaped end of line"),
        pytest.param(r"\u003cjane@acme.io\u003e", "jane@acme.io", id="between escaped angle brackets"),
        pytest.param("mailto%3Ajane@acme.io", "jane@acme.io", id="after a percent escape"),
        pytest.param("写信jane@acme.io吧", "jane@acme.io", id="between letters of another script"),
        pytest.param("?to=jane%40acme.io&x=1", "jane%40acme.io", id="with an escaped at sign"),
        pytest.param("Jane.Doe+x_y%z@a-b.co.uk", "Jane.Doe+x_y%z@a-b.co.uk", id="with all marks"),
        pytest.param("x@163.com", "x@163.com", id="at a provider with a number for a name"),
    ],
)
def test_emails(text: str, value: str) -> None:
    assert found(text) == [("email", value)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("git@github.com:me/it.git", id="a git remote"),
        pytest.param("scp f me@host.acme.io:/tmp", id="a remote path"),
        pytest.param("name@2x.png", id="a scale factor"),
        pytest.param("@decorator.method", id="a decorator"),
        pytest.param("return a@b.info()", id="a matrix product with a method"),
        pytest.param("this@Outer.name", id="a Kotlin label"),
        pytest.param("me@example.com me@x.example.org me@a.test me@h.local", id="reserved domains"),
        pytest.param("https://user@acme.io/x", id="the user of a URL"),
        pytest.param("a@b", id="no domain"),
        pytest.param("a@b.notatld", id="no top-level domain"),
        pytest.param("a..b@", id="no host"),
        pytest.param("pkg@1.2.dev", id="a package version"),
        pytest.param("x@" + "a." * 200 + "com", id="a domain that is too long"),
        pytest.param("x" * 70 + "@acme.io", id="a name that is too long"),
    ],
)
def test_no_emails(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("http://93.184.216.34/x", "93.184.216.34", id="in a URL"),
        pytest.param("93.184.216.34:8080", "93.184.216.34", id="with a port"),
        pytest.param("93.184.216.0/24", "93.184.216.0", id="a network"),
        pytest.param("[93.184.216.34]", "93.184.216.34", id="in brackets"),
        pytest.param("::ffff:93.184.216.34", "93.184.216.34", id="mapped into IPv6"),
        pytest.param(r"a\n93.184.216.34", "93.184.216.34", id="after an escaped end of line"),
        pytest.param("host 1.2.3.4", "1.2.3.4", id="small numbers, called a host"),
        pytest.param("[2a00:1450:4001::200e]:443", "2a00:1450:4001::200e", id="IPv6 in brackets"),
        pytest.param("at 2a00:1450:4001:1:2:3:4:5: up", "2a00:1450:4001:1:2:3:4:5", id="IPv6 before a colon"),
    ],
)
def test_addresses(text: str, value: str) -> None:
    assert found(text) == [("ipAddress", value)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("10.1.2.3 172.16.9.9 192.168.0.7 127.0.0.1 169.254.1.1 100.64.3.2", id="private"),
        pytest.param("192.0.2.1 198.51.100.9 203.0.113.5 2001:db8::1 3fff::1", id="documentation"),
        pytest.param("8.8.8.8 1.1.1.1 2606:4700:4700::1111", id="public resolvers"),
        pytest.param("fe80::1 fd00::1 ::1 ff02::fb", id="IPv6 that is not global"),
        pytest.param("version = 1.20.30.40", id="a version"),
        pytest.param("Chrome/91.0.4472.124", id="a product"),
        pytest.param("1.3.6.1.4.1", id="an object identifier"),
        pytest.param("'2.5.29.15'", id="the arc of a certificate extension"),
        pytest.param("lib-3.14.15.92.so", id="a file"),
        pytest.param("x==12.4.13.1", id="a pinned requirement"),
        pytest.param("300.1.2.3 1.2.3 01.2.3.4", id="no addresses at all"),
        pytest.param("12:30:45 20:4a:bc:de:f0:12 2001:12", id="times and hardware addresses"),
    ],
)
def test_no_addresses(text: str) -> None:
    assert found(text) == []


PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75sdf7s6df5s7d6f5s7d6f5s7d6f5\nabcd==\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(
            f"k = '''{PEM}-----END RSA PRIVATE KEY-----'''",
            f"{PEM}-----END RSA PRIVATE KEY-----",
            id="a block",
        ),
        pytest.param(PEM[:60], PEM[:60], id="a block that is cut off"),
        pytest.param("redis://:p4ssW0rdX9@cache", "p4ssW0rdX9", id="the password of a URL"),
        pytest.param("password = 'hunter2!'", "hunter2!", id="a chosen password"),
        pytest.param('api_key: str = "a8F3kd92mfQ0zL8s1Xb7"', "a8F3kd92mfQ0zL8s1Xb7", id="a random key"),
        pytest.param(
            "api_key = x.KEY || 'a8F3kd92mfQ0zL8s1Xb7'", "a8F3kd92mfQ0zL8s1Xb7", id="in place of a variable"
        ),
        pytest.param("'db=x;password=Zq8kd92Lm!;'", "Zq8kd92Lm!", id="in a connection string"),
        pytest.param("run --password=Zq8kd92Lmx", "Zq8kd92Lmx", id="on a command line"),
        pytest.param("'x-api-key: a8F3kd92mfQ0zL8s1Xb7'", "a8F3kd92mfQ0zL8s1Xb7", id="in a header"),
        pytest.param("u?token=a8F3kd92mfQ0zL8s1Xb7&n=1", "a8F3kd92mfQ0zL8s1Xb7", id="in a query"),
        pytest.param("<token>a8F3kd92mfQ0zL8s1Xb7</token>", "a8F3kd92mfQ0zL8s1Xb7", id="in an element"),
    ],
)
def test_keys(text: str, value: str) -> None:
    assert found(text) == [("key", value)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("if head == '-----BEGIN RSA PRIVATE KEY-----':", id="the head of a block alone"),
        pytest.param("AKIAIOSFODNN7EXAMPLE", id="the example of a manual"),
        pytest.param("postgresql://scott:tiger@localhost/test", id="a lower-case word as a password"),
        pytest.param("password = 'changeme'", id="a stand-in"),
        pytest.param("token = '3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34'", id="a UUID"),
        pytest.param("secret_sha1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'", id="a hash, by its name"),
        pytest.param("password = os.environ['DATABASE_PASSWORD2']", id="an expression"),
    ],
)
def test_no_keys(text: str) -> None:
    assert found(text) == []


def test_values_without_quotes_count_in_settings_only() -> None:
    line = "API_KEY=a8F3kd92mfQ0zL8s1Xb7"
    assert found(line, ".env") == [("key", "a8F3kd92mfQ0zL8s1Xb7")]
    assert found(line, "notes.rst") == []


def test_lock_files_are_full_of_hashes_but_may_hold_emails() -> None:
    text = '"token": "a8F3kd92mfQ0zL8s1Xb7", "author": "jane@acme.io"'
    assert found(text, "x/package-lock.json") == [("email", "jane@acme.io")]
    assert len(found(text, "x/package.json")) == 2


def test_what_two_rules_claim_is_one_key() -> None:
    text = "password = 'ghp_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uVwXy'"
    assert [(f.kind, f.value) for f in find_personal_data(text, "a.py")] == [("key", text[12:-1])]


def test_every_rule_has_a_name_of_its_own_and_a_source() -> None:
    assert len({rule.name for rule in KEY_RULES}) == len(KEY_RULES)
    assert all(rule.source for rule in KEY_RULES)
