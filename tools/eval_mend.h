/* A checkpoint that does not fit a text: all that is wrong, and the -D that would mend it. */
#ifndef RWKVC_TOOLS_EVAL_MEND_H
#define RWKVC_TOOLS_EVAL_MEND_H

#include "../runtime/weights.h"
#include "model.h"

typedef struct Mend Mend;

/* path, file: the checkpoint; both may be NULL, and then nothing is ever noted. */
Mend *mend_new(Arena *a, const char *command, const char *path, const rw_weights *file,
               Model *model);
void mend_missing(Mend *m, const char *name);
/* A tensor that no parameter of g bears the name of: no fault, but perhaps g has too few layers. */
void mend_unused(Mend *m, const Graph *g, const char *name);
void mend_shape(Mend *m, const char *name, Sizes *sizes, const ParamInfo *p, const int64_t *own,
                uint32_t own_rank, const int64_t *stored, uint32_t stored_rank,
                const rw_tensor *found);
/* EXIT_DONE if nothing was noted; else prints it all and what would help. */
int mend_end(Mend *m, bool verbose);

/* Which values the nodes and outputs of g read, by Value. */
bool *values_read(Arena *a, Graph *g);

#endif
