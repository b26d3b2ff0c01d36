"""The reference's own checkpoints, as its training writes them with TensorFlow, as models of ours.

A folder with `checkpoint`, `model_config.json`, and for each saved step N `vector-N.index` and
`vector-N.data-00000-of-00001`. Sizes and cells are read off the weights; `model_config.json` is needed for N_max alone,
and must agree where it speaks. (The reference under Python 3 wrote only the names of its settings into it.) What else
a checkpoint holds, the optimiser's moments and its settings, is passed over.

The scale factor is in none of these files: the reference computes it from the training drawings each time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchrnn.config import CellName, DataInfo, ModelConfig, from_dict
from sketchrnn.data.dataset import Dataset
from sketchrnn.data.shards import scale_factor as scale_factor_of
from sketchrnn.formats import npz
from sketchrnn.interop.tensor_bundle import TensorBundle, open_bundle
from sketchrnn.model.network import SketchRNN

MAX_CONFIG_BYTES = 2**20

CELLS: dict[CellName, str] = {"lstm": "LSTMCell", "layer_norm": "LayerNormLSTMCell", "hyper": "HyperLSTMCell"}
HYPER_PARTS = ("ix", "jx", "fx", "ox", "ih", "jh", "fh", "oh")  # what the embeddings of a HyperLSTM act on

# Settings of the reference that say what the weights say, under our names.
SETTINGS = {
    "enc_model": "encoder_cell",
    "dec_model": "decoder_cell",
    "enc_rnn_size": "encoder_size",
    "dec_rnn_size": "decoder_size",
    "z_size": "z_size",
    "num_mixture": "num_mixtures",
    "conditional": "conditional",
}
OF_ENCODER = ("encoder_cell", "encoder_size", "z_size")  # of no meaning without one

Index = tuple[int | slice, ...]

_PART = re.compile(r"(.+)\.(?:index|meta|data-\d{5}-of-\d{5})")


def read(
    path: str | Path,
    *,
    scale_factor: float | None = None,
    data: str | Path | None = None,
    max_length: int | None = None,
) -> SketchRNN:
    """The model in a checkpoint of the reference, on the CPU.

    Args:
        path: the folder of a training (its latest checkpoint), `FOLDER/vector-N`, or one of the checkpoint's files.
        scale_factor: what the reference divided the offsets by; it logs it as `normalizing_scale_factor`.
        data: in place of it, the drawings it was trained on, an .npz file or a dataset: it is computed from them.
        max_length: N_max, where `model_config.json` does not tell `max_seq_len`.

    Raises:
        FileNotFoundError: there is no checkpoint, or a file of it is missing.
        ValueError: a file is damaged, a weight is missing, of a wrong shape or not finite, the settings contradict the
            weights, or the scale factor or N_max is not known.
    """
    prefix = _prefix(Path(path))
    bundle = open_bundle(prefix)
    settings = _settings(prefix.parent / "model_config.json")
    config = _config(bundle, settings)
    known = _data_info(data) if data is not None else None
    if scale_factor is None and known is not None:
        scale_factor = known.scale_factor
    if scale_factor is None:
        raise ValueError(
            f"{prefix} does not tell its scale factor, which the reference computes from the training drawings anew "
            "each time: give --scale-factor X, or --data FILE.npz with those drawings"
        )
    if max_length is None:
        max_length = _max_length(prefix.parent / "model_config.json", settings, known)
    info = DataInfo(
        scale_factor=float(scale_factor),
        max_length=max_length,
        labels=known.labels if known is not None and known.labels else _labels(settings),
        name=known.name if known is not None else ", ".join(_labels(settings)),
        licence=known.licence if known is not None else "",
        size=known.size if known is not None else 0.0,
        first_offset=known.first_offset if known is not None else "position",
    )
    model = _model(bundle, config, info)
    model.training_facts = {"imported": {"format": "tensorflow", "file": prefix.name, "settings": settings}}
    if (step := _step(bundle)) is not None:
        model.training_facts["step"] = step
    return model


def is_checkpoint(path: str | Path) -> bool:
    """Whether `path` looks like what `read` takes: a folder, `FOLDER/vector-N`, or one of its files."""
    path = Path(path)
    if path.is_dir() or path.name == "checkpoint" or _PART.fullmatch(path.name):
        return True
    return path.with_name(f"{path.name}.index").is_file() if path.name else False


def places(config: ModelConfig) -> Iterator[tuple[str, str, Index]]:
    """Where each weight of the reference stands in ours: its name there, the tensor's name here, and the part of it."""
    yield "vector_rnn/RNN/output_w", "W_y", ()
    yield "vector_rnn/RNN/output_b", "b_y", ()
    yield from _places_of_cell(config.decoder_cell, "vector_rnn/RNN", "decoder", config)
    if config.conditional:
        yield from _places_of_cell(config.encoder_cell, "vector_rnn/ENC_RNN/fw", "encoder_forward", config)
        yield from _places_of_cell(config.encoder_cell, "vector_rnn/ENC_RNN/bw", "encoder_backward", config)
        for theirs, ours in (("ENC_RNN_mu", "mu"), ("ENC_RNN_sigma", "sigma"), ("linear", "z")):
            yield f"vector_rnn/{theirs}/super_linear_w", f"W_{ours}", ()
            yield f"vector_rnn/{theirs}/super_linear_b", f"b_{ours}", ()


