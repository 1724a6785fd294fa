/* What leaves the body of a recurrence: equations, scatters and inner recurrences get one more
 * axis, or none if they do not vary; delays and carried values off any cycle become shifted
 * reads. */
#include "distribute.h"

#include <string.h>

/* ---- expressions ----------------------------------------------------------------------------- */

/* source at (k+1) steps before `counter`, where that is a step, else init. */
static ExprId value_shifted(Dist *d, Place p, const ExprId *subs, uint32_t n, ExprId counter) {
    Graph *g = d->g;
    int64_t depth = 1;
    uint32_t lead = p.carried ? 0 : 1;
    if (lead && !size_is_num(g->sizes, graph_value(g, p.init)->dims[0], &depth)) depth = 0;
    ExprId k = depth == 1 ? expr_int(g, 0) : subs[0];
    ExprId back = int_add(g, k, 1), length = expr_size(g, d->r->length), from, inside, first;
    if (d->r->reverse) {
        from = expr_fn2(g, F_add, counter, back);
        inside = expr_fn2(g, F_lt, from, length);
        first = expr_fn2(g, F_sub, from, length);
    } else {
        from = expr_fn2(g, F_sub, counter, back);
        inside = expr_fn2(g, F_ge, counter, back);
        first = expr_fn2(g, F_sub, k, counter);
    }
    ExprId at[MAX_RANK + 1] = {0};
    memcpy(at, subs, n * sizeof *subs);
    if (lead) at[0] = depth == 1 ? k : first;
    ExprId before = expr_read(g, p.init, at, n);
    return expr_select(g, inside, dist_value_at(d, p.source, subs + lead, n - lead, from), before);
}

ExprId dist_value_at(Dist *d, Value v, const ExprId *subs, uint32_t n, ExprId counter) {
    Place p = dist_place(d, v);
    ExprId at[MAX_RANK + 1] = {0};
    switch ((PlaceKind)p.kind) {
    case PL_SHIFT: return value_shifted(d, p, subs, n, counter);
    case PL_AXIS:
        for (uint32_t k = 0, j = 0; k <= n; k++) at[k] = k == p.axis ? counter : subs[j++];
        return expr_read(d->g, p.value, at, n + 1);
    default: return expr_read(d->g, p.value, subs, n);
    }
}

static ExprId rewrite(Edit *ed, ExprId e, const ExprId *args) {
    Dist *d = ed->user;
    const Expr x = *graph_expr(d->g, e);
    switch ((ExprOp)x.op) {
    case X_IDX: return d->at >= 0 && x.i >= d->at ? expr_idx(d->g, (uint32_t)x.i + 1) : 0;
    case X_LVL:
    case X_POS:
        if (x.i == d->level) return d->counter;
        if (x.i < d->level || !d->lower) return 0;
        return x.op == X_LVL ? expr_lvl(d->g, (uint32_t)x.i - 1)
                             : expr_pos(d->g, (uint32_t)x.i - 1);
    case X_READ: return dist_value_at(d, x.value, args, x.n_args, d->counter);
    default: return 0;
    }
}

ExprId dist_expr(Dist *d, ExprId e, ExprId counter, int at, bool lower) {
    d->counter = counter;
    d->at = at;
    d->lower = lower;
    d->edit.fn = rewrite;
    d->edit.user = d;
    edit_fresh(&d->edit);
    return edit_expr(&d->edit, e);
}

/* ---- copies in another form ------------------------------------------------------------------ */

/* out[...] = v at each step along `axis`, or at the present step. */
static NodeId copy_to(Dist *d, Value v, Value out, int axis, uint32_t level) {
    ExprId subs[MAX_RANK + 1];
    uint32_t n = 0;
    for (uint32_t k = 0; k < graph_value(d->g, out)->rank; k++)
        if ((int)k != axis) subs[n++] = expr_idx(d->g, k);
    ExprId counter = axis < 0 ? expr_lvl(d->g, d->level) : expr_idx(d->g, (uint32_t)axis);
    return eq_for(d->g, out, RED_NONE, NULL, 0, dist_value_at(d, v, subs, n, counter), level,
                  graph_value(d->g, out)->loc);
}

Value dist_form(Dist *d, Value v, int axis, Block *b, uint32_t level) {
    Place p = dist_place(d, v);
    if ((p.kind == PL_AXIS && p.axis == axis) || (p.kind == PL_SELF && axis < 0)) return p.value;
    ValueInfo i = *graph_value(d->g, p.kind == PL_SHIFT ? v : p.value);
    Size dims[MAX_RANK + 1];
    uint32_t n = 0;
    for (uint32_t k = 0; k < i.rank; k++)
        if (p.kind != PL_AXIS || k != p.axis) dims[n++] = i.dims[k];
    if (axis >= 0) {
        memmove(dims + axis + 1, dims + axis, (n - (uint32_t)axis) * sizeof *dims);
        dims[axis] = d->r->length;
        n++;
    }
    Value out = value_new(d->g, (Type)i.type, (Store)i.store, dims, n, i.name, i.loc);
    *PUSH(d->g->arena, &b->nodes) = copy_to(d, v, out, axis, level);
    return out;
}

