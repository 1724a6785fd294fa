/* Threads of a workgroup together: barriers where they are needed, and totals in a fixed tree.
 *
 * Maintains: between a write and a read (or two writes) of the same memory by different threads stands a
 * barrier. What was touched since the last one is noted by scope; loops that come back to their beginning
 * put one there (gpu_sync). */
#include "contract.h"
#include "gpu.h"

/* ---- barriers --------------------------------------------------------------------------------------- */

void gpu_barrier(Emit *e, bool global) {
    gpu_call(e, global ? "rwkvc.barrier" : "rwkvc.barrier.local", NULL, 0);
}

static uint8_t *note_of(Emit *e, uint32_t scope) {
    Gpu *g = e->gpu;
    while (g->notes.n <= scope) *PUSH(e->arena, &g->notes) = 0;
    return &g->notes.data[scope];
}

void gpu_set_place(Emit *e, uint32_t scope, GpuPlace place) {
    *note_of(e, scope) |= (uint8_t)place;
}

GpuPlace gpu_place_of(Emit *e, uint32_t scope) {
    return (GpuPlace)(*note_of(e, scope) & (GPU_IN_LOCAL | GPU_IN_REGISTERS));
}

static void forget(Emit *e) {
    for (uint32_t s = 0; s < e->gpu->notes.n; s++)
        e->gpu->notes.data[s] &= (uint8_t) ~(TOUCH_READ | TOUCH_WRITE);
}

static void meet(Emit *e) {
    bool global = false;
    for (uint32_t s = 0; s < e->gpu->notes.n; s++) {
        bool touched = *note_of(e, s) & (TOUCH_READ | TOUCH_WRITE);
        global = global || (touched && gpu_place_of(e, s) == GPU_IN_GLOBAL);
    }
    forget(e);
    gpu_barrier(e, global);
}

WorkNotes gpu_fork(Emit *e) {
    const Gpu *g = e->gpu;
    return (WorkNotes){g->notes.n ? arena_copy(e->arena, g->notes.data, g->notes.n) : NULL,
                       g->notes.n};
}

void gpu_join(Emit *e, WorkNotes before) {
    for (uint32_t s = 0; s < before.n; s++) *note_of(e, s) |= before.data[s];
}

void gpu_sync(Emit *e) {
    if (e->gpu->point) return;
    forget(e);
    gpu_barrier(e, true);
}

/* Memory that nothing in the kernel writes is nobody's concern. */
static bool is_constant(const Emit *e, uint32_t scope) {
    if (scope >= e->n_fixed_scopes) return false;
    for (uint32_t i = 0; i < e->k->arg_values.n; i++)
        if (e->args[i].scope == scope && e->args[i].writes) return false;
    return true;
}

bool gpu_clashes(Emit *e, uint32_t scope, uint8_t how) {
    if (e->gpu->point || is_constant(e, scope) || gpu_place_of(e, scope) == GPU_IN_REGISTERS)
        return false;
    return how & TOUCH_WRITE ? *note_of(e, scope) & (TOUCH_READ | TOUCH_WRITE)
                             : *note_of(e, scope) & TOUCH_WRITE;
}

void gpu_note(Emit *e, uint32_t scope, uint8_t how) {
    if (!is_constant(e, scope)) *note_of(e, scope) |= how;
}

void gpu_meet_if(Emit *e, bool clash) {
    if (clash) meet(e);
}

/* ---- exchanges -------------------------------------------------------------------------------------- */

static V other_word(Emit *e, V x, uint32_t step) {
    char name[24];
    snprintf(name, sizeof name, "rwkvc.other%u", step);
    return gpu_call(e, name, &x, 1);
}

V gpu_other(Emit *e, V x, uint32_t step) {
    LLVMTypeRef t = LLVMTypeOf(x);
    if (t == e->i32) return other_word(e, x, step);
    if (t == e->f32)
        return LLVMBuildBitCast(e->b, other_word(e, LLVMBuildBitCast(e->b, x, e->i32, ""), step), t,
                                "");
    V high = LLVMBuildLShr(e->b, x, emit_const(e, 32), "");
    V lo = other_word(e, LLVMBuildTrunc(e->b, x, e->i32, ""), step),
      hi = other_word(e, LLVMBuildTrunc(e->b, high, e->i32, ""), step);
    hi = LLVMBuildShl(e->b, LLVMBuildZExt(e->b, hi, e->i64, ""), emit_const(e, 32), "");
    return LLVMBuildOr(e->b, hi, LLVMBuildZExt(e->b, lo, e->i64, ""), "");
}

