/* Forward mode: the graph with the derivative of its loss in the direction of new inputs.
 *
 * Requires: a verified graph, distributed or not.
 * Maintains: the nodes there were, as a copy. For each parameter that is not frozen there is a
 *   real input "d.NAME" (NAME: its first member) with the parameter's dims, and the output
 *   "d.loss" (metric) is the derivative of loss + penalty when every parameter moves by its
 *   input.
 * Cost: linear in the graph.
 *
 * For tests of graph_grad, whose work this shares only where it is about scalar expressions:
 * tangents read their operands where the equations do, so no subscript is solved and nothing runs
 * backward. */
#include "activity.h"
#include "chain.h"
#include "mirror.h"
#include "reduce.h"

#include <string.h>

typedef struct Tangent {
    Graph *g;
    Arena *scratch;
    Mirror m;
    Activity act;
    Derivatives *formulas;
    Value *tangent; /* by value of the graph that is differentiated; 0 = zero */
    GradError error;
    bool failed;
} Tangent;

static void tangent_block(Tangent *t, Scope *s);

static bool is_needed(Chain *c, Value v) {
    const Tangent *t = c->user;
    return activity_needed(&t->act, v);
}

static ExprId tangent_of_read(Chain *c, ExprId e) {
    const Tangent *t = c->user;
    const Expr x = *graph_expr(t->g, e);
    ExprId subs[MAX_RANK];
    if (!t->tangent[x.value]) return 0;
    for (uint32_t k = 0; k < x.n_args; k++) subs[k] = expr_arg(t->g, e, k);
    return expr_read(t->g, t->tangent[x.value], subs, x.n_args);
}

static ExprId tangent_of_expr(Tangent *t, const Node *n, ExprId y) {
    Arena *scratch = arena_new();
    Chain c = {.g = t->g, .scratch = scratch, .formulas = t->formulas, .user = t};
    c.wanted = is_needed;
    c.tangent = tangent_of_read;
    ExprId e = chain_forward(&c, n->expr, y);
    if (c.missing) {
        t->failed = true;
        t->error.loc = n->loc;
        t->error.text =
            arena_printf(t->g->arena, "'%s' has no derivative", fn_info[c.missing].name);
    }
    arena_free(scratch);
    return e;
}

static const char *tangent_name(Tangent *t, const char *name) {
    return name ? name_of(t->g->names, arena_printf(t->scratch, "d.%s", name)) : NULL;
}

static Value zeros_like(Tangent *t, Scope *s, Value v) {
    const ValueInfo x = *graph_value(t->g, v);
    return mirror_eq(&t->m, s, x.dims, x.rank, RED_NONE, NULL, 0, expr_num(t->g, 0),
                     tangent_name(t, x.name), x.loc);
}

static Value tangent_or_zero(Tangent *t, Scope *s, Value v) {
    return t->tangent[v] ? t->tangent[v] : zeros_like(t, s, v);
}

static void tangent_eq(Tangent *t, Scope *s, const Node *n) {
    Graph *g = t->g;
    if (n->red == RED_ARGMAX) return;
    ExprId e = tangent_of_expr(t, n, n->red == RED_NONE ? mirror_whole(&t->m, n->out) : 0);
    if (!e) return;
    if (n->red == RED_PROD) {
        Value others = reduce_others(&t->m, s, n);
        t->failed = t->failed || !others;
        if (others) e = expr_fn2(g, F_mul, e, mirror_whole(&t->m, others));
    }
    if (n->red == RED_MAX || n->red == RED_MIN)
        e = expr_select(g, reduce_is_first(&t->m, s, n), e, expr_num(g, 0));
    const ValueInfo out = *graph_value(g, n->out);
    t->tangent[n->out] = mirror_eq(&t->m, s, out.dims, out.rank, n->red ? RED_SUM : RED_NONE,
                                   n->extra, n->n_extra, e, tangent_name(t, out.name), n->loc);
}

