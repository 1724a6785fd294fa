/* Memory of the devices and of the host, copies and fills. */
#include "hip_state.h"

#include <stdlib.h>
#include <string.h>

/* ---- allocations --------------------------------------------------------------------------------- */

const Allocation *hip_allocation(const Hip *h, const void *at, size_t bytes) {
    uintptr_t p = (uintptr_t)at;
    for (size_t i = 0; i < h->n_allocations; i++) {
        const Allocation *a = &h->allocations[i];
        uintptr_t base = (uintptr_t)a->at;
        if (p >= base && p - base <= a->bytes && bytes <= a->bytes - (p - base)) return a;
    }
    return NULL;
}

void hip_forget(Hip *h, const void *at) {
    for (size_t i = 0; i < h->n_allocations; i++)
        if (h->allocations[i].at == at) {
            h->allocations[i] = h->allocations[--h->n_allocations];
            return;
        }
}

static bool remember(Hip *h, Allocation a) {
    if (h->n_allocations == h->cap_allocations) {
        size_t cap = h->cap_allocations == 0 ? 64 : 2 * h->cap_allocations;
        Allocation *more = realloc(h->allocations, cap * sizeof *more);
        if (more == NULL) return false;
        h->allocations = more;
        h->cap_allocations = cap;
    }
    h->allocations[h->n_allocations++] = a;
    return true;
}

static const Allocation *exactly(const Hip *h, const void *at) {
    for (size_t i = 0; i < h->n_allocations; i++)
        if (h->allocations[i].at == at) return &h->allocations[i];
    return NULL;
}

static int allocate(Hip *h, void **at, size_t bytes) {
    Device *d = &h->device[hip_current_device()];
    *at = NULL;
    if (bytes == 0) return hipSuccess;
    if (bytes > h->memory || d->used > h->memory - bytes) return hipErrorOutOfMemory;
    void *p = emu_alloc(d->emu, bytes);
    if (p == NULL) return hipErrorOutOfMemory;
    if (!remember(h, (Allocation){p, bytes, hip_current_device(), true, hip_current_device()})) {
        emu_free(d->emu, p);
        return hipErrorOutOfMemory;
    }
    d->used += bytes;
    *at = p;
    return hipSuccess;
}

int hipMalloc(void **at, size_t bytes) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && at == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess) error = hip_may_wait(h);
    if (error == hipSuccess) error = allocate(h, at, bytes);
    return hip_leave(error);
}

/* It waits for all that its device still has to do. */
int hipFree(void *at) {
    Hip *h;
    int error = hip_enter(&h);
    if (error != hipSuccess || at == NULL) return hip_leave(error);
    const Allocation *a = exactly(h, at);
    if (a == NULL || a->device < 0) return hip_leave(hipErrorInvalidValue);
    error = hip_may_wait(h);
    if (error != hipSuccess) return hip_leave(error);
    int device = a->device;
    hip_run_device(h, device);
    a = exactly(h, at); /* what ran may have moved the list */
    if (a == NULL) return hip_leave(hipErrorInvalidValue);
    h->device[device].used -= a->bytes;
    emu_free(h->device[device].emu, at);
    hip_forget(h, at);
    return hip_leave(hipSuccess);
}

int hipMallocAsync(void **at, size_t bytes, hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (at == NULL || !hip_has_stream(h, stream)))
        error = hipErrorInvalidValue;
    if (error == hipSuccess) error = allocate(h, at, bytes);
    return hip_leave(error);
}

int hipFreeAsync(void *at, hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    const Allocation *a = error == hipSuccess ? exactly(h, at) : NULL;
    if (error == hipSuccess && (a == NULL || a->device < 0)) error = hipErrorInvalidValue;
    if (error == hipSuccess) error = hip_enqueue(h, stream, (Node){.kind = N_FREE, .to = at});
    return hip_leave(error);
}

static int add_host(Hip *h, void *at, size_t bytes, bool is_ours) {
    if (!remember(h, (Allocation){at, bytes, -1, is_ours, hip_current_device()}))
        return hipErrorOutOfMemory;
    for (int d = 0; d < h->n_devices; d++)
        if (emu_register(h->device[d].emu, at, bytes) != EMU_OK) return hipErrorOutOfMemory;
    return hipSuccess;
}

