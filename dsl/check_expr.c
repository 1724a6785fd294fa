/* Expressions: names, calls of what is built in, and everything else by its kind. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

static Fn op_fn(AstOp op) {
    static const Fn of[OP_COUNT] = {F_neg,  F_not,  F_add,  F_sub, F_mul, F_div,
                                    F_idiv, F_imod, F_NONE, F_pow, F_eq,  F_ne,
                                    F_lt,   F_le,   F_gt,   F_ge,  F_and, F_or};
    return of[op];
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
        check_error(c, E0408, x->loc, "select takes 3 arguments, and here are %u",
                    a->n + x->call.opts.n);
        diag_help(c->diag, "select(condition, value where it holds, value elsewhere)");
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
        if (cond.loc.line) diag_note(c->diag, cond.loc, "it comes from here");
        diag_help(c->diag, "compare it: x > 0");
        return val_bad();
    }
    cond = val_cheap(c, cond, x->loc);
    Val u = elab_arm(c, s, a->data[1].value, &cond, true),
        v = elab_arm(c, s, a->data[2].value, &cond, false);
    if (u.kind == V_BAD || v.kind == V_BAD || cond.kind == V_BAD) return val_bad();
    if (!meet(c, "select", &u, &v, x->loc) || !meet(c, "select?", &u, &cond, x->loc))
        return val_bad();
    if (v.rank < u.rank && !meet(c, "select", &u, &v, x->loc)) return val_bad();
    Val r = u;
    r.below = 0;
    r.e = typed_select(c, cond.e, u.e, v.e);
    return r;
}

static Val elab_random(Check *c, Scope *s, Ast *x) {
    Val v = x->call.args.n == 1 && !x->call.opts.n ? elab_tensor(c, s, x->call.args.data[0].value)
                                                   : val_bad();
    if (x->call.args.n != 1 || x->call.opts.n)
        check_error(c, E0408, x->loc, "random takes one tensor, whose shape it has");
    if (v.kind == V_BAD || c->formula) {
        if (v.kind != V_BAD)
            check_error(c, E0802, x->loc, "random() in an initial value: write ~ uniform(0, 1)");
        return val_bad();
    }
    const uint32_t *f = expr_free(c, v.e);
    ExprId args[2 * MAX_RANK + MAX_LEVELS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->level && n < MAX_LEVELS; i++) args[n++] = expr_lvl(c->g, i);
    for (uint32_t i = 1; i <= f[0] && n < MAX_LEVELS + MAX_RANK; i++)
        args[n++] = expr_idx(c->g, f[i]);
    v.e = expr_random(c->g, c->g->n_random++, args, n);
    v.below = 0;
    return v;
}

static Val matmul(Check *c, Val a, Val b, Loc loc) {
    a = val_tensor(c, a);
    b = val_tensor(c, b);
    if (a.kind == V_BAD || b.kind == V_BAD) return val_bad();
    if (a.rank < 1 || b.rank < 1 || b.rank > 2 || !same_size(c, a.dims[a.rank - 1], b.dims[0])) {
        check_error(
            c, E0407, loc,
            "'@' sums over the last axis of the left side and the first of the right, which "
            "is a vector or matrix: %s and %s",
            val_shape(c, &a), val_shape(c, &b));
        note_shapes(c, "@", &a, &b);
        bool turned = a.rank && b.rank == 2 && same_size(c, a.dims[a.rank - 1], b.dims[1]);
        diag_help(c->diag, turned ? "the matrix is stored [outputs, inputs]: write linear(x, W)"
                                  : "x[K] @ W[K,M] is [M]; anything else is written with sum[k]");
        return val_bad();
    }
    a = val_cheap(c, a, loc);
    b = val_cheap(c, b, loc);
    if (a.kind == V_BAD || b.kind == V_BAD) return val_bad();
    uint32_t k = binder_new(c, "k", b.dims[0], loc);
    ExprId ka = expr_idx(c->g, k);
    b = val_freshen(c, b);
    Val r = {.kind = V_TENSOR, .rank = (uint8_t)(a.rank - 1 + b.rank - 1), .loc = a.loc};
    for (uint32_t i = 0; i + 1 < a.rank; i++) r.ax[i] = a.ax[i], r.dims[i] = a.dims[i];
    for (uint32_t i = 1; i < b.rank; i++)
        r.ax[a.rank - 2 + i] = b.ax[i], r.dims[a.rank - 2 + i] = b.dims[i];
    ExprId ea = expr_subst(c, a.e, &a.ax[a.rank - 1], &ka, 1),
           eb = expr_subst(c, b.e, &b.ax[0], &ka, 1);
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
        check_error(c, E0210, x->loc, "'%s' is a function, and a value is wanted here", x->name);
        diag_help(c->diag, "call it: %s(...)", x->name);
        return val_bad();
    }
    check_error(c, E0201, x->loc, "'%s' is not known here", x->name);
    help_near(c, s, x->name, false);
    return val_bad();
}

/* ---- everything ---------------------------------------------------------------------------------- */

