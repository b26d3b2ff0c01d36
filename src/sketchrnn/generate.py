"""Drawings from a model: the six kinds of the paper's experiments, all through one sampler.

Temperature tau: pen and mixture logits are divided by it, variances multiplied. 1 draws as the
model learned, towards 0 more and more certainly, at 0 the most likely point at every step.

Random numbers are a stream of their own for each drawing, made from the seed and the drawing's number among those that
start alike. What comes out for one drawing does not depend, to the last bit, on how many are made along with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sketchrnn.drawing import Drawing, normalise
from sketchrnn.model.network import SketchRNN
from sketchrnn.model.sampler import draw_rows

AT_ONCE = 1024  # drawings that are in memory at the same time


def sample(
    model: SketchRNN,
    n: int = 1,
    *,
    temperature: float = 0.4,
    seed: int = 0,
    max_length: int | None = None,
) -> list[Drawing]:
    """New drawings: z from N(0, I) where the model is conditional, then the decoder.

    Args:
        model: any model.
        n: how many.
        temperature: tau.
        seed: the same seed draws the same drawings; drawing i is the same for every n.
        max_length: end a drawing after so many points; N_max of the model's data if None.

    Returns:
        n drawings in the units of the model's data.

    Raises:
        ValueError: n or the temperature is negative.
    """
    _check(n, temperature, seed)
    streams = list(range(n))
    z = _normal(seed, streams, model.config.z_size) if model.config.conditional else None
    return _draw(model, z, streams, temperature=temperature, seed=seed, max_length=max_length)


def decode(
    model: SketchRNN,
    z: ArrayLike,
    *,
    n: int = 1,
    temperature: float = 0.4,
    seed: int = 0,
    max_length: int | None = None,
) -> list[Drawing]:
    """Drawings of given latent vectors.

    Args:
        model: a conditional model.
        z: (k, N_z) or (N_z,).
        n: drawings of each z.
        temperature, seed, max_length: as in `sample`. Equal numbers serve every z, so that only z makes the difference.

    Returns:
        k n drawings, those of the first z first.

    Raises:
        ValueError: the model has no z, or z is not finite or of another size.
    """
    _require_conditional(model)
    _check(n, temperature, seed)
    rows = model.check_z(z)
    streams = list(range(n)) * len(rows)
    rows = rows.repeat(n, axis=0)
    return _draw(model, rows, streams, temperature=temperature, seed=seed, max_length=max_length)


def reconstruct(
    model: SketchRNN,
    drawings: Drawing | Sequence[Drawing],
    *,
    n: int = 1,
    temperature: float = 0.2,
    seed: int = 0,
    sample_z: bool = False,
) -> list[Drawing]:
    """What a conditional model sees in drawings: each is encoded and drawn again from its z.

    Args:
        model: a conditional model.
        drawings: in the units of the model's data.
        n: reconstructions of each.
        temperature, seed: as in `sample`.
        sample_z: draw z from N(mu, sigma); else z = mu.

    Returns:
        n drawings for each given, in order.
    """
    _require_conditional(model)
    _check(n, temperature, seed)
    given = [drawings] if isinstance(drawings, Drawing) else list(drawings)
    mu, sigma = _encode(model, given)
    if not sample_z:
        return decode(model, mu, n=n, temperature=temperature, seed=seed)
    z = (mu[:, None] + sigma[:, None] * _normal(seed, range(n), model.config.z_size)).reshape(-1, model.config.z_size)
    return _draw(model, z, list(range(n)) * len(given), temperature=temperature, seed=seed)


def interpolate(
    model: SketchRNN,
    a: Drawing,
    b: Drawing,
    *,
    steps: int = 10,
    method: Literal["spherical", "linear"] = "spherical",
    temperature: float = 0.2,
    seed: int = 0,
) -> list[Drawing]:
    """The way from one drawing to another through the latent space.

    Args:
        model: a conditional model.
        a, b: the ends, in the units of the model's data.
        steps: drawings on the way, both ends included.
        method: along the arc between z_a and z_b, or straight.
        temperature, seed: as in `sample`.

    Returns:
        `steps` drawings, from a's reconstruction to b's.
    """
    _require_conditional(model)
    if steps < 2:
        raise ValueError(f"steps is {steps}; a way has at least its two ends")
    if method not in ("spherical", "linear"):
        raise ValueError(f"method is {method!r}, not spherical or linear")
    z_a, z_b = _encode(model, [a, b])[0]
    path = slerp if method == "spherical" else lerp
    z = np.stack([path(z_a, z_b, t) for t in np.linspace(0, 1, steps)])
    return decode(model, z, temperature=temperature, seed=seed)


def analogy(
    model: SketchRNN,
    a: Drawing,
    b: Drawing,
    c: Drawing,
    *,
    n: int = 1,
    temperature: float = 0.2,
    seed: int = 0,
) -> list[Drawing]:
    """Arithmetic with drawings: z = z_a + (z_b - z_c).

    Args:
        model: a conditional model.
        a, b, c: in the units of the model's data.
        n: drawings of the result.
        temperature, seed: as in `sample`.
    """
    _require_conditional(model)
    z_a, z_b, z_c = _encode(model, [a, b, c])[0]
    return decode(model, z_a + (z_b - z_c), n=n, temperature=temperature, seed=seed)


def complete(
    model: SketchRNN,
    prefix: Drawing,
    *,
    n: int = 1,
    temperature: float = 0.8,
    seed: int = 0,
    z: ArrayLike | None = None,
    max_length: int | None = None,
) -> list[Drawing]:
    """Endings of an incomplete drawing: the decoder reads what is there, then draws on.

    A conditional model needs a z for what the whole may become. It is drawn from N(mu, sigma) of what is there, a new
    one for every ending, unless one is given.

    Args:
        model: any model.
        prefix: what is there, in the units of the model's data; it may be empty.
        n: endings.
        temperature, seed: as in `sample`.
        z: (N_z,) or (n, N_z), for a conditional model.
        max_length: end after so many points in all; N_max of the model's data if None.

    Returns:
        n drawings, each beginning with the points of `prefix`.

    Raises:
        ValueError: `prefix` is as long as a drawing may become, or z does not fit.
    """
    _check(n, temperature, seed)
    longest = model.data.max_length if max_length is None else max_length
    if len(prefix) >= longest:
        raise ValueError(
            f"the drawing to complete has {len(prefix)} points already and the model ends drawings at {longest}: "
            "give fewer points, or a larger max_length"
        )
    latent: NDArray[np.float32] | None = None
    if model.config.conditional:
        if z is None:
            mu, sigma = model.encode([prefix])
            latent = mu + sigma * _normal(seed, range(n), model.config.z_size)
        else:
            rows = model.check_z(z)
            if len(rows) not in (1, n):
                raise ValueError(f"there are {len(rows)} z for {n} endings; give one, or one for each")
            latent = np.array(np.broadcast_to(rows, (n, model.config.z_size)))
    elif z is not None:
        model.check_z(z)
    streams = list(range(n))
    return _draw(model, latent, streams, temperature=temperature, seed=seed, max_length=longest, prefix=prefix)


def typical_size(model: SketchRNN, *, n: int = 64, seed: int = 0) -> float:
    """Median longer side of n drawings at temperature 1, where nothing is known of those the model was trained on."""
    drawn = sample(model, n, temperature=1.0, seed=seed)
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


def _draw(
    model: SketchRNN,
    z: NDArray[np.float32] | None,
    streams: Sequence[int],
    *,
    temperature: float,
    seed: int,
    max_length: int | None = None,
    prefix: Drawing | None = None,
) -> list[Drawing]:
    """One drawing for each stream of random numbers, from its row of z."""
    longest = model.data.max_length if max_length is None else max_length
    if longest < 1:
        raise ValueError(f"max_length is {longest}; it must be at least 1")
    given = Drawing(np.zeros((0, 3), np.float32)) if prefix is None else prefix
    points = Drawing(normalise(given.stroke3, model.data.scale_factor)).stroke5()
    drawings: list[Drawing] = []
    for start in range(0, len(streams), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        uniform, normal = _random_numbers(seed, streams[part], longest - len(given))
        rows = draw_rows(model, None if z is None else z[part], uniform, normal, points, temperature)
        drawings.extend(_in_own_units(model, row, given) for row in rows)
    return drawings


def _encode(model: SketchRNN, drawings: Sequence[Drawing]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """mu and sigma (n, N_z), each drawing by itself, so that they do not depend on their neighbours by a last bit."""
    parts = [model.encode([drawing]) for drawing in drawings]
    empty = np.zeros((0, model.config.z_size), np.float32)
    return np.concatenate([empty, *(mu for mu, _ in parts)]), np.concatenate([empty, *(sigma for _, sigma in parts)])


def _random_numbers(seed: int, streams: Sequence[int], steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, steps, 2) uniform and standard normal numbers, each drawing's from a stream of its own."""
    uniform = np.empty((len(streams), steps, 2), np.float32)
    normal = np.empty((len(streams), steps, 2), np.float32)
    for row, stream in enumerate(streams):
        rng = np.random.default_rng([seed, stream, 0])
        rng.random(out=uniform[row], dtype=np.float32)
        # a stream of its own again: a longer drawing must not shift the numbers of a shorter one
        np.random.default_rng([seed, stream, 1]).standard_normal(out=normal[row], dtype=np.float32)
    return uniform, normal


