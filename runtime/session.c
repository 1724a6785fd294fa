/* Sessions: all memory is planned, then taken, when one is made. */
#include <string.h>

#include "device.h"

/* ---- what is wanted ------------------------------------------------------------------------------- */

const char *start_name(const rw_program *p, const entry *e) {
    const char *dot = strrchr(e->name, '.');
    size_t n = dot != NULL ? (size_t)(dot - e->name) + 1 : 0;
    const char *plain = NULL;
    for (uint32_t i = 0; i < p->n_entries; i++) {
        const char *name = p->entries[i].name;
        if (strncmp(name, e->name, n) == 0 && strcmp(name + n, "start") == 0) return name;
        if (strcmp(name, "start") == 0) plain = name;
    }
    return plain;
}

lane_entry *session_entry(rw_session *s, const char *name) {
    for (uint32_t i = 0; name != NULL && i < s->p->n_entries; i++)
        if (strcmp(s->entries[i].e->name, name) == 0)
            return s->entries[i].is_wanted ? &s->entries[i] : NULL;
    return NULL;
}

lane_entry *session_start_of(rw_session *s, const entry *e) {
    return session_entry(s, start_name(s->p, e));
}

static rw_status set_most(rw_session *s, const rw_session_options *o, rw_message *m) {
    const rw_program *p = s->p;
    for (uint32_t i = 0; i < p->n_axes; i++) s->most[i] = p->axes[i].multiple;
    for (size_t k = 0; k < o->n_dims; k++) {
        uint32_t i = 0;
        while (i < p->n_axes && strcmp(p->axes[i].name, o->dims[k].name) != 0) i++;
        if (i == p->n_axes)
            return rw_fail(m, RW_NO_SUCH, "%s has no axis '%s'", p->path, o->dims[k].name);
        int64_t n = o->dims[k].value, multiple = p->axes[i].multiple;
        if (n < 1 || n > INT64_MAX / 4)
            return rw_fail(m, RW_BAD_ARG, "axis %s: a length of %lld", o->dims[k].name,
                           (long long)n);
        s->most[i] = (n + multiple - 1) / multiple * multiple;
    }
    return RW_OK;
}

static rw_status set_wanted(rw_session *s, const rw_session_options *o, rw_message *m) {
    rw_program *p = s->p;
    for (uint32_t i = 0; i < p->n_entries; i++) {
        lane_entry *x = &s->entries[i];
        x->e = &p->entries[i];
        x->is_wanted = o->n_entries == 0;
        for (uint32_t b = 0; b < x->e->n_buffers; b++)
            if (x->e->buffers[b].role == RW_ROLE_STATE &&
                !p->states[x->e->buffers[b].index].optimizer)
                x->reads_states = true;
    }
    for (size_t k = 0; k < o->n_entries; k++) {
        const entry *e = rw_find_entry(p, o->entries[k]);
        if (e == NULL)
            return rw_fail(m, RW_NO_SUCH, "%s has no entry '%s'", p->path, o->entries[k]);
        s->entries[e - p->entries].is_wanted = true;
    }
    for (uint32_t i = 0; i < p->n_entries; i++) {
        if (!s->entries[i].is_wanted || !s->entries[i].reads_states) continue;
        const entry *start = rw_find_entry(p, start_name(p, s->entries[i].e));
        if (start != NULL) s->entries[start - p->entries].is_wanted = true;
    }
    return RW_OK;
}

/* ---- tables --------------------------------------------------------------------------------------- */

