"""Files from strangers, in the process that reads them."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from sketchrnn.web import app


def read(name: str, content: bytes, *fit: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "sketchrnn.web.reader", name, *fit], input=content, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_reads_and_fits() -> None:
    content = b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0C50 0 50 50 0 50" stroke="red"/></svg>'
    [plain] = read("a.svg", content)["drawings"]
    [fitted] = read("a.svg", content, "255", "10")["drawings"]
    assert len(fitted["lines"][0]) <= 10 < len(plain["lines"][0])
    assert np.ptp(fitted["lines"][0], axis=0).max() == 255
    group = b'<g class="drawing" transform="scale(2)"><path d="M0 0L5 5"/></g>'
    own = b'<svg xmlns="http://www.w3.org/2000/svg" data-sketchrnn="">' + group + b"</svg>"
    assert read("a.svg", own, "255", "10")["drawings"] == [{"lines": [[[0, 0], [5, 5]]]}]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sketchrnn.web.reader as reader; reader.MEMORY = 2**30; reader._bound(); import numpy;numpy.ones(2**28)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


async def answer(name: str, content: bytes) -> Any:
    return await app._read(name, content, [])


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(app, "READ_SECONDS", 0.001)
    assert "takes too long" in asyncio.run(answer("a.svg", b"<svg/>"))["error"]


def test_too_many_points() -> None:
    rows = json.dumps({"drawing": [[list(range(2000)), list(range(2000))]]}).encode() + b"\n"
    assert "100,000 points" in read("a.ndjson", rows * 51)["error"]
