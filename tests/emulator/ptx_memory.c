/* Loads and stores: where each lane's access goes, whether it may, and what of it is known. */
#include "banks.h"
#include "ptx.h"

/* Lanes of a mask, from the lowest on. */
#define EACH(i, mask)                                                                              \
    for (uint32_t m_ = (mask); m_ != 0; m_ &= m_ - 1)                                              \
        for (unsigned i = (unsigned)__builtin_ctz(m_), once_ = 1; once_; once_ = 0)

typedef struct Access {
    const PtxMemory *m;
    unsigned bytes; /* of a lane */
    uint64_t at[PTX_LANES];
    uint8_t *data[PTX_LANES];
    uint8_t *known[PTX_LANES]; /* NULL: all is known */
    uint32_t chance;           /* lanes that read what somebody writes meanwhile */
} Access;

static const char *verb(const Access *a) { return a->m->is_store ? "store" : "load"; }

static uint32_t thread_of(const PtxWarp *w, unsigned lane) { return w->index * PTX_LANES + lane; }

static void note_race(PtxWarp *w, const PtxInst *in, Access *a, unsigned lane, bool is_of_group) {
    PtxRaced *r = &w->group->raced;
    a->chance |= 1u << lane;
    w->common->worker->total.races++;
    if (r->in == NULL)
        *r = (PtxRaced){in, w->index, lane, a->m->space == PTX_SPACE_SHARED, is_of_group};
}

/* ---- global memory --------------------------------------------------------------------------- */

static bool is_outside(PtxWarp *w, const PtxInst *in, const Access *a, unsigned lane) {
    const Buffer *b = buffers_near(&w->common->worker->launch->emu->buffers, a->at[lane]);
    unsigned long long at = a->at[lane];
    if (b == NULL) {
        ptx_fault(w, in, (int)lane, "%s of %u bytes at 0x%llx, which is in no buffer", verb(a),
                  a->bytes, at);
        return true;
    }
    ptx_fault(
        w, in, (int)lane,
        "%s of %u bytes at 0x%llx, in no buffer: at offset %llu of the nearest one, which has %zu bytes",
        verb(a), a->bytes, at, at - (unsigned long long)(uintptr_t)b->base, b->bytes);
    return true;
}

static bool races(PtxWarp *w, const PtxInst *in, const Buffer *b, Access *a, unsigned lane) {
    bool is_read = !a->m->is_store;
    uint64_t offset = a->at[lane] - (uint64_t)(uintptr_t)b->base;
    uint64_t ours = ptx_race_tag(w->common, thread_of(w, lane));
    if ((a->m->is_read_only || !is_read) &&
        !ptx_race_read_only(b, ours, is_read, offset, a->bytes)) {
        ptx_fault(
            w, in, (int)lane,
            is_read
                ? "it is read as what nobody writes (.nc), but this launch wrote it: offset %llu of %zu bytes"
                : "this launch reads it as what nobody writes (.nc): offset %llu of %zu bytes",
            (unsigned long long)offset, b->bytes);
        return true;
    }
    uint32_t other;
    PtxRace r = ptx_race_global(b, ours, is_read, offset, a->bytes, &other);
    if (r == PTX_RACE_NONE) return false;
    if (is_read) {
        note_race(w, in, a, lane, r == PTX_RACE_GROUP);
        return false;
    }
    bool is_here = r == PTX_RACE_THREAD && other / PTX_LANES == w->index &&
                   (w->lanes >> other % PTX_LANES & 1);
    if (!is_here) a->chance |= 1u << lane; /* the same value may be written twice */
    return false;
}

static bool global_place(PtxWarp *w, const PtxInst *in, const Buffer *b, Access *a, unsigned lane) {
    uint64_t offset = a->at[lane] - (uint64_t)(uintptr_t)b->base;
    if (b->is_read_only && a->m->is_store) {
        ptx_fault(w, in, (int)lane, "store into memory that is only read: constants or arguments");
        return false;
    }
    a->data[lane] = b->base + offset;
    a->known[lane] = b->known == NULL ? NULL : b->known + offset;
    return !races(w, in, b, a, lane);
}

