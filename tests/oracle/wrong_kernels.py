"""PReLU kernels with one realistic fault each, and the suspicion that the oracle must raise.

Every kernel takes alpha of size 1 or along axis 1.
"""

from __future__ import annotations

import numpy as np


def place(values, x):
    """Values of the alphas, shaped to stand at axis 1 of x."""
    return values.reshape(() if values.size == 1 else (-1, *[1] * (x.ndim - 2)))


def collect(terms, alpha, dtype=None):
    """Sum terms for each alpha in the given dtype; float32 sums are pairwise, as NumPy does."""
    dtype = dtype or (np.float64 if alpha.dtype == np.float64 else np.float32)
    if alpha.size == 1:
        total = terms.astype(dtype).sum(dtype=dtype)
    else:
        axes = tuple(i for i in range(terms.ndim) if i != 1)
        total = terms.astype(dtype).sum(axis=axes, dtype=dtype)
    return np.asarray(total).astype(alpha.dtype).reshape(alpha.shape)


def wide(*arrays):
    """float32, in which products of 16-bit numbers are exact; float64 stays."""
    return [a if a.dtype == np.float64 else a.astype(np.float32) for a in arrays]


def forward(x, alpha):
    xw, aw = wide(x, alpha)
    return np.where(x > 0, x, (place(aw, x) * xw).astype(x.dtype))


def gradient(dy, x, alpha, identity=None):
    identity = x > 0 if identity is None else identity
    dyw, aw = wide(dy, alpha)
    return np.where(identity, dy, (place(aw, x) * dyw).astype(x.dtype))


def products(dy, x):
    dyw, xw = wide(dy, x)
    return np.where(x > 0, np.zeros((), xw.dtype), xw * dyw)


def backward(dy, x, alpha):
    return gradient(dy, x, alpha), collect(products(dy, x), alpha)


def tail(n, width):
    """Mark the last n % width elements."""
    return np.arange(n) >= n - n % width


# --- forward ---------------------------------------------------------------------------------


def fixed_slope(x, alpha):
    return np.where(x > 0, x, x.dtype.type(0.01) * x)


def inputs_swapped(alpha, x):
    return np.where(place(x, alpha) > 0, place(x, alpha), place(x, alpha) * alpha)


def min_max(x, alpha):
    return (np.minimum(0, x) * place(alpha, x) + np.maximum(0, x)).astype(x.dtype)


def max_half_difference(x, alpha):
    return np.maximum(x, 0) + place(alpha, x) * (x - np.abs(x)) * x.dtype.type(0.5)


def infinity_to_largest(x, alpha):
    return np.nan_to_num(forward(x, alpha), nan=np.nan)


def next_channel(x, alpha):
    return forward(x, np.roll(alpha, -1))


def unknown(x, alpha):
    return forward(x, alpha * alpha)


def beyond_16_bits(x, alpha):
    y = forward(x, alpha).ravel()
    y[1 << 16 :] = 0
    return y.reshape(x.shape)


def uses_ge(x, alpha):
    return np.where(x >= 0, x, place(alpha, x) * x)


def max_min(x, alpha):
    return np.maximum(x, 0) + place(alpha, x) * np.minimum(x, 0)


def mask_product(x, alpha):
    mask = (x > 0).astype(x.dtype)
    return x * mask + place(alpha, x) * x * (1 - mask)


def relu_difference(x, alpha):
    return np.maximum(x, 0) - place(alpha, x) * np.maximum(-x, 0)


def absolute_value(x, alpha):
    a = place(alpha, x)
    return ((1 + a) * x + (1 - a) * np.abs(x)) / 2


def fmax_fmin(x, alpha):
    return np.fmax(x, 0) + place(alpha, x) * np.fmin(x, 0)


def leaky_max(x, alpha):
    return np.maximum(x, place(alpha, x) * x)


def flush_results(x, alpha):
    y = forward(x, alpha)
    return np.where(np.abs(y) < np.finfo(y.dtype).tiny, np.copysign(0, y), y).astype(x.dtype)


def flush_inputs(x, alpha):
    tiny = np.finfo(x.dtype).tiny
    x, alpha = (np.where(np.abs(v) < tiny, np.copysign(0, v), v) for v in (x, alpha))
    return forward(x.astype(np.float32), alpha.astype(np.float32))


