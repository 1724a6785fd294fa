/* Reading through: which reads are replaced by the expression behind them.
 *
 * Views (one read at subscripts made of indices, counters and sizes) and literals are always
 * read through. Anything else only where no scalar operation is done more often than before: the
 * value has no other reader, both stand in the same block, and the reader's expression is
 * computed at no more points than the value has. Views behind guards may have two such readers, and a
 * sum or two of tensors that others read too is done again rather than kept where the reader sees the value
 * in another shape (a picture by rows, say), because nothing could run over both shapes at once.
 * A value with a narrow storage type of its own stays, since storing it rounds. */
#include "simplify.h"

#include <string.h>

enum { INLINE_MAX = 300, GUARDED_READERS = 2, CHEAP = 16 };

/* ---- what kind of expression ----------------------------------------------------------------- */

static bool index_leaf(const Expr *x) {
    return x->op == X_INT || x->op == X_SIZE || x->op == X_IDX || x->op == X_LVL || x->op == X_POS;
}

static bool index_fn(const Expr *x) {
    if (x->op != X_FN || x->type != T_INT) return false;
    return x->fn == F_add || x->fn == F_sub || x->fn == F_mul || x->fn == F_neg ||
           x->fn == F_idiv || x->fn == F_imod;
}

static bool not_index(Graph *g, ExprId e, void *user) {
    (void)user;
    const Expr *x = graph_expr(g, e);
    return !index_leaf(x) && !index_fn(x);
}

static bool is_index_expr(Simplify *s, ExprId e) { return !walk_any(&s->walk, e, not_index, NULL); }

static bool is_view(Simplify *s, ExprId e) {
    Graph *g = s->g;
    while (graph_expr(g, e)->op == X_FN &&
           (graph_expr(g, e)->fn == F_real || graph_expr(g, e)->fn == F_stop))
        e = expr_arg(g, e, 0);
    if (graph_expr(g, e)->op == X_NUM || is_index_expr(s, e)) return true;
    if (graph_expr(g, e)->op != X_READ) return false;
    for (uint32_t k = 0; k < graph_expr(g, e)->n_args; k++)
        if (!is_index_expr(s, expr_arg(g, e, k))) return false;
    return true;
}

static bool not_guard(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    bool logic =
        x->op == X_FN && x->type == T_INT &&
        ((x->fn >= F_eq && x->fn <= F_ge) || x->fn == F_and || x->fn == F_or || x->fn == F_not);
    return !logic && not_index(g, e, user);
}

static bool is_guarded_view(Simplify *s, ExprId e) {
    while (graph_expr(s->g, e)->op == X_SELECT) {
        if (walk_any(&s->walk, expr_arg(s->g, e, 0), not_guard, NULL) ||
            !is_view(s, expr_arg(s->g, e, 1)))
            return false;
        e = expr_arg(s->g, e, 2);
    }
    return is_view(s, e);
}

static void count_one(Walk *w, ExprId e, void *user) {
    (void)w;
    (void)e;
    ++*(uint32_t *)user;
}

/* ---- substitution ---------------------------------------------------------------------------- */

static ExprId substitute(Edit *ed, ExprId e, const ExprId *args) {
    const Expr *x = graph_expr(ed->g, e);
    const ExprId *by = ed->user;
    (void)args;
    return x->op == X_IDX ? by[x->i] : 0;
}

/* e with index k replaced by by[k] */
static ExprId at_subs(Simplify *s, ExprId e, ExprId *by) {
    s->subst.fn = substitute;
    s->subst.user = by;
    edit_fresh(&s->subst);
    return edit_expr(&s->subst, e);
}

typedef struct Plainness {
    Simplify *s;
    uint32_t level;
} Plainness;

static bool moved_counter(Graph *g, ExprId e, void *user) {
    const Plainness *p = user;
    const Expr *x = graph_expr(g, e);
    return (x->op == X_LVL || x->op == X_POS) && x->i >= p->level;
}

/* Reads at a counter of level `level` or deeper plus something; bodies of recurrences are kept
 * free of them. */
static bool reads_beside(Simplify *s, ExprId e, uint32_t level) {
    Graph *g = s->g;
    Plainness p = {s, level};
    while (graph_expr(g, e)->op == X_FN) e = expr_arg(g, e, 0);
    for (uint32_t k = 0; graph_expr(g, e)->op == X_READ && k < graph_expr(g, e)->n_args; k++) {
        ExprId sub = expr_arg(g, e, k);
        if (graph_expr(g, sub)->op != X_LVL && graph_expr(g, sub)->op != X_POS &&
            walk_any(&s->walk, sub, moved_counter, &p))
            return true;
    }
    return false;
}

static bool rounds_when_stored(Simplify *s, const Node *n) {
    const ValueInfo *v = graph_value(s->g, n->out);
    if (v->store != ST_BF16 && v->store != ST_F16) return false;
    const Expr *x = graph_expr(s->g, n->expr);
    return x->op != X_READ || graph_value(s->g, x->value)->store != v->store;
}

/* The expression of the reader is computed at no more points than v has. */
static bool no_more_points(Simplify *s, Value v) {
    Size have = value_size(s->g, v);
    return have && s->space && size_nonneg(s->g->sizes, size_sub(s->g->sizes, have, s->space));
}

static bool is_run_size(Graph *g, ExprId e, void *user) {
    (void)user;
    return graph_expr(g, e)->op == X_SIZE;
}

