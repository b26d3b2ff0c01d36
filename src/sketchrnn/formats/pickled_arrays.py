"""The pickled object arrays inside npz files, read by an interpreter that has nothing to run.

`numpy.save` pickles an array of objects, and a pickle is a program: the pickle module calls whatever the file names.
Here the few instructions that numpy's arrays need are carried out on tuples, lists, numbers and bytes. The five names
that such a file may hold stand for code on this page; any other ends the reading. Work and memory are bounded by the
length of the file, which the pickle module does not promise either (one instruction can claim any amount).

Instructions: the source of Python's pickletools. State of arrays and dtypes: numpy's ndarray.__reduce__.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Item = NDArray[Any] | list[Any]


class _Name(Enum):
    RECONSTRUCT = "numpy's function that makes an empty array"
    NDARRAY = "its argument"
    DTYPE = "numpy's dtype"
    ENCODE = "text to bytes, which is how Python 3 writes bytes for Python 2"
    BYTES = "bytes without any, likewise"


_NAMES = {
    "numpy.core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy ndarray": _Name.NDARRAY,
    "numpy dtype": _Name.DTYPE,
    "_codecs encode": _Name.ENCODE,
    "__builtin__ bytes": _Name.BYTES,
}
_MAKING = frozenset(b"qr\x94]t\x85\x86\x87R")  # BINPUT, LONG_BINPUT, MEMOIZE, EMPTY_LIST, TUPLE*, REDUCE
CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "O8", "O4", "O")


class _Dtype:
    """A dtype under construction."""

    def __init__(self, code: Any) -> None:
        self.code = _text(code)
        if self.code not in CODES:
            raise ValueError(f"its arrays are of dtype {self.code[:20]!r}, not of numbers")
        self.order = "="

    def set_state(self, state: tuple[Any, ...]) -> None:
        order = _text(state[1])
        if order not in "<>|=":
            raise ValueError(f"its arrays have byte order {order[:20]!r}")
        self.order = order


class _Array:
    """An array under construction: `value` is a list of items, or an array of numbers."""

    def __init__(self) -> None:
        self.value: Item = []

    def set_state(self, state: tuple[Any, ...]) -> None:
        if len(state) != 5:
            raise TypeError
        _, shape, dtype, by_columns, content = state
        if dtype.code.startswith("O"):
            if not isinstance(content, list):
                raise ValueError("an array of objects has no list of them")
            self.value = content
        else:
            content = content.encode("latin1") if isinstance(content, str) else content
            try:
                flat = np.frombuffer(content, np.dtype(dtype.order + dtype.code))
                self.value = flat.reshape(shape, order="F" if by_columns else "C")
            except ValueError:
                raise ValueError("an array has another shape than it has numbers for") from None


def load(data: bytes, start: int = 0) -> list[Any]:
    """The items of the pickled object array in `data` from `start`: arrays of numbers, where it holds drawings.

    Raises:
        ValueError: it is damaged, is no array of objects, or names something other than arrays.
    """
    try:
        result = _run(data, start)
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeError, OverflowError, struct.error):
        raise ValueError("its pickled arrays are damaged or cut off") from None
    if not isinstance(result, _Array) or not isinstance(result.value, list):
        raise ValueError("its pickle is not an array of drawings")
    return [item.value if isinstance(item, _Array) else item for item in result.value]


def _run(data: bytes, at: int) -> Any:
    """Carries out the instructions up to STOP; the comments are their names in pickletools."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    encoded = 0
    makes = 1000 + (len(data) - at) // 3  # an array without a point has eleven of them, in forty bytes and more

    def take(length: int) -> bytes:
        nonlocal at
        if length < 0 or at + length > len(data):
            raise IndexError
        at += length
        return data[at - length : at]

    def number(form: str, size: int) -> int:
        return struct.unpack(form, take(size))[0]

    def line() -> str:
        text = take(data.find(b"\n", at, at + 200) - at).decode("ascii")  # not found is a negative length
        take(1)
        return text

    while True:
        op = data[at]
        at += 1
        if op in _MAKING:
            makes -= 1
            if makes < 0:
                raise ValueError("its pickle makes more objects than drawings of its length need")
        match op:
            case 0x71:  # BINPUT
                memo[data[at]] = stack[-1]
                at += 1
            case 0x72:  # LONG_BINPUT
                memo[number("<I", 4)] = stack[-1]
            case 0x94:  # MEMOIZE
                memo[len(memo)] = stack[-1]
            case 0x68:  # BINGET
                stack.append(memo[data[at]])
                at += 1
            case 0x6A:  # LONG_BINGET
                stack.append(memo[number("<I", 4)])
            case 0x4B:  # BININT1
                stack.append(data[at])
                at += 1
            case 0x4D:  # BININT2
                stack.append(number("<H", 2))
            case 0x4A:  # BININT
                stack.append(number("<i", 4))
            case 0x8A:  # LONG1
                stack.append(int.from_bytes(take(data[at] + 1)[1:], "little", signed=True))
            case 0x4E:  # NONE
                stack.append(None)
            case 0x88 | 0x89:  # NEWTRUE, NEWFALSE
                stack.append(op == 0x88)
            case 0x55 | 0x43:  # SHORT_BINSTRING, SHORT_BINBYTES
                stack.append(take(data[at] + 1)[1:])
            case 0x54 | 0x42:  # BINSTRING, BINBYTES
                stack.append(take(number("<I", 4)))
            case 0x8E:  # BINBYTES8
                stack.append(take(number("<Q", 8)))
            case 0x8C:  # SHORT_BINUNICODE
                stack.append(str(take(data[at] + 1)[1:], "utf-8"))
            case 0x58:  # BINUNICODE
                stack.append(str(take(number("<I", 4)), "utf-8"))
            case 0x28:  # MARK
                marks.append(len(stack))
            case 0x74:  # TUPLE
                mark = marks.pop()
                stack[mark:] = [tuple(stack[mark:])]
            case 0x85 | 0x86 | 0x87:  # TUPLE1, TUPLE2, TUPLE3
                if len(stack) < op - 0x84:
                    raise IndexError
                stack[0x84 - op :] = [tuple(stack[0x84 - op :])]
            case 0x29:  # EMPTY_TUPLE
                stack.append(())
            case 0x5D:  # EMPTY_LIST
                stack.append([])
            case 0x65:  # APPENDS
                mark = marks.pop()
                items = stack[mark:]
                del stack[mark:]
                _list(stack[-1]).extend(items)
            case 0x61:  # APPEND
                item = stack.pop()
                _list(stack[-1]).append(item)
            case 0x63:  # GLOBAL
                stack.append(_named(f"{line()} {line()}"))
            case 0x93:  # STACK_GLOBAL
                name = stack.pop()
                stack[-1] = _named(f"{_text(stack[-1])} {_text(name)}")
            case 0x52:  # REDUCE
                arguments = stack.pop()
                if stack[-1] is _Name.ENCODE:
                    encoded += len(arguments[0])
                    if encoded > len(data):  # the same text over and over: more memory than the file's length
                        raise ValueError("its pickled arrays repeat themselves beyond the file's length")
                stack[-1] = _call(stack[-1], arguments)
            case 0x62:  # BUILD
                state = stack.pop()
                stack[-1].set_state(state)
            case 0x80:  # PROTO
                at += 1
            case 0x95:  # FRAME
                at += 8
            case 0x2E:  # STOP
                return stack.pop()
            case _:
                raise ValueError(f"its pickle has an instruction (0x{op:02x}) that arrays of numbers do not need")


def _named(name: str) -> _Name:
    if name not in _NAMES:
        raise ValueError(
            f"its pickle names {name.replace(' ', '.')[:80]}, which drawings do not need; nothing of it was run"
        )
    return _NAMES[name]


def _call(name: Any, arguments: tuple[Any, ...]) -> Any:
    if name is _Name.RECONSTRUCT:
        return _Array()
    if name is _Name.DTYPE:
        return _Dtype(arguments[0])
    if name is _Name.ENCODE:
        return arguments[0].encode("latin1")
    if name is _Name.BYTES and arguments == ():
        return b""
    raise TypeError


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise TypeError
    return value.decode("ascii") if isinstance(value, bytes) else value
