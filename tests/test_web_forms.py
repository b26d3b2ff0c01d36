"""The forms of the wire, fuzzed: what is not refused is a drawing that can be drawn."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sketchrnn import Drawing
from sketchrnn.web import forms
from sketchrnn.web.forms import WireDrawing, continued, wire

coordinate = st.floats(-1e6, 1e6, allow_nan=False)
line = st.lists(st.tuples(coordinate, coordinate).map(list), max_size=6)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(["lines", "label", "n", "x"]), parts),
    max_leaves=12,
)
FORMS = (
    forms.SampleForm, forms.CompleteForm, forms.ReconstructForm, forms.InterpolateForm, forms.AnalogyForm,
    forms.EncodeForm, forms.DecodeForm, forms.DensityForm, forms.WriteForm,
)  # fmt: skip


@given(st.lists(line, max_size=5))
@settings(max_examples=100, deadline=None)
def test_lines_become_the_drawing_and_come_back(lines: list[Any]) -> None:
    drawing = WireDrawing(lines=lines).drawing()
    assert len(drawing) == sum(map(len, lines))
    assert np.isfinite(drawing.stroke3).all()
    assert drawing.num_strokes == sum(1 for each in lines if each)
    assert continued(lines, np.zeros((0, 3), np.float32)) == [each for each in lines if each]
    text = json.dumps(wire(continued([], drawing.stroke3), None), allow_nan=False)
    back = WireDrawing(**json.loads(text)).drawing() if all(abs(x) < 1e6 for x in drawing.points().flat) else drawing
    np.testing.assert_allclose(back.points(), drawing.points(), rtol=1e-6, atol=1.0)


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_junk_is_refused_or_understood(form: Any, data: Any) -> None:
    names = list(form.model_fields)
    body = data.draw(st.dictionaries(st.sampled_from(names), junk | st.just({"lines": []}), max_size=len(names)))
    try:
        made = form.model_validate(json.loads(json.dumps(body)))
    except ValidationError:
        return
    for value in vars(made).values():
        if isinstance(value, WireDrawing):
            assert isinstance(value.drawing(), Drawing)


def test_a_drawing_goes_on_where_it_was() -> None:
    rows = np.array([[1, 2, 0], [3, 4, 1], [5, 6, 0]], np.float32)
    assert continued([[[10, 20]], []], rows) == [[[10, 20]], [[11, 22], [14, 26]], [[19, 32]]]
    assert continued([], rows[:1]) == [[[1, 2]]]
    assert continued([], rows[:0]) == []


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert forms.SampleForm(n=3.0).n == 3  # type: ignore[arg-type]
    for n in (3.5, "3", True, 1e300, None):
        with pytest.raises(ValidationError):
            forms.SampleForm(n=n)  # type: ignore[arg-type]
