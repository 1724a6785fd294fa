/* Which outputs may be written where what they lead on lies: a parameter and a state of the optimizer that
 * one kernel reads and writes element by element need no second copy. The launch that writes must be the
 * last op that touches the old value, and where it reads it, it is at the very point that is written, by the
 * node that writes it alone. */
#include "plan.h"

typedef struct Place {
    const Plan *p;
    Graph *g;
    BufId from, to;
    uint32_t now;          /* number of the op at hand */
    uint32_t writer, last; /* op that writes `to`, last op that touches `from`; 0: none */
    uint32_t n_writers;
    bool top;     /* the writer is in no loop */
    const Op *op; /* the writer */
} Place;

static void look(Place *x, const Ops *ops, bool top) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        x->now++;
        for (uint32_t k = 0; k < (o->kind == OP_LOOP ? o->n_classes : 0); k++)
            look(x, &o->bodies[k], false);
        for (uint32_t a = 0; a < o->args.n; a++) {
            if (o->args.data[a].buf == x->from) x->last = x->now;
            if (o->args.data[a].buf != x->to) continue;
            bool writes = o->kind == OP_LAUNCH && x->p->kernels.data[o->kernel].arg_writes.data[a];
            x->n_writers += writes ? 1 : 2; /* read again, copied, exchanged: not for us */
            x->writer = x->now;
            x->top = top;
            x->op = o;
        }
    }
}

static bool leads_on_once(Graph *g, const Plan *p, BufId to) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->outputs.n; i++) n += p->buf_of[g->outputs.data[i].value] == to;
    return n == 1;
}

BufId plan_led_on(const Plan *p, const OutputInfo *o, const PlanBuf *to) {
    uint8_t role = o->kind == OUT_PARAM ? ROLE_PARAM : ROLE_STATE;
    for (uint32_t i = 0; i < p->bufs.n; i++) {
        const PlanBuf *b = &p->bufs.data[i];
        if (b->role == role && b->index == o->index && b->dtype == to->dtype) return i;
    }
    return UINT32_MAX;
}

BufId plan_output_place(const Plan *p, const OutputInfo *o) {
    Graph *g = p->g;
    if (o->kind != OUT_PARAM && o->kind != OUT_OPT) return UINT32_MAX;
    Value old =
        o->kind == OUT_PARAM ? g->params.data[o->index].value : g->states.data[o->index].value;
    Place x = {.p = p, .g = g, .to = p->buf_of[o->value]};
    const PlanBuf *to = &p->bufs.data[x.to];
    x.from = plan_led_on(p, o, to);
    if (x.from == UINT32_MAX) return UINT32_MAX;
    const PlanBuf *from = &p->bufs.data[x.from];
    if (x.from == x.to || to->role != ROLE_OUTPUT || to->carry || !plan_same_shape(from, to) ||
        !leads_on_once(g, p, x.to))
        return UINT32_MAX;
    look(&x, &p->ops, true);
    if (x.n_writers != 1 || !x.top || x.last > x.writer) return UINT32_MAX;
    if (x.last < x.writer) return x.from;
    return plan_point_by_point(p, &p->kernels.data[x.op->kernel], old, o->value) ? x.from
                                                                                 : UINT32_MAX;
}
