"""
thinc
=====

PReLU as a layer of thinc.

Copy this file beside your code; it needs thinc and prelu_array::

    from thinc.api import Linear, chain
    from thinc_prelu import PReLU

    model = chain(Linear(64), PReLU(), Linear(10))
    model.initialize(X, Y)

One alpha for each unit (the last axis of X), learned; its gradient is the exact sum over the
batch, rounded once.
"""

from thinc.api import Model

import prelu_array


def PReLU(nO=None, init=0.25):
    """Return the layer; `nO` units, taken from the data if None."""
    return Model(
        "prelu",
        forward,
        init=initialize,
        dims={"nO": nO, "nI": nO},
        params={"alpha": None},
        attrs={"init": init},
    )


def forward(model, X, is_train):
    """Return Y and the function from dY to dX."""
    alpha = model.get_param("alpha")

    def backprop(dY):
        dX, dalpha = prelu_array.prelu_backward(dY, X, alpha, axis=-1)
        model.inc_grad("alpha", dalpha)
        return dX

    return prelu_array.prelu(X, alpha, axis=-1), backprop


def initialize(model, X=None, Y=None):
    """Set the dimensions that are not known yet, and alpha."""
    if X is not None and model.has_dim("nO") is None:
        model.set_dim("nO", X.shape[-1])
        model.set_dim("nI", X.shape[-1])
    alpha = model.ops.alloc1f(model.get_dim("nO"))
    alpha[:] = model.attrs["init"]
    model.set_param("alpha", alpha)
