/* Recognising matrix products: a sum over a product of two reads, its indices sorted into batch, m, n
 * and k. Requires a verified node; changes nothing. */
#include "plan_impl.h"

#include <string.h>

enum { INDICES = 2 * MAX_RANK };

static void mark_indices(Graph *g, ExprId e, bool *in) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_IDX && x->i < INDICES) in[x->i] = true;
    for (uint32_t k = 0; k < x->n_args; k++) mark_indices(g, expr_arg(g, e, k), in);
}

static bool plain_read(Graph *g, ExprId e) {
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || x->type != T_REAL) return false;
    for (uint32_t k = 0; k < x->n_args; k++) {
        Affine a;
        if (!expr_affine(g, expr_arg(g, e, k), &a)) return false;
        for (uint32_t i = 0; i < a.n; i++) {
            uint8_t op = graph_expr(g, a.atom[i])->op;
            if (op != X_IDX && op != X_LVL && op != X_POS) return false;
        }
    }
    return true;
}

/* Short sums and thin matrices are faster as rows. */
static bool worth_it(Graph *g, const Node *n, const PlanContract *c) {
    int64_t k = 1, one;
    for (uint32_t i = 0; i < c->n_k; i++) {
        if (!size_is_num(g->sizes, n->extra[c->k[i] - graph_value(g, n->out)->rank], &one))
            one = 64; /* run-time axis */
        k *= one;
        if (k > 1 << 20) break;
    }
    return c->n_m && c->n_n && c->n_k && k >= 16;
}

bool contract_match(Graph *g, NodeId id, PlanContract *c) {
    const Node *n = graph_node(g, id);
    memset(c, 0, sizeof *c);
    if (n->kind != N_EQ || n->red != RED_SUM) return false;
    const Expr *x = graph_expr(g, n->expr);
    if (x->op != X_FN || x->fn != F_mul) return false;
    c->a = expr_arg(g, n->expr, 0);
    c->b = expr_arg(g, n->expr, 1);
    if (!plain_read(g, c->a) || !plain_read(g, c->b)) return false;
    bool in_a[INDICES] = {false}, in_b[INDICES] = {false};
    mark_indices(g, c->a, in_a);
    mark_indices(g, c->b, in_b);
    uint32_t rank = graph_value(g, n->out)->rank;
    for (uint32_t i = 0; i < rank; i++) {
        if (in_a[i] && in_b[i])
            c->batch[c->n_batch++] = (uint8_t)i;
        else if (in_a[i])
            c->m[c->n_m++] = (uint8_t)i;
        else if (in_b[i])
            c->n[c->n_n++] = (uint8_t)i;
        else
            return false;
    }
    for (uint32_t i = rank; i < rank + n->n_extra; i++) {
        if (!in_a[i] || !in_b[i]) return false;
        c->k[c->n_k++] = (uint8_t)i;
    }
    return worth_it(g, n, c);
}
