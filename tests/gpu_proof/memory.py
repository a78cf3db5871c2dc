"""The memory of the interpreted device: ordinary NumPy buffers at their real addresses."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

POISON = 0xA5


class DeviceError(Exception):
    """What a device, or compute-sanitizer on one, would report."""


class Memory:
    """Buffers by address. An access must lie in one of them and be aligned."""

    def __init__(self) -> None:
        self._rooms: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # what owns it, its bytes
        self._bases: list[int] = []  # in order

    def allocate(self, size: int, align: int = 512) -> int:
        """Return the address of poisoned bytes, with as many again around them."""
        room = np.full(size + 2 * align, POISON, np.uint8)
        start = -room.ctypes.data % align
        address = room.ctypes.data + start
        self._rooms[address] = room, room[start : start + size]
        self._bases.insert(bisect_right(self._bases, address), address)
        return address

    def release(self, address: int) -> None:
        if address in self._rooms:
            del self._rooms[address]
            self._bases.remove(address)

    def _groups(self, address, size):
        """Which lanes fall into which buffer."""
        if (address % size).any():
            raise DeviceError(f"misaligned access of {size} bytes")
        left = np.ones(address.size, bool)
        while left.any():
            first = int(address[left][0])
            at = bisect_right(self._bases, first) - 1
            base = self._bases[at] if at >= 0 else 0
            buffer = self._rooms[base][1] if at >= 0 else np.empty(0, np.uint8)
            here = left & (address >= base) & (address + size <= base + buffer.size)
            if not here[left][0]:
                raise DeviceError(f"access out of bounds at {first:#x}")
            yield here, (address[here] - base).astype(np.int64), buffer
            left &= ~here

    def load(self, address, dtype):
        size = np.dtype(dtype).itemsize
        result = np.empty(address.size, dtype)
        for here, offset, buffer in self._groups(address, size):
            result[here] = _cells(buffer, dtype)[offset // size]
        return result

    def store(self, address, values):
        size = values.dtype.itemsize
        for here, offset, buffer in self._groups(address, size):
            _cells(buffer, values.dtype)[offset // size] = values[here]


def _cells(buffer, dtype):
    size = np.dtype(dtype).itemsize
    return buffer[: buffer.nbytes // size * size].view(dtype)
