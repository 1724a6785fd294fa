/* How the rows of lanes_*.def become functions over all lanes, and the table that names them. A file
 * of lanes defines LANES_DEF and LANES_TABLE, then includes this once.
 *
 * V1(d, a, name, value), V2(d, a, b, ...), V3(d, a, b, c, ...): one result; the letters are types,
 * a b c the sources in the order of the text, i the lane. Behind the name of the macro: M, U, S: how
 * unknown bits spread (move, union, sum; else all). C: a second value, the mask. A: the destination
 * is the last source. P: both floats of pairs, one after the other. K: gfx9 says nothing of the
 * other half of the register. L, H: into the low or high half.
 *
 *   f float   d double   h half   u i 32 bits   q l 64 bits   w j 16 bits   m a mask of lanes
 *   H two halves or two 16-bit numbers, as 32 bits   F two floats   x float or half ("mix") */
#include "numeric.h"
#include "wave.h"

#define LOOP                                                                                       \
    for (size_t base = 0; base < n; base += 32)                                                    \
    _Pragma("GCC ivdep") for (size_t i = base; i < base + 32; i++)

/* Results are never where sources are: the loops become vector code. */
#define LOCALS                                                                                     \
    const size_t n = x->n;                                                                         \
    Lanes *restrict d = x->d, *restrict dh = x->dh, *restrict mask = x->mask;                      \
    const Lanes *restrict s0 = x->s[0], *restrict s1 = x->s[1], *restrict s2 = x->s[2];            \
    const Lanes *restrict s3 = x->s[3], *restrict h0 = x->h[0], *restrict h1 = x->h[1];            \
    const Lanes *restrict h2 = x->h[2];                                                            \
    (void)d, (void)dh, (void)mask, (void)s0, (void)s1, (void)s2, (void)s3, (void)h0, (void)h1,     \
        (void)h2

#define TYPE_f   float
#define TYPE_x   float
#define TYPE_u   uint32_t
#define TYPE_H   uint32_t
#define TYPE_m   uint32_t
#define TYPE_F   uint32_t
#define TYPE_i   int32_t
#define TYPE_d   double
#define TYPE_q   uint64_t
#define TYPE_l   int64_t
#define TYPE_h   float
#define TYPE_w   uint16_t
#define TYPE_j   int16_t

#define GET_u(k) s##k->u[i]
#define GET_H(k) s##k->u[i]
#define GET_m(k) s##k->u[i]
#define GET_F(k) s##k->u[i]
#define GET_i(k) s##k->i[i]
#define GET_f(k) s##k->f[i]
#define GET_x(k) s##k->f[i]
#define GET_q(k) (s##k->u[i] | (uint64_t)h##k->u[i] << 32)
#define GET_l(k) (int64_t)(s##k->u[i] | (uint64_t)h##k->u[i] << 32)
#define GET_d(k) double_of(s##k->u[i] | (uint64_t)h##k->u[i] << 32)
#define GET_h(k) half_to_float((uint16_t)s##k->u[i])
#define GET_w(k) (uint16_t) s##k->u[i]
#define GET_j(k) (int16_t)(uint16_t) s##k->u[i]

#define PUT_u(e) d->u[i] = (uint32_t)(e)
#define PUT_H(e) d->u[i] = (e)
#define PUT_i(e) d->i[i] = (e)
#define PUT_f(e) d->f[i] = (e)
#define PUT_h(e) d->u[i] = float_to_half(e)
#define PUT_w(e) d->u[i] = (uint16_t)(e)
#define PUT_j(e) d->u[i] = (uint16_t)(e)
#define PUT_m(e) mask->u[i] = (e) ? ~0u : 0u
#define PUT_q(e)                                                                                   \
    do {                                                                                           \
        uint64_t value = (uint64_t)(e);                                                            \
        d->u[i] = (uint32_t)value;                                                                 \
        dh->u[i] = (uint32_t)(value >> 32);                                                        \
    } while (0)
#define PUT_l(e) PUT_q(e)
#define PUT_d(e)                                                                                   \
    do {                                                                                           \
        uint64_t value = bits_of64(e);                                                             \
        d->u[i] = (uint32_t)value;                                                                 \
        dh->u[i] = (uint32_t)(value >> 32);                                                        \
    } while (0)

/* ---- functions ------------------------------------------------------------------------------- */

#define HEAD(name) static void name##_lanes(Valu *x)
#define V1(td, ta, name, e)                                                                        \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            const TYPE_##ta a = GET_##ta(0);                                                       \
            PUT_##td(e);                                                                           \
        }                                                                                          \
    }
#define V2(td, ta, tb, name, e)                                                                    \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            const TYPE_##ta a = GET_##ta(0);                                                       \
            const TYPE_##tb b = GET_##tb(1);                                                       \
            PUT_##td(e);                                                                           \
        }                                                                                          \
    }
#define V3(td, ta, tb, tc, name, e)                                                                \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            const TYPE_##ta a = GET_##ta(0);                                                       \
            const TYPE_##tb b = GET_##tb(1);                                                       \
            const TYPE_##tc c = GET_##tc(2);                                                       \
            PUT_##td(e);                                                                           \
        }                                                                                          \
    }
#define V2C(td, ta, tb, name, e, carry)                                                            \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            const TYPE_##ta a = GET_##ta(0);                                                       \
            const TYPE_##tb b = GET_##tb(1);                                                       \
            PUT_m(carry);                                                                          \
            PUT_##td(e);                                                                           \
        }                                                                                          \
    }
#define V3C(td, ta, tb, tc, name, e, carry)                                                        \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            const TYPE_##ta a = GET_##ta(0);                                                       \
            const TYPE_##tb b = GET_##tb(1);                                                       \
            const TYPE_##tc c = GET_##tc(2);                                                       \
            PUT_m(carry);                                                                          \
            PUT_##td(e);                                                                           \
        }                                                                                          \
    }
