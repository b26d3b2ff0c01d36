"""TensorFlow's tensor bundle, the format of its checkpoints, read without TensorFlow.

A checkpoint `PREFIX` is two kinds of file:

* `PREFIX.index`, a sorted string table as LevelDB writes them: blocks of keys and values, then a block that says where
  those blocks lie, then a footer of 48 bytes that says where that one lies. The key "" holds the header; every other
  key is a tensor's name, and its value says of which type and shape it is and where its numbers lie. The values are
  protocol buffers. Blocks and tensors carry a CRC-32C;
* `PREFIX.data-00000-of-00001` and so on: the numbers.

Files come from strangers: every length and offset is checked before it is used, what is read never exceeds what the
files hold, and whatever is wrong is a ValueError that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_INDEX_BYTES = 2**24  # the largest of the reference's takes 50 kB
MAX_TENSORS = 2**16
MAX_NAME = 512  # bytes
MAX_DIMENSIONS = 8

FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # of TensorFlow's DataType, those that are read here


@dataclass(frozen=True)
class Entry:
    """What the index says of a tensor."""

    dtype: int
    """TensorFlow's DataType."""
    shape: tuple[int, ...]
    shard: int
    """The data file that holds it."""
    offset: int
    size: int
    """Its place there, in bytes."""
    crc: int
    """Masked CRC-32C of these bytes."""
    sliced: bool
    """It is stored in parts under other names."""


@dataclass(frozen=True)
class TensorBundle:
    """A checkpoint that was opened: names and places, no numbers yet."""

    prefix: Path
    num_shards: int
    entries: Mapping[str, Entry]

    def read(self, name: str) -> NDArray[Any]:
        """The tensor called `name`.

        Raises:
            ValueError: there is none, it is of a type or in a form that is not read, or its bytes are damaged.
        """
        where = f"{self.prefix}.index: {name}"
        if name not in self.entries:
            raise ValueError(f"{self.prefix}.index has no tensor {name}")
        entry = self.entries[name]
        if entry.sliced:
            raise ValueError(f"{where} is stored in slices; save the checkpoint without a partitioner")
        if entry.dtype not in TYPES:
            raise ValueError(f"{where} is of TensorFlow's type {entry.dtype}, which holds no weights")
        dtype = np.dtype(TYPES[entry.dtype])
        count = 1
        for size in entry.shape:  # of any length: no overflow
            count *= size
        if count * dtype.itemsize != entry.size:
            raise ValueError(f"{where} has {entry.size:,} bytes, which do not make {entry.shape} of {dtype}")
        file = self.data_file(entry.shard)
        with open(file, "rb") as opened:
            opened.seek(entry.offset)
            data = opened.read(entry.size)
        if len(data) != entry.size:
            raise ValueError(f"{file} ends within {name}: it is cut off")
        if masked_crc32c(data) != entry.crc:
            raise ValueError(f"{file}: {name} is damaged, its checksum differs")
        return np.frombuffer(data, dtype).reshape(entry.shape)

    def data_file(self, shard: int) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}.data-{shard:05d}-of-{self.num_shards:05d}")


def open_bundle(prefix: str | Path) -> TensorBundle:
    """Reads the index of the checkpoint `prefix` and checks that every tensor lies within its data file.

    Raises:
        FileNotFoundError: a file of the checkpoint is missing.
        ValueError: the index is damaged or no index, or a data file is cut off.
    """
    prefix = Path(prefix)
    file = prefix.with_name(f"{prefix.name}.index")
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint {prefix}: {file} is missing")
    if file.stat().st_size > MAX_INDEX_BYTES:
        raise ValueError(f"{file} has {file.stat().st_size:,} bytes, more than an index of weights needs")
    try:
        records = list(_records(file.read_bytes()))
        if not records or records[0][0] != b"":
            raise ValueError("it has no header")
        bundle = TensorBundle(prefix, _num_shards(records[0][1]), dict(_named(records[1:])))
    except ValueError as error:
        raise ValueError(f"{file} is no index of a TensorFlow checkpoint, or is damaged: {error}") from None
    _check_places(bundle)
    return bundle


