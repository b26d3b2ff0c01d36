import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_model
from scipy.stats import multivariate_normal

import sketchrnn
from sketchrnn import Drawing


def test_figures_fit_together(model, waves):
    figures = sketchrnn.evaluate(model, waves, seed=3, batch_size=7)
    assert figures["drawings"] == 40
    assert figures["L_R"] == pytest.approx(figures["L_s"] + figures["L_p"])
    assert figures["L_R_padded"] > figures["L_R"]
    points = sum(len(d) for d in waves)
    assert figures["nats_per_point"] == pytest.approx(figures["nats_per_drawing"] * 40 / points)
    assert figures["bound"] == pytest.approx(figures["nats_per_drawing"] + 6 * figures["L_KL"])
    # the same whatever the batches, and z from the same seed
    whole = sketchrnn.evaluate(model, waves, seed=3, batch_size=100)
    assert whole == pytest.approx(figures, rel=1e-5)
    assert sketchrnn.evaluate(model, waves, seed=4)["nats_per_drawing"] != whole["nats_per_drawing"]


def test_decoder_only_has_no_kl(cell, waves):
    model = small_model(cell, conditional=False)
    figures = sketchrnn.evaluate(model, waves, importance_samples=3)
    assert figures["L_KL"] == 0
    assert figures["bound"] == figures["nats_per_drawing"]
    assert "importance_bound" not in figures
    assert figures["nats_per_drawing"] == pytest.approx(-sketchrnn.log_likelihood(model, waves).mean(), rel=1e-5)


def test_importance_bound_tightens_towards_the_likelihood(waves):
    """With k draws it lies between the bound and -log p; here N_z = 6 is small enough to find -log p by brute force."""
    model = small_model(seed=2)
    with torch.no_grad():  # the less a drawing says of z, the fewer draws from the prior are needed
        model.decoder.W_xh[5:] *= 0.1
        model.W_z *= 0.02
        model.W_mu *= 0.2
        model.b_sigma.fill_(1.0)  # sigma = 1.6: wide, so that few draws suffice, and its logarithm is not 0
    drawings = waves[:4]
    k = {n: sketchrnn.evaluate(model, drawings, importance_samples=n, padded=False) for n in (1, 10, 300)}
    rng = np.random.default_rng(0)
    z = rng.standard_normal((4_000, 6)).astype(np.float32)
    exact = []
    for drawing in drawings:  # log of the mean of p(x | z) over the prior
        log_p = sketchrnn.log_likelihood(model, [drawing] * len(z), z=z, batch_size=1000)
        exact.append(np.logaddexp.reduce(log_p) - math.log(len(z)))
    target = -np.mean(exact)
    assert k[300]["importance_bound"] == pytest.approx(target, abs=0.5)
    assert k[1]["importance_bound"] > k[300]["importance_bound"] - 0.05
    assert k[10]["bound"] > k[300]["importance_bound"] - 0.05


def test_likelihoods_stand_in_the_order_of_the_drawings(model, waves):
    """Each drawing with its own z, whatever the order of their lengths and the batches."""
    assert [len(d) for d in waves] != sorted((len(d) for d in waves), reverse=True)
    z = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    one_by_one = [sketchrnn.log_likelihood(model, [d], z=own)[0] for d, own in zip(waves, z, strict=True)]
    np.testing.assert_allclose(sketchrnn.log_likelihood(model, waves, z=z, batch_size=16), one_by_one, rtol=1e-4)
    assert len({round(value, 2) for value in one_by_one}) > 30
    alone = [sketchrnn.log_likelihood(model, [d])[0] for d in waves]  # and with its own mu
    np.testing.assert_allclose(sketchrnn.log_likelihood(model, waves), alone, rtol=1e-4)


