"""The experiments of the paper, each one function: its figures as pictures, its Table 1 as trainings.

Ha and Eck, "A Neural Representation of Sketch Drawings", 2018. A figure is a `report.Section`, rows of drawings with
labels; `render.write` makes a picture of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sketchrnn.config import ModelConfig, TrainConfig
from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.evaluation import evaluate
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.generate import analogy, complete, ending_length, interpolate, reconstruct, sample
from sketchrnn.model.network import SketchRNN
from sketchrnn.report import Section, compared_svg
from sketchrnn.run_folder import RunFolder
from sketchrnn.training import train

SAMPLE_TEMPERATURES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RECONSTRUCTION_TEMPERATURES = (0.01, 0.2, 0.4, 0.6, 0.8, 1.0)
ENDING_TEMPERATURE = 0.8
KL_WEIGHTS = (1.0, 0.5, 0.25)


def samples(model: SketchRNN, *, n: int = 8, seed: int = 0) -> Section:
    """The paper's figure of unconditional generation: n new drawings in a row for each tau from 0.2 to 0.9.

    Every row is made from the same random numbers (and the same z), so that tau alone makes the difference.
    """
    drawings, labels = [], []
    for tau in SAMPLE_TEMPERATURES:
        drawings += sample(model, n, temperature=tau, seed=seed)
        labels += _row(f"τ = {tau:g}", n)
    return Section("New drawings, by temperature", f"{n} at each of 8 temperatures", drawings, labels, n)


def reconstructions(model: SketchRNN, given: Sequence[Drawing], *, seed: int = 0) -> Section:
    """The paper's figure of conditional generation: each drawing, then what is drawn from its z = mu at tau 0.01 to 1.

    Drawings that do not belong, such as a toothbrush given to a model of cats, come out as what the model knows.
    """
    columns = [given, *(reconstruct(model, given, temperature=t, seed=seed) for t in RECONSTRUCTION_TEMPERATURES)]
    labels = ["given", *(f"τ = {tau:g}" for tau in RECONSTRUCTION_TEMPERATURES)]
    return Section(
        "Drawn again, by temperature",
        f"{len(given)} drawings, each at {len(RECONSTRUCTION_TEMPERATURES)} temperatures",
        [drawing for row in zip(*columns, strict=True) for drawing in row],
        labels * len(given),
        len(columns),
    )


def interpolations(
    models: Mapping[str, SketchRNN], a: Drawing, b: Drawing, *, steps: int = 10, temperature: float = 0.1, seed: int = 0
) -> Section:
    """The paper's figure of latent space interpolation: from a to b along the arc between z_a and z_b, a row a model.

    Of models trained with several w_KL the rows show what a heavier KL term is good for.

    Args:
        models: conditional ones by name; a row says w_KL, or the name where that does not tell the models apart.
        a, b: the ends, in the units of the models' data.
        steps: drawings between the two, their reconstructions included.
        temperature, seed: as in `generate.sample`.
    """
    names = [_kl_weight(model) or name for name, model in models.items()]
    if len(set(names)) < len(names):
        names = list(models)
    drawings: list[Drawing] = []
    labels: list[str] = []
    for name, model in zip(names, models.values(), strict=True):
        drawings += [a, *interpolate(model, a, b, steps=steps, temperature=temperature, seed=seed), b]
        labels += ["A", *[""] * (steps // 2), name, *[""] * (steps - 1 - steps // 2), "B"]
    text = f"{steps} drawings from A to B, by {len(models)} {'model' if len(models) == 1 else 'models'}"
    return Section("From A to B", text, drawings, labels, steps + 2)


def analogies(
    model: SketchRNN, a: Drawing, b: Drawing, c: Drawing, *, n: int = 1, temperature: float = 0.1, seed: int = 0
) -> Section:
    """The paper's figure of sketch drawing analogies: a, b, c, and n drawings of z_a + (z_b - z_c)."""
    made = analogy(model, a, b, c, n=n, temperature=temperature, seed=seed)
    labels = ["A", "B", "C", *["A + (B − C)"] * n]
    return Section("Arithmetic with drawings", "A, B, C and A + (B - C)", [a, b, c, *made], labels, 3 + n)


