"""The losses of the paper, over packed rows.

`L_R = L_s + L_p`, `Loss = L_R + weight * max(L_KL, KL_min)`. The rows that the pen term L_p counts have three names:

* `padded`: all N_max steps, the padding after the end included: what the reference trains;
* `ended`: the points and the end that follows, which is what generation uses: what ours trains without padding;
* `points`: the N_s points alone, without even the end: what the reference reports in evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sketchrnn.config import TrainConfig
from sketchrnn.kernels import compiled, gpu, native
from sketchrnn.model.mixture import log_density, split_output

PenTerm = Literal["padded", "ended", "points"]


@dataclass(frozen=True)
class RowTerms:
    """Log probabilities of packed rows, in nats, each (P,)."""

    offset: Tensor
    """log density of (dx, dy) for a point, 0 for the end and the padding."""
    pen: Tensor
    """log q of the pen state that came."""
    is_point: Tensor
    """1 for a point, 0 for the end and the padding."""


def row_terms(h: Tensor, W_y: Tensor, b_y: Tensor, targets: Tensor, density_floor: float = 0.0) -> RowTerms:
    """What the outputs y = h W_y + b_y (P, 3 + 6 M) give to the rows that came, `targets` (P, 5).

    Args:
        h: (P, decoder_size) the decoder's h after each step.
        W_y: (decoder_size, 3 + 6 M).
        b_y: (3 + 6 M,).
        targets: stroke-5 rows in normalised units.
        density_floor: log(p + floor) in place of log p; 1e-6 in the reference, where it caps a point at 13.8 nats.
    """
    is_point = 1 - targets[:, 4]
    if compiled.runs_on(h):
        return RowTerms(*native.row_terms(h, W_y, b_y, targets, density_floor), is_point)
    y = torch.addmm(b_y, h, W_y)
    if gpu.runs_on(y):
        return RowTerms(*gpu.row_terms(y, targets, density_floor), is_point)
    mixture = split_output(y)
    offset = log_density(mixture, targets[:, 0], targets[:, 1])
    if density_floor > 0:
        offset = torch.logaddexp(offset, offset.new_full((), math.log(density_floor)))
    # `where`, not a product: a row of padding may have any density at (0, 0), infinite too
    offset = torch.where(is_point > 0, offset, 0.0)
    return RowTerms(offset, (targets[:, 2:] * mixture.log_q).sum(dim=1), is_point)


def reconstruction_loss(terms: RowTerms, num_drawings: int, max_length: int, pen: PenTerm) -> tuple[Tensor, Tensor]:
    """(L_s, L_p) of a batch; L_R is their sum.

    Args:
        terms: the rows of all drawings. For `padded` they must reach to N_max, for `ended` to the end of each.
        num_drawings: drawings in the batch.
        max_length: N_max.
        pen: which rows L_p counts.
    """
    divisor = num_drawings * max_length
    pen_terms = terms.pen * terms.is_point if pen == "points" else terms.pen
    return -terms.offset.sum() / divisor, -pen_terms.sum() / divisor


def kl_loss(mu: Tensor, sigma_hat: Tensor) -> Tensor:
    """L_KL (B,) of each drawing: the divergence of N(mu, sigma) (B, N_z) from N(0, I), divided by N_z."""
    return -0.5 * (1 + sigma_hat - mu.square() - sigma_hat.exp()).mean(dim=1)


def kl_weight(config: TrainConfig, step: int) -> float:
    """The weight of the KL term at a step: w_KL - (w_KL - start) R^step, the paper's w_KL eta_step."""
    return config.kl_weight - (config.kl_weight - config.kl_weight_start) * config.kl_decay**step


def learning_rate(config: TrainConfig, step: int) -> float:
    """Adam's rate at a step: (rate - min) decay^step + min."""
    low = config.learning_rate_min
    return (config.learning_rate - low) * config.learning_rate_decay**step + low
