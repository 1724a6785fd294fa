/* The position in the sequence, where a program uses it as a number: an int state "position",
 * one for each sample, 0 at the start of a sequence. It is made only if it is needed. */
#include "stream.h"

#include <string.h>

enum { MARK_LEVEL = MAX_LEVELS + 7 }; /* no counter has this level */

typedef struct Lift {
    Graph *g;
    Walk walk;
    Edit edit;
    uint32_t n_values;
    bool *lifted; /* by value: gets the batch axis in front */
    bool changed;
    Size batch; /* 0: there is none, the state is a scalar */
    Value state;
    bool own; /* the equation at work gets the batch axis */
} Lift;

ExprId position_mark(Graph *g) { return expr_lvl(g, MARK_LEVEL); }

static bool is_mark(const Expr *x) { return x->op == X_LVL && x->i == MARK_LEVEL; }

static bool has_batch(const Lift *l, Value v) {
    const ValueInfo *i = graph_value(l->g, v);
    return i->rank > 0 && i->dims[0] == l->batch;
}

/* ---- who depends on it ----------------------------------------------------------------------- */

static bool has_mark(Graph *g, ExprId e, void *user) {
    (void)user;
    return is_mark(graph_expr(g, e));
}

static bool needs_position(Graph *g, ExprId e, void *user) {
    const Lift *l = user;
    const Expr *x = graph_expr(g, e);
    return is_mark(x) || (x->op == X_READ && l->lifted[x->value]);
}

static void lift(Lift *l, Value v) {
    if (l->lifted[v] || has_batch(l, v)) return;
    l->lifted[v] = true;
    l->changed = true;
}

static void lift_recur(Lift *l, const Recur *r) {
    for (uint32_t k = 0; k < r->carry.n; k++) {
        bool any = l->lifted[r->carry.data[k].init];
        for (uint32_t c = 0; c < r->classes.n; c++)
            any = any || l->lifted[r->classes.data[c].next[k]];
        for (uint32_t c = 0; any && c < r->classes.n; c++) lift(l, r->classes.data[c].args[k]);
        if (any) lift(l, r->carry.data[k].final);
    }
    for (uint32_t c = 0; c < r->classes.n; c++)
        for (uint32_t o = 0; o < r->classes.data[c].outs.n; o++)
            if (l->lifted[r->classes.data[c].outs.data[o].body])
                lift(l, r->classes.data[c].outs.data[o].result);
}

static void lift_node(Graph *g, NodeId id, void *user) {
    Lift *l = user;
    const Node *n = graph_node(g, id);
    if (n->kind == N_EQ && walk_node_any(&l->walk, id, needs_position, l)) lift(l, n->out);
    if (n->kind == N_RECUR) lift_recur(l, n->recur);
}

/* ---- rewriting ------------------------------------------------------------------------------- */

static ExprId with_position(Edit *ed, ExprId e, const ExprId *args) {
    const Lift *l = ed->user;
    Graph *g = ed->g;
    const Expr x = *graph_expr(g, e);
    ExprId subs[MAX_RANK + 1] = {expr_idx(g, 0)};
    if (is_mark(&x)) return expr_read(g, l->state, subs, l->batch ? 1 : 0);
    if (x.op == X_IDX && l->own) return expr_idx(g, (uint32_t)x.i + 1);
    if (x.op != X_READ || x.value >= l->n_values || !l->lifted[x.value]) return 0;
    memcpy(subs + 1, args, x.n_args * sizeof *args);
    return expr_read(g, x.value, subs, x.n_args + 1u);
}

static void rewrite_eq(Lift *l, NodeId id) {
    Node *n = graph_node(l->g, id);
    l->own = n->kind == N_EQ && l->lifted[n->out];
    edit_fresh(&l->edit);
    ExprId e = edit_expr(&l->edit, n->expr);
    graph_node(l->g, id)->expr = e;
}

