"""sketchrnn and other implementations, side by side on this machine: a training step, and one drawing.

    python benchmarks/peers.py cat.npz --magenta CHECKOUT --tensorflow-python PYTHON --alexis-jacq CHECKOUT ...

Whatever is pointed to is measured, each in a process of its own, taking turns, so that a noisy minute falls on all
alike. The figures are medians. CHECKOUTs: magenta/magenta, alexis-jacq/Pytorch-Sketch-RNN, rfeinman/Sketch-RNN,
labmlai/annotated_deep_learning_paper_implementations. --magenta-js is a folder where `npm install @magenta/sketch` was
run, --magenta-js-model one of its published models.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ADAPTERS = Path(__file__).parent / "adapters"


class Peer:
    """An adapter's process."""

    def __init__(self, name: str, command: list[str], works: list[str], environment: dict[str, str]) -> None:
        self.name, self.works = name, works
        self.seconds: dict[str, list[float]] = {work: [] for work in works}
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - not a pipe: nobody would read it while the peer works
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            raise SystemExit(f"{self.name} stopped:\n{self.said.read()[-2000:]}")
        return line

    def do(self, work: str) -> float:
        """Seconds of it. Who is not asked is stopped: threads of a pool that wait for more by spinning take a core."""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        print(work, file=self.process.stdin, flush=True)
        seconds = float(self.answer())
        self.process.send_signal(signal.SIGSTOP)
        return seconds


def main() -> None:
    args = arguments()
    peers = started(args)
    try:
        for peer in peers:
            peer.answer()  # it is ready
            peer.process.send_signal(signal.SIGSTOP)
        for _ in range(args.rounds):
            for peer in peers:
                for work in peer.works:
                    peer.do(work)  # to warm up: the caches hold what others left there
                    peer.seconds[work].append(peer.do(work))
    finally:
        for peer in peers:
            peer.process.kill()
    rows = [
        {"peer": peer.name, "work": work, "seconds": statistics.median(times), "times": times}
        for peer in peers
        for work, times in peer.seconds.items()
    ]
    if args.json:
        print(json.dumps(rows))
        return
    ours = {row["work"]: row["seconds"] for row in rows if row["peer"] == "sketchrnn"}
    for row in rows:
        base = ours.get(row["work"])
        times = f"{row['seconds'] / base:6.1f} x ours" if base and row["peer"] != "sketchrnn" else ""
        print(f"{row['work']:13} {row['peer']:24} {row['seconds']:8.3f} s  {times}")


def started(args: argparse.Namespace) -> list[Peer]:
    common = ["--drawings", str(args.drawings), "--cell", args.cell, "--max-length", str(args.max_length)]
    common += ["--threads", str(args.threads)]
    environment = {"OMP_NUM_THREADS": str(args.threads), "PYTHONPATH": os.pathsep.join(args.python_path)}

    def python(name: str, adapter: str, works: list[str], checkout: Path | None, interpreter: str) -> Peer:
        where = [] if checkout is None else ["--checkout", str(checkout)]
        return Peer(name, [interpreter, str(ADAPTERS / adapter), *common, *where], works, environment)

    works = ["train", "sample"]
    peers = [python("sketchrnn", "ours.py", ["train", "train-padded", "sample"], None, sys.executable)]
    if args.magenta:
        peers.append(python("magenta (TensorFlow)", "magenta.py", works, args.magenta, args.tensorflow_python))
    if args.rfeinman:
        peers.append(python("rfeinman (PyTorch)", "rfeinman.py", works, args.rfeinman, sys.executable))
    if args.cell == "lstm":
        if args.alexis_jacq:
            peers.append(python("alexis-jacq (PyTorch)", "alexis_jacq.py", works, args.alexis_jacq, sys.executable))
        if args.labml:
            peers.append(python("labml (PyTorch)", "labml.py", works, args.labml, sys.executable))
        if args.magenta_js:
            command = [
                "node", str(ADAPTERS / "magenta_js.mjs"), str(args.magenta_js), str(args.magenta_js_model),
                str(args.max_length),
            ]  # fmt: skip
            peers.append(Peer("@magenta/sketch (Node)", command, ["sample"], {}))
    return peers


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, help="a sketch-rnn .npz file that is trusted")
    parser.add_argument("--cell", choices=["lstm", "layer_norm", "hyper"], default="lstm")
    parser.add_argument("--max-length", type=int, default=171, help="N_max, and the steps of the drawing sampled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--python-path", action="append", default=[], help="where what the ports import is installed")
    parser.add_argument("--magenta", type=Path)
    parser.add_argument("--tensorflow-python", default=sys.executable, help="a Python with tensorflow and tf_keras")
    parser.add_argument("--alexis-jacq", type=Path)
    parser.add_argument("--rfeinman", type=Path)
    parser.add_argument("--labml", type=Path)
    parser.add_argument("--magenta-js", type=Path)
    parser.add_argument("--magenta-js-model", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
