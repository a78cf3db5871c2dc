"""Plans of walk.cu: dalpha or states, with dx or the cotangents of the second order."""

from __future__ import annotations

from math import isqrt, lcm, prod
from struct import pack
from typing import NamedTuple

from .plan import BLOCK, OUT, SIZES, Case, Ints, Launch, Plan, ceil, dense, head, index, packs

LIMBS = {"f16": 5 + 3, "bf16": 19 + 3, "f32": 20 + 3, "f64": 134 + 3}  # as in numbers.cu
BLOCKS_PER_SM = 4  # what runs beside each other: one wave
ONE_LEVEL = 4096  # partial sums that one block adds; of more, a few blocks add some each before
STEPS = 2  # of a small array's blocks: fewer would leave more partial sums than they save time
HERE_BELOW = 1 << 20  # elements of x up to which a block sums the alphas in doubt itself
WIDE = 64  # alphas beside each other from which on the partial sums of a block are many
LONG = 32  # vectors of a run from which on a block has one alpha
SHORT = 4  # steps up to which a block takes several spans
SPANS = 8  # how many at most


class Device(NamedTuple):
    """What plans ask of a device: multiprocessors, and whether it has few units for double."""

    multiprocessors: int
    scarce: bool


class _Form(NamedTuple):
    """x as slabs; `wrap`: a slab is a run of one alpha. Fields as in prelu_walk."""

    slabs: int
    far: int
    rows: int  # a slab's outer rows
    jump: int
    slab: int
    alphas: int
    inner: int
    wrap: bool


def _form(lengths: Ints, kept: list[int], vector: int) -> tuple[_Form, int] | None:
    """Return the form of dense memory, and a vector that fits it."""
    if not kept:
        return _Form(1, 0, 1, lengths[0], lengths[0], 1, vector, False), vector
    if len(kept) > 2:
        return None
    first, last = kept[0], kept[-1]
    inner = prod(lengths[last + 1 :])
    middle, alphas = prod(lengths[first + 1 : last]), lengths[last]
    if len(kept) == 1:
        slabs, outer, middle = 1, 1, prod(lengths[:first])
    else:
        slabs, outer = lengths[first], prod(lengths[:first])
    far = middle * alphas * inner
    rows, jump = (middle, alphas * inner) if outer == 1 else (outer, slabs * alphas * inner)
    while vector:
        fits = far % vector == 0 or slabs * outer == 1
        wraps = inner >= LONG * vector and inner % vector == 0 and (outer == 1 or middle == 1)
        flat = _beside(alphas, inner, vector) or (
            alphas * inner % vector == 0 and lcm(inner, vector) <= BLOCK * vector
        )
        if fits and wraps and (not flat or rows * inner >= 8 * BLOCK * vector):
            return _Form(slabs, far, rows, jump, inner, alphas, inner, True), vector
        if fits and flat:
            return _Form(slabs, far, outer, slabs * far, far, alphas, inner, False), vector
        vector //= 2
    return None


def _beside(alphas: int, inner: int, vector: int) -> bool:
    """Whether one block has whole periods, and not so many alphas that partial sums count."""
    period = alphas * inner
    most = WIDE if period % vector == 0 else 4 * WIDE  # spans of others take shorter vectors
    return lcm(period, vector) <= BLOCK * vector and alphas <= most


