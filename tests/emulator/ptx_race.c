/* Who touched what since the last barrier. Lanes of a warp are threads of their own: that they run side by side is
 * no promise, and exchanging registers orders no memory, so that only barriers do.
 *
 * Local memory: each two bytes know who wrote and who read them last, and between which barriers. Nobody else may
 * write what was written or read since; who else reads it gets chance. Global memory: as in race.c, but of threads;
 * stores of less than four bytes only say that the launch wrote. */
#include "ptx.h"

enum { THREAD_BITS = 11, MANY = (1 << THREAD_BITS) - 1, N_EPOCHS = 1 << (32 - THREAD_BITS) };

void ptx_race_clear(PtxGroup *g) {
    size_t n = (size_t)g->shared_bytes / 2 + 1;
    memset(g->wrote, 0, n * sizeof *g->wrote);
    memset(g->read, 0, n * sizeof *g->read);
    g->epoch = 1;
}

void ptx_race_barrier(PtxGroup *g) {
    if (++g->epoch == N_EPOCHS) ptx_race_clear(g);
}

static inline bool is_other(uint32_t tag, uint32_t ours) {
    return tag != ours && (tag ^ ours) >> THREAD_BITS == 0;
}

static PtxRace touch(PtxGroup *g, uint32_t ours, bool is_read, uint64_t k) {
    uint32_t *wrote = &g->wrote[k], *read = &g->read[k];
    if (is_other(*wrote, ours)) return PTX_RACE_WROTE;
    if (is_read) {
        *read = is_other(*read, ours) ? ours | MANY : ours;
        return PTX_RACE_NONE;
    }
    if (is_other(*read, ours)) return PTX_RACE_READ;
    *wrote = ours;
    return PTX_RACE_NONE;
}

PtxRace ptx_race_shared(PtxGroup *g, uint32_t thread, bool is_read, uint64_t at, unsigned bytes) {
    uint32_t ours = g->epoch << THREAD_BITS | (thread + 1);
    for (uint64_t k = at / 2, end = (at + bytes + 1) / 2; k < end; k++) {
        PtxRace r = touch(g, ours, is_read, k);
        if (r != PTX_RACE_NONE) return r;
    }
    return PTX_RACE_NONE;
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
    return differs >> BARRIERS_AT == 0 ? PTX_RACE_WROTE : PTX_RACE_NONE;
}

/* Several workers may be at it, where a kernel's groups race. */
PtxRace ptx_race_global(const Buffer *b, uint64_t ours, bool is_read, uint64_t offset,
                        unsigned bytes) {
    uint64_t *tag = b->writers + (offset >> 2), *end = b->writers + ((offset + bytes + 3) >> 2);
    uint64_t mine = ((offset | bytes) & 3u) == 0 ? ours : ours | MANY;
    if (b->writers == NULL) return PTX_RACE_NONE;
    for (; tag < end; tag++) {
        PtxRace r = race_of(__atomic_load_n(tag, __ATOMIC_RELAXED), ours);
        if (r != PTX_RACE_NONE && (is_read || mine == ours)) return r;
        if (!is_read) __atomic_store_n(tag, mine, __ATOMIC_RELAXED);
    }
    return PTX_RACE_NONE;
}

static bool is_of_launch(uint64_t tag, uint64_t ours) { return (tag ^ ours) >> LAUNCH_AT == 0; }

bool ptx_race_read_only(const Buffer *b, uint64_t ours, bool is_read, uint64_t offset,
                        unsigned bytes) {
    if (b->writers == NULL || b->read_only == NULL) return true;
    uint32_t launch = (uint32_t)(ours >> LAUNCH_AT);
    for (uint64_t k = offset >> 2, end = (offset + bytes + 3) >> 2; k < end; k++) {
        if (!is_read && __atomic_load_n(&b->read_only[k], __ATOMIC_RELAXED) == launch) return false;
        if (!is_read) continue;
        if (is_of_launch(__atomic_load_n(&b->writers[k], __ATOMIC_RELAXED), ours)) return false;
        __atomic_store_n(&b->read_only[k], launch, __ATOMIC_RELAXED);
    }
    return true;
}
