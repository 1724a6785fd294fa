/* From plans to a file: the only room that knows LLVM.
 *
 * What a kernel is, in machine code (x86-64: the C calling convention):
 *
 *   void NAME(void *const *args, const int64_t *sizes, const int64_t *levels, void *scratch,
 *             int64_t begin, int64_t end);
 *
 *   args     one pointer an argument of the kernel (Kernel.arg_values), to the member of the layer
 *   sizes    the numbers of KernelCode.sizes for this run's axes, in order
 *   levels   for each layer loop around: counter, position (levels[2*level], levels[2*level + 1])
 *   scratch  KernelCode.scratch bytes of the thread's own, 64-byte aligned
 *   begin..end  the points of the grid (row, scan, scatter) or tiles (contract) to compute; points are
 *            numbered in row-major order of the grid axes
 *
 * Every buffer is 64-byte aligned and followed by at least 64 readable bytes. Kernels keep no state,
 * call nothing outside the file and use no thread-local storage.
 *
 * On GPUs a kernel is launched in workgroups of KernelCode.block threads, in one dimension; workgroup w of
 * a launch computes tile begin + w, and the grid counts tiles, fewer than 2^31. So a launch may be cut into
 * several at any tile: because it is too large, or because workgroups that run at once need memory. Its
 * arguments, 8 bytes each, in this order:
 *
 *   pointers   one an argument, as above, to device memory
 *   sizes      the numbers of KernelCode.sizes
 *   levels     counter and position of the loops of levels 0 .. KernelCode.levels - 1
 *   seed       pointer to the seed of random numbers, 8 bytes of device memory
 *   scratch    pointer to KernelCode.scratch bytes for each workgroup of this launch; 64-byte aligned
 *   begin      the first tile
 *
 * Local memory is fixed in the code; there are no arguments but these. A buffer is aligned to 64 bytes; a
 * member of it is as far from the buffer's beginning as the members before it are long. */
#ifndef RWKVC_CODEGEN_H
#define RWKVC_CODEGEN_H

#include "../compiler/plan.h"

typedef enum TargetFamily { FAMILY_X86, FAMILY_AMD, FAMILY_NVIDIA, FAMILY_THREADS } TargetFamily;

typedef struct TargetInfo { /* rows of targets.def */
    const char *name;       /* "x86-64-v3" */
    const char *triple, *cpu, *features;
    uint32_t lanes; /* f32 numbers in a vector; GPUs: threads of a wave */
    bool amx;
    uint8_t family;      /* TargetFamily; GPUs are all but FAMILY_X86 */
    uint32_t wave;       /* threads of a wave */
    uint32_t local_room; /* bytes of local memory a workgroup may have */
    uint32_t registers;  /* 32-bit registers a thread may have */
    /* What decides how many waves run at once: a compute unit has `units` parts with registers for each lane
     * and room for so many waves, and local memory for all of them; of that each workgroup takes `block_local`
     * bytes beside its own, and there is room for `unit_blocks` workgroups (0: no limit but the others). */
    uint32_t units, unit_registers, granule, unit_waves, unit_local, block_local, unit_blocks;
} TargetInfo;
const TargetInfo *
target_find(const char *name); /* NULL if unknown; "native" by the machine's CPUID */

typedef struct KernelCode { /* what the manifest says of a kernel */
    const char *symbol;
    Size grid;    /* how many points or tiles; GPUs: workgroups */
    Size scratch; /* bytes a thread needs; GPUs: a workgroup */
    VEC(Size) sizes;
    uint32_t block;  /* GPUs: threads of a workgroup, a power of two; else 0 */
    uint32_t local;  /* GPUs: bytes of local memory, fixed in the code */
    uint32_t levels; /* GPUs: loops whose counters it is given */
} KernelCode;

typedef struct Codegen Codegen; /* one LLVM module of one target */
Codegen *codegen_new(Arena *a, const TargetInfo *t);
void codegen_free(Codegen *cg);
/* Adds the kernels of a plan; codes[i] belongs to plan->kernels[i]. Kernels that are equal (also in
 * another entry's plan) share one function. NULL or what is wrong (a fault of the program). */
const char *codegen_add(Codegen *cg, Plan *p, KernelCode *codes);
/* Optimises and compiles everything; the object (ELF relocatable; NVIDIA: PTX text) lives in the arena.
 * blob: bytes placed in the constant symbol "rwkvc_manifest" (section .rwkvc), its length in "rwkvc_manifest_size". */
const char *codegen_object(Codegen *cg, const void *blob, size_t n, const void **object,
                           size_t *bytes);
void codegen_print_ir(Codegen *cg, Text *out);   /* --emit=llvm */
const char *codegen_asm(Codegen *cg, Text *out); /* --emit=asm  */

/* A kernel that does nothing but multiply and add numbers of a type, as products of them do: its workgroups make so
 * many operations in a turn of its loop. Its arguments: a pointer to 4 bytes of device memory, the turns. */
enum { MOST_RATES = 2 };
typedef struct RateCode {
    const char *symbol;
    uint8_t number; /* Dtype */
    uint32_t block;
    int64_t operations;
} RateCode;
typedef struct Rates {
    uint32_t n;
    RateCode of[MOST_RATES];
} Rates;
/* Adds those of the target; processors and types whose products are made of another one have none. */
void codegen_rates(Codegen *cg, Rates *out);

/* Links one object into a shared object, in memory; its temporary files lie beside `path`. */
const char *link_shared(Arena *a, const void *object, size_t n, const char *path,
                        const void **image, size_t *bytes);

/* One entry of a program for the file. */
typedef struct FileEntry {
    const char *name;
    Graph *graph;
    Plan *plan; /* NULL: the file gets no such entry, only the parameters of its graph */
    KernelCode *codes;
} FileEntry;
/* The manifest (docs/format.md), MessagePack; deterministic. */
const char *manifest_write(Arena *a, const FileEntry *entries, uint32_t n, const TargetInfo *t,
                           const Rates *rates, const char *program, const void **blob,
                           size_t *bytes);

typedef struct FileTo {
    const char *path, *program; /* program: the name of the text */
    const char
        *ptxas; /* NVIDIA: the assembler to make machine code with; NULL: the file holds text */
} FileTo;
/* The whole way: kernels of all entries, the manifest, an object, a shared object with the hash behind it, in
 * one file that appears at `path` when it is complete. Several targets, all of AMD, or of NVIDIA and assembled:
 * what they have in an offload bundle. One of NVIDIA, not assembled: the text with the manifest before it.
 * `entries` need their names and plans. NULL or what is wrong; *is_io: the file system's fault, or ptxas's. */
const char *file_write_all(Arena *a, FileEntry *entries, uint32_t n,
                           const TargetInfo *const *targets, uint32_t n_targets, const FileTo *to,
                           bool *is_io);
/* For one target, not assembled. */
const char *file_write(Arena *a, FileEntry *entries, uint32_t n, const TargetInfo *t,
                       const char *program, const char *path, bool *is_io);

#endif
