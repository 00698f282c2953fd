"""IP addresses in code: which dotted or coloned number names somebody's machine.

Owns the patterns, the address classes that are left alone (private, loopback, link-local, documentation,
multicast, reserved, public resolvers), networks, and the signs of a version, a section or an object identifier.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from daybreak_data.personal_data.finding import Span
from daybreak_data.personal_data.lock_files import is_lock_file
from daybreak_data.personal_data.patterns import matches

HEAD_V4 = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
# Global unicast is 2000::/3 (IANA IPv6 address space), so only these first groups can name a machine.
HEAD_V6 = r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:"
_PATTERN_V4 = r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"
_PATTERN_V6 = r"[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}"
_WINDOW, _NEAR = 64, 32

# Operated for everybody and printed in every manual: they tell nothing about a person.
_PUBLIC_RESOLVERS = """
8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 1.1.1.2 1.0.0.2 1.1.1.3 1.0.0.3 9.9.9.9 9.9.9.10 149.112.112.112
149.112.112.10 9.9.9.11 149.112.112.11 9.9.9.12 149.112.112.12 208.67.222.222 208.67.220.220 208.67.222.123
208.67.220.123 8.26.56.26 8.20.247.20 185.228.169.9 185.228.168.10 185.228.169.11 94.140.14.140 94.140.14.141
209.244.0.3 209.244.0.4 195.46.39.39 195.46.39.40 84.200.69.80 84.200.70.40 77.88.8.2 77.88.8.3 77.88.8.7
77.88.8.88 4.2.2.1 4.2.2.2 4.2.2.3 4.2.2.4 4.2.2.5 4.2.2.6 64.6.64.6 64.6.65.6 76.76.19.19 76.76.2.0
76.76.10.0 94.140.14.14 94.140.15.15 77.88.8.8 77.88.8.1 114.114.114.114 114.114.115.115 223.5.5.5 223.6.6.6
119.29.29.29 180.76.76.76 168.126.63.1 185.228.168.9 156.154.70.1 168.63.129.16
2001:4860:4860::8888 2001:4860:4860::8844 2606:4700:4700::1111 2606:4700:4700::1001 2620:fe::fe 2620:fe::9
2620:119:35::35 2620:119:53::53 2a10:50c0::ad1:ff 2a10:50c0::ad2:ff 2400:3200::1
"""
PUBLIC_RESOLVERS = frozenset(_PUBLIC_RESOLVERS.split())
# Of protocols (RFC 6890; Python 3.11 knows parts of it), and of relays that are no more (RFC 7526).
_SPECIAL_V4 = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("192.88.99.0/24"))
_DOCUMENTATION_V6 = ipaddress.IPv6Network("3fff::/20")  # RFC 9637, younger than Python 3.11's table

_NETWORK_WORDS = re.compile(
    rb"(?i)(?:\b|_)(?:ip|ips|ipv4\w*|ipaddr\w*|getaddrinfo|addr\w*|host\w*|servers?|dns|gateway|subnet|cidr|ping|ssh|nameserver|bind"
    rb"|listen|connect\w*|socket|proxy|remote|peers?|inet|client|allow|deny|route|nodes?|whois|cluster|endpoint"
    rb"|master|firewall|network)(?:\b|_|[0-9])|://$|(?-i:\bIN[ \t]+A)[ \t]"
)
_VERSION_WORDS = re.compile(
    rb"(?i)version|(?:\b|_)(?:ver|release[sd]?|rev|revision|build|firmware|driver|upgraded?|since|changelog|oid\w*|per|section"
    rb"|sect?|core|spec|specification|standard|chapter|figure|fig|table|clause|appendix|rfc[0-9]*|secno|sectnum|tocnumber|iso|patch|update|requires?|\w*identifiers?|arcs?)(?:\b|_|\.)"
)
_COMPARISON = re.compile(rb"(?:[<>=~!]=|~>|\^|>|<)\s*$")
_BOUND = re.compile(
    rb"(?:~>|>=|<=|~=|\^>=|==)\s*\{[^{}]*$|(?:~>|>=|<=|~=)\s*$"
)  # nobody compares addresses so
_PRODUCT = re.compile(rb"[A-Za-z0-9)]/$")  # Chrome/91.0.4472.124, download/1.20.3.4
_ADDRESS_IN_PATH = re.compile(rb"(?i)(?:ip|ips|hosts?|whois|addr\w*|nodes?|cidr|sub)/$")
_DOTTED_BEFORE = re.compile(rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}\s?-$")
# Arcs of X.500 attributes and extensions, of IANA, Certicom and Teletrust, printed without the word "OID".
_OID_ARCS = (
    b"2.23.",
    b"2.5.4.",
    b"2.5.29.",
    b"2.5.8.",
    b"1.3.6.1",
    b"1.3.132.",
    b"1.3.101.",
    b"1.3.14.",
    b"2.16.840.",
)
# The ends of a range that begins and ends with a network of 256: 198.12.120.0-198.12.122.255.
_RANGE_BEFORE = re.compile(rb"[0-9]\.0 ?- ?$")
_RANGE_AFTER = re.compile(rb" ?- ?(?:[0-9]{1,3}\.){3}255\b")
_NETWORK_NAME = re.compile(
    rb"(?i)(?:subnet|network|net|prefix|cidr)s?(?:[_ ]?addr(?:ess)?)?[\"'` ]{0,2}[:=]{1,2}>?[ \t]{0,4}[\"'`]?$"
)
_MASK = re.compile(rb"/(255(?:\.[0-9]{1,3}){3})\b")
_LENGTH_BEHIND = re.compile(rb"[\"'], ?(?:[89]|[12][0-9]|3[012])\b")
_FOLDER = re.compile(rb"(?i)(?:[a-z]:\\|program files|appdata)[^\n]*[a-z][ \-]$")
# [MS-RDPEFS] 2.2.2.4, and 2.2.1.18 Client Font List PDU: a document, or a heading.
_DOCUMENT_BEFORE = re.compile(rb"(?:\[[A-Z][A-Z0-9]*(?:[\-. ][A-Z0-9]+)+\]|\b[A-Z]{2,}-[A-Z]{3,}),? $")
_HEADING_BEFORE = re.compile(rb"^[\s/*#;\-\"']*$|\s-\s$")
_HEADING_AFTER = re.compile(rb"[.:]? [A-Z][A-Za-z]+ [A-Z(\"']")
# GlassFish Server 3.1.2.14, MultiNet SSH 6.1.5.0: in the name of a product, not a word before an address.
_NAME_OF_PRODUCT = re.compile(
    rb"\b[A-Z]\w*[a-z]\w* (?:[A-Z]\w* )*(?:Server|Services?|Client|Proxy|SSH|Controller) $"
)
# V8 is at 5.0.71.47: what counts its versions by four numbers, with nothing but its state between.
_COUNTED_BY_FOUR = re.compile(
    rb"\b(?:V8|Chrom(?:e|ium)|Node\.js|Electron|Edge|Opera|Brave|Vivaldi|WebView2?|CEF|NuGet|SQL Server|Exchange|Db2)"
    rb"(?: (?:is|was|now|currently|at|on|to|release|build)){0,3} [v(`]?$"
)
_SECTION_SIGN = re.compile(rb"\xc2\xa7[ \t]?$")
_SECTION_AFTER = re.compile(rb"\.(?: |\xc2\xa0)[A-Za-z]")
_CHANGED_IN = re.compile(
    rb"(?i)\b(?:introduced|broken|fixed|added|removed|deprecated|appeared|changed) (?:in|by|with) [`v\"']{0,2}$"
)
_NUMBER = rb"[0-9]+(?:\.[0-9]+){1,4}"
_FROM_BEFORE = re.compile(rb"(?i)\bfrom[ \t`v\"']{1,3}$|\bfrom[ `v]{1,3}" + _NUMBER + rb"`? to[ `v]{1,3}$")
_TO_AFTER = re.compile(rb"(?i)[`\"']? to [`v\"']{0,2}" + _NUMBER)
_YEAR_AND_TIME = re.compile(rb"20[0-9]{2}::?[0-2][0-9]:[0-5][0-9](?::[0-5][0-9])?")
_LAST_OF_V6 = re.compile(rb"(?i)(?::ffff){3}$")
_RIGHT_EDGE = re.compile(rb"\.?[A-Za-z0-9_]|-[A-Za-z]|\.[*x]")
_REVERSE_ZONE = re.compile(rb"\.(?:in-addr\.arpa|nip\.io|sslip\.io|xip\.io)\b")
_PREFIX_LENGTH = re.compile(rb"/([0-9]{1,3})\b")
_LONG_PREFIX = re.compile(rb"/(?:[89]|[1-9][0-9])\b")  # a smaller number is the paragraph of a section
_PORT = re.compile(rb":[0-9]{2,5}\b")
# RCS, CVS and Subversion write the number of a revision: $Id: x.c,v 1.2.3.4 $.
_REVISION = re.compile(rb"\$[A-Za-z]+: [^$\n]*$|,v ?$")
# Numbers of a drawing stand beside others: 1.82 2.37c.8.52 1.75.79 2.87.79.64 0.
_NUMBER_BEFORE = re.compile(
    rb"(?<![0-9.])-?[0-9]*\.[0-9]+(?:\.[0-9]+)?[ ,\-](?:-?[0-9]{0,3}(?:\.[0-9]{1,3}){3}[ ,\-]){0,2}$"
    rb"|[A-Za-z]-?[0-9]*\.[0-9]+ ?$"
)
_NUMBER_AFTER = re.compile(rb"[ ,]?-?\.?[0-9]|[ ,]?-\.?[0-9]")
_DECIMAL_AFTER = re.compile(rb"[ ,]?-?[0-9]{0,3}\.[0-9]{1,3}[ ,\-a-zA-Z]")
MOST_OF_A_VERSION, MOST_IN_A_VERSION = 40, 20
"""A version or a section has small numbers: all up to 40, or the first and two more up to 20. One address drawn at
random in 500 has; it counts only where something else says that it is one."""


def find_ipv4(data: bytes, path: str) -> Iterator[Span]:
    """Yield the IPv4 addresses of ``data`` that may name somebody's machine; in a lock file those of URLs."""
    spans, versions = [], set()
    for start, end in _possible_ipv4(data, path):
        if _is_version(data, start, end):
            versions.update([data[start:end]] if _is_called_a_version(data, start) else [])
        elif not _is_drawn(data, start, end):
            spans.append(Span("ipAddress", start, end, "ipv4"))
    for span in spans:
        # What a file calls a version once is one where it stands without the word.
        again = data[span.start : span.end] in versions and _has_small_numbers(data[span.start : span.end])
        if not again or _PORT.match(data[span.end : span.end + _WINDOW]):
            yield span


