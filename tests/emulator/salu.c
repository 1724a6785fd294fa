/* The scalar unit: salu.def has the instructions, exec_salu runs any of them. Those that change EXEC
 * and keep the old one are here. */
#include "ops.h"
#include "wave.h"

/* ---- what the rows use ----------------------------------------------------------------------- */

static inline int64_t i32(uint64_t x) { return (int32_t)(uint32_t)x; }
static inline bool overflows(int64_t x) { return x < INT32_MIN || x > INT32_MAX; }
static inline uint64_t ones(uint64_t x) { return (unsigned)__builtin_popcountll(x); }
static inline uint64_t first_one(uint64_t x) {
    return x == 0 ? UINT64_MAX : (unsigned)__builtin_ctzll(x);
}

static uint64_t field(uint64_t x, uint64_t from, uint64_t width, unsigned bits, bool is_signed) {
    if (width == 0) return 0;
    if (is_signed && bits == 32) x = (uint64_t)i32(x);
    x = is_signed ? (uint64_t)((int64_t)x >> from) : x >> from;
    if (width >= bits) return x;
    x &= ((uint64_t)1 << width) - 1;
    uint64_t sign = is_signed ? (uint64_t)1 << (width - 1) : 0;
    return (x ^ sign) - sign;
}

static uint64_t reverse(uint64_t x) {
    x = (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
    x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0fu) | (x & 0x0f0f0f0f0f0f0f0fu) << 4;
    return __builtin_bswap64(x);
}

static uint64_t twice(uint64_t x) {
    uint64_t r = 0;
    for (unsigned i = 0; i < 32; i++) r |= (x >> i & 1) * 3 << 2 * i;
    return r;
}

#define S(name, types, spread, flags, statement)                                                   \
    static void name##_scalar(Scalar *x) {                                                         \
        uint64_t a = x->a, b = x->b, d = 0;                                                        \
        bool scc = x->scc;                                                                         \
        (void)a, (void)b, (void)d, (void)scc;                                                      \
        statement;                                                                                 \
        x->d = d;                                                                                  \
        x->scc = scc;                                                                              \
    }
#include "salu.def"
#undef S

/* ---- running one ----------------------------------------------------------------------------- */

static uint64_t source(const Wave *w, const Slot *s) {
    if (s->kind == O_SCALAR)
        return s->type == 'q' ? scalar_get64(w, s->reg) : scalar_get(w, s->reg);
    if (s->kind == O_SCC) return w->scc;
    return s->bits;
}

static uint64_t source_unknown(const Wave *w, const Slot *s) {
    if (s->kind == O_SCC) return w->scc_unknown;
    if (s->kind != O_SCALAR || s->reg == S_NULL) return 0;
    uint64_t u = w->s_unknown[s->reg];
    return s->type == 'q' ? u | (uint64_t)w->s_unknown[s->reg + 1] << 32 : u;
}

static uint64_t spread_of(const Op *op, const Scalar *x, uint64_t ua, uint64_t ub) {
    uint64_t both = ua | ub;
    if (both == 0) return 0;
    switch (op->spread) {
    case SPREAD_UNION: return both;
    case SPREAD_UP: return ~((both & (0 - both)) - 1);
    case SPREAD_MOVE: {
        Scalar low = *x, high = *x;
        low.a &= ~ua, low.b &= ~ub;
        high.a |= ua, high.b |= ub;
        op->scalar(&low);
        op->scalar(&high);
        return low.d ^ high.d;
    }
    default: return ~(uint64_t)0;
    }
}

static void put(Wave *w, const Inst *in, uint64_t x, uint64_t unknown) {
    const Slot *d = &in->dst[0];
    if (in->n_dst == 0 || d->reg == S_NULL) return;
    scalar_set(w, in, d->reg, (uint32_t)x, (uint32_t)unknown);
    if (d->type == 'q')
        scalar_set(w, in, d->reg + 1u, (uint32_t)(x >> 32), (uint32_t)(unknown >> 32));
}

void exec_salu(Wave *w, const Inst *in) {
    const Op *op = in->op;
    Scalar x = {.scc = w->scc, .in = in, .w = w};
    uint64_t ua = 0, ub = 0;
    bool is_doubtful = scalars_doubtful(w, in);
    if (w->stop == FAULTED) return;
    x.a = in->n_src > 0 ? source(w, &in->src[0]) : 0;
    x.b = in->n_src > 1 ? source(w, &in->src[1]) : 0;
    if (is_doubtful) {
        ua = in->n_src > 0 ? source_unknown(w, &in->src[0]) : 0;
        ub = in->n_src > 1 ? source_unknown(w, &in->src[1]) : 0;
    }
    bool scc_unknown = (op->flags & F_READS_SCC) != 0 && w->scc_unknown;
    uint64_t unknown = scc_unknown ? ~(uint64_t)0 : 0;
    if ((ua | ub) != 0) unknown |= spread_of(op, &x, ua, ub);
    op->scalar(&x);
    put(w, in, x.d, unknown);
    if ((op->flags & F_WRITES_SCC) != 0) {
        w->scc = x.scc;
        /* Of an AND that is known to be zero where it is not known, the flag is known too. */
        w->scc_unknown = op->spread == SPREAD_MOVE ? unknown != 0 && (x.d & ~unknown) == 0
                                                   : scc_unknown || (ua | ub) != 0;
    }
}

