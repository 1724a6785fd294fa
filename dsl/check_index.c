/* Indices: equations that bind them, reductions over them, and the tensors they subscript. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

/* ---- nodes of a reduction ---------------------------------------------------------------------- */

Val reduce(Check *c, Red red, Val v, const uint32_t *k, uint32_t nk, const char *name, Loc loc) {
    if (c->formula) {
        check_error(c, E0802, loc, "an initial value is a formula in its indices: no reductions");
        return val_bad();
    }
    ExprId cond = c->n_guards ? guard_all(c) : 0;
    if (cond) {
        double zero = red == RED_PROD ? 1 : 0;
        ExprId other =
            graph_type(c->g, v.e) == T_INT ? expr_int(c->g, (int64_t)zero) : expr_num(c->g, zero);
        if (expr_free(c, v.e)[0]) v.e = expr_select(c->g, cond, v.e, other);
    }
    const uint32_t *f = expr_free(c, v.e);
    uint32_t hidden[MAX_RANK], n = 0, from[2 * MAX_RANK];
    for (uint32_t i = 1; i <= f[0]; i++) {
        bool own = false;
        for (uint32_t j = 0; j < v.rank; j++) own = own || v.ax[j] == f[i];
        for (uint32_t j = 0; j < nk; j++) own = own || k[j] == f[i];
        if (own) continue;
        if (n + v.rank >= MAX_RANK) {
            check_error(c, E0307, loc,
                        "this needs more than %d axes with those of the calls around it", MAX_RANK);
            return val_bad();
        }
        if (!range_known(c, f[i])) return val_bad();
        hidden[n++] = f[i];
    }
    Size dims[MAX_RANK], extra[MAX_RANK];
    ExprId to[2 * MAX_RANK];
    uint32_t rank = n + v.rank;
    if (rank > MAX_RANK || rank + nk > 2 * MAX_RANK) return val_bad();
    for (uint32_t i = 0; i < rank; i++) {
        from[i] = i < n ? hidden[i] : v.ax[i - n];
        dims[i] = size_ground(c->sizes, i < n ? binder_info(c, hidden[i])->size : v.dims[i - n]);
        to[i] = expr_idx(c->g, i);
        if (!dims[i]) return val_bad();
    }
    for (uint32_t i = 0; i < nk; i++) {
        from[rank + i] = k[i];
        extra[i] = size_ground(c->sizes, binder_info(c, k[i])->size);
        to[rank + i] = expr_idx(c->g, rank + i);
        if (!extra[i]) return val_bad();
    }
    Value id = graph_eq(c->g, c->block, dims, rank, red, extra, nk,
                        expr_subst(c, v.e, from, to, rank + nk), c->level, name, loc);
    note_value(c, id);
    if (red == RED_ARGMAX) {
        Size all = size_num(c->sizes, 1);
        for (uint32_t i = 0; i < nk; i++) all = size_mul(c->sizes, all, binder_info(c, k[i])->size);
        c->value_below.data[id] = all;
    }
    return val_read(c, id, hidden, n, v.dims, v.rank, v.rank ? v.loc : loc);
}

/* ---- indices ----------------------------------------------------------------------------------- */

static bool binder_declare(Check *c, Scope *s, const Binder *b, Scope *outer, uint32_t *id) {
    Loc where;
    Size size = 0;
    if (name_visible(c, outer, b->name, &where)) {
        check_error(c, E0203, b->loc,
                    "'%s' is the name of something visible here and cannot be an index", b->name);
        if (where.line) diag_note(c->diag, where, "'%s' is declared here", b->name);
        diag_help(c->diag, "take another letter for the index");
        return false;
    }
    if (b->size && !(size = elab_size(c, outer, b->size))) return false;
    *id = binder_new(c, b->name, size, b->loc);
    Val v = {.kind = V_TENSOR, .loc = b->loc, .e = expr_idx(c->g, *id)};
    scope_set(c, s, b->name, v, b->loc)->is_binder = true;
    return true;
}

