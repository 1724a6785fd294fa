/* Making a graph: nodes, recurrences, tables. The rules are in graph.h and checked by graph_verify. */
#include "graph.h"

#include <string.h>

Graph *graph_new(Arena *a, Names *names, Sizes *sizes, const char *entry) {
    Graph *g = NEW(a, Graph);
    g->arena = a;
    g->names = names;
    g->sizes = sizes;
    g->entry = name_of(names, entry);
    (void)PUSH(a, &g->nodes);
    (void)PUSH(a, &g->values);
    (void)PUSH(a, &g->exprs);
    return g;
}

/* ---- nodes and values ---------------------------------------------------------------------- */

static NodeId new_node(Graph *g, NodeKind kind, uint32_t level, Loc loc) {
    Node *n = PUSH(g->arena, &g->nodes);
    n->kind = (uint8_t)kind;
    n->level = (uint8_t)level;
    n->loc = loc;
    return g->nodes.n - 1;
}

static Value new_value(Graph *g, NodeId node, Type type, const Size *dims, uint32_t rank,
                       const char *name) {
    ValueInfo *v = PUSH(g->arena, &g->values);
    v->node = node;
    v->type = (uint8_t)type;
    v->rank = (uint8_t)rank;
    if (rank) memcpy(v->dims, dims, sizeof *dims * rank);
    v->name = name ? name_of(g->names, name) : NULL;
    v->loc = g->nodes.data[node].loc;
    return g->values.n - 1;
}

/* A value with the dims, type and storage of another. */
static Value value_like(Graph *g, NodeId node, Value like, const char *name) {
    const ValueInfo x = *graph_value(g, like);
    Value v = new_value(g, node, (Type)x.type, x.dims, x.rank, name);
    graph_value(g, v)->store = x.store;
    return v;
}

static Value define(Graph *g, Block *b, NodeId n, Value v) {
    graph_node(g, n)->out = v;
    *PUSH(g->arena, &b->nodes) = n;
    return v;
}

static Value outside(Graph *g, NodeKind kind, Type type, Store store, const Size *dims,
                     uint32_t rank, const char *name, Loc loc, uint32_t index) {
    NodeId n = new_node(g, kind, 0, loc);
    graph_node(g, n)->index = index;
    Value v = new_value(g, n, type, dims, rank, name);
    graph_value(g, v)->store = (uint8_t)store;
    return define(g, &g->top, n, v);
}

Value graph_input(Graph *g, const char *name, Type type, Store store, const Size *dims,
                  uint32_t rank, Loc loc) {
    Value v = outside(g, N_INPUT, type, store, dims, rank, name, loc, g->inputs.n);
    InputInfo *i = PUSH(g->arena, &g->inputs);
    i->value = v;
    i->name = name_of(g->names, name);
    i->loc = loc;
    return v;
}

Value graph_param(Graph *g, Type type, Store store, const Size *dims, uint32_t rank, Loc loc,
                  uint32_t *index) {
    Value v = outside(g, N_PARAM, type, store, dims, rank, NULL, loc, g->params.n);
    if (index) *index = g->params.n;
    ParamInfo *p = PUSH(g->arena, &g->params);
    p->value = v;
    p->lr = 1;
    p->loc = loc;
    return v;
}

/* The last node of the outermost block moves up to what is given from outside at its head. */
static void move_to_head(Graph *g) {
    Block *b = &g->top;
    uint32_t to = 0, last = b->nodes.n - 1;
    NodeId id = b->nodes.data[last];
    while (to < last && graph_node(g, b->nodes.data[to])->kind <= N_STATE) to++;
    memmove(b->nodes.data + to + 1, b->nodes.data + to, sizeof id * (last - to));
    b->nodes.data[to] = id;
}

/* Whether a delay begins with a state is known only when all of its cell is: what reads the state
 * stands there already, so the state goes in front. */
Value graph_state(Graph *g, Type type, Store store, const Size *dims, uint32_t rank, Loc loc,
                  uint32_t *index) {
    Value v = outside(g, N_STATE, type, store, dims, rank, NULL, loc, g->states.n);
    move_to_head(g);
    if (index) *index = g->states.n;
    StateInfo *s = PUSH(g->arena, &g->states);
    s->value = v;
    s->loc = loc;
    return v;
}

