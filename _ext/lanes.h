/* The alphas of a band laid out for the loops, a lane or a segment each, and the sums beside them. */
#ifndef PRELU_LANES_H
#define PRELU_LANES_H

#include "call.h"
#include "gather.h"

enum {
    LANES_MOST = 4096, /* of a band: their sums stay in the second cache */
    LANES_USUAL = 256,  /* to which a narrow pattern is repeated */
    LANES_ROOM = LANES_MOST + LANES
};

typedef struct {
    const prelu_sums *sums;                              /* of the call's alphas */
    ptrdiff_t stride[2][BLOCK_AXES];                     /* of alpha and alpha_dot, bytes */
    ptrdiff_t index_stride[BLOCK_AXES];                  /* among the sums */

    const prelu_loops *loops;
    int job, segments;
    ptrdiff_t item; /* bytes of what the loops take */
    ptrdiff_t band[BLOCK_AXES], pattern, period, index;  /* of its first alpha */
    ptrdiff_t adds;                                      /* to a lane, since it was cleared */
    const void *alpha, *alpha_dot;
    prelu_sums lanes;
    /* not a multiple of 4096 bytes apart, or a load waits for another array's store */
    _Alignas(LINE) double alphas[2][LANES_ROOM], part[PARTS][LANES_ROOM];
} lanes_state;

/* Lays out the alphas of a band, that begins `at` in the nest. */
void lanes_begin(lanes_state *s, const prelu_call *call, int job, int dtype, int segments,
                 const ptrdiff_t *band, const ptrdiff_t *at, char *alpha,
                 char *alpha_dot, ptrdiff_t index);

/* Gives a tile of segments, from number `first` on, its alphas and sums. */
void lanes_of_segments(const lanes_state *s, prelu_tile *t, ptrdiff_t first);

/* Runs a loop over a tile of whole rows, as often as the sums of lanes allow. */
void lanes_run(lanes_state *s, const prelu_tile *tile, void (*loop)(const prelu_tile *));

/* Adds the sums of the lanes to those of their alphas. */
void lanes_end(lanes_state *s);

#endif
