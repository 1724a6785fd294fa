/* A program in memory: the manifest as structures (docs/format.md says what each thing means), and
 * the addresses of its kernels. Not for users of the runtime. */
#ifndef RW_PROGRAM_H
#define RW_PROGRAM_H

#include "context.h"
#include "format.h"

typedef void kernel_fn(void *const *args, const int64_t *sizes, const int64_t *levels,
                       void *scratch, int64_t begin, int64_t end);

/* ---- sizes ---------------------------------------------------------------------------------- */

typedef struct axis {
    const char *name;
    int64_t multiple;
} axis;

typedef struct factor {
    int32_t atom; /* an axis, or -1 - number of a quotient */
    int32_t exp;  /* not 0 */
} factor;

typedef struct term {
    int64_t num, den;
    uint32_t n;
    factor *f;
} term;

typedef struct size {
    uint32_t n;
    uint64_t uses; /* bits: axes it depends on */
    term *t;
} size;

typedef struct quotient {
    uint32_t p, q; /* sizes */
} quotient;

/* The number of a size that has none: an axis of it is unknown, it is a fraction, or too large. */
#define SIZE_NONE INT64_MIN

/* ---- tensors -------------------------------------------------------------------------------- */

typedef struct member {
    const char *name;
    int64_t counters[RW_FILE_LEVELS];
    bool frozen;
    double a, b;
} member;

/* A node of a formula of first values; operands stand before it. */
typedef struct formula_node {
    uint8_t op;
    bool is_int;
    uint8_t n_args;
    uint32_t arg[3];
    int64_t i;
    double num;
} formula_node;

enum { INIT_FORMULA, INIT_UNIFORM, INIT_NORMAL, INIT_TRUNC_NORMAL, INIT_ORTHOGONAL, INIT_KINDS };

typedef struct param {
    member *members;
    uint32_t n_members;
    uint8_t family, rank, stored_rank, init;
    int64_t lead[RW_FILE_RANK], shape[RW_FILE_RANK], stored[RW_FILE_RANK];
    const char *written[RW_FILE_RANK];
    size_t count; /* elements of a member */
    formula_node *formula;
    uint32_t n_formula;
    bool is_int, frozen, promoted;
    double lr, decay;
} param;

typedef struct state {
    const char **members;
    uint32_t n_members;
    uint8_t family, rank, dtype; /* rank: of a member */
    int64_t lead[RW_FILE_RANK];
    uint32_t dims[RW_FILE_RANK]; /* sizes, of a member */
    bool delay, optimizer;
    double first; /* of the optimizer: what it starts as */
} state;

#define NOWHERE UINT32_MAX

/* ---- entries -------------------------------------------------------------------------------- */

typedef struct input {
    const char *name;
    uint8_t dtype, rank;
    bool scalar;
    uint32_t dims[RW_FILE_RANK];
    int64_t below;
    uint32_t slot; /* which of the program's input names */
} input;

typedef struct buffer {
    uint8_t role, dtype, rank, family;
    bool carry;
    uint32_t index, born, dies;
    uint32_t over; /* an output: the buffer it is written over; NOWHERE: none */
    uint32_t dims[RW_FILE_RANK];
} buffer;

typedef struct kernel {
    const char *symbol;
    kernel_fn *fn;    /* NULL when no code is loaded */
    void *function;   /* the driver's, on a GPU */
    const char *name; /* for people; one symbol may stand for several kernels */
    uint32_t grid, scratch;
    uint32_t work[RW_FILE_WORKS]; /* of a launch; counts */
    uint32_t n_sizes, n_args;
    uint32_t *sizes;
    bool *writes;
    uint32_t block, local,
        levels; /* GPUs: threads of a workgroup, its local memory, loops it is told of */
} kernel;

/* A kernel that measures how fast numbers of a type are multiplied: docs/format.md, target. */
typedef struct rate {
    const char *symbol;
    uint8_t dtype;
    uint32_t block;
    int64_t operations; /* of a workgroup, in a turn */
} rate;

typedef struct arg {
    uint32_t buf;
    uint8_t n_level;
    uint8_t level[RW_FILE_MEMBER];
} arg;

typedef struct op op;
typedef struct ops {
    op *list;
    uint32_t n;
} ops;

struct op {
    uint8_t kind, level;
    bool reverse;
    bool
        beside; /* waits for nothing of the ops before it, back to the last that is not beside another */
    uint32_t kernel;
    uint32_t n_args, count, n_classes;
    arg *args;
    uint32_t *class_of, *pos_of;
    ops *bodies;
};

