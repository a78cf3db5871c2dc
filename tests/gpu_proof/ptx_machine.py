"""An interpreter of PTX: every thread of a grid is one lane of NumPy arrays.

Instructions run for all lanes that stand at the lowest one ("together"), or warp by warp, each as
far as it gets before the next ("forward", "reverse"): only those orders show a missing barrier.
Accesses are checked for bounds and alignment, shared memory begins as poison. Blocks that count
arrivals, with 32-bit atomics, must have put a fence behind what they stored.
"""

from __future__ import annotations

import re
import struct

import numpy as np

from . import ieee
from .memory import POISON, DeviceError
from .ptx_arithmetic import ARITHMETIC as _ARITHMETIC
from .ptx_text import WIDTH, Instruction, Kernel

SCHEDULES = ("together", "forward", "reverse")
_ADDRESS = re.compile(r"\[\s*([%$\w]+)\s*(?:\+\s*(-?\w+))?\s*\]")
_KINDS = {"u": "u", "b": "u", "s": "i", "f": "f"}
_STEPS = 2_000_000
_TURNS = ("bra", "ret", "exit", "bar", "shfl")  # after which other lanes may be next


def _dtype(kind):
    if kind == "pred":
        return np.dtype(bool)
    return np.dtype(f"{_KINDS[kind.rstrip('0123456789')]}{WIDTH[kind.lstrip('usbf')]}")


