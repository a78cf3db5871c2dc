/* A call in memory order.
 *
 * Design:
 * (a) The innermost axes of a view are the nest: up to three in which alphas are a pattern, and in
 *     front of them one of rows that repeat it. Further axes are loops around the nest. Axes along
 *     which alpha varies come first, so the alphas of a pattern are laid out once.
 * (b) If each alpha has many successive elements, they are its segment, and its accumulators stay in
 *     registers. Otherwise the pattern is laid out in memory, a lane with its own accumulators for
 *     each position. Short segments (small images) are several lanes of one alpha.
 * (c) A panel has at most LANES_MOST lanes, so that their accumulators stay in the L2 cache. A narrow
 *     pattern is repeated to some hundred lanes and walked as one stream over all its rows. Of a
 *     wide one several rows are walked at once, so that accumulators are loaded and stored once for
 *     all of them.
 * (d) Data that is contiguous for all operands is walked in place. Other data, and data that is
 *     computed in double because alpha is float64, is gathered a tile at a time and walked the same
 *     way.
 */
#include "float_mode.h"
#include "walk.h"

#include <stdlib.h>

enum {
    TILE = 1024,         /* elements that are gathered at once */
    LANES_MOST = 4096,   /* of a panel: their accumulators stay in the L2 cache */
    SMALL = 4096,        /* elements of a call for which the stack has room: */
    TILE_SMALL = 256,
    TILE_SIDE = 32,      /* of a tile that is transposed, if its innermost axis is longer than */
    SIDE_LONG = 4096,    /* so many elements, each in a line of its own: the L2 cache loses them */
    LANES_SMALL = LANES_USUAL,
    ROWS = 4,            /* of a wide pattern that are walked at once */
    SEGMENT_LEAST = 128, /* shorter ones are lanes, if rows repeat them so often: */
    REPEATS_LEAST = 8,
    UNIT_LEAST = 1024,   /* elements of rows and pattern; less, and the next axis joins these */
    IN_PLACE_LEAST = 64, /* elements; shorter blocks are gathered */
    PATTERN_WIDE = 1025, /* lanes, whose rows are walked several at once */
    PATTERN_IN_PLACE = TILE_SMALL /* lanes; narrower patterns with gaps after them are gathered */
};

/* ---- a panel: all rows of some alphas ---- */

/* The outermost axis of a block from which on all operands are contiguous. */
static int all_contiguous_from(const walk_state *w, const ptrdiff_t *n) {
    int axis = 0;
    for (int i = 0; i < w->operands; i++) {
        const int own = contiguous_from(n, w->stride[w->operand[i]], item_size[w->call->x_dtype]);
        if (own > axis) axis = own;
    }
    return axis;
}

/* The parts of axes, from `first` on, of a block of `most` elements: as many of the innermost axes as it
 * holds whole, and at most `side` of the last. */
static void cut(const ptrdiff_t *n, int first, ptrdiff_t most, ptrdiff_t side, ptrdiff_t *extent) {
    for (int k = BLOCK_AXES - 1; k >= 0; k--) {
        const ptrdiff_t here = k == BLOCK_AXES - 1 && side < most ? side : most;
        extent[k] = k < first ? 1 : n[k] < here ? n[k] : here;
        most /= extent[k];
    }
}

