"""Models on the Hugging Face hub: a folder with the model, a card that says what it is, and pictures; and its upload.

The card is written from what the model itself knows, and from the run it came from where that is given. All of it may
have come from strangers, so text is escaped.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sketchrnn import checkpoint
from sketchrnn.config import TrainConfig
from sketchrnn.data.dataset import Dataset
from sketchrnn.drawing import Drawing
from sketchrnn.evaluation import evaluate
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.generate import reconstruct, sample
from sketchrnn.model.network import SketchRNN
from sketchrnn.render import write
from sketchrnn.report import curves_svg
from sketchrnn.run_folder import TEMPERATURES, RunFolder, spread

EVALUATE_MOST = 2500  # drawings of the test split

FIGURES = {
    "L_R": "reconstruction loss; below zero is no fault",
    "L_KL": "KL divergence of z",
    "nats_per_point": "−log p of a point, exact; unlike the losses it does not depend on N_max",
    "nats_per_drawing": "−log p of a whole drawing, exact",
    "bound": "the same with what z costs",
}
CELLS = {"lstm": "LSTM", "layer_norm": "layer-norm LSTM", "hyper": "HyperLSTM"}


def push(
    model: SketchRNN | str | Path,
    repo: str,
    *,
    data: Dataset | str | Path | None = None,
    licence: str = "",
    private: bool = False,
) -> str:
    """Publishes a model on the Hugging Face hub, so that `sketchrnn.load(repo)` finds it.

    Model, card and pictures, in one commit: what `write_folder` writes is what is published.

    Args:
        model: a model, or a run folder, whose curves are then shown too.
        repo: `org/name`; made if it does not exist.
        data: the dataset it learned from; its test split is evaluated, and some of its drawings are shown with their
            reconstructions.
        licence: of the drawings and of the model, where its data do not tell one.
        private: make it visible to yourself and your organisation alone, if it is made now.

    Returns:
        The address of its page.

    Raises:
        ImportError: the extra `hub` is not installed.
        ValueError: `repo` is not `org/name`, or model and data do not fit.
        OSError: nobody is logged in, the hub refuses, or it cannot be reached.
    """
    _check_name(repo)
    try:
        from huggingface_hub import CommitOperationAdd, HfApi, errors
    except ImportError:
        raise ImportError('huggingface_hub is not installed: pip install "sketchrnn[hub]"') from None
    with tempfile.TemporaryDirectory() as folder:
        files = write_folder(model, repo, folder, data=data, licence=licence)
        hub = HfApi(library_name="sketchrnn")
        parts = [CommitOperationAdd(file.name, file) for file in files]
        try:
            page = hub.create_repo(repo, private=private or None, exist_ok=True)  # None: as the organisation has it
            if private and not hub.model_info(repo).private:
                raise PermissionError(
                    f"{repo} exists and is public: make it private on its page first, or take another"
                )
            hub.create_commit(repo, parts, commit_message="Model, card and pictures")
        except errors.LocalTokenNotFoundError:
            raise PermissionError("nobody is logged in to the Hugging Face hub: `hf auth login`") from None
        except errors.HfHubHTTPError as error:
            reason = str(error).splitlines()[0]
            if error.response.status_code in (401, 403):
                raise PermissionError(
                    f"the Hugging Face hub does not let you write {repo}; log in with a token that may: "
                    f"`hf auth login` ({reason})"
                ) from None
            raise OSError(f"the Hugging Face hub does not take {repo}: {reason}") from None
        except RuntimeError as error:  # a large file did not arrive, after several tries
            raise OSError(f"the Hugging Face hub does not take {repo}: {error} {error.__cause__ or ''}") from None
        except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:
            raise OSError(f"the Hugging Face hub cannot be reached: {error}") from None
    return str(page)


def write_folder(
    model: SketchRNN | str | Path,
    repo: str,
    folder: str | Path,
    *,
    data: Dataset | str | Path | None = None,
    licence: str = "",
) -> list[Path]:
    """Writes what `push` publishes into a folder, and nothing anywhere else: model.safetensors, README.md, pictures.

    Returns:
        The files.

    Raises:
        FileExistsError: the folder is a run, or holds another README.md, which would be replaced.
        ValueError: `repo` is not `org/name`, or model and data do not fit.
    """
    _check_name(repo)
    metrics: list[dict[str, Any]] = []
    if not isinstance(model, SketchRNN):
        metrics = [row for row in RunFolder(model).metrics() if isinstance(row, dict)]
        model = checkpoint.load(model)
    if data is not None and not isinstance(data, Dataset):
        data = Dataset(data)
    out = Path(folder)
    if RunFolder(out).exists():
        raise FileExistsError(f"{out} holds a run: choose another folder for what shall be published")
    if (out / "README.md").exists() and not (out / "model.safetensors").exists():
        raise FileExistsError(f"{out} holds a README.md that is no model's card: choose another folder")
    tested: dict[str, float] = {}
    given: list[Drawing] = []
    if data is not None:
        held_out = data.test if len(data.test) else data.valid
        if not len(held_out):
            raise ValueError(f"{data.folder} has no drawings kept for a test: leave the data out")
        tested = evaluate(model, spread(held_out, EVALUATE_MOST))
        given = spread(held_out, 8) if model.config.conditional else []
    new = [drawing for t in TEMPERATURES for drawing in sample(model, 8, temperature=t, seed=0)]
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "model.safetensors", out / "samples.png"]
    checkpoint.save(model, files[0])
    write(new, files[1], labels=[label for t in TEMPERATURES for label in (f"τ = {t:g}", *[""] * 7)], columns=8)
    if given:
        files.append(out / "reconstructions.png")
        _reconstructions(model, given, files[-1])
    if _has_curves(metrics):
        files.append(out / "curves.svg")
        with atomic_file(files[-1]) as temporary:
            temporary.write_text(curves_svg(metrics), "utf-8")
    files.append(out / "README.md")
    with atomic_file(files[-1]) as temporary:
        shown = {file.name for file in files}
        temporary.write_text(card(model, repo, tested=tested, licence=licence, pictures=shown), "utf-8")
    return files


def card(
    model: SketchRNN,
    repo: str,
    *,
    tested: Mapping[str, float] | None = None,
    licence: str = "",
    pictures: set[str] | frozenset[str] = frozenset(),
) -> str:
    """The model card, Markdown below a head of YAML, as the hub wants it.

    Args:
        model: what it is about.
        repo: its name on the hub, for the examples.
        tested: figures of its test split, as `evaluate` gives them.
        licence: where the model's data do not tell one.
        pictures: which of `samples.png`, `reconstructions.png` and `curves.svg` stand beside it.
    """
    licence = model.data.licence or licence
    return (
        "\n\n".join(
            part
            for part in (
                _head(licence),
                f"# {_what(model)}",
                _about(model),
                "![New drawings at three temperatures](samples.png)" if "samples.png" in pictures else "",
                _use(model, repo),
                _model(model),
                _data(model, licence),
                _training(model, "curves.svg" in pictures),
                _figures(model, tested or {}),
                _seen(model) if "reconstructions.png" in pictures else "",
                _limits(model),
                _citation(),
            )
            if part
        )
        + "\n"
    )


# -- the parts of a card


def _head(licence: str) -> str:
    lines = {"license": _licence_id(licence), "library_name": "sketchrnn"}
    if lines["license"] == "other":
        lines["license_name"] = _short(licence) or "unknown"
    tags = ["sketch-rnn", "drawing", "vector-graphics", "svg"]
    head = [f"{key}: {json.dumps(value)}" for key, value in lines.items()]  # a string of JSON is one of YAML
    return "\n".join(
        ["---", *head, 'pipeline_tag: "unconditional-image-generation"', f"tags: {json.dumps(tags)}", "---"]
    )


def _licence_id(licence: str) -> str:
    """The hub's name for a licence, `other` where it is not one of the few that are told here."""
    if found := re.match(r"CC[ -](BY(?:-(?:SA|NC|ND|NC-SA|NC-ND))?)[ -](\d\.\d)\b", licence, re.IGNORECASE):
        return f"cc-{found[1]}-{found[2]}".lower()
    for start, name in (("CC0", "cc0-1.0"), ("Apache-2.0", "apache-2.0"), ("MIT", "mit")):
        if re.match(rf"{start}\b", licence, re.IGNORECASE):
            return name
    return "other"


