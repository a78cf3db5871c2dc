# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The CPU backend: NumPy arrays to pointers, strides and a dtype's loops, and nothing else.

Arguments in their usual form are recognised here in a few nanoseconds; any other form goes to
`_arguments`, which converts it or raises. Rules and messages stand there, not here.
"""
cimport numpy as cnp

import numpy as np

from . import _arguments, _threads

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    int NPY_HALF
    int NPY_USERDEF
    cnp.ndarray PyArray_NewLikeArray(cnp.ndarray, cnp.NPY_ORDER, void *, int)

cdef extern from "dtypes.h" nogil:
    enum:
        PRELU_F16
        PRELU_BF16
        PRELU_F32
        PRELU_F64
        PRELU_I32
        PRELU_I64
        PRELU_U32
        PRELU_U64
        PRELU_FLOATS
        PRELU_DTYPES

cdef extern from "view.h" nogil:
    enum:
        VIEW_MAX_AXES
        VIEW_OUT
        VIEW_X
        VIEW_G
        VIEW_ALPHA
        VIEW_DALPHA
        VIEW_ALPHA_DOT
        VIEW_DY
        VIEW_OF_X
        VIEW_OPERANDS
    ctypedef struct prelu_view:
        int axes
        Py_ssize_t shape[64]
        Py_ssize_t stride[8][64]
        char *data[8]
    int view_fit_alpha(int, const Py_ssize_t *, int, const Py_ssize_t *, int, const int *, int *)
    void view_canonical(prelu_view *)

cdef extern from "call.h" nogil:
    const Py_ssize_t item_size[8]
    ctypedef struct prelu_call:
        prelu_view view
        int x_dtype
        int alpha_dtype
        int at_one
        int larger
        int stream
        int in_place
        int partial
        int threads
    const char *prelu_instruction_set()
    int prelu_select_instruction_set(const char *)

cdef extern from "dalpha.h" nogil:
    void prelu_round(double, int, void *)
    void prelu_scale(const prelu_call *)
    void prelu_backward(const prelu_call *)
    int prelu_state_limbs(int)
    void prelu_round_state(const cnp.int64_t *, int, int, void *)

cdef extern from "threads.h" nogil:
    void prelu_threads_init()
    int prelu_threads_worth(Py_ssize_t)
    void prelu_set_thread_bytes(Py_ssize_t)
    int prelu_take_threads(int, int)
    void prelu_give_threads(int)

prelu_select_instruction_set(NULL)
prelu_threads_init()

# From here on the GIL is released, stores are non-temporal. In bytes of one operand;
# docs/architecture.md has the measurements.
cdef enum:
    RELEASE_FROM = 1 << 18
    STREAM_FROM = 1 << 24


def instruction_set():
    """The instruction set of the loops in use: "avx512", "avx2" or "baseline"."""
    return prelu_instruction_set().decode()


def select_instruction_set(name):
    """Use the loops of another instruction set; False if it cannot run here. For tests."""
    return bool(prelu_select_instruction_set(name.encode()))


def threads_worth(Py_ssize_t nbytes):
    """How many threads a call on an x of so many bytes uses if it may."""
    return prelu_threads_worth(nbytes)


def set_thread_bytes(Py_ssize_t nbytes):
    """How many bytes of x are worth a thread. For tests."""
    prelu_set_thread_bytes(nbytes)


# ---- arguments ----

cdef int dtype_code(cnp.ndarray a) except -2:
    """Which of the dtypes, in native byte order; -1 for any other."""
    cdef int number = cnp.PyArray_TYPE(a)
    if number == cnp.NPY_FLOAT:
        return PRELU_F32
    if number == cnp.NPY_DOUBLE:
        return PRELU_F64
    if number == NPY_HALF:
        return PRELU_F16
    if number >= NPY_USERDEF and _arguments.is_bfloat16(a.dtype):
        return PRELU_BF16
    if number < cnp.NPY_INT or number > cnp.NPY_ULONGLONG or cnp.PyArray_ITEMSIZE(a) < 4:
        return -1
    if cnp.PyArray_ISUNSIGNED(a):
        return PRELU_U32 if cnp.PyArray_ITEMSIZE(a) == 4 else PRELU_U64
    return PRELU_I32 if cnp.PyArray_ITEMSIZE(a) == 4 else PRELU_I64


cdef bint is_usual(object value, int dtypes=PRELU_DTYPES) except -1:
    return (type(value) is cnp.ndarray and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>value)
            and 0 <= dtype_code(<cnp.ndarray>value) < dtypes)


cdef cnp.ndarray as_usual(object value, str name):
    return value if is_usual(value, PRELU_FLOATS) else _arguments.as_array(value, name)


cdef cnp.ndarray as_alpha(object alpha, cnp.ndarray like, str name="alpha", str like_name="x"):
    """A Python number takes the dtype of `like`."""
    if dtype_code(like) >= PRELU_FLOATS:
        return _arguments.alpha_of_integers(alpha, like.dtype)
    if type(alpha) is not float and type(alpha) is not int:
        return as_usual(alpha, name)
    cdef double value
    if type(alpha) is float and -65504 <= <double>alpha <= 65504:  # every dtype holds that
        value = alpha
    else:
        value = _arguments.number(alpha, like.dtype, name, like_name)
    cdef cnp.ndarray a = cnp.PyArray_EMPTY(0, NULL, cnp.PyArray_TYPE(like), 0)
    prelu_round(value, dtype_code(like), cnp.PyArray_DATA(a))
    return a


cdef bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int k
    if a.ndim != b.ndim:
        return False
    for k in range(a.ndim):
        if a.shape[k] != b.shape[k]:
            return False
    return True


cdef int check_like(cnp.ndarray a, str name, cnp.ndarray like, str like_name) except -1:
    if not same_shape(a, like) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(like):
        _arguments.check_like(a, name, like, like_name)
    return 0


cdef int check_out(object out, str name, cnp.ndarray like, str like_name) except -1:
    if not (is_usual(out) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)
            and same_shape(<cnp.ndarray>out, like)
            and cnp.PyArray_TYPE(<cnp.ndarray>out) == cnp.PyArray_TYPE(like)
            and cnp.PyArray_ISONESEGMENT(<cnp.ndarray>out)):
        _arguments.check_out(out, name, np.shape(like), like.dtype, like_name)
    return 0


cdef int read_axis(object axis, int ndim, bint one, int *axes) except -2:
    """How many axes of x, in range; -1 for NumPy broadcasting, also where one alpha is for all."""
    cdef Py_ssize_t k
    if axis is None:
        return -1
    if type(axis) is int and -ndim <= axis < ndim:
        k = axis
        axes[0] = k + ndim if k < 0 else k
        return -1 if one else 1
    normalised = _arguments.axes(axis, ndim)
    if one:
        return -1
    for k in range(len(normalised)):
        axes[k] = normalised[k]
    return len(normalised)


cdef int place_alpha(cnp.ndarray x, cnp.ndarray alpha, object axis, int *where) except -1:
    """The layout rule for arrays: along which axis of x each axis of alpha lies."""
    cdef int axes[VIEW_MAX_AXES]
    cdef int n_axis = read_axis(axis, x.ndim, cnp.PyArray_SIZE(alpha) == 1, axes)
    if not view_fit_alpha(x.ndim, <const Py_ssize_t *>x.shape, alpha.ndim,
                          <const Py_ssize_t *>alpha.shape, n_axis, axes, where):
        raise _arguments.misfit(np.shape(x), np.shape(alpha), axis)
    return 0


def fit_alpha(tuple x_shape, tuple alpha_shape, axis):
    """The layout rule for shapes: the axis of x for each axis of alpha, or -1 where its length
    is 1; None if alpha does not fit. For the other backends."""
    cdef Py_ssize_t xs[VIEW_MAX_AXES]
    cdef Py_ssize_t alphas[VIEW_MAX_AXES]
    cdef int axes[VIEW_MAX_AXES]
    cdef int where[VIEW_MAX_AXES]
    cdef int x_axes = len(x_shape), alpha_axes = len(alpha_shape), k
    cdef bint one = True
    for k in range(x_axes):
        xs[k] = x_shape[k]
    for k in range(alpha_axes):
        alphas[k] = alpha_shape[k]
        one &= alphas[k] == 1
    if not view_fit_alpha(x_axes, xs, alpha_axes, alphas, read_axis(axis, x_axes, one, axes), axes,
                          where):
        return None
    return tuple([where[k] for k in range(alpha_axes)])


# ---- views ----

cdef void add_operand(prelu_view *v, int operand, cnp.ndarray a) noexcept:
    """An array of x's shape."""
    cdef int k
    v.data[operand] = <char *>cnp.PyArray_DATA(a)
    for k in range(v.axes):
        v.stride[operand][k] = a.strides[k]


