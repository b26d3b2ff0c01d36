"""sketch-rnn's npz: what numpy reads we read, what we write numpy reads, and no file can run or exhaust anything."""

import io
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchrnn import Drawing, formats
from sketchrnn.formats import npz, pickled_arrays

ROWS = [np.array([[1, -2, 0], [300, 4, 1]], np.int16), np.array([[5, 6, 1]], np.int16), np.zeros((0, 3), np.int16)]


def objects(arrays: list) -> np.ndarray:
    array = np.empty(len(arrays), dtype=object)
    for i, item in enumerate(arrays):
        array[i] = item
    return array


def npy(payload: bytes, shape: str = "(3,)", descr: str = "|O", version: bytes = b"\x01\x00") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(header)) + header + payload


def save(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    values = draw(st.sampled_from([st.integers(-400, 400), st.floats(-1e6, 1e6, width=32)]))
    rows = draw(st.lists(st.tuples(values, values, st.integers(0, 1)), max_size=8))
    return Drawing(np.array(rows, np.float32).reshape(-1, 3))


@settings(deadline=None)
@given(st.lists(drawings(), max_size=4), st.lists(drawings(), min_size=1, max_size=3))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, train: list[Drawing], valid: list[Drawing]) -> None:
    path = tmp_path_factory.getbasetemp() / "a.npz"
    npz.write_splits({"train": train, "valid": valid}, path)
    assert npz.splits(path) == {"train": train, "valid": valid, "test": []}
    assert formats.read(path) == train + valid


def test_numpy_reads_what_we_write(tmp_path: Path) -> None:
    whole, real = [Drawing(rows) for rows in ROWS], [Drawing([[0.5, 1, 1]])]
    npz.write_splits({"train": whole, "test": whole[:1]}, tmp_path / "whole.npz")
    npz.write_splits({"train": whole + real}, tmp_path / "real.npz")
    for encoding in ("latin1", "ASCII", "bytes"):
        loaded = np.load(tmp_path / "whole.npz", encoding=encoding, allow_pickle=True)
        assert sorted(loaded) == ["test", "train", "valid"]
        assert all(np.array_equal(a, b) and a.dtype == np.int16 for a, b in zip(loaded["train"], ROWS, strict=True))
        assert len(loaded["valid"]) == 0
        assert len(loaded["test"]) == 1
    floats = np.load(tmp_path / "real.npz", encoding="latin1", allow_pickle=True)["train"]
    assert [array.dtype for array in floats] == [np.float32] * 4


