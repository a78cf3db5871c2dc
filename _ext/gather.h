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

/* n items of 2, 4 or 8 bytes. */
void copy_row(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride, ptrdiff_t n,
              ptrdiff_t item);

/* A block to contiguous memory, or from it. */
void copy_block(char *contiguous, char *strided, const ptrdiff_t *stride, const ptrdiff_t *n,
                ptrdiff_t item, int scatter);

#endif
