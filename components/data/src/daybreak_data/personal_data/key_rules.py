"""Keys that show by their form what they are: one row per token format.

Data only: the head that the gate automaton looks for, the whole pattern (group 1, if any, is the secret), the
least Shannon entropy per character, and where the issuer describes the format. Patterns are our own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One token format; ``min_entropy`` in bits per character of the secret part."""

    name: str
    head: str
    pattern: str
    min_entropy: float
    source: str


_FIRST_CLASS = re.compile(r"(?P<set>\[[^\]]+\])(?:\{(?P<least>[0-9]+))?")
_START = r"(?:^|[^A-Za-z0-9_])"
_WORD = r"[A-Za-z0-9_\-]"

# Between pieces of a key that is spread over the lines of a string literal or a comment: one end of line at most.
_EDGE = r"(?:[ \t\"'`+,;\\#*|>]|\\[rn]){0,80}"
_GAP = rf"{_EDGE}(?:\r?\n{_EDGE})?"
_PEM_LABEL = r"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_PEM_HEADERS = (
    r"(?:(?:[\s\"'`+,;#*|>]|\\[nr]){0,60}"
    r"(?:Proc-Type: ?[0-9],[A-Z]+|DEK-Info: ?[A-Z0-9\-]+,[0-9A-Fa-f]+|Version: [A-Za-z0-9.() ]+"
    r"|Comment: [ -!#-\[\]-~]+))*"
)
_PEM = (
    rf"-----BEGIN {_PEM_LABEL}{_PEM_HEADERS}"
    rf"{_GAP}{_GAP}[A-Za-z0-9+/]{{24,}}={{0,2}}(?:{_GAP}[A-Za-z0-9+/]{{16,}}={{0,2}})*"
    rf"(?:(?:{_GAP}[A-Za-z0-9+/=]+){{0,3}}{_GAP}-----END {_PEM_LABEL}|\s*[A-Za-z0-9+/]{{1,15}}={{0,2}}\s*\z)?"
)
_SCHEMES = (
    r"(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqp|amqps|mssql|oracle|sqlserver|clickhouse"
    r"|cockroachdb|couchdb|ldap|ldaps|smtp|smtps|imap|ftp|ftps|sftp|ssh|https?|cassandra|neo4j|bolt|nats|mqtt|kafka"
    r"|elasticsearch|db2|snowflake|redshift)"
)


def _prefixed(name: str, prefix: str, body: str, source: str, min_entropy: float = 3.0) -> KeyRule:
    """A token made of a fixed prefix and a body; it ends where a longer word would go on."""
    return KeyRule(name, f"{prefix}{_head_of(body)}", rf"{_START}({prefix}{body})", min_entropy, source)


def _head_of(body: str) -> str:
    """The first class of a body, up to four characters of it: enough to keep the gate shut on prose."""
    first = _FIRST_CLASS.match(body)
    return first["set"] * min(4, int(first["least"] or 1)) if first else ""


