/* A model text into a file of compiled code. */
#ifndef RWKVC_TOOLS_COMPILE_FILE_H
#define RWKVC_TOOLS_COMPILE_FILE_H

#include "model.h"

typedef struct CompileFile {
    const char *out, *target;
    const char *entry; /* only this one, or NULL: all */
    uint8_t dtype;     /* Dtype of the plan */
} CompileFile;

/* An exit code; what is wrong with the text waits in m->diag. */
int compile_file(Model *m, const CompileFile *f);

#endif
