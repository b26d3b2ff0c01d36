"""Training: the loop. `run_folder` is what it leaves on disk.

Every random number of a step depends on the seed and the step alone. A run that is resumed at step k therefore goes on
bit for bit as if it had never stopped, and nothing about random numbers has to be stored.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchrnn import checkpoint
from sketchrnn.config import DataInfo, ModelConfig, TrainConfig
from sketchrnn.data.batches import Batch, Batches
from sketchrnn.data.dataset import Dataset
from sketchrnn.evaluation import evaluate
from sketchrnn.kernels import gpu, native
from sketchrnn.model.adam import Adam
from sketchrnn.model.losses import kl_loss, kl_weight, learning_rate, reconstruction_loss
from sketchrnn.model.network import PackedBatch, SketchRNN
from sketchrnn.recorded import RecordedSteps
from sketchrnn.run_folder import RunFolder, spread

LOG_EVERY = 10  # steps between two lines of metrics.jsonl; each is the mean over them
MAX_ROLLBACKS = 10
GPU_EVALUATES = 500  # drawings together: a GPU takes as long for few


@dataclass
class Progress:
    """How far a run has come; stored with its last state."""

    step: int = 0
    """Steps done."""
    drawings: int = 0
    """In the training split, which must be the same when the run goes on."""
    best_loss: float = math.inf
    """Least validation loss so far."""
    since_best: int = 0
    """Validations since then."""
    skipped: int = 0
    """Steps left out since their loss or a gradient was not finite."""
    bad_in_a_row: int = 0
    """Of those, how many just now."""
    rollbacks: int = 0
    """How often the run went back to its last state; the learning rate was halved each time."""


def train(
    data: Dataset,
    *,
    out: str | Path,
    model: ModelConfig | None = None,
    config: TrainConfig | None = None,
    resume: bool = False,
    init: str | Path | None = None,
    device: str = "auto",
    progress: bool = False,
    tensorboard: bool = False,
) -> SketchRNN:
    """Trains a model, or goes on with a run.

    Args:
        data: what to learn from; its `valid` split chooses the best model.
        out: the run folder, made if need be.
        model: sizes of a new model; the reference's if None. Of a resumed run they are its own.
        config: how to train; the reference's settings if None, those it has for a resumed run.
        resume: go on with the run in `out`; one that was stopped before its first checkpoint starts again.
        init: start from the weights of this model, with its scale factor, to fine-tune it.
        device: `auto`, `cpu` or `cuda`.
        progress: show a progress bar on stderr.
        tensorboard: write event files into the run folder too (extra `tensorboard`).

    Returns:
        The best model of the run.

    Raises:
        ValueError: settings, data and model do not fit together, or the loss is not finite again and again.
        FileExistsError: `out` holds a run already and `resume` is not set.
        KeyboardInterrupt: SIGINT or SIGTERM came; the run is saved and can be resumed.
    """
    if any("\ud800" <= c <= "\udfff" for c in str(out)):  # said now, not by safetensors when all is trained
        raise ValueError(f"weights cannot be kept in {out}, its name is no UTF-8: name another folder")
    folder = RunFolder(out)
    run = _Run(data, folder, model, config, resume, init, device)
    if progress:
        print(gpu.describe(run.device), file=sys.stderr)
    with (
        _stop_on_signal() as stop,
        _bar(run, progress) as bar,
        _event_writer(folder.path, tensorboard) as run.events,
        fast_steps(run.device),
    ):
        run.loop(stop, bar)
    if stop.is_set():
        raise KeyboardInterrupt(
            f"stopped after step {run.progress.step:,} of {run.config.steps:,}, all is saved: go on with --resume"
        )
    best = checkpoint.load(folder.best, device=device)
    held_out = data.test if len(data.test) else data.valid
    with _told_not_raised():
        folder.report(best, spread(held_out, run.config.eval_drawings), run.config)
    return best


def loss_of(
    model: SketchRNN,
    batch: Batch,
    config: TrainConfig,
    step: int,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch as it is trained, and what it is made of (tensors without gradient)."""
    packed = model.pack(batch.strokes, batch.lengths, padded=config.pen_padding)
    return packed_loss(model, packed, config, kl_weight(config, step), generator)