Value graph_eq(Graph *g, Block *b, const Size *dims, uint32_t rank, Red red, const Size *extra,
               uint32_t n_extra, ExprId expr, uint32_t level, const char *name, Loc loc) {
    NodeId n = new_node(g, N_EQ, level, loc);
    Node *x = graph_node(g, n);
    x->red = (uint8_t)red;
    x->n_extra = (uint8_t)n_extra;
    if (n_extra) memcpy(x->extra, extra, sizeof *extra * n_extra);
    x->expr = expr;
    Type type = red == RED_ARGMAX ? T_INT : graph_type(g, expr);
    return define(g, b, n, new_value(g, n, type, dims, rank, name));
}

Value graph_scatter(Graph *g, Block *b, const Size *dims, uint32_t rank, const Size *iter,
                    uint32_t n_iter, const ExprId *subs, ExprId expr, uint32_t level,
                    const char *name, Loc loc) {
    NodeId n = new_node(g, N_SCATTER, level, loc);
    Node *x = graph_node(g, n);
    x->n_extra = (uint8_t)n_iter;
    if (n_iter) memcpy(x->extra, iter, sizeof *iter * n_iter);
    if (rank) memcpy(x->subs, subs, sizeof *subs * rank);
    x->expr = expr;
    return define(g, b, n, new_value(g, n, graph_type(g, expr), dims, rank, name));
}

/* ---- recurrences --------------------------------------------------------------------------- */

NodeId graph_recur_begin(Graph *g, Size length, const char *axis, bool reverse, bool layers,
                         uint32_t level, Loc loc) {
    NodeId n = new_node(g, N_RECUR, level, loc);
    Recur *r = NEW(g->arena, Recur);
    r->length = length;
    r->axis = axis ? name_of(g->names, axis) : NULL;
    r->reverse = reverse;
    r->layers = layers;
    r->level = (uint8_t)level;
    graph_node(g, n)->recur = r;
    return n;
}

static Value new_arg(Graph *g, const Recur *r, uint32_t carry, Loc loc) {
    NodeId n = new_node(g, N_ARG, r->level + 1u, loc);
    const Carry *c = &r->carry.data[carry];
    Value v = value_like(g, n, c->init, c->name);
    graph_node(g, n)->out = v;
    graph_node(g, n)->index = carry;
    return v;
}

static Value *grown(Graph *g, const Value *old, uint32_t n) {
    Value *p = NEWN(g->arena, Value, n + 1);
    if (n) memcpy(p, old, sizeof *old * n);
    return p;
}

uint32_t graph_recur_carry(Graph *g, NodeId n, Value init, const char *name) {
    Recur *r = graph_node(g, n)->recur;
    Loc loc = graph_node(g, n)->loc;
    uint32_t k = r->carry.n;
    Carry *c = PUSH(g->arena, &r->carry);
    c->init = init;
    c->name = name ? name_of(g->names, name) : NULL;
    for (uint32_t i = 0; i < r->classes.n; i++) {
        RecurClass *x = &r->classes.data[i];
        x->args = grown(g, x->args, k);
        x->next = grown(g, x->next, k);
        x->args[k] = new_arg(g, r, k, loc);
    }
    return k;
}

uint32_t graph_recur_class(Graph *g, NodeId n, const uint32_t *iters, uint32_t n_iters) {
    Recur *r = graph_node(g, n)->recur;
    Loc loc = graph_node(g, n)->loc;
    RecurClass *c = PUSH(g->arena, &r->classes);
    for (uint32_t i = 0; i < n_iters; i++) *PUSH(g->arena, &c->iters) = iters[i];
    c->args = NEWN(g->arena, Value, r->carry.n);
    c->next = NEWN(g->arena, Value, r->carry.n);
    for (uint32_t k = 0; k < r->carry.n; k++) c->args[k] = new_arg(g, r, k, loc);
    return r->classes.n - 1;
}

