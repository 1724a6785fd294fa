/* What derivatives need about reductions; see reduce.h.
 *
 * Requires: reduce_others: a prod; reduce_is_first: a max or min.
 * Cost: prod: quadratic in the number of factors; max and min: an argmax, as dear as the
 * reduction. Moving factors out of sums: a few walks of the expression. */
#include "reduce.h"

#include <string.h>

typedef struct Shift {
    uint32_t from, by;
} Shift;

static ExprId shift_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    const Shift *s = m->user;
    const Expr *x = graph_expr(m->src, e);
    (void)subs;
    if (x->op != X_IDX || x->i < s->from) return 0;
    return expr_idx(m->dst, (uint32_t)x->i + s->by);
}

/* e with own indices from `from` on moved up. */
static ExprId shifted(Graph *g, ExprId e, uint32_t from, uint32_t by) {
    Shift s = {from, by};
    ExprMap m = {.src = g, .dst = g, .leaf = shift_leaf, .user = &s};
    Arena *scratch = arena_new();
    expr_map_begin(&m, scratch);
    e = expr_map(&m, e);
    arena_free(scratch);
    return e;
}

Value reduce_others(Mirror *m, Scope *s, const Node *n) {
    Graph *g = m->g;
    const ValueInfo out = *graph_value(g, n->out);
    uint32_t rank = out.rank, k = n->n_extra;
    if (rank + k > MAX_RANK) return 0;
    Size dims[MAX_RANK];
    memcpy(dims, out.dims, sizeof *dims * rank);
    memcpy(dims + rank, n->extra, sizeof *dims * k);
    ExprId itself = expr_int(g, 1);
    for (uint32_t i = 0; i < k; i++)
        itself = expr_fn2(g, F_and, itself,
                          expr_fn2(g, F_eq, expr_idx(g, rank + i), expr_idx(g, rank + k + i)));
    ExprId e = expr_select(g, itself, expr_num(g, 1), shifted(g, n->expr, rank, k));
    return mirror_eq(m, s, dims, rank + k, RED_PROD, n->extra, k, e, NULL, n->loc);
}

ExprId reduce_is_first(Mirror *m, Scope *s, const Node *n) {
    Graph *g = m->g;
    const ValueInfo out = *graph_value(g, n->out);
    ExprId e = n->red == RED_MIN ? expr_fn1(g, F_neg, n->expr) : n->expr, place = expr_int(g, 0);
    Value first =
        mirror_eq(m, s, out.dims, out.rank, RED_ARGMAX, n->extra, n->n_extra, e, NULL, n->loc);
    for (uint32_t i = 0; i < n->n_extra; i++) {
        place = expr_fn2(g, F_mul, place, expr_size(g, n->extra[i]));
        place = expr_fn2(g, F_add, place, expr_idx(g, out.rank + i));
    }
    return expr_fn2(g, F_eq, place, mirror_whole(m, first));
}

/* ---- factors of sums ------------------------------------------------------------------------- */

enum { MAX_FACTORS = 16 };

typedef struct Question {
    uint32_t rank;
    const Ranges *ranges;
    bool summed, reads, outside;
} Question;

static bool is_inside(Graph *g, ExprId sub, Size dim, const Ranges *r) {
    Size lo, hi;
    expr_bounds(g, sub, r, &lo, &hi);
    Size room = lo && hi ? size_sub(g->sizes, dim, hi) : 0;
    return room && size_nonneg(g->sizes, lo) && size_positive(g->sizes, room);
}

static void see_part(Graph *g, ExprId e, void *user) {
    Question *q = user;
    const Expr x = *graph_expr(g, e);
    if (x.op == X_IDX && x.i >= q->rank) q->summed = true;
    if (x.op != X_READ) return;
    q->reads = true;
    for (uint32_t k = 0; k < x.n_args && q->ranges && !q->outside; k++) {
        Size dim = graph_value(g, x.value)->dims[k];
        q->outside = !is_inside(g, expr_arg(g, e, k), dim, q->ranges);
    }
}

