/* The network whose least cut says what to keep and what to make again (recompute.h).
 *
 * A vertex a node of a forward body, a vertex a value; on the sink's side: the node runs again, the value is
 * there for the backward loop.
 *
 *   source -> node    rate*work    the node runs again
 *   node   -> value   bytes        the value is there though the node does not run: it is kept
 *   value  -> node    never        a node runs again without what it reads
 *   value  -> sink    never        what the backward loop reads is not there
 *
 * Cost: linear in the bodies' uses, and the cuts. */
#include "plan_impl.h"
#include "recompute_impl.h"

#include <math.h>
#include <string.h>

/* ---- work ------------------------------------------------------------------------------------------ */

/* In multiply-adds of a matrix product, of which a core does many while one number comes from memory. Inside a
 * recurrence numbers come from caches, but each step waits for the one before. */
enum { W_READ = 8, W_WRITE = 16, W_FN = 2, W_DEAR_FN = 16, W_RANDOM = 32, W_STEP = 4 };

typedef struct Count {
    bool in_step;
    double work;
} Count;

static bool is_dear(Fn f) {
    switch (f) {
    case F_div:
    case F_pow:
    case F_exp:
    case F_log:
    case F_tanh:
    case F_sigmoid:
    case F_softplus:
    case F_erf:
    case F_sin:
    case F_cos:
    case F_sqrt: return true;
    default: return false;
    }
}

static void count_expr(Walk *w, ExprId e, void *user) {
    Count *c = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_READ) c->work += c->in_step ? W_STEP : W_READ;
    if (x->op == X_RANDOM) c->work += W_RANDOM;
    if (x->op == X_FN && x->type == T_REAL) c->work += is_dear((Fn)x->fn) ? W_DEAR_FN : W_FN;
}

/* A number of items; a formula without a number is more than can be. */
static double number(Recompute *r, Size s) {
    int64_t n;
    return s && size_eval(r->g->sizes, s, r->axes, &n) ? (double)n : 0x1p60;
}

static double items(Recompute *r, const Size *dims, uint32_t n) {
    double p = 1;
    for (uint32_t k = 0; k < n; k++) p *= number(r, dims[k]);
    return p;
}

static double block_work(Recompute *r, const Block *b, bool in_step);

/* Of one run of a node. */
static double node_work(Recompute *r, NodeId id, bool in_step) {
    Graph *g = r->g;
    const Node n = *graph_node(g, id);
    if (n.kind == N_RECUR) {
        double work = 0;
        for (uint32_t c = 0; c < n.recur->classes.n; c++) {
            const RecurClass *x = &n.recur->classes.data[c];
            double rounds = x->iters.n ? (double)x->iters.n : number(r, n.recur->length);
            work += rounds * block_work(r, &x->body, in_step || !n.recur->layers);
        }
        return work;
    }
    if (n.kind != N_EQ && n.kind != N_SCATTER) return 0;
    const ValueInfo v = *graph_value(g, n.out);
    double points = n.kind == N_EQ ? items(r, v.dims, v.rank) : 1;
    double terms = items(r, n.extra, n.n_extra);
    Count c = {in_step, n.red != RED_NONE ? W_FN : 0};
    PlanContract product;
    if (n.kind == N_EQ && contract_match(g, id, &product))
        c.work = 1;
    else
        walk_expr(&r->walk, n.expr, count_expr, &c);
    return points * (terms * c.work + (in_step ? W_STEP : W_WRITE));
}

static double block_work(Recompute *r, const Block *b, bool in_step) {
    double work = 0;
    for (uint32_t i = 0; i < b->nodes.n; i++) work += node_work(r, b->nodes.data[i], in_step);
    return work;
}

/* ---- vertices ---------------------------------------------------------------------------------------- */

static int64_t bytes_of(Recompute *r, Value v) {
    const ValueInfo *i = graph_value(r->g, v);
    double n = items(r, i->dims, i->rank) * (i->store == ST_BF16 || i->store == ST_F16 ? 2 : 4);
    return n < 0x1p50 ? (int64_t)n : INT64_C(1) << 50;
}

static void add_rule(Recompute *r, uint32_t from, uint32_t to) {
    *PUSH(r->scratch, &r->rules) = (CutEdge){from, to, CUT_NEVER};
}

typedef struct Body { /* of the forward class at hand */
    Recompute *r;
    const RecurClass *c;
    uint32_t at; /* vertex of the node at hand */
} Body;

/* Kept by the forward loop whatever is decided here. */
static bool is_pinned(const Body *b, Value v) {
    for (uint32_t i = 0; i < b->c->outs.n; i++)
        if (b->c->outs.data[i].body == v && !b->r->body[b->c->outs.data[i].result]) return true;
    return false;
}

static void value_vertex(Body *b, Value v, uint32_t from, double layers) {
    Recompute *r = b->r;
    if (!v || is_pinned(b, v)) return;
    r->value_vertex[v] = r->n_vertices++;
    if (graph_value(r->g, v)->rank >= MAX_RANK) { /* no room for the axis of layers */
        add_rule(r, from, r->value_vertex[v]);
        return;
    }
    double bytes = (double)bytes_of(r, v) * layers;
    *PUSH(r->scratch, &r->keeps) =
        (Keep){from, r->value_vertex[v], bytes < 0x1p50 ? (int64_t)bytes : INT64_C(1) << 50};
}

static void define(Value v, void *user) {
    Body *b = user;
    value_vertex(b, v, b->at, (double)b->c->iters.n);
}

static void use(Value v, void *user) {
    Body *b = user;
    if (b->r->value_vertex[v]) add_rule(b->r, b->r->value_vertex[v], b->at);
}

