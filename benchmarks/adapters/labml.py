"""labml's annotated sketch-rnn: its classes, and its training step without the tracking."""

import numpy as np
import torch
from torch import nn
from worker import arguments, batches, load, padded, serve

args = arguments()
torch.set_num_threads(args.threads)
torch.set_flush_denormal(True)
drawings = batches(load(args))

source = (args.checkout / "labml_nn/sketch_rnn/__init__.py").read_text()
lines = [line for line in source.split("class Configs(")[0].splitlines() if not line.startswith("from labml")]
peer = {"__name__": "peer"}
exec(compile("\n".join(lines), "sketch_rnn", "exec"), peer)

torch.manual_seed(0)
encoder, decoder = peer["EncoderRNN"](128, 256), peer["DecoderRNN"](128, 512, 20)
reconstruction, divergence = peer["ReconstructionLoss"](), peer["KLDivLoss"]()
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
sampler = peer["Sampler"](encoder, decoder)
sampler.plot = lambda *_: None


def train():
    rows, lengths = padded(next(drawings), args.max_length)
    data = torch.from_numpy(rows).transpose(0, 1)
    mask = torch.from_numpy((np.arange(args.max_length) < lengths[:, None]).astype(np.float32)).t()
    z, mu, sigma_hat = encoder(data)
    inputs = torch.cat([data[:-1], z.unsqueeze(0).expand(len(data) - 1, -1, -1)], 2)
    dist, q_logits, _ = decoder(inputs, z, None)
    loss = reconstruction(mask, data[1:], dist, q_logits) + 0.5 * divergence(sigma_hat, mu)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
    nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
    optimizer.step()


def sample():
    rows, _ = padded(next(drawings)[:1], args.max_length - 1)
    with torch.no_grad():
        decoder.q_head.bias[2] = -1e4
        sampler.sample(torch.from_numpy(rows).transpose(0, 1), 0.4)
        decoder.q_head.bias[2] = 0


serve(train=train, sample=sample)
