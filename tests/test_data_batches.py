"""Batches: what they hold, how they are drawn, that they are a function of seed and step alone."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sketchrnn.data.batches import Batch, Batches, drop_points, random_scale
from sketchrnn.data.dataset import Split, write_split


def random_rows(rng: np.random.Generator, length: int) -> NDArray[np.int16]:
    rows = rng.integers(-50, 50, (length, 3)).astype(np.int16)
    rows[:, 2] = rng.random(length) < 0.15
    rows[-1, 2] = 1
    return rows


def write(path: Path, drawings: list[NDArray[np.int16]], label_ids: list[int] | None = None) -> Split:
    offsets = np.cumsum([0, *(len(rows) for rows in drawings)], dtype=np.int64)
    ids = np.array(label_ids or [0] * len(drawings), np.int32)
    labels = [f"label {i}" for i in range(int(ids.max()) + 1)]
    keys = pa.array([None] * len(drawings), pa.large_string())
    write_split(path, np.concatenate(drawings), offsets, ids, labels, keys)
    return Split(path)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    rng = np.random.default_rng(0)
    drawings = [random_rows(rng, int(n)) for n in rng.integers(2, 60, 333)]
    return write(tmp_path_factory.mktemp("split") / "train.arrow", drawings, rng.integers(0, 4, 333).tolist())


def same(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("strokes", "lengths", "indices"))


def rows_of(batch: Batch, i: int) -> NDArray[np.float32]:
    start = int(batch.lengths[:i].sum())
    return batch.strokes[start : start + int(batch.lengths[i])]


@pytest.mark.parametrize("bucket", [False, True])
def test_a_batch_holds_distinct_drawings_longest_first_normalised(split: Split, bucket: bool) -> None:
    batches = Batches(split, scale_factor=7.0, batch_size=32, bucket=bucket)
    for step in range(25):
        batch = batches.batch(step)
        assert len(set(batch.indices.tolist())) == 32
        assert (np.diff(batch.lengths) <= 0).all()
        assert batch.strokes.dtype == np.float32
        assert batch.lengths.sum() == len(batch.strokes)
        for i in (0, 15, 31):
            whole = split.stroke3(int(batch.indices[i])).astype(np.float32)
            np.testing.assert_allclose(rows_of(batch, i), whole / np.float32([7, 7, 1]), rtol=1e-6)


def test_offsets_are_clamped_before_they_are_scaled(tmp_path: Path) -> None:
    split = write(tmp_path / "train.arrow", [np.array([[30000, -30000, 0], [5, 5, 1]], np.int16)])
    batch = Batches(split, scale_factor=10.0).batch(0)
    assert batch.strokes.tolist() == [[100, -100, 0], [0.5, 0.5, 1]]


def test_the_same_seed_gives_the_same_batches_in_any_order(split: Split) -> None:
    given_ = dict(scale_factor=3.0, batch_size=20, seed=5, augment_scale=0.15, augment_drop=0.1)
    straight = Batches(split, **given_)
    first = [straight.batch(step) for step in range(40)]
    again = Batches(split, **given_)
    assert all(same(again.batch(step), first[step]) for step in (39, 0, 17, 16, 39))
    assert not same(Batches(split, **{**given_, "seed": 6}).batch(0), first[0])


def test_each_bucketed_batch_is_like_the_data_and_a_round_has_each_drawing_once(split: Split) -> None:
    bucketed, random = (
        [Batches(split, scale_factor=1.0, batch_size=16, bucket=bucket).batch(step) for step in range(20)]
        for bucket in (True, False)
    )
    drawn = np.concatenate([batch.indices for batch in bucketed])
    assert len(set(drawn.tolist())) == 320
    in_eights = np.array([batch.lengths.reshape(8, 2) for batch in bucketed])
    assert np.ptp(in_eights, axis=2).mean() < 0.5  # neighbours go together,
    assert (np.diff(in_eights.mean(axis=2), axis=1) < 0).all()  # from all over the lengths:
    means = [np.std([batch.lengths.mean() for batch in batches]) for batches in (bucketed, random)]
    assert means[0] < means[1] / 2  # no batch is short or long
    assert np.std([batch.lengths[:2].mean() for batch in bucketed]) > 0.5  # the groups of a batch come by chance


def test_bucketing_draws_every_drawing_equally_often(split: Split) -> None:
    batches = Batches(split, scale_factor=1.0, batch_size=16, bucket=True)
    counts = np.bincount(np.concatenate([batches.batch(step).indices for step in range(2000)]), minlength=len(split))
    assert counts.min() > 80
    assert counts.max() < 110  # 96 each on average; never twice in one of the 100 rounds


def test_fewer_drawings_than_a_batch_make_batches_of_all(tmp_path: Path) -> None:
    split = write(tmp_path / "train.arrow", [random_rows(np.random.default_rng(i), 5 + i) for i in range(7)])
    batch = Batches(split, scale_factor=1.0, batch_size=100).batch(3)
    assert sorted(batch.indices.tolist()) == list(range(7))


@pytest.mark.parametrize("bucket", [False, True])
def test_balanced_batches_hold_every_label_equally_often(tmp_path: Path, bucket: bool) -> None:
    rng = np.random.default_rng(1)
    labels = [0] * 500 + [1] * 40 + [2] * 3
    split = write(tmp_path / "train.arrow", [random_rows(rng, 9) for _ in labels], labels)
    batches = Batches(split, scale_factor=1.0, batch_size=60, bucket=bucket, balance=True)
    drawn = np.concatenate([batches.batch(step).indices for step in range(90)])
    counts = np.bincount(split.label_ids[drawn])
    assert counts.sum() == 5400
    assert np.ptp(counts) <= 90
    assert set(drawn.tolist()) >= set(range(500, 543))


def test_more_labels_than_a_batch_has_places(tmp_path: Path) -> None:
    split = write(
        tmp_path / "train.arrow", [random_rows(np.random.default_rng(i), 5) for i in range(300)], list(range(300))
    )
    batch = Batches(split, scale_factor=1.0, batch_size=50, bucket=False, balance=True).batch(0)
    assert len(set(split.label_ids[batch.indices].tolist())) == 50


def test_a_drawing_longer_than_the_model_allows_is_refused(split: Split) -> None:
    longest = int(split.lengths.max())
    Batches(split, scale_factor=1.0, max_length=longest)
    with pytest.raises(ValueError, match=f"{longest} points, more than the model's 10: .*--max-points 10"):
        Batches(split, scale_factor=1.0, max_length=10)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    nothing = np.zeros(0, np.int32)
    keys = pa.array([], pa.large_string())
    write_split(tmp_path / "test.arrow", np.zeros((0, 3), np.int16), np.zeros(1, np.int64), nothing, [], keys)
    with pytest.raises(ValueError, match="holds no drawing"):
        Batches(Split(tmp_path / "test.arrow"), scale_factor=1.0)


def drop_one_by_one(strokes: list[list[float]], probability: float, rng: np.random.Generator) -> list[list[float]]:
    """Point dropping as the reference writes it, a loop over the points of one drawing."""
    result: list[list[float]] = []
    previous_pen, count = 1.0, 0
    for dx, dy, pen in strokes:
        count = 0 if pen == 1 or previous_pen == 1 else count + 1
        merge = rng.random() < probability and pen == 0 and previous_pen == 0 and count > 2
        if merge:
            result[-1][0] += dx
            result[-1][1] += dy
        else:
            result.append([dx, dy, pen])
            previous_pen = pen
    return result


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 40), min_size=1, max_size=8), st.sampled_from([0.1, 0.5, 0.95]))
def test_dropping_points_is_the_references_loop(seed: int, sizes: list[int], probability: float) -> None:
    rng = np.random.default_rng(seed)
    drawings = [random_rows(rng, size).astype(np.float32) for size in sizes]
    if rng.random() < 0.3:
        drawings[0][:, 2] = 0  # a drawing whose last stroke never lifts must not run into the next
    strokes, lengths = drop_points(
        np.concatenate(drawings), np.array(sizes), probability, np.random.default_rng([seed, 1])
    )
    loop_rng = np.random.default_rng([seed, 1])
    looped = [drop_one_by_one(rows.tolist(), probability, loop_rng) for rows in drawings]
    assert lengths.tolist() == [len(rows) for rows in looped]
    assert strokes.tolist() == [row for rows in looped for row in rows]


def test_each_drawing_is_scaled_by_its_own_two_factors() -> None:
    lengths = np.array([3, 2] * 500)
    strokes = np.ones((lengths.sum(), 3), np.float32)
    scaled = random_scale(strokes, lengths, 0.15, np.random.default_rng(0))
    assert (strokes == 1).all()
    assert (scaled[:, 2] == 1).all()
    assert (scaled[0] == scaled[2]).all()
    assert scaled[0, 0] != scaled[0, 1]
    assert scaled[0, 0] != scaled[3, 0]
    assert 0.85 <= scaled[:, :2].min() < 0.86
    assert 1.14 < scaled[:, :2].max() <= 1.15


def test_augmentation_keeps_where_a_drawing_ends(split: Split) -> None:
    plain = Batches(split, scale_factor=2.0, batch_size=50, seed=1).batch(4)
    dropped = Batches(split, scale_factor=2.0, batch_size=50, seed=1, augment_drop=0.5).batch(4)
    assert sorted(plain.indices.tolist()) == sorted(dropped.indices.tolist())
    assert dropped.lengths.sum() < plain.lengths.sum()
    assert (np.diff(dropped.lengths) <= 0).all()
    ends = {int(index): rows_of(plain, i)[:, :2].sum(axis=0) for i, index in enumerate(plain.indices)}
    for i, index in enumerate(dropped.indices):
        np.testing.assert_allclose(rows_of(dropped, i)[:, :2].sum(axis=0), ends[int(index)], atol=1e-4)


def test_each_step_augments_anew(tmp_path: Path) -> None:
    """One drawing, the same in every batch: what differs is chance."""
    split = write(tmp_path / "train.arrow", [random_rows(np.random.default_rng(0), 60)])
    scaled = [Batches(split, scale_factor=1.0, augment_scale=0.15).batch(step).strokes for step in range(20)]
    assert len({rows[0, :2].tobytes() for rows in scaled}) == 20
    dropped = [Batches(split, scale_factor=1.0, augment_drop=0.3).batch(step).strokes for step in range(20)]
    assert len({rows.tobytes() for rows in dropped}) == 20
