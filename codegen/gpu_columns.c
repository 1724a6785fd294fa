/* Values of two axes whose rows belong to threads: a thread keeps its row in registers, a column each.
 *
 * The state of a recurrence is read and rewritten at every step; local memory would be busy with nothing else,
 * and hold few states. Rows may stay in registers when every nest deals its points to the threads by the row,
 * and goes through the columns by a loop of each thread: then that loop is written out, and what was an address
 * is a register. */
#include "gpu.h"

enum { MOST_COLUMNS = 128 };

typedef struct Rows {
    Work *w;
    uint32_t root, row, column; /* a local, and which axes of its value */
    bool *nests;                /* by nest: touches it */
    const Nest *n;
    const NestMember *m;
    int axis, loop; /* of the nest at hand: where its rows and columns are, -1 not known */
    bool touches, ok;
} Rows;

static bool is_ours(const Rows *r, Value v) {
    uint32_t l = r->w->e->local_of[v];
    return l && r->w->same_as[l - 1] == r->root;
}

static bool known(Work *w, Size s, int64_t *n) {
    return size_is_num(w->e->g->sizes, size_ground(w->e->g->sizes, s), n);
}

/* An access of the member at hand, the row by index i, the column by index k. */
static void take(Rows *r, int64_t i, int64_t k) {
    r->touches = true;
    uint8_t row = r->m->axis_of[i], column = r->m->axis_of[k];
    if (row >= GRID_AXIS || column >= GRID_AXIS || (r->axis >= 0 && r->axis != row) ||
        (r->loop >= 0 && r->loop != column))
        r->ok = false;
    r->axis = row;
    r->loop = column;
}

static void visit_read(Graph *g, ExprId x, void *user) {
    Rows *r = user;
    const Expr *p = graph_expr(g, x);
    if (p->op != X_READ || !is_ours(r, p->value)) return;
    const Expr *row = graph_expr(g, expr_arg(g, x, r->row)),
               *column = graph_expr(g, expr_arg(g, x, r->column));
    bool plain =
        row->op == X_IDX && column->op == X_IDX && row->i < r->m->n_idx && column->i < r->m->n_idx;
    if (plain)
        take(r, row->i, column->i);
    else
        r->ok = false;
}

/* Does the nest deal rows to threads, and go through the columns inside? */
static bool fits(Rows *r) {
    const Nest *n = r->n;
    int64_t one;
    for (uint32_t i = 0; i < n->members.n; i++)
        if (n->members.data[i].reduces && !n->reduced[r->loop]) return false;
    for (uint32_t a = 0; a < n->n; a++) {
        if ((int)a == r->axis || (int)a == r->loop) continue;
        if (!known(r->w, n->size[a], &one) || one != 1) return false;
    }
    return !n->reduced[r->axis] && r->axis != r->loop;
}

static bool nest_agrees(Rows *r, const Nest *n) {
    r->n = n;
    r->axis = r->loop = -1;
    r->touches = false;
    for (uint32_t i = 0; i < n->members.n && r->ok; i++) {
        r->m = &n->members.data[i];
        const Node *node = graph_node(r->w->e->g, r->m->node);
        expr_walk(r->w->e->g, node->expr, visit_read, r);
        if (r->m->keep && is_ours(r, node->out)) take(r, r->row, r->column);
    }
    return r->ok && (!r->touches || fits(r));
}

static bool all_agree(Rows *r) {
    r->ok = true;
    for (uint32_t i = 0; i < r->w->nests.n; i++) {
        if (!nest_agrees(r, &r->w->nests.data[i])) return false;
        r->nests[i] = r->touches;
    }
    return true;
}

/* The axes of the local that are not of the grid: exactly two, of fixed sizes that threads and registers hold. */
static bool two_axes(Work *w, uint32_t l, uint32_t *axis) {
    const EmitLocal *at = &w->e->locals.data[l];
    const ValueInfo *v = graph_value(w->e->g, at->value);
    uint32_t n = 0;
    int64_t size;
    for (uint32_t a = 0; a < v->rank; a++) {
        if (LLVMIsNull(at->stride[a])) continue;
        if (n == 2 || !known(w, v->dims[a], &size) || size < 2 || size > MOST_COLUMNS) return false;
        axis[n++] = a;
    }
    return n == 2 && v->type == T_REAL;
}

static void settle(Rows *r) {
    Work *w = r->w;
    w->row_axis[r->root] = (uint8_t)r->row;
    w->column_axis[r->root] = (uint8_t)(r->column + 1);
    for (uint32_t i = 0; i < w->nests.n; i++) {
        if (!r->nests[i]) continue;
        nest_agrees(r, &w->nests.data[i]); /* once more, for its axes */
        Nest *n = &w->nests.data[i];
        n->lane = r->axis;
        n->reduced[r->loop] = true;
        n->columns = true;
    }
}

void gpu_columns(Work *w) {
    Emit *e = w->e;
    if (e->k->kind != K_SCAN || e->k->again || e->gpu->point) return;
    Rows r = {.w = w, .nests = NEWN(e->arena, bool, w->nests.n + 1)};
    for (r.root = 0; r.root < e->locals.n; r.root++) {
        uint32_t axis[2];
        if (w->same_as[r.root] != r.root || w->slots[r.root] || !two_axes(w, r.root, axis))
            continue;
        for (uint32_t k = 0; k < 2; k++) {
            r.row = axis[k];
            r.column = axis[1 - k];
            if (!all_agree(&r)) continue;
            settle(&r);
            break;
        }
    }
}

void gpu_place_columns(Work *w, EmitLocal *l, uint32_t at) {
    Emit *e = w->e;
    int64_t n = 1;
    uint32_t column = w->column_axis[at] - 1u;
    known(w, graph_value(e->g, l->value)->dims[column], &n);
    l->ptr = emit_var(e, LLVMArrayType2(e->f32, (uint64_t)n), NULL);
    for (uint32_t a = 0; a < MAX_RANK; a++) l->stride[a] = NULL;
    l->stride[column] = emit_const(e, 1);
    gpu_set_place(e, l->scope, GPU_IN_REGISTERS);
}
