/* Recurrences run again instead of kept: where a recurrence that runs backward reads, step for step, what
 * another one made at every step, the values that are as large as its state are not kept. The first one
 * keeps what it carries at every `every`-th step only, and a copy of it stands before the backward one,
 * which the schedule runs from there, a few steps at a time.
 *
 *     l: S[t] for all t of every layer  ->  S[0], S[16], S[32] ... of every layer, and S again, backward
 *
 * The backward recurrence stands beside the first one, or in a layer loop of the same layers later on. What
 * the copy reads of the first loop's body is kept for it where it is not yet.
 *
 * Requires a simplified, distributed graph, readers pulled (pull.c). Maintains every value up to rounding.
 * In place, then swept; cost linear in blocks times recurrences in them. */
#include <string.h>

#include "again.h"
#include "plan_impl.h"

enum { CHUNK_BYTES = 1 << 18, LEAST_STEPS = 4, MOST_STEPS = 64, STATE_RATIO = 8 };

/* A value that the backward recurrence reads at each of its steps. */
typedef struct Stack {
    Value value;  /* as it is read there */
    Value body;   /* of the recurrence that made it */
    Value again;  /* what the copy gives out: the axis of steps is the last one */
    uint8_t axis; /* of steps, in value */
} Stack;

typedef struct Replay {
    Graph *g;
    Arena *scratch;
    Walk walk;
    Again again;
    uint32_t *uses;
    uint32_t n_values;
    NodeId loop;      /* the layer loop around, 0 none */
    uint32_t cls;     /* and the class at hand */
    NodeId back;      /* the backward recurrence */
    NodeId from;      /* the recurrence that made what it reads */
    NodeId from_loop; /* the layer loop around that one */
    uint32_t from_cls;
    VEC(Stack) stacks;
    PlanLog *log; /* or NULL */
    bool ok;
} Replay;

static Recur *recur_of(Replay *p, NodeId n) { return graph_node(p->g, n)->recur; }

/* ---- who makes it -------------------------------------------------------------------------------- */

/* If in a loop, then over the same layers as the one at hand. */
static bool find_maker(Replay *p, Value v, Maker *m) {
    if (!graph_maker(p->g, v, m)) return false;
    if (!m->loop) return true;
    const Recur *r = recur_of(p, m->loop);
    return p->loop && r->level == recur_of(p, p->loop)->level &&
           again_same_layers(&r->classes.data[m->cls], &recur_of(p, p->loop)->classes.data[p->cls]);
}

/* ---- reads of the backward recurrence ---------------------------------------------------------------- */

static bool is_level(Graph *g, ExprId e, ExprOp op, uint32_t level) {
    const Expr *x = graph_expr(g, e);
    return x->op == op && x->i == (int64_t)level;
}

static bool has_counter(Graph *g, ExprId e, uint32_t level) {
    if (is_level(g, e, X_LVL, level)) return true;
    for (uint32_t k = 0; k < graph_expr(g, e)->n_args; k++)
        if (has_counter(g, expr_arg(g, e, k), level)) return true;
    return false;
}

/* v[position of the layer, .., counter at axis, ..] with nothing else depending on the counter. */
static bool read_in_step(Replay *p, ExprId e, const Maker *m) {
    Graph *g = p->g;
    uint32_t level = recur_of(p, p->back)->level;
    const Expr x = *graph_expr(g, e);
    if (m->loop && !is_level(g, expr_arg(g, e, 0), X_POS, recur_of(p, m->loop)->level))
        return false;
    for (uint32_t k = 0; k < x.n_args; k++) {
        ExprId s = expr_arg(g, e, k);
        if (k == m->axis ? !is_level(g, s, X_LVL, level) : has_counter(g, s, level)) return false;
    }
    return true;
}

static Stack *stack_of(Replay *p, Value v) {
    for (uint32_t i = 0; i < p->stacks.n; i++)
        if (p->stacks.data[i].value == v) return &p->stacks.data[i];
    return NULL;
}

static bool earlier(Replay *p, NodeId a) {
    const Recur *r = recur_of(p, a), *b = recur_of(p, p->back);
    return !r->reverse && b->reverse && r->length == b->length && r->level == b->level &&
           r->carry.n && r->classes.n == 1 && b->classes.n == 1 && !r->every;
}

/* Collects the stacks that one recurrence made: that of the first one found. */
static void visit_read(Walk *w, ExprId e, void *user) {
    Replay *p = user;
    const Expr x = *graph_expr(w->g, e);
    Maker m;
    if (x.op != X_READ || x.value >= p->n_values || !find_maker(p, x.value, &m)) return;
    if (p->from && m.recur != p->from) return;
    if (!earlier(p, m.recur) || !read_in_step(p, e, &m)) {
        if (stack_of(p, x.value)) p->ok = false;
        return;
    }
    p->from = m.recur;
    p->from_loop = m.loop;
    p->from_cls = m.cls;
    if (!stack_of(p, x.value)) *PUSH(p->scratch, &p->stacks) = (Stack){x.value, m.body, 0, m.axis};
}