/* ---- nodes that leave ------------------------------------------------------------------------ */

static uint32_t usual_axis(const Dist *d, uint32_t rank) { return d->axis < rank ? d->axis : rank; }

static void insert_axis(Dist *d, Value v, uint32_t at) {
    ValueInfo *i = graph_value(d->g, v);
    memmove(i->dims + at + 1, i->dims + at, (i->rank - at) * sizeof *i->dims);
    i->dims[at] = d->r->length;
    i->rank++;
    d->place[v] = (Place){.kind = PL_AXIS, .axis = (uint8_t)at, .value = v};
}

static bool is_varying(Graph *g, ExprId e, void *user) {
    const Dist *d = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_LVL || x->op == X_POS) return x->i == d->level;
    return x->op == X_READ && dist_place(d, x->value).kind != PL_SELF;
}

typedef struct Varying {
    const Dist *d;
    bool found;
} Varying;

static void varying_use(Value v, void *user) {
    Varying *x = user;
    if (dist_place(x->d, v).kind != PL_SELF) x->found = true;
}

static bool node_varies(Dist *d, NodeId id) {
    Varying x = {d, false};
    walk_uses(&d->walk, id, varying_use, &x);
    return x.found || walk_node_any(&d->walk, id, is_varying, d);
}

static RecurOut *first_out(Dist *d, Value v) {
    for (uint32_t o = 0; o < d->body->outs.n; o++)
        if (d->body->outs.data[o].body == v && !d->out_done[o]) {
            d->out_done[o] = true;
            return &d->body->outs.data[o];
        }
    return NULL;
}

static void hoist_eq(Dist *d, NodeId id, bool inner) {
    Node n = *graph_node(d->g, id);
    if (!node_varies(d, id)) {
        n.expr = dist_expr(d, n.expr, 0, -1, true);
    } else {
        RecurOut *o = inner ? NULL : first_out(d, n.out);
        uint32_t at = o ? o->axis : usual_axis(d, graph_value(d->g, n.out)->rank);
        n.expr = dist_expr(d, n.expr, expr_idx(d->g, at), (int)at, true);
        if (o) {
            ValueInfo *r = graph_value(d->g, o->result);
            r->node = id;
            r->name = r->name ? r->name : graph_value(d->g, n.out)->name;
            d->place[n.out] = (Place){.kind = PL_AXIS, .axis = (uint8_t)at, .value = o->result};
            n.out = o->result;
        } else {
            insert_axis(d, n.out, at);
        }
    }
    n.level--;
    *graph_node(d->g, id) = n;
}

/* The new axis is the outermost of the iteration, so what meets in one place keeps its order. */
static void hoist_scatter(Dist *d, NodeId id) {
    Node n = *graph_node(d->g, id);
    uint32_t rank = graph_value(d->g, n.out)->rank, at = usual_axis(d, rank);
    bool varies = node_varies(d, id);
    ExprId counter = varies ? expr_idx(d->g, 0) : 0;
    n.expr = dist_expr(d, n.expr, counter, varies ? 0 : -1, true);
    for (uint32_t k = 0; k < rank; k++)
        n.subs[k] = dist_expr(d, n.subs[k], counter, varies ? 0 : -1, true);
    if (varies) {
        memmove(n.subs + at + 1, n.subs + at, (rank - at) * sizeof *n.subs);
        n.subs[at] = counter;
        memmove(n.extra + 1, n.extra, n.n_extra * sizeof *n.extra);
        n.extra[0] = d->r->length;
        n.n_extra++;
        insert_axis(d, n.out, at);
    }
    n.level--;
    *graph_node(d->g, id) = n;
}

static void hoist_node(Dist *d, NodeId id, Block *to, bool inner);

static void hoist_out(Dist *d, RecurOut *o, Block *b, uint32_t level) {
    Place p = dist_place(d, o->body);
    if (p.kind == PL_SHIFT) {
        uint32_t at = usual_axis(d, graph_value(d->g, o->body)->rank);
        o->body = dist_form(d, o->body, (int)at, b, level);
        p = (Place){.kind = PL_AXIS, .axis = (uint8_t)at};
    } else {
        o->body = p.value;
    }
    if (p.kind == PL_SELF) return;
    uint32_t at = p.axis;
    if (at <= o->axis)
        o->axis++;
    else
        at++;
    insert_axis(d, o->result, at);
}

