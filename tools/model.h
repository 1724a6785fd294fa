/* A model text from the command line to a checked program, for the commands that take one. */
#ifndef RWKVC_TOOLS_MODEL_H
#define RWKVC_TOOLS_MODEL_H

#include "../dsl/check.h"
#include "options.h"

/* MODEL.rwkv, -D, -I, -Werror and --diagnostics. */
typedef struct ModelOptions {
    const char *command, *path;
    Define *defines;
    const char **dirs;
    uint32_t n_defines, n_dirs;
    bool warnings_are_errors;
    DiagStyle style;
} ModelOptions;

/* Short options and the help text of what every such command takes. */
#define MODEL_SHORTS "D:I:W:"
#define MODEL_HELP                                                                                 \
    "  -D NAME=VALUE        a constant of the text, replaced before others are computed from it\n" \
    "  -I DIR               a folder where `use` looks, after the one of the text\n"               \
    "  -Werror              warnings are errors\n"                                                 \
    "  --diagnostics=FORM   text (default) or json, on standard error\n"

void model_options(ModelOptions *o, Arena *a, const char *command, int argc);
/* 'D', 'I' or 'W' of next_option with optarg. False, reported, when it is wrong. */
bool model_option(ModelOptions *o, Arena *a, int c, char *text);
bool model_diagnostics(ModelOptions *o, const char *form);

typedef struct Model {
    const ModelOptions *options;
    Arena *arena;
    Diag *diag;
    Program *program;
} Model;

/* Reads and checks. Returns EXIT_DONE and m->program, or an exit code; what is wrong with the text
 * waits in m->diag for model_end. */
int model_read(Model *m, Arena *a, const ModelOptions *o);
/* A graph of an entry, NULL after an error. */
Graph *model_graph(Model *m, const char *entry);
bool model_has_entry(const Model *m, const char *entry);
/* Prints the diagnostics, and returns the exit code they lead to, or `code` if to none. */
int model_end(Model *m, int code);

#endif
