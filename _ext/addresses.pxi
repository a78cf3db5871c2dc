# Calls below NumPy's arrays, for adapters: addresses, shapes and strides in, nothing made.


cdef int add_strides(prelu_view *v, int operand, object strides, const Py_ssize_t *shape, int axes,
                     Py_ssize_t item, const int *where) except -1:
    """Strides in bytes along the axes of x, from those in elements; None is C order."""
    cdef Py_ssize_t stride, run = item
    cdef int k
    for k in range(v.axes):
        v.axis[k].stride[operand] = 0
    for k in range(axes - 1, -1, -1):
        stride = run if strides is None else item * <Py_ssize_t>strides[k]
        run *= shape[k]
        if where is NULL:
            v.axis[k].stride[operand] = stride
        elif where[k] >= 0:
            v.axis[where[k]].stride[operand] = stride
    return 0


def start(int x_dtype, int alpha_dtype, bint at_one, object shape, object alpha_shape,
          object axis, tuple addresses, tuple strides, int most_threads):
    """Run a call on memory that the caller vouches for; outputs overlap with nothing.

    Addresses (0: not there) and strides (in elements; None: C order) are those of the operands of
    view.h, in its order; those that are there say what is computed. dtypes are numbers as in
    dtypes.h. `axis` is as in `prelu`.
    """
    cdef int where[VIEW_MAX_AXES]
    cdef int axes[VIEW_MAX_AXES]
    cdef Py_ssize_t lengths[VIEW_MAX_AXES]
    cdef Py_ssize_t alphas[VIEW_MAX_AXES]
    cdef prelu_call call
    cdef prelu_view *v = &call.view
    cdef int alpha_axes = len(alpha_shape), n_axis, k
    cdef Py_ssize_t size = 1
    cdef bint one = True
    v.axes = len(shape)
    if max(v.axes, alpha_axes) > VIEW_MAX_AXES:
        raise ValueError(f"x and alpha must have {VIEW_MAX_AXES} dimensions at most, "
                         f"got {v.axes} and {alpha_axes}")
    for k in range(v.axes):
        v.axis[k].length = lengths[k] = shape[k]
        size *= lengths[k]
    for k in range(alpha_axes):
        alphas[k] = alpha_shape[k]
        one &= alphas[k] == 1
    n_axis = read_axis(axis, v.axes, one, axes)
    if not view_fit_alpha(v.axes, lengths, alpha_axes, alphas, n_axis, axes, where):
        raise _arguments.misfit(tuple(shape), tuple(alpha_shape), axis)
    if size == 0:
        return
    for k in range(VIEW_OPERANDS):
        v.data[k] = <char *><size_t>addresses[k]
        if v.data[k] is NULL:
            continue
        if k == VIEW_ALPHA or k == VIEW_DALPHA or k == VIEW_ALPHA_DOT:
            add_strides(v, k, strides[k], alphas, alpha_axes, item_size[alpha_dtype], where)
        else:
            add_strides(v, k, strides[k], lengths, v.axes, item_size[x_dtype], NULL)
    call.x_dtype = x_dtype
    call.alpha_dtype = alpha_dtype
    call.at_one = at_one
    call.in_place = call.partial = False
    run_call(&call, size * item_size[x_dtype], item_size[x_dtype], most_threads,
             prelu_scale if v.data[VIEW_DALPHA] is NULL else prelu_backward)