static bool binder_known(Check *c, uint32_t id) {
    BinderInfo *b = binder_info(c, id);
    if (b->size) return true;
    check_error(c, E0302, b->loc, "the range of index '%s' is not known", b->name);
    diag_help(c->diag,
              "it is taken from tensors that have '%s' alone as a subscript, or written: %s:SIZE",
              b->name, b->name);
    b->size = size_num(c->sizes, 1); /* said once */
    return false;
}

/* x[a, b else v]: v wherever a or b is outside. */
static const Sub *read_else(const Ast *x) {
    const Sub *last = x->index.subs.n ? &x->index.subs.data[x->index.subs.n - 1] : NULL;
    return last && last->otherwise ? last : NULL;
}

static void infer_ranges(Check *c, Scope *s, const Ast *x, uint32_t depth);

/* Before the expression is read: subscripts that are an index alone, of tensors that have names. */
static void infer_list(Check *c, Scope *s, const Args *l, uint32_t depth) {
    for (uint32_t i = 0; i < l->n; i++) infer_ranges(c, s, l->data[i].value, depth);
}

static void infer_index(Check *c, Scope *s, const Ast *x, uint32_t depth) {
    const Sym *t =
        x->index.base->kind == A_NAME && !read_else(x) ? scope_find(s, x->index.base->name) : NULL;
    for (uint32_t i = 0; i < x->index.subs.n; i++) {
        const Sub *b = &x->index.subs.data[i];
        infer_ranges(c, s, b->value, depth);
        if (!t || t->val.kind != V_TENSOR || i >= t->val.rank || b->value->kind != A_NAME) continue;
        const Sym *y = scope_find(s, b->value->name);
        if (!y || !y->is_binder || graph_expr(c->g, y->val.e)->op != X_IDX) continue;
        BinderInfo *k = binder_info(c, (uint32_t)graph_expr(c->g, y->val.e)->i);
        if (k->size) continue;
        k->size = t->val.dims[i];
        k->from = b->loc;
    }
}

static void infer_ranges(Check *c, Scope *s, const Ast *x, uint32_t depth) {
    if (!x || depth > 200) return;
    switch (x->kind) {
    case A_UNARY: infer_ranges(c, s, x->a, depth + 1); break;
    case A_BINARY:
        infer_ranges(c, s, x->a, depth + 1);
        infer_ranges(c, s, x->b, depth + 1);
        break;
    case A_REDUCE: infer_ranges(c, s, x->body, depth + 1); break;
    case A_CALL: infer_list(c, s, &x->call.args, depth + 1); break;
    case A_INDEX:
        infer_ranges(c, s, x->index.base, depth + 1);
        infer_index(c, s, x, depth + 1);
        break;
    default: break;
    }
}

Val elab_reduce(Check *c, Scope *s, Ast *x) {
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    uint32_t k[MAX_RANK], n = x->binders.n;
    if (n == 0 || n > MAX_RANK) {
        check_error(c, E0307, x->loc, "a reduction runs over at most %d indices, and here are %u",
                    MAX_RANK, n);
        return val_bad();
    }
    for (uint32_t i = 0; i < n; i++)
        if (!binder_declare(c, inner, &x->binders.data[i], s, &k[i])) return val_bad();
    infer_ranges(c, inner, x->body, 0);
    Val v = val_tensor(c, elab(c, inner, x->body));
    bool ok = v.kind != V_BAD;
    for (uint32_t i = 0; i < n; i++) ok = ok && binder_known(c, k[i]);
    if (!ok) return val_bad();
    static const Red red_of[AR_COUNT] = {RED_SUM, RED_SUM, RED_PROD, RED_MAX, RED_MIN, RED_ARGMAX};
    Val r = reduce(c, red_of[x->red], v, k, n, NULL, x->loc);
    if (x->red != AR_MEAN || r.kind == V_BAD) return r;
    Val count = val_size(size_num(c->sizes, 1));
    for (uint32_t i = 0; i < n; i++) {
        Val m[2] = {count, val_size(binder_info(c, k[i])->size)};
        count = apply_fn(c, F_mul, m, 2, x->loc);
    }
    Val d[2] = {r, count};
    return apply_fn(c, F_div, d, 2, x->loc);
}

