/* What the derivatives of prod, max and min need beside the reduction; see reduce.h.
 *
 * Requires: a node that is such a reduction.
 * Cost: prod: quadratic in the number of factors; max and min: an argmax, as dear as the
 * reduction. */
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
