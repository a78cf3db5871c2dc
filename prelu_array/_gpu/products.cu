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
    const u64 bits = bits_of(v);
    if ((error > 0.0 || error < 0.0) && v != 0.0 && !(bits & 1))
        from_bits((error > 0.0) == (v > 0.0) ? bits + 1 : bits - 1, &v);
    return v;
}

/* head * 2^exponent rounded to a dtype. head is 0 (and the result +0), or its uppermost bit is
 * set; its lowest bit stands also for whatever lies below. */
template <class S>
DEVICE S rounded_integer(u64 head, int exponent, int negative) {
    const u64 hidden = 1ull << (format<S>::precision - 1);
    const u64 infinity = ((1ull << (format<S>::size - 1)) - 1) & ~(hidden - 1);
    int cut = 64 - format<S>::precision;
    int field = exponent + cut - format<S>::smallest;
    if (field < 0) { /* subnormal */
        cut -= field;
        field = 0;
    }
    if (cut > 64) cut = 65;
    const u64 kept = cut < 64 ? head >> cut : 0;
    const u64 rest = cut == 64 ? head : cut > 64 ? 1 : head << (64 - cut);
    const u64 half = 1ull << 63;
    const int up = cut <= 64 && (rest > half || (rest == half && (kept & 1)));
    u64 bits = (u64)field * hidden + kept + up; /* a carry reaches the exponent by itself */
    if (bits > infinity || field > 1 << 12) bits = infinity;
    if (head == 0) bits = negative = 0;
    S result;
    from_bits(bits | (u64)negative << (format<S>::size - 1), &result);
    return result;
}

/* (high, low) * 2^exponent, the uppermost bit set unless it is 0. */
struct prelu_wide {
    u64 high, low;
    int exponent, negative;
};

DEVICE void to_the_top(prelu_wide *w) {
    if (w->high == 0) {
        w->high = w->low;
        w->low = 0;
        w->exponent -= 64;
    }
    const int n = __clzll((i64)w->high);
    if (n > 0 && n < 64) {
        w->high = w->high << n | w->low >> (64 - n);
        w->low <<= n;
        w->exponent -= n;
    }
}

DEVICE prelu_wide wide_product(double a, double b) {
    const u64 x = bits_of(a), y = bits_of(b), hidden = 1ull << 52;
    const int fx = (int)(x >> 52) & 0x7ff, fy = (int)(y >> 52) & 0x7ff;
    const u64 mx = (x & (hidden - 1)) | (fx ? hidden : 0);
    const u64 my = (y & (hidden - 1)) | (fy ? hidden : 0);
    prelu_wide w;
    w.low = mx * my;
    w.high = __umul64hi(mx, my);
    w.exponent = (fx ? fx : 1) + (fy ? fy : 1) - 2 * 1075;
    w.negative = (int)((x ^ y) >> 63);
    to_the_top(&w);
    if (w.high == 0) w.exponent = -(1 << 20); /* below all others */
    /* room for a carry: a product has 106 bits, so none is lost */
    w.low = w.low >> 1 | w.high << 63;
    w.high >>= 1;
    w.exponent++;
    return w;
}

DEVICE int is_number(double v) { return ((bits_of(v) >> 52) & 0x7ff) != 0x7ff; }

DEVICE double integer_sum_of_products(double a, double b, double c, double d) {
    if (!(is_number(a) && is_number(b) && is_number(c) && is_number(d))) {
        const double p = is_number(a) && is_number(b) ? 0.0 : multiply(a, b);
        const double q = is_number(c) && is_number(d) ? 0.0 : multiply(c, d);
        return __dadd_rn(p, q);
    }
    prelu_wide p = wide_product(a, b), q = wide_product(c, d);
    if (p.exponent < q.exponent) {
        const prelu_wide swapped = p;
        p = q;
        q = swapped;
    }
    int shift = p.exponent - q.exponent;
    u64 lost = 0;
    if (shift >= 64) {
        lost = q.low;
        q.low = q.high;
        q.high = 0;
        shift -= 64;
    }
    if (shift >= 64) {
        lost |= q.low;
        q.low = 0;
    } else if (shift > 0) {
        lost |= q.low << (64 - shift);
        q.low = q.low >> shift | q.high << (64 - shift);
        q.high >>= shift;
    }
    q.low |= lost != 0; /* below p's last bit, also after a subtraction */
    prelu_wide sum;
    sum.exponent = p.exponent;
    sum.negative = p.negative;
    if (p.negative == q.negative) {
        sum.low = p.low + q.low;
        sum.high = p.high + q.high + (sum.low < q.low);
    } else {
        sum.low = p.low - q.low;
        sum.high = p.high - q.high - (p.low < q.low);
        if (sum.high >> 63) { /* q is the larger one */
            sum.low = ~sum.low + 1;
            sum.high = ~sum.high + (sum.low == 0);
            sum.negative = q.negative;
        }
    }
    to_the_top(&sum);
    if (sum.high == 0) return p.negative && q.negative ? -0.0 : 0.0;
    return rounded_integer<double>(sum.high | (sum.low != 0), sum.exponent + 64, sum.negative);
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
