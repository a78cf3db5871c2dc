"""PTX's arithmetic: functions of a machine, an instruction and lanes, which return the result."""

from __future__ import annotations

import numpy as np

from . import ieee


def _kind(i):
    text = i.parts[-1]
    if text == "pred":
        return np.dtype(bool)
    letter = {"u": "u", "b": "u", "s": "i", "f": "f"}[text[0]]
    return np.dtype(f"{letter}{int(text[1:]) // 8}")


def _rounding(i):
    return next((p for p in i.parts if p in ("rn", "rm", "rp", "rz")), "rn")


def _floats(function):
    """Flush what goes in and what comes out where the instruction says so."""

    def run(machine, i, lanes):
        operands = machine.operands(i, lanes, _kind(i))
        if "ftz" in i.parts:
            operands = [ieee.flush(v) for v in operands]
        result = function(i, *operands)
        return ieee.flush(result) if "ftz" in i.parts else result

    return run


def _either(of_floats, of_integers):
    def run(machine, i, lanes):
        chosen = of_floats if i.parts[-1][0] == "f" else of_integers
        return chosen(machine, i, lanes)

    return run


def _integers(function):
    return lambda machine, i, lanes: function(*machine.operands(i, lanes, _kind(i)))


def _add_floats(i, a, b):
    if a.dtype == np.float32 and _rounding(i) != "rn":
        raise NotImplementedError(i.text)
    return ieee.add(a, b, _rounding(i))


def _mul_floats(i, a, b):
    if a.dtype == np.float32 and _rounding(i) == "rp":
        return ieee.fma(a, b, np.zeros_like(a), "rp")
    if a.dtype == np.float32 and _rounding(i) != "rn":
        raise NotImplementedError(i.text)
    return ieee.multiply(a, b, _rounding(i))


def _fma_floats(i, a, b, c):
    return ieee.fma(a, b, c, _rounding(i))


def _sum(sign):
    """Add or subtract; with `cc` leave a carry or a borrow, which `addc` and `subc` take."""

    def run(machine, i, lanes):
        a, b = (v.view(f"u{v.itemsize}") for v in machine.operands(i, lanes, _kind(i)))
        carry = machine.carry[lanes] if i.parts[0][-1] == "c" else np.zeros(lanes.size, bool)
        partly = a + b if sign > 0 else a - b
        total = partly + carry if sign > 0 else partly - carry
        if "cc" in i.parts:
            wraps = np.less if sign > 0 else np.greater
            machine.carry[lanes] = wraps(partly, a) | wraps(total, partly)
        return total.view(_kind(i))

    return run


def _mul_integers(machine, i, lanes):
    dtype = _kind(i)
    a, b = machine.operands(i, lanes, dtype)[:2]
    if "wide" in i.parts:
        wide = f"{dtype.kind}{2 * dtype.itemsize}"
        return a.astype(wide) * b.astype(wide)
    if "hi" in i.parts:
        exact = [u * v >> 8 * dtype.itemsize for u, v in zip(a.tolist(), b.tolist(), strict=True)]
        return np.array(exact, dtype)
    return a * b


def _mad(machine, i, lanes):
    product = _mul_integers(machine, i, lanes)
    return product + machine._read(i.operands[3], product.dtype, lanes)


def _quotient(a, b):
    q = a // b
    if a.dtype.kind == "i":  # toward zero
        q = np.where((a - q * b != 0) & ((a < 0) != (b < 0)), q + 1, q)
    return q.astype(a.dtype)


def _shift(left):
    def run(machine, i, lanes):
        dtype = _kind(i)
        a = machine._read(i.operands[1], dtype, lanes)
        by = machine._read(i.operands[2], np.uint32, lanes)
        bits = 8 * dtype.itemsize
        some = np.minimum(by, bits - 1).astype(dtype)
        if left:
            return np.where(by >= bits, dtype.type(0), a << some)
        gone = a >> some if dtype.kind == "i" else np.zeros_like(a)
        return np.where(by >= bits, gone, a >> some)

    return run


def _bfi(machine, i, lanes):
    dtype = _kind(i)
    a, b = (machine._read(o, np.uint64, lanes) for o in i.operands[1:3])
    at, length = (machine._read(o, np.uint64, lanes) for o in i.operands[3:])
    mask = ((np.uint64(1) << length) - np.uint64(1)) << at
    return ((b & ~mask) | ((a << at) & mask)).astype(dtype)


def _clz(machine, i, lanes):
    dtype = _kind(i)
    values = machine._read(i.operands[1], dtype, lanes).tolist()
    return np.array([8 * dtype.itemsize - v.bit_length() for v in values], np.uint32)


def _popc(machine, i, lanes):
    values = machine._read(i.operands[1], _kind(i), lanes).tolist()
    return np.array([v.bit_count() for v in values], np.uint32)


def _prmt(machine, i, lanes):
    a, b, chosen = (machine._read(o, np.uint64, lanes) for o in i.operands[1:])
    both = b << np.uint64(32) | a
    result = np.zeros(lanes.size, np.uint64)
    for k in range(4):
        which = chosen >> np.uint64(4 * k) & np.uint64(15)
        if (which > 7).any():
            raise NotImplementedError(i.text)
        byte = both >> (which * np.uint64(8)) & np.uint64(255)
        result |= byte << np.uint64(8 * k)
    return result.astype(np.uint32)


ARITHMETIC = {
    "add": _either(_floats(_add_floats), _sum(+1)),
    "addc": _sum(+1),
    "sub": _either(_floats(lambda i, a, b: _add_floats(i, a, -b)), _sum(-1)),
    "subc": _sum(-1),
    "mul": _either(_floats(_mul_floats), _mul_integers),
    "mad": _mad,
    "fma": _floats(_fma_floats),
    "div": _integers(_quotient),
    "rem": _integers(lambda a, b: a - _quotient(a, b) * b),
    "min": _either(_floats(lambda i, a, b: np.fmin(a, b)), _integers(np.minimum)),
    "max": _either(_floats(lambda i, a, b: np.fmax(a, b)), _integers(np.maximum)),
    "neg": _either(_floats(lambda i, a: -a), _integers(np.negative)),
    "abs": _either(_floats(lambda i, a: np.abs(a)), _integers(np.abs)),
    "and": _integers(np.bitwise_and),
    "or": _integers(np.bitwise_or),
    "xor": _integers(np.bitwise_xor),
    "not": _integers(np.invert),
    "shl": _shift(True),
    "shr": _shift(False),
    "bfi": _bfi,
    "prmt": _prmt,
    "clz": _clz,
    "popc": _popc,
}
