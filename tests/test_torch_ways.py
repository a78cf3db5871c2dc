"""`prelu_array.torch` in the ways of torch: transforms, compilation, the layer, errors, memory.

Bits are tested in test_torch; here it is beside torch's own PReLU, or beside itself.
"""

from __future__ import annotations

import copy
import io
from functools import partial

import numpy as np
import pytest
from arrays import assert_same_bits, drawn
from frameworks import compare

from prelu_array.testing import reference_prelu, reference_prelu_backward

torch = pytest.importorskip("torch", reason="torch is not installed")

from test_torch import array, with_gradients  # noqa: E402
from torch import func  # noqa: E402

from prelu_array.torch import PReLU, prelu, replace  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns of


def numbers(*shape, dtype=torch.float64, seed=0, **options):
    """Draw numbers away from 0, a half of them negative."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.rand(shape, generator=generator, dtype=torch.float64) * 3 - 1.5
    return (t + t.sign() / 8).to(dtype).requires_grad_(options.get("requires_grad", False))


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


class Net(torch.nn.Module):
    """A small convolutional net."""

    def __init__(self, kind, channels=4):
        super().__init__()
        torch.manual_seed(0)
        conv = torch.nn.Conv2d
        self.layers = torch.nn.Sequential(
            conv(1, channels, 3), kind(channels), conv(channels, 2, 3), kind(), torch.nn.Flatten(),
            torch.nn.Linear(32, 3),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


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


# ---- the layer ----


def test_in_the_place_of_torchs():
    """Its name of alpha, its first alphas, its forward; also the whole layer saved."""
    theirs, ours = torch.nn.PReLU(3), PReLU(3)
    assert isinstance(ours, torch.nn.PReLU)
    assert torch.equal(theirs.weight, ours.weight)
    torch.nn.init.normal_(theirs.weight)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict())
    x = numbers(2, 3, 4, dtype=torch.float32)
    assert torch.equal(ours(x), theirs(x))
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    for other in (torch.load(file, weights_only=False), copy.deepcopy(ours)):
        assert torch.equal(other(x), theirs(x))
    assert repr(ours) == "PReLU(num_parameters=3, axis=1)"
    assert PReLU(2, init=0.5, dtype=torch.float64).weight.tolist() == [0.5, 0.5]


def test_axis_of_the_layer():
    x = numbers(2, 5, 3, dtype=torch.float32)
    layer = PReLU(3, axis=-1)
    torch.nn.init.normal_(layer.weight)
    assert torch.equal(layer(x), prelu(x, layer.weight, -1))
    assert PReLU()(numbers(4)).shape == (4,)
    with pytest.raises(TypeError, match="axis must be"):
        PReLU(3, 0.25)


@pytest.mark.parametrize("shape", [(2, 4, 3), (3,), ()])
def test_a_layer_that_does_not_fit_names_its_argument(shape):
    with pytest.raises(ValueError, match=r"num_parameters must be 1, or .* got num_parameters 3"):
        PReLU(3)(torch.zeros(shape))


def test_replace():
    shared = torch.nn.PReLU(4)
    model = torch.nn.ModuleDict(
        {"a": shared, "b": torch.nn.Sequential(torch.nn.PReLU(), shared), "c": Net(torch.nn.PReLU)}
    )
    before, weights = list(model.modules()), list(model.parameters())
    calls = []
    shared.register_forward_hook(lambda *args: calls.append(args))
    assert replace(model) == 4
    assert replace(model) == 0
    assert list(model.modules()) == before
    assert [id(p) for p in model.parameters()] == [id(p) for p in weights]
    assert not [m for m in model.modules() if type(m) is torch.nn.PReLU]
    shared(numbers(2, 4, dtype=torch.float32))
    assert len(calls) == 1
    root = torch.nn.PReLU()
    assert replace(root) == 1
    assert type(root) is PReLU
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module, got int"):
        replace(3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_training_step(channels_last):
    """The gradients of a net are torch's, but for rounding; so is its next loss."""
    x, target = numbers(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    losses = []
    for kind in (torch.nn.PReLU, PReLU):
        model = Net(kind).double()
        if channels_last:
            model, x = (t.to(memory_format=torch.channels_last) for t in (model, x))
        optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)
        for _ in range(3):
            loss = torch.nn.functional.cross_entropy(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    torch.testing.assert_close(losses[:3], losses[3:])


def test_checkpointed_hooked_and_replicated():
    from torch.utils.checkpoint import checkpoint

    layer, x = PReLU(3), numbers(2, 3, 4, dtype=torch.float32, requires_grad=True)
    seen = []
    layer.register_full_backward_hook(lambda module, dx, dy: seen.append(dx[0]))
    layer(x).sum().backward()
    dx, dalpha = x.grad, layer.weight.grad
    assert torch.equal(seen[0], dx)
    for use_reentrant in (False, True):
        x.grad = layer.weight.grad = None
        checkpoint(layer, x, use_reentrant=use_reentrant).sum().backward()
        assert torch.equal(x.grad, dx)
        assert torch.equal(layer.weight.grad, dalpha)
    replica = layer._replicate_for_data_parallel()
    replica.weight = layer.weight
    assert torch.equal(replica(x), layer(x))


def test_autocast_computes_in_what_comes_in():
    layer = PReLU(3)
    with torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            x = numbers(2, 3, 4, dtype=dtype)
            assert torch.equal(layer(x), prelu(x, layer.weight, 1))
            assert layer(x).dtype is dtype


# ---- memory ----


@pytest.mark.parametrize("memory", ["contiguous", "channels last", "every second"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_outputs(memory, dtype):
    """They are NumPy's memory, and lie as torch's do."""
    x = numbers(8, 64, 96, 96, dtype=dtype)
    if memory == "channels last":
        x = x.to(memory_format=torch.channels_last)
    elif memory == "every second":
        x = torch.cat([x, x])[::2]
    alpha = numbers(64, dtype=dtype, seed=1, requires_grad=True)
    x.requires_grad_()
    y = prelu(x, alpha, 1)
    y.backward(torch.ones(()).to(dtype).expand(x.shape))
    for t in (y, x.grad):
        assert t.stride() == torch.empty_like(x).stride()
    small = slice(3, 4)
    assert torch.equal(y[small], prelu(x[small], alpha, 1))
    assert torch.equal(x.grad, torch.where(x > 0, 1, alpha[:, None, None]).to(dtype))


def test_storage_remains_resizable():
    """As sharded training needs it; x.numpy() would end that."""
    x, alpha = numbers(2, 3, requires_grad=True), numbers(3, seed=1, requires_grad=True)
    y = prelu(x, alpha, 1)
    y.sum().backward()
    for t in (x, alpha, y, x.grad, alpha.grad):
        t.untyped_storage().resize_(0)


def test_in_inference_mode():
    with torch.inference_mode():
        y = prelu(numbers(2, 3), 0.5)
        assert y.is_inference()
        large = prelu(torch.ones(1 << 20), 0.5)
        assert large.is_inference()


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), ()])
def test_no_elements(shape):
    x = torch.ones(shape, requires_grad=True)
    alpha = torch.full((3,) if shape else (), 0.5, requires_grad=True)
    prelu(x, alpha, 1 if shape else None).sum().backward()
    assert x.grad.shape == shape
    assert alpha.grad.tolist() == ([0, 0, 0] if shape else 0)


