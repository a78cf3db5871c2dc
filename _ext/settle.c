/* Design: dalpha is the exact sum, rounded once, in three steps. Most alphas need only the first.
 * (a) A quick sum has an error bound. If both endpoints of the interval round to the same number, that
 *     is dalpha.
 * (b) Undecided alphas are summed again in four doubles: all alphas of a block in one walk if many are
 *     undecided, otherwise each alone. This decides ties, zeros and sums that cancel. The four are
 *     rounded once as integers.
 * (c) Sums that leave the range of doubles, or are not finite, are summed in integers (exact_sum.h).
 */
#include "settle.h"

#include "dot.h"
#include "float_mode.h"
#include "gather.h"

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
        const ptrdiff_t length = v->axis[k].length;
        view_narrow(v, k, index % length, 1);
        index /= length;
    }
}

/* Where dalpha of this alpha lies. */
static char *dalpha_at(const prelu_view *v, ptrdiff_t index) {
    char *at = v->data[VIEW_DALPHA];
    for (int k = v->axes - 1; k >= 0; k--) {
        if (!view_varies(v, k)) continue;
        at += index % v->axis[k].length * v->axis[k].stride[VIEW_DALPHA];
        index /= v->axis[k].length;
    }
    return at;
}

/* Writes dalpha, that is rounded, of all n alphas of a call. */
static void put_dalpha(const prelu_call *call, ptrdiff_t n, const char *from) {
    const ptrdiff_t item = item_size[call->alpha_dtype];
    int last = call->view.axes - 1;
    while (last >= 0 && !view_varies(&call->view, last)) last--;
    const ptrdiff_t row = last < 0 ? 1 : call->view.axis[last].length;
    const ptrdiff_t stride = last < 0 ? 0 : call->view.axis[last].stride[VIEW_DALPHA];
    for (ptrdiff_t i = 0; i < n; i += row)
        copy_row(dalpha_at(&call->view, i), stride, from + i * item, item, row, item);
}

/* ---- one number ---- */

void prelu_round(double value, int dtype, void *to) {
    const double values[LANES] = {value};
    double items[LANES];
    const fp_state before = fp_enter();
    prelu_loops_of(dtype)->narrow(values, items, 1);
    fp_leave(before);
    memcpy(to, items, (size_t)item_size[dtype]);
}

void prelu_round_state(const int64_t *state, int x_dtype, int alpha_dtype, void *to) {
    const exact_format f = exact_formats[x_dtype];
    int64_t copy[PRELU_LIMBS_MOST];
    memcpy(copy, state, (size_t)exact_limbs(f) * sizeof *copy);
    const fp_state before = fp_enter();
    prelu_round(exact_round(copy, f, alpha_dtype), alpha_dtype, to);
    fp_leave(before);
}

int prelu_state_limbs(int x_dtype) { return exact_limbs(exact_formats[x_dtype]); }

/* ---- (c) integers ---- */

/* Adds the terms of a call of one alpha to its state. */
static void add_terms(const prelu_call *call, int64_t *state) {
    enum { ROW = 256 };
    static const int first[3] = {VIEW_X, VIEW_X, VIEW_G}, second[3] = {VIEW_X, VIEW_G, VIEW_DY};
    const int *factor = call->view.data[VIEW_DY] ? second : first;
    const prelu_view *v = &call->view;
    const exact_format f = exact_formats[call->x_dtype];
    const int last = v->axes - 1;
    const ptrdiff_t item = item_size[call->x_dtype], rows = view_size(v) / v->axis[last].length;
    const double edge = call->at_one ? -0x1p-1074 : 0.0; /* of the alpha branch, the last x */
    ptrdiff_t uncarried = 0;
    for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t i = 0, n; i < v->axis[last].length; i += n) {
            double v3[3][ROW], raw[ROW];
            n = v->axis[last].length - i < ROW ? v->axis[last].length - i : ROW;
            for (int k = 0; k < 3; k++) {
                const int o = factor[k];
                const char *from = v->data[o] + i * v->axis[last].stride[o];
                ptrdiff_t rest = row;
                for (int axis = last - 1; axis >= 0; rest /= v->axis[axis--].length)
                    from += rest % v->axis[axis].length * v->axis[axis].stride[o];
                copy_row((char *)raw, item, from, v->axis[last].stride[o], n, item);
                prelu_loops_of(call->x_dtype)->widen_double(raw, v3[k], n);
            }
            for (ptrdiff_t l = 0; l < n; l++)
                if (!prelu_identity_double(v3[0][l], edge))
                    exact_add_product(state, f, v3[1][l], v3[2][l]);
            if ((uncarried += n) > 1 << 29) exact_carry(state, f), uncarried = 0;
        }
}

/* ---- (b) exact sums ---- */

static int is_exact(const double *part) {
    return fabs(part[0] + part[1] + part[2] + part[3]) <= DBL_MAX;
}

