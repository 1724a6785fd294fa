/* What the files that write a manifest share: one writer for all entries of a program. */
#ifndef RWKVC_MANIFEST_H
#define RWKVC_MANIFEST_H

#include "../runtime/format.h"
#include "codegen.h"
#include "pack.h"

/* A parameter or a state of the program: the first entry that has it speaks for all. */
typedef struct Tensor {
    Graph *g;
    uint32_t index; /* in g's table */
    uint8_t dtype;  /* states: of its buffer */
    bool optimizer; /* states */
    bool trains;    /* parameters: the entry trains */
} Tensor;

typedef struct Bytes { /* packed */
    const char *data;
    size_t n;
} Bytes;

typedef VEC(Bytes) Formulas;

typedef struct Quotient {
    uint32_t p, q; /* numbers of sizes */
} Quotient;

typedef struct Writer {
    Arena *arena;
    const FileEntry *entries;
    uint32_t n_entries;
    const TargetInfo *target;
    const Rates *rates;
    const char *error;
    VEC(const char *) axes;
    VEC(int64_t) multiples;
    Formulas sizes, counts;
    VEC(Quotient) quotients;
    VEC(Tensor) params, states;
    uint32_t **param_of, **state_of; /* by entry, by index in its graph */
} Writer;

/* The number of a size in the file's table. */
uint32_t write_size(Writer *w, Sizes *s, Size a);
/* The number of a formula that nothing but reports needs, in a table of their own; 0 (none) is written as 0. */
uint32_t write_count(Writer *w, Sizes *s, Size a);
/* manifest_formula.c: the nodes of a formula of initial values, operands first. */
void write_formula(Writer *w, Text *t, Graph *g, ExprId e);
/* manifest_entry.c */
void write_entry(Writer *w, Text *t, uint32_t entry);

#endif
