/* Vector instructions on whole numbers. */
#define LANES_DEF   "lanes_int.def"
#define LANES_TABLE ops_int
#include "numeric.h"

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline int32_t least_i(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t most_i(int32_t a, int32_t b) { return a > b ? a : b; }

static inline uint32_t low(uint32_t x) { return x & 0xffffu; }
static inline uint32_t high(uint32_t x) { return x >> 16; }
static inline int32_t low_i(uint32_t x) { return (int16_t)(uint16_t)x; }
static inline int32_t high_i(uint32_t x) { return (int16_t)(uint16_t)(x >> 16); }
static inline uint32_t both_u(uint32_t l, uint32_t h) { return (l & 0xffffu) | h << 16; }
static inline uint32_t both_i(int32_t l, int32_t h) { return both_u((uint32_t)l, (uint32_t)h); }

/* width bits of x from `from` on, signed; none: 0. */
static inline int32_t field_signed(uint32_t x, uint32_t from, uint32_t width) {
    uint32_t part = (x >> from) & ((1u << width) - 1u);
    uint32_t sign = width == 0 ? 0 : 1u << (width - 1);
    return (int32_t)((part ^ sign) - sign);
}

static inline uint32_t reverse(uint32_t x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}

/* Bytes 0-3 are of b, 4-7 of a; 8-11: signs of halves; 12: zero; above: ones. */
static inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selectors) {
    uint64_t both = (uint64_t)a << 32 | b;
    uint32_t r = 0;
    for (unsigned k = 0; k < 4; k++) {
        uint32_t s = selectors >> 8 * k & 255u, byte;
        if (s < 8)
            byte = (uint32_t)(both >> 8 * s & 255u);
        else if (s < 12)
            byte = both >> ((s - 8) * 16 + 15) & 1 ? 255u : 0;
        else
            byte = s == 12 ? 0 : 255u;
        r |= byte << 8 * k;
    }
    return r;
}

static inline uint32_t bytes_apart(uint32_t a, uint32_t b) {
    uint32_t sum = 0;
    for (unsigned k = 0; k < 32; k += 8) {
        int32_t d = (int32_t)(a >> k & 255u) - (int32_t)(b >> k & 255u);
        sum += (uint32_t)(d < 0 ? -d : d);
    }
    return sum;
}

static inline uint32_t bytes_mean(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t r = 0;
    for (unsigned k = 0; k < 32; k += 8)
        r |= ((a >> k & 255u) + (b >> k & 255u) + (c >> k & 1u)) >> 1 << k;
    return r;
}

static inline uint32_t byte_of(int32_t x) { return (uint32_t)clamp_int(x, 0, 255); }

static inline int32_t byte_at(uint32_t x, unsigned shift, bool is_signed) {
    uint32_t b = x >> shift & 255u;
    return (int32_t)b - (is_signed && b > 127 ? 256 : 0);
}

static inline int32_t dot_bytes(uint32_t a, uint32_t b, bool signed_a, bool signed_b) {
    int32_t sum = 0;
    for (unsigned k = 0; k < 32; k += 8) sum += byte_at(a, k, signed_a) * byte_at(b, k, signed_b);
    return sum;
}

#include "lanes.h"
