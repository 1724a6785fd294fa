/* Results written where an operand lies: a row kernel that reads the last of a tensor element by element, by
 * the one member that makes a tensor of the same shape, needs no second place for it. In the body of a layer
 * loop the same holds for a carried value and what comes after it: then nothing is exchanged.
 *
 * Requires lifetimes. Maintains the numbers; lifetimes are to be set again. Cost: launches times arguments. */
#include "plan_impl.h"

typedef struct Reads {
    Value v;
    uint32_t plain, other;
} Reads;

static void visit(Graph *g, ExprId e, void *user) {
    Reads *r = user;
    const Expr *x = graph_expr(g, e);
    if (x->op != X_READ || x->value != r->v) return;
    bool plain = true;
    for (uint32_t i = 0; i < x->n_args; i++) plain = plain && is_index(g, expr_arg(g, e, i), i);
    if (plain)
        r->plain++;
    else
        r->other++;
}

bool plan_point_by_point(const Plan *p, const Kernel *k, Value old, Value made) {
    if (k->kind != K_ROW) return false;
    for (uint32_t i = 0; i < k->members.n; i++) {
        const Node *n = graph_node(p->g, k->members.data[i].node);
        Reads r = {.v = old};
        expr_walk(p->g, n->expr, visit, &r);
        if (r.other) return false;
        if (r.plain && (n->out != made || n->kind != N_EQ || n->red != RED_NONE)) return false;
    }
    return true;
}

bool plan_same_shape(const PlanBuf *a, const PlanBuf *b) {
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

typedef struct Placing {
    Planner *pl;
    uint32_t now; /* number of the op at hand, as lifetimes count them */
} Placing;

static bool touches(const Op *o, BufId b) {
    for (uint32_t i = 0; i < o->args.n; i++)
        if (o->args.data[i].buf == b) return true;
    for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++)
        for (uint32_t i = 0; i < o->bodies[k].list.n; i++)
            if (touches(&o->bodies[k].list.data[i], b)) return true;
    return false;
}

static bool is_swap(const Op *o, BufId a, BufId b) {
    if (o->kind != OP_SWAP) return false;
    BufId x = o->args.data[0].buf, y = o->args.data[1].buf;
    return (x == a && y == b) || (x == b && y == a);
}

/* Of two carried places: the exchange behind op `at` of the list, where that is all that is left to do for
 * a, and b comes in first here; else NULL. */
static Op *only_swapped(Ops *ops, uint32_t at, BufId a, BufId b) {
    for (uint32_t i = 0; i < at; i++)
        if (touches(&ops->list.data[i], b)) return NULL;
    Op *swap = NULL;
    for (uint32_t i = at + 1; i < ops->list.n; i++) {
        Op *o = &ops->list.data[i];
        if (is_swap(o, a, b) && !swap)
            swap = o;
        else if (touches(o, a) || (swap && touches(o, b)))
            return NULL;
    }
    return swap;
}

static void rename_in(Ops *ops, uint32_t from, BufId old, BufId new) {
    for (uint32_t i = from; i < ops->list.n; i++) {
        Op *o = &ops->list.data[i];
        for (uint32_t a = 0; a < o->args.n; a++)
            if (o->args.data[a].buf == old) o->args.data[a].buf = new;
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++)
            rename_in(&o->bodies[k], 0, old, new);
    }
}

static void drop_op(Ops *ops, const Op *o) {
    uint32_t at = (uint32_t)(o - ops->list.data);
    for (uint32_t i = at; i + 1 < ops->list.n; i++) ops->list.data[i] = ops->list.data[i + 1];
    ops->list.n--;
}

static uint32_t count_touches(const Ops *ops, BufId b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        for (uint32_t a = 0; a < o->args.n; a++) n += o->args.data[a].buf == b;
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++)
            n += count_touches(&o->bodies[k], b);
    }
    return n;
}

/* Of a carried place a and one that lives in this body alone: what the loop carried is not read behind op
 * `at`, where b comes in. */
static bool carry_is_spent(const Plan *p, const Ops *ops, uint32_t at, BufId a, BufId b) {
    for (uint32_t i = at + 1; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (touches(o, a) && (o->kind != OP_SWAP || o->args.data[0].buf != a)) return false;
    }
    for (uint32_t i = 0; i < at; i++)
        if (touches(&ops->list.data[i], b)) return false;
    return count_touches(ops, b) == count_touches(&p->ops, b);
}

