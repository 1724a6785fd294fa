/* The library with the names of NVIDIA's driver, but for kernels (test_cuda_code.c). Its argument is where it is. */
#include "cuda_testing.h"

/* ---- before anything --------------------------------------------------------------------------------- */

static void test_start(void) {
    int value = 0;
    void *p = NULL;
    CUcontext c = NULL;
    CUdeviceptr at = 0;
    GOOD(cuda.cuDriverGetVersion(&value));
    CHECK(value == 12000, "%d", value);
    GIVES(INVALID_VALUE, cuda.cuDriverGetVersion(NULL));
    GIVES(NOT_INITIALIZED, cuda.cuDeviceGetCount(&value));
    GIVES(NOT_INITIALIZED, cuda.cuDeviceGet(&value, 0));
    GIVES(NOT_INITIALIZED, cuda.cuDevicePrimaryCtxRetain(&c, 0));
    GIVES(NOT_INITIALIZED, cuda.cuCtxSetCurrent(NULL));
    GIVES(NOT_INITIALIZED, cuda.cuMemAlloc_v2(&at, 4));
    GIVES(INVALID_VALUE, cuda.cuInit(1));
    GOOD(cuda.cuInit(0));
    GOOD(cuda.cuInit(0));
    GIVES(INVALID_CONTEXT, cuda.cuMemAlloc_v2(&at, 4));
    GIVES(INVALID_CONTEXT, cuda.cuMemHostAlloc(&p, 4, 0));
    GIVES(INVALID_CONTEXT, cuda.cuCtxSynchronize());
    GIVES(INVALID_CONTEXT, cuda.cuModuleLoadData((CUmodule *)&p, ""));
}

/* ---- what devices say -------------------------------------------------------------------------------- */

static void test_devices(void) {
    int n = 0, value = 0, major = 0, minor = 9, device = 7;
    char name[64], want[64];
    size_t bytes = 0;
    GOOD(cuda.cuDeviceGetCount(&n));
    CHECK(n == 2, "%d", n);
    GIVES(INVALID_VALUE, cuda.cuDeviceGetCount(NULL));
    GIVES(INVALID_DEVICE, cuda.cuDeviceGet(&device, 2));
    GIVES(INVALID_DEVICE, cuda.cuDeviceGet(&device, -1));
    for (int d = 0; d < 2; d++) {
        GOOD(cuda.cuDeviceGet(&device, d));
        CHECK(device == d, "%d", device);
        GOOD(cuda.cuDeviceComputeCapability(&major, &minor, d));
        CHECK(10 * major + minor == arch[d], "%d.%d", major, minor);
        GOOD(cuda.cuDeviceGetName(name, sizeof name, d));
        snprintf(want, sizeof want, "emulated sm_%d", arch[d]);
        CHECK(strcmp(name, want) == 0, "%s", name);
        GOOD(cuda.cuDeviceGetAttribute(&value, 10, d));
        CHECK(value == 32, "%d lanes", value);
        GOOD(cuda.cuDeviceGetAttribute(&value, 16, d));
        CHECK(value == (d == 0 ? 108 : 132), "%d units", value);
        GOOD(cuda.cuDeviceGetAttribute(&value, 97, d));
        CHECK(value == (d == 0 ? 163 : 227) * 1024, "%d bytes of shared memory", value);
        GOOD(cuda.cuDeviceTotalMem_v2(&bytes, d));
        CHECK(bytes == (size_t)64 << 20, "%zu", bytes);
    }
    GIVES(INVALID_VALUE, cuda.cuDeviceGetAttribute(&value, 9999, 0));
    GIVES(INVALID_DEVICE, cuda.cuDeviceGetAttribute(&value, 10, 2));
    GIVES(INVALID_VALUE, cuda.cuDeviceGetName(name, 0, 0));
    GIVES(INVALID_DEVICE, cuda.cuDeviceTotalMem_v2(&bytes, 5));
    GOOD(cuda.cuDeviceCanAccessPeer(&value, 0, 1));
    CHECK(value == 0, "%d", value);
    GIVES(INVALID_DEVICE, cuda.cuDeviceCanAccessPeer(&value, 0, 2));
}

static void test_errors(void) {
    const char *text = NULL;
    GOOD(cuda.cuGetErrorName(222, &text));
    CHECK(text != NULL && strcmp(text, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION") == 0, "%s", text);
    GOOD(cuda.cuGetErrorName(0, &text));
    CHECK(text != NULL && strcmp(text, "CUDA_SUCCESS") == 0, "%s", text);
    GOOD(cuda.cuGetErrorString(2, &text));
    CHECK(text != NULL && strcmp(text, "out of memory") == 0, "%s", text);
    GIVES(INVALID_VALUE, cuda.cuGetErrorName(12345, &text));
    CHECK(text == NULL, "%s", text);
    GIVES(INVALID_VALUE, cuda.cuGetErrorString(12345, &text));
    CHECK(text == NULL, "%s", text);
    GIVES(INVALID_VALUE, cuda.cuGetErrorName(0, NULL));
}

/* ---- contexts ---------------------------------------------------------------------------------------- */

static void *without_context(void *user) {
    CUcontext c = context[0];
    CUdeviceptr at;
    (void)user;
    GOOD(cuda.cuCtxGetCurrent(&c));
    CHECK(c == NULL, "a new thread has a context");
    GIVES(INVALID_CONTEXT, cuda.cuMemAlloc_v2(&at, 4));
    GOOD(cuda.cuCtxSetCurrent(context[1]));
    GOOD(cuda.cuMemAlloc_v2(&at, 4));
    GOOD(cuda.cuMemFree_v2(at));
    return NULL;
}

static void in_thread(void *(*function)(void *), void *user) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, user) == 0, "no thread");
    pthread_join(thread, NULL);
}

