/* rw: loads what rwkvc has made, runs it and trains with it.
 *
 * A program is a loaded file: immutable, shareable between threads and sessions. A session is the
 * parameters, states and memory of one use of it: for one thread at a time, and as many sessions at
 * once as wanted. All memory is taken by rw_session_create; rw_call takes none.
 *
 * Every function that can fail returns a status and, where it is given one, writes the reason into
 * *m (which may be NULL). What a create function gave is freed by the destroy function of the same
 * name, which takes NULL too; a context outlives its programs, a program its sessions. Strings and
 * tensors that come out belong to the object they came from.
 *
 * Names are those of the model text: inputs `token`, outputs `logits` `loss`, parameters
 * "blocks.0.att.w0", states "blocks.0.att.S", states of the optimizer "emb.weight.m". Shapes have
 * the batch first. */
#ifndef RW_H
#define RW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "tensor.h"
#include "weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a program that was compiled with an older header may no longer work. */
#define RW_ABI 2
uint32_t rw_abi_version(void);

typedef struct rw_context rw_context;
typedef struct rw_program rw_program;
typedef struct rw_session rw_session;

/* ---- contexts: a device, its threads, where memory comes from -------------------------------- */

/* Like realloc: old == NULL takes new_bytes, new_bytes == 0 frees; NULL when there is none left.
 * Memory is aligned as malloc's. May be called from any thread that uses the context. */
typedef struct rw_alloc {
    void *(*fn)(void *user, void *old, size_t old_bytes, size_t new_bytes);
    void *user;
} rw_alloc;

/* All zero is the default. */
typedef struct rw_context_options {
    const char
        *device;      /* "cpu" or NULL; "hip:0" "hip:1" ... AMD's GPUs; "cuda:0" ... NVIDIA's    */
    unsigned threads; /* at work in a call, the caller's included; 0 = one a CPU, on GPUs one  */
    const rw_alloc *alloc; /* NULL: the system's                                             */
    unsigned spin_us;      /* how long a thread that waits stays awake; 0 = 50                   */
    /* The driver's library, for GPUs. NULL: what the environment's RWKVC_HIP_LIBRARY and
     * RWKVC_CUDA_LIBRARY say, or else the system's. */
    const char *library;
} rw_context_options;

/* RW_NO_DEVICE: no such device, or no driver for it; RW_NO_MEMORY; RW_DRIVER: no threads, or the driver
 * failed. */
rw_status rw_context_create(const rw_context_options *o, rw_context **out, rw_message *m);
void rw_context_destroy(rw_context *c);
unsigned rw_context_threads(const rw_context *c);
const char *rw_context_device(const rw_context *c); /* "cpu", "hip:0" */

typedef struct rw_device {
    char name[16];       /* "hip:0"                                        */
    char arch[64];       /* what code for it is compiled for: "gfx942"     */
    char model[128];     /* as the driver calls it                         */
    unsigned units;      /* compute units, multiprocessors                 */
    size_t memory, free; /* bytes                                          */
} rw_device;

/* Devices of a kind, "hip" or "cuda": the first `cap` of them in out, how many there are in *n. `library`
 * as above. RW_NO_DEVICE: no driver (none at all, or too old a one); RW_DRIVER; RW_NO_MEMORY. */
rw_status rw_devices(const char *kind, const char *library, rw_device *out, size_t cap, size_t *n,
                     rw_message *m);

/* Bytes a second that copies within a GPU's memory read and write, measured now, in a few milliseconds.
 * RW_BAD_ARG: the context is on a processor; RW_NO_MEMORY; RW_DRIVER. */
rw_status rw_context_copy_rate(rw_context *c, double *bytes_a_second, rw_message *m);

/* ---- programs --------------------------------------------------------------------------------- */

