/* The names of the HIP runtime that drivers look up, with our own declarations of its types: handles
 * are pointers, enumerations are ints. What they do is what AMD documents for them; where the
 * emulator differs, docs/emulator.md says so. */
#ifndef EMU_HIP_API_H
#define EMU_HIP_API_H

#include <stddef.h>
#include <stdint.h>

#ifndef HIP_API /* empty where another driver's names stand in front */
#define HIP_API __attribute__((visibility("default")))
#endif

typedef struct HipStream *hipStream_t;
typedef struct HipEvent *hipEvent_t;
typedef struct HipModule *hipModule_t;
typedef struct EmuKernel *hipFunction_t;
typedef struct HipGraph *hipGraph_t, *hipGraphExec_t;

typedef enum HipError {
    hipSuccess = 0,
    hipErrorInvalidValue = 1,
    hipErrorOutOfMemory = 2,
    hipErrorNotInitialized = 3,
    hipErrorInvalidConfiguration = 9,
    hipErrorInvalidDevicePointer = 17,
    hipErrorInvalidMemcpyDirection = 21,
    hipErrorNoDevice = 100,
    hipErrorInvalidDevice = 101,
    hipErrorInvalidImage = 200,
    hipErrorNoBinaryForGpu = 209,
    hipErrorFileNotFound = 301,
    hipErrorInvalidHandle = 400,
    hipErrorNotFound = 500,
    hipErrorNotReady = 600,
    hipErrorLaunchFailure = 719,
    hipErrorNotSupported = 801,
    hipErrorStreamCaptureUnsupported = 900,
    hipErrorStreamCaptureInvalidated = 901,
    hipErrorStreamCaptureMerge = 902,
    hipErrorStreamCaptureUnmatched = 903,
    hipErrorStreamCaptureUnjoined = 904,
    hipErrorStreamCaptureIsolation = 905,
    hipErrorStreamCaptureImplicit = 906,
    hipErrorCapturedEvent = 907,
    hipErrorStreamCaptureWrongThread = 908,
    hipErrorUnknown = 999,
} HipError;

enum {
    hipMemcpyHostToHost,
    hipMemcpyHostToDevice,
    hipMemcpyDeviceToHost,
    hipMemcpyDeviceToDevice,
    hipMemcpyDefault
};

/* ---- devices ----------------------------------------------------------------------------------- */

HIP_API int hipInit(unsigned flags);
HIP_API int hipGetDeviceCount(int *count);
HIP_API int hipSetDevice(int device);
HIP_API int hipGetDevice(int *device);
HIP_API int hipDeviceGet(int *device, int ordinal);
HIP_API int hipDeviceGetName(char *name, int length, int device);
HIP_API int hipDeviceTotalMem(size_t *bytes, int device);
HIP_API int hipDeviceComputeCapability(int *major, int *minor, int device);
HIP_API int hipDeviceGetAttribute(int *value, int attribute, int device);
HIP_API int hipGetDeviceProperties(void *properties, int device);      /* 792 bytes, before 6.0 */
HIP_API int hipGetDevicePropertiesR0600(void *properties, int device); /* 1472 bytes */
HIP_API int hipDeviceCanAccessPeer(int *can, int device, int peer);
HIP_API int hipDeviceSynchronize(void);
HIP_API int hipDeviceReset(void);
HIP_API int hipDriverGetVersion(int *version);
HIP_API int hipRuntimeGetVersion(int *version);
HIP_API int hipGetLastError(void);
HIP_API int hipPeekAtLastError(void);
HIP_API const char *hipGetErrorName(int error);
HIP_API const char *hipGetErrorString(int error);

/* ---- memory ------------------------------------------------------------------------------------ */

HIP_API int hipMalloc(void **at, size_t bytes);
HIP_API int hipFree(void *at);
HIP_API int hipMallocAsync(void **at, size_t bytes, hipStream_t stream);
HIP_API int hipFreeAsync(void *at, hipStream_t stream);
HIP_API int hipHostMalloc(void **at, size_t bytes, unsigned flags);
HIP_API int hipHostFree(void *at);
HIP_API int hipHostRegister(void *at, size_t bytes, unsigned flags);
HIP_API int hipHostUnregister(void *at);
HIP_API int hipHostGetDevicePointer(void **device, void *host, unsigned flags);
HIP_API int hipMemGetInfo(size_t *free_bytes, size_t *total);
HIP_API int hipMemcpy(void *to, const void *from, size_t bytes, int kind);
HIP_API int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, hipStream_t stream);
HIP_API int hipMemcpyWithStream(void *to, const void *from, size_t bytes, int kind,
                                hipStream_t stream);
