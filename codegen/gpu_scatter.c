/* scatter on GPUs: out[s(i)] += expr(i), each element of the result summed by one thread, in row-major order of i.
 *
 * A thread has a point of the axes of the result that are plain indices (its column), and sets the elements
 * of that column to 0 before it adds: no other thread touches them. */
#include "contract.h"
#include "gpu.h"

#include <string.h>

enum { BLOCK = 64 };

static uint32_t out_arg(const Work *w) { return w->e->k->members.data[0].arg; }

static const ValueInfo *out_of(const Work *w) { return graph_value(w->e->g, w->node->out); }

static int grid_axis_of(const Work *w, uint32_t axis) {
    const PlanMember *m = &w->e->k->members.data[0];
    for (uint32_t j = 0; j < w->n_par; j++)
        if (m->par[j] == axis) return (int)j;
    return -1;
}

static void zero(Work *w) {
    Emit *e = w->e;
    Box b = {.w = w, .share = 1};
    uint32_t axis[MAX_RANK], rank = out_of(w)->rank;
    Val subs[MAX_RANK];
    for (uint32_t a = 0; a < rank; a++) {
        int j = grid_axis_of(w, a);
        if (j >= 0) {
            subs[a] = w->grid[j];
            continue;
        }
        axis[b.n] = a;
        b.size[b.n++] = out_of(w)->dims[a];
    }
    box_begin(&b);
    for (uint32_t i = 0; i < b.n; i++) subs[axis[i]] = b.idx[i];
    At at = {.width = 1};
    bool ints = out_of(w)->type == T_INT;
    emit_store_arg(e, &at, out_arg(w), subs, ints ? val_const(e, 0) : val_real(e, emit_f32(e, 0)));
    box_end(&b);
}

static void add(Work *w) {
    Emit *e = w->e;
    Box b = {.w = w, .share = 1};
    uint32_t index[MAX_RANK];
    At at = {.width = 1};
    e->n_idx = w->node->n_extra;
    for (uint32_t i = 0; i < w->node->n_extra; i++) {
        e->idx_size[i] = w->node->extra[i];
        at.idx[i] = w->axis_of[i] != NOT_GRID ? w->grid[w->axis_of[i]] : (Val){0};
        if (w->axis_of[i] != NOT_GRID) continue;
        index[b.n] = i;
        b.size[b.n++] = w->node->extra[i];
    }
    box_begin(&b);
    for (uint32_t i = 0; i < b.n; i++) at.idx[index[i]] = b.idx[i];
    Val subs[MAX_RANK];
    V inside = NULL;
    for (uint32_t a = 0; a < out_of(w)->rank; a++) {
        subs[a] = emit_expr(e, &at, w->node->subs[a]);
        if (grid_axis_of(w, a) >= 0) continue;
        V n = emit_size(e, out_of(w)->dims[a]); /* below 0 is far above as unsigned */
        V ok = LLVMBuildICmp(e->b, LLVMIntULT, subs[a].v, n, "");
        inside = inside ? LLVMBuildAnd(e->b, inside, ok, "") : ok;
    }
    If guard = {0};
    if (inside) guard = if_begin(e, inside);
    Val x = emit_expr(e, &at, w->node->expr), old = emit_read_arg(e, &at, out_arg(w), subs);
    Val sum =
        out_of(w)->type == T_INT
            ? val_add(e, &at, old, x)
            : val_real(e, LLVMBuildFAdd(e->b, emit_real(e, &at, old), emit_real(e, &at, x), ""));
    emit_store_arg(e, &at, out_arg(w), subs, sum);
    if (inside) if_end(e, &guard);
    box_end(&b);
}

static void column(Work *w) {
    zero(w);
    add(w);
}

const char *gpu_scatter(Emit *e) {
    Work *w;
    const char *wrong = scatter_work(e, &w);
    if (wrong) return wrong;
    e->code->scratch = size_num(e->g->sizes, 0);
    e->gpu->point = true;
    e->gpu->block = BLOCK;
    gpu_grid(w, column);
    return e->error;
}
