/* Turning a flow round: solving the subscripts of a read for the indices of the iteration.
 *
 * Requires: subscripts that are int expressions over X_IDX 0..n_iter-1, counters and gathers.
 * Maintains: the sum over all i with subs(i) = p of expr(i), for every point p.
 * Cost: a few passes over the subscripts and one over the expression, for each index.
 *
 * The rules, in order:
 *   1. an index under // c or % c is split, k = c*u + w - offset, so that only sums are left (of
 *      a sum under // c or % c the quotient and the rest become indices, and their relation an
 *      equation);
 *   2. a subscript with no open index is a condition, with one it gives that index, and c*u + w
 *      over the whole range 0 <= w < c gives both u = p//c and w = p%c;
 *   3. otherwise the open index with the largest range is eliminated: never the small one, that
 *      would turn kernel*image into image*image;
 *   4. a gather is a condition once its own indices are known, else the flow is a scatter.
 * Indices that stay open are summed. */
#include "adjoint.h"

#include <string.h>

enum { MAX_VARS = 48, POINT = 64, MAX_GUARDS = 64, MAX_IDX = POINT + MAX_RANK, MAX_SUMS = 4 };
enum { MAX_SIDES = MAX_RANK + MAX_SUMS };

typedef struct Turn {
    Graph *g;
    Arena *scratch;
    Flow *f;
    uint32_t n_vars;
    ExprId sol[MAX_VARS]; /* over open indices and points (X_IDX POINT + q); 0 = open */
    uint32_t n_sides;     /* equations left = right, one a subscript; then those of divided sums */
    ExprId left[MAX_SIDES];  /* over points */
    ExprId right[MAX_SIDES]; /* over indices */
    bool done[MAX_SIDES];
    struct { /* sum // by and sum % by of more than one index */
        ExprId sum, quot, rest;
        Size by;
    } sums[MAX_SUMS];
    uint32_t n_sums;
    ExprId
        guard[MAX_GUARDS]; /* in an order in which each may be evaluated when those before hold */
    uint32_t n_guards;
    bool full;             /* a table was too small: scatter */
    Affine subs[MAX_RANK]; /* as they came, for finding them again in the expression */
    bool is_affine[MAX_RANK];
    Size range[MAX_IDX]; /* of indices and points */
    Ranges ranges;
} Turn;

/* ---- small things ---------------------------------------------------------------------------- */

static bool size_is(Graph *g, Size s, int64_t v) {
    int64_t n;
    return size_is_num(g->sizes, s, &n) && n == v;
}

static Size exact_quotient(Graph *g, Size s, Size n) {
    Size q = size_floordiv(g->sizes, s, n);
    return q && size_mul(g->sizes, q, n) == s ? q : 0;
}

/* Is range a surely at least b? Where formulas do not tell, run-time axes count as larger than
 * numbers. */
static bool larger(Graph *g, Size a, Size b) {
    if (a == b) return false;
    Size d = size_sub(g->sizes, a, b), back = size_sub(g->sizes, b, a);
    if (d && size_nonneg(g->sizes, d)) return true;
    if (back && size_nonneg(g->sizes, back)) return false;
    return size_has_axis(g->sizes, a, NULL) && !size_has_axis(g->sizes, b, NULL);
}

static ExprId simplify(Turn *t, ExprId e) { return expr_simplify_int(t->g, e, &t->ranges); }

static bool division(Graph *g, ExprId e, ExprId *of, Size *by);

/* (sum // by) and (sum % by) where that has names of its own. */
static ExprId put_node(ExprMap *m, ExprId e, const ExprId *args) {
    const Turn *t = m->user;
    ExprId of;
    Size by;
    (void)args;
    if (!t->n_sums || !division(t->g, e, &of, &by)) return 0;
    for (uint32_t i = 0; i < t->n_sums; i++)
        if (t->sums[i].sum == of && t->sums[i].by == by)
            return graph_expr(t->g, e)->fn == F_idiv ? t->sums[i].quot : t->sums[i].rest;
    return 0;
}

