"""Files from strangers, in the process that reads them."""

import json
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from sketchrnn.web import answers
from sketchrnn.web.reader import answer
from sketchrnn.web.server import Server


def test_it_is_a_process_of_its_own() -> None:
    content = b'{"drawing": [[[0, 3], [0, 4]]]}\n'
    done = subprocess.run(
        [sys.executable, "-m", "sketchrnn.web.reader", "a.ndjson"], input=content, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (
        json.loads(done.stdout)
        == answer(content, "a.ndjson")
        == {"drawings": [{"lines": [[[0, 0], [3, 4]]]}], "left_out": 0}
    )


def test_it_reads_and_fits() -> None:
    content = b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0C50 0 50 50 0 50" stroke="red"/></svg>'
    [plain] = answer(content, "a.svg")["drawings"]
    [fitted] = answer(content, "a.svg", "255", "10")["drawings"]
    assert len(fitted["lines"][0]) <= 10 < len(plain["lines"][0])
    assert np.ptp(fitted["lines"][0], axis=0).max() == 255
    group = b'<g class="drawing" transform="scale(2)"><path d="M0 0L5 5"/></g>'
    own = b'<svg xmlns="http://www.w3.org/2000/svg" data-sketchrnn="">' + group + b"</svg>"
    assert answer(own, "a.svg", "255", "10")["drawings"] == [{"lines": [[[0, 0], [5, 5]]]}]


def test_what_is_begun_keeps_its_place_on_its_sheet() -> None:
    content = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 50"><path d="M50 20V40" stroke="red"/></svg>'
    assert answer(content, "a.svg", "200", "10", "begun")["drawings"] == [{"lines": [[[100, 40], [100, 80]]]}]
    assert answer(content, "a.svg", "200", "10")["drawings"] == [{"lines": [[[0, 0], [0, 200]]]}]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sketchrnn.web.reader as reader; reader.MEMORY = 2**30; reader._bound(); import numpy;numpy.ones(2**28)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_time_of_the_processor_is_bounded() -> None:
    code = "import sketchrnn.web.reader as reader; reader.SECONDS = 1; reader._bound()\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=250)
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


async def from_process(name: str, content: bytes) -> Any:
    return await answers._read(Server({}, None), name, content, [])


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    started: list[Any] = []
    execute = asyncio.create_subprocess_exec

    async def kept(*command: str, **how: Any) -> Any:
        started.append(await execute(*command, **how))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", kept)
    monkeypatch.setattr(answers, "READ_SECONDS", 0.001)
    assert "takes too long" in asyncio.run(from_process("a.svg", b"<svg/>"))["error"]
    assert started[0].returncode == -signal.SIGKILL  # it does not go on by itself


def test_two_files_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    there, most = set[int](), 0
    execute = asyncio.create_subprocess_exec

    async def counted(*command: str, **how: Any) -> Any:
        nonlocal most
        process = await execute(*command, **how)
        there.add(process.pid)
        most = max(most, len(there))
        wait = process.wait

        async def leave() -> int:
            code = await wait()
            there.discard(process.pid)
            return code

        process.wait = leave  # type: ignore[method-assign]
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)

    async def five() -> list[Any]:
        server = Server({}, None)
        return await asyncio.gather(*(answers._read(server, "a.svg", b"not xml", []) for _ in range(5)))

    assert all("a.svg" in answer["error"] for answer in asyncio.run(five()))
    assert (there, most) == (set(), 2)


def test_too_many_points() -> None:
    rows = json.dumps({"drawing": [[list(range(2000)), list(range(2000))]]}).encode() + b"\n"
    assert "100,000 points" in answer(rows * 51, "a.ndjson")["error"]


def test_what_cannot_be_read_is_one_sentence() -> None:
    said = answer(b"not xml", "a.svg")["error"]
    assert said.startswith("a.svg")
    assert "/" not in said.replace("a.svg", "")
