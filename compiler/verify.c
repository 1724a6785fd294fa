/* Checks every rule of graph.h that needs no numbers of axes.
 *
 * Requires: a graph made by the builders, whatever was changed in it since; sizes of its own table.
 * Maintains: the graph. Cost: linear in nodes, members, and the expressions as nodes read them. */
#include "expr.h"
#include "text.h"

#include <string.h>

typedef struct Verify {
    Graph *g;
    Arena *scratch;
    const char *error;
    Value about;         /* the value being checked, for the message */
    bool *node_seen;     /* by NodeId */
    bool *defined;       /* by Value: some node has defined it */
    bool *visible;       /* by Value: may be read here */
    uint8_t *level;      /* by Value: recurrences around its definition */
    uint32_t *body;      /* by Value: number of the body that defines it, 0 = top */
    bool *expr_seen;     /* by ExprId: what needs no surroundings holds */
    VEC(uint8_t) ground; /* by Size */
    VEC(Value) scope;    /* visible values of the bodies around, innermost last */
    VEC(Value) later;    /* final values and results that wait for the end of their recurrence */
    uint32_t bodies;
    /* surroundings of the expression being checked */
    uint32_t n_idx, n_level;
    bool reads; /* reads and random numbers may occur */
} Verify;

static bool fail(Verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool fail(Verify *v, const char *fmt, ...) {
    if (v->error) return false;
    Text t = text_new(v->g->arena);
    if (v->about) {
        const char *name = graph_value(v->g, v->about)->name;
        const Loc loc = graph_value(v->g, v->about)->loc;
        if (loc.line && !loc.file)
            text_printf(&t, "line %u: ", loc.line); /* of the graph's own text */
        text_printf(&t, "in %%%u", graph_numbers(v->g, v->scratch)[v->about]);
        if (name) {
            text_add(&t, " ");
            text_quoted(&t, name);
        }
        text_add(&t, ": ");
    }
    va_list ap;
    va_start(ap, fmt);
    text_vprintf(&t, fmt, ap);
    va_end(ap);
    v->error = t.data;
    return false;
}

/* ---- sizes and values ---------------------------------------------------------------------- */

static bool size_ok(Verify *v, Size s) {
    int64_t n;
    if (!s) return fail(v, "a size is missing");
    while (v->ground.n <= s) *PUSH(v->scratch, &v->ground) = 0;
    if (!v->ground.data[s]) {
        if (size_ground(v->g->sizes, s) != s)
            return fail(v, "the size %s has constants without numbers", size_str(v->g->sizes, s));
        if (size_is_num(v->g->sizes, s, &n) && n < 0) return fail(v, "the size %lld", (long long)n);
        v->ground.data[s] = 1;
    }
    return true;
}

static bool dims_ok(Verify *v, const Size *dims, uint32_t n) {
    if (n > MAX_RANK) return fail(v, "%u axes", n);
    for (uint32_t i = 0; i < n; i++)
        if (!size_ok(v, dims[i])) return false;
    return true;
}

static bool can_read(Verify *v, Value x, const char *what) {
    if (x && x < v->g->values.n && v->visible[x]) return true;
    return fail(v, "%s is a value that cannot be seen there", what);
}

/* x and y have equal dims and types. */
static bool alike(Verify *v, Value x, Value y, const char *what) {
    if (!graph_same_dims(v->g, x, y)) return fail(v, "%s: shapes differ", what);
    if (graph_value(v->g, x)->type != graph_value(v->g, y)->type)
        return fail(v, "%s: types differ", what);
    return true;
}

/* Node n defines x; not visible yet. */
static bool define(Verify *v, Value x, NodeId n, uint32_t level) {
    Graph *g = v->g;
    if (!x || x >= g->values.n) return fail(v, "node %u defines no value", n);
    const ValueInfo *i = graph_value(g, x);
    v->about = x;
    if (v->defined[x]) return fail(v, "defined twice");
    v->defined[x] = true;
    v->level[x] = (uint8_t)level;
    if (i->node != n) return fail(v, "its node is not the one that defines it");
    if (i->type > T_INT || i->store >= ST_STORES) return fail(v, "an unknown type");
    return dims_ok(v, i->dims, i->rank);
}

static void show(Verify *v, Value x, uint32_t body) {
    v->visible[x] = true;
    v->body[x] = body;
    *PUSH(v->scratch, &v->scope) = x;
}

/* ---- expressions --------------------------------------------------------------------------- */

static bool args_are_int(Verify *v, ExprId e, const char *what) {
    const Expr x = *graph_expr(v->g, e);
    for (uint32_t k = 0; k < x.n_args; k++)
        if (graph_type(v->g, expr_arg(v->g, e, k)) != T_INT)
            return fail(v, "%s that is no int", what);
    return true;
}

static bool fn_ok(Verify *v, ExprId e) {
    const Expr x = *graph_expr(v->g, e);
    if (x.fn == F_NONE || x.fn >= F_COUNT) return fail(v, "an unknown function");
    if (x.n_args != fn_info[x.fn].arity)
        return fail(v, "%s of %u operands", fn_info[x.fn].name, x.n_args);
    char type = fn_info[x.fn].type;
    bool real = type == 'r';
    for (uint32_t k = 0; k < x.n_args; k++)
        real = real || (type == 's' && graph_type(v->g, expr_arg(v->g, e, k)) == T_REAL);
    if (x.type != (real ? T_REAL : T_INT)) return fail(v, "%s of another type", fn_info[x.fn].name);
    return type != 'z' || args_are_int(v, e, "an operand of // or %");
}

/* Operands come before what is made of them, so that walks come to an end. */
static bool check_operands(Verify *v) {
    Graph *g = v->g;
    for (ExprId e = 1; e < g->exprs.n; e++) {
        const Expr *x = graph_expr(g, e);
        if (x->n_args > MAX_ARGS) return fail(v, "%u operands", x->n_args);
        if (x->n_args > g->args.n || x->args > g->args.n - x->n_args)
            return fail(v, "operands are missing");
        for (uint32_t k = 0; k < x->n_args; k++)
            if (expr_arg(g, e, k) == 0 || expr_arg(g, e, k) >= e)
                return fail(v, "an operand is missing");
    }
    return true;
}

/* What holds or not wherever e stands. */
static bool expr_ok(Verify *v, ExprId e) {
    Graph *g = v->g;
    const Expr x = *graph_expr(g, e);
    if (x.n_args > MAX_ARGS) return fail(v, "%u operands", x.n_args);
    for (uint32_t k = 0; k < x.n_args; k++)
        if (expr_arg(g, e, k) == 0 || expr_arg(g, e, k) >= e)
            return fail(v, "an operand is missing");
    switch ((ExprOp)x.op) {
    case X_NUM: return x.type == T_REAL || fail(v, "a number that is no real");
    case X_INT:
    case X_IDX:
    case X_LVL:
    case X_POS: return x.type == T_INT || fail(v, "a counter that is no int");
    case X_SIZE: return size_ok(v, x.size);
    case X_FN: return fn_ok(v, e);
    case X_READ: return args_are_int(v, e, "a subscript");
    case X_RANDOM:
        if (x.i < 0 || x.i >= g->n_random) return fail(v, "random place %lld", (long long)x.i);
        return args_are_int(v, e, "an operand of random");
    case X_SELECT:
        if (x.n_args != 3) return fail(v, "select of %u operands", x.n_args);
        if (graph_type(g, expr_arg(g, e, 0)) != T_INT) return fail(v, "a condition that is no int");
        if ((graph_type(g, expr_arg(g, e, 1)) == T_INT &&
             graph_type(g, expr_arg(g, e, 2)) == T_INT) != (x.type == T_INT))
            return fail(v, "select of another type");
        return true;
    default: return fail(v, "an unknown kind of expression");
    }
}

static void check_expr(Graph *g, ExprId e, void *user) {
    Verify *v = user;
    if (v->error) return;
    const Expr x = *graph_expr(g, e);
    if (!v->expr_seen[e]) v->expr_seen[e] = expr_ok(v, e);
    if (v->error) return;
    if (x.op == X_IDX && (x.i < 0 || x.i >= v->n_idx))
        fail(v, "i%lld is no index here", (long long)x.i);
    if ((x.op == X_LVL || x.op == X_POS) && (x.i < 0 || x.i >= v->n_level))
        fail(v, "%c%lld is no counter here", x.op == X_LVL ? 'l' : 'p', (long long)x.i);
    if (x.op == X_RANDOM && !v->reads) fail(v, "a random number in a formula");
    if (x.op != X_READ) return;
    if (!v->reads) fail(v, "a value is read in a formula");
    if (!can_read(v, x.value, "what it reads")) return;
    const ValueInfo *i = graph_value(g, x.value);
    if (i->rank != x.n_args) fail(v, "%u subscripts for %u axes", x.n_args, i->rank);
    if (i->type != x.type) fail(v, "a read of another type than the value");
}

static bool check_root(Verify *v, ExprId e, uint32_t n_idx, uint32_t n_level, bool reads) {
    if (!e || e >= v->g->exprs.n) return fail(v, "an expression is missing");
    v->n_idx = n_idx;
    v->n_level = n_level;
    v->reads = reads;
    expr_walk(v->g, e, check_expr, v);
    return !v->error;
}

/* ---- nodes --------------------------------------------------------------------------------- */

static bool check_eq(Verify *v, const Node *n) {
    const ValueInfo *x = graph_value(v->g, n->out);
    if (n->red >= RED_COUNT) return fail(v, "an unknown reduction");
    if (n->red == RED_NONE && n->n_extra) return fail(v, "reduced axes without a reduction");
    if (!dims_ok(v, n->extra, n->n_extra)) return false;
    if (!check_root(v, n->expr, (uint32_t)x->rank + n->n_extra, n->level, true)) return false;
    Type want = n->red == RED_ARGMAX ? T_INT : graph_type(v->g, n->expr);
    return x->type == want || fail(v, "its type is not its expression's");
}

static bool check_scatter(Verify *v, const Node *n) {
    const ValueInfo *x = graph_value(v->g, n->out);
    if (!dims_ok(v, n->extra, n->n_extra)) return false;
    for (uint32_t k = 0; k < x->rank; k++) {
        if (!check_root(v, n->subs[k], n->n_extra, n->level, true)) return false;
        if (graph_type(v->g, n->subs[k]) != T_INT) return fail(v, "a place that is no int");
    }
    if (!check_root(v, n->expr, n->n_extra, n->level, true)) return false;
    return x->type == graph_type(v->g, n->expr) || fail(v, "its type is not its expression's");
}

/* x with the delay's depth in front is like y. */
static bool source_fits(Verify *v, Value x, Value y) {
    const ValueInfo *s = graph_value(v->g, x), *d = graph_value(v->g, y);
    bool same = s->rank + 1 == d->rank && s->type == d->type;
    for (uint32_t k = 0; same && k < s->rank; k++) same = s->dims[k] == d->dims[k + 1];
    return same || fail(v, "the source of a delay has another shape or type");
}

static bool check_delay(Verify *v, const Node *n) {
    int64_t depth;
    const ValueInfo *x = graph_value(v->g, n->out);
    if (n->level == 0) return fail(v, "a delay outside of recurrences");
    if (x->rank == 0 || !size_is_num(v->g->sizes, x->dims[0], &depth) || depth < 1)
        return fail(v, "a delay without a depth");
    if (!can_read(v, n->init, "what a delay starts from")) return false;
    if (v->level[n->init] >= n->level)
        return fail(v, "a delay starts from a value of its recurrence");
    if (!alike(v, n->init, n->out, "what a delay starts from")) return false;
    if (!n->final) return true;
    NodeId id = x->node;
    if (!define(v, n->final, id, n->level - 1u) ||
        !alike(v, n->final, n->out, "the final value of a delay"))
        return false;
    *PUSH(v->scratch, &v->later) = n->final;
    return true;
}

static bool check_block(Verify *v, const Block *b, uint32_t level, uint32_t body);

static bool check_outside(Verify *v, const Node *n, NodeId id) {
    Graph *g = v->g;
    Value row = 0;
    if (n->kind == N_INPUT && n->index < g->inputs.n) row = g->inputs.data[n->index].value;
    if (n->kind == N_PARAM && n->index < g->params.n) row = g->params.data[n->index].value;
    if (n->kind == N_STATE && n->index < g->states.n) row = g->states.data[n->index].value;
    if (n->level || row != n->out || graph_value(g, n->out)->node != id)
        return fail(v, "not what the table of inputs, parameters or states says");
    return true;
}

/* Iterations of each class rise; together they are 0..length-1, each once. */
static bool check_iters(Verify *v, const Recur *r) {
    int64_t length;
    uint64_t total = 0;
    if (r->classes.n == 0) return fail(v, "a recurrence without a class");
    if (r->classes.n == 1 && r->classes.data[0].iters.n == 0)
        return !r->layers || size_is_num(v->g->sizes, r->length, &length) ||
               fail(v, "layers without a number");
    if (!r->layers) return fail(v, "a recurrence along an axis has one class");
    for (uint32_t c = 0; c < r->classes.n; c++) total += r->classes.data[c].iters.n;
    if (!size_is_num(v->g->sizes, r->length, &length) || length < 0 || total != (uint64_t)length)
        return fail(v, "the classes have not as many iterations as the recurrence");
    bool *seen = NEWN(v->scratch, bool, total);
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *x = &r->classes.data[c];
        if (x->iters.n == 0) return fail(v, "a class without iterations");
        for (uint32_t i = 0; i < x->iters.n; i++) {
            uint32_t k = x->iters.data[i];
            if (k >= total || seen[k])
                return fail(v, "iteration %u is not there or stands twice", k);
            if (i && k <= x->iters.data[i - 1])
                return fail(v, "the iterations of a class do not rise");
            seen[k] = true;
        }
    }
    return true;
}

