/* Devices and errors behind the HIP functions. The environment says what is emulated:
 *
 *   RWKVC_EMU_ARCH     processors, a device each; gfx942,gfx1100
 *   RWKVC_EMU_SEED     how waves, groups interleave; 0: in order
 *   RWKVC_EMU_THREADS  workers of a launch; 1
 *   RWKVC_EMU_MEMORY   bytes of each device, with K, M or G behind; 8G
 *   RWKVC_EMU_REPORT   a file for the table of what kernels did, at the end; "-": standard error
 *   RWKVC_EMU_DROP_BARRIER  KERNEL:N, for tests of tests */
#include "hip_state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Hip state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int current_device;
static _Thread_local int last_error;

/* ---- setting up -------------------------------------------------------------------------------- */

static const char *setting(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? text : otherwise;
}

static size_t size_setting(const char *name, const char *otherwise) {
    char *end;
    unsigned long long n = strtoull(setting(name, otherwise), &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return (size_t)n << shift;
}

static bool processor_has_vectors(void) {
#if defined(__x86_64__) && defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

static int add_device(Hip *h, const char *processor) {
    EmuOptions options = {.processor = processor,
                          .seed = strtoull(setting("RWKVC_EMU_SEED", "0"), NULL, 10),
                          .threads = (unsigned)strtoul(setting("RWKVC_EMU_THREADS", "1"), NULL, 10),
                          .drop_barrier = setting("RWKVC_EMU_DROP_BARRIER", NULL)};
    char text[200];
    Device *d = &h->device[h->n_devices];
    d->emu = emu_create(&options);
    if (d->emu == NULL) {
        snprintf(text, sizeof text, "RWKVC_EMU_ARCH: there is no emulation of '%s'", processor);
        hip_explain(h, hipErrorNoDevice, text);
        return hipErrorNoDevice;
    }
    d->null_stream = (struct HipStream){.device = h->n_devices, .is_blocking = true};
    h->n_devices++;
    return hipSuccess;
}

static int set_up(Hip *h) {
    char names[200];
    snprintf(names, sizeof names, "%s", setting("RWKVC_EMU_ARCH", "gfx942,gfx1100"));
    h->memory = size_setting("RWKVC_EMU_MEMORY", "8G");
    h->report = setting("RWKVC_EMU_REPORT", NULL);
    if (!processor_has_vectors()) {
        hip_explain(h, hipErrorNoDevice, "the emulator needs a processor with AVX2 and FMA");
        return hipErrorNoDevice;
    }
    char *rest = NULL;
    for (char *p = strtok_r(names, ",", &rest); p != NULL && h->n_devices < MAX_DEVICES;
         p = strtok_r(NULL, ",", &rest)) {
        int error = add_device(h, p);
        if (error != hipSuccess) return error;
    }
    return h->n_devices > 0 ? hipSuccess : hipErrorNoDevice;
}

int hip_enter(Hip **hip) {
    pthread_mutex_lock(&lock);
    *hip = &state;
    if (state.initialized == 0) state.initialized = 1 + set_up(&state);
    if (state.initialized > 1) return state.initialized - 1;
    return hipSuccess;
}

int hip_leave(int error) {
    if (error != hipSuccess && error != hipErrorNotReady) last_error = error;
    pthread_mutex_unlock(&lock);
    return error;
}

int hip_current_device(void) { return current_device; }
void hip_set_current_device(int device) { current_device = device; }

int hip_take_last_error(bool clears) {
    int error = last_error;
    if (clears) last_error = hipSuccess;
    return error;
}

/* ---- errors ------------------------------------------------------------------------------------ */

void hip_explain(Hip *h, int error, const char *text) {
    snprintf(h->detail, sizeof h->detail, "%s", text);
    h->detail_of = error;
}

int hip_error_of(Hip *h, Emu *emu, EmuStatus status) {
    static const int errors[] = {
        [EMU_OK] = hipSuccess,
        [EMU_BAD_ARG] = hipErrorInvalidValue,
        [EMU_NO_MEMORY] = hipErrorOutOfMemory,
        [EMU_BAD_IMAGE] = hipErrorInvalidImage,
        [EMU_NO_CODE] = hipErrorNoBinaryForGpu,
        [EMU_NOT_FOUND] = hipErrorNotFound,
        [EMU_BAD_LAUNCH] = hipErrorInvalidConfiguration,
        [EMU_FAULT] = hipErrorLaunchFailure,
    };
    int error = errors[status];
    if (error != hipSuccess) hip_explain(h, error, emu_said(emu));
    return error;
}

static const struct {
    int error;
    const char *name, *text;
} messages[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorNotInitialized, "hipErrorNotInitialized", "initialization error"},
    {hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration",
     "invalid configuration argument"},
    {hipErrorInvalidDevicePointer, "hipErrorInvalidDevicePointer", "invalid device pointer"},
    {hipErrorInvalidMemcpyDirection, "hipErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {hipErrorNoDevice, "hipErrorNoDevice", "no ROCm-capable device is detected"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidImage, "hipErrorInvalidImage", "device kernel image is invalid"},
    {hipErrorNoBinaryForGpu, "hipErrorNoBinaryForGpu",
     "no kernel image is available for execution on the device"},
    {hipErrorFileNotFound, "hipErrorFileNotFound", "file not found"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorNotFound, "hipErrorNotFound", "named symbol not found"},
    {hipErrorNotReady, "hipErrorNotReady", "device not ready"},
    {hipErrorLaunchFailure, "hipErrorLaunchFailure", "unspecified launch failure"},
    {hipErrorNotSupported, "hipErrorNotSupported", "operation not supported"},
    {hipErrorStreamCaptureUnsupported, "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {hipErrorStreamCaptureInvalidated, "hipErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {hipErrorStreamCaptureUnmatched, "hipErrorStreamCaptureUnmatched",
     "the capture was not initiated in this stream"},
    {hipErrorStreamCaptureWrongThread, "hipErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {hipErrorUnknown, "hipErrorUnknown", "unknown error"},
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

const char *hipGetErrorName(int error) {
    for (size_t i = 0; i < N_MESSAGES; i++)
        if (messages[i].error == error) return messages[i].name;
    return "hipErrorUnknown";
}

/* What the emulator saw, where it has something to say; it lives until the next failure. */
const char *hipGetErrorString(int error) {
    if (error != hipSuccess && error == state.detail_of && state.detail[0] != '\0')
        return state.detail;
    for (size_t i = 0; i < N_MESSAGES; i++)
        if (messages[i].error == error) return messages[i].text;
    return "unknown error";
}

int hipGetLastError(void) { return hip_take_last_error(true); }
int hipPeekAtLastError(void) { return hip_take_last_error(false); }

/* ---- the report -------------------------------------------------------------------------------- */

void hip_keep_report(Hip *h, int device, const EmuImage *image) {
    if (h->report == NULL) return;
    char *text = emu_report(h->device[device].emu, image);
    if (text == NULL) return;
    size_t old = h->reports == NULL ? 0 : strlen(h->reports), n = strlen(text);
    char *more = realloc(h->reports, old + n + 100);
    if (more != NULL) {
        int k = snprintf(more + old, 100, "device %d, %s\n", device,
                         emu_processor(h->device[device].emu));
        memcpy(more + old + k, text, n + 1);
        h->reports = more;
    }
    free(text);
}

/* At the end of the process, or of the library. */
__attribute__((destructor)) static void finish(void) {
    for (int d = 0; d < state.n_devices; d++)
        for (hipModule_t m = state.modules; m != NULL; m = m->next)
            if (m->device == d) {
                hip_keep_report(&state, d, NULL);
                break;
            }
    if (state.report == NULL || state.reports == NULL) return;
    FILE *f = strcmp(state.report, "-") == 0 ? stderr : fopen(state.report, "w");
    if (f == NULL) return;
    fputs(state.reports, f);
    if (f != stderr) fclose(f);
}
