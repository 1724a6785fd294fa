/* Blocks and recurrences, run. */
#include "interp_run.h"

#include <string.h>

typedef struct RecurRun {
    Interp *in;
    const Recur *r;
    const RecurRoom *room;
    const Job *job;
    double **cur, **spare; /* [n_carry] the carried value, and room for the next one */
} RecurRun;

/* ---- faults of the data ---------------------------------------------------------------------- */

static const char *explain(Interp *in, const Node *n) {
    const Fault *f = &in->machine.fault;
    Text where = text_new(in->arena);
    for (uint32_t i = 0; i < n->level; i++)
        text_printf(&where, "%s%lld", i ? "," : " (in iteration ", (long long)in->machine.lvl[i]);
    if (n->level) text_add(&where, ")");
    const char *name = interp_name(in, n->out);
    if (f->kind == FAULT_DIVISION)
        return interp_fail(in, n->loc, "%s: %lld is divided by 0 as ints%s", name,
                           (long long)f->index, where.data);
    return interp_fail(in, n->loc, "%s: %s is %s at %lld in axis %u, which has %lld items%s", name,
                       interp_name(in, f->value), f->kind == FAULT_READ ? "read" : "added to",
                       (long long)f->index, f->axis, (long long)f->size, where.data);
}

/* ---- single nodes ---------------------------------------------------------------------------- */

static bool run_job(Interp *in, const Node *n, const Job *job) {
    void *out = in->machine.ptr[n->out];
    if (n->kind == N_SCATTER) memset(out, 0, (size_t)in->rooms->room[n->out].items * sizeof(Cell));
    return job->contract ? contract_run(job->contract, out) : plan_run(job->plan, out);
}

static void tap(Interp *in, const Node *n, Value v) {
    in->options.tap(in->options.tap_user, v, interp_view(in, v), in->machine.lvl, n->level);
}

static void tap_results(Interp *in, const Node *n) {
    for (uint32_t i = 0; i < n->recur->carry.n; i++) tap(in, n, n->recur->carry.data[i].final);
    for (uint32_t i = 0; i < n->recur->classes.n; i++) {
        const RecurClass *c = &n->recur->classes.data[i];
        for (uint32_t j = 0; j < c->outs.n; j++) tap(in, n, c->outs.data[j].result);
    }
}

/* ---- iterations ------------------------------------------------------------------------------- */

static double *items_of(RecurRun *x, Value v) { return x->in->machine.ptr[v]; }
static size_t bytes_of(RecurRun *x, Value v) {
    return (size_t)x->in->rooms->room[v].items * sizeof(double);
}

/* Where this iteration's values stand. */
static void place_values(RecurRun *x, const RecurClass *c, const ClassRoom *room, int64_t pos) {
    void **ptr = x->in->machine.ptr;
    for (uint32_t i = 0; i < x->r->carry.n; i++) {
        ptr[c->args[i]] = x->cur[i];
        if (room->next[i] == NEXT_PLACED) ptr[c->next[i]] = x->spare[i];
    }
    for (uint32_t i = 0; i < c->outs.n; i++) {
        const RecurOut *o = &c->outs.data[i];
        if (room->out_placed[i])
            ptr[o->body] = items_of(x, o->result) + pos * x->in->rooms->room[o->body].items;
    }
}

/* The result has one more axis than the body's value: a row of it for each point before that axis. */
static void copy_out(RecurRun *x, const RecurOut *o, int64_t pos) {
    if (o->every && pos % o->every) return;
    if (o->every) pos /= o->every;
    const Room *body = &x->in->rooms->room[o->body], *result = &x->in->rooms->room[o->result];
    int64_t row = 1;
    for (uint32_t i = o->axis; i < graph_value(x->in->g, o->body)->rank; i++) row *= body->dims[i];
    int64_t step = row * result->dims[o->axis], n = body->items / row;
    const double *from = items_of(x, o->body);
    double *to = items_of(x, o->result) + pos * row;
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * step, from + i * row, (size_t)row * sizeof(double));
}

static void shift_delay(RecurRun *x, NodeId id) {
    const Node *n = graph_node(x->in->g, id);
    const Room *rows = &x->in->rooms->room[n->out];
    size_t row = (size_t)(rows->items / rows->dims[0]);
    double *d = items_of(x, n->out);
    const double *from =
        graph_node(x->in->g, graph_value(x->in->g, n->source)->node)->kind == N_DELAY
            ? x->in->slab + x->in->rooms->delay[id]
            : items_of(x, n->source);
    memmove(d + row, d, ((size_t)rows->items - row) * sizeof(double));
    memcpy(d, from, row * sizeof(double));
}

