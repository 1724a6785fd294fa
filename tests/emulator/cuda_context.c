/* Contexts: the primary one of each device, as long as somebody retains it, and a stack of them for each thread. */
#include "cuda_state.h"

enum { MAX_DEPTH = 64, API_VERSION = 3020, FLAGS = 0x1f };

static bool is_initialized;
static struct CudaContext contexts[MAX_DEVICES];
static _Thread_local CUcontext stack[MAX_DEPTH];
static _Thread_local int depth;

static CUcontext current(void) { return depth > 0 ? stack[depth - 1] : NULL; }

/* ---- checks -------------------------------------------------------------------------------------- */

int cuInit(unsigned flags) {
    Hip *h;
    if (hip_in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
    int error = hip_enter(&h);
    if (error == CUDA_SUCCESS && flags != 0) error = CUDA_ERROR_INVALID_VALUE;
    for (int d = 0; error == CUDA_SUCCESS && !is_initialized && d < h->n_devices; d++)
        contexts[d].device = d;
    is_initialized |= error == CUDA_SUCCESS;
    return hip_leave(error);
}

static int enter(Hip **h) {
    int error = hip_enter(h);
    return is_initialized ? error : CUDA_ERROR_NOT_INITIALIZED;
}

/* Words are of the last call. */
int cuda_check_start(void) {
    Hip *h;
    if (hip_in_host_function()) return CUDA_ERROR_NOT_PERMITTED;
    hip_forget_words();
    return hip_leave(enter(&h));
}

int cuda_check(void) {
    Hip *h;
    int error = cuda_check_start();
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    if (current() == NULL)
        error = CUDA_ERROR_INVALID_CONTEXT;
    else if (current()->retained == 0)
        error = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    else
        error = h->device[current()->device].lost;
    return hip_leave(error);
}

int cuda_check_wait(void) {
    Hip *h;
    int error = cuda_check();
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    return hip_leave(error != CUDA_SUCCESS ? error : hip_may_wait(h));
}

/* ---- primary contexts ---------------------------------------------------------------------------- */

static int enter_device(Hip **h, int device) {
    int error = cuda_check_start();
    (void)hip_enter(h);
    if (error == CUDA_SUCCESS && (device < 0 || device >= (*h)->n_devices))
        error = CUDA_ERROR_INVALID_DEVICE;
    return error;
}

int cuDevicePrimaryCtxRetain(CUcontext *context, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && context == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = h->device[device].lost;
    if (error == CUDA_SUCCESS) contexts[device].retained++;
    if (error == CUDA_SUCCESS) *context = &contexts[device];
    return hip_leave(error);
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && contexts[device].retained == 0) error = CUDA_ERROR_INVALID_CONTEXT;
    if (error == CUDA_SUCCESS) error = hip_may_wait(h);
    bool is_last = error == CUDA_SUCCESS && contexts[device].retained == 1;
    if (is_last) (void)hip_run_device(h, device);
    if (error == CUDA_SUCCESS) contexts[device].retained--;
    if (error == CUDA_SUCCESS) error = h->device[device].lost;
    (void)hip_leave(error);
    if (is_last) cuda_clear(device);
    return error;
}

/* Whoever retains it goes on doing so, of a context that is empty. */
int cuDevicePrimaryCtxReset_v2(int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS) error = hip_may_wait(h);
    if (error == CUDA_SUCCESS) error = hip_run_device(h, device);
    (void)hip_leave(error);
    if (error == CUDA_SUCCESS) cuda_clear(device);
    return error;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && (flags == NULL || is_active == NULL))
        error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return hip_leave(error);
    *flags = contexts[device].flags;
    *is_active = contexts[device].retained > 0;
    return hip_leave(CUDA_SUCCESS);
}

int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && (flags & ~(unsigned)FLAGS) != 0) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) contexts[device].flags = flags;
    return hip_leave(error);
}

/* ---- of a thread --------------------------------------------------------------------------------- */

/* Retained by somebody? */
static int check_context(CUcontext context) {
    Hip *h;
    int error = cuda_check_start();
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    bool is_one = context >= contexts && context < contexts + h->n_devices;
    if (!is_one || context->retained == 0) error = CUDA_ERROR_INVALID_CONTEXT;
    return hip_leave(error);
}

static void choose(void) {
    if (current() != NULL) hip_set_current_device(current()->device);
}

int cuCtxSetCurrent(CUcontext context) {
    int error = context == NULL ? cuda_check_start() : check_context(context);
    if (error != CUDA_SUCCESS) return error;
    if (depth > 0) depth--;
    if (context != NULL) stack[depth++] = context;
    choose();
    return CUDA_SUCCESS;
}

int cuCtxGetCurrent(CUcontext *context) {
    int error = cuda_check_start();
    if (error == CUDA_SUCCESS && context == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *context = current();
    return error;
}

int cuCtxPushCurrent_v2(CUcontext context) {
    int error = check_context(context);
    if (error == CUDA_SUCCESS && depth == MAX_DEPTH) error = CUDA_ERROR_OUT_OF_MEMORY;
    if (error != CUDA_SUCCESS) return error;
    stack[depth++] = context;
    choose();
    return CUDA_SUCCESS;
}

int cuCtxPopCurrent_v2(CUcontext *context) {
    int error = cuda_check_start();
    if (error == CUDA_SUCCESS && depth == 0) error = CUDA_ERROR_INVALID_CONTEXT;
    if (error != CUDA_SUCCESS) return error;
    if (context != NULL) *context = current();
    depth--;
    choose();
    return CUDA_SUCCESS;
}

int cuCtxGetDevice(int *device) {
    int error = cuda_check();
    if (error == CUDA_SUCCESS && device == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *device = current()->device;
    return error;
}

/* NULL: the current one. */
int cuCtxGetApiVersion(CUcontext context, unsigned *version) {
    int error = context == NULL ? cuda_check() : check_context(context);
    if (error == CUDA_SUCCESS && version == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *version = API_VERSION;
    return error;
}

int cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipDeviceGetStreamPriorityRange(least, greatest);
}

int cuCtxSynchronize(void) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipDeviceSynchronize();
}

int cuStreamGetCtx(CUstream stream, CUcontext *context) {
    Hip *h;
    int error = cuda_check();
    if (error == CUDA_SUCCESS) error = cuda_stream(&stream);
    if (error == CUDA_SUCCESS && context == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    if (!hip_has_stream(h, stream)) error = CUDA_ERROR_INVALID_HANDLE;
    if (error == CUDA_SUCCESS) *context = &contexts[hip_stream(h, stream)->device];
    return hip_leave(error);
}