static void entry_tables(rw_session *s, lane_entry *x) {
    const entry *e = x->e;
    pool *p = &s->pool;
    x->axes = POOL_NEW(p, int64_t, s->p->n_axes + 1u);
    x->at = POOL_NEW(p, size_t, e->n_buffers + 1u);
    x->capacity = POOL_NEW(p, size_t, e->n_buffers + 1u);
    x->base = POOL_NEW(p, uint8_t *, e->n_buffers + 1u);
    x->part = pool_take(p, e->n_buffers + 1u, sizeof *x->part);
    x->grid = POOL_NEW(p, int64_t, e->n_kernels + 1u);
    x->numbers = POOL_NEW(p, int64_t *, e->n_kernels + 1u);
    x->is_direct = POOL_NEW(p, bool, e->n_outputs + 1u);
    for (uint32_t i = 0; i < e->n_kernels && !p->is_out; i++)
        x->numbers[i] = POOL_NEW(p, int64_t, e->kernels[i].n_sizes + 1u);
    if (e->n_outputs > s->max_moves) s->max_moves = e->n_outputs;
}

static rw_status make_tables(rw_session *s, rw_message *m) {
    const rw_program *p = s->p;
    uint32_t most_buffers = 0, most_args = 0;
    s->most = POOL_NEW(&s->pool, int64_t, p->n_axes + 1u);
    s->fixed = POOL_NEW(&s->pool, int64_t, p->n_axes + 1u);
    s->axes = POOL_NEW(&s->pool, int64_t, p->n_axes + 1u);
    s->value = POOL_NEW(&s->pool, int64_t, p->n_sizes + 1u);
    s->params = POOL_NEW(&s->pool, session_param, p->n_params + 1u);
    s->states = POOL_NEW(&s->pool, session_state, p->n_states + 1u);
    s->slots = POOL_NEW(&s->pool, slot, p->n_slots + 1u);
    s->entries = POOL_NEW(&s->pool, lane_entry, p->n_entries + 1u);
    for (uint32_t i = 0; i < p->n_entries; i++) {
        if (p->entries[i].n_buffers > most_buffers) most_buffers = p->entries[i].n_buffers;
        if (p->entries[i].max_args > most_args) most_args = p->entries[i].max_args;
    }
    s->n_lanes = s->c->gpu != NULL ? 1 : threads_count(s->c->threads);
    s->lanes = POOL_NEW(&s->pool, lane, s->n_lanes);
    for (unsigned k = 0; k < s->n_lanes && !s->pool.is_out; k++) {
        s->lanes[k].ptr = POOL_NEW(&s->pool, uint8_t *, most_buffers + 1u);
        s->lanes[k].args = POOL_NEW(&s->pool, void *, most_args + 1u);
    }
    return s->pool.is_out ? rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", p->path)
                          : RW_OK;
}

/* ---- who uses what -------------------------------------------------------------------------------- */

/* Parameters that launches read, and whether one wants more than a member at a time. */
static void mark_params(rw_session *s, const entry *e, const ops *list, bool updates) {
    for (uint32_t i = 0; i < list->n; i++) {
        const op *o = &list->list[i];
        for (uint32_t c = 0; c < o->n_classes; c++) mark_params(s, e, &o->bodies[c], updates);
        for (uint32_t a = 0; a < o->n_args; a++) {
            const buffer *b = &e->buffers[o->args[a].buf];
            if (b->role != RW_ROLE_PARAM) continue;
            session_param *p = &s->params[b->index];
            p->by_dtype[b->dtype].is_used = true;
            if (o->args[a].n_level != s->p->params[b->index].family)
                p->by_dtype[b->dtype].is_whole = true;
            p->is_needed = p->is_needed || !updates;
        }
    }
}

/* An entry that updates touches every parameter; what matters is what the others of the program read. */
static void mark_needed(rw_session *s, const entry *e, const ops *list) {
    for (uint32_t i = 0; i < list->n; i++) {
        const op *o = &list->list[i];
        for (uint32_t c = 0; c < o->n_classes; c++) mark_needed(s, e, &o->bodies[c]);
        for (uint32_t a = 0; a < o->n_args; a++)
            if (e->buffers[o->args[a].buf].role == RW_ROLE_PARAM)
                s->params[e->buffers[o->args[a].buf].index].is_needed = true;
    }
}