def _chunks(places: int, steps: int, want: int) -> int:
    """Return how many blocks share a place, so that few multiprocessors wait for the last ones."""

    def filled(chunks: int) -> float:
        waves = places * chunks / want
        return waves / -(-waves // 1)

    first = 1 if steps <= 2 * STEPS else min(max(1, want // places), ceil(steps, STEPS))
    options = range(first, max(first, min(8 * first, steps // 16)) + 1)
    return next((c for c in options if filled(c) > 0.93), max(options, key=filled))


def walk(case: Case, device: Device) -> Plan | None:
    """Plan dalpha or states, and in the same pass dx or the cotangents, if they have memory.

    None where memory is not dense, or alpha lies along more than two runs of axes.
    """
    view = dense(case)
    if view is None:
        return None
    lengths, a, d, vector = view
    x, alpha, states, second = case.x, case.alpha, case.states, case.second
    kept = [k for k, s in enumerate(d) if s != 0]
    n = prod(lengths)
    levels = 3 if states and x == "f64" else 2 if states or alpha == "f64" else 1
    found = _form(lengths, kept, vector)
    if found is None:
        return None
    f, vector = found
    integer = index(2 * n + 2**16)
    far = integer != "int"  # indices take two registers
    if f.inner % vector:  # a sum for each element, of which registers and shared memory hold few
        room = 2 if second and x == "f32" else 4 if second or levels > 1 or far else vector
        f, vector = _form(lengths, kept, min(vector, room)) or found
    period, same = f.alphas * f.inner, f.inner % vector == 0
    want = BLOCKS_PER_SM * device.multiprocessors
    rows = 1
    if f.wrap:
        spans, width, beside, count, whole = f.alphas, BLOCK, f.inner, 1, BLOCK * vector
        periods, entries = 1, BLOCK
    else:
        unit = lcm(period, vector)
        if _beside(f.alphas, f.inner, vector):
            whole = min(BLOCK * vector // unit, ceil(f.slab, unit)) * unit
            spans, width, beside, count, periods = 1, whole // vector, 0, f.alphas, whole // period
        else:
            unit = lcm(f.inner, vector)
            width = BLOCK * vector // unit * unit
            if ceil(period, width) * f.slabs < want and width // f.inner > WIDE:
                width = ceil(32 * vector, unit) * unit
            width = min(width, ceil(period, unit) * unit)
            rows = max(1, min(BLOCK * vector // width, f.slab // period))
            spans, beside, count = ceil(period, width), width, width // f.inner
            whole, periods, width = rows * period, rows, width // vector
        entries = f.inner // vector if same else f.inner
    total = f.rows * f.slab
    steps, step = ceil(total, whole), whole % f.slab
    stride = whole // f.slab * f.jump + step
    places = f.slabs * spans
    chunks = _chunks(places, steps, want)
    chunk = ceil(steps, chunks)
    chunks = ceil(steps, chunk)
    tail = int(not f.wrap and f.slab % vector > 0)
    one_term = n == f.slabs * f.alphas and not states and bool(kept)
    per_block = 1
    one_stride = rows == 1 and (f.rows == 1 or f.slab == period)
    if chunks == 1 and steps <= SHORT and spans > 1 and one_stride and not (f.wrap or one_term):
        size = BLOCK * (9 / 8 if same else vector) * 8 * (levels + 1)
        per_block = max(1, min(SPANS, BLOCK // count, int((36 << 10) // size), places // want))
    groups = ceil(spans, per_block)
    fan = chunks if chunks * count <= ONE_LEVEL else isqrt(chunks) + 1
    fans = ceil(chunks, fan)
    here = n < HERE_BELOW or chunks == 1
    sizes = int(levels == 1 and x != "f64" and (SIZES[x] == 2 or device.scarce))
    lanes = vector
    if same:  # if steps are few, joining them takes longer than it saves
        one = steps <= SHORT or (far and levels > 1 and vector > 4)
        lanes = 1 if one else max(1, min(vector, 4) // (2 if levels > 1 or second else 1))
    a_far, d_far = (a[kept[0]], d[kept[0]]) if len(kept) == 2 else (0, 0)
    a_near, d_near = (a[kept[-1]], d[kept[-1]]) if kept else (0, 0)
    zeros = 2 + 2 * device.multiprocessors * (1 + LIMBS["f64"])
    words = pack(
        "19q15id",
        f.far, f.jump, f.slab, total, f.jump - f.slab, steps * stride, whole, step, stride, beside,
        period, a_far, a_near, d_far, d_near, n // (f.slabs * f.alphas), f.inner, f.alphas,
        1 if f.wrap else ceil(f.slab, period),
        f.slabs, spans, groups, width, rows, count, entries, periods, steps, chunk, chunks,
        fan, fans, tail, zeros,
        (chunk * (vector // lanes) + 3) * 2.0**-52,
    )  # fmt: skip
    common: dict[str, str | int] = {
        "BLOCK": BLOCK, "I": integer, "SECOND": int(second), "STATES": int(states),
        "LEVELS": levels, "SIZES": sizes, "VECTOR": vector,
    }  # fmt: skip
    packed = one_term and a_near == d_near == 1 and n % vector == 0
    packed = packed and packs(case, vector, a_far, d_far)
    own = head(
        x, alpha, **common, SAME=int(same), WRAP=int(f.wrap), SPANS=per_block, HERE=int(here),
        WANT_DX=int(case.strides[OUT] is not None), ONE_TERM=int(one_term), PACKED=int(packed),
        LANES=lanes, PREFETCH=int(per_block > 1 or (n < HERE_BELOW and (same or SIZES[x] > 2))),
    )  # fmt: skip
    launches = [Launch("walk", own, f.slabs * groups * chunks, words)]
    if not here:
        grid = 2 * device.multiprocessors
        launches.append(Launch("exact", head(x, alpha, **common), grid, words))
    alphas = f.slabs * f.alphas
    sums = 0 if one_term else alphas + (levels + 1) * alphas * (chunks + fans) * (chunks > 1)
    return Plan(tuple(launches), zeros + ceil(f.slabs * groups * (fans + 1), 2), sums)


def rounding(x: str, alpha: str, alphas: int) -> Launch:
    """Plan the kernel that rounds states of x's dtype."""
    return Launch("round", head(x, alpha, BLOCK=BLOCK), ceil(alphas, BLOCK), pack("q", alphas))
