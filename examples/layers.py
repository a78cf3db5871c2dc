"""The layers of digits.py: a linear map and a PReLU, forward, backward and a step downhill."""

from typing import Any

import numpy as np
from numpy import ndarray as Array

from prelu_array import prelu, prelu_backward

MOMENTUM, DECAY = 0.9, 5e-4  # alpha and the bias do not decay


class Dense:
    """A linear map and its activation."""

    def __init__(self, rng: np.random.Generator, inputs: int, channels: int, activation: tuple):
        alpha, self.learned, per_channel = activation
        std = np.sqrt(2 / (1 + alpha**2) / inputs)
        self.weight = rng.normal(0, std, (inputs, channels)).astype(np.float32)
        self.bias = np.zeros(channels, np.float32)
        self.alpha = np.full(channels if per_channel else 1, alpha, np.float32)
        self.velocity = [np.zeros_like(p) for p in (self.weight, self.bias, self.alpha)]

    def unfold(self, images: Array) -> Array:
        """Return the rows that are multiplied by the weight."""
        return images.reshape(len(images), -1)

    def fold(self, rows: Array) -> Array:
        """Return the transpose of `unfold`: the sum of what the rows say about each pixel."""
        return rows

    def forward(self, images: Array) -> Array:
        """Return the activations; keep what `backward` needs."""
        self.rows = self.unfold(images)
        self.x = self.rows @ self.weight + self.bias
        return prelu(self.x, self.alpha, axis=-1)

    def backward(self, dy: Array, rate: float) -> Array:
        """Take a step with momentum; return the gradient with respect to the images."""
        dy = dy.reshape(self.x.shape)
        dx, dalpha = prelu_backward(dy, self.x, self.alpha, axis=-1, need_dalpha=self.learned)
        dx = dx.reshape(-1, len(self.bias))
        dimages = self.fold(dx @ self.weight.T)
        dweight = self.rows.reshape(-1, len(self.weight)).T @ dx + DECAY * self.weight
        parameters = [(self.weight, dweight), (self.bias, dx.sum(axis=0)), (self.alpha, dalpha)]
        for (p, dp), velocity in zip(parameters, self.velocity, strict=True):
            if dp is not None:
                velocity *= MOMENTUM
                velocity -= rate * dp
                p += velocity
        return dimages


class Conv(Dense):
    """A 3 by 3 convolution of NHWC images, zero outside, at every `stride`-th pixel."""

    def __init__(self, *arguments: Any, stride: int = 1):
        rng, inputs, channels, activation = arguments
        super().__init__(rng, 9 * inputs, channels, activation)
        self.stride = stride

    def unfold(self, images: Array) -> Array:
        """Return each pixel's 3 by 3 neighbourhood."""
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        self.padded, s = padded.shape, self.stride
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::s, ::s]
        return windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)

    def fold(self, rows: Array) -> Array:
        """Add each pixel's 3 by 3 neighbourhood up."""
        images, s = np.zeros(self.padded, np.float32), self.stride
        n, h, w, _ = self.x.shape
        rows = rows.reshape(n, h, w, 3, 3, -1)
        for i, j in np.ndindex(3, 3):
            images[:, i : i + s * h : s, j : j + s * w : s] += rows[:, :, :, i, j]
        return images[:, 1:-1, 1:-1]
