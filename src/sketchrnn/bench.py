"""How fast this machine trains, samples and reads, and how near that comes to what it could do."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

import sketchrnn
from sketchrnn.config import CellName, DataInfo, ModelConfig, TrainConfig
from sketchrnn.data.batches import Batch, Batches
from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.kernels import compiled
from sketchrnn.model.adam import Adam
from sketchrnn.model.network import SketchRNN
from sketchrnn.training import fast_steps, train_step

Row: TypeAlias = dict[str, Any]
Result = TypeVar("Result")

CELLS: tuple[CellName, ...] = ("lstm", "layer_norm", "hyper")
ROUNDS = 5  # everything is measured once a round, so that a noisy minute falls on all alike
STEPS = 3  # of training in a round
PEAK_SHAPES = ((2048, 2048, 2048), (6000, 512, 2048), (512, 6000, 2048), (1000, 512, 2048))  # rows, inner, columns
LONGEST = 250  # points of the drawing whose latency is measured
MEAN_POINTS = 61  # of the made-up drawings, as of real cats
SAMPLE_SIZES = (1, 100, 1000)


def bench(data: Dataset | None = None, *, device: str = "cpu", batch_size: int = 100) -> list[Row]:
    """Measures training, sampling, data and memory at the reference's sizes; minutes.

    Args:
        data: drawings to train on; made-up ones of about 61 points if None.
        device: `cpu` or `cuda`.
        batch_size: drawings of a training step.

    Returns:
        Rows. `what` is `peak`, `train`, `sample`, `data`, `memory` or `start`; each has `seconds` (median), and
        what applies of `cell`, `backend`, `batch`, `drawings_per_s`, `gflops`, `fraction_of_peak`, `mib`.
    """
    with tempfile.TemporaryDirectory() as folder, fast_steps(torch.device(device)):
        data = data or Dataset(made_up_data(Path(folder)))
        rows = [memory_row(data, device, batch_size)]
        rows += training_rows(data, device, batch_size)
        rows += [sampling_row(cell, n, device) for cell in CELLS for n in SAMPLE_SIZES]
        rows += [data_row(data, batch_size), start_row(data, device, batch_size)]
    return rows


def training_rows(data: Dataset, device: str, batch_size: int) -> list[Row]:
    """The peak, and a row for each cell and backend, all measured in turn."""
    backends = ("native", "plain") if _backend(device) == "native" else ("plain",)
    trainers = {(cell, name): Trainer(data, cell, name, device, batch_size) for cell in CELLS for name in backends}
    peaks: list[float] = []
    for trainer in trainers.values():
        trainer.steps(2)  # caches and memory
        trainer.times.clear()
    for _ in range(ROUNDS):
        peaks.append(peak_flops(device))
        for (_, backend), trainer in trainers.items():
            trainer.steps(STEPS if backend == backends[0] else 1)
    peak = statistics.median(peaks)
    rows = [{"what": "peak", "backend": "torch", "gflops": peak / 1e9, "seconds": 0.0, "device": device}]
    return rows + [trainer.row(peak) for trainer in trainers.values()]


class Trainer:
    """A model in training, and what its steps took."""

    def __init__(self, data: Dataset, cell: CellName, backend: str, device: str, batch_size: int) -> None:
        self.cell, self.backend, self.config = cell, backend, TrainConfig(pen_padding=False, batch_size=batch_size)
        torch.manual_seed(0)
        self.model = SketchRNN(ModelConfig(decoder_cell=cell), data.info).to(device)
        self.optimizer = Adam(self.model.parameters(), self.config.learning_rate)
        self.batches = _batches(data, batch_size)
        self.step = 0
        self.times: list[tuple[float, float, int]] = []
        """Seconds, useful floating-point operations and drawings of each step."""

    def steps(self, count: int) -> None:
        with _environment(SKETCHRNN_BACKEND=self.backend):
            for _ in range(count):
                batch = self.batches.batch(self.step)
                generator = torch.Generator(self.model.device).manual_seed(self.step)
                work = partial(train_step, self.model, self.optimizer, batch, self.config, self.step, generator)
                seconds, _ = _timed(work, self.model.device)
                self.times.append((seconds, training_flops(self.model.config, batch), len(batch.lengths)))
                self.step += 1

    def row(self, peak: float) -> Row:
        seconds, flops, drawings = map(sum, zip(*self.times, strict=True))
        return {
            "what": "train",
            "cell": self.cell,
            "backend": self.backend,
            "batch": self.config.batch_size,
            "drawings_per_s": drawings / seconds,
            "seconds": statistics.median(step[0] for step in self.times),
            "gflops": flops / seconds / 1e9,
            "fraction_of_peak": flops / seconds / peak,
        }


def training_flops(config: ModelConfig, batch: Batch) -> float:
    """Floating-point operations of the products that a step cannot do without: forward, for the inputs' gradients and
    for the weights'. Neither padding nor the five numbers of a point count."""
    points = int(batch.lengths.sum())
    per_row = _products(config.decoder_cell, config.decoder_size, config)
    per_row += config.decoder_size * (3 + 6 * config.num_mixtures)
    total = per_row * (points + len(batch.lengths))
    if config.conditional:
        total += 2 * points * _products(config.encoder_cell, config.encoder_size, config)
    return 3 * 2 * total


