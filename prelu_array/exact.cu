/* The kernels of exact sums: dalpha of the alphas in doubt, states, and states rounded.
 *
 * Design:
 * (a) prelu_exact_kernel is always launched, so that nobody waits for the device; without doubt
 *     it leaves at once. ALL: it makes the state of every alpha instead.
 * (b) Few alphas are cut into pieces for all blocks; the block that is last with an alpha rounds.
 * (c) The operands may have any strides: term j of alpha c is found by dividing along the axes.
 *
 * Definitions: KERNEL_..., BLOCK; KEPT and SUMMED (how many axes alpha varies along, and how many
 * not), ALL.
 */

#if defined(KERNEL_EXACT)
/* A view of the operands; strides in elements, outermost axis first. */
struct prelu_along {
    i64 x, factor, dy;
};
struct prelu_terms {
    i64 alphas, terms; /* terms of each alpha */
    i64 kept_shape[KEPT + 1], summed_shape[SUMMED + 1];
    prelu_along kept[KEPT + 1], summed[SUMMED + 1];
};

/* Element `index` along `axes` axes. */
DEVICE prelu_along place_of(i64 index, int axes, const i64 *shape, const prelu_along *strides) {
    prelu_along at = {0, 0, 0};
    for (int k = axes - 1; k >= 0; k--) {
        const i64 next = index / shape[k], i = index - next * shape[k];
        at.x += i * strides[k].x;
        at.factor += i * strides[k].factor;
        at.dy += i * strides[k].dy;
        index = next;
    }
    return at;
}

/* A term is factor * dy where x is not on the identity branch; factor is x, or ddx. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_exact_kernel(const X *x, const X *factor, const X *dy, double edge_, A *dalpha,
                   i64 dalpha_stride, const u64 *doubtful, u64 *states, u64 *arrived,
                   prelu_terms view) {
    __shared__ i64 limbs[LIMBS];
    __shared__ int last;
    const real edge = rounded<real>(edge_);
    const u64 doubts = ALL ? view.alphas : doubtful[0];
    if (doubts == 0) return;
    const u64 pieces = doubts < gridDim.x ? gridDim.x / doubts : 1;
    const i64 length = (view.terms + (i64)pieces - 1) / (i64)pieces;
    for (u64 item = blockIdx.x; item < doubts * pieces; item += gridDim.x) {
        const u64 which = item / pieces, piece = item - which * pieces;
        const u64 c = ALL ? which : doubtful[1 + which];
        const prelu_along first = place_of((i64)c, KEPT, view.kept_shape, view.kept);
        for (int i = threadIdx.x; i < LIMBS; i += BLOCK) limbs[i] = 0;
        __syncthreads();

        prelu_lane lane = empty_lane((u64 *)limbs);
        const i64 from = (i64)piece * length;
        const i64 to = view.terms - from > length ? from + length : view.terms;
#pragma unroll 1
        for (i64 j = from + threadIdx.x; j < to; j += BLOCK) {
            const prelu_along at = place_of(j, SUMMED, view.summed_shape, view.summed);
            const int identity = prelu_identity(widen(x[first.x + at.x]), edge);
            add_term(&lane, identity, factor[first.factor + at.factor], dy[first.dy + at.dy]);
        }
        empty(&lane);
        __syncthreads();

        if (ALL || pieces > 1) {
            u64 *state = states + which * LIMBS;
            if (threadIdx.x == 0) carry(limbs); /* so that a limb takes 2^31 blocks */
            __syncthreads();
            for (int i = threadIdx.x; i < LIMBS; i += BLOCK) add_digit(state, i, limbs[i]);
        }
        if (!ALL && pieces > 1) {
            __threadfence();
            __syncthreads();
            if (threadIdx.x == 0) last = atomicAdd(&arrived[which], 1ull) == pieces - 1;
            __syncthreads();
            if (last)
                for (int i = threadIdx.x; i < LIMBS; i += BLOCK)
                    limbs[i] = (i64)atomicAdd(&states[which * LIMBS + i], 0ull);
            __syncthreads();
        }
        if (!ALL && threadIdx.x == 0 && (pieces == 1 || last))
            dalpha[(i64)c * dalpha_stride] = rounded_limbs(limbs);
        __syncthreads(); /* before `limbs` is used again */
    }
}
#endif

#if defined(KERNEL_CARRY)
/* States that were added into, carried. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_carry_kernel(i64 *states, i64 alphas) {
    for (i64 c = (i64)blockIdx.x * BLOCK + threadIdx.x; c < alphas; c += (i64)gridDim.x * BLOCK)
        carry(states + c * LIMBS);
}
#endif

#if defined(KERNEL_ROUND)
/* States, or sums of them, as dalpha: a block for each alpha. */
extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_round_kernel(const i64 *states, A *dalpha, i64 alphas) {
    __shared__ i64 limbs[LIMBS];
    for (i64 c = blockIdx.x; c < alphas; c += gridDim.x) {
        for (int i = threadIdx.x; i < LIMBS; i += BLOCK) limbs[i] = states[c * LIMBS + i];
        __syncthreads();
        if (threadIdx.x == 0) dalpha[c] = rounded_limbs(limbs);
        __syncthreads();
    }
}
#endif
