"""Draws for everybody at once, on a thread that owns the batches; a second thread encodes what is to be encoded first.

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

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.generate import Batch, Growing, Wanted
from sketchrnn.model.network import SketchRNN

log = logging.getLogger(__name__)

WINDOW = 0.002  # seconds that a first request waits for others, so that they begin together
PLACES = 256  # drawings of a model that grow at the same time
MOST_JOBS = 512
MOST_POINTS = 500_000  # that all jobs together may give and still want
SHARE = 4  # a job may be as large as this part of what is left of them: small ones find room when large ones do not
MOST_ENCODED = 5_000  # points that are encoded at once, if not of one job
SECONDS = 60.0  # that a job may take
STEP_SECONDS = 0.02  # how long a step of a batch should take: then others get their turn, and points are sent
MOST_STEPS = 32

Encoded = tuple[NDArray[np.float32], NDArray[np.float32]]
Points = NDArray[np.float32]
NONE: Encoded = np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)


class Overloaded(Exception):
    """There is too much to do: the request should come again later."""


class Ending(Exception):
    """The engine ends: another may do it."""


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
    given: int = field(init=False)
    """Points that are to be encoded."""
    encoded: Encoded | Exception = NONE
    waiting: deque[Wanted] = field(default_factory=deque)
    """Those that have no place yet."""
    growing: list[Growing] = field(default_factory=list)
    """Those that have or had one, in order."""
    num_ended: int = 0
    until: float = 0.0
    gone: bool = False
    """Nobody waits for it any more."""

    def __post_init__(self) -> None:
        self.given = sum(map(len, self.drawings))

    @property
    def num_growing(self) -> int:
        return len(self.growing) - self.num_ended


class Engine:
    """Draws for everybody, on threads of its own."""

    def __init__(self, models: Mapping[str, SketchRNN]) -> None:
        self.models = dict(models)
        self.points_drawn = 0
        self._batches: dict[str, Batch] = {}
        self._pace: dict[str, float] = {}  # seconds that a point of all drawings of a model took the last time
        self._jobs: dict[Job, None] = {}  # in order; those that wait for their turn too
        self._to_encode: list[Job] = []
        self._to_plan: deque[Job] = deque()
        self._planned: dict[Job, None] = {}
        self._owner: dict[Growing, tuple[Job, int]] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=work, name=f"sketchrnn {name}", daemon=True)
            for name, work in (("engine", self._draw), ("encoder", self._encode))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads; those who wait for something are told."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)
        for job in list(self._jobs):
            self._end(job, Ending())

    @property
    def num_jobs(self) -> int:
        return len(self._jobs)

    @property
    def num_drawings(self) -> int:
        """Drawings that grow or wait for a place."""
        with self._wake:
            return sum(job.num_growing + len(job.waiting) for job in self._jobs)

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, job: Job) -> None:
        """Takes a job; it answers by `on_points` and `on_done`.

        Raises:
            Overloaded: there is too much to do.
            Ending: the engine ends.
        """
        with self._wake:
            if self._stopping:
                raise Ending
            left = MOST_POINTS - sum(each.given + each.points for each in self._jobs)
            too_large = bool(self._jobs) and SHARE * (job.given + job.points) > left
            if len(self._jobs) >= MOST_JOBS or too_large:
                raise Overloaded
            job.until = time.monotonic() + SECONDS
            self._jobs[job] = None
            (self._to_encode if job.drawings else self._to_plan).append(job)
            self._wake.notify_all()

    def forget(self, job: Job) -> None:
        """Gives a job up: its client has gone."""
        with self._wake:
            job.gone = True
            self._wake.notify_all()

    def _encode(self) -> None:
        while True:
            with self._wake:
                while not (self._to_encode or self._stopping):
                    self._wake.wait()
                if self._stopping:
                    return
                part = self._next_to_encode()
            there = [job for job in part if not job.gone]
            try:
                model = self.models[part[0].model]
                mu, sigma = model.encode_each([drawing for job in there for drawing in job.drawings])
                first = 0
                for job in there:
                    rows = slice(first, first := first + len(job.drawings))
                    job.encoded = mu[rows], sigma[rows]
            except Exception as error:  # a bug, or no memory: nobody shall wait for ever
                log.exception("the encoder of the model %s failed", part[0].model)
                for job in there:
                    job.encoded = error
            with self._wake:
                self._to_plan.extend(part)
                self._wake.notify_all()

    def _next_to_encode(self) -> list[Job]:
        """Jobs of one model, the small ones first, that have few points together."""
        order, part, points = sorted(self._to_encode, key=lambda job: job.given), list[Job](), 0
        for job in order:
            if job.model == order[0].model and (not part or points + job.given <= MOST_ENCODED):
                part.append(job)
                points += job.given
        self._to_encode = [job for job in self._to_encode if job not in part]
        return part

    def _draw(self) -> None:
        while True:
            with self._wake:
                while not (self._to_plan or self._planned or self._stopping):
                    self._wake.wait()
                if self._stopping:
                    return
                idle = not self._planned
            if idle and WINDOW:
                time.sleep(WINDOW)
            self._turn()

    def _turn(self) -> None:
        with self._wake:
            jobs, new = list(self._jobs), list(self._to_plan)
            self._to_plan.clear()
        now = time.monotonic()
        for job in jobs:
            if job.gone:
                self._end(job, None)
            elif now > job.until:
                self._end(job, TooLong())
        for job in new:
            if job in self._jobs:
                self._plan(job)
        for name in dict.fromkeys(job.model for job in self._planned):
            try:
                self._grow(name)
            except Exception as error:  # a bug, or no memory: it is this model's alone, and nobody shall wait for ever
                log.exception("drawing with the model %s failed", name)
                self._batches.pop(name, None)
                for job in [job for job in self._planned if job.model == name]:
                    self._end(job, RuntimeError(str(error)))

    def _plan(self, job: Job) -> None:
        try:
            if isinstance(job.encoded, Exception):
                raise job.encoded
            job.waiting.extend(job.plan(self.models[job.model], job.encoded))
        except ValueError as error:
            self._end(job, error)
        except Exception as error:
            log.exception("a request to the model %s failed", job.model)
            self._end(job, error)
        else:
            self._planned[job] = None
            if not job.waiting:
                self._end(job, [])

    def _grow(self, name: str) -> None:
        """Some points more for all drawings of a model, as many as fit into the time."""
        if name not in self._batches:
            self._batches[name] = Batch(self.models[name], PLACES)
        batch = self._batches[name]
        self._enter(batch, [job for job in self._planned if job.model == name and job.waiting])
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
                    job.num_ended += 1
                    if not job.num_growing and not job.waiting:
                        self._end(job, [each.drawing() for each in job.growing])
            except ValueError as error:  # the model's weights are damaged
                self._end(job, error)

    def _enter(self, batch: Batch, jobs: Sequence[Job]) -> None:
        """Gives places to one drawing of each job in turn. No job takes more than it leaves free, so that one that
        comes later finds a place however much the others want (dynamic thresholds: Choudhury and Hahne, 1998)."""
        turns = deque(jobs)
        while turns:
            job = turns.popleft()
            if job.num_growing >= batch.free:
                continue
            growing = batch.add(job.waiting.popleft())
            self._owner[growing] = job, len(job.growing)
            job.growing.append(growing)
            if job.waiting:
                turns.append(job)

    def _end(self, job: Job, result: list[Drawing] | Exception | None) -> None:
        if job.model in self._batches:
            self._batches[job.model].drop(each for each in job.growing if not each.ended)
        for growing in job.growing:
            self._owner.pop(growing, None)
            self.points_drawn += growing.num_drawn
        self._planned.pop(job, None)
        with self._wake:
            self._jobs.pop(job, None)
        if result is not None:
            job.on_done(result)
