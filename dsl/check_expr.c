/* Expressions: numbers, sizes, tensors, subscripts, reductions and the functions of the table. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

bool same_size(Check *c, Size a, Size b) {
    (void)c;
    return a && a == b;
}

/* ---- shapes meet --------------------------------------------------------------------------- */

/* v with the axes ax[]: its own become the last ones of those. Ranks were compared before. */
Val val_broadcast(Check *c, Val v, const uint32_t *ax, const Size *dims, uint32_t rank) {
    ExprId to[MAX_RANK];
    for (uint32_t i = 0; i < v.rank; i++) to[i] = expr_idx(c->g, ax[rank - v.rank + i]);
    v.e = expr_subst(c, v.e, v.ax, to, v.rank);
    v.rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        v.ax[i] = ax[i];
        v.dims[i] = dims[i];
    }
    return v;
}

static bool dims_agree(Check *c, const Val *a, const Val *b) { /* rank of a >= rank of b */
    for (uint32_t i = 0; i < b->rank; i++)
        if (!same_size(c, a->dims[a->rank - b->rank + i], b->dims[i])) return false;
    return true;
}

static void note_shapes(Check *c, const Val *a, const Val *b) {
    if (a->loc.line) diag_note(c->diag, a->loc, "the left side got its shape here: %s", val_shape(c, a));
    if (b->loc.line) diag_note(c->diag, b->loc, "the right side got its shape here: %s", val_shape(c, b));
}

static bool meet(Check *c, const char *what, Val *a, Val *b, Loc loc) {
    const Val *high = a->rank >= b->rank ? a : b, *low = a->rank >= b->rank ? b : a;
    if (!dims_agree(c, high, low)) {
        check_error(c, E0401, loc, "shapes differ in '%s': %s and %s", what, val_shape(c, a), val_shape(c, b));
        note_shapes(c, a, b);
        diag_help(c->diag, "whole tensors meet when their shapes are equal, or one lacks leading axes; otherwise write "
                           "the axes: y[i,j] = a[i,j] %s b[j]", what);
        return false;
    }
    uint32_t ax[MAX_RANK];
    Size dims[MAX_RANK];
    uint32_t rank = high->rank;
    memcpy(ax, high->ax, sizeof ax);
    memcpy(dims, high->dims, sizeof dims);
    Loc from = high->loc;
    *a = val_broadcast(c, *a, ax, dims, rank);
    *b = val_broadcast(c, *b, ax, dims, rank);
    a->loc = b->loc = from;
    return true;
}

/* ---- numbers known when compiling ------------------------------------------------------------ */

static double floor_mod(double a, double b) { return a - b * floor(a / b); }

static double fold(Fn f, const double *x) {
    switch (f) {
    case F_neg: return -x[0];
    case F_add: return x[0] + x[1];
    case F_sub: return x[0] - x[1];
    case F_mul: return x[0] * x[1];
    case F_div: return x[0] / x[1];
    case F_pow: return pow(x[0], x[1]);
    case F_idiv: return floor(x[0] / x[1]);
    case F_imod: return floor_mod(x[0], x[1]);
    case F_eq: return x[0] == x[1];
    case F_ne: return x[0] != x[1];
    case F_lt: return x[0] < x[1];
    case F_le: return x[0] <= x[1];
    case F_gt: return x[0] > x[1];
    case F_ge: return x[0] >= x[1];
    case F_and: return x[0] != 0 && x[1] != 0;
    case F_or: return x[0] != 0 || x[1] != 0;
    case F_not: return x[0] == 0;
    case F_max: return x[0] >= x[1] ? x[0] : x[1];
    case F_min: return x[0] <= x[1] ? x[0] : x[1];
    case F_exp: return exp(x[0]);
    case F_log: return log(x[0]);
    case F_tanh: return tanh(x[0]);
    case F_sigmoid: return 1 / (1 + exp(-x[0]));
    case F_softplus: return x[0] > 30 ? x[0] + log1p(exp(-x[0])) : log1p(exp(x[0]));
    case F_relu: return x[0] > 0 ? x[0] : 0;
    case F_erf: return erf(x[0]);
    case F_sin: return sin(x[0]);
    case F_cos: return cos(x[0]);
    case F_sqrt: return sqrt(x[0]);
    case F_abs: return fabs(x[0]);
    case F_round: return nearbyint(x[0]);
    case F_floor: return floor(x[0]);
    case F_real:
    case F_stop: return x[0];
    case F_NONE:
    case F_COUNT: break;
    }
    return NAN;
}

