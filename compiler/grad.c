/* Reverse mode: from a graph with a loss to the same graph with the gradient of every parameter.
 *
 * Requires: a verified graph after graph_distribute (no delays; recurrences along axes hold
 * cycles only).
 * Maintains: the nodes there were, as a copy; the adjoint nodes come after them in each block.
 *   Every adjoint is an equation or a scatter, of a recurrence the recurrence run from its other
 *   end. Values the adjoint needs from a body are stacked by the forward recurrence; what a
 *   planner recomputes instead is its own choice. What no wanted parameter reaches, or what does
 *   not reach the loss, gets no adjoint.
 * Cost: linear in the graph; two passes over a body for each recurrence it stands in.
 *
 * An adjoint recurrence has the counters of its own: `reverse` is turned over, which for a layer
 * loop means that its iterations, of whatever class, are visited from the last counter to the
 * first.
 *
 * Zeros: the adjoint of an equation without flow is not made; asked for (a parameter nothing
 * reaches, the initial adjoint of a carried value) it is an equation of zeros. */
#include "grad.h"

#include <string.h>

static void grad_block(Grad *d, Room *room, Home old);

/* ---- equations ------------------------------------------------------------------------------- */

static bool is_needed(Chain *c, Value v) {
    const Grad *d = c->user;
    return activity_needed(&d->act, v);
}

/* The flows of one expression over an iteration: cond, if any, guards all of them. */
static void flow_through(Grad *d, Room *room, const Node *n, const Size *iter, uint32_t n_iter,
                         ExprId y, ExprId seed, ExprId cond) {
    Graph *g = d->g;
    Arena *scratch = arena_new();
    Chain c = {.g = g, .scratch = scratch, .formulas = d->formulas, .wanted = is_needed, .user = d};
    Leaves leaves = {.all = {NULL, 0, 0}};
    chain_backward(&c, n->expr, y, seed, &leaves);
    if (c.missing)
        grad_fail(d, n->loc,
                  arena_printf(g->arena, "'%s' has no derivative", fn_info[c.missing].name));
    for (uint32_t i = 0; i < leaves.all.n; i++) {
        const Leaf *l = &leaves.all.data[i];
        const Expr x = *graph_expr(g, l->read);
        Flow f = {.n_iter = n_iter, .rank = x.n_args, .expr = l->flow, .guarded = l->guarded};
        memcpy(f.iter, iter, sizeof *iter * n_iter);
        for (uint32_t q = 0; q < x.n_args; q++) f.subs[q] = expr_arg(g, l->read, q);
        if (cond) f.expr = expr_select(g, cond, f.expr, expr_num(g, 0));
        grad_flow(d, room, x.value, &f);
    }
    arena_free(scratch);
}

static ExprId read_by(Graph *g, Value v, const ExprId *subs) {
    return expr_read(g, v, subs, graph_value(g, v)->rank);
}

static void grad_eq(Grad *d, Room *room, const Node *n) {
    Graph *g = d->g;
    Value dy = grad_adjoint(d, room, n->out);
    if (!dy || n->red == RED_ARGMAX) return;
    const ValueInfo out = *graph_value(g, n->out);
    Size iter[FLOW_ITER];
    memcpy(iter, out.dims, sizeof *iter * out.rank);
    memcpy(iter + out.rank, n->extra, sizeof *iter * n->n_extra);
    uint32_t n_iter = out.rank + (uint32_t)n->n_extra;
    ExprId seed = mirror_whole(&d->m, dy), y = 0, cond = 0;
    if (n->red == RED_NONE) y = mirror_whole(&d->m, n->out);
    if (n->red == RED_PROD) {
        Value others = reduce_others(&d->m, room->scope, n);
        if (!others)
            grad_fail(d, n->loc, "the gradient of this product needs a tensor with too many axes");
        else
            seed = expr_fn2(g, F_mul, seed, mirror_whole(&d->m, others));
    }
    if (n->red == RED_MAX || n->red == RED_MIN) cond = reduce_is_first(&d->m, room->scope, n);
    if (!d->failed) flow_through(d, room, n, iter, n_iter, y, seed, cond);
}

static void grad_scatter(Grad *d, Room *room, const Node *n) {
    Value dy = grad_adjoint(d, room, n->out);
    if (dy) flow_through(d, room, n, n->extra, n->n_extra, 0, read_by(d->g, dy, n->subs), 0);
}

/* ---- recurrences ----------------------------------------------------------------------------- */

static bool anything_flows(const Grad *d, const Recur *r) {
    bool any = false;
    for (uint32_t k = 0; k < r->carry.n; k++) any = any || d->terms[r->carry.data[k].final].n;
    for (uint32_t c = 0; c < r->classes.n; c++)
        for (uint32_t o = 0; o < r->classes.data[c].outs.n; o++) {
            Value v = r->classes.data[c].outs.data[o].result;
            any = any || (v < d->act.n && d->terms[v].n);
        }
    return any;
}

