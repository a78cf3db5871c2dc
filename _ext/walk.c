/* Design:
 * (a) A view is walked in tiles that fit the first cache, of at most TILE elements but for the
 *     first of a run, which may have twice as many where it needs no buffer. A tile is a
 *     piece of the innermost three axes; an operand whose piece is one run of memory is used in
 *     place, any other is gathered first. So there are contiguous loops only.
 * (b) Where alpha stays the same along the innermost axis for RUN_LEAST elements a tile has one
 *     alpha and its sums stay in registers; otherwise alpha is laid out beside the tile and each
 *     lane has its own sums, which are added to those of their alphas when the lanes change.
 * (c) Large outputs are written around the caches, which saves reading their lines first; only
 *     whole lines can be.
 */
#include "walk.h"

#include "dot.h"
#include "float_mode.h"
#include "pieces.h"

#include <float.h>
#include <stdlib.h>

#define PRELU_FN static inline
#define PRELU_GT(a, b) ((a) > (b))
#define PRELU_MUL(a, b) ((a) * (b))
#define PRELU_DOT dot_double
#define PRELU_ALPHA double
#define real double
#define PRELU(name) prelu_##name##_double
#include "prelu_scalar.h"

enum {
    LANES_FEW = 1024,  /* as many have room on the stack */
    LANES_SUMS = 48,   /* fewer would wait for their own last sum */
    LANES_SCALE = 192, /* without sums; fewer take longer, since each row has its beginning */
    RUN_LEAST = 192,   /* shorter runs of one alpha are laid out instead */
    PIECE = TILE_BYTES / 8 + LANES /* doubles that hold one, apart as `few` are */
};

typedef struct {
    const prelu_call *call;
    const prelu_loops *loops;
    int mode, wide, each; /* wide: computed in double; each: each alpha has one element and x's
                             dtype, so alpha is an operand like x */
    prelu_sums *sums;
    exact_work *exact;

    /* the innermost axes, absent ones of length 1 */
    int outer_axes, along, operands, operand[VIEW_OPERANDS]; /* those the call has */
    ptrdiff_t n[3], stride[VIEW_OPERANDS][3];
    ptrdiff_t index_stride[VIEW_MAX_AXES], tile_index_stride[3]; /* among the sums */

    piece laid_out;           /* rows side by side, and their lanes, that are laid out now */
    ptrdiff_t rotation;       /* the lane that comes first, so that tiles begin with a line */
    const char *laid_out_for[2]; /* and the alpha and alpha_dot they begin with */
    const void *alpha, *alpha_dot; /* in the compute type */
    lane_state lanes;
    ptrdiff_t lanes_most;
    double *sum, *correction, *partials, *alpha_lanes[2]; /* lanes_most each: `few`, or allocated */
    /* All begin with a line, or each load and store of lanes takes two. `few`: not a multiple of
     * 4096 bytes apart, or a load waits for another array's store. */
    _Alignas(LINE) double few[5][LANES_FEW + LANES];
    double x[PIECE], g[PIECE], out[PIECE], dy[PIECE], of_x[PIECE], factor[2][PIECE];
} work;


/* The next alphas' sums, in a loop that the compiler can vectorise. */
static void sums_add_row(prelu_sums *sums, ptrdiff_t first, ptrdiff_t n, const double *restrict s,
                         const double *restrict c, const double *restrict t) {
    double *restrict high = sums->high + first, *restrict low = sums->low + first;
    double *restrict partials = sums->partials + first;
    for (ptrdiff_t i = 0; i < n; i++)
        sums_add_one(&(prelu_sums){1, high + i, low + i, partials + i}, 0, s[i], c[i], t[i]);
}

/* Adds up `parts` parts of n lanes, that follow each other, into the first: by halves, so that few
 * roundings lie on top of each other. */
static void fold(double *restrict sum, double *restrict correction, double *restrict partials,
                 ptrdiff_t n, ptrdiff_t parts) {
    while (parts > 1) {
        const ptrdiff_t half = (parts + 1) / 2, far = half * n;
        for (ptrdiff_t i = 0; i < (parts - half) * n; i++) {
            const double a = sum[i], b = sum[i + far], s = a + b, z = s - a;
            correction[i] += correction[i + far] + ((a - (s - z)) + (b - z));
            sum[i] = s;
            partials[i] += partials[i + far];
        }
        parts = half;
    }
}

