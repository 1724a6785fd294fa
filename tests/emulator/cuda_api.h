/* The names of NVIDIA's driver that programs look up, with our own declarations of its types: handles are pointers,
 * addresses numbers, enumerations and devices ints. What they do is what NVIDIA documents for them; where the
 * emulator differs, docs/emulator.md says so. */
#ifndef EMU_CUDA_API_H
#define EMU_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

#define CUDA_API __attribute__((visibility("default")))

typedef uint64_t CUdeviceptr;
typedef struct CudaContext *CUcontext;
typedef struct CudaFunction *CUfunction;
typedef struct HipStream *CUstream;
typedef struct HipEvent *CUevent;
typedef struct HipModule *CUmodule;
typedef struct HipGraph *CUgraph, *CUgraphExec;

typedef enum CudaError {
    CUDA_SUCCESS,
#define CUDA_ERROR(number, name, text) CUDA_ERROR_##name = number,
#include "cuda_errors.def"
#undef CUDA_ERROR
} CudaError;

/* ---- devices and contexts ------------------------------------------------------------------------ */

CUDA_API int cuInit(unsigned flags);
CUDA_API int cuDriverGetVersion(int *version);
CUDA_API int cuDeviceGetCount(int *count);
CUDA_API int cuDeviceGet(int *device, int ordinal);
CUDA_API int cuDeviceGetName(char *name, int length, int device);
CUDA_API int cuDeviceGetAttribute(int *value, int attribute, int device);
CUDA_API int cuDeviceComputeCapability(int *major, int *minor, int device);
CUDA_API int cuDeviceTotalMem_v2(size_t *bytes, int device);
CUDA_API int cuDeviceCanAccessPeer(int *can, int device, int peer);
CUDA_API int cuDevicePrimaryCtxRetain(CUcontext *context, int device);
CUDA_API int cuDevicePrimaryCtxRelease_v2(int device);
CUDA_API int cuDevicePrimaryCtxReset_v2(int device);
CUDA_API int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active);
CUDA_API int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags);
CUDA_API int cuCtxSetCurrent(CUcontext context);
CUDA_API int cuCtxGetCurrent(CUcontext *context);
CUDA_API int cuCtxPushCurrent_v2(CUcontext context);
CUDA_API int cuCtxPopCurrent_v2(CUcontext *context);
CUDA_API int cuCtxGetDevice(int *device);
CUDA_API int cuCtxGetApiVersion(CUcontext context, unsigned *version);
CUDA_API int cuCtxGetStreamPriorityRange(int *least, int *greatest);
CUDA_API int cuCtxSynchronize(void);
CUDA_API int cuGetErrorName(int error, const char **text);
CUDA_API int cuGetErrorString(int error, const char **text);

/* ---- memory ---------------------------------------------------------------------------------------- */

CUDA_API int cuMemAlloc_v2(CUdeviceptr *at, size_t bytes);
CUDA_API int cuMemFree_v2(CUdeviceptr at);
CUDA_API int cuMemAllocAsync(CUdeviceptr *at, size_t bytes, CUstream stream);
CUDA_API int cuMemFreeAsync(CUdeviceptr at, CUstream stream);
CUDA_API int cuMemHostAlloc(void **at, size_t bytes, unsigned flags);
CUDA_API int cuMemAllocHost_v2(void **at, size_t bytes);
CUDA_API int cuMemFreeHost(void *at);
CUDA_API int cuMemHostRegister_v2(void *at, size_t bytes, unsigned flags);
CUDA_API int cuMemHostUnregister(void *at);
CUDA_API int cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *host, unsigned flags);
CUDA_API int cuMemGetInfo_v2(size_t *free_bytes, size_t *total);
CUDA_API int cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr at);
CUDA_API int cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes);
CUDA_API int cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUDA_API int cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes);
CUDA_API int cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes);
CUDA_API int cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes);
CUDA_API int cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream);
CUDA_API int cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream);
CUDA_API int cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUDA_API int cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n);
CUDA_API int cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t n);
CUDA_API int cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n);
CUDA_API int cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream);
CUDA_API int cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream);
CUDA_API int cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream);

/* ---- streams, events, graphs --------------------------------------------------------------------- */

CUDA_API int cuStreamCreate(CUstream *stream, unsigned flags);
CUDA_API int cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority);
CUDA_API int cuStreamDestroy_v2(CUstream stream);
CUDA_API int cuStreamSynchronize(CUstream stream);
CUDA_API int cuStreamQuery(CUstream stream);
CUDA_API int cuStreamGetFlags(CUstream stream, unsigned *flags);
CUDA_API int cuStreamGetCtx(CUstream stream, CUcontext *context);
CUDA_API int cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
CUDA_API int cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *argument);
CUDA_API int cuEventCreate(CUevent *event, unsigned flags);
CUDA_API int cuEventRecord(CUevent event, CUstream stream);
CUDA_API int cuEventSynchronize(CUevent event);
CUDA_API int cuEventQuery(CUevent event);
CUDA_API int cuEventElapsedTime(float *milliseconds, CUevent start, CUevent stop);
CUDA_API int cuEventDestroy_v2(CUevent event);
CUDA_API int cuStreamBeginCapture_v2(CUstream stream, int mode);
CUDA_API int cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUDA_API int cuStreamIsCapturing(CUstream stream, int *status);
CUDA_API int cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, void **node, char *log,
                                   size_t bytes);
CUDA_API int cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph,
                                         unsigned long long flags);
CUDA_API int cuGraphGetNodes(CUgraph graph, void **nodes, size_t *n);
CUDA_API int cuGraphLaunch(CUgraphExec exec, CUstream stream);
CUDA_API int cuGraphUpload(CUgraphExec exec, CUstream stream);
CUDA_API int cuGraphDestroy(CUgraph graph);
CUDA_API int cuGraphExecDestroy(CUgraphExec exec);

/* ---- code ---------------------------------------------------------------------------------------- */

CUDA_API int cuModuleLoad(CUmodule *module, const char *path);
CUDA_API int cuModuleLoadData(CUmodule *module, const void *image);
CUDA_API int cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, int *options,
                                void **values);
CUDA_API int cuModuleLoadFatBinary(CUmodule *module, const void *image);
CUDA_API int cuModuleUnload(CUmodule module);
CUDA_API int cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name);
CUDA_API int cuModuleGetGlobal_v2(CUdeviceptr *at, size_t *bytes, CUmodule module,
                                  const char *name);
CUDA_API int cuFuncGetAttribute(int *value, int attribute, CUfunction function);
CUDA_API int cuFuncSetAttribute(CUfunction function, int attribute, int value);
CUDA_API int cuFuncSetCacheConfig(CUfunction function, int config);
CUDA_API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function,
                                                         int block, size_t local);
CUDA_API int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction function,
                                                                  int block, size_t local,
                                                                  unsigned flags);
CUDA_API int cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                            unsigned by, unsigned bz, unsigned local, CUstream stream,
                            void **parameters, void **extra);

#endif
