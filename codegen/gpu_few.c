/* Products with few rows, as in decoding: every number of the columns' factor is wanted once, and the time goes
 * into reading it. So a workgroup has only a few columns, that there are many workgroups, and its waves share
 * the terms: they read straight from memory, each a run of every column, and their sums meet in local memory,
 * in the order of the waves. Rows that are not there are the first one once more: its numbers are at hand. */
#include "gpu_contract.h"

enum { SIDE = 16, LINE = SIDE + 4 };
/* Without matrix instructions: lanes of a column, terms of each, rows that there are registers for. */
enum { LANES = 8, RUN = 4, ROWS = 8 };

typedef struct Few {
    GpuContract *c;
    Stage rows, cols;
    uint32_t step; /* terms that a wave takes at once */
    V wave, lane;  /* i32 */
} Few;

bool few_rows(const GpuContract *c) {
    Sizes *s = c->e->g->sizes;
    int64_t n;
    SizeTerm t;
    Size m = c->s.m.total;
    if (size_has_axis(s, c->s.k.total, NULL)) return false;
    if (size_is_num(s, m, &n)) return n <= SIDE;
    for (uint32_t i = 0; i < size_terms(s, m); i++) {
        if (!size_term(s, m, i, &t) || t.n > 1) return false;
        if (t.n && (t.f[0].is_quotient || t.f[0].exp != 1)) return false;
    }
    return true;
}

Tile few_tile(const GpuContract *c) {
    uint8_t number = c->e->k->contract.operands == DT_BF16 ? DT_BF16 : DT_F32;
    const MmaUnit *unit = mma_find(c->e->gpu->t, number, SIDE, SIDE);
    return (Tile){.rows = unit ? SIDE : ROWS, .cols = SIDE, .unit = unit};
}

static uint32_t waves(const Emit *e) { return FEW_BLOCK / e->gpu->t->wave; }

static void set_step(Few *f, uint32_t terms) { f->step = f->rows.terms = f->cols.terms = terms; }

/* Runs body for the terms of this wave, step by step. */
static void each_step(Few *f, void (*body)(Few *f, V k, void *user), void *user) {
    Emit *e = f->c->e;
    V from = LLVMBuildMul(e->b, f->wave, n32(e, f->step), "");
    Loop l = loop_begin(e, wide(e, from), wide(e, f->c->K), (int64_t)f->step * waves(e));
    body(f, narrow(e, l.i), user);
    loop_end(e, &l);
}

static V inside(Emit *e, V p, V n) { return choose(e, below(e, p, n), p, n32(e, 0)); }

static V own_sums(Few *f) {
    Emit *e = f->c->e;
    V at = LLVMBuildMul(e->b, f->wave, n32(e, SIDE * LINE), "");
    return LLVMBuildGEP2(e->b, e->f32, f->c->pieces, &at, 1, "");
}

/* ---- matrix instructions ----------------------------------------------------------------------------- */

enum { SQUARES = 4, AT_ONCE = 4 };

typedef struct Squares {
    const MmaUnit *u;
    uint32_t n, at_once; /* squares of columns; groups of instructions at once */
    MmaLane a, b;
    V row[2], col[SQUARES][2]; /* offsets */
    V sum[SQUARES];
} Squares;

static void fetch(Few *f, const Stage *s, const MmaLane *l, const V *at, V k, V *x) {
    V term = LLVMBuildAdd(f->c->e->b, k, l->term, "");
    x[0] = stage_fetch(f->c, s, at[0], term, l->run);
    x[1] = l->second ? stage_fetch(f->c, s, at[1], term, l->run) : x[0];
}

static void squares_step(Few *f, V k, void *user) {
    Squares *q = user;
    Emit *e = f->c->e;
    uint32_t terms = q->u->k * mma_repeat(q->u);
    V a[AT_ONCE][2], b[AT_ONCE][SQUARES][2];
    for (uint32_t g = 0; g < q->at_once; g++) {
        V here = add32(e, k, g * terms);
        for (uint32_t j = 0; j < q->n; j++) fetch(f, &f->cols, &q->b, q->col[j], here, b[g][j]);
        fetch(f, &f->rows, &q->a, q->row, here, a[g]);
    }
    for (uint32_t g = 0; g < q->at_once; g++)
        for (uint32_t j = 0; j < q->n; j++) {
            V sum = emit_get(e, mma_sum_type(e, q->u), q->sum[j]);
            emit_set(e, q->sum[j], mma_square(e, q->u, a[g], b[g][j], sum));
        }
}