/* The last `by` of n numbers come first; `by` is less than a line has. */
static void rotate(double *lanes, ptrdiff_t n, ptrdiff_t by) {
    double last[LINE / 2];
    memcpy(last, lanes + n - by, (size_t)by * sizeof *lanes);
    memmove(lanes + by, lanes, (size_t)(n - by) * sizeof *lanes);
    memcpy(lanes, last, (size_t)by * sizeof *lanes);
}

static void sums_flush(work *w) {
    lane_state *l = &w->lanes;
    if (l->used == 0) return;
    if (w->rotation) {
        rotate(w->sum, l->used, w->rotation);
        rotate(w->correction, l->used, w->rotation);
        rotate(w->partials, l->used, w->rotation);
    }
    const ptrdiff_t *n = w->laid_out.n, *step = w->tile_index_stride, row = n[1] * n[2];
    fold(w->sum, w->correction, w->partials, row, l->used / row);
    for (ptrdiff_t b = 0; b < n[1]; b++) {
        double *s = w->sum + b * n[2], *c = w->correction + b * n[2];
        double *t = w->partials + b * n[2];
        const ptrdiff_t first = l->index + b * step[1];
        if (step[2] == 0) fold(s, c, t, 1, n[2]);
        sums_add_row(w->sums, first, step[2] == 0 ? 1 : n[2], s, c, t);
    }
    l->used = l->adds = 0;
}

/* ---- exact sums ---- */

static inline int64_t *exact_state(work *w, ptrdiff_t index, ptrdiff_t lane) {
    const exact_format f = exact_formats[w->call->x_dtype];
    return w->exact->states + (index + (w->along ? w->exact->lane_index[lane] : 0)) * exact_limbs(f);
}

/* Counts additions to one limb, at most so many, and carries before a limb can overflow. */
static void exact_count(work *w, int64_t adds) {
    exact_work *e = w->exact;
    const exact_format f = exact_formats[w->call->x_dtype];
    e->adds += adds;
    if (e->adds <= 1 << 30) return;
    for (ptrdiff_t i = 0; i < w->sums->n; i++) exact_carry(e->states + i * exact_limbs(f), f);
    e->adds = 0;
}

/* Makes as many lanes ready, and those that fill up the last group. */
static void exact_clear(exact_work *e, ptrdiff_t lanes) {
    for (int k = 0; k < EXACT_SLICES; k++)
        memset(e->slice[k], 0, (size_t)(lanes + LANES) * sizeof *e->slice[k]);
}

static void exact_flush(work *w) {
    exact_work *e = w->exact;
    lane_state *l = &e->lanes;
    const exact_format f = exact_formats[w->call->x_dtype];
    for (int k = 0; k < EXACT_SLICES; k++) {
        for (ptrdiff_t i = 0; i < l->used; i++)
            exact_add(exact_state(w, l->index, i), f, e->slice[k][i], 0);
        memset(e->slice[k], 0, (size_t)l->used * sizeof *e->slice[k]);
    }
    l->used = l->adds = 0;
    exact_count(w, EXACT_SLICES * LANES_MOST);
}