def test_y_may_be_changed_in_place():
    x, alpha = numbers(2, 3, requires_grad=True), numbers(3, seed=1, requires_grad=True)
    y = prelu(x[:, :2], alpha[:2], 1)
    y.mul_(2)
    y.sum().backward()
    assert x.grad[:, 2].tolist() == [0, 0]


# ---- what may come in ----


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint32, torch.uint64])
def test_integers(dtype):
    x = torch.tensor([[3, 1], [0, 7]]).to(dtype)
    assert prelu(x, 2).tolist() == x.tolist()
    assert prelu(x, torch.tensor(2).to(dtype)).dtype is dtype
    if dtype in (torch.int32, torch.int64):
        assert prelu(-x, 2).tolist() == [[-6, -2], [0, -14]]
    with pytest.raises(TypeError, match="alpha must be a Python int or have x's dtype"):
        prelu(x, 0.5)
    with pytest.raises(ValueError, match="alpha must fit x's dtype"):
        prelu(x, 2**64)


@pytest.mark.parametrize(
    ("number", "dtype", "expected"),
    [
        (1 + 2**-8 + 2**-40, torch.bfloat16, 1 + 2**-7),
        (1 + 2**-11 + 2**-40, torch.float16, 1 + 2**-10),
        (1 + 2**-24 + 2**-50, torch.float32, 1 + 2**-23),
        (2.0**-25, torch.float16, 0),
        (-(2.0**-134) * 1.5, torch.bfloat16, -(2.0**-133)),
        (2**60, torch.float32, 2.0**60),
    ],
)
def test_a_number_is_rounded_once(number, dtype, expected):
    assert prelu(-torch.ones(1, dtype=dtype), number).item() == -expected


