# Views of arrays, and whether they share memory.


cdef void add_operand(prelu_view *v, int operand, cnp.ndarray a) noexcept:
    """An array of x's shape."""
    cdef int k
    v.data[operand] = <char *>cnp.PyArray_DATA(a)
    for k in range(v.axes):
        v.axis[k].stride[operand] = a.strides[k]


cdef void add_alpha(prelu_view *v, int operand, cnp.ndarray a, const int *where) noexcept:
    cdef int k
    v.data[operand] = <char *>cnp.PyArray_DATA(a)
    for k in range(v.axes):
        v.axis[k].stride[operand] = 0
    for k in range(a.ndim):
        if where[k] >= 0:
            v.axis[where[k]].stride[operand] = a.strides[k]


cdef void start_view(prelu_view *v, cnp.ndarray x) noexcept:
    cdef int k
    v.axes = x.ndim
    for k in range(x.ndim):
        v.axis[k].length = x.shape[k]
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
    """Whether the memory extents overlap; for no elements any answer is right."""
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
    """Where to compute the result for `out`: `out` itself, or memory the loops can use."""
    return out if is_usual(out) else np.empty_like(out, dtype=_arguments.native(out.dtype),
                                                   subok=False)


# Nothing can fail once a byte of `out` is written: results are allocated before a call runs, and
# one that could not be computed in its `out` is copied there without allocating. No list
# comprehension is used before either: Cython drops a reference too many if memory is short.

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
