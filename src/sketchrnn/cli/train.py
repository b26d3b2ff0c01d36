"""`sketchrnn train`: train a model on a dataset."""

import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import arg

import sketchrnn
from sketchrnn.cli.arguments import Data, Device, Flag
from sketchrnn.config import DataInfo, ModelConfig, PresetName, TrainConfig, from_dict

if TYPE_CHECKING:
    from sketchrnn.model.network import SketchRNN

PROG = "sketchrnn train"

Preset = Annotated[
    PresetName | None,
    arg(
        metavar="{reference,paper,small-data,fast}",
        help="Settings to start from.",
        help_behavior_hint="(default: reference)",
    ),
]
SettingsFile = Annotated[
    Path | None,
    arg(
        metavar="FILE",
        help="TOML or JSON with tables [model] and [train]; a run's config.json too.",
        help_behavior_hint="",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model on a dataset.

    Options overrule --config, and that the --preset. Interrupted, a run is saved.

    For example:
        sketchrnn train data/cat --out runs/cat --preset fast --train.steps 20000
        sketchrnn train data/cat --out runs/cat --resume
    """

    data: Data
    out: Annotated[Path, arg(metavar="RUN")]
    """The run: a folder for the model, its state, metrics.jsonl, pictures and report.html."""
    resume: Flag = False
    """Go on with the run in --out, with its own settings; --train.steps may be raised."""
    init: Annotated[str | None, arg(metavar="MODEL", help_behavior_hint="")] = None
    """Start from the weights of this model, to fine-tune it; its sizes are taken."""
    preset: Preset = None
    config: SettingsFile = None
    tensorboard: Flag = False
    """Write event files into the run too (needs the extra `tensorboard`)."""
    device: Device = "auto"
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def main(argv: Sequence[str]) -> None:
    given = tyro.cli(Train, prog=PROG, args=argv)
    start = None if given.init is None or given.resume else sketchrnn.load(given.init, device="cpu")
    model, train = _defaults(given, start)
    if start is not None:
        _compare_units(given.data, given.init, start.data)
    # The same options once more, over other defaults.
    defaults = Train(data=given.data, out=given.out, model=model, train=train)
    args = tyro.cli(Train, prog=PROG, args=argv, default=defaults)
    if args.resume and args.model != (started := _run_settings(args.out)[0]):
        raise ValueError(f"{args.out} is a run of another model: {_differences(started, args.model)}")
    sketchrnn.train(
        sketchrnn.Dataset(args.data),
        out=args.out,
        model=args.model,
        config=args.train,
        resume=args.resume,
        init=args.init,
        device=args.device,
        progress=True,
        tensorboard=args.tensorboard,
    )
    print(f"{args.out}: trained; its report is {args.out / 'report.html'}")


def _run_settings(run: Path) -> tuple[ModelConfig, TrainConfig]:
    from sketchrnn.run_folder import RunFolder  # brings torch, which --help does not need

    return RunFolder(run).settings()


def _defaults(args: Train, start: "SketchRNN | None") -> tuple[ModelConfig, TrainConfig]:
    """What the options of `args` start from: the run that goes on, or preset < model to start from < file."""
    if args.resume:
        if args.preset is not None:
            raise ValueError(f"{args.out} goes on with its own settings: leave out --preset")
        model, train = _run_settings(args.out)
    else:
        model, train = sketchrnn.preset(args.preset or "reference")
    if start is not None:
        model = start.config
    return with_file(model, train, args.config)


def with_file(model: ModelConfig, train: TrainConfig, path: Path | None) -> tuple[ModelConfig, TrainConfig]:
    """The settings with those of a file, if there is one, in their place."""
    if path is None:
        return model, train
    tables = _tables(path)
    try:
        return (
            from_dict(ModelConfig, {**asdict(model), **tables.get("model", {})}),
            from_dict(TrainConfig, {**asdict(train), **tables.get("train", {})}),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _compare_units(data: Path, init: str | None, theirs: DataInfo) -> None:
    """Says so on stderr where the drawings are of another size than those that the model to start from knows."""
    ours = sketchrnn.Dataset(data).info
    ratio = ours.scale_factor / theirs.scale_factor
    if not 0.8 < ratio < 1.25:
        size = f", or prepare them with --size {ours.size / ratio:.0f}" if ours.size else ""
        print(
            f"the offsets in {data} are {ratio:.2g} times those that {init} knows: it has to learn that, too{size}",
            file=sys.stderr,
        )


def _tables(path: Path) -> dict[str, Any]:
    """The tables `model` and `train` of a settings file."""
    text = path.read_text()
    try:
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:  # JSON's and TOML's errors are both of this kind
        raise ValueError(f"{path}: {error}; settings are TOML, or JSON in a file that ends in .json") from error
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError(f"{path}: settings stand in tables [model] and [train]")
    if unknown := sorted(set(tables) - {"model", "train"}):
        raise ValueError(f"{path}: there is no table {', '.join(unknown)}; settings stand in [model] and [train]")
    return tables


def _differences(ours: ModelConfig, theirs: ModelConfig) -> str:
    a, b = asdict(ours), asdict(theirs)
    return ", ".join(f"its {name} is {a[name]}, not {b[name]}" for name in a if a[name] != b[name])
