"""INPUT texts: a file, FILE#7, DATASET:test, DATASET:test#7, and names that look like these but are paths."""

from pathlib import Path

import pytest

from sketchrnn import formats
from sketchrnn.config import DataConfig
from sketchrnn.data.dataset import Dataset
from sketchrnn.data.inputs import open_input
from sketchrnn.data.prepare import prepare
from sketchrnn.drawing import Drawing
from sketchrnn.formats import npz

DRAWINGS = [Drawing([[i, 0, 0], [3, 4 + i, 1]]) for i in range(10)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    formats.write(DRAWINGS, tmp_path / "for a dataset.ndjson")
    return prepare([tmp_path / "for a dataset.ndjson"], tmp_path / "a set", config=DataConfig(test=0.5))


@pytest.mark.parametrize("name", ["a.ndjson", "a b.npz", "a.bin", "a#7.ndjson", "a:test.ndjson", "a:test#7.svg"])
def test_a_file_is_all_its_drawings_in_their_own_units(tmp_path: Path, name: str) -> None:
    formats.write(DRAWINGS, tmp_path / name)
    assert open_input(str(tmp_path / name)) == DRAWINGS
    assert open_input(f"{tmp_path / name}#7") == DRAWINGS[7:8]
    assert open_input(f"{tmp_path / name}#0") == DRAWINGS[:1]


def test_a_path_that_ends_like_a_number_is_a_path(tmp_path: Path) -> None:
    formats.write(DRAWINGS[:4], tmp_path / "a.ndjson")
    (tmp_path / "a.ndjson").rename(tmp_path / "a.ndjson#2")
    assert open_input(str(tmp_path / "a.ndjson#2")) == DRAWINGS[:4]
    assert open_input(str(tmp_path / "a.ndjson#2#2")) == DRAWINGS[2:3]


def test_the_drawings_of_an_npz_are_counted_train_valid_test(tmp_path: Path) -> None:
    npz.write_splits({"test": DRAWINGS[8:], "train": DRAWINGS[:6], "valid": DRAWINGS[6:8]}, tmp_path / "a.npz")
    assert [open_input(f"{tmp_path / 'a.npz'}#{i}") for i in range(10)] == [[drawing] for drawing in DRAWINGS]


def test_a_dataset_split(dataset: Dataset) -> None:
    assert len(dataset.test) > 1
    assert open_input(f"{dataset.folder}:test") == list(dataset.test)
    assert open_input(f"{dataset.folder}:train#0") == [dataset.train[0]]
    assert open_input(f"{dataset.folder}/:test#1") == [dataset.test[1]]


def test_a_number_that_is_not_there(tmp_path: Path, dataset: Dataset) -> None:
    formats.write(DRAWINGS, tmp_path / "a.ndjson")
    with pytest.raises(ValueError, match=r"#10: there is no #10, .*a.ndjson holds 10 drawings and the first is #0"):
        open_input(f"{tmp_path / 'a.ndjson'}#10")
    with pytest.raises(ValueError, match=f"there is no #99, .*a set:test holds {len(dataset.test)} drawings"):
        open_input(f"{dataset.folder}:test#99")


def test_a_number_is_found_before_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"drawing":[[[0,9],[0,9]]]}\nnot json\n')
    assert len(open_input(f"{tmp_path / 'a.ndjson'}#0")) == 1
    with pytest.raises(ValueError, match=r"a.ndjson:2: "):
        open_input(f"{tmp_path / 'a.ndjson'}#1")
    with pytest.raises(ValueError, match=r"a.ndjson:2: "):
        open_input(str(tmp_path / "a.ndjson"))


def test_what_is_not_there(tmp_path: Path, dataset: Dataset) -> None:
    for name in ("none.svg", "none.svg#3", "none.svg#x", "none:valid2"):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*none"):
            open_input(str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match=r"there is no dataset at .*none"):
        open_input(f"{tmp_path}/none:test#3")


def test_a_folder_needs_a_split(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"a set is a folder: name a file, or .*a set:test#7"):
        open_input(str(dataset.folder))
    with pytest.raises(ValueError, match="a set is a folder"):
        open_input(f"{dataset.folder}#3")


def test_an_empty_split_holds_nothing(tmp_path: Path) -> None:
    formats.write(DRAWINGS, tmp_path / "a.ndjson")
    dataset = prepare([tmp_path / "a.ndjson"], tmp_path / "all", config=DataConfig(test=0, valid=0))
    with pytest.raises(ValueError, match="all:test holds no drawing"):
        open_input(f"{dataset.folder}:test")
