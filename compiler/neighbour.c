/* Neighbours of a recurrence in its body: equations before it that it alone needs by then, and equations
 * behind it on its results, when each step of them stays within a point of its grid (a head). What lies
 * between them and the recurrence is then never a tensor of all steps.
 *
 *     kk[t,h,n] = k[t,h,n]/norm[t,h]      o[t,h,n] = (y[t,h,n] - mean[t,h])*g[t,h,n]
 *
 * Matrix products stay outside, unless they are so small that a row makes them (plan_contract.c). Sums over
 * what the grid takes apart stay outside: they would take the grid away. What all points of the grid read alike
 * is made by each of them, where that is a few operations and there are a few points, and less is kept so.
 *
 * Requires a simplified, distributed graph; replays made (replay.c). Maintains every value up to rounding. In
 * place; cost: nodes of a block times recurrences in it. */
#include <string.h>

#include "plan_impl.h"
#include "pull.h"

enum { MOST_NODES = 40, MOST_ROUNDS = 8, GRID = 4, MOST_TIMES = 4, FEW_STEPS = 32 };

/* How the body reads an equation from before it. */
typedef struct Fit {
    uint32_t axis;         /* of steps */
    uint32_t at[GRID];     /* axis that is class k of the grid, or PULL_NONE */
    int64_t cut[MAX_RANK]; /* read at j*c + j' */
    uint32_t reads;        /* nodes of the body that read it */
    uint32_t lacks;        /* classes of the grid it has no axis of */
    bool any, ok;
} Fit;

typedef struct Near {
    Pull *p;
    ScanAxes *axes;
    const uint32_t *cls;
    uint32_t n_cls;
    Value v;
    NodeId reader;
    Fit fit;
    uint32_t to[2 * MAX_RANK];
} Near;

typedef struct IsIndex {
    uint32_t k;
} IsIndex;

static bool is_that_index(Graph *g, ExprId e, void *user) {
    return is_index(g, e, ((IsIndex *)user)->k);
}

/* ---- before: how is it read? ---------------------------------------------------------------------------- */

static bool note_axis(Near *x, uint32_t q, ExprId j) {
    Graph *g = x->p->g;
    Value out = graph_node(g, x->reader)->out;
    const Expr *i = graph_expr(g, j);
    if (i->op != X_IDX || (uint64_t)i->i >= graph_value(g, out)->rank) return true;
    uint32_t c = scan_axes_class(x->axes, out, (uint32_t)i->i);
    for (uint32_t k = 0; k < x->n_cls; k++) {
        if (x->cls[k] != c) continue;
        if (x->fit.at[k] != PULL_NONE && x->fit.at[k] != q) return false;
        x->fit.at[k] = q;
    }
    return true;
}

/* s = j*c + j' with two own indices */
static bool is_cut(Graph *g, ExprId s, int64_t *c, ExprId *j, ExprId *rest) {
    Affine a;
    int64_t zero, c0, c1;
    if (!expr_affine(g, s, &a) || a.n != 2 || !size_is_num(g->sizes, a.konst, &zero) || zero ||
        !size_is_num(g->sizes, a.coef[0], &c0) || !size_is_num(g->sizes, a.coef[1], &c1))
        return false;
    uint32_t big = c0 > c1 ? 0 : 1;
    *c = big ? c1 : c0;
    *j = a.atom[big];
    *rest = a.atom[!big];
    return (big ? c0 : c1) == 1 && *c > 1 && graph_expr(g, *j)->op == X_IDX &&
           graph_expr(g, *rest)->op == X_IDX;
}

static bool note_sub(Near *x, uint32_t q, ExprId s) {
    Graph *g = x->p->g;
    const Expr *e = graph_expr(g, s);
    int64_t c = 0;
    ExprId j, rest;
    if (e->op == X_LVL && e->i == (int64_t)x->p->r->level) {
        bool fits = x->fit.axis == PULL_NONE || x->fit.axis == q;
        x->fit.axis = q;
        return fits;
    }
    if (!is_cut(g, s, &c, &j, &rest)) {
        c = 0;
        if (e->op != X_IDX && e->op != X_INT) return false;
    }
    if (x->fit.any && x->fit.cut[q] != c) return false;
    x->fit.cut[q] = c;
    return c ? note_axis(x, q, j) && note_axis(x, q, rest) : note_axis(x, q, s);
}

