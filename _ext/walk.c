/* Design:
 * (a) A view is walked in tiles that fit the first cache, of at most TILE elements but for the
 *     first of a run, which may have twice as many where it needs no buffer. A tile is a
 *     piece of the innermost three axes; an operand whose piece is one run of memory is used in
 *     place, any other is gathered first. So there are contiguous loops only.
 * (b) Where alpha stays the same along the innermost axis for RUN_LEAST elements a tile has one
 *     alpha and its sums stay in registers; otherwise alpha is laid out beside the tile and each
 *     lane has its own sums, which are added to those of their alphas when the lanes change. But
 *     what runs_fit() finds is walked in tiles of many runs, both shorter and longer ones.
 * (c) Large outputs are written around the caches, which saves reading their lines first; only
 *     whole lines can be.
 */
#include "walk.h"

#include "float_mode.h"
#include "tile.h"

#include <stdlib.h>

enum {
    LANES_SUMS = 48,   /* fewer would wait for their own last sum */
    LANES_SCALE = 192, /* without sums; fewer take longer, since each row has its beginning */
    RUN_LEAST = 192    /* shorter runs of one alpha are laid out instead */
};

int is_flat(const work *w, char *const from[VIEW_OPERANDS], const piece *p) {
    static const int operands[] = {VIEW_OUT, VIEW_X, VIEW_G, VIEW_DY, VIEW_OF_X};
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
        if (from[operands[i]] && !is_one_run(p, w->stride[operands[i]], item)) return 0;
    return 1;
}

ptrdiff_t ahead_of_line(const work *w, char *const from[VIEW_OPERANDS], ptrdiff_t n) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    const int around = w->call->stream && from[VIEW_OUT], first = around ? VIEW_OUT : VIEW_X;
    if (n * item < (around ? RUN_LEAST * item : 4 * TILE_BYTES)) return 0;
    if (w->stride[first][2] != item) return 0;
    return (ptrdiff_t)(-(uintptr_t)from[first] & (LINE - 1)) / item;
}

/* How long the first tile of a run shall be, where it needs no buffer. The next ones begin one line
 * after a page does: the processor has then seen that page, and fetches it, before a tile ends. */
static ptrdiff_t first_tile(const work *w, char *const from[VIEW_OPERANDS]) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype], most = tile_most(w);
    const char *first = from[w->call->stream && from[VIEW_OUT] ? VIEW_OUT : VIEW_X];
    const piece run = {{1, 1, w->n[2]}};
    if (w->n[2] <= most || w->mode == EXACT || !is_flat(w, from, &run)) return most;
    if (w->n[2] < 2 * most) return w->n[2];
    const ptrdiff_t n = (ptrdiff_t)((LINE - (uintptr_t)first) & (PAGE - 1)) / item;
    return n < most / 2 ? n + most : n;
}

/* A run of one alpha. */
static void walk_run(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w);
    lanes_one(w, from);
#if PRELU_SSE2
    if (w->call->stream && from[VIEW_OUT]) /* the line that this run shares with the next */
        _mm_prefetch(from[VIEW_OUT] + w->n[2] * w->stride[VIEW_OUT][2], _MM_HINT_T0);
#endif
    for (ptrdiff_t c = 0, length = first_tile(w, from); c < w->n[2]; c += length, length = most) {
        const piece p = {{1, 1, w->n[2] - c < length ? w->n[2] - c : length}};
        char *at[VIEW_OPERANDS];
        step(at, from, w, 0, 0, c);
        tile(w, at, &p, 0, 0, index);
    }
}

/* How many rows are laid out side by side: whole groups if that is possible, but not too few. */
static ptrdiff_t rows_side_by_side(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t least) {
    const ptrdiff_t most = rows < LANES_FEW / row ? rows : LANES_FEW / row;
    for (ptrdiff_t r = 1; r <= most; r++)
        if (r * row % LANES == 0 && r * row >= least) return r;
    return most > 1 ? most : 1;
}

/* A band that is one run and does not begin with a line: tiles that do, their lanes rotated by
 * what lies ahead. */
