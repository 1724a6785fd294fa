/* Shared by the graph passes; see edit.h. */
#include "edit.h"

#include <string.h>

/* ---- rebuilding expressions ------------------------------------------------------------------ */

static void stamps_grow(Arena *a, uint32_t **stamp, uint32_t **memo, uint32_t *cap, uint32_t need) {
    if (need <= *cap) return;
    uint32_t cap2 = need + need / 2 + 64;
    uint32_t *s = NEWN(a, uint32_t, cap2);
    if (*cap) memcpy(s, *stamp, sizeof *s * *cap);
    *stamp = s;
    if (memo) {
        uint32_t *m = NEWN(a, uint32_t, cap2);
        if (*cap) memcpy(m, *memo, sizeof *m * *cap);
        *memo = m;
    }
    *cap = cap2;
}

Edit edit_new(Graph *g, Arena *scratch, EditFn fn, void *user) {
    return (Edit){.g = g, .scratch = scratch, .fn = fn, .user = user, .now = 1};
}

void edit_fresh(Edit *ed) { ed->now++; }

ExprId edit_rebuild(Graph *g, ExprId e, const ExprId *args) {
    Expr x = *graph_expr(g, e);
    bool same = true;
    for (uint32_t k = 0; k < x.n_args && same; k++) same = expr_arg(g, e, k) == args[k];
    if (same) return e;
    switch ((ExprOp)x.op) {
    case X_READ: return expr_read(g, x.value, args, x.n_args);
    case X_FN: return expr_fn(g, (Fn)x.fn, args);
    case X_SELECT: return expr_select(g, args[0], args[1], args[2]);
    case X_RANDOM: return expr_random(g, (uint32_t)x.i, args, x.n_args);
    default: return e;
    }
}

static ExprId edit_one(Edit *ed, ExprId e) {
    uint32_t n = graph_expr(ed->g, e)->n_args;
    ExprId args[EDIT_ARGS];
    for (uint32_t k = 0; k < n; k++) args[k] = ed->memo[expr_arg(ed->g, e, k)];
    ExprId r = ed->fn(ed, e, args);
    return r ? r : edit_rebuild(ed->g, e, args);
}

ExprId edit_expr(Edit *ed, ExprId e) {
    uint32_t base = ed->stack.n; /* fn may edit other expressions meanwhile */
    *PUSH(ed->scratch, &ed->stack) = e;
    while (ed->stack.n > base) {
        ExprId at = ed->stack.data[ed->stack.n - 1];
        uint32_t before = ed->stack.n;
        stamps_grow(ed->scratch, &ed->stamp, &ed->memo, &ed->cap, ed->g->exprs.n);
        if (ed->stamp[at] != ed->now) {
            for (uint32_t k = graph_expr(ed->g, at)->n_args; k-- > 0;) {
                ExprId a = expr_arg(ed->g, at, k);
                if (ed->stamp[a] != ed->now) *PUSH(ed->scratch, &ed->stack) = a;
            }
            if (ed->stack.n > before) continue;
            ExprId r = edit_one(ed, at);
            ed->memo[at] = r;
            ed->stamp[at] = ed->now;
        }
        ed->stack.n--;
    }
    return ed->memo[e];
}

/* ---- walking --------------------------------------------------------------------------------- */

Walk walk_new(Graph *g, Arena *scratch) { return (Walk){.g = g, .scratch = scratch}; }

void walk_expr(Walk *w, ExprId e, WalkFn fn, void *user) {
    stamps_grow(w->scratch, &w->stamp, NULL, &w->cap, w->g->exprs.n);
    w->now++;
    uint32_t base = w->stack.n, seen = 2 * w->now, done = seen + 1;
    if (e) *PUSH(w->scratch, &w->stack) = e;
    while (w->stack.n > base) {
        ExprId at = w->stack.data[w->stack.n - 1];
        if (w->stamp[at] < seen) {
            w->stamp[at] = seen;
            for (uint32_t k = graph_expr(w->g, at)->n_args; k-- > 0;)
                if (w->stamp[expr_arg(w->g, at, k)] < seen)
                    *PUSH(w->scratch, &w->stack) = expr_arg(w->g, at, k);
            continue;
        }
        w->stack.n--;
        if (w->stamp[at] == seen) {
            w->stamp[at] = done;
            fn(w, at, user);
        }
    }
}

