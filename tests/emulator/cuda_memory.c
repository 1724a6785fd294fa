/* Memory of the devices and of the host, copies and fills. */
#include "cuda_state.h"

/* Flags of pinned memory: for all contexts, mapped, write-combined; of registered memory also two more. */
enum { ALLOC_FLAGS = 7, REGISTER_FLAGS = 15 };

/* ---- allocations --------------------------------------------------------------------------------- */

int cuMemAlloc_v2(CUdeviceptr *at, size_t bytes) {
    void *p = NULL;
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && (at == NULL || bytes == 0)) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = hipMalloc(&p, bytes);
    if (error == CUDA_SUCCESS) *at = (uintptr_t)p;
    return error;
}

int cuMemFree_v2(CUdeviceptr at) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && at == 0) error = CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipFree(cuda_at(at));
}

/* In a graph they would be nodes of their own, which are not there. */
static int check_pool(CUstream *stream) {
    int status = 0, error = cuda_check();
    if (error == CUDA_SUCCESS) error = cuda_stream(stream);
    if (error == CUDA_SUCCESS) error = hipStreamIsCapturing(*stream, &status);
    return error == CUDA_SUCCESS && status != 0 ? CUDA_ERROR_NOT_SUPPORTED : error;
}

int cuMemAllocAsync(CUdeviceptr *at, size_t bytes, CUstream stream) {
    void *p = NULL;
    int error = check_pool(&stream);
    if (error == CUDA_SUCCESS && (at == NULL || bytes == 0)) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = hipMallocAsync(&p, bytes, stream);
    if (error == CUDA_SUCCESS) *at = (uintptr_t)p;
    return error;
}

int cuMemFreeAsync(CUdeviceptr at, CUstream stream) {
    int error = check_pool(&stream);
    return error != CUDA_SUCCESS ? error : hipFreeAsync(cuda_at(at), stream);
}

int cuMemHostAlloc(void **at, size_t bytes, unsigned flags) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && (at == NULL || bytes == 0 || flags > ALLOC_FLAGS))
        error = CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipHostMalloc(at, bytes, flags);
}

int cuMemAllocHost_v2(void **at, size_t bytes) { return cuMemHostAlloc(at, bytes, 0); }

int cuMemFreeHost(void *at) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && at == NULL) error = CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipHostFree(at);
}

static bool is_known(const void *at, size_t bytes) {
    Hip *h;
    bool is = hip_enter(&h) == CUDA_SUCCESS && hip_allocation(h, at, bytes) != NULL;
    (void)hip_leave(CUDA_SUCCESS);
    return is;
}

int cuMemHostRegister_v2(void *at, size_t bytes, unsigned flags) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && (at == NULL || bytes == 0 || flags > REGISTER_FLAGS))
        error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS && (is_known(at, 1) || is_known((char *)at + bytes - 1, 1)))
        error = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    return error != CUDA_SUCCESS ? error : hipHostRegister(at, bytes, flags);
}

int cuMemHostUnregister(void *at) {
    int error = cuda_check_wait();
    if (error == CUDA_SUCCESS && at == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = hipHostUnregister(at);
    return error == CUDA_ERROR_INVALID_VALUE && at != NULL ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
                                                           : error;
}

int cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *host, unsigned flags) {
    void *p = NULL;
    int error = cuda_check();
    if (error == CUDA_SUCCESS && (device == NULL || flags != 0)) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) error = hipHostGetDevicePointer(&p, host, flags);
    if (error == CUDA_SUCCESS) *device = (uintptr_t)p;
    return error;
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    int error = cuda_check();
    if (error == CUDA_SUCCESS && (free_bytes == NULL || total == NULL))
        error = CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipMemGetInfo(free_bytes, total);
}

int cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr at) {
    Hip *h;
    int error = cuda_check();
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    const Allocation *a = hip_allocation(h, cuda_at(at), 1);
    if (error == CUDA_SUCCESS && a == NULL) error = CUDA_ERROR_NOT_FOUND;
    if (error == CUDA_SUCCESS && base != NULL) *base = (uintptr_t)a->at;
    if (error == CUDA_SUCCESS && bytes != NULL) *bytes = a->bytes;
    return hip_leave(error);
}

/* ---- copies --------------------------------------------------------------------------------------- */

/* An address of the host's may be in no memory of a device. */
static int check_host(const void *at, size_t bytes) {
    Hip *h;
    int error = cuda_check();
    if (error != CUDA_SUCCESS || bytes == 0) return error;
    error = hip_enter(&h);
    const Allocation *a = hip_allocation(h, at, 1);
    if (error == CUDA_SUCCESS && a != NULL && a->device >= 0) error = CUDA_ERROR_INVALID_VALUE;
    return hip_leave(error);
}

static int copy(void *to, const void *from, size_t bytes, int kind, int error) {
    return error != CUDA_SUCCESS ? error : hipMemcpy(to, from, bytes, kind);
}

static int copy_late(void *to, const void *from, size_t bytes, int kind, CUstream stream,
                     int error) {
    if (error == CUDA_SUCCESS) error = cuda_stream(&stream);
    return error != CUDA_SUCCESS ? error : hipMemcpyAsync(to, from, bytes, kind, stream);
}

int cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t n) {
    return copy(cuda_at(to), cuda_at(from), n, hipMemcpyDefault, cuda_check());
}
int cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) {
    return copy(cuda_at(to), from, n, hipMemcpyHostToDevice, check_host(from, n));
}
int cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) {
    return copy(to, cuda_at(from), n, hipMemcpyDeviceToHost, check_host(to, n));
}
int cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) {
    return copy(cuda_at(to), cuda_at(from), n, hipMemcpyDeviceToDevice, cuda_check());
}
int cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
    return copy_late(cuda_at(to), cuda_at(from), n, hipMemcpyDefault, stream, cuda_check());
}
int cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream stream) {
    return copy_late(cuda_at(to), from, n, hipMemcpyHostToDevice, stream, check_host(from, n));
}
int cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream stream) {
    return copy_late(to, cuda_at(from), n, hipMemcpyDeviceToHost, stream, check_host(to, n));
}
int cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
    return copy_late(cuda_at(to), cuda_at(from), n, hipMemcpyDeviceToDevice, stream, cuda_check());
}

/* ---- fills ----------------------------------------------------------------------------------------- */

static int check_fill(CUstream *stream) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : cuda_stream(stream);
}

int cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipMemsetD8(cuda_at(to), value, n);
}
int cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t n) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipMemsetD16(cuda_at(to), value, n);
}
int cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipMemsetD32(cuda_at(to), (int)value, n);
}
int cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream) {
    int error = check_fill(&stream);
    return error != CUDA_SUCCESS ? error : hipMemsetD8Async(cuda_at(to), value, n, stream);
}
int cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream) {
    int error = check_fill(&stream);
    return error != CUDA_SUCCESS ? error : hipMemsetD16Async(cuda_at(to), value, n, stream);
}
int cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream) {
    int error = check_fill(&stream);
    return error != CUDA_SUCCESS ? error : hipMemsetD32Async(cuda_at(to), (int)value, n, stream);
}
