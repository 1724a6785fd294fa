/* Recomputation in backward layer loops: who reads what, and the copies (recompute.h). What to copy is a cut
 * of recompute_net.c.
 *
 * Copies stand before their first reader in the backward body, so that they live shortly. A forward loop that
 * only passes a carried value on from some layer on keeps it for none of them: it is the loop's last one. */
#include <string.h>

#include "recompute_impl.h"

static Recur *recur_of(const Recompute *r, NodeId n) { return graph_node(r->g, n)->recur; }

static RecurClass *class_of(const Recompute *r, NodeId n, uint32_t cls) {
    return &recur_of(r, n)->classes.data[cls];
}

/* ---- who reads what a forward loop keeps --------------------------------------------------------------- */

typedef struct Reads { /* by the body of one backward class */
    Recompute *r;
    uint32_t level;  /* of the loop */
    NodeId now;      /* node at hand */
    uint32_t *plain; /* by Value: nodes that read it at the layer's position only, along axis[v] */
    NodeId *seen;    /* by Value: the last node that counted */
    bool *other;     /* by Value: read otherwise */
    uint8_t *axis;   /* by Value: axis of the layers, of results of forward loops */
} Reads;

static void visit_read(Walk *w, ExprId e, void *user) {
    Reads *u = user;
    const Expr x = *graph_expr(w->g, e);
    if (x.op != X_READ || u->axis[x.value] == UINT8_MAX) return;
    const Expr *at = graph_expr(w->g, expr_arg(w->g, e, u->axis[x.value]));
    if (at->op != X_POS || at->i != (int64_t)u->level) u->other[x.value] = true;
    if (u->seen[x.value] == u->now) return;
    u->seen[x.value] = u->now;
    u->plain[x.value]++;
}

static void visit_kept(Reads *u, const Recur *r) {
    for (uint32_t k = 0; k < r->carry.n; k++) {
        const Carry *c = &r->carry.data[k];
        if (!c->kept || u->axis[c->kept] == UINT8_MAX) continue;
        if (c->lead != 1 || u->axis[c->kept] != 0 || r->level != u->level + 1)
            u->other[c->kept] = true;
        u->plain[c->kept]++;
    }
}

static void visit_node(Graph *g, NodeId id, void *user) {
    Reads *u = user;
    const Node n = *graph_node(g, id);
    u->now = id;
    if (n.expr) walk_expr(&u->r->walk, n.expr, visit_read, u);
    for (uint32_t k = 0; n.kind == N_SCATTER && k < graph_value(g, n.out)->rank; k++)
        walk_expr(&u->r->walk, n.subs[k], visit_read, u);
    if (n.recur) visit_kept(u, n.recur);
}

static bool reads_any(const Reads *u, const RecurClass *c) {
    for (uint32_t o = 0; o < c->outs.n; o++)
        if (u->plain[c->outs.data[o].result]) return true;
    return false;
}

/* The first loop that reads what class `cls` of loop `from` keeps, both of block b, is its partner. */
static void find_partner(Reads *u, const Block *b, uint32_t i, uint32_t cls, const uint32_t *uses) {
    Recompute *r = u->r;
    NodeId from = b->nodes.data[i];
    RecurClass *c = class_of(r, from, cls);
    const size_t n = r->g->values.n;
    memset(u->axis, 0xff, n);
    for (uint32_t o = 0; o < c->outs.n; o++)
        if (!c->outs.data[o].every) u->axis[c->outs.data[o].result] = c->outs.data[o].axis;
    for (uint32_t k = i + 1; k < b->nodes.n; k++) {
        NodeId back = b->nodes.data[k];
        const Recur *s = recur_of(r, back);
        for (uint32_t m = 0; s && s->layers && m < s->classes.n; m++) {
            if (!again_same_layers(c, &s->classes.data[m])) continue;
            memset(u->plain, 0, n * sizeof *u->plain);
            memset(u->seen, 0, n * sizeof *u->seen);
            memset(u->other, 0, n);
            u->level = s->level;
            graph_each(r->g, &class_of(r, back, m)->body, visit_node, u);
            if (!reads_any(u, c)) continue;
            *PUSH(r->scratch, &r->pairs) = (Pair){from, back, cls, m};
            for (uint32_t o = 0; o < c->outs.n; o++) {
                Value v = c->outs.data[o].result;
                if (!u->plain[v] || u->plain[v] != uses[v] || u->other[v]) continue;
                r->body[v] = c->outs.data[o].body;
                r->axis[v] = c->outs.data[o].axis;
            }
            return;
        }
    }
}

