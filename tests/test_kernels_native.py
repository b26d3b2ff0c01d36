"""The C kernels against plain torch, number by number; and what happens where they cannot be compiled."""

import ast
import ctypes
import os
import platform
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

import sketchrnn
from sketchrnn.kernels import compiled, native
from sketchrnn.model import sequence
from sketchrnn.model.cells import make_cell, zero_state

needs_compiler = pytest.mark.skipif(compiled.kernels().library is None, reason=compiled.kernels().reason)

LENGTHS = {
    "ragged": [23, 17, 17, 12, 5, 5, 5, 2, 1, 1],
    "many": sorted(np.random.default_rng(0).integers(1, 30, 60).tolist(), reverse=True),
    "one": [9],
    "length 1": [1, 1, 1],
    "some of none": [4, 2, 0, 0],
}


def outputs_and_gradients(cell, lengths, conditional, keep):
    """Everything `run` computes for fixed numbers, and every gradient of a loss that reaches all of it."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    layout = sequence.packed_layout(np.array(lengths))
    B, P = len(lengths), layout.num_rows
    x = normal(P, 5)
    of_z = normal(B, cell.input_weights().shape[1]).requires_grad_() if conditional else None
    state = tuple(normal(B, size).requires_grad_() for size in cell.state_sizes)
    mask = sequence.dropout_mask(cell, layout, keep, generator)
    h, last = sequence.run(cell, x, of_z, layout, state, mask, keep)
    with torch.no_grad():  # where nothing has to be kept for a way back
        again, last_again = sequence.run(cell, x, of_z, layout, state, mask, keep)
    assert all(torch.equal(one, other) for one, other in zip((h, *last), (again, *last_again), strict=True))
    loss = (h * normal(P, cell.size)).sum() + sum((part * normal(*part.shape)).sum() for part in last)
    leaves = {**dict(cell.named_parameters()), **{f"state {k}": part for k, part in enumerate(state)}}
    if of_z is not None:
        leaves["of_z"] = of_z
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    values = {"h": h, **{f"last {k}": part for k, part in enumerate(last)}, **dict(zip(leaves, gradients, strict=True))}
    return {name: np.zeros(1) if value is None else value.detach().numpy() for name, value in values.items()}


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n", "K", "N"), [(1, 1, 1), (3, 0, 5), (3, 5, 31), (11, 7, 33), (73, 130, 64), (145, 40, 123)]
)
def test_affine_is_that_of_torch(n, K, N, dtype, monkeypatch):
    """Forward and every gradient, of rows and weights that lie anyhow, on several threads; each row as if alone."""
    monkeypatch.setattr(native, "WORK_A_THREAD", 1000)
    generator = torch.Generator().manual_seed(n)

    def normal(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    close = dict(rtol=1e-4, atol=1e-4) if dtype == torch.float32 else dict(rtol=1e-12, atol=1e-12)
    b = normal(N).requires_grad_()
    gradient = normal(N).expand(n, N)
    for x in (normal(n, K), normal(n, 2 * K)[:, ::2]):
        for W in (normal(K, N), normal(N, K).t(), normal(2 * K, N)[::2]):
            leaves = [x.requires_grad_(), W.requires_grad_(), b]
            y = native.affine(x, W, b)
            torch.testing.assert_close(y, x @ W + b, **close)
            theirs = torch.autograd.grad(x @ W + b, leaves, gradient)
            ours = torch.autograd.grad(y, leaves, gradient, retain_graph=True)
            torch.testing.assert_close(ours, theirs, **close)
            for leaf, alone in zip(leaves, theirs, strict=True):  # the others need none
                torch.testing.assert_close(torch.autograd.grad(y, leaf, gradient, retain_graph=True)[0], alone, **close)
            torch.testing.assert_close(native.affine(x, W), x @ W, **close)
            assert all(torch.equal(native.affine(x[k : k + 1], W, b)[0], y[k]) for k in range(n))


@needs_compiler
# Less than a panel; neither a whole number of panels nor of vectors, also shared out among threads.
@pytest.mark.parametrize(("size", "threads"), [(12, 1), (37, 1), (37, 3)])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("conditional", [True, False])
def test_sequence_is_that_of_plain_torch(cell, size, lengths, conditional, threads, monkeypatch):
    """In float64, forward and backward, with and without dropout."""
    torch.manual_seed(1)
    # the embedding within a panel and wider than one
    made = make_cell(cell, 5 + (6 if conditional else 0), size, 9, 20 if size == 37 else 4).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    monkeypatch.setattr(native, "_threads", lambda *_: threads)
    for keep in (0.8, 1.0):
        monkeypatch.setenv("SKETCHRNN_BACKEND", "plain")
        plain = outputs_and_gradients(made, LENGTHS[lengths], conditional, keep)
        monkeypatch.setenv("SKETCHRNN_BACKEND", "native")
        ours = outputs_and_gradients(made, LENGTHS[lengths], conditional, keep)
        assert plain.keys() == ours.keys()
        for name, value in plain.items():
            np.testing.assert_allclose(
                ours[name], np.broadcast_to(value, ours[name].shape), rtol=1e-9, atol=1e-11, err_msg=name
            )


@needs_compiler
# One after the other; one thread each; three cannot be shared out; two threads each, which wait for one another.
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [(), (0,), (0, 1)])
def test_two_cells_at_once_are_as_each_alone(cell, threads, wanted, monkeypatch):
    """To the last bit; and every gradient of a loss of both, of one, or of none."""
    torch.manual_seed(2)
    cells = make_cell(cell, 5, 37, 9, 4).double(), make_cell(cell, 5, 37, 9, 4).double()
    lengths = [*LENGTHS["many"], 0, 0]
    layout = sequence.packed_layout(np.array(lengths))
    normal = partial(torch.randn, dtype=torch.float64)
    x, masks = normal(2, layout.num_rows, 5), (torch.rand(2, layout.num_rows, 37) < 0.8).to(torch.uint8)
    states = [tuple(normal(len(lengths), size).requires_grad_() for size in made.state_sizes) for made in cells]
    weights = normal(2, layout.num_rows, 37)
    monkeypatch.setattr(native, "_threads", lambda *_: threads)

    def gradients(results):
        loss = sum((results[k][0] * weights[k]).sum() + sum(map(torch.sum, results[k][1])) for k in wanted)
        leaves = [leaf for made, state in zip(cells, states, strict=True) for leaf in (*made.parameters(), *state)]
        return torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)

    with torch.set_grad_enabled(bool(wanted)):
        both = sequence.run_both(cells, tuple(x), layout, tuple(states), tuple(masks), 0.8)
        alone = [
            sequence.run(made, rows, None, layout, state, mask, 0.8)
            for made, rows, state, mask in zip(cells, x, states, masks, strict=True)
        ]
    for (h, last), (own_h, own_last) in zip(both, alone, strict=True):
        assert h.requires_grad == bool(wanted)
        assert torch.equal(h, own_h)
        assert all(map(torch.equal, last, own_last))
    if wanted:
        torch.testing.assert_close(gradients(both), gradients(alone), rtol=1e-9, atol=1e-9)


@needs_compiler
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_fewer_threads_than_asked_for(limit):
    """OpenMP may give fewer than torch says there are."""
    code = """
