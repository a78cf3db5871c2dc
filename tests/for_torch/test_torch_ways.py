"""`prelu_array.torch` in the ways of torch: transforms, compilation, modes.

Bits are tested in test_torch; here it is beside torch's own PReLU, or beside itself.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from arrays import assert_same_bits, drawn
from frameworks import compare

from prelu_array.testing import reference_prelu, reference_prelu_backward

torch = pytest.importorskip("torch", reason="torch is not installed")

from tensors import Net, array, numbers, with_gradients  # noqa: E402
from torch import func  # noqa: E402

from prelu_array.torch import PReLU, prelu  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns of


def plainly(x, alpha):
    """PReLU of torch's own operations, along axis 1, differentiable any number of times."""
    return torch.where(x > 0, x, alpha[:, None] * x)


# ---- torch.func ----

DERIVATIVES = {
    "grad": lambda f: func.grad(f, (0, 1)),
    "jacrev": lambda f: func.jacrev(f, (0, 1)),
    "jacfwd": lambda f: func.jacfwd(f, (0, 1)),
    "hessian": lambda f: func.hessian(f, (0, 1)),
    "reverse over reverse": lambda f: func.jacrev(func.jacrev(f, (0, 1)), (0, 1)),
    "reverse over forward": lambda f: func.jacrev(func.jacfwd(f, (0, 1)), (0, 1)),
    "forward over forward": lambda f: func.jacfwd(func.jacfwd(f, (0, 1)), (0, 1)),
    "third, in reverse": lambda f: func.jacrev(func.jacrev(func.jacrev(f, 1), 0), 1),
    "third, mixed": lambda f: func.jacfwd(func.jacrev(func.jacfwd(f, 0), 1), 1),
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives_of_any_order(derivative):
    x, alpha = numbers(2, 3, 2), numbers(3, seed=1)
    ours = derivative(lambda x, a: (prelu(x, a, 1) ** 3).sum())(x, alpha)
    theirs = derivative(lambda x, a: (plainly(x, a) ** 3).sum())(x, alpha)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dims", [(0, None, 0), (None, 0, 0), (1, 1, 0), (0, 0, None)])
@pytest.mark.parametrize(
    ("shape", "alpha_shape", "axis"),
    [((3, 4), (3,), 0), ((3, 4), (4,), None), ((3, 4), (1, 1, 1), None), ((3, 4), (4, 3), (1, 0)),
     ((3, 4), (), 1), ((3, 4), (3, 1), None)],
)  # fmt: skip
def test_vmap(dims, shape, alpha_shape, axis):
    """Each element of a batch as if it came alone; its own dalpha, too."""
    x, alpha, dy = numbers(*shape), numbers(*alpha_shape, seed=1), numbers(*shape, seed=2)
    given = [
        t if dim is None else torch.stack([t, -t, t / 2, t * 0.75, t + 1], dim)
        for t, dim in zip((x, alpha, dy), [d and min(d, t.ndim) for d, t in
                                           zip(dims, (x, alpha, dy), strict=True)], strict=True)
    ]  # fmt: skip
    dims = tuple(d and min(d, t.ndim) for d, t in zip(dims, (x, alpha, dy), strict=True))

    def both(x, alpha, dy):
        y, vjp = func.vjp(lambda x, a: prelu(x, a, axis), x, alpha)
        return y, *vjp(dy)

    got = func.vmap(both, dims)(*given)
    for k in range(5):
        one = [t if d is None else t.select(d, k) for t, d in zip(given, dims, strict=True)]
        for a, b in zip(got, both(*one), strict=True):
            assert torch.equal(a[k], b)


def test_batched_gradients_of_autograd():
    x, alpha = numbers(2, 3, 2, requires_grad=True), numbers(3, seed=1, requires_grad=True)
    y, dy = prelu(x, alpha, 1), numbers(4, 2, 3, 2, seed=2)
    dx, dalpha = torch.autograd.grad(y, (x, alpha), dy, is_grads_batched=True)
    for k in range(4):
        expected = torch.autograd.grad(prelu(x, alpha, 1), (x, alpha), dy[k])
        assert torch.equal(dx[k], expected[0])
        assert torch.equal(dalpha[k], expected[1])


def test_per_sample_gradients_of_a_layer():
    """functional_call under vmap of grad: what differential privacy asks for."""
    layer, x = PReLU(3, dtype=torch.float64), numbers(5, 3, 4)

    def loss(parameters, x):
        return func.functional_call(layer, parameters, (x[None],)).square().sum()

    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    each = func.vmap(func.grad(loss), (None, 0))(parameters, x)["weight"]
    for k in range(5):
        assert torch.equal(each[k], func.grad(loss)(parameters, x[k])["weight"])


def test_forward_mode_beside_gradients():
    from torch.autograd import forward_ad

    x, alpha, dot = numbers(2, 3, 2), numbers(3, seed=1, requires_grad=True), numbers(2, 3, 2)
    with forward_ad.dual_level():
        y = prelu(forward_ad.make_dual(x, dot), alpha, 1)
        tangent = forward_ad.unpack_dual(y).tangent
    assert torch.equal(tangent, torch.where(x > 0, dot, alpha[:, None] * dot))
    (dalpha,) = torch.autograd.grad(tangent.sum(), alpha)
    torch.testing.assert_close(dalpha, torch.where(x > 0, 0, dot).sum((0, 2)))


# ---- compilation ----


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch._dynamo.reset()


def test_one_operator_in_one_graph():
    """To Dynamo, that must not break the graph, to AOTAutograd, and with the same bits."""
    x, alpha, _, axis = drawn("axis 1, NCHW", np.float32, np.float32)
    t, a = with_gradients(x, alpha)
    graphs = []

    def backend(graph, inputs):
        graphs.append([str(n.target) for n in graph.graph.nodes if n.op == "call_function"])
        from torch._dynamo.backends.debugging import aot_eager

        return aot_eager(graph, inputs)

    @torch.compile(backend=backend, fullgraph=True)
    def twice(t, a):
        return prelu(t * 2, a, axis) * 2

    y = twice(t, a)
    y.backward(torch.ones_like(y))
    (names,) = graphs
    assert sum("prelu" in name for name in names) == 1
    dx, dalpha = reference_prelu_backward(np.full_like(x, 2), x * 2, alpha, axis=axis)
    assert_same_bits(array(y), reference_prelu(x * 2, alpha, axis=axis) * 2)
    compare(map(array, (t.grad, a.grad)), (dx * 2, dalpha), ("dx", "dalpha"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_compiled(dtype):
    """In one graph, also where they are arguments, and rounded once."""
    x = numbers(3, 5, dtype=dtype)
    compiled = torch.compile(prelu, backend="aot_eager", fullgraph=True)
    for alpha in (0.25, 0.1, 1 + 2**-8 + 2**-40, -1e-30, 3, 5):
        assert torch.equal(compiled(x, alpha), prelu(x, alpha))


def test_lengths_that_change_do_not_recompile():
    counts = []

    def backend(graph, inputs):
        counts.append(graph)
        return graph

    compiled = torch.compile(lambda x, a: prelu(x, a, 1), backend=backend, dynamic=True)
    for n in (3, 5, 8):
        x, a = numbers(n, 4, n + 7), numbers(4, seed=1)
        assert torch.equal(compiled(x, a), prelu(x, a, 1))
    assert len(counts) == 1


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict):
    model, x = Net(PReLU), numbers(2, 1, 8, 8, dtype=torch.float32)
    exported = torch.export.export(model, (x,), strict=strict)
    names = [str(n.target) for n in exported.graph.nodes]
    assert sum(name == "prelu_array.prelu.default" for name in names) == 2
    assert torch.equal(exported.module()(x), model(x))


def test_compiled_training_step():
    """In one graph; the same gradients as without."""
    x, target = numbers(5, 1, 8, 8, dtype=torch.float32), torch.tensor([0, 1, 2, 1, 0])
    gradients = []
    for wrap in (lambda model: model, partial(torch.compile, backend="aot_eager", fullgraph=True)):
        model = Net(PReLU)
        torch.nn.functional.cross_entropy(wrap(model)(x), target).backward()
        gradients.append([p.grad for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "derivative",
    [
        lambda f: lambda x, a: func.grad(f, 1)(x, a),
        lambda f: lambda x, a: func.jvp(lambda a: f(x, a), (a,), (a,))[1],
        lambda f: lambda x, a: func.vmap(f, (0, None))(x[:, None], a),
    ],
    ids=["grad", "jvp", "vmap"],
)
def test_transforms_in_what_is_compiled(derivative):
    """The first two break the graph, and are right."""
    x, alpha = numbers(2, 3, 2), numbers(3, seed=1)
    function = derivative(lambda x, a: (prelu(x, a, 1) ** 2).sum())
    assert torch.allclose(
        torch.compile(function, backend="aot_eager")(x, alpha), function(x, alpha)
    )


def test_symbolically_traced():
    model, x = Net(PReLU), numbers(2, 1, 8, 8, dtype=torch.float32)
    assert torch.equal(torch.fx.symbolic_trace(model)(x), model(x))


def test_traced():
    x, other, alpha = numbers(2, 3), numbers(2, 3, seed=2), numbers(3, seed=1)
    traced = torch.jit.trace(lambda x: prelu(x, alpha, 1), (x,))
    assert torch.equal(traced(other), prelu(other, alpha, 1))


def test_seen_by_modes_and_profilers():
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    with Mode():
        prelu(numbers(2, 3), 0.5)
    assert "prelu_array.prelu.default" in seen
    with torch.profiler.profile() as profile:
        prelu(numbers(2, 3), 0.5)
    assert "prelu_array::prelu" in {event.key for event in profile.key_averages()}


def test_tensors_that_are_more_than_their_memory():
    x = torch.complex(numbers(2, 3), numbers(2, 3, seed=1))
    negative = x.conj().imag
    assert negative.is_neg()
    assert torch.equal(prelu(negative, 0.5), prelu(-x.imag, 0.5))
    alpha = numbers(3, seed=1, requires_grad=True)
    y = prelu(numbers(2, 3), alpha, 1)
    (dalpha,) = torch.autograd.grad(y, alpha, negative)
    y = prelu(numbers(2, 3), alpha, 1)
    assert torch.equal(dalpha, torch.autograd.grad(y, alpha, -x.imag)[0])


def test_device_without_memory():
    x = torch.empty(2, 3, 4, device="meta", requires_grad=True)
    y = prelu(x, torch.empty(3, device="meta"), 1)
    assert (y.shape, y.device.type) == (x.shape, "meta")
    y.sum().backward()
    assert x.grad.shape == x.shape