def _what(model: SketchRNN) -> str:
    labels = [_text(label) for label in model.data.labels]
    if not labels:
        return f"{_text(model.data.name) or 'Drawings'}, drawn by sketch-rnn"
    more = f" and {len(labels) - 4:,} more" if len(labels) > 4 else ""
    return f"{', '.join(labels[:4])}{more}, drawn by sketch-rnn"


def _about(model: SketchRNN) -> str:
    if model.config.conditional:
        can = "makes new drawings, redraws given ones, blends two of them, and finishes what was begun"
    else:
        can = "makes new drawings, and finishes what was begun"
    return (
        f"A sketch-rnn model (Ha and Eck, 2018): a recurrent network that draws stroke by stroke. This one {can}. "
        "It speaks in lines, not in pixels: what it makes are vector drawings."
    )


def _use(model: SketchRNN, repo: str) -> str:
    lines = [
        "import sketchrnn",
        "",
        f'model = sketchrnn.load("{repo}")',
        'sketchrnn.write(sketchrnn.sample(model, n=16, temperature=0.4), "new.svg")',
        'begun = sketchrnn.read("begun.svg")[0]',
        'sketchrnn.write(sketchrnn.complete(model, begun, n=9), "endings.svg")',
    ]
    commands = [
        'pip install "sketchrnn[hub]"',
        f"sketchrnn sample {repo} -n 16 --temperature 0.4 --out new.svg",
        f"sketchrnn complete {repo} begun.svg -n 9 --out endings.svg",
    ]
    if model.config.conditional:
        lines.append('sketchrnn.write(sketchrnn.reconstruct(model, begun), "again.svg")')
        commands.append(f"sketchrnn reconstruct {repo} begun.svg --out again.svg")
    return (
        "## How to use it\n\n```sh\n" + "\n".join(commands) + "\n```\n\n```python\n" + "\n".join(lines) + "\n```\n\n"
        "Temperature 0.2 draws what is likely and plain, 0.8 what is varied and wild."
    )


