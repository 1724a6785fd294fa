/* Kernels of GPUs on the emulator (tests/emulator), for programs that run plans without a driver. */
#ifndef RWKVC_EMULATED_H
#define RWKVC_EMULATED_H

#include "../../codegen/codegen.h"

typedef struct Emulated Emulated;

/* A device with the kernels of a relocatable object. Close it in any case. NULL, or what is wrong: there may be
 * no emulator in this build. */
const char *emulated_open(Arena *a, const TargetInfo *t, const void *object, size_t n,
                          Emulated **out);
void emulated_close(Emulated *e);
/* Memory of the device, never written; NULL: there is none. It ends with its last byte. */
void *emulated_alloc(Emulated *e, size_t bytes);
void emulated_free(Emulated *e, void *p);
/* The host wrote there. */
void emulated_put(Emulated *e, void *to, const void *from, size_t bytes);
/* Between two buffers of the device. */
void emulated_copy(Emulated *e, void *to, const void *from, size_t bytes);
/* Memory of the host that kernels may read. */
void emulated_share(Emulated *e, void *p, size_t bytes);
/* How waves and groups take turns from now on: 0 in order, else by chance. */
void emulated_seed(Emulated *e, uint64_t seed);
/* From now on launches run beside those before them, or not. */
void emulated_beside(Emulated *e, bool is_beside);
/* NULL, or what went wrong. args: numbers of 8 bytes. */
const char *emulated_launch(Emulated *e, const char *symbol, uint32_t groups, uint32_t block,
                            const uint64_t *args, uint32_t n);
/* A launch as emulated_launch does it, and before it launches without one of the kernel's barriers each, of those that
 * waves come to: does the emulator find a fault, or do the numbers of any of the buffers change? Asked of every
 * barrier until it is so once. */
typedef struct Span {
    void *p;
    size_t bytes;
} Span;
const char *emulated_probe(Emulated *e, const char *symbol, uint32_t groups, uint32_t block,
                           const uint64_t *args, uint32_t n, const Span *buffers,
                           uint32_t n_buffers);
/* Barriers that waves came to. */
typedef struct BarrierCount {
    uint32_t
        missed; /* without it a fault or other numbers, under one of the two orders of waves in turn */
    uint32_t overlooked; /* only when waves interleave by chance */
    uint32_t
        idle; /* not at all: with these sizes nothing meets without it that did not meet before */
} BarrierCount;
/* Of all that was probed; tells standard error of those overlooked. */
void emulated_barriers(Emulated *e, BarrierCount *c);
/* A table of what each kernel did, to be freed; NULL: no memory. */
char *emulated_report(Emulated *e);

#endif
