"""From files of any kind to a dataset: what is kept, how it is split, what is set aside, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchrnn import formats
from sketchrnn.config import DataConfig
from sketchrnn.data import prepare as prepare_module
from sketchrnn.data.dataset import SPLITS, Dataset
from sketchrnn.data.prepare import Item, prepare, read_task
from sketchrnn.drawing import Drawing

DATA = Path(os.environ.get("SKETCHRNN_DATA", "nowhere"))
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="SKETCHRNN_DATA names no folder of real drawings")


def scribble(seed: int, points: int = 12, scale: float = 20, label: str | None = None) -> Drawing:
    rng = np.random.default_rng(seed)
    rows = np.rint(rng.normal(0, scale, (points, 3))) + 0.0  # no -0.0
    rows[:, 2] = rng.random(points) < 0.2
    rows[-1, 2] = 1
    return Drawing(rows, label)


def ndjson(path: Path, count: int, label: str | None = "scribble", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    formats.write([scribble(seed * 10_000 + i, label=label) for i in range(count)], path)
    return path


def all_drawings(dataset: Dataset) -> list[Drawing]:
    return [drawing for name in SPLITS for drawing in dataset.split(name)]


def dropped(dataset: Dataset) -> list[dict[str, str]]:
    return [json.loads(line) for line in (dataset.folder / "dropped.jsonl").read_text("utf-8").splitlines()]


def nothing_left_over(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if path.name.startswith(".")]


# -- splits and figures


def test_a_file_without_splits_is_split_by_chance(tmp_path: Path) -> None:
    source = ndjson(tmp_path / "a.ndjson", 1000)
    dataset = prepare([source], tmp_path / "out", config=DataConfig(valid=0.1, test=0.2))
    assert set(all_drawings(dataset)) == set(formats.read(source))
    counts = dataset.summary()["drawings"]
    assert sum(counts.values()) == 1000
    assert 70 < counts["valid"] < 130
    assert 160 < counts["test"] < 240


def test_the_split_of_a_drawing_depends_on_nothing_but_seed_file_and_place(tmp_path: Path) -> None:
    a = ndjson(tmp_path / "here" / "a.ndjson", 200)
    b = ndjson(tmp_path / "here" / "b.ndjson", 200, seed=1)
    c = ndjson(tmp_path / "elsewhere" / "a.ndjson", 200)
    alone = set(prepare([a], tmp_path / "1").test)
    assert set(prepare([b, c], tmp_path / "2").test) > alone
    assert set(prepare([a], tmp_path / "3", config=DataConfig(seed=1)).test) != alone


def test_preparing_again_gives_the_same_files(tmp_path: Path) -> None:
    sources = [ndjson(tmp_path / f"{name}.ndjson", 30, name, seed) for seed, name in enumerate("cab")]
    one = prepare(sources, tmp_path / "one" / "set", config=DataConfig(workers=1))
    two = prepare(sources, tmp_path / "two" / "set", config=DataConfig(workers=2))
    for path in one.folder.glob("*.arrow"):
        assert path.read_bytes() == (two.folder / path.name).read_bytes()
    assert one.labels == ("a", "b", "c")
    assert one.summary()["counts"] == {"a": 30, "b": 30, "c": 30}
    assert {**one.summary(), "settings": 0} == {**two.summary(), "settings": 0}


def test_an_npz_keeps_its_splits(tmp_path: Path) -> None:
    splits = {
        name: [scribble(i * 100 + j) for j in range(n)]
        for i, (name, n) in enumerate(zip(SPLITS, (9, 5, 2), strict=True))
    }
    formats.npz.write_splits(splits, tmp_path / "cat.full.npz")
    dataset = prepare([tmp_path / "cat.full.npz"], tmp_path / "out")
    for name in SPLITS:
        assert list(dataset.split(name)) == splits[name]
    assert dataset.labels == ("cat",)


def test_the_split_that_an_npz_lacks_is_taken_from_its_training_drawings(tmp_path: Path) -> None:
    splits = {"train": [scribble(i) for i in range(300)], "test": [scribble(1000 + i) for i in range(7)]}
    formats.npz.write_splits(splits, tmp_path / "cat.npz")
    dataset = prepare([tmp_path / "cat.npz"], tmp_path / "out")
    assert list(dataset.test) == splits["test"]
    assert 0 < len(dataset.valid) < 40
    assert set(dataset.train) | set(dataset.valid) == set(splits["train"])


def test_an_npz_without_training_drawings_is_split_by_chance(tmp_path: Path) -> None:
    formats.npz.write_splits({"test": [scribble(i) for i in range(100)]}, tmp_path / "cat.npz")
    dataset = prepare([tmp_path / "cat.npz"], tmp_path / "out")
    assert len(dataset.train) > 70


def test_what_the_first_rows_are(tmp_path: Path) -> None:
    """Where on the sheet a drawing begins; nothing; or a line from a point that is left out, and that its drawings
    have again."""
    rng = np.random.default_rng(0)
    walks = [Drawing(np.column_stack([rng.normal(0, 4, (150, 2)).round(), np.zeros(150)])) for _ in range(50)]
    fitted = [walk.fitted(200) for walk in walks]
    centred = [Drawing.from_lines([line - line.mean(axis=0) for line in walk.lines()]) for walk in fitted]
    begun = [Drawing(np.concatenate([rng.uniform(0, 0.5, (1, 3)) * [1, 1, 0], walk.stroke3])) for walk in walks]
    for kind, drawings in {"position": fitted, "position ": centred, "line": walks, "zero": begun}.items():
        file = tmp_path / f"{kind}.npz"
        formats.write(drawings, file)
        made = prepare([file], tmp_path / kind, config=DataConfig(valid=0, test=0))
        assert made.info.first_offset == kind.strip() == made.summary()["first_offset"]
        first = [[[0, 0, 0]]] if kind == "line" else []
        for i, drawing in enumerate(drawings):
            np.testing.assert_array_equal(made.train.stroke3(i), drawing.stroke3)
            np.testing.assert_array_equal(made.train[i].stroke3, np.concatenate([*first, drawing.stroke3]))
    again = prepare([tmp_path / "line"], tmp_path / "again", config=DataConfig(valid=0, test=0))
    np.testing.assert_array_equal(again.train.values, Dataset(tmp_path / "line").train.values)
    assert again.info.first_offset == "line"


def test_a_dataset_is_a_source_too(tmp_path: Path) -> None:
    first = prepare([ndjson(tmp_path / "a.ndjson", 50, "a")], tmp_path / "first")
    second = prepare([first.folder, ndjson(tmp_path / "b.ndjson", 20, "b")], tmp_path / "second")
    assert second.labels == ("a", "b")
    assert second.summary()["counts"] == {"a": 50, "b": 20}
    assert list(second.test)[: len(first.test)] == list(first.test)
    again = prepare([first.folder], tmp_path / "first", config=DataConfig(limit=10))  # onto itself
    assert sum(again.summary()["drawings"].values()) == 10


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0, 0)), (2, None), (3, (1, 1, 1)), (4, None), (10, None)])
def test_few_drawings_fill_every_split(tmp_path: Path, count: int, expected: tuple[int, ...] | None) -> None:
    for seed in range(5):
        source = ndjson(tmp_path / "a.ndjson", count)
        dataset = prepare([source], tmp_path / "out", config=DataConfig(seed=seed))
        counts = tuple(len(dataset.split(name)) for name in SPLITS)
        assert sum(counts) == count
        assert counts[0] > 0
        assert count < 3 or min(counts) > 0
        assert expected in (None, counts)


def test_a_split_that_nobody_wants_stays_empty(tmp_path: Path) -> None:
    dataset = prepare([ndjson(tmp_path / "a.ndjson", 50)], tmp_path / "out", config=DataConfig(valid=0, test=0))
    assert dataset.summary()["drawings"] == {"train": 50, "valid": 0, "test": 0}


def test_the_figures(tmp_path: Path) -> None:
    splits = {
        "train": [Drawing([[0, 0, 0], [10, 0, 0], [0, 20, 1]]), Drawing([[5, 5, 0], [-5000, 0, 1]])],
        "valid": [Drawing([[1, 1, 0]] * 4)],
        "test": [Drawing([[1, 2, 0]] * 2)],
    }
    formats.npz.write_splits(splits, tmp_path / "a.npz")
    summary = prepare([tmp_path / "a.npz"], tmp_path / "out").summary()
    offsets = np.array([0, 0, 10, 0, 0, 20, 5, 5, -1000, 0])
    assert summary["scale_factor"] == pytest.approx(np.std(offsets), rel=1e-9)
    assert summary["max_length"] == 4
    assert summary["mean_length"] == 11 / 4
    assert summary["size"] == (20 + 1000) / 2
    assert summary["clamped"] == 1
    assert summary["name"] == "out"
    assert summary["settings"]["max_points"] == 200


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-300, 300), st.integers(-300, 300), st.integers(0, 1)), min_size=2, max_size=9),
        min_size=2,
        max_size=30,
    )
)
def test_every_usable_drawing_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[Sequence[int]]]
) -> None:
    rows[0] = [(1, 2, 0), (3, 4, 1)]  # so that they are not all alike
    rows[1] = [(2, 2, 0), (3, 4, 1)]
    folder = tmp_path_factory.mktemp("any")
    drawings = [Drawing(r) for r in rows]
    formats.npz.write_splits({"train": drawings[:1], "valid": drawings[1:2], "test": drawings[2:]}, folder / "a.npz")
    dataset = prepare([folder / "a.npz"], folder / "out", config=DataConfig(max_points=10_000))
    assert sorted(d.stroke3.tolist() for d in all_drawings(dataset)) == sorted(d.stroke3.tolist() for d in drawings)
    assert dataset.train.values.dtype == np.int16


def test_offsets_that_are_no_whole_numbers_are_kept_as_they_are(tmp_path: Path) -> None:
    drawings = [scribble(i).scaled(1 / 3) for i in range(20)]
    formats.write(drawings, tmp_path / "a.npz")
    dataset = prepare([tmp_path / "a.npz"], tmp_path / "out")
    assert dataset.train.values.dtype == np.float32
    assert set(all_drawings(dataset)) == set(drawings)


# -- sources


def test_a_folder_gives_its_sub_folders_as_labels(tmp_path: Path) -> None:
    folder = tmp_path / "my drawings"
    for label in ("owl", "cat"):
        (folder / label / "deep").mkdir(parents=True)
        for i in range(4):
            formats.write([scribble(i)], folder / label / "deep" / f"{i}.svg")
    formats.write([scribble(7)], folder / "one.svg")
    ndjson(folder / "pigs.ndjson", 3, label=None)
    ndjson(folder / "dogs.ndjson", 3, label="poodle")
    formats.write([scribble(9)], folder / ".hidden.svg")
    (folder / "README.txt").write_text("not a drawing")
    dataset = prepare([folder], tmp_path / "out")
    assert dataset.summary()["counts"] == {"cat": 4, "owl": 4, "my drawings": 1, "pigs": 3, "poodle": 3}
    assert "cat/deep/0.svg" in {drawing.key for drawing in all_drawings(dataset)}


def test_a_file_named_by_itself_gives_its_name_as_label(tmp_path: Path) -> None:
    formats.write([scribble(0), scribble(1)], tmp_path / "stool.v2.ndjson")
    assert prepare([tmp_path / "stool.v2.ndjson"], tmp_path / "out").labels == ("stool",)


def test_limit_counts_for_each_file_and_folder(tmp_path: Path) -> None:
    ndjson(tmp_path / "in" / "a.ndjson", 30, "a")
    formats.npz.write_splits(
        {"train": [scribble(i) for i in range(80)], "valid": [scribble(i) for i in range(10)], "test": []},
        tmp_path / "in" / "b.npz",
    )
    for i in range(20):
        (tmp_path / "in" / "c").mkdir(exist_ok=True)
        formats.write([scribble(i)], tmp_path / "in" / "c" / f"{i}.svg")
    dataset = prepare([tmp_path / "in"], tmp_path / "out", config=DataConfig(limit=9, test=0))
    assert dataset.summary()["counts"] == {"a": 9, "b": 9, "c": 9}


def test_quickdraw_classes_are_taken_from_where_downloads_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "cache" / "sketchrnn" / "quickdraw"
    kept.mkdir(parents=True)
    formats.write([scribble(i) for i in range(9)], kept / "cat.npz")
    formats.write([scribble(i) for i in range(9)], kept / "hot dog.npz")
    (tmp_path / "cat").mkdir()
    ndjson(tmp_path / "cat" / "tabby.ndjson", 4, None)
    dataset = prepare(["quickdraw:cat", "hot dog", "cat"], tmp_path / "out")
    assert dataset.summary()["counts"] == {"cat": 9, "hot dog": 9, "tabby": 4}
    assert dataset.info.licence.startswith("CC BY 4.0 (Quick, Draw!")
    assert dataset.info.licence.endswith("unknown for the others")


def test_kanjivg(tmp_path: Path) -> None:
    pytest.importorskip("kanji", reason="the extra `demo` is not installed")
    dataset = prepare(["kanjivg"], tmp_path / "out", config=DataConfig(limit=40, workers=1), progress=True)
    assert sum(dataset.summary()["drawings"].values()) == 40
    assert dataset.labels == ("kanji",)
    assert "CC BY-SA 3.0" in dataset.info.licence
    assert dataset.train.values.dtype == np.int16
    assert all(ord(drawing.key or "") >= 0x3400 for drawing in all_drawings(dataset))
    assert all(abs(drawing.size - 255) <= 4 for drawing in all_drawings(dataset))
    assert 20 < dataset.summary()["mean_length"] < 120


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no no such file.npz: a source is a file, a folder, kanjivg"):
        prepare(["no such file.npz"], tmp_path / "out")
    with pytest.raises(ValueError, match="no class 'kat'"):
        prepare(["quickdraw:kat"], tmp_path / "out")
    with pytest.raises(ValueError, match="no source of drawings is given"):
        prepare([], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# -- simplification


def test_a_scribble_too_long_to_resample_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0{"H9H0" * 5000}"/></svg>')
    source = ndjson(tmp_path / "b.ndjson", 20)
    dataset = prepare([tmp_path / "a.svg", source], tmp_path / "out")
    [row] = dropped(dataset)
    assert row["kind"] == "too long"
    assert row["reason"] == "its strokes are 2,550,000 units long at size 255, more than 250,000"


def test_epsilon_0_keeps_every_point(tmp_path: Path) -> None:
    line = np.column_stack([np.arange(50), np.zeros(50)])
    formats.write([Drawing.from_lines([line]), scribble(1)], tmp_path / "a.svg")
    dataset = prepare([tmp_path / "a.svg"], tmp_path / "out", config=DataConfig(epsilon=0))
    assert max(len(drawing) for drawing in all_drawings(dataset)) == 50


def test_size_fits_drawings_that_have_units_of_their_own(tmp_path: Path) -> None:
    source = ndjson(tmp_path / "a.ndjson", 30)
    dataset = prepare([source], tmp_path / "out", config=DataConfig(size=100))
    for drawing in all_drawings(dataset):
        assert drawing.bounds()[:2] == pytest.approx((0, 0), abs=1e-3)
        assert drawing.size == pytest.approx(100, rel=1e-4)


def test_long_drawings_are_simplified_until_they_fit(tmp_path: Path) -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(0, 3, (10_000, 2)), axis=0)
    formats.write([Drawing.from_lines([walk]), *(scribble(i) for i in range(5))], tmp_path / "a.ndjson")
    dataset = prepare([tmp_path / "a.ndjson"], tmp_path / "out", config=DataConfig(max_points=60))
    assert 30 < dataset.info.max_length <= 60
    assert dataset.summary()["dropped"] == {}


# -- what is set aside, and what ends the work


def test_bad_rows_are_set_aside_with_their_place(tmp_path: Path) -> None:
    good = '{"word":"a","drawing":[[[0,9,%d],[0,9,3]]]}'
    rows = [
        good % 1,
        "not json",
        '{"word":"a","drawing":[[[0,NaN],[0,1]]]}',
        '{"word":"a","drawing":[]}',
        '{"word":"a","drawing":[[[4],[4]]]}',
        json.dumps({"drawing": [[[0], [i]] for i in range(300)]}),
        '{"word":"a","recognized":false,"drawing":[[[0,9],[0,9]]]}',
        '{"word":"a","recognized":true,"drawing":[[[0,9],[0,8]]]}',
        '{"word":"a","drawing":[[[0,1000000000],[0,1]]]}',
        *(good % i for i in range(2, 9)),
    ]
    (tmp_path / "a.ndjson").write_text("\n".join(rows) + "\n")
    dataset = prepare([tmp_path / "a.ndjson"], tmp_path / "out", config=DataConfig(recognized_only=True))
    assert len(all_drawings(dataset)) == 10
    summary = dataset.summary()
    assert summary["dropped"] == {"not recognized": 1, "too long": 1, "too short": 2, "unreadable": 2}
    assert summary["clamped"] == 1
    assert dataset.info.scale_factor < 300  # a coordinate of 1e9 counts as 1000
    found = dropped(dataset)
    assert {row["file"] for row in found} == {str(tmp_path / "a.ndjson")}
    assert {row["where"] for row in found if row["kind"] == "unreadable"} == {"a.ndjson:2", "a.ndjson:3"}
    assert any("300 strokes need 300 points, more than the 200 allowed" in row["reason"] for row in found)
    others = {row["where"] for row in found if row["kind"] != "unreadable"}
    assert others == {f"a.ndjson#{i}" for i in (3, 4, 5, 6)}  # rows that cannot be read have a place too


def test_mending_a_row_moves_no_other_drawing(tmp_path: Path) -> None:
    source = ndjson(tmp_path / "a.ndjson", 200)
    whole = prepare([source], tmp_path / "whole")
    rows = source.read_text().splitlines()
    source.write_text("\n".join(["{", *rows[1:]]))
    damaged = prepare([source], tmp_path / "damaged")
    for name in SPLITS:
        assert set(whole.split(name)) - set(damaged.split(name)) <= {formats.read(ndjson(source, 1))[0]}


def test_the_place_in_a_file_of_which_little_is_taken(tmp_path: Path) -> None:
    dot = Drawing([[1, 1, 1]])
    formats.npz.write_splits({"train": [scribble(i) for i in range(20)], "test": [dot] * 20}, tmp_path / "a.npz")
    dataset = prepare([tmp_path / "a.npz"], tmp_path / "out", config=DataConfig(limit=10))
    assert [row["where"] for row in dropped(dataset)] == [f"a.npz#{i}" for i in range(20, 25)]


def test_half_a_character_costs_one_row(tmp_path: Path) -> None:
    rows = ndjson(tmp_path / "in" / "a.ndjson", 1499).read_text().splitlines()
    rows[500] = rows[500].replace('"drawing"', '"key_id":"\\ud800","drawing"')
    rows[501] = rows[501].replace('"scribble"', '"scr\\udfff"')
    (tmp_path / "in" / "a.ndjson").write_text("\n".join(rows))
    ndjson(tmp_path / "in" / "b.ndjson", 49)
    for source, count in ((tmp_path / "in", 1546), (tmp_path / "in" / "a.ndjson", 1497)):
        dataset = prepare([source], tmp_path / "out")
        assert sum(dataset.summary()["drawings"].values()) == count
        assert [row["where"] for row in dropped(dataset)] == ["a.ndjson:501", "a.ndjson:502"]
        assert dropped(dataset)[0]["reason"] == "key_id '\\ud800' holds half a character"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"dr\xff")
    ndjson(folder / os.fsdecode(b"a\xff.ndjson"), 20, None)
    (folder / os.fsdecode(b"\xfe")).mkdir()
    for name in (os.fsdecode(b"\xff.svg"), os.fsdecode(b"\xfe/a.svg")):
        (folder / name).write_text(scribble(0).to_svg())
    (folder / os.fsdecode(b"b\xff.svg")).write_text("<svg/>")
    (folder / os.fsdecode(b"b\xff.ndjson")).write_text("{}\n")
    dataset = prepare([folder], tmp_path / "out")
    assert dataset.labels == ("a\ufffd", "dr\ufffd", "\ufffd")
    assert {drawing.key for drawing in all_drawings(dataset)} == {None, "\ufffd.svg", "\ufffd/a.svg"}
    assert {row["where"] for row in dropped(dataset)} == {"b\ufffd.svg", "b\ufffd.ndjson", "b?.ndjson:1"}
    named = folder / os.fsdecode(b"a\xff.ndjson")
    assert prepare([named], tmp_path / "out").labels == ("a\ufffd",)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
def test_a_dataset_at_a_path_that_is_no_text(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"d\xff") / os.fsdecode(b"s\xfe\xff")
    source = ndjson(tmp_path / "a.ndjson", 30)
    for dataset in (prepare([source], out), prepare([source], out), Dataset(out)):  # it is replaced, too
        assert dataset.info.name == "s\ufffd\ufffd"
        assert sum(map(len, map(dataset.split, SPLITS))) == 30
    again = prepare([out], tmp_path / "again")
    assert all_drawings(again) == all_drawings(Dataset(out))
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name]


def test_what_cannot_be_written_ends_the_work(tmp_path: Path) -> None:
    item = Item(ndjson(tmp_path / "a.ndjson", 1100), "a.ndjson", "a")
    calls = []

    def flushed() -> None:
        calls.append(0)
        if len(calls) == 2:  # the first is before all writing
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        read_task([item], tmp_path / "shard", DataConfig(valid=0, test=0), flushed)


def test_not_finite_drawings_of_an_npz_are_set_aside(tmp_path: Path) -> None:
    rows = np.empty(4, dtype=object)
    for i in range(4):
        rows[i] = scribble(i).stroke3.copy()
    rows[1][3, 0] = np.nan
    rows[2][0, 1] = np.inf
    np.savez(tmp_path / "a.npz", train=rows, valid=rows[:1], test=rows[:1])
    dataset = prepare([tmp_path / "a.npz"], tmp_path / "out")
    assert dataset.summary()["drawings"] == {"train": 2, "valid": 1, "test": 1}
    assert dataset.summary()["dropped"] == {"unreadable": 2}
    assert "not finite" in dropped(dataset)[0]["reason"]


def test_a_bad_file_in_a_folder_is_set_aside_and_one_named_by_itself_ends_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    ndjson(folder / "good.ndjson", 10)
    (folder / "page.ndjson").write_text("<!doctype html><title>403</title>")
    (folder / "empty.npz").write_bytes(b"")
    formats.write([scribble(i) for i in range(30)], folder / "cut.npz")
    whole = (folder / "cut.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    dataset = prepare([folder], tmp_path / "out")
    assert sum(dataset.summary()["drawings"].values()) == 10
    assert dataset.summary()["dropped"] == {"file": 3}
    for name in ("page.ndjson", "empty.npz", "cut.npz"):
        with pytest.raises(ValueError, match=name):
            prepare([folder / "good.ndjson", folder / name], tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert nothing_left_over(tmp_path)


def test_no_usable_drawing(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"word":"a","drawing":[[[4],[4]]]}\n' * 3)
    with pytest.raises(
        ValueError, match=r"no drawing can be used, 3 were set aside, the first at a.ndjson#0: 1 points"
    ):
        prepare([tmp_path / "a.ndjson"], tmp_path / "out")
    (tmp_path / "b.ndjson").write_text('{"word":"a","drawing":[[[4,NaN],[4,4]]]}\n')
    with pytest.raises(ValueError, match=r"no drawing can be used, .* at b.ndjson:1: "):
        prepare([tmp_path / "b.ndjson"], tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match=r"in holds no drawings: no file in it ends in .svg"):
        prepare([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert nothing_left_over(tmp_path)


@pytest.mark.parametrize("row", [(0, 0, 0), (3, 3, 0), (0.1, 0.1, 0)])
def test_drawings_that_are_all_alike(tmp_path: Path, row: tuple[float, float, float]) -> None:
    formats.write([Drawing([row] * 7)] * 50, tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"all drawings are alike, every offset is .* \(scale factor 0\)"):
        prepare([tmp_path / "a.npz"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert nothing_left_over(tmp_path)


# -- the folder


def test_a_dataset_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    a, b = ndjson(tmp_path / "a.ndjson", 20, "a"), ndjson(tmp_path / "b.ndjson", 20, "b")
    out = tmp_path / "deep" / "er" / "out"
    prepare([a], out)
    assert prepare([b], out).labels == ("b",)
    assert nothing_left_over(out.parent)
    (tmp_path / "mine").mkdir()
    assert prepare([a], tmp_path / "mine").labels == ("a",)  # an empty folder may be filled
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for name in ("thesis", "a.ndjson"):
        with pytest.raises(FileExistsError, match=f"{name} exists and is not a dataset: name another folder"):
            prepare([b], tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_symbolic_link_to_a_dataset_stays_one(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "out").symlink_to("large disk/real")
    for label in "ab":
        dataset = prepare([ndjson(tmp_path / "a.ndjson", 20, label)], tmp_path / "out")
        assert (dataset.labels, dataset.info.name) == ((label,), "out")
        assert (tmp_path / "out").is_symlink()
        assert Dataset(tmp_path / "large disk" / "real").labels == (label,)
        assert nothing_left_over(tmp_path)
        assert nothing_left_over(tmp_path / "large disk")


def test_a_dataset_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ndjson(tmp_path / "a.ndjson", 20, "a")
    prepare([source], tmp_path / "out")
    rename = Path.rename

    def refuses(path: Path, target: Path) -> Path:
        if path.suffix == ".preparing":
            raise PermissionError("not now")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuses)
    with pytest.raises(PermissionError, match="not now"):
        prepare([source], tmp_path / "out")
    assert Dataset(tmp_path / "out").labels == ("a",)
    assert nothing_left_over(tmp_path)


def test_a_failure_leaves_the_dataset_that_was_there(tmp_path: Path) -> None:
    prepare([ndjson(tmp_path / "a.ndjson", 20, "a")], tmp_path / "out")
    formats.write([Drawing([[0, 0, 0], [0, 0, 1]])], tmp_path / "b.npz")
    with pytest.raises(ValueError, match="alike"):
        prepare([tmp_path / "b.npz"], tmp_path / "out")
    assert Dataset(tmp_path / "out").labels == ("a",)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    source = ndjson(tmp_path / "a.ndjson", 20)
    with pytest.raises(OSError, match=r"a.ndjson.out cannot be written \(.*\): name another folder"):
        prepare([source], source / "out")
    with pytest.raises(OSError, match="cannot be written"):
        prepare([source], "/proc/out")


# A preparation of many small files in two processes; it says when it has begun to read.
SLOW = """
import sys
from sketchrnn.config import DataConfig
from sketchrnn.data.prepare import prepare
if __name__ == "__main__":
    prepare(sys.argv[1:-1], sys.argv[-1], config=DataConfig(workers=int(2)))
