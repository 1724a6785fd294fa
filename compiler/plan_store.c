/* What numbers are kept as: one rule for each kind of value. `short` is PlanOptions.weights of
 * parameters and PlanOptions.saved of all else.
 *
 *   declared     what the text says (": f32")
 *   parameters   short, where the own rank is 2 or more and a matrix product multiplies with them or data
 *                chooses their rows. An entry that updates such a one has it twice: the master in f32, read
 *                where a node runs over exactly its numbers, as updates do, and the short copy for all
 *                others, which the kernel of the update writes beside the new master
 *   values       short, where they are large and either
 *                  operands    every reader multiplies them in a matrix product, or
 *                  saved       the forward pass makes them, the backward pass reads them, no sum of the
 *                              forward pass but a product does, no recurrence does, and nothing divides by
 *                              them or compares them (1/(1 - p) is infinite where p is short and near 1)
 *                with f16 not those of the backward pass: gradients leave its range
 *   all else     f32: carried values and what is added to them as it is (the residual stream), results,
 *                sums that are no products (statistics of norms, gradients of vectors), recurrences' values
 *
 * The forward pass is what results, states, losses and penalties depend on. A value of a loop's body and its stack are
 * one tensor, so what is said of readers counts the readers of both.
 *
 * Requires a simplified graph. Cost linear. */
#include <string.h>

#include "plan_impl.h"

enum {
    USE_PRODUCT = 1,   /* a factor of a matrix product                                  */
    USE_ROWS = 2,      /* data chooses a part of it                                     */
    USE_OTHER = 4,     /* read by an equation that is no product                        */
    USE_SCAN = 8,      /* by a recurrence along an axis                                 */
    USE_KEPT = 16,     /* carried, or a result                                          */
    USE_BACKWARD = 32, /* by the backward pass                                          */
    USE_SUMMED = 64,   /* by a sum of the forward pass that is no product               */
    USE_ADDED = 128,   /* added as it is to what is carried                             */
    USE_EXACT = 256    /* divided by, compared with more than 0, under a root or a logarithm */
};

enum { LEAST_ITEMS = 16 }; /* of a value's fixed axes */

typedef struct Stores {
    Graph *g;
    const PlanOptions *o;
    Walk walk, inner; /* inner: for walks made while walk is at work */
    uint16_t *use;    /* by Value */
    bool *forward;    /* by Value: made by the forward pass */
    uint16_t how;     /* uses by the node at hand */
} Stores;

/* ---- the forward pass ---------------------------------------------------------------------------- */

static void set_forward(Value v, void *user) {
    if (v) ((Stores *)user)->forward[v] = true; /* 0: a final value that nothing wants */
}

typedef struct AnyForward {
    const Stores *s;
    bool any;
} AnyForward;

static void test_forward(Value v, void *user) {
    AnyForward *t = user;
    t->any = t->any || t->s->forward[v];
}

static bool is_forward(Stores *s, NodeId id) {
    AnyForward t = {s, false};
    walk_defs(s->g, id, test_forward, &t);
    return t.any;
}

static void set_defs_forward(Stores *s, NodeId id) {
    Graph *g = s->g;
    walk_defs(g, id, set_forward, s);
    const Node *n = graph_node(g, id);
    for (uint32_t c = 0; n->kind == N_RECUR && c < n->recur->classes.n; c++) {
        const Block *b = &n->recur->classes.data[c].body;
        for (uint32_t i = 0; i < b->nodes.n; i++) set_defs_forward(s, b->nodes.data[i]);
    }
}

static void find_forward(Stores *s) {
    Graph *g = s->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        uint8_t kind = g->outputs.data[i].kind;
        if (kind == OUT_RESULT || kind == OUT_STATE || kind == OUT_LOSS || kind == OUT_PENALTY)
            s->forward[g->outputs.data[i].value] = true;
    }
    for (uint32_t i = g->top.nodes.n; i-- > 0;) {
        NodeId id = g->top.nodes.data[i];
        if (!is_forward(s, id)) continue;
        set_defs_forward(s, id);
        walk_uses(&s->walk, id, set_forward, s);
    }
}

/* ---- uses ------------------------------------------------------------------------------------------ */

static bool has_read(Graph *g, ExprId e) {
    if (graph_expr(g, e)->op == X_READ) return true;
    for (uint32_t k = 0; k < graph_expr(g, e)->n_args; k++)
        if (has_read(g, expr_arg(g, e, k))) return true;
    return false;
}

