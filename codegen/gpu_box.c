/* Points of a box dealt to threads (gpu.h). */
#include "gpu.h"

static V number(Emit *e, uint64_t n) { return LLVMConstInt(e->i32, n, false); }
static V wide(Emit *e, V x) { return LLVMBuildZExt(e->b, x, e->i64, ""); }
static V narrow(Emit *e, V x) { return LLVMBuildTrunc(e->b, x, e->i32, ""); }

bool box_is_one(Emit *e, const Size *size, uint32_t n) {
    int64_t k;
    for (uint32_t i = 0; i < n; i++)
        if (!size_is_num(e->g->sizes, size_ground(e->g->sizes, size[i]), &k) || k != 1)
            return false;
    return true;
}

/* Steps along axis i. */
static Size steps(const Box *b, uint32_t i) {
    Sizes *s = b->w->e->g->sizes;
    Size n = size_ground(s, b->size[i]);
    return i + 1 == b->n && b->width > 1 ? size_floordiv(s, n, size_num(s, b->width)) : n;
}

static void set_index(Box *b, uint32_t i, V step) { /* step: i64 */
    Emit *e = b->w->e;
    if (i + 1 < b->n || b->width == 1) {
        b->idx[i] = val_int(step);
        return;
    }
    b->idx[i] = val_lane(LLVMBuildMul(e->b, step, emit_const(e, b->width), ""), b->width);
}

/* ---- point: loops ------------------------------------------------------------------------------------- */

static void loops_begin(Box *b) {
    Emit *e = b->w->e;
    for (uint32_t i = 0; i < b->n; i++) {
        if (box_is_one(e, &b->size[i], 1)) {
            b->idx[i] = val_const(e, 0);
            continue;
        }
        Loop *l = &b->loop[b->n_loops++];
        *l = loop_begin(e, emit_const(e, 0), emit_size(e, steps(b, i)), 1);
        set_index(b, i, l->i);
    }
}

/* ---- team ----------------------------------------------------------------------------------------------- */

/* Indices of point r (i32), the last axis fastest. */
static void set_indices(Box *b, V r) {
    Emit *e = b->w->e;
    uint32_t first = 0;
    while (first < b->n && box_is_one(e, &b->size[first], 1)) b->idx[first++] = val_const(e, 0);
    for (uint32_t i = b->n; i-- > first;) {
        if (i == first) {
            set_index(b, i, wide(e, r));
            break;
        }
        V n = narrow(e, emit_size(e, steps(b, i))), q = LLVMBuildUDiv(e->b, r, n, "");
        set_index(b, i, wide(e, LLVMBuildSub(e->b, r, LLVMBuildMul(e->b, q, n, ""), "")));
        r = q;
    }
}

typedef struct Deal {
    Size total;
    int64_t n, at_once; /* as numbers; 0: not known */
    V all, first, by;   /* i32 */
} Deal;

static Deal deal_of(Box *b) {
    Emit *e = b->w->e;
    const Gpu *g = e->gpu;
    Sizes *s = e->g->sizes;
    uint32_t teams = g->block / b->share;
    Deal d = {.total = size_num(s, 1), .at_once = teams};
    for (uint32_t i = 0; i < b->n; i++) d.total = size_mul(s, d.total, steps(b, i));
    if (!d.total) {
        e->error = "a size is too large";
        d.total = size_num(s, 1);
    }
    if (!size_is_num(s, d.total, &d.n)) d.n = 0;
    d.all = narrow(e, emit_size(e, d.total));
    V mine = LLVMBuildUDiv(e->b, g->thread, number(e, b->share), "");
    d.first = mine;
    d.by = number(e, teams);
    if (!g->slice) return d;
    int64_t slices;
    bool known = size_is_num(s, g->slices, &slices);
    d.at_once = known ? slices * teams : 0;
    d.first = LLVMBuildAdd(e->b, mine, LLVMBuildMul(e->b, g->slice, d.by, ""), "");
    d.by = LLVMBuildMul(e->b, d.by, g->n_slices, "");
    return d;
}

static V below(Emit *e, V a, V b) { return LLVMBuildICmp(e->b, LLVMIntULT, a, b, ""); }

/* Every thread goes its own way. */
static void alone(Box *b, const Deal *d) {
    Emit *e = b->w->e;
    if (d->n && d->n == d->at_once) {
        set_indices(b, d->first);
    } else if (d->n && d->n < d->at_once) {
        LLVMBasicBlockRef then = LLVMAppendBasicBlockInContext(e->c, e->fn, "");
        b->after = LLVMAppendBasicBlockInContext(e->c, e->fn, "");
        LLVMBuildCondBr(e->b, below(e, d->first, d->all), then, b->after);
        LLVMPositionBuilderAtEnd(e->b, then);
        set_indices(b, d->first);
    } else {
        Loop *l = &b->loop[b->n_loops++];
        *l = loop_begin(e, wide(e, d->first), wide(e, d->all), 1);
        l->step = wide(e, d->by);
        set_indices(b, narrow(e, l->i));
    }
}

/* All threads stay together; who has no point takes the first one and stores nothing. */
static void together(Box *b, const Deal *d) {
    Emit *e = b->w->e;
    V r = d->first;
    bool once = d->n && d->at_once && d->n <= d->at_once;
    if (!once) {
        Loop *l = &b->loop[b->n_loops++];
        *l = loop_begin(e, emit_const(e, 0), wide(e, d->all), 1);
        l->step = wide(e, d->by);
        r = LLVMBuildAdd(e->b, d->first, narrow(e, l->i), "");
    }
    if (!(d->n && d->at_once && d->n % d->at_once == 0)) {
        b->on = below(e, r, d->all);
        r = LLVMBuildSelect(e->b, b->on, r, number(e, 0), "");
    }
    set_indices(b, r);
}

void box_begin(Box *b) {
    Emit *e = b->w->e;
    b->n_loops = 0;
    b->on = b->lane = NULL;
    b->after = NULL;
    if (!b->width) b->width = 1;
    b->solo = box_is_one(e, b->size, b->n) && !e->gpu->slice;
    emit_fresh(e);
    if (e->gpu->point) {
        loops_begin(b);
        return;
    }
    V rank = LLVMBuildAnd(e->b, e->gpu->thread, number(e, b->share - 1), "");
    b->lane = rank;
    if (b->solo) {
        for (uint32_t i = 0; i < b->n; i++) b->idx[i] = val_const(e, 0);
        return;
    }
    Deal d = deal_of(b);
    if (b->share == 1)
        alone(b, &d);
    else
        together(b, &d);
    emit_fresh(e);
}

void box_end(Box *b) {
    Emit *e = b->w->e;
    while (b->n_loops) loop_end(e, &b->loop[--b->n_loops]);
    if (b->after) {
        LLVMBuildBr(e->b, b->after);
        LLVMPositionBuilderAtEnd(e->b, b->after);
    }
    emit_fresh(e);
}
