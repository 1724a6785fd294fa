/* First values of parameters. The same seed and name give the same bits on every machine: only
 * + - * / and square roots of doubles are used, no library function and no fused multiply-add
 * (rng.c and orthogonal.c must be compiled with -ffp-contract=off).
 *
 * Numbers come from Philox4x32-10 (Salmon et al. 2011) with the seed as its key and, as its
 * counter, the index of the element and a 64-bit hash of the parameter's full name: no draw depends
 * on another, nor on the order in which parameters are drawn. */
#ifndef RW_RNG_H
#define RW_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One block: four 32-bit words from a counter and a key. */
void rw_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* n numbers into dst; name is the parameter's full name ("blocks.0.att.w0"). */
void rw_draw_uniform(uint64_t seed, const char *name, double a, double b, double *dst, size_t n);
void rw_draw_normal(uint64_t seed, const char *name, double sigma, double *dst, size_t n);
/* Normal with mean 0 and sigma, of which only what lies within -2..2 (absolute) is drawn. */
void rw_draw_trunc_normal(uint64_t seed, const char *name, double sigma, double *dst, size_t n);
/* dst [rows,cols], C order: gain times a matrix with orthonormal rows (rows <= cols) or columns,
 * uniformly distributed: the Q of a normal matrix whose R has a positive diagonal. With n the
 * shorter side it takes n^2 + 300 n doubles of memory, when rows < cols rows*cols more, and
 * 2*rows*cols*n operations, twice that when the sides are nearly equal ([65536,768]: 10 seconds).
 * RW_NO_MEMORY; RW_BAD_ARG for sizes whose product does not fit. */
rw_status rw_draw_orthogonal(uint64_t seed, const char *name, double gain, size_t rows,
                             size_t cols, double *dst, rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