enum {
    OUT_RESULT,
    OUT_STATE,
    OUT_LOSS,
    OUT_PENALTY,
    OUT_METRIC,
    OUT_GRAD,
    OUT_PARAM,
    OUT_OPT,
    OUT_KINDS
};
extern const char *const output_words[OUT_KINDS];

typedef struct output {
    const char *name;
    uint8_t kind;
    bool
        is_copy; /* OUT_PARAM: an output before it is of the same parameter; this is it in another type */
    uint32_t buf, index;
} output;

typedef struct entry {
    const char *name;
    uint32_t n_inputs, n_buffers, n_kernels, n_outputs;
    input *inputs;
    buffer *buffers;
    kernel *kernels;
    output *outputs;
    ops ops;
    uint32_t work[RW_FILE_WORKS]; /* of a call; counts */
    bool has_random;              /* kernels draw random numbers: they are given a seed */
    uint32_t max_args;            /* of a launch */
} entry;

/* ---- programs ------------------------------------------------------------------------------- */

struct rw_program {
    rw_context *context;
    pool pool;
    const char *path; /* for messages */
    const char *name, *target, *triple;
    const char **needs;
    bool amx;
    uint32_t n_needs, n_rates, n_axes, n_quotients, n_sizes, n_counts, n_params, n_states,
        n_entries, n_slots;
    rate *rates;
    axis *axes;
    quotient *quotients;
    size *sizes, *counts;
    param *params;
    state *states;
    entry *entries;
    const char **slots; /* names of inputs, each once */
    void *library;      /* of dlopen */
    int fd;             /* what the library was mapped from; open as long as it is, -1: none */
    void *module;       /* the driver's, on a GPU */
};

/* manifest.c: fills everything up to `slots` from the bytes of a manifest. RW_BAD_FILE, RW_NO_MEMORY. */
rw_status manifest_read(rw_program *p, const void *data, size_t bytes, rw_message *m);

/* image.c: the bytes of a file, its trailer checked; what is left is the image. */
rw_status image_check(const char *path, const uint8_t *data, size_t bytes, size_t *image_bytes,
                      rw_message *m);
/* Where the manifest lies in an ELF image, and what kind of machine the image is for. */
rw_status image_manifest(const char *path, const uint8_t *image, size_t bytes, const uint8_t **data,
                         size_t *n, unsigned *machine, rw_message *m);

/* code.c: a file's code for one device, and its manifest. */
typedef enum code_kind { CODE_HOST, CODE_AMD, CODE_PTX, CODE_CUBIN } code_kind;
typedef struct code {
    code_kind kind;
    const uint8_t *image, *manifest; /* in the bytes of the file, or in the program's pool */
    size_t bytes, manifest_bytes;
    const char *targets; /* "gfx942, gfx1100": all that a bundle holds; else NULL */
} code;
/* arch: of the device, so that of a bundle the best for it is chosen; where none is, or arch is NULL, it is the
 * first. RW_BAD_FILE; RW_WRONG_TARGET: code for another kind of machine. */
rw_status code_open(rw_program *p, const uint8_t *data, size_t bytes, const char *arch, code *c,
                    rw_message *m);

/* cpu.c: RW_WRONG_TARGET when this machine lacks something the program needs. */
rw_status cpu_check(const rw_program *p, rw_message *m);

/* size.c: numbers of all sizes for axes (0 = unknown); value[i] may be SIZE_NONE. */
void sizes_eval(const rw_program *p, const int64_t *axes, int64_t *value);
/* One of them; SIZE_NONE too. value: numbers of all sizes before it. */
int64_t rw_size_eval(const rw_program *p, uint32_t size, const int64_t *axes, const int64_t *value);
/* A count as a real number, so that none is too large; value: numbers of all sizes. NAN where there is
 * none. */
double count_eval(const rw_program *p, uint32_t count, const int64_t *axes, const int64_t *value);
bool size_uses(const rw_program *p, uint32_t size, uint32_t axis);
/* "B*T", into text. */
void rw_size_text(const rw_program *p, uint32_t size, char *text, size_t cap);
void rw_count_text(const rw_program *p, uint32_t count, char *text, size_t cap);
void rw_dims_text(const rw_program *p, const uint32_t *dims, uint32_t rank, char *text, size_t cap);

const entry *rw_find_entry(const rw_program *p, const char *name); /* NULL if there is none */
rw_dtype file_dtype(uint8_t dtype);
size_t file_dtype_bytes(uint8_t dtype);

/* work.c: adds times what the counts say; what has no number adds nothing. */
void work_eval(const rw_program *p, const uint32_t *counts, const int64_t *axes,
               const int64_t *value, double times, rw_work *to);

/* init.c */
rw_status formula_fill(const param *p, uint32_t member, float *out, rw_message *m);

#endif
