/* Kernels through the library with the names of NVIDIA's driver: texts, functions, launches, faults. Its argument is
 * where it is; with a device as a second one it is run once more by itself: a kernel that goes wrong spoils a process
 * for good. */
#include "cuda_testing.h"
#include "reported.h"

#include <unistd.h>

static char *common; /* kernels/common.ptx */

static void read_kernels(void) {
    FILE *f = fopen("tests/emulator/kernels/common.ptx", "rb");
    size_t room = 1 << 16;
    common = calloc(1, room);
    if (f == NULL || fread(common, 1, room - 1, f) == 0) exit(1);
    fclose(f);
}

/* The same with another target, or with something the assembler does not know. */
static char *changed(const char *from, const char *to) {
    size_t n = strlen(common) + strlen(to) + 1;
    char *text = malloc(n), *at = strstr(common, from);
    snprintf(text, n, "%.*s%s%s", (int)(at - common), common, to, at + strlen(from));
    return text;
}

static void test_texts(int d) {
    CUmodule m;
    char log[400] = "", *newer = changed("sm_80", "sm_90"),
         *unknown = changed(".f32 saxpy", ".q32 saxpy");
    size_t used;
    if (d == 0) {
        SAYS(INVALID_PTX, "newer processor", cuda.cuModuleLoadData(&m, newer));
    } else {
        GOOD(cuda.cuModuleLoadData(&m, newer));
        GOOD(cuda.cuModuleUnload(m));
    }
    GIVES(INVALID_PTX, load_with_log(&m, unknown, log, sizeof log, &used));
    CHECK(strstr(log, "line 11") != NULL, "%s", log);
    GOOD(load_with_log(&m, common, log, sizeof log, &used));
    CHECK(log[0] == '\0' && used == 0, "%s", log);
    GOOD(cuda.cuModuleUnload(m));
    GIVES(INVALID_HANDLE, cuda.cuModuleUnload(m));
    GOOD(cuda.cuModuleLoad(&m, "tests/emulator/kernels/common.ptx"));
    GOOD(cuda.cuModuleUnload(m));
    free(newer);
    free(unknown);
}

static void test_functions(int d) {
    CUmodule m;
    CUfunction f, again;
    CUdeviceptr at;
    size_t bytes = 0;
    int value = 0;
    char text[6] = "";
    GOOD(cuda.cuModuleLoadData(&m, common));
    GIVES(NOT_FOUND, cuda.cuModuleGetFunction(&f, m, "nothing"));
    GIVES(NOT_FOUND, cuda.cuModuleGetGlobal_v2(&at, &bytes, m, "nothing"));
    GIVES(INVALID_VALUE, cuda.cuModuleGetFunction(NULL, m, "reduce"));
    GIVES(INVALID_HANDLE, cuda.cuModuleGetFunction(&f, (CUmodule)&m, "reduce"));
    GOOD(cuda.cuModuleGetFunction(&f, m, "reduce"));
    GOOD(cuda.cuModuleGetFunction(&again, m, "reduce"));
    CHECK(f == again, "two of one name");
    const int attributes[][2] = {{0, 256},     {1, 1024},  {3, 0}, {5, 80},
                                 {6, arch[d]}, {8, 48128}, {9, -1}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        GOOD(cuda.cuFuncGetAttribute(&value, attributes[i][0], f));
        CHECK(value == attributes[i][1], "attribute %d: %d", attributes[i][0], value);
    }
    GIVES(INVALID_VALUE, cuda.cuFuncGetAttribute(&value, 99, f));
    GIVES(INVALID_VALUE, cuda.cuFuncSetAttribute(f, 8, d == 0 ? 165889 : 231425));
    GIVES(INVALID_VALUE, cuda.cuFuncSetAttribute(f, 1, 0));
    GOOD(cuda.cuFuncSetAttribute(f, 8, d == 0 ? 165888 : 231424));
    GOOD(cuda.cuFuncSetAttribute(f, 9, 50));
    GOOD(cuda.cuFuncSetCacheConfig(f, 1));
    GIVES(INVALID_VALUE, cuda.cuFuncSetCacheConfig(f, 4));
    GOOD(cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, f, 256, 0));
    CHECK(value == 8, "%d groups", value);
    GOOD(cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, f, 256, 30 << 10));
    CHECK(value == (d == 0 ? 5 : 7), "%d groups", value);
    GIVES(INVALID_VALUE,
          cuda.cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&value, f, 0, 0, 0));
    GOOD(cuda.cuModuleGetGlobal_v2(&at, &bytes, m, "note"));
    CHECK(bytes == 6, "%zu", bytes);
    GOOD(cuda.cuMemcpyDtoH_v2(text, at, 6));
    CHECK(strcmp(text, "hello") == 0, "%s", text);
    GOOD(cuda.cuModuleUnload(m));
    GIVES(INVALID_HANDLE, cuda.cuFuncGetAttribute(&value, 0, f));
    GIVES(INVALID_HANDLE, cuda.cuLaunchKernel(f, 1, 1, 1, 256, 1, 1, 0, NULL, NULL, NULL));
}

