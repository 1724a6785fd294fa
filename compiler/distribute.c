/* Loop distribution: takes every recurrence along an axis apart into the components of its body.
 *
 * requires: a graph that graph_verify accepts.
 * maintains: the values of all outputs (sums over an axis may be taken in another order).
 *   Afterwards no N_DELAY is left, every recurrence along an axis is one strongly connected
 *   component of the old body (with consumers smaller than the state they read, see absorb), and
 *   the equations of its body read outer values at the plain counter or not at all. Exceptions,
 *   still right: reads behind a condition that depends on the cycle, or by the rank of a layer
 *   in its class, stay; values whose rank is MAX_RANK are not taken out.
 * cost: about (nodes of a body) * (uses in it) for each cycle.
 *
 * Layer loops stay loops; their bodies are treated like any block. Inner recurrences come first. */
#include "distribute.h"

#include <string.h>

typedef struct Plan {
    Dist d;
    uint32_t n_comps;
    List *members; /* by component: vertices, rising */
    bool *cyclic, *emitted;
    /* Tarjan */
    uint32_t *index, *low, *stack, n_stack, n_index;
    bool *on_stack;
} Plan;

/* ---- the dependency graph -------------------------------------------------------------------- */

typedef struct Owner {
    Dist *d;
    uint32_t vertex;
} Owner;

static void own_value(Value v, void *user) {
    Owner *o = user;
    if (v) o->d->vertex[v] = o->vertex + 1;
}

static void own_node(Dist *d, NodeId id, uint32_t vertex) {
    Owner o = {d, vertex};
    walk_defs(d->g, id, own_value, &o);
    if (graph_node(d->g, id)->kind != N_RECUR) return;
    const Recur *r = graph_node(d->g, id)->recur;
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *c = &r->classes.data[i];
        for (uint32_t k = 0; k < r->carry.n; k++) own_value(c->args[k], &o);
        for (uint32_t k = 0; k < c->body.nodes.n; k++) own_node(d, c->body.nodes.data[k], vertex);
    }
}

static void note_use(Value v, void *user) {
    Owner *o = user;
    uint32_t x = dist_vertex(o->d, v);
    List *uses = &o->d->uses[o->vertex];
    if (!x) return;
    for (uint32_t k = 0; k < uses->n; k++)
        if (uses->data[k] == v) return;
    *PUSH(o->d->scratch, uses) = v;
}

static void find_uses(Dist *d) {
    for (uint32_t x = 0; x < d->n_nodes; x++) own_node(d, d->nodes[x], x);
    for (uint32_t k = 0; k < d->r->carry.n; k++) d->vertex[d->body->args[k]] = d->n_nodes + k + 1;
    for (uint32_t x = 0; x < d->n_vertices; x++) {
        Owner o = {d, x};
        if (x < d->n_nodes)
            walk_uses(&d->walk, d->nodes[x], note_use, &o);
        else
            note_use(d->body->next[x - d->n_nodes], &o);
    }
}

/* ---- components ------------------------------------------------------------------------------ */

static void close_component(Plan *p, uint32_t x) {
    uint32_t c = p->n_comps++, y;
    do {
        y = p->stack[--p->n_stack];
        p->on_stack[y] = false;
        p->d.comp[y] = c;
    } while (y != x);
}

static void connect(Plan *p, uint32_t x) {
    p->index[x] = p->low[x] = ++p->n_index;
    p->stack[p->n_stack++] = x;
    p->on_stack[x] = true;
    for (uint32_t k = 0; k < p->d.uses[x].n; k++) {
        uint32_t y = dist_vertex(&p->d, p->d.uses[x].data[k]) - 1;
        if (!p->index[y]) {
            connect(p, y);
            if (p->low[y] < p->low[x]) p->low[x] = p->low[y];
        } else if (p->on_stack[y] && p->index[y] < p->low[x]) {
            p->low[x] = p->index[y];
        }
    }
    if (p->low[x] == p->index[x]) close_component(p, x);
}

typedef struct TooDeep {
    Graph *g;
    bool found;
} TooDeep;

static void full_rank(Value v, void *user) {
    TooDeep *t = user;
    if (v && graph_value(t->g, v)->rank >= MAX_RANK) t->found = true;
}

