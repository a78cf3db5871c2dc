/* Design: a pattern of alphas is repeated until it has LANES_USUAL lanes, and its first LANES lanes
 * stand once more behind it, for the group that passes its end. Each lane has its own sums; they are
 * added to those of their alphas after ADDS_MOST additions, and at the end of a band.
 */
#include "lanes.h"

/* Writes the alphas of a band to `to`, contiguous and in the compute type, repeated for lanes. */
static const void *lay_out(lanes_state *s, int which, char *from, int alpha_dtype, int dtype,
                           double *to) {
    const size_t item = (size_t)item_size[alpha_dtype], wide = item_size[dtype] == 8 ? 8 : 4;
    const prelu_loops *convert = prelu_loops_of(alpha_dtype);
    const ptrdiff_t n[BLOCK_AXES] = {1, s->band[1], s->segments ? 1 : s->band[2],
                                     s->segments ? 1 : s->band[3]};
    const ptrdiff_t *stride = s->stride[which];
    if (s->pattern % LANES || contiguous_from(n, stride, (ptrdiff_t)item) > 0) {
        copy_block((char *)s->raw, from, stride, n, (ptrdiff_t)item, 0);
        from = (char *)s->raw;
    }
    if (dtype == PRELU_F64) convert->widen_double(from, to, s->pattern);
    else convert->widen(from, to, s->pattern);
    for (ptrdiff_t i = s->pattern; i < s->period + LANES && !s->segments;) {
        const ptrdiff_t left = s->period + LANES - i, m = i < left ? i : left;
        memcpy((char *)to + (size_t)i * wide, to, (size_t)m * wide);
        i += m;
    }
    return to;
}

static void clear(lanes_state *s) {
    const int parts = s->job == EXACT ? PARTS : s->item == 8 ? 3 : 2;
    for (int k = 0; k < parts; k++)
        memset(s->lanes.part[k], 0, (size_t)(s->period + LANES) * sizeof(double));
}

void lanes_begin(lanes_state *s, const prelu_call *call, int job, int dtype, int segments,
                 const ptrdiff_t *band, const ptrdiff_t *at, char *alpha,
                 char *alpha_dot, ptrdiff_t index) {
    s->loops = prelu_loops_of(dtype);
    s->job = job;
    s->item = item_size[dtype];
    s->segments = segments;
    s->index = index;
    memcpy(s->band, band, sizeof s->band);
    s->pattern = segments ? band[1] : band[1] * band[2] * band[3];
    /* repeated until it is 3 or 4 groups, whose sums stay in registers, or enough lanes */
    ptrdiff_t period = 4 * LANES % s->pattern == 0 ? 4 * LANES : 3 * LANES, repeat = 1;
    if (period % s->pattern != 0) period = LANES_USUAL;
    while (!segments && repeat * s->pattern < period &&
           (repeat * s->pattern < LANES || repeat * 4 < band[0]))
        repeat++;
    s->period = repeat * s->pattern;
    for (int k = 1; k < BLOCK_AXES; k++) {
        alpha += at[k] * s->stride[0][k];
        if (alpha_dot) alpha_dot += at[k] * s->stride[1][k];
    }
    s->alpha = lay_out(s, 0, alpha, call->alpha_dtype, dtype, s->alphas[0]);
    s->alpha_dot =
        alpha_dot ? lay_out(s, 1, alpha_dot, call->alpha_dtype, dtype, s->alphas[1]) : NULL;
    s->adds = 0;
}

void lanes_of_segments(const lanes_state *s, prelu_tile *t, ptrdiff_t first) {
    const size_t wide = s->item == 8 ? 8 : 4;
    t->alpha = (const char *)s->alpha + (size_t)first * wide;
    if (s->alpha_dot) t->alpha_dot = (const char *)s->alpha_dot + (size_t)first * wide;
    for (int k = 0; k < PARTS && s->sums; k++)
        t->sums.part[k] = s->sums->part[k] + s->index + first * s->index_stride[1];
}

void lanes_end(lanes_state *s) {
    if (s->segments || !s->sums || s->adds == 0) return;
    const ptrdiff_t *n = s->band, end = s->period + LANES;
    for (ptrdiff_t first = 0; first < end; first += s->pattern) /* at last the lanes that wrap */
        for (ptrdiff_t i = 0, lane = first; i < n[1] && lane < end; i++)
            for (ptrdiff_t j = 0; j < n[2] && lane < end; j++, lane += n[3]) {
                prelu_sums to;
                for (int k = 0; k < PARTS; k++)
                    to.part[k] = s->sums->part[k] + s->index + i * s->index_stride[1] +
                                 j * s->index_stride[2];
                s->loops->add(&to, s->index_stride[3], &s->lanes, lane,
                              end - lane < n[3] ? end - lane : n[3], s->adds, s->job);
            }
    s->adds = 0;
}

void lanes_run(lanes_state *s, const prelu_tile *tile, void (*loop)(const prelu_tile *)) {
    const ptrdiff_t item = s->item, period = s->period;
    const ptrdiff_t most = !s->sums || tile->rows > 1 ? tile->n : (ADDS_MOST - 3) * period;
    prelu_tile t = *tile;
    t.alpha = s->alpha;
    t.alpha_dot = s->alpha_dot;
    t.sums = s->lanes;
    t.period = period;
    for (ptrdiff_t i = 0; i < tile->n; i += t.n) {
        t.n = tile->n - i < most + LANES ? tile->n - i : most;
        for (int k = 0; k < TILE_OPERANDS; k++)
            if (tile->at[k]) t.at[k] = (char *)tile->at[k] + i * item;
        const ptrdiff_t adds = t.rows > 1 ? t.rows : (t.n + period - 1) / period + 1;
        if (s->adds + adds > ADDS_MOST) lanes_end(s);
        if (s->sums && s->adds == 0) clear(s);
        loop(&t);
        s->adds += adds;
    }
}
