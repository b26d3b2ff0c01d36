"""Models on disk: one safetensors file is a model, its sizes and its data in the file's metadata. No pickle anywhere.

A run keeps two: `model.safetensors`, the best so far, and `last/state.safetensors`, which holds the optimiser's moments
beside the weights and is what resuming needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from sketchrnn.config import DataInfo, ModelConfig, from_dict
from sketchrnn.formats.atomic import atomic_file
from sketchrnn.model.adam import Adam
from sketchrnn.model.network import SketchRNN

FORMAT = "sketchrnn model"
VERSION = 1
SHIPPED = Path(__file__).parent / "models"  # the models that come with the package, NAME.safetensors
HUB_NAME = re.compile(r"(?![.-])[\w.-]{1,96}/(?![.-])[\w.-]{1,96}(?:@[\w./-]{1,128})?", re.ASCII)  # org/name@revision

Device = Literal["auto", "cpu", "cuda"]


def resolve_device(device: str) -> torch.device:
    """The device called `auto`, `cpu` or `cuda` (also `cuda:1`); `auto` is the GPU where there is one.

    Raises:
        ValueError: there is no such device on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(f"there is no device {device!r}; devices are auto, cpu and cuda") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("this machine has no CUDA GPU that PyTorch can use; use --device cpu")
    if found.type == "cuda" and found.index is not None:
        if found.index >= torch.cuda.device_count():
            raise ValueError(
                f"there is no {device}: this machine has {torch.cuda.device_count()} GPUs, cuda:0 the first"
            )
        torch.cuda.set_device(found)  # where Triton's kernels and CUDA graphs run
    return found


def save(model: SketchRNN, path: str | Path, *, training: Mapping[str, Any] | None = None) -> None:
    """Writes a model to one `.safetensors` file, whole or not at all.

    Args:
        model: the model.
        path: the file; its folder must exist.
        training: what shall be known of how it came about, as JSON; `load` puts it into
            `model.training_facts`.
    """
    training = model.training_facts if training is None else training
    write_tensors(path, dict(model.state_dict()), _metadata(model, training=training))


def load(path: str | Path, *, device: str = "auto") -> SketchRNN:
    """The model of a run folder or a `.safetensors` file, one that the package brings, or one of the Hugging Face hub.

    Args:
        path: a run folder (its best model), or a model file; where there is neither, the name of a model that comes
            with the package, or `org/name` on the hub, `org/name@revision` for one version of it, which is downloaded
            once and kept. A `Path` is never looked for on the hub, nor is what would lie in a folder that exists.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        FileNotFoundError: there is nothing at `path`, nor a model of that name.
        ValueError: the file is no model, is damaged, or was written by a newer version.
        OSError: the hub cannot be reached, or does not give the model.
    """
    file = _find(path)
    tensors, metadata = read_tensors(file)
    return model_from(tensors, metadata, file).to(resolve_device(device))


def shipped() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(file.stem for file in SHIPPED.glob("*.safetensors"))


def _find(path: str | Path) -> Path:
    """The file of the model that `path` names."""
    file = Path(path)
    inside = file / "model.safetensors"
    if inside.exists():
        return inside
    if file.is_file():
        return file
    if str(path) in shipped():
        return SHIPPED / f"{path}.safetensors"
    if file.is_dir():
        raise FileNotFoundError(f"{path} holds no model.safetensors: it is not a run, or has not been validated yet")
    if isinstance(path, str) and HUB_NAME.fullmatch(path) and not file.parent.exists():
        return _from_hub(path)
    names = f", one that comes with sketchrnn ({', '.join(shipped())})" if shipped() else ""
    raise FileNotFoundError(
        f"there is no model at {path}: give a run folder, a .safetensors file{names}, "
        "or ORG/NAME on the Hugging Face hub"
    )