def _normal(seed: int, streams: Sequence[int], size: int) -> NDArray[np.float32]:
    """(n, size) standard normal numbers for the z of each drawing."""
    rows = np.empty((len(streams), size), np.float32)
    for row, stream in zip(rows, streams, strict=True):
        np.random.default_rng([seed, stream, 2]).standard_normal(out=row, dtype=np.float32)
    return rows


def _in_own_units(model: SketchRNN, rows: NDArray[np.float32], prefix: Drawing) -> Drawing:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told below
        stroke3 = rows * np.array([model.data.scale_factor, model.data.scale_factor, 1], np.float32)
    if not np.isfinite(stroke3).all():
        raise ValueError("the model drew a point that is not finite: its weights are damaged, or it learned too fast")
    stroke3[: len(prefix)] = prefix.stroke3  # as it was given: neither clamped nor rounded
    return Drawing(stroke3, model.data.labels[0] if len(model.data.labels) == 1 else None)


def _require_conditional(model: SketchRNN) -> None:
    if not model.config.conditional:
        raise ValueError(
            "this model has no encoder and no z: it was trained decoder only (unconditional); it samples and completes"
        )


def _check(n: int, temperature: float, seed: int) -> None:
    if n < 0:
        raise ValueError(f"n is {n}; it must not be negative")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(
            f"the temperature is {temperature:g}; it must be 0 (the most likely) or above, usually up to 1"
        )
    if seed < 0:
        raise ValueError(f"the seed is {seed}; it must not be negative")
