/* The points begin..end of a grid: one by one, or, where the last axis of the grid lies in the lanes, tile
 * by tile along it; what is no whole tile goes vector by vector under a mask. */
#include "gpu.h"

Size grid_size(Emit *e, const Size *par, uint32_t n_par) {
    Size n = size_num(e->g->sizes, 1);
    for (uint32_t i = 0; i < n_par; i++) n = size_mul(e->g->sizes, n, par[i]);
    return n;
}

V lanes_below(Emit *e, uint32_t width, V rest) {
    V n[64];
    for (uint32_t i = 0; i < width; i++) n[i] = emit_const(e, i);
    return LLVMBuildICmp(e->b, LLVMIntSLT, LLVMConstVector(n, width), emit_splat(e, width, rest),
                         "");
}

/* Digits of point p for the axes before `end`. */
static void set_digits(Work *w, V p, uint32_t end) {
    Emit *e = w->e;
    for (uint32_t i = end; i-- > 0;) {
        if (i == 0) {
            w->grid[0] = val_int(p);
            return;
        }
        V n = emit_size(e, w->par[i]);
        w->grid[i] = val_int(LLVMBuildURem(e->b, p, n, ""));
        p = LLVMBuildUDiv(e->b, p, n, "");
    }
}

void grid_vector(Work *w, uint32_t u) {
    Emit *e = w->e;
    V shift = emit_const(e, (int64_t)u * e->lanes);
    w->grid[w->n_par - 1] = val_lane(LLVMBuildAdd(e->b, w->base, shift, ""), 1);
    for (uint32_t i = 0; i < e->locals.n; i++)
        e->locals.data[i].lane_offset = val_lane(shift, e->lanes);
    emit_fresh(e);
}

void grid_tiles(Work *w, V from, V to, void (*body)(Work *w)) {
    Emit *e = w->e;
    V n = LLVMBuildSub(e->b, to, from, ""), by = emit_const(e, w->tile);
    V whole =
        LLVMBuildAdd(e->b, from, LLVMBuildSub(e->b, n, LLVMBuildURem(e->b, n, by, ""), ""), "");
    Loop l = loop_begin(e, from, whole, w->tile);
    w->base = l.i;
    w->vectors = w->tile / e->lanes;
    w->tail = NULL;
    body(w);
    loop_end(e, &l);
    l = loop_begin(e, whole, to, e->lanes);
    w->base = l.i;
    w->vectors = 1;
    w->tail = lanes_below(e, e->lanes, LLVMBuildSub(e->b, to, l.i, ""));
    body(w);
    loop_end(e, &l);
    w->tail = NULL;
}

/* Runs of points that differ in the last axis only. */
void grid_runs(Work *w, void (*run)(Work *w, V from, V to)) {
    Emit *e = w->e;
    V n = emit_size(e, w->par[w->n_par - 1]);
    V first = LLVMBuildUDiv(e->b, e->begin, n, ""),
      last = LLVMBuildSub(e->b, e->end, emit_const(e, 1), "");
    V rows = LLVMBuildAdd(e->b, LLVMBuildSDiv(e->b, last, n, ""), emit_const(e, 1), "");
    V none = LLVMBuildICmp(e->b, LLVMIntSGE, e->begin, e->end, "");
    rows = LLVMBuildSelect(e->b, none, first, rows, "");
    Loop l = loop_begin(e, first, rows, 1);
    set_digits(w, l.i, w->n_par - 1);
    V zero = LLVMBuildMul(e->b, l.i, n, ""), from = LLVMBuildSub(e->b, e->begin, zero, "");
    V to = LLVMBuildSub(e->b, e->end, zero, ""), nothing = emit_const(e, 0);
    from = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, from, nothing, ""), nothing, from,
                           "");
    to = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, to, n, ""), n, to, "");
    run(w, from, to);
    loop_end(e, &l);
}

static void in_tiles(Work *w, V from, V to) { grid_tiles(w, from, to, w->body); }

void work_sync(Work *w) {
    if (w->e->gpu) gpu_sync(w->e);
}

WorkNotes work_fork(Work *w) { return w->e->gpu ? gpu_fork(w->e) : (WorkNotes){0}; }

void work_join(Work *w, WorkNotes before) {
    if (w->e->gpu) gpu_join(w->e, before);
}

void grid_emit(Work *w, void (*body)(Work *w)) {
    Emit *e = w->e;
    if (e->gpu) {
        gpu_grid(w, body);
        return;
    }
    e->code->grid = grid_size(e, w->par, w->n_par);
    if (w->grid_lane) {
        w->body = body;
        grid_runs(w, in_tiles);
        return;
    }
    Loop l = loop_begin(e, e->begin, e->end, 1);
    set_digits(w, l.i, w->n_par);
    body(w);
    loop_end(e, &l);
}