"""


def start(sources: list[Path], out: Path, script: Path) -> subprocess.Popen[bytes]:
    script.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, str(script), *map(str, sources), str(out)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 60
    while not list(out.parent.glob(f".{out.name}.*.preparing/parts/*/train.lengths")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    one = ndjson(tmp_path / "in" / "0.ndjson", 3000)
    for i in range(1, 12):
        (tmp_path / "in" / f"{i}.ndjson").write_bytes(one.read_bytes())
    return sorted((tmp_path / "in").iterdir())


def test_a_killed_preparation_leaves_no_half_dataset_and_the_next_one_clears_up(
    tmp_path: Path, many: list[Path]
) -> None:
    out = tmp_path / "sets" / "out"
    out.parent.mkdir()
    process = start(many, out, tmp_path / "script.py")
    process.kill()
    process.communicate()  # ends only when the reading processes, which hold the pipe too, are gone
    assert not out.exists()
    assert not nothing_left_over(out.parent)
    dataset = prepare(many[:1], out)
    assert sum(dataset.summary()["drawings"].values()) == 3000
    assert nothing_left_over(out.parent)


def test_ctrl_c_stops_it_and_leaves_nothing(tmp_path: Path, many: list[Path]) -> None:
    out = tmp_path / "sets" / "out"
    out.parent.mkdir()
    process = start(many, out, tmp_path / "script.py")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert b"KeyboardInterrupt" in output
    assert process.returncode != 0
    assert list(out.parent.iterdir()) == []


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    source = ndjson(tmp_path / "a.ndjson", 20, "a")
    prepare([source], tmp_path / "out")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "out").rename(tmp_path / f".out.{ended.pid}.replaced")
    formats.write([Drawing([[0, 0, 0], [0, 0, 1]])], tmp_path / "b.npz")
    with pytest.raises(ValueError, match="alike"):
        prepare([tmp_path / "b.npz"], tmp_path / "out")
    assert Dataset(tmp_path / "out").labels == ("a",)


def test_the_work_of_a_process_that_runs_is_left_alone(tmp_path: Path) -> None:
    source = ndjson(tmp_path / "a.ndjson", 20, "a")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        foreign = tmp_path / f".out.{other.pid}.preparing"
        foreign.mkdir()
        prepare([source], tmp_path / "out")
        assert foreign.exists()
        other.communicate(b"\n")


def test_a_script_that_calls_it_at_its_top_level_is_told_so(tmp_path: Path) -> None:
    sources = [ndjson(tmp_path / f"{i}.ndjson", 5) for i in range(2)]
    script = tmp_path / "script.py"
    script.write_text(SLOW.replace('if __name__ == "__main__":', "if True:"))
    done = subprocess.run(
        [sys.executable, str(script), *map(str, sources), str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "a script calls prepare outside of `if __name__ ==" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_faulty_file_ends_the_work_of_all_processes(tmp_path: Path, many: list[Path]) -> None:
    formats.write([scribble(i) for i in range(30)], tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut.npz is cut off"):
        prepare([tmp_path / "cut.npz", *many], tmp_path / "out", config=DataConfig(workers=2), progress=True)
    assert not (tmp_path / "out").exists()
    assert nothing_left_over(tmp_path)


def test_the_pool_is_used_where_it_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(prepare_module, "_cores", lambda: 2)
    sources = [ndjson(tmp_path / f"{i}.ndjson", 20, f"l{i}", i) for i in range(3)]
    assert prepare(sources, tmp_path / "out").summary()["counts"] == {"l0": 20, "l1": 20, "l2": 20}


# -- real data


@real_data
def test_cat(tmp_path: Path) -> None:
    summary = prepare([DATA / "quickdraw" / "cat.npz"], tmp_path / "cat").summary()
    assert summary["drawings"] == {"train": 4748, "valid": 263, "test": 263}
    assert summary["max_length"] == 171
    assert summary["scale_factor"] == pytest.approx(32.255, abs=0.01)
    assert round(summary["mean_length"]) == 61
    assert summary["labels"] == ["cat"]


@real_data
def test_a_mixture_of_forms(tmp_path: Path) -> None:
    sources = ["quickdraw-ndjson/owl.ndjson", "sets/kanji.rdp100.npz", "quickdraw/circle.npz"]
    dataset = prepare([DATA / source for source in sources], tmp_path / "out")
    assert dataset.labels == ("circle", "kanji", "owl")
    assert dataset.summary()["drawings"]["valid"] > 600 + 67
    assert dataset.train.values.dtype == np.float32
    assert dataset.info.max_length <= 200


@real_data
def test_hundreds_of_classes(tmp_path: Path) -> None:
    dataset = prepare([DATA / "quickdraw-ndjson" / "all_classes_small.ndjson"], tmp_path / "out")
    assert len(dataset.labels) == 317
    assert sum(dataset.summary()["drawings"].values()) + sum(dataset.summary()["dropped"].values()) == 18_322
    assert min(dataset.summary()["counts"].values()) >= 40
