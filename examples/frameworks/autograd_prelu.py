"""
HIPS autograd
=============

PReLU for autograd, whose gradient of alpha is the exact sum, rounded once.

Copy this file beside your code; it needs autograd and prelu_array::

    import autograd.numpy as np
    from autograd import grad
    from autograd_prelu import prelu

    dalpha = grad(lambda alpha: np.sum(prelu(x, alpha, axis=1)))(alpha)

Reverse mode, also of itself (the grad of a grad), and forward mode (make_jvp). `axis` and
`at_zero` are those of prelu_array.prelu_backward.
"""

import numpy as np
from autograd.core import defjvp_argnums
from autograd.extend import defvjp_argnums, primitive

import prelu_array


@primitive
def prelu(x, alpha, axis=None, at_zero="alpha"):
    """Return x where x > 0, alpha * x elsewhere."""
    return prelu_array.prelu(x, alpha, axis=axis)


@primitive
def _backward(dy, x, alpha, needed, axis, at_zero):
    """Return dx (0), dalpha (1) or both, as needed; both in one pass."""
    need = {"need_dx": 0 in needed, "need_dalpha": 1 in needed}
    gradients = prelu_array.prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero, **need)
    return tuple(gradients[k] for k in needed)


def _options(axis=None, at_zero="alpha"):
    return axis, at_zero


def _directions(argnums, given, *values):
    """Return one for each value: zero where none is given, a number for a number."""
    given = dict(zip(argnums, given, strict=True))
    for k, value in enumerate(values):
        direction = given.get(k, np.zeros_like(value))
        yield float(direction) if isinstance(value, float | int) else direction


def _vjp(needed, y, args, options):
    x, alpha, *rest = args
    return lambda dy: _backward(dy, x, alpha, needed, *_options(*rest, **options))


def _vjp_of_backward(argnums, gradients, args, options):
    dy, x, alpha, needed, axis, at_zero = args

    def cotangents(of_gradients):
        ddx, ddalpha = _directions(needed, of_gradients, x, alpha)
        of = prelu_array.prelu_double_backward(
            ddx, ddalpha, dy, x, alpha, axis=axis, at_zero=at_zero
        )
        return tuple(of[k] for k in argnums)

    return cotangents


def _jvp(argnums, directions, y, args, options):
    x, alpha, *rest = args
    x_dot, alpha_dot = _directions(argnums, directions, x, alpha)
    axis, at_zero = _options(*rest, **options)
    return prelu_array.prelu_jvp(x, alpha, x_dot, alpha_dot, axis=axis, at_zero=at_zero)


defvjp_argnums(prelu, _vjp)
defvjp_argnums(_backward, _vjp_of_backward)
defjvp_argnums(prelu, _jvp)
