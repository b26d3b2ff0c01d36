"""Training: the loop, and the run folder it keeps.

A run folder holds `config.json` (settings), `model.safetensors` (the best so far), `last/state.safetensors` (what
resuming needs), `metrics.jsonl` (a line for every log), `samples/` (a picture for every validation) and, in the end,
`report.html`.

Every random number of a step depends on the seed and the step alone. A run that is resumed at step k therefore goes on
bit for bit as if it had never stopped, and nothing about random numbers has to be stored.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchrnn import checkpoint
from sketchrnn.config import DataInfo, ModelConfig, TrainConfig
from sketchrnn.data.batches import Batch, Batches
from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.evaluation import evaluate
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.generate import complete, interpolate, reconstruct, sample
from sketchrnn.model.losses import kl_loss, kl_weight, learning_rate, reconstruction_loss, row_terms
from sketchrnn.model.network import SketchRNN
from sketchrnn.render import write
from sketchrnn.report import Section, write_report

LOG_EVERY = 10  # steps between two lines of metrics.jsonl; each is the mean over them
PICTURE_TEMPERATURES = (0.2, 0.5, 0.8)


@dataclass
class Progress:
    """How far a run has come; stored with its last state."""

    step: int = 0
    """Steps done."""
    best_loss: float = math.inf
    """Least validation loss so far."""
    best_step: int = 0
    since_best: int = 0
    """Validations since then."""
    skipped: int = 0
    """Steps left out since their loss or a gradient was not finite."""
    rollbacks: int = 0
    """How often the run went back to its last state; the learning rate was halved each time."""
    seconds: float = 0.0
    """Time spent in training."""
    figures: dict[str, float] = field(default_factory=dict)
    """Of the best validation."""


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
        config: how to train; the reference's settings if None.
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
    run = _Run(data, Path(out), model, config or TrainConfig(), resume, init, device, tensorboard)
    with _stop_on_signal() as stop, _bar(run, progress) as bar:
        run.loop(stop, bar)
    if stop.is_set():
        raise KeyboardInterrupt(
            f"stopped after step {run.progress.step:,} of {run.config.steps:,}, all is saved: go on with --resume"
        )
    best = checkpoint.load(run.out, device=device)
    run.report(best)
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
    n = packed.num_drawings
    z, L_KL = None, torch.zeros((), device=model.device)
    if model.config.conditional:
        mu, sigma_hat = model.encoder(packed, config.dropout_keep, generator)
        noise = torch.randn(mu.shape, generator=generator, device=mu.device)
        z = mu + torch.exp(sigma_hat / 2) * noise
        L_KL = kl_loss(mu, sigma_hat).mean()
    y, _ = model.decoder_outputs(packed, z, config.dropout_keep, generator)
    terms = row_terms(y, packed.targets, config.density_floor)
    L_s, L_p = reconstruction_loss(terms, n, model.data.max_length, "padded" if config.pen_padding else "ended")
    L_R = L_s + L_p
    loss = L_R + kl_weight(config, step) * L_KL.clamp(min=config.kl_min) if z is not None else L_R
    nats = (L_R * n * model.data.max_length / int(batch.lengths.sum())).detach()
    return loss, {"loss": loss.detach(), "L_R": L_R.detach(), "L_KL": L_KL.detach(), "nats_per_point": nats}


class _Run:
    """A run folder and everything in memory that belongs to it."""

    def __init__(
        self,
        data: Dataset,
        out: Path,
        model_config: ModelConfig | None,
        config: TrainConfig,
        resume: bool,
        init: str | Path | None,
        device: str,
        tensorboard: bool,
    ) -> None:
        self.data, self.out, self.config = data, out, config
        self.device = checkpoint.resolve_device(device)
        self.progress = Progress()
        self.consecutive_bad = 0
        state = out / "last" / "state.safetensors"
        if (out / "config.json").exists() and not resume:
            raise FileExistsError(f"{out} holds a run already: go on with --resume, or choose another folder")
        if not len(data.valid):
            raise ValueError(f"{data.folder} has no validation drawings: prepare it again with a larger --valid")
        self.model = _new_model(data, model_config, config, init).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
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
        if resume and state.exists():
            self.progress = Progress(**checkpoint.load_state(state, self.model, self.optimizer))
        out.mkdir(parents=True, exist_ok=True)
        settings = {"model": asdict(self.model.config), "train": asdict(config)}
        with atomic_file(out / "config.json") as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n")
        self._forget_metrics_after(self.progress.step)
        self.writer = None
        if tensorboard:
            self.writer = _event_writer(out)

    # -- the loop

    def loop(self, stop: threading.Event, bar: Any) -> None:
        """Steps until the end, the signal to stop, or the patience is over."""
        if self.device.type == "cpu":
            torch.set_flush_denormal(True)  # gradients fade into denormal numbers, which are a hundred times slower
        config, progress = self.config, self.progress
        parts: list[dict[str, Tensor]] = []  # of the steps since the last log; tensors, so that no step waits for them
        drawings, since = 0, time.perf_counter()
        while progress.step < config.steps and not stop.is_set() and not self._out_of_patience():
            batch = self.batches.batch(progress.step)
            rollbacks = progress.rollbacks
            done = self.step(batch)
            if progress.rollbacks > rollbacks:
                parts, drawings = [], 0
                continue
            if done is not None:
                parts.append(done)
                drawings += len(batch.lengths)
            due = progress.step % config.eval_every == 0 and not self.consecutive_bad
            validate = due or progress.step == config.steps
            if progress.step % LOG_EVERY == 0 or validate:
                seconds = time.perf_counter() - since
                progress.seconds += seconds
                if parts:
                    row = {name: torch.stack([p[name] for p in parts]).mean().item() for name in parts[0]}
                    row |= {"drawings_per_s": drawings / seconds, "skipped": progress.skipped}
                    row |= {"kl_weight": kl_weight(config, progress.step), "learning_rate": self.rate()}
                    self.log("train", row)
                    bar.show(row)
                if validate:
                    self.validate()
                parts, drawings, since = [], 0, time.perf_counter()
            bar.at(progress.step)
        if stop.is_set() or progress.step == 0:
            self.save_last()

    def step(self, batch: Batch) -> dict[str, Tensor] | None:
        """One step of the optimiser; None where the loss or a gradient is not finite and nothing was changed."""
        config, progress = self.config, self.progress
        generator = torch.Generator(self.device)
        generator.manual_seed(_step_seed(config.seed, progress.rollbacks, progress.step))
        self.optimizer.zero_grad(set_to_none=True)
        loss, parts = loss_of(self.model, batch, config, progress.step, generator)
        loss.backward()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        if not torch.isfinite(loss + norms.sum()):
            self._skip()
            return None
        self.consecutive_bad = 0
        torch._foreach_clamp_min_(gradients, -config.clip_value)
        torch._foreach_clamp_max_(gradients, config.clip_value)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.step()
        progress.step += 1
        return parts

    def rate(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config, self.progress.step) * 0.5**self.progress.rollbacks

    def _skip(self) -> None:
        """A step that was not finite: left out; after several in a row, back to the last state with half the rate."""
        progress = self.progress
        progress.skipped += 1
        progress.step += 1
        self.consecutive_bad += 1
        if self.consecutive_bad < self.config.max_bad_steps:
            return
        self.consecutive_bad = 0
        state = self.out / "last" / "state.safetensors"
        if not state.exists() or progress.rollbacks >= 10:
            raise ValueError(
                f"the loss is not finite, {self.config.max_bad_steps} times in a row at step {progress.step:,}: "
                f"try a smaller --train.learning-rate than {self.rate():g}"
            )
        skipped, rollbacks = progress.skipped, progress.rollbacks + 1
        stored = checkpoint.load_state(state, self.model, self.optimizer)
        self.progress.__dict__.update(stored | {"skipped": skipped, "rollbacks": rollbacks})
        self._forget_metrics_after(progress.step)
        self.log("rollback", {"skipped": skipped, "learning_rate": self.rate()})
        print(
            f"the loss was not finite {self.config.max_bad_steps} times in a row: back to step {progress.step:,} "
            f"with half the learning rate, now {self.rate():.2g}",
            flush=True,
        )

    def _out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.since_best

    # -- what it writes

    def validate(self) -> None:
        """Figures on the validation split, the best and the last checkpoint, a picture."""
        config, progress = self.config, self.progress
        drawings = self.data.valid[: config.eval_drawings]
        figures = evaluate(self.model, drawings, padded=config.pen_padding, batch_size=config.batch_size)
        # what is trained, with the KL term's weight of the end: the same measure at every step
        L_R = figures["L_R_padded"] if config.pen_padding else figures["nats_per_drawing"] / self.model.data.max_length
        kl = config.kl_weight * max(figures["L_KL"], config.kl_min) if self.model.config.conditional else 0.0
        figures["loss"] = L_R + kl
        self.log("valid", figures)
        progress.since_best += 1
        if figures["loss"] < progress.best_loss or not (self.out / "model.safetensors").exists():
            progress.best_loss, progress.best_step, progress.since_best = figures["loss"], progress.step, 0
            progress.figures = figures
            self.model.training_facts = {"step": progress.step, "valid": figures, "train": asdict(config)}
            checkpoint.save(self.model, self.out / "model.safetensors")
        self.save_last()
        self.picture()

    def save_last(self) -> None:
        (self.out / "last").mkdir(exist_ok=True)
        checkpoint.save_state(
            self.out / "last" / "state.safetensors", self.model, self.optimizer, asdict(self.progress)
        )
        if not (self.out / "model.safetensors").exists():
            checkpoint.save(self.model, self.out / "model.safetensors")

    def log(self, kind: str, row: dict[str, float]) -> None:
        """Adds a line to metrics.jsonl."""
        step = self.progress.step
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        with (self.out / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"kind": kind, "step": step, **finite}) + "\n")
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(f"{name}/{kind}", value, step)
            self.writer.flush()

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one that was cut off by a crash is left out."""
        path = self.out / "metrics.jsonl"
        rows = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def _forget_metrics_after(self, step: int) -> None:
        """Steps that will be done again are logged again."""
        if not (self.out / "metrics.jsonl").exists():
            return
        rows = [row for row in self.metrics() if row["step"] <= step]
        with atomic_file(self.out / "metrics.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def picture(self) -> None:
        """samples/STEP.png: new drawings at three temperatures, and drawings of the validation split drawn again."""
        drawings: list[Drawing] = []
        labels: list[str] = []
        for temperature in PICTURE_TEMPERATURES:
            drawings += sample(self.model, 8, temperature=temperature, seed=0)
            labels += [f"τ = {temperature:g}"] + [""] * 7
        if self.model.config.conditional:
            given = [self.data.valid[i % len(self.data.valid)] for i in range(8)]
            drawings += given + reconstruct(self.model, given, temperature=0.2)
            labels += ["given"] + [""] * 7 + ["drawn again"] + [""] * 7
        (self.out / "samples").mkdir(exist_ok=True)
        write(drawings, self.out / "samples" / f"{self.progress.step:06d}.png", labels=labels, columns=8, cell=96)

    def report(self, best: SketchRNN) -> None:
        """report.html: curves, figures, settings, and what the best model draws."""
        held_out = self.data.test if len(self.data.test) else self.data.valid
        figures = evaluate(best, held_out[: self.config.eval_drawings], batch_size=self.config.batch_size)
        settings = {"model": asdict(best.config), "data": asdict(best.data), "training": asdict(self.config)}
        labels = ", ".join(best.data.labels) or self.data.folder.name
        write_report(
            self.out / "report.html",
            title=f"{labels}: step {self.progress.step:,}",
            metrics=self.metrics(),
            settings=settings,
            figures=figures,
            sections=sections(best, [held_out[i] for i in range(min(8, len(held_out)))]),
        )


def sections(model: SketchRNN, given: list[Drawing], *, seed: int = 0) -> list[Section]:
    """The pictures of a report: what the model draws, and what it makes of given drawings."""
    found = []
    for temperature in (0.2, 0.5, 0.8):
        drawings = sample(model, 16, temperature=temperature, seed=seed)
        found.append(Section(f"Samples at temperature {temperature:g}", "New drawings.", drawings, columns=8))
    if model.config.conditional:
        again = reconstruct(model, given, temperature=0.2, seed=seed)
        text = "Drawings it was not trained on, and below each what the model sees in it."
        found.append(Section("Reconstructions", text, [*given, *again], columns=max(1, len(given))))
    if model.config.conditional and len(given) > 1:
        between = interpolate(model, given[0], given[1], steps=8, temperature=0.1, seed=seed)
        found.append(Section("Interpolation", "From one drawing to another through z.", between, columns=8))
    endings: list[Drawing] = []
    for drawing in given[:3]:
        prefix = drawing.head(min(len(drawing) // 2, model.data.max_length - 1))
        endings += [prefix, *complete(model, prefix, n=7, temperature=0.6, seed=seed)]
    found.append(Section("Endings", "First what was given, then seven ways to finish it.", endings, columns=8))
    return found


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
            f"{row['drawings_per_s']:.0f} drawings/s  {row['nats_per_point']:.3f} nats/point  "
            f"L_R {row['L_R']:.3f}  L_KL {row['L_KL']:.3f}"
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
        BarColumn(24), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("train", total=run.config.steps, completed=run.progress.step, figures="")
        yield _Bar(bar, task)


def _event_writer(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError('TensorBoard is not installed: pip install "sketchrnn[tensorboard]"') from error
    return SummaryWriter(str(out / "tensorboard"))
