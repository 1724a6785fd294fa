/* What CUDA's names need beside what all drivers remember (hip_state.h): contexts, which a thread has to have, and
 * functions. Private to the library. Every call asks cuda_check first, then the same of HIP, whose numbers of errors
 * are CUDA's. */
#ifndef EMU_CUDA_STATE_H
#define EMU_CUDA_STATE_H

#include "cuda_api.h"
#include "hip_state.h"

enum { CUDA_VERSION = 12000, PTX_VERSION = 80 }; /* what the emulated driver is, and reads */

/* The primary one of a device; there are no others. */
struct CudaContext {
    int device, retained;
    unsigned flags;
};

struct CudaFunction {
    EmuKernel *kernel;
    CUmodule module;
    int dynamic; /* bytes of shared memory that a launch may add */
    struct CudaFunction *next;
};

/* After cuInit, and not in a function of the host's that a stream runs. */
int cuda_check_start(void);
/* And the calling thread has a context, on whose device no kernel went wrong. */
int cuda_check(void);
/* And no recording forbids this thread to wait. */
int cuda_check_wait(void);
/* 1 and 2 stand for the null stream and for one of each thread. */
int cuda_stream(CUstream *stream);
/* Of a device that there is. */
int cuda_attribute(int *value, int attribute, int device);
/* All that a context had goes with it. */
void cuda_clear(int device);
void cuda_forget_functions(CUmodule module);

static inline void *cuda_at(CUdeviceptr at) { return (void *)(uintptr_t)at; }

#endif
