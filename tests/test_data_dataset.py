"""A dataset folder: what is written is read back, lazily, and what is wrong with one is said in a sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sketchrnn.config import DataInfo
from sketchrnn.data.dataset import VERSION, Dataset, Split, is_dataset, write_split, write_summary
from sketchrnn.drawing import Drawing

ROWS = [
    np.array([[1, 2, 0], [3, -4, 1]]),
    np.array([[0, 0, 0], [5, 5, 0], [-7, 1, 1]]),
    np.array([[300, 9, 1]]),
]
SUMMARY = {
    "name": "shapes",
    "drawings": {"train": 3, "valid": 3, "test": 0},
    "max_length": 3,
    "mean_length": 2.0,
    "scale_factor": 2.5,
    "size": 9.0,
    "labels": ["line", "zigzag"],
    "counts": {"line": 4, "zigzag": 1},
    "dropped": {"too short": 2},
    "licence": "CC0",
    "sources": [],
}


def write(path: Path, rows: list[np.ndarray], dtype: type = np.int16) -> None:
    values = np.concatenate([np.zeros((0, 3)), *rows]).astype(dtype)
    offsets = np.cumsum([0, *(len(r) for r in rows)], dtype=np.int64)
    keys = pa.array([None, "a key", "ключ"][: len(rows)], pa.large_string())
    write_split(path, values, offsets, np.array([0, 1, -1][: len(rows)], np.int32), ["line", "zigzag"], keys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a set"
    made.mkdir()
    write(made / "train.arrow", ROWS)
    write(made / "valid.arrow", ROWS, np.float32)
    write(made / "test.arrow", [])
    write_summary(made, SUMMARY)
    return made


def test_a_split_is_a_sequence_of_drawings(folder: Path) -> None:
    train = Dataset(folder).train
    assert len(train) == 3
    assert list(train) == [Drawing(rows) for rows in ROWS]
    assert [d.label for d in train] == ["line", "zigzag", None]
    assert [d.key for d in train] == [None, "a key", "ключ"]
    assert train[-1] == train[2] == train[np.int64(2)]
    assert train[1:] == [train[1], train[2]]
    assert train[::-2] == [train[2], train[0]]
    assert train[5:] == []
    assert Drawing(ROWS[1]) in train


@pytest.mark.parametrize("i", [3, -4])
def test_an_index_out_of_range_says_how_many_there_are(folder: Path, i: int) -> None:
    with pytest.raises(IndexError, match=f"train has 3 drawings; there is no #{i}"):
        Dataset(folder).train[i]


def test_the_arrays_are_views_of_the_file(folder: Path) -> None:
    train, valid = Dataset(folder).train, Dataset(folder).valid
    assert train.values.dtype == np.int16
    assert valid.values.dtype == np.float32
    assert train.offsets.tolist() == [0, 2, 5, 6]
    assert train.lengths.tolist() == [2, 3, 1]
    assert train.label_ids.tolist() == [0, 1, -1]
    assert np.shares_memory(train.stroke3(1), train.values)
    with pytest.raises(ValueError, match="read-only"):
        train.values[0, 0] = 1


def test_an_empty_split_is_empty(folder: Path) -> None:
    test = Dataset(folder).test
    assert len(test) == 0
    assert list(test) == []


def test_what_it_says_of_itself(folder: Path) -> None:
    dataset = Dataset(folder)
    assert dataset.info == DataInfo(
        scale_factor=2.5, max_length=3, labels=("line", "zigzag"), name="shapes", licence="CC0", size=9.0
    )
    assert dataset.labels == ("line", "zigzag")
    assert dataset.summary() == SUMMARY
    dataset.summary()["drawings"]["train"] = 0
    assert dataset.summary()["drawings"]["train"] == 3
    assert dataset.split("valid") is dataset.valid
    assert "3 train, 3 valid, 0 test" in repr(dataset)
    with pytest.raises(ValueError, match="no split 'tests'; it has train, valid, test"):
        dataset.split("tests")


def test_any_arrow_reader_opens_it(folder: Path) -> None:
    table = pa.ipc.open_file(folder / "train.arrow").read_all()
    assert table.column("strokes").to_pylist()[0] == [[1, 2, 0], [3, -4, 1]]
    assert table.column("label").to_pylist() == ["line", "zigzag", None]


def test_it_may_be_moved(folder: Path, tmp_path: Path) -> None:
    dataset = Dataset(folder)
    folder.rename(tmp_path / "moved")
    assert dataset.train[0] == Dataset(tmp_path / "moved").train[0]  # the open one lives on


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no dataset at .*data prepare"):
        Dataset(tmp_path / "nothing")
    assert not is_dataset(tmp_path / "nothing")


def test_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not a dataset, it has no dataset.json"):
        Dataset(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": "another"}')
    with pytest.raises(ValueError, match="does not describe a sketchrnn dataset"):
        Dataset(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(ValueError, match=r"dataset.json is damaged"):
        Dataset(tmp_path)
    assert not is_dataset(tmp_path)


def test_a_newer_version_is_named(folder: Path) -> None:
    text = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(text.replace(f'"version": {VERSION}', f'"version": {VERSION + 1}'))
    with pytest.raises(ValueError, match=f"version {VERSION + 1}, this sketchrnn reads up to {VERSION}: upgrade"):
        Dataset(folder)
    assert is_dataset(folder)  # and so may be replaced


def test_a_summary_that_lacks_something(folder: Path) -> None:
    write_summary(folder, {name: value for name, value in SUMMARY.items() if name != "scale_factor"})
    with pytest.raises(ValueError, match=r"dataset.json lacks scale_factor"):
        Dataset(folder)
    for counts in ({}, [], {"train": 3}):
        write_summary(folder, SUMMARY | {"drawings": counts})
        with pytest.raises(ValueError, match=r'"drawings" in .*dataset.json does not count train, valid, test'):
            Dataset(folder)


def test_a_missing_split_is_named(folder: Path) -> None:
    (folder / "valid.arrow").unlink()
    with pytest.raises(FileNotFoundError, match=r"valid.arrow is missing"):
        Dataset(folder)


@pytest.mark.parametrize("left", [0, 1, 100, -200, -1])
def test_a_split_that_is_cut_off_is_named(folder: Path, left: int) -> None:
    path = folder / "train.arrow"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"train.arrow is cut off or damaged \(.*\): prepare the dataset again"):
        Dataset(folder)


def test_a_split_of_other_columns_is_named(folder: Path) -> None:
    table = pa.table({"x": [1]})
    with pa.ipc.new_file(folder / "train.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r"train.arrow is cut off or damaged"):
        Split(folder / "train.arrow")


def test_a_split_of_another_dataset_is_noticed(folder: Path) -> None:
    shutil.copy(folder / "test.arrow", folder / "train.arrow")
    with pytest.raises(ValueError, match=r"train.arrow holds 0 drawings, dataset.json says 3"):
        Dataset(folder)


def test_the_summary_is_plain_json(folder: Path) -> None:
    written = json.loads((folder / "dataset.json").read_text("utf-8"))
    assert written["format"] == "sketchrnn dataset"
    assert {name: written[name] for name in SUMMARY} == SUMMARY


def test_a_dataset_from_before_first_rows_were_told(folder: Path) -> None:
    assert Dataset(folder).info.first_offset == "position"
    assert Dataset(folder).train[0] == Drawing(ROWS[0])


def test_first_points_that_the_rows_leave_out(folder: Path) -> None:
    write_summary(folder, {**SUMMARY, "first_offset": "line"})
    train = Dataset(folder).train
    assert train[0].stroke3.tolist() == [[0, 0, 0], *ROWS[0].tolist()]
    np.testing.assert_array_equal(train.stroke3(0), ROWS[0])
    write_summary(folder, {**SUMMARY, "first_offset": "nowhere"})
    with pytest.raises(
        ValueError, match=r"\"first_offset\" in .*dataset.json is 'nowhere', not position, zero or line"
    ):
        _ = Dataset(folder).info
