"""`sketchrnn paper`: the paper's experiments."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

import sketchrnn
from sketchrnn.cli.arguments import A, B, C, Device, Inputs, Json, Model, NoFit, Number, Seed, Temperature
from sketchrnn.cli.inputs import drawings_of, one_drawing
from sketchrnn.cli.screen import busy, rows
from sketchrnn.cli.train import Preset, SettingsFile, with_file
from sketchrnn.config import ModelConfig, TrainConfig

if TYPE_CHECKING:
    from sketchrnn.report import Section

PROG = "sketchrnn paper"

Figure = Annotated[
    Path, arg(name="out", metavar="FILE", help="Where to write; the ending chooses: .svg .png .gif .mp4.")
]


def main(argv: Sequence[str]) -> None:
    given = tyro.extras.subcommand_cli_from_dict(
        {
            "samples": samples,
            "reconstructions": reconstructions,
            "interpolations": interpolations,
            "analogies": analogies,
            "endings": endings,
            "variations": variations,
            "tradeoff": Tradeoff,
        },
        prog=PROG,
        description='The experiments of "A Neural Representation of Sketch Drawings" (Ha and Eck, 2018).',
        args=argv,
    )
    if isinstance(given, Tradeoff):
        model, train = with_file(*sketchrnn.preset(given.preset or "reference"), given.config)
        # The same options once more, over other defaults.
        defaults = Tradeoff(data=given.data, out=given.out, model=model, train=train)
        given = tyro.cli(Tradeoff, prog=f"{PROG} tradeoff", args=argv[1:], default=defaults)
        if given.train.kl_weight != train.kl_weight or given.model.conditional != model.conditional:
            raise ValueError(
                "tradeoff sets --train.kl-weight and --model.conditional itself: leave them out; --kl-weights chooses"
            )
        tradeoff(given)


def samples(model: Model, /, *, out: Figure, n: Number = 8, seed: Seed = 0, device: Device = "auto") -> None:
    """New drawings: a row for each temperature from 0.2 to 0.9.

    All rows are made from the same random numbers: only the temperature makes a difference.

    For example:
        sketchrnn paper samples runs/cat --out samples.svg

    Args:
        n: Drawings in a row.
    """
    from sketchrnn import paper

    _check(out, n)
    with busy("drawing"):
        _write(paper.samples(sketchrnn.load(model, device=device), n=n, seed=seed), out)


def reconstructions(
    model: Model,
    inputs: Inputs,
    /,
    *,
    out: Figure,
    seed: Seed = 0,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """Drawings, each drawn again at temperatures from 0.01 to 1.

    Give also what the model does not know, a toothbrush to a model of cats: it draws what it knows.

    For example:
        sketchrnn paper reconstructions runs/cat "data/cat:test#0" "data/cat:test#1" --out again.svg
        sketchrnn paper reconstructions runs/cat three-eyed-cat.svg toothbrush.svg --out strange.svg
    """
    from sketchrnn import paper

    _check(out)
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        _write(paper.reconstructions(network, drawings_of(inputs, network, fit=not no_fit), seed=seed), out)


def interpolations(
    models: Annotated[
        tuple[str, ...],
        Positional,
        arg(
            metavar="MODEL [MODEL ...]",
            help="Models of the same drawings, for instance of several w_KL: a row each.",
            help_behavior_hint="",
        ),
    ],
    /,
    *,
    start: Annotated[str, arg(name="from", metavar="A", help="A drawing: a file, FILE#7, or DATA:test#7.")],
    end: Annotated[str, arg(name="to", metavar="B", help="Another, likewise.")],
    out: Figure,
    steps: int = 10,
    temperature: Temperature = 0.1,
    seed: Seed = 0,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """From one drawing to another through the latent space, a row for each model.

    The two may be of one class or of two that the models learned together. A row is labelled with the w_KL of its
    model, or with its name.

    For example:
        sketchrnn paper interpolations runs/heavy runs/light --from cat.svg --to "data/cat:test#1" --out way.svg

    Args:
        steps: Drawings from A's latent vector to B's, both included.
    """
    from sketchrnn import paper

    _check(out)
    if not models:
        raise ValueError("no MODEL is given: name one or more")
    if len(set(models)) < len(models):
        raise ValueError("a MODEL is given twice: each gets one row")
    with busy("drawing"):
        networks = {name: sketchrnn.load(name, device=device) for name in models}
        first = networks[models[0]]
        a, b = (one_drawing(text, first, fit=not no_fit) for text in (start, end))
        _write(paper.interpolations(networks, a, b, steps=steps, temperature=temperature, seed=seed), out)


def analogies(
    model: Model,
    a: A,
    b: B,
    c: C,
    /,
    *,
    out: Figure,
    n: Number = 1,
    temperature: Temperature = 0.1,
    seed: Seed = 0,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """A, B, C and A + (B - C): a cat's head, a pig and a pig's head give a cat with a body.

    For example:
        sketchrnn paper analogies runs/catpig cat-head.svg pig.svg pig-head.svg --out sum.svg

    Args:
        n: Drawings of the result.
    """
    from sketchrnn import paper

    _check(out, n)
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        given = [one_drawing(text, network, fit=not no_fit) for text in (a, b, c)]
        _write(paper.analogies(network, *given, n=n, temperature=temperature, seed=seed), out)


def endings(
    model: Model,
    prefixes: Inputs,
    /,
    *,
    out: Figure,
    n: Number = 7,
    keep: float = 1.0,
    seed: Seed = 0,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """Unfinished drawings, each with several endings at temperature 0.8.

    For example:
        sketchrnn paper endings runs/cat head.svg "data/cat:test#0" --keep 0.5 --out endings.svg

    Args:
        n: Endings of each.
        keep: The share of each drawing's points that is given, above 0 and at most 1.
    """
    from sketchrnn import paper

    _check(out, n)
    if not 0 < keep <= 1:
        raise ValueError(f"--keep is {keep:g}; it must be above 0 and at most 1")
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        wholes = drawings_of(prefixes, network, fit=not no_fit, begun=keep == 1)
        given = [whole.head(math.ceil(keep * len(whole))) for whole in wholes]
        _write(paper.endings(network, given, n=n, seed=seed), out)


def variations(
    model: Model,
    drawing: Annotated[str, Positional, arg(metavar="INPUT", help="A drawing: a file, FILE#7, or DATA:test#7.")],
    /,
    *,
    out: Figure,
    n: Number = 24,
    temperature: Temperature = 0.4,
    seed: Seed = 0,
    no_fit: NoFit = False,
    device: Device = "auto",
) -> None:
    """Many drawings like one: each from a latent vector drawn from what the encoder says of it.

    For example:
        sketchrnn paper variations runs/cat "data/cat:test#0" -n 24 --out like-it.svg
    """
    from sketchrnn import paper

    _check(out, n)
    with busy("drawing"):
        network = sketchrnn.load(model, device=device)
        given = one_drawing(drawing, network, fit=not no_fit)
        _write(paper.variations(network, given, n=n, temperature=temperature, seed=seed), out)


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """Table 1: L_R against L_KL, for each w_KL and for the decoder alone.

    For each dataset it trains a model for each w_KL and one without an encoder, and evaluates them on the test split.
    DIR gets the runs, table.json, table.md, and the validation curves, curves.svg. It takes as long as they all:
    hours, or days. Given again, it goes on where it stopped.

    For example:
        sketchrnn paper tradeoff data/cat data/pig --out wkl --preset fast --train.steps 20000
    """

    data: Annotated[tuple[Path, ...], Positional, arg(metavar="DATA [DATA ...]", help_behavior_hint="")]
    """Datasets, each called by the name of its folder."""
    out: Annotated[Path, arg(metavar="DIR")]
    """A folder for the runs and the table."""
    kl_weights: tuple[float, ...] = (1.0, 0.5, 0.25)
    """The w_KL; --train.kl-weight and --model.conditional are set by it."""
    preset: Preset = None
    config: SettingsFile = None
    json_only: Json = False
    device: Device = "auto"
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def tradeoff(args: Tradeoff) -> None:
    from sketchrnn import paper

    if not args.data:
        raise ValueError("no DATA is given: name one dataset or more")
    results = paper.tradeoff(
        [sketchrnn.Dataset(folder) for folder in args.data],
        args.out,
        model=args.model,
        config=args.train,
        kl_weights=args.kl_weights,
        device=args.device,
        progress=True,
    )
    if args.json_only:
        print(json.dumps(results))
        return
    head, *lines = paper.table(results, args.kl_weights)
    # two lines for each dataset rather than eight columns
    rows("L_R / L_KL of the test drawings", *_narrow(head, lines))
    print(f"{args.out}: table.md, table.json, curves.svg, and a run for each")


def _narrow(head: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """L_R and L_KL of a w_KL in one column, so that the table fits 80 columns."""
    pairs = range(1, len(head) - 1, 2)
    narrow = [[line[0], *(f"{line[i]} / {line[i + 1]}" for i in pairs), line[-1]] for line in lines]
    return [head[0], *(head[i].removeprefix("L_R, ") for i in pairs), "decoder only"], narrow


def _check(out: Path, n: int = 1) -> None:
    """What would be found only after all is drawn."""
    if out.suffix.lower() not in (".svg", ".png", ".gif", ".mp4"):
        raise ValueError(f"{out} holds no picture: its ending must be .svg, .png, .gif or .mp4")
    if n < 1:
        raise ValueError(f"-n is {n}; it must be at least 1")


def _write(figure: Section, out: Path) -> None:
    sketchrnn.write(figure.drawings, out, labels=figure.labels, columns=figure.columns, title=figure.title)
    print(f"{out}: {figure.text}")
