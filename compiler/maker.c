/* Which recurrence along an axis made a value, one slice a step: directly, or stacked for every layer by the
 * loop around it. Requires a distributed graph; changes nothing; cost: outs of two recurrences. */
#include <string.h>

#include "edit.h"

static const RecurOut *out_in(const RecurClass *c, Value result) {
    for (uint32_t i = 0; i < c->outs.n; i++)
        if (c->outs.data[i].result == result) return &c->outs.data[i];
    return NULL;
}

bool graph_maker(Graph *g, Value v, Maker *m) {
    memset(m, 0, sizeof *m);
    NodeId n = graph_value(g, v)->node;
    const Recur *r = graph_node(g, n)->recur;
    if (!r || !r->classes.n) return false;
    if (r->layers) {
        const RecurOut *o = NULL;
        for (uint32_t c = 0; c < r->classes.n && !o; c++) {
            o = out_in(&r->classes.data[c], v);
            m->cls = c;
        }
        if (!o || o->axis != 0 || o->every) return false;
        m->loop = n;
        v = o->body;
        n = graph_value(g, v)->node;
        r = graph_node(g, n)->recur;
        if (!r || r->layers) return false;
    }
    const RecurOut *o = out_in(&r->classes.data[0], v);
    if (!o || o->every) return false;
    m->recur = n;
    m->body = o->body;
    m->axis = (uint8_t)(o->axis + (m->loop != 0));
    return true;
}
