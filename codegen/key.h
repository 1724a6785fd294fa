/* Kernels that are equal get one function. */
#ifndef RWKVC_KEY_H
#define RWKVC_KEY_H

#include "emit.h"

/* All that the code of a kernel depends on, as bytes: equal keys (over the same Sizes), equal code. */
Text kernel_key(Arena *a, const Emit *e);

#endif
