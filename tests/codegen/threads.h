/* GPU kernels for the targets "threads64" and "threads32", run on this processor: every thread of a workgroup
 * is a coroutine, taken up in an order that a seed decides, left where it waits for others. */
#ifndef RWKVC_THREADS_H
#define RWKVC_THREADS_H

#include <stdint.h>

typedef void (*ThreadsKernel)(const uint64_t *args);

/* Runs workgroups 0 .. groups-1 one after another. NULL, or how their threads went wrong: not all came to a
 * barrier, an exchange between numbers that are not what other targets rely on. */
const char *threads_launch(ThreadsKernel fn, const uint64_t *args, uint32_t groups, uint32_t block,
                           uint32_t wave, uint64_t seed);

/* What kernels call. */
uint32_t rwkvc_thread(void);
uint32_t rwkvc_group(void);
void rwkvc_barrier(void);
uint32_t rwkvc_other(uint32_t x, uint32_t step);
void rwkvc_mma(uint32_t unit, const void *a, const void *b, float *d); /* unit: row of mma.def */

#endif
