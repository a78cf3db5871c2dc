# The C core, as _cpu.pyx sees it.

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
    ctypedef struct view_axis:
        Py_ssize_t length
        Py_ssize_t stride[8]
    ctypedef struct prelu_view:
        char *data[8]
        int axes
        view_axis axis[64]
    int view_fit_alpha(int, const Py_ssize_t *, int, const Py_ssize_t *, int, const int *, int *)
    void view_canonical(prelu_view *)

cdef extern from "call.h" nogil:
    const Py_ssize_t item_size[8]
    ctypedef struct prelu_call:
        int x_dtype
        int alpha_dtype
        int at_one
        int larger
        int stream
        int in_place
        int partial
        int threads
        prelu_view view
    const char *prelu_instruction_set()
    int prelu_select_instruction_set(const char *)

cdef extern from "dalpha.h" nogil:
    void prelu_scale(const prelu_call *)
    void prelu_backward(const prelu_call *)

cdef extern from "settle.h" nogil:
    void prelu_round(double, int, void *)
    int prelu_state_limbs(int)
    void prelu_round_state(const cnp.int64_t *, int, int, void *)

cdef extern from "threads.h" nogil:
    void prelu_threads_init()
    int prelu_threads_worth(Py_ssize_t)
    void prelu_set_thread_bytes(Py_ssize_t)
    int prelu_take_threads(int, int)
    void prelu_give_threads(int)
