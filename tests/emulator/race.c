/* Who wrote what since the last barrier. No other wave may write it too; and what another wave reads there is, on a
 * real processor, chance: here it is not known, and stops who uses it. That it is read is no fault: compilers read
 * ahead of the condition that decides whether the value is wanted. Reads that come before the write are found under
 * the opposite order of waves and groups (group.c, launch.c).
 *
 * Local memory: each byte has a tag of 16 bits, the number of the barrier (10 bits) and the wave (6 bits); four of
 * them, those of a word, are compared at once. Global memory: each word has a tag of the launch, the group, the
 * barriers the group has passed, and the wave; between groups of a launch, or of launches beside each other, no
 * barrier helps. Stores of parts of words leave no tag. On gfx11, where the waves of a group have two caches, a barrier
 * does not help either if the wave that wrote did not wait for its stores before (s_waitcnt_vscnt). */
#include "wave.h"

enum { WAVE_BITS = 6, N_EPOCHS = 1 << 10 };

#define EVERY(x) ((uint64_t)(x)*0x0001000100010001u)

void race_clear(Group *g) {
    size_t words = ((size_t)g->lds_bytes + 3) / 4;
    memset(g->written, 0, words * sizeof *g->written);
    g->epoch = 1;
}

void race_barrier(Group *g) {
    g->barriers++;
    for (unsigned i = 0; i < g->n_waves; i++) {
        Wave *w = &g->waves[i];
        bool is_there = !w->processor->is_gfx11 || w->done[CNT_VS] == w->issued[CNT_VS];
        if (is_there) w->settled = g->barriers;
    }
    if (++g->epoch == N_EPOCHS) race_clear(g);
}

static uint16_t tag_of(const Group *g, unsigned wave) {
    return (uint16_t)(g->epoch << WAVE_BITS | wave);
}

/* Is one of these tags of this epoch, but of another wave? Its difference to ours is then within the
 * bits of the wave, and not zero. */
static bool has_other(uint64_t tags, uint64_t ours) {
    uint64_t x = tags ^ ours;
    if (x == 0) return false;
    uint64_t epochs = x & EVERY(0xffc0u), waves = x & EVERY(0x3fu);
    uint64_t differs = ((epochs >> 6) + EVERY(0x3ffu)) & EVERY(0x400u);
    uint64_t is_other = (waves + EVERY(0x3fu)) & EVERY(0x40u);
    return ((~differs & EVERY(0x400u)) >> 4 & is_other) != 0;
}

/* The tags of `bytes` from byte `first` of a word on. */
static uint64_t cut(unsigned first, unsigned bytes) {
    return (bytes == 4 ? ~(uint64_t)0 : ((uint64_t)1 << 16 * bytes) - 1) << 16 * first;
}

/* What stays the same for all words of an access. */
typedef struct Toucher {
    Group *g;
    uint64_t ours;
} Toucher;

static inline bool touch_word(const Toucher *t, bool is_read, uint32_t word, uint64_t mask) {
    uint64_t *written = &t->g->written[word];
    if (has_other((*written & mask) | (t->ours & ~mask), t->ours)) return false;
    if (!is_read) *written = (*written & ~mask) | (t->ours & mask);
    return true;
}

/* Whole words first, which almost all accesses are. */
static inline bool touch(const Toucher *t, bool is_read, uint32_t at, uint32_t bytes) {
    if (((at | bytes) & 3u) == 0) {
        for (uint32_t word = at >> 2, end = (at + bytes) >> 2; word < end; word++)
            if (!touch_word(t, is_read, word, ~(uint64_t)0)) return false;
        return true;
    }
    while (bytes > 0) {
        uint32_t first = at & 3u, n = 4 - first < bytes ? 4 - first : bytes;
        if (!touch_word(t, is_read, at >> 2, cut(first, n))) return false;
        at += n;
        bytes -= n;
    }
    return true;
}

uint64_t race_lanes(Group *g, unsigned tag, bool is_read, const uint32_t *at, uint64_t lanes,
                    uint32_t bytes) {
    Toucher t = {g, EVERY(tag_of(g, tag))};
    uint64_t racing = 0;
    uint32_t last = UINT32_MAX; /* neighbours often read the same */
    bool is_free = true;
    for (uint64_t m = lanes; m != 0; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        if (at[i] != last) {
            last = at[i];
            is_free = is_read ? touch(&t, true, last, bytes) : touch(&t, false, last, bytes);
        }
        racing |= (uint64_t)!is_free << i;
    }
    return racing;
}

/* ---- global memory --------------------------------------------------------------------------- */

enum { LAUNCH_AT = 40, GROUP_AT = 24, BARRIERS_AT = 6 };

uint64_t race_global_tag(const Wave *w) {
    const Group *g = w->group;
    const Launch *l = g->worker->launch;
    return (l->round % 0xffffffu + 1u) << LAUNCH_AT |
           ((g->index + l->number * 0x9e37u) & 0xffffu) << GROUP_AT |
           (uint64_t)(g->barriers & 0x3ffffu) << BARRIERS_AT | w->index;
}

static inline Race race_of(const Group *g, uint64_t tag, uint64_t ours) {
    uint64_t differs = tag ^ ours;
    if (differs == 0 || differs >> LAUNCH_AT != 0) return RACE_NONE;
    if (differs >> GROUP_AT != 0) return RACE_GROUP;
    unsigned wave = tag & 63u;
    if (wave == (ours & 63u) || wave >= g->n_waves) return RACE_NONE;
    return (g->waves[wave].settled & 0x3ffffu) > (tag >> BARRIERS_AT & 0x3ffffu) ? RACE_NONE
                                                                                 : RACE_WAVE;
}

/* Words are read and written one by one: several workers may be at it, where a kernel's groups race. */
Race race_global(const Group *g, const Buffer *b, uint64_t ours, bool is_read, uint64_t offset,
                 uint32_t bytes) {
    uint64_t *tag = b->writers + (offset >> 2), *end = b->writers + ((offset + bytes + 3) >> 2);
    uint64_t mine = ((offset | bytes) & 3u) == 0 ? ours : 0;
    for (; tag < end; tag++) {
        Race r = race_of(g, __atomic_load_n(tag, __ATOMIC_RELAXED), ours);
        if (r != RACE_NONE && (is_read || mine != 0)) return r;
        if (!is_read) __atomic_store_n(tag, mine, __ATOMIC_RELAXED);
    }
    return RACE_NONE;
}

void race_read(Wave *w, const Inst *in, unsigned lane, bool is_local, bool is_of_group) {
    Group *g = w->group;
    g->worker->total.races++;
    if (g->raced.in != NULL) return;
    g->raced.in = in;
    g->raced.wave = w->index;
    g->raced.lane = lane;
    g->raced.is_local = is_local;
    g->raced.is_of_group = is_of_group;
}
