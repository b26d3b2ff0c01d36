"""What goes over the wire, and its bounds: the requests and answers of the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sketchrnn.drawing import Drawing

MOST_DRAWINGS = 100  # in an answer or a request
MOST_GIVEN_POINTS = 5_000  # of all drawings in a request
MOST_DRAWN_POINTS = 50_000  # that a request may ask for
MOST_LENGTH = 5_000  # points of a drawing
FAR = 1e6  # coordinates


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Coordinate = Annotated[Number, Field(ge=-FAR, le=FAR)]
Point = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Count = Annotated[int, Field(strict=True, ge=1, le=MOST_DRAWINGS, description="How many drawings."), WHOLE]
Temperature = Annotated[
    float,
    Field(
        strict=True,
        allow_inf_nan=False,
        ge=0,
        le=10,
        description="From 0, the most likely point at each step, to 1, as varied as the model believes.",
    ),
]
Seed = Annotated[
    int,
    Field(strict=True, ge=0, le=2**53 - 1, description="The same seed makes the same drawings, whatever n is."),
    WHOLE,
]
Length = Annotated[
    int,
    Field(
        strict=True, ge=1, le=MOST_LENGTH, description="End a drawing after so many points; the model's own if null."
    ),
    WHOLE,
]
Name = Annotated[str | None, Field(max_length=200, description="A model of `/models`; the first if null.")]
Latent = Annotated[list[Annotated[Number, Field(ge=-1e4, le=1e4)]], Field(min_length=1, max_length=65536)]


class Form(BaseModel):
    """A request; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class WireDrawing(Form):
    """A drawing: a list of pen strokes, each a list of absolute positions [x, y] in the model's units, y downwards."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"lines": [[[0, 0], [40, 60], [80, 0]], [[30, 20], [50, 20]]]}]}
    )
    lines: Annotated[
        list[Annotated[list[Point], Field(max_length=MOST_GIVEN_POINTS)]], Field(max_length=MOST_GIVEN_POINTS)
    ]
    label: Annotated[str, Field(max_length=200)] | None = None

    def drawing(self) -> Drawing:
        return Drawing.from_lines(self.lines, label=self.label)


def _bounded(given: Any) -> Any:
    drawings = given if isinstance(given, list) else [given]
    points = sum(max(1, len(line)) for drawing in drawings for line in drawing.lines)
    if points > MOST_GIVEN_POINTS:
        raise ValueError(f"there are {points:,} points; a request may have {MOST_GIVEN_POINTS:,}")
    return given


Given = Annotated[WireDrawing, AfterValidator(_bounded)]
SeveralGiven = Annotated[list[WireDrawing], Field(min_length=1, max_length=MOST_DRAWINGS), AfterValidator(_bounded)]
CAT: dict[str, Any] = {"lines": [[[20, 50], [30, 20], [45, 40], [55, 40], [70, 20], [80, 50]]]}
OTHER: dict[str, Any] = {"lines": [[[40, 60], [60, 60], [50, 70], [40, 60]]]}


class SampleForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"n": 4, "temperature": 0.4, "seed": 0}]})
    model: Name = None
    n: Count = 1
    temperature: Temperature = 0.4
    seed: Seed = 0
    max_length: Length | None = None


class CompleteForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"drawing": CAT, "n": 2, "temperature": 0.8}]})
    model: Name = None
    drawing: Given
    n: Count = 1
    temperature: Temperature = 0.8
    seed: Seed = 0
    z: Annotated[
        Latent | Annotated[list[Latent], Field(min_length=1, max_length=MOST_DRAWINGS)] | None,
        Field(description="What the whole is to become: one z, or one for each of the n; else from N(0, I)."),
    ] = None
    max_length: Length | None = None


class ReconstructForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"drawing": CAT, "temperatures": [0.01, 0.5, 1.0]}]})
    model: Name = None
    drawing: Given
    temperatures: Annotated[list[Temperature], Field(min_length=1, max_length=MOST_DRAWINGS)] = [0.2]
    n: Count = 1
    seed: Seed = 0


class InterpolateForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"a": CAT, "b": OTHER, "steps": 5}]})
    model: Name = None
    a: Given
    b: Given
    steps: Annotated[
        int, Field(strict=True, ge=2, le=MOST_DRAWINGS, description="Drawings, both ends included."), WHOLE
    ] = 10
    method: Literal["spherical", "linear"] = "spherical"
    temperature: Temperature = 0.2
    seed: Seed = 0


class AnalogyForm(Form):
    """A + (B - C)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"a": CAT, "b": OTHER, "c": CAT, "n": 2}]})
    model: Name = None
    a: Given
    b: Given
    c: Given
    n: Count = 1
    temperature: Temperature = 0.2
    seed: Seed = 0


class EncodeForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"drawings": [CAT, OTHER]}]})
    model: Name = None
    drawings: SeveralGiven


class DecodeForm(Form):
    model: Name = None
    z: Annotated[
        list[Latent], Field(min_length=1, max_length=MOST_DRAWINGS, description="As many numbers each as `z_size`.")
    ]
    n: Annotated[Count, Field(description="Drawings of each z.")] = 1
    temperature: Temperature = 0.2
    seed: Seed = 0


class DensityForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"drawing": CAT, "last": True}]})
    model: Name = None
    drawing: Given
    z: Latent | None = None
    last: Annotated[bool, Field(strict=True, description="Only what comes next: one row.")] = False


class WriteForm(Form):
    model_config = ConfigDict(json_schema_extra={"examples": [{"drawings": [CAT, OTHER]}]})
    drawings: Annotated[list[WireDrawing], Field(min_length=1, max_length=25), AfterValidator(_bounded)]
    columns: Annotated[int, Field(strict=True, ge=1, le=25), WHOLE] | None = None
    cell: Annotated[
        float, Field(strict=True, allow_inf_nan=False, ge=16, le=512, description="Side of a drawing's cell in pixels.")
    ] = 256


class Problem(BaseModel):
    """What went wrong, in one sentence."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"detail": "n is 0; it must be at least 1"}]})
    detail: str


class ModelAnswer(BaseModel):
    name: str
    conditional: bool
    encoder_cell: str | None
    decoder_cell: str
    z_size: int | None
    num_mixtures: int
    decoder_size: int
    max_length: int
    scale_factor: float
    size: Annotated[float, Field(description="Median longer side of its drawings in their units; 0 where unknown.")]
    labels: list[str]
    data: Annotated[str, Field(description="What its data set is called.")]
    licence: str
    parameters: int


class ModelsAnswer(BaseModel):
    models: list[ModelAnswer]


class AnswerDrawing(BaseModel):
    """As a drawing in a request; an unfinished last stroke counts as one."""

    lines: list[list[Annotated[list[float], Field(min_length=2, max_length=2)]]]
    label: str | None = None


class DrawingsAnswer(BaseModel):
    drawings: list[AnswerDrawing]
    model: str
    seed: int


class FileAnswer(BaseModel):
    drawings: list[AnswerDrawing]
    left_out: Annotated[int, Field(description="Drawings of the file that are not in the answer.")]


class EncodedAnswer(BaseModel):
    mu: list[list[float]]
    sigma: list[list[float]]


class DensityAnswer(BaseModel):
    pi: list[list[float]]
    mu_x: list[list[float]]
    mu_y: list[list[float]]
    sigma_x: list[list[float]]
    sigma_y: list[list[float]]
    rho: list[list[float]]
    q: list[list[float]]


class MapPoint(BaseModel):
    x: float
    y: float
    z: list[float]
    drawing: AnswerDrawing


class MapAnswer(BaseModel):
    method: str
    explained: list[float]
    source: str
    points: list[MapPoint]


Line = list[list[float]]


def wire(lines: Sequence[Any], label: str | None) -> dict[str, Any]:
    """A drawing as JSON."""
    return {"lines": lines} | ({} if label is None else {"label": label})


def continued(given: Sequence[Line], rows: NDArray[np.float32]) -> list[Line]:
    """The lines of a drawing that begins with `given`, to the last digit as they were, and goes on with stroke-3 rows.

    Positions are added up one after the other in double precision, as whoever reads the stream of points does.
    """
    lines = [line for line in given if line]
    at = lines[-1][-1] if lines else [0.0, 0.0]
    points = np.cumsum(np.vstack([at, rows[:, :2].astype(np.float64)]), axis=0)[1:].tolist()
    new: Line = []
    for point, lifts in zip(points, rows[:, 2].tolist(), strict=True):
        new.append(point)
        if lifts:
            lines.append(new)
            new = []
    return [*lines, new] if new else lines
