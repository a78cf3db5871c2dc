/* Pieces of an operand: gathered into one run, scattered from one, written around the caches. */
#ifndef PRELU_PIECES_H
#define PRELU_PIECES_H

#include "loops.h"

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

/* Writes pieces that follow each other around the caches, in whole lines of 64 bytes. */
typedef struct {
    char *next;     /* where the next piece continues */
    size_t pending; /* bytes before it that do not fill a line yet */
    char line[64];
} line_writer;

static void writer_flush(line_writer *q) {
    if (q->pending) memcpy(q->next - q->pending, q->line, q->pending);
    q->pending = 0;
}

static inline void writer_put(line_writer *q, const prelu_loops *loops, char *to, const char *from,
                       size_t n) {
    if (to != q->next || (!q->pending && (uintptr_t)to & 63)) { /* up to the first whole line */
        writer_flush(q);
        const size_t ahead = -(uintptr_t)to & 63, head = ahead < n ? ahead : n;
        memcpy(to, from, head);
        to += head, from += head, n -= head;
    } else if (q->pending) {
        const size_t room = 64 - q->pending, head = room < n ? room : n;
        memcpy(q->line + q->pending, from, head);
        q->pending += head;
        to += head, from += head, n -= head;
        if (q->pending == 64) {
            loops->stream_lines(to - 64, q->line, 1);
            q->pending = 0;
        }
    }
    if (n) {
        const size_t lines = n / 64;
        loops->stream_lines(to, from, lines);
        to += lines * 64, from += lines * 64, n -= lines * 64;
        memcpy(q->line, from, n);
        q->pending = n;
        to += n;
    }
    q->next = to;
}

#endif
