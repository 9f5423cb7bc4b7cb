"""Who may talk to the page: whoever holds the key, from this computer, from the page itself.

The page listens on 127.0.0.1 only. A page of somebody else in the same browser could still send requests there, so the
names Host and Origin are checked, and nothing but the files of the page is given without the key, which changes with
every start and stands in the address.
"""

from __future__ import annotations

import hmac
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

HOST = "127.0.0.1"
KEY_HEADER = "X-ClamSeg-Key"
_OWN_NAMES = {"127.0.0.1", "localhost", "[::1]"}
# Everything comes from the page itself; pictures arrive as blobs. Vue compiles templates, hence unsafe-eval.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://127.0.0.1:* ws://localhost:* blob: data:; worker-src 'self' blob:; "
        "media-src 'self' blob:; frame-ancestors 'none'; form-action 'none'; base-uri 'self'"
    ),
    # The key stands in the address: no other site may learn it. (With no-referrer a browser would hide the Origin, too.)
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def new_key() -> str:
    """A key of 192 bits that nobody can guess; digits and letters only, fit for an address and for a word of a command."""
    return secrets.token_hex(24)


def holds_key(request: web.Request, key: str) -> bool:
    """Whether a request brings the key, in a header or in its address."""
    given = request.headers.get(KEY_HEADER) or request.query.get("secret", "")
    return hmac.compare_digest(given.encode("utf-8"), key.encode("utf-8"))


def is_own(request: web.Request) -> bool:
    """Whether a request is addressed to this computer by name, and comes from the page itself or from no page."""
    host = request.headers.get("Host", "")
    if host.rpartition(":")[0] not in _OWN_NAMES and host not in _OWN_NAMES:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        # A browser always names the origin of a web socket and of a POST.
        return request.method == "GET" and request.headers.get("Upgrade", "").lower() != "websocket"
    return origin == f"http://{host}"


def guard() -> Any:
    """The middleware that turns strangers away and keeps the page to itself."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_own(request):
            raise web.HTTPForbidden(text="ClamSeg answers only its own page on this computer.")
        try:
            response = await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            if request.headers.get("Upgrade", "").lower() != "websocket":
                raise
            # What a tab sends may be no message at all: it loses its line, and nobody needs a traceback of that.
            if not isinstance(error, ConnectionError):  # that one has left by itself
                words = f"A tab was shut out, it sent what is no message of the page ({type(error).__name__})."
                print(words, file=sys.stderr, flush=True)
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadRequest from error
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return check
