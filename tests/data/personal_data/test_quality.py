"""Quality on planted truth: seeded samples in many notations, among lines that only look like personal data.

A finding counts as right when its kind and both ends are those of the planted value, to the character.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from daybreak_data.personal_data import find_personal_data

pytestmark = pytest.mark.slow


def words(text: str) -> list[str]:
    return text.split()


BASE62 = string.ascii_letters + string.digits
URL_SAFE = BASE62 + "-_"
HEX = "0123456789abcdef"
WORDS = words(
    """
    river orange planet winter garden silver monkey castle summer purple dragon coffee window bridge forest
    rocket guitar harbor meadow thunder pepper velvet canyon marble lantern
    """
)
NAMES = words("jane.doe ivan o.k maria-jose chen88 j_smith a.b.c support first.last+tag x1 bob 李雷wei zoe")
DOMAINS = words(
    """
    gmail.com acme-corp.io uni-bonn.de mail.ru foo.co.uk 163.com qq.com k8s.dev cs.stanford.edu corp.bigco.com.au
    users.noreply.github.com orange.fr naver.com startup.ai host-4.example-hosting.net
    """
)


@dataclass
class Planted:
    """One file that is being written, with the spans of what was planted in it."""

    path: str
    pieces: list[str] = field(default_factory=list)
    spans: set[tuple[str, int, int]] = field(default_factory=set)

    def line(self, template: str, value: str = "", kind: str = "") -> None:
        """Add a line; ``@@`` in the template is where the value goes; no kind means it is a hard negative."""
        before, _, after = template.partition("@@")
        start = sum(map(len, self.pieces)) + len(before)
        if kind:
            self.spans.add((kind, start, start + len(value)))
        self.pieces.append(f"{before}{value}{after}\n")

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def draw(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


# Emails -----------------------------------------------------------------------------------------------------

EMAIL_LINES = (
    '__author__ = "Somebody <@@>"',
    "# contact: @@",
    "# Ответственный: Жанна (@@)",
    " * @author Max Muster <@@>",
    "author_email='@@',",
    "email=@@",
    "mailto:@@?subject=hello",
    '<a href="mailto:@@">write us</a>',
    '"author": "\\u003c@@\\u003e"',
    'print("Hi\\n@@\\n")',
    "Signed-off-by: A B <@@>",
    "https://lists.acme.org/pipermail/@@",
    "Copyright (c) 2019, @@.",
    "emails: [@@, ",
    "联系@@。",
)
NOT_EMAILS = (
    "git clone git@github.com:owner/name.git",
    "background: url(icon@2x.png)",
    "background: url(sprite@1.5x.webp)",
    "@app.route('/x')",
    "@pytest.mark.slow",
    'user = "someone@example.com"',
    'to = "a@b.test", "root@localhost", "me@mail.example.org"',
    "npm install lodash@4.17.21 react@18.2.0",
    'import x from "https://cdn.jsdelivr.net/npm/vue@3.2.1/dist/vue.js"',
    "y = w@x.T + b@c.data",
    "postgres://reader@db.internal.acme.io/app",
    "return@forEach.value",
    'MAC = b"hmac-sha2-256-etm@openssh.com"',
    "rsync build deploy@web.acme.io:/var/www",
    "systemctl start getty@tty1.service",
    "ssh://git@gitlab.com/group/repo.git",
    "actions/checkout@v4.1.dev",
    "z = a@b.info()",
    "Foo@Bar.java:12",
)


def plant_emails(rng: random.Random, file: Planted) -> None:
    local, domain = rng.choice(NAMES), rng.choice(DOMAINS)
    cjk = sum(1 for c in local if ord(c) > 127)  # letters beyond ASCII are no part of a classic address
    value = f"{local}@{domain}"
    template = rng.choice(EMAIL_LINES).replace("@@", f"{value[:cjk]}@@")
    file.line(template, value[cjk:], "email")


# IP addresses -------------------------------------------------------------------------------------------------

IP_LINES = (
    'HOST = "@@"',
    "http://@@:8080/path",
    "ssh root@@@",
    "ping -c 3 @@",
    "nameserver @@",
    "allow from @@/24;",
    '("@@", 443),',
    "bind 0.0.0.0, connect to @@.",
    "Received: from mail ([@@]) by mx",
    '{"remote_addr": "@@"}',
    "server @@ weight=2;",
    "# reached @@ from the office",
    "A 3600 @@",
    "hosts: [@@]",
    "ip=@@&port=80",
    "https://ipinfo.io/ip/@@",
)
IPV6_LINES = ('HOST6 = "@@"', "http://[@@]:8080/", "AAAA @@", "allow @@/64;", "listen on @@ only", "addr: @@")
NOT_IPS = (
    '__version__ = "1.20.3.4"',
    "Mozilla/5.0 Chrome/91.0.4472.124 Safari/537.36",
    "pip install thing==12.4.13.1",
    'AssemblyVersion("4.12.7.91")',
    "release 10.4.12.33 fixed it",
    "bind 127.0.0.1, 0.0.0.0 and 192.168.1.17",
    "10.20.30.40 172.16.5.4 169.254.3.2 100.64.8.8",
    "use 8.8.8.8 or 1.1.1.1",
    "192.0.2.55 198.51.100.7 203.0.113.90",
    "255.255.255.0 224.0.0.251",
    'OID = "1.3.6.1.4.1.311.21.20"',
    'ObjectIdentifier("2.5.29.15")',
    "thing-3.14.15.92.tar.gz",
    "see section 12.34.5.6 of the standard",
    "v12.4.13.1-beta",
    "addr fe80::1 ::1 fd12:3456::1 2001:db8::17",
    "dns 2001:4860:4860::8888",
    "std::vector<std::pair<int,int>> a; time 12:30:45:99",
    "mac 20:4a:bc:de:f0:12",
    "999.300.2.1 and 1.2.3 and 01.02.03.04",
    "driver 27.20.100.8336",
    "1.2.3.4",
    "[3.6.12.4]",
    "// C++17 20.19.3.7",
    "upgrade from 1.21.4.2 to 1.25.3.1",
    "* $Id: list.c,v 1.67.1.1 2007/12/27 13:02:25 ada Exp $",
    "allow 85.214.0.0/16",
    "prefix 2a00:1450::/32",
    "l3.1 4.2c1.5 0 2.7.12 2.7.8.52 1.75.79.64 0 1.21",
    "auto value = 2000::abc;",
)


def public_ipv4(rng: random.Random) -> str:
    first = rng.choice([n for n in range(11, 224) if n not in {100, 127, 169, 172, 192, 198, 203}])
    return f"{first}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"


def public_ipv6(rng: random.Random) -> str:
    head = rng.choice(["2a00:1450", "2607:f8b0", "2a01:4f8", "2600:1f18", "2c0f:fb50"])
    groups = [f"{rng.randrange(1, 65536):x}" for _ in range(6)]
    if rng.random() < 0.5:
        return f"{head}:{':'.join(groups)}"
    return f"{head}:{':'.join(groups[:2])}::{groups[2]}"


def plant_addresses(rng: random.Random, file: Planted) -> None:
    if rng.random() < 0.25:
        file.line(rng.choice(IPV6_LINES), public_ipv6(rng), "ipAddress")
        return
    before, _, after = rng.choice(IP_LINES).rpartition("@@")
    value = public_ipv4(rng)
    start = sum(map(len, file.pieces)) + len(before)
    file.spans.add(("ipAddress", start, start + len(value)))
    file.pieces.append(f"{before}{value}{after}\n")


# Keys by their form -------------------------------------------------------------------------------------------


def json_web_token(rng: random.Random) -> str:
    def part(value: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    payload = part({"sub": draw(rng, string.digits, 10), "name": rng.choice(WORDS)})
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{payload}.{draw(rng, URL_SAFE, 43)}"


def pem(rng: random.Random) -> str:
    kind = rng.choice(["RSA ", "", "EC ", "OPENSSH ", "ENCRYPTED "])
    rows = [draw(rng, BASE62 + "+/", 64) for _ in range(rng.randrange(2, 26))]
    rows.append(draw(rng, BASE62 + "+/", rng.randrange(20, 60)) + "==")
    body = "\n".join([f"-----BEGIN {kind}PRIVATE KEY-----", *rows])
    return body if rng.random() < 0.3 else f"{body}\n-----END {kind}PRIVATE KEY-----"  # some are cut off


FORMED: tuple[Callable[[random.Random], str], ...] = (
    lambda r: r.choice(["AKIA", "ASIA"]) + draw(r, string.ascii_uppercase + "234567", 16),
    lambda r: r.choice(["ghp_", "gho_", "ghs_"]) + draw(r, BASE62, 36),
    lambda r: f"github_pat_{draw(r, BASE62, 22)}_{draw(r, BASE62, 59)}",
    lambda r: f"glpat-{draw(r, URL_SAFE, 20)}",
    lambda r: f"xoxb-{draw(r, string.digits, 12)}-{draw(r, string.digits, 12)}-{draw(r, BASE62, 24)}",
    lambda r: r.choice(["sk_live_", "rk_live_", "sk_test_"]) + draw(r, BASE62, 24),
    lambda r: f"AIza{draw(r, URL_SAFE, 35)}",
    lambda r: f"GOCSPX-{draw(r, URL_SAFE, 28)}",
    lambda r: f"npm_{draw(r, BASE62, 36)}",
    lambda r: f"pypi-AgEIcHlwaS5vcmc{draw(r, URL_SAFE, 140)}",
    lambda r: f"SG.{draw(r, URL_SAFE, 22)}.{draw(r, URL_SAFE, 43)}",
    lambda r: f"SK{draw(r, HEX, 32)}",
    lambda r: f"sk-{draw(r, BASE62, 20)}T3BlbkFJ{draw(r, BASE62, 20)}",
    lambda r: f"sk-proj-{draw(r, URL_SAFE, 80)}",
    lambda r: f"sk-ant-api03-{draw(r, URL_SAFE, 93)}",
    lambda r: f"hf_{draw(r, string.ascii_letters, 34)}",
    lambda r: f"dapi{draw(r, HEX, 32)}",
    lambda r: f"dop_v1_{draw(r, HEX, 64)}",
    lambda r: f"{draw(r, string.digits[1:], 9)}:AA{draw(r, URL_SAFE, 33)}",
    lambda r: f"shpat_{draw(r, HEX, 32)}",
    lambda r: f"hvs.{draw(r, URL_SAFE, 95)}",
    lambda r: f"{draw(r, HEX, 32)}-us{r.randrange(1, 22)}",
    lambda r: f"rubygems_{draw(r, HEX, 48)}",
    lambda r: f"glsa_{draw(r, BASE62, 32)}_{draw(r, HEX, 8)}",
    json_web_token,
    pem,
)
FORMED_LINES = (
    'key = "@@"',
    "export KEY=@@",
    "  - '@@',",
    "curl -H @@ https://api.acme.io",
    "/* @@ */",
    "{'k':'@@'}",
)
CONTEXTUAL = (
    ("postgresql://svc:@@@db.acme.io:5432/app", lambda r: draw(r, BASE62, 14)),
    ('url = "redis://:@@@cache:6379/0"', lambda r: draw(r, BASE62, 20)),
    ("https://build:@@@repo.acme.io/simple", lambda r: draw(r, BASE62, 16)),
    ("AccountName=acme;AccountKey=@@;", lambda r: draw(r, BASE62 + "+/", 86) + "=="),
    ('aws_secret_access_key = "@@"', lambda r: draw(r, BASE62 + "/+", 40)),
    (
        "hooks.slack.com/services/@@",
        lambda r: f"T{draw(r, HEX.upper(), 8)}/B{draw(r, HEX.upper(), 8)}/{draw(r, BASE62, 24)}",
    ),
    ("Authorization: Bearer @@", lambda r: draw(r, BASE62, 40)),
    ("machine api.acme.io login build password @@", lambda r: draw(r, BASE62, 12)),
    ("//npm.acme.io/:_authToken=@@", lambda r: draw(r, BASE62, 36)),
    ("_auth=@@", lambda r: base64.b64encode(draw(r, BASE62, 18).encode()).decode()),
    ("ada:@@", lambda r: f"$apr1${draw(r, BASE62, 8)}${draw(r, BASE62 + './', 22)}"),
    ("deploy:@@", lambda r: f"$2y$10${draw(r, BASE62 + './', 53)}"),
    ("curl -fsS -u deploy:@@ https://api.acme.io/x", lambda r: draw(r, BASE62, 14)),
    ("mysqldump -h db -u shop -p@@ shop > shop.sql", lambda r: draw(r, BASE62, 14)),
    (
        'headers["Authorization"] = "Basic @@"',
        lambda r: base64.b64encode(draw(r, BASE62, 26).encode()).decode(),
    ),
)
NOT_FORMED = (
    'AWS_KEY = "AKIAIOSFODNN7EXAMPLE"',
    'secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
    "if line == '-----BEGIN RSA PRIVATE KEY-----':",
    'HEADER = "-----BEGIN PRIVATE KEY-----\\n"',
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "sk_live_your_key_here_please_put_it",
    "postgresql://scott:tiger@localhost/test",
    "mysql://user:password@localhost/db",
    "amqp://guest:guest@localhost:5672//",
    "https://user:${PASSWORD}@repo.acme.io/simple",
    "redis://:<password>@cache:6379",
    "token = f'xoxb-{team}-{rest}'",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCoz\n-----END PUBLIC KEY-----",
    "eyJub3Rfand0IjoxfQ is one segment",
    "Authorization: Bearer <token>",
    'headers = {"Authorization": "Bearer your-access-token-here"}',
    "npm_config_registry npm_package_version npm_lifecycle_event_name_of_the_script_here",
    "machine localhost login me password secret",
    "//registry.npmjs.org/:_authToken=${NPM_TOKEN}",
    "curl -u username:password https://api.acme.io",
    "curl -u $USER:$TOKEN https://api.acme.io",
    "mysql -u root -p shop",
    "mysql -h db --port 3306 -p$MYSQL_PASSWORD",
    "htpasswd -c .htpasswd ada",
    "AKIAI44QH8DHBEXAMPLE",
    "TASK_SKELETON AIzaNotReallyAKeyBecauseShort hf_hub_download hf_transfer",
)


def plant_formed(rng: random.Random, file: Planted) -> None:
    if rng.random() < 0.25:
        template, make = rng.choice(CONTEXTUAL)
        before, _, after = template.partition("@@")
        value = make(rng)
        start = sum(map(len, file.pieces)) + len(before)
        file.spans.add(("key", start, start + len(value)))
        file.pieces.append(f"{before}{value}{after}\n")
        return
    make = rng.choice(FORMED)
    template = '"""\n@@\n"""' if make is pem else rng.choice(FORMED_LINES)
    file.line(template, make(rng), "key")


# Keys by the name they are set to -------------------------------------------------------------------------------

KEY_NAMES = words(
    """
    password passwd DB_PASSWORD db_pwd secret client_secret clientSecret api_key apiKey API_KEY SECRET_KEY
    access_token authToken auth_token private_key encryption_key jwt_secret smtpPassword adminPassword
    consumer_secret oauth_token_secret webhook_secret signing_key
    """
)
KEY_LINES = (
    '{n} = "@@"',
    "{n} = '@@'",
    '{n}: str = "@@"',
    "const {n} = '@@';",
    'let {n}: string = "@@";',
    'private static final String {n} = "@@";',
    '{n} := "@@"',
    '"{n}": "@@",',
    "'{n}' => '@@',",
    'os.environ["{n}"] = "@@"',
    "connect(host, {n}='@@')",
    'if {n} == "@@":',
    'config.{n} = "@@"',
    "<{n}>@@</{n}>",
    '{{ "{n}" : "@@" }}',
    "self.{n} = b'@@'",
    '#define {n} "@@"',
)
BARE_LINES = ("{n}=@@", "export {n}=@@", "{n}: @@", "  {n} = @@")


def random_secret(rng: random.Random) -> str:
    kind = rng.randrange(10)
    if kind < 4:
        return draw(rng, BASE62, rng.randrange(16, 49))
    if kind < 6:
        return draw(rng, HEX, rng.choice([20, 24, 32, 40, 48, 64]))
    if kind < 8:
        return base64.b64encode(rng.randbytes(rng.choice([16, 20, 24, 32]))).decode()
    word = rng.choice(WORDS)
    if kind == 8:
        return f"{word.capitalize()}{rng.randrange(10, 9999)}{rng.choice('!@#$%&*')}"
    return "-".join(rng.sample(WORDS, 3)) if rng.random() < 0.5 else f"{word}{rng.randrange(1000, 9999)}"


NOT_SECRETS = (
    'password = "changeme123!"',
    'password = "<your-password>"',
    'secret = os.environ["APP_SECRET"]',
    'api_key = "YOUR_API_KEY_HERE_123"',
    'token = "{{ .Values.token }}"',
    'password = "${DB_PASSWORD}"',
    'token_id = "3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34"',
    'secret_id = "3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34"',
    'token = "3f2b8c1e-9d47-4a6b-8f10-2c5e7d9a1b34"',
    'sha256_secret_hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
    'password_hash = "5f4dcc3b5aa765d61d8327deb882cf99"',
    'commit_token = "da39a3ee5e6b4b0d3255bfef95601890afd80709"',
    'csrf_token = "aZ81kQ03mXw92LpRt56yUj77"',
    'next_page_token = "CAoQAA3kdJ29fkLq82nZ"',
    'tokenizer = "bert-base-uncased-v2-finetuned"',
    'secret_name = "prod/database/replica2"',
    'password_field = "input#login-password-2"',
    'PASSWORD_RESET_URL = "/accounts/password/reset/2fa/"',
    "token: 'constant.numeric.float.js2',",
    'api_key_header = "X-Api-Key-V2-Header"',
    'access_key_path = "/etc/app/keys/access2.pem"',
    'password = getpass.getpass("Password 2 please")',
    'token = "Bearer"',
    'secret = "not-a-secret-just-some-words"',
    'integrity = "sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ"',
    'credentials = "same-origin"',
    'private_key = load("keys/rsa4096.pem")',
    'auth_token_type = "urn:ietf:params:oauth:token-type:jwt"',
    'password_regex = "^(?=.*[A-Z])(?=.*[0-9]).{8,}$"',
    'passwordLabel = "Mot de passe (8 caractères min.)"',
    'public_key_token = "b77a5c561934e089"',
)


def plant_assigned(rng: random.Random, file: Planted) -> None:
    name, value = rng.choice(KEY_NAMES), random_secret(rng)
    lines = BARE_LINES if file.path.endswith(".env") else KEY_LINES
    template = rng.choice(lines).format(n=name)
    file.line(template, value, "key")


PLANTS: dict[str, tuple[Callable[[random.Random, Planted], None], tuple[str, ...], str]] = {
    "email": (plant_emails, NOT_EMAILS, "email"),
    "ip address": (plant_addresses, NOT_IPS, "ipAddress"),
    "key by its form": (plant_formed, NOT_FORMED, "key"),
    "key by its name": (plant_assigned, NOT_SECRETS, "key"),
}


def planted_files(what: str, num_files: int, seed: int) -> list[Planted]:
    """Files of ten planted and ten hard negative lines each."""
    plant, negatives, _ = PLANTS[what]
    files = []
    for number in range(num_files):
        rng = random.Random(f"{what}/{seed}/{number}")
        file = Planted(rng.choice(["app.py", "a.ts", ".env"]) if what == "key by its name" else "app.py")
        for _ in range(10):
            plant(rng, file)
            file.line(rng.choice(negatives).replace("@@", "@"))
        files.append(file)
    return files


def measure(what: str, num_files: int, seed: int) -> tuple[float, float, list[str]]:
    """Precision, recall, and what went wrong (``+`` found without reason, ``-`` missed)."""
    kind = PLANTS[what][2]
    right = planted = found = 0
    wrong: list[str] = []
    for file in planted_files(what, num_files, seed):
        text = file.text
        hits = {(f.kind, f.start, f.end) for f in find_personal_data(text, file.path) if f.kind == kind}
        right += len(hits & file.spans)
        planted += len(file.spans)
        found += len(hits)
        wrong += [f"+ {text[max(0, s - 30) : e + 9]!r}" for _, s, e in hits - file.spans]
        wrong += [f"- {text[max(0, s - 30) : e + 9]!r}" for _, s, e in file.spans - hits]
    return right / found, right / planted, wrong


@pytest.mark.parametrize(
    ("what", "min_precision", "min_recall"),
    [
        pytest.param("email", 0.97, 0.98, id="emails"),
        pytest.param("ip address", 0.95, 0.95, id="ip addresses"),
        pytest.param("key by its form", 0.98, 0.98, id="keys with a form of their own"),
        pytest.param("key by its name", 0.80, 0.65, id="secrets told by their name"),
    ],
)
def test_planted_personal_data_is_found_and_look_alikes_are_not(
    what: str, min_precision: float, min_recall: float
) -> None:
    precision, recall, wrong = measure(what, num_files=150, seed=0)
    print(f"{what}: precision {precision:.3f}, recall {recall:.3f}")
    assert precision >= min_precision, wrong[:40]
    assert recall >= min_recall, wrong[:40]
