"""The drawing page as a folder of static files, the model in it: it runs in the browser, and needs no server.

The folder can be put on any static host, under any path: all addresses in it are relative, and nothing outside it is
asked for. It holds the built page (TypeScript, in `page/` of the repository), onnxruntime's WebAssembly, the model's
ONNX files with float16 weights, a map of drawings, and `site.json`, which tells the page what there is.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchrnn.drawing import Drawing
from sketchrnn.formats.atomic import atomic_folder
from sketchrnn.generate import sample
from sketchrnn.interop import onnx
from sketchrnn.latent_map import MOST, principal_components, spread
from sketchrnn.model.network import SketchRNN

FORMAT = "sketchrnn site"
VERSION = 1
MAP_TEMPERATURE = 0.3  # of the drawings that a model makes for its own map

# Only this folder's own files, and no script within a page. A static host cannot say it in a header, so the page does.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
)


def write(
    model: SketchRNN,
    out: str | Path,
    *,
    name: str = "",
    drawings: Sequence[Drawing] | None = None,
    source: str = "",
    seed: int = 0,
) -> None:
    """Writes the drawing page with a model in it, whole or not at all.

    Args:
        model: any model.
        out: the folder; it must not exist, or be empty.
        name: what the page calls the model; the name of its data if not given.
        drawings: what the map shows, for a conditional model; drawings of its own if None. They become public with the
            site, under their licence.
        source: what these are called.
        seed: of the map's own drawings.

    Raises:
        ValueError: a weight does not fit into float16, or the map has too few drawings.
        OSError: the page was not built, or `out` cannot be written.
    """
    page = built_page()
    folder_name = "model"
    files = onnx.graphs(model, float16=True)
    entry = describe(model, name) | {
        "data": asdict(model.data),
        "files": {Path(file).stem: f"{folder_name}/{file}" for file in files},
    }
    if model.config.conditional:
        entry["files"]["map"] = f"{folder_name}/map.json"
        files["map.json"] = _json(_map(model, drawings, source, seed))
    with atomic_folder(out) as folder:
        _copy(page, folder)
        index = folder / "index.html"
        index.write_text(with_backend(index.read_text(encoding="utf-8")), encoding="utf-8")
        (folder / folder_name).mkdir()
        for file, content in files.items():
            (folder / folder_name / file).write_bytes(content)
        (folder / "site.json").write_bytes(_json({"format": FORMAT, "version": VERSION, "models": [entry]}))


def built_page() -> Traversable:
    """The folder of the built page within this package.

    Raises:
        FileNotFoundError: it was not built.
    """
    page = resources.files("sketchrnn") / "web" / "static"
    if not (page / "index.html").is_file():
        raise FileNotFoundError("the drawing page is not built: run `make page` in the clone, or install a release")
    return page


def describe(model: SketchRNN, name: str = "") -> dict[str, Any]:
    """What the page shows of a model."""
    config, data = model.config, model.data
    return {
        "name": name or data.name or "model",
        "conditional": config.conditional,
        "encoder_cell": config.encoder_cell if config.conditional else None,
        "decoder_cell": config.decoder_cell,
        "z_size": config.z_size if config.conditional else None,
        "num_mixtures": config.num_mixtures,
        "decoder_size": config.decoder_size,
        "max_length": data.max_length,
        "scale_factor": data.scale_factor,
        "size": data.size,
        "labels": data.labels,
        "licence": data.licence,
        "parameters": model.num_parameters,
    }


def _map(model: SketchRNN, drawings: Sequence[Drawing] | None, source: str, seed: int) -> dict[str, Any]:
    """The map as the page reads it, with no more digits than the eye sees."""
    if drawings is None:
        drawings = sample(model, MOST, temperature=MAP_TEMPERATURE, seed=seed)
        source = "samples of the model"
    shown = spread(drawings, model.data.max_length)
    if len(shown) < 3:
        raise ValueError(f"there are {len(shown)} drawings to make a map of; it needs three")
    mu, _ = model.encode(shown)
    places, explained = principal_components(mu)
    points = [
        {
            "x": round(x, 3),
            "y": round(y, 3),
            "z": [round(value, 3) for value in z],
            "drawing": {"lines": [_short(line, drawing.size) for line in drawing.lines()]}
            | ({"label": drawing.label} if drawing.label else {}),
        }
        for (x, y), z, drawing in zip(places.tolist(), mu.tolist(), shown, strict=True)
    ]
    return {"method": "pca", "explained": explained, "source": source, "points": points}


def _short(line: NDArray[np.float64], size: float) -> list[list[float]]:
    """Positions to a 255th of the drawing's size at least, whole numbers without a decimal point."""
    digits = max(0, math.ceil(math.log10(255 / size))) if size > 0 else 0
    return line.astype(int).tolist() if digits == 0 and (line % 1 == 0).all() else line.round(digits + 1).tolist()


def with_backend(html: str) -> str:
    """The page's HTML, told to compute by itself, and to load nothing from elsewhere."""
    before, mark, after = html.partition("<head>")
    assert mark, "the built page has no <head>"
    return (
        f'{before}{mark}\n    <meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
        f'\n    <meta name="sketchrnn-backend" content="onnx" />{after}'
    )


def _copy(source: Traversable, target: Path) -> None:
    for entry in source.iterdir():
        if entry.is_dir():
            (target / entry.name).mkdir()
            _copy(entry, target / entry.name)
        else:
            with entry.open("rb") as read, (target / entry.name).open("wb") as write:
                shutil.copyfileobj(read, write)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
