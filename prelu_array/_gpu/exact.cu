/* Exact sums of the alphas in doubt, as integers; states.
 *
 * Design:
 * (a) prelu_exact_kernel follows a walk that may have left doubts, so that nobody waits for the
 *     device; without any it leaves at once. In a walk with HERE a block sums its own.
 * (b) Few alphas are cut into pieces for all blocks; the block that is last with an alpha rounds.
 * (c) Counters and the sums of pieces are 0 again afterwards: the last reader clears them.
 */
struct prelu_walk {
    prelu_operands o;
    /* in elements: from a slab to the next; from a row of a slab to the next, length of a row, of
     * all rows; what a thread skips at a row's end; what it has gone after all steps */
    i64 far, jump, slab, total, skip, end;
    /* length of a step, what it adds to a column and to an address; from a span to the next;
     * alphas * inner */
    i64 whole, step, stride, beside, period;
    i64 a_far, a_near, d_far, d_near; /* strides of alpha, and of dalpha or (states) alphas */
    i64 terms, inner, alphas, periods_of_slab; /* of an alpha; of a run; of a slab */
    /* of a slab; blocks beside each other there; vectors of a span; rows of a step; alphas of a
     * span; entries of an alpha in a row of a step; such rows */
    int slabs, spans, groups, width, rows, count, entries, periods;
    int steps, chunk, chunks; /* of a slab; of a block; blocks behind each other */
    int fan, fans;            /* chunks that one block adds, and how many such groups */
    int tail, counters;       /* whether a slab ends in a vector; words before the counters */
    double bound;             /* as in sums.cu */
};
#define SLOT_WORDS (LIMBS + 1)

/* Where dalpha of a slab's k-th alpha is, or in states its state. */
DEVICE i64 place_of(const prelu_walk &w, i64 slab, i64 k) { return slab * w.d_far + k * w.d_near; }

/* An exact sum as a state. */
DEVICE void write_state(i64 *state, const prelu_sum &sum) {
    carry(state, [&](int i) { /* limb i of each value, with its sign */
        i64 limb = 0;
        for (double v : sum.v) {
            const prelu_integer of = integer_of(v);
            const u64 size = (u64)of.size;
            const int down = 32 * i + BASE - of.exponent;
            const u64 part = down < 0 ? size << -down : size >> down;
            const i64 digit = down <= -32 || down > 52 ? 0 : (unsigned)part;
            limb += of.negative ? -digit : digit;
        }
        return limb;
    });
}

/* Terms of an alpha, from one to another, into limbs that all threads of the block share. */
DEVICE void sum_exactly(const prelu_walk &w, i64 alpha, i64 from, i64 to, i64 *limbs) {
    for (int i = threadIdx.x; i < LIMBS; i += BLOCK) limbs[i] = 0;
    __syncthreads();
    const real edge = rounded<real>(w.o.edge);
    const I slab = (I)alpha / (I)w.alphas;
    const I first = slab * (I)w.far + ((I)alpha - slab * (I)w.alphas) * (I)w.inner;
    const X *factor = SECOND ? w.o.ddx : w.o.x;
    prelu_window window = {};
#pragma unroll 1
    for (i64 t = from + threadIdx.x; t < to; t += BLOCK) {
        const I period = (I)t / (I)w.inner, row = period / (I)w.periods_of_slab;
        const I e = first + row * (I)w.jump + (period - row * (I)w.periods_of_slab) * (I)w.period +
                    ((I)t - period * (I)w.inner);
        if (!prelu_identity(widen(w.o.x[e]), edge))
            add_to_window(&window, factor[e], w.o.dy[e], limbs);
    }
    join_warp(&window, limbs);
    if (threadIdx.x % 32 == 0) empty(&window, limbs);
    __syncthreads();
}

/* dalpha, or the state, of limbs that all threads of the block share. */
DEVICE void settle_limbs(const prelu_walk &w, i64 alpha, i64 *limbs) {
    const I slab = (I)alpha / (I)w.alphas, k = (I)alpha - slab * (I)w.alphas;
    const i64 at = place_of(w, slab, k);
    i64 *state = static_cast<i64 *>(w.o.result) + at * LIMBS;
    if (threadIdx.x == 0) {
        if (STATES) carry(state, [&](int i) { return limbs[i]; });
        else static_cast<A *>(w.o.result)[at] = rounded_limbs(limbs);
    }
    __syncthreads(); /* before they are used again */
}

#if defined(KERNEL_EXACT)
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_exact_kernel(const prelu_walk w) {
    __shared__ i64 limbs[SLOT_WORDS];
    __shared__ int last;
    u64 *counts = w.o.zeros; /* doubts, blocks that are done */
    const i64 doubts = counts[0];
    if (doubts == 0) return;
    const i64 pieces = doubts < gridDim.x ? gridDim.x / doubts : 1;
    const i64 length = (w.terms + pieces - 1) / pieces;
    for (i64 item = blockIdx.x; item < doubts * pieces; item += gridDim.x) {
        const i64 which = item / pieces, from = (item - which * pieces) * length;
        const i64 alpha = (i64)w.o.scratch[which];
        sum_exactly(w, alpha, from, w.terms - from > length ? from + length : w.terms, limbs);
        if (pieces > 1) {
            i64 *slot = (i64 *)w.o.zeros + 2 + which * SLOT_WORDS; /* limbs, pieces that are done */
            /* so that a limb takes 2^31 blocks */
            if (threadIdx.x == 0) carry(limbs, [](int i) { return limbs[i]; });
            __syncthreads();
            for (int i = threadIdx.x; i < LIMBS; i += BLOCK) add_digit(slot, i, limbs[i]);
            fence();
            __syncthreads();
            if (threadIdx.x == 0) last = (i64)atomicAdd((u64 *)&slot[LIMBS], 1ull) == pieces - 1;
            __syncthreads();
            if (!last) continue;
            fence();
            for (int i = threadIdx.x; i < SLOT_WORDS; i += BLOCK) {
                limbs[i] = slot[i];
                slot[i] = 0;
            }
            __syncthreads();
        }
        settle_limbs(w, alpha, limbs);
    }
    if (threadIdx.x == 0 && atomicAdd(&counts[1], 1ull) == gridDim.x - 1) counts[0] = counts[1] = 0;
}
#endif
