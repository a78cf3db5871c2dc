/* The loops for one dtype X of x (NATIVE: the type its elements widen to exactly), first the one
 * that does not see alpha, then both compute types. */

PRELU_FN void JOIN2(terms_group, X)(const X *x, const X *g, double *high, double *low,
                                    const double edge, double *largest) {
    NATIVE xv[LANES], gv[LANES];
    JOIN2(load, X)(x, xv);
    JOIN2(load, X)(g, gv);
    PRELU_VECTOR
    for (int l = 0; l < LANES; l++) {
        const double xd = xv[l], gd = gv[l];
        const int identity = prelu_identity_double(xd, edge);
        const double p = prelu_term_double(identity, xd, gd);
        double size = fabs(p) < 0x1p900 ? fabs(p) : INFINITY;
        if (sizeof(X) == 8) {
            /* fma gives the error of the product, unless that underflows */
            const double smaller = fabs(xd) < fabs(gd) ? fabs(xd) : fabs(gd);
            const double factor = identity ? 0.0 : smaller;
            const double error = fma(xd, gd, -p);
            size = fabs(p) >= (factor == 0 ? 0.0 : 0x1p-900) ? size : INFINITY;
            low[l] = factor == 0 ? 0.0 : error;
            high[l] = factor == 0 ? p + 0.0 : p; /* an exact zero is +0, also from -1 * 0 */
        } else {
            high[l] = p + 0.0;
        }
        largest[l] = size > largest[l] ? size : largest[l];
    }
}

static double JOIN2(terms, X)(const void *x_, const void *g_, double *high, double *low, size_t n,
                              int how) {
    const X *x = x_, *g = g_;
    const double edge = edge_double[how & AT_ONE];
    double largest[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        JOIN2(terms_group, X)(x + i, g + i, high + i, low + i, edge, largest);
    if (i < n) {
        X xt[LANES] = {0}, gt[LANES] = {0};
        memcpy(xt, x + i, (n - i) * sizeof *x);
        memcpy(gt, g + i, (n - i) * sizeof *g);
        JOIN2(terms_group, X)(xt, gt, high + i, low + i, edge, largest);
    }
    for (int l = 1; l < LANES; l++) largest[0] = largest[l] > largest[0] ? largest[l] : largest[0];
    return largest[0];
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
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = n - i < LANES ? n - i : LANES;
        double in[LANES] = {0};
        X out[LANES];
        for (size_t l = 0; l < m; l++) in[l] = any_nan(from[i + l]);
        JOIN3(store, X, 1)(out, in, STORE);
        memcpy(to + i, out, m * sizeof *to);
    }
}