KEY_RULES: tuple[KeyRule, ...] = (
    KeyRule("private-key", "PRIVATE KEY", _PEM, 0.0, "RFC 7468, RFC 1421, RFC 9580"),
    KeyRule(
        "url-password",
        r"[a-z0-9]://[^\s/\"'@]*:[^\s\"'@/]+@",
        rf"\b{_SCHEMES}(?:\+[a-z0-9]+)?://[A-Za-z0-9_.%+\-]*:([A-Za-z0-9!$%^&*()_+=,.~;#?|\-]{{6,128}})@[A-Za-z0-9\[]",
        2.5,
        "RFC 3986 3.2.1",
    ),
    KeyRule(
        "netrc-password",
        r"(?i)login\s+\S+\s+password\s",
        r"\b(?i:machine\s+\S+|default)\s+(?i:login)\s+\S+\s+(?i:password)\s+([!-~]{4,128})",
        2.0,
        "GNU inetutils manual, .netrc",
    ),
    KeyRule(
        "npmrc-credential",
        r"_(?:auth|authToken|password)[ \t]*=",
        r"(?:^|[\s:/])_(?:auth|authToken|password)[ \t]*=[ \t]*[\"']?([A-Za-z0-9+/=_.\-]{8,512})",
        2.5,
        "npm docs, .npmrc",
    ),
    KeyRule(
        "htpasswd-entry",
        r":(?:\$(?:apr1|2[abxy]|[156])\$|\{SHA\})",
        r"(?:^|[\n\"'`/ \t])[A-Za-z0-9_.@\-]{1,64}:(\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"
        r"|\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
        r"|\$[156]\$(?:rounds=[0-9]{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{22,86}|\{SHA\}[A-Za-z0-9+/]{27}=)",
        3.0,
        "Apache HTTP Server docs, password formats; crypt(5)",
    ),
    KeyRule(
        "curl-user",
        r"(?:-u|--user|--proxy-user|-U)[ =]?[\"']?[^\s:\"']{1,64}:[^\s]",
        r"\bcurl\b[^\n|;&]{0,200}?[ \t](?:-u|--user|--proxy-user|-U)[ =]?[\"']?[A-Za-z0-9_.@+%\-]{1,64}"
        r":([!#-&(-.0-:<-{}~]{4,128})",
        2.0,
        "curl manual, --user",
    ),
    KeyRule(
        "mysql-password",
        r"(?:mysql|mariadb)[a-z]*[ \t][^\n]*-p[^\s]",
        r"\b(?:mysql|mysqldump|mysqladmin|mysqlimport|mysqlshow|mysqlcheck|mariadb|mariadb-dump)"
        r"(?:[ \t]+[^\s|;&]+){0,12}?[ \t]+-p[\"']?([!#-&*-:<-{}~][!#-&(-:<-{}~]{3,63})",
        2.0,
        "MySQL reference manual, connection options",
    ),
    KeyRule(
        "sshpass-password",
        r"sshpass[ \t]+-p",
        r"\bsshpass[ \t]+-p[ \t]?[\"']?([!#-&(-:<-{}~]{4,64})",
        2.0,
        "sshpass(1)",
    ),
    KeyRule(
        "json-web-token",
        r"eyJ[A-Za-z0-9_\-]{6}",
        rf"{_START}(eyJ[A-Za-z0-9_\-]{{10,}}\.eyJ[A-Za-z0-9_\-]{{10,}}\.[A-Za-z0-9_\-]{{16,}})",
        3.5,
        "RFC 7519",
    ),
    KeyRule(
        "aws-access-key-id",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{6}",
        rf"{_START}((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{16}})",
        3.0,
        "AWS IAM user guide, unique identifiers",
    ),
    KeyRule(
        "aws-secret-access-key",
        r"(?i)(?:aws|secret|access).{0,20}key",
        r"(?i:(?:aws|secret|access)[a-z0-9_.\-]{0,24}key)[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4}[\"'`]?"
        r"([A-Za-z0-9/+]{40})",
        4.0,
        "AWS security credentials",
    ),
    _prefixed("github-token", "gh[pousr]_", "[A-Za-z0-9]{36,255}", "GitHub, token formats of 2021"),
    _prefixed("github-fine-grained-token", "github_pat_", "[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", "GitHub docs"),
    _prefixed(
        "gitlab-token", "gl(?:pat|dt|rt|ptt|cbt|soat|ft|imt|agent)-", rf"{_WORD}{{20,64}}", "GitLab docs"
    ),
    _prefixed("slack-token", "xox[abeoprs]-", r"[0-9A-Za-z\-]{12,250}", "Slack docs, token types"),
    _prefixed("slack-app-token", "xapp-", r"[0-9]-[A-Z0-9]+-[0-9]+-[a-f0-9]{32,64}", "Slack docs"),
    KeyRule(
        "slack-webhook",
        r"hooks\.slack\.com/",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9_/]{30,120})",
        3.0,
        "Slack docs, incoming webhooks",
    ),
    _prefixed("stripe-key", "[sr]k_(?:live|test|prod)_", "[A-Za-z0-9]{16,247}", "Stripe docs, API keys"),
    _prefixed("stripe-webhook-secret", "whsec_", "[A-Za-z0-9+/]{32,64}", "Stripe docs, webhooks"),
    _prefixed("google-api-key", "AIza", rf"{_WORD}{{35}}", "Google Cloud docs, API keys"),
    _prefixed("google-client-secret", "GOCSPX-", rf"{_WORD}{{28}}", "Google identity docs"),
    _prefixed("google-access-token", r"ya29\.", rf"{_WORD}{{30,400}}", "Google identity docs"),
    _prefixed("npm-token", "npm_", "[A-Za-z0-9]{36}", "npm, token format of 2021"),
    _prefixed("pypi-token", "pypi-", rf"AgEI{_WORD}{{60,400}}", "PyPI help, API tokens"),
    _prefixed("sendgrid-key", r"SG\.", rf"{_WORD}{{22}}\.{_WORD}{{43}}", "SendGrid docs"),
    _prefixed("twilio-key", "(?:SK|AC)", "[0-9a-f]{32}", "Twilio docs, API keys"),
    KeyRule(
        "openai-key",
        r"T3BlbkFJ|sk-(?:proj|svcacct|admin)-",
        rf"{_START}(sk-(?:[A-Za-z0-9]{{20}}T3BlbkFJ[A-Za-z0-9]{{20}}|(?:proj|svcacct|admin)-{_WORD}{{40,200}}))",
        3.5,
        "OpenAI docs, API keys",
    ),
    _prefixed("anthropic-key", "sk-ant-", rf"[a-z]{{3,5}}[0-9]{{2}}-{_WORD}{{60,120}}", "Anthropic docs"),
    _prefixed("hugging-face-token", "(?:hf|api_org)_", "[A-Za-z0-9]{34}", "Hugging Face docs, user tokens"),
    _prefixed("groq-key", "gsk_", "[A-Za-z0-9]{52}", "Groq docs"),
    _prefixed("replicate-token", "r8_", "[A-Za-z0-9]{37}", "Replicate docs"),
    _prefixed("perplexity-key", "pplx-", "[A-Za-z0-9]{48}", "Perplexity docs"),
    KeyRule(
        "azure-storage-key",
        r"(?i)AccountKey|SharedAccessKey",
        r"(?i:AccountKey|SharedAccessKey)\s{0,3}=\s{0,3}([A-Za-z0-9+/]{42,86}={1,2})",
        4.0,
        "Azure docs, storage connection strings",
    ),
    KeyRule(
        "azure-client-secret",
        r"[0-9]Q~[A-Za-z0-9_~.\-]{8}",
        r"(?:^|[^A-Za-z0-9_~.\-])([A-Za-z0-9_~.\-]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34})",
        3.5,
        "Microsoft Entra docs",
    ),
    KeyRule(
        "azure-shared-access-signature",
        r"[?&;]sig=[A-Za-z0-9%]{8}",
        r"[?&;]sig=([A-Za-z0-9%/+]{40,80}(?:=|%3[dD]))",
        3.5,
        "Azure docs, SAS",
    ),
    KeyRule(
        "telegram-bot-token",
        r"[0-9]:AA[A-Za-z0-9_\-]{8}",
        rf"{_START}([0-9]{{8,10}}:AA{_WORD}{{33}})",
        3.5,
        "Telegram bot API",
    ),
    KeyRule(
        "discord-bot-token",
        r"[A-Za-z0-9_\-]\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{12}",
        rf"{_START}([MNO][A-Za-z0-9_\-]{{23,25}}\.[A-Za-z0-9_\-]{{6}}\.[A-Za-z0-9_\-]{{27,38}})",
        3.5,
        "Discord developer docs",
    ),
    KeyRule(
        "discord-webhook",
        r"discord(?:app)?\.com/api/webhooks/",
        rf"discord(?:app)?\.com/api/webhooks/[0-9]{{17,20}}/({_WORD}{{60,80}})",
        3.5,
        "Discord developer docs",
    ),
    KeyRule(
        "mailchimp-key",
        r"[0-9a-f]-us[0-9]",
        rf"{_START}([0-9a-f]{{32}}-us[0-9]{{1,2}})",
        3.0,
        "Mailchimp docs",
    ),
    _prefixed("mailgun-key", "key-", "[0-9a-f]{32}", "Mailgun docs"),
    _prefixed("digitalocean-token", "do[opr]_v1_", "[0-9a-f]{64}", "DigitalOcean docs"),
    _prefixed("databricks-token", "dapi", "[0-9a-f]{32}(?:-[0-9])?", "Databricks docs"),
    _prefixed("docker-token", "dckr_(?:pat|oat)_", rf"{_WORD}{{27,32}}", "Docker docs"),
    _prefixed("shopify-token", "shp(?:at|ca|pa|ss)_", "[0-9a-fA-F]{32}", "Shopify docs"),
    _prefixed("square-token", "sq0[a-z]{3}-", rf"{_WORD}{{22,43}}", "Square docs"),
    _prefixed("linear-key", "lin_(?:api|oauth)_", "[A-Za-z0-9]{40,64}", "Linear docs"),
    _prefixed("new-relic-key", "NR(?:AK|JS|II)-", "[A-Za-z0-9]{19,27}", "New Relic docs"),
    _prefixed("grafana-token", "glsa_", "[A-Za-z0-9]{32}_[0-9a-f]{8}", "Grafana docs"),
    _prefixed("grafana-cloud-token", "glc_", "[A-Za-z0-9+/]{32,400}={0,2}", "Grafana docs"),
    _prefixed("vault-token", r"hv[sbr]\.", rf"{_WORD}{{24,300}}", "HashiCorp Vault docs"),
    KeyRule(
        "old-vault-token",
        r"[sb]\.[A-Za-z0-9]{24}",  # the whole of it: every program has an s. somewhere
        rf"{_START}([sb]\.[A-Za-z0-9]{{24}})",
        3.5,
        "HashiCorp Vault docs, before 1.10",
    ),
    KeyRule(
        "symmetric-key",
        r"(?i)key[\"'`]?[ \t]{0,4}(?:=>|:=|[:=(,])[ \t]{0,4}[\"'`]",
        r"(?i:[a-z]key)[\"'`]?[ \t]{0,4}(?:=>|:=|[:=(,])[ \t]{0,4}[\"'`]([A-Za-z0-9+/]{43}=|[A-Za-z0-9_\-]{43}=)",
        4.0,
        "256 bits in base64, as OpenSSL, Fernet and others print a key",
    ),
    KeyRule(
        "shared-key",
        r"(?i)(?:private|shared)[_\-]?key[\"']?[ \t]{0,4}[:=]",
        r"(?i:(?:private|shared)[_\-]?key)[\"'`]?[ \t]{0,4}[:=][ \t]{0,4}[\"'`]?([A-Za-z0-9+/]{43}=)",
        4.0,
        "wg(8), configuration file",
    ),
    KeyRule(
        "laravel-key",
        r"APP_KEY[ \t]?=",
        r"APP_KEY[ \t]?=[ \t]?[\"']?(base64:[A-Za-z0-9+/]{43}=)",
        4.0,
        "Laravel docs, encryption",
    ),
    KeyRule(
        "terraform-token",
        r"\.atlasv1\.",
        rf"{_START}([A-Za-z0-9]{{14}}\.atlasv1\.{_WORD}{{60,70}})",
        3.5,
        "HCP Terraform docs",
    ),
    _prefixed("pulumi-token", "pul-", "[0-9a-f]{40}", "Pulumi docs"),
    _prefixed("postman-key", "PMAK-", "[0-9a-f]{24}-[0-9a-f]{34}", "Postman docs"),
    _prefixed("rubygems-key", "rubygems_", "[0-9a-f]{48}", "RubyGems guides"),
    _prefixed("doppler-token", r"dp\.(?:pt|st|ct|sa)\.", r"[A-Za-z0-9._\-]{40,60}", "Doppler docs"),
    _prefixed("figma-token", "fig[dou]_", rf"{_WORD}{{40,60}}", "Figma docs"),
    _prefixed("notion-token", "ntn_", "[A-Za-z0-9]{40,50}", "Notion docs"),
    _prefixed("atlassian-token", "ATATT3", r"[A-Za-z0-9_\-=]{60,200}", "Atlassian docs"),
    _prefixed("airtable-token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}", "Airtable docs"),
    _prefixed("sentry-token", "sntry[su]_", r"[A-Za-z0-9_+/=]{60,300}", "Sentry docs"),
    _prefixed("dynatrace-token", r"dt0[a-z][0-9]{2}\.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}", "Dynatrace docs"),
    _prefixed("alibaba-access-key-id", "LTAI", "[A-Za-z0-9]{12,20}", "Alibaba Cloud docs"),
    _prefixed("tencent-secret-id", "AKID", "[A-Za-z0-9]{32}", "Tencent Cloud docs"),
    _prefixed("yandex-token", "y0_", rf"{_WORD}{{55,62}}", "Yandex docs"),
    _prefixed("age-secret-key", "AGE-SECRET-KEY-1", "[02-9A-Z]{58}", "age specification", 3.0),
    _prefixed("facebook-token", "EAA[CG]", "[A-Za-z0-9]{80,300}", "Meta for Developers"),
    _prefixed(
        "planetscale-token", "pscale_(?:tkn|oauth|pw)_", r"[A-Za-z0-9=._\-]{32,64}", "PlanetScale docs"
    ),
    _prefixed("supabase-token", "sbp_", "[0-9a-f]{40}", "Supabase docs"),
    KeyRule(
        "authorization-header",
        r"(?i)(?:Basic|Bearer|Token) [A-Za-z0-9+/_.=\-]{8}",
        r"(?i:authorization)[\"'`\]]{0,2}\s{0,3}(?:=>|[:=,])\s{0,3}[A-Za-z]{0,2}[\"'`]?\s{0,2}(?i:basic|bearer|token) "
        r"([A-Za-z0-9+/_.\-]{16,400}={0,2})",
        3.2,
        "RFC 7617, RFC 6750",
    ),
)
