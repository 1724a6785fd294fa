/* Copying a graph into another with changes: what every pass from graph to graph stands on.
 *
 *     Rewrite rw;
 *     Graph *dst = rewrite_begin(&rw, src, src->entry, scratch);   // empty graph, same arena, names, sizes
 *     rewrite_tables(&rw);                          // inputs, params, states with their nodes
 *     rewrite_block(&rw, &src->top, &dst->top, 0, 0);   // or rewrite_node for some, own code for others
 *     rewrite_outputs(&rw);                         // outputs and the starts of states
 *
 * A pass that replaces a node sets rw.map[old value] to the value of dst that stands for it, and is
 * free to make any nodes in dst on the way. Reads of a value in expressions follow the map. */
#ifndef RWKVC_REWRITE_H
#define RWKVC_REWRITE_H

#include "graph.h"

typedef struct Rewrite Rewrite;
struct Rewrite {
    Graph *src, *dst;
    Arena *scratch;
    Value
        *map; /* by value of src; 0 = has no copy (yet)                                          */
    ExprMap em; /* maps expressions of src; its memo assumes that map[v] never changes once it has
                      been read: a pass that changes it calls rewrite_forget                          */
    void *user;
    /* Hooks, set after rewrite_begin; each may be NULL.
     * leaf: as ExprMap.leaf; 0 = the ordinary (reads follow the map).
     * node: called by rewrite_block for each node; true = the pass has copied, replaced or dropped it. In
     *       the body of a recurrence to and level are those of the copy, r and cls the copy's recurrence
     *       and class (0 at top).
     * live: by value of src; a node none of whose values is live is left out, as are carries and outs
     *       of recurrences that are not. */
    ExprId (*leaf)(Rewrite *rw, ExprId e, const ExprId *subs);
    bool (*node)(Rewrite *rw, NodeId n, Block *to, NodeId r, uint32_t cls);
    const bool *live;
};

Graph *rewrite_begin(Rewrite *rw, Graph *src, const char *entry, Arena *scratch);
void rewrite_forget(Rewrite *rw);
ExprId rewrite_expr(Rewrite *rw, ExprId e);

/* Copies the tables of inputs, parameters and states, and their nodes in that order. */
void rewrite_tables(Rewrite *rw);
/* Needs the map of all values put out. An output whose value has no copy is left out. */
void rewrite_outputs(Rewrite *rw);

/* Copies every node of b but N_INPUT, N_PARAM and N_STATE. r, cls: the recurrence of dst whose body
 * `to` is (0, 0 at top); needed for delays. */
void rewrite_block(Rewrite *rw, const Block *b, Block *to, NodeId r, uint32_t cls);
void rewrite_node(Rewrite *rw, NodeId n, Block *to, NodeId r, uint32_t cls);

/* The parts of copying a recurrence, for passes that do something in between. After rewrite_recur_begin
 * the copy has its carries; rewrite_recur_class maps the args of class c and returns the number of the
 * new class (its body still empty); rewrite_recur_class_end sets next, outs and the sources of delays;
 * rewrite_recur_end appends it and maps the final values. level: recurrences around the copy. */
NodeId rewrite_recur_begin(Rewrite *rw, NodeId n, uint32_t level);
uint32_t rewrite_recur_class(Rewrite *rw, NodeId n, NodeId copy, uint32_t c);
void rewrite_recur_class_end(Rewrite *rw, NodeId n, NodeId copy, uint32_t c, uint32_t new_class);
void rewrite_recur_end(Rewrite *rw, NodeId n, NodeId copy, Block *to);

/* live[v] for every value of g that the outputs, starts of states and tables need; in scratch. */
bool *graph_live(Graph *g, Arena *scratch);

#endif
