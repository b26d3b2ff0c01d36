import numpy as np
import pytest
import torch

from sketchrnn.model.cells import LSTMCell, make_cell, zero_state
from sketchrnn.model.sequence import dropout_mask, packed_layout, run, splitmix64

pytestmark = pytest.mark.usefixtures("backend")


def test_layout_names_every_step_of_every_drawing_once():
    lengths = np.array([5, 3, 3, 1, 0])
    layout = packed_layout(lengths)
    assert layout.batch_sizes == [4, 3, 3, 1, 1]
    pairs = list(zip(layout.drawing.tolist(), layout.step.tolist(), strict=True))
    assert sorted(pairs) == [(d, s) for d, n in enumerate(lengths) for s in range(n)]
    assert layout.step.tolist() == sorted(layout.step.tolist())


def test_packed_is_one_by_one(model):
    """Every output and last state, forward as in a loop over single drawings; so are the gradients."""
    cell = model.decoder
    lengths = np.array([7, 4, 4, 2, 1])
    layout = packed_layout(lengths)
    x = torch.randn(layout.num_rows, 5, dtype=torch.float64)
    z = torch.randn(5, 6, dtype=torch.float64)
    cell.double()
    mask = dropout_mask(cell, layout, 0.7, torch.Generator().manual_seed(1))
    assert set(mask.unique().tolist()) == {0, 1}
    start = tuple(torch.randn(5, size, dtype=torch.float64, requires_grad=True) for size in cell.state_sizes)
    h, final = run(cell, x, z @ cell.input_weights()[5:], layout, start, mask, 0.7)
    loss = (h * torch.arange(1, layout.num_rows + 1)[:, None]).sum() + sum(part.square().sum() for part in final)
    packed = torch.autograd.grad(loss, [*cell.parameters(), *start])

    loss = torch.zeros((), dtype=torch.float64)
    for k, n in enumerate(lengths):
        rows = torch.nonzero(layout.drawing == k).flatten()
        state = tuple(part[k : k + 1] for part in start)
        for row in rows.tolist():
            inputs = torch.cat([x[row], z[k]])[None] @ cell.input_weights()
            state = cell.step(inputs, state, mask[row : row + 1].double() / 0.7)
            np.testing.assert_allclose(state[0][0].detach(), h[row].detach(), rtol=1e-10, atol=1e-12)
            loss = loss + (state[0] * (row + 1)).sum()
        assert len(rows) == n
        for part, whole in zip(state, final, strict=True):
            np.testing.assert_allclose(part[0].detach(), whole[k].detach(), rtol=1e-10, atol=1e-12)
        loss = loss + sum(part.square().sum() for part in state)
    for ours, theirs in zip(packed, torch.autograd.grad(loss, [*cell.parameters(), *start]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_no_step_leaves_the_state_as_it_was(model):
    cell = model.decoder
    start = tuple(torch.randn(2, size) for size in cell.state_sizes)
    h, final = run(cell, torch.zeros(0, 5), None, packed_layout(np.array([0, 0])), start)
    assert h.shape == (0, cell.size)
    assert all(torch.equal(a, b) for a, b in zip(start, final, strict=True))


def test_state_joined_and_split_again_is_the_same(model):
    cell = model.decoder
    state = tuple(torch.randn(3, size) for size in cell.state_sizes)
    again = cell.split_state(cell.join_state(state))
    assert all(torch.equal(a, b) for a, b in zip(state, again, strict=True))


def test_dropout_keeps_the_mean_and_draws_a_new_mask_for_every_row():
    cell = LSTMCell(5, 400)
    layout = packed_layout(np.array([1000, 1000]))
    mask = dropout_mask(cell, layout, 0.9, torch.Generator().manual_seed(0))
    assert mask.shape == (2000, 400)
    assert mask.dtype == torch.uint8
    assert set(mask.unique().tolist()) == {0, 1}
    assert abs(float(mask.double().mean()) - 0.9) < 4 * (0.9 * 0.1 / mask.numel()) ** 0.5
    assert len({bytes(row.numpy()) for row in mask}) == 2000
    assert dropout_mask(cell, layout, 1.0, None) is None
    assert dropout_mask(cell, layout, 0.999999, torch.Generator().manual_seed(0)).double().mean() > 0.9999


def test_dropout_is_the_same_with_and_without_kernels(monkeypatch):
    """Its random numbers are those of SplitMix64 (the first of seed 0 as published), however many there are."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert [word % 2**64 for word in splitmix64(0, 4).tolist()] == published
    for size, length in ((1, 1), (3, 85), (16, 16), (257, 300)):
        masks = []
        for backend in ("native", "plain"):
            monkeypatch.setenv("SKETCHRNN_BACKEND", backend)
            cell, layout = LSTMCell(5, size), packed_layout(np.array([length, 1]))
            masks.append(dropout_mask(cell, layout, 0.6, torch.Generator().manual_seed(size)))
        assert torch.equal(*masks)
        assert masks[0].shape == (length + 1, size)


def test_dropout_is_without_memory_loss(model):
    """It falls on the new g alone: with all of g dropped, c is what the forget gate leaves of it."""
    cell = model.decoder
    h, *rest = (torch.randn(1, size) for size in cell.state_sizes)
    c_at = 1 if len(rest) == 1 else 2  # (h, c), or (h, h_hyper, c, c_hyper)
    x = torch.randn(1, 11) @ cell.input_weights()

    def c_after(c, dropout):
        state = [h, *rest]
        state[c_at] = c
        return cell.step(x, tuple(state), dropout)

    nothing, c = torch.zeros(1, 12), torch.ones(1, 12)
    forget = c_after(c, nothing)[c_at].detach()
    assert ((forget > 0) & (forget < 1)).all()
    np.testing.assert_allclose(c_after(3 * c, nothing)[c_at].detach(), 3 * forget, rtol=1e-6)
    whole = c_after(c, None)
    half = c_after(c, nothing + 0.5)
    np.testing.assert_allclose(
        (half[c_at] - forget).detach(), 0.5 * (whole[c_at] - forget).detach(), rtol=1e-4, atol=1e-6
    )
    assert (whole[c_at] - forget).abs().max().item() > 0.1
    for part in range(1, len(whole)):  # the small LSTM within a HyperLSTM has no dropout
        if part != c_at:
            assert torch.equal(c_after(c, nothing)[part], whole[part])
    if isinstance(cell, LSTMCell):
        f = (x + h @ cell.W_hh + cell.bias)[:, 24:36]
        np.testing.assert_allclose(forget, torch.sigmoid(f + 1).detach(), rtol=1e-5)


def test_initial_weights_are_the_references():
    torch.manual_seed(0)
    from sketchrnn import DataInfo, ModelConfig, SketchRNN

    model = SketchRNN(ModelConfig(decoder_cell="hyper"), DataInfo(scale_factor=1.0, max_length=10))
    limit = (6 / (133 + 2048)) ** 0.5
    assert 0.99 * limit < model.decoder.W_xh.abs().max().item() <= limit
    assert 0.15 < model.b_y.abs().max().item() <= (6 / 246) ** 0.5  # about 0.156
    assert abs(model.W_mu.std().item() - 0.001) < 1e-5
    assert abs(model.W_sigma.std().item() - 0.001) < 1e-5
    assert abs(model.W_z.std().item() - 0.001) < 1e-5
    assert not model.b_z.any()
    assert not model.encoder_forward.bias.any()
    assert torch.equal(model.decoder.alpha, torch.full((8, 32, 512), 0.1 / 32))
    assert not model.decoder.W_zw.any()
    assert not model.decoder.beta.any()
    assert torch.equal(model.decoder.b_zw, torch.ones(256))
    assert abs(model.decoder.W_zb.std().item() - 0.01) < 1e-3
    assert all(not cell.any() for cell in zero_state(model.decoder, 2))


def test_recurrent_weights_start_orthogonal(cell):
    torch.manual_seed(0)

    made = make_cell(cell, 5, 16, 8, 3)
    for gate in made.W_hh.detach().split(16, dim=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(16), atol=1e-5)


def test_sizes_of_the_reference():
    from sketchrnn import DataInfo, ModelConfig, SketchRNN

    info = DataInfo(scale_factor=1.0, max_length=10)
    assert SketchRNN(ModelConfig(), info).num_parameters == 2_186_107
    assert SketchRNN(ModelConfig(conditional=False), info).num_parameters == 1_123_963