/* Results out, carried values into their next places, delays on by one; all reads before all writes
 * that could disturb them. */
static void end_iteration(RecurRun *x, const RecurClass *c, const ClassRoom *room, int64_t pos) {
    Interp *in = x->in;
    for (uint32_t i = 0; i < c->outs.n; i++)
        if (!room->out_placed[i]) copy_out(x, &c->outs.data[i], pos);
    for (uint32_t i = 0; i < x->r->carry.n; i++)
        if (room->next[i] == NEXT_COPY)
            memcpy(x->spare[i], items_of(x, c->next[i]), bytes_of(x, c->args[i]));
    for (uint32_t i = 0; i < room->delays.n; i++) {
        const Node *n = graph_node(in->g, room->delays.data[i]);
        if (graph_node(in->g, graph_value(in->g, n->source)->node)->kind != N_DELAY) continue;
        const Room *rows = &in->rooms->room[n->out];
        memcpy(in->slab + in->rooms->delay[room->delays.data[i]], items_of(x, n->source),
               (size_t)(rows->items / rows->dims[0]) * sizeof(double));
    }
    for (uint32_t i = 0; i < room->delays.n; i++) shift_delay(x, room->delays.data[i]);
    for (uint32_t i = 0; i < x->r->carry.n; i++) {
        if (room->next[i] == NEXT_SAME) continue;
        double *t = x->cur[i];
        x->cur[i] = x->spare[i];
        x->spare[i] = t;
    }
}

static void begin_recur(RecurRun *x) {
    for (uint32_t i = 0; i < x->r->carry.n; i++) {
        const Carry *c = &x->r->carry.data[i];
        x->cur[i] = x->in->slab + x->room->carry[0][i];
        x->spare[i] = x->in->slab + x->room->carry[1][i];
        memcpy(x->cur[i], items_of(x, c->init), bytes_of(x, c->final));
    }
    for (uint32_t i = 0; i < x->r->classes.n; i++) {
        const ClassRoom *room = &x->room->classes[i];
        for (uint32_t j = 0; j < room->delays.n; j++) {
            const Node *n = graph_node(x->in->g, room->delays.data[j]);
            memcpy(items_of(x, n->out), items_of(x, n->init), bytes_of(x, n->out));
        }
    }
}

static void end_recur(RecurRun *x) {
    for (uint32_t i = 0; i < x->r->carry.n; i++)
        memcpy(items_of(x, x->r->carry.data[i].final), x->cur[i],
               bytes_of(x, x->r->carry.data[i].final));
    for (uint32_t i = 0; i < x->r->classes.n; i++) {
        const ClassRoom *room = &x->room->classes[i];
        for (uint32_t j = 0; j < room->delays.n; j++) {
            const Node *n = graph_node(x->in->g, room->delays.data[j]);
            if (n->final) memcpy(items_of(x, n->final), items_of(x, n->out), bytes_of(x, n->out));
        }
    }
}

static const char *run_iterations(RecurRun *x, bool tapped) {
    Machine *m = &x->in->machine;
    uint8_t level = x->r->level;
    for (int64_t i = 0; i < x->room->length; i++) {
        int64_t at = x->r->reverse ? x->room->length - 1 - i : i;
        uint32_t cls = x->job->class_of ? x->job->class_of[at] : 0;
        const RecurClass *c = &x->r->classes.data[cls];
        m->lvl[level] = at;
        m->pos[level] = x->job->pos_of ? x->job->pos_of[at] : at;
        place_values(x, c, &x->room->classes[cls], m->pos[level]);
        const char *error = interp_block(x->in, &c->body, tapped && x->r->layers);
        if (error) return error;
        end_iteration(x, c, &x->room->classes[cls], m->pos[level]);
    }
    return NULL;
}

static const char *run_recur(Interp *in, NodeId id, bool tapped) {
    const Recur *r = graph_node(in->g, id)->recur;
    RecurRun x = {
        in, r, in->rooms->recur[id], &in->jobs[id], in->jobs[id].carry[0], in->jobs[id].carry[1]};
    begin_recur(&x);
    const char *error = run_iterations(&x, tapped);
    if (!error) end_recur(&x);
    return error;
}

const char *interp_block(Interp *in, const Block *b, bool tapped) {
    tapped = tapped && in->options.tap;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        const Node *n = graph_node(in->g, id);
        const Job *job = &in->jobs[id];
        if (job->plan || job->contract) {
            if (!run_job(in, n, job)) return explain(in, n);
            if (tapped) tap(in, n, n->out);
        } else if (n->kind == N_RECUR) {
            const char *error = run_recur(in, id, tapped);
            if (error) return error;
            if (tapped) tap_results(in, n);
        }
    }
    return NULL;
}
