"""What several tests need: small drawings of our own making, small models, and the folder of real drawings."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
import torch
import uvicorn

from sketchrnn import DataInfo, Drawing, ModelConfig, SketchRNN
from sketchrnn.kernels import compiled, native

# torch's first exp on two threads at once is less exact in one process of forty (2e-8 in float64): its vector library
# is still being set up. A first one on one thread sets it up.
torch.exp(torch.zeros(8, dtype=torch.float64))

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks the Hugging Face hub for a folder that is missing
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported: its kernels run on the CPU, row by row

# Test processes share the cores: two that wait for each other's threads are slower than two with a thread each.
cores = (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", max(1, cores))))


def wave(rng: np.random.Generator, points: int) -> Drawing:
    """A drawing of two strokes that look like nothing else: a wave of random height and a line beneath."""
    x = np.linspace(0, 100, max(2, points - 2))
    height, phase = rng.uniform(5, 30), rng.uniform(0, 6)
    line = np.column_stack([x, 50 + height * np.sin(x / 12 + phase)]).round()
    return Drawing.from_lines([line, [[0, 90], [100, 90]]], label="wave")


@pytest.fixture
def waves() -> list[Drawing]:
    """Forty drawings of 4 to 24 points."""
    rng = np.random.default_rng(0)
    return [wave(rng, int(rng.integers(4, 25))) for _ in range(40)]


@pytest.fixture(params=["lstm", "layer_norm", "hyper"])
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["plain", "native"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test once in plain torch and once with the C kernels, these on all threads however small the work."""
    if request.param == "native" and compiled.kernels().library is None:
        pytest.skip(compiled.kernels().reason)
    monkeypatch.setenv("SKETCHRNN_BACKEND", request.param)
    monkeypatch.setattr(native, "WORK_A_THREAD", 1)
    return request.param


START_TOKEN = (0.3, -0.2, 1.0, 0.0, 0.0)


def small_model(cell: str = "lstm", *, conditional: bool = True, max_length: int = 24, seed: int = 0) -> SketchRNN:
    """A model with weights far from their initial values, so that every part of it matters: drawings of many lengths,
    z that differs from drawing to drawing and decides what is drawn, sigma near 0.6, a start token of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = ModelConfig(
            encoder_cell=cell,
            decoder_cell=cell,
            conditional=conditional,
            encoder_size=10,
            decoder_size=12,
            z_size=6,
            num_mixtures=4,
            hyper_units=8,
            hyper_embedding=3,
        )
        model = SketchRNN(
            config,
            DataInfo(scale_factor=11.0, max_length=max_length, labels=("wave",), size=100.0, start_token=START_TOKEN),
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
            model.b_y[2] -= 3  # the end is rare,
            model.W_y[:, :3] *= 2  # but not everywhere
            if conditional:
                model.W_mu.mul_(5)
                model.W_z.mul_(5)
                model.b_sigma.sub_(1)
    return model


@pytest.fixture
def model(cell: str) -> SketchRNN:
    return small_model(cell)


def missing(reason: str) -> NoReturn:
    """A test cannot look at what it is for; continuous integration must not pass without having looked."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")  # its event loop is in the way of tests that have their own
def chromium() -> Iterator[Any]:
    """A browser for tests of the page: that of the variable CHROMIUM, or one on the path."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if not path:
        missing("no Chromium was found: set CHROMIUM to one")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real drawings; tests that need it are skipped without."""
    if "SKETCHRNN_DATA" not in os.environ:
        pytest.skip("SKETCHRNN_DATA names no folder of real drawings")
    return Path(os.environ["SKETCHRNN_DATA"])


@pytest.fixture(scope="session")
def wave_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of three hundred waves."""
    import sketchrnn
    from sketchrnn import formats

    folder = tmp_path_factory.mktemp("data with space")
    rng = np.random.default_rng(1)
    formats.write([wave(rng, int(rng.integers(4, 25))) for _ in range(300)], folder / "waves.ndjson")
    sketchrnn.prepare([folder / "waves.ndjson"], folder / "waves")
    return folder / "waves"


SMALL = ModelConfig(encoder_size=8, decoder_size=12, z_size=4, num_mixtures=3, hyper_units=6, hyper_embedding=2)


@dataclass
class WebServer:
    """What a local HTTP server serves, and what it does wrong."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    cut_after: list[int] = field(default_factory=list)
    """The next answers end after so many bytes."""
    statuses: list[int] = field(default_factory=list)
    """The next answers have these, and no file."""
    ranges: bool = True
    wrong_length: int = 0
    wrong_start: list[int] = field(default_factory=list)
    """The next ranges come from so many bytes further on than asked."""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of all that was asked."""
    base: str = ""


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    state = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.requests.append((self.path, asked))
            content = state.files.get(unquote(self.path))
            status = state.statuses.pop(0) if state.statuses else 200 if content is not None else 404
            if status != 200 or content is None:
                self.send_error(status)
                return
            start = 0
            if asked and state.ranges and self.headers.get("If-Range") == state.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                start += state.wrong_start.pop(0) if state.wrong_start else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start + state.wrong_length))
            if state.etag:
                self.send_header("ETag", state.etag)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            end = start + state.cut_after.pop(0) if state.cut_after else len(content)
            self.wfile.write(content[start:end])

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@contextmanager
def running(app: Any, http: Any = "auto", send_buffer: int = 0) -> Iterator[httpx.Client]:
    """The application behind a real socket of this machine, and a client for it.

    `send_buffer`: bytes that the system takes in for a client that does not read; it may be megabytes unless said."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=http, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        listening = server.servers[0].sockets[0]
        if send_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        port = listening.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def endless_model(max_length: int = 2000) -> SketchRNN:
    """A model large enough to take its time, whose drawings never end by themselves."""
    config = ModelConfig(encoder_size=8, decoder_size=1024, z_size=4, num_mixtures=3)
    model = SketchRNN(config, DataInfo(scale_factor=11.0, max_length=max_length, size=100.0))
    with torch.no_grad():
        model.b_y[2] = -1e4
    return model