cdef void add_alpha(prelu_view *v, int operand, cnp.ndarray a, const int *where) noexcept:
    cdef int k
    v.data[operand] = <char *>cnp.PyArray_DATA(a)
    for k in range(v.axes):
        v.stride[operand][k] = 0
    for k in range(a.ndim):
        if where[k] >= 0:
            v.stride[operand][where[k]] = a.strides[k]


cdef void start_view(prelu_view *v, cnp.ndarray x) noexcept:
    cdef int k
    v.axes = x.ndim
    for k in range(x.ndim):
        v.shape[k] = x.shape[k]
    for k in range(VIEW_OPERANDS):
        v.data[k] = NULL


cdef void extent(cnp.ndarray a, char **first, char **end) noexcept:
    cdef int k
    first[0] = end[0] = <char *>cnp.PyArray_DATA(a)
    end[0] += cnp.PyArray_ITEMSIZE(a)
    for k in range(a.ndim):
        if a.strides[k] < 0:
            first[0] += (a.shape[k] - 1) * a.strides[k]
        else:
            end[0] += (a.shape[k] - 1) * a.strides[k]


cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether the memory between their ends overlaps; of no elements any answer is right."""
    cdef char *a_first
    cdef char *a_end
    cdef char *b_first
    cdef char *b_end
    extent(a, &a_first, &a_end)
    extent(b, &b_first, &b_end)
    return a_first < b_end and b_first < a_end


cdef bint same_memory(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether element for element they are the same memory, of one dtype."""
    cdef int k
    if cnp.PyArray_DATA(a) != cnp.PyArray_DATA(b) or not same_shape(a, b):
        return False
    for k in range(a.ndim):
        if a.shape[k] > 1 and a.strides[k] != b.strides[k]:
            return False
    return cnp.PyArray_TYPE(a) == cnp.PyArray_TYPE(b)