static bool updates_params(const entry *e) {
    for (uint32_t i = 0; i < e->n_outputs; i++)
        if (e->outputs[i].kind == OUT_PARAM) return true;
    return false;
}

static void mark_entry(rw_session *s, lane_entry *x) {
    const entry *e = x->e;
    bool updates = updates_params(e);
    mark_params(s, e, &e->ops, updates);
    for (uint32_t i = 0; updates && i < s->p->n_entries; i++)
        if (!updates_params(&s->p->entries[i]))
            mark_needed(s, &s->p->entries[i], &s->p->entries[i].ops);
    for (uint32_t i = 0; i < e->n_buffers; i++)
        if (e->buffers[i].role == RW_ROLE_STATE) s->states[e->buffers[i].index].is_used = true;
    for (uint32_t i = 0; i < e->n_outputs; i++) {
        const output *o = &e->outputs[i];
        const buffer *b = &e->buffers[o->buf];
        if (o->kind == OUT_PARAM) {
            s->params[o->index].is_written = true;
            s->params[o->index].by_dtype[b->dtype].is_used = true;
        }
        if (o->kind == OUT_STATE || o->kind == OUT_OPT) s->states[o->index].is_used = true;
        if (b->role == RW_ROLE_PARAM) { /* a result that is a parameter as it is */
            s->params[b->index].by_dtype[b->dtype].is_used = true;
            s->params[b->index].by_dtype[b->dtype].is_whole = true;
        }
    }
}

/* An output is written where its state will be when nothing else is asked of its buffer. */
static void mark_direct(rw_session *s, lane_entry *x) {
    const entry *e = x->e;
    for (uint32_t i = 0; i < e->n_outputs; i++) {
        const output *o = &e->outputs[i];
        const buffer *b = &e->buffers[o->buf];
        const state *t = &s->p->states[o->index];
        bool direct = o->kind == OUT_STATE && b->role == RW_ROLE_OUTPUT && !b->carry &&
                      b->dtype == t->dtype && b->rank == t->family + t->rank;
        for (uint32_t k = 0; direct && k < e->n_outputs; k++)
            direct = k == i || e->outputs[k].buf != o->buf;
        for (uint32_t k = 0; direct && k < t->rank; k++)
            direct = b->dims[t->family + k] == t->dims[k];
        x->is_direct[i] = direct;
        if (direct) s->states[o->index].has_next = true;
    }
}

/* ---- sizes of memory --------------------------------------------------------------------------------- */

static bool plan_states(rw_session *s) {
    for (uint32_t i = 0; i < s->p->n_states; i++) {
        const state *t = &s->p->states[i];
        session_state *x = &s->states[i];
        if (!x->is_used) continue;
        size_t bytes = file_dtype_bytes(t->dtype) * t->n_members;
        for (uint32_t k = 0; k < t->rank; k++) {
            int64_t n = s->value[t->dims[k]];
            if (n == SIZE_NONE || n < 1 || __builtin_mul_overflow(bytes, (size_t)n, &bytes))
                return false;
            x->dims[k] = n;
        }
        x->capacity = bytes;
        if (!memory_place(&s->state_bytes, bytes, &x->now_at) ||
            (x->has_next && !memory_place(&s->state_bytes, bytes, &x->next_at)))
            return false;
    }
    return true;
}

static bool plan_slots(rw_session *s) {
    for (uint32_t i = 0; i < s->p->n_entries; i++) {
        const entry *e = s->entries[i].e;
        for (uint32_t k = 0; s->entries[i].is_wanted && k < e->n_inputs; k++) {
            const input *in = &e->inputs[k];
            slot *x = &s->slots[in->slot];
            size_t bytes = file_dtype_bytes(in->dtype);
            for (uint32_t d = 0; d < in->rank; d++) {
                int64_t n = s->value[in->dims[d]];
                if (n == SIZE_NONE || n < 0 || __builtin_mul_overflow(bytes, (size_t)n, &bytes))
                    return false;
            }
            if (x->is_used && x->dtype != in->dtype) return false;
            x->is_used = true;
            x->dtype = in->dtype;
            x->capacity = bytes > x->capacity ? bytes : x->capacity;
        }
    }
    for (uint32_t i = 0; i < s->p->n_slots; i++)
        if (s->slots[i].is_used &&
            !memory_place(&s->slot_bytes, s->slots[i].capacity, &s->slots[i].at))
            return false;
    return true;
}

