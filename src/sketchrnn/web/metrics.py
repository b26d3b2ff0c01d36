"""Figures for Prometheus, in its text form: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


class Metrics:
    """Requests, by path and status, and the time they took."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: Counter[str] = Counter()

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts one that was answered; paths are those of the API, not what people send."""
        self._requests[path, status] += 1
        self._buckets[path][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[path] += seconds  # type: ignore[assignment]  # Counter counts in whole numbers by its type alone

    def text(self, gauges: Mapping[str, tuple[str, float]], counters: Mapping[str, tuple[str, float]]) -> str:
        """All figures; `gauges` and `counters` are name: (help, value) of the moment."""
        lines = ["# HELP sketchrnn_requests_total Requests answered.", "# TYPE sketchrnn_requests_total counter"]
        for (path, status), count in sorted(self._requests.items()):
            lines.append(f'sketchrnn_requests_total{{path="{path}",status="{status}"}} {count}')
        name = "sketchrnn_request_seconds"
        lines += [f"# HELP {name} Time from a request to the end of its answer.", f"# TYPE {name} histogram"]
        for path, counts in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f'{name}_bucket{{path="{path}",le="{bound}"}} {total}')
            lines += [
                f'{name}_sum{{path="{path}"}} {self._seconds[path]:.6f}',
                f'{name}_count{{path="{path}"}} {total}',
            ]
        for kind, figures in (("gauge", gauges), ("counter", counters)):
            for figure, (help_text, value) in figures.items():
                lines += [f"# HELP {figure} {help_text}", f"# TYPE {figure} {kind}", f"{figure} {value:.17g}"]
        return "\n".join(lines) + "\n"


def memory() -> float:
    """Bytes of memory that the process has; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024.0 for line in lines if line.startswith("VmRSS")), 0.0)