def _possible_ipv4(data: bytes, path: str) -> Iterator[tuple[int, int]]:
    is_locked = is_lock_file(path)
    for match in matches(_PATTERN_V4, data):
        start, end = match.span()
        value = data[start:end].decode("ascii")
        if not _is_named_machine(value) or (is_locked and data[start - 2 : start] != b"//"):
            continue
        if data.startswith(b".in-addr.arpa", end) and not _is_named_machine(".".join(value.split(".")[::-1])):
            continue
        if _has_edges(data, start, end) and not _is_network(data, start, end):
            yield start, end


def find_ipv6(data: bytes) -> Iterator[Span]:
    """Yield the IPv6 addresses of ``data`` that may name somebody's machine."""
    for match in matches(_PATTERN_V6, data):
        start, end = match.span()
        if start and (data[start - 1 : start].isalnum() or data[start - 1 : start] in b":._"):
            continue
        if data[end - 1 : end] == b":" and data[end - 2 : end] != b"::":
            end -= 1
        after = data[end : end + 1]
        if after.isalnum() or after == b"_" or data[end : end + 2] == b"::":
            continue
        if not _is_named_machine(data[start:end].decode("ascii")) or _is_network(data, start, end):
            continue
        if not (_is_scoped_name(data, start, end) or _is_time(data, start, end)):
            yield Span("ipAddress", start, end, "ipv6")


