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
        pytest.param("Jo <71755.204@CompuServe.com>", "71755.204@CompuServe.com", id="of CompuServe"),
        pytest.param("x@163.com", "x@163.com", id="at a provider with a number for a name"),
        pytest.param("jürgen@acme.de", "jürgen@acme.de", id="with letters with marks"),
        pytest.param("by René.Łuk@acme.fr.", "René.Łuk@acme.fr", id="with more of them"),
        pytest.param("info@bücher.de", "info@bücher.de", id="in a domain with marks"),
        pytest.param("(иван@почта.com)", "иван@почта.com", id="in another alphabet"),
        pytest.param("to%20ada@acme.de", "ada@acme.de", id="behind an escaped blank"),
    ],
)
def test_emails(text: str, value: str) -> None:
    assert found(text) == [("email", value)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("git@github.com:me/it.git", id="a git remote"),
        pytest.param("git@github.com URLs, git@gitlab.acme.io too", id="a forge's user in prose"),
        pytest.param("git clone aur@aur.acme.io:$NAME", id="a remote with a variable"),
        pytest.param("/%09//jane@acme.io/..", id="the user of a URL without scheme"),
        pytest.param("<14026.1184992338@s076.acme.io>", id="the number of a message"),
        pytest.param("Message-Id: <201009220730.o8M7Urh3018@acme.io>", id="the number that sendmail gives"),
        pytest.param("Content-ID: <image7@acme.io>", id="the name of a part"),
        pytest.param("aes256-cbc,rijndael-cbc@lysator.liu.se", id="an algorithm of SSH"),
        pytest.param("lkml/20121022080525.GB2198@acme.io/", id="the time of a message"),
        pytest.param("<384a86a39e83be0d9b3a94d1feb3119f@acme.io>", id="the hash of a message"),
        pytest.param("<6e99e34d-e20a-80c4-ea61-d8234b612be9@acme.io>", id="the UUID of a message"),
        pytest.param("scp f me@host.acme.io:/tmp", id="a remote path"),
        pytest.param("ssh: wp@staging.acme.io:2222\nssh -p 22 wp@acme.io", id="a login"),
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
        pytest.param("user%04d@acme.de", id="a format for many addresses"),
        pytest.param("%s@acme.de u%d@acme.de", id="other formats"),
        pytest.param("${name}@acme.de {}x@acme.de", id="a template of an address"),
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
        pytest.param("93.184.216.34/24", "93.184.216.34", id="a machine with its network"),
        pytest.param("93.184.216.34/32", "93.184.216.34", id="a network of one machine"),
        pytest.param("at 5.9.12.7:8080", "5.9.12.7", id="small numbers with a port"),
        pytest.param('remote_ip, "5.9.12.7"', "5.9.12.7", id="small numbers, called remote"),
        pytest.param("0.003 93.184.216.34 200", "93.184.216.34", id="among the numbers of a log"),
        pytest.param("[93.184.216.34]", "93.184.216.34", id="in brackets"),
        pytest.param("::ffff:93.184.216.34", "93.184.216.34", id="mapped into IPv6"),
        pytest.param(r"a\n93.184.216.34", "93.184.216.34", id="after an escaped end of line"),
        pytest.param(r"\nntp server 93.184.216.34\nntp", "93.184.216.34", id="in an escaped line"),
        pytest.param("server 5.9.12.7 timed out", "5.9.12.7", id="small numbers behind a word of networks"),
        pytest.param("host 1.2.3.4", "1.2.3.4", id="small numbers, called a host"),
        pytest.param("[2a00:1450:4001::200e]:443", "2a00:1450:4001::200e", id="IPv6 in brackets"),
        pytest.param("at 2a00:1450:4001:1:2:3:4:5: up", "2a00:1450:4001:1:2:3:4:5", id="IPv6 before a colon"),
        pytest.param("www.acme.io. 0 IN A 1.2.3.4", "1.2.3.4", id="of a record of DNS"),
        pytest.param('getaddrinfo("1.2.3.4", "80")', "1.2.3.4", id="of a call that looks one up"),
        pytest.param("[2607:f0d0:1002:51:4::]", "2607:f0d0:1002:51:4::", id="a machine that ends in colons"),
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
        pytest.param('{ "9.9.9.11", "149.112.112.11" }, "8.26.56.26"', id="more of them"),
        pytest.param("198.12.120.0-198.12.122.255 8.17.250.0 - 8.17.252.255", id="a range of networks"),
        pytest.param('"subnet": "93.184.216.0"', id="a network by its name"),
        pytest.param("Also note §12.6.4.2:1065, of the host", id="behind a section's sign"),
        pytest.param("network ^>= { 2.6.3.6, 2.7.0.2, 3.0.1.0 }", id="versions in braces behind a bound"),
        pytest.param('<li><a><span class="secno">3.2.5.3 </span> Hosts</a>', id="a section of a W3C page"),
        pytest.param("must have a host header. (RFC7540 8.1.2.3, RFC7230 5.4)", id="a section of an RFC"),
        pytest.param(
            "program files\\sentinel agent 93.184.216.34\\inprocess.dll", id="a folder with a version"
        ),
        pytest.param(
            '"[MS-RDPEFS] 2.2.2.4 Client Name Request (DR_CORE)"', id="a section of a named document"
        ),
        pytest.param("/* 2.2.1.18 Client Font List PDU */", id="a heading with a word of networks"),
        pytest.param("# 2.3.10.7 Ensure 'Network access: Remotely'", id="a heading with a word in quotes"),
        pytest.param("[CIS - Windows Server - 18.9.75.1: Ensure 'Sign-in']", id="a heading inside brackets"),
        pytest.param(
            "Oracle GlassFish Server 3.1.2.14\nProcess Software SSH 6.1.5.0 MultiNet",
            id="versions of servers",
        ),
        pytest.param('os.version="5.5.31.6">foo4 FTP server (EMC:5.5.31.6)', id="a version said once"),
        pytest.param("2.2.5.2 Server Status Info", id="small numbers before a word with a capital"),
        pytest.param("209.244.0.3", id="a resolver of Level 3"),
        pytest.param("See MS-ADTS 2.2.21 and MS-DRSR 2.2.4.2.", id="sections of named documents"),
        pytest.param("// Per 8.1.2.5 of the server", id="a section that is followed"),
        pytest.param('oidToNames["2.23.42.3"]', id="an identifier in a table of them"),
        pytest.param('"NETWORK_ADDRESS": "185.113.5.0"', id="the address of a network"),
        pytest.param("192.88.99.2", id="a relay of 6to4"),
        pytest.param('szOID_POSTAL_ADDRESS = "2.5.4.16"', id="an identifier of an address"),
        pytest.param(
            "Fixes the crash of nodes introduced in 3.1.44.0.", id="a version that changed something"
        ),
        pytest.param("5.10.5.6.\u00a0http_client_body", id="a numbered heading with a name in it"),
        pytest.param("# 3.1.3.6. ID Token, https://a.io", id="a numbered heading"),
        pytest.param("- Bump types-setuptools from 65.5.0.3 to 65.6.0.1.", id="one version after another"),
        pytest.param(
            "denied=2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", id="the ends of a network of IPv6"
        ),
        pytest.param("in the form 93.184.216.0/255.255.255.0", id="a network with its mask"),
        pytest.param('route_add("93.184.216.0", 24)', id="a network and its length, two arguments"),
        pytest.param("http://192.0.0.192/latest/", id="of a protocol of IETF's"),
        pytest.param("fe80::1 fd00::1 ::1 ff02::fb", id="IPv6 that is not global"),
        pytest.param("version = 1.20.30.40", id="a version"),
        pytest.param("Chrome/91.0.4472.124", id="a product"),
        pytest.param("1.3.6.1.4.1", id="an object identifier"),
        pytest.param("'2.5.29.15'", id="the arc of a certificate extension"),
        pytest.param("lib-3.14.15.92.so", id="a file"),
        pytest.param("x==12.4.13.1", id="a pinned requirement"),
        pytest.param("[3.6.12.4]", id="a section in brackets"),
        pytest.param("from 1.21.4.2 to 1.25.3.1", id="two versions"),
        pytest.param("// C++17 20.19.3.7", id="a section of a standard"),
        pytest.param("4.6.0.0", id="a version of an assembly"),
        pytest.param("// C11 7.22.1.4/3 says", id="a paragraph of a section"),
        pytest.param("// 7.21.6.1 The fprintf function", id="a heading"),
        pytest.param("$Id: x.c,v 1.67.1.1 2007/12/27 $", id="a revision of RCS"),
        pytest.param(
            "/* $FreeBSD: src/sys/x.h,v 1.210.12.92 1999/08/29 $ */", id="a revision with great numbers"
        ),
        pytest.param("(3.17.0.3) 5.38.0.1 8.2.4.42", id="versions without the word"),
        pytest.param("85.214.0.0/16 93.184.216.0/24 2a00:1450::/32", id="networks"),
        pytest.param("between 64.13.0.0 and 64.13.255.255", id="the ends of a network"),
        pytest.param(
            "upstream V8 is at 12.4.254.21 and Node.js is at 12.4.254.14", id="products of four numbers"
        ),
        pytest.param('d="M9 3.1-.4 1.2 2.654.318 3.176.82.84 1.3 1.9z"', id="a drawing with three decimals"),
        pytest.param('d="M1.8 2.37c.8.52 1.75.79 2.87.79.64 0 1.21-.08"', id="a drawing"),
        pytest.param("auto x = 2000::abc; y = 2001::a0();", id="names in a scope"),
        pytest.param("300.1.2.3 1.2.3 01.2.3.4", id="no addresses at all"),
        pytest.param("12:30:45 20:4a:bc:de:f0:12 2001:12", id="times and hardware addresses"),
        pytest.param("as in OpenID Connect Core 3.1.2.1)", id="a section of a standard"),
        pytest.param(
            "d='M3.1 4.2c1.5 0 2.7.12 2.7.8.52 1.75.79.64 0 1.21'", id="a drawing, after four numbers in one"
        ),
        pytest.param("REPORT==== 10-Mar-2016::16:13:54 ===", id="a year and a time"),
        pytest.param('"39e1:f90e::"', id="the base of an IPv6 network"),
        pytest.param("match(2607:f0d0:1002:51::)", id="of one of 64 bits"),
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
        pytest.param(
            'k = "' + PEM.replace("\n", "\\r\\n") + '-----END RSA PRIVATE KEY-----"',
            PEM.replace("\n", "\\r\\n") + "-----END RSA PRIVATE KEY-----",
            id="a block in one line with escaped ends of lines",
        ),
        pytest.param(
            'newKey = "q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w="',
            "q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w=",
            id="256 bits in base64",
        ),
        pytest.param(
            "secret: 'KZQXE33NMU2GSZLTORUW4ZZAMRXW4ZJB'",
            "KZQXE33NMU2GSZLTORUW4ZZAMRXW4ZJB",
            id="for an authenticator",
        ),
        pytest.param(
            'consumerKey = "8Xv0Qz2LpR5sT9wYbNcM4dKfH"', "8Xv0Qz2LpR5sT9wYbNcM4dKfH", id="of OAuth 1"
        ),
        pytest.param(
            "log in with s.Zq7Lw2Xb9Rt4Vn8Kc3Mp6Hd1", "s.Zq7Lw2Xb9Rt4Vn8Kc3Mp6Hd1", id="an old token of Vault"
        ),
        pytest.param("redis://:p4ssW0rdX9@cache", "p4ssW0rdX9", id="the password of a URL"),
        pytest.param('put("password", "Zq8kd92Lm")', "Zq8kd92Lm", id="behind a comma"),
        pytest.param("password = 'hunter2!'", "hunter2!", id="a chosen password"),
        pytest.param(
            "PrivateKey: q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w=",
            "q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w=",
            id="of WireGuard, in any file",
        ),
        pytest.param(
            "peer_preshared_key = q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gQBar/iO2kX8w=",
            "q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gQBar/iO2kX8w=",
            id="of two peers, with a short word in it by chance",
        ),
        pytest.param(
            "client_secret='3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34'",
            "3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34",
            id="a UUID that is called a secret",
        ),
        pytest.param(
            '<machineKey decryptionKey="8F41C7B2A9E05D36F7B184C02E9A6D53F18B07C4" />',
            "8F41C7B2A9E05D36F7B184C02E9A6D53F18B07C4",
            id="of ASP.NET",
        ),
        pytest.param(
            "APP_KEY=base64:q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w=",
            "base64:q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w=",
            id="of Laravel",
        ),
        pytest.param('api_key: str = "a8F3kd92mfQ0zL8s1Xb7"', "a8F3kd92mfQ0zL8s1Xb7", id="a random key"),
        pytest.param(
            "api_key = x.KEY || 'a8F3kd92mfQ0zL8s1Xb7'", "a8F3kd92mfQ0zL8s1Xb7", id="in place of a variable"
        ),
        pytest.param("'db=x;password=Zq8kd92Lm!;'", "Zq8kd92Lm!", id="in a connection string"),
        pytest.param("run --password=Zq8kd92Lmx", "Zq8kd92Lmx", id="on a command line"),
        pytest.param("'x-api-key: a8F3kd92mfQ0zL8s1Xb7'", "a8F3kd92mfQ0zL8s1Xb7", id="in a header"),
        pytest.param("u?token=a8F3kd92mfQ0zL8s1Xb7&n=1", "a8F3kd92mfQ0zL8s1Xb7", id="in a query"),
        pytest.param("machine h.io login me password kX9!wq2Z", "kX9!wq2Z", id="in .netrc"),
        pytest.param("machine h.io\n  login me\n  password kX9!wq2Z\n", "kX9!wq2Z", id="in .netrc, on lines"),
        pytest.param("_auth=bWU6cTl3M2U3cjE=", "bWU6cTl3M2U3cjE=", id="in .npmrc"),
        pytest.param("//r.acme.io/:_password=cTl3M2U3cjE5", "cTl3M2U3cjE5", id="in .npmrc, of a registry"),
        pytest.param(
            "ada:$apr1$k9Zq1w$" + "aB3" * 7 + "c", "$apr1$k9Zq1w$" + "aB3" * 7 + "c", id="in .htpasswd"
        ),
        pytest.param(
            "ada:$2y$05$" + "k9Zq1wB7xR4m" * 4 + "Tu3Ac",
            "$2y$05$" + "k9Zq1wB7xR4m" * 4 + "Tu3Ac",
            id="in .htpasswd, by another method",
        ),
        pytest.param("curl -s -u ada:kX9wq2Zt https://a.io", "kX9wq2Zt", id="of curl"),
        pytest.param("curl --user 'ada:kX9wq2Zt' https://a.io", "kX9wq2Zt", id="of curl, in quotes"),
        pytest.param("mysql -u root -pkX9wq2Zt shop < x.sql", "kX9wq2Zt", id="of mysql"),
        pytest.param("mysqldump -pkX9wq2Zt shop", "kX9wq2Zt", id="of mysqldump"),
        pytest.param("sshpass -p kX9wq2Zt ssh web", "kX9wq2Zt", id="of sshpass"),
        pytest.param(
            "see " + "AKIA" + "ABCDEFGHIJKLMNOP" + " there", "AKIA" + "ABCDEFGHIJKLMNOP", id="an id alone"
        ),
        pytest.param("<token>a8F3kd92mfQ0zL8s1Xb7</token>", "a8F3kd92mfQ0zL8s1Xb7", id="in an element"),
        pytest.param(
            "'ClientSecret'              => 'aae053a9-4abf-4824-8956-e94b2af335c8',",
            "aae053a9-4abf-4824-8956-e94b2af335c8",
            id="behind an arrow in a column",
        ),
    ],
)
def test_keys(text: str, value: str) -> None:
    assert found(text) == [("key", value)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("if head == '-----BEGIN RSA PRIVATE KEY-----':", id="the head of a block alone"),
        pytest.param("AKIAIOSFODNN7EXAMPLE", id="the example of a manual"),
        pytest.param(
            "gpg --export-secret-subkeys 2EFA66D0785C31F956F2F87EA0B5CA1A4E086839", id="a fingerprint"
        ),
        pytest.param('--from-file=credentials.json="our-4x9e35d85a593.json"', id="where a secret lies"),
        pytest.param("mysql -uuser -p(read); mysql -p(read --silent)", id="what the shell asks for"),
        pytest.param(
            "salt_pkg_hash = 'sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'",
            id="the sum of a download",
        ),
        pytest.param("AKIAI44QH8DHBEXAMPLE ASIAXXXXXXXXXXXXXXXX", id="more examples of manuals"),
        pytest.param(
            "curl -u user:password https://a.io; curl -u $USER:$PASS x; curl -u me:secret x", id="of curl"
        ),
        pytest.param("mysql -u root -p shop; mysql -p$PASSWORD; mysql --port=3306 -ppassword", id="of mysql"),
        pytest.param("machine h.io login me password secret", id="the word of a manual in .netrc"),
        pytest.param("//registry.acme.io/:_authToken=${NPM_TOKEN}", id="a variable in .npmrc"),
        pytest.param('<a class="token" href="#/s:9Alamofire10HTTPMethodV3getACvpZ">get</a>', id="a link"),
        pytest.param('name="authenticity_token" value="R4quRuXQAq75TyWpSf8AwRyLt"', id="a token of one form"),
        pytest.param(
            "ftp://anonymous:open%20sesame@a.io http://user:pass;word@h.io", id="words with escapes"
        ),
        pytest.param(
            "'xoxb-my-bot-token' http://a:c%0D%0Ad@host http://t:pass;auth=NTLM@h.io", id="of tests"
        ),
        pytest.param("default login anonymous password user@domain", id="of anonymous users"),
        pytest.param("postgresql://scott:tiger@localhost/test", id="a lower-case word as a password"),
        pytest.param("password = 'changeme'", id="a stand-in"),
        pytest.param(
            "'accessToken': 'AQBlahBlah7rCdu9mBlahBlah5dKYwp3x'", id="a stand-in in words of no meaning"
        ),
        pytest.param('matches(password, "$2a$10$invalid")', id="a value that says it is none"),
        pytest.param('newSecretKey("PBKDF2WithHmacSHA256", 1)', id="an algorithm"),
        pytest.param("SECRET_KEY, 'HmacSHA512'", id="a hash for messages"),
        pytest.param('secret_key("AES/CBC/PKCS5Padding")', id="a cipher with its mode"),
        pytest.param('client_secret = "RSA-OAEP-256+A128GCM"', id="an algorithm of JWE"),
        pytest.param("token = '3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34'", id="a UUID"),
        pytest.param("secret_sha1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'", id="a hash, by its name"),
        pytest.param(
            "equal(hmac('password'), '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08')",
            id="a keyed hash",
        ),
        pytest.param(
            "TokenAddress = '0x7fC2a5b9D31e84F0a6c7B8d9E1f20a3B4c5D6e7F'", id="an address on Ethereum"
        ),
        pytest.param(
            "privateKey: '0x7fC2a5b9D31e84F0a6c7B8d9E1f20a3B4c5D6e7F'", id="an address in the place of a key"
        ),
        pytest.param("secret: 'ZXhhbXBsZS1hcHAtc2VjcmV0'", id="a stand-in in base64"),
        pytest.param("password = 'this_is_n0t_the_One_to_use'", id="a sentence"),
        pytest.param(
            "https://hooks.slack.com/services/T123456789/B123456789/1a2b3c4d5e6f7g8h9i0j1k2l",
            id="a counted webhook",
        ),
        pytest.param("http://user%20name:pass%2B@localhost", id="a word with an escape behind"),
        pytest.param(
            'peerPublicKey = "q9Lf0ZxK3sW8vB2nT6yR1mC5jH7dP4gA0eU+iO/kX8w="', id="a key for everybody"
        ),
        pytest.param("s.isVeryLongAttributeName2x and s.computedStyleOfElement0", id="attributes"),
        pytest.param(
            "'kdf': {'n': 8, 'salt': '31aa4c50f62b54b4e4bf0a1f6ff38ef8bcc3902ab309533037e96ff60ecfd4a6'}",
            id="a salt beside a hash",
        ),
        pytest.param("<MasterKeyChanged>2012-04-05T17:09:34Z</MasterKeyChanged>", id="a date"),
        pytest.param('secret.replace("period=30", "period=90000")', id="a name and a value"),
        pytest.param(
            "access_token: 'eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9'", id="the head of a web token alone"
        ),
        pytest.param('passwordEncoder = "org.acme.Encoder2Impl"', id="a class"),
        pytest.param('$options["password"] = "$value[0]:$value[1]";', id="values that are put in"),
        pytest.param("clientSecret = 'RANDOMCHARS-----lGyjPcRtvP'", id="a stand-in for random letters"),
        pytest.param("secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'", id="digits in a row, in base32"),
        pytest.param(
            'secret = "c2VjcmV0dGhpcnR5dHdvYnl0ZXMrYWJjZGVmZ2hpams"',
            id="a stand-in in base64 without its end",
        ),
        pytest.param(
            'token = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." +', id="the head of a web token and its dot"
        ),
        pytest.param("ACCESS_TOKEN='DMS_YWNjZXNzX3Rva2Vu'", id="a stand-in in base64 behind a head"),
        pytest.param("password == 'SCRV1:Y3Bhc3N3b3Jk:Y2hhbGxlbmdl'", id="stand-ins in base64, joined"),
        pytest.param('f.write("machine a.io login me password pass\\n")', id="the word of a manual, written"),
        pytest.param("Authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l", id="the header of the standard"),
        pytest.param('"Authorization", "Basic Z3JlcHRpbWVfdXNlcjpncmVwdGltZV9wd2Q="', id="words in a header"),
        pytest.param('"secret": "JBSWY3DPEHPK3PXP"', id="the secret of every manual"),
        pytest.param('re.run(Password, "[^\\\\x00-\\\\x7F]+")', id="a class of characters"),
        pytest.param('secret("@/no/such/file.p8")', id="a file that is read"),
        pytest.param(
            'token = "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoidGVzdF91c2VyIn0."', id="an unsigned token"
        ),
        pytest.param('cookie-secret: "000102030405060708090a0b0c0d0e0f"', id="bytes that count up"),
        pytest.param(
            '"api-token": "tk-a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"', id="letters and digits that count up"
        ),
        pytest.param('String sudo2Pwd = "sudo2Pwd"', id="the name of it again"),
        pytest.param('glyph-name="user-secret" unicode="&#xf21b;"', id="a character by its number"),
        pytest.param("passwordUtility.output.label=Sa\\u00edda", id="a word with an escaped letter"),
        pytest.param('"recoveryPassword": "cmVjb3Zlcnk="', id="a word in base64"),
        pytest.param('api.password: "y0uRp4$$w0rD"', id="your password, in digits for letters"),
        pytest.param('enc_secret = "fedcba9876543210fedcba9876543210"', id="digits that count down"),
        pytest.param('secret: "31d6cfe0d16ae931b73c59d7e0c089c0"', id="the hash of nothing"),
        pytest.param("['DatabaseCredentials', 'S3StagingLocation', 'Role']", id="the next name of a list"),
        pytest.param('kpasswd("User1@domain.local")', id="a user in a domain"),
        pytest.param("Credential.data == b'1h\\x8d\\xb8\\xf4zH\\xaf'", id="bytes"),
        pytest.param('idTokenSignature = "Rh0zQGhWAm-2hn5JTWB3Lzuk9Ahpzs7As7ks"', id="a signature"),
        pytest.param("-H 'Authorization: Basic bG9naW46c2VjcmV0X3Bhc3N3b3Jk'", id="a stand-in in a header"),
        pytest.param("public key token = 'a8F3kd92mfQ0zL8s1Xb7'", id="what is public"),
        pytest.param("password = os.environ['DATABASE_PASSWORD2']", id="an expression"),
        pytest.param("_password = FocusNode();", id="a private name of a program"),
        pytest.param('nsec3param_salt_new="573461ade8fcdabb"', id="a salt that DNS publishes"),
        pytest.param("auth_passwdqc_options='min=disabled,16,12,8'", id="options of passwords"),
        pytest.param(
            "docsearch({apiKey: 'cb93c14bebd90678e789c946d95ea94d', indexName: 'a'})",
            id="the key of a search in a page",
        ),
    ],
)
def test_no_keys(text: str) -> None:
    assert found(text) == []


