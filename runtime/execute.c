/* Runs the ops of an entry. Every thread walks them all with a table of pointers of its own, computes
 * its part of each grid, and meets the others behind each launch; so nothing is handed out, and which
 * thread computes what never depends on time. */
#include <string.h>

#include "device.h"

typedef struct job {
    rw_session *s;
    lane_entry *x;
} job;

/* Part k of 0..n-1 in n_parts nearly equal ones. */
static int64_t part_begin(int64_t n, unsigned k, unsigned n_parts) {
    int64_t each = n / n_parts, more = n % n_parts;
    return each * k + (k < more ? k : more);
}

uint8_t *session_address(const rw_session *s, const lane_entry *x, const lane *l, const arg *a) {
    const buffer *b = &x->e->buffers[a->buf];
    uint8_t *base = l->ptr[a->buf];
    if (base == NULL) { /* members of a parameter that lie apart */
        const param *p = &s->p->params[b->index];
        size_t at = 0;
        for (unsigned i = 0; i < a->n_level; i++)
            at = at * (size_t)p->lead[i] + (size_t)l->levels[2 * a->level[i] + 1];
        return s->params[b->index].by_dtype[b->dtype].member[at];
    }
    for (unsigned i = 0; i < a->n_level; i++)
        base += l->levels[2 * a->level[i] + 1] * x->part[a->buf][i + 1];
    return base;
}

static void copy_part(uint8_t *to, const uint8_t *from, size_t bytes, unsigned k, unsigned n) {
    size_t lines = bytes / MEMORY_ALIGN;
    size_t begin = (size_t)part_begin((int64_t)lines, k, n) * MEMORY_ALIGN;
    size_t end = k + 1 == n ? bytes : (size_t)part_begin((int64_t)lines, k + 1, n) * MEMORY_ALIGN;
    memcpy(to + begin, from + begin, end - begin);
}

static void copy(const job *j, lane *l, const op *o, unsigned k) {
    int64_t bytes = j->x->part[o->args[0].buf][o->args[0].n_level];
    int64_t most = j->x->part[o->args[1].buf][o->args[1].n_level];
    uint8_t *to = session_address(j->s, j->x, l, &o->args[0]);
    const uint8_t *from = session_address(j->s, j->x, l, &o->args[1]);
    if (to != from) copy_part(to, from, (size_t)(bytes < most ? bytes : most), k, j->s->n_lanes);
}

/* What has less to do than there are threads is done by others than what it is beside of. */
static void launch(const job *j, lane *l, const op *o, unsigned k, uint32_t ordinal) {
    const kernel *x = &j->x->e->kernels[o->kernel];
    int64_t grid = j->x->grid[o->kernel];
    if (grid < (int64_t)j->s->n_lanes) k = (k + ordinal) % j->s->n_lanes;
    int64_t begin = part_begin(grid, k, j->s->n_lanes),
            end = part_begin(grid, k + 1, j->s->n_lanes);
    if (begin == end) return;
    for (uint32_t i = 0; i < o->n_args; i++)
        l->args[i] = session_address(j->s, j->x, l, &o->args[i]);
    x->fn(l->args, j->x->numbers[o->kernel], l->levels, l->scratch, begin, end);
}

/* Every thread meets the others, if what comes next has to wait for them; what the op took is noted when that was
 * asked for. */
static void meet(const job *j, lane *l, uint32_t line, bool waits) {
    if (l->spent == NULL) {
        if (waits) threads_barrier(j->s->c->threads);
        return;
    }
    uint64_t done = profile_now();
    if (waits) threads_barrier(j->s->c->threads);
    uint64_t met = waits ? profile_now() : done;
    spent *x = &l->spent[line];
    x->launches++;
    x->busy_ns += done - l->mark;
    x->ns += met - l->mark;
    l->mark = met;
}

static void run_ops(const job *j, lane *l, const ops *list, unsigned k);

static void loop(const job *j, lane *l, const op *o, unsigned k) {
    for (uint32_t n = 0; n < o->count; n++) {
        uint32_t i = o->reverse ? o->count - 1 - n : n;
        l->levels[2 * o->level] = i;
        l->levels[2 * o->level + 1] = o->pos_of[i];
        run_ops(j, l, &o->bodies[o->class_of[i]], k);
    }
}

static void run_ops(const job *j, lane *l, const ops *list, unsigned k) {
    uint32_t ordinal = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const op *o = &list->list[i];
        ordinal = o->beside ? ordinal + 1 : 0;
        switch (o->kind) {
        case RW_OP_LAUNCH: launch(j, l, o, k, ordinal); break;
        case RW_OP_COPY: copy(j, l, o, k); break;
        case RW_OP_LOOP: loop(j, l, o, k); continue;
        default: { /* exchanged in every thread's table alike */
            uint8_t *first = l->ptr[o->args[0].buf];
            l->ptr[o->args[0].buf] = l->ptr[o->args[1].buf];
            l->ptr[o->args[1].buf] = first;
            continue;
        }
        }
        meet(j, l, o->kind == RW_OP_LAUNCH ? o->kernel : j->x->e->n_kernels,
             i + 1 == list->n || !list->list[i + 1].beside);
    }
}