X = torch.zeros(2, 3)
REFUSED = {
    "array": (lambda: prelu(np.zeros(3), 0.5), TypeError, r"x must be a tensor, got numpy\.ndarray; use torch\.as_tensor\(x\)"),
    "array as alpha": (lambda: prelu(X, np.zeros(3)), TypeError, r"alpha must be a number or a tensor, got numpy\.ndarray"),
    "list": (lambda: prelu([1.0], 0.5), TypeError, "x must be a tensor, got list"),
    "bool": (lambda: prelu(X, True), TypeError, "alpha must be a number or a tensor, got True"),
    "none": (lambda: prelu(X, None), TypeError, "alpha must be a number or a tensor, got NoneType"),
    "sparse": (lambda: prelu(X.to_sparse(), 0.5), TypeError, r"x must be dense, got layout torch\.sparse_coo; use x\.to_dense\(\)"),
    "complex": (lambda: prelu(X.cfloat(), 0.5), TypeError, r"got torch\.complex64; use x\.real"),
    "int16": (lambda: prelu(X.short(), 0.5), TypeError, r"got torch\.int16; convert it, for example with x\.float\(\)"),
    "alpha of integers": (lambda: prelu(X, torch.ones(3).int(), 1), TypeError, r"alpha must be float16.*got torch\.int32; use alpha\.to\(x\.dtype\)"),
    "device": (lambda: prelu(X, torch.ones(3, device="meta"), 1), ValueError, r"alpha must be on x's device cpu, got meta; use alpha\.to\(x\.device\)"),
    "too large": (lambda: prelu(X, 1e39), ValueError, "alpha must fit x's dtype torch.float32, got 1e"),
    "too large an int": (lambda: prelu(X, 10**400), ValueError, "alpha must fit x's dtype"),
    "shape": (lambda: prelu(X, torch.ones(3), 0), ValueError, r"alpha\.shape must be \(2,\).*axis=1 would fit"),
    "shapes": (lambda: prelu(X, torch.ones(2)), ValueError, r"alpha\.shape must broadcast.*axis=0 would fit"),
    "axis": (lambda: prelu(X, torch.ones(3), 5), ValueError, "axis must lie between -2 and 1"),
    "axis of floats": (lambda: prelu(X, torch.ones(3), 1.0), TypeError, "axis must be None, an integer"),
    "axis twice": (lambda: prelu(X, torch.ones(2, 3), (0, 0)), ValueError, "axis must not repeat"),
    "at_zero": (lambda: prelu(X, 0.5, at_zero="left"), ValueError, "at_zero must be 'alpha' or 'one', got 'left'"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_errors(call, error, message):
    for _ in range(2):
        with pytest.raises(error, match=message):
            call()