static bool check_out(Verify *v, NodeId id, const Recur *r, const RecurClass *c,
                      const RecurOut *o) {
    Graph *g = v->g;
    if (!can_read(v, o->body, "a result of a recurrence") || !define(v, o->result, id, r->level))
        return false;
    const ValueInfo *x = graph_value(g, o->body), *y = graph_value(g, o->result);
    Size length = graph_out_length(g, r, c, o->every);
    bool same = x->rank + 1 == y->rank && x->type == y->type && o->axis < y->rank;
    for (uint32_t k = 0; same && k < y->rank; k++)
        same = y->dims[k] == (k == o->axis ? length : x->dims[k - (k > o->axis)]);
    if (!same) return fail(v, "a result of a recurrence has another shape or type than its value");
    *PUSH(v->scratch, &v->later) = o->result;
    return true;
}

static bool check_args(Verify *v, const Recur *r, const RecurClass *c, uint32_t body) {
    if (r->carry.n && (!c->args || !c->next)) return fail(v, "a class without values to carry");
    for (uint32_t k = 0; k < r->carry.n; k++) {
        Value a = c->args[k];
        if (!a || a >= v->g->values.n) return fail(v, "a class without values to carry");
        NodeId n = graph_value(v->g, a)->node;
        if (!n || n >= v->g->nodes.n || v->node_seen[n])
            return fail(v, "a carried value without a node");
        v->node_seen[n] = true;
        const Node *x = graph_node(v->g, n);
        if (!define(v, a, n, r->level + 1u)) return false;
        if (x->kind != N_ARG || x->out != a || x->level != r->level + 1 || x->index != k)
            return fail(v, "a carried value with the wrong node");
        if (!alike(v, a, r->carry.data[k].init, "a carried value on entry")) return false;
        show(v, a, body);
    }
    return true;
}

