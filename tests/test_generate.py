from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_model

import sketchrnn
from sketchrnn import Drawing
from sketchrnn.generate import Batch, lerp, slerp, wanted_endings, wanted_of_z, wanted_samples
from sketchrnn.generate import draw as draw_wanted
from sketchrnn.model import network
from sketchrnn.model.mixture import draw, split_output

pytestmark = pytest.mark.usefixtures("backend")


def assert_same(ours, theirs):
    """The same drawings, but for the rounding of products that were done in another order; none of them trivial."""
    assert min(len(d) for d in theirs) > 5
    assert [len(d) for d in ours] == [len(d) for d in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.stroke3, b.stroke3, rtol=1e-3, atol=1e-3)


def test_seed_decides(model):
    one = sketchrnn.sample(model, 20, temperature=0.7, seed=1)
    assert one == sketchrnn.sample(model, 20, temperature=0.7, seed=1)
    assert one != sketchrnn.sample(model, 20, temperature=0.7, seed=2)
    assert len({d for d in one if len(d)}) > 10


def test_a_drawing_is_the_same_in_any_batch(model, waves):
    """To the last bit, whatever is drawn beside it and wherever it stands."""
    many = sketchrnn.sample(model, 100, temperature=0.8, seed=3)
    assert len({len(d) for d in many}) > 3  # they end at different steps, and others take their place
    for n in (1, 7, 33):
        assert sketchrnn.sample(model, n, temperature=0.8, seed=3) == many[:n]
    again = sketchrnn.reconstruct(model, waves, temperature=0.5, seed=3)
    for k in (0, 17, 39):
        assert sketchrnn.reconstruct(model, waves[k], temperature=0.5, seed=3) == again[k : k + 1]
    endings = sketchrnn.complete(model, waves[0].head(3), n=50, seed=3)
    assert sketchrnn.complete(model, waves[0].head(3), n=2, seed=3) == endings[:2]


def numbers(seed, stream, kind):
    """Where the sampler's random numbers come from: 0 the choices, 1 the places in a normal, 2 z."""
    return np.random.default_rng([seed, stream, kind])


def plain_loop(model, z, *, temperature, seed, stream, prefix=None):
    """One drawing, step by step, with the whole of [S; z] through the cell, from the sampler's own random numbers."""
    uniform = torch.from_numpy(numbers(seed, stream, 0).random((24, 2), dtype=np.float32))
    normal = torch.from_numpy(numbers(seed, stream, 1).standard_normal((24, 2), dtype=np.float32))
    own = np.zeros((0, 3)) if prefix is None else prefix.stroke3
    z_row = torch.zeros(1, 0) if z is None else torch.as_tensor(z)[None]
    rows = [list(map(float, row)) for row in own]
    with torch.no_grad():
        state = model.initial_state(None if z is None else z_row, 1)
        token = torch.tensor([model.data.start_token])
        for t in range(24):
            state = model.decoder.step(torch.cat([token, z_row], 1) @ model.decoder.input_weights(), state)
            if t < len(own):  # what is there is read
                x, y, lift = own[t]
                token = torch.tensor([[x / 11, y / 11, 1 - lift, lift, 0]], dtype=torch.float32)
                continue
            new = t - len(own)  # a random number for each new point, whatever was there before
            mixture = split_output(state[0] @ model.W_y + model.b_y)
            offset, pen = draw(mixture, temperature, uniform[new : new + 1], normal[new : new + 1])
            if int(pen) == 2:
                break
            rows.append([*(offset[0] * 11.0).tolist(), float(pen == 1)])
            token = torch.cat([offset, torch.eye(3)[pen]], 1)
    return Drawing(np.array(rows).reshape(-1, 3))


@pytest.mark.parametrize("temperature", [0, 0.5])
@pytest.mark.parametrize("conditional", [True, False])
def test_sampling_is_the_plain_loop(cell, conditional, temperature):
    model = small_model(cell, conditional=conditional)
    z = numbers(9, 2, 2).standard_normal(6, dtype=np.float32) if conditional else None
    expected = plain_loop(model, z, temperature=temperature, seed=9, stream=2)
    assert_same(sketchrnn.sample(model, 3, temperature=temperature, seed=9)[2:], [expected])