static Question ask(Graph *g, ExprId e, uint32_t rank, const Ranges *ranges) {
    Question q = {.rank = rank, .ranges = ranges};
    expr_walk(g, e, see_part, &q);
    return q;
}

static bool is_summed(Graph *g, ExprId e, uint32_t rank) { return ask(g, e, rank, NULL).summed; }

/* The factors of a product, those that depend on the summed indices first; false: too many. */
typedef struct Factors {
    uint32_t n, n_summed;
    ExprId at[MAX_FACTORS];
} Factors;

static bool factors_of(Graph *g, ExprId e, uint32_t rank, Factors *f) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_FN && x->fn == F_mul)
        return factors_of(g, expr_arg(g, e, 0), rank, f) &&
               factors_of(g, expr_arg(g, e, 1), rank, f);
    if (f->n == MAX_FACTORS) return false;
    uint32_t at = f->n++;
    if (is_summed(g, e, rank)) {
        memmove(f->at + f->n_summed + 1, f->at + f->n_summed, sizeof e * (at - f->n_summed));
        at = f->n_summed++;
    }
    f->at[at] = e;
    return true;
}

static ExprId product(Graph *g, const ExprId *e, uint32_t n) {
    ExprId p = e[0];
    for (uint32_t k = 1; k < n; k++) p = expr_fn2(g, F_mul, p, e[k]);
    return p;
}

/* What of e to look into, and how it is wrapped: e = wrap(part). 0: e stays whole. */
static ExprId part_of(Graph *g, ExprId e, uint32_t rank, const Ranges *ranges, Factors *f) {
    const Expr x = *graph_expr(g, e);
    *f = (Factors){.n = 0};
    if (x.op == X_FN && x.fn == F_neg) return expr_arg(g, e, 0);
    if (x.op == X_FN && x.fn == F_div && !is_summed(g, expr_arg(g, e, 1), rank))
        return expr_arg(g, e, 0);
    if (x.op == X_FN && x.fn == F_mul && factors_of(g, e, rank, f) && f->n_summed &&
        f->n_summed < f->n)
        return product(g, f->at, f->n_summed);
    if (x.op != X_SELECT) return 0;
    Question cond = ask(g, expr_arg(g, e, 0), rank, NULL);
    if (cond.summed || !cond.reads) return 0;
    for (uint32_t k = 1; k < 3; k++) {
        const Expr *other = graph_expr(g, expr_arg(g, e, 3 - k));
        ExprId arm = expr_arg(g, e, k);
        if (other->op != X_NUM || other->num != 0) continue;
        return ask(g, reduce_inner(g, arm, rank, ranges), rank, ranges).outside ? 0 : arm;
    }
    return 0;
}

ExprId reduce_inner(Graph *g, ExprId e, uint32_t rank, const Ranges *ranges) {
    Factors f;
    if (!is_summed(g, e, rank)) return e;
    ExprId part = part_of(g, e, rank, ranges, &f);
    return part ? reduce_inner(g, part, rank, ranges) : e;
}

ExprId reduce_outer(Graph *g, ExprId e, uint32_t rank, const Ranges *ranges, ExprId sum) {
    Factors f;
    ExprId part = is_summed(g, e, rank) ? part_of(g, e, rank, ranges, &f) : 0;
    if (!part) return sum;
    const Expr x = *graph_expr(g, e);
    ExprId in = reduce_outer(g, part, rank, ranges, sum);
    if (x.op == X_SELECT) {
        bool then = expr_arg(g, e, 1) == part;
        ExprId zero = expr_num(g, 0);
        return expr_select(g, expr_arg(g, e, 0), then ? in : zero, then ? zero : in);
    }
    if (x.fn == F_neg) return expr_fn1(g, F_neg, in);
    if (x.fn == F_div) return expr_fn2(g, F_div, in, expr_arg(g, e, 1));
    return expr_fn2(g, F_mul, in, product(g, f.at + f.n_summed, f.n - f.n_summed));
}
