/* Images of code and what several of them are put into. */
#ifndef RWKVC_BUNDLE_H
#define RWKVC_BUNDLE_H

#include "codegen.h"

typedef struct Image {
    const void *data;
    size_t bytes;
} Image;

/* AMD: the offload bundle of n code objects. */
void bundle_make(Arena *a, const TargetInfo *const *targets, const Image *images, uint32_t n,
                 Image *out);
/* NVIDIA: the text of a module behind comment lines with the manifest (docs/format.md). */
void ptx_make(Arena *a, const void *blob, size_t n, const Image *text, Image *out);

#endif