static bool whole(const Val *v) { return v->kind == V_SIZE || (v->kind == V_NUM && v->is_int); }

static ExprId const_expr(Check *c, const Val *v) { return val_tensor(c, *v).e; }

/* + - * // % of whole numbers, one of them a formula: a formula. */
static Size size_op(Check *c, Fn f, const Val *a, const Val *b) {
    Size x = a->kind == V_SIZE ? a->size : size_num(c->sizes, (int64_t)a->num);
    Size y = b->kind == V_SIZE ? b->size : size_num(c->sizes, (int64_t)b->num);
    switch (f) {
    case F_add: return size_add(c->sizes, x, y);
    case F_sub: return size_sub(c->sizes, x, y);
    case F_mul: return size_mul(c->sizes, x, y);
    case F_idiv: return size_floordiv(c->sizes, x, y);
    case F_imod: return size_mod(c->sizes, x, y);
    default: return 0;
    }
}

static bool makes_size(Fn f) { return f == F_add || f == F_sub || f == F_mul || f == F_idiv || f == F_imod; }

static bool fold_sizes(Check *c, Fn f, const Val *a, uint32_t n, Loc loc, Val *out) {
    if (n == 1 && f == F_neg && a[0].kind == V_SIZE) {
        Val zero = val_num(0, true);
        *out = val_size(size_op(c, F_sub, &zero, &a[0]));
        return true;
    }
    if (n != 2 || !makes_size(f) || (a[0].kind != V_SIZE && a[1].kind != V_SIZE)) return false;
    if (!whole(&a[0]) || !whole(&a[1]) || a[0].sym || a[1].sym) return false;
    Size s = size_op(c, f, &a[0], &a[1]);
    if (!s) check_error(c, E0306, loc, "this size divides by zero or grows beyond 2^53");
    *out = val_size(s);
    return true;
}

static Val fold_consts(Check *c, Fn f, const Val *a, uint32_t n, Loc loc) {
    double x[2] = {0, 0};
    bool ints = true;
    ExprId sym = 0, args[2];
    for (uint32_t i = 0; i < n; i++) {
        val_number(c, &a[i], &x[i]);
        ints = ints && whole(&a[i]);
        if (a[i].kind == V_NUM && a[i].sym) sym = 1;
    }
    char type = fn_info[f].type;
    if ((f == F_idiv || f == F_imod) && (!ints || x[1] == 0)) {
        check_error(c, E0306, loc, x[1] == 0 ? "division by zero" : "'%s' takes whole numbers", fn_info[f].spelling);
        return val_bad();
    }
    Val r = val_num(fold(f, x), type == 'i' || type == 'z' || (type == 's' && ints));
    r.loc = loc;
    if (sym) {
        for (uint32_t i = 0; i < n; i++) args[i] = const_expr(c, &a[i]);
        r.sym = expr_fn(c->g, f, args);
    }
    return r;
}

/* ---- functions of the table ------------------------------------------------------------------- */

static bool check_ints(Check *c, Fn f, const Val *a, uint32_t n, Loc loc) {
    if (fn_info[f].type != 'z') return true;
    for (uint32_t i = 0; i < n; i++)
        if (graph_type(c->g, a[i].e) != T_INT) {
            check_error(c, E0501, loc, "'%s' takes whole numbers, and this is real", fn_info[f].spelling);
            diag_help(c->diag, f == F_idiv ? "'/' is the quotient of reals" : "use floor() for reals: x - n*floor(x/n)");
            return false;
        }
    return true;
}

