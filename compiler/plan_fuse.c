/* Fusion: the nodes of a block as kernels.
 *
 * A node may join an earlier kernel when everything else it reads is made before that kernel runs:
 *   epilogue  a pointwise node over exactly the axes of a matrix product, its only reader, joins it
 *   row       nodes that share their leading run-time axes and read each other at the same point of
 *             those run row by row; what only the row needs stays in scratch
 *   siblings  nodes over the same rows that read the same tensor run together, and read it once
 *   points    where fixed axes stand between run-time ones (the channels of a picture), a kernel is cut at
 *             the run-time axes alone when its value is then needed inside only
 * Every decision is recorded in PlanOptions.log; fuse_rules.def has the words for it. */
#include "plan_impl.h"

#include <string.h>

enum {
    ROW_BYTES = 1 << 18, /* most scratch of a row */
    MOST_SIBLINGS = 16   /* members of a kernel that siblings may join */
};

typedef struct Fuse {
    Planner *pl;
    Block *b;
    Units *units;
    uint32_t *unit_of;     /* by Value */
    NodeId node;           /* being placed */
    int64_t latest;        /* unit that makes the last of what it reads, -1 none */
    uint32_t skip;         /* unit not counted in latest */
    uint32_t par;          /* axes of the grid it is held against */
    uint8_t map[MAX_RANK]; /* and which of its own axes these are */
    bool plain;            /* what it reads of unit `skip` is read at the same row */
    bool exact;            /* and at the same point altogether */
    bool touches;
    VEC(NodeId) again, reader; /* recurrences run again, and in which others */
} Fuse;

static Kernel *kernel_at(const Fuse *f, uint32_t u) { return f->units->data[u].kernel; }

/* The node at hand does not join k by this rule; false, so that it can be said where that is decided. */
static bool no(Fuse *f, const Kernel *k, FuseRule rule) {
    plan_decide(f->pl, f->node, k, rule);
    return false;
}

/* The axes of a value that are the grid of the kernel that makes it. */
static const uint8_t *grid_of(const Fuse *f, uint32_t unit, Value v) {
    static const uint8_t leading[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const Kernel *k = kernel_at(f, unit);
    for (uint32_t i = 0; k && i < k->members.n; i++)
        if (graph_node(f->pl->g, k->members.data[i].node)->out == v) return k->members.data[i].par;
    return leading;
}

/* ---- what a node reads ------------------------------------------------------------------------- */

static void visit_latest(Walk *w, ExprId e, void *user) {
    Fuse *f = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ) return;
    uint32_t u = f->unit_of[x->value];
    if (u == NOWHERE) return;
    if (u != f->skip) {
        if ((int64_t)u > f->latest) f->latest = u;
        return;
    }
    f->touches = true;
    uint32_t rank = graph_value(w->g, graph_node(w->g, f->node)->out)->rank;
    const uint8_t *at = grid_of(f, u, x->value);
    for (uint32_t a = 0; a < x->n_args; a++)
        if (!is_index(w->g, expr_arg(w->g, e, a), a)) f->exact = false;
    if (x->n_args != rank) f->exact = false;
    for (uint32_t j = 0; j < f->par; j++)
        if (at[j] >= x->n_args || !is_index(w->g, expr_arg(w->g, e, at[j]), f->map[j]))
            f->plain = false;
}

/* Sets latest, plain, exact, touches; f->map says which axes of the node the par axes of the grid are. */
static void read_against(Fuse *f, uint32_t unit, uint32_t par) {
    f->skip = unit;
    f->par = par;
    f->latest = -1;
    f->plain = f->exact = true;
    f->touches = false;
    walk_expr(&f->pl->walk, graph_node(f->pl->g, f->node)->expr, visit_latest, f);
}

typedef struct Readers {
    Value v;
    bool reads;
} Readers;

static void visit_reader(Graph *g, ExprId e, void *user) {
    Readers *r = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_READ && x->value == r->v) r->reads = true;
}

