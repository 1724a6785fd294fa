/* Moving equations into the body of a recurrence: what pull.c and neighbour.c share. */
#ifndef RWKVC_PULL_H
#define RWKVC_PULL_H

#include "plan_log.h"
#include "edit.h"

#define PULL_NONE UINT32_MAX

typedef VEC(NodeId) Nodes;

typedef struct Pull {
    Graph *g;
    Arena *scratch;
    PlanLog *log; /* or NULL */
    Walk walk, inner; /* inner: for walks made while walk is at work */
    Edit edit;
    uint32_t *uses; /* by Value: nodes of any block that read it, and other uses */
    uint32_t
        *pos; /* by Value: place in the block of the node that defines it, from 1; 0: outside */
    uint32_t n_values;
    Block *b;
    NodeId recur;
    Recur *r;
    uint32_t at; /* place of the recurrence, from 1 */
    uint8_t
        *stream; /* by Value: 1 + the axis along which the body reads it at the counter itself, or a
                        value made along with it is read so; 0: not */
    /* of the equation at hand */
    const Node *node;
    uint32_t rank, axis;
    bool ok, streams, results;
    Size largest;              /* slice of a streamed value it reads */
    int64_t cut[2 * MAX_RANK]; /* by X_IDX: constant c of k//c and k%c, or 0 */
    uint32_t to[2 * MAX_RANK]; /* by X_IDX: index in the body */
} Pull;

Pull *pull_new(Graph *g, Arena *scratch, PlanLog *log);
/* Makes recurrence number i of the block the one at hand. */
void pull_at(Pull *p, Block *b, uint32_t i);
const RecurOut *pull_out_of(const Pull *p, Value v); /* the out whose result v is, or NULL */
/* May equation n, behind the recurrence, run inside it? Sets axis, streams, results, largest. */
bool pull_may_move(Pull *p, const Node *n);
/* Moves the equation looked at last; a view stays in its place. */
bool pull_move(Pull *p, NodeId id);
/* Records that v met this rule at the recurrence at hand; false. */
bool pull_decide(Pull *p, Value v, FuseRule rule);
bool pull_node_reads(Pull *p, const Node *n, Value v);
/* Every node of b an equation? */
bool pull_only_equations(Graph *g, const Block *b);

#endif
