"""PReLU for PyTorch; the gradient of alpha is the exact sum, rounded once.

Needs torch 2.5 or later (extra ``torch``). Nothing else of `prelu_array` imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from .. import _arguments, _foreign
from . import _derivatives, _operators
from ._checks import FLOATS, alpha_of_number, check, check_axis
from ._operators import is_plain, is_seen, kernels

__all__ = ["PReLU", "prelu", "replace"]


torch.fx.wrap("prelu")  # by name: as a decorator it would hide the types


def prelu(
    x: torch.Tensor,
    alpha: torch.Tensor | float,
    axis: int | Sequence[int] | None = None,
    at_zero: Literal["alpha", "one"] = "alpha",
) -> torch.Tensor:
    """Parametric rectified linear unit of a tensor: ``y = x if x > 0 else alpha * x``.

    Differentiable any number of times, in reverse and in forward mode, under ``torch.func``,
    ``torch.compile`` and ``torch.export``. The gradient of alpha is the exact sum of the exact
    products ``x * dy`` over the elements that share one alpha, rounded once to alpha's dtype: the
    same bits for any number of threads, memory format and device.

    Parameters
    ----------
    x : torch.Tensor
        Of any shape and strides, on the CPU or a CUDA device, where alpha is too; float16,
        bfloat16, float32 or float64, or for the forward alone int32 or int64.
    alpha : torch.Tensor or float
        Slope for x that is not positive. A Python number takes x's dtype; any other alpha has one
        of the four dtypes of its own. One alpha (a number, 0-d or of size 1) is shared by all of
        x; other shapes lie along x as `axis` says.
    axis : None, int or sequence of int, optional
        None: alpha broadcasts to ``x.shape`` as in NumPy, and never enlarges it. An integer or
        a tuple: alpha's axes lie along these axes of x, with their lengths, or 1 in places.
        ``axis=1`` with alpha of shape ``(x.shape[1],)`` is one alpha per channel of NCHW data.
    at_zero : {"alpha", "one"}, optional
        The subgradient at x = 0: "alpha" takes the left derivative, as PyTorch and oneDNN do,
        "one" the right one, as Chainer and Flax do.

    Returns
    -------
    torch.Tensor
        y, of x's shape, dtype, device and memory format, with the bits of `prelu_array.prelu`.
        Under autocast too it is computed in the dtypes that come in.

    Raises
    ------
    TypeError
        If x or alpha is no dense tensor of these dtypes.
    ValueError
        If alpha does not fit x, or is on another device, or `at_zero` is neither word.

    See Also
    --------
    PReLU : The layer.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers: Surpassing
       Human-Level Performance on ImageNet Classification", 2015, arXiv:1502.01852.

    Examples
    --------
    >>> import torch
    >>> from prelu_array.torch import prelu
    >>> x = torch.tensor([[-2.0, 0.0, 3.0], [-4.0, 5.0, -6.0]])
    >>> alpha = torch.tensor([0.5, 0.25], requires_grad=True)
    >>> y = prelu(x, alpha, axis=0)
    >>> y.sum().backward()
    >>> y.tolist(), alpha.grad.tolist()
    ([[-1.0, 0.0, 3.0], [-1.0, 5.0, -1.5]], [-2.0, -10.0])
    """
    at_one = _arguments.at_one(at_zero)
    slope: Any = alpha
    axes: Any = axis
    plain = (
        not is_compiling()
        and is_plain(x)
        and is_plain(slope)
        and x.dtype in FLOATS
        and slope.dtype in FLOATS
        and ((x.is_cpu and slope.is_cpu) or x.device == slope.device)
    )
    if not plain:
        if isinstance(slope, float | int | torch.SymFloat | torch.SymInt):
            slope = alpha_of_number(slope, x)
        check(x, slope)
    if type(axes) is int:
        axes = [axes]
    elif axes is not None:
        axes = list(axes) if isinstance(axes, tuple | list) else [axes]
        _arguments.axes(tuple(axes), None)
    if is_compiling():
        return _operators.prelu(x, slope, axes, at_one)
    if (
        ((x.requires_grad or slope.requires_grad) and torch.is_grad_enabled())
        or forward_ad._current_level >= 0
        or _operators.transforming()
    ):
        return _derivatives.apply(_derivatives.Prelu, x, slope, axes, at_one)
    if plain and not is_seen() and (own := kernels(x)) is not None:
        return own.prelu(x, slope, axes, at_one)
    return _operators.run("prelu", x, slope, axes, at_one)


class PReLU(torch.nn.PReLU):
    """The layer: `prelu` with a learned alpha, one for all or one for each channel.

    In the place of ``torch.nn.PReLU``, of which it is a subclass: the same parameter, `weight`,
    the same ``state_dict``, the same first alphas.

    Parameters
    ----------
    num_parameters : int, optional
        1, or the length of `axis` of the inputs.
    axis : int, optional
        The axis of channels.
    init : float, optional
        What alpha begins with.
    device, dtype : optional
        Of alpha, as in ``torch.nn.PReLU``.

    See Also
    --------
    replace : Makes these of the ``torch.nn.PReLU`` of a model.

    Examples
    --------
    >>> import torch
    >>> from prelu_array.torch import PReLU
    >>> layer = PReLU(3)
    >>> layer(-torch.ones(2, 3)).tolist()
    [[-0.25, -0.25, -0.25], [-0.25, -0.25, -0.25]]
    """

    __constants__ = ["axis", "num_parameters"]  # noqa: RUF012  torch's own way

    def __init__(
        self,
        num_parameters: int = 1,
        axis: int = 1,
        init: float = 0.25,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_axis(axis)
        super().__init__(num_parameters, init, device, dtype)
        self.axis = axis

    if TYPE_CHECKING:  # torch says that a layer returns anything

        def __call__(self, x: torch.Tensor) -> torch.Tensor: ...  # noqa: D102

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y."""
        try:  # one alpha is for all, also of a tensor that has no such axis
            return prelu(x, self.weight, None if self.num_parameters == 1 else self.axis)
        except ValueError as error:
            n, axis = self.num_parameters, self.axis
            if n == 1 or (-x.ndim <= axis < x.ndim and x.shape[axis] == n):
                raise
            raise ValueError(
                f"num_parameters must be 1, or the length of axis {axis} of x, got "
                f"num_parameters {n}, x.shape {tuple(x.shape)}"
            ) from error

    def extra_repr(self) -> str:
        """Return what stands between the parentheses."""
        return f"num_parameters={self.num_parameters}, axis={self.axis}"


def replace(module: torch.nn.Module) -> int:
    """Make every ``torch.nn.PReLU`` in a model a `PReLU`, in place.

    The layers remain the same objects with the same parameters and hooks, so optimizers, shared
    layers and checkpoints do not notice. Subclasses of ``torch.nn.PReLU`` are left alone.

    Parameters
    ----------
    module : torch.nn.Module
        The model; may be such a layer itself.

    Returns
    -------
    int
        How many layers were replaced.

    Raises
    ------
    TypeError
        If `module` is no module.

    Examples
    --------
    >>> import torch
    >>> from prelu_array.torch import replace
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.PReLU())
    >>> replace(model)
    1
    >>> model[1]
    PReLU(num_parameters=1, axis=1)
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {_foreign.kind_of(module)}")
    layers = [layer for layer in module.modules() if type(layer) is torch.nn.PReLU]
    for layer in layers:
        layer.__class__ = PReLU
        layer.axis = 1
    return len(layers)
