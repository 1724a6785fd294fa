/* NVIDIA's processors: how the warps of a group are made and counted. */
#include "ptx.h"

#include <stdio.h>
#include <stdlib.h>

static size_t padded(size_t n) { return (n + 63) & ~(size_t)63; }

typedef struct Sizes {
    size_t group, warps, registers, unknown, shared, tags;
} Sizes;

static Sizes sizes_of(const Launch *l) {
    const PtxCode *c = l->kernel->ptx;
    return (Sizes){.group = padded(sizeof(PtxGroup)),
                   .warps = padded(l->n_waves * sizeof(PtxWarp)),
                   .registers = (size_t)(c->n_registers + 1) * PTX_UNIT,
                   .unknown = padded(c->n_registers * sizeof(uint32_t)),
                   .shared = padded(c->shared_bytes),
                   .tags = padded((c->shared_bytes / 2 + 1) * sizeof(uint32_t))};
}

static size_t arena(const Launch *l) {
    Sizes s = sizes_of(l);
    return s.group + s.warps + l->n_waves * (s.registers + s.unknown) + 2 * s.shared + s.tags;
}

static void divide(Worker *w, uint8_t *p) {
    const Launch *l = w->launch;
    Sizes s = sizes_of(l);
    PtxGroup *g = w->group.ptx = (PtxGroup *)(void *)p;
    *g = (PtxGroup){.warps = (PtxWarp *)(void *)(p + s.group),
                    .shared_bytes = l->kernel->ptx->shared_bytes};
    p += s.group + s.warps;
    for (unsigned i = 0; i < l->n_waves; i++) {
        g->warps[i].registers = p;
        memset(
            p, 0xa5,
            s.registers); /* what is left there by groups before is rubbish enough for the next one */
        g->warps[i].unknown = (uint32_t *)(void *)(p + s.registers);
        p += s.registers + s.unknown;
    }
    g->shared = p;
    g->known = p + s.shared;
    g->wrote = (uint32_t *)(void *)(p + 2 * s.shared);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void put_special(PtxWarp *w, int32_t reg, uint32_t lane, uint32_t x) {
    ptx_register(w, reg)->u[lane] = x;
    w->unknown[reg] = 0;
}

static void begin_lane(PtxWarp *w, const Launch *l, const Group *g, uint32_t lane) {
    uint32_t t = w->index * PTX_LANES + lane, x = l->block[0], y = l->block[1];
    uint32_t tid[3] = {t % x, t / x % y, t / x / y};
    for (int d = 0; d < 3; d++) {
        put_special(w, PTX_TID + d, lane, tid[d]);
        put_special(w, PTX_NTID + d, lane, l->block[d]);
        put_special(w, PTX_CTAID + d, lane, g->id[d]);
        put_special(w, PTX_NCTAID + d, lane, l->grid[d]);
    }
    put_special(w, PTX_LANEID, lane, lane);
    if (t < l->threads) w->all |= 1u << lane;
}

static void begin_warp(PtxWarp *w, const Launch *l, Group *g, unsigned index) {
    const PtxCode *c = l->kernel->ptx;
    *w = (PtxWarp){.registers = w->registers,
                   .unknown = w->unknown,
                   .constants = c->constants,
                   .code = c,
                   .group = g->ptx,
                   .common = g,
                   .index = index,
                   .switch_at = UINT32_MAX,
                   .is_apart = l->seed != 0,
                   .parted = (uint32_t)l->seed * 0x9e3779b9u + (uint32_t)g->index * 31u + index,
                   .stop = RUNNING};
    memset(w->unknown, 0xff, c->n_registers * sizeof *w->unknown);
    for (uint32_t i = 0; i < PTX_LANES; i++) begin_lane(w, l, g, i);
    w->lanes = w->all;
    ptx_part(w);
}

static void begin(Worker *worker) {
    Group *common = &worker->group;
    PtxGroup *g = common->ptx;
    memset(g->shared, 0xa5, g->shared_bytes);
    memset(g->known, 0, g->shared_bytes);
    ptx_race_clear(g);
    g->raced.in = NULL;
    for (unsigned i = 0; i < common->n_waves; i++)
        begin_warp(&g->warps[i], worker->launch, common, i);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static Stop *stop(Group *g, unsigned wave) { return &g->ptx->warps[wave].stop; }
static void open_barrier(Group *g) {
    g->barriers++;
    ptx_race_barrier(g->ptx);
}

static void forsaken(Group *g, unsigned wave) {
    PtxWarp *w = &g->ptx->warps[wave];
    ptx_fault(w, &w->code->inst[w->pc - 1], -1,
              "it waits at a barrier, but another wave of the group has ended");
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void count(const EmuKernel *k, EmuCounts *out) {
    for (size_t i = 0; i < k->code.n; i++) {
        uint64_t n = k->counts[i];
        out->instructions += n;
        switch ((PtxKind)k->ptx->inst[i].kind) {
        case PTX_VECTOR: out->vector += n; break;
        case PTX_MATRIX: out->matrix += n; break;
        case PTX_GLOBAL: out->global += n; break;
        case PTX_LOCAL: out->local += n; break;
        case PTX_BARRIER: out->barriers += n; /* fall through */
        default: out->scalar += n; break;
        }
    }
}

static unsigned barriers(const EmuKernel *k, uint64_t *came, unsigned n) {
    for (size_t i = 0; i < k->code.n; i++) {
        const PtxInst *in = &k->ptx->inst[i];
        if (in->kind == PTX_BARRIER && in->number < n) came[in->number] = k->counts[i];
    }
    return k->code.n_barriers;
}

static bool unknown_in(EmuKernel *k, Lines *out) {
    bool good = true;
    for (size_t i = 0; i + 1 < k->code.n && good; i++) {
        const PtxInst *in = &k->ptx->inst[i];
        char text[200];
        if (in->exec != ptx_not_known) continue;
        snprintf(text, sizeof text, "%.*s", (int)in->text_bytes, in->text);
        for (char *p = text; *p != '\0'; p++)
            if (*p == '\t' || *p == '\n') *p = ' ';
        good = lines_unknown(out, k->name, text);
    }
    return good;
}

static bool unknown(EmuImage *m, Lines *out) {
    bool good = true;
    for (size_t i = 0; i < m->n_kernels && good; i++) {
        EmuKernel *k = &m->kernels[i];
        if (!k->is_decoded && !ptx_decode(k)) return false;
        good = unknown_in(k, out);
        if (!k->is_decoded) ptx_forget(k->ptx);
    }
    return good;
}

static void release(EmuKernel *k) {
    if (k->ptx != NULL) ptx_forget(k->ptx);
}

static void unload(EmuKernel *k) {
    if (k->ptx == NULL) return;
    free(k->ptx->shared);
    free(k->ptx->inside);
    free(k->ptx);
}

const Family family_nvidia = {.load = ptx_load,
                              .unload = unload,
                              .release = release,
                              .decode = ptx_decode,
                              .arena = arena,
                              .divide = divide,
                              .begin = begin,
                              .stop = stop,
                              .run = ptx_run,
                              .open = open_barrier,
                              .forsaken = forsaken,
                              .count = count,
                              .barriers = barriers,
                              .unknown = unknown};
