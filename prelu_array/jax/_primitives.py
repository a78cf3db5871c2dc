"""The primitives: how they are differentiated, batched and lowered.

x and alpha have equally many axes here, and alpha's are x's or 1. Derivatives are written as JAX's
own are: a rule for forward mode that is linear in the tangents, and the transpose of that rule for
reverse mode. So each works on top of each, any number of times. The first and the second order are
kernels; what there is beyond is made of these and of JAX's operations.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from . import _host

try:
    from jax.experimental.buffer_callback import buffer_callback
except ImportError:  # a release of JAX without it
    buffer_callback = None

BOTH = (True, True)


def _primitive(name: str, *like: int) -> Any:
    """Return a primitive whose results are like the arguments at these places."""
    primitive = Primitive(f"prelu_array_{name}")
    primitive.multiple_results = True

    def like_which(args: Any, need: tuple[bool, bool]) -> Any:
        needs = need if len(like) == 2 else (True,) * len(like)
        return [args[k] for k, needed in zip(like, needs, strict=True) if needed]

    def results(*args: Any, at_one: bool, need: tuple[bool, bool]) -> Any:
        return [a.update(weak_type=False) for a in like_which(args, need)]

    def shapes(args: Any, need: tuple[bool, bool]) -> Any:
        return [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in like_which(args, need)]

    def on_host(*args: Any, at_one: bool, need: tuple[bool, bool]) -> Any:
        out = shapes(args, need)
        forms = tuple([(s.shape, s.dtype) for s in out])
        return jax.pure_callback(_host.on_host(name, at_one, need, forms), out, *args)

    def in_place(make: Any) -> Any:
        def call(*args: Any, at_one: bool, need: tuple[bool, bool]) -> Any:
            return buffer_callback(make(name, at_one, need), shapes(args, need))(*args)

        return mlir.lower_fun(call, multiple_results=True)

    def batched(args: Any, dims: Any, **params: Any) -> Any:
        size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
        args = [
            jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
            for a, d in zip(args, dims, strict=True)
        ]
        out = primitive.bind(*args, **params)
        return out, [0] * len(out)

    @partial(jax.jit, static_argnames=("at_one", "need"))
    def at_once(*args: Any, at_one: bool, need: tuple[bool, bool]) -> Any:
        return primitive.bind(*args, at_one=at_one, need=need)

    primitive.def_impl(at_once)
    primitive.def_abstract_eval(results)
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(on_host, multiple_results=True))
    if buffer_callback is not None:
        mlir.register_lowering(primitive, in_place(_host.on_cpu), platform="cpu")
        mlir.register_lowering(primitive, in_place(_host.on_cuda), platform="cuda")
    return primitive


_prelu = _primitive("prelu", 0)  # x, alpha
_jvp = _primitive("jvp", 0)  # x, alpha, x_dot, alpha_dot
_backward = _primitive("backward", 1, 2)  # dy, x, alpha
_second = _primitive("second", 3, 3, 4)  # ddx, ddalpha, dy, x, alpha


def prelu(x: Any, alpha: Any, at_one: bool) -> Any:
    """Y."""
    return _prelu.bind(x, alpha, at_one=at_one, need=BOTH)[0]


# ---- in JAX's operations: what the rules beyond the second order are made of ----


def _short(x: Any, a: Any, b: Any, at_one: bool) -> Any:
    """Return a * b where alpha counts, else 0."""
    return jnp.where(x >= 0 if at_one else x > 0, 0, a * b).astype(x.dtype)


def _sum_along(terms: Any, alpha: Any) -> Any:
    axes = [k for k, n in enumerate(alpha.shape) if n != terms.shape[k]]
    return terms.sum(axes, keepdims=True, dtype=alpha.dtype)


def _plain_second(ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, at_one: bool) -> Any:
    identity = x >= 0 if at_one else x > 0
    of_dy = jnp.where(identity, ddx, alpha * ddx + ddalpha * x).astype(x.dtype)
    of_alpha = _sum_along(_short(x, ddx, dy, at_one), alpha)
    return of_dy, _short(x, ddalpha, dy, at_one), of_alpha


# ---- forward mode ----


def _zeros(tangents: Any) -> Any:
    return [ad.instantiate_zeros(t) for t in tangents]


def _jvp_of_prelu(primals: Any, tangents: Any, **params: Any) -> Any:
    y_dot = _jvp.bind(*primals, *_zeros(tangents), **params)
    return _prelu.bind(*primals, **params), y_dot


def _jvp_of_jvp(primals: Any, tangents: Any, *, at_one: bool, need: Any) -> Any:
    x, alpha, t, s = primals
    x_dot, alpha_dot, t_dot, s_dot = _zeros(tangents)
    (result,) = _jvp.bind(x, alpha, t_dot, s_dot, at_one=at_one, need=need)
    result += _short(x, s, x_dot, at_one) + _short(x, alpha_dot, t, at_one)
    return _jvp.bind(*primals, at_one=at_one, need=need), [result]


def _jvp_of_backward(primals: Any, tangents: Any, **params: Any) -> Any:
    out_dot = _backward_jvp.bind(*_zeros(tangents), *primals, **params)
    return _backward.bind(*primals, **params), out_dot


def _jvp_of_second(primals: Any, tangents: Any, *, at_one: bool, need: Any) -> Any:
    def plain(ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any) -> Any:
        return list(_plain_second(ddx, ddalpha, dy, x, alpha, at_one))

    _, out_dot = jax.jvp(plain, primals, tuple(_zeros(tangents)))
    return _second.bind(*primals, at_one=at_one, need=need), out_dot


ad.primitive_jvps[_prelu] = _jvp_of_prelu
ad.primitive_jvps[_jvp] = _jvp_of_jvp
ad.primitive_jvps[_backward] = _jvp_of_backward
ad.primitive_jvps[_second] = _jvp_of_second


# ---- the derivative of the backward: linear in its first three arguments ----


def _derivative(
    dy_dot: Any, x_dot: Any, alpha_dot: Any, dy: Any, x: Any, alpha: Any, *, at_one: bool,
    need: Any,
) -> Any:  # fmt: skip
    out = iter(_backward.bind(dy_dot, x, alpha, at_one=at_one, need=need))
    result = []
    if need[0]:
        result.append(next(out) + _short(x, alpha_dot, dy, at_one))
    if need[1]:
        result.append(next(out) + _sum_along(_short(x, x_dot, dy, at_one), alpha))
    return result


_backward_jvp = _primitive("backward_jvp", 4, 5)
for _platform in (None, "cpu", "cuda"):
    mlir.register_lowering(
        _backward_jvp, mlir.lower_fun(_derivative, multiple_results=True), platform=_platform
    )
ad.primitive_jvps[_backward_jvp] = lambda primals, tangents, **params: jax.jvp(
    lambda *args: _derivative(*args, **params), primals, tuple(_zeros(tangents))
)


# ---- reverse mode ----


def _cotangents(args: Any, given: Any) -> list[Any]:
    """Return those of the linear arguments; None for the others."""
    return [ct if ad.is_undefined_primal(a) else None for a, ct in zip(args, given, strict=True)]


def _is_zero(cts: Any) -> bool:
    return all(type(ct) is ad.Zero for ct in cts)


def _no_cotangents(args: Any) -> list[Any]:
    return _cotangents(
        args, [ad.Zero(a.aval) if ad.is_undefined_primal(a) else None for a in args]
    )


def _transpose_of_jvp(cts: Any, *args: Any, at_one: bool, need: Any) -> Any:
    if _is_zero(cts):
        return _no_cotangents(args)
    x, alpha, *linear = args
    need = tuple(map(ad.is_undefined_primal, linear))
    given = iter(_backward.bind(*cts, x, alpha, at_one=at_one, need=need))
    return [None, None, *(next(given) if needed else None for needed in need)]


def _both(cts: Any, x: Any, alpha: Any, need: Any) -> list[Any]:
    """Return cotangents of dx and dalpha, zeros where one was not needed."""
    given = iter(_zeros(cts))
    return [
        next(given) if needed else jnp.zeros(a.shape, a.dtype)
        for a, needed in zip((x, alpha), need, strict=True)
    ]


def _transpose_of_backward(cts: Any, *args: Any, at_one: bool, need: Any) -> Any:
    if _is_zero(cts):
        return _no_cotangents(args)
    _, x, alpha = args
    (of_dy,) = _jvp.bind(x, alpha, *_both(cts, x, alpha, need), at_one=at_one, need=BOTH)
    return [of_dy, None, None]


def _transpose_of_derivative(cts: Any, *args: Any, at_one: bool, need: Any) -> Any:
    if _is_zero(cts):
        return _no_cotangents(args)
    dy, x, alpha = args[3:]
    given = _second.bind(*_both(cts, x, alpha, need), dy, x, alpha, at_one=at_one, need=BOTH)
    return _cotangents(args, [*given, None, None, None])


ad.primitive_transposes[_jvp] = _transpose_of_jvp
ad.primitive_transposes[_backward] = _transpose_of_backward
ad.primitive_transposes[_backward_jvp] = _transpose_of_derivative
