/* One tile of a walk: gathered where it must be, run through a loop, scattered. */
#ifndef PRELU_TILE_H
#define PRELU_TILE_H

#include "lanes.h"

/* What walk.c sets up for a call, and tile.c reads. */
typedef struct {
    const prelu_call *call;
    const prelu_loops *loops;
    int job, dtype; /* that is computed in */
    double scale;   /* of the factors of exact sums */
    int segments, each;
    int operands, operand[VIEW_OPERANDS]; /* those of x's shape that the call has */
    int of_tile[TILE_OPERANDS];           /* which operand a tile's is */
    ptrdiff_t n[BLOCK_AXES], stride[VIEW_OPERANDS][BLOCK_AXES];
    int outer, axis[VIEW_MAX_AXES]; /* axes around the nest, the `varying` ones first */
    int varying;
    ptrdiff_t index_stride[VIEW_MAX_AXES]; /* among the sums */
    lanes_state lanes;
    ptrdiff_t tile, side, lanes_most; /* side: most of a tile along its innermost axis */
    char *buffer[VIEW_OPERANDS], *raw;
} walk_state;

typedef char *addresses[VIEW_OPERANDS];

/* A tile is used by way of buffers; in place; in place, several rows with strides between them. */
enum { GATHERED, IN_PLACE, IN_PLACE_ROWS };

/* Runs a tile of n elements of each axis of the nest; `first` is the first alpha's number in the band. */
void prelu_run_tile(walk_state *w, char *const *at, const ptrdiff_t *n, ptrdiff_t first,
                    int in_place);

#endif