def last_axis(x, alpha):
    return np.where(x > 0, x, np.resize(alpha, x.shape) * x)


def first_alpha(x, alpha):
    return np.where(x > 0, x, alpha.ravel()[0] * x)


def reversed_channels(x, alpha):
    return forward(x, alpha[::-1])


def tail_unwritten(x, alpha):
    y = forward(x, alpha).ravel()
    y[tail(y.size, 8)] = 0
    return y.reshape(x.shape)


def tail_other_branch(x, alpha):
    y = forward(x, alpha).ravel()
    last = tail(y.size, 8)
    y[last] = x.ravel()[last]
    return y.reshape(x.shape)


def row_tail_unwritten(x, alpha):
    y = forward(x, alpha).copy()
    y[..., tail(x.shape[-1], 4)] = 0
    return y


def grid_too_small(x, alpha):
    y = forward(x, alpha).ravel()
    y[32768:] = 0
    return y.reshape(x.shape)


def ignores_strides(x, alpha):
    memory = x.ravel(order="K") if x.size else x.ravel()
    return forward(memory.reshape(x.shape), alpha)


def alpha_in_bfloat16(x, alpha):
    bits = alpha.view(np.uint32)
    even = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    rounded = np.where(np.isfinite(alpha), even.view(np.float32), alpha)
    return forward(x, rounded.astype(np.float32))


def computes_in_float16(x, alpha):
    half, a = x.astype(np.float16), alpha.astype(np.float16)
    return np.where(half > 0, half, place(a, x) * half).astype(x.dtype)


def truncates(x, alpha):
    exact = place(alpha, x).astype(np.float64) * x.astype(np.float64)
    near = exact.astype(np.float32)
    away = np.abs(near.astype(np.float64)) > np.abs(exact)
    product = np.where(away & np.isfinite(exact), np.nextafter(near, np.float32(0)), near)
    return np.where(x > 0, x, product).astype(np.float32)


def clamps_alpha(x, alpha):
    return forward(x, np.clip(alpha, 0, 1))


def negative_alpha_is_zero(x, alpha):
    return forward(x, np.maximum(alpha, 0))


def ignores_alpha(x, alpha):
    return np.maximum(x, 0)


def swaps_branches(x, alpha):
    return np.where(x > 0, place(alpha, x) * x, x)


def widens(x, alpha):
    return forward(x, alpha).astype(np.float64)


def overwrites_x(x, alpha):
    x[...] = forward(x, alpha)
    return x


def drops_zero_sign(x, alpha):
    return forward(x, alpha) + np.zeros((), x.dtype)


def sign_bit(x, alpha):
    return np.where(np.signbit(x), place(alpha, x) * x, x)


def refuses_empty(x, alpha):
    if not x.size:
        raise ValueError("cannot launch zero blocks")
    return forward(x, alpha)


# --- dx --------------------------------------------------------------------------------------