cdef cnp.ndarray apart_from(cnp.ndarray source, object written, bint in_step):
    """`source`, or a copy if writing to `written` would change an element not yet read. In the
    same memory nothing is, if both are walked `in_step`, element by element."""
    if written is None or not overlap(source, written):
        return source
    if in_step and same_memory(source, written):
        return source
    return source.copy(order="K")


cdef cnp.ndarray apart_from_all(cnp.ndarray source, object a, object b, object c):
    return apart_from(apart_from(apart_from(source, a, False), b, False), c, False)


cdef bint is_in_step(cnp.ndarray x, cnp.ndarray alpha, const int *where) noexcept:
    """Whether alpha's axes are x's, in x's order."""
    cdef int k
    for k in range(alpha.ndim):
        if where[k] >= 0 and where[k] != k:
            return False
    return x.ndim == alpha.ndim


cdef cnp.ndarray new_like(cnp.ndarray a):
    return PyArray_NewLikeArray(a, cnp.NPY_KEEPORDER, NULL, 0)


cdef int check_apart(object a, int i, object b, int k) except -1:
    """Outputs i and k must not share memory."""
    if a is not None and b is not None and overlap(a, b) and np.shares_memory(a, b):
        raise ValueError(f"out[{i}] and out[{k}] must not share memory")
    return 0


