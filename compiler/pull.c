/* Readers pulled into recurrences: an equation that at each position of the axis reads what a recurrence
 * makes, or what it streams through, at that step becomes part of its body, so that large values are
 * never kept for all steps, or at least read once.
 *
 *     d.w[t,j] = sum[i] dS[t,i,j]*S[t,i,j]      with dS made by a recurrence that reads S[t] at step t
 *
 * An equation may move when everything else it reads is there before the recurrence. It moves when that
 * shrinks what is kept (all readers of a result together), or when it reads a value that the steps read
 * anyway and that is much larger than what it makes. Output axes seen as k//c and k%c are taken apart
 * first, so that the body keeps plain axes; the old value is then a view.
 *
 * Requires a simplified, distributed graph. Maintains every value up to rounding. In place; cost: nodes of
 * a block times recurrences in it. */
#include <string.h>

#include "pull.h"

enum { MUCH = 4 };

const RecurOut *pull_out_of(const Pull *p, Value v) {
    const RecurClass *c = &p->r->classes.data[0];
    for (uint32_t i = 0; i < c->outs.n; i++)
        if (c->outs.data[i].result == v) return &c->outs.data[i];
    return NULL;
}

/* ---- what the recurrence streams through --------------------------------------------------------- */

static bool is_counter(Graph *g, ExprId e, uint32_t level) {
    const Expr *x = graph_expr(g, e);
    return x->op == X_LVL && x->i == (int64_t)level;
}

/* The one axis at which a read has the counter of `level`, nothing else depending on it. */
static uint32_t counter_axis(Graph *g, ExprId e, uint32_t level) {
    uint32_t at = PULL_NONE;
    for (uint32_t k = 0; k < graph_expr(g, e)->n_args; k++)
        if (is_counter(g, expr_arg(g, e, k), level)) at = at == PULL_NONE ? k : PULL_NONE - 1;
    return at >= PULL_NONE - 1 ? PULL_NONE : at;
}

/* What the same recurrence made at the same steps. */
static void note_siblings(Pull *p, const Maker *m) {
    const RecurClass *c = &graph_node(p->g, m->recur)->recur->classes.data[0];
    for (uint32_t i = 0; i < c->outs.n; i++) {
        const RecurOut o = c->outs.data[i];
        if (o.every) continue;
        if (!m->loop && o.result < p->n_values) p->stream[o.result] = (uint8_t)(o.axis + 1);
        if (!m->loop) continue;
        const RecurClass *l = &graph_node(p->g, m->loop)->recur->classes.data[m->cls];
        for (uint32_t k = 0; k < l->outs.n; k++)
            if (l->outs.data[k].body == o.result && l->outs.data[k].axis == 0 &&
                l->outs.data[k].result < p->n_values)
                p->stream[l->outs.data[k].result] = (uint8_t)(o.axis + 2);
    }
}

static void note_stream(Walk *w, ExprId e, void *user) {
    Pull *p = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || x->value >= p->n_values) return;
    uint32_t q = counter_axis(w->g, e, p->r->level);
    Maker m;
    if (q == PULL_NONE) return;
    p->stream[x->value] = (uint8_t)(q + 1);
    if (graph_maker(w->g, x->value, &m) && m.axis == q) note_siblings(p, &m);
}

static void find_streams(Pull *p) {
    memset(p->stream, 0, p->n_values);
    const Block *body = &p->r->classes.data[0].body;
    for (uint32_t i = 0; i < body->nodes.n; i++)
        walk_expr(&p->walk, graph_node(p->g, body->nodes.data[i])->expr, note_stream, p);
}

/* ---- may it move? ---------------------------------------------------------------------------------- */

static Size slice(Pull *p, Value v, uint32_t axis) {
    const ValueInfo *i = graph_value(p->g, v);
    Size n = size_num(p->g->sizes, 1);
    for (uint32_t k = 0; k < i->rank && n; k++)
        if (k != axis) n = size_mul(p->g->sizes, n, i->dims[k]);
    return n;
}

typedef struct HasIndex {
    uint32_t k;
} HasIndex;

static bool is_that_index(Graph *g, ExprId e, void *user) {
    return is_index(g, e, ((HasIndex *)user)->k);
}

