/* Who wrote what since the last barrier. Lanes of a warp are threads of their own: that they run side by side is no
 * promise, and exchanging registers orders no memory, so that only barriers do. Nobody else may write it too; what
 * another thread reads there is chance, and not known. Reads that come before the write are found under other orders
 * of groups, warps and lanes (ptx_warp.c).
 *
 * Local memory: each two bytes know who wrote them last, and between which barriers; single bytes are not looked at.
 * Global memory: as in race.c, but of threads; stores of less than four bytes only say that the launch wrote. */
#include "ptx.h"

enum { THREAD_BITS = 11, MANY = (1 << THREAD_BITS) - 1, N_EPOCHS = 1 << (32 - THREAD_BITS) };

void ptx_race_clear(PtxGroup *g) {
    size_t n = (size_t)g->shared_bytes / 2 + 1;
    memset(g->wrote, 0, n * sizeof *g->wrote);
    g->epoch = 1;
}

void ptx_race_barrier(PtxGroup *g) {
    if (++g->epoch == N_EPOCHS) ptx_race_clear(g);
}

static inline bool is_other(uint32_t tag, uint32_t ours) {
    return tag != ours && (tag ^ ours) >> THREAD_BITS == 0;
}

static inline bool touch(PtxGroup *g, uint32_t ours, bool is_read, uint64_t at, unsigned bytes,
                         uint32_t *other) {
    if (bytes == 1) { /* its neighbour may be another thread's */
        if (!is_read) g->wrote[at / 2] = 0;
        return true;
    }
    for (uint64_t k = at / 2, end = (at + bytes) / 2; k < end; k++) {
        if (is_other(g->wrote[k], ours)) {
            *other = (g->wrote[k] & MANY) - 1;
            return false;
        }
        if (!is_read) g->wrote[k] = ours;
    }
    return true;
}

/* Did nobody write there since the last barrier? So it is for almost all that is read. */
static inline bool is_untouched(const PtxGroup *g, const uint64_t *at, uint32_t lanes,
                                unsigned bytes) {
    uint32_t first = g->epoch << THREAD_BITS, touched = 0;
    for (uint32_t m = lanes; m != 0; m &= m - 1) {
        const uint32_t *tag = g->wrote + at[__builtin_ctz(m)] / 2;
        for (unsigned k = 0; k < bytes / 2; k++) touched |= tag[k] - first <= MANY;
    }
    return !touched;
}

uint32_t ptx_race_shared(PtxGroup *g, uint32_t thread, bool is_read, const uint64_t *at,
                         uint32_t lanes, unsigned bytes, uint32_t *other) {
    uint32_t ours = g->epoch << THREAD_BITS | (thread + 1), racing = 0;
    if (is_read && bytes == 4 && is_untouched(g, at, lanes, 4)) return 0;
    if (is_read && bytes == 16 && is_untouched(g, at, lanes, 16)) return 0;
    for (uint32_t m = lanes; m != 0; m &= m - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(m);
        bool is_free = bytes == 4 ? touch(g, ours + i, is_read, at[i], 4, other)
                                  : touch(g, ours + i, is_read, at[i], bytes, other);
        racing |= (uint32_t)!is_free << i;
    }
    return racing;
}

/* ---- global memory --------------------------------------------------------------------------- */

enum { LAUNCH_AT = 42, GROUP_AT = 26, BARRIERS_AT = 11, BARRIERS = (1 << 15) - 1 };

uint64_t ptx_race_tag(const Group *g, uint32_t thread) {
    const Launch *l = g->worker->launch;
    return (l->round % 0x3fffffu + 1u) << LAUNCH_AT |
           ((g->index + l->number * 0x9e37u) & 0xffffu) << GROUP_AT |
           (uint64_t)(g->barriers & BARRIERS) << BARRIERS_AT | (thread + 1);
}

static inline PtxRace race_of(uint64_t tag, uint64_t ours) {
    uint64_t differs = tag ^ ours;
    if (differs == 0 || differs >> LAUNCH_AT != 0 || (tag & MANY) == MANY) return PTX_RACE_NONE;
    if (differs >> GROUP_AT != 0) return PTX_RACE_GROUP;
    return differs >> BARRIERS_AT == 0 ? PTX_RACE_THREAD : PTX_RACE_NONE;
}

/* Of a store: another lane of the same instruction is no race. */
static inline bool is_beside(uint64_t was, uint32_t thread, uint32_t lanes) {
    uint32_t lane = (uint32_t)(was & MANY) - 1 - thread;
    return lane < PTX_LANES && (lanes >> lane & 1);
}

/* Several workers may be at it, where a kernel's groups race. */
PtxRaces ptx_race_global(const Buffer *b, uint64_t first, bool is_read, const uint64_t *at,
                         uint32_t lanes, unsigned bytes) {
    PtxRaces out = {0, 0};
    uint64_t base = (uint64_t)(uintptr_t)b->base;
    uint32_t thread = (uint32_t)(first & MANY) - 1;
    if (b->writers == NULL) return out;
    for (uint32_t m = lanes; m != 0; m &= m - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(m);
        uint64_t offset = at[i] - base, ours = first + i;
        bool is_whole = ((offset | bytes) & 3u) == 0;
        uint64_t *tag = b->writers + (offset >> 2), *end = b->writers + ((offset + bytes + 3) >> 2);
        for (; tag < end; tag++) {
            uint64_t was = __atomic_load_n(tag, __ATOMIC_RELAXED);
            PtxRace r = was == ours ? PTX_RACE_NONE : race_of(was, ours);
            bool counts = r != PTX_RACE_NONE && (is_read || is_whole);
            if (counts && r == PTX_RACE_GROUP) out.group |= 1u << i;
            if (counts && r == PTX_RACE_THREAD && (is_read || !is_beside(was, thread, lanes)))
                out.thread |= 1u << i;
            if (counts) break;
            if (!is_read) __atomic_store_n(tag, is_whole ? ours : ours | MANY, __ATOMIC_RELAXED);
        }
    }
    return out;
}

static bool is_of_launch(uint64_t tag, uint64_t ours) { return (tag ^ ours) >> LAUNCH_AT == 0; }

uint32_t ptx_race_read_only(const Buffer *b, uint64_t first, bool is_read, const uint64_t *at,
                            uint32_t lanes, unsigned bytes) {
    uint32_t launch = (uint32_t)(first >> LAUNCH_AT), bad = 0;
    uint64_t base = (uint64_t)(uintptr_t)b->base;
    if (b->writers == NULL || b->read_only == NULL) return 0;
    for (uint32_t m = lanes; m != 0; m &= m - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(m);
        uint64_t offset = at[i] - base;
        for (uint64_t k = offset >> 2, end = (offset + bytes + 3) >> 2; k < end; k++) {
            uint32_t *read = &b->read_only[k];
            if (is_read) {
                bad |=
                    (uint32_t)is_of_launch(__atomic_load_n(&b->writers[k], __ATOMIC_RELAXED), first)
                    << i;
                __atomic_store_n(read, launch, __ATOMIC_RELAXED);
            } else {
                bad |= (uint32_t)(__atomic_load_n(read, __ATOMIC_RELAXED) == launch) << i;
            }
        }
    }
    return bad;
}
