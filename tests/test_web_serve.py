"""`sketchrnn serve` as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import endless_model, running, small_model

import sketchrnn
from sketchrnn.cli import main
from sketchrnn.web import serve
from sketchrnn.web.app import create_app

COMMAND = "import sys; from sketchrnn.cli import main; sys.exit(main(['serve', *sys.argv[1:]]))"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "cat").mkdir()
    sketchrnn.save(small_model(), folder / "cat" / "model.safetensors")
    sketchrnn.save(endless_model(), folder / "endless.safetensors")
    return folder


@contextmanager
def served(*arguments: object, before: str = "") -> Iterator[tuple[subprocess.Popen[str], httpx.Client, str]]:
    command = [sys.executable, "-c", before + COMMAND, *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("serving "), process.communicate()[1]
        address = line.split()[-1].partition("#")[0]
        with httpx.Client(base_url=address, timeout=60) as client:
            yield process, client, line
    finally:
        process.kill()
        process.communicate()


def test_a_signal_lets_what_has_begun_come_to_its_end(models: Path) -> None:
    before = "from sketchrnn.web import serve; serve.DRAIN_SECONDS = 200; "
    with served(models / "endless.safetensors", models / "cat", before=before) as (process, client, line):
        assert line.startswith("serving endless, cat at http://127.0.0.1:")
        assert client.get("/readyz").status_code == 200
        body = {"n": 10, "max_length": 300}
        with client.stream("POST", "/api/v1/sample", json=body, headers={"Accept": "application/x-ndjson"}) as answer:
            lines = answer.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            with httpx.Client(base_url=client.base_url, timeout=60) as other:
                while other.get("/readyz").status_code == 200:
                    pass
                assert other.get("/readyz").text == "ending\n"
                assert other.get("/healthz").status_code == 200
                refused = other.post("/api/v1/sample", json={})
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) > 0
            assert json.loads(list(lines)[-1]) == {"done": True}
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.read() == ""


ENDLESS = {"n": 10, "max_length": 5000}
STREAM = {"Accept": "application/x-ndjson"}


def test_what_has_begun_has_its_time_and_no_more(models: Path) -> None:
    before = "from sketchrnn.web import serve; serve.DRAIN_SECONDS = 0.1; "
    with (
        ThreadPoolExecutor(1) as pool,
        served(models / "endless.safetensors", before=before) as (process, client, _),
        client.stream("POST", "/api/v1/sample", json=ENDLESS, headers=STREAM) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        whole = pool.submit(client.post, "/api/v1/sample", json=ENDLESS)
        while "sketchrnn_jobs 2" not in client.get("/metrics").text:
            pass
        process.send_signal(signal.SIGTERM)
        assert json.loads(list(lines)[-1]) == {"error": "the server is ending; try again in a few seconds"}
        assert whole.result().status_code == 503
        assert int(whole.result().headers["retry-after"]) > 0
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_second_signal_ends_it_at_once(models: Path) -> None:
    with (
        served(models / "endless.safetensors") as (process, client, _),
        client.stream("POST", "/api/v1/sample", json=ENDLESS, headers=STREAM) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        while client.get("/readyz").status_code == 200:
            pass
        process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):  # it is cut off
            list(lines)
        assert process.wait(30) == -signal.SIGTERM


def test_who_sends_no_head_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.5)
    hello = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    with running(create_app({"m": small_model()}), http=serve.Patient) as client:
        there = (client.base_url.host, client.base_url.port)
        with (
            socket.create_connection(there, timeout=60) as silent,
            socket.create_connection(there, timeout=60) as slow,
            socket.create_connection(there, timeout=60) as slower,
        ):
            slow.sendall(hello + b"\r\n" + hello)  # a whole one, and the next one's beginning
            slower.sendall(hello + b"\r\n")
            for line in (slow, slower):
                answer = b""
                while not answer.endswith(b"ok\n"):  # it may come in two
                    answer += line.recv(65536)
            slower.sendall(hello)  # the beginning comes later
            for line in (silent, slow, slower):
                with suppress(ConnectionResetError):
                    assert line.recv(65536) == b""
        assert client.get("/healthz").status_code == 200


def ends(port: int, of: int) -> list[str]:
    """The server's ends of a connection from the port `of`, as Linux lists them."""
    wanted = f":{port:04X}", f":{of:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    return [row[3] for row in rows if (row[1][-5:], row[2][-5:]) == wanted]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone gives up a connection whose other end takes nothing")
