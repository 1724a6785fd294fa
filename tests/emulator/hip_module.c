/* Modules, functions, launches. */
#include "hip_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- loading -------------------------------------------------------------------------------------- */

static uint64_t number(const uint8_t *p, unsigned bytes) {
    uint64_t x = 0;
    memcpy(&x, p, bytes);
    return x;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* How long an image is: a caller gives its start alone. Headers are believed, as a driver has to. */
static size_t image_bytes(const uint8_t *image) {
    static const char magic[] = "__CLANG_OFFLOAD_BUNDLE__";
    uint64_t end = 64;
    if (memcmp(image, magic, sizeof magic - 1) == 0) {
        uint64_t n = number(image + 24, 8), at = 32;
        for (uint64_t i = 0; i < n && n < 1000; i++) {
            end = larger(end, number(image + at, 8) + number(image + at + 8, 8));
            at += 24 + number(image + at + 16, 8);
        }
        return (size_t)larger(end, at);
    }
    if (memcmp(image,
               "\x7f"
               "ELF",
               4) != 0)
        return 64;
    uint64_t segments = number(image + 32, 8), sections = number(image + 40, 8);
    uint64_t n_segments = number(image + 56, 2), n_sections = number(image + 60, 2);
    end = larger(end, larger(segments + 56 * n_segments, sections + 64 * n_sections));
    for (uint64_t i = 0; i < n_segments; i++) {
        const uint8_t *s = image + segments + 56 * i;
        end = larger(end, number(s + 8, 8) + number(s + 32, 8));
    }
    for (uint64_t i = 0; i < n_sections; i++) {
        const uint8_t *s = image + sections + 64 * i;
        bool is_empty = number(s + 4, 4) == 8; /* takes no room in the file */
        if (!is_empty) end = larger(end, number(s + 24, 8) + number(s + 32, 8));
    }
    return (size_t)end;
}

int hip_load(Hip *h, hipModule_t *module, const void *image, size_t bytes) {
    hipModule_t m = calloc(1, sizeof *m);
    if (m == NULL) return hipErrorOutOfMemory;
    m->device = hip_current_device();
    Emu *emu = h->device[m->device].emu;
    int error = hip_error_of(h, emu, emu_image_load(emu, image, bytes, &m->image));
    if (error != hipSuccess) {
        free(m);
        return error;
    }
    m->next = h->modules;
    h->modules = m;
    *module = m;
    return hipSuccess;
}

int hipModuleLoadData(hipModule_t *module, const void *image) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (module == NULL || image == NULL)) error = hipErrorInvalidValue;
    if (error == hipSuccess) error = hip_load(h, module, image, image_bytes(image));
    return hip_leave(error);
}

int hipModuleLoadDataEx(hipModule_t *module, const void *image, unsigned n, int *options,
                        void **values) {
    (void)n, (void)options, (void)values;
    return hipModuleLoadData(module, image);
}

int hipModuleLoad(hipModule_t *module, const char *path) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (module == NULL || path == NULL)) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return hip_leave(hipErrorFileNotFound);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    void *data = n > 0 ? malloc((size_t)n) : NULL;
    if (data == NULL)
        error = n > 0 ? hipErrorOutOfMemory : hipErrorInvalidImage;
    else if (fread(data, 1, (size_t)n, f) != (size_t)n)
        error = hipErrorFileNotFound;
    else
        error = hip_load(h, module, data, (size_t)n);
    free(data);
    fclose(f);
    return hip_leave(error);
}

int hipModuleUnload(hipModule_t module) {
    Hip *h;
    int error = hip_enter(&h);
    if (error != hipSuccess) return hip_leave(error);
    for (hipModule_t *p = &h->modules; *p != NULL; p = &(*p)->next) {
        if (*p != module) continue;
        hip_run_device(h, module->device);
        hip_keep_report(h, module->device, module->image);
        emu_image_free(module->image);
        *p = module->next;
        free(module);
        return hip_leave(hipSuccess);
    }
    return hip_leave(hipErrorInvalidHandle);
}

static bool has_module(const Hip *h, hipModule_t module) {
    for (hipModule_t m = h->modules; m != NULL; m = m->next)
        if (m == module) return true;
    return false;
}

int hipModuleGetFunction(hipFunction_t *function, hipModule_t module, const char *name) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (function == NULL || name == NULL)) error = hipErrorInvalidValue;
    if (error == hipSuccess && !has_module(h, module)) error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    EmuStatus status = emu_image_kernel(module->image, name, function);
    return hip_leave(hip_error_of(h, h->device[module->device].emu, status));
}

int hipModuleGetGlobal(void **at, size_t *bytes, hipModule_t module, const char *name) {
    Hip *h;
    void *place;
    size_t size;
    int error = hip_enter(&h);
    if (error == hipSuccess && name == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess && !has_module(h, module)) error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    EmuStatus status = emu_image_symbol(module->image, name, &place, &size);
    error = hip_error_of(h, h->device[module->device].emu, status);
    if (error == hipSuccess && at != NULL) *at = place;
    if (error == hipSuccess && bytes != NULL) *bytes = size;
    return hip_leave(error);
}

/* ---- functions -------------------------------------------------------------------------------------- */

