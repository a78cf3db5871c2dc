/* Design: rows are as long as the strided memory allows. A row's loop is a function of its own, whose numbers
 * stay in registers; every second item, and one item again and again, are loops that the compiler
 * makes vectors of.
 */
#include "gather.h"

#include "dtypes.h"

#define ITEMS(type)                                                                            \
    static void copy_##type(char *to, ptrdiff_t to_stride, const char *from,                   \
                            ptrdiff_t from_stride, ptrdiff_t n) {                              \
        enum { ITEM = sizeof(type) };                                                          \
        type one;                                                                              \
        memcpy(&one, from, ITEM);                                                              \
        if (to_stride == ITEM && from_stride == 0)                                             \
            for (ptrdiff_t i = 0; i < n; i++) memcpy(to + i * ITEM, &one, ITEM);               \
        else if (to_stride == ITEM && from_stride == 2 * ITEM)                                 \
            for (ptrdiff_t i = 0; i < n; i++) memcpy(to + i * ITEM, from + i * 2 * ITEM, ITEM); \
        else                                                                                   \
            PRELU_UNROLL                                                                       \
            for (; n > 0; n--, to += to_stride, from += from_stride) memcpy(to, from, ITEM);   \
    }
ITEMS(uint16_t)
ITEMS(uint32_t)
ITEMS(uint64_t)

/* A call of memcpy() takes longer than a short row. */
static void copy_contiguous(char *to, const char *from, ptrdiff_t bytes) {
    if (bytes > 256) {
        memcpy(to, from, (size_t)bytes);
    } else if (bytes >= 16) {
        for (ptrdiff_t i = 0; i < bytes - 16; i += 16) memcpy(to + i, from + i, 16);
        memcpy(to + bytes - 16, from + bytes - 16, 16); /* some of them again */
    } else {
        if (bytes & 8) memcpy(to, from, 8), to += 8, from += 8;
        if (bytes & 4) memcpy(to, from, 4), to += 4, from += 4;
        if (bytes & 2) memcpy(to, from, 2);
    }
}

void copy_row(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride, ptrdiff_t n,
              ptrdiff_t item) {
    if (n == 0) return;
    if (to_stride == item && from_stride == item) copy_contiguous(to, from, n * item);
    else if (item == 2) copy_uint16_t(to, to_stride, from, from_stride, n);
    else if (item == 4) copy_uint32_t(to, to_stride, from, from_stride, n);
    else copy_uint64_t(to, to_stride, from, from_stride, n);
}

void copy_block(char *contiguous, char *strided, const ptrdiff_t *stride, const ptrdiff_t *n,
                ptrdiff_t item, int scatter) {
    enum { AHEAD = 2048 }; /* bytes that are asked for */
    const int axis = contiguous_from(n, stride, item); /* axes from this one on are one row */
    int along = BLOCK_AXES - 1;
    for (int k = 0; k < BLOCK_AXES && axis == BLOCK_AXES; k++)
        if (stride[k] == item && n[k] >= 8) along = k; /* transposed: rows of the strided memory */
    ptrdiff_t count[3] = {1, 1, 1}, by[3] = {0}, own_by[3] = {0}; /* of the axes around a row */
    ptrdiff_t row = 1, own = item, own_step = item;
    for (int k = BLOCK_AXES - 1, i = 3; k >= 0; own *= n[k--]) {
        if (k >= axis || k == along) {
            if (k == along && axis == BLOCK_AXES) own_step = own;
            row *= n[k];
        } else {
            count[--i] = n[k], by[i] = stride[k], own_by[i] = own;
        }
    }
    const ptrdiff_t step = axis < BLOCK_AXES ? item : stride[along];
    for (ptrdiff_t i = 0; i < count[0]; i++)
        for (ptrdiff_t j = 0; j < count[1]; j++) {
            char *at = strided + i * by[0] + j * by[1], *to = contiguous + i * own_by[0] + j * own_by[1];
            for (ptrdiff_t k = 0; k < count[2]; k++, at += by[2], to += own_by[2]) {
                if (step <= 2 * item) PRELU_PREFETCH(at + AHEAD);
                if (scatter) copy_row(at, step, to, own_step, row, item);
                else copy_row(to, own_step, at, step, row, item);
            }
        }
}
