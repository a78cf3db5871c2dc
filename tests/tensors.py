"""Tensors to test with: to and from NumPy, numbers, a small net."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch


def tensor(a, **options):
    if a.dtype == ml_dtypes.bfloat16:
        t = torch.from_numpy(a.view(np.int16).copy()).view(torch.bfloat16)
    else:
        t = torch.from_numpy(a.copy())
    return t.requires_grad_(**options) if options else t


def array(t):
    t = t.detach()
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return t.numpy()


def with_gradients(*arrays):
    return [tensor(a, requires_grad=True) for a in arrays]


def numbers(*shape, dtype=torch.float64, seed=0, **options):
    """Draw numbers away from 0, a half of them negative."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.rand(shape, generator=generator, dtype=torch.float64) * 3 - 1.5
    return (t + t.sign() / 8).to(dtype).requires_grad_(options.get("requires_grad", False))


class Net(torch.nn.Module):
    """A small convolutional net."""

    def __init__(self, kind, channels=4):
        super().__init__()
        torch.manual_seed(0)
        conv = torch.nn.Conv2d
        self.layers = torch.nn.Sequential(
            conv(1, channels, 3), kind(channels), conv(channels, 2, 3), kind(), torch.nn.Flatten(),
            torch.nn.Linear(32, 3),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)
