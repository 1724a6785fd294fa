/* The scan schedule: a recurrence along an axis. At each point of the grid the carried values are copied to
 * scratch, the steps run in order, and the final values are copied out.
 *
 * A carried value is rewritten where it lies when nothing reads the old one after the nest that makes the
 * new one; otherwise it is copied at the end of the step, by way of a third place where one carried value
 * becomes another. */
#include "nest.h"

static uint32_t level_of(const Emit *e) { return e->g->nodes.data[e->k->recur].recur->level; }

static bool is_carried(const Kernel *k, Value v) {
    for (uint32_t i = 0; i < k->carries.n; i++)
        if (k->carries.data[i].arg_value == v) return true;
    return false;
}

/* ---- where carried values live -------------------------------------------------------------------- */

typedef struct Look {
    const NestMember *reader;
    Value v;
    const uint8_t *axis_of; /* of the member that makes the new value */
    bool same_point;
} Look;

static void visit_point(Graph *g, ExprId x, void *user) {
    Look *l = user;
    const Expr *p = graph_expr(g, x);
    if (p->op != X_READ || p->value != l->v) return;
    for (uint32_t a = 0; a < p->n_args; a++) {
        const Expr *s = graph_expr(g, expr_arg(g, x, a));
        bool own = s->op == X_IDX && (uint64_t)s->i < l->reader->n_idx;
        if (!own || l->reader->axis_of[s->i] != l->axis_of[a]) l->same_point = false;
    }
}

/* May the new value overwrite the old one? */
static bool in_place(Work *w, const PlanCarry *c) {
    Emit *e = w->e;
    Kernel *k = e->k;
    if (is_carried(k, c->next) || !w->nest_of[c->next]) return false;
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *o = &k->carries.data[i];
        if (o == c) continue;
        if (o->next == c->next || o->next == c->arg_value) return false; /* it is wanted twice */
    }
    uint32_t made = w->nest_of[c->next];
    for (uint32_t i = made; i < w->nests.n; i++)
        if (nest_reads(w, &w->nests.data[i], c->arg_value)) return false;
    const Nest *n = &w->nests.data[made - 1];
    const NestMember *maker = NULL;
    for (uint32_t i = 0; i < n->members.n; i++)
        if (graph_node(e->g, n->members.data[i].node)->out == c->next) maker = &n->members.data[i];
    if (!maker) return false;
    bool reads = nest_reads(w, n, c->arg_value);
    if (maker->reduces) return !reads;
    for (uint32_t i = 0; i < n->members.n; i++) {
        Look l = {&n->members.data[i], c->arg_value, maker->axis_of, true};
        expr_walk(e->g, graph_node(e->g, l.reader->node)->expr, visit_point, &l);
        if (!l.same_point) return false;
    }
    return true;
}

static void keep_next(Work *w, Value v, const uint8_t *par) {
    uint32_t number = w->nest_of[v];
    if (!number) return;
    Nest *n = &w->nests.data[number - 1];
    for (uint32_t i = 0; i < n->members.n; i++)
        if (graph_node(w->e->g, n->members.data[i].node)->out == v) n->members.data[i].keep = true;
    local_add(w, v, par);
}

static void carries_place(Work *w) {
    Kernel *k = w->e->k;
    for (uint32_t i = 0; i < k->carries.n; i++)
        local_add(w, k->carries.data[i].arg_value, k->carries.data[i].par);
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        keep_next(w, c->next, c->par);
        if (in_place(w, c)) {
            uint32_t from = w->e->local_of[c->next] - 1, to = w->e->local_of[c->arg_value] - 1;
            w->same_as[from] = to;
        }
    }
}

/* ---- code --------------------------------------------------------------------------------------------- */

static uint32_t place_of(const Work *w, Value v) { return w->e->local_of[v] - 1; }

static bool shares(const Work *w, Value a, Value b) {
    uint32_t la = w->e->local_of[a], lb = w->e->local_of[b];
    return a == b || (la && lb && w->same_as[la - 1] == w->same_as[lb - 1]);
}

/* Reads what the kernel does not make: an argument that is the same at every step. */
static void next_from_outside(Work *w, const PlanCarry *c) {
    uint32_t a = w->e->arg_of[c->next];
    if (a)
        copy_in(w, a - 1, place_of(w, c->arg_value), c->par);
    else
        w->e->error = "a carried value comes from nowhere";
}

static void carry_on(Work *w) {
    Kernel *k = w->e->k;
    for (uint32_t i = 0; i < k->carries.n; i++) { /* old values that others take over */
        const PlanCarry *c = &k->carries.data[i];
        if (is_carried(k, c->next) && c->next != c->arg_value)
            copy_locals(w, place_of(w, c->next), w->shadow[i] - 1, c->par);
    }
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (shares(w, c->next, c->arg_value)) continue;
        if (is_carried(k, c->next))
            copy_locals(w, w->shadow[i] - 1, place_of(w, c->arg_value), c->par);
        else if (w->nest_of[c->next])
            copy_locals(w, place_of(w, c->next), place_of(w, c->arg_value), c->par);
        else
            next_from_outside(w, c);
    }
}

static void one_step(Work *w) {
    Kernel *k = w->e->k;
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (c->also != LOCAL)
            copy_out(w, place_of(w, c->arg_value), c->also, c->par, c->also_axis, val_int(w->step));
    }
    for (uint32_t i = 0; i < w->nests.n; i++) nest_emit(w, &w->nests.data[i]);
    carry_on(w);
}

static void all_steps(Work *w) {
    Emit *e = w->e;
    Kernel *k = e->k;
    const Recur *r = graph_node(e->g, k->recur)->recur;
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        copy_in(w, c->init_arg, place_of(w, c->arg_value), c->par);
    }
    V n = emit_size(e, r->length);
    Loop l = loop_begin(e, emit_const(e, 0), n, 1);
    w->step = l.i;
    if (r->reverse)
        w->step = LLVMBuildSub(e->b, LLVMBuildSub(e->b, n, emit_const(e, 1), ""), l.i, "");
    e->lvl[level_of(e)] = e->pos[level_of(e)] = val_int(w->step);
    one_step(w);
    loop_end(e, &l);
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (c->final_arg != LOCAL)
            copy_out(w, place_of(w, c->arg_value), c->final_arg, c->par, -1, (Val){0});
    }
}

/* Places for old values that become those of another carry. */
static void shadows_add(Work *w) {
    Emit *e = w->e;
    Kernel *k = e->k;
    w->shadow = NEWN(e->arena, uint32_t, k->carries.n + 1);
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (is_carried(k, c->next) && c->next != c->arg_value)
            w->shadow[i] = local_more(w, c->arg_value, c->par) + 1;
    }
}

const char *scan_emit(Emit *e) {
    Work *w = work_new(e, e->k->par, e->k->n_par);
    nests_make(w);
    carries_place(w);
    shadows_add(w);
    lanes_choose(w);
    locals_place(w);
    grid_emit(w, all_steps);
    return e->error;
}
