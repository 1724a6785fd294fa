/* What the files of GPU code share.
 *
 * The plan's kernels, their nests and expressions are those of the processors; what differs is who computes
 * what. Expressions are evaluated by each thread at a place of its own (width 1, or a few neighbours). Two
 * mappings of a kernel whose grid has points with loops inside:
 *
 *   team    a workgroup computes a point, or a part of its results; the results of a nest are numbered and
 *           dealt to the threads, or shares of a wave, or the whole workgroup, add up each of them. Values
 *           kept inside lie in local memory.
 *   point   each thread computes a point alone. Values kept inside lie in local memory too, each thread's
 *           own, interleaved.
 *
 * Single numbers of a point are registers of every thread. What differs between families of GPUs is in the
 * texts of gpu_prelude.c: functions with names of their own that every module gets. */
#ifndef RWKVC_GPU_H
#define RWKVC_GPU_H

#include "nest.h"

typedef enum GpuPlace { GPU_IN_GLOBAL = 0, GPU_IN_LOCAL = 4, GPU_IN_REGISTERS = 8 } GpuPlace;
enum { TOUCH_READ = 1, TOUCH_WRITE = 2 };

typedef struct Gpu {
    const TargetInfo *t;
    uint32_t
        block; /* threads of a workgroup: a power of two, whole waves; known before any code is built */
    bool dense;        /* wants many registers more than many threads */
    bool point;        /* the mapping: point or team */
    Size slices;       /* team: workgroups that share a point; 0: one */
    V slice, n_slices; /* i32; NULL: one */
    int64_t heads;     /* team: parts that points are cut into; 1: none */
    V head;            /* i64: the part at hand */
    V thread;          /* i32, in the workgroup */
    V scratch, begin;  /* parameters */
    VEC(V) sizes;      /* parameters, by place in code->sizes */
    LLVMTypeRef local_ptr, global_ptr;
    uint32_t local_used; /* bytes of local memory */
    VEC(uint8_t)
    notes;      /* by scope: GpuPlace, and what was done to it since the workgroup last met */
    V exchange; /* local memory of totals across waves, or NULL */
    uint32_t exchange_words, exchange_scope;
} Gpu;

/* gpu_kernel.c: the function of a kernel. Until gpu_end its parameters are stand-ins: how many there are is
 * known last. */
void gpu_begin(Emit *e);
void gpu_end(Emit *e, const char *symbol);
/* An empty function that can be launched, in workgroups of gpu->block threads. */
V gpu_function(Emit *e, const char *symbol, LLVMTypeRef *types, uint32_t n);
V gpu_size_param(Emit *e);                                         /* one more of code->sizes */
V gpu_array(Emit *e, LLVMTypeRef t, uint64_t n, const char *name); /* local memory */
V gpu_call(Emit *e, const char *name, V *args, uint32_t n);        /* of the prelude */
void gpu_keep_rolled(Emit *e,
                     const Loop *l); /* of a loop that has ended: no assembler unrolls it */
/* What a launch gives an argument: bytes every address of its value is a multiple of, at most 16. */
uint32_t gpu_alignment(Emit *e, uint32_t arg);
/* The same of `width` neighbours in a line of it, along its last axis, from a multiple of their number on. */
uint32_t gpu_line_alignment(Emit *e, uint32_t arg, uint32_t width);
uint32_t
gpu_multiple(Emit *e,
             Size s); /* a power of two that divides it whatever the axes are, below 2^16 */

/* gpu_prelude.c: the text of a family; NULL for processors. */
const char *gpu_prelude(Arena *a, const TargetInfo *t);

/* gpu_team.c: threads together. What is touched is asked first (gpu_clashes), then the workgroup meets if
 * anything clashes, then it is noted. */
void gpu_set_place(Emit *e, uint32_t scope, GpuPlace place);
GpuPlace gpu_place_of(Emit *e, uint32_t scope);
bool gpu_clashes(Emit *e, uint32_t scope, uint8_t how);
void gpu_meet_if(Emit *e, bool clash);
void gpu_note(Emit *e, uint32_t scope, uint8_t how);
WorkNotes gpu_fork(Emit *e);
void gpu_join(Emit *e, WorkNotes before);
void gpu_sync(
    Emit *e); /* where nothing is known of what came before: at the beginning of a loop's body */
void gpu_barrier(Emit *e, bool global);
/* x of the thread whose number differs by `step`, a power of two below the wave; what is in the `step`
 * threads around each is the same already. i32, f32 or i64. */
V gpu_other(Emit *e, V x, uint32_t step);
typedef struct GpuTotal {
    Red red;
    bool ints;
    V v, place; /* place: RED_ARGMAX */
} GpuTotal;
/* Totals of `share` neighbouring threads, known to each of them; share a power of two up to the wave, or the
 * block. Every thread of the workgroup takes part. */
void gpu_totals(Emit *e, GpuTotal *x, uint32_t n, uint32_t share);

/* gpu_box.c: all points of a box of indices, dealt to the threads.
 *
 * team: shares of `share` threads get a point each, rank of the thread in its share: `lane`. `on`: has this
 * thread a point (NULL: all have); the indices are inside all the same. With share 1 threads without a point
 * skip what is inside; else all go through it together. solo: the box has one point, known to every thread.
 * point: loops. */
typedef struct Box {
    Work *w;
    uint32_t n, share;
    Size size[MAX_AXES];
    uint32_t width; /* neighbours along the last axis at once; its size is a multiple of it */
    Val idx[MAX_AXES];
    V on, lane; /* i1; i32 */
    bool solo;
    /* private */
    uint32_t n_loops;
    Loop loop[MAX_AXES];
    LLVMBasicBlockRef after;
} Box;
void box_begin(Box *b);
void box_end(Box *b);
bool box_is_one(Emit *e, const Size *size, uint32_t n);

/* gpu_place.c: the mapping, the block, where values are kept. */
bool gpu_prefers_points(Work *w, double inside, double across); /* of the costs of lane.c */
void gpu_place(Work *w);
bool gpu_keep(Work *w, EmitLocal *l, Size count, bool slots); /* false: in scratch */
uint32_t gpu_share(Work *w, const Nest *n);
/* gpu_columns.c: which values lie in registers, a row a thread; and puts one there. */
void gpu_columns(Work *w);
/* gpu_heads.c: workgroups that share a point, each a part of every nest's cut axis; 1: they do not. */
int64_t gpu_heads(Work *w);
void gpu_place_columns(Work *w, EmitLocal *l, uint32_t at);
/* gpu_grid.c */
void gpu_grid(Work *w, void (*body)(Work *w));
V gpu_tile(Emit *e); /* i32: the number of the tile at hand */
/* gpu_nest.c */
void gpu_nest(Work *w, const Nest *n);

/* gpu_rate.c: the function of code->symbol and code->number, and what it does; false: there is none. */
bool gpu_rate(Emit *e, RateCode *code);

/* The rest of the schedules. */
const char *gpu_scatter(Emit *e);
const char *gpu_contract(Emit *e);

#endif
