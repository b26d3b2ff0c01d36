"""The reference's numbers, and the model that should compute them."""

import os
from pathlib import Path

import torch

from sketchrnn import DataInfo, ModelConfig, SketchRNN
from sketchrnn.interop import tensorflow

FOLDER = Path(os.environ.get("SKETCHRNN_GOLDEN", Path(__file__).parent / "data/golden"))
FILES = sorted(FOLDER.glob("enc_*.npz"))
INFO = DataInfo(scale_factor=1.0, max_length=1)  # of no matter to the sizes


def model_of(golden):
    """A model with the file's sizes and weights."""
    encoder, decoder, conditional, *sizes = golden["hps"].tolist()
    encoder_size, decoder_size, z_size, num_mixtures, max_length, hyper_units, hyper_embedding = map(int, sizes)
    config = ModelConfig(
        encoder_cell=encoder,
        decoder_cell=decoder,
        conditional=conditional == "True",
        encoder_size=encoder_size,
        decoder_size=decoder_size,
        z_size=z_size,
        num_mixtures=num_mixtures,
        hyper_units=hyper_units,
        hyper_embedding=hyper_embedding,
    )
    model = SketchRNN(config, DataInfo(scale_factor=float(golden["scale_factor"]), max_length=max_length))
    model.load_state_dict({k: torch.from_numpy(v) for k, v in renamed(golden, "weight", config).items()})
    return model


def renamed(golden, kind, config):
    """The arrays `KIND/NAME` under our names, the eight embeddings of a hyper cell joined."""
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in SketchRNN(config, INFO).state_dict().items()}
    return tensorflow.renamed(config, shapes, lambda name: golden[f"{kind}/{name}:0"])
