/* dalpha, or states, and in the same pass dx or the cotangents of the second order: one kernel for
 * every layout of dense memory.
 *
 * Design:
 * (a) Element `column` of a slab belongs to alpha (column / inner) % alphas of the slab's own. A
 *     thread steps by a multiple of the period, alphas * inner, so each element of its vector
 *     keeps its alpha, and its sums stay in registers. Nothing is divided in the loop.
 * (b) A block has a place (alphas beside each other: `count` of them in a span of a slab) and a
 *     chunk (steps behind each other). Where a row of the slab ends a thread goes on in the next,
 *     with the same alphas, as rows are multiples of the period if there are several. WRAP: a run
 *     of one alpha is longer than a block's vectors, and the slab is that run.
 * (c) SAME: a vector is of one alpha, so that a thread has one sum in shared memory; else one for
 *     each element. totals.cu adds them.
 * (d) SPANS: where an alpha has few terms a block takes several spans, of one chunk and a row a
 *     step, so that whole warps settle; a span's first vectors are loaded before those of the span
 *     before it are added.
 * (e) 64 registers are few: what is needed before and after the loop is computed twice.
 *
 * Definitions beside those of operands.cu: BLOCK, I (the integer of indices), SAME, WRAP, SPANS,
 * PREFETCH (load a vector before the one before it is added), HERE, WANT_DX, STATES, ONE_TERM (each
 * term is its sum; PACKED: alpha and dalpha are read and written as vectors), LANES (sums of a
 * thread).
 */

/* What one element gives, and what it adds to; its term first, whose doubles are gone then. */
DEVICE void element(X x, X dy, X factor, const prelu_slope &a, real edge, X *out, X *of_x, A *term,
                    prelu_lane *lane, unsigned *least) {
    const int identity = prelu_identity(widen(x), edge);
    if (ONE_TERM) *term = rounded_term(identity, factor, dy);
    else add_term(lane, identity, factor, dy, least);
    if (WANT_DX) *out = scaled(identity, x, SECOND ? factor : dy, a);
    if (SECOND && WANT_DX) *of_x = rounded<X>(prelu_short_term(identity, a.dot, widen(dy)));
}

struct prelu_vectors {
    vector_of<X> x, dy, ddx;
};
DEVICE prelu_vectors fetch(const prelu_walk &w, I e) {
    prelu_vectors v;
    v.x = load(w.o.x + e);
    v.dy = load(w.o.dy + e);
    if (SECOND) v.ddx = load(w.o.ddx + e); /* a copy of x would be kept beside it */
    return v;
}

