/* The kernel of a contraction: a range of tiles in rectangles; for each, both factors are packed and
 * multiplied strip by strip, and what follows the sums is computed while they are at hand. */
#include "contract_rect.h"

enum { NARROW = 256 }; /* columns that are few beside any number of rows */

static void digit_arrays(Contract *c, ShapeDigits *d) {
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
static void split_point(Contract *c, const ShapeAxes *a, V p) {
    Emit *e = c->e;
    for (uint32_t i = a->n; i-- > 0;) {
        if (i == 0) {
            c->idx[a->axis[0]] = p;
            break;
        }
        V s = emit_size(e, c->s.size[a->axis[i]]), q = k_div(e, p, s);
        c->idx[a->axis[i]] = k_sub(e, p, k_mul(e, q, s));
        p = q;
    }
}

/* Address of a factor at the batch point at hand, all other indices 0. */
static V factor_at(Contract *c, const ShapeFactor *f) {
    Emit *e = c->e;
    V at = shape_offset(e, &c->s, f, c->idx);
    return k_elem(e, k_storage(e, f->dtype), e->args[f->arg].ptr, at);
}

static void offsets(Contract *c, V dst, V start, V count, const ShapeDigits *d) {
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
    e->n_idx = c->s.rank;
    for (uint32_t i = 0; i < c->s.rank; i++) e->idx_size[i] = c->s.size[i];
}

/* lanes points from the one at hand on, along the last axis of the columns. */
static void vector_at(Contract *c, V from, V j, V tail) { /* from: its sum */
    Emit *e = c->e;
    At at = {.width = c->bl.lanes, .tail = tail};
    for (uint32_t i = 0; i < c->s.rank; i++)
        at.idx[i] = val_int(c->idx[i] ? c->idx[i] : k_num(e, 0));
    if (c->s.n.n) {
        uint8_t last = c->s.n.axis[c->s.n.n - 1];
        at.idx[last] = val_lane(k_add(e, c->idx[last], j), 1);
    }
    V x = k_load(e, k_vec(e->f32, c->bl.lanes), k_elem(e, e->f32, from, j), 4);
    members_at(c, &at, x);
}

/* All points of rows m0..m1, columns n0..n1, their sums at `sums`, rows ld apart. */
static void finish(Contract *c, V sums, V ld, V m0, V m1, V n0, V n1) {
    Emit *e = c->e;
    int64_t lanes = c->bl.lanes;
    V n = emit_var(e, e->i64, NULL);
    Loop r = loop_begin(e, m0, m1, 1);
    split_point(c, &c->s.m, r.i);
    emit_set(e, n, n0);
    While w = while_begin(e);
    V j0 = emit_get(e, e->i64, n);
    while_test(e, &w, k_lt(e, j0, n1));
    split_point(c, &c->s.n, j0);
    V run = k_sub(e, n1, j0);
    if (c->s.n.n) {
        uint8_t last = c->s.n.axis[c->s.n.n - 1];
        run = k_min(e, run, k_sub(e, emit_size(e, c->s.size[last]), c->idx[last]));
    }
    V from = k_add(e, k_mul(e, k_sub(e, r.i, m0), ld), k_sub(e, j0, n0));
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
    V same_rows, same_cols; /* i1: packed already, all of them                   */
    V apart;                /* i1: every strip of rows has a place of its own   */
} Rect;

/* Some terms of the sums: k0 .. k0 + kn. */
typedef struct Span {
    V k0, kn, first, last; /* i1: the first terms of all, the last ones           */
    V along_a, along_b;    /* i1: neighbours in the rows' factor, in the columns' */
} Span;

static V along(Contract *c, const ShapeDigits *d, V offset, V n) {
    Emit *e = c->e;
    if (d->n == 1) return k_eq(e, emit_size(e, d->d[0].stride), k_num(e, 1));
    return contract_contiguous(e, offset, k_num(e, 0), n);
}

static Span span_at(Contract *c, V k0, V most) {
    Emit *e = c->e;
    Span s = {.k0 = k0, .kn = k_min(e, k_sub(e, c->K, k0), most)};
    s.first = k_eq(e, k0, k_num(e, 0));
    s.last = k_eq(e, k_add(e, k0, s.kn), c->K);
    offsets(c, c->ka, k0, s.kn, &c->s.rows.terms);
    offsets(c, c->kb, k0, s.kn, &c->s.cols.terms);
    s.along_a = along(c, &c->s.rows.terms, c->ka, s.kn);
    s.along_b = along(c, &c->s.cols.terms, c->kb, s.kn);
    return s;
}

static void pack_columns(Contract *c, const Rect *r, const Span *s) {
    Emit *e = c->e;
    If other = if_begin(e, LLVMBuildNot(e->b, r->same_cols, ""));
    V args[] = {c->b, r->b, c->col, r->cols, c->kb, s->kn, s->along_b};
    fun_call(e, contract_pack_cols(e, &c->bl, c->s.cols.dtype, c->bl.amx), args, 7);
    if_end(e, &other);
}

/* Rows q .. q + rows of the rectangle to a. */
static void pack_rows(Contract *c, const Rect *r, const Span *s, V q, V rows, V a) {
    Emit *e = c->e;
    Fun pack = contract_pack_rows(e, &c->bl, c->s.rows.dtype, c->bl.amx);
    V row = k_elem(e, e->i64, c->row, q), strip = contract_row_strip(e, &c->bl, s->kn),
      one = k_num(e, K_BLOCK), all = k_sub(e, r->rows, q);
    if (c->bl.amx) {
        V args[] = {a, one, strip, r->a, row, rows, all, c->ka, s->kn, s->along_a};
        fun_call(e, pack, args, 10);
        return;
    }
    Loop k = loop_begin(e, k_num(e, 0), s->kn, K_BLOCK);
    V kc = k_min(e, k_sub(e, s->kn, k.i), k_num(e, K_BLOCK));
    V to = k_elem(e, e->f32, a, k_mul(e, k.i, k_num(e, c->bl.row_strip)));
    V args[] = {to, one,       strip, r->a, row, rows, all, k_elem(e, e->i64, c->ka, k.i),
                kc, s->along_a};
    fun_call(e, pack, args, 10);
    loop_end(e, &k);
}

/* Address of a result that is stored: row m, column n0. */
static V stored_at(Contract *c, uint32_t arg, V m, V n0) {
    Emit *e = c->e;
    const EmitArg *to = &e->args[arg];
    V at = k_num(e, 0);
    split_point(c, &c->s.m, m);
    split_point(c, &c->s.n, n0);
    for (uint32_t i = to->drop; i < graph_value(e->g, to->value)->rank; i++)
        if (c->idx[i]) at = k_add(e, at, k_mul(e, c->idx[i], emit_arg_stride(e, arg, i)));
    bool half = to->dtype == DT_BF16 || to->dtype == DT_F16;
    return k_elem(e, half ? e->i16 : e->f32, to->ptr, at);
}

/* Where the results of a strip of rows go: pairs of addresses, from and to, a row each -> how many. */
static V hints(Contract *c, const Rect *r, const Span *s, V q, V rows) {
    Emit *e = c->e;
    V n = emit_var(e, e->i64, k_num(e, 0)), byte = k_num(e, 1);
    if (!c->bl.amx) return k_num(e, 0);
    for (uint32_t i = 0, out = 0; i < e->k->members.n && out < MOST_OUT; i++) {
        uint32_t arg = e->k->members.data[i].arg;
        if (arg == LOCAL) continue;
        out++;
        bool half = e->args[arg].dtype == DT_BF16 || e->args[arg].dtype == DT_F16;
        V bytes = k_mul(e, r->cols, k_num(e, half ? 2 : 4));
        V now = LLVMBuildSelect(e->b, s->last, rows, k_num(e, 0), "");
        Loop l = loop_begin(e, k_num(e, 0), now, 1);
        V from = stored_at(c, arg, k_add(e, r->m0, k_add(e, q, l.i)), r->n0);
        V at = k_elem(e, e->ptr, c->hint, k_mul(e, emit_get(e, e->i64, n), k_num(e, 2)));
        k_store(e, from, at, 8);
        k_store(e, k_elem(e, LLVMInt8TypeInContext(e->c), from, bytes), k_elem(e, e->ptr, at, byte),
                8);
        emit_set(e, n, k_add(e, emit_get(e, e->i64, n), byte));
        loop_end(e, &l);
    }
    return emit_get(e, e->i64, n);
}

/* One strip of rows: its sums over the terms of the span, and when they are the last what follows. */
static void strip_of_rows(Contract *c, const Rect *r, const Span *s, V q) {
    Emit *e = c->e;
    V rows = k_min(e, k_sub(e, r->rows, q), k_num(e, c->bl.row_strip)),
      ld = k_num(e, contract_ld(&c->bl));
    V number = k_div(e, q, k_num(e, c->bl.row_strip));
    V place = k_mul(e, number, contract_row_strip(e, &c->bl, s->kn));
    V apart = LLVMBuildOr(e->b, r->apart, LLVMBuildNot(e->b, s->along_a, ""), "");
    V a = k_elem(e, c->bl.amx ? e->i16 : e->f32, c->a,
                 LLVMBuildSelect(e->b, apart, place, k_num(e, 0), ""));
    If now = if_begin(e, k_and(e, s->along_a, LLVMBuildNot(e->b, r->same_rows, "")));
    pack_rows(c, r, s, q, rows, a);
    if_end(e, &now);
    /* Sums that wait for more terms have each their place. */
    V all = k_and(e, s->first, s->last);
    V to = k_elem(e, e->f32, c->c, LLVMBuildSelect(e->b, all, k_num(e, 0), k_mul(e, q, ld), ""));
    V args[] = {a, c->b, to, rows, r->cols, s->kn, s->first, c->hint, hints(c, r, s, q, rows)};
    fun_call(e, c->bl.amx ? contract_product_amx(e, &c->bl) : contract_product(e, &c->bl), args, 9);
    If done = if_begin(e, s->last);
    V m0 = k_add(e, r->m0, q);
    finish(c, to, ld, m0, k_add(e, m0, rows), r->n0, k_add(e, r->n0, r->cols));
    if_end(e, &done);
}

static void many_rows(Contract *c, const Rect *r) {
    Emit *e = c->e;
    V most = LLVMBuildSelect(e->b, c->is_near, c->K, k_num(e, c->bl.far), "");
    V k = emit_var(e, e->i64, k_num(e, 0));
    While terms = while_begin(e);
    V k0 = emit_get(e, e->i64, k);
    while_test(e, &terms, k_lt(e, k0, c->K));
    Span s = span_at(c, k0, most);
    pack_columns(c, r, &s);
    /* What lies across is read in whole lines: all rows at once. */
    If across = if_begin(e, LLVMBuildNot(e->b, LLVMBuildOr(e->b, s.along_a, r->same_rows, ""), ""));
    pack_rows(c, r, &s, k_num(e, 0), r->rows, c->a);
    if_end(e, &across);
    Loop q = loop_begin(e, k_num(e, 0), r->rows, c->bl.row_strip);
    strip_of_rows(c, r, &s, q.i);
    loop_end(e, &q);
    emit_set(e, k, k_add(e, k0, s.kn));
    while_end(e, &terms);
}

/* The rows as f32 with neighbouring terms; their offsets in c->row. */
static V few_x(Contract *c, const Rect *r) {
    Emit *e = c->e;
    if (c->x_direct) return r->a;
    V ld = k_add(e, c->K, k_num(e, LD_PAD));
    Loop k = loop_begin(e, k_num(e, 0), c->K, K_BLOCK);
    V kc = k_min(e, k_sub(e, c->K, k.i), k_num(e, K_BLOCK));
    offsets(c, c->ka, k.i, kc, &c->s.rows.terms);
    V pa[] = {k_elem(e, e->f32, c->x, k.i),
              ld,
              k_num(e, 0),
              r->a,
              c->row,
              r->rows,
              r->rows,
              c->ka,
              kc,
              along(c, &c->s.rows.terms, c->ka, kc)};
    fun_call(e, contract_pack_rows(e, &c->bl, c->s.rows.dtype, false), pa, 10);
    loop_end(e, &k);
    Loop l = loop_begin(e, k_num(e, 0), r->rows, 1);
    k_store(e, k_mul(e, l.i, ld), k_elem(e, e->i64, c->row, l.i), 8);
    loop_end(e, &l);
    return c->x;
}

static void few_rows(Contract *c, const Rect *r) {
    Emit *e = c->e;
    V x = few_x(c, r);
    if (c->few == FEW_DOT) {
        V args[] = {x, c->row, r->b, c->col, c->c, r->rows, r->cols, c->K};
        fun_call(e, contract_dot(e, &c->bl, c->s.cols.dtype), args, 8);
    } else {
        V w = k_elem(e, k_storage(e, c->s.cols.dtype), r->b, r->n0);
        V args[] = {x,    c->row,  w,       emit_size(e, c->s.cols.terms.d[0].stride),
                    c->c, r->rows, r->cols, c->K};
        fun_call(e, contract_axpy(e, &c->bl, c->s.cols.dtype), args, 8);
    }
    finish(c, c->c, k_num(e, FEW_LD), r->m0, k_add(e, r->m0, r->rows), r->n0,
           k_add(e, r->n0, r->cols));
}

/* ---- the kernel ------------------------------------------------------------------------------------------ */

/* Tiles of a range as a rectangle: rows from m0 on, h tiles, columns from n0 on, w tiles. more: columns of
 * the same rows follow. */
typedef struct Place {
    V batch, m0, n0, h, w, more;
} Place;

static V quotient_up(Emit *e, V a, V b) {
    return k_div(e, k_sub(e, k_add(e, a, b), k_num(e, 1)), b);
}

static Place place_of(Contract *c, V at) {
    Emit *e = c->e;
    V one = k_num(e, 1), per = k_mul(e, c->nm, c->nn);
    V batch = k_div(e, at, per), in = k_sub(e, at, k_mul(e, batch, per)),
      left = k_sub(e, e->end, at);
    V size = k_mul(e, c->nn, c->group), g = k_div(e, in, size), first = k_mul(e, g, c->group);
    in = k_sub(e, in, k_mul(e, g, size));
    V below = k_sub(e, c->nm, first), high = k_min(e, c->group, below);
    V jn = k_div(e, in, high), im = k_sub(e, in, k_mul(e, jn, high));
    /* Whole columns of the group, or the rest of one. */
    V whole = k_and(e, k_eq(e, im, k_num(e, 0)), k_le(e, high, left));
    V here = k_min(e, k_sub(e, c->nn, jn), k_div(e, left, high));
    V panels = quotient_up(e, LLVMBuildSelect(e->b, whole, here, one, ""), c->wide);
    V h = LLVMBuildSelect(e->b, whole, high, k_min(e, k_sub(e, high, im), left), "");
    V w = LLVMBuildSelect(e->b, whole, quotient_up(e, here, panels), one, "");
    /* Groups of one tile: as many as fit, one below the other. */
    V tall = k_and(e, k_and(e, k_eq(e, c->group, one), k_eq(e, w, c->nn)), whole);
    V rows =
        k_min(e, k_min(e, k_div(e, left, c->nn), below), k_num(e, c->bl.rows / c->bl.tile_rows));
    h = LLVMBuildSelect(e->b, tall, rows, h, "");
    V more =
        k_and(e, k_and(e, whole, k_lt(e, k_add(e, jn, w), c->nn)), k_lt(e, k_mul(e, h, w), left));
    V m0 = k_mul(e, k_add(e, first, im), k_num(e, c->bl.tile_rows));
    return (Place){batch, m0, k_mul(e, jn, k_num(e, c->bl.tile_cols)), h, w, more};
}

/* What was packed last and may serve again: all terms of `n` points from `from` on. */
typedef struct Kept {
    V batch, from, n;
} Kept;

/* i1: these points are kept. */
static V is_kept(Contract *c, const Kept *k, V batch, V from, V n) {
    Emit *e = c->e;
    V same = k_and(e, c->is_near, k_eq(e, emit_get(e, e->i64, k->batch), batch));
    same = k_and(e, same, k_eq(e, emit_get(e, e->i64, k->from), from));
    return k_and(e, same, k_eq(e, emit_get(e, e->i64, k->n), n));
}

static void keep(Contract *c, const Kept *k, V batch, V from, V n, V stays) {
    Emit *e = c->e;
    emit_set(e, k->batch, LLVMBuildSelect(e->b, stays, batch, k_num(e, -1), ""));
    emit_set(e, k->from, from);
    emit_set(e, k->n, n);
}

static void at_place(Contract *c, const Place *p, const Kept *kept) {
    Emit *e = c->e;
    split_point(c, &c->s.batch, p->batch);
    V m1 = k_min(e, c->M, k_add(e, p->m0, k_mul(e, p->h, k_num(e, c->bl.tile_rows))));
    V n1 = k_min(e, c->N, k_add(e, p->n0, k_mul(e, p->w, k_num(e, c->bl.tile_cols))));
    Rect r = {
        .a = factor_at(c, &c->s.rows), .b = factor_at(c, &c->s.cols), .m0 = p->m0, .n0 = p->n0};
    r.rows = k_sub(e, m1, p->m0);
    r.cols = k_sub(e, n1, p->n0);
    r.same_rows = is_kept(c, &kept[0], p->batch, p->m0, r.rows);
    r.same_cols = is_kept(c, &kept[1], p->batch, p->n0, r.cols);
    r.apart = LLVMBuildOr(e->b, r.same_rows, k_and(e, c->is_near, p->more), "");
    keep(c, &kept[0], p->batch, p->m0, r.rows, r.apart);
    keep(c, &kept[1], p->batch, p->n0, r.cols, c->is_near);
    offsets(c, c->row, r.m0, r.rows, &c->s.rows.points);
    offsets(c, c->col, r.n0, r.cols, &c->s.cols.points);
    if (c->few == FEW_NONE) {
        many_rows(c, &r);
        return;
    }
    If few = {0};
    if (!c->few_only) few = if_begin(e, c->is_few);
    few_rows(c, &r);
    if (c->few_only) return;
    if_else(e, &few);
    many_rows(c, &r);
    if_end(e, &few);
}

/* Sizes as numbers, and how a range of tiles is cut. */
static void measure(Contract *c) {
    Emit *e = c->e;
    const Blocking *bl = &c->bl;
    c->M = emit_size(e, c->s.m.total);
    c->N = emit_size(e, c->s.n.total);
    c->K = emit_size(e, c->s.k.total);
    c->nm = k_ceil(e, c->M, bl->tile_rows);
    c->nn = k_ceil(e, c->N, bl->tile_cols);
    c->is_near = k_le(e, c->K, k_num(e, bl->near));
    c->is_few = k_le(e, c->M, k_num(e, FEW_ROWS));
    int64_t strips = bl->tile_cols / bl->col_strip;
    V fit = k_div(e, k_num(e, bl->panel / strips), contract_col_strip(e, bl, c->K));
    V most = k_num(e, bl->cols / bl->tile_cols);
    c->wide = LLVMBuildSelect(e->b, c->is_near, k_min(e, most, fit), most, "");
    if (c->few != FEW_NONE) {
        V few = k_num(e, FEW_COLS / bl->tile_cols);
        c->wide = LLVMBuildSelect(e->b, c->is_few, few, c->wide, "");
    }
    V narrow = k_and(e, k_le(e, c->nn, k_num(e, NARROW / bl->tile_cols)), k_le(e, c->nn, c->wide));
    c->group = LLVMBuildSelect(e->b, narrow, k_num(e, 1), k_num(e, bl->rows / bl->tile_rows), "");
}

void contract_kernel(Contract *c) {
    Emit *e = c->e;
    ShapeDigits *all[] = {&c->s.rows.points, &c->s.rows.terms, &c->s.cols.points, &c->s.cols.terms};
    for (uint32_t i = 0; i < 4; i++) digit_arrays(c, all[i]);
    bind_members(c);
    measure(c);
    bool tile_unit = c->bl.amx && !c->few_only;
    if (tile_unit) contract_amx_begin(e);
    Kept kept[2];
    for (uint32_t i = 0; i < 6; i++)
        (&kept[i / 3].batch)[i % 3] = emit_var(e, e->i64, k_num(e, -1));
    V at = emit_var(e, e->i64, e->begin);
    While w = while_begin(e);
    V t = emit_get(e, e->i64, at);
    while_test(e, &w, k_lt(e, t, e->end));
    Place p = place_of(c, t);
    at_place(c, &p, kept);
    emit_set(e, at, k_add(e, t, k_mul(e, p.h, p.w)));
    while_end(e, &w);
    if (tile_unit) contract_amx_end(e);
    LLVMBuildRetVoid(e->b);
}
