/* Design:
 * (a) A view is walked in tiles of at most TILE elements that fit the first cache. A tile is a
 *     piece of the innermost three axes; an operand whose piece is one run of memory is used in
 *     place, any other is gathered first. So there are contiguous loops only.
 * (b) Where alpha stays the same along the innermost axis for RUN_LEAST elements a tile has one
 *     alpha and its sums stay in registers; otherwise alpha is laid out beside the tile and each
 *     lane has its own sums, which are added to those of their alphas when the lanes change.
 * (c) dalpha: plain sums with an error bound from the sum of |partial sum|. If both ends of the
 *     interval round to the same number that is the answer; only the other alphas are summed
 *     exactly, in a second pass over their elements. Where dx overwrites its inputs there is no second
 *     pass, and the first one is exact. Where each alpha has one element its term is rounded.
 * (d) Large outputs are written around the caches: a tile is computed into a buffer and streamed
 *     out in whole lines. That saves reading the output's lines first.
 */
#include "engine.h"

#include "float_mode.h"
#include "pieces.h"

#include <float.h>
#include <limits.h>
#include <stdlib.h>

#define PRELU_FN static inline
#define PRELU_GT(a, b) ((a) > (b))
#define PRELU_MUL(a, b) ((a) * (b))
#define real double
#define PRELU(name) prelu_##name##_double
#include "prelu_scalar.h"

enum {
    TILE = 2048,       /* elements at most; a multiple of LANES */
    TILE_BYTES = 4096, /* of x at most: x, dy, dx and sums share the first cache */
    LANES_MOST = 4096, /* alphas that run along before they repeat */
    LANES_FEW = 512,   /* as many have room on the stack */
    LANES_LEAST = 48,  /* fewer would wait for their own last sum */
    RUN_LEAST = 192,   /* shorter runs of one alpha are laid out instead */
    FEW = 64,          /* alphas whose sums fit the stack */
    ADDS_MOST = 128    /* into one lane: its partial sums, so its error, grow with them */
};

static const size_t item_size[PRELU_DTYPES] = {2, 2, 4, 8};

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