static void note_read(Walk *w, ExprId e, void *user) {
    Near *x = user;
    const Expr *r = graph_expr(w->g, e);
    if (r->op != X_READ || r->value != x->v || !x->fit.ok) return;
    for (uint32_t q = 0; q < r->n_args; q++)
        x->fit.ok = x->fit.ok && note_sub(x, q, expr_arg(w->g, e, q));
    x->fit.any = true;
}

static bool fits_body(Near *x, const Node *n) {
    Pull *p = x->p;
    const Block *body = &p->r->classes.data[0].body;
    x->v = n->out;
    x->fit = (Fit){.axis = PULL_NONE, .ok = true};
    for (uint32_t k = 0; k < GRID; k++) x->fit.at[k] = PULL_NONE;
    for (uint32_t i = 0; i < body->nodes.n && x->fit.ok; i++) {
        x->reader = body->nodes.data[i];
        const Node *m = graph_node(p->g, x->reader);
        x->fit.reads += pull_node_reads(p, m, n->out);
        walk_expr(&p->walk, m->expr, note_read, x);
    }
    if (!x->fit.ok || !x->fit.any || x->fit.axis == PULL_NONE) return false;
    const ValueInfo *v = graph_value(p->g, n->out);
    for (uint32_t q = 0; q < v->rank; q++) {
        int64_t items;
        if (x->fit.cut[q] &&
            (!size_is_num(p->g->sizes, v->dims[q], &items) || items % x->fit.cut[q]))
            return false;
    }
    for (uint32_t k = 0; k < x->n_cls; k++) x->fit.lacks += x->fit.at[k] == PULL_NONE;
    return v->dims[x->fit.axis] == p->r->length && v->rank + x->fit.lacks < MAX_RANK - 2;
}

/* Does nothing that runs before the recurrence read it? */
typedef struct Used {
    Value v;
    bool yes;
} Used;

static void note_use(Value v, void *user) {
    Used *u = user;
    if (v == u->v) u->yes = true;
}

static bool free_till_then(Near *x, const bool *gone, Value v) {
    Pull *p = x->p;
    Used u = {v, false};
    for (uint32_t i = 0; i + 1 < p->at && !u.yes; i++)
        if (!gone[i]) walk_uses(&p->inner, p->b->nodes.data[i], note_use, &u);
    const Recur *r = p->r;
    for (uint32_t k = 0; k < r->carry.n; k++)
        u.yes |= r->carry.data[k].init == v || r->carry.data[k].kept == v ||
                 r->classes.data[0].next[k] == v;
    return !u.yes;
}

static bool is_product(Graph *g, NodeId id) {
    PlanContract c;
    return contract_match(g, id, &c);
}

/* What an equation reads in every point of the grid alike stays outside; it had better be no larger than
 * the equation itself. */
static void note_operand(Walk *w, ExprId e, void *user) {
    Near *x = user;
    Graph *g = w->g;
    const Expr r = *graph_expr(g, e);
    if (r.op != X_READ || r.value >= x->p->n_values || !x->p->pos[r.value]) return;
    bool alike = false;
    for (uint32_t k = 0; k < x->n_cls; k++) {
        IsIndex i = {x->fit.at[k]};
        bool found = false;
        for (uint32_t q = 0; q < r.n_args && !found; q++)
            found = walk_any(&x->p->inner, expr_arg(g, e, q), is_that_index, &i);
        alike |= !found;
    }
    if (!alike) return;
    Size more = size_sub(g->sizes, value_size(g, r.value), value_size(g, x->v));
    if (!more || size_positive(g->sizes, more)) x->fit.ok = false;
}

static bool worth_moving(Near *x, const Node *n) {
    walk_expr(&x->p->walk, n->expr, note_operand, x);
    return x->fit.ok;
}

