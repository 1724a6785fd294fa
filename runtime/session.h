/* A session inside. Not for users of the runtime. */
#ifndef RW_SESSION_H
#define RW_SESSION_H

#include "context.h"
#include "program.h"

typedef struct lane_entry lane_entry;
typedef struct gpu_part gpu_part; /* device.h */

/* A parameter in one element type. */
typedef struct store {
    bool is_used;
    bool is_whole;    /* some launch wants its members side by side */
    size_t at, bytes; /* own memory, in the block of parameters */
    uint8_t *base;    /* where that is; NULL: all members lie elsewhere */
    uint8_t **member;
    uint64_t version; /* of the master it was made from */
} store;

typedef struct session_param {
    store by_dtype[RW_FILE_DTYPES];
    uint8_t master;  /* the one that is set and trained; the others follow */
    bool is_written; /* by an entry */
    bool is_needed;  /* an entry reads it, and not only to update it */
    uint64_t version;
} session_param;

typedef struct session_state {
    uint8_t *now, *next; /* next: what an entry writes before they change places; may be NULL */
    size_t now_at, next_at, capacity;
    bool is_used, has_next;
    int64_t dims[RW_FILE_RANK]; /* of a member, as they are now */
} session_state;

/* An input by name, for every entry that has one of it. */
typedef struct slot {
    bool is_used, is_given;
    bool is_sent; /* on a GPU: it has the numbers of `data` */
    uint8_t dtype, rank;
    uint8_t *data;  /* where they are put */
    uint8_t *place; /* where kernels read them: there too, or on the GPU */
    size_t at, capacity;
    int64_t shape[RW_MAX_RANK];
    int64_t low, high; /* of an int input: its least and largest number */
} slot;

/* An entry of the program in this session. */
struct lane_entry {
    const entry *e;
    bool is_wanted;
    bool reads_states;  /* of the model */
    uint64_t ready_for; /* the session's version of shapes its numbers were made for; 0: none */
    int64_t *axes;
    size_t *at, *capacity;               /* by buffer: in the arena */
    uint8_t **base;                      /* by buffer: where it begins */
    int64_t (*part)[RW_FILE_MEMBER + 1]; /* by buffer: bytes of what k leading axes choose */
    int64_t *grid, **numbers;            /* by kernel */
    bool *is_direct;                     /* by output: written where the state will be */
    size_t arena;                        /* bytes */
};

/* Time of one kernel, by one thread. */
typedef struct spent {
    uint64_t launches, ns, busy_ns;
} spent;

/* What a thread has of its own. */
typedef struct lane {
    uint8_t **ptr; /* by buffer: where it is now */
    void **args;
    uint8_t *scratch;
    /* Counter and position of each loop around, and the seed of random numbers behind them. */
    int64_t levels[2 * RW_FILE_LEVELS + 1];
    spent *spent;  /* by kernel, copies behind them; NULL: nothing is measured */
    uint64_t mark; /* when the last launch was over */
} lane;

/* Bytes that move when the ops are done. */
typedef struct move {
    uint8_t *to;
    const uint8_t *from;
    size_t bytes;
} move;

/* What is measured of an entry. */
typedef struct profile {
    const lane_entry *x; /* NULL: nothing was asked for */
    bool is_on;
    uint64_t calls, ns; /* ns: of the calls, whole */
    memory_block block; /* a table a thread, and the numbers of sizes in the last call */
} profile;

struct rw_session {
    rw_program *p;
    rw_context *c;
    pool pool;
    int64_t *most, *fixed,
        *axes;      /* by axis: largest, set by rw_set_axis (0: not), of the last call */
    int64_t *value; /* numbers of the sizes, for the axes of value_of, NULL: of none */
    const lane_entry *value_of;
    session_param *params;
    session_state *states;
    slot *slots;
    lane_entry *entries;
    lane_entry *last; /* called last; NULL: none */
    lane *lanes;
    unsigned n_lanes;
    move *moves;
    uint32_t n_moves, max_moves;
    uint64_t shapes; /* grows when a shape changes */
    uint64_t last_shapes;
    uint64_t seed; /* of random numbers */
    profile profile;
    bool is_fresh;  /* states are to start a sequence */
    size_t scratch; /* bytes a thread; on a GPU, of all that runs at once */
    memory_block param_block, state_block, slot_block, arena_block, scratch_block;
    gpu_part *gpu; /* NULL: the five blocks, of the host, are the memory */
    uint8_t *param_base, *state_base, *slot_base, *arena_base; /* where memory begins */
    size_t param_bytes, state_bytes, slot_bytes, arena_bytes;
};

/* layout.c: offsets of buffers that live at different times; SIZE_MAX as capacity: none wanted.
 * Returns the bytes they take together, SIZE_MAX when they cannot be placed or there is no memory. */
size_t layout_place(pool *scratch, const buffer *buffers, uint32_t n, const size_t *capacity,
                    size_t *at);

/* numbers.c: sizes, parts and grids of an entry for s->value. */
rw_status entry_numbers(rw_session *s, lane_entry *x, rw_message *m);
/* The axes of the next call of x, from the shapes given; then all that follows from them. */
rw_status entry_axes(rw_session *s, lane_entry *x, rw_message *m);
/* The same for axes that are known. */
rw_status entry_at(rw_session *s, lane_entry *x, const int64_t *axes, rw_message *m);

/* execute.c */
rw_status session_run(rw_session *s, lane_entry *x, rw_message *m);
/* Where an argument is now, by the table of a thread and the counters of its loops. */
uint8_t *session_address(const rw_session *s, const lane_entry *x, const lane *l, const arg *a);

lane_entry *session_entry(rw_session *s, const char *name);
/* "start" for "forward", "teacher.start" for "teacher.grad", or NULL. */
lane_entry *session_start_of(rw_session *s, const entry *e);
const char *start_name(const rw_program *p, const entry *e);

/* profile.c */
uint64_t profile_now(void);
/* Around a call of x. */
void profile_call_begin(rw_session *s, const lane_entry *x);
void profile_call_end(rw_session *s, const lane_entry *x);
void profile_free(rw_session *s);

/* params.c */
/* All variants of x's parameters are those of the masters. */
rw_status params_refresh(rw_session *s, const lane_entry *x, rw_message *m);
rw_status params_place(rw_session *s, const rw_session_options *o, rw_message *m);
rw_status params_first(rw_session *s, uint64_t seed, rw_message *m);

/* convert elements from one type of the file into another */
void elements_convert(uint8_t to_type, void *to, uint8_t from_type, const void *from, size_t n);

#endif