static void take(Emit *e, GpuTotal *x, V v, V place) {
    if (x->red == RED_ARGMAX)
        red_places(e, x->ints, &x->v, &x->place, v, place);
    else
        x->v = red_combine(e, x->red, x->v, v, x->ints);
}

static void within_wave(Emit *e, GpuTotal *x, uint32_t share) {
    for (uint32_t step = 1; step < share; step *= 2)
        take(e, x, gpu_other(e, x->v, step), x->place ? gpu_other(e, x->place, step) : NULL);
}

/* ---- across waves ------------------------------------------------------------------------------------- */

static V word_at(Emit *e, V index) {
    return LLVMBuildGEP2(e->b, e->i64, e->gpu->exchange, &index, 1, "");
}

static void put(Emit *e, V v, V index) {
    if (LLVMTypeOf(v) == e->f32) v = LLVMBuildBitCast(e->b, v, e->i32, "");
    emit_scoped(e, LLVMBuildStore(e->b, v, word_at(e, index)), e->gpu->exchange_scope);
}

static V get(Emit *e, LLVMTypeRef t, V index) {
    V x = LLVMBuildLoad2(e->b, t == e->f32 ? e->i32 : t, word_at(e, index), "");
    emit_scoped(e, x, e->gpu->exchange_scope);
    return t == e->f32 ? LLVMBuildBitCast(e->b, x, t, "") : x;
}

static V number(Emit *e, uint64_t n) { return LLVMConstInt(e->i32, n, false); }

/* Where wave w leaves part k (item 0, place 1) of total i. */
static V slot(Emit *e, V wave, uint32_t i, uint32_t k, uint32_t waves) {
    return LLVMBuildAdd(e->b, wave, number(e, (2 * i + k) * waves), "");
}

static void leave(Emit *e, GpuTotal *x, uint32_t n, V wave, uint32_t waves) {
    V rank = LLVMBuildAnd(e->b, e->gpu->thread, number(e, e->gpu->t->wave - 1), "");
    If first = if_begin(e, LLVMBuildICmp(e->b, LLVMIntEQ, rank, number(e, 0), ""));
    for (uint32_t i = 0; i < n; i++) {
        put(e, x[i].v, slot(e, wave, i, 0, waves));
        if (x[i].place) put(e, x[i].place, slot(e, wave, i, 1, waves));
    }
    if_end(e, &first);
}

/* Each lane takes the total of one wave, and they add up once more. */
static void across_waves(Emit *e, GpuTotal *x, uint32_t n) {
    Gpu *g = e->gpu;
    uint32_t waves = g->block / g->t->wave;
    if (!g->exchange || g->exchange_words < 2 * n * waves) {
        g->exchange_words = 2 * n * waves;
        g->exchange = gpu_array(e, e->i64, g->exchange_words, "exchange");
        g->exchange_scope = e->n_scopes++;
    }
    V wave = LLVMBuildLShr(e->b, g->thread, number(e, (uint64_t)__builtin_ctz(g->t->wave)), "");
    gpu_barrier(e, false); /* the totals before have been read */
    leave(e, x, n, wave, waves);
    gpu_barrier(e, false);
    V mine = LLVMBuildAnd(e->b, g->thread, number(e, waves - 1), "");
    for (uint32_t i = 0; i < n; i++) {
        x[i].v = get(e, LLVMTypeOf(x[i].v), slot(e, mine, i, 0, waves));
        if (x[i].place) x[i].place = get(e, e->i64, slot(e, mine, i, 1, waves));
        within_wave(e, &x[i], waves);
    }
}

void gpu_totals(Emit *e, GpuTotal *x, uint32_t n, uint32_t share) {
    uint32_t wave = e->gpu->t->wave;
    for (uint32_t i = 0; i < n; i++) within_wave(e, &x[i], share < wave ? share : wave);
    if (share > wave) across_waves(e, x, n);
}
