/* A sum of terms x * dy in double that knows how wrong it may be.
 *
 * Design:
 * (a) `size` is the sum of |term|, rounded upwards. |exact - (s + low)| <= bound * size + tiny,
 *     where `bound` covers the additions that a term goes through (_plan_sums.py counts them).
 * (b) `low` sums the roundings of additions, by two-sum. Additions of partial sums always do
 *     that, those of terms only for float64 dalpha (A_IS_F64), with the rounding of each product,
 *     by fma: nearly twice the precision of a double.
 * (c) Products of float64 may be rounded, overflow or underflow; `tiny` covers what underflows.
 *     For the other dtypes a product is exact in double, no sum overflows, and s is finite if
 *     every term is.
 * (d) A thread sums sizes in x's own arithmetic: in float that saves registers, and time where
 *     doubles are slow. It may overflow there, which only means a doubt. Rounded upwards a size
 *     is 0 only if every term is.
 */
struct prelu_sum {
    double s, size, low;
};

/* The sum of one thread. */
#if X_IS_F64
typedef double prelu_size;
#else
typedef float prelu_size;
#endif
struct prelu_lane {
    double s, low;
    prelu_size size;
};

/* Where partial sums and results go. */
struct prelu_end {
    prelu_sum *partials;
    A *dalpha;
    i64 dalpha_stride; /* elements */
    u64 *doubtful;     /* how many alphas are in doubt, then which */
    double bound, tiny;
};

DEVICE prelu_sum sum_of_nothing() {
    prelu_sum sum;
    sum.s = sum.size = sum.low = 0.0;
    return sum;
}

DEVICE void join(prelu_sum *sum, const prelu_sum &other) {
    const double s = __dadd_rn(sum->s, other.s);
    sum->low = __dadd_rn(__dadd_rn(sum->low, other.low), addition_error(sum->s, other.s, s));
    sum->s = s;
    sum->size = __dadd_ru(sum->size, other.size);
}

DEVICE prelu_lane empty_lane() {
    prelu_lane lane;
    lane.s = lane.low = 0.0;
    lane.size = 0;
    return lane;
}

/* A term is factor * dy where x is not on the identity branch; factor is x, or ddx. */
DEVICE void add_term(prelu_lane *lane, int identity, X factor, X dy_) {
    const double x = as_double(native(factor)), dy = as_double(native(dy_));
    const double term = prelu_term(identity, x, dy);
    const double s = __dadd_rn(lane->s, term);
#if A_IS_F64
    double error = addition_error(lane->s, term, s);
    if (X_IS_F64) error = __dadd_rn(error, identity ? 0.0 : __fma_rn(x, dy, -term));
    lane->low = __dadd_rn(lane->low, error);
#endif
    lane->s = s;
    lane->size = identity ? lane->size : add_size(lane->size, native(factor), native(dy_));
}

DEVICE prelu_sum sum_of(const prelu_lane &lane) {
    prelu_sum sum;
    sum.s = lane.s;
    sum.size = as_double(lane.size);
    sum.low = lane.low;
    return sum;
}

/* As exact_sum.cu has it, where a lane is of one alpha. */
DEVICE prelu_lane empty_lane(const prelu_end &, i64) { return empty_lane(); }

/* One term, and a sum of two, as CuPy's ReductionKernel wants them. */
DEVICE prelu_sum one_term(int identity, X factor, X dy) {
    prelu_lane lane = empty_lane();
    add_term(&lane, identity, factor, dy);
    return sum_of(lane);
}
DEVICE prelu_sum both(prelu_sum a, const prelu_sum &b) {
    join(&a, b);
    return a;
}

/* dalpha where an alpha has one term only. */
DEVICE A rounded_term(int identity, X factor, X dy_) {
    const double x = as_double(native(factor)), dy = as_double(native(dy_));
    double term = prelu_term(identity, x, dy);
    if (term == 0.0 && (x == 0.0 || dy == 0.0)) term = 0.0; /* an exact zero is +0 */
#if X_IS_F64 && !A_IS_F64
    term = rounded_to_odd(term, __fma_rn(x, dy, -term));
#endif
    return rounded<A>(term);
}

/* The sum rounded to dalpha's dtype, or 0 if the interval leaves its rounding in doubt. */
DEVICE int is_settled(const prelu_sum &sum, const prelu_end &end, A *result) {
    if (sum.size == 0.0) { /* an exact zero is +0 */
        *result = rounded<A>(0.0);
        return 1;
    }
    const double infinity = __longlong_as_double(0x7ff0000000000000ll);
    if (!(sum.size < infinity)) {
        *result = rounded<A>(sum.s); /* a term is NaN or infinite, and so is s, */
        return !X_IS_F64 && !(fabs(sum.s) < infinity); /* or finite terms have overflowed */
    }
    const double wrong = __dadd_ru(__dmul_ru(end.bound, sum.size), end.tiny);
#if A_IS_F64
    const double high = __dadd_rn(sum.s, sum.low);
    const double low = addition_error(sum.s, sum.low, high);
    *result = __dadd_rn(high, __dsub_rd(low, wrong));
    return *result == __dadd_rn(high, __dadd_ru(low, wrong)) && *result != 0.0;
#else
    *result = rounded<A>(__dadd_rd(sum.s, __dsub_rd(sum.low, wrong)));
    return bits_of(*result) == bits_of(rounded<A>(__dadd_ru(sum.s, __dadd_ru(sum.low, wrong))));
#endif
}

DEVICE void doubt(const prelu_end &end, i64 c) {
    end.doubtful[1 + atomicAdd(end.doubtful, 1ull)] = c;
}

DEVICE void settle(const prelu_sum &sum, const prelu_end &end, i64 c) {
    A result;
    if (is_settled(sum, end, &result)) end.dalpha[c * end.dalpha_stride] = result;
    else doubt(end, c);
}

/* The sum over the block, for thread 0. Every thread must come here. */
#ifdef BLOCK
DEVICE prelu_sum shuffled_down(const prelu_sum &sum, int lanes) {
    prelu_sum other;
    other.s = __shfl_down_sync(0xffffffffu, sum.s, lanes);
    other.size = __shfl_down_sync(0xffffffffu, sum.size, lanes);
    other.low = __shfl_down_sync(0xffffffffu, sum.low, lanes);
    return other;
}

DEVICE prelu_sum block_sum(prelu_sum sum) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) join(&sum, shuffled_down(sum, lanes));
#if BLOCK > 32
    __shared__ prelu_sum warps[BLOCK / 32];
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < BLOCK / 32 ? warps[threadIdx.x] : sum_of_nothing();
#pragma unroll
        for (int lanes = BLOCK / 64; lanes > 0; lanes /= 2) join(&sum, shuffled_down(sum, lanes));
    }
    __syncthreads(); /* `warps` may be used again */
#endif
    return sum;
}
#endif
