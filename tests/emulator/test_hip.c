/* The library with HIP's names, opened as a driver opens it. Its argument is where it is; with a
 * second one it is run once more by itself, to see what is reported at the end of a process. */
#include "assemble.h"
#include "hip_api.h"
#include "reported.h"
#include "tests/failures.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOOD(call)                                                                                 \
    do {                                                                                           \
        int error_ = (call);                                                                       \
        CHECK(error_ == hipSuccess, "%d: %s", error_, hip.hipGetErrorString(error_));              \
    } while (0)
#define GIVES(want, call)                                                                          \
    do {                                                                                           \
        int error_ = (call);                                                                       \
        CHECK(error_ == (want), "%d: %s", error_, hip.hipGetErrorString(error_));                  \
    } while (0)

/* It finds no end to this. */
/* clang-format off */
#define NAMES(X)                                                                                                \
    X(hipInit)                                                                                                  \
    X(hipGetDeviceCount)                                                                                        \
    X(hipSetDevice)                                                                                             \
    X(hipGetDevice) X(hipDeviceGetName) X(hipDeviceTotalMem) X(hipDeviceComputeCapability) X(                   \
        hipDeviceGetAttribute) X(hipGetDeviceProperties) X(hipGetDevicePropertiesR0600)                         \
        X(hipDeviceCanAccessPeer) X(hipDeviceSynchronize) X(hipDeviceReset) X(                                  \
            hipDriverGetVersion) X(hipRuntimeGetVersion) X(hipGetLastError) X(hipPeekAtLastError)               \
            X(hipGetErrorName) X(hipGetErrorString) X(hipMalloc) X(hipFree) X(hipMallocAsync) X(                \
                hipFreeAsync) X(hipHostMalloc) X(hipHostFree) X(hipHostRegister)                                \
                X(hipHostUnregister) X(hipHostGetDevicePointer) X(hipMemGetInfo) X(hipMemcpy) X(                \
                    hipMemcpyAsync) X(hipMemcpyWithStream) X(hipMemcpyHtoD) X(hipMemcpyDtoH)                    \
                    X(hipMemcpyDtoD) X(hipMemcpyHtoDAsync) X(hipMemcpyDtoHAsync) X(                             \
                        hipMemcpyDtoDAsync) X(hipMemset) X(hipMemsetAsync) X(hipMemsetD8)                       \
                        X(hipMemsetD8Async) X(hipMemsetD16) X(hipMemsetD16Async) X(hipMemsetD32) X(             \
                            hipMemsetD32Async) X(hipStreamCreate) X(hipStreamCreateWithFlags)                   \
                            X(hipStreamCreateWithPriority) X(hipDeviceGetStreamPriorityRange) X(                \
                                hipStreamDestroy) X(hipStreamSynchronize) X(hipStreamQuery)                     \
                                X(hipStreamWaitEvent) X(hipLaunchHostFunc) X(hipEventCreate) X(                 \
                                    hipEventCreateWithFlags) X(hipEventRecord)                                  \
                                    X(hipEventSynchronize) X(hipEventQuery) X(                                  \
                                        hipEventElapsedTime) X(hipEventDestroy)                                 \
                                        X(hipStreamBeginCapture) X(hipStreamEndCapture) X(                      \
                                            hipStreamIsCapturing) X(hipGraphInstantiate)                        \
                                            X(hipGraphInstantiateWithFlags) X(hipGraphLaunch) X(                \
                                                hipGraphUpload) X(hipGraphDestroy)                              \
                                                X(hipGraphExecDestroy) X(hipModuleLoad) X(                      \
                                                    hipModuleLoadData) X(hipModuleLoadDataEx)                   \
                                                    X(hipModuleUnload) X(hipModuleGetFunction) X(               \
                                                        hipModuleGetGlobal) X(hipFuncGetAttribute)              \
                                                        X(hipFuncSetAttribute) X(                               \
                                                            hipModuleOccupancyMaxActiveBlocksPerMultiprocessor) \
                                                            X(hipModuleLaunchKernel)                            \
                                                                X(hipDeviceGet)
