import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from sketchrnn.model.mixture import at_temperature, choose, draw, log_density, split_output, temperatures


def outputs(n=3, num_mixtures=4, seed=0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(n, 3 + 6 * num_mixtures, generator=generator, dtype=torch.float64)


def test_parameters_stand_where_the_reference_has_them():
    y = torch.arange(3 + 6 * 2, dtype=torch.float64)[None] / 10
    mixture = split_output(y)
    np.testing.assert_allclose(mixture.log_q.exp(), torch.softmax(y[:, :3], 1))
    np.testing.assert_allclose(mixture.log_pi.exp(), torch.softmax(y[:, 3:5], 1))
    for k, part in enumerate((mixture.mu_x, mixture.mu_y, mixture.log_sigma_x, mixture.log_sigma_y, mixture.rho_hat)):
        np.testing.assert_array_equal(part, y[:, 5 + 2 * k : 7 + 2 * k])
    np.testing.assert_allclose(mixture.rho, torch.tanh(y[:, 13:15]))


def test_density_is_that_of_scipy():
    mixture = split_output(outputs())
    points = np.random.default_rng(1).normal(0, 2, (3, 2))
    for row in range(3):
        total = 0.0
        for j in range(4):
            sx, sy = math.exp(mixture.log_sigma_x[row, j]), math.exp(mixture.log_sigma_y[row, j])
            rho = float(mixture.rho[row, j])
            covariance = [[sx * sx, rho * sx * sy], [rho * sx * sy, sy * sy]]
            mean = [float(mixture.mu_x[row, j]), float(mixture.mu_y[row, j])]
            total += math.exp(mixture.log_pi[row, j]) * multivariate_normal(mean, covariance).pdf(points[row])
        x, y = torch.from_numpy(points).unbind(1)
        assert float(log_density(mixture, x, y)[row]) == pytest.approx(math.log(total), rel=1e-10)


@pytest.mark.parametrize("tau", [1.0, 0.5, 0.1])
def test_density_integrates_to_one(tau):
    mixture = at_temperature(split_output(outputs(1, spread=0.7)), tau)
    axis = torch.linspace(-25, 25, 2001, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    p = torch.exp(log_density(mixture, x.reshape(-1), y.reshape(-1)))
    assert float(p.sum()) * float(axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)
    assert float(mixture.log_pi.exp().sum()) == pytest.approx(1)
    assert float(mixture.log_q.exp().sum()) == pytest.approx(1)


@pytest.mark.parametrize("tau", [1.0, 0.6, 0.2])
def test_moments_of_what_is_drawn_are_those_of_the_mixture(tau):
    n = 400_000
    mixture = split_output(outputs(1, spread=0.6))
    warm = at_temperature(mixture, tau)
    generator = torch.Generator().manual_seed(3)
    many = type(mixture)(*(part.expand(n, -1) for part in vars(mixture).values()))
    uniform = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    offsets, pen = draw(many, tau, uniform, torch.randn(n, 2, generator=generator, dtype=torch.float64))

    pi, sx, sy = warm.log_pi.exp()[0], warm.log_sigma_x.exp()[0], warm.log_sigma_y.exp()[0]
    mx, my = warm.mu_x[0], warm.mu_y[0]
    mean = torch.stack([(pi * mx).sum(), (pi * my).sum()])
    xx = (pi * (sx**2 + mx**2)).sum() - mean[0] ** 2
    yy = (pi * (sy**2 + my**2)).sum() - mean[1] ** 2
    xy = (pi * (warm.rho[0] * sx * sy + mx * my)).sum() - mean[0] * mean[1]
    error = 5 * math.sqrt(max(float(xx), float(yy)) / n)
    np.testing.assert_allclose(offsets.mean(0), mean, atol=error)
    np.testing.assert_allclose(np.cov(offsets.T), [[xx, xy], [xy, yy]], rtol=0.02, atol=0.02 * float(max(xx, yy)))
    q = warm.log_q.exp()[0]
    np.testing.assert_allclose(np.bincount(pen, minlength=3) / n, q, atol=5 * math.sqrt(0.25 / n))


def test_temperature_divides_logits_and_multiplies_variances():
    y = outputs()
    cold = at_temperature(split_output(y), 0.25)
    np.testing.assert_allclose(cold.log_pi.exp(), torch.softmax(y[:, 3:7] / 0.25, 1))
    np.testing.assert_allclose(cold.log_q.exp(), torch.softmax(y[:, :3] / 0.25, 1))
    np.testing.assert_allclose(cold.log_sigma_x.exp() ** 2, 0.25 * split_output(y).log_sigma_x.exp() ** 2)


def test_variances_may_have_a_temperature_of_their_own():
    y = outputs()
    tau, variance = temperatures(0.25, "reference")
    cold = at_temperature(split_output(y), tau, variance)
    np.testing.assert_allclose(cold.log_pi.exp(), torch.softmax(y[:, 3:7] / 0.25, 1))
    np.testing.assert_allclose(cold.log_sigma_y.exp() ** 2, 0.25**2 * split_output(y).log_sigma_y.exp() ** 2)


def test_rules_of_temperature():
    assert temperatures(0.5) == temperatures(0.5, "paper") == (0.5, 0.5)
    assert temperatures(0.5, "reference") == (0.5, 0.25)
    assert temperatures(0.5, "magenta-js") == (0.75, 0.5)
    for rule in ("paper", "reference", "magenta-js"):
        assert temperatures(1, rule) == (1, 1)
        assert temperatures(0, rule) == temperatures(1e-40, rule) == (0, 0)


def test_temperature_zero_takes_the_most_likely_and_is_the_limit_of_small_ones():
    mixture = split_output(outputs(50))
    uniform, normal = torch.rand(50, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    offsets, pen = draw(mixture, 0, uniform, normal)
    best = mixture.log_pi.argmax(1)
    np.testing.assert_array_equal(pen, mixture.log_q.argmax(1))
    np.testing.assert_array_equal(offsets[:, 0], mixture.mu_x[torch.arange(50), best])
    near, near_pen = draw(mixture, 1e-6, uniform, normal)
    np.testing.assert_array_equal(near_pen, pen)
    np.testing.assert_allclose(near, offsets, atol=0.1)


def test_no_density_is_lost_far_away_or_at_extreme_parameters():
    y = torch.zeros(1, 9)
    far = log_density(split_output(y), torch.tensor([1e4]), torch.tensor([-1e4]))
    assert far.item() == pytest.approx(-math.log(2 * math.pi) - 1e8, rel=1e-6)  # probability space would give -inf
    y[0, 8] = 50.0  # rho saturates: 1 - rho^2 would be 0
    y.requires_grad_()
    value = log_density(split_output(y), torch.tensor([0.3]), torch.tensor([0.2]))
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(y.grad).all()


def test_choose_never_falls_off_the_end():
    log_p = torch.log(torch.tensor([[0.25, 0.25, 0.5]]))
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.4999, 0.5, 1 - 2**-24])
    assert choose(log_p.expand(6, 3), uniform).tolist() == [0, 0, 1, 1, 2, 2]
    short = torch.log(torch.tensor([[0.3, 0.3, 0.3]]))  # a sum below 1, as rounding can make one
    assert choose(short, torch.tensor([0.95])).tolist() == [2]


def test_normal_and_pen_are_chosen_by_a_number_each():
    y = torch.zeros(1, 3 + 6 * 2, dtype=torch.float64)
    y[0, 5:7] = torch.tensor([-5.0, 5.0])  # the two normals lie apart
    y[0, 2] = -50.0  # the end never comes
    zero = torch.zeros(1, 2, dtype=torch.float64)
    for first, second in ((0.2, 0.8), (0.8, 0.2), (0.2, 0.2)):
        offset, pen = draw(split_output(y), 1.0, torch.tensor([[first, second]], dtype=torch.float64), zero)
        assert offset[0, 0].item() == pytest.approx(-5 if first < 0.5 else 5)
        assert pen.item() == int(second > 0.5)
