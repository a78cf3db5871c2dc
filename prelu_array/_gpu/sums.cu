/* A sum of terms x * dy in double that knows how wrong it may be.
 *
 * Design:
 * (a) The sum is v[0] + ... + v[LEVELS - 1], and wrong by at most `rest`. A value is added to v[0]
 *     by two-sum, what that rounds to v[1], and so on; the size of what the last one rounds goes
 *     to `rest`, rounded upwards. So rest is 0 where nothing was lost: the sum is exact then, and
 *     zeros and ties need no further look.
 * (b) One level serves a dalpha narrower than double, two a double one. States need the exact sum:
 *     two levels hold that of nearly all products of floats, three that of doubles.
 * (c) A product of float64 is rounded; its rounding, by fma, enters one level below. Where that
 *     may underflow itself, `rest` has a subnormal more.
 * (d) SIZES: a thread adds its terms without two-sum, where that costs time: for 16 bits, and on
 *     devices with few units for double. It sums their sizes in float instead, so that
 *     rest = bound * size, unless every term is a multiple of a unit of which the sum holds less
 *     than 2^53: then each addition was exact.
 * (e) A term that is NaN or infinite makes v[0] so, and `rest` no number. For x of float64 that
 *     may also be an overflow of finite terms, and is in doubt.
 */
struct prelu_sum {
    double v[LEVELS], rest;
};

DEVICE void add_value(prelu_sum *sum, double value, int level) {
#pragma unroll
    for (int k = 0; k < LEVELS; k++) {
        if (k < level) continue;
        const double s = __dadd_rn(sum->v[k], value);
        value = addition_error(sum->v[k], value, s);
        sum->v[k] = s;
    }
    sum->rest = __dadd_ru(sum->rest, fabs(value));
}

DEVICE void join(prelu_sum *sum, const prelu_sum &other) {
#pragma unroll
    for (int k = 0; k < LEVELS; k++) add_value(sum, other.v[k], k);
    sum->rest = __dadd_ru(sum->rest, other.rest);
}

/* The sum of one thread, for one element of its vector. A term is factor * dy where x is not on the
 * identity branch; factor is x, or ddx. least: of twice the bits of |factor * dy| less 1, so that a
 * zero is the largest. */
#if SIZES
struct prelu_lane {
    double s;
    float size;
};
DEVICE void add_term(prelu_lane *lane, int identity, X factor, X dy, unsigned *least) {
    const float a = native(factor), b = native(dy);
    const bool exact = format<X>::precision == 11; /* a product of float16 is exact in float */
    const float product = identity ? 0.0f : multiply(a, b);
    lane->s = __dadd_rn(
        lane->s, exact ? as_double(product) : prelu_term(identity, as_double(a), as_double(b)));
    lane->size = exact      ? add_size(lane->size, product, 1.0f)
                 : identity ? lane->size
                            : add_size(lane->size, a, b);
    const unsigned bits = 2 * __float_as_uint(exact ? product : size_of(a, b)) - 1;
    *least = bits < *least ? bits : *least;
}
DEVICE prelu_sum sum_of(const prelu_lane &lane, unsigned least, double bound) {
    prelu_sum sum = {};
    const double size = as_double(lane.size);
    sum.v[0] = lane.s;
    /* a product has 2 * precision bits, the last of them worth at least this times 2^-53, also
     * where rounding upwards has doubled its power of two; below that it may have underflowed */
    const double unit = as_double(__uint_as_float((least + 1) / 2 & 0x7f800000u)) *
                        (double)(1ull << (53 - 2 * format<X>::precision));
    if (size != 0.0 && !(least >= 0x00ffffffu && size < unit)) sum.rest = __dmul_ru(bound, size);
    return sum;
}
#else
typedef prelu_sum prelu_lane;
DEVICE void add_term(prelu_lane *sum, int identity, X factor, X dy_, unsigned *) {
    const double x = as_double(native(factor)), dy = as_double(native(dy_));
    const double term = prelu_term(identity, x, dy);
    add_value(sum, term, 0);
    if (X_SIZE == 8) {
        add_value(sum, identity ? 0.0 : __fma_rn(x, dy, -term), 1);
        if (((bits_as<u64>(term) >> 52) & 0x7ff) < 64 && !identity && x != 0.0 && dy != 0.0)
            sum->rest = __dadd_ru(sum->rest, 0x1p-1074);
    }
}
DEVICE prelu_sum sum_of(const prelu_lane &lane, unsigned, double) { return lane; }

/* One term, and a sum of two, as CuPy's ReductionKernel wants them. */
DEVICE prelu_sum one_term(int identity, X factor, X dy) {
    prelu_sum sum = {};
    add_term(&sum, identity, factor, dy, nullptr);
    return sum;
}
DEVICE prelu_sum both(prelu_sum a, const prelu_sum &b) {
    join(&a, b);
    return a;
}
#endif

/* dalpha where an alpha has one term only. */
DEVICE A rounded_term(int identity, X factor, X dy_) {
    const double x = as_double(native(factor)), dy = as_double(native(dy_));
    double term = prelu_term(identity, x, dy);
    if (term == 0.0 && (x == 0.0 || dy == 0.0)) term = 0.0; /* an exact zero is +0 */
    if (X_SIZE == 8 && A_SIZE < 8) term = rounded_to_odd(term, __fma_rn(x, dy, -term));
    return rounded<A>(term);
}

/* Whether all of the interval rounds to one number, which is the result then. */
DEVICE int is_settled(const prelu_sum &sum, A *result) {
    if (!is_finite(sum.rest)) {
        *result = rounded<A>(sum.v[0]);
        return X_SIZE < 8 && !is_finite(sum.v[0]);
    }
#if A_SIZE == 8
    const double low = sum.v[LEVELS - 1];
    const double high = __dadd_rn(sum.v[0], low), error = addition_error(sum.v[0], low, high);
    *result = __dadd_rn(__dadd_rn(high, __dsub_rd(error, sum.rest)), 0.0);
    return *result == __dadd_rn(high, __dadd_ru(error, sum.rest)) &&
           (*result != 0.0 || sum.rest == 0.0);
#else
    *result = rounded<A>(__dadd_rn(__dsub_rd(sum.v[0], sum.rest), 0.0)); /* an exact zero is +0 */
    return bits_as<u64>(*result) == bits_as<u64>(rounded<A>(__dadd_ru(sum.v[0], sum.rest)));
#endif
}