@pytest.mark.parametrize("conditional", [True, False])
def test_completion_is_the_plain_loop(cell, conditional, waves):
    """z is drawn from N(0, I), a new one for each ending."""
    model = small_model(cell, conditional=conditional)
    prefix = waves[0].head(5)
    expected = []
    for stream in range(3):
        z = None
        if conditional:
            z = numbers(7, stream, 2).standard_normal(6, dtype=np.float32)
        expected.append(plain_loop(model, z, temperature=0.5, seed=7, stream=stream, prefix=prefix))
    assert max(len(d) for d in expected) > 10
    assert_same(sketchrnn.complete(model, prefix, n=3, temperature=0.5, seed=7), expected)


def test_what_is_given_is_given_back(model):
    """As it was: the network reads it clamped, the drawing keeps it."""
    prefix = Drawing([[5000.25, -7000, 0], [0.1, 3, 1]])
    for ending in sketchrnn.complete(model, prefix, n=3, seed=1):
        np.testing.assert_array_equal(ending.stroke3[:2], prefix.stroke3)


RULES = {"paper": (0.36, 0.36), "reference": (0.36, 0.36**2), "magenta-js": (0.68, 0.36)}  # at tau = 0.36


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_temperature_has_its_own_frequencies_and_variances(rule):
    model = small_model(conditional=False, max_length=1)
    with torch.no_grad():
        model.b_y[2] += 3  # the end is no rarer than the other pen states
    divisor, variance = RULES[rule]
    expected = sketchrnn.density(model, Drawing(np.zeros((0, 3))))
    pi, q = (share[0] ** (1 / divisor) / (share[0] ** (1 / divisor)).sum() for share in (expected.pi, expected.q))
    n = 6000
    first = [drawing.stroke3 for drawing in sketchrnn.sample(model, n, temperature=0.36, temperature_rule=rule, seed=5)]
    pens = [2 if len(rows) == 0 else int(rows[0, 2]) for rows in first]
    np.testing.assert_allclose(np.bincount(pens, minlength=3) / n, q, atol=4 * np.sqrt(0.25 / n))
    x, y = np.concatenate([rows[:, :2] for rows in first]).T
    for drawn, mu, sigma in ((x, expected.mu_x[0], expected.sigma_x[0]), (y, expected.mu_y[0], expected.sigma_y[0])):
        mean = (pi * mu).sum()
        spread = (pi * (variance * sigma**2 + mu**2)).sum() - mean**2
        assert drawn.mean() == pytest.approx(mean, abs=float(4 * np.sqrt(spread / len(drawn))))
        assert drawn.var() == pytest.approx(float(spread), rel=0.07)


@pytest.mark.parametrize("rule", RULES)
def test_both_backends_draw_alike_by_each_rule(rule, cell, monkeypatch):
    model = small_model(cell)
    drawn = {}
    for backend in ("plain", "native"):
        monkeypatch.setenv("SKETCHRNN_BACKEND", backend)
        drawn[backend] = sketchrnn.sample(model, 6, temperature=0.5, temperature_rule=rule, seed=1)
    assert max(len(d) for d in drawn["plain"]) > 5
    for a, b in zip(drawn["plain"], drawn["native"], strict=True):
        np.testing.assert_allclose(a.stroke3, b.stroke3, rtol=1e-3, atol=1e-3)


def test_every_kind_of_drawing_knows_the_rules(model, waves):
    a, b, c = waves[:3]
    calls = [
        lambda **how: sketchrnn.sample(model, 3, **how),
        lambda **how: sketchrnn.decode(model, np.ones(6), n=3, **how),
        lambda **how: sketchrnn.reconstruct(model, a, n=3, **how),
        lambda **how: sketchrnn.reconstruct(model, a, n=3, sample_z=True, **how),
        lambda **how: sketchrnn.interpolate(model, a, b, steps=3, **how),
        lambda **how: sketchrnn.analogy(model, a, b, c, n=3, **how),
        lambda **how: sketchrnn.complete(model, a.head(3), n=3, **how),
    ]
    for call in calls:
        default = call(temperature=0.5)
        assert call(temperature=0.5, temperature_rule="paper") == default
        others = [call(temperature=0.5, temperature_rule=rule) for rule in ("reference", "magenta-js")]
        assert default != others[0] != others[1] != default
        # at 0 all draw what is most likely, at 1 all as the model learned
        for temperature in (0, 1):
            assert call(temperature=temperature, temperature_rule="reference") == call(temperature=temperature)
            assert call(temperature=temperature, temperature_rule="magenta-js") == call(temperature=temperature)
    with pytest.raises(ValueError, match="no temperature rule 'tau'; there are paper, reference, magenta-js"):
        sketchrnn.sample(model, temperature_rule="tau")


