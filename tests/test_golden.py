"""The reference's own numbers, computed there in float32: every intermediate value, every loss, every gradient."""

import numpy as np
import pytest
import torch
from golden import FILES, model_of, renamed

from sketchrnn.drawing import Drawing, normalise
from sketchrnn.kernels import compiled, gpu, native
from sketchrnn.model.losses import kl_loss, reconstruction_loss
from sketchrnn.model.mixture import split_output

RELATIVE = 1e-5
RELATIVE_GRADIENT = 1e-4


# Where there is no GPU, test_kernels_gpu.py holds Triton's numbers to those of plain torch, in the interpreter.
ON_A_GPU = ["triton"] if torch.cuda.is_available() and not gpu.why_not("cuda") else []


@pytest.fixture(autouse=True, params=["plain", "native", *ON_A_GPU])
def device(request, monkeypatch):
    """Each backend where it is at home: plain torch and C on the CPU, Triton on a GPU."""
    monkeypatch.setenv("SKETCHRNN_BACKEND", request.param)
    if request.param == "triton":
        return "cuda"
    if request.param == "native" and compiled.kernels().library is None:
        pytest.skip(compiled.kernels().reason)
    monkeypatch.setattr(native, "WORK_A_THREAD", 1)
    return "cpu"


def array(values):
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def close(ours, theirs, relative):
    """Within `relative` of the array's own size: its largest number."""
    ours, theirs = array(ours).astype(np.float64), array(theirs).astype(np.float64)
    assert ours.shape == theirs.shape
    scale = np.abs(theirs).max()
    assert np.abs(ours - theirs).max() <= relative * scale, np.abs(ours - theirs).max() / scale


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request):
    return dict(np.load(request.param))


def batch_of(model, golden, padded):
    """The five drawings, longest first as our batches are, and the row of the file's batch that each is."""
    drawings = [golden[f"stroke3/{k}"] for k in golden["order"]][::-1]
    strokes = np.concatenate([normalise(d, model.data.scale_factor) for d in drawings])
    lengths = np.array([len(d) for d in drawings])
    return model.pack(strokes, lengths, padded=padded), np.arange(5)[::-1]


def unpacked(rows, layout, theirs_shape):
    """Packed rows (P, K) as (5, steps, K), in our order."""
    steps = np.full((*theirs_shape[:2], rows.shape[1]), np.nan, np.float32)
    steps[array(layout.drawing), array(layout.step)] = array(rows)
    return steps


def test_golden_files_are_there():
    assert len(FILES) == 8


def test_golden_inputs(golden, device):
    model = model_of(golden).to(device)
    batch, order = batch_of(model, golden, padded=True)
    stroke5 = golden["stroke5"][order]
    np.testing.assert_array_equal(array(batch.lengths), golden["lengths"][order])
    np.testing.assert_allclose(unpacked(batch.inputs, batch.steps, (5, 48)), stroke5[:, :-1], rtol=1e-6)
    np.testing.assert_allclose(unpacked(batch.targets, batch.steps, (5, 48)), stroke5[:, 1:], rtol=1e-6)
    drawing = Drawing(golden["stroke3/2"])
    scaled = Drawing(normalise(drawing.stroke3, model.data.scale_factor)).stroke5(48)
    np.testing.assert_allclose(scaled, golden["stroke5"][golden["order"].tolist().index(2)][1:], rtol=1e-6)


@pytest.mark.parametrize("golden", [f for f in FILES if "vae" in f.stem], ids=lambda path: path.stem, indirect=True)
def test_golden_encoder(golden, device):
    model = model_of(golden).to(device)
    batch, order = batch_of(model, golden, padded=False)
    mu, sigma_hat = model.encoder(batch)
    close(mu.detach(), golden["mu"][order], RELATIVE)
    close(sigma_hat.detach(), golden["presig"][order], RELATIVE)
    close(kl_loss(mu, sigma_hat).mean().item(), golden["L_KL_train"], RELATIVE)
    close(kl_loss(mu, sigma_hat).mean().item(), golden["L_KL_eval"], RELATIVE)
    kl_loss(mu, sigma_hat).mean().backward()
    theirs = renamed(golden | zero_gradients(golden, "grad_kl"), "grad_kl", model.config)
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            assert not array(theirs[name]).any()
        else:
            close(parameter.grad, theirs[name], RELATIVE_GRADIENT)