static int remove_host(Hip *h, void *at, bool is_ours) {
    const Allocation *a = exactly(h, at);
    if (a == NULL || a->device >= 0 || a->is_ours != is_ours) return hipErrorInvalidValue;
    for (int d = 0; d < h->n_devices; d++) {
        hip_run_device(h, d);
        emu_free(h->device[d].emu, at);
    }
    hip_forget(h, at);
    return hipSuccess;
}

int hipHostMalloc(void **at, size_t bytes, unsigned flags) {
    Hip *h;
    (void)flags;
    int error = hip_enter(&h);
    if (error == hipSuccess && at == NULL) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    size_t room = (bytes + 4095) & ~(size_t)4095;
    *at = bytes == 0 || room < bytes ? NULL : aligned_alloc(4096, room);
    if (*at == NULL) return hip_leave(bytes == 0 ? hipSuccess : hipErrorOutOfMemory);
    error = add_host(h, *at, bytes, true);
    if (error != hipSuccess) free(*at);
    return hip_leave(error);
}

int hipHostFree(void *at) {
    Hip *h;
    int error = hip_enter(&h);
    if (error != hipSuccess || at == NULL) return hip_leave(error);
    error = remove_host(h, at, true);
    if (error == hipSuccess) free(at);
    return hip_leave(error);
}

int hipHostRegister(void *at, size_t bytes, unsigned flags) {
    Hip *h;
    (void)flags;
    int error = hip_enter(&h);
    if (error == hipSuccess && (at == NULL || bytes == 0 || exactly(h, at) != NULL))
        error = hipErrorInvalidValue;
    if (error == hipSuccess) error = add_host(h, at, bytes, false);
    return hip_leave(error);
}

int hipHostUnregister(void *at) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = remove_host(h, at, false);
    return hip_leave(error);
}

int hipHostGetDevicePointer(void **device, void *host, unsigned flags) {
    Hip *h;
    (void)flags;
    int error = hip_enter(&h);
    const Allocation *a = error == hipSuccess ? hip_allocation(h, host, 0) : NULL;
    if (error == hipSuccess && (device == NULL || a == NULL || a->device >= 0))
        error = hipErrorInvalidValue;
    if (error == hipSuccess) *device = host;
    return hip_leave(error);
}

int hipMemGetInfo(size_t *free_bytes, size_t *total) {
    Hip *h;
    int error = hip_enter(&h);
    if (error != hipSuccess) return hip_leave(error);
    if (free_bytes != NULL) *free_bytes = h->memory - h->device[hip_current_device()].used;
    if (total != NULL) *total = h->memory;
    return hip_leave(hipSuccess);
}

/* ---- copies --------------------------------------------------------------------------------------- */

/* Memory that a device knows: allocated, registered, or of a module. */
static bool is_mapped(const Hip *h, const void *at, size_t bytes) {
    for (int d = 0; d < h->n_devices; d++)
        if (emu_is_mapped(h->device[d].emu, at, bytes)) return true;
    return false;
}

/* Bit 0 of `need`: the target has to be such memory, bit 1: the source. */
static int check_ends(const Hip *h, void *to, const void *from, size_t bytes, int kind) {
    static const unsigned need[] = {0, 1, 2, 3, 0};
    if (kind < hipMemcpyHostToHost || kind > hipMemcpyDefault)
        return hipErrorInvalidMemcpyDirection;
    if (bytes > 0 && (to == NULL || from == NULL)) return hipErrorInvalidValue;
    bool has_to = is_mapped(h, to, bytes), has_from = is_mapped(h, from, bytes);
    bool leaves = (!has_to && is_mapped(h, to, 1)) || (!has_from && is_mapped(h, from, 1));
    bool is_wrong = ((need[kind] & 1) && !has_to) || ((need[kind] & 2) && !has_from);
    return bytes > 0 && (leaves || is_wrong) ? hipErrorInvalidValue : hipSuccess;
}