void graph_recur_next(Graph *g, NodeId n, uint32_t cls, uint32_t carry, Value next) {
    graph_node(g, n)->recur->classes.data[cls].next[carry] = next;
}

Size graph_out_length(Graph *g, const Recur *r, const RecurClass *c, uint32_t every) {
    Size n = c->iters.n ? size_num(g->sizes, c->iters.n) : r->length;
    if (every < 2) return n;
    Size up = size_add(g->sizes, n, size_num(g->sizes, (int64_t)every - 1));
    return size_floordiv(g->sizes, up, size_num(g->sizes, every));
}

Value graph_recur_out(Graph *g, NodeId n, uint32_t cls, Value body, uint32_t axis) {
    return graph_recur_out_every(g, n, cls, body, axis, 0);
}

Value graph_recur_out_every(Graph *g, NodeId n, uint32_t cls, Value body, uint32_t axis,
                            uint32_t every) {
    Recur *r = graph_node(g, n)->recur;
    RecurClass *c = &r->classes.data[cls];
    const ValueInfo x = *graph_value(g, body);
    if (x.rank >= MAX_RANK || axis > x.rank) return 0;
    Size dims[MAX_RANK];
    for (uint32_t i = 0; i < axis; i++) dims[i] = x.dims[i];
    dims[axis] = graph_out_length(g, r, c, every);
    if (!dims[axis]) return 0;
    for (uint32_t i = axis; i < x.rank; i++) dims[i + 1] = x.dims[i];
    Value v = new_value(g, n, (Type)x.type, dims, x.rank + 1u, x.name);
    graph_value(g, v)->store = x.store;
    graph_value(g, v)->loc = x.loc;
    RecurOut *o = PUSH(g->arena, &c->outs);
    o->body = body;
    o->axis = (uint8_t)axis;
    o->every = every;
    o->result = v;
    return v;
}

void graph_recur_end(Graph *g, NodeId n, Block *b) {
    Recur *r = graph_node(g, n)->recur;
    for (uint32_t k = 0; k < r->carry.n; k++)
        r->carry.data[k].final = value_like(g, n, r->carry.data[k].init, r->carry.data[k].name);
    *PUSH(g->arena, &b->nodes) = n;
}

Value graph_delay(Graph *g, NodeId n, uint32_t cls, Value source, Value init, uint32_t depth,
                  const char *name, Loc loc) {
    Recur *r = graph_node(g, n)->recur;
    NodeId d = new_node(g, N_DELAY, r->level + 1u, loc);
    Value v = value_like(g, d, init, name);
    graph_value(g, v)->dims[0] = size_num(g->sizes, depth);
    Node *x = graph_node(g, d);
    x->source = source;
    x->init = init;
    return define(g, &r->classes.data[cls].body, d, v);
}

void graph_delay_final(Graph *g, Value delay) {
    NodeId n = graph_value(g, delay)->node;
    Value v = value_like(g, n, delay, graph_value(g, delay)->name);
    graph_node(g, n)->final = v;
}

void graph_output(Graph *g, OutputKind kind, const char *name, Value v, uint32_t index) {
    OutputInfo *o = PUSH(g->arena, &g->outputs);
    o->kind = (uint8_t)kind;
    o->name = name ? name_of(g->names, name) : NULL;
    o->value = v;
    o->index = index;
}

/* ---- questions ----------------------------------------------------------------------------- */

bool graph_same_dims(Graph *g, Value a, Value b) {
    const ValueInfo *x = graph_value(g, a), *y = graph_value(g, b);
    return x->rank == y->rank && memcmp(x->dims, y->dims, sizeof *x->dims * x->rank) == 0;
}

void graph_each(Graph *g, Block *b, void (*fn)(Graph *g, NodeId n, void *user), void *user) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId n = b->nodes.data[i];
        fn(g, n, user);
        Recur *r = graph_node(g, n)->recur;
        if (!r) continue;
        for (uint32_t c = 0; c < r->classes.n; c++)
            graph_each(g, &r->classes.data[c].body, fn, user);
    }
}