def test_golden_decoder(golden, device):
    model = model_of(golden).to(device)
    batch, order = batch_of(model, golden, padded=True)
    z = torch.from_numpy(golden["z"][order].copy()).to(device) if model.config.conditional else None
    initial = model.initial_state(z, 5)
    close(model.decoder.join_state(initial).detach(), golden["init"][order], RELATIVE)
    y, final = model.decoder_outputs(batch, z)
    close(model.decoder.join_state(final).detach(), golden["final"][order], RELATIVE)
    mixture = split_output(y)
    for theirs, ours in {
        "pi": mixture.log_pi.exp(),
        "mu1": mixture.mu_x,
        "mu2": mixture.mu_y,
        "sigma1": mixture.log_sigma_x.exp(),
        "sigma2": mixture.log_sigma_y.exp(),
        "corr": mixture.rho,
        "pen": mixture.log_q.exp(),
    }.items():
        close(unpacked(ours, batch.steps, (5, 48)), golden[theirs][order], RELATIVE)


def test_golden_losses_and_gradients(golden, device):
    model = model_of(golden).to(device)
    batch, order = batch_of(model, golden, padded=True)
    z = torch.from_numpy(golden["z"][order].copy()).to(device).requires_grad_() if model.config.conditional else None
    terms = model.row_terms(model.decoder_states(batch, z)[0], batch, density_floor=1e-6)
    train = sum(reconstruction_loss(terms, 5, 48, "padded"))
    close(train.item(), golden["L_R_train"], RELATIVE)
    close(sum(reconstruction_loss(terms, 5, 48, "points")).item(), golden["L_R_eval"], RELATIVE)
    theirs = renamed(golden, "grad", model.config)
    if z is None:
        train.backward()
    else:
        train.backward()
        backward_through_noise(model, golden, z.grad, theirs)
    for name, parameter in model.named_parameters():
        close(parameter.grad, theirs[name], RELATIVE_GRADIENT)


def backward_through_noise(model, golden, grad_z, theirs):
    """Carries dL/dz into the encoder as the reference did: z was fed, but its gradient went on through
    z = mu + exp(sigma_hat / 2) noise, with noise the file does not name. It is found again from the gradient of
    W_sigma, h^T dL/dsigma_hat: (units, N_z) equations for (5, N_z) unknowns; all other gradients then test it.
    """
    batch, _ = batch_of(model, golden, padded=False)
    mu, sigma_hat = model.encoder(batch)
    # what sigma_hat of each drawing, first column, takes from W_sigma is the drawing's h
    h = [torch.autograd.grad(s, model.W_sigma, retain_graph=True)[0][:, 0] for s in sigma_hat[:, 0]]
    equations = torch.vstack([torch.stack(h, dim=1).cpu(), torch.ones(1, 5)]).double()  # (2 encoder size + 1, 5)
    wanted = torch.from_numpy(np.vstack([theirs["W_sigma"], theirs["b_sigma"][None]])).double()
    grad_sigma_hat = torch.linalg.lstsq(equations, wanted).solution
    torch.autograd.backward([mu, sigma_hat], [grad_z, grad_sigma_hat.float().to(model.device)])


def zero_gradients(golden, kind):
    """Zeros for the weights to which the file names no gradient: those that the loss does not reach."""
    names = [name.removeprefix("weight/") for name in golden if name.startswith("weight/")]
    return {f"{kind}/{n}": np.zeros_like(golden[f"weight/{n}"]) for n in names if f"{kind}/{n}" not in golden}
