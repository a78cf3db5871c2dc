/* Design: dalpha is the exact sum, rounded once, in three steps of which most alphas need the first.
 * (a) A quick sum has a bound on its error. If both ends of the interval round to the same number that
 *     is the answer.
 * (b) The others are summed again as exact sums of four doubles: all alphas of a block in one walk
 *     if many are in doubt, else each for itself. That settles ties, sums that cancel, and zeros.
 * (c) What leaves the range of those, or is not finite, is summed in integers (exact_sum.h).
 */
#include "settle.h"

#include "dot.h"
#include "gather.h"
#include "parallel.h"

#define PRELU_FN static inline
#define PRELU_GT(a, b) ((a) > (b))
#define PRELU_MUL(a, b) ((a) * (b))
#define PRELU_DOT dot_double
#define PRELU_ALPHA double
#define real double
#define PRELU(name) prelu_##name##_double
#include "prelu_scalar.h"

/* The exponent of larger factors; what sums are below where products underflow. */
enum { LARGER = 600 };
#define TINY 0x1p-850

/* Narrows a call to the alpha with this index among its alphas. */
static void narrow_to_alpha(prelu_view *v, ptrdiff_t index) {
    for (int k = v->axes - 1; k >= 0; k--) {
        if (!view_varies(v, k)) continue;
        const ptrdiff_t length = v->shape[k];
        view_narrow(v, k, index % length, 1);
        index /= length;
    }
}

/* Writes dalpha, that is rounded, of all n alphas of a call. */
static void put_dalpha(const prelu_call *call, ptrdiff_t n, const char *from) {
    const ptrdiff_t item = item_size[call->alpha_dtype];
    prelu_view one;
    int last = call->view.axes - 1;
    while (last >= 0 && !view_varies(&call->view, last)) last--;
    const ptrdiff_t row = last < 0 ? 1 : call->view.shape[last];
    const ptrdiff_t stride = last < 0 ? 0 : call->view.stride[VIEW_DALPHA][last];
    for (ptrdiff_t index = 0; index < n; index += row) {
        view_copy(&one, &call->view);
        narrow_to_alpha(&one, index);
        copy_row(one.data[VIEW_DALPHA], stride, from + index * item, item, row, item);
    }
}

/* ---- (c) integers ---- */

/* Adds the terms of a call of one alpha to its state. */
static void add_terms(const prelu_call *call, int64_t *state) {
    enum { ROW = 256 };
    static const int first[3] = {VIEW_X, VIEW_X, VIEW_G}, second[3] = {VIEW_X, VIEW_G, VIEW_DY};
    const int *factor = call->view.data[VIEW_DY] ? second : first;
    const prelu_view *v = &call->view;
    const exact_format f = exact_formats[call->x_dtype];
    const int last = v->axes - 1;
    const ptrdiff_t item = item_size[call->x_dtype], rows = view_size(v) / v->shape[last];
    const double edge = call->at_one ? -DBL_MIN * DBL_EPSILON : 0.0;
    for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t i = 0, n; i < v->shape[last]; i += n) {
            double v3[3][ROW], raw[ROW];
            n = v->shape[last] - i < ROW ? v->shape[last] - i : ROW;
            for (int k = 0; k < 3; k++) {
                const ptrdiff_t *stride = v->stride[factor[k]];
                const char *from = v->data[factor[k]] + i * stride[last];
                ptrdiff_t rest = row;
                for (int axis = last - 1; axis >= 0; rest /= v->shape[axis--])
                    from += rest % v->shape[axis] * stride[axis];
                copy_row((char *)raw, item, from, stride[last], n, item);
                prelu_loops_of(call->x_dtype)->widen_double(raw, v3[k], n);
            }
            for (ptrdiff_t l = 0; l < n; l++) {
                if (prelu_identity_double(v3[0][l], edge)) continue;
                exact_add_product(state, f, v3[1][l], v3[2][l]);
            }
            if ((state[f.digits + EXACT_COUNTS] += n) > 1 << 29) {
                exact_carry(state, f);
                state[f.digits + EXACT_COUNTS] = 0;
            }
        }
}

/* ---- (b) exact sums ---- */

