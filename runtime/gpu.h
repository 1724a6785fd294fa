/* GPUs as the runtime sees them: what a driver can do, as a table of functions, one table a kind of
 * driver. Libraries of drivers are opened when a context asks for one, so that nothing of them is needed
 * to build or to run on processors. Memory of a device has addresses that only its driver may follow; here
 * they are pointers like any other. Not for users of the runtime. */
#ifndef RW_GPU_H
#define RW_GPU_H

#include "rw.h"

typedef struct gpu gpu;

/* A function of a driver's library, and where its address goes in the structure of the device. */
typedef struct gpu_symbol {
    const char *name;
    size_t at;
    bool may_be_missing;
} gpu_symbol;

/* What a driver can do. `queue`: work in it is done in order, and asked for without waiting. What can
 * fail returns RW_DRIVER with the driver's words, and RW_NO_MEMORY where that is what they are. A thread
 * calls `enter` before anything else. */
typedef struct gpu_api {
    const char *kind;             /* "hip": devices are "hip:0", "hip:1" ...             */
    const char *variable;         /* of the environment: the library to open             */
    const char *const *libraries; /* the names to try without it; NULL ends them         */
    const char *product;          /* what a user installs to get one                     */
    const gpu_symbol *symbols;
    size_t n_symbols, bytes; /* of the structure, which begins with a gpu                */

    rw_status (*start)(gpu *g, int *devices, rw_message *m);
    rw_status (*choose)(gpu *g, int index, rw_message *m); /* fills in what a gpu says      */
    void (*close)(gpu *g);
    rw_status (*enter)(gpu *g, rw_message *m);
    rw_status (*room)(gpu *g, size_t *free_bytes, size_t *total, rw_message *m);

    /* image: NUL-terminated where it is a text; must stay as long as the module. */
    rw_status (*load)(gpu *g, const void *image, void **module, rw_message *m);
    void (*unload)(gpu *g, void *module);
    rw_status (*find)(gpu *g, void *module, const char *symbol, void **function, rw_message *m);

    rw_status (*take)(gpu *g, size_t bytes, uint8_t **out, rw_message *m);
    void (*give)(gpu *g, uint8_t *p);
    rw_status (*take_host)(gpu *g, size_t bytes, uint8_t **out, rw_message *m); /* pinned */
    void (*give_host)(gpu *g, uint8_t *p);

    rw_status (*queue_make)(gpu *g, void **queue, rw_message *m);
    void (*queue_drop)(gpu *g, void *queue);
    rw_status (*wait)(gpu *g, void *queue, rw_message *m); /* till all of it is done */
    /* Copies to the device, from it, within it; zeros. Host memory is pinned, and stays as it is till then. */
    rw_status (*up)(gpu *g, void *queue, void *to, const void *from, size_t bytes, rw_message *m);
    rw_status (*down)(gpu *g, void *queue, void *to, const void *from, size_t bytes, rw_message *m);
    rw_status (*within)(gpu *g, void *queue, void *to, const void *from, size_t bytes,
                        rw_message *m);
    rw_status (*zero)(gpu *g, void *queue, void *to, size_t bytes, rw_message *m);
    /* args: a pointer to each argument; they are copied. */
    rw_status (*launch)(gpu *g, void *queue, void *function, uint32_t groups, uint32_t block,
                        void **args, rw_message *m);

    rw_status (*mark_make)(gpu *g, bool timed, void **mark, rw_message *m);
    void (*mark_drop)(gpu *g, void *mark);
    rw_status (*mark)(gpu *g, void *queue, void *mark, rw_message *m);
    /* What comes next in the queue waits for the mark. */
    rw_status (*follow)(gpu *g, void *queue, void *mark, rw_message *m);
    /* Both have been reached, and keep time. */
    rw_status (*between)(gpu *g, void *from, void *to, double *seconds, rw_message *m);

    /* What is asked of the queue between begin and end, and of others that follow it and that it follows in
     * the end, is not done but kept, to be done again and again. */
    rw_status (*record_begin)(gpu *g, void *queue, rw_message *m);
    rw_status (*record_end)(gpu *g, void *queue, void **graph, rw_message *m);
    rw_status (*replay)(gpu *g, void *queue, void *graph, rw_message *m);
    void (*graph_drop)(gpu *g, void *graph);
} gpu_api;

/* The functions of a driver's file, by the names they have there. */
#define GPU_FUNCTIONS                                                                              \
    .start = start, .choose = choose, .close = close_device, .enter = enter, .room = room,         \
    .load = load, .unload = unload, .find = find, .take = take, .give = give,                      \
    .take_host = take_host, .give_host = give_host, .queue_make = queue_make,                      \
    .queue_drop = queue_drop, .wait = wait_for, .up = up, .down = down, .within = within,          \
    .zero = zero, .launch = launch, .mark_make = mark_make, .mark_drop = mark_drop,                \
    .mark = set_mark, .follow = follow, .between = between, .record_begin = record_begin,          \
    .record_end = record_end, .replay = replay, .graph_drop = graph_drop

/* A device that is open; the driver's structure begins with it. */
struct gpu {
    const gpu_api *api;
    rw_alloc alloc;
    void *library; /* of dlopen */
    int index;
    char name[16];   /* "hip:0"                                 */
    char arch[64];   /* what code is compiled for: "gfx942"     */
    char model[128]; /* "AMD Instinct MI300X"                   */
    int units;       /* compute units, multiprocessors          */
    size_t memory;
    bool has_graphs;
};

extern const gpu_api driver_hip, driver_cuda;

/* The driver of "hip:0", its index in *index (0 if there is none in the name); NULL: no such kind. */
const gpu_api *driver_kind(const char *device, int *index);
/* Opens a device. library: a path, or NULL. RW_NO_DEVICE, RW_DRIVER, RW_NO_MEMORY. */
rw_status driver_open(const rw_alloc *alloc, const gpu_api *api, int index, const char *library,
                      gpu **out, rw_message *m);
void driver_close(gpu *g); /* g may be NULL */
/* Whether machine code for `target` ("gfx942", "sm_80") runs on devices that are `arch`: that of NVIDIA's on those
 * of the same generation that are no older. */
bool machine_code_runs(const char *arch, const char *target);
/* Whether PTX for `target` does: on all that are no older. */
bool ptx_runs(const char *arch, const char *target);

#endif
