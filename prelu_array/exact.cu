/* dalpha of the alphas in doubt: the exact sum, rounded once.
 *
 * Design:
 * (a) The sum lives in int64 limbs, limb i worth 2^(base + 32 i), as in the CPU's exact_sum.h: a
 *     limb takes signed 32-bit digits and is carried only at the end, so additions may come in any
 *     order and atomically.
 * (b) A thread collects its terms in a window of WORDS 64-bit words, whose lowest bit is worth
 *     2^(base + 32 position). A term outside the window empties it into the limbs and moves it.
 * (c) It is always launched, so that nobody waits for the device; without doubt it leaves at once.
 *     Few alphas are cut into pieces for all blocks; the block that is last with an alpha rounds.
 * (d) x and dy may have any strides: term j of alpha c is found by dividing along the axes.
 *
 * Definitions: BLOCK, KEPT and SUMMED (how many axes alpha varies along, and how many not).
 */
#define WORDS (X_IS_F64 ? 3 : 2)

enum {
    DIGITS = format<X>::digits,
    A_NAN = DIGITS, /* counts of such terms */
    POSITIVE_INFINITY,
    NEGATIVE_INFINITY,
    LIMBS
};

/* A view of x and dy; strides in elements, outermost axis first. */
struct prelu_terms {
    i64 terms; /* of each alpha */
    i64 kept_shape[KEPT + 1], kept_x[KEPT + 1], kept_dy[KEPT + 1];
    i64 summed_shape[SUMMED + 1], summed_x[SUMMED + 1], summed_dy[SUMMED + 1];
};

struct prelu_window {
    u64 word[WORDS];
    int position, used;
};

DEVICE void add_digit(u64 *limbs, int i, i64 digit) {
    if (digit) atomicAdd(&limbs[i], (u64)digit);
}

DEVICE void empty(prelu_window *w, u64 *limbs) {
    for (int i = 0; i < WORDS; i++) {
        const int top = i == WORDS - 1;
        add_digit(limbs, w->position + 2 * i, (i64)(w->word[i] & 0xffffffffu));
        add_digit(limbs, w->position + 2 * i + 1,
                  top ? (i64)w->word[i] >> 32 : (i64)(w->word[i] >> 32));
        w->word[i] = 0;
    }
    w->used = 0;
}

/* A product of two elements: NaN or infinite, zero, or an integer times 2^(base + place). */
struct prelu_product {
    u64 low, high;
    int place, negative, irregular; /* irregular: the limb that counts it, or 0 */
};

DEVICE prelu_product product_of(X x, X dy) {
    enum {
        fraction = format<X>::precision - 1,
        field_end = (1 << (format<X>::size - format<X>::precision)) - 1
    };
    const u64 bx = bits_of(x), bdy = bits_of(dy), hidden = 1ull << fraction;
    const int fx = (int)(bx >> fraction) & field_end, fdy = (int)(bdy >> fraction) & field_end;
    const u64 mx = (bx & (hidden - 1)) | (fx ? hidden : 0);
    const u64 mdy = (bdy & (hidden - 1)) | (fdy ? hidden : 0);
    prelu_product p;
    p.low = mx * mdy;
    p.high = X_IS_F64 ? __umul64hi(mx, mdy) : 0;
    p.place = (fx ? fx - 1 : 0) + (fdy ? fdy - 1 : 0);
    p.negative = (int)((bx ^ bdy) >> (format<X>::size - 1)) & 1;
    p.irregular = 0;
    if (fx == field_end || fdy == field_end) {
        const int nan = (fx == field_end && (mx != hidden || mdy == 0)) ||
                        (fdy == field_end && (mdy != hidden || mx == 0));
        p.irregular = nan ? A_NAN : p.negative ? NEGATIVE_INFINITY : POSITIVE_INFINITY;
    }
    return p;
}

DEVICE int is_outside(const prelu_window &w, int place) {
    return w.used == 0 || w.used == 1 << 15 || place < 32 * w.position ||
           place > 32 * w.position + 63;
}

DEVICE void add_inside(prelu_window *w, const prelu_product &p) {
    const int shift = p.place - 32 * w->position;
    u64 term[WORDS];
    term[0] = p.low << shift;
    term[1] = p.high << shift | (shift ? p.low >> (64 - shift) : 0);
    if (X_IS_F64) term[WORDS - 1] = shift ? p.high >> (64 - shift) : 0;
    u64 carry = p.negative;
    for (int i = 0; i < WORDS; i++) { /* -v is ~v + 1 */
        const u64 digit = p.negative ? ~term[i] : term[i];
        const u64 partly = w->word[i] + digit, sum = partly + carry;
        carry = (partly < digit) | (sum < carry);
        w->word[i] = sum;
    }
    w->used++;
}

/* Carries, so that all limbs but the signed top one lie in [0, 2^32). */
DEVICE void carry(i64 *limbs) {
#pragma unroll 1
    for (int i = 0; i + 1 < DIGITS; i++) {
        const i64 low = limbs[i] & 0xffffffffll;
        limbs[i + 1] += (limbs[i] - low) / 4294967296ll;
        limbs[i] = low;
    }
}