/* Reads, checks and loads a file that rwkvc has made. Its hash is checked before any byte of it is
 * believed or mapped for execution; what is mapped is a private copy of the bytes that were checked.
 * RW_IO; RW_BAD_FILE: no such file, damaged, or of another version; RW_WRONG_TARGET: this machine
 * lacks what the code needs, or the file has no code for the device (the text says what it has). */
rw_status rw_program_load(rw_context *c, const char *path, rw_program **out, rw_message *m);
/* The same from bytes in memory, which may go afterwards; name stands in messages. */
rw_status rw_program_load_memory(rw_context *c, const char *name, const void *image, size_t bytes,
                                 rw_program **out, rw_message *m);
/* Reads and checks without loading code, on any machine: for listings, and for sessions that hold
 * parameters and call nothing. */
rw_status rw_program_read(rw_context *c, const char *path, rw_program **out, rw_message *m);
void rw_program_destroy(rw_program *p);

const char *rw_program_name(const rw_program *p);   /* "rwkv7" */
const char *rw_program_target(const rw_program *p); /* "x86-64-v3" */

size_t rw_program_axes(const rw_program *p); /* run-time axes */
/* Name of axis i, and in *multiple what its length must be a multiple of. NULL if i is too large. */
const char *rw_program_axis(const rw_program *p, size_t i, int64_t *multiple);
size_t rw_program_entries(const rw_program *p);
const char *rw_program_entry(const rw_program *p, size_t i); /* "forward"; NULL if i is too large */

/* What tensors there are. */
typedef enum rw_kind {
    RW_PARAM,     /* parameters; one tensor a member, with the shape checkpoints have */
    RW_STATE,     /* states of the model                                               */
    RW_OPTIMIZER, /* states of the optimizer                                           */
    RW_INPUT,     /* of an entry                                                       */
    RW_OUTPUT,    /* of an entry: results, losses, metrics                             */
    RW_GRADIENT,  /* of an entry, by the names of the parameters                       */
    RW_KINDS
} rw_kind;

/* A tensor as it is declared. Dimensions that depend on run-time axes are -1; `shape_text` has them
 * as formulas. */
typedef struct rw_info {
    const char *name;
    const char *what; /* outputs: "result" "loss" "penalty" "metric"; else "" */
    rw_dtype dtype;
    int rank;
    int64_t shape[RW_MAX_RANK];
    char shape_text[160]; /* "[B,T,768]" */
    int64_t below;        /* inputs: every number is in 0..below-1; 0 = no promise */
    bool scalar;          /* inputs: a number of the trainer: lr decay step seed   */
    double lr, decay;     /* parameters: factors                                   */
    bool frozen;          /* parameters: no gradient is made for it                */
    bool promoted;        /* parameters: a state's initial value                   */
} rw_info;

/* entry: for kinds of entries its name; NULL for the others. 0 if there is no such entry. */
size_t rw_program_count(const rw_program *p, rw_kind kind, const char *entry);
rw_status rw_program_info(const rw_program *p, rw_kind kind, const char *entry, size_t i,
                          rw_info *out);

/* ---- what is computed --------------------------------------------------------------------------- */

/* Counted by the compiler. Operations: a multiply-add counts 2. Bytes: what the launches touch of their
 * arguments, each once a launch; what of that a cache holds is not known to it. */
typedef enum rw_work_part {
    RW_WORK_WEIGHTS,    /* operations of products with parameters           */
    RW_WORK_PRODUCTS,   /* of matrix products without one, and convolutions */
    RW_WORK_RECURRENCE, /* inside recurrences along an axis                 */
    RW_WORK_REST,       /* all other operations                             */
    RW_WORK_GIVEN,      /* bytes read of parameters, states and inputs      */
    RW_WORK_MADE,       /* bytes read of what launches before have made     */
    RW_WORK_WRITTEN,    /* bytes written                                    */
    RW_WORKS
} rw_work_part;
typedef struct rw_work {
    double of[RW_WORKS];
} rw_work;
const char *rw_work_name(rw_work_part part); /* "products with parameters" */