static bool is_free(const PlanBuf *b) { return b->role == ROLE_TEMP && !b->family; }

/* Writes b where a lies, if this launch may. */
static bool place_over(Placing *x, Ops *ops, uint32_t at, uint32_t arg_a, uint32_t arg_b) {
    Plan *p = x->pl->p;
    const Op *o = &ops->list.data[at];
    const Kernel *k = &p->kernels.data[o->kernel];
    const PlanArg *aa = &o->args.data[arg_a], *ab = &o->args.data[arg_b];
    BufId a = aa->buf, b = ab->buf;
    PlanBuf *ba = &p->bufs.data[a], *bb = &p->bufs.data[b];
    if (a == b || aa->n_level || ab->n_level || !is_free(ba) || !is_free(bb) ||
        !plan_same_shape(ba, bb) || (bb->carry && !ba->carry) ||
        !plan_point_by_point(p, k, k->arg_values.data[arg_a], k->arg_values.data[arg_b]))
        return false;
    if (ba->carry && !bb->carry) {
        if (!carry_is_spent(p, ops, at, a, b)) return false;
        rename_in(ops, at, b, a);
        return true;
    }
    if (ba->carry) {
        Op *swap = only_swapped(ops, at, a, b);
        if (!swap) return false;
        drop_op(ops, swap);
        rename_in(ops, at, b, a);
        return true;
    }
    if (ba->dies != x->now || bb->born != x->now) return false;
    rename_in(&p->ops, 0, b, a);
    ba->dies = bb->dies;
    for (uint32_t v = 0; v < p->g->values.n; v++)
        if (x->pl->home[v].buf == b) x->pl->home[v].buf = a;
    return true;
}

static bool place_launch(Placing *x, Ops *ops, uint32_t at) {
    const Op *o = &ops->list.data[at];
    const Kernel *k = &x->pl->p->kernels.data[o->kernel];
    for (uint32_t b = 0; b < o->args.n; b++)
        for (uint32_t a = 0; k->arg_writes.data[b] && a < o->args.n; a++)
            if (!k->arg_writes.data[a] && place_over(x, ops, at, a, b)) return true;
    return false;
}

static void place_ops(Placing *x, Ops *ops) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        Op *o = &ops->list.data[i];
        x->now++;
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++)
            place_ops(x, &o->bodies[k]);
        if (o->kind == OP_LAUNCH) place_launch(x, ops, i);
    }
}

static void renumber(Ops *ops, const BufId *to) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        Op *o = &ops->list.data[i];
        for (uint32_t a = 0; a < o->args.n; a++) o->args.data[a].buf = to[o->args.data[a].buf];
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++)
            renumber(&o->bodies[k], to);
    }
}

/* Places that nothing uses any more go. */
static void drop_unused(Planner *pl) {
    Plan *p = pl->p;
    BufId *to = NEWN(pl->arena, BufId, p->bufs.n + 1);
    uint32_t left = 0;
    for (uint32_t b = 0; b < p->bufs.n; b++) {
        bool used = p->bufs.data[b].role != ROLE_TEMP;
        for (uint32_t i = 0; i < p->ops.list.n && !used; i++)
            used = touches(&p->ops.list.data[i], b);
        to[b] = used ? left : NOWHERE;
        if (used) p->bufs.data[left++] = p->bufs.data[b];
    }
    p->bufs.n = left;
    renumber(&p->ops, to);
    for (uint32_t v = 0; v < p->g->values.n; v++) {
        if (pl->home[v].buf != NOWHERE) pl->home[v].buf = to[pl->home[v].buf];
        if (pl->master[v] != NOWHERE) pl->master[v] = to[pl->master[v]];
    }
}

void plan_reuse(Planner *pl) {
    Placing x = {.pl = pl};
    place_ops(&x, &pl->p->ops);
    drop_unused(pl);
    for (uint32_t i = 0; i < pl->p->bufs.n; i++)
        pl->p->bufs.data[i].born = pl->p->bufs.data[i].dies = 0;
}