static void visit_exact(Walk *w, ExprId e, void *user) {
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_READ) ((Stores *)user)->use[x->value] |= USE_EXACT;
}

/* Operands of a function at which a small error may become a large one. */
static void mark_exact(Stores *s, ExprId e) {
    Graph *g = s->g;
    const Expr *x = graph_expr(g, e);
    switch ((Fn)x->fn) {
    case F_div: walk_expr(&s->inner, expr_arg(g, e, 1), visit_exact, s); return;
    case F_eq:
    case F_ne:
    case F_lt:
    case F_le:
    case F_gt:
    case F_ge: /* the sign is kept */
        if (is_literal(g, expr_arg(g, e, 0), 0) || is_literal(g, expr_arg(g, e, 1), 0)) return;
        break;
    case F_pow:
    case F_log:
    case F_sqrt:
    case F_round:
    case F_floor: break;
    default: return;
    }
    for (uint32_t k = 0; k < x->n_args; k++)
        walk_expr(&s->inner, expr_arg(g, e, k), visit_exact, s);
}

static void visit_use(Walk *w, ExprId e, void *user) {
    Stores *s = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_FN) mark_exact(s, e);
    if (x->op != X_READ) return;
    s->use[x->value] |= s->how;
    for (uint32_t k = 0; k < x->n_args; k++)
        if (has_read(w->g, expr_arg(w->g, e, k))) s->use[x->value] |= USE_ROWS;
}

static void equation_uses(Stores *s, NodeId id, bool steps) {
    Graph *g = s->g;
    const Node *n = graph_node(g, id);
    PlanContract c;
    bool product = !steps && contract_match(g, id, &c), forward = s->forward[n->out];
    s->how = product ? USE_PRODUCT : steps ? USE_SCAN : USE_OTHER;
    if (!forward) s->how |= USE_BACKWARD;
    if (forward && n->red != RED_NONE && !product) s->how |= USE_SUMMED;
    walk_expr(&s->walk, n->expr, visit_use, s);
    for (uint32_t a = 0; n->kind == N_SCATTER && a < graph_value(g, n->out)->rank; a++)
        walk_expr(&s->walk, n->subs[a], visit_use, s);
}

static void block_uses(Stores *s, const Block *b, bool steps);

static void recurrence_uses(Stores *s, const Recur *r) {
    for (uint32_t k = 0; k < r->carry.n; k++) s->use[r->carry.data[k].init] |= USE_KEPT;
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *c = &r->classes.data[i];
        for (uint32_t k = 0; k < r->carry.n; k++) s->use[c->next[k]] |= USE_KEPT;
        block_uses(s, &c->body, !r->layers);
    }
}

static void block_uses(Stores *s, const Block *b, bool steps) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(s->g, b->nodes.data[i]);
        if (n->kind == N_RECUR)
            recurrence_uses(s, n->recur);
        else if (n->kind == N_EQ || n->kind == N_SCATTER)
            equation_uses(s, b->nodes.data[i], steps);
    }
}

/* What is done with a stack is done with what it stacks: outer loops first. */
static void stack_uses(Stores *s, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(s->g, b->nodes.data[i]);
        for (uint32_t k = 0; n->kind == N_RECUR && k < n->recur->classes.n; k++) {
            const RecurClass *c = &n->recur->classes.data[k];
            for (uint32_t o = 0; o < c->outs.n; o++)
                s->use[c->outs.data[o].body] |= s->use[c->outs.data[o].result];
            stack_uses(s, &c->body);
        }
    }
}

/* Terms of the sum that v is, read at the point itself; and theirs. */
static void mark_added(Stores *s, Value v, ExprId e) {
    Graph *g = s->g;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_FN && (x->fn == F_add || x->fn == F_sub)) {
        ExprId a = expr_arg(g, e, 0), b = expr_arg(g, e, 1);
        mark_added(s, v, a);
        mark_added(s, v, b);
    }
    if (x->op != X_READ || x->n_args != graph_value(g, v)->rank) return;
    for (uint32_t k = 0; k < x->n_args; k++)
        if (!is_index(g, expr_arg(g, e, k), k)) return;
    Value term = x->value;
    const Node *n = graph_node(g, graph_value(g, term)->node);
    if (s->use[term] & USE_ADDED) return;
    s->use[term] |= USE_ADDED;
    if (n->kind == N_EQ && n->red == RED_NONE) mark_added(s, term, n->expr);
}

