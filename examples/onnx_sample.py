"""Nine drawings from an exported model, with onnxruntime and numpy alone: python onnx_sample.py FOLDER OUT.svg"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
n, tau, rng = 9, 0.4, np.random.default_rng(0)  # drawings, temperature
facts = json.loads((folder / "model.json").read_text("utf-8"))
decoder = InferenceSession(folder / "decoder.onnx")
z, state = {}, {f"state_{k}": np.zeros((n, size), np.float32) for k, size in enumerate(facts["states"])}
if facts["model"]["conditional"]:
    z = {"z": rng.standard_normal((n, facts["model"]["z_size"]), np.float32)}
    state = dict(zip(state, InferenceSession(folder / "start.onnx").run(list(state), z), strict=True))


def choose(logits):  # by Gumbel's trick: the largest of logits / tau plus noise
    return (logits / tau - np.log(-np.log(rng.random(logits.shape)))).argmax(axis=1)


token, at, running = np.tile(np.float32(facts["start_token"]), (n, 1)), np.zeros((n, 2)), np.ones(n, bool)
pen_down = facts["data"]["from_first_point"] or facts["data"]["first_offset"] == "line"  # the first offset is a line
lifted, paths = np.full(n, not pen_down), ["M0 0" if pen_down else ""] * n
outputs = [output.name for output in decoder.get_outputs()]
for _ in range(facts["max_length"]):
    step = dict(zip(outputs, decoder.run(outputs, {"token": token} | z | state), strict=True))
    state = {name: step[f"next_{name}"] for name in state}
    k, pen = choose(step["logits_pi"]), choose(step["logits_q"])  # pen: 0 a line follows, 1 it lifts, 2 the end
    mixture = (step[name][range(n), k] for name in ("mu_x", "mu_y", "log_sigma_x", "log_sigma_y", "rho"))
    mu_x, mu_y, log_sigma_x, log_sigma_y, rho = mixture
    u, v = np.sqrt(tau) * rng.standard_normal((2, n))
    dx, dy = mu_x + np.exp(log_sigma_x) * u, mu_y + np.exp(log_sigma_y) * (rho * u + np.sqrt(1 - rho**2) * v)
    token = np.column_stack([dx, dy, np.eye(3)[pen]]).astype(np.float32)
    at += token[:, :2] * facts["scale_factor"]
    running &= pen != 2
    if not running.any():
        break
    for i in np.flatnonzero(running):
        paths[i] += f"{'M' if lifted[i] else 'L'}{at[i, 0]:.1f} {at[i, 1]:.1f}"
    lifted = pen == 1

side = 1.3 * (facts["data"]["size"] or 255)
cells = [f'<path d="{d}" transform="translate({i % 3 * side} {i // 3 * side})"/>' for i, d in enumerate(paths)]
box = f"{-0.1 * side} {-0.1 * side} {3.1 * side} {3.1 * side}"
style = f'fill="none" stroke="#1b1b1f" stroke-width="{side / 100}"'
out.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {style}>{"".join(cells)}</svg>\n')