static bool has_index(Pull *p, ExprId e, uint32_t k) {
    HasIndex h = {k};
    return walk_any(&p->inner, e, is_that_index, &h);
}

/* The output axis of the equation that stands at argument q of the read, and nowhere else in it. */
static uint32_t axis_at(Pull *p, ExprId e, uint32_t q) {
    const Expr *s = graph_expr(p->g, expr_arg(p->g, e, q));
    if (s->op != X_IDX || (uint64_t)s->i >= p->rank) return PULL_NONE;
    for (uint32_t k = 0; k < graph_expr(p->g, e)->n_args; k++)
        if (k != q && has_index(p, expr_arg(p->g, e, k), (uint32_t)s->i)) return PULL_NONE;
    return (uint32_t)s->i;
}

static void set_axis(Pull *p, uint32_t a) {
    if (a == PULL_NONE || (p->axis != PULL_NONE && p->axis != a))
        p->ok = false;
    else
        p->axis = a;
}

static void look_at_result(Walk *w, ExprId e, void *user) {
    Pull *p = user;
    const Expr x = *graph_expr(w->g, e);
    if (x.op != X_READ || !p->ok) return;
    const RecurOut *o = pull_out_of(p, x.value);
    if (!o) {
        if (x.value >= p->n_values || p->pos[x.value] >= p->at) p->ok = false;
        return;
    }
    p->results = true;
    if (o->every) p->ok = false;
    if (p->ok) set_axis(p, axis_at(p, e, o->axis));
}

static void look_at_stream(Walk *w, ExprId e, void *user) {
    Pull *p = user;
    const Expr x = *graph_expr(w->g, e);
    if (x.op != X_READ || !p->ok || x.value >= p->n_values || !p->stream[x.value]) return;
    if (pull_out_of(p, x.value)) return;
    uint32_t q = p->stream[x.value] - 1u, a = axis_at(p, e, q);
    if (a == PULL_NONE || (p->axis != PULL_NONE && p->axis != a)) return;
    Size s = slice(p, x.value, q);
    if (!s) return;
    if (p->largest && !size_positive(p->g->sizes, size_sub(p->g->sizes, s, p->largest))) return;
    p->largest = s;
    p->axis = a;
    p->streams = true;
}

/* Looks at equation n: may it run inside, along which of its axes? */
bool pull_may_move(Pull *p, const Node *n) {
    if (n->kind != N_EQ || n->level != p->r->level) return false;
    p->node = n;
    p->rank = graph_value(p->g, n->out)->rank;
    p->axis = PULL_NONE;
    p->ok = true;
    p->streams = p->results = false;
    p->largest = 0;
    walk_expr(&p->walk, n->expr, look_at_result, p);
    if (p->ok) walk_expr(&p->walk, n->expr, look_at_stream, p);
    return p->ok && p->axis != PULL_NONE &&
           graph_value(p->g, n->out)->dims[p->axis] == p->r->length;
}

/* Worth reading inside: as large as what is carried, and much larger than what is made of it. */
static bool worth_streaming(Pull *p, Size read, Size made) {
    Sizes *s = p->g->sizes;
    Size carried = p->r->carry.n ? value_size(p->g, p->r->carry.data[0].init) : 0;
    if (!read || !made || !carried) return false;
    Size one = size_num(s, 1);
    return size_positive(s, size_sub(s, read, size_mul(s, made, size_num(s, MUCH)))) &&
           size_positive(s, size_add(s, size_sub(s, read, carried), one));
}

/* ---- taking axes apart -------------------------------------------------------------------------------- */

static void find_cut(Walk *w, ExprId e, void *user) {
    Pull *p = user;
    Graph *g = w->g;
    const Expr x = *graph_expr(g, e);
    if (x.op != X_FN || (x.fn != F_idiv && x.fn != F_imod)) return;
    const Expr *k = graph_expr(g, expr_arg(g, e, 0)), *c = graph_expr(g, expr_arg(g, e, 1));
    if (k->op != X_IDX || c->op != X_INT || c->i < 2) return;
    int64_t *cut = &p->cut[k->i];
    *cut = *cut == 0 || *cut == c->i ? c->i : -1;
}

static Size index_size(const Pull *p, uint32_t k) {
    return k < p->rank ? graph_value(p->g, p->node->out)->dims[k] : p->node->extra[k - p->rank];
}

