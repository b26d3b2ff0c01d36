"""Drawings from a model: the six kinds of the paper's experiments, all through one sampler.

Temperature tau: pen and mixture logits are divided by it, variances multiplied. 1 draws as the
model learned, towards 0 more and more certainly, at 0 the most likely point at every step.

Random numbers are a stream of their own for each drawing, made from the seed and the drawing's number among those that
start alike. What comes out for one drawing does not depend, to the last bit, on how many are made along with it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sketchrnn.drawing import Drawing, normalise
from sketchrnn.model.mixture import TemperatureRule, temperatures
from sketchrnn.model.network import SketchRNN
from sketchrnn.model.sampler import Path, Sampler

AT_ONCE = 1024  # drawings on their way at the same time
CHUNK = 16  # points after which those that wait may take the places of those that have ended
TO_THE_END = 2**31 - 1  # points
ENDING_ROOM = 32  # points that an ending may have, however long the drawing is already

EMPTY = Drawing(np.zeros((0, 3), np.float32))
NO_POINTS = EMPTY.stroke5()


@dataclass(frozen=True, kw_only=True, eq=False)
class Wanted:
    """A drawing that is wanted: all that decides, with the model, what it becomes."""

    stream: int
    """The random numbers: the drawing's number among those that start alike."""
    seed: int
    """The same seed draws the same."""
    temperature: float
    """tau."""
    temperature_rule: TemperatureRule = "paper"
    """What tau does to logits and variances."""
    max_length: int
    """It ends after so many points."""
    z: NDArray[np.float32] | None = None
    """(N_z,); None for a decoder-only model."""
    prefix: Drawing = EMPTY
    """What it begins with, in the units of the model's data."""


class Growing:
    """A drawing in a `Batch`."""

    def __init__(self, model: SketchRNN, wanted: Wanted) -> None:
        self.wanted = wanted
        self._model = model
        self._given = model.placed(wanted.prefix).stroke3
        self._told = len(self._given)
        # such a model's first offset is a line from where the pen is put down: that point belongs to a new drawing
        self._pen_down = np.zeros((int(model.data.puts_pen_down and not len(wanted.prefix)), 3), np.float32)
        self._path: Path | None = None

    @property
    def ended(self) -> bool:
        return self._path is not None and self._path.ended

    @property
    def num_drawn(self) -> int:
        """Points that the model drew."""
        return max(0, self._path.length - len(self._given)) if self._path else 0

    def new_points(self) -> NDArray[np.float32]:
        """(k, 3) stroke-3 rows drawn since the last call, in the units of the model's data, without what was given.

        Raises:
            ValueError: the model drew a point that is not finite.
        """
        if self._path is None:
            return np.zeros((0, 3), np.float32)
        first, self._told = self._told, max(self._told, self._path.length)
        return self._in_own_units(first, self._told)

    def drawing(self) -> Drawing:
        """The drawing as it is by now.

        Raises:
            ValueError: as `new_points`.
        """
        prefix, labels = self.wanted.prefix, self._model.data.labels
        drawn = self._in_own_units(len(self._given), self._path.length) if self._path else EMPTY.stroke3
        # what was given is as it was given: neither clamped nor rounded
        return Drawing(np.concatenate([prefix.stroke3, drawn]), labels[0] if len(labels) == 1 else None)

    def start(self) -> Path:
        """The path, with its random numbers."""
        wanted, given = self.wanted, self._given
        outside = len(self._pen_down) + len(wanted.prefix) - len(given)  # points of which the decoder knows nothing
        longest = max(1, wanted.max_length - outside)
        uniform, normal = _random_numbers(wanted.seed, wanted.stream, longest - len(given))
        points = Drawing(normalise(given, self._model.data.scale_factor)).stroke5() if len(given) else NO_POINTS
        rows = np.empty((longest, 3), np.float32)
        tau = temperatures(wanted.temperature, wanted.temperature_rule)
        self._path = Path(wanted.z, points, uniform, normal, tau, rows)
        return self._path

    def _in_own_units(self, first: int, end: int) -> NDArray[np.float32]:
        """Rows of the path, from where the pen is put down."""
        assert self._path is not None
        factor = self._model.data.scale_factor
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told below
            rows = self._path.rows[first:end] * np.array([factor, factor, 1], np.float32)
        if not np.isfinite(rows).all():
            raise ValueError(
                "the model drew a point that is not finite: its weights are damaged, or it learned too fast"
            )
        return np.concatenate([self._pen_down, rows])[: self.wanted.max_length] if first == 0 < end else rows


