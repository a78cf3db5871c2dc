/* Design:
 * (a) walk.c takes a call to the loops; here are the instruction set, the sums after a walk, and
 *     the last rounding.
 * (b) dalpha: plain sums with an error bound from the sum of |partial sum|. If both ends of the
 *     interval round to the same number that is the answer; only the other alphas are summed
 *     exactly, in a second pass over their elements. Where dx overwrites its inputs there is no
 *     second pass, and the first one is exact. Where each alpha has one element its term is
 *     rounded.
 */
#include "engine.h"

#include "float_mode.h"
#include "pieces.h"
#include "walk.h"

#include <float.h>
#include <stdlib.h>
#if PRELU_HAVE_X86_SETS
#include <cpuid.h>
#endif

enum { FEW = 64 }; /* alphas whose sums fit the stack */

/* ---- the instruction set ---- */

static const struct {
    const char *name;
    const prelu_loop_table *table;
} instruction_sets[] = {
#if PRELU_HAVE_X86_SETS
    {"avx512", &prelu_loops_avx512},
    {"avx2", &prelu_loops_avx2},
#endif
    {"baseline", &prelu_loops_baseline},
};
enum { INSTRUCTION_SETS = sizeof instruction_sets / sizeof *instruction_sets };

/* Asked of the processor: __builtin_cpu_supports knows f16c only in newer clangs, and nothing at
 * all in some of their runtimes. */
static int runs_here(const char *name) {
#if PRELU_HAVE_X86_SETS
    unsigned a, b, c, d, saved = 0;
    int avx2 = __get_cpuid(1, &a, &b, &c, &d) && c & bit_OSXSAVE && c & bit_F16C && c & bit_FMA;
    if (avx2) /* which registers the system saves */
        __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    avx2 = avx2 && (saved & 0x06) == 0x06 && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           b & bit_AVX2;
    if (strcmp(name, "avx2") == 0)
        return avx2;
    if (strcmp(name, "avx512") == 0)
        return avx2 && (saved & 0xe6) == 0xe6 && b & bit_AVX512F && b & bit_AVX512VL &&
               b & bit_AVX512BW && b & bit_AVX512DQ;
#endif
    return strcmp(name, "baseline") == 0;
}

static int selected = -1; /* set once, while the module is imported */

int prelu_select_instruction_set(const char *name) {
    for (int i = 0; i < INSTRUCTION_SETS; i++)
        if ((!name || strcmp(name, instruction_sets[i].name) == 0) &&
            runs_here(instruction_sets[i].name)) {
            selected = i;
            return 1;
        }
    return 0;
}

const char *prelu_instruction_set(void) { return instruction_sets[selected].name; }

const prelu_loops *loops_of(int dtype, int wide) {
    return &(*instruction_sets[selected].table)[dtype][wide];
}

void prelu_scale(const prelu_call *call) {
    const fp_state fp = fp_enter();
    prelu_walk(call, SCALE, NULL, NULL);
    fp_leave(fp);
}

void prelu_round(double value, int dtype, void *to) {
    const fp_state fp = fp_enter();
    loops_of(dtype, 1)->narrow(&value, to, 1);
    fp_leave(fp);
}

/* ---- sums, and the last rounding ---- */

int prelu_sums_new(prelu_sums *sums, ptrdiff_t n) {
    sums->n = n;
    sums->high = calloc((size_t)n * 3, sizeof(double));
    sums->low = sums->high + n;
    sums->partials = sums->low + n;
    return sums->high != NULL;
}

void prelu_sums_free(prelu_sums *sums) { free(sums->high); }

void prelu_sums_of(const prelu_call *call, prelu_sums *sums) {
    const fp_state fp = fp_enter();
    prelu_walk(call, SUMS, sums, NULL);
    fp_leave(fp);
}

void prelu_sums_add(prelu_sums *to, const prelu_sums *from) {
    for (ptrdiff_t i = 0; i < to->n; i++)
        sums_add_one(to, i, from->high[i], from->low[i], from->partials[i]);
}

/* Narrows a call to the alpha with this index among its alphas. */
static void narrow_to_alpha(prelu_view *v, ptrdiff_t index) {
    for (int k = v->axes - 1; k >= 0; k--) {
        if (!view_varies(v, k)) continue;
        const ptrdiff_t length = v->shape[k];
        view_narrow(v, k, index % length, 1);
        index /= length;
    }
}

