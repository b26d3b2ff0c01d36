"""Writing a file, or a new folder, so that it is either there whole or as it was before."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, that becomes `path` when the block ends well.

    What was written reaches the disk before the name does. When the block fails, or the process gets an exception, the
    temporary file is removed and whatever stood at `path` stays as it was.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or `path` is a folder or a device.
    """
    target = Path(os.path.realpath(path))  # through a symbolic link, which stays one
    if target.exists() and not target.is_file():
        raise OSError(f"{path} cannot be written: it is a folder or a device, not a file")
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        # Not tempfile: its files are private to their owner whatever the umask says, and this one is to be published.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {target.parent}") from None
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {_reason(error)}") from None
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(f"{path} could not be written: {_reason(error)}; what stood there before is kept") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync(target.parent)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` when the block ends well, and is removed when it fails.

    Raises:
        OSError: something other than an empty folder stands at `path`, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{path} exists and is not an empty folder: name another, or remove it")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {_reason(error)}") from None
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(f"{path} could not be written: {_reason(error)}") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync(target.parent)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _sync(path: Path) -> None:
    """Makes a file durable, or the names in a folder, where the file system lets it be synced."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if path.is_file() and error.errno in _FULL:
            raise
    finally:
        os.close(handle)