typedef struct rw_dim {
    const char *name;
    int64_t value;
} rw_dim;

/* Of one call, for lengths of axes (default 1). RW_NO_SUCH: an entry or axis; RW_BAD_ARG: a length;
 * RW_NO_MEMORY. */
rw_status rw_program_work(const rw_program *p, const char *entry, const rw_dim *dims, size_t n_dims,
                          rw_work *out);
/* One part as a formula in the axes: "2359296*B*T". RW_NO_SUCH. */
rw_status rw_program_work_text(const rw_program *p, const char *entry, rw_work_part part,
                               char *text, size_t cap);
/* What its matrices are multiplied as: RW_BF16 if any entry keeps one so. */
rw_dtype rw_program_weights(const rw_program *p);
/* How many launches and copies a call makes; 0 if there is no such entry. */
uint64_t rw_program_launches(const rw_program *p, const char *entry);
/* Operations a second that the instructions which the file's products of such numbers (RW_F32, RW_BF16) are made of
 * reach where they wait for nothing, a multiply-add counting 2; measured now, in a few milliseconds, on the GPU it
 * was loaded for. RW_BAD_ARG: it was loaded for a processor, or without code; RW_NO_SUCH: its products are made of
 * no such numbers; RW_NO_MEMORY; RW_DRIVER. */
rw_status rw_program_product_rate(const rw_program *p, rw_dtype dtype, double *operations_a_second,
                                  rw_message *m);

/* ---- sessions --------------------------------------------------------------------------------- */

/* All zero: every entry, axes of length 1. */
typedef struct rw_session_options {
    const rw_dim *dims; /* the largest length each run-time axis will have (default 1) */
    size_t n_dims;
    const char *const
        *entries; /* what will be called (default: all); "start" is added where states are */
    size_t n_entries;
    /* Parameters. Tensors of the right type and place are used where they lie, so `weights` must
     * outlive the session; the others are converted into its memory. NULL: all zero until
     * rw_params_init or rw_params_load. */
    const rw_weights *weights;
    bool allow_missing; /* parameters that are not in weights keep their first values by `seed` */
    uint64_t seed;
} rw_session_options;

/* Bytes a session would take, by these options (weights that would be mapped are counted too). */
rw_status rw_program_bytes(const rw_program *p, const rw_session_options *o, size_t *bytes,
                           rw_message *m);
/* RW_NO_SUCH: no such axis or entry, a parameter missing from weights; RW_BAD_SHAPE; RW_NO_MEMORY; RW_DRIVER.
 * On a GPU parameters are copied to its memory always. */
rw_status rw_session_create(rw_program *p, const rw_session_options *o, rw_session **out,
                            rw_message *m);
void rw_session_destroy(rw_session *s);
size_t rw_session_bytes(const rw_session *s); /* what it has taken */

/* Gives an input; the data is copied, any element type is converted (an integer input takes
 * integers only). Its shape sets the lengths of the run-time axes of the calls that follow. Numbers
 * of an input that the text declares index(V) are checked to lie in 0..V-1, at once.
 * RW_NO_SUCH; RW_BAD_SHAPE: rank, fixed dimensions, longer than the session allows; RW_BAD_ARG. */
rw_status rw_put(rw_session *s, const char *name, const rw_tensor *t, rw_message *m);
rw_status rw_put_number(rw_session *s, const char *name, double value, rw_message *m);
/* The seed of random(), 0 at first. An entry that draws random numbers lists a scalar input "seed",
 * which may also be put as a number, or left as it is. */
void rw_set_seed(rw_session *s, uint64_t seed);

/* The length of an axis that no input of the entry has. */
rw_status rw_set_axis(rw_session *s, const char *name, int64_t length, rw_message *m);