cdef object writable(object out):
    """Where to compute what `out` shall get: `out` itself, or memory the loops can use."""
    return out if is_usual(out) else np.empty_like(out, dtype=_arguments.native(out.dtype),
                                                   subok=False)


# Nothing can fail once a byte of `out` is written: what a call returns is made before it runs, and
# a result that was computed beside its `out` is put there without any memory. No list
# comprehension is used before either: Cython drops a reference too many where it finds no memory.

cdef void put_elements(char *to, const char *source, int axis, cnp.ndarray out,
                       cnp.ndarray result, bint swapped) noexcept:
    cdef Py_ssize_t i, item = cnp.PyArray_ITEMSIZE(out)
    if axis == out.ndim:
        for i in range(item):
            to[i] = source[item - 1 - i if swapped else i]
        return
    for i in range(out.shape[axis]):
        put_elements(to + i * out.strides[axis], source + i * result.strides[axis], axis + 1, out,
                     result, swapped)


cdef void put_back(object result, object out) noexcept:
    """Writes a result to its `out`, if that is another array."""
    if out is None or out is result:
        return
    cdef cnp.ndarray to = <cnp.ndarray>out
    cdef cnp.ndarray source = <cnp.ndarray>result
    put_elements(<char *>cnp.PyArray_DATA(to), <const char *>cnp.PyArray_DATA(source), 0, to,
                 source, not cnp.PyArray_ISNOTSWAPPED(to))


cdef object given(object result, object out):
    """What the caller gets."""
    return result if out is None else out


# ---- calls ----

cdef int run(prelu_call *call, cnp.ndarray x, cnp.ndarray alpha, bint at_one,
             void (*what)(const prelu_call *) noexcept nogil) except -1:
    """Completes a call on arrays and runs it."""
    call.x_dtype = dtype_code(x)
    call.alpha_dtype = dtype_code(alpha)
    call.at_one = at_one
    return run_call(call, cnp.PyArray_NBYTES(x), cnp.PyArray_ITEMSIZE(x), 0, what)


cdef int run_call(prelu_call *call, Py_ssize_t size, Py_ssize_t item, int most_threads,
                  void (*what)(const prelu_call *) noexcept nogil) except -1:
    """Runs a call on x of a size in bytes, in `most_threads` if that is not 0."""
    cdef int allowed, worth = prelu_threads_worth(size)
    call.larger = 0
    # a group of 16 bits is but half a line, and gains nothing from whole lines
    call.stream = size >= STREAM_FROM and item >= 4
    call.threads = 1
    if worth > 1:
        allowed = _threads.get_num_threads()
        if most_threads:
            allowed = min(allowed, most_threads)
        call.threads = prelu_take_threads(min(worth, allowed), allowed)
    view_canonical(&call.view)
    if size >= RELEASE_FROM:
        with nogil:
            what(call)
    else:
        what(call)
    if worth > 1:
        prelu_give_threads(call.threads)
    return 0


def forward(object x, object alpha, object axis, object out):
    """y. See `prelu_array.prelu`."""
    cdef int where[VIEW_MAX_AXES]
    cdef prelu_call call
    call.in_place = call.partial = False
    cdef cnp.ndarray x_ = x if is_usual(x) else _arguments.as_array(x, "x", True)
    cdef cnp.ndarray alpha_ = as_alpha(alpha, x_)
    cdef cnp.ndarray y
    place_alpha(x_, alpha_, axis, where)
    if out is None:
        y = new_like(x_)
    else:
        check_out(out, "out", x_, "x")
        y = writable(out)
        x_ = apart_from(x_, y, True)
        alpha_ = apart_from(alpha_, y, is_in_step(x_, alpha_, where))
    if cnp.PyArray_SIZE(x_):
        start_view(&call.view, x_)
        add_operand(&call.view, VIEW_X, x_)
        add_operand(&call.view, VIEW_OUT, y)
        add_alpha(&call.view, VIEW_ALPHA, alpha_, where)
        run(&call, x_, alpha_, False, prelu_scale)
        put_back(y, out)
    return given(y, out)