@pytest.mark.parametrize("rule", ["", None, "python"])
def test_a_rule_that_is_none_is_refused_also_where_nothing_is_drawn(rule):
    with pytest.raises(ValueError, match="there is no temperature rule"):
        sketchrnn.sample(small_model(), 0, temperature_rule=rule)


def test_temperature_zero_needs_no_chance(model):
    z = np.ones(6)
    assert sketchrnn.decode(model, z, temperature=0, seed=1) == sketchrnn.decode(model, z, temperature=0, seed=2)


def test_drawings_end_at_n_max(model):
    with torch.no_grad():
        model.b_y[2] = -1e4  # the end never comes by itself
    assert [len(d) for d in sketchrnn.sample(model, 3, seed=0)] == [24, 24, 24]
    assert len(sketchrnn.sample(model, 1, max_length=7)[0]) == 7
    with torch.no_grad():
        model.b_y[2] = 1e4  # and here at once
    assert [len(d) for d in sketchrnn.sample(model, 3, seed=0)] == [0, 0, 0]


def test_reconstruction_comes_from_mu_or_from_a_drawn_z(model, waves):
    mu, sigma = model.encode(waves[:2])
    assert_same(
        sketchrnn.reconstruct(model, waves[:2], n=2, seed=4), sketchrnn.decode(model, mu, n=2, temperature=0.2, seed=4)
    )
    drawn = sketchrnn.reconstruct(model, waves[:2], n=3, seed=4, sample_z=True)
    noise = np.random.default_rng([4, 1, 2]).standard_normal(6, dtype=np.float32)
    expected = sketchrnn.decode(model, mu[1] + sigma[1] * noise, n=2, temperature=0.2, seed=4)[1:]
    assert_same(drawn[4:5], expected)
    assert drawn[4:5] != sketchrnn.reconstruct(model, waves[1], n=2, seed=4)[1:]


def test_encode_is_the_same_in_any_batch_and_order(model, waves):
    mu, sigma = model.encode(waves)
    for k in (0, 7, 39):
        alone = model.encode([waves[k]])
        np.testing.assert_allclose(alone[0][0], mu[k], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(alone[1][0], sigma[k], rtol=1e-5, atol=1e-6)
    batch, order = model.pack_drawings(waves)
    with torch.no_grad():
        sigma_hat = model.encoder(batch)[1]
    np.testing.assert_allclose(sigma[order] ** 2, sigma_hat.exp(), rtol=1e-5)  # sigma = exp(sigma_hat / 2)


def test_interpolation_goes_from_end_to_end(model, waves):
    a, b = waves[0], waves[1]
    way = sketchrnn.interpolate(model, a, b, steps=5, temperature=0.3, seed=6)
    ends = sketchrnn.reconstruct(model, [a, b], temperature=0.3, seed=6)
    assert len(way) == 5
    assert_same([way[0], way[-1]], ends)
    mu = model.encode([a, b])[0]
    for method, half_way in (("linear", mu.mean(0)), ("spherical", slerp(mu[0], mu[1], 0.5))):
        middle = sketchrnn.interpolate(model, a, b, steps=3, method=method, temperature=0.3, seed=6)[1:2]
        assert_same(middle, sketchrnn.decode(model, half_way, temperature=0.3, seed=6))
    straight = sketchrnn.interpolate(model, a, b, steps=3, method="linear", temperature=0.3, seed=6)
    assert straight[1].stroke3[:5].tolist() != middle[0].stroke3[:5].tolist()


def test_slerp_keeps_to_the_arc():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 128)).astype(np.float32)
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    for t in (0.0, 0.3, 1.0):
        point = slerp(a, b, t)
        assert np.linalg.norm(point) == pytest.approx(1, abs=1e-5)
        assert np.arccos(np.clip(a @ point, -1, 1)) == pytest.approx(t * np.arccos(a @ b), abs=2e-3)
    np.testing.assert_array_equal(slerp(a, a, 0.5), lerp(a, a, 0.5))
    assert np.isfinite(slerp(a, -a, 0.5)).all()
    assert np.isfinite(slerp(np.zeros_like(a), b, 0.5)).all()


def test_analogy_is_arithmetic_of_z(model, waves):
    mu = model.encode(waves[:3])[0]
    expected = sketchrnn.decode(model, mu[0] + mu[1] - mu[2], n=2, temperature=0.2, seed=1)
    assert_same(sketchrnn.analogy(model, *waves[:3], n=2, seed=1), expected)


