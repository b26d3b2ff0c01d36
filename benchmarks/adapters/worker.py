"""What the adapters share. An adapter is a process that does one piece of work for each line it reads and says how
long it took, so that the driver can take turns among them. Nothing but numpy is needed here."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

BATCH = 100
MAX_OFFSET = 1000


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--drawings", type=Path, required=True, help="a sketch-rnn .npz file that is trusted")
    parser.add_argument("--checkout", type=Path, help="where the peer's code lies")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def load(args):
    """The training drawings, clamped and divided by their scale factor, at most max_length points each."""
    with np.load(args.drawings, encoding="latin1", allow_pickle=True) as file:
        drawings = [np.clip(np.asarray(d, np.float32), -MAX_OFFSET, MAX_OFFSET) for d in file["train"]]
    drawings = [d for d in drawings if 10 < len(d) <= args.max_length]
    scale = np.concatenate([d[:, :2] for d in drawings]).std()
    for drawing in drawings:
        drawing[:, :2] /= scale
    return drawings


def padded(drawings, max_length, start=True):
    """(B, max_length + 1, 5) stroke-5 with the start token before it, and the lengths."""
    rows = np.zeros((len(drawings), max_length + 1, 5), np.float32)
    rows[:, 0, 2] = 1
    rows[:, 1:, 4] = 1
    for row, drawing in zip(rows, drawings, strict=True):
        n = len(drawing)
        row[1 : n + 1, :2] = drawing[:, :2]
        row[1 : n + 1, 2] = 1 - drawing[:, 2]
        row[1 : n + 1, 3] = drawing[:, 2]
        row[1 : n + 1, 4] = 0
    return (rows if start else rows[:, 1:]), np.array([len(d) for d in drawings])


def batches(drawings):
    """Random batches without end."""
    rng = np.random.default_rng(0)
    while True:
        yield [drawings[i] for i in rng.choice(len(drawings), BATCH, replace=False)]


def serve(**works):
    """Does the named work for each line of stdin."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what the peer prints is not an answer
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        work = works[line.strip()]
        began = time.perf_counter()
        work()
        print(time.perf_counter() - began, file=out, flush=True)
