/* Pieces of an operand: gathered into one run, scattered from one. */
#ifndef PRELU_PIECES_H
#define PRELU_PIECES_H

#include <stddef.h>
#include <string.h>

/* A piece of up to three axes, outermost first. */
typedef struct {
    ptrdiff_t n[3];
} piece;

static inline ptrdiff_t piece_size(const piece *p) { return p->n[0] * p->n[1] * p->n[2]; }

static inline int is_one_run(const piece *p, const ptrdiff_t *stride, ptrdiff_t item) {
    return (p->n[2] == 1 || stride[2] == item) &&
           (p->n[1] == 1 || stride[1] == item * p->n[2]) &&
           (p->n[0] == 1 || stride[0] == item * p->n[2] * p->n[1]);
}

static inline void copy_strided(char *to, ptrdiff_t to_stride, const char *from,
                                ptrdiff_t from_stride, ptrdiff_t n, const size_t item) {
    for (ptrdiff_t i = 0; i < n; i++) memcpy(to + i * to_stride, from + i * from_stride, item);
}

static inline void copy_row(char *to, ptrdiff_t to_stride, const char *from,
                            ptrdiff_t from_stride, ptrdiff_t n, ptrdiff_t item) {
    if (to_stride == item && from_stride == item) memcpy(to, from, (size_t)(n * item));
    else if (item == 2) copy_strided(to, to_stride, from, from_stride, n, 2);
    else if (item == 4) copy_strided(to, to_stride, from, from_stride, n, 4);
    else copy_strided(to, to_stride, from, from_stride, n, 8);
}

static inline void gather(char *to, const char *from, const ptrdiff_t *stride, const piece *p,
                   ptrdiff_t item) {
    for (ptrdiff_t a = 0; a < p->n[0]; a++)
        for (ptrdiff_t b = 0; b < p->n[1]; b++, to += p->n[2] * item)
            copy_row(to, item, from + a * stride[0] + b * stride[1], stride[2], p->n[2], item);
}

static inline void scatter(char *to, const ptrdiff_t *stride, const char *from, const piece *p,
                    ptrdiff_t item) {
    for (ptrdiff_t a = 0; a < p->n[0]; a++)
        for (ptrdiff_t b = 0; b < p->n[1]; b++, from += p->n[2] * item)
            copy_row(to + a * stride[0] + b * stride[1], stride[2], from, item, p->n[2], item);
}

#endif
