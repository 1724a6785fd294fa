/* A cycle of the body of a recurrence: a recurrence of its own, or a sum over the axis when all it
 * does is add up. */
#include "distribute.h"

#include <string.h>

static bool in_cycle(const Dist *d, uint32_t comp, Value v) { return dist_comp(d, v) == comp + 1; }

/* ---- sums ------------------------------------------------------------------------------------ */

typedef struct CycleTest {
    const Dist *d;
    uint32_t comp;
} CycleTest;

static bool reads_cycle(Graph *g, ExprId e, void *user) {
    const CycleTest *t = user;
    return graph_expr(g, e)->op == X_READ && in_cycle(t->d, t->comp, graph_expr(g, e)->value);
}

static bool is_cyclic(Dist *d, uint32_t comp, ExprId e) {
    CycleTest t = {d, comp};
    return walk_any(&d->walk, e, reads_cycle, &t);
}

/* e = base[own indices] + sum of terms, base a value of the cycle */
typedef struct Addends {
    Value base;
    List terms;
} Addends;

static bool split_sum(Dist *d, uint32_t comp, ExprId e, Addends *out);

static bool split_read(Dist *d, uint32_t comp, ExprId e, Addends *out) {
    const Expr x = *graph_expr(d->g, e);
    for (uint32_t k = 0; k < x.n_args; k++)
        if (!is_index(d->g, expr_arg(d->g, e, k), k)) return false;
    out->base = x.value;
    return in_cycle(d, comp, x.value);
}

/* The terms of an arm as one; 0 when the arm is the base alone. */
static ExprId sum_of(Graph *g, const List *terms) {
    ExprId s = 0;
    for (uint32_t k = 0; k < terms->n; k++)
        s = s ? expr_fn2(g, F_add, s, terms->data[k]) : terms->data[k];
    return s;
}

/* select(c, base + a, base + b) = base + select(c, a, b) for a condition off the cycle */
static bool split_select(Dist *d, uint32_t comp, ExprId e, Addends *out) {
    Graph *g = d->g;
    Addends a = {0}, b = {0};
    ExprId cond = expr_arg(g, e, 0), zero = int_zero_like(g, graph_type(g, e));
    if (is_cyclic(d, comp, cond) || !split_sum(d, comp, expr_arg(g, e, 1), &a) ||
        !split_sum(d, comp, expr_arg(g, e, 2), &b) || a.base != b.base)
        return false;
    ExprId s = sum_of(g, &a.terms), t = sum_of(g, &b.terms);
    if (s || t) *PUSH(d->scratch, &out->terms) = expr_select(g, cond, s ? s : zero, t ? t : zero);
    out->base = a.base;
    return true;
}

static bool split_sum(Dist *d, uint32_t comp, ExprId e, Addends *out) {
    Graph *g = d->g;
    const Expr x = *graph_expr(g, e);
    if (x.op == X_READ) return split_read(d, comp, e, out);
    if (x.op == X_SELECT) return split_select(d, comp, e, out);
    if (x.op != X_FN || (x.fn != F_add && x.fn != F_sub)) return false;
    ExprId a = expr_arg(g, e, 0), b = expr_arg(g, e, 1);
    bool left = is_cyclic(d, comp, a), right = is_cyclic(d, comp, b);
    if (left == right || (right && x.fn == F_sub)) return false;
    if (!split_sum(d, comp, left ? a : b, out)) return false;
    ExprId term = left ? b : a;
    *PUSH(d->scratch, &out->terms) = x.fn == F_sub ? expr_fn1(g, F_neg, term) : term;
    return true;
}

static bool used_outside(Dist *d, Value v) {
    uint32_t comp = dist_comp(d, v) - 1;
    for (uint32_t o = 0; o < d->body->outs.n; o++)
        if (d->body->outs.data[o].body == v) return true;
    for (uint32_t x = 0; x < d->n_vertices; x++)
        for (uint32_t k = 0; d->comp[x] != comp && k < d->uses[x].n; k++)
            if (d->uses[x].data[k] == v) return true;
    return false;
}

