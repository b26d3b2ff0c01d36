"""The application: HTTP over `generate`, and the page. Stateless: the same request has the same answer everywhere."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import sketchrnn
from sketchrnn import latent_map
from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.evaluation import density
from sketchrnn.generate import Wanted, between, wanted_endings, wanted_of_z, wanted_samples
from sketchrnn.model.network import SketchRNN
from sketchrnn.web import forms
from sketchrnn.web.engine import Encoded, Engine, Job, Overloaded, Points, TooLong
from sketchrnn.web.forms import Line, Problem, continued, wire
from sketchrnn.web.guard import Guard
from sketchrnn.web.metrics import Metrics, memory

STATIC = Path(__file__).with_name("static")
NOT_BUILT = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>sketchrnn</title>"
    "<p>The drawing page is not built: run <code>make page</code> in the source tree and start the server again; "
    "the API under <code>/api/v1</code> works without it.</p></html>"
)
READ_SECONDS = 15
READERS = 2  # files that are read or written at the same time
MOST_IN_LINE = 16
MOST_DENSITY_POINTS = 1_000
MOST_FILM_PIXELS = 1_000_000  # of a frame
NDJSON = "application/x-ndjson"

PLAIN = {  # what the framework says, in a sentence
    "Not Found": "there is nothing at this address",
    "Method Not Allowed": "this address does not answer that method",
    "There was an error parsing the body": "the request is not JSON that can be read",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The request is not JSON.",
        401: "The token is missing or wrong.",
        403: "The server was called by a name that is not its own.",
        404: "There is no such model.",
        408: "The request did not arrive in time.",
        413: "The request is too large.",
        422: "Something in the request cannot be; the sentence says what.",
        503: "There is too much to do, or the server is ending; Retry-After says when to come again.",
        500: "The server failed.",
    }.items()
}
STREAMED: dict[int | str, dict[str, Any]] = PROBLEMS | {
    200: {
        "description": "The drawings; with `Accept: application/x-ndjson` line by line as they are drawn: "
        '`{"drawing": i, "points": [[dx, dy, pen], ...]}` (offsets that follow the last point, pen 1 = it lifts after '
        'it; what was given is not repeated), `{"drawing": i, "end": true}`, and last `{"done": true}` or '
        '`{"error": "sentence"}`.',
        "content": {NDJSON: {"schema": {"type": "string"}}},
    }
}


class Server:
    """What the requests share."""

    def __init__(self, models: Mapping[str, SketchRNN], data: Dataset | None) -> None:
        self.engine = Engine(models)
        self.data = data
        self.metrics = Metrics()
        self.maps: dict[str, asyncio.Task[bytes]] = {}
        self._turns = asyncio.Semaphore(READERS)
        self._in_line = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn to read or write a file, for a few at the same time; Overloaded where the line is long."""
        if self._in_line >= MOST_IN_LINE:
            raise Overloaded
        self._in_line += 1
        try:
            async with self._turns:
                yield
        finally:
            self._in_line -= 1

    def model(self, name: str | None) -> tuple[str, SketchRNN]:
        if name is None:
            return next(iter(self.engine.models.items()))
        if name not in self.engine.models:
            raise HTTPException(404, f"there is no model {name!r}; there are {', '.join(self.engine.models)}")
        return name, self.engine.models[name]

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns on the engine's thread."""
        future, put = _bridge()
        self.engine.call(work, put)
        return _raised(await future)

    async def encoded(self, name: str, drawings: Sequence[Drawing]) -> Encoded:
        """mu and sigma of drawings, encoded along with those of others."""
        found: list[Encoded] = []

        def plan(_: SketchRNN, encoded: Encoded) -> list[Wanted]:
            found.append(encoded)
            return []

        future, put = _bridge()
        self.engine.submit(Job(name, drawings, plan, 0, put))
        _raised(await future)
        return found[0]


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
    _add_drawing(app, server)
    _add_latent(app, server)
    _add_files(app, server)
    _add_page(app)
    inner: Any = app
    if cors:
        from starlette.middleware.cors import CORSMiddleware

        inner = CORSMiddleware(
            app,
            allow_origins=list(cors),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    guard = Guard(inner, token=token, hosts=hosts, metrics=server.metrics)
    _add_health(app, server, guard)
    return guard


# -- drawing


def _add_drawing(app: FastAPI, server: Server) -> None:
    def post(path: str, summary: str) -> Callable[[Any], Any]:
        return app.post(f"/api/v1/{path}", summary=summary, response_model=forms.DrawingsAnswer, responses=STREAMED)

    @app.get("/api/v1/models", summary="The models; the first is the default", responses=PROBLEMS)
    async def models() -> forms.ModelsAnswer:
        return forms.ModelsAnswer(models=[_about(name, model) for name, model in server.engine.models.items()])

    @post("sample", "New drawings")
    async def sample(form: forms.SampleForm, request: Request) -> Response:
        name, model = server.model(form.model)
        points = form.n * (form.max_length or model.data.max_length)

        def plan(model: SketchRNN, _: Encoded) -> list[Wanted]:
            return wanted_samples(
                model, form.n, temperature=form.temperature, seed=form.seed, max_length=form.max_length
            )

        return await _draw(server, request, name, [], plan, points, form.seed)

    @post("complete", "Endings for an unfinished drawing")
    async def complete(form: forms.CompleteForm, request: Request) -> Response:
        name, model = server.model(form.model)
        prefix = form.drawing.drawing()
        longest = form.max_length or max(model.data.max_length, len(prefix) + forms.ROOM)

        def plan(model: SketchRNN, _: Encoded) -> list[Wanted]:
            return wanted_endings(
                model,
                prefix,
                form.n,
                temperature=form.temperature,
                seed=form.seed,
                z=form.z,
                max_length=longest,
            )

        return await _draw(server, request, name, [], plan, form.n * longest, form.seed, form.drawing.lines)

    @post("reconstruct", "What a conditional model sees in a drawing, n for each temperature")
    async def reconstruct(form: forms.ReconstructForm, request: Request) -> Response:
        name, model = _conditional(server, form.model)

        def plan(model: SketchRNN, encoded: Encoded) -> list[Wanted]:
            return [
                wanted
                for temperature in form.temperatures
                for wanted in wanted_of_z(model, encoded[0], n=form.n, temperature=temperature, seed=form.seed)
            ]

        points = form.n * len(form.temperatures) * model.data.max_length
        return await _draw(server, request, name, [form.drawing.drawing()], plan, points, form.seed)

    @post("interpolate", "The way from one drawing to another")
    async def interpolate(form: forms.InterpolateForm, request: Request) -> Response:
        name, model = _conditional(server, form.model)

        def plan(model: SketchRNN, encoded: Encoded) -> list[Wanted]:
            z = between(*encoded[0], steps=form.steps, method=form.method)
            return wanted_of_z(model, z, temperature=form.temperature, seed=form.seed)

        ends = [form.a.drawing(), form.b.drawing()]
        return await _draw(server, request, name, ends, plan, form.steps * model.data.max_length, form.seed)

    @post("analogy", "A + (B - C)")
    async def analogy(form: forms.AnalogyForm, request: Request) -> Response:
        name, model = _conditional(server, form.model)

        def plan(model: SketchRNN, encoded: Encoded) -> list[Wanted]:
            z_a, z_b, z_c = encoded[0]
            return wanted_of_z(model, z_a + (z_b - z_c), n=form.n, temperature=form.temperature, seed=form.seed)

        three = [form.a.drawing(), form.b.drawing(), form.c.drawing()]
        return await _draw(server, request, name, three, plan, form.n * model.data.max_length, form.seed)

    @post("decode", "Drawings of latent vectors")
    async def decode(form: forms.DecodeForm, request: Request) -> Response:
        name, model = _conditional(server, form.model)

        def plan(model: SketchRNN, _: Encoded) -> list[Wanted]:
            return wanted_of_z(model, form.z, n=form.n, temperature=form.temperature, seed=form.seed)

        if any(len(z) != model.config.z_size for z in form.z):
            raise ValueError(f"z must have {model.config.z_size} numbers for the model {name}")
        points = form.n * len(form.z) * model.data.max_length
        return await _draw(server, request, name, [], plan, points, form.seed)


async def _draw(
    server: Server,
    request: Request,
    name: str,
    drawings: Sequence[Drawing],
    plan: Callable[[SketchRNN, Encoded], list[Wanted]],
    points: int,
    seed: int,
    given: Sequence[Line] = (),
) -> Response:
    """The answer with what `plan` wants: as a whole, or as a stream where that is asked for."""
    if points > forms.MOST_DRAWN_POINTS:
        raise ValueError(
            f"these are up to {points:,} points, and a request may have {forms.MOST_DRAWN_POINTS:,} drawn: "
            "ask for fewer drawings, or a smaller max_length"
        )
    streams = NDJSON in request.headers.get("accept", "")
    loop, events = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | list[Drawing] | Exception]()

    def put(event: dict[str, Any] | list[Drawing] | Exception) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(events.put_nowait, event)

    def on_points(number: int, rows: Points, ended: bool) -> None:
        if len(rows):
            put({"drawing": number, "points": [[x, y, int(pen)] for x, y, pen in rows.tolist()]})
        if ended:
            put({"drawing": number, "end": True})

    job = Job(name, drawings, plan, points, put, on_points if streams else None)
    server.engine.submit(job)
    gone = asyncio.create_task(_gone(request))
    try:
        first = await _first(events, gone)
    except BaseException:
        server.engine.forget(job)
        gone.cancel()
        raise
    if streams and not isinstance(first, Exception):
        return _Stream(server, job, events, first, gone)
    gone.cancel()
    if first is None:
        server.engine.forget(job)
        return Response(status_code=499)  # nobody reads it
    prefix = sum(map(len, given))
    made = [wire(continued(given, each.stroke3[prefix:]), each.label) for each in _raised(first)]
    return _json({"drawings": made, "model": name, "seed": seed})


