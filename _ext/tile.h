/* A walk's state, and what walk.c, lanes.c and tile.c ask of each other. */
#ifndef PRELU_TILE_H
#define PRELU_TILE_H

#include "pieces.h"
#include "walk.h"

enum {
    LANES_FEW = 1024, /* as many have room on the stack */
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
    lane_state lanes;
    ptrdiff_t lanes_most;
    double *sum, *correction, *partials, *alpha_lanes[2]; /* lanes_most each: `few`, or allocated */
    /* All begin with a line, or each load and store of lanes takes two. `few`: not a multiple of
     * 4096 bytes apart, or a load waits for another array's store. */
    _Alignas(LINE) double few[5][LANES_FEW + LANES];
    double x[PIECE], g[PIECE], out[PIECE], dy[PIECE], of_x[PIECE], factor[2][PIECE];
} work;

/* One tile. Its alphas run along if `period` is not 0; its first lane is lane0 then. */
void tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
          ptrdiff_t period, ptrdiff_t index);

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

/* Moves the slices into the states. */
void exact_flush(work *w);

#endif