def _model(model: SketchRNN) -> str:
    config, data = model.config, model.data
    rows = {
        "kind": "conditional, with a latent vector z" if config.conditional else "decoder only",
        "encoder": f"{CELLS[config.encoder_cell]}, {config.encoder_size:,} units each way"
        if config.conditional
        else "",
        "z": f"{config.z_size:,} numbers" if config.conditional else "",
        "decoder": f"{CELLS[config.decoder_cell]}, {config.decoder_size:,} units",
        "mixture": f"{config.num_mixtures:,} normals a point",
        "weights": f"{model.num_parameters:,}",
        "points of a drawing": f"at most {data.max_length:,}",
        "scale factor": f"{data.scale_factor:.6g}",
        "size of a drawing": f"about {data.size:.3g} units" if data.size else "",
    }
    return "## The model\n\n" + _table(("", ""), ((name, value) for name, value in rows.items() if value))


def _data(model: SketchRNN, licence: str) -> str:
    data = model.data
    said = f"Data set: {_text(data.name)}. " if data.name else ""
    shown = [_text(label) for label in data.labels[:50]]
    more = f" and {len(data.labels) - 50:,} more" if len(data.labels) > 50 else ""
    classes = f"Classes: {', '.join(shown)}{more}. " if shown else ""
    terms = (
        f"Licence of the drawings: {_text(licence)}. Who publishes this model, or what it draws, keeps to it."
        if licence
        else "The licence of the drawings is not known: ask who published this model before you publish what it makes."
    )
    return f"## What it learned from\n\n{said}{classes}{terms}"


