/* dalpha, or states, and in the same pass dx or the cotangents of the second order: one kernel for
 * every layout of dense memory.
 *
 * Design:
 * (a) Element `column` of a slab belongs to alpha (column / inner) % alphas of the slab's own. A
 *     thread steps by a multiple of the period, alphas * inner, so each element of its vector
 *     keeps its alpha, and its sums stay in registers. Nothing is divided in the loop.
 * (b) A block has a place (alphas beside each other: `count` of them in a span of a slab) and a
 *     chunk (steps behind each other). WRAP: a run of one alpha is longer than a block's vectors;
 *     the slab is that run then, and threads go on in the next row where it ends.
 * (c) SAME: a vector is of one alpha, so that a thread has one sum in shared memory; else one for
 *     each element. A few threads for an alpha add them.
 * (d) The last of `fan` blocks to arrive adds their sums, of those the last adds theirs and
 *     settles: rounds, or writes the state. Counters are 0 again afterwards. No number depends on
 *     the order, and there is no atomic operation on floats.
 * (e) What is in doubt is listed for exact.cu, or with HERE summed by this block.
 * (f) SPANS: where an alpha has few terms a block takes several spans, so that whole warps settle;
 *     a span's first vectors are loaded before those of the span before it are added.
 *
 * Definitions beside those of operands.cu: BLOCK, I (the integer of indices), SAME, WRAP, SPANS,
 * PREFETCH (load a vector before the one before it is added), HERE, WANT_DX, STATES, ONE_TERM (each term is its sum;
 * PACKED: alpha and dalpha are read and written as vectors), LANES (sums of a thread).
 */

/* The last chunk of a slab may end within a vector; all else is whole vectors. */
DEVICE void element(const prelu_walk &w, I e, const prelu_slope &a, real edge, prelu_lane *lane,
                    unsigned *least) {
    const X x = w.o.x[e], dy = w.o.dy[e], ddx = SECOND ? w.o.ddx[e] : x;
    const int identity = prelu_identity(widen(x), edge);
    if (WANT_DX) w.o.out[e] = scaled(identity, x, SECOND ? ddx : dy, a);
    if (SECOND && WANT_DX) w.o.of_x[e] = rounded<X>(prelu_short_term(identity, a.dot, widen(dy)));
    add_term(lane, identity, SECOND ? ddx : x, dy, least);
}

