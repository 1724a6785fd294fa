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

static void note_races(PtxWarp *w, const PtxInst *in, Access *a, uint32_t lanes, bool is_of_group) {
    PtxRaced *r = &w->group->raced;
    if (lanes == 0) return;
    a->chance |= lanes;
    w->common->worker->total.races += (unsigned)__builtin_popcount(lanes);
    if (r->in == NULL)
        *r = (PtxRaced){in, w->index, (unsigned)__builtin_ctz(lanes),
                        a->m->space == PTX_SPACE_SHARED, is_of_group};
}

static bool is_aligned(PtxWarp *w, const PtxInst *in, const Access *a, const char *what) {
    uint64_t bits = 0;
    for (size_t i = 0; i < PTX_LANES; i++) bits |= w->lanes >> i & 1 ? a->at[i] : 0;
    if ((bits & (a->bytes - 1u)) == 0) return true;
    EACH(i, w->lanes)
    if ((a->at[i] & (a->bytes - 1u)) != 0)
        ptx_fault(w, in, (int)i, "%s of %u bytes at %s0x%llx, which is no multiple of %u", verb(a),
                  a->bytes, what, (unsigned long long)a->at[i], a->bytes);
    return false;
}

/* ---- global memory --------------------------------------------------------------------------- */

static void outside(PtxWarp *w, const PtxInst *in, const Access *a, unsigned lane) {
    const Buffer *b = buffers_near(&w->common->worker->launch->emu->buffers, a->at[lane]);
    unsigned long long at = a->at[lane];
    if (b == NULL) {
        ptx_fault(w, in, (int)lane, "%s of %u bytes at 0x%llx, which is in no buffer", verb(a),
                  a->bytes, at);
        return;
    }
    ptx_fault(
        w, in, (int)lane,
        "%s of %u bytes at 0x%llx, in no buffer: at offset %llu of the nearest one, which has %zu bytes",
        verb(a), a->bytes, at, at - (unsigned long long)(uintptr_t)b->base, b->bytes);
}

static bool keeps_promise(PtxWarp *w, const PtxInst *in, const Buffer *b, const Access *a,
                          uint32_t lanes, uint64_t first) {
    bool is_read = !a->m->is_store;
    if (is_read && !a->m->is_read_only) return true;
    uint32_t bad = ptx_race_read_only(b, first, is_read, a->at, lanes, a->bytes);
    if (bad == 0) return true;
    int lane = __builtin_ctz(bad);
    ptx_fault(w, in, lane, "%s: offset %llu of %zu bytes",
              is_read ? "it is read as what nobody writes (.nc), but this launch wrote it"
                      : "this launch reads it as what nobody writes (.nc)",
              (unsigned long long)(a->at[lane] - (uint64_t)(uintptr_t)b->base), b->bytes);
    return false;
}

/* These lanes are inside this buffer. */
static bool buffer_places(PtxWarp *w, const PtxInst *in, const Buffer *b, Access *a,
                          uint32_t lanes) {
    uint64_t base = (uint64_t)(uintptr_t)b->base;
    uint64_t first = ptx_race_tag(w->common, w->index * PTX_LANES);
    if (b->is_read_only && a->m->is_store) {
        ptx_fault(w, in, __builtin_ctz(lanes),
                  "store into memory that is only read: constants or arguments");
        return false;
    }
    EACH(i, lanes) {
        a->data[i] = b->base + (a->at[i] - base);
        a->known[i] = b->known == NULL ? NULL : b->known + (a->at[i] - base);
    }
    if (!keeps_promise(w, in, b, a, lanes, first)) return false;
    PtxRaces r = ptx_race_global(b, first, !a->m->is_store, a->at, lanes, a->bytes);
    if (a->m->is_store) {
        a->chance |= r.thread | r.group; /* the same value may be written twice */
    } else {
        note_races(w, in, a, r.thread, false);
        note_races(w, in, a, r.group, true);
    }
    return true;
}

static uint32_t lanes_inside(const Buffer *b, const Access *a, uint32_t lanes) {
    uint64_t base = (uint64_t)(uintptr_t)b->base, most = b->bytes - a->bytes;
    uint32_t out = 0;
    for (uint32_t i = 0; i < PTX_LANES; i++) out |= (uint32_t)(a->at[i] - base <= most) << i;
    return b->bytes < a->bytes ? 0 : out & lanes;
}

