"""Every error of the public functions: its type, and a message with argument, rule and value."""

import re
import sys

import ml_dtypes
import numpy as np
import pytest

import prelu_array
from prelu_array import (
    prelu,
    prelu_backward,
    prelu_backward_partial,
    prelu_double_backward,
    prelu_jvp,
)

X = np.ones((2, 3), np.float32)
ALPHA = np.ones(3, np.float32)
INTEGERS = ("int32", "int64", "uint32", "uint64")

FLOATS = r"float16, bfloat16 \(ml_dtypes\), float32 or float64"
OF_FORWARD = FLOATS.replace(" or", ",") + ", int32, int64, uint32 or uint64"


def raises(error, pattern, function, *args, **options):
    with pytest.raises(error, match=pattern):
        function(*args, **options)


@pytest.mark.parametrize(
    "dtype",
    [
        "int8",
        "int16",
        "uint16",
        "bool",
        "complex64",
        "complex128",
        "longdouble",
        "O",
        "U1",
        "M8[s]",
        "f4,f4",
    ],
)
@pytest.mark.parametrize("argument", ["x", "alpha", "dy"])
def test_dtype(argument, dtype):
    wrong = np.empty(X.shape if argument != "alpha" else ALPHA.shape, dtype)
    to = "float64" if dtype in ("longdouble", "O") else "float32"  # where it loses no digit
    cure = rf"; convert it, for example with {argument}\.astype\(numpy\.{to}\)"
    if wrong.dtype.kind == "c":
        cure = rf"; use numpy\.real\({argument}\) if that is meant"
    elif wrong.dtype.kind in "UMV":  # nothing to convert
        cure = ""
    got = rf", got {re.escape(str(wrong.dtype))}"
    pattern = rf"^{argument} must be {FLOATS}{got}{cure}$"
    values = {"dy": X, "x": X, "alpha": ALPHA, argument: wrong}
    if wrong.dtype == np.float64:  # longdouble on some platforms
        pytest.skip("longdouble is float64 here")
    if wrong.dtype == np.int64:  # test_gradients_of_integers
        return
    raises(TypeError, pattern, prelu_backward, *values.values())
    if argument == "x":
        raises(TypeError, rf"^x must be {OF_FORWARD}{got}{cure}$", prelu, wrong, values["alpha"])
    if argument == "alpha":
        raises(TypeError, pattern, prelu, X, wrong)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("argument", ["x", "dy", "alpha"])
def test_gradients_of_integers(argument, dtype):
    """An integer x has no derivative; alone it is an error, as any other dtype is."""
    wrong = np.ones(X.shape, dtype)
    reason = "convert it" if argument == "alpha" else "an integer has no derivative: convert it"
    pattern = (
        rf"^{argument} must be {FLOATS}, got {dtype}; {reason}, for example with "
        rf"{argument}\.astype\(numpy\.float64\)$"
    )
    values = {"dy": X, "x": X, "alpha": X, argument: wrong}
    raises(TypeError, pattern, prelu_backward, *values.values())
    raises(TypeError, pattern, prelu_backward_partial, *values.values())
    raises(TypeError, pattern, prelu_double_backward, X, X, *values.values())
    if argument != "dy":
        raises(TypeError, pattern, prelu_jvp, values["x"], values["alpha"], X, X)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "alpha", [0.5, 2.0, np.float64(2), [1, 2, 3], ALPHA, np.ones(3, "i2")], ids=str
)
def test_alpha_of_integers(dtype, alpha):
    pattern = (
        rf"^alpha must be a Python int or have x's dtype {dtype}, got .*convert x, for example"
        rf"|^alpha must be {OF_FORWARD}, got int16; convert it"
    )
    raises(TypeError, pattern, prelu, X.astype(dtype), alpha)
    other = np.ones(3, "u4" if dtype != "uint32" else "i8")
    raises(TypeError, pattern.split("|")[0], prelu, X.astype(dtype), other)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_number_too_large_for_an_integer(dtype):
    info = np.iinfo(dtype)
    for number in (int(info.min) - 1, int(info.max) + 1, 10**30):
        pattern = rf"^alpha must fit x's dtype {dtype}, got {number}$"
        raises(ValueError, pattern, prelu, X.astype(dtype), number)


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4])
def test_other_dtypes_of_ml_dtypes(dtype):
    name = np.dtype(dtype).name
    raises(TypeError, f"^x must be {OF_FORWARD}, got {name}; ", prelu, np.ones(3, dtype), 0.5)
    raises(TypeError, f"^alpha must be {FLOATS}, got {name}; ", prelu, X, np.ones(3, dtype))