static rw_status plan_arena(rw_session *s, lane_entry *x, rw_message *m) {
    const entry *e = x->e;
    rw_status r = entry_numbers(s, x, m);
    if (r != RW_OK) return r;
    for (uint32_t i = 0; i < e->n_buffers; i++) {
        bool own = e->buffers[i].role == RW_ROLE_TEMP || e->buffers[i].role == RW_ROLE_OUTPUT;
        x->capacity[i] = own && e->buffers[i].over == NOWHERE ? (size_t)x->part[i][0] : SIZE_MAX;
    }
    for (uint32_t i = 0; i < e->n_outputs; i++)
        if (x->is_direct[i]) x->capacity[e->outputs[i].buf] = SIZE_MAX;
    pool scratch = {.alloc = &s->c->alloc};
    x->arena = layout_place(&scratch, e->buffers, e->n_buffers, x->capacity, x->at);
    bool is_out = scratch.is_out;
    pool_free(&scratch);
    if (x->arena == SIZE_MAX)
        return is_out ? rw_fail(m, RW_NO_MEMORY, "no memory to plan entry %s", e->name)
                      : rw_fail(m, RW_BAD_SHAPE,
                                "entry %s: too much memory for these lengths of axes", e->name);
    if (x->arena > s->arena_bytes) s->arena_bytes = x->arena;
    for (uint32_t i = 0; i < e->n_kernels; i++) {
        size_t bytes = (size_t)s->value[e->kernels[i].scratch];
        if (s->c->gpu != NULL) bytes = device_scratch(s->c->gpu, (int64_t)bytes, x->grid[i]);
        s->scratch = bytes > s->scratch ? bytes : s->scratch;
    }
    return RW_OK;
}

static rw_status plan_memory(rw_session *s, const rw_session_options *o, rw_message *m) {
    sizes_eval(s->p, s->most, s->value);
    for (uint32_t i = 0; i < s->p->n_entries && !s->pool.is_out; i++)
        if (s->entries[i].is_wanted) entry_tables(s, &s->entries[i]);
    if (s->pool.is_out)
        return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", s->p->path);
    for (uint32_t i = 0; i < s->p->n_entries; i++)
        if (s->entries[i].is_wanted) {
            mark_entry(s, &s->entries[i]);
            mark_direct(s, &s->entries[i]);
        }
    if (!plan_states(s) || !plan_slots(s))
        return rw_fail(m, RW_BAD_SHAPE,
                       "%s: for these lengths of axes a tensor has no size or too large a one",
                       s->p->path);
    for (uint32_t i = 0; i < s->p->n_entries; i++) {
        if (!s->entries[i].is_wanted) continue;
        rw_status r = plan_arena(s, &s->entries[i], m);
        if (r != RW_OK) return r;
    }
    s->moves = POOL_NEW(&s->pool, move, s->max_moves + 1u);
    if (s->pool.is_out)
        return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", s->p->path);
    return params_place(s, o, m);
}

/* ---- taking it ------------------------------------------------------------------------------------- */

