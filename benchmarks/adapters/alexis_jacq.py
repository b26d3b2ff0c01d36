"""alexis-jacq/Pytorch-Sketch-RNN, mended so far that it runs: a bracket, names torch has no more, its printing."""

import numpy as np
import torch
from torch import nn
from worker import BATCH, arguments, batches, load, padded, serve

args = arguments()
torch.set_num_threads(args.threads)
torch.set_flush_denormal(True)
drawings = batches(load(args))

source = (args.checkout / "sketch_rnn.py").read_text()
source = source.replace("hp.enc_hidden_size.cuda()", "hp.enc_hidden_size).cuda()")
source = source.replace("nn.utils.clip_grad_norm(", "nn.utils.clip_grad_norm_(").replace("loss.data[0]", "loss.item()")
source = source.replace("LR.data[0]", "LR.item()").replace("LKL.data[0]", "LKL.item()")
start, end = source.index("dataset = np.load("), source.index("############################## function to generate")
source = source[:start] + f"Nmax = {args.max_length}\n" + source[end:]
peer = {"__name__": "peer", "Variable": lambda tensor: tensor}
exec(compile(source, "sketch_rnn.py", "exec"), peer)


def make_batch(count):
    chosen = next(drawings)[:count]
    rows, lengths = padded(chosen, args.max_length, start=False)
    return torch.from_numpy(rows.transpose(1, 0, 2).copy()), lengths.tolist()


peer["make_batch"], peer["make_image"] = make_batch, lambda *_: None
torch.manual_seed(0)
model = peer["Model"]()
assert peer["hp"].batch_size == BATCH
end_logit = model.decoder.fc_params.bias


def sample():
    with torch.no_grad():
        end_logit[-1] = -1e4
        model.conditional_generation(1)
        end_logit[-1] = 0


np.random.seed(0)  # noqa: NPY002
assert isinstance(model.encoder, nn.Module)
serve(train=lambda: model.train(1), sample=sample)
