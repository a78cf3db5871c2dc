/* A walk's state, and what walk.c, runs.c, lanes.c and tile.c ask of each other. */
#ifndef PRELU_TILE_H
#define PRELU_TILE_H

#include "pieces.h"
#include "walk.h"

enum {
    LANES_FEW = 1024, /* as many have room on the stack */
    RUN_ALPHAS = LANES_MOST / LANES,
    PIECE = TILE_BYTES / 8 + LANES /* doubles that hold one, apart as `few` are */
};

typedef struct {
    const prelu_call *call;
    const prelu_loops *loops;
    int mode, wide, each; /* wide: computed in double; each: each alpha has one element and x's
                             dtype, so alpha is an operand like x */
    prelu_sums *sums;
    exact_work *exact;

    /* the innermost axes, absent ones of length 1 */
    int outer_axes, along, operands, operand[VIEW_OPERANDS]; /* those the call has */
    ptrdiff_t n[3], stride[VIEW_OPERANDS][3];
    ptrdiff_t index_stride[VIEW_MAX_AXES], tile_index_stride[3]; /* among the sums */

    piece laid_out;           /* rows side by side, and their lanes, that are laid out now */
    ptrdiff_t rotation;       /* the lane that comes first, so that tiles begin with a line */
    const char *laid_out_for[2]; /* and the alpha and alpha_dot they begin with */
    const void *alpha, *alpha_dot; /* in the compute type */
    int has_runs; /* of one alpha, that follow each other: walked by runs.c */
    prelu_runs runs;
    lane_state lanes;
    ptrdiff_t lanes_most;
    double *sum, *correction, *partials, *alpha_lanes[2]; /* lanes_most each: `few`, or allocated */
    /* All begin with a line, or each load and store of lanes takes two. `few`: not a multiple of
     * 4096 bytes apart, or a load waits for another array's store. */
    _Alignas(LINE) double few[5][LANES_FEW + LANES];
    double x[PIECE], g[PIECE], out[PIECE], dy[PIECE], of_x[PIECE], factor[2][PIECE];
} work;

/* One tile. Its alphas run along if `period` is not 0; its first lane is lane0 then. Otherwise it
 * has one alpha: the first, or among runs number lane0. Whole groups of runs have the period LANES,
 * for each begins a line if the tile does. */
void tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
          ptrdiff_t period, ptrdiff_t index);

/* Pointers further along. */
static inline void step(char *at[VIEW_OPERANDS], char *const from[VIEW_OPERANDS], const work *w,
                        ptrdiff_t a, ptrdiff_t b, ptrdiff_t c) {
    memcpy(at, from, VIEW_OPERANDS * sizeof *at);
    for (int i = 0; i < w->operands; i++) {
        const int o = w->operand[i];
        at[o] += a * w->stride[o][0] + b * w->stride[o][1] + c * w->stride[o][2];
    }
}

/* How many elements a tile has at most. */
static inline ptrdiff_t tile_most(const work *w) {
    const ptrdiff_t n = TILE_BYTES / (ptrdiff_t)item_size[w->call->x_dtype];
    return n < TILE ? n : TILE;
}

/* Is a piece one run of memory for every operand of x's shape? */
int is_flat(const work *w, char *const from[VIEW_OPERANDS], const piece *p);

/* How many of n elements lie before a line of 64 bytes. Whole lines load faster and alone can go
 * around the caches, so a long run begins with these. */
ptrdiff_t ahead_of_line(const work *w, char *const from[VIEW_OPERANDS], ptrdiff_t n);

/* Has the call short runs of one alpha that follow each other? runs_walk is for such. */
int runs_fit(const work *w);
void runs_walk(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index);

/* Are these other alphas than the ones that are laid out? From now on they are. */
int lanes_of_others(work *w, char *const from[VIEW_OPERANDS]);

/* Makes one alpha ready, for a run. */
void lanes_one(work *w, char *const from[VIEW_OPERANDS]);

/* Prepares the lanes of a band; p is what lies side by side. */
void lanes_lay_out(work *w, char *const from[VIEW_OPERANDS], const piece *p, ptrdiff_t rotation,
                   ptrdiff_t index);

/* Makes room for as many more additions into each lane. */
void lanes_expect(work *w, ptrdiff_t adds);

/* Adds the lanes' sums to those of their alphas. */
void lanes_flush(work *w);

/* Makes as many lanes ready for exact sums, and those that fill up the last group. */
void exact_clear(exact_work *e, ptrdiff_t lanes);

/* Makes room for as many more additions into each lane of runs. */
void exact_expect(work *w, ptrdiff_t adds);

/* Moves the slices into the states. */
void exact_flush(work *w);

#endif