def endings(model: SketchRNN, prefixes: Sequence[Drawing], *, n: int = 7, seed: int = 0) -> Section:
    """The paper's figure of incomplete drawings: each, and n ways to go on at tau 0.8."""
    drawings: list[Drawing] = []
    for prefix in prefixes:
        longest = ending_length(model, prefix)
        made = complete(model, prefix, n=n, temperature=ENDING_TEMPERATURE, seed=seed, max_length=longest)
        drawings += [prefix, *made]
    labels = _row("given", n + 1) * len(prefixes)
    return Section("Ways to go on", f"{n} endings of {len(prefixes)} drawings", drawings, labels, n + 1)


def variations(
    model: SketchRNN, given: Drawing, *, n: int = 24, temperature: float = 0.4, columns: int = 5, seed: int = 0
) -> Section:
    """The paper's many drawings like one given: n, each from its own z drawn from N(mu, sigma) of the encoder."""
    made = reconstruct(model, given, n=n, temperature=temperature, seed=seed, sample_z=True)
    return Section("Like one given", f"{n} drawings like one", [given, *made], _row("given", n + 1), columns)


def tradeoff(
    datasets: Sequence[Dataset],
    out: str | Path,
    *,
    model: ModelConfig | None = None,
    config: TrainConfig | None = None,
    kl_weights: Sequence[float] = KL_WEIGHTS,
    device: str = "auto",
    progress: bool = False,
) -> list[dict[str, Any]]:
    """The paper's Table 1 and its validation curves: L_R against L_KL, for each w_KL and for the decoder alone.

    Each training is a run of its own, `out/DATASET/wkl-0.25` or `out/DATASET/decoder-only`. Called again it goes on
    where it stopped: what is complete is not trained again. `out/table.json`, `out/table.md` and `out/curves.svg` are
    written after each training.

    Args:
        datasets: each with test drawings; a dataset is called by the name of its folder.
        out: a folder, made if need be.
        model: sizes; whether it is conditional is set here. The reference's if None.
        config: how to train; `kl_weight` is set here. The reference's if None.
        kl_weights: the w_KL.
        device: `auto`, `cpu` or `cuda`.
        progress: show progress bars on stderr.

    Returns:
        A row for each training: `data`, `kl_weight` (None for the decoder alone), `run`, `step` of its best model, and
        of the test split `L_R`, `L_KL`, `nats_per_drawing`, `nats_per_point`, as `evaluation.evaluate` has them.

    Raises:
        ValueError: two datasets have one name, one has no test drawings, or the settings do not fit.
        FileExistsError: a run there has other settings.
        KeyboardInterrupt: it was stopped; all is saved.
    """
    model, config, out = model or ModelConfig(), config or TrainConfig(), Path(out)
    names = [data.folder.resolve().name for data in datasets]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two datasets are called {twice.pop()}: a folder each needs a name of its own")
    if not kl_weights or len({_folder(weight) for weight in kl_weights}) < len(kl_weights):
        raise ValueError("the KL weights must differ, by a hundredth or more")
    for data in datasets:
        if not len(data.test):
            raise ValueError(f"{data.folder} has no test drawings: prepare it again with a larger --test")
        if (out / data.folder.resolve().name).resolve() == data.folder.resolve():
            raise ValueError(f"the runs of {data.folder} would lie in it: choose another folder than {out}")
    table_before = _read_table(out / "table.json")
    rows: list[dict[str, Any]] = []
    for name, data in zip(names, datasets, strict=True):
        for weight in (*kl_weights, None):
            run = RunFolder(out / name / _folder(weight))
            wanted = replace(config, kl_weight=TrainConfig().kl_weight if weight is None else weight)
            trained = _trained(data, run, replace(model, conditional=weight is not None), wanted, device, progress)
            figures = evaluate(trained, data.test, padded=False, batch_size=config.batch_size)
            kept = {key: figures[key] for key in ("L_R", "L_KL", "nats_per_drawing", "nats_per_point")}
            step = trained.training_facts.get("step", 0)
            rows.append({"data": name, "kl_weight": weight, "run": str(run.path), "step": step} | kept)
            others = [each for each in table_before if not any(_same_run(each, row) for row in rows)]
            _write_table(out, [*others, *rows], kl_weights)
    return rows


