/* The tables of instructions, and those that do the same in every lane. */
#include "numeric.h"
#include "ptx.h"

/* ---- what the rows say ----------------------------------------------------------------------- */

#define A                        a->u[i]
#define B                        b->u[i]
#define C                        c->u[i]
#define IA                       a->i[i]
#define IB                       b->i[i]
#define FA                       a->f[i]
#define FB                       b->f[i]
#define FC                       c->f[i]
#define ZA                       flush(a->f[i])
#define ZB                       flush(b->f[i])
#define ZC                       flush(c->f[i])
#define WA                       a->U[i]
#define WB                       b->U[i]
#define WC                       c->U[i]
#define SA                       a->I[i]
#define SB                       b->I[i]
#define DA                       a->D[i]
#define DB                       b->D[i]
#define DC                       c->D[i]
#define HA                       ((int16_t)a->u[i])
#define HB                       ((int16_t)b->u[i])
#define XA                       half_to_float((uint16_t)a->u[i])
#define XB                       half_to_float((uint16_t)b->u[i])
#define YA                       half_to_float(flush_half(a->u[i]))
#define YB                       half_to_float(flush_half(b->u[i]))
#define P                        (c->u[i] != 0)

#define T(x)                     (0u - (uint32_t)(x))
#define L(x)                     ((uint32_t)(x)&0xffffu)

#define SUM(a, b, c)             ((a) + (b))
#define DIFFERENCE(a, b, c)      ((a) - (b))
#define PRODUCT(a, b, c)         ((a) * (b))
#define FUSED(a, b, c)           fmaf(a, b, c)
#define QUOTIENT(a, b, c)        ((a) / (b))
#define ROOT(a, b, c)            sqrtf(a)
#define RECIPROCAL(a, b, c)      (1.0f / (a))
#define RECIPROCAL_ROOT(a, b, c) ((float)(1.0 / sqrt((double)(a))))
#define POWER(a, b, c)           ((float)exp2((double)(a)))
#define LOGARITHM(a, b, c)       ((float)log2((double)(a)))
#define NEGATIVE(a, b, c)        (-(a))
#define ABSOLUTE(a, b, c)        fabsf(a)
#define LEAST(a, b, c)           min_of(a, b, false)
#define GREATEST(a, b, c)        max_of(a, b, false)

/* All that is no number is the same. */
static inline float R(float x) { return is_nan(x) ? float_of(0x7fffffffu) : x; }
static inline float RZ(float x) { return flush(R(x)); }

static inline uint16_t flush_half(uint32_t x) {
    return (uint16_t)((x & 0x7c00u) == 0 ? x & 0x8000u : x);
}

/* Bits of x from `at` on; those beyond its end are zero or the sign, which is the field's last bit or x's. */
static inline uint64_t field(uint64_t x, uint32_t at, uint32_t n, uint32_t bits, bool is_signed) {
    uint32_t last = at + n - 1 < bits - 1 ? at + n - 1 : bits - 1;
    bool sign = is_signed && n > 0 && (x >> last & 1);
    uint64_t out = 0;
    for (uint32_t k = 0; k < bits; k++) {
        bool is_inside = k < n && at + k < bits;
        uint64_t bit = is_inside ? x >> (at + k) & 1 : sign;
        out |= bit << k;
    }
    return out;
}

/* Each byte one of eight, or its sign eight times. */
static inline uint32_t permuted(uint32_t a, uint32_t b, uint32_t c) {
    uint64_t from = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (uint32_t k = 0; k < 4; k++) {
        uint32_t s = c >> 4 * k, byte = (uint32_t)(from >> 8 * (s & 7)) & 255u;
        if (s & 8) byte = byte & 128 ? 255 : 0;
        out |= byte << 8 * k;
    }
    return out;
}

static inline uint64_t to_i64(double x) {
    if (is_nan64(x) || x < -9223372036854775808.0) return (uint64_t)1 << 63;
    return x >= 9223372036854775808.0 ? INT64_MAX : (uint64_t)(int64_t)x;
}

/* ---- the functions --------------------------------------------------------------------------- */

/* The destination may be a source: each lane is read before it is written, so that the loops may be turned into vector
 * code. */
#define ROW(id, label, types, member, e)                                                           \
    static void lanes_##id(PtxLanes *d, const PtxLanes *a, const PtxLanes *b, const PtxLanes *c) { \
        (void)a, (void)b, (void)c;                                                                 \
        _Pragma("GCC ivdep") for (size_t i = 0; i < PTX_LANES; i++) d->member[i] = (e);            \
    }
#define DIVIDE ROW
#define AND    ROW
#define OR     ROW
#define SELECT ROW
#include "ptx_ops.def"
#undef ROW
#undef DIVIDE
#undef AND
#undef OR
#undef SELECT

#define LIKE(id, label, t, how)                                                                    \
    {.name = label,                                                                                \
     .types = t,                                                                                   \
     .lanes = lanes_##id,                                                                          \
     .exec = ptx_plain,                                                                            \
     .kind = PTX_VECTOR,                                                                           \
     .spread = how},
