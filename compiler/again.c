/* Values of one layer loop seen from another; see again.h.
 *
 * Requires a verified graph. Adds nodes and results, changes none; what is not read in the end goes with
 * the next sweep. Cost: linear in what is copied. */
#include "again.h"

#include <string.h>

static Recur *recur_of(const Again *x, NodeId n) { return graph_node(x->g, n)->recur; }

bool again_same_layers(const RecurClass *a, const RecurClass *b) {
    return a->iters.n == b->iters.n &&
           memcmp(a->iters.data, b->iters.data, a->iters.n * sizeof *a->iters.data) == 0;
}

/* ---- reads --------------------------------------------------------------------------------------- */

const RecurOut *again_kept(Again *x, Value v) {
    RecurClass *c = &recur_of(x, x->loop)->classes.data[x->cls];
    for (uint32_t i = 0; i < c->outs.n; i++)
        if (c->outs.data[i].body == v && !c->outs.data[i].every) return &c->outs.data[i];
    if (!graph_recur_out(x->g, x->loop, x->cls, v, 0)) return NULL;
    return &c->outs.data[c->outs.n - 1];
}

static ExprId read_kept(Again *x, Value v, const ExprId *args, uint32_t n) {
    const RecurOut *o = again_kept(x, v);
    if (!o || n >= MAX_RANK) {
        x->failed = true;
        return 0;
    }
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0, at = 0; k <= n; k++)
        subs[k] = k == o->axis ? expr_pos(x->g, recur_of(x, x->loop)->level) : args[at++];
    return expr_read(x->g, o->result, subs, n + 1);
}

static ExprId seen_again(Edit *ed, ExprId e, const ExprId *args) {
    Again *x = ed->user;
    const Expr r = *graph_expr(ed->g, e);
    if (r.op != X_READ) return 0;
    if (r.value < x->n_values && x->copy[r.value])
        return expr_read(ed->g, x->copy[r.value], args, r.n_args);
    const Node *n = graph_node(ed->g, graph_value(ed->g, r.value)->node);
    if (!x->loop || n->level <= recur_of(x, x->loop)->level) return 0;
    return read_kept(x, r.value, args, r.n_args);
}

Again again_new(Graph *g, Arena *scratch) {
    Again x = {.g = g, .scratch = scratch, .n_values = g->values.n};
    x.copy = NEWN(scratch, Value, x.n_values);
    x.edit = edit_new(g, scratch, seen_again, NULL);
    return x;
}

void again_from(Again *x, NodeId loop, uint32_t cls) {
    x->loop = loop;
    x->cls = cls;
    x->failed = false;
    memset(x->copy, 0, x->n_values * sizeof *x->copy);
}

ExprId again_expr(Again *x, ExprId e) {
    x->edit.user = x;
    edit_fresh(&x->edit); /* copies may have been made since */
    return edit_expr(&x->edit, e);
}

/* ---- copies -------------------------------------------------------------------------------------- */

static void adopt(Again *x, Value v, Value made) {
    if (!made) {
        x->failed = true;
        return;
    }
    const ValueInfo i = *graph_value(x->g, v);
    ValueInfo *m = graph_value(x->g, made);
    m->store = i.store;
    m->name = i.name;
    m->loc = i.loc;
    x->copy[v] = made;
}

static void copy_formula(Again *x, const Node *n, Block *to) {
    Graph *g = x->g;
    const ValueInfo v = *graph_value(g, n->out);
    ExprId e = again_expr(x, n->expr), subs[MAX_RANK];
    if (n->kind == N_EQ) {
        adopt(x, n->out,
              graph_eq(g, to, v.dims, v.rank, (Red)n->red, n->extra, n->n_extra, e, n->level,
                       v.name, n->loc));
        return;
    }
    for (uint32_t k = 0; k < v.rank; k++) subs[k] = again_expr(x, n->subs[k]);
    adopt(x, n->out,
          graph_scatter(g, to, v.dims, v.rank, n->extra, n->n_extra, subs, e, n->level, v.name,
                        n->loc));
}

/* A value outside of expressions: what it starts from or goes on with. */
static Value whole(Again *x, Value v, Block *to, uint32_t level) {
    if (v < x->n_values && x->copy[v]) return x->copy[v];
    Graph *g = x->g;
    const Node *n = graph_node(g, graph_value(g, v)->node);
    if (!x->loop || n->level <= recur_of(x, x->loop)->level) return v;
    const ValueInfo i = *graph_value(g, v);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < i.rank; k++) subs[k] = expr_idx(g, k);
    ExprId e = again_expr(x, expr_read(g, v, subs, i.rank));
    Value made = graph_eq(g, to, i.dims, i.rank, RED_NONE, NULL, 0, e, level, i.name, i.loc);
    graph_value(g, made)->store = i.store;
    return made;
}

static void copy_class(Again *x, NodeId id, NodeId copy, uint32_t c, const bool *wanted) {
    Graph *g = x->g;
    const Recur *r = recur_of(x, id);
    const RecurClass *from = &r->classes.data[c];
    uint32_t made = graph_recur_class(g, copy, from->iters.data, from->iters.n);
    RecurClass *to = &recur_of(x, copy)->classes.data[made];
    for (uint32_t k = 0; k < r->carry.n; k++) adopt(x, from->args[k], to->args[k]);
    for (uint32_t i = 0; i < from->body.nodes.n; i++)
        again_node(x, from->body.nodes.data[i], NULL, &to->body);
    for (uint32_t k = 0; k < r->carry.n; k++)
        graph_recur_next(g, copy, made, k, whole(x, from->next[k], &to->body, r->level + 1u));
    for (uint32_t i = 0; i < from->outs.n; i++) {
        const RecurOut o = from->outs.data[i];
        if (wanted && !wanted[o.result]) continue;
        Value body = whole(x, o.body, &to->body, r->level + 1u);
        adopt(x, o.result, graph_recur_out_every(g, copy, made, body, o.axis, o.every));
    }
}

static void copy_recur(Again *x, NodeId id, const bool *wanted, Block *to) {
    Graph *g = x->g;
    const Node at = *graph_node(g, id);
    const Recur *r = at.recur;
    NodeId copy = graph_recur_begin(g, r->length, r->axis, r->reverse, r->layers, r->level, at.loc);
    for (uint32_t k = 0; k < r->carry.n; k++)
        graph_recur_carry(g, copy, whole(x, r->carry.data[k].init, to, at.level),
                          r->carry.data[k].name);
    for (uint32_t c = 0; c < r->classes.n; c++) copy_class(x, id, copy, c, wanted);
    graph_recur_end(g, copy, to);
    const Recur *made = recur_of(x, copy);
    for (uint32_t k = 0; k < r->carry.n; k++)
        adopt(x, r->carry.data[k].final, made->carry.data[k].final);
}

void again_node(Again *x, NodeId id, const bool *wanted, Block *to) {
    const Node n = *graph_node(x->g, id);
    if (n.kind == N_EQ || n.kind == N_SCATTER)
        copy_formula(x, &n, to);
    else if (n.kind == N_RECUR && !n.recur->every)
        copy_recur(x, id, wanted, to);
    else
        x->failed = true;
}
