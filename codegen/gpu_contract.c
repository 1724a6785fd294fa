/* contract on GPUs: a workgroup a tile of the result (gpu_contract.h).
 *
 * While a piece of terms is multiplied from local memory, the next one is on its way to registers. In the end
 * the sums go through local memory, some rows at a time, so that what follows them is computed by threads
 * that lie along the result's last axis. Every sum is one chain over the terms in their order. */
#include "gpu_contract.h"

enum { BLOCK = 256, WIDTH = 4 };

static int64_t guess(Emit *e, Size s) { return size_guess(e, s); }

static uint32_t side_for(int64_t n) { return n > 64 ? 128 : n > 32 ? 64 : 32; }

/* The waves of a workgroup over a tile: parts as square as can be. */
static bool split_waves(Tile *t, uint32_t waves, uint32_t least) {
    uint32_t best = UINT32_MAX;
    for (uint32_t r = 1; r <= waves; r *= 2) {
        uint32_t rows = t->rows / r, cols = t->cols / (waves / r);
        if (rows < least || cols < least || rows + cols >= best) continue;
        best = rows + cols;
        t->wave_rows = r;
        t->wave_cols = waves / r;
    }
    return best != UINT32_MAX;
}

static bool is_bf16(const GpuContract *c) { return c->e->k->contract.operands == DT_BF16; }

/* By matrix instructions, if the target has some for such numbers. */
static bool choose_unit(GpuContract *c) {
    Tile *t = &c->t;
    const TargetInfo *target = c->e->gpu->t;
    uint8_t number = is_bf16(c) ? DT_BF16 : DT_F32;
    uint32_t waves = BLOCK / target->wave;
    if (!mma_find(target, number, 128, 128)) return false;
    if (t->rows * t->cols < 64 * 32) t->rows = 64;
    if (!split_waves(t, waves, 16)) return false;
    t->unit = mma_find(target, number, t->rows / t->wave_rows, t->cols / t->wave_cols);
    if (!t->unit) return false;
    t->terms = number == DT_BF16 ? 32 : 16;
    t->pass = 32;
    return true;
}

static void choose_tile(GpuContract *c) {
    Emit *e = c->e;
    Tile *t = &c->t;
    *t = (Tile){.rows = side_for(guess(e, c->s.m.total)), .cols = side_for(guess(e, c->s.n.total))};
    if (choose_unit(c)) return;
    if (t->rows != t->cols) { /* no long and narrow ones */
        if (t->rows > 64) t->rows = 64;
        if (t->cols > 64) t->cols = 64;
    }
    t->terms = 16;
    t->pass = 32;
}

/* ---- where ------------------------------------------------------------------------------------------- */

static V tiles(Emit *e, V n, uint32_t each) {
    return LLVMBuildUDiv(e->b, add32(e, n, each - 1), n32(e, each), "");
}

static Size tiles_of(Emit *e, Size n, uint32_t each) {
    Sizes *s = e->g->sizes;
    return size_floordiv(s, size_add(s, n, size_num(s, each - 1)), size_num(s, each));
}

/* Sets the indices of axes to the digits of p (i32). */
static void split_point(GpuContract *c, const ShapeAxes *a, V p) {
    Emit *e = c->e;
    for (uint32_t i = a->n; i-- > 0;) {
        V rest = p;
        if (i > 0) {
            V n = narrow(e, emit_size(e, c->s.size[a->axis[i]])), q = LLVMBuildUDiv(e->b, p, n, "");
            rest = LLVMBuildSub(e->b, p, LLVMBuildMul(e->b, q, n, ""), "");
            p = q;
        }
        c->idx[a->axis[i]] = wide(e, rest);
    }
}

void tile_point(GpuContract *c, V m, V n) {
    split_point(c, &c->s.m, m);
    split_point(c, &c->s.n, n);
}

/* Rows fastest: neighbours share the columns' piece. */
void tile_place(GpuContract *c) {
    Emit *e = c->e;
    V nm = tiles(e, c->M, c->t.rows), nn = tiles(e, c->N, c->t.cols), at = gpu_tile(e);
    V q = LLVMBuildUDiv(e->b, at, nm, "");
    c->m0 = LLVMBuildMul(e->b, LLVMBuildSub(e->b, at, LLVMBuildMul(e->b, q, nm, ""), ""),
                         n32(e, c->t.rows), "");
    V batch = LLVMBuildUDiv(e->b, q, nn, "");
    c->n0 = LLVMBuildMul(e->b, LLVMBuildSub(e->b, q, LLVMBuildMul(e->b, batch, nn, ""), ""),
                         n32(e, c->t.cols), "");
    for (uint32_t i = 0; i < SHAPE_INDICES; i++) c->idx[i] = emit_const(e, 0);
    split_point(c, &c->s.batch, batch);
}