static void points_of(Few *f, const Stage *s, const MmaLane *l, V first, V n, V *at) {
    Emit *e = f->c->e;
    V p = LLVMBuildAdd(e->b, first, l->point, "");
    at[0] = stage_offset(f->c, s, inside(e, p, n));
    if (l->second) at[1] = stage_offset(f->c, s, inside(e, add32(e, p, l->second), n));
}

static void by_squares(Few *f) {
    GpuContract *c = f->c;
    Emit *e = c->e;
    Squares q = {.u = c->t.unit, .n = SIDE / c->t.unit->n};
    q.a = mma_lane(e, q.u, 'i');
    q.b = mma_lane(e, q.u, 'j');
    q.at_once = q.a.run > 8 ? 2 : AT_ONCE;
    set_step(f, q.u->k * mma_repeat(q.u) * q.at_once);
    stage_direct(c, &f->rows, q.a.run);
    stage_direct(c, &f->cols, q.b.run);
    points_of(f, &f->rows, &q.a, c->m0, c->M, q.row);
    LLVMTypeRef t = mma_sum_type(e, q.u);
    for (uint32_t j = 0; j < q.n; j++) {
        points_of(f, &f->cols, &q.b, add32(e, c->n0, j * q.u->n), c->N, q.col[j]);
        q.sum[j] = emit_var(e, t, LLVMConstNull(t));
    }
    each_step(f, squares_step, &q);
    for (uint32_t j = 0; j < q.n; j++)
        mma_square_out(e, q.u, n32(e, j * q.u->n), emit_get(e, t, q.sum[j]), LINE, own_sums(f));
}

/* ---- multiply-adds --------------------------------------------------------------------------------------- */

/* LANES neighbouring lanes share a column: a run of terms each. */
typedef struct Columns {
    uint32_t rows, groups; /* rows; columns of a lane, wave/LANES from one to the next */
    V row[ROWS], col[SIDE];
    V sum[ROWS][SIDE];
} Columns;

static void columns_step(Few *f, V k, void *user) {
    Columns *q = user;
    Emit *e = f->c->e;
    V part = LLVMBuildAnd(e->b, f->lane, n32(e, LANES - 1), "");
    k = LLVMBuildAdd(e->b, k, LLVMBuildMul(e->b, part, n32(e, RUN), ""), "");
    V b[SIDE];
    for (uint32_t j = 0; j < q->groups; j++) b[j] = stage_fetch(f->c, &f->cols, q->col[j], k, RUN);
    for (uint32_t i = 0; i < q->rows; i++) {
        V a = stage_fetch(f->c, &f->rows, q->row[i], k, RUN);
        for (uint32_t j = 0; j < q->groups; j++) {
            V sum = emit_get(e, e->f32, q->sum[i][j]);
            for (uint32_t t = 0; t < RUN; t++)
                sum = k_fma(e, LLVMBuildExtractElement(e->b, a, n32(e, t), ""),
                            LLVMBuildExtractElement(e->b, b[j], n32(e, t), ""), sum);
            emit_set(e, q->sum[i][j], sum);
        }
    }
}

static void columns_out(Few *f, const Columns *q, V column) {
    Emit *e = f->c->e;
    uint32_t apart = e->gpu->t->wave / LANES;
    V part = LLVMBuildAnd(e->b, f->lane, n32(e, LANES - 1), ""), to = own_sums(f);
    V total[ROWS][SIDE];
    for (uint32_t i = 0; i < q->rows; i++)
        for (uint32_t j = 0; j < q->groups; j++) {
            GpuTotal t = {.red = RED_SUM, .v = emit_get(e, e->f32, q->sum[i][j])};
            gpu_totals(e, &t, 1, LANES);
            total[i][j] = t.v;
        }
    If first = if_begin(e, LLVMBuildICmp(e->b, LLVMIntEQ, part, n32(e, 0), ""));
    for (uint32_t i = 0; i < q->rows; i++)
        for (uint32_t j = 0; j < q->groups; j++) {
            V at = add32(e, column, i * LINE + j * apart);
            LLVMBuildStore(e->b, total[i][j], LLVMBuildGEP2(e->b, e->f32, to, &at, 1, ""));
        }
    if_end(e, &first);
}