/* How much of a panel is a tile, and whether that can be used in place. */
static int tile_extent(const walk_state *w, const ptrdiff_t *n, ptrdiff_t *extent) {
    const int second = w->job == JVP || w->job == DOUBLE; /* which compute undecided sums again */
    const ptrdiff_t most = second ? 4 * TILE : PTRDIFF_MAX, pattern = n[1] * n[2] * n[3];
    int axis = all_contiguous_from(w, n);
    const int rows = n[0] > 1 && !second && !w->segments &&
                     (axis == 1 || (axis == 0 && pattern >= PATTERN_WIDE));
    ptrdiff_t size = 1;
    for (int k = axis; k < BLOCK_AXES; k++) size *= n[k];
    int in_place = w->dtype == w->call->x_dtype &&
                   (size >= IN_PLACE_LEAST || (axis == 0 && size >= LANES));
    if (in_place && !w->segments)
        in_place = axis == 0 || (axis == 1 && (pattern >= PATTERN_IN_PLACE || pattern % LANES == 0 ||
                                               n[0] == 1));
    if (in_place) cut(n, axis, most, most, extent);
    else cut(n, 0, w->tile, w->side, extent);
    if (!in_place || !rows) return in_place ? IN_PLACE : GATHERED;
    extent[0] = n[0] < ROWS ? n[0] : ROWS;
    return IN_PLACE_ROWS;
}

static void step(const walk_state *w, char **to, char *const *from, const ptrdiff_t *by) {
    memcpy(to, from, sizeof(addresses));
    for (int i = 0; i < w->operands; i++) {
        const int o = w->operand[i];
        for (int k = 0; k < BLOCK_AXES; k++) to[o] += by[k] * w->stride[o][k];
    }
}

/* The next tile's part of what is left of an axis. The last two are halves, so that none is a rest: a
 * segment is LANES elements at least, also where TILE_SIDE cuts it. */