import numpy as np, torch
from sketchrnn.kernels import native
from sketchrnn.model import sequence
from sketchrnn.model.cells import make_cell

torch.manual_seed(0)
cells = [make_cell("hyper", 5, 37, 9, 4).double() for _ in range(2)]
layout = sequence.packed_layout(np.array([9] * 30 + [4] * 30))
x = torch.randn(2, layout.num_rows, 5, dtype=torch.float64)
states = [tuple(torch.zeros(60, size, dtype=torch.float64) for size in made.state_sizes) for made in cells]
leaves = [parameter for made in cells for parameter in made.parameters()]
found = []
for threads in (4, 1):
    native._threads = lambda *_: threads
    outputs = [h for h, _ in sequence.run_both(cells, x, layout, states)]
    found.append([*outputs, *torch.autograd.grad(sum(h.square().sum() for h in outputs), leaves)])
torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"OMP_THREAD_LIMIT": str(limit)}
    )
    assert not done.returncode, done.stderr


@needs_compiler
def test_exp_and_tanh_of_the_kernels():
    """Through the cell that uses them: gates from -100 to 100 and NaN, against float64."""
    torch.manual_seed(0)
    cell = make_cell("lstm", 5, 64, 0, 0)
    x = torch.zeros(41, 5)
    x[:, 0] = torch.linspace(-100, 100, 41)
    with torch.no_grad():
        cell.W_xh.copy_(torch.rand_like(cell.W_xh))
        cell.W_hh.zero_()
    layout = sequence.packed_layout(np.ones(41, np.int64))
    state = (torch.zeros(41, 64), torch.randn(41, 64))
    h, (_, c) = sequence.run(cell, x, None, layout, state)
    exact_h, (_, exact_c) = sequence.step_by_step(
        cell.double(), x.double() @ cell.W_xh, layout, tuple(part.double() for part in state)
    )
    np.testing.assert_allclose(c.detach(), exact_c.detach(), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(h.detach(), exact_h.detach(), rtol=2e-6, atol=1e-6)
    x[5] = torch.nan
    h, _ = sequence.run(cell.float(), x, None, layout, state)
    assert torch.isnan(h[5]).all()
    assert torch.isfinite(h[4]).all()


@needs_compiler
def test_tanh_and_sigmoid_lose_no_digits():
    """c is tanh(j) sigmoid(i) where none was before: gates from 1e-20 to 80 and their opposites."""
    cell = make_cell("lstm", 5, 64, 0, 0)
    gates = torch.cat([torch.logspace(-20, 0, 41), torch.linspace(1.1, 80, 60)])
    x = torch.zeros(202, 5)
    x[:, 0] = torch.cat([gates, -gates])
    with torch.no_grad():
        cell.W_xh.fill_(1.0)
        cell.W_hh.zero_()
    state = (torch.zeros(202, 64), torch.zeros(202, 64))
    _, (_, c) = sequence.run(cell, x, None, sequence.packed_layout(np.ones(202, np.int64)), state)
    exact = torch.tanh(x[:, :1].double()) * torch.sigmoid(x[:, :1].double())
    np.testing.assert_allclose(c.detach(), exact.expand(202, 64), rtol=5e-7)


@needs_compiler
def test_rows_do_not_depend_on_their_neighbours_or_on_threads(cell, monkeypatch):
    """To the last bit: what makes a drawing the same in any batch."""
    torch.manual_seed(0)
    made = make_cell(cell, 5, 70, 20, 5)
    x, state = torch.randn(50, 5), tuple(torch.randn(50, size) for size in made.state_sizes)

    def rows(first, last, threads):
        monkeypatch.setattr(native, "_threads", lambda *_: threads)
        layout = sequence.packed_layout(np.ones(last - first, np.int64))
        with torch.no_grad():
            return sequence.run(made, x[first:last], None, layout, tuple(part[first:last] for part in state))[0]

    whole = rows(0, 50, 1)
    for first, last, threads in ((0, 50, 2), (0, 50, 3), (0, 1, 1), (49, 50, 3), (7, 20, 2), (3, 41, 1)):
        assert torch.equal(rows(first, last, threads), whole[first:last])


@needs_compiler
def test_threads_that_are_held_up_change_nothing(cell, monkeypatch):
    """Not by a last bit: on too few cores for them threads are fast and slow in turn, and get more and fewer rows; each
    has had some, and its time was taken."""
    torch.manual_seed(4)
    made = make_cell(cell, 5, 70, 20, 5).double()
    lengths = sorted(np.random.default_rng(1).integers(20, 60, 200).tolist(), reverse=True)

    costs, go = [], native._go
    monkeypatch.setattr(native, "_go", lambda *arguments: costs.append(go(*arguments)) or costs[-1])

    def values(threads):
        monkeypatch.setattr(native, "_threads", lambda *_: threads)
        return outputs_and_gradients(made, lengths, False, 0.8)

    first, alone = values(6), values(1)
    for _ in range(5):
        again = values(6)
        for name, value in first.items():
            np.testing.assert_array_equal(again[name], value, err_msg=name)
    if hasattr(compiled.kernels().library, "omp_get_wtime"):  # else there is one thread, and no clock
        assert all(cost > 0 for of_pass in costs for cost in of_pass)
    # sums over the rows of each thread are another matter, but a plain LSTM has none
    for name in first if cell == "lstm" else ("h",):
        np.testing.assert_array_equal(first[name], alone[name], err_msg=name)


@pytest.fixture
def units():
    """Switches the matrix unit on and off."""
    library = compiled.kernels().library
    if library is None or not library.use_tiles(1):
        pytest.skip("this processor has no AMX, or the system does not let it be used")
    yield library.use_tiles
    library.use_tiles(1)


@pytest.mark.parametrize(
    ("P", "M", "N"), [(1, 1, 1), (33, 17, 31), (600, 40, 70), (513, 123, 512), (512, 512, 123), (1100, 70, 33)]
)
def test_gradients_on_the_matrix_unit_are_as_precise_as_float32(P, M, N, units):
    """Of rows picked here and there, too, from two tensors; numbers of all sizes."""
    torch.manual_seed(0)
    first, which = torch.randn(5, M), torch.randint(-5, P, (P,))
    rows, d = torch.randn(P, M) * 10 ** torch.randn(P, 1), torch.randn(P, N) * 10 ** torch.randn(1, N)
    chosen = torch.where(which[:, None] < 0, first[(-1 - which).clamp(min=0, max=4)], rows[which.clamp(min=0)])
    exact = chosen.double().t() @ d.double()
    size = chosen.double().abs().t() @ d.double().abs()  # an element may be the small rest of large products
    errors = {}
    for on in (1, 0):
        units(on)
        (found,) = native._gradient(2, None, d, (rows, first, which))
        errors[on] = ((found.double() - exact).abs() / size).amax().item()
    assert errors[1] < 2**-21
    assert errors[1] < max(1.5 * errors[0], 2**-23)


def test_what_is_not_finite_is_not_finite_on_the_matrix_unit(units):
    rows, d = torch.randn(100, 20), torch.randn(100, 40)
    for value in (float("inf"), float("nan")):
        rows[50, 3] = value
        (found,) = native._gradient(2, None, d, (rows, None, None))
        assert not found[3].isfinite().any()
        assert found[:3].isfinite().all()
        assert found[4:].isfinite().all()


@needs_compiler
@pytest.mark.parametrize("costs", [None, (1, 1, 1), (5, 1, 3), (1, 1e9, 1), (0, 2, 1)])
@pytest.mark.parametrize(("M", "N"), [(70, 300), (300, 70), (3, 5)])
def test_a_gradient_however_it_is_shared_out(M, N, costs):
    rows, d = torch.randn(700, M), torch.randn(700, N)
    (alone,) = native._gradient(1, None, d, (rows, None, None))
    torch.testing.assert_close(alone, rows.t() @ d, rtol=1e-4, atol=1e-3)
    seconds = None if costs is None else (ctypes.c_double * 3)(*costs)
    assert torch.equal(native._gradient(3, seconds, d, (rows, None, None))[0], alone)


@needs_compiler
def test_a_start_that_all_share_is_one_for_each(cell):
    torch.manual_seed(5)
    made = make_cell(cell, 5, 37, 9, 4).double()
    layout = sequence.packed_layout(np.array(LENGTHS["ragged"]))
    x, weights = torch.randn(layout.num_rows, 5).double(), sequence.native_weights(made, None)[0]
    state = tuple(torch.randn(10, size).double() for size in made.state_sizes)
    shared = torch.randn(1, made.input_weights().shape[1]).double().requires_grad_()
    results = [
        native.run([native.Pass(weights, start, x, state)], layout.batch_sizes)[0]
        for start in (shared, shared.expand(10, -1))
    ]
    assert torch.equal(results[0][0], results[1][0])
    slopes = [torch.autograd.grad(h.square().sum() + last[0].sum(), shared)[0] for h, last in results]
    torch.testing.assert_close(*slopes)


@needs_compiler
def test_training_memory_is_given_back():
    """No output of the kernels holds what they keep for the way back, once that is gone or was never asked for."""
    import gc
    import weakref

    cell = make_cell("lstm", 5, 16, 0, 0)
    layout = sequence.packed_layout(np.array([3, 2]))
    gc.disable()
    try:
        h, _ = sequence.run(cell, torch.randn(5, 5), None, layout, (torch.zeros(2, 16), torch.zeros(2, 16)))
        watch = weakref.ref(h)
        del h, _
        assert watch() is None
    finally:
        gc.enable()


def backend_in(tmp_path, **environment):
    """What a fresh process says runs, and a drawing's points there."""
    code = (
        "import torch, sketchrnn; from sketchrnn import ModelConfig; from sketchrnn.kernels import compiled;"
        "print(compiled.describe()); torch.manual_seed(0);"
        "config = ModelConfig(decoder_cell='hyper', encoder_size=8, decoder_size=37, hyper_units=8, z_size=4);"
        "model = sketchrnn.SketchRNN(config, sketchrnn.DataInfo(scale_factor=11.0, max_length=24));"
        "print(sketchrnn.sample(model, 3, seed=1)[2].stroke3.tolist())"
    )
    settings = {**os.environ, "HOME": str(tmp_path), **environment}
    settings.pop("XDG_CACHE_HOME", None)
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    line, drawing = done.stdout.splitlines()
    return line, np.array(ast.literal_eval(drawing))


def compiler(folder, text):
    """A program that stands where a compiler is expected."""
    path = folder / "some cc"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"CC": f"'{path}'", "PATH": "/nonexistent"}