class Machine:
    """One launch. `counts` collects how many lanes ran each opcode."""

    def __init__(self, kernel: Kernel, grid: int, block: int, params: bytes, memory, counts=None):
        if len(params) != kernel.param_bytes:
            raise DeviceError(f"{kernel.name} takes {kernel.param_bytes} bytes, got {len(params)}")
        self.kernel, self.grid, self.block, self.memory = kernel, grid, block, memory
        self.params, self.counts = params, counts
        self.lanes = grid * block
        lane = np.arange(self.lanes)
        self.thread = lane % block
        self.blocks = lane // block
        self.special = {
            "%tid.x": self.thread,
            "%ctaid.x": self.blocks,
            "%ntid.x": np.full(self.lanes, block),
            "%nctaid.x": np.full(self.lanes, grid),
        }
        self.shared = np.full((grid, -(-max(kernel.shared_bytes, 1) // 8) * 8), POISON, np.uint8)
        self.registers: dict[str, np.ndarray] = {}
        self.pc = np.zeros(self.lanes, np.int64)
        self.alive = np.ones(self.lanes, bool)
        self.waiting = np.zeros(self.lanes, bool)  # at a barrier
        self.unfenced = np.zeros(self.lanes, bool)  # has stored what other blocks may not see
        self.carry = np.zeros(self.lanes, bool)  # of the last addition with .cc
        self.parked = np.zeros(self.lanes, bool)  # at a shuffle, for the rest of the warp

    def run(self, schedule="together"):
        with np.errstate(all="ignore"):
            steps = 0
            while steps < _STEPS:
                active = self.alive & ~self.waiting & ~self.parked
                if not active.any():
                    if self.parked.any():
                        raise DeviceError("a shuffle waits for lanes that do not come")
                    if not self.alive.any():
                        return
                    self._release()
                    continue
                if schedule != "together":
                    active = self._one_warp(active, schedule == "reverse")
                steps += self._straight_on(active)
        raise DeviceError(f"{self.kernel.name} does not end")

    def _straight_on(self, active):
        """Run the lanes at the lowest place until they may part or meet others; count steps."""
        first = pc = int(self.pc[active].min())
        here = active & (self.pc == pc)
        lanes = np.flatnonzero(here)
        end = self.pc[active & ~here].min(initial=len(self.kernel.code))
        while pc < end:
            i = self.kernel.code[pc]
            if i.parts[0] == "shfl":
                lanes = self._meet(pc, lanes)
            self._step(i, lanes)
            pc += 1
            if i.parts[0] in _TURNS:
                break
        return pc - first

    def _release(self):
        waiting = self.waiting.reshape(self.grid, self.block)
        ended = ~self.alive.reshape(self.grid, self.block)
        complete = (waiting | ended).all(1) & waiting.any(1)
        if not complete.any():
            raise DeviceError("deadlock at a barrier")
        self.waiting &= ~np.repeat(complete, self.block)

    def _meet(self, pc, lanes):
        """Let lanes wait until their warps are complete; return those whose warps are."""
        self.parked[lanes] = True
        warp = self.blocks * (self.block // 32 + 1) + self.thread // 32
        absent = self.alive & ~(self.parked & (self.pc == pc))
        here = np.flatnonzero(self.parked & (self.pc == pc) & ~np.isin(warp, warp[absent]))
        self.parked[here] = False
        return here

    def _one_warp(self, active, reverse):
        warp = self.thread // 32
        candidates = np.where(active, warp, -1 if reverse else 1 << 30)
        candidates = candidates.reshape(self.grid, self.block)
        chosen = candidates.max(1) if reverse else candidates.min(1)
        return active & (warp == np.repeat(chosen, self.block))

    def _step(self, i: Instruction, lanes):
        self.pc[lanes] += 1
        if i.guard is not None:
            guard = self._register(i.guard)[lanes]
            lanes = lanes[~guard if i.negated else guard]
            if lanes.size == 0:
                return
        if self.counts is not None:
            name = ".".join(i.parts)
            self.counts[name] = self.counts.get(name, 0) + lanes.size
        handler = getattr(self, "_" + i.parts[0], None)
        if handler is None:
            handler = _ARITHMETIC.get(i.parts[0])
            if handler is None:
                raise NotImplementedError(i.text)
            self._write(i.operands[0], handler(self, i, lanes), lanes)
        else:
            handler(i, lanes)

    # ---- registers and operands ----

    def _register(self, name):
        found = self.registers.get(name)
        if found is None:
            size = self.kernel.width_of(name)
            found = np.zeros(self.lanes, bool if size == 0 else f"u{size}")
            self.registers[name] = found
        return found

    def _read(self, operand, dtype, lanes):
        dtype = np.dtype(dtype)
        if operand in self.special:
            return self.special[operand][lanes].astype(dtype)
        if operand in self.kernel.shared:
            return np.full(lanes.size, self.kernel.shared[operand], dtype)
        if operand in self.kernel.params:
            return np.full(lanes.size, self.kernel.params[operand][0], dtype)
        if operand[0] == "%" or operand in self.kernel.registers:
            v = self._register(operand)[lanes]
            if dtype.kind == "b":
                return v
            return v.astype(f"u{dtype.itemsize}").view(dtype)  # cut or filled up with zeros
        if operand[:2] in ("0f", "0d"):
            form = "<I" if operand[1] == "f" else "<Q"
            number = np.frombuffer(struct.pack(form, int(operand[2:], 16)), dtype)
            return np.repeat(number, lanes.size)
        value = int(operand, 0)
        if dtype.kind == "b":
            return np.full(lanes.size, value != 0)
        mask = (1 << 8 * dtype.itemsize) - 1
        return np.full(lanes.size, value & mask, f"u{dtype.itemsize}").view(dtype)

    def _write(self, operand, values, lanes):
        if operand == "_":
            return
        register = self._register(operand)
        if register.dtype.kind == "b":
            register[lanes] = values
        elif values.dtype.itemsize == register.dtype.itemsize:
            register[lanes] = values.view(register.dtype)
        else:  # a sign is carried on, as loads and conversions do
            kind = "i" if values.dtype.kind == "i" else "u"
            wide = values.view(f"u{values.dtype.itemsize}").view(f"{kind}{values.dtype.itemsize}")
            register[lanes] = wide.astype(f"{kind}{register.dtype.itemsize}").view(register.dtype)

    def operands(self, i, lanes, dtype, first=1):
        return [self._read(o, dtype, lanes) for o in i.operands[first:]]

    def _address(self, operand, lanes):
        base, offset = _ADDRESS.match(operand).groups()
        start = self._read(base, np.uint64, lanes)
        return start + np.array(int(offset or "0", 0), np.int64).astype(np.uint64)

    # ---- control ----

    def _bra(self, i, lanes):
        self.pc[lanes] = self.kernel.labels[i.operands[0]]

    def _ret(self, i, lanes):
        self.alive[lanes] = False

    def _bar(self, i, lanes):
        self.waiting[lanes] = True

    def _membar(self, i, lanes):
        self.unfenced[lanes] = False

    _fence = _membar

    # ---- memory ----

    def _ld(self, i, lanes):
        dtype, targets = _dtype(i.parts[-1]), i.operands[0].strip("{} ").split(",")
        if "param" in i.parts:
            at = self._address(i.operands[1], lanes).astype(np.int64)
            cells = np.frombuffer(self.params, np.uint8)
            for k, target in enumerate(targets):
                where = (at + k * dtype.itemsize)[:, None] + np.arange(dtype.itemsize)
                self._write(target.strip(), cells[where].reshape(-1).view(dtype), lanes)
            return
        address = self._address(i.operands[1], lanes)
        self._check_vector(address, dtype.itemsize * len(targets), i)
        for k, target in enumerate(targets):
            at = address + np.uint64(k * dtype.itemsize)
            if "shared" in i.parts:
                value = self._shared(at, dtype, lanes)
            else:
                value = self.memory.load(at, dtype)
            self._write(target.strip(), value, lanes)

    def _st(self, i, lanes):
        dtype, sources = _dtype(i.parts[-1]), i.operands[1].strip("{} ").split(",")
        address = self._address(i.operands[0], lanes)
        self._check_vector(address, dtype.itemsize * len(sources), i)
        for k, source in enumerate(sources):
            at = address + np.uint64(k * dtype.itemsize)
            values = self._read(source.strip(), dtype, lanes)
            if "shared" in i.parts:
                self._shared(at, dtype, lanes, values)
            else:
                self.memory.store(at, values)
                self.unfenced[lanes] = True

    def _check_vector(self, address, size, i):
        if (address % np.uint64(size)).any():
            raise DeviceError(f"misaligned: {i.text}")

    def _shared(self, address, dtype, lanes, values=None):
        size = dtype.itemsize
        address = address & np.uint64(0xFFFFFFFF)  # shared memory has 32-bit addresses
        if (address % np.uint64(size)).any() or (address + size > self.kernel.shared_bytes).any():
            raise DeviceError("access outside shared memory")
        cells, at = self.shared.view(dtype), (address // np.uint64(size)).astype(np.int64)
        if values is None:
            return cells[self.blocks[lanes], at]
        cells[self.blocks[lanes], at] = values
        return None

    def _atom(self, i, lanes):
        if "add" not in i.parts:
            raise NotImplementedError(i.text)
        dtype, target = _dtype(i.parts[-1]), i.operands[0]
        address = self._address(i.operands[1], lanes)
        values = self._read(i.operands[2], dtype, lanes)
        if "shared" not in i.parts and dtype.itemsize == 4:
            counting = np.isin(self.blocks, self.blocks[lanes])
            if (self.unfenced & counting).any():
                raise DeviceError("a block counts as arrived before its stores are seen")
        for k in range(lanes.size):  # one after another
            one = lanes[k : k + 1]
            at = address[k : k + 1]
            if "shared" in i.parts:
                old = self._shared(at, dtype, one)
                self._shared(at, dtype, one, old + values[k : k + 1])
            else:
                old = self.memory.load(at, dtype)
                self.memory.store(at, old + values[k : k + 1])
            self._write(target, old, one)

    def _red(self, i, lanes):
        self._atom(Instruction(i.text, None, False, i.parts, ("_", *i.operands)), lanes)

    def _shfl(self, i, lanes):
        target = i.operands[0].partition("|")[0]
        values = self._read(i.operands[1], np.uint32, lanes)
        by = self._read(i.operands[2], np.uint32, lanes).astype(np.int64)
        if i.parts[2] != "down":
            raise NotImplementedError(i.text)
        within = self.thread[lanes] % 32
        source = np.where(within + by <= 31, within + by, within) + lanes - within
        given = np.zeros(self.lanes, np.uint32)
        takes_part = np.zeros(self.lanes, bool)
        given[lanes], takes_part[lanes] = values, True
        if not takes_part[source].all():
            raise DeviceError("a shuffle reads a lane that takes no part")
        self._write(target, given[source], lanes)

    # ---- moves and conversions ----

    def _mov(self, i, lanes):
        dtype = _dtype(i.parts[-1])
        target, source = i.operands
        if target[0] == "{":
            names = [n.strip() for n in target.strip("{}").split(",")]
            parts = self._read(source, dtype, lanes).view(f"u{dtype.itemsize // len(names)}")
            for k, name in enumerate(names):
                self._write(name, np.ascontiguousarray(parts.reshape(-1, len(names))[:, k]), lanes)
        elif source[0] == "{":
            names = [n.strip() for n in source.strip("{}").split(",")]
            part = f"u{dtype.itemsize // len(names)}"
            parts = np.stack([self._read(n, part, lanes) for n in names], 1)
            self._write(target, np.ascontiguousarray(parts).view(dtype).reshape(-1), lanes)
        else:
            self._write(target, self._read(source, dtype, lanes), lanes)

    def _cvta(self, i, lanes):
        self._write(i.operands[0], self._read(i.operands[1], np.uint64, lanes), lanes)

    def _cvt(self, i, lanes):
        to, of = i.parts[-2:]
        if "bf16" in (to, of):
            if to != "bf16" or of != "f32" or "rn" not in i.parts:
                raise NotImplementedError(i.text)
            v = ieee.to_bf16(self._read(i.operands[1], np.float32, lanes))
        else:
            v = self._read(i.operands[1], _dtype(of), lanes)
            if "ftz" in i.parts and of == "f32":
                v = ieee.flush(v)
            if "rz" in i.parts:
                if (to, of) != ("f32", "f64"):
                    raise NotImplementedError(i.text)
                v = ieee.to_float_toward_zero(v)
            elif (to[0] == "f") != (of[0] == "f") or "rm" in i.parts or "rp" in i.parts:
                raise NotImplementedError(i.text)
            v = v.astype(_dtype(to))
            if "ftz" in i.parts and to == "f32":
                v = ieee.flush(v)
        self._write(i.operands[0], v, lanes)

    def _setp(self, i, lanes):
        dtype = _dtype(i.parts[-1])
        a, b = self.operands(i, lanes, dtype)
        if "ftz" in i.parts:
            a, b = ieee.flush(a), ieee.flush(b)
        relation = i.parts[1]
        unordered = np.zeros(lanes.size, bool)
        if dtype.kind == "f":
            unordered = np.isnan(a) | np.isnan(b)
        if relation in ("num", "nan"):
            result = unordered if relation == "nan" else ~unordered
        else:
            compare = {
                "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
                "gt": np.greater, "ge": np.greater_equal,
            }[relation[:2]]  # fmt: skip
            also = relation.endswith("u") and len(relation) == 3
            result = (compare(a, b) & ~unordered) | (unordered if also else False)
        self._write(i.operands[0], result, lanes)

    def _selp(self, i, lanes):
        dtype = _dtype(i.parts[-1])
        a, b = (self._read(o, dtype, lanes) for o in i.operands[1:3])
        self._write(i.operands[0], np.where(self._read(i.operands[3], bool, lanes), a, b), lanes)
