/* The scalar functions' table (functions.def) and the names of reductions and kinds of outputs. */
#include "graph.h"

#include <string.h>

const FnInfo fn_info[F_COUNT] = {
    [F_NONE] = {"", NULL, 0, 'r', ""},
#define FN(name, arity, type, derivative, spelling)                                                \
    [F_##name] = {#name, sizeof(spelling) > 1 ? (spelling) : NULL, arity, type, derivative},
#include "functions.def"
#undef FN
};

const char *const red_name[RED_COUNT] = {"", "sum", "prod", "max", "min", "argmax"};

const char *const output_kind_name[] = {"result", "state", "loss",  "penalty",
                                        "metric", "grad",  "param", "opt"};

Fn fn_find(const char *name) {
    for (int f = F_NONE + 1; f < F_COUNT; f++)
        if (strcmp(fn_info[f].name, name) == 0) return (Fn)f;
    return F_NONE;
}
