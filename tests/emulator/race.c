/* Who touched which byte of local memory since the last barrier. Two waves may not, if one of them
 * writes: on a real processor their order is chance, and here it would be the seed's.
 *
 * Each byte has a tag of 16 bits for writes and one for reads: the number of the barrier (10 bits)
 * and the wave (6 bits); four of them, those of a word, are compared at once. */
#include "wave.h"

enum { WAVE_BITS = 6, N_EPOCHS = 1 << 10 };

#define EVERY(x) ((uint64_t)(x)*0x0001000100010001u)

void race_clear(Group *g) {
    size_t words = ((size_t)g->lds_bytes + 3) / 4;
    memset(g->written, 0, words * sizeof *g->written);
    memset(g->read, 0, words * sizeof *g->read);
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

/* 16-bit tags of this epoch that are not ours become "several". */
static uint64_t joined(const Group *g, uint64_t old, uint64_t ours) {
    uint64_t r = 0;
    for (unsigned s = 0; s < 64; s += 16) {
        uint16_t o = (uint16_t)(old >> s), n = (uint16_t)(ours >> s);
        if (o >> WAVE_BITS == g->epoch && o != n) n = tag_of(g, RACE_MANY);
        r |= (uint64_t)n << s;
    }
    return r;
}

/* What stays the same for all words of an access. */
typedef struct Toucher {
    Group *g;
    uint64_t ours, many;
} Toucher;

static inline bool read_word(const Toucher *t, uint32_t word, uint64_t mask) {
    uint64_t *r = &t->g->read[word], written = t->g->written[word];
    if (has_other((written & mask) | (t->ours & ~mask), t->ours)) return false;
    if (*r == t->ours || *r == t->many) return true;
    bool is_alone = mask == ~(uint64_t)0 && !has_other(*r, t->ours);
    uint64_t now = is_alone ? t->ours : joined(t->g, *r, t->ours);
    *r = (*r & ~mask) | (now & mask);
    return true;
}

static inline bool write_word(const Toucher *t, uint32_t word, uint64_t mask) {
    uint64_t keep = t->ours & ~mask, written = t->g->written[word], read = t->g->read[word];
    if (has_other((written & mask) | keep, t->ours) || has_other((read & mask) | keep, t->ours))
        return false;
    t->g->written[word] = (written & ~mask) | (t->ours & mask);
    return true;
}

/* Whole words first, which almost all accesses are. */
static inline bool touch(const Toucher *t, bool is_read, uint32_t at, uint32_t bytes) {
    if (((at | bytes) & 3u) == 0) {
        for (uint32_t word = at >> 2, end = (at + bytes) >> 2; word < end; word++)
            if (!(is_read ? read_word(t, word, ~(uint64_t)0) : write_word(t, word, ~(uint64_t)0)))
                return false;
        return true;
    }
    while (bytes > 0) {
        uint32_t first = at & 3u, n = 4 - first < bytes ? 4 - first : bytes;
        uint64_t mask = cut(first, n);
        if (!(is_read ? read_word(t, at >> 2, mask) : write_word(t, at >> 2, mask))) return false;
        at += n;
        bytes -= n;
    }
    return true;
}

int race_lanes(Group *g, unsigned tag, bool is_read, const uint32_t *at, uint64_t lanes,
               uint32_t bytes) {
    Toucher t = {g, EVERY(tag_of(g, tag)), EVERY(tag_of(g, RACE_MANY))};
    uint32_t last = UINT32_MAX; /* neighbours often read the same */
    for (uint64_t m = lanes; m != 0; m &= m - 1) {
        int i = __builtin_ctzll(m);
        if (at[i] == last) continue;
        last = at[i];
        if (is_read ? !touch(&t, true, last, bytes) : !touch(&t, false, last, bytes)) return i;
    }
    return -1;
}
