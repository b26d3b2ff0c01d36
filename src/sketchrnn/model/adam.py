"""Adam (Kingma and Ba, 2015), over torch's fused kernel.

Not `torch.optim.Adam`, which computes the same: making one brings in torch's compiler, three seconds and 100 MB.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

BETA_1, BETA_2 = 0.9, 0.999


class Adam:
    """The optimiser of some weights; its rate may be set anew before each step."""

    def __init__(self, parameters: Iterable[Tensor], rate: float, epsilon: float = 1e-8) -> None:
        self.parameters = list(parameters)
        self.rate = rate
        self.epsilon = epsilon
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        """Of each weight that has moved: `exp_avg` and `exp_avg_sq`, the moments, and `step`, how often."""

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Moves all weights that have a gradient."""
        gradients = {p: p.grad for p in self.parameters if p.grad is not None}
        moving = list(gradients)
        for parameter in moving:
            if parameter not in self.state:
                self.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        mean, square, count = ([self.state[p][name] for p in moving] for name in ("exp_avg", "exp_avg_sq", "step"))
        torch._foreach_add_(count, 1)
        torch._fused_adam_(
            moving, list(gradients.values()), mean, square, [], count, lr=self.rate, beta1=BETA_1, beta2=BETA_2,
            weight_decay=0.0, eps=self.epsilon, amsgrad=False, maximize=False,
        )  # fmt: skip