def _named(records: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, Entry]]:
    for key, value in records:
        name = key.decode("utf-8", "backslashreplace")
        if not name.isprintable():
            raise ValueError(f"a tensor is called {name!r}, which cannot be shown")
        try:
            yield name, _entry(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _check_places(bundle: TensorBundle) -> None:
    """Every tensor within its file, and no byte in two of them: so all together are no larger than the files."""
    ends: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for name, entry in sorted(bundle.entries.items(), key=lambda item: (item[1].shard, item[1].offset, item[1].size)):
        if entry.sliced:  # its parts have their own places
            continue
        if not 0 <= entry.shard < bundle.num_shards:
            raise ValueError(f"{bundle.prefix}.index: {name} is in data file {entry.shard} of {bundle.num_shards}")
        file = bundle.data_file(entry.shard)
        if entry.shard not in sizes:
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing: a checkpoint is its .index and all its .data files")
            sizes[entry.shard] = file.stat().st_size
        if entry.offset < ends.get(entry.shard, 0):
            raise ValueError(f"{bundle.prefix}.index: {name} overlaps another tensor")
        ends[entry.shard] = entry.offset + entry.size
        if ends[entry.shard] > sizes[entry.shard]:
            raise ValueError(f"{file} ends at byte {sizes[entry.shard]:,}, before or within {name}: it is cut off")


# -- the table


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys, each greater than the one before, and values of a table."""
    footer = data[-FOOTER:]
    if len(footer) < FOOTER or footer[-8:] != MAGIC:
        raise ValueError("its last bytes are not a table's; it may be cut off")
    at = 0
    for _ in range(2):  # where a block of filters lies, which nobody needs
        _, at = _varint(footer, at)
    index, at = _handle(footer, at)
    before, end, count = b"", 0, 0
    for _, place in _block(data, *index):
        start, size = _handle(place, 0)[0]
        if start < end:  # each block once, or a small file could be read without end
            raise ValueError("its blocks are not in order")
        end = start + size
        for key, value in _block(data, start, size):
            count += 1
            if count > 1 and key <= before:
                raise ValueError("its keys are not in order")
            if count > MAX_TENSORS:
                raise ValueError(f"it names more than {MAX_TENSORS:,} tensors")
            before = key
            yield key, value


def _block(data: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of the block at `start`. After it stand one byte, how it is compressed, and its checksum."""
    end = start + size
    if end + 5 > len(data) - FOOTER:
        raise ValueError(f"a block ends at byte {end:,}, beyond the end")
    if masked_crc32c(data[start : end + 1]) != int.from_bytes(data[end + 1 : end + 5], "little"):
        raise ValueError(f"the checksum of the block at byte {start:,} differs")
    if data[end] != 0:
        raise ValueError("it is compressed, which TensorFlow's checkpoints are not")
    block = data[start:end]
    # keys share their beginnings with the one before; the places where they do not are listed at the end
    restarts = int.from_bytes(block[-4:], "little")
    stop = len(block) - 4 * restarts - 4
    if stop < 0:
        raise ValueError(f"the block at byte {start:,} is too short")
    at, key = 0, b""
    while at < stop:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + added + length > stop:
            raise ValueError(f"the block at byte {start:,} has a key or a value that leaves it")
        if shared + added > MAX_NAME:
            raise ValueError(f"it has a name of {shared + added:,} bytes, more than {MAX_NAME}")
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Start and size of a block, and where reading goes on."""
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return (start, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number below 2^64 in groups of seven bits, the lowest first, and where reading goes on."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at
    raise ValueError("it has a number of more than 64 bits")


# -- the messages


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer: number, and an int or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a message has a field of kind {kind}")
        if at + length > len(message):
            raise ValueError("a message is cut off")
        data = message[at : at + length]
        at += length
        yield number, data if kind == 2 else int.from_bytes(data, "little")


def _whole(value: Any, most: int) -> int:
    if not isinstance(value, int) or value > most:  # a negative one reads as 2^64 and less
        raise ValueError("a message has a field of another type or beyond its range")
    return value


def _part(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a message has a field of another type")
    return value


def _num_shards(message: bytes) -> int:
    """Of a BundleHeaderProto; the order of bytes must be little endian."""
    num_shards = 1
    for number, value in _fields(message):
        if number == 1:
            num_shards = _whole(value, 99_999)
        elif number == 2 and value != 0:
            raise ValueError("its numbers are big endian, as no machine of today writes them")
    return num_shards


def _entry(message: bytes) -> Entry:
    """A BundleEntryProto; what it leaves out is 0."""
    values = dict.fromkeys((1, 3, 4, 5, 6), 0)
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in _fields(message):
        if number in values:
            values[number] = _whole(value, 2**32 - 1 if number in (1, 3, 6) else 2**62)
        elif number == 2:
            shape = _shape(_part(value))
        elif number == 7:
            sliced = True
    return Entry(values[1], shape, values[3], values[4], values[5], values[6], sliced)


def _shape(message: bytes) -> tuple[int, ...]:
    """A TensorShapeProto."""
    sizes = []
    for number, value in _fields(message):
        if number == 2:
            given = [size for field, size in _fields(_part(value)) if field == 1]
            sizes.append(_whole(given[-1], 2**40) if given else 0)
            if len(sizes) > MAX_DIMENSIONS:
                raise ValueError(f"a shape has more than {MAX_DIMENSIONS} dimensions")
        elif number == 3 and value:
            raise ValueError("a shape is unknown")
    return tuple(sizes)


# -- CRC-32C (Castagnoli), which Python has not; Koopman (2002) for the polynomial, RFC 3720 for the test vectors


def masked_crc32c(data: bytes) -> int:
    """The checksum as it is stored: turned by 15 bits and shifted, so that a checksum of checksums is not trivial."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes.

    A CRC is linear over the bits. So the data are cut into rows of one length, all rows go forward together byte by
    byte, and then two and two are joined: crc(a b) = crc(a 0...0) xor crc(b), with as many zeros as b has bytes.
    """
    total = len(data) + len(_ONES)
    rows = 1 << (total.bit_length() // 2)
    length = -(-total // rows)
    padded = np.zeros((rows + 32, length), np.uint8)
    padded[:rows].reshape(-1)[rows * length - total :] = np.frombuffer(
        _ONES + data, np.uint8
    )  # zeros before: no change
    # 32 rows more, of zeros, begin with a single bit each: what becomes of it is how a row's zeros move that bit
    crc = np.concatenate([np.zeros(rows, np.uint32), _BITS])
    for column in np.ascontiguousarray(padded.T):
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc, zeros = crc[:rows], crc[rows:]
    while len(crc) > 1:
        crc = _moved(crc[0::2], zeros) ^ crc[1::2]
        zeros = _moved(zeros, zeros)
    return int(crc[0]) ^ 0xFFFFFFFF


def _moved(crc: NDArray[np.uint32], by: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(n,) checksums after the zeros that move bit k to `by[k]`."""
    moved = np.zeros_like(crc)
    for k in range(32):
        moved ^= np.where(crc & _BITS[k], by[k], np.uint32(0))
    return moved


def _table() -> NDArray[np.uint32]:
    """What each byte adds."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_BITS = np.uint32(1) << np.arange(32, dtype=np.uint32)
_TABLE = _table()
_ONES = bytes.fromhex("54641f64")  # brings a checksum from 0 to the 0xffffffff with which it begins
