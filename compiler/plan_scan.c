/* A recurrence along an axis as one kernel: which indices are independent of each other for all steps
 * (the grid), and which run inside.
 *
 * Axes of the body's values that are read plainly as each other form classes. A class is parallel when
 * no read of a body value subscripts it with anything but the plain index of the same class. */
#include "plan_impl.h"

#include <string.h>

typedef struct Axes { /* union-find over (value, axis) */
    uint32_t *up;
    bool *serial;
} Axes;

static uint32_t axis_id(Value v, uint32_t axis) { return v * MAX_RANK + axis; }

static uint32_t find(Axes *x, uint32_t i) {
    while (x->up[i] != i) i = x->up[i] = x->up[x->up[i]];
    return i;
}

static void join(Axes *x, uint32_t a, uint32_t b) {
    a = find(x, a);
    b = find(x, b);
    if (a == b) return;
    if (b < a) {
        uint32_t t = a;
        a = b;
        b = t;
    }
    x->up[b] = a;
    x->serial[a] = x->serial[a] || x->serial[b];
}

typedef struct Scan {
    Planner *pl;
    Recur *r;
    RecurClass *c;
    Recur *again; /* or NULL */
    RecurClass *ac;
    Axes axes;
    Node *node; /* whose expression is being walked */
} Scan;

static bool of_class(const Scan *s, const Recur *r, const RecurClass *c, Value v) {
    for (uint32_t i = 0; r && i < r->carry.n; i++)
        if (c->args[i] == v) return true;
    return r && s->pl->block_of[graph_value(s->pl->g, v)->node] == &c->body;
}

/* The value of the steps run again that stands behind result v. */
static Value behind(const Scan *s, Value v) {
    for (uint32_t i = 0; s->again && i < s->ac->outs.n; i++)
        if (s->ac->outs.data[i].result == v) return s->ac->outs.data[i].body;
    return 0;
}

static bool of_body(const Scan *s, Value v) {
    return of_class(s, s->r, s->c, v) || of_class(s, s->again, s->ac, v) || behind(s, v);
}

static void visit_read(Walk *w, ExprId e, void *user) {
    Scan *s = user;
    Graph *g = w->g;
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || !of_body(s, x->value)) return;
    Value v = behind(s, x->value);
    uint32_t n = v ? x->n_args - 1u : x->n_args;
    uint32_t rank = graph_value(g, s->node->out)->rank;
    for (uint32_t a = 0; a < n; a++) {
        const Expr *sub = graph_expr(g, expr_arg(g, e, a));
        uint32_t id = axis_id(v ? v : x->value, a);
        if (sub->op == X_IDX && sub->i < rank)
            join(&s->axes, id, axis_id(s->node->out, (uint32_t)sub->i));
        else
            s->axes.serial[find(&s->axes, id)] = true;
    }
}

static bool body_axes(Scan *s, const Recur *r, const RecurClass *c) {
    Graph *g = s->pl->g;
    for (uint32_t i = 0; i < c->body.nodes.n; i++) {
        s->node = graph_node(g, c->body.nodes.data[i]);
        if (s->node->kind != N_EQ) return false;
        walk_expr(&s->pl->walk, s->node->expr, visit_read, s);
    }
    for (uint32_t i = 0; i < r->carry.n; i++) {
        Value arg = c->args[i], next = c->next[i];
        if (!of_body(s, next)) return false;
        for (uint32_t a = 0; a < graph_value(g, arg)->rank; a++)
            join(&s->axes, axis_id(arg, a), axis_id(next, a));
    }
    return true;
}

static bool class_axes(Scan *s) {
    uint32_t n = s->pl->g->values.n * MAX_RANK;
    s->axes.up = NEWN(s->pl->arena, uint32_t, n);
    s->axes.serial = NEWN(s->pl->arena, bool, n);
    for (uint32_t i = 0; i < n; i++) s->axes.up[i] = i;
    return (!s->again || body_axes(s, s->again, s->ac)) && body_axes(s, s->r, s->c);
}

