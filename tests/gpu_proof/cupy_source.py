"""CuPy's own ElementwiseKernel and ReductionKernel: the source it generates, without a device.

This uses CuPy's private functions; if a release moves them, this is the one place to mend.
"""

from __future__ import annotations

import math

import cupy
import numpy as np
from cupy._core import _carray, _kernel, _reduction, _scalar

from .nvrtc import CUPY_HEADERS

_ARRAY, _INDEXER, _SCALAR = 1, 2, 3  # _ArgKind in cupy/_core/_kernel.pxd
_THREADS = 128  # of CuPy's elementwise launches
_REDUCTION_THREADS = 512


def _array_info(a):
    return _kernel._ArgInfo(_ARRAY, cupy.ndarray, a.dtype, a.ndim, a.flags.c_contiguous, True)


def _scalar_info(dtype):
    return _kernel._ArgInfo(_SCALAR, _scalar.CScalar, np.dtype(dtype), 0, True, True)


def _indexer_info(ndim):
    return _kernel._ArgInfo(_INDEXER, _carray.Indexer, None, ndim, True, True)


def _carray_bytes(a):
    return np.array([a.ctypes.data, a.size, *a.shape, *a.strides], np.int64).tobytes()


def _indexer_bytes(shape):
    index = [0] * len(shape)  # where a thread keeps its place
    return np.array([math.prod(shape), *shape, *index], np.int64).tobytes()


class Elementwise:
    def __init__(self, proof, *args, options=(), **kwargs):
        self.proof, self.options = proof, options
        self.kernel = cupy.ElementwiseKernel(*args, **kwargs)

    def __call__(self, *args):
        kernel = self.kernel
        out = args[-1]
        inputs = [
            np.broadcast_to(a, out.shape, subok=True) if isinstance(a, np.ndarray) else a
            for a in args[: kernel.nin]
        ]
        infos, dtypes, values = [], [], []
        for a, param in zip((*inputs, out), kernel.params, strict=False):
            if isinstance(a, np.ndarray):
                infos.append(_array_info(a))
                values.append(_carray_bytes(a))
                dtypes.append(a.dtype)
            else:
                infos.append(_scalar_info(param.dtype))
                values.append(np.asarray(a).astype(param.dtype).tobytes())
                dtypes.append(None)
        infos.append(_indexer_info(out.ndim))
        _, _, types = kernel._decide_params_type(tuple(dtypes[:-1]), (out.dtype,))
        text = _kernel._get_elementwise_kernel_code(
            tuple(infos), types, kernel.params, kernel.operation, kernel.name, kernel.preamble
        )
        grid = -(-out.size // _THREADS)
        values.append(_indexer_bytes(out.shape))
        self.proof.run(
            CUPY_HEADERS + text, self.options, kernel.name, grid, _THREADS, tuple(values)
        )


class Reduction:
    def __init__(self, proof, *args, options=(), **kwargs):
        self.proof, self.options = proof, options
        self.kernel = cupy.ReductionKernel(*args, **kwargs)

    def __call__(self, *args, axis):
        kernel = self.kernel
        inputs, outs = args[: kernel.nin], args[kernel.nin :]
        rest = tuple(k for k in range(inputs[0].ndim) if k not in axis)
        inputs = [a.transpose(axis + rest) for a in inputs]
        size, out_size = inputs[0].size, outs[0].size
        # CuPy's _get_block_specs, with its lower end for the contiguous size
        stride = max(1, _REDUCTION_THREADS // max(1, size // out_size))
        stride = 1 << (stride.bit_length() - 1)
        infos = [_array_info(a) for a in (*inputs, *outs)]
        infos += [_indexer_info(inputs[0].ndim), _indexer_info(outs[0].ndim)]
        infos.append(_scalar_info(np.int32))
        _, _, types = _kernel._decide_params_type(
            kernel.in_params, kernel.out_params,
            tuple(a.dtype.type for a in inputs), tuple(a.dtype.type for a in outs),
        )  # fmt: skip
        types = _kernel._TypeMap((*types._pairs, ("IndexT", "int32")))
        text = _reduction._ReductionKernel_get_cached_function_code(
            kernel.nin, kernel.nout, kernel._params, tuple(infos), types, kernel.name,
            _REDUCTION_THREADS, kernel.reduce_type, kernel.identity, kernel.map_expr,
            kernel.reduce_expr, kernel.post_map_expr, kernel.preamble, self.options,
        )  # fmt: skip
        values = [_carray_bytes(a) for a in (*inputs, *outs)]
        values += [_indexer_bytes(inputs[0].shape), _indexer_bytes(outs[0].shape)]
        values.append(np.int32(stride))
        grid = -(-out_size // stride)
        self.proof.run(
            CUPY_HEADERS + text, self.options, kernel.name, grid, _REDUCTION_THREADS,
            tuple(values),
        )  # fmt: skip