/* The terms of a tile, whose first lane is lane0 of those that are laid out. */
static void exact_tile(work *w, const void *x, const void *g, ptrdiff_t n, ptrdiff_t lane0,
                       ptrdiff_t period, ptrdiff_t index, int at_one) {
    exact_work *e = w->exact;
    const int dtype = w->call->x_dtype;
    const exact_format f = exact_formats[dtype];
    const double largest = w->loops->terms(x, g, e->term[0], e->term[1], (size_t)n, at_one);
    if (largest == 0) return;
    if (!w->along) period = LANES; /* all of one alpha */

    if (isinf(largest)) { /* one at a time, as integers */
        loops_of(dtype, 1)->widen(x, e->term[0], (size_t)n);
        loops_of(dtype, 1)->widen(g, e->term[1], (size_t)n);
        const double edge = at_one ? -DBL_MIN * DBL_EPSILON : 0.0;
        for (ptrdiff_t i = 0; i < n; i++)
            if (!prelu_identity_double(e->term[0][i], edge))
                exact_add_product(exact_state(w, index, lane0 + i % period), f, e->term[0][i],
                                  e->term[1][i]);
        exact_count(w, 2 * n);
        return;
    }

    /* The slices move when the terms leave them or are so small that they would not be taken. A
     * float64 product has a low part, 53 bits further down: the second and third slice's. */
    const int parts = dtype == PRELU_F64 ? 2 : 1;
    const ptrdiff_t adds = (n + period - 1) / period * parts;
    if (!(largest < e->largest && largest > e->largest * 0x1p-20) || e->lanes.index != index ||
        e->lanes.adds + adds > 1 << (52 - EXACT_SLICE_BITS)) {
        exact_flush(w);
        int exponent;
        frexp(largest, &exponent);
        e->largest = ldexp(1.0, exponent + 2);
        e->exponent = exponent + 2 - EXACT_SLICE_BITS;
        e->lanes.index = index;
    }
    for (int part = 0; part < parts; part++) {
        double *v = e->term[part];
        if (!w->loops->split(v, (size_t)n, (size_t)period, e->exponent - part * EXACT_SLICE_BITS,
                             e->slice[part] + lane0, e->slice[part + 1] + lane0))
            continue;
        for (ptrdiff_t i = 0; i < n; i++)
            if (v[i] != 0) exact_add(exact_state(w, index, lane0 + i % period), f, v[i], 0);
        exact_count(w, n);
    }
    if (lane0 + period > e->lanes.used) e->lanes.used = lane0 + period;
    e->lanes.adds += adds;
}

/* ---- one term for each alpha ---- */

/* Rounds the terms in n lanes to alpha's dtype, into lanes.partials. */
static void round_terms(const work *w, prelu_lanes lanes, ptrdiff_t n) {
    const prelu_call *call = w->call;
    if (call->x_dtype == PRELU_F64 && call->alpha_dtype != PRELU_F64)
        for (ptrdiff_t i = 0; i < n; i++) /* first, so that narrow() rounds once */
            lanes.sum[i] = to_odd(lanes.sum[i], lanes.correction[i]);
    loops_of(call->alpha_dtype, 1)->narrow(lanes.sum, lanes.partials, (size_t)n);
}

/* ---- tiles ---- */

/* The piece of an input as one run: in place if it is one, else in `buffer`. */
static const void *input(const work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                         void *buffer) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    if (is_one_run(p, w->stride[operand], item)) return at[operand];
    gather(buffer, at[operand], w->stride[operand], p, item);
    return buffer;
}

/* Where the loops shall write a piece of an output: in place if it is one run, else in `buffer`. */
static void *target(const work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                    void *buffer) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    if (!at[operand]) return NULL;
    return is_one_run(p, w->stride[operand], item) ? at[operand] : buffer;
}

static void output(const work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                   const void *from, int dtype) {
    if (from && from != at[operand])
        scatter(at[operand], w->stride[operand], from, p, (ptrdiff_t)item_size[dtype]);
}

/* AROUND if what a tile writes, `out` and perhaps a second operand, can go around the caches. */
static int around(const work *w, char *const at[VIEW_OPERANDS], const void *out, int operand,
                  const void *second, ptrdiff_t period) {
    const uintptr_t a = (uintptr_t)out, b = second ? (uintptr_t)second : a;
    const uintptr_t row = (uintptr_t)period * item_size[w->call->x_dtype];
    const int in_place = out && out == at[VIEW_OUT] && (!second || second == at[operand]);
    const int lines = period ? ((a | b | row) & (LINE - 1)) == 0 : ((a ^ b) & (LINE - 1)) == 0;
    return w->call->stream && in_place && lines ? AROUND : 0;
}

/* The second order of a tile. Returns whether the cotangent of alpha is left: the sum over the
 * factors. */
