/* The lengths of the run-time axes, from the shapes of what a call was given. */
#ifndef RWKVC_TOOLS_EVAL_AXES_H
#define RWKVC_TOOLS_EVAL_AXES_H

#include "../compiler/graph.h"
#include "options.h"

typedef struct Axes {
    const char *command;
    Arena *arena;
    Sizes *sizes;
    uint32_t n;
    int64_t *length;     /* by number of axis (compiler/size.h); 0 = not known yet */
    const char **origin; /* what said so: "input 'token' [2,64]" */
    VEC(struct AxisClaim {
        const char *what; /* "input 'token'" */
        uint32_t rank;
        Size dims[MAX_RANK];
        int64_t shape[MAX_RANK];
    })
    claims;
} Axes;

void axes_begin(Axes *x, const char *command, Arena *a, Sizes *sizes);
/* --axis NAME=N */
int axes_set(Axes *x, const char *name, const char *number);
/* A tensor of these dims has this shape. */
int axes_claim(Axes *x, const char *what, const Size *dims, uint32_t rank, const int64_t *shape,
               int shape_rank);
/* Solves the claims for the axes and checks every one of them. Axes nobody spoke of stay 0. */
int axes_solve(Axes *x);
/* EXIT_DONE if every axis in dims is known; else an error that says how to give it. */
int axes_known(const Axes *x, const char *what, const Size *dims, uint32_t rank);

/* "[B,T,256]" and "[2,64,256]". */
const char *dims_text(Arena *a, Sizes *s, const Size *dims, uint32_t rank);
const char *shape_text(Arena *a, const int64_t *shape, int rank);

#endif
