/* A call on a GPU: one thread walks the ops and asks for what they say, in one queue. A call that asks for
 * the same as one before it, with buffers in the same places, is recorded once and replayed from then on. */
#include <string.h>

#include "device.h"

/* ---- launches ------------------------------------------------------------------------------------ */

/* What a driver takes at once: tiles below 2^31, threads below 2^32. */
static int64_t most_groups(const kernel *k) {
    int64_t most = (int64_t)UINT32_MAX / k->block;
    return most < INT32_MAX ? most : INT32_MAX;
}

/* As docs/format.md has them; the number of the first tile is the last. */
static int64_t *arguments(rw_session *s, const lane_entry *x, const lane *l, const op *o) {
    const kernel *k = &x->e->kernels[o->kernel];
    int64_t *at = s->gpu->values;
    for (uint32_t i = 0; i < o->n_args; i++)
        *at++ = (int64_t)(uintptr_t)session_address(s, x, l, &o->args[i]);
    for (uint32_t i = 0; i < k->n_sizes; i++) *at++ = x->numbers[o->kernel][i];
    for (uint32_t i = 0; i < 2 * k->levels; i++) *at++ = l->levels[i];
    *at++ = (int64_t)(uintptr_t)s->gpu->seed;
    *at++ = (int64_t)(uintptr_t)s->gpu->scratch;
    return at;
}

static rw_status launch(rw_session *s, const lane_entry *x, const lane *l, const op *o,
                        rw_message *m) {
    gpu *g = s->gpu->g;
    const kernel *k = &x->e->kernels[o->kernel];
    int64_t grid = x->grid[o->kernel], most = most_groups(k);
    size_t scratch = ((size_t)s->value[k->scratch] + 63) & ~(size_t)63;
    if (scratch > 0 && (int64_t)(s->scratch / scratch) < most)
        most = (int64_t)(s->scratch / scratch);
    int64_t *begin = arguments(s, x, l, o);
    rw_status r = RW_OK;
    for (*begin = 0; *begin < grid && r == RW_OK; *begin += most) {
        int64_t n = grid - *begin < most ? grid - *begin : most;
        r = g->api->launch(g, s->gpu->queue, k->function, (uint32_t)n, k->block, s->gpu->args, m);
    }
    return r;
}

static rw_status copy(rw_session *s, const lane_entry *x, const lane *l, const op *o,
                      rw_message *m) {
    int64_t bytes = x->part[o->args[0].buf][o->args[0].n_level];
    int64_t most = x->part[o->args[1].buf][o->args[1].n_level];
    return device_copy(s, session_address(s, x, l, &o->args[0]),
                       session_address(s, x, l, &o->args[1]), (size_t)(bytes < most ? bytes : most),
                       m);
}

/* ---- profiles ------------------------------------------------------------------------------------ */

rw_status device_profile_begin(rw_session *s, rw_message *m) {
    gpu *g = s->gpu->g;
    rw_status r = g->api->enter(g, m);
    for (unsigned i = 0; i < MARKS && r == RW_OK; i++)
        if (s->gpu->marks[i] == NULL) r = g->api->mark_make(g, true, &s->gpu->marks[i], m);
    return r;
}

/* The times between marks go to the lines of what ran there; the last mark becomes the first. */
static rw_status add_times(rw_session *s, lane *l, rw_message *m) {
    gpu_part *p = s->gpu;
    rw_status r = p->g->api->wait(p->g, p->queue, m);
    for (unsigned i = 1; i < p->n_marks && r == RW_OK; i++) {
        double seconds;
        r = p->g->api->between(p->g, p->marks[i - 1], p->marks[i], &seconds, m);
        if (r != RW_OK) return r;
        uint64_t ns = seconds > 0 ? (uint64_t)(1e9 * seconds) : 0;
        spent *x = &l->spent[p->mark_line[i]];
        x->ns += ns;
        x->busy_ns += ns;
        x->launches++;
    }
    void *last = p->n_marks > 0 ? p->marks[p->n_marks - 1] : NULL;
    if (p->n_marks > 1) {
        p->marks[p->n_marks - 1] = p->marks[0];
        p->marks[0] = last;
        p->n_marks = 1;
    }
    return r;
}

static rw_status set_mark(rw_session *s, lane *l, uint32_t line, rw_message *m) {
    gpu_part *p = s->gpu;
    rw_status r = p->n_marks == MARKS ? add_times(s, l, m) : RW_OK;
    if (r != RW_OK) return r;
    p->mark_line[p->n_marks] = line;
    return p->g->api->mark(p->g, p->queue, p->marks[p->n_marks++], m);
}

/* ---- ops ----------------------------------------------------------------------------------------- */

static rw_status run_ops(rw_session *s, lane_entry *x, lane *l, const ops *list, rw_message *m);