def test_density_is_what_the_likelihood_is_made_of(model, waves):
    drawing = waves[0]
    z = model.encode([drawing])[0]
    mixture = sketchrnn.density(model, drawing)
    n, M = len(drawing), 4
    assert mixture.pi.shape == mixture.rho.shape == (n + 1, M)
    assert mixture.q.shape == (n + 1, 3)
    log_p = math.log(mixture.q[n, 2])  # the end that follows
    for i, (dx, dy, lift) in enumerate(drawing.stroke3):
        p = 0.0
        for j in range(M):
            sx, sy, rho = float(mixture.sigma_x[i, j]), float(mixture.sigma_y[i, j]), float(mixture.rho[i, j])
            covariance = [[sx * sx, rho * sx * sy], [rho * sx * sy, sy * sy]]
            mean = [mixture.mu_x[i, j], mixture.mu_y[i, j]]
            p += mixture.pi[i, j] * multivariate_normal(mean, covariance, allow_singular=True).pdf([dx, dy])
        log_p += math.log(p) + 2 * math.log(11.0) + math.log(mixture.q[i, int(lift)])  # in normalised units
    assert sketchrnn.log_likelihood(model, [drawing])[0] == pytest.approx(log_p, rel=1e-4)
    assert sketchrnn.log_likelihood(model, [drawing], z=z)[0] == pytest.approx(log_p, rel=1e-4)


def test_prediction_of_a_point_knows_only_those_before(model, waves):
    z = np.zeros(6)
    changed = Drawing(np.vstack([waves[0].stroke3[:6], [[50, -50, 1]]]))
    np.testing.assert_allclose(
        sketchrnn.density(model, waves[0], z=z).pi[:7], sketchrnn.density(model, changed, z=z).pi[:7], rtol=1e-5
    )


def test_likelihood_of_a_sequence_sums_to_one():
    """Over all endings: the chance to end after each step, and to go on to N_max, add up."""
    model = small_model(conditional=False, max_length=4)
    with torch.no_grad():
        model.W_y[:, 3:] = 0  # offsets whose density does not depend on what was drawn
        model.W_y[:, :3] = 0
    q = sketchrnn.density(model, Drawing(np.zeros((0, 3)))).q[0]
    ends = [q[2] * (1 - q[2]) ** n for n in range(4)] + [(1 - q[2]) ** 4]
    assert sum(ends) == pytest.approx(1, abs=1e-6)
    point = Drawing([[0, 0, 1]] * 4)
    per_point = sketchrnn.log_likelihood(model, [point.head(1)])[0] - math.log(q[2])
    assert sketchrnn.log_likelihood(model, [point])[0] == pytest.approx(4 * per_point, rel=1e-5)  # no end at N_max


def test_wrong_use_is_told(model, waves):
    with pytest.raises(ValueError, match="no drawing"):
        sketchrnn.evaluate(model, [])
    with pytest.raises(ValueError, match="25 points, the model's N_max is 24"):
        sketchrnn.evaluate(model, [Drawing(np.ones((25, 3)))])
    with pytest.raises(ValueError, match="no z"):
        sketchrnn.log_likelihood(small_model(conditional=False), waves, z=np.zeros(6))


def test_drawings_whose_rows_leave_out_the_first_point(waves):
    plain, model = small_model(), small_model()
    model.data = replace(model.data, first_offset="line")
    whole = [Drawing(np.concatenate([[[50, 60, 0]], each.stroke3])) for each in waves]
    assert sketchrnn.evaluate(model, whole) == sketchrnn.evaluate(plain, waves)
    np.testing.assert_array_equal(sketchrnn.log_likelihood(model, whole), sketchrnn.log_likelihood(plain, waves))
    found = sketchrnn.density(model, whole[0])
    for name, rows in vars(sketchrnn.density(plain, waves[0])).items():
        np.testing.assert_array_equal(getattr(found, name), np.concatenate([rows[:1], rows]))


def test_a_density_in_floats_is_near_enough(model, waves):
    exact = sketchrnn.density(model, waves[0])
    for name, rows in vars(sketchrnn.density(model, waves[0], exact=False)).items():
        np.testing.assert_allclose(rows, getattr(exact, name), rtol=1e-4, atol=1e-5)


def test_a_density_in_floats_needs_no_copy_of_the_model(model, waves, monkeypatch):
    def copied(*_):
        raise AssertionError("the model is copied")

    monkeypatch.setattr(type(model), "__deepcopy__", copied, raising=False)
    sketchrnn.density(model, waves[0], exact=False)
    with pytest.raises(AssertionError, match="copied"):
        sketchrnn.density(model, waves[0])