/* The axis of v in class k: UINT32_MAX none, MAX_RANK more than one. */
static uint32_t axis_in(Scan *s, Value v, uint32_t k) {
    uint32_t at = UINT32_MAX;
    for (uint32_t a = 0; a < graph_value(s->pl->g, v)->rank; a++) {
        if (find(&s->axes, axis_id(v, a)) != k) continue;
        if (at != UINT32_MAX) return MAX_RANK;
        at = a;
    }
    return at;
}

static bool everywhere(Scan *s, const Recur *r, const RecurClass *c, uint32_t k) {
    Graph *g = s->pl->g;
    for (uint32_t i = 0; i < c->body.nodes.n; i++)
        if (axis_in(s, graph_node(g, c->body.nodes.data[i])->out, k) >= MAX_RANK) return false;
    for (uint32_t i = 0; i < r->carry.n; i++)
        if (axis_in(s, c->args[i], k) >= MAX_RANK) return false;
    return true;
}

/* The grid: parallel classes in the order of the first carried value's axes. The last axes of a value with
 * more than two stay inside: they are the lanes. */
static uint32_t choose_grid(Scan *s, uint32_t *cls) {
    Graph *g = s->pl->g;
    Value v = s->r->carry.n ? s->c->args[0] : graph_node(g, s->c->body.nodes.data[0])->out;
    uint32_t rank = graph_value(g, v)->rank, n = 0, statics = 0;
    for (uint32_t a = 0; a < rank; a++) {
        uint32_t k = find(&s->axes, axis_id(v, a));
        if (s->axes.serial[k] || !everywhere(s, s->r, s->c, k) ||
            (s->again && !everywhere(s, s->again, s->ac, k)))
            continue;
        int64_t num;
        bool fixed = size_is_num(g->sizes, graph_value(g, v)->dims[a], &num);
        if (fixed && (statics || a + 1 == rank)) continue;
        statics += fixed;
        cls[n++] = k;
    }
    return n;
}

static void add_members(Scan *s, Kernel *k, const Recur *r, const RecurClass *c,
                        const uint32_t *cls) {
    Graph *g = s->pl->g;
    for (uint32_t i = 0; i < c->body.nodes.n; i++) {
        PlanMember *m = PUSH(s->pl->arena, &k->members);
        m->node = c->body.nodes.data[i];
        m->arg = m->also = LOCAL;
        for (uint32_t j = 0; j < k->n_par; j++)
            m->par[j] = (uint8_t)axis_in(s, graph_node(g, m->node)->out, cls[j]);
    }
    for (uint32_t i = 0; i < r->carry.n; i++) {
        PlanCarry *x = PUSH(s->pl->arena, &k->carries);
        x->arg_value = c->args[i];
        x->next = c->next[i];
        x->also = x->final_arg = x->kept = LOCAL;
        for (uint32_t j = 0; j < k->n_par; j++)
            x->par[j] = (uint8_t)axis_in(s, x->arg_value, cls[j]);
    }
}

static bool member_out(Scan *s, Kernel *k, PlanMember *m, const RecurOut *o) {
    if (graph_node(s->pl->g, m->node)->out != o->body) return true;
    if (m->also != LOCAL || o->every) return false;
    m->also = kernel_arg(s->pl, k, o->result, true);
    m->also_axis = o->axis;
    return true;
}

static bool carry_out(Scan *s, Kernel *k, PlanCarry *c, const RecurOut *o) {
    if (c->arg_value != o->body) return true;
    if ((o->every ? c->kept : c->also) != LOCAL) return false;
    uint32_t arg = kernel_arg(s->pl, k, o->result, true);
    if (o->every) {
        c->kept = arg;
        c->kept_axis = o->axis;
        c->every = o->every;
    } else {
        c->also = arg;
        c->also_axis = o->axis;
    }
    return true;
}

