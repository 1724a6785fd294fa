/* Long sums of few results in two steps, so that they run in parallel: partial sums over pieces of one
 * reduced axis, then the sum of those. The pieces depend on sizes alone, never on the machine, so the
 * tree of additions is fixed.
 *
 * Requires a simplified graph. Maintains every value up to rounding. Edits g in place; cost linear. */
#include <string.h>

#include "plan_impl.h"

enum { PIECE = 64, FEW_RESULTS = 1 << 14, LONG_SUM = 1 << 15 };

typedef struct Split {
    uint32_t at; /* which of the reduced axes */
    Size pieces; /* how many partial sums */
    bool cut;    /* the axis is cut in pieces of PIECE; else each of its positions is one */
} Split;

static int64_t fixed_product(Graph *g, const Size *d, uint32_t n, bool *runs) {
    int64_t p = 1, one;
    for (uint32_t i = 0; i < n; i++) {
        if (!size_is_num(g->sizes, d[i], &one)) {
            *runs = true;
            continue;
        }
        p = p < LONG_SUM && one < LONG_SUM ? p * one : LONG_SUM;
    }
    return p;
}

typedef struct Layers {
    uint32_t rank;
    uint32_t axes; /* a bit for each reduced axis that counts layers */
} Layers;

static void see_layers(Graph *g, ExprId e, void *user) {
    Layers *l = user;
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || !x->n_args) return;
    const Node *n = graph_node(g, graph_value(g, x->value)->node);
    const Expr *first = graph_expr(g, expr_arg(g, e, 0));
    if (n->kind == N_RECUR && n->recur->layers && first->op == X_IDX && first->i >= l->rank)
        l->axes |= 1u << (first->i - l->rank);
}

/* Terms of one layer: how many layers there are changes no kernel. */
static int64_t terms_of_layer(Graph *g, const Node *n, bool *runs) {
    Layers l = {.rank = graph_value(g, n->out)->rank};
    Size extra[MAX_RANK];
    uint32_t left = 0;
    expr_walk(g, n->expr, see_layers, &l);
    for (uint32_t i = 0; i < n->n_extra; i++)
        if (!(l.axes >> i & 1)) extra[left++] = n->extra[i];
    return fixed_product(g, extra, left, runs);
}

/* The axis to cut: the last run-time one of the sum, else a fixed one of some length. */
static bool choose(Graph *g, const Node *n, Split *s) {
    const ValueInfo *v = graph_value(g, n->out);
    bool runs = false, out_runs = false;
    int64_t results = fixed_product(g, v->dims, v->rank, &out_runs);
    int64_t terms = terms_of_layer(g, n, &runs), one;
    if (out_runs || results > FEW_RESULTS || (!runs && terms < LONG_SUM)) return false;
    for (uint32_t i = n->n_extra; i > 0; i--) {
        Size d = n->extra[i - 1];
        if (size_is_num(g->sizes, d, &one)) continue;
        s->at = i - 1;
        s->cut = true;
        s->pieces = size_floordiv(g->sizes, size_add(g->sizes, d, size_num(g->sizes, PIECE - 1)),
                                  size_num(g->sizes, PIECE));
        return s->pieces != 0;
    }
    for (uint32_t i = 0; i < n->n_extra; i++) {
        if (!size_is_num(g->sizes, n->extra[i], &one) || one < 4 || n->n_extra < 2) continue;
        s->at = i;
        s->cut = false;
        s->pieces = n->extra[i];
        return true;
    }
    return false;
}

/* Indices of the node as indices of the partial sums: [piece, out...], reduced as before, with the place
 * inside the piece where the cut axis stood. */
static ExprId renumber(ExprMap *m, ExprId e, const ExprId *subs) {
    (void)subs;
    const Expr *x = graph_expr(m->src, e);
    if (x->op != X_IDX) return 0;
    return ((const ExprId *)m->user)[x->i];
}

static ExprId partial_expr(Graph *g, const Node *n, const Split *s, Size *extra,
                           uint32_t *n_extra) {
    uint32_t rank = graph_value(g, n->out)->rank;
    ExprId to[2 * MAX_RANK], at = 0;
    for (uint32_t i = 0; i < rank; i++) to[i] = expr_idx(g, i + 1);
    *n_extra = 0;
    for (uint32_t i = 0; i < n->n_extra; i++) {
        bool here = i == s->at;
        if (here && !s->cut) {
            to[rank + i] = expr_idx(g, 0);
            continue;
        }
        extra[*n_extra] = here ? size_num(g->sizes, PIECE) : n->extra[i];
        to[rank + i] = expr_idx(g, rank + 1 + (*n_extra)++);
        if (!here) continue;
        ExprId first = expr_fn2(g, F_mul, expr_idx(g, 0), expr_int(g, PIECE));
        to[rank + i] = at = expr_fn2(g, F_add, first, to[rank + i]);
    }
    Arena *scratch = arena_new();
    ExprMap m = {.src = g, .dst = g, .leaf = renumber, .user = to};
    expr_map_begin(&m, scratch);
    ExprId e = expr_map(&m, n->expr);
    arena_free(scratch);
    if (!at) return e;
    ExprId inside = expr_fn2(g, F_lt, at, expr_size(g, n->extra[s->at]));
    return expr_select(g, inside, e, expr_num(g, 0));
}

static void split_node(Graph *g, Block *out, NodeId id, const Split *s) {
    const Node n = *graph_node(g, id);
    const ValueInfo v = *graph_value(g, n.out);
    Size extra[MAX_RANK], dims[MAX_RANK];
    uint32_t n_extra;
    ExprId e = partial_expr(g, &n, s, extra, &n_extra);
    dims[0] = s->pieces;
    memcpy(dims + 1, v.dims, sizeof(Size) * v.rank);
    Value part =
        graph_eq(g, out, dims, v.rank + 1u, RED_SUM, extra, n_extra, e, n.level, v.name, n.loc);
    ExprId subs[MAX_RANK];
    subs[0] = expr_idx(g, v.rank);
    for (uint32_t i = 0; i < v.rank; i++) subs[1 + i] = expr_idx(g, i);
    Node *last = graph_node(g, id);
    last->expr = expr_read(g, part, subs, v.rank + 1u);
    last->n_extra = 1;
    last->extra[0] = s->pieces;
}

static void split_block(Graph *g, Block *b) {
    Block out = {0};
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        const Node *n = graph_node(g, id);
        Split s;
        PlanContract c;
        /* The axes of a recurrence run in order by themselves; layers are blocks of their own. */
        if (n->kind == N_RECUR && n->recur->layers)
            for (uint32_t k = 0; k < n->recur->classes.n; k++)
                split_block(g, &n->recur->classes.data[k].body);
        if (n->kind == N_EQ && n->red == RED_SUM && n->n_extra &&
            graph_value(g, n->out)->type == T_REAL && graph_value(g, n->out)->rank + 1 < MAX_RANK &&
            !contract_match(g, id, &c) && choose(g, n, &s))
            split_node(g, &out, id, &s);
        *PUSH(g->arena, &out.nodes) = id;
    }
    *b = out;
}

Graph *graph_split_sums(Graph *g) {
    split_block(g, &g->top);
    return g;
}
