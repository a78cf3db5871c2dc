/* Design: runs of one alpha that follow each other in memory (small images in NCHW) are walked
 * through, many in a tile. Each alpha has one group of lanes. Groups begin with lines, wherever the
 * runs do; what lies ahead of the first line, and less than a group at the end, are runs of their
 * own.
 */
#include "tile.h"

int runs_fit(const work *w) {
    const ptrdiff_t *n = w->n;
    char *const *data = w->call->view.data;
    const int shared = n[2] % LANES != 0; /* there are groups of two runs */
    const ptrdiff_t least = shared && item_size[w->call->x_dtype] == 2 ? RUNS_LEAST_16 : RUNS_LEAST;
    return (w->mode == SCALE || w->mode == SUMS) && !data[VIEW_ALPHA_DOT] &&
           w->tile_index_stride[1] != 0 && w->tile_index_stride[2] == 0 &&
           n[2] >= least && n[2] <= RUNS_MOST && is_flat(w, data, &(piece){{1, n[1], n[2]}});
}

static void lay_out(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t alphas, ptrdiff_t index) {
    const int moved = alphas != w->runs.alphas;
    if (w->lanes.used && (moved || w->lanes.index != index)) lanes_flush(w);
    if (lanes_of_others(w, from) || moved) {
        const ptrdiff_t item = (ptrdiff_t)item_size[w->call->alpha_dtype];
        char raw[RUNS_ALPHAS * sizeof(double)];
        copy_row(raw, item, from[VIEW_ALPHA], w->stride[VIEW_ALPHA][1], alphas, item);
        loops_of(w->call->alpha_dtype, w->wide)->widen(raw, w->alpha_lanes[0], (size_t)alphas);
        w->alpha = w->alpha_lanes[0];
    }
    w->runs.alphas = alphas;
    w->runs.length = w->n[2];
    w->laid_out = (piece){{1, alphas, LANES}};
    w->lanes.index = index;
}

void runs_flush(work *w) {
    for (ptrdiff_t r = 0; r < w->runs.alphas; r++) {
        const ptrdiff_t lane = r * LANES, index = w->lanes.index + r * w->tile_index_stride[1];
        const prelu_lanes lanes = {w->sum + lane, w->correction + lane, w->partials + lane};
        double s, c, t;
        w->loops->fold(lanes, (prelu_lanes){&s, &c, &t});
        sums_add_one(w->sums, index, s, c, t);
    }
}

/* n elements of rows that follow each other. */
static void walk_rows(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t n, ptrdiff_t index) {
    prelu_runs *runs = &w->runs;
    const ptrdiff_t ahead = w->call->stream ? ahead_of_line(w, from, n) : 0, most = tile_most(w);
    const ptrdiff_t row = runs->alphas * runs->length, rows = row < most ? most / row : 1;
    const ptrdiff_t adds = runs->length / LANES + 3; /* to a lane in a row; and what a group that
                                                        two rows share adds */
    char *at[VIEW_OPERANDS];
    ptrdiff_t end = 0; /* of the rows whose additions the lanes have room for */
    for (ptrdiff_t i = 0, length; i < n; i += length) {
        step(at, from, w, 0, 0, i);
        runs->first = i / runs->length % runs->alphas;
        runs->left = runs->length - i % runs->length;
        if (i < ahead || n - i < LANES) {
            length = i < ahead ? ahead : n - i;
            tile(w, at, &(piece){{1, 1, length}}, runs->first, 0,
                 index + runs->first * w->tile_index_stride[1]);
            continue;
        }
        if (i >= end) {
            end = (i / row + rows) * row;
            if (w->mode == SUMS) lanes_expect(w, rows * adds);
        }
        length = end - i < most ? (end - i + LANES - 1) / LANES * LANES : most;
        if (n - i < length) length = (n - i) / LANES * LANES;
        w->by_runs = 1;
        tile(w, at, &(piece){{1, 1, length}}, 0, LANES, index);
        w->by_runs = 0;
    }
}

void runs_walk(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t *n = w->n, most = w->lanes_most / LANES;
    char *at[VIEW_OPERANDS], *row[VIEW_OPERANDS];
    for (ptrdiff_t b = 0; b < n[1]; b += most) {
        const piece band = {{n[0], n[1] - b < most ? n[1] - b : most, n[2]}};
        const ptrdiff_t first = index + b * w->tile_index_stride[1];
        step(at, from, w, 0, b, 0);
        lay_out(w, at, band.n[1], first);
        if (is_flat(w, at, &band)) {
            walk_rows(w, at, piece_size(&band), first);
            continue;
        }
        for (ptrdiff_t a = 0; a < band.n[0]; a++) {
            step(row, at, w, a, 0, 0);
            walk_rows(w, row, band.n[1] * band.n[2], first);
        }
    }
}
