/* Images of code and what several of them are put into. */
#ifndef RWKVC_BUNDLE_H
#define RWKVC_BUNDLE_H

#include "codegen.h"

typedef struct Image {
    const void *data;
    size_t bytes;
} Image;

/* All of a file. NULL or what is wrong. */
const char *image_read(Arena *a, const char *name, Image *out);
/* NVIDIA's assembler on the text of a module, without a shell; its files lie in memory.
 * what: NULL, or an option more. cubin and said, what it prints, live in the arena. */
const char *ptxas_run(Arena *a, const char *ptxas, const TargetInfo *t, const char *what,
                      const Image *text, Image *cubin, Text *said);
/* The offload bundle of n code objects, all of AMD's or all of NVIDIA's. */
void bundle_make(Arena *a, const TargetInfo *const *targets, const Image *images, uint32_t n,
                 Image *out);
/* NVIDIA: the text of a module behind comment lines with the manifest (docs/format.md). */
void ptx_make(Arena *a, const void *blob, size_t n, const Image *text, Image *out);

#endif