/* v with the batch axis in front. */
static Value broadcast(Lift *l, Value v, Block *b, uint32_t level) {
    Graph *g = l->g;
    if (v >= l->n_values || l->lifted[v]) return v;
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < graph_value(g, v)->rank; k++) subs[k] = expr_idx(g, k + 1);
    ExprId e = expr_read(g, v, subs, graph_value(g, v)->rank);
    Value out = value_with_axis(g, v, l->batch, 0);
    *PUSH(g->arena, &b->nodes) =
        eq_for(g, out, RED_NONE, NULL, 0, e, level, graph_value(g, out)->loc);
    return out;
}

static void rewrite_block(Lift *l, Block *b);

static void rewrite_recur(Lift *l, Recur *r, Block *to) {
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (l->lifted[r->carry.data[k].final])
            r->carry.data[k].init = broadcast(l, r->carry.data[k].init, to, r->level);
    for (uint32_t i = 0; i < r->classes.n; i++) {
        RecurClass *c = &r->classes.data[i];
        rewrite_block(l, &c->body);
        for (uint32_t k = 0; k < r->carry.n; k++)
            if (l->lifted[c->args[k]])
                c->next[k] = broadcast(l, c->next[k], &c->body, r->level + 1u);
        for (uint32_t o = 0; o < c->outs.n; o++)
            c->outs.data[o].axis =
                (uint8_t)(c->outs.data[o].axis + l->lifted[c->outs.data[o].body]);
    }
}

static void rewrite_block(Lift *l, Block *b) {
    Block old = *b;
    memset(b, 0, sizeof *b);
    for (uint32_t i = 0; i < old.nodes.n; i++) {
        NodeId id = old.nodes.data[i];
        const Node *n = graph_node(l->g, id);
        if ((n->kind == N_EQ || n->kind == N_SCATTER) && n->out < l->n_values)
            rewrite_eq(l, id);
        else if (n->kind == N_RECUR)
            rewrite_recur(l, n->recur, b);
        *PUSH(l->g->arena, &b->nodes) = id;
    }
}

static void insert_batch(Lift *l) {
    for (Value v = 1; v < l->n_values; v++) {
        ValueInfo *i = graph_value(l->g, v);
        if (!l->lifted[v] || i->rank >= MAX_RANK) continue;
        memmove(i->dims + 1, i->dims, i->rank * sizeof *i->dims);
        i->dims[0] = l->batch;
        i->rank++;
    }
}

/* ---- the state ------------------------------------------------------------------------------- */

static Size batch_axis(Graph *g) {
    for (uint32_t i = 0; i < size_axes(g->sizes); i++) {
        if (strcmp(size_axis_name(g->sizes, i), "B") != 0) continue;
        Size b = size_axis(g->sizes, "B", size_axis_multiple(g->sizes, i));
        for (uint32_t k = 0; k < g->inputs.n; k++) {
            const ValueInfo *v = graph_value(g, g->inputs.data[k].value);
            if (v->rank > 0 && v->dims[0] == b) return b;
        }
    }
    return 0;
}

static bool any_mark(Graph *g, Walk *w) {
    for (uint32_t i = 0; i < g->top.nodes.n; i++)
        if (walk_node_any(w, g->top.nodes.data[i], has_mark, NULL)) return true;
    return false;
}

static void add_state(Lift *l, ExprId add) {
    Graph *g = l->g;
    uint32_t index, rank = l->batch ? 1 : 0;
    ExprId own = expr_idx(g, 0);
    const char *name = name_of(g->names, "position");
    l->state = graph_state(g, T_INT, ST_INT, &l->batch, rank, (Loc){0}, &index);
    graph_value(g, l->state)->name = name;
    Member *m = PUSH(g->arena, &g->states.data[index].members);
    m->name = name;
    ExprId next = expr_fn2(g, F_add, expr_read(g, l->state, &own, rank), add);
    Value v = graph_eq(g, &g->top, &l->batch, rank, RED_NONE, NULL, 0, next, 0, name, (Loc){0});
    graph_value(g, v)->store = ST_INT;
    graph_output(g, OUT_STATE, name, v, index);
}

/* The state's node was appended; it belongs before those that read it. */
static void state_first(Graph *g, Value state) {
    NodeId id = graph_value(g, state)->node;
    uint32_t at = 0;
    while (g->top.nodes.data[at] != id) at++;
    for (; at > 0; at--) g->top.nodes.data[at] = g->top.nodes.data[at - 1];
    g->top.nodes.data[0] = id;
}