/* ---- carried values that are passed on ------------------------------------------------------------------- */

/* Does every iteration from the first of class `cls` on pass carry k on? */
static bool passes_on(const Recur *r, uint32_t cls, uint32_t k) {
    const RecurClass *c = &r->classes.data[cls];
    uint32_t first = r->reverse ? c->iters.data[c->iters.n - 1] : c->iters.data[0];
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *x = &r->classes.data[i];
        uint32_t last = r->reverse ? x->iters.data[0] : x->iters.data[x->iters.n - 1];
        bool later = r->reverse ? last <= first : last >= first;
        if (later && x->next[k] != x->args[k]) return false;
    }
    return true;
}

static void find_same(Recompute *r, const Pair *p) {
    const Recur *loop = recur_of(r, p->from);
    for (uint32_t k = 0; k < loop->carry.n; k++)
        if (passes_on(loop, p->from_cls, k))
            r->same[loop->classes.data[p->from_cls].args[k]] = loop->carry.data[k].final;
}

static void find_pairs(Reads *u, const Block *b, const uint32_t *uses) {
    Recompute *r = u->r;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Recur *loop = recur_of(r, b->nodes.data[i]);
        if (!loop || !loop->layers) continue;
        for (uint32_t c = 0; c < loop->classes.n; c++) {
            uint32_t n = r->pairs.n;
            find_partner(u, b, i, c, uses);
            if (r->pairs.n > n) find_same(r, &r->pairs.data[n]);
            find_pairs(u, &loop->classes.data[c].body, uses);
        }
    }
}