/* Stacked results and final values go out through arguments; false: a value goes out twice. */
static bool add_outs(Scan *s, Kernel *k) {
    for (uint32_t i = 0; i < k->n_again_carries; i++) {
        uint32_t kept = kernel_arg(s->pl, k, s->again->carry.data[i].kept, false);
        k->carries.data[i].init_arg = kept;
    }
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const Carry *c = &s->r->carry.data[i - k->n_again_carries];
        uint32_t init = kernel_arg(s->pl, k, c->init, false);
        k->carries.data[i].init_arg = init;
        if (!c->final || !s->pl->uses[c->final]) continue;
        uint32_t final = kernel_arg(s->pl, k, c->final, true);
        k->carries.data[i].final_arg = final;
    }
    for (uint32_t o = 0; o < s->c->outs.n; o++) {
        const RecurOut *out = &s->c->outs.data[o];
        for (uint32_t i = k->n_again; i < k->members.n; i++)
            if (!member_out(s, k, &k->members.data[i], out)) return false;
        for (uint32_t i = k->n_again_carries; i < k->carries.n; i++)
            if (!carry_out(s, k, &k->carries.data[i], out)) return false;
    }
    return true;
}

bool scan_make(Planner *pl, NodeId recur, NodeId again, Kernel *k) {
    Scan s = {.pl = pl, .r = graph_node(pl->g, recur)->recur};
    s.c = &s.r->classes.data[0];
    s.again = again ? graph_node(pl->g, again)->recur : NULL;
    s.ac = again ? &s.again->classes.data[0] : NULL;
    uint32_t cls[MAX_RANK];
    pl->why = "a recurrence with another recurrence in its cycle has no compiled form yet";
    if (s.c->body.nodes.n == 0 || !class_axes(&s)) return false;
    k->recur = recur;
    k->again = again;
    k->n_par = (uint8_t)choose_grid(&s, cls);
    Value v = s.r->carry.n ? s.c->args[0] : graph_node(pl->g, s.c->body.nodes.data[0])->out;
    for (uint32_t j = 0; j < k->n_par; j++)
        k->par[j] = graph_value(pl->g, v)->dims[axis_in(&s, v, cls[j])];
    if (again) add_members(&s, k, s.again, s.ac, cls);
    k->n_again = k->members.n;
    k->n_again_carries = k->carries.n;
    add_members(&s, k, s.r, s.c, cls);
    if (!add_outs(&s, k)) return false;
    kernel_args(pl, k);
    pl->why = NULL;
    plan_explain(pl, "%s: recurrence over %s, grid of %u axes%s", k->name,
                 s.r->axis ? s.r->axis : "?", k->n_par, again ? ", another run again in it" : "");
    return true;
}

/* ---- values that go out twice ------------------------------------------------------------------------ */

static void out_apart(Graph *g, const Recur *r, RecurClass *c, RecurOut *o) {
    const ValueInfo v = *graph_value(g, o->body);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < v.rank; k++) subs[k] = expr_idx(g, k);
    ExprId e = expr_read(g, o->body, subs, v.rank);
    o->body =
        graph_eq(g, &c->body, v.dims, v.rank, RED_NONE, NULL, 0, e, r->level + 1u, v.name, v.loc);
    graph_value(g, o->body)->store = v.store;
}

static void block_apart(Graph *g, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        Recur *r = graph_node(g, b->nodes.data[i])->recur;
        for (uint32_t k = 0; r && k < r->classes.n; k++) {
            RecurClass *c = &r->classes.data[k];
            if (r->layers) block_apart(g, &c->body);
            for (uint32_t o = 1; o < c->outs.n && !r->layers; o++)
                for (uint32_t q = 0; q < o; q++)
                    if (c->outs.data[q].body == c->outs.data[o].body && !c->outs.data[q].every &&
                        !c->outs.data[o].every)
                        out_apart(g, r, c, &c->outs.data[o]);
        }
    }
}

