/* A session's memory where it lies: on processors these are plain copies, on a GPU they go through the
 * driver. `place` is an address in the memory of the session's device. Not for users of the runtime. */
#ifndef RW_DEVICE_H
#define RW_DEVICE_H

#include "session.h"

/* ---- moving numbers ------------------------------------------------------------------------------ */

/* Bytes of the host's to a place; they may change when it returns. */
rw_status device_store(rw_session *s, uint8_t *place, const void *from, size_t bytes,
                       rw_message *m);
/* From a place to the host; all that was asked for before is done. */
rw_status device_fetch(const rw_session *s, void *to, const uint8_t *place, size_t bytes,
                       rw_message *m);
rw_status device_copy(rw_session *s, uint8_t *to, const uint8_t *from, size_t bytes, rw_message *m);
rw_status device_zero(rw_session *s, uint8_t *place, size_t bytes, rw_message *m);
/* n elements of one type of the file to another: from the host; from another place. */
rw_status device_store_as(rw_session *s, uint8_t to_type, uint8_t *place, uint8_t from_type,
                          const void *from, size_t n, rw_message *m);
/* A tensor of any type; `wide`: numbers of 64 bits are rounded once. */
rw_status device_store_tensor(rw_session *s, uint8_t type, uint8_t *place, const rw_tensor *t,
                              bool wide, rw_message *m);
rw_status device_convert(rw_session *s, uint8_t to_type, uint8_t *to, uint8_t from_type,
                         const uint8_t *from, size_t n, rw_message *m);
/* Where the host can read what is at a place: that place, or a copy that stays as long as the session. */
rw_status device_look(const rw_session *s, const uint8_t *place, size_t bytes, const uint8_t **out,
                      rw_message *m);
/* How many copies there are, and back to so many: for those that nobody else has seen. */
size_t device_copies(const rw_session *s);
void device_forget(const rw_session *s, size_t copies);

/* ---- GPUs ---------------------------------------------------------------------------------------- */

/* Bytes that are passed through at a time; there are two such pieces, so that one is filled meanwhile. */
enum { STAGE = 4 << 20, STAGES = 2 };
enum { GRAPHS = 4 };  /* kept of an entry: states change places, and lengths may take turns */
enum { SIDES = 4 };   /* queues beside the first, for launches that need not wait for each other */
enum { MARKS = 256 }; /* launches that are timed before somebody looks */

/* Calls of an entry that ask for the very same launches. */
typedef struct graph {
    bool is_known;          /* there was such a call */
    void *recorded;         /* NULL: not yet         */
    uint64_t used;          /* when, in calls        */
    int64_t *axes;          /* what makes them the same: lengths of axes, where buffers begin */
    uint8_t **base, **last; /* last: where they are at the end */
} graph;

/* The host's copy of something on the device. */
typedef struct mirror {
    const uint8_t *place;
    memory_block block;
} mirror;

/* What a session has on a GPU. */
struct gpu_part {
    gpu *g;
    void *queue;
    uint8_t *params, *states, *slots, *arena, *scratch, *seed; /* the device's   */
    uint8_t *stage, *slots_host;                               /* the host's, pinned */
    uint64_t *seed_host;
    size_t stage_used;
    bool has_graphs, is_recording;
    void *side[SIDES], *side_mark[SIDES], *fork; /* made when something is recorded first */
    uint64_t calls;
    graph *graphs;   /* GRAPHS an entry */
    void **args;     /* of a launch     */
    int64_t *values; /* those by value, and pointers */
    void *marks[MARKS];
    uint32_t mark_line[MARKS]; /* line of the profile that ends there */
    unsigned n_marks;
    mirror *mirrors;
    size_t n_mirrors, cap_mirrors;
};

/* device_session.c: memory for a session whose sizes are planned; then tables for its calls. */
rw_status device_take(rw_session *s, rw_message *m);
void device_give(rw_session *s);
/* Bytes of scratch for launches of a kernel with so many tiles, each needing `each`. */
size_t device_scratch(const gpu *g, int64_t each, int64_t tiles);
/* device_run.c: inputs and the seed to the device; the ops of x; then what was asked for, till it is done. */
rw_status device_begin(rw_session *s, rw_message *m);
rw_status device_run(rw_session *s, lane_entry *x, rw_message *m);
rw_status device_end(rw_session *s, rw_message *m);
rw_status device_profile_begin(rw_session *s, rw_message *m);

#endif
