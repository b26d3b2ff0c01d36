"""What stands before every request: bounds on the body, the token, the host's name, headers, figures."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from sketchrnn.web.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

MOST_BODY = 2**20  # bytes of JSON
MOST_FILE = 16 * 2**20  # bytes of a file to be read
MOST_HELD = 128 * 2**20  # bytes of the bodies of all requests at the same time
BODY_SECONDS = 30  # in which a body must have arrived
MOST_REQUESTS = 600  # at the same time
TOO_MANY = "there are too many requests at the moment; try again in a few seconds"

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?")

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class _Refused(Exception):
    """Raised where the body is read, so that nobody reads on."""


class Guard:
    """An ASGI application around another."""

    def __init__(
        self,
        app: App,
        *,
        token: str | None,
        hosts: frozenset[str] | None,
        cors: Sequence[str] = (),
        metrics: Metrics,
        end: Callable[[], None],
    ) -> None:
        """
        Args:
            app: what answers.
            token: what every request under /api must bring; None for nothing.
            hosts: names under which the server may be called; None for any. A page of somebody else that makes its
                own name lead here (DNS rebinding) is stopped by that.
            cors: origins whose pages may use the API, and read why they are refused.
            metrics: counts.
            end: gives up all that is being answered, and says so to those who wait.
        """
        self.app, self.metrics, self.hosts, self.end = app, metrics, hosts, end
        self.draining = False
        """The server ends: what has begun is answered, the rest is not."""
        self._token = None if token is None else token.encode()
        self._running = 0
        self._held = 0
        self._inside: App = self._decide
        if cors:
            from starlette.middleware.cors import CORSMiddleware

            self._inside = CORSMiddleware(
                self._decide,
                allow_origins=list(cors),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
                expose_headers=["Retry-After"],
            )

    @property
    def running(self) -> int:
        """Requests under /api that are being answered."""
        return self._running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        is_api = _is_api(scope)
        began, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name.lower() for name, _ in message["headers"]}
                more = HEADERS | {"cache-control": "no-store" if is_api else "no-cache"}
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in more.items() if name.encode() not in there),
                ]
            await send(message)

        self._running += is_api
        try:
            await self._inside(scope, receive, send_with_headers)
        finally:
            self._running -= is_api
            route = scope.get("route")
            path = getattr(route, "path", None) or ("/assets" if scope["path"].startswith("/assets/") else "other")
            self.metrics.request(path, status, time.perf_counter() - began)

    async def _decide(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if refused := self._refusal(scope, headers):
            await _answer(send, *refused)
        else:
            await self._pass_on(scope, receive, send, headers)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str, dict[str, str]] | None:
        """Status, sentence and headers for a request that goes no further."""
        if self.hosts is not None and _host_name(headers.get(b"host", b"")) not in self.hosts:
            return 403, "this server is for its own machine and was called by another name; give it a --token", {}
        if not _is_api(scope) or scope["method"] == "OPTIONS":
            return None
        if self._token is not None and not self._has_token(headers.get(b"authorization", b"")):
            return 401, "this server wants its token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        if self.draining:
            return 503, "the server is ending; try again in a few seconds", {"Retry-After": "5"}
        if self._running > MOST_REQUESTS:
            return 503, TOO_MANY, {"Retry-After": "2"}
        return None

    def _has_token(self, authorization: bytes) -> bool:
        assert self._token is not None
        kind, _, given = authorization.partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]) -> None:
        most = MOST_FILE if scope["path"] == "/api/v1/read" else MOST_BODY
        sentence = f"the request is larger than the {most // 2**20} MiB that are read"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await _answer(send, 413, sentence, {"Connection": "close"})
            return
        received, until, complete, started = 0, time.monotonic() + BODY_SECONDS, False, False
        problem: tuple[int, str, dict[str, str]] | None = None

        async def bounded() -> Message:
            nonlocal received, complete, problem
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                problem = 408, "the request did not arrive in time", {}
                raise _Refused from None
            received += len(message.get("body", b""))
            self._held += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > most:
                problem = 413, sentence, {}
                raise _Refused
            if self._held > MOST_HELD:
                problem = 503, TOO_MANY, {"Retry-After": "2"}
                raise _Refused
            return message

        async def sent(message: Message) -> None:
            nonlocal started
            if problem is None or started:  # else what follows from the refusal is not the answer
                started = True
                await send(message)

        try:
            await self.app(scope, bounded, sent)
        except _Refused:
            pass
        except Exception:
            log.exception("a request failed")
            problem = problem or (500, "the server failed; its log says how", {})
        finally:
            self._held -= received
        if problem is not None and not started:
            status, said, more = problem
            await _answer(send, status, said, more | {"Connection": "close"})


def _is_api(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/api/"))


def _host_name(host: bytes) -> str:
    """The name in a Host header, without the port; empty where it is no name and port (RFC 9110, 7.2)."""
    match = _HOST.fullmatch(host.decode("latin-1").lower())
    return (match[1] or match[2]) if match else ""


async def _answer(send: Send, status: int, sentence: str, headers: dict[str, str]) -> None:
    body = json.dumps({"detail": sentence}).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
    head = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
