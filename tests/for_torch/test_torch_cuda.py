"""`prelu_array.torch` on a CUDA device: the CPU's bits, whatever starts the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import drawn
from frameworks import at_zeros, pairs, placements, second_order

torch = pytest.importorskip("torch", reason="torch is not installed")
if not torch.cuda.is_available():
    pytest.skip("torch finds no CUDA device", allow_module_level=True)
pytest.importorskip("cupy", reason="tensors on CUDA need CuPy", exc_type=ImportError)

from tensors import tensor  # noqa: E402

from prelu_array.torch import prelu  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns of


def same_bits(got, expected):
    for a, b in zip(got, expected, strict=True):
        a, b = a.detach().cpu(), b.detach()
        size = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.itemsize]
        differ = (a.contiguous().view(size) != b.contiguous().view(size)) & ~(
            a.isnan() & b.isnan()
        )
        assert a.dtype == b.dtype
        assert not differ.any()


def gradients(x, alpha, dy, axis=1, at_zero="alpha"):
    x, alpha = x.detach().requires_grad_(), alpha.detach().requires_grad_()
    y = prelu(x, alpha, axis, at_zero)
    return y, *torch.autograd.grad(y, (x, alpha), dy)


def images(n=8, channels=64, side=14, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(n, channels, side, side, generator=generator).to(dtype) for _ in range(2))
    return x, torch.linspace(-1, 1, channels).to(dtype), dy


def there(tensors):
    return [t.cuda() for t in tensors]


@placements
@pairs
@at_zeros
def test_gradients(placement, dtype, alpha_dtype, at_zero):
    *arrays, axis = drawn(placement, dtype, alpha_dtype)
    tensors = [tensor(a) for a in arrays]
    expected = gradients(*tensors, axis, at_zero)
    same_bits(gradients(*there(tensors), axis, at_zero), expected)


@placements
@pairs
def test_second_order(placement, dtype, alpha_dtype):
    *arrays, axis = second_order(placement, dtype, alpha_dtype)

    def second(ddx, ddalpha, *rest):
        dy, x, alpha = (t.requires_grad_() for t in rest)
        first = torch.autograd.grad(prelu(x, alpha, axis), (x, alpha), dy, create_graph=True)
        return torch.autograd.grad(first, (dy, x, alpha), (ddx, ddalpha))

    tensors = [tensor(a) for a in arrays]
    same_bits(second(*there(tensors)), second(*tensors))


@pytest.mark.parametrize("memory", ["channels last", "gaps", "expanded dy"])
def test_strides(memory):
    x, alpha, dy = images()
    if memory == "channels last":
        x, dy = (t.to(memory_format=torch.channels_last) for t in (x, dy))
    elif memory == "gaps":
        x = x[..., ::2]
        dy = dy[..., ::2]
    expected = gradients(x, alpha, dy[:1].expand(x.shape) if memory == "expanded dy" else dy)
    x, alpha, dy = there((x, alpha, dy))
    same_bits(
        gradients(x, alpha, dy[:1].expand(x.shape) if memory == "expanded dy" else dy), expected
    )


def test_four_streams():
    tensors = images(side=56)
    expected, given = gradients(*tensors), there(tensors)
    streams, results = [torch.cuda.Stream() for _ in range(4)], []
    torch.cuda.synchronize()
    for stream in streams * 5:
        with torch.cuda.stream(stream):
            results.append(gradients(*given))
    torch.cuda.synchronize()
    for result in results:
        same_bits(result, expected)


@pytest.mark.parametrize("side", [14, 112])
def test_captured_and_replayed(side):
    x, alpha, dy = images(side=side)
    given = there((x, alpha, dy))
    side_stream = torch.cuda.Stream()
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        gradients(*given)  # compiles the kernels
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = gradients(*given)
    for factor in (1, -2, 0.5):
        given[0].copy_(x * factor)
        graph.replay()
        same_bits(results, gradients(x * factor, alpha, dy))


def test_compiled():
    tensors = images()
    compiled = torch.compile(lambda x, a: prelu(x, a, 1), fullgraph=True, backend="aot_eager")
    x, alpha, dy = there(tensors)
    x.requires_grad_(), alpha.requires_grad_()
    y = compiled(x, alpha)
    same_bits((y, *torch.autograd.grad(y, (x, alpha), dy)), gradients(*tensors))


def test_the_allocator_knows_every_byte():
    x, alpha, dy = there(images(side=56))
    gradients(x, alpha, dy)
    torch.cuda.synchronize()
    import cupy

    before = cupy.get_default_memory_pool().total_bytes()
    gradients(x, alpha, dy)
    assert cupy.get_default_memory_pool().total_bytes() == before


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_another_device_than_the_current_one():
    tensors = images()
    same_bits(gradients(*[t.to("cuda:1") for t in tensors]), gradients(*tensors))


def test_integers():
    x = torch.tensor([[3, -1, 0], [-7, 2, 5]])
    alpha = torch.tensor([2, -3, 4])
    assert torch.equal(prelu(x.cuda(), alpha.cuda(), 1).cpu(), prelu(x, alpha, 1))
    assert np.array_equal(prelu(x.cuda(), 2).cpu(), prelu(x, 2))
