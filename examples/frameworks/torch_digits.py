"""
Digits in PyTorch
=================

A small convolutional net, with torch's PReLU and with prelu_array's::

    python examples/frameworks/torch_digits.py          # a minute
    python examples/frameworks/torch_digits.py --quick  # seconds

It needs the extras `torch` and `examples`. One line makes the second net of the first:
`replace(model)`. Both get the same weights, batches and optimizer, and arrive at the same loss.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn import Conv2d, CrossEntropyLoss, Flatten, Linear, PReLU, Sequential

from prelu_array.torch import replace


def net() -> Sequential:
    """Return a new net, the same each time; one alpha for each channel."""
    torch.manual_seed(0)
    return Sequential(
        Conv2d(1, 16, 3, padding=1), PReLU(16),
        Conv2d(16, 32, 3, stride=2, padding=1), PReLU(32), Flatten(),
        Linear(512, 64), PReLU(64), Linear(64, 10),
    )  # fmt: skip


def train(model: Sequential, dtype: torch.dtype, epochs: int) -> dict[str, float]:
    """Train on 1437 digits; return the last epoch's loss and the accuracy on the other 360."""
    digits = load_digits()
    x = torch.tensor(digits.images[:, None] / 16).to(dtype)
    target = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    test, training = order[:360], order[360:]
    model.to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    criterion = CrossEntropyLoss()
    generator = torch.Generator().manual_seed(1)
    for _ in range(epochs):
        total = 0.0
        for k in torch.randperm(len(training), generator=generator).split(32):
            loss = criterion(model(x[training[k]]).float(), target[training[k]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(k)
    with torch.no_grad():
        right = model(x[test]).argmax(1) == target[test]
    return {"loss": total / len(training), "accuracy": right.double().mean().item()}


def main(epochs: int) -> None:
    """Print a table."""
    for dtype in (torch.float32, torch.bfloat16):
        theirs, ours = net(), net()
        count = replace(ours)
        for name, model in (("torch.nn.PReLU", theirs), (f"replaced ({count})", ours)):
            result = train(model, dtype, epochs)
            figures = f"loss {result['loss']:.4f}  accuracy {result['accuracy']:.3f}"
            print(f"{str(dtype).removeprefix('torch.'):9} {name:15} {figures}")


if __name__ == "__main__":
    main(2 if "--quick" in sys.argv else 10)