/* Which axes are cut, and where each index goes. Returns the axes of the new value, extra ones apart. */
static uint32_t place_axes(Pull *p, Size *dims, Size *extra, uint32_t *n_extra) {
    uint32_t n_idx = p->rank + p->node->n_extra, at = 0;
    memset(p->cut, 0, sizeof p->cut);
    walk_expr(&p->walk, p->node->expr, find_cut, p);
    *n_extra = 0;
    uint32_t rank = 0;
    for (uint32_t k = 0; k < n_idx; k++) {
        int64_t n, *c = &p->cut[k];
        if (k == p->axis || *c < 2 || !size_is_num(p->g->sizes, index_size(p, k), &n) || n % *c)
            *c = 0;
        if (k == p->axis) continue;
        Size parts[2] = {index_size(p, k), 0};
        if (*c) {
            parts[0] = size_num(p->g->sizes, n / *c);
            parts[1] = size_num(p->g->sizes, *c);
        }
        p->to[k] = at;
        for (uint32_t i = 0; i < (*c ? 2u : 1u); i++, at++) {
            if (at >= 2 * MAX_RANK - 2) return UINT32_MAX;
            if (k < p->rank)
                dims[rank++] = parts[i];
            else
                extra[(*n_extra)++] = parts[i];
        }
    }
    return rank;
}

static ExprId moved_index(Pull *p, uint32_t k) {
    Graph *g = p->g;
    if (k == p->axis) return expr_lvl(g, p->r->level);
    if (!p->cut[k]) return expr_idx(g, p->to[k]);
    return expr_fn2(g, F_add, expr_fn2(g, F_mul, expr_idx(g, p->to[k]), expr_int(g, p->cut[k])),
                    expr_idx(g, p->to[k] + 1));
}

static ExprId moved(Edit *ed, ExprId e, const ExprId *args) {
    Pull *p = ed->user;
    Graph *g = ed->g;
    const Expr x = *graph_expr(g, e);
    if (x.op == X_IDX) return moved_index(p, (uint32_t)x.i);
    if (x.op == X_FN && (x.fn == F_idiv || x.fn == F_imod)) {
        const Expr *k = graph_expr(g, expr_arg(g, e, 0)), *c = graph_expr(g, expr_arg(g, e, 1));
        if (k->op == X_IDX && k->i != (int64_t)p->axis && p->cut[k->i] && c->op == X_INT &&
            c->i == p->cut[k->i])
            return expr_idx(g, p->to[k->i] + (x.fn == F_imod));
    }
    const RecurOut *o = x.op == X_READ ? pull_out_of(p, x.value) : NULL;
    if (!o) return 0;
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0, at = 0; k < x.n_args; k++)
        if (k != o->axis) subs[at++] = args[k];
    return expr_read(g, o->body, subs, x.n_args - 1u);
}

/* ---- moving ----------------------------------------------------------------------------------------------- */

/* The old value as a view of the new one, whose axes may be cut. */
static void make_view(Pull *p, NodeId id, Value made, uint32_t axis, uint32_t rank) {
    Graph *g = p->g;
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < p->rank; k++) {
        ExprId i = expr_idx(g, k);
        uint32_t at = k == p->axis ? axis : p->to[k], next = at + 1;
        at += k != p->axis && at >= axis;
        next += next >= axis;
        subs[at] = i;
        if (k == p->axis || !p->cut[k]) continue;
        subs[at] = expr_fn2(g, F_idiv, i, expr_int(g, p->cut[k]));
        subs[next] = expr_fn2(g, F_imod, i, expr_int(g, p->cut[k]));
    }
    Node *n = graph_node(g, id);
    n->red = RED_NONE;
    n->n_extra = 0;
    n->expr = expr_read(g, made, subs, rank);
}

