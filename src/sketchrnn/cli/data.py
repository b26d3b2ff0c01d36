"""`sketchrnn data`: drawings in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

import sketchrnn
from sketchrnn.cli.arguments import Columns, Data, Flag, Json, Picture
from sketchrnn.cli.screen import figures, rows
from sketchrnn.config import DataConfig


def main(argv: Sequence[str]) -> None:
    tyro.extras.subcommand_cli_from_dict(
        {"list": list_, "download": download, "prepare": prepare, "info": info, "show": show},
        prog="sketchrnn data",
        description="Drawings in: from files, folders and named sources to a dataset.",
        args=argv,
    )


def list_(*, classes: Flag = False) -> None:
    """The sources that have a name.

    For example:
        sketchrnn data list --classes

    Args:
        classes: Print the names of the Quick, Draw! classes instead, one a line.
    """
    from sketchrnn.data import sources

    names = sources.quickdraw_classes()
    if classes:
        print("\n".join(names))
        return
    try:
        kanji = f"{len(sources.kanjivg()):,} characters, stroke by stroke; installed"
    except ModuleNotFoundError as error:
        kanji = str(error)
    rows(
        "Sources for `sketchrnn data prepare`",
        ("name", "drawings", "licence"),
        [
            ("kanjivg", kanji, sources.KANJIVG_LICENCE),
            (
                f"{names[0]} … {names[-1]}",
                f"the {len(names)} classes of Quick, Draw!, downloaded when asked for; --classes names them",
                sources.QUICKDRAW_LICENCE,
            ),
        ],
    )


def download(
    names: Annotated[tuple[str, ...], Positional, arg(metavar="NAME [NAME ...]", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None,
    form: Literal["sketch-rnn", "simplified", "raw", "binary"] = "sketch-rnn",
) -> None:
    """Download Quick, Draw! classes. What is there already is not fetched again.

    For example:
        sketchrnn data download cat "hot air balloon" --out downloads

    Args:
        names: Classes; `sketchrnn data list --classes` shows them.
        out: Folder for the files; not given, a cache, where `data prepare` looks for the form sketch-rnn.
        form: sketch-rnn is .npz with splits, simplified and raw .ndjson, binary .bin.
    """
    from sketchrnn.data import sources

    for path in sources.download(names, out=out, form=form, progress=True):
        print(path)


def prepare(
    inputs: Annotated[tuple[str, ...], Positional, arg(metavar="SOURCE [SOURCE ...]", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Path, arg(metavar="DIR")],
    config: OmitArgPrefixes[DataConfig] = DataConfig(),  # noqa: B008  # frozen
) -> None:
    """Turn drawings from anywhere into a dataset.

    What cannot be used is set aside, with its file, line and reason.

    For example:
        sketchrnn data prepare cat.npz drawings/ kanjivg --out data/mixed --max-points 200

    Args:
        inputs: Files in any format, folders of them, datasets, kanjivg, or classes of Quick, Draw!.
        out: The dataset: a folder.
    """
    data = sketchrnn.prepare(inputs, out, config=config, progress=True)
    summary = data.summary()
    dropped = sum(summary["dropped"].values())
    counts = ", ".join(f"{count:,} {split}" for split, count in summary["drawings"].items())
    if (kind := data.info.first_offset) != "position":
        means = "(0, 0), no place on a sheet" if kind == "zero" else "a line from a first point that is left out"
        print(f"{out}: its drawings begin with {means}; if not, set first_offset in {out / 'dataset.json'}")
    print(f"{out}: {counts} drawings" + (f"; {dropped:,} set aside, see {out / 'dropped.jsonl'}" if dropped else ""))


def info(data: Data, /, *, json_only: Json = False) -> None:
    """What is in a dataset.

    For example:
        sketchrnn data info data/cat --json
    """
    summary = sketchrnn.Dataset(data).summary()
    if json_only:
        print(json.dumps(summary))
    else:
        figures(str(data), summary)


def show(
    data: Data,
    /,
    *,
    out: Picture,
    split: Literal["train", "valid", "test"] = "train",
    n: Annotated[int, arg(name="n", aliases=("-n",))] = 36,
    seed: int = 0,
    columns: Columns = None,
) -> None:
    """A picture of some of a dataset's drawings.

    For example:
        sketchrnn data show data/cat -n 36 --out cats.png

    Args:
        split: Which part of the dataset.
        n: How many drawings.
        seed: Another seed picks others.
    """
    if n < 1:
        raise ValueError(f"-n is {n}; it must be at least 1")
    drawings = sketchrnn.Dataset(data).split(split)
    picked = np.random.default_rng(seed).permutation(len(drawings))[:n]
    sketchrnn.write([drawings[i] for i in picked], out, columns=columns)
    print(f"{out}: {len(picked)} of {len(drawings):,} drawings")