/* Memory of the host that was not registered is read at once, and written only once it has waited. */
static int copy(Hip *h, void *to, const void *from, size_t bytes, int kind, hipStream_t stream,
                bool waits) {
    int error = check_ends(h, to, from, bytes, kind);
    if (error == hipSuccess && !hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    if (error == hipSuccess && waits) error = hip_may_wait(h);
    if (error != hipSuccess || bytes == 0) return error;
    hipStream_t s = hip_stream(h, stream);
    bool is_captured = s->capture != NULL;
    Node node = {.kind = N_COPY, .to = to, .from = from, .bytes = bytes};
    bool is_known = hip_allocation(h, from, bytes) != NULL;
    for (int d = 0; d < h->n_devices; d++) is_known |= emu_is_mapped(h->device[d].emu, from, bytes);
    if (!is_known && !is_captured && !waits) {
        node.arguments = malloc(bytes);
        if (node.arguments == NULL) return hipErrorOutOfMemory;
        memcpy(node.arguments, from, bytes);
    }
    error = hip_enqueue(h, stream, node);
    bool must_wait = waits || (!is_captured && !is_mapped(h, to, bytes));
    return error == hipSuccess && must_wait ? hip_run(h, s) : error;
}

int hipMemcpy(void *to, const void *from, size_t bytes, int kind) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = copy(h, to, from, bytes, kind, NULL, true);
    return hip_leave(error);
}

int hipMemcpyWithStream(void *to, const void *from, size_t bytes, int kind, hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = copy(h, to, from, bytes, kind, stream, true);
    return hip_leave(error);
}

int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = copy(h, to, from, bytes, kind, stream, false);
    return hip_leave(error);
}

int hipMemcpyHtoD(void *to, const void *from, size_t n) {
    return hipMemcpy(to, from, n, hipMemcpyHostToDevice);
}
int hipMemcpyDtoH(void *to, const void *from, size_t n) {
    return hipMemcpy(to, from, n, hipMemcpyDeviceToHost);
}
int hipMemcpyDtoD(void *to, const void *from, size_t n) {
    return hipMemcpy(to, from, n, hipMemcpyDeviceToDevice);
}
int hipMemcpyHtoDAsync(void *to, const void *from, size_t n, hipStream_t stream) {
    return hipMemcpyAsync(to, from, n, hipMemcpyHostToDevice, stream);
}
int hipMemcpyDtoHAsync(void *to, const void *from, size_t n, hipStream_t stream) {
    return hipMemcpyAsync(to, from, n, hipMemcpyDeviceToHost, stream);
}
int hipMemcpyDtoDAsync(void *to, const void *from, size_t n, hipStream_t stream) {
    return hipMemcpyAsync(to, from, n, hipMemcpyDeviceToDevice, stream);
}

/* ---- fills ----------------------------------------------------------------------------------------- */

static int fill(void *to, uint32_t value, uint32_t width, size_t count, hipStream_t stream,
                bool waits) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && count > SIZE_MAX / 4) error = hipErrorInvalidValue;
    if (error == hipSuccess && count > 0 && !is_mapped(h, to, width * count))
        error = hipErrorInvalidValue;
    if (error == hipSuccess && ((uintptr_t)to & (width - 1)) != 0) error = hipErrorInvalidValue;
    if (error == hipSuccess && waits) error = hip_may_wait(h);
    if (error != hipSuccess || count == 0) return hip_leave(error);
    Node node = {.kind = N_FILL, .to = to, .value = value, .width = width, .bytes = width * count};
    error = hip_enqueue(h, stream, node);
    if (error == hipSuccess && waits) error = hip_run(h, hip_stream(h, stream));
    return hip_leave(error);
}

int hipMemset(void *to, int value, size_t n) { return fill(to, (uint32_t)value, 1, n, NULL, true); }
int hipMemsetAsync(void *to, int value, size_t n, hipStream_t s) {
    return fill(to, (uint32_t)value, 1, n, s, false);
}
int hipMemsetD8(void *to, unsigned char value, size_t n) {
    return fill(to, value, 1, n, NULL, true);
}
int hipMemsetD8Async(void *to, unsigned char value, size_t n, hipStream_t s) {
    return fill(to, value, 1, n, s, false);
}
int hipMemsetD16(void *to, unsigned short value, size_t n) {
    return fill(to, value, 2, n, NULL, true);
}
int hipMemsetD16Async(void *to, unsigned short value, size_t n, hipStream_t s) {
    return fill(to, value, 2, n, s, false);
}
int hipMemsetD32(void *to, int value, size_t n) {
    return fill(to, (uint32_t)value, 4, n, NULL, true);
}
int hipMemsetD32Async(void *to, int value, size_t n, hipStream_t s) {
    return fill(to, (uint32_t)value, 4, n, s, false);
}
