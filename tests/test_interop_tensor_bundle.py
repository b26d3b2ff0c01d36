"""TensorFlow's bundles: real ones that it wrote, and forged ones whose checksums are right and whose lengths lie."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchrnn.interop import tensor_bundle
from sketchrnn.interop.tensor_bundle import MAGIC, crc32c, masked_crc32c, open_bundle

REAL = Path(__file__).parent / "data/tensorflow/enc_lstm-dec_lstm-uncond"  # TensorFlow wrote it, with Adam's moments
GOLDEN = Path(__file__).parent / "data/golden/enc_lstm-dec_lstm-uncond.npz"


# -- a writer, to forge with


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def shape(*sizes: int) -> bytes:
    return b"".join(message(2, number(1, size)) for size in sizes)


def entry(*sizes: int, dtype: int = 1, shard: int = 0, offset: int = 0, size: int = 0, crc: int = 0) -> bytes:
    place = number(3, shard) + number(4, offset) + number(5, size)
    return number(1, dtype) + message(2, shape(*sizes)) + place + varint(6 << 3 | 5) + struct.pack("<I", crc)


def block(records: list[tuple[bytes, bytes]]) -> bytes:
    out, before = b"", b""
    for key, value in records:
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + struct.pack("<II", 0, 1)


def closed(content: bytes, compression: int = 0) -> bytes:
    content += bytes([compression])
    return content + struct.pack("<I", masked_crc32c(content))


def handle(start: int, size: int) -> bytes:
    return varint(start) + varint(size)


def table(blocks: list[list[tuple[bytes, bytes]]], compression: int = 0) -> bytes:
    out, places = b"", []
    for records in blocks:
        content = block(records)
        places.append((records[-1][0], handle(len(out), len(content))))
        out += closed(content, compression)
    return finished(out, places)


def finished(out: bytes, places: list[tuple[bytes, bytes]]) -> bytes:
    index = block(places)
    footer = handle(0, 0) + handle(len(out), len(index))
    return out + closed(index) + footer.ljust(40, b"\0") + MAGIC


HEADER = (b"", number(1, 1))


def forged(folder: Path, *records: tuple[bytes, bytes], data: bytes = bytes(64), index: bytes | None = None) -> Path:
    prefix = folder / "vector-1"
    prefix.with_name("vector-1.index").write_bytes(index if index is not None else table([[HEADER, *records]]))
    prefix.with_name("vector-1.data-00000-of-00001").write_bytes(data)
    return prefix


# -- what is read


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_crc32c_of_the_standard(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


@given(st.binary(max_size=3000), st.binary(max_size=50))
@settings(deadline=None)
def test_crc32c_is_that_of_one_byte_after_the_other(a: bytes, b: bytes) -> None:
    crc = 0xFFFFFFFF
    for byte in a + b:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    assert crc32c(a + b) == crc ^ 0xFFFFFFFF


def test_what_tensorflow_wrote_is_read() -> None:
    bundle = open_bundle(REAL / "vector-6000")
    golden = np.load(GOLDEN)
    weights = {name[len("weight/") : -2]: golden[name] for name in golden if name.startswith("weight/")}
    assert len(weights) == 5
    for name, array in weights.items():
        read = bundle.read(name)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
        assert bundle.read(f"vector_rnn/{name}/Adam").shape == array.shape  # every checksum is met
        assert bundle.read(f"vector_rnn/{name}/Adam_1").any()
    assert bundle.read("vector_rnn/global_step") == 6000
    assert len(bundle.entries) == 3 * 5 + 5


def test_many_blocks_and_shared_beginnings(tmp_path: Path) -> None:
    data = np.arange(600, dtype="<f4")
    records = [
        (f"name/{i:03}".encode(), entry(2, offset=8 * i, size=8, crc=masked_crc32c(data[2 * i : 2 * i + 2].tobytes())))
        for i in range(300)
    ]
    index = table([[HEADER, *records[:100]], records[100:299], records[299:]])
    bundle = open_bundle(forged(tmp_path, data=data.tobytes(), index=index))
    assert list(bundle.entries) == [f"name/{i:03}" for i in range(300)]
    assert bundle.read("name/123").tolist() == [246, 247]
    assert bundle.read("name/299").tolist() == [598, 599]


@pytest.mark.parametrize(("dtype", "code"), [(1, "<f4"), (2, "<f8"), (3, "<i4"), (9, "<i8"), (19, "<f2")])
def test_types(dtype: int, code: str, tmp_path: Path) -> None:
    data = np.array([[1, 2, 3]], code).tobytes()
    record = (b"a", entry(1, 3, dtype=dtype, size=len(data), crc=masked_crc32c(data)))
    read = open_bundle(forged(tmp_path, record, data=data)).read("a")
    assert (read.dtype, read.tolist()) == (np.dtype(code), [[1, 2, 3]])


# -- what is refused


def refused(prefix: Path, *words: str, name: str = "a") -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        open_bundle(prefix).read(name)
    for word in ("vector-1", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (entry(4, size=12), ["a", "12 bytes", "(4,)"]),
        (entry(2**40, 2**40, size=16), ["a", "16 bytes"]),
        (entry(2**20, 2**20, 2**24, size=2**62), ["ends at byte 64", "cut off"]),
        (entry(2**41, size=16), ["a:", "beyond its range"]),
        (entry(*[1] * 9, size=4), ["a:", "8 dimensions"]),
        (entry(4, size=2**64 - 16), ["a:", "beyond its range"]),
        (entry(4, size=16, offset=60), ["a", "ends at byte 64"]),
        (entry(4, size=16, shard=1), ["a is in data file 1 of 1"]),
        (entry(4, size=16, dtype=7), ["a", "type 7"]),
        (entry(4, size=16, crc=1), ["a is damaged"]),
        (entry(4, size=16) + message(7, b""), ["a", "slices"]),
        (number(2, 3), ["a:", "another type"]),
        (message(1, b"x"), ["a:", "another type"]),
        (b"\x0b", ["a:", "kind 3"]),
        (b"\x12\x7f", ["a:", "cut off"]),
        (b"\xff" * 11, ["a:", "64 bits"]),
    ],
)
def test_an_entry_that_lies(record: bytes, words: list[str], tmp_path: Path) -> None:
    refused(forged(tmp_path, (b"a", record)), *words)


def test_tensors_that_overlap(tmp_path: Path) -> None:
    refused(forged(tmp_path, (b"a", entry(8, size=32)), (b"b", entry(8, offset=16, size=32))), "b overlaps")


def test_a_tensor_that_is_not_there(tmp_path: Path) -> None:
    refused(forged(tmp_path, (b"a", entry())), "has no tensor b", name="b")


def blocks_twice() -> bytes:
    content = block([HEADER, (b"a", entry())])
    return finished(closed(content), [(b"a", handle(0, len(content)))] * 2)


def long_keys() -> bytes:
    key = b"k" * 400
    grown = varint(400) + varint(113) + varint(0) + b"k" * 113
    content = varint(0) + varint(400) + varint(0) + key + grown + struct.pack("<II", 0, 1)
    return finished(closed(content), [(b"k", handle(0, len(content)))])


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (b"", ["last bytes"]),
        (bytes(100), ["last bytes"]),
        (table([[(b"a", entry())]]), ["no header"]),
        (table([[HEADER, (b"b", entry()), (b"a", entry())]]), ["keys are not in order"]),
        (table([[HEADER, (b"a", entry()), (b"a", entry())]]), ["keys are not in order"]),
        (table([[(b"", number(2, 1))]]), ["big endian"]),
        (table([[HEADER]], compression=1), ["compressed"]),
        (finished(b"", [(b"a", handle(10**6, 50))]), ["beyond the end"]),
        (finished(b"", [(b"a", handle(2**64 - 1, 2**64 - 1))]), ["beyond the end"]),
        (finished(closed(b"\0"), [(b"a", handle(0, 1))]), ["too short"]),
        (finished(closed(struct.pack("<I", 2**32 - 1)), [(b"a", handle(0, 4))]), ["too short"]),
        (finished(closed(b"\x05\x05\x05" + struct.pack("<II", 0, 1)), [(b"a", handle(0, 11))]), ["leaves it"]),
        (blocks_twice(), ["blocks are not in order"]),
        (long_keys(), ["513 bytes"]),
        (table([[HEADER, (b"\x1b[2J", entry())]]), [r"'\x1b[2J', which cannot be shown"]),
    ],
)
def test_an_index_that_lies(index: bytes, words: list[str], tmp_path: Path) -> None:
    refused(forged(tmp_path, index=index), ".index", *words)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = forged(tmp_path, *[(b"%d" % i, entry()) for i in range(10)])
    monkeypatch.setattr(tensor_bundle, "MAX_TENSORS", 10)
    refused(prefix, "more than 10 tensors")
    monkeypatch.setattr(tensor_bundle, "MAX_INDEX_BYTES", 10)
    refused(prefix, "more than an index")


def test_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*vector-1: .*vector-1\.index is missing"):
        open_bundle(tmp_path / "vector-1")
    prefix = forged(tmp_path, (b"a", entry(4, size=16)))
    (tmp_path / "vector-1.data-00000-of-00001").unlink()
    with pytest.raises(FileNotFoundError, match=r"vector-1\.data-00000-of-00001 is missing"):
        open_bundle(prefix)


# -- files that chance made


def read_all(prefix: Path) -> None:
    bundle = open_bundle(prefix)
    for name in bundle.entries:
        bundle.read(name)


def what_is_wrong(prefix: Path) -> str | None:
    """The sentence with which a checkpoint is refused; None if it is not. Nothing else may be raised."""
    try:
        read_all(prefix)
    except (ValueError, FileNotFoundError) as error:
        assert prefix.name in str(error)  # noqa: PT017
        return str(error)
    return None


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(REAL, tmp_path / "copy")
    return tmp_path / "copy" / "vector-6000"


@pytest.mark.parametrize("file", ["index", "data-00000-of-00001"])
def test_cut_off_at_any_place(copy: Path, file: str) -> None:
    path = copy.with_name(f"vector-6000.{file}")
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 61), len(whole) - 1, len(whole) - 48, len(whole) - 49}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="vector-6000"):
            read_all(copy)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_bit_that_flipped_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "flipped"
    shutil.copytree(REAL, folder, dirs_exist_ok=True)
    path = folder / data.draw(st.sampled_from(["vector-6000.index", "vector-6000.data-00000-of-00001"]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    if what_is_wrong(folder / "vector-6000") is None:
        # only what nothing depends on may change unseen: the block of filters, where it lies, and the footer's padding
        assert path.suffix == ".index"
        assert at >= len(content) - 48 or at in range(689, 702)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.binary(max_size=40)), max_size=6), st.binary(max_size=40)
)
def test_messages_of_chance(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[bytes, bytes]], header: bytes
) -> None:
    """With right checksums, so that they are really read."""
    ordered = [(b"", header), *sorted(dict(records).items())]
    prefix = forged(tmp_path_factory.getbasetemp(), index=table([ordered]))
    what_is_wrong(prefix)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=120), st.binary(max_size=60))
def test_blocks_of_chance(tmp_path_factory: pytest.TempPathFactory, content: bytes, places: bytes) -> None:
    content += struct.pack("<I", 0)
    out = closed(content)
    index = places + struct.pack("<II", 0, 1)
    for end in (
        finished(out, [(b"z", handle(0, len(content)))]),
        out + closed(index) + (handle(0, 0) + handle(len(out), len(index))).ljust(40, b"\0") + MAGIC,
    ):
        what_is_wrong(forged(tmp_path_factory.getbasetemp(), index=end))