def backward(object dy, object x, object alpha, object axis, bint at_one, bint need_dx,
             bint need_dalpha, object out):
    """(dx, dalpha). See `prelu_array.prelu_backward`."""
    cdef int where[VIEW_MAX_AXES]
    cdef prelu_call call
    call.in_place = call.partial = False
    cdef cnp.ndarray dy_ = as_usual(dy, "dy")
    cdef cnp.ndarray x_ = as_usual(x, "x")
    cdef cnp.ndarray alpha_
    cdef object dx = None, dalpha = None, dx_out = None, dalpha_out = None
    cdef bint in_place = False
    check_like(dy_, "dy", x_, "x")
    alpha_ = as_alpha(alpha, x_)
    place_alpha(x_, alpha_, axis, where)
    if out is not None:
        if type(out) is tuple and len(<tuple>out) == 2 and need_dx and need_dalpha:
            dx_out, dalpha_out = <tuple>out
        else:
            dx_out, dalpha_out = _arguments.pair(out, need_dx, need_dalpha)
        if dx_out is not None:
            check_out(dx_out, "out[0]", x_, "x")
            dx = writable(dx_out)
        if dalpha_out is not None:
            check_out(dalpha_out, "out[1]", alpha_, "alpha")
            dalpha = writable(dalpha_out)
        check_apart(dx_out, 0, dalpha_out, 1)
        in_step = is_in_step(x_, alpha_, where)
        x_ = apart_from(apart_from(x_, dx, True), dalpha, in_step)
        dy_ = apart_from(apart_from(dy_, dx, True), dalpha, in_step)
        alpha_ = apart_from(apart_from(alpha_, dx, in_step), dalpha, True)
        in_place = dx is not None and (overlap(dx, x_) or overlap(dx, dy_))
        if in_place:  # dx is written last
            alpha_ = apart_from(alpha_, dalpha, False)
    if need_dx and dx is None:
        dx = new_like(x_)
    if need_dalpha and dalpha is None:
        dalpha = new_like(alpha_)
    given_back = given(dx, dx_out), given(dalpha, dalpha_out)

    if cnp.PyArray_SIZE(x_) == 0:
        if need_dalpha:
            dalpha[...] = 0
    elif need_dx or need_dalpha:
        start_view(&call.view, x_)
        add_operand(&call.view, VIEW_X, x_)
        add_operand(&call.view, VIEW_G, dy_)
        add_alpha(&call.view, VIEW_ALPHA, alpha_, where)
        if need_dx:
            add_operand(&call.view, VIEW_OUT, dx)
        if need_dalpha:
            add_alpha(&call.view, VIEW_DALPHA, dalpha, where)
        call.in_place = in_place
        run(&call, x_, alpha_, at_one, prelu_backward if need_dalpha else prelu_scale)
    put_back(dx, dx_out)
    put_back(dalpha, dalpha_out)
    return given_back


