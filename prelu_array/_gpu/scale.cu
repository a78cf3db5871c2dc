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

DEVICE I quotient(const prelu_scaling &w, I e, int axis) {
    if (sizeof(I) == 4) return (I)(__umulhi((unsigned)e, w.factors[axis]) >> w.shifts[axis]);
    return e / (I)w.lengths[axis];
}
/* Of an element's alpha. */
DEVICE I index_of(const prelu_scaling &w, I e) {
    I index = 0;
#pragma unroll
    for (int k = AXES - 1; k > 0; k--) {
        const I outer = quotient(w, e, k);
        index += (e - outer * (I)w.lengths[k]) * (I)w.strides[k];
        e = outer;
    }
    return index + e * (I)w.strides[0];
}

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_scale_kernel(const prelu_scaling w) {
    const real edge = rounded<real>(w.o.edge);
    const I n = (I)w.n, vectors = n / VECTOR;
    const I first = (I)blockIdx.x * BLOCK + threadIdx.x;
    const X *g = SECOND ? w.o.ddx : w.o.dy;
    prelu_slope a[ALONG <= RUNS ? 2 : VECTOR];
    if (ALONG == ONE) a[0] = slope_at(w.o, 0);
#pragma unroll 1
    for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {
        const I e = i * VECTOR;
        const vector_of<X> xs = load(w.o.x + e), gs = BACKWARD || SECOND ? load(g + e) : xs;
        vector_of<X> outs;
        I left = VECTOR; /* elements of this run */
        if (ALONG == VECTORS) load_slopes(w.o, index_of(w, e), a);
        if (ALONG == RUNS) a[0] = slope_at(w.o, index_of(w, e));
        if (ALONG == RUNS && CUT) {
            a[1] = slope_at(w.o, index_of(w, e + VECTOR - 1));
            left = (quotient(w, e, AXES - 1) + 1) * (I)w.lengths[AXES - 1] - e;
        }
#pragma unroll
        for (int k = 0; k < VECTOR && ALONG == EACH; k++) a[k] = slope_at(w.o, index_of(w, e + k));
#pragma unroll
        for (int k = 0; k < VECTOR; k++) {
            const int identity = prelu_identity(widen(xs.v[k]), edge);
            const prelu_slope own = ALONG > RUNS ? a[k] : k < left ? a[0] : a[1];
            outs.v[k] = scaled(identity, xs.v[k], gs.v[k], own);
        }
        store(w.o.out + e, outs);
    }
    const I tail = n - vectors * VECTOR; /* elements after the last vector */
    if (VECTOR > 1 && ALONG != VECTORS && first < tail) {
        const I e = n - tail + first; /* of other threads that might not fit an I */
        if (ALONG != ONE) a[0] = slope_at(w.o, index_of(w, e));
        const X x = w.o.x[e];
        w.o.out[e] =
            scaled(prelu_identity(widen(x), edge), x, BACKWARD || SECOND ? g[e] : x, a[0]);
    }
}