static bool node_reads(Planner *pl, NodeId n, Value v) {
    Readers r = {v, false};
    expr_walk(pl->g, graph_node(pl->g, n)->expr, visit_reader, &r);
    return r.reads;
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static bool is_fixed(Graph *g, Size s) {
    int64_t n;
    return size_is_num(g->sizes, s, &n);
}

/* The leading axes with run-time lengths; where there is none, all but the last. */
static uint32_t row_axes(Graph *g, Value v) {
    const ValueInfo *i = graph_value(g, v);
    uint32_t n = 0;
    for (uint32_t a = 0; a < i->rank; a++)
        if (!is_fixed(g, i->dims[a])) n = a + 1;
    if (n == 0 && i->rank > 1) n = i->rank - 1u;
    return n;
}

/* The axes with run-time lengths. */
static uint32_t run_axes(Graph *g, Value v, uint8_t *axis) {
    const ValueInfo *i = graph_value(g, v);
    uint32_t n = 0;
    for (uint32_t a = 0; a < i->rank; a++)
        if (!is_fixed(g, i->dims[a])) axis[n++] = (uint8_t)a;
    return n;
}

static bool grid_fits(Graph *g, const Kernel *k, Value v, const uint8_t *axis, uint32_t n) {
    if (k->n_par != n) return false;
    for (uint32_t j = 0; j < n; j++)
        if (k->par[j] != graph_value(g, v)->dims[axis[j]]) return false;
    return true;
}

static void map_plainly(Fuse *f) {
    for (uint32_t j = 0; j < MAX_RANK; j++) f->map[j] = (uint8_t)j;
}

/* May v be made row by row on the grid of k? Sets f->map. */
static bool same_rows(Fuse *f, const Kernel *k, Value v) {
    Graph *g = f->pl->g;
    map_plainly(f);
    if (grid_fits(g, k, v, f->map, row_axes(g, v))) return true;
    uint32_t n = run_axes(g, v, f->map);
    return n && grid_fits(g, k, v, f->map, n);
}

/* Scratch of one point: all axes of v but the n of the grid. */
static int64_t row_bytes(Graph *g, Value v, const uint8_t *grid, uint32_t n_par) {
    int64_t n = 8, one;
    for (uint32_t a = 0; a < graph_value(g, v)->rank; a++) {
        bool of_grid = false;
        for (uint32_t j = 0; j < n_par; j++) of_grid |= grid[j] == a;
        if (of_grid) continue;
        if (!size_is_num(g->sizes, graph_value(g, v)->dims[a], &one)) return ROW_BYTES + 1;
        n *= one;
        if (n > ROW_BYTES) return n;
    }
    return n;
}

static int64_t kernel_bytes(Graph *g, const Kernel *k) {
    int64_t n = 0;
    for (uint32_t i = 0; i < k->members.n; i++)
        n += row_bytes(g, graph_node(g, k->members.data[i].node)->out, k->members.data[i].par,
                       k->n_par);
    return n;
}

static void member_add(Fuse *f, uint32_t unit) {
    Kernel *k = kernel_at(f, unit);
    PlanMember *m = PUSH(f->pl->arena, &k->members);
    m->node = f->node;
    m->arg = m->also = LOCAL;
    memcpy(m->par, f->map, sizeof m->par);
    f->unit_of[graph_node(f->pl->g, f->node)->out] = unit;
}

/* ---- siblings -------------------------------------------------------------------------------------- */

typedef struct Shared {
    Fuse *f;
    const Kernel *k;
    bool found;
} Shared;

static bool member_reads(Fuse *f, const Kernel *k, Value v) {
    for (uint32_t i = 0; i < k->members.n; i++)
        if (node_reads(f->pl, k->members.data[i].node, v)) return true;
    return false;
}

/* Tensors as long as the rows are many; parameters stay in caches by themselves. */
static void visit_shared(Graph *g, ExprId e, void *user) {
    Shared *s = user;
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || s->found) return;
    const ValueInfo *v = graph_value(g, x->value);
    bool runs = false;
    for (uint32_t a = 0; a < v->rank; a++) runs |= !is_fixed(g, v->dims[a]);
    s->found = runs && member_reads(s->f, s->k, x->value);
}

