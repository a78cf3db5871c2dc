/* The kernels over dense memory: the forward, derivatives, the fused backwards, the end of dalpha.
 *
 * Design:
 * (a) Elements move in vectors of VECTOR, 16 bytes if every pointer allows it, else one by one.
 *     A plan (_plan.py, _plan_sums.py) proves what a kernel relies on; nothing is checked here.
 * (b) The fused backward writes dx and adds the terms of dalpha in double, beside the sum of
 *     their sizes. From both follows an interval that holds the exact sum. If both ends round
 *     to the same number that is dalpha, else the alpha goes on a list for exact.cu.
 * (c) There are partial sums for each block, added in a fixed order, and no atomic operation on
 *     floats. dalpha does not depend on that order anyway.
 * (d) STATES: the terms are added as integers, exactly, into the states of exact_sum.cu instead,
 *     which has the same names for it as sums.cu.
 * (e) SECOND: the derivative along a second direction, (ddx, ddalpha), in the place of the first.
 *
 * KERNEL_... selects one kernel. Further definitions: BLOCK (threads), VECTOR, I (the integer of
 * indices, 32 or 64 bits) and those named at each kernel.
 */

/* What comes in and goes out, of all kernels. A Python number comes by value, without an array. */
struct prelu_operands {
    X *out, *of_x;          /* y, dx, y_dot or the cotangent of dy; the cotangent of x */
    const X *x, *dy, *ddx;  /* ddx: also x_dot */
    const A *alpha, *ddalpha;
    double number, ddnumber;
};

template <class S>
struct alignas(sizeof(S) * VECTOR < 16 ? sizeof(S) * VECTOR : 16) vector_of {
    S v[VECTOR];
};
template <class S>
DEVICE vector_of<S> load(const S *p, I vector) {
    return reinterpret_cast<const vector_of<S> *>(p)[vector];
}
template <class S>
DEVICE void store(S *p, I vector, const vector_of<S> &values) {
    reinterpret_cast<vector_of<S> *>(p)[vector] = values;
}

/* alpha and its direction, for one element. */
struct prelu_slope {
    real alpha, dot;
};
DEVICE prelu_slope slope_of(A alpha, A dot) {
    prelu_slope slope;
    slope.alpha = widen(alpha);
    slope.dot = SECOND ? widen(dot) : slope.alpha;
    return slope;
}
DEVICE prelu_slope slope_at(const prelu_operands &o, I index) {
    prelu_slope slope;
    slope.alpha = o.alpha ? widen(o.alpha[index]) : rounded<real>(o.number);
    if (SECOND) slope.dot = o.ddalpha ? widen(o.ddalpha[index]) : rounded<real>(o.ddnumber);
    return slope;
}
/* VECTOR slopes that lie side by side. */
DEVICE void load_slopes(const prelu_operands &o, I first, prelu_slope *slopes) {
    const vector_of<A> alphas = load(o.alpha + first, 0);
    const vector_of<A> dots = SECOND ? load(o.ddalpha + first, 0) : alphas;
    for (int q = 0; q < VECTOR; q++) slopes[q] = slope_of(alphas.v[q], dots.v[q]);
}

/* g is x, dy, or in the second order ddx. */
DEVICE X scaled(int identity, X x, X g, const prelu_slope &a) {
    return rounded<X>(SECOND ? prelu_jvp(identity, widen(x), a.alpha, widen(g), a.dot)
                             : prelu_scale(identity, widen(g), a.alpha));
}

#if defined(KERNEL_SCALE)
/* out = g where x is on the identity branch, alpha * g elsewhere. BACKWARD: g is dy, else x.
 * SECOND: g is x_dot, and alpha_dot * x is added.
 * x is n / (n1 * n2) by n1 by n2; alpha has strides s0, s1, s2 along it, in elements.
 * ALONG: ONE alpha for all; one for each RUN of vectors; a VECTOR of alphas for each vector; or
 * each element looks up its own (EACH). Only ONE and EACH allow n not divisible by VECTOR.
 * out may be x or dy: an element is read before it is written, by the same thread. */