static int second_tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
                       ptrdiff_t period, ptrdiff_t index, const void *x, const void *u) {
    const prelu_call *call = w->call;
    const size_t skipped = (size_t)lane0 * (w->wide ? 8 : 4);
    void *out = target(w, VIEW_OUT, at, p, w->out), *of_x = target(w, VIEW_OF_X, at, p, w->of_x);
    double s, c, t;
    const prelu_lanes of_run = {&s, &c, &t}, none = {NULL, NULL, NULL};
    const prelu_lanes along = {w->sum + lane0, w->correction + lane0, w->partials + lane0};
    const prelu_second second = {
        x, u, at[VIEW_DY] ? input(w, VIEW_DY, at, p, w->dy) : NULL,
        (const char *)w->alpha + skipped, (const char *)w->alpha_dot + skipped,
        out ? out : w->out, of_x ? of_x : w->of_x, {w->factor[0], w->factor[1]},
        w->mode != SUMS ? none : period ? along : of_run};
    const int how = call->at_one | around(w, at, out, VIEW_OF_X, of_x, period);
    w->loops->second_order(&second, (size_t)period, (size_t)piece_size(p), how);
    if (w->mode == SUMS && !period) sums_add_one(w->sums, index, s, c, t);
    output(w, VIEW_OUT, at, p, out, call->x_dtype);
    output(w, VIEW_OF_X, at, p, of_x, call->x_dtype);
    return at[VIEW_DY] && w->mode != SUMS;
}

/* One tile. Its alphas run along if `period` is not 0; its first lane is lane0 then. */
static void tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
                 ptrdiff_t period, ptrdiff_t index) {
    const prelu_call *call = w->call;
    const prelu_loops *loops = w->loops;
    const ptrdiff_t n = piece_size(p);
    const prelu_lanes lanes = {w->sum + lane0, w->correction + lane0, w->partials + lane0};
    const void *alpha = w->each ? input(w, VIEW_ALPHA, at, p, w->of_x)
                                : (const char *)w->alpha + (size_t)lane0 * (w->wide ? 8 : 4);
    const void *x = input(w, VIEW_X, at, p, w->x);
    const void *g = at[VIEW_G] ? input(w, VIEW_G, at, p, w->g) : x;
    void *out = target(w, VIEW_OUT, at, p, w->out);
    int at_one = call->at_one;
    if (at[VIEW_ALPHA_DOT]) {
        if (!second_tile(w, at, p, lane0, period, index, x, g)) return;
        x = w->factor[0], g = w->factor[1], out = NULL, at_one = 0;
    }
    int how = at_one | around(w, at, out, VIEW_OUT, NULL, period);
    switch (w->mode) {
    case SUMS:
        if (period) {
            loops->backward_along(x, g, alpha, (size_t)period, out, (size_t)n, how, lanes);
        } else {
            double s, c, t;
            loops->backward_run(x, g, alpha, out, (size_t)n, how, (prelu_lanes){&s, &c, &t});
            sums_add_one(w->sums, index, s, c, t);
        }
        break;
    case TERMS:
        if (w->each) {
            void *dalpha = target(w, VIEW_DALPHA, at, p, w->dy);
            how = at_one | around(w, at, out, VIEW_DALPHA, dalpha, period);
            loops->backward_each(x, g, alpha, out, dalpha, (size_t)n, how);
            output(w, VIEW_DALPHA, at, p, dalpha, call->alpha_dtype);
            break;
        }
        loops->backward_terms(x, g, alpha, out, (size_t)n, how, lanes);
        round_terms(w, lanes, n);
        output(w, VIEW_DALPHA, at, p, lanes.partials, call->alpha_dtype);
        break;
    case EXACT:
        exact_tile(w, x, g, n, lane0, period, index, at_one); /* before dx may overwrite x or dy */
        /* fall through */
    default:
        if (out && w->each) loops->scale_each(x, g, alpha, out, (size_t)n, how);
        else if (out) loops->scale(x, g, alpha, (size_t)period, out, (size_t)n, how);
    }
    output(w, VIEW_OUT, at, p, out, call->x_dtype);
}

static void step(char *at[VIEW_OPERANDS], char *const from[VIEW_OPERANDS], const work *w,
                 ptrdiff_t a, ptrdiff_t b, ptrdiff_t c) {
    memcpy(at, from, VIEW_OPERANDS * sizeof *at);
    for (int i = 0; i < w->operands; i++) {
        const int o = w->operand[i];
        at[o] += a * w->stride[o][0] + b * w->stride[o][1] + c * w->stride[o][2];
    }
}