static void find_added(Stores *s, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(s->g, b->nodes.data[i]);
        if (n->kind != N_RECUR || !n->recur->layers) continue;
        for (uint32_t c = 0; c < n->recur->classes.n; c++) {
            const RecurClass *k = &n->recur->classes.data[c];
            for (uint32_t j = 0; j < n->recur->carry.n; j++) {
                const Node *next = graph_node(s->g, graph_value(s->g, k->next[j])->node);
                if (next->kind == N_EQ && next->red == RED_NONE)
                    mark_added(s, k->next[j], next->expr);
            }
            find_added(s, &k->body);
        }
    }
}

static Stores stores_new(Graph *g, const PlanOptions *o, Arena *scratch) {
    Stores s = {.g = g, .o = o, .walk = walk_new(g, scratch), .inner = walk_new(g, scratch)};
    s.use = NEWN(scratch, uint16_t, g->values.n + 1);
    s.forward = NEWN(scratch, bool, g->values.n + 1);
    find_forward(&s);
    for (uint32_t i = 0; i < g->outputs.n; i++) s.use[g->outputs.data[i].value] |= USE_KEPT;
    block_uses(&s, &g->top, false);
    find_added(&s, &g->top);
    stack_uses(&s, &g->top);
    return s;
}

/* ---- decisions --------------------------------------------------------------------------------------- */

static uint8_t declared(const ValueInfo *v) {
    return v->type == T_INT      ? DT_I32
           : v->store == ST_BF16 ? DT_BF16
           : v->store == ST_F16  ? DT_F16
                                 : DT_F32;
}

static uint8_t param_dtype(const Stores *s, const ParamInfo *p) {
    const ValueInfo *v = graph_value(s->g, p->value);
    uint16_t use = s->use[p->value];
    if (v->type == T_INT || v->store != ST_DEFAULT) return declared(v);
    bool matrix = v->rank - p->family >= 2 && (use & (USE_PRODUCT | USE_ROWS));
    return matrix && !(use & USE_KEPT) ? s->o->weights : (uint8_t)DT_F32;
}

/* Large: some fixed numbers at each point, and points along a run-time axis, or two where it is not saved
 * for later: an entry that makes one step at a time keeps everything exact. */
static bool is_large(Graph *g, const ValueInfo *v, bool saved) {
    int64_t items = 1, n;
    uint32_t axes = 0;
    for (uint32_t i = 0; i < v->rank; i++) {
        if (!size_is_num(g->sizes, v->dims[i], &n))
            axes++;
        else if (items < LEAST_ITEMS)
            items *= n;
    }
    return items >= LEAST_ITEMS && axes >= (saved ? 1u : 2u);
}

static uint8_t value_dtype(const Stores *s, Value out, bool product) {
    Graph *g = s->g;
    const ValueInfo *v = graph_value(g, out);
    const Node *n = graph_node(g, v->node);
    uint16_t use = s->use[out];
    if (v->type == T_INT || v->store != ST_DEFAULT) return declared(v);
    if (use & (USE_KEPT | USE_SCAN | USE_ADDED | USE_ROWS)) return DT_F32;
    if (n->red != RED_NONE && !product) return DT_F32;
    if (s->o->saved == DT_F16 && !s->forward[out]) return DT_F32;
    bool operand = (use & (USE_PRODUCT | USE_OTHER)) == USE_PRODUCT;
    bool saved = s->forward[out] && (use & USE_BACKWARD);
    if (!is_large(g, v, saved)) return DT_F32;
    return operand || (saved && !(use & (USE_SUMMED | USE_EXACT))) ? s->o->saved : (uint8_t)DT_F32;
}

static void decide(Planner *pl, const Stores *s, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        const Node *n = graph_node(s->g, id);
        PlanContract m;
        if (n->kind == N_EQ) {
            uint8_t d = value_dtype(s, n->out, contract_match(s->g, id, &m));
            pl->store[n->out] = d;
            if (d != declared(graph_value(s->g, n->out)))
                plan_explain(pl, "%s kept short: %s",
                             graph_value(s->g, n->out)->name ? graph_value(s->g, n->out)->name
                                                             : "a value",
                             s->use[n->out] & USE_OTHER ? "saved for the backward pass"
                                                        : "only matrix products read it");
        }
        for (uint32_t k = 0; n->kind == N_RECUR && n->recur->layers && k < n->recur->classes.n;
             k++) {
            const RecurClass *c = &n->recur->classes.data[k];
            decide(pl, s, &c->body);
            for (uint32_t o = 0; o < c->outs.n; o++)
                pl->store[c->outs.data[o].result] = pl->store[c->outs.data[o].body];
        }
    }
}