static void by_columns(Few *f, uint32_t rows) {
    GpuContract *c = f->c;
    Emit *e = c->e;
    uint32_t apart = e->gpu->t->wave / LANES;
    Columns q = {.rows = rows, .groups = SIDE / apart};
    V column = LLVMBuildUDiv(e->b, f->lane, n32(e, LANES), "");
    for (uint32_t i = 0; i < rows; i++)
        q.row[i] = stage_offset(c, &f->rows, inside(e, add32(e, c->m0, i), c->M));
    for (uint32_t j = 0; j < q.groups; j++) {
        V p = LLVMBuildAdd(e->b, c->n0, add32(e, column, j * apart), "");
        q.col[j] = stage_offset(c, &f->cols, inside(e, p, c->N));
        for (uint32_t i = 0; i < rows; i++) q.sum[i][j] = emit_var(e, e->f32, emit_f32(e, 0));
    }
    each_step(f, columns_step, &q);
    columns_out(f, &q, column);
}

/* One row is what most decoding has. */
static void by_lanes(Few *f) {
    GpuContract *c = f->c;
    Emit *e = c->e;
    set_step(f, LANES * RUN);
    stage_direct(c, &f->rows, RUN);
    stage_direct(c, &f->cols, RUN);
    V left = LLVMBuildSub(e->b, c->M, c->m0, "");
    If one = if_begin(e, LLVMBuildICmp(e->b, LLVMIntEQ, left, n32(e, 1), ""));
    by_columns(f, 1);
    if_else(e, &one);
    by_columns(f, ROWS);
    if_end(e, &one);
}

/* ---- all waves ----------------------------------------------------------------------------------------------- */

static void finish(Few *f) {
    GpuContract *c = f->c;
    Emit *e = c->e;
    V thread = e->gpu->thread, r = LLVMBuildUDiv(e->b, thread, n32(e, SIDE), ""),
      s = LLVMBuildAnd(e->b, thread, n32(e, SIDE - 1), "");
    V m = LLVMBuildAdd(e->b, c->m0, r, ""), n = LLVMBuildAdd(e->b, c->n0, s, "");
    V in = LLVMBuildAnd(e->b, below(e, m, c->M), below(e, n, c->N), "");
    in = LLVMBuildAnd(e->b, in, below(e, r, n32(e, c->t.rows)), "");
    If mine = if_begin(e, in);
    tile_point(c, m, n);
    V at = LLVMBuildAdd(e->b, LLVMBuildMul(e->b, r, n32(e, LINE), ""), s, ""), sum = NULL;
    for (uint32_t w = 0; w < waves(e); w++) {
        V from = add32(e, at, w * SIDE * LINE);
        V x =
            LLVMBuildLoad2(e->b, e->f32, LLVMBuildGEP2(e->b, e->f32, c->pieces, &from, 1, ""), "");
        sum = sum ? LLVMBuildFAdd(e->b, sum, x, "") : x;
    }
    tile_members(c, sum);
    if_end(e, &mine);
}

void few_emit(GpuContract *c) {
    Emit *e = c->e;
    Few f = {.c = c, .rows = {.f = &c->s.rows}, .cols = {.f = &c->s.cols}};
    f.rows.packed = f.cols.packed = c->t.unit && c->t.unit->number == DT_BF16;
    f.rows.total = f.cols.total = c->s.k.total;
    f.wave = LLVMBuildUDiv(e->b, e->gpu->thread, n32(e, e->gpu->t->wave), "");
    f.lane = LLVMBuildAnd(e->b, e->gpu->thread, n32(e, e->gpu->t->wave - 1), "");
    c->pieces = gpu_array(e, e->f32, (uint64_t)waves(e) * SIDE * LINE, "sums");
    if (c->t.unit)
        by_squares(&f);
    else
        by_lanes(&f);
    gpu_barrier(e, false);
    finish(&f);
}
