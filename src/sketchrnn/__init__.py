"""sketchrnn: neural networks that learn to draw.

The names below are the public ones. Each is loaded when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sketchrnn.checkpoint import load, save
    from sketchrnn.config import DataConfig, DataInfo, ModelConfig, TrainConfig, preset
    from sketchrnn.data.dataset import Dataset
    from sketchrnn.data.prepare import prepare
    from sketchrnn.drawing import Drawing
    from sketchrnn.evaluation import density, evaluate, log_likelihood
    from sketchrnn.formats import read
    from sketchrnn.generate import analogy, complete, decode, interpolate, reconstruct, sample
    from sketchrnn.interop.hub import push
    from sketchrnn.model.network import SketchRNN
    from sketchrnn.render import write
    from sketchrnn.training import train

_WHERE = {
    "Dataset": "data.dataset",
    "Drawing": "drawing",
    "DataConfig": "config",
    "DataInfo": "config",
    "ModelConfig": "config",
    "SketchRNN": "model.network",
    "TrainConfig": "config",
    "analogy": "generate",
    "complete": "generate",
    "decode": "generate",
    "density": "evaluation",
    "evaluate": "evaluation",
    "interpolate": "generate",
    "load": "checkpoint",
    "log_likelihood": "evaluation",
    "prepare": "data.prepare",
    "preset": "config",
    "push": "interop.hub",
    "read": "formats",
    "reconstruct": "generate",
    "sample": "generate",
    "save": "checkpoint",
    "train": "training",
    "write": "render",
}

__all__ = [
    "DataConfig",
    "DataInfo",
    "Dataset",
    "Drawing",
    "ModelConfig",
    "SketchRNN",
    "TrainConfig",
    "analogy",
    "complete",
    "decode",
    "density",
    "evaluate",
    "interpolate",
    "load",
    "log_likelihood",
    "prepare",
    "preset",
    "push",
    "read",
    "reconstruct",
    "sample",
    "save",
    "train",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
