/* The numbers behind random(x): a hash of what they depend on, so that any back end gives the same
 * ones in any order.
 *
 *   h = m(seed); h = m(h ^ place); h = m(h ^ arg) for each arg in order; the result is the upper 53
 *   bits of h times 2^-53, so in [0,1). Where numbers are float32: the upper 24 bits times 2^-24.
 *   m(x): x += 0x9e3779b97f4a7c15; x = (x ^ x >> 30)*0xbf58476d1ce4e5b9;
 *         x = (x ^ x >> 27)*0x94d049bb133111eb; x ^ x >> 31          (the finalizer of SplitMix64) */
#ifndef RWKVC_RANDOM_H
#define RWKVC_RANDOM_H

#include <stdint.h>

static inline uint64_t random_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t random_begin(uint64_t seed, uint32_t place) {
    return random_mix(random_mix(seed) ^ place);
}
static inline uint64_t random_next(uint64_t h, int64_t arg) {
    return random_mix(h ^ (uint64_t)arg);
}
static inline double random_end(uint64_t h) { return (double)(h >> 11) * 0x1p-53; }
static inline double random_end_f32(uint64_t h) { return (double)(h >> 40) * 0x1p-24; }

#endif