/* Writes rounded dalpha for n alphas from this index on. */
static void put_dalpha(const prelu_call *call, ptrdiff_t index, ptrdiff_t n, const void *from) {
    const size_t item = item_size[call->alpha_dtype];
    prelu_view one;
    int last = call->view.axes - 1;
    while (last >= 0 && !view_varies(&call->view, last)) last--;
    while (n > 0) { /* a row of dalpha at a time */
        view_copy(&one, &call->view);
        narrow_to_alpha(&one, index);
        const ptrdiff_t length = last < 0 ? 1 : call->view.shape[last];
        const ptrdiff_t left = length - index % length, row = n < left ? n : left;
        copy_row(one.data[VIEW_DALPHA], last < 0 ? 0 : call->view.stride[VIEW_DALPHA][last], from,
                 (ptrdiff_t)item, row, (ptrdiff_t)item);
        from = (const char *)from + (size_t)row * item;
        index += row;
        n -= row;
    }
}

static void put_rounded(const prelu_call *call, ptrdiff_t index, int64_t *state, exact_format f) {
    const double value = exact_round(state, f, call->alpha_dtype);
    double item;
    loops_of(call->alpha_dtype, 1)->narrow(&value, &item, 1);
    put_dalpha(call, index, 1, &item);
}

static void put_state(const prelu_call *call, ptrdiff_t index, int64_t *state, exact_format f) {
    prelu_view one;
    view_copy(&one, &call->view);
    narrow_to_alpha(&one, index);
    exact_carry(state, f);
    memcpy(one.data[VIEW_DALPHA], state, (size_t)exact_limbs(f) * sizeof *state);
}

/* Sums a call exactly, and writes dx if the view has it. */
static int exact_call(const prelu_call *call, exact_work *e) {
    const exact_format f = exact_formats[call->x_dtype];
    prelu_sums sums = {view_alphas(&call->view), NULL, NULL, NULL};
    e->states = calloc((size_t)sums.n, (size_t)exact_limbs(f) * sizeof *e->states);
    if (!e->states) return 0;
    e->adds = 0;
    e->largest = 0;
    e->lanes = (lane_state){0, 0, 0};
    prelu_walk(call, EXACT, &sums, e);
    for (ptrdiff_t i = 0; i < sums.n; i++) {
        int64_t *state = e->states + i * exact_limbs(f);
        if (call->partial) put_state(call, i, state, f);
        else put_rounded(call, i, state, f);
    }
    free(e->states);
    return 1;
}

/* Sums these n alphas exactly, or with `doubts` NULL all of them and dx. */
static int sum_exactly(const prelu_call *call, const ptrdiff_t *doubts, ptrdiff_t n) {
    void *allocated = malloc(sizeof(exact_work) + LINE);
    if (!allocated) return 0;
    int done = doubts || exact_call(call, at_line(allocated));
    for (ptrdiff_t i = 0; i < n && done; i++) {
        prelu_call one;
        prelu_call_copy(&one, call);
        narrow_to_alpha(&one.view, doubts[i]);
        done = exact_call(&one, at_line(allocated));
    }
    free(allocated);
    return done;
}

/* Sums these n alphas of a call again, exactly; all of its alphas if they are many. */
static int sum_again(const prelu_call *call, const ptrdiff_t *doubts, ptrdiff_t n) {
    prelu_call again;
    prelu_call_copy(&again, call);
    again.view.data[VIEW_OUT] = again.view.data[VIEW_OF_X] = NULL;
    const int all = n * 16 > view_alphas(&call->view);
    return all ? sum_exactly(&again, NULL, 0) : sum_exactly(&again, doubts, n);
}

