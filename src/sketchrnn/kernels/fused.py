"""The Triton kernels: what a step of a cell does between its matrix products, and the density of a mixture.

One program computes one row of a step, all units of a drawing, as `model.cells` writes it down; so that layer norm
needs no second pass. Names are those of the paper and of native.c: gates i, j, f, o; `d_` stands before a gradient.
Importing this module needs Triton; `gpu` does so where it is there.
"""

from __future__ import annotations

import triton
import triton.language as tl

from sketchrnn.config import FORGET_BIAS as FORGET
from sketchrnn.config import LAYER_NORM_EPSILON

FORGET_BIAS = tl.constexpr(FORGET)
EPSILON = tl.constexpr(LAYER_NORM_EPSILON)
# those of model.mixture, which says why
MAX_RHO_HAT = tl.constexpr(8.0)
MIN_LOG_SIGMA = tl.constexpr(-20.0)
NOTHING = tl.constexpr(-1e30)  # the logit of what is not there
LOG_2_PI = tl.constexpr(1.8378770664093453)


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def tanh(x):
    e = tl.exp(-2 * tl.abs(x))
    t = (1 - e) / (1 + e)
    return tl.where(x < 0, -t, t)


@triton.jit
def normalised(x, inside, SIZE: tl.constexpr):
    """x less its mean, divided by its standard deviation; and 1 / that. Outside it is 0."""
    x = tl.where(inside, x - tl.sum(tl.where(inside, x, 0.0), 0) / SIZE, 0.0)
    over = 1 / tl.sqrt(tl.sum(x * x, 0) / SIZE + EPSILON)
    return x * over, over


@triton.jit
def normalised_backward(dy, normal, over, gamma, inside, SIZE: tl.constexpr):
    """From the gradient of normal gamma + beta to that of what was normalised."""
    d = tl.where(inside, dy * gamma, 0.0)
    return over * (d - tl.sum(d, 0) / SIZE - normal * (tl.sum(d * normal, 0) / SIZE))


@triton.jit
def before_activation(
    r, k: tl.constexpr, u, inside, hh, hh_stride, more, xs, xs_stride, start, start_stride, scales, bias,
    SIZE: tl.constexpr,
):  # fmt: skip
    """Of gate k: W_x x + W_h h + b, in a HyperLSTM each of the three scaled by what z makes of it."""
    at = k * SIZE + u
    of_x = tl.load(xs + r * xs_stride + at, inside, 0.0)
    if start is not None:
        of_x += tl.load(start + r * start_stride + at, inside, 0.0)
    of_h = tl.load(hh + r * hh_stride + at, inside, 0.0)
    if more is not None:
        of_h += tl.load(more + r * 4 * SIZE + at, inside, 0.0)
    if scales is not None:
        of_x *= tl.load(scales + r * 12 * SIZE + at, inside, 0.0)
        of_h *= tl.load(scales + r * 12 * SIZE + 4 * SIZE + at, inside, 0.0)
        of_h += tl.load(scales + r * 12 * SIZE + 8 * SIZE + at, inside, 0.0) + tl.load(bias + at, inside, 0.0)
    return of_x + of_h


@triton.jit
def keep_gate(r, k: tl.constexpr, u, inside, x, gates, deviation, gamma, beta, SIZE: tl.constexpr):
    """Gate k with layer norm, where there is one; what the way back needs of it is kept."""
    if gamma is not None:
        at = k * SIZE + u
        normal, over = normalised(x, inside, SIZE)
        tl.store(gates + r * 4 * SIZE + at, normal, inside)
        tl.store(deviation + r * 4 + k, over)
        x = normal * tl.load(gamma + at, inside, 0.0) + tl.load(beta + at, inside, 0.0)
    return x


