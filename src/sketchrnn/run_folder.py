"""The folder of a run: what is written there while a model trains, and how it is read again.

config.json              the settings
model.safetensors        the best model so far
last/state.safetensors   what resuming needs: weights and the optimiser's moments
metrics.jsonl            a line for every log: `kind` (train, valid, rollback), `step`, figures
samples/STEP.png         a picture for every validation
report.html              in the end: curves, figures, settings, drawings
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sketchrnn.config import ModelConfig, TrainConfig, from_dict
from sketchrnn.drawing import Drawing
from sketchrnn.evaluation import evaluate
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.generate import complete, interpolate, reconstruct, sample
from sketchrnn.model.network import SketchRNN
from sketchrnn.render import write
from sketchrnn.report import Section, write_report

TEMPERATURES = (0.2, 0.5, 0.8)  # of the samples in pictures


class RunFolder:
    """The files of one run; the folder itself need not exist yet."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.best = self.path / "model.safetensors"
        self.last = self.path / "last" / "state.safetensors"
        self._settings = self.path / "config.json"
        self._metrics = self.path / "metrics.jsonl"

    def exists(self) -> bool:
        """Whether a run was started here."""
        return self._settings.exists() or self.last.exists()

    def settings(self) -> tuple[ModelConfig, TrainConfig]:
        """The settings that the run has.

        Raises:
            ValueError: there is no run, or its settings are damaged.
        """
        if not self._settings.exists():
            raise ValueError(
                f"{self.path} is not a run that can go on: it has no config.json; leave out --resume to start it"
            )
        try:
            tables = json.loads(self._settings.read_text())
            return from_dict(ModelConfig, tables["model"]), from_dict(TrainConfig, tables["train"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self._settings} is damaged: {error}") from error

    def start(self, model: ModelConfig, train: TrainConfig) -> None:
        """Makes the folder and writes the settings."""
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._settings) as temporary:
            temporary.write_text(json.dumps({"model": asdict(model), "train": asdict(train)}, indent=2) + "\n")

    def log(self, kind: str, step: int, row: Mapping[str, float]) -> None:
        """Adds a line to metrics.jsonl; numbers that JSON does not know become null."""
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        with self._metrics.open("a") as file:
            file.write(json.dumps({"kind": kind, "step": step, **finite}) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; one that a crash cut off is left out."""
        rows = []
        for line in self._metrics.read_text().splitlines() if self._metrics.exists() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def forget_after(self, step: int) -> None:
        """Drops the lines of steps that will be done, and logged, again."""
        if self._metrics.exists():
            rows = [row for row in self.metrics() if row["step"] <= step]
            with atomic_file(self._metrics) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def picture(self, model: SketchRNN, held_out: Sequence[Drawing], step: int) -> None:
        """samples/STEP.png: new drawings at three temperatures, and held-out drawings drawn again."""
        drawings: list[Drawing] = []
        labels: list[str] = []
        for temperature in TEMPERATURES:
            drawings += sample(model, 8, temperature=temperature, seed=0)
            labels += [f"τ = {temperature:g}"] + [""] * 7
        if model.config.conditional:
            given = spread(held_out, 8)
            gap = [Drawing(np.zeros((0, 3), np.float32))] * (8 - len(given))
            drawings += [*given, *gap, *reconstruct(model, given, temperature=0.2)]
            labels += ["given"] + [""] * 7 + ["drawn again"] + [""] * (len(given) - 1)
        (self.path / "samples").mkdir(exist_ok=True)
        write(drawings, self.path / "samples" / f"{step:06d}.png", labels=labels, columns=8, cell=96)

    def report(self, model: SketchRNN, held_out: Sequence[Drawing], train: TrainConfig) -> None:
        """report.html: curves, figures on held-out drawings, settings, and what the model draws."""
        write_report(
            self.path / "report.html",
            title=f"{', '.join(model.data.labels) or self.path.name}: {model.training_facts.get('step', 0):,} steps",
            metrics=self.metrics(),
            settings={"model": asdict(model.config), "data": asdict(model.data), "training": asdict(train)},
            figures=evaluate(model, held_out, batch_size=train.batch_size),
            sections=sections(model, spread(held_out, 8)),
        )


def spread(drawings: Sequence[Drawing], most: int) -> list[Drawing]:
    """At most so many of the drawings, from all over the sequence: a dataset has its classes one after the other."""
    count = min(most, len(drawings))
    return [drawings[i * len(drawings) // count] for i in range(count)]


def sections(model: SketchRNN, given: list[Drawing], *, seed: int = 0) -> list[Section]:
    """The pictures of a report: what the model draws, and what it makes of given drawings."""
    found = []
    for temperature in TEMPERATURES:
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
