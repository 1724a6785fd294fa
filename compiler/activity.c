/* Activity: a value is worth differentiating if it varies with a parameter that is not frozen and
 * the loss depends on it. Both only along paths that have a derivative: not through ints,
 * subscripts, comparisons, stop.
 *
 * Requires: a verified graph.
 * Cost: one walk of the graph each way; bodies of recurrences again until nothing changes. */
#include "activity.h"

#include "chain.h"

typedef struct Spread {
    Activity a;
    bool changed;
} Spread;

static bool varies(Chain *c, Value v) {
    const Spread *s = c->user;
    return s->a.varies[v];
}

/* The values that e varies with, by reads with a derivative. */
static Leaves varying_reads(Spread *s, Arena *scratch, ExprId e) {
    Chain c = {.g = s->a.g, .scratch = scratch, .wanted = varies, .user = s};
    Leaves all = {.all = {NULL, 0, 0}};
    chain_reads(&c, e, &all);
    return all;
}

static void set(Spread *s, bool *marks, Value v, bool on) {
    if (!v || !on || marks[v] || graph_value(s->a.g, v)->type != T_REAL) return;
    marks[v] = true;
    s->changed = true;
}

/* ---- what varies ----------------------------------------------------------------------------- */

static void vary_block(Spread *s, const Block *b);

static void vary_recur(Spread *s, const Recur *r) {
    bool *v = s->a.varies, outer = s->changed;
    do {
        s->changed = false;
        for (uint32_t c = 0; c < r->classes.n; c++) {
            const RecurClass *x = &r->classes.data[c];
            for (uint32_t k = 0; k < r->carry.n; k++) {
                set(s, v, r->carry.data[k].final, v[r->carry.data[k].init] || v[x->next[k]]);
                set(s, v, x->args[k], v[r->carry.data[k].final]);
            }
            vary_block(s, &x->body);
            for (uint32_t k = 0; k < r->carry.n; k++)
                set(s, v, r->carry.data[k].final, v[x->next[k]]);
            for (uint32_t o = 0; o < x->outs.n; o++)
                set(s, v, x->outs.data[o].result, v[x->outs.data[o].body]);
        }
        outer = outer || s->changed;
    } while (s->changed);
    s->changed = outer;
}

static void vary_node(Spread *s, NodeId id) {
    const Node n = *graph_node(s->a.g, id);
    bool *v = s->a.varies;
    if (n.kind == N_RECUR) vary_recur(s, n.recur);
    if (n.kind == N_DELAY) {
        set(s, v, n.out, v[n.source] || v[n.init]);
        set(s, v, n.final, v[n.out]);
    }
    if ((n.kind != N_EQ && n.kind != N_SCATTER) || n.red == RED_ARGMAX || v[n.out]) return;
    Arena *scratch = arena_new();
    set(s, v, n.out, varying_reads(s, scratch, n.expr).all.n > 0);
    arena_free(scratch);
}

static void vary_block(Spread *s, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) vary_node(s, b->nodes.data[i]);
}

/* ---- what counts ----------------------------------------------------------------------------- */

static void count_block(Spread *s, const Block *b);

static void count_recur(Spread *s, const Recur *r) {
    bool *v = s->a.counts, outer = s->changed;
    do {
        s->changed = false;
        for (uint32_t c = 0; c < r->classes.n; c++) {
            const RecurClass *x = &r->classes.data[c];
            for (uint32_t k = 0; k < r->carry.n; k++) {
                bool on = v[r->carry.data[k].final];
                for (uint32_t d = 0; d < r->classes.n; d++)
                    on = on || v[r->classes.data[d].args[k]];
                set(s, v, x->next[k], on);
                set(s, v, r->carry.data[k].init, on);
            }
            for (uint32_t o = 0; o < x->outs.n; o++)
                set(s, v, x->outs.data[o].body, v[x->outs.data[o].result]);
            count_block(s, &x->body);
        }
        outer = outer || s->changed;
    } while (s->changed);
    s->changed = outer;
}

static void count_node(Spread *s, NodeId id) {
    const Node n = *graph_node(s->a.g, id);
    bool *v = s->a.counts;
    if (n.kind == N_RECUR) count_recur(s, n.recur);
    if (n.kind == N_DELAY) {
        bool on = v[n.out] || (n.final && v[n.final]);
        set(s, v, n.source, on);
        set(s, v, n.init, on);
    }
    if ((n.kind != N_EQ && n.kind != N_SCATTER) || n.red == RED_ARGMAX || !v[n.out]) return;
    Arena *scratch = arena_new();
    Leaves reads = varying_reads(s, scratch, n.expr);
    for (uint32_t i = 0; i < reads.all.n; i++)
        set(s, v, graph_expr(s->a.g, reads.all.data[i].read)->value, true);
    arena_free(scratch);
}

static void count_block(Spread *s, const Block *b) {
    for (uint32_t i = b->nodes.n; i-- > 0;) count_node(s, b->nodes.data[i]);
}

Activity activity_of(Graph *g, Arena *scratch) {
    Spread s = {.a = {.g = g, .n = g->values.n}};
    s.a.varies = NEWN(scratch, bool, g->values.n);
    s.a.counts = NEWN(scratch, bool, g->values.n);
    for (uint32_t i = 0; i < g->params.n; i++)
        set(&s, s.a.varies, g->params.data[i].value, !g->params.data[i].frozen);
    vary_block(&s, &g->top);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        set(&s, s.a.counts, o->value, o->kind == OUT_LOSS || o->kind == OUT_PENALTY);
    }
    count_block(&s, &g->top);
    return s.a;
}

bool activity_carried(const Activity *a, const Recur *r, uint32_t k) {
    Value final = r->carry.data[k].final;
    bool counts = a->counts[final];
    for (uint32_t c = 0; c < r->classes.n; c++)
        counts = counts || a->counts[r->classes.data[c].args[k]];
    return counts && a->varies[final];
}