/* Runs an entry: "step" "forward" "prefill" "grad" "train" "start". States and, with "train",
 * parameters and states of the optimizer are led on. Allocates nothing. The first call that reads
 * states after creation or rw_states_start begins a sequence. On a GPU all is done when it returns.
 * RW_NO_SUCH; RW_BAD_ARG: an input was not given; RW_BAD_SHAPE: shapes that do not fit together;
 * RW_DRIVER: the states are no use any more. */
rw_status rw_call(rw_session *s, const char *entry, rw_message *m);

/* Tensors of a session in place: valid until the next call of any function with this session, but
 * those of parameters as long as it lives. Outputs and gradients are those of the last rw_call.
 * Parameters have the shape checkpoints have. Kinds: all but RW_INPUT. On a GPU they are copies of what
 * is there when they are asked for, in memory that is taken at the first time and kept as long as the
 * session: RW_NO_MEMORY, RW_DRIVER. */
size_t rw_session_count(const rw_session *s, rw_kind kind);
rw_status rw_session_tensor(const rw_session *s, rw_kind kind, size_t i, rw_tensor *out);
rw_status rw_session_find(const rw_session *s, rw_kind kind, const char *name, rw_tensor *out);

/* An output of the last call, converted to `dtype` into dst, which has room for `bytes`. */
rw_status rw_get(rw_session *s, const char *name, rw_dtype dtype, void *dst, size_t bytes,
                 rw_message *m);

/* ---- profiles --------------------------------------------------------------------------------- */

/* Where the time of calls goes: one line a kernel, and behind them "copies" (between launches) and
 * "around" (what a call does outside its launches: parameters converted, states led on, threads woken). */
typedef struct rw_kernel_time {
    const char *name;   /* in the plan of the entry          */
    const char *symbol; /* the function; "" of the two others */
    uint64_t launches;
    double
        seconds; /* from the end of what ran before to the moment all threads were done with it */
    double
        busy; /* of that, the seconds its threads were at work, added up over the threads; on a GPU all */
    rw_work work; /* of all the launches, for the shapes of the last call; 0 of the two others */
} rw_kernel_time;

/* Measures the calls of one entry from now on; what was measured before is forgotten. Takes memory, so
 * it is no part of a call. Without it a call looks at no clock. RW_NO_SUCH, RW_NO_MEMORY. */
rw_status rw_profile_begin(rw_session *s, const char *entry, rw_message *m);
/* Measures no more; what was measured stays, till the session goes. */
void rw_profile_end(rw_session *s);
uint64_t rw_profile_calls(const rw_session *s);
size_t rw_profile_count(const rw_session *s); /* lines; 0 before rw_profile_begin */
/* Line i, in the order of the file. RW_BAD_ARG: there is none. */
rw_status rw_profile_line(const rw_session *s, size_t i, rw_kernel_time *out);

/* ---- parameters ------------------------------------------------------------------------------- */

/* First values, by the formulas and draws of the text. May take memory while it works. */
rw_status rw_params_init(rw_session *s, uint64_t seed, rw_message *m);
/* One parameter from a tensor of any real type; axes of length 1 may differ. */
rw_status rw_param_set(rw_session *s, const rw_tensor *t, rw_message *m);
/* All parameters the entries read. allow_missing: those absent keep what they have. */
rw_status rw_params_load(rw_session *s, const rw_weights *w, bool allow_missing, rw_message *m);
/* Tensors of one kind into a file (.safetensors or .pth); meta as for rw_weights_save. */
rw_status rw_session_save(const rw_session *s, rw_kind kind, const char *path,
                          const char *const *meta, rw_message *m);

/* ---- states ----------------------------------------------------------------------------------- */

/* The next call that reads states begins a sequence. */
rw_status rw_states_start(rw_session *s);
/* All states (RW_STATE or RW_OPTIMIZER) from a file; their shapes set the batch. */
rw_status rw_states_load(rw_session *s, rw_kind kind, const rw_weights *w, rw_message *m);
/* States of the model from one session to another of the same program: forks a conversation. */
rw_status rw_states_copy(rw_session *to, const rw_session *from, rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