static void walk_flat(work *w, char *const from[VIEW_OPERANDS], const piece *band,
                      ptrdiff_t repeat, ptrdiff_t ahead, ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w), n = piece_size(band);
    const ptrdiff_t period = repeat * band->n[1] * band->n[2];
    const ptrdiff_t whole = period <= most ? most / period * period : 0;
    char *at[VIEW_OPERANDS];
    lanes_lay_out(w, from, &(piece){{repeat, band->n[1], band->n[2]}}, ahead, index);
    for (ptrdiff_t i = 0, length = ahead; i < n; i += length) {
        const ptrdiff_t lane = (i + period - ahead) % period;
        if (i > 0) length = whole ? whole : period - lane < most ? period - lane : most;
        if (n - i < length) length = n - i;
        if (w->mode == SUMS) lanes_expect(w, (length + period - 1) / period);
        step(at, from, w, 0, 0, i);
        tile(w, at, &(piece){{1, 1, length}}, lane, length < period ? length : period, index);
    }
}

/* A band: all rows over as many alphas that run along as there are lanes. */
static void walk_band(work *w, char *const from[VIEW_OPERANDS], const piece *band,
                      ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w), row = band->n[1] * band->n[2];
    const ptrdiff_t least = w->mode == SCALE ? LANES_SCALE : LANES_SUMS;
    const ptrdiff_t repeat = rows_side_by_side(row, band->n[0], least);
    const ptrdiff_t ahead = ahead_of_line(w, from, piece_size(band));
    char *at[VIEW_OPERANDS];
    if (band->n[0] > 1 && ahead > 0 && ahead < repeat * row && is_flat(w, from, band)) {
        walk_flat(w, from, band, repeat, ahead, index);
        return;
    }
    lanes_lay_out(w, from, &(piece){{repeat, band->n[1], band->n[2]}}, 0, index);
    if (row <= most) { /* whole rows in a tile */
        const ptrdiff_t rows = most / row / repeat * repeat, step_ = rows ? rows : 1;
        for (ptrdiff_t a = 0; a < band->n[0]; a += step_) {
            const ptrdiff_t n = band->n[0] - a < step_ ? band->n[0] - a : step_;
            if (w->mode == SUMS) lanes_expect(w, (n + repeat - 1) / repeat);
            step(at, from, w, a, 0, 0);
            tile(w, at, &(piece){{n, band->n[1], band->n[2]}}, 0,
                 (n < repeat ? n : repeat) * row, index);
        }
        return;
    }
    const ptrdiff_t n2 = band->n[2] < most ? band->n[2] : most, n1 = most / n2;
    for (ptrdiff_t a = 0; a < band->n[0]; a++) { /* a row in several tiles */
        if (w->mode == SUMS) lanes_expect(w, 1);
        for (ptrdiff_t b = 0; b < band->n[1]; b += n1)
            for (ptrdiff_t c = 0; c < band->n[2]; c += n2) {
                const piece p = {{1, band->n[1] - b < n1 ? band->n[1] - b : n1,
                                  band->n[2] - c < n2 ? band->n[2] - c : n2}};
                step(at, from, w, a, b, c);
                tile(w, at, &p, b * band->n[2] + c, piece_size(&p), index);
            }
    }
}

static void walk_bands(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t *n = w->n, *steps = w->tile_index_stride, most = w->lanes_most;
    const ptrdiff_t n2 = n[2] < most ? n[2] : most;
    const ptrdiff_t n1 = n[1] < most / n2 ? n[1] : most / n2;
    const ptrdiff_t ahead = n[0] == 1 && n1 == 1 ? ahead_of_line(w, from, n[2]) : 0;
    for (ptrdiff_t b = 0; b < n[1]; b += n1)
        for (ptrdiff_t c = 0, length = ahead ? ahead : n2; c < n[2]; c += length, length = n2) {
            const piece band = {
                {n[0], n[1] - b < n1 ? n[1] - b : n1, n[2] - c < length ? n[2] - c : length}};
            char *at[VIEW_OPERANDS];
            step(at, from, w, 0, b, c);
            walk_band(w, at, &band, index + b * steps[1] + c * steps[2]);
        }
}

static void walk(work *w, int axis, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    if (axis == w->outer_axes) {
        if (w->has_runs) runs_walk(w, from, index);
        else if (w->along) walk_bands(w, from, index);
        else walk_run(w, from, index);
        return;
    }
    const prelu_view *v = &w->call->view;
    char *at[VIEW_OPERANDS];
    memcpy(at, from, sizeof at);
    for (ptrdiff_t i = 0; i < v->shape[axis]; i++) {
        walk(w, axis + 1, at, index);
        for (int k = 0; k < w->operands; k++) at[w->operand[k]] += v->stride[w->operand[k]][axis];
        index += w->index_stride[axis];
    }
}

