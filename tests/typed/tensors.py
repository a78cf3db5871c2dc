"""As arrays.py, with the tensors and arrays of PyTorch and JAX."""

from __future__ import annotations

from typing import assert_type

import jax
import jax.numpy as jnp
import numpy as np
import torch

import prelu_array.jax
from prelu_array.torch import PReLU, prelu, replace


def tensors(x: torch.Tensor, alpha: torch.Tensor) -> None:
    assert_type(prelu(x, 0.25), torch.Tensor)
    assert_type(prelu(x, alpha, axis=(0, 1), at_zero="one"), torch.Tensor)
    assert_type(prelu(x, alpha, [0, 1]), torch.Tensor)
    prelu(x, alpha, axis=1.0)  # wrong
    prelu(x, alpha, at_zero="zero")  # wrong
    prelu(np.ones(3), 0.25)  # wrong


def layers(x: torch.Tensor) -> None:
    layer = PReLU(3, axis=-1, device="cpu", dtype=torch.float32)
    assert_type(layer(x), torch.Tensor)
    assert_type(layer.forward(x), torch.Tensor)
    assert_type(replace(torch.nn.Sequential(layer)), int)
    PReLU(3, axis=(1,))  # wrong
    replace(x)  # wrong


def jax_arrays(x: jax.Array) -> None:
    assert_type(prelu_array.jax.prelu(x, 0.25, axis=0), jax.Array)
    assert_type(prelu_array.jax.prelu(np.ones(3), jnp.ones(3)), jax.Array)
    prelu_array.jax.prelu(x, 0.25, at_zero="zero")  # wrong
    prelu_array.jax.prelu("x.npy", 0.25)  # wrong
