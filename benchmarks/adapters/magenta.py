"""The reference, magenta's models/sketch_rnn, under TensorFlow 2 in graph mode, as its own training loop does."""

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from worker import arguments, batches, load, padded, serve

args = arguments()
sys.path.insert(0, str(args.checkout))
import tensorflow.compat.v1 as tf  # noqa: E402

tf.disable_v2_behavior()
from magenta.models.sketch_rnn import model as reference  # noqa: E402

settings = tf.ConfigProto(intra_op_parallelism_threads=args.threads, inter_op_parallelism_threads=args.threads)
hps = reference.get_default_hparams()
hps.max_seq_len = args.max_length
hps.dec_model = args.cell
model = reference.Model(hps, gpu_mode=False)
sampling = reference.get_default_hparams()
sampling.parse(f"is_training=false,batch_size=1,max_seq_len=1,use_recurrent_dropout=false,dec_model={args.cell}")
sampler = reference.Model(sampling, gpu_mode=False, reuse=True)
session = tf.Session(config=settings)
session.run(tf.global_variables_initializer())
bias = next(v for v in tf.global_variables() if v.name.endswith("RNN/output_b:0"))
drawings = batches(load(args))


def train():
    rows, lengths = padded(next(drawings), args.max_length)
    feed = {
        model.input_data: rows, model.sequence_lengths: lengths, model.lr: 1e-3, model.kl_weight: 0.01,
    }  # fmt: skip
    session.run([model.cost, model.r_cost, model.kl_cost, model.final_state, model.train_op, model.global_step], feed)


def sample():
    before = session.run(bias)
    bias.load(np.concatenate([before[:2], [-1e4], before[3:]]), session)
    z = np.zeros((1, hps.z_size), np.float32)
    reference.sample(session, sampler, seq_len=args.max_length, temperature=0.4, z=z)
    bias.load(before, session)


serve(train=train, sample=sample)