def test_readable_by_python_2_and_old_numpy(tmp_path: Path) -> None:
    formats.write([Drawing(rows) for rows in ROWS], tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        data = archive.read("train.npy")
    assert b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" in data
    assert b"numpy._core" not in data


def test_same_drawings_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        npz.write_splits({"train": [Drawing(rows.copy()) for rows in ROWS]}, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("value", [32767, -32768, 32768, 1e9, 0.25])
def test_int16_only_where_it_is_exact(tmp_path: Path, value: float) -> None:
    drawing = Drawing([[value, 0, 1]])
    formats.write([drawing], tmp_path / "a.npz")
    assert formats.read(tmp_path / "a.npz") == [drawing]
    stored = np.load(tmp_path / "a.npz", allow_pickle=True)["train"][0].dtype
    assert stored == (np.int16 if value in (32767, -32768) else np.float32)


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not validation"):
        npz.write_splits({"validation": []}, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "|i1", "<i4", "<i8", "<u2", "<f4", "<f8", ">f8", "<f2"])
def test_every_pickle_that_numpy_writes(tmp_path: Path, protocol: int, dtype: str) -> None:
    array = objects(
        [rows.clip(0, 100).astype(dtype) for rows in ROWS] + [np.asfortranarray(ROWS[0].clip(0).astype(dtype))]
    )
    path = save(tmp_path / "a.npz", train=npy(pickle.dumps(array, protocol=protocol), "(4,)"))
    read = npz.splits(path)["train"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = np.load(path, allow_pickle=True)["train"]
    assert [drawing.stroke3.tolist() for drawing in read] == [rows.tolist() for rows in known]


def test_python_2_strings(tmp_path: Path) -> None:
    """The raw bytes of an array as Python 2 pickles them: instruction U, which np.load needs latin1 for."""
    pickled = pickle.dumps(objects(ROWS[:1]), protocol=3).replace(b"C\x0c", b"U\x0c")
    assert pickled.count(b"U\x0c") == 1
    path = save(tmp_path / "a.npz", train=npy(pickled, "(1,)"))
    assert npz.splits(path)["train"] == [Drawing(ROWS[0])]


def test_long_shape_of_python_2(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", train=npy(pickle.dumps(objects(ROWS), protocol=2), "(3L,)"))
    assert len(npz.splits(path)["train"]) == 3


def test_plain_arrays(tmp_path: Path) -> None:
    several = np.array([[[1, 2, 0], [3, 4, 1]], [[5, 6, 0], [7, 8, 1]]])
    np.savez(tmp_path / "a.npz", train=several, test=np.asfortranarray(several[0]), extra=np.zeros(7))
    read = npz.splits(tmp_path / "a.npz")
    assert read == {"train": [Drawing(several[0]), Drawing(several[1])], "test": [Drawing(several[0])]}


def test_other_names_where_there_are_no_splits(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", mine=objects(ROWS))
    assert list(npz.splits(tmp_path / "a.npz")) == ["mine"]


def test_other_arrays_are_no_drawings(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"a\.npz:weights is an array <f8 \(4, 5\), not drawings"):
        npz.splits(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", names=np.array([["a", "b", "c"]]))
    with pytest.raises(ValueError, match="not drawings"):
        npz.splits(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", table=np.zeros(2, [("x", "f4"), ("y", "f4")]))
    with pytest.raises(ValueError, match="its header is"):
        npz.splits(tmp_path / "c.npz")


def test_bad_rows_are_set_aside(tmp_path: Path) -> None:
    rows = [
        ROWS[0],
        np.array([[0, 0, 0], [np.nan, 0, 1]]),
        np.array([[np.inf, 0, 1]]),
        np.zeros((2, 2)),
        "text",
        ROWS[1],
    ]
    np.savez(tmp_path / "cat.npz", train=objects(rows), valid=objects([np.array([[0, 0, 7]])]))
    bad: list[tuple[str, str]] = []
    read = npz.splits(tmp_path / "cat.npz", bad=lambda where, reason: bad.append((where, reason)))
    assert read == {"train": [Drawing(ROWS[0]), Drawing(ROWS[1])], "valid": []}
    assert [where for where, _ in bad] == [f"cat.npz:train#{i}" for i in (1, 2, 3, 4)] + ["cat.npz:valid#0"]
    assert bad[0][1] == "point 1 is not finite: [nan, 0.0, 1.0]"
    assert "not a str" in bad[3][1]
    with pytest.raises(ValueError, match=r"^cat\.npz:train#1: point 1 is not finite"):
        formats.read(tmp_path / "cat.npz")


def test_coordinates_of_a_billion(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train=objects([np.array([[1e9, -1e9, 1]])]))
    assert formats.read(tmp_path / "a.npz")[0].bounds() == (1e9, -1e9, 1e9, -1e9)


# -- files that mean harm


class _Runs:
    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_command(tmp_path: Path, protocol: int) -> None:
    owned = tmp_path / "owned"
    payloads = [_Runs(os.system, f"touch '{owned}'"), objects([_Runs(os.system, f"touch '{owned}'")])]
    for payload in payloads:
        path = save(tmp_path / "evil.npz", train=npy(pickle.dumps(payload, protocol=protocol), "(1,)"))
        with pytest.raises(ValueError, match=r"evil\.npz:train cannot be read: its pickle"):
            npz.splits(path)
    assert not owned.exists()


def test_the_refusal_names_the_function(tmp_path: Path) -> None:
    path = save(tmp_path / "evil.npz", train=npy(pickle.dumps(_Runs(os.system, "true"), protocol=2)))
    with pytest.raises(ValueError, match=r"its pickle names posix\.system, .*nothing of it was run"):
        npz.splits(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b".",
        b"\x80\x02N.",
        b"N" * 100,
        b"(((((((.",
        b"t.",
        b"\x85.",
        b"Nb.",
        b"NR.",
        b"h\x05.",
        b"]h\x00a.",
        b"T\xff\xff\xff\xff",
        b"\x8e" + b"\xff" * 8,
        b"Nr\xff\xff\xff\x7f.",  # the pickle module makes room for two billion memos here
        b"\x95" + b"\xff" * 8 + b".",
        b"cnumpy\n" + b"x" * 1000,
        b"X\x02\x00\x00\x00\xff\xff.",
        b"\x8c\x05numpyNN\x87\x8c\x07ndarray\x93.",
        b"cnumpy\ndtype\nU\x02i2\x85R.",
        b"cnumpy\ndtype\nU\x04i999\x85R.",
        b"cnumpy.core.multiarray\n_reconstruct\n)RN\x85b.",
        b"c_codecs\nencode\nNN\x86R.",
        b"c_codecs\nencode\nX\x02\x00\x00\x00\xc4\x80NN\x87R.",
        b"cnumpy\ndtype\nU\x02i2\x85R(K\x03U\x01xtb.",
        b"cnumpy\nndarray\n)R.",
        b"\x8a\x02\x00\x01.",
        b"NNa.",
        b"}(K\x01K\x02u.",
    ],
)
def test_pickles_of_nonsense(pickled: bytes) -> None:
    with pytest.raises(ValueError, match=r"^its (pickle|arrays)"):
        pickled_arrays.load(pickled)


def test_a_pickle_of_nested_shares() -> None:
    """2^60 tuples in 300 bytes: nothing may walk through them all."""
    nested = b"N" + b"q\x00h\x00\x86" * 60
    with pytest.raises(ValueError, match="pickle"):
        pickled_arrays.load(nested + b".")
    with pytest.raises(ValueError, match="pickle"):
        pickled_arrays.load(nested + nested + b"\x93.")


def test_a_pickle_that_repeats_its_text() -> None:
    text = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6
    encode = b"c_codecs\nencode\nq\x00" + text + b"q\x01" + b"h\x00h\x01N\x86R" * 100_000
    with pytest.raises(ValueError, match="repeat"):
        pickled_arrays.load(encode + b".")


def test_a_pickle_that_repeats_its_arrays(tmp_path: Path) -> None:
    array = np.zeros((10_000, 3), np.int8)
    path = save(tmp_path / "a.npz", train=npy(pickle.dumps(objects([array] * 30_000), protocol=4), "(30000,)"))
    assert path.stat().st_size < 10**6
    with pytest.raises(ValueError, match="300,000,000 points"):
        npz.splits(path)


def test_shapes_beyond_the_data(tmp_path: Path) -> None:
    huge = npy(b"\0" * 12, "(1000000000000, 3)", "<f4")
    for name, data in {
        "huge": huge,
        "short": npy(b"\0", "(1, 3)", "<f4"),
        "long": npy(b"\0" * 99, "(1, 3)", "<f4"),
    }.items():
        with pytest.raises(ValueError, match="cut off or damaged"):
            npz.splits(save(tmp_path / f"{name}.npz", train=data))
    pickled = pickle.dumps(objects(ROWS[:1]), protocol=2).replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86")
    with pytest.raises(ValueError, match="another shape"):
        npz.splits(save(tmp_path / "a.npz", train=npy(pickled)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00\x04\x00\x00\x00{}\n",
        b"\x93NUMPY\x01\x00\xff\xff{}",
        npy(b"", "(1,)", "V8"),
        npy(b"", "(" * 400),
        npy(b"", "(" + "1" * 50_000 + ")"),
        npy(b"", "(" + "1, " * 15_000 + "!)"),
    ],
)
def test_members_that_are_no_arrays(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"a\.npz:train"):
        npz.splits(save(tmp_path / "a.npz", train=data))


def test_a_shape_that_needs_no_data(tmp_path: Path) -> None:
    for count in (2 * 10**6, 10**10):
        with pytest.raises(ValueError, match=rf"is an array <f4 \({count}, 0, 3\), not drawings"):
            npz.splits(save(tmp_path / "a.npz", train=npy(b"", f"({count}, 0, 3)", "<f4")))


@pytest.mark.parametrize("item", [b"]", b"]\x94", b"N\x85"])
def test_a_pickle_of_many_objects(item: bytes) -> None:
    with pytest.raises(ValueError, match="makes more objects than drawings of its length need"):
        pickled_arrays.load(b"]q\x00" + item * 10**6)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_drawings_without_points_are_not_too_many_objects(protocol: int) -> None:
    for points in (0, 1):
        arrays = objects([np.ones((points, 3), np.int8) for _ in range(5000)])
        assert len(pickled_arrays.load(pickle.dumps(arrays, protocol=protocol))) == 5000


def test_a_small_file_does_not_unpack_to_a_large_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x02" + b"]" * 6 * 10**6))
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"unpacks to 6,000,\d+ bytes, more than the 1,\d+,\d+ that are read of such"):
        npz.splits(path)


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MAX_BYTES", 10**6)
    path = save(tmp_path / "bomb.npz", train=npy(bytes(2 * 10**6), "(0, 3)"))
    assert path.stat().st_size < 5000
    with pytest.raises(ValueError, match="unpacks to 2,000,"):
        npz.splits(path)


def test_cut_off_anywhere(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", train=objects(ROWS), test=objects(ROWS))
    whole = (tmp_path / "whole.npz").read_bytes()
    cut = tmp_path / "cut.npz"
    for length in [2, 4, 30, 31, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.npz is cut off or damaged"):
            npz.splits(cut)


def test_damage_anywhere_is_a_value_error(tmp_path: Path) -> None:
    """Single bytes of the zip, the header and the pickle changed: read as something else, or refused."""
    stored = io.BytesIO()
    np.savez(stored, train=objects(ROWS))
    pickled = pickle.dumps(objects(ROWS), protocol=2)
    chance = random.Random(0)
    path = tmp_path / "a.npz"
    outcomes = set()
    for _ in range(500):
        whole, payload = bytearray(stored.getvalue()), bytearray(pickled)
        whole[chance.randrange(len(whole))] = chance.randrange(256)
        payload[chance.randrange(len(payload))] = chance.randrange(256)
        for data in (bytes(whole), None):
            if data is None:
                save(path, train=npy(bytes(payload)))
            else:
                path.write_bytes(data)
            try:
                npz.splits(path)
                outcomes.add("read")
            except ValueError as error:
                assert "\n" not in str(error)  # noqa: PT017
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_encrypted_or_empty(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", train=npy(b""))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of encryption, in the member's header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="cut off or damaged"):
        npz.splits(path)
    with pytest.raises(ValueError, match="holds no arrays"):
        npz.splits(save(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", train=objects([]))
    assert npz.splits(tmp_path / "c.npz") == {"train": []}
    with pytest.raises(ValueError, match=r"c\.npz holds no drawing"):
        formats.read(tmp_path / "c.npz")


def test_splits_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("<!doctype html><title>403</title>")
    with pytest.raises(ValueError, match="HTML page"):
        npz.splits(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_text('{"drawing":[]}')
    with pytest.raises(ValueError, match="not an npz file"):
        npz.splits(tmp_path / "b.npz")


# -- real files


def test_real_files_agree_with_numpy(real_data: Path) -> None:
    files = sorted(real_data.glob("quickdraw/*.npz")) + sorted(real_data.glob("sets/*.npz"))
    assert len(files) == 18
    counts = {}
    for path in files:
        splits = npz.splits(path)
        counts[path.stem] = tuple(len(splits[name]) for name in ("train", "valid", "test"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = np.load(path, encoding="latin1", allow_pickle=True)["valid"]
        for drawing, rows in zip(splits["valid"], known, strict=True):
            assert np.array_equal(drawing.stroke3, rows.astype(np.float32))
    assert counts["cat"] == (4748, 263, 263)
    assert counts["car"] == (10525, 584, 584)
    assert counts["aaron_sheep"] == (7400, 300, 300)
    assert counts["omniglot"] == (30000, 1000, 1000)
    assert counts["kanji.rdp100"] == (10358, 600, 500)


def test_real_file_round_trip(real_data: Path, tmp_path: Path) -> None:
    for path in (real_data / "quickdraw/square.npz", real_data / "sets/short_kanji.npz"):
        splits = npz.splits(path)
        npz.write_splits(splits, tmp_path / "copy.npz")
        assert npz.splits(tmp_path / "copy.npz") == splits
