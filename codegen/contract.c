/* contract: a sum over a product of two factors, in tiles of m x n, and what follows at the same points.
 *
 * The side with the last axis of the result gives the columns (lanes of vectors), the other one the
 * rows. The points of a side, and the terms of the sum, are flattened: digits, each with a size and a
 * stride in its factor; neighbours that are one axis in memory are joined.
 *
 * Grid: batch, then groups of `rows` rows, then tiles of columns, then the tiles of rows of a group. So a
 * range is cut into large rectangles; where there are few columns, a group is one tile of rows, and the
 * range is cut along the rows. A result of FEW_ROWS rows or less is computed without packing: the columns'
 * factor (the weights, in decoding) is read once as it lies. Which way is taken depends on sizes alone and
 * every sum has an order of its own, so a result is the same however the grid is cut. */
#include "contract_rect.h"

#include <string.h>

/* ---- the shape ---------------------------------------------------------------------------------- */

/* Of the f32 micro kernels all vector registers are sums but the few that hold factors. A panel and the
 * sums that wait fill about half of 2 MiB of L2. */
Blocking contract_blocking(const Emit *e, bool amx) {
    static const Blocking tiles = {.amx = true,
                                   .lanes = 16,
                                   .micro = 32,
                                   .row_strip = 32,
                                   .col_strip = 32,
                                   .tile_rows = 64,
                                   .tile_cols = 32,
                                   .rows = 512,
                                   .cols = 384,
                                   .near = 1024,
                                   .far = 512,
                                   .panel = 320 << 10};
    static const Blocking wide = {.lanes = 16,
                                  .micro = 14,
                                  .row_strip = 56,
                                  .col_strip = 32,
                                  .tile_rows = 56,
                                  .tile_cols = 32,
                                  .rows = 224,
                                  .cols = 512,
                                  .near = 768,
                                  .far = 256,
                                  .panel = 192 << 10};
    static const Blocking narrow = {.lanes = 8,
                                    .micro = 6,
                                    .row_strip = 48,
                                    .col_strip = 16,
                                    .tile_rows = 48,
                                    .tile_cols = 32,
                                    .rows = 192,
                                    .cols = 512,
                                    .near = 768,
                                    .far = 256,
                                    .panel = 192 << 10};
    return amx ? tiles : e->lanes == 16 ? wide : narrow;
}

static Size times(Emit *e, Size a, Size b) { return size_mul(e->g->sizes, a, b); }
static Size number(Emit *e, int64_t n) { return size_num(e->g->sizes, n); }
static bool is_number(Emit *e, Size s, int64_t n) {
    int64_t v;
    return size_is_num(e->g->sizes, s, &v) && v == n;
}

static bool add_atom(Emit *e, Factor *f, ExprId atom, Size coef) {
    const Expr *x = graph_expr(e->g, atom);
    if (x->op == X_IDX) {
        f->stride[x->i] = size_add(e->g->sizes, f->stride[x->i], coef);
        return f->stride[x->i] != 0;
    }
    if ((x->op != X_LVL && x->op != X_POS) || f->n_atoms == sizeof f->atoms / sizeof *f->atoms)
        return false;
    f->atoms[f->n_atoms].atom = atom;
    f->atoms[f->n_atoms++].coef = coef;
    return true;
}

static bool factor_of(Emit *e, ExprId read, Factor *f) {
    const Expr *x = graph_expr(e->g, read);
    if (x->op != X_READ || !e->arg_of[x->value] || e->local_of[x->value]) return false;
    const ValueInfo *v = graph_value(e->g, x->value);
    f->arg = e->arg_of[x->value] - 1;
    f->dtype = e->args[f->arg].dtype;
    if (f->dtype != DT_F32 && f->dtype != DT_BF16 && f->dtype != DT_F16) return false;
    f->base = number(e, 0);
    for (uint32_t i = 0; i < INDICES; i++) f->stride[i] = number(e, 0);
    Size stride = number(e, 1);
    for (uint32_t i = v->rank; i-- > e->args[f->arg].drop;) {
        Affine a;
        ExprId whole;
        if (i > e->args[f->arg].drop && read_joins_axes(e->g, read, i - 1, &whole)) {
            if (!add_atom(e, f, whole, stride)) return false;
            stride = size_ground(e->g->sizes, times(e, stride, v->dims[i]));
            i--;
            stride = size_ground(e->g->sizes, times(e, stride, v->dims[i]));
            continue;
        }
        if (!expr_affine(e->g, expr_arg(e->g, read, i), &a)) return false;
        f->base = size_add(e->g->sizes, f->base, times(e, a.konst, stride));
        for (uint32_t j = 0; j < a.n; j++)
            if (!add_atom(e, f, a.atom[j], size_ground(e->g->sizes, times(e, a.coef[j], stride))))
                return false;
        stride = size_ground(e->g->sizes, times(e, stride, v->dims[i]));
    }
    f->base = size_ground(e->g->sizes, f->base);
    return f->base != 0 && stride != 0;
}