def _places_of_cell(cell: CellName, theirs: str, ours: str, config: ModelConfig) -> Iterator[tuple[str, str, Index]]:
    theirs = f"{theirs}/{CELLS[cell]}"
    for name in ("W_xh", "W_hh"):
        yield f"{theirs}/{name}", f"{ours}.{name}", ()
    if cell != "layer_norm":
        yield f"{theirs}/bias", f"{ours}.bias", ()
    if cell != "lstm":
        for name, norm in (("gates", "ln_all"), ("c", "ln_c")):
            for part in ("gamma", "beta"):
                yield f"{theirs}/{norm}/ln_{part}", f"{ours}.{name}_{part}", ()
    if cell == "hyper":
        yield from _places_of_cell("layer_norm", theirs, f"{ours}.hyper", config)
        for k, part in enumerate(HYPER_PARTS):  # eight embeddings there, one tensor for all of them here
            columns = slice(k * config.hyper_embedding, (k + 1) * config.hyper_embedding)
            yield f"{theirs}/hyper_{part}/zw/super_linear_w", f"{ours}.W_zw", (slice(None), columns)
            yield f"{theirs}/hyper_{part}/zw/super_linear_b", f"{ours}.b_zw", (columns,)
            yield f"{theirs}/hyper_{part}/alpha/super_linear_w", f"{ours}.alpha", (k,)
        for k, part in enumerate(HYPER_PARTS[4:]):
            columns = slice(k * config.hyper_embedding, (k + 1) * config.hyper_embedding)
            yield f"{theirs}/hyper_{part}/zb/super_linear_w", f"{ours}.W_zb", (slice(None), columns)
            yield f"{theirs}/hyper_{part}/beta/super_linear_w", f"{ours}.beta", (k,)


def renamed(
    config: ModelConfig, shapes: Mapping[str, tuple[int, ...]], get: Callable[[str], NDArray[Any]]
) -> dict[str, NDArray[np.float32]]:
    """The arrays that `get` has under the reference's names, under ours, those of a HyperLSTM's embeddings joined."""
    # read first: a size that is claimed for what is not there takes no memory
    parts = [(ours, where, get(theirs)) for theirs, ours, where in places(config)]
    arrays = {ours: np.empty(shapes[ours], np.float32) for ours, _, _ in parts}
    for ours, where, part in parts:
        arrays[ours][where] = part
    return arrays


# -- the weights


