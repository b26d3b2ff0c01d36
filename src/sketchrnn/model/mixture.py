"""What the decoder predicts at each step: a mixture of bivariate normals for the offset, and the pen's next state.

Log space throughout: log densities neither overflow nor vanish, however far from the mixture a point lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

# rho = tanh(rho_hat) is +-1 in float32 beyond this, and 1 / (1 - rho^2) infinite; rho stays within +-0.9999998
MAX_RHO_HAT = 8.0
# sigma = 2e-9 in normalised units is finer than any drawing; below, squares of (x - mu) / sigma overflow in float32
MIN_LOG_SIGMA = -20.0
SMALLEST_TEMPERATURE = 1e-30  # logits divided by less overflow; what is below counts as 0

TemperatureRule = Literal["paper", "reference", "magenta-js"]


@dataclass(frozen=True)
class LogMixture:
    """The parameters at some steps, in normalised units: tensors (..., M), `log_q` (..., 3)."""

    log_pi: Tensor
    """Log of the mixture weights Pi."""
    mu_x: Tensor
    mu_y: Tensor
    log_sigma_x: Tensor
    log_sigma_y: Tensor
    rho_hat: Tensor
    """rho = tanh(rho_hat)."""
    log_q: Tensor
    """Log probabilities of the three pen states."""

    @property
    def rho(self) -> Tensor:
        return torch.tanh(self.rho_hat)


def split_output(y: Tensor) -> LogMixture:
    """The parameters in the decoder's output (..., 3 + 6 M): 3 pen logits, then M each of mixture logits, mu_x, mu_y,
    log sigma_x, log sigma_y and rho_hat."""
    pen, rest = y.split([3, y.shape[-1] - 3], dim=-1)
    logits, mu_x, mu_y, log_sigma_x, log_sigma_y, rho_hat = rest.chunk(6, dim=-1)
    return LogMixture(
        torch.log_softmax(logits, dim=-1),
        mu_x,
        mu_y,
        log_sigma_x.clamp(min=MIN_LOG_SIGMA),
        log_sigma_y.clamp(min=MIN_LOG_SIGMA),
        rho_hat.clamp(-MAX_RHO_HAT, MAX_RHO_HAT),
        torch.log_softmax(pen, dim=-1),
    )


def log_density(mixture: LogMixture, dx: Tensor, dy: Tensor) -> Tensor:
    """Log of sum_j Pi_j N(dx, dy | mu_xj, mu_yj, sigma_xj, sigma_yj, rho_j), in nats (...,) for offsets (...,).

    The exponent is written as u^2 + ((v - rho u) cosh(rho_hat))^2, since 1 / (1 - rho^2) = cosh^2(rho_hat): no
    difference of nearly equal numbers, no division.
    """
    u = (dx.unsqueeze(-1) - mixture.mu_x) * torch.exp(-mixture.log_sigma_x)
    v = (dy.unsqueeze(-1) - mixture.mu_y) * torch.exp(-mixture.log_sigma_y)
    w = (v - mixture.rho * u) * torch.cosh(mixture.rho_hat)
    log_normal = (
        torch.log(torch.cosh(mixture.rho_hat))
        - math.log(2 * math.pi)
        - mixture.log_sigma_x
        - mixture.log_sigma_y
        - 0.5 * (u * u + w * w)
    )
    return torch.logsumexp(mixture.log_pi + log_normal, dim=-1)


def temperatures(tau: float, rule: TemperatureRule = "paper") -> tuple[float, float]:
    """What temperature tau divides the logits by and multiplies sigma^2 with; 0 and 0 where tau is 0.

    The paper: tau, tau. The reference, its Python code: tau, tau^2. Its JavaScript, magenta-js: (1 + tau) / 2, tau. At
    1 all draw as the model learned.

    Raises:
        ValueError: there is no such rule.
    """
    if rule not in get_args(TemperatureRule):
        raise ValueError(f"there is no temperature rule {rule!r}; there are {', '.join(get_args(TemperatureRule))}")
    if tau < SMALLEST_TEMPERATURE:
        return 0.0, 0.0
    return (1 + tau) / 2 if rule == "magenta-js" else tau, tau * tau if rule == "reference" else tau


def at_temperature(mixture: LogMixture, tau: float | Tensor, variance: float | Tensor | None = None) -> LogMixture:
    """The mixture at temperature tau > 0, one for all or (n, 1): logits divided by tau, sigma^2 multiplied by it, or by
    `variance` where that is given."""
    like = mixture.log_pi
    tau, variance = (
        torch.as_tensor(number, dtype=torch.float64, device=like.device)
        for number in (tau, tau if variance is None else variance)
    )
    divisor, shift, as_it_is = tau.to(like.dtype), (0.5 * torch.log(variance)).to(like.dtype), tau == 1
    return LogMixture(
        torch.where(as_it_is, mixture.log_pi, torch.log_softmax(mixture.log_pi / divisor, dim=-1)),
        mixture.mu_x,
        mixture.mu_y,
        mixture.log_sigma_x + shift,
        mixture.log_sigma_y + shift,
        mixture.rho_hat,
        torch.where(as_it_is, mixture.log_q, torch.log_softmax(mixture.log_q / divisor, dim=-1)),
    )


def draw(
    mixture: LogMixture, tau: float | Tensor, uniform: Tensor, normal: Tensor, variance: float | Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One point from each of n mixtures.

    Args:
        mixture: parameters (n, M).
        tau: temperature, one for all or (n,); at 0 the most likely pen state and the mean of the heaviest normal.
        uniform: (n, 2) in [0, 1): the choice of the normal and of the pen state.
        normal: (n, 2) standard normal numbers: where in that normal.
        variance: the factor of sigma^2, one for all or (n,); tau if None.

    Returns:
        The offsets (n, 2) in normalised units, and the pen states (n,) 0, 1 or 2.
    """
    tau, variance = (
        torch.as_tensor(number, dtype=torch.float64, device=uniform.device).expand(len(uniform))
        for number in (tau, tau if variance is None else variance)
    )
    certain = tau < SMALLEST_TEMPERATURE
    warm = at_temperature(mixture, *(torch.where(certain, 1, part).unsqueeze(-1) for part in (tau, variance)))
    chosen = torch.where(certain, mixture.log_pi.argmax(dim=-1), choose(warm.log_pi, uniform[:, 0]))
    pen = torch.where(certain, mixture.log_q.argmax(dim=-1), choose(warm.log_q, uniform[:, 1]))
    mu_x, mu_y, log_sigma_x, log_sigma_y, rho_hat = (
        parameter.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        for parameter in (warm.mu_x, warm.mu_y, warm.log_sigma_x, warm.log_sigma_y, warm.rho_hat)
    )
    u, v = normal.unbind(-1)
    x = mu_x + torch.exp(log_sigma_x) * u
    y = mu_y + torch.exp(log_sigma_y) * (torch.tanh(rho_hat) * u + v / torch.cosh(rho_hat))
    return torch.stack([torch.where(certain, mu_x, x), torch.where(certain, mu_y, y)], dim=-1), pen


def choose(log_probabilities: Tensor, uniform: Tensor) -> Tensor:
    """(n,) indices drawn from (n, K) log probabilities by inverting their sum at `uniform` (n,)."""
    below = torch.cumsum(torch.exp(log_probabilities), dim=-1)
    # the last sum may fall short of 1 by rounding, and a uniform number land above it
    return (uniform.unsqueeze(-1) >= below[..., :-1]).sum(dim=-1)