/* Is a piece one run of memory for every operand of x's shape? */
static int is_flat(const work *w, char *const from[VIEW_OPERANDS], const piece *p) {
    static const int operands[] = {VIEW_OUT, VIEW_X, VIEW_G, VIEW_DY, VIEW_OF_X};
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
        if (from[operands[i]] && !is_one_run(p, w->stride[operands[i]], item)) return 0;
    return 1;
}

static ptrdiff_t tile_most(const work *w) {
    const ptrdiff_t n = TILE_BYTES / (ptrdiff_t)item_size[w->call->x_dtype];
    return n < TILE ? n : TILE;
}

/* Are these other alphas than the ones that are laid out? From now on they are. */
static int other_alphas(work *w, char *const from[VIEW_OPERANDS]) {
    const int same = w->laid_out_for[0] == from[VIEW_ALPHA] &&
                     w->laid_out_for[1] == from[VIEW_ALPHA_DOT];
    w->laid_out_for[0] = from[VIEW_ALPHA];
    w->laid_out_for[1] = from[VIEW_ALPHA_DOT];
    return !same;
}

/* How many of n elements lie before a line of 64 bytes. Whole lines load faster and alone can go
 * around the caches, so a long run begins with these. */
static ptrdiff_t ahead_of_line(const work *w, char *const from[VIEW_OPERANDS], ptrdiff_t n) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype];
    const int around = w->call->stream && from[VIEW_OUT], first = around ? VIEW_OUT : VIEW_X;
    if (n * item < (around ? RUN_LEAST * item : 4 * TILE_BYTES)) return 0;
    if (w->stride[first][2] != item) return 0;
    return (ptrdiff_t)(-(uintptr_t)from[first] & (LINE - 1)) / item;
}

/* How long the first tile of a run shall be, where it needs no buffer. The next ones begin one line
 * after a page does: the processor has then seen that page, and fetches it, before a tile ends. */
static ptrdiff_t first_tile(const work *w, char *const from[VIEW_OPERANDS]) {
    const ptrdiff_t item = (ptrdiff_t)item_size[w->call->x_dtype], most = tile_most(w);
    const char *first = from[w->call->stream && from[VIEW_OUT] ? VIEW_OUT : VIEW_X];
    const piece run = {{1, 1, w->n[2]}};
    if (w->n[2] <= most || w->mode == EXACT || !is_flat(w, from, &run)) return most;
    if (w->n[2] < 2 * most) return w->n[2];
    const ptrdiff_t n = (ptrdiff_t)((LINE - (uintptr_t)first) & (PAGE - 1)) / item;
    return n < most / 2 ? n + most : n;
}

/* A run of one alpha. */
static void walk_run(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w);
    if (other_alphas(w, from)) {
        const prelu_loops *convert = loops_of(w->call->alpha_dtype, w->wide);
        convert->widen(from[VIEW_ALPHA], w->alpha_lanes[0], 1);
        if (from[VIEW_ALPHA_DOT]) convert->widen(from[VIEW_ALPHA_DOT], w->alpha_lanes[1], 1);
        w->alpha = w->alpha_lanes[0];
        w->alpha_dot = w->alpha_lanes[1];
    }
#if PRELU_SSE2
    if (w->call->stream && from[VIEW_OUT]) /* the line that this run shares with the next */
        _mm_prefetch(from[VIEW_OUT] + w->n[2] * w->stride[VIEW_OUT][2], _MM_HINT_T0);
#endif
    for (ptrdiff_t c = 0, length = first_tile(w, from); c < w->n[2]; c += length, length = most) {
        const piece p = {{1, 1, w->n[2] - c < length ? w->n[2] - c : length}};
        char *at[VIEW_OPERANDS];
        step(at, from, w, 0, 0, c);
        tile(w, at, &p, 0, 0, index);
    }
}

