"""The application: HTTP over `generate`, and the page. Stateless: the same request has the same answer everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import sketchrnn
from sketchrnn.data.dataset import Dataset
from sketchrnn.model.network import SketchRNN
from sketchrnn.web.answers import add_answers
from sketchrnn.web.engine import Ending, Overloaded, TooLong
from sketchrnn.web.guard import Guard
from sketchrnn.web.metrics import memory
from sketchrnn.web.server import Server, json_answer, sentence
from sketchrnn.web.streams import add_streams

STATIC = Path(__file__).with_name("static")
NOT_BUILT = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>sketchrnn</title>"
    "<p>The drawing page is not built: run <code>make page</code> in the source tree and start the server again; "
    "the API under <code>/api/v1</code> works without it.</p></html>"
)


def create_app(
    models: Mapping[str, SketchRNN],
    *,
    data: Dataset | None = None,
    token: str | None = None,
    cors: Sequence[str] = (),
    hosts: frozenset[str] | None = None,
) -> Guard:
    """The ASGI application.

    Args:
        models: by the names under which they are asked for; the first is the default.
        data: a dataset whose test drawings make the map; without it, samples of the model do.
        token: what every request under /api must bring.
        cors: origins whose pages may use the API.
        hosts: names by which the server may be called; None for any.
    """
    server = Server(models, data)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        server.engine.start()
        yield
        server.engine.stop()

    app = FastAPI(
        title="sketchrnn",
        version=sketchrnn.__version__,
        summary="Drawings from neural networks that learned to draw.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.server = server
    _handle_errors(app)
    add_streams(app, server)
    add_answers(app, server)
    _add_page(app)
    guard = Guard(app, token=token, hosts=hosts, cors=cors, metrics=server.metrics, end=server.engine.stop)
    _add_health(app, server, guard)
    return guard


def _handle_errors(app: FastAPI) -> None:
    def problem(_: Request, error: Exception) -> Response:
        status, said, headers = sentence(error)
        return json_answer({"detail": said}, status, headers)

    known = (ValueError, RequestValidationError, HTTPException, ClientDisconnect, Overloaded, Ending, TooLong)
    for kind in (*known, Exception):
        app.exception_handler(kind)(problem)


def _add_health(app: FastAPI, server: Server, guard: Guard) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        if guard.draining:
            return PlainTextResponse("ending\n", 503)
        return PlainTextResponse("ready\n") if server.engine.alive else PlainTextResponse("not running\n", 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        engine = server.engine
        gauges = {
            "sketchrnn_jobs": ("Requests that are drawn or wait.", engine.num_jobs),
            "sketchrnn_drawings": ("Drawings that grow or wait.", engine.num_drawings),
            "sketchrnn_memory_bytes": ("Memory of the process.", memory()),
            "sketchrnn_draining": ("1 while the server ends.", float(guard.draining)),
        }
        text = server.metrics.text(gauges, {"sketchrnn_points_total": ("Points drawn.", engine.points_drawn)})
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    index = STATIC / "index.html"
    if not index.is_file():

        @app.get("/", include_in_schema=False)
        async def not_built() -> Response:
            return HTMLResponse(NOT_BUILT)

        return

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(index)

    for file in sorted(STATIC.iterdir()):
        if file.is_file() and file != index:
            app.get(f"/{file.name}", include_in_schema=False)(_sends(file))
    if (STATIC / "assets").is_dir():
        app.mount("/assets", _Assets(directory=STATIC / "assets"))


def _sends(file: Path) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return FileResponse(file)

    return send


class _Assets(StaticFiles):
    """Their names change with their content."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
