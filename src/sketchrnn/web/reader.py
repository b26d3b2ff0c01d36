"""Reads a file that somebody has sent, in a process of its own with bounds on memory and time.

`python -m sketchrnn.web.reader NAME [SIZE MAX_LENGTH [begun]]` reads the file from stdin and writes JSON to stdout:
`{"drawings": [...], "left_out": 0}` or `{"error": "sentence"}`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

SECONDS = 10  # of the processor
MEMORY = 2 * 2**30
MOST_DRAWINGS = 100
MOST_POINTS = 100_000  # in an answer
MOST_COUNTED = 100_000  # drawings of a file


def answer(content: bytes, name: str, *fit: str) -> dict[str, Any]:
    """The answer for a file of this name, and for drawings to be fitted their size, their most points, and whether they
    are only begun."""
    from sketchrnn import formats
    from sketchrnn.data.inputs import fitted, in_foreign_units

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            drawings = formats.iterate(path)
            first = list(islice(drawings, MOST_DRAWINGS))
            left_out = sum(1 for _ in islice(drawings, MOST_COUNTED))
            if fit and float(fit[0]) > 0 and in_foreign_units(path):
                first = fitted(first, path, float(fit[0]), int(fit[1]), begun="begun" in fit[2:])
        except (ValueError, OSError) as error:
            return {"error": " ".join(str(error).replace(f"{folder}/", "").split())}
        except MemoryError:
            return {"error": f"{name} needs more memory than a file that is sent may"}
    if sum(map(len, first)) > MOST_POINTS:
        return {"error": f"{name} has more than {MOST_POINTS:,} points; send a simpler drawing"}
    found = [
        {"lines": [line.tolist() for line in each.lines()]}
        | ({} if each.label is None else {"label": each.label[:200]})
        for each in first
    ]
    return {"drawings": found, "left_out": left_out}


def _bound() -> None:
    with suppress(ImportError, OSError, ValueError):  # there are none on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _bound()
    json.dump(answer(sys.stdin.buffer.read(), *sys.argv[1:]), sys.stdout, allow_nan=False)
