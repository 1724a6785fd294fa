/* Functions of modules: what they need, and launches. */
#include "cuda_state.h"

#include <stdlib.h>
#include <string.h>

static CUfunction functions;

static bool has_function(CUfunction function) {
    for (CUfunction f = functions; f != NULL; f = f->next)
        if (f == function) return true;
    return false;
}

void cuda_forget_functions(CUmodule module) {
    Hip *h;
    (void)hip_enter(&h);
    for (CUfunction *p = &functions; *p != NULL;) {
        CUfunction f = *p;
        if (f->module != module) {
            p = &f->next;
            continue;
        }
        *p = f->next;
        free(f);
    }
    (void)hip_leave(CUDA_SUCCESS);
}

/* The same one for a kernel that was asked for before. The lock is held. */
static CUfunction function_of(CUmodule module, EmuKernel *kernel) {
    for (CUfunction f = functions; f != NULL; f = f->next)
        if (f->module == module && f->kernel == kernel) return f;
    CUfunction f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    *f = (struct CudaFunction){.kernel = kernel, .module = module, .next = functions};
    return functions = f;
}

int cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    Hip *h;
    EmuKernel *kernel;
    int error = cuda_check();
    if (error == CUDA_SUCCESS && function == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = hipModuleGetFunction(&kernel, module, name);
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    *function = function_of(module, kernel);
    return hip_leave(*function == NULL ? CUDA_ERROR_OUT_OF_MEMORY : error);
}

/* ---- attributes ---------------------------------------------------------------------------------- */

enum {
    ATTRIBUTE_MAX_THREADS,
    ATTRIBUTE_SHARED,
    ATTRIBUTE_CONST,
    ATTRIBUTE_LOCAL,
    ATTRIBUTE_REGISTERS,
    ATTRIBUTE_PTX,
    ATTRIBUTE_BINARY,
    ATTRIBUTE_CACHE,
    ATTRIBUTE_DYNAMIC,
    ATTRIBUTE_CARVEOUT,
    /* of devices */
    DEVICE_SHARED = 8,
    DEVICE_LANES = 10,
    DEVICE_MAJOR = 75,
    DEVICE_MINOR = 76,
    DEVICE_THREADS = 39,
    DEVICE_ALL_SHARED = 81,
    DEVICE_MOST_SHARED = 97,
    DEVICE_BLOCKS = 106,
    DEVICE_RESERVED = 111,
};

static int of_device(CUfunction f, int attribute) {
    int value = 0;
    (void)cuda_attribute(&value, attribute, f->module->device);
    return value;
}

/* Bytes that a launch may add where nobody asked for more. */
static int usual_dynamic(CUfunction f) {
    int left = of_device(f, DEVICE_SHARED) - (int)emu_kernel_info(f->kernel)->lds;
    return left > 0 ? left : 0;
}

static int most_dynamic(CUfunction f) { return f->dynamic > 0 ? f->dynamic : usual_dynamic(f); }

static int check_function(CUfunction function) {
    Hip *h;
    int error = cuda_check();
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    return hip_leave(has_function(function) ? error : CUDA_ERROR_INVALID_HANDLE);
}

static int most_threads(const EmuKernelInfo *k) {
    return k->max_block > 0 ? (int)k->max_block : 1024;
}

int cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
    int error = check_function(function);
    if (error == CUDA_SUCCESS && value == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    const EmuKernelInfo *k = emu_kernel_info(function->kernel);
    switch (attribute) {
    case ATTRIBUTE_MAX_THREADS: *value = most_threads(k); break;
    case ATTRIBUTE_SHARED: *value = (int)k->lds; break;
    case ATTRIBUTE_CONST: *value = 0; break;
    case ATTRIBUTE_LOCAL: *value = (int)k->scratch; break;
    case ATTRIBUTE_REGISTERS: *value = 0; break; /* nobody has given it any yet */
    case ATTRIBUTE_PTX: *value = function->module->ptx; break;
    case ATTRIBUTE_BINARY:
        *value = 10 * of_device(function, DEVICE_MAJOR) + of_device(function, DEVICE_MINOR);
        break;
    case ATTRIBUTE_CACHE: *value = 0; break;
    case ATTRIBUTE_DYNAMIC: *value = most_dynamic(function); break;
    case ATTRIBUTE_CARVEOUT: *value = -1; break;
    default: error = CUDA_ERROR_INVALID_VALUE;
    }
    return error;
}

int cuFuncSetAttribute(CUfunction function, int attribute, int value) {
    int error = check_function(function);
    if (error != CUDA_SUCCESS) return error;
    if (attribute == ATTRIBUTE_CARVEOUT)
        return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    int most =
        of_device(function, DEVICE_MOST_SHARED) - (int)emu_kernel_info(function->kernel)->lds;
    if (attribute != ATTRIBUTE_DYNAMIC || value < 0 || value > most)
        return CUDA_ERROR_INVALID_VALUE;
    function->dynamic = value;
    return CUDA_SUCCESS;
}