def test_without_a_compiler_everything_runs_in_plain_torch(tmp_path):
    line, plain = backend_in(tmp_path, PATH="/nonexistent", CC="")
    assert line.startswith("plain torch: no C compiler")
    line, broken = backend_in(tmp_path, **compiler(tmp_path, "[ $1 = --version ] && echo fake 1.0 || exit 3"))
    assert line.startswith("plain torch: ")
    assert "could not compile" in line
    np.testing.assert_array_equal(plain, broken)
    line, off = backend_in(tmp_path, SKETCHRNN_BACKEND="plain")
    assert line == "plain torch: SKETCHRNN_BACKEND is plain"
    np.testing.assert_array_equal(plain, off)
    if compiled.kernels().library is not None:
        line, native_ = backend_in(tmp_path)
        assert line.startswith("C kernels")
        np.testing.assert_allclose(plain, native_, rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("flags", ["-mno-avx512f", "-mno-avx"])
def test_on_older_processors(flags, tmp_path):
    """Their vectors are shorter and their tiles smaller."""
    if platform.machine() != "x86_64":
        pytest.skip("these are flags of x86-64")
    line, older = backend_in(tmp_path, CC=f"cc {flags}")
    assert line.startswith("C kernels")
    _, plain = backend_in(tmp_path, SKETCHRNN_BACKEND="plain")
    np.testing.assert_allclose(plain, older, rtol=1e-4, atol=1e-4)


@needs_compiler
def test_compiled_once_and_kept(tmp_path):
    backend_in(tmp_path)
    (kept,) = (tmp_path / ".cache/sketchrnn").glob("native-*.so")
    written = kept.stat().st_mtime_ns
    backend_in(tmp_path)
    assert kept.stat().st_mtime_ns == written
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])  # after a crash; to load this would end the process
    line, _ = backend_in(tmp_path)
    assert line.startswith("C kernels")
    assert kept.read_bytes() == whole
    backend_in(tmp_path, CC="cc -g")  # other arguments, another library
    assert len(list((tmp_path / ".cache/sketchrnn").glob("native-*.so"))) == 2


