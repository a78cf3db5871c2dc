/* y, dx or y_dot over dense memory, without sums: a vector a thread, as loops were slower.
 *
 * x has AXES axes; alpha has `strides` along them, in elements. ALONG:
 *   ONE     one alpha for all
 *   RUNS    alpha stays the same along the last axis, of at least VECTOR elements: one for a
 *           vector, or with CUT two
 *   VECTORS a vector of alphas for each vector
 *   EACH    each element looks up its own
 * RUNS without CUT and VECTORS want the last axis divisible by VECTOR. out may be x or dy: an
 * element is read before it is written, by the same thread.
 */
#define ONE 0
#define RUNS 1
#define VECTORS 2
#define EACH 3

struct prelu_scaling {
    prelu_operands o;
    i64 n;
    i64 lengths[AXES], strides[AXES];
    unsigned factors[AXES], shifts[AXES]; /* e / length is (e * factor >> 32) >> shift below 2^31 */
};

/* Where an element is along the axes. */
struct prelu_indices {
    I i[AXES];
};
DEVICE I quotient(const prelu_scaling &w, I e, int axis) {
    if (sizeof(I) == 4) return (I)(__umulhi((unsigned)e, w.factors[axis]) >> w.shifts[axis]);
    return e / (I)w.lengths[axis];
}
DEVICE prelu_indices indices_of(const prelu_scaling &w, I e) {
    prelu_indices at;
#pragma unroll
    for (int k = AXES - 1; k > 0; k--) {
        const I next = quotient(w, e, k);
        at.i[k] = e - next * (I)w.lengths[k];
        e = next;
    }
    at.i[0] = e;
    return at;
}
DEVICE I place_of(const prelu_scaling &w, const prelu_indices &at) { /* of its alpha */
    I index = 0;
#pragma unroll
    for (int k = 0; k < AXES; k++) index += at.i[k] * (I)w.strides[k];
    return index;
}
DEVICE prelu_slope slope_of(const prelu_scaling &w, const prelu_indices &at) {
    return slope_at(w.o, place_of(w, at));
}
/* The next index along an axis, and along those before it where that one ends. */
DEVICE void carry_on(const prelu_scaling &w, prelu_indices *at, int axis) {
#pragma unroll
    for (int k = AXES - 1; k >= 0; k--) {
        if (k > axis) continue;
        if (++at->i[k] < (I)w.lengths[k]) break;
        at->i[k] = 0;
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_scale_kernel(const prelu_scaling w) {
    const real edge = rounded<real>(w.o.edge);
    const I n = (I)w.n, vectors = n / VECTOR;
    const I first = (I)blockIdx.x * BLOCK + threadIdx.x;
    const X *g = SECOND ? w.o.ddx : w.o.dy;
    prelu_slope a[ALONG == ONE ? 1 : ALONG == RUNS ? 2 : VECTOR];
    if (ALONG == ONE) a[0] = slope_at(w.o, 0);
    for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {
        const I e = i * VECTOR;
        const vector_of<X> xs = load(w.o.x + e), gs = BACKWARD || SECOND ? load(g + e) : xs;
        vector_of<X> outs;
        int cut = VECTOR; /* the first element of the second run */
        if (ALONG != ONE) {
            prelu_indices at = indices_of(w, e);
            if (ALONG == VECTORS) {
                load_slopes(w.o, place_of(w, at), a);
            } else if (ALONG == RUNS) {
                a[0] = a[1] = slope_of(w, at);
                const I left = (I)w.lengths[AXES - 1] - at.i[AXES - 1];
                if (CUT && left < VECTOR) {
                    cut = (int)left;
                    carry_on(w, &at, AXES - 2);
                    a[1] = slope_of(w, at);
                }
            } else {
#pragma unroll
                for (int k = 0; k < VECTOR; k++) {
                    a[k] = slope_of(w, at);
                    carry_on(w, &at, AXES - 1);
                }
            }
        }
#pragma unroll
        for (int k = 0; k < VECTOR; k++) {
            const int identity = prelu_identity(widen(xs.v[k]), edge);
            const prelu_slope own = ALONG == RUNS && CUT ? (k < cut ? a[0] : a[1])
                                                         : a[ALONG <= RUNS ? 0 : k];
            outs.v[k] = scaled(identity, xs.v[k], gs.v[k], own);
        }
        store(w.o.out + e, outs);
    }
    const I tail = n - vectors * VECTOR; /* elements after the last vector */
    if (VECTOR > 1 && ALONG != VECTORS && first < tail) {
        const I e = n - tail + first; /* of other threads that might not fit an I */
        if (ALONG != ONE) a[0] = slope_of(w, indices_of(w, e));
        const X x = w.o.x[e];
        w.o.out[e] =
            scaled(prelu_identity(widen(x), edge), x, BACKWARD || SECOND ? g[e] : x, a[0]);
    }
}
