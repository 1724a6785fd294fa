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

static bool is_part(Graph *g, ExprId e, Fn fn, Size c) {
    const Expr *x = graph_expr(g, e);
    int64_t n;
    if (x->op != X_FN || x->fn != fn || graph_expr(g, expr_arg(g, e, 0))->op != X_IDX) return false;
    const Expr *by = graph_expr(g, expr_arg(g, e, 1));
    return by->op == X_INT && size_is_num(g->sizes, c, &n) && n == by->i;
}

bool read_joins_axes(Graph *g, ExprId read, uint32_t q, ExprId *k) {
    const Expr *x = graph_expr(g, read);
    if (q + 1u >= x->n_args) return false;
    Size c = graph_value(g, x->value)->dims[q + 1];
    ExprId a = expr_arg(g, read, q), b = expr_arg(g, read, q + 1);
    if (!is_part(g, a, F_idiv, c) || !is_part(g, b, F_imod, c)) return false;
    *k = expr_arg(g, a, 0);
    return *k == expr_arg(g, b, 0);
}

static bool plain_read(Graph *g, ExprId e) {
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || x->type != T_REAL) return false;
    for (uint32_t k = 0; k < x->n_args; k++) {
        Affine a;
        ExprId whole;
        if (read_joins_axes(g, e, k, &whole)) {
            k++;
            continue;
        }
        if (!expr_affine(g, expr_arg(g, e, k), &a)) return false;
        for (uint32_t i = 0; i < a.n; i++) {
            uint8_t op = graph_expr(g, a.atom[i])->op;
            if (op != X_IDX && op != X_LVL && op != X_POS) return false;
        }
    }
    return true;
}

enum {
    SHORT_SUM = 16, /* fewer terms than these are a row's business */
    SMALL_MATRIX =
        3072 /* numbers: a matrix that stays in the nearest cache besides what a row has there */
};

static Size index_size(Graph *g, const Node *n, uint32_t i) {
    const ValueInfo *v = graph_value(g, n->out);
    return i < v->rank ? v->dims[i] : n->extra[i - v->rank];
}

/* Product of the fixed sizes of some axes; *runs: one is known at run time only. */
static int64_t fixed_items(Graph *g, const Node *n, const uint8_t *axis, uint32_t count,
                           bool *runs) {
    int64_t items = 1, one;
    for (uint32_t i = 0; i < count; i++) {
        if (!size_is_num(g->sizes, index_size(g, n, axis[i]), &one)) {
            *runs = true;
            continue;
        }
        items = items < 1 << 20 && one < 1 << 20 ? items * one : 1 << 20;
    }
    return items;
}

/* Short sums are faster as rows; so are many rows times a small matrix, because all a row needs stays at
 * hand from one product to the next, and nothing between them is kept. */
static bool worth_it(Graph *g, const Node *n, const PlanContract *c) {
    if (!c->n_m || !c->n_n || !c->n_k) return false;
    bool k_runs = false, m_runs = false, n_runs = false;
    int64_t k = fixed_items(g, n, c->k, c->n_k, &k_runs);
    int64_t rows = fixed_items(g, n, c->m, c->n_m, &m_runs);
    int64_t cols = fixed_items(g, n, c->n, c->n_n, &n_runs);
    if (!k_runs && k < SHORT_SUM) return false;
    if (k_runs || m_runs == n_runs) return true;
    return k * (m_runs ? cols : rows) > SMALL_MATRIX;
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