/* ---- what follows the sum -------------------------------------------------------------------------------- */

static void bind_members(GpuContract *c) {
    Emit *e = c->e;
    for (uint32_t i = 0; i < e->k->members.n; i++) {
        Value v = graph_node(e->g, e->k->members.data[i].node)->out;
        PUSH(e->arena, &e->locals)->value = v;
        e->local_of[v] = e->locals.n;
    }
    e->n_idx = c->s.rank;
    for (uint32_t i = 0; i < c->s.rank; i++) e->idx_size[i] = c->s.size[i];
}

typedef struct Wide {
    int64_t last; /* X_IDX of the result's last axis */
    bool ok;
} Wide;

static bool reads_index(Graph *g, ExprId e, int64_t i) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_IDX && x->i == i) return true;
    for (uint32_t k = 0; k < x->n_args; k++)
        if (reads_index(g, expr_arg(g, e, k), i)) return true;
    return false;
}

/* Neighbours are read as neighbours, or as one. */
static void visit_wide(Graph *g, ExprId id, void *user) {
    Wide *w = user;
    const Expr *x = graph_expr(g, id);
    if (x->op == X_RANDOM) w->ok = false;
    for (uint32_t k = 0; x->op == X_READ && k < x->n_args; k++) {
        const Expr *s = graph_expr(g, expr_arg(g, id, k));
        bool plain = k + 1u == x->n_args && s->op == X_IDX && s->i == w->last;
        if (!plain && reads_index(g, expr_arg(g, id, k), w->last)) w->ok = false;
    }
}

/* Neighbours along the result's last axis that a thread computes at once. */
static uint32_t width_of(const GpuContract *c) {
    Emit *e = c->e;
    const ShapeAxes *n = &c->s.n;
    Wide w = {.last = c->s.rank - 1, .ok = true};
    if (!n->n || n->axis[n->n - 1] != w.last) return 1;
    uint32_t by = gpu_multiple(e, c->s.size[w.last]);
    if (by && by < WIDTH) return 1;
    for (uint32_t i = 1; i < e->k->members.n; i++)
        expr_walk(e->g, graph_node(e->g, e->k->members.data[i].node)->expr, visit_wide, &w);
    return w.ok ? WIDTH : 1;
}

void tile_members(GpuContract *c, V sum) {
    Emit *e = c->e;
    At at = {.width = count_of(sum)};
    for (uint32_t i = 0; i < c->s.rank; i++) at.idx[i] = val_int(c->idx[i]);
    /* AMD's GPUs do not ask how far apart from multiples of their length vectors begin. */
    at.lined = at.width > 1 && e->gpu->t->family == FAMILY_NVIDIA;
    if (at.width > 1) at.idx[c->s.rank - 1] = val_lane(c->idx[c->s.rank - 1], at.width);
    emit_fresh(e);
    for (uint32_t i = 0; i < e->k->members.n; i++) {
        const PlanMember *m = &e->k->members.data[i];
        const Node *n = graph_node(e->g, m->node);
        Val x = i ? emit_expr(e, &at, n->expr) : val_real(e, sum);
        e->locals.data[e->local_of[n->out] - 1].bound = x;
        if (m->arg != LOCAL) emit_store_arg(e, &at, m->arg, at.idx, x);
    }
    emit_fresh(e);
}

static void finish(GpuContract *c) {
    Emit *e = c->e;
    uint32_t width = width_of(c), line = c->t.cols / width, all = c->t.pass * line;
    LLVMTypeRef t = width > 1 ? LLVMVectorType(e->f32, width) : e->f32;
    Loop pass = loop_begin(e, emit_const(e, 0), emit_const(e, c->t.rows / c->t.pass), 1);
    V q = narrow(e, pass.i);
    (c->t.unit ? mma_out : product_out)(c, q, c->pieces);
    gpu_barrier(e, false);
    V first = LLVMBuildAdd(e->b, c->m0, LLVMBuildMul(e->b, q, n32(e, c->t.pass), ""), "");
    Loop l = loop_begin(e, wide(e, e->gpu->thread), emit_const(e, all), BLOCK);
    V i = narrow(e, l.i), r = LLVMBuildUDiv(e->b, i, n32(e, line), ""),
      s = LLVMBuildMul(e->b, LLVMBuildURem(e->b, i, n32(e, line), ""), n32(e, width), "");
    V m = LLVMBuildAdd(e->b, first, r, ""), n = LLVMBuildAdd(e->b, c->n0, s, "");
    If in = if_begin(e, LLVMBuildAnd(e->b, below(e, m, c->M), below(e, n, c->N), ""));
    tile_point(c, m, n);
    V at = LLVMBuildAdd(e->b, LLVMBuildMul(e->b, r, n32(e, c->t.cols + 4), ""), s, "");
    V x = LLVMBuildLoad2(e->b, t, LLVMBuildGEP2(e->b, e->f32, c->pieces, &at, 1, ""), "");
    LLVMSetAlignment(x, 4 * width);
    tile_members(c, x);
    if_end(e, &in);
    loop_end(e, &l);
    gpu_barrier(e, false);
    loop_end(e, &pass);
}