/* ---- subscripts --------------------------------------------------------------------------------- */

static bool plain_binder(Check *c, ExprId e, uint32_t *b) {
    const Expr *x = graph_expr(c->g, e);
    if (x->op != X_IDX || x->i < BINDER || !binder_info(c, (uint32_t)x->i)->name) return false;
    *b = (uint32_t)x->i;
    return true;
}

/* An index alone takes its range from the axis, or must agree with what it had from another. */
static bool plain_agrees(Check *c, uint32_t b, const Val *base, uint32_t axis, Loc loc) {
    BinderInfo *k = binder_info(c, b);
    if (!k->size) {
        k->size = base->dims[axis];
        k->from = loc;
    }
    if (k->given || same_size(c, k->size, base->dims[axis])) return true;
    check_error(c, E0303, loc, "index '%s' runs over %s here and over %s elsewhere", k->name,
                size_say(c, base->dims[axis]), size_say(c, k->size));
    diag_note(c->diag, k->from, "'%s' got its range %s here", k->name, size_say(c, k->size));
    note_shape(c, base, "the tensor read here");
    diag_help(c->diag,
              "write the range where the index is bound, %s:SIZE, and guard or shift the reads",
              k->name);
    return false;
}

static bool elab_sub(Check *c, Scope *s, const Sub *sub, ExprId *out) {
    Val v = elab(c, s, sub->value);
    double n;
    if (v.kind == V_BAD) return false;
    if (v.kind == V_NUM && v.sym && val_decide(c, &v, &n))
        v = val_num(n, v.is_int); /* counters split the iterations */
    v = val_tensor(c, v);
    if (v.rank) {
        check_error(c, E0606, sub->loc, "a subscript is one number, and this is %s",
                    val_shape(c, &v));
        note_shape(c, &v, "it");
        diag_help(c->diag, "give it subscripts of its own: W[id[t], k]");
        return false;
    }
    if (graph_type(c->g, v.e) != T_INT) {
        check_error(c, E0501, sub->loc, "a subscript is a whole number, and this is real");
        if (v.loc.line) diag_note(c->diag, v.loc, "it comes from here");
        help_ints(c);
        return false;
    }
    *out = v.e;
    return true;
}

static Val else_value(Check *c, Scope *s, const Sub *sub) {
    Val o = val_tensor(c, elab(c, s, sub->otherwise));
    if (o.kind != V_BAD && o.rank) {
        check_error(c, E0606, sub->otherwise->loc,
                    "what stands after 'else' is one number, and this is %s", val_shape(c, &o));
        note_shape(c, &o, "it");
        return val_bad();
    }
    return o;
}

ExprId typed_select(Check *c, ExprId cond, ExprId a, ExprId b) {
    if (graph_type(c->g, a) != graph_type(c->g, b)) {
        a = expr_real(c->g, a);
        b = expr_real(c->g, b);
    }
    return expr_select(c->g, cond, a, b);
}

/* The condition that keeps a subscript inside; 0 for an index that runs over the axis itself. */
static ExprId inside(Check *c, ExprId e, Size dim) {
    uint32_t b;
    if (plain_binder(c, e, &b) && same_size(c, binder_info(c, b)->size, dim)) return 0;
    ExprId low = expr_fn2(c->g, F_ge, e, expr_int(c->g, 0));
    ExprId high = expr_fn2(c->g, F_lt, e, expr_size(c->g, size_ground(c->sizes, dim)));
    return expr_fn2(c->g, F_and, low, high);
}

static bool index_subs(Check *c, Scope *s, const Ast *x, const Val *base, bool checked,
                       ExprId *subs) {
    bool ok = true;
    uint32_t b;
    for (uint32_t i = 0; i < x->index.subs.n; i++) {
        const Sub *sub = &x->index.subs.data[i];
        if (!elab_sub(c, s, sub, &subs[i]))
            ok = false;
        else if (checked && plain_binder(c, subs[i], &b))
            ok = plain_agrees(c, b, base, i, sub->loc) && ok;
        else if (plain_binder(c, subs[i], &b) && !binder_info(c, b)->size)
            ok = plain_agrees(c, b, base, i, sub->loc) && ok;
    }
    return ok;
}

