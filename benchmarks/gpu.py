"""What this package does on an NVIDIA GPU: speed beside cuDNN, losses by precision, a profile of one step.

    python benchmarks/gpu.py bench --out results.jsonl
    python benchmarks/gpu.py losses --out results.jsonl --steps 1000
    python benchmarks/gpu.py profile --out results.jsonl
    python benchmarks/gpu.py table --out results.jsonl

Each row is written as soon as it is known, so that what is cut off is not lost. `benchmarks/gpu.sh` does all of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

import sketchrnn
from sketchrnn import bench
from sketchrnn.evaluation import evaluate
from sketchrnn.training import fast_steps

COLUMNS = {
    "what": "", "cell": "cell", "size": "units", "backend": "backend", "precision": "precision", "batch": "batch",
    "seconds": "seconds", "drawings_per_s": "drawings/s", "gflops": "GFLOP/s", "fraction_of_peak": "of peak",
    "times_cudnn": "x cuDNN", "nats_per_point": "nats/point", "said": "",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["bench", "losses", "profile", "table"])
    parser.add_argument("--out", type=Path, required=True, help="a file of JSON lines, added to")
    parser.add_argument("--data", type=Path, help="a dataset, or an .npz file of drawings; made-up ones if not given")
    parser.add_argument("--steps", type=int, default=1000, help="of the trainings whose losses are compared")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    if args.what == "table":
        print(table([json.loads(line) for line in args.out.read_text().splitlines()]))
        return
    with tempfile.TemporaryDirectory() as folder, fast_steps(torch.device(args.device)):
        data = dataset(args.data, Path(folder))
        {"bench": speed, "losses": losses, "profile": profile}[args.what](data, args)


def dataset(given: Path | None, folder: Path) -> sketchrnn.Dataset:
    if given is None:
        return sketchrnn.Dataset(bench.made_up_data(folder))
    if given.is_file():
        sketchrnn.prepare([given], folder / "data")
        given = folder / "data"
    return sketchrnn.Dataset(given)


def write(out: Path, rows: list[dict[str, object]]) -> None:
    with out.open("a") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def tried(out: Path, name: str, measure: object) -> None:
    """Its rows, or what went wrong: the next is measured in either case."""
    began = time.perf_counter()
    try:
        write(out, measure())  # type: ignore[operator]
    except Exception as error:
        traceback.print_exc()
        write(out, [{"what": "failed", "said": f"{name}: {str(error).strip().splitlines()[:1]}"}])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)


def speed(data: sketchrnn.Dataset, args: argparse.Namespace) -> None:
    for k, measure in enumerate(bench.gpu_measures(data, args.device)):
        tried(args.out, f"measure {k}", measure)
    for cell in bench.CELLS:
        for n in (1, 1000):
            tried(args.out, f"sampling {cell} {n}", lambda c=cell, k=n: [bench.sampling_row(c, k, args.device)])


def losses(data: sketchrnn.Dataset, args: argparse.Namespace) -> None:
    """Nats per point of the validation split after the same steps: as float32, from weights one rounding apart (how
    much chance there is in the figure), as tf32 and as bfloat16."""
    for cell in ("lstm", "hyper"):
        for name, precision in (
            ("float32", "float32"),
            ("bfloat16", "bfloat16"),
            ("float32 nudged", "float32"),
            ("tf32", "tf32"),
        ):

            def measure(cell: str = cell, name: str = name, precision: str = precision) -> list[dict[str, object]]:
                trainer = bench.Trainer(data, cell, "", args.device, 100, precision)
                if name != precision:
                    with torch.no_grad():
                        for parameter in trainer.model.parameters():
                            parameter.mul_(1 + 1e-7)
                began = time.perf_counter()
                trainer.steps(args.steps)
                seconds = (time.perf_counter() - began) / args.steps
                drawings = [data.valid[k] for k in range(min(1000, len(data.valid)))]
                figures = evaluate(trainer.model, drawings, padded=False)
                return [
                    {"what": f"loss {args.steps} steps", "cell": cell, "precision": name, "batch": 100,
                     "seconds": seconds, "nats_per_point": figures["nats_per_point"]}
                ]  # fmt: skip

            tried(args.out, f"loss {cell} {name}", measure)


def profile(data: sketchrnn.Dataset, args: argparse.Namespace) -> None:
    for cell, precision in (("lstm", "float32"), ("lstm", "bfloat16"), ("hyper", "bfloat16")):
        tried(args.out, f"profile {cell}", lambda c=cell, p=precision: profiled(data, c, p, args))


def profiled(data: sketchrnn.Dataset, cell: str, precision: str, args: argparse.Namespace) -> list[dict[str, object]]:
    """Kernels of three steps: their times, the gaps between them, and calls that wait for the device."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity

    trainer = bench.Trainer(data, cell, "", args.device, 100, precision)
    trainer.steps(3)
    trainer.step = 0
    with torch.profiler.profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        trainer.steps(3)
    events = found.events()
    kernels = sorted(
        (event.time_range.start, event.time_range.end, event.name)
        for event in events
        if event.device_type == DeviceType.CUDA
    )
    waits = [event.name for event in events if "Synchronize" in event.name or event.name == "cudaMemcpy"]
    busy, end = 0.0, 0.0
    for start, stop, _ in kernels:
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    whole = end - kernels[0][0] if kernels else 0.0
    common = {"cell": cell, "precision": precision, "batch": 100}
    said = f"{len(kernels) // 3} kernels a step, busy {busy / max(whole, 1e-9):.0%}, {len(waits)} waits in all"
    rows: list[dict[str, object]] = [{"what": "profile", **common, "seconds": whole / 3e6, "said": said}]
    by_name: dict[str, list[float]] = {}
    for start, stop, name in kernels:
        by_name.setdefault(name, []).append(stop - start)
    for name, times in sorted(by_name.items(), key=lambda item: -sum(item[1]))[:8]:
        said = f"{len(times) // 3} x {sum(times) / len(times):.1f} us {name[:70]}"
        rows.append({"what": "kernel", **common, "seconds": sum(times) / 3e6, "said": said})
    return rows


def table(rows: list[dict[str, object]]) -> str:
    names = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    lines = ["| " + " | ".join(COLUMNS[name] for name in names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(text(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
    return "" if value is None else str(value)


if __name__ == "__main__":
    main()