def packed_loss(
    model: SketchRNN, packed: PackedBatch, config: TrainConfig, weight: float | Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """`loss_of` a batch that is packed; `weight` is that of the KL term."""
    n = packed.num_drawings
    z, L_KL = None, torch.zeros((), device=model.device)
    if model.config.conditional:
        mu, sigma_hat = model.encoder(packed, config.dropout_keep, generator)
        noise = torch.randn(mu.shape, generator=generator, device=mu.device)
        z = mu + torch.exp(sigma_hat / 2) * noise
        L_KL = kl_loss(mu, sigma_hat).mean()
    h, _ = model.decoder_states(packed, z, config.dropout_keep, generator)
    terms = model.row_terms(h, packed, config.density_floor)
    if (goes_on := packed.steps.goes_on()) is not None:  # what follows the end counts for nothing
        terms = replace(terms, pen=terms.pen * goes_on)
    L_s, L_p = reconstruction_loss(terms, n, model.data.max_length, "padded" if config.pen_padding else "ended")
    L_R = L_s + L_p
    loss = L_R + weight * L_KL.clamp(min=config.kl_min) if z is not None else L_R
    # of the points and the end alone, as evaluate has it
    counts = packed.lengths[packed.steps.drawing]
    nats = -(terms.offset + terms.pen * (packed.steps.step <= counts)).detach().sum() / packed.lengths.sum()
    return loss, {"loss": loss.detach(), "L_R": L_R.detach(), "L_KL": L_KL.detach(), "nats_per_point": nats}


def train_step(
    model: SketchRNN,
    optimizer: Adam,
    batch: Batch,
    config: TrainConfig,
    step: int,
    generator: torch.Generator,
) -> dict[str, Tensor] | None:
    """One step of the optimiser; None where the loss or a gradient is not finite, and nothing was changed."""
    optimizer.zero_grad()
    with gpu.products(config.precision) if model.device.type == "cuda" else nullcontext():
        loss, parts = loss_of(model, batch, config, step, generator)
        loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    largest = torch.stack([extreme for gradient in gradients for extreme in torch.aminmax(gradient)]).abs().max()
    if not (torch.isfinite(loss) and torch.isfinite(largest)):  # NaN if a gradient is
        return None
    if largest > config.clip_value:  # else each would be read and written again for nothing
        torch._foreach_clamp_min_(gradients, -config.clip_value)
        torch._foreach_clamp_max_(gradients, config.clip_value)
    optimizer.step()
    return parts


class _Run:
    """A run in memory: model, optimiser, batches, and how far it has come."""

    def __init__(
        self,
        data: Dataset,
        folder: RunFolder,
        model_config: ModelConfig | None,
        config: TrainConfig | None,
        resume: bool,
        init: str | Path | None,
        device: str,
    ) -> None:
        if folder.exists() and not resume:
            raise FileExistsError(f"{folder.path} holds a run already: go on with --resume, or choose another folder")
        if not len(data.valid):
            raise ValueError(f"{data.folder} has no validation drawings: prepare it again with a larger --valid")
        goes_on = folder.last.exists()
        before = folder.settings() if resume and folder.exists() else None
        if before is not None:
            model_config, config = model_config or before[0], config or before[1]
        config = config or TrainConfig()
        self.data, self.folder, self.config = data, folder, config
        self.events: Any = None
        self.device = checkpoint.resolve_device(device)
        if config.precision != "float32" and (reason := _no_gpu(self.device)):
            raise ValueError(
                f"--train.precision {config.precision} is for NVIDIA GPUs with Triton, and here {reason}: "
                "leave it at float32"
            )
        self.progress = Progress(drawings=len(data.train))
        self.model = _new_model(data, model_config, config, None if goes_on else init).to(self.device)
        self.optimizer = Adam(self.model.parameters(), config.learning_rate, config.adam_epsilon)
        if goes_on:
            self.progress = self.load_last()
        if self.progress.drawings != len(data.train):
            raise ValueError(
                f"{folder.path} was trained on {self.progress.drawings:,} drawings and {data.folder} has "
                f"{len(data.train):,}: go on with the same data, or start another run with --init"
            )
        if before is not None and _measure(before[1]) != _measure(
            config
        ):  # losses before cannot be compared with those after
            self.progress.best_loss, self.progress.since_best = math.inf, 0
        if before is not None and config.steps > before[1].steps:  # one that its patience ended is made longer, too
            self.progress.since_best = 0
        self.batches = Batches(
            data.train,
            scale_factor=self.model.data.scale_factor,
            batch_size=config.batch_size,
            seed=config.seed,
            bucket=config.bucket,
            balance=config.balance,
            augment_scale=config.augment_scale,
            augment_drop=config.augment_drop,
            max_length=self.model.data.max_length,
        )
        self.recorded = self.new_recorded()
        folder.start(self.model.config, config)
        folder.forget_after(self.progress.step)
        if not goes_on:
            self.save()

    def new_recorded(self) -> RecordedSteps | None:
        """Steps for a GPU with fast kernels; None where each step is done here."""
        if _no_gpu(self.device):
            return None
        return RecordedSteps(self.model, self.optimizer, packed_loss, self.config, batch_size=self.batches.batch_size)

    def loop(self, stop: threading.Event, bar: _Bar | _Silent) -> None:
        """Steps until the end, until the signal to stop, or until the patience is over."""
        config = self.config
        parts: list[Mapping[str, Tensor]] = []  # since the last log; tensors, so that no step waits for them
        drawings, since = 0, time.perf_counter()
        while self.progress.step < config.steps and not stop.is_set() and not self.out_of_patience():
            progress = self.progress
            batch = self.batches.batch(progress.step)
            done = self.step(batch)
            if self.progress is not progress:  # it went back
                parts, drawings = [], 0
                continue
            if done is not None:
                parts.append(done)
                drawings += len(batch.lengths)
            due = progress.step % config.eval_every == 0 or progress.step == config.steps
            if self.recorded is not None and (due or progress.step % LOG_EVERY == 0):
                parts = self.settle(parts)
                if self.progress is not progress:
                    parts, drawings = [], 0
                    continue
            if progress.step % LOG_EVERY == 0 or due:
                if parts:
                    row = {name: torch.stack([p[name] for p in parts]).mean().item() for name in parts[0]}
                    row |= {"drawings_per_s": drawings / (time.perf_counter() - since), "skipped": progress.skipped}
                    row |= {"kl_weight": kl_weight(config, progress.step), "learning_rate": self.rate()}
                    self.log("train", row)
                    bar.show(row)
                if due and not progress.bad_in_a_row:  # weights that may be broken are no checkpoint
                    self.validate()
                parts, drawings, since = [], 0, time.perf_counter()
            bar.at(progress.step)
        if self.recorded is not None:
            self.settle(parts)
        if stop.is_set() and not self.progress.bad_in_a_row:  # else what comes since the last checkpoint is done again
            self.save()

    def step(self, batch: Batch) -> Mapping[str, Tensor] | None:
        """One step of the optimiser; None where the loss or a gradient is not finite, and nothing was changed.

        That of a recorded step shows later, in `settle`.
        """
        config, progress = self.config, self.progress
        seed = _step_seed(config.seed, progress.rollbacks, progress.step)
        self.optimizer.rate = self.rate()
        if self.recorded is not None:
            figures = self.recorded.step(batch, kl_weight(config, progress.step), self.optimizer.rate, seed)
            progress.step += 1
            return figures
        generator = torch.Generator(self.device)
        generator.manual_seed(seed)
        parts = train_step(self.model, self.optimizer, batch, config, progress.step, generator)
        progress.step += 1
        if parts is None:
            self.skip()
            return None
        progress.bad_in_a_row = 0
        return parts

    def settle(self, figures: list[Mapping[str, Tensor]]) -> list[Mapping[str, Tensor]]:
        """Of recorded steps those that were finite. This alone waits for the device."""
        finite = torch.stack([row["finite"] for row in figures]).tolist() if figures else []
        progress = self.progress
        for was in finite:
            progress.bad_in_a_row = 0 if was else progress.bad_in_a_row
            if not was:
                self.skip()
            if self.progress is not progress:
                break
        return [
            {name: value for name, value in row.items() if name != "finite"}
            for row, was in zip(figures, finite, strict=True)
            if was
        ]

    def rate(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config, self.progress.step) * 0.5**self.progress.rollbacks

    def skip(self) -> None:
        """Leaves a step out that was not finite; after several in a row, back to the last state with half the rate."""
        progress = self.progress
        progress.skipped += 1
        progress.bad_in_a_row += 1
        if progress.bad_in_a_row < self.config.max_bad_steps:
            return
        if progress.rollbacks == MAX_ROLLBACKS:
            raise ValueError(
                f"the loss is not finite again and again, at step {progress.step:,} too: "
                f"try a smaller --train.learning-rate than {self.rate():g}"
            )
        self.progress = self.load_last()
        self.recorded = self.new_recorded()  # the optimiser's state has another place now
        self.progress.skipped, self.progress.rollbacks = progress.skipped, progress.rollbacks + 1
        self.folder.forget_after(self.progress.step)
        self.log("rollback", {"skipped": self.progress.skipped, "learning_rate": self.rate()})
        print(
            f"the loss was not finite {self.config.max_bad_steps} times in a row: back to step {self.progress.step:,} "
            f"with half the learning rate, now {self.rate():.2g}",
            file=sys.stderr,
        )

    def out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.since_best

    def validate(self) -> None:
        """Figures on the validation split, the best and the last checkpoint, a picture."""
        config, progress = self.config, self.progress
        figures = evaluate(
            self.model,
            spread(self.data.valid, config.eval_drawings),
            padded=config.pen_padding,
            density_floor=config.density_floor,
            batch_size=max(config.batch_size, GPU_EVALUATES) if self.recorded is not None else config.batch_size,
        )
        # what is trained, with the KL term's weight of the end: the same measure at every step
        L_R = figures["L_R_padded" if config.pen_padding else "L_R_ended"]
        kl = config.kl_weight * max(figures["L_KL"], config.kl_min) if self.model.config.conditional else 0.0
        figures["loss"] = L_R + kl
        self.log("valid", figures)
        progress.since_best += 1
        if figures["loss"] < progress.best_loss:
            progress.best_loss, progress.since_best = figures["loss"], 0
            self.model.training_facts = {"step": progress.step, "valid": figures, "train": asdict(config)}
            checkpoint.save(self.model, self.folder.best)
        self.save()
        with _told_not_raised():
            self.folder.picture(self.model, self.data.valid, progress.step)

    def save(self) -> None:
        """All that resuming needs; a run that may be resumed has a model, too."""
        if not self.folder.best.exists():
            checkpoint.save(self.model, self.folder.best)
        self.folder.last.parent.mkdir(exist_ok=True)
        checkpoint.save_state(self.folder.last, self.model, self.optimizer, asdict(self.progress))

    def load_last(self) -> Progress:
        """Puts the last checkpoint back; returns how far it had come."""
        stored = checkpoint.load_state(self.folder.last, self.model, self.optimizer)
        try:
            return Progress(**stored)
        except TypeError as error:
            raise ValueError(f"{self.folder.last} is of another version of sketchrnn: {error}") from error

    def log(self, kind: str, row: dict[str, float]) -> None:
        """A line of metrics.jsonl, and TensorBoard's events where they are wanted."""
        self.folder.log(kind, self.progress.step, row)
        if self.events is not None:
            for name, value in row.items():
                self.events.add_scalar(f"{name}/{kind}", value, self.progress.step)
            self.events.flush()


def _new_model(
    data: Dataset, model_config: ModelConfig | None, config: TrainConfig, init: str | Path | None
) -> SketchRNN:
    """A model with the reference's initial weights, or with those of `init`."""
    info = data.info
    if init is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return SketchRNN(model_config or ModelConfig(), info)
    start = checkpoint.load(init, device="cpu")
    if model_config is not None and model_config != start.config:
        raise ValueError(
            f"{init} has other sizes than those asked for: leave out the --model settings, it brings its own"
        )
    start.training_facts = {}
    # the weights know offsets divided by their own scale factor, so it stays; N_max grows if need be
    start.data = DataInfo(
        **asdict(info)
        | {
            "scale_factor": start.data.scale_factor,
            "max_length": max(info.max_length, start.data.max_length),
            "start_token": start.data.start_token,
        }
    )
    return start


def _no_gpu(device: torch.device) -> str:
    """Why the fast kernels of a GPU do not train here; empty where they do."""
    return "the device is the CPU" if device.type == "cpu" else gpu.why_not(device.type)


def _step_seed(seed: int, rollbacks: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, rollbacks, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread alone
        yield stop
        return

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Silent:
    """The progress bar of a run that shows none."""

    def at(self, step: int) -> None: ...

    def show(self, row: dict[str, float]) -> None: ...


class _Bar:
    """Steps, drawings a second, nats per point, L_R, L_KL, and the time that is left."""

    def __init__(self, bar: Any, task: Any) -> None:
        self.bar, self.task = bar, task

    def at(self, step: int) -> None:
        self.bar.update(self.task, completed=step)

    def show(self, row: dict[str, float]) -> None:
        text = (
            f"{row['drawings_per_s']:.0f} drawings/s {row['nats_per_point']:.3f} nats/point "
            f"L_R {row['L_R']:.3f} L_KL {row['L_KL']:.3f}"
        )
        self.bar.update(self.task, figures=text)


@contextmanager
def _bar(run: _Run, shown: bool) -> Iterator[_Silent | _Bar]:
    if not shown:
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        BarColumn(6), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("train", total=run.config.steps, completed=run.progress.step, figures="")
        yield _Bar(bar, task)


@contextmanager
def _event_writer(out: Path, wanted: bool) -> Iterator[Any]:
    """TensorBoard's writer, None where it is not wanted."""
    if not wanted:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError('TensorBoard is not installed: pip install "sketchrnn[tensorboard]"') from error
    with SummaryWriter(str(out / "tensorboard")) as writer:
        yield writer


@contextmanager
def _told_not_raised() -> Iterator[None]:
    """For pictures and the report: a model that draws nonsense early on shall not end the run, nor a machine without
    what pictures need."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        print(f"no picture: {error}", file=sys.stderr)


@contextmanager
def fast_steps(device: torch.device) -> Iterator[None]:
    """How a thread trains fast: on the CPU, gradients fade into denormal numbers, which are a hundred times slower, so
    they count as 0 in it meanwhile; memory is kept from step to step and freed at the end. Not to be nested."""
    on_cpu = device.type == "cpu"
    try:
        torch.set_flush_denormal(on_cpu)
        if on_cpu:
            native.keep_memory()
        yield
    finally:
        torch.set_flush_denormal(False)
        native.give_back_memory()


def _measure(config: TrainConfig) -> tuple[object, ...]:
    """The settings that the validation loss depends on."""
    return config.kl_weight, config.kl_min, config.pen_padding, config.density_floor, config.eval_drawings
