"""A map of drawings: the two directions in the latent space along which they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.generate import sample
from sketchrnn.model.network import SketchRNN

SAMPLE_TEMPERATURE = 0.3


@dataclass(frozen=True)
class LatentMap:
    """Where n drawings lie."""

    places: NDArray[np.float32]
    """(n, 2) coordinates of mu along the two principal components."""
    explained: tuple[float, float]
    """The share of the variance of mu that each of the two holds."""
    mu: NDArray[np.float32]
    """(n, N_z)."""
    drawings: list[Drawing]
    source: str
    """Where the drawings come from, for people."""

    def to_json(self) -> dict[str, Any]:
        """What the drawing page reads: numbers as short as the eye allows."""
        return {
            "method": "pca",
            "explained": [round(share, 4) for share in self.explained],
            "source": self.source,
            "points": [
                {
                    "x": _short(x),
                    "y": _short(y),
                    "z": [_short(value, 3) for value in mu],
                    "drawing": _short_lines(drawing),
                }
                for (x, y), mu, drawing in zip(self.places, self.mu, self.drawings, strict=True)
            ],
        }


def latent_map(
    model: SketchRNN, drawings: Sequence[Drawing] | None = None, *, source: str = "", n: int = 300, seed: int = 0
) -> LatentMap:
    """The principal components of mu (Pearson, 1901) of some drawings.

    Args:
        model: a conditional model.
        drawings: in the units of the model's data; at most n of them are taken, evenly spread. If None, the model draws
            n itself.
        source: what they are called.
        n: how many at most.
        seed: of what the model draws.

    Raises:
        ValueError: the model is decoder only, or there are fewer than three drawings.
    """
    if drawings is None:
        drawings, source = sample(model, n, temperature=SAMPLE_TEMPERATURE, seed=seed), "samples of the model"
    taken = [drawing for drawing in drawings if len(drawing)]
    taken = [taken[i] for i in np.unique(np.linspace(0, len(taken) - 1, n).astype(int))] if taken else []
    if len(taken) < 3:
        raise ValueError(f"there are {len(taken)} drawings; a map needs at least three")
    mu, _ = model.encode(taken)
    centred = (mu - mu.mean(axis=0)).astype(np.float64)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    axes = directions[:2]
    # a direction and its opposite are equally good: the largest part is positive, so that a map is always the same
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    places = np.zeros((len(taken), 2), np.float32)
    places[:, : len(axes)] = centred @ axes.T  # one direction alone where z is a single number
    shares = np.zeros(2)
    shares[: len(axes)] = (strengths**2 / max(float((strengths**2).sum()), 1e-30))[:2]
    return LatentMap(places, (float(shares[0]), float(shares[1])), mu, taken, source)


def _short_lines(drawing: Drawing) -> dict[str, Any]:
    digits = 0 if drawing.size >= 100 else 2
    lines: dict[str, Any] = {
        "lines": [[[_short(x, digits), _short(y, digits)] for x, y in line] for line in drawing.lines()]
    }
    return lines | ({"label": drawing.label} if drawing.label else {})


def _short(value: float, digits: int = 4) -> float:
    rounded = round(float(value), digits)
    return int(rounded) if rounded.is_integer() else rounded
