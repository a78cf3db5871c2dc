"""
A PReLU learned in JAX
======================

Two linear layers and a PReLU between them learn the absolute value::

    python examples/frameworks/jax_fit.py

It needs the extra `jax`. The absolute value is a sum of two PReLUs, which no linear layer is; one
alpha must become negative for it, or the weights must do it.
"""

import jax
import jax.numpy as jnp

from prelu_array.jax import prelu


def predict(parameters, x):
    """Return the net's output for a column of numbers."""
    first, alpha, last = parameters
    return prelu(x @ first, alpha, axis=-1) @ last


@jax.jit
def step(parameters, x, y):
    """Return better parameters, and the loss before."""

    def loss(parameters):
        return jnp.mean((predict(parameters, x) - y) ** 2)

    value, gradients = jax.value_and_grad(loss)(parameters)
    return jax.tree.map(lambda p, g: p - 0.1 * g, parameters, gradients), value


def main():
    """Train, and print the loss on the way."""
    x = jnp.linspace(-1, 1, 64)[:, None]
    keys = jax.random.split(jax.random.key(0))
    parameters = (
        jax.random.normal(keys[0], (1, 4)),
        jnp.full(4, 0.25),
        jax.random.normal(keys[1], (4, 1)) / 2,
    )
    for k in range(501):
        parameters, loss = step(parameters, x, jnp.abs(x))
        if k % 100 == 0:
            print(f"step {k:3}  loss {loss:.6f}  alpha {parameters[1].round(3)}")
    return float(loss)


if __name__ == "__main__":
    main()
