/* The chain rule through one scalar expression, backward and forward. */
#ifndef RWKVC_CHAIN_H
#define RWKVC_CHAIN_H

#include "derivative.h"

typedef struct Leaf {
    ExprId read;  /* an X_READ below the root */
    ExprId flow;  /* what flows back to it */
    bool guarded; /* the read is evaluated only where a select sends it; elsewhere flow is 0 */
} Leaf;

typedef struct Leaves {
    VEC(Leaf) all;
} Leaves;

typedef struct Chain Chain;
struct Chain {
    Graph *g;
    Arena *scratch;
    Derivatives *formulas; /* not for chain_reads */
    /* Is there anything to be had through value v? */
    bool (*wanted)(Chain *c, Value v);
    /* Forward: the tangent of a wanted read. */
    ExprId (*tangent)(Chain *c, ExprId read);
    void *user;
    Fn missing; /* set when a function without a derivative was reached */
};

/* Everything that flows back to the wanted reads below root when seed flows back to root. y: an
 * expression with the value of root that is cheaper than root, or 0. Leaves in the order of
 * expression ids. */
void chain_backward(Chain *c, ExprId root, ExprId y, ExprId seed, Leaves *out);
/* The tangent of root; 0 if it depends on nothing wanted. */
ExprId chain_forward(Chain *c, ExprId root, ExprId y);
/* The wanted reads below root that a derivative passes through; flow is 0. */
void chain_reads(Chain *c, ExprId root, Leaves *out);

#endif