/* ---- before: made by every point of the grid alike --------------------------------------------------------- */

static uint32_t class_axis(const Near *x, Value v, uint32_t k) {
    for (uint32_t a = 0; a < graph_value(x->p->g, v)->rank; a++)
        if (scan_axes_class(x->axes, v, a) == x->cls[k]) return a;
    return PULL_NONE;
}

static Size class_size(const Near *x, uint32_t k) {
    Value v = x->p->r->carry.n ? x->p->r->classes.data[0].args[0] : 0;
    uint32_t a = v ? class_axis(x, v, k) : PULL_NONE;
    return a == PULL_NONE ? 0 : graph_value(x->p->g, v)->dims[a];
}

/* How often it would be made; 0: no small number. */
static int64_t times(const Near *x) {
    int64_t n = 1, one;
    for (uint32_t k = 0; k < x->n_cls; k++) {
        if (x->fit.at[k] != PULL_NONE) continue;
        Size s = class_size(x, k);
        if (!s || !size_is_num(x->p->g->sizes, s, &one) || one > MOST_TIMES) return 0;
        n *= one;
    }
    return n <= MOST_TIMES ? n : 0;
}

static bool is_dear(Graph *g, ExprId e, void *user) {
    (void)user;
    const Expr *x = graph_expr(g, e);
    return x->op == X_RANDOM || (x->op == X_FN && x->type == T_REAL && x->fn != F_add &&
                                 x->fn != F_sub && x->fn != F_mul && x->fn != F_neg);
}

static void count_step(Walk *w, ExprId e, void *user) {
    (void)w;
    (void)e;
    ++*(uint32_t *)user;
}

/* Of an equation that fits: may every point of the grid make it? */
static bool may_repeat(Near *x, const bool *gone, const Node *n) {
    Pull *p = x->p;
    uint32_t steps = 0;
    walk_expr(&p->walk, n->expr, count_step, &steps);
    return x->fit.lacks && n->red == RED_NONE && times(x) && steps <= FEW_STEPS &&
           x->fit.reads == p->uses[n->out] && graph_value(p->g, n->out)->store == ST_DEFAULT &&
           !walk_any(&p->walk, n->expr, is_dear, NULL) && free_till_then(x, gone, n->out);
}

/* What would be kept less, and more, if all that may were made by the steps. */
typedef struct Trade {
    Near *x;
    bool *seen; /* by Value: counted */
    Size less, more;
} Trade;

static void add_to(const Trade *t, Size *sum, Value v) {
    Size s = value_size(t->x->p->g, v);
    *sum = s && *sum ? size_add(t->x->p->g->sizes, *sum, s) : 0;
}

static void note_kept(Walk *w, ExprId e, void *user) {
    Trade *t = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || t->seen[x->value]) return;
    t->seen[x->value] = true;
    const Node *n = graph_node(w->g, graph_value(w->g, x->value)->node);
    if (n->kind != N_PARAM && n->kind != N_INPUT) add_to(t, &t->more, x->value);
}

/* ---- before: moving ------------------------------------------------------------------------------------- */

static ExprId seen_inside(Edit *ed, ExprId e, const ExprId *args) {
    Near *x = ed->user;
    Graph *g = ed->g;
    const Expr r = *graph_expr(g, e);
    (void)args;
    if (r.op != X_IDX) return 0;
    uint32_t k = (uint32_t)r.i, rank = graph_value(g, x->v)->rank;
    if (k == x->fit.axis) return expr_lvl(g, x->p->r->level);
    if (k >= rank || !x->fit.cut[k]) return expr_idx(g, x->to[k]);
    ExprId big = expr_fn2(g, F_mul, expr_idx(g, x->to[k]), expr_int(g, x->fit.cut[k]));
    return expr_fn2(g, F_add, big, expr_idx(g, x->to[k] + 1));
}

