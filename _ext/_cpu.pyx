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

include "core.pxi"

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


include "arguments.pxi"
include "views.pxi"


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
    # a group of 16-bit numbers is half a line, and gains nothing from non-temporal stores
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
            # a state is written as contiguous limbs
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
        # undecided sums of two products are computed again after y_dot is written
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
        # undecided sums are computed again after they are written
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
