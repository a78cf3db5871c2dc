"""The memory of the interpreted device: ordinary NumPy buffers at their real addresses."""

from __future__ import annotations

import weakref

import numpy as np

POISON = 0xA5


class DeviceError(Exception):
    """What a device, or compute-sanitizer on one, would report."""


class Memory:
    """Buffers by address. An access must lie in one of them and be aligned."""

    def __init__(self) -> None:
        # by the address of its bytes the array that owns them, as NumPy's views keep only that
        self._owners: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
        self._sizes: dict[int, int] = {}

    def allocate(self, size: int, align: int = 256) -> np.ndarray:
        """Return poisoned bytes that live as long as somebody holds them."""
        room = np.full(size + 2 * align, POISON, np.uint8)
        start = -room.ctypes.data % align
        address = room.ctypes.data + start
        self._owners[address], self._sizes[address] = room, size
        return room[start : start + size]

    def _groups(self, address, size):
        """Which lanes fall into which buffer."""
        if (address % size).any():
            raise DeviceError(f"misaligned access of {size} bytes")
        left = np.ones(address.size, bool)
        for base, room in list(self._owners.items()):
            end = base + self._sizes[base]
            here = left & (address >= base) & (address + size <= end)
            if here.any():
                start = base - room.ctypes.data
                buffer = room[start : start + self._sizes[base]]
                yield here, (address[here] - base).astype(np.int64), buffer
                left &= ~here
                if not left.any():
                    return
        raise DeviceError(f"access out of bounds at {int(address[left][0]):#x}")

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
