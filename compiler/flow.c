/* Where flows go: to a value of the same block, or out of a recurrence.
 *
 * Requires: flows come in an order in which a value's adjoint is asked for after all its flows.
 * Maintains: an adjoint is the sum of its terms in the order in which they came.
 * Cost: one turning (adjoint.c) a flow, one equation a sum that is left, and one a value.
 *
 * Out of a recurrence along an axis a flow leaves as it is: outside, the counter is one more
 * index of it, and values of the body are stacked. So a weight used at each step gets one sum
 * over all steps. Out of a layer loop nothing big is stacked: the flow is turned round in the
 * body, and what comes of it is an item of a stack (a parameter of its own for each layer) or
 * added to a carried sum. */
#include "grad.h"

#include <string.h>

void grad_fail(Grad *d, Loc loc, const char *text) {
    if (d->failed) return;
    d->failed = true;
    d->error = (GradError){loc, text};
}

static const char *adjoint_name(Grad *d, Value v) {
    const char *name = graph_value(d->g, v)->name;
    return name ? name_of(d->g->names, arena_printf(d->scratch, "d.%s", name)) : NULL;
}

static bool is_zero(Graph *g, ExprId e) {
    const Expr *x = graph_expr(g, e);
    return x->op == X_NUM && x->num == 0;
}

/* ---- turning round --------------------------------------------------------------------------- */

typedef struct Target {
    Value v; /* for its name and place */
    uint32_t rank;
    Size dims[MAX_RANK];
} Target;

static Value scatter(Grad *d, Room *room, const Target *t, const Flow *f, const Turned *out) {
    Graph *g = d->g;
    ExprId subs[MAX_RANK];
    for (uint32_t q = 0; q < t->rank; q++) subs[q] = mirror_place(&d->m, room->scope, f->subs[q]);
    ExprId e = mirror_place(&d->m, room->scope, out->expr);
    Value v = graph_scatter(g, mirror_block(&d->m, room->scope->made), t->dims, t->rank, f->iter,
                            f->n_iter, subs, e, room->scope->level, adjoint_name(d, t->v),
                            graph_value(g, t->v)->loc);
    mirror_value(&d->m, v, room->scope->made);
    return v;
}

/* The sum over the indices that are left, what does not depend on them outside. */
static ExprId sum_up(Grad *d, Room *room, const Target *t, const Turned *out) {
    Graph *g = d->g;
    Size sizes[2 * MAX_RANK];
    memcpy(sizes, t->dims, sizeof *sizes * t->rank);
    memcpy(sizes + t->rank, out->extra, sizeof *sizes * out->n_extra);
    Ranges r = {sizes, t->rank + out->n_extra, d->m.levels, room->scope->level};
    ExprId inner = reduce_inner(g, out->expr, t->rank, &r);
    Value v = mirror_eq(&d->m, room->scope, t->dims, t->rank, RED_SUM, out->extra, out->n_extra,
                        inner, adjoint_name(d, t->v), graph_value(g, t->v)->loc);
    return reduce_outer(g, out->expr, t->rank, &r, mirror_whole(&d->m, v));
}

/* Adds the flow to terms, turned round in room. */
static void turn(Grad *d, Room *room, const Target *t, Flow *f, Terms *terms) {
    Turned out;
    Loc loc = graph_value(d->g, t->v)->loc;
    if (!adjoint_turn(d->g, t->dims, d->m.levels, room->scope->level, f, &out)) {
        grad_fail(d, loc, "the gradient of this needs a tensor with too many axes");
        return;
    }
    if (is_zero(d->g, out.expr)) return;
    ExprId term = out.expr;
    if (out.scatter)
        term = mirror_whole(&d->m, scatter(d, room, t, f, &out));
    else if (out.n_extra)
        term = sum_up(d, room, t, &out);
    *PUSH(d->scratch, terms) = term;
}

static Target target_of(Graph *g, Value v) {
    const ValueInfo *x = graph_value(g, v);
    Target t = {.v = v, .rank = x->rank};
    memcpy(t.dims, x->dims, sizeof t.dims);
    return t;
}

/* ---- sums of terms --------------------------------------------------------------------------- */

/* The value e is a plain copy of, if it may stand for a value with these dims. */
static Value copy_of(Graph *g, ExprId e, const Target *t) {
    const Expr x = *graph_expr(g, e);
    if (x.op != X_READ || x.n_args != t->rank) return 0;
    for (uint32_t k = 0; k < x.n_args; k++) {
        const Expr *s = graph_expr(g, expr_arg(g, e, k));
        if (s->op != X_IDX || s->i != k || graph_value(g, x.value)->dims[k] != t->dims[k]) return 0;
    }
    return x.value;
}