static bool are_siblings(Fuse *f, const Kernel *k) {
    Shared s = {f, k, false};
    if (k->members.n < MOST_SIBLINGS)
        expr_walk(f->pl->g, graph_node(f->pl->g, f->node)->expr, visit_shared, &s);
    return s.found;
}

/* After join_row has found no kernel that makes what the node reads. */
static bool join_siblings(Fuse *f) {
    Graph *g = f->pl->g;
    Value v = graph_node(g, f->node)->out;
    uint32_t par = row_axes(g, v);
    if (!par || is_fixed(g, graph_value(g, v)->dims[par - 1])) return false;
    for (uint32_t u = f->units->n; u > 0; u--) {
        Kernel *k = kernel_at(f, u - 1);
        if (!k) return no(f, k, R_loop);
        if (k->kind != K_ROW || (!same_rows(f, k, v) && !no(f, k, R_grid))) continue;
        read_against(f, u - 1, k->n_par);
        if (f->latest >= (int64_t)u - 1) return no(f, k, R_late);
        if (f->touches || (!are_siblings(f, k) && !no(f, k, R_stranger))) continue;
        if (kernel_bytes(g, k) + row_bytes(g, v, f->map, k->n_par) > ROW_BYTES &&
            !no(f, k, R_scratch))
            continue;
        member_add(f, u - 1);
        plan_decide(f->pl, f->node, k, R_sibling);
        return true;
    }
    return false;
}

static bool join_row(Fuse *f) {
    Graph *g = f->pl->g;
    Value v = graph_node(g, f->node)->out;
    for (uint32_t u = f->units->n; u > 0; u--) {
        Kernel *k = kernel_at(f, u - 1);
        if (!k) return no(f, k, R_loop); /* nothing moves across a layer loop */
        if (k->kind != K_ROW || (!same_rows(f, k, v) && !no(f, k, R_grid))) continue;
        read_against(f, u - 1, k->n_par);
        if (f->latest >= (int64_t)u - 1) return no(f, k, R_late);
        if (!f->touches) continue;
        if (!f->plain) return no(f, k, R_rows);
        if (kernel_bytes(g, k) + row_bytes(g, v, f->map, k->n_par) > ROW_BYTES)
            return no(f, k, R_scratch);
        member_add(f, u - 1);
        plan_decide(f->pl, f->node, k, R_row);
        return true;
    }
    return false;
}

/* ---- points ------------------------------------------------------------------------------------------- */

/* Every member of k over the run-time axes alone: sets grid to their lengths; false if they differ. */
static bool run_grid(Fuse *f, const Kernel *k, uint32_t n, Size *grid) {
    Graph *g = f->pl->g;
    for (uint32_t i = 0; i < k->members.n; i++) {
        Value v = graph_node(g, k->members.data[i].node)->out;
        uint8_t axis[MAX_RANK];
        if (run_axes(g, v, axis) != n) return false;
        for (uint32_t j = 0; j < n; j++) {
            if (i && grid[j] != graph_value(g, v)->dims[axis[j]]) return false;
            grid[j] = graph_value(g, v)->dims[axis[j]];
        }
    }
    return n && n < k->n_par;
}

static void cut_at_runs(Fuse *f, Kernel *k, uint32_t n, const Size *grid) {
    for (uint32_t i = 0; i < k->members.n; i++)
        run_axes(f->pl->g, graph_node(f->pl->g, k->members.data[i].node)->out,
                 k->members.data[i].par);
    memcpy(k->par, grid, n * sizeof *grid);
    k->n_par = (uint8_t)n;
}