@pytest.mark.parametrize(
    ("value", "name"), [(True, "bool"), (1j, "complex128"), ([True, False], "bool")]
)
def test_python_values_as_x(value, name):
    cure = r"; use numpy\.real" if name == "complex128" else r"; .*numpy\.asarray\(x, 'float32'\)"
    raises(TypeError, f"^x must be {OF_FORWARD}, got {name}{cure}", prelu, value, 0.5)
    raises(TypeError, f"^x must be {FLOATS}, got {name}{cure}", prelu_jvp, value, 0.5, value, 0.5)


@pytest.mark.parametrize(
    "value", [[np.int16(1)], [np.int16(1), 2], (np.ones(2, np.int16), [1, 2])]
)
def test_numpy_integers_in_a_list(value):
    """They have a dtype, which a list does not hide."""
    raises(TypeError, f"^alpha must be {FLOATS}, got int", prelu, X, value)


@pytest.mark.parametrize("value", [10**400, [1, -(10**400)]])
def test_integers_that_no_float_holds(value):
    got = "an integer of 1329 bits" if value == 10**400 else r"(list|\[1, -100000)"
    raises(ValueError, f"^x must fit float64, got {got}", prelu, value, 0.5)


def test_bfloat16_as_numpy_loads_it():
    for argument, values in (("x", (X, ALPHA)), ("alpha", (ALPHA, X))):
        raw = values[0].astype(ml_dtypes.bfloat16).view("V2")
        cure = rf"use {argument}\.view\(ml_dtypes\.bfloat16\)$"
        args = (raw, 0.5) if argument == "x" else (X, raw)
        raises(
            TypeError,
            rf"^{argument} must be .*, got \|V2; if it is bfloat16, .*{cure}",
            prelu,
            *args,
        )


def test_too_many_axes_for_a_state():
    x = np.ones((1,) * 64)
    alpha = np.ones((1,) * 64)
    pattern = (
        "^alpha must have fewer than 64 axes, because its state has one more, got 64; join some"
    )
    raises(ValueError, pattern, prelu_backward_partial, x, x, alpha)


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), (0.5j, "complex128")])
def test_python_values_as_alpha(value, name):
    raises(TypeError, f"^alpha must be {FLOATS}, got {name}; ", prelu, X, value)


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("make", "got", "cure"),
    [
        (
            np.ma.masked_array,
            r"numpy\.ma(\.core)?\.MaskedArray",
            r"mask would be lost: use {}\.filled",
        ),
        (lambda a: a.view(Subclass), r"test_errors\.Subclass", r"use numpy\.asarray\({}\)"),
        (lambda a: np.asmatrix(a), r"numpy(\.matrix)?.*\.matrix", r"use numpy\.asarray\({}\)"),
        (lambda a: a.view(np.recarray), r"numpy(\.rec)?.*recarray", r"use numpy\.asarray\({}\)"),
        (lambda a: {1: a}, r"dict$", ""),  # no array
        (lambda a: None, r"NoneType$", ""),
        (lambda a: "x.npy", r"str", r"use numpy\.load\({}\) if it names a .npy file"),
        (lambda a: iter(a), r"iterator", r"use list\({}\)"),
    ],
    ids=["masked", "subclass", "matrix", "recarray", "dict", "None", "str", "iterator"],
)
@pytest.mark.parametrize("argument", ["x", "alpha", "dy"])
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # numpy.matrix
def test_kind_of_array(argument, make, got, cure):
    values = {"dy": X, "x": X, "alpha": np.ones((2, 3), np.float32)}
    values[argument] = make(values[argument])
    pattern = (
        rf"^{argument} must be a number, a list or an array of NumPy, CuPy or Dask, got {got}"
        rf".*{cure.format(argument)}"
    )
    raises(TypeError, pattern, prelu_backward, *values.values())
    if argument != "dy":
        raises(TypeError, pattern, prelu, values["x"], values["alpha"])


