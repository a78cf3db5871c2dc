/* The loops for one dtype X of x, computed in REAL: groups, the shapes of loops over them, and what is
 * an entry of the table. */
#define T(name) JOIN2(name, X)
#define SCALAR(name) JOIN3(prelu, name, REAL)
#define SHORT PRELU_SHORT                 /* products are exact in float, but for underflow */
#define WIDE (sizeof(X) == 8)             /* products have an error */
/* In the place of the bound a float sum of |term|, which is rounded to float: not in careful sums. */
#define SIZES(job) (SHORT && SUMMING(job) && (job) != EXACT && (job) != CAREFUL)
#define LEVELS (SHORT ? 2 : WIDE ? 4 : 3) /* of exact sums: enough for usual numbers */

/* A group to and from the compute type, which only 16 bits are not. */
#if !PRELU_SHORT
PRELU_FN void T(load)(const X *p, REAL *v) {
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) v[i] = p[i];
}
PRELU_FN void T(store)(X *p, const REAL *v) {
    PRELU_VECTOR
    for (int i = 0; i < LANES; i++) p[i] = v[i];
}
#endif

#include "group.h"

#include "shapes.h"

#include "convert.h"

/* ---- the entries of the table ---- */

/* inline, so that what the table does not take is left out: careful sums of f32 */
#define ENTRY(name) static inline void T(name)(const prelu_tile *t)
#define LOOP(shape, put, job) T(shape##_loop)(t, put, job)
#define WRITE(shape, job) \
    (t->stream && !SHORT ? LOOP(shape, STREAM, job) : LOOP(shape, STORE, job))
#define SUM(shape, job) (t->at[TILE_OUT] ? WRITE(shape, job) : LOOP(shape, NO_OUT, job))
#define ENTRY_SCALE(shape)                                                                      \
    ENTRY(shape##_scale) {                                                                      \
        if (SHORT && t->at[TILE_G] == t->at[TILE_X]) LOOP(shape, STORE, FORWARD);               \
        else WRITE(shape, SCALE);                                                               \
    }
ENTRY_SCALE(segments)
ENTRY_SCALE(lanes)
ENTRY(segments_each) {
#if PRELU_FLOAT
    if (t->at[TILE_OF_X]) SUM(segments, EACH);
    else
#endif
        WRITE(segments, EACH_SCALE);
}
#if PRELU_FLOAT
#define ENTRIES(shape)                                                                          \
    ENTRY(shape##_sums) { SUM(shape, SUMS); }                                                   \
    ENTRY(shape##_careful) { SUM(shape, CAREFUL); }                                             \
    ENTRY(shape##_exact) { LOOP(shape, NO_OUT, EXACT); }                                        \
    ENTRY(shape##_jvp) { if (WRITE(shape, JVP)) LOOP(shape, STORE, SLOW); }             \
    ENTRY(shape##_double) { if (WRITE(shape, DOUBLE)) LOOP(shape, STORE, SLOW); }
ENTRIES(segments)
ENTRIES(lanes)
#undef ENTRIES
#endif

#undef ENTRY
#undef ENTRY_SCALE
#undef LOOP
#undef WRITE
#undef SUM
#undef T
#undef SCALAR
#undef SHORT
#undef WIDE
#undef LEVELS
#undef SIZES
