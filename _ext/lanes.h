/* The alphas of a band laid out for the loops, a lane or a segment each, and the sums beside them. */
#ifndef PRELU_LANES_H
#define PRELU_LANES_H

#include "call.h"
#include "gather.h"

enum { LANES_USUAL = 256 }; /* to which a narrow pattern is repeated */

typedef struct {
    const prelu_sums *sums;                              /* of the call's alphas */
    const ptrdiff_t *stride[2];                          /* of alpha and alpha_dot, bytes */
    ptrdiff_t index_stride[BLOCK_AXES];                  /* among the sums */
    /* room for the lanes of a band, and LANES more, but at least 2 * LANES_USUAL */
    double *alphas[2], *raw;
    prelu_sums lanes;

    const prelu_loops *loops;
    int job, segments;
    ptrdiff_t item; /* bytes of what the loops take */
    ptrdiff_t band[BLOCK_AXES], pattern, period, index;  /* of its first alpha */
    ptrdiff_t adds;                                      /* to a lane, since it was cleared */
    const void *alpha, *alpha_dot;
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
