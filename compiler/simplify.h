/* Simplification: what simplify.c, inline.c, algebra.c and cse.c share. */
#ifndef RWKVC_SIMPLIFY_H
#define RWKVC_SIMPLIFY_H

#include "edit.h"

typedef struct CseEntry {
    uint32_t hash, next;
    NodeId node;
} CseEntry;

enum { CSE_HEADS = 1024 };

/* One round over a graph. */
typedef struct Simplify {
    Graph *g;
    Arena *scratch;
    Walk walk;
    Edit edit, subst;
    uint32_t n_values;
    Value *to;      /* by value: what stands for it, 0 itself         */
    uint32_t *uses; /* by value: reads, where another place than an expression counts twice */
    bool changed;
    Size level_len[MAX_LEVELS + 1];
    /* the node at work */
    NodeId node;
    Size space; /* points its expression is computed at, 0 unknown */
    /* equations seen so far that are in scope */
    VEC(CseEntry) seen;
    uint32_t heads[CSE_HEADS];
} Simplify;

static inline Value simplify_value(const Simplify *s, Value v) {
    while (v < s->n_values && s->to[v]) v = s->to[v];
    return v;
}

/* inline.c: what a read of v at subs may be replaced by; 0 = stays. */
ExprId simplify_read(Simplify *s, Value v, const ExprId *subs, uint32_t n);
/* inline.c: if node is a reduction of the plain reads of another one, the two become one. */
void simplify_merge(Simplify *s, NodeId id);
/* algebra.c: an expression equal to the function or select e, whose operands are simple. */
ExprId simplify_algebra(Graph *g, ExprId e);
/* cse.c: an earlier equation or scatter in scope that is the same as id; notes id otherwise. */
NodeId simplify_find(Simplify *s, NodeId id);
uint32_t simplify_scope(const Simplify *s);
void simplify_leave(Simplify *s, uint32_t scope);

#endif