static rw_status loop(rw_session *s, lane_entry *x, lane *l, const op *o, rw_message *m) {
    rw_status r = RW_OK;
    for (uint32_t n = 0; n < o->count && r == RW_OK; n++) {
        uint32_t i = o->reverse ? o->count - 1 - n : n;
        l->levels[2 * o->level] = i;
        l->levels[2 * o->level + 1] = o->pos_of[i];
        r = run_ops(s, x, l, &o->bodies[o->class_of[i]], m);
    }
    return r;
}

static rw_status run_op(rw_session *s, lane_entry *x, lane *l, const op *o, rw_message *m) {
    switch (o->kind) {
    case RW_OP_LAUNCH: return launch(s, x, l, o, m);
    case RW_OP_COPY: return copy(s, x, l, o, m);
    case RW_OP_LOOP: return loop(s, x, l, o, m);
    default: {
        uint8_t *first = l->ptr[o->args[0].buf];
        l->ptr[o->args[0].buf] = l->ptr[o->args[1].buf];
        l->ptr[o->args[1].buf] = first;
        return RW_OK;
    }
    }
}

/* ---- beside each other --------------------------------------------------------------------------- */

/* In a recording the ops of a group are asked of several queues, so that the graph has no edges between them.
 * What uses scratch stays in the first queue: there is one scratch. */
static bool may_leave(const rw_session *s, const lane_entry *x, const op *o) {
    return o->kind == RW_OP_LAUNCH && s->value[x->e->kernels[o->kernel].scratch] == 0;
}

/* The op of a group, on the queue of its number; `used`: bits of the sides that have work. */
static rw_status run_beside(rw_session *s, lane_entry *x, lane *l, const op *o, uint32_t number,
                            uint32_t *used, rw_message *m) {
    gpu_part *p = s->gpu;
    const gpu_api *api = p->g->api;
    if (number == 0) {
        rw_status r = api->mark(p->g, p->queue, p->fork, m);
        return r == RW_OK ? run_op(s, x, l, o, m) : r;
    }
    uint32_t k = (number - 1) % SIDES;
    rw_status r = RW_OK;
    if (!may_leave(s, x, o)) return run_op(s, x, l, o, m);
    if ((*used >> k & 1) == 0) r = api->follow(p->g, p->side[k], p->fork, m);
    if (r != RW_OK) return r;
    *used |= 1u << k;
    void *first = p->queue;
    p->queue = p->side[k];
    r = run_op(s, x, l, o, m);
    p->queue = first;
    return r;
}

/* The first queue goes on when the sides are done. */
static rw_status join(rw_session *s, uint32_t *used, rw_message *m) {
    gpu_part *p = s->gpu;
    const gpu_api *api = p->g->api;
    rw_status r = RW_OK;
    for (uint32_t k = 0; k < SIDES && r == RW_OK; k++) {
        if ((*used >> k & 1) == 0) continue;
        r = api->mark(p->g, p->side[k], p->side_mark[k], m);
        if (r == RW_OK) r = api->follow(p->g, p->queue, p->side_mark[k], m);
    }
    *used = 0;
    return r;
}

static rw_status run_recorded(rw_session *s, lane_entry *x, lane *l, const ops *list,
                              rw_message *m) {
    uint32_t number = 0, used = 0;
    rw_status r = RW_OK;
    for (uint32_t i = 0; i < list->n && r == RW_OK; i++) {
        const op *o = &list->list[i];
        bool goes_on = i + 1 < list->n && list->list[i + 1].beside;
        number = o->beside ? number + 1 : 0;
        r = o->beside || goes_on ? run_beside(s, x, l, o, number, &used, m) : run_op(s, x, l, o, m);
        if (r == RW_OK && !goes_on) r = join(s, &used, m);
    }
    return r;
}

static rw_status run_ops(rw_session *s, lane_entry *x, lane *l, const ops *list, rw_message *m) {
    rw_status r = RW_OK;
    if (s->gpu->is_recording) return run_recorded(s, x, l, list, m);
    for (uint32_t i = 0; i < list->n && r == RW_OK; i++) {
        const op *o = &list->list[i];
        r = run_op(s, x, l, o, m);
        bool is_work = o->kind == RW_OP_LAUNCH || o->kind == RW_OP_COPY;
        if (r == RW_OK && is_work && l->spent != NULL)
            r = set_mark(s, l, o->kind == RW_OP_LAUNCH ? o->kernel : x->e->n_kernels, m);
    }
    return r;
}

static rw_status run_all(rw_session *s, lane_entry *x, rw_message *m) {
    lane *l = &s->lanes[0];
    memcpy(l->ptr, x->base, x->e->n_buffers * sizeof *l->ptr);
    return run_ops(s, x, l, &x->e->ops, m);
}

static rw_status run_measured(rw_session *s, lane_entry *x, rw_message *m) {
    lane *l = &s->lanes[0];
    s->gpu->n_marks = 0;
    rw_status r = set_mark(s, l, 0, m);
    if (r == RW_OK) r = run_all(s, x, m);
    return r == RW_OK ? add_times(s, l, m) : r;
}

