"""Named sources: KanjiVG as installed, and downloads from a real HTTP server that misbehaves."""

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WebServer

from sketchrnn import formats
from sketchrnn.data.sources import download, download_folder, kanjivg, quickdraw_classes
from sketchrnn.drawing import Drawing


def npz_bytes(tmp_path: Path, num_drawings: int = 3) -> bytes:
    rng = np.random.default_rng(0)
    rows = [rng.integers(-20, 20, (30, 3)) * [1, 1, 0] for _ in range(num_drawings)]
    formats.write([Drawing(r) for r in rows], tmp_path / "made.npz")
    content = (tmp_path / "made.npz").read_bytes()
    (tmp_path / "made.npz").unlink()
    return content


@pytest.fixture
def mirror(web_server: WebServer, tmp_path: Path) -> WebServer:
    web_server.files["/sketchrnn/cat.npz"] = npz_bytes(tmp_path)
    return web_server


def fetch(mirror: WebServer, out: Path, name: str = "cat", **given: Any) -> Path:
    [path] = download([name], out=out, base=mirror.base, pause=0, **given)
    return path


def only_file(folder: Path) -> str:
    [path] = folder.iterdir()
    return path.name


def test_the_classes_are_those_of_the_data_set() -> None:
    classes = quickdraw_classes()
    assert len(classes) == len(set(classes)) == 345
    assert {"cat", "The Eiffel Tower", "t-shirt", "hot air balloon"} <= set(classes)


