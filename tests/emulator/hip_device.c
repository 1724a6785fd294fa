/* Devices: how many, which, and what they say of themselves. */
#include "hip_state.h"

#include <stdio.h>
#include <string.h>

enum { VERSION = 60300000 }; /* of the runtime: 6.3 */

/* What the processors have; the numbers of units are those of an MI300X and a 7900 XTX. */
typedef struct Facts {
    const char *processor, *name;
    int major, minor, lanes, units, lds, registers, l2;
} Facts;

static const Facts facts[] = {
    {"gfx942", "emulated gfx942", 9, 4, 64, 304, 65536, 65536, 4 << 20},
    {"gfx1100", "emulated gfx1100", 11, 0, 32, 96, 65536, 196608, 6 << 20},
};

static const Facts *facts_of(const Hip *h, int device) {
    const char *name = emu_processor(h->device[device].emu);
    return strcmp(name, facts[0].processor) == 0 ? &facts[0] : &facts[1];
}

static int enter_device(Hip **h, int device) {
    int error = hip_enter(h);
    if (error == hipSuccess && (device < 0 || device >= (*h)->n_devices))
        error = hipErrorInvalidDevice;
    return error;
}

int hipInit(unsigned flags) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && flags != 0) error = hipErrorInvalidValue;
    return hip_leave(error);
}

int hipGetDeviceCount(int *count) {
    Hip *h;
    int error = hip_enter(&h);
    if (count == NULL) return hip_leave(hipErrorInvalidValue);
    *count = error == hipSuccess ? h->n_devices : 0;
    return hip_leave(error);
}

int hipSetDevice(int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess) hip_set_current_device(device);
    return hip_leave(error);
}

int hipGetDevice(int *device) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && device == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess) *device = hip_current_device();
    return hip_leave(error);
}

int hipDeviceGet(int *device, int ordinal) {
    Hip *h;
    int error = enter_device(&h, ordinal);
    if (error == hipSuccess && device == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess) *device = ordinal;
    return hip_leave(error);
}

int hipDeviceGetName(char *name, int length, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && (name == NULL || length <= 0)) error = hipErrorInvalidValue;
    if (error == hipSuccess) snprintf(name, (size_t)length, "%s", facts_of(h, device)->name);
    return hip_leave(error);
}

int hipDeviceTotalMem(size_t *bytes, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && bytes == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess) *bytes = h->memory;
    return hip_leave(error);
}

int hipDeviceComputeCapability(int *major, int *minor, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && (major == NULL || minor == NULL)) error = hipErrorInvalidValue;
    if (error == hipSuccess) {
        *major = facts_of(h, device)->major;
        *minor = facts_of(h, device)->minor;
    }
    return hip_leave(error);
}

/* The numbers are the same in all versions since 5.0. */
enum {
    ATTRIBUTE_ASYNC_ENGINES = 2,
    ATTRIBUTE_MAJOR = 23,
    ATTRIBUTE_L2 = 19,
    ATTRIBUTE_MAX_THREADS = 56,
    ATTRIBUTE_MINOR = 61,
    ATTRIBUTE_UNITS = 63,
    ATTRIBUTE_REGISTERS = 71,
    ATTRIBUTE_SHARED = 74,
    ATTRIBUTE_WARP = 87,
};

int hipDeviceGetAttribute(int *value, int attribute, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && value == NULL) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    const Facts *f = facts_of(h, device);
    switch (attribute) {
    case ATTRIBUTE_ASYNC_ENGINES: *value = 2; break;
    case ATTRIBUTE_MAJOR: *value = f->major; break;
    case ATTRIBUTE_MINOR: *value = f->minor; break;
    case ATTRIBUTE_L2: *value = f->l2; break;
    case ATTRIBUTE_MAX_THREADS: *value = 1024; break;
    case ATTRIBUTE_UNITS: *value = f->units; break;
    case ATTRIBUTE_REGISTERS: *value = f->registers; break;
    case ATTRIBUTE_SHARED: *value = f->lds; break;
    case ATTRIBUTE_WARP: *value = f->lanes; break;
    default: error = hipErrorInvalidValue;
    }
    return hip_leave(error);
}

