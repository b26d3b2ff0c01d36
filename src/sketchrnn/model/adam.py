"""Adam (Kingma and Ba, 2015), over torch's fused kernel.

Not `torch.optim.Adam`, which computes the same: making one brings in torch's compiler, three seconds and 100 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

    def step(self) -> None:
        """Moves all weights that have a gradient."""
        self.move([p.grad for p in self.parameters], self.rate)

    @torch.no_grad()
    def move(
        self, of_parameters: Sequence[Tensor | None], rate: float | Tensor, left_out: Tensor | None = None
    ) -> None:
        """Moves the weights that have a gradient.

        Args:
            of_parameters: the gradient of each parameter.
            rate: the learning rate, for this step; a tensor where the device shall read it.
            left_out: () 1 where nothing shall change, else 0: decided on the device, and no one waits for it.
        """
        gradients = {p: g for p, g in zip(self.parameters, of_parameters, strict=True) if g is not None}
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
            moving, list(gradients.values()), mean, square, [], count, lr=rate, beta1=BETA_1, beta2=BETA_2,
            weight_decay=0.0, eps=self.epsilon, amsgrad=False, maximize=False, found_inf=left_out,
        )  # fmt: skip
        if left_out is not None:
            torch._foreach_sub_(count, [left_out] * len(count))
