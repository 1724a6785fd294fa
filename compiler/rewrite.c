/* Copying a graph into another with changes (rewrite.h).
 *
 * Requires: a graph that graph_verify accepts. Maintains: the tables' order, names, places, storage.
 * Cost: linear in nodes and expressions. */
#include "rewrite.h"

#include <string.h>

/* ---- values and expressions ---------------------------------------------------------------- */

static ExprId map_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    Rewrite *rw = m->user;
    ExprId r = rw->leaf ? rw->leaf(rw, e, subs) : 0;
    const Expr *x = graph_expr(m->src, e);
    if (r || x->op != X_READ) return r;
    return expr_read(m->dst, rw->map[x->value], subs, x->n_args);
}

Graph *rewrite_begin(Rewrite *rw, Graph *src, const char *entry, Arena *scratch) {
    memset(rw, 0, sizeof *rw);
    rw->src = src;
    rw->dst = graph_new(src->arena, src->names, src->sizes, entry);
    rw->scratch = scratch;
    rw->map = NEWN(scratch, Value, src->values.n);
    rw->em.src = src;
    rw->em.dst = rw->dst;
    rw->em.leaf = map_leaf;
    rw->em.user = rw;
    expr_map_begin(&rw->em, scratch);
    return rw->dst;
}

void rewrite_forget(Rewrite *rw) { expr_map_begin(&rw->em, rw->scratch); }

ExprId rewrite_expr(Rewrite *rw, ExprId e) {
    rw->em.user = rw; /* the struct may have been moved since rewrite_begin */
    return e ? expr_map(&rw->em, e) : 0;
}

static bool is_live(const Rewrite *rw, Value v) { return v && (!rw->live || rw->live[v]); }

/* copy stands for v: it takes name, place and storage. */
static void adopt(Rewrite *rw, Value v, Value copy) {
    const ValueInfo *x = graph_value(rw->src, v);
    ValueInfo *y = graph_value(rw->dst, copy);
    y->name = x->name;
    y->loc = x->loc;
    y->store = x->store;
    rw->map[v] = copy;
}

/* ---- tables -------------------------------------------------------------------------------- */

#define COPY_VEC(a, to, from)                                                                      \
    ((to)->data = arena_copy((a), (from)->data, sizeof *(from)->data * (from)->n),                 \
     (to)->n = (to)->cap = (from)->n)

static void copy_param(Rewrite *rw, const ParamInfo *p) {
    const ValueInfo x = *graph_value(rw->src, p->value);
    Graph *g = rw->dst;
    uint32_t at;
    Value v = graph_param(g, (Type)x.type, (Store)x.store, x.dims, x.rank, p->loc, &at);
    ParamInfo *q = &g->params.data[at];
    *q = *p;
    q->value = v;
    q->formula = 0;
    COPY_VEC(g->arena, &q->members, &p->members);
    COPY_VEC(g->arena, &q->init_a, &p->init_a);
    COPY_VEC(g->arena, &q->init_b, &p->init_b);
    q->formula = rewrite_expr(rw, p->formula);
    adopt(rw, p->value, v);
}

static void copy_state(Rewrite *rw, const StateInfo *s) {
    Graph *g = rw->dst;
    StateInfo *t;
    if (s->value) {
        const ValueInfo x = *graph_value(rw->src, s->value);
        uint32_t at;
        Value v = graph_state(g, (Type)x.type, (Store)x.store, x.dims, x.rank, s->loc, &at);
        adopt(rw, s->value, v);
        t = &g->states.data[at];
        *t = *s;
        t->value = v;
    } else {
        t = PUSH(g->arena, &g->states);
        *t = *s;
    }
    t->start = 0;
    COPY_VEC(g->arena, &t->members, &s->members);
}

