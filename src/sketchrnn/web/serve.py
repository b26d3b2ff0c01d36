"""Runs the server: models are loaded, the socket is bound, and SIGTERM lets what has begun come to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

import sketchrnn
from sketchrnn.data.dataset import Dataset
from sketchrnn.model.network import SketchRNN
from sketchrnn.web.app import create_app
from sketchrnn.web.guard import Guard

SHIPPED = Path(__file__).parents[1] / "models"
DRAIN_SECONDS = 10
HEAD_SECONDS = 10  # in which the head of a request must have arrived, from its first byte or the connection's beginning
IDLE_SECONDS = 30  # for which a connection is kept for another request
TAKE_SECONDS = 30  # in which a client must have taken something of what was sent


def serve(
    models: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    data: str | Path | None = None,
    cors: Sequence[str] = (),
    device: str = "auto",
    open_page: bool = False,
    said: Callable[[str], None] = print,
) -> None:
    """Serves models until a signal ends it.

    Args:
        models: run folders or files; those that ship with the package if there is none.
        host, port: where to listen; port 0 takes a free one.
        token: what requests to the API must bring.
        data: a dataset whose test drawings make the map.
        cors: origins whose pages may use the API.
        device: where to compute.
        open_page: open the page in a browser.
        said: gets the one line that tells the address.

    Raises:
        ValueError: a model or an argument is wrong.
        OSError: the port is taken.
    """
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token or len(token) < 8):
        raise ValueError("the token must be 8 or more letters, digits and signs without spaces")
    dataset = None if data is None else Dataset(data)
    loaded = load_models(models, device=device)
    bound = _bind(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
    if not is_loopback(host) and token is None:
        print(
            f"sketchrnn: warning: everybody who can reach {host} can use this server; give it a --token",
            file=sys.stderr,
        )
    app = create_app(loaded, data=dataset, token=token, cors=cors, hosts=host_names(host, token, cors))
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=Patient,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=1,  # after `Draining` has waited
        h11_max_incomplete_event_size=64 * 1024,
        limit_concurrency=1000,
        lifespan="on",
        ws="none",
    )
    said(f"serving {', '.join(loaded)} at {address}{'#token=' + token if token else ''}")
    if open_page:
        webbrowser.open(f"{address}{'#token=' + token if token else ''}")
    gc.freeze()  # what is loaded stays; looking through it again and again, a large request took seven times as long
    Draining(config, app).run(sockets=[bound])


class Patient(H11Protocol):
    """HTTP over a connection that is closed when the head of a request does not come: uvicorn alone waits for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # the head is there
            self._cancel()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Draining(uvicorn.Server):
    """On a first signal it answers what has begun, and refuses the rest; on a second it ends at once."""

    def __init__(self, config: uvicorn.Config, app: Guard) -> None:
        super().__init__(config)
        self._app = app
        self._until = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._app.draining:
            self.should_exit = self.force_exit = True
            return
        self._captured_signals.append(sig)
        self._app.draining = True
        self._until = time.monotonic() + DRAIN_SECONDS

    async def on_tick(self, counter: int) -> bool:
        ended = await super().on_tick(counter)
        return ended or (self._app.draining and (not self._app.running or time.monotonic() > self._until))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if not self.force_exit:
            self._app.end()
        await super().shutdown(sockets)


def load_models(models: Sequence[str], *, device: str = "auto") -> dict[str, SketchRNN]:
    """Models by a short name: of the run folder, or of the file.

    Raises:
        ValueError: there is none.
    """
    paths = list(models) or [str(path) for path in sorted(SHIPPED.glob("*.safetensors"))]
    if not paths:
        raise ValueError("no MODEL is given and none came with the package: name a run folder or a .safetensors file")
    loaded: dict[str, SketchRNN] = {}
    for path in paths:
        stem = name = _short_name(path)
        number = 2
        while name in loaded:
            name, number = f"{stem}-{number}", number + 1
        loaded[name] = sketchrnn.load(path, device=device)
        sketchrnn.sample(loaded[name], 1, max_length=2)  # the kernels are compiled before the first request
    return loaded


def host_names(host: str, token: str | None, cors: Sequence[str]) -> frozenset[str] | None:
    """The names by which a server may be called; None for any."""
    if not is_loopback(host) or token is not None:
        return None
    named = {urlsplit(origin).hostname or "" for origin in cors}
    return frozenset({"localhost", "127.0.0.1", "::1", host.lower()} | named) - {""}


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _short_name(path: str) -> str:
    file = Path(path).resolve()
    return (file.parent.name if file.name == "model.safetensors" else file.stem) if file.suffix else file.name


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"the port is {port}; it must be 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ValueError(f"cannot listen on {host} port {port}: {error}") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections have it from the socket that takes them
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKE_SECONDS * 1000)
        bound.bind(address)
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise OSError(
            f"cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}; choose another --port"
        ) from None
    return bound
