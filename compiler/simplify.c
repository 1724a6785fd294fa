/* Simplification to a fixpoint, in rounds over the whole graph.
 *
 * requires: a graph that graph_verify accepts.
 * maintains: the values of all outputs, up to the order of terms where a sum of sums becomes one
 *   sum; the tables; a second run changes nothing.
 * cost: linear in the graph a round; few rounds (each but the last removes or shortens something).
 *
 * A round visits nodes in order: reads are replaced by what stands behind them (inline.c),
 * expressions simplified (algebra.c, canonical int forms with the ranges of indices), reductions
 * of reductions merged, copies and equal equations dropped (cse.c). Carried values that all
 * classes pass through are the outer value they start from. What is not used any more goes with
 * the copy between rounds. */
#include "simplify.h"

#include <string.h>

enum { MAX_ROUNDS = 16 };

/* ---- uses ------------------------------------------------------------------------------------ */

static void count_read(Walk *w, ExprId e, void *user) {
    Simplify *s = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_READ) s->uses[x->value]++;
}

static void count_recur(Simplify *s, const Recur *r) {
    for (uint32_t k = 0; k < r->carry.n; k++) s->uses[r->carry.data[k].init] += 2;
    for (uint32_t k = 0; k < r->carry.n; k++) s->uses[r->carry.data[k].kept] += 2;
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *x = &r->classes.data[c];
        for (uint32_t k = 0; k < r->carry.n; k++) s->uses[x->next[k]] += 2;
        for (uint32_t o = 0; o < x->outs.n; o++) s->uses[x->outs.data[o].body] += 2;
    }
}

static void count_node(Graph *g, NodeId id, void *user) {
    Simplify *s = user;
    const Node n = *graph_node(g, id);
    switch ((NodeKind)n.kind) {
    case N_SCATTER:
        for (uint32_t k = 0; k < graph_value(g, n.out)->rank; k++)
            walk_expr(&s->walk, n.subs[k], count_read, s);
        walk_expr(&s->walk, n.expr, count_read, s);
        break;
    case N_EQ: walk_expr(&s->walk, n.expr, count_read, s); break;
    case N_DELAY:
        s->uses[n.source] += 2;
        s->uses[n.init] += 2;
        break;
    case N_RECUR: count_recur(s, n.recur); break;
    default: break;
    }
}

static void count_uses(Simplify *s) {
    Graph *g = s->g;
    graph_each(g, &g->top, count_node, s);
    for (uint32_t i = 0; i < g->outputs.n; i++) s->uses[g->outputs.data[i].value] += 2;
    for (uint32_t i = 0; i < g->states.n; i++) s->uses[g->states.data[i].start] += 2;
}

/* ---- equations ------------------------------------------------------------------------------- */

static ExprId simplify_expr_at(Edit *ed, ExprId e, const ExprId *args) {
    Simplify *s = ed->user;
    Graph *g = s->g;
    const Expr x = *graph_expr(g, e);
    if (x.op == X_READ) {
        Value v = simplify_value(s, x.value);
        ExprId r = simplify_read(s, v, args, x.n_args);
        return r ? r : expr_read(g, v, args, x.n_args);
    }
    if (x.op != X_FN && x.op != X_SELECT) return 0;
    return simplify_algebra(g, edit_rebuild(g, e, args));
}

static ExprId simplify_expr(Simplify *s, ExprId e, const Ranges *r) {
    edit_fresh(&s->edit);
    return expr_simplify_int(s->g, edit_expr(&s->edit, e), r);
}

/* Sizes of the own indices of node n. */
static uint32_t index_sizes(Graph *g, const Node *n, Size *sizes) {
    uint32_t k = 0;
    if (n->kind == N_EQ) {
        const ValueInfo *v = graph_value(g, n->out);
        memcpy(sizes, v->dims, v->rank * sizeof *sizes);
        k = v->rank;
    }
    memcpy(sizes + k, n->extra, n->n_extra * sizeof *sizes);
    return k + n->n_extra;
}

/* out = u at the same indices and stored the same way */
static Value copied_value(Graph *g, const Node *n) {
    const Expr x = *graph_expr(g, n->expr);
    if (n->kind != N_EQ || n->red != RED_NONE || x.op != X_READ ||
        !graph_same_dims(g, n->out, x.value))
        return 0;
    if (graph_value(g, x.value)->store != graph_value(g, n->out)->store) return 0;
    for (uint32_t k = 0; k < x.n_args; k++)
        if (!is_index(g, expr_arg(g, n->expr, k), k)) return 0;
    return x.value;
}

static void replace(Simplify *s, Value v, Value by) {
    if (v == by || s->to[v]) return;
    s->to[v] = by;
    s->uses[by] += s->uses[v];
    s->changed = true;
}