def table(rows: Sequence[Mapping[str, Any]], kl_weights: Sequence[float] = KL_WEIGHTS) -> list[list[str]]:
    """The rows of `tradeoff` as the paper's Table 1: the head, and a line for each dataset."""
    weights = (*kl_weights, None)
    head = ["dataset", *(f"{key}, {_label(w)}" for w in kl_weights for key in ("L_R", "L_KL")), "L_R, decoder only"]
    lines = []
    for name in dict.fromkeys(row["data"] for row in rows):
        cells = []
        for weight in weights:
            found = [row for row in rows if (row["data"], row["kl_weight"]) == (name, weight)]
            for key in ("L_R", "L_KL") if weight is not None else ("L_R",):
                cells.append(f"{found[0][key]:.2f}" if found else "")
        lines.append([name, *cells])
    return [head, *lines]


def _trained(
    data: Dataset, run: RunFolder, model: ModelConfig, config: TrainConfig, device: str, progress: bool
) -> SketchRNN:
    """The best model of a run, which is started, gone on with, or complete."""
    before = run.settings() if run.exists() else None
    # it may be made longer, as every run, but not shorter
    longer = before is not None and config.steps >= before[1].steps
    if before is not None and (not longer or (before[0], replace(before[1], steps=config.steps)) != (model, config)):
        raise FileExistsError(
            f"{run.path} was trained with other settings: choose another folder, or the same settings"
        )
    try:
        return train(
            data, out=run.path, model=model, config=config, resume=run.exists(), device=device, progress=progress
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped, all is saved: the same command goes on") from None


def _read_table(path: Path) -> list[dict[str, Any]]:
    """The rows that are there from before, of these and other datasets."""
    if not path.exists():
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for row in rows:
            _label(row["kl_weight"]), float(row["L_R"]), float(row["L_KL"]), str(row["data"]), RunFolder(row["run"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and every training counts again") from error
    return rows


def _same_run(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return (a["data"], a["kl_weight"]) == (b["data"], b["kl_weight"])


def _write_table(out: Path, rows: Sequence[Mapping[str, Any]], kl_weights: Sequence[float]) -> None:
    head, *lines = table(rows, kl_weights)
    text = "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---", *["---:"] * (len(head) - 1)], *lines])
    curves = {
        name: {_label(row["kl_weight"]): RunFolder(row["run"]).metrics() for row in rows if row["data"] == name}
        for name in dict.fromkeys(row["data"] for row in rows)
    }
    for file, content in (
        ("table.json", json.dumps(rows, indent=1) + "\n"),
        ("table.md", text),
        ("curves.svg", compared_svg(curves, dashed=_label(None))),
    ):
        with atomic_file(out / file) as temporary:
            temporary.write_text(content, encoding="utf-8")


def _row(first: str, length: int) -> list[str]:
    """Labels of a row, of which the first drawing has one."""
    return [first, *[""] * (length - 1)][:length]


def _folder(weight: float | None) -> str:
    return "decoder-only" if weight is None else f"wkl-{weight:.2f}"


def _label(weight: float | None) -> str:
    return "decoder only" if weight is None else f"w_KL {weight:.2f}"


def _kl_weight(model: SketchRNN) -> str:
    """w_KL of a model as it was trained, for a label; empty where its file does not tell."""
    settings = model.training_facts.get("train")
    weight = settings.get("kl_weight") if isinstance(settings, dict) else None
    return f"w_KL = {weight:g}" if isinstance(weight, int | float) else ""