static void test_contexts(void) {
    CUcontext c = NULL, again = NULL;
    CUdeviceptr at;
    CUstream s;
    int device = 5, active = 5;
    unsigned flags = 5, version = 0;
    GOOD(cuda.cuCtxGetCurrent(&c));
    CHECK(c == NULL, "there is one already");
    GIVES(INVALID_DEVICE, cuda.cuDevicePrimaryCtxRetain(&c, 2));
    GIVES(INVALID_VALUE, cuda.cuDevicePrimaryCtxRetain(NULL, 0));
    GIVES(INVALID_CONTEXT, cuda.cuDevicePrimaryCtxRelease_v2(0));
    for (int d = 0; d < 2; d++) GOOD(cuda.cuDevicePrimaryCtxRetain(&context[d], d));
    GOOD(cuda.cuDevicePrimaryCtxGetState(0, &flags, &active));
    CHECK(flags == 0 && active == 1, "%u %d", flags, active);
    GIVES(INVALID_VALUE, cuda.cuDevicePrimaryCtxSetFlags_v2(0, 64));
    GOOD(cuda.cuDevicePrimaryCtxSetFlags_v2(0, 4));
    GIVES(INVALID_CONTEXT, cuda.cuCtxSetCurrent((CUcontext)&at));
    GOOD(cuda.cuCtxSetCurrent(context[0]));
    GOOD(cuda.cuCtxGetDevice(&device));
    CHECK(device == 0, "%d", device);
    GOOD(cuda.cuCtxPushCurrent_v2(context[1]));
    GOOD(cuda.cuCtxGetDevice(&device));
    CHECK(device == 1, "%d", device);
    in_thread(without_context, NULL);
    GOOD(cuda.cuCtxGetApiVersion(NULL, &version));
    GOOD(cuda.cuCtxGetApiVersion(context[0], &version));
    CHECK(version >= 3000, "%u", version);
    GOOD(cuda.cuCtxGetStreamPriorityRange(&device, &active));
    GOOD(cuda.cuCtxPopCurrent_v2(&c));
    CHECK(c == context[1], "another one");
    GOOD(cuda.cuCtxPopCurrent_v2(&c));
    CHECK(c == context[0], "another one");
    GIVES(INVALID_CONTEXT, cuda.cuCtxPopCurrent_v2(&c));
    GIVES(INVALID_CONTEXT, cuda.cuCtxGetDevice(&device));
    /* retained twice, it goes with the second release, and what it had too */
    GOOD(cuda.cuDevicePrimaryCtxRetain(&again, 0));
    CHECK(again == context[0], "there are two");
    GOOD(cuda.cuCtxSetCurrent(again));
    GOOD(cuda.cuMemAlloc_v2(&at, 1024));
    GOOD(cuda.cuStreamCreate(&s, 1));
    GOOD(cuda.cuDevicePrimaryCtxRelease_v2(0));
    GOOD(cuda.cuStreamSynchronize(s));
    GOOD(cuda.cuDevicePrimaryCtxRelease_v2(0));
    GIVES(CONTEXT_IS_DESTROYED, cuda.cuStreamSynchronize(s));
    GIVES(INVALID_CONTEXT, cuda.cuCtxSetCurrent(again));
    GOOD(cuda.cuDevicePrimaryCtxGetState(0, &flags, &active));
    CHECK(active == 0, "it is still there");
    GOOD(cuda.cuDevicePrimaryCtxRetain(&context[0], 0));
    GOOD(cuda.cuCtxSetCurrent(context[0]));
    GIVES(INVALID_HANDLE, cuda.cuStreamSynchronize(s));
    GIVES(INVALID_VALUE, cuda.cuMemFree_v2(at));
}