/* ---- EXEC ------------------------------------------------------------------------------------ */

enum { X_AND, X_OR, X_XOR, X_NAND, X_NOR, X_XNOR, X_ANDN2, X_ORN2, X_ANDN1, X_ORN1 };

static uint64_t combine(uint32_t row, uint64_t a, uint64_t e) {
    switch (row) {
    case X_AND: return a & e;
    case X_OR: return a | e;
    case X_XOR: return a ^ e;
    case X_NAND: return ~(a & e);
    case X_NOR: return ~(a | e);
    case X_XNOR: return ~(a ^ e);
    case X_ANDN2: return a & ~e;
    case X_ORN2: return a | ~e;
    case X_ANDN1: return ~a & e;
    default: return ~a | e;
    }
}

/* The result with unknown bits of the source zero and one: where they differ it is not known. */
static void exec_mask(Wave *w, const Inst *in, bool keeps_old) {
    if (scalars_doubtful(w, in) && w->stop == FAULTED) return;
    const Slot *s = &in->src[0];
    uint64_t a = source(w, s), unknown = source_unknown(w, s), old = w->exec;
    bool is_wide = in->dst[0].type == 'q';
    uint64_t cut = is_wide ? ~(uint64_t)0 : UINT32_MAX;
    uint64_t low = combine(in->op->row, a & ~unknown, old),
             high = combine(in->op->row, a | unknown, old);
    uint64_t x = low & cut, open = (low ^ high) & cut;
    put(w, in, keeps_old ? old : x, keeps_old ? 0 : open);
    scalar_set(w, in, S_EXEC, (uint32_t)x, (uint32_t)open);
    if (is_wide) scalar_set(w, in, S_EXEC + 1, (uint32_t)(x >> 32), (uint32_t)(open >> 32));
    w->scc = x != 0;
    w->scc_unknown = open != 0 && (x & ~open) == 0;
}

static void exec_saveexec(Wave *w, const Inst *in) { exec_mask(w, in, true); }
static void exec_wrexec(Wave *w, const Inst *in) { exec_mask(w, in, false); }

/* ---- the table ------------------------------------------------------------------------------- */

enum { R = F_READS_SCC, W = F_WRITES_SCC };

#define S(label, t, s, f, statement)                                                               \
    {.name = #label,                                                                               \
     .types = t,                                                                                   \
     .kind = K_SALU,                                                                               \
     .spread = SPREAD_##s,                                                                         \
     .flags = f,                                                                                   \
     .scalar = label##_scalar,                                                                     \
     .exec = exec_salu},
#define SAVE(label, letter, r)                                                                     \
    { .name = #label, .types = letter "=" letter, .kind = K_SALU, .row = r, .exec = exec_saveexec }
#define WRITE(label, letter, r)                                                                    \
    { .name = #label, .types = letter "=" letter, .kind = K_SALU, .row = r, .exec = exec_wrexec }

const Op ops_salu[] = {
#include "salu.def"
    SAVE(s_and_saveexec_b32, "u", X_AND),
    SAVE(s_and_saveexec_b64, "q", X_AND),
    SAVE(s_or_saveexec_b32, "u", X_OR),
    SAVE(s_or_saveexec_b64, "q", X_OR),
    SAVE(s_xor_saveexec_b32, "u", X_XOR),
    SAVE(s_xor_saveexec_b64, "q", X_XOR),
    SAVE(s_nand_saveexec_b32, "u", X_NAND),
    SAVE(s_nand_saveexec_b64, "q", X_NAND),
    SAVE(s_nor_saveexec_b32, "u", X_NOR),
    SAVE(s_nor_saveexec_b64, "q", X_NOR),
    SAVE(s_xnor_saveexec_b32, "u", X_XNOR),
    SAVE(s_xnor_saveexec_b64, "q", X_XNOR),
    SAVE(s_andn2_saveexec_b32, "u", X_ANDN2),
    SAVE(s_andn2_saveexec_b64, "q", X_ANDN2),
    SAVE(s_orn2_saveexec_b32, "u", X_ORN2),
    SAVE(s_orn2_saveexec_b64, "q", X_ORN2),
    SAVE(s_andn1_saveexec_b32, "u", X_ANDN1),
    SAVE(s_andn1_saveexec_b64, "q", X_ANDN1),
    SAVE(s_orn1_saveexec_b32, "u", X_ORN1),
    SAVE(s_orn1_saveexec_b64, "q", X_ORN1),
    WRITE(s_andn1_wrexec_b32, "u", X_ANDN1),
    WRITE(s_andn1_wrexec_b64, "q", X_ANDN1),
    WRITE(s_andn2_wrexec_b32, "u", X_ANDN2),
    WRITE(s_andn2_wrexec_b64, "q", X_ANDN2),
    {.name = NULL}};
