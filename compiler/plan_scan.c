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
    Axes axes;
    Node *node; /* whose expression is being walked */
} Scan;

static bool of_body(const Scan *s, Value v) {
    for (uint32_t i = 0; i < s->r->carry.n; i++)
        if (s->c->args[i] == v) return true;
    return s->pl->block_of[graph_value(s->pl->g, v)->node] == &s->c->body;
}

static void visit_read(Walk *w, ExprId e, void *user) {
    Scan *s = user;
    Graph *g = w->g;
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || !of_body(s, x->value)) return;
    uint32_t rank = graph_value(g, s->node->out)->rank;
    for (uint32_t a = 0; a < x->n_args; a++) {
        const Expr *sub = graph_expr(g, expr_arg(g, e, a));
        uint32_t id = axis_id(x->value, a);
        if (sub->op == X_IDX && sub->i < rank)
            join(&s->axes, id, axis_id(s->node->out, (uint32_t)sub->i));
        else
            s->axes.serial[find(&s->axes, id)] = true;
    }
}

static bool class_axes(Scan *s) {
    Graph *g = s->pl->g;
    uint32_t n = g->values.n * MAX_RANK;
    s->axes.up = NEWN(s->pl->arena, uint32_t, n);
    s->axes.serial = NEWN(s->pl->arena, bool, n);
    for (uint32_t i = 0; i < n; i++) s->axes.up[i] = i;
    for (uint32_t i = 0; i < s->c->body.nodes.n; i++) {
        s->node = graph_node(g, s->c->body.nodes.data[i]);
        if (s->node->kind != N_EQ) return false;
        walk_expr(&s->pl->walk, s->node->expr, visit_read, s);
    }
    for (uint32_t i = 0; i < s->r->carry.n; i++) {
        Value arg = s->c->args[i], next = s->c->next[i];
        if (!of_body(s, next)) return false;
        for (uint32_t a = 0; a < graph_value(g, arg)->rank; a++)
            join(&s->axes, axis_id(arg, a), axis_id(next, a));
    }
    return true;
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

static bool everywhere(Scan *s, uint32_t k) {
    Graph *g = s->pl->g;
    for (uint32_t i = 0; i < s->c->body.nodes.n; i++)
        if (axis_in(s, graph_node(g, s->c->body.nodes.data[i])->out, k) >= MAX_RANK) return false;
    for (uint32_t i = 0; i < s->r->carry.n; i++)
        if (axis_in(s, s->c->args[i], k) >= MAX_RANK) return false;
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
        if (s->axes.serial[k] || !everywhere(s, k)) continue;
        int64_t num;
        bool fixed = size_is_num(g->sizes, graph_value(g, v)->dims[a], &num);
        if (fixed && (statics || a + 1 == rank)) continue;
        statics += fixed;
        cls[n++] = k;
    }
    return n;
}

static const RecurOut *out_of(const Scan *s, Value v) {
    for (uint32_t i = 0; i < s->c->outs.n; i++)
        if (s->c->outs.data[i].body == v) return &s->c->outs.data[i];
    return NULL;
}

static void add_members(Scan *s, Kernel *k, const uint32_t *cls) {
    Graph *g = s->pl->g;
    for (uint32_t i = 0; i < s->c->body.nodes.n; i++) {
        PlanMember *m = PUSH(s->pl->arena, &k->members);
        m->node = s->c->body.nodes.data[i];
        m->arg = m->also = LOCAL;
        for (uint32_t j = 0; j < k->n_par; j++)
            m->par[j] = (uint8_t)axis_in(s, graph_node(g, m->node)->out, cls[j]);
    }
    for (uint32_t i = 0; i < s->r->carry.n; i++) {
        PlanCarry *c = PUSH(s->pl->arena, &k->carries);
        c->arg_value = s->c->args[i];
        c->next = s->c->next[i];
        c->also = LOCAL;
        for (uint32_t j = 0; j < k->n_par; j++)
            c->par[j] = (uint8_t)axis_in(s, c->arg_value, cls[j]);
    }
}

/* Stacked results and final values go out through arguments; the same value stacked twice is copied later. */
static bool add_outs(Scan *s, Kernel *k) {
    Graph *g = s->pl->g;
    for (uint32_t i = 0; i < k->members.n; i++) {
        const RecurOut *o = out_of(s, graph_node(g, k->members.data[i].node)->out);
        if (!o) continue;
        uint32_t arg = kernel_arg(s->pl, k, o->result, true);
        k->members.data[i].also = arg;
        k->members.data[i].also_axis = o->axis;
    }
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const RecurOut *o = out_of(s, k->carries.data[i].arg_value);
        uint32_t init = kernel_arg(s->pl, k, s->r->carry.data[i].init, false);
        k->carries.data[i].init_arg = init;
        k->carries.data[i].final_arg = LOCAL;
        Value f = s->r->carry.data[i].final;
        if (f && s->pl->uses[f]) k->carries.data[i].final_arg = kernel_arg(s->pl, k, f, true);
        if (!o) continue;
        k->carries.data[i].also = kernel_arg(s->pl, k, o->result, true);
        k->carries.data[i].also_axis = o->axis;
    }
    for (uint32_t i = 0; i < s->c->outs.n; i++)
        for (uint32_t j = 0; j < i; j++)
            if (s->c->outs.data[i].body == s->c->outs.data[j].body) return false;
    return true;
}

bool scan_make(Planner *pl, NodeId recur, Kernel *k) {
    Scan s = {.pl = pl, .r = graph_node(pl->g, recur)->recur};
    s.c = &s.r->classes.data[0];
    uint32_t cls[MAX_RANK];
    pl->why = "a recurrence with another recurrence in its cycle has no compiled form yet";
    if (s.c->body.nodes.n == 0 || !class_axes(&s)) return false;
    k->recur = recur;
    k->n_par = (uint8_t)choose_grid(&s, cls);
    Value v = s.r->carry.n ? s.c->args[0] : graph_node(pl->g, s.c->body.nodes.data[0])->out;
    for (uint32_t j = 0; j < k->n_par; j++)
        k->par[j] = graph_value(pl->g, v)->dims[axis_in(&s, v, cls[j])];
    add_members(&s, k, cls);
    if (!add_outs(&s, k)) return false;
    kernel_args(pl, k);
    pl->why = NULL;
    plan_explain(pl, "%s: recurrence over %s, grid of %u axes", k->name,
                 s.r->axis ? s.r->axis : "?", k->n_par);
    return true;
}
