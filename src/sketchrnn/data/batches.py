"""Batches: what training reads, numpy only.

A batch is a pure function of the seed and the step. That is all there is to resuming: a run that goes on at step k
reads what it would have read without the stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchrnn.data.dataset import Split
from sketchrnn.drawing import normalise

ROUND = 20  # batches that are drawn together and then sorted by length
GROUPS = 8  # ranges of length in each batch; with the reference's 100 drawings a group fills a tile of the C kernels
PLAN, AUGMENT = 0, 1  # the two streams of random numbers of one seed


@dataclass(frozen=True)
class Batch:
    """B drawings, the longest first, their points one after the other: no padding."""

    strokes: NDArray[np.float32]
    """(sum of N_s, 3) stroke-3 rows, normalised: offsets clamped and divided by the scale factor."""
    lengths: NDArray[np.int64]
    """(B,) N_s, decreasing."""
    indices: NDArray[np.int64]
    """(B,) which drawing of the split each is."""


class Batches:
    """Batches of random drawings without end, the same for the same seed.

    Without `bucket` each batch is `batch_size` distinct random drawings, drawn anew, as in the reference. With it, 20
    batches' worth of distinct random drawings are sorted by length, and each batch gets a run of neighbours from every
    eighth of them: its longest drawings are then of like length, and fewer steps are made for the last few of them. A
    batch of short drawings alone, or of long ones, would cost less still, but not be like the data: its gradients are
    far from those of all. Where the split holds fewer drawings than a batch, the batch is all of them.
    """

    def __init__(
        self,
        split: Split,
        *,
        scale_factor: float,
        batch_size: int = 100,
        seed: int = 0,
        bucket: bool = False,
        balance: bool = False,
        augment_scale: float = 0.0,
        augment_drop: float = 0.0,
        max_length: int | None = None,
    ) -> None:
        """
        Args:
            balance: draw every label equally often; one with few drawings repeats them.
            augment_scale, augment_drop: see `random_scale` and `drop_points`.
            max_length: N_max of the model; no drawing may be longer.

        Raises:
            ValueError: the split is empty, or holds a drawing of more than `max_length` points.
        """
        if not len(split):
            raise ValueError(f"{split.path} holds no drawing: there is nothing to make batches of")
        longest = int(split.lengths.max())
        if max_length is not None and longest > max_length:
            raise ValueError(
                f"{split.path} holds a drawing of {longest} points, more than the model's {max_length}: "
                f"prepare it with --max-points {max_length}"
            )
        self.split = split
        self.scale_factor = scale_factor
        self.batch_size = min(batch_size, len(split))
        self.seed = seed
        self.augment_scale = augment_scale
        self.augment_drop = augment_drop
        self._batches_per_round = min(ROUND, len(split) // self.batch_size) if bucket else 1
        self._plan: tuple[int, NDArray[np.int64]] | None = None
        self._members = _members(split.label_ids) if balance else None

    def batch(self, step: int) -> Batch:
        """The batch of `step`, whatever was read before."""
        number, place = divmod(step, self._batches_per_round)
        if self._plan is None or self._plan[0] != number:
            self._plan = number, self._draw(number)
        rng = np.random.default_rng([self.seed, AUGMENT, step])
        indices = self._plan[1][place]
        strokes, lengths = gather(self.split, indices)
        strokes = normalise(strokes, self.scale_factor)
        if self.augment_drop > 0:
            strokes, lengths = drop_points(strokes, lengths, self.augment_drop, rng)
        if self.augment_scale > 0:
            strokes = random_scale(strokes, lengths, self.augment_scale, rng)
        return _longest_first(strokes, lengths, indices)

    def _draw(self, number: int) -> NDArray[np.int64]:
        """(batches, B) indices of the drawings of round `number`."""
        rng = np.random.default_rng([self.seed, PLAN, number])
        count = self._batches_per_round * self.batch_size
        if self._members is None:
            drawn = rng.choice(len(self.split), count, replace=False)
        else:
            drawn = _balanced(self._members, count, rng)
        batches = self._batches_per_round
        if batches == 1:
            return drawn[None]
        # What is as long as another stays in random order.
        drawn = drawn[np.argsort(self.split.lengths[drawn], kind="stable")]
        cuts = np.linspace(0, self.batch_size, GROUPS + 1).astype(int)
        groups = [drawn[a * batches : b * batches].reshape(batches, b - a) for a, b in pairwise(cuts)]
        return np.concatenate([rng.permutation(group) for group in groups], axis=1)


def gather(split: Split, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """(sum of N_s, 3) rows of the drawings at `indices`, one after the other, and their (B,) lengths."""
    lengths = split.lengths[indices]
    return split.values[_rows(split.offsets[indices], lengths)], lengths


def random_scale(
    strokes: NDArray[np.float32],
    lengths: NDArray[np.int64],
    amount: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Each drawing's dx and dy multiplied by their own U(1 - amount, 1 + amount)."""
    factors = rng.uniform(1 - amount, 1 + amount, (len(lengths), 2)).astype(np.float32)
    scaled = strokes.copy()
    scaled[:, :2] *= factors.repeat(lengths, axis=0)
    return scaled


