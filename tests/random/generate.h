/* Random well-typed texts. */
#ifndef RWKVC_GENERATE_H
#define RWKVC_GENERATE_H

#include "../../compiler/base.h"

/* A text with one model and one train block (loss only), made of equations, reads outside, strides,
 * reductions, gathers, recurrences, delays, masks, layer loops and calls mapped over axes. Equal
 * seeds, equal texts. Every value stays within a few units, so that differences are meaningful. */
const char *generate_text(Arena *a, uint64_t seed);
/* The same of a richer language: the library, functions in functions, cells in cells, runs along any
 * axis, loops in loops, parts of the parameters (compose.c). */
const char *compose_text(Arena *a, uint64_t seed);
/* Of that language what can be run step by step: a model `along T` and no train block. */
const char *stream_text(Arena *a, uint64_t seed);

#endif