static bool check_delays(Verify *v, const Block *b, uint32_t body) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(v->g, b->nodes.data[i]);
        if (n->kind != N_DELAY) continue;
        v->about = n->out;
        if (!can_read(v, n->source, "the source of a delay")) return false;
        if (v->body[n->source] != body)
            return fail(v, "the source of a delay is not of the same body");
        if (!source_fits(v, n->source, n->out)) return false;
    }
    return true;
}

static bool check_class(Verify *v, NodeId id, const Recur *r, const RecurClass *c) {
    uint32_t body = ++v->bodies, mark = v->scope.n;
    if (!check_args(v, r, c, body) || !check_block(v, &c->body, r->level + 1u, body)) return false;
    if (!check_delays(v, &c->body, body)) return false;
    for (uint32_t k = 0; k < r->carry.n; k++) {
        v->about = c->args[k];
        if (!can_read(v, c->next[k], "a value carried on")) return false;
        if (!alike(v, c->next[k], r->carry.data[k].init, "a value carried on")) return false;
    }
    for (uint32_t i = 0; i < c->outs.n; i++)
        if (!check_out(v, id, r, c, &c->outs.data[i])) return false;
    while (v->scope.n > mark) v->visible[v->scope.data[--v->scope.n]] = false;
    return true;
}