#define V4(td, ta, tb, tc, te, name, e)                                                            \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            const TYPE_##ta a = GET_##ta(0);                                                       \
            const TYPE_##tb b = GET_##tb(1);                                                       \
            const TYPE_##tc c = GET_##tc(2);                                                       \
            const TYPE_##te g = GET_##te(3);                                                       \
            PUT_##td(e);                                                                           \
        }                                                                                          \
    }
/* Two floats in two registers. */
#define V2P(name, e)                                                                               \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            float a = s0->f[i], b = s1->f[i];                                                      \
            d->f[i] = (e);                                                                         \
        }                                                                                          \
        LOOP {                                                                                     \
            float a = h0->f[i], b = h1->f[i];                                                      \
            dh->f[i] = (e);                                                                        \
        }                                                                                          \
    }
#define V3P(name, e)                                                                               \
    HEAD(name) {                                                                                   \
        LOCALS;                                                                                    \
        LOOP {                                                                                     \
            float a = s0->f[i], b = s1->f[i], c = s2->f[i];                                        \
            d->f[i] = (e);                                                                         \
        }                                                                                          \
        LOOP {                                                                                     \
            float a = h0->f[i], b = h1->f[i], c = h2->f[i];                                        \
            dh->f[i] = (e);                                                                        \
        }                                                                                          \
    }
#define V1M  V1
#define V2M  V2
#define V3M  V3
#define V1U  V1
#define V2U  V2
#define V3U  V3
#define V2S  V2
#define V3S  V3
#define V3A  V3
#define V2CS V2C
#define V3CS V3C
#define V3K  V3
#define V2K  V2
#define V3AK V3
#define V3L  V3
#define V3H  V3
#include LANES_DEF

/* ---- the table ------------------------------------------------------------------------------- */

#undef V1
#undef V2
#undef V3
#undef V4
#undef V2C
#undef V2CS
#undef V3CS
#undef V3C
#undef V2P
#undef V3P
#undef V1M
#undef V2M
#undef V3M
#undef V1U
#undef V2U
#undef V3U
#undef V2S
#undef V3S
#undef V3A
#undef V3K
#undef V2K
#undef V3AK
#undef V3L
#undef V3H
#define ROW(label, t, s, fl)                                                                       \
    {.name = #label, .types = t, .kind = K_VALU, .spread = s, .flags = fl, .lanes = label##_lanes},
#define V1(d, a, name, e)                ROW(name, #d "=" #a, SPREAD_ALL, 0)
#define V2(d, a, b, name, e)             ROW(name, #d "=" #a #b, SPREAD_ALL, 0)
#define V3(d, a, b, c, name, e)          ROW(name, #d "=" #a #b #c, SPREAD_ALL, 0)
#define V4(d, a, b, c, g, name, e)       ROW(name, #d "=" #a #b #c #g, SPREAD_ALL, 0)
#define V2C(d, a, b, name, e, carry)     ROW(name, #d "m=" #a #b, SPREAD_ALL, 0)
#define V3C(d, a, b, c, name, e, carry)  ROW(name, #d "m=" #a #b #c, SPREAD_ALL, 0)
#define V2CS(d, a, b, name, e, carry)    ROW(name, #d "m=" #a #b, SPREAD_UP, 0)
#define V3CS(d, a, b, c, name, e, carry) ROW(name, #d "m=" #a #b #c, SPREAD_UP, 0)
#define V2P(name, e)                     ROW(name, "F=FF", SPREAD_ALL, 0)
#define V3P(name, e)                     ROW(name, "F=FFF", SPREAD_ALL, 0)
#define V1M(d, a, name, e)               ROW(name, #d "=" #a, SPREAD_MOVE, 0)
#define V2M(d, a, b, name, e)            ROW(name, #d "=" #a #b, SPREAD_MOVE, 0)
#define V3M(d, a, b, c, name, e)         ROW(name, #d "=" #a #b #c, SPREAD_MOVE, 0)
#define V1U(d, a, name, e)               ROW(name, #d "=" #a, SPREAD_UNION, 0)
#define V2U(d, a, b, name, e)            ROW(name, #d "=" #a #b, SPREAD_UNION, 0)
#define V3U(d, a, b, c, name, e)         ROW(name, #d "=" #a #b #c, SPREAD_UNION, 0)
#define V2S(d, a, b, name, e)            ROW(name, #d "=" #a #b, SPREAD_UP, 0)
#define V3S(d, a, b, c, name, e)         ROW(name, #d "=" #a #b #c, SPREAD_UP, 0)
/* The last source is the destination and does not stand in the text. */
#define V3A(d, a, b, c, name, e) ROW(name, #d "=" #a #b #c, SPREAD_ALL, F_ACCUMULATES)
#define V3K(d, a, b, c, name, e) ROW(name, #d "=" #a #b #c, SPREAD_ALL, F_KEEPS_HIGH)
#define V2K(d, a, b, name, e)    ROW(name, #d "=" #a #b, SPREAD_ALL, F_KEEPS_HIGH)
#define V3AK(d, a, b, c, name, e)                                                                  \
    ROW(name, #d "=" #a #b #c, SPREAD_ALL, F_ACCUMULATES | F_KEEPS_HIGH)
/* Into one half of the destination; the other stays. */
#define V3L(d, a, b, c, name, e) ROW(name, #d "=" #a #b #c, SPREAD_ALL, F_D16)
#define V3H(d, a, b, c, name, e) ROW(name, #d "=" #a #b #c, SPREAD_ALL, F_D16 | F_HIGH)

const Op LANES_TABLE[] = {
#include LANES_DEF
    {.name = NULL}};
