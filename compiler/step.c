/* One step: the same program at the last position of a streaming axis.
 *
 * requires: graph_streams(g, axis), before graph_distribute.
 * maintains: outputs are those of the last position; the axis is gone from every shape. Inputs
 *   nothing depends on any more are dropped from the table.
 * cost: linear.
 *
 * Every value loses its streaming axis and recurrences over it are run once, in the block around. A
 * position used as a number is decided where it is compared, by the facts that lengths are >= 1 and
 * that it is the last; where it stays, it is the state "position" (position.c). */
#include "stream.h"

#include <string.h>

typedef struct Step {
    Graph *g;
    const char *axis;
    Arena *scratch;
    Edit edit, decide;
    uint32_t n_values;
    int8_t *at;                /* by value: the axis it loses, -1 none */
    Size *length;              /* by value: of that axis */
    Value *to;                 /* by value: what stands for it, 0 itself */
    bool gone[MAX_LEVELS + 1]; /* by level: its recurrence is run once in the block around */
    Size level_len[MAX_LEVELS + 1];
    /* the equation at work */
    int own;
    Size own_len;
    Ranges ranges;
} Step;

static Value now(const Step *s, Value v) {
    while (v < s->n_values && s->to[v]) v = s->to[v];
    return v;
}

static uint32_t gone_below(const Step *s, uint32_t level) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < level; k++) n += s->gone[k];
    return n;
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* The index of the last position is the length less 1: for deciding comparisons. */
static ExprId last_as_size(Edit *ed, ExprId e, const ExprId *args) {
    const Step *s = ed->user;
    Graph *g = ed->g;
    const Expr x = *graph_expr(g, e);
    (void)args;
    Size length = 0;
    if (x.op == X_IDX && s->own >= 0 && x.i == s->own) length = s->own_len;
    if ((x.op == X_LVL || x.op == X_POS) && s->gone[x.i]) length = s->level_len[x.i];
    return length ? int_add(g, expr_size(g, length), -1) : 0;
}

/* The same index counted on the whole sequence: T - 1 is how many positions there were before. */
static ExprId last_as_number(Step *s, Size length) {
    Size rest = size_num(s->g->sizes, 0);
    stream_size(s->g, length, s->axis, &rest);
    return expr_fn2(s->g, F_add, position_mark(s->g), expr_size(s->g, rest));
}

/* The truth of e at the last position, -1 if it is open. */
static int decided(Step *s, ExprId e) {
    edit_fresh(&s->decide);
    ExprId c = expr_simplify_int(s->g, edit_expr(&s->decide, e), &s->ranges);
    const Expr *x = graph_expr(s->g, c);
    return x->op == X_INT ? x->i != 0 : -1;
}

static ExprId read_now(Step *s, ExprId e, const ExprId *args) {
    const Expr x = *graph_expr(s->g, e);
    int at = x.value < s->n_values ? s->at[x.value] : -1;
    ExprId subs[MAX_RANK];
    uint32_t n = 0;
    for (int k = 0; k < x.n_args; k++)
        if (k != at) subs[n++] = args[k];
    return expr_read(s->g, now(s, x.value), subs, n);
}

