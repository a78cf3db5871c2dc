/* From a view to tiles and the loops on them. */
#ifndef PRELU_WALK_H
#define PRELU_WALK_H

#include "engine.h"

static const size_t item_size[PRELU_DTYPES] = {2, 2, 4, 8};

enum {
    TILE = 2048,       /* elements at most; a multiple of LANES */
    TILE_BYTES = 4096, /* of x at most: x, dy, dx and sums share the first cache */
    LINE = 64,         /* bytes */
    PAGE = 4096,       /* bytes, at least */
    LANES_MOST = 4096, /* alphas that run along before they repeat */
    /* into one lane: its partial sums, so its error, grow with them. A run's first tile may be
     * twice as long as others, with a short group at either end. */
    ADDS_MOST = 2 * TILE / LANES + 2
};

/* What a walk does with each tile: y or dx alone; with sums; with exact sums; with one term for
 * each alpha. */
enum { SCALE, SUMS, EXACT, TERMS };

/* Lanes that are being added into: whose they are, how many, how often. */
typedef struct {
    ptrdiff_t index, used, adds;
} lane_state;

typedef struct {
    int64_t *states;
    int64_t adds;     /* to one limb at most, since the last carry */
    double largest;   /* that the slices can take now; 0 before the first tile */
    int exponent;     /* of the uppermost slice */
    lane_state lanes;
    ptrdiff_t lane_index[LANES_MOST]; /* which alpha */
    _Alignas(LINE) double term[2][TILE], slice[EXACT_SLICES][LANES_MOST + LANES];
} exact_work;

/* The first whole line of what was allocated. */
static inline void *at_line(void *allocated) {
    return (void *)(((uintptr_t)allocated + LINE - 1) & ~(uintptr_t)(LINE - 1));
}

/* The loops for x of a dtype; `wide`: alpha is float64. */
const prelu_loops *loops_of(int dtype, int wide);

/* The sums, or the exact ones, are added to. */
void prelu_walk(const prelu_call *call, int mode, prelu_sums *sums, exact_work *exact);

/* sums[i] += s + c, kept as a pair that does not overlap; t to the partials. */
static inline void sums_add_one(prelu_sums *sums, ptrdiff_t i, double s, double c, double t) {
    const double a = sums->high[i], high = a + s, z = high - a;
    const double low = sums->low[i] + (((a - (high - z)) + (s - z)) + c);
    sums->high[i] = high + low;
    sums->low[i] = low - (sums->high[i] - high);
    sums->partials[i] += t;
}

#endif