static void tangent_scatter(Tangent *t, Scope *s, const Node *n) {
    Graph *g = t->g;
    ExprId e = tangent_of_expr(t, n, 0), subs[MAX_RANK];
    if (!e) return;
    const ValueInfo out = *graph_value(g, n->out);
    for (uint32_t q = 0; q < out.rank; q++) subs[q] = mirror_place(&t->m, s, n->subs[q]);
    e = mirror_place(&t->m, s, e);
    Value v = graph_scatter(g, mirror_block(&t->m, s->made), out.dims, out.rank, n->extra,
                            n->n_extra, subs, e, s->level, tangent_name(t, out.name), n->loc);
    mirror_value(&t->m, v, s->made);
    t->tangent[n->out] = v;
}

/* The source, which may come later, is set at the end of the body. */
static void tangent_delay(Tangent *t, Scope *s, const Node *n) {
    Graph *g = t->g;
    int64_t depth = 0;
    size_is_num(g->sizes, graph_value(g, n->out)->dims[0], &depth);
    Value init = tangent_or_zero(t, s->parent, n->init);
    Value v = graph_delay(g, s->made.recur, s->made.cls, 0, init, (uint32_t)depth,
                          tangent_name(t, graph_value(g, n->out)->name), n->loc);
    mirror_value(&t->m, v, s->made);
    t->tangent[n->out] = v;
    if (!n->final) return;
    graph_delay_final(g, v);
    t->tangent[n->final] = graph_node(g, graph_value(g, v)->node)->final;
    mirror_value(&t->m, t->tangent[n->final], s->parent->made);
}

static void end_delays(Tangent *t, Scope *s) {
    const Block *b = mirror_block(&t->m, s->old);
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node n = *graph_node(t->g, b->nodes.data[i]);
        if (n.kind != N_DELAY || !t->tangent[n.out]) continue;
        Value source = tangent_or_zero(t, s, n.source);
        graph_node(t->g, graph_value(t->g, t->tangent[n.out])->node)->source = source;
    }
}

static void tangent_class(Tangent *t, Scope *s, NodeId old, NodeId made, uint32_t cls,
                          const uint32_t *carry) {
    Graph *g = t->g;
    const Recur *r = graph_node(g, old)->recur;
    const RecurClass *c = &r->classes.data[cls];
    graph_recur_class(g, made, c->iters.data, c->iters.n);
    Scope *in = mirror_enter(&t->m, s, old, made, cls);
    const Recur *x = graph_node(g, made)->recur;
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (carry[k] != UINT32_MAX) t->tangent[c->args[k]] = x->classes.data[cls].args[carry[k]];
    tangent_block(t, in);
    end_delays(t, in);
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (carry[k] != UINT32_MAX)
            graph_recur_next(g, made, cls, carry[k], tangent_or_zero(t, in, c->next[k]));
    for (uint32_t o = 0; o < c->outs.n && !t->failed; o++) {
        RecurOut out = c->outs.data[o];
        if (out.result >= t->act.n || !t->tangent[out.body] ||
            !activity_needed(&t->act, out.result))
            continue;
        Value v = graph_recur_out(g, made, cls, t->tangent[out.body], out.axis);
        mirror_value(&t->m, v, s->made);
        t->tangent[out.result] = v;
    }
}

static void tangent_recur(Tangent *t, Scope *s, NodeId id) {
    Graph *g = t->g;
    const Node n = *graph_node(g, id);
    const Recur *r = n.recur;
    NodeId made = graph_recur_begin(g, r->length, r->axis, r->reverse, r->layers, r->level, n.loc);
    mirror_recur(&t->m, made, s->made);
    uint32_t *carry = NEWN(t->scratch, uint32_t, r->carry.n);
    for (uint32_t k = 0; k < r->carry.n; k++) {
        const Carry *c = &r->carry.data[k];
        carry[k] = UINT32_MAX;
        if (activity_carried(&t->act, r, k))
            carry[k] = graph_recur_carry(g, made, tangent_or_zero(t, s, c->init),
                                         tangent_name(t, c->name));
    }
    for (uint32_t c = 0; c < r->classes.n && !t->failed; c++)
        tangent_class(t, s, id, made, c, carry);
    if (t->failed) return;
    graph_recur_end(g, made, mirror_block(&t->m, s->made));
    const Recur *x = graph_node(g, made)->recur;
    for (uint32_t k = 0; k < r->carry.n; k++) {
        if (carry[k] == UINT32_MAX) continue;
        Value v = x->carry.data[carry[k]].final;
        mirror_value(&t->m, v, s->made);
        t->tangent[r->carry.data[k].final] = v;
    }
}