@needs_compiler
def test_a_cache_that_is_not_ours_alone(tmp_path):
    """A file where the folder should be, and a folder that anyone may write to: nothing is kept, everything runs."""
    (tmp_path / ".cache").write_text("")
    line, _ = backend_in(tmp_path)
    assert line.startswith("C kernels")
    shared = tmp_path / "shared" / ".cache" / "sketchrnn"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    line, _ = backend_in(tmp_path, HOME=str(tmp_path / "shared"))
    assert line.startswith("C kernels")
    assert not list(shared.iterdir())


@pytest.mark.parametrize("cc", ["cc '", "/nonexistent/cc", "false", "true"])
def test_a_compiler_that_is_none(cc, tmp_path):
    """An open quote and a missing program are passed over; one that fails, or does nothing, is told."""
    line, _ = backend_in(tmp_path, CC=cc)
    if cc in ("false", "true"):
        assert line.startswith("plain torch: ")
        assert f"{cc} could not compile" in line
    else:
        assert line.startswith(("C kernels", "plain torch: no C compiler"))


@needs_compiler
def test_threads_that_train_side_by_side():
    """Each has memory of its own until its way back is done."""
    torch.manual_seed(0)
    cell = make_cell("hyper", 5, 64, 32, 8)
    layout = sequence.packed_layout(np.full(16, 30))
    inputs = [torch.randn(layout.num_rows, 5) for _ in range(4)]

    def gradients(x):
        h, _ = sequence.run(cell, x, None, layout, tuple(torch.zeros(16, size) for size in cell.state_sizes))
        return torch.autograd.grad(h.square().sum(), list(cell.parameters()))

    alone = [gradients(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for x, together in zip(inputs * 10, pool.map(gradients, inputs * 10), strict=True):
            for ours, theirs in zip(together, alone[next(k for k in range(4) if inputs[k] is x)], strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@needs_compiler
def test_a_way_back_is_gone_once_and_finds_what_it_left():
    cell = make_cell("lstm", 5, 8, 0, 0)
    layout = sequence.packed_layout(np.array([3, 2]))
    x, state = torch.randn(5, 5), (torch.zeros(2, 8), torch.zeros(2, 8))
    h, _ = sequence.run(cell, x, None, layout, state)
    h.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        h.sum().backward()
    h, _ = sequence.run(cell, x, None, layout, state)
    with torch.no_grad():
        cell.W_hh.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()
    with pytest.raises(ValueError, match=r"torch.float64 and torch.float32 do not go together"):
        sequence.run(cell.double(), x, None, layout, state)


@needs_compiler
def test_memory_is_kept_for_the_next_pass_of_the_same_cell():
    """However long the passes of another cell are meanwhile; a pass that needs more than twice as much has it anew."""

    def learn(size, length):
        cell, layout = make_cell("lstm", 5, size, 0, 0), sequence.packed_layout(np.array([length]))
        state = (torch.zeros(1, size), torch.zeros(1, size))
        h, _ = sequence.run(cell, torch.randn(length, 5), None, layout, state)
        h.sum().backward()
        return {width: buffer.data_ptr() for width, buffer in native._Room.spare}

    native.give_back_memory()
    learn(8, 100)
    kept = learn(16, 10)
    assert len(kept) == 2
    assert learn(16, 20) == learn(8, 10) == learn(16, 5) == learn(8, 200) == kept
    learn(16, 21)
    assert len(native._Room.spare) == 2
    native.give_back_memory()


@needs_compiler
def test_inference_keeps_no_memory(cell, monkeypatch):
    """Nothing for the next pass, and of all steps but the last only the outputs."""
    native.give_back_memory()
    made, layout, traces = make_cell(cell, 5, 8, 4, 2), sequence.packed_layout(np.array([3, 2])), []

    def go(way, threads, structs):
        traces.extend(trace for _, _, trace in structs)
        return native_go(way, threads, structs)

    native_go = native._go
    monkeypatch.setattr(native, "_go", go)
    with torch.no_grad():
        sequence.run(made, torch.randn(5, 5), None, layout, zero_state(made, 2))
    assert not native._Room.spare
    assert {name: len(rows) for name, rows in traces[0].items() if len(rows) != 2} == {"h": 5}


@needs_compiler
def test_small_numbers_are_left_alone(model):
    """The kernels count denormal numbers as 0, and nobody else notices."""
    sketchrnn.sample(model, 2, seed=0)
    assert float(np.float32(1e-40) * np.float32(1)) > 0
    assert float("1e-310") > 0


def test_a_backend_that_does_not_exist(monkeypatch):
    monkeypatch.setenv("SKETCHRNN_BACKEND", "magic")
    with pytest.raises(ValueError, match="SKETCHRNN_BACKEND is 'magic'"):
        compiled.runs_on(torch.zeros(1))