def test_values_without_quotes_count_in_settings_and_as_documents_show_them() -> None:
    line = "API_KEY=a8F3kd92mfQ0zL8s1Xb7"
    for path in (".env", "pillar.example", "app.ini.dist", "docs/setup.rst"):
        assert found(line, path) == [("key", "a8F3kd92mfQ0zL8s1Xb7")], path
    assert (
        found("run it with API_KEY=a8F3kd92mfQ0zL8s1Xb7 or\nAPI_KEY=the-key-of-yours-here", "docs/a.md") == []
    )


def test_a_value_ends_before_what_escapes_the_quote_behind_it() -> None:
    text = r'{"line": "config.cmd --token a8F3kd92mfQ0zL8s1Xb7\""}'
    assert found(text, "a.json") == [("key", "a8F3kd92mfQ0zL8s1Xb7")]


def test_numbers_of_a_lock_file_are_versions_but_in_urls() -> None:
    text = "    language_server-protocol (3.17.0.5)\n  remote: http://85.214.132.117/gems\n"
    assert [(f.kind, f.value) for f in find_personal_data(text, "a/Gemfile.lock")] == [
        ("ipAddress", "85.214.132.117")
    ]
    assert found("token.help=Pap\\u00e9is/grupos", "messages_pt.properties") == []
    assert not find_personal_data("server-protocol (~> 3.17.0.5)\n", "a.gemspec")


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