/* The sum of four doubles as three that do not overlap; what is left of them has the sign of `rest`. */
static double add_parts(const double *part, double *low, double *rest) {
    double p[PARTS], high;
    int n = 0;
    *rest = 0;
    if (part[2] == 0 && part[3] == 0) {
        high = part[0] + part[1];
        *low = two_sum_error(part[0], part[1], high);
        return high;
    }
    for (int k = 0; k < PARTS; k++) { /* p: doubles that do not overlap, the smallest first */
        double term = part[k];
        int kept = 0;
        for (int i = 0; i < n; i++) {
            const double sum = term + p[i], error = two_sum_error(term, p[i], sum);
            if (error != 0) p[kept++] = error;
            term = sum;
        }
        p[kept++] = term;
        n = kept;
    }
    high = p[--n], *low = 0;
    while (n > 0 && *low == 0) {
        const double sum = high + p[--n];
        *low = two_sum_error(high, p[n], sum);
        high = sum;
    }
    if (n > 0) *rest = p[n - 1];
    return high;
}

/* Four doubles, of larger factors or not, as a double that narrow() rounds once to a dtype. */
static double round_parts(const double *part, int larger, int dtype) {
    const double shrink = larger ? ldexp(1.0, -LARGER) : 1.0;
    double low, rest, high = add_parts(part, &low, &rest);
    if (larger && fabs(high * shrink * shrink) < DBL_MIN) { /* a multiple of the smallest number */
        const double unit = ldexp(1.0, 2 * LARGER - 1074), ruler = copysign(unit * 0x1p52, high);
        double rounded = (high + ruler) - ruler;
        const double left = high - rounded;
        if (2 * fabs(left) == unit && low != 0 && (low > 0) == (left > 0)) rounded += 2 * left;
        return copysign(rounded, high) * shrink * shrink;
    }
    if (dtype != PRELU_F64) return to_odd(high, low) * shrink * shrink;
    const double twice = low * 2, other = high + twice;
    if (low != 0 && rest != 0 && (low > 0) == (rest > 0) && twice == other - high)
        high = other; /* a tie that what is left decides */
    return high * shrink * shrink + 0.0;
}

static int is_exact(const double *part) {
    return fabs(part[0] + part[1] + part[2] + part[3]) <= DBL_MAX;
}

/* The number of one alpha's exact sum, as a double that narrow() rounds once; with call->partial its
 * state. */
static double finish_exact(const prelu_call *call, ptrdiff_t index, const double *part) {
    const exact_format f = exact_formats[call->x_dtype];
    const int exact = is_exact(part);
    if (exact && !call->partial) return round_parts(part, call->larger, call->alpha_dtype);
    int64_t state[PRELU_LIMBS_MOST + 1];
    memset(state, 0, (size_t)(exact_limbs(f) + 1) * sizeof *state);
    prelu_call one;
    prelu_call_copy(&one, call);
    narrow_to_alpha(&one.view, index);
    for (int k = 0; k < PARTS && exact; k++) exact_add(state, f, part[k], -2 * call->larger);
    if (!exact) {
        view_canonical(&one.view);
        add_terms(&one, state);
    }
    if (!call->partial) return exact_round(state, f, call->alpha_dtype);
    exact_carry(state, f);
    memcpy(one.view.data[VIEW_DALPHA], state, (size_t)exact_limbs(f) * sizeof *state);
    return 0;
}

/* Sums these n alphas exactly, or with `doubts` NULL all n. float64 factors whose products
 * underflow, or do so no more, are tried once more, larger or as they are. */
