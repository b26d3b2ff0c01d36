import numpy as np

from sketchrnn import Drawing
from sketchrnn.latent_map import MOST, principal_components, spread


def test_principal_components_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    mu = (rng.normal(size=(200, 5)) * [5, 3, 1, 0.5, 0.1]) @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    places, explained = principal_components(mu.astype(np.float32))
    variances = np.sort(np.linalg.eigvalsh(np.cov(mu.T)))[::-1]
    np.testing.assert_allclose(places.var(axis=0, ddof=1), variances[:2], rtol=1e-4)
    np.testing.assert_allclose(explained, variances[:2] / variances.sum(), rtol=1e-4)
    turned, _ = principal_components(np.ascontiguousarray(mu[::-1]).astype(np.float32))
    np.testing.assert_allclose(turned[::-1], places, atol=1e-3)  # the same map, in any order


def test_fewer_numbers_than_directions() -> None:
    places, explained = principal_components(np.arange(4, dtype=np.float32)[:, None])
    assert places.shape == (4, 2)
    assert explained == [1.0, 0.0]


def test_drawings_are_taken_from_all_over() -> None:
    many = [Drawing([[i, 0, 1]] * (1 + i % 3)) for i in range(1000)]
    taken = spread(many, 2)
    assert 0 < len(taken) <= MOST
    assert max(map(len, taken)) == 2
    assert taken[-1].stroke3[0, 0] > 990
    assert spread([], 5) == []