def _training(model: SketchRNN, curves: bool) -> str:
    facts = model.training_facts
    parts = []
    if isinstance(imported := facts.get("imported"), Mapping):
        parts.append(f"Imported from a model of another program ({_text(str(imported.get('format', 'unknown')))}).")
    if isinstance(step := facts.get("step"), int):
        parts.append(f"These are the weights of step {step:,}.")
    if parts and "valid" in facts:
        parts.append("Of all validated steps it had the least loss.")
    settings = facts.get("train")
    lines = list(_other_settings(settings)) if isinstance(settings, Mapping) else []
    text = " ".join(parts)
    if lines:
        text += "\n\nSettings other than the reference's:\n\n" + _table(("", ""), lines)
    if curves:
        text += "\n\n![Curves of the training](curves.svg)"
    return f"## Training\n\n{text.strip()}" if text.strip() else ""


def _other_settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that differ from the defaults."""
    for name, default in asdict(TrainConfig()).items():
        value = settings.get(name, default)
        if isinstance(value, bool | int | float) and value != default:
            yield f"`{name}`", f"{value:g}" if isinstance(value, float) else str(value)


def _figures(model: SketchRNN, tested: Mapping[str, float]) -> str:
    valid = model.training_facts.get("valid")
    columns: dict[str, Mapping[str, Any]] = {}
    if isinstance(valid, Mapping):
        columns["validation"] = valid
    if tested:
        columns["test"] = tested
    rows = []
    for name, text in FIGURES.items():
        values = [_number(column.get(name)) for column in columns.values()]
        if any(values) and (model.config.conditional or name not in ("L_KL", "bound")):
            rows.append((f"`{name}`", *values, text))
    if not rows:
        return ""
    counts = [
        f"{title} ({int(c['drawings']):,} drawings)" if _number(c.get("drawings")) else title
        for title, c in columns.items()
    ]
    return (
        "## Figures\n\n"
        + _table(("", *counts, ""), rows)
        + "\n\nLower is better. They depend on the data and its scale factor: compare models of the same data by them."
    )


def _seen(model: SketchRNN) -> str:
    return (
        "## Reconstructions\n\n![Drawings and what the model makes of them](reconstructions.png)\n\n"
        "Above, drawings it was not trained on; below each, what the model draws after it has seen it."
    )


def _limits(model: SketchRNN) -> str:
    return (
        "## What it is for, and what not\n\n"
        "For play, for teaching, for art and for research on drawing. It knows the drawings it learned from, and "
        "nothing else: it shows how those people drew, with their habits and gaps, and not how things look or ought to "
        "look. Given a drawing of another kind, it makes it into one of its own. It does not recognise or judge "
        "drawings or the people who made them, and its likelihoods are no measure of quality. "
        f"Longer drawings than {model.data.max_length:,} points were not in its data."
    )


def _citation() -> str:
    return (
        "## Source\n\n"
        'D. Ha and D. Eck, "A Neural Representation of Sketch Drawings", International Conference on Learning '
        "Representations (ICLR), 2018. [arXiv:1704.03477](https://arxiv.org/abs/1704.03477). "
        "Made with sketchrnn, an implementation in PyTorch."
    )


# -- what they need


def _check_name(repo: str) -> None:
    if "@" in repo or not checkpoint.HUB_NAME.fullmatch(repo):
        raise ValueError(
            f"{repo!r} is no name for the Hugging Face hub: give ORG/NAME, your name or an organisation's first"
        )


def _reconstructions(model: SketchRNN, given: Sequence[Drawing], file: Path) -> None:
    again = reconstruct(model, given, temperature=0.2, seed=0)
    labels = ["given", *[""] * (len(given) - 1), "drawn again", *[""] * (len(given) - 1)]
    write([*given, *again], file, labels=labels, columns=len(given))


def _has_curves(metrics: Sequence[Mapping[str, Any]]) -> bool:
    return len({row.get("step") for row in metrics if _number(row.get("L_R"))}) > 1


def _number(value: object) -> str:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return f"{value:.4g}" if ok else ""


def _table(header: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _short(text: str) -> str:
    """One line of at most 200 characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _text(text: str) -> str:
    """Words of others, so that they are words in Markdown, and neither markup nor code."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~$&])", r"\\\1", _short(text))