class Batch:
    """Drawings of one model that grow side by side; others may join, and leave, between any two steps.

    Each becomes what it would have become alone. `sample` and all the others draw through it, and so does the server.
    One thread at a time may use it. It keeps the model's weights as they are when it is made.
    """

    def __init__(self, model: SketchRNN, places: int | None = None) -> None:
        """
        Args:
            model: any model.
            places: how many may grow at the same time, `AT_ONCE` if None; the others wait.
        """
        self.model = model
        self._sampler = Sampler(model, AT_ONCE if places is None else places)
        self._waiting: deque[Growing] = deque()
        self._growing: dict[Growing, Path] = {}

    def __len__(self) -> int:
        """Drawings that grow or wait."""
        return len(self._growing) + len(self._waiting)

    @property
    def free(self) -> int:
        """Drawings more that would begin to grow with the next step."""
        return self._sampler.free - len(self._waiting)

    def add(self, wanted: Wanted) -> Growing:
        """Takes a drawing in; it begins to grow with the next step for which there is a place."""
        growing = Growing(self.model, wanted)
        self._waiting.append(growing)
        return growing

    def drop(self, drawings: Iterable[Growing]) -> None:
        """Gives drawings up."""
        gone = set(drawings)
        self._sampler.leave(self._growing.pop(each) for each in gone if each in self._growing)
        self._waiting = deque(each for each in self._waiting if each not in gone)

    def step(self, points: int) -> list[Growing]:
        """So many points more (a point that is given counts too); those that grew, ended or not."""
        entering = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._sampler.free))]
        self._growing |= {each: each.start() for each in entering}
        self._sampler.enter([self._growing[each] for each in entering])
        self._sampler.step(points)
        grown = list(self._growing)
        self._growing = {each: path for each, path in self._growing.items() if not path.ended}
        return grown


def draw(model: SketchRNN, wanted: Sequence[Wanted]) -> list[Drawing]:
    """The drawings that are wanted, in order."""
    batch = Batch(model, min(AT_ONCE, len(wanted)))
    growing = [batch.add(each) for each in wanted]
    while batch:
        batch.step(TO_THE_END if len(wanted) <= AT_ONCE else CHUNK)
    return [each.drawing() for each in growing]


def sample(
    model: SketchRNN,
    n: int = 1,
    *,
    temperature: float = 0.4,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    max_length: int | None = None,
) -> list[Drawing]:
    """New drawings: z from N(0, I) where the model is conditional, then the decoder.

    Args:
        model: any model.
        n: how many.
        temperature: tau.
        seed: the same seed draws the same drawings; drawing i is the same for every n.
        temperature_rule: what tau does, as `mixture.temperatures` tells it; other programs' ways, for parity with them.
        max_length: end a drawing after so many points; N_max of the model's data if None.

    Returns:
        n drawings in the units of the model's data.

    Raises:
        ValueError: n or the temperature is negative.
    """
    wanted = wanted_samples(
        model, n, temperature=temperature, seed=seed, temperature_rule=temperature_rule, max_length=max_length
    )
    return draw(model, wanted)


def decode(
    model: SketchRNN,
    z: ArrayLike,
    *,
    n: int = 1,
    temperature: float = 0.4,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    max_length: int | None = None,
) -> list[Drawing]:
    """Drawings of given latent vectors.

    Args:
        model: a conditional model.
        z: (k, N_z) or (N_z,).
        n: drawings of each z.
        temperature, seed, temperature_rule, max_length: as in `sample`. Equal numbers serve every z, so that only z
            makes the difference.

    Returns:
        k n drawings, those of the first z first.

    Raises:
        ValueError: the model has no z, or z is not finite or of another size.
    """
    wanted = wanted_of_z(
        model, z, n=n, temperature=temperature, seed=seed, temperature_rule=temperature_rule, max_length=max_length
    )
    return draw(model, wanted)


def reconstruct(
    model: SketchRNN,
    drawings: Drawing | Sequence[Drawing],
    *,
    n: int = 1,
    temperature: float = 0.2,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    sample_z: bool = False,
) -> list[Drawing]:
    """What a conditional model sees in drawings: each is encoded and drawn again from its z.

    Args:
        model: a conditional model.
        drawings: in the units of the model's data.
        n: reconstructions of each.
        temperature, seed, temperature_rule: as in `sample`.
        sample_z: draw z from N(mu, sigma); else z = mu.

    Returns:
        n drawings for each given, in order.
    """
    _require_conditional(model)
    _check(n, temperature, seed, temperature_rule)
    given = [drawings] if isinstance(drawings, Drawing) else list(drawings)
    mu, sigma = model.encode_each(given)
    if not sample_z:
        return decode(model, mu, n=n, temperature=temperature, seed=seed, temperature_rule=temperature_rule)
    z = (mu[:, None] + sigma[:, None] * _normal(seed, range(n), model.config.z_size)).reshape(-1, model.config.z_size)
    streams = list(range(n)) * len(given)
    return draw(model, _wanted(model, z, streams, temperature=temperature, seed=seed, rule=temperature_rule))


