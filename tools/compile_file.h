/* A model text into a file of compiled code. */
#ifndef RWKVC_TOOLS_COMPILE_FILE_H
#define RWKVC_TOOLS_COMPILE_FILE_H

#include "../codegen/codegen.h"
#include "budget.h"
#include "model.h"

typedef struct CompileFile {
    const char *out,
        *target;       /* target: names with commas, or NULL: what goes with the ending of out */
    const char *entry; /* only this one, or NULL: all */
    const char *ptxas; /* the option --ptxas, or NULL */
    uint8_t dtype;     /* Dtype of the plan */
    MemoryBudget *budget;
} CompileFile;

/* An exit code; what is wrong with the text waits in m->diag. */
int compile_file(Model *m, const CompileFile *f);

/* The entries that the file has, planned. An exit code, as above; *why, unless NULL, is said by the
 * caller: an entry that has no compiled form. */
int compile_entries(Model *m, const CompileFile *f, FileEntry **entries, uint32_t *n,
                    const char **why);
/* NVIDIA's assembler (ptxas.c): the one named, that of RWKVC_PTXAS, of PATH, of the usual folder. NULL or what is
 * wrong. */
const char *ptxas_find(Arena *a, const char *named, const char **path);
const TargetInfo *compile_target(const CompileFile *f); /* NULL, reported: no such target */
/* "rwkv7" of "models/rwkv7.rwkv". */
const char *program_name(Arena *a, const char *path);

/* What a compilation can be looked at as (emit_code.c). */
typedef enum CodeStage { CODE_PLAN, CODE_LLVM, CODE_ASM, CODE_OBJ, CODE_MANIFEST } CodeStage;
/* Text or, of CODE_OBJ, bytes. An exit code. */
int emit_code(Model *m, const CompileFile *f, CodeStage stage, Text *out);
/* The same, and what it was made of. */
int compile_code(Model *m, const CompileFile *f, CodeStage stage, FileEntry **entries, uint32_t *n,
                 Text *out, const char **why);
/* Answers --explain=QUESTION (explain_fuse.c). An exit code. */
int explain_fuse(Model *m, const CompileFile *f, const char *question, Text *out);
/* Kernels, launches, bytes, code and scratch (report_code.c). An exit code. */
int report_code(Model *m, const CompileFile *f, Text *out);

#endif