static ExprId renumber_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    (void)subs;
    const Expr *x = graph_expr(m->src, e);
    return x->op == X_IDX ? ((const ExprId *)m->user)[x->i] : 0;
}

/* Reduced axes of one item are no axes. */
static void drop_unit_axes(Simplify *s, NodeId id) {
    Graph *g = s->g;
    Node n = *graph_node(g, id);
    uint32_t rank = n.kind == N_EQ ? graph_value(g, n.out)->rank : 0, left = 0;
    ExprId to[2 * MAX_RANK];
    for (uint32_t k = 0; k < rank; k++) to[k] = expr_idx(g, k);
    for (uint32_t k = 0; k < n.n_extra; k++) {
        int64_t one = 0;
        bool unit = size_is_num(g->sizes, n.extra[k], &one) && one == 1;
        to[rank + k] = unit ? expr_int(g, 0) : expr_idx(g, rank + left);
        if (!unit) n.extra[left++] = n.extra[k];
    }
    bool keeps = n.red != RED_ARGMAX || left; /* argmax is no copy of its item */
    if (n.kind != N_EQ || left == n.n_extra || !keeps) return;
    Arena *scratch = arena_new();
    ExprMap m = {.src = g, .dst = g, .leaf = renumber_leaf, .user = to};
    expr_map_begin(&m, scratch);
    n.expr = expr_map(&m, n.expr);
    arena_free(scratch);
    n.n_extra = (uint8_t)left;
    if (!left) n.red = RED_NONE;
    *graph_node(g, id) = n;
    s->changed = true;
}

/* What goes leaves its name in the text to what stands for it: a value that has as many items and no name. */
static void lend_name(Graph *g, Value from, Value to) {
    ValueInfo *v = graph_value(g, to);
    if (!graph_value(g, from)->name || v->name || value_size(g, from) != value_size(g, to)) return;
    v->name = graph_value(g, from)->name;
    v->loc = graph_value(g, from)->loc;
}

/* True if the node stays. */
static bool simplify_eq(Simplify *s, NodeId id) {
    Graph *g = s->g;
    drop_unit_axes(s, id);
    Node n = *graph_node(g, id);
    Size sizes[2 * MAX_RANK];
    Ranges r = {.idx = sizes, .level = s->level_len, .n_level = n.level};
    r.n_idx = index_sizes(g, &n, sizes);
    s->node = id;
    s->space = sizes_product(g, sizes, r.n_idx);
    const Node before = n;
    n.expr = simplify_expr(s, n.expr, &r);
    for (uint32_t k = 0; n.kind == N_SCATTER && k < graph_value(g, n.out)->rank; k++) {
        n.subs[k] = simplify_expr(s, n.subs[k], &r);
        s->changed |= n.subs[k] != before.subs[k];
    }
    s->changed |= n.expr != before.expr;
    *graph_node(g, id) = n;
    if (n.kind == N_EQ && n.expr == before.expr) /* else the counts of readers may be old */
        simplify_merge(s, id);
    n = *graph_node(g, id);
    if (n.kind == N_EQ && n.red == RED_NONE && graph_expr(g, n.expr)->op == X_READ)
        lend_name(g, n.out, graph_expr(g, n.expr)->value);
    Value same = copied_value(g, &n);
    if (!same) {
        NodeId other = simplify_find(s, id);
        same = other ? graph_node(g, other)->out : 0;
    }
    if (!same) return true;
    lend_name(g, n.out, same);
    replace(s, n.out, same);
    return false;
}

/* ---- recurrences ----------------------------------------------------------------------------- */

static void simplify_block(Simplify *s, Block *b);

static bool is_outer(const Simplify *s, const Recur *r, Value v) {
    return graph_node(s->g, graph_value(s->g, v)->node)->level <= r->level;
}

/* A carried value that no class changes, or that every class sets to what it starts from. */
static void simplify_constant_carry(Simplify *s, Recur *r, uint32_t k) {
    Value init = r->carry.data[k].init;
    for (uint32_t c = 0; c < r->classes.n; c++) {
        Value next = simplify_value(s, r->classes.data[c].next[k]);
        if (next != r->classes.data[c].args[k] && next != init) return;
    }
    for (uint32_t c = 0; c < r->classes.n; c++) replace(s, r->classes.data[c].args[k], init);
    replace(s, r->carry.data[k].final, init);
}