typedef struct Reads {
    Value v;
} Reads;

static bool is_read_of(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    return x->op == X_READ && x->value == ((Reads *)user)->v;
}

/* Does nobody but the backward recurrence read it? */
static bool only_here(Replay *p, Value v) {
    const Block *body = &recur_of(p, p->back)->classes.data[0].body;
    uint32_t n = 0;
    Reads r = {v};
    for (uint32_t i = 0; i < body->nodes.n; i++)
        n += walk_any(&p->walk, graph_node(p->g, body->nodes.data[i])->expr, is_read_of, &r);
    return n == p->uses[v];
}

static void find_stacks(Replay *p) {
    const Block *body = &recur_of(p, p->back)->classes.data[0].body;
    p->stacks.n = 0;
    p->from = p->from_loop = 0;
    p->ok = true;
    for (uint32_t i = 0; i < body->nodes.n; i++) {
        if (graph_node(p->g, body->nodes.data[i])->kind != N_EQ) p->ok = false;
        walk_expr(&p->walk, graph_node(p->g, body->nodes.data[i])->expr, visit_read, p);
    }
    for (uint32_t i = 0; i < p->stacks.n; i++)
        p->ok = p->ok && only_here(p, p->stacks.data[i].value);
}

/* ---- is it worth it? --------------------------------------------------------------------------------- */

/* Numbers of one step; run-time axes count as one, so do the heads. */
static int64_t fixed_items(Replay *p, Value v, bool but_first) {
    const ValueInfo *i = graph_value(p->g, v);
    int64_t n = 1, one;
    for (uint32_t k = 0; k < i->rank; k++) {
        if (!size_is_num(p->g->sizes, i->dims[k], &one)) continue;
        if (but_first) {
            but_first = false;
            continue;
        }
        n = n < INT32_MAX && one < INT32_MAX ? n * one : INT32_MAX;
    }
    return n;
}

static bool only_equations(Replay *p, NodeId n) {
    const Block *b = &recur_of(p, n)->classes.data[0].body;
    for (uint32_t i = 0; i < b->nodes.n; i++)
        if (graph_node(p->g, b->nodes.data[i])->kind != N_EQ) return false;
    return b->nodes.n > 0;
}

/* The next value of each carry is an equation of the body and that of no other carry. */
static bool plain_carries(Replay *p, NodeId n) {
    const Recur *r = recur_of(p, n);
    const RecurClass *c = &r->classes.data[0];
    for (uint32_t k = 0; k < r->carry.n; k++) {
        const Node *x = graph_node(p->g, graph_value(p->g, c->next[k])->node);
        if (x->kind != N_EQ || x->level != r->level + 1) return false;
        for (uint32_t i = 0; i < k; i++)
            if (c->next[i] == c->next[k]) return false;
    }
    return true;
}

/* What a step carries against the largest thing it keeps for every step by other ways. */
static bool large_state(Replay *p) {
    const Recur *r = recur_of(p, p->from);
    int64_t state = 0, stacked = 0;
    for (uint32_t k = 0; k < r->carry.n; k++)
        state += fixed_items(p, r->classes.data[0].args[k], false);
    for (uint32_t i = 0; i < p->stacks.n; i++)
        stacked += fixed_items(p, p->stacks.data[i].body, false);
    int64_t rows = fixed_items(p, r->classes.data[0].args[0], true);
    return stacked >= state && rows >= STATE_RATIO;
}

static uint32_t steps_between(Replay *p) {
    const Recur *r = recur_of(p, p->from);
    int64_t bytes = 4;
    for (uint32_t k = 0; k < r->carry.n; k++)
        bytes += 4 * fixed_items(p, r->classes.data[0].args[k], true);
    int64_t n = CHUNK_BYTES / bytes;
    return (uint32_t)(n < LEAST_STEPS ? LEAST_STEPS : n > MOST_STEPS ? MOST_STEPS : n);
}

/* ---- making the copy --------------------------------------------------------------------------------------- */

/* The carried value k on entry to every `every`-th step, for all layers. */
static Value keep_carry(Replay *p, uint32_t k, uint32_t every, uint8_t *lead) {
    Value arg = recur_of(p, p->from)->classes.data[0].args[k];
    Value kept = graph_recur_out_every(p->g, p->from, 0, arg, 0, every);
    *lead = 0;
    if (!kept || !p->from_loop) return kept;
    *lead = 1;
    return graph_recur_out(p->g, p->from_loop, p->from_cls, kept, 0);
}

/* The first of what was kept: where the copy starts, did it run from the beginning. */
static Value first_kept(Replay *p, Value kept, uint8_t lead, Block *to) {
    Graph *g = p->g;
    const ValueInfo v = *graph_value(g, kept);
    const Node at = *graph_node(g, p->back);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < lead; k++) subs[k] = expr_pos(g, at.level - 1u);
    subs[lead] = expr_int(g, 0);
    for (uint32_t k = lead + 1u; k < v.rank; k++) subs[k] = expr_idx(g, k - lead - 1u);
    return graph_eq(g, to, v.dims + lead + 1, v.rank - lead - 1u, RED_NONE, NULL, 0,
                    expr_read(g, kept, subs, v.rank), at.level, v.name, at.loc);
}

