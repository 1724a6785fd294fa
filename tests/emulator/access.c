/* Between memory and registers, for every kind of memory alike. */
#include "access.h"
#include "numeric.h"

/* Lanes of a mask, from the lowest on. */
#define EACH(i, mask)                                                                              \
    for (uint64_t m_ = (mask); m_ != 0; m_ &= m_ - 1)                                              \
        for (unsigned i = (unsigned)__builtin_ctzll(m_), once_ = 1; once_; once_ = 0)

static uint32_t load32(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* 1 to 4 bytes. */
static uint32_t load_small(const uint8_t *at, unsigned bytes) {
    uint32_t x = 0;
    memcpy(&x, at, bytes);
    return x;
}

static uint32_t extended(uint32_t x, unsigned bytes, bool is_signed) {
    uint32_t sign = 1u << (8 * bytes - 1);
    return is_signed ? (x ^ sign) - sign : x;
}

/* ---- loads ----------------------------------------------------------------------------------- */

/* What is not known of a register once everything on its way to it has come. */
static uint32_t unknown_then(const Wave *w, unsigned reg, unsigned lane) {
    uint64_t doubt = w->awaited[reg] ? w->doubt_after[reg] : w->doubt[reg];
    return doubt >> lane & 1 ? w->unknown[reg].u[lane] : 0;
}

static void load_part(Wave *w, const Inst *in, const Access *a, Counter c, unsigned reg) {
    Lanes x, open;
    uint32_t flags = in->op->flags, all = a->bytes == 4 ? ~0u : (1u << 8 * a->bytes) - 1u, bad = 0;
    unsigned shift = flags & F_HIGH ? 16 : 0;
    uint32_t kept = flags & F_D16 ? ~(0xffffu << shift) : 0;
    EACH(i, a->lanes) {
        uint32_t v = extended(load_small(a->data[i], a->bytes), a->bytes, flags & F_SIGNED);
        uint32_t u = a->known[i] == NULL ? 0 : ~load_small(a->known[i], a->bytes) & all;
        if ((flags & F_SIGNED) && u >> (8 * a->bytes - 1)) u |= ~all;
        if (flags & F_D16) {
            v = (v & 0xffffu) << shift | (w->v[reg].u[i] & kept);
            u = (u & 0xffffu) << shift | (unknown_then(w, reg, i) & kept);
        }
        x.u[i] = v;
        open.u[i] = u;
        bad |= u;
    }
    EACH(i, w->full & ~a->lanes) x.u[i] = open.u[i] = 0;
    vector_load(w, in, c, reg, &x, bad ? &open : NULL, a->lanes);
}

/* Which bits are not known of words that are not all known. */
static void open_words(const Wave *w, const Access *a, Lanes *open, unsigned words) {
    for (unsigned k = 0; k < words; k++)
        for (unsigned i = 0; i < w->n; i++) {
            bool is_known = (a->lanes >> i & 1) == 0 || a->known[i] == NULL;
            open[k].u[i] = is_known ? 0 : ~load32(a->known[i] + 4 * k);
        }
}

/* Copies `words` (a constant where this is called) of each lane; the bits that are not known of any. */
static inline uint32_t load_words(const Access *a, Lanes *x, unsigned words) {
    uint32_t bad = 0;
    EACH(i, a->lanes) {
        const uint8_t *from = a->data[i], *known = a->known[i];
        for (unsigned k = 0; k < words; k++) x[k].u[i] = load32(from + 4 * k);
        for (unsigned k = 0; known != NULL && k < words; k++) bad |= ~load32(known + 4 * k);
    }
    return bad;
}

void access_load(Wave *w, const Inst *in, const Access *a, Counter c, unsigned reg) {
    Lanes x[4], open[4];
    unsigned words = a->bytes / 4;
    uint32_t bad;
    switch (words) {
    case 0: load_part(w, in, a, c, reg); return;
    case 1: bad = load_words(a, x, 1); break;
    case 2: bad = load_words(a, x, 2); break;
    case 3: bad = load_words(a, x, 3); break;
    default: bad = load_words(a, x, 4); break;
    }
    if (bad) open_words(w, a, open, words);
    for (unsigned k = 0; k < words; k++) {
        EACH(i, w->full & ~a->lanes) x[k].u[i] = 0;
        vector_load(w, in, c, reg + k, &x[k], bad ? &open[k] : NULL, a->lanes);
    }
}

/* ---- stores ---------------------------------------------------------------------------------- */

static void store_unknown(Wave *w, const Inst *in, unsigned reg, unsigned lane, uint32_t bits) {
    wave_fault(w, in, (int)lane, "it stores %c%u, which has bits never written (0x%08x)",
               reg < FIRST_AGPR ? 'v' : 'a', reg % FIRST_AGPR, bits);
}

static void store_lane(Wave *w, const Inst *in, const Access *a, unsigned reg, unsigned i,
                       unsigned shift, bool must_be_known) {
    unsigned left = a->bytes;
    for (unsigned k = 0; left > 0; k++) {
        unsigned n = left < 4 ? left : 4;
        uint32_t all = n == 4 ? ~0u : (1u << 8 * n) - 1u;
        uint32_t x = w->v[reg + k].u[i] >> shift, open = unknown_of(w, reg + k, i) >> shift & all;
        if (open != 0 && must_be_known) store_unknown(w, in, reg + k, i, open << shift);
        memcpy(a->data[i] + 4 * k, &x, n);
        open = ~open;
        if (a->known[i] != NULL) memcpy(a->known[i] + 4 * k, &open, n);
        left -= n;
    }
}

/* Does each lane write behind the one before it? */
static bool is_ascending(const Wave *w, const Access *a) {
    if (a->lanes != w->full) return false;
    ptrdiff_t least = (ptrdiff_t)a->bytes;
    for (size_t i = 1; i < w->n; i++)
        if (a->data[i] - a->data[i - 1] < least) return false;
    return true;
}

/* Which of several lanes wins at one address is nobody's promise. */
static void check_one_value(Wave *w, const Inst *in, const Access *a, unsigned reg,
                            unsigned shift) {
    EACH(i, a->lanes) {
        for (unsigned k = 0; 4 * k < a->bytes; k++) {
            unsigned n = a->bytes - 4 * k < 4 ? a->bytes - 4 * k : 4;
            uint32_t x = w->v[reg + k].u[i] >> shift;
            if (memcmp(a->data[i] + 4 * k, &x, n) != 0) {
                wave_fault(w, in, (int)i, "another lane writes another value to the same address");
                return;
            }
        }
    }
}

static inline void store_words(const Access *a, const Lanes *x, unsigned words) {
    EACH(i, a->lanes) {
        uint8_t *to = a->data[i], *known = a->known[i];
        for (unsigned k = 0; k < words; k++) memcpy(to + 4 * k, &x[k].u[i], 4);
        if (known != NULL) memset(known, 0xff, 4 * words);
    }
}

void access_store(Wave *w, const Inst *in, const Access *a, unsigned reg, bool must_be_known) {
    unsigned shift = in->op->flags & F_HIGH ? 16 : 0, words = a->bytes / 4;
    uint64_t doubt = 0;
    for (unsigned k = 0; 4 * k < a->bytes; k++) doubt |= w->doubt[reg + k];
    if ((doubt & a->lanes) != 0) words = 0;
    switch (words) {
    case 0:
        EACH(i, a->lanes) {
            store_lane(w, in, a, reg, i, shift, must_be_known);
            if (w->stop == FAULTED) return;
        }
        break;
    case 1: store_words(a, &w->v[reg], 1); break;
    case 2: store_words(a, &w->v[reg], 2); break;
    case 3: store_words(a, &w->v[reg], 3); break;
    default: store_words(a, &w->v[reg], 4); break;
    }
    if (!is_ascending(w, a)) check_one_value(w, in, a, reg, shift);
}

/* ---- atomics --------------------------------------------------------------------------------- */

static uint32_t pair_sum(uint32_t a, uint32_t b, bool is_bfloat) {
    uint32_t r = 0;
    for (unsigned s = 0; s < 32; s += 16) {
        uint16_t x = (uint16_t)(a >> s), y = (uint16_t)(b >> s);
        uint16_t z = is_bfloat ? float_to_bfloat(bfloat_to_float(x) + bfloat_to_float(y))
                               : float_to_half(half_to_float(x) + half_to_float(y));
        r |= (uint32_t)z << s;
    }
    return r;
}

static uint64_t float_result(uint32_t row, uint64_t old, uint64_t data, unsigned bytes) {
    if (row == A_PK_ADD_F16 || row == A_PK_ADD_BF16)
        return pair_sum((uint32_t)old, (uint32_t)data, row == A_PK_ADD_BF16);
    if (bytes == 8) {
        double a = double_of(old), b = double_of(data);
        return bits_of64(row == A_FADD   ? a + b
                         : row == A_FMIN ? min_of64(a, b, false)
                                         : max_of64(a, b, false));
    }
    float a = float_of((uint32_t)old), b = float_of((uint32_t)data);
    return bits_of(row == A_FADD   ? a + b
                   : row == A_FMIN ? min_of(a, b, false)
                                   : max_of(a, b, false));
}

static uint64_t result(uint32_t row, uint64_t old, uint64_t data, uint64_t compared,
                       unsigned bytes) {
    int64_t a = bytes == 8 ? (int64_t)old : (int32_t)(uint32_t)old;
    int64_t b = bytes == 8 ? (int64_t)data : (int32_t)(uint32_t)data;
    switch (row) {
    case A_SWAP: return data;
    case A_CMPSWAP: return old == compared ? data : old;
    case A_ADD: return old + data;
    case A_SUB: return old - data;
    case A_RSUB: return data - old;
    case A_SMIN: return a < b ? old : data;
    case A_SMAX: return a > b ? old : data;
    case A_UMIN: return old < data ? old : data;
    case A_UMAX: return old > data ? old : data;
    case A_AND: return old & data;
    case A_OR: return old | data;
    case A_XOR: return old ^ data;
    case A_INC: return old >= data ? 0 : old + 1;
    case A_DEC: return old == 0 || old > data ? data : old - 1;
    default: return float_result(row, old, data, bytes);
    }
}

static uint64_t operand(const Wave *w, unsigned reg, unsigned i, unsigned bytes) {
    return w->v[reg].u[i] | (bytes == 8 ? (uint64_t)w->v[reg + 1].u[i] << 32 : 0);
}

static bool operands_known(Wave *w, const Inst *in, unsigned reg, unsigned words, uint64_t lanes) {
    for (unsigned k = 0; k < words; k++) EACH(i, lanes & w->doubt[reg + k]) {
            if (unknown_of(w, reg + k, i) == 0) continue;
            store_unknown(w, in, reg + k, i, unknown_of(w, reg + k, i));
            return false;
        }
    return true;
}

void access_atomic(Wave *w, const Inst *in, const Access *a, unsigned data, unsigned compared,
                   Counter c) {
    Lanes x[2] = {0};
    unsigned words = a->bytes / 4;
    bool compares = in->op->row == A_CMPSWAP;
    if (!operands_known(w, in, data, words, a->lanes)) return;
    if (compares && !operands_known(w, in, compared, words, a->lanes)) return;
    EACH(i, a->lanes) {
        uint64_t old = 0, known = ~(uint64_t)0;
        memcpy(&old, a->data[i], a->bytes);
        if (a->known[i] != NULL) memcpy(&known, a->known[i], a->bytes);
        if (known != ~(uint64_t)0) {
            wave_fault(w, in, (int)i, "an atomic operation on memory never written");
            return;
        }
        uint64_t other = compares ? operand(w, compared, i, a->bytes) : 0;
        uint64_t r = result(in->op->row, old, operand(w, data, i, a->bytes), other, a->bytes);
        memcpy(a->data[i], &r, a->bytes);
        x[0].u[i] = (uint32_t)old;
        x[1].u[i] = (uint32_t)(old >> 32);
    }
    for (unsigned k = 0; in->n_dst > 0 && k < words; k++)
        vector_load(w, in, c, in->dst[0].reg + k, &x[k], NULL, a->lanes);
}

/* ---- addresses ------------------------------------------------------------------------------- */

bool access_address_known(Wave *w, const Inst *in, const Slot *s, unsigned count) {
    for (unsigned k = 0; k < count; k++) EACH(i, w->exec & w->doubt[s->reg + k]) {
            if (unknown_of(w, s->reg + k, i) == 0) continue;
            wave_fault(w, in, (int)i, "the address comes from v%u, which has bits never written",
                       s->reg + k);
            return false;
        }
    return true;
}

bool access_scalar_known(Wave *w, const Inst *in, const Slot *s, unsigned count) {
    if (s->kind != O_SCALAR || s->reg == S_NULL) return true;
    for (unsigned k = 0; k < count; k++)
        if (w->s_unknown[s->reg + k] != 0) {
            wave_fault(w, in, -1, "the address comes from s%u, which has bits never written",
                       s->reg + k);
            return false;
        }
    return true;
}
