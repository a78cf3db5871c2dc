/* The loops for one dtype X of x (NATIVE: the type its elements widen to exactly), first the one
 * that does not see alpha, then both compute types. */

static double JOIN2(terms, X)(const void *x_, const void *g_, double *high, double *low, size_t n,
                              int at_one) {
    const X *x = x_, *g = g_;
    const double edge = edge_double[at_one];
    double largest[LANES] = {0}, irregular[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES) {
        X xt[LANES] = {0}, gt[LANES] = {0};
        NATIVE xv[LANES], gv[LANES];
        const size_t m = n - i < LANES ? n - i : LANES;
        memcpy(xt, x + i, m * sizeof *x);
        memcpy(gt, g + i, m * sizeof *g);
        JOIN2(load, X)(xt, xv);
        JOIN2(load, X)(gt, gv);
        PRELU_VECTOR
        for (int l = 0; l < LANES; l++) {
            const int identity = prelu_identity_double(xv[l], edge);
            const double p = prelu_term_double(identity, xv[l], gv[l]);
            const int zero = identity | (((xv[l] == 0) | (gv[l] == 0)) & (p == 0));
            const double size = zero ? 0.0 : fabs(p);
            high[i + l] = zero ? 0.0 : p; /* an exact zero is +0, also from -1 * 0 */
            largest[l] = size > largest[l] ? size : largest[l];
            if (sizeof(X) == 8) {
                low[i + l] = zero ? 0.0 : fma(xv[l], gv[l], -p);
                irregular[l] = zero | ((size > 0x1p-900) & (size < 0x1p900)) ? irregular[l] : 1.0;
            } else {
                irregular[l] = size < 0x1p300 ? irregular[l] : 1.0;
            }
        }
    }
    for (int l = 1; l < LANES; l++) {
        largest[0] = largest[l] > largest[0] ? largest[l] : largest[0];
        irregular[0] += irregular[l];
    }
    return irregular[0] > 0 ? INFINITY : largest[0];
}

#define WIDE 0
#define REAL NATIVE
#include "loops_of_pair.h"
#undef REAL
#undef WIDE
#define WIDE 1
#define REAL double
#include "loops_of_pair.h"
#undef REAL
#undef WIDE

static void JOIN2(narrow, X)(const double *from, void *to_, size_t n) {
    X *to = to_;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) JOIN3(store, X, 1)(to + i, from + i);
    if (i < n) {
        double in[LANES] = {0};
        X out[LANES];
        memcpy(in, from + i, (n - i) * sizeof *from);
        JOIN3(store, X, 1)(out, in);
        memcpy(to + i, out, (n - i) * sizeof *to);
    }
}
