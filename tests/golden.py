"""The reference's numbers: what they are called there, and where they go here."""

import os
from pathlib import Path

import numpy as np
import torch

from sketchrnn import DataInfo, ModelConfig, SketchRNN

FOLDER = Path(os.environ.get("SKETCHRNN_GOLDEN", Path(__file__).parent / "data/golden"))
FILES = sorted(FOLDER.glob("enc_*.npz"))

CELL_NAMES = {"lstm": "LSTMCell", "layer_norm": "LayerNormLSTMCell", "hyper": "HyperLSTMCell"}
PARTS = ("ix", "jx", "fx", "ox", "ih", "jh", "fh", "oh")


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

    def get(name):
        return golden[f"{kind}/vector_rnn/{name}:0"]

    def cell(ours, theirs, name):
        theirs = f"{theirs}/{CELL_NAMES[name]}"
        found = {"W_xh": get(f"{theirs}/W_xh"), "W_hh": get(f"{theirs}/W_hh")}
        if name != "layer_norm":
            found["bias"] = get(f"{theirs}/bias")
        if name != "lstm":
            found |= {
                "gates_gamma": get(f"{theirs}/ln_all/ln_gamma"),
                "gates_beta": get(f"{theirs}/ln_all/ln_beta"),
                "c_gamma": get(f"{theirs}/ln_c/ln_gamma"),
                "c_beta": get(f"{theirs}/ln_c/ln_beta"),
            }
        if name == "hyper":
            each = [f"{theirs}/hyper_{part}" for part in PARTS]
            found["W_zw"] = np.concatenate([get(f"{e}/zw/super_linear_w") for e in each], axis=1)
            found["b_zw"] = np.concatenate([get(f"{e}/zw/super_linear_b") for e in each])
            found["alpha"] = np.stack([get(f"{e}/alpha/super_linear_w") for e in each])
            found["W_zb"] = np.concatenate([get(f"{e}/zb/super_linear_w") for e in each[4:]], axis=1)
            found["beta"] = np.stack([get(f"{e}/beta/super_linear_w") for e in each[4:]])
        arrays = {f"{ours}.{k}": v for k, v in found.items()}
        return arrays | (cell(f"{ours}.hyper", theirs, "layer_norm") if name == "hyper" else {})

    arrays = {"W_y": get("RNN/output_w"), "b_y": get("RNN/output_b")} | cell("decoder", "RNN", config.decoder_cell)
    if config.conditional:
        arrays |= cell("encoder_forward", "ENC_RNN/fw", config.encoder_cell)
        arrays |= cell("encoder_backward", "ENC_RNN/bw", config.encoder_cell)
        for ours, theirs in (("mu", "ENC_RNN_mu"), ("sigma", "ENC_RNN_sigma"), ("z", "linear")):
            arrays[f"W_{ours}"] = get(f"{theirs}/super_linear_w")
            arrays[f"b_{ours}"] = get(f"{theirs}/super_linear_b")
    return arrays