static bool global_places(PtxWarp *w, const PtxInst *in, Access *a) {
    const Buffer **cache = &w->common->worker->cache[in->index];
    EACH(i, w->lanes) {
        uint64_t at = a->at[i];
        const Buffer *b = *cache;
        if ((at & (a->bytes - 1u)) != 0) {
            ptx_fault(w, in, (int)i, "%s of %u bytes at 0x%llx, which is no multiple of %u",
                      verb(a), a->bytes, (unsigned long long)at, a->bytes);
            return false;
        }
        if (b == NULL || at < (uint64_t)(uintptr_t)b->base ||
            b->bytes < at - (uint64_t)(uintptr_t)b->base + a->bytes)
            b = *cache = buffers_find(&w->common->worker->launch->emu->buffers, at, a->bytes);
        if (b == NULL && is_outside(w, in, a, i)) return false;
        if (!global_place(w, in, b, a, i)) return false;
    }
    EmuCounts *c = &w->common->worker->total;
    uint64_t bytes = (uint64_t)__builtin_popcount(w->lanes) * a->bytes;
    if (a->m->is_store)
        c->bytes_stored += bytes;
    else
        c->bytes_loaded += bytes;
    return true;
}

/* ---- local memory ---------------------------------------------------------------------------- */

static bool shared_place(PtxWarp *w, const PtxInst *in, Access *a, unsigned lane) {
    PtxGroup *g = w->group;
    uint64_t at = a->at[lane];
    const uint8_t *inside = w->code->inside;
    bool is_there = at < g->shared_bytes && g->shared_bytes - at >= a->bytes;
    if (!is_there || !inside[at] || !inside[at + a->bytes - 1]) {
        ptx_fault(w, in, (int)lane, "%s of %u bytes at %llu of local memory, in no variable",
                  verb(a), a->bytes, (unsigned long long)at);
        return false;
    }
    if ((at & (a->bytes - 1u)) != 0) {
        ptx_fault(w, in, (int)lane, "local address %llu is no multiple of %u",
                  (unsigned long long)at, a->bytes);
        return false;
    }
    a->data[lane] = g->shared + at;
    a->known[lane] = g->known + at;
    uint32_t other;
    if (!ptx_race_shared(g, thread_of(w, lane), !a->m->is_store, at, a->bytes, &other)) return true;
    if (!a->m->is_store) {
        note_race(w, in, a, lane, false);
        return true;
    }
    ptx_fault(
        w, in, (int)lane,
        "thread %u wrote the same local memory (address %llu, %u bytes) since the last barrier",
        other, (unsigned long long)at, a->bytes);
    return false;
}

static bool shared_places(PtxWarp *w, const PtxInst *in, Access *a) {
    uint32_t words[PTX_LANES] = {0};
    EACH(i, w->lanes) {
        if (!shared_place(w, in, a, i)) return false;
        words[i] = (uint32_t)a->at[i] & ~3u;
    }
    banks_count(&w->common->worker->total, words, w->lanes, PTX_LANES,
                a->bytes < 4 ? 1 : a->bytes / 4);
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t element(const uint8_t *at, unsigned size) {
    uint64_t x = 0;
    switch (size) {
    case 1: memcpy(&x, at, 1); break;
    case 2: memcpy(&x, at, 2); break;
    case 4: memcpy(&x, at, 4); break;
    default: memcpy(&x, at, 8);
    }
    return x;
}

static uint64_t extended(uint64_t x, const PtxMemory *m) {
    uint64_t sign = (uint64_t)1 << (8 * m->size - 1);
    if (m->is_signed && m->size < 8) x = (x ^ sign) - sign;
    return m->is_half ? x & 0xffffu : x;
}

static void load(PtxWarp *w, const PtxInst *in, const Access *a) {
    const PtxMemory *m = a->m;
    uint64_t all = m->size == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * m->size) - 1;
    for (unsigned k = 0; k < m->count; k++) {
        PtxLanes x;
        uint32_t open = a->chance;
        EACH(i, w->lanes) {
            uint64_t v = extended(element(a->data[i] + k * m->size, m->size), m);
            if (a->known[i] != NULL && element(a->known[i] + k * m->size, m->size) != all)
                open |= 1u << i;
            if (m->is_wide)
                x.U[i] = v;
            else
                x.u[i] = (uint32_t)v;
        }
        ptx_set(w, in->arg[k], m->is_wide, &x, open);
    }
}