static ExprId at_last(Edit *ed, ExprId e, const ExprId *args) {
    Step *s = ed->user;
    Graph *g = ed->g;
    const Expr x = *graph_expr(g, e);
    switch ((ExprOp)x.op) {
    case X_IDX:
        if (s->own < 0 || x.i < s->own) return 0;
        return x.i == s->own ? last_as_number(s, s->own_len) : expr_idx(g, (uint32_t)x.i - 1);
    case X_LVL:
    case X_POS: {
        uint32_t level = (uint32_t)x.i;
        if (s->gone[level]) return last_as_number(s, s->level_len[level]);
        level -= gone_below(s, level);
        return x.op == X_LVL ? expr_lvl(g, level) : expr_pos(g, level);
    }
    case X_READ: return read_now(s, e, args);
    case X_SELECT: {
        int yes = decided(s, expr_arg(g, e, 0));
        return yes < 0 ? 0 : expr_select(g, expr_int(g, yes), args[1], args[2]);
    }
    case X_FN: {
        int yes = x.fn >= F_eq && x.fn <= F_ge ? decided(s, e) : -1;
        return yes < 0 ? 0 : expr_int(g, yes);
    }
    default: return 0;
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void step_eq(Step *s, NodeId id) {
    Graph *g = s->g;
    Node n = *graph_node(g, id);
    Size sizes[2 * MAX_RANK + 1], dims[MAX_RANK + 1];
    const ValueInfo v = *graph_value(g, n.out);
    uint32_t rank = 0;
    s->own = s->at[n.out];
    s->own_len = s->length[n.out];
    for (uint32_t k = 0, j = 0; j < v.rank || (int)k == s->own; k++)
        dims[rank++] = (int)k == s->own ? s->own_len : v.dims[j++];
    uint32_t n_idx = 0;
    if (n.kind == N_EQ) {
        memcpy(sizes, dims, rank * sizeof *dims);
        n_idx = rank;
    }
    memcpy(sizes + n_idx, n.extra, n.n_extra * sizeof *sizes);
    s->ranges = (Ranges){sizes, n_idx + n.n_extra, s->level_len, n.level};
    edit_fresh(&s->edit);
    n.expr = edit_expr(&s->edit, n.expr);
    for (uint32_t k = 0; n.kind == N_SCATTER && k < v.rank; k++)
        n.subs[k] = edit_expr(&s->edit, n.subs[k]);
    n.level = (uint8_t)(n.level - gone_below(s, n.level));
    *graph_node(g, id) = n;
}

static void step_block(Step *s, const Block *b, Block *to);

/* final[k] = the source for k = 0, else what the line held one place nearer */
static void step_delay_final(Step *s, const Node *n, Block *to) {
    Graph *g = s->g;
    const ValueInfo v = *graph_value(g, n->final);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < v.rank; k++) subs[k] = expr_idx(g, k);
    ExprId e = expr_read(g, now(s, n->source), subs + 1, v.rank - 1u);
    if (v.dims[0] != size_num(g->sizes, 1)) {
        ExprId newest = expr_fn2(g, F_eq, subs[0], expr_int(g, 0));
        subs[0] = int_add(g, subs[0], -1);
        e = expr_select(g, newest, e, expr_read(g, now(s, n->init), subs, v.rank));
    }
    uint32_t level = n->level - 1u;
    level -= gone_below(s, level);
    *PUSH(g->arena, &to->nodes) = eq_for(g, n->final, RED_NONE, NULL, 0, e, level, n->loc);
}

static void step_once(Step *s, Recur *r, Block *to) {
    Graph *g = s->g;
    RecurClass *c = &r->classes.data[0];
    s->gone[r->level] = true;
    for (uint32_t k = 0; k < r->carry.n; k++) s->to[c->args[k]] = now(s, r->carry.data[k].init);
    for (uint32_t i = 0; i < c->body.nodes.n; i++) {
        const Node *n = graph_node(g, c->body.nodes.data[i]);
        if (n->kind == N_DELAY) s->to[n->out] = now(s, n->init);
    }
    step_block(s, &c->body, to);
    for (uint32_t k = 0; k < r->carry.n; k++) s->to[r->carry.data[k].final] = now(s, c->next[k]);
    for (uint32_t i = 0; i < c->body.nodes.n; i++) {
        const Node n = *graph_node(g, c->body.nodes.data[i]);
        if (n.kind == N_DELAY && n.final) step_delay_final(s, &n, to);
    }
    for (uint32_t o = 0; o < c->outs.n; o++)
        s->to[c->outs.data[o].result] = now(s, c->outs.data[o].body);
    s->gone[r->level] = false;
}

static void step_loop(Step *s, NodeId id) {
    Graph *g = s->g;
    Recur *r = graph_node(g, id)->recur;
    uint32_t below = gone_below(s, r->level);
    for (uint32_t k = 0; k < r->carry.n; k++) r->carry.data[k].init = now(s, r->carry.data[k].init);
    for (uint32_t i = 0; i < r->classes.n; i++) {
        RecurClass *c = &r->classes.data[i];
        Block old = c->body;
        memset(&c->body, 0, sizeof c->body);
        for (uint32_t k = 0; k < r->carry.n; k++) {
            Node *n = graph_node(g, graph_value(g, c->args[k])->node);
            n->level = (uint8_t)(n->level - below);
        }
        step_block(s, &old, &c->body);
        for (uint32_t k = 0; k < r->carry.n; k++) c->next[k] = now(s, c->next[k]);
        for (uint32_t k = 0; k < old.nodes.n; k++) {
            Node *n = graph_node(g, old.nodes.data[k]);
            if (n->kind == N_DELAY) n->source = now(s, n->source);
        }
        for (uint32_t o = 0; o < c->outs.n; o++) {
            RecurOut *out = &c->outs.data[o];
            if (s->at[out->result] >= 0 && s->at[out->result] < out->axis) out->axis--;
            out->body = now(s, out->body);
        }
    }
    r->level = (uint8_t)(r->level - below);
    graph_node(g, id)->level = r->level;
}

static void step_block(Step *s, const Block *b, Block *to) {
    Graph *g = s->g;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        Node *n = graph_node(g, id);
        Size rest;
        if (n->kind == N_RECUR) {
            Recur *r = n->recur;
            s->level_len[r->level] = r->length;
            if (!r->layers && stream_size(g, r->length, s->axis, &rest)) {
                step_once(s, r, to);
                continue;
            }
            step_loop(s, id);
        } else if (n->kind == N_DELAY) {
            if (s->gone[n->level - 1]) continue;
            n->init = now(s, n->init);
            n->level = (uint8_t)(n->level - gone_below(s, n->level));
        } else if (n->kind == N_EQ || n->kind == N_SCATTER) {
            step_eq(s, id);
        }
        *PUSH(g->arena, &to->nodes) = id;
    }
}

