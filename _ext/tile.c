/* Design: a contiguous operand is used in place, also if others are not contiguous. Operands that are
 * gathered or converted to double go through the walk's buffers, which stay in the L1 cache.
 */
#include "walk.h"

static void *input(walk_state *w, int operand, char *const *at, const ptrdiff_t *n, int in_place) {
    const int x_dtype = w->call->x_dtype;
    const ptrdiff_t item = item_size[x_dtype], size = block_size(n);
    const int widened = w->dtype != x_dtype;
    char *from = at[operand], *const to = w->buffer[operand];
    if (in_place) return from;
    if (size < LANES || (widened && size % LANES) ||
        contiguous_from(n, w->stride[operand], item) > 0) {
        char *const gathered = widened ? w->raw : to;
        if (size < LANES) memset(gathered, 0, LANES * sizeof(double));
        copy_block(gathered, from, w->stride[operand], n, item, 0);
        from = gathered;
    }
    if (!widened) return from;
    prelu_loops_of(x_dtype)->widen_double(from, (double *)to, size);
    return to;
}

static void *target(walk_state *w, int operand, char *const *at, const ptrdiff_t *n, int in_place) {
    if (!at[operand]) return NULL;
    const int direct = w->dtype == w->call->x_dtype && block_size(n) >= LANES &&
                       contiguous_from(n, w->stride[operand], item_size[w->dtype]) == 0;
    return in_place || direct ? at[operand] : w->buffer[operand];
}

static void output(walk_state *w, int operand, char *const *at, const ptrdiff_t *n, void *from) {
    const int x_dtype = w->call->x_dtype;
    if (!from || from == at[operand]) return;
    if (w->dtype != x_dtype) {
        prelu_loops_of(x_dtype)->narrow(from, w->raw, block_size(n));
        from = w->raw;
    }
    copy_block(from, at[operand], w->stride[operand], n, item_size[x_dtype], 1);
}

enum {
    STREAM_LEAST = 4096,        /* bytes of a row: parts of lines at its ends use ordinary stores */
    STREAM_SEGMENT = 2 * LANES /* elements: lines that two segments share are computed twice */
};

/* Can what a tile writes be written by non-temporal stores? To the call's own memory that is not read,
 * too; lines of two outputs, and of several rows, must begin together. */
static int streams(const walk_state *w, const prelu_tile *t, char *const *at) {
    const void *out = t->at[TILE_OUT], *of_x = t->at[TILE_OF_X];
    if (!w->call->stream || !out || out != at[VIEW_OUT] || of_x != at[w->of_tile[TILE_OF_X]]) return 0;
    for (int k = 0; k < TILE_OUT; k++)
        if (t->at[k] == out || t->at[k] == of_x) return 0;
    if (of_x && ((uintptr_t)out ^ (uintptr_t)of_x) % LINE) return 0;
    if (t->n * item_size[w->dtype] < STREAM_LEAST) return 0;
    if (w->segments && t->length < STREAM_SEGMENT) return 0;
    return t->rows == 1 || t->row[TILE_OUT] * item_size[w->dtype] % LINE == 0;
}

void prelu_run_tile(walk_state *w, char *const *at, const ptrdiff_t *n, ptrdiff_t first,
                    int in_place) {
    const int *of = w->of_tile;
    prelu_tile t = {.n = block_size(n), .at_one = w->call->at_one, .scale = w->scale, .rows = 1};
    if (t.n < LANES) t.n = LANES, in_place = GATHERED; /* and filled up with zeros, that add nothing */
    for (int k = 0; k < TILE_OPERANDS; k++) {
        int same = 0;
        while (of[same] != of[k]) same++;
        if (same < k) t.at[k] = t.at[same];
        else if (k < TILE_OUT) t.at[k] = input(w, of[k], at, n, in_place);
        else t.at[k] = target(w, of[k], at, n, in_place);
    }
    if (in_place == IN_PLACE_ROWS) {
        for (int k = 0; k < TILE_OPERANDS; k++)
            if (t.at[k]) t.row[k] = w->stride[of[k]][0] / item_size[w->dtype];
        t.rows = n[0];
        t.n = n[1] * n[2] * n[3];
    }
    t.alphas = n[1];
    t.length = n[1] == 1 || w->each ? t.n : n[2] * n[3];
    t.stream = streams(w, &t, at);
    if (w->segments) prelu_run_segments(w, &t, first);
    else prelu_run_lanes(w, &t);
    for (int k = TILE_OUT; k < TILE_OPERANDS; k++) output(w, of[k], at, n, t.at[k]);
}
