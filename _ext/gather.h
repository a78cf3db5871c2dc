/* Blocks of an operand, of up to four axes: gathered into contiguous memory, scattered from it. */
#ifndef PRELU_GATHER_H
#define PRELU_GATHER_H

#include <stddef.h>
#include <string.h>

enum { BLOCK_AXES = 4 }; /* outermost first */

static inline ptrdiff_t block_size(const ptrdiff_t *n) { return n[0] * n[1] * n[2] * n[3]; }

/* The outermost axis from which on a block is contiguous; BLOCK_AXES if not even the last is. */
static inline int contiguous_from(const ptrdiff_t *n, const ptrdiff_t *stride, ptrdiff_t item) {
    int axis = BLOCK_AXES;
    for (; axis > 0 && (n[axis - 1] == 1 || stride[axis - 1] == item); axis--) item *= n[axis - 1];
    return axis;
}

static inline void copy_strided(char *to, ptrdiff_t to_stride, const char *from,
                                ptrdiff_t from_stride, ptrdiff_t n, const size_t item) {
    for (ptrdiff_t i = 0; i < n; i++) memcpy(to + i * to_stride, from + i * from_stride, item);
}

/* A call of memcpy() takes longer than a short row. */
static inline void copy_contiguous(char *to, const char *from, size_t bytes) {
    if (bytes > 256) {
        memcpy(to, from, bytes);
        return;
    }
    for (; bytes >= 16; to += 16, from += 16, bytes -= 16) memcpy(to, from, 16);
    if (bytes & 8) memcpy(to, from, 8), to += 8, from += 8;
    if (bytes & 4) memcpy(to, from, 4), to += 4, from += 4;
    if (bytes & 2) memcpy(to, from, 2);
}

static inline void copy_row(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride,
                            ptrdiff_t n, ptrdiff_t item) {
    if (to_stride == item && from_stride == item) copy_contiguous(to, from, (size_t)(n * item));
    else if (item == 2) copy_strided(to, to_stride, from, from_stride, n, 2);
    else if (item == 4) copy_strided(to, to_stride, from, from_stride, n, 4);
    else copy_strided(to, to_stride, from, from_stride, n, 8);
}

/* Copies a block between memories of two strides, in rows that are as long as both allow. */
static inline void copy_block(char *to, const ptrdiff_t *to_stride, const char *from,
                              const ptrdiff_t *from_stride, const ptrdiff_t *n, ptrdiff_t item) {
    const int a = contiguous_from(n, to_stride, item), b = contiguous_from(n, from_stride, item);
    const int axis = a > b ? a : b; /* axes from this one on are one row */
    ptrdiff_t row = 1, outer[3] = {1, 1, 1}, steps[2][3] = {{0}};
    int last = axis < BLOCK_AXES ? axis : BLOCK_AXES - 1;
    for (int k = last; k < BLOCK_AXES; k++) row *= n[k];
    for (int k = 0; k < last; k++)
        outer[k] = n[k], steps[0][k] = to_stride[k], steps[1][k] = from_stride[k];
    const ptrdiff_t step[2] = {axis < BLOCK_AXES ? item : to_stride[last],
                               axis < BLOCK_AXES ? item : from_stride[last]};
    for (ptrdiff_t i = 0; i < outer[0]; i++)
        for (ptrdiff_t j = 0; j < outer[1]; j++)
            for (ptrdiff_t k = 0; k < outer[2]; k++)
                copy_row(to + i * steps[0][0] + j * steps[0][1] + k * steps[0][2], step[0],
                         from + i * steps[1][0] + j * steps[1][1] + k * steps[1][2], step[1], row,
                         item);
}

/* The strides of a contiguous block. */
static inline void contiguous_strides(ptrdiff_t *stride, const ptrdiff_t *n, ptrdiff_t item) {
    for (int k = BLOCK_AXES - 1; k >= 0; k--) stride[k] = item, item *= n[k];
}

#endif
