/* A wave: its registers, how they begin, how one of them is written, and what is said when it does
 * something wrong. */
#include "wave.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- masks ----------------------------------------------------------------------------------- */

void mask_expand(uint64_t mask, Lanes *out) {
    uint32_t half[2] = {(uint32_t)mask, (uint32_t)(mask >> 32)};
    for (size_t h = 0; h < 2; h++)
        for (size_t i = 0; i < 32; i++) out->u[32 * h + i] = 0u - (half[h] >> i & 1u);
}

/* The top bits of all lanes. */
uint64_t mask_pack(const Lanes *in, unsigned n) {
    uint64_t mask = 0;
    for (unsigned base = 0; base < n; base += 8) {
        uint32_t byte = 0;
        for (unsigned i = 0; i < 8; i++) byte |= (in->u[base + i] >> 31) << i;
        mask |= (uint64_t)byte << base;
    }
    return mask;
}

void wave_exec_changed(Wave *w) {
    w->exec = mask_get(w, S_EXEC) & w->full;
    w->is_full = w->exec == w->full;
    mask_expand(w->exec, &w->exec_lanes);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void merge(Lanes *to, const Lanes *x, uint64_t lanes, const Wave *w) {
    Lanes other;
    const Lanes *m = &w->exec_lanes;
    if (lanes == w->full) {
        memcpy(to, x, w->n * sizeof *x->u);
        return;
    }
    if (lanes != w->exec) {
        mask_expand(lanes, &other);
        m = &other;
    }
    for (size_t base = 0; base < w->n; base += 32)
        for (size_t i = base; i < base + 32; i++)
            to->u[i] = (x->u[i] & m->u[i]) | (to->u[i] & ~m->u[i]);
}

/* The lanes whose bits are not all known. */
static uint64_t unknown_lanes(const Wave *w, const Lanes *unknown) {
    uint64_t mask = 0;
    for (unsigned i = 0; i < w->n; i++) mask |= (uint64_t)(unknown->u[i] != 0) << i;
    return mask;
}

static void write_lanes(Wave *w, unsigned reg, const Lanes *x, const Lanes *unknown, uint64_t lanes,
                        uint64_t *doubt) {
    merge(&w->v[reg], x, lanes, w);
    if (unknown == NULL) {
        *doubt &= ~lanes;
        return;
    }
    uint64_t open = unknown_lanes(w, unknown) & lanes;
    for (unsigned i = 0; i < w->n; i++)
        if (open >> i & 1) w->unknown[reg].u[i] = unknown->u[i];
    *doubt = (*doubt & ~lanes) | open;
}

void vector_set(Wave *w, const Inst *in, unsigned reg, const Lanes *x, const Lanes *unknown,
                uint64_t lanes) {
    if (w->awaited[reg]) {
        vector_awaited(w, in, reg);
        return;
    }
    write_lanes(w, reg, x, unknown, lanes, &w->doubt[reg]);
}

/* Several loads of one kind may be on their way to a register: they come in their order. */
void vector_load(Wave *w, const Inst *in, Counter c, unsigned reg, const Lanes *x,
                 const Lanes *unknown, uint64_t lanes) {
    if (w->awaited[reg] && w->awaited_by[reg] != c) {
        vector_awaited(w, in, reg);
        return;
    }
    write_lanes(w, reg, x, unknown, lanes, w->awaited[reg] ? &w->doubt_after[reg] : &w->doubt[reg]);
}

/* ---- the beginning --------------------------------------------------------------------------- */

enum {
    ASK_PRIVATE_BUFFER = 1,
    ASK_DISPATCH = 2,
    ASK_QUEUE = 4,
    ASK_KERNARG = 8,
    ASK_DISPATCH_ID = 16,
    ASK_FLAT_SCRATCH = 32,
    ASK_PRIVATE_SIZE = 64,
};

static void put_scalar(Wave *w, unsigned *reg, uint32_t x) {
    w->s[*reg] = x;
    w->s_unknown[(*reg)++] = 0;
}

static void put_pointer(Wave *w, unsigned *reg, uint64_t x) {
    put_scalar(w, reg, (uint32_t)x);
    put_scalar(w, reg, (uint32_t)(x >> 32));
}

/* User registers in the order of the descriptor's bits, then the ids of the group. */
static void init_scalars(Wave *w, const Launch *l, const Group *g) {
    const EmuKernel *k = l->kernel;
    unsigned reg = 0, user = k->rsrc2 >> 1 & 31u;
    if (k->properties & ASK_PRIVATE_BUFFER) reg += 4;
    if (k->properties & ASK_DISPATCH) put_pointer(w, &reg, (uint64_t)(uintptr_t)l->packet);
    if (k->properties & ASK_QUEUE) reg += 2;
    if (k->properties & ASK_KERNARG) put_pointer(w, &reg, (uint64_t)(uintptr_t)l->kernarg);
    if (k->properties & ASK_DISPATCH_ID) put_pointer(w, &reg, l->emu->launches);
    if (k->properties & ASK_FLAT_SCRATCH) reg += 2;
    if (k->properties & ASK_PRIVATE_SIZE) put_scalar(w, &reg, k->info.scratch);
    for (unsigned i = 0, n = k->preload & 127u, at = k->preload >> 7; i < n && reg < user; i++) {
        uint32_t x = 0;
        if (4 * (at + i) + 4 <= l->kernarg_bytes) memcpy(&x, l->kernarg + 4 * (at + i), 4);
        put_scalar(w, &reg, x);
    }
    reg = user;
    for (unsigned i = 0; i < 3; i++)
        if (k->rsrc2 >> (7 + i) & 1) put_scalar(w, &reg, g->id[i]);
    if (k->rsrc2 >> 10 & 1) put_scalar(w, &reg, l->n_waves);
}

static void init_lanes(Wave *w, const Launch *l) {
    uint32_t x = l->block[0], y = l->block[1];
    uint64_t active = 0;
    for (unsigned i = 0; i < w->n; i++) {
        uint32_t t = w->index * w->n + i;
        if (t >= l->threads) break;
        active |= (uint64_t)1 << i;
        w->v[0].u[i] = t % x | t / x % y << 10 | t / x / y << 20;
    }
    w->doubt[0] = w->full & ~active;
    w->s[S_EXEC] = (uint32_t)active;
    w->s[S_EXEC + 1] = (uint32_t)(active >> 32);
    w->s_unknown[S_EXEC] = w->s_unknown[S_EXEC + 1] = 0;
    wave_exec_changed(w);
}

void wave_init(Wave *w, const Launch *l, Group *g, unsigned index) {
    const EmuKernel *k = l->kernel;
    w->group = g;
    w->processor = l->emu->processor;
    w->index = index;
    w->n = w->processor->lanes;
    w->full = w->n == 64 ? ~(uint64_t)0 : UINT32_MAX;
    memset(w->v, 0xa5, k->next_vector * sizeof *w->v);
    memset(w->unknown, 0xff, k->next_vector * sizeof *w->unknown);
    memset(w->v + FIRST_AGPR, 0xa5, k->next_agpr * sizeof *w->v);
    memset(w->unknown + FIRST_AGPR, 0xff, k->next_agpr * sizeof *w->unknown);
    for (unsigned i = 0; i < N_VECTORS; i++) w->doubt[i] = w->full;
    memset(w->awaited, 0, sizeof w->awaited);
    memset(w->s, 0xa5, sizeof w->s);
    memset(w->s_unknown, 0xff, sizeof w->s_unknown);
    memset(w->s_awaited, 0, sizeof w->s_awaited);
    memset(w->issued, 0, sizeof w->issued);
    memset(w->done, 0, sizeof w->done);
    w->n_pending = w->n_smem = 0;
    w->lds_write = w->settled = 0;
    w->scc = false;
    w->scc_unknown = true;
    w->mode = (k->rsrc1 >> 12 & 0xffu) | (k->rsrc1 >> 21 & 1u) << 8 | (k->rsrc1 >> 23 & 1u) << 9;
    w->flushes = (w->mode >> 4 & 3u) != 3u;
    w->at = k->code.inst;
    w->stop = RUNNING;
    w->executed = 0;
    w->scratch_lane = k->info.scratch;
    if (w->scratch_lane > 0) {
        memset(w->scratch, 0xa5, (size_t)w->n * w->scratch_lane);
        memset(w->scratch_known, 0, (size_t)w->n * w->scratch_lane);
    }
    init_scalars(w, l, g);
    init_lanes(w, l);
}

/* ---- faults ---------------------------------------------------------------------------------- */

size_t fault_begin(const Group *g, unsigned wave, int lane, const char *format, va_list args) {
    Worker *w = g->worker;
    char where[48] = "";
    if (lane >= 0) snprintf(where, sizeof where, ", lane %d", lane);
    int n = snprintf(w->fault, sizeof w->fault,
                     "kernel %s, group %u %u %u, wave %u%s: ", w->launch->kernel->name, g->id[0],
                     g->id[1], g->id[2], wave, where);
    size_t at = n < 0 ? 0 : (size_t)n < sizeof w->fault ? (size_t)n : sizeof w->fault - 1;
    vsnprintf(w->fault + at, sizeof w->fault - at, format, args);
    return strlen(w->fault);
}

void wave_fault(Wave *w, const Inst *in, int lane, const char *format, ...) {
    Worker *worker = w->group->worker;
    const Group *g = w->group;
    if (w->stop == FAULTED) return; /* the first counts */
    w->stop = FAULTED;
    va_list args;
    va_start(args, format);
    size_t n = fault_begin(g, w->index, lane, format, args), room = sizeof worker->fault;
    va_end(args);
    const EmuKernel *k = worker->launch->kernel;
    snprintf(worker->fault + n, room - n, "\n    at +0x%llx: %s",
             (unsigned long long)(in->address - k->entry), in->text);
    n = strlen(worker->fault);
    if (g->raced.in == NULL) return;
    snprintf(worker->fault + n, room - n,
             "\n    before: wave %u, lane %u read %s memory that another %s\n    at +0x%llx: %s",
             g->raced.wave, g->raced.lane, g->raced.is_local ? "local" : "global",
             g->raced.is_of_group ? "group wrote" : "wave wrote since the last barrier",
             (unsigned long long)(g->raced.in->address - k->entry), g->raced.in->text);
}
