/* A walk: what walk.c sets up for a call; and its parts, tiles and the alphas of a panel. */
#ifndef PRELU_WALK_H
#define PRELU_WALK_H

#include "call.h"
#include "gather.h"

enum { LANES_USUAL = 256 }; /* to which a narrow pattern is repeated */

typedef struct {
    const prelu_call *call;
    const prelu_loops *loops;
    const prelu_sums *sums;     /* of the call's alphas */
    int job, dtype;             /* that is computed in */
    double scale;               /* of the factors of exact sums */
    int segments, each;
    int operands, operand[VIEW_OPERANDS]; /* those of x's shape that the call has */
    int of_tile[TILE_OPERANDS];           /* which operand a tile's is */

    /* the nest; and the axes around it, the `varying` ones first */
    ptrdiff_t n[BLOCK_AXES], stride[VIEW_OPERANDS][BLOCK_AXES];
    int outer, varying, axis[VIEW_MAX_AXES];
    /* from an alpha's sums to the next one's, along axes of the view and of the nest */
    ptrdiff_t view_index_stride[VIEW_MAX_AXES], index_stride[BLOCK_AXES];

    ptrdiff_t tile, side, lanes_most; /* side: most of a tile along its innermost axis */
    char *buffer[VIEW_OPERANDS], *raw;

    ptrdiff_t panel[BLOCK_AXES], index; /* of its first alpha */
    ptrdiff_t pattern, period;         /* alphas; lanes, before they repeat */
    ptrdiff_t adds;                    /* to a lane, since it was cleared */
    /* room for the lanes of a panel, and LANES more, but at least 2 * LANES_USUAL */
    double *alphas[2], *raw_alphas; /* alpha and alpha_dot */
    prelu_sums lanes;
} walk_state;

typedef char *addresses[VIEW_OPERANDS];

/* ---- tile.c: gathered where it must be, run through a loop, scattered ---- */

/* A tile is used through buffers; in place; in place, several rows with strides between them. */
enum { GATHERED, IN_PLACE, IN_PLACE_ROWS };

/* Runs a tile of n elements of each axis of the nest; `first` is the number of its first alpha in the
 * panel. */
void prelu_run_tile(walk_state *w, char *const *at, const ptrdiff_t *n, ptrdiff_t first,
                    int in_place);

/* ---- lanes.c: the alphas of a panel, a lane or a segment each, and the sums beside them ---- */

/* Lays out the alphas of a panel, that begins `at` in the nest. */
void prelu_begin_panel(walk_state *w, char *const *from, const ptrdiff_t *panel, const ptrdiff_t *at,
                      ptrdiff_t index);

/* Runs a loop over a tile of segments, from number `first` on. */
void prelu_run_segments(const walk_state *w, prelu_tile *t, ptrdiff_t first);

/* Runs a loop over a tile of whole rows, as often as the sums of lanes allow. */
void prelu_run_lanes(walk_state *w, const prelu_tile *tile);

/* Adds the sums of the lanes to those of their alphas. */
void prelu_end_panel(walk_state *w);

#endif
