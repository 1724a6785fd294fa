/* Streams and events. What is asked of a stream waits in its queue until somebody waits for it: work
 * is done as late as the rules allow, so that a result that is read too early is not there yet. The
 * null stream and those that block wait for each other, as ever. */
#include "hip_state.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local bool in_host_function;
bool hip_in_host_function(void) { return in_host_function; }

/* ---- nodes ------------------------------------------------------------------------------------- */

bool hip_append(NodeList *list, Node node) {
    Node *n = malloc(sizeof *n);
    if (n == NULL) return false;
    *n = node;
    n->next = NULL;
    if (list->last == NULL)
        list->first = n;
    else
        list->last->next = n;
    list->last = n;
    return true;
}

void hip_free_nodes(NodeList *list) {
    for (Node *n = list->first, *next; n != NULL; n = next) {
        next = n->next;
        free(n->arguments);
        free(n);
    }
    *list = (NodeList){NULL, NULL};
}

static uint64_t instructions(const EmuKernel *k) {
    EmuCounts c;
    emu_kernel_counts(k, &c);
    return c.instructions;
}

static int run_kernel(Hip *h, Device *d, const Node *n) {
    if (!emu_has_kernel(d->emu, n->kernel)) return hipErrorInvalidHandle; /* its module is gone */
    uint64_t before = instructions(n->kernel);
    EmuStatus s = emu_launch(d->emu, n->kernel, n->grid, n->block, n->lds, n->arguments, n->bytes);
    d->clock += (double)(instructions(n->kernel) - before) * 1e-6;
    return hip_error_of(h, d->emu, s);
}

static void release_allocation(Hip *h, void *at) {
    const Allocation *a = hip_allocation(h, at, 0);
    if (a == NULL) return;
    if (a->device >= 0) {
        h->device[a->device].used -= a->bytes;
        emu_free(h->device[a->device].emu, at);
    }
    hip_forget(h, at);
}

static int run_node(Hip *h, int device, const Node *n) {
    Device *d = &h->device[device];
    emu_beside(d->emu, n->is_beside);
    switch (n->kind) {
    case N_KERNEL: return run_kernel(h, d, n);
    case N_COPY:
        emu_copy(d->emu, n->to, n->arguments != NULL ? n->arguments : n->from, n->bytes);
        d->clock += (double)n->bytes * 1e-7;
        return hipSuccess;
    case N_FILL:
        emu_fill(d->emu, n->to, n->value, n->width, n->bytes / n->width);
        return hipSuccess;
    case N_RECORD:
        if (n->event->done < n->recording) n->event->done = n->recording;
        n->event->time = d->clock;
        return hipSuccess;
    case N_WAIT:
        if (n->event->done < n->recording) return hip_run(h, n->event->stream);
        return hipSuccess;
    case N_FREE: release_allocation(h, n->to); return hipSuccess;
    default:
        in_host_function = true;
        n->function(n->argument);
        in_host_function = false;
        return hipSuccess;
    }
}

int hip_run_nodes(Hip *h, int device, const NodeList *list) {
    int error = hipSuccess;
    for (const Node *n = list->first; n != NULL && error == hipSuccess; n = n->next)
        error = run_node(h, device, n);
    return error;
}

/* After a kernel's fault nothing more runs on a device. */
static int run_first(Hip *h, hipStream_t s) {
    Device *d = &h->device[s->device];
    Node *n = s->queue.first;
    s->queue.first = n->next;
    if (n->next == NULL) s->queue.last = NULL;
    if (d->lost == hipSuccess || n->kind == N_RECORD || n->kind == N_FREE) {
        int error = run_node(h, s->device, n);
        if (error != hipSuccess && d->lost == hipSuccess) d->lost = error;
    }
    free(n->arguments);
    free(n);
    return d->lost;
}

int hip_run(Hip *h, hipStream_t s) {
    while (s->queue.first != NULL) run_first(h, s);
    return h->device[s->device].lost;
}

int hip_run_device(Hip *h, int device) {
    hip_run(h, &h->device[device].null_stream);
    for (hipStream_t s = h->streams; s != NULL; s = s->next)
        if (s->device == device) hip_run(h, s);
    return h->device[device].lost;
}

/* ---- taking ------------------------------------------------------------------------------------- */

hipStream_t hip_stream(Hip *h, hipStream_t s) {
    return s == NULL ? &h->device[hip_current_device()].null_stream : s;
}

bool hip_has_stream(const Hip *h, hipStream_t s) {
    for (hipStream_t i = h->streams; i != NULL; i = i->next)
        if (i == s) return true;
    return s == NULL;
}

static void meet_null_stream(Hip *h, hipStream_t s) {
    Device *d = &h->device[s->device];
    if (s != &d->null_stream) {
        if (s->is_blocking) hip_run(h, &d->null_stream);
        return;
    }
    for (hipStream_t i = h->streams; i != NULL; i = i->next)
        if (i->device == s->device && i->is_blocking) hip_run(h, i);
}