/* Tile axis 2 is the view's last one; where alphas run along, 1 belongs to the same pattern of
 * alphas, and 0 repeats the pattern. */
static void choose_axes(work *w, int along) {
    const prelu_view *v = &w->call->view;
    int axis[3] = {-1, -1, v->axes - 1}, next = v->axes - 2;
    if (along) {
        if (next >= 0 && (!view_varies(v, axis[2]) || view_varies(v, next))) axis[1] = next--;
        if (next >= 0 && !view_varies(v, next)) axis[0] = next--;
    }
    w->along = along;
    w->outer_axes = next + 1;
    for (int i = 0; i < 3; i++) {
        w->n[i] = axis[i] < 0 ? 1 : v->shape[axis[i]];
        w->tile_index_stride[i] = axis[i] < 0 ? 0 : w->index_stride[axis[i]];
        for (int k = 0; k < w->operands; k++)
            w->stride[w->operand[k]][i] = axis[i] < 0 ? 0 : v->stride[w->operand[k]][axis[i]];
    }
}

void prelu_walk(const prelu_call *call, int mode, prelu_sums *sums, exact_work *exact) {
    const prelu_view *v = &call->view;
    const int last = v->axes - 1;
    work w;
    w.call = call;
    w.mode = mode;
    w.sums = sums;
    w.exact = exact;
    w.wide = call->x_dtype == PRELU_F64 || call->alpha_dtype == PRELU_F64;
    w.loops = loops_of(call->x_dtype, call->alpha_dtype == PRELU_F64);
    w.lanes = (lane_state){0, 0, 0};
    w.laid_out = (piece){{0, 0, 0}};
    w.laid_out_for[0] = w.laid_out_for[1] = NULL;
    w.rotation = w.runs.alphas = 0;

    w.operands = 0;
    for (int o = 0; o < VIEW_OPERANDS; o++)
        if (v->data[o]) w.operand[w.operands++] = o;

    ptrdiff_t count = 1;
    for (int k = last; k >= 0; k--) {
        w.index_stride[k] = view_varies(v, k) ? count : 0;
        if (view_varies(v, k)) count *= v->shape[k];
    }
    const int along = view_varies(v, last) || (v->shape[last] < RUN_LEAST && last > 0);
    choose_axes(&w, 1); /* as runs have them, too */
    w.has_runs = runs_fit(&w);
    if (!w.has_runs && !along) choose_axes(&w, 0);

    /* more lanes if a row has more and there are rows to share them, and memory */
    const ptrdiff_t row = w.has_runs ? w.n[1] * LANES : w.n[1] * w.n[2];
    const ptrdiff_t lanes = row < LANES_MOST ? row : LANES_MOST;
    const ptrdiff_t room = (lanes + 2 * LANES) / LANES * LANES;
    void *allocated = w.along && w.n[0] > 1 && lanes > LANES_FEW && mode != TERMS
                          ? malloc((size_t)room * 5 * sizeof(double) + LINE)
                          : NULL;
    double *many = at_line(allocated);
    w.each = w.along && w.n[0] == 1 && view_varies(v, last) && !v->data[VIEW_ALPHA_DOT] &&
             call->alpha_dtype == call->x_dtype && (mode == SCALE || mode == TERMS);
    w.lanes_most = allocated || w.each ? lanes : LANES_FEW;
    w.sum = allocated ? many : w.few[0];
    w.correction = allocated ? many + room : w.few[1];
    w.partials = allocated ? many + 2 * room : w.few[2];
    w.alpha_lanes[0] = allocated ? many + 3 * room : w.few[3];
    w.alpha_lanes[1] = allocated ? many + 4 * room : w.few[4];

    if (exact) exact_clear(exact, 0);
    walk(&w, 0, v->data, 0);
    if (mode == SUMS && w.along) lanes_flush(&w);
    if (mode == EXACT) exact_flush(&w);
#if PRELU_SSE2
    if (call->stream) _mm_sfence();
#endif
    free(allocated);
}