static uint32_t place_axes(Near *x, const Node *n, Size *dims) {
    Graph *g = x->p->g;
    const ValueInfo *v = graph_value(g, n->out);
    uint32_t at = 0;
    for (uint32_t k = 0; k < x->n_cls; k++)
        if (x->fit.at[k] == PULL_NONE) dims[at++] = class_size(x, k);
    for (uint32_t k = 0; k < v->rank; k++) {
        if (k == x->fit.axis) continue;
        x->to[k] = at;
        int64_t items = 0;
        if (x->fit.cut[k]) {
            size_is_num(g->sizes, v->dims[k], &items);
            dims[at++] = size_num(g->sizes, items / x->fit.cut[k]);
            dims[at++] = size_num(g->sizes, x->fit.cut[k]);
        } else {
            dims[at++] = v->dims[k];
        }
    }
    for (uint32_t k = 0; k < n->n_extra; k++) x->to[v->rank + k] = at + k;
    return at;
}

typedef struct Reread {
    Near *x;
    Value made;
    Value by; /* the reader */
} Reread;

static ExprId read_inside(Edit *ed, ExprId e, const ExprId *args) {
    const Reread *r = ed->user;
    const Near *x = r->x;
    Graph *g = ed->g;
    const Expr old = *graph_expr(g, e);
    if (old.op != X_READ || old.value != x->v) return 0;
    ExprId subs[MAX_RANK];
    uint32_t at = 0;
    for (uint32_t k = 0; k < x->n_cls; k++)
        if (x->fit.at[k] == PULL_NONE) subs[at++] = expr_idx(g, class_axis(x, r->by, k));
    for (uint32_t q = 0; q < old.n_args; q++) {
        int64_t c;
        if (q == x->fit.axis) continue;
        if (x->fit.cut[q]) {
            is_cut(g, args[q], &c, &subs[at], &subs[at + 1]);
            at += 2;
        } else {
            subs[at++] = args[q];
        }
    }
    return expr_read(g, r->made, subs, at);
}

/* The old value, as a view of what the recurrence gives out; its node is to stand behind it. */
static void view_behind(Near *x, NodeId id, Value made, uint32_t axis) {
    Graph *g = x->p->g;
    uint32_t rank = graph_value(g, x->v)->rank, n = graph_value(g, made)->rank;
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < rank; k++) {
        ExprId i = expr_idx(g, k);
        if (k == x->fit.axis) {
            subs[axis] = i;
            continue;
        }
        uint32_t at = x->to[k] + (x->to[k] >= axis), next = x->to[k] + 1;
        next += next >= axis;
        ExprId c = expr_int(g, x->fit.cut[k]);
        subs[at] = x->fit.cut[k] ? expr_fn2(g, F_idiv, i, c) : i;
        if (x->fit.cut[k]) subs[next] = expr_fn2(g, F_imod, i, c);
    }
    Node *node = graph_node(g, id);
    node->red = RED_NONE;
    node->n_extra = 0;
    node->expr = expr_read(g, made, subs, n);
}

/* True: a view of it is wanted behind the recurrence. */
static bool move_before(Near *x, NodeId id) {
    Pull *p = x->p;
    Graph *g = p->g;
    const Node n = *graph_node(g, id);
    const ValueInfo old = *graph_value(g, n.out);
    Size dims[2 * MAX_RANK];
    uint32_t rank = place_axes(x, &n, dims);
    Edit ed = edit_new(g, p->scratch, seen_inside, x);
    ExprId e = edit_expr(&ed, n.expr);
    RecurClass *c = &p->r->classes.data[0];
    Block body = {0};
    Value made = graph_eq(g, &body, dims, rank, (Red)n.red, n.extra, n.n_extra, e, p->r->level + 1u,
                          old.name, n.loc);
    graph_value(g, made)->store = old.store;
    Reread r = {x, made, 0};
    Edit again = edit_new(g, p->scratch, read_inside, &r);
    for (uint32_t i = 0; i < c->body.nodes.n; i++) {
        NodeId m = c->body.nodes.data[i];
        r.by = graph_node(g, m)->out;
        edit_fresh(&again);
        ExprId m_expr = edit_expr(&again, graph_node(g, m)->expr);
        graph_node(g, m)->expr = m_expr;
        *PUSH(g->arena, &body.nodes) = m;
    }
    c->body = body;
    if (x->fit.reads == p->uses[n.out]) return false;
    uint32_t axis = 0;
    for (uint32_t k = 0; k < x->fit.axis; k++) axis += x->fit.cut[k] ? 2 : 1;
    view_behind(x, id, graph_recur_out(g, p->recur, 0, made, axis), axis);
    return true;
}