void position_resolve(Graph *g, ExprId add, bool always) {
    Arena *scratch = arena_new();
    Lift l = {
        .g = g, .walk = walk_new(g, scratch), .batch = batch_axis(g), .n_values = g->values.n};
    if (always || any_mark(g, &l.walk)) {
        l.lifted = NEWN(scratch, bool, l.n_values);
        l.edit = edit_new(g, scratch, with_position, &l);
        l.changed = l.batch != 0;
        while (l.changed) {
            l.changed = false;
            graph_each(g, &g->top, lift_node, &l);
        }
        insert_batch(&l);
        add_state(&l, add);
        rewrite_block(&l, &g->top);
        state_first(g, l.state);
    }
    arena_free(scratch);
}

/* ---- positions on a whole sequence ----------------------------------------------------------- */

typedef struct Positions {
    Graph *g;
    const char *axis;
    int own;
    bool along[MAX_LEVELS + 1];
} Positions;

/* Subscripts of the axis itself stay; the index is a number everywhere else. */
static ExprId shift_numbers(Edit *ed, ExprId e, const ExprId *args) {
    const Positions *p = ed->user;
    Graph *g = ed->g;
    const Expr x = *graph_expr(g, e);
    bool counter = (x.op == X_LVL || x.op == X_POS) && x.i < MAX_LEVELS && p->along[x.i];
    if (counter || (x.op == X_IDX && p->own >= 0 && x.i == p->own))
        return expr_fn2(g, F_add, e, position_mark(g));
    if (x.op != X_READ) return 0;
    int at = stream_axis(g, x.value, p->axis);
    ExprId subs[MAX_RANK];
    for (int k = 0; k < x.n_args; k++) subs[k] = k == at ? expr_arg(g, e, (uint32_t)k) : args[k];
    return expr_read(g, x.value, subs, x.n_args);
}

/* The axis alone: with a prefix before it, a run starts the sequence, so positions are right as
 * they are. */
static bool plain_length(const Positions *p, Size s) {
    Size rest;
    int64_t zero;
    return stream_size(p->g, s, p->axis, &rest) && size_is_num(p->g->sizes, rest, &zero) &&
           zero == 0;
}

static void shift_block(Positions *p, Edit *ed, const Block *b) {
    Graph *g = p->g;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        const Node n = *graph_node(g, id);
        if (n.kind == N_EQ) {
            p->own = stream_axis(g, n.out, p->axis);
            if (p->own >= 0 && !plain_length(p, graph_value(g, n.out)->dims[p->own])) p->own = -1;
            edit_fresh(ed);
            ExprId e = edit_expr(ed, n.expr);
            graph_node(g, id)->expr = e;
        }
        if (n.kind != N_RECUR) continue;
        p->along[n.recur->level] = !n.recur->layers && plain_length(p, n.recur->length);
        for (uint32_t c = 0; c < n.recur->classes.n; c++)
            shift_block(p, ed, &n.recur->classes.data[c].body);
        p->along[n.recur->level] = false;
    }
}

/* requires: graph_streams(g, axis), before graph_distribute.
 * maintains: results when "position" is 0; there is a state "position" exactly when graph_step
 *   makes one. */
Graph *graph_position(Graph *g, const char *axis) {
    bool needed = graph_step(g, axis)->states.n > g->states.n;
    g = graph_clone(g, g->entry);
    if (!needed) return g;
    Arena *scratch = arena_new();
    Positions p = {.g = g, .axis = axis, .own = -1};
    Edit ed = edit_new(g, scratch, shift_numbers, &p);
    shift_block(&p, &ed, &g->top);
    Size length = 0;
    for (uint32_t i = 0; i < size_axes(g->sizes); i++)
        if (strcmp(size_axis_name(g->sizes, i), axis) == 0)
            length = size_axis(g->sizes, axis, size_axis_multiple(g->sizes, i));
    position_resolve(g, expr_size(g, length), true);
    arena_free(scratch);
    return graph_clone(g, g->entry);
}
