"""The demo on the real drawings, with hardly any training."""

import re

import pytest

import sketchrnn
from sketchrnn import demo
from sketchrnn.run_folder import RunFolder


def test_demo_walks_the_whole_road(tmp_path):
    page = demo.demo(tmp_path / "out", minutes=0.005, progress=False)
    text = page.read_text()
    for title in ("What it learned from", "Samples at temperature", "Reconstructions", "Interpolation", "Endings"):
        assert title in text
    assert len(re.findall("<svg", text)) > 5
    data = sketchrnn.Dataset(tmp_path / "out" / "characters")
    assert len(data.train) > 1000
    assert {d.label for d in data.test} == {"kanji"}
    model = sketchrnn.load(tmp_path / "out" / "run")
    assert model.config == demo.MODEL
    steps = [row["step"] for row in RunFolder(tmp_path / "out" / "run").metrics()]
    # once more: what is finished is not trained again, and other settings are refused
    demo.demo(tmp_path / "out", minutes=0.005, progress=False)
    assert [row["step"] for row in RunFolder(tmp_path / "out" / "run").metrics()] == steps
    with pytest.raises(FileExistsError, match="other settings"):
        demo.demo(tmp_path / "out", minutes=0.01, progress=False)


def test_wrong_use_is_told(tmp_path):
    for minutes in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="minutes"):
            demo.demo(tmp_path / "out", minutes=minutes)
    assert not (tmp_path / "out").exists()
