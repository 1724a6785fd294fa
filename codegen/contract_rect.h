/* A contraction as contract.c finds it, for contract_rect.c. */
#ifndef RWKVC_CONTRACT_RECT_H
#define RWKVC_CONTRACT_RECT_H

#include "contract.h"
#include "contract_shape.h"

enum { MOST_OUT = 4 };

typedef enum FewPath { FEW_NONE, FEW_DOT, FEW_AXPY } FewPath;

typedef struct Contract {
    Emit *e;
    Blocking bl;
    Shape s;
    FewPath few;
    bool few_only, x_direct; /* never many rows; the rows are read as they lie */
    V M, N, K, nm, nn;
    V group, wide;     /* tiles of rows, of columns, that are computed together */
    V is_few, is_near; /* i1: few rows; all terms are packed at once           */
    V a, b, c, x, row, col, ka, kb, hint; /* in scratch                                         */
    V idx[SHAPE_INDICES];                 /* the point at hand                                    */
} Contract;

/* The body of the kernel. */
void contract_kernel(Contract *c);

#endif
