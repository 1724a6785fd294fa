/* contract: a sum over a product of two factors, in tiles of m x n, and what follows at the same points.
 *
 * The side with the last axis of the result gives the columns (lanes of vectors), the other one the
 * rows. The points of a side, and the terms of the sum, are flattened: digits, each with a size and a
 * stride in its factor; neighbours that are one axis in memory are joined.
 *
 * Grid: batch, then groups of `rows` rows, then tiles of columns, then the tiles of rows of a group. So a
 * range is cut into large rectangles; for each, both factors are packed K_BLOCK terms at a time and
 * multiplied into scratch. A result of FEW_ROWS rows or less is computed without packing: the columns'
 * factor (the weights, in decoding) is read once as it lies. Which way is taken depends on sizes alone and
 * every sum has an order of its own, so a result is the same however the grid is cut. */
#include "contract.h"

#include <string.h>

enum { INDICES = 2 * MAX_RANK };

typedef struct Digit {
    Size size, stride;
} Digit;

typedef struct Digits {
    uint32_t n;
    Digit d[MAX_RANK];
    V size, stride; /* arrays of i64 */
} Digits;

typedef struct Factor {
    uint32_t arg;
    uint8_t dtype;
    Size base; /* offset at index 0 ...                        */
    uint32_t n_atoms;
    struct {
        ExprId atom;
        Size coef;
    } atoms[AFFINE_MAX * 2]; /* ... and of the counters around */
    Size stride[INDICES];    /* by index of the node                         */
    Digits points, terms;
} Factor;

typedef struct Axes { /* of the node, in order */
    uint32_t n;
    uint8_t axis[MAX_RANK];
    Size total;
} Axes;

typedef enum FewPath { FEW_NONE, FEW_DOT, FEW_AXPY } FewPath;

typedef struct Contract {
    Emit *e;
    Blocking bl;
    uint32_t rank;
    Size size[INDICES];
    Axes batch, m, n, k;
    Factor rows, cols;
    FewPath few;
    bool few_only, x_direct; /* never many rows; the rows are read as they lie */
    V M, N, K, nm, nn;
    V is_few, is_near;              /* i1: few rows; all terms fit the slots        */
    V a, b, c, x, row, col, ka, kb; /* in scratch                                   */
    V idx[INDICES];                 /* the point at hand                            */
} Contract;

/* ---- the shape ---------------------------------------------------------------------------------- */

/* Of the f32 micro kernels all vector registers are sums but the few that hold factors. What is packed at
 * once fills about half of 2 MiB of L2. */