/* The one carried value of the cycle if all else in it are equations that only the cycle uses. */
static bool adds_up(Dist *d, const uint32_t *xs, uint32_t n, uint32_t *carry) {
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        Value v;
        if (xs[i] >= d->n_nodes) {
            if (found) return false;
            found = true;
            *carry = xs[i] - d->n_nodes;
            v = d->body->args[*carry];
        } else {
            const Node *e = graph_node(d->g, d->nodes[xs[i]]);
            if (e->kind != N_EQ || e->red != RED_NONE) return false;
            v = e->out;
        }
        if (used_outside(d, v)) return false;
    }
    return found;
}

/* final = init + sum over the axis of every term, each sum an equation of its own */
static void emit_sums(Dist *d, const Carry *c, const List *terms) {
    Graph *g = d->g;
    const ValueInfo f = *graph_value(g, c->final);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < f.rank; k++) subs[k] = expr_idx(g, k);
    ExprId total = expr_read(g, c->init, subs, f.rank);
    for (uint32_t k = terms->n; k-- > 0;) {
        ExprId e = dist_expr(d, terms->data[k], expr_idx(g, f.rank), -1, true);
        Value s = graph_eq(g, d->out, f.dims, f.rank, RED_SUM, &d->r->length, 1, e, d->level,
                           f.name, d->loc);
        total = expr_fn2(g, F_add, total, expr_read(g, s, subs, f.rank));
    }
    *PUSH(g->arena, &d->out->nodes) =
        eq_for(g, c->final, RED_NONE, NULL, 0, total, d->level, d->loc);
}

static bool cycle_is_sum(Dist *d, const uint32_t *xs, uint32_t n) {
    uint32_t carry = 0, comp = d->comp[xs[0]], steps = 1;
    if (!adds_up(d, xs, n, &carry)) return false;
    Addends sum = {0};
    Value v = d->body->next[carry];
    for (; v != d->body->args[carry]; v = sum.base, steps++)
        if (!split_sum(d, comp, graph_node(d->g, graph_value(d->g, v)->node)->expr, &sum))
            return false;
    if (steps != n) return false;
    emit_sums(d, &d->r->carry.data[carry], &sum.terms);
    return true;
}

/* ---- reads at other positions than the present one ------------------------------------------- */

static bool has_counter(Graph *g, ExprId e, void *user) {
    const Dist *d = user;
    const Expr *x = graph_expr(g, e);
    return (x->op == X_LVL || x->op == X_POS) && x->i == d->level;
}

/* A read of an outer value at more than the plain counter. */
static bool is_shifted_read(Graph *g, ExprId e, void *user) {
    Dist *d = user;
    const Expr x = *graph_expr(g, e);
    if (x.op != X_READ) return false;
    uint32_t plain = 0;
    for (uint32_t k = 0; k < x.n_args; k++) {
        ExprId s = expr_arg(g, e, k);
        if (graph_expr(g, s)->op == X_LVL && graph_expr(g, s)->i == d->level)
            plain++;
        else if (walk_any(&d->inner, s, has_counter, d))
            return true;
    }
    return plain > 1;
}

/* What an expression varies with: its own indices, then the counters of recurrences inside the
 * cycle. */
enum { COUNTERS = 2 * MAX_RANK, VARIES_WITH = COUNTERS + MAX_LEVELS };
#define NOT_STORABLE (UINT64_C(1) << 63)

typedef struct SameIndices {
    Dist *d;
    uint64_t set;
    bool found;
} SameIndices;

static void own_index(Walk *w, ExprId e, void *user) {
    SameIndices *s = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_IDX) s->set |= UINT64_C(1) << x->i;
    if ((x->op == X_LVL || x->op == X_POS) && x->i > s->d->level)
        s->set |= x->op == X_POS ? NOT_STORABLE : UINT64_C(1) << (COUNTERS + x->i);
}

static uint64_t own_indices(Dist *d, Walk *w, ExprId e) {
    SameIndices s = {.d = d};
    walk_expr(w, e, own_index, &s);
    return s.set;
}

