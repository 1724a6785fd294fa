/* AMD's processors: how their waves are made, take turns and are counted. */
#include "ops.h"
#include "wave.h"

#include <stdlib.h>

/* ---- memory of a worker ---------------------------------------------------------------------- */

static size_t padded(size_t n) { return (n + 63) & ~(size_t)63; }

enum { REGISTERS = N_VECTORS * sizeof(Lanes) };

static size_t scratch_of(const Launch *l) {
    return padded((size_t)l->emu->processor->lanes * l->kernel->info.scratch);
}

static size_t arena(const Launch *l) {
    size_t words = padded(((size_t)l->lds + 3) / 4 * sizeof(uint64_t));
    size_t of_wave = padded(sizeof(Wave)) + 2 * padded(REGISTERS) + 2 * scratch_of(l);
    return l->n_waves * of_wave + 2 * padded(l->lds) + words;
}

static void divide(Worker *w, uint8_t *p) {
    const Launch *l = w->launch;
    size_t scratch = scratch_of(l), registers = padded(REGISTERS);
    Group *g = &w->group;
    g->waves = (Wave *)(void *)p;
    p += padded(l->n_waves * sizeof(Wave));
    for (unsigned i = 0; i < l->n_waves; i++) {
        Wave *v = &g->waves[i];
        v->v = (Lanes *)(void *)p;
        v->unknown = (Lanes *)(void *)(p + registers);
        v->scratch = p + 2 * registers;
        v->scratch_known = v->scratch + scratch;
        p += 2 * registers + 2 * scratch;
    }
    g->lds = p;
    g->lds_known = p + padded(l->lds);
    g->written = (uint64_t *)(void *)(p + 2 * padded(l->lds));
}

static void begin(Worker *w) {
    Group *g = &w->group;
    memset(g->lds, 0xa5, g->lds_bytes);
    memset(g->lds_known, 0, g->lds_bytes);
    race_clear(g);
    g->raced.in = NULL;
    for (unsigned i = 0; i < g->n_waves; i++) wave_init(&g->waves[i], w->launch, g, i);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static Stop *stop(Group *g, unsigned wave) { return &g->waves[wave].stop; }

static void run(Group *g, unsigned wave, uint64_t turn) {
    Wave *w = &g->waves[wave];
    uint64_t *counts = g->worker->counts;
    uint64_t left = turn;
    while (left > 0 && w->stop == RUNNING) {
        const Inst *in = w->at++;
        counts[in->index]++;
        in->exec(w, in);
        left--;
    }
    w->executed += turn - left;
    uint64_t most = g->worker->launch->emu->options.max_instructions;
    if (w->executed > most && w->stop == RUNNING)
        wave_fault(w, w->at, -1, "it has run %llu instructions: no end is in sight",
                   (unsigned long long)w->executed);
}

static void forsaken(Group *g, unsigned wave) {
    Wave *w = &g->waves[wave];
    wave_fault(w, w->at - 1, -1, "it waits at a barrier, but another wave of the group has ended");
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void add_instruction(EmuCounts *c, const Inst *in, uint64_t n) {
    c->instructions += n;
    if (in->op == NULL) return;
    if (in->dual != NULL) c->dual += n;
    if (in->op->flags & F_BARRIER) c->barriers += n;
    switch (in->op->kind) {
    case K_VALU: c->vector += n; break;
    case K_CROSS:
        if (in->op->name[0] == 'd')
            c->local += n;
        else
            c->vector += n;
        break;
    case K_MATRIX: c->matrix += n; break;
    case K_GLOBAL:
    case K_BUFFER: c->global += n; break;
    case K_SCRATCH: c->scratch += n; break;
    case K_LDS: c->local += n; break;
    default: c->scalar += n; break;
    }
}

static void count(const EmuKernel *k, EmuCounts *out) {
    for (size_t i = 0; i < k->code.n; i++) add_instruction(out, &k->code.inst[i], k->counts[i]);
}

static unsigned barriers(const EmuKernel *k, uint64_t *came, unsigned n) {
    for (size_t i = 0; i < k->code.n; i++) {
        const Inst *in = &k->code.inst[i];
        bool is_barrier = in->op != NULL && (in->op->flags & F_BARRIER);
        if (is_barrier && in->literal < n) came[in->literal] = k->counts[i];
    }
    return k->code.n_barriers;
}

static bool unknown(EmuImage *m, Lines *out) {
    bool good = true;
    for (size_t k = 0; k < m->n_kernels && good; k++) {
        Function f;
        if (!function_decode(m->emu, &m->kernels[k], &f)) return false;
        for (size_t i = 0; i + 1 < f.n && good; i++) /* padding behind the last one is none */
            if (f.inst[i].exec == exec_unknown)
                good = lines_unknown(out, m->kernels[k].name, f.inst[i].text);
        function_release(&f);
    }
    return good;
}

static bool decode(EmuKernel *k) { return function_decode(k->image->emu, k, &k->code); }
static void release(EmuKernel *k) { function_release(&k->code); }

const Family family_amd = {.load = image_load_elf,
                           .release = release,
                           .decode = decode,
                           .arena = arena,
                           .divide = divide,
                           .begin = begin,
                           .stop = stop,
                           .run = run,
                           .open = race_barrier,
                           .forsaken = forsaken,
                           .count = count,
                           .barriers = barriers,
                           .unknown = unknown};
