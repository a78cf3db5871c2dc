/* What kernels read and write, vectors of it, and one element's gradients.
 *
 * Definitions: VECTOR, the elements that move at a time; SECOND, the derivative along a second
 * direction, (ddx, ddalpha), in the place of the first; BACKWARD, dy is scaled instead of x.
 */
struct prelu_operands {
    X *out, *of_x;         /* y, dx, y_dot or the cotangent of dy; the cotangent of x */
    const X *x, *dy, *ddx; /* ddx: also x_dot */
    const A *alpha, *ddalpha; /* null for a Python number, which comes by value */
    void *result;             /* dalpha, or states */
    u64 *zeros, *scratch;     /* zeros are 0 before a launch and after it */
    double number, ddnumber, edge;
};

template <class S>
struct alignas(sizeof(S) * VECTOR < 16 ? sizeof(S) * VECTOR : 16) vector_of {
    S v[VECTOR];
};
template <class S>
DEVICE vector_of<S> load(const S *p) {
    return *reinterpret_cast<const vector_of<S> *>(p);
}
template <class S>
DEVICE void store(S *p, const vector_of<S> &values) {
    *reinterpret_cast<vector_of<S> *>(p) = values;
}

/* alpha and its direction, for one element. */
struct prelu_slope {
    real alpha, dot;
};
DEVICE prelu_slope slope_at(const prelu_operands &o, i64 index) {
    prelu_slope slope;
    slope.alpha = o.alpha ? widen(o.alpha[index]) : rounded<real>(o.number);
    slope.dot = slope.alpha;
    if (SECOND) slope.dot = o.ddalpha ? widen(o.ddalpha[index]) : rounded<real>(o.ddnumber);
    return slope;
}

/* The slope, of which nothing is kept from before a loop: as doubles many would take too much. */
DEVICE prelu_slope anew(prelu_slope a) {
    a.alpha = anew(a.alpha), a.dot = anew(a.dot);
    return a;
}

/* VECTOR slopes that lie side by side. */
DEVICE void load_slopes(const prelu_operands &o, i64 first, prelu_slope *slopes) {
    const vector_of<A> alphas = load(o.alpha + first);
    const vector_of<A> dots = SECOND ? load(o.ddalpha + first) : alphas;
#pragma unroll
    for (int q = 0; q < VECTOR; q++) {
        slopes[q].alpha = widen(alphas.v[q]);
        slopes[q].dot = widen(dots.v[q]);
    }
}

/* g is x, dy, or in the second order ddx. */
DEVICE X scaled(int identity, X x, X g, const prelu_slope &a) {
    return rounded<X>(SECOND ? prelu_jvp(identity, widen(x), a.alpha, widen(g), a.dot)
                             : prelu_scale(identity, widen(g), a.alpha));
}
