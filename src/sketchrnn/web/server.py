"""What the requests share: the engine, the lines for other work, and how an error is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.generate import Wanted
from sketchrnn.model.network import SketchRNN
from sketchrnn.web.engine import Encoded, Ending, Engine, Job, Overloaded, TooLong
from sketchrnn.web.forms import Problem
from sketchrnn.web.metrics import Metrics

MOST_IN_LINE = 16

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
        503: "There is too much to do, or the server is ending: Retry-After says when to come again. Without that "
        "header it took too long.",
        500: "The server failed.",
    }.items()
}


class Line:
    """Work of a kind that is done a few at a time, while a few more wait."""

    def __init__(self, at_once: int) -> None:
        self.turns = asyncio.Semaphore(at_once)
        self._in_line = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line; Overloaded where it is long."""
        if self._in_line >= MOST_IN_LINE:
            raise Overloaded
        self._in_line += 1
        try:
            yield
        finally:
            self._in_line -= 1

    async def thread(self, work: Callable[[], Any]) -> Any:
        """What `work` returns on a thread, when it has its turn; a turn lasts until the thread has ended."""
        await self.turns.acquire()
        working = asyncio.get_running_loop().run_in_executor(None, work)
        working.add_done_callback(lambda _: self.turns.release())
        return await asyncio.shield(working)


class Server:
    """What the requests share."""

    def __init__(self, models: Mapping[str, SketchRNN], data: Dataset | None) -> None:
        self.engine = Engine(models)
        self.data = data
        self.metrics = Metrics()
        self.maps: dict[str, asyncio.Task[bytes]] = {}
        self.files = Line(2)
        self.densities = Line(1)

    def model(self, name: str | None) -> tuple[str, SketchRNN]:
        if name is None:
            return next(iter(self.engine.models.items()))
        if name not in self.engine.models:
            raise HTTPException(404, f"there is no model {name!r}; there are {', '.join(self.engine.models)}")
        return name, self.engine.models[name]

    def conditional(self, name: str | None) -> tuple[str, SketchRNN]:
        name, model = self.model(name)
        if not model.config.conditional:
            raise ValueError(f"the model {name} has no encoder and no z: it samples and completes")
        return name, model

    async def drawn(
        self,
        name: str,
        drawings: Sequence[Drawing],
        plan: Callable[[SketchRNN, Encoded], Sequence[Wanted]],
        points: int,
    ) -> list[Drawing]:
        """What becomes of a job; it is given up when this is cancelled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Drawing] | Exception] = loop.create_future()

        def settle(result: list[Drawing] | Exception) -> None:
            if not future.done():
                future.set_result(result)

        def on_done(result: list[Drawing] | Exception) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result)

        job = Job(name, drawings, plan, points, on_done)
        self.engine.submit(job)
        try:
            result = await future
        finally:
            self.engine.forget(job)
        if isinstance(result, Exception):
            raise result
        return result

    async def encoded(self, name: str, drawings: Sequence[Drawing]) -> Encoded:
        """mu and sigma of drawings, encoded along with those of others."""
        found: list[Encoded] = []

        def plan(_: SketchRNN, encoded: Encoded) -> list[Wanted]:
            found.append(encoded)
            return []

        await self.drawn(name, drawings, plan, 0)
        return found[0]


async def while_there(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` returns; it is cancelled when the client goes. The body of the request must have been read."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def gone(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def sentence(error: Exception) -> tuple[int, str, dict[str, str]]:
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
    if isinstance(error, ClientDisconnect):
        return 499, "the client has gone", {}  # nobody reads it
    if isinstance(error, Overloaded):
        return 503, "there is too much to do at the moment; try again in a few seconds", {"Retry-After": "2"}
    if isinstance(error, Ending):
        return 503, "the server is ending; try again in a few seconds", {"Retry-After": "5"}
    if isinstance(error, TooLong):
        return 503, "this took longer than a request may; ask for less", {}
    if isinstance(error, ValueError):
        return 422, " ".join(str(error).split()), {}
    return 500, "the server failed; its log says how", {}


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Response(text, status, headers, media_type="application/json")