@pytest.mark.parametrize("conditional", [True, False])
def test_completion_goes_on_from_what_is_there(cell, conditional, waves):
    model = small_model(cell, conditional=conditional)
    prefix = waves[0].head(5)
    endings = sketchrnn.complete(model, prefix, n=12, temperature=0.9, seed=2)
    assert len({len(e) for e in endings}) > 1
    for ending in endings:
        np.testing.assert_array_equal(ending.stroke3[:5], prefix.stroke3)
        assert 5 <= len(ending) <= 24
    assert max(len(e) for e in endings) > 10
    # the first new point comes from what the model expects after the five
    z = np.zeros(6) if conditional else None
    first = sketchrnn.complete(model, prefix, n=1, temperature=0, z=z, max_length=6)[0]
    expected = sketchrnn.density(model, prefix, z=z)
    if len(first) > 5:
        best = expected.pi[5].argmax()
        np.testing.assert_allclose(first.stroke3[5, :2], [expected.mu_x[5, best], expected.mu_y[5, best]], rtol=1e-4)
    assert (len(first) > 5) == (expected.q[5].argmax() != 2)


def test_completion_of_nothing_is_a_sample():
    model = small_model(conditional=False)
    empty = Drawing(np.zeros((0, 3)))
    assert_same(
        sketchrnn.complete(model, empty, n=4, temperature=0.5, seed=8),
        sketchrnn.sample(model, 4, temperature=0.5, seed=8),
    )


def test_more_drawings_than_go_at_once(monkeypatch):
    model = small_model()
    whole = sketchrnn.sample(model, 10, seed=1)
    monkeypatch.setattr("sketchrnn.generate.AT_ONCE", 3)
    assert sketchrnn.sample(model, 10, seed=1) == whole
    assert sketchrnn.sample(model, 0) == []


def a_mixed_bag(model, waves):
    """What several people want at the same time, in turn: other beginnings, temperatures, seeds and lengths."""
    kinds = [
        wanted_samples(model, 5, temperature=0.9, seed=1),
        wanted_endings(model, waves[0].head(7), 6, temperature=0.3, seed=2),
        wanted_endings(model, waves[1].head(2), 5, temperature=0, seed=3, max_length=9),
        wanted_samples(model, 4, temperature=1.0, seed=4, max_length=60),
    ]
    if model.config.conditional:
        kinds.append(wanted_of_z(model, np.eye(6, dtype=np.float32), n=2, temperature=0.5, seed=5))
    return [wanted for kind in kinds for wanted in kind]


@pytest.mark.parametrize("conditional", [True, False])
def test_drawings_that_join_and_leave_are_what_they_are_alone(cell, conditional, waves):
    """To the last bit, in batches of any size, in steps of any length, whoever comes and goes meanwhile."""
    model = small_model(cell, conditional=conditional)
    bag = a_mixed_bag(model, waves)
    alone = [draw_wanted(model, [wanted])[0] for wanted in bag]
    assert len({len(drawing) for drawing in alone}) > 5
    for places, steps in ((4, 3), (64, 1), (64, 1000)):
        batch, rng = Batch(model, places), np.random.default_rng(places)
        waiting, growing, told, grown = list(range(len(bag))), {}, {i: [] for i in range(len(bag))}, []
        while waiting or batch:
            for _ in range(min(len(waiting), int(rng.integers(0, 6)))):
                growing[waiting[0]] = batch.add(bag[waiting[0]])
                del waiting[0]
            if rng.random() < 0.5:  # one more, that does not stay
                away = batch.add(bag[0])
                grown = batch.step(1)
                batch.drop([away])
            grown = [*grown, *batch.step(steps)]
            for i, each in growing.items():
                if each in grown:
                    told[i].append(each.new_points())
            grown = []
        for i, drawing in enumerate(alone):
            assert growing[i].ended
            assert growing[i].drawing() == drawing
            np.testing.assert_array_equal(np.concatenate(told[i]), drawing.stroke3[len(bag[i].prefix) :])
            assert growing[i].num_drawn == len(drawing) - len(bag[i].prefix)


