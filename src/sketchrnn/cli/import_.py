"""`sketchrnn import`: models of other programs."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

import sketchrnn
from sketchrnn.cli.arguments import Flag
from sketchrnn.cli.screen import busy

if TYPE_CHECKING:
    from sketchrnn.model.network import SketchRNN

PUBLISHED = "magenta:"


def main(argv: Sequence[str]) -> None:
    tyro.cli(import_, prog="sketchrnn import", args=argv)


def import_(
    source: Annotated[str, Positional, arg(metavar="FILE", help_behavior_hint="")] = "",
    /,
    *,
    out: Annotated[Path | None, arg(metavar="MODEL", help_behavior_hint="")] = None,
    list_: Annotated[Flag, arg(name="list")] = False,
) -> None:
    """Turn a model of another program into one that all commands take.

    For example:
        sketchrnn import cat.gen.json --out models/cat
        sketchrnn import magenta:cat --out cat.safetensors

    Args:
        source: A .gen.json or .vae.json file of the reference's JavaScript models, or the name of a published one,
            which is downloaded: magenta:cat has a decoder of 512 units, magenta:cat.large of 1024, and magenta:cat.vae
            is conditional.
        out: Where to write: a .safetensors file, or a new folder for it.
        list_: Print the names of the published models, one a line.
    """
    from sketchrnn.generate import typical_size
    from sketchrnn.interop import magenta

    if list_:
        print("\n".join(f"{PUBLISHED}{name}" for name in magenta.NAMES))
        print("as their publisher lists them; each also with .large, and all but everything with .vae", file=sys.stderr)
        return
    if not source or out is None:
        print("sketchrnn import: name a FILE and where to write with --out MODEL, or use --list", file=sys.stderr)
        raise SystemExit(2)
    target = _target(out)
    model = _read(source)
    with busy("measuring"):  # what the format does not say, and fitting drawings to the model needs
        model.data = replace(model.data, size=typical_size(model))
    target.parent.mkdir(parents=True, exist_ok=True)
    sketchrnn.save(model, target)
    for remark in magenta.remarks(model):
        print(f"{source}: {remark}", file=sys.stderr)
    kind = "conditional" if model.config.conditional else "decoder only"
    print(
        f"{out}: {model.data.name or 'a model'}, {kind}, {model.num_parameters:,} weights; "
        f"scale factor {model.data.scale_factor:g}, up to {model.data.max_length} points, "
        f"drawings of about {model.data.size:.0f} units"
    )


def _read(source: str) -> "SketchRNN":
    """The model that `source` names. What it is decides who reads it."""
    from sketchrnn.data.sources import QUICKDRAW_LICENCE
    from sketchrnn.interop import magenta

    if source.startswith(PUBLISHED):
        path = magenta.download(source.removeprefix(PUBLISHED), progress=True)
        return magenta.read(path, licence=QUICKDRAW_LICENCE)
    if source.endswith(".json"):
        return magenta.read(source)
    raise ValueError(
        f"{source} cannot be imported: give a .gen.json or .vae.json file, or {PUBLISHED}NAME "
        "(sketchrnn import --list shows the names)"
    )


def _target(out: Path) -> Path:
    """The file to write; nothing that is there already is replaced."""
    target = out if out.suffix == ".safetensors" else out / "model.safetensors"
    if target.exists() or (out / "config.json").exists():
        raise FileExistsError(f"{out} holds a model already: choose another --out")
    return target