def drop_points(
    strokes: NDArray[np.float32],
    lengths: NDArray[np.int64],
    probability: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Merge points into the one before them, each with `probability`: its offset is added, the point is gone.

    The reference's `augment_strokes`: of each stroke the first three points and the last always stay. It keeps a count
    of points since the stroke began; the count does not depend on what was merged, so all rows are decided at once.

    Args:
        strokes: (sum of N_s, 3) stroke-3 rows of the drawings of `lengths`, one after the other.

    Returns:
        the rows that are left, and the new lengths.
    """
    uniform = rng.random(len(strokes))
    lifts = strokes[:, 2] == 1
    starts = np.zeros(len(strokes), bool)  # a point that begins a stroke: after a lifted pen, or of a drawing
    starts[1:] = lifts[:-1]
    first_rows = np.cumsum(lengths) - lengths
    starts[first_rows] = True
    rows = np.arange(len(strokes))
    since_start = rows - np.maximum.accumulate(np.where(starts, rows, 0))
    kept = lifts | (since_start <= 2) | (uniform >= probability)
    left = strokes[kept]
    left[:, :2] = np.add.reduceat(strokes[:, :2], np.flatnonzero(kept), axis=0)
    return left, np.add.reduceat(kept, first_rows, dtype=np.int64)


def _longest_first(strokes: NDArray[np.float32], lengths: NDArray[np.int64], indices: NDArray[np.int64]) -> Batch:
    order = np.argsort(-lengths, kind="stable")
    first_rows = np.cumsum(lengths) - lengths
    return Batch(strokes[_rows(first_rows[order], lengths[order])], lengths[order], indices[order])


def _rows(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row numbers start, start + 1, ... start + length - 1 of each, one after the other."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])


def _members(label_ids: NDArray[np.int32]) -> list[NDArray[np.int64]]:
    """The drawings of each label that occurs; those without one count as a label of their own."""
    order = np.argsort(label_ids, kind="stable")
    cuts = np.flatnonzero(np.diff(label_ids[order])) + 1
    return np.split(order, cuts)


def _balanced(members: list[NDArray[np.int64]], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` drawings in random order, as many of each label as of any other, but for a remainder."""
    quotas = np.full(len(members), count // len(members))
    quotas[rng.permutation(len(members))[: count % len(members)]] += 1
    drawn = []
    for own, quota in zip(members, quotas, strict=True):
        whole, rest = divmod(int(quota), len(own))  # all of a small label several times over
        if quota:
            drawn += [own] * whole + [own[rng.choice(len(own), rest, replace=False)]]
    return rng.permutation(np.concatenate(drawn))