/* Moves equation `id`; a view stays in its place. */
bool pull_move(Pull *p, NodeId id) {
    Graph *g = p->g;
    const Node n = *graph_node(g, id);
    Size dims[2 * MAX_RANK], extra[2 * MAX_RANK];
    uint32_t n_extra, rank = place_axes(p, dims, extra, &n_extra);
    if (rank >= MAX_RANK || n_extra > MAX_RANK) return false;
    const ValueInfo old = *graph_value(g, n.out);
    edit_fresh(&p->edit);
    ExprId e = edit_expr(&p->edit, n.expr);
    RecurClass *c = &p->r->classes.data[0];
    Value v = graph_eq(g, &c->body, dims, rank, (Red)n.red, extra, n_extra, e, p->r->level + 1u,
                       old.name, n.loc);
    graph_value(g, v)->store = old.store;
    uint32_t axis = 0; /* where the axis of steps stood among the others */
    for (uint32_t k = 0; k < p->axis; k++) axis += p->cut[k] ? 2 : 1;
    Value made = graph_recur_out(g, p->recur, 0, v, axis);
    make_view(p, id, made, axis, rank + 1);
    return true;
}

/* ---- choosing ------------------------------------------------------------------------------------------- */

typedef struct Reads {
    Value v;
} Reads;

static bool is_read_of(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    return x->op == X_READ && x->value == ((Reads *)user)->v;
}

bool pull_node_reads(Pull *p, const Node *n, Value v) {
    Reads r = {v};
    return n->kind == N_EQ && walk_any(&p->walk, n->expr, is_read_of, &r);
}

bool pull_decide(Pull *p, Value v, FuseRule rule) {
    plan_move_decide(p->log, p->g, v, p->recur, rule);
    return false;
}

/* Every reader of a result was held against the steps. */
static bool none_moves(Pull *p, const Nodes *readers, FuseRule rule) {
    for (uint32_t i = 0; i < readers->n; i++)
        pull_decide(p, graph_node(p->g, readers->data[i])->out, rule);
    return false;
}

/* Every reader of a result, if all may move and make less than is kept for them now. */
static bool all_readers(Pull *p, const RecurOut *o, Nodes *take) {
    Graph *g = p->g;
    Size left = slice(p, o->result, o->axis);
    take->n = 0;
    for (uint32_t i = p->at; i < p->b->nodes.n && left; i++) {
        const Node *n = graph_node(g, p->b->nodes.data[i]);
        if (!pull_node_reads(p, n, o->result)) continue;
        if (!pull_may_move(p, n) || !p->results) {
            if (n->out) pull_decide(p, n->out, R_steps);
            return none_moves(p, take, R_others);
        }
        Size made = slice(p, n->out, p->axis);
        left = made ? size_sub(g->sizes, left, made) : 0;
        *PUSH(p->scratch, take) = p->b->nodes.data[i];
    }
    if (take->n != p->uses[o->result]) return none_moves(p, take, R_others);
    if (!take->n || !left || !size_positive(g->sizes, left)) return none_moves(p, take, R_gain);
    return true;
}

static bool pull_results(Pull *p) {
    RecurClass *c = &p->r->classes.data[0];
    Nodes take = {0};
    bool any = false;
    for (uint32_t o = 0; o < c->outs.n; o++) {
        const RecurOut out = c->outs.data[o];
        if (out.every || out.result >= p->n_values || !all_readers(p, &out, &take)) continue;
        for (uint32_t i = 0; i < take.n; i++) {
            pull_may_move(p, graph_node(p->g, take.data[i]));
            if (!pull_move(p, take.data[i])) continue;
            pull_decide(p, graph_node(p->g, take.data[i])->out, R_pulled);
            any = true;
        }
    }
    return any;
}

static bool pull_streams(Pull *p) {
    bool any = false;
    for (uint32_t i = p->at; i < p->b->nodes.n; i++) {
        NodeId id = p->b->nodes.data[i];
        const Node *n = graph_node(p->g, id);
        if (!pull_may_move(p, n) || !p->streams) continue;
        if (!worth_streaming(p, p->largest, slice(p, n->out, p->axis)) || !pull_move(p, id))
            continue;
        pull_decide(p, graph_node(p->g, id)->out, R_streamed);
        any = true;
    }
    return any;
}

static void number_block(Pull *p) {
    memset(p->pos, 0, p->n_values * sizeof *p->pos);
    for (uint32_t i = 0; i < p->b->nodes.n; i++) {
        NodeId id = p->b->nodes.data[i];
        const Node *n = graph_node(p->g, id);
        if (n->kind != N_RECUR) {
            if (n->out && n->out < p->n_values) p->pos[n->out] = i + 1;
            continue;
        }
        for (uint32_t k = 0; k < n->recur->carry.n; k++)
            p->pos[n->recur->carry.data[k].final] = i + 1;
        for (uint32_t c = 0; c < n->recur->classes.n; c++)
            for (uint32_t o = 0; o < n->recur->classes.data[c].outs.n; o++) {
                Value v = n->recur->classes.data[c].outs.data[o].result;
                if (v < p->n_values) p->pos[v] = i + 1;
            }
    }
}

