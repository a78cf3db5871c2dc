"""Arrays of other libraries: a TypeError that names the argument, its kind and a cure that works.

The cures are run: the code in the message, on the array that was refused.
"""

import multiprocessing
import re
import sys
from collections import UserList
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from arrays import assert_same_bits

import prelu_array
from prelu_array import dalpha_from_partial, prelu, prelu_backward, prelu_backward_partial, testing
from prelu_array.testing import reference_prelu, reference_prelu_backward

pytestmark = pytest.mark.filterwarnings("ignore")  # what other libraries warn of

ROOT = Path(__file__).parent.parent
X = np.array([[-1.5, 0.0, 2.0], [3.0, -0.25, -4.0]], np.float32)


def library(name):
    package = name.partition(".")[0]
    return pytest.importorskip(name, reason=f"{package} is not installed; extra frameworks")


def tensor(a, **options):
    torch = library("torch")
    if a.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
    return torch.tensor(a, **options)


def nullable(a):
    return library("pandas").DataFrame(a).convert_dtypes(convert_integer=False)


class ArrayInterface:
    def __init__(self, a):
        self.a = a

    @property
    def __array_interface__(self):
        return self.a.__array_interface__


# How to make one of an array, and a part of its type's name.
KINDS = {
    "masked": (np.ma.masked_array, "MaskedArray"),
    "matrix": (np.asmatrix, "matrix"),
    "subclass": (lambda a: a.view(np.recarray), "recarray"),
    "iterator": (lambda a: iter(a.tolist()), "list_iterator"),
    "sequence": (lambda a: UserList(a.tolist()), "collections.UserList"),
    "array interface": (ArrayInterface, "ArrayInterface"),
    "array API": (lambda a: library("array_api_strict").asarray(a), "array_api_strict"),
    "ctypes": (np.ctypeslib.as_ctypes, "c_float_Array"),
    "sparse": (lambda a: library("sparse").COO(a), "sparse."),
    "SciPy sparse": (lambda a: library("scipy.sparse").csr_array(a), "scipy.sparse"),
    "SciPy sparse matrix": (lambda a: library("scipy.sparse").csc_matrix(a), "scipy.sparse"),
    "DataArray": (lambda a: library("xarray").DataArray(a, dims=("row", "column")), "DataArray"),
    "Variable": (lambda a: library("xarray").Variable(("row", "column"), a), "Variable"),
    "Dataset": (
        lambda a: library("xarray").Dataset({f"row{k}": ("column", a[k]) for k in range(len(a))}),
        "Dataset",
    ),
    "DataFrame": (lambda a: library("pandas").DataFrame(a), "DataFrame"),
    "nullable DataFrame": (nullable, "DataFrame"),
    "JAX": (lambda a: library("jax.numpy").asarray(a), "jaxlib"),
    "JAX, bfloat16": (
        lambda a: library("jax.numpy").asarray(a.astype(ml_dtypes.bfloat16)),
        "jaxlib",
    ),
    "tensor": (tensor, "torch.Tensor"),
    "tensor, bfloat16": (lambda a: tensor(a.astype(ml_dtypes.bfloat16)), "torch.Tensor"),
    "tensor, not contiguous": (lambda a: tensor(a.T.copy()).T, "torch.Tensor"),
    "tensor, negated view": (lambda a: (tensor(a) * 1j).conj().imag.neg(), "torch.Tensor"),
    "tensor, sparse": (lambda a: tensor(a).to_sparse(), "torch.Tensor"),
    "tensor with a gradient": (lambda a: tensor(a, requires_grad=True), "torch.Tensor"),
    "parameter": (lambda a: library("torch").nn.Parameter(tensor(a)), "torch.nn.parameter"),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def refused(function, *args, **options):
    """Return the message of the TypeError, of which nothing else is the cause."""
    with pytest.raises(TypeError) as caught:
        function(*args, **options)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def cured(message, name, value):
    """Return what the code in the message makes of the value."""
    code = message.rpartition("use ")[2]
    modules = {m: sys.modules.get(m) for m in ("numpy", "torch", "ml_dtypes")}
    return eval(code, {**modules, name: value})


# The functions and their array arguments, in order.
ARGUMENTS = {
    "prelu": ("x", "alpha"),
    "prelu_backward": ("dy", "x", "alpha"),
    "prelu_jvp": ("x", "alpha", "x_dot", "alpha_dot"),
    "prelu_double_backward": ("ddx", "ddalpha", "dy", "x", "alpha"),
}


@kinds
@pytest.mark.parametrize(
    ("function", "argument"), [(f, name) for f, names in ARGUMENTS.items() for name in names]
)
def test_the_cure_works(function, argument, kind):
    make, type_name = KINDS[kind]
    arrays = {name: X * (k + 1) - k for k, name in enumerate(ARGUMENTS[function])}
    foreign = make(arrays[argument])
    call = getattr(prelu_array, function)
    message = refused(call, *{**arrays, argument: foreign}.values())
    assert message.startswith(f"{argument} must be a number, a list or an array of NumPy")
    assert type_name in message

    array = np.asarray(cured(message, argument, foreign))
    np.testing.assert_array_equal(array.astype(np.float32), arrays[argument])
    arrays = {name: a.astype(array.dtype) for name, a in arrays.items()}
    got = call(*{**arrays, argument: array}.values())
    expected = getattr(testing, f"reference_{function}")(*arrays.values())
    if not isinstance(got, tuple):
        got, expected = (got,), (expected,)
    for one, right in zip(got, expected, strict=True):
        assert_same_bits(one, right)


@pytest.mark.parametrize("make", [np.ndarray.tolist, tensor])
def test_a_state(make):
    dalpha = reference_prelu_backward(X, X, 0.5)[1]
    value = make(prelu_backward_partial(X, X, 0.5)[1])
    state = cured(refused(dalpha_from_partial, value, np.float32), "state", value)
    assert_same_bits(dalpha_from_partial(state, np.float32), dalpha)


@kinds
def test_in_a_list(kind):
    """A list of arrays is no way around: a mask or a gradient would be lost there."""
    value = [[KINDS[kind][0](X)]]
    if not (hasattr(type(value[0][0]), "__array__") or hasattr(type(value[0][0]), "__dlpack__")):
        pytest.skip("no array to NumPy")
    message = refused(prelu, value, 0.5)
    assert message.startswith("x[0][0] must be a number, a list or an array of NumPy")
    array = cured(message, "x", value)
    np.testing.assert_array_equal(np.asarray(array, np.float32), X)


@kinds
def test_several_at_once(kind):
    """The first one of the signature is named."""
    a = KINDS[kind][0](X)
    assert refused(prelu, a, a).startswith("x must be")
    assert refused(prelu_backward, a, a, a).startswith("dy must be")
    assert refused(prelu_backward, X, a, a).startswith("x must be")


@kinds
def test_as_out(kind):
    make, type_name = KINDS[kind]
    alpha = X.astype(np.float64)
    for name, options, shape, dtype in (
        ("out", {"out": make(X)}, X.shape, "float32"),
        ("out[0]", {"out": (make(X), None)}, X.shape, "float32"),
        ("out[1]", {"out": (None, make(X))}, X.shape, "float64"),
    ):
        function, args = (prelu, (X, alpha)) if name == "out" else (prelu_backward, (X, X, alpha))
        message = refused(function, *args, **options)
        assert message.startswith(f"{name} must be a NumPy array, got ")
        assert type_name in message
        out = eval(message.rpartition("for example ")[2], {"numpy": np})
        assert (out.shape, out.dtype) == (shape, dtype)
        function(*args, out={"out": out, "out[0]": (out, None), "out[1]": (None, out)}[name])


def missing(kind):
    """Pandas' missing values, which become NaN."""
    pandas = library("pandas")
    values = pandas.array([-1.0, None, 2.0], dtype="Float32")
    if kind == "Series":
        return pandas.Series(values)
    return pandas.DataFrame({"a": values}) if kind == "DataFrame" else values


@pytest.mark.parametrize("kind", ["Series", "DataFrame", "array"])
def test_missing_values(kind):
    value = missing(kind)
    y = prelu(cured(refused(prelu, value, 0.5), "x", value), 0.5)
    np.testing.assert_array_equal(y.ravel(), [-0.5, np.nan, 2.0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["Series", "Index"])
def test_pandas_keeps_the_dtype(kind, dtype):
    if (kind, dtype) == ("Index", "float16"):
        pytest.skip("pandas has no such index")
    value = getattr(library("pandas"), kind)(X[0].astype(dtype))
    y = prelu(cured(refused(prelu, value, 0.5), "x", value), 0.5)
    assert_same_bits(y, reference_prelu(X[0].astype(dtype), 0.5))


def shared(a):
    memory = multiprocessing.Array("f", a.size)
    memory.get_obj()[:] = a.tolist()
    return memory


def stranger(module, name, **members):
    """An object of a class of another library, which need not be installed."""
    return type(name, (), {"__module__": module, **members})()


def holding(a, holder):
    """What holds an array and gives it as other libraries do."""
    if holder == "LazyFrame":
        frame = stranger("polars.dataframe.frame", "DataFrame", to_numpy=lambda self: a)
        return stranger("polars.lazyframe.frame", "LazyFrame", collect=lambda self: frame)
    if holder == "tinygrad":
        return stranger("tinygrad.tensor", "Tensor", numpy=lambda self: a)
    if holder == "MXNet":
        return stranger("mxnet.ndarray", "NDArray", asnumpy=lambda self: a)
    if holder == "OpenVINO":
        return stranger("openvino._pyopenvino", "Tensor", data=property(lambda self: a))
    return multiprocessing.RawArray("f", a.tolist()) if holder == "RawArray" else shared(a)


@pytest.mark.parametrize(
    "holder", ["LazyFrame", "tinygrad", "MXNet", "OpenVINO", "multiprocessing.Array", "RawArray"]
)
def test_what_has_a_way_of_its_own(holder):
    value = holding(X[0], holder)
    assert_same_bits(np.asarray(cured(refused(prelu, value, 0.5), "x", value)), X[0])
    assert_same_bits(np.asarray(cured(refused(prelu, X, value), "alpha", value)), X[0])


@pytest.mark.parametrize(
    "value", [b"1234", bytearray(4), "1.5", 3 + 0j, object()], ids=lambda v: type(v).__name__
)
def test_no_cure_for_what_is_no_array(value):
    message = refused(prelu, X, value)
    assert "asarray" not in message


def frame(**columns):
    return library("pandas").DataFrame(columns)


NO_FLOATS = {
    "masked integers": (lambda: np.ma.array([2**53 - 1, 3], mask=[0, 1]), [2**53 - 1, np.nan]),
    "masked bool": (lambda: np.ma.array([True, False], mask=[0, 1]), [1, np.nan]),
    "masked objects": (lambda: np.ma.array([0.1, 3], object, mask=[0, 1]), [0.1, np.nan]),
    "masked float16": (lambda: np.ma.array([1, 2], np.float16, mask=[0, 1]), [1, np.nan]),
    "frame of integers": (lambda: frame(a=[2**53 - 1], b=[3]), [[2**53 - 1, 3]]),
    "frame of bool and float": (lambda: frame(a=[True], b=[0.5]), [[1, 0.5]]),
    "frame of numbers as text": (lambda: frame(a=["0.1", "3"]), [[0.1], [3]]),
    "frame with text": (lambda: frame(a=[7, 8], b=["x", "y"], c=[0.1, True]), [[7], [8]]),
    "integers": (lambda: library("pandas").Series([2**53 - 1, 3]), [2**53 - 1, 3]),
    "text": (lambda: library("pandas").Series(["0.1", "3"]), [0.1, 3]),
    "objects": (lambda: library("pandas").Series([0.1, 3], dtype=object), [0.1, 3]),
    "index": (lambda: library("pandas").Index([1, 3]), [1, 3]),
}


@pytest.mark.parametrize("kind", NO_FLOATS)
def test_what_holds_no_floats_becomes_float64(kind):
    make, expected = NO_FLOATS[kind]
    value = make()
    array = cured(refused(prelu, value, 0.5), "x", value)
    np.testing.assert_array_equal(array, expected)
    assert_same_bits(prelu(array, 0.5), reference_prelu(np.asarray(array), 0.5))


def test_not_an_array_in_a_list():
    """What NumPy makes no float array of, it makes an array of objects of."""
    for value in ([None, 1.0], [library("scipy.sparse").csr_array(X)]):
        assert "got object" in refused(prelu, value, 0.5)


def test_list_in_itself():
    value = []
    value.append(value)
    with pytest.raises((TypeError, ValueError)):
        prelu(value, 0.5)


def test_a_gradient_is_not_lost_in_silence():
    x = tensor(X, requires_grad=True)
    torch = library("torch")
    for value in (x, x * 2, torch.nn.Parameter(tensor(X))):
        assert "use prelu_array.torch.prelu" in refused(prelu, value, 0.5)
        assert "use prelu_array.torch.prelu" in refused(prelu, X, value)


def test_traced_by_jax():
    jax = library("jax")
    for trace in (jax.jit, jax.vmap, lambda f: jax.grad(lambda x: f(x)[0])):
        message = refused(trace(lambda x: prelu(x, 0.5)), np.ones(2, np.float32))
        assert "use prelu_array.jax.prelu" in message


def test_traced_by_autograd():
    autograd = library("autograd")
    message = refused(autograd.grad(lambda x: prelu(x, 0.5)), 1.0)
    extend = library("autograd.extend")
    for name in re.findall(r"prelu_backward|primitive|defvjp", message):
        assert hasattr(prelu_array if name == "prelu_backward" else extend, name)
    title = message.rpartition("under ")[2]
    assert PAGE.startswith(f"# {title}\n")
    assert "autograd_prelu.py" in PAGE


PAGE = (ROOT / "docs" / "arrays.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block", re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
def test_the_page(block):
    """Each block of docs/arrays.md stands alone and ends with what it asserts."""
    for name in re.findall(r"^import (\w+)", block, re.MULTILINE):
        if name not in sys.modules:
            library(name)
    if "chunk" in block:
        library("dask.array")
    assert "assert" in block
    exec(compile(block, "docs/arrays.md", "exec"), {})