/* ---- graphs -------------------------------------------------------------------------------------- */

static graph *graphs_of(const rw_session *s, const lane_entry *x) {
    return &s->gpu->graphs[(size_t)GRAPHS * (size_t)(x - s->entries)];
}

static graph *find_graph(const rw_session *s, const lane_entry *x) {
    graph *all = graphs_of(s, x);
    for (int i = 0; i < GRAPHS; i++)
        if (all[i].is_known && memcmp(all[i].axes, x->axes, s->p->n_axes * sizeof *x->axes) == 0 &&
            memcmp(all[i].base, x->base, x->e->n_buffers * sizeof *x->base) == 0)
            return &all[i];
    return NULL;
}

/* A call that was not seen before takes the place of the one that was longest ago. */
static void note_call(rw_session *s, const lane_entry *x) {
    graph *all = graphs_of(s, x), *g = &all[0];
    for (int i = 1; i < GRAPHS; i++)
        if (all[i].used < g->used) g = &all[i];
    if (g->recorded != NULL) s->gpu->g->api->graph_drop(s->gpu->g, g->recorded);
    g->recorded = NULL;
    g->is_known = true;
    g->used = s->gpu->calls;
    memcpy(g->axes, x->axes, s->p->n_axes * sizeof *x->axes);
    memcpy(g->base, x->base, x->e->n_buffers * sizeof *x->base);
}

static rw_status make_sides(gpu_part *p) {
    const gpu_api *api = p->g->api;
    rw_status r = p->fork == NULL ? api->mark_make(p->g, false, &p->fork, NULL) : RW_OK;
    for (int k = 0; k < SIDES && r == RW_OK; k++) {
        if (p->side[k] == NULL) r = api->queue_make(p->g, &p->side[k], NULL);
        if (r == RW_OK && p->side_mark[k] == NULL)
            r = api->mark_make(p->g, false, &p->side_mark[k], NULL);
    }
    return r;
}

/* A driver that cannot record what we ask for is asked for one thing after the other from now on. */
static void record(rw_session *s, lane_entry *x, graph *to) {
    gpu_part *p = s->gpu;
    const gpu_api *api = p->g->api;
    rw_status r = make_sides(p);
    if (r == RW_OK) r = api->record_begin(p->g, p->queue, NULL);
    if (r == RW_OK) {
        p->is_recording = true;
        rw_status ran = run_all(s, x, NULL);
        p->is_recording = false;
        r = api->record_end(p->g, p->queue, &to->recorded, NULL);
        if (r == RW_OK && ran != RW_OK) {
            api->graph_drop(p->g, to->recorded);
            r = ran;
        }
    }
    if (r != RW_OK) {
        to->recorded = NULL;
        p->has_graphs = false;
    }
    memcpy(to->last, s->lanes[0].ptr, x->e->n_buffers * sizeof *to->last);
}

rw_status device_run(rw_session *s, lane_entry *x, rw_message *m) {
    gpu *g = s->gpu->g;
    if (s->lanes[0].spent != NULL) return run_measured(s, x, m);
    graph *known = s->gpu->has_graphs ? find_graph(s, x) : NULL;
    if (known != NULL && known->recorded == NULL) record(s, x, known);
    if (known == NULL || known->recorded == NULL) {
        if (s->gpu->has_graphs) note_call(s, x);
        return run_all(s, x, m);
    }
    known->used = s->gpu->calls;
    memcpy(s->lanes[0].ptr, known->last, x->e->n_buffers * sizeof *known->last);
    return g->api->replay(g, s->gpu->queue, known->recorded, m);
}

/* ---- around -------------------------------------------------------------------------------------- */

rw_status device_begin(rw_session *s, rw_message *m) {
    gpu_part *p = s->gpu;
    p->calls++;
    rw_status r = p->g->api->enter(p->g, m);
    for (uint32_t i = 0; i < s->p->n_slots && r == RW_OK; i++) {
        slot *x = &s->slots[i];
        if (!x->is_used || !x->is_given || x->is_sent) continue;
        size_t bytes = file_dtype_bytes(x->dtype);
        for (uint32_t d = 0; d < x->rank; d++) bytes *= (size_t)x->shape[d];
        r = p->g->api->up(p->g, p->queue, x->place, x->data, bytes, m);
        x->is_sent = r == RW_OK;
    }
    if (r != RW_OK || (*p->seed_host == s->seed && p->calls > 1)) return r;
    *p->seed_host = s->seed;
    return p->g->api->up(p->g, p->queue, p->seed, p->seed_host, sizeof *p->seed_host, m);
}

rw_status device_end(rw_session *s, rw_message *m) {
    rw_status r = s->gpu->g->api->wait(s->gpu->g, s->gpu->queue, m);
    s->gpu->stage_used = 0;
    return r;
}
