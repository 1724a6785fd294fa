/* Graphs: what streams are asked while they are recorded, in that order, and later run in it. */
#include "hip_state.h"

#include <stdlib.h>
#include <string.h>

enum { CAPTURE_NONE, CAPTURE_ACTIVE, CAPTURE_INVALIDATED }; /* as hipStreamIsCapturing says it */

static hipGraph_t new_graph(Hip *h) {
    hipGraph_t g = calloc(1, sizeof *g);
    if (g == NULL) return NULL;
    g->next = h->graphs;
    h->graphs = g;
    return g;
}

static bool has_graph(const Hip *h, hipGraph_t g) {
    for (hipGraph_t i = h->graphs; i != NULL; i = i->next)
        if (i == g) return true;
    return false;
}

static int drop(Hip *h, hipGraph_t graph) {
    for (hipGraph_t *p = &h->graphs; *p != NULL; p = &(*p)->next) {
        if (*p != graph) continue;
        *p = graph->next;
        hip_free_nodes(&graph->nodes);
        free(graph);
        return hipSuccess;
    }
    return hipErrorInvalidValue;
}

static int destroy(hipGraph_t graph) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess) error = drop(h, graph);
    return hip_leave(error);
}

int hipGraphDestroy(hipGraph_t graph) { return destroy(graph); }
int hipGraphExecDestroy(hipGraphExec_t exec) { return destroy(exec); }

int hipStreamBeginCapture(hipStream_t stream, int mode) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && stream == NULL) error = hipErrorStreamCaptureUnsupported;
    if (error == hipSuccess && (mode < CAPTURE_GLOBAL || mode > CAPTURE_RELAXED))
        error = hipErrorInvalidValue;
    if (error == hipSuccess && !hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    if (error == hipSuccess && stream->capture != NULL) error = hipErrorStreamCaptureUnsupported;
    if (error != hipSuccess) return hip_leave(error);
    stream->capture = new_graph(h);
    if (stream->capture == NULL) return hip_leave(hipErrorOutOfMemory);
    stream->is_origin = true;
    stream->capture->n_lines = 1;
    stream->line = 0;
    stream->past = (Past){0};
    stream->mode = (CaptureMode)mode;
    stream->thread = pthread_self();
    return hip_leave(hipSuccess);
}

/* Did the origin wait for all that another stream was asked? */
static bool is_joined(const Hip *h, hipStream_t origin) {
    for (hipStream_t s = h->streams; s != NULL; s = s->next)
        for (size_t i = 0; i < MAX_LINES && s->capture == origin->capture; i++)
            if (s->past.of[i] > origin->past.of[i]) return false;
    return true;
}

static void end(Hip *h, hipStream_t origin) {
    hipGraph_t graph = origin->capture;
    for (hipStream_t s = h->streams; s != NULL; s = s->next)
        if (s->capture == graph) s->capture = NULL;
    for (hipEvent_t e = h->events; e != NULL; e = e->next)
        if (e->capture == graph) e->capture = NULL;
    origin->is_origin = false;
}

void hip_leave_recording(Hip *h, hipStream_t stream) {
    hipGraph_t graph = stream->capture;
    graph->is_invalid = true;
    if (!stream->is_origin) return;
    end(h, stream);
    (void)drop(h, graph);
}

int hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (stream == NULL || graph == NULL)) error = hipErrorInvalidValue;
    if (error == hipSuccess && !hip_has_stream(h, stream)) error = hipErrorInvalidHandle;
    if (error == hipSuccess && (stream->capture == NULL || !stream->is_origin))
        error = hipErrorStreamCaptureUnmatched;
    if (error == hipSuccess && stream->mode != CAPTURE_RELAXED &&
        !pthread_equal(stream->thread, pthread_self()))
        error = hipErrorStreamCaptureWrongThread;
    if (error != hipSuccess) return hip_leave(error);
    *graph = stream->capture;
    if (stream->capture->is_invalid)
        error = hipErrorStreamCaptureInvalidated;
    else if (!is_joined(h, stream))
        error = hipErrorStreamCaptureUnjoined;
    end(h, stream);
    if (error != hipSuccess) {
        (void)drop(h, *graph);
        *graph = NULL;
    }
    return hip_leave(error);
}

int hipStreamIsCapturing(hipStream_t stream, int *status) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && (status == NULL || !hip_has_stream(h, stream)))
        error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    hipGraph_t capture = hip_stream(h, stream)->capture;
    *status = capture == NULL       ? CAPTURE_NONE
              : capture->is_invalid ? CAPTURE_INVALIDATED
                                    : CAPTURE_ACTIVE;
    return hip_leave(hipSuccess);
}

static bool copy_node(NodeList *to, const Node *n) {
    Node copy = *n;
    if (n->arguments != NULL) {
        copy.arguments = malloc(n->bytes > 0 ? n->bytes : 1);
        if (copy.arguments == NULL) return false;
        memcpy(copy.arguments, n->arguments, n->bytes);
    }
    if (hip_append(to, copy)) return true;
    free(copy.arguments);
    return false;
}

static bool copy_nodes(NodeList *to, const NodeList *from) {
    for (const Node *n = from->first; n != NULL; n = n->next)
        if (!copy_node(to, n)) return false;
    return true;
}

int hipGraphInstantiateWithFlags(hipGraphExec_t *exec, hipGraph_t graph, unsigned long long flags) {
    Hip *h;
    (void)flags;
    int error = hip_enter(&h);
    if (error == hipSuccess && (exec == NULL || !has_graph(h, graph))) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    hipGraphExec_t x = new_graph(h);
    if (x == NULL || !copy_nodes(&x->nodes, &graph->nodes)) return hip_leave(hipErrorOutOfMemory);
    *exec = x;
    return hip_leave(hipSuccess);
}

int hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, void **node, char *log,
                        size_t bytes) {
    if (node != NULL) *node = NULL;
    if (log != NULL && bytes > 0) log[0] = '\0';
    return hipGraphInstantiateWithFlags(exec, graph, 0);
}

int hipGraphUpload(hipGraphExec_t exec, hipStream_t stream) {
    Hip *h;
    (void)stream;
    int error = hip_enter(&h);
    if (error == hipSuccess && !has_graph(h, exec)) error = hipErrorInvalidValue;
    return hip_leave(error);
}

/* Nodes beside each other: each of a run waits for none of it. */
static void find_beside(NodeList *list) {
    Past first = {0}; /* of each stream in the run at hand; 0: none */
    bool is_empty = true;
    for (Node *n = list->first; n != NULL; n = n->next) {
        bool waits = false;
        for (size_t i = 0; i < MAX_LINES; i++)
            waits |= first.of[i] != 0 && n->past.of[i] >= first.of[i];
        n->is_beside = !is_empty && !waits;
        if (waits) first = (Past){0};
        if (first.of[n->line] == 0) first.of[n->line] = n->past.of[n->line];
        is_empty = false;
    }
}

/* Its nodes go to the stream's queue, each with what it had when it was recorded. */
int hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream) {
    Hip *h;
    int error = hip_enter(&h);
    if (error == hipSuccess && !has_graph(h, exec)) error = hipErrorInvalidValue;
    if (error != hipSuccess) return hip_leave(error);
    NodeList list = {NULL, NULL};
    if (!copy_nodes(&list, &exec->nodes)) error = hipErrorOutOfMemory;
    find_beside(&list);
    for (Node *n = list.first; n != NULL && error == hipSuccess; n = n->next) {
        error = hip_enqueue(h, stream, *n);
        n->arguments = NULL;
    }
    hip_free_nodes(&list);
    return hip_leave(error);
}