/* ---- launches ---------------------------------------------------------------------------------------- */

typedef struct Saxpy {
    CUdeviceptr y, x;
    float a;
    int n;
} Saxpy;

static int launch_saxpy(CUfunction f, Saxpy *s, CUstream stream) {
    void *parameters[] = {&s->y, &s->x, &s->a, &s->n};
    return cuda.cuLaunchKernel(f, ((unsigned)s->n + 255) / 256, 1, 1, 256, 1, 1, 0, stream,
                               parameters, NULL);
}

static void test_launches(CUfunction saxpy, CUfunction reduce) {
    CUdeviceptr x, y;
    CUstream s;
    float got[N], a = 2, sums[2];
    GOOD(cuda.cuStreamCreate(&s, 1));
    GOOD(cuda.cuMemAlloc_v2(&x, N * 4));
    GOOD(cuda.cuMemAlloc_v2(&y, N * 4));
    for (int i = 0; i < N; i++) got[i] = (float)(i % 7);
    GOOD(cuda.cuMemcpyHtoDAsync_v2(x, got, N * 4, s));
    GOOD(cuda.cuMemsetD32Async(y, 0x3f800000, N, s));
    Saxpy args = {y, x, a, N};
    GOOD(launch_saxpy(saxpy, &args, s));
    args.a = 100; /* it was read already */
    GOOD(cuda.cuMemcpyDtoHAsync_v2(got, y, N * 4, s));
    CHECK(got[0] == 1 && got[6] == 13 && got[999] == 11, "%g %g %g", (double)got[0], (double)got[6],
          (double)got[999]);
    /* the arguments as one piece */
    size_t bytes = sizeof(Saxpy);
    args = (Saxpy){y, y, 1, 512};
    void *extra[] = {(void *)1, &args, (void *)2, &bytes, (void *)0};
    GOOD(cuda.cuLaunchKernel(saxpy, 2, 1, 1, 256, 1, 1, 0, s, NULL, extra));
    void *parameters[] = {&x, &y};
    GOOD(cuda.cuLaunchKernel(reduce, 2, 1, 1, 256, 1, 1, 0, s, parameters, NULL));
    GOOD(cuda.cuMemcpyDtoHAsync_v2(sums, x, 8, s));
    float want[2] = {0, 0};
    for (int i = 0; i < 512; i++) want[i / 256] += 2 * (1 + 2 * (float)(i % 7));
    CHECK(sums[0] == want[0] && sums[1] == want[1], "%g %g", (double)sums[0], (double)sums[1]);
    GOOD(cuda.cuMemFree_v2(x));
    GOOD(cuda.cuMemFree_v2(y));
    GOOD(cuda.cuStreamDestroy_v2(s));
}