Val apply_fn(Check *c, Fn f, const Val *args, uint32_t n, Loc loc) {
    Val a[2], out;
    bool consts = true;
    for (uint32_t i = 0; i < n; i++) {
        a[i] = args[i];
        if (a[i].kind == V_BAD) return val_bad();
        consts = consts && val_is_const(c, &a[i]);
    }
    if (fold_sizes(c, f, a, n, loc, &out)) return out;
    if (consts) return fold_consts(c, f, a, n, loc);
    for (uint32_t i = 0; i < n; i++) a[i] = val_tensor(c, a[i]);
    const char *what = fn_is_call(f) ? fn_info[f].name : fn_info[f].spelling;
    if (n == 2 && !meet(c, what, &a[0], &a[1], loc)) return val_bad();
    if (!check_ints(c, f, a, n, loc)) return val_bad();
    Val r = a[0];
    ExprId e[2] = {a[0].e, n == 2 ? a[1].e : 0};
    r.e = expr_fn(c->g, f, e);
    r.below = f == F_stop ? a[0].below : 0;
    if (!r.loc.line) r.loc = loc;
    return r;
}

static Fn op_fn(AstOp op) {
    static const Fn of[OP_COUNT] = {F_neg, F_not, F_add, F_sub, F_mul, F_div, F_idiv, F_imod, F_NONE,
                                    F_pow, F_eq,  F_ne,  F_lt,  F_le,  F_gt,  F_ge,   F_and,  F_or};
    return of[op];
}

/* ---- nodes of a reduction ---------------------------------------------------------------------- */

