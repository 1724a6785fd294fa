/* Loop nests: what row, scan and (as a way out) contract kernels are made of.
 *
 * A nest is a set of members computed in one body under common loops. Its axes are the members' axes
 * outside the grid together with their reduced axes; all members that reduce, reduce the same axes. One
 * axis, or the last axis of the grid, lies in the lanes. */
#ifndef RWKVC_NEST_H
#define RWKVC_NEST_H

#include "emit_impl.h"

enum { MAX_AXES = 2 * MAX_RANK, GRID_AXIS = 64, NOT_GRID = 255, LANE_NONE = -1, LANE_GRID = -2 };

typedef struct NestMember {
    NodeId node;
    uint32_t of;               /* its place among the kernel's members */
    uint8_t axis_of[MAX_AXES]; /* by X_IDX: axis of the nest, or GRID_AXIS + axis of the grid */
    uint8_t n_idx, rank;
    bool reduces;
    bool keep; /* to be stored in its local */
} NestMember;

typedef struct Nest {
    uint32_t n; /* axes */
    Size size[MAX_AXES];
    bool reduced[MAX_AXES];
    int lane;        /* axis, LANE_NONE or LANE_GRID */
    uint32_t width;  /* lanes of its vectors */
    uint32_t unroll; /* vectors at once */
    uint32_t split;  /* running results for each of them, over the innermost reduced loop */
    uint32_t cut;    /* GPUs: an axis + 1 of which a workgroup has a part (gpu_heads.c), or 0 */
    bool columns;    /* GPUs: touches rows in registers (gpu_columns.c) */
    VEC(NestMember) members;
} Nest;

/* A kernel being made. */
typedef struct Work Work;
struct Work {
    Emit *e;
    uint32_t n_par;
    Size par[MAX_RANK];
    VEC(Nest) nests;
    bool grid_lane;
    uint32_t *nest_of;               /* by Value: the nest that makes it + 1, or 0 */
    uint32_t *inner;                 /* by local: axis of the value that lies innermost */
    uint32_t *same_as;               /* by local: shares the memory of this local, or itself */
    uint32_t *slots;                 /* by local: as often in a row in memory (0: once) */
    V *slot_items;                   /* by local: numbers of one slot */
    uint8_t *row_axis, *column_axis; /* by local: of rows in registers; column_axis + 1, or 0 */
    uint32_t n_again_nests;          /* scan: the first nests are of the steps run again */
    Val grid[MAX_RANK];              /* indices of the point at hand */
    uint32_t tile;                   /* points in the lanes at once (grid_lane), else 1 */
    V tail;                          /* mask of the points at hand, or NULL */
    uint32_t vectors;                /* of the tile at hand (grid_lane) */
    V base;                          /* first index of the tile along the last axis of the grid */
    V step;                          /* scan: the iteration */
    uint32_t *shadow;                /* scan, by carry: a local + 1 */
    struct Again *again;             /* scan: steps run again (scan.c) */
    V *window_base;                  /* and where their slots begin */
    const Node *node;                /* scatter */
    uint8_t axis_of[MAX_RANK];       /* scatter, by iteration axis: axis of the grid, or NOT_GRID */
    Val idx[MAX_RANK];               /* scatter: indices of the iteration, or of the result */
    void (*body)(Work *w);
    uint8_t par_axis[MAX_RANK]; /* copies: axis of the value for each axis of the grid */
};

/* nest.c: the members as nests. */
void nests_make(Work *w);
bool nest_reads(Work *w, const Nest *n, Value v); /* from memory or registers */
/* lane.c: lanes of all nests, and how locals lie. */
void lanes_choose(Work *w);
int64_t size_guess(Emit *e, Size s); /* the number, or a typical one */
/* local.c: values kept in scratch. */
uint32_t local_add(Work *w, Value v, const uint8_t *par);  /* -> index; once a value */
uint32_t local_more(Work *w, Value v, const uint8_t *par); /* another place for such a value */
void locals_place(Work *w);
/* loops.c */
void nest_emit(Work *w, const Nest *n);
/* reduction.c */
V red_start(Emit *e, Red red, bool ints);             /* a number: i64 or f32 */
V red_combine(Emit *e, Red red, V a, V b, bool ints); /* all but RED_ARGMAX */
V red_better(Emit *e, Red red, V a, V b,
             bool ints); /* is b to take the place of a? of equals, a stays */
void red_places(Emit *e, bool ints, V *a, V *ia, V b,
                V ib); /* RED_ARGMAX: item and place; of equals, the first */
V red_number(Emit *e, At *at, const Node *n,
             uint32_t rank); /* the row-major number of the item at hand */
/* scatter.c: a scatter's kernel with its grid; what is wrong with it, or NULL */
const char *scatter_work(Emit *e, Work **out);
/* copy.c: one point's part of a value; out through an argument that has one axis more (extra_axis >= 0). */
void copy_in(Work *w, uint32_t arg, uint32_t local, const uint8_t *par);
/* from item `at` of an argument that has `lead` axes that the launch chose, then one more, before its own */
void copy_in_item(Work *w, uint32_t arg, uint32_t lead, Val at, uint32_t local, const uint8_t *par);
void copy_out(Work *w, uint32_t local, uint32_t arg, const uint8_t *par, int extra_axis, Val extra);
void copy_locals(Work *w, uint32_t from, uint32_t to, const uint8_t *par);
/* grid.c: begin..end, point by point or tile by tile; body builds one of them. */
void grid_emit(Work *w, void (*body)(Work *w));
/* Threads that work together meet: at the beginning of the body of a loop around nests and copies, and
 * behind it. What a branch (the same for all of them) touches may be untouched too. */
void work_sync(Work *w);
typedef struct WorkNotes {
    uint8_t *data;
    uint32_t n;
} WorkNotes;
WorkNotes work_fork(Work *w);
void work_join(Work *w, WorkNotes before);
void grid_runs(Work *w, void (*run)(Work *w, V from, V to)); /* neighbours along the last axis */
void grid_tiles(Work *w, V from, V to, void (*body)(Work *w));
void grid_vector(Work *w, uint32_t u); /* vector u of the tile: sets grid */
V lanes_below(Emit *e, uint32_t width, V rest);
Work *work_new(Emit *e, const Size *par, uint32_t n_par);
Size grid_size(Emit *e, const Size *par, uint32_t n_par);

#endif