/* Alpha, or alpha_dot, for the lanes of rows side by side, in the compute type: where it is. */
static const void *lay_out_alpha(work *w, int operand, const char *alpha, const piece *p) {
    const int dtype = w->call->alpha_dtype;
    const ptrdiff_t item = (ptrdiff_t)item_size[dtype], row = p->n[1] * p->n[2];
    const ptrdiff_t *stride = w->stride[operand];
    const size_t wide = w->wide ? sizeof(double) : sizeof(float);
    const prelu_loops *convert = loops_of(dtype, w->wide);
    const piece one_row = {{1, p->n[1], p->n[2]}};
    char *to = (char *)w->alpha_lanes[operand == VIEW_ALPHA_DOT];
    const int plain = (size_t)item == wide && w->call->x_dtype != PRELU_BF16; /* any_nan */
    if (plain && p->n[0] == 1 && !w->rotation && is_one_run(&one_row, stride, item)) return alpha;
    if (is_one_run(&one_row, stride, item)) {
        convert->widen(alpha, to, (size_t)row);
    } else {
        for (ptrdiff_t b = 0; b < p->n[1]; b++) {
            const char *first = alpha + b * stride[1];
            char *lanes = to + (size_t)(b * p->n[2]) * wide;
            for (ptrdiff_t c = 0; c < p->n[2]; c += LANES_FEW) {
                const ptrdiff_t n = p->n[2] - c < LANES_FEW ? p->n[2] - c : LANES_FEW;
                char raw[LANES_FEW * sizeof(double)];
                copy_row(raw, item, first + c * stride[2], stride[2], n, item);
                convert->widen(raw, lanes + (size_t)c * wide, (size_t)n);
            }
        }
    }
    for (ptrdiff_t a = 1; a < p->n[0]; a++)
        memcpy(to + (size_t)(a * row) * wide, to, (size_t)row * wide);
    if (w->rotation) { /* the first of them last */
        char first[LINE / 2 * sizeof(double)];
        const size_t all = (size_t)(p->n[0] * row) * wide, by = (size_t)w->rotation * wide;
        memcpy(first, to, by);
        memmove(to, to + by, all - by);
        memcpy(to + all - by, first, by);
    }
    return to;
}

/* Prepares the lanes of a band; p is what lies side by side. */
static void lay_out(work *w, char *const from[VIEW_OPERANDS], const piece *p, ptrdiff_t rotation,
                    ptrdiff_t index) {
    const int moved = memcmp(p, &w->laid_out, sizeof *p) != 0 || rotation != w->rotation;
    if (w->lanes.used && (moved || w->lanes.index != index)) sums_flush(w);
    if (w->exact && (moved || w->exact->lanes.index != index)) exact_flush(w);
    w->rotation = rotation;
    if (!w->each && (other_alphas(w, from) || moved)) {
        w->alpha = lay_out_alpha(w, VIEW_ALPHA, from[VIEW_ALPHA], p);
        if (from[VIEW_ALPHA_DOT])
            w->alpha_dot = lay_out_alpha(w, VIEW_ALPHA_DOT, from[VIEW_ALPHA_DOT], p);
    }
    if (moved && w->exact) {
        exact_clear(w->exact, piece_size(p));
        const ptrdiff_t row = p->n[1] * p->n[2], *steps = w->tile_index_stride;
        for (ptrdiff_t i = 0; i < piece_size(p); i++) {
            const ptrdiff_t lane = (i + rotation) % row;
            w->exact->lane_index[i] = lane / p->n[2] * steps[1] + lane % p->n[2] * steps[2];
        }
    }
    w->laid_out = *p;
    w->lanes.index = index;
}

/* Makes room for as many more additions into each lane. */
static void sums_expect(work *w, ptrdiff_t adds) {
    if (w->lanes.adds + adds > ADDS_MOST) sums_flush(w);
    if (w->lanes.used == 0) {
        w->lanes.used = piece_size(&w->laid_out);
        const size_t bytes = (size_t)(w->lanes.used + LANES) * sizeof(double);
        memset(w->sum, 0, bytes);
        memset(w->correction, 0, bytes);
        memset(w->partials, 0, bytes);
    }
    w->lanes.adds += adds;
}

/* How many rows are laid out side by side: whole groups if that is possible, but not too few. */
static ptrdiff_t rows_side_by_side(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t least) {
    const ptrdiff_t most = rows < LANES_FEW / row ? rows : LANES_FEW / row;
    for (ptrdiff_t r = 1; r <= most; r++)
        if (r * row % LANES == 0 && r * row >= least) return r;
    return most > 1 ? most : 1;
}