static void same_indices(Walk *w, ExprId e, void *user) {
    SameIndices *s = user;
    if (graph_expr(w->g, e)->op == X_READ) s->found |= own_indices(s->d, &s->d->inner, e) == s->set;
}

/* Storing e for every step takes no more room than storing one of the tensors it reads. */
static bool worth_storing(Dist *d, ExprId e, uint64_t set) {
    SameIndices s = {d, set, false};
    walk_expr(&d->walk, e, same_indices, &s);
    return s.found;
}

typedef struct StoreRead {
    Dist *d;
    uint32_t comp;
    Size sizes[VARIES_WITH];    /* of the own indices, lengths of the counters */
    uint8_t index[VARIES_WITH]; /* what they are in the stored value */
    uint8_t counter;            /* what the counter of the cycle is there */
} StoreRead;

static ExprId rename_stored(Edit *ed, ExprId e, const ExprId *args) {
    const StoreRead *s = ed->user;
    const Expr x = *graph_expr(ed->g, e);
    (void)args;
    if (x.op == X_IDX) return expr_idx(ed->g, s->index[x.i]);
    if ((x.op == X_LVL || x.op == X_POS) && x.i == s->d->level) return expr_idx(ed->g, s->counter);
    return x.op == X_LVL && x.i > s->d->level ? expr_idx(ed->g, s->index[COUNTERS + x.i]) : 0;
}

/* e, an expression over the whole axis, as a read of a stored value at the counter; 0 if its
 * rank is too high. */
static ExprId stored(StoreRead *s, ExprId e, uint64_t set) {
    Dist *d = s->d;
    Graph *g = d->g;
    Size dims[MAX_RANK];
    ExprId subs[MAX_RANK];
    uint32_t rank = 0, n = (uint32_t)__builtin_popcountll(set), at = d->axis < n ? d->axis : n;
    if (n >= MAX_RANK || set & NOT_STORABLE) return 0;
    for (uint32_t k = 0; k <= VARIES_WITH; k++) {
        if (rank == at) {
            dims[rank] = d->r->length;
            subs[rank] = expr_lvl(g, d->level);
            s->counter = (uint8_t)rank++;
        }
        if (!(set >> k & 1)) continue;
        dims[rank] = s->sizes[k];
        subs[rank] = k < COUNTERS ? expr_idx(g, k) : expr_lvl(g, k - COUNTERS);
        s->index[k] = (uint8_t)rank++;
    }
    Edit ed = edit_new(g, d->scratch, rename_stored, s);
    e = edit_expr(&ed, e);
    Value v = graph_eq(g, d->out, dims, rank, RED_NONE, NULL, 0, e, d->level, NULL, d->loc);
    return expr_read(g, v, subs, rank);
}

/* e with its shifted reads replaced by reads of stored values. guard: what is known where e is
 * evaluated (0 nothing); known: it is all that is. */
static ExprId store_reads(StoreRead *s, ExprId e, ExprId guard, bool known) {
    Dist *d = s->d;
    Graph *g = d->g;
    if (!walk_any(&d->walk, e, is_shifted_read, d) || !known) return e;
    if (!is_cyclic(d, s->comp, e)) {
        ExprId whole = guard ? expr_select(g, guard, e, int_zero_like(g, graph_type(g, e))) : e;
        uint64_t set = own_indices(d, &d->walk, whole);
        ExprId r =
            worth_storing(d, e, set) || graph_expr(g, e)->op == X_READ ? stored(s, whole, set) : 0;
        if (r || graph_expr(g, e)->op == X_READ) return r ? r : e;
    }
    const Expr x = *graph_expr(g, e);
    ExprId args[EDIT_ARGS];
    for (uint32_t k = 0; k < x.n_args; k++) {
        ExprId more = guard, cond = k > 0 && x.op == X_SELECT ? expr_arg(g, e, 0) : 0;
        bool still = known && (!cond || !is_cyclic(d, s->comp, cond));
        if (cond && still) {
            ExprId c = k == 1 ? cond : expr_fn1(g, F_not, cond);
            more = guard ? expr_fn2(g, F_and, guard, c) : c;
        }
        args[k] = store_reads(s, expr_arg(g, e, k), more, still);
    }
    return edit_rebuild(g, e, args);
}