typedef struct Uses {
    UseFn fn;
    void *user;
} Uses;

static void use_read(Walk *w, ExprId e, void *user) {
    const Uses *u = user;
    if (graph_expr(w->g, e)->op == X_READ) u->fn(graph_expr(w->g, e)->value, u->user);
}

static void walk_recur_uses(Walk *w, Recur *r, UseFn fn, void *user) {
    for (uint32_t k = 0; k < r->carry.n; k++) fn(r->carry.data[k].init, user);
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (r->carry.data[k].kept) fn(r->carry.data[k].kept, user);
    for (uint32_t c = 0; c < r->classes.n; c++) {
        RecurClass *cls = &r->classes.data[c];
        for (uint32_t i = 0; i < cls->body.nodes.n; i++)
            walk_uses(w, cls->body.nodes.data[i], fn, user);
        for (uint32_t k = 0; k < r->carry.n; k++) fn(cls->next[k], user);
        for (uint32_t o = 0; o < cls->outs.n; o++) fn(cls->outs.data[o].body, user);
    }
}

void walk_uses(Walk *w, NodeId id, UseFn fn, void *user) {
    const Node n = *graph_node(w->g, id);
    Uses u = {fn, user};
    switch ((NodeKind)n.kind) {
    case N_EQ: walk_expr(w, n.expr, use_read, &u); break;
    case N_SCATTER:
        walk_expr(w, n.expr, use_read, &u);
        for (uint32_t k = 0; k < graph_value(w->g, n.out)->rank; k++)
            walk_expr(w, n.subs[k], use_read, &u);
        break;
    case N_RECUR: walk_recur_uses(w, n.recur, fn, user); break;
    case N_DELAY:
        fn(n.source, user);
        fn(n.init, user);
        break;
    default: break;
    }
}

void walk_defs(Graph *g, NodeId id, UseFn fn, void *user) {
    const Node *n = graph_node(g, id);
    if (n->kind != N_RECUR) {
        fn(n->out, user);
        return;
    }
    Recur *r = n->recur;
    for (uint32_t k = 0; k < r->carry.n; k++) fn(r->carry.data[k].final, user);
    for (uint32_t c = 0; c < r->classes.n; c++) {
        RecurClass *cls = &r->classes.data[c];
        for (uint32_t o = 0; o < cls->outs.n; o++) fn(cls->outs.data[o].result, user);
        for (uint32_t i = 0; i < cls->body.nodes.n; i++) {
            const Node *d = graph_node(g, cls->body.nodes.data[i]);
            if (d->kind == N_DELAY && d->final) fn(d->final, user);
        }
    }
}

typedef struct Any {
    TestFn test;
    void *user;
    bool found;
} Any;

static void any_visit(Walk *w, ExprId e, void *user) {
    Any *a = user;
    if (!a->found) a->found = a->test(w->g, e, a->user);
}

bool walk_any(Walk *w, ExprId e, TestFn test, void *user) {
    Any a = {test, user, false};
    walk_expr(w, e, any_visit, &a);
    return a.found;
}

bool walk_node_any(Walk *w, NodeId id, TestFn test, void *user) {
    const Node n = *graph_node(w->g, id);
    if (n.kind == N_EQ || n.kind == N_SCATTER) {
        bool found = walk_any(w, n.expr, test, user);
        uint32_t rank = n.kind == N_SCATTER ? graph_value(w->g, n.out)->rank : 0;
        for (uint32_t k = 0; k < rank && !found; k++) found = walk_any(w, n.subs[k], test, user);
        return found;
    }
    if (n.kind != N_RECUR) return false;
    for (uint32_t c = 0; c < n.recur->classes.n; c++) {
        const Block *b = &n.recur->classes.data[c].body;
        for (uint32_t i = 0; i < b->nodes.n; i++)
            if (walk_node_any(w, b->nodes.data[i], test, user)) return true;
    }
    return false;
}

