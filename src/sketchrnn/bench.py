"""How fast this machine trains, samples and reads, and how near that comes to what it could do."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

import sketchrnn
from sketchrnn.config import CellName, DataInfo, ModelConfig, Precision, TrainConfig, preset
from sketchrnn.data.batches import Batch, Batches
from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.kernels import compiled, gpu
from sketchrnn.model.adam import Adam
from sketchrnn.model.cells import make_cell, zero_state
from sketchrnn.model.losses import kl_weight
from sketchrnn.model.network import SketchRNN
from sketchrnn.model.sequence import Layout, run
from sketchrnn.recorded import RecordedSteps
from sketchrnn.training import fast_steps, packed_loss, train_step

Row: TypeAlias = dict[str, Any]
Result = TypeVar("Result")

CELLS: tuple[CellName, ...] = ("lstm", "layer_norm", "hyper")
ROUNDS = 5  # everything is measured once a round, so that a noisy minute falls on all alike
STEPS = 3  # of training in a round
PEAK_SHAPES = ((2048, 2048, 2048), (6000, 512, 2048), (512, 6000, 2048), (1000, 512, 2048))  # rows, inner, columns
LONGEST = 250  # points of the drawing whose latency is measured
MEAN_POINTS = 61  # of the made-up drawings, as of real cats
SAMPLE_SIZES = (1, 100, 1000)

# On a GPU.
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
GPU_PEAK_SHAPES = ((8192, 8192, 8192), (16384, 2048, 8192))
GPU_BATCHES = (100, 1000)
GPU_STEPS = 20  # of training, timed together: no step waits for the device
SEQUENCE_STEPS = 64  # of the cells beside cuDNN's


def bench(data: Dataset | None = None, *, device: str = "cpu", batch_size: int = 100) -> list[Row]:
    """Measures training, sampling, data and memory at the reference's sizes; minutes.

    Args:
        data: drawings to train on; made-up ones of about 61 points if None.
        device: `cpu` or `cuda`.
        batch_size: drawings of a training step.

    Returns:
        Rows. `what` is `peak`, `train`, `sample`, `data`, `memory` or `start`; each has `seconds` (median), and
        what applies of `cell`, `backend`, `batch`, `drawings_per_s`, `gflops`, `fraction_of_peak`, `mib`. On a GPU
        also `precision` and `size`, and `what` may be `sequence`: a cell alone, forward and back, beside cuDNN's LSTM.
    """
    with tempfile.TemporaryDirectory() as folder, fast_steps(torch.device(device)):
        data = data or Dataset(made_up_data(Path(folder)))
        if torch.device(device).type == "cuda":
            rows = [row for measure in gpu_measures(data, device) for row in measure()]
        else:
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
    """A model in training, and what its steps took; `backend` is for SKETCHRNN_BACKEND, empty for the fastest."""

    def __init__(
        self,
        data: Dataset,
        cell: CellName,
        backend: str,
        device: str,
        batch_size: int,
        precision: Precision = "float32",
        model: ModelConfig | None = None,
    ) -> None:
        self.cell, self.backend = cell, backend
        self.config = TrainConfig(pen_padding=False, batch_size=batch_size, precision=precision)
        torch.manual_seed(0)
        self.model = SketchRNN(model or ModelConfig(decoder_cell=cell), data.info).to(device)
        self.optimizer = Adam(self.model.parameters(), self.config.learning_rate)
        self.batches = _batches(data, batch_size)
        self.recorded: RecordedSteps | None = None
        if _backend(device) == "triton" and backend != "plain":
            self.recorded = RecordedSteps(
                self.model, self.optimizer, packed_loss, self.config, batch_size=self.batches.batch_size
            )
        self.step = 0
        self.times: list[tuple[float, float, int]] = []
        """Seconds, useful floating-point operations and drawings of each step."""

    def steps(self, count: int) -> None:
        if self.recorded is not None:
            self._steps_together(self.recorded, count)
            return
        with _environment(SKETCHRNN_BACKEND=self.backend):
            for _ in range(count):
                batch = self.batches.batch(self.step)
                generator = torch.Generator(self.model.device).manual_seed(self.step)
                work = partial(train_step, self.model, self.optimizer, batch, self.config, self.step, generator)
                seconds, _ = _timed(work, self.model.device)
                self.times.append((seconds, training_flops(self.model.config, batch), len(batch.lengths)))
                self.step += 1

    def _steps_together(self, recorded: RecordedSteps, count: int) -> None:
        """Timed from the first to the end of the last, with all that is done to make their batches."""
        batches: list[Batch] = []

        def work() -> None:
            for _ in range(count):
                batches.append(self.batches.batch(self.step))
                recorded.step(batches[-1], kl_weight(self.config, self.step), self.config.learning_rate, self.step)
                self.step += 1

        seconds, _ = _timed(work, self.model.device)
        for batch in batches:
            flops = training_flops(self.model.config, batch)
            self.times.append((seconds / count, flops, len(batch.lengths)))

    def row(self, peak: float) -> Row:
        seconds, flops, drawings = map(sum, zip(*self.times, strict=True))
        return {
            "what": "train",
            "cell": self.cell,
            "backend": self.backend or _backend(str(self.model.device)),
            "batch": self.config.batch_size,
            "drawings_per_s": drawings / seconds,
            "seconds": statistics.median(step[0] for step in self.times),
            "gflops": flops / seconds / 1e9,
            "fraction_of_peak": flops / seconds / peak,
        }


def gpu_measures(data: Dataset, device: str) -> Iterator[Callable[[], list[Row]]]:
    """What is measured on a GPU, one thing after the other: first with few drawings a step, then with many.

    `fraction_of_peak` is of the best product in that row's precision, measured in the same run.
    """
    peaks: dict[Precision, float] = {}

    def peak(precision: Precision) -> list[Row]:
        peaks[precision] = peak_flops(device, precision)
        row = {"what": "peak", "backend": "torch", "precision": precision, "gflops": peaks[precision] / 1e9}
        return [row | {"seconds": 0.0, "device": device}]

    def steps(trainer: Callable[[], Trainer], size: int) -> list[Row]:
        made = trainer()
        made.steps(GPU_STEPS)  # graphs are recorded
        made.times.clear()
        made.step = 0  # the same batches: no length is new
        made.steps(GPU_STEPS)
        return [made.row(peaks[made.config.precision]) | {"size": size, "precision": made.config.precision}]

    for precision in PRECISIONS:
        yield partial(peak, precision)
    sizes: tuple[tuple[CellName, int], ...] = (("lstm", 512), ("layer_norm", 512), ("hyper", 512), ("hyper", 2048))
    for batch_size in GPU_BATCHES:
        for precision in PRECISIONS:
            for cell in CELLS:
                yield partial(steps, partial(Trainer, data, cell, "", device, batch_size, precision), 512)
        for cell, size in sizes:
            for precision in ("float32", "bfloat16") if size == 512 else ("bfloat16",):
                yield partial(sequence_rows, cell, size, batch_size, precision, device, peaks)
        large = partial(Trainer, data, "hyper", "", device, batch_size, "bfloat16", preset("paper")[0])
        yield partial(steps, large, 2048)
    for cell in CELLS:
        yield partial(steps, partial(Trainer, data, cell, "plain", device, GPU_BATCHES[0]), 512)


def sequence_rows(
    cell: CellName, size: int, batch_size: int, precision: Precision, device: str, peaks: dict[Precision, float]
) -> list[Row]:
    """A cell over drawings of `SEQUENCE_STEPS` steps, forward and back, and cuDNN's LSTM of as many operations."""
    config = ModelConfig()
    x = torch.randn(SEQUENCE_STEPS * batch_size, 5, device=device)
    made = make_cell(cell, 5, size, config.hyper_units, config.hyper_embedding).to(device)
    weights = list(made.parameters())
    number = torch.arange(len(x), device=device)
    layout = Layout([batch_size] * SEQUENCE_STEPS, number % batch_size, number // batch_size)
    d_h = torch.randn(len(x), size, device=device)

    def ours() -> None:
        with gpu.products(precision):
            h, _ = run(made, x, None, layout, zero_state(made, batch_size))
            torch.autograd.grad(h, weights, d_h, allow_unused=True)

    work = _products(cell, size, config)
    wide = round((work / 4) ** 0.5 / 8) * 8  # units of an LSTM of as many operations
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    theirs_cell = torch.nn.LSTM(5, wide).to(device, kind)
    theirs_x, theirs_d = (
        x.view(SEQUENCE_STEPS, batch_size, 5).to(kind),
        torch.randn(SEQUENCE_STEPS, batch_size, wide, device=device, dtype=kind),
    )
    theirs_weights = list(theirs_cell.parameters())

    def theirs() -> None:
        h, _ = theirs_cell(theirs_x)
        torch.autograd.grad(h, theirs_weights, theirs_d)

    graph = gpu.recorded(ours)
    seconds = statistics.median(_timed(graph.replay, x.device)[0] for _ in range(GPU_STEPS))
    del graph
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=precision == "tf32"):
        for _ in range(3):
            theirs()
        cudnn = statistics.median(_timed(theirs, x.device)[0] for _ in range(GPU_STEPS))
    common: Row = {"what": "sequence", "batch": batch_size, "precision": precision}

    def row(cell: str, backend: str, size: int, seconds: float, pairs: int) -> Row:
        flops = 6.0 * pairs * len(x) / seconds
        facts = {"cell": cell, "backend": backend, "size": size, "seconds": seconds}
        facts |= {"drawings_per_s": batch_size / seconds, "gflops": flops / 1e9}
        return common | facts | {"fraction_of_peak": flops / peaks[precision]}

    return [
        row(cell, _backend(device), size, seconds, work) | {"times_cudnn": seconds / cudnn},
        row("lstm", "cudnn", wide, cudnn, 4 * wide**2),
    ]


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


def peak_flops(device: str, precision: Precision = "float32") -> float:
    """What the machine's best product of matrices does in a second; `precision` counts on a GPU."""
    best = 0.0
    on_gpu = torch.device(device).type == "cuda"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    for rows, inner, columns in GPU_PEAK_SHAPES if on_gpu else PEAK_SHAPES:
        a, b = torch.randn(rows, inner, device=device).to(dtype), torch.randn(inner, columns, device=device).to(dtype)
        out = torch.empty(rows, columns, device=device, dtype=dtype)
        with gpu.products(precision) if on_gpu else nullcontext():
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
    if gpu.runs_on(torch.zeros(1, device=device)):
        return "triton"
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