/* All that a context had. */
static void test_reset(void) {
    CUdeviceptr at;
    CUevent e;
    void *host;
    static char registered[64];
    size_t before = 0, after = 0, total;
    GOOD(cuda.cuMemGetInfo_v2(&before, &total));
    GOOD(cuda.cuMemAlloc_v2(&at, 4096));
    GOOD(cuda.cuMemAllocHost_v2(&host, 64));
    GOOD(cuda.cuMemHostRegister_v2(registered, sizeof registered, 0));
    GOOD(cuda.cuEventCreate(&e, 0));
    GOOD(cuda.cuDevicePrimaryCtxReset_v2(0));
    GOOD(cuda.cuMemGetInfo_v2(&after, &total));
    CHECK(before == after, "%zu bytes are left", before - after);
    GIVES(INVALID_VALUE, cuda.cuMemFree_v2(at));
    GIVES(INVALID_VALUE, cuda.cuMemFreeHost(host));
    GIVES(HOST_MEMORY_NOT_REGISTERED, cuda.cuMemHostUnregister(registered));
    GIVES(INVALID_HANDLE, cuda.cuEventRecord(e, NULL));
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void test_memory(int d) {
    CUdeviceptr a, b, base = 0, other;
    size_t left, total, before, bytes = 0;
    uint32_t x[256], y[256];
    GOOD(cuda.cuMemGetInfo_v2(&before, &total));
    CHECK(total == (size_t)64 << 20, "%zu", total);
    GIVES(INVALID_VALUE, cuda.cuMemGetInfo_v2(NULL, &total));
    GOOD(cuda.cuMemAlloc_v2(&a, 48 << 20));
    GIVES(OUT_OF_MEMORY, cuda.cuMemAlloc_v2(&b, 32 << 20));
    GIVES(INVALID_VALUE, cuda.cuMemAlloc_v2(&b, 0));
    GIVES(INVALID_VALUE, cuda.cuMemAlloc_v2(NULL, 4));
    GOOD(cuda.cuMemAlloc_v2(&b, 1024));
    GOOD(cuda.cuMemGetInfo_v2(&left, &total));
    CHECK(left == before - (48 << 20) - 1024, "%zu", left);
    GOOD(cuda.cuMemFree_v2(a));
    GIVES(INVALID_VALUE, cuda.cuMemFree_v2(a));
    GIVES(INVALID_VALUE, cuda.cuMemFree_v2(0));
    GIVES(INVALID_VALUE, cuda.cuMemFree_v2(b + 256));
    GOOD(cuda.cuMemGetAddressRange_v2(&base, &bytes, b + 500));
    CHECK(base == b && bytes == 1024, "%zu bytes", bytes);
    GIVES(NOT_FOUND, cuda.cuMemGetAddressRange_v2(&base, &bytes, (uintptr_t)x));
    for (uint32_t i = 0; i < 256; i++) x[i] = i * i;
    GOOD(cuda.cuMemcpyHtoD_v2(b, x, 1024));
    GOOD(cuda.cuMemcpyDtoH_v2(y, b, 1024));
    CHECK(memcmp(x, y, 1024) == 0, "copied otherwise");
    GOOD(cuda.cuMemcpyHtoD_v2(b, x, 0));
    GIVES(INVALID_VALUE, cuda.cuMemcpyHtoD_v2(b + 512, x, 1024));
    GIVES(INVALID_VALUE, cuda.cuMemcpyHtoD_v2((uintptr_t)y, x, 1024));
    GIVES(INVALID_VALUE, cuda.cuMemcpyHtoD_v2(b, NULL, 4));
    GIVES(INVALID_VALUE, cuda.cuMemcpyHtoD_v2(b, (void *)(uintptr_t)(b + 512), 512));
    GIVES(INVALID_VALUE, cuda.cuMemcpyDtoH_v2((void *)(uintptr_t)b, b + 512, 512));
    GIVES(INVALID_VALUE, cuda.cuMemcpyDtoD_v2(b, (uintptr_t)x, 1024));
    GOOD(cuda.cuMemsetD32_v2(b, 0x01020304, 128));
    GOOD(cuda.cuMemsetD16_v2(b + 512, 0x0506, 128));
    GOOD(cuda.cuMemsetD8_v2(b + 768, 7, 256));
    GOOD(cuda.cuMemcpy((uintptr_t)y, b, 1024));
    CHECK(y[127] == 0x01020304 && y[128] == 0x05060506 && y[192] == 0x07070707, "%x %x %x", y[127],
          y[128], y[192]);
    GIVES(INVALID_VALUE, cuda.cuMemsetD8_v2(b, 0, 1025));
    GIVES(INVALID_VALUE, cuda.cuMemsetD32_v2(b + 2, 0, 1));
    /* another device's */
    GOOD(cuda.cuCtxPushCurrent_v2(context[1 - d]));
    GOOD(cuda.cuMemAlloc_v2(&other, 1024));
    GOOD(cuda.cuMemcpyDtoD_v2(other, b, 1024));
    memset(y, 0, sizeof y);
    GOOD(cuda.cuMemcpyDtoH_v2(y, other, 1024));
    CHECK(y[0] == 0x01020304, "%x", y[0]);
    GOOD(cuda.cuMemFree_v2(other));
    GOOD(cuda.cuCtxPopCurrent_v2(NULL));
    GOOD(cuda.cuMemFree_v2(b));
}

static void test_pinned(void) {
    static uint32_t x[256];
    CUdeviceptr at = 0;
    void *p = NULL;
    GIVES(INVALID_VALUE, cuda.cuMemHostAlloc(&p, 64, 8));
    GIVES(INVALID_VALUE, cuda.cuMemHostAlloc(&p, 0, 0));
    GOOD(cuda.cuMemHostAlloc(&p, 64, 7));
    GOOD(cuda.cuMemHostGetDevicePointer_v2(&at, p, 0));
    CHECK(at == (uintptr_t)p, "another address");
    GIVES(INVALID_VALUE, cuda.cuMemHostGetDevicePointer_v2(&at, p, 1));
    GIVES(INVALID_VALUE, cuda.cuMemHostUnregister(NULL));
    GIVES(HOST_MEMORY_NOT_REGISTERED, cuda.cuMemHostUnregister(p));
    GOOD(cuda.cuMemFreeHost(p));
    GIVES(INVALID_VALUE, cuda.cuMemFreeHost(p));
    GIVES(INVALID_VALUE, cuda.cuMemFreeHost(NULL));
    GOOD(cuda.cuMemHostRegister_v2(x, sizeof x, 0));
    GIVES(HOST_MEMORY_ALREADY_REGISTERED, cuda.cuMemHostRegister_v2(x + 3, 16, 0));
    GIVES(INVALID_VALUE, cuda.cuMemHostRegister_v2(x, 0, 0));
    GOOD(cuda.cuMemHostGetDevicePointer_v2(&at, x, 0));
    GIVES(INVALID_VALUE, cuda.cuMemFreeHost(x));
    GOOD(cuda.cuMemHostUnregister(x));
    GIVES(HOST_MEMORY_NOT_REGISTERED, cuda.cuMemHostUnregister(x));
    GIVES(INVALID_VALUE, cuda.cuMemHostGetDevicePointer_v2(&at, x, 0));
}

/* ---- streams: work is done late, in order, and not before what it waits for ------------------------- */

static void count_up(void *argument) { ++*(int *)argument; }

/* It may ask for nothing. */
static void call_back(void *argument) {
    int *good = argument, device;
    *good = cuda.cuCtxSynchronize() == CUDA_ERROR_NOT_PERMITTED &&
            cuda.cuDeviceGet(&device, 0) == CUDA_ERROR_NOT_PERMITTED &&
            cuda.cuInit(0) == CUDA_ERROR_NOT_PERMITTED;
}

static void test_streams(void) {
    Streams q = streams_make(1);
    uint32_t pageable[N];
    int called = 0, inside = 0;
    unsigned flags = 7;
    float ms = -1;
    CUcontext c = NULL;
    GIVES(INVALID_VALUE, cuda.cuStreamCreate(&q.s, 2));
    GOOD(cuda.cuStreamGetFlags(q.s, &flags));
    CHECK(flags == 1, "%u", flags);
    GOOD(cuda.cuStreamGetCtx(q.s, &c));
    for (int i = 0; i < N; i++) pageable[i] = (uint32_t)i;
    GOOD(cuda.cuEventRecord(q.start, q.s));
    GOOD(cuda.cuMemcpyHtoDAsync_v2(q.x, pageable, N * 4, q.s));
    memset(pageable, 0, sizeof pageable); /* it was read already */
    GOOD(cuda.cuMemsetD32Async(q.x + 4, 77, 1, q.s));
    GOOD(cuda.cuMemsetD16Async(q.x + 8, 3, 2, q.s));
    GOOD(cuda.cuMemsetD8Async(q.x + 12, 1, 4, q.s));
    GOOD(cuda.cuEventRecord(q.e, q.s));
    GOOD(cuda.cuStreamWaitEvent(q.t, q.e, 0));
    GIVES(INVALID_VALUE, cuda.cuStreamWaitEvent(q.t, q.e, 2));
    GOOD(cuda.cuMemcpyDtoHAsync_v2(q.host, q.x, N * 4, q.t));
    GOOD(cuda.cuLaunchHostFunc(q.t, count_up, &called));
    GOOD(cuda.cuLaunchHostFunc(q.t, call_back, &inside));
    GIVES(INVALID_VALUE, cuda.cuLaunchHostFunc(q.t, NULL, NULL));
    CHECK(q.host[7] == 0 && called == 0, "too early");
    GIVES(NOT_READY, cuda.cuEventElapsedTime(&ms, q.start, q.e));
    GOOD(cuda.cuStreamSynchronize(q.t));
    CHECK(called == 1 && q.host[999] == 999 && q.host[1] == 77 && q.host[2] == 0x30003 &&
              q.host[3] == 0x01010101,
          "%d, %u", called, q.host[999]);
    CHECK(inside == 1, "a function of the host's called the driver");
    GOOD(cuda.cuEventSynchronize(q.e));
    GOOD(cuda.cuEventElapsedTime(&ms, q.start, q.e));
    CHECK(ms > 0, "%g ms", (double)ms);
    GOOD(cuda.cuEventQuery(q.e));
    /* pinned memory is read when it is its turn */
    q.host[0] = 1;
    GOOD(cuda.cuMemcpyHtoDAsync_v2(q.x, q.host, 4, q.s));
    q.host[0] = 5;
    int error = CUDA_ERROR_NOT_READY;
    for (int i = 0; i < 10 && error == CUDA_ERROR_NOT_READY; i++) error = cuda.cuStreamQuery(q.s);
    GOOD(error);
    GOOD(cuda.cuMemcpyDtoDAsync_v2(q.x + 4, q.x, 4, q.s));
    GOOD(cuda.cuMemcpyAsync((uintptr_t)pageable, q.x + 4, 4, q.s)); /* not pinned: it waits */
    CHECK(pageable[0] == 5, "%u", pageable[0]);
    GOOD(cuda.cuMemcpyDtoHAsync_v2(pageable, q.x, 4, (CUstream)1)); /* the null stream */
    GIVES(NOT_SUPPORTED, cuda.cuMemcpyDtoHAsync_v2(pageable, q.x, 4, (CUstream)2));
    streams_drop(&q);
    GIVES(INVALID_HANDLE, cuda.cuEventRecord(q.e, q.s));
    GIVES(INVALID_HANDLE, cuda.cuStreamSynchronize(q.s));
    GIVES(INVALID_HANDLE, cuda.cuStreamDestroy_v2(q.s));
    GIVES(INVALID_HANDLE, cuda.cuStreamGetFlags(q.s, &flags));
    GIVES(INVALID_HANDLE, cuda.cuStreamGetCtx(q.s, &c));
    GIVES(INVALID_HANDLE, cuda.cuEventDestroy_v2(q.e));
}

static void test_events(int d) {
    CUevent untimed, never, other;
    CUstream s;
    float ms;
    GOOD(cuda.cuStreamCreate(&s, 1));
    GIVES(INVALID_VALUE, cuda.cuEventCreate(&never, 8));
    GIVES(INVALID_VALUE, cuda.cuEventCreate(&never, 4)); /* of processes, with time */
    GIVES(NOT_SUPPORTED, cuda.cuEventCreate(&never, 6));
    GIVES(INVALID_VALUE, cuda.cuEventCreate(NULL, 0));
    GOOD(cuda.cuEventCreate(&untimed, 2));
    GOOD(cuda.cuEventCreate(&never, 0));
    GOOD(cuda.cuEventQuery(never));
    GOOD(cuda.cuEventSynchronize(never));
    GOOD(cuda.cuStreamWaitEvent(s, never, 0));
    GIVES(INVALID_HANDLE, cuda.cuEventElapsedTime(&ms, never, never));
    GIVES(INVALID_VALUE, cuda.cuEventElapsedTime(NULL, never, never));
    GOOD(cuda.cuEventRecord(untimed, s));
    GIVES(NOT_READY, cuda.cuEventQuery(untimed));
    GOOD(cuda.cuEventQuery(untimed));
    GIVES(INVALID_HANDLE, cuda.cuEventElapsedTime(&ms, untimed, untimed));
    /* of another context: it may be waited for, not recorded */
    GOOD(cuda.cuCtxPushCurrent_v2(context[1 - d]));
    GOOD(cuda.cuEventCreate(&other, 0));
    GOOD(cuda.cuEventRecord(other, NULL));
    GOOD(cuda.cuCtxPopCurrent_v2(NULL));
    GIVES(INVALID_HANDLE, cuda.cuEventRecord(other, s));
    GOOD(cuda.cuStreamWaitEvent(s, other, 0));
    GOOD(cuda.cuStreamSynchronize(s));
    GOOD(cuda.cuEventQuery(other));
    GOOD(cuda.cuEventDestroy_v2(untimed));
    GOOD(cuda.cuEventDestroy_v2(never));
    GOOD(cuda.cuEventDestroy_v2(other));
    GOOD(cuda.cuStreamDestroy_v2(s));
}

/* A blocking stream and the null stream wait for each other; one that is not does not. */
static void test_null_stream(void) {
    CUstream s, apart;
    CUdeviceptr x, y;
    uint32_t got[2] = {0, 0}, *host;
    GOOD(cuda.cuStreamCreate(&s, 0));
    GOOD(cuda.cuStreamCreate(&apart, 1));
    GOOD(cuda.cuMemAllocAsync(&x, 4, s));
    GOOD(cuda.cuMemAlloc_v2(&y, 4));
    GOOD(cuda.cuMemHostAlloc((void **)&host, 8, 0));
    host[0] = host[1] = 0;
    GOOD(cuda.cuMemsetD32Async(x, 5, 1, s));
    GOOD(cuda.cuMemcpyDtoDAsync_v2(y, x, 4, NULL));
    GOOD(cuda.cuMemcpyDtoHAsync_v2(host, y, 4, s));
    GOOD(cuda.cuMemsetD32Async(x, 9, 1, apart));
    GOOD(cuda.cuMemcpyDtoHAsync_v2(host + 1, x, 4, apart));
    GOOD(cuda.cuMemcpyDtoH_v2(got, x, 4));
    CHECK(got[0] == 5 && host[0] == 5 && host[1] == 0, "%u %u %u", got[0], host[0], host[1]);
    GOOD(cuda.cuCtxSynchronize());
    CHECK(host[1] == 9, "%u", host[1]);
    GOOD(cuda.cuMemFreeAsync(x, s));
    GOOD(cuda.cuCtxSynchronize());
    GIVES(INVALID_VALUE, cuda.cuMemFree_v2(x));
    GOOD(cuda.cuMemFree_v2(y));
    GOOD(cuda.cuMemFreeHost(host));
    GOOD(cuda.cuStreamDestroy_v2(s));
    GOOD(cuda.cuStreamDestroy_v2(apart));
}

/* ---- graphs ------------------------------------------------------------------------------------------ */

static void test_graphs(void) {
    Streams q = streams_make(1);
    CUgraph graph;
    CUgraphExec exec, old;
    char log[10] = "x";
    void *node = &q, *nodes[2];
    size_t n = 0;
    int status = 9;
    GIVES(STREAM_CAPTURE_UNSUPPORTED, cuda.cuStreamBeginCapture_v2(NULL, 0));
    GIVES(INVALID_VALUE, cuda.cuStreamBeginCapture_v2(q.s, 3));
    GIVES(STREAM_CAPTURE_UNMATCHED, cuda.cuStreamEndCapture(q.s, &graph));
    GOOD(cuda.cuStreamBeginCapture_v2(q.s, 1));
    GIVES(STREAM_CAPTURE_UNSUPPORTED, cuda.cuStreamBeginCapture_v2(q.s, 1));
    GOOD(cuda.cuStreamIsCapturing(q.s, &status));
    CHECK(status == 1, "%d", status);
    GOOD(cuda.cuMemcpyHtoDAsync_v2(q.x, q.host, 8, q.s));
    GOOD(cuda.cuEventRecord(q.e, q.s));
    GOOD(cuda.cuStreamWaitEvent(q.t, q.e, 0));
    GOOD(cuda.cuMemsetD32Async(q.x + 8, 1, 1, q.t));
    GOOD(cuda.cuEventRecord(q.start, q.t));
    GOOD(cuda.cuMemcpyDtoDAsync_v2(q.x + 12, q.x + 4, 4, q.s));
    GOOD(cuda.cuStreamWaitEvent(q.s, q.start, 0));
    GOOD(cuda.cuMemcpyDtoHAsync_v2(q.host + 2, q.x + 8, 8, q.s));
    GIVES(STREAM_CAPTURE_UNMATCHED, cuda.cuStreamEndCapture(q.t, &graph));
    GIVES(NOT_SUPPORTED, cuda.cuMemAllocAsync(&(CUdeviceptr){0}, 4, q.s));
    GOOD(cuda.cuStreamEndCapture(q.s, &graph));
    GOOD(cuda.cuStreamIsCapturing(q.t, &status));
    CHECK(status == 0, "%d", status);
    GOOD(cuda.cuGraphGetNodes(graph, NULL, &n));
    CHECK(n == 4, "%zu nodes", n);
    n = 2;
    GOOD(cuda.cuGraphGetNodes(graph, nodes, &n));
    CHECK(n == 2 && nodes[0] != nodes[1], "%zu nodes", n);
    GOOD(cuda.cuGraphInstantiate_v2(&old, graph, &node, log, sizeof log));
    CHECK(node == NULL && log[0] == '\0', "%s", log);
    GIVES(NOT_SUPPORTED, cuda.cuGraphInstantiateWithFlags(&exec, graph, 1));
    GIVES(INVALID_VALUE, cuda.cuGraphInstantiateWithFlags(&exec, graph, 16));
    GOOD(cuda.cuGraphInstantiateWithFlags(&exec, graph, 0));
    GOOD(cuda.cuGraphDestroy(graph));
    GIVES(INVALID_VALUE, cuda.cuGraphDestroy(graph));
    GIVES(INVALID_VALUE, cuda.cuGraphGetNodes(graph, NULL, &n));
    GOOD(cuda.cuGraphUpload(exec, q.s));
    for (uint32_t round = 1; round < 4; round++) {
        q.host[1] = 10 * round;
        q.host[2] = q.host[3] = 0;
        GOOD(cuda.cuGraphLaunch(round == 1 ? old : exec, q.s));
        CHECK(q.host[2] == 0, "too early");
        GOOD(cuda.cuStreamSynchronize(q.s));
        CHECK(q.host[2] == 1 && q.host[3] == 10 * round, "%u %u", q.host[2], q.host[3]);
    }
    GOOD(cuda.cuGraphExecDestroy(exec));
    GOOD(cuda.cuGraphExecDestroy(old));
    GIVES(INVALID_VALUE, cuda.cuGraphLaunch(exec, q.s));
    streams_drop(&q);
}

/* What may not be while a stream is recorded, and ends its recording; whatever comes after it is an error too. */
typedef enum Offence {
    O_WAIT,
    O_WAIT_ALL,
    O_QUERY,
    O_MEMORY,
    O_FREE,
    O_PINNED,
    O_COPY,
    O_LOAD,
    O_EVENT_QUERY,
    O_EVENT_WAIT,
    O_OUTSIDE,
    O_OTHER,
    O_NULL_STREAM,
    N_OFFENCES
} Offence;

static int offend(Offence o, Streams *q) {
    CUdeviceptr at;
    CUmodule m;
    void *p;
    switch (o) {
    case O_WAIT: return cuda.cuStreamSynchronize(q->s);
    case O_WAIT_ALL: return cuda.cuCtxSynchronize();
    case O_QUERY: return cuda.cuStreamQuery(q->s);
    case O_MEMORY: return cuda.cuMemAlloc_v2(&at, 4);
    case O_FREE: return cuda.cuMemFree_v2(q->x);
    case O_PINNED: return cuda.cuMemHostAlloc(&p, 4, 0);
    case O_COPY: return cuda.cuMemcpyHtoD_v2(q->x, q->host, 4);
    case O_LOAD: return cuda.cuModuleLoadData(&m, ".version 8.0");
    case O_EVENT_QUERY: GOOD(cuda.cuEventRecord(q->e, q->s)); return cuda.cuEventQuery(q->e);
    case O_EVENT_WAIT: GOOD(cuda.cuEventRecord(q->e, q->s)); return cuda.cuEventSynchronize(q->e);
    case O_OUTSIDE: return cuda.cuStreamWaitEvent(q->s, q->start, 0);
    case O_OTHER:
        GOOD(cuda.cuStreamBeginCapture_v2(q->t, 2));
        GOOD(cuda.cuEventRecord(q->e, q->t));
        return cuda.cuStreamWaitEvent(q->s, q->e, 0);
    default: return cuda.cuMemsetD8Async(q->x, 0, 4, NULL);
    }
}

static void test_offences(void) {
    static const int wants[N_OFFENCES] = {[O_EVENT_QUERY] = CUDA_ERROR_CAPTURED_EVENT,
                                          [O_EVENT_WAIT] = CUDA_ERROR_CAPTURED_EVENT,
                                          [O_OUTSIDE] = CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                                          [O_OTHER] = CUDA_ERROR_STREAM_CAPTURE_MERGE,
                                          [O_NULL_STREAM] = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT};
    for (int o = 0; o < N_OFFENCES; o++) {
        Streams q = streams_make(0);
        CUgraph graph = NULL;
        int status = 0, want = wants[o] != 0 ? wants[o] : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        GOOD(cuda.cuEventRecord(q.start, q.t));
        GOOD(cuda.cuStreamBeginCapture_v2(q.s, 0));
        GOOD(cuda.cuMemsetD8Async(q.x, 0, 4, q.s));
        int error = offend((Offence)o, &q);
        CHECK(error == want, "offence %d: %d", o, error);
        GOOD(cuda.cuStreamIsCapturing(q.s, &status));
        CHECK(status == 2, "offence %d: %d", o, status);
        GIVES(STREAM_CAPTURE_INVALIDATED, cuda.cuMemsetD8Async(q.x, 0, 4, q.s));
        GIVES(STREAM_CAPTURE_INVALIDATED, cuda.cuEventRecord(q.start, q.s));
        GIVES(STREAM_CAPTURE_INVALIDATED, cuda.cuStreamEndCapture(q.s, &graph));
        CHECK(graph == NULL, "a graph of it");
        if (o == O_OTHER) GIVES(STREAM_CAPTURE_INVALIDATED, cuda.cuStreamEndCapture(q.t, &graph));
        GOOD(cuda.cuStreamIsCapturing(q.s, &status));
        CHECK(status == 0, "offence %d: %d", o, status);
        GOOD(cuda.cuStreamSynchronize(q.s));
        streams_drop(&q);
    }
}

/* Work of a stream that the first does not wait for; a stream that goes away. */
static void test_unjoined(void) {
    Streams q = streams_make(1);
    CUgraph graph = NULL;
    for (int waits = 0; waits < 2; waits++) {
        GOOD(cuda.cuStreamBeginCapture_v2(q.s, 1));
        GOOD(cuda.cuEventRecord(q.e, q.s));
        GOOD(cuda.cuStreamWaitEvent(q.t, q.e, 0));
        GOOD(cuda.cuMemsetD8Async(q.x, 0, 4, q.t));
        GOOD(cuda.cuEventRecord(q.e, q.t));
        if (waits) GOOD(cuda.cuStreamWaitEvent(q.s, q.e, 0));
        if (!waits) {
            GIVES(STREAM_CAPTURE_UNJOINED, cuda.cuStreamEndCapture(q.s, &graph));
            CHECK(graph == NULL, "a graph of it");
        }
        if (waits) GOOD(cuda.cuStreamEndCapture(q.s, &graph));
        if (waits) GOOD(cuda.cuGraphDestroy(graph));
        GOOD(cuda.cuStreamSynchronize(q.t));
    }
    CUstream gone;
    int status = 9;
    GOOD(cuda.cuStreamCreate(&gone, 1));
    GOOD(cuda.cuStreamBeginCapture_v2(gone, 1));
    GOOD(cuda.cuEventRecord(q.e, gone));
    GOOD(cuda.cuStreamWaitEvent(q.s, q.e, 0));
    GOOD(cuda.cuStreamDestroy_v2(gone));
    GOOD(cuda.cuStreamIsCapturing(q.s, &status));
    CHECK(status == 0, "%d", status);
    streams_drop(&q);
}

typedef struct Elsewhere {
    CUcontext c;
    CUstream mine, recorded;
    CUgraph graph;
    int error[2];
} Elsewhere;

static void *wait_elsewhere(void *user) {
    Elsewhere *x = user;
    GOOD(cuda.cuCtxSetCurrent(x->c));
    x->error[0] = cuda.cuStreamSynchronize(x->mine);
    x->error[1] = cuda.cuStreamEndCapture(x->recorded, &x->graph);
    return NULL;
}

/* What another thread may do while a stream is recorded, by what the recording forbids. */
static void test_modes(int d) {
    static const int wants[][2] = {
        {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD},
        {CUDA_SUCCESS, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD},
        {CUDA_SUCCESS, CUDA_SUCCESS}};
    for (int mode = 0; mode < 3; mode++) {
        Elsewhere x = {.c = context[d]};
        GOOD(cuda.cuStreamCreate(&x.mine, 1));
        GOOD(cuda.cuStreamCreate(&x.recorded, 1));
        GOOD(cuda.cuStreamBeginCapture_v2(x.recorded, mode));
        if (mode == 2) GOOD(cuda.cuStreamSynchronize(x.mine));
        in_thread(wait_elsewhere, &x);
        CHECK(x.error[0] == wants[mode][0], "mode %d: %d", mode, x.error[0]);
        CHECK(x.error[1] == wants[mode][1], "mode %d: %d", mode, x.error[1]);
        if (mode == 0)
            GIVES(STREAM_CAPTURE_INVALIDATED, cuda.cuStreamEndCapture(x.recorded, &x.graph));
        if (mode == 1) GOOD(cuda.cuStreamEndCapture(x.recorded, &x.graph));
        if (mode > 0) GOOD(cuda.cuGraphDestroy(x.graph));
        GOOD(cuda.cuStreamDestroy_v2(x.mine));
        GOOD(cuda.cuStreamDestroy_v2(x.recorded));
    }
}

/* ---- code -------------------------------------------------------------------------------------------- */

#define HEAD "// a text\n/* in two\nlines */ .version 8.0\n.target sm_80\n.address_size 64\n"

static void test_refusals(void) {
    CUmodule m;
    char log[200], tiny[8];
    size_t used = 0;
    SAYS(INVALID_PTX, "it does not begin with .version", cuda.cuModuleLoadData(&m, "no text"));
    GOOD(cuda.cuCtxSynchronize());
    CHECK(strcmp(text_of(218), "a PTX JIT compilation failed") == 0, "%s", text_of(218));
    GIVES(INVALID_PTX, cuda.cuModuleLoadData(&m, ""));
    GIVES(INVALID_PTX, cuda.cuModuleLoadData(&m, "// .version 8.0"));
    SAYS(NO_BINARY_FOR_GPU, "the emulator runs PTX only",
         cuda.cuModuleLoadData(&m, "\x7f"
                                   "ELF and more"));
    GIVES(NO_BINARY_FOR_GPU, cuda.cuModuleLoadFatBinary(&m, "\x50\xed\x55\xba"));
    SAYS(UNSUPPORTED_PTX_VERSION, "PTX of version 8.1; the emulated driver, of CUDA 12.0",
         cuda.cuModuleLoadData(&m, ".version 8.1\n.target sm_80\n"));
    GIVES(INVALID_VALUE, cuda.cuModuleLoadData(NULL, HEAD));
    GIVES(INVALID_VALUE, cuda.cuModuleLoadData(&m, NULL));
    GIVES(FILE_NOT_FOUND, cuda.cuModuleLoad(&m, "there/is/no/such/file"));
    GIVES(INVALID_PTX, cuda.cuModuleLoad(&m, "tests/emulator/test_cuda.c"));
    memset(log, 'x', sizeof log);
    GIVES(INVALID_PTX, load_with_log(&m, "no text", log, sizeof log, &used));
    CHECK(strstr(log, "ptxas application ptx input") == log && used == strlen(log), "%s", log);
    GIVES(NO_BINARY_FOR_GPU, load_with_log(&m,
                                           "\x7f"
                                           "ELF",
                                           log, sizeof log, &used));
    CHECK(log[0] == '\0' && used == 0, "%s", log);
    memset(tiny, 'x', sizeof tiny);
    GIVES(INVALID_PTX, load_with_log(&m, "no text", tiny, 6, &used));
    CHECK(strcmp(tiny, "ptxas") == 0 && tiny[6] == 'x' && used == 5, "%.8s", tiny);
    int option = 99;
    void *value = NULL;
    GIVES(INVALID_VALUE, cuda.cuModuleLoadDataEx(&m, HEAD, 1, &option, &value));
    GIVES(INVALID_VALUE, cuda.cuModuleLoadDataEx(&m, HEAD, 1, NULL, NULL));
    GIVES(INVALID_HANDLE, cuda.cuModuleUnload(NULL));
}

static void on_device(int d) {
    GOOD(cuda.cuCtxSetCurrent(context[d]));
    test_memory(d);
    test_pinned();
    test_streams();
    test_events(d);
    test_null_stream();
    test_graphs();
    test_offences();
    test_unjoined();
    test_modes(d);
    test_refusals();
}

int main(int argc, char **argv) {
    if (argc < 2) return 1;
    setenv("RWKVC_EMU_MEMORY", "64M", 1);
    open_library(argv[1]);
    test_start();
    test_devices();
    test_errors();
    test_contexts();
    test_reset();
    for (int d = 0; d < 2; d++) on_device(d);
    for (int d = 0; d < 2; d++) GOOD(cuda.cuDevicePrimaryCtxRelease_v2(d));
    return finish();
}