int cuFuncSetCacheConfig(CUfunction function, int config) {
    int error = check_function(function);
    return error == CUDA_SUCCESS && (config < 0 || config > 3) ? CUDA_ERROR_INVALID_VALUE : error;
}

/* By threads and shared memory; registers are not known. */
int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction function,
                                                         int block, size_t local, unsigned flags) {
    int error = check_function(function);
    if (error == CUDA_SUCCESS && (blocks == NULL || block <= 0 || flags > 1))
        error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    const EmuKernelInfo *k = emu_kernel_info(function->kernel);
    int lanes = of_device(function, DEVICE_LANES), most = of_device(function, DEVICE_BLOCKS);
    int threads = (block + lanes - 1) / lanes * lanes;
    int fit = of_device(function, DEVICE_THREADS) / threads;
    size_t all = (size_t)of_device(function, DEVICE_ALL_SHARED);
    size_t used = k->lds + local + (size_t)of_device(function, DEVICE_RESERVED);
    if (fit > most) fit = most;
    if (all / used < (size_t)fit) fit = (int)(all / used);
    *blocks = block > most_threads(k) || local > (size_t)most_dynamic(function) ? 0 : fit;
    return CUDA_SUCCESS;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int block,
                                                size_t local) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block, local, 0);
}

/* ---- launches ------------------------------------------------------------------------------------ */

static int explain(int error, const char *text) {
    Hip *h;
    (void)hip_enter(&h);
    hip_explain(error, text);
    return hip_leave(error);
}

/* In the order of axes, groups before threads. */
static int check_sizes(CUfunction f, const unsigned grid[3], const unsigned block[3],
                       unsigned local) {
    static const unsigned most_groups[3] = {0x7fffffff, 65535, 65535}, most[3] = {1024, 1024, 64};
    uint64_t threads = 1;
    for (int i = 0; i < 3; i++) {
        if (grid[i] == 0 || block[i] == 0)
            return explain(CUDA_ERROR_INVALID_VALUE, "a launch of nothing");
        if (grid[i] > most_groups[i])
            return explain(CUDA_ERROR_INVALID_VALUE, "more groups than 2147483647 65535 65535");
        if (block[i] > most[i])
            return explain(CUDA_ERROR_INVALID_VALUE, "more threads than 1024 1024 64 of a group");
        threads *= block[i];
    }
    if (threads > 1024)
        return explain(CUDA_ERROR_INVALID_VALUE, "more than 1024 threads of a group");
    if (threads > (uint64_t)most_threads(emu_kernel_info(f->kernel)))
        return explain(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "more threads than the kernel takes");
    if (local > (unsigned)most_dynamic(f))
        return explain(CUDA_ERROR_INVALID_VALUE, "more shared memory than the function may have");
    return CUDA_SUCCESS;
}

/* The function's context has to be the current one. */
static int check_current(CUfunction f) {
    return f->module->device == hip_current_device() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Arguments as one piece, which end in another way than HIP's. */
static int check_extra(CUfunction f, void **extra, void *out[5]) {
    size_t *bytes = NULL;
    void *at = NULL;
    for (int i = 0; extra[i] != NULL; i += 2) {
        if (i > 2 || (extra[i] != (void *)1 && extra[i] != (void *)2))
            return explain(CUDA_ERROR_INVALID_VALUE, "an unknown kind of arguments");
        if (extra[i] == (void *)1) at = extra[i + 1];
        if (extra[i] == (void *)2) bytes = extra[i + 1];
    }
    if (at == NULL || bytes == NULL || *bytes != emu_kernel_info(f->kernel)->kernarg)
        return explain(CUDA_ERROR_INVALID_VALUE, "the arguments have another size");
    memcpy(out, (void *[]){(void *)1, at, (void *)2, bytes, (void *)3}, 5 * sizeof *out);
    return CUDA_SUCCESS;
}

static int check_arguments(CUfunction f, void **parameters, void **extra, void *out[5]) {
    bool wants = emu_kernel_info(f->kernel)->n_arguments > 0;
    if (wants && parameters == NULL && extra == NULL)
        return explain(CUDA_ERROR_INVALID_VALUE, "a launch without arguments");
    if (parameters != NULL && extra != NULL)
        return explain(CUDA_ERROR_INVALID_VALUE, "arguments in two ways");
    return extra != NULL ? check_extra(f, extra, out) : CUDA_SUCCESS;
}

int cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned local, CUstream stream, void **parameters,
                   void **extra) {
    void *whole[5];
    int error = check_function(function);
    if (error == CUDA_SUCCESS) error = cuda_stream(&stream);
    if (error == CUDA_SUCCESS) error = check_current(function);
    if (error == CUDA_SUCCESS)
        error = check_sizes(function, (unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz}, local);
    if (error == CUDA_SUCCESS) error = check_arguments(function, parameters, extra, whole);
    if (error != CUDA_SUCCESS) return error;
    return hipModuleLaunchKernel(function->kernel, gx, gy, gz, bx, by, bz, local, stream,
                                 parameters, extra != NULL ? whole : NULL);
}
