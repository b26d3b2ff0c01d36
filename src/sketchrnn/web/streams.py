"""The calls that draw: they answer as a whole, or point by point as it is drawn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from sketchrnn.drawing import Drawing
from sketchrnn.generate import Wanted, between, ending_length, sum_of, wanted_endings, wanted_of_z, wanted_samples
from sketchrnn.model.network import SketchRNN
from sketchrnn.web import forms
from sketchrnn.web.engine import SECONDS, Encoded, Job, Points
from sketchrnn.web.forms import Line, continued, wire
from sketchrnn.web.server import PROBLEMS, Server, gone, json_answer, sentence, while_there

NDJSON = "application/x-ndjson"
SEND_SECONDS = 30  # in which a client must have taken what was sent, or it is let go
STREAM_SECONDS = SECONDS + SEND_SECONDS

STREAMED: dict[int | str, dict[str, Any]] = PROBLEMS | {
    200: {
        "description": "The drawings; with `Accept: application/x-ndjson` line by line as they are drawn: "
        '`{"drawing": i, "points": [[dx, dy, pen], ...]}` (offsets that follow the last point, pen 1 = it lifts after '
        'it; what was given is not repeated), `{"drawing": i, "end": true}`, and last `{"done": true}` or '
        '`{"error": "sentence"}`.',
        "content": {NDJSON: {"schema": {"type": "string"}}},
    }
}


def add_streams(app: FastAPI, server: Server) -> None:
    def post(path: str, summary: str, **more: Any) -> Callable[[Any], Any]:
        return app.post(
            f"/api/v1/{path}", summary=summary, response_model=forms.DrawingsAnswer, responses=STREAMED, **more
        )

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
        longest = form.max_length or ending_length(model, prefix)

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
        name, model = server.conditional(form.model)

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
        name, model = server.conditional(form.model)

        def plan(model: SketchRNN, encoded: Encoded) -> list[Wanted]:
            z = between(*encoded[0], steps=form.steps, method=form.method)
            return wanted_of_z(model, z, temperature=form.temperature, seed=form.seed)

        ends = [form.a.drawing(), form.b.drawing()]
        return await _draw(server, request, name, ends, plan, form.steps * model.data.max_length, form.seed)

    @post("analogy", "A + (B - C)")
    async def analogy(form: forms.AnalogyForm, request: Request) -> Response:
        name, model = server.conditional(form.model)

        def plan(model: SketchRNN, encoded: Encoded) -> list[Wanted]:
            return wanted_of_z(model, sum_of(*encoded[0]), n=form.n, temperature=form.temperature, seed=form.seed)

        three = [form.a.drawing(), form.b.drawing(), form.c.drawing()]
        return await _draw(server, request, name, three, plan, form.n * model.data.max_length, form.seed)

    @post("decode", "Drawings of latent vectors", openapi_extra=_example_of_z(server))
    async def decode(form: forms.DecodeForm, request: Request) -> Response:
        name, model = server.conditional(form.model)

        def plan(model: SketchRNN, _: Encoded) -> list[Wanted]:
            return wanted_of_z(model, form.z, n=form.n, temperature=form.temperature, seed=form.seed)

        if any(len(z) != model.config.z_size for z in form.z):
            raise ValueError(f"z must have {model.config.z_size} numbers for the model {name}")
        points = form.n * len(form.z) * model.data.max_length
        return await _draw(server, request, name, [], plan, points, form.seed)


def _example_of_z(server: Server) -> dict[str, Any]:
    """z of the first model that has one: the form cannot know how many numbers that are."""
    for name, model in server.engine.models.items():
        if model.config.conditional:
            example = {"model": name, "z": [[0.0] * model.config.z_size], "n": 2}
            return {"requestBody": {"content": {"application/json": {"example": example}}}}
    return {}


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
    if NDJSON in request.headers.get("accept", ""):
        return await _stream(server, request, name, drawings, plan, points)
    prefix = sum(map(len, given))
    made = await while_there(request, server.drawn(name, drawings, plan, points))
    lines = [wire(continued(given, each.stroke3[prefix:]), each.label) for each in made]
    return json_answer({"drawings": lines, "model": name, "seed": seed})


async def _stream(
    server: Server,
    request: Request,
    name: str,
    drawings: Sequence[Drawing],
    plan: Callable[[SketchRNN, Encoded], list[Wanted]],
    points: int,
) -> Response:
    """What is drawn, as it is drawn. An error that comes before any point is an answer of its own."""
    loop, events = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | list[Drawing] | Exception]()

    def put(event: dict[str, Any] | list[Drawing] | Exception) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(events.put_nowait, event)

    def on_points(number: int, rows: Points, ended: bool) -> None:
        if len(rows):
            put({"drawing": number, "points": [[x, y, int(pen)] for x, y, pen in rows.tolist()]})
        if ended:
            put({"drawing": number, "end": True})

    job = Job(name, drawings, plan, points, put, on_points)
    server.engine.submit(job)
    try:
        first = await while_there(request, events.get())
        if isinstance(first, Exception):
            raise first
    except BaseException:
        server.engine.forget(job)
        raise
    return _Stream(server, request, job, events, first)


class _Stream(Response):
    """The events of a job, a line each, as they come; gives the job up when its client goes, or does not read."""

    media_type = NDJSON

    def __init__(self, server: Server, request: Request, job: Job, events: asyncio.Queue[Any], first: Any) -> None:
        self.status_code, self.background, self.body = 200, None, b""
        self.init_headers({"X-Accel-Buffering": "no"})  # proxies must not wait for the end
        del self.headers["content-length"]
        self._server, self._request, self._job, self._events, self._first = server, request, job, events, first

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        leaving = asyncio.create_task(gone(self._request))
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                await self._send_all(send, leaving)
        except TimeoutError:  # it is cut off
            pass
        finally:
            leaving.cancel()
            self._server.engine.forget(self._job)

    async def _send_all(self, send: Any, leaving: asyncio.Task[None]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        event, last = self._first, False
        while event is not None and not last:
            lines = []
            while event is not None:
                line, last = _line(event)
                lines.append(line)
                event = None if last or self._events.empty() else self._events.get_nowait()
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": b"".join(lines), "more_body": not last})
            event = None if last else await _first(self._events, leaving)


def _line(event: dict[str, Any] | list[Drawing] | Exception) -> tuple[bytes, bool]:
    """A line of a stream, and whether it is the last."""
    if isinstance(event, dict):
        return json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n", False
    last = {"error": sentence(event)[1]} if isinstance(event, Exception) else {"done": True}
    return json.dumps(last).encode() + b"\n", True


async def _first(events: asyncio.Queue[Any], leaving: asyncio.Task[None]) -> Any:
    """The next event; None when the client went before it came."""
    if not events.empty():
        return events.get_nowait()
    getting = asyncio.create_task(events.get())
    try:
        await asyncio.wait({getting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()
