/* Least cuts of directed networks with whole-number capacities. */
#ifndef RWKVC_CUT_H
#define RWKVC_CUT_H

#include "base.h"

enum { CUT_SOURCE = 0, CUT_SINK = 1, CUT_FIRST = 2 }; /* vertices; others count from CUT_FIRST */
static const int64_t CUT_NEVER = INT64_C(1)
                                 << 61; /* capacity of an edge that is not cut; the others
                                                         sum to less */

typedef struct CutEdge {
    uint32_t from, to;
    int64_t capacity; /* >= 0 */
} CutEdge;

/* on_sink[v]: is v on the sink's side of a cut of least capacity? Of several such cuts, the one whose sink's
 * side is smallest. The result is in arena a; NULL: every cut takes an edge that must not be cut.
 * Cost: vertices^2 * edges at worst, in practice a few times the edges. */
bool *cut_least(Arena *a, uint32_t n_vertices, const CutEdge *edges, uint32_t n_edges);

#endif
