/* What stands behind the HIP functions, and behind CUDA's, which are a second face of the same (cuda_state.h). A
 * runtime that is opened by name has to remember things between calls: one structure, behind one lock, is all there
 * is. Private to the libraries. */
#ifndef EMU_HIP_STATE_H
#define EMU_HIP_STATE_H

#include "emu.h"
#include "hip_api.h"

#include <pthread.h>
#include <stdbool.h>

enum { MAX_DEVICES = 8, WORDS_BYTES = 2600 };

/* Something a stream has to do. */
typedef enum NodeKind { N_KERNEL, N_COPY, N_FILL, N_RECORD, N_WAIT, N_HOST, N_FREE } NodeKind;

/* How many nodes of each stream in a graph come before: the streams are numbered as they join it. */
enum { MAX_LINES = 16 };
typedef struct Past {
    uint32_t of[MAX_LINES];
} Past;

typedef struct Node {
    struct Node *next;
    NodeKind kind;
    EmuKernel *kernel;
    uint32_t grid[3], block[3], lds;
    void *arguments; /* owned, bytes of them; of a copy: what was taken of host memory at once */
    size_t bytes;
    void *to;
    const void *from;
    uint32_t value, width; /* a fill of bytes / width elements */
    hipEvent_t event;
    uint64_t recording; /* which recording of the event */
    void (*function)(void *);
    void *argument;
    /* Of a graph: its stream, what it waits for (itself counted), and whether it waits for none of the nodes before it
     * back to the last one that is not beside any. */
    unsigned line;
    Past past;
    bool is_beside;
} Node;

typedef struct NodeList {
    Node *first, *last;
} NodeList;

struct HipGraph {
    NodeList nodes;
    unsigned n_lines;
    bool is_invalid; /* while it is recorded: something was asked that a recording does not allow */
    struct HipGraph *next; /* of all graphs and executables */
};

/* Whom a recording forbids what would wait: all threads, the one that began it, none. */
typedef enum CaptureMode { CAPTURE_GLOBAL, CAPTURE_OF_THREAD, CAPTURE_RELAXED } CaptureMode;

struct HipStream {
    int device;
    bool is_blocking; /* waits for the null stream and makes it wait */
    NodeList queue;
    hipGraph_t capture; /* NULL: none */
    bool is_origin;
    CaptureMode mode; /* of an origin */
    pthread_t thread; /* that began it */
    unsigned line;    /* in it */
    Past past;
    struct HipStream *next;
};

struct HipEvent {
    int device;
    bool keeps_time, is_captured; /* the last recording was part of a graph */
    uint64_t recorded, done;      /* numbers of recordings: asked for, passed */
    hipStream_t stream;           /* of the last one */
    hipGraph_t capture;           /* recorded while this was captured */
    Past past;
    double time; /* milliseconds of the device's clock */
    struct HipEvent *next;
};

struct HipModule {
    int device;
    int ptx; /* 10 times the version of a text in PTX, else 0 */
    EmuImage *image;
    struct HipModule *next;
};

typedef struct Allocation {
    void *at;
    size_t bytes;
    int device; /* -1: of the host, for all devices */
    bool is_ours;
    int owner; /* the device that was current */
} Allocation;

typedef struct Device {
    Emu *emu;
    struct HipStream null_stream;
    size_t used;
    double clock; /* milliseconds: an instruction of a wave is a nanosecond, ten bytes copied too */
    int lost;     /* the error after which nothing goes on */
} Device;

typedef struct Hip {
    int initialized; /* 0: not yet; else 1 + the error */
    int n_devices;
    Device device[MAX_DEVICES];
    size_t memory; /* bytes of a device */
    hipStream_t streams;
    hipEvent_t events;
    hipModule_t modules;
    hipGraph_t graphs;
    Allocation *allocations;
    size_t n_allocations, cap_allocations;
    const char *report;      /* where to, or NULL */
    char *reports;           /* of modules that are gone */
    char trouble[200];       /* why nothing could be set up */
    char fault[WORDS_BYTES]; /* of the last kernel that went wrong: it stays, as its error does */
} Hip;

/* What differs between the names in front. */
typedef struct Face {
    const char *processors; /* where RWKVC_EMU_ARCH says nothing */
    const char *prefix;     /* of those it has; others are left to another library */
    const int *errors;      /* for each EmuStatus */
    bool ends_recordings;   /* what a recording does not allow ends it */
} Face;
extern const Face driver_face;

/* The lock taken and everything set up; an error, or hipSuccess. Each call is paired with hip_leave,
 * which keeps the error for hipGetLastError and gives it back. */
int hip_enter(Hip **hip);
int hip_leave(int error);
int hip_current_device(void);
void hip_set_current_device(int device);
int hip_error_of(Hip *hip, Emu *emu, EmuStatus status);
/* What the emulator has to say of an error, to the thread that made it; NULL: nothing. It lives until the next failure,
 * or until somebody forgets it. */
void hip_explain(int error, const char *text);
const char *hip_words(int error);
void hip_forget_words(void);
int hip_take_last_error(bool clears);
/* Is this a function of the host's that a stream runs? It may ask for nothing: who waits would wait for itself. */
bool hip_in_host_function(void);

/* ---- queues ------------------------------------------------------------------------------------ */

hipStream_t hip_stream(Hip *hip, hipStream_t stream); /* NULL means the null stream */
bool hip_has_stream(const Hip *hip, hipStream_t stream);
/* Takes the node; runs nothing unless the null stream is involved. */
int hip_enqueue(Hip *hip, hipStream_t stream, Node node);
int hip_run(Hip *hip, hipStream_t stream); /* all of it, and what it waits for */
int hip_run_device(Hip *hip, int device);  /* all streams */
int hip_run_nodes(Hip *hip, int device, const NodeList *list);
bool hip_append(NodeList *list, Node node);
void hip_free_nodes(NodeList *list);
/* No recording forbids it to this thread; else the error to answer. */
int hip_may_wait(Hip *hip);
/* The error, for something that this recording does not allow. */
int hip_spoil(hipGraph_t capture, int error);

/* A stream that goes away is recorded no more; with its origin the recording ends. */
void hip_leave_recording(Hip *hip, hipStream_t stream);

int hip_load(Hip *hip, hipModule_t *module, const void *image, size_t bytes);
const Allocation *hip_allocation(const Hip *hip, const void *at, size_t bytes);
void hip_forget(Hip *hip, const void *at);
/* What the kernels of an image did, for the report; NULL: of all images of the device. */
void hip_keep_report(Hip *hip, int device, const EmuImage *image);

#endif
