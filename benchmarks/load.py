"""Load on a running `sketchrnn serve`: completions a second, how long they take, and memory over time. Loopback only.

sketchrnn serve runs/cat --port 8000 &
python benchmarks/load.py --port 8000 --clients 64 --seconds 20

Each client keeps one connection and asks for one ending of a drawing of which it gives a third, again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
import urllib.request
from typing import Any

HOST = "127.0.0.1"


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes, accept: str) -> Any:
    """Sends one request and gives the status and the reader's place behind the headers."""
    head = (
        f"POST /api/v1/complete HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    raw = await reader.readuntil(b"\r\n\r\n")
    status, *lines = raw.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    return int(status.split()[1]), headers


async def client(
    port: int, prefixes: list[Any], until: float, number: int, times: list[float], errors: list[str]
) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    chance, seed = random.Random(number), number * 1_000_000
    while time.perf_counter() < until:
        seed += 1
        body = json.dumps({"drawing": chance.choice(prefixes), "seed": seed}).encode()
        began = time.perf_counter()
        status, headers = await ask(reader, writer, body, "application/json")
        answer = await reader.readexactly(int(headers["content-length"]))
        times.append(time.perf_counter() - began)
        if status != 200:
            errors.append(f"{status} {answer[:200].decode()}")
    writer.close()


async def first_strokes(port: int, prefixes: list[Any], times: int) -> list[float]:
    """Seconds of a lone client until the first stroke, or the end, of what is drawn has arrived."""
    found = []
    for seed in range(times):
        reader, writer = await asyncio.open_connection(HOST, port)
        body = json.dumps({"drawing": prefixes[seed % len(prefixes)], "seed": seed}).encode()
        began = time.perf_counter()
        await ask(reader, writer, body, "application/x-ndjson")
        arrived = False
        while not arrived:
            size = int(await reader.readline(), 16)
            events = [json.loads(line) for line in (await reader.readexactly(size + 2)).splitlines() if line]
            arrived = any("done" in event or any(pen for _, _, pen in event.get("points", [])) for event in events)
        found.append(time.perf_counter() - began)
        writer.close()
    return found


def call(port: int, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def memory(port: int) -> float:
    """MiB of the server, as it says."""
    lines = call(port, "/metrics").decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("sketchrnn_memory_bytes "))) / 2**20


async def load(port: int, clients: int, seconds: float, prefixes: list[Any], every: float) -> None:
    times: list[float] = []
    errors: list[str] = []
    began = time.perf_counter()
    work = [
        asyncio.create_task(client(port, prefixes, began + seconds, number, times, errors)) for number in range(clients)
    ]
    while (now := time.perf_counter() - began) < seconds:
        await asyncio.sleep(min(every, seconds - now))
        mib = await asyncio.to_thread(memory, port)
        print(
            f"  after {time.perf_counter() - began:5.0f} s: {len(times):,} completions, memory {mib:.0f} MiB",
            flush=True,
        )
    for problem in await asyncio.gather(*work, return_exceptions=True):
        if problem is not None:
            errors.append(repr(problem))
    spent = time.perf_counter() - began
    cuts = statistics.quantiles(times, n=100)
    print(f"{clients} clients: {len(times) / spent:.0f} completions/s, p50 {cuts[49] * 1e3:.0f} ms, "
          f"p99 {cuts[98] * 1e3:.0f} ms, longest {max(times) * 1e3:.0f} ms, {len(errors)} errors")  # fmt: skip
    for error in errors[:5]:
        print("  ", error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--clients", type=int, default=64, choices=range(1, 257), metavar="1..256")
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    made = json.loads(call(args.port, "/api/v1/sample", {"n": 64, "seed": 1}))["drawings"]
    made = [drawing for drawing in made if drawing["lines"]]
    prefixes = [{"lines": [drawing["lines"][0][: max(2, sum(map(len, drawing["lines"])) // 3)]]} for drawing in made]
    print(f"memory at the start {memory(args.port):.0f} MiB")
    strokes = sorted(asyncio.run(first_strokes(args.port, prefixes, 20)))
    print(f"one client: first stroke after {strokes[10] * 1e3:.0f} ms (median of 20; longest {strokes[-1] * 1e3:.0f})")
    asyncio.run(load(args.port, args.clients, args.seconds, prefixes, max(2.0, args.seconds / 10)))


if __name__ == "__main__":
    main()
