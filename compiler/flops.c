/* Scalar operations of single nodes.
 *
 * requires: a graph that graph_verify accepts; best after graph_simplify.
 * cost: linear. */
#include "work.h"

#include <string.h>

/* ---- one expression -------------------------------------------------------------------------- */

static void count_op(Walk *w, ExprId e, void *user) {
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_FN && x->type == T_REAL && x->fn != F_real && x->fn != F_stop)
        ++*(int64_t *)user;
}

static void note_index(Walk *w, ExprId e, void *user) {
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_IDX) *(uint64_t *)user |= UINT64_C(1) << x->i;
}

static uint64_t indices(Flops *f, ExprId e) {
    uint64_t set = 0;
    walk_expr(&f->inner, e, note_index, &set);
    return set;
}

typedef struct Product {
    Flops *f;
    uint64_t own;       /* the indices of the result */
    uint64_t factor[2]; /* of the factors, gathered into two */
    uint32_t n_factors;
    const Size *size; /* of the indices */
    bool overlaps, patches, by_param;
    bool sums_param; /* a parameter is read along what is summed */
} Product;

static bool at_least(Graph *g, Size a, Size b) {
    return size_nonneg(g->sizes, size_sub(g->sizes, a, b));
}

/* a*o + b*r with 0 <= r < a/b, or the other way round: o and r are two parts of one axis. */
static bool is_split(Product *p, ExprId sub) {
    Graph *g = p->f->g;
    Affine a;
    if (!expr_affine(g, sub, &a)) return false;
    for (uint32_t i = 0; i < a.n; i++)
        for (uint32_t k = 0; k < a.n; k++) {
            const Expr x = *graph_expr(g, a.atom[i]), y = *graph_expr(g, a.atom[k]);
            if (x.op != X_IDX || y.op != X_IDX) return false;
            bool mixed = (p->own >> x.i & 1) && !(p->own >> y.i & 1);
            if (mixed && !at_least(g, a.coef[i], size_mul(g->sizes, a.coef[k], p->size[y.i])) &&
                !at_least(g, a.coef[k], size_mul(g->sizes, a.coef[i], p->size[x.i])))
                return false;
        }
    return true;
}

static void note_subscripts(Walk *w, ExprId e, void *user) {
    Product *p = user;
    Graph *g = w->g;
    const Expr x = *graph_expr(g, e);
    if (x.op != X_READ) return;
    uint64_t all = indices(p->f, e);
    bool param = graph_node(g, graph_value(g, x.value)->node)->kind == N_PARAM;
    p->by_param |= param && (all & p->own) && (all & ~p->own);
    p->sums_param |= param && (all & ~p->own);
    uint32_t split = 0;
    for (uint32_t k = 0; k < x.n_args; k++) {
        uint64_t set = indices(p->f, expr_arg(g, e, k));
        if (!(set & p->own) || !(set & ~p->own)) continue;
        if (is_split(p, expr_arg(g, e, k)))
            split++;
        else
            p->overlaps = true;
    }
    p->patches |= split > 1; /* a kernel as wide as its stride, in two directions */
}

/* Factors of the product below guards; each counts where it reads something. */
static void note_factors(Product *p, ExprId e) {
    Graph *g = p->f->g;
    const Expr x = *graph_expr(g, e);
    bool guard = x.op == X_SELECT && is_literal(g, expr_arg(g, e, 2), 0);
    if (guard) {
        note_factors(p, expr_arg(g, e, 1));
    } else if (x.op == X_FN && x.fn == F_mul) {
        note_factors(p, expr_arg(g, e, 0));
        note_factors(p, expr_arg(g, e, 1));
    } else if (indices(p->f, e)) {
        if (p->n_factors < 2) p->factor[p->n_factors] = indices(p->f, e);
        p->n_factors++;
    }
}

/* What a sum of products is. */
typedef enum Kind { K_OTHER, K_LINEAR, K_CONVOLUTION } Kind;

/* *by_weights: one of the factors is a parameter, read along what is summed. */
static Kind kind_of(Flops *f, const Node *n, bool *by_weights) {
    *by_weights = false;
    if (n->kind != N_EQ || n->red != RED_SUM) return K_OTHER;
    const ValueInfo v = *graph_value(f->g, n->out);
    Size size[2 * MAX_RANK];
    memcpy(size, v.dims, v.rank * sizeof *size);
    memcpy(size + v.rank, n->extra, n->n_extra * sizeof *size);
    Product p = {.f = f, .own = (UINT64_C(1) << v.rank) - 1, .size = size};
    note_factors(&p, n->expr);
    walk_expr(&f->walk, n->expr, note_subscripts, &p);
    uint64_t a = p.factor[0], b = p.factor[1];
    if (p.n_factors != 2 || !(a & b & ~p.own)) return K_OTHER;
    *by_weights = p.sums_param;
    if (p.overlaps || p.patches) return K_CONVOLUTION;
    bool matrix = (a & ~b & p.own) && (b & ~a & p.own);
    return matrix || p.by_param ? K_LINEAR : K_OTHER;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void add(Graph *g, Size *to, Size points, int64_t each) {
    *to = size_add(g->sizes, *to, size_mul(g->sizes, points, size_num(g->sizes, each)));
}

void flops_node(Flops *f, const Node *n, Size times, bool along) {
    Graph *g = f->g;
    FlopCount *c = &f->count;
    int64_t ops = n->red != RED_NONE || n->kind == N_SCATTER;
    walk_expr(&f->walk, n->expr, count_op, &ops);
    Size points = sizes_product(g, n->extra, n->n_extra);
    if (n->kind == N_EQ) points = size_mul(g->sizes, points, value_size(g, n->out));
    points = size_mul(g->sizes, points, times);
    bool by_weights = false;
    Kind kind = along ? K_OTHER : kind_of(f, n, &by_weights);
    if (kind == K_OTHER) {
        add(g, along ? &c->recurrence : &c->rest, points, ops);
        return;
    }
    int64_t main = ops >= 2 ? 2 : ops;
    add(g, kind == K_LINEAR ? &c->linear : &c->convolution, points, main);
    if (by_weights) add(g, &c->weights, points, main);
    add(g, &c->rest, points, ops - main);
}

FlopCount flops_none(Graph *g) {
    Size zero = size_num(g->sizes, 0);
    return (FlopCount){zero, zero, zero, zero, zero, zero};
}

Flops flops_new(Graph *g, Arena *scratch) {
    return (Flops){.g = g,
                   .walk = walk_new(g, scratch),
                   .inner = walk_new(g, scratch),
                   .count = flops_none(g)};
}