/* dalpha of one term, the element e. */
DEVICE void store_term(const prelu_walk &w, i64 slab, i64 k, I e, real edge) {
    const int identity = prelu_identity(widen(w.o.x[e]), edge);
    static_cast<A *>(w.o.result)[slab * w.d_far + k * w.d_near] =
        rounded_term(identity, SECOND ? w.o.ddx[e] : w.o.x[e], w.o.dy[e]);
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

/* Where a thread's vector is: an element; with WRAP its place in the run, else the step of the row,
 * and at how many of them the vector lies within the slab. */
struct prelu_place {
    I e, column;
    int step, inside;
};
DEVICE I within_step(const prelu_walk &w, int thread) {
    const int row = SPANS > 1 ? 0 : thread / w.width;
    return row * (I)w.period + (thread - row * w.width) * VECTOR;
}
DEVICE int is_inside(const prelu_place &at) { return WRAP || at.step < at.inside; }
DEVICE void advance(const prelu_walk &w, prelu_place *at) {
    int ends;
    at->e += (I)w.stride;
    if (WRAP) {
        at->column += (I)w.step;
        ends = at->column >= (I)w.slab;
        if (ends) at->column -= (I)w.slab;
    } else {
        ends = ++at->step == w.turn;
        if (ends) at->step = 0;
    }
    if (ends) at->e += (I)w.skip;
}

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_walk_kernel(const prelu_walk w) {
    __shared__ prelu_sum entries[SLOT(ENTRIES)];
    const real edge = rounded<real>(w.o.edge);
    const int thread = threadIdx.x;
    const prelu_part p = part_of(w, blockIdx.x);
    const int slab = p.slab, spans = p.spans;
    const I first = p.first;
    const int row = SPANS > 1 ? 0 : thread / w.width, lateral = (thread - row * w.width) * VECTOR;
    const int from = p.chunk * w.chunk;
    int steps = w.steps - from > w.chunk ? w.chunk : w.steps - from;

    /* the first vector, and which alphas its elements have beyond `first` */
    const I across = (I)p.first_span * (I)w.beside, within = within_step(w, thread);
    const int run = WRAP ? 0 : lateral / (int)w.inner;
    const int phase = WRAP ? 0 : lateral - run * (int)w.inner;
    const int own = w.spans == 1 ? run % (int)w.alphas : run;
    const int beside = WRAP || w.spans == 1 || across + lateral < (I)w.period;
    prelu_place at;
    at.e = (I)(slab * w.far) + across;
    if (WRAP) {
        const I flat = (I)from * (I)w.whole + lateral, turns = flat / (I)w.slab;
        at.column = flat - turns * (I)w.slab;
        at.e += turns * (I)w.jump + at.column;
        steps -= flat + (I)(steps - 1) * (I)w.whole >= (I)w.terms; /* of this thread */
    } else {
        const int turns = from / w.turn;
        at.step = from - turns * w.turn;
        at.e += turns * (I)w.jump + at.step * (I)w.step + within;
        at.inside = beside && (SPANS > 1 ? thread < w.width : row < w.rows) ? w.turn : 0;
        if (SPANS == 1 && across + within + (I)w.last + VECTOR > (I)w.slab) at.inside--;
    }

    prelu_vectors next;
    for (int span = 0; span < spans; span++) {
        prelu_lane lanes[LANES];
        prelu_slope slopes[SLOPES];
        unsigned least = 0xffffffffu;
#pragma unroll
        for (int q = 0; q < LANES; q++) lanes[q] = empty_lane();
        if ((SPANS > 1 ? at.inside > 0 : beside) && WANT_DX) {
            I k = own;
            int beyond = phase;
            if (PACKED) load_slopes(w.o, (i64)slab * w.a_far + first + span * w.count + k, slopes);
#pragma unroll
            for (int q = 0; q < SLOPES && !PACKED; q++) {
                slopes[q] = slope_at(w.o, (i64)slab * w.a_far + (i64)(first + span * w.count + k) * w.a_near);
                if (++beyond == (int)w.inner) {
                    beyond = 0;
                    if (++k == (I)w.alphas) k = 0;
                }
            }
        }
        if (PREFETCH && span == 0 && steps > 0 && is_inside(at)) next = fetch(w, at.e);
#pragma unroll 1
        for (int left = steps; left > 0; left--) {
            const int inside = is_inside(at);
            const I e = at.e;
            prelu_vectors v;
            if (PREFETCH) {
                v = next;
                advance(w, &at);
                if (SPANS > 1 && left == 1) { /* behind the last row; on to the next span */
                    at.e += (I)(w.beside - w.end);
                    at.inside = (p.first_span + span + 1) * (I)w.beside + lateral < (I)w.period ? at.inside : 0;
                }
                if ((left > 1 || span < spans - 1) && is_inside(at)) next = fetch(w, at.e);
            } else if (inside) {
                v = fetch(w, e);
            }
            if (inside) {
                vector_of<X> outs, of_xs;
                vector_of<A> terms;
#pragma unroll
                for (int q = 0; q < VECTOR; q++) {
                    const prelu_slope a = SECOND && !SAME && X_SIZE == 2 ? anew(slopes[q % SLOPES])
                                                                         : slopes[q % SLOPES];
                    const X x = v.x.v[q], dy = v.dy.v[q], factor = SECOND ? v.ddx.v[q] : x;
                    const int identity = prelu_identity(widen(x), edge);
                    if (ONE_TERM) terms.v[q] = rounded_term(identity, factor, dy);
                    else add_term(&lanes[q % LANES], identity, factor, dy, &least);
                    if (WANT_DX) outs.v[q] = scaled(identity, x, SECOND ? factor : dy, a);
                    if (SECOND && WANT_DX)
                        of_xs.v[q] = rounded<X>(prelu_short_term(identity, a.dot, widen(dy)));
                }
                if (WANT_DX) store(w.o.out + e, outs);
                if (SECOND && WANT_DX) store(w.o.of_x + e, of_xs);
                if (ONE_TERM) {
                    A *to = static_cast<A *>(w.o.result) + slab * w.d_far + (i64)(first + own) * w.d_near;
                    if (PACKED) store(to, terms);
                    else
                        for (int q = 0; q < VECTOR; q++) to[q * w.d_near] = terms.v[q];
                }
            }
            if (!PREFETCH) advance(w, &at);
        }
        if (VECTOR > 1 && SPANS == 1 && !WRAP && w.tail && at.step == 0) { /* behind the only row */
            const I e = (I)w.last + within_step(w, thread_index()), end = (I)w.slab;
            if (e < end && e + VECTOR > end) { /* a vector that the slab ends in */
#pragma unroll
                for (int q = 0; q < VECTOR; q++) {
                    if (e + q >= end) continue;
                    element(w, e + q, slopes[q % SLOPES], edge, &lanes[q % LANES], &least);
                    if (ONE_TERM) store_term(w, slab, first + own + q, e + q, edge);
                }
            }
        }
        if (ONE_TERM) continue;
        const int mine = SPANS > 1 ? thread : thread_index();
        if (SAME) {
            prelu_sum total = sum_of(lanes[0], least, w.bound);
#pragma unroll
            for (int q = 1; q < LANES; q++) join(&total, sum_of(lanes[q], least, w.bound));
            entries[SLOT(span * BLOCK + mine)] = total;
        } else {
#pragma unroll
            for (int q = 0; q < VECTOR; q++)
                entries[(span * VECTOR + q) * BLOCK + mine] = sum_of(lanes[q % LANES], least, w.bound);
        }
    }
    if (!ONE_TERM) add_up(w, part_of(w, block_index()), entries); /* anew, not kept until now */
}
