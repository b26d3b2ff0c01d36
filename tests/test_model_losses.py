import math

import numpy as np
import pytest
import torch
from conftest import small_model

from sketchrnn import TrainConfig
from sketchrnn.drawing import normalise
from sketchrnn.model.losses import kl_loss, kl_weight, learning_rate, reconstruction_loss, row_terms

pytestmark = pytest.mark.usefixtures("backend")

N_MAX = 24


def in_plain_loops(model, drawings, z, floor=0.0):
    """The paper's equations, drawing by drawing, step by step, normal by normal, in Python's own floats."""
    L_s, L_p = 0.0, {"padded": 0.0, "ended": 0.0, "points": 0.0}
    weights = model.decoder.input_weights()
    for k, drawing in enumerate(drawings):
        rows = np.zeros((N_MAX + 1, 5))
        rows[:, 4] = 1
        rows[0] = model.data.start_token
        own = normalise(drawing.stroke3, model.data.scale_factor)
        rows[1 : len(own) + 1] = np.column_stack([own[:, :2], 1 - own[:, 2], own[:, 2], np.zeros(len(own))])
        state = model.initial_state(z[k : k + 1], 1)
        for i in range(1, N_MAX + 1):
            x = torch.cat([torch.tensor(rows[i - 1], dtype=torch.float32)[None], z[k : k + 1]], dim=1)
            state = model.decoder.step(x @ weights, state)
            y = (state[0] @ model.W_y + model.b_y)[0].double().tolist()
            pen = [math.exp(v) for v in y[:3]]
            q = [v / sum(pen) for v in pen]
            M = (len(y) - 3) // 6
            logits, mu_x, mu_y, s_x, s_y, r = (y[3 + part * M : 3 + (part + 1) * M] for part in range(6))
            total_pi = sum(math.exp(v) for v in logits)
            p = 0.0
            for j in range(M):
                sx, sy, rho = math.exp(s_x[j]), math.exp(s_y[j]), math.tanh(r[j])
                dx, dy = (rows[i][0] - mu_x[j]) / sx, (rows[i][1] - mu_y[j]) / sy
                exponent = -(dx * dx + dy * dy - 2 * rho * dx * dy) / (2 * (1 - rho * rho))
                p += (
                    math.exp(logits[j])
                    / total_pi
                    * math.exp(exponent)
                    / (2 * math.pi * sx * sy * math.sqrt(1 - rho**2))
                )
            log_q = sum(rows[i][2 + state_] * math.log(q[state_]) for state_ in range(3))
            if i <= len(own):
                L_s -= math.log(p + floor) / N_MAX
                L_p["points"] -= log_q / N_MAX
            if i <= len(own) + 1:
                L_p["ended"] -= log_q / N_MAX
            L_p["padded"] -= log_q / N_MAX
    return L_s / len(drawings), {name: value / len(drawings) for name, value in L_p.items()}


@pytest.mark.parametrize("floor", [0.0, 1e-6])
def test_losses_are_those_of_the_equations(model, waves, floor):
    drawings = sorted(waves[:5], key=len, reverse=True)
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    L_s, L_p = in_plain_loops(model, drawings, z, floor)
    for pen, padded in (("padded", True), ("points", True), ("points", False), ("ended", False)):
        batch, _ = model.pack_drawings(drawings, padded=padded)
        terms = model.row_terms(model.decoder_states(batch, z)[0], batch, floor)
        ours_s, ours_p = reconstruction_loss(terms, 5, N_MAX, pen)
        assert ours_s.item() == pytest.approx(L_s, rel=1e-5)
        assert ours_p.item() == pytest.approx(L_p[pen], rel=1e-5)


def test_kl_is_the_divergence():
    mu, sigma_hat = torch.randn(4, 8, dtype=torch.float64), torch.randn(4, 8, dtype=torch.float64)
    q = torch.distributions.Normal(mu, torch.exp(sigma_hat / 2))
    exact = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1) / 8
    np.testing.assert_allclose(kl_loss(mu, sigma_hat), exact)


def test_neighbours_and_padding_change_nothing(model, waves):
    """A drawing's loss is its own: alone, in a batch with any others, with the padding or without."""
    z = torch.randn(6, generator=torch.Generator().manual_seed(0))

    def of_first(drawings, padded):
        batch, order = model.pack_drawings(drawings, padded=padded)
        terms = model.row_terms(model.decoder_states(batch, z.expand(len(drawings), 6))[0], batch)
        mine = (batch.steps.drawing == int(np.flatnonzero(order == 0)[0])) & (terms.is_point > 0)
        return torch.stack([terms.offset[mine], terms.pen[mine]])

    alone = of_first(waves[:1], padded=False)
    assert alone.shape == (2, len(waves[0]))
    for drawings in (waves, waves[:3], [waves[0], waves[0].scaled(50)]):
        for padded in (False, True):
            np.testing.assert_allclose(of_first(drawings, padded).detach(), alone.detach(), rtol=2e-5, atol=2e-5)


def test_offset_of_the_padding_counts_for_nothing():
    y = torch.zeros(2, 9)
    y[1, 4:6] = 1e6  # a mixture as far from (0, 0) as can be, where the padding stands
    y.requires_grad_()
    targets = torch.tensor([[0.1, 0.2, 1, 0, 0], [0, 0, 0, 0, 1]])
    terms = row_terms(y, torch.eye(9), torch.zeros(9), targets)
    L_s, _ = reconstruction_loss(terms, 1, 2, "padded")
    L_s.backward()
    assert L_s.item() == pytest.approx((math.log(2 * math.pi) + 0.025) / 2)
    assert not y.grad[1].any()


def test_a_drawing_of_n_max_points_has_no_end():
    model = small_model(max_length=3)
    from sketchrnn import Drawing

    full = Drawing([[1, 1, 0], [1, 1, 0], [1, 1, 1]])
    batch, _ = model.pack_drawings([full])
    assert batch.steps.num_rows == 3
    assert not batch.targets[:, 4].any()
    batch, _ = model.pack_drawings([full.head(2)])
    assert batch.targets[:, 4].tolist() == [0, 0, 1]


def test_schedules():
    config = TrainConfig()
    assert kl_weight(config, 0) == pytest.approx(0.01)
    assert kl_weight(config, 10_000) == pytest.approx(0.5 - 0.49 * 0.99995**10_000)
    assert learning_rate(config, 0) == pytest.approx(1e-3)
    assert learning_rate(config, 10_000) == pytest.approx((1e-3 - 1e-5) * 0.9999**10_000 + 1e-5)
    from sketchrnn import preset

    paper = preset("paper")[1]
    # the paper's form: w_KL eta_step with eta_step = 1 - (1 - eta_min) R^step
    assert kl_weight(paper, 5_000) == pytest.approx(1.0 * (1 - (1 - 0.01) * 0.99999**5_000))
    assert learning_rate(paper, 50_000) == pytest.approx(1e-4)
