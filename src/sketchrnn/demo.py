"""The whole road in minutes: drawings that install with the package, a small model, and a page of what it draws.

The drawings are the characters of KanjiVG (Ulrich Apel and others, CC BY-SA 3.0), stroke by stroke in the order of
writing; they come with `pip install "sketchrnn[demo]"`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sketchrnn.config import DataConfig, ModelConfig, TrainConfig
from sketchrnn.data.dataset import Dataset
from sketchrnn.data.prepare import prepare
from sketchrnn.evaluation import evaluate
from sketchrnn.model.network import SketchRNN
from sketchrnn.report import Section, write_report
from sketchrnn.run_folder import RunFolder, sections
from sketchrnn.training import train

STEPS_A_MINUTE = 300  # on two cores; fixed, so that the same seed gives the same page everywhere

DATA = DataConfig(max_points=60)
MODEL = ModelConfig(encoder_size=128, decoder_size=256, z_size=32, num_mixtures=10, decoder_cell="layer_norm")


def demo(out: str | Path, *, minutes: float = 3, seed: int = 0, device: str = "auto", progress: bool = True) -> Path:
    """Prepares drawings, trains a small model on them and writes a page of pictures.

    Args:
        out: a folder, made if need be: `data/` gets the dataset, `run/` the run, `index.html` the page.
        minutes: about how long to train on two cores; elsewhere the same number of steps.
        seed: of training and all that is drawn.
        device: `auto`, `cpu` or `cuda`.
        progress: show progress bars on stderr.

    Returns:
        The path of the page.

    Raises:
        ValueError: `minutes` is not positive.
        FileExistsError: `out` holds a run already.
        ModuleNotFoundError: the drawings are not installed.
    """
    if not minutes > 0:
        raise ValueError(f"minutes is {minutes:g}; it must be above 0")
    folder = Path(out)
    data = prepare(["kanjivg"], folder / "data", config=DATA, progress=progress)
    config = _training(max(1, round(minutes * STEPS_A_MINUTE)), seed)
    model = train(data, out=folder / "run", model=MODEL, config=config, device=device, progress=progress)
    return _write_page(folder / "index.html", model, data, config)


def _training(steps: int, seed: int) -> TrainConfig:
    """Settings that make the most of few steps: a high rate that falls to a hundredth in the time there is."""
    fall = 0.01 ** (1 / steps)
    return TrainConfig(
        steps=steps,
        seed=seed,
        learning_rate=3e-3,
        learning_rate_decay=fall,
        kl_weight=0.25,
        kl_decay=fall,
        pen_padding=False,
        augment_drop=0.0,
        eval_every=max(1, steps // 5),
        eval_drawings=300,
    )


def _write_page(path: Path, model: SketchRNN, data: Dataset, config: TrainConfig) -> Path:
    given = Section(
        "What it learned from",
        f"{len(data.train):,} characters of KanjiVG, {data.info.licence}; here are sixteen of them.",
        data.train[:16],
        columns=8,
    )
    return write_report(
        path,
        title="A network that learned to write",
        metrics=RunFolder(path.parent / "run").metrics(),
        settings={"model": asdict(model.config), "data": asdict(model.data), "training": asdict(config)},
        figures=evaluate(model, data.test),
        sections=[given, *sections(model, data.test[:8], seed=config.seed)],
    )
