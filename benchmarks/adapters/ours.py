"""sketchrnn itself. `train-padded` also learns the pen states of the padding, as the reference does."""

import numpy as np
import torch
from worker import BATCH, arguments, batches, load, serve

import sketchrnn
from sketchrnn.config import DataInfo, ModelConfig, TrainConfig
from sketchrnn.data.batches import Batch
from sketchrnn.model.adam import Adam
from sketchrnn.model.network import SketchRNN
from sketchrnn.training import fast_steps, train_step

args = arguments()
torch.set_num_threads(args.threads)
torch.manual_seed(0)
info = DataInfo(scale_factor=30.0, max_length=args.max_length)
model = SketchRNN(ModelConfig(decoder_cell=args.cell), info)
optimizer = Adam(model.parameters(), 1e-3)
drawings = batches(load(args))

endless = SketchRNN(ModelConfig(decoder_cell=args.cell), info)
with torch.no_grad():
    endless.b_y[2] = -1e4


def step(padding):
    chosen = sorted(next(drawings), key=len, reverse=True)
    batch = Batch(np.concatenate(chosen), np.array([len(d) for d in chosen]), np.arange(BATCH))
    config = TrainConfig(pen_padding=padding)
    assert train_step(model, optimizer, batch, config, 0, torch.Generator().manual_seed(0)) is not None


def sample():
    assert len(sketchrnn.sample(endless, 1, seed=0)[0]) == args.max_length


with fast_steps(torch.device("cpu")):  # as in a training run
    serve(train=lambda: step(False), **{"train-padded": lambda: step(True), "sample": sample})