#define ONE 0
#define RUN 1
#define ALONG_VECTOR 2
#define EACH 3

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_scale_kernel(prelu_operands o, double edge_, I n, I n1, I n2, I s0, I s1, I s2) {
    const real edge = rounded<real>(edge_);
    const I vectors = n / VECTOR;
    const I first = (I)blockIdx.x * BLOCK + threadIdx.x;
    const X *g = SECOND ? o.ddx : o.dy;
    prelu_slope a[VECTOR];
    if (ALONG == ONE) a[0] = slope_at(o, 0);
    for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {
        const vector_of<X> xs = load(o.x, i), gs = BACKWARD || SECOND ? load(g, i) : xs;
        vector_of<X> outs;
        const I e = i * VECTOR;
        if (ALONG != ONE) {
            const I e1 = e / n2;
            I i2 = e - e1 * n2, i0 = e1 / n1, i1 = e1 - i0 * n1;
            if (ALONG == RUN) {
                a[0] = slope_at(o, i0 * s0 + i1 * s1);
            } else if (ALONG == ALONG_VECTOR) {
                load_slopes(o, i0 * s0 + i1 * s1 + i2, a);
            } else {
                for (int k = 0; k < VECTOR; k++) {
                    a[k] = slope_at(o, i0 * s0 + i1 * s1 + i2 * s2);
                    if (++i2 == n2) {
                        i2 = 0;
                        if (++i1 == n1) {
                            i1 = 0;
                            i0++;
                        }
                    }
                }
            }
        }
#pragma unroll
        for (int k = 0; k < VECTOR; k++) {
            const int identity = prelu_identity(widen(xs.v[k]), edge);
            outs.v[k] = scaled(identity, xs.v[k], gs.v[k], a[ALONG <= RUN ? 0 : k]);
        }
        store(o.out, i, outs);
    }
    const I tail = n - vectors * VECTOR; /* elements after the last vector */
    if (VECTOR > 1 && (ALONG == ONE || ALONG == EACH) && first < tail) {
        const I e = n - tail + first; /* of other threads that might not fit an I */
        const I e1 = e / n2, i2 = e - e1 * n2, i0 = e1 / n1, i1 = e1 - i0 * n1;
        if (ALONG == EACH) a[0] = slope_at(o, i0 * s0 + i1 * s1 + i2 * s2);
        const X x = o.x[e];
        o.out[e] = scaled(prelu_identity(widen(x), edge), x, BACKWARD || SECOND ? g[e] : x, a[0]);
    }
}
#endif

#if defined(KERNEL_ROWS) || defined(KERNEL_COLS)
/* One element of a fused backward: what goes out, and the term of dalpha into its lane, or with
 * ONE_TERM rounded into `term`. */
struct prelu_gradients {
    X out, of_x;
};
DEVICE prelu_gradients gradients(X x, X dy, X ddx, const prelu_slope &a, real edge,
                                 prelu_lane *lane, A *term) {
    const int identity = prelu_identity(widen(x), edge);
    const X factor = SECOND ? ddx : x;
    prelu_gradients got;
    if (WANT_DX) got.out = scaled(identity, x, SECOND ? ddx : dy, a);
    if (SECOND && WANT_DX) got.of_x = rounded<X>(prelu_short_term(identity, a.dot, widen(dy)));
#if ONE_TERM
    *term = rounded_term(identity, factor, dy);
#else
    add_term(lane, identity, factor, dy);
#endif
    return got;
}

/* The same for a vector; element q has slope q % SLOPES and lane q % LANES. */
template <int SLOPES>
DEVICE void vector_gradients(const prelu_operands &o, I at, const prelu_slope *slopes, real edge,
                             prelu_lane *lanes, A *terms) {
    const vector_of<X> xs = load(o.x, at), dys = load(o.dy, at);
    const vector_of<X> ddxs = SECOND ? load(o.ddx, at) : xs;
    vector_of<X> outs, of_xs;
#pragma unroll
    for (int q = 0; q < VECTOR; q++) {
        const prelu_gradients got = gradients(xs.v[q], dys.v[q], ddxs.v[q], slopes[q % SLOPES],
                                              edge, &lanes[q % LANES], terms + q);
        outs.v[q] = got.out;
        of_xs.v[q] = got.of_x;
    }
    if (WANT_DX) store(o.out, at, outs);
    if (SECOND && WANT_DX) store(o.of_x, at, of_xs);
}
#endif

#if defined(KERNEL_ROWS)
/* The fused backward where alpha stays the same along runs: x is outer by channels by `inner`
 * vectors, and block (channel, chunk) walks `chunk` vectors of the channel's stream. One channel
 * may have `tail` elements after its last vector. WANT_DX: 0 leaves all but the sums alone. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_rows_kernel(prelu_operands o, double edge_, I channels, I inner, I stream, I tail, I chunk,
                  I chunks, I alpha_stride, prelu_end end) {
    const real edge = rounded<real>(edge_);
    const I channel = blockIdx.x / chunks, k = blockIdx.x - channel * chunks;
    const prelu_slope a = slope_at(o, channel * alpha_stride);
    const I from = k * chunk, to = stream - from > chunk ? from + chunk : stream;
    prelu_lane lanes[LANES];
    for (int q = 0; q < LANES; q++) lanes[q] = empty_lane(end, channel);
#pragma unroll 1 /* here and below: unrolled it would need more registers than there are */
    for (I j = from + threadIdx.x; j < to; j += BLOCK) {
        const I outer = j / inner, at = (outer * channels + channel) * inner + (j - outer * inner);
        vector_gradients<1>(o, at, &a, edge, lanes, 0);
    }
    if (VECTOR > 1 && k == chunks - 1 && threadIdx.x < tail) {
        const I e = stream * VECTOR + threadIdx.x;
        const prelu_gradients got =
            gradients(o.x[e], o.dy[e], SECOND ? o.ddx[e] : o.x[e], a, edge, lanes, 0);
        if (WANT_DX) o.out[e] = got.out;
        if (SECOND && WANT_DX) o.of_x[e] = got.of_x;
    }