/* kept: [lead axes, ceil(length/every), dims of the carried value] */
static bool check_kept(Verify *v, const Recur *r, const Carry *c) {
    Graph *g = v->g;
    if (!r->every != !c->kept) return fail(v, "a recurrence run again without what it kept");
    if (!c->kept) return true;
    if (!can_read(v, c->kept, "what a recurrence kept")) return false;
    const ValueInfo *x = graph_value(g, c->init), *y = graph_value(g, c->kept);
    static const RecurClass all = {0};
    bool same = y->rank == x->rank + c->lead + 1 && c->lead <= r->level &&
                y->dims[c->lead] == graph_out_length(g, r, &all, r->every);
    for (uint32_t k = 0; same && k < x->rank; k++) same = y->dims[c->lead + 1 + k] == x->dims[k];
    return same || fail(v, "what a recurrence kept has another shape");
}

static bool check_recur(Verify *v, NodeId id, uint32_t level, uint32_t body) {
    const Node *n = graph_node(v->g, id);
    const Recur *r = n->recur;
    uint32_t mark = v->later.n;
    v->about = 0;
    if (!r || n->out || r->level != level || level >= MAX_LEVELS)
        return fail(v, "node %u is no recurrence", id);
    if (!size_ok(v, r->length) || !check_iters(v, r)) return false;
    for (uint32_t k = 0; k < r->carry.n; k++)
        if (!can_read(v, r->carry.data[k].init, "what a recurrence starts from") ||
            !check_kept(v, r, &r->carry.data[k]))
            return false;
    for (uint32_t c = 0; c < r->classes.n; c++)
        if (!check_class(v, id, r, &r->classes.data[c])) return false;
    for (uint32_t k = 0; k < r->carry.n; k++) {
        Value f = r->carry.data[k].final;
        if (!define(v, f, id, level) || !alike(v, f, r->carry.data[k].init, "a final value"))
            return false;
        show(v, f, body);
    }
    /* Results and the final values of this recurrence's own delays can be seen from here on. */
    uint32_t keep = mark;
    for (uint32_t i = mark; i < v->later.n; i++) {
        Value x = v->later.data[i];
        if (v->level[x] == level)
            show(v, x, body);
        else
            v->later.data[keep++] = x;
    }
    v->later.n = keep;
    return true;
}

