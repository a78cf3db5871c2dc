/* a * b + c * d rounded once: for derivatives along a direction, and the double backward.
 *
 * Design:
 * (a) Products of floats are exact in double, their sum is rounded to odd there, so that the
 *     rounding to float is the only one that shows.
 * (b) For doubles the roundings of products and sum are added up and bounded, as in sums.cu. If
 *     both ends of that interval round to the same number that is the result. What is left
 *     (cancellation, near ties, the ends of the range, no numbers) is summed as integers.
 * (c) A product of two 16-bit numbers is exact in float unless it leaves its range; then one fma
 *     rounds the sum once.
 * (d) A sum of exactly zero is -0 only if both products are, as IEEE 754 has it.
 */

/* The rounding of s = a + b. */
DEVICE double addition_error(double a, double b, double s) {
    const double z = __dsub_rn(s, a);
    return __dadd_rn(__dsub_rn(a, __dsub_rn(s, z)), __dsub_rn(b, z));
}

/* v, the nearest double to v + error, rounded to odd instead: rounding once more is once. */
DEVICE double rounded_to_odd(double v, double error) {
    const u64 bits = bits_as<u64>(v);
    if ((error > 0.0 || error < 0.0) && v != 0.0 && !(bits & 1))
        v = bits_as<double>((error > 0.0) == (v > 0.0) ? bits + 1 : bits - 1);
    return v;
}

/* size * 2^exponent and its sign. */
struct prelu_integer {
    u128 size;
    int exponent, negative;
};

template <class S>
DEVICE prelu_integer integer_of(S v) {
    const u64 bits = bits_as<u64>(v), hidden = format<S>::hidden;
    const int field = (int)((bits & format<S>::infinity) / hidden);
    return {(bits & (hidden - 1)) | (field ? hidden : 0),
            (field ? field - 1 : 0) + format<S>::smallest, (int)(bits >> (format<S>::size - 1))};
}

template <class S>
DEVICE prelu_integer product_of(S a, S b) {
    const prelu_integer x = integer_of(a), y = integer_of(b);
    return {x.size * y.size, x.exponent + y.exponent, x.negative ^ y.negative};
}

/* The same number with `room` bits above its uppermost one. 0 is below all others. */
DEVICE prelu_integer shifted_up(prelu_integer v, int room) {
    const u64 high = (u64)(v.size >> 64);
    const int up = (high ? __clzll((i64)high) : 64 + __clzll((i64)v.size)) - room;
    v.exponent -= v.size ? up : 1 << 20;
    v.size <<= up;
    return v;
}

/* The same number in units of 2^exponent; the lowest bit stands also for whatever lies below. */
DEVICE i128 in_units(const prelu_integer &v, int exponent) {
    const int down = exponent - v.exponent < 127 ? exponent - v.exponent : 127;
    const i128 size = v.size >> down | (v.size >> down << down != v.size);
    return v.negative ? -size : size;
}

/* An integer rounded to a dtype. Its lowest bit stands also for whatever lies below. */
template <class S>
DEVICE S rounded_integer(prelu_integer v) {
    v = shifted_up(v, 1);
    const u64 head = (u64)(v.size >> 64) | ((u64)v.size != 0); /* of 63 bits */
    int cut = 63 - format<S>::precision;
    int field = v.exponent + 64 + cut - format<S>::smallest;
    if (field < 0) { /* subnormal */
        cut -= field;
        field = 0;
    }
    u64 bits = 0;
    if (cut < 64) { /* to even at a tie; a carry reaches the exponent by itself */
        const u64 half = 1ull << (cut - 1);
        bits = (u64)field * format<S>::hidden + ((head + half - 1 + (head >> cut & 1)) >> cut);
    }
    if (bits > format<S>::infinity || field > 2 * format<S>::limit) bits = format<S>::infinity;
    return bits_as<S>(bits | (u64)v.negative << (format<S>::size - 1));
}

DEVICE double integer_sum_of_products(double a, double b, double c, double d) {
    const int first = is_finite(a) && is_finite(b), second = is_finite(c) && is_finite(d);
    if (!first || !second)
        return __dadd_rn(first ? 0.0 : multiply(a, b), second ? 0.0 : multiply(c, d));
    const prelu_integer p = shifted_up(product_of(a, b), 2), q = shifted_up(product_of(c, d), 2);
    const int exponent = p.exponent > q.exponent ? p.exponent : q.exponent;
    const i128 sum = in_units(p, exponent) + in_units(q, exponent);
    const int negative = sum == 0 ? p.negative & q.negative : sum < 0;
    return rounded_integer<double>({(u128)(sum < 0 ? -sum : sum), exponent, negative});
}

DEVICE float sum_of_products(float a, float b, float c, float d) {
#if X_SIZE == 2 && A_SIZE == 2
    const float first = multiply(a, b);
    const unsigned bits = __float_as_uint(first) & 0x7fffffffu;
    const int zero = !(__float_as_uint(a) << 1) | !(__float_as_uint(b) << 1);
    if (zero || bits - 0x00800000u < 0x7f000000u) return multiply_add(c, d, first);
#endif
    const double p = multiply(as_double(a), as_double(b)), q = multiply(as_double(c), as_double(d));
    const double s = __dadd_rn(p, q);
    return double_to_float(rounded_to_odd(s, addition_error(p, q, s)));
}

DEVICE double sum_of_products(double a, double b, double c, double d) {
    const double p = multiply(a, b), q = multiply(c, d), s = __dadd_rn(p, q);
    /* less than 2^-52 of |p| + |q|, and wrong by 1.5 * 2^-105 of it and what underflows */
    const double low = __dadd_rn(__dadd_rn(__fma_rn(a, b, -p), __fma_rn(c, d, -q)),
                                 addition_error(p, q, s));
    const double wrong = __fma_rn(__dadd_rn(fabs(p), fabs(q)), 0x1p-104, 0x1p-1072);
    const double high = __dadd_rn(s, low), rest = addition_error(s, low, high);
    if (high == __dadd_rn(high, __dsub_rd(rest, wrong)) &&
        high == __dadd_rn(high, __dadd_ru(rest, wrong)))
        return high;
    return integer_sum_of_products(a, b, c, d);
}