static bool look_again(Near *x) {
    x->axes = scan_axes(x->p->g, x->p->recur, x->p->scratch);
    if (!x->axes) return false;
    x->n_cls = scan_axes_grid(x->axes, &x->cls);
    return x->n_cls <= GRID && x->p->r->classes.data[0].body.nodes.n < MOST_NODES;
}

/* The block without what moved, views of it behind the recurrence. */
static void rebuild(Pull *p, const bool *gone, const Nodes *views) {
    Block out = {0};
    for (uint32_t i = 0; i < p->b->nodes.n; i++) {
        if (!gone[i]) *PUSH(p->g->arena, &out.nodes) = p->b->nodes.data[i];
        for (uint32_t k = 0; i + 1 == p->at && k < views->n; k++)
            *PUSH(p->g->arena, &out.nodes) = views->data[k];
    }
    *p->b = out;
}

/* The body's steps make what all points of the grid read alike, if less is kept then. */
static bool gather_repeated(Near *x) {
    Pull *p = x->p;
    Graph *g = p->g;
    bool *gone = NEWN(p->scratch, bool, p->b->nodes.n + 1);
    Trade t = {.x = x, .seen = NEWN(p->scratch, bool, g->values.n + 1)};
    t.less = t.more = size_num(g->sizes, 1);
    const Block *body = &p->r->classes.data[0].body;
    for (uint32_t i = 0; i < body->nodes.n; i++)
        walk_expr(&p->walk, graph_node(g, body->nodes.data[i])->expr, note_kept, &t);
    t.more = size_num(g->sizes, 1);
    Nodes take = {0};
    for (uint32_t i = p->at - 1; i-- > 0;) {
        const Node *n = graph_node(g, p->b->nodes.data[i]);
        if (n->kind != N_EQ || n->out >= p->n_values || !fits_body(x, n) || !may_repeat(x, gone, n))
            continue;
        gone[i] = true;
        add_to(&t, &t.less, n->out);
        walk_expr(&p->walk, n->expr, note_kept, &t);
        *PUSH(p->scratch, &take) = p->b->nodes.data[i];
    }
    Size gain = t.less && t.more ? size_sub(g->sizes, t.less, t.more) : 0;
    if (!take.n || !gain || !size_positive(g->sizes, gain)) return false;
    for (uint32_t i = 0; i < take.n; i++) {
        if (!look_again(x) || !fits_body(x, graph_node(g, take.data[i]))) return i > 0;
        pull_decide(p, graph_node(g, take.data[i])->out, R_alike);
        move_before(x, take.data[i]);
    }
    (void)look_again(x);
    rebuild(p, gone, &(Nodes){0});
    return true;
}

/* An equation before the recurrence: may each point of the grid make its part of it? */
static bool may_gather(Near *x, const bool *gone, const Node *n) {
    if (!fits_body(x, n)) return x->fit.any && pull_decide(x->p, n->out, R_steps);
    if (x->fit.lacks || !worth_moving(x, n)) return pull_decide(x->p, n->out, R_whole);
    return free_till_then(x, gone, n->out) || pull_decide(x->p, n->out, R_early);
}

static bool gather_before(Near *x) {
    Pull *p = x->p;
    bool *gone = NEWN(p->scratch, bool, p->b->nodes.n + 1), any = false;
    Nodes views = {0};
    for (uint32_t i = p->at - 1; i-- > 0;) {
        NodeId id = p->b->nodes.data[i];
        const Node *n = graph_node(p->g, id);
        if (n->kind != N_EQ || n->out >= p->n_values || is_product(p->g, id)) continue;
        if (!may_gather(x, gone, n)) continue;
        pull_decide(p, n->out, R_near);
        gone[i] = any = true;
        if (move_before(x, id)) *PUSH(p->scratch, &views) = id;
        if (!look_again(x)) break;
    }
    if (any) rebuild(p, gone, &views);
    return any || gather_repeated(x);
}