static void sum_exactly(const prelu_call *call, const ptrdiff_t *doubts, ptrdiff_t n,
                        const block_room *room, int tries) {
    enum { CHUNK = 256 }; /* alphas */
    double value[CHUNK], items[CHUNK];
    const ptrdiff_t alphas = view_alphas(&call->view), item = item_size[call->alpha_dtype];
    const int all = !doubts || n * 16 > alphas;
    const prelu_sums sums = room->sums;
    ptrdiff_t left = 0;
    for (int k = 0; k < PARTS; k++)
        memset(sums.part[k], 0, (size_t)(all ? alphas : 1) * sizeof(double));
    prelu_call sums_only;
    prelu_call_copy(&sums_only, call);
    sums_only.view.data[VIEW_OUT] = sums_only.view.data[VIEW_OF_X] = NULL;
    if (all) prelu_walk_in_threads(&sums_only, EXACT, &sums);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t index = doubts ? doubts[i] : i, at = all ? index : 0;
        if (!all) {
            for (int k = 0; k < PARTS; k++) sums.part[k][0] = 0;
            view_copy(&sums_only.view, &call->view);
            sums_only.view.data[VIEW_OUT] = sums_only.view.data[VIEW_OF_X] = NULL;
            narrow_to_alpha(&sums_only.view, index);
            view_canonical(&sums_only.view);
            prelu_walk_in_threads(&sums_only, EXACT, &sums);
        }
        const double part[PARTS] = {sums.part[0][at], sums.part[1][at], sums.part[2][at],
                                    sums.part[3][at]};
        value[i % CHUNK] = 0.0;
        if (all && tries > 1 && prelu_is_wide(call) && !is_exact(part)) room->lost[left++] = index;
        else value[i % CHUNK] = finish_exact(call, index, part);
        if (call->partial || (i % CHUNK < CHUNK - 1 && i < n - 1)) continue;
        const ptrdiff_t first = i / CHUNK * CHUNK;
        prelu_loops_of(call->alpha_dtype)->narrow(value, items, i + 1 - first);
        for (ptrdiff_t j = first; j <= i; j++)
            memcpy(room->dalpha + (doubts ? doubts[j] : j) * item,
                   (const char *)items + (j - first) * item, (size_t)item);
    }
    if (!left) return;
    view_copy(&sums_only.view, &call->view);
    sums_only.larger = call->larger ? 0 : LARGER;
    sum_exactly(&sums_only, room->lost, left, room, tries - 1);
}

/* ---- (a) quick sums ---- */

static int differ(const char *a, const char *b, ptrdiff_t i, ptrdiff_t item) {
    if (item == 2) return memcmp(a + 2 * i, b + 2 * i, 2) != 0;
    if (item == 4) return memcmp(a + 4 * i, b + 4 * i, 4) != 0;
    return memcmp(a + 8 * i, b + 8 * i, 8) != 0;
}

void prelu_settle(const prelu_call *call, const block_room *room, int careful) {
    enum { CHUNK = 256 };
    const ptrdiff_t alphas = view_alphas(&call->view), item = item_size[call->alpha_dtype];
    const prelu_loops *loops = prelu_loops_of(call->alpha_dtype);
    const double terms = (double)(view_size(&call->view) / alphas);
    const double tiny = careful                       ? 0.0 /* what products lose by underflow */
                        : prelu_is_wide(call)          ? terms * 0x1p-1073
                        : call->x_dtype == PRELU_BF16 ? terms * 0x1p-149
                                                      : 0.0;
    const prelu_sums *sums = &room->sums;
    ptrdiff_t *doubts = room->doubts, doubtful = 0;
    for (ptrdiff_t first = 0; first < alphas; first += CHUNK) {
        const ptrdiff_t n = alphas - first < CHUNK ? alphas - first : CHUNK;
        double ends[CHUNK];
        char *const above = (char *)ends, *const below = room->dalpha + first * item;
        const prelu_sums from = {{sums->part[SUM] + first, sums->part[BOUND] + first,
                                  sums->part[LOW] + first, NULL}};
        const int sure = loops->round(&from, n, tiny, below, above);
        for (ptrdiff_t i = 0; i < n && !sure; i++)
            if (differ(below, above, i, item) || !(from.part[BOUND][i] <= DBL_MAX))
                doubts[doubtful++] = first + i;
    }
    if (doubtful) {
        prelu_call again;
        prelu_call_copy(&again, call);
        ptrdiff_t k = 0; /* that is not zero */
        while (k < doubtful - 1 && sums->part[SUM][doubts[k]] == 0) k++;
        const double size = fabs(sums->part[SUM][doubts[k]]);
        if (prelu_is_wide(call) && size > 0 && size < TINY) again.larger = LARGER;
        sum_exactly(&again, doubts, doubtful, room, 2);
    }
    put_dalpha(call, alphas, room->dalpha);
}

void prelu_settle_states(const prelu_call *call, const block_room *room) {
    sum_exactly(call, NULL, view_alphas(&call->view), room, 2);
}