static int runs_here(const char *name) {
#if PRELU_HAVE_X86_SETS
    if (strcmp(name, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma");
    if (strcmp(name, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
               __builtin_cpu_supports("fma");
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

static inline const prelu_loops *loops_of(int dtype, int wide) {
    return &(*instruction_sets[selected].table)[dtype][wide];
}

/* ---- a walk over a view ---- */

/* What a walk does with each tile: y or dx alone; with sums; with exact sums; with one term for each
 * alpha. */
enum { SCALE, SUMS, EXACT, TERMS };

/* Lanes that are being added into: whose they are, how many, how often. */
typedef struct {
    ptrdiff_t index, used, adds;
} lane_state;

typedef struct {
    int64_t *states;
    int64_t adds;     /* to one limb at most, since the last carry */
    double largest;   /* that the slices can take now; 0 before the first tile */
    int exponent;     /* of the uppermost slice */
    lane_state lanes;
    ptrdiff_t lane_index[LANES_MOST]; /* which alpha */
    double term[2][TILE], slice[EXACT_SLICES][LANES_MOST + LANES];
} exact_work;

typedef struct {
    const prelu_call *call;
    const prelu_loops *loops;
    int mode, wide; /* wide: computed in double */
    prelu_sums *sums;
    exact_work *exact;

    /* the innermost axes, absent ones of length 1 */
    int outer_axes, along;
    ptrdiff_t n[3], stride[VIEW_OPERANDS][3];
    ptrdiff_t index_stride[VIEW_MAX_AXES], tile_index_stride[3]; /* among the sums */

    piece laid_out;           /* rows side by side, and their lanes, that are laid out now */
    const char *laid_out_for; /* and the alpha they begin with */
    const void *alpha;        /* in the compute type */
    lane_state lanes;
    ptrdiff_t lanes_most;
    double *sum, *correction, *partials, *alpha_lanes; /* lanes_most each: `few`, or allocated */
    /* not a multiple of 4096 bytes apart, or a load waits for another array's store */
    double few[4][LANES_FEW + LANES];
    double x[TILE], g[TILE], out[TILE];
    line_writer writers[VIEW_OPERANDS];
} work;

int prelu_varies(const prelu_view *v, int axis) {
    const int operand = v->data[VIEW_DALPHA] ? VIEW_DALPHA : VIEW_ALPHA;
    return v->stride[operand][axis] != 0;
}

ptrdiff_t prelu_alphas(const prelu_view *v) {
    ptrdiff_t n = 1;
    for (int k = 0; k < v->axes; k++)
        if (prelu_varies(v, k)) n *= v->shape[k];
    return n;
}

/* sums[i] += s + c, kept as a pair that does not overlap; t to the partials. */
static inline void sums_add_one(prelu_sums *sums, ptrdiff_t i, double s, double c, double t) {
    const double a = sums->high[i], high = a + s, z = high - a;
    const double low = sums->low[i] + (((a - (high - z)) + (s - z)) + c);
    sums->high[i] = high + low;
    sums->low[i] = low - (sums->high[i] - high);
    sums->partials[i] += t;
}

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

static void sums_flush(work *w) {
    lane_state *l = &w->lanes;
    if (l->used == 0) return;
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
                       ptrdiff_t period, ptrdiff_t index) {
    exact_work *e = w->exact;
    const int dtype = w->call->x_dtype, at_one = w->call->at_one;
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

/* Rounds the terms in the lanes to alpha's dtype, into w->partials. */
static void round_terms(work *w, ptrdiff_t n) {
    const prelu_call *call = w->call;
    if (call->x_dtype == PRELU_F64 && call->alpha_dtype != PRELU_F64)
        for (ptrdiff_t i = 0; i < n; i++) { /* to odd first, so that narrow() rounds once */
            uint64_t u;
            const double error = w->correction[i];
            memcpy(&u, &w->sum[i], sizeof u);
            if (!(u & 1) && (error > 0 || error < 0)) u += (error > 0) == (w->sum[i] > 0) ? 1 : -1;
            memcpy(&w->sum[i], &u, sizeof u);
        }
    loops_of(call->alpha_dtype, 1)->narrow(w->sum, w->partials, (size_t)n);
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

static void output(work *w, int operand, char *const at[VIEW_OPERANDS], const piece *p,
                   const void *from, int dtype) {
    const ptrdiff_t item = (ptrdiff_t)item_size[dtype];
    if (w->call->stream && is_one_run(p, w->stride[operand], item))
        writer_put(&w->writers[operand], w->loops, at[operand], from,
                   (size_t)(piece_size(p) * item));
    else
        scatter(at[operand], w->stride[operand], from, p, item);
}

/* One tile. Its alphas run along if `period` is not 0; its first lane is lane0 then. */
static void tile(work *w, char *const at[VIEW_OPERANDS], const piece *p, ptrdiff_t lane0,
                 ptrdiff_t period, ptrdiff_t index) {
    const prelu_call *call = w->call;
    const prelu_loops *loops = w->loops;
    const ptrdiff_t n = piece_size(p), item = (ptrdiff_t)item_size[call->x_dtype];
    const prelu_lanes lanes = {w->sum + lane0, w->correction + lane0, w->partials + lane0};
    const void *alpha = (const char *)w->alpha + (size_t)lane0 * (w->wide ? 8 : 4);
    const void *x = input(w, VIEW_X, at, p, w->x);
    const void *g = at[VIEW_G] ? input(w, VIEW_G, at, p, w->g) : x;
    void *out = !at[VIEW_OUT] ? NULL
                : !call->stream && is_one_run(p, w->stride[VIEW_OUT], item) ? (void *)at[VIEW_OUT]
                                                                            : (void *)w->out;
    switch (w->mode) {
    case SUMS:
        if (period) {
            loops->backward_along(x, g, alpha, (size_t)period, out, (size_t)n, call->at_one, lanes);
        } else {
            double s, c, t;
            loops->backward_run(x, g, alpha, out, (size_t)n, call->at_one,
                                (prelu_lanes){&s, &c, &t});
            sums_add_one(w->sums, index, s, c, t);
        }
        break;
    case TERMS:
        loops->backward_terms(x, g, alpha, out, (size_t)n, call->at_one, lanes);
        round_terms(w, n);
        output(w, VIEW_DALPHA, at, p, w->partials, call->alpha_dtype);
        break;
    case EXACT:
        exact_tile(w, x, g, n, lane0, period, index); /* before dx may overwrite x or dy */
        /* fall through */
    default:
        if (out) loops->scale(x, g, alpha, (size_t)period, out, (size_t)n, call->at_one);
    }
    if (out && out != at[VIEW_OUT]) output(w, VIEW_OUT, at, p, out, call->x_dtype);
}

static void step(char *at[VIEW_OPERANDS], char *const from[VIEW_OPERANDS], const work *w,
                 ptrdiff_t a, ptrdiff_t b, ptrdiff_t c) {
    for (int o = 0; o < VIEW_OPERANDS; o++)
        at[o] = from[o] ? from[o] + a * w->stride[o][0] + b * w->stride[o][1] + c * w->stride[o][2]
                        : NULL;
}

static ptrdiff_t tile_most(const work *w) {
    const ptrdiff_t n = TILE_BYTES / (ptrdiff_t)item_size[w->call->x_dtype];
    return n < TILE ? n : TILE;
}

/* A run of one alpha. */
static void walk_run(work *w, char *const from[VIEW_OPERANDS], ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w), item = (ptrdiff_t)item_size[w->call->x_dtype];
    if (from[VIEW_ALPHA] != w->laid_out_for) {
        loops_of(w->call->alpha_dtype, w->wide)->widen(from[VIEW_ALPHA], w->alpha_lanes, 1);
        w->alpha = w->alpha_lanes;
        w->laid_out_for = from[VIEW_ALPHA];
    }
    /* a long run begins with what lies before a line of 64 bytes: whole lines load faster */
    ptrdiff_t length = w->n[2] >= 4 * most && w->stride[VIEW_X][2] == item
                           ? (ptrdiff_t)(-(uintptr_t)from[VIEW_X] & 63) / item
                           : 0;
    if (length == 0) length = most;
    for (ptrdiff_t c = 0; c < w->n[2]; c += length, length = most) {
        const piece p = {{1, 1, w->n[2] - c < length ? w->n[2] - c : length}};
        char *at[VIEW_OPERANDS];
        step(at, from, w, 0, 0, c);
        tile(w, at, &p, 0, 0, index);
    }
}

/* Alpha for the lanes of `rows` rows side by side, in the compute type. */
static void lay_out_alpha(work *w, const char *alpha, const piece *p) {
    const int dtype = w->call->alpha_dtype;
    const ptrdiff_t item = (ptrdiff_t)item_size[dtype], row = p->n[1] * p->n[2];
    const ptrdiff_t *stride = w->stride[VIEW_ALPHA];
    const size_t wide = w->wide ? sizeof(double) : sizeof(float);
    const prelu_loops *convert = loops_of(dtype, w->wide);
    const piece one_row = {{1, p->n[1], p->n[2]}};
    char *to = (char *)w->alpha_lanes;
    if ((size_t)item == wide && p->n[0] == 1 && is_one_run(&one_row, stride, item)) {
        w->alpha = alpha;
        return;
    }
    w->alpha = w->alpha_lanes;
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
}

/* Prepares the lanes of a band; p is what lies side by side. */
static void lay_out(work *w, const char *alpha, const piece *p, ptrdiff_t index) {
    const int moved = memcmp(p, &w->laid_out, sizeof *p) != 0;
    if (w->lanes.used && (moved || w->lanes.index != index)) sums_flush(w);
    if (w->exact && (moved || w->exact->lanes.index != index)) exact_flush(w);
    if (moved || alpha != w->laid_out_for) lay_out_alpha(w, alpha, p);
    if (moved && w->exact) {
        const ptrdiff_t row = p->n[1] * p->n[2], *steps = w->tile_index_stride;
        for (ptrdiff_t lane = 0; lane < piece_size(p); lane++)
            w->exact->lane_index[lane] =
                lane % row / p->n[2] * steps[1] + lane % p->n[2] * steps[2];
    }
    w->laid_out = *p;
    w->laid_out_for = alpha;
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
static ptrdiff_t rows_side_by_side(ptrdiff_t row, ptrdiff_t rows) {
    const ptrdiff_t most = rows < LANES_FEW / row ? rows : LANES_FEW / row;
    for (ptrdiff_t r = 1; r <= most; r++)
        if (r * row % LANES == 0 && r * row >= LANES_LEAST) return r;
    return most > 1 ? most : 1;
}

/* A band: all rows over as many alphas that run along as there are lanes. */
static void walk_band(work *w, char *const from[VIEW_OPERANDS], const piece *band,
                      ptrdiff_t index) {
    const ptrdiff_t most = tile_most(w), row = band->n[1] * band->n[2];
    const ptrdiff_t repeat = rows_side_by_side(row, band->n[0]);
    char *at[VIEW_OPERANDS];
    lay_out(w, from[VIEW_ALPHA], &(piece){{repeat, band->n[1], band->n[2]}}, index);
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
    for (ptrdiff_t b = 0; b < n[1]; b += n1)
        for (ptrdiff_t c = 0; c < n[2]; c += n2) {
            const piece band = {
                {n[0], n[1] - b < n1 ? n[1] - b : n1, n[2] - c < n2 ? n[2] - c : n2}};
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
        for (int o = 0; o < VIEW_OPERANDS; o++)
            if (at[o]) at[o] += v->stride[o][axis];
        index += w->index_stride[axis];
    }
}

/* Chooses the axes of a tile and walks the view. */
static void run(const prelu_call *call, int mode, prelu_sums *sums, exact_work *exact) {
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
    w.laid_out_for = NULL;
    for (int o = 0; o < VIEW_OPERANDS; o++) w.writers[o].next = NULL, w.writers[o].pending = 0;

    ptrdiff_t step = 1;
    for (int k = v->axes - 1; k >= 0; k--) {
        w.index_stride[k] = prelu_varies(v, k) ? step : 0;
        if (prelu_varies(v, k)) step *= v->shape[k];
    }
    /* tile axis 2 is the last one; 1 belongs to the same alphas' pattern; 0 repeats the pattern */
    int axis[3] = {-1, -1, v->axes - 1};
    int next = v->axes - 2;
    w.along = prelu_varies(v, axis[2]) || (v->shape[axis[2]] < RUN_LEAST && next >= 0);
    if (w.along) {
        if (next >= 0 && (!prelu_varies(v, axis[2]) || prelu_varies(v, next))) axis[1] = next--;
        if (next >= 0 && !prelu_varies(v, next)) axis[0] = next--;
    }
    w.outer_axes = next + 1;
    for (int i = 0; i < 3; i++) {
        w.n[i] = axis[i] < 0 ? 1 : v->shape[axis[i]];
        w.tile_index_stride[i] = axis[i] < 0 ? 0 : w.index_stride[axis[i]];
        for (int o = 0; o < VIEW_OPERANDS; o++)
            w.stride[o][i] = axis[i] < 0 || !v->data[o] ? 0 : v->stride[o][axis[i]];
    }
    /* more lanes if a row has more and there are rows to share them, and memory */
    const ptrdiff_t lanes = w.n[1] * w.n[2] < LANES_MOST ? w.n[1] * w.n[2] : LANES_MOST;
    const ptrdiff_t room = lanes + 2 * LANES;
    double *allocated = w.along && w.n[0] > 1 && lanes > LANES_FEW && mode != TERMS
                            ? malloc((size_t)room * 4 * sizeof(double))
                            : NULL;
    w.lanes_most = allocated ? lanes : LANES_FEW;
    w.sum = allocated ? allocated : w.few[0];
    w.correction = allocated ? allocated + room : w.few[1];
    w.partials = allocated ? allocated + 2 * room : w.few[2];
    w.alpha_lanes = allocated ? allocated + 3 * room : w.few[3];

    walk(&w, 0, v->data, 0);
    if (mode == SUMS && w.along) sums_flush(&w);
    if (mode == EXACT) exact_flush(&w);
    if (call->stream) {
        for (int o = 0; o < VIEW_OPERANDS; o++) writer_flush(&w.writers[o]);
#if PRELU_SSE2
        _mm_sfence();
#endif
    }
    free(allocated);
}

void prelu_scale(const prelu_call *call) {
    const fp_state fp = fp_enter();
    run(call, SCALE, NULL, NULL);
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
    run(call, SUMS, sums, NULL);
    fp_leave(fp);
}

void prelu_sums_add(prelu_sums *to, const prelu_sums *from) {
    for (ptrdiff_t i = 0; i < to->n; i++)
        sums_add_one(to, i, from->high[i], from->low[i], from->partials[i]);
}

/* Narrows a call to the alpha with this index among its alphas. */
static void narrow_to_alpha(prelu_view *v, ptrdiff_t index) {
    for (int k = v->axes - 1; k >= 0; k--) {
        if (!prelu_varies(v, k)) continue;
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
    while (last >= 0 && !prelu_varies(&call->view, last)) last--;
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

/* Sums a call exactly, and writes dx if the view has it. */
static int exact_call(const prelu_call *call) {
    const exact_format f = exact_formats[call->x_dtype];
    prelu_sums sums = {prelu_alphas(&call->view), NULL, NULL, NULL};
    exact_work *e = malloc(sizeof *e);
    int64_t *states = calloc((size_t)sums.n, (size_t)exact_limbs(f) * sizeof *states);
    if (e && states) {
        e->states = states;
        e->adds = 0;
        e->largest = 0;
        e->lanes = (lane_state){0, 0, 0};
        memset(e->slice, 0, sizeof e->slice);
        run(call, EXACT, &sums, e);
        for (ptrdiff_t i = 0; i < sums.n; i++) {
            const double value = exact_round(states + i * exact_limbs(f), f, call->alpha_dtype);
            double item;
            loops_of(call->alpha_dtype, 1)->narrow(&value, &item, 1);
            put_dalpha(call, i, 1, &item);
        }
    }
    const int done = e && states;
    free(e);
    free(states);
    return done;
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
    const double bound = pairs + (wide ? 4.0 * (ADDS_MOST + 64) * unit * unit : once);
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
            /* `slack`: the roundings of these lines. Where narrow() is a second rounding, each end must
             * also lie more than a unit of `high` beyond the sum: else it could round to a tie of
             * the dtype from the wrong side. */
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

    prelu_call again = *call;
    again.view.data[VIEW_OUT] = NULL;
    if (doubtful * 16 > sums->n && done) {
        done = exact_call(&again);
    } else {
        for (ptrdiff_t i = 0; i < doubtful && done; i++) {
            view_copy(&again.view, &call->view);
            again.view.data[VIEW_OUT] = NULL;
            narrow_to_alpha(&again.view, doubts[i]);
            done = exact_call(&again);
        }
    }
    if (doubts != few) free(doubts);
    fp_leave(fp);
    return done;
}

static int backward_block(const prelu_call *call, int inputs_change) {
    if (prelu_alphas(&call->view) == view_size(&call->view)) {
        run(call, TERMS, NULL, NULL);
        return 1;
    }
    if (inputs_change) return exact_call(call);
    double few[3 * FEW] = {0}; /* small calls allocate nothing */
    prelu_sums sums = {prelu_alphas(&call->view), few, few + FEW, few + 2 * FEW};
    const int allocated = sums.n > FEW;
    if (allocated && !prelu_sums_new(&sums, sums.n)) return 0;
    run(call, SUMS, &sums, NULL);
    const int done = prelu_finish(call, &sums);
    if (allocated) prelu_sums_free(&sums);
    return done;
}

/* Cuts the outermost axis along which alpha varies until few enough alphas are left. */
static int backward_blocks(const prelu_call *call, int inputs_change, int axis) {
    const prelu_view *v = &call->view;
    const ptrdiff_t alphas = prelu_alphas(v);
    if (alphas <= PRELU_MOST_ALPHAS || alphas == view_size(v))
        return backward_block(call, inputs_change);
    while (!prelu_varies(v, axis)) axis++;
    const ptrdiff_t of_one = alphas / v->shape[axis];
    const ptrdiff_t most = of_one < PRELU_MOST_ALPHAS ? PRELU_MOST_ALPHAS / of_one : 1;
    prelu_call part = *call;
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
