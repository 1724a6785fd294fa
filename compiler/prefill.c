/* Results at the last position only.
 *
 * requires: graph_streams(g, axis); best after graph_distribute and graph_simplify.
 * maintains: states; results are those of the last position and lose the axis.
 * cost: (nodes at the top)^2 at worst.
 *
 * An equation whose readers all want its last position is made for that position only, which
 * asks its own operands for one position where it reads them at its own: so the head of a model
 * is computed for one row. Recurrences, loops and what they read stay whole. */
#include "stream.h"

#include <string.h>

typedef struct Last {
    Graph *g;
    const char *axis;
    Walk walk;
    Edit edit;
    uint32_t n_values;
    int8_t *at;   /* by value: its streaming axis if only the last position is made, else -1 */
    Size *length; /* by value: of that axis */
    bool *whole;  /* by value: somebody needs all of it */
    Value reader; /* of the expression being walked, 0 if it stays whole */
} Last;

static ExprId last_index(Edit *ed, ExprId e, const ExprId *args) {
    const Last *l = ed->user;
    Graph *g = ed->g;
    const Expr x = *graph_expr(g, e);
    int own = l->reader ? l->at[l->reader] : -1;
    if (x.op == X_IDX && own >= 0 && x.i >= own)
        return x.i == own ? int_add(g, expr_size(g, l->length[l->reader]), -1)
                          : expr_idx(g, (uint32_t)x.i - 1);
    if (x.op != X_READ || x.value >= l->n_values || l->at[x.value] < 0) return 0;
    ExprId subs[MAX_RANK];
    uint32_t n = 0;
    for (int k = 0; k < x.n_args; k++)
        if (k != l->at[x.value]) subs[n++] = args[k];
    return expr_read(g, x.value, subs, n);
}

/* Is value u, read by e, wanted at its last position only? */
static void note_read(Walk *w, ExprId e, void *user) {
    Last *l = user;
    Graph *g = w->g;
    const Expr x = *graph_expr(g, e);
    if (x.op != X_READ || l->whole[x.value]) return;
    int at = stream_axis(g, x.value, l->axis);
    if (at < 0) {
        l->whole[x.value] = true;
        return;
    }
    ExprId sub = expr_arg(g, e, (uint32_t)at),
           last = int_add(g, expr_size(g, graph_value(g, x.value)->dims[at]), -1);
    int own = l->reader ? l->at[l->reader] : -1;
    if (own >= 0) { /* the index of a reader made for one position is its last */
        ExprId rest = int_sub(g, sub, expr_idx(g, (uint32_t)own));
        ExprId there = int_add(g, expr_size(g, l->length[l->reader]), -1);
        if (expr_fn2(g, F_add, rest, there) == last) return;
    }
    l->whole[x.value] = sub != last;
}

static void need_whole(Value v, void *user) { ((Last *)user)->whole[v] = true; }

static void plan(Last *l) {
    Graph *g = l->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) l->whole[g->outputs.data[i].value] = true;
    for (uint32_t i = 0; i < g->states.n; i++) l->whole[g->states.data[i].start] = true;
    for (uint32_t i = g->top.nodes.n; i-- > 0;) {
        NodeId id = g->top.nodes.data[i];
        const Node n = *graph_node(g, id);
        if (n.kind != N_EQ) {
            walk_uses(&l->walk, id, need_whole, l);
            continue;
        }
        int at = stream_axis(g, n.out, l->axis);
        if (at >= 0 && !l->whole[n.out]) {
            l->at[n.out] = (int8_t)at;
            l->length[n.out] = graph_value(g, n.out)->dims[at];
        }
        l->reader = n.out;
        walk_expr(&l->walk, n.expr, note_read, l);
    }
}

static void rewrite(Last *l) {
    Graph *g = l->g;
    for (uint32_t i = 0; i < g->top.nodes.n; i++) {
        NodeId id = g->top.nodes.data[i];
        if (graph_node(g, id)->kind != N_EQ) continue; /* all they read is whole */
        l->reader = graph_node(g, id)->out;
        edit_fresh(&l->edit);
        ExprId e = edit_expr(&l->edit, graph_node(g, id)->expr);
        graph_node(g, id)->expr = e;
    }
    for (Value v = 1; v < l->n_values; v++) {
        ValueInfo *x = graph_value(g, v);
        int at = l->at[v];
        if (at < 0) continue;
        memmove(x->dims + at, x->dims + at + 1, (x->rank - (uint32_t)at - 1) * sizeof *x->dims);
        x->dims[--x->rank] = 0;
    }
}

/* The output as an equation of its own: v at the last position. */
static Value last_of(Graph *g, Value v, int at) {
    const ValueInfo x = *graph_value(g, v);
    Size dims[MAX_RANK];
    ExprId subs[MAX_RANK];
    uint32_t n = 0;
    for (int k = 0; k < x.rank; k++) {
        subs[k] = k == at ? int_add(g, expr_size(g, x.dims[k]), -1) : expr_idx(g, n);
        if (k != at) dims[n++] = x.dims[k];
    }
    Value out = value_new(g, (Type)x.type, (Store)x.store, dims, n, x.name, x.loc);
    ExprId e = expr_read(g, v, subs, x.rank);
    *PUSH(g->arena, &g->top.nodes) = eq_for(g, out, RED_NONE, NULL, 0, e, 0, x.loc);
    return out;
}

Graph *graph_prefill(Graph *g, const char *axis) {
    g = graph_clone(g, "prefill");
    Arena *scratch = arena_new();
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        OutputInfo *o = &g->outputs.data[i];
        int at = stream_axis(g, o->value, axis);
        if (o->kind == OUT_RESULT && at >= 0) o->value = last_of(g, o->value, at);
    }
    Last l = {.g = g, .axis = axis, .walk = walk_new(g, scratch), .n_values = g->values.n};
    l.edit = edit_new(g, scratch, last_index, &l);
    l.at = NEWN(scratch, int8_t, l.n_values);
    memset(l.at, -1, l.n_values);
    l.length = NEWN(scratch, Size, l.n_values);
    l.whole = NEWN(scratch, bool, l.n_values);
    plan(&l);
    rewrite(&l);
    arena_free(scratch);
    return graph_clone(g, "prefill");
}