def _from_hub(name: str) -> Path:
    """model.safetensors of `org/name` or `org/name@revision`, downloaded unless it was before."""
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError:
        raise FileNotFoundError(
            f'there is no model at {name}; if it is one on the Hugging Face hub: pip install "sketchrnn[hub]"'
        ) from None
    repo, _, revision = name.partition("@")
    try:
        return Path(hf_hub_download(repo, "model.safetensors", revision=revision or None, library_name="sketchrnn"))
    except errors.GatedRepoError:
        raise PermissionError(f"{repo} asks who wants it: accept its terms on its page, then `hf auth login`") from None
    except errors.RepositoryNotFoundError:
        raise FileNotFoundError(
            f"there is no model {repo}, neither here nor on the Hugging Face hub (for a private one: `hf auth login`)"
        ) from None
    except errors.RevisionNotFoundError:
        raise FileNotFoundError(f"{repo} on the Hugging Face hub has no revision {revision}") from None
    except errors.LocalEntryNotFoundError:  # not kept from before, and no answer
        raise OSError(
            f"there is no model at {name} here, and the Hugging Face hub cannot be reached to look for it there"
        ) from None
    except errors.EntryNotFoundError:
        raise FileNotFoundError(
            f"{repo} on the Hugging Face hub holds no model.safetensors: it is no model of sketchrnn"
        ) from None
    except errors.HFValidationError as error:
        raise ValueError(f"{repo} is no name on the Hugging Face hub: {error}") from None
    except errors.HfHubHTTPError as error:
        raise OSError(f"the Hugging Face hub does not give {name}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def model_from(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], file: Path) -> SketchRNN:
    """The model of these weights; `file` is named where they do not fit.

    Raises:
        ValueError: a setting, a tensor or a number is not as it must be.
    """
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{file} is a safetensors file, but not a sketchrnn model")
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit()) or int(version) > VERSION:
        raise ValueError(f"{file} has model version {version!r}; this sketchrnn reads up to {VERSION}: upgrade it")
    try:
        config = from_dict(ModelConfig, json.loads(metadata["model"]))
        data = from_dict(DataInfo, json.loads(metadata["data"]))
        training = dict(json.loads(metadata.get("training", "{}")))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: its settings cannot be read: {error}") from error
    with torch.device("meta"):  # sizes alone: neither memory nor random numbers for weights that are replaced
        model = SketchRNN(config, data)
    expected = model.state_dict()
    if wrong := sorted(expected.keys() ^ tensors.keys()):
        raise ValueError(f"{file}: its settings and its weights differ: {', '.join(wrong[:5])}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(f"{file}: {name} is {tuple(tensor.shape)}, not {tuple(expected[name].shape)}")
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise ValueError(f"{file}: {name} is of {tensor.dtype}; weights are float32, float16 or bfloat16")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{file}: {name} holds numbers that are not finite")
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_()
    model.training_facts = training
    return model


def save_state(path: str | Path, model: SketchRNN, optimizer: Adam, progress: Mapping[str, Any]) -> None:
    """Writes all that a run needs to go on bit for bit: weights, the optimiser's moments, and `progress` as JSON.

    Random numbers need no state: they depend on the seed and the step alone.
    """
    tensors = dict(model.state_dict())
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    write_tensors(path, tensors, _metadata(model, training=model.training_facts, progress=progress))


def load_state(path: str | Path, model: SketchRNN, optimizer: Adam) -> dict[str, Any]:
    """Puts weights and moments back into `model` and `optimizer`; returns the progress.

    Raises:
        ValueError: the file is damaged, or of a model of other sizes.
    """
    file = Path(path)
    tensors, metadata = read_tensors(file)
    weights = {name: t for name, t in tensors.items() if not name.startswith("optimizer.")}
    stored = model_from(weights, metadata, file)
    if stored.config != model.config:
        raise ValueError(f"{file} belongs to a model of other sizes: {stored.config}")
    model.load_state_dict(stored.state_dict())
    model.data, model.training_facts = stored.data, stored.training_facts
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for full_name, tensor in tensors.items():
        if full_name.startswith("optimizer."):
            _, key, name = full_name.split(".", 2)
            if name not in parameters or tensor.shape not in ((), parameters[name].shape):
                raise ValueError(f"{file}: {full_name} does not belong to its model")
            state = optimizer.state.setdefault(parameters[name], {})
            state[key] = tensor.to(parameters[name].device)
    try:
        progress: dict[str, Any] = json.loads(metadata["progress"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file} does not say how far the run had come: {error}") from error
    return progress


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """One safetensors file, whole or not at all."""
    payload = safetensors_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, dict(metadata))
    with atomic_file(Path(path)) as temporary:
        temporary.write_bytes(payload)


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, on the CPU.

    Raises:
        ValueError: it is none, or is cut off.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{file} is not a model file, or is damaged: {str(error).splitlines()[0]}") from error


def _metadata(model: SketchRNN, **more: Mapping[str, Any]) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "model": json.dumps(asdict(model.config)),
        "data": json.dumps(asdict(model.data)),
    } | {name: json.dumps(value) for name, value in more.items()}