def test_a_model_of_first_points_puts_the_pen_down(waves):
    plain, model = small_model(conditional=False), small_model(conditional=False)
    model.data = replace(model.data, from_first_point=True)
    longest = model.data.max_length
    drawn = sketchrnn.sample(plain, 20, seed=4, max_length=longest - 1)
    for drawing, rows in zip(sketchrnn.sample(model, 20, seed=4), drawn, strict=True):
        np.testing.assert_array_equal(drawing.stroke3, np.concatenate([np.zeros((min(1, len(rows)), 3)), rows.stroke3]))
    assert max(map(len, drawn)) == longest - 1
    batch = Batch(model)
    growing = batch.add(wanted_samples(model, 1, seed=4)[0])
    told = []
    while batch:
        batch.step(3)
        told.append(growing.new_points())
    np.testing.assert_array_equal(np.concatenate(told), growing.drawing().stroke3)
    # what is given begins where it begins, and the model reads it from there
    begin = Drawing(waves[0].stroke3[:5] + np.float32([[70, 30, 0]] + 4 * [[0, 0, 0]]))
    at_zero = begin.stroke3.copy()
    at_zero[0, :2] = 0
    for ending, same in zip(
        sketchrnn.complete(model, begin, n=5), sketchrnn.complete(plain, Drawing(at_zero), n=5), strict=True
    ):
        np.testing.assert_array_equal(ending.stroke3[:5], begin.stroke3)
        np.testing.assert_array_equal(ending.stroke3[5:], same.stroke3[5:])


def test_a_model_of_lines_from_a_first_point_that_is_left_out(waves):
    """It reads the rows without the first point, wherever that is, and puts the pen down for a new drawing."""
    plain, model = small_model(), small_model()
    model.data = replace(model.data, first_offset="line")
    there = Drawing(waves[0].stroke3[:8] + np.float32([[70, 30, 0]] + 7 * [[0, 0, 0]]))
    rows = Drawing(there.stroke3[1:])
    np.testing.assert_array_equal(model.encode([there]), plain.encode([rows]))
    np.testing.assert_array_equal(model.encode_each([there, waves[1]])[0][0], plain.encode_each([rows])[0][0])
    longest = model.data.max_length
    [z] = plain.encode([rows])[0]
    same = sketchrnn.complete(plain, rows, n=8, z=z, max_length=longest - 1)
    for ending, of_rows in zip(sketchrnn.complete(model, there, n=8, z=z), same, strict=True):
        np.testing.assert_array_equal(ending.stroke3[:8], there.stroke3)
        np.testing.assert_array_equal(ending.stroke3[8:], of_rows.stroke3[7:])
    assert max(map(len, same)) == longest - 1
    drawn = sketchrnn.sample(plain, 20, seed=4, max_length=longest - 1)
    for drawing, without in zip(sketchrnn.sample(model, 20, seed=4), drawn, strict=True):
        np.testing.assert_array_equal(drawing.stroke3[1:], without.stroke3)
        assert not drawing.stroke3[:1].any()
    # one point is where a drawing begins, and a dot is no line's beginning
    [begun] = sketchrnn.complete(model, there.head(1), z=z, seed=1)
    [new] = sketchrnn.complete(plain, Drawing(np.zeros((0, 3))), z=z, seed=1, max_length=longest - 1)
    np.testing.assert_array_equal(begun.stroke3[1:], new.stroke3)
    dot = there.stroke3.copy()
    dot[0] = 0, 0, 1
    moved = dot + np.float32([[9, 9, 0]] + 7 * [[0, 0, 0]])
    np.testing.assert_array_equal(model.encode([Drawing(moved)]), plain.encode([Drawing(dot)]))


def test_what_is_told_of_an_ending_of_lines_is_what_was_drawn(waves):
    model = small_model()
    model.data = replace(model.data, first_offset="line")
    batch, told = Batch(model), []
    growing = batch.add(wanted_endings(model, waves[0].head(6), seed=2)[0])
    while batch:
        batch.step(3)
        told.append(growing.new_points())
    np.testing.assert_array_equal(np.concatenate(told), growing.drawing().stroke3[6:])
    assert growing.num_drawn == len(growing.drawing()) - 6


def test_a_model_of_drawings_that_begin_at_the_origin(waves):
    plain, model = small_model(), small_model()
    model.data = replace(model.data, first_offset="zero")
    at_zero = waves[0].stroke3.copy()
    at_zero[0, :2] = 0
    there = Drawing(at_zero + np.float32([[70, 30, 0]] + (len(at_zero) - 1) * [[0, 0, 0]]))
    np.testing.assert_array_equal(model.encode([there]), plain.encode([Drawing(at_zero)]))
    assert sketchrnn.sample(model, 5) == sketchrnn.sample(plain, 5)