static ExprId sum_of(Graph *g, const Terms *terms, ExprId first) {
    ExprId sum = first;
    for (uint32_t i = 0; i < terms->n; i++)
        sum = sum ? expr_fn2(g, F_add, sum, terms->data[i]) : terms->data[i];
    return sum ? sum : expr_num(g, 0);
}

static Value value_of(Grad *d, Room *room, const Target *t, ExprId e, Store store) {
    Value v = copy_of(d->g, mirror_place(&d->m, room->scope, e), t);
    if (v) return v;
    v = mirror_eq(&d->m, room->scope, t->dims, t->rank, RED_NONE, NULL, 0, e, adjoint_name(d, t->v),
                  graph_value(d->g, t->v)->loc);
    graph_value(d->g, v)->store = (uint8_t)store;
    return v;
}

Value grad_adjoint(Grad *d, Room *room, Value v) {
    if (d->adjoint[v] || d->terms[v].n == 0) return d->adjoint[v];
    Target t = target_of(d->g, v);
    Store store = (Store)graph_value(d->g, v)->store;
    return d->adjoint[v] = value_of(d, room, &t, sum_of(d->g, &d->terms[v], 0), store);
}

Value grad_adjoint_or_zero(Grad *d, Room *room, Value v) {
    Value a = grad_adjoint(d, room, v);
    if (a) return a;
    Target t = target_of(d->g, v);
    return value_of(d, room, &t, expr_num(d->g, 0), (Store)graph_value(d->g, v)->store);
}

/* ---- sinks of layer loops -------------------------------------------------------------------- */

typedef struct Uses {
    uint32_t level;
    bool own, counter, outer; /* own indices or reads; the counter of level itself */
    bool true_count;          /* X_LVL of level */
} Uses;

static void see_use(Graph *g, ExprId e, void *user) {
    Uses *u = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_IDX || x->op == X_READ) u->own = true;
    if ((x->op == X_LVL || x->op == X_POS) && x->i == u->level) u->counter = true;
    if (x->op == X_LVL && x->i == u->level) u->true_count = true;
}

static Uses uses_of(Graph *g, ExprId e, uint32_t level) {
    Uses u = {.level = level};
    expr_walk(g, e, see_use, &u);
    return u;
}

static Sink *sink_for(Grad *d, Turnback *t, Value v, const Flow *f) {
    Recur *r = graph_node(d->g, t->made)->recur;
    Sink s = {.v = v};
    for (uint32_t q = 0; q < f->rank; q++) {
        Uses u = uses_of(d->g, f->subs[q], r->level);
        if (u.own) continue;
        s.fixed[q] = f->subs[q];
        s.stacked = s.stacked || u.counter;
    }
    for (uint32_t i = 0; i < t->sinks.n; i++) {
        Sink *old = &t->sinks.data[i];
        if (old->v == v && memcmp(old->fixed, s.fixed, sizeof s.fixed) == 0) return old;
    }
    s.carry = UINT32_MAX;
    Sink *new_one = PUSH(d->scratch, &t->sinks);
    *new_one = s;
    return new_one;
}

static Target kept_axes(Graph *g, const Sink *s) {
    Target all = target_of(g, s->v), t = {.v = s->v};
    for (uint32_t q = 0; q < all.rank; q++)
        if (!s->fixed[q]) t.dims[t.rank++] = all.dims[q];
    return t;
}

static void flow_to_sink(Grad *d, Room *room, Value v, Flow *f) {
    Sink *s = sink_for(d, room->of, v, f);
    Target t = kept_axes(d->g, s);
    Flow kept = *f;
    kept.rank = 0;
    for (uint32_t q = 0; q < f->rank; q++)
        if (!s->fixed[q]) kept.subs[kept.rank++] = f->subs[q];
    turn(d, room, &t, &kept, &s->terms);
}

/* The sum s is carried in carry s->carry, made when first needed; classes from `from` on get it
 * too. */