def _is_network(data: bytes, start: int, end: int) -> bool:
    """Tell whether a value names no machine but a network: its prefix length leaves the rest of it empty."""
    length = _PREFIX_LENGTH.match(data[end : end + 4])
    value = data[start:end].decode("ascii")
    mask = _MASK.match(data[end : end + 16]) if length is not None and length[1] == b"255" else None
    if length is None:
        return value.endswith((".0.0", ".255.255")) or _is_end_of_network(data, start, end)
    try:
        network = ipaddress.ip_interface(f"{value}/{(mask or length)[1].decode()}").network
    except ValueError:
        return False
    return network.num_addresses > 1 and network.network_address == ipaddress.ip_address(value)


LEAST_GROUPS = 4
"""Groups of an IPv6 network (RFC 4291: 64 bits). What has no more before its last colons names a network."""


def _is_end_of_network(data: bytes, start: int, end: int) -> bool:
    before, last = data[max(0, start - _WINDOW) : start], data[end - 4 : end]
    if last.endswith(b".0"):
        after = data[end : end + _WINDOW]
        is_named = _NETWORK_NAME.search(before) or _LENGTH_BEHIND.match(after)
        return bool(_RANGE_AFTER.match(after) or is_named)
    if data[end - 2 : end] == b"::":
        return data[end : end + 1] == b"-" or data[start:end].count(b":") <= LEAST_GROUPS + 1
    if _LAST_OF_V6.search(data[start:end]):
        return True
    return last == b".255" and _RANGE_BEFORE.search(before) is not None