static void hoist_class(Dist *d, Recur *r, RecurClass *c, bool varies) {
    for (uint32_t k = 0; k < r->carry.n; k++) {
        graph_node(d->g, graph_value(d->g, c->args[k])->node)->level--;
        if (varies) insert_axis(d, c->args[k], usual_axis(d, graph_value(d->g, c->args[k])->rank));
    }
    Block old = c->body;
    memset(&c->body, 0, sizeof c->body);
    for (uint32_t i = 0; i < old.nodes.n; i++) hoist_node(d, old.nodes.data[i], &c->body, true);
    for (uint32_t k = 0; k < r->carry.n; k++) {
        int at = varies ? dist_place(d, c->args[k]).axis : -1;
        c->next[k] = varies ? dist_form(d, c->next[k], at, &c->body, r->level + 1u)
                            : dist_place(d, c->next[k]).value;
    }
    for (uint32_t o = 0; o < c->outs.n; o++)
        hoist_out(d, &c->outs.data[o], &c->body, r->level + 1u);
}

static void hoist_recur(Dist *d, NodeId id, Block *to) {
    Recur *r = graph_node(d->g, id)->recur;
    bool varies = node_varies(d, id);
    graph_node(d->g, id)->level--;
    r->level--;
    for (uint32_t k = 0; k < r->carry.n; k++) {
        Carry *c = &r->carry.data[k];
        uint32_t at = usual_axis(d, graph_value(d->g, c->final)->rank);
        c->init =
            varies ? dist_form(d, c->init, (int)at, to, r->level) : dist_place(d, c->init).value;
        if (varies) insert_axis(d, c->final, at);
    }
    for (uint32_t c = 0; c < r->classes.n; c++) hoist_class(d, r, &r->classes.data[c], varies);
}

static void hoist_node(Dist *d, NodeId id, Block *to, bool inner) {
    switch ((NodeKind)graph_node(d->g, id)->kind) {
    case N_EQ: hoist_eq(d, id, inner); break;
    case N_SCATTER: hoist_scatter(d, id); break;
    case N_RECUR: hoist_recur(d, id, to); break;
    default: break;
    }
    *PUSH(d->g->arena, &to->nodes) = id;
}

void dist_hoist(Dist *d, NodeId id) { hoist_node(d, id, d->out, false); }

void dist_outs(Dist *d) {
    for (uint32_t o = 0; o < d->body->outs.n; o++) {
        RecurOut out = d->body->outs.data[o];
        if (!d->out_done[o])
            *PUSH(d->g->arena, &d->out->nodes) =
                copy_to(d, out.body, out.result, out.axis, d->level);
    }
}

/* ---- delays and carried values off any cycle ------------------------------------------------- */

static void final_of_carry(Dist *d, const Carry *c, Value next) {
    ExprId subs[MAX_RANK];
    uint32_t n = graph_value(d->g, c->final)->rank;
    for (uint32_t k = 0; k < n; k++) subs[k] = expr_idx(d->g, k);
    ExprId last =
        d->r->reverse ? expr_int(d->g, 0) : int_add(d->g, expr_size(d->g, d->r->length), -1);
    ExprId e = dist_value_at(d, next, subs, n, last);
    *PUSH(d->g->arena, &d->out->nodes) =
        eq_for(d->g, c->final, RED_NONE, NULL, 0, e, d->level, d->loc);
}

/* final[k] = source k steps before the last, or from init when the run was shorter */
static void final_of_delay(Dist *d, const Node *delay) {
    Graph *g = d->g;
    ExprId subs[MAX_RANK];
    uint32_t n = graph_value(g, delay->final)->rank;
    for (uint32_t k = 0; k < n; k++) subs[k] = expr_idx(g, k);
    ExprId k = subs[0], length = expr_size(g, d->r->length), one = expr_int(g, 1);
    bool single = graph_value(g, delay->final)->dims[0] == size_num(g->sizes, 1);
    if (single) k = expr_int(g, 0);
    ExprId at = d->r->reverse ? k : expr_fn2(g, F_sub, expr_fn2(g, F_sub, length, one), k);
    ExprId e = dist_value_at(d, delay->source, subs + 1, n - 1, at);
    if (!single) {
        subs[0] = expr_fn2(g, F_sub, k, length);
        e = expr_select(g, expr_fn2(g, F_lt, k, length), e, expr_read(g, delay->init, subs, n));
    }
    *PUSH(g->arena, &d->out->nodes) =
        eq_for(g, delay->final, RED_NONE, NULL, 0, e, d->level, delay->loc);
}

void dist_shift(Dist *d, uint32_t x) {
    if (x < d->n_nodes) {
        const Node n = *graph_node(d->g, d->nodes[x]);
        d->place[n.out] = (Place){.kind = PL_SHIFT, .source = n.source, .init = n.init};
        if (n.final) final_of_delay(d, &n);
        return;
    }
    uint32_t k = x - d->n_nodes;
    const Carry c = d->r->carry.data[k];
    Value arg = d->body->args[k], next = d->body->next[k];
    if (next == arg)
        d->place[arg] = (Place){.kind = PL_SELF, .value = c.init};
    else
        d->place[arg] = (Place){.kind = PL_SHIFT, .carried = true, .source = next, .init = c.init};
    final_of_carry(d, &c, next);
}
