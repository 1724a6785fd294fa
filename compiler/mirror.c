/* Scopes and stacked values; see mirror.h.
 *
 * Requires: old recurrences are finished (graph_recur_end) before mirror_begin.
 * Maintains: a stacked value is made once for each value.
 * Cost: mirror_place visits an expression once for each level it reads through. */
#include "mirror.h"

#include <string.h>

/* ---- homes ----------------------------------------------------------------------------------- */

void mirror_value(Mirror *m, Value v, Home h) {
    while (m->value_home.n <= v) (void)PUSH(m->scratch, &m->value_home);
    m->value_home.data[v] = h;
}

void mirror_recur(Mirror *m, NodeId r, Home h) {
    while (m->node_home.n <= r) (void)PUSH(m->scratch, &m->node_home);
    m->node_home.data[r] = h;
}

Home mirror_home(const Mirror *m, Value v) {
    return v < m->value_home.n ? m->value_home.data[v] : (Home){0, 0};
}

static void settle(Mirror *m, const Block *b, Home h);

static void settle_recur(Mirror *m, NodeId n, Home h) {
    Recur *r = graph_node(m->g, n)->recur;
    mirror_recur(m, n, h);
    for (uint32_t k = 0; k < r->carry.n; k++) mirror_value(m, r->carry.data[k].final, h);
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *cls = &r->classes.data[c];
        for (uint32_t k = 0; k < r->carry.n; k++) mirror_value(m, cls->args[k], (Home){n, c});
        for (uint32_t o = 0; o < cls->outs.n; o++) mirror_value(m, cls->outs.data[o].result, h);
        settle(m, &cls->body, (Home){n, c});
        for (uint32_t i = 0; i < cls->body.nodes.n; i++) {
            const Node *x = graph_node(m->g, cls->body.nodes.data[i]);
            if (x->kind == N_DELAY && x->final) mirror_value(m, x->final, h);
        }
    }
}

static void settle(Mirror *m, const Block *b, Home h) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId n = b->nodes.data[i];
        if (graph_node(m->g, n)->kind == N_RECUR)
            settle_recur(m, n, h);
        else
            mirror_value(m, graph_node(m->g, n)->out, h);
    }
}

void mirror_begin(Mirror *m, Graph *g, Arena *scratch) {
    memset(m, 0, sizeof *m);
    m->g = g;
    m->scratch = scratch;
    settle(m, &g->top, (Home){0, 0});
}

Block *mirror_block(Mirror *m, Home h) {
    return h.recur ? &graph_node(m->g, h.recur)->recur->classes.data[h.cls].body : &m->g->top;
}

Scope *mirror_enter(Mirror *m, Scope *s, NodeId old, NodeId r, uint32_t cls) {
    Scope *in = NEW(m->scratch, Scope);
    *in = (Scope){s, {old, cls}, {r, cls}, s->level + 1};
    Recur *x = graph_node(m->g, r)->recur;
    m->levels[s->level] = x->length;
    for (uint32_t k = 0; k < x->carry.n; k++)
        mirror_value(m, x->classes.data[cls].args[k], in->made);
    return in;
}

/* ---- reads ----------------------------------------------------------------------------------- */

Value mirror_stack(Mirror *m, Value v) {
    Home h = mirror_home(m, v);
    const RecurClass *c = &graph_node(m->g, h.recur)->recur->classes.data[h.cls];
    for (uint32_t o = 0; o < c->outs.n; o++)
        if (c->outs.data[o].body == v && c->outs.data[o].axis == 0) return c->outs.data[o].result;
    Value s = graph_recur_out(m->g, h.recur, h.cls, v, 0);
    if (s)
        mirror_value(m, s, m->node_home.data[h.recur]);
    else
        m->too_deep = true;
    return s;
}

/* Is a block around s (or s itself) the home of a new value? Old homes are nobody's. */
static bool is_around(const Scope *s, Home h) {
    for (; s; s = s->parent)
        if (home_same(s->made, h)) return true;
    return false;
}

typedef struct Place {
    Mirror *m;
    Scope *s;
} Place;

static ExprId place_leaf(ExprMap *em, ExprId e, const ExprId *subs) {
    const Place *p = em->user;
    Mirror *m = p->m;
    const Expr x = *graph_expr(em->src, e);
    if (x.op != X_READ) return 0;
    Value v = x.value;
    uint32_t n = x.n_args;
    ExprId at[MAX_RANK];
    if (n) memcpy(at, subs, sizeof *at * n);
    for (Home h = mirror_home(m, v); h.recur && !is_around(p->s, h); h = mirror_home(m, v)) {
        Value stacked = n < MAX_RANK ? mirror_stack(m, v) : 0;
        if (!stacked) {
            m->too_deep = true;
            break;
        }
        const Recur *r = graph_node(m->g, h.recur)->recur;
        memmove(at + 1, at, sizeof *at * n++);
        at[0] = r->layers ? expr_pos(m->g, r->level) : expr_lvl(m->g, r->level);
        v = stacked;
    }
    return v == x.value ? 0 : expr_read(m->g, v, at, n);
}

ExprId mirror_place(Mirror *m, Scope *s, ExprId e) {
    Place p = {m, s};
    ExprMap em = {.src = m->g, .dst = m->g, .leaf = place_leaf, .user = &p};
    Arena *scratch = arena_new();
    expr_map_begin(&em, scratch);
    e = expr_map(&em, e);
    arena_free(scratch);
    return e;
}

Value mirror_eq(Mirror *m, Scope *s, const Size *dims, uint32_t rank, Red red, const Size *extra,
                uint32_t n_extra, ExprId expr, const char *name, Loc loc) {
    expr = mirror_place(m, s, expr);
    Value v = graph_eq(m->g, mirror_block(m, s->made), dims, rank, red, extra, n_extra, expr,
                       s->level, name, loc);
    mirror_value(m, v, s->made);
    return v;
}

ExprId mirror_whole(Mirror *m, Value v) {
    ExprId idx[MAX_RANK];
    uint32_t rank = graph_value(m->g, v)->rank;
    for (uint32_t k = 0; k < rank; k++) idx[k] = expr_idx(m->g, k);
    return expr_read(m->g, v, idx, rank);
}