static void add_carry(Grad *d, Room *room, Sink *s) {
    Graph *g = d->g;
    Turnback *t = room->of;
    Target kept = kept_axes(g, s);
    Value zero = mirror_eq(&d->m, room->parent->scope, kept.dims, kept.rank, RED_NONE, NULL, 0,
                           expr_num(g, 0), adjoint_name(d, s->v), graph_value(g, s->v)->loc);
    graph_value(g, zero)->store = ST_F32; /* a sum over layers loses too much in anything shorter */
    s->carry = graph_recur_carry(g, t->made, zero, adjoint_name(d, s->v));
    const Recur *r = graph_node(g, t->made)->recur;
    for (uint32_t c = 0; c < r->classes.n; c++) {
        Value arg = r->classes.data[c].args[s->carry];
        mirror_value(&d->m, arg, (Home){t->made, c});
        graph_recur_next(g, t->made, c, s->carry, arg);
    }
}

/* A class made after the carry passes it on unless it adds to it. */
static void carry_sum(Grad *d, Room *room, Sink *s) {
    Graph *g = d->g;
    if (s->carry == UINT32_MAX && s->terms.n) add_carry(d, room, s);
    if (s->carry == UINT32_MAX) return;
    uint32_t cls = room->scope->made.cls;
    Value next = graph_node(g, room->of->made)->recur->classes.data[cls].args[s->carry];
    Target kept = kept_axes(g, s);
    if (s->terms.n)
        next = value_of(d, room, &kept, sum_of(g, &s->terms, mirror_whole(&d->m, next)), ST_F32);
    graph_recur_next(g, room->of->made, cls, s->carry, next);
}

typedef struct Counter {
    uint32_t level;
    ExprId count, position; /* stand for X_LVL and X_POS */
} Counter;

static ExprId counter_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    const Counter *c = m->user;
    const Expr *x = graph_expr(m->src, e);
    (void)subs;
    if ((x->op != X_LVL && x->op != X_POS) || x->i != c->level) return 0;
    return x->op == X_LVL ? c->count : c->position;
}

static ExprId put_counter(Grad *d, ExprId e, Counter *c) {
    ExprMap m = {.src = d->g, .dst = d->g, .leaf = counter_leaf, .user = c};
    Arena *scratch = arena_new();
    expr_map_begin(&m, scratch);
    e = expr_map(&m, e);
    arena_free(scratch);
    return e;
}

/* Iterations first .. first+n-1 of a class count start, start+step, ...: index 0 of a flow
 * outside. */
typedef struct Run {
    uint32_t first, n;
    int64_t start, step;
} Run;

static void part_run(Grad *d, Turnback *t, const Sink *s, Value stack, const Run *run) {
    Graph *g = d->g;
    const Recur *r = graph_node(g, t->made)->recur;
    ExprId i = expr_idx(g, 0), at[MAX_RANK];
    ExprId count =
        expr_fn2(g, F_add, expr_fn2(g, F_mul, i, expr_int(g, run->step)), expr_int(g, run->start));
    Counter c = {r->level, count, expr_fn2(g, F_add, i, expr_int(g, run->first))};
    Parting *p = PUSH(d->scratch, &t->parting);
    Target all = target_of(g, s->v);
    *p = (Parting){.v = s->v};
    p->flow.rank = all.rank;
    p->flow.guarded = true; /* a layer whose guard fails has no place */
    p->flow.iter[p->flow.n_iter++] = size_num(g->sizes, run->n);
    at[0] = c.position;
    for (uint32_t q = 0; q < all.rank; q++) {
        if (s->fixed[q]) {
            p->flow.subs[q] = put_counter(d, s->fixed[q], &c);
            continue;
        }
        p->flow.subs[q] = at[p->flow.n_iter] = expr_idx(g, p->flow.n_iter);
        p->flow.iter[p->flow.n_iter++] = all.dims[q];
    }
    p->flow.expr = expr_read(g, stack, at, p->flow.n_iter);
}

/* The stack of a class leaves in runs of iterations with equal steps. */
static void stack_sum(Grad *d, Room *room, Sink *s) {
    Graph *g = d->g;
    if (!s->terms.n) return;
    Target kept = kept_axes(g, s);
    Value v = value_of(d, room, &kept, sum_of(g, &s->terms, 0), ST_DEFAULT);
    if (!home_same(mirror_home(&d->m, v), room->scope->made)) /* a copy of something outside */
        v = mirror_eq(&d->m, room->scope, kept.dims, kept.rank, RED_NONE, NULL, 0,
                      mirror_whole(&d->m, v), adjoint_name(d, s->v), graph_value(g, s->v)->loc);
    Value stack = mirror_stack(&d->m, v);
    if (!stack) return;
    const RecurClass *c =
        &graph_node(g, room->of->made)->recur->classes.data[room->scope->made.cls];
    uint32_t level = graph_node(g, room->of->made)->recur->level;
    bool counted = false;
    for (uint32_t q = 0; q < MAX_RANK; q++)
        counted = counted || (s->fixed[q] && uses_of(g, s->fixed[q], level).true_count);
    const uint32_t *it = c->iters.data;
    for (uint32_t first = 0, n; first < c->iters.n; first += n) {
        int64_t step = first + 1 < c->iters.n ? (int64_t)it[first + 1] - it[first] : 1;
        for (n = 1; first + n < c->iters.n; n++)
            if (counted && (int64_t)it[first + n] - it[first + n - 1] != step) break;
        Run run = {first, n, it[first], step};
        part_run(d, room->of, s, stack, &run);
    }
}

