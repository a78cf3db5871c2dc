/* The kernels over dense memory: the forward and dx, the fused backward, the end of dalpha.
 *
 * Design:
 * (a) Elements move in vectors of VECTOR, 16 bytes if every pointer allows it, else one by one.
 *     A plan in _plan.py proves what a kernel relies on; nothing is checked here.
 * (b) The fused backward writes dx and adds the terms of dalpha in double, beside the sum of
 *     their sizes. From both follows an interval that holds the exact sum. If both ends round
 *     to the same number that is dalpha, else the alpha goes on a list for exact.cu.
 * (c) There are partial sums for each block, added in a fixed order, and no atomic operation on
 *     floats. dalpha does not depend on that order anyway.
 *
 * KERNEL_... selects one kernel. Further definitions: BLOCK (threads), VECTOR, I (the integer of
 * indices, 32 or 64 bits) and those named at each kernel.
 */

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

/* One alpha: a Python number comes by value, without an array. */
DEVICE real alpha_at(const A *alpha, double number, I index) {
    return alpha ? widen(alpha[index]) : rounded<real>(number);
}

DEVICE X scaled(X x, X g, real alpha, real edge) {
    return rounded<X>(prelu_scale(prelu_identity(widen(x), edge), widen(g), alpha));
}

#if defined(KERNEL_SCALE)
/* out = g where x is on the identity branch, alpha * g elsewhere. BACKWARD: g is dy, else x.
 * x is n / (n1 * n2) by n1 by n2; alpha has strides s0, s1, s2 along it, in elements.
 * ALONG: ONE alpha for all; one for each RUN of vectors; a VECTOR of alphas for each vector; or
 * each element looks up its own (EACH). Only ONE and EACH allow n not divisible by VECTOR.
 * out may be x or dy: an element is read before it is written, by the same thread. */