/* What is wrong with a launch is said when it is asked for. */
static void test_sizes(CUfunction saxpy, CUfunction reduce, int d) {
    static const struct {
        int want;
        unsigned grid[3], block[3], local;
        const char *part;
    } cases[] = {{1, {0, 1, 1}, {256, 1, 1}, 0, "a launch of nothing"},
                 {1, {1, 1, 1}, {256, 0, 1}, 0, "a launch of nothing"},
                 {1, {0x80000000, 1, 1}, {256, 1, 1}, 0, "more groups"},
                 {1, {1, 65536, 1}, {256, 1, 1}, 0, "more groups"},
                 {1, {1, 1, 65536}, {256, 1, 1}, 0, "more groups"},
                 {1, {1, 1, 1}, {1025, 1, 1}, 0, "more threads"},
                 {1, {1, 1, 1}, {1, 1, 65}, 0, "more threads"},
                 {1, {1, 1, 1}, {64, 32, 1}, 0, "more than 1024 threads"},
                 {701, {1, 1, 1}, {257, 1, 1}, 0, "more threads than the kernel takes"},
                 {1, {1, 1, 1}, {256, 1, 1}, 49153, "more shared memory"}};
    Saxpy args = {0, 0, 0, 0};
    void *parameters[] = {&args.y, &args.x, &args.a, &args.n}, *extra[] = {NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const unsigned *g = cases[i].grid, *b = cases[i].block;
        int error = cuda.cuLaunchKernel(saxpy, g[0], g[1], g[2], b[0], b[1], b[2], cases[i].local,
                                        NULL, parameters, NULL);
        CHECK(error == cases[i].want, "case %zu: %d", i, error);
        CHECK(strstr(text_of(error), cases[i].part) != NULL, "case %zu: %s", i, text_of(error));
    }
    GIVES(INVALID_VALUE,
          cuda.cuLaunchKernel(reduce, 1, 1, 1, 128, 1, 1, 0, NULL, parameters, NULL));
    SAYS(INVALID_VALUE, "without arguments",
         cuda.cuLaunchKernel(saxpy, 1, 1, 1, 256, 1, 1, 0, NULL, NULL, NULL));
    GIVES(INVALID_VALUE,
          cuda.cuLaunchKernel(saxpy, 1, 1, 1, 256, 1, 1, 0, NULL, parameters, extra));
    GIVES(INVALID_HANDLE,
          cuda.cuLaunchKernel((CUfunction)&args, 1, 1, 1, 256, 1, 1, 0, NULL, parameters, NULL));
    GOOD(cuda.cuLaunchKernel(saxpy, 1, 65535, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    size_t bytes = sizeof args + 8;
    void *larger[] = {(void *)1, &args, (void *)2, &bytes, NULL};
    SAYS(INVALID_VALUE, "another size",
         cuda.cuLaunchKernel(saxpy, 1, 1, 1, 256, 1, 1, 0, NULL, NULL, larger));
    /* a function is of its context, and so is the stream */
    CUstream s;
    GOOD(cuda.cuStreamCreate(&s, 1));
    GOOD(cuda.cuCtxPushCurrent_v2(context[1 - d]));
    GIVES(INVALID_HANDLE, cuda.cuLaunchKernel(saxpy, 1, 1, 1, 256, 1, 1, 0, s, parameters, NULL));
    GOOD(cuda.cuCtxPopCurrent_v2(NULL));
    GOOD(cuda.cuStreamDestroy_v2(s));
}

static void test_kernel_graph(CUfunction f) {
    Streams q = streams_make(1);
    CUgraph graph;
    CUgraphExec exec;
    float *host = (float *)q.host;
    Saxpy args = {q.x, q.x + 2048, 2, 256};
    GOOD(cuda.cuMemsetD32_v2(q.x, 0, N));
    GOOD(cuda.cuStreamBeginCapture_v2(q.s, 1));
    GOOD(cuda.cuMemcpyHtoDAsync_v2(q.x + 2048, host, 1024, q.s));
    GOOD(launch_saxpy(f, &args, q.s));
    GOOD(cuda.cuMemcpyDtoHAsync_v2(host, q.x, 1024, q.s));
    GOOD(cuda.cuStreamEndCapture(q.s, &graph));
    GOOD(cuda.cuGraphInstantiateWithFlags(&exec, graph, 0));
    GOOD(cuda.cuGraphDestroy(graph));
    float want = 0;
    for (int round = 0; round < 3; round++) {
        host[255] = (float)round;
        want += 2 * (float)round;
        GOOD(cuda.cuGraphLaunch(exec, q.s));
        GOOD(cuda.cuStreamSynchronize(q.s));
        CHECK(host[255] == want, "round %d: %g", round, (double)host[255]);
    }
    GOOD(cuda.cuGraphExecDestroy(exec));
    streams_drop(&q);
}

static void test_kernels(int d) {
    CUmodule m;
    CUfunction saxpy, reduce;
    GOOD(cuda.cuModuleLoadData(&m, common));
    GOOD(cuda.cuModuleGetFunction(&saxpy, m, "saxpy"));
    GOOD(cuda.cuModuleGetFunction(&reduce, m, "reduce"));
    test_launches(saxpy, reduce);
    test_sizes(saxpy, reduce, d);
    test_kernel_graph(saxpy);
    GOOD(cuda.cuModuleUnload(m));
}

/* A kernel that goes wrong: from then on everything on its device is that error, for good. */
static void go_wrong(int d) {
    CUmodule m;
    CUfunction f;
    CUdeviceptr x, at;
    CUstream s;
    CUevent e;
    void *p;
    size_t bytes, total;
    GOOD(cuda.cuCtxSetCurrent(context[d]));
    GOOD(cuda.cuModuleLoadData(&m, common));
    GOOD(cuda.cuModuleGetFunction(&f, m, "saxpy"));
    GOOD(cuda.cuMemAlloc_v2(&x, 1024));
    GOOD(cuda.cuMemsetD8_v2(x, 0, 1024));
    GOOD(cuda.cuStreamCreate(&s, 1));
    Saxpy args = {x, x, 2, 257};
    GOOD(launch_saxpy(f, &args, s));
    GOOD(cuda.cuMemcpyDtoDAsync_v2(x, x + 512, 512, s)); /* not yet */
    SAYS(LAUNCH_FAILED, "kernel saxpy, group 1 0 0", cuda.cuStreamSynchronize(s));
    SAYS(LAUNCH_FAILED, "ld.global.f32", cuda.cuMemAlloc_v2(&at, 4));
    GIVES(LAUNCH_FAILED, cuda.cuMemFree_v2(x));
    GIVES(LAUNCH_FAILED, cuda.cuMemHostAlloc(&p, 4, 0));
    GIVES(LAUNCH_FAILED, cuda.cuMemGetInfo_v2(&bytes, &total));
    GIVES(LAUNCH_FAILED, cuda.cuMemcpyDtoH_v2(&args, x, 4));
    GIVES(LAUNCH_FAILED, cuda.cuStreamCreate(&s, 1));
    GIVES(LAUNCH_FAILED, cuda.cuEventCreate(&e, 0));
    GIVES(LAUNCH_FAILED, cuda.cuModuleUnload(m));
    GIVES(LAUNCH_FAILED, cuda.cuCtxSynchronize());
    GIVES(LAUNCH_FAILED, launch_saxpy(f, &args, s));
    GIVES(LAUNCH_FAILED, cuda.cuDevicePrimaryCtxRetain(&context[d], d));
    GIVES(LAUNCH_FAILED, cuda.cuDevicePrimaryCtxReset_v2(d));
    GIVES(LAUNCH_FAILED, cuda.cuDevicePrimaryCtxRelease_v2(d));
    GOOD(cuda.cuCtxSetCurrent(context[1 - d])); /* the other one works */
    GOOD(cuda.cuModuleLoadData(&m, common));
    GOOD(cuda.cuModuleGetFunction(&f, m, "saxpy"));
    GOOD(cuda.cuMemAlloc_v2(&x, 2048));
    GOOD(cuda.cuMemsetD8_v2(x, 0, 2048));
    args.y = args.x = x;
    GOOD(launch_saxpy(f, &args, NULL));
    GOOD(cuda.cuCtxSynchronize());
    SAYS(INVALID_VALUE, "a launch of nothing",
         cuda.cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    CHECK(strstr(text_of(719), "kernel saxpy") != NULL, "%s", text_of(719));
}

static void test_wrong(const char *self, const char *library) {
    static const char *const words[] = {"0", "1", NULL};
    char text[4000];
    reported(self, library, words, text, sizeof text);
    CHECK(strstr(text, "device 1, sm_90") != NULL && strstr(text, "\nsaxpy ") != NULL, "%s", text);
}

int main(int argc, char **argv) {
    if (argc < 2) return 1;
    setenv("RWKVC_EMU_MEMORY", "64M", 1);
    open_library(argv[1]);
    read_kernels();
    GOOD(cuda.cuInit(0));
    for (int d = 0; d < 2; d++) GOOD(cuda.cuDevicePrimaryCtxRetain(&context[d], d));
    if (argc > 2) {
        go_wrong(atoi(argv[2]));
        return finish();
    }
    for (int d = 0; d < 2; d++) {
        GOOD(cuda.cuCtxSetCurrent(context[d]));
        test_texts(d);
        test_functions(d);
        test_kernels(d);
    }
    for (int d = 0; d < 2; d++) GOOD(cuda.cuDevicePrimaryCtxRelease_v2(d));
    test_wrong(argv[0], argv[1]);
    free(common);
    return finish();
}