def _is_time(data: bytes, start: int, end: int) -> bool:
    """Tell whether it is a year and a time, as Erlang's reports write them: 10-Mar-2016::16:13:54."""
    return data[start - 1 : start] in {b"-", b"/"} and _YEAR_AND_TIME.fullmatch(data[start:end]) is not None


def _is_scoped_name(data: bytes, start: int, end: int) -> bool:
    """Tell whether ``2000::abc`` may be a number and a name in the scope of something: two groups, no sign of a net."""
    if len([group for group in data[start:end].split(b":") if group]) > 2:
        return False
    around = data[start - 1 : start] + data[end : end + 1]
    quoted = (
        around[:1] in (b'"', b"'", b"`", b"[")
        and len(around) > 1
        and around[1:] in (b'"', b"'", b"`", b"]", b"/")
    )
    line = data[data.rfind(b"\n", max(0, start - _WINDOW), start) + 1 : start]
    return not (quoted or _PREFIX_LENGTH.match(data[end : end + 4]) or _NETWORK_WORDS.search(line[-_WINDOW:]))


@functools.lru_cache(maxsize=4096)
def _is_named_machine(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return is_personal(address)


def is_personal(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address can be one machine of somebody: global, unicast, no public resolver."""
    if not address.is_global or address.is_multicast or str(address) in PUBLIC_RESOLVERS:
        return False
    if isinstance(address, IPv6Address):
        return address not in _DOCUMENTATION_V6
    return not any(address in network for network in _SPECIAL_V4)


def _has_edges(data: bytes, start: int, end: int) -> bool:
    before = data[max(0, start - _WINDOW) : start]
    last = before[-1:]
    if last.isalnum() and not _is_escape(before):
        return False
    if last in {b".", b"_"} or (last == b"-" and not _DOTTED_BEFORE.search(before)):
        return False
    if _PRODUCT.search(before) and not _ADDRESS_IN_PATH.search(before):
        return False
    after = data[end : end + _WINDOW]
    return _RIGHT_EDGE.match(after) is None or _REVERSE_ZONE.match(after) is not None


def _is_escape(before: bytes) -> bool:
    return before[-2:-1] == b"\\" and before[-1:] in b"ntr"


def _is_version(data: bytes, start: int, end: int) -> bool:
    before = data[max(0, start - _WINDOW) : start].rsplit(b"\n", 1)[-1]
    value = data[start:end]
    if (
        _SECTION_SIGN.search(before)
        or _REVISION.search(before)
        or _BOUND.search(before)
        or _COUNTED_BY_FOUR.search(before)
    ):
        return True
    if _FROM_BEFORE.search(before) and (
        _TO_AFTER.match(data[end : end + _WINDOW]) or not before.endswith((b"from ", b"From "))
    ):
        return True
    if data[end : end + 1] == b"\\" and _FOLDER.search(before):
        return True
    version = _last_end(_VERSION_WORDS, before)
    is_called_one = version >= 0 or _COMPARISON.search(before) is not None
    is_identifier = value.startswith(_OID_ARCS)
    if is_identifier and b"oid" in before.lower():
        return True
    looks_like_one = is_identifier or value.endswith(b".0") or _has_small_numbers(value)
    if looks_like_one and _CHANGED_IN.search(before):
        return True
    if looks_like_one and _is_heading(before, data[end : end + _WINDOW]):
        return True
    if not (is_called_one or looks_like_one):
        return False
    is_product = looks_like_one and _NAME_OF_PRODUCT.search(before) is not None
    if _last_end(_NETWORK_WORDS, before) > version and not is_product:
        return False  # the nearer word counts
    if is_called_one or is_identifier:
        return True
    after = data[end : end + _WINDOW].split(b"\n", 1)[0]
    if _LONG_PREFIX.match(after) or _PORT.match(after):
        return False
    word = _NETWORK_WORDS.search(after)
    return word is None or word[0][:1].isupper() or word.end() > _NEAR


def _is_called_a_version(data: bytes, start: int) -> bool:
    before = data[max(0, start - _WINDOW) : start].rsplit(b"\n", 1)[-1]
    return _last_end(_VERSION_WORDS, before) > _last_end(_NETWORK_WORDS, before)


def _is_heading(before: bytes, after: bytes) -> bool:
    is_followed = _HEADING_AFTER.match(after) or (not before.strip() and _SECTION_AFTER.match(after))
    is_first = _HEADING_BEFORE.search(before) is not None and is_followed is not None
    return is_first or _DOCUMENT_BEFORE.search(before) is not None


def _has_small_numbers(value: bytes) -> bool:
    numbers = [int(part) for part in value.split(b".")]
    if max(numbers) <= MOST_OF_A_VERSION:
        return True
    return numbers[0] <= MOST_IN_A_VERSION and sum(number <= MOST_IN_A_VERSION for number in numbers[1:]) > 1


def _is_drawn(data: bytes, start: int, end: int) -> bool:
    """Tell whether a value stands among the decimal numbers of a drawing; with three decimals, between two of them."""
    after = _NUMBER_AFTER
    if max(int(part) for part in data[start:end].split(b".")) > 99:
        after = _DECIMAL_AFTER
    return (
        _NUMBER_BEFORE.search(data[max(0, start - _WINDOW) : start]) is not None
        and after.match(data[end : end + _NEAR]) is not None
    )


def _last_end(words: re.Pattern[bytes], window: bytes) -> int:
    return max((match.end() for match in words.finditer(window)), default=-1)