/* The number of one alpha's exact sum, rounded to its dtype; with call->partial its state. */
static double finish_exact(const prelu_call *call, ptrdiff_t index, const double *part) {
    const exact_format f = exact_formats[call->x_dtype];
    const int exact = is_exact(part), exponent = -2 * call->larger;
    if (exact && !call->partial)
        return exact_round_sum(part, PARTS, exponent, call->alpha_dtype);
    int64_t state[PRELU_LIMBS_MOST];
    memset(state, 0, (size_t)exact_limbs(f) * sizeof *state);
    for (int k = 0; k < PARTS && exact; k++) exact_add(state, f, part[k], exponent);
    if (!exact) {
        prelu_call one;
        prelu_call_copy(&one, call);
        narrow_to_alpha(&one.view, index);
        view_canonical(&one.view);
        add_terms(&one, state);
    }
    if (!call->partial) return exact_round(state, f, call->alpha_dtype);
    exact_carry(state, f);
    memcpy(dalpha_at(&call->view, index), state, (size_t)exact_limbs(f) * sizeof *state);
    return 0;
}

/* Sums these n alphas exactly. float64 factors whose products underflow, or do so no more, are tried
 * once more, larger or as they are. */
static void sum_exactly(const prelu_call *call, const ptrdiff_t *undecided, ptrdiff_t n,
                        const block_room *room, int tries) {
    const ptrdiff_t alphas = view_alphas(&call->view), item = item_size[call->alpha_dtype];
    const int all = n * 16 > alphas; /* else each uses the place of the last one's sums */
    double *const *const sum = room->sums.part, *const value = sum[0];
    char *const items = (char *)sum[1];
    ptrdiff_t left = 0;
    prelu_call sums_only;
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t index = undecided[i], at = all ? index : alphas - 1;
        if (!all || i == 0) {
            const ptrdiff_t first = all ? 0 : at;
            prelu_sums sums;
            for (int k = 0; k < PARTS; k++) {
                sums.part[k] = sum[k] + first;
                memset(sums.part[k], 0, (size_t)(alphas - first) * sizeof(double));
            }
            prelu_call_copy(&sums_only, call);
            sums_only.view.data[VIEW_OUT] = sums_only.view.data[VIEW_OF_X] = NULL;
            if (!all) {
                narrow_to_alpha(&sums_only.view, index);
                view_canonical(&sums_only.view);
            }
            prelu_walk_in_threads(&sums_only, EXACT, &sums);
        }
        const double part[PARTS] = {sum[0][at], sum[1][at], sum[2][at], sum[3][at]};
        if (all && tries > 1 && prelu_is_wide(call) && !is_exact(part)) room->lost[left++] = index;
        else value[i] = finish_exact(call, index, part); /* in the place of a sum that was taken */
    }
    prelu_loops_of(call->alpha_dtype)->narrow(value, items, call->partial ? 0 : n);
    for (ptrdiff_t i = 0; i < n && !call->partial; i++)
        memcpy(room->dalpha + undecided[i] * item, items + i * item, (size_t)item);
    if (!left) return;
    prelu_call_copy(&sums_only, call);
    sums_only.larger = call->larger ? 0 : LARGER;
    sum_exactly(&sums_only, room->lost, left, room, tries - 1);
}

/* ---- (a) quick sums ---- */

void prelu_settle(const prelu_call *call, const block_room *room, int careful) {
    const ptrdiff_t alphas = view_alphas(&call->view);
    const double terms = (double)(view_size(&call->view) / alphas);
    const double tiny = careful                       ? 0.0 /* what products lose by underflow */
                        : prelu_is_wide(call)          ? terms * 0x1p-1073
                        : call->x_dtype == PRELU_BF16 ? terms * 0x1p-149
                                                      : 0.0;
    const ptrdiff_t n = prelu_loops_of(call->alpha_dtype)->round(&room->sums, alphas, tiny,
                                                                 room->dalpha, room->undecided);
    if (n) {
        prelu_call again;
        prelu_call_copy(&again, call);
        const double *sum = room->sums.part[SUM];
        ptrdiff_t k = 0; /* that is not zero */
        while (k < n - 1 && sum[room->undecided[k]] == 0) k++;
        const double size = fabs(sum[room->undecided[k]]);
        if (prelu_is_wide(call) && size > 0 && size < TINY) again.larger = LARGER;
        sum_exactly(&again, room->undecided, n, room, 2);
    }
    put_dalpha(call, alphas, room->dalpha);
}

void prelu_settle_states(const prelu_call *call, const block_room *room) {
    const ptrdiff_t alphas = view_alphas(&call->view);
    for (ptrdiff_t i = 0; i < alphas; i++) room->undecided[i] = i;
    sum_exactly(call, room->undecided, alphas, room, 2);
}