/* RED over binders k[] of v: a node over everything else v depends on. */
static Val reduce(Check *c, Red red, Val v, const uint32_t *k, uint32_t nk, const char *name, Loc loc) {
    if (c->formula) {
        check_error(c, E0802, loc, "an initial value is a formula in its indices: no reductions");
        return val_bad();
    }
    ExprId cond = c->n_guards ? guard_all(c) : 0;
    if (cond) {
        double zero = red == RED_PROD ? 1 : 0;
        ExprId other = graph_type(c->g, v.e) == T_INT ? expr_int(c->g, (int64_t)zero) : expr_num(c->g, zero);
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
            check_error(c, E0307, loc, "this needs more than %u axes with those of the calls around it", MAX_RANK);
            return val_bad();
        }
        if (!binder_info(c, f[i])->size) {
            check_error(c, E0302, binder_info(c, f[i])->loc, "the range of index '%s' is not known here", binder_info(c, f[i])->name);
            diag_help(c->diag, "write it where the index is bound: %s:SIZE", binder_info(c, f[i])->name);
            return val_bad();
        }
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
    Value id = graph_eq(c->g, c->block, dims, rank, red, extra, nk, expr_subst(c, v.e, from, to, rank + nk), c->level, name, loc);
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
        check_error(c, E0203, b->loc, "'%s' is the name of something visible here and cannot be an index", b->name);
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
    diag_help(c->diag, "it is taken from tensors that have '%s' alone as a subscript, or written: %s:SIZE", b->name, b->name);
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
    const Sym *t = x->index.base->kind == A_NAME && !read_else(x) ? scope_find(s, x->index.base->name) : NULL;
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

static Val elab_reduce(Check *c, Scope *s, Ast *x) {
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    uint32_t k[MAX_RANK], n = x->binders.n;
    if (n == 0 || n > MAX_RANK) {
        check_error(c, E0307, x->loc, "a reduction runs over 1 to %u indices", MAX_RANK);
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
    for (uint32_t i = 0; i < n; i++) count = val_size(size_mul(c->sizes, count.size, binder_info(c, k[i])->size));
    if (count.kind == V_BAD) return count;
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
                size_str(c->sizes, base->dims[axis]), size_str(c->sizes, k->size));
    diag_note(c->diag, k->from, "'%s' got its range %s here", k->name, size_str(c->sizes, k->size));
    if (base->loc.line) diag_note(c->diag, base->loc, "this tensor got its shape here: %s", val_shape(c, base));
    diag_help(c->diag, "write the range where the index is bound, %s:SIZE, and guard or shift the reads", k->name);
    return false;
}

static bool elab_sub(Check *c, Scope *s, const Sub *sub, ExprId *out) {
    Val v = elab(c, s, sub->value);
    double n;
    if (v.kind == V_BAD) return false;
    if (v.kind == V_NUM && v.sym && val_decide(c, &v, &n)) v = val_num(n, v.is_int); /* counters split the iterations */
    v = val_tensor(c, v);
    if (v.rank) {
        check_error(c, E0606, sub->loc, "a subscript is a number, and this is a tensor %s", val_shape(c, &v));
        diag_help(c->diag, "give it subscripts of its own: W[id[t], k]");
        return false;
    }
    if (graph_type(c->g, v.e) != T_INT) {
        check_error(c, E0501, sub->loc, "a subscript is a whole number, and this is real");
        return false;
    }
    *out = v.e;
    return true;
}

static Val else_value(Check *c, Scope *s, const Sub *sub) {
    Val o = val_tensor(c, elab(c, s, sub->otherwise));
    if (o.kind != V_BAD && o.rank) {
        check_error(c, E0606, sub->loc, "what stands after 'else' is a number, and this is a tensor %s", val_shape(c, &o));
        return val_bad();
    }
    return o;
}

static ExprId typed_select(Check *c, ExprId cond, ExprId a, ExprId b) {
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

static bool index_subs(Check *c, Scope *s, const Ast *x, const Val *base, bool checked, ExprId *subs) {
    bool ok = true;
    uint32_t b;
    for (uint32_t i = 0; i < x->index.subs.n; i++) {
        const Sub *sub = &x->index.subs.data[i];
        if (!elab_sub(c, s, sub, &subs[i])) ok = false;
        else if (checked && plain_binder(c, subs[i], &b)) ok = plain_agrees(c, b, base, i, sub->loc) && ok;
        else if (plain_binder(c, subs[i], &b) && !binder_info(c, b)->size) ok = plain_agrees(c, b, base, i, sub->loc) && ok;
    }
    return ok;
}

static Val elab_index(Check *c, Scope *s, Ast *x) {
    Val base = elab_tensor(c, s, x->index.base);
    if (base.kind == V_BAD) return base;
    const char *name = x->index.base->kind == A_NAME ? x->index.base->name : NULL;
    uint32_t n = x->index.subs.n;
    if (n > base.rank) {
        check_error(c, E0602, x->loc, "%u subscripts for %s%s%s with %s", n, name ? "'" : "a tensor", name ? name : "",
                    name ? "'" : "", base.rank ? val_shape(c, &base) : "none");
        if (base.loc.line) diag_note(c->diag, base.loc, "it got its shape here");
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
    for (uint32_t i = 0; !otherwise && i < n; i++) prove_later(c, subs[i], base.dims[i], x->index.subs.data[i].loc, name, i);
    Val r = {.kind = V_TENSOR, .rank = (uint8_t)(base.rank - n), .loc = base.loc, .below = base.below};
    for (uint32_t i = 0; i < r.rank; i++) {
        r.ax[i] = base.ax[n + i];
        r.dims[i] = base.dims[n + i];
    }
    r.e = expr_subst(c, base.e, base.ax, subs, n);
    if (cond) r.e = typed_select(c, cond, r.e, other.e), r.below = 0;
    return val_freshen(c, r);
}

/* ---- select, random, matrix product ------------------------------------------------------------- */

static Val elab_arm(Check *c, Scope *s, Ast *x, const Val *cond, bool holds) {
    uint32_t guards = c->n_guards;
    if (cond->rank == 0) guard_push(c, holds ? cond->e : expr_fn1(c->g, F_not, cond->e));
    Val v = val_tensor(c, elab(c, s, x));
    c->n_guards = guards;
    return v;
}

static Val elab_select(Check *c, Scope *s, Ast *x) {
    const Args *a = &x->call.args;
    if (a->n != 3 || x->call.opts.n) {
        check_error(c, E0408, x->loc, "select takes a condition and two values");
        return val_bad();
    }
    Val cond = elab(c, s, a->data[0].value);
    double known;
    if (cond.kind == V_BAD) return cond;
    if (val_is_const(c, &cond) && !(cond.kind == V_NUM && cond.sym) && val_number(c, &cond, &known))
        return elab(c, s, a->data[known != 0 ? 1 : 2].value);
    cond = val_tensor(c, cond);
    if (graph_type(c->g, cond.e) != T_INT) {
        check_error(c, E0503, a->data[0].loc, "a condition is 0 or 1, and this is real");
        diag_help(c->diag, "compare it: x > 0");
        return val_bad();
    }
    cond = val_cheap(c, cond, x->loc);
    Val u = elab_arm(c, s, a->data[1].value, &cond, true), v = elab_arm(c, s, a->data[2].value, &cond, false);
    if (u.kind == V_BAD || v.kind == V_BAD || cond.kind == V_BAD) return val_bad();
    if (!meet(c, "select", &u, &v, x->loc) || !meet(c, "select", &u, &cond, x->loc)) return val_bad();
    if (v.rank < u.rank && !meet(c, "select", &u, &v, x->loc)) return val_bad();
    Val r = u;
    r.below = 0;
    r.e = typed_select(c, cond.e, u.e, v.e);
    return r;
}

static Val elab_random(Check *c, Scope *s, Ast *x) {
    Val v = x->call.args.n == 1 && !x->call.opts.n ? elab_tensor(c, s, x->call.args.data[0].value) : val_bad();
    if (x->call.args.n != 1) check_error(c, E0408, x->loc, "random takes one tensor, whose shape it has");
    if (v.kind == V_BAD || c->formula) {
        if (v.kind != V_BAD) check_error(c, E0802, x->loc, "random() in an initial value: write ~ uniform(0, 1)");
        return val_bad();
    }
    const uint32_t *f = expr_free(c, v.e);
    ExprId args[2 * MAX_RANK + MAX_LEVELS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->level && n < MAX_LEVELS; i++) args[n++] = expr_lvl(c->g, i);
    for (uint32_t i = 1; i <= f[0] && n < MAX_LEVELS + MAX_RANK; i++) args[n++] = expr_idx(c->g, f[i]);
    v.e = expr_random(c->g, c->g->n_random++, args, n);
    v.below = 0;
    return v;
}

static Val matmul(Check *c, Val a, Val b, Loc loc) {
    a = val_tensor(c, a);
    b = val_tensor(c, b);
    if (a.kind == V_BAD || b.kind == V_BAD) return val_bad();
    if (a.rank < 1 || b.rank < 1 || b.rank > 2 || !same_size(c, a.dims[a.rank - 1], b.dims[0])) {
        check_error(c, E0407, loc, "'@' sums over the last axis of the left side and the first of the right: %s and %s",
                    val_shape(c, &a), val_shape(c, &b));
        note_shapes(c, &a, &b);
        diag_help(c->diag, "x[K] @ W[K,M]; for a matrix stored [M,K] write linear(x, W)");
        return val_bad();
    }
    a = val_cheap(c, a, loc);
    b = val_cheap(c, b, loc);
    if (a.kind == V_BAD || b.kind == V_BAD) return val_bad();
    uint32_t k = binder_new(c, "k", b.dims[0], loc);
    ExprId ka = expr_idx(c->g, k);
    b = val_freshen(c, b);
    Val r = {.kind = V_TENSOR, .rank = (uint8_t)(a.rank - 1 + b.rank - 1), .loc = a.loc};
    if (r.rank > MAX_RANK) return val_bad();
    for (uint32_t i = 0; i + 1 < a.rank; i++) r.ax[i] = a.ax[i], r.dims[i] = a.dims[i];
    for (uint32_t i = 1; i < b.rank; i++) r.ax[a.rank - 2 + i] = b.ax[i], r.dims[a.rank - 2 + i] = b.dims[i];
    ExprId ea = expr_subst(c, a.e, &a.ax[a.rank - 1], &ka, 1), eb = expr_subst(c, b.e, &b.ax[0], &ka, 1);
    r.e = expr_fn2(c->g, F_mul, ea, eb);
    return reduce(c, RED_SUM, r, &k, 1, NULL, loc);
}

Val binary(Check *c, AstOp op, Val a, Val b, Loc loc) {
    if (a.kind == V_BAD || b.kind == V_BAD) return val_bad();
    if (op == OP_MATMUL) return matmul(c, a, b, loc);
    Val v[2] = {a, b};
    return apply_fn(c, op_fn(op), v, 2, loc);
}

/* ---- names ------------------------------------------------------------------------------------- */

static Val elab_name(Check *c, Scope *s, Ast *x) {
    Sym *y = scope_find(s, x->name);
    Val v;
    bool found;
    Module *m;
    if (y && y->kind == SYM_VALUE) {
        v = y->val;
        if (v.kind == V_TENSOR) {
            v = val_freshen(c, v);
            if (!v.loc.line) v.loc = y->loc;
        }
        return v;
    }
    if (!y && module_lookup(c, s->module, x->name, &v, &found)) return v;
    if (strcmp(x->name, "training") == 0) return val_num(c->training, true);
    if (y || module_fn(s->module, x->name, &m) || fn_find(x->name)) {
        check_error(c, E0210, x->loc, "'%s' is a function; call it: %s(...)", x->name, x->name);
        return val_bad();
    }
    check_error(c, E0201, x->loc, "'%s' is not known here", x->name);
    const char *near = nearest_name(c, s, x->name, false);
    if (near) diag_help(c->diag, "did you mean '%s'?", near);
    return val_bad();
}

/* ---- everything ---------------------------------------------------------------------------------- */

static Val elab_table(Check *c, Scope *s, Ast *x, Fn f) {
    const Args *a = &x->call.args;
    if ((int)a->n != fn_info[f].arity || x->call.opts.n) {
        check_error(c, E0408, x->loc, "%s takes %d argument%s", fn_info[f].name, fn_info[f].arity, fn_info[f].arity > 1 ? "s" : "");
        return val_bad();
    }
    Val v[2] = {val_bad(), val_bad()};
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->data[i].name) check_error(c, E0409, a->data[i].loc, "%s takes no argument by name", fn_info[f].name);
        v[i] = elab(c, s, a->data[i].value);
    }
    return apply_fn(c, f, v, a->n, x->loc);
}

static Val elab_callee(Check *c, Scope *s, Ast *x) {
    const Sym *y = scope_find(s, x->call.callee);
    Module *m;
    bool user = (y && y->kind == SYM_FN) || module_fn(s->module, x->call.callee, &m);
    if (!user) {
        if (x->call.along || x->call.as || x->call.where || x->call.restart)
            if (fn_find(x->call.callee) || strcmp(x->call.callee, "select") == 0)
                check_error(c, E0711, x->loc, "'%s' is no cell: it takes no 'along', 'where', 'restart' or 'as'", x->call.callee);
        if (strcmp(x->call.callee, "prev") == 0) return elab_prev(c, s, x);
        if (strcmp(x->call.callee, "select") == 0) return elab_select(c, s, x);
        if (strcmp(x->call.callee, "random") == 0) return elab_random(c, s, x);
        Fn f = fn_find(x->call.callee);
        if (fn_is_call(f)) return elab_table(c, s, x, f);
    }
    Val *out;
    uint32_t n = elab_call(c, s, x, &out);
    if (n == 0) return val_bad();
    if (n > 1) {
        check_error(c, E0410, x->loc, "'%s' gives %u results, and one value is wanted here", x->call.callee, n);
        diag_help(c->diag, "take them by name first: (a, b) = %s(...)", x->call.callee);
        return val_bad();
    }
    return out[0];
}

Val elab(Check *c, Scope *s, Ast *x) {
    if (++c->depth > 2000) {
        if (c->depth == 2001) check_error(c, E0209, x->loc, "calls and expressions are nested too deeply here");
        c->depth--;
        return val_bad();
    }
    Val r = val_bad();
    if (!x || diag_full(c->diag)) {
        c->depth--;
        return r;
    }
    switch (x->kind) {
    case A_NUM:
        r = val_num(x->num, x->is_int && fabs(x->num) < 9e15);
        break;
    case A_NAME: r = elab_name(c, s, x); break;
    case A_UNARY: {
        Val a = elab(c, s, x->a);
        r = a.kind == V_BAD ? a : apply_fn(c, op_fn(x->op), &a, 1, x->loc);
        break;
    }
    case A_BINARY: {
        Val a = elab(c, s, x->a), b = elab(c, s, x->b);
        r = binary(c, x->op, a, b, x->loc);
        break;
    }
    case A_REDUCE: r = elab_reduce(c, s, x); break;
    case A_CALL: r = elab_callee(c, s, x); break;
    case A_INDEX: r = elab_index(c, s, x); break;
    }
    c->depth--;
    return r;
}

Val elab_tensor(Check *c, Scope *s, Ast *x) { return val_tensor(c, elab(c, s, x)); }

Size elab_size(Check *c, Scope *s, Ast *x) {
    Val v = elab(c, s, x);
    double n;
    int64_t k;
    if (v.kind == V_BAD) return 0;
    if (v.kind == V_SIZE) {
        if (!size_value(c->sizes, v.size, &k) || k >= 1) return v.size;
        check_error(c, E0301, x->loc, "a size is a whole number from 1 up, and %s is %lld", size_str(c->sizes, v.size), (long long)k);
        return 0;
    }
    if (v.kind == V_NUM && val_decide(c, &v, &n) && n == floor(n) && n >= 1 && n < 9e15) return size_num(c->sizes, (int64_t)n);
    if (v.kind == V_NUM) check_error(c, E0301, x->loc, "a size is a whole number from 1 up, and this is %.10g", v.num);
    else check_error(c, E0301, x->loc, "a size is made of constants and axes; this depends on data");
    return 0;
}

bool elab_const(Check *c, Scope *s, Ast *x, double *out, const char *what) {
    Val v = elab(c, s, x);
    if (v.kind == V_BAD) return false;
    if (val_is_const(c, &v) && val_decide(c, &v, out)) return true;
    check_error(c, E0504, x->loc, "%s must be known when compiling", what);
    return false;
}

/* name[binders] = x: the whole tensor, over the binders first and the axes of x after. */
Val elab_equation(Check *c, Scope *s, const Binders *b, Ast *x, const char *name, Loc loc) {
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    uint32_t k[MAX_RANK];
    uint32_t from = c->pending.n;
    if (b->n > MAX_RANK) {
        check_error(c, E0307, loc, "a tensor has at most %u axes", MAX_RANK);
        return val_bad();
    }
    for (uint32_t i = 0; i < b->n; i++)
        if (!binder_declare(c, inner, &b->data[i], s, &k[i])) return val_bad();
    infer_ranges(c, inner, x, 0);
    Val v = val_tensor(c, elab(c, inner, x));
    bool ok = v.kind != V_BAD && v.rank + b->n <= MAX_RANK;
    for (uint32_t i = 0; ok && i < b->n; i++) ok = binder_known(c, k[i]) && ok;
    prove_pending(c, from);
    if (!ok) return val_bad();
    Val r = {.kind = V_TENSOR, .rank = (uint8_t)(b->n + v.rank), .e = v.e, .below = v.below, .loc = loc};
    for (uint32_t i = 0; i < b->n; i++) r.ax[i] = k[i], r.dims[i] = binder_info(c, k[i])->size;
    for (uint32_t i = 0; i < v.rank; i++) r.ax[b->n + i] = v.ax[i], r.dims[b->n + i] = v.dims[i];
    (void)name;
    return r;
}
