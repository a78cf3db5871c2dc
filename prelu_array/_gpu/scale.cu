/* y, dx or y_dot over dense memory, without sums: a vector a thread, as loops were slower.
 *
 * x is n / (n1 * n2) by n1 by n2; alpha has strides s0, s1, s2 along it, in elements. ALONG:
 *   ONE     one alpha for all
 *   RUNS    alpha stays the same along runs of n2 elements, at least VECTOR: one for a vector, or
 *           with CUT two
 *   VECTORS a vector of alphas for each vector
 *   CYCLE   alpha runs along, from n2 elements to the next ones
 *   EACH    each element looks up its own
 * RUNS without CUT and VECTORS want n2 divisible by VECTOR. out may be x or dy: an element is read
 * before it is written, by the same thread.
 */
#define ONE 0
#define RUNS 1
#define VECTORS 2
#define CYCLE 3
#define EACH 4

struct prelu_scaling {
    prelu_operands o;
    i64 n, n1, n2, s0, s1, s2;
};

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_scale_kernel(const prelu_scaling w) {
    const real edge = rounded<real>(w.o.edge);
    const I n = (I)w.n, n1 = (I)w.n1, n2 = (I)w.n2, vectors = n / VECTOR;
    const I s0 = (I)w.s0, s1 = (I)w.s1, s2 = (I)w.s2;
    const I first = (I)blockIdx.x * BLOCK + threadIdx.x;
    const X *g = SECOND ? w.o.ddx : w.o.dy;
    prelu_slope a[ALONG == ONE || (ALONG == RUNS && !CUT) ? 1 : ALONG == RUNS ? 2 : VECTOR];
    if (ALONG == ONE) a[0] = slope_at(w.o, 0);
    for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {
        const I e = i * VECTOR;
        const vector_of<X> xs = load(w.o.x + e), gs = BACKWARD || SECOND ? load(g + e) : xs;
        vector_of<X> outs;
        int cut = VECTOR; /* the first element of the second run */
        if (ALONG == CYCLE) {
            I i2 = e % n2;
#pragma unroll
            for (int k = 0; k < VECTOR; k++) {
                a[k] = slope_at(w.o, i2 * s2);
                if (++i2 == n2) i2 = 0;
            }
        } else if (ALONG != ONE) {
            const I e1 = e / n2;
            I i2 = e - e1 * n2, i0 = e1 / n1, i1 = e1 - i0 * n1;
            if (ALONG == VECTORS) {
                const I at = i0 * s0 + i1 * s1 + i2;
                const vector_of<A> alphas = load(w.o.alpha + at);
                const vector_of<A> dots = SECOND ? load(w.o.ddalpha + at) : alphas;
#pragma unroll
                for (int k = 0; k < VECTOR; k++) a[k] = slope_of(alphas.v[k], dots.v[k]);
            } else if (ALONG == RUNS) {
                a[0] = slope_at(w.o, i0 * s0 + i1 * s1);
                if (CUT) {
                    if (n2 - i2 < VECTOR) {
                        cut = (int)(n2 - i2);
                        if (++i1 == n1) i1 = 0, i0++;
                        a[1] = slope_at(w.o, i0 * s0 + i1 * s1);
                    } else {
                        a[1] = a[0];
                    }
                }
            } else {
#pragma unroll
                for (int k = 0; k < VECTOR; k++) {
                    a[k] = slope_at(w.o, i0 * s0 + i1 * s1 + i2 * s2);
                    if (++i2 == n2) {
                        i2 = 0;
                        if (++i1 == n1) i1 = 0, i0++;
                    }
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
        const I e1 = e / n2, i2 = e - e1 * n2, i0 = e1 / n1, i1 = e1 - i0 * n1;
        if (ALONG != ONE) a[0] = slope_at(w.o, i0 * s0 + i1 * s1 + i2 * s2);
        const X x = w.o.x[e];
        w.o.out[e] =
            scaled(prelu_identity(widen(x), edge), x, BACKWARD || SECOND ? g[e] : x, a[0]);
    }
}