Val elab_index(Check *c, Scope *s, Ast *x) {
    Val base = elab_tensor(c, s, x->index.base);
    if (base.kind == V_BAD) return base;
    const char *name = x->index.base->kind == A_NAME ? x->index.base->name : NULL;
    uint32_t n = x->index.subs.n;
    if (n > base.rank) {
        const char *what = name ? arena_printf(c->arena, "'%s'", name) : "this";
        if (base.rank)
            check_error(c, E0602, x->loc, "%u subscripts, and %s is %s", n, what,
                        val_shape(c, &base));
        else
            check_error(c, E0602, x->loc, "%s is a number and has no subscripts", what);
        note_shape(c, &base, "it");
        return val_bad();
    }
    base = val_cheap(c, base, x->loc);
    if (base.kind == V_BAD) return base;
    ExprId subs[MAX_RANK], cond = 0;
    const Sub *otherwise = read_else(x);
    if (!index_subs(c, s, x, &base, otherwise == NULL, subs)) return val_bad();
    Val other = val_bad();
    if (otherwise && (other = else_value(c, s, otherwise)).kind == V_BAD) return other;
    for (uint32_t i = 0; otherwise && i < n; i++) {
        ExprId k = inside(c, subs[i], base.dims[i]);
        if (k) cond = cond ? expr_fn2(c->g, F_and, cond, k) : k;
    }
    for (uint32_t i = 0; !otherwise && i < n; i++)
        prove_later(c, subs[i], &base, x->index.subs.data[i].loc, name, i);
    Val r = {
        .kind = V_TENSOR, .rank = (uint8_t)(base.rank - n), .loc = base.loc, .below = base.below};
    for (uint32_t i = 0; i < r.rank; i++) {
        r.ax[i] = base.ax[n + i];
        r.dims[i] = base.dims[n + i];
    }
    r.e = expr_subst(c, base.e, base.ax, subs, n);
    if (cond) r.e = typed_select(c, cond, r.e, other.e), r.below = 0;
    return val_freshen(c, r);
}

/* ---- equations ---------------------------------------------------------------------------------- */

/* name[binders] = x: the whole tensor, over the binders first and the axes of x after. */
Val elab_equation(Check *c, Scope *s, const Binders *b, Ast *x, Loc loc) {
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    uint32_t k[MAX_RANK];
    uint32_t from = c->pending.n;
    if (b->n > MAX_RANK) {
        check_error(c, E0307, loc, "a tensor has at most %d axes, and this has %u", MAX_RANK, b->n);
        return val_bad();
    }
    for (uint32_t i = 0; i < b->n; i++)
        if (!binder_declare(c, inner, &b->data[i], s, &k[i])) return val_bad();
    infer_ranges(c, inner, x, 0);
    Val v = val_tensor(c, elab(c, inner, x));
    if (v.kind != V_BAD && v.rank + b->n > MAX_RANK) {
        check_error(c, E0307, loc, "a tensor has at most %d axes, and this has %u", MAX_RANK,
                    b->n + v.rank);
        return val_bad();
    }
    bool ok = v.kind != V_BAD;
    for (uint32_t i = 0; ok && i < b->n; i++) ok = binder_known(c, k[i]) && ok;
    prove_pending(c, from);
    if (!ok) return val_bad();
    Val r = {
        .kind = V_TENSOR, .rank = (uint8_t)(b->n + v.rank), .e = v.e, .below = v.below, .loc = loc};
    for (uint32_t i = 0; i < b->n; i++) r.ax[i] = k[i], r.dims[i] = binder_info(c, k[i])->size;
    for (uint32_t i = 0; i < v.rank; i++) r.ax[b->n + i] = v.ax[i], r.dims[b->n + i] = v.dims[i];
    return r;
}
