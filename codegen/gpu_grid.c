/* From the number of a workgroup to the point of the grid it computes, or its threads do. */
#include "contract.h"
#include "gpu.h"

static V number(Emit *e, uint64_t n) { return LLVMConstInt(e->i32, n, false); }
static V narrow(Emit *e, V x) { return LLVMBuildTrunc(e->b, x, e->i32, ""); }

/* Digits of point p (i32). */
static void set_digits(Work *w, V p) {
    Emit *e = w->e;
    for (uint32_t i = w->n_par; i-- > 0;) {
        if (i == 0) {
            w->grid[0] = val_int(LLVMBuildZExt(e->b, p, e->i64, ""));
            break;
        }
        V n = narrow(e, emit_size(e, w->par[i])), q = LLVMBuildUDiv(e->b, p, n, "");
        V r = LLVMBuildSub(e->b, p, LLVMBuildMul(e->b, q, n, ""), "");
        w->grid[i] = val_int(LLVMBuildZExt(e->b, r, e->i64, ""));
        p = q;
    }
}

V gpu_tile(Emit *e) {
    V group = gpu_call(e, "rwkvc.group", NULL, 0);
    return LLVMBuildAdd(e->b, narrow(e, e->gpu->begin), group, "");
}

static void by_teams(Work *w, void (*body)(Work *w)) {
    Emit *e = w->e;
    Gpu *g = e->gpu;
    Sizes *s = e->g->sizes;
    V p = gpu_tile(e);
    e->code->grid = grid_size(e, w->par, w->n_par);
    if (g->slices) {
        e->code->grid = size_mul(s, e->code->grid, g->slices);
        g->n_slices = narrow(e, emit_size(e, g->slices));
        V q = LLVMBuildUDiv(e->b, p, g->n_slices, "");
        g->slice = LLVMBuildSub(e->b, p, LLVMBuildMul(e->b, q, g->n_slices, ""), "");
        p = q;
    }
    if (g->heads > 1) {
        e->code->grid = size_mul(s, e->code->grid, size_num(s, g->heads));
        V n = number(e, (uint64_t)g->heads), q = LLVMBuildUDiv(e->b, p, n, "");
        V head = LLVMBuildSub(e->b, p, LLVMBuildMul(e->b, q, n, ""), "");
        g->head = LLVMBuildZExt(e->b, head, e->i64, "");
        p = q;
    }
    set_digits(w, p);
    body(w);
}

static void by_points(Work *w, void (*body)(Work *w)) {
    Emit *e = w->e;
    Gpu *g = e->gpu;
    Sizes *s = e->g->sizes;
    Size all = grid_size(e, w->par, w->n_par);
    e->code->grid =
        size_floordiv(s, size_add(s, all, size_num(s, g->block - 1)), size_num(s, g->block));
    V p = LLVMBuildMul(e->b, gpu_tile(e), number(e, g->block), "");
    p = LLVMBuildAdd(e->b, p, g->thread, "");
    If inside = if_begin(e, LLVMBuildICmp(e->b, LLVMIntULT, p, narrow(e, emit_size(e, all)), ""));
    set_digits(w, p);
    for (uint32_t i = 0; i < e->locals.n; i++) {
        EmitLocal *l = &e->locals.data[i];
        if (l->ptr && gpu_place_of(e, l->scope) != GPU_IN_REGISTERS)
            l->lane_offset = val_int(LLVMBuildZExt(e->b, g->thread, e->i64, ""));
    }
    body(w);
    if_end(e, &inside);
}

void gpu_grid(Work *w, void (*body)(Work *w)) {
    if (w->e->gpu->point)
        by_points(w, body);
    else
        by_teams(w, body);
    if (!w->e->code->grid) w->e->error = "a size is too large";
}