#if STATES
    join_warp(lanes);
    if (threadIdx.x % 32 == 0) empty(lanes);
#else
    prelu_sum total = sum_of(lanes[0]);
    for (int q = 1; q < LANES; q++) join(&total, sum_of(lanes[q]));
    total = block_sum(total);
    if (threadIdx.x == 0) {
        if (chunks == 1) settle(total, end, channel);
        else end.partials[channel * chunks + k] = total;
    }
#endif
}
#endif

#if defined(KERNEL_COLS)
/* The fused backward where alpha runs along: x is rows by channels. A block is COLUMNS threads of
 * VECTOR channels each, by BLOCK / COLUMNS rows, and walks `chunk` rows. PACKED: alpha and dalpha
 * are read and written as vectors. ONE_TERM: there is one row, so each term is its sum. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_cols_kernel(prelu_operands o, double edge_, I channels, I rows, I chunk, I chunks,
                  I alpha_stride, prelu_end end) {
    const real edge = rounded<real>(edge_);
    const int column = threadIdx.x % COLUMNS, row = threadIdx.x / COLUMNS;
    const I vectors = channels / VECTOR, blocks = (vectors + COLUMNS - 1) / COLUMNS;
    const I k = blockIdx.x / blocks, at = (I)(blockIdx.x - k * blocks) * COLUMNS + column;
    const I from = k * chunk, to = rows - from > chunk ? from + chunk : rows;
    prelu_lane lanes[VECTOR];
    vector_of<A> results;
#pragma unroll
    for (int q = 0; q < VECTOR; q++) lanes[q] = empty_lane(end, at * VECTOR + q);
    if (at < vectors) {
        prelu_slope slopes[VECTOR];
        if (PACKED) {
            load_slopes(o, at * VECTOR, slopes);
        } else {
#pragma unroll
            for (int q = 0; q < VECTOR; q++)
                slopes[q] = slope_at(o, (at * VECTOR + q) * alpha_stride);
        }
#pragma unroll 1
        for (I r = from + row; r < to; r += BLOCK / COLUMNS)
            vector_gradients<VECTOR>(o, r * vectors + at, slopes, edge, lanes, results.v);
    }
#if STATES
#pragma unroll
    for (int q = 0; q < VECTOR; q++) empty(&lanes[q]);
#else
#pragma unroll
    for (int q = 0; q < VECTOR && !ONE_TERM; q++) { /* the rows of the block, by halves */
        prelu_sum total = sum_of(lanes[q]);
#if BLOCK > COLUMNS
        __shared__ prelu_sum others[BLOCK];
        for (int half = BLOCK / 2; half >= COLUMNS; half /= 2) {
            others[threadIdx.x] = total;
            __syncthreads();
            if (threadIdx.x < half) join(&total, others[threadIdx.x + half]);
            __syncthreads();
        }
#endif
        if (row == 0 && at < vectors) {
            const I channel = at * VECTOR + q;
            if (chunks > 1) end.partials[k * channels + channel] = total;
            else if (!PACKED) settle(total, end, channel);
            else if (!is_settled(total, end, &results.v[q])) doubt(end, channel);
        }
    }
    if (chunks == 1 && row == 0 && at < vectors) {
        if (PACKED) {
            store(end.dalpha, at, results);
        } else if (ONE_TERM) {
#pragma unroll
            for (int q = 0; q < VECTOR; q++)
                end.dalpha[(at * VECTOR + q) * end.dalpha_stride] = results.v[q];
        }
    }
#endif
}
#endif

#if defined(KERNEL_FINISH)
/* Adds the partial sums of each alpha: partial k of alpha c is at c * c_stride + k * k_stride.
 * A block for each alpha, or with BLOCK_PER_ALPHA 0 a thread. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_finish_kernel(i64 alphas, i64 chunks, i64 c_stride, i64 k_stride, prelu_end end) {
    const i64 first = BLOCK_PER_ALPHA ? blockIdx.x : (i64)blockIdx.x * BLOCK + threadIdx.x;
    const i64 step = BLOCK_PER_ALPHA ? gridDim.x : (i64)gridDim.x * BLOCK;
    for (i64 c = first; c < alphas; c += step) {
        prelu_sum total = sum_of_nothing();
#pragma unroll 2
        for (i64 k = BLOCK_PER_ALPHA ? threadIdx.x : 0; k < chunks;
             k += BLOCK_PER_ALPHA ? BLOCK : 1)
            join(&total, end.partials[c * c_stride + k * k_stride]);
#if BLOCK_PER_ALPHA
        total = block_sum(total);
        if (threadIdx.x > 0) continue;
#endif
        settle(total, end, c);
    }
}
#endif