static bool has_delay(Recompute *r, NodeId id) {
    const Node *n = graph_node(r->g, id);
    if (n->kind == N_DELAY || (n->recur && n->recur->every)) return true;
    for (uint32_t c = 0; n->recur && c < n->recur->classes.n; c++) {
        const Block *b = &n->recur->classes.data[c].body;
        for (uint32_t i = 0; i < b->nodes.n; i++)
            if (has_delay(r, b->nodes.data[i])) return true;
    }
    return false;
}

/* May it run again at all? */
static bool may_run(Recompute *r, NodeId id) {
    const Node *n = graph_node(r->g, id);
    if (r->pointwise) return n->kind == N_EQ && n->red == RED_NONE;
    return !has_delay(r, id);
}

static void body_net(Recompute *r, const Pair *p) {
    Graph *g = r->g;
    const Recur *loop = graph_node(g, p->from)->recur;
    Body b = {r, &loop->classes.data[p->from_cls], 0};
    for (uint32_t k = 0; k < loop->carry.n; k++) {
        Value v = b.c->args[k];
        value_vertex(&b, v, CUT_SOURCE, r->same[v] ? 1 : (double)b.c->iters.n);
    }
    for (uint32_t i = 0; i < b.c->body.nodes.n; i++) {
        NodeId id = b.c->body.nodes.data[i];
        b.at = r->node_vertex[id] = r->n_vertices++;
        if (!may_run(r, id))
            add_rule(r, CUT_SOURCE, b.at);
        else
            *PUSH(r->scratch, &r->works) =
                (Work){b.at, node_work(r, id, false) * (double)b.c->iters.n};
        walk_uses(&r->walk, id, use, &b);
        walk_defs(g, id, define, &b);
    }
    for (uint32_t o = 0; o < b.c->outs.n; o++) {
        Value v = b.c->outs.data[o].body;
        if (r->body[b.c->outs.data[o].result] && r->value_vertex[v])
            add_rule(r, r->value_vertex[v], CUT_SINK);
    }
}

void recompute_net(Recompute *r) {
    r->n_vertices = CUT_FIRST;
    for (uint32_t i = 0; i < r->pairs.n; i++) body_net(r, &r->pairs.data[i]);
}

/* ---- cuts ----------------------------------------------------------------------------------------------- */

const bool *recompute_cut(Recompute *r, double rate, RecomputeChoice *what) {
    CutEdge *edges = NEWN(r->scratch, CutEdge, r->rules.n + r->keeps.n + r->works.n + 1);
    uint32_t n = 0;
    double all = 1;
    for (uint32_t i = 0; i < r->keeps.n; i++) all += (double)r->keeps.data[i].bytes;
    double unit =
        exp2(floor(58 - log2(all))); /* parts of a byte, so that cheap work is still some */
    if (unit > 0x1p20) unit = 0x1p20;
    if (unit < 1) unit = 1;
    for (uint32_t i = 0; i < r->rules.n; i++) edges[n++] = r->rules.data[i];
    for (uint32_t i = 0; i < r->keeps.n; i++) {
        const Keep *k = &r->keeps.data[i];
        edges[n++] = (CutEdge){k->from, k->to, (int64_t)((double)k->bytes * unit)};
    }
    for (uint32_t i = 0; i < r->works.n; i++) {
        double cost = r->works.data[i].work * rate * unit, most = (all + 1) * unit;
        edges[n++] =
            (CutEdge){CUT_SOURCE, r->works.data[i].to, 1 + (int64_t)(cost < most ? cost : most)};
    }
    const bool *on_sink = cut_least(r->scratch, r->n_vertices, edges, n);
    *what = (RecomputeChoice){.rate = rate};
    for (uint32_t i = 0; on_sink && i < r->keeps.n; i++)
        if (!on_sink[r->keeps.data[i].from] && on_sink[r->keeps.data[i].to])
            what->bytes += r->keeps.data[i].bytes;
    for (uint32_t i = 0; on_sink && i < r->works.n; i++)
        if (on_sink[r->works.data[i].to]) what->work += r->works.data[i].work;
    return on_sink;
}

/* ---- all choices ------------------------------------------------------------------------------------------ */

enum { DEEPEST = 6 }; /* halvings: at most 2^DEEPEST choices between the first and the last */

static double cost_at(const RecomputeChoice *c, double rate) {
    return (double)c->bytes + rate * c->work;
}

/* The choices between two, each the best at some rate. */
static void choices_between(Arena *a, Recompute *r, RecomputeChoice lo, RecomputeChoice hi,
                            int depth, RecomputeChoices *out) {
    if (depth == DEEPEST || hi.work <= lo.work || hi.bytes >= lo.bytes) return;
    double rate = (double)(lo.bytes - hi.bytes) / (hi.work - lo.work);
    RecomputeChoice c;
    if (!recompute_cut(r, rate, &c)) return;
    if (cost_at(&c, rate) >= cost_at(&lo, rate) * (1 - 1e-9)) return;
    choices_between(a, r, lo, c, depth + 1, out);
    *PUSH(a, out) = c;
    choices_between(a, r, c, hi, depth + 1, out);
}

void recompute_choices(Arena *a, Graph *g, const int64_t *axes, RecomputeChoices *out) {
    Arena *scratch = arena_new();
    Recompute r = recompute_find(g, scratch, axes);
    recompute_net(&r);
    RecomputeChoice none, all;
    if (r.pairs.n && recompute_cut(&r, 0x1p60, &none) && recompute_cut(&r, 0, &all)) {
        *PUSH(a, out) = none;
        choices_between(a, &r, none, all, 0, out);
        if (all.bytes < none.bytes) *PUSH(a, out) = all;
    }
    arena_free(scratch);
}
