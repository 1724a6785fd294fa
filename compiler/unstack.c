/* One stack a value: a body value that a recurrence gives out twice, with the axis of iterations in two
 * places, is given out once; the second result becomes a view of the first, which graph_simplify then
 * reads through.
 * Requires any graph. Maintains every value's numbers. Edits g in place; cost linear in its nodes. */
#include <string.h>

#include "edit.h"

static NodeId view_of(Graph *g, const Node *recur, const RecurOut *first, const RecurOut *second) {
    uint32_t rank = graph_value(g, second->result)->rank;
    ExprId subs[MAX_RANK];
    for (uint32_t i = 0, k = 0; i < rank; i++) {
        if (i == first->axis) {
            subs[i] = expr_idx(g, second->axis);
            continue;
        }
        if (k == second->axis) k++;
        subs[i] = expr_idx(g, k++);
    }
    ExprId e = expr_read(g, first->result, subs, rank);
    return eq_for(g, second->result, RED_NONE, NULL, 0, e, recur->level, recur->loc);
}

static void unstack_block(Graph *g, Block *b) {
    Block out = {0};
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        *PUSH(g->arena, &out.nodes) = id;
        if (graph_node(g, id)->kind != N_RECUR) continue;
        Recur *r = graph_node(g, id)->recur;
        for (uint32_t k = 0; k < r->classes.n; k++) {
            RecurClass *c = &r->classes.data[k];
            unstack_block(g, &c->body);
            uint32_t kept = 0;
            for (uint32_t o = 0; o < c->outs.n; o++) {
                uint32_t first = 0;
                while (first < kept && c->outs.data[first].body != c->outs.data[o].body) first++;
                if (first == kept) {
                    c->outs.data[kept++] = c->outs.data[o];
                    continue;
                }
                NodeId view = view_of(g, graph_node(g, id), &c->outs.data[first], &c->outs.data[o]);
                *PUSH(g->arena, &out.nodes) = view;
            }
            c->outs.n = kept;
        }
    }
    *b = out;
}

Graph *graph_unstack(Graph *g) {
    unstack_block(g, &g->top);
    return g;
}