static ExprId put_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    const Turn *t = m->user;
    const Expr *x = graph_expr(m->src, e);
    (void)subs;
    if (x->op != X_IDX || x->i >= t->n_vars) return 0;
    return t->sol[x->i];
}

/* e with the indices that have a solution replaced by it. */
static ExprId put(Turn *t, ExprId e) {
    ExprMap m = {.src = t->g, .dst = t->g, .leaf = put_leaf, .node = put_node, .user = t};
    expr_map_begin(&m, t->scratch);
    return simplify(t, expr_map(&m, e));
}

static void add_guard(Turn *t, ExprId cond) {
    int64_t always = 0;
    cond = simplify(t, cond);
    const Expr *x = graph_expr(t->g, cond);
    if (x->op == X_INT) always = x->i;
    if (always) return;
    for (uint32_t i = 0; i < t->n_guards; i++)
        if (t->guard[i] == cond) return;
    if (t->n_guards == MAX_GUARDS)
        t->full = true;
    else
        t->guard[t->n_guards++] = cond;
}

/* Adds 0 <= e < n where that is not so by itself. */
static void add_inside(Turn *t, ExprId e, Size n) {
    Graph *g = t->g;
    Size lo, hi;
    expr_bounds(g, e, &t->ranges, &lo, &hi);
    if (!lo || !size_nonneg(g->sizes, lo)) add_guard(t, expr_fn2(g, F_ge, e, expr_int(g, 0)));
    Size room = hi ? size_sub(g->sizes, n, hi) : 0;
    if (!room || !size_positive(g->sizes, room))
        add_guard(t, expr_fn2(g, F_lt, e, expr_size(g, n)));
}

static void solve(Turn *t, uint32_t var, ExprId e) {
    t->sol[var] = simplify(t, e);
    for (uint32_t k = 0; k < t->n_vars; k++)
        if (t->sol[k] && k != var) t->sol[k] = put(t, t->sol[k]);
    for (uint32_t k = 0; k < t->n_guards; k++) t->guard[k] = put(t, t->guard[k]);
    for (uint32_t q = 0; q < t->n_sides; q++)
        if (!t->done[q]) t->right[q] = put(t, t->right[q]);
}

typedef struct Open {
    const Turn *t;
    bool found;
} Open;

static void see_open(Graph *g, ExprId e, void *user) {
    Open *o = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_IDX && x->i < o->t->n_vars && !o->t->sol[x->i]) o->found = true;
}

static bool has_open(Turn *t, ExprId e) {
    Open o = {t, false};
    expr_walk(t->g, e, see_open, &o);
    return o.found;
}

/* ---- 1: splitting indices under // and % ----------------------------------------------------- */

typedef struct Division {
    uint32_t var;
    Size by, offset; /* (var + offset) // by */
    bool found;
    ExprId sum; /* else, of more than one index, or 0 */
    Size sum_by;
    Turn *t;
} Division;

/* Is e a // or % by a size? */
static bool division(Graph *g, ExprId e, ExprId *of, Size *by) {
    const Expr x = *graph_expr(g, e);
    Affine b;
    if (x.op != X_FN || (x.fn != F_idiv && x.fn != F_imod)) return false;
    if (!expr_affine(g, expr_arg(g, e, 1), &b) || b.n || !size_positive(g->sizes, b.konst))
        return false;
    *of = expr_arg(g, e, 0);
    *by = b.konst;
    return true;
}

static bool is_open(const Turn *t, ExprId e) {
    const Expr *x = graph_expr(t->g, e);
    return x->op == X_IDX && x->i < t->n_vars && !t->sol[x->i];
}

static void see_division(Graph *g, ExprId e, Division *d) {
    Affine of;
    ExprId sum;
    Size by;
    if (!division(g, e, &sum, &by) || !expr_affine(g, sum, &of) || of.n == 0) return;
    for (uint32_t i = 0; i < of.n; i++)
        if (!is_open(d->t, of.atom[i])) return;
    if (of.n > 1 || !size_is(g, of.coef[0], 1)) {
        if (!d->sum) d->sum = sum, d->sum_by = by;
        return;
    }
    if (d->found) return;
    d->var = (uint32_t)graph_expr(g, of.atom[0])->i;
    d->by = by;
    d->offset = of.konst;
    d->found = true;
}