void grad_end_class(Grad *d, Room *room) {
    for (uint32_t i = 0; i < room->of->sinks.n; i++) {
        Sink *s = &room->of->sinks.data[i];
        if (s->stacked)
            stack_sum(d, room, s);
        else
            carry_sum(d, room, s);
        memset(&s->terms, 0, sizeof s->terms);
    }
}

/* ---- leaving recurrences --------------------------------------------------------------------- */

/* A flow of the body of a recurrence along an axis, seen from outside: its counter is one index
 * more. */
static bool lift(Grad *d, Room *room, Turnback *t, Flow *f) {
    Graph *g = d->g;
    const Recur *r = graph_node(g, t->made)->recur;
    if (f->n_iter == FLOW_ITER) return false;
    ExprId at = expr_idx(g, f->n_iter);
    Counter c = {r->level, at, at};
    f->iter[f->n_iter++] = r->length;
    f->expr = put_counter(d, mirror_place(&d->m, room->scope, f->expr), &c);
    for (uint32_t q = 0; q < f->rank; q++)
        f->subs[q] = put_counter(d, mirror_place(&d->m, room->scope, f->subs[q]), &c);
    return true;
}

void grad_end_recur(Grad *d, Room *room, Turnback *t) {
    Graph *g = d->g;
    graph_recur_end(g, t->made, mirror_block(&d->m, room->scope->made));
    const Recur *r = graph_node(g, t->made)->recur;
    for (uint32_t k = 0; k < r->carry.n; k++)
        mirror_value(&d->m, r->carry.data[k].final, room->scope->made);
    for (uint32_t i = 0; i < t->sinks.n; i++) {
        const Sink *s = &t->sinks.data[i];
        if (s->carry == UINT32_MAX) continue;
        Parting *p = PUSH(d->scratch, &t->parting);
        Target all = target_of(g, s->v);
        *p = (Parting){.v = s->v, .flow = {.rank = all.rank}};
        for (uint32_t q = 0; q < all.rank; q++) {
            p->flow.subs[q] = s->fixed[q] ? s->fixed[q] : expr_idx(g, p->flow.n_iter);
            if (!s->fixed[q]) p->flow.iter[p->flow.n_iter++] = all.dims[q];
        }
        p->flow.expr = mirror_whole(&d->m, r->carry.data[s->carry].final);
    }
    for (uint32_t i = 0; i < t->parting.n; i++) {
        Parting p = t->parting.data[i];
        if (r->layers || lift(d, room, t, &p.flow))
            grad_flow(d, room, p.v, &p.flow);
        else
            grad_fail(d, graph_value(g, p.v)->loc,
                      "the gradient of this needs a tensor with too many axes");
    }
}

void grad_flow(Grad *d, Room *room, Value v, Flow *f) {
    if (d->failed || !activity_needed(&d->act, v)) return;
    if (home_same(mirror_home(&d->m, v), room->scope->old)) {
        Target t = target_of(d->g, v);
        turn(d, room, &t, f, &d->terms[v]);
    } else if (graph_node(d->g, room->of->old)->recur->layers) {
        flow_to_sink(d, room, v, f);
    } else {
        Parting *p = PUSH(d->scratch, &room->of->parting);
        *p = (Parting){v, *f};
    }
}

void grad_flow_whole(Grad *d, Room *room, Value v, ExprId e) {
    const ValueInfo x = *graph_value(d->g, v);
    Flow f = {.n_iter = x.rank, .rank = x.rank, .expr = e};
    for (uint32_t k = 0; k < x.rank; k++) {
        f.iter[k] = x.dims[k];
        f.subs[k] = expr_idx(d->g, k);
    }
    grad_flow(d, room, v, &f);
}