#define ROW(id, label, types, member, e)    LIKE(id, label, types, PTX_ALL)
#define DIVIDE(id, label, types, member, e) LIKE(id, label, types, PTX_DIVIDE)
#define AND(id, label, types, member, e)    LIKE(id, label, types, PTX_AND)
#define OR(id, label, types, member, e)     LIKE(id, label, types, PTX_OR)
#define SELECT(id, label, types, member, e) LIKE(id, label, types, PTX_SELECT)
#define OTHER(label, t, how, k, r)          {.name = label, .types = t, .exec = how, .kind = k, .row = r},
#define MMA(type)                                                                                  \
    OTHER("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32", "wwww=wwwwwwwwww",        \
          ptx_mma, PTX_MATRIX, PTX_MEETS)

static const PtxOp ops[] = {
#include "ptx_ops.def"
    /* clang-format off */
    OTHER("mov.b32 from 2", "w=hh", ptx_join, PTX_VECTOR, 0)
    OTHER("mov.b64 from 2", "d=ww", ptx_join, PTX_VECTOR, 0)
    OTHER("mov.b64 from 4", "d=hhhh", ptx_join, PTX_VECTOR, 0)
    OTHER("mov.b32 into 2", "hh=w", ptx_split, PTX_VECTOR, 0)
    OTHER("mov.b64 into 2", "ww=d", ptx_split, PTX_VECTOR, 0)
    OTHER("mov.b64 into 4", "hhhh=d", ptx_split, PTX_VECTOR, 0)
    OTHER("shfl.sync.up.b32", "w=wwww", ptx_shuffle, PTX_LOCAL, PTX_MEETS)
    OTHER("shfl.sync.down.b32", "w=wwww", ptx_shuffle, PTX_LOCAL, PTX_MEETS)
    OTHER("shfl.sync.bfly.b32", "w=wwww", ptx_shuffle, PTX_LOCAL, PTX_MEETS)
    OTHER("shfl.sync.idx.b32", "w=wwww", ptx_shuffle, PTX_LOCAL, PTX_MEETS)
    MMA("bf16")
    MMA("f16")
    OTHER("bra", "=l", ptx_branch, PTX_SCALAR, PTX_GUARDS)
    OTHER("bra.uni", "=l", ptx_branch, PTX_SCALAR, PTX_GUARDS)
    OTHER("ret", "=", ptx_return, PTX_SCALAR, PTX_GUARDS)
    OTHER("exit", "=", ptx_return, PTX_SCALAR, PTX_GUARDS)
    OTHER("bar.sync", "=0", ptx_barrier, PTX_BARRIER, PTX_MEETS)
    /* clang-format on */
};
enum { OPS = sizeof ops / sizeof *ops };

const PtxOp *ptx_op_at(size_t k) { return k < OPS ? &ops[k] : NULL; }

/* ---- one of them ----------------------------------------------------------------------------- */

static bool is_zero(const PtxLanes *x, unsigned lane, bool is_wide) {
    return is_wide ? x->U[lane] == 0 : x->u[lane] == 0;
}

static bool is_full(const PtxLanes *x, unsigned lane, char type) {
    return type == 'd' ? x->U[lane] == UINT64_MAX
                       : x->u[lane] == (type == 'h' ? 0xffffu : UINT32_MAX);
}

/* Is the lane's result not known? The sources of this lane are, in the bits of open. */
static bool is_open(const PtxOp *op, const PtxLanes *const s[3], unsigned lane, unsigned open) {
    char type = op->types[2];
    switch ((PtxSpread)op->spread) {
    case PTX_SELECT: return (open & 4) || (s[2]->u[lane] != 0 ? open & 1 : open & 2);
    case PTX_DIVIDE: return open != 0 || is_zero(s[1], lane, type == 'd');
    default: break;
    }
    for (unsigned k = 0; k < 2 && open != 0; k++) {
        if (open >> k & 1) continue;
        if (op->spread == PTX_AND && is_zero(s[k], lane, type == 'd')) return false;
        if (op->spread == PTX_OR && is_full(s[k], lane, type)) return false;
    }
    return open != 0;
}

static uint32_t spread(const PtxWarp *w, const PtxInst *in, const PtxLanes *const s[3]) {
    uint32_t unknown[3] = {0}, open = 0;
    for (unsigned k = 0; k + in->n_dst < in->n_arg; k++)
        unknown[k] = ptx_unknown(w, in->arg[1 + k]);
    for (unsigned i = 0; i < PTX_LANES; i++) {
        unsigned bits =
            (unknown[0] >> i & 1) | (unknown[1] >> i & 1) << 1 | (unknown[2] >> i & 1) << 2;
        open |= (uint32_t)is_open(in->op, s, i, bits) << i;
    }
    return open;
}

void ptx_plain(PtxWarp *w, const PtxInst *in) {
    const PtxLanes *s[3] = {NULL, NULL, NULL};
    uint32_t open = 0;
    int32_t to = in->arg[0];
    for (unsigned k = 0; k + 1 < in->n_arg; k++) {
        s[k] = ptx_source(w, in->arg[1 + k]);
        open |= ptx_unknown(w, in->arg[1 + k]);
    }
    open &= w->lanes;
    if (in->op->spread == PTX_DIVIDE || (open != 0 && in->op->spread != PTX_ALL))
        open = spread(w, in, s);
    if (w->lanes == UINT32_MAX) {
        in->lanes(ptx_register(w, to), s[0], s[1], s[2]);
        w->unknown[to] = open;
    } else {
        PtxLanes out;
        in->lanes(&out, s[0], s[1], s[2]);
        ptx_set(w, to, in->op->types[0] == 'd', &out, open);
    }
}
