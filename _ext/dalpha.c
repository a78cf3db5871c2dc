/* Design: alphas are taken in blocks, so that all sums of a block fit in memory. A walk that writes dx
 * adds the terms to quick sums, from which dalpha is settled. If dx overwrites x or dy, the sums come
 * first, and dx in a second walk.
 */
#include "dalpha.h"

#include "float_mode.h"
#include "settle.h"

#include <stdlib.h>

enum {
    ALPHAS_MOST = 4096, /* of a block */
    ALPHAS_SMALL = 32,  /* whose sums fit on the stack */
    /* terms of an alpha; sums of more are ties or zeros less often than careful ones cost */
    CAREFUL_SHORT = 64,
    CAREFUL_WIDE = 256
};

/* For each alpha of a block, in whole groups. */
typedef struct {
    double sum[PARTS], dalpha; /* rounded, of alpha's dtype */
    ptrdiff_t undecided, lost;
} alpha_room;

static block_room divide(alpha_room *memory, ptrdiff_t alphas) {
    const ptrdiff_t n = whole_groups(alphas);
    double *at = (double *)memory;
    block_room room;
    for (int k = 0; k < PARTS; k++, at += n) room.sums.part[k] = at;
    room.dalpha = (char *)at;
    room.undecided = (ptrdiff_t *)(at + n);
    room.lost = room.undecided + n;
    return room;
}

/* ---- blocks of alphas ---- */

static void scale(const prelu_call *call) {
    const int jvp = call->view.data[VIEW_ALPHA_DOT] != NULL;
    prelu_walk_in_threads(call, jvp ? JVP : prelu_is_each(call) ? EACH : SCALE, NULL);
}

static void backward_block(const prelu_call *call, const block_room *room) {
    const ptrdiff_t alphas = view_alphas(&call->view);
    if (call->partial) {
        prelu_settle_states(call, room);
    } else {
        prelu_call quick;
        prelu_call_copy(&quick, call);
        if (call->in_place) quick.view.data[VIEW_OUT] = NULL;
        const int lanes = call->x_dtype <= PRELU_BF16 && view_varies(&call->view, call->view.axes - 1);
        const ptrdiff_t most = prelu_is_wide(call) ? CAREFUL_WIDE : lanes ? CAREFUL_SHORT : 0;
        const int careful = !call->view.data[VIEW_DY] && view_size(&call->view) < most * alphas;
        for (int k = SUM; k <= LOW; k++)
            memset(room->sums.part[k], 0, (size_t)whole_groups(alphas) * sizeof(double));
        prelu_walk_in_threads(&quick, call->view.data[VIEW_DY] ? DOUBLE : careful ? CAREFUL : SUMS,
                              &room->sums);
        prelu_settle(call, room, careful);
    }
    if (!call->view.data[VIEW_OUT] || !(call->partial || call->in_place)) return;
    prelu_call dx;
    prelu_call_copy(&dx, call);
    dx.view.data[VIEW_DALPHA] = NULL;
    scale(&dx);
}

/* Cuts the outermost axis along which alpha varies until few enough alphas are left. */
static void backward_blocks(const prelu_call *call) {
    const prelu_view *v = &call->view;
    const ptrdiff_t alphas = view_alphas(v);
    ptrdiff_t at_once = ALPHAS_MOST;
    if (alphas <= ALPHAS_MOST) {
        alpha_room few[ALPHAS_SMALL];
        alpha_room *many = alphas > ALPHAS_SMALL ? malloc((size_t)whole_groups(alphas) * sizeof *many) : NULL;
        if (many || alphas <= ALPHAS_SMALL) {
            const block_room room = divide(many ? many : few, alphas);
            backward_block(call, &room);
            free(many);
            return;
        }
        at_once = ALPHAS_SMALL; /* there is no memory for more */
    }
    int axis = 0;
    while (!view_varies(v, axis) || v->axis[axis].length == 1) axis++;
    const ptrdiff_t length = v->axis[axis].length, of_one = alphas / length;
    const ptrdiff_t most = of_one < at_once ? at_once / of_one : 1;
    for (ptrdiff_t first = 0; first < length; first += most) {
        prelu_call part;
        prelu_call_copy(&part, call);
        view_narrow(&part.view, axis, first, length - first < most ? length - first : most);
        backward_blocks(&part);
    }
}

static void backward(const prelu_call *call) {
    if (prelu_is_each(call)) prelu_walk(call, EACH, NULL);
    else backward_blocks(call);
}

/* ---- the calls ---- */

void prelu_scale(const prelu_call *call) {
    const fp_state before = fp_enter();
    scale(call);
    fp_leave(before);
}

void prelu_backward(const prelu_call *call) {
    const fp_state before = fp_enter();
    if (view_alphas(&call->view) > ALPHAS_MOST) prelu_in_threads(call, backward);
    else backward(call);
    fp_leave(before);
}