/* Where a thread's vector is: its first element, and that one's place in the row of its slab. */
struct prelu_place {
    I e, column;
};
DEVICE void advance(const prelu_walk &w, prelu_place *at) {
    at->e += (I)w.stride;
    at->column += (I)w.step;
    if (SPANS == 1 && at->column >= (I)w.slab) {
        at->column -= (I)w.slab;
        at->e += (I)w.skip;
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_walk_kernel(const prelu_walk w) {
    __shared__ prelu_sum entries[SLOT(ENTRIES)];
    const real edge = rounded<real>(w.o.edge);
    const int thread = threadIdx.x;
    const prelu_part p = part_of(w, blockIdx.x);
    const int slab = p.slab;
    const I first = p.first;
    const int row = SPANS > 1 ? 0 : thread / w.width, lateral = (thread - row * w.width) * VECTOR;
    const int from = p.chunk * w.chunk;

    /* the first vector, and how many there are; in several spans all of them, up to `part_end` */
    const I flat = (I)from * (I)w.whole + row * (I)w.period + lateral;
    const I turns = SPANS > 1 ? 0 : flat / (I)w.slab;
    prelu_place at;
    const I across = (I)p.first_span * (I)w.beside, reach = across + SPANS * (I)w.beside;
    const I part_end = (I)(slab * w.far) + (reach < (I)w.period ? reach : (I)w.period);
    at.column = flat - turns * (I)w.slab;
    at.e = (I)(slab * w.far) + across + turns * (I)w.jump + at.column;
    const int beside = WRAP || w.spans == 1 || across + lateral < (I)w.period;
    int steps = w.steps;
    if (SPANS == 1) {
        steps = steps - from > w.chunk ? w.chunk : steps - from;
        steps -= flat + (I)(steps - 1) * (I)w.whole + VECTOR > (I)w.total;
        if (!beside || row >= w.rows) steps = 0;
    } else if (thread >= w.width) {
        at.e = part_end;
    }

    prelu_vectors next;
#pragma unroll 1
    for (int span = 0; span < SPANS; span++) {
        prelu_lane lanes[LANES] = {};
        prelu_slope slopes[SLOPES];
        unsigned least = 0xffffffffu;
        /* which alphas this thread has beyond `first`: asked for each span, not kept */
        const int run = WRAP ? 0 : (SPANS > 1 ? thread_index() * VECTOR : lateral) / (int)w.inner;
        const int own = SPANS == 1 && w.spans == 1 ? run % (int)w.alphas : run;
        const int count = SPANS > 1 && at.e >= part_end ? 0 : steps;
        if ((SPANS > 1 ? count > 0 : beside) && WANT_DX) {
            I k = own;
            int beyond = WRAP ? 0 : lateral - run * (int)w.inner;
            if (PACKED) load_slopes(w.o, (i64)slab * w.a_far + first + span * w.count + k, slopes);
#pragma unroll
            for (int q = 0; q < SLOPES && !PACKED; q++) {
                slopes[q] = slope_at(w.o, (i64)slab * w.a_far +
                                              (i64)(first + span * w.count + k) * w.a_near);
                if (++beyond == (int)w.inner) {
                    beyond = 0;
                    if (++k == (I)w.alphas) k = 0;
                }
            }
        }
        if (PREFETCH && span == 0 && count > 0) next = fetch(w, at.e);
#pragma unroll 1
        for (int left = count; left > 0; left--) {
            const I e = at.e;
            const prelu_vectors v = PREFETCH ? next : fetch(w, e);
            advance(w, &at);
            if (SPANS > 1 && left == 1) at.e += (I)(w.beside - w.end); /* to the next span */
            if (PREFETCH && (left > 1 || (SPANS > 1 && at.e < part_end))) next = fetch(w, at.e);
            vector_of<X> outs, of_xs;
            vector_of<A> terms;
#pragma unroll
            for (int q = 0; q < VECTOR; q++) {
                const prelu_slope a = SECOND && !SAME && X_SIZE == 2 ? anew(slopes[q % SLOPES])
                                                                     : slopes[q % SLOPES];
                element(v.x.v[q], v.dy.v[q], SECOND ? v.ddx.v[q] : v.x.v[q], a, edge, &outs.v[q],
                        &of_xs.v[q], &terms.v[q], &lanes[q % LANES], &least);
            }
            if (WANT_DX) store(w.o.out + e, outs);
            if (SECOND && WANT_DX) store(w.o.of_x + e, of_xs);
            if (ONE_TERM) {
                A *to = dalpha_of(w, slab, first + own);
                if (PACKED) store(to, terms);
                else
                    for (int q = 0; q < VECTOR; q++) to[q * w.d_near] = terms.v[q];
            }
        }
        if (VECTOR > 1 && SPANS == 1 && !WRAP && w.tail && thread_index() < w.width &&
            part_of(w, block_index()).chunk == w.chunks - 1) {
            const I end = (I)w.slab; /* of the only row; the vector that it ends in */
#pragma unroll
            for (int q = 0; q < VECTOR; q++) {
                const I i = at.e + q;
                if (i >= end) continue;
                const X x = w.o.x[i];
                element(x, w.o.dy[i], SECOND ? w.o.ddx[i] : x, slopes[q % SLOPES], edge,
                        w.o.out + i, w.o.of_x + i, dalpha_of(w, slab, first + own + q),
                        &lanes[q % LANES], &least);
            }
        }
        if (ONE_TERM) continue;
        const int mine = thread_index();
        if (SAME) {
            prelu_sum total = sum_of(lanes[0], least, w.bound);
#pragma unroll
            for (int q = 1; q < LANES; q++) join(&total, sum_of(lanes[q], least, w.bound));
            entries[slot_of(span, mine)] = total;
        } else {
#pragma unroll
            for (int q = 0; q < VECTOR; q++)
                entries[slot_of(span, mine * VECTOR + q)] = sum_of(lanes[q % LANES], least, w.bound);
        }
    }
    if (!ONE_TERM) add_up(w, part_of(w, block_index()), entries); /* anew, not kept until now */
}
