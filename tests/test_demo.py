"""The demo on the few characters of three strokes, for a step or two: its road, not its drawings."""

from pathlib import Path

import pytest

import sketchrnn
from sketchrnn.cli import main
from sketchrnn.demo import STEPS_A_MINUTE, demo

TWO_STEPS = 2 / STEPS_A_MINUTE  # minutes


@pytest.fixture
def simple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketchrnn.demo.MAX_STROKES", 3)


@pytest.mark.usefixtures("simple")
def test_the_whole_road_ends_in_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my demo"
    assert main(["demo", "--out", str(out), "--minutes", str(TWO_STEPS), "--device", "cpu"]) == 0
    assert str(out / "index.html") in capsys.readouterr().out
    page = (out / "index.html").read_text()
    titles = (
        "What it learned from",
        "Samples at temperature 0.5",
        "Reconstructions",
        "Interpolation",
        "Endings",
        "Go on",
    )
    for title in titles:
        assert title in page
    assert "Ulrich Apel" in page
    data = sketchrnn.Dataset(out / "characters")
    assert data.labels == ("kanji",)
    assert all(drawing.num_strokes <= 3 for drawing in data.train)
    assert len(sketchrnn.sample(sketchrnn.load(out / "run"), 2)) == 2


@pytest.mark.usefixtures("simple")
def test_once_more_goes_on_and_with_other_settings_does_not(tmp_path: Path) -> None:
    page = demo(tmp_path, minutes=TWO_STEPS, device="cpu", progress=False)
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    page.unlink()
    assert demo(tmp_path, minutes=TWO_STEPS, device="cpu", progress=False) == page
    assert page.exists()
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == metrics
    with pytest.raises(FileExistsError, match="other settings"):
        demo(tmp_path, minutes=TWO_STEPS, seed=1, device="cpu", progress=False)


def test_no_time_at_all_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "d"), "--minutes", "0"]) == 1
    assert "minutes is 0" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.usefixtures("simple")
def test_stopped_it_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt("stopped after step 1")

    monkeypatch.setattr("sketchrnn.demo.train", stopped)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        demo(tmp_path, progress=False)