/* What flows into the body of a class from later iterations and from the results. */
static void flow_into_class(Grad *d, Room *room, const uint32_t *carry) {
    Graph *g = d->g;
    const Recur *r = graph_node(g, room->of->old)->recur,
                *made = graph_node(g, room->of->made)->recur;
    uint32_t cls = room->scope->old.cls;
    const RecurClass *c = &r->classes.data[cls];
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (carry[k] != UINT32_MAX)
            grad_flow_whole(d, room, c->next[k],
                            mirror_whole(&d->m, made->classes.data[cls].args[carry[k]]));
    for (uint32_t o = 0; o < c->outs.n; o++) {
        RecurOut out = c->outs.data[o];
        Value dy = out.result < d->act.n ? grad_adjoint(d, room->parent, out.result) : 0;
        if (!dy) continue;
        ExprId at[MAX_RANK];
        uint32_t rank = graph_value(g, out.result)->rank;
        for (uint32_t k = 0; k < rank; k++)
            at[k] = k == out.axis ? r->layers ? expr_pos(g, r->level) : expr_lvl(g, r->level)
                                  : expr_idx(g, k < out.axis ? k : k - 1);
        grad_flow_whole(d, room, out.body, expr_read(g, dy, at, rank));
    }
}

static void grad_class(Grad *d, Room *room, Turnback *t, uint32_t cls, const uint32_t *carry) {
    Graph *g = d->g;
    const Recur *r = graph_node(g, t->old)->recur;
    RecurClass *c = &r->classes.data[cls];
    graph_recur_class(g, t->made, c->iters.data, c->iters.n);
    Room in = {room, mirror_enter(&d->m, room->scope, t->old, t->made, cls), t};
    flow_into_class(d, &in, carry);
    grad_block(d, &in, in.scope->old);
    for (uint32_t k = 0; k < r->carry.n && !d->failed; k++)
        if (carry[k] != UINT32_MAX)
            graph_recur_next(g, t->made, cls, carry[k], grad_adjoint_or_zero(d, &in, c->args[k]));
    if (r->layers && !d->failed) grad_end_class(d, &in);
}

static void grad_recur(Grad *d, Room *room, NodeId id) {
    Graph *g = d->g;
    const Node n = *graph_node(g, id);
    const Recur *r = n.recur;
    if (!anything_flows(d, r)) return;
    Turnback t = {.old = id};
    t.made = graph_recur_begin(g, r->length, r->axis, !r->reverse, r->layers, r->level, n.loc);
    mirror_recur(&d->m, t.made, room->scope->made);
    uint32_t *carry = NEWN(d->scratch, uint32_t, r->carry.n);
    for (uint32_t k = 0; k < r->carry.n; k++) {
        carry[k] = UINT32_MAX;
        if (!activity_carried(&d->act, r, k)) continue;
        Value init = grad_adjoint_or_zero(d, room, r->carry.data[k].final);
        const char *name = r->carry.data[k].name;
        carry[k] = graph_recur_carry(g, t.made, init,
                                     name ? arena_printf(d->scratch, "d.%s", name) : NULL);
    }
    for (uint32_t c = 0; c < r->classes.n && !d->failed; c++) grad_class(d, room, &t, c, carry);
    if (d->failed) return;
    grad_end_recur(d, room, &t);
    const Recur *made = graph_node(g, t.made)->recur;
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (carry[k] != UINT32_MAX)
            grad_flow_whole(d, room, r->carry.data[k].init,
                            mirror_whole(&d->m, made->carry.data[carry[k]].final));
}

/* ---- blocks and the whole -------------------------------------------------------------------- */

/* New nodes are added to the top block meanwhile: its old nodes come first. */
static void grad_block(Grad *d, Room *room, Home old) {
    uint32_t n = mirror_block(&d->m, old)->nodes.n;
    for (uint32_t i = n; i-- > 0 && !d->failed;) {
        NodeId id = mirror_block(&d->m, old)->nodes.data[i];
        const Node x = *graph_node(d->g, id);
        if (x.kind == N_RECUR) grad_recur(d, room, id);
        if (x.kind == N_DELAY) grad_fail(d, x.loc, "a delay: the graph is not distributed");
        if ((x.kind != N_EQ && x.kind != N_SCATTER) || !activity_needed(&d->act, x.out)) continue;
        if (x.kind == N_EQ)
            grad_eq(d, room, &x);
        else
            grad_scatter(d, room, &x);
    }
}

static void seed_outputs(Grad *d, Room *top) {
    for (uint32_t i = 0; i < d->g->outputs.n; i++) {
        OutputInfo o = d->g->outputs.data[i];
        if (o.kind == OUT_LOSS || o.kind == OUT_PENALTY)
            grad_flow_whole(d, top, o.value, expr_num(d->g, 1));
    }
}

static void put_gradients(Grad *d, Room *top) {
    for (uint32_t i = 0; i < d->g->params.n && !d->failed; i++) {
        ParamInfo p = d->g->params.data[i];
        if (p.frozen || graph_value(d->g, p.value)->type != T_REAL) continue;
        graph_output(d->g, OUT_GRAD, p.members.n ? p.members.data[0].name : NULL,
                     grad_adjoint_or_zero(d, top, p.value), i);
    }
}

Graph *graph_grad(Graph *src, GradError *why) {
    Arena *scratch = arena_new();
    Graph *g = graph_clone(src, src->entry);
    Grad d = {.g = g, .scratch = scratch};
    mirror_begin(&d.m, g, scratch);
    d.act = activity_of(g, scratch);
    d.formulas = derivatives_new(g, scratch);
    d.terms = NEWN(scratch, Terms, d.act.n);
    d.adjoint = NEWN(scratch, Value, d.act.n);
    Scope scope = {.parent = NULL};
    Room top = {.scope = &scope};
    seed_outputs(&d, &top);
    grad_block(&d, &top, (Home){0, 0});
    put_gradients(&d, &top);
    if (d.m.too_deep)
        grad_fail(&d, (Loc){0, 0, 0, 0}, "the gradient needs a tensor with too many axes");
    if (d.failed) *why = d.error;
    arena_free(scratch);
    return d.failed ? NULL : g;
}
