/* The table of loops: for each dtype of x, how a tile is computed.
 *
 * Two shapes of loops, each in every job below:
 *   segments  each alpha has `length` successive elements, then comes the next one
 *   lanes     alpha varies along the innermost axis: a pattern that repeats, a lane for each alpha
 */
#ifndef PRELU_LOOPS_H
#define PRELU_LOOPS_H

#include "accumulate.h"
#include "dtypes.h"

/* gcc and clang can compile one file for a newer instruction set than the rest; others get the
 * baseline alone. */
#if (defined(__x86_64__) || defined(__i386__)) && defined(__clang__)
#define PRELU_HAVE_X86_SETS 1
#define PRELU_PRAGMA(text) _Pragma(#text)
#define PRELU_TARGET_BEGIN(set) \
    PRELU_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define PRELU_TARGET_END _Pragma("clang attribute pop")
#elif (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define PRELU_HAVE_X86_SETS 1
#define PRELU_PRAGMA(text) _Pragma(#text)
#define PRELU_TARGET_BEGIN(set) _Pragma("GCC push_options") PRELU_PRAGMA(GCC target(set))
#define PRELU_TARGET_END _Pragma("GCC pop_options")
#endif

/* What a loop does with each element; integers have SCALE and EACH alone. */
enum {
    SCALE,  /* out = identity ? g : alpha * g */
    SUMS,   /* the same if there is `out`, and quick sums of the terms u * w */
    CAREFUL, /* the same, and what the sums lost, of float64 and 16 bits: where ties are likely */
    EXACT,  /* exact sums of the terms */
    JVP,    /* out = identity ? g : alpha * g + alpha_dot * x */
    DOUBLE, /* the same, of_x = identity ? 0 : alpha_dot * w, and quick sums of the terms */
    EACH,   /* out = identity ? g : w * g, of_x = the terms x * g, rounded; one may be missing.
             * Where alpha is an array like x; segments alone */
    JOBS
};

enum { LINE = 64 }; /* bytes */

/* Elements of x's dtype, contiguous: x decides on the identity branch, g is what is scaled, u * w are
 * the terms. g may be x, u too; w may be g. */
enum { TILE_X, TILE_G, TILE_U, TILE_W, TILE_OUT, TILE_OF_X, TILE_OPERANDS };

typedef struct {
    void *at[TILE_OPERANDS];
    ptrdiff_t n; /* LANES or more */
    /* For each segment or lane: in float, or double for float64. */
    const void *alpha, *alpha_dot;
    prelu_sums sums;
    double scale; /* of u and w, in exact sums of float64 */
    int at_one; /* x = 0 is on the identity branch */
    int stream; /* non-temporal stores */
    /* segments: their length, LANES or more; after number `alphas` - 1 comes 0 again */
    ptrdiff_t length, alphas;
    /* lanes: how many before they repeat, LANES or more where they do; the first `LANES` stand once
     * more behind the last. Of `rows` rows of n elements at the same lanes the next one of each
     * operand begins `row` elements further. */
    ptrdiff_t period, rows, row[TILE_OPERANDS];
} prelu_tile;

typedef struct {
    void (*segments[JOBS])(const prelu_tile *);
    void (*lanes[JOBS])(const prelu_tile *);
    /* Of arrays with room for whole groups of LANES: */
    /* Elements to what lanes and segments take (SCALE or SUMS), or to double. */
    void (*widen)(const void *from, void *to, ptrdiff_t n);
    void (*widen_double)(const void *from, double *to, ptrdiff_t n);
    /* From double, rounded once. */
    void (*narrow)(const double *from, void *to, ptrdiff_t n);
    /* Adds the sums of n lanes from `first` on, of at most `adds` terms each, to n sums if `step` is
     * 1, to one if it is 0. */
    void (*add)(const prelu_sums *to, ptrdiff_t step, const prelu_sums *lanes, ptrdiff_t first,
                ptrdiff_t n, ptrdiff_t adds, int job);
    /* n quick sums, rounded; `tiny` is what products lost by underflow. Returns how many are undecided,
     * because the ends of their intervals differ, and writes their numbers. */
    ptrdiff_t (*round)(const prelu_sums *sums, ptrdiff_t n, double tiny, void *to,
                       ptrdiff_t *undecided);
} prelu_loops;

typedef prelu_loops prelu_loop_table[PRELU_DTYPES];

extern const prelu_loop_table prelu_loops_baseline, prelu_loops_avx2, prelu_loops_avx512;

#endif