/* Does the node alone read some value of k? */
static bool last_reader(Fuse *f, const Kernel *k) {
    for (uint32_t i = 0; i < k->members.n; i++) {
        Value v = graph_node(f->pl->g, k->members.data[i].node)->out;
        if (f->pl->uses[v] == 1 && node_reads(f->pl, f->node, v)) return true;
    }
    return false;
}

static bool join_points(Fuse *f) {
    Graph *g = f->pl->g;
    Value v = graph_node(g, f->node)->out;
    Size grid[MAX_RANK];
    for (uint32_t u = f->units->n; u > 0; u--) {
        Kernel *k = kernel_at(f, u - 1);
        if (!k) return false;
        uint32_t n = run_axes(g, v, f->map);
        if (k->kind != K_ROW || !last_reader(f, k) || !run_grid(f, k, n, grid)) continue;
        const Kernel before = *k;
        PlanMember *members = NEWN(f->pl->arena, PlanMember, k->members.n);
        memcpy(members, k->members.data, k->members.n * sizeof *members);
        cut_at_runs(f, k, n, grid);
        read_against(f, u - 1, n);
        bool fits = grid_fits(g, k, v, f->map, n) &&
                    kernel_bytes(g, k) + row_bytes(g, v, f->map, n) <= ROW_BYTES;
        if (fits && f->plain && f->latest < (int64_t)u - 1) {
            member_add(f, u - 1);
            plan_decide(f->pl, f->node, k, R_points);
            return true;
        }
        *k = before;
        memcpy(k->members.data, members, k->members.n * sizeof *members);
    }
    return false;
}

/* ---- epilogues ------------------------------------------------------------------------------------- */

static bool same_shape(Graph *g, Value a, Value b) { return graph_same_dims(g, a, b); }

static bool join_epilogue(Fuse *f) {
    Graph *g = f->pl->g;
    const Node *n = graph_node(g, f->node);
    if (n->red != RED_NONE) return no(f, NULL, R_reduces);
    for (uint32_t u = f->units->n; u > 0; u--) {
        Kernel *k = kernel_at(f, u - 1);
        if (!k) return no(f, k, R_loop);
        if (k->kind != K_CONTRACT) continue;
        Value last = graph_node(g, k->members.data[k->members.n - 1].node)->out;
        if (!same_shape(g, last, n->out) && !no(f, k, R_shape)) continue;
        if (f->pl->uses[last] != 1 && !no(f, k, R_readers)) continue;
        map_plainly(f);
        read_against(f, u - 1, 0);
        if (!f->touches) continue;
        if (!f->exact && !no(f, k, R_exact)) continue;
        if (f->latest >= (int64_t)u - 1 && !no(f, k, R_late)) continue;
        member_add(f, u - 1);
        plan_decide(f->pl, f->node, k, R_epilogue);
        return true;
    }
    return false;
}

/* ---- units ---------------------------------------------------------------------------------------- */

static Kernel *unit_new(Fuse *f, KernelKind kind, const char *name, uint32_t level) {
    Unit *u = PUSH(f->pl->arena, f->units);
    u->kernel = kernel_new(f->pl, kind, name, level);
    u->recur = 0;
    return u->kernel;
}

static void define(Value v, void *user) {
    Fuse *f = user;
    f->unit_of[v] = f->units->n - 1;
}

static void place_eq(Fuse *f) {
    Graph *g = f->pl->g;
    const Node *n = graph_node(g, f->node);
    const char *name = graph_value(g, n->out)->name;
    PlanContract c;
    if (contract_match(g, f->node, &c)) {
        Kernel *k = unit_new(f, K_CONTRACT, name, n->level);
        k->contract = c;
        k->n_par = c.n_batch;
        for (uint32_t i = 0; i < c.n_batch; i++)
            k->par[i] = graph_value(g, n->out)->dims[c.batch[i]];
        map_plainly(f);
        member_add(f, f->units->n - 1);
        for (uint32_t i = 0; i < c.n_batch; i++) k->members.data[0].par[i] = c.batch[i];
        return;
    }
    if (f->pl->o->fuse && (join_epilogue(f) || join_row(f) || join_points(f) || join_siblings(f)))
        return;
    Kernel *k = unit_new(f, K_ROW, name, n->level);
    k->n_par = (uint8_t)row_axes(g, n->out);
    for (uint32_t i = 0; i < k->n_par; i++) k->par[i] = graph_value(g, n->out)->dims[i];
    map_plainly(f);
    member_add(f, f->units->n - 1);
}