/* Rounds the sums; those in doubt are summed again, exactly. */
int prelu_finish(const prelu_call *call, prelu_sums *sums) {
    const fp_state fp = fp_enter();
    const ptrdiff_t terms = view_size(&call->view) / sums->n;
    const int wide = call->alpha_dtype == PRELU_F64;
    const size_t item = item_size[call->alpha_dtype];
    const prelu_loops *loops = loops_of(call->alpha_dtype, 1);
    /* The error of a sum is at most `bound` * partials + `tiny`. One rounding for each addition
     * into a lane; where x is float64 one for each product too, and |term| is at most the sum of
     * two |partial sum|. Compensated sums (`wide`) err where these errors are added up, again
     * once for each addition. Adding up lanes is compensated everywhere; what it errs, and
     * the partials, is in the small parts. `tiny` is for products that underflow. */
    const double unit = DBL_EPSILON / 2;
    const double pairs = 8.0 * (double)terms * unit * unit;
    const double once = (call->x_dtype == PRELU_F64 ? 3.0 : 1.0) * unit * (1 + 0x1p-20);
    const double bound = pairs + (wide ? 8.0 * ADDS_MOST * unit * unit : once);
    const double tiny = (double)terms * (call->x_dtype == PRELU_F64    ? 0x1p-1073
                                         : call->x_dtype == PRELU_BF16 ? 0x1p-149
                                                                       : 0.0);
    enum { CHUNK = 256 };
    ptrdiff_t doubtful = 0;
    ptrdiff_t few[FEW], *doubts = sums->n <= FEW ? few : malloc((size_t)sums->n * sizeof *doubts);
    int done = doubts != NULL;

    for (ptrdiff_t first = 0; done && first < sums->n; first += CHUNK) {
        const ptrdiff_t n = sums->n - first < CHUNK ? sums->n - first : CHUNK;
        double below[CHUNK], above[CHUNK], rounded_below[CHUNK], rounded_above[CHUNK];
        for (ptrdiff_t i = 0; i < n; i++) {
            const double high = sums->high[first + i], low = sums->low[first + i];
            /* `slack`: the roundings of these lines. Where narrow() is a second rounding, each end
             * must also lie more than a unit of `high` beyond the sum: else it could round to a
             * tie of the dtype from the wrong side. */
            const double slack = fabs(low) * (4 * unit) + (wide ? 0.0 : fabs(high) * (4 * unit));
            const double error = sums->partials[first + i] * bound + tiny + slack;
            below[i] = high + (low - error);
            above[i] = high + (low + error);
        }
        loops->narrow(below, rounded_below, (size_t)n);
        loops->narrow(above, rounded_above, (size_t)n);
        int sure = memcmp(rounded_below, rounded_above, (size_t)n * item) == 0;
        for (ptrdiff_t i = 0; i < n; i++) sure &= sums->partials[first + i] <= DBL_MAX;
        for (ptrdiff_t i = 0; i < n && !sure; i++) {
            const char *a = (char *)rounded_below + (size_t)i * item;
            const char *b = (char *)rounded_above + (size_t)i * item;
            if (memcmp(a, b, item) != 0 || !(sums->partials[first + i] <= DBL_MAX))
                doubts[doubtful++] = first + i;
        }
        put_dalpha(call, first, n, rounded_below);
    }

    if (done && doubtful) done = sum_again(call, doubts, doubtful);
    if (doubts != few) free(doubts);
    fp_leave(fp);
    return done;
}

static int backward_block(const prelu_call *call, int inputs_change) {
    if (call->partial) return sum_exactly(call, NULL, 0);
    if (view_alphas(&call->view) == view_size(&call->view)) {
        prelu_walk(call, TERMS, NULL, NULL);
        return 1;
    }
    if (inputs_change) return sum_exactly(call, NULL, 0);
    double few[3 * FEW]; /* small calls allocate nothing */
    const ptrdiff_t n = view_alphas(&call->view);
    prelu_sums sums = {n, few, few + n, few + 2 * n};
    const int allocated = n > FEW;
    if (allocated && !prelu_sums_new(&sums, n)) return 0;
    if (!allocated) memset(few, 0, 3 * (size_t)n * sizeof *few);
    prelu_walk(call, SUMS, &sums, NULL);
    const int done = prelu_finish(call, &sums);
    if (allocated) prelu_sums_free(&sums);
    return done;
}

/* Cuts the outermost axis along which alpha varies until few enough alphas are left. */
static int backward_blocks(const prelu_call *call, int inputs_change, int axis) {
    const prelu_view *v = &call->view;
    const ptrdiff_t alphas = view_alphas(v);
    if (alphas <= PRELU_MOST_ALPHAS || (alphas == view_size(v) && !call->partial))
        return backward_block(call, inputs_change);
    while (!view_varies(v, axis)) axis++;
    const ptrdiff_t of_one = alphas / v->shape[axis];
    const ptrdiff_t most = of_one < PRELU_MOST_ALPHAS ? PRELU_MOST_ALPHAS / of_one : 1;
    prelu_call part;
    prelu_call_copy(&part, call);
    for (ptrdiff_t first = 0; first < v->shape[axis]; first += most) {
        view_copy(&part.view, v);
        view_narrow(&part.view, axis, first,
                    v->shape[axis] - first < most ? v->shape[axis] - first : most);
        if (!backward_blocks(&part, inputs_change, axis + 1)) return 0;
    }
    return 1;
}

int prelu_backward(const prelu_call *call, int inputs_change) {
    const fp_state fp = fp_enter();
    const int done = backward_blocks(call, inputs_change, 0);
    fp_leave(fp);
    return done;
}

void prelu_carry(int64_t *state, int x_dtype) { exact_carry(state, exact_formats[x_dtype]); }

void prelu_round_state(const int64_t *state, int x_dtype, int alpha_dtype, void *to) {
    const fp_state fp = fp_enter();
    const exact_format f = exact_formats[x_dtype];
    int64_t copy[PRELU_LIMBS_MOST];
    memcpy(copy, state, (size_t)exact_limbs(f) * sizeof *copy);
    const double value = exact_round(copy, f, alpha_dtype);
    loops_of(alpha_dtype, 1)->narrow(&value, to, 1);
    fp_leave(fp);
}

int prelu_state_limbs(int x_dtype) { return exact_limbs(exact_formats[x_dtype]); }
