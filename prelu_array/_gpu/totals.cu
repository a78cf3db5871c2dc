/* The sums of a walk: of a block's threads, then of the blocks of a place; dalpha or states of them.
 *
 * Design:
 * (a) A thread leaves its sums in `entries`, in shared memory; a few threads for an alpha add them.
 * (b) Each block but the last to arrive leaves a partial sum for each of its alphas. Of many
 *     blocks the last of `fan` adds theirs, and of those the last. Counters are 0 again afterwards.
 *     No number depends on the order, and there is no atomic operation on floats.
 * (c) What is in doubt is listed for exact.cu, or with HERE summed by this block.
 */
#define SLOPES (SAME ? 1 : VECTOR)
#define ENTRIES (ONE_TERM ? 1 : SPANS * BLOCK * SLOPES)
#define SLOT(i) (SAME ? (i) + (i) / 8 : (i)) /* neighbours in other banks */

/* Which part of the work a block has. */
struct prelu_part {
    int place, chunk, slab, first_span;
    I first; /* of the slab's alphas */
};
DEVICE prelu_part part_of(const prelu_walk &w, int block) {
    prelu_part p;
    p.place = SPANS == 1 && w.chunks > 1 ? block / w.chunks : block;
    p.chunk = SPANS == 1 ? block - p.place * w.chunks : 0;
    p.slab = w.slabs > 1 ? p.place / w.groups : 0;
    p.first_span = (p.place - p.slab * w.groups) * SPANS;
    p.first = (I)p.first_span * w.count;
    return p;
}

/* Where the i-th entry of a span is. */
DEVICE int slot_of(int span, int i) {
    return SAME ? SLOT(span * BLOCK + i) : (span * VECTOR + i % VECTOR) * BLOCK + i / VECTOR;
}

DEVICE A *dalpha_of(const prelu_walk &w, i64 slab, i64 k) {
    return static_cast<A *>(w.o.result) + place_of(w, slab, k);
}

/* dalpha or the state of an alpha; or a place on the list of `doubts`. */
DEVICE void settle(const prelu_walk &w, const prelu_sum &sum, i64 slab, i64 k, u64 *list,
                   u64 *doubts) {
#if STATES
    if (sum.rest == 0.0) {
        write_state(static_cast<i64 *>(w.o.result) + place_of(w, slab, k) * LIMBS, sum);
        return;
    }
#else
    A result;
    if (is_settled(sum, &result)) {
        *dalpha_of(w, slab, k) = result;
        return;
    }
#endif
    list[atomicAdd(doubts, 1ull)] = slab * w.alphas + k;
}

/* Adds the entries, which all threads have left, and settles what this block is the last with. */
DEVICE void add_up(const prelu_walk &w, const prelu_part &p, prelu_sum *entries) {
    __shared__ unsigned last;
    __shared__ u64 doubts;
#if HERE
    __shared__ i64 limbs[LIMBS];
#endif
    const int thread = thread_index();
    if (thread == 0) doubts = 0;
    /* alphas of this block, and where their partial sums are: a row for each block */
    const i64 every = (i64)w.slabs * w.alphas, base_alpha = (i64)p.slab * w.alphas + p.first;
    prelu_sum *partials = reinterpret_cast<prelu_sum *>(w.o.scratch + every) + base_alpha;
    u64 *list = HERE ? w.o.scratch + base_alpha : w.o.scratch;
    const I left = (I)w.alphas - p.first;
    const int alphas = left < SPANS * w.count ? (int)left : SPANS * w.count;
    unsigned *counter = reinterpret_cast<unsigned *>(w.o.zeros + w.counters) +
                        (i64)p.place * (w.fans + 1);

    /* of the entries: alphas beside each other, entries of one there, and in all */
    int beside = w.count, each = w.entries, number = w.periods * w.entries;
    int blocks = SPANS > 1 ? 1 : w.chunks, block = p.chunk; /* with sums to add; this one of them */
    for (;;) {
        __syncthreads();
        int bits = 0; /* of the threads for an alpha: 2^bits */
        while (bits < 5 && 2 * alphas << bits <= BLOCK && 1 << bits < number) bits++;
        const int team = 1 << bits, member = thread & (team - 1);
        for (int base = 0; base < alphas; base += BLOCK >> bits) {
            const int c = base + (thread >> bits), span = SPANS == 1 ? 0 : c / beside;
            prelu_sum total = {};
            for (int k = member; c < alphas && k < number; k += team) {
                const int row = number > each ? k / each : 0;
                join(&total, entries[slot_of(span, (row * beside + c - span * beside) * each + k -
                                                       row * each)]);
            }
#pragma unroll 1
            for (int half = team / 2; half > 0; half /= 2) join(&total, shuffled_down(total, half));
            if (c >= alphas || member) continue;
            if (blocks == 1) settle(w, total, p.slab, p.first + c, list, HERE ? &doubts : w.o.zeros);
            else partials[block * every + c] = total;
        }
        if (blocks == 1) break;

        const int group = block / w.fan, begin = group * w.fan;
        const int size = blocks - begin < w.fan ? blocks - begin : w.fan;
        fence();
        __syncthreads();
        if (thread == 0) last = atomicAdd(counter + group, 1u) == size - 1;
        __syncthreads();
        if (!last) return;
        fence();
        if (thread == 0) counter[group] = 0;
        each = 1;
        beside = alphas;
        number = alphas < BLOCK ? BLOCK / alphas : 1;
        for (int i = thread; i < number * alphas; i += BLOCK) {
            const int part = i / alphas;
            prelu_sum total = {};
#pragma unroll 2
            for (int k = begin + part; k < begin + size; k += number)
                join(&total, partials[k * every + i - part * alphas]);
            entries[slot_of(0, i)] = total;
        }
        partials += blocks * every;
        blocks = (blocks + w.fan - 1) / w.fan;
        counter += blocks;
        block = group;
    }
#if HERE
    __syncthreads();
    for (u64 k = 0; k < doubts; k++) {
        sum_exactly(w, (i64)list[k], 0, w.terms, limbs);
        settle_limbs(w, (i64)list[k], limbs);
    }
#endif
}