static bool axes_of(Contract *c, Axes *a, const uint8_t *axis, uint32_t n) {
    a->total = number(c->e, 1);
    for (uint32_t i = 0; i < n; i++) {
        a->total = times(c->e, a->total, c->size[axis[i]]);
        if (!is_number(c->e, c->size[axis[i]], 1)) a->axis[a->n++] = axis[i];
    }
    return a->total != 0;
}

/* Digits of a factor along axes: two are one where the outer stride is the inner length. */
static void digits_of(Contract *c, const Factor *f, const Axes *a, Digits *d) {
    for (uint32_t i = 0; i < a->n; i++) {
        Digit next = {c->size[a->axis[i]], f->stride[a->axis[i]]};
        Digit *last = d->n ? &d->d[d->n - 1] : NULL;
        if (last &&
            last->stride == size_ground(c->e->g->sizes, times(c->e, next.size, next.stride)))
            *last = (Digit){size_ground(c->e->g->sizes, times(c->e, last->size, next.size)),
                            next.stride};
        else
            d->d[d->n++] = next;
    }
    if (!d->n) d->d[d->n++] = (Digit){number(c->e, 1), number(c->e, 0)};
}

static bool one_run(Contract *c, const Digits *d) {
    return d->n == 1 && is_number(c->e, d->d[0].stride, 1);
}

static void choose_few(Contract *c) {
    int64_t m;
    bool known = size_is_num(c->e->g->sizes, c->m.total, &m);
    if (known && m > FEW_ROWS) return;
    if (one_run(c, &c->cols.terms))
        c->few = FEW_DOT;
    else if (one_run(c, &c->cols.points) && c->cols.terms.n == 1)
        c->few = FEW_AXPY;
    c->few_only = known && c->few != FEW_NONE;
    c->x_direct = c->rows.dtype == DT_F32 && one_run(c, &c->rows.terms);
}

static bool shape_of(Contract *c) {
    Emit *e = c->e;
    const PlanContract *p = &e->k->contract;
    const Node *n = graph_node(e->g, e->k->members.data[0].node);
    const ValueInfo *out = graph_value(e->g, n->out);
    c->rank = out->rank;
    for (uint32_t i = 0; i < out->rank + n->n_extra; i++)
        c->size[i] =
            size_ground(e->g->sizes, i < out->rank ? out->dims[i] : n->extra[i - out->rank]);
    if (!p->n_m || !p->n_n || !p->n_k) return false;
    bool swap = p->m[p->n_m - 1] > p->n[p->n_n - 1];
    if (!factor_of(e, swap ? p->b : p->a, &c->rows) || !factor_of(e, swap ? p->a : p->b, &c->cols))
        return false;
    if (!axes_of(c, &c->batch, p->batch, p->n_batch) || !axes_of(c, &c->k, p->k, p->n_k) ||
        !axes_of(c, &c->m, swap ? p->n : p->m, swap ? p->n_n : p->n_m) ||
        !axes_of(c, &c->n, swap ? p->m : p->n, swap ? p->n_m : p->n_n))
        return false;
    digits_of(c, &c->rows, &c->m, &c->rows.points);
    digits_of(c, &c->rows, &c->k, &c->rows.terms);
    digits_of(c, &c->cols, &c->n, &c->cols.points);
    digits_of(c, &c->cols, &c->k, &c->cols.terms);
    for (uint32_t i = 1; i < e->k->members.n; i++)
        if (graph_value(e->g, graph_node(e->g, e->k->members.data[i].node)->out)->rank != c->rank)
            return false;
    choose_few(c);
    return true;
}