bool pull_only_equations(Graph *g, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++)
        if (graph_node(g, b->nodes.data[i])->kind != N_EQ) return false;
    return true;
}

void pull_at(Pull *p, Block *b, uint32_t i) {
    p->b = b;
    p->recur = b->nodes.data[i];
    p->r = graph_node(p->g, p->recur)->recur;
    p->at = i + 1;
    number_block(p);
    find_streams(p);
}

static bool pull_block(Pull *p, Block *b) {
    bool any = false;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        Recur *r = graph_node(p->g, b->nodes.data[i])->recur;
        if (!r) continue;
        for (uint32_t c = 0; r->layers && c < r->classes.n; c++)
            any |= pull_block(p, &r->classes.data[c].body);
        if (r->layers || !pull_only_equations(p->g, &r->classes.data[0].body)) continue;
        pull_at(p, b, i);
        any |= pull_results(p);
        any |= pull_streams(p);
    }
    return any;
}

/* ---- uses ------------------------------------------------------------------------------------------------- */

typedef struct Uses {
    uint32_t *uses, *seen; /* by Value */
    Walk walk;
    NodeId now;
} Uses;

static void use_once(Walk *w, ExprId e, void *user) {
    Uses *u = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || u->seen[x->value] == u->now) return;
    u->seen[x->value] = u->now;
    u->uses[x->value]++;
}

static void count_node(Graph *g, NodeId id, void *user) {
    Uses *u = user;
    const Node *n = graph_node(g, id);
    u->now = id;
    if (n->expr) walk_expr(&u->walk, n->expr, use_once, u);
    for (uint32_t k = 0; n->kind == N_SCATTER && k < graph_value(g, n->out)->rank; k++)
        walk_expr(&u->walk, n->subs[k], use_once, u);
    if (n->kind != N_RECUR) return;
    const Recur *r = n->recur;
    for (uint32_t k = 0; k < r->carry.n; k++) {
        u->uses[r->carry.data[k].init]++;
        u->uses[r->carry.data[k].kept]++;
    }
    for (uint32_t c = 0; c < r->classes.n; c++) {
        for (uint32_t k = 0; k < r->carry.n; k++) u->uses[r->classes.data[c].next[k]]++;
        for (uint32_t o = 0; o < r->classes.data[c].outs.n; o++)
            u->uses[r->classes.data[c].outs.data[o].body]++;
    }
}

uint32_t *graph_uses(Graph *g, Arena *scratch) {
    Uses u = {.walk = walk_new(g, scratch)};
    u.uses = NEWN(scratch, uint32_t, g->values.n);
    u.seen = NEWN(scratch, uint32_t, g->values.n);
    graph_each(g, &g->top, count_node, &u);
    for (uint32_t i = 0; i < g->outputs.n; i++) u.uses[g->outputs.data[i].value]++;
    for (uint32_t i = 0; i < g->states.n; i++) u.uses[g->states.data[i].start]++;
    return u.uses;
}

Pull *pull_new(Graph *g, Arena *scratch, PlanLog *log) {
    Pull *p = NEW(scratch, Pull);
    *p = (Pull){.g = g, .scratch = scratch, .walk = walk_new(g, scratch), .n_values = g->values.n};
    p->inner = walk_new(g, scratch);
    p->log = log;
    p->edit = edit_new(g, scratch, moved, p);
    p->uses = graph_uses(g, scratch);
    p->pos = NEWN(scratch, uint32_t, p->n_values);
    p->stream = NEWN(scratch, uint8_t, p->n_values);
    return p;
}

Graph *graph_pull(Graph *g, PlanLog *log) {
    bool any = true;
    for (int round = 0; any && round < 4; round++) {
        Arena *scratch = arena_new();
        any = pull_block(pull_new(g, scratch, log), &g->top);
        arena_free(scratch);
        if (any) g = graph_simplify(g);
    }
    return g;
}