@pytest.mark.parametrize(
    ("module", "cure"),
    [("torch", r"use {}\.numpy\(force=True\)"), ("cupy", r"cupy\.asnumpy or cupy\.asarray")],
)
@pytest.mark.parametrize("argument", ["x", "alpha", "dy"])
def test_arrays_of_other_libraries(argument, module, cure):
    """Known by the name of their module; nothing is imported, nothing is transferred."""
    kind = type("tensor", (), {"__module__": f"{module}.core"})
    values = {"dy": X, "x": X, "alpha": ALPHA, argument: kind()}
    pattern = rf"^{argument} must .* got {module}\.core\.tensor; .*{cure.format(argument)}"
    raises(TypeError, pattern, prelu_backward, *values.values())


def test_arrays_of_two_libraries():
    array = type("ndarray", (), {"__module__": "cupy"})()
    pattern = (
        r"^alpha must be of the same library as the other arrays, got cupy\.ndarray; use cupy"
    )
    raises(TypeError, pattern, prelu, X, array)


def test_ragged_list():
    raises(
        ValueError,
        r"^x must be a regular array, got \[\[1\.0\], \[2\.0, 3\.0\]\]",
        prelu,
        [[1.0], [2.0, 3.0]],
        0.5,
    )
    raises(ValueError, r"^alpha must be a regular array, got", prelu, X, [[1.0], [2.0, 3.0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (2, 1), (1, 3), ()])
def test_dy_that_broadcasts(shape, dtype):
    for dy in (np.full(shape, 0.5, dtype), np.full(shape, 0.5, dtype).tolist()):
        with pytest.raises(
            ValueError, match=r"^dy must have x's shape \(2, 3\), got .*; use "
        ) as e:
            prelu_backward(dy, X, ALPHA)
        whole = eval(str(e.value).rpartition("use ")[2], {"numpy": np, "dy": dy, "x": X})
        assert (prelu_backward(whole, -X, ALPHA)[1] == -1).all()


@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 2), (0,)])
def test_shape_of_dy(shape):
    pattern = rf"^dy must have x's shape \(2, 3\), got {re.escape(str(shape))}$"
    raises(ValueError, pattern, prelu_backward, np.ones(shape, np.float32), X, ALPHA)


NUMBERS = [
    np.array([[2**53 - 1, -(2**53) + 1]]),
    np.array([[2**31 - 1, 1]], np.uint32),
    np.array([[-7, 3]], np.int8),
    np.array([[0.1, -3]], object),
    np.array([[True, False]]),
]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda v: v.dtype.name)
@pytest.mark.parametrize("argument", ["dy", "x", "alpha"])
def test_the_cure_of_a_dtype_loses_no_digit(argument, value):
    with pytest.raises(TypeError, match=rf"^{argument} must be .*, for example with ") as error:
        prelu_backward(**{"dy": X, "x": X, "alpha": X, argument: value})
    code = str(error.value).rpartition("for example with ")[2]
    made = eval(code, {"numpy": np, argument: value})
    assert made.tolist() == value.tolist()
    prelu_backward(made, made, made)


@pytest.mark.parametrize("dtype", ["float16", "float64", ml_dtypes.bfloat16])
def test_dtype_of_dy(dtype):
    pattern = (
        rf"^dy must have x's dtype float32, got {np.dtype(dtype).name}; "
        r"convert it with numpy\.asarray\(dy, 'float32'\)$"
    )
    raises(TypeError, pattern, prelu_backward, X.astype(dtype), X, ALPHA)
    if dtype == "float64":  # which a list has
        raises(TypeError, pattern, prelu_backward, X.tolist(), X, ALPHA)