static Size tiles(Emit *e, Size total, uint32_t tile) {
    Size up = size_add(e->g->sizes, total, number(e, tile - 1));
    return size_floordiv(e->g->sizes, up, number(e, tile));
}

/* ---- scratch -------------------------------------------------------------------------------------- */

static int64_t most(Emit *e, Size total, uint32_t tile, uint32_t limit) {
    int64_t n;
    if (!size_is_num(e->g->sizes, total, &n) || n >= limit) return limit;
    return (n + tile - 1) / tile * tile;
}

static V at_byte(Emit *e, int64_t *used, int64_t bytes) {
    V p = k_elem(e, LLVMInt8TypeInContext(e->c), e->scratch_p, k_num(e, *used));
    *used += (bytes + 63) / 64 * 64;
    return p;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

/* What packed strips and the sums of many rows take. Squares and tiles are stored whole: some numbers more
 * than there are rows, or terms. */
static void lay_out_many(Contract *c, int64_t rows, int64_t *used) {
    Emit *e = c->e;
    const Blocking *bl = &c->bl;
    int64_t bytes = bl->amx ? 2 : 4, strip = bl->row_strip, more = 2 * K_BLOCK * bl->lanes, n;
    bool known = size_is_num(e->g->sizes, c->k.total, &n);
    int64_t terms = known && n <= bl->near ? most(e, c->k.total, K_BLOCK, bl->near) : bl->near;
    if (known && n > bl->near) terms = bl->far;
    rows = (rows + strip - 1) / strip * strip;
    int64_t packed = known && n > bl->near && one_run(c, &c->rows.terms) ? strip : rows,
            sums = known && n <= bl->near ? strip : rows;
    int64_t panel = terms * most(e, c->n.total, bl->tile_cols, bl->cols);
    c->hint = at_byte(e, used, (int64_t)MOST_OUT * strip * 16);
    c->a = at_byte(e, used, bytes * (packed * terms + more));
    c->b = at_byte(e, used, bytes * (least(bl->panel, panel) + more));
    c->c = at_byte(e, used, 4 * greatest(sums * contract_ld(bl), FEW_SUMS));
}

static Size lay_out(Contract *c) {
    Emit *e = c->e;
    const Blocking *bl = &c->bl;
    int64_t rows = most(e, c->m.total, bl->tile_rows, c->few_only ? FEW_ROWS : bl->rows), used = 0;
    int64_t terms = greatest(bl->near, bl->far), cols = greatest(bl->cols, FEW_COLS);
    c->row = at_byte(e, &used, (rows + bl->lanes) * 8);
    c->col = at_byte(e, &used, (cols + bl->lanes) * 8);
    c->ka = at_byte(e, &used, terms * 8);
    c->kb = at_byte(e, &used, terms * 8);
    if (c->few_only)
        c->c = at_byte(e, &used, 4 * FEW_SUMS);
    else
        lay_out_many(c, rows, &used);
    if (c->few == FEW_NONE || c->x_direct) return number(e, used);
    c->x = at_byte(e, &used, 0);
    Size one = size_add(e->g->sizes, c->k.total, number(e, LD_PAD));
    /* Rows are packed in squares: as many as a vector has lanes are written, then one vector more. */
    return size_add(e->g->sizes, number(e, used + 64), times(e, one, number(e, 4 * bl->lanes)));
}

const char *contract_emit(Emit *e) {
    Contract c = {.e = e};
    if (e->lanes != 8 && e->lanes != 16) return emit_declined;
    if (!shape_of(&c)) return emit_declined;
    c.bl = contract_blocking(e, e->amx && e->k->contract.operands == DT_BF16);
    Size grid = times(e, times(e, c.batch.total, tiles(e, c.m.total, c.bl.tile_rows)),
                      tiles(e, c.n.total, c.bl.tile_cols));
    if (!grid) return emit_declined;
    fun_no_calls(e, e->fn);
    e->code->grid = grid;
    e->code->scratch = lay_out(&c);
    contract_kernel(&c);
    return NULL;
}