@triton.jit(do_not_specialize=["t", "n_next"])
def step_forward(
    hh, hh_stride,  # (n, .) W_h h
    more,  # (n, 4 SIZE) to be added to it, or None: of the small LSTM, which reads two states
    xs, xs_stride,  # (n, .) W_x x
    start, start_stride,  # (B, .) what z and the bias add to that, or None
    scales, bias,  # (n, 12, SIZE), (4 SIZE): of the HyperLSTM, else None
    gamma, beta, c_gamma, c_beta,  # of layer norm, else None
    mask,  # (n, SIZE) uint8 recurrent dropout, or None
    h_before, c_before,  # (n, SIZE)
    gates, deviation, c, h,  # (n, 4 SIZE), (n, 4), (n, SIZE), (n, SIZE): written
    h_now,  # (n, SIZE) h once more in the number type of the products, or None
    h_next, n_next,  # (n_next, SIZE) and once more, where the product of the next step reads it
    running, t,  # (T,) rows of step t that go on: those after them keep their state; None: all
    SCALE: tl.constexpr,  # 1 / keep
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    r = tl.program_id(0)
    u = tl.arange(0, BLOCK)
    inside = u < SIZE
    i = before_activation(r, 0, u, inside, hh, hh_stride, more, xs, xs_stride, start, start_stride, scales, bias, SIZE)
    j = before_activation(r, 1, u, inside, hh, hh_stride, more, xs, xs_stride, start, start_stride, scales, bias, SIZE)
    f = before_activation(r, 2, u, inside, hh, hh_stride, more, xs, xs_stride, start, start_stride, scales, bias, SIZE)
    o = before_activation(r, 3, u, inside, hh, hh_stride, more, xs, xs_stride, start, start_stride, scales, bias, SIZE)
    i = sigmoid(keep_gate(r, 0, u, inside, i, gates, deviation, gamma, beta, SIZE))
    g = tanh(keep_gate(r, 1, u, inside, j, gates, deviation, gamma, beta, SIZE))
    f = sigmoid(keep_gate(r, 2, u, inside, f, gates, deviation, gamma, beta, SIZE) + FORGET_BIAS)
    o = sigmoid(keep_gate(r, 3, u, inside, o, gates, deviation, gamma, beta, SIZE))
    if gamma is None:
        own = gates + r * 4 * SIZE + u
        tl.store(own, i, inside)
        tl.store(own + SIZE, g, inside)
        tl.store(own + 2 * SIZE, f, inside)
        tl.store(own + 3 * SIZE, o, inside)
    if mask is not None:
        g *= tl.load(mask + r * SIZE + u, inside, 0).to(g.dtype) * SCALE
    old_c = tl.load(c_before + r * SIZE + u, inside, 0.0)
    new_c = old_c * f + i * g
    if c_gamma is None:
        new_h = tanh(new_c) * o
    else:
        normal, _ = normalised(new_c, inside, SIZE)
        new_h = tanh(normal * tl.load(c_gamma + u, inside, 0.0) + tl.load(c_beta + u, inside, 0.0)) * o
    if running is not None:
        goes_on = r < tl.load(running + t)
        new_c = tl.where(goes_on, new_c, old_c)
        new_h = tl.where(goes_on, new_h, tl.load(h_before + r * SIZE + u, inside, 0.0))
    tl.store(c + r * SIZE + u, new_c, inside)
    tl.store(h + r * SIZE + u, new_h, inside)
    if h_now is not None:
        tl.store(h_now + r * SIZE + u, new_h, inside)
    if h_next is not None:  # noqa: SIM102 (this is decided when the kernel is compiled, the other when it runs)
        if r < n_next:
            tl.store(h_next + r * SIZE + u, new_h, inside)


@triton.jit
def gate_of(r, k: tl.constexpr, u, inside, gates, gamma, beta, SIZE: tl.constexpr):
    """What was kept of gate k: the normalised numbers, and from them what goes into the activation."""
    at = k * SIZE + u
    x = tl.load(gates + r * 4 * SIZE + at, inside, 0.0)
    y = x
    if gamma is not None:
        y = x * tl.load(gamma + at, inside, 0.0) + tl.load(beta + at, inside, 0.0)
    return x, y


@triton.jit
def gate_backward(
    r, k: tl.constexpr, u, inside, goes_on, dy, normal, deviation, gamma, hh, hh_stride, xs, xs_stride, start,
    start_stride, scales, d, d_stride, d_x, d_scales, d_start, SIZE: tl.constexpr,
):  # fmt: skip
    """From the gradient of what goes into the activation of gate k to those of W_h h, of W_x x and of their scales."""
    at = k * SIZE + u
    if gamma is not None:
        over = tl.load(deviation + r * 4 + k)
        dy = normalised_backward(dy, normal, over, tl.load(gamma + at, inside, 0.0), inside, SIZE)
    dy = tl.where(goes_on, dy, 0.0)
    of_x, of_h = dy, dy
    if scales is not None:
        x = tl.load(xs + r * xs_stride + at, inside, 0.0)
        if start is not None:
            x += tl.load(start + r * start_stride + at, inside, 0.0)
        h = tl.load(hh + r * hh_stride + at, inside, 0.0)
        of_x = dy * tl.load(scales + r * 12 * SIZE + at, inside, 0.0)
        of_h = dy * tl.load(scales + r * 12 * SIZE + 4 * SIZE + at, inside, 0.0)
        tl.store(d_x + r * 4 * SIZE + at, of_x, inside)
        tl.store(d_scales + r * 12 * SIZE + at, dy * x, inside)
        tl.store(d_scales + r * 12 * SIZE + 4 * SIZE + at, dy * h, inside)
        tl.store(d_scales + r * 12 * SIZE + 8 * SIZE + at, dy, inside)
    tl.store(d + r * d_stride + at, of_h, inside)
    if d_start is not None:
        total = d_start + r * start_stride + at
        tl.store(total, tl.load(total, inside, 0.0) + of_x, inside)


@triton.jit(do_not_specialize=["t", "n"])
def step_backward(
    d_out,  # (n, SIZE) gradient of the outputs h, or None
    dh, more,  # (n, SIZE) what the step after this one gives to h, in one or two parts; None for nothing
    kept,  # (B, SIZE) gradient of h that waits for the row's last step
    dc,  # (B, SIZE) gradient of c, in and out
    gates, deviation, c, c_before, mask,
    hh, hh_stride, xs, xs_stride, start, start_stride, scales,
    gamma, beta, c_gamma, c_beta,
    d, d_stride,  # (n, .) written: gradient of W_h h
    d_x, d_scales,  # (n, 4 SIZE), (n, 12, SIZE): of W_x x, and of the scales and the shift, in a HyperLSTM
    d_start,  # (B, .) added to: that of W_x x, or None
    sums,  # (programs, 10 SIZE) added to: gradients of gamma, beta, c_gamma, c_beta; None without layer norm
    running, t, n,
    SCALE: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    u = tl.arange(0, BLOCK)
    inside = u < SIZE
    if gamma is not None:
        nothing = tl.zeros((BLOCK,), c.dtype.element_ty)
        d_gamma_i, d_gamma_j, d_gamma_f, d_gamma_o, d_c_gamma = nothing, nothing, nothing, nothing, nothing
        d_beta_i, d_beta_j, d_beta_f, d_beta_o, d_c_beta = nothing, nothing, nothing, nothing, nothing
    for r in range(tl.program_id(0), n, tl.num_programs(0)):  # few programs: each adds up the sums of several rows
        goes_on = r >= 0
        if running is not None:
            goes_on = r < tl.load(running + t)
        of_h = tl.load(kept + r * SIZE + u, inside, 0.0)
        if dh is not None:
            of_h += tl.load(dh + r * SIZE + u, inside, 0.0)
        if more is not None:
            of_h += tl.load(more + r * SIZE + u, inside, 0.0)
        if d_out is not None:
            of_h += tl.load(d_out + r * SIZE + u, inside, 0.0)
        tl.store(kept + r * SIZE + u, tl.where(goes_on, 0.0, of_h), inside)
        of_h = tl.where(goes_on, of_h, 0.0)

        normal_i, i = gate_of(r, 0, u, inside, gates, gamma, beta, SIZE)
        normal_j, g = gate_of(r, 1, u, inside, gates, gamma, beta, SIZE)
        normal_f, f = gate_of(r, 2, u, inside, gates, gamma, beta, SIZE)
        normal_o, o = gate_of(r, 3, u, inside, gates, gamma, beta, SIZE)
        if gamma is not None:
            i, g, f, o = sigmoid(i), tanh(g), sigmoid(f + FORGET_BIAS), sigmoid(o)
        old_c = tl.load(c_before + r * SIZE + u, inside, 0.0)
        new_c = tl.load(c + r * SIZE + u, inside, 0.0)
        of_c = tl.load(dc + r * SIZE + u, inside, 0.0)
        if c_gamma is None:
            tanh_c = tanh(new_c)
            change = of_h * o * (1 - tanh_c * tanh_c)
        else:
            normal, over = normalised(new_c, inside, SIZE)
            weight = tl.load(c_gamma + u, inside, 0.0)
            tanh_c = tanh(normal * weight + tl.load(c_beta + u, inside, 0.0))
            change = of_h * o * (1 - tanh_c * tanh_c)
            d_c_gamma += change * normal
            d_c_beta += change
            change = normalised_backward(change, normal, over, weight, inside, SIZE)
        through = of_c + change
        keep = 1.0
        if mask is not None:
            keep = tl.load(mask + r * SIZE + u, inside, 0).to(through.dtype) * SCALE
        di = through * g * keep * i * (1 - i)
        dj = through * i * keep * (1 - g * g)
        df = through * old_c * f * (1 - f)
        do = of_h * tanh_c * o * (1 - o)
        tl.store(dc + r * SIZE + u, tl.where(goes_on, through * f, of_c), inside)
        if gamma is not None:
            di, dj = tl.where(goes_on, di, 0.0), tl.where(goes_on, dj, 0.0)
            df = tl.where(goes_on, df, 0.0)  # do is 0 where h has no gradient
            d_gamma_i += di * normal_i
            d_gamma_j += dj * normal_j
            d_gamma_f += df * normal_f
            d_gamma_o += do * normal_o
            d_beta_i += di
            d_beta_j += dj
            d_beta_f += df
            d_beta_o += do
        gate_backward(
            r, 0, u, inside, goes_on, di, normal_i, deviation, gamma, hh, hh_stride, xs, xs_stride, start,
            start_stride, scales, d, d_stride, d_x, d_scales, d_start, SIZE,
        )  # fmt: skip
        gate_backward(
            r, 1, u, inside, goes_on, dj, normal_j, deviation, gamma, hh, hh_stride, xs, xs_stride, start,
            start_stride, scales, d, d_stride, d_x, d_scales, d_start, SIZE,
        )  # fmt: skip
        gate_backward(
            r, 2, u, inside, goes_on, df, normal_f, deviation, gamma, hh, hh_stride, xs, xs_stride, start,
            start_stride, scales, d, d_stride, d_x, d_scales, d_start, SIZE,
        )  # fmt: skip
        gate_backward(
            r, 3, u, inside, goes_on, do, normal_o, deviation, gamma, hh, hh_stride, xs, xs_stride, start,
            start_stride, scales, d, d_stride, d_x, d_scales, d_start, SIZE,
        )  # fmt: skip
    if gamma is not None:
        own = sums + tl.program_id(0) * 10 * SIZE + u
        tl.store(own, tl.load(own, inside, 0.0) + d_gamma_i, inside)
        tl.store(own + SIZE, tl.load(own + SIZE, inside, 0.0) + d_gamma_j, inside)
        tl.store(own + 2 * SIZE, tl.load(own + 2 * SIZE, inside, 0.0) + d_gamma_f, inside)
        tl.store(own + 3 * SIZE, tl.load(own + 3 * SIZE, inside, 0.0) + d_gamma_o, inside)
        tl.store(own + 4 * SIZE, tl.load(own + 4 * SIZE, inside, 0.0) + d_beta_i, inside)
        tl.store(own + 5 * SIZE, tl.load(own + 5 * SIZE, inside, 0.0) + d_beta_j, inside)
        tl.store(own + 6 * SIZE, tl.load(own + 6 * SIZE, inside, 0.0) + d_beta_f, inside)
        tl.store(own + 7 * SIZE, tl.load(own + 7 * SIZE, inside, 0.0) + d_beta_o, inside)
        tl.store(own + 8 * SIZE, tl.load(own + 8 * SIZE, inside, 0.0) + d_c_gamma, inside)
        tl.store(own + 9 * SIZE, tl.load(own + 9 * SIZE, inside, 0.0) + d_c_beta, inside)


@triton.jit
def log_sum_exp(x):
    """Along the second axis: the log of the sum of exp(x), and the shares exp(x) / sum."""
    most = tl.max(x, 1)
    shares = tl.exp(x - most[:, None])
    total = tl.sum(shares, 1)
    return most + tl.log(total), shares / total[:, None]


@triton.jit(do_not_specialize=["P"])
def row_terms(
    y,  # (P, 3 + 6 M)
    targets,  # (P, 5)
    offset, pen,  # (P,) written: log probabilities of what came
    slope,  # (P, 3 + 6 M) written: derivative of the pen's by its three columns, of the offset's by the others
    P,
    LOG_FLOOR: tl.constexpr,  # log of what is added to the density; None for nothing
    M: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    WIDTH: tl.constexpr = 3 + 6 * M
    r = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    j = tl.arange(0, BLOCK)
    rows = r < P
    inside = rows[:, None] & (j < M)[None, :]
    three = rows[:, None] & (j < 3)[None, :]

    logits = tl.load(y + r[:, None] * WIDTH + j[None, :], three, NOTHING)
    came = tl.load(targets + r[:, None] * 5 + 2 + j[None, :], three, 0.0)
    log_all, q = log_sum_exp(logits)
    tl.store(pen + r, tl.sum(tl.where(three, came * (logits - log_all[:, None]), 0.0), 1), rows)
    tl.store(slope + r[:, None] * WIDTH + j[None, :], came - q, three)

    x = tl.load(targets + r * 5, rows, 0.0)[:, None]
    v_ = tl.load(targets + r * 5 + 1, rows, 0.0)[:, None]
    is_point = tl.load(targets + r * 5 + 4, rows, 1.0) != 1
    own = y + r[:, None] * WIDTH + 3 + j[None, :]
    logit = tl.load(own, inside, NOTHING)
    mu_x = tl.load(own + M, inside, 0.0)
    mu_y = tl.load(own + 2 * M, inside, 0.0)
    raw_x = tl.load(own + 3 * M, inside, 0.0)
    raw_y = tl.load(own + 4 * M, inside, 0.0)
    raw_rho = tl.load(own + 5 * M, inside, 0.0)
    # by comparison: NaN stays NaN
    log_x = tl.where(raw_x < MIN_LOG_SIGMA, MIN_LOG_SIGMA, raw_x)
    log_y = tl.where(raw_y < MIN_LOG_SIGMA, MIN_LOG_SIGMA, raw_y)
    rho_hat = tl.where(raw_rho > MAX_RHO_HAT, MAX_RHO_HAT, tl.where(raw_rho < -MAX_RHO_HAT, -MAX_RHO_HAT, raw_rho))

    up = tl.exp(rho_hat)
    cosh, sinh = (up + 1 / up) / 2, (up - 1 / up) / 2
    sinh = cosh * tanh(rho_hat)  # the difference above loses digits near 0
    over_x, over_y = tl.exp(-log_x), tl.exp(-log_y)
    u = (x - mu_x) * over_x
    v = (v_ - mu_y) * over_y
    w = v * cosh - u * sinh
    log_pi, pi = log_sum_exp(logit)
    log_normal = logit - log_pi[:, None] + tl.log(cosh) - LOG_2_PI - log_x - log_y - 0.5 * (u * u + w * w)
    log_p, share = log_sum_exp(log_normal)
    above = tl.full((ROWS,), 1.0, log_p.dtype)
    if LOG_FLOOR is not None:  # log(p + floor)
        most = tl.where(log_p > LOG_FLOOR, log_p, LOG_FLOOR)
        least = tl.where(log_p > LOG_FLOOR, LOG_FLOOR, log_p)
        floored = most + tl.log(1 + tl.exp(least - most))
        above = tl.exp(log_p - floored)
        log_p = floored
    tl.store(offset + r, tl.where(is_point, log_p, 0.0), rows)

    own = slope + r[:, None] * WIDTH + 3 + j[None, :]
    points = is_point[:, None]
    part = above[:, None] * share
    tl.store(own, tl.where(points, part - above[:, None] * pi, 0.0), inside)
    tl.store(own + M, tl.where(points, part * over_x * (u - w * sinh), 0.0), inside)
    tl.store(own + 2 * M, tl.where(points, part * over_y * w * cosh, 0.0), inside)
    d = tl.where(raw_x < MIN_LOG_SIGMA, 0.0, u * (u - w * sinh) - 1)
    tl.store(own + 3 * M, tl.where(points, part * d, 0.0), inside)
    d = tl.where(raw_y < MIN_LOG_SIGMA, 0.0, v * w * cosh - 1)
    tl.store(own + 4 * M, tl.where(points, part * d, 0.0), inside)
    d = tl.where(rho_hat != raw_rho, 0.0, sinh / cosh - w * (v * sinh - u * cosh))
    tl.store(own + 5 * M, tl.where(points, part * d, 0.0), inside)
