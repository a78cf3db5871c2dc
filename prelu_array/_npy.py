"""The command line's .npy files: read from anything, written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import stat
import sys
from contextlib import suppress
from typing import Any

import numpy as np


def load(path: str) -> Any:
    """Return the array of a file, which may be a pipe."""
    from .testing._files import with_bfloat16

    with open(path, "rb") as file:
        source = file if file.seekable() else io.BytesIO(file.read())
        if source.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path} is not a .npy file")
        source.seek(0)
        try:
            return with_bfloat16(np.load(source, allow_pickle=False))
        except Exception as error:  # cut short, of Python objects, of a shape that no memory holds
            raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def is_one_file(a: str, b: str) -> bool:
    """Whether two paths are one file, by a link or another spelling, or would become one."""
    try:
        return os.path.samefile(a, b)
    except OSError:  # one of them is not there
        names = [os.path.normcase(os.path.realpath(path)) for path in (a, b)]
        if sys.platform == "darwin":  # whose file systems take D.npy for d.npy
            names = [name.casefold() for name in names]
        return names[0] == names[1]


def save_all(arrays: dict[str, Any]) -> None:
    """Write each path's array; if one cannot be written, every file is as it was before.

    Files are written under another name in the same folder, and renamed when all are complete.
    A pipe or a device is written directly.
    """
    renames: dict[str, str] = {}
    try:
        for path, array in arrays.items():
            _save(path, array, renames)
        for name in list(renames):
            os.replace(name, renames.pop(name))
    finally:
        for name in renames:
            with suppress(OSError):
                os.unlink(name)


def _save(path: str, array: Any, renames: dict[str, str]) -> None:
    target = os.path.realpath(path)
    if not os.path.basename(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as file:
            _write(file, array)
        return
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    folder, base = os.path.split(target)
    name = os.path.join(folder, f".{base[:64]}.{secrets.token_hex(8)}")
    try:
        with open(name, "xb") as file:
            renames[name] = target
            _write(file, array)
    except OSError as error:  # the user does not know that name
        raise OSError(error.errno, error.strerror or str(error), path) from error
    if mode is not None:
        shutil.copymode(target, name)


def _write(file: Any, array: Any) -> None:
    # NumPy asks a file for its position, which a pipe has not
    np.lib.format.write_array(_Writer(file), array, allow_pickle=False)


class _Writer:
    """A file of which NumPy sees nothing but `write`."""

    def __init__(self, file: Any) -> None:
        self.write = file.write
