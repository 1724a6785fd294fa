/* Which axis lies in the lanes of each nest, and how values in scratch lie.
 *
 * A rough count of vector instructions decides: a read costs little where neighbouring lanes read
 * neighbours or the same, much where they do not; sums across lanes cost a few steps each. Values in
 * scratch may lie with any axis innermost: alternatives are tried one value at a time. */
#include <string.h>

#include "gpu.h"

enum { TYPICAL = 100 };

int64_t size_guess(Emit *e, Size s) {
    int64_t n;
    return emit_known(e, s, &n) ? n : TYPICAL;
}

/* ---- how an address moves from lane to lane --------------------------------------------------------- */

enum { STRANGE = -1 };

static void visit_idx(Graph *g, ExprId x, void *user) {
    int64_t *k = user;
    const Expr *p = graph_expr(g, x);
    if (p->op == X_IDX && p->i == *k) *k = -1;
}

static bool depends(Graph *g, ExprId x, int64_t k) {
    expr_walk(g, x, visit_idx, &k);
    return k == -1;
}

/* The step of an int expression for one step of X_IDX k; STRANGE if there is no small constant one. */
static int64_t step_of(Emit *e, ExprId x, int64_t k, uint32_t lanes) {
    Graph *g = e->g;
    const Expr p = *graph_expr(g, x);
    if (p.op == X_IDX) return p.i == k;
    if (!depends(g, x, k)) return 0;
    if (p.op != X_FN || fn_info[p.fn].arity != 2) return STRANGE;
    ExprId xa = expr_arg(g, x, 0), xb = expr_arg(g, x, 1);
    int64_t a = step_of(e, xa, k, lanes), b = step_of(e, xb, k, lanes), n = 0;
    const Expr *d = graph_expr(g, xb), *c = graph_expr(g, xa);
    if (a < 0 || b < 0) return STRANGE;
    switch (p.fn) {
    case F_add: return a + b;
    case F_sub: return b ? STRANGE : a;
    case F_mul:
        if (d->op == X_INT && d->i > 0) return a * d->i;
        if (c->op == X_INT && c->i > 0) return b * c->i;
        if (d->op == X_SIZE && size_is_num(g->sizes, d->size, &n)) return a * n;
        return STRANGE;
    case F_idiv:
    case F_imod:
        if (d->op != X_INT || a != 1 || !lanes || d->i % lanes) return STRANGE;
        return p.fn == F_imod;
    default: return STRANGE;
    }
}

static int64_t arg_stride_guess(Emit *e, Value v, uint32_t axis) {
    const ValueInfo *i = graph_value(e->g, v);
    int64_t s = 1;
    for (uint32_t a = axis + 1; a < i->rank; a++) s *= size_guess(e, i->dims[a]);
    return s;
}

static int64_t local_stride_guess(Work *w, uint32_t l, Value v, uint32_t axis) {
    const ValueInfo *i = graph_value(w->e->g, v);
    uint32_t inner = w->inner[w->same_as[l]];
    if (axis == inner) return 1;
    int64_t s = size_guess(w->e, i->dims[inner]);
    return s > 1 ? s : 1;
}

typedef struct Count {
    Work *w;
    const NestMember *m;
    const Nest *n;
    uint32_t number; /* of the nest, from 1 */
    int64_t k;       /* X_IDX in the lanes, or -1 */
    bool grid;
    uint32_t lanes; /* aligned to this; 0: not aligned */
    double cost;
} Count;

static double access_cost(int64_t step, bool write) {
    if (step == 0) return write ? 1 : 0.6;
    if (step == 1) return write ? 1.5 : 1;
    return write ? 24 : 14;
}

static void count_read(Count *c, Graph *g, ExprId x) {
    const Expr p = *graph_expr(g, x);
    if (c->w->nest_of[p.value] == c->number) return;
    uint32_t l = c->w->e->local_of[p.value];
    if (l && c->grid) {
        c->cost += 1;
        return;
    }
    int64_t step = 0;
    for (uint32_t a = 0; a < p.n_args && step >= 0; a++) {
        int64_t s = step_of(c->w->e, expr_arg(g, x, a), c->k, c->lanes);
        int64_t by =
            l ? local_stride_guess(c->w, l - 1, p.value, a) : arg_stride_guess(c->w->e, p.value, a);
        step = s < 0 ? STRANGE : step + s * by;
    }
    c->cost += access_cost(step, false);
}