static Val elab_table(Check *c, Scope *s, Ast *x, Fn f) {
    const Args *a = &x->call.args;
    if ((int)a->n != fn_info[f].arity || x->call.opts.n) {
        check_error(c, E0408, x->loc, "%s takes %d argument%s, and here %s %u", fn_info[f].name,
                    fn_info[f].arity, fn_info[f].arity > 1 ? "s" : "",
                    a->n + x->call.opts.n == 1 ? "is" : "are", a->n + x->call.opts.n);
        return val_bad();
    }
    Val v[2] = {val_bad(), val_bad()};
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->data[i].name)
            check_error(c, E0409, a->data[i].loc, "%s takes no argument by name", fn_info[f].name);
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
                check_error(c, E0711, x->loc,
                            "'%s' is no cell: it takes no 'along', 'where', 'restart' or 'as'",
                            x->call.callee);
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
        check_error(c, E0410, x->loc, "'%s' gives %u results, and one value is wanted here",
                    x->call.callee, n);
        diag_help(c->diag, "take them by name first: (a, b) = %s(...)", x->call.callee);
        return val_bad();
    }
    return out[0];
}

Val elab(Check *c, Scope *s, Ast *x) {
    if (++c->depth > 2000) {
        if (c->depth == 2001)
            check_error(c, E0209, x->loc, "calls and expressions are nested too deeply here");
        c->depth--;
        return val_bad();
    }
    Val r = val_bad();
    if (!x || diag_full(c->diag) || !check_work(c, WORK_EXPR, x->loc)) {
        c->depth--;
        return r;
    }
    switch (x->kind) {
    case A_NUM: r = val_num(x->num, x->is_int && fabs(x->num) <= MOST_WHOLE); break;
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
        check_error(c, E0301, x->loc, "a size is a whole number from 1 up, and %s is %lld",
                    size_text(c, v.size), (long long)k);
        if (k == 0 && strstr(size_text(c, v.size), "//"))
            diag_help(c->diag, "'//' rounds down: the divisor is larger than what it divides");
        return 0;
    }
    if (v.kind == V_NUM && val_decide(c, &v, &n) && n == floor(n) && n >= 1 && n <= MOST_WHOLE)
        return size_num(c->sizes, (int64_t)n);
    if (v.kind == V_NUM) {
        check_error(c, E0301, x->loc, "a size is a whole number from 1 up, and this is %.10g",
                    v.num);
        if (v.num != floor(v.num))
            diag_help(c->diag,
                      "the whole quotient is written with '//', and round(x) is whole too");
    } else {
        check_error(c, E0301, x->loc,
                    "a size is made of constants and axes, and this depends on data");
        if (v.loc.line) diag_note(c->diag, v.loc, "it comes from here");
    }
    return 0;
}

bool elab_const(Check *c, Scope *s, Ast *x, double *out, const char *what) {
    Val v = elab(c, s, x);
    if (v.kind == V_BAD) return false;
    if (val_is_const(c, &v) && val_decide(c, &v, out)) return true;
    check_error(c, E0504, x->loc, "%s must be known when compiling, and this depends on %s", what,
                depends_say(c, &v));
    return false;
}