def _products(cell: CellName, size: int, config: ModelConfig) -> int:
    """Multiplications and additions of a cell's step, in pairs."""
    if cell != "hyper":
        return 4 * size**2
    small, embedding = config.hyper_units, config.hyper_embedding
    return 4 * size**2 + 4 * small * (size + small) + 12 * embedding * (small + size)


def peak_flops(device: str) -> float:
    """What the machine's best product of float32 matrices does in a second."""
    best = 0.0
    for rows, inner, columns in PEAK_SHAPES:
        a, b = torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device)
        out = torch.empty(rows, columns, device=device)
        seconds = min(_timed(partial(torch.mm, a, b, out=out), a.device)[0] for _ in range(5))
        best = max(best, 2 * rows * inner * columns / seconds)
    return best


def sampling_row(cell: CellName, n: int, device: str) -> Row:
    """`n` drawings: a single one of 250 points; more end by themselves, after 61 points in the mean."""
    torch.manual_seed(0)
    model = SketchRNN(ModelConfig(decoder_cell=cell), DataInfo(scale_factor=30.0, max_length=LONGEST)).to(device)
    end = 0.0 if n == 1 else 1 / MEAN_POINTS
    with torch.no_grad():  # pen states that depend on nothing
        model.W_y[:, :3] = 0
        model.b_y[:3] = torch.log(torch.tensor([0.85 * (1 - end), 0.15 * (1 - end), end or 1e-30], device=device))
    sketchrnn.sample(model, min(n, 2), temperature=1, seed=0)
    times: list[float] = []
    points = 0
    for seed in range(3 if n >= SAMPLE_SIZES[-1] else 9):
        seconds, drawings = _timed(partial(sketchrnn.sample, model, n, temperature=1, seed=seed), model.device)
        times.append(seconds)
        points += sum(map(len, drawings))
    seconds = statistics.median(times)
    return {
        "what": "sample",
        "cell": cell,
        "backend": _backend(device),
        "batch": n,
        "drawings_per_s": n / seconds,
        "seconds": seconds,
        "mean_points": points / n / len(times),
    }


def data_row(data: Dataset, batch_size: int) -> Row:
    """Batches of random drawings, augmented, with all that training does before the network."""
    batches = _batches(data, batch_size)
    times = [_timed(partial(batches.batch, step), torch.device("cpu"))[0] for step in range(100)]
    return {
        "what": "data",
        "backend": "numpy",
        "batch": batch_size,
        "drawings_per_s": batch_size / statistics.mean(times),
        "seconds": statistics.median(times),
        "drawings": len(data.train),
    }


def memory_row(data: Dataset, device: str, batch_size: int) -> Row:
    """Most memory that training the reference's LSTM takes beyond torch itself, in a process of its own."""
    seconds, mib = _alone(data, device, batch_size, 40)
    row = {"what": "memory", "cell": "lstm", "backend": _backend(device), "batch": batch_size, "seconds": seconds}
    return row if mib is None else row | {"mib": mib}


def start_row(data: Dataset, device: str, batch_size: int) -> Row:
    """From the start of Python to the end of the first training step, the kernels compiled anew."""
    with tempfile.TemporaryDirectory() as cache, _environment(XDG_CACHE_HOME=cache):
        seconds, _ = _alone(data, device, batch_size, 1)
    return {"what": "start", "cell": "lstm", "backend": _backend(device), "batch": batch_size, "seconds": seconds}


def _alone(data: Dataset, device: str, batch_size: int, steps: int) -> tuple[float, float | None]:
    """Seconds and MiB of a fresh process that trains; None where the system does not tell."""
    began = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        mib = pool.submit(_train_alone, data.folder, device, batch_size, steps).result()
    return time.perf_counter() - began, mib


def _train_alone(folder: Path, device: str, batch_size: int, steps: int) -> float | None:
    before = _most_memory()
    trainer = Trainer(Dataset(folder), "lstm", "", device, batch_size)
    with fast_steps(torch.device(device)):
        trainer.steps(steps)
    after = _most_memory()
    return None if before is None or after is None else after - before


def _most_memory() -> float | None:
    """MiB that this process had at most."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


def _backend(device: str) -> str:
    return "native" if compiled.runs_on(torch.zeros(1, device=device)) else "plain"


def made_up_data(folder: Path, drawings: int = 4000) -> Path:
    """A dataset of walks, as long as real drawings of cats: 61 points in the mean, 171 at most."""
    rng = np.random.default_rng(0)

    def walk() -> Drawing:
        points = int(np.clip(rng.lognormal(4.07, 0.31), 5, 171))
        lifts = rng.random(points) < 0.12
        return Drawing(np.column_stack([rng.normal(0, 20, (points, 2)).round(), lifts]))

    sketchrnn.write([walk() for _ in range(drawings)], folder / "walks.npz")
    sketchrnn.prepare([folder / "walks.npz"], folder / "walks")
    return folder / "walks"


def _batches(data: Dataset, batch_size: int) -> Batches:
    config = TrainConfig()
    return Batches(
        data.train,
        scale_factor=data.info.scale_factor,
        batch_size=batch_size,
        augment_scale=config.augment_scale,
        augment_drop=config.augment_drop,
    )


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _timed(work: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Seconds that it took, to its end on the device too, and what it gave."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began, result
