/* May an entry be run step by step along an axis?
 *
 * requires: a graph that graph_verify accepts, before graph_distribute.
 * cost: linear.
 *
 * Yes when every equation whose result has the axis reads whatever has the axis at its own
 * position, counted from the end; when recurrences over it run forward and read it at the
 * present step; and when nothing without the axis reads across it. What a recurrence leaves at
 * its end may feed states only. The position as a number is fine, the length of the axis is not. */
#include "stream.h"

#include <string.h>

typedef struct Stream {
    Graph *g;
    const char *axis;
    StreamError *why;
    Walk walk;
    bool *after;                /* by value: known only at the end of the sequence */
    bool along[MAX_LEVELS + 1]; /* by level: a recurrence over the axis */
    Size length[MAX_LEVELS + 1];
    /* the equation at work */
    Value out;
    int own; /* its streaming axis */
    uint32_t level;
    Loc loc;
    Size used; /* a length of the axis used as a number */
} Stream;

bool stream_size(Graph *g, Size s, const char *axis, Size *rest) {
    Size coef;
    int64_t one;
    return size_has_axis(g->sizes, s, axis) && size_linear_in(g->sizes, s, axis, &coef, rest) &&
           size_is_num(g->sizes, coef, &one) && one == 1;
}

int stream_axis(Graph *g, Value v, const char *axis) {
    const ValueInfo *i = graph_value(g, v);
    int found = STREAM_NONE;
    Size rest;
    for (int k = 0; k < i->rank; k++) {
        if (!size_has_axis(g->sizes, i->dims[k], axis)) continue;
        if (found != STREAM_NONE || !stream_size(g, i->dims[k], axis, &rest)) return STREAM_BAD;
        found = k;
    }
    return found;
}

/* ---- messages -------------------------------------------------------------------------------- */

static const char *called(Stream *s, Value v) {
    const char *name = graph_value(s->g, v)->name;
    return name ? arena_printf(s->g->arena, "'%s'", name) : "a value";
}

static void refuse(Stream *s, Value v, Loc loc, const char *text) {
    if (s->why->text) return;
    *s->why = (StreamError){.loc = loc, .value = v, .text = text};
}

static void refuse_offset(Stream *s, Value u, ExprId off) {
    Graph *g = s->g;
    const Expr *x = graph_expr(g, off);
    const char *a = called(s, s->out), *b = called(s, u), *t = s->axis;
    if (x->op == X_INT && x->i > 0)
        refuse(s, s->out, s->loc,
               arena_printf(g->arena, "%s reads %s %lld step%s ahead of its own position along %s",
                            a, b, (long long)x->i, x->i == 1 ? "" : "s", t));
    else if (x->op == X_INT)
        refuse(
            s, s->out, s->loc,
            arena_printf(
                g->arena,
                "%s reads %s %lld step%s behind its own position along %s; in a cell, prev does that",
                a, b, (long long)-x->i, x->i == -1 ? "" : "s", t));
    else
        refuse(s, s->out, s->loc,
               arena_printf(g->arena, "%s reads %s at another position along %s than its own", a, b,
                            t));
}

/* ---- equations ------------------------------------------------------------------------------- */

static int stream_level(const Stream *s) {
    for (uint32_t k = 0; k < s->level; k++)
        if (s->along[k]) return (int)k;
    return -1;
}

static void check_position(Stream *s, Value u, ExprId sub, int at) {
    Graph *g = s->g;
    Size have = graph_value(g, u)->dims[at];
    int level = stream_level(s);
    ExprId here;
    Size size;
    if (s->own >= 0) {
        here = expr_idx(g, (uint32_t)s->own);
        size = graph_value(g, s->out)->dims[s->own];
    } else if (level >= 0) {
        here = expr_lvl(g, (uint32_t)level);
        size = s->length[level];
    } else {
        refuse(s, s->out, s->loc,
               arena_printf(g->arena, "%s has no axis %s but reads %s across it", called(s, s->out),
                            s->axis, called(s, u)));
        return;
    }
    ExprId off = int_sub(g, int_sub(g, sub, here), expr_size(g, size_sub(g->sizes, have, size)));
    if (!is_int_literal(g, off, 0)) refuse_offset(s, u, off);
}

static void check_expr(Walk *w, ExprId e, void *user) {
    Stream *s = user;
    Graph *g = w->g;
    const Expr x = *graph_expr(g, e);
    if (x.op == X_SIZE && size_has_axis(g->sizes, x.size, s->axis)) s->used = x.size;
    if (x.op != X_READ) return;
    int at = stream_axis(g, x.value, s->axis);
    if (at >= 0) check_position(s, x.value, expr_arg(g, e, (uint32_t)at), at);
    if (!s->after[x.value]) return;
    s->after[s->out] = true;
    if (s->own >= 0 || stream_level(s) >= 0)
        refuse(s, s->out, s->loc,
               arena_printf(g->arena, "%s reads %s, which is known only at the end of %s",
                            called(s, s->out), called(s, x.value), s->axis));
}