/* The grid of a scatter-add: axes of the result that are an iteration index alone. */
static void place_scatter(Fuse *f) {
    Graph *g = f->pl->g;
    const Node *n = graph_node(g, f->node);
    Kernel *k = unit_new(f, K_SCATTER, graph_value(g, n->out)->name, n->level);
    uint8_t par[MAX_RANK];
    for (uint32_t a = 0; a < graph_value(g, n->out)->rank; a++) {
        const Expr *s = graph_expr(g, n->subs[a]);
        if (s->op != X_IDX || s->i >= n->n_extra ||
            n->extra[s->i] != graph_value(g, n->out)->dims[a])
            continue;
        par[k->n_par] = (uint8_t)a;
        k->par[k->n_par++] = graph_value(g, n->out)->dims[a];
    }
    map_plainly(f);
    member_add(f, f->units->n - 1);
    memcpy(k->members.data[0].par, par, sizeof par);
}

/* At most one: the last one that waits for this reader. */
static NodeId again_for(const Fuse *f, NodeId reader) {
    for (uint32_t i = f->again.n; i > 0; i--)
        if (f->reader.data[i - 1] == reader) return f->again.data[i - 1];
    return 0;
}

static bool place(Fuse *f, NodeId id) {
    Graph *g = f->pl->g;
    const Node *n = graph_node(g, id);
    f->node = id;
    switch (n->kind) {
    case N_EQ: place_eq(f); return true;
    case N_SCATTER: place_scatter(f); return true;
    case N_RECUR: {
        if (n->recur->layers) {
            Unit *u = PUSH(f->pl->arena, f->units);
            u->kernel = NULL;
            u->recur = id;
        } else {
            NodeId reader = n->recur->every ? scan_reader(f->pl, f->b, id) : 0;
            if (reader) { /* no kernel of its own */
                *PUSH(f->pl->arena, &f->again) = id;
                *PUSH(f->pl->arena, &f->reader) = reader;
                return true;
            }
            Kernel *k = unit_new(f, K_SCAN, "scan", n->level);
            if (!scan_make(f->pl, id, again_for(f, id), k)) return false;
        }
        walk_defs(g, id, define, f);
        return true;
    }
    default: return true;
    }
}

/* ---- what stays inside ------------------------------------------------------------------------------ */

static uint32_t readers_inside(Planner *pl, const Kernel *k, Value v) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->members.n; i++) n += node_reads(pl, k->members.data[i].node, v);
    return n;
}

static void finish_kernel(Planner *pl, Kernel *k) {
    if (k->kind == K_SCAN) return;
    for (uint32_t i = 0; i < k->members.n; i++) {
        Value v = graph_node(pl->g, k->members.data[i].node)->out;
        if (k->members.n > 1 && readers_inside(pl, k, v) == pl->uses[v]) continue;
        k->members.data[i].arg = kernel_arg(pl, k, v, true);
    }
    kernel_args(pl, k);
}

bool fuse_block(Planner *pl, Block *b, Units *out) {
    Fuse f = {.pl = pl, .b = b, .units = out};
    f.unit_of = NEWN(pl->arena, uint32_t, pl->g->values.n);
    memset(f.unit_of, 0xff, sizeof(uint32_t) * pl->g->values.n);
    for (uint32_t i = 0; i < b->nodes.n; i++)
        if (!place(&f, b->nodes.data[i])) return false;
    for (uint32_t i = 0; i < out->n; i++)
        if (out->data[i].kernel) finish_kernel(pl, out->data[i].kernel);
    return true;
}