def backward_partial(object dy, object x, object alpha, object axis, bint at_one, bint need_dx,
                     object out):
    """(dx, state). See `prelu_array.prelu_backward_partial`."""
    cdef int where[VIEW_MAX_AXES]
    cdef prelu_call call
    call.in_place = call.partial = False
    cdef cnp.ndarray dy_ = as_usual(dy, "dy")
    cdef cnp.ndarray x_ = as_usual(x, "x")
    cdef cnp.ndarray alpha_
    cdef object dx = None, state = None, dx_out = None, state_out = None
    cdef tuple shape
    check_like(dy_, "dy", x_, "x")
    alpha_ = as_alpha(alpha, x_)
    place_alpha(x_, alpha_, axis, where)
    if alpha_.ndim == VIEW_MAX_AXES:
        raise _arguments.too_many_axes_for_a_state(alpha_.ndim)
    shape = (*np.shape(alpha_), prelu_state_limbs(dtype_code(x_)))
    if out is not None:
        dx_out, state_out = _arguments.outputs(out, ("dx", "state"), need_dx=need_dx)
        if dx_out is not None:
            check_out(dx_out, "out[0]", x_, "x")
            dx = writable(dx_out)
        if state_out is not None:
            _arguments.check_out(state_out, "out[1]", shape, np.dtype(np.int64), "the state")
            # a state is written as one run of limbs
            if is_usual(state_out) and state_out.strides[alpha_.ndim] == sizeof(cnp.int64_t):
                state = state_out
        check_apart(dx_out, 0, state_out, 1)
        x_ = apart_from(apart_from(x_, dx, True), state, False)  # dx is written last
        dy_ = apart_from(apart_from(dy_, dx, True), state, False)
        alpha_ = apart_from(apart_from(alpha_, dx, is_in_step(x_, alpha_, where)), state, False)
    if need_dx and dx is None:
        dx = new_like(x_)
    if state is None:
        state = np.empty(shape, np.int64)
    given_back = given(dx, dx_out), given(state, state_out)
    if cnp.PyArray_SIZE(x_) == 0:
        state[...] = 0
    else:
        start_view(&call.view, x_)
        add_operand(&call.view, VIEW_X, x_)
        add_operand(&call.view, VIEW_G, dy_)
        add_alpha(&call.view, VIEW_ALPHA, alpha_, where)
        add_alpha(&call.view, VIEW_DALPHA, state[..., 0], where)
        if need_dx:
            add_operand(&call.view, VIEW_OUT, dx)
        call.partial = True
        run(&call, x_, alpha_, at_one, prelu_backward)
    put_back(dx, dx_out)
    put_back(state, state_out)
    return given_back


def round_partial(object state, object dtype):
    """dalpha. See `prelu_array.dalpha_from_partial`."""
    cdef cnp.ndarray state_ = _arguments.as_state(state)
    cdef cnp.ndarray dalpha
    cdef int limbs = state_.shape[state_.ndim - 1] if state_.ndim else 0
    cdef int x_dtype = 0, alpha_dtype
    cdef Py_ssize_t k
    while x_dtype < PRELU_FLOATS and prelu_state_limbs(x_dtype) != limbs:
        x_dtype += 1
    if x_dtype == PRELU_FLOATS:
        raise _arguments.not_a_state(np.shape(state_),
                                     [prelu_state_limbs(k) for k in range(PRELU_FLOATS)])
    dalpha = np.empty(np.shape(state_)[:state_.ndim - 1], _arguments.as_dtype(dtype))
    alpha_dtype = dtype_code(dalpha)
    for k in range(cnp.PyArray_SIZE(dalpha)):
        prelu_round_state(<cnp.int64_t *>cnp.PyArray_DATA(state_) + k * limbs,
                          x_dtype, alpha_dtype,
                          <char *>cnp.PyArray_DATA(dalpha) + k * cnp.PyArray_ITEMSIZE(dalpha))
    return dalpha


def jvp(object x, object alpha, object x_dot, object alpha_dot, object axis, bint at_one,
        object out):
    """y_dot. See `prelu_array.prelu_jvp`."""
    cdef int where[VIEW_MAX_AXES]
    cdef prelu_call call
    call.in_place = call.partial = False
    cdef cnp.ndarray x_ = as_usual(x, "x")
    cdef cnp.ndarray alpha_ = as_alpha(alpha, x_)
    cdef cnp.ndarray x_dot_ = as_usual(x_dot, "x_dot")
    cdef cnp.ndarray alpha_dot_ = as_alpha(alpha_dot, alpha_, "alpha_dot", "alpha")
    cdef cnp.ndarray y_dot
    check_like(x_dot_, "x_dot", x_, "x")
    check_like(alpha_dot_, "alpha_dot", alpha_, "alpha")
    place_alpha(x_, alpha_, axis, where)
    if out is None:
        y_dot = new_like(x_)
    else:
        check_out(out, "out", x_, "x")
        y_dot = writable(out)
        # a sum of two products that is in doubt is computed again after y_dot was written
        x_ = apart_from(x_, y_dot, False)
        x_dot_ = apart_from(x_dot_, y_dot, False)
        alpha_ = apart_from(alpha_, y_dot, False)
        alpha_dot_ = apart_from(alpha_dot_, y_dot, False)
    if cnp.PyArray_SIZE(x_):
        start_view(&call.view, x_)
        add_operand(&call.view, VIEW_X, x_)
        add_operand(&call.view, VIEW_G, x_dot_)
        add_operand(&call.view, VIEW_OUT, y_dot)
        add_alpha(&call.view, VIEW_ALPHA, alpha_, where)
        add_alpha(&call.view, VIEW_ALPHA_DOT, alpha_dot_, where)
        run(&call, x_, alpha_, at_one, prelu_scale)
        put_back(y_dot, out)
    return given(y_dot, out)


