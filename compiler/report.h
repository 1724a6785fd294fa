/* What a graph costs, as formulas in the run-time axes. */
#ifndef RWKVC_REPORT_H
#define RWKVC_REPORT_H

#include "graph.h"

/* Scalar operations of one run, a multiply-add counted as two; 0 where a formula is too large. */
typedef struct FlopCount {
    Size
        convolution; /* sums of products in which a subscript mixes a result's and a summed index */
    Size linear;     /* matrix products, and products with a parameter matrix */
    Size recurrence; /* everything inside a recurrence along an axis */
    Size rest;
    Size total;
    Size weights; /* of the first two: products with a parameter, read along what is summed */
} FlopCount;

FlopCount graph_flops(Graph *g);

typedef struct ParamCount {
    int64_t total, trained; /* numbers */
} ParamCount;

ParamCount graph_params(Graph *g);

/* Parameters by name, their sums, and the operations by kind. */
void graph_report(Graph *g, Text *out);

/* memory.c: every value's shape and bytes, from which node to which it is needed, and the
 * largest sum of bytes that are needed at once. Nodes are taken in their order; f32 and int have
 * 4 bytes. */
void graph_memory(Graph *g, Text *out);

#endif
