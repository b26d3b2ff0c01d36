"""The whole road in minutes: drawings that install with the package, a small model, and a page of what it draws.

The drawings are characters of KanjiVG (Ulrich Apel and others, CC BY-SA 3.0), stroke by stroke in the order of writing;
they come with `pip install "sketchrnn[demo]"`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from sketchrnn import formats
from sketchrnn.config import ModelConfig, TrainConfig
from sketchrnn.data.dataset import Dataset
from sketchrnn.data.prepare import prepare
from sketchrnn.data.sources import KANJIVG_LICENCE, kanjivg
from sketchrnn.drawing import like_quickdraw
from sketchrnn.evaluation import evaluate
from sketchrnn.model.network import SketchRNN
from sketchrnn.report import Section, write_report
from sketchrnn.run_folder import RunFolder, sections, spread
from sketchrnn.training import train

MAX_STROKES = 9  # characters of more take longer to learn than a demo may last
EPSILON = 4.0  # how far a simplified stroke may be from the written one, of 255: two or three points a stroke
STEPS_A_MINUTE = 1500  # on two cores; a fixed number, so that the same seed gives the same page everywhere

MODEL = ModelConfig(encoder_size=128, decoder_cell="layer_norm", decoder_size=256, z_size=16, num_mixtures=10)


def demo(out: str | Path, *, minutes: float = 3, seed: int = 0, device: str = "auto", progress: bool = True) -> Path:
    """Prepares drawings, trains a small model on them and writes a page of pictures. One that was interrupted goes on.

    Args:
        out: a folder, made if need be: `characters/` gets the dataset, `run/` the run, `index.html` the page.
        minutes: about how long to train on two cores; elsewhere the same number of steps.
        seed: of training and all that is drawn.
        device: `auto`, `cpu` or `cuda`.
        progress: show progress bars on stderr.

    Returns:
        The path of the page.

    Raises:
        ValueError: `minutes` is not positive.
        FileExistsError: `out` holds a run with other settings.
        KeyboardInterrupt: it was stopped.
        ModuleNotFoundError: the drawings are not installed.
    """
    if not 0 < minutes <= 10_000:
        raise ValueError(f"minutes is {minutes:g}; it must be above 0 and at most 10,000")
    folder = Path(out)
    run = RunFolder(folder / "run")
    config = _training(max(1, round(minutes * STEPS_A_MINUTE)), seed)
    if run.exists() and run.settings() != (MODEL, config):
        raise FileExistsError(f"{run.path} was trained with other settings: choose another folder")
    data = _characters(folder, progress)
    try:
        model = train(
            data, out=run.path, model=MODEL, config=config, resume=run.exists(), device=device, progress=progress
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped, all is saved: the same command goes on") from None
    return _write_page(folder / "index.html", model, data, run, config)


def _characters(folder: Path, progress: bool) -> Dataset:
    """A dataset of the characters of few strokes."""
    from rich.console import Console
    from rich.progress import track

    drawings = []
    for path, character in track(kanjivg(), "reading", console=Console(stderr=True), disable=not progress):
        if path.read_bytes().count(b"<path ") <= MAX_STROKES:  # a path is a stroke; counting is faster than reading
            [drawing] = formats.read(path)
            drawings.append(replace(like_quickdraw(drawing, epsilon=EPSILON), label="kanji", key=character))
    folder.mkdir(parents=True, exist_ok=True)
    formats.write(drawings, folder / "characters.ndjson")
    return prepare([folder / "characters.ndjson"], folder / "characters")


def _training(steps: int, seed: int) -> TrainConfig:
    """Settings that make the most of few steps: a high rate that falls to its end in them, small batches, and a KL term
    light enough for z to be of use from the start."""
    fall = 0.01 ** (1 / steps)  # a hundredth is left after `steps`
    return TrainConfig(
        steps=steps,
        batch_size=50,
        seed=seed,
        learning_rate=3e-3,
        learning_rate_decay=fall,
        kl_weight=0.1,
        kl_weight_start=0.0,
        kl_decay=fall,
        kl_min=0.0,
        augment_drop=0.0,
        pen_padding=False,
        eval_every=max(1, steps // 4),
    )


def _write_page(path: Path, model: SketchRNN, data: Dataset, run: RunFolder, config: TrainConfig) -> Path:
    learned = Section(
        "What it learned from",
        f"{len(data.train):,} characters of at most {MAX_STROKES} strokes, each a sequence of pen movements in the "
        f"order of writing. {KANJIVG_LICENCE}.",
        spread(data.train, 24),
        columns=8,
    )
    go_on = Section(
        "Go on",
        f"More of it: sketchrnn sample {run.path} -n 16 --out characters.svg\n\n"
        "Drawings of your own: sketchrnn data prepare FOLDER --out data, then "
        "sketchrnn train data --out run --preset small-data",
    )
    figures = evaluate(model, data.test, batch_size=config.batch_size)
    return write_report(
        path,
        title="A network that learned to write",
        metrics=run.metrics(),
        settings={"model": asdict(model.config), "data": asdict(model.data), "training": asdict(config)},
        figures={"steps": config.steps} | {name: figures[name] for name in ("L_R", "L_KL", "nats_per_point")},
        sections=[learned, *sections(model, spread(data.test, 8), seed=config.seed), go_on],
    )
