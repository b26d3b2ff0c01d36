"""Compiling, keeping, loading and calling the C of native.c and tiles.h.

It is compiled once for a machine and kept in the user's cache folder. Where that cannot be done, `describe` says why,
and torch does everything itself.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("native.c")
PARTS = ("native.c", "tiles.h")  # all that is compiled
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC")
COMPILE_SECONDS = 120

# of native.c: what gives nothing back, and what says how many numbers of room, or threads, another needs
FUNCTIONS = (
    "pack", "affine", "dropout", "forward", "backward", "weight_gradient", "row_terms", "row_terms_back", "sample",
    "drop",
)  # fmt: skip
NUMBERS = (
    "affine_numbers", "scratch_numbers", "gradient_numbers", "terms_numbers", "sampler_numbers", "sampler_scratch",
    "threads_of_a_pass",
)  # fmt: skip


class Kernels(NamedTuple):
    """The compiled library for one number type, or why there is none."""

    library: ctypes.CDLL | None
    reason: str
    """What runs, or why it cannot."""
    panel_width: int = 0
    """Columns of a panel of packed weights."""


@cache
def kernels(dtype: torch.dtype = torch.float32) -> Kernels:
    """The kernels for float32 or float64 numbers, compiled if need be."""
    if dtype not in (torch.float32, torch.float64):
        return Kernels(None, f"the C kernels know float32 and float64, not {dtype}")
    if platform.system() == "Windows":
        return Kernels(None, "the C kernels are not built on Windows")
    command = compiler()
    if command is None:
        return Kernels(None, "no C compiler was found (cc, gcc or clang; CC names another)")
    try:
        library, version = _built(command, f"-DREAL_BITS={torch.finfo(dtype).bits}")
        for name in FUNCTIONS:
            getattr(library, name).restype = None
        for name in NUMBERS:
            getattr(library, name).restype = ctypes.c_long
        unit = ", with AMX" if library.use_tiles(1) else ""
        return Kernels(library, f"C kernels, compiled by {version}{unit}", library.panel_width())
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        last = (said or str(error)).strip().splitlines()[-1:]
        return Kernels(None, f"{shlex.join(command)} could not compile the C kernels: {' '.join(last)}")


def runs_on(tensor: Tensor) -> bool:
    """True where the kernels can take this tensor: on the CPU, compiled, and not turned off.

    Raises:
        ValueError: SKETCHRNN_BACKEND names a backend that does not exist.
    """
    return tensor.device.type == "cpu" and not _why_not(tensor.dtype)


def describe() -> str:
    """What computes the sequences of a model on the CPU, and why: one line for the log."""
    if reason := _why_not(torch.float32):
        return f"plain torch: {reason}"
    threads = torch.get_num_threads()
    return f"{kernels().reason}; {threads} thread{'s' * (threads != 1)}"


def call(
    name: str, like: Tensor, *arguments: int | float | Tensor | ctypes.Structure | ctypes.Array[Any] | None
) -> int:
    """A function of native.c for the number type of `like`; tensors go by address, and live until it is done."""
    library = kernels(like.dtype).library
    assert library is not None
    passed: list[Any] = []
    for argument in arguments:
        if isinstance(argument, int):
            passed.append(ctypes.c_long(argument))
        elif isinstance(argument, float):
            passed.append(ctypes.c_double(argument))
        elif isinstance(argument, Tensor):
            passed.append(ctypes.c_void_p(address(argument, like)))
        elif argument is None:
            passed.append(None)
        else:
            passed.append(ctypes.byref(argument))
    result: int = getattr(library, name)(*passed)
    return result


def struct(name: str, *members: str) -> type[ctypes.Structure]:
    """A struct of native.c: members are `name` for an address, `name:n` for a whole number, `name:x` for a real one."""
    kinds = {"": ctypes.c_void_p, "n": ctypes.c_long, "x": ctypes.c_double}
    parts = [member.partition(":") for member in members]
    return type(name, (ctypes.Structure,), {"_fields_": [(name, kinds[kind]) for name, _, kind in parts]})


def fill(kind: type[ctypes.Structure], like: Tensor, values: dict[str, Any]) -> ctypes.Structure:
    """A struct of tensors, which it keeps alive, and numbers; None leaves a member 0."""
    filled = kind()
    filled.kept = values
    for name, value in values.items():
        if value is not None:
            setattr(filled, name, address(value, like) if isinstance(value, Tensor) else value)
    return filled


def address(tensor: Tensor, like: Tensor) -> int:
    """Where the numbers of a tensor lie, for a function that reads those of the type of `like`."""
    if tensor.is_floating_point() and tensor.dtype != like.dtype:  # C would read it as what it is not
        raise ValueError(f"numbers of {tensor.dtype} and {like.dtype} do not go together")
    assert tensor.device == like.device
    return tensor.data_ptr()


def asked_backend() -> str:
    """What SKETCHRNN_BACKEND asks for: `native` (C), `triton`, `plain`, or nothing.

    Raises:
        ValueError: it names a backend that does not exist.
    """
    asked = os.environ.get("SKETCHRNN_BACKEND", "")
    if asked not in ("", "native", "triton", "plain"):
        raise ValueError(f"SKETCHRNN_BACKEND is {asked!r}; it must be native, triton or plain")
    return asked


def _why_not(dtype: torch.dtype) -> str:
    """Why the kernels do not run; empty where they do."""
    if (asked := asked_backend()) in ("plain", "triton"):
        return f"SKETCHRNN_BACKEND is {asked}"
    compiled = kernels(dtype)
    return "" if compiled.library is not None else compiled.reason


def compiler() -> list[str] | None:
    """The command of a C compiler."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        with suppress(ValueError):  # a quote in CC that is not closed
            command = shlex.split(name)
            if command and shutil.which(command[0]):
                return command
    return None


def _built(command: list[str], bits: str) -> tuple[ctypes.CDLL, str]:
    """The library, from the cache or compiled anew, and the name of the compiler."""
    version = (_output([*command, "--version"]).splitlines() or [shlex.join(command)])[0]
    source = "".join(SOURCE.with_name(part).read_text("utf-8") for part in PARTS)
    key = _digest("\n".join([shlex.join(command), version, bits, *FLAGS, _processor(), source]).encode())
    folder = _cache_folder()
    for kept in folder.glob(f"native-{key}-*.so") if folder else ():
        if kept.stem.endswith(_digest(kept.read_bytes())):  # else it is cut off, and loading it would end the process
            return ctypes.CDLL(str(kept)), version
    with tempfile.TemporaryDirectory(dir=folder) as room:
        fresh = Path(room) / "native.so"
        compiling = [*command, *FLAGS, bits, "-o", str(fresh), str(SOURCE), "-lm"]
        try:
            _output([*compiling, "-fopenmp"])
        except subprocess.CalledProcessError:  # clang without its OpenMP library: one thread
            _output(compiling)
        library = ctypes.CDLL(str(fresh))
        if folder:
            os.replace(fresh, folder / f"native-{key}-{_digest(fresh.read_bytes())}.so")
    return library, version


def _cache_folder() -> Path | None:
    """Where what was compiled is kept; None where no folder is ours alone to write to: each process compiles anew."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sketchrnn"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    ours = about.st_uid == os.getuid() and not about.st_mode & 0o022
    return folder if ours and os.access(folder, os.W_OK) else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=True)
    return done.stdout


def _processor() -> str:
    """What -march=native depends on: a cache may lie in a home that several machines share."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() + platform.machine()
    return "".join(line for line in dict.fromkeys(lines) if line.startswith(("flags", "Features", "model name")))
