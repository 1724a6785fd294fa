/* A context inside. Not for users of the runtime. */
#ifndef RW_CONTEXT_H
#define RW_CONTEXT_H

#include "gpu.h"
#include "memory.h"
#include "threads.h"

struct rw_context {
    rw_alloc alloc;
    threads *threads;
    gpu *gpu; /* NULL: everything is done by the threads */
};

#endif
