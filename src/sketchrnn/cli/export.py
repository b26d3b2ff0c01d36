"""`sketchrnn export`: a model for other programs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import arg

import sketchrnn
from sketchrnn.cli.arguments import Flag, Model
from sketchrnn.cli.screen import busy

if TYPE_CHECKING:
    from sketchrnn.model.network import SketchRNN


def main(argv: Sequence[str]) -> None:
    tyro.cli(export, prog="sketchrnn export", args=argv)


def export(
    model: Model,
    /,
    *,
    to: Literal["magenta-js", "onnx", "site"],
    out: Annotated[Path, arg(metavar="PATH")],
    float16: Flag = False,
    data: Annotated[Path | None, arg(metavar="DATA", help_behavior_hint="")] = None,
    name: Annotated[str, arg(metavar="TEXT", help_behavior_hint="")] = "",
) -> None:
    """Write a model in the form of another program, or as a site that runs in the browser.

    For example:
        sketchrnn export runs/cat --to magenta-js --out cat.gen.json
        sketchrnn export runs/cat --to site --data data/cat --out cat-site

    Args:
        to: magenta-js is JSON for @magenta/sketch (.gen.json, a decoder-only model) or the older sketch_rnn.js
            (.vae.json, a conditional one). onnx is a folder of ONNX files. site is a folder of static files: the
            drawing page with the model in it, for any web server that hands out files.
        out: Where to write; for onnx and site a folder that is new or empty.
        float16: (onnx) Store the weights in half the bytes, each right to 1 in 2,000. A site always does.
        data: (site) A dataset whose test drawings the page's map shows; the model's own drawings if not given. They
            become public with the site, under their licence.
        name: (site) What the page calls the model; the name of its data if not given.
    """
    for option, given, form in (("float16", float16, "onnx"), ("data", data, "site"), ("name", name, "site")):
        if given and to != form:
            raise ValueError(f"--{option} is for --to {form}, not for --to {to}")
    network = sketchrnn.load(model, device="cpu")
    if data is not None and not network.config.conditional:
        raise ValueError("--data is for the map of a conditional model, and this one is decoder only: leave it out")
    if to == "magenta-js":
        from sketchrnn.interop import magenta

        for note in magenta.write(network, out):
            print(f"{out}: {note}", file=sys.stderr)
        print(f"{out}: {to}, {out.stat().st_size:,} bytes")
    elif to == "onnx":
        from sketchrnn.interop import onnx

        for path in onnx.write(network, out, float16=float16):
            print(f"{path}: {path.stat().st_size:,} bytes")
    else:
        with busy("writing the site"):
            _write_site(network, out, data, name)
        print(f"{out}: {_bytes_in(out):,} bytes; any web server that hands out files will do, for a look here")
        print(f"  python -m http.server --bind 127.0.0.1 --directory {out}")


def _write_site(network: "SketchRNN", out: Path, data: Path | None, name: str) -> None:
    from sketchrnn.interop import site

    if data is None:
        site.write(network, out, name=name)
    else:
        dataset = sketchrnn.Dataset(data)
        source = f"test drawings of {dataset.info.name or data.name}"
        site.write(network, out, name=name, drawings=dataset.test, source=source)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
