"""One thread that owns the models and draws for everybody at once.

What arrives together, or while others are drawn, is computed in one batch. Between any two steps a request may join,
and one whose client has gone leaves. The answer to a request does not depend on the others: see `generate.Batch`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.generate import Batch, Growing, Wanted
from sketchrnn.model.network import SketchRNN

log = logging.getLogger(__name__)

WINDOW = 0.002  # seconds that a first request waits for others, so that they begin together
PLACES = 256  # drawings of a model that grow at the same time
MOST_JOBS = 512
MOST_CALLS = 16  # that wait for the engine's thread
MOST_POINTS = 500_000  # that all jobs together may still want
SECONDS = 60.0  # that a job may take
STEP_SECONDS = 0.02  # how long a step of a batch should take: then others get their turn, and points are sent
MOST_STEPS = 32

Encoded = tuple[NDArray[np.float32], NDArray[np.float32]]
Points = NDArray[np.float32]


class Overloaded(Exception):
    """There is too much to do: the request should come again later."""


class TooLong(Exception):
    """The request took longer than a request may."""


@dataclass(eq=False)
class Job:
    """What one request wants of a model: drawings to be drawn, and before that some to be encoded.

    The functions are called on the engine's thread, and must not block.
    """

    model: str
    drawings: Sequence[Drawing]
    """To be encoded first; none for a model without encoder."""
    plan: Callable[[SketchRNN, Encoded], Sequence[Wanted]]
    """From mu and sigma of those to what is wanted; its ValueError is the person's fault."""
    points: int
    """The most that it may draw, for the engine to know how much there is to do."""
    on_done: Callable[[list[Drawing] | Exception], None]
    on_points: Callable[[int, Points, bool], None] | None = None
    """New points of a drawing, and whether it has ended; None where only the whole is wanted."""
    growing: list[Growing] = field(default_factory=list)
    running: int = 0
    """Drawings that have not ended."""
    until: float = 0.0
    gone: bool = False
    """Nobody waits for it any more."""


class Engine:
    """Draws for everybody, on a thread of its own."""

    def __init__(self, models: Mapping[str, SketchRNN]) -> None:
        self.models = dict(models)
        self.points_drawn = 0
        self._batches: dict[str, Batch] = {}
        self._pace: dict[str, float] = {}  # seconds that a point of all drawings of a model took the last time
        self._jobs: dict[Job, None] = {}  # in order; those that wait for their turn too
        self._new: deque[Job] = deque()
        self._owner: dict[Growing, tuple[Job, int]] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sketchrnn engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what it had to do is given up."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    @property
    def num_jobs(self) -> int:
        return len(self._jobs)

    @property
    def num_drawings(self) -> int:
        """Drawings that grow or wait."""
        return len(self._owner)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Takes a job; it answers by `on_points` and `on_done`.

        Raises:
            Overloaded: there is too much to do.
        """
        with self._wake:
            waiting = sum(each.points for each in self._jobs)
            if self._stopping or len(self._jobs) >= MOST_JOBS or (self._jobs and waiting + job.points > MOST_POINTS):
                raise Overloaded
            job.until = time.monotonic() + SECONDS
            self._jobs[job] = None
            self._new.append(job)
            self._wake.notify()

    def call(self, work: Callable[[], Any], on_done: Callable[[Any], None]) -> None:
        """Runs `work` on the engine's thread, between two steps; `on_done` gets what it returns or raises.

        Raises:
            Overloaded: there is too much to do.
        """

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                result = error
            on_done(result)

        with self._wake:
            if self._stopping or len(self._calls) >= MOST_CALLS:
                raise Overloaded
            self._calls.append(run)
            self._wake.notify()

    def forget(self, job: Job) -> None:
        """Gives a job up: its client has gone."""
        with self._wake:
            job.gone = True
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._new or self._owner or self._calls or self._stopping):
                    self._wake.wait()
                if self._stopping:
                    return
                idle = not self._owner
            if idle and WINDOW:
                time.sleep(WINDOW)
            try:
                self._turn()
            except Exception as error:  # a bug, or no memory: nobody shall wait for ever
                log.exception("the engine failed")
                self._fail_all(RuntimeError(str(error)))

    def _turn(self) -> None:
        with self._wake:
            new = list(self._new)
            self._new.clear()
            call = self._calls.popleft() if self._calls else None  # one at a time: those who draw wait for it
        if call is not None:
            call()
        now = time.monotonic()
        for job in list(self._jobs):
            if job.gone:
                self._end(job, None)
            elif now > job.until:
                self._end(job, TooLong())
        self._plan([job for job in new if job in self._jobs])
        for name, batch in list(self._batches.items()):
            if len(batch):
                self._grow(name, batch)

    def _plan(self, jobs: Sequence[Job]) -> None:
        """Encodes what is to be encoded, all at once, and lets the drawings begin."""
        for name in dict.fromkeys(job.model for job in jobs):
            model, mine = self.models[name], [job for job in jobs if job.model == name]
            mu, sigma = model.encode_each([drawing for job in mine for drawing in job.drawings])
            first = 0
            for job in mine:
                part = slice(first, first := first + len(job.drawings))
                try:
                    wanted = job.plan(model, (mu[part], sigma[part]))
                except ValueError as error:
                    self._end(job, error)
                    continue
                if name not in self._batches:
                    self._batches[name] = Batch(model, PLACES)
                job.growing = [self._batches[name].add(each) for each in wanted]
                job.running = len(job.growing)
                self._owner |= {each: (job, i) for i, each in enumerate(job.growing)}
                if not job.running:
                    self._end(job, [])

    def _grow(self, name: str, batch: Batch) -> None:
        """Some points more for all drawings of a model, as many as fit into the time."""
        steps = max(1, min(MOST_STEPS, int(STEP_SECONDS / self._pace.get(name, STEP_SECONDS))))
        began = time.perf_counter()
        grown = batch.step(steps)
        self._pace[name] = max(1e-6, (time.perf_counter() - began) / steps)
        for growing in grown:
            if growing not in self._owner:  # its job failed a moment ago, with another of its drawings
                continue
            job, number = self._owner[growing]
            try:
                if job.on_points is not None:
                    points = growing.new_points()
                    if len(points) or growing.ended:
                        job.on_points(number, points, growing.ended)
                if growing.ended:
                    job.running -= 1
                    if not job.running:
                        self._end(job, [each.drawing() for each in job.growing])
            except ValueError as error:  # the model's weights are damaged
                self._end(job, error)

    def _end(self, job: Job, result: list[Drawing] | Exception | None) -> None:
        if job.model in self._batches:
            self._batches[job.model].drop(each for each in job.growing if not each.ended)
        for growing in job.growing:
            self._owner.pop(growing, None)
            self.points_drawn += growing.num_drawn
        with self._wake:
            self._jobs.pop(job, None)
        if result is not None:
            job.on_done(result)

    def _fail_all(self, error: Exception) -> None:
        for job in list(self._jobs):
            self._end(job, error)
        self._batches.clear()
        self._owner.clear()