/* The null stream would have to wait for what is recorded in a stream that it waits for. */
static int meets_recording(Hip *h, hipStream_t s) {
    if (s != &h->device[s->device].null_stream) return hipSuccess;
    for (hipStream_t i = h->streams; i != NULL; i = i->next)
        if (i->device == s->device && i->is_blocking && i->capture != NULL)
            return hip_spoil(i->capture, hipErrorStreamCaptureImplicit);
    return hipSuccess;
}

int hip_enqueue(Hip *h, hipStream_t stream, Node node) {
    int error = hipSuccess;
    if (!hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    hipStream_t s = error == hipSuccess ? hip_stream(h, stream) : NULL;
    if (error == hipSuccess) error = meets_recording(h, s);
    if (error == hipSuccess && s->capture != NULL && s->capture->is_invalid)
        error = hipErrorStreamCaptureInvalidated;
    if (error == hipSuccess && s->capture == NULL) {
        error = h->device[s->device].lost;
        if (error == hipSuccess) meet_null_stream(h, s);
        if (error == hipSuccess) error = h->device[s->device].lost;
    }
    if (error == hipSuccess && s->capture != NULL) {
        s->past.of[s->line]++;
        node.line = s->line;
        node.past = s->past;
    }
    NodeList *list = error != hipSuccess  ? NULL
                     : s->capture != NULL ? &s->capture->nodes
                                          : &s->queue;
    if (list != NULL && hip_append(list, node)) return hipSuccess;
    free(node.arguments);
    return error != hipSuccess ? error : hipErrorOutOfMemory;
}

int hip_spoil(hipGraph_t capture, int error) {
    capture->is_invalid |= driver_face.ends_recordings;
    return error;
}

int hip_may_wait(Hip *h) {
    int error = hipSuccess;
    for (hipStream_t s = h->streams; s != NULL; s = s->next)
        if (s->is_origin &&
            (s->mode == CAPTURE_GLOBAL ||
             (s->mode == CAPTURE_OF_THREAD && pthread_equal(s->thread, pthread_self()))))
            error = hip_spoil(s->capture, hipErrorStreamCaptureUnsupported);
    return error;
}

/* What is recorded is never waited for, whoever asks. */
static int may_wait_for(Hip *h, hipStream_t s) {
    if (s == NULL || s->capture == NULL) return hip_may_wait(h);
    return hip_spoil(s->capture, hipErrorStreamCaptureUnsupported);
}

/* ---- streams ------------------------------------------------------------------------------------ */

enum { STREAM_NON_BLOCKING = 1, EVENT_WITHOUT_TIME = 2 };

int hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && stream == NULL) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    hipStream_t s = calloc(1, sizeof *s);
    if (s == NULL) return hip_leave(hipErrorOutOfMemory);
    s->device = hip_current_device();
    s->is_blocking = (flags & STREAM_NON_BLOCKING) == 0;
    s->next = h->streams;
    h->streams = s;
    *stream = s;
    return hip_leave(hipSuccess);
}

int hipStreamCreate(hipStream_t *stream) { return hipStreamCreateWithFlags(stream, 0); }

int hipStreamCreateWithPriority(hipStream_t *stream, unsigned flags, int priority) {
    (void)priority;
    return hipStreamCreateWithFlags(stream, flags);
}

int hipDeviceGetStreamPriorityRange(int *least, int *greatest) {
    if (least != NULL) *least = 0;
    if (greatest != NULL) *greatest = 0;
    return hipSuccess;
}

int hipStreamDestroy(hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error != hipSuccess) return hip_leave(error);
    for (hipStream_t *p = &h->streams; *p != NULL; p = &(*p)->next) {
        if (*p != stream) continue;
        hip_run(h, stream);
        if (stream->capture != NULL) hip_leave_recording(h, stream);
        *p = stream->next;
        free(stream);
        return hip_leave(hipSuccess);
    }
    return hip_leave(hipErrorInvalidHandle);
}

int hipStreamSynchronize(hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && !hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    if (error == hipSuccess) error = may_wait_for(h, stream);
    if (error == hipSuccess) error = hip_run(h, hip_stream(h, stream));
    return hip_leave(error);
}

/* Asking makes a step, so that asking again and again comes to an end. */
int hipStreamQuery(hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && !hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    if (error == hipSuccess) error = may_wait_for(h, stream);
    if (error != hipSuccess) return hip_leave(error);
    hipStream_t s = hip_stream(h, stream);
    if (s->queue.first == NULL) return hip_leave(h->device[s->device].lost);
    error = run_first(h, s);
    return hip_leave(error != hipSuccess ? error : hipErrorNotReady);
}

int hipLaunchHostFunc(hipStream_t stream, void (*function)(void *), void *argument) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && function == NULL) error = hipErrorInvalidValue;
    if (error == hipSuccess)
        error = hip_enqueue(h, stream,
                            (Node){.kind = N_HOST, .function = function, .argument = argument});
    return hip_leave(error);
}

int hipDeviceSynchronize(void) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = hip_may_wait(h);
    if (error == hipSuccess) error = hip_run_device(h, hip_current_device());
    return hip_leave(error);
}

/* ---- events -------------------------------------------------------------------------------------- */

