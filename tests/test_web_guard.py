"""What stands before every request: the token, the host's name, the size of the body, other origins."""

import hmac
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import running, small_model

from sketchrnn.web import guard
from sketchrnn.web.app import create_app
from sketchrnn.web.serve import host_names

MODELS = {"waves": small_model()}
TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(create_app(MODELS, hosts=host_names("127.0.0.1", None, ["https://friend.example"]))) as client:
        yield client


def test_with_a_token_the_api_wants_it_and_the_page_does_not() -> None:
    with running(create_app(MODELS, token=TOKEN)) as client:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert client.get(path).status_code == 200
        given = ("Bearer wrong", TOKEN, "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x")
        for wrong in ({}, *({"Authorization": text} for text in given)):
            for answer in (
                client.get("/api/v1/models", headers=wrong),
                client.get("/api/v1/nothing", headers=wrong),
                client.post("/api/v1/sample", content=b"{", headers=wrong),
            ):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert TOKEN not in answer.text
        assert client.get("/api/v1/models", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
        raw = {b"Authorization": b"Bearer \xff\xfe"}
        assert client.get("/api/v1/models", headers=raw).status_code == 401


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long that takes must not tell how much of it was right; `hmac` sees to it where it is asked."""
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: (compared.append((a, b)), compare(a, b))[1])
    with running(create_app(MODELS, token=TOKEN)) as client:
        for text, status in ((TOKEN[:-1], 401), ("wrong", 401), (TOKEN, 200)):
            assert client.get("/api/v1/models", headers={"Authorization": f"Bearer {text}"}).status_code == status
            assert compared.pop() == (text.encode(), TOKEN.encode())


def test_called_by_another_name(client: httpx.Client) -> None:
    """A page elsewhere whose name leads here (DNS rebinding) gets nothing."""
    for name in (
        "localhost",
        "localhost:1234",
        "127.0.0.1:8000",
        "[::1]:8000",
        "[::1]",
        "LOCALHOST:",
        "friend.example",
    ):
        assert client.get("/api/v1/models", headers={"Host": name}).status_code == 200, name
    strange = ("[::1]evil", "[::1", "[::1]:80x", "localhost:evil.example", "localhost:80@evil.example", "me@localhost")
    more = ("localhost.", "localhost:123456", "[localhost]", "::1", "localhost/", "localhost\xb2", "localhost:\xb2")
    others = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost.evil.example:80")
    for name in (text.encode("latin-1") for text in (*others, *strange, *more)):
        for path in ("/api/v1/models", "/", "/metrics"):
            answer = client.get(path, headers={"Host": name})
            assert answer.status_code == 403, name
            assert "--token" in answer.json()["detail"]


def test_other_origins() -> None:
    origin = {"Origin": "https://friend.example"}
    ask = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with running(create_app(MODELS, token=TOKEN)) as closed:
        answer = closed.options("/api/v1/sample", headers=ask)
        assert "access-control-allow-origin" not in answer.headers
    with running(create_app(MODELS, token=TOKEN, cors=["https://friend.example"])) as opened:
        answer = opened.options("/api/v1/sample", headers=ask)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://friend.example"
        answer = opened.get("/api/v1/models", headers={**origin, "Authorization": f"Bearer {TOKEN}"})
        assert answer.headers["access-control-allow-origin"] == "https://friend.example"
        refused = opened.post("/api/v1/sample", headers=origin, content=b"{}")
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://friend.example"
        assert refused.headers["access-control-expose-headers"] == "Retry-After"
        other = opened.options("/api/v1/sample", headers={**ask, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def large(chunks: int) -> Iterator[bytes]:
    for _ in range(chunks):
        yield b"a" * 100_000


def test_a_large_body_is_refused_while_it_is_read(client: httpx.Client) -> None:
    answer = client.post("/api/v1/sample", content=b"a" * (guard.MOST_BODY + 1))
    assert answer.status_code == 413
    assert "1 MiB" in answer.json()["detail"]
    try:  # without a length, in chunks that would never end
        answer = client.post("/api/v1/sample", content=large(5000), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
    except httpx.WriteError:  # the server hung up before all was sent
        pass
    answer = client.post("/api/v1/read?name=a.svg", content=b"a" * (guard.MOST_BODY + 1))
    assert answer.status_code == 422  # a file may be larger
    answer = client.post("/api/v1/read?name=a.svg", content=b"a" * (guard.MOST_FILE + 1))
    assert answer.status_code == 413
    assert client.get("/healthz").status_code == 200


def test_a_body_that_does_not_come(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30) as line:
        line.sendall(
            b"POST /api/v1/sample HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 20\r\n\r\n{"
        )
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert b" 408 " in answer
    assert b"did not arrive in time" in answer


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"99999999999999999999", b""])
def test_a_length_that_is_none(client: httpx.Client, length: bytes) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30) as line:
        line.sendall(b"POST /api/v1/sample HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n")
        assert line.recv(65536).split(b" ")[1] in (b"400", b"413")


def test_too_many_requests_at_the_same_time(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_REQUESTS", 0)
    answer = client.get("/api/v1/models")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert client.get("/healthz").status_code == 200


def test_the_bodies_of_all_requests_together_are_bounded(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_HELD", 100_000)
    for _ in range(3):  # what was refused, or answered, counts no more
        answer = client.post("/api/v1/sample", content=b"a" * 200_000)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert client.post("/api/v1/sample", json={"label": "a" * 90_000}).status_code == 422


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/api/v1/models", "/api/v1/nothing"])
def test_headers(client: httpx.Client, path: str) -> None:
    headers: Any = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")
