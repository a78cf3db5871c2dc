"""Derivatives of the operators, of any order: autograd.Functions made of the same operators."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import Function, forward_ad

from . import _operators


def apply(function: Any, *args: Any) -> Any:
    """Apply a Function, where it may be needed.

    Function.apply, which torch.func needs, reads the signature of forward at each call, for
    default values that there are none of; that takes longer than all the rest.
    """
    if _operators.transforming():
        return function.apply(*args)
    if torch.is_grad_enabled() or forward_ad._current_level >= 0:
        return function.quick(*args)
    return _operators.run(function.__name__.lower(), *args)


def _zeros_for(given: Any, like: Any) -> Any:
    """Return a cotangent or tangent, or zeros where there is none."""
    return given if given is not None else like.new_zeros(()).expand(like.shape)


def _save(ctx: Any, *tensors: Any) -> None:
    ctx.save_for_backward(*tensors)
    if forward_ad._current_level >= 0 or _operators.transforming():
        ctx.save_for_forward(*tensors)


class Prelu(Function):
    """The forward."""

    @staticmethod
    def forward(x: Any, alpha: Any, axis: Any, at_one: bool) -> Any:
        return _operators.run("prelu", x, alpha, axis, at_one)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, alpha, *ctx.options = inputs
        _save(ctx, x, alpha)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, alpha = ctx.saved_tensors
        need = ctx.needs_input_grad[:2]
        dx, dalpha = apply(Backward, dy, x, alpha, *ctx.options, *need)
        return dx if need[0] else None, dalpha if need[1] else None, None, None

    @staticmethod
    def jvp(ctx: Any, x_dot: Any, alpha_dot: Any, *_: None) -> Any:
        x, alpha = ctx.saved_tensors
        x_dot, alpha_dot = _zeros_for(x_dot, x), _zeros_for(alpha_dot, alpha)
        return apply(Second, x_dot, alpha_dot, x, x, alpha, *ctx.options)[0]


class Backward(Function):
    """(dx, dalpha); what is not needed is empty, for an operator cannot return None."""

    @staticmethod
    def forward(
        dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, need_dalpha: bool
    ) -> Any:
        return _operators.run("backward", dy, x, alpha, axis, at_one, need_dx, need_dalpha)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        dy, x, alpha, *ctx.options, ctx.need_dx, ctx.need_dalpha = inputs
        _save(ctx, dy, x, alpha)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, ddx: Any, ddalpha: Any) -> Any:
        dy, x, alpha = ctx.saved_tensors
        ddx = _zeros_for(ddx if ctx.need_dx else None, x)
        ddalpha = _zeros_for(ddalpha if ctx.need_dalpha else None, alpha)
        return *apply(Second, ddx, ddalpha, dy, x, alpha, *ctx.options), *[None] * 4

    @staticmethod
    def jvp(ctx: Any, dy_dot: Any, x_dot: Any, alpha_dot: Any, *_: None) -> Any:
        dy, x, alpha = ctx.saved_tensors
        dy_dot, x_dot = _zeros_for(dy_dot, dy), _zeros_for(x_dot, x)
        alpha_dot = _zeros_for(alpha_dot, alpha)
        need = ctx.need_dx, ctx.need_dalpha
        dx, dalpha = apply(Backward, dy_dot, x, alpha, *ctx.options, *need)
        _, of_x, of_alpha = apply(Second, x_dot, alpha_dot, dy, x, alpha, *ctx.options)
        return dx + of_x if need[0] else dx, dalpha + of_alpha if need[1] else dalpha


class Second(Function):
    """The cotangents of dy, x and alpha; the first of them is also what jvp gives."""

    @staticmethod
    def forward(
        ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool
    ) -> Any:
        return _operators.run("second", ddx, ddalpha, dy, x, alpha, axis, at_one)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _save(ctx, *inputs[:5])
        ctx.options = inputs[5:]

    @staticmethod
    def backward(ctx: Any, u: Any, v: Any, w: Any) -> Any:
        """For cotangents u, v and w of the cotangents of dy, x and alpha."""
        ddx, ddalpha, dy, x, alpha = ctx.saved_tensors
        options = x, alpha, *ctx.options
        of_ddx, of_ddalpha = apply(Backward, u, *options, True, True)
        _, more_of_ddx, more_of_ddalpha = apply(Second, v, w, dy, *options)
        of_dy = apply(Second, v, ddalpha, v, *options)[1] + apply(Second, v, w, ddx, *options)[1]
        of_x, of_alpha = apply(Second, ddx, ddalpha, u, *options)[1:]
        of_ddx, of_ddalpha = of_ddx + more_of_ddx, of_ddalpha + more_of_ddalpha
        return of_ddx, of_ddalpha, of_dy, of_x, of_alpha, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        tensors = ctx.saved_tensors
        ddx, ddalpha, dy, x, alpha = tensors
        options = x, alpha, *ctx.options
        ddx_dot, ddalpha_dot, dy_dot, x_dot, alpha_dot = (
            _zeros_for(dot, t) for dot, t in zip(tangents, tensors, strict=False)
        )
        of_dy, of_x, of_alpha = apply(Second, ddx_dot, ddalpha_dot, dy, *options)
        _, more_of_x, more_of_alpha = apply(Second, ddx, ddalpha, dy_dot, *options)
        of_dy = of_dy + apply(Second, ddx, ddalpha, x_dot, *options)[1]
        of_dy = of_dy + apply(Second, ddx, alpha_dot, ddx, *options)[1]
        return of_dy, of_x + more_of_x, of_alpha + more_of_alpha


for _class in (Prelu, Backward, Second):
    _name = _class.__name__.lower()
    _class.quick = super(Function, _class).apply
    _class.vmap = staticmethod(_operators.batched(_name, _class.apply))
    _operators.library.impl(
        _name, lambda *args, function=_class: apply(function, *args), "Autograd"
    )
