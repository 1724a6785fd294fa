/* The library with the names of NVIDIA's driver, opened as a driver opens it, and calls that work or fail as they
 * should. Each test is one program: include this in one file only. */
#ifndef EMU_CUDA_TESTING_H
#define EMU_CUDA_TESTING_H

#include "cuda_api.h"
#include "tests/failures.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline const char *text_of(int error);

#define GOOD(call)                                                                                 \
    do {                                                                                           \
        int error_ = (call);                                                                       \
        CHECK(error_ == CUDA_SUCCESS, "%d: %s", error_, text_of(error_));                          \
    } while (0)
#define GIVES(want, call)                                                                          \
    do {                                                                                           \
        int error_ = (call);                                                                       \
        CHECK(error_ == CUDA_ERROR_##want, "%d: %s", error_, text_of(error_));                     \
    } while (0)
/* And says so. */
#define SAYS(want, part, call)                                                                     \
    do {                                                                                           \
        GIVES(want, call);                                                                         \
        CHECK(strstr(text_of(CUDA_ERROR_##want), part) != NULL, "%s", text_of(CUDA_ERROR_##want)); \
    } while (0)

/* It finds no end to this. */
/* clang-format off */
#define NAMES(X) \
    X(cuInit) X(cuDriverGetVersion) X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName) X(cuDeviceGetAttribute) \
    X(cuDeviceComputeCapability) X(cuDeviceTotalMem_v2) X(cuDeviceCanAccessPeer) X(cuDevicePrimaryCtxRetain) \
    X(cuDevicePrimaryCtxRelease_v2) X(cuDevicePrimaryCtxReset_v2) X(cuDevicePrimaryCtxGetState) \
    X(cuDevicePrimaryCtxSetFlags_v2) X(cuCtxSetCurrent) X(cuCtxGetCurrent) X(cuCtxPushCurrent_v2) \
    X(cuCtxPopCurrent_v2) X(cuCtxGetDevice) X(cuCtxGetApiVersion) X(cuCtxGetStreamPriorityRange) X(cuCtxSynchronize) \
    X(cuGetErrorName) X(cuGetErrorString) X(cuMemAlloc_v2) X(cuMemFree_v2) X(cuMemAllocAsync) X(cuMemFreeAsync) \
    X(cuMemHostAlloc) X(cuMemAllocHost_v2) X(cuMemFreeHost) X(cuMemHostRegister_v2) X(cuMemHostUnregister) \
    X(cuMemHostGetDevicePointer_v2) X(cuMemGetInfo_v2) X(cuMemGetAddressRange_v2) X(cuMemcpy) X(cuMemcpyAsync) \
    X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2) X(cuMemcpyDtoD_v2) X(cuMemcpyHtoDAsync_v2) X(cuMemcpyDtoHAsync_v2) \
    X(cuMemcpyDtoDAsync_v2) X(cuMemsetD8_v2) X(cuMemsetD16_v2) X(cuMemsetD32_v2) X(cuMemsetD8Async) \
    X(cuMemsetD16Async) X(cuMemsetD32Async) X(cuStreamCreate) X(cuStreamCreateWithPriority) X(cuStreamDestroy_v2) \
    X(cuStreamSynchronize) X(cuStreamQuery) X(cuStreamGetFlags) X(cuStreamGetCtx) X(cuStreamWaitEvent) \
    X(cuLaunchHostFunc) X(cuEventCreate) X(cuEventRecord) X(cuEventSynchronize) X(cuEventQuery) \
    X(cuEventElapsedTime) X(cuEventDestroy_v2) X(cuStreamBeginCapture_v2) X(cuStreamEndCapture) \
    X(cuStreamIsCapturing) X(cuGraphInstantiate_v2) X(cuGraphInstantiateWithFlags) X(cuGraphGetNodes) \
    X(cuGraphLaunch) X(cuGraphUpload) X(cuGraphDestroy) X(cuGraphExecDestroy) X(cuModuleLoad) X(cuModuleLoadData) \
    X(cuModuleLoadDataEx) X(cuModuleLoadFatBinary) X(cuModuleUnload) X(cuModuleGetFunction) X(cuModuleGetGlobal_v2) \
    X(cuFuncGetAttribute) X(cuFuncSetAttribute) X(cuFuncSetCacheConfig) \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor) X(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) \
    X(cuLaunchKernel)
/* clang-format on */

#define MEMBER(name) __typeof__(name) *name;
static struct Names { NAMES(MEMBER) } cuda;

static inline void open_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        printf("%s\n", dlerror());
        exit(1);
    }
#define LOAD(name)                                                                                 \
    *(void **)&cuda.name = dlsym(library, #name);                                                  \
    if (cuda.name == NULL) {                                                                       \
        printf("%s is missing\n", #name);                                                          \
        exit(1);                                                                                   \
    }
    NAMES(LOAD)
    CHECK(dlsym(library, "hipMalloc") == NULL, "it has HIP's names too");
}

static inline const char *text_of(int error) {
    const char *text = NULL;
    if (cuda.cuGetErrorString(error, &text) != CUDA_SUCCESS) return "an error without words";
    return text;
}

static const int arch[2] = {80, 90};
static CUcontext context[2];

enum { N = 1000 };

/* Two streams, and what work in them needs. */
typedef struct Streams {
    CUstream s, t;
    CUevent start, e;
    CUdeviceptr x;
    uint32_t *host;
} Streams;

static inline Streams streams_make(unsigned flags) {
    Streams q;
    GOOD(cuda.cuStreamCreate(&q.s, flags));
    GOOD(cuda.cuStreamCreateWithPriority(&q.t, flags, 0));
    GOOD(cuda.cuEventCreate(&q.start, 0));
    GOOD(cuda.cuEventCreate(&q.e, 1));
    GOOD(cuda.cuMemAlloc_v2(&q.x, N * 4));
    GOOD(cuda.cuMemHostAlloc((void **)&q.host, N * 4, 0));
    memset(q.host, 0, N * 4);
    return q;
}

static inline void streams_drop(Streams *q) {
    GOOD(cuda.cuEventDestroy_v2(q->e));
    GOOD(cuda.cuEventDestroy_v2(q->start));
    GOOD(cuda.cuStreamDestroy_v2(q->s));
    GOOD(cuda.cuStreamDestroy_v2(q->t));
    GOOD(cuda.cuMemFree_v2(q->x));
    GOOD(cuda.cuMemFreeHost(q->host));
}

static inline int load_with_log(CUmodule *m, const char *text, char *log, size_t bytes,
                                size_t *used) {
    int options[3] = {5, 6, 7};
    void *values[3] = {log, (void *)(uintptr_t)bytes, (void *)4};
    int error = cuda.cuModuleLoadDataEx(m, text, 3, options, values);
    *used = (size_t)(uintptr_t)values[1];
    return error;
}

#endif