/* ---- behind --------------------------------------------------------------------------------------------- */

/* Do all reads of results keep each class of the grid as an output axis, whole or cut? */
static void keeps_grid(Walk *w, ExprId e, void *user) {
    Near *x = user;
    Graph *g = w->g;
    const Expr *r = graph_expr(g, e);
    const RecurOut *o = r->op == X_READ ? pull_out_of(x->p, r->value) : NULL;
    if (!o) return;
    uint32_t rank = graph_value(g, x->v)->rank;
    for (uint32_t k = 0; k < x->n_cls; k++) {
        bool found = false;
        for (uint32_t a = 0; a < graph_value(g, o->body)->rank; a++) {
            if (scan_axes_class(x->axes, o->body, a) != x->cls[k]) continue;
            ExprId s = expr_arg(g, e, a + (a >= o->axis));
            const Expr *i = graph_expr(g, s);
            if (i->op == X_FN && i->fn == F_idiv) i = graph_expr(g, expr_arg(g, s, 0));
            found = i->op == X_IDX && (uint64_t)i->i < rank &&
                    (x->fit.at[k] == PULL_NONE || x->fit.at[k] == i->i);
            if (found) x->fit.at[k] = (uint32_t)i->i;
        }
        x->fit.ok = x->fit.ok && found;
    }
}

static bool gather_behind(Near *x) {
    Pull *p = x->p;
    bool any = false;
    for (uint32_t i = p->at; i < p->b->nodes.n; i++) {
        NodeId id = p->b->nodes.data[i];
        const Node *n = graph_node(p->g, id);
        if (n->kind != N_EQ || n->out >= p->n_values || is_product(p->g, id)) continue;
        if (!pull_may_move(p, n) || !p->results) continue;
        x->v = n->out;
        x->fit = (Fit){.ok = true};
        for (uint32_t k = 0; k < GRID; k++) x->fit.at[k] = PULL_NONE;
        walk_expr(&p->walk, n->expr, keeps_grid, x);
        const Expr *e = graph_expr(p->g, n->expr);
        bool view = n->red == RED_NONE && e->op == X_READ; /* of what was moved before */
        if (!x->fit.ok || view) {
            if (!view) pull_decide(p, n->out, R_heads);
            continue;
        }
        if (!pull_move(p, id)) continue;
        pull_decide(p, graph_node(p->g, id)->out, R_near);
        any = true;
        if (!look_again(x)) break;
    }
    return any;
}

/* ---- blocks ---------------------------------------------------------------------------------------------- */

static bool near_block(Pull *p, Block *b) {
    bool any = false;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        Recur *r = graph_node(p->g, id)->recur;
        for (uint32_t c = 0; r && r->layers && c < r->classes.n; c++)
            any |= near_block(p, &r->classes.data[c].body);
        if (!r || r->layers || r->every || !pull_only_equations(p->g, &r->classes.data[0].body))
            continue;
        Near x = {.p = p};
        pull_at(p, b, i);
        if (!look_again(&x)) continue;
        bool moved = gather_before(&x);
        for (uint32_t k = 0; moved && k < b->nodes.n; k++)
            if (b->nodes.data[k] == id) i = k;
        any |= moved;
        if (moved) continue; /* what is behind it comes in the next round */
        any |= gather_behind(&x);
    }
    return any;
}

Graph *graph_neighbours(Graph *g, PlanLog *log) {
    bool any = true;
    for (int round = 0; any && round < MOST_ROUNDS; round++) {
        Arena *scratch = arena_new();
        any = near_block(pull_new(g, scratch, log), &g->top);
        arena_free(scratch);
        if (any) g = graph_simplify(g);
    }
    return g;
}