def test_a_batch_counts_who_is_in_it(model):
    batch = Batch(model, 2)
    growing = [batch.add(wanted) for wanted in wanted_samples(model, 80, seed=1, max_length=3)]
    assert len(batch) == 80
    assert len(growing[79].new_points()) == len(growing[79].drawing()) == growing[79].num_drawn == 0
    batch.drop([growing[0], growing[79]])
    assert len(batch) == 78
    batch.step(1)
    batch.drop(growing)
    batch.drop(growing)
    assert len(batch) == 0
    assert batch.step(5) == []


def test_each_is_encoded_as_if_alone(model, waves):
    mu, sigma = model.encode_each(waves)
    for k in (0, 7, 39):
        alone = model.encode([waves[k]])
        np.testing.assert_array_equal(alone[0][0], mu[k])
        np.testing.assert_array_equal(alone[1][0], sigma[k])
    assert model.encode_each([])[0].shape == (0, 6)
    assert small_model(conditional=False).encode_each([])[0].shape[0] == 0


def test_few_points_are_encoded_at_once(model, waves, monkeypatch):
    """The memory that encoding takes grows with the points of a batch, however many drawings there are."""
    whole, batches, pack = model.encode_each(waves), [], model.pack_drawings
    monkeypatch.setattr(network, "ENCODE_POINTS", 50)
    monkeypatch.setattr(model, "pack_drawings", lambda given: (batches.append(sum(map(len, given))), pack(given))[1])
    np.testing.assert_array_equal(model.encode_each(waves), whole)
    np.testing.assert_allclose(model.encode(waves), whole, rtol=1e-4, atol=1e-5)
    assert sum(batches) == 2 * sum(map(len, waves))
    assert max(batches) <= 50
    monkeypatch.setattr(network, "ENCODE_POINTS", 3)  # one that has more goes alone
    assert model.encode(waves)[0].shape == (40, 6)


def test_own_units(model):
    """The scale factor is the model's own business: twice the factor, twice the size."""
    from dataclasses import replace

    before = sketchrnn.sample(model, 5, seed=0)
    model.data = replace(model.data, scale_factor=22.0)
    assert_same(sketchrnn.sample(model, 5, seed=0), [d.scaled(2) for d in before])


def test_wrong_use_is_told(model, waves):
    unconditional = small_model(conditional=False)
    for make in (
        lambda: sketchrnn.reconstruct(unconditional, waves[0]),
        lambda: sketchrnn.interpolate(unconditional, waves[0], waves[1]),
        lambda: sketchrnn.analogy(unconditional, *waves[:3]),
        lambda: sketchrnn.decode(unconditional, np.zeros(6)),
        lambda: unconditional.encode(waves),
        lambda: sketchrnn.complete(unconditional, waves[0].head(2), z=np.zeros(6)),
    ):
        with pytest.raises(ValueError, match="decoder only"):
            make()
    for temperature in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature"):
            sketchrnn.sample(model, 1, temperature=temperature)
    with pytest.raises(ValueError, match="must not be negative"):
        sketchrnn.sample(model, -1)
    with pytest.raises(ValueError, match="seed"):
        sketchrnn.sample(model, 1, seed=-1)
    with pytest.raises(ValueError, match="max_length"):
        sketchrnn.sample(model, 1, max_length=0)
    for z in ([[1.0] * 6, [1.0] * 5], ["one"] * 6, [None] * 6, {}):
        with pytest.raises(ValueError, match=r"rows of 6 numbers|z has 6 numbers|not finite"):
            sketchrnn.decode(model, z)
    with pytest.raises(ValueError, match="z has 6 numbers"):
        sketchrnn.decode(model, np.zeros(5))
    with pytest.raises(ValueError, match="not finite"):
        sketchrnn.decode(model, np.full(6, np.nan))
    with pytest.raises(ValueError, match="at least its two ends"):
        sketchrnn.interpolate(model, waves[0], waves[1], steps=1)
    with pytest.raises(ValueError, match="not spherical or linear"):
        sketchrnn.interpolate(model, waves[0], waves[1], method="round")
    long = Drawing(np.ones((24, 3)))
    with pytest.raises(ValueError, match="24 points already"):
        sketchrnn.complete(model, long)


def test_a_model_gone_wild_is_told(model):
    with torch.no_grad():
        model.b_y[2] = -1e4
        model.b_y[3 + 4 * 3 :] = 200.0  # sigma = e^200 is infinite in float32
    with pytest.raises(ValueError, match="not finite"):
        sketchrnn.sample(model, 1, temperature=1.0)