/* Looks for divisions in e, but not in the subscripts of gathers, which need no solving. */
static void find_divisions(Graph *g, ExprId e, Division *d) {
    const Expr x = *graph_expr(g, e);
    see_division(g, e, d);
    if (x.op == X_FN)
        for (uint32_t k = 0; k < x.n_args; k++) find_divisions(g, expr_arg(g, e, k), d);
}

static uint32_t new_var(Turn *t, Size n) {
    t->range[t->n_vars] = n;
    return t->n_vars++;
}

/* var = by*u + w - left, where left = offset % by. */
static bool split(Turn *t, const Division *d) {
    Graph *g = t->g;
    Sizes *s = g->sizes;
    Size n = t->range[d->var], left = size_mod(s, d->offset, d->by);
    if (!left || t->n_vars + 2 > MAX_VARS) return false;
    Size total = size_add(s, n, left), rows = exact_quotient(g, total, d->by);
    bool exact = rows != 0;
    if (!exact) {
        Size up = size_sub(s, size_add(s, total, d->by), size_num(s, 1));
        rows = size_floordiv(s, up, d->by);
    }
    if (!rows) return false;
    ExprId u = expr_idx(g, new_var(t, rows)), w = expr_idx(g, new_var(t, d->by));
    ExprId sum = expr_fn2(g, F_add, expr_fn2(g, F_mul, u, expr_size(g, d->by)), w);
    sum = expr_fn2(g, F_sub, sum, expr_size(g, left));
    if (!size_is(g, left, 0)) add_guard(t, expr_fn2(g, F_ge, sum, expr_int(g, 0)));
    if (!exact) add_guard(t, expr_fn2(g, F_lt, sum, expr_size(g, n)));
    solve(t, d->var, sum);
    return true;
}

/* sum = by*u + w: u and w are new indices, and that is one more equation between indices. */
static bool name_sum(Turn *t, ExprId sum, Size by) {
    Graph *g = t->g;
    Sizes *s = g->sizes;
    Size lo, hi;
    expr_bounds(g, sum, &t->ranges, &lo, &hi);
    if (!lo || !hi || t->n_sums == MAX_SUMS || t->n_vars + 2 > MAX_VARS) return false;
    Size first = size_floordiv(s, lo, by), last = size_floordiv(s, hi, by);
    Size rows = first && last ? size_add(s, size_sub(s, last, first), size_num(s, 1)) : 0;
    if (!rows || !size_positive(s, rows)) return false;
    ExprId u = expr_idx(g, new_var(t, rows)), w = expr_idx(g, new_var(t, by));
    ExprId quot = expr_fn2(g, F_add, u, expr_size(g, first)), rest = w;
    ExprId whole = expr_fn2(g, F_add, expr_fn2(g, F_mul, quot, expr_size(g, by)), rest);
    t->sums[t->n_sums].sum = sum;
    t->sums[t->n_sums].by = by;
    t->sums[t->n_sums].quot = quot;
    t->sums[t->n_sums++].rest = rest;
    for (uint32_t q = 0; q < t->n_sides; q++) t->right[q] = put(t, t->right[q]);
    t->left[t->n_sides] = expr_int(g, 0);
    t->right[t->n_sides++] = expr_fn2(g, F_sub, sum, whole);
    return true;
}

static void split_all(Turn *t) {
    for (uint32_t turns = 0; turns < MAX_VARS; turns++) {
        Division d = {.t = t};
        for (uint32_t q = 0; q < t->n_sides; q++) find_divisions(t->g, t->right[q], &d);
        if (!d.found && !d.sum) return;
        if (d.found ? !split(t, &d) : !name_sum(t, d.sum, d.sum_by)) return;
    }
}

/* ---- 2 and 3: solving ------------------------------------------------------------------------ */

/* A subscript's right side taken apart: sum of coef*var over open indices, and the rest. */
typedef struct Side {
    uint32_t n, var[AFFINE_MAX];
    Size coef[AFFINE_MAX];
    Affine rest;
    int rank; /* what may be done with it: lower is better, NOTHING if it cannot be solved now */
    uint32_t pick; /* which of var to solve for */
} Side;