static void visit_cost(Graph *g, ExprId x, void *user) {
    Count *c = user;
    const Expr *p = graph_expr(g, x);
    if (p->op == X_READ) count_read(c, g, x);
    if (p->op == X_RANDOM) c->cost += 30;
    if (p->op != X_FN) return;
    bool hard = p->fn == F_div || p->fn == F_sqrt;
    c->cost += p->fn == F_pow                     ? 60
               : p->fn >= F_exp && p->fn <= F_cos ? 20
               : hard                             ? 8
               : p->type == T_INT                 ? 0.2
                                                  : 1;
}

static double store_cost(const Count *c, Value v, uint32_t l, int extra) {
    const NestMember *m = c->m;
    int64_t step = 0;
    for (uint32_t a = 0; a < m->rank; a++) {
        if ((int64_t)a != c->k) continue;
        uint32_t shift = extra >= 0 && (int)a >= extra ? 1 : 0;
        step = l && !c->grid ? local_stride_guess(c->w, l - 1, v, a)
               : l           ? 1
                             : arg_stride_guess(c->w->e, v, a + shift);
    }
    return access_cost(step, true);
}

static double body_cost(Count *c) {
    Emit *e = c->w->e;
    const Node *n = graph_node(e->g, c->m->node);
    const PlanMember *p = &e->k->members.data[c->m->of];
    c->cost = 0;
    expr_walk(e->g, n->expr, visit_cost, c);
    if (c->m->reduces) return c->cost + 1;
    if (p->arg != LOCAL) c->cost += store_cost(c, e->args[p->arg].value, 0, -1);
    if (p->also != LOCAL) c->cost += store_cost(c, e->args[p->also].value, 0, p->also_axis);
    if (c->m->keep) c->cost += store_cost(c, n->out, e->local_of[n->out], -1);
    return c->cost;
}

static int64_t idx_in_lanes(const Work *w, const NestMember *m, int lane) {
    uint32_t axis = lane == LANE_GRID ? GRID_AXIS + w->n_par - 1 : (uint32_t)lane;
    for (uint32_t k = 0; lane != LANE_NONE && k < m->n_idx; k++)
        if (m->axis_of[k] == axis) return k;
    return -1;
}

static double nest_cost(Work *w, uint32_t number, int lane) {
    const Nest *n = &w->nests.data[number - 1];
    uint32_t lanes = w->e->lanes;
    double iters = 1, outs = 1, body = 0;
    for (uint32_t a = 0; a < n->n; a++) {
        double s = (double)size_guess(w->e, n->size[a]);
        if (!n->reduced[a]) outs *= s;
        if ((int)a == lane) s = (double)((int64_t)(s + lanes - 1) / lanes);
        iters *= s;
    }
    for (uint32_t i = 0; i < n->members.n; i++) {
        const NestMember *m = &n->members.data[i];
        Count c = {.w = w, .m = m, .n = n, .number = number, .grid = lane == LANE_GRID};
        c.k = idx_in_lanes(w, m, lane);
        c.lanes = lane == LANE_GRID ? 0 : lanes;
        body += body_cost(&c);
    }
    double across = lane >= 0 && n->reduced[lane] ? outs * 12 : 0;
    return iters * (body + 0.5) + across + 4;
}

/* ---- choosing --------------------------------------------------------------------------------------- */

static double best_lane(Work *w, uint32_t number, int *lane) {
    const Nest *n = &w->nests.data[number - 1];
    double best = nest_cost(w, number, LANE_NONE);
    *lane = LANE_NONE;
    for (uint32_t a = n->n; a-- > 0;) {
        double c = size_guess(w->e, n->size[a]) > 1 ? nest_cost(w, number, (int)a) : best;
        if (c >= best) continue;
        best = c;
        *lane = (int)a;
    }
    return best;
}

/* Stacked entry values of a scan are copied out as they lie. */
static double copies_cost(Work *w) {
    Kernel *k = w->e->k;
    double cost = 0;
    for (uint32_t i = 0; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        uint32_t l = w->e->local_of[c->arg_value];
        const ValueInfo *v = graph_value(w->e->g, c->arg_value);
        if (c->also == LOCAL || !l || !v->rank) continue;
        double items = 1;
        for (uint32_t a = w->n_par; a < v->rank; a++) items *= (double)size_guess(w->e, v->dims[a]);
        bool along = w->inner[w->same_as[l - 1]] == v->rank - 1u;
        cost += items * (along ? 0.2 : 1.5);
    }
    return cost;
}