void rewrite_tables(Rewrite *rw) {
    Graph *src = rw->src, *g = rw->dst;
    g->n_random = src->n_random;
    for (uint32_t i = 0; i < src->inputs.n; i++) {
        const InputInfo *in = &src->inputs.data[i];
        const ValueInfo x = *graph_value(src, in->value);
        Value v = graph_input(g, in->name, (Type)x.type, (Store)x.store, x.dims, x.rank, in->loc);
        InputInfo *copy = &g->inputs.data[g->inputs.n - 1];
        copy->below = in->below;
        copy->scalar = in->scalar;
        adopt(rw, in->value, v);
    }
    for (uint32_t i = 0; i < src->params.n; i++) copy_param(rw, &src->params.data[i]);
    for (uint32_t i = 0; i < src->states.n; i++) copy_state(rw, &src->states.data[i]);
}

void rewrite_outputs(Rewrite *rw) {
    Graph *src = rw->src;
    for (uint32_t i = 0; i < src->outputs.n; i++) {
        const OutputInfo *o = &src->outputs.data[i];
        if (rw->map[o->value])
            graph_output(rw->dst, (OutputKind)o->kind, o->name, rw->map[o->value], o->index);
    }
    for (uint32_t i = 0; i < src->states.n; i++)
        if (src->states.data[i].start)
            rw->dst->states.data[i].start = rw->map[src->states.data[i].start];
}

/* ---- recurrences --------------------------------------------------------------------------- */

static bool carry_live(const Rewrite *rw, const Recur *r, uint32_t k) {
    bool live = is_live(rw, r->carry.data[k].final);
    for (uint32_t c = 0; c < r->classes.n; c++)
        live = live || is_live(rw, r->classes.data[c].args[k]);
    return live;
}

static void copy_carry(Rewrite *rw, const Carry *c, NodeId copy) {
    uint32_t k = graph_recur_carry(rw->dst, copy, rw->map[c->init], c->name);
    Carry *made = &graph_node(rw->dst, copy)->recur->carry.data[k];
    made->kept = c->kept ? rw->map[c->kept] : 0;
    made->lead = c->lead;
}

NodeId rewrite_recur_begin(Rewrite *rw, NodeId n, uint32_t level) {
    const Node *x = graph_node(rw->src, n);
    const Recur *r = x->recur;
    NodeId copy =
        graph_recur_begin(rw->dst, r->length, r->axis, r->reverse, r->layers, level, x->loc);
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (carry_live(rw, r, k)) copy_carry(rw, &r->carry.data[k], copy);
    graph_node(rw->dst, copy)->recur->every = r->every;
    return copy;
}

uint32_t rewrite_recur_class(Rewrite *rw, NodeId n, NodeId copy, uint32_t c) {
    const Recur *r = graph_node(rw->src, n)->recur;
    const RecurClass *x = &r->classes.data[c];
    uint32_t made = graph_recur_class(rw->dst, copy, x->iters.data, x->iters.n);
    const RecurClass *y = &graph_node(rw->dst, copy)->recur->classes.data[made];
    for (uint32_t k = 0, at = 0; k < r->carry.n; k++)
        if (carry_live(rw, r, k)) adopt(rw, x->args[k], y->args[at++]);
    return made;
}

static void connect_delays(Rewrite *rw, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *x = graph_node(rw->src, b->nodes.data[i]);
        if (x->kind != N_DELAY || !rw->map[x->out]) continue;
        Node *y = graph_node(rw->dst, graph_value(rw->dst, rw->map[x->out])->node);
        if (y->kind == N_DELAY && !y->source) y->source = rw->map[x->source];
    }
}

void rewrite_recur_class_end(Rewrite *rw, NodeId n, NodeId copy, uint32_t c, uint32_t new_class) {
    const Recur *r = graph_node(rw->src, n)->recur;
    const RecurClass *x = &r->classes.data[c];
    for (uint32_t k = 0, at = 0; k < r->carry.n; k++)
        if (carry_live(rw, r, k))
            graph_recur_next(rw->dst, copy, new_class, at++, rw->map[x->next[k]]);
    for (uint32_t i = 0; i < x->outs.n; i++) {
        const RecurOut o = x->outs.data[i];
        if (!is_live(rw, o.result)) continue;
        Value v = graph_recur_out_every(rw->dst, copy, new_class, rw->map[o.body], o.axis, o.every);
        if (v) adopt(rw, o.result, v);
    }
    connect_delays(rw, &x->body);
}

