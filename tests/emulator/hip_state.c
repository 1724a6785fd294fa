/* Devices and errors behind the functions of a driver. The environment says what is emulated:
 *
 *   RWKVC_EMU_ARCH     processors, a device each; gfx942,gfx1100 or sm_80,sm_90
 *   RWKVC_EMU_SEED     how waves, groups interleave; 0: in order
 *   RWKVC_EMU_THREADS  workers of a launch; 1
 *   RWKVC_EMU_MEMORY   bytes of each device, with K, M or G behind; 8G
 *   RWKVC_EMU_REPORT   a file for the table of what kernels did, at the end; "-": standard error
 *   RWKVC_EMU_DROP_BARRIER  KERNEL:N, for tests of tests */
#include "hip_state.h"

#include <errno.h>
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

static int wrong_setting(const char *name, const char *wants) {
    char text[300];
    snprintf(text, sizeof text, "%s=%.80s: %s", name, setting(name, ""), wants);
    hip_explain(hipErrorInvalidValue, text);
    return hipErrorInvalidValue;
}

/* A number; with `sizes`, K, M or G may follow. What is mistyped would pass for an order that was not tried. */
static int number_setting(const char *name, const char *otherwise, bool sizes, uint64_t most,
                          uint64_t *out) {
    static const char units[] = "KMG";
    const char *text = setting(name, otherwise);
    char *end;
    errno = 0;
    uint64_t n = strtoull(text, &end, 10);
    bool good = text[0] >= '0' && text[0] <= '9' && errno == 0;
    const char *unit = sizes && *end != '\0' ? strchr(units, *end) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (!good || end[unit != NULL] != '\0' || n > most >> shift)
        return wrong_setting(name,
                             sizes ? "it has to be a number of bytes; K, M or G may follow"
                                   : "it has to be a number, and no larger than there is use for");
    *out = n << shift;
    return hipSuccess;
}

/* It is written at the end, when nobody is left to be told. */
static int report_setting(const char **out) {
    const char *name = setting("RWKVC_EMU_REPORT", NULL);
    FILE *f = name != NULL && strcmp(name, "-") != 0 ? fopen(name, "a") : NULL;
    if (f == NULL && name != NULL && strcmp(name, "-") != 0)
        return wrong_setting("RWKVC_EMU_REPORT", "this file cannot be written");
    if (f != NULL) fclose(f);
    *out = name;
    return hipSuccess;
}

static bool processor_has_vectors(void) {
#if defined(__x86_64__) && defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

static int add_device(Hip *h, const char *processor, const EmuOptions *settings) {
    EmuOptions options = *settings;
    options.processor = processor;
    Device *d = &h->device[h->n_devices];
    d->emu = emu_create(&options);
    if (d->emu == NULL) return wrong_setting("RWKVC_EMU_ARCH", "there is no emulation of that");
    const char *drop = setting("RWKVC_EMU_DROP_BARRIER", NULL);
    if (drop != NULL && !emu_drop_barrier(d->emu, drop))
        return wrong_setting("RWKVC_EMU_DROP_BARRIER", "it has to be KERNEL:N");
    d->null_stream = (struct HipStream){.device = h->n_devices, .is_blocking = true};
    h->n_devices++;
    return hipSuccess;
}

/* Of the processors those that this driver is for. */
static int add_devices(Hip *h, const EmuOptions *settings) {
    char names[200], *rest = NULL;
    snprintf(names, sizeof names, "%s", setting("RWKVC_EMU_ARCH", driver_face.processors));
    for (char *p = strtok_r(names, ",", &rest); p != NULL && h->n_devices < MAX_DEVICES;
         p = strtok_r(NULL, ",", &rest)) {
        bool is_ours = strncmp(p, driver_face.prefix, strlen(driver_face.prefix)) == 0;
        bool is_any = strncmp(p, "gfx", 3) == 0 || strncmp(p, "sm_", 3) == 0;
        if (!is_any) return wrong_setting("RWKVC_EMU_ARCH", "there is no emulation of that");
        int error = is_ours ? add_device(h, p, settings) : hipSuccess;
        if (error != hipSuccess) return error;
    }
    if (h->n_devices > 0) return hipSuccess;
    hip_explain(hipErrorNoDevice, "RWKVC_EMU_ARCH has no processor for this driver");
    return hipErrorNoDevice;
}

static int set_up(Hip *h) {
    uint64_t threads = 0, memory = 0;
    EmuOptions settings = {0};
    int error = number_setting("RWKVC_EMU_SEED", "0", false, UINT64_MAX, &settings.seed);
    if (error == hipSuccess)
        error = number_setting("RWKVC_EMU_THREADS", "1", false, 4096, &threads);
    if (error == hipSuccess)
        error = number_setting("RWKVC_EMU_MEMORY", "8G", true, SIZE_MAX / 2, &memory);
    if (error == hipSuccess) error = report_setting(&h->report);
    if (error != hipSuccess) return error;
    settings.threads = (unsigned)threads;
    h->memory = (size_t)memory;
    if (!processor_has_vectors()) {
        hip_explain(hipErrorNoDevice, "the emulator needs a processor with AVX2 and FMA");
        return hipErrorNoDevice;
    }
    return add_devices(h, &settings);
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
