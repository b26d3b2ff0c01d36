"""A map of the latent space: drawings laid out by the two directions in which their mu differ most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing

MOST = 200  # drawings on a map


def spread(drawings: Sequence[Drawing], longest: int) -> list[Drawing]:
    """At most `MOST` of the drawings that a model can have drawn, evenly over all."""
    places = np.unique(np.linspace(0, len(drawings) - 1, min(MOST, len(drawings))).round().astype(int))
    return [drawing for i in places if 0 < len(drawing := drawings[int(i)]) <= longest]


def principal_components(mu: NDArray[np.float32]) -> tuple[NDArray[np.float64], list[float]]:
    """Positions (n, 2) of rows (n, N_z) along the two directions of most variance, and the share that each explains.

    The sign is chosen so that the largest number of each direction is positive: the same map every time.
    """
    centred = mu.astype(np.float64) - mu.mean(axis=0)
    _, scales, directions = np.linalg.svd(centred, full_matrices=False)
    two = directions[:2]
    two = two * np.sign(two[np.arange(len(two)), np.abs(two).argmax(axis=1)])[:, None]
    places = centred @ two.T
    total = max(float((scales**2).sum()), 1e-12)
    explained = [float(scale**2 / total) for scale in scales[:2]]
    missing = 2 - len(two)  # fewer drawings, or numbers in z, than a map has directions
    return np.pad(places, ((0, 0), (0, missing))), explained + [0.0] * missing
