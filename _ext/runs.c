/* Design: runs of one alpha that follow each other in memory (small images in NCHW) are walked
 * through, many in a tile. Each alpha has one group of lanes. A tile has whole groups; in one that
 * a run ends in, the next begins. Where outputs go around the caches groups begin with lines, and
 * what lies ahead of the first line, or is less than a group at the end, is a tile of its own.
 */
#include "tile.h"

enum {
    RUN_SHORTEST = 2 * LANES,      /* elements; shorter ones have too few whole groups */
    RUN_SHORTEST_SLOW = 6 * LANES, /* where they take longer and lanes of their own less, */
    SAMPLES_FEW = 8,               /* because there are as many samples to share those */
    RUN_LONGEST = (ADDS_MOST - 3) * LANES, /* longer ones are walked one by one */
    ROW_SHORTEST = 512                     /* elements of a row that has a gap after it */
};

int runs_fit(const work *w) {
    const ptrdiff_t *n = w->n;
    char *const *data = w->call->view.data;
    /* Groups of two runs take longer: for 16 bits, whose sums are in double there, and beside lanes
     * that are few enough for the first cache. So do exact sums, which are moved into each state. */
    const int shared = n[2] % LANES != 0, few = n[1] * n[2] <= LANES_FEW;
    const int slow = w->mode == EXACT || (shared && (few || item_size[w->call->x_dtype] == 2));
    const ptrdiff_t least = slow && n[0] >= SAMPLES_FEW ? RUN_SHORTEST_SLOW : RUN_SHORTEST;
    if (w->mode == TERMS || data[VIEW_ALPHA_DOT]) return 0;
    if (n[1] == 1 || w->tile_index_stride[1] == 0 || w->tile_index_stride[2] != 0) return 0;
    if (n[2] < least || n[2] > RUN_LONGEST) return 0;
    return is_flat(w, data, &(piece){{n[0], n[1], n[2]}}) ||
           (n[1] * n[2] >= ROW_SHORTEST && is_flat(w, data, &(piece){{1, n[1], n[2]}}));
}

static void lay_out_runs(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t alphas,
                         ptrdiff_t index) {
    const int moved = alphas != w->runs.alphas;
    if (w->lanes.used && (moved || w->lanes.index != index)) lanes_flush(w);
    if (w->exact && (moved || w->exact->lanes.index != index)) exact_flush(w);
    if (lanes_of_others(w, from) || moved) {
        const ptrdiff_t item = (ptrdiff_t)item_size[w->call->alpha_dtype];
        char raw[RUN_ALPHAS * sizeof(double)];
        copy_row(raw, item, from[VIEW_ALPHA], w->stride[VIEW_ALPHA][1], alphas, item);
        loops_of(w->call->alpha_dtype, w->wide)->widen(raw, w->alpha_lanes[0], (size_t)alphas);
        w->alpha = w->alpha_lanes[0];
    }
    if (moved && w->exact) {
        exact_clear(w->exact, alphas * LANES);
        for (ptrdiff_t i = 0; i < alphas * LANES; i++)
            w->exact->lane_index[i] = i / LANES * w->tile_index_stride[1];
    }
    w->runs.alphas = alphas;
    w->runs.length = w->n[2];
    w->laid_out = (piece){{1, alphas, LANES}};
    w->lanes.index = index;
}

/* n elements of rows that follow each other. */
static void walk_rows(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t n, ptrdiff_t index) {
    prelu_runs *runs = &w->runs;
    const ptrdiff_t ahead = w->call->stream ? ahead_of_line(w, from, n) : 0, most = tile_most(w);
    const ptrdiff_t row = runs->alphas * runs->length, in_tile = row < most ? most / row : 1;
    /* to one lane from one row: its whole groups, the two it shares, and one of the next row */
    const ptrdiff_t adds = runs->length / LANES + 3;
    char *at[VIEW_OPERANDS];
    ptrdiff_t end = 0; /* the lanes have room for the rows before; a tile may pass it by a group */
    for (ptrdiff_t i = 0, length; i < n; i += length) {
        step(at, from, w, 0, 0, i);
        runs->first = i / runs->length % runs->alphas;
        runs->left = runs->length - i % runs->length;
        if (i >= end) {
            const ptrdiff_t left = (n - i + row - 1) / row, rows = left < in_tile ? left : in_tile;
            end = (i / row + rows) * row;
            if (w->mode == SUMS) lanes_expect(w, rows * adds);
            if (w->mode == EXACT) exact_expect(w, rows * adds);
        }
        if (i < ahead || n - i < LANES) {
            length = i < ahead ? ahead : n - i;
            tile(w, at, &(piece){{1, 1, length}}, runs->first, 0,
                 index + runs->first * w->tile_index_stride[1]);
            continue;
        }
        length = end - i < most ? (end - i + LANES - 1) / LANES * LANES : most;
        if (n - i < length) length = (n - i) / LANES * LANES;
        tile(w, at, &(piece){{1, 1, length}}, 0, LANES, index);
    }
}

void runs_walk(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t *n = w->n, most = w->lanes_most / LANES;
    char *at[VIEW_OPERANDS], *row[VIEW_OPERANDS];
    for (ptrdiff_t b = 0; b < n[1]; b += most) {
        const piece band = {{n[0], n[1] - b < most ? n[1] - b : most, n[2]}};
        const ptrdiff_t first = index + b * w->tile_index_stride[1];
        step(at, from, w, 0, b, 0);
        lay_out_runs(w, at, band.n[1], first);
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
