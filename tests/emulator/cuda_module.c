/* Modules: texts in PTX, which the driver assembles, and what it says about them. */
#include "cuda_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the head of a text -------------------------------------------------------------------------- */

/* What stands before the first word: spaces and comments. */
static const char *skip(const char *p) {
    for (;;) {
        p += strspn(p, " \t\r\n");
        const char *end = NULL;
        if (strncmp(p, "//", 2) == 0) end = strchr(p, '\n');
        if (strncmp(p, "/*", 2) == 0 && (end = strstr(p + 2, "*/")) != NULL) end += 2;
        if (end == NULL) return p;
        p = end;
    }
}

/* 10 times its version; 0: it is no text in PTX. */
static int version_of(const char *text) {
    int major, minor, end = 0;
    const char *p = skip(text);
    bool is_one = sscanf(p, ".version %3d.%1d%n", &major, &minor, &end) == 2 && end > 0;
    return is_one ? 10 * major + minor : 0;
}

static int refuse(int error, const char *text) {
    hip_explain(error, text);
    return error;
}

/* Beside texts a driver takes code that is made for a GPU already, alone or several in one. */
static int check_image(const void *image, int *version) {
    static const uint32_t kinds[] = {0x464c457f, 0xba55ed50, 0x466243b1}; /* ELF, fat binaries */
    uint32_t first = 0;
    if (strnlen(image, sizeof first) == sizeof first) memcpy(&first, image, sizeof first);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (first == kinds[i])
            return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU,
                          "this is machine code for NVIDIA's GPUs; the emulator runs PTX only");
    *version = version_of(image);
    if (*version == 0)
        return refuse(CUDA_ERROR_INVALID_PTX, "this is no PTX: it does not begin with .version");
    if (*version <= PTX_VERSION) return CUDA_SUCCESS;
    char text[100];
    snprintf(text, sizeof text,
             "PTX of version %d.%d; the emulated driver, of CUDA %d.%d, reads %d.%d", *version / 10,
             *version % 10, CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10, PTX_VERSION / 10,
             PTX_VERSION % 10);
    return refuse(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, text);
}

/* ---- loading ------------------------------------------------------------------------------------- */

static int load(CUmodule *module, const void *image) {
    Hip *h;
    int version = 0, error = cuda_check_wait();
    if (error == CUDA_SUCCESS && (module == NULL || image == NULL))
        error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    if (error == CUDA_SUCCESS) error = check_image(image, &version);
    if (error == CUDA_SUCCESS) error = hip_load(h, module, image, strlen(image));
    if (error == CUDA_SUCCESS) (*module)->ptx = version;
    return hip_leave(error);
}

int cuModuleLoadData(CUmodule *module, const void *image) { return load(module, image); }

enum { INFO_LOG = 3, INFO_BYTES, ERROR_LOG, ERROR_BYTES, OPTIONS = 35 };

/* The place for a log and its size, among the options; the size becomes what was written. */
static void write_log(unsigned n, const int *options, void **values, int which, const char *text) {
    char *at = NULL;
    void **bytes = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (options[i] == which) at = values[i];
        if (options[i] == which + 1) bytes = &values[i];
    }
    if (at == NULL || bytes == NULL || (uintptr_t)*bytes == 0) return;
    size_t room = (uintptr_t)*bytes - 1, used = strlen(text);
    if (used > room) used = room;
    memcpy(at, text, used);
    at[used] = '\0';
    *bytes = (void *)(uintptr_t)used;
}

/* What is wrong with a text stands in the log, as the driver's assembler would say it. */
int cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, int *options,
                       void **values) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && n > 0 && (options == NULL || values == NULL))
        error = CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; error == CUDA_SUCCESS && i < n; i++)
        if (options[i] < 0 || options[i] >= OPTIONS) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    error = load(module, image);
    char text[3000] = "";
    bool is_text = error == CUDA_ERROR_INVALID_PTX || error == CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    const char *words = is_text ? hip_words(error) : NULL;
    if (words != NULL) snprintf(text, sizeof text, "ptxas application ptx input; %s\n", words);
    write_log(n, options, values, ERROR_LOG, text);
    write_log(n, options, values, INFO_LOG, "");
    return error;
}

int cuModuleLoadFatBinary(CUmodule *module, const void *image) { return load(module, image); }

int cuModuleLoad(CUmodule *module, const char *path) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && (module == NULL || path == NULL)) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    FILE *f = fopen(path, "rb");
    if (f == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
    (void)fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (text == NULL)
        error = CUDA_ERROR_OUT_OF_MEMORY;
    else if (fread(text, 1, (size_t)n, f) != (size_t)n)
        error = CUDA_ERROR_FILE_NOT_FOUND;
    (void)fclose(f);
    if (error == CUDA_SUCCESS) {
        text[n] = '\0';
        error = load(module, text);
    }
    free(text);
    return error;
}

int cuModuleUnload(CUmodule module) {
    int error = cuda_check_wait();
    if (error != CUDA_SUCCESS) return error;
    cuda_forget_functions(module);
    return hipModuleUnload(module);
}

int cuModuleGetGlobal_v2(CUdeviceptr *at, size_t *bytes, CUmodule module, const char *name) {
    void *p = NULL;
    int error = cuda_check();
    if (error == CUDA_SUCCESS && at == NULL && bytes == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = hipModuleGetGlobal(&p, bytes, module, name);
    if (error == CUDA_SUCCESS && at != NULL) *at = (uintptr_t)p;
    return error;
}