/* A band that is one run and does not begin with a line: tiles that do, their lanes rotated by
 * what lies ahead. */
static void walk_flat(work *w, char *const from[VIEW_OPERANDS], const piece *band,
                      ptrdiff_t repeat, ptrdiff_t ahead, ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w), n = piece_size(band);
    const ptrdiff_t period = repeat * band->n[1] * band->n[2];
    const ptrdiff_t whole = period <= most ? most / period * period : 0;
    char *at[VIEW_OPERANDS];
    lay_out(w, from, &(piece){{repeat, band->n[1], band->n[2]}}, ahead, index);
    for (ptrdiff_t i = 0, length = ahead; i < n; i += length) {
        const ptrdiff_t lane = (i + period - ahead) % period;
        if (i > 0) length = whole ? whole : period - lane < most ? period - lane : most;
        if (n - i < length) length = n - i;
        if (w->mode == SUMS) sums_expect(w, (length + period - 1) / period);
        step(at, from, w, 0, 0, i);
        tile(w, at, &(piece){{1, 1, length}}, lane, length < period ? length : period, index);
    }
}

/* A band: all rows over as many alphas that run along as there are lanes. */
static void walk_band(work *w, char *const from[VIEW_OPERANDS], const piece *band,
                      ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w), row = band->n[1] * band->n[2];
    const ptrdiff_t least = w->mode == SCALE ? LANES_SCALE : LANES_SUMS;
    const ptrdiff_t repeat = rows_side_by_side(row, band->n[0], least);
    const ptrdiff_t ahead = ahead_of_line(w, from, piece_size(band));
    char *at[VIEW_OPERANDS];
    if (band->n[0] > 1 && ahead > 0 && ahead < repeat * row && is_flat(w, from, band)) {
        walk_flat(w, from, band, repeat, ahead, index);
        return;
    }
    lay_out(w, from, &(piece){{repeat, band->n[1], band->n[2]}}, 0, index);
    if (row <= most) { /* whole rows in a tile */
        const ptrdiff_t rows = most / row / repeat * repeat, step_ = rows ? rows : 1;
        for (ptrdiff_t a = 0; a < band->n[0]; a += step_) {
            const ptrdiff_t n = band->n[0] - a < step_ ? band->n[0] - a : step_;
            if (w->mode == SUMS) sums_expect(w, (n + repeat - 1) / repeat);
            step(at, from, w, a, 0, 0);
            tile(w, at, &(piece){{n, band->n[1], band->n[2]}}, 0,
                 (n < repeat ? n : repeat) * row, index);
        }
        return;
    }
    const ptrdiff_t n2 = band->n[2] < most ? band->n[2] : most, n1 = most / n2;
    for (ptrdiff_t a = 0; a < band->n[0]; a++) { /* a row in several tiles */
        if (w->mode == SUMS) sums_expect(w, 1);
        for (ptrdiff_t b = 0; b < band->n[1]; b += n1)
            for (ptrdiff_t c = 0; c < band->n[2]; c += n2) {
                const piece p = {{1, band->n[1] - b < n1 ? band->n[1] - b : n1,
                                  band->n[2] - c < n2 ? band->n[2] - c : n2}};
                step(at, from, w, a, b, c);
                tile(w, at, &p, b * band->n[2] + c, piece_size(&p), index);
            }
    }
}

static void walk_bands(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t *n = w->n, *steps = w->tile_index_stride, most = w->lanes_most;
    const ptrdiff_t n2 = n[2] < most ? n[2] : most;
    const ptrdiff_t n1 = n[1] < most / n2 ? n[1] : most / n2;
    const ptrdiff_t ahead = n[0] == 1 && n1 == 1 ? ahead_of_line(w, from, n[2]) : 0;
    for (ptrdiff_t b = 0; b < n[1]; b += n1)
        for (ptrdiff_t c = 0, length = ahead ? ahead : n2; c < n[2]; c += length, length = n2) {
            const piece band = {
                {n[0], n[1] - b < n1 ? n[1] - b : n1, n[2] - c < length ? n[2] - c : length}};
            char *at[VIEW_OPERANDS];
            step(at, from, w, 0, b, c);
            walk_band(w, at, &band, index + b * steps[1] + c * steps[2]);
        }
}

