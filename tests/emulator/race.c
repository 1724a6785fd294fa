/* Who wrote which byte of local memory since the last barrier. No other wave may write it too; and what another
 * wave reads there is, on a real processor, chance: here it is not known, and stops who uses it. That it is read is
 * no fault: compilers read ahead of the condition that decides whether the value is wanted. Reads that come before
 * the write are found under the opposite order of waves (group.c).
 *
 * Each byte has a tag of 16 bits: the number of the barrier (10 bits) and the wave (6 bits); four of them, those of
 * a word, are compared at once. */
#include "wave.h"

enum { WAVE_BITS = 6, N_EPOCHS = 1 << 10 };

#define EVERY(x) ((uint64_t)(x)*0x0001000100010001u)

void race_clear(Group *g) {
    size_t words = ((size_t)g->lds_bytes + 3) / 4;
    memset(g->written, 0, words * sizeof *g->written);
    g->epoch = 1;
}

void race_barrier(Group *g) {
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
