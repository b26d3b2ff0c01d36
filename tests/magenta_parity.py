"""@magenta/sketch under Node on the published models and on real drawings.

`python tests/magenta_parity.py`, with SKETCHRNN_DATA set, computes anew what the package says of two hundred drawings
and writes it to tests/data/magenta_sketch.npz. It takes twenty minutes: under Node the package computes in plain
JavaScript.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from sketchrnn import Drawing, formats

STORED = Path(__file__).parent / "data" / "magenta_sketch.npz"
MODELS = ("ambulance", "bear", "bicycle", "bird", "dog", "mosquito", "rabbit", "sheep")


def node() -> str | None:
    """The `node` beside this Python, or any."""
    return shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")


def package_folder() -> Path:
    """Holds node_modules with @magenta/sketch; `make test` installs it beside the Python environment."""
    return Path(os.environ.get("SKETCHRNN_NPM") or Path(sys.prefix) / "npm")


def real_drawings(data: Path, n: int = 200) -> list[Drawing]:
    """Drawings of up to 128 points, which no model's N_max is below, from all classes in turn."""
    each = [formats.iterate(file) for file in sorted((data / "quickdraw").glob("*.npz"))]
    in_turn = chain.from_iterable(zip_longest(*each))
    return list(islice((d for d in in_turn if d is not None and len(d) <= 128), n))


def run(model: Path, drawings: Sequence[Drawing], program: str) -> list[Any]:
    """What @magenta/sketch says, (n + 1, 246) for each drawing: see magenta_sketch.mjs."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "drawings.json", Path(folder) / "out"
        given.write_text(json.dumps([drawing.stroke5().tolist() for drawing in drawings]))
        script = Path(__file__).with_name("magenta_sketch.mjs")
        subprocess.run([program, str(script), str(package_folder()), str(model), str(given), str(out)], check=True)
        rows = np.fromfile(out, "<f4").reshape(-1, 246).astype(float)
    return np.split(rows, np.cumsum([len(drawing) + 1 for drawing in drawings])[:-1])


def log_likelihood(rows: Any, drawing: Drawing, scale_factor: float) -> float:
    """log p of a drawing and the end that follows, in doubles, from the outputs in `rows`."""
    pen, lp, mu_x, mu_y, log_x, log_y, rho_hat = np.split(rows[:, 123:], [3, 23, 43, 63, 83, 103], axis=1)
    targets = np.vstack([drawing.stroke5() / np.array([scale_factor, scale_factor, 1, 1, 1]), [0, 0, 0, 0, 1]])
    u, v = (targets[:, :1] - mu_x) * np.exp(-log_x), (targets[:, 1:2] - mu_y) * np.exp(-log_y)
    w = (v - np.tanh(rho_hat) * u) * np.cosh(rho_hat)
    log_normal = np.log(np.cosh(rho_hat) / (2 * np.pi)) - log_x - log_y - (u * u + w * w) / 2
    offsets = np.logaddexp.reduce(lp + log_normal, axis=1) - np.logaddexp.reduce(lp, axis=1)
    pens = (targets[:, 2:] * (pen - np.logaddexp.reduce(pen, axis=1, keepdims=True))).sum()
    return float(offsets[:-1].sum() + pens)


def main() -> None:
    data, program = Path(os.environ["SKETCHRNN_DATA"]), node()
    assert program, "there is no node"
    drawings, found = real_drawings(data), []
    for name in MODELS:
        path = data / "magenta-js" / f"{name}.gen.json"
        scale_factor = json.loads(path.read_text())[0]["scale_factor"]
        rows = run(path, drawings, program)
        found.append([log_likelihood(r, d, scale_factor) for r, d in zip(rows, drawings, strict=True)])
        print(name, flush=True)
    np.savez_compressed(STORED, log_likelihood=found, lengths=[len(drawing) for drawing in drawings])


if __name__ == "__main__":
    main()