/* ---- the sum ------------------------------------------------------------------------------------------------ */

static void sums(GpuContract *c) {
    Emit *e = c->e;
    (c->t.unit ? mma_begin : product_begin)(c);
    stage_begin(c, &c->rows, c->m0, c->M);
    stage_begin(c, &c->cols, c->n0, c->N);
    stage_load(c, &c->rows, n32(e, 0));
    stage_load(c, &c->cols, n32(e, 0));
    Loop l = loop_begin(e, emit_const(e, 0), wide(e, c->K), c->t.terms);
    stage_store(c, &c->rows);
    stage_store(c, &c->cols);
    gpu_barrier(e, false);
    /* Behind the last piece the first one is loaded once more, for nobody. */
    V next = add32(e, narrow(e, l.i), c->t.terms);
    next = choose(e, below(e, next, c->K), next, n32(e, 0));
    stage_load(c, &c->rows, next);
    stage_load(c, &c->cols, next);
    gpu_call(e, "rwkvc.keep.order", NULL, 0);
    (c->t.unit ? mma_add : product_add)(c);
    /* Here and not before the stores: loads are not moved over it, to where their numbers are wanted. */
    gpu_barrier(e, false);
    loop_end(e, &l);
    gpu_keep_rolled(e, &l);
}

static Stage stage_of(const GpuContract *c, const ShapeFactor *f, uint32_t points) {
    return (Stage){.f = f,
                   .packed = c->t.unit && c->t.unit->number == DT_BF16,
                   .points = points,
                   .terms = c->t.terms,
                   .total = c->s.k.total};
}

static void stages(GpuContract *c) {
    Emit *e = c->e;
    c->rows = stage_of(c, &c->s.rows, c->t.rows);
    c->cols = stage_of(c, &c->s.cols, c->t.cols);
    stage_plan(c, &c->rows);
    stage_plan(c, &c->cols);
    uint32_t rows = stage_bytes(&c->rows), both = rows + stage_bytes(&c->cols),
             out = c->t.pass * (c->t.cols + 4) * 4;
    c->pieces = gpu_array(e, e->f32, (both > out ? both : out) / 4, "pieces");
    V second = n32(e, rows / 4);
    c->rows.to = c->pieces;
    c->cols.to = LLVMBuildGEP2(e->b, e->f32, c->pieces, &second, 1, "");
}

/* A sum that lies in memory as no product does: a point of the result at a time. */
static const char *by_points(Emit *e) {
    Kernel *k = NEW(e->arena, Kernel);
    *k = *e->k;
    const ValueInfo *out = graph_value(e->g, graph_node(e->g, k->members.data[0].node)->out);
    k->n_par = out->rank;
    k->members.data = arena_copy(e->arena, k->members.data, k->members.n * sizeof *k->members.data);
    for (uint8_t i = 0; i < out->rank; i++) {
        k->par[i] = out->dims[i];
        for (uint32_t m = 0; m < k->members.n; m++) k->members.data[m].par[i] = i;
    }
    e->k = k;
    return row_emit(e);
}

const char *gpu_contract(Emit *e) {
    GpuContract *c = NEW(e->arena, GpuContract);
    c->e = e;
    if (!shape_of(e, &c->s)) return by_points(e);
    bool few = few_rows(c);
    if (few)
        c->t = few_tile(c);
    else
        choose_tile(c);
    Sizes *s = e->g->sizes;
    Size grid =
        size_mul(s, tiles_of(e, c->s.m.total, c->t.rows), tiles_of(e, c->s.n.total, c->t.cols));
    e->code->grid = size_mul(s, c->s.batch.total, grid);
    if (!e->code->grid) return "a matrix product is too large";
    e->code->scratch = size_num(s, 0);
    e->gpu->block = few ? FEW_BLOCK : BLOCK;
    e->gpu->dense = true;
    c->M = narrow(e, emit_size(e, c->s.m.total));
    c->N = narrow(e, emit_size(e, c->s.n.total));
    c->K = narrow(e, emit_size(e, c->s.k.total));
    bind_members(c);
    tile_place(c);
    if (few) {
        few_emit(c);
        return e->error;
    }
    stages(c);
    sums(c);
    finish(c);
    return e->error;
}
