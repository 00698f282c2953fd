"""Web pages: which may ask a gateway, and that no page reaches one on a person's own machine by a trick.

A browser sends ``Origin`` with every post to another site and lets it go out unasked when it looks like a form
(``text/plain``), so a page could spend a person's engine or read code by a name that resolves to loopback (DNS
rebinding). Editors send no ``Origin``. Owns no log-in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daybreak_serve.gateway.http.asgi_io import ResponseWriter, header
from daybreak_serve.gateway.http.problems import ApiProblem

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
PRIVATE_NAMES = (".localhost", ".internal")
"""Names that no public server gives out (RFC 6761, ICANN's reservation of 2024), so that no page can turn them here:
containers reach their machine as ``host.docker.internal``."""
APP_SCHEMES = frozenset({"app", "file", "tauri", "vscode-file", "vscode-webview"})
"""Of origins that are programs on a person's machine (Obsidian, VS Code's views); a page from the web has none of them,
one from a file says ``null``."""
ALLOWED_METHODS = "GET, HEAD, POST, OPTIONS"
ALLOWED_HEADERS = "authorization, content-type, x-daybreak-file, x-daybreak-prompt"
HEADER_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, -]{1,2000}")
"""Any names: a page that may ask may say what it likes, and the packages of 2026 send a dozen headers of their own."""


def problem_of(
    origin: str | None, host: str | None, allowed: Collection[str], *, is_loopback: bool
) -> ApiProblem | None:
    """Return why a request is refused, None if it is not.

    ``allowed`` are origins as ``https://ide.example.org``; a page of the gateway's own address is always.
    """
    name = _name_of(host)
    if is_loopback and name is not None and not _is_this_machine(name):
        message = f"this gateway is for this machine alone and is not known as {_shown(name)}; use 127.0.0.1"
        return ApiProblem(403, message, "permission_error", code="foreign_host")
    if origin is None or origin in allowed or (host is not None and urlsplit(origin).netloc == host):
        return None
    if urlsplit(origin).scheme in APP_SCHEMES:
        return None
    message = f"pages of {_shown(origin)} may not ask here; allow them with gateway.allowedOrigins or --allow-origin"
    return ApiProblem(403, message, "permission_error", code="foreign_origin")


def _name_of(host: str | None) -> str | None:
    """Return the name in a ``Host`` header, without its port; None where there is none.

    >>> [_name_of(host) for host in ("a.example:80", "[::1]:80", "localhost")]
    ['a.example', '::1', 'localhost']
    """
    if not host:
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return host


def _is_this_machine(name: str) -> bool:
    """Tell whether a name means this machine wherever it is asked; an address cannot be turned to another.

    >>> [_is_this_machine(name) for name in ("127.0.0.2", "0.0.0.0", "host.docker.internal", "a.example", "10.0.0.1")]
    [True, True, True, False, False]
    """
    plain = name.removesuffix(".")
    if plain in LOOPBACK_NAMES or plain.endswith(PRIVATE_NAMES):
        return True
    try:
        address = ip_address(plain)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _shown(text: str) -> str:
    return "".join(character if "!" <= character <= "~" else "?" for character in text[:80])


class WebGuard:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        allowed: Collection[str],
        *,
        is_loopback: bool,
        log: Callable[[str, ApiProblem, Mapping[str, str]], object],
    ) -> None:
        self._app = app
        self._log = log
        self._allowed = frozenset(allowed)
        self._is_loopback = is_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, answer a preflight, or pass on; answers to allowed pages say that they may be read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        problem = problem_of(origin, header(scope, b"host"), self._allowed, is_loopback=self._is_loopback)
        if problem is not None:
            self._log(scope["path"], problem, {})
            await ResponseWriter(send).problem(problem, problem.body())
            return
        if scope["method"] == "OPTIONS":
            await _allow(ResponseWriter(_readable(send, origin)), scope, asks=origin is not None)
            return
        await self._app(scope, receive, _readable(send, origin))


def _readable(send: Send, origin: str | None) -> Send:
    """Return a sender that tells the browser which page may read the answer."""
    if origin is None:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = [(b"access-control-allow-origin", origin.encode()), (b"vary", b"origin")]
            message = {**message, "headers": [*message.get("headers", ()), *said]}
        await send(message)

    return sending


async def _allow(answer: ResponseWriter, scope: Scope, *, asks: bool) -> None:
    headers = {"allow": ALLOWED_METHODS, "content-length": "0"}
    if asks:
        wished = header(scope, b"access-control-request-headers") or ""
        headers |= {
            "access-control-allow-methods": ALLOWED_METHODS,
            "access-control-allow-headers": wished if HEADER_NAMES.fullmatch(wished) else ALLOWED_HEADERS,
            "access-control-expose-headers": "*",
            "access-control-max-age": "600",
        }
        if (
            header(scope, b"access-control-request-private-network") == "true"
        ):  # Chrome, from a site to this machine
            headers["access-control-allow-private-network"] = "true"
    await answer.start(204, b"text/plain", headers)
    await answer.write(b"", more=False)