HIP_API int hipMemcpyHtoD(void *to, const void *from, size_t bytes);
HIP_API int hipMemcpyDtoH(void *to, const void *from, size_t bytes);
HIP_API int hipMemcpyDtoD(void *to, const void *from, size_t bytes);
HIP_API int hipMemcpyHtoDAsync(void *to, const void *from, size_t bytes, hipStream_t stream);
HIP_API int hipMemcpyDtoHAsync(void *to, const void *from, size_t bytes, hipStream_t stream);
HIP_API int hipMemcpyDtoDAsync(void *to, const void *from, size_t bytes, hipStream_t stream);
HIP_API int hipMemset(void *to, int value, size_t bytes);
HIP_API int hipMemsetAsync(void *to, int value, size_t bytes, hipStream_t stream);
HIP_API int hipMemsetD8(void *to, unsigned char value, size_t count);
HIP_API int hipMemsetD8Async(void *to, unsigned char value, size_t count, hipStream_t stream);
HIP_API int hipMemsetD16(void *to, unsigned short value, size_t count);
HIP_API int hipMemsetD16Async(void *to, unsigned short value, size_t count, hipStream_t stream);
HIP_API int hipMemsetD32(void *to, int value, size_t count);
HIP_API int hipMemsetD32Async(void *to, int value, size_t count, hipStream_t stream);

/* ---- streams, events, graphs --------------------------------------------------------------------- */

HIP_API int hipStreamCreate(hipStream_t *stream);
HIP_API int hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags);
HIP_API int hipStreamCreateWithPriority(hipStream_t *stream, unsigned flags, int priority);
HIP_API int hipDeviceGetStreamPriorityRange(int *least, int *greatest);
HIP_API int hipStreamDestroy(hipStream_t stream);
HIP_API int hipStreamSynchronize(hipStream_t stream);
HIP_API int hipStreamQuery(hipStream_t stream);
HIP_API int hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags);
HIP_API int hipLaunchHostFunc(hipStream_t stream, void (*function)(void *), void *argument);
HIP_API int hipEventCreate(hipEvent_t *event);
HIP_API int hipEventCreateWithFlags(hipEvent_t *event, unsigned flags);
HIP_API int hipEventRecord(hipEvent_t event, hipStream_t stream);
HIP_API int hipEventSynchronize(hipEvent_t event);
HIP_API int hipEventQuery(hipEvent_t event);
HIP_API int hipEventElapsedTime(float *milliseconds, hipEvent_t start, hipEvent_t stop);
HIP_API int hipEventDestroy(hipEvent_t event);
HIP_API int hipStreamBeginCapture(hipStream_t stream, int mode);
HIP_API int hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph);
HIP_API int hipStreamIsCapturing(hipStream_t stream, int *status);
HIP_API int hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, void **node, char *log,
                                size_t bytes);
HIP_API int hipGraphInstantiateWithFlags(hipGraphExec_t *exec, hipGraph_t graph,
                                         unsigned long long flags);
HIP_API int hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream);
HIP_API int hipGraphUpload(hipGraphExec_t exec, hipStream_t stream);
HIP_API int hipGraphDestroy(hipGraph_t graph);
HIP_API int hipGraphExecDestroy(hipGraphExec_t exec);

/* ---- code ---------------------------------------------------------------------------------------- */

HIP_API int hipModuleLoad(hipModule_t *module, const char *path);
HIP_API int hipModuleLoadData(hipModule_t *module, const void *image);
HIP_API int hipModuleLoadDataEx(hipModule_t *module, const void *image, unsigned n, int *options,
                                void **values);
HIP_API int hipModuleUnload(hipModule_t module);
HIP_API int hipModuleGetFunction(hipFunction_t *function, hipModule_t module, const char *name);
HIP_API int hipModuleGetGlobal(void **at, size_t *bytes, hipModule_t module, const char *name);
HIP_API int hipFuncGetAttribute(int *value, int attribute, hipFunction_t function);
HIP_API int hipFuncSetAttribute(const void *function, int attribute, int value);
HIP_API int hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, hipFunction_t function,
                                                               int block, size_t lds);
HIP_API int hipModuleLaunchKernel(hipFunction_t function, unsigned gx, unsigned gy, unsigned gz,
                                  unsigned bx, unsigned by, unsigned bz, unsigned lds,
                                  hipStream_t stream, void **parameters, void **extra);

#endif