static void place_buffers(rw_session *s, lane_entry *x) {
    for (uint32_t i = 0; i < x->e->n_buffers; i++) {
        const buffer *b = &x->e->buffers[i];
        if (b->role == RW_ROLE_TEMP || b->role == RW_ROLE_OUTPUT) {
            x->base[i] = s->arena_base + (x->capacity[i] == SIZE_MAX ? 0 : x->at[i]);
        } else if (b->role == RW_ROLE_PARAM) {
            const store *v = &s->params[b->index].by_dtype[b->dtype];
            const param *p = &s->p->params[b->index];
            x->base[i] = v->base;
            x->capacity[i] = p->count * p->n_members * file_dtype_bytes(b->dtype);
        } else if (b->role == RW_ROLE_STATE) {
            x->capacity[i] = s->states[b->index].capacity;
        } else {
            x->base[i] = s->slots[x->e->inputs[b->index].slot].place;
            x->capacity[i] = s->slots[x->e->inputs[b->index].slot].capacity;
        }
    }
    for (uint32_t i = 0; i < x->e->n_outputs; i++)
        if (x->is_direct[i])
            x->capacity[x->e->outputs[i].buf] = s->states[x->e->outputs[i].index].capacity;
    for (uint32_t i = 0; i < x->e->n_buffers; i++)
        if (x->e->buffers[i].over != NOWHERE) x->capacity[i] = x->capacity[x->e->buffers[i].over];
}

static rw_status fill_first(rw_session *s, const state *t, session_state *x, rw_message *m) {
    float first = (float)t->first;
    size_t done = file_dtype_bytes(t->dtype);
    rw_status r = device_store_as(s, t->dtype, x->now, RW_FILE_F32, &first, 1, m);
    for (; done < x->capacity && r == RW_OK; done *= 2)
        r = device_copy(s, x->now + done, x->now,
                        x->capacity - done < done ? x->capacity - done : done, m);
    return r;
}

static rw_status no_memory(const rw_session *s, rw_message *m) {
    return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s: it takes %zu MiB", s->p->path,
                   rw_session_bytes(s) >> 20);
}

static rw_status take_host(rw_session *s, rw_message *m) {
    const rw_alloc *a = &s->c->alloc;
    size_t scratch = (s->scratch + 4095) & ~(size_t)4095; /* threads share no page */
    if (s->scratch > SIZE_MAX / 8 / s->n_lanes ||
        !memory_take(a, s->param_bytes + 1, &s->param_block) ||
        !memory_take(a, s->state_bytes + 1, &s->state_block) ||
        !memory_take(a, s->slot_bytes + 1, &s->slot_block) ||
        !memory_take(a, s->arena_bytes + MEMORY_ALIGN, &s->arena_block) ||
        !memory_take(a, scratch * s->n_lanes + MEMORY_ALIGN, &s->scratch_block))
        return no_memory(s, m);
    for (unsigned k = 0; k < s->n_lanes; k++)
        s->lanes[k].scratch = s->scratch_block.data + k * scratch;
    s->param_base = s->param_block.data;
    s->state_base = s->state_block.data;
    s->slot_base = s->slot_block.data;
    s->arena_base = s->arena_block.data;
    return RW_OK;
}

static rw_status take_blocks(rw_session *s, rw_message *m) {
    rw_status r = s->c->gpu != NULL ? device_take(s, m) : take_host(s, m);
    for (uint32_t i = 0; i < s->p->n_states && r == RW_OK; i++) {
        session_state *x = &s->states[i];
        x->now = x->is_used ? s->state_base + x->now_at : NULL;
        if (x->is_used && s->p->states[i].optimizer && s->p->states[i].first != 0)
            r = fill_first(s, &s->p->states[i], x, m);
        x->next = x->has_next ? s->state_base + x->next_at : NULL;
    }
    for (uint32_t i = 0; i < s->p->n_slots && r == RW_OK; i++) {
        slot *x = &s->slots[i];
        x->place = x->is_used ? s->slot_base + x->at : NULL;
        x->data = s->gpu == NULL ? x->place : x->is_used ? s->gpu->slots_host + x->at : NULL;
    }
    return r;
}

