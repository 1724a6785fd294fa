/* What kernels of GPU code use, as the code itself says it. */
#ifndef RWKVC_TOOLS_REPORT_GPU_H
#define RWKVC_TOOLS_REPORT_GPU_H

#include "../codegen/bundle.h"

typedef struct GpuUse {
    const char *symbol;
    uint32_t vector, matrix, scalar; /* registers: of a thread, the matrix unit's own, of a wave */
    uint32_t spilled,
        scalar_spilled;  /* NVIDIA: bytes; AMD: registers, scalar ones into vector registers */
    uint32_t local, own; /* bytes of local memory of a workgroup; of memory of a thread's own */
    uint32_t block;      /* threads of a workgroup */
} GpuUse;
typedef VEC(GpuUse) GpuUses;

/* From an object of AMD's: the note that LLVM writes. NULL or what is wrong. */
const char *gpu_uses_of_object(Arena *a, const void *object, size_t bytes, GpuUses *out);
/* From what NVIDIA's assembler says of PTX, and the cubin that it makes (ptxas.c). NULL or what is wrong. */
const char *gpu_uses_of_ptx(Arena *a, const TargetInfo *t, const char *ptxas, const Image *text,
                            GpuUses *out, Image *cubin);
/* Waves that fit at once, of one of the parts that a compute unit is made of; rounded down. */
uint32_t gpu_waves(const TargetInfo *t, const GpuUse *u);
void gpu_print_uses(const TargetInfo *t, const GpuUses *all, Text *out);

#endif