Recompute recompute_find(Graph *g, Arena *scratch, const int64_t *axes) {
    Recompute r = {.g = g, .scratch = scratch, .axes = axes, .walk = walk_new(g, scratch)};
    uint32_t n = g->values.n;
    r.body = NEWN(scratch, Value, n);
    r.axis = NEWN(scratch, uint8_t, n);
    r.same = NEWN(scratch, Value, n);
    r.value_vertex = NEWN(scratch, uint32_t, n);
    r.node_vertex = NEWN(scratch, uint32_t, g->nodes.n);
    Reads u = {.r = &r};
    u.plain = NEWN(scratch, uint32_t, n);
    u.seen = NEWN(scratch, NodeId, n);
    u.other = NEWN(scratch, bool, n);
    u.axis = NEWN(scratch, uint8_t, n);
    find_pairs(&u, &g->top, graph_uses(g, scratch));
    return r;
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

typedef struct Make {
    Recompute *r;
    Arena *arena;
    Again again;
    Edit edit; /* of what the backward body reads */
    const bool *on_sink;
    bool *wanted; /* by Value: is it there for the backward loop? */
    bool *made;   /* by NodeId */
    const Pair *pair;
    Block *out;
    RecomputeList *list;
} Make;

static bool is_wanted(const Make *m, Value v) {
    uint32_t at = m->r->value_vertex[v];
    return at && m->on_sink[at];
}

typedef VEC(Value) Values;

typedef struct Collect {
    const Make *m;
    Values list;
} Collect;

static void collect(Value v, void *user) {
    Collect *c = user;
    if (v < c->m->again.n_values && c->m->r->value_vertex[v]) *PUSH(c->m->r->scratch, &c->list) = v;
}

static void note_recomputed(Make *m, NodeId id) {
    const Node *n = graph_node(m->r->g, id);
    uint32_t layers = class_of(m->r, m->pair->from, m->pair->from_cls)->iters.n;
    Value v = n->out;
    for (uint32_t o = 0; n->recur && o < n->recur->classes.data[0].outs.n; o++) {
        v = n->recur->classes.data[0].outs.data[o].result;
        if (m->wanted[v]) break;
    }
    if (m->list && v)
        *PUSH(m->arena, m->list) = (Recomputed){*graph_value(m->r->g, v), n->kind, n->red, layers};
}

/* Makes value v of the forward body in the backward one, if that is how it comes there. */
static void provide(Make *m, Value v) {
    NodeId id = graph_value(m->r->g, v)->node;
    uint32_t at = m->r->node_vertex[id];
    if (!at || !m->on_sink[at] || m->made[id]) return;
    m->made[id] = true;
    Collect c = {.m = m};
    walk_uses(&m->r->walk, id, collect, &c);
    for (uint32_t i = 0; i < c.list.n; i++) provide(m, c.list.data[i]);
    again_node(&m->again, id, m->wanted, m->out);
    note_recomputed(m, id);
}

/* ---- the backward body --------------------------------------------------------------------------------------- */

static Value copy_of(const Make *m, Value kept) {
    Value v = kept < m->again.n_values ? m->r->body[kept] : 0;
    return v ? m->again.copy[v] : 0;
}

static ExprId read_copy(Edit *ed, ExprId e, const ExprId *args) {
    const Make *m = ed->user;
    const Expr x = *graph_expr(ed->g, e);
    Value v = x.op == X_READ ? copy_of(m, x.value) : 0;
    if (!v) return 0;
    ExprId subs[MAX_RANK];
    uint32_t n = 0;
    for (uint32_t k = 0; k < x.n_args; k++)
        if (k != m->r->axis[x.value]) subs[n++] = args[k];
    return expr_read(ed->g, v, subs, n);
}

static void rewrite_node(Graph *g, NodeId id, void *user) {
    Make *m = user;
    Node n = *graph_node(g, id);
    if (n.expr) n.expr = edit_expr(&m->edit, n.expr);
    for (uint32_t k = 0; n.kind == N_SCATTER && k < graph_value(g, n.out)->rank; k++)
        n.subs[k] = edit_expr(&m->edit, n.subs[k]);
    for (uint32_t k = 0; n.recur && k < n.recur->carry.n; k++) {
        Carry *c = &n.recur->carry.data[k];
        Value v = c->kept ? copy_of(m, c->kept) : 0;
        if (!v) continue;
        c->kept = v;
        c->lead = 0;
    }
    *graph_node(g, id) = n;
}

static void provide_read(Value v, void *user) {
    Collect *c = user;
    Value body = v < c->m->again.n_values ? c->m->r->body[v] : 0;
    if (body && c->m->r->value_vertex[body]) *PUSH(c->m->r->scratch, &c->list) = body;
}

static bool recompute_pair(Make *m, const Pair *p) {
    Recompute *r = m->r;
    Graph *g = r->g;
    const RecurClass *from = class_of(r, p->from, p->from_cls);
    Block *body = &class_of(r, p->back, p->back_cls)->body, out = {0};
    m->pair = p;
    m->out = &out;
    again_from(&m->again, p->from, p->from_cls);
    for (uint32_t k = 0; k < recur_of(r, p->from)->carry.n; k++)
        m->again.copy[from->args[k]] = r->same[from->args[k]];
    for (uint32_t i = 0; i < body->nodes.n; i++) {
        NodeId id = body->nodes.data[i];
        Block one = {0};
        Collect c = {.m = m};
        walk_uses(&r->walk, id, provide_read, &c);
        for (uint32_t k = 0; k < c.list.n; k++) provide(m, c.list.data[k]);
        *PUSH(g->arena, &out.nodes) = id;
        *PUSH(g->arena, &one.nodes) = id;
        edit_fresh(&m->edit);
        graph_each(g, &one, rewrite_node, m);
    }
    *body = out;
    return !m->again.failed;
}

Graph *graph_recompute(Arena *a, Graph *g, const RecomputeRule *rule, RecomputeList *list) {
    Arena *scratch = arena_new();
    Recompute r = recompute_find(g, scratch, rule->axes);
    r.pointwise = rule->pointwise;
    recompute_net(&r);
    RecomputeChoice what;
    const bool *on_sink = r.pairs.n ? recompute_cut(&r, rule->rate, &what) : NULL;
    if (on_sink) {
        Make m = {.r = &r, .arena = a, .on_sink = on_sink, .list = list};
        m.again = again_new(g, scratch);
        m.edit = edit_new(g, scratch, read_copy, &m);
        m.wanted = NEWN(scratch, bool, g->values.n);
        m.made = NEWN(scratch, bool, g->nodes.n);
        for (Value v = 0; v < g->values.n; v++) m.wanted[v] = is_wanted(&m, v);
        bool ok = true;
        for (uint32_t i = 0; i < r.pairs.n && ok; i++) ok = recompute_pair(&m, &r.pairs.data[i]);
        /* Swept only: what simplifying would inline could round as one multiply-add where it was two. */
        g = ok ? graph_clone(g, g->entry) : NULL;
    }
    arena_free(scratch);
    return g;
}
