"""Who may see the page: a secret in the address, no foreign page, no foreign name for this machine, nothing too large.

The page runs on the user's own machine, where every web page that the user visits could try to reach it. So each
request must carry the secret (a cookie that was given in exchange for the token in the address, or the token as a
header), must name this machine by an address or by a name of its own (a rebound DNS name is refused), and must not come
from a page of another origin.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Largest body of a request (bytes), but for an upload.
MOST_BODY = 64 * 1024
_HOST = re.compile(r"^(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:(?P<port>\d{1,5}))?$")
_OWN_PAGE = ("same-origin", "none")
#: What a page may do: only what ships with it, no inline script, in no frame of another page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: What a report may do: show itself; it has no scripts.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True)
class Lock:
    """The secrets of one server, and the names by which this machine may be called.

    token: stands in the address that the user opens; session: the value of the cookie that is given for it; names:
    host names that are served beside any address in digits.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    names: frozenset[str] = frozenset({"localhost"})

    @property
    def cookie(self) -> str:
        """Name of the cookie: its own for every server, as cookies do not tell ports apart."""
        return f"micrograph-{hashlib.sha256(self.token.encode()).hexdigest()[:12]}"

    def is_token(self, text: str) -> bool:
        """Return whether `text` is the token, in a time that does not depend on it."""
        return secrets.compare_digest(text.encode(), self.token.encode())

    def is_session(self, text: str) -> bool:
        """Return whether `text` is the value of the cookie."""
        return secrets.compare_digest(text.encode(), self.session.encode())

    def knows(self, host: str) -> bool:
        """Return whether a Host header names this machine: by an address in digits or by one of its own names."""
        match = _HOST.match(host)
        if match is None:
            return False
        name = match["name"].lower()
        return name in self.names or _is_address(name.strip("[]"))


@dataclass(frozen=True)
class Guard:
    """Lets through to `app` only what the lock allows, with bodies of at most `most_body(path)` bytes."""

    app: App
    lock: Lock
    most_body: Callable[[str], int] = lambda path: MOST_BODY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = _headers(scope)
        entering = self._enters(scope)
        refusal = self._refusal(headers, entering, scope["type"] == "websocket")
        limit = self.most_body(scope["path"])
        if refusal is None and _declared(headers) > limit:
            refusal = (413, "The request is too large.")
        if refusal is not None:
            await _refuse(scope, send, *refusal)
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            host = headers.get("host", "")
            cookie = self._cookie() if entering else None
            await self.app(scope, _counted(receive, limit), _dressed(send, host, cookie))

    def _refusal(self, headers: dict[str, str], entering: bool, socket: bool) -> tuple[int, str] | None:
        """Return status and sentence where a request may not pass."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.lock.knows(host):
            return 421, "This machine does not answer to that name: open the address that micrograph printed."
        if (origin is not None or socket) and origin != f"http://{host}":
            return 403, "Requests from other pages are refused."
        if not entering and headers.get("sec-fetch-site", "none") not in _OWN_PAGE:
            return 403, "Requests from other pages are refused."
        if not (entering or self._has_session(headers)):
            return 401, "The secret is missing: open the whole address that micrograph printed, with its token."
        return None

    def _enters(self, scope: Scope) -> bool:
        """Return whether the start page is asked for with the right token."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])
        return len(given) == 1 and self.lock.is_token(given[0])

    def _has_session(self, headers: dict[str, str]) -> bool:
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.lock.is_token(value.strip()):
            return True
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.lock.cookie)
        except CookieError:
            return False
        return morsel is not None and self.lock.is_session(morsel.value)

    def _cookie(self) -> str:
        return f"{self.lock.cookie}={self.lock.session}; Path=/; HttpOnly; SameSite=Strict"


class TooLarge(HTTPException):
    """A body has more bytes than were allowed."""

    def __init__(self) -> None:
        super().__init__(413, "The request is too large.")


def names_for(host: str, own: Iterable[str] = ()) -> frozenset[str]:
    """Return the names that are served when listening at `host`: localhost, that name, and the machine's `own`."""
    loopback = host in ("localhost", "") or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    others = set() if loopback else {host.lower(), *(name.lower() for name in own)}
    return frozenset({"localhost"} | {name for name in others if not _is_address(name)})


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers; one that comes twice where only one may is unusable."""
    found: dict[str, str] = {}
    for name, value in scope.get("headers", ()):
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        separator = "; " if key == "cookie" else ", "
        found[key] = f"{found[key]}{separator}{text}" if key in found else text
    return found


def _declared(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0


def _counted(receive: Receive, limit: int) -> Receive:
    """Return `receive`, which raises `TooLarge` where a body that did not say its length goes on for too long."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge
        return message

    return counted


def _dressed(send: Send, host: str, cookie: str | None) -> Send:
    """Return `send`, which adds what a browser must know to every answer."""
    extra = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-store",
        "content-security-policy": POLICY.format(host=host),
    }

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            have = {name.lower() for name, _ in message.get("headers", ())}
            added = [(k.encode(), v.encode("latin-1")) for k, v in extra.items() if k.encode() not in have]
            if cookie is not None:
                added.append((b"set-cookie", cookie.encode()))
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return dressed


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
