"""The whole network: a bidirectional encoder, the latent vector z, an autoregressive decoder (the paper's figure 2).

Everything here is in normalised units; `encode` alone takes drawings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sketchrnn.config import DataInfo, ModelConfig
from sketchrnn.drawing import END_TOKEN, Drawing, normalise
from sketchrnn.kernels import compiled, native
from sketchrnn.model.cells import State, glorot, make_cell, normal, zero_state
from sketchrnn.model.losses import RowTerms, row_terms
from sketchrnn.model.sequence import NUM_INPUTS, Layout, dropout_mask, packed_layout, run, run_both, steady_layout

# the most that is encoded at once: 8 KB a point with an encoder of 256 units
ENCODE_DRAWINGS = 256
ENCODE_POINTS = 16_384  # a drawing that has more goes alone


@dataclass(frozen=True)
class PackedBatch:
    """Drawings in order of falling length, packed for the encoder and for the decoder; see `model.sequence`."""

    lengths: Tensor
    """(B,) int64 N_s of each drawing."""
    points: Layout
    """The steps of the encoder: N_s of each drawing."""
    forward: Tensor
    """(sum N_s, 5) stroke-5 rows from first to last."""
    backward: Tensor
    """(sum N_s, 5) the same from last to first."""
    steps: Layout
    """The steps of the decoder: the points and the end, or up to N_max."""
    inputs: Tensor
    """(P, 5) S_0 .. S_{T-1}."""
    targets: Tensor
    """(P, 5) S_1 .. S_T."""

    @property
    def num_drawings(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device | str) -> PackedBatch:
        return PackedBatch(
            self.lengths.to(device),
            self.points.to(device),
            self.forward.to(device),
            self.backward.to(device),
            self.steps.to(device),
            self.inputs.to(device),
            self.targets.to(device),
        )


def pack(
    strokes: NDArray[np.float32],
    lengths: NDArray[np.int64],
    max_length: int,
    *,
    start_token: Sequence[float],
    padded: bool = False,
    device: torch.device | str = "cpu",
) -> PackedBatch:
    """Lays drawings out for the network, on the CPU.

    Args:
        strokes: (sum N_s, 3) stroke-3 rows of all drawings one after another, normalised.
        lengths: (B,) N_s of each, falling.
        max_length: N_max. A drawing of so many points has no end to predict.
        start_token: S_0.
        padded: let the decoder run to N_max for every drawing, over the padding too.
        device: where the tensors shall be.

    Raises:
        ValueError: `padded`, and a drawing is longer than N_max.
    """
    if padded and len(lengths) and lengths[0] > max_length:
        raise ValueError(f"a drawing has {lengths[0]} points, more than the model's N_max of {max_length}")
    rows = torch.zeros(len(strokes) + 2, 5)  # all points, then the end token, then the start token
    source = torch.from_numpy(strokes)
    rows[:-2, :2] = source[:, :2]
    rows[:-2, 2] = 1 - source[:, 2]
    rows[:-2, 3] = source[:, 2]
    end, start = len(strokes), len(strokes) + 1
    rows[end] = torch.tensor(END_TOKEN)
    rows[start] = torch.tensor(tuple(start_token))

    points = packed_layout(lengths)
    steps = packed_layout(np.full_like(lengths, max_length) if padded else lengths + (lengths < max_length))
    return _laid_out(rows, torch.from_numpy(lengths), points, steps).to(device)


def pack_steadily(
    strokes: Tensor, lengths: Tensor, longest: int, max_length: int, *, start_token: Tensor, padded: bool = False
) -> PackedBatch:
    """What `pack` does, on the device and with shapes that depend on no number there; see `sequence.steady_layout`.

    Args:
        strokes: (rows, 3) as in `pack`; any may follow those of the drawings.
        lengths: (B,) int64, falling.
        longest: a length that no drawing exceeds.
        max_length: N_max.
        start_token: S_0 (5,).
        padded: let the decoder run to N_max for every drawing.
    """
    count, lift = len(lengths), strokes[:, 2]
    rows = strokes.new_zeros(len(strokes) + 2, 5)
    rows[:-2, :2] = strokes[:, :2]
    rows[:-2, 2] = 1 - lift
    rows[:-2, 3] = lift
    rows[-2, END_TOKEN.index(1)].fill_(1)
    rows[-1] = start_token
    points = steady_layout(lengths, longest)
    if padded:
        whole = steady_layout(lengths, max_length)
        steps = Layout(whole.batch_sizes, whole.drawing, whole.step)
    else:
        steps = steady_layout(lengths + (lengths < max_length), min(longest + 1, max_length))
    assert points.num_rows == count * longest
    return _laid_out(rows, lengths, points, steps)


def _laid_out(rows: Tensor, lengths: Tensor, points: Layout, steps: Layout) -> PackedBatch:
    """The rows of stroke-5 at their places; the last two of them are the end and the start token."""
    end, start = len(rows) - 2, len(rows) - 1
    first = lengths.cumsum(0) - lengths
    place, count = first.index_select(0, points.drawing), lengths.index_select(0, points.drawing)
    is_there = points.step < count
    forward = torch.where(is_there, place + points.step, end)
    backward = torch.where(is_there, place + count - 1 - points.step, end)
    place, count = first.index_select(0, steps.drawing), lengths.index_select(0, steps.drawing)
    target = torch.where(steps.step < count, place + steps.step, end)
    before = torch.where(steps.step - 1 < count, place + steps.step - 1, end)
    before = torch.where(steps.step == 0, start, before)
    forward, backward, before, target = (rows.index_select(0, row) for row in (forward, backward, before, target))
    return PackedBatch(lengths, points, forward, backward, steps, before, target)


def _chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of what is encoded at once, of drawings of these lengths."""
    start = points = 0
    for i, length in enumerate(lengths):
        if i > start and (i - start == ENCODE_DRAWINGS or points + length > ENCODE_POINTS):
            yield start, i
            start, points = i, 0
        points += length
    if start < len(lengths):
        yield start, len(lengths)


