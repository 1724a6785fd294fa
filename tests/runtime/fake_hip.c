/* A library with the names of AMD's HIP runtime that says what a test wants to hear; nothing can be computed
 * on it. FAKE_OLD: as before ROCm 6, with the other structure of properties, and without graphs.
 * FAKE_MISSING: without one of the functions. FAKE_HIP in the environment: none (no GPU), memory (none is
 * left), binary (code is not taken), gfx (an unknown processor). */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

static bool wants(const char *what) {
    const char *all = getenv("FAKE_HIP");
    return all != NULL && strstr(all, what) != NULL;
}

API int hipInit(unsigned flags) { return (int)flags; }
API int hipGetDeviceCount(int *count) {
    *count = 1;
    return wants("none") ? 100 : 0;
}
API int hipSetDevice(int device) { return device == 0 ? 0 : 101; }
API int hipDeviceGetAttribute(int *value, int attribute, int device) {
    *value = 60;
    return attribute == 63 && device == 0 ? 0 : 1;
}
API int hipMemGetInfo(size_t *free_bytes, size_t *total) {
    *free_bytes = (size_t)1 << 30;
    *total = (size_t)16 << 30;
    return 0;
}
API const char *hipGetErrorName(int error) {
    return error == 2     ? "hipErrorOutOfMemory"
           : error == 209 ? "hipErrorNoBinaryForGpu"
                          : "hipError";
}
API const char *hipGetErrorString(int error) {
    return error == 209 ? "no kernel image is available for execution on the device" : "a text";
}
API int hipModuleLoadData(void **module, const void *image) {
    *module = (void *)1;
    return wants("binary") || image == NULL ? 209 : 0;
}
API int hipModuleUnload(void *module) { return module != (void *)1; }
API int hipModuleGetFunction(void **function, void *module, const char *name) {
    *function = (void *)2;
    return module != (void *)1 || name == NULL;
}
API int hipModuleLaunchKernel(void) { return 719; }
#ifndef FAKE_MISSING
API int hipMalloc(void **at, size_t bytes) {
    if (wants("memory")) return 2;
    *at = malloc(bytes);
    return *at == NULL ? 2 : 0;
}
#endif
API int hipFree(void *at) {
    free(at);
    return 0;
}
API int hipHostMalloc(void **at, size_t bytes, unsigned flags) {
    *at = malloc(bytes);
    return *at == NULL || flags != 0 ? 2 : 0;
}
API int hipHostFree(void *at) {
    free(at);
    return 0;
}
API int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
    memcpy(to, from, bytes);
    return kind < 1 || kind > 3 || stream == NULL;
}
API int hipMemsetAsync(void *to, int value, size_t bytes, void *stream) {
    memset(to, value, bytes);
    return stream == NULL;
}
API int hipStreamCreateWithFlags(void **stream, unsigned flags) {
    *stream = (void *)3;
    return flags != 1;
}
API int hipStreamDestroy(void *stream) { return stream != (void *)3; }
API int hipStreamSynchronize(void *stream) { return stream != (void *)3; }
API int hipStreamWaitEvent(void *stream, void *event, unsigned flags) {
    return stream == NULL || event == NULL || flags != 0;
}
API int hipEventCreateWithFlags(void **event, unsigned flags) {
    *event = (void *)4;
    return (int)flags;
}
API int hipEventRecord(void *event, void *stream) { return event == NULL || stream == NULL; }
API int hipEventElapsedTime(float *ms, void *start, void *stop) {
    *ms = 1;
    return start == NULL || stop == NULL;
}
API int hipEventDestroy(void *event) { return event == NULL; }

/* Where the name of the processor stands in the structure of properties. */
#ifdef FAKE_OLD
enum { BYTES = 792, ARCH = 396 };
#define PROPERTIES hipGetDeviceProperties
#else
enum { BYTES = 1472, ARCH = 1160 };
#define PROPERTIES hipGetDevicePropertiesR0600
/* What this name fills is the old one still; who takes both for the same reads rubbish. */
API int hipGetDeviceProperties(void *properties, int device) {
    memset(properties, 0x41, 792);
    return device;
}
#endif
API int PROPERTIES(void *properties, int device) {
    memset(properties, 0, BYTES);
    strcpy((char *)properties, "Fake Radeon");
    strcpy((char *)properties + ARCH, wants("gfx") ? "" : "gfx942:sramecc+:xnack-");
    return device;
}