void stores_choose(Planner *pl) {
    Graph *g = pl->g;
    Arena *scratch = arena_new();
    Stores s = stores_new(g, pl->o, scratch);
    pl->store = NEWN(pl->arena, uint8_t, g->values.n + 1);
    for (uint32_t v = 1; v < g->values.n; v++) pl->store[v] = declared(graph_value(g, v));
    for (uint32_t i = 0; i < g->params.n; i++)
        pl->store[g->params.data[i].value] = param_dtype(&s, &g->params.data[i]);
    decide(pl, &s, &g->top);
    arena_free(scratch);
}

/* ---- masters and copies -------------------------------------------------------------------------------- */

typedef struct OwnReads {
    Value v;
    uint32_t n_idx; /* of the node at hand */
    bool own;
} OwnReads;

/* A node over the very numbers of a parameter: as many indices as it has axes, each a subscript. */
static void visit_own(Walk *w, ExprId e, void *user) {
    OwnReads *u = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || x->value != u->v || x->n_args != u->n_idx) return;
    uint32_t seen = 0;
    for (uint32_t k = 0; k < x->n_args; k++) {
        const Expr *i = graph_expr(w->g, expr_arg(w->g, e, k));
        if (i->op == X_IDX) seen |= 1u << i->i;
    }
    u->own = u->own || seen == (1u << u->n_idx) - 1u;
}

bool kernel_reads_master(Planner *pl, const Kernel *k, Value v) {
    OwnReads u = {.v = v};
    for (uint32_t i = 0; i < k->members.n && !u.own; i++) {
        const Node *n = graph_node(pl->g, k->members.data[i].node);
        u.n_idx = graph_value(pl->g, n->out)->rank + (uint32_t)n->n_extra;
        walk_expr(&pl->walk, n->expr, visit_own, &u);
    }
    return u.own;
}

bool param_is_updated(Graph *g, uint32_t index) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].kind == OUT_PARAM && g->outputs.data[i].index == index) return true;
    return false;
}

/* An equation new[i,j] = value[i,j], kept as `store`. */
static Value copy_of(Graph *g, Value v, Store store) {
    const ValueInfo i = *graph_value(g, v);
    ExprId at[MAX_RANK];
    for (uint32_t k = 0; k < i.rank; k++) at[k] = expr_idx(g, k);
    Value c = graph_eq(g, &g->top, i.dims, i.rank, RED_NONE, NULL, 0, expr_read(g, v, at, i.rank),
                       0, i.name, i.loc);
    graph_value(g, c)->store = (uint8_t)store;
    return c;
}

Graph *graph_add_copies(Graph *g, const PlanOptions *o) {
    Arena *scratch = arena_new();
    Stores s = stores_new(g, o, scratch);
    for (uint32_t i = 0, n = g->outputs.n; i < n; i++) {
        const OutputInfo out = g->outputs.data[i];
        if (out.kind != OUT_PARAM) continue;
        uint8_t d = param_dtype(&s, &g->params.data[out.index]);
        if (d != DT_BF16 && d != DT_F16) continue;
        Value c = copy_of(g, out.value, d == DT_BF16 ? ST_BF16 : ST_F16);
        graph_output(g, OUT_PARAM, out.name, c, out.index);
    }
    arena_free(scratch);
    return g;
}

/* ---- operands of matrix products ----------------------------------------------------------------------- */

static bool is_exact(Graph *g, ExprId read) {
    return graph_value(g, graph_expr(g, read)->value)->store == ST_F32;
}

uint8_t product_operands(Planner *pl, const Kernel *k) {
    const PlanContract *c = &k->contract;
    if (is_exact(pl->g, c->a) || is_exact(pl->g, c->b)) return DT_F32;
    uint8_t a = pl->store[graph_expr(pl->g, c->a)->value],
            b = pl->store[graph_expr(pl->g, c->b)->value];
    bool round = pl->o->saved == DT_BF16 || a == DT_BF16 || b == DT_BF16;
    return round ? DT_BF16 : DT_F32;
}