static bool check_node(Verify *v, NodeId id, uint32_t level, uint32_t body) {
    const Node n = *graph_node(v->g, id);
    if (n.level != level) return fail(v, "node %u has the wrong level", id);
    if (n.kind == N_RECUR) return check_recur(v, id, level, body);
    if (!define(v, n.out, id, level)) return false;
    bool ok = false;
    switch (n.kind) {
    case N_INPUT:
    case N_PARAM:
    case N_STATE: ok = check_outside(v, &n, id); break;
    case N_EQ: ok = check_eq(v, &n); break;
    case N_SCATTER: ok = check_scatter(v, &n); break;
    case N_DELAY: ok = check_delay(v, &n); break;
    default: return fail(v, "a node of unknown kind");
    }
    if (ok) show(v, n.out, body);
    return ok;
}

static bool check_block(Verify *v, const Block *b, uint32_t level, uint32_t body) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        v->about = 0;
        if (!id || id >= v->g->nodes.n) return fail(v, "node %u is not there", id);
        if (v->node_seen[id]) return fail(v, "node %u stands twice", id);
        v->node_seen[id] = true;
        if (!check_node(v, id, level, body)) return false;
    }
    return true;
}

/* ---- tables -------------------------------------------------------------------------------- */

/* As many members as the leading axes have items. */
static bool check_members(Verify *v, Value x, uint32_t family, uint32_t members) {
    const ValueInfo *i = graph_value(v->g, x);
    uint64_t want = 1;
    if (family > i->rank || family > MAX_LEVELS) return fail(v, "more leading axes than axes");
    for (uint32_t k = 0; k < family; k++) {
        int64_t n;
        if (!size_is_num(v->g->sizes, i->dims[k], &n) || n < 1)
            return fail(v, "a leading axis without a number");
        want *= (uint64_t)n;
        if (want > UINT32_MAX) return fail(v, "too many members");
    }
    return want == members ||
           fail(v, "%u names for %llu members", members, (unsigned long long)want);
}