def _model(bundle: TensorBundle, config: ModelConfig, info: DataInfo) -> SketchRNN:
    with torch.device("meta"):  # sizes alone, until the weights are known to fit
        model = SketchRNN(config, info)
    expected = model.state_dict()
    for theirs, ours, where in places(config):
        shape = tuple(expected[ours][where].shape)
        if theirs not in bundle.entries:
            raise ValueError(f"{bundle.prefix}.index has no {theirs}, which belongs to this model")
        if bundle.entries[theirs].shape != shape:
            raise ValueError(f"{bundle.prefix}.index: {theirs} is {bundle.entries[theirs].shape}, not {shape}")

    def weight(name: str) -> NDArray[np.float32]:
        array = bundle.read(name)
        if array.dtype != np.float32:
            raise ValueError(f"{bundle.prefix}.index: {name} is of {array.dtype}; weights are float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{bundle.prefix}: {name} holds numbers that are not finite")
        return array

    arrays = renamed(config, {name: tuple(tensor.shape) for name, tensor in expected.items()}, weight)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, assign=True)
    return model.requires_grad_()


def _config(bundle: TensorBundle, settings: Mapping[str, Any]) -> ModelConfig:
    """The sizes that the weights have; `settings` must not contradict them, and tells what a model without encoder
    does not need."""
    found: dict[str, Any] = {"conditional": "vector_rnn/ENC_RNN_mu/super_linear_w" in bundle.entries}
    found["decoder_cell"] = _cell(bundle, "vector_rnn/RNN")
    found["decoder_size"], outputs = _matrix(bundle, "vector_rnn/RNN/output_w")
    found["num_mixtures"] = (outputs - 3) // 6
    if found["conditional"]:
        found["encoder_cell"] = _cell(bundle, "vector_rnn/ENC_RNN/fw")
        both, found["z_size"] = _matrix(bundle, "vector_rnn/ENC_RNN_mu/super_linear_w")
        found["encoder_size"] = both // 2
    for cell, theirs in (("decoder_cell", "vector_rnn/RNN"), ("encoder_cell", "vector_rnn/ENC_RNN/fw")):
        if found.get(cell) == "hyper":
            theirs = f"{theirs}/{CELLS['hyper']}"
            found["hyper_units"], _ = _matrix(bundle, f"{theirs}/{CELLS['layer_norm']}/W_hh")
            _, found["hyper_embedding"] = _matrix(bundle, f"{theirs}/hyper_ix/zw/super_linear_w")
    for theirs, ours in SETTINGS.items():
        if theirs not in settings:
            continue
        said = bool(settings[theirs]) if ours == "conditional" else settings[theirs]  # some files have 0 and 1
        if ours not in found:
            found[ours] = said
        elif found[ours] != said and (found["conditional"] or ours not in OF_ENCODER):
            raise ValueError(
                f"{bundle.prefix.parent / 'model_config.json'} says that {theirs} is {said!r}, "
                f"but the weights of {bundle.prefix.name} have {found[ours]!r}"
            )
    try:
        return from_dict(ModelConfig, found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{bundle.prefix}: {error}") from None


def _cell(bundle: TensorBundle, scope: str) -> CellName:
    for name, theirs in CELLS.items():
        if f"{scope}/{theirs}/W_xh" in bundle.entries:
            return name
    raise ValueError(
        f"{bundle.prefix} is no checkpoint of sketch-rnn: it has no {scope}/CELL/W_xh for any of {', '.join(CELLS)}"
    )


def _matrix(bundle: TensorBundle, name: str) -> tuple[int, int]:
    """The shape of a matrix."""
    if name not in bundle.entries:
        raise ValueError(f"{bundle.prefix}.index has no {name}: it is no checkpoint of sketch-rnn, or not all of one")
    shape = bundle.entries[name].shape
    if len(shape) != 2:
        raise ValueError(f"{bundle.prefix}.index: {name} is {shape}, not a matrix")
    return shape[0], shape[1]


def _step(bundle: TensorBundle) -> int | None:
    """The optimiser's step, where the checkpoint has it."""
    for name, entry in bundle.entries.items():
        if name.rpartition("/")[2] == "global_step" and entry.shape == () and entry.dtype in (3, 9):
            return int(bundle.read(name))
    return None


# -- the files beside them


def _prefix(path: Path) -> Path:
    """The checkpoint that a person means: `FOLDER/vector-N` of a folder, a prefix, or one of its files."""
    if path.is_file() and path.name != "checkpoint":
        named = _PART.fullmatch(path.name)
        if named is None:
            raise ValueError(
                f"{path} is no part of a TensorFlow checkpoint (NAME.index and NAME.data-00000-of-00001); "
                "a checkpoint in one file is of TensorFlow's version 1, which is not read"
            )
        return path.with_name(named[1])
    if not path.is_dir() and path.name != "checkpoint":
        return path
    folder = path if path.is_dir() else path.parent
    there = sorted(found.name.removesuffix(".index") for found in folder.glob("*.index"))
    if (name := _latest(folder / "checkpoint")) is not None:
        return folder / name
    if len(there) != 1:
        which = f"several checkpoints, {', '.join(there[:5])}" if there else "no checkpoint, no file NAME.index"
        raise FileNotFoundError(f"{folder} holds {which}: give FOLDER/NAME, for instance {folder / 'vector-5000'}")
    return folder / there[0]


def _latest(file: Path) -> str | None:
    """The name of the latest checkpoint, as the file `checkpoint` has it; None without one."""
    if not file.is_file():
        return None
    with open(file, "rb") as opened:
        text = opened.read(MAX_CONFIG_BYTES).decode("utf-8", "replace")
    # a path of the machine that trained, or a mere name: only the name counts, and nothing outside the folder is read
    found = re.search(r'^model_checkpoint_path:\s*"(?:[^"\n]*[/\\])?([^"/\\\n]+)"', text, re.MULTILINE)
    if found is None or found[1] in (".", ".."):
        raise ValueError(f"{file} does not name a checkpoint: give FOLDER/vector-N itself")
    return found[1]


def _settings(file: Path) -> dict[str, Any]:
    """What `model_config.json` says, as far as it says anything."""
    if not file.is_file():
        return {}
    if file.stat().st_size > MAX_CONFIG_BYTES:
        raise ValueError(f"{file} has {file.stat().st_size:,} bytes: it is no model_config.json of the reference")
    try:
        settings = json.loads(file.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError(f"{file} is not JSON, or is cut off") from None
    if isinstance(settings, list) and all(isinstance(name, str) for name in settings):
        return {}  # names without values, of a reference that ran under Python 3
    if not isinstance(settings, dict):
        raise ValueError(f"{file} is no model_config.json of the reference: it holds no settings")
    return settings


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _max_length(file: Path, settings: Mapping[str, Any], known: DataInfo | None) -> int:
    said = settings.get("max_seq_len")
    if said is None and known is not None:
        return known.max_length
    if said is None:
        what = "does not tell max_seq_len" if file.is_file() else "is missing"
        raise ValueError(f"{file} {what}: give --max-length N_MAX, the points of the longest drawing it was trained on")
    if type(said) is not int or not 1 <= said <= 1_000_000:
        raise ValueError(f"{file}: max_seq_len is {said!r}, not a whole number from 1 to 1,000,000")
    return said


def _labels(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes, by the names of the files that it was trained on."""
    names = settings.get("data_set", ())
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) and len(name) < 200 for name in names):
        return ()
    return tuple(re.split(r"[/\\]", name)[-1].removesuffix(".npz").removesuffix(".full") for name in names[:1000])


def _data_info(path: str | Path) -> DataInfo:
    """The scale factor and N_max of the drawings of a dataset or an .npz file, as the reference computes them."""
    path = Path(path)
    if path.is_dir():
        return Dataset(path).info
    splits = npz.splits(path)
    rows = [drawing.stroke3 for drawing in splits.get("train", ())]
    if not rows:
        raise ValueError(f"{path} has no drawings in `train`, from which the scale factor is computed")
    longest = max(len(drawing) for drawings in splits.values() for drawing in drawings)
    label = path.stem.removesuffix(".full")
    return DataInfo(scale_factor=scale_factor_of(np.concatenate(rows)), max_length=longest, labels=(label,), name=label)
