/* Reads must be provably inside: bounds of subscripts under the conditions of the selects around. */
#include "check_internal.h"

#include <string.h>

/* The ranges of all indices so far; those that were known before are not looked at again. */
static Ranges ranges_now(Check *c) {
    while (c->range_idx.n < BINDER) *PUSH(c->arena, &c->range_idx) = 0;
    while (c->range_idx.n < BINDER + c->binders.n) *PUSH(c->arena, &c->range_idx) = 0;
    bool gap = false;
    for (uint32_t i = c->ranges_known; i < c->binders.n; i++) {
        Size s = c->binders.data[i].size;
        c->range_idx.data[BINDER + i] = s ? size_ground(c->sizes, s) : 0;
        gap = gap || !s;
        if (!gap) c->ranges_known = i + 1;
    }
    return (Ranges){c->range_idx.data, c->range_idx.n, c->lvl_len, c->level};
}

bool expr_range(Check *c, ExprId e, Size *lo, Size *hi) {
    Ranges r = ranges_now(c);
    *lo = *hi = 0;
    expr_bounds(c->g, e, &r, lo, hi);
    return *lo && *hi;
}

/* ---- conditions as inequalities: each fact g means g >= 0 ------------------------------------- */

typedef struct Facts {
    ExprId g[MAX_GUARDS * 2];
    uint32_t n;
} Facts;

static void fact_add(Check *c, Facts *f, ExprId a, ExprId b, int64_t less) { /* a - b - less >= 0 */
    if (f->n == sizeof f->g / sizeof *f->g) return;
    ExprId d = expr_fn2(c->g, F_sub, a, b);
    f->g[f->n++] = less ? expr_fn2(c->g, F_sub, d, expr_int(c->g, less)) : d;
}

static void facts_of(Check *c, Facts *f, ExprId cond, bool holds, uint32_t depth) {
    const Expr x = *graph_expr(c->g, cond);
    if (x.op != X_FN || depth > 16) return;
    ExprId a = expr_arg(c->g, cond, 0), b = x.n_args > 1 ? expr_arg(c->g, cond, 1) : 0;
    if (x.fn == F_not) return facts_of(c, f, a, !holds, depth + 1);
    if ((x.fn == F_and && holds) || (x.fn == F_or && !holds)) {
        facts_of(c, f, a, holds, depth + 1);
        facts_of(c, f, b, holds, depth + 1);
        return;
    }
    if (!b || graph_type(c->g, a) != T_INT || graph_type(c->g, b) != T_INT) return;
    Fn fn = (Fn)x.fn;
    if (!holds)
        fn = fn == F_lt   ? F_ge
             : fn == F_le ? F_gt
             : fn == F_gt ? F_le
             : fn == F_ge ? F_lt
             : fn == F_ne ? F_eq
                          : F_NONE;
    if (fn == F_lt || fn == F_eq) fact_add(c, f, b, a, fn == F_lt);
    if (fn == F_eq || fn == F_ge) fact_add(c, f, a, b, 0);
    if (fn == F_le) fact_add(c, f, b, a, 0);
    if (fn == F_gt) fact_add(c, f, a, b, 1);
}

static bool low_nonneg(Check *c, const Ranges *r, ExprId e) {
    Size lo = 0, hi = 0;
    expr_bounds(c->g, e, r, &lo, &hi);
    return lo && size_nonneg(c->sizes, lo);
}

/* e >= 0 follows from the ranges, from one fact, or from two (e = fact + fact + something >= 0). */
bool prove_nonneg(Check *c, ExprId e, const ExprId *guards, uint32_t n) {
    Ranges r = ranges_now(c);
    bool ok = low_nonneg(c, &r, e);
    Facts f = {.n = 0};
    for (uint32_t i = 0; i < n && !ok; i++) facts_of(c, &f, guards[i], true, 0);
    for (uint32_t i = 0; i < f.n && !ok; i++) {
        ExprId rest = expr_fn2(c->g, F_sub, e, f.g[i]);
        ok = low_nonneg(c, &r, rest);
        for (uint32_t k = i + 1; k < f.n && !ok; k++)
            ok = low_nonneg(c, &r, expr_fn2(c->g, F_sub, rest, f.g[k]));
    }
    return ok;
}

/* ---- guards of the selects around ------------------------------------------------------------ */

void guard_push(Check *c, ExprId cond) {
    if (c->n_guards < MAX_GUARDS) c->guards[c->n_guards] = cond;
    c->n_guards++;
}