def test_a_file_is_fetched_once(mirror: WebServer, tmp_path: Path) -> None:
    path = fetch(mirror, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "cat.npz"
    assert path.read_bytes() == mirror.files["/sketchrnn/cat.npz"]
    assert fetch(mirror, path.parent) == path
    assert len(mirror.requests) == 1
    assert only_file(path.parent) == "cat.npz"


def test_the_forms_and_names_with_spaces(mirror: WebServer, tmp_path: Path) -> None:
    line = b'{"word":"hot dog","drawing":[[[0,9],[0,9]]]}\n'
    raw = b'{"word":"hot dog","drawing":[[[0,9],[0,9],[0,7]]]}\n'
    formats.write([Drawing([[0, 0, 0], [9, 9, 1]])], tmp_path / "made.bin")
    mirror.files |= {
        "/full/simplified/hot dog.ndjson": line,
        "/full/raw/hot dog.ndjson": raw,
        "/full/binary/hot dog.bin": (tmp_path / "made.bin").read_bytes(),
    }
    out = tmp_path / "out"
    assert fetch(mirror, out, "hot dog", form="simplified", progress=True).read_bytes() == line
    assert fetch(mirror, out, "hot dog", form="raw").read_bytes() == raw
    assert fetch(mirror, out, "hot dog", form="binary").name == "hot dog.bin"
    assert mirror.requests[0][0] == "/full/simplified/hot%20dog.ndjson"


def test_a_broken_connection_is_resumed(mirror: WebServer, tmp_path: Path) -> None:
    mirror.cut_after = [100, 50]
    path = fetch(mirror, tmp_path / "out")
    assert path.read_bytes() == mirror.files["/sketchrnn/cat.npz"]
    assert [asked for _, asked in mirror.requests] == [None, "bytes=100-", "bytes=150-"]


def test_the_next_call_continues_what_one_left(mirror: WebServer, tmp_path: Path) -> None:
    mirror.cut_after = [40] * 5
    with pytest.raises(OSError, match=r"could not be downloaded in 5 tries .* run the same again to continue"):
        fetch(mirror, tmp_path / "out")
    assert not (tmp_path / "out" / "cat.npz").exists()
    assert fetch(mirror, tmp_path / "out").read_bytes() == mirror.files["/sketchrnn/cat.npz"]
    assert mirror.requests[-1][1] == "bytes=200-"
    assert only_file(tmp_path / "out") == "cat.npz"


def test_a_file_that_changed_meanwhile_is_fetched_anew(mirror: WebServer, tmp_path: Path) -> None:
    mirror.cut_after = [40] * 5
    with pytest.raises(OSError, match="5 tries"):
        fetch(mirror, tmp_path / "out")
    mirror.files["/sketchrnn/cat.npz"], mirror.etag = npz_bytes(tmp_path, 9), '"two"'
    assert fetch(mirror, tmp_path / "out").read_bytes() == mirror.files["/sketchrnn/cat.npz"]


def test_a_part_that_is_whole_already_does_not_stand_in_the_way(mirror: WebServer, tmp_path: Path) -> None:
    (tmp_path / ".part.cat.npz").write_bytes(mirror.files["/sketchrnn/cat.npz"])
    (tmp_path / ".part.cat.npz.etag").write_text('"one"')
    assert fetch(mirror, tmp_path).read_bytes() == mirror.files["/sketchrnn/cat.npz"]


def test_another_part_than_the_missing_one_is_not_taken(mirror: WebServer, tmp_path: Path) -> None:
    mirror.cut_after, mirror.wrong_start = [100], [7]
    assert fetch(mirror, tmp_path / "out").read_bytes() == mirror.files["/sketchrnn/cat.npz"]
    assert [asked for _, asked in mirror.requests] == [None, "bytes=100-", None]


@pytest.mark.parametrize("etag", [None, '"one"'])
def test_a_server_without_ranges_or_etags(mirror: WebServer, tmp_path: Path, etag: str | None) -> None:
    mirror.ranges, mirror.etag, mirror.cut_after = False, etag, [100, 100]
    assert fetch(mirror, tmp_path / "out").read_bytes() == mirror.files["/sketchrnn/cat.npz"]


def test_a_server_that_is_busy_is_asked_again(mirror: WebServer, tmp_path: Path) -> None:
    mirror.statuses = [503, 429, 500]
    assert fetch(mirror, tmp_path / "out").exists()
    assert len(mirror.requests) == 4


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final(mirror: WebServer, tmp_path: Path, status: int) -> None:
    mirror.statuses = [status]
    with pytest.raises(OSError, match=rf"/sketchrnn/cat.npz answers {status}"):
        fetch(mirror, tmp_path / "out")
    assert len(mirror.requests) == 1


@pytest.mark.parametrize("more", [7, -7])
def test_a_wrong_length_is_never_taken_for_whole(mirror: WebServer, tmp_path: Path, more: int) -> None:
    mirror.wrong_length = more
    with pytest.raises((OSError, ValueError), match=r"cat.npz"):
        fetch(mirror, tmp_path / "out")
    assert not (tmp_path / "out" / "cat.npz").exists()


def test_a_wrong_checksum_is_noticed(mirror: WebServer, tmp_path: Path) -> None:
    content = mirror.files["/sketchrnn/cat.npz"]
    mirror.headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={base64.b64encode(hashlib.md5(b'other').digest()).decode()}"
    with pytest.raises(ValueError, match="came damaged, its checksum is wrong"):
        fetch(mirror, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    mirror.headers["x-goog-hash"] = f"md5={base64.b64encode(hashlib.md5(content).digest()).decode()}"
    assert fetch(mirror, tmp_path / "out").exists()


def cut_off_zip() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("train.npy", bytes(5000))
    return whole.getvalue()[:3000]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<!DOCTYPE html><html><title>403 Forbidden</title></html>", "answers with a web page instead of a file"),
        (b"\n <HTML><body>log in</body></HTML>", "answers with a web page"),
        (cut_off_zip(), "cut off or no .npz file"),
        (b"{}", "cut off or no .npz file"),
        (b"", "cut off or no .npz file"),
    ],
)
def test_what_is_no_npz_is_recognised(mirror: WebServer, tmp_path: Path, content: bytes, why: str) -> None:
    mirror.files["/sketchrnn/cat.npz"] = content
    with pytest.raises(ValueError, match=why):
        fetch(mirror, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("content", [b'{"word":"cat","drawing":[[[0,9],[0', b'{"some": "json"}\n', b"403\n"])
def test_what_is_no_ndjson_is_recognised(mirror: WebServer, tmp_path: Path, content: bytes) -> None:
    mirror.files["/full/simplified/cat.ndjson"] = content
    with pytest.raises(ValueError, match=r"what came from .*cat.ndjson"):
        fetch(mirror, tmp_path / "out", form="simplified")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no class 'kat'; .*345"):
        download(["kat"], out=tmp_path)
    with pytest.raises(ValueError, match="no form is called 'svg'; there are sketch-rnn"):
        download(["cat"], out=tmp_path, form="svg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must begin with https"):
        download(["cat"], out=tmp_path, base="mirror/quickdraw")
    with pytest.raises(ValueError, match=r"address is .*, which is none"):
        download(["cat"], out=tmp_path, base="http://[::1")


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not be downloaded in 5 tries"):
        download(["cat"], out=tmp_path, base="http://127.0.0.1:9", pause=0)


def test_a_folder_that_cannot_be_written(mirror: WebServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        fetch(mirror, tmp_path / "file" / "out")


def test_where_downloads_are_kept(mirror: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download_folder() == tmp_path / "sketchrnn" / "quickdraw"
    assert download(["cat"], base=mirror.base) == [download_folder() / "cat.npz"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert download_folder() == Path.home() / ".cache" / "sketchrnn" / "quickdraw"


def test_kanjivg_is_found_where_it_is_installed() -> None:
    pytest.importorskip("kanji", reason="the extra `demo` is not installed")
    found = kanjivg()
    assert len(found) > 6000
    characters = [character for _, character in found]
    assert len(set(characters)) == len(characters)
    assert "一" in characters
    assert "あ" not in characters
    path, character = found[0]
    assert path.stem == f"{ord(character):05x}"
    assert path.exists()


def test_kanjivg_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "sketchrnn\[demo\]"'):
        kanjivg()