def interpolate(
    model: SketchRNN,
    a: Drawing,
    b: Drawing,
    *,
    steps: int = 10,
    method: Literal["spherical", "linear"] = "spherical",
    temperature: float = 0.2,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
) -> list[Drawing]:
    """The way from one drawing to another through the latent space.

    Args:
        model: a conditional model.
        a, b: the ends, in the units of the model's data.
        steps: drawings on the way, both ends included.
        method: along the arc between z_a and z_b, or straight.
        temperature, seed, temperature_rule: as in `sample`.

    Returns:
        `steps` drawings, from a's reconstruction to b's.
    """
    _require_conditional(model)
    way = between(*model.encode_each([a, b])[0], steps=steps, method=method)
    return decode(model, way, temperature=temperature, seed=seed, temperature_rule=temperature_rule)


def analogy(
    model: SketchRNN,
    a: Drawing,
    b: Drawing,
    c: Drawing,
    *,
    n: int = 1,
    temperature: float = 0.2,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
) -> list[Drawing]:
    """Arithmetic with drawings: z = z_a + (z_b - z_c).

    Args:
        model: a conditional model.
        a, b, c: in the units of the model's data.
        n: drawings of the result.
        temperature, seed, temperature_rule: as in `sample`.
    """
    _require_conditional(model)
    z = sum_of(*model.encode_each([a, b, c])[0])
    return decode(model, z, n=n, temperature=temperature, seed=seed, temperature_rule=temperature_rule)


def complete(
    model: SketchRNN,
    prefix: Drawing,
    *,
    n: int = 1,
    temperature: float = 0.8,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    z: ArrayLike | None = None,
    max_length: int | None = None,
) -> list[Drawing]:
    """Endings of an incomplete drawing: the decoder reads what is there, then draws on.

    A conditional model needs a z for what the whole may become: a new one from N(0, I) for every ending, unless one is
    given. The encoder's z of what is there says that this is all: with it the model adds a stroke and stops.

    Args:
        model: any model.
        prefix: what is there, in the units of the model's data; it may be empty.
        n: endings.
        temperature, seed, temperature_rule: as in `sample`.
        z: (N_z,) or (n, N_z), for a conditional model.
        max_length: end after so many points in all; N_max of the model's data if None.

    Returns:
        n drawings, each beginning with the points of `prefix`.

    Raises:
        ValueError: `prefix` is as long as a drawing may become, or z does not fit.
    """
    wanted = wanted_endings(
        model,
        prefix,
        n,
        temperature=temperature,
        seed=seed,
        temperature_rule=temperature_rule,
        z=z,
        max_length=max_length,
    )
    return draw(model, wanted)


def wanted_samples(
    model: SketchRNN,
    n: int = 1,
    *,
    temperature: float = 0.4,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    max_length: int | None = None,
) -> list[Wanted]:
    """What `sample` draws."""
    _check(n, temperature, seed, temperature_rule)
    z = _normal(seed, range(n), model.config.z_size) if model.config.conditional else None
    return _wanted(model, z, range(n), temperature=temperature, seed=seed, rule=temperature_rule, max_length=max_length)


def wanted_of_z(
    model: SketchRNN,
    z: ArrayLike,
    *,
    n: int = 1,
    temperature: float = 0.4,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    max_length: int | None = None,
) -> list[Wanted]:
    """What `decode` draws, and with their z also `reconstruct`, `interpolate` and `analogy`."""
    _require_conditional(model)
    _check(n, temperature, seed, temperature_rule)
    rows = model.check_z(z)
    streams, z = list(range(n)) * len(rows), rows.repeat(n, axis=0)
    return _wanted(model, z, streams, temperature=temperature, seed=seed, rule=temperature_rule, max_length=max_length)


def wanted_endings(
    model: SketchRNN,
    prefix: Drawing,
    n: int = 1,
    *,
    temperature: float = 0.8,
    seed: int = 0,
    temperature_rule: TemperatureRule = "paper",
    z: ArrayLike | None = None,
    max_length: int | None = None,
) -> list[Wanted]:
    """What `complete` draws."""
    _check(n, temperature, seed, temperature_rule)
    longest = model.data.max_length if max_length is None else max_length
    if len(prefix) >= longest:
        raise ValueError(
            f"the drawing to complete has {len(prefix)} points already and the model ends drawings at {longest}: "
            "give fewer points, or a larger max_length"
        )
    latent: NDArray[np.float32] | None = None
    if model.config.conditional:
        if z is None:
            latent = _normal(seed, range(n), model.config.z_size)
        else:
            rows = model.check_z(z)
            if len(rows) not in (1, n):
                raise ValueError(f"there are {len(rows)} z for {n} endings; give one, or one for each")
            latent = np.array(np.broadcast_to(rows, (n, model.config.z_size)))
    elif z is not None:
        model.check_z(z)
    return _wanted(
        model,
        latent,
        range(n),
        temperature=temperature,
        seed=seed,
        rule=temperature_rule,
        max_length=longest,
        prefix=prefix,
    )


