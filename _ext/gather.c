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
    enum { AHEAD = 2048 }; /* bytes that are asked for */
    const int from = contiguous_from(n, stride, item);
    int first = from, last = BLOCK_AXES - 1; /* the axes of a row */
    if (first == BLOCK_AXES) { /* one axis: the last, or one along which the strided memory is contiguous */
        first = last;
        for (int k = 0; k < BLOCK_AXES; k++)
            if (stride[k] == item && n[k] >= 8) first = last = k;
    }
    const ptrdiff_t step = from < BLOCK_AXES ? item : stride[last];
    ptrdiff_t count[3] = {1, 1, 1}, by[3] = {0}, own_by[3] = {0}; /* of the axes around a row */
    ptrdiff_t row = 1, own = item, own_step = item;
    for (int k = BLOCK_AXES - 1, i = 3; k >= 0; own *= n[k--]) {
        if (k == last) own_step = own;
        if (first <= k && k <= last) row *= n[k];
        else count[--i] = n[k], by[i] = stride[k], own_by[i] = own;
    }
    for (ptrdiff_t i = 0; i < count[0]; i++)
        for (ptrdiff_t j = 0; j < count[1]; j++) {
            char *at = strided + i * by[0] + j * by[1];
            char *to = contiguous + i * own_by[0] + j * own_by[1];
            for (ptrdiff_t k = 0; k < count[2]; k++, at += by[2], to += own_by[2]) {
                if (step <= 2 * item) PRELU_PREFETCH(at + AHEAD);
                if (scatter) copy_row(at, step, to, own_step, row, item);
                else copy_row(to, own_step, at, step, row, item);
            }
        }
}
