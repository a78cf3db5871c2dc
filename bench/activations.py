"""Make prelu_array/activations.npz: what a PReLU layer of a real network sees.

A small network (3x3 convolution to 16 channels, PReLU with one alpha per channel, a dense layer,
softmax) is trained with plain NumPy on the handwritten digits bundled with scikit-learn. The file
holds the layer's input x, the gradient dy at its output and its alpha for the first 32 images.

    python bench/activations.py        (needs scikit-learn; the same file every time)
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

CHANNELS, STEPS, BATCH, RATE, IMAGES = 16, 400, 128, 0.1, 32


def windows(images):
    """Return each pixel's 3x3 neighbourhood, zero outside the image, as (n, 8, 8, 9)."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).reshape(-1, 8, 8, 9)


def main():
    """Train, and write the file."""
    digits = load_digits()
    images, labels = digits.images.astype(np.float32) / 16, digits.target
    rng = np.random.default_rng(1502)
    alpha = np.full(CHANNELS, 0.25, np.float32)
    conv = rng.normal(0, np.sqrt(2 / (9 * (1 + 0.25**2))), (9, CHANNELS)).astype(np.float32)
    dense = rng.normal(0, 0.03, (64 * CHANNELS, 10)).astype(np.float32)

    def step(chosen):
        patches = windows(images[chosen])
        x = np.ascontiguousarray((patches @ conv).transpose(0, 3, 1, 2))  # NCHW
        y = np.where(x > 0, x, alpha[:, None, None] * x)
        flat = y.reshape(len(chosen), -1)
        scores = flat @ dense
        odds = np.exp(scores - scores.max(1, keepdims=True))
        error = odds / odds.sum(1, keepdims=True)
        accuracy = (scores.argmax(1) == labels[chosen]).mean()
        error[np.arange(len(chosen)), labels[chosen]] -= 1
        error /= len(chosen)
        dy = (error @ dense.T).reshape(x.shape)
        dx = np.where(x > 0, dy, alpha[:, None, None] * dy)
        dalpha = np.where(x > 0, 0, x * dy).sum((0, 2, 3))
        dconv = np.einsum("nhwp,nchw->pc", patches, dx)
        return x, dy, (conv, dconv), (dense, flat.T @ error), (alpha, dalpha), accuracy

    for _ in range(STEPS):
        *_, first, second, third, accuracy = step(rng.integers(0, len(images), BATCH))
        for parameter, gradient in (first, second, third):
            parameter -= RATE * gradient
    x, dy, *_, accuracy = step(np.arange(IMAGES))
    print(f"accuracy {accuracy:.3f}, alpha {alpha.min():.3f} to {alpha.max():.3f}, x {x.shape}")
    path = Path(__file__).parent.parent / "prelu_array" / "activations.npz"
    half = np.float16  # a quarter of the size; real numbers all the same
    np.savez_compressed(path, x=x.astype(half), dy=(dy * 4096).astype(half), alpha=alpha)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
