/* The scatter schedule: out[s(i)] += expr(i) over all i in row-major order, after the result is set to 0.
 *
 * The grid is over axes of the result whose subscripts are plain indices, its last axis in the lanes; the
 * other indices of the iteration are loops outside the lanes. A point outside the result is left out. */
#include <string.h>

#include "nest.h"

static uint32_t out_arg(const Work *w) { return w->e->k->members.data[0].arg; }
static uint32_t out_rank(const Work *w) { return graph_value(w->e->g, w->node->out)->rank; }

static uint32_t lanes_of(const Work *w) { return w->n_par ? w->e->lanes : 1; }

static At place_here(Work *w) {
    At at = {.width = lanes_of(w), .tail = w->n_par ? w->tail : NULL};
    Emit *e = w->e;
    e->n_idx = w->node->n_extra;
    for (uint32_t i = 0; i < w->node->n_extra; i++) {
        at.idx[i] = w->axis_of[i] != NOT_GRID ? w->grid[w->axis_of[i]] : w->idx[i];
        e->idx_size[i] = w->node->extra[i];
    }
    return at;
}

static bool in_grid(const Work *w, uint32_t axis, uint32_t *which) {
    const PlanMember *m = &w->e->k->members.data[0];
    for (uint32_t j = 0; j < w->n_par; j++)
        if (m->par[j] == axis) {
            *which = j;
            return true;
        }
    return false;
}

/* ---- zero ---------------------------------------------------------------------------------------- */

static void zero_here(Work *w) {
    Emit *e = w->e;
    bool ints = graph_value(e->g, w->node->out)->type == T_INT;
    Val zero = ints ? val_const(e, 0) : val_real(e, emit_f32(e, 0));
    for (uint32_t u = 0; u < w->vectors; u++) {
        if (w->n_par) grid_vector(w, u);
        At at = {.width = lanes_of(w), .tail = w->tail};
        Val subs[MAX_RANK];
        for (uint32_t a = 0, j = 0; a < out_rank(w); a++)
            subs[a] = in_grid(w, a, &j) ? w->grid[j] : w->idx[a];
        emit_store_arg(e, &at, out_arg(w), subs, zero);
    }
}

static void zero_loops(Work *w, V from, V to, uint32_t a) {
    uint32_t j;
    while (a < out_rank(w) && in_grid(w, a, &j)) a++;
    if (a < out_rank(w)) {
        Emit *e = w->e;
        Loop l = loop_begin(e, emit_const(e, 0),
                            emit_size(e, graph_value(e->g, w->node->out)->dims[a]), 1);
        w->idx[a] = val_int(l.i);
        zero_loops(w, from, to, a + 1);
        loop_end(e, &l);
    } else if (w->n_par) {
        grid_tiles(w, from, to, zero_here);
    } else {
        zero_here(w);
    }
}

/* ---- adding --------------------------------------------------------------------------------------- */

static void add_here(Work *w) {
    Emit *e = w->e;
    bool ints = graph_value(e->g, w->node->out)->type == T_INT;
    for (uint32_t u = 0; u < w->vectors; u++) {
        if (w->n_par)
            grid_vector(w, u);
        else
            emit_fresh(e);
        At at = place_here(w);
        Val subs[MAX_RANK];
        for (uint32_t a = 0; a < out_rank(w); a++) {
            subs[a] = emit_expr(e, &at, w->node->subs[a]);
            Size n = graph_value(e->g, w->node->out)->dims[a];
            uint32_t j;
            if (in_grid(w, a, &j)) continue;
            V i = at.width > 1 ? emit_int_vec(e, &at, subs[a])
                               : subs[a].v; /* below 0 is far above as unsigned */
            V ok = LLVMBuildICmp(e->b, LLVMIntULT, i, emit_splat(e, at.width, emit_size(e, n)), "");
            at.mask = at.mask ? LLVMBuildAnd(e->b, at.mask, ok, "") : ok;
        }
        V mask = at.mask;
        at.mask = NULL; /* what is added may be computed anyway: its reads are inside everywhere */
        Val x = emit_expr(e, &at, w->node->expr);
        at.mask = mask;
        Val old = emit_read_arg(e, &at, out_arg(w), subs);
        Val sum = ints ? val_add(e, &at, old, x)
                       : val_real(e, LLVMBuildFAdd(e->b, emit_real_vec(e, &at, old),
                                                   emit_real_vec(e, &at, x), ""));
        emit_store_arg(e, &at, out_arg(w), subs, sum);
    }
}

static void add_loops(Work *w, V from, V to, uint32_t i) {
    while (i < w->node->n_extra && w->axis_of[i] != NOT_GRID) i++;
    if (i < w->node->n_extra) {
        Emit *e = w->e;
        Loop l = loop_begin(e, emit_const(e, 0), emit_size(e, w->node->extra[i]), 1);
        w->idx[i] = val_int(l.i);
        add_loops(w, from, to, i + 1);
        loop_end(e, &l);
    } else if (w->n_par) {
        grid_tiles(w, from, to, add_here);
    } else {
        add_here(w);
    }
}

static void one_run(Work *w, V from, V to) {
    zero_loops(w, from, to, 0);
    add_loops(w, from, to, 0);
}

static void alone(Work *w) {
    w->vectors = 1;
    one_run(w, NULL, NULL);
}

const char *scatter_work(Emit *e, Work **out) {
    Work *w = *out = work_new(e, e->k->par, e->k->n_par);
    const PlanMember *m = &e->k->members.data[0];
    w->node = graph_node(e->g, m->node);
    memset(w->axis_of, NOT_GRID, sizeof w->axis_of);
    for (uint32_t j = 0; j < w->n_par; j++) {
        const Expr *s = graph_expr(e->g, w->node->subs[m->par[j]]);
        if (s->op != X_IDX) return "a scatter over an axis that is no plain index";
        w->axis_of[s->i] = (uint8_t)j;
    }
    return NULL;
}

const char *scatter_emit(Emit *e) {
    Work *w;
    const char *wrong = scatter_work(e, &w);
    if (wrong) return wrong;
    e->code->scratch = size_num(e->g->sizes, 0);
    w->tile = e->lanes * 4;
    if (w->n_par) {
        e->code->grid = grid_size(e, w->par, w->n_par);
        grid_runs(w, one_run);
    } else {
        grid_emit(w, alone);
    }
    return e->error;
}