void rewrite_recur_end(Rewrite *rw, NodeId n, NodeId copy, Block *to) {
    const Recur *r = graph_node(rw->src, n)->recur;
    graph_recur_end(rw->dst, copy, to);
    const Recur *made = graph_node(rw->dst, copy)->recur;
    for (uint32_t k = 0, at = 0; k < r->carry.n; k++)
        if (carry_live(rw, r, k)) adopt(rw, r->carry.data[k].final, made->carry.data[at++].final);
}

static void copy_recur(Rewrite *rw, NodeId n, Block *to, uint32_t level) {
    const Recur *r = graph_node(rw->src, n)->recur;
    NodeId copy = rewrite_recur_begin(rw, n, level);
    for (uint32_t c = 0; c < r->classes.n; c++) {
        uint32_t made = rewrite_recur_class(rw, n, copy, c);
        Block *body = &graph_node(rw->dst, copy)->recur->classes.data[made].body;
        rewrite_block(rw, &r->classes.data[c].body, body, copy, made);
        rewrite_recur_class_end(rw, n, copy, c, made);
    }
    rewrite_recur_end(rw, n, copy, to);
}

/* ---- nodes --------------------------------------------------------------------------------- */

static void copy_delay(Rewrite *rw, NodeId n, NodeId r, uint32_t cls) {
    const Node x = *graph_node(rw->src, n);
    const ValueInfo v = *graph_value(rw->src, x.out);
    int64_t depth = 1;
    size_is_num(rw->src->sizes, v.dims[0], &depth);
    Value copy = graph_delay(rw->dst, r, cls, 0, rw->map[x.init], (uint32_t)depth, v.name, x.loc);
    adopt(rw, x.out, copy);
    if (!is_live(rw, x.final)) return;
    graph_delay_final(rw->dst, copy);
    adopt(rw, x.final, graph_node(rw->dst, graph_value(rw->dst, copy)->node)->final);
}

static bool node_live(Rewrite *rw, NodeId n) {
    const Node *x = graph_node(rw->src, n);
    if (x->kind != N_RECUR) return is_live(rw, x->out) || is_live(rw, x->final);
    const Recur *r = x->recur;
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (carry_live(rw, r, k)) return true;
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *y = &r->classes.data[c];
        for (uint32_t i = 0; i < y->outs.n; i++)
            if (is_live(rw, y->outs.data[i].result)) return true;
        for (uint32_t i = 0; i < y->body.nodes.n; i++) /* for the final value of a delay */
            if (node_live(rw, y->body.nodes.data[i])) return true;
    }
    return false;
}

void rewrite_node(Rewrite *rw, NodeId n, Block *to, NodeId r, uint32_t cls) {
    if (!node_live(rw, n)) return;
    Graph *g = rw->dst;
    const Node x = *graph_node(rw->src, n);
    uint32_t level = r ? graph_node(g, r)->level + 1u : 0;
    if (x.kind == N_RECUR) {
        copy_recur(rw, n, to, level);
    } else if (x.kind == N_DELAY) {
        copy_delay(rw, n, r, cls);
    } else if (x.kind == N_EQ || x.kind == N_SCATTER) {
        const ValueInfo v = *graph_value(rw->src, x.out);
        ExprId expr = rewrite_expr(rw, x.expr), subs[MAX_RANK];
        Value copy;
        if (x.kind == N_EQ) {
            copy = graph_eq(g, to, v.dims, v.rank, (Red)x.red, x.extra, x.n_extra, expr, level,
                            v.name, x.loc);
        } else {
            for (uint32_t k = 0; k < v.rank; k++) subs[k] = rewrite_expr(rw, x.subs[k]);
            copy = graph_scatter(g, to, v.dims, v.rank, x.extra, x.n_extra, subs, expr, level,
                                 v.name, x.loc);
        }
        adopt(rw, x.out, copy);
    }
}

