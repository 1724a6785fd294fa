/* Devices: how many, which, and what they say of themselves. */
#include "cuda_state.h"

#include <stdio.h>
#include <string.h>

static const struct {
    int number, sm_80, sm_90;
} attributes[] = {
#define ATTRIBUTE(number, name, sm_80, sm_90) {number, sm_80, sm_90},
#include "cuda_attributes.def"
#undef ATTRIBUTE
};
enum { N_ATTRIBUTES = sizeof attributes / sizeof *attributes, MAJOR = 75, MINOR = 76 };

int cuDriverGetVersion(int *version) {
    if (version == NULL) return CUDA_ERROR_INVALID_VALUE;
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

/* The lock is held until hip_leave. */
static int enter_device(Hip **h, int device) {
    int error = cuda_check_start();
    int other = hip_enter(h);
    if (error == CUDA_SUCCESS) error = other;
    if (error == CUDA_SUCCESS && (device < 0 || device >= (*h)->n_devices))
        error = CUDA_ERROR_INVALID_DEVICE;
    return error;
}

int cuDeviceGetCount(int *count) {
    Hip *h;
    int error = enter_device(&h, 0);
    if (error == CUDA_SUCCESS && count == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *count = h->n_devices;
    return hip_leave(error);
}

int cuDeviceGet(int *device, int ordinal) {
    Hip *h;
    int error = enter_device(&h, ordinal);
    if (error == CUDA_SUCCESS && device == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *device = ordinal;
    return hip_leave(error);
}

int cuDeviceGetName(char *name, int length, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && (name == NULL || length <= 0)) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS)
        snprintf(name, (size_t)length, "emulated %s", emu_processor(h->device[device].emu));
    return hip_leave(error);
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && bytes == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *bytes = h->memory;
    return hip_leave(error);
}

int cuda_attribute(int *value, int attribute, int device) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && value == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return hip_leave(error);
    bool is_90 = strcmp(emu_processor(h->device[device].emu), "sm_90") == 0;
    error = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < N_ATTRIBUTES; i++) {
        if (attributes[i].number != attribute) continue;
        *value = is_90 ? attributes[i].sm_90 : attributes[i].sm_80;
        error = CUDA_SUCCESS;
    }
    return hip_leave(error);
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    return cuda_attribute(value, attribute, device);
}

int cuDeviceComputeCapability(int *major, int *minor, int device) {
    int error = cuda_attribute(major, MAJOR, device);
    return error != CUDA_SUCCESS ? error : cuda_attribute(minor, MINOR, device);
}

int cuDeviceCanAccessPeer(int *can, int device, int peer) {
    Hip *h;
    int error = enter_device(&h, device);
    if (error == CUDA_SUCCESS && (peer < 0 || peer >= h->n_devices))
        error = CUDA_ERROR_INVALID_DEVICE;
    if (error == CUDA_SUCCESS && can == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *can = 0;
    return hip_leave(error);
}
