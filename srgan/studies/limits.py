"""Limits and headers of every answer of the server."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 4096
"""An answer of a rater has less than 300 bytes."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # Addresses hold the token, pictures must not be told apart by what a browser has kept.
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


class SafeHeaders:
    """ASGI middleware: the same protective headers on every answer, whatever it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


class RateLimit:
    """Lets each key through `burst` times at once, and then `per_s` times a second.

    Safe for many threads. Keeps the newest 10,000 keys, so that made-up ones cannot fill the
    memory.
    """

    def __init__(
        self, burst: int, per_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, key: str) -> bool:
        """Count one more request of a key; False if it has to wait."""
        with self._lock:
            now = self._clock()
            left, then = self._left.pop(key, (float(self._burst), now))
            left = min(self._burst, left + (now - then) * self._per_s)
            is_allowed = left >= 1
            self._left[key] = (left - is_allowed, now)
            if len(self._left) > 10_000:
                self._left.popitem(last=False)
            return is_allowed