static uint64_t value(const PtxWarp *w, const PtxInst *in, const PtxMemory *m, unsigned k,
                      unsigned lane) {
    const PtxLanes *x = ptx_source(w, in->arg[k]);
    return m->is_wide ? x->U[lane] : x->u[lane];
}

static void check_values(PtxWarp *w, const PtxInst *in, const Access *a) {
    const PtxMemory *m = a->m;
    for (unsigned k = 0; k < m->count; k++) EACH(i, w->lanes) {
            uint64_t v = value(w, in, m, k, i);
            if (memcmp(a->data[i] + k * m->size, &v, m->size) == 0) continue;
            ptx_fault(w, in, (int)i, "another lane writes another value to the same address");
            return;
        }
}

/* Does each lane write behind the one before it? */
static bool is_ascending(const PtxWarp *w, const Access *a) {
    uint64_t least = 0;
    EACH(i, w->lanes) {
        if (a->at[i] < least) return false;
        least = a->at[i] + a->bytes;
    }
    return true;
}

/* What another thread wrote since the last barrier may only be written as it is. */
static bool repeats(PtxWarp *w, const PtxInst *in, const Access *a) {
    const PtxMemory *m = a->m;
    EACH(i, a->chance)
    for (unsigned k = 0; k < m->count; k++) {
        uint64_t v = value(w, in, m, k, i);
        if (memcmp(a->data[i] + k * m->size, &v, m->size) == 0) continue;
        ptx_fault(
            w, in, (int)i,
            "another thread or group wrote another value to the same memory, %u bytes at 0x%llx",
            a->bytes, (unsigned long long)a->at[i]);
        return false;
    }
    return true;
}

static void store(PtxWarp *w, const PtxInst *in, const Access *a) {
    const PtxMemory *m = a->m;
    bool is_global = m->space == PTX_SPACE_GLOBAL;
    if (!repeats(w, in, a)) return;
    for (unsigned k = 0; k < m->count; k++) {
        uint32_t open = ptx_unknown(w, in->arg[k]) & w->lanes;
        if (open != 0 && is_global) {
            ptx_fault(w, in, __builtin_ctz(open),
                      "it stores value %u, which comes from what was never written", k);
            return;
        }
        EACH(i, w->lanes) {
            uint64_t v = value(w, in, m, k, i);
            memcpy(a->data[i] + k * m->size, &v, m->size);
            if (a->known[i] != NULL)
                memset(a->known[i] + k * m->size, open >> i & 1 ? 0 : 0xff, m->size);
        }
    }
    if (!is_ascending(w, a)) check_values(w, in, a);
}

/* ---- the instruction ------------------------------------------------------------------------- */

static void load_param(PtxWarp *w, const PtxInst *in) {
    const PtxMemory *m = &in->memory;
    const uint8_t *from = w->common->worker->launch->kernarg + m->offset;
    for (unsigned k = 0; k < m->count; k++) {
        PtxLanes x;
        uint64_t v = extended(element(from + k * m->size, m->size), m);
        for (unsigned i = 0; i < PTX_LANES; i++) {
            if (m->is_wide)
                x.U[i] = v;
            else
                x.u[i] = (uint32_t)v;
        }
        ptx_set(w, in->arg[k], m->is_wide, &x, 0);
    }
}

void ptx_load_store(PtxWarp *w, const PtxInst *in) {
    const PtxMemory *m = &in->memory;
    if (m->space == PTX_SPACE_PARAM) {
        load_param(w, in);
        return;
    }
    Access a = {.m = m, .bytes = (unsigned)m->size * m->count};
    int32_t base = in->arg[in->n_arg - 1];
    uint32_t open = ptx_unknown(w, base) & w->lanes;
    if (open != 0) {
        ptx_fault(w, in, __builtin_ctz(open), "the address comes from what was never written");
        return;
    }
    const PtxLanes *from = ptx_source(w, base);
    for (size_t i = 0; i < PTX_LANES; i++) a.at[i] = from->U[i] + (uint64_t)m->offset;
    bool good = m->space == PTX_SPACE_GLOBAL ? global_places(w, in, &a) : shared_places(w, in, &a);
    if (!good) return;
    if (m->is_store)
        store(w, in, &a);
    else
        load(w, in, &a);
}
