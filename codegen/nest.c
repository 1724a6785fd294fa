/* Members of a kernel as loop nests.
 *
 * Requires: members in an order that keeps every read after its write. Maintains: that order from nest to
 * nest; within a nest a member reads another one only at the same point, so its value is at hand in a
 * register. A member joins the last nest or opens a new one. Cost: members times expressions. */
#include <string.h>

#include "nest.h"

enum { UNSET = 255 };

Work *work_new(Emit *e, const Size *par, uint32_t n_par) {
    Work *w = NEW(e->arena, Work);
    w->e = e;
    w->n_par = n_par;
    memcpy(w->par, par, n_par * sizeof *par);
    w->nest_of = NEWN(e->arena, uint32_t, e->g->values.n + 1);
    uint32_t n = 2 * e->k->members.n + 6 * e->k->carries.n + 1;
    w->inner = NEWN(e->arena, uint32_t, n);
    w->same_as = NEWN(e->arena, uint32_t, n);
    w->slots = NEWN(e->arena, uint32_t, n);
    w->slot_items = NEWN(e->arena, V, n);
    w->row_axis = NEWN(e->arena, uint8_t, n);
    w->column_axis = NEWN(e->arena, uint8_t, n);
    w->tile = 1;
    return w;
}

static NestMember member_of(Work *w, uint32_t i) {
    const PlanMember *p = &w->e->k->members.data[i];
    const Node *n = graph_node(w->e->g, p->node);
    NestMember m = {.node = p->node, .of = i, .reduces = n->red != RED_NONE};
    m.rank = graph_value(w->e->g, n->out)->rank;
    m.n_idx = (uint8_t)(m.rank + n->n_extra);
    memset(m.axis_of, UNSET, sizeof m.axis_of);
    for (uint32_t j = 0; j < w->n_par; j++) m.axis_of[p->par[j]] = (uint8_t)(GRID_AXIS + j);
    return m;
}

static Size idx_size(const Work *w, const NestMember *m, uint32_t k) {
    const Node *n = graph_node(w->e->g, m->node);
    return k < m->rank ? graph_value(w->e->g, n->out)->dims[k] : n->extra[k - m->rank];
}

/* ---- joining ----------------------------------------------------------------------------------- */

typedef struct Join {
    Work *w;
    const Nest *n;
    uint32_t number; /* of the nest, from 1 */
    NestMember m;
    bool ok;
} Join;

static const NestMember *maker_of(const Work *w, const Nest *n, Value v) {
    for (uint32_t i = 0; i < n->members.n; i++)
        if (graph_node(w->e->g, n->members.data[i].node)->out == v) return &n->members.data[i];
    return NULL;
}

static bool bind_axis(Join *j, uint32_t k, uint8_t axis) {
    if (j->m.axis_of[k] != UNSET) return j->m.axis_of[k] == axis;
    for (uint32_t i = 0; i < j->m.n_idx; i++)
        if (j->m.axis_of[i] == axis) return false;
    j->m.axis_of[k] = axis;
    return true;
}

static void visit_read(Graph *g, ExprId x, void *user) {
    Join *j = user;
    const Expr *p = graph_expr(g, x);
    if (!j->ok || p->op != X_READ || j->w->nest_of[p->value] != j->number) return;
    const NestMember *q = maker_of(j->w, j->n, p->value);
    if (!q || q->reduces) {
        j->ok = false;
        return;
    }
    for (uint32_t a = 0; a < p->n_args && j->ok; a++) {
        const Expr *s = graph_expr(g, expr_arg(g, x, a));
        j->ok = s->op == X_IDX && (uint64_t)s->i < j->m.n_idx &&
                bind_axis(j, (uint32_t)s->i, q->axis_of[a]);
    }
}

static bool nest_reduces(const Nest *n) {
    for (uint32_t i = 0; i < n->members.n; i++)
        if (n->members.data[i].reduces) return true;
    return false;
}