class _Stream(Response):
    """The events of a job, a line each, as they come; gives the job up when its client goes."""

    media_type = NDJSON

    def __init__(
        self, server: Server, job: Job, events: asyncio.Queue[Any], first: Any, gone: asyncio.Task[None]
    ) -> None:
        self.status_code, self.background, self.body = 200, None, b""
        self.init_headers({"X-Accel-Buffering": "no"})  # proxies must not wait for the end
        del self.headers["content-length"]
        self._server, self._job, self._events, self._first, self._gone = server, job, events, first, gone

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            event, last = self._first, False
            while event is not None and not last:
                lines = []
                while event is not None:
                    line, last = _line(event)
                    lines.append(line)
                    event = None if last or self._events.empty() else self._events.get_nowait()
                await send({"type": "http.response.body", "body": b"".join(lines), "more_body": not last})
                event = None if last else await _first(self._events, self._gone)
        finally:
            self._gone.cancel()
            self._server.engine.forget(self._job)


def _line(event: dict[str, Any] | list[Drawing] | Exception) -> tuple[bytes, bool]:
    """A line of a stream, and whether it is the last."""
    if isinstance(event, dict):
        return json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n", False
    last = {"error": _sentence(event)[1]} if isinstance(event, Exception) else {"done": True}
    return json.dumps(last).encode() + b"\n", True


