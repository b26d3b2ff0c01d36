"""rfeinman/Sketch-RNN, its training step as in its own script."""

import sys

import torch
from torch import nn
from worker import arguments, batches, load, padded, serve

args = arguments()
torch.set_num_threads(args.threads)
torch.set_flush_denormal(True)
sys.path.insert(0, str(args.checkout))
from sketch_rnn.hparams import hparam_parser  # noqa: E402
from sketch_rnn.model import SketchRNN, model_step, sample_unconditional  # noqa: E402

drawings = batches(load(args))
hps = hparam_parser().parse_args(["--dec_model", args.cell, "--max_seq_len", str(args.max_length)])
torch.manual_seed(0)
model = SketchRNN(hps)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
heads = [m for m in model.param_layer.modules() if isinstance(m, nn.Linear)]


def train():
    model.train()
    rows, lengths = padded(next(drawings), args.max_length)
    optimizer.zero_grad()
    loss = model_step(model, torch.from_numpy(rows), torch.from_numpy(lengths))
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 1.0)
    optimizer.step()
    loss.item()


def sample():
    with torch.no_grad():
        for head in heads:
            head.bias[-1] = -1e4
        points, _ = sample_unconditional(model, T=0.4)
        for head in heads:
            head.bias[-1] = 0
    assert len(points) > args.max_length


serve(train=train, sample=sample)