def affine(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """x W + b (n, N): `x` (n, K), `W` (K, N), `b` (N). By the fast kernels where they run; then each row is the same to
    the last bit, whatever rows are beside it."""
    if len(x) and compiled.runs_on(x):
        return native.affine(x, W, b)
    return x @ W if b is None else torch.addmm(b, x, W)


class SketchRNN(nn.Module):
    """A sketch-rnn model: `config` its sizes, `data` what it knows of the drawings it learned from.

    Weights are `(inputs, outputs)`. A decoder-only model has neither encoder nor z.
    """

    def __init__(self, config: ModelConfig, data: DataInfo) -> None:
        super().__init__()
        self.config = config
        self.data = data
        self.training_facts: dict[str, Any] = {}
        """How it came about: settings, steps and figures; stored with it."""
        hyper = config.hyper_units, config.hyper_embedding
        z_size = config.z_size if config.conditional else 0
        self.decoder = make_cell(config.decoder_cell, 5 + z_size, config.decoder_size, *hyper)
        outputs = 3 + 6 * config.num_mixtures
        self.W_y = nn.Parameter(glorot(config.decoder_size, outputs))
        # uniform for the bias, too: the reference's framework takes its length for both the rows and the columns
        self.b_y = nn.Parameter(glorot(outputs, outputs)[0].clone())
        if config.conditional:
            self.encoder_forward = make_cell(config.encoder_cell, 5, config.encoder_size, *hyper)
            self.encoder_backward = make_cell(config.encoder_cell, 5, config.encoder_size, *hyper)
            self.W_mu = nn.Parameter(normal(2 * config.encoder_size, config.z_size, 0.001))
            self.b_mu = nn.Parameter(torch.zeros(config.z_size))
            self.W_sigma = nn.Parameter(normal(2 * config.encoder_size, config.z_size, 0.001))
            self.b_sigma = nn.Parameter(torch.zeros(config.z_size))
            state_size = sum(self.decoder.state_sizes)
            self.W_z = nn.Parameter(normal(config.z_size, state_size, 0.001))
            self.b_z = nn.Parameter(torch.zeros(state_size))

    @property
    def device(self) -> torch.device:
        return self.W_y.device

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def pack(self, strokes: NDArray[np.float32], lengths: NDArray[np.int64], *, padded: bool = False) -> PackedBatch:
        """`pack` with this model's N_max, start token and device."""
        return pack(
            strokes,
            lengths,
            self.data.max_length,
            start_token=self.data.start_token,
            padded=padded,
            device=self.device,
        )

    def encoder(
        self, batch: PackedBatch, keep: float = 1.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """mu and sigma_hat (B, N_z) of the drawings in a batch; `keep` below 1 turns recurrent dropout on."""
        cells, points = (self.encoder_forward, self.encoder_backward), batch.points
        states = (zero_state(cells[0], batch.num_drawings), zero_state(cells[1], batch.num_drawings))
        dropout = dropout_mask(cells[0], points, keep, generator), dropout_mask(cells[1], points, keep, generator)
        (_, there), (_, back) = run_both(cells, (batch.forward, batch.backward), points, states, dropout, keep)
        h = torch.cat([there[0], back[0]], dim=1)
        return affine(h, self.W_mu, self.b_mu), affine(h, self.W_sigma, self.b_sigma)

    def initial_state(self, z: Tensor | None, n: int) -> State:
        """The decoder's state before the first step: tanh(W_z z + b_z), zeros without z."""
        if z is None:
            return zero_state(self.decoder, n)
        return self.decoder.split_state(torch.tanh(affine(z, self.W_z, self.b_z)))

    def of_z(self, z: Tensor | None) -> Tensor | None:
        """What z (n, N_z) adds to the product of the decoder's inputs, (n, K): the same at every step."""
        return None if z is None else affine(z, self.decoder.input_weights()[NUM_INPUTS:])

    def decoder_states(
        self,
        batch: PackedBatch,
        z: Tensor | None,
        keep: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """The decoder's h (P, decoder_size) after every step, fed with what was drawn (teacher forcing), and the last
        state.

        Args:
            batch: the drawings.
            z: (B, N_z), None for a decoder-only model.
            keep: share of units that recurrent dropout keeps; 1 for none.
            generator: of the dropout.
        """
        dropout = dropout_mask(self.decoder, batch.steps, keep, generator)
        state = self.initial_state(z, batch.num_drawings)
        return run(self.decoder, batch.inputs, self.of_z(z), batch.steps, state, dropout, keep)

    def decoder_outputs(self, batch: PackedBatch, z: Tensor | None) -> tuple[Tensor, State]:
        """The outputs y (P, 3 + 6 M) at every step, fed with what was drawn, and the last state."""
        h, final = self.decoder_states(batch, z)
        return self.outputs(h), final

    def row_terms(self, h: Tensor, batch: PackedBatch, density_floor: float = 0.0) -> RowTerms:
        """What the outputs of the decoder's h (P, decoder_size) give to the rows of a batch that came."""
        return row_terms(h, self.W_y, self.b_y, batch.targets, density_floor)

    def outputs(self, h: Tensor) -> Tensor:
        """The outputs y (P, 3 + 6 M) of the decoder's h (P, decoder_size)."""
        return affine(h, self.W_y, self.b_y)

    def pack_drawings(
        self, drawings: Sequence[Drawing], *, padded: bool = False
    ) -> tuple[PackedBatch, NDArray[np.int64]]:
        """Drawings in their own units as a batch, and the order (B,) in which it holds them."""
        lengths = np.array([len(drawing) for drawing in drawings], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
        strokes = [normalise(drawings[i].stroke3, self.data.scale_factor) for i in order]
        return self.pack(np.concatenate(strokes), lengths[order], padded=padded), order

    def placed(self, drawing: Drawing) -> Drawing:
        """The drawing with its first row as in those that the model learned from: see `DataInfo.first_offset`."""
        if self.data.first_offset == "line" and not drawing.stroke3[:1, 2].any():  # a dot is no line's beginning
            return Drawing(drawing.stroke3[1:])
        if self.data.first_offset == "position" and not self.data.from_first_point:
            return drawing
        rows = drawing.stroke3.copy()
        rows[:1, :2] = 0
        return Drawing(rows)

    def check_z(self, z: ArrayLike) -> NDArray[np.float32]:
        """z (N_z,) or (k, N_z) as (k, N_z) float32.

        Raises:
            ValueError: the model has no z, or z is not finite or of another size.
        """
        if not self.config.conditional:
            raise ValueError("this model has no z: it was trained decoder only (unconditional)")
        try:
            rows = np.atleast_2d(np.asarray(z, dtype=np.float32))
        except (ValueError, TypeError):
            raise ValueError(f"z must be rows of {self.config.z_size} numbers, all alike") from None
        if rows.ndim != 2 or rows.shape[1] != self.config.z_size:
            raise ValueError(f"z is {np.shape(z)}; this model's z has {self.config.z_size} numbers")
        if not np.isfinite(rows).all():
            raise ValueError("z holds numbers that are not finite")
        return rows

    @torch.inference_mode()
    def encode(self, drawings: Sequence[Drawing]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """mu and sigma (n, N_z) of drawings in their own units: z = mu + sigma * N(0, I).

        Raises:
            ValueError: the model is decoder only.
        """
        if not self.config.conditional:
            raise ValueError("this model has no encoder: it was trained decoder only (unconditional)")
        mu = np.zeros((len(drawings), self.config.z_size), np.float32)
        sigma = np.ones_like(mu)
        for start, end in _chunks(list(map(len, drawings))):
            batch, order = self.pack_drawings(list(map(self.placed, drawings[start:end])))
            mean, sigma_hat = self.encoder(batch)
            mu[start + order] = mean.cpu().numpy()
            sigma[start + order] = torch.exp(sigma_hat / 2).cpu().numpy()
        return mu, sigma

    @torch.inference_mode()
    def encode_each(self, drawings: Sequence[Drawing]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `encode`, each as if it were alone: its mu and sigma do not depend on the others by a last bit.

        Raises:
            ValueError: the model is decoder only.
        """
        if not drawings:
            return np.zeros((0, self.config.z_size), np.float32), np.ones((0, self.config.z_size), np.float32)
        if compiled.runs_on(self.W_mu):  # the kernels treat every row alike
            return self.encode(drawings)
        mu, sigma = zip(*(self.encode([drawing]) for drawing in drawings), strict=True)
        return np.concatenate(mu), np.concatenate(sigma)