/* Two carried values that start and go on as one. */
static void simplify_equal_carries(Simplify *s, Recur *r) {
    for (uint32_t a = 0; a < r->carry.n; a++)
        for (uint32_t b = a + 1; b < r->carry.n; b++) {
            bool same = r->carry.data[a].init == r->carry.data[b].init;
            for (uint32_t c = 0; c < r->classes.n && same; c++) {
                const RecurClass *x = &r->classes.data[c];
                same = x->next[a] == x->next[b] && x->next[a] != x->args[a] &&
                       x->next[a] != x->args[b];
            }
            if (!same) continue;
            for (uint32_t c = 0; c < r->classes.n; c++)
                replace(s, r->classes.data[c].args[b], r->classes.data[c].args[a]);
            replace(s, r->carry.data[b].final, r->carry.data[a].final);
        }
}

/* Every class leaves the same outer value behind. */
static void simplify_final(Simplify *s, Recur *r, uint32_t k) {
    Value v = r->classes.data[0].next[k];
    for (uint32_t c = 0; c < r->classes.n; c++)
        if (r->classes.data[c].next[k] != v || !is_outer(s, r, v)) return;
    replace(s, r->carry.data[k].final, v);
}

static void simplify_outs(Simplify *s, RecurClass *c) {
    for (uint32_t a = 0; a < c->outs.n; a++)
        for (uint32_t b = a + 1; b < c->outs.n; b++)
            if (c->outs.data[a].body == c->outs.data[b].body &&
                c->outs.data[a].axis == c->outs.data[b].axis &&
                c->outs.data[a].every == c->outs.data[b].every)
                replace(s, c->outs.data[b].result, c->outs.data[a].result);
}

static void simplify_class(Simplify *s, Recur *r, RecurClass *c) {
    simplify_block(s, &c->body);
    for (uint32_t k = 0; k < r->carry.n; k++) c->next[k] = simplify_value(s, c->next[k]);
    for (uint32_t o = 0; o < c->outs.n; o++)
        c->outs.data[o].body = simplify_value(s, c->outs.data[o].body);
    for (uint32_t i = 0; i < c->body.nodes.n; i++) {
        Node *n = graph_node(s->g, c->body.nodes.data[i]);
        if (n->kind == N_DELAY) n->source = simplify_value(s, n->source);
    }
    simplify_outs(s, c);
}

static void simplify_recur(Simplify *s, Recur *r) {
    s->level_len[r->level] = r->length;
    for (uint32_t k = 0; k < r->carry.n; k++)
        r->carry.data[k].init = simplify_value(s, r->carry.data[k].init);
    for (uint32_t k = 0; k < r->carry.n; k++)
        r->carry.data[k].kept = simplify_value(s, r->carry.data[k].kept);
    simplify_equal_carries(s, r);
    for (uint32_t k = 0; k < r->carry.n; k++) simplify_constant_carry(s, r, k);
    for (uint32_t c = 0; c < r->classes.n; c++) simplify_class(s, r, &r->classes.data[c]);
    for (uint32_t k = 0; k < r->carry.n; k++) simplify_final(s, r, k);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void simplify_block(Simplify *s, Block *b) {
    Block old = *b;
    uint32_t scope = simplify_scope(s);
    memset(b, 0, sizeof *b);
    for (uint32_t i = 0; i < old.nodes.n; i++) {
        NodeId id = old.nodes.data[i];
        Node *n = graph_node(s->g, id);
        bool stays = true;
        if (n->kind == N_EQ || n->kind == N_SCATTER)
            stays = simplify_eq(s, id);
        else if (n->kind == N_RECUR)
            simplify_recur(s, n->recur);
        else if (n->kind == N_DELAY)
            n->init = simplify_value(s, n->init);
        if (stays) *PUSH(s->g->arena, &b->nodes) = id;
    }
    simplify_leave(s, scope);
}

static bool simplify_round(Graph *g) {
    Arena *scratch = arena_new();
    Simplify *s = NEW(scratch, Simplify);
    s->g = g;
    s->scratch = scratch;
    s->walk = walk_new(g, scratch);
    s->edit = edit_new(g, scratch, simplify_expr_at, s);
    s->subst = edit_new(g, scratch, NULL, NULL);
    s->n_values = g->values.n;
    s->to = NEWN(scratch, Value, s->n_values);
    s->uses = NEWN(scratch, uint32_t, s->n_values);
    count_uses(s);
    simplify_block(s, &g->top);
    for (uint32_t i = 0; i < g->outputs.n; i++)
        g->outputs.data[i].value = simplify_value(s, g->outputs.data[i].value);
    for (uint32_t i = 0; i < g->states.n; i++)
        g->states.data[i].start = simplify_value(s, g->states.data[i].start);
    bool changed = s->changed;
    arena_free(scratch);
    return changed;
}

Graph *graph_simplify(Graph *g) {
    g = graph_clone(g, g->entry);
    for (int round = 0; round < MAX_ROUNDS && simplify_round(g); round++)
        g = graph_clone(g, g->entry);
    return g;
}
