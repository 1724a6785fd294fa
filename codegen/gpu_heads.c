/* Kernels of few points with much to do at each: a point cut along an axis that all its values have, whole or as
 * a part of an axis (heads of a width), so that several workgroups share it.
 *
 * Nothing in one part may be read by another. So of every nest one axis is cut, of a size that the number of
 * parts divides, and what a member reads of the same kernel must lie in the part at hand: at the same index,
 * at index*size + less than size, or at index // size. */
#include "gpu.h"

enum { LEAST_WORK = 4096, MOST_PARTS = 256 };

typedef struct Cut {
    Work *w;
    int64_t parts;
    uint32_t nest;
    const NestMember *m;
    int64_t own; /* numbers of a part along the axis of the nest at hand */
    bool ok;
} Cut;

static bool number_of(Work *w, Size s, int64_t *n) {
    return size_is_num(w->e->g->sizes, size_ground(w->e->g->sizes, s), n);
}

/* X_IDX i of the member at hand is of the nest's cut axis. */
static bool is_cut(const Cut *c, const Expr *x) {
    return x->op == X_IDX && x->i < c->m->n_idx &&
           c->m->axis_of[x->i] == c->w->nests.data[c->nest].cut - 1u;
}

/* Which axis of the value an earlier nest cuts, and how many numbers of it a part has. */
static bool cut_of(const Cut *c, Value v, uint32_t *axis, int64_t *each) {
    const Nest *n = &c->w->nests.data[c->w->nest_of[v] - 1];
    for (uint32_t i = 0; i < n->members.n; i++) {
        const NestMember *m = &n->members.data[i];
        if (graph_node(c->w->e->g, m->node)->out != v) continue;
        for (uint32_t k = 0; k < m->rank; k++)
            if (m->axis_of[k] == n->cut - 1u) {
                *axis = k;
                return number_of(c->w, n->size[n->cut - 1u], each) && (*each /= c->parts, true);
            }
    }
    return false;
}

/* s = index*each + less than each? */
static bool is_start_and_rest(const Cut *c, ExprId s, int64_t each) {
    Graph *g = c->w->e->g;
    const Node *n = graph_node(g, c->m->node);
    Affine a;
    int64_t by, size, rest = 0;
    bool found = false;
    if (c->own != 1 || !expr_affine(g, s, &a) || !size_is_num(g->sizes, a.konst, &by) || by)
        return false;
    for (uint32_t i = 0; i < a.n; i++) {
        const Expr *x = graph_expr(g, a.atom[i]);
        if (x->op != X_IDX || !size_is_num(g->sizes, size_ground(g->sizes, a.coef[i]), &by) ||
            by < 0)
            return false;
        if (is_cut(c, x)) {
            if (by != each) return false;
            found = true;
            continue;
        }
        Size d =
            x->i < c->m->rank ? graph_value(g, n->out)->dims[x->i] : n->extra[x->i - c->m->rank];
        if (!number_of(c->w, d, &size)) return false;
        rest += by * (size - 1);
    }
    return found && rest < each;
}

static bool stays_inside(const Cut *c, ExprId s, int64_t each) {
    Graph *g = c->w->e->g;
    const Expr *x = graph_expr(g, s);
    if (is_cut(c, x)) return c->own == each;
    if (x->op == X_FN && x->fn == F_idiv && is_cut(c, graph_expr(g, expr_arg(g, s, 0)))) {
        const Expr *by = graph_expr(g, expr_arg(g, s, 1));
        return by->op == X_INT && by->i * each == c->own;
    }
    return is_start_and_rest(c, s, each);
}

static void visit_read(Graph *g, ExprId x, void *user) {
    Cut *c = user;
    const Expr *p = graph_expr(g, x);
    if (!c->ok || p->op != X_READ || !c->w->nest_of[p->value]) return;
    uint32_t axis;
    int64_t each;
    c->ok = cut_of(c, p->value, &axis, &each) && stays_inside(c, expr_arg(g, x, axis), each);
}

static bool cut_at(Cut *c, uint32_t axis) {
    Nest *n = &c->w->nests.data[c->nest];
    int64_t size;
    if (n->reduced[axis] || !number_of(c->w, n->size[axis], &size) || size % c->parts) return false;
    n->cut = axis + 1;
    c->own = size / c->parts;
    c->ok = true;
    for (uint32_t i = 0; i < n->members.n && c->ok; i++) {
        c->m = &n->members.data[i];
        expr_walk(c->w->e->g, graph_node(c->w->e->g, c->m->node)->expr, visit_read, c);
    }
    if (!c->ok) n->cut = 0;
    return c->ok;
}

static bool cut_all(Work *w, int64_t parts) {
    Cut c = {.w = w, .parts = parts};
    bool done = true;
    for (c.nest = 0; c.nest < w->nests.n && done; c.nest++) {
        const Nest *n = &w->nests.data[c.nest];
        done = false;
        for (uint32_t a = 0; a < n->n && !done; a++) done = cut_at(&c, a);
    }
    for (uint32_t i = 0; i < w->nests.n && !done; i++) w->nests.data[i].cut = 0;
    return done;
}

/* Points that are no more than the samples of a batch. */
static bool few_points(Work *w) {
    bool run = false;
    int64_t n;
    for (uint32_t i = 0; i < w->n_par; i++) {
        if (number_of(w, w->par[i], &n)) continue;
        if (run) return false;
        run = true;
    }
    return true;
}

static int64_t work_of(Work *w) {
    int64_t all = 0, n;
    for (uint32_t i = 0; i < w->nests.n; i++) {
        int64_t items = 1;
        for (uint32_t a = 0; a < w->nests.data[i].n; a++)
            if (number_of(w, w->nests.data[i].size[a], &n) && items < 1 << 30) items *= n;
        all += items;
    }
    return all;
}

int64_t gpu_heads(Work *w) {
    Emit *e = w->e;
    if (e->k->kind != K_ROW || e->gpu->point || !few_points(w) || work_of(w) < LEAST_WORK) return 1;
    int64_t best = 1, n;
    for (uint32_t i = 0; i < w->nests.n; i++)
        for (uint32_t a = 0; a < w->nests.data[i].n; a++)
            if (number_of(w, w->nests.data[i].size[a], &n) && n > best && n <= MOST_PARTS &&
                cut_all(w, n))
                best = n;
    if (best > 1) cut_all(w, best);
    return best;
}
