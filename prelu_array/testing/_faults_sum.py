"""Known ways to get dalpha wrong: which terms a faulty kernel would have added."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._faults_select import WIDTHS, Hypothesis, other_places
from ._judge import Interval, Rules, Terms, dalpha_interval, equal, is_subnormal, make_terms
from ._numbers import (
    FORMATS,
    Exact,
    Format,
    format_of,
    multiply,
    round_to,
    round_to_dtype,
    take_apart,
)
from ._reference import above, reference_prelu
from ._verdict import Inputs, Verdict

Array = NDArray[Any]

# Of formats that explain the same the widest is named, because the first of equals wins.
_WIDEST_FIRST = sorted(FORMATS.values(), key=lambda held: -held.precision)

NOT_EXACT = "not an exact sum: small terms are lost beside large ones"
OTHER_SIDE = "takes the other side at x == 0"
# It has the same sum, and is the likelier fault only if dx is wrong too.
BY_SIGN_OF_DY = ("inputs swapped: dy and x", "branch chosen by the sign of dy, not of x")
# The difference is a term: right sums are no evidence against it.
SINGLE = ("one element dropped", "one element counted twice")


def sum_hypotheses(
    verdict: Verdict, at_zero: str, accumulator: Format | None, rules: Rules
) -> Iterator[Hypothesis]:
    """Compare dalpha with every known fault."""
    inputs, got = verdict.inputs, verdict.got
    active = ~np.ravel(above(inputs.x, at_zero))
    terms = inputs.terms()
    exact = accumulator is None

    def explains(these: Terms) -> Array:
        bounds = dalpha_interval(these, got.dtype, accumulator, flushed=_flushed(these, rules))
        return ~bounds.wrong(got, rules, exact=exact)

    # Mistakes of the caller come first, because the first of equals is named.
    x, dy, alpha = inputs.x, inputs.gradient, inputs.alpha_at
    for text, as_x, as_dy in (
        ("dy and x", dy, x),
        ("x and alpha", alpha, dy),
        ("dy and alpha", x, alpha),
    ):
        swapped = make_terms(as_dy, as_x, inputs.index, inputs.alpha.size)
        for side in ("alpha", "one"):
            below = swapped.pick(~np.ravel(above(as_x, side)))
            yield Hypothesis(f"inputs swapped: {text}", partial(explains, below))
    chosen = terms.pick(active)
    for text, part in (
        ("dy has no effect: sums x", chosen.x),
        ("x is missing: sums dy", chosen.dy),
    ):
        alone = chosen._replace(values=take_apart(part))
        yield Hypothesis(text, partial(explains, alone))
    y = reference_prelu(x, alpha, axis=None)
    by_y = terms.pick(~np.ravel(above(y, at_zero)))
    yield Hypothesis("branch chosen by the sign of y, not of x", partial(explains, by_y))
    other = terms.pick(active ^ np.ravel(take_apart(inputs.x).zero))
    # the first of equals: 0 * inf gives this fault the marks of a leak, or of a NaN that was lost
    yield Hypothesis(OTHER_SIDE, partial(explains, other))
    for text, mark in _specials(verdict, terms, active):
        yield Hypothesis(text, partial(_itself, verdict.wrong & mark), predicts=False)
    far = np.ones(got.shape, dtype=bool)  # further off than a float64 sum can be
    if exact:
        far = dalpha_interval(chosen, got.dtype, FORMATS["float64"]).wrong(got, rules, exact=False)
        zero = take_apart(got).zero & take_apart(verdict.expected).zero
        near = partial(_itself, verdict.wrong & ~far & ~zero)
        yield Hypothesis(NOT_EXACT, near, predicts=False)
    for text, hit in _single_terms(verdict, chosen, accumulator, rules):
        yield Hypothesis(text, partial(_itself, hit & far), predicts=False)
    for text, agrees in _predictions(verdict, active, accumulator, rules):
        yield Hypothesis(text, agrees)


def _flushed(terms: Terms, rules: Rules) -> Terms | None:
    return None if rules.subnormals else terms.pick(np.zeros(terms.group.size, dtype=bool))


def _predictions(
    verdict: Verdict, active: Array, accumulator: Format | None, rules: Rules
) -> Iterator[tuple[str, Callable[[], Array]]]:
    inputs, got = verdict.inputs, verdict.got
    terms = inputs.terms()
    exact = accumulator is None

    def interval(these: Terms, held: Format | None = accumulator) -> Interval:
        return dalpha_interval(these, got.dtype, held, flushed=_flushed(these, rules))

    def explains(these: Terms, held: Format | None = accumulator) -> Array:
        return ~interval(these, held).wrong(got, rules, exact=exact)

    chosen = terms.pick(active)
    yield "sums the identity branch as well", partial(explains, terms)
    yield "the identity branch alone", partial(explains, terms.pick(~active))
    minus = chosen.values._replace(negative=~chosen.values.negative)
    yield "wrong sign", partial(explains, chosen._replace(values=minus))
    twice = chosen.pick(np.repeat(np.arange(chosen.group.size), 2))
    yield "twice the sum", partial(explains, twice)
    half = chosen.values._replace(exponent=chosen.values.exponent - 1)
    overflown = take_apart(verdict.expected).inf & ~verdict.wrong
    yield "half the sum", lambda: explains(chosen._replace(values=half)) | overflown
    for values in _factors(inputs, terms, active):
        yield (
            "terms carry a factor alpha: y * dy in place of x * dy",
            partial(explains, terms._replace(values=values)),
        )
    yield "mean instead of sum", lambda: _means(verdict, interval(chosen))
    known: dict[bytes, Callable[[], Array]] = {}
    for text, times in _stretches(inputs.x.shape):
        # short arrays have the same tail for many widths
        key = (times := times * active).astype(np.int8).tobytes()
        if key not in known:
            counted = terms.pick(np.repeat(np.arange(times.size), times))
            known[key] = cache(partial(explains, counted))
        yield text, known[key]
    for text, index in other_places(inputs):
        yield text, partial(explains, chosen._replace(group=np.ravel(index)[active]))
    for held in _WIDEST_FIRST:
        if held.precision < format_of(inputs.x.dtype).precision * 2:
            rounded = _rounded(chosen.values, held)
            yield (
                f"products rounded to {held.name} before the sum",
                partial(explains, chosen._replace(values=rounded)),
            )
    bounds = interval(chosen)
    final = format_of(got.dtype)
    for held in _WIDEST_FIRST:
        if held is not final and (held.precision < final.precision or exact):
            low, high = (_rounded(part, held) for part in (bounds.low, bounds.high))
            same = ~bounds._replace(low=low, high=high).wrong(got, rules, exact=exact)
            if held.precision < final.precision:
                yield f"result rounded to {held.name} on the way", partial(_itself, same)
            else:
                yield f"an exact sum rounded twice: to {held.name} first", partial(_itself, same)
    for held in _WIDEST_FIRST:
        if accumulator is None or held.precision < accumulator.precision:
            narrow = partial(explains, _in_format(chosen, held), held)
            yield f"accumulates in {held.name}", narrow


def _itself(agrees: Array) -> Array:
    return agrees


def _factors(inputs: Inputs, terms: Terms, active: Array) -> Iterator[Exact]:
    """Terms alpha * x * dy by the ways to round them; the identity branch gives 0 or 0 * alpha."""
    compute = FORMATS["float64" if inputs.x.dtype.name == "float64" else "float32"]
    alphas = take_apart(inputs.alpha.reshape(-1)[terms.group])
    x, dy = take_apart(terms.x), take_apart(terms.dy)

    def zeroed(values: Exact) -> Exact:
        digits = np.where(active, values.digits, 0)
        return values._replace(digits=digits, nan=values.nan & active, inf=values.inf & active)

    first, second = _rounded(multiply(x, dy), compute), _rounded(multiply(x, alphas), compute)
    yield multiply(zeroed(first), alphas)
    yield zeroed(multiply(first, alphas))
    yield zeroed(multiply(second, dy))
    yield zeroed(multiply(multiply(x, dy), alphas))


def _in_format(terms: Terms, held: Format) -> Terms:
    """Terms in an accumulator that may be too narrow for the data."""
    if held.precision >= format_of(terms.x.dtype).precision:
        return terms
    return terms._replace(values=_rounded(terms.values, held))


def _rounded(values: Exact, held: Format) -> Exact:
    bits = round_to(values, held)
    if held.name == "bfloat16":  # the upper half of a float32, so that no other package is needed
        return take_apart((bits.astype(np.uint32) << np.uint32(16)).view(np.float32))
    return take_apart(bits.view(held.name))


def _specials(verdict: Verdict, terms: Terms, active: Array) -> Iterator[tuple[str, Array]]:
    """Faults that show as NaN, inf or zero."""
    inputs = verdict.inputs
    g, e = take_apart(verdict.got), take_apart(verdict.expected)

    def any_in_group(marked: Array) -> Array:
        counts = np.bincount(terms.group[marked], minlength=inputs.alpha.size)
        return (counts > 0).reshape(verdict.wrong.shape)

    x, dy = take_apart(terms.x), take_apart(terms.dy)
    nonfinite = x.nan | x.inf | dy.nan | dy.inf | terms.values.inf
    # A finite product that overflows x's format is inf for a kernel that multiplies in x's format.
    huge = take_apart(round_to_dtype(terms.values, inputs.x.dtype)).inf
    leak = any_in_group(~active & (nonfinite | huge))
    yield "inactive branch leaks", g.nan & ~e.nan & leak
    yield "NaN lost", e.nan & ~g.nan
    tiny = any_in_group(is_subnormal(terms.x) | is_subnormal(terms.dy))
    tiny |= is_subnormal(verdict.expected)
    yield "subnormals flushed to zero", (g.zero | g.nan) & tiny
    empty = ~any_in_group(np.ones(active.size, dtype=bool))
    yield "not zero for an empty sum", empty
    yield "-0 for an exact zero", g.zero & g.negative & e.zero
    yield "NaN where an infinity is expected", e.inf & g.nan
    yield "inf lost", e.inf & ~g.inf & ~g.nan
    yield "left at 0", g.zero


def _means(verdict: Verdict, bounds: Interval) -> Array:
    inputs = verdict.inputs
    counts = np.bincount(np.ravel(inputs.index), minlength=inputs.alpha.size)
    double = np.dtype(np.float64)
    fmt = format_of(verdict.got.dtype)
    got, low, high = (
        part.astype(double).ravel()
        for part in (
            verdict.got,
            round_to_dtype(bounds.low, double),
            round_to_dtype(bounds.high, double),
        )
    )
    explained = np.zeros(got.shape, dtype=bool)
    batch = inputs.x.shape[0] if inputs.x.ndim else 1
    for divisor in (counts, np.full_like(counts, batch), np.full_like(counts, inputs.x.size)):
        # the quotient is rounded twice at most
        slack = np.abs(got) * 2.0 ** (2 - fmt.precision) + 2.0**fmt.last_exponent
        near = (got >= low / divisor - slack) & (got <= high / divisor + slack)
        explained |= (divisor > 0) & near
    special = bounds.total.nan | bounds.total.inf
    alike = equal(np.ravel(verdict.got), np.ravel(verdict.expected), Rules())
    explained |= ~bounds.judged | (special & alike)
    return explained.reshape(verdict.got.shape)


def _stretches(shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Whole ranges left out or counted twice: how often each element of x is counted."""
    n = math.prod(shape)
    if not n:
        return
    flat = np.arange(n)
    row = flat % shape[-1] if shape else flat
    for where, position, length in (("", flat, n), (" of a row", row, row.max() + 1)):
        for width in WIDTHS:
            tail = length % width
            kept = position < length - tail
            if tail:
                yield f"drops the last n % {width} elements{where}", kept * 1
                twice = f"counts elements twice: the last n % {width}{where}"
                yield twice, 1 + ~kept
            if tail and length > width:
                again = (position >= length - width) & kept
                yield f"counts elements twice: overlapping tail of {width}{where}", 1 + again
        first, last = position == 0, position == length - 1
        yield f"drops the last element{where}", ~last * 1
        yield f"drops the first element{where}", ~first * 1
        yield f"counts the last element{where} twice", 1 + last
        yield f"counts the first element{where} twice", 1 + first
        yield f"every other element{where} dropped", (position + 1) % 2
        yield f"only the last element{where} kept: overwritten, not added", last * 1
        yield f"only the first element{where} kept", first * 1
    if len(shape) > 1:
        sample = flat // (n // shape[0])
        yield "only the first sample summed", (sample == 0) * 1
        last = sample == shape[0] - 1
        yield "only the last sample summed: overwritten, not added", last * 1
        yield "drops the first sample", (sample > 0) * 1
        yield "drops the last sample", ~last * 1
        yield "counts the first sample twice", 1 + (sample == 0)
        yield "counts the last sample twice", 1 + last
    for block in (32, 64, 128, 256, 512, 1024, 4096):
        if n > block:
            yield f"only the first {block} elements summed", (flat < block) * 1
            yield f"drops the first {block} elements", (flat >= block) * 1
            last = flat >= (n - 1) // block * block
            yield f"only the last block of {block} summed: overwritten, not added", last * 1
            yield f"drops the last block of {block}", ~last * 1
            first_of_block = (flat % block == 0) & (flat > 0)
            yield f"drops the first element of each block of {block}", ~first_of_block * 1
            shared = f"counts elements twice: blocks of {block} overlap by one"
            yield shared, 1 + first_of_block


def _single_terms(
    verdict: Verdict, chosen: Terms, accumulator: Format | None, rules: Rules
) -> Iterator[tuple[str, Array]]:
    """One term left out, or counted twice: the difference is that term."""
    double, dtype = np.dtype(np.float64), verdict.got.dtype
    bounds = dalpha_interval(chosen, dtype, accumulator, flushed=_flushed(chosen, rules))
    expected = round_to_dtype(bounds.total, double)
    with np.errstate(all="ignore"):
        slack = round_to_dtype(bounds.high, double) - expected
        slack += np.abs(expected) * 2.0 ** (1 - format_of(dtype).precision)
        missing = (expected - verdict.got.astype(np.float64).ravel())[chosen.group]
        term = round_to_dtype(chosen.values, double)
        for text, sign in zip(SINGLE, (1, -1), strict=True):
            near = np.abs(missing - sign * term) <= slack[chosen.group]
            hit = np.bincount(chosen.group[near], minlength=chosen.alphas) > 0
            yield text, hit.reshape(verdict.wrong.shape)