ExprId guard_all(Check *c) {
    ExprId all = 0;
    for (uint32_t i = 0; i < c->n_guards && i < MAX_GUARDS; i++)
        all = all ? expr_fn2(c->g, F_and, all, c->guards[i]) : c->guards[i];
    return all;
}

/* ---- proofs wait until the ranges of the equation's indices are known --------------------------- */

void prove_later(Check *c, ExprId sub, const Val *of, Loc loc, const char *name, uint32_t axis) {
    Pending *p = PUSH(c->arena, &c->pending);
    p->sub = sub;
    p->dim = of->dims[axis];
    p->of = *of;
    p->loc = loc;
    p->name = name;
    p->axis = axis;
    p->n_guards = c->n_guards < MAX_GUARDS ? c->n_guards : MAX_GUARDS;
    memcpy(p->guards, c->guards, sizeof(ExprId) * p->n_guards);
}

/* The shape of what is read, and the ranges of the indices that lead outside. */
static void note_outside(Check *c, const Pending *p, const char *what) {
    if (p->of.loc.line) note_shape(c, &p->of, what);
    const uint32_t *f = expr_free(c, p->sub);
    for (uint32_t i = 1; i <= f[0]; i++) {
        const BinderInfo *b = binder_info(c, f[i]);
        if (b->name && !b->given)
            diag_note(c->diag, b->from, "index '%s' has its range from here: %s", b->name,
                      size_say(c, b->size));
    }
}

static void report_outside(Check *c, const Pending *p, bool low) {
    const char *what = p->name ? arena_printf(c->arena, "'%s'", p->name) : "this";
    if (expr_reads(c, p->sub)) {
        check_error(c, E0603, p->loc,
                    "axis %u of %s has %s elements, and this number may be outside", p->axis + 1,
                    what, size_say(c, p->dim));
        note_outside(c, p, what);
        diag_help(c->diag,
                  "declare the numbers as index(%s), or say what is read outside: [... else 0]",
                  size_text(c, p->dim));
        return;
    }
    bool grows = size_has_axis(c->sizes, p->dim, NULL);
    Size lo, hi;
    expr_range(c, p->sub, &lo, &hi);
    Size bad = low ? lo : hi;
    if (bad)
        check_error(c, E0601, p->loc, "axis %u of %s has %s elements%s, and this subscript %s %s",
                    p->axis + 1, what, size_say(c, p->dim), grows && lo == hi ? ", 1 at least" : "",
                    lo == hi ? "is"
                    : low    ? "goes down to"
                             : "goes up to",
                    size_text(c, bad));
    else
        check_error(c, E0601, p->loc, "axis %u of %s has %s elements, and this subscript may be %s",
                    p->axis + 1, what, size_say(c, p->dim), low ? "below 0" : "beyond the end");
    note_outside(c, p, what);
    diag_help(
        c->diag,
        "say what is read outside, [... else 0], or guard the read with select(condition, read, other)");
}

static Size gather_below(Check *c, ExprId e) {
    const Expr *x = graph_expr(c->g, e);
    return x->op == X_READ && x->value < c->value_below.n ? c->value_below.data[x->value] : 0;
}

/* false: an index around has no range yet; the equation that binds it will ask again. */
static bool prove_one(Check *c, const Pending *p) {
    const uint32_t *f = expr_free(c, p->sub);
    for (uint32_t i = 1; i <= f[0]; i++)
        if (!binder_info(c, f[i])->size) return false;
    Size dim = size_ground(c->sizes, p->dim);
    Size below = gather_below(c, p->sub);
    if (below && size_nonneg(c->sizes, size_sub(c->sizes, dim, size_ground(c->sizes, below))))
        return true;
    ExprId last = expr_size(c->g, size_sub(c->sizes, dim, size_num(c->sizes, 1)));
    if (!prove_nonneg(c, p->sub, p->guards, p->n_guards))
        report_outside(c, p, true);
    else if (!prove_nonneg(c, expr_fn2(c->g, F_sub, last, p->sub), p->guards, p->n_guards))
        report_outside(c, p, false);
    return true;
}

void prove_pending(Check *c, uint32_t from) {
    uint32_t kept = from;
    for (uint32_t i = from; i < c->pending.n; i++) {
        Pending p = c->pending.data[i];
        if (!prove_one(c, &p)) c->pending.data[kept++] = p;
    }
    if (c->pending.n > from) c->pending.n = kept;
}
