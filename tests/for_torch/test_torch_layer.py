"""`prelu_array.torch`: the layer, memory, and what may come in."""

from __future__ import annotations

import copy
import doctest
import io
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from tensors import Net, numbers  # noqa: E402

from prelu_array.torch import PReLU, prelu, replace  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns of


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


def test_saved_tensors_and_hooks():
    """What torch saves may be moved, and what was changed in place is noticed."""
    layer, x = PReLU(3), numbers(2, 3, 4, dtype=torch.float32, requires_grad=True)
    layer(x).sum().backward()
    dx, dalpha = x.grad.clone(), layer.weight.grad.clone()
    x.grad = layer.weight.grad = None
    layer.weight.register_hook(lambda gradient: 2 * gradient)
    with torch.autograd.graph.save_on_cpu():
        layer(x).sum().backward()
    assert torch.equal(x.grad, dx)
    assert torch.equal(layer.weight.grad, 2 * dalpha)
    changed = x * 1
    y = layer(changed)
    changed.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_subclasses_of_tensors():
    class Named(torch.Tensor):
        pass

    x, alpha = numbers(2, 3), numbers(3, seed=1)
    for requires_grad in (False, True):
        y = prelu(x.as_subclass(Named).requires_grad_(requires_grad), alpha, 1)
        assert type(y) is Named
        assert torch.equal(y.as_subclass(torch.Tensor), prelu(x, alpha, 1))


# ---- memory ----


@pytest.mark.parametrize("memory", ["contiguous", "channels last", "every second"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_outputs(memory, dtype):
    """They ask for huge pages, and lie as torch's do."""
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
    "array": (lambda: prelu(np.zeros(3), 0.5), "x must be a tensor, got numpy.ndarray; use torch"),
    "array as alpha": (lambda: prelu(X, np.zeros(3)), "alpha must be a number or a tensor, got"),
    "list": (lambda: prelu([1.0], 0.5), "x must be a tensor, got list"),
    "bool": (lambda: prelu(X, True), "alpha must be a number or a tensor, got True"),
    "none": (lambda: prelu(X, None), "alpha must be a number or a tensor, got NoneType"),
    "sparse": (lambda: prelu(X.to_sparse(), 0.5), "got layout torch.sparse_coo; use x.to_dense()"),
    "complex": (lambda: prelu(X.cfloat(), 0.5), "got torch.complex64; use x.real"),
    "int16": (lambda: prelu(X.short(), 0.5), "convert it, for example with x.float()"),
    "alpha of integers": (
        lambda: prelu(X, torch.ones(3).int(), 1),
        "float32 or float64, got torch.int32; use alpha.to(x.dtype)",
    ),
    "device": (
        lambda: prelu(X, torch.ones(3, device="meta"), 1),
        "alpha must be on x's device cpu, got meta; use alpha.to(x.device)",
    ),
    "too large": (lambda: prelu(X, 1e39), "alpha must fit x's dtype torch.float32, got 1e"),
    "too large an int": (lambda: prelu(X, 10**400), "alpha must fit x's dtype torch.float32"),
    "shape": (lambda: prelu(X, torch.ones(3), 0), "alpha.shape must be (2,), the length of axis"),
    "shapes": (lambda: prelu(X, torch.ones(2)), "; axis=0 would fit"),
    "axis": (lambda: prelu(X, torch.ones(3), 5), "axis must lie between -2 and 1"),
    "axis of floats": (lambda: prelu(X, torch.ones(3), 1.0), "axis must be None, an integer"),
    "axis twice": (lambda: prelu(X, torch.ones(2, 3), (0, 0)), "axis must not repeat"),
    "at_zero": (lambda: prelu(X, 0.5, at_zero="left"), "at_zero must be 'alpha' or 'one', got"),
    "at_zero in an array": (
        lambda: prelu(X, 0.5, at_zero=np.array(["alpha", "one"])),
        "at_zero must be 'alpha' or 'one', got array(",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_errors(call, message):
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            call()


@pytest.mark.parametrize("thing", [prelu, PReLU, replace])
def test_examples_of_the_docstrings(thing):
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__)
    report = []
    assert test.examples
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


def test_the_module_is_not_torch():
    import prelu_array.torch

    assert prelu_array.torch.torch is torch
    assert "prelu_array" not in torch.__name__
