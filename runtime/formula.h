/* Formulas of first values: lists of nodes, evaluated in double and int64 precision as the text says.
 * Not for users of the runtime. */
#ifndef RW_FORMULA_H
#define RW_FORMULA_H

#include "program.h"

/* FORMULA(name, arguments, type): 'r' real result, 's' as its arguments, 'i' int, 'z' int of ints. */
#define FORMULA_FUNCTIONS                                                                          \
    FORMULA(neg, 1, 's')                                                                           \
    FORMULA(add, 2, 's')                                                                           \
    FORMULA(sub, 2, 's')                                                                           \
    FORMULA(mul, 2, 's')                                                                           \
    FORMULA(div, 2, 'r')                                                                           \
    FORMULA(pow, 2, 'r')                                                                           \
    FORMULA(idiv, 2, 'z')                                                                          \
    FORMULA(imod, 2, 'z')                                                                          \
    FORMULA(eq, 2, 'i')                                                                            \
    FORMULA(ne, 2, 'i')                                                                            \
    FORMULA(lt, 2, 'i')                                                                            \
    FORMULA(le, 2, 'i')                                                                            \
    FORMULA(gt, 2, 'i')                                                                            \
    FORMULA(ge, 2, 'i')                                                                            \
    FORMULA(and, 2, 'i')                                                                           \
    FORMULA(or, 2, 'i')                                                                            \
    FORMULA(not, 1, 'i')                                                                           \
    FORMULA(max, 2, 's')                                                                           \
    FORMULA(min, 2, 's')                                                                           \
    FORMULA(real, 1, 'r')                                                                          \
    FORMULA(exp, 1, 'r')                                                                           \
    FORMULA(log, 1, 'r')                                                                           \
    FORMULA(tanh, 1, 'r')                                                                          \
    FORMULA(sigmoid, 1, 'r')                                                                       \
    FORMULA(softplus, 1, 'r')                                                                      \
    FORMULA(relu, 1, 's')                                                                          \
    FORMULA(erf, 1, 'r')                                                                           \
    FORMULA(sin, 1, 'r')                                                                           \
    FORMULA(cos, 1, 'r')                                                                           \
    FORMULA(sqrt, 1, 'r')                                                                          \
    FORMULA(abs, 1, 's')                                                                           \
    FORMULA(round, 1, 's')                                                                         \
    FORMULA(floor, 1, 's')                                                                         \
    FORMULA(stop, 1, 's')                                                                          \
    FORMULA(select, 3, 's')

enum {
    FORMULA_NUM,
    FORMULA_INT,
    FORMULA_IDX,
    FORMULA_LVL,
#define FORMULA(name, n, type) FORMULA_##name,
    FORMULA_FUNCTIONS
#undef FORMULA
        FORMULA_OPS
};

/* Sets op and n_args by the name of a node ("num", "idx", "add"); false if there is none such. */
bool formula_op(formula_node *f, const char *name, size_t n);
/* Sets is_int; its arguments, of the list `all`, have theirs. */
void formula_type(const formula_node *all, formula_node *f);

#endif
