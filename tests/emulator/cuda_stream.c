/* Streams, events, graphs. */
#include "cuda_state.h"

enum { STREAM_FLAGS = 1, EVENT_FLAGS = 7, EVENT_WITHOUT_TIME = 2, EVENT_OF_PROCESSES = 4 };

int cuda_stream(CUstream *stream) {
    if (*stream == (CUstream)(uintptr_t)1) *stream = NULL;
    return *stream == (CUstream)(uintptr_t)2 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

static int check(CUstream *stream) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : cuda_stream(stream);
}

/* ---- streams ------------------------------------------------------------------------------------- */

int cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) {
    int error = cuda_check();
    if (error == CUDA_SUCCESS && (stream == NULL || flags > STREAM_FLAGS))
        error = CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipStreamCreateWithPriority(stream, flags, priority);
}

int cuStreamCreate(CUstream *stream, unsigned flags) {
    return cuStreamCreateWithPriority(stream, flags, 0);
}

int cuStreamDestroy_v2(CUstream stream) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipStreamDestroy(stream);
}

int cuStreamSynchronize(CUstream stream) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipStreamSynchronize(stream);
}

int cuStreamQuery(CUstream stream) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipStreamQuery(stream);
}

int cuStreamGetFlags(CUstream stream, unsigned *flags) {
    Hip *h;
    int error = check(&stream);
    if (error == CUDA_SUCCESS && flags == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    if (!hip_has_stream(h, stream)) error = CUDA_ERROR_INVALID_HANDLE;
    if (error == CUDA_SUCCESS) *flags = hip_stream(h, stream)->is_blocking ? 0 : 1;
    return hip_leave(error);
}

/* Flag 1 is for events of other programs. */
int cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
    int error = check(&stream);
    if (error == CUDA_SUCCESS && flags > 1) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS && flags == 1) error = CUDA_ERROR_NOT_SUPPORTED;
    return error != CUDA_SUCCESS ? error : hipStreamWaitEvent(stream, event, flags);
}

int cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *argument) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipLaunchHostFunc(stream, function, argument);
}

/* ---- events -------------------------------------------------------------------------------------- */

int cuEventCreate(CUevent *event, unsigned flags) {
    int error = cuda_check();
    if (error == CUDA_SUCCESS && (event == NULL || flags > EVENT_FLAGS))
        error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS && (flags & EVENT_OF_PROCESSES) != 0)
        error = flags & EVENT_WITHOUT_TIME ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipEventCreateWithFlags(event, flags);
}

int cuEventRecord(CUevent event, CUstream stream) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipEventRecord(event, stream);
}

int cuEventSynchronize(CUevent event) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipEventSynchronize(event);
}

int cuEventQuery(CUevent event) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipEventQuery(event);
}

int cuEventElapsedTime(float *milliseconds, CUevent start, CUevent stop) {
    int error = cuda_check();
    if (error == CUDA_SUCCESS && milliseconds == NULL) error = CUDA_ERROR_INVALID_VALUE;
    return error != CUDA_SUCCESS ? error : hipEventElapsedTime(milliseconds, start, stop);
}

int cuEventDestroy_v2(CUevent event) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipEventDestroy(event);
}

/* ---- graphs -------------------------------------------------------------------------------------- */

int cuStreamBeginCapture_v2(CUstream stream, int mode) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipStreamBeginCapture(stream, mode);
}

int cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipStreamEndCapture(stream, graph);
}

int cuStreamIsCapturing(CUstream stream, int *status) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipStreamIsCapturing(stream, status);
}

/* Of flags, that to upload it at once is the only one that changes nothing. */
int cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
    enum { UPLOAD = 2, ALL = 15 };
    int error = cuda_check();
    if (error == CUDA_SUCCESS && flags > ALL) error = CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS && (flags & ~(unsigned long long)UPLOAD) != 0)
        error = CUDA_ERROR_NOT_SUPPORTED;
    return error != CUDA_SUCCESS ? error : hipGraphInstantiateWithFlags(exec, graph, flags);
}

int cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, void **node, char *log, size_t bytes) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipGraphInstantiate(exec, graph, node, log, bytes);
}

/* Without a place for them, how many there are. */
int cuGraphGetNodes(CUgraph graph, void **nodes, size_t *n) {
    Hip *h;
    int error = cuda_check();
    if (error == CUDA_SUCCESS && n == NULL) error = CUDA_ERROR_INVALID_VALUE;
    if (error != CUDA_SUCCESS) return error;
    error = hip_enter(&h);
    hipGraph_t g = h->graphs;
    while (g != NULL && g != graph) g = g->next;
    if (g == NULL) return hip_leave(CUDA_ERROR_INVALID_VALUE);
    size_t room = nodes != NULL ? *n : 0;
    *n = 0;
    for (Node *i = g->nodes.first; i != NULL; i = i->next, ++*n)
        if (*n < room) nodes[*n] = i;
    if (nodes != NULL && *n > room) *n = room;
    return hip_leave(error);
}

int cuGraphLaunch(CUgraphExec exec, CUstream stream) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipGraphLaunch(exec, stream);
}

int cuGraphUpload(CUgraphExec exec, CUstream stream) {
    int error = check(&stream);
    return error != CUDA_SUCCESS ? error : hipGraphUpload(exec, stream);
}

int cuGraphDestroy(CUgraph graph) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipGraphDestroy(graph);
}

int cuGraphExecDestroy(CUgraphExec exec) {
    int error = cuda_check();
    return error != CUDA_SUCCESS ? error : hipGraphExecDestroy(exec);
}

/* ---- the end of a context ------------------------------------------------------------------------ */

/* One thing of a device that is left, by the kinds of HIP's functions that take it. */
typedef struct Left {
    hipStream_t stream;
    hipEvent_t event;
    hipModule_t module;
    void *memory, *host, *registered;
} Left;

static bool find_left(int device, Left *left) {
    Hip *h;
    (void)hip_enter(&h);
    *left = (Left){NULL, NULL, NULL, NULL, NULL, NULL};
    for (hipStream_t s = h->streams; s != NULL; s = s->next)
        if (s->device == device) left->stream = s;
    for (hipEvent_t e = h->events; e != NULL; e = e->next)
        if (e->device == device) left->event = e;
    for (hipModule_t m = h->modules; m != NULL; m = m->next)
        if (m->device == device) left->module = m;
    for (size_t i = 0; i < h->n_allocations; i++) {
        const Allocation *a = &h->allocations[i];
        if (a->owner != device) continue;
        if (a->device >= 0)
            left->memory = a->at;
        else if (a->is_ours)
            left->host = a->at;
        else
            left->registered = a->at;
    }
    (void)hip_leave(CUDA_SUCCESS);
    return left->stream != NULL || left->event != NULL || left->module != NULL ||
           left->memory != NULL || left->host != NULL || left->registered != NULL;
}

void cuda_clear(int device) {
    Left left;
    while (find_left(device, &left)) {
        if (left.stream != NULL) (void)hipStreamDestroy(left.stream);
        if (left.event != NULL) (void)hipEventDestroy(left.event);
        if (left.module != NULL) cuda_forget_functions(left.module);
        if (left.module != NULL) (void)hipModuleUnload(left.module);
        if (left.memory != NULL) (void)hipFree(left.memory);
        if (left.host != NULL) (void)hipHostFree(left.host);
        if (left.registered != NULL) (void)hipHostUnregister(left.registered);
    }
}
