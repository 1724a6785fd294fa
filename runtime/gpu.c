/* Opening drivers: their libraries, the addresses of their functions, the device that is asked for. */
#include "gpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context.h"

static const gpu_api *const kinds[] = {&driver_hip, &driver_cuda};
enum { KINDS = sizeof kinds / sizeof *kinds };

const gpu_api *driver_kind(const char *device, int *index) {
    for (size_t i = 0; i < KINDS; i++) {
        size_t n = strlen(kinds[i]->kind);
        if (strncmp(device, kinds[i]->kind, n) != 0) continue;
        *index = 0;
        if (device[n] == '\0') return kinds[i];
        if (device[n] != ':' || device[n + 1] < '0' || device[n + 1] > '9') continue;
        char *end;
        long k = strtol(device + n + 1, &end, 10);
        if (*end != '\0' || k > 4095) continue;
        *index = (int)k;
        return kinds[i];
    }
    return NULL;
}

/* ---- libraries ----------------------------------------------------------------------------------- */

/* What was tried, for the message: "libamdhip64.so.6, libamdhip64.so". */
static void tried(const gpu_api *api, char *text, size_t cap) {
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; api->libraries[i] != NULL && at < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%s", i > 0 ? ", " : "", api->libraries[i]);
}

/* Drivers do not expect to be unloaded: they have threads, and things to do when the process ends. */
enum { OPEN = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE };

/* A name without a folder is the system's to find; somebody may have meant the file that lies here. */
static rw_status not_opened(const char *path, rw_message *m) {
    const char *why = dlerror();
    bool here = strchr(path, '/') == NULL && access(path, F_OK) == 0;
    return rw_fail(m, RW_NO_DEVICE, "%s: this driver cannot be opened: %s%s%s", path, why,
                   here ? ". The one in this folder is ./" : "", here ? path : "");
}

static rw_status open_library(gpu *g, const char *path, rw_message *m) {
    const gpu_api *api = g->api;
    if (path == NULL || path[0] == '\0') path = getenv(api->variable);
    if (path != NULL && path[0] != '\0') {
        g->library = dlopen(path, OPEN);
        return g->library != NULL ? RW_OK : not_opened(path, m);
    }
    for (size_t i = 0; api->libraries[i] != NULL && g->library == NULL; i++)
        g->library = dlopen(api->libraries[i], OPEN);
    if (g->library != NULL) return RW_OK;
    char names[120];
    tried(api, names, sizeof names);
    return rw_fail(m, RW_NO_DEVICE,
                   "no driver for device '%s': the system has none of %s. Install %s, or say where "
                   "it is: --%s-library PATH or %s=PATH",
                   api->kind, names, api->product, api->kind, api->variable);
}

static rw_status find_symbols(gpu *g, rw_message *m) {
    for (size_t i = 0; i < g->api->n_symbols; i++) {
        const gpu_symbol *x = &g->api->symbols[i];
        void *at = dlsym(g->library, x->name);
        if (at == NULL && !x->may_be_missing)
            return rw_fail(
                m, RW_NO_DEVICE,
                "the driver for '%s' has no %s: it is too old, or none at all; install %s",
                g->api->kind, x->name, g->api->product);
        memcpy((char *)g + x->at, &at, sizeof at);
    }
    return RW_OK;
}

/* ---- devices ------------------------------------------------------------------------------------- */

static rw_status start(gpu *g, const char *library, int *devices, rw_message *m) {
    *devices = 0;
    rw_status s = open_library(g, library, m);
    if (s == RW_OK) s = find_symbols(g, m);
    if (s == RW_OK) s = g->api->start(g, devices, m);
    return s;
}

static gpu *make(const rw_alloc *alloc, const gpu_api *api) {
    gpu *g = alloc->fn(alloc->user, NULL, 0, api->bytes);
    if (g == NULL) return NULL;
    memset(g, 0, api->bytes);
    g->api = api;
    g->alloc = *alloc;
    return g;
}

rw_status driver_open(const rw_alloc *alloc, const gpu_api *api, int index, const char *library,
                      gpu **out, rw_message *m) {
    int devices;
    *out = NULL;
    gpu *g = make(alloc, api);
    if (g == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a device");
    rw_status s = start(g, library, &devices, m);
    if (s == RW_OK && devices == 0)
        s = rw_fail(m, RW_NO_DEVICE, "there is no device '%s:%d': the driver sees no GPU",
                    api->kind, index);
    if (s == RW_OK && index >= devices)
        s = rw_fail(m, RW_NO_DEVICE, "there is no device '%s:%d': the driver sees %d, from %s:0 on",
                    api->kind, index, devices, api->kind);
    if (s == RW_OK) {
        g->index = index;
        snprintf(g->name, sizeof g->name, "%s:%d", api->kind, index);
        s = api->choose(g, index, m);
    }
    if (s == RW_OK)
        *out = g;
    else
        driver_close(g);
    return s;
}

void driver_close(gpu *g) {
    if (g == NULL) return;
    if (g->library != NULL) {
        g->api->close(g);
        dlclose(g->library);
    }
    rw_alloc alloc = g->alloc;
    alloc.fn(alloc.user, g, g->api->bytes, 0);
}

/* 86 of "sm_86". */
static bool number_of(const char *arch, unsigned *n) {
    char after;
    return sscanf(arch, "sm_%4u%c", n, &after) == 1;
}

bool ptx_runs(const char *arch, const char *target) {
    unsigned has, wants;
    return number_of(arch, &has) && number_of(target, &wants) && wants <= has;
}

/* The last digit is the minor number; AMD's code is for one processor, as is sm_90a. */
bool machine_code_runs(const char *arch, const char *target) {
    unsigned has, wants;
    if (strcmp(arch, target) == 0) return true;
    return number_of(arch, &has) && number_of(target, &wants) && wants <= has &&
           wants / 10 == has / 10;
}

/* ---- listing ------------------------------------------------------------------------------------- */

static void describe(gpu *g, rw_device *out) {
    *out = (rw_device){.units = (unsigned)g->units, .memory = g->memory};
    snprintf(out->name, sizeof out->name, "%s", g->name);
    snprintf(out->arch, sizeof out->arch, "%s", g->arch);
    snprintf(out->model, sizeof out->model, "%s", g->model);
    size_t total;
    if (g->api->room(g, &out->free, &total, NULL) != RW_OK) out->free = 0;
}

rw_status rw_devices(const char *kind, const char *library, rw_device *out, size_t cap, size_t *n,
                     rw_message *m) {
    int index, devices;
    *n = 0;
    const gpu_api *api = driver_kind(kind, &index);
    if (api == NULL) return rw_fail(m, RW_NO_DEVICE, "there is no kind of devices '%s'", kind);
    rw_status s = RW_OK;
    for (int i = 0, last = 1; i < last && s == RW_OK; i++) {
        gpu *g = make(&memory_system, api);
        if (g == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a device");
        s = start(g, library, &devices, m);
        last = devices;
        if (s == RW_OK && i < devices) {
            snprintf(g->name, sizeof g->name, "%s:%d", api->kind, i);
            g->index = i;
            s = api->choose(g, i, m);
            if (s == RW_OK && (size_t)i < cap) describe(g, &out[i]);
            if (s == RW_OK) *n = (size_t)i + 1;
        }
        driver_close(g);
    }
    return s;
}
