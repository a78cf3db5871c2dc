/* Design: a pattern of alphas is repeated to LANES_USUAL lanes. Its first LANES lanes are stored once
 * more after the end, for the group that wraps. Each lane has its own accumulators; they are added
 * to those of their alphas after ADDS_MOST additions, and at the end of a panel.
 */
#include "walk.h"

/* Writes the alphas of a panel to `to`, contiguous and in the compute type, repeated for lanes. */
static void lay_out(walk_state *w, const char *from, const ptrdiff_t *stride, const ptrdiff_t *at,
                    double *to) {
    const ptrdiff_t item = item_size[w->call->alpha_dtype], wide = item_size[w->dtype] == 8 ? 8 : 4;
    const ptrdiff_t *panel = w->panel, n[BLOCK_AXES] = {1, panel[1], w->segments ? 1 : panel[2],
                                                      w->segments ? 1 : panel[3]};
    const prelu_loops *convert = prelu_loops_of(w->call->alpha_dtype);
    for (int k = 1; k < BLOCK_AXES; k++) from += at[k] * stride[k];
    if (w->pattern % LANES || contiguous_from(n, stride, item) > 0) {
        copy_block((char *)w->raw_alphas, (char *)from, stride, n, item, 0);
        from = (char *)w->raw_alphas;
    }
    if (w->dtype == PRELU_F64) convert->widen_double(from, to, w->pattern);
    else convert->widen(from, to, w->pattern);
    for (ptrdiff_t i = w->pattern, m; i < w->period + LANES && !w->segments; i += m) {
        m = i < w->period + LANES - i ? i : w->period + LANES - i;
        memcpy((char *)to + i * wide, to, (size_t)(m * wide));
    }
}

void prelu_begin_panel(walk_state *w, char *const *from, const ptrdiff_t *panel, const ptrdiff_t *at,
                      ptrdiff_t index) {
    memcpy(w->panel, panel, sizeof w->panel);
    w->index = index;
    w->adds = 0;
    w->pattern = w->segments ? panel[1] : panel[1] * panel[2] * panel[3];
    /* repeated until it is 3 or 4 groups, whose sums stay in registers, or enough lanes */
    ptrdiff_t period = 4 * LANES % w->pattern == 0 ? 4 * LANES : 3 * LANES, repeat = 1;
    if (period % w->pattern != 0) period = LANES_USUAL;
    while (!w->segments && repeat * w->pattern < period &&
           (repeat * w->pattern < LANES || repeat * 4 < panel[0]))
        repeat++;
    w->period = repeat * w->pattern;
    for (int k = 0; k < 2; k++) {
        const int operand = k ? VIEW_ALPHA_DOT : VIEW_ALPHA;
        if (from[operand]) lay_out(w, from[operand], w->stride[operand], at, w->alphas[k]);
    }
}

void prelu_run_segments(const walk_state *w, prelu_tile *t, ptrdiff_t first) {
    const ptrdiff_t wide = item_size[w->dtype] == 8 ? 8 : 4;
    t->alpha = (char *)w->alphas[0] + first * wide;
    t->alpha_dot = (char *)w->alphas[1] + first * wide;
    for (int k = 0; k < PARTS && w->sums; k++)
        t->sums.part[k] = w->sums->part[k] + w->index + first * w->index_stride[1];
    w->loops->segments[w->job](t);
}

void prelu_end_panel(walk_state *w) {
    if (w->segments || !w->sums || w->adds == 0) return;
    const ptrdiff_t *n = w->panel, end = w->period + LANES;
    for (ptrdiff_t first = 0; first < end; first += w->pattern) /* at last the lanes that wrap */
        for (ptrdiff_t i = 0, lane = first; i < n[1] && lane < end; i++)
            for (ptrdiff_t j = 0; j < n[2] && lane < end; j++, lane += n[3]) {
                prelu_sums to;
                for (int k = 0; k < PARTS; k++)
                    to.part[k] = w->sums->part[k] + w->index + i * w->index_stride[1] +
                                 j * w->index_stride[2];
                w->loops->add(&to, w->index_stride[3], &w->lanes, lane,
                              end - lane < n[3] ? end - lane : n[3], w->adds, w->job);
            }
    w->adds = 0;
}

void prelu_run_lanes(walk_state *w, const prelu_tile *tile) {
    const ptrdiff_t item = item_size[w->dtype], period = w->period;
    const ptrdiff_t most = !w->sums || tile->rows > 1 ? tile->n : (ADDS_MOST - 3) * period;
    const int parts = w->job == EXACT ? PARTS : item == 8 ? 3 : 2; /* of the sums, that are used */
    prelu_tile t = *tile;
    t.alpha = w->alphas[0];
    t.alpha_dot = w->alphas[1];
    t.sums = w->lanes;
    t.period = period;
    for (ptrdiff_t i = 0; i < tile->n; i += t.n) {
        t.n = tile->n - i < most + LANES ? tile->n - i : most;
        for (int k = 0; k < TILE_OPERANDS; k++)
            if (tile->at[k]) t.at[k] = (char *)tile->at[k] + i * item;
        const ptrdiff_t adds = t.rows > 1 ? t.rows : (t.n + period - 1) / period + 1;
        if (w->adds + adds > ADDS_MOST) prelu_end_panel(w);
        for (int k = 0; k < parts && w->sums && w->adds == 0; k++)
            memset(w->lanes.part[k], 0, (size_t)(period + LANES) * sizeof(double));
        w->loops->lanes[w->job](&t);
        w->adds += adds;
    }
}
