/* How alpha broadcasts, and the canonical view of a call.
 *
 * Design:
 * (a) view_fit_alpha() alone decides how alpha broadcasts: it maps each axis of alpha to an axis of x.
 *     After it every placement is strides, 0 where alpha is broadcast.
 * (b) view_canonical() drops axes of length 1, sorts the rest by stride and merges neighbours that are
 *     contiguous for all operands, as NumPy's iterator does. Loops see only the result.
 */
#ifndef PRELU_VIEW_H
#define PRELU_VIEW_H

#include <stddef.h>

#define VIEW_MAX_AXES 64 /* NumPy's own limit */

/* G is dy, or in the JVP x_dot, in the double backward ddx, whose alpha_dot is there then. With DY, in the
 * double backward, OUT is the cotangent of dy, OF_X that of x and DALPHA that of alpha. */
enum {
    VIEW_OUT, VIEW_X, VIEW_G, VIEW_ALPHA, VIEW_DALPHA, VIEW_ALPHA_DOT, VIEW_DY, VIEW_OF_X,
    VIEW_OPERANDS
};

typedef struct {
    ptrdiff_t length, stride[VIEW_OPERANDS]; /* bytes */
} view_axis;

typedef struct {
    char *data[VIEW_OPERANDS]; /* NULL: this call has no such operand */
    int axes;
    view_axis axis[VIEW_MAX_AXES]; /* outermost first */
} prelu_view;

/* For each axis of alpha the axis of x it lies along, or -1 where its length is 1. `axis` holds
 * `n_axis` axes of x, each in range; n_axis -1 means NumPy broadcasting. Returns 0 if alpha does
 * not fit. */
static inline int view_fit_alpha(int x_axes, const ptrdiff_t *x_shape, int alpha_axes,
                                 const ptrdiff_t *alpha_shape, int n_axis, const int *axis,
                                 int *where) {
    int one = 1;
    for (int i = 0; i < alpha_axes; i++) one &= alpha_shape[i] == 1;
    if (!one && n_axis < 0 && alpha_axes > x_axes) return 0;
    if (!one && n_axis >= 0 && alpha_axes != n_axis) return 0;
    for (int i = 0; i < alpha_axes; i++) {
        where[i] = -1;
        if (alpha_shape[i] == 1) continue;
        const int k = n_axis < 0 ? x_axes - alpha_axes + i : axis[i];
        if (alpha_shape[i] != x_shape[k]) return 0;
        where[i] = k;
    }
    return 1;
}

/* Does axis a belong further out than axis b? By the memory of what is written, then of x. */
static inline int view_outside(const prelu_view *v, const view_axis *a, const view_axis *b) {
    static const int order[3] = {VIEW_OUT, VIEW_X, VIEW_G};
    for (int i = 0; i < 3; i++) {
        ptrdiff_t sa = a->stride[order[i]], sb = b->stride[order[i]];
        if (sa < 0) sa = -sa;
        if (sb < 0) sb = -sb;
        if (v->data[order[i]] && sa != sb) return sa > sb;
    }
    return 0;
}

static inline void view_canonical(prelu_view *v) {
    view_axis sorted[VIEW_MAX_AXES];
    int kept = 0, axes = 0;
    for (int k = 0; k < v->axes; k++) {
        if (v->axis[k].length == 1) continue;
        int at = kept++;
        for (; at > 0 && view_outside(v, v->axis + k, sorted + at - 1); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = v->axis[k];
    }
    for (int i = 0; i < kept; i++) {
        const view_axis inner = sorted[i], *const outer = v->axis + (axes > 0 ? axes - 1 : 0);
        int joins = axes > 0;
        for (int o = 0; o < VIEW_OPERANDS && joins; o++)
            joins = !v->data[o] || outer->stride[o] == inner.length * inner.stride[o];
        const ptrdiff_t length = joins ? outer->length * inner.length : inner.length;
        axes += !joins;
        v->axis[axes - 1] = inner;
        v->axis[axes - 1].length = length;
    }
    if (axes == 0) v->axis[axes++] = (view_axis){.length = 1};
    v->axes = axes;
}

static inline ptrdiff_t view_size(const prelu_view *v) {
    ptrdiff_t n = 1;
    for (int k = 0; k < v->axes; k++) n *= v->axis[k].length;
    return n;
}

/* Do alphas change along an axis? */
static inline int view_varies(const prelu_view *v, int axis) {
    if (v->data[VIEW_DALPHA]) return v->axis[axis].stride[VIEW_DALPHA] != 0;
    return v->axis[axis].stride[VIEW_ALPHA] != 0 ||
           (v->data[VIEW_ALPHA_DOT] && v->axis[axis].stride[VIEW_ALPHA_DOT] != 0);
}

static inline ptrdiff_t view_alphas(const prelu_view *v) {
    ptrdiff_t n = 1;
    for (int k = 0; k < v->axes; k++)
        if (view_varies(v, k)) n *= v->axis[k].length;
    return n;
}

/* Keeps `length` elements of one axis, from `start`. */
static inline void view_narrow(prelu_view *v, int axis, ptrdiff_t start, ptrdiff_t length) {
    for (int o = 0; o < VIEW_OPERANDS; o++)
        if (v->data[o]) v->data[o] += start * v->axis[axis].stride[o];
    v->axis[axis].length = length;
}

#endif
