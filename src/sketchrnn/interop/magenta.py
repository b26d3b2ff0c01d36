"""The reference's JavaScript models, both ways: `.gen.json` (decoder only) and `.vae.json` (conditional).

A file is a JSON array `[info, dimensions, weights]`. `info` says what the model is, `dimensions` the shape of each
weight, `weights` holds them as base64 of little-endian int16 q: a weight is 10 q / 32767. `@magenta/sketch` runs the
first kind, the older `sketch_rnn.js` both.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from sketchrnn.config import DataInfo, ModelConfig, from_dict
from sketchrnn.data.fetch import cache_folder, check_address, fetch
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.model.network import SketchRNN

BASE_URL = "https://storage.googleapis.com/quickdraw-models/sketchRNN"
# Where a published model stands below that address. The README files of @magenta/sketch and sketch_rnn.js say so.
PATHS = {"": "models/{}.gen.json", ".large": "large_models/{}.gen.json", ".vae": "large_models/{}.vae.json"}

MAX_WEIGHT = 10.0  # of a weight in these files
MAX_BYTES = 1 << 28  # of a file: a decoder of 5,000 units
MAX_INFO = 1 << 16  # characters of its `info`
MAX_PARTS = 10_000  # brackets and commas; a model has two hundred, since weights are text
# The input before the first point. The reference trains with it, and @magenta/sketch begins with it; sketch_rnn.js
# begins with zeros, which no model was trained on.
START_TOKEN = (0.0, 0.0, 1.0, 0.0, 0.0)
VERSION = 6  # the newest that was published; below it, sketch_rnn.js takes tanh(z) where it starts from a given z
NUM_MIXTURES = 20  # the JavaScript programs know no other

_DECODER = ("output_w", "output_b", "decoder W_xh", "decoder W_hh", "decoder bias")
_CONDITIONAL = (
    *("forward encoder W_xh", "forward encoder W_hh", "forward encoder bias"),
    *("backward encoder W_xh", "backward encoder W_hh", "backward encoder bias"),
    *("mu_w", "mu_b", "sigma_w", "sigma_b", "init_w", "init_b"),
    *_DECODER,
)
_OURS = {
    "output_w": "W_y",
    "output_b": "b_y",
    "mu_w": "W_mu",
    "mu_b": "b_mu",
    "sigma_w": "W_sigma",
    "sigma_b": "b_sigma",
    "init_w": "W_z",
    "init_b": "b_z",
    **{f"decoder {part}": f"decoder.{part}" for part in ("W_xh", "W_hh", "bias")},
    **{
        f"{way} encoder {part}": f"encoder_{way}.{part}"
        for way in ("forward", "backward")
        for part in ("W_xh", "W_hh", "bias")
    },
}


def published_names() -> tuple[str, ...]:
    """The models that were published, as the README files of @magenta/sketch and sketch_rnn.js list them."""
    text = importlib.resources.files("sketchrnn.interop").joinpath("magenta_names.txt").read_text("utf-8")
    return tuple(text.splitlines())


def read(path: str | Path, *, licence: str = "") -> SketchRNN:
    """The model in a `.gen.json` or `.vae.json` file, with its scale factor, N_max and start token.

    `training_facts["imported"]` keeps where it came from and the file's own `info`.

    Args:
        path: the file.
        licence: of the drawings it was trained on, where that is known.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is cut off, is no such model, or a key or a weight in it is not as it must be.
    """
    file = Path(path)
    content = _content(file)
    info, dimensions, weights = _parts(file, content)
    conditional = _conditional(file, info)
    names = _CONDITIONAL if conditional else _DECODER
    for key, given in (("dimensions", dimensions), ("weights", weights)):
        if not isinstance(given, list) or len(given) != len(names):
            raise ValueError(
                f"{file}: {key} is not a list of {len(names)}, which a model of mode {info['mode']!r} has: "
                "it is no model of this kind, or was put together wrongly"
            )
    shapes = [_shape(file, name, k, given) for k, (name, given) in enumerate(zip(names, dimensions, strict=True))]
    config = _config(file, dict(zip(names, shapes, strict=True)), conditional)
    data = _data(file, info, licence)
    with torch.device("meta"):  # sizes alone: they must fit before memory is taken
        model = SketchRNN(config, data)
    expected = model.state_dict()
    for k, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        if shape != (wanted := tuple(expected[_OURS[name]].shape)):
            raise ValueError(f"{file}: dimensions[{k}], {name}, is {list(shape)}; the others make it {list(wanted)}")
    tensors = {
        _OURS[name]: torch.from_numpy(_weight(file, name, k, given, shape))
        for k, (name, given, shape) in enumerate(zip(names, weights, shapes, strict=True))
    }
    model.load_state_dict(tensors, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_()
    digest = hashlib.sha256(content).hexdigest()
    model.training_facts = {
        "imported": {"format": "magenta-js", "file": file.name, "sha256": digest, "info": info},
    }
    return model


def write(model: SketchRNN, path: str | Path) -> list[str]:
    """Writes an LSTM model as `.gen.json` (decoder only) or `.vae.json` (conditional), whole or not at all.

    Args:
        model: a model of LSTM cells.
        path: the file; its name must not claim the other kind.

    Returns:
        A sentence for everything that a program which reads the file will do otherwise than this model.

    Raises:
        ValueError: the format cannot hold the model.
    """
    file, config = Path(path), model.config
    _check_kind(file, config)
    names = _CONDITIONAL if config.conditional else _DECODER
    arrays = {name: model.get_parameter(_OURS[name]).detach().cpu().numpy() for name in names}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{_OURS[name]} of the model holds numbers that are not finite: it cannot be exported")
    info = _info(model, file)
    dimensions = [list(array.shape) for array in arrays.values()]
    weights = [base64.b64encode(_quantised(array).tobytes()).decode("ascii") for array in arrays.values()]
    text = json.dumps([info, dimensions, weights], separators=(",", ":"), allow_nan=False)
    with atomic_file(file) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return _clipped(arrays) + _differences(model)


def remarks(model: SketchRNN) -> list[str]:
    """What is worth knowing of a model that `read` gave, in a sentence each."""
    found = []
    at_limit = sum(int((parameter.abs() >= MAX_WEIGHT).sum()) for parameter in model.parameters())
    if at_limit:
        found.append(f"{at_limit:,} weights are {MAX_WEIGHT:g}, the format's largest: who wrote it clipped them")
    version = model.training_facts["imported"]["info"].get("version")
    if model.config.conditional and isinstance(version, int) and version < VERSION:
        found.append(
            f"it is of version {version}: sketch_rnn.js starts some of its drawings from tanh(z) with such models, "
            "and here they start from z"
        )
    return found


def download(
    name: str,
    *,
    out: str | Path | None = None,
    base: str = BASE_URL,
    progress: bool = False,
    pause: float = 1.0,
) -> Path:
    """Downloads a published model; the path of the file. What is there already is not fetched again.

    Args:
        name: `cat` for the decoder of 512 units, `cat.large` for that of 1024, `cat.vae` for the conditional model.
        out: folder for the files; by default `magenta-js` in the cache folder.
        base: address of a mirror.
        progress: show a progress bar on stderr.
        pause: seconds before the second of five tries, doubled before each further one.

    Raises:
        ValueError: no model is called that, or what came is none.
        OSError: the network or the disk failed.
    """
    check_address(base)
    stem, dot, kind = name.partition(".")
    if stem not in published_names() or dot + kind not in PATHS or name == "everything.vae":
        raise ValueError(
            f"no published model is called {name!r}; `sketchrnn import --list` shows the names, each alone, with "
            ".large or with .vae"
        )
    place = PATHS[dot + kind].format(stem)
    path = (cache_folder("magenta-js") if out is None else Path(out)) / place
    if not path.exists():
        url = f"{base.rstrip('/')}/{quote(place)}"
        fetch(url, path, check=partial(_check_model, url=url), max_bytes=MAX_BYTES, progress=progress, pause=pause)
    return path


def _check_model(part: Path, url: str) -> None:
    try:
        read(part)
    except ValueError as error:
        reason = str(error).removeprefix(str(part)).removeprefix(":").strip()
        raise ValueError(f"what came from {url} is no model: {reason}") from error


# -- reading


def _content(file: Path) -> bytes:
    if not file.exists():
        raise FileNotFoundError(f"there is no file {file}")
    if not file.is_file():
        raise ValueError(f"{file} is not a file")
    if (size := file.stat().st_size) > MAX_BYTES:
        raise ValueError(f"{file} has {size:,} bytes; a model of the reference's JavaScript has at most {MAX_BYTES:,}")
    return file.read_bytes()


def _parts(file: Path, content: bytes) -> tuple[dict[str, Any], Any, Any]:
    """info, dimensions and weights; only info is known to be what it should."""
    if not content.strip():
        raise ValueError(f"{file} is empty")
    if content.lstrip()[:1] == b"<":
        raise ValueError(f"{file} is a web page, not a model: download it again")
    # JSON of small parts takes many times its own memory, so it is refused before it is read
    if sum(content.count(mark) for mark in (b"[", b"{", b",")) > MAX_PARTS:
        raise ValueError(f"{file} is no model of the reference's JavaScript: it is JSON of too many parts")
    try:
        whole = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"{file} is no model of the reference's JavaScript: it is nested too deeply") from None
    except ValueError as error:
        if content.lstrip()[:1] == b"[" and not content.rstrip().endswith(b"]"):
            raise ValueError(f"{file} is cut off, its end is missing: download it again") from None
        raise ValueError(f"{file} is damaged or no JSON: {error}") from None
    if not isinstance(whole, list) or len(whole) != 3 or not isinstance(whole[0], dict):
        raise ValueError(f"{file} is no model of the reference's JavaScript: it is not [info, dimensions, weights]")
    info, dimensions, weights = whole
    for key, value in info.items():
        flat = isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value))
        if not flat and key != "start_token":
            raise ValueError(f"{file}: info.{key[:60]} is {_short(value)}, not a finite number or a text")
    if len(json.dumps(info)) > MAX_INFO:
        raise ValueError(f"{file}: info is longer than {MAX_INFO:,} characters")
    for key in ("mode", "scale_factor", "max_seq_len"):
        if key not in info:
            raise ValueError(f"{file}: info has no {key}")
    return info, dimensions, weights


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _conditional(file: Path, info: Mapping[str, Any]) -> bool:
    mode = info["mode"]
    if isinstance(mode, str | int) and not isinstance(mode, bool):
        if mode in (2, "gen"):
            return False
        if mode in (0, 1, "vae"):
            return True
    raise ValueError(f'{file}: info.mode is {_short(mode)}; it is 2 or "gen" (decoder only), or 0, 1 or "vae"')


def _shape(file: Path, name: str, k: int, given: Any) -> tuple[int, ...]:
    wanted = 1 if name.endswith(("_b", "bias")) else 2
    sizes = isinstance(given, list) and all(type(n) is int and 1 <= n <= 1 << 19 for n in given)
    if not sizes or len(given) != wanted:
        raise ValueError(
            f"{file}: dimensions[{k}], {name}, is {_short(given)}, not {wanted} {'size' if wanted == 1 else 'sizes'}"
        )
    return tuple(given)


def _config(file: Path, shapes: Mapping[str, tuple[int, ...]], conditional: bool) -> ModelConfig:
    """The sizes that some of the shapes say; whether the others fit is not looked at."""
    outputs = shapes["output_b"][0]
    if outputs < 9 or (outputs - 3) % 6:
        raise ValueError(f"{file}: output_b has {outputs} numbers, not 3 + 6 M for a mixture of M normals")
    encoder = {}
    if conditional:
        encoder = {"encoder_size": shapes["forward encoder W_hh"][0], "z_size": shapes["mu_b"][0]}
    decoder = {"decoder_size": shapes["decoder W_hh"][0], "num_mixtures": (outputs - 3) // 6}
    try:
        return from_dict(ModelConfig, {"conditional": conditional, **encoder, **decoder})
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _data(file: Path, info: Mapping[str, Any], licence: str) -> DataInfo:
    scale_factor, max_length, name = info["scale_factor"], info["max_seq_len"], info.get("name", "")
    if type(scale_factor) not in (int, float):
        raise ValueError(f"{file}: info.scale_factor is {_short(scale_factor)}, not a number")
    if type(max_length) is not int or not 1 <= max_length <= 1_000_000:
        raise ValueError(f"{file}: info.max_seq_len is {_short(max_length)}, not a whole number from 1 to 1,000,000")
    if not isinstance(name, str) or len(name) > 200 or not name.isprintable():
        raise ValueError(f"{file}: info.name is {_short(name)}, not a name")
    token = info.get("start_token", START_TOKEN)  # a key of our own, where a model has another
    numbers = isinstance(token, list | tuple) and all(type(x) in (int, float) for x in token)
    if not numbers or len(token) != 5:
        raise ValueError(f"{file}: info.start_token is {_short(token)}, not five numbers")
    try:
        return DataInfo(
            scale_factor=float(scale_factor),
            max_length=max_length,
            labels=(name,) if name else (),
            name=name,
            licence=licence,
            start_token=tuple(map(float, token)),  # type: ignore[arg-type]  # there are five
            # the JavaScript leaves the first point out
            from_first_point="first_offset" not in info and info.get("from_first_point", True) is True,
            first_offset=info.get("first_offset", "position"),  # a key of ours
        )
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file}: {error} (info.scale_factor, max_seq_len, start_token, first_offset)") from error


def _weight(file: Path, name: str, k: int, text: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    count = math.prod(shape)
    characters = 4 * -(-2 * count // 3)
    where = f"{file}: weights[{k}], {name},"
    if not isinstance(text, str):
        raise ValueError(f"{where} is {_short(text)}, not text")
    if len(text) != characters:
        raise ValueError(
            f"{where} has {len(text):,} characters and {' x '.join(map(str, shape))} weights need {characters:,}: "
            "the file is cut off or damaged"
        )
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{where} is not base64: {error}") from None
    if len(content) != 2 * count:
        raise ValueError(f"{where} has {len(content):,} bytes, not {2 * count:,}: the file is cut off or damaged")
    q = np.frombuffer(content, "<i2").astype(np.float64)
    return (MAX_WEIGHT * q / 32767).astype(np.float32).reshape(shape)  # in this order, as the JavaScript does


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, list | dict) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- writing


def _check_kind(file: Path, config: ModelConfig) -> None:
    cells = {config.decoder_cell, *((config.encoder_cell,) if config.conditional else ())}
    if other := sorted(cells - {"lstm"}):
        raise ValueError(
            f"this model has {' and '.join(other)} cells, and the reference's JavaScript models have LSTM cells only"
        )
    if config.conditional and file.name.endswith(".gen.json"):
        raise ValueError(
            f"{file.name} would be a decoder-only model and this one is conditional: name the file .vae.json. Its "
            "decoder alone, at a fixed z, begins with the state tanh(W_z z + b_z), and a .gen.json begins with zeros"
        )
    if not config.conditional and file.name.endswith(".vae.json"):
        raise ValueError(f"{file.name} would be a conditional model and this one is decoder only: name it .gen.json")


def _quantised(array: NDArray[np.float32]) -> NDArray[np.int16]:
    share = np.clip(array.astype(np.float64) / MAX_WEIGHT, -1, 1)
    return np.round(share * 32767).astype("<i2")


def _info(model: SketchRNN, file: Path) -> dict[str, Any]:
    """The `info` of a model that was imported, brought up to date; else a new one."""
    data, facts = model.data, model.training_facts
    imported = facts.get("imported")
    info = imported.get("info") if isinstance(imported, dict) else None
    if not isinstance(info, dict) or (info.get("mode") in (2, "gen")) == model.config.conditional:
        info = {"mode": "vae" if model.config.conditional else 2, "version": VERSION, "name": _name(model, file)}
        valid = facts.get("valid")
        for key, figure in (("r_loss", "L_R"), ("kl_loss", "L_KL")):
            value = valid.get(figure) if isinstance(valid, dict) else None
            if isinstance(value, float) and math.isfinite(value):
                info[key] = value
    info = {key: value for key, value in info.items() if key not in ("start_token", "from_first_point", "first_offset")}
    if info.get("scale_factor") != data.scale_factor:
        info["scale_factor"] = data.scale_factor
    info["max_seq_len"] = data.max_length
    if data.start_token != START_TOKEN:
        info["start_token"] = list(data.start_token)
    if not data.puts_pen_down:  # a key of ours as well
        info["from_first_point"] = False
    if data.first_offset != "position":
        info["first_offset"] = data.first_offset
    return info


def _name(model: SketchRNN, file: Path) -> str:
    name = model.data.labels[0] if len(model.data.labels) == 1 else model.data.name or file.name.split(".")[0]
    return "".join(c if c.isprintable() else " " for c in name)[:200]  # as it is read again


def _clipped(arrays: Mapping[str, NDArray[np.float32]]) -> list[str]:
    notes = []
    for name, array in arrays.items():
        beyond = np.abs(array) > MAX_WEIGHT * (1 + 0.5 / 32767)  # what rounding brings back to 10 is not beyond it
        if beyond.any():
            notes.append(
                f"{int(beyond.sum()):,} of the {array.size:,} weights {_OURS[name]} were clipped to +-{MAX_WEIGHT:g}, "
                f"the largest was {array.flat[np.abs(array).argmax()]:.4g}"
            )
    return notes


def _differences(model: SketchRNN) -> list[str]:
    """What the JavaScript programs do otherwise."""
    notes = []
    if model.config.conditional:
        notes.append(
            "@magenta/sketch runs .gen.json files only, and draws nonsense from a .vae.json: "
            "the older sketch_rnn.js is for these, and starts from an input of zeros"
        )
    if model.config.num_mixtures != NUM_MIXTURES:
        notes.append(
            f"the model has {model.config.num_mixtures} normals in its mixture, and the JavaScript programs "
            f"run models of {NUM_MIXTURES} only"
        )
    if model.data.first_offset == "position" and not model.data.from_first_point:
        notes.append(
            "JavaScript programs show the first offset as a line, and in the drawings that this model learned from "
            "it may lead from the sheet's corner to the first point: begin with the pen lifted"
        )
    if model.data.start_token != START_TOKEN:
        notes.append(
            f"the model begins with the input {model.data.start_token}, and @magenta/sketch with {START_TOKEN}"
        )
    return notes
