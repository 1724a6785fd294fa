/* Loads take their time: a register that one writes may not be used until an s_waitcnt says that it
 * has come. Vector memory returns in the order of issue; so does local memory, but scalar loads do
 * not, so that with one on its way only a wait for 0 tells anything. On gfx11 stores have a counter
 * of their own. */
#include "wave.h"

static void mark(Wave *w, const Pending *p, bool is_awaited) {
    for (unsigned k = 0; k < p->count; k++) {
        unsigned reg = p->reg + k;
        if (p->is_scalar) {
            w->s_awaited[reg] = (uint8_t)(w->s_awaited[reg] + (is_awaited ? 1 : -1));
        } else if (is_awaited) {
            if (w->awaited[reg]++ == 0) w->doubt_after[reg] = w->doubt[reg];
            w->awaited_by[reg] = p->counter;
            w->doubt[reg] = ~(uint64_t)0;
        } else if (--w->awaited[reg] == 0) {
            w->doubt[reg] = w->doubt_after[reg];
        }
    }
}

static bool has_come(const Wave *w, const Pending *p) {
    return (int32_t)(w->done[p->counter] - p->number) >= 0;
}

static void collect(Wave *w) {
    unsigned kept = 0;
    for (unsigned i = 0; i < w->n_pending; i++) {
        Pending *p = &w->pending[i];
        if (has_come(w, p)) {
            mark(w, p, false);
            w->n_smem -= p->is_smem;
        } else {
            w->pending[kept++] = *p;
        }
    }
    w->n_pending = kept;
}

/* Counts an access; count 0: one that writes no register. */
void wait_issue(Wave *w, const Inst *in, Counter c, bool is_scalar, bool is_smem, unsigned reg,
                unsigned count) {
    uint32_t number = ++w->issued[c], most = c == CNT_LGKM && w->n_smem > 0 ? 100 : 60;
    if (number - w->done[c] > most && !(c == CNT_LGKM && w->n_smem > 0)) {
        w->done[c] = number - most; /* the counter is full: issue waits */
        collect(w);
    }
    if (count == 0) return;
    if (w->n_pending == MAX_PENDING) {
        wave_fault(w, in, -1, "more than %d loads without a wait", MAX_PENDING);
        return;
    }
    Pending *p = &w->pending[w->n_pending++];
    *p = (Pending){.counter = (uint8_t)c,
                   .is_scalar = is_scalar,
                   .is_smem = is_smem,
                   .reg = (uint16_t)reg,
                   .count = (uint16_t)count,
                   .number = number};
    w->n_smem += is_smem;
    mark(w, p, true);
}

void wait_until(Wave *w, Counter c, uint32_t n) {
    if (w->issued[c] - w->done[c] <= n) return;
    if (c == CNT_LGKM && n > 0 && w->n_smem > 0) return;
    w->done[c] = w->issued[c] - n;
    if (w->n_pending > 0) collect(w);
}

bool wait_lds_written(const Wave *w) { return (int32_t)(w->done[CNT_LGKM] - w->lds_write) >= 0; }

static const char *counter_name(const Wave *w, unsigned c) {
    (void)w;
    return c == CNT_VM ? "vmcnt" : c == CNT_VS ? "vscnt" : "lgkmcnt";
}

void vector_awaited(Wave *w, const Inst *in, unsigned reg) {
    wave_fault(w, in, -1,
               "%c%u is used before the load into it has come: an s_waitcnt %s is missing",
               reg < FIRST_AGPR ? 'v' : 'a', reg % FIRST_AGPR, counter_name(w, w->awaited_by[reg]));
}

void scalar_awaited(Wave *w, const Inst *in, unsigned reg) {
    wave_fault(w, in, -1,
               "s%u is used before the load into it has come: an s_waitcnt lgkmcnt is missing",
               reg);
}

bool scalars_doubtful(Wave *w, const Inst *in) {
    uint32_t unknown = 0;
    for (unsigned i = 0; i < in->n_scalar_reads; i++) {
        const Range *r = &in->scalar_reads[i];
        for (unsigned k = r->reg; k < (unsigned)r->reg + r->count; k++) {
            unknown |= w->s_unknown[k];
            if (w->s_awaited[k]) {
                scalar_awaited(w, in, k);
                return true;
            }
        }
    }
    return unknown != 0;
}

uint64_t vectors_doubtful(Wave *w, const Inst *in) {
    uint64_t doubt = 0;
    for (unsigned i = 0; i < in->n_reads; i++) {
        const Range *r = &in->reads[i];
        for (unsigned k = r->reg; k < (unsigned)r->reg + r->count; k++) doubt |= w->doubt[k];
    }
    if (doubt == 0) return 0;
    for (unsigned i = 0; i < in->n_reads; i++) {
        const Range *r = &in->reads[i];
        for (unsigned k = r->reg; k < (unsigned)r->reg + r->count; k++)
            if (w->awaited[k]) {
                vector_awaited(w, in, k);
                return doubt;
            }
    }
    return doubt;
}