async def _gone(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _first(events: asyncio.Queue[Any], gone: asyncio.Task[None]) -> Any:
    """The next event; None when the client went before it came."""
    if not events.empty():
        return events.get_nowait()
    getting = asyncio.create_task(events.get())
    try:
        await asyncio.wait({getting, gone}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()


# -- the latent space


def _add_latent(app: FastAPI, server: Server) -> None:
    @app.post(
        "/api/v1/encode", summary="mu and sigma of drawings", response_model=forms.EncodedAnswer, responses=PROBLEMS
    )
    async def encode(form: forms.EncodeForm) -> Response:
        name, _ = _conditional(server, form.model)
        mu, sigma = await server.encoded(name, [each.drawing() for each in form.drawings])
        return _json({"mu": mu.tolist(), "sigma": sigma.tolist()})

    @app.post(
        "/api/v1/density",
        summary="What a model expects at each point of a drawing",
        response_model=forms.DensityAnswer,
        responses=PROBLEMS,
    )
    async def expected(form: forms.DensityForm) -> Response:
        _, model = server.model(form.model)
        drawing = form.drawing.drawing()
        if not form.last and len(drawing) > MOST_DENSITY_POINTS:
            raise ValueError(
                f"there are {len(drawing):,} points; densities are given of {MOST_DENSITY_POINTS:,}, or of the last"
            )
        mixture = await server.run(lambda: density(model, model.placed(drawing), form.z))
        rows = slice(-1, None) if form.last else slice(None)
        most = float(np.finfo(np.float32).max)
        return _json(
            {name: np.nan_to_num(values[rows], posinf=most).tolist() for name, values in vars(mixture).items()}
        )

    @app.get("/api/v1/map", summary="Drawings laid out by mu", response_model=forms.MapAnswer, responses=PROBLEMS)
    async def latent(
        model: Annotated[str | None, Query(max_length=200)] = None, method: Literal["pca"] = "pca"
    ) -> Response:
        name, _ = _conditional(server, model)
        if name not in server.maps:
            server.maps[name] = asyncio.create_task(_map(server, name))
        try:
            content = await asyncio.shield(server.maps[name])
        except Exception:
            server.maps.pop(name, None)
            raise
        return Response(content, media_type="application/json", headers={"Cache-Control": "private, max-age=3600"})


async def _map(server: Server, name: str) -> bytes:
    model = server.engine.models[name]
    if server.data is not None and len(server.data.test):
        drawings = latent_map.spread(server.data.test, model.data.max_length)
        source = f"test drawings of {server.data.info.name or server.data.folder.name}"
    else:
        future, put = _bridge()
        points = latent_map.MOST * model.data.max_length
        server.engine.submit(
            Job(name, [], lambda model, _: wanted_samples(model, latent_map.MOST, seed=0), points, put)
        )
        drawings = [each for each in _raised(await future) if len(each)]
        source = "samples of the model"
    if len(drawings) < 3:
        raise ValueError("there are fewer than three drawings to make a map of")
    parts = [(await server.encoded(name, drawings[i : i + 16]))[0] for i in range(0, len(drawings), 16)]
    mu = np.concatenate(parts)
    places, explained = latent_map.principal_components(mu)
    points_there = [
        {
            "x": round(x, 5),
            "y": round(y, 5),
            "z": [round(value, 4) for value in z],
            "drawing": wire([line.round(3).tolist() for line in drawing.lines()], drawing.label),
        }
        for (x, y), z, drawing in zip(places.tolist(), mu.tolist(), drawings, strict=True)
    ]
    answer = {"method": "pca", "explained": explained, "source": source, "points": points_there}
    return json.dumps(answer, allow_nan=False).encode()


# -- files


def _add_files(app: FastAPI, server: Server) -> None:
    @app.post(
        "/api/v1/read",
        summary="The drawings of a file: SVG, ndjson, npz, bin or InkML",
        response_model=forms.FileAnswer,
        responses=PROBLEMS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def read(
        request: Request,
        name: Annotated[
            str, Query(pattern=r"^[\w][\w .()-]{0,99}\.(svg|ndjson|npz|bin|inkml|SVG)$", examples=["cat.svg"])
        ],
        model: Annotated[
            str | None,
            Query(
                max_length=200, description="Bring SVG, InkML and raw drawings to the size and detail of this model's."
            ),
        ] = None,
    ) -> Response:
        fit = []
        if model is not None:
            data = server.model(model)[1].data
            fit = [str(data.size), str(data.max_length)]
        content = await request.body()
        async with server.turn():
            answer = await _read(name, content, fit)
        if "error" in answer:
            raise ValueError(answer["error"])
        return _json(answer)

    @app.post(
        "/api/v1/write",
        summary="A picture of drawings",
        response_class=Response,
        responses=PROBLEMS
        | {
            200: {
                "description": "The picture.",
                "content": {
                    kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in ("image/svg+xml", "image/png", "image/gif", NDJSON)
                },
            }
        },
    )
    async def write(
        form: forms.WriteForm, format: Annotated[Literal["svg", "png", "gif", "ndjson"], Query()]
    ) -> Response:
        drawings = [each.drawing() for each in form.drawings]
        if not any(map(len, drawings)):
            raise ValueError("there is no point in these drawings")
        if format == "gif" and len(drawings) * form.cell**2 > MOST_FILM_PIXELS:
            raise ValueError(f"a film may have {MOST_FILM_PIXELS:,} pixels; send fewer drawings, or a smaller cell")
        async with server.turn():
            content = await asyncio.to_thread(_written, drawings, format, form.columns, form.cell)
        kinds = {"svg": "image/svg+xml", "ndjson": NDJSON}
        return Response(content, media_type=kinds.get(format, f"image/{format}"))


async def _read(name: str, content: bytes, fit: Sequence[str]) -> dict[str, Any]:
    """What `web.reader` says of a file."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "sketchrnn.web.reader", name, *fit),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **threads},
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(content), READ_SECONDS)
        answer: dict[str, Any] = json.loads(out) if process.returncode == 0 else {}
    except TimeoutError:
        answer = {}
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return answer or {"error": f"{name} takes too long to read or needs too much memory; send a simpler drawing"}


def _written(drawings: Sequence[Drawing], format: str, columns: int | None, cell: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"drawings.{format}"
        if format == "ndjson":
            sketchrnn.write(drawings, path)
        else:
            sketchrnn.write(drawings, path, columns=columns, cell=cell)
        return path.read_bytes()


# -- health, the page, errors


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


def _handle_errors(app: FastAPI) -> None:
    def problem(_: Request, error: Exception) -> Response:
        status, sentence, headers = _sentence(error)
        return _json({"detail": sentence}, status, headers)

    for kind in (ValueError, RequestValidationError, HTTPException, Overloaded, TooLong, Exception):
        app.exception_handler(kind)(problem)


def _sentence(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, sentence and headers of what went wrong."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
        said = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "json_invalid":
            return 400, "the request is not JSON", {}
        if not place:
            return 422, "the request must be a JSON object, sent with Content-Type: application/json", {}
        return 422, f"{place}: {said[:1].lower()}{said[1:]}"[:500], {}
    if isinstance(error, HTTPException):
        return error.status_code, PLAIN.get(str(error.detail), str(error.detail)), dict(error.headers or {})
    if isinstance(error, Overloaded):
        return 503, "there is too much to do at the moment; try again in a few seconds", {"Retry-After": "2"}
    if isinstance(error, TooLong):
        return 503, "this took longer than a request may; ask for less", {"Retry-After": "5"}
    if isinstance(error, ValueError):
        return 422, " ".join(str(error).split()), {}
    return 500, "the server failed; its log says how", {}


# -- small parts


def _about(name: str, model: SketchRNN) -> forms.ModelAnswer:
    config, data = model.config, model.data
    return forms.ModelAnswer(
        name=name,
        conditional=config.conditional,
        encoder_cell=config.encoder_cell if config.conditional else None,
        decoder_cell=config.decoder_cell,
        z_size=config.z_size if config.conditional else None,
        num_mixtures=config.num_mixtures,
        decoder_size=config.decoder_size,
        max_length=data.max_length,
        scale_factor=data.scale_factor,
        size=data.size,
        labels=list(data.labels),
        data=data.name,
        licence=data.licence,
        parameters=model.num_parameters,
    )


def _conditional(server: Server, name: str | None) -> tuple[str, SketchRNN]:
    name, model = server.model(name)
    if not model.config.conditional:
        raise ValueError(f"the model {name} has no encoder and no z: it samples and completes")
    return name, model


def _bridge() -> tuple[asyncio.Future[Any], Callable[[Any], None]]:
    """A future of this loop, and what gives it its result from another thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any) -> None:
        if not future.done():
            future.set_result(result)

    def put(result: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result)

    return future, put


def _raised(result: Any) -> Any:
    """The result; an exception is raised."""
    if isinstance(result, Exception):
        raise result
    return result


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Response(text, status, headers, media_type="application/json")