@pytest.mark.parametrize(
    ("axis", "error", "pattern"),
    [
        (2, ValueError, r"axis must lie between -2 and 1 for x with 2 dimensions, got 2"),
        (-3, ValueError, r"axis must lie between -2 and 1 .*, got -3"),
        ((0, 2), ValueError, r"axis must lie between -2 and 1 .*, got \(0, 2\)"),
        (10**30, ValueError, r"axis must lie between -2 and 1 .*, got 10{30}"),
        ((1, 1), ValueError, r"axis must not repeat an axis, got \(1, 1\)"),
        ((1, -1), ValueError, r"axis must not repeat an axis, got \(1, -1\)"),
        (1.0, TypeError, r"axis must be None, an integer or a tuple of integers, got 1\.0"),
        ("1", TypeError, r"axis must be None, .*, got '1'"),
        (True, TypeError, r"axis must be None, .*, got True"),
        ([1], TypeError, r"axis must be None, .*, got \[1\]"),
        (np.array([1]), TypeError, r"axis must be None, .*, got array\(\[1\]\)"),
        ((0, None), TypeError, r"axis must be None, .*, got \(0, None\)"),
        ((0, "1"), TypeError, r"axis must be None, .*, got \(0, '1'\)"),
    ],
    ids=str,
)
def test_axis(axis, error, pattern):
    for alpha in (ALPHA, 0.5, ALPHA[:1]):
        raises(error, f"^{pattern}$", prelu, X, alpha, axis=axis)
        raises(error, f"^{pattern}$", prelu_backward, X, X, alpha, axis=axis)


@pytest.mark.parametrize("axis", [0, -1, (0,)])
def test_axis_of_0_d(axis):
    pattern = rf"^axis must be None for x with 0 dimensions, got {re.escape(str(axis))}$"
    for alpha in (ALPHA, 0.5):
        raises(ValueError, pattern, prelu, np.ones(()), alpha, axis=axis)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, np.array(1), (0, 1), ()])
def test_one_alpha_is_for_all_whatever_the_axis(axis):
    x = np.full((2, 3), -2.0)
    for alpha in (0.5, np.array(0.5), np.array([[0.5]])):
        assert np.array_equal(prelu(x, alpha, axis=axis), np.full(x.shape, -1.0))
        dx, dalpha = prelu_backward(x, x, alpha, axis=axis)
        assert np.array_equal(dx, np.full(x.shape, -1.0))
        assert dalpha.shape == np.shape(alpha)
        assert dalpha.item() == 4.0 * x.size


@pytest.mark.parametrize(
    ("shape", "axis", "rule"),
    [
        ((2,), None, r"must broadcast to x\.shape without enlarging it"),
        ((4,), 1, r"must be \(3,\), the length of axis 1 of x"),
        ((4,), -1, r"must be \(3,\), the length of axis -1 of x"),
        ((3, 1), 1, r"must be \(3,\), the length of axis 1 of x"),
        ((2, 4), (0, 1), r"must be \(2, 3\), the lengths of axes \(0, 1\) of x, or 1 in places"),
        ((5,), (0, 1), r"must be \(2, 3\), the lengths of axes \(0, 1\) of x, or 1 in places"),
    ],
)
def test_shape_of_alpha(shape, axis, rule):
    pattern = (
        rf"^alpha\.shape {rule}, got alpha\.shape {re.escape(str(shape))}, "
        rf"x\.shape \(2, 3\), axis={re.escape(str(axis))}"
    )
    raises(ValueError, pattern, prelu, X, np.ones(shape), axis=axis)
    raises(ValueError, pattern, prelu_backward, X, X, np.ones(shape), axis=axis)


@pytest.mark.parametrize(
    "at_zero", ["zero", "One", "", None, 0, 1.0, True, b"one", np.array("alpha")]
)
def test_at_zero(at_zero):
    pattern = rf"^at_zero must be 'alpha' or 'one', got {re.escape(repr(at_zero))}$"
    raises(ValueError, pattern, prelu_backward, X, X, ALPHA, at_zero=at_zero)


@pytest.mark.parametrize("number", [1e39, -1e300, 10**39])
def test_number_too_large_for_float32(number):
    pattern = rf"^alpha must fit x's dtype float32, got {re.escape(repr(number))}$"
    raises(ValueError, pattern, prelu, X, number)
    raises(ValueError, pattern, prelu_backward, X, X, number)


def test_number_too_long_to_print():
    pattern = "^alpha must fit x's dtype float64, got an integer of 16610 bits$"
    raises(ValueError, pattern, prelu, X.astype(np.float64), 10**5000)