/* Axes joined or parted by a length known at run time only. */
static bool is_reshaped(Simplify *s, const ExprId *subs, uint32_t n) {
    for (uint32_t k = 0; k < n; k++)
        if (walk_any(&s->walk, subs[k], is_run_size, NULL)) return true;
    return false;
}

typedef struct Cheap {
    Simplify *s;
    Value v;
} Cheap;

static bool not_cheap(Graph *g, ExprId e, void *user) {
    Cheap *c = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_READ) {
        Size less = size_sub(g->sizes, value_size(g, c->v), value_size(g, x->value));
        bool large = !less || !size_positive(g->sizes, less);
        return large && c->s->uses[x->value] < 2; /* it would be kept for v alone */
    }
    if (x->op == X_FN)
        return x->type == T_REAL && (x->fn < F_add || x->fn > F_div) && x->fn != F_neg &&
               x->fn != F_real;
    return x->op == X_SELECT || x->op == X_RANDOM;
}

ExprId simplify_read(Simplify *s, Value v, const ExprId *subs, uint32_t n) {
    Graph *g = s->g;
    const Node def = *graph_node(g, graph_value(g, v)->node);
    const Node *reader = graph_node(g, s->node);
    if (def.kind != N_EQ || def.red != RED_NONE || rounds_when_stored(s, &def)) return 0;
    ExprId by[MAX_RANK];
    memcpy(by, subs, n * sizeof *subs);
    if (is_view(s, def.expr)) {
        ExprId e = at_subs(s, def.expr, by);
        return reader->level > def.level && reads_beside(s, e, def.level) ? 0 : e;
    }
    if (reader->level != def.level || v >= s->n_values || !no_more_points(s, v)) return 0;
    uint32_t size = 0;
    walk_expr(&s->walk, def.expr, count_one, &size);
    Cheap c = {s, v};
    bool may =
        s->uses[v] == 1 || (s->uses[v] <= GUARDED_READERS && is_guarded_view(s, def.expr)) ||
        (size <= CHEAP && is_reshaped(s, subs, n) && !walk_any(&s->walk, def.expr, not_cheap, &c));
    return may && size <= INLINE_MAX ? at_subs(s, def.expr, by) : 0;
}

/* ---- reductions of reductions ---------------------------------------------------------------- */

/* RED[k] v[s(i,k)] with v[j] = RED[m] f(j,m) only read here: RED[k,m] f(s(i,k), m), or the same
 * for a plain copy of a reduction. Sums are taken in another order. */
static bool merge_reduction(Simplify *s, Node *n, const Node *def, ExprId read) {
    Graph *g = s->g;
    uint32_t rank = graph_value(g, n->out)->rank, vrank = graph_value(g, def->out)->rank;
    bool same = n->red == def->red || n->red == RED_NONE;
    if (!same || def->red == RED_NONE || (def->red == RED_ARGMAX && n->red != RED_NONE) ||
        n->n_extra + def->n_extra > MAX_RANK || !no_more_points(s, def->out))
        return false;
    ExprId by[2 * MAX_RANK];
    for (uint32_t k = 0; k < vrank; k++) by[k] = expr_arg(g, read, k);
    for (uint32_t k = 0; k < def->n_extra; k++) {
        by[vrank + k] = expr_idx(g, rank + n->n_extra + k);
        n->extra[n->n_extra + k] = def->extra[k];
    }
    n->n_extra = (uint8_t)(n->n_extra + def->n_extra);
    n->red = def->red;
    n->expr = at_subs(s, def->expr, by);
    return true;
}

/* sum[k] v[permutation of i, k] of a scatter v only read here: the scatter without those axes */
static bool merge_scatter(Simplify *s, Node *n, const Node *def, ExprId read) {
    Graph *g = s->g;
    const ValueInfo *out = graph_value(g, n->out), *v = graph_value(g, def->out);
    uint64_t seen = 0;
    if ((n->red != RED_SUM && n->red != RED_NONE) || v->rank != out->rank + n->n_extra)
        return false;
    ExprId subs[MAX_RANK] = {0};
    for (uint32_t k = 0; k < v->rank; k++) {
        const Expr *x = graph_expr(g, expr_arg(g, read, k));
        if (x->op != X_IDX || (seen >> x->i & 1)) return false;
        seen |= UINT64_C(1) << x->i;
        bool own = x->i < out->rank;
        if (v->dims[k] != (own ? out->dims[x->i] : n->extra[x->i - out->rank])) return false;
        if (own) subs[x->i] = def->subs[k];
    }
    *n = *def;
    memcpy(n->subs, subs, sizeof subs);
    return true;
}

void simplify_merge(Simplify *s, NodeId id) {
    Graph *g = s->g;
    Node n = *graph_node(g, id);
    Value out = n.out;
    const Expr x = *graph_expr(g, n.expr);
    if (x.op != X_READ || x.value >= s->n_values || s->uses[x.value] != 1) return;
    const Node def = *graph_node(g, graph_value(g, x.value)->node);
    if (def.level != n.level || rounds_when_stored(s, &def) ||
        graph_value(g, def.out)->type != graph_value(g, out)->type)
        return;
    bool merged = def.kind == N_EQ ? merge_reduction(s, &n, &def, n.expr)
                                   : def.kind == N_SCATTER && merge_scatter(s, &n, &def, n.expr);
    if (!merged) return;
    n.out = out;
    *graph_node(g, id) = n;
    s->changed = true;
}
