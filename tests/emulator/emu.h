/* An emulator of GPUs for tests: AMD's code objects or NVIDIA's PTX in, the numbers they compute out, and
 * every mistake it can see reported with its place. docs/emulator.md says what it checks and what not.
 *
 * One Emu is one device. Addresses of the device are addresses of this process; a kernel may touch
 * the buffers that were registered and nothing else. All calls on one Emu from one thread at a time;
 * a launch uses threads of its own where that cannot change a result. */
#ifndef EMU_H
#define EMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Emu Emu;
typedef struct EmuImage EmuImage;   /* one loaded code object, or text */
typedef struct EmuKernel EmuKernel; /* one of its kernels; owned by the image */

typedef enum EmuStatus {
    EMU_OK = 0,
    EMU_BAD_ARG,
    EMU_NO_MEMORY,
    EMU_BAD_IMAGE,  /* not a code object or text, or one that cannot be read */
    EMU_NO_CODE,    /* a bundle without code for this processor, text for a newer one */
    EMU_NOT_FOUND,  /* no such kernel or symbol */
    EMU_BAD_LAUNCH, /* sizes that the kernel or the processor does not take */
    EMU_FAULT       /* the kernel did something wrong: emu_said has the text */
} EmuStatus;

typedef struct EmuOptions {
    const char *processor; /* "gfx942" | "gfx1100" | "sm_80" | "sm_90" */
    uint64_t seed; /* 0: waves run to the next barrier in their order; 1: in the opposite order, and
                              groups in another one; else waves interleave by chance */
    unsigned threads;          /* workers of a launch, 0: one */
    uint64_t max_instructions; /* of one wave, 0: 2^32 */
    const char *drop_barrier;  /* "KERNEL:N": its N-th barrier, counted in the text from 0, does
                                  nothing; NULL: none. For tests of tests. */
} EmuOptions;

/* NULL if there is no memory, no such processor, or no disassembler for it. */
Emu *emu_create(const EmuOptions *options);
void emu_destroy(Emu *emu);
const char *emu_processor(const Emu *emu);
unsigned emu_wave_size(const Emu *emu);
/* EmuOptions.seed of the launches to come. */
void emu_set_seed(Emu *emu, uint64_t seed);
/* From now on launches need not wait for those before, back to the last one that had to: all are one to whoever looks
 * for races. */
void emu_beside(Emu *emu, bool is_beside);
/* EmuOptions.drop_barrier of the launches to come; false: no memory, or not of the form. */
bool emu_drop_barrier(Emu *emu, const char *which);
/* What the last call that failed had to say; lives until the next call. */
const char *emu_said(const Emu *emu);

/* ---- memory ---------------------------------------------------------------------------------- */

/* Memory of the device: filled with rubbish, unknown until written. NULL: none left. */
void *emu_alloc(Emu *emu, size_t bytes);
/* Memory of the host that kernels may use as it is; the caller keeps it. */
EmuStatus emu_register(Emu *emu, void *base, size_t bytes);
/* Of either kind. */
EmuStatus emu_free(Emu *emu, void *base);
/* Does [at, at + bytes) lie in one buffer? */
bool emu_is_mapped(const Emu *emu, const void *at, size_t bytes);
/* The buffer around an address; false: there is none. */
bool emu_buffer_of(const Emu *emu, const void *at, void **base, size_t *bytes);
/* Copies and fills, as a driver does them: what is written is known from then on; between two
 * buffers of the device what is unknown stays so. Addresses outside all buffers are the host's. */
void emu_copy(Emu *emu, void *to, const void *from, size_t bytes);
/* count times the lowest `width` (1, 2, 4) bytes of value. */
void emu_fill(Emu *emu, void *to, uint32_t value, unsigned width, size_t count);

/* ---- code ------------------------------------------------------------------------------------ */

/* data: an ELF code object, or an offload bundle that has one for the processor; for NVIDIA's PTX, with
 * comments before it or not. A copy is made. */
EmuStatus emu_image_load(Emu *emu, const void *data, size_t bytes, EmuImage **out);
void emu_image_free(EmuImage *image);
EmuStatus emu_image_kernel(EmuImage *image, const char *name, EmuKernel **out);
/* What of an image's code is not emulated: lines of kernel and instruction, each name of an instruction once; to
 * be freed. "": everything is. NULL: no memory. */
char *emu_image_unknown(EmuImage *image);
EmuStatus emu_image_symbol(EmuImage *image, const char *name, void **at, size_t *bytes);

typedef struct EmuArgument {
    uint32_t offset, size;
    bool is_hidden; /* filled by the launch, not by the caller */
} EmuArgument;

typedef struct EmuKernelInfo {
    const char *name;
    uint32_t lds, scratch, kernarg; /* bytes; scratch of a lane */
    uint32_t vgprs, agprs, sgprs;
    uint32_t max_block; /* work-items; 0: the processor's */
    uint32_t block[3];  /* the only one it takes; 0, 0, 0: any */
    size_t n_arguments;
    const EmuArgument *arguments;
} EmuKernelInfo;

/* Is it one of an image that is loaded? */
bool emu_has_kernel(const Emu *emu, const EmuKernel *kernel);
const EmuKernelInfo *emu_kernel_info(const EmuKernel *kernel);

/* Whether a launch may be, but for what the kernel does. */
EmuStatus emu_launch_check(Emu *emu, const EmuKernel *kernel, const uint32_t grid[3],
                           const uint32_t block[3], uint32_t lds, size_t bytes);
/* Runs it to its end. grid counts blocks; lds: bytes beside the kernel's own; arguments: the explicit
 * part of the kernarg segment (PTX: all .param, aligned by nature, as EmuKernelInfo.arguments says), bytes of it. */
EmuStatus emu_launch(Emu *emu, EmuKernel *kernel, const uint32_t grid[3], const uint32_t block[3],
                     uint32_t lds, const void *arguments, size_t bytes);

/* ---- counts ---------------------------------------------------------------------------------- */

typedef struct EmuCounts {
    uint64_t launches, groups, waves;
    uint64_t instructions; /* of waves */
    uint64_t vector, scalar, matrix, global, local, scratch, barriers;
    uint64_t bytes_loaded, bytes_stored; /* global memory, all lanes */
    uint64_t lds_cycles, lds_conflicts;  /* cycles of the banks; those beyond the least */
    uint64_t matrix_flops, dual;         /* v_dual pairs */
    uint64_t
        races; /* reads of what another wave or group wrote meanwhile, whose value nobody used */
} EmuCounts;

/* Since the image was loaded. */
void emu_kernel_counts(const EmuKernel *kernel, EmuCounts *out);
/* How many barriers its code has, and how often waves came to each of the first n. 0 before its first launch. */
unsigned emu_kernel_barriers(const EmuKernel *kernel, uint64_t *came, unsigned n);
/* A table of every kernel that ran, of all images in the order of loading or of one of them; to be
 * freed. NULL: no memory. */
char *emu_report(const Emu *emu, const EmuImage *only);

#endif