static void work(void *user, unsigned k) {
    const job *j = user;
    lane *l = &j->s->lanes[k];
    l->levels[2 * RW_FILE_LEVELS] = (int64_t)j->s->seed;
    memcpy(l->ptr, j->x->base, j->x->e->n_buffers * sizeof *l->ptr);
    if (l->spent != NULL) l->mark = profile_now();
    run_ops(j, l, &j->x->e->ops, k);
}

static void move_all(void *user, unsigned k) {
    const job *j = user;
    for (uint32_t i = 0; i < j->s->n_moves; i++)
        copy_part(j->s->moves[i].to, j->s->moves[i].from, j->s->moves[i].bytes, k, j->s->n_lanes);
}

/* ---- what an entry leads on ----------------------------------------------------------------------- */

/* `from` lacks the batch axis, which stands behind the leading ones: one start for all samples. */
static rw_status spread(rw_session *s, const state *x, session_state *to, const buffer *b,
                        const uint8_t *from, rw_message *m) {
    size_t outer = x->n_members, batch = (size_t)to->dims[0];
    size_t each = 1, to_bytes = file_dtype_bytes(x->dtype), from_bytes = file_dtype_bytes(b->dtype);
    rw_status r = RW_OK;
    for (uint32_t i = 1; i < x->rank; i++) each *= (size_t)to->dims[i];
    for (size_t o = 0; o < outer; o++)
        for (size_t k = 0; k < batch && r == RW_OK; k++)
            r = device_convert(s, x->dtype, to->now + (o * batch + k) * each * to_bytes, b->dtype,
                               from + o * each * from_bytes, each, m);
    return r;
}

static rw_status lead_state(rw_session *s, const lane_entry *x, const output *o, bool is_direct,
                            rw_message *m) {
    const state *st = &s->p->states[o->index];
    session_state *to = &s->states[o->index];
    const buffer *b = &x->e->buffers[o->buf];
    for (uint32_t i = 0; i < st->rank; i++) to->dims[i] = s->value[st->dims[i]];
    if (is_direct) {
        uint8_t *old = to->now;
        to->now = to->next;
        to->next = old;
        return RW_OK;
    }
    size_t count = st->n_members;
    for (uint32_t i = 0; i < st->rank; i++) count *= (size_t)to->dims[i];
    const uint8_t *from = s->lanes[0].ptr[o->buf];
    size_t has = (size_t)x->part[o->buf][0] / file_dtype_bytes(b->dtype);
    if (has < count && st->rank > 0) return spread(s, st, to, b, from, m);
    if (from == to->now) return RW_OK;
    if (b->dtype != st->dtype)
        return device_convert(s, st->dtype, to->now, b->dtype, from, count, m);
    s->moves[s->n_moves++] = (move){to->now, from, count * file_dtype_bytes(b->dtype)};
    return RW_OK;
}

/* The master; then, where the entry gives it in other types too, those, which are as new then. */
static rw_status lead_param(rw_session *s, const lane_entry *x, const output *o, rw_message *m) {
    session_param *p = &s->params[o->index];
    const buffer *b = &x->e->buffers[o->buf];
    store *to = &p->by_dtype[o->is_copy ? b->dtype : p->master];
    const uint8_t *from = s->lanes[0].ptr[o->buf];
    size_t count = s->p->params[o->index].count * s->p->params[o->index].n_members;
    if (!o->is_copy) p->version++;
    to->version = p->version;
    if (from == to->base) return RW_OK;
    if (!o->is_copy && b->dtype != p->master)
        return device_convert(s, p->master, to->base, b->dtype, from, count, m);
    s->moves[s->n_moves++] = (move){to->base, from, count * file_dtype_bytes(b->dtype)};
    return RW_OK;
}

static rw_status run_moves(rw_session *s, job *j, rw_message *m) {
    rw_status r = RW_OK;
    if (s->n_moves > 0 && s->gpu == NULL) threads_run(s->c->threads, move_all, j);
    for (uint32_t i = 0; s->gpu != NULL && i < s->n_moves && r == RW_OK; i++)
        r = device_copy(s, s->moves[i].to, s->moves[i].from, s->moves[i].bytes, m);
    return r;
}

rw_status session_run(rw_session *s, lane_entry *x, rw_message *m) {
    job j = {s, x};
    rw_status r = RW_OK;
    s->n_moves = 0;
    if (s->gpu != NULL)
        r = device_run(s, x, m);
    else
        threads_run(s->c->threads, work, &j);
    for (uint32_t i = 0; i < x->e->n_outputs && r == RW_OK; i++) {
        const output *o = &x->e->outputs[i];
        if (o->kind == OUT_STATE || o->kind == OUT_OPT) r = lead_state(s, x, o, x->is_direct[i], m);
        if (o->kind == OUT_PARAM) r = lead_param(s, x, o, m);
    }
    if (r == RW_OK) r = run_moves(s, &j, m);
    if (r == RW_OK) s->last = x;
    return r;
}
