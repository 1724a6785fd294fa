/* Devices and errors behind the functions of a driver. The environment says what is emulated:
 *
 *   RWKVC_EMU_ARCH     processors, a device each; gfx942,gfx1100 or sm_80,sm_90
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
static _Thread_local struct {
    int error;
    bool is_new; /* of the call at hand */
    char text[WORDS_BYTES];
} words;

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
        hip_explain(hipErrorNoDevice, text);
        return hipErrorNoDevice;
    }
    d->null_stream = (struct HipStream){.device = h->n_devices, .is_blocking = true};
    h->n_devices++;
    return hipSuccess;
}

static int set_up(Hip *h) {
    char names[200];
    snprintf(names, sizeof names, "%s", setting("RWKVC_EMU_ARCH", driver_face.processors));
    h->memory = size_setting("RWKVC_EMU_MEMORY", "8G");
    h->report = setting("RWKVC_EMU_REPORT", NULL);
    if (!processor_has_vectors()) {
        hip_explain(hipErrorNoDevice, "the emulator needs a processor with AVX2 and FMA");
        return hipErrorNoDevice;
    }
    char *rest = NULL;
    for (char *p = strtok_r(names, ",", &rest); p != NULL && h->n_devices < MAX_DEVICES;
         p = strtok_r(NULL, ",", &rest)) {
        bool is_ours = strncmp(p, driver_face.prefix, strlen(driver_face.prefix)) == 0;
        int error = is_ours ? add_device(h, p) : hipSuccess;
        if (error != hipSuccess) return error;
    }
    if (h->n_devices > 0) return hipSuccess;
    hip_explain(hipErrorNoDevice, "RWKVC_EMU_ARCH has no processor for this driver");
    return hipErrorNoDevice;
}

int hip_enter(Hip **hip) {
    *hip = &state;
    if (hip_in_host_function()) return hipErrorNotSupported; /* its thread has the lock */
    pthread_mutex_lock(&lock);
    words.is_new = false;
    if (state.initialized == 0) {
        state.initialized = 1 + set_up(&state);
        if (words.is_new) snprintf(state.trouble, sizeof state.trouble, "%s", words.text);
    }
    if (state.initialized == 1) return hipSuccess;
    hip_explain(state.initialized - 1, state.trouble);
    return state.initialized - 1;
}

int hip_leave(int error) {
    if (hip_in_host_function()) return error;
    if (error != hipSuccess && error != hipErrorNotReady) last_error = error;
    if (error == words.error && !words.is_new) hip_forget_words(); /* of another mistake */
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

void hip_explain(int error, const char *text) {
    snprintf(words.text, sizeof words.text, "%s", text);
    words.error = error;
    words.is_new = true;
}

void hip_forget_words(void) { words.error = hipSuccess; }

int hip_error_of(Hip *h, Emu *emu, EmuStatus status) {
    int error = driver_face.errors[status];
    if (status == EMU_FAULT)
        snprintf(h->fault, sizeof h->fault, "%s", emu_said(emu));
    else if (status != EMU_OK)
        hip_explain(error, emu_said(emu));
    return error;
}

const char *hip_words(int error) {
    const char *text = error == hipErrorLaunchFailure ? state.fault
                       : error == words.error         ? words.text
                                                      : "";
    return error != hipSuccess && text[0] != '\0' ? text : NULL;
}

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
