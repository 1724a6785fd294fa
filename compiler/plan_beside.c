/* Launches beside each other: of two ops of which neither touches what the other writes, none has to wait
 * for the other. A group is an op and those behind it that are marked `beside`; ops move forward, past others
 * that they have nothing to do with, to join one.
 *
 * Requires lifetimes and the places of values. Maintains the numbers: whatever touches the same place keeps
 * its order. What lives within a group lives all through it, which costs memory; where it costs too much, only
 * ops that are neighbours already are joined, or none. Lifetimes are set again.
 * Cost: (ops of a list)^2 times their arguments. */
#include "plan_impl.h"

#include <string.h>

typedef enum Joining { JOIN_ALL, JOIN_NEIGHBOURS, JOIN_NONE } Joining;

typedef struct Beside {
    Plan *p;
    BufId *place; /* by buffer: the one whose memory it may take, or itself */
    Joining how;
} Beside;

/* An output may be written over the parameter or state that it leads on (plan_place.c). */
static void find_places(Beside *x) {
    const Plan *p = x->p;
    x->place = NEWN(p->arena, BufId, p->bufs.n + 1);
    for (uint32_t i = 0; i < p->bufs.n; i++) x->place[i] = i;
    for (uint32_t i = 0; i < p->g->outputs.n; i++) {
        const OutputInfo *o = &p->g->outputs.data[i];
        if (o->kind != OUT_PARAM && o->kind != OUT_OPT) continue;
        BufId b = p->buf_of[o->value], old = plan_led_on(p, o, &p->bufs.data[b]);
        if (old != UINT32_MAX) x->place[b] = old;
    }
}

static bool op_writes(const Plan *p, const Op *o, uint32_t arg) {
    return o->kind == OP_LAUNCH ? p->kernels.data[o->kernel].arg_writes.data[arg] : arg == 0;
}

/* Does one of two launches or copies touch what the other writes? */
static bool in_the_way(const Beside *x, const Op *a, const Op *b) {
    for (uint32_t i = 0; i < a->args.n; i++)
        for (uint32_t k = 0; k < b->args.n; k++)
            if (x->place[a->args.data[i].buf] == x->place[b->args.data[k].buf] &&
                (op_writes(x->p, a, i) || op_writes(x->p, b, k)))
                return true;
    return false;
}

static bool may_move(const Op *o) { return o->kind == OP_LAUNCH || o->kind == OP_COPY; }

typedef struct Order {
    const Op *from;
    Op *to;
    uint32_t n, made;
    bool *taken;
} Order;

static bool joins(const Beside *x, const Order *r, uint32_t group, uint32_t first, uint32_t i) {
    const Op *o = &r->from[i];
    for (uint32_t k = group; k < r->made; k++)
        if (in_the_way(x, &r->to[k], o)) return false;
    for (uint32_t k = first; k < i; k++)
        if (!r->taken[k] && in_the_way(x, &r->from[k], o)) return false;
    return true;
}

/* The group that op `first` begins. */
static void make_group(const Beside *x, Order *r, uint32_t first) {
    uint32_t group = r->made;
    r->to[r->made] = r->from[first];
    r->to[r->made++].beside = false;
    r->taken[first] = true;
    if (x->how == JOIN_NONE || !may_move(&r->from[first])) return;
    for (uint32_t i = first + 1; i < r->n && may_move(&r->from[i]); i++) {
        if (r->taken[i]) continue;
        if (joins(x, r, group, first, i)) {
            r->to[r->made] = r->from[i];
            r->to[r->made++].beside = true;
            r->taken[i] = true;
        } else if (x->how == JOIN_NEIGHBOURS) {
            return;
        }
    }
}

/* The list in its new order, in memory of its own; loops and exchanges stay where they are. */
static Ops ordered(const Beside *x, const Ops *ops) {
    Arena *a = x->p->arena;
    Order r = {.from = ops->list.data,
               .to = NEWN(a, Op, ops->list.n + 1),
               .n = ops->list.n,
               .taken = NEWN(a, bool, ops->list.n + 1)};
    for (uint32_t i = 0; i < r.n; i++)
        if (!r.taken[i]) make_group(x, &r, i);
    Ops made = {0};
    for (uint32_t i = 0; i < r.n; i++) {
        Op *o = PUSH(a, &made.list);
        *o = r.to[i];
        if (o->kind != OP_LOOP) continue;
        o->bodies = NEWN(a, Ops, o->n_classes + 1);
        for (uint32_t k = 0; k < o->n_classes; k++) o->bodies[k] = ordered(x, &r.to[i].bodies[k]);
    }
    return made;
}

static void use(Planner *pl, Ops ops) {
    Plan *p = pl->p;
    p->ops = ops;
    for (uint32_t i = 0; i < p->bufs.n; i++) p->bufs.data[i].born = p->bufs.data[i].dies = 0;
    plan_lifetimes(pl);
}

/* Little beside what lies there anyway; and where next to nothing does, next to nothing. */
static bool fits(const PlanPeak *now, const PlanPeak *before) {
    int64_t more = now->tensors - before->tensors;
    return more <= before->outside / 20 + before->tensors / 500 + (1 << 16);
}

void plan_beside(Planner *pl, const int64_t *axes) {
    Beside x = {.p = pl->p};
    PlanPeak before, now;
    Ops as_it_was = pl->p->ops;
    find_places(&x);
    bool known = plan_peak(pl->p, axes, &before);
    for (x.how = JOIN_ALL; x.how < JOIN_NONE; x.how++) {
        use(pl, ordered(&x, &as_it_was));
        if (!known || (plan_peak(pl->p, axes, &now) && fits(&now, &before))) return;
    }
    use(pl, as_it_was);
}

static const char *verify_list(Beside *x, const Ops *ops) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++) {
            const char *why = verify_list(x, &o->bodies[k]);
            if (why) return why;
        }
        if (!o->beside) continue;
        if (i == 0 || !may_move(o)) return "an op is beside nothing";
        for (uint32_t k = i; k-- > 0;) {
            if (!may_move(&ops->list.data[k])) return "an op is beside a loop or an exchange";
            if (in_the_way(x, &ops->list.data[k], o))
                return "an op is beside one it has to wait for";
            if (!ops->list.data[k].beside) break;
        }
    }
    return NULL;
}

const char *plan_verify_beside(Plan *p) {
    Beside x = {.p = p};
    find_places(&x);
    return verify_list(&x, &p->ops);
}
