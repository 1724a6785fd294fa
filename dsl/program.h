/* A checked program: its files, its models, and how a graph of an entry is made. */
#ifndef RWKVC_PROGRAM_H
#define RWKVC_PROGRAM_H

#include "check_internal.h"

typedef enum EntryKind {
    ENTRY_INIT,
    ENTRY_STEP,
    ENTRY_FORWARD,
    ENTRY_PREFILL,
    ENTRY_GRAD,
    ENTRY_TRAIN,
    ENTRY_START
} EntryKind;

typedef struct EntryInfo {
    const char *name;
    EntryKind kind;
    const Decl *model, *train;
    Module *module, *train_module;
    bool hidden; /* callable, not listed */
} EntryInfo;

struct Program {
    Check c; /* files, names, sizes: what every elaboration begins with */
    CheckOptions options;
    VEC(EntryInfo) entries;
};

/* check_file.c: the main file and everything it uses; false after errors. */
bool program_load(Check *c, const char *path, const char *text, size_t n);

/* check_model.c: one entry as the checker makes it, before any pass; NULL after errors. For a train
 * entry `update` receives what is needed to add the optimizer after differentiation. */
typedef struct Elaboration {
    Check c;
    Scope *train_scope;
    const Stmt *update;
    Graph *g; /* as the checker made it */
    const char *model_name;
} Elaboration;
bool elaborate(Program *p, const EntryInfo *e, Diag *d, Elaboration *out);
/* Adds the optimizer to a differentiated graph. */
bool elaborate_update(Elaboration *x, Graph *g, Diag *d);

#endif