static void check_value(Stream *s, Value v, Loc loc) {
    int at = stream_axis(s->g, v, s->axis);
    if (at == STREAM_BAD)
        refuse(s, v, loc,
               arena_printf(s->g->arena, "%s has more of %s in its shape than one position a step",
                            called(s, v), s->axis));
    else if (at >= 0 && stream_level(s) >= 0)
        refuse(s, v, loc,
               arena_printf(s->g->arena, "%s has the axis %s inside a cell that runs along it",
                            called(s, v), s->axis));
}

static void check_eq(Stream *s, const Node *n) {
    Graph *g = s->g;
    s->out = n->out;
    s->own = stream_axis(g, n->out, s->axis);
    s->loc = n->loc;
    s->used = 0;
    check_value(s, n->out, n->loc);
    for (uint32_t k = 0; k < n->n_extra; k++)
        if (size_has_axis(g->sizes, n->extra[k], s->axis))
            refuse(s, n->out, n->loc,
                   arena_printf(g->arena, "%s needs all positions of %s (%s over it)",
                                called(s, n->out), s->axis,
                                n->kind == N_EQ ? red_name[n->red] : "sums"));
    walk_expr(&s->walk, n->expr, check_expr, s);
    for (uint32_t k = 0; n->kind == N_SCATTER && k < graph_value(g, n->out)->rank; k++)
        walk_expr(&s->walk, n->subs[k], check_expr, s);
    if (s->used) /* after what is said of reads, which often is why */
        refuse(s, n->out, n->loc,
               arena_printf(g->arena, "%s depends on the length %s of the whole sequence",
                            called(s, n->out), size_str(g->sizes, s->used)));
    if (n->kind == N_SCATTER && s->own >= 0)
        refuse(s, n->out, n->loc,
               arena_printf(g->arena, "%s adds up at computed positions of %s", called(s, n->out),
                            s->axis));
}

/* ---- recurrences ----------------------------------------------------------------------------- */

static void check_block(Stream *s, const Block *b, uint32_t level);

static bool runs_along(Stream *s, const Node *n) {
    const Recur *r = n->recur;
    Size rest;
    if (r->layers || !size_has_axis(s->g->sizes, r->length, s->axis)) return false;
    const char *what =
        r->reverse ? "a cell runs in reverse along %s: its first step needs the last position"
                   : "a cell runs along %s, which is more than one step for each position";
    if (r->reverse || !stream_size(s->g, r->length, s->axis, &rest))
        refuse(s, 0, n->loc, arena_printf(s->g->arena, what, size_str(s->g->sizes, r->length)));
    return true;
}

static void check_class(Stream *s, const Recur *r, const RecurClass *c, bool along) {
    for (int round = 0; round < 2; round++) { /* twice: what is carried comes round */
        for (uint32_t k = 0; k < r->carry.n; k++) {
            s->after[c->args[k]] |=
                !along && (s->after[r->carry.data[k].init] || s->after[c->next[k]]);
            check_value(s, c->args[k], graph_value(s->g, c->args[k])->loc);
        }
        check_block(s, &c->body, r->level + 1u);
    }
    for (uint32_t k = 0; k < r->carry.n; k++)
        s->after[r->carry.data[k].final] |= along || s->after[c->next[k]];
    for (uint32_t o = 0; o < c->outs.n; o++) {
        const RecurOut out = c->outs.data[o];
        s->after[out.result] |= s->after[out.body];
        s->level = r->level;
        check_value(s, out.result, graph_value(s->g, out.result)->loc);
    }
}

static void check_recur(Stream *s, const Node *n) {
    const Recur *r = n->recur;
    bool along = runs_along(s, n);
    s->along[r->level] = along;
    s->length[r->level] = r->length;
    for (uint32_t k = 0; along && k < r->carry.n; k++)
        if (s->after[r->carry.data[k].init])
            refuse(s, r->carry.data[k].init, n->loc,
                   arena_printf(s->g->arena,
                                "a cell along %s starts from what is known only at the end of it",
                                s->axis));
    for (uint32_t c = 0; c < r->classes.n; c++) check_class(s, r, &r->classes.data[c], along);
    s->along[r->level] = false;
}

static void check_block(Stream *s, const Block *b, uint32_t level) {
    for (uint32_t i = 0; i < b->nodes.n && !s->why->text; i++) {
        const Node n = *graph_node(s->g, b->nodes.data[i]);
        s->level = level;
        switch ((NodeKind)n.kind) {
        case N_EQ:
        case N_SCATTER: check_eq(s, &n); break;
        case N_DELAY:
            if (n.final) s->after[n.final] = s->level > 0 && s->along[s->level - 1];
            break;
        case N_RECUR: check_recur(s, &n); break;
        default: check_value(s, n.out, n.loc); break;
        }
    }
}

bool graph_streams(Graph *g, const char *axis, StreamError *why) {
    Arena *scratch = arena_new();
    memset(why, 0, sizeof *why);
    Stream s = {.g = g, .axis = axis, .why = why, .walk = walk_new(g, scratch)};
    s.after = NEWN(scratch, bool, g->values.n);
    check_block(&s, &g->top, 0);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        if (o->kind == OUT_STATE && stream_axis(g, o->value, axis) != STREAM_NONE)
            refuse(&s, o->value, graph_value(g, o->value)->loc,
                   arena_printf(g->arena, "the state %s holds all positions of %s",
                                called(&s, o->value), axis));
    }
    arena_free(scratch);
    return !why->text;
}