/* Axes that no read decided, in order. */
static bool bind_rest(Join *j) {
    bool match_reduced = j->m.reduces && nest_reduces(j->n);
    for (uint32_t k = 0; k < j->m.n_idx; k++) {
        if (j->m.axis_of[k] != UNSET) continue;
        bool done = false;
        for (uint8_t a = 0; a < j->n->n && !done; a++) {
            if (j->n->size[a] != idx_size(j->w, &j->m, k)) continue;
            if (match_reduced && j->n->reduced[a] != (k >= j->m.rank)) continue;
            done = bind_axis(j, k, a);
        }
        if (!done) return false;
    }
    return true;
}

static bool reduced_agree(const Join *j) {
    bool check = j->m.reduces && nest_reduces(j->n);
    for (uint32_t k = 0; k < j->m.n_idx; k++) {
        uint8_t a = j->m.axis_of[k];
        if (a >= GRID_AXIS) continue;
        if (j->n->size[a] != idx_size(j->w, &j->m, k)) return false;
        if (check && j->n->reduced[a] != (k >= j->m.rank)) return false;
    }
    return true;
}

static void add_to(Work *w, Nest *n, NestMember m, uint32_t number) {
    for (uint32_t k = m.rank; m.reduces && k < m.n_idx; k++) n->reduced[m.axis_of[k]] = true;
    w->nest_of[graph_node(w->e->g, m.node)->out] = number;
    *PUSH(w->e->arena, &n->members) = m;
}

static bool join(Work *w, NestMember m) {
    if (!w->nests.n) return false;
    Nest *n = &w->nests.data[w->nests.n - 1];
    if (m.n_idx - w->n_par != n->n || n->members.n >= 24) return false;
    Join j = {.w = w, .n = n, .number = w->nests.n, .m = m, .ok = true};
    expr_walk(w->e->g, graph_node(w->e->g, m.node)->expr, visit_read, &j);
    if (!j.ok || !bind_rest(&j) || !reduced_agree(&j)) return false;
    add_to(w, n, j.m, w->nests.n);
    return true;
}

static void open_nest(Work *w, NestMember m) {
    Nest *n = PUSH(w->e->arena, &w->nests);
    for (uint32_t k = 0; k < m.n_idx; k++) {
        if (m.axis_of[k] != UNSET) continue;
        n->size[n->n] = idx_size(w, &m, k);
        m.axis_of[k] = (uint8_t)n->n++;
    }
    add_to(w, n, m, w->nests.n);
}

/* ---- what is kept --------------------------------------------------------------------------------- */

typedef struct Find {
    Value v;
    bool found;
} Find;

static void visit_find(Graph *g, ExprId x, void *user) {
    Find *f = user;
    const Expr *p = graph_expr(g, x);
    if (p->op == X_READ && p->value == f->v) f->found = true;
}

bool nest_reads(Work *w, const Nest *n, Value v) {
    Find f = {.v = v};
    for (uint32_t i = 0; i < n->members.n && !f.found; i++)
        expr_walk(w->e->g, graph_node(w->e->g, n->members.data[i].node)->expr, visit_find, &f);
    return f.found;
}

static void keep_what_is_read(Work *w) {
    for (uint32_t i = 0; i < w->nests.n; i++)
        for (uint32_t k = 0; k < w->nests.data[i].members.n; k++) {
            NestMember *m = &w->nests.data[i].members.data[k];
            const PlanMember *p = &w->e->k->members.data[m->of];
            Value v = graph_node(w->e->g, m->node)->out;
            for (uint32_t o = i + 1; o < w->nests.n && p->arg == LOCAL && !m->keep; o++)
                m->keep = nest_reads(w, &w->nests.data[o], v);
            if (m->keep) local_add(w, v, p->par);
        }
}

void nests_make(Work *w) {
    for (uint32_t i = 0; i < w->e->k->members.n; i++) {
        NestMember m = member_of(w, i);
        bool first = i && i == w->e->k->n_again; /* no nest is of both recurrences */
        if (first) w->n_again_nests = w->nests.n;
        if (first || !join(w, m)) open_nest(w, m);
    }
    keep_what_is_read(w);
}
