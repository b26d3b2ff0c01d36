"""How well a model expects drawings: the paper's losses, and likelihoods that compare across data sets.

L_R depends on N_max. What does not: **nats per drawing**, -log p of the whole drawing, offsets and pen states of its
N_s points and the end that follows, in normalised units; **nats per point**, that summed over all drawings and divided
by the sum of N_s. A drawing of N_max points or more has no end to predict.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sketchrnn.drawing import MAX_OFFSET, Drawing
from sketchrnn.model.losses import RowTerms, kl_loss, reconstruction_loss
from sketchrnn.model.mixture import split_output
from sketchrnn.model.network import PackedBatch, SketchRNN
from sketchrnn.model.sequence import packed_layout, run

REFERENCE_FLOOR = 1e-6  # what the reference adds to the density of a point


@dataclass(frozen=True)
class Mixture:
    """What a model expects at each point of a drawing, in the drawing's own units: numpy arrays, a row for every point
    and one for what follows the last."""

    pi: NDArray[np.float32]
    """(n + 1, M) mixture weights."""
    mu_x: NDArray[np.float32]
    mu_y: NDArray[np.float32]
    sigma_x: NDArray[np.float32]
    sigma_y: NDArray[np.float32]
    rho: NDArray[np.float32]
    """(n + 1, M) correlations."""
    q: NDArray[np.float32]
    """(n + 1, 3) probabilities that a line follows the point, that the pen lifts after it, that the drawing ended."""


@torch.inference_mode()
def evaluate(
    model: SketchRNN,
    drawings: Sequence[Drawing],
    *,
    seed: int = 0,
    padded: bool = True,
    density_floor: float = REFERENCE_FLOOR,
    importance_samples: int = 0,
    batch_size: int = 100,
) -> dict[str, float]:
    """The losses and likelihoods of drawings, without dropout; z is drawn from the encoder.

    Args:
        model: any model.
        drawings: in the units of the model's data, none of them longer than its N_max.
        seed: of z; the z of a drawing depends on its place in `drawings` alone.
        padded: L_R over the padding too; it costs as much again as all else.
        density_floor: log(p + floor) in the L_R figures, as in training; the nats are exact.
        importance_samples: k, draws of z for the importance-weighted bound (Burda et al., 2016); 0 leaves it out.
        batch_size: drawings at once.

    Returns:
        `L_R`, `L_s`, `L_p`: the paper's losses as the reference evaluates them (pen states of the points alone).
        `L_R_ended`: with the pen state of the end too, as ours trains without padding.
        `L_R_padded`: as the reference trains it (pen states to N_max).
        `L_KL`: divided by N_z; 0 for a decoder-only model.
        `nats_per_drawing`, `nats_per_point`: exact, without floor; for a conditional model of the reconstruction.
        `bound`: nats per drawing with what z costs, reconstruction + N_z L_KL; an upper bound of -log p.
        `importance_bound`: the same bound, tighter, from k draws of z each.
        `drawings`: how many there were.

    Raises:
        ValueError: there is no drawing, or one is longer than N_max.
    """
    _check(model, drawings)
    if seed < 0 or importance_samples < 0 or batch_size < 1:
        raise ValueError("seed and importance_samples must not be negative, batch_size must be at least 1")
    sums: dict[str, float] = dict.fromkeys(("L_s", "L_p", "L_p_ended", "L_p_padded", "L_KL", "nats", "importance"), 0.0)
    for start in range(0, len(drawings), batch_size):
        part = [drawings[i] for i in range(start, min(start + batch_size, len(drawings)))]
        for name, value in _batch_sums(model, part, start, seed, padded, density_floor, importance_samples).items():
            sums[name] += value
    n = len(drawings)
    mean = {name: value / n for name, value in sums.items()}
    figures = {
        "L_R": mean["L_s"] + mean["L_p"],
        "L_R_ended": mean["L_s"] + mean["L_p_ended"],
        "L_s": mean["L_s"],
        "L_p": mean["L_p"],
        "L_KL": mean["L_KL"],
        "nats_per_drawing": mean["nats"],
        "nats_per_point": sums["nats"] / sum(len(model.placed(drawing)) for drawing in drawings),
        "bound": mean["nats"] + model.config.z_size * mean["L_KL"],
        "drawings": n,
    }
    if padded:
        figures["L_R_padded"] = mean["L_s"] + mean["L_p_padded"]
    if importance_samples and model.config.conditional:
        figures["importance_bound"] = mean["importance"]
    return figures


def _batch_sums(
    model: SketchRNN, drawings: Sequence[Drawing], start: int, seed: int, padded: bool, floor: float, k: int
) -> dict[str, float]:
    """The sums over the drawings of a batch; `start` is the place of the first among all."""
    drawings = list(map(model.placed, drawings))
    batch, order = model.pack_drawings(drawings)
    longest = model.data.max_length
    z, sums = None, {}
    if model.config.conditional:
        mu, sigma_hat = model.encoder(batch)
        sigma = torch.exp(sigma_hat / 2)
        sums["L_KL"] = float(kl_loss(mu, sigma_hat).sum())
        noise = _noise(seed, start + order, max(k, 1), model.config.z_size).to(model.device)
        z = mu + sigma * noise[:, 0]
    h, _ = model.decoder_states(batch, z)
    terms = model.row_terms(h, batch)
    floored = model.row_terms(h, batch, floor) if floor else terms
    L_s, L_p = reconstruction_loss(floored, 1, longest, "points")
    sums["L_p_ended"] = float(reconstruction_loss(floored, 1, longest, "ended")[1])
    sums |= {
        "L_s": float(L_s),
        "L_p": float(L_p),
        "nats": -float(_log_p(terms, batch).sum()),
    }
    if padded:
        whole, _ = model.pack_drawings(drawings, padded=True)
        terms = model.row_terms(model.decoder_states(whole, z)[0], whole)
        sums["L_p_padded"] = float(reconstruction_loss(terms, 1, longest, "padded")[1])
    if k and z is not None:
        log_weights = []
        for e in noise.unbind(1):
            z = mu + sigma * e
            log_p = _log_p(model.row_terms(model.decoder_states(batch, z)[0], batch), batch)
            # log p(z) - log q(z | drawing), both normal: what they have in common is left out
            log_weights.append(log_p + (0.5 * e.square() + sigma_hat / 2 - 0.5 * z.square()).sum(dim=1))
        sums["importance"] = -float((torch.logsumexp(torch.stack(log_weights), dim=0) - math.log(k)).sum())
    return sums


@torch.inference_mode()
def log_likelihood(
    model: SketchRNN,
    drawings: Sequence[Drawing],
    z: ArrayLike | None = None,
    *,
    batch_size: int = 100,
) -> NDArray[np.float64]:
    """log p (n,) of each drawing in nats: offsets, pen states and the end that follows, in normalised units.

    A density may exceed 1 and its logarithm 0: that is no mistake. The first offset counts as it is, while `evaluate`
    moves a drawing to where a model of first points (`DataInfo.from_first_point`) begins; but where
    `DataInfo.first_offset` says that it is no position, it is treated as that says.

    Args:
        model: any model.
        drawings: in the units of the model's data.
        z: (N_z,) or (n, N_z), what a conditional model is given; z = mu of each drawing if None, so that it is the
            likelihood of its reconstruction.
        batch_size: drawings at once.
    """
    if batch_size < 1:
        raise ValueError("batch_size must be at least 1")
    latent = _latent(model, drawings, z)
    result = np.zeros(len(drawings))
    for start in range(0, len(drawings), batch_size):
        part = [_as_learned(model, drawings[i]) for i in range(start, min(start + batch_size, len(drawings)))]
        batch, order = model.pack_drawings(part)
        rows = None if latent is None else torch.from_numpy(latent[start + order]).to(model.device)
        h, _ = model.decoder_states(batch, rows)
        result[start + order] = _log_p(model.row_terms(h, batch), batch).cpu().numpy()
    return result


@torch.inference_mode()
def density(model: SketchRNN, drawing: Drawing, z: ArrayLike | None = None, *, exact: bool = True) -> Mixture:
    """What a model expects at each point of a drawing from those before it, in the drawing's own units.

    Args:
        model: any model.
        drawing: in the units of the model's data.
        z: (N_z,), what a conditional model is given; z = mu of the drawing if None.
        exact: compute in doubles, since a trained LSTM multiplies float32's rounding by a hundred over the steps of a
            drawing. Else in float32, which is faster and moves probabilities by 1e-5 at most in drawings of 200 points:
            enough for a picture.

    Returns:
        n + 1 rows: row i is the prediction of point i, the last that of what follows the drawing. A model whose
        drawings leave out the first point (`DataInfo.first_offset`) predicts none: row 0 is then as row 1.
    """
    latent = _latent(model, [drawing], z)
    network, scale = copy.deepcopy(model).double() if exact else model, model.data.scale_factor
    learned = _as_learned(model, drawing)
    rows = learned.stroke5().astype(np.float64)  # normalised in doubles, either way
    rows[:, :2] = np.clip(rows[:, :2], -MAX_OFFSET, MAX_OFFSET) / scale
    inputs = torch.from_numpy(np.vstack([model.data.start_token, rows])).to(model.device, network.b_y.dtype)
    of_drawing = None if latent is None else torch.from_numpy(latent).to(model.device, network.b_y.dtype)
    layout = packed_layout(np.array([len(inputs)])).to(model.device)
    h, _ = run(network.decoder, inputs, network.of_z(of_drawing), layout, network.initial_state(of_drawing, 1))
    y = network.outputs(h)
    mixture = split_output(torch.cat([y[: len(drawing) - len(learned)], y]))
    return Mixture(
        pi=_single(mixture.log_pi.exp()),
        mu_x=_single(mixture.mu_x * scale),
        mu_y=_single(mixture.mu_y * scale),
        sigma_x=_single(mixture.log_sigma_x.exp() * scale),
        sigma_y=_single(mixture.log_sigma_y.exp() * scale),
        rho=_single(mixture.rho),
        q=_single(mixture.log_q.exp()),
    )


def _as_learned(model: SketchRNN, drawing: Drawing) -> Drawing:
    return drawing if model.data.first_offset == "position" else model.placed(drawing)


def _single(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


def _log_p(terms: RowTerms, batch: PackedBatch) -> Tensor:
    """log p (n,) float64 of each packed drawing."""
    zeros = torch.zeros(batch.num_drawings, dtype=torch.float64, device=terms.pen.device)
    return zeros.index_add_(0, batch.steps.drawing, (terms.offset + terms.pen).double())


def _noise(seed: int, places: NDArray[np.int64], k: int, size: int) -> Tensor:
    """(n, k, size) standard normal numbers, each drawing's from a stream of its own."""
    streams = [np.random.default_rng([seed, int(place)]).standard_normal((k, size), np.float32) for place in places]
    return torch.from_numpy(np.stack(streams))


def _latent(model: SketchRNN, drawings: Sequence[Drawing], z: ArrayLike | None) -> NDArray[np.float32] | None:
    """z (n, N_z) of each drawing: what is given, or mu."""
    if z is not None:
        rows = model.check_z(z)
        if len(rows) not in (1, len(drawings)):
            raise ValueError(f"there are {len(rows)} z for {len(drawings)} drawings; give one, or one for each")
        return np.array(np.broadcast_to(rows, (len(drawings), model.config.z_size)))
    return model.encode(drawings)[0] if model.config.conditional else None


def _check(model: SketchRNN, drawings: Sequence[Drawing]) -> None:
    lengths = [len(model.placed(drawing)) for drawing in drawings]
    if not any(lengths):
        raise ValueError("there is no drawing with a point in it to evaluate")
    longest = max(lengths)
    if longest > model.data.max_length:
        raise ValueError(
            f"a drawing has {longest} points, the model's N_max is {model.data.max_length}: "
            f"prepare the data with --max-points {model.data.max_length}"
        )