/* A value that has no room for one more axis. */
static bool node_is_full(Plan *p, NodeId id) {
    Graph *g = p->d.g;
    TooDeep t = {g, false};
    const Node n = *graph_node(g, id);
    walk_defs(g, id, full_rank, &t);
    if (n.kind == N_RECUR) walk_uses(&p->d.walk, id, full_rank, &t);
    return t.found || (n.kind == N_SCATTER && n.n_extra >= MAX_RANK);
}

static void find_components(Plan *p) {
    Dist *d = &p->d;
    uint32_t n = d->n_vertices;
    p->index = NEWN(d->scratch, uint32_t, n);
    p->low = NEWN(d->scratch, uint32_t, n);
    p->stack = NEWN(d->scratch, uint32_t, n);
    p->on_stack = NEWN(d->scratch, bool, n);
    p->members = NEWN(d->scratch, List, n);
    p->cyclic = NEWN(d->scratch, bool, n);
    p->emitted = NEWN(d->scratch, bool, n);
    for (uint32_t x = 0; x < n; x++)
        if (!p->index[x]) connect(p, x);
    for (uint32_t x = 0; x < n; x++) *PUSH(d->scratch, &p->members[d->comp[x]]) = x;
    for (uint32_t c = 0; c < p->n_comps; c++) {
        uint32_t x = p->members[c].data[0];
        bool full = x < d->n_nodes && graph_node(d->g, d->nodes[x])->kind != N_DELAY &&
                    node_is_full(p, d->nodes[x]);
        p->cyclic[c] = p->members[c].n > 1 || full;
    }
}

/* ---- consumers that shrink a state ----------------------------------------------------------- */

/* Does vertex x depend on component c, other than by being in it? */
static bool depends(Plan *p, uint32_t x, uint32_t c, bool *seen) {
    Dist *d = &p->d;
    for (uint32_t k = 0; k < d->uses[x].n; k++) {
        uint32_t y = dist_vertex(d, d->uses[x].data[k]) - 1;
        if (d->comp[y] == c) return true;
        if (seen[y]) continue;
        seen[y] = true;
        if (depends(p, y, c, seen)) return true;
    }
    return false;
}

/* May x, an equation that reads component c, run inside it? Not if it needs c by another way. */
static bool may_join(Plan *p, uint32_t x, uint32_t c) {
    Dist *d = &p->d;
    if (x >= d->n_nodes || graph_node(d->g, d->nodes[x])->kind != N_EQ ||
        p->members[d->comp[x]].n != 1)
        return false;
    bool *seen = NEWN(d->scratch, bool, d->n_vertices);
    for (uint32_t k = 0; k < d->uses[x].n; k++) {
        uint32_t y = dist_vertex(d, d->uses[x].data[k]) - 1;
        if (d->comp[y] != c && depends(p, y, c, seen)) return false;
    }
    return true;
}

/* Vertices outside c that read v, if keeping v for them would store more than keeping what they
 * make. */
static bool shrinking_readers(Plan *p, Value v, List *out) {
    Dist *d = &p->d;
    Graph *g = d->g;
    uint32_t c = dist_comp(d, v) - 1;
    Size left = value_size(g, v);
    for (uint32_t o = 0; o < d->body->outs.n; o++)
        if (d->body->outs.data[o].body == v) return false;
    for (uint32_t x = 0; x < d->n_vertices; x++) {
        bool reads = false;
        for (uint32_t k = 0; k < d->uses[x].n; k++) reads = reads || d->uses[x].data[k] == v;
        if (!reads || d->comp[x] == c) continue;
        if (!may_join(p, x, c)) return false;
        left = size_sub(g->sizes, left, value_size(g, graph_node(g, d->nodes[x])->out));
        *PUSH(d->scratch, out) = x;
    }
    return out->n && left && size_positive(g->sizes, left);
}

static void join(Plan *p, uint32_t x, uint32_t c) {
    Dist *d = &p->d;
    List *to = &p->members[c];
    p->members[d->comp[x]].n = 0;
    d->comp[x] = c;
    *PUSH(d->scratch, to) = x;
    for (uint32_t k = to->n - 1; k > 0 && to->data[k - 1] > to->data[k]; k--) {
        uint32_t t = to->data[k];
        to->data[k] = to->data[k - 1];
        to->data[k - 1] = t;
    }
}

