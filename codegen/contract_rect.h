/* A contraction as contract.c finds it, for contract_rect.c. */
#ifndef RWKVC_CONTRACT_RECT_H
#define RWKVC_CONTRACT_RECT_H

#include "contract.h"

enum { INDICES = 2 * MAX_RANK, MOST_OUT = 4 };

typedef struct Digit {
    Size size, stride;
} Digit;

typedef struct Digits {
    uint32_t n;
    Digit d[MAX_RANK];
    V size, stride; /* arrays of i64 */
} Digits;

typedef struct Factor {
    uint32_t arg;
    uint8_t dtype;
    Size base; /* offset at index 0 ...                        */
    uint32_t n_atoms;
    struct {
        ExprId atom;
        Size coef;
    } atoms[AFFINE_MAX * 2]; /* ... and of the counters around */
    Size stride[INDICES];    /* by index of the node                         */
    Digits points, terms;
} Factor;

typedef struct Axes { /* of the node, in order */
    uint32_t n;
    uint8_t axis[MAX_RANK];
    Size total;
} Axes;

typedef enum FewPath { FEW_NONE, FEW_DOT, FEW_AXPY } FewPath;

typedef struct Contract {
    Emit *e;
    Blocking bl;
    uint32_t rank;
    Size size[INDICES];
    Axes batch, m, n, k;
    Factor rows, cols;
    FewPath few;
    bool few_only, x_direct; /* never many rows; the rows are read as they lie */
    V M, N, K, nm, nn;
    V group, wide;     /* tiles of rows, of columns, that are computed together */
    V is_few, is_near; /* i1: few rows; all terms are packed at once           */
    V a, b, c, x, row, col, ka, kb, hint; /* in scratch                                         */
    V idx[INDICES];                       /* the point at hand                                    */
} Contract;

/* The body of the kernel. */
void contract_kernel(Contract *c);

#endif