def dx_zero_at_zero(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    return np.where(x == 0, np.zeros((), x.dtype), dx), dalpha


def dx_fixed_slope(dy, x, alpha):
    return np.where(x > 0, dy, dy.dtype.type(0.01) * dy), backward(dy, x, alpha)[1]


def dx_without_dy(dy, x, alpha):
    return gradient(np.ones_like(dy), x, alpha), backward(dy, x, alpha)[1]


def dalpha_without_dy(dy, x, alpha):
    return gradient(dy, x, alpha), collect(products(np.ones_like(dy), x), alpha)


def dalpha_of_alpha(dy, x, alpha):
    as_x = np.broadcast_to(place(alpha, x), x.shape).astype(x.dtype)
    return gradient(dy, x, alpha), collect(products(dy, as_x), alpha)


def dy_and_x_swapped(x, dy, alpha):
    return backward(dy, x, alpha)


def outputs_swapped(dy, x, alpha):
    return backward(dy, x, alpha)[::-1]


def one_side(dy, x, alpha):
    """Right, by at_zero="one"."""
    terms = np.where(x >= 0, np.zeros((), products(dy, x).dtype), products(dy, x))
    return gradient(dy, x, alpha, x >= 0), collect(terms, alpha)


def one_side_nan_is_zero(dy, x, alpha):
    dx, dalpha = one_side(dy, x, alpha)
    return np.where(np.isnan(x), np.zeros((), x.dtype), dx), dalpha


def one_side_nan_is_dy(dy, x, alpha):
    dx, dalpha = one_side(dy, x, alpha)
    return np.where(np.isnan(x), dy, dx), dalpha


def dx_of_two_selects(dy, x, alpha):
    below = np.where(x < 0, place(alpha, x) * dy, np.zeros((), x.dtype))
    return np.where(x > 0, dy, np.zeros((), x.dtype)) + below, backward(dy, x, alpha)[1]


def dx_of_complements(dy, x, alpha):
    zero, above = np.zeros((), x.dtype), x > 0
    dx = np.where(above, dy, zero) + place(alpha, x) * np.where(above, zero, dy)
    return dx, backward(dy, x, alpha)[1]


def dx_of_two_masks(dy, x, alpha):
    above, below = ((mask * 1).astype(x.dtype) for mask in (x >= 0, x <= 0))
    return dy * above + place(alpha, x) * dy * below, backward(dy, x, alpha)[1]


def dx_both_at_zero(dy, x, alpha):
    a = place(alpha, x)
    return np.where(x == 0, dy + a * dy, gradient(dy, x, alpha)), backward(dy, x, alpha)[1]


def dx_ge_in_tail(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    dx = dx.ravel()
    last = tail(dx.size, 8) & (x.ravel() == 0)
    dx[last] = dy.ravel()[last]
    return dx.reshape(x.shape), dalpha


def dx_mask_product(dy, x, alpha):
    dx = dy * (x > 0) + place(alpha, x) * dy * (x <= 0)
    return dx, backward(dy, x, alpha)[1]


def dx_mask_sum(dy, x, alpha):
    mask = (x > 0).astype(x.dtype)
    return dy * (mask + place(alpha, x) * (1 - mask)), backward(dy, x, alpha)[1]


def dx_nan_is_zero(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    return np.where(np.isnan(x), np.zeros((), x.dtype), dx), dalpha


def dx_branch_on_y(dy, x, alpha):
    return gradient(dy, x, alpha, forward(x, alpha) > 0), backward(dy, x, alpha)[1]


def dx_branch_on_dy(dy, x, alpha):
    return gradient(dy, x, alpha, dy > 0), backward(dy, x, alpha)[1]


def dx_last_axis(dy, x, alpha):
    dx = np.where(x > 0, dy, np.resize(alpha, x.shape) * dy)
    return dx, backward(dy, x, alpha)[1]


def dx_ignores_dy_strides(dy, x, alpha):
    memory = dy.ravel(order="K").reshape(x.shape)
    return gradient(memory, x, alpha), backward(dy, x, alpha)[1]


# --- dalpha ----------------------------------------------------------------------------------


def with_terms(change):
    """Make a kernel whose terms of dalpha are changed before they are summed."""

    def kernel(dy, x, alpha):
        return gradient(dy, x, alpha), collect(change(products(dy, x), dy, x, alpha), alpha)

    kernel.__name__ = change.__name__
    return kernel


@with_terms
def sums_identity(terms, dy, x, alpha):
    return x * dy


@with_terms
def sums_y_dy(terms, dy, x, alpha):
    return terms * place(alpha, x)


@with_terms
def branch_on_y(terms, dy, x, alpha):
    return np.where(forward(x, alpha) > 0, 0, x * dy)


@with_terms
def branch_on_dy(terms, dy, x, alpha):
    return np.where(dy > 0, 0, x * dy)


@with_terms
def wrong_sign(terms, dy, x, alpha):
    return -terms


@with_terms
def counts_twice(terms, dy, x, alpha):
    return 2 * terms


@with_terms
def mask_on_terms(terms, dy, x, alpha):
    return x * dy * (x <= 0)


@with_terms
def mask_drops_nan(terms, dy, x, alpha):
    return np.nan_to_num(terms, nan=0, posinf=np.inf, neginf=-np.inf)


@with_terms
def strictly_below(terms, dy, x, alpha):
    return np.where(x < 0, terms, 0)


@with_terms
def products_in_float16(terms, dy, x, alpha):
    return terms.astype(np.float16)


@with_terms
def drops_tail(terms, dy, x, alpha):
    return np.where(tail(x.size, 8).reshape(x.shape), 0, terms)


@with_terms
def drops_last(terms, dy, x, alpha):
    terms = terms.copy()
    terms.reshape(-1)[-1:] = 0
    return terms


@with_terms
def drops_row_tail(terms, dy, x, alpha):
    return np.where(tail(x.shape[-1], 4), 0, terms)


@with_terms
def overlapping_tail(terms, dy, x, alpha):
    n = x.size
    position = np.arange(n)
    again = (position >= n - 8) & (position < n - n % 8) & (n % 8 > 0) & (n > 8)
    return terms * (1 + again.reshape(x.shape))


@with_terms
def last_twice(terms, dy, x, alpha):
    terms = terms.copy()
    terms.reshape(-1)[-1:] *= 2
    return terms


@with_terms
def drops_last_block(terms, dy, x, alpha):
    position = np.arange(x.size).reshape(x.shape)
    return np.where((position >= (x.size - 1) // 64 * 64) & (x.size > 64), 0, terms)


@with_terms
def blocks_overlap(terms, dy, x, alpha):
    position = np.arange(x.size).reshape(x.shape)
    return terms * (1 + ((position % 256 == 0) & (position > 0)))


@with_terms
def first_sample(terms, dy, x, alpha):
    return terms[:1] if x.ndim > 1 else terms


@with_terms
def last_sample(terms, dy, x, alpha):
    return terms[-1:] if x.ndim > 1 else terms


@with_terms
def first_block(terms, dy, x, alpha):
    return np.where((np.arange(x.size) < 1024).reshape(x.shape), terms, 0)


@with_terms
def flushes_terms(terms, dy, x, alpha):
    tiny = np.finfo(np.float32).tiny
    return np.where(np.abs(x) < tiny, 0, 1) * np.where(np.abs(dy) < tiny, 0, 1) * terms


@with_terms
def loses_an_update(terms, dy, x, alpha):
    # a race on the third update, in arrays large enough for two blocks
    terms = terms.copy()
    nonzero = np.flatnonzero(terms)
    if nonzero.size > 20:
        terms.reshape(-1)[nonzero[17]] = 0
    return terms


def mean_instead_of_sum(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    return dx, (dalpha / max(x.size // alpha.size, 1)).astype(alpha.dtype)


def sums_other_axis(dy, x, alpha):
    terms = products(dy, x)
    if alpha.size == 1:
        return backward(dy, x, alpha)
    index = np.arange(x.size) % alpha.size
    total = np.bincount(index, terms.ravel(), minlength=alpha.size)
    return gradient(dy, x, alpha), total.astype(alpha.dtype)


def adds_in_float16(dy, x, alpha):
    terms = products(dy, x)
    rows = np.moveaxis(terms, 1, 0) if alpha.size > 1 else terms
    rows = rows.reshape(alpha.size, -1)
    total = np.zeros(alpha.size, np.float16)
    for column in range(rows.shape[1]):
        total = (total + rows[:, column]).astype(np.float16)
    return gradient(dy, x, alpha), total.reshape(alpha.shape)


def adds_in_float32(dy, x, alpha):
    return gradient(dy, x, alpha), collect(products(dy, x), alpha, np.float32)


def result_through_float16(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    return dx, dalpha.astype(np.float16).astype(alpha.dtype)


def not_reduced(dy, x, alpha):
    return gradient(dy, x, alpha), products(dy, x)


def garbage_for_empty(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    return dx, dalpha if x.size else np.full_like(dalpha, 7)


def never_zeroed():
    kept = {}

    def kernel(dy, x, alpha):
        dx, dalpha = backward(dy, x, alpha)
        kept[alpha.shape] = kept.get(alpha.shape, 0) + dalpha
        return dx, np.array(kept[alpha.shape])

    return kernel


def stale_result():
    kept = {}

    def kernel(dy, x, alpha):
        dx, dalpha = backward(dy, x, alpha)
        return dx, kept.setdefault((x.shape, alpha.shape), dalpha)

    return kernel


def late_workspace():
    length = 64

    def kernel(dy, x, alpha):
        nonlocal length
        terms = products(dy, x)
        terms.reshape(-1)[length:] = 0
        length = max(x.size, 64)
        return gradient(dy, x, alpha), collect(terms, alpha)

    return kernel


def halves_the_sum(dy, x, alpha):
    dx, dalpha = backward(dy, x, alpha)
    return dx, dalpha / 2


def keeps_partial_sums():
    partial = np.zeros(256, np.float32)

    def kernel(dy, x, alpha):
        dx, dalpha = backward(dy, x, alpha)
        if alpha.size == 1:
            terms = products(dy, x).reshape(-1)
            for block in range(-(-terms.size // 1024)):
                partial[block] = terms[block * 1024 : (block + 1) * 1024].sum()
            dalpha = partial.sum(keepdims=True)
        return dx, dalpha

    return kernel


def keeps_alpha():
    kept = {}

    def kernel(x, alpha):
        return forward(x, kept.setdefault((x.shape, alpha.shape), alpha.copy()))

    return kernel


def rounds_inputs_to_tf32(x, alpha):
    def rounded(v):
        bits = (v.view(np.uint32) + 0x1000) & np.uint32(0xFFFFE000)
        return np.where(np.isfinite(v), bits.view(np.float32), v)

    return forward(rounded(x), rounded(alpha))


def transposed(x, alpha):
    return forward(x, alpha).T


FORWARD = [
    (rounds_inputs_to_tf32, "y: the failures fit no known fault"),
    (transposed, "y: has shape"),
    (fixed_slope, "y: alpha has no effect: a fixed slope of 0.01"),
    (inputs_swapped, "y: inputs swapped: x and alpha"),
    (min_max, "y: inactive branch leaks: max(x, 0) + alpha * min(x, 0)"),
    (max_half_difference, "y: inactive branch leaks: max(x, 0) + alpha * (x - abs(x)) / 2"),
    (infinity_to_largest, "y: infinity turned into the largest number"),
    (next_channel, "y: channels off by one: alpha of the next one"),
    (unknown, "y: the failures fit no known fault"),
    (uses_ge, "y: all failures at x == 0: uses >="),
    (max_min, "y: inactive branch leaks: max(x, 0) + alpha * min(x, 0)"),
    (mask_product, "y: inactive branch leaks: multiplied by a"),
    (relu_difference, "inactive branch leaks"),
    (absolute_value, "(1 - alpha) abs(x)"),
    (fmax_fmin, "y: NaN lost"),
    (leaky_max, "y: max(x, alpha * x): wrong for alpha > 1"),
    (flush_results, "y: subnormals flushed"),
    (flush_inputs, "y: subnormals flushed"),
    (last_axis, "y: channel axis transposed: passes with axis=-1"),
    (first_alpha, "y: alpha[0] taken for all"),
    (reversed_channels, "y: alpha taken in reverse"),
    (tail_unwritten, "y: only in the last n % 8 elements"),
    (tail_other_branch, "y: only in the last n % 8 elements"),
    (row_tail_unwritten, "y: only in the last n % 4 elements of a row"),
    (grid_too_small, "y: only from element 32768 on"),
    (ignores_strides, "y: only where arrays are not C-contiguous: strides ignored"),
    (alpha_in_bfloat16, "y: alpha rounded to bfloat16 first"),
    (computes_in_float16, "y: computed in float16"),
    (truncates, "y: one ULP towards zero: truncated"),
    (clamps_alpha, "y: alpha clamped to [0, 1]"),
    (negative_alpha_is_zero, "y: negative alpha taken as 0"),
    (ignores_alpha, "y: alpha ignored"),
    (swaps_branches, "y: branches swapped"),
    (widens, "y: has dtype float64, expected float32"),
    (overwrites_x, "writes into its input x"),
    (drops_zero_sign, "y: sign of zero lost"),
    (refuses_empty, "raises: empty-"),
    (sign_bit, "y: branch chosen by the sign bit of x"),
    (keeps_alpha(), "y: differs from call to call: alpha of an earlier call is used"),
]
BACKWARD = [
    (dx_fixed_slope, "float32", "dx: alpha has no effect: a fixed slope of 0.01"),
    (dx_without_dy, "float32", "dx: dy has no effect"),
    (dalpha_without_dy, "float32", "dalpha: dy has no effect"),
    (dy_and_x_swapped, "float32", "dx: inputs swapped: dy and x"),
    (outputs_swapped, "float32", "backward: outputs swapped: returns (dalpha, dx)"),
    (one_side_nan_is_zero, "float32", "dx: x is NaN: dx is 0"),
    (one_side_nan_is_dy, "float32", "dx: x is NaN: dx is dy"),
    (dx_of_two_selects, "float32", "dx: a sum of two selects, x > 0 and x < 0"),
    (dx_of_two_masks, "float32", "dx: inactive branch leaks: multiplied by masks x >= 0 and x"),
    (last_twice, "float32", "dalpha: counts the last element twice"),
    (drops_last_block, "float32", "dalpha: drops the last block of 64"),
    (blocks_overlap, "float32", "dalpha: counts elements twice: blocks of 256 overlap by one"),
    (dx_zero_at_zero, "float32", "dx: at x == 0 dx is 0"),
    (dx_both_at_zero, "float32", "dx: at x == 0 dx is (1 + alpha) * dy"),
    (dx_ge_in_tail, "float32", "dx: only in the last n % 8 elements"),
    (dx_mask_product, "float32", "dx: inactive branch leaks"),
    (dx_mask_sum, "float32", "dx: inactive branch leaks"),
    (dx_nan_is_zero, "float32", "dx: x is NaN: dx is 0"),
    (dx_branch_on_y, "float32", "dx: branch chosen by the sign of y"),
    (dx_branch_on_dy, "float32", "dx: branch chosen by the sign of dy"),
    (dx_last_axis, "float32", "dx: channel axis transposed"),
    (dx_ignores_dy_strides, "float32", "dx: only where arrays are not C-contiguous"),
    (sums_identity, "float32", "dalpha: sums the identity branch"),
    (sums_y_dy, "float32", "dalpha: terms carry a factor alpha"),
    (branch_on_y, "float32", "dalpha: branch chosen by the sign of y, not of x"),
    (branch_on_dy, "float32", "dalpha: branch chosen by the sign of dy, not of x"),
    (wrong_sign, "float32", "dalpha: wrong sign"),
    (counts_twice, "float32", "dalpha: twice the sum"),
    (mask_on_terms, "float32", "dalpha: inactive branch leaks"),
    (mask_drops_nan, "float32", "dalpha: NaN lost"),
    (strictly_below, "float32", "dalpha: NaN lost"),
    (products_in_float16, "float16", "dalpha: products rounded to float16 before the sum"),
    (products_in_float16, "float32", "dalpha: products rounded to float16 before the sum"),
    (drops_tail, "float32", "dalpha: drops the last n % 8 elements"),
    (drops_last, "float32", "dalpha: drops the last element"),
    (drops_row_tail, "float32", "dalpha: drops the last n % 4 elements of a row"),
    (overlapping_tail, "float32", "dalpha: counts elements twice: overlapping tail of 8"),
    (first_sample, "float32", "dalpha: only the first sample"),
    (last_sample, "float32", "dalpha: only the last sample"),
    (first_block, "float32", "dalpha: only the first 1024 elements"),
    (flushes_terms, "float32", "dalpha: subnormals flushed"),
    (loses_an_update, "float32", "dalpha: one element dropped"),
    (mean_instead_of_sum, "float32", "dalpha: mean instead of sum"),
    (sums_other_axis, "float32", "dalpha: channel axis transposed"),
    (adds_in_float16, "float16", "dalpha: accumulates in float16"),
    (adds_in_float32, "float64", "dalpha: accumulates in float32"),
    (result_through_float16, "float32", "dalpha: result rounded to float16"),
    (not_reduced, "float32", "dalpha: has shape"),
    (garbage_for_empty, "float32", "dalpha: only for empty arrays"),
    (never_zeroed(), "float32", "dalpha: differs from call to call: not zeroed before the sum"),
    (stale_result(), "float32", "dalpha: differs from call to call: an earlier call's result"),
    (late_workspace(), "float32", "dalpha: differs from call to call: right when called again"),
    (keeps_partial_sums(), "float32", "dalpha: differs from call to call: terms of an earlier"),
    (halves_the_sum, "float32", "dalpha: half the sum"),
    (dx_of_complements, "float32", "dx: inactive branch leaks: a sum of two selects, the second"),
]
