"""The recipes of examples/frameworks: the bits of the reference come out of each framework.

The extra `frameworks` has them all; install a CPU build of torch first, or it brings CUDA.
"""

import importlib.util
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from arrays import PLACEMENTS, alphas, assert_same_bits, drawn, numbers

from prelu_array.testing import (
    reference_prelu,
    reference_prelu_backward,
    reference_prelu_double_backward,
    reference_prelu_jvp,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what the frameworks warn of

FOLDER = Path(__file__).parent.parent / "examples" / "frameworks"
PAIRS = [
    (np.float16, np.float16),
    (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    (np.float32, np.float32),
    (np.float64, np.float64),
    (np.float16, np.float32),
    (np.float32, np.float64),
]
pairs = pytest.mark.parametrize(
    ("dtype", "alpha_dtype"), PAIRS, ids=lambda dtype: np.dtype(dtype).name
)
placements = pytest.mark.parametrize(
    "placement",
    [
        "0-d",
        "size 1",
        "size 1 of more axes than x",
        "trailing",
        "per element",
        "per sample",
        "axis 1, NCHW",
        "axis -1, NHWC",
        "Keras, some axes shared",
        "axes out of order",
    ],
)
at_zeros = pytest.mark.parametrize("at_zero", ["alpha", "one"])


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


def second_order(placement, dtype, alpha_dtype):
    """Draw ddx, ddalpha, dy, x, alpha and the axis."""
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)
    rng = np.random.default_rng(1)
    return numbers(rng, x.shape, dtype), numbers(rng, alpha.shape, alpha_dtype), dy, x, alpha, axis


def smooth(dtype=np.float64):
    """Draw x without a zero nearby, and alpha, for difference quotients."""
    rng = np.random.default_rng(2)
    x = rng.choice([-1, 1], (2, 3, 4)) * rng.uniform(0.5, 2, (2, 3, 4))
    return x.astype(dtype), np.array([0.5, -0.25, 1.5], dtype)


def compare(got, expected, names):
    for a, right, name in zip(got, expected, names, strict=True):
        assert_same_bits(np.asarray(a), right, name)


# ---- PyTorch ----


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def torch_prelu(torch):
    return recipe("torch")


def tensor(a, **options):
    import torch

    if a.dtype == ml_dtypes.bfloat16:
        t = torch.from_numpy(a.view(np.int16).copy()).view(torch.bfloat16)
    else:
        t = torch.from_numpy(a.copy())
    return t.requires_grad_(**options) if options else t


def array(t):
    import torch

    if t.dtype == torch.bfloat16:
        return t.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return t.detach().numpy()


@placements
@pairs
@at_zeros
def test_torch_gradients(torch_prelu, placement, dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)
    t, a = tensor(x, requires_grad=True), tensor(alpha, requires_grad=True)
    y = torch_prelu.prelu(t, a, axis, at_zero)
    y.backward(tensor(dy))
    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    compare(map(array, (y, t.grad, a.grad)), (reference_prelu(x, alpha, axis=axis), *expected),
            ("y", "dx", "dalpha"))  # fmt: skip


@placements
@pairs
def test_torch_second_order(torch, torch_prelu, placement, dtype, alpha_dtype):
    *arrays, axis = second_order(placement, dtype, alpha_dtype)
    ddx, ddalpha = map(tensor, arrays[:2])
    dy, x, alpha = (tensor(a, requires_grad=True) for a in arrays[2:])
    y = torch_prelu.prelu(x, alpha, axis)
    first = torch.autograd.grad(y, (x, alpha), dy, create_graph=True)
    of = torch.autograd.grad(first, (dy, x, alpha), (ddx, ddalpha))
    expected = reference_prelu_double_backward(*arrays, axis=axis)
    compare(map(array, of), expected, ("of dy", "of x", "of alpha"))


@pytest.mark.parametrize("needed", ["x", "alpha"])
def test_torch_computes_what_is_needed(torch, torch_prelu, monkeypatch, needed):
    *arrays, axis = second_order("axis 1, NCHW", np.float32, np.float32)
    ddx, ddalpha, dy, x, alpha = arrays
    t, a = (tensor(v, requires_grad=name == needed) for v, name in ((x, "x"), (alpha, "alpha")))
    backward, needs = torch_prelu.prelu_array.prelu_backward, []

    def spy(*args, need_dx, need_dalpha, **options):
        needs.append((need_dx, need_dalpha))
        return backward(*args, need_dx=need_dx, need_dalpha=need_dalpha, **options)

    monkeypatch.setattr(torch_prelu.prelu_array, "prelu_backward", spy)
    wanted, index = (t, 0) if needed == "x" else (a, 1)
    g = tensor(dy, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch_prelu.prelu(t, a, axis), wanted, g, create_graph=True)
    expected = reference_prelu_backward(dy, x, alpha, axis=axis)[index]
    assert_same_bits(array(gradient), expected)
    assert needs == [(needed == "x", needed == "alpha")]

    (of_dy,) = torch.autograd.grad(gradient, g, tensor((ddx, ddalpha)[index]))
    zeros = [np.zeros_like(ddx), np.zeros_like(ddalpha)]
    zeros[index] = (ddx, ddalpha)[index]
    expected = reference_prelu_double_backward(*zeros, dy, x, alpha, axis=axis)[0]
    assert_same_bits(array(of_dy), expected)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_torch_strides(torch_prelu, dtype):
    """Channels last, every second element, an expanded dy; y and dx lie in memory as x does."""
    x, alpha, dy, axis = drawn("axis 1, NCHW", dtype, dtype)
    spread = tensor(np.repeat(x, 2, axis=3))[..., ::2]
    last = tensor(x.transpose(0, 2, 3, 1).copy()).permute(0, 3, 1, 2)
    for t in (spread, last):
        t.requires_grad_()
        a = tensor(alpha, requires_grad=True)
        y = torch_prelu.prelu(t, a, axis)
        y.backward(tensor(dy[:1, :1, :1, :1]).expand(x.shape))
        one = np.broadcast_to(dy[:1, :1, :1, :1], x.shape)
        expected = reference_prelu_backward(one, x, alpha, axis=axis)
        compare(map(array, (t.grad, a.grad)), expected, ("dx", "dalpha"))
    assert y.stride() == last.stride()


def test_torch_cancellation(torch, torch_prelu):
    """Terms beyond float16's largest number that cancel."""
    alpha = torch.tensor(0.25, dtype=torch.float16, requires_grad=True)
    x = torch.full((100,), -300, dtype=torch.float16)
    torch_prelu.prelu(x, alpha).backward(torch.tensor([300, -300], dtype=torch.float16).repeat(50))
    assert alpha.grad.item() == 0


def test_torch_difference_quotients(torch, torch_prelu):
    x, alpha = (tensor(a, requires_grad=True) for a in smooth())

    def prelu(x, alpha):
        return torch_prelu.prelu(x, alpha, axis=1)

    assert torch.autograd.gradcheck(prelu, (x, alpha))
    assert torch.autograd.gradgradcheck(prelu, (x, alpha))


@pytest.mark.parametrize("operator", ["prelu", "backward", "backward for dx", "double_backward"])
def test_torch_opcheck(torch, torch_prelu, operator):
    """torch's own checks of schema, fake tensors, autograd and tracing."""
    ddx, ddalpha, dy, x, alpha, _ = second_order("axis 1, NCHW", np.float32, np.float32)
    wants = operator != "double_backward"  # there is no third order
    dy, x, alpha = (tensor(a, requires_grad=wants) for a in (dy, x, alpha))
    function, args = {
        "prelu": (torch_prelu._prelu, (x, alpha, [1], "alpha")),
        "backward": (torch_prelu._backward, (dy, x, alpha, [1], "one", True, True)),
        "backward for dx": (torch_prelu._backward, (dy, x, alpha, [1], "one", True, False)),
        "double_backward": (
            torch_prelu._double_backward,
            (tensor(ddx), tensor(ddalpha), dy, x, alpha, [1], "alpha"),
        ),
    }[operator]
    result = torch.library.opcheck(function, args)
    assert set(result.values()) == {"SUCCESS"}


def test_torch_compiled(torch, torch_prelu):
    """One graph, and the same bits."""
    x, alpha, _, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    t, a = tensor(x, requires_grad=True), tensor(alpha, requires_grad=True)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def twice(t, a):
        return torch_prelu.prelu(t * 2, a, axis) * 2

    y = twice(t, a)
    y.backward(torch.ones_like(y))
    dx, dalpha = reference_prelu_backward(np.full_like(x, 2), x * 2, alpha, axis=axis)
    assert_same_bits(array(y), reference_prelu(x * 2, alpha, axis=axis) * 2)
    compare(map(array, (t.grad, a.grad)), (dx * 2, dalpha), ("dx", "dalpha"))


def test_torch_module(torch, torch_prelu):
    """In place of torch.nn.PReLU: its name of alpha, its first alphas, its forward."""
    x, alpha, _, _ = drawn("axis 1, NCHW", np.float32, np.float32)
    theirs, ours = torch.nn.PReLU(3), torch_prelu.PReLU(3)
    assert torch.equal(theirs.weight, ours.weight)
    theirs.weight.data = tensor(alpha)
    ours.load_state_dict(theirs.state_dict())
    assert_same_bits(array(ours(tensor(x))), array(theirs(tensor(x))))
    exported = torch.export.export(ours, (tensor(x),)).module()
    assert torch.equal(exported(tensor(x)), ours(tensor(x)))


def test_torch_says_what_it_has_not(torch, torch_prelu):
    """No zeros in place of a forward mode, no third order."""
    x, alpha = map(tensor, smooth())
    for alpha_ in (alpha, alpha.clone().requires_grad_()):
        with pytest.raises(NotImplementedError, match=r"torch\.autograd\.functional\.jvp"):
            torch.func.jvp(lambda x, a=alpha_: torch_prelu.prelu(x, a, 1), (x,), (x,))
    _, y_dot = torch.autograd.functional.jvp(
        lambda x, a: torch_prelu.prelu(x, a, 1), (x, alpha), (x, alpha)
    )
    expected = reference_prelu_jvp(*map(array, (x, alpha, x, alpha)), axis=1)
    assert_same_bits(array(y_dot), expected)

    a = alpha.requires_grad_()
    gradient = (torch_prelu.prelu(x, a, 1) ** 3).sum()
    for _ in range(2):
        (gradient,) = torch.autograd.grad(gradient.sum(), a, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        gradient.sum().backward()


# ---- JAX ----


@pytest.fixture
def jax():
    """JAX with float64."""
    module = pytest.importorskip("jax", reason="jax is not installed")
    before = module.config.jax_enable_x64
    module.config.update("jax_enable_x64", True)
    yield module
    module.config.update("jax_enable_x64", before)


@pytest.fixture
def jax_prelu(jax):
    return recipe("jax")


@placements
@pairs
@at_zeros
def test_jax_gradients(jax, jax_prelu, placement, dtype, alpha_dtype, at_zero):
    x, alpha, dy, axis = drawn(placement, dtype, alpha_dtype)

    @jax.jit
    def both(x, alpha, dy):
        y, vjp = jax.vjp(lambda x, a: jax_prelu.prelu(x, a, axis, at_zero), x, alpha)
        return y, *vjp(dy)

    expected = reference_prelu_backward(dy, x, alpha, axis=axis, at_zero=at_zero)
    compare(both(x, alpha, dy), (reference_prelu(x, alpha, axis=axis), *expected),
            ("y", "dx", "dalpha"))  # fmt: skip


@placements
@pairs
def test_jax_second_order(jax, jax_prelu, placement, dtype, alpha_dtype):
    *arrays, axis = second_order(placement, dtype, alpha_dtype)

    @jax.jit
    def cotangents(ddx, ddalpha, dy, x, alpha):
        def backward(dy, x, alpha):
            return jax.vjp(lambda x, a: jax_prelu.prelu(x, a, axis), x, alpha)[1](dy)

        return jax.vjp(backward, dy, x, alpha)[1]((ddx, ddalpha))

    expected = reference_prelu_double_backward(*arrays, axis=axis)
    compare(cotangents(*arrays), expected, ("of dy", "of x", "of alpha"))


@placements
@pairs
@at_zeros
def test_jax_forward_mode(jax, jax_prelu, placement, dtype, alpha_dtype, at_zero):
    x_dot, alpha_dot, _, x, alpha, axis = second_order(placement, dtype, alpha_dtype)

    @jax.jit
    def jvp(*primals):
        def prelu(x, alpha):
            return jax_prelu.prelu_forward_mode(x, alpha, axis, at_zero)

        return jax.jvp(prelu, primals, (x_dot, alpha_dot))

    expected = reference_prelu_jvp(x, alpha, x_dot, alpha_dot, axis=axis, at_zero=at_zero)
    compare(jvp(x, alpha), (reference_prelu(x, alpha, axis=axis), expected), ("y", "y_dot"))


@pytest.mark.parametrize("batched", ["x", "alpha", "both"])
@placements
def test_jax_vmap(jax, jax_prelu, placement, batched):
    """Each element of a batch as if it came alone; its own dalpha, too."""
    shape, alpha_shape, axis = PLACEMENTS[placement]
    rng = np.random.default_rng(3)
    x, dy = (numbers(rng, (5, *shape), np.float32) for _ in range(2))
    alpha = rng.permutation(alphas((5, *alpha_shape), np.float32).ravel())
    alpha = alpha.reshape(5, *alpha_shape)
    axes = {"x": (0, None, 0), "alpha": (None, 0, None), "both": (0, 0, 0)}[batched]
    args = [a if k == 0 else a[0] for a, k in zip((x, alpha, dy), axes, strict=True)]

    def both(x, alpha, dy):
        y, vjp = jax.vjp(lambda x, a: jax_prelu.prelu(x, a, axis), x, alpha)
        return y, *vjp(dy)

    got = jax.jit(jax.vmap(both, axes))(*args)
    for k in range(5):
        one = [a[k] if n == 0 else a for a, n in zip(args, axes, strict=True)]
        expected = reference_prelu_backward(one[2], *one[:2], axis=axis)
        compare(
            (a[k] for a in got),
            (reference_prelu(*one[:2], axis=axis), *expected),
            ("y", "dx", "dalpha"),
        )


def test_jax_difference_quotients(jax, jax_prelu):
    from jax.test_util import check_grads

    x, alpha = smooth()
    check_grads(lambda x, a: jax_prelu.prelu(x, a, 1), (x, alpha), order=2, modes=["rev"])
    forward = jax_prelu.prelu_forward_mode
    check_grads(lambda x, a: forward(x, a, 1), (x, alpha), order=1, modes=["fwd"])


def test_jax_numbers_and_wrong_modes(jax, jax_prelu):
    x, alpha = smooth(np.float32)
    y = jax_prelu.prelu(x, 0.25)
    assert_same_bits(np.asarray(y), reference_prelu(x, 0.25))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: jax_prelu.prelu(x, alpha, 1), (x,), (x,))
    for wrong, axis in ((alpha[:2], 1), (alpha, None), (alpha, (0, 1))):
        with pytest.raises((ValueError, RuntimeError), match=r"alpha(\.shape)? must"):
            jax_prelu.prelu(x, wrong, axis).block_until_ready()


def test_jax_large_arrays(jax, jax_prelu):
    """A callback that waits for its own arguments would hang."""
    x = jax.numpy.full((1 << 20,), -1.0, np.float32)
    total = jax.jit(lambda x: jax_prelu.prelu(jax.numpy.sin(x) * 0 + x, 0.5).sum())
    assert float(total(x)) == -(1 << 19)


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
