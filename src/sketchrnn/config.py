"""Settings: what a model is, how it is trained, how drawings are prepared.

Plain frozen dataclasses; the line under a field is its manual, and the command line shows it. A model stores its
`ModelConfig` and `DataInfo`, a run its `TrainConfig`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_type_hints

CellName = Literal["lstm", "layer_norm", "hyper"]
Precision = Literal["float32", "tf32", "bfloat16"]
FirstOffset = Literal["position", "zero", "line"]
PresetName = Literal["reference", "paper", "small-data", "fast"]

FORGET_BIAS = 1.0  # added to the forget gate at run time, never stored
LAYER_NORM_EPSILON = 1e-3

Config = TypeVar("Config")


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The sizes of a model. The defaults are the reference's."""

    encoder_cell: CellName = "lstm"
    """Cell of the encoder, one each way."""
    decoder_cell: CellName = "lstm"
    """Cell of the decoder."""
    encoder_size: int = 256
    """Units of the encoder's RNN in each direction."""
    decoder_size: int = 512
    """Units of the decoder's RNN."""
    z_size: int = 128
    """N_z: size of the latent vector."""
    num_mixtures: int = 20
    """M: bivariate normals in the mixture of each step."""
    conditional: bool = True
    """With encoder and z; without, the decoder alone draws (decoder only, unconditional)."""
    hyper_units: int = 256
    """Units of the small LSTM inside a `hyper` cell."""
    hyper_embedding: int = 32
    """Size of each of its embeddings."""

    def __post_init__(self) -> None:
        cells = ("lstm", "layer_norm", "hyper")
        for name in ("encoder_cell", "decoder_cell"):
            _check(
                getattr(self, name) in cells,
                f"{name} is {getattr(self, name)!r}, not one of {', '.join(cells)}",
            )
        for name in (
            "encoder_size",
            "decoder_size",
            "z_size",
            "num_mixtures",
            "hyper_units",
            "hyper_embedding",
        ):
            value = getattr(self, name)
            _check(isinstance(value, int) and 1 <= value <= 65536, f"{name} is {value!r}; it must be 1 to 65536")


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What a model must know of the drawings it was trained on; stored with it."""

    scale_factor: float
    """Standard deviation of all training offsets, in the drawings' own units: what they are divided by."""
    max_length: int
    """N_max: points of the longest drawing, train, valid and test together."""
    labels: tuple[str, ...] = ()
    """The classes in it."""
    name: str = ""
    """What the data set is called."""
    licence: str = ""
    """Licence of the drawings, where known."""
    size: float = 0.0
    """Median longer side of the training drawings, in their own units; 0 where unknown."""
    start_token: tuple[float, float, float, float, float] = (0.0, 0.0, 1.0, 0.0, 0.0)
    """S_0: the first input of the decoder."""
    from_first_point: bool = False
    """Its drawings began at their first point, wherever on the sheet that was: its first offset is the line to the
    second. A new drawing then begins with the point (0, 0), and the first offset of what it is given to complete or to
    encode counts as 0."""
    first_offset: FirstOffset = "position"
    """What the first row of its drawings is. `position`: where on the sheet the first point lies. `zero`: nothing, the
    first point is (0, 0); the first offset of what is given then counts as 0. `line`: the line to the second point, the
    first having been left out of the rows; then it is left out of what is given too, and a new drawing begins with the
    point (0, 0)."""

    def __post_init__(self) -> None:
        _check(
            1e-12 < self.scale_factor < 1e12,
            f"the scale factor is {self.scale_factor:g}; it must be a positive number, neither tiny nor huge",
        )
        _check(1 <= self.max_length <= 1_000_000, f"max_length is {self.max_length}; it must be 1 to 1,000,000")
        _check(math.isfinite(self.size) and self.size >= 0, f"the size is {self.size:g}; it must not be negative")
        _check(
            isinstance(self.labels, tuple) and all(isinstance(label, str) for label in self.labels),
            f"labels are {self.labels!r}, not names",
        )
        for text in (self.name, self.licence, *self.labels):
            _check(
                isinstance(text, str) and not any("\ud800" <= c <= "\udfff" for c in text),
                f"{text!r} is not text that a file can hold",  # JSON can say half a character
            )
        _check(
            isinstance(self.start_token, tuple)
            and len(self.start_token) == 5
            and all(isinstance(x, int | float) and abs(x) < 1e12 for x in self.start_token),
            f"the start token is {self.start_token!r}, not five numbers",
        )
        kinds = get_args(FirstOffset)
        _check(self.first_offset in kinds, f"first_offset is {self.first_offset!r}, not one of {', '.join(kinds)}")
        _check(
            not self.from_first_point or self.first_offset == "position",
            f"from_first_point and the first_offset {self.first_offset!r} do not go together",
        )

    @property
    def puts_pen_down(self) -> bool:
        """The first point that its model draws is the end of a line: one from (0, 0) stands before it."""
        return self.from_first_point or self.first_offset == "line"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained. The defaults are the reference code's, but for `steps`: it has 10 million of them,
    and is stopped by hand."""

    steps: int = 100_000
    """Steps of the optimiser in all; a resumed run counts those before."""
    batch_size: int = 100
    """Drawings a step."""
    seed: int = 0
    """Of initial weights, batches, augmentation, dropout and z."""
    learning_rate: float = 1e-3
    """Adam's rate at the start: rate(step) = (learning_rate - min) decay^step + min."""
    learning_rate_min: float = 1e-5
    """The rate it falls to."""
    learning_rate_decay: float = 0.9999
    """Factor a step on its way down; 1 keeps the rate constant."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    clip_value: float = 1.0
    """Each gradient is clipped to +-this."""
    kl_weight: float = 0.5
    """w_KL: weight of the KL term in the end."""
    kl_weight_start: float = 0.01
    """Its weight at step 0: weight(step) = kl_weight - (kl_weight - start) R^step."""
    kl_decay: float = 0.99995
    """R of that schedule."""
    kl_min: float = 0.2
    """KL_min: below this the KL term exerts no pull."""
    dropout_keep: float = 0.9
    """Chance to keep a unit in recurrent dropout (on tanh(j)), encoder and decoder; 1 turns it off."""
    augment_scale: float = 0.15
    """dx and dy are each multiplied by their own U(1-s, 1+s)."""
    augment_drop: float = 0.1
    """Chance to merge a point into its neighbour."""
    pen_padding: bool = True
    """Train the pen states over the padding up to N_max too, as the reference does; else to the end of the drawing."""
    density_floor: float = 1e-6
    """Added to the density of each point: log(p + floor). 0 for the exact likelihood."""
    bucket: bool = False
    """Batches of groups of drawings of like length, from all over the lengths; else of random drawings."""
    balance: bool = False
    """Draw every class equally often, however many drawings it has."""
    eval_every: int = 500
    """Steps between validations; each writes the last checkpoint, and the best if it is."""
    eval_drawings: int = 2500
    """Validate on at most so many drawings."""
    patience: int = 0
    """Stop after so many validations without a better one; 0 never stops early."""
    precision: Precision = "float32"
    """Factors of matrix products on a GPU: as they are, rounded to tf32, or to bfloat16; all else stays float32."""
    max_bad_steps: int = 5
    """Non-finite steps in a row before the run goes back to its last good checkpoint with half the learning rate."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_every", "eval_drawings", "max_bad_steps"):
            _check(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "adam_epsilon", "clip_value"):
            value = getattr(self, name)
            _check(math.isfinite(value) and value > 0, f"{name} is {value:g}; it must be positive")
        for name in (
            "kl_weight",
            "kl_weight_start",
            "kl_min",
            "density_floor",
            "learning_rate_min",
            "patience",
        ):
            value = getattr(self, name)
            _check(math.isfinite(value) and value >= 0, f"{name} is {value:g}; it must not be negative")
        for name in ("learning_rate_decay", "kl_decay", "dropout_keep"):
            value = getattr(self, name)
            _check(0 < value <= 1, f"{name} is {value:g}; it must be above 0 and at most 1")
        for name in ("augment_scale", "augment_drop"):
            value = getattr(self, name)
            _check(0 <= value < 1, f"{name} is {value:g}; it must be at least 0 and below 1")
        precisions = ("float32", "tf32", "bfloat16")
        _check(self.precision in precisions, f"precision is {self.precision!r}, not one of {', '.join(precisions)}")
        _check(0 <= self.seed < 2**63, f"seed is {self.seed}; it must be 0 to 2^63 - 1")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How `data prepare` turns files into a dataset."""

    max_points: int = 200
    """Longer drawings are simplified until they have at most so many points."""
    size: float | None = None
    """Move drawings to the corner and scale their longer side to this. Unset: 255 for SVG, InkML and raw files; others
    keep their own units."""
    epsilon: float = 2.0
    """Ramer-Douglas-Peucker tolerance for SVG, InkML and raw files, at size 255; 0 keeps every point."""
    min_points: int = 2
    """Shorter drawings are set aside."""
    limit: int | None = None
    """Take at most so many drawings of each file, or of each folder of files with one drawing each."""
    valid: float = 0.05
    """Share of the drawings kept for validation, where a source has no split of its own."""
    test: float = 0.05
    """Share kept for the test."""
    seed: int = 0
    """Of the split, and of the choice where `limit` leaves files of a folder out."""
    recognized_only: bool = False
    """Leave out Quick, Draw! drawings that were not recognised."""
    workers: int = 0
    """Processes that read; 0 takes one a core."""

    def __post_init__(self) -> None:
        _check(self.max_points >= 2, f"max_points is {self.max_points}; it must be at least 2")
        _check(self.min_points >= 1, f"min_points is {self.min_points}; it must be at least 1")
        _check(self.size is None or (math.isfinite(self.size) and self.size > 0), "size must be positive")
        _check(math.isfinite(self.epsilon) and self.epsilon >= 0, "epsilon must not be negative")
        _check(self.limit is None or self.limit >= 1, "limit must be at least 1")
        _check(
            self.valid >= 0 and self.test >= 0 and self.valid + self.test < 1,
            "valid and test must leave drawings to train on",
        )
        _check(self.workers >= 0, "workers must not be negative")


# What to train and how, by name: (model, train) settings that differ from the defaults.
PRESETS: dict[PresetName, tuple[dict[str, Any], dict[str, Any]]] = {
    "reference": ({}, {}),
    "paper": (
        dict(encoder_size=512, decoder_cell="hyper", decoder_size=2048),
        dict(
            learning_rate=1e-4, learning_rate_min=1e-4, learning_rate_decay=1.0,
            kl_weight=1.0, kl_weight_start=0.01, kl_decay=0.99999, augment_scale=0.1, augment_drop=0.0,
        ),
    ),
    "small-data": (
        dict(encoder_size=128, decoder_size=256, z_size=64, decoder_cell="layer_norm", encoder_cell="layer_norm"),
        dict(
            steps=10_000, batch_size=50, dropout_keep=0.8, augment_scale=0.2, augment_drop=0.15,
            eval_every=200, patience=10,
        ),
    ),
    "fast": (
        dict(encoder_size=128, decoder_size=256, z_size=32, num_mixtures=10),
        dict(
            steps=5_000, learning_rate=3e-3, learning_rate_decay=0.9995, kl_decay=0.999,
            pen_padding=False, eval_every=250,
        ),
    ),
}  # fmt: skip


def preset(name: PresetName) -> tuple[ModelConfig, TrainConfig]:
    """The settings called `name`: those of the `reference` code, of the `paper`, for `small-data`, or `fast` ones."""
    _check(name in PRESETS, f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    model, train = PRESETS[name]
    return ModelConfig(**model), TrainConfig(**train)


def from_dict(config_type: type[Config], values: Mapping[str, Any]) -> Config:
    """A config from the mapping that `dataclasses.asdict` or a JSON file holds.

    Raises:
        ValueError: a key that it does not have, or a value of the wrong type.
    """
    hints = get_type_hints(config_type)
    fields = {f.name for f in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - fields):
        raise ValueError(f"{config_type.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(fields))}")
    given = {}
    for name, value in values.items():
        kind = hints[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            try:
                value = float(value)
            except OverflowError:
                raise ValueError(f"{name} is too large a number") from None
        if isinstance(value, list):
            value = tuple(value)
        if kind in (int, float, bool, str) and type(value) is not kind:
            raise ValueError(f"{name} is {value!r}, not {kind.__name__}")
        given[name] = value
    return config_type(**given)