static ptrdiff_t next_part(ptrdiff_t left, ptrdiff_t most) {
    return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

static void walk_tiles(walk_state *w, char *const *from, const ptrdiff_t *n) {
    ptrdiff_t extent[BLOCK_AXES], i[BLOCK_AXES], m[BLOCK_AXES];
    const int in_place = tile_extent(w, n, extent);
    addresses at;
#define EACH_PART(k)                               \
    for (i[k] = 0; i[k] < n[k]; i[k] += m[k])      \
        if (m[k] = next_part(n[k] - i[k], extent[k]), 1)
    EACH_PART(0) EACH_PART(1) EACH_PART(2) EACH_PART(3) {
        step(w, at, from, i);
        prelu_run_tile(w, at, m, i[1], in_place);
    }
#undef EACH_PART
}

static void walk_panels(walk_state *w, char *const *from, ptrdiff_t index);

/* The outer axes from number k on: without a panel those along which alpha varies, then the others. */
static void walk_outer(walk_state *w, int k, char *const *from, ptrdiff_t index,
                       const ptrdiff_t *panel) {
    if (k == (panel ? w->outer : w->varying)) {
        if (panel) walk_tiles(w, from, panel);
        else walk_panels(w, from, index);
        return;
    }
    const prelu_view *v = &w->call->view;
    const int axis = w->axis[k];
    addresses at;
    memcpy(at, from, sizeof at);
    for (ptrdiff_t i = 0; i < v->axis[axis].length; i++) {
        walk_outer(w, k + 1, at, index + i * w->view_index_stride[axis], panel);
        for (int o = 0; o < VIEW_OPERANDS; o++)
            if (at[o]) at[o] += v->axis[axis].stride[o];
    }
}

/* The pattern in panels. */
static void walk_panels(walk_state *w, char *const *from, ptrdiff_t index) {
    const ptrdiff_t *n = w->n, item = item_size[w->call->x_dtype];
    ptrdiff_t most[BLOCK_AXES] = {n[0], n[1], n[2], n[3]};
    if (w->segments) {
        if (!w->each && most[1] > w->lanes_most) most[1] = w->lanes_most;
    } else {
        /* where it cannot be used in place a panel is one tile's */
        const int in_place = w->dtype == w->call->x_dtype && all_contiguous_from(w, n) <= 1;
        const ptrdiff_t lanes = in_place && w->job != JVP && w->job != DOUBLE ? w->lanes_most : w->tile;
        cut(n, 1, lanes, w->side, most);
        most[0] = n[0];
    }
    /* the second panel begins with a line */
    const char *first = from[w->call->stream && from[VIEW_OUT] ? VIEW_OUT : VIEW_X];
    const ptrdiff_t ahead = (ptrdiff_t)(-(uintptr_t)first & (LINE - 1)) / item;
    ptrdiff_t at[BLOCK_AXES] = {0}, panel[BLOCK_AXES] = {n[0], 0, 0, 0};
    addresses panel_at;
    for (at[1] = 0; at[1] < n[1]; at[1] += panel[1])
        for (at[2] = 0; at[2] < n[2]; at[2] += panel[2])
            for (at[3] = 0; at[3] < n[3]; at[3] += panel[3]) {
                ptrdiff_t of_sums = index;
                for (int k = 1; k < BLOCK_AXES; k++) {
                    const ptrdiff_t left = n[k] - at[k];
                    panel[k] = left < most[k] ? left : most[k];
                    of_sums += at[k] * w->index_stride[k];
                }
                if (most[3] < n[3] && at[3] == 0 && ahead) panel[3] -= LINE / item - ahead;
                step(w, panel_at, from, at);
                if (!w->each) prelu_begin_panel(w, from, panel, at, of_sums);
                walk_outer(w, w->varying, panel_at, 0, panel);
                prelu_end_panel(w);
            }
}

/* ---- the nest ---- */

/* Which axes of the view are the nest's; -1 for none, an axis of length 1. Returns the next one. */
static int choose_nest(walk_state *w, int *nest) {
    const prelu_view *v = &w->call->view;
    int k = v->axes - 1, at = BLOCK_AXES - 1;
    for (int i = 0; i < BLOCK_AXES; i++) nest[i] = -1;
    nest[at--] = k--;
    if (w->each) {
        while (at >= 0 && k >= 0) nest[at--] = k--;
        return k;
    }
    if (!view_varies(v, nest[3])) { /* a segment, of two axes at most */
        if (k >= 0 && !view_varies(v, k)) nest[at--] = k--;
        if (k >= 0 && view_varies(v, k)) nest[1] = k--;
    } else if (k >= 0 && view_varies(v, k)) {
        nest[at--] = k--;
        if (k >= 0 && view_varies(v, k)) nest[at--] = k--;
    } else if (k >= 1 && view_varies(v, k - 1) && v->axis[k].length * v->axis[k + 1].length < UNIT_LEAST) {
        nest[2] = k--;
        nest[1] = k--;
    }
    if (k >= 0 && !view_varies(v, k)) nest[0] = k--;
    return k;
}

/* Is another axis than the innermost one contiguous for an operand? A tile is then as wide as long, so
 * that it uses whole lines of all operands. */
static int is_transposed(const walk_state *w) {
    for (int i = 0; i < w->operands; i++)
        for (int k = 0; k < BLOCK_AXES - 1; k++)
            if (w->n[k] > 1 && w->stride[w->operand[i]][k] == item_size[w->call->x_dtype]) return 1;
    return 0;
}

static void begin(walk_state *w, const prelu_call *call, int job, const prelu_sums *sums) {
    const prelu_view *v = &call->view;
    w->call = call;
    w->job = job;
    w->each = job == EACH;
    w->dtype = call->alpha_dtype == PRELU_F64 ? PRELU_F64 : call->x_dtype;
    w->loops = prelu_loops_of(w->dtype);
    w->scale = call->larger ? ldexp(1.0, call->larger) : 1.0;
    w->sums = sums;
    w->operands = 0;
    for (int o = 0; o < VIEW_OPERANDS; o++) {
        const int of_alpha = o == VIEW_ALPHA || o == VIEW_DALPHA || o == VIEW_ALPHA_DOT;
        if (v->data[o] && (w->each || !of_alpha)) w->operand[w->operands++] = o;
    }
    const int second = v->data[VIEW_DY] != NULL, g = v->data[VIEW_G] ? VIEW_G : VIEW_X;
    const int of_tile[TILE_OPERANDS] = {VIEW_X, g, second ? g : VIEW_X,
                                        second ? VIEW_DY : w->each ? VIEW_ALPHA : g, VIEW_OUT,
                                        w->each ? VIEW_DALPHA : VIEW_OF_X};
    memcpy(w->of_tile, of_tile, sizeof of_tile);

    ptrdiff_t count = 1;
    for (int k = v->axes - 1; k >= 0; k--) {
        w->view_index_stride[k] = view_varies(v, k) ? count : 0;
        if (view_varies(v, k)) count *= v->axis[k].length;
    }
    int nest[BLOCK_AXES];
    const int next = choose_nest(w, nest);
    for (int i = 0; i < BLOCK_AXES; i++) {
        const int k = nest[i];
        w->n[i] = k < 0 ? 1 : v->axis[k].length;
        w->index_stride[i] = k < 0 ? 0 : w->view_index_stride[k];
        for (int o = 0; o < VIEW_OPERANDS; o++)
            if (v->data[o]) w->stride[o][i] = k < 0 ? 0 : v->axis[k].stride[o];
    }
    w->side = w->n[BLOCK_AXES - 1] > SIDE_LONG && is_transposed(w) ? TILE_SIDE : PTRDIFF_MAX;
    w->outer = w->varying = 0;
    for (int k = 0; k <= next; k++)
        if (view_varies(v, k)) w->axis[w->outer++] = k;
    w->varying = w->outer;
    for (int k = 0; k <= next; k++)
        if (!view_varies(v, k)) w->axis[w->outer++] = k;

    const ptrdiff_t run = view_varies(v, v->axes - 1) ? 1 : w->n[2] * w->n[3];
    const ptrdiff_t repeats = view_size(v) / (count * run);
    w->segments = w->each || count == 1 || run >= SEGMENT_LEAST || (run >= LANES && repeats < REPEATS_LEAST);
}

/* ---- room ---- */

enum { LANE_ARRAYS = PARTS + 3, TILE_ARRAYS = VIEW_OPERANDS + 1 };

/* In doubles. Arrays of lanes are not a multiple of 4096 bytes apart: otherwise a load waits for a store
 * to another array (4K aliasing). */
#define LANES_ROOM(most) ((most) < 2 * LANES_USUAL ? 2 * LANES_USUAL + LANES : (most) + LANES)
#define ROOM(lanes, tile) (LANE_ARRAYS * LANES_ROOM(lanes) + TILE_ARRAYS * (tile))

static void divide(walk_state *w, double *room, ptrdiff_t lanes, ptrdiff_t tile) {
    double **const part = w->lanes.part;
    double **const arrays[LANE_ARRAYS] = {w->alphas, w->alphas + 1, &w->raw_alphas, part,
                                          part + 1,  part + 2,      part + 3};
    w->lanes_most = lanes;
    w->tile = tile;
    for (int k = 0; k < LANE_ARRAYS; k++, room += LANES_ROOM(lanes)) *arrays[k] = room;
    for (int k = 0; k < VIEW_OPERANDS; k++, room += tile) w->buffer[k] = (char *)room;
    w->raw = (char *)room;
}

void prelu_walk(const prelu_call *call, int job, const prelu_sums *sums) {
    _Alignas(LINE) double small[ROOM(LANES_SMALL, TILE_SMALL)];
    walk_state w;
    /* if memory is short, panels are narrower */
    char *const large = view_size(&call->view) > SMALL
                            ? malloc(ROOM(LANES_MOST, TILE) * sizeof(double) + LINE) : NULL;
    if (large) divide(&w, (double *)(large + (-(uintptr_t)large & (LINE - 1))), LANES_MOST, TILE);
    else divide(&w, small, LANES_SMALL, TILE_SMALL);
    begin(&w, call, job, sums);
    walk_outer(&w, 0, call->view.data, 0, NULL);
    free(large);
#if PRELU_SSE2
    if (call->stream) _mm_sfence();
#endif
}