/* clang-format on */

#define MEMBER(name) __typeof__(name) *name;
static struct Names { NAMES(MEMBER) } hip;

static void open_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        printf("%s\n", dlerror());
        exit(1);
    }
#define LOAD(name)                                                                                 \
    *(void **)&hip.name = dlsym(library, #name);                                                   \
    if (hip.name == NULL) {                                                                        \
        printf("%s is missing\n", #name);                                                          \
        exit(1);                                                                                   \
    }
    NAMES(LOAD)
}

/* ---- the program --------------------------------------------------------------------------------- */

static const char *const processors[2] = {"gfx942", "gfx1100"};
static uint8_t *codes[2], *both;
static size_t sizes[2], both_bytes;

static void make_code(void) {
    size_t n;
    uint8_t *text = read_whole("tests/emulator/kernels/common.ll", &n);
    if (text == NULL) exit(1);
    text[n] = '\0';
    for (int i = 0; i < 2; i++)
        codes[i] = code_from_ir(processors[i], (char *)text, true, &sizes[i]);
    both = bundle(processors, codes, sizes, 2, &both_bytes);
    free(text);
}

typedef struct Saxpy {
    float *y, *x;
    float a;
    int n;
} Saxpy;

static int launch_saxpy(hipFunction_t f, Saxpy *s, hipStream_t stream) {
    size_t bytes = 24;
    void *extra[] = {(void *)1, s, (void *)2, &bytes, (void *)3};
    return hip.hipModuleLaunchKernel(f, ((unsigned)s->n + 255) / 256, 1, 1, 256, 1, 1, 0, stream,
                                     NULL, extra);
}

/* ---- what devices say ------------------------------------------------------------------------------ */

static void test_devices(void) {
    int n = 0, version = 0, value = 0, major = 0, minor = 0, device = 7;
    char buffer[4096], name[64];
    size_t bytes = 0;
    GOOD(hip.hipInit(0));
    GOOD(hip.hipGetDeviceCount(&n));
    CHECK(n == 2, "%d", n);
    GOOD(hip.hipRuntimeGetVersion(&version));
    GOOD(hip.hipDriverGetVersion(&version));
    CHECK(version >= 60000000, "%d", version);
    for (int d = 0; d < 2; d++) {
        GOOD(hip.hipGetDeviceProperties(buffer, d));
        CHECK(strncmp(buffer + 396, processors[d], strlen(processors[d])) == 0, "%s", buffer + 396);
        GOOD(hip.hipGetDevicePropertiesR0600(buffer, d));
        CHECK(strncmp(buffer + 1160, processors[d], strlen(processors[d])) == 0, "%s",
              buffer + 1160);
        GOOD(hip.hipDeviceGetAttribute(&value, 87, d));
        CHECK(value == (d == 0 ? 64 : 32), "%d", value);
        GOOD(hip.hipDeviceGetAttribute(&value, 74, d));
        CHECK(value == 65536, "%d", value);
        GOOD(hip.hipDeviceComputeCapability(&major, &minor, d));
        CHECK(major == (d == 0 ? 9 : 11), "%d", major);
        GOOD(hip.hipDeviceGetName(name, sizeof name, d));
        CHECK(strstr(name, processors[d]) != NULL, "%s", name);
        GOOD(hip.hipDeviceTotalMem(&bytes, d));
        CHECK(bytes == (size_t)64 << 20, "%zu", bytes);
        GOOD(hip.hipDeviceGet(&device, d));
        CHECK(device == d, "%d", device);
    }
    GOOD(hip.hipDeviceCanAccessPeer(&value, 0, 1));
    GIVES(hipErrorInvalidDevice, hip.hipSetDevice(2));
    GIVES(hipErrorInvalidDevice, hip.hipGetLastError());
    GIVES(hipSuccess, hip.hipPeekAtLastError());
    GIVES(hipErrorInvalidValue, hip.hipDeviceGetAttribute(&value, 9999, 0));
    CHECK(strcmp(hip.hipGetErrorName(209), "hipErrorNoBinaryForGpu") == 0, "%s",
          hip.hipGetErrorName(209));
    GOOD(hip.hipSetDevice(1));
    GOOD(hip.hipGetDevice(&device));
    CHECK(device == 1, "%d", device);
}

static void test_loading(int d) {
    hipModule_t m;
    hipFunction_t f;
    void *at;
    size_t bytes;
    int value;
    GOOD(hip.hipSetDevice(d));
    GIVES(hipErrorNoBinaryForGpu, hip.hipModuleLoadData(&m, codes[1 - d]));
    CHECK(strstr(hip.hipGetErrorString(209), processors[d]) != NULL, "%s",
          hip.hipGetErrorString(209));
    GIVES(hipErrorInvalidImage,
          hip.hipModuleLoadData(&m, "this is no code at all, but long enough to be looked at, "
                                    "and a bit longer"));
    GIVES(hipErrorInvalidImage, hip.hipModuleLoad(&m, "/dev/null")); /* and nothing more is said */
    CHECK(strcmp(hip.hipGetErrorString(200), "device kernel image is invalid") == 0, "%s",
          hip.hipGetErrorString(200));
    GIVES(hipErrorFileNotFound, hip.hipModuleLoad(&m, "there/is/no/such/file"));
    GOOD(hip.hipModuleLoadData(&m, codes[d]));
    GOOD(hip.hipModuleUnload(m));
    GIVES(hipErrorInvalidHandle, hip.hipModuleUnload(m));
    GOOD(hip.hipModuleLoadDataEx(&m, both, 0, NULL, NULL));
    GIVES(hipErrorNotFound, hip.hipModuleGetFunction(&f, m, "nothing"));
    GOOD(hip.hipModuleGetFunction(&f, m, "reduce"));
    GOOD(hip.hipFuncGetAttribute(&value, 1, f));
    CHECK(value == 1024, "%d bytes of local memory", value);
    GOOD(hip.hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(&value, f, 256, 0));
    CHECK(value > 0, "%d", value);
    GOOD(hip.hipModuleGetGlobal(&at, &bytes, m, "note"));
    CHECK(bytes == 6, "%zu", bytes);
    char text[6] = "";
    GOOD(hip.hipMemcpyDtoH(text, at, 6));
    CHECK(strcmp(text, "hello") == 0, "%s", text);
    GOOD(hip.hipModuleUnload(m));
    GIVES(hipErrorInvalidHandle,
          hip.hipModuleLaunchKernel(f, 1, 1, 1, 256, 1, 1, 0, NULL, NULL, NULL));
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void test_memory(void) {
    void *a, *b, *c;
    size_t left, total, before;
    uint32_t x[256], y[256];
    GOOD(hip.hipMemGetInfo(&before, &total));
    CHECK(total == (size_t)64 << 20, "%zu", total);
    GOOD(hip.hipMalloc(&a, 48 << 20));
    GIVES(hipErrorOutOfMemory, hip.hipMalloc(&b, 32 << 20));
    GOOD(hip.hipMalloc(&b, 1024));
    GOOD(hip.hipMemGetInfo(&left, NULL));
    CHECK(left == before - (48 << 20) - 1024, "%zu", left);
    GOOD(hip.hipFree(a));
    GIVES(hipErrorInvalidValue, hip.hipFree(a));
    GOOD(hip.hipFree(NULL));
    GOOD(hip.hipMalloc(&c, 0));
    CHECK(c == NULL, "something of nothing");
    for (uint32_t i = 0; i < 256; i++) x[i] = i * i;
    GOOD(hip.hipMemcpyHtoD(b, x, 1024));
    GOOD(hip.hipMemcpyDtoH(y, b, 1024));
    CHECK(memcmp(x, y, 1024) == 0, "copied otherwise");
    GIVES(hipErrorInvalidValue, hip.hipMemcpyHtoD((char *)b + 512, x, 1024));
    GIVES(hipErrorInvalidValue, hip.hipMemcpyHtoD(y, x, 1024));
    GIVES(hipErrorInvalidValue, hip.hipMemcpyDtoD(b, x, 1024));
    GIVES(hipErrorInvalidMemcpyDirection, hip.hipMemcpy(b, x, 1024, 9));
    GOOD(hip.hipMemsetD32(b, 0x01020304, 128));
    GOOD(hip.hipMemsetD16((char *)b + 512, 0x0506, 128));
    GOOD(hip.hipMemsetD8((char *)b + 768, 7, 256));
    GOOD(hip.hipMemcpy(y, b, 1024, hipMemcpyDefault));
    CHECK(y[127] == 0x01020304 && y[128] == 0x05060506 && y[192] == 0x07070707, "%x %x %x", y[127],
          y[128], y[192]);
    GIVES(hipErrorInvalidValue, hip.hipMemset(b, 0, 1025));
    GOOD(hip.hipFree(b));
    GOOD(hip.hipHostRegister(x, sizeof x, 0));
    GOOD(hip.hipHostGetDevicePointer(&a, x, 0));
    CHECK(a == (void *)x, "another address");
    GOOD(hip.hipHostUnregister(x));
    GIVES(hipErrorInvalidValue, hip.hipHostUnregister(x));
}

/* ---- streams: work is done late, in order, and not before what it waits for ------------------------- */

/* It may ask for nothing. */
static void count_up(void *argument) {
    *(int *)argument += hip.hipDeviceSynchronize() == hipErrorNotSupported;
}

static void test_streams(hipFunction_t f) {
    enum { N = 1000 };
    hipStream_t s, t;
    hipEvent_t e, start;
    float *x, *y, *host, pageable[N], ms = -1;
    int called = 0;
    GOOD(hip.hipStreamCreateWithFlags(&s, 1));
    GOOD(hip.hipStreamCreateWithFlags(&t, 1));
    GOOD(hip.hipEventCreateWithFlags(&e, 0));
    GOOD(hip.hipEventCreate(&start));
    GOOD(hip.hipMalloc((void **)&x, N * 4));
    GOOD(hip.hipMalloc((void **)&y, N * 4));
    GOOD(hip.hipHostMalloc((void **)&host, N * 4, 0));
    for (int i = 0; i < N; i++) pageable[i] = (float)i;
    GOOD(hip.hipEventRecord(start, s));
    GOOD(hip.hipMemcpyHtoDAsync(x, pageable, N * 4, s));
    memset(pageable, 0, sizeof pageable); /* it was read already */
    GOOD(hip.hipMemsetAsync(y, 0, N * 4, s));
    Saxpy args = {y, x, 2, N};
    GOOD(launch_saxpy(f, &args, s));
    args.a = 100; /* so were the arguments */
    GOOD(hip.hipEventRecord(e, s));
    GOOD(hip.hipStreamWaitEvent(t, e, 0));
    memset(host, 0, N * 4);
    GOOD(hip.hipMemcpyDtoHAsync(host, y, N * 4, t));
    GOOD(hip.hipLaunchHostFunc(t, count_up, &called));
    CHECK(host[7] == 0 && called == 0, "too early");
    GIVES(hipErrorNotReady, hip.hipEventElapsedTime(&ms, start, e));
    GOOD(hip.hipStreamSynchronize(t));
    CHECK(called == 1 && host[999] == 1998, "%d, %g", called, (double)host[999]);
    GOOD(hip.hipEventSynchronize(e));
    GOOD(hip.hipEventElapsedTime(&ms, start, e));
    CHECK(ms > 0, "%g ms", (double)ms);
    GOOD(hip.hipEventQuery(e));
    /* pinned memory is read when it is its turn */
    host[0] = 1;
    GOOD(hip.hipMemcpyHtoDAsync(x, host, 4, s));
    host[0] = 5;
    int error = hipErrorNotReady;
    for (int i = 0; i < 10 && error == hipErrorNotReady; i++) error = hip.hipStreamQuery(s);
    GOOD(error);
    GOOD(hip.hipMemcpy(pageable, x, 4, hipMemcpyDeviceToHost));
    CHECK(pageable[0] == 5, "%g", (double)pageable[0]);
    GOOD(hip.hipEventDestroy(e));
    GOOD(hip.hipEventDestroy(start));
    GIVES(hipErrorInvalidHandle, hip.hipEventRecord(e, s));
    GOOD(hip.hipStreamDestroy(s));
    GOOD(hip.hipStreamDestroy(t));
    GIVES(hipErrorInvalidHandle, hip.hipStreamSynchronize(s));
    GOOD(hip.hipFree(x));
    GOOD(hip.hipFree(y));
    GOOD(hip.hipHostFree(host));
}

/* A blocking stream and the null stream wait for each other. */
static void test_null_stream(hipFunction_t f) {
    hipStream_t s;
    float *x, *y, got[256];
    GOOD(hip.hipStreamCreate(&s));
    GOOD(hip.hipMallocAsync((void **)&x, 1024, s));
    GOOD(hip.hipMalloc((void **)&y, 1024));
    GOOD(hip.hipMemsetD32Async(x, 0x3f800000, 256, s));
    GOOD(hip.hipMemsetD32Async(y, 0, 256, NULL));
    Saxpy args = {y, x, 3, 256};
    GOOD(launch_saxpy(f, &args, NULL));
    GOOD(launch_saxpy(f, &args, s));
    GOOD(hip.hipMemcpyWithStream(got, y, 1024, hipMemcpyDeviceToHost, s));
    CHECK(got[255] == 6, "%g", (double)got[255]);
    GOOD(hip.hipFreeAsync(x, s));
    GOOD(hip.hipDeviceSynchronize());
    GIVES(hipErrorInvalidValue, hip.hipFree(x));
    GOOD(hip.hipFree(y));
    GOOD(hip.hipStreamDestroy(s));
}

/* ---- graphs -------------------------------------------------------------------------------------------- */

static void test_graphs(hipFunction_t f) {
    hipStream_t s, t;
    hipEvent_t fork, join;
    hipGraph_t graph;
    hipGraphExec_t exec;
    float *x, *y, *in, *out;
    int status = 9;
    GOOD(hip.hipStreamCreate(&s));
    GOOD(hip.hipStreamCreateWithFlags(&t, 1));
    GOOD(hip.hipEventCreate(&fork));
    GOOD(hip.hipEventCreate(&join));
    GOOD(hip.hipMalloc((void **)&x, 1024));
    GOOD(hip.hipMalloc((void **)&y, 1024));
    GOOD(hip.hipHostMalloc((void **)&in, 1024, 0));
    GOOD(hip.hipHostMalloc((void **)&out, 1024, 0));
    GOOD(hip.hipStreamBeginCapture(s, 0));
    GOOD(hip.hipStreamIsCapturing(s, &status));
    CHECK(status == 1, "%d", status);
    GOOD(hip.hipMemcpyAsync(x, in, 1024, hipMemcpyHostToDevice, s));
    GOOD(hip.hipEventRecord(fork, s));
    GOOD(hip.hipStreamWaitEvent(t, fork, 0));
    GOOD(hip.hipMemsetAsync(y, 0, 1024, t));
    GOOD(hip.hipEventRecord(join, t));
    GOOD(hip.hipStreamWaitEvent(s, join, 0));
    Saxpy args = {y, x, 2, 256};
    GOOD(launch_saxpy(f, &args, s));
    GOOD(hip.hipMemcpyAsync(out, y, 1024, hipMemcpyDeviceToHost, s));
    GIVES(hipErrorStreamCaptureUnsupported, hip.hipStreamSynchronize(s));
    GIVES(hipErrorStreamCaptureUnsupported, hip.hipMalloc((void **)&args.x, 4));
    GIVES(hipErrorStreamCaptureUnmatched, hip.hipStreamEndCapture(t, &graph));
    GOOD(hip.hipStreamEndCapture(s, &graph));
    GIVES(hipErrorStreamCaptureUnmatched, hip.hipStreamEndCapture(s, &graph));
    GOOD(hip.hipGraphInstantiate(&exec, graph, NULL, NULL, 0));
    GOOD(hip.hipGraphDestroy(graph));
    GOOD(hip.hipGraphUpload(exec, s));
    for (int round = 1; round < 4; round++) {
        for (int i = 0; i < 256; i++) in[i] = (float)(i * round);
        out[3] = -1;
        GOOD(hip.hipGraphLaunch(exec, s));
        CHECK(out[3] < 0, "too early");
        GOOD(hip.hipStreamSynchronize(s));
        CHECK(out[3] == (float)(6 * round) && out[255] == (float)(510 * round), "%g",
              (double)out[255]);
    }
    GOOD(hip.hipGraphExecDestroy(exec));
    GIVES(hipErrorInvalidValue, hip.hipGraphLaunch(exec, s));
    GOOD(hip.hipEventDestroy(fork));
    GOOD(hip.hipEventDestroy(join));
    GOOD(hip.hipStreamDestroy(s));
    GOOD(hip.hipStreamDestroy(t));
    GOOD(hip.hipFree(x));
    GOOD(hip.hipFree(y));
    GOOD(hip.hipHostFree(in));
    GOOD(hip.hipHostFree(out));
}

typedef struct Elsewhere {
    hipStream_t mine, recorded;
    hipGraph_t graph;
    int error[3];
} Elsewhere;

static void *wait_elsewhere(void *user) {
    Elsewhere *x = user;
    x->error[0] = hip.hipStreamSynchronize(x->mine);
    x->error[1] = hip.hipStreamSynchronize(x->recorded);
    x->error[2] = hip.hipStreamEndCapture(x->recorded, &x->graph);
    return NULL;
}

/* What another thread may do while a stream is recorded, by what the recording forbids. */
static void test_modes(void) {
    static const int wants[][2] = {
        {hipErrorStreamCaptureUnsupported, hipErrorStreamCaptureWrongThread},
        {hipSuccess, hipErrorStreamCaptureWrongThread},
        {hipSuccess, hipSuccess}};
    for (int mode = 0; mode < 3; mode++) {
        Elsewhere x = {0};
        pthread_t thread;
        GOOD(hip.hipStreamCreate(&x.mine));
        GOOD(hip.hipStreamCreate(&x.recorded));
        GOOD(hip.hipStreamBeginCapture(x.recorded, mode));
        GIVES(mode == 2 ? hipSuccess : hipErrorStreamCaptureUnsupported,
              hip.hipStreamSynchronize(x.mine));
        CHECK(pthread_create(&thread, NULL, wait_elsewhere, &x) == 0, "no thread");
        pthread_join(thread, NULL);
        CHECK(x.error[0] == wants[mode][0], "mode %d: %d", mode, x.error[0]);
        CHECK(x.error[1] == hipErrorStreamCaptureUnsupported, "mode %d: %d", mode, x.error[1]);
        CHECK(x.error[2] == wants[mode][1], "mode %d: %d", mode, x.error[2]);
        if (x.error[2] != hipSuccess) GOOD(hip.hipStreamEndCapture(x.recorded, &x.graph));
        GOOD(hip.hipGraphDestroy(x.graph));
        GOOD(hip.hipStreamDestroy(x.mine));
        GOOD(hip.hipStreamDestroy(x.recorded));
    }
    hipStream_t s;
    GOOD(hip.hipStreamCreate(&s));
    GIVES(hipErrorInvalidValue, hip.hipStreamBeginCapture(s, 3));
    GOOD(hip.hipStreamDestroy(s));
}

/* Work that the first stream does not wait for, and work that is not recorded. */
static void test_unjoined(void) {
    hipStream_t s[3];
    hipEvent_t e;
    hipGraph_t graph;
    void *x;
    for (int i = 0; i < 3; i++) GOOD(hip.hipStreamCreate(&s[i]));
    GOOD(hip.hipEventCreate(&e));
    GOOD(hip.hipMalloc(&x, 64));
    GOOD(hip.hipEventRecord(e, s[2]));
    GOOD(hip.hipStreamBeginCapture(s[0], 0));
    GIVES(hipErrorStreamCaptureIsolation, hip.hipStreamWaitEvent(s[0], e, 0));
    GIVES(hipErrorStreamCaptureImplicit, hip.hipMemsetAsync(x, 0, 64, NULL));
    GOOD(hip.hipEventRecord(e, s[0]));
    GIVES(hipErrorCapturedEvent, hip.hipEventSynchronize(e));
    GOOD(hip.hipStreamWaitEvent(s[1], e, 0));
    GOOD(hip.hipMemsetAsync(x, 0, 64, s[1]));
    GOOD(hip.hipStreamBeginCapture(s[2], 0));
    GIVES(hipErrorStreamCaptureMerge, hip.hipStreamWaitEvent(s[2], e, 0));
    GOOD(hip.hipStreamEndCapture(s[2], &graph));
    GOOD(hip.hipGraphDestroy(graph));
    GIVES(hipErrorStreamCaptureUnjoined, hip.hipStreamEndCapture(s[0], &graph));
    CHECK(graph == NULL, "a graph of it");
    for (int i = 0; i < 3; i++) GOOD(hip.hipStreamDestroy(s[i]));
    GOOD(hip.hipEventDestroy(e));
    GOOD(hip.hipFree(x));
}

/* Two launches change the same numbers, each in a stream of its own; does the second wait for the first? */
static void test_edge(hipFunction_t f, bool waits) {
    hipStream_t s[2];
    hipEvent_t fork, join;
    hipGraph_t graph;
    hipGraphExec_t exec;
    float *x;
    for (int i = 0; i < 2; i++) GOOD(hip.hipStreamCreate(&s[i]));
    GOOD(hip.hipEventCreate(&fork));
    GOOD(hip.hipEventCreate(&join));
    GOOD(hip.hipMalloc((void **)&x, 2048));
    GOOD(hip.hipMemset(x, 0, 2048));
    Saxpy args = {x, x + 256, 2, 256};
    GOOD(hip.hipStreamBeginCapture(s[0], 0));
    GOOD(hip.hipEventRecord(fork, s[0]));
    GOOD(hip.hipStreamWaitEvent(s[1], fork, 0));
    GOOD(launch_saxpy(f, &args, s[0]));
    if (waits) GOOD(hip.hipEventRecord(fork, s[0]));
    if (waits) GOOD(hip.hipStreamWaitEvent(s[1], fork, 0));
    GOOD(launch_saxpy(f, &args, s[1]));
    GOOD(hip.hipEventRecord(join, s[1]));
    GOOD(hip.hipStreamWaitEvent(s[0], join, 0));
    GOOD(launch_saxpy(f, &args, s[0]));
    GOOD(hip.hipStreamEndCapture(s[0], &graph));
    GOOD(hip.hipGraphInstantiate(&exec, graph, NULL, NULL, 0));
    GOOD(hip.hipGraphLaunch(exec, s[0]));
    GIVES(waits ? hipSuccess : hipErrorLaunchFailure, hip.hipStreamSynchronize(s[0]));
    CHECK(waits || strstr(hip.hipGetErrorString(719), "another group wrote") != NULL, "%s",
          hip.hipGetErrorString(719));
    if (waits) return;
    GOOD(hip.hipDeviceReset());
}

/* ---- launches that go wrong ------------------------------------------------------------------------------- */

static void test_faults(hipFunction_t f, hipFunction_t reduce) {
    float *x, *y;
    GOOD(hip.hipMalloc((void **)&x, 1024));
    GOOD(hip.hipMalloc((void **)&y, 1024));
    GOOD(hip.hipMemset(x, 0, 1024));
    GOOD(hip.hipMemset(y, 0, 1024));
    void *parameters[2] = {&y, &x};
    GOOD(hip.hipModuleLaunchKernel(reduce, 1, 1, 1, 256, 1, 1, 0, NULL, parameters, NULL));
    GOOD(hip.hipDeviceSynchronize());
    GIVES(hipErrorInvalidConfiguration,
          hip.hipModuleLaunchKernel(reduce, 1, 1, 1, 512, 1, 1, 0, NULL, parameters, NULL));
    CHECK(strstr(hip.hipGetErrorString(9), "kernel reduce: blocks of 512") != NULL, "%s",
          hip.hipGetErrorString(9));
    Saxpy args = {y, x, 2, 257};
    GOOD(launch_saxpy(f, &args, NULL));
    GIVES(hipErrorLaunchFailure, hip.hipDeviceSynchronize());
    CHECK(strstr(hip.hipGetErrorString(719), "kernel saxpy, group 1 0 0") != NULL, "%s",
          hip.hipGetErrorString(719));
    GIVES(hipErrorLaunchFailure, hip.hipMemcpy(&args, x, 4, hipMemcpyDeviceToHost));
    GIVES(hipErrorLaunchFailure, launch_saxpy(f, &args, NULL));
    GOOD(hip.hipDeviceReset());
    args.n = 256;
    GOOD(launch_saxpy(f, &args, NULL));
    GOOD(hip.hipDeviceSynchronize());
    GOOD(hip.hipFree(x));
    GOOD(hip.hipFree(y));
}

/* ---- the report ---------------------------------------------------------------------------------------------- */

static void run_one(int d) {
    hipModule_t m;
    hipFunction_t f;
    float *x;
    GOOD(hip.hipSetDevice(d));
    GOOD(hip.hipModuleLoadData(&m, both));
    GOOD(hip.hipModuleGetFunction(&f, m, "saxpy"));
    GOOD(hip.hipMalloc((void **)&x, 1024));
    GOOD(hip.hipMemset(x, 0, 1024));
    Saxpy args = {x, x, 2, 256};
    GOOD(launch_saxpy(f, &args, NULL));
    GOOD(hip.hipDeviceSynchronize());
    if (d == 0) GOOD(hip.hipModuleUnload(m)); /* one is gone, one is there at the end */
}

static void test_report(const char *self, const char *library) {
    static const char *const words[] = {"once", NULL};
    char text[8000];
    reported(self, library, words, text, sizeof text);
    int lines = 0;
    for (const char *p = text; (p = strstr(p, "\nsaxpy ")) != NULL; p++) lines++;
    CHECK(lines == 2 && strstr(text, "device 1, gfx1100") != NULL, "%s", text);
}

int main(int argc, char **argv) {
    if (argc < 2) return 1;
    setenv("RWKVC_EMU_MEMORY", "64M", 1);
    open_library(argv[1]);
    make_code();
    if (argc > 2) {
        run_one(0);
        run_one(1);
        return n_failures > 0;
    }
    test_devices();
    for (int d = 0; d < 2; d++) {
        hipModule_t m;
        hipFunction_t saxpy, reduce;
        test_loading(d);
        test_memory();
        GOOD(hip.hipModuleLoadData(&m, both));
        GOOD(hip.hipModuleGetFunction(&saxpy, m, "saxpy"));
        GOOD(hip.hipModuleGetFunction(&reduce, m, "reduce"));
        test_streams(saxpy);
        test_null_stream(saxpy);
        test_graphs(saxpy);
        test_modes();
        test_unjoined();
        test_edge(saxpy, true);
        test_edge(saxpy, false);
        test_faults(saxpy, reduce);
        GOOD(hip.hipModuleUnload(m));
    }
    test_report(argv[0], argv[1]);
    if (n_failures > 0) printf("%d failures\n", n_failures);
    return n_failures > 0;
}