static bool holds_needed(Tangent *t, const Recur *r);

static bool node_needed(Tangent *t, NodeId id) {
    const Node *n = graph_node(t->g, id);
    if (n->kind == N_RECUR) return holds_needed(t, n->recur);
    return activity_needed(&t->act, n->out) ||
           (n->kind == N_DELAY && activity_needed(&t->act, n->final));
}

static bool holds_needed(Tangent *t, const Recur *r) {
    bool any = false;
    for (uint32_t k = 0; k < r->carry.n; k++) any = any || activity_carried(&t->act, r, k);
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const Block *b = &r->classes.data[c].body;
        for (uint32_t i = 0; i < b->nodes.n && !any; i++) any = node_needed(t, b->nodes.data[i]);
    }
    return any;
}

static void tangent_block(Tangent *t, Scope *s) {
    uint32_t n = mirror_block(&t->m, s->old)->nodes.n;
    for (uint32_t i = 0; i < n && !t->failed; i++) {
        NodeId id = mirror_block(&t->m, s->old)->nodes.data[i];
        if (!node_needed(t, id)) continue;
        const Node x = *graph_node(t->g, id);
        switch ((NodeKind)x.kind) {
        case N_EQ: tangent_eq(t, s, &x); break;
        case N_SCATTER: tangent_scatter(t, s, &x); break;
        case N_DELAY: tangent_delay(t, s, &x); break;
        case N_RECUR: tangent_recur(t, s, id); break;
        default: break;
        }
    }
}

static void tangent_inputs(Tangent *t) {
    Graph *g = t->g;
    for (uint32_t i = 0; i < g->params.n; i++) {
        const ParamInfo p = g->params.data[i];
        const ValueInfo x = *graph_value(g, p.value);
        if (p.frozen || x.type != T_REAL) continue;
        const char *name = p.members.n ? p.members.data[0].name : arena_printf(t->scratch, "%u", i);
        Value v = graph_input(g, tangent_name(t, name), T_REAL, ST_DEFAULT, x.dims, x.rank, p.loc);
        mirror_value(&t->m, v, (Home){0, 0});
        t->tangent[p.value] = v;
    }
}

static void tangent_output(Tangent *t, Scope *top) {
    Graph *g = t->g;
    Value sum = 0;
    uint32_t n = g->outputs.n;
    for (uint32_t i = 0; i < n; i++) {
        OutputInfo o = g->outputs.data[i];
        Value v = o.value < t->act.n ? t->tangent[o.value] : 0;
        if ((o.kind != OUT_LOSS && o.kind != OUT_PENALTY) || !v) continue;
        const ValueInfo x = *graph_value(g, v);
        Value one = mirror_eq(&t->m, top, NULL, 0, RED_SUM, x.dims, x.rank, mirror_whole(&t->m, v),
                              NULL, x.loc);
        ExprId e = mirror_whole(&t->m, one);
        if (sum) e = expr_fn2(g, F_add, mirror_whole(&t->m, sum), e);
        sum = mirror_eq(&t->m, top, NULL, 0, RED_NONE, NULL, 0, e, tangent_name(t, "loss"), x.loc);
    }
    Loc nowhere = {0, 0, 0, 0};
    if (!sum)
        sum = mirror_eq(&t->m, top, NULL, 0, RED_NONE, NULL, 0, expr_num(g, 0),
                        tangent_name(t, "loss"), nowhere);
    graph_output(g, OUT_METRIC, "d.loss", sum, 0);
}

Graph *graph_tangent(Graph *src, GradError *why) {
    Arena *scratch = arena_new();
    Graph *g = graph_clone(src, src->entry);
    Tangent t = {.g = g, .scratch = scratch, .formulas = derivatives_new(g, scratch)};
    t.error.text = "the derivative of this needs a tensor with too many axes";
    mirror_begin(&t.m, g, scratch);
    t.act = activity_of(g, scratch);
    t.tangent = NEWN(scratch, Value, t.act.n);
    Scope top = {.parent = NULL};
    tangent_inputs(&t);
    tangent_block(&t, &top);
    if (!t.failed) tangent_output(&t, &top);
    t.failed = t.failed || t.m.too_deep;
    if (t.failed) *why = t.error;
    arena_free(scratch);
    return t.failed ? NULL : g;
}