class Unprintable:
    def __repr__(self):
        raise RuntimeError


def test_values_that_cannot_be_printed():
    long, number = r"got an integer of 16610 bits$", 10**5000
    raises(ValueError, long, prelu, X, ALPHA, axis=number)
    raises(ValueError, long, prelu_backward, X, X, ALPHA, at_zero=number)
    raises(ValueError, long, prelu_array.set_num_threads, -number)
    raises(ValueError, "^x must be a regular array, got list$", prelu, [[number], [1, 2]], 0.5)
    raises(TypeError, r"^axis must be .* got .*Unprintable$", prelu, X, ALPHA, axis=Unprintable())


@pytest.mark.parametrize(
    ("dtype", "number"), [("float16", 65520), ("float16", -1e5), (ml_dtypes.bfloat16, 3.4e38)]
)
def test_number_too_large_for_16_bits(dtype, number):
    pattern = rf"^alpha must fit x's dtype \w*float16, got {re.escape(repr(number))}$"
    raises(ValueError, pattern, prelu, X.astype(dtype), number)


@pytest.mark.parametrize("out", [X, 3, [], (X,), (X, ALPHA, None), "ab", {}])
def test_out_that_is_no_pair(out):
    pattern = r"^out must be a pair \(dx, dalpha\), either may be None, got "
    if isinstance(out, str):  # two characters
        pattern = r"^out\[0\] must be a NumPy array, got str; .*$|" + pattern
    else:
        of = f" of {len(out)}" if isinstance(out, list | tuple) else ""
        pattern += rf"(numpy\.)?{type(out).__name__}{of}; for dx alone use out=\(dx, None\)$"
    raises(TypeError, pattern, prelu_backward, X, X, ALPHA, out=out)


@pytest.mark.parametrize("out", [X, 3, (), (X, X), (X, X, ALPHA, None), {}])
def test_out_that_is_no_triple(out):
    pattern = (
        r"^out must be a triple \(of_dy, of_x, of_alpha\), any may be None, got .*; "
        r"for of_dy alone use out=\(of_dy, None, None\)$"
    )
    raises(TypeError, pattern, prelu_double_backward, X, ALPHA, X, X, ALPHA, out=out)


def test_out_of_a_state():
    state = np.empty((3, 23), np.int64)
    for out, error, pattern in (
        ((X,), TypeError, r"out must be a pair \(dx, state\), .* got tuple of 1; .*\(dx, None\)"),
        ((None, state[:2]), ValueError, r"out\[1\] must have the state's shape \(3, 23\), got"),
        ((None, state[..., 1:]), ValueError, r"out\[1\] must have the state's shape \(3, 23\)"),
        ((None, state * 1.0), TypeError, r"out\[1\] must have the state's dtype int64, got floa"),
        ((None, state.tolist()), TypeError, r"out\[1\] must be a NumPy array, got list; .*int64"),
    ):
        raises(error, f"^{pattern}", prelu_backward_partial, X, X, ALPHA, out=out)
    pattern = r"^out\[0\] must be None where need_dx is False$"
    out = (X, None)
    raises(ValueError, pattern, prelu_backward_partial, X, X, ALPHA, need_dx=False, out=out)


def test_out_that_is_not_needed():
    out = np.empty_like(X), np.empty_like(ALPHA)
    for k, option in enumerate(("need_dx", "need_dalpha")):
        pattern = rf"^out\[{k}\] must be None where {option} is False$"
        raises(ValueError, pattern, prelu_backward, X, X, ALPHA, out=out, **{option: False})