enum {
    ATTRIBUTE_MAX_THREADS,
    ATTRIBUTE_SHARED,
    ATTRIBUTE_CONST,
    ATTRIBUTE_LOCAL,
    ATTRIBUTE_REGISTERS
};

static int device_of(const Hip *h, const EmuKernel *k) {
    for (int d = 0; d < h->n_devices; d++)
        if (emu_has_kernel(h->device[d].emu, k)) return d;
    return -1;
}

int hipFuncGetAttribute(int *value, int attribute, hipFunction_t function) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && value == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess && device_of(h, function) < 0) error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    const EmuKernelInfo *k = emu_kernel_info(function);
    switch (attribute) {
    case ATTRIBUTE_MAX_THREADS: *value = k->max_block > 0 ? (int)k->max_block : 1024; break;
    case ATTRIBUTE_SHARED: *value = (int)k->lds; break;
    case ATTRIBUTE_CONST: *value = 0; break;
    case ATTRIBUTE_LOCAL: *value = (int)k->scratch; break;
    case ATTRIBUTE_REGISTERS: *value = (int)(k->vgprs + k->agprs); break;
    default: error = hipErrorInvalidValue;
    }
    return hip_leave(error);
}

int hipFuncSetAttribute(const void *function, int attribute, int value) {
    (void)function, (void)attribute, (void)value;
    return hipSuccess;
}

/* Waves that fit into the registers of a unit, blocks into its local memory. */
int hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, hipFunction_t function,
                                                       int block, size_t lds) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (blocks == NULL || block <= 0)) error = hipErrorInvalidValue;
    int device = error == hipSuccess ? device_of(h, function) : -1;
    if (error == hipSuccess && device < 0) error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    const EmuKernelInfo *k = emu_kernel_info(function);
    unsigned lanes = emu_wave_size(h->device[device].emu), registers = k->vgprs + k->agprs;
    unsigned per_simd =
        lanes == 64 ? 512 / ((registers + 7) / 8 * 8) : 1536 / ((registers + 23) / 24 * 24);
    unsigned most = lanes == 64 ? 8 : 16, waves = ((unsigned)block + lanes - 1) / lanes;
    if (per_simd > most) per_simd = most;
    size_t used = k->lds + lds, room = lanes == 64 ? 65536 : 131072;
    unsigned fit = 4 * per_simd / waves;
    if (used > 0 && room / used < fit) fit = (unsigned)(room / used);
    *blocks = (int)fit;
    return hip_leave(hipSuccess);
}

/* ---- launches ------------------------------------------------------------------------------------------ */

/* The arguments as one piece: given so ({1, pointer, 2, &size, 3}), or one by one, put together as the
 * metadata says. */
static int arguments_of(const EmuKernelInfo *k, void **parameters, void **extra, void **out,
                        size_t *bytes) {
    *out = NULL;
    *bytes = 0;
    if (parameters != NULL && extra != NULL) return hipErrorInvalidValue;
    const void *from = NULL;
    for (size_t i = 0; extra != NULL && extra[i] != (void *)3; i += 2) {
        if (i > 4) return hipErrorInvalidValue;
        if (extra[i] == (void *)1) from = extra[i + 1];
        if (extra[i] == (void *)2) *bytes = *(const size_t *)extra[i + 1];
    }
    for (size_t i = 0; parameters != NULL && i < k->n_arguments; i++) {
        const EmuArgument *a = &k->arguments[i];
        if (!a->is_hidden && (size_t)a->offset + a->size > *bytes)
            *bytes = (size_t)a->offset + a->size;
    }
    *out = calloc(1, *bytes + 1);
    if (*out == NULL) return hipErrorOutOfMemory;
    if (from != NULL) memcpy(*out, from, *bytes);
    for (size_t i = 0, given = 0; parameters != NULL && i < k->n_arguments; i++) {
        const EmuArgument *a = &k->arguments[i];
        if (!a->is_hidden) memcpy((uint8_t *)*out + a->offset, parameters[given++], a->size);
    }
    return hipSuccess;
}

int hipModuleLaunchKernel(hipFunction_t function, unsigned gx, unsigned gy, unsigned gz,
                          unsigned bx, unsigned by, unsigned bz, unsigned lds, hipStream_t stream,
                          void **parameters, void **extra) {
    Hip *h;
    int error = hip_enter(&h);
    int device = error == hipSuccess ? device_of(h, function) : -1;
    if (error == hipSuccess && device < 0) error = hipErrorInvalidHandle;
    if (error == hipSuccess && !hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    if (error == hipSuccess && hip_stream(h, stream)->device != device)
        error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    Node node = {.kind = N_KERNEL,
                 .kernel = function,
                 .grid = {gx, gy, gz},
                 .block = {bx, by, bz},
                 .lds = lds};
    error =
        arguments_of(emu_kernel_info(function), parameters, extra, &node.arguments, &node.bytes);
    Emu *emu = h->device[device].emu;
    if (error == hipSuccess)
        error = hip_error_of(
            h, emu, emu_launch_check(emu, function, node.grid, node.block, lds, node.bytes));
    if (error != hipSuccess) {
        free(node.arguments);
        return hip_leave(error);
    }
    return hip_leave(hip_enqueue(h, stream, node));
}
