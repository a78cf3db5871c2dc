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
    int place, chunk, slab, first_span, spans;
    I first; /* of the slab's alphas */
};
DEVICE prelu_part part_of(const prelu_walk &w, int block) {
    prelu_part p;
    p.place = SPANS == 1 && w.chunks > 1 ? block / w.chunks : block;
    p.chunk = SPANS == 1 ? block - p.place * w.chunks : 0;
    p.slab = w.slabs > 1 ? p.place / w.groups : 0;
    p.first_span = (p.place - p.slab * w.groups) * SPANS;
    p.spans = SPANS == 1 || w.spans - p.first_span > SPANS ? SPANS : w.spans - p.first_span;
    p.first = (I)p.first_span * w.count;
    return p;
}

/* The sum of an alpha's entries, `team` threads from `member` on. */
DEVICE prelu_sum sum_of_entries(const prelu_walk &w, const prelu_sum *entries, int span, int c,
                                int member, int team) {
    prelu_sum total = sum_of_nothing();
    const int each = w.entries, number = w.periods * each;
    for (int k = member; k < number; k += team) {
        const int period = w.periods > 1 ? k / each : 0;
        const int index = (period * w.count + c) * each + (k - period * each);
        join(&total, entries[SAME ? SLOT(span * BLOCK + index)
                                  : (span * VECTOR + index % VECTOR) * BLOCK + index / VECTOR]);
    }
    return total;
}

DEVICE prelu_sum load_sum(const prelu_sum *p) { /* of another block: not from this one's cache */
    prelu_sum sum;
    const double *from = reinterpret_cast<const double *>(p);
#pragma unroll
    for (int k = 0; k < LEVELS; k++) sum.v[k] = __ldcg(from + k);
    sum.rest = __ldcg(from + LEVELS);
    return sum;
}

DEVICE prelu_sum team_sum(prelu_sum total, int team) {
#pragma unroll 1
    for (int half = team / 2; half > 0; half /= 2) join(&total, shuffled_down(total, half));
    return total;
}

DEVICE A *dalpha_of(const prelu_walk &w, i64 slab, i64 k) {
    return static_cast<A *>(w.o.result) + slab * w.d_far + k * w.d_near;
}

/* dalpha or the state of an alpha; or a place on the list of `doubts`. */
DEVICE void settle(const prelu_walk &w, const prelu_sum &sum, i64 slab, i64 k, u64 *list,
                   u64 *doubts) {
#if STATES
    if (sum.rest == 0.0) {
        write_state(static_cast<i64 *>(w.o.result) + (slab * w.d_far + k * w.d_near) * LIMBS, sum);
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
    __syncthreads();
    /* alphas of this block, and where their partial sums are */
    const i64 every = (i64)w.slabs * w.alphas, base_alpha = (i64)p.slab * w.alphas + p.first;
    prelu_sum *partials = reinterpret_cast<prelu_sum *>(w.o.scratch + every) + base_alpha;
    u64 *list = HERE ? w.o.scratch + base_alpha : w.o.scratch;
    u64 *number_of_doubts = HERE ? &doubts : w.o.zeros;
    const I left = (I)w.alphas - p.first;
    const int alphas = left < p.spans * w.count ? (int)left : p.spans * w.count;
    int bits = 0; /* of the threads for an alpha: 2^bits */
    while (bits < 5 && 2 * alphas << bits <= BLOCK && 1 << bits < w.periods * w.entries) bits++;
    int team = 1 << bits;
    for (int base = 0; base < alphas; base += BLOCK >> bits) {
        const int c = base + (thread >> bits), span = SPANS == 1 ? 0 : c / w.count;
        prelu_sum total = sum_of_nothing();
        if (c < alphas)
            total = sum_of_entries(w, entries, span, c - span * w.count, thread & (team - 1), team);
        total = team_sum(total, team);
        if (c >= alphas || thread & (team - 1)) continue;
        if (SPANS > 1 || w.chunks == 1) settle(w, total, p.slab, p.first + c, list, number_of_doubts);
        else partials[p.chunk * every + c] = total;
    }

    /* the sums of the other chunks */
    for (int level = w.fans > 1 ? 0 : 1; SPANS == 1 && level < 2 && w.chunks > 1; level++) {
        const int fan = p.chunk / w.fan, begin = level == 0 ? fan * w.fan : 0;
        const int end = level == 1 ? (w.fans > 1 ? w.fans : w.chunks)
                                   : begin + w.fan < w.chunks ? begin + w.fan : w.chunks;
        unsigned *counter = reinterpret_cast<unsigned *>(w.o.zeros + w.counters) +
                            (i64)p.place * (w.fans + 1) + (level == 0 ? 1 + fan : 0);
        fence();
        __syncthreads();
        if (thread == 0) last = atomicAdd(counter, 1u) == end - begin - 1;
        __syncthreads();
        if (!last) return;
        fence();
        if (thread == 0) *counter = 0;
        const prelu_sum *sums = partials + (level == 1 && w.fans > 1 ? w.chunks * every : 0);
        for (int base = 0; base < alphas; base += BLOCK) {
            const int beside = alphas - base < BLOCK ? alphas - base : BLOCK, parts = BLOCK / beside;
            const int part = thread / beside;
            prelu_sum total = sum_of_nothing();
            if (part < parts)
#pragma unroll 2
                for (int k = begin + part; k < end; k += parts)
                    join(&total, load_sum(sums + k * every + base + thread - part * beside));
            int c = thread;
            if (parts > 1) {
                for (bits = 0; bits < 5 && 2 * beside << bits <= BLOCK;) bits++;
                team = 1 << bits;
                entries[thread] = total;
                __syncthreads();
                c = thread >> bits;
                total = sum_of_nothing();
                for (int k = thread & (team - 1); c < beside && k < parts; k += team)
                    join(&total, entries[k * beside + c]);
                total = team_sum(total, team);
                if (thread & (team - 1)) c = beside;
            }
            if (c >= beside) continue;
            c += base;
            if (level == 1) settle(w, total, p.slab, p.first + c, list, number_of_doubts);
            else partials[(w.chunks + fan) * every + c] = total;
        }
    }
#if HERE
    __syncthreads();
    for (u64 k = 0; k < doubts; k++) {
        sum_exactly(w, (i64)list[k], 0, w.terms, limbs);
        settle_limbs(w, (i64)list[k], limbs);
    }
#endif
}