def test_who_takes_nothing_of_a_whole_answer_is_let_go(models: Path) -> None:
    before = "from sketchrnn.web import serve; serve.TAKE_SECONDS = 1; "
    with served(models / "cat", before=before) as (_, client, _), socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        line.settimeout(60)
        port = client.base_url.port or 0
        line.connect((client.base_url.host, port))
        line.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(32).startswith(b"HTTP/1.1 200")
        assert ends(port, line.getsockname()[1])
        while ends(port, line.getsockname()[1]):
            pass
        assert client.get("/healthz").status_code == 200


def test_the_token_and_an_interruption(models: Path) -> None:
    with served(models / "cat", "--token", "a-long-secret") as (process, client, line):
        assert line.strip().endswith("/#token=a-long-secret")
        assert client.get("/api/v1/models").status_code == 401
        assert client.get("/api/v1/models", headers={"Authorization": "Bearer a-long-secret"}).status_code == 200
        assert "server" not in client.get("/").headers
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "sketchrnn: interrupted\n"  # no traceback


def without_its_loop(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> str:
    """What `serve` says, without its loop."""
    said: list[str] = []
    monkeypatch.setattr(serve.Draining, "run", lambda self, sockets: sockets[0].close())
    serve.serve(said=said.append, port=0, **settings)
    return said[0]


def test_beyond_this_machine(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without_its_loop(monkeypatch, models=[str(models / "cat")], host="0.0.0.0")
    assert "give it a --token" in capsys.readouterr().err
    without_its_loop(monkeypatch, models=[str(models / "cat")], host="0.0.0.0", token="long-enough")
    without_its_loop(monkeypatch, models=[str(models / "cat")])
    assert capsys.readouterr().err == ""


def test_names_of_models(models: Path) -> None:
    cat = str(models / "cat")
    assert list(serve.load_models([cat, f"{cat}/model.safetensors", str(models / "endless.safetensors")])) == [
        *("cat", "cat-2", "endless")
    ]


def test_names_by_which_it_may_be_called() -> None:
    assert serve.host_names("0.0.0.0", None, ()) is None
    assert serve.host_names("127.0.0.1", "long-enough", ()) is None
    assert serve.host_names("127.0.0.1", None, ["https://a.example:8443"]) == {
        *("localhost", "127.0.0.1", "::1", "a.example")
    }
    assert [serve.is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "example.org")] == [
        *(True, True, True, False, False)
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "nothing"),
        (["{cat}", "--token", "short"], "8 or more"),
        (["{cat}", "--token", "has a space in it"], "without spaces"),
        (["{cat}", "--data", "nothing"], "no dataset at nothing"),
        (["{cat}", "--host", "no.such.name.invalid"], "cannot listen on no.such.name.invalid"),
        (["{cat}", "--port", "70000"], "70000"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    models: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *(text.replace("{cat}", str(models / "cat")) for text in arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sketchrnn: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_port_that_is_taken(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(models / "cat"), "--port", str(taken.getsockname()[1])]) == 1
    assert "address already in use; choose another --port" in capsys.readouterr().err


def test_without_a_model(monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(serve, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match="no MODEL is given"):
        serve.load_models([])
    monkeypatch.setattr(serve, "SHIPPED", models)
    assert list(serve.load_models([])) == ["endless"]


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom sketchrnn.cli import main\nmain(['serve', '--help'])\n"
        "print(sorted({'torch', 'fastapi', 'uvicorn', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
