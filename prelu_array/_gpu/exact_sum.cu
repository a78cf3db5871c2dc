/* Exact sums of products, as integers.
 *
 * Design:
 * (a) A state is int64 limbs, limb i worth 2^(base + 32 i), then the counts of terms that are NaN
 *     and infinite, as in the CPU's exact_sum.h. A limb takes signed 32-bit digits and is carried
 *     only at the end, so additions may come in any order and atomically.
 * (b) A thread collects its terms in a window, whose lowest bit is worth 2^(base + 32 position). A
 *     term outside the window empties it into the limbs and moves it. A window is an integer of 128
 *     bits; for float64, whose products have 106 bits, two, the second worth 2^96 times as much.
 * (c) Carried, every limb but the signed top one lies in [0, 2^32): the same limbs, however the
 *     sum was made.
 */
#define PARTS (X_SIZE == 8 ? 2 : 1)
#define WINDOW_TERMS (1 << 10) /* of a thread at most; a warp's 32 windows fit into one */

enum {
    DIGITS = format<X>::digits,
    BASE = 2 * format<X>::smallest,
    A_NAN = DIGITS, /* counts of such terms */
    POSITIVE_INFINITY,
    NEGATIVE_INFINITY,
    LIMBS
};

/* The terms of one thread, on their way to the limbs. */
struct prelu_window {
    i128 sum[PARTS];
    int position, used;
};

DEVICE void add_digit(i64 *limbs, int i, i64 digit) {
    if (digit) atomicAdd((u64 *)&limbs[i], (u64)digit);
}

DEVICE void empty(prelu_window *w, i64 *limbs) {
    for (int k = 0; k < PARTS; k++) {
        for (int i = 0; i < 4; i++)
            add_digit(limbs, w->position + 3 * k + i,
                      i < 3 ? (unsigned)(w->sum[k] >> 32 * i) : (i64)(w->sum[k] >> 96));
        w->sum[k] = 0;
    }
    w->used = 0;
}

DEVICE void add_to_window(prelu_window *w, X x, X dy, i64 *limbs) {
    if (!is_finite(x) || !is_finite(dy)) {
        const double v = multiply(as_double(native(x)), as_double(native(dy)));
        add_digit(limbs, v > 0.0 ? POSITIVE_INFINITY : v < 0.0 ? NEGATIVE_INFINITY : A_NAN, 1);
        return;
    }
    const prelu_integer p = product_of(x, dy);
    if (p.size == 0) return;
    const int place = p.exponent - BASE;
    int shift = place - 32 * w->position;
    if (w->used == WINDOW_TERMS || shift < 0 || shift > 63) {
        empty(w, limbs);
        w->position = place < 64 ? 0 : place / 32 - 1;
        shift = place - 32 * w->position;
    }
    const u128 whole = p.size << shift, below = ((u128)1 << 96) - 1;
    const i128 low = PARTS == 2 ? whole & below : whole, high = p.size >> (96 - shift);
    w->sum[0] += p.negative ? -low : low;
    if (PARTS == 2) w->sum[PARTS - 1] += p.negative ? -high : high;
    w->used++;
}

/* What the thread of the warp that is so many lanes further has. */
template <class T>
DEVICE T shuffled_down(T v, int lanes) {
    u64 parts[sizeof v / 8];
    memcpy(parts, &v, sizeof v);
#pragma unroll
    for (u64 &part : parts) part = __shfl_down_sync(0xffffffffu, part, lanes);
    memcpy(&v, parts, sizeof v);
    return v;
}

/* The windows of a warp, all of one state, into its first. Every thread of the warp comes here. */
DEVICE void join_warp(prelu_window *w, i64 *limbs) {
#pragma unroll 1
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        const prelu_window other = shuffled_down(*w, lanes);
        if (threadIdx.x % 32 >= lanes || other.used == 0) continue;
        if (other.position != w->position) {
            empty(w, limbs);
            w->position = other.position;
        }
        for (int k = 0; k < PARTS; k++) w->sum[k] += other.sum[k];
        w->used += other.used;
    }
}

/* A state of limbs or other digits, by one thread: each but the signed top one in [0, 2^32). */
template <class Digits>
DEVICE void carry(i64 *state, Digits digit) {
    i64 carried = 0;
#pragma unroll 1
    for (int i = 0; i < LIMBS; i++) {
        const int ends = i + 1 >= DIGITS;
        carried += digit(i);
        state[i] = ends ? carried : carried & 0xffffffff;
        carried = ends ? 0 : carried >> 32;
    }
}

/* The limbs as dalpha. */
DEVICE A rounded_limbs(const i64 *limbs) {
    const int above = limbs[POSITIVE_INFINITY] != 0, below = limbs[NEGATIVE_INFINITY] != 0;
    if (limbs[A_NAN] || (above && below))
        return bits_as<A>(format<A>::infinity | format<A>::hidden >> 1);
    if (above || below) return bits_as<A>(format<A>::infinity | (u64)below << (format<A>::size - 1));
    i64 carried = 0;
#pragma unroll 4
    for (int i = 0; i < DIGITS; i++) carried = (carried + limbs[i]) >> 32;
    prelu_integer v = {0, 0, carried < 0};
    u128 highest = 0; /* three digits, and */
    unsigned rest = 0; /* whether any bit below them is set */
    carried = 0;
#pragma unroll 4
    for (int i = 0; i < DIGITS; i++) {
        carried += v.negative ? -limbs[i] : limbs[i];
        rest |= (unsigned)highest;
        highest = highest >> 32 | (u128)(unsigned)carried << 64;
        if ((unsigned)carried) v = {highest | (rest != 0), BASE + 32 * (i - 2), v.negative};
        carried >>= 32;
    }
    return rounded_integer<A>(v);
}

#if defined(KERNEL_ROUND)
/* States, or sums of them, as dalpha: a thread for each alpha. */
struct prelu_rounding {
    const i64 *states;
    A *dalpha;
    i64 alphas;
};
extern "C" __global__ void __launch_bounds__(BLOCK) prelu_round_kernel(const prelu_rounding w) {
    const i64 c = (i64)blockIdx.x * BLOCK + threadIdx.x;
    if (c < w.alphas) w.dalpha[c] = rounded_limbs(w.states + c * LIMBS);
}
#endif