static bool has_event(const Hip *h, hipEvent_t e) {
    for (hipEvent_t i = h->events; i != NULL; i = i->next)
        if (i == e) return true;
    return false;
}

int hipEventCreateWithFlags(hipEvent_t *event, unsigned flags) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && event == NULL) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    hipEvent_t e = calloc(1, sizeof *e);
    if (e == NULL) return hip_leave(hipErrorOutOfMemory);
    e->device = hip_current_device();
    e->keeps_time = (flags & EVENT_WITHOUT_TIME) == 0;
    e->next = h->events;
    h->events = e;
    *event = e;
    return hip_leave(hipSuccess);
}

int hipEventCreate(hipEvent_t *event) { return hipEventCreateWithFlags(event, 0); }

int hipEventRecord(hipEvent_t event, hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (!has_event(h, event) || !hip_has_stream(h, stream)))
        error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    hipStream_t s = hip_stream(h, stream);
    if (event->device != s->device) return hip_leave(hipErrorInvalidHandle);
    if (s->capture != NULL && s->capture->is_invalid)
        return hip_leave(hipErrorStreamCaptureInvalidated);
    event->stream = s;
    event->capture = s->capture;
    event->is_captured = s->capture != NULL;
    event->past = s->past;
    if (s->capture != NULL) return hip_leave(hipSuccess); /* the order in the graph says it all */
    event->recorded++;
    Node node = {.kind = N_RECORD, .event = event, .recording = event->recorded};
    return hip_leave(hip_enqueue(h, stream, node));
}

/* It waits for what the event does, and with its first one joins the recording. */
static int join_capture(hipStream_t s, hipEvent_t event) {
    if (event->capture->is_invalid) return hipErrorStreamCaptureInvalidated;
    if (s->capture != NULL && s->capture != event->capture) {
        (void)hip_spoil(event->capture, hipErrorStreamCaptureMerge);
        return hip_spoil(s->capture, hipErrorStreamCaptureMerge);
    }
    if (s->capture != event->capture) {
        if (event->capture->n_lines == MAX_LINES) return hipErrorNotSupported;
        s->capture = event->capture;
        s->line = s->capture->n_lines++;
        s->past = (Past){0};
    }
    for (size_t i = 0; i < MAX_LINES; i++)
        if (event->past.of[i] > s->past.of[i]) s->past.of[i] = event->past.of[i];
    return hipSuccess;
}

int hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags) {
    Hip *h;
    (void)flags;
    int error = hip_enter(&h);
    if (error == hipSuccess && (!has_event(h, event) || !hip_has_stream(h, stream)))
        error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    hipStream_t s = hip_stream(h, stream);
    if (event->capture != NULL) return hip_leave(join_capture(s, event));
    if (s->capture != NULL) return hip_leave(hip_spoil(s->capture, hipErrorStreamCaptureIsolation));
    if (event->recorded == event->done) return hip_leave(hipSuccess);
    Node node = {.kind = N_WAIT, .event = event, .recording = event->recorded};
    return hip_leave(hip_enqueue(h, stream, node));
}

static int may_ask(Hip *h, hipEvent_t event) {
    if (!has_event(h, event)) return hipErrorInvalidHandle;
    if (!event->is_captured) return hip_may_wait(h);
    return event->capture != NULL ? hip_spoil(event->capture, hipErrorCapturedEvent)
                                  : hipErrorCapturedEvent;
}

int hipEventSynchronize(hipEvent_t event) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = may_ask(h, event);
    if (error == hipSuccess && event->done < event->recorded) error = hip_run(h, event->stream);
    return hip_leave(error);
}

int hipEventQuery(hipEvent_t event) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = may_ask(h, event);
    if (error != hipSuccess) return hip_leave(error);
    if (event->done == event->recorded) return hip_leave(hipSuccess);
    error = run_first(h, event->stream);
    return hip_leave(error != hipSuccess ? error : hipErrorNotReady);
}

int hipEventElapsedTime(float *milliseconds, hipEvent_t start, hipEvent_t stop) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess &&
        (!has_event(h, start) || !has_event(h, stop) || milliseconds == NULL))
        error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    if (start->recorded == 0 || stop->recorded == 0 || !start->keeps_time || !stop->keeps_time ||
        start->device != stop->device)
        return hip_leave(hipErrorInvalidHandle);
    if (start->is_captured || stop->is_captured) return hip_leave(hipErrorCapturedEvent);
    if (start->done < start->recorded || stop->done < stop->recorded)
        return hip_leave(hipErrorNotReady);
    *milliseconds = (float)(stop->time - start->time);
    return hip_leave(hipSuccess);
}

/* Whoever still waits for it is let through first. */
int hipEventDestroy(hipEvent_t event) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && !has_event(h, event)) error = hipErrorInvalidHandle;
    if (error != hipSuccess) return hip_leave(error);
    for (int d = 0; d < h->n_devices; d++) hip_run_device(h, d);
    for (hipEvent_t *p = &h->events; *p != NULL; p = &(*p)->next)
        if (*p == event) {
            *p = event->next;
            break;
        }
    free(event);
    return hip_leave(hipSuccess);
}
