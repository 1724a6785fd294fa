/* What the graph passes share: rebuilding expressions in place, walking what a node uses, making a
 * node that defines a value which already exists.
 *
 * A pass clones its graph, edits the clone (new nodes and expressions are appended, blocks get new
 * lists) and sweeps what nothing uses any more. Expressions are never changed, only made. */
#ifndef RWKVC_EDIT_H
#define RWKVC_EDIT_H

#include "graph.h"

/* ---- rebuilding expressions ------------------------------------------------------------------ */

typedef struct Edit Edit;
/* Called for every expression, operands first; args are the rebuilt operands. Returns what
 * stands for e, or 0: the same operation on args. */
typedef ExprId (*EditFn)(Edit *ed, ExprId e, const ExprId *args);

enum { EDIT_ARGS = 64 }; /* most operands of one expression */

struct Edit {
    Graph *g;
    Arena *scratch;
    EditFn fn;
    void *user;
    uint32_t *memo, *stamp; /* by ExprId; memo counts where stamp is now */
    uint32_t cap, now;
    VEC(ExprId) stack;
};

Edit edit_new(Graph *g, Arena *scratch, EditFn fn, void *user);
/* Forgets results: to be called when what fn does has changed. */
void edit_fresh(Edit *ed);
ExprId edit_expr(Edit *ed, ExprId e);
ExprId edit_rebuild(Graph *g, ExprId e, const ExprId *args);

/* ---- walking --------------------------------------------------------------------------------- */

typedef struct Walk Walk;
typedef void (*WalkFn)(Walk *w, ExprId e, void *user);
struct Walk {
    Graph *g;
    Arena *scratch;
    uint32_t *stamp, cap, now; /* by ExprId: 2 now = waiting for operands, 2 now + 1 = done */
    VEC(ExprId) stack;
};
Walk walk_new(Graph *g, Arena *scratch);
/* Every expression below e, once, operands first. fn may not walk with the same w. */
void walk_expr(Walk *w, ExprId e, WalkFn fn, void *user);
/* Every value that node n uses, bodies of a recurrence included; values may come more than once,
 * and those defined inside n come too. */
typedef void (*UseFn)(Value v, void *user);
void walk_uses(Walk *w, NodeId n, UseFn fn, void *user);
/* Every value that node n defines for the block it stands in. */
void walk_defs(Graph *g, NodeId n, UseFn fn, void *user);

/* True if an expression below e satisfies the test. */
typedef bool (*TestFn)(Graph *g, ExprId e, void *user);
bool walk_any(Walk *w, ExprId e, TestFn test, void *user);
/* The same for every expression of node n and of the nodes inside it. */
bool walk_node_any(Walk *w, NodeId n, TestFn test, void *user);

/* Inputs that nothing uses go, in place. What uses them in vain must be gone: graph_clone first. */
void graph_drop_inputs(Graph *g);

/* ---- small makers ---------------------------------------------------------------------------- */

/* a + k, in canonical affine form where it has one. */
ExprId int_add(Graph *g, ExprId a, int64_t k);
ExprId int_sub(Graph *g, ExprId a, ExprId b);
ExprId int_zero_like(Graph *g, Type t); /* the literal 0 of that type */

/* A new value, defined by nothing yet; dims are copied. */
Value value_new(Graph *g, Type type, Store store, const Size *dims, uint32_t rank, const char *name,
                Loc loc);
/* A value like v with an axis of size s put in before axis `at`. */
Value value_with_axis(Graph *g, Value v, Size s, uint32_t at);
/* A new equation that defines `out`, not yet in a block. The rank of out says which indices are
 * reduced. */
NodeId eq_for(Graph *g, Value out, Red red, const Size *extra, uint32_t n_extra, ExprId expr,
              uint32_t level, Loc loc);
/* A recurrence along an axis whose body value `body` is what a value has at each step. */
typedef struct Maker {
    NodeId recur;
    NodeId
        loop; /* the layer loop that stacked its result (axis 0 is that of the layers); 0: none */
    uint32_t cls; /* and the class of it */
    Value body;
    uint8_t axis; /* of steps, in the value asked for */
} Maker;
bool graph_maker(Graph *g, Value v, Maker *m); /* maker.c; false: none */

/* By value: how many nodes read it, and one more for each use as a start, result or output. In scratch. */
uint32_t *graph_uses(Graph *g, Arena *scratch);
/* Product of the dims of v, 0 on overflow. */
Size value_size(Graph *g, Value v);
Size sizes_product(Graph *g, const Size *dims, uint32_t n);

static inline bool is_int_literal(Graph *g, ExprId e, int64_t i) {
    return graph_expr(g, e)->op == X_INT && graph_expr(g, e)->i == i;
}
static inline bool is_literal(Graph *g, ExprId e, double v) {
    const Expr *x = graph_expr(g, e);
    return (x->op == X_NUM && x->num == v) || (x->op == X_INT && (double)x->i == v);
}
static inline bool is_index(Graph *g, ExprId e, uint32_t k) {
    return graph_expr(g, e)->op == X_IDX && graph_expr(g, e)->i == (int64_t)k;
}

#endif