def double_backward(object ddx, object ddalpha, object dy, object x, object alpha, object axis,
                    bint at_one, object out):
    """Cotangents of dy, x and alpha. See `prelu_array.prelu_double_backward`."""
    cdef int where[VIEW_MAX_AXES]
    cdef prelu_call call
    call.in_place = call.partial = False
    cdef cnp.ndarray ddx_ = as_usual(ddx, "ddx")
    cdef cnp.ndarray dy_ = as_usual(dy, "dy")
    cdef cnp.ndarray x_ = as_usual(x, "x")
    cdef cnp.ndarray alpha_ = as_alpha(alpha, x_)
    cdef cnp.ndarray ddalpha_ = as_alpha(ddalpha, alpha_, "ddalpha", "alpha")
    cdef object of_dy = None, of_x = None, of_alpha = None
    cdef tuple outs = (None, None, None)
    check_like(ddx_, "ddx", x_, "x")
    check_like(dy_, "dy", x_, "x")
    check_like(ddalpha_, "ddalpha", alpha_, "alpha")
    place_alpha(x_, alpha_, axis, where)
    if out is not None:
        outs = _arguments.outputs(out, ("of_dy", "of_x", "of_alpha"))
        if outs[0] is not None:
            check_out(outs[0], "out[0]", x_, "x")
            of_dy = writable(outs[0])
        if outs[1] is not None:
            check_out(outs[1], "out[1]", x_, "x")
            of_x = writable(outs[1])
        if outs[2] is not None:
            check_out(outs[2], "out[2]", alpha_, "alpha")
            of_alpha = writable(outs[2])
        check_apart(outs[0], 0, outs[1], 1)
        check_apart(outs[0], 0, outs[2], 2)
        check_apart(outs[1], 1, outs[2], 2)
        # what is in doubt is computed again after they are written
        ddx_ = apart_from_all(ddx_, of_dy, of_x, of_alpha)
        dy_ = apart_from_all(dy_, of_dy, of_x, of_alpha)
        x_ = apart_from_all(x_, of_dy, of_x, of_alpha)
        alpha_ = apart_from_all(alpha_, of_dy, of_x, of_alpha)
        ddalpha_ = apart_from_all(ddalpha_, of_dy, of_x, of_alpha)
    of_dy = new_like(x_) if of_dy is None else of_dy
    of_x = new_like(x_) if of_x is None else of_x
    of_alpha = new_like(alpha_) if of_alpha is None else of_alpha
    given_back = given(of_dy, outs[0]), given(of_x, outs[1]), given(of_alpha, outs[2])
    if cnp.PyArray_SIZE(x_) == 0:
        of_alpha[...] = 0
    else:
        start_view(&call.view, x_)
        add_operand(&call.view, VIEW_X, x_)
        add_operand(&call.view, VIEW_G, ddx_)
        add_operand(&call.view, VIEW_DY, dy_)
        add_operand(&call.view, VIEW_OUT, of_dy)
        add_operand(&call.view, VIEW_OF_X, of_x)
        add_alpha(&call.view, VIEW_ALPHA, alpha_, where)
        add_alpha(&call.view, VIEW_ALPHA_DOT, ddalpha_, where)
        add_alpha(&call.view, VIEW_DALPHA, of_alpha, where)
        run(&call, x_, alpha_, at_one, prelu_backward)
    put_back(of_dy, outs[0])
    put_back(of_x, outs[1])
    put_back(of_alpha, outs[2])
    return given_back


include "addresses.pxi"
