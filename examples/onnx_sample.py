"""A drawing from an exported model, with onnxruntime and numpy alone: python onnx_sample.py FOLDER OUT.svg"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession

folder, temperature, rng = Path(sys.argv[1]), 0.4, np.random.default_rng()
facts = json.loads((folder / "model.json").read_text("utf-8"))
decoder = InferenceSession(folder / "decoder.onnx")
names = [output.name for output in decoder.get_outputs()]
z, state = {}, {f"state_{k}": np.zeros((1, size), np.float32) for k, size in enumerate(facts["states"])}
if facts["model"]["conditional"]:
    z = {"z": rng.standard_normal((1, facts["model"]["z_size"]), np.float32)}
    state = dict(zip(state, InferenceSession(folder / "start.onnx").run(list(state), z), strict=True))
pen_down = facts["data"]["from_first_point"] or facts["data"]["first_offset"] == "line"  # the first offset is a line
token, at, path, lifted = facts["start_token"], np.zeros(2), "M0 0" if pen_down else "", not pen_down
for _ in range(facts["max_length"]):
    step = dict(zip(names, decoder.run(names, {"token": np.float32([token]), **z, **state}), strict=True))
    state = {name: step[f"next_{name}"] for name in state}
    logits = (step[name] / temperature for name in ("logits_pi", "logits_q"))
    k, pen = ((each + rng.gumbel(size=each.shape)).argmax() for each in logits)  # as likely as softmax says
    if pen == 2:  # 0: a line follows, 1: the pen lifts, 2: the drawing has ended
        break
    mu_x, mu_y, log_x, log_y, rho = (step[name][0, k] for name in ("mu_x", "mu_y", "log_sigma_x", "log_sigma_y", "rho"))
    sigma = np.exp([log_x, log_y])
    covariance = temperature * np.outer(sigma, sigma) * [[1, rho], [rho, 1]]
    offset = rng.multivariate_normal([mu_x, mu_y], covariance, check_valid="ignore")  # rho may be 1, but for rounding
    at += offset * facts["scale_factor"]
    path += f"{'M' if lifted else 'L'}{at[0]:.1f} {at[1]:.1f}"
    token, lifted = [*offset, *np.eye(3)[pen]], pen == 1
side = facts["data"]["size"] or 255
attributes = f'viewBox="{-side / 4} {-side / 4} {side * 1.5} {side * 1.5}" stroke-width="{side / 80}"'
body = f'<path d="{path}" fill="none" stroke="#1b1b1f"/>'
Path(sys.argv[2]).write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{body}</svg>\n')
