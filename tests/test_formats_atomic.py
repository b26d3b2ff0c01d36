"""A file is there whole or as it was before."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sketchrnn.formats.atomic import atomic_file, atomic_folder


def test_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_file(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_obeys_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"), atomic_file(tmp_path / "missing/a"):
        pass


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(NotADirectoryError, match="cannot be written: not a directory"),
        atomic_file(tmp_path / "file/a"),
    ):
        pass


def test_unwritable_folder() -> None:
    with pytest.raises(OSError, match=r"/proc/self/a\.svg cannot be written"), atomic_file("/proc/self/a.svg"):
        pass


def test_a_folder_or_device_is_not_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match="not a file"), atomic_file(path):
            pass


def test_symbolic_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with atomic_file(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_file(tmp_path / "a"):
        Path("/elsewhere").read_text()
    assert os.listdir(tmp_path) == []


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the write fails in the middle."""
    (tmp_path / "a").write_text("old")
    program = """
import resource, sys
from sketchrnn.formats.atomic import atomic_file, atomic_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    with atomic_file(sys.argv[1]) as temporary:
        temporary.write_bytes(bytes(20_000))
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], capture_output=True, text=True)
    assert "could not be written: file too large; what stood there before is kept" in done.stdout, done.stderr
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "not there yet" / "out"
    with atomic_folder(target) as temporary:
        (temporary / "a.txt").write_text("new")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "new"
    assert os.listdir(target.parent) == ["out"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="nothing else tells the name of an open file")
def test_all_that_is_in_a_folder_reaches_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def listening(handle: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", listening)
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "a.txt").write_text("a")
        (temporary / "inner" / "b.txt").write_text("b")
    assert sorted(synced[:-1]) == ["a.txt", "b.txt", "inner"]
    assert synced[-1] == tmp_path.name


def test_a_folder_that_failed_is_gone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    def fail() -> None:
        with atomic_folder(tmp_path / "out") as temporary:
            (temporary / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == []


def test_a_folder_takes_the_place_of_an_empty_one_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as temporary:
        (temporary / "a.txt").write_text("new")
    with (
        pytest.raises(FileExistsError, match="empty exists and is not an empty folder: name another"),
        atomic_folder(tmp_path / "empty"),
    ):
        pass
    assert (tmp_path / "empty" / "a.txt").read_text() == "new"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file/out cannot be written"), atomic_folder(tmp_path / "file" / "out"):
        pass