/* ---- the graph ------------------------------------------------------------------------------- */

static void drop_axes(Step *s) {
    Graph *g = s->g;
    for (Value v = 1; v < s->n_values; v++) {
        ValueInfo *i = graph_value(g, v);
        int at = stream_axis(g, v, s->axis);
        s->at[v] = -1;
        if (at < 0) continue;
        s->at[v] = (int8_t)at;
        s->length[v] = i->dims[at];
        memmove(i->dims + at, i->dims + at + 1, (i->rank - (uint32_t)at - 1) * sizeof *i->dims);
        i->dims[--i->rank] = 0;
    }
}

Graph *graph_step(Graph *g, const char *axis) {
    g = graph_clone(g, "step");
    Arena *scratch = arena_new();
    Step s = {.g = g, .axis = axis, .scratch = scratch, .n_values = g->values.n, .own = -1};
    s.edit = edit_new(g, scratch, at_last, &s);
    s.decide = edit_new(g, scratch, last_as_size, &s);
    s.at = NEWN(scratch, int8_t, s.n_values);
    s.length = NEWN(scratch, Size, s.n_values);
    s.to = NEWN(scratch, Value, s.n_values);
    s.edit.user = s.decide.user = &s;
    drop_axes(&s);
    Block old = g->top;
    memset(&g->top, 0, sizeof g->top);
    step_block(&s, &old, &g->top);
    for (uint32_t i = 0; i < g->outputs.n; i++)
        g->outputs.data[i].value = now(&s, g->outputs.data[i].value);
    for (uint32_t i = 0; i < g->states.n; i++)
        g->states.data[i].start = now(&s, g->states.data[i].start);
    position_resolve(g, expr_int(g, 1), false);
    g = graph_clone(g, "step");
    arena_free(scratch);
    graph_drop_inputs(g);
    return g;
}