/* ---- the body -------------------------------------------------------------------------------- */

static void cycle_eq(Dist *d, NodeId id, uint32_t comp) {
    Graph *g = d->g;
    Node n = *graph_node(g, id);
    const ValueInfo v = *graph_value(g, n.out);
    StoreRead s = {.d = d, .comp = comp};
    uint32_t rank = n.kind == N_EQ ? v.rank : 0;
    memcpy(s.sizes, v.dims, rank * sizeof *v.dims);
    memcpy(s.sizes + rank, n.extra, n.n_extra * sizeof *n.extra);
    memcpy(s.sizes + COUNTERS, d->length, sizeof d->length);
    ExprId here = expr_lvl(g, d->level);
    n.expr = store_reads(&s, dist_expr(d, n.expr, here, -1, false), 0, true);
    for (uint32_t k = 0; n.kind == N_SCATTER && k < v.rank; k++)
        n.subs[k] = store_reads(&s, dist_expr(d, n.subs[k], here, -1, false), 0, true);
    *graph_node(g, id) = n;
}

/* Inside the cycle: reads of what has left the body become reads at the counter. */
static void cycle_node(Dist *d, NodeId id, Block *to, uint32_t comp) {
    Node n = *graph_node(d->g, id);
    if (n.kind == N_EQ || n.kind == N_SCATTER) cycle_eq(d, id, comp);
    if (n.kind == N_RECUR) {
        Recur *r = n.recur;
        d->length[r->level] = r->length;
        for (uint32_t k = 0; k < r->carry.n; k++)
            r->carry.data[k].init = dist_form(d, r->carry.data[k].init, -1, to, r->level);
        for (uint32_t i = 0; i < r->classes.n; i++) {
            RecurClass *c = &r->classes.data[i];
            Block old = c->body;
            memset(&c->body, 0, sizeof c->body);
            for (uint32_t k = 0; k < old.nodes.n; k++)
                cycle_node(d, old.nodes.data[k], &c->body, comp);
            for (uint32_t k = 0; k < r->carry.n; k++)
                c->next[k] = dist_form(d, c->next[k], -1, &c->body, r->level + 1u);
            for (uint32_t o = 0; o < c->outs.n; o++)
                c->outs.data[o].body =
                    dist_form(d, c->outs.data[o].body, -1, &c->body, r->level + 1u);
        }
    }
    *PUSH(d->g->arena, &to->nodes) = id;
}

/* What the delay line holds after this step: source, then what it held but the last. */
static Value shifted_line(Dist *d, const Node *delay, Block *to) {
    Graph *g = d->g;
    const ValueInfo v = *graph_value(g, delay->out);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < v.rank; k++) subs[k] = expr_idx(g, k);
    ExprId e = expr_read(g, delay->source, subs + 1, v.rank - 1u);
    if (v.dims[0] != size_num(g->sizes, 1)) {
        ExprId newest = expr_fn2(g, F_eq, subs[0], expr_int(g, 0));
        subs[0] = int_add(g, subs[0], -1);
        e = expr_select(g, newest, e, expr_read(g, delay->out, subs, v.rank));
    }
    Value next = value_new(g, (Type)v.type, (Store)v.store, v.dims, v.rank, v.name, v.loc);
    *PUSH(g->arena, &to->nodes) = eq_for(g, next, RED_NONE, NULL, 0, e, d->level + 1, delay->loc);
    return next;
}

static void add_carry(Dist *d, NodeId id, Value arg, Value next, Carry c) {
    Graph *g = d->g;
    Recur *r = graph_node(g, id)->recur;
    uint32_t k = r->carry.n;
    if (c.final)
        graph_value(g, c.final)->node = id;
    else {
        const ValueInfo v = *graph_value(g, c.init);
        c.final = value_new(g, (Type)v.type, (Store)v.store, v.dims, v.rank, v.name, v.loc);
        graph_value(g, c.final)->node = id;
    }
    *PUSH(g->arena, &r->carry) = c;
    r->classes.data[0].args[k] = arg;
    r->classes.data[0].next[k] = next;
    graph_node(g, graph_value(g, arg)->node)->index = k;
}