def ending_length(model: SketchRNN, prefix: Drawing) -> int:
    """Where a drawing that is gone on with ends if nothing else is said: at N_max, or later, so that an ending fits."""
    return max(model.data.max_length, len(prefix) + ENDING_ROOM)


def between(
    z_a: NDArray[np.float32],
    z_b: NDArray[np.float32],
    *,
    steps: int = 10,
    method: Literal["spherical", "linear"] = "spherical",
) -> NDArray[np.float32]:
    """(steps, N_z): the way from z_a to z_b, both included."""
    if steps < 2:
        raise ValueError(f"steps is {steps}; a way has at least its two ends")
    if method not in ("spherical", "linear"):
        raise ValueError(f"method is {method!r}, not spherical or linear")
    path = slerp if method == "spherical" else lerp
    return np.stack([path(z_a, z_b, t) for t in np.linspace(0, 1, steps)])


def sum_of(z_a: NDArray[np.float32], z_b: NDArray[np.float32], z_c: NDArray[np.float32]) -> NDArray[np.float32]:
    """z_a + (z_b - z_c): what `analogy` draws."""
    return z_a + (z_b - z_c)


def typical_size(model: SketchRNN, *, n: int = 64, seed: int = 0) -> float:
    """Median longer side of n drawings at temperature 1, where nothing is known of those the model was trained on."""
    longest = min(model.data.max_length, 1000)  # a file may claim any
    drawn = sample(model, n, temperature=1.0, seed=seed, max_length=longest)
    return float(np.median([drawing.size for drawing in drawn]))


def lerp(a: NDArray[np.float32], b: NDArray[np.float32], t: float) -> NDArray[np.float32]:
    """The point at share t of the straight way from a to b."""
    return ((1 - t) * a + t * b).astype(np.float32)


def slerp(a: NDArray[np.float32], b: NDArray[np.float32], t: float) -> NDArray[np.float32]:
    """The point at share t of the arc from a to b (Shoemake, 1985; White, 2016); straight where they lie in a line."""
    cosine = float(np.dot(a, b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    if math.sin(angle) < 1e-4:
        return lerp(a, b, t)
    return ((math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)).astype(np.float32)


def _wanted(
    model: SketchRNN,
    z: NDArray[np.float32] | None,
    streams: Sequence[int],
    *,
    temperature: float,
    seed: int,
    rule: TemperatureRule,
    max_length: int | None = None,
    prefix: Drawing = EMPTY,
) -> list[Wanted]:
    """One drawing for each stream of random numbers, from its row of z."""
    longest = model.data.max_length if max_length is None else max_length
    if longest < 1:
        raise ValueError(f"max_length is {longest}; it must be at least 1")
    return [
        Wanted(
            stream=stream,
            seed=seed,
            temperature=temperature,
            temperature_rule=rule,
            max_length=longest,
            z=None if z is None else z[row],
            prefix=prefix,
        )
        for row, stream in enumerate(streams)
    ]


def _random_numbers(seed: int, stream: int, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(steps, 2) uniform and standard normal numbers of a drawing, from a stream of its own."""
    uniform = np.random.default_rng([seed, stream, 0]).random((steps, 2), dtype=np.float32)
    # a stream of its own again: a longer drawing must not shift the numbers of a shorter one
    normal = np.random.default_rng([seed, stream, 1]).standard_normal((steps, 2), dtype=np.float32)
    return uniform, normal


def _normal(seed: int, streams: Sequence[int], size: int) -> NDArray[np.float32]:
    """(n, size) standard normal numbers for the z of each drawing."""
    rows = np.empty((len(streams), size), np.float32)
    for row, stream in zip(rows, streams, strict=True):
        np.random.default_rng([seed, stream, 2]).standard_normal(out=row, dtype=np.float32)
    return rows


def _require_conditional(model: SketchRNN) -> None:
    if not model.config.conditional:
        raise ValueError(
            "this model has no encoder and no z: it was trained decoder only (unconditional); it samples and completes"
        )


def _check(n: int, temperature: float, seed: int, rule: TemperatureRule) -> None:
    if n < 0:
        raise ValueError(f"n is {n}; it must not be negative")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(
            f"the temperature is {temperature:g}; it must be 0 (the most likely) or above, usually up to 1"
        )
    temperatures(temperature, rule)  # is there such a rule?
    if seed < 0:
        raise ValueError(f"the seed is {seed}; it must not be negative")
