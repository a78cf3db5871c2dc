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
            for (; n > 0; n--, to += to_stride, from += from_stride) memcpy(to, from, ITEM);   \
    }
ITEMS(uint16_t)
ITEMS(uint32_t)
ITEMS(uint64_t)

/* Of 2, 4 and 8 bytes; called through a table they are not inlined. */
static void (*const copy_items[3])(char *, ptrdiff_t, const char *, ptrdiff_t, ptrdiff_t) = {
    copy_uint16_t, copy_uint32_t, copy_uint64_t};

void copy_row(char *to, ptrdiff_t to_stride, const char *from, ptrdiff_t from_stride, ptrdiff_t n,
              ptrdiff_t item) {
    if (n == 0) return;
    if (to_stride == item && from_stride == item) memcpy(to, from, (size_t)(n * item));
    else copy_items[item / 4](to, to_stride, from, from_stride, n);
}

void copy_block(char *contiguous, char *strided, const ptrdiff_t *stride, const ptrdiff_t *n,
                ptrdiff_t item, int scatter) {
    const int axis = contiguous_from(n, stride, item); /* axes from this one on are one row */
    enum { AHEAD = 2048 }; /* bytes that are asked for */
    ptrdiff_t own[BLOCK_AXES], outer[BLOCK_AXES], row = 1;
    int along = axis < BLOCK_AXES ? axis : BLOCK_AXES - 1;
    for (int k = 0; k < BLOCK_AXES && axis == BLOCK_AXES; k++)
        if (stride[k] == item && n[k] >= 8) along = k; /* transposed: rows of the strided memory */
    for (int k = BLOCK_AXES - 1; k >= 0; k--) {
        const int in_row = k == along || k >= axis;
        own[k] = k == BLOCK_AXES - 1 ? item : own[k + 1] * n[k + 1];
        outer[k] = in_row ? 1 : n[k];
        row *= in_row ? n[k] : 1;
    }
    const ptrdiff_t step = axis < BLOCK_AXES ? item : stride[along];
    const ptrdiff_t own_step = axis < BLOCK_AXES ? item : own[along];
    for (ptrdiff_t i = 0; i < outer[0]; i++)
        for (ptrdiff_t j = 0; j < outer[1]; j++)
            for (ptrdiff_t k = 0; k < outer[2]; k++)
                for (ptrdiff_t l = 0; l < outer[3]; l++) {
                    char *at = strided + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
                    char *to = contiguous + i * own[0] + j * own[1] + k * own[2] + l * own[3];
                    if (step <= 2 * item) PRELU_PREFETCH(at + AHEAD);
                    if (scatter) copy_row(at, step, to, own_step, row, item);
                    else copy_row(to, own_step, at, step, row, item);
                }
}