typedef struct Absorb {
    Plan *p;
    bool changed;
} Absorb;

static void absorb_value(Value v, void *user) {
    Absorb *a = user;
    List readers = {0};
    if (!shrinking_readers(a->p, v, &readers)) return;
    uint32_t c = dist_comp(&a->p->d, v) - 1;
    for (uint32_t k = 0; k < readers.n; k++) join(a->p, readers.data[k], c);
    a->changed = true;
}

/* y[i] = sum[j] S[i,j]*r[j] joins the recurrence of S, so that S is not kept for every step. */
static void absorb(Plan *p, uint32_t c) {
    Dist *d = &p->d;
    Absorb a = {p, true};
    while (a.changed) {
        a.changed = false;
        List now = {0};
        for (uint32_t k = 0; k < p->members[c].n; k++)
            *PUSH(d->scratch, &now) = p->members[c].data[k];
        for (uint32_t k = 0; k < now.n; k++) {
            if (now.data[k] >= d->n_nodes)
                absorb_value(d->body->args[now.data[k] - d->n_nodes], &a);
            else
                walk_defs(d->g, d->nodes[now.data[k]], absorb_value, &a);
        }
    }
}

/* ---- putting out ----------------------------------------------------------------------------- */

static void emit(Plan *p, uint32_t c) {
    Dist *d = &p->d;
    if (p->emitted[c]) return;
    p->emitted[c] = true;
    const List m = p->members[c];
    for (uint32_t i = 0; i < m.n; i++)
        for (uint32_t k = 0; k < d->uses[m.data[i]].n; k++)
            emit(p, dist_comp(d, d->uses[m.data[i]].data[k]) - 1);
    if (p->cyclic[c])
        dist_cycle(d, m.data, m.n);
    else if (m.data[0] >= d->n_nodes || graph_node(d->g, d->nodes[m.data[0]])->kind == N_DELAY)
        dist_shift(d, m.data[0]);
    else
        dist_hoist(d, d->nodes[m.data[0]]);
}

static void distribute_recur(Graph *g, NodeId id, Block *out) {
    Recur *r = graph_node(g, id)->recur;
    RecurClass *c = &r->classes.data[0];
    Arena *scratch = arena_new();
    Plan *p = NEW(scratch, Plan);
    Dist *d = &p->d;
    *d = (Dist){.g = g, .scratch = scratch, .out = out, .r = r, .body = c, .level = r->level};
    d->walk = walk_new(g, scratch);
    d->inner = walk_new(g, scratch);
    d->edit = edit_new(g, scratch, NULL, d);
    d->loc = graph_node(g, id)->loc;
    d->axis = c->outs.n ? c->outs.data[0].axis : 0;
    d->nodes = c->body.nodes.data;
    d->n_nodes = c->body.nodes.n;
    d->n_vertices = d->n_nodes + r->carry.n;
    d->n_values = g->values.n;
    d->vertex = NEWN(scratch, uint32_t, d->n_values);
    d->place = NEWN(scratch, Place, d->n_values);
    d->uses = NEWN(scratch, List, d->n_vertices);
    d->comp = NEWN(scratch, uint32_t, d->n_vertices);
    d->out_done = NEWN(scratch, bool, c->outs.n);
    find_uses(d);
    find_components(p);
    for (uint32_t i = 0; i < p->n_comps; i++)
        if (p->cyclic[i]) absorb(p, i);
    for (uint32_t x = 0; x < d->n_vertices; x++) emit(p, d->comp[x]);
    dist_outs(d);
    arena_free(scratch);
}

static void distribute_block(Graph *g, Block *b) {
    Block old = *b;
    memset(b, 0, sizeof *b);
    for (uint32_t i = 0; i < old.nodes.n; i++) {
        NodeId id = old.nodes.data[i];
        Recur *r = graph_node(g, id)->recur;
        for (uint32_t c = 0; r && c < r->classes.n; c++)
            distribute_block(g, &r->classes.data[c].body);
        if (r && !r->layers)
            distribute_recur(g, id, b);
        else
            *PUSH(g->arena, &b->nodes) = id;
    }
}

Graph *graph_distribute(Graph *g) {
    Graph *h = graph_clone(g, g->entry);
    distribute_block(h, &h->top);
    return graph_clone(h, h->entry);
}