void rewrite_block(Rewrite *rw, const Block *b, Block *to, NodeId r, uint32_t cls) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId n = b->nodes.data[i];
        if (!rw->node || !rw->node(rw, n, to, r, cls)) rewrite_node(rw, n, to, r, cls);
    }
}

/* ---- what is needed ------------------------------------------------------------------------ */

/* How a value comes about when its node alone does not say: the carry or out of a recurrence. */
typedef struct Role {
    NodeId recur;
    uint32_t carry; /* number of the carry, or */
    Value body;     /* the value of the body an out collects */
} Role;

typedef struct Live {
    Graph *g;
    Arena *scratch;
    bool *live;
    Role *role;
    VEC(Value) todo;
} Live;

static void mark(Live *l, Value v) {
    if (!v || l->live[v]) return;
    l->live[v] = true;
    *PUSH(l->scratch, &l->todo) = v;
}

static void mark_reads(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_READ) mark(user, x->value);
}

static void note_roles(Graph *g, NodeId n, void *user) {
    Live *l = user;
    const Recur *r = graph_node(g, n)->recur;
    if (!r) return;
    for (uint32_t k = 0; k < r->carry.n; k++) l->role[r->carry.data[k].final] = (Role){n, k, 0};
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *x = &r->classes.data[c];
        for (uint32_t k = 0; k < r->carry.n; k++) l->role[x->args[k]] = (Role){n, k, 0};
        for (uint32_t i = 0; i < x->outs.n; i++)
            l->role[x->outs.data[i].result] = (Role){n, 0, x->outs.data[i].body};
    }
}

static void mark_operands(Live *l, Value v) {
    Graph *g = l->g;
    const Role role = l->role[v];
    const Node x = *graph_node(g, graph_value(g, v)->node);
    if (role.body) {
        mark(l, role.body);
    } else if (role.recur) {
        const Recur *r = graph_node(g, role.recur)->recur;
        mark(l, r->carry.data[role.carry].init);
        mark(l, r->carry.data[role.carry].kept);
        for (uint32_t c = 0; c < r->classes.n; c++) {
            mark(l, r->classes.data[c].args[role.carry]);
            mark(l, r->classes.data[c].next[role.carry]);
        }
    } else if (x.kind == N_DELAY) {
        mark(l, x.out);
        mark(l, x.source);
        mark(l, x.init);
    } else if (x.kind == N_EQ || x.kind == N_SCATTER) {
        expr_walk(g, x.expr, mark_reads, l);
        uint32_t rank = x.kind == N_SCATTER ? graph_value(g, x.out)->rank : 0;
        for (uint32_t k = 0; k < rank; k++) expr_walk(g, x.subs[k], mark_reads, l);
    }
}

bool *graph_live(Graph *g, Arena *scratch) {
    Live l = {.g = g, .scratch = scratch};
    l.live = NEWN(scratch, bool, g->values.n);
    l.role = NEWN(scratch, Role, g->values.n);
    graph_each(g, &g->top, note_roles, &l);
    for (uint32_t i = 0; i < g->inputs.n; i++) mark(&l, g->inputs.data[i].value);
    for (uint32_t i = 0; i < g->params.n; i++) mark(&l, g->params.data[i].value);
    for (uint32_t i = 0; i < g->states.n; i++) {
        mark(&l, g->states.data[i].value);
        mark(&l, g->states.data[i].start);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) mark(&l, g->outputs.data[i].value);
    while (l.todo.n) mark_operands(&l, l.todo.data[--l.todo.n]);
    return l.live;
}

Graph *graph_clone(Graph *g, const char *entry) {
    Arena *scratch = arena_new();
    Rewrite rw;
    Graph *copy = rewrite_begin(&rw, g, entry, scratch);
    rw.live = graph_live(g, scratch);
    rewrite_tables(&rw);
    rewrite_block(&rw, &g->top, &copy->top, 0, 0);
    rewrite_outputs(&rw);
    arena_free(scratch);
    return copy;
}