static bool members_named(Verify *v, const Member *m, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (!m[i].name) return fail(v, "a member without a name");
    return true;
}

static bool check_param(Verify *v, const ParamInfo *p) {
    v->about = 0;
    if (!can_read(v, p->value, "a parameter")) return false;
    v->about = p->value;
    const ValueInfo *x = graph_value(v->g, p->value);
    if (graph_node(v->g, x->node)->kind != N_PARAM) return fail(v, "not a parameter");
    if (!check_members(v, p->value, p->family, p->members.n)) return false;
    if (!members_named(v, p->members.data, p->members.n)) return false;
    if (p->init > INIT_ORTHOGONAL) return fail(v, "an unknown initial value");
    if (p->init_a.n && p->init_a.n != p->members.n)
        return fail(v, "members without the numbers of their initial value");
    if (p->init_b.n && p->init_b.n != p->init_a.n)
        return fail(v, "members without the numbers of their initial value");
    if (p->formula && !check_root(v, p->formula, (uint32_t)x->rank - p->family, MAX_LEVELS, false))
        return false;
    return dims_ok(v, p->stored, p->stored_rank);
}

static bool check_state(Verify *v, const StateInfo *s) {
    v->about = 0;
    if (!members_named(v, s->members.data, s->members.n)) return false;
    if (s->start && !can_read(v, s->start, "the start of a state")) return false;
    if (!s->value) return true;
    if (!can_read(v, s->value, "a state")) return false;
    v->about = s->value;
    if (graph_node(v->g, graph_value(v->g, s->value)->node)->kind != N_STATE)
        return fail(v, "not a state");
    return check_members(v, s->value, s->family, s->members.n);
}

static bool check_output(Verify *v, const OutputInfo *o) {
    v->about = 0;
    if (o->kind > OUT_OPT) return fail(v, "an unknown kind of output");
    if (!can_read(v, o->value, "an output")) return false;
    v->about = o->value;
    bool param = o->kind == OUT_GRAD || o->kind == OUT_PARAM,
         state = o->kind == OUT_STATE || o->kind == OUT_OPT;
    if ((param && o->index >= v->g->params.n) || (state && o->index >= v->g->states.n))
        return fail(v, "an output of no parameter or state");
    if (param && !alike(v, o->value, v->g->params.data[o->index].value, "an output of a parameter"))
        return false;
    bool scalar = o->kind == OUT_LOSS || o->kind == OUT_PENALTY;
    return !scalar || graph_value(v->g, o->value)->rank == 0 || fail(v, "a loss that is no scalar");
}

static bool check_tables(Verify *v) {
    Graph *g = v->g;
    for (uint32_t i = 0; i < size_axes(g->sizes); i++)
        if (!text_is_word(size_axis_name(g->sizes, i)))
            return fail(v, "an axis without a proper name");
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const InputInfo *x = &g->inputs.data[i];
        v->about = 0;
        if (!x->name || !can_read(v, x->value, "an input"))
            return fail(v, "an input without a name");
        v->about = x->value;
        if (graph_node(g, graph_value(g, x->value)->node)->kind != N_INPUT)
            return fail(v, "not an input");
        if (x->below < 0) return fail(v, "an input below a negative number");
    }
    for (uint32_t i = 0; i < g->params.n; i++)
        if (!check_param(v, &g->params.data[i])) return false;
    for (uint32_t i = 0; i < g->states.n; i++)
        if (!check_state(v, &g->states.data[i])) return false;
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (!check_output(v, &g->outputs.data[i])) return false;
    return true;
}

const char *graph_verify(Graph *g) {
    Verify v = {.g = g, .scratch = arena_new()};
    v.node_seen = NEWN(v.scratch, bool, g->nodes.n);
    v.defined = NEWN(v.scratch, bool, g->values.n);
    v.visible = NEWN(v.scratch, bool, g->values.n);
    v.level = NEWN(v.scratch, uint8_t, g->values.n);
    v.body = NEWN(v.scratch, uint32_t, g->values.n);
    v.expr_seen = NEWN(v.scratch, bool, g->exprs.n);
    if (check_operands(&v) && check_block(&v, &g->top, 0, 0)) check_tables(&v);
    arena_free(v.scratch);
    return v.error;
}
