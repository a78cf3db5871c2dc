"""
ONNX
====

PRelu for onnx.reference.ReferenceEvaluator, with every bit defined.

Copy this file beside your code; it needs onnx and prelu_array::

    from onnx.reference import ReferenceEvaluator
    from onnx_prelu import PRelu

    (y,) = ReferenceEvaluator(model, new_ops=[PRelu]).run(None, {"x": x})

slope aligns with the last axes of X, as the operator's text says. Where it does not fit, onnx's
own evaluator looks for an axis of slope's length; this one raises an error that names it.
"""

from onnx.reference.op_run import OpRun

import prelu_array


class PRelu(OpRun):
    """The operator PRelu of the main domain, for floating-point tensors."""

    op_domain = ""

    def _run(self, x, slope):
        return (prelu_array.prelu(x, slope),)
