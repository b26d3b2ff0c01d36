"""How the speed of a decoder's step depends on the number of drawings in it, under the machine's two limits.

    python benchmarks/roofline.py roofline.svg

With few drawings a step is as fast as the weights come from memory; with many, as fast as the processor multiplies.
Each point is the median of several runs of 60 steps, forward only.
"""

import statistics
import sys
import time

import matplotlib
import numpy as np
import torch

from sketchrnn.bench import peak_flops
from sketchrnn.model.cells import make_cell, zero_state
from sketchrnn.model.sequence import packed_layout, run

SIZE, STEPS = 512, 60
DRAWINGS = (1, 2, 4, 8, 16, 32, 64, 100, 200, 400)


def bandwidth() -> float:
    """Bytes a second of a copy much larger than the caches, read and written."""
    source = torch.ones(64_000_000)
    target = torch.empty_like(source)
    return 2 * 4 * len(source) / min(seconds(lambda: target.copy_(source)) for _ in range(5))


def seconds(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


def speed(drawings: int) -> tuple[float, float]:
    """Floating-point operations for each byte of weights, inputs and results, and in a second."""
    cell = make_cell("lstm", 5, SIZE, 0, 0)
    layout = packed_layout(np.full(drawings, STEPS))
    x, state = torch.randn(layout.num_rows, 5), zero_state(cell, drawings)
    with torch.no_grad():
        times = [seconds(lambda: run(cell, x, None, layout, state)) for _ in range(9)]
    work = 2 * drawings * 4 * SIZE**2
    moved = 4 * (4 * SIZE**2 + drawings * (4 * SIZE + 4 * SIZE))
    return work / moved, STEPS * work / statistics.median(times[2:])


def main() -> None:
    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    peak, stream = peak_flops("cpu"), bandwidth()
    points = [speed(n) for n in DRAWINGS]
    figure, axes = plt.subplots(figsize=(7, 4))
    x = np.geomspace(0.2, 300, 100)
    axes.plot(x, np.minimum(x * stream, peak) / 1e9, color="grey", label="memory, and the best torch.mm")
    axes.plot([p[0] for p in points], [p[1] / 1e9 for p in points], "o-", label="step of an LSTM of 512 units")
    for n, (intensity, flops) in zip(DRAWINGS, points, strict=True):
        axes.annotate(str(n), (intensity, flops / 1e9), textcoords="offset points", xytext=(4, -11), fontsize=8)
        print(f"{n:4} drawings: {flops / 1e9:6.1f} GFLOP/s, {intensity:5.1f} FLOP a byte")
    print(f"peak {peak / 1e9:.0f} GFLOP/s, memory {stream / 1e9:.1f} GB/s")
    axes.set(xscale="log", yscale="log", xlabel="FLOP for each byte", ylabel="GFLOP/s")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[1])


if __name__ == "__main__":
    main()