enum { CONDITION, ONE, PEEL, ELIMINATE, NOTHING };

static bool take_apart(Turn *t, ExprId e, Side *s) {
    Graph *g = t->g;
    Affine a;
    memset(s, 0, sizeof *s);
    if (!expr_affine(g, e, &a)) return false;
    s->rest.konst = a.konst;
    for (uint32_t i = 0; i < a.n; i++) {
        if (is_open(t, a.atom[i])) {
            s->var[s->n] = (uint32_t)graph_expr(g, a.atom[i])->i;
            s->coef[s->n++] = a.coef[i];
        } else {
            if (has_open(t, a.atom[i])) return false;
            s->rest.atom[s->rest.n] = a.atom[i];
            s->rest.coef[s->rest.n++] = a.coef[i];
        }
    }
    return true;
}

static int sign_of(Graph *g, Size s) {
    if (size_positive(g->sizes, s)) return 1;
    Size minus = size_sub(g->sizes, size_num(g->sizes, 0), s);
    return minus && size_positive(g->sizes, minus) ? -1 : 0;
}

/* Is term k the w of a mixed radix sum: coefficient 1, and all others multiples of its range? */
static bool peels(Turn *t, const Side *s, uint32_t k) {
    if (!size_is(t->g, s->coef[k], 1)) return false;
    for (uint32_t i = 0; i < s->n; i++)
        if (i != k && !exact_quotient(t->g, s->coef[i], t->range[s->var[k]])) return false;
    return true;
}

static Side judge(Turn *t, uint32_t q) {
    Side s;
    if (t->done[q] || !take_apart(t, t->right[q], &s)) {
        s.rank = NOTHING;
        return s;
    }
    s.rank = s.n == 0 ? CONDITION : NOTHING;
    for (uint32_t k = 0; k < s.n && s.rank > PEEL; k++) {
        if (s.n > 1 && peels(t, &s, k)) {
            s.rank = PEEL;
            s.pick = k;
        } else if (sign_of(t->g, s.coef[k]) &&
                   (s.rank == NOTHING ||
                    larger(t->g, t->range[s.var[k]], t->range[s.var[s.pick]]))) {
            s.rank = s.n == 1 ? ONE : ELIMINATE;
            s.pick = k;
        }
    }
    return s;
}

static ExprId sum_without(Turn *t, const Side *s, uint32_t skip, bool with_vars) {
    Graph *g = t->g;
    ExprId e = expr_from_affine(g, &s->rest);
    for (uint32_t i = 0; with_vars && i < s->n; i++)
        if (i != skip)
            e = expr_fn2(g, F_add, e,
                         expr_fn2(g, F_mul, expr_idx(g, s->var[i]), expr_size(g, s->coef[i])));
    return e;
}

/* left = w + n*(others) + rest: w = (left - rest) % n, and others = (left - rest)//n stays. */
static void peel(Turn *t, uint32_t q, const Side *s) {
    Graph *g = t->g;
    Size n = t->range[s->var[s->pick]];
    ExprId all = expr_fn2(g, F_sub, t->left[q], sum_without(t, s, s->pick, false)),
           others = expr_int(g, 0);
    for (uint32_t i = 0; i < s->n; i++) {
        if (i == s->pick) continue;
        ExprId c = expr_size(g, exact_quotient(g, s->coef[i], n));
        others = expr_fn2(g, F_add, others, expr_fn2(g, F_mul, expr_idx(g, s->var[i]), c));
    }
    t->left[q] = simplify(t, expr_fn2(g, F_idiv, all, expr_size(g, n)));
    t->right[q] = others;
    solve(t, s->var[s->pick], expr_fn2(g, F_imod, all, expr_size(g, n)));
}