/* ---- properties ------------------------------------------------------------------------------------ */

/* The structure before 6.0, as far as it goes here; the rest is zero. */
typedef struct OldProperties {
    char name[256];
    size_t memory, shared;
    int registers, lanes, max_threads, max_block[3], max_grid[3];
    int clock, memory_clock, bus;
    size_t constants;
    int major, minor, units, l2, unit_threads, mode, ticks;
    unsigned features;
    int concurrent, domain, bus_id, device_id;
    size_t unit_shared;
    int is_multi_board, maps_host, old_arch;
    char arch[256];
    char rest[140];
} OldProperties;

typedef struct NewProperties {
    char name[256], uuid[16], luid[8];
    unsigned luid_mask;
    size_t memory, shared;
    int registers, lanes;
    size_t pitch;
    int max_threads, max_block[3], max_grid[3], clock;
    size_t constants;
    int major, minor;
    size_t alignment, pitch_alignment;
    int overlap, units;
    char middle[768];
    char arch[256];
    char rest[56];
} NewProperties;

_Static_assert(sizeof(OldProperties) == 792 && offsetof(OldProperties, arch) == 396,
               "layout before 6.0");
_Static_assert(sizeof(NewProperties) == 1472 && offsetof(NewProperties, arch) == 1160,
               "layout since 6.0");

/* As an MI300X writes itself. */
static const char *features_of(const Facts *f) { return f->lanes == 64 ? ":sramecc+:xnack-" : ""; }

static const int max_block[3] = {1024, 1024, 1024}, max_grid[3] = {2147483647, 65536, 65536};

int hipGetDeviceProperties(void *properties, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && properties == NULL) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    const Facts *f = facts_of(h, device);
    OldProperties p = {.memory = h->memory,
                       .shared = (size_t)f->lds,
                       .registers = f->registers,
                       .lanes = f->lanes,
                       .max_threads = 1024,
                       .major = f->major,
                       .minor = f->minor,
                       .units = f->units,
                       .l2 = f->l2,
                       .unit_threads = 2048,
                       .unit_shared = (size_t)f->lds,
                       .maps_host = 1};
    memcpy(p.max_block, max_block, sizeof max_block);
    memcpy(p.max_grid, max_grid, sizeof max_grid);
    snprintf(p.name, sizeof p.name, "%s", f->name);
    snprintf(p.arch, sizeof p.arch, "%s%s", f->processor, features_of(f));
    memcpy(properties, &p, sizeof p);
    return hip_leave(hipSuccess);
}

int hipGetDevicePropertiesR0600(void *properties, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && properties == NULL) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    const Facts *f = facts_of(h, device);
    NewProperties p = {.memory = h->memory,
                       .shared = (size_t)f->lds,
                       .registers = f->registers,
                       .lanes = f->lanes,
                       .max_threads = 1024,
                       .major = f->major,
                       .minor = f->minor,
                       .units = f->units};
    memcpy(p.max_block, max_block, sizeof max_block);
    memcpy(p.max_grid, max_grid, sizeof max_grid);
    snprintf(p.name, sizeof p.name, "%s", f->name);
    snprintf(p.arch, sizeof p.arch, "%s%s", f->processor, features_of(f));
    memcpy(properties, &p, sizeof p);
    return hip_leave(hipSuccess);
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

int hipDeviceCanAccessPeer(int *can, int device, int peer) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == hipSuccess && (can == NULL || peer < 0 || peer >= h->n_devices))
        error = hipErrorInvalidValue;
    if (error == hipSuccess) *can = 0;
    return hip_leave(error);
}

int hipDeviceReset(void) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = hip_may_wait(h);
    if (error != hipSuccess) return hip_leave(error);
    Device *d = &h->device[hip_current_device()];
    hip_run_device(h, hip_current_device());
    d->lost = hipSuccess; /* memory and modules stay; a driver gives them back itself */
    return hip_leave(hipSuccess);
}

int hipDriverGetVersion(int *version) {
    if (version == NULL) return hipErrorInvalidValue;
    *version = VERSION;
    return hipSuccess;
}

int hipRuntimeGetVersion(int *version) { return hipDriverGetVersion(version); }
