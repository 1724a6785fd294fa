/* The checker: a text with everything it uses becomes a checked program, and graphs of its entries. */
#ifndef RWKVC_CHECK_H
#define RWKVC_CHECK_H

#include "../compiler/base.h"
#include "../compiler/diag.h"
#include "../compiler/graph.h"

/* -D NAME=VALUE; the value is a whole number or a real. */
typedef struct Define {
    const char *name, *text;
} Define;

typedef struct CheckOptions {
    const Define *defines;
    uint32_t n_defines;
    const char *const *include_dirs; /* where `use` looks after the folder of the file itself */
    uint32_t n_include_dirs;
} CheckOptions;

/* Texts built into the program, looked up last by `use`; ends with a NULL name. */
typedef struct BuiltinText {
    const char *name; /* "std" */
    const char *text;
    size_t n;
} BuiltinText;
extern const BuiltinText builtin_texts[];

typedef struct Program Program;

/* Reads and checks a text: every entry it can have is elaborated once. NULL after errors (told to d). */
Program *check_file(Arena *a, Diag *d, const char *path, const CheckOptions *o);
/* The same for a text in memory; `name` stands in messages, `use` looks beside it. */
Program *check_text(Arena *a, Diag *d, const char *name, const char *text, size_t n,
                    const CheckOptions *o);

/* Entries: "init" "step" "forward" "prefill" "grad" "train", and "start" (the states at the start of a
 * sequence); those of a second model or train block are "NAME.forward" and so on. */
uint32_t program_entries(const Program *p);
const char *program_entry(const Program *p, uint32_t i);

/* The graph of an entry, ready to run (distributed, differentiated, simplified). NULL and a message
 * that says why when the program has no such entry. The graph lives in an arena of its own until
 * program_free or the arena of p goes. */
Graph *program_graph(Program *p, const char *entry, Diag *d);
/* stage "checked": as the checker made it; "graph": distributed and simplified, not yet differentiated;
 * "grad": as program_graph. */
Graph *program_graph_stage(Program *p, const char *entry, const char *stage, Diag *d);

void program_print(Program *p, Text *out); /* --emit=program */

/* The syntax tree of the main file, for --emit=ast. */
struct File;
const struct File *program_file(const Program *p);

#endif
