/* How operators and reductions are written. */
#include "ast.h"

const char *const ast_op_name[OP_COUNT] = {
    [OP_NEG] = "-",  [OP_NOT] = "not", [OP_ADD] = "+",    [OP_SUB] = "-",  [OP_MUL] = "*",
    [OP_DIV] = "/",  [OP_IDIV] = "//", [OP_MOD] = "%",    [OP_MATMUL] = "@", [OP_POW] = "^",
    [OP_EQ] = "==",  [OP_NE] = "!=",   [OP_LT] = "<",     [OP_LE] = "<=",  [OP_GT] = ">",
    [OP_GE] = ">=",  [OP_AND] = "and", [OP_OR] = "or",
};

const char *const ast_red_name[AR_COUNT] = {
    [AR_SUM] = "sum", [AR_MEAN] = "mean", [AR_PROD] = "prod",
    [AR_MAX] = "max", [AR_MIN] = "min",   [AR_ARGMAX] = "argmax",
};