/* left = coef*x + others: x = (left - others)/coef, where that divides and is inside. */
static void eliminate(Turn *t, uint32_t q, const Side *s) {
    Graph *g = t->g;
    Size coef = s->coef[s->pick], n = t->range[s->var[s->pick]];
    ExprId others = sum_without(t, s, s->pick, true), top;
    if (sign_of(g, coef) < 0) {
        coef = size_sub(g->sizes, size_num(g->sizes, 0), coef);
        top = expr_fn2(g, F_sub, others, t->left[q]);
    } else {
        top = expr_fn2(g, F_sub, t->left[q], others);
    }
    top = simplify(t, top);
    ExprId by = expr_size(g, coef);
    if (!size_is(g, coef, 1))
        add_guard(t, expr_fn2(g, F_eq, expr_fn2(g, F_imod, top, by), expr_int(g, 0)));
    Size end = size_mul(g->sizes, coef, n);
    if (end)
        add_inside(t, top, end);
    else
        t->full = true;
    t->done[q] = true;
    solve(t, s->var[s->pick], expr_fn2(g, F_idiv, top, by));
}

static bool solve_next(Turn *t) {
    Side best = {.rank = NOTHING};
    uint32_t at = 0;
    for (uint32_t q = 0; q < t->n_sides; q++) {
        Side s = judge(t, q);
        if (s.rank < best.rank) {
            best = s;
            at = q;
        }
    }
    switch (best.rank) {
    case CONDITION:
        add_guard(t, expr_fn2(t->g, F_eq, t->left[at], t->right[at]));
        t->done[at] = true;
        break;
    case PEEL: peel(t, at, &best); break;
    case ONE:
    case ELIMINATE: eliminate(t, at, &best); break;
    default: return false;
    }
    return true;
}

/* ---- putting the result together ------------------------------------------------------------- */

/* Where the expression holds a subscript itself, plus a constant, that is the point: (t//2)*2 is
 * never made of 2*i where p = 2*i is known. */
static ExprId find_subscript(ExprMap *m, ExprId e, const ExprId *args) {
    Turn *t = m->user;
    Graph *g = t->g;
    Affine a;
    (void)args;
    if (graph_type(g, e) != T_INT || !expr_affine(g, e, &a) || a.n == 0) return 0;
    for (uint32_t q = 0; q < t->f->rank; q++) {
        const Affine *s = &t->subs[q];
        if (!t->is_affine[q] || s->n != a.n) continue;
        bool same = memcmp(s->atom, a.atom, sizeof *a.atom * a.n) == 0 &&
                    memcmp(s->coef, a.coef, sizeof *a.coef * a.n) == 0;
        Size d = same ? size_sub(g->sizes, a.konst, s->konst) : 0;
        if (d) return expr_fn2(g, F_add, expr_idx(g, POINT + q), expr_size(g, d));
    }
    return 0;
}

static ExprId put_body(Turn *t, ExprId e) {
    ExprMap m = {.src = t->g, .dst = t->g, .leaf = put_leaf, .node = find_subscript, .user = t};
    expr_map_begin(&m, t->scratch);
    return simplify(t, expr_map(&m, e));
}

static bool reads(Graph *g, ExprId e) {
    const Expr x = *graph_expr(g, e);
    bool found = x.op == X_READ;
    for (uint32_t k = 0; k < x.n_args && !found; k++) found = reads(g, expr_arg(g, e, k));
    return found;
}

/* Places a guarded flow is kept from may lie anywhere: the first place stands for them, and a 0 is
 * what comes there. */
static ExprId inside(Turn *t, ExprId e, Size n) {
    Graph *g = t->g;
    ExprId zero = expr_int(g, 0);
    ExprId above = expr_fn2(g, F_ge, e, zero), below = expr_fn2(g, F_lt, e, expr_size(g, n));
    return simplify(t, expr_select(g, expr_fn2(g, F_and, above, below), e, zero));
}

static ExprId read_inside(ExprMap *m, ExprId e, const ExprId *subs) {
    Turn *t = m->user;
    const Expr x = *graph_expr(m->src, e);
    if (x.op != X_READ) return 0;
    const ValueInfo v = *graph_value(t->g, x.value);
    ExprId at[MAX_RANK];
    for (uint32_t q = 0; q < v.rank; q++) at[q] = inside(t, subs[q], v.dims[q]);
    return expr_read(t->g, x.value, at, v.rank);
}