static void walk(work *w, int axis, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    if (axis == w->outer_axes) {
        if (w->along) walk_bands(w, from, index);
        else walk_run(w, from, index);
        return;
    }
    const prelu_view *v = &w->call->view;
    char *at[VIEW_OPERANDS];
    memcpy(at, from, sizeof at);
    for (ptrdiff_t i = 0; i < v->shape[axis]; i++) {
        walk(w, axis + 1, at, index);
        for (int k = 0; k < w->operands; k++) at[w->operand[k]] += v->stride[w->operand[k]][axis];
        index += w->index_stride[axis];
    }
}

/* Chooses the axes of a tile and walks the view. */
void prelu_walk(const prelu_call *call, int mode, prelu_sums *sums, exact_work *exact) {
    const prelu_view *v = &call->view;
    work w;
    w.call = call;
    w.mode = mode;
    w.sums = sums;
    w.exact = exact;
    w.wide = call->x_dtype == PRELU_F64 || call->alpha_dtype == PRELU_F64;
    w.loops = loops_of(call->x_dtype, call->alpha_dtype == PRELU_F64);
    w.lanes = (lane_state){0, 0, 0};
    w.laid_out = (piece){{0, 0, 0}};
    w.laid_out_for[0] = w.laid_out_for[1] = NULL;
    w.rotation = 0;

    w.operands = 0;
    for (int o = 0; o < VIEW_OPERANDS; o++)
        if (v->data[o]) w.operand[w.operands++] = o;

    ptrdiff_t step = 1;
    for (int k = v->axes - 1; k >= 0; k--) {
        w.index_stride[k] = view_varies(v, k) ? step : 0;
        if (view_varies(v, k)) step *= v->shape[k];
    }
    /* tile axis 2 is the last one; 1 belongs to the same alphas' pattern; 0 repeats the pattern */
    int axis[3] = {-1, -1, v->axes - 1};
    int next = v->axes - 2;
    w.along = view_varies(v, axis[2]) || (v->shape[axis[2]] < RUN_LEAST && next >= 0);
    if (w.along) {
        if (next >= 0 && (!view_varies(v, axis[2]) || view_varies(v, next))) axis[1] = next--;
        if (next >= 0 && !view_varies(v, next)) axis[0] = next--;
    }
    w.outer_axes = next + 1;
    for (int i = 0; i < 3; i++) {
        w.n[i] = axis[i] < 0 ? 1 : v->shape[axis[i]];
        w.tile_index_stride[i] = axis[i] < 0 ? 0 : w.index_stride[axis[i]];
        for (int k = 0; k < w.operands; k++)
            w.stride[w.operand[k]][i] = axis[i] < 0 ? 0 : v->stride[w.operand[k]][axis[i]];
    }
    /* more lanes if a row has more and there are rows to share them, and memory */
    const ptrdiff_t lanes = w.n[1] * w.n[2] < LANES_MOST ? w.n[1] * w.n[2] : LANES_MOST;
    const ptrdiff_t room = (lanes + 2 * LANES) / LANES * LANES;
    void *allocated = w.along && w.n[0] > 1 && lanes > LANES_FEW && mode != TERMS
                          ? malloc((size_t)room * 5 * sizeof(double) + LINE)
                          : NULL;
    double *many = at_line(allocated);
    w.each = w.along && w.n[0] == 1 && view_varies(v, axis[2]) && !v->data[VIEW_ALPHA_DOT] &&
             call->alpha_dtype == call->x_dtype && (mode == SCALE || mode == TERMS);
    w.lanes_most = allocated || w.each ? lanes : LANES_FEW;
    w.sum = allocated ? many : w.few[0];
    w.correction = allocated ? many + room : w.few[1];
    w.partials = allocated ? many + 2 * room : w.few[2];
    w.alpha_lanes[0] = allocated ? many + 3 * room : w.few[3];
    w.alpha_lanes[1] = allocated ? many + 4 * room : w.few[4];

    if (exact) exact_clear(exact, 0);
    walk(&w, 0, v->data, 0);
    if (mode == SUMS && w.along) sums_flush(&w);
    if (mode == EXACT) exact_flush(&w);
#if PRELU_SSE2
    if (call->stream) _mm_sfence();
#endif
    free(allocated);
}
