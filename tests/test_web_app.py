"""The server over a real socket: what it answers is what `generate` draws, whatever else goes on."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
import torch
from conftest import endless_model, running, small_model
from hypothesis import HealthCheck, given, settings
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

import sketchrnn
from sketchrnn import Dataset, Drawing
from sketchrnn.web import answers, engine, streams
from sketchrnn.web import app as web_app
from sketchrnn.web import server as shared
from sketchrnn.web.app import create_app

MODELS = {"waves": small_model(), "bare": small_model(conditional=False)}
LINES = [[[0.0, 50.0], [10.0, 60.5], [20.0, 40.0]], [[0.0, 90.0], [30.0, 90.0]]]
GIVEN = Drawing.from_lines(LINES)
OTHER = [[[5.0, 5.0], [40.0, 9.0], [60.0, 80.0]]]
THIRD = [[[0.0, 0.0], [70.0, 3.0]]]
STREAM = {"Accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(create_app(MODELS)) as client:
        yield client


def post(client: httpx.Client, path: str, body: Any) -> Any:
    answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def drawings(answer: Any) -> list[Drawing]:
    return [Drawing.from_lines(each["lines"]) for each in answer["drawings"]]


def assert_same(ours: list[Drawing], theirs: list[Drawing]) -> None:
    assert [len(d) for d in ours] == [len(d) for d in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.stroke3[:-1], b.stroke3[:-1], rtol=1e-4, atol=1e-4)
        # a drawing cut off in the middle of a stroke has no more to say about the pen
        np.testing.assert_allclose(a.stroke3[-1:, :2], b.stroke3[-1:, :2], rtol=1e-4, atol=1e-4)


CALLS: dict[str, tuple[dict[str, Any], Any]] = {
    "sample": (
        {"n": 3, "temperature": 0.7, "seed": 4},
        lambda m: sketchrnn.sample(m, 3, temperature=0.7, seed=4),
    ),
    "complete": (
        {"drawing": {"lines": LINES}, "n": 3, "seed": 4},
        lambda m: sketchrnn.complete(m, GIVEN, n=3, seed=4, max_length=37),
    ),
    "reconstruct": (
        {"drawing": {"lines": LINES}, "temperatures": [0.1, 0.9], "n": 2, "seed": 4},
        lambda m: [d for t in (0.1, 0.9) for d in sketchrnn.reconstruct(m, GIVEN, n=2, temperature=t, seed=4)],
    ),
    "interpolate": (
        {"a": {"lines": LINES}, "b": {"lines": OTHER}, "steps": 4, "method": "linear"},
        lambda m: sketchrnn.interpolate(m, GIVEN, Drawing.from_lines(OTHER), steps=4, method="linear"),
    ),
    "analogy": (
        {"a": {"lines": LINES}, "b": {"lines": OTHER}, "c": {"lines": THIRD}, "n": 2},
        lambda m: sketchrnn.analogy(m, GIVEN, Drawing.from_lines(OTHER), Drawing.from_lines(THIRD), n=2),
    ),
    "decode": (
        {"z": [[0.5] * 6, [-1] * 6], "n": 2, "seed": 1},
        lambda m: sketchrnn.decode(m, [[0.5] * 6, [-1] * 6], n=2, temperature=0.2, seed=1),
    ),
}


@pytest.mark.parametrize("path", CALLS)
def test_it_answers_what_the_library_draws(client: httpx.Client, path: str) -> None:
    body, expected = CALLS[path]
    answer = post(client, path, body)
    assert_same(drawings(answer), expected(MODELS["waves"]))
    assert answer["model"] == "waves"
    assert answer["seed"] == body.get("seed", 0)
    assert answer["drawings"][0]["label"] == "wave"


def streamed(client: httpx.Client, path: str, body: Any) -> list[Any]:
    with client.stream("POST", f"/api/v1/{path}", json=body, headers=STREAM) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.iter_lines()]


@pytest.mark.parametrize("path", CALLS)
def test_a_stream_adds_up_to_the_whole_to_the_last_bit(client: httpx.Client, path: str) -> None:
    body, _ = CALLS[path]
    whole = post(client, path, body)["drawings"]
    *events, last = streamed(client, path, body)
    assert last == {"done": True}
    given = LINES if path == "complete" else []
    lines: list[Any] = [[list(line) for line in given] for _ in whole]
    at = [list(given[-1][-1]) if given else [0.0, 0.0] for _ in whole]
    ended, lifted = [False] * len(whole), [True] * len(whole)
    for event in events:
        i = event["drawing"]
        assert not ended[i]
        ended[i] = "end" in event
        for dx, dy, pen in event.get("points", []):
            at[i] = [at[i][0] + dx, at[i][1] + dy]
            if lifted[i]:
                lines[i].append([])
            lines[i][-1].append(at[i])
            lifted[i] = pen == 1
    assert all(ended)
    assert lines == [each["lines"] for each in whole]


def test_what_was_given_is_given_back_to_the_last_digit(client: httpx.Client) -> None:
    lines = [[[0.1, 1 / 3], [7e-5, 12345.678]], [], [[3, 4]]]
    [ending] = post(client, "complete", {"drawing": {"lines": lines}})["drawings"]
    assert ending["lines"][:2] == [lines[0], lines[2]]
    [only] = post(client, "complete", {"drawing": {"lines": []}, "model": "bare", "seed": 1})["drawings"]
    [sampled] = post(client, "sample", {"model": "bare", "seed": 1, "temperature": 0.8, "max_length": 32})["drawings"]
    assert only == sampled


def test_a_long_beginning_has_room_for_an_ending(client: httpx.Client) -> None:
    line = [[float(i), 0.0] for i in range(40)]  # the model ends drawings at 24
    [ending] = post(client, "complete", {"drawing": {"lines": [line]}})["drawings"]
    assert 40 <= sum(map(len, ending["lines"])) <= 72
    answer = client.post("/api/v1/complete", json={"drawing": {"lines": [line]}, "max_length": 40})
    assert answer.status_code == 422
    assert "40 points already" in answer.json()["detail"]


def test_answers_do_not_depend_on_what_runs_beside_them(client: httpx.Client) -> None:
    jobs = [
        *[("sample", {"seed": i, "n": 1 + i % 5, "temperature": i / 20}) for i in range(20)],
        *[("complete", {"drawing": {"lines": LINES if i % 2 else OTHER}, "seed": i}) for i in range(20)],
        *[("encode", {"drawings": [{"lines": [LINES, OTHER, THIRD][i % 3]}]}) for i in range(10)],
        *[("interpolate", {"a": {"lines": LINES}, "b": {"lines": OTHER}, "seed": i}) for i in range(10)],
    ]
    alone = [post(client, *job) for job in jobs]
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            assert list(pool.map(lambda job: post(client, *job), jobs)) == alone


def test_the_models(client: httpx.Client) -> None:
    first, second = client.get("/api/v1/models").json()["models"]
    assert first["name"] == "waves"
    assert (first["conditional"], first["z_size"], first["encoder_cell"]) == (True, 6, "lstm")
    assert (first["max_length"], first["scale_factor"], first["size"]) == (24, 11.0, 100.0)
    assert first["labels"] == ["wave"]
    assert first["parameters"] == MODELS["waves"].num_parameters
    assert (second["name"], second["conditional"], second["z_size"]) == ("bare", False, None)


def test_encode_and_density(client: httpx.Client) -> None:
    mu, sigma = MODELS["waves"].encode([GIVEN])
    answer = post(client, "encode", {"drawings": [{"lines": LINES}, {"lines": OTHER}]})
    np.testing.assert_array_equal(np.float32(answer["mu"][0]), mu[0])
    np.testing.assert_array_equal(np.float32(answer["sigma"][0]), sigma[0])
    assert len(answer["mu"]) == 2
    expected = sketchrnn.density(MODELS["waves"], GIVEN, exact=False)
    whole = post(client, "density", {"drawing": {"lines": LINES}})
    last = post(client, "density", {"drawing": {"lines": LINES}, "last": True, "z": mu[0].tolist()})
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(np.float32(whole[name]), values)
        np.testing.assert_allclose(np.float32(last[name]), values[-1:], rtol=1e-5)
    assert len(post(client, "density", {"drawing": {"lines": []}, "model": "bare"})["q"]) == 1


def test_the_map_of_samples_and_of_data(client: httpx.Client, wave_data: Any) -> None:
    answer = client.get("/api/v1/map?model=waves").json()
    assert answer["source"] == "samples of the model"
    assert answer["method"] == "pca"
    assert len(answer["points"]) > 100
    assert client.get("/api/v1/map").json() == answer
    data = Dataset(wave_data)
    with running(create_app(MODELS, data=data)) as other:
        answer = other.get("/api/v1/map").json()
    assert answer["source"] == "test drawings of waves"
    first = answer["points"][0]
    np.testing.assert_allclose(first["z"], MODELS["waves"].encode([data.test[0]])[0][0], atol=1e-3)
    assert_same(drawings({"drawings": [first["drawing"]]}), [data.test[0]])
    places = np.array([[p["x"], p["y"]] for p in answer["points"]])
    assert np.abs(places.mean(axis=0)).max() < 1e-3
    assert 0 < answer["explained"][1] <= answer["explained"][0] < 1
    refused = client.get("/api/v1/map?model=bare")
    assert refused.status_code == 422
    assert "no encoder" in refused.json()["detail"]


def test_files_are_read(client: httpx.Client) -> None:
    path = b'<path d="M1 1L8 1M1 5C3 3 6 3 8 5" stroke="red"/>'
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">' + path + b"</svg>"
    answer = client.post("/api/v1/read?name=two.svg", content=svg)
    assert answer.status_code == 200, answer.text
    [drawing] = answer.json()["drawings"]
    assert drawing["lines"][0] == [[1, 1], [8, 1]]
    assert answer.json()["left_out"] == 0
    [fitted] = client.post("/api/v1/read?name=two.svg&model=waves", content=svg).json()["drawings"]
    assert max(x for line in fitted["lines"] for x, _ in line) == pytest.approx(100)
    assert sum(map(len, fitted["lines"])) <= 24
    [begun] = client.post("/api/v1/read?name=two.svg&model=waves&begun=true", content=svg).json()["drawings"]
    np.testing.assert_allclose(begun["lines"][0], [[100 / 9, 100 / 9], [800 / 9, 100 / 9]], rtol=1e-6)
    rows = "".join(f'{{"word": "a", "drawing": [[[0, {i}], [0, 5]]]}}\n' for i in range(120))
    many = client.post("/api/v1/read?name=many.ndjson&model=waves", content=rows.encode()).json()
    assert (len(many["drawings"]), many["left_out"]) == (100, 20)
    assert many["drawings"][7] == {"lines": [[[0, 0], [7, 5]]], "label": "a"}


def test_files_are_written(client: httpx.Client) -> None:
    body = {"drawings": [{"lines": LINES}, {"lines": OTHER}]}
    for kind, start in (("png", b"\x89PNG"), ("gif", b"GIF8"), ("svg", b"<svg"), ("ndjson", b"{")):
        answer = client.post(f"/api/v1/write?format={kind}", json={**body, "cell": 32} if kind == "gif" else body)
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(start)
    long = client.post("/api/v1/write?format=gif", json={"drawings": [{"lines": OTHER}] * 20, "cell": 500})
    assert long.status_code == 422
    assert "pixels" in long.json()["detail"]
    assert client.post("/api/v1/write?format=exe", json=body).status_code == 422
    assert client.post("/api/v1/write?format=svg", json={"drawings": [{"lines": []}]}).status_code == 422


def test_a_long_line_is_refused(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = {"lines": LINES}
    for _ in range(20):  # more than a line holds: each place is given back
        post(client, "density", {"drawing": drawing})
    monkeypatch.setattr(shared, "MOST_IN_LINE", 0)
    for answer in (
        client.post("/api/v1/read?name=a.svg", content=b"<svg/>"),
        client.post("/api/v1/write?format=svg", json={"drawings": [drawing]}),
        client.post("/api/v1/density", json={"drawing": drawing}),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0


def raw(client: httpx.Client, head: str, read_at_most: int = 0) -> socket.socket:
    """A connection on which this head of a request was sent."""
    line = socket.socket()
    if read_at_most:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_at_most)
    line.settimeout(60)
    line.connect((client.base_url.host, client.base_url.port))
    line.sendall(head.replace("\n", "\r\n").encode())
    return line


def test_a_file_is_taken_in_only_by_those_who_have_a_place(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MOST_IN_LINE", 0)
    head = "POST /api/v1/read?name=a.svg HTTP/1.1\nHost: localhost\nContent-Length: 1000000\n\n"
    with raw(client, head) as line:  # nothing follows, and yet there is an answer
        assert b" 503 " in line.recv(65536)


XML = b'<?xml version="1.0"?>\n<!DOCTYPE svg [<!ENTITY a "%s">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>'


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.svg", b"", "empty"),
        ("x.svg", b"not xml", "x.svg"),
        ("x.svg", XML % b"lol", "declares XML entities"),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>', "no shapes"),
        ("x.npz", b"PK\x03\x04" + b"\0" * 100, "x.npz"),
        ("x.ndjson", b'{"drawing": [[[1], [NaN]]]}\n', "not a number"),
        ("../x.svg", b"<svg/>", "name: "),
        ("x.py", b"print()", "name: "),
    ],
)
def test_files_that_cannot_be_read(client: httpx.Client, name: str, content: bytes, says: str) -> None:
    answer = client.post("/api/v1/read", params={"name": name}, content=content)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert "/tmp" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("sample", {"n": 0}, "n: "),
        ("sample", {"n": 101}, "n: "),
        ("sample", {"n": 2.5}, "n: "),
        ("sample", {"n": "3"}, "n: "),
        ("sample", {"n": True}, "n: "),
        ("sample", {"temperature": -0.1}, "temperature: "),
        ("sample", {"temperature": 11}, "temperature: "),
        ("sample", {"seed": -1}, "seed: "),
        ("sample", {"seed": 10**400}, "seed: "),
        ("sample", {"max_length": 5001}, "max_length: "),
        ("sample", {"max_length": 5000, "n": 11}, "55,000 points"),
        ("sample", {"what": 1}, "what: "),
        ("sample", [], "JSON object"),
        ("complete", {}, "drawing: "),
        ("complete", {"drawing": {"lines": [[[1, 2, 3]]]}}, "drawing.lines.0.0: "),
        ("complete", {"drawing": {"lines": [[[1, 1e7]]]}}, "drawing.lines.0.0.1: "),
        ("complete", {"drawing": {"lines": [[[1, None]]]}}, "drawing.lines.0.0.1: "),
        ("complete", {"drawing": {"lines": [[[1, "2"]]]}}, "drawing.lines.0.0.1: "),
        ("complete", {"drawing": {"lines": [[[0, 0]] * 3000] * 2}}, "6,000 points"),
        ("complete", {"drawing": {"lines": []}, "z": [1, 2]}, "z is (2,); this model's z has 6 numbers"),
        ("complete", {"drawing": {"lines": []}, "z": [[1] * 6, [1] * 5], "n": 2}, "z must be rows of 6 numbers"),
        ("complete", {"drawing": {"lines": []}, "z": [0] * 6, "model": "bare"}, "decoder only"),
        ("decode", {"z": [[1]]}, "z must have 6 numbers"),
        ("decode", {"z": [[0] * 6], "model": "bare"}, "no encoder"),
        ("reconstruct", {"drawing": {"lines": LINES}, "model": "bare"}, "no encoder"),
        ("reconstruct", {"drawing": {"lines": LINES}, "temperatures": []}, "temperatures: "),
        ("interpolate", {"a": {"lines": LINES}, "b": {"lines": LINES}, "steps": 1}, "steps: "),
        ("interpolate", {"a": {"lines": LINES}, "b": {"lines": LINES}, "method": "round"}, "method: "),
        ("encode", {"drawings": []}, "drawings: "),
        ("encode", {"drawings": [{"lines": [[[0, 0]] * 1000]}] * 6}, "6,000 points"),
        ("encode", {"drawings": [{"lines": [[]] * 3000}] * 2}, "6,000 points"),
        ("density", {"drawing": {"lines": [[[0, 0]] * 1001]}}, "1,001 points"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(client: httpx.Client, path: str, body: Any, says: str) -> None:
    for headers in ({}, STREAM):
        answer = client.post(f"/api/v1/{path}", json=body, headers=headers)
        assert answer.status_code == 422, answer.text
        assert set(answer.json()) == {"detail"}
        assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"drawing": {"lines": ' + b"[" * 90_000 + b"]" * 90_000 + b"}}", 400),
        (b'{"temperature": NaN}', 422),
        (b'{"temperature": Infinity}', 422),
        (b'{"temperature": 1e999}', 422),
        (b"\xff\xfe{}", 400),
        (b'{"n": 1, "model": "\\ud800"}', 422),
    ],
)
def test_malformed_bodies(client: httpx.Client, content: bytes, status: int) -> None:
    answer = client.post("/api/v1/sample", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}


def test_other_addresses_and_types(client: httpx.Client) -> None:
    for answer, status, says in (
        (client.get("/api/v1/nothing"), 404, "nothing at this address"),
        (client.get("/api/v1/sample"), 405, "does not answer that method"),
        (client.post("/api/v1/sample", json={"model": "dog"}), 404, "no model 'dog'; there are waves, bare"),
        (client.post("/api/v1/sample", content=b"{}", headers={"Content-Type": "text/plain"}), 422, "Content-Type"),
        (client.get("/docs"), 404, "nothing"),
    ):
        assert answer.status_code == status
        assert says in answer.json()["detail"]


def test_a_model_gone_wild_is_told(waves: list[Drawing]) -> None:
    model = small_model()
    with torch.no_grad():
        model.b_y[2] = -1e4
        model.b_y[3 + 4 * 3 :] = 200.0
    with running(create_app({"wild": model, "good": MODELS["waves"]})) as client:
        answer = client.post("/api/v1/sample", json={"temperature": 1.0})
        assert answer.status_code == 422
        assert "not finite" in answer.json()["detail"]
        assert streamed(client, "sample", {"model": "good"})[-1] == {"done": True}
        assert "sketchrnn_jobs 0" in client.get("/metrics").text


def figure(client: httpx.Client, name: str) -> float:
    return float(next(line.split()[1] for line in client.get("/metrics").text.splitlines() if line.startswith(name)))


def wait_for(client: httpx.Client, name: str, value: float) -> None:
    while figure(client, name) != value:
        pass


ENDLESS = {"n": 25, "max_length": 2000}


def test_a_client_that_goes_away_frees_its_work() -> None:
    with running(create_app({"endless": endless_model()})) as client:
        with client.stream("POST", "/api/v1/sample", json=ENDLESS, headers=STREAM) as answer:
            next(answer.iter_lines())
        with httpx.Client(base_url=client.base_url, timeout=0.5) as hasty, pytest.raises(httpx.ReadTimeout):
            hasty.post("/api/v1/sample", json=ENDLESS)
        wait_for(client, "sketchrnn_jobs ", 0)
        wait_for(client, "sketchrnn_drawings ", 0)
        assert figure(client, "sketchrnn_points_total ") < 50_000  # either of them alone would have been so many


@pytest.mark.parametrize("headers", [{}, STREAM], ids=["whole", "stream"])
def test_what_waits_is_not_drawn_for_a_client_that_has_gone(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, go_on = small_model(), threading.Event()
    encode_each = model.encode_each

    def slow(given: Any) -> Any:
        assert go_on.wait(60)
        return encode_each(given)

    monkeypatch.setattr(model, "encode_each", slow)
    body = {"drawing": {"lines": LINES}}
    with running(create_app({"slow": model})) as client:
        try:
            with httpx.Client(base_url=client.base_url, timeout=0.5) as hasty, pytest.raises(httpx.ReadTimeout):
                hasty.post("/api/v1/reconstruct", json=body, headers=headers)
            while 'path="/api/v1/reconstruct",status="499"} 1' not in client.get("/metrics").text:
                pass
        finally:
            go_on.set()
        wait_for(client, "sketchrnn_jobs ", 0)
        assert figure(client, "sketchrnn_points_total ") == 0


@pytest.mark.parametrize("bound", ["SEND_SECONDS", "STREAM_SECONDS"])
def test_a_client_that_does_not_read_is_let_go(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SEND_SECONDS", 1000)
    monkeypatch.setattr(streams, bound, 0.2)
    quick = small_model(conditional=False, max_length=5000)
    with torch.no_grad():
        quick.b_y[2] = -1e4  # no drawing ends by itself
    body = '{"n": 10}'
    head = (
        "POST /api/v1/sample HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
        f"Accept: application/x-ndjson\nContent-Length: {len(body)}\n\n{body}"
    )
    app = create_app({"quick": quick})
    with running(app, send_buffer=4096) as client, raw(client, head, read_at_most=1024) as line:
        assert b" 200 " in line.recv(64)
        while 'path="/api/v1/sample",status="200"} 1' not in client.get("/metrics").text:
            pass
        wait_for(client, "sketchrnn_jobs ", 0)
        rest = b"".join(iter(lambda: line.recv(65536), b""))
    assert b"done" not in rest


def test_a_client_that_goes_while_it_sends_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with running(create_app(MODELS)) as client:
        for path, status in (("read?name=a.svg", 499), ("sample", 400)):
            with raw(client, f"POST /api/v1/{path} HTTP/1.1\nHost: localhost\nContent-Length: 100\n\nabc"):
                pass
            counted = f'path="/api/v1/{path.partition("?")[0]}",status="{status}"}} 1'
            while counted not in client.get("/metrics").text:
                pass
    assert not caplog.records


def test_densities_hold_up_nobody_and_are_not_made_for_those_who_have_gone(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, made = threading.Event(), threading.Event(), list[Any]()

    def slow(*given: Any, **how: Any) -> Any:
        made.append(given)
        begun.set()
        assert go_on.wait(60)
        return density(*given, **how)

    density = answers.density
    monkeypatch.setattr(answers, "density", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, "density", {"drawing": {"lines": LINES}})
        assert begun.wait(60)
        try:
            with httpx.Client(base_url=client.base_url, timeout=0.5) as hasty, pytest.raises(httpx.ReadTimeout):
                hasty.post("/api/v1/density", json={"drawing": {"lines": OTHER}})
            assert len(post(client, "sample", {"n": 3})["drawings"]) == 3
            assert len(post(client, "encode", {"drawings": [{"lines": LINES}]})["mu"]) == 1
        finally:
            go_on.set()
        assert len(first.result()["q"]) == 6
    post(client, "density", {"drawing": {"lines": THIRD}})
    assert len(made) == 2


def test_a_density_keeps_its_turn_until_its_thread_has_ended(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, at_work, most = threading.Event(), 0, 0

    def slow(*given: Any, **how: Any) -> Any:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        assert go_on.wait(60)
        at_work -= 1
        return density(*given, **how)

    density = answers.density
    monkeypatch.setattr(answers, "density", slow)
    with ThreadPoolExecutor(1) as pool:
        try:
            with httpx.Client(base_url=client.base_url, timeout=0.5) as hasty, pytest.raises(httpx.ReadTimeout):
                hasty.post("/api/v1/density", json={"drawing": {"lines": OTHER}})
            second = pool.submit(post, client, "density", {"drawing": {"lines": LINES}})
            for _ in range(5):
                post(client, "sample", {"n": 3})
        finally:
            go_on.set()
        assert len(second.result()["q"]) == 6
    assert most == 1


def test_a_map_goes_on_without_its_client_and_one_that_failed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, go_on, encoded = small_model(), threading.Event(), [0]
    encode_each, components = model.encode_each, answers.latent_map.principal_components

    def slow(given: Any) -> Any:
        assert go_on.wait(60)
        encoded[0] += len(given)
        return encode_each(given)

    def broken(mu: Any) -> Any:
        raise RuntimeError("no memory")

    monkeypatch.setattr(model, "encode_each", slow)
    with running(create_app({"slow": model})) as client:
        try:
            with httpx.Client(base_url=client.base_url, timeout=0.5) as hasty, pytest.raises(httpx.ReadTimeout):
                hasty.get("/api/v1/map")
        finally:
            go_on.set()
        answer = client.get("/api/v1/map")
        assert answer.status_code == 200
        assert encoded[0] == len(answer.json()["points"])  # and not twice
    with running(create_app({"waves": MODELS["waves"]})) as client:
        with monkeypatch.context() as patch:
            patch.setattr(answers.latent_map, "principal_components", broken)
            assert client.get("/api/v1/map").status_code == 500
        assert answers.latent_map.principal_components is components
        assert client.get("/api/v1/map").status_code == 200


def test_too_much_to_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_JOBS", 2)
    with running(create_app({"endless": endless_model()})) as client:
        with (
            client.stream("POST", "/api/v1/sample", json=ENDLESS, headers=STREAM) as one,
            client.stream("POST", "/api/v1/sample", json=ENDLESS, headers=STREAM) as two,
        ):
            reading = one.iter_lines(), two.iter_lines()  # kept, for without them the connections are closed
            for lines in reading:
                next(lines)
            for headers in ({}, STREAM):
                answer = client.post("/api/v1/sample", json={}, headers=headers)
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                assert "too much to do" in answer.json()["detail"]
        wait_for(client, "sketchrnn_jobs ", 0)
        monkeypatch.setattr(engine, "MOST_POINTS", 100)
        assert client.post("/api/v1/sample", json={"max_length": 200}).status_code == 200  # alone, it may


def test_a_request_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SECONDS", 0.05)
    with running(create_app({"endless": endless_model()})) as client:
        answer = client.post("/api/v1/sample", json=ENDLESS)
        assert answer.status_code == 503
        assert "longer than a request may" in answer.json()["detail"]
        assert "retry-after" not in answer.headers  # it would take as long again
        assert "longer" in streamed(client, "sample", ENDLESS)[-1]["error"]
        wait_for(client, "sketchrnn_jobs ", 0)


def test_a_failure_of_the_engine_is_told_and_not_its_end(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the secret place /root")

    with monkeypatch.context() as patch:
        patch.setattr(engine.Batch, "step", broken)
        answer = client.post("/api/v1/sample", json={})
        assert answer.status_code == 500
        assert answer.json() == {"detail": "the server failed; its log says how"}
    assert post(client, "sample", {"seed": 3})["seed"] == 3


def test_health_and_figures(client: httpx.Client) -> None:
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").status_code == 200
    post(client, "sample", {})
    text = client.get("/metrics").text
    assert 'sketchrnn_requests_total{path="/api/v1/sample",status="200"}' in text
    assert 'sketchrnn_request_seconds_bucket{path="/api/v1/sample",le="+Inf"}' in text
    assert figure(client, "sketchrnn_points_total ") > 0


def test_the_page(client: httpx.Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<html>the page</html>")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "page-abc.js").write_text("1")
    monkeypatch.setattr(web_app, "STATIC", tmp_path)
    with running(create_app(MODELS, token="a long secret".replace(" ", ""))) as built:
        page = built.get("/")
        assert page.text == "<html>the page</html>"
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in built.get("/assets/page-abc.js").headers["cache-control"]
        assert built.get("/favicon.svg").text == "<svg/>"
        for path in ("/assets/..%2findex.html", "/assets/../../app.py", "/app.py", "/assets/none.js"):
            assert built.get(path).status_code == 404
    monkeypatch.setattr(web_app, "STATIC", tmp_path / "none")
    with running(create_app(MODELS)) as bare:
        assert "make page" in bare.get("/").text
        assert "<html" in bare.get("/").text


def test_the_description_has_examples_that_work(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    shapes = description["components"]["schemas"]
    tried = 0
    for path, methods in description["paths"].items():
        for call in methods.values():
            assert call["summary"]
            assert "HTTPValidationError" not in json.dumps(call)
            content = call.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                of_form = shapes[content["schema"]["$ref"].rpartition("/")[2]].get("examples", [])
                for example in [content["example"]] if "example" in content else of_form:
                    query = {"format": "svg"} if path.endswith("write") else {}
                    assert client.post(path, json=example, params=query).status_code == 200
                    tried += 1
    assert tried >= 9


@pytest.fixture(scope="module")
def description(client: httpx.Client) -> Any:
    return schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


# more is wrong than a schema can say: points in all, the size of z, the content of a file
BEYOND = ("sample", "complete", "decode", "density", "read", "write")
PATHS = (*CALLS, "encode", "density", "map", "models", "read", "write")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_schemathesis_finds_nothing(description: Any, path: str, mode: GenerationMode) -> None:
    if path == "models" and mode is GenerationMode.NEGATIVE:
        pytest.skip("there is nothing in it that could be wrong")
    operation = description[f"/api/v1/{path}"]["GET" if path in ("map", "models") else "POST"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=4 if path in ("read", "write") else 12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def call(case: Any) -> None:
        case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance] if path in BEYOND else [])

    call()


def test_every_path_is_tried(description: Any) -> None:
    assert {path.rpartition("/")[2] for path in description.raw_schema["paths"]} == set(PATHS)


def test_events_are_waited_for_no_longer_than_the_client_is_there() -> None:
    async def gone_first() -> Any:
        gone = asyncio.create_task(asyncio.sleep(0))
        return await streams._first(asyncio.Queue(), gone)  # type: ignore[arg-type]

    assert asyncio.run(gone_first()) is None
