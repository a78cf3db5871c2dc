# Arguments in their usual form; any other goes to `_arguments`.


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
    """How alpha broadcasts, for arrays: the axis of x for each axis of alpha."""
    cdef int axes[VIEW_MAX_AXES]
    cdef int n_axis = read_axis(axis, x.ndim, cnp.PyArray_SIZE(alpha) == 1, axes)
    if not view_fit_alpha(x.ndim, <const Py_ssize_t *>x.shape, alpha.ndim,
                          <const Py_ssize_t *>alpha.shape, n_axis, axes, where):
        raise _arguments.misfit(np.shape(x), np.shape(alpha), axis)
    return 0


def fit_alpha(tuple x_shape, tuple alpha_shape, axis):
    """How alpha broadcasts, for shapes: the axis of x for each axis of alpha, or -1 where its
    length is 1; None if alpha does not fit. For the other backends."""
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
