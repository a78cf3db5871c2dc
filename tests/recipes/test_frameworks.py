"""The recipes of examples/frameworks: the bits of the reference come out of each framework.

The extra `frameworks` has them all; install a CPU build of torch first, or it brings CUDA.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from arrays import alphas, assert_same_bits, drawn
from frameworks import at_zeros, compare, placements, second_order, smooth

from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what the frameworks warn of

FOLDER = Path(__file__).parents[2] / "examples" / "frameworks"


def recipe(name):
    """Return examples/frameworks/NAME_prelu.py as a module, imported once."""
    pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[frameworks]'")
    name = f"{name}_prelu"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


# ---- the examples of prelu_array.torch and prelu_array.jax ----


def test_torch_example():
    """The last of the losses of both kinds agree."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    module = runpy.run_path(str(FOLDER / "torch_digits.py"))
    import torch

    theirs, ours = module["net"](), module["net"]()
    assert module["replace"](ours) == 3
    losses = [module["train"](model, torch.float32, 1)["loss"] for model in (theirs, ours)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_jax_example(capsys):
    pytest.importorskip("jax", reason="jax is not installed")
    module = runpy.run_path(str(FOLDER / "jax_fit.py"))
    assert module["main"]() < 1e-5
    assert len(capsys.readouterr().out.splitlines()) == 6


# ---- autograd ----


@pytest.fixture
def autograd():
    return pytest.importorskip("autograd", reason="autograd is not installed")


@pytest.fixture
def autograd_prelu(autograd):
    return recipe("autograd")


pairs_of_autograd = pytest.mark.parametrize(
    "dtype", [np.float32, np.float64], ids=lambda dtype: np.dtype(dtype).name
)  # it knows no bfloat16, and no two dtypes in one expression


def as_a_sum(a):
    """Return what autograd makes of a member of a tuple: it adds a zero, so that -0 is +0."""
    return a + a.dtype.type(0)


@placements
@pairs_of_autograd
@at_zeros
def test_autograd_gradients(autograd, autograd_prelu, placement, dtype, at_zero):
    """One by one, and both in one pass."""
    x, alpha, dy, axis = drawn(placement, dtype, dtype)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    for k, name in enumerate(("dx", "dalpha")):
        vjp, y = autograd.make_vjp(autograd_prelu.prelu, k)(x, alpha, axis, at_zero)
        assert_same_bits(y, reference_prelu(x, alpha, axis=axis), "y")
        assert_same_bits(vjp(dy), expected[k], name)

    vjp, _ = autograd.make_vjp(lambda both: autograd_prelu.prelu(*both, axis, at_zero=at_zero))(
        (x, alpha)
    )
    compare(vjp(dy), map(as_a_sum, expected), ("dx", "dalpha"))


@placements
@pairs_of_autograd
def test_autograd_second_order(autograd, autograd_prelu, placement, dtype):
    *arrays, axis = second_order(placement, dtype, dtype)
    ddx, ddalpha, *inputs = map(as_a_sum, arrays)

    def backward(inputs):
        dy, x, alpha = inputs
        vjp, _ = autograd.make_vjp(lambda b: autograd_prelu.prelu(*b, axis=axis))((x, alpha))
        return vjp(dy)

    vjp, _ = autograd.make_vjp(backward)(tuple(inputs))
    expected = reference_prelu_double_backward(ddx, ddalpha, *inputs, axis=axis)
    compare(vjp((ddx, ddalpha)), map(as_a_sum, expected), ("of dy", "of x", "of alpha"))


@placements
@pairs_of_autograd
@at_zeros
def test_autograd_forward_mode(autograd, autograd_prelu, placement, dtype, at_zero):
    x_dot, alpha_dot, _, x, alpha, axis = second_order(placement, dtype, dtype)
    jvp = autograd.differential_operators.make_jvp(
        lambda both: autograd_prelu.prelu(*both, axis=axis, at_zero=at_zero), 0
    )
    expected = reference_prelu_jvp(x, alpha, x_dot, alpha_dot, axis=axis, at_zero=at_zero)
    assert_same_bits(jvp((x, alpha))((x_dot, alpha_dot))[1], expected)


def test_autograd_difference_quotients(autograd, autograd_prelu):
    from autograd.test_util import check_grads

    x, alpha = smooth()
    prelu = autograd_prelu.prelu
    check_grads(lambda x, a: prelu(x, a, 1), modes=["rev"], order=2)(x, alpha)
    check_grads(lambda x, a: prelu(x, a, 1), modes=["fwd"], order=1)(x, alpha)
    check_grads(lambda a: prelu(x, a), modes=["rev"], order=2)(0.25)
    check_grads(lambda x: prelu(x, 0.25), modes=["rev"], order=2)(x)


def test_autograd_number_beside_float32(autograd, autograd_prelu):
    x, _ = smooth(np.float32)

    def dalpha(x):
        return autograd.grad(lambda a: autograd_prelu.prelu(x, a).sum())(0.25)

    gradient = autograd.grad(dalpha)(x)  # 1 where alpha counts
    assert_same_bits(gradient, (x < 0).astype(np.float32))


# ---- ONNX ----


@pytest.mark.parametrize("case", ["test_prelu_example", "test_prelu_broadcast"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_onnx_evaluator(case, dtype):
    """The package's node test, evaluated with the recipe's operator."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx.reference import ReferenceEvaluator

    module = recipe("onnx")
    x, slope, _, _ = drawn("per element", dtype, dtype)
    x = x[:3].reshape(3, -1)[:, :15].reshape(3, 3, 5)
    slope = alphas((3, 3, 5) if case == "test_prelu_example" else (5,), dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("PRelu", ["x", "slope"], ["y"])],
        case,
        [info("x", kind, x.shape), info("slope", kind, slope.shape)],
        [info("y", kind, x.shape)],
    )
    model = onnx.helper.make_model(graph)
    evaluator = ReferenceEvaluator(model, new_ops=[module.PRelu])
    (y,) = evaluator.run(None, {"x": x, "slope": slope})
    assert_same_bits(y, reference_prelu(x, slope))
    with pytest.raises(ValueError, match=r"alpha\.shape must broadcast"):
        evaluator.run(None, {"x": x, "slope": alphas((7,), dtype)})


# ---- thinc ----


@pytest.fixture
def thinc():
    pytest.importorskip("thinc", reason="thinc is not installed")
    import thinc.api

    return thinc.api


def test_thinc_gradients(thinc):
    x, alpha, dy, _ = drawn("axis -1, whole groups", np.float32, np.float32)
    layer = recipe("thinc").PReLU()
    layer.initialize(x)
    assert_same_bits(layer.get_param("alpha"), np.full(64, 0.25, np.float32))
    layer.set_param("alpha", alpha)
    y, backprop = layer.begin_update(x)
    dx = backprop(dy)
    expected = reference_prelu_backward(dy, x, alpha, axis=-1)
    compare(
        (y, dx, layer.get_grad("alpha")),
        (reference_prelu(x, alpha, axis=-1), *expected),
        ("y", "dx", "dalpha"),
    )


def test_thinc_learns(thinc):
    """|x| is a sum of two PReLUs, which no linear layer is."""
    thinc.fix_random_seed(0)
    x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    model = thinc.chain(thinc.Linear(4), recipe("thinc").PReLU(), thinc.Linear(1))
    model.initialize(x, x)
    optimizer = thinc.Adam(0.02)
    for _ in range(300):
        y, backprop = model.begin_update(x)
        backprop((y - abs(x)) / len(x))
        model.finish_update(optimizer)
    assert np.mean((model.predict(x) - abs(x)) ** 2) < 1e-3
    assert np.ptp(model.layers[1].get_param("alpha")) > 0