/* ---- small makers ---------------------------------------------------------------------------- */

static ExprId canonical(Graph *g, ExprId e) {
    Affine a;
    return expr_affine(g, e, &a) ? expr_from_affine(g, &a) : e;
}

ExprId int_add(Graph *g, ExprId a, int64_t k) {
    return k == 0 ? a : canonical(g, expr_fn2(g, F_add, a, expr_int(g, k)));
}

ExprId int_sub(Graph *g, ExprId a, ExprId b) { return canonical(g, expr_fn2(g, F_sub, a, b)); }

ExprId int_zero_like(Graph *g, Type t) { return t == T_INT ? expr_int(g, 0) : expr_num(g, 0); }

Value value_new(Graph *g, Type type, Store store, const Size *dims, uint32_t rank, const char *name,
                Loc loc) {
    ValueInfo *v = PUSH(g->arena, &g->values);
    v->type = (uint8_t)type;
    v->store = (uint8_t)store;
    v->rank = (uint8_t)rank;
    if (rank) memcpy(v->dims, dims, rank * sizeof *dims);
    v->name = name;
    v->loc = loc;
    return g->values.n - 1;
}

Value value_with_axis(Graph *g, Value v, Size s, uint32_t at) {
    const ValueInfo i = *graph_value(g, v);
    Size dims[MAX_RANK];
    for (uint32_t k = 0, j = 0; k <= i.rank && k < MAX_RANK; k++)
        dims[k] = k == at ? s : i.dims[j++];
    return value_new(g, (Type)i.type, (Store)i.store, dims, i.rank + 1u, i.name, i.loc);
}

NodeId eq_for(Graph *g, Value out, Red red, const Size *extra, uint32_t n_extra, ExprId expr,
              uint32_t level, Loc loc) {
    Node *n = PUSH(g->arena, &g->nodes);
    NodeId id = g->nodes.n - 1;
    n->kind = N_EQ;
    n->red = (uint8_t)red;
    n->n_extra = (uint8_t)n_extra;
    n->level = (uint8_t)level;
    n->out = out;
    if (n_extra) memcpy(n->extra, extra, n_extra * sizeof *extra);
    n->expr = expr;
    n->loc = loc;
    graph_value(g, out)->node = id;
    return id;
}

Size sizes_product(Graph *g, const Size *dims, uint32_t n) {
    Size p = size_num(g->sizes, 1);
    for (uint32_t k = 0; k < n; k++) p = size_mul(g->sizes, p, dims[k]);
    return p;
}

Size value_size(Graph *g, Value v) {
    const ValueInfo i = *graph_value(g, v);
    return sizes_product(g, i.dims, i.rank);
}

/* ---- inputs nobody reads ---------------------------------------------------------------------- */

typedef struct Used {
    Graph *g;
    Walk walk;
    bool *used;
} Used;

static void mark_used(Value v, void *user) { ((Used *)user)->used[v] = true; }

void graph_drop_inputs(Graph *g) {
    Arena *scratch = arena_new();
    Used u = {.g = g, .walk = walk_new(g, scratch), .used = NEWN(scratch, bool, g->values.n)};
    for (uint32_t i = 0; i < g->top.nodes.n; i++)
        walk_uses(&u.walk, g->top.nodes.data[i], mark_used, &u);
    for (uint32_t i = 0; i < g->outputs.n; i++) u.used[g->outputs.data[i].value] = true;
    uint32_t n = 0, m = 0;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        InputInfo in = g->inputs.data[i];
        if (!u.used[in.value]) continue;
        graph_node(g, graph_value(g, in.value)->node)->index = n;
        g->inputs.data[n++] = in;
    }
    g->inputs.n = n;
    for (uint32_t i = 0; i < g->top.nodes.n; i++) {
        NodeId id = g->top.nodes.data[i];
        if (graph_node(g, id)->kind != N_INPUT || u.used[graph_node(g, id)->out])
            g->top.nodes.data[m++] = id;
    }
    g->top.nodes.n = m;
    arena_free(scratch);
}