static double all_nests(Work *w) {
    double sum = copies_cost(w);
    for (uint32_t i = 0; i < w->nests.n; i++) {
        int lane;
        sum += best_lane(w, i + 1, &lane);
    }
    return sum;
}

static double try_layouts(Work *w) {
    double best = all_nests(w);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t l = 0; l < w->e->locals.n; l++) {
            const ValueInfo *v = graph_value(w->e->g, w->e->locals.data[l].value);
            if (w->same_as[l] != l) continue;
            for (uint32_t a = 0; a < v->rank; a++) {
                uint32_t old = w->inner[l];
                bool of_grid = LLVMIsNull(w->e->locals.data[l].stride[a]) != 0;
                if (of_grid || a == old || size_guess(w->e, v->dims[a]) < 4) continue;
                w->inner[l] = a;
                double c = all_nests(w);
                if (c < best)
                    best = c;
                else
                    w->inner[l] = old;
            }
        }
    return best;
}

static double grid_cost(Work *w) {
    if (!w->n_par) return 1e30;
    double n = (double)size_guess(w->e, w->par[w->n_par - 1]), lanes = (double)w->e->lanes, sum = 0,
           bytes = 0;
    for (uint32_t i = 0; i < w->nests.n; i++) sum += nest_cost(w, i + 1, LANE_GRID);
    for (uint32_t l = 0; l < w->e->locals.n; l++) {
        const EmitLocal *at = &w->e->locals.data[l];
        double items = 1;
        for (uint32_t a = 0; a < graph_value(w->e->g, at->value)->rank; a++)
            if (!LLVMIsNull(at->stride[a]))
                items *= (double)size_guess(w->e, graph_value(w->e->g, at->value)->dims[a]);
        bytes += items * 4 * lanes;
    }
    if (bytes > 65536) sum *= 3;
    return sum / (n < lanes ? n : lanes);
}

static void set_width(Work *w, Nest *n) {
    uint32_t lanes = w->e->lanes;
    n->width = n->unroll = n->split = 1;
    if (n->lane == LANE_GRID) n->width = lanes;
    if (n->lane < 0) return;
    int64_t s = size_guess(w->e, n->size[n->lane]);
    n->width = lanes;
    while (n->width > 2 && s <= n->width / 2) n->width /= 2;
}

static void add_work(Graph *g, ExprId x, void *user) {
    const Expr *p = graph_expr(g, x);
    *(uint32_t *)user += p->op == X_FN && p->fn >= F_exp ? 20 : p->op == X_FN || p->op == X_READ;
}

/* Vectors side by side: they hide the time a sum takes, and share what all lanes have in common. */
static void set_unroll(Work *w, Nest *n) {
    uint32_t work = 0, most = 8;
    bool reduces = false;
    for (uint32_t i = 0; i < n->members.n; i++) {
        expr_walk(w->e->g, graph_node(w->e->g, n->members.data[i].node)->expr, add_work, &work);
        reduces |= n->members.data[i].reduces;
    }
    if (!reduces || n->lane == LANE_NONE) return;
    if (n->members.n > 1 || work > 12) most = 4;
    if (work > 60) most = 2;
    if (work > 120) most = 1;
    int64_t s =
        n->lane >= 0 ? size_guess(w->e, n->size[n->lane]) : size_guess(w->e, w->par[w->n_par - 1]);
    while (most > 1 && (int64_t)n->width * most > s) most /= 2;
    n->unroll = most;
    bool across = n->lane >= 0 && n->reduced[n->lane];
    if (!across && n->members.n == 1 && work <= 12 && most <= 4) n->split = 2;
}

void lanes_choose(Work *w) {
    double inside = try_layouts(w), across = grid_cost(w);
    w->grid_lane = w->e->gpu ? gpu_prefers_points(w, inside, across) : across < inside * 0.8;
    uint32_t unroll = 8;
    bool reduces = false;
    for (uint32_t i = 0; i < w->nests.n; i++) {
        Nest *n = &w->nests.data[i];
        best_lane(w, i + 1, &n->lane);
        if (w->grid_lane) n->lane = LANE_GRID;
        set_width(w, n);
        set_unroll(w, n);
        bool any = false;
        for (uint32_t k = 0; k < n->members.n; k++) any |= n->members.data[k].reduces;
        if (any && n->unroll < unroll) unroll = n->unroll;
        reduces |= any;
    }
    w->tile = w->grid_lane ? w->e->lanes * (reduces ? unroll : 1) : 1;
    if (w->e->gpu) gpu_place(w);
}
