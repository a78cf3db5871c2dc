"""
PyTensor
========

PReLU for PyTensor (and PyMC), whose gradient of alpha is the exact sum, rounded once.

Copy this file beside your code; it needs pytensor 3 and prelu_array::

    import pytensor
    from pytensor_prelu import prelu

    dalpha = pytensor.grad(prelu(x, alpha, axis=1).sum(), alpha)

Gradients, their gradients, and forward mode (pytensor.gradient.pushforward). `axis` and `at_zero`
are those of prelu_array.prelu_backward.
"""

from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.tensor import as_tensor_variable, zeros_like

import prelu_array


def _given(cotangents, *likes):
    """Return zeros for those that nothing depends on."""
    return [
        zeros_like(like) if isinstance(given.type, DisconnectedType) else given.astype(like.dtype)
        for given, like in zip(cotangents, likes, strict=True)
    ]


class _Op(Op):
    __props__ = ("axis", "at_zero")
    like = (0,)  # which input each output is like

    def __init__(self, axis, at_zero):
        self.axis, self.at_zero = axis, at_zero
        self.options = {"axis": axis, "at_zero": at_zero}

    def of(self, kind, *inputs):
        """Return another operator's outputs, with the same options."""
        return kind(self.axis, self.at_zero)(*inputs, return_list=True)

    def make_node(self, *inputs):
        inputs = [as_tensor_variable(i) for i in inputs]
        return Apply(self, inputs, [inputs[k].type() for k in self.like])

    def infer_shape(self, fgraph, node, shapes):
        return [shapes[k] for k in self.like]

    def perform(self, node, inputs, outputs):
        results = self.compute(*inputs)
        for output, result in zip(
            outputs, results if isinstance(results, tuple) else (results,), strict=True
        ):
            output[0] = result


class _Prelu(_Op):
    def compute(self, x, alpha):
        return prelu_array.prelu(x, alpha, axis=self.axis)

    def pullback(self, inputs, outputs, cotangents):
        dy = _given(cotangents, inputs[0])
        return self.of(_Backward, *dy, *inputs)

    def pushforward(self, inputs, outputs, tangents):
        return self.of(_Jvp, *inputs, *_given(tangents, *inputs))


class _Jvp(_Op):
    def compute(self, *arrays):
        return prelu_array.prelu_jvp(*arrays, **self.options)


class _Backward(_Op):
    like = (1, 2)

    def compute(self, *arrays):
        return prelu_array.prelu_backward(*arrays, **self.options)

    def pullback(self, inputs, outputs, cotangents):
        return self.of(_Second, *_given(cotangents, *inputs[1:]), *inputs)


class _Second(_Op):
    like = (2, 3, 4)

    def compute(self, *arrays):
        return prelu_array.prelu_double_backward(*arrays, **self.options)


def prelu(x, alpha, axis=None, at_zero="alpha"):
    """Return x where x > 0, alpha * x elsewhere."""
    return _Prelu(axis, at_zero)(x, alpha)