Blocking contract_blocking(const Emit *e, bool amx) {
    static const Blocking tiles = {.amx = true,
                                   .lanes = 16,
                                   .strip = 16,
                                   .micro = 32,
                                   .tile_rows = 64,
                                   .tile_cols = 32,
                                   .rows = 512,
                                   .near_cols = 128,
                                   .cols = 1024,
                                   .part_rows = 32,
                                   .part_cols = 128,
                                   .slots = 4};
    static const Blocking wide = {.lanes = 16,
                                  .strip = 32,
                                  .micro = 14,
                                  .tile_rows = 56,
                                  .tile_cols = 32,
                                  .rows = 224,
                                  .near_cols = 256,
                                  .cols = 512,
                                  .part_rows = 56,
                                  .part_cols = 512,
                                  .slots = 3};
    static const Blocking narrow = {.lanes = 8,
                                    .strip = 16,
                                    .micro = 6,
                                    .tile_rows = 48,
                                    .tile_cols = 32,
                                    .rows = 192,
                                    .near_cols = 256,
                                    .cols = 512,
                                    .part_rows = 48,
                                    .part_cols = 512,
                                    .slots = 3};
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

static Size lay_out(Contract *c) {
    Emit *e = c->e;
    const Blocking *bl = &c->bl;
    int64_t rows = most(e, c->m.total, bl->tile_rows, c->few_only ? FEW_ROWS : bl->rows), used = 0;
    int64_t bytes = bl->amx ? 2 : 4;
    c->row = at_byte(e, &used, (rows + bl->lanes) * 8);
    c->col = at_byte(e, &used, (bl->cols + bl->lanes) * 8);
    c->ka = at_byte(e, &used, K_BLOCK * 8);
    c->kb = at_byte(e, &used, K_BLOCK * 8);
    c->c = at_byte(e, &used, (rows + 2 * bl->lanes) * 4 * contract_ld(bl));
    if (!c->few_only) {
        c->a = at_byte(e, &used, bytes * bl->slots * contract_row_slot(bl));
        int64_t near = (int64_t)bl->slots * contract_col_slot(bl),
                far = (int64_t)bl->cols * K_BLOCK;
        c->b = at_byte(e, &used, bytes * (near > far ? near : far));
    }
    if (c->few == FEW_NONE || c->x_direct) return number(e, used);
    c->x = at_byte(e, &used, 0);
    Size one = size_add(e->g->sizes, c->k.total, number(e, LD_PAD));
    /* Rows are packed in squares: as many as a vector has lanes are written, then one vector more. */
    return size_add(e->g->sizes, number(e, used + 64), times(e, one, number(e, 4 * bl->lanes)));
}

static void digit_arrays(Contract *c, Digits *d) {
    Emit *e = c->e;
    d->size = emit_var(e, LLVMArrayType2(e->i64, d->n), NULL);
    d->stride = emit_var(e, LLVMArrayType2(e->i64, d->n), NULL);
    for (uint32_t i = 0; i < d->n; i++) {
        k_store(e, emit_size(e, d->d[i].size), k_elem(e, e->i64, d->size, k_num(e, i)), 8);
        k_store(e, emit_size(e, d->d[i].stride), k_elem(e, e->i64, d->stride, k_num(e, i)), 8);
    }
}

/* ---- points ---------------------------------------------------------------------------------------- */

/* Sets idx of axes to the digits of p. */
static void split_point(Contract *c, const Axes *a, V p) {
    Emit *e = c->e;
    for (uint32_t i = a->n; i-- > 0;) {
        if (i == 0) {
            c->idx[a->axis[0]] = p;
            break;
        }
        V s = emit_size(e, c->size[a->axis[i]]), q = k_div(e, p, s);
        c->idx[a->axis[i]] = k_sub(e, p, k_mul(e, q, s));
        p = q;
    }
}

/* Address of a factor at the batch point at hand, all other indices 0. */
static V factor_at(Contract *c, const Factor *f) {
    Emit *e = c->e;
    V at = emit_size(e, f->base);
    for (uint32_t i = 0; i < f->n_atoms; i++) {
        const Expr *x = graph_expr(e->g, f->atoms[i].atom);
        V counter = x->op == X_LVL ? e->lvl[x->i].v : e->pos[x->i].v;
        at = k_add(e, at, k_mul(e, counter, emit_size(e, f->atoms[i].coef)));
    }
    for (uint32_t i = 0; i < c->batch.n; i++) {
        uint8_t axis = c->batch.axis[i];
        at = k_add(e, at, k_mul(e, c->idx[axis], emit_size(e, f->stride[axis])));
    }
    return k_elem(e, k_storage(e, f->dtype), e->args[f->arg].ptr, at);
}

static void offsets(Contract *c, V dst, V start, V count, const Digits *d) {
    V args[] = {dst, start, count, k_num(c->e, d->n), d->size, d->stride};
    fun_call(c->e, contract_offsets(c->e), args, 6);
}

/* ---- what follows the sum --------------------------------------------------------------------------- */

static void members_at(Contract *c, At *at, V sum) {
    Emit *e = c->e;
    emit_fresh(e);
    for (uint32_t i = 0; i < e->k->members.n; i++) {
        const PlanMember *m = &e->k->members.data[i];
        const Node *n = graph_node(e->g, m->node);
        Val x = i ? emit_expr(e, at, n->expr) : val_real(e, sum);
        e->locals.data[e->local_of[n->out] - 1].bound = x;
        if (m->arg != LOCAL) emit_store_arg(e, at, m->arg, at->idx, x);
    }
}

static void bind_members(Contract *c) {
    Emit *e = c->e;
    for (uint32_t i = 0; i < e->k->members.n; i++) {
        Value v = graph_node(e->g, e->k->members.data[i].node)->out;
        EmitLocal *l = PUSH(e->arena, &e->locals);
        l->value = v;
        e->local_of[v] = e->locals.n;
    }
    e->n_idx = c->rank;
    for (uint32_t i = 0; i < c->rank; i++) e->idx_size[i] = c->size[i];
}

/* lanes points from the one at hand on, along the last axis of the columns. */
static void vector_at(Contract *c, V from, V j, V tail) { /* from: its sum */
    Emit *e = c->e;
    At at = {.width = c->bl.lanes, .tail = tail};
    for (uint32_t i = 0; i < c->rank; i++) at.idx[i] = val_int(c->idx[i] ? c->idx[i] : k_num(e, 0));
    if (c->n.n) {
        uint8_t last = c->n.axis[c->n.n - 1];
        at.idx[last] = val_lane(k_add(e, c->idx[last], j), 1);
    }
    V x = k_load(e, k_vec(e->f32, c->bl.lanes), k_elem(e, e->f32, from, j), 4);
    members_at(c, &at, x);
}

/* All points of rows m0..m1, columns n0..n1, their sums at `sums`. */
static void finish(Contract *c, V sums, V m0, V m1, V n0, V n1) {
    Emit *e = c->e;
    int64_t lanes = c->bl.lanes;
    V n = emit_var(e, e->i64, NULL);
    Loop r = loop_begin(e, m0, m1, 1);
    split_point(c, &c->m, r.i);
    emit_set(e, n, n0);
    While w = while_begin(e);
    V j0 = emit_get(e, e->i64, n);
    while_test(e, &w, k_lt(e, j0, n1));
    split_point(c, &c->n, j0);
    V run = k_sub(e, n1, j0);
    if (c->n.n) {
        uint8_t last = c->n.axis[c->n.n - 1];
        run = k_min(e, run, k_sub(e, emit_size(e, c->size[last]), c->idx[last]));
    }
    V from = k_add(e, k_mul(e, k_sub(e, r.i, m0), k_num(e, contract_ld(&c->bl))), k_sub(e, j0, n0));
    from = k_elem(e, e->f32, sums, from);
    V whole = k_mul(e, k_div(e, run, k_num(e, lanes)), k_num(e, lanes));
    Loop l = loop_begin(e, k_num(e, 0), whole, lanes);
    vector_at(c, from, l.i, NULL);
    loop_end(e, &l);
    If rest = if_begin(e, k_lt(e, whole, run));
    vector_at(c, from, whole, k_lanes_below(e, c->bl.lanes, k_sub(e, run, whole)));
    if_end(e, &rest);
    emit_fresh(e);
    emit_set(e, n, k_add(e, j0, run));
    while_end(e, &w);
    loop_end(e, &r);
}

/* ---- sums --------------------------------------------------------------------------------------------- */

/* A rectangle: rows m0 + [0, rows), columns n0 + [0, cols), at the batch point at hand. */
typedef struct Rect {
    V a, b; /* the factors there */
    V m0, rows, n0, cols;
    V same; /* i1: its rows are those packed already */
} Rect;

/* Packs terms k0 .. k0 + kn of both factors. */
static void pack(Contract *c, const Rect *r, V k0, V kn) {
    Emit *e = c->e;
    int64_t bytes = c->bl.amx ? 2 : 4;
    Loop k = loop_begin(e, k_num(e, 0), kn, K_BLOCK);
    V kc = k_min(e, k_sub(e, kn, k.i), k_num(e, K_BLOCK)), slot = k_div(e, k.i, k_num(e, K_BLOCK));
    LLVMTypeRef byte = LLVMInt8TypeInContext(e->c);
    If rows = if_begin(e, LLVMBuildNot(e->b, r->same, ""));
    offsets(c, c->ka, k_add(e, k0, k.i), kc, &c->rows.terms);
    V a = k_elem(e, byte, c->a, k_mul(e, slot, k_num(e, bytes * contract_row_slot(&c->bl))));
    V pa[] = {a, k_num(e, K_BLOCK), r->a, c->row, r->rows, c->ka, kc};
    fun_call(e, contract_pack_rows(e, &c->bl, c->rows.dtype, c->bl.amx), pa, 7);
    if_end(e, &rows);
    offsets(c, c->kb, k_add(e, k0, k.i), kc, &c->cols.terms);
    V b = k_elem(e, byte, c->b, k_mul(e, slot, k_num(e, bytes * contract_col_slot(&c->bl))));
    V pb[] = {b, r->b, c->col, r->cols, c->kb, kc};
    fun_call(e, contract_pack_cols(e, &c->bl, c->cols.dtype, c->bl.amx), pb, 6);
    loop_end(e, &k);
}

/* The rows as f32 with neighbouring terms; their offsets in c->row. */
static V few_rows(Contract *c, const Rect *r) {
    Emit *e = c->e;
    if (c->x_direct) return r->a;
    V ld = k_add(e, c->K, k_num(e, LD_PAD));
    Loop k = loop_begin(e, k_num(e, 0), c->K, K_BLOCK);
    V kc = k_min(e, k_sub(e, c->K, k.i), k_num(e, K_BLOCK));
    offsets(c, c->ka, k.i, kc, &c->rows.terms);
    V pa[] = {k_elem(e, e->f32, c->x, k.i), ld, r->a, c->row, r->rows, c->ka, kc};
    fun_call(e, contract_pack_rows(e, &c->bl, c->rows.dtype, false), pa, 7);
    loop_end(e, &k);
    Loop l = loop_begin(e, k_num(e, 0), r->rows, 1);
    k_store(e, k_mul(e, l.i, ld), k_elem(e, e->i64, c->row, l.i), 8);
    loop_end(e, &l);
    return c->x;
}

/* Sums of columns s .. s + cols of the rectangle, all rows. */
static void few_sums(Contract *c, const Rect *r, V x, V s, V cols, V to) {
    Emit *e = c->e;
    if (c->few == FEW_DOT) {
        V args[] = {x, c->row, r->b, k_elem(e, e->i64, c->col, s), to, r->rows, cols, c->K};
        fun_call(e, contract_dot(e, &c->bl, c->cols.dtype), args, 8);
        return;
    }
    V w = k_elem(e, k_storage(e, c->cols.dtype), r->b, k_add(e, r->n0, s));
    V args[] = {x, c->row, w, emit_size(e, c->cols.terms.d[0].stride), to, r->rows, cols, c->K};
    fun_call(e, contract_axpy(e, &c->bl, c->cols.dtype), args, 8);
}

/* Sums of rows q .., columns s .. of the rectangle over kn packed terms. */
static void many_sums(Contract *c, V q, V rows, V s, V cols, V kn, V first, V to) {
    Emit *e = c->e;
    LLVMTypeRef t = c->bl.amx ? e->i16 : e->f32;
    V a = k_elem(e, t, c->a, k_mul(e, q, k_num(e, K_BLOCK))),
      b = k_elem(e, t, c->b, k_mul(e, s, k_num(e, K_BLOCK)));
    V args[] = {a, b, to, rows, cols, kn, first};
    fun_call(e, c->bl.amx ? contract_product_amx(e, &c->bl) : contract_product(e, &c->bl), args, 7);
}

/* ---- the kernel ------------------------------------------------------------------------------------------ */

/* Tiles at..end in rectangles: rows m0 + [0, h tiles), columns n0 + [0, w tiles). */
typedef struct Place {
    V batch, m0, n0, h, w;
} Place;

static Place place_of(Contract *c, V at) {
    Emit *e = c->e;
    V per = k_mul(e, c->nm, c->nn), group = k_num(e, c->bl.rows / c->bl.tile_rows);
    V batch = k_div(e, at, per), in = k_sub(e, at, k_mul(e, batch, per)),
      left = k_sub(e, e->end, at);
    V size = k_mul(e, c->nn, group), g = k_div(e, in, size), first = k_mul(e, g, group);
    in = k_sub(e, in, k_mul(e, g, size));
    V high = k_min(e, group, k_sub(e, c->nm, first));
    V jn = k_div(e, in, high), im = k_sub(e, in, k_mul(e, jn, high));
    /* Whole columns of the group, or the rest of one. */
    V whole = k_and(e, k_eq(e, im, k_num(e, 0)), k_le(e, high, left));
    V most_cols =
        LLVMBuildSelect(e->b, c->is_near, k_num(e, c->bl.near_cols), k_num(e, c->bl.cols), "");
    if (c->few != FEW_NONE)
        most_cols = LLVMBuildSelect(e->b, c->is_few, k_num(e, c->bl.cols), most_cols, "");
    V wide = k_min(e, k_sub(e, c->nn, jn), k_div(e, most_cols, k_num(e, c->bl.tile_cols)));
    wide = k_min(e, wide, k_div(e, left, high));
    V h = LLVMBuildSelect(e->b, whole, high, k_min(e, k_sub(e, high, im), left), "");
    V w = LLVMBuildSelect(e->b, whole, wide, k_num(e, 1), "");
    V m0 = k_mul(e, k_add(e, first, im), k_num(e, c->bl.tile_rows));
    return (Place){batch, m0, k_mul(e, jn, k_num(e, c->bl.tile_cols)), h, w};
}

/* Code for few rows, for many, or both and a branch. */
static bool does_few(const Contract *c) { return c->few != FEW_NONE; }
static bool does_many(const Contract *c) { return !c->few_only; }

/* One piece: its sums over kn terms from k0 on, and when they are the last what follows. */
static void piece(Contract *c, const Rect *r, V x, V q, V s, V wide, V k0, V kn) {
    Emit *e = c->e;
    V rows = k_min(e, k_sub(e, r->rows, q), k_num(e, c->bl.part_rows)),
      cols = k_min(e, k_sub(e, r->cols, s), wide);
    /* Sums that wait for more terms have each their place. */
    V waits = k_add(e, k_mul(e, q, k_num(e, contract_ld(&c->bl))), s),
      first = k_eq(e, k0, k_num(e, 0));
    V last = k_eq(e, k_add(e, k0, kn), c->K);
    V to = k_elem(e, e->f32, c->c,
                  LLVMBuildSelect(e->b, k_and(e, first, last), k_num(e, 0), waits, ""));
    If which = {0};
    if (does_few(c) && does_many(c)) which = if_begin(e, c->is_few);
    if (does_few(c)) few_sums(c, r, x, s, cols, to);
    if (does_few(c) && does_many(c)) if_else(e, &which);
    if (does_many(c)) many_sums(c, q, rows, s, cols, kn, first, to);
    if (does_few(c) && does_many(c)) if_end(e, &which);
    If done = if_begin(e, last);
    V m0 = k_add(e, r->m0, q), n0 = k_add(e, r->n0, s);
    finish(c, to, m0, k_add(e, m0, rows), n0, k_add(e, n0, cols));
    if_end(e, &done);
}

static void rectangle(Contract *c, const Rect *r) {
    Emit *e = c->e;
    offsets(c, c->row, r->m0, r->rows, &c->rows.points);
    offsets(c, c->col, r->n0, r->cols, &c->cols.points);
    V x = emit_var(e, e->ptr, r->a), span;
    V wide = k_num(e, c->bl.part_cols);
    span = LLVMBuildSelect(e->b, c->is_near, c->K, k_num(e, K_BLOCK), "");
    if (does_few(c)) {
        If few = if_begin(e, c->is_few);
        emit_set(e, x, few_rows(c, r));
        if_end(e, &few);
        span = LLVMBuildSelect(e->b, c->is_few, c->K, span, "");
        wide = LLVMBuildSelect(e->b, c->is_few, r->cols, wide, "");
    }
    V k = emit_var(e, e->i64, k_num(e, 0)), s = emit_var(e, e->i64, NULL);
    While terms = while_begin(e);
    V k0 = emit_get(e, e->i64, k);
    while_test(e, &terms, k_lt(e, k0, c->K));
    V kn = k_min(e, k_sub(e, c->K, k0), span);
    if (does_many(c)) {
        If many = if_begin(e, does_few(c) ? LLVMBuildNot(e->b, c->is_few, "")
                                          : LLVMConstInt(e->i1, 1, false));
        pack(c, r, k0, kn);
        if_end(e, &many);
    }
    Loop q = loop_begin(e, k_num(e, 0), r->rows, c->bl.part_rows);
    emit_set(e, s, k_num(e, 0));
    While across = while_begin(e);
    V s0 = emit_get(e, e->i64, s);
    while_test(e, &across, k_lt(e, s0, r->cols));
    piece(c, r, emit_get(e, e->ptr, x), q.i, s0, wide, k0, kn);
    emit_set(e, s, k_add(e, s0, wide));
    while_end(e, &across);
    loop_end(e, &q);
    emit_set(e, k, k_add(e, k0, kn));
    while_end(e, &terms);
}

/* Rows packed last: valid while the whole sum fits the slots. */
typedef struct Kept {
    V batch, m0, rows;
} Kept;

static void at_place(Contract *c, const Place *p, const Kept *kept) {
    Emit *e = c->e;
    split_point(c, &c->batch, p->batch);
    V m1 = k_min(e, c->M, k_add(e, p->m0, k_mul(e, p->h, k_num(e, c->bl.tile_rows))));
    V n1 = k_min(e, c->N, k_add(e, p->n0, k_mul(e, p->w, k_num(e, c->bl.tile_cols))));
    Rect r = {factor_at(c, &c->rows),
              factor_at(c, &c->cols),
              p->m0,
              k_sub(e, m1, p->m0),
              p->n0,
              k_sub(e, n1, p->n0),
              NULL};
    r.same = c->is_near;
    V *var = (V[]){kept->batch, kept->m0, kept->rows}, *now = (V[]){p->batch, p->m0, r.rows};
    for (uint32_t i = 0; i < 3; i++) {
        r.same = k_and(e, r.same, k_eq(e, emit_get(e, e->i64, var[i]), now[i]));
        emit_set(e, var[i], now[i]);
    }
    rectangle(c, &r);
}

static void build(Contract *c) {
    Emit *e = c->e;
    Digits *all[] = {&c->rows.points, &c->rows.terms, &c->cols.points, &c->cols.terms};
    for (uint32_t i = 0; i < 4; i++) digit_arrays(c, all[i]);
    bind_members(c);
    c->M = emit_size(e, c->m.total);
    c->N = emit_size(e, c->n.total);
    c->K = emit_size(e, c->k.total);
    c->nm = k_ceil(e, c->M, c->bl.tile_rows);
    c->nn = k_ceil(e, c->N, c->bl.tile_cols);
    c->is_near = k_le(e, c->K, k_num(e, (int64_t)c->bl.slots * K_BLOCK));
    c->is_few = k_le(e, c->M, k_num(e, FEW_ROWS));
    bool tile_unit = c->bl.amx && !c->few_only;
    if (tile_unit) contract_amx_begin(e);
    Kept kept;
    for (uint32_t i = 0; i < 3; i++) (&kept.batch)[i] = emit_var(e, e->i64, k_num(e, -1));
    V at = emit_var(e, e->i64, e->begin);
    While w = while_begin(e);
    V t = emit_get(e, e->i64, at);
    while_test(e, &w, k_lt(e, t, e->end));
    Place p = place_of(c, t);
    at_place(c, &p, &kept);
    emit_set(e, at, k_add(e, t, k_mul(e, p.h, p.w)));
    while_end(e, &w);
    if (tile_unit) contract_amx_end(e);
    LLVMBuildRetVoid(e->b);
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
    build(&c);
    return NULL;
}