static bool global_places(PtxWarp *w, const PtxInst *in, Access *a) {
    const Buffer **cache = &w->common->worker->cache[in->index];
    if (!is_aligned(w, in, a, "")) return false;
    for (uint32_t left = w->lanes, here; left != 0; left &= ~here) {
        unsigned i = (unsigned)__builtin_ctz(left);
        here = *cache == NULL ? 0 : lanes_inside(*cache, a, left);
        if ((here >> i & 1) == 0) {
            *cache = buffers_find(&w->common->worker->launch->emu->buffers, a->at[i], a->bytes);
            if (*cache == NULL) {
                outside(w, in, a, i);
                return false;
            }
            here = lanes_inside(*cache, a, left);
        }
        if (!buffer_places(w, in, *cache, a, here)) return false;
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

/* All lanes in the variable of the first one, as almost always? */
static bool in_one(const PtxWarp *w, const Access *a) {
    const PtxCode *c = w->code;
    uint64_t at = a->at[__builtin_ctz(w->lanes)];
    uint32_t k = 0, outside = 0;
    while (k < c->n_shared && at - c->shared[k].at >= c->shared[k].bytes) k++;
    if (k == c->n_shared || c->shared[k].bytes < a->bytes) return false;
    uint64_t first = c->shared[k].at, most = c->shared[k].bytes - a->bytes;
    for (uint32_t i = 0; i < PTX_LANES; i++) outside |= (uint32_t)(a->at[i] - first > most) << i;
    return (outside & w->lanes) == 0;
}

static bool are_inside(PtxWarp *w, const PtxInst *in, const Access *a) {
    const PtxGroup *g = w->group;
    if (in_one(w, a)) return is_aligned(w, in, a, "local ");
    const uint8_t *inside = w->code->inside;
    EACH(i, w->lanes) {
        uint64_t at = a->at[i];
        bool is_there = at < g->shared_bytes && g->shared_bytes - at >= a->bytes;
        if (is_there && inside[at] && inside[at + a->bytes - 1]) continue;
        ptx_fault(w, in, (int)i, "%s of %u bytes at %lld of local memory, in no variable", verb(a),
                  a->bytes, (long long)at);
        return false;
    }
    return is_aligned(w, in, a, "local ");
}

static bool shared_places(PtxWarp *w, const PtxInst *in, Access *a) {
    uint32_t words[PTX_LANES] = {0}, other = 0;
    PtxGroup *g = w->group;
    if (!are_inside(w, in, a)) return false;
    EACH(i, w->lanes) {
        a->data[i] = g->shared + a->at[i];
        a->known[i] = g->known + a->at[i];
        words[i] = (uint32_t)a->at[i] & ~3u;
    }
    uint32_t racing = ptx_race_shared(g, w->index * PTX_LANES, !a->m->is_store, a->at, w->lanes,
                                      a->bytes, &other);
    if (!a->m->is_store) {
        note_races(w, in, a, racing, false);
    } else if (racing != 0) {
        int lane = __builtin_ctz(racing);
        ptx_fault(
            w, in, lane,
            "thread %u wrote the same local memory (address %llu, %u bytes) since the last barrier",
            other, (unsigned long long)a->at[lane], a->bytes);
        return false;
    }
    banks_count(&w->common->worker->total, words, w->lanes, PTX_LANES,
                a->bytes < 4 ? 1 : a->bytes / 4);
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static inline uint64_t element(const uint8_t *at, unsigned size) {
    uint64_t x = 0;
    switch (size) {
    case 1: memcpy(&x, at, 1); break;
    case 2: memcpy(&x, at, 2); break;
    case 4: memcpy(&x, at, 4); break;
    default: memcpy(&x, at, 8);
    }
    return x;
}

static inline uint64_t extended(uint64_t x, const PtxMemory *m) {
    uint64_t sign = (uint64_t)1 << (8 * m->size - 1);
    if (m->is_signed && m->size < 8) x = (x ^ sign) - sign;
    return m->is_half ? x & 0xffffu : x;
}

/* Element k of all lanes; size is a constant where this is called. The lanes that do not know it. */
static inline uint32_t load_elements(const Access *a, uint32_t lanes, unsigned k, unsigned size,
                                     PtxLanes *x) {
    const PtxMemory *m = a->m;
    uint64_t all = size == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * size) - 1;
    uint32_t open = 0;
    EACH(i, lanes) {
        uint64_t v = extended(element(a->data[i] + k * size, size), m);
        bool is_known = a->known[i] == NULL || element(a->known[i] + k * size, size) == all;
        open |= (uint32_t)!is_known << i;
        if (m->is_wide)
            x->U[i] = v;
        else
            x->u[i] = (uint32_t)v;
    }
    return open;
}

static void load(PtxWarp *w, const PtxInst *in, const Access *a) {
    const PtxMemory *m = a->m;
    for (unsigned k = 0; k < m->count; k++) {
        PtxLanes x;
        uint32_t open;
        switch (m->size) {
        case 1: open = load_elements(a, w->lanes, k, 1, &x); break;
        case 2: open = load_elements(a, w->lanes, k, 2, &x); break;
        case 4: open = load_elements(a, w->lanes, k, 4, &x); break;
        default: open = load_elements(a, w->lanes, k, 8, &x);
        }
        ptx_set(w, in->arg[k], m->is_wide, &x, open | a->chance);
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

static inline void store_elements(const Access *a, uint32_t lanes, unsigned k, unsigned size,
                                  const PtxLanes *x, uint32_t open) {
    EACH(i, lanes) {
        uint64_t v = a->m->is_wide ? x->U[i] : x->u[i];
        memcpy(a->data[i] + k * size, &v, size);
        if (a->known[i] != NULL) memset(a->known[i] + k * size, open >> i & 1 ? 0 : 0xff, size);
    }
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
        switch (m->size) {
        case 1: store_elements(a, w->lanes, k, 1, ptx_source(w, in->arg[k]), open); break;
        case 2: store_elements(a, w->lanes, k, 2, ptx_source(w, in->arg[k]), open); break;
        case 4: store_elements(a, w->lanes, k, 4, ptx_source(w, in->arg[k]), open); break;
        default: store_elements(a, w->lanes, k, 8, ptx_source(w, in->arg[k]), open);
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
    Access a;
    a.m = m;
    a.bytes = (unsigned)m->size * m->count;
    a.chance = 0;
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