/* The limbs as dalpha. They are left carried, without their sign. */
DEVICE A rounded_limbs(i64 *limbs) {
    const u64 hidden = 1ull << (format<A>::precision - 1);
    const u64 infinity = ((1ull << (format<A>::size - 1)) - 1) & ~(hidden - 1);
    A result;
    if (limbs[A_NAN] || (limbs[POSITIVE_INFINITY] && limbs[NEGATIVE_INFINITY])) {
        from_bits(infinity | hidden >> 1, &result);
        return result;
    }
    int negative = limbs[NEGATIVE_INFINITY] != 0;
    u64 bits = infinity;
    if (!negative && !limbs[POSITIVE_INFINITY]) {
        carry(limbs);
        negative = limbs[DIGITS - 1] < 0;
        if (negative) {
            for (int i = 0; i < DIGITS; i++) limbs[i] = -limbs[i];
            carry(limbs);
        }
        int top = DIGITS - 1;
        while (top > 0 && limbs[top] == 0) top--;
        /* the uppermost 64 bits, the lowest of them set if any bit below is */
        u64 head = 0;
        for (int i = top; i > top - 3; i--) {
            const u64 limb = i < 0 ? 0 : (u64)limbs[i];
            if (i == top) {
                head = limb << 32;
            } else if (i == top - 1) {
                head |= limb;
            } else {
                const int room = head ? __clzll((i64)head) : 0;
                head = room ? head << room | limb >> (32 - room) : head;
                u64 rest = limb << (32 + room);
                for (int below = i - 1; below >= 0; below--) rest |= (u64)limbs[below];
                head |= rest != 0;
                top = 32 * (top - 1) - room; /* the place of head's lowest bit, above base */
                break;
            }
        }
        if (head == 0) {
            negative = 0; /* an exact zero is +0 */
            bits = 0;
        } else {
            const int exponent = top + 2 * format<X>::smallest; /* of head's lowest bit */
            int cut = 64 - format<A>::precision;
            int field = exponent + cut - format<A>::smallest;
            if (field < 0) { /* subnormal */
                cut -= field;
                field = 0;
            }
            if (cut > 64) cut = 65;
            const u64 kept = cut < 64 ? head >> cut : 0;
            const u64 rest = cut == 64 ? head : cut > 64 ? 1 : head << (64 - cut);
            const u64 half = 1ull << 63;
            const int up = cut <= 64 && (rest > half || (rest == half && (kept & 1)));
            bits = (u64)field * hidden + kept + up; /* a carry reaches the exponent by itself */
            if (bits > infinity || field > 1 << 12) bits = infinity;
        }
    }
    from_bits(bits | (u64)negative << (format<A>::size - 1), &result);
    return result;
}

extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_PER_SM)
prelu_exact_kernel(const X *dy, const X *x, double edge_, A *dalpha, i64 dalpha_stride,
                   const u64 *doubtful, u64 *states, u64 *arrived, prelu_terms view) {
    __shared__ i64 limbs[LIMBS];
    __shared__ int last;
    const real edge = rounded<real>(edge_);
    const u64 doubts = doubtful[0];
    if (doubts == 0) return;
    const u64 pieces = doubts < gridDim.x ? gridDim.x / doubts : 1;
    const i64 length = (view.terms + (i64)pieces - 1) / (i64)pieces;
    for (u64 item = blockIdx.x; item < doubts * pieces; item += gridDim.x) {
        const u64 which = item / pieces, piece = item - which * pieces;
        const u64 c = doubtful[1 + which];
        const X *xc = x, *dyc = dy;
        i64 left = (i64)c;
        for (int k = KEPT - 1; k >= 0; k--) {
            const i64 next = left / view.kept_shape[k], i = left - next * view.kept_shape[k];
            xc += i * view.kept_x[k];
            dyc += i * view.kept_dy[k];
            left = next;
        }
        for (int i = threadIdx.x; i < LIMBS; i += BLOCK) limbs[i] = 0;
        __syncthreads();

        prelu_window window;
        for (int i = 0; i < WORDS; i++) window.word[i] = 0;
        window.position = window.used = 0;
        const i64 from = (i64)piece * length;
        const i64 to = view.terms - from > length ? from + length : view.terms;
#pragma unroll 1
        for (i64 j = from + threadIdx.x;; j += BLOCK) {
            prelu_product p;
            p.low = p.high = 0;
            if (j < to) {
                const X *xj = xc, *dyj = dyc;
                left = j;
                for (int k = SUMMED - 1; k >= 0; k--) {
                    const i64 next = left / view.summed_shape[k];
                    const i64 i = left - next * view.summed_shape[k];
                    xj += i * view.summed_x[k];
                    dyj += i * view.summed_dy[k];
                    left = next;
                }
                if (prelu_identity(widen(*xj), edge)) continue;
                p = product_of(*xj, *dyj);
                if (p.irregular) {
                    atomicAdd((u64 *)&limbs[p.irregular], 1ull);
                    continue;
                }
                if ((p.low | p.high) == 0) continue;
            }
            if (j >= to || is_outside(window, p.place)) {
                empty(&window, (u64 *)limbs);
                if (j >= to) break;
                window.position = p.place < 64 ? 0 : p.place / 32 - 1;
            }
            add_inside(&window, p);
        }
        __syncthreads();

        if (pieces > 1) {
            u64 *state = states + which * LIMBS;
            if (threadIdx.x == 0) carry(limbs); /* so that a limb takes 2^31 blocks */
            __syncthreads();
            for (int i = threadIdx.x; i < LIMBS; i += BLOCK) add_digit(state, i, limbs[i]);
            __threadfence();
            __syncthreads();
            if (threadIdx.x == 0) last = atomicAdd(&arrived[which], 1ull) == pieces - 1;
            __syncthreads();
            if (last)
                for (int i = threadIdx.x; i < LIMBS; i += BLOCK)
                    limbs[i] = (i64)atomicAdd(&state[i], 0ull);
            __syncthreads();
        }
        if (threadIdx.x == 0 && (pieces == 1 || last))
            dalpha[(i64)c * dalpha_stride] = rounded_limbs(limbs);
        __syncthreads(); /* before `limbs` is used again */
    }
}
