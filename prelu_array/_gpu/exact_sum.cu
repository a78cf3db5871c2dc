/* Exact sums of products, as integers.
 *
 * Design:
 * (a) A state is int64 limbs, limb i worth 2^(base + 32 i), then the counts of terms that are NaN
 *     and infinite, as in the CPU's exact_sum.h. A limb takes signed 32-bit digits and is carried
 *     only at the end, so additions may come in any order and atomically.
 * (b) A thread collects its terms in a window of WORDS 64-bit words, whose lowest bit is worth
 *     2^(base + 32 position). A term outside the window empties it into the limbs and moves it.
 * (c) Carried, every limb but the signed top one lies in [0, 2^32): the same limbs, however the
 *     sum was made.
 */
#define WORDS ((X_SIZE == 8) ? 3 : 2)
#define WINDOW_TERMS (1 << 15) /* that a window holds at most */

enum {
    DIGITS = format<X>::digits,
    A_NAN = DIGITS, /* counts of such terms */
    POSITIVE_INFINITY,
    NEGATIVE_INFINITY,
    LIMBS
};

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
    p.high = (X_SIZE == 8) ? __umul64hi(mx, mdy) : 0;
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

/* The terms of one thread, on their way to the limbs. */
struct prelu_window {
    u64 word[WORDS];
    int position, used;
    u64 *limbs;
};

DEVICE prelu_window empty_window(u64 *limbs) {
    prelu_window w;
    for (int i = 0; i < WORDS; i++) w.word[i] = 0;
    w.position = w.used = 0;
    w.limbs = limbs;
    return w;
}

DEVICE void add_digit(u64 *limbs, int i, i64 digit) {
    if (digit) atomicAdd(&limbs[i], (u64)digit);
}

DEVICE void empty(prelu_window *w) {
    for (int i = 0; i < WORDS; i++) {
        const int top = i == WORDS - 1;
        add_digit(w->limbs, w->position + 2 * i, (i64)(w->word[i] & 0xffffffffu));
        add_digit(w->limbs, w->position + 2 * i + 1,
                  top ? (i64)w->word[i] >> 32 : (i64)(w->word[i] >> 32));
        w->word[i] = 0;
    }
    w->used = 0;
}

DEVICE void add_words(prelu_window *w, const u64 *term, int negative) {
    u64 carry = negative;
    for (int i = 0; i < WORDS; i++) { /* -v is ~v + 1 */
        const u64 digit = negative ? ~term[i] : term[i];
        const u64 partly = w->word[i] + digit, sum = partly + carry;
        carry = (partly < digit) | (sum < carry);
        w->word[i] = sum;
    }
}

DEVICE void add_to_window(prelu_window *w, int identity, X x, X dy) {
    if (identity) return;
    const prelu_product p = product_of(x, dy);
    if (p.irregular) {
        atomicAdd(&w->limbs[p.irregular], 1ull);
        return;
    }
    if ((p.low | p.high) == 0) return;
    if (w->used == 0 || w->used == WINDOW_TERMS || p.place < 32 * w->position ||
        p.place > 32 * w->position + 63) {
        empty(w);
        w->position = p.place < 64 ? 0 : p.place / 32 - 1;
    }
    const int shift = p.place - 32 * w->position;
    u64 term[WORDS];
    term[0] = p.low << shift;
    term[1] = p.high << shift | (shift ? p.low >> (64 - shift) : 0);
    if ((X_SIZE == 8)) term[WORDS - 1] = shift ? p.high >> (64 - shift) : 0;
    add_words(w, term, p.negative);
    w->used++;
}

/* The lanes of a warp, all of one state, into its first. Every thread of the warp must come here. */
DEVICE void join_warp(prelu_window *w) {
#pragma unroll 1
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        prelu_window other = *w;
        for (int i = 0; i < WORDS; i++)
            other.word[i] = __shfl_down_sync(0xffffffffu, w->word[i], lanes);
        other.position = __shfl_down_sync(0xffffffffu, w->position, lanes);
        other.used = __shfl_down_sync(0xffffffffu, w->used, lanes);
        if (threadIdx.x % 32 >= lanes || other.used == 0) continue;
        if (other.position != w->position || other.used + w->used > WINDOW_TERMS) {
            empty(w);
            w->position = other.position;
        }
        add_words(w, other.word, 0);
        w->used += other.used;
    }
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
    if (limbs[A_NAN] || limbs[POSITIVE_INFINITY] || limbs[NEGATIVE_INFINITY]) {
        const int both = limbs[POSITIVE_INFINITY] && limbs[NEGATIVE_INFINITY];
        const u64 sign = limbs[NEGATIVE_INFINITY] ? 1ull << (format<A>::size - 1) : 0;
        A result;
        from_bits(limbs[A_NAN] || both ? infinity | hidden >> 1 : infinity | sign, &result);
        return result;
    }
    carry(limbs);
    const int negative = limbs[DIGITS - 1] < 0;
    if (negative) {
        for (int i = 0; i < DIGITS; i++) limbs[i] = -limbs[i];
        carry(limbs);
    }
    int top = DIGITS - 1;
    while (top > 0 && limbs[top] == 0) top--;
    /* the uppermost 64 bits, the lowest of them set if any bit below is */
    u64 head = (u64)limbs[top] << 32 | (top > 0 ? (u64)limbs[top - 1] : 0);
    const int room = head ? __clzll((i64)head) : 0;
    const u64 limb = top > 1 ? (u64)limbs[top - 2] : 0;
    if (room) head = head << room | limb >> (32 - room);
    u64 rest = limb << (32 + room);
    for (int below = top - 3; below >= 0; below--) rest |= (u64)limbs[below];
    const int exponent = 32 * (top - 1) - room + 2 * format<X>::smallest;
    return rounded_integer<A>(head | (rest != 0), exponent, negative);
}

#if defined(KERNEL_ROUND)
/* States, or sums of them, as dalpha: a block for each alpha. */
struct prelu_rounding {
    const i64 *states;
    A *dalpha;
    i64 alphas;
};
extern "C" __global__ void __launch_bounds__(BLOCK) prelu_round_kernel(const prelu_rounding w) {
    __shared__ i64 limbs[LIMBS];
    for (i64 c = blockIdx.x; c < w.alphas; c += gridDim.x) {
        for (int i = threadIdx.x; i < LIMBS; i += BLOCK) limbs[i] = w.states[c * LIMBS + i];
        __syncthreads();
        if (threadIdx.x == 0) w.dalpha[c] = rounded_limbs(limbs);
        __syncthreads();
    }
}
#endif
