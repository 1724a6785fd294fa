/* Values seen in another shape, read where they are kept: what is a sum or two of tensors seen in another shape
 * (a picture by rows, say) is done again by its readers rather than kept (inline.c). Where it is kept all the
 * same, because some reader wants it at other places than its own, all read it there: its rows lie side by side,
 * and what it was made of is free earlier.
 *
 *     s[t,c] = x[c, t//W, t%W] + y[c, t//W, t%W]
 *     m[t,c] = x[c, t//W, t%W] + y[c, t//W, t%W] - s[t-1,c]     ->     s[t,c] - s[t-1,c]
 *
 * Requires a simplified, distributed graph. Maintains every value to the bit. In place; cost: nodes of a block
 * times values kept so in it. */
#include "plan_impl.h"

typedef struct Share {
    Graph *g;
    Walk walk;
    Edit edit;
    const Node *kept, *reader;
    bool elsewhere; /* the reader wants it at another place than its own */
} Share;

static bool is_run_size(Graph *g, ExprId e, void *user) {
    (void)user;
    return graph_expr(g, e)->op == X_SIZE;
}

/* Seen in another shape: axes joined or parted by a length known at run time only. */
static bool is_kept_so(Share *s, const Node *n) {
    uint8_t op = n->kind == N_EQ ? graph_expr(s->g, n->expr)->op : X_READ;
    return n->kind == N_EQ && n->red == RED_NONE && op != X_READ && op != X_NUM &&
           graph_value(s->g, n->out)->type == T_REAL &&
           graph_value(s->g, n->out)->store == ST_DEFAULT &&
           walk_any(&s->walk, n->expr, is_run_size, NULL);
}

static Size index_size(const Graph *g, const Node *n, uint32_t k) {
    const ValueInfo *v = &g->values.data[n->out];
    return k < v->rank ? v->dims[k] : k - v->rank < n->n_extra ? n->extra[k - v->rank] : 0;
}

/* Are the indices of the kept value those of the reader? */
static bool same_indices(const Share *s) {
    uint32_t rank = s->g->values.data[s->kept->out].rank;
    for (uint32_t k = 0; k < rank; k++)
        if (index_size(s->g, s->reader, k) != index_size(s->g, s->kept, k)) return false;
    return s->reader->level == s->kept->level;
}

static void note_place(Walk *w, ExprId e, void *user) {
    Share *s = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || x->value != s->kept->out) return;
    for (uint32_t k = 0; k < x->n_args; k++)
        if (!is_index(w->g, expr_arg(w->g, e, k), k)) s->elsewhere = true;
}

static ExprId read_kept(Edit *ed, ExprId e, const ExprId *args) {
    const Share *s = ed->user;
    Graph *g = ed->g;
    (void)args;
    if (e != s->kept->expr) return 0;
    ExprId subs[MAX_RANK];
    uint32_t rank = graph_value(g, s->kept->out)->rank;
    for (uint32_t k = 0; k < rank; k++) subs[k] = expr_idx(g, k);
    return expr_read(g, s->kept->out, subs, rank);
}

static void share_value(Share *s, Block *b, uint32_t at) {
    Graph *g = s->g;
    const Node kept = *graph_node(g, b->nodes.data[at]);
    s->kept = &kept;
    s->elsewhere = false;
    for (uint32_t i = at + 1; i < b->nodes.n; i++)
        if (graph_node(g, b->nodes.data[i])->kind == N_EQ)
            walk_expr(&s->walk, graph_node(g, b->nodes.data[i])->expr, note_place, s);
    for (uint32_t i = at + 1; s->elsewhere && i < b->nodes.n; i++) {
        const Node reader = *graph_node(g, b->nodes.data[i]);
        s->reader = &reader;
        if (reader.kind != N_EQ || !same_indices(s)) continue;
        edit_fresh(&s->edit);
        ExprId e = edit_expr(&s->edit, reader.expr);
        graph_node(g, b->nodes.data[i])->expr = e;
    }
    s->kept = s->reader = NULL;
}

static void share_block(Share *s, Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(s->g, b->nodes.data[i]);
        Recur *r = n->recur;
        for (uint32_t c = 0; n->kind == N_RECUR && c < r->classes.n; c++)
            share_block(s, &r->classes.data[c].body);
        if (is_kept_so(s, n)) share_value(s, b, i);
    }
}

Graph *graph_share(Graph *g) {
    Arena *scratch = arena_new();
    Share s = {.g = g, .walk = walk_new(g, scratch)};
    s.edit = edit_new(g, scratch, read_kept, &s);
    share_block(&s, &g->top);
    arena_free(scratch);
    return g;
}