#define ONE 0
#define RUN 1
#define ALONG_VECTOR 2
#define EACH 3

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_scale_kernel(X *out, const X *dy, const X *x, const A *alpha, double number, double edge_,
                   I n, I n1, I n2, I s0, I s1, I s2) {
    const real edge = rounded<real>(edge_);
    const I vectors = n / VECTOR;
    const I first = (I)blockIdx.x * BLOCK + threadIdx.x;
    const real shared = ALONG == ONE ? alpha_at(alpha, number, 0) : rounded<real>(0.0);
    for (I i = first; i < vectors; i += (I)gridDim.x * BLOCK) {
        const vector_of<X> xs = load(x, i);
        const vector_of<X> gs = BACKWARD ? load(dy, i) : xs;
        vector_of<X> outs;
        real a[VECTOR];
        const I e = i * VECTOR;
        if (ALONG == ONE) {
            for (int k = 0; k < VECTOR; k++) a[k] = shared;
        } else {
            const I e1 = e / n2;
            I i2 = e - e1 * n2, i0 = e1 / n1, i1 = e1 - i0 * n1;
            if (ALONG == RUN) {
                const real run = widen(alpha[i0 * s0 + i1 * s1]);
                for (int k = 0; k < VECTOR; k++) a[k] = run;
            } else if (ALONG == ALONG_VECTOR) {
                const vector_of<A> along = load(alpha + (i0 * s0 + i1 * s1 + i2), 0);
                for (int k = 0; k < VECTOR; k++) a[k] = widen(along.v[k]);
            } else {
                for (int k = 0; k < VECTOR; k++) {
                    a[k] = widen(alpha[i0 * s0 + i1 * s1 + i2 * s2]);
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
        for (int k = 0; k < VECTOR; k++) outs.v[k] = scaled(xs.v[k], gs.v[k], a[k], edge);
        store(out, i, outs);
    }
    const I e = vectors * VECTOR + first; /* the elements after the last vector */
    if (VECTOR > 1 && (ALONG == ONE || ALONG == EACH) && e < n) {
        const I e1 = e / n2, i2 = e - e1 * n2, i0 = e1 / n1, i1 = e1 - i0 * n1;
        const real a = ALONG == ONE ? shared : widen(alpha[i0 * s0 + i1 * s1 + i2 * s2]);
        out[e] = scaled(x[e], BACKWARD ? dy[e] : x[e], a, edge);
    }
}
#endif

#if defined(KERNEL_ROWS)
/* The fused backward where alpha stays the same along runs: x is outer by channels by `inner`
 * vectors, and block (channel, chunk) walks `chunk` vectors of the channel's stream. One channel
 * may have `tail` elements after its last vector. WANT_DX: 0 leaves dx alone. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_rows_kernel(X *__restrict__ dx, const X *__restrict__ dy, const X *__restrict__ x,
                  const A *__restrict__ alpha, double number, double edge_, I channels, I inner,
                  I stream, I tail, I chunk, I chunks, I alpha_stride, prelu_end end) {
    const real edge = rounded<real>(edge_);
    const I channel = blockIdx.x / chunks, k = blockIdx.x - channel * chunks;
    const real a = alpha_at(alpha, number, channel * alpha_stride);
    const I from = k * chunk, to = stream - from > chunk ? from + chunk : stream;
    prelu_lane lanes[LANES];
    for (int q = 0; q < LANES; q++) lanes[q] = empty_lane();
#pragma unroll 1 /* here and below: unrolled it would need more registers than there are */
    for (I j = from + threadIdx.x; j < to; j += BLOCK) {
        const I outer = j / inner, at = (outer * channels + channel) * inner + (j - outer * inner);
        const vector_of<X> xs = load(x, at), dys = load(dy, at);
        vector_of<X> dxs;
#pragma unroll
        for (int q = 0; q < VECTOR; q++) {
            const int identity = prelu_identity(widen(xs.v[q]), edge);
            if (WANT_DX) dxs.v[q] = rounded<X>(prelu_scale(identity, widen(dys.v[q]), a));
            add_term(&lanes[q % LANES], identity, native(xs.v[q]), native(dys.v[q]));
        }
        if (WANT_DX) store(dx, at, dxs);
    }
    if (VECTOR > 1 && k == chunks - 1 && threadIdx.x < tail) {
        const I e = stream * VECTOR + threadIdx.x;
        const int identity = prelu_identity(widen(x[e]), edge);
        if (WANT_DX) dx[e] = rounded<X>(prelu_scale(identity, widen(dy[e]), a));
        add_term(&lanes[0], identity, native(x[e]), native(dy[e]));
    }
    prelu_sum total = sum_of(lanes[0]);
    for (int q = 1; q < LANES; q++) join(&total, sum_of(lanes[q]));
    total = block_sum(total);
    if (threadIdx.x == 0) {
        if (chunks == 1) settle(total, end, channel);
        else end.partials[channel * chunks + k] = total;
    }
}
#endif

#if defined(KERNEL_COLS)
/* The fused backward where alpha runs along: x is rows by channels. A block is COLUMNS threads of
 * VECTOR channels each, by BLOCK / COLUMNS rows, and walks `chunk` rows. PACKED: alpha and dalpha
 * are read and written as vectors. ONE_TERM: there is one row, so each term is its sum. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_cols_kernel(X *__restrict__ dx, const X *__restrict__ dy, const X *__restrict__ x,
                  const A *__restrict__ alpha, double edge_, I channels, I rows, I chunk, I chunks,
                  I alpha_stride, prelu_end end) {
    const real edge = rounded<real>(edge_);
    const int column = threadIdx.x % COLUMNS, row = threadIdx.x / COLUMNS;
    const I vectors = channels / VECTOR, blocks = (vectors + COLUMNS - 1) / COLUMNS;
    const I k = blockIdx.x / blocks, at = (I)(blockIdx.x - k * blocks) * COLUMNS + column;
    const I from = k * chunk, to = rows - from > chunk ? from + chunk : rows;
    prelu_lane lanes[VECTOR];
    vector_of<A> results;
#pragma unroll
    for (int q = 0; q < VECTOR; q++) lanes[q] = empty_lane();
    if (at < vectors) {
        vector_of<A> as;
        if (PACKED) {
            as = load(alpha, at);
        } else {
#pragma unroll
            for (int q = 0; q < VECTOR; q++) as.v[q] = alpha[(at * VECTOR + q) * alpha_stride];
        }
#pragma unroll 1
        for (I r = from + row; r < to; r += BLOCK / COLUMNS) {
            const vector_of<X> xs = load(x, r * vectors + at), dys = load(dy, r * vectors + at);
            vector_of<X> dxs;
#pragma unroll
            for (int q = 0; q < VECTOR; q++) {
                const int identity = prelu_identity(widen(xs.v[q]), edge);
                if (WANT_DX)
                    dxs.v[q] =
                        rounded<X>(prelu_scale(identity, widen(dys.v[q]), widen(as.v[q])));
                if (ONE_TERM) results.v[q] = rounded_term(xs.v[q], dys.v[q], edge);
                else add_term(&lanes[q], identity, native(xs.v[q]), native(dys.v[q]));
            }
            if (WANT_DX) store(dx, r * vectors + at, dxs);
        }
    }
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