/* A kernel gives each value out once: a second time, stacked along another axis, goes out a copy. */
void graph_outs_apart(Graph *g) { block_apart(g, &g->top); }

/* ---- for those who move equations into a recurrence -------------------------------------------------- */

struct ScanAxes {
    Planner pl;
    Scan s;
    uint32_t cls[MAX_RANK], n;
};

ScanAxes *scan_axes(Graph *g, NodeId recur, Arena *scratch) {
    ScanAxes *x = NEW(scratch, ScanAxes);
    Recur *r = graph_node(g, recur)->recur;
    RecurClass *c = &r->classes.data[0];
    x->pl = (Planner){.arena = scratch, .g = g, .walk = walk_new(g, scratch)};
    x->pl.block_of = NEWN(scratch, Block *, g->nodes.n);
    for (uint32_t i = 0; i < c->body.nodes.n; i++) x->pl.block_of[c->body.nodes.data[i]] = &c->body;
    x->s = (Scan){.pl = &x->pl, .r = r, .c = c};
    if (!class_axes(&x->s)) return NULL;
    uint32_t cls[MAX_RANK], n = choose_grid(&x->s, cls);
    Value v = r->carry.n ? c->args[0] : graph_node(g, c->body.nodes.data[0])->out;
    for (uint32_t i = 0; i < n; i++) {
        int64_t items;
        Size d = graph_value(g, v)->dims[axis_in(&x->s, v, cls[i])];
        if (!size_is_num(g->sizes, d, &items) || items > 1) x->cls[x->n++] = cls[i];
    }
    return x;
}

uint32_t scan_axes_grid(const ScanAxes *x, const uint32_t **cls) {
    *cls = x->cls;
    return x->n;
}

uint32_t scan_axes_class(ScanAxes *x, Value v, uint32_t axis) {
    return find(&x->s.axes, axis_id(v, axis));
}

/* ---- who reads a recurrence run again ---------------------------------------------------------------- */

typedef struct Reader {
    Value v;
    uint32_t level;
    bool reads, plain;
} Reader;

static void visit_result(Walk *w, ExprId e, void *user) {
    Reader *r = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || x->value != r->v) return;
    r->reads = true;
    const Expr *last = graph_expr(w->g, expr_arg(w->g, e, x->n_args - 1u));
    if (last->op != X_LVL || last->i != (int64_t)r->level) r->plain = false;
}

static bool reads_all_of(Planner *pl, const Recur *r, Value v) {
    const Block *body = &r->classes.data[0].body;
    uint32_t n = 0;
    Reader x = {v, r->level, false, true};
    for (uint32_t i = 0; i < body->nodes.n; i++) {
        x.reads = false;
        walk_expr(&pl->walk, graph_node(pl->g, body->nodes.data[i])->expr, visit_result, &x);
        n += x.reads;
    }
    return x.plain && n == pl->uses[v];
}

NodeId scan_reader(Planner *pl, const Block *b, NodeId again) {
    const Recur *f = graph_node(pl->g, again)->recur;
    const RecurClass *c = &f->classes.data[0];
    for (uint32_t k = 0; k < f->carry.n; k++)
        if (f->carry.data[k].final && pl->uses[f->carry.data[k].final]) return 0;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Recur *r = graph_node(pl->g, b->nodes.data[i])->recur;
        if (!r || r->layers || !r->reverse || r->length != f->length || r->every) continue;
        bool all = c->outs.n > 0;
        for (uint32_t o = 0; o < c->outs.n && all; o++)
            all = c->outs.data[o].axis == graph_value(pl->g, c->outs.data[o].body)->rank &&
                  reads_all_of(pl, r, c->outs.data[o].result);
        if (all) return b->nodes.data[i];
    }
    return 0;
}