static void delay_to_carry(Dist *d, NodeId id, NodeId delay) {
    Graph *g = d->g;
    const Node n = *graph_node(g, delay);
    const ValueInfo v = *graph_value(g, n.out);
    Value next = shifted_line(d, &n, &graph_node(g, id)->recur->classes.data[0].body);
    Node *arg = PUSH(g->arena, &g->nodes);
    arg->kind = N_ARG;
    arg->level = (uint8_t)(d->level + 1);
    arg->out = n.out;
    arg->loc = n.loc;
    graph_value(g, n.out)->node = g->nodes.n - 1;
    add_carry(d, id, n.out, next, (Carry){.init = n.init, .final = n.final, .name = v.name});
}

typedef struct Stack {
    Dist *d;
    NodeId id;
} Stack;

/* Makes v, a value of the cycle, known outside if something there needs it. */
static void stack_value(Value v, void *user) {
    Stack *s = user;
    Dist *d = s->d;
    Graph *g = d->g;
    if (!used_outside(d, v)) return;
    Recur *r = graph_node(g, s->id)->recur;
    Place p = {.kind = PL_SELF};
    for (uint32_t o = 0; o < d->body->outs.n; o++) {
        RecurOut out = d->body->outs.data[o];
        if (out.body != v) continue;
        d->out_done[o] = true;
        *PUSH(g->arena, &r->classes.data[0].outs) = out;
        graph_value(g, out.result)->node = s->id;
        if (p.kind == PL_SELF) p = (Place){.kind = PL_AXIS, .axis = out.axis, .value = out.result};
    }
    if (p.kind == PL_SELF) {
        uint32_t rank = graph_value(g, v)->rank, at = d->axis < rank ? d->axis : rank;
        p = (Place){
            .kind = PL_AXIS, .axis = (uint8_t)at, .value = value_with_axis(g, v, d->r->length, at)};
        graph_value(g, p.value)->node = s->id;
        *PUSH(g->arena, &r->classes.data[0].outs) =
            (RecurOut){.body = v, .axis = (uint8_t)at, .result = p.value};
    }
    d->place[v] = p;
}

static NodeId begin(Dist *d, uint32_t n_carry) {
    Graph *g = d->g;
    NodeId id =
        graph_recur_begin(g, d->r->length, d->r->axis, d->r->reverse, false, d->level, d->loc);
    Recur *r = graph_node(g, id)->recur;
    RecurClass *c = PUSH(g->arena, &r->classes);
    c->args = NEWN(g->arena, Value, n_carry);
    c->next = NEWN(g->arena, Value, n_carry);
    return id;
}

void dist_cycle(Dist *d, const uint32_t *xs, uint32_t n) {
    Graph *g = d->g;
    if (cycle_is_sum(d, xs, n)) return;
    NodeId id = begin(d, n);
    Block *body = &graph_node(g, id)->recur->classes.data[0].body;
    for (uint32_t i = 0; i < n; i++) /* nodes come before carried values */
        if (xs[i] < d->n_nodes && graph_node(g, d->nodes[xs[i]])->kind != N_DELAY)
            cycle_node(d, d->nodes[xs[i]], body, d->comp[xs[0]]);
    for (uint32_t i = 0; i < n; i++) {
        if (xs[i] >= d->n_nodes) {
            uint32_t k = xs[i] - d->n_nodes;
            add_carry(d, id, d->body->args[k], d->body->next[k], d->r->carry.data[k]);
        } else if (graph_node(g, d->nodes[xs[i]])->kind == N_DELAY) {
            delay_to_carry(d, id, d->nodes[xs[i]]);
        }
    }
    Stack s = {d, id};
    for (uint32_t i = 0; i < n; i++) {
        if (xs[i] >= d->n_nodes)
            stack_value(d->body->args[xs[i] - d->n_nodes], &s);
        else
            walk_defs(g, d->nodes[xs[i]], stack_value, &s);
    }
    *PUSH(g->arena, &d->out->nodes) = id;
}