@pytest.mark.parametrize(
    ("out", "error", "pattern"),
    [
        (np.empty((3, 2), "f4"), ValueError, r"must have x's shape \(2, 3\), got \(3, 2\)"),
        (np.empty((1, 2, 3), "f4"), ValueError, r"must have x's shape \(2, 3\), got \(1, 2, 3\)"),
        (np.empty((2, 3), "f8"), TypeError, r"must have x's dtype float32, got float64"),
        (np.empty((2, 3), "i4"), TypeError, r"must have x's dtype float32, got int32"),
        (
            np.broadcast_to(np.float32(1), (2, 3)),
            ValueError,
            r"must be writable, got a read-only array",
        ),
        (
            np.lib.stride_tricks.as_strided(np.empty(3, "f4"), (2, 3), (0, 4)),
            ValueError,
            r"must not overlap itself \(some elements share memory\), "
            r"got strides \(0, 4\) for shape \(2, 3\)",
        ),
        (X.view(Subclass), TypeError, r"must be a NumPy array, got test_errors\.Subclass; .*"),
        (X.tolist(), TypeError, r"must be a NumPy array, got list; .*"),
    ],
    ids=["shape", "axes", "dtype", "int", "read-only", "stride 0", "subclass", "list"],
)
def test_out(out, error, pattern):
    raises(error, f"^out {pattern}$", prelu, X, ALPHA, out=out)
    raises(error, rf"^out\[0\] {pattern}$", prelu_backward, X, X, ALPHA, out=(out, None))


def test_out_for_dalpha():
    for out, error, pattern in (
        (np.empty((1, 3), "f4"), ValueError, r"must have alpha's shape \(3,\), got \(1, 3\)"),
        (np.empty(3, "f2"), TypeError, r"must have alpha's dtype float32, got float16"),
    ):
        raises(error, rf"^out\[1\] {pattern}$", prelu_backward, X, X, ALPHA, out=(None, out))


@pytest.mark.parametrize(
    ("n", "error", "pattern"),
    [
        (0, ValueError, r"n must be from 1 to 256, got 0"),
        (-3, ValueError, r"n must be from 1 to 256, got -3"),
        (257, ValueError, r"n must be from 1 to 256, got 257"),
        (2.0, TypeError, r"n must be an integer, got 2\.0"),
        ("2", TypeError, r"n must be an integer, got '2'"),
        (True, TypeError, r"n must be an integer, got True"),
        (None, TypeError, r"n must be an integer, got None"),
    ],
)
def test_set_num_threads(threads, n, error, pattern):
    before = prelu_array.get_num_threads()
    raises(error, f"^{pattern}$", threads, n)
    assert prelu_array.get_num_threads() == before


def test_options_are_keywords():
    raises(TypeError, "positional", prelu, X, ALPHA, 1)
    raises(TypeError, "positional", prelu_backward, X, X, ALPHA, 1)


def test_a_cupy_array_beside_numpy_arrays(backend):
    """Mixing is an error, never a hidden transfer."""
    if backend.name == "numpy":
        pytest.skip("takes two libraries")
    x, alpha = backend.asarray(X), backend.asarray(ALPHA)
    for wrong in (
        lambda: prelu(X, alpha),
        lambda: prelu(x, ALPHA),
        lambda: prelu(x, alpha, out=np.empty_like(X)),
        lambda: prelu(X, ALPHA, out=backend.module.empty_like(x)),
        lambda: prelu_backward(X, x, alpha),
        lambda: prelu_backward(x, X, alpha),
    ):
        with pytest.raises(TypeError, match=r"(CuPy|NumPy) array|cupy.asarray"):
            wrong()


def test_messages_of_long_values_are_short():
    for wrong in ([[1.0] * 500, [2.0]], {k: k for k in range(999)}):
        with pytest.raises((TypeError, ValueError)) as caught:
            prelu(wrong, 0.5)
        assert len(str(caught.value)) < 200


def test_error_is_raised_once_and_without_a_chain_of_causes():
    """A user reads one line; the ragged list alone has NumPy's own message behind it."""
    for wrong in (lambda: prelu(X, np.ones(2)), lambda: prelu(X, 1e39), lambda: prelu(True, 0.5)):
        with pytest.raises((TypeError, ValueError)) as caught:
            wrong()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_refcounts_survive_errors():
    """10,000 failed calls leave no reference behind."""
    x, alpha = X.copy(), np.ones(2, np.float32)  # which no other test's error holds
    before = [sys.getrefcount(a) for a in (x, alpha)]
    for _ in range(10_000):
        with pytest.raises(ValueError, match="alpha"):
            prelu_backward(x, x, alpha)
    assert [sys.getrefcount(a) for a in (x, alpha)] == before