static void place_params(rw_session *s) {
    for (uint32_t i = 0; i < s->p->n_params; i++)
        for (int d = 0; d < RW_FILE_DTYPES; d++) {
            store *v = &s->params[i].by_dtype[d];
            const param *p = &s->p->params[i];
            if (!v->is_used || v->bytes == 0) continue;
            v->base = s->param_base + v->at;
            for (uint32_t k = 0; k < p->n_members; k++)
                v->member[k] = v->base + k * p->count * file_dtype_bytes((uint8_t)d);
        }
}

/* Buffers that change places must be alike. */
static bool swaps_fit(const lane_entry *x, const ops *list) {
    for (uint32_t i = 0; i < list->n; i++) {
        const op *o = &list->list[i];
        for (uint32_t c = 0; c < o->n_classes; c++)
            if (!swaps_fit(x, &o->bodies[c])) return false;
        if (o->kind == RW_OP_SWAP && x->part[o->args[0].buf][0] != x->part[o->args[1].buf][0])
            return false;
    }
    return true;
}

static rw_status make(rw_session *s, const rw_session_options *o, bool takes, rw_message *m) {
    rw_status r = make_tables(s, m);
    if (r == RW_OK) r = set_most(s, o, m);
    if (r == RW_OK) r = set_wanted(s, o, m);
    if (r == RW_OK) r = plan_memory(s, o, m);
    if (r != RW_OK || !takes) return r;
    r = take_blocks(s, m);
    if (r != RW_OK) return r;
    place_params(s);
    for (uint32_t i = 0; i < s->p->n_entries; i++) {
        lane_entry *x = &s->entries[i];
        if (!x->is_wanted) continue;
        place_buffers(s, x);
        if (!swaps_fit(x, &x->e->ops))
            return rw_fail(m, RW_BAD_FILE, "%s: entry %s exchanges buffers of different sizes",
                           s->p->path, x->e->name);
    }
    s->is_fresh = true;
    s->shapes = 1;
    if (o->weights == NULL) return RW_OK;
    if (o->allow_missing) r = params_first(s, o->seed, m);
    return r == RW_OK ? rw_params_load(s, o->weights, o->allow_missing, m) : r;
}

static rw_status create(rw_program *p, const rw_session_options *o, bool takes, rw_session **out,
                        rw_message *m) {
    static const rw_session_options none = {0};
    *out = NULL;
    pool first = {.alloc = &p->context->alloc};
    rw_session *s = POOL_NEW(&first, rw_session, 1);
    if (s == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", p->path);
    s->pool = first;
    s->p = p;
    s->c = p->context;
    rw_status r = make(s, o != NULL ? o : &none, takes, m);
    if (r == RW_OK)
        *out = s;
    else
        rw_session_destroy(s);
    return r;
}

rw_status rw_session_create(rw_program *p, const rw_session_options *o, rw_session **out,
                            rw_message *m) {
    *out = NULL;
    return create(p, o, true, out, m);
}

rw_status rw_program_bytes(const rw_program *p, const rw_session_options *o, size_t *bytes,
                           rw_message *m) {
    rw_program copy = *p; /* it is only read */
    rw_session *s;
    *bytes = 0;
    rw_status r = create(&copy, o, false, &s, m);
    if (r == RW_OK) *bytes = rw_session_bytes(s);
    rw_session_destroy(s);
    return r;
}

size_t rw_session_bytes(const rw_session *s) {
    return s->pool.bytes + s->param_bytes + s->state_bytes + s->slot_bytes + s->arena_bytes +
           s->n_lanes * s->scratch;
}

void rw_session_destroy(rw_session *s) {
    if (s == NULL) return;
    const rw_alloc *a = &s->c->alloc;
    device_give(s);
    memory_give(a, &s->param_block);
    memory_give(a, &s->state_block);
    memory_give(a, &s->slot_block);
    memory_give(a, &s->arena_block);
    memory_give(a, &s->scratch_block);
    profile_free(s);
    pool last = s->pool; /* s itself lies in it */
    pool_free(&last);
}
