"""PReLU for JAX on the CPU, whose gradient of alpha is the exact sum, rounded once.

Copy this file beside your code; it needs jax and prelu_array:

    from jax_prelu import prelu

    y = prelu(x, alpha, axis=1)  # alpha (x.shape[1],): one for each channel of NCHW

jit, vmap (one call for the batch), grad, jacrev and the grad of a grad; float16, bfloat16, float32
and, with jax_enable_x64, float64, x and alpha independently. `axis` and `at_zero` are those of
prelu_array.prelu_backward. In forward mode (jvp, jacfwd, hessian) use `prelu_forward_mode`, which
has no reverse mode: JAX takes one rule or the other.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import prelu_array


def _call(function, like, *arrays, **options):
    """Run a function of prelu_array on the host; what it returns is like these arrays.

    Under vmap each array comes with one more leading axis. alpha has as many axes as x by then, so
    that it is one alpha for each element of the batch, and so is dalpha.
    """

    def on_host(*arrays):
        return function(*map(np.asarray, arrays), **options)

    result = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
    return jax.pure_callback(on_host, result, *arrays, vmap_method="broadcast_all")


def _aligned(x, alpha, axis):
    """Return alpha with as many axes as x, each where it belongs."""
    x = jnp.asarray(x)
    alpha = jnp.asarray(alpha, x.dtype if isinstance(alpha, int | float) else None)
    if alpha.size == 1:
        return x, alpha.reshape((1,) * x.ndim)
    if axis is None:
        return x, alpha.reshape((1,) * (x.ndim - alpha.ndim) + alpha.shape)
    axes = [range(x.ndim)[k] for k in (axis if isinstance(axis, tuple) else (axis,))]
    if alpha.ndim != len(axes):
        raise ValueError(f"alpha must have an axis for each of {axis}, got shape {alpha.shape}")
    alpha = alpha.transpose(np.argsort(axes))
    return x, jnp.expand_dims(alpha, [k for k in range(x.ndim) if k not in axes])


def prelu(x, alpha, axis=None, at_zero="alpha"):
    """Return x where x > 0, alpha * x elsewhere."""
    return _prelu(*_aligned(x, alpha, axis), at_zero)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _prelu(x, alpha, at_zero):
    return _call(prelu_array.prelu, x, x, alpha)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _backward(dy, x, alpha, at_zero):
    return _call(prelu_array.prelu_backward, (x, alpha), dy, x, alpha, at_zero=at_zero)


def _double_backward(at_zero, residuals, cotangents):
    arrays = *cotangents, *residuals
    return _call(prelu_array.prelu_double_backward, residuals, *arrays, at_zero=at_zero)


_prelu.defvjp(
    lambda x, alpha, at_zero: (_prelu(x, alpha, at_zero), (x, alpha)),
    lambda at_zero, residuals, dy: _backward(dy, *residuals, at_zero),
)
_backward.defvjp(
    lambda dy, x, alpha, at_zero: (_backward(dy, x, alpha, at_zero), (dy, x, alpha)),
    _double_backward,
)


def prelu_forward_mode(x, alpha, axis=None, at_zero="alpha"):
    """Return what `prelu` returns, with a rule for forward mode."""
    return _forward_mode(*_aligned(x, alpha, axis), at_zero)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _forward_mode(x, alpha, at_zero):
    return _call(prelu_array.prelu, x, x, alpha)


@_forward_mode.defjvp
def _jvp(at_zero, primals, tangents):
    y_dot = _call(prelu_array.prelu_jvp, primals[0], *primals, *tangents, at_zero=at_zero)
    return _forward_mode(*primals, at_zero), y_dot
