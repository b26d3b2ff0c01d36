import torch

from sketchrnn.model.adam import Adam


def test_is_torchs_adam():
    """To the last bit, over a schedule of rates, with a weight that has no gradient at first and huge and tiny ones."""
    torch.manual_seed(0)
    ours = [torch.randn(3, 4), torch.randn(7), torch.randn(2)]
    theirs = [p.clone().requires_grad_() for p in ours]
    optimizer, reference = Adam(ours, 0.1), torch.optim.Adam(theirs, lr=0.1, fused=True)
    for step in range(20):
        optimizer.rate = reference.param_groups[0]["lr"] = 0.1 * 0.9**step
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            a.grad = None if k == 2 and step < 5 else torch.randn(a.shape) * 10.0 ** (step - 10)
            b.grad = None if a.grad is None else a.grad.clone()
        optimizer.step()
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert optimizer.state[ours[2]]["step"] == 15
    optimizer.zero_grad()
    assert all(p.grad is None for p in ours)