static NodeId begin_copy(Replay *p, uint32_t every, Block *to) {
    Graph *g = p->g;
    const Recur *r = recur_of(p, p->from);
    NodeId copy = graph_recur_begin(g, r->length, r->axis, false, false, r->level,
                                    graph_node(g, p->from)->loc);
    recur_of(p, copy)->every = every;
    for (uint32_t k = 0; k < r->carry.n; k++) {
        uint8_t lead;
        Value kept = keep_carry(p, k, every, &lead);
        if (!kept) {
            p->ok = false;
            return copy;
        }
        graph_recur_carry(g, copy, first_kept(p, kept, lead, to), r->carry.data[k].name);
        Carry *c = &recur_of(p, copy)->carry.data[k];
        c->kept = kept;
        c->lead = lead;
    }
    return copy;
}

static void fill_copy(Replay *p, NodeId copy) {
    Graph *g = p->g;
    const Recur *r = recur_of(p, p->from);
    const RecurClass *c = &r->classes.data[0];
    graph_recur_class(g, copy, NULL, 0);
    RecurClass *d = &recur_of(p, copy)->classes.data[0];
    Value *made = p->again.copy;
    for (uint32_t k = 0; k < r->carry.n; k++) made[c->args[k]] = d->args[k];
    for (uint32_t i = 0; i < c->body.nodes.n; i++)
        again_node(&p->again, c->body.nodes.data[i], NULL, &d->body);
    p->ok = !p->again.failed;
    for (uint32_t k = 0; k < r->carry.n; k++) graph_recur_next(g, copy, 0, k, made[c->next[k]]);
    for (uint32_t i = 0; i < p->stacks.n && p->ok; i++) {
        Stack *s = &p->stacks.data[i];
        Value body = made[s->body];
        s->again = graph_recur_out(g, copy, 0, body, graph_value(g, body)->rank);
        if (!s->again) p->ok = false;
    }
}

static ExprId read_again(Edit *ed, ExprId e, const ExprId *args) {
    Replay *p = ed->user;
    const Expr x = *graph_expr(ed->g, e);
    const Stack *s = x.op == X_READ ? stack_of(p, x.value) : NULL;
    if (!s) return 0;
    ExprId subs[MAX_RANK];
    uint32_t at = 0;
    for (uint32_t k = p->from_loop != 0; k < x.n_args; k++)
        if (k != s->axis) subs[at++] = args[k];
    subs[at++] = args[s->axis];
    return expr_read(ed->g, s->again, subs, at);
}

static void read_copy(Replay *p) {
    Edit ed = edit_new(p->g, p->scratch, read_again, p);
    const Block *body = &recur_of(p, p->back)->classes.data[0].body;
    for (uint32_t i = 0; i < body->nodes.n; i++) {
        ExprId e = edit_expr(&ed, graph_node(p->g, body->nodes.data[i])->expr);
        graph_node(p->g, body->nodes.data[i])->expr = e;
    }
}

/* ---- blocks -------------------------------------------------------------------------------------------------- */

static void replay_one(Replay *p, Block *out) {
    find_stacks(p);
    if (!p->from || !p->ok || !only_equations(p, p->from) || !plain_carries(p, p->from) ||
        !large_state(p))
        return;
    again_from(&p->again, p->from_loop, p->from_cls);
    NodeId copy = begin_copy(p, steps_between(p), out);
    if (p->ok) fill_copy(p, copy);
    if (!p->ok) return; /* what was made has no reader and goes */
    graph_recur_end(p->g, copy, out);
    read_copy(p);
    for (uint32_t i = 0; i < p->stacks.n; i++)
        plan_move_decide(p->log, p->g, p->stacks.data[i].body, p->back, R_again);
}

static void replay_block(Replay *p, Block *b, NodeId loop, uint32_t cls) {
    Block out = {0};
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        Recur *r = graph_node(p->g, id)->recur;
        for (uint32_t c = 0; r && r->layers && c < r->classes.n; c++)
            replay_block(p, &r->classes.data[c].body, id, c);
        if (r && !r->layers && r->reverse) {
            p->loop = loop;
            p->cls = cls;
            p->back = id;
            replay_one(p, &out);
        }
        *PUSH(p->g->arena, &out.nodes) = id;
    }
    *b = out;
}

Graph *graph_replay(Graph *g, PlanLog *log) {
    Arena *scratch = arena_new();
    Replay p = {.g = g, .log = log, .scratch = scratch, .walk = walk_new(g, scratch)};
    p.n_values = g->values.n;
    p.again = again_new(g, scratch);
    p.uses = graph_uses(g, scratch);
    replay_block(&p, &g->top, 0, 0);
    arena_free(scratch);
    return graph_simplify(g);
}