/* The same for gathers in e: what guards the flow does not guard its place. */
static ExprId gathers_inside(Turn *t, ExprId e) {
    if (!t->f->guarded) return e;
    ExprMap m = {.src = t->g, .dst = t->g, .leaf = read_inside, .user = t};
    expr_map_begin(&m, t->scratch);
    return expr_map(&m, e);
}

/* Guards without reads are one condition; one with a gather is asked only where those before
 * hold. */
static ExprId put_guards(Turn *t, ExprId e) {
    Graph *g = t->g;
    ExprId zero = expr_num(g, 0), cond = 0;
    for (uint32_t i = t->n_guards; i-- > 0;) {
        bool gather = reads(g, t->guard[i]);
        if (gather && cond) e = expr_select(g, cond, e, zero);
        if (gather) {
            e = expr_select(g, gathers_inside(t, t->guard[i]), e, zero);
            cond = 0;
        } else {
            cond = cond ? expr_fn2(g, F_and, t->guard[i], cond) : t->guard[i];
        }
    }
    return cond ? expr_select(g, cond, e, zero) : e;
}

typedef struct Numbers {
    uint32_t of[MAX_IDX];
} Numbers;

static ExprId number_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    const Numbers *n = m->user;
    const Expr *x = graph_expr(m->src, e);
    (void)subs;
    return x->op == X_IDX ? expr_idx(m->dst, n->of[x->i]) : 0;
}

static bool finish(Turn *t, Turned *out) {
    Graph *g = t->g;
    Numbers n;
    memset(&n, 0, sizeof n);
    ExprId e = put_guards(t, put_body(t, t->f->expr));
    out->n_extra = 0;
    for (uint32_t k = 0; k < t->n_vars; k++) {
        if (t->sol[k]) continue;
        if (out->n_extra == MAX_RANK) return false;
        n.of[k] = t->f->rank + out->n_extra;
        out->extra[out->n_extra++] = t->range[k];
    }
    for (uint32_t q = 0; q < t->f->rank; q++) n.of[POINT + q] = q;
    ExprMap m = {.src = g, .dst = g, .leaf = number_leaf, .user = &n};
    expr_map_begin(&m, t->scratch);
    out->expr = expr_map(&m, e);
    out->scatter = false;
    return true;
}

static bool give_up(Turn *t, const Size *dims, Turned *out) {
    Flow *f = t->f;
    if (f->n_iter > MAX_RANK) return false;
    for (uint32_t q = 0; f->guarded && q < f->rank; q++)
        f->subs[q] = inside(t, gathers_inside(t, f->subs[q]), dims[q]);
    out->scatter = true;
    out->n_extra = 0;
    out->expr = f->expr;
    return true;
}

static void begin(Turn *t, const Size *dims) {
    Flow *f = t->f;
    t->n_vars = f->n_iter;
    t->n_sides = f->rank;
    memcpy(t->range, f->iter, sizeof *f->iter * f->n_iter);
    memcpy(t->range + POINT, dims, sizeof *dims * f->rank);
    for (uint32_t q = 0; q < f->rank; q++) {
        t->is_affine[q] = expr_affine(t->g, f->subs[q], &t->subs[q]);
        t->left[q] = expr_idx(t->g, POINT + q);
        t->right[q] = simplify(t, f->subs[q]);
    }
}

bool adjoint_turn(Graph *g, const Size *dims, const Size *levels, uint32_t n_levels, Flow *f,
                  Turned *out) {
    Arena *scratch = arena_new();
    Turn *t = NEW(scratch, Turn);
    t->g = g;
    t->scratch = scratch;
    t->f = f;
    t->ranges = (Ranges){t->range, MAX_IDX, levels, n_levels};
    begin(t, dims);
    split_all(t);
    while (!t->full && solve_next(t)) {
    }
    bool solved = !t->full;
    for (uint32_t q = 0; q < t->n_sides; q++) solved = solved && t->done[q];
    bool ok = (solved && finish(t, out)) || give_up(t, dims, out);
    arena_free(scratch);
    return ok;
}
