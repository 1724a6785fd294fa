/* What goes into a call and comes out of it. */
#include <stdio.h>
#include <string.h>

#include "device.h"

/* ---- inputs -------------------------------------------------------------------------------------- */

static slot *find_slot(rw_session *s, const char *name, rw_message *m) {
    char all[240] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < s->p->n_slots; i++) {
        if (!s->slots[i].is_used) continue;
        if (strcmp(s->p->slots[i], name) == 0) return &s->slots[i];
        int k = snprintf(all + n, sizeof all - n, " %s", s->p->slots[i]);
        n = k > 0 && n + (size_t)k < sizeof all ? n + (size_t)k : n;
    }
    (void)rw_fail(m, RW_NO_SUCH, "there is no input '%s'; the entries of this session have:%s",
                  name, n > 0 ? all : " none");
    return NULL;
}

/* The least promise any entry has for it; 0: none. */
static int64_t promise(const rw_session *s, const slot *x) {
    int64_t below = 0;
    for (uint32_t i = 0; i < s->p->n_entries; i++)
        for (uint32_t k = 0; s->entries[i].is_wanted && k < s->entries[i].e->n_inputs; k++) {
            const input *in = &s->entries[i].e->inputs[k];
            if (&s->slots[in->slot] == x && in->below > 0 && (below == 0 || in->below < below))
                below = in->below;
        }
    return below;
}

static rw_status too_large(const rw_session *s, const slot *x, const char *name, const char *shape,
                           rw_message *m) {
    char want[160] = "", most[200] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < s->p->n_entries && want[0] == '\0'; i++)
        for (uint32_t k = 0; s->entries[i].is_wanted && k < s->entries[i].e->n_inputs; k++) {
            const input *in = &s->entries[i].e->inputs[k];
            if (&s->slots[in->slot] == x && in->rank == x->rank)
                rw_dims_text(s->p, in->dims, in->rank, want, sizeof want);
        }
    for (uint32_t i = 0; i < s->p->n_axes; i++) {
        int k = snprintf(most + n, sizeof most - n, "%s %s up to %lld", n > 0 ? "," : "",
                         s->p->axes[i].name, (long long)s->most[i]);
        n = k > 0 && n + (size_t)k < sizeof most ? n + (size_t)k : n;
    }
    return rw_fail(m, RW_BAD_SHAPE, "input '%s' %s: the session was created for%s%s%s", name, shape,
                   most, want[0] != '\0' ? ", the shape is " : "", want);
}

/* n numbers of t from `at` on. */
static rw_tensor piece(const rw_tensor *t, size_t at, size_t n) {
    size_t each = rw_dtype_bytes(t->dtype);
    return (rw_tensor){.name = t->name,
                       .dtype = t->dtype,
                       .rank = 1,
                       .shape = {(int64_t)n},
                       .data = t->data != NULL ? (const uint8_t *)t->data + at * each : NULL,
                       .bytes = n * each};
}

enum { PIECE = 512 };

static rw_status put_ints(slot *x, const rw_tensor *t, size_t count, int64_t below,
                          const char *name, rw_message *m) {
    int64_t block[PIECE];
    int32_t *to = (int32_t *)(void *)x->data;
    for (size_t at = 0; at < count; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        rw_tensor part = piece(t, at, n);
        part.name = name;
        rw_status r = rw_tensor_to_i64(&part, block, m);
        if (r != RW_OK) return r;
        for (size_t i = 0; i < n; i++) {
            int64_t v = block[i];
            if (below > 0 && (v < 0 || v >= below))
                return rw_fail(
                    m, RW_BAD_ARG,
                    "input '%s': number %zu is %lld, and the text declares index(%lld): 0 to %lld",
                    name, at + i, (long long)v, (long long)below, (long long)below - 1);
            if (v < INT32_MIN || v > INT32_MAX)
                return rw_fail(m, RW_BAD_ARG, "input '%s': number %zu is %lld, more than 32 bits",
                               name, at + i, (long long)v);
            to[at + i] = (int32_t)v;
        }
    }
    return RW_OK;
}

static void put_reals(slot *x, const rw_tensor *t, size_t count) {
    float block[PIECE];
    size_t each = file_dtype_bytes(x->dtype);
    if (file_dtype(x->dtype) == t->dtype) {
        if (count > 0) memcpy(x->data, t->data, count * each);
        return;
    }
    for (size_t at = 0; at < count; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        rw_tensor part = piece(t, at, n);
        rw_tensor_to_f32(&part, block);
        rw_f32_to(file_dtype(x->dtype), block, x->data + at * each, n);
    }
}

rw_status rw_put(rw_session *s, const char *name, const rw_tensor *t, rw_message *m) {
    char shape[120];
    size_t count, room;
    slot *x = find_slot(s, name, m);
    if (x == NULL) return RW_NO_SUCH;
    if (rw_tensor_count(t, &count) != RW_OK || t->bytes != count * rw_dtype_bytes(t->dtype) ||
        (count > 0 && t->data == NULL))
        return rw_fail(m, RW_BAD_SHAPE, "input '%s': its shape and its bytes do not fit", name);
    rw_tensor_shape(t, shape, sizeof shape);
    if (count == 0)
        return rw_fail(m, RW_BAD_SHAPE, "input '%s' %s: every axis is at least 1 long", name,
                       shape);
    bool same = x->is_given && x->rank == t->rank &&
                memcmp(x->shape, t->shape, (size_t)t->rank * sizeof *t->shape) == 0;
    x->is_given = x->is_sent = false;
    x->rank = (uint8_t)t->rank;
    memcpy(x->shape, t->shape, sizeof x->shape);
    if (!same) s->shapes++;
    if (__builtin_mul_overflow(count, file_dtype_bytes(x->dtype), &room) || room > x->capacity)
        return too_large(s, x, name, shape, m);
    rw_status r = RW_OK;
    if (x->dtype == RW_FILE_I32)
        r = put_ints(x, t, count, promise(s, x), name, m);
    else
        put_reals(x, t, count);
    x->is_given = r == RW_OK;
    return r;
}

static bool has_slot(const rw_session *s, const char *name) {
    for (uint32_t i = 0; i < s->p->n_slots; i++)
        if (s->slots[i].is_used && strcmp(s->p->slots[i], name) == 0) return true;
    return false;
}

static bool draws_random(const rw_session *s) {
    for (uint32_t i = 0; i < s->p->n_entries; i++)
        if (s->entries[i].is_wanted && s->entries[i].e->has_random) return true;
    return false;
}

void rw_set_seed(rw_session *s, uint64_t seed) { s->seed = seed; }

rw_status rw_put_number(rw_session *s, const char *name, double value, rw_message *m) {
    int64_t whole = value >= -0x1p53 && value <= 0x1p53 ? (int64_t)value : 0;
    bool is_whole = (double)whole == value;
    if (strcmp(name, "seed") == 0 && draws_random(s)) {
        s->seed = (uint64_t)whole;
        if (!has_slot(s, name))
            return is_whole ? RW_OK : rw_fail(m, RW_BAD_ARG, "seed: %g is no whole number", value);
    }
    slot *x = find_slot(s, name, m);
    if (x == NULL) return RW_NO_SUCH;
    if (x->dtype == RW_FILE_I32 && !is_whole)
        return rw_fail(m, RW_BAD_ARG, "input '%s': %g is no whole number", name, value);
    rw_tensor t = {.name = name, .dtype = RW_F64, .data = &value, .bytes = sizeof value};
    if (x->dtype == RW_FILE_I32)
        t = (rw_tensor){.name = name, .dtype = RW_I64, .data = &whole, .bytes = sizeof whole};
    return rw_put(s, name, &t, m);
}

rw_status rw_set_axis(rw_session *s, const char *name, int64_t length, rw_message *m) {
    for (uint32_t i = 0; i < s->p->n_axes; i++) {
        if (strcmp(s->p->axes[i].name, name) != 0) continue;
        if (length < 1 || length > s->most[i] || length % s->p->axes[i].multiple != 0)
            return rw_fail(
                m, RW_BAD_SHAPE,
                "axis %s: %lld; the session was created for up to %lld, in steps of %lld", name,
                (long long)length, (long long)s->most[i], (long long)s->p->axes[i].multiple);
        s->fixed[i] = length;
        s->shapes++;
        return RW_OK;
    }
    return rw_fail(m, RW_NO_SUCH, "%s has no axis '%s'", s->p->path, name);
}

/* ---- calls ---------------------------------------------------------------------------------------- */

static rw_status check_given(const rw_session *s, const entry *e, rw_message *m) {
    for (uint32_t i = 0; i < e->n_inputs; i++)
        if (!s->slots[e->inputs[i].slot].is_given)
            return rw_fail(m, RW_BAD_ARG, "entry %s: input '%s' was not given", e->name,
                           e->inputs[i].name);
    return RW_OK;
}

static void bind_states(rw_session *s, lane_entry *x) {
    for (uint32_t i = 0; i < x->e->n_buffers; i++)
        if (x->e->buffers[i].role == RW_ROLE_STATE)
            x->base[i] = s->states[x->e->buffers[i].index].now;
    for (uint32_t i = 0; i < x->e->n_outputs; i++)
        if (x->is_direct[i]) x->base[x->e->outputs[i].buf] = s->states[x->e->outputs[i].index].next;
    for (uint32_t i = 0; i < x->e->n_buffers; i++)
        if (x->e->buffers[i].over != NOWHERE) x->base[i] = x->base[x->e->buffers[i].over];
}

/* States of a sequence that begins, for the axes of x: as the text says, or zero. */
static rw_status begin_states(rw_session *s, lane_entry *x, rw_message *m) {
    lane_entry *start = session_start_of(s, x->e);
    for (uint32_t i = 0; i < s->p->n_states; i++) {
        const state *t = &s->p->states[i];
        if (t->optimizer || !s->states[i].is_used) continue;
        size_t bytes = file_dtype_bytes(t->dtype) * t->n_members;
        for (uint32_t k = 0; k < t->rank; k++) {
            s->states[i].dims[k] = s->value[t->dims[k]];
            bytes *= s->value[t->dims[k]] > 0 ? (size_t)s->value[t->dims[k]] : 0;
        }
        size_t most = s->states[i].capacity;
        rw_status r = device_zero(s, s->states[i].now, bytes < most ? bytes : most, m);
        if (r != RW_OK) return r;
    }
    s->is_fresh = false;
    if (start == NULL) return RW_OK;
    rw_status r = entry_at(s, start, x->axes, m);
    if (r != RW_OK) return r;
    bind_states(s, start);
    r = params_refresh(s, start, m);
    if (r == RW_OK) r = session_run(s, start, m);
    return r == RW_OK ? entry_at(s, x, x->axes, m) : r;
}

/* The states of the last call have the axes of this one. */
static rw_status check_states(const rw_session *s, const lane_entry *x, rw_message *m) {
    for (uint32_t i = 0; i < x->e->n_buffers; i++) {
        if (x->e->buffers[i].role != RW_ROLE_STATE) continue;
        const state *t = &s->p->states[x->e->buffers[i].index];
        const session_state *now = &s->states[x->e->buffers[i].index];
        for (uint32_t k = 0; k < t->rank; k++)
            if (now->dims[k] != s->value[t->dims[k]])
                return rw_fail(
                    m, RW_BAD_SHAPE,
                    "state '%s': axis %u is %lld, and %lld for the inputs of this call: begin a sequence, "
                    "or go on with as many samples as before",
                    t->members[0], k, (long long)now->dims[k], (long long)s->value[t->dims[k]]);
    }
    return RW_OK;
}

rw_status rw_call(rw_session *s, const char *name, rw_message *m) {
    lane_entry *x = session_entry(s, name);
    s->last = NULL;
    if (s->p->library == NULL && s->p->module == NULL)
        return rw_fail(m, RW_BAD_ARG, "%s was only read, not loaded", s->p->path);
    if (x == NULL)
        return rw_fail(m, RW_NO_SUCH,
                       rw_find_entry(s->p, name) != NULL
                           ? "entry '%s' is none of those this session was created for"
                           : "there is no entry '%s'",
                       name);
    rw_status r = check_given(s, x->e, m);
    if (r == RW_OK) r = entry_axes(s, x, m);
    if (r == RW_OK && s->gpu != NULL) r = device_begin(s, m);
    if (r == RW_OK && x->reads_states && s->is_fresh)
        r = begin_states(s, x, m);
    else if (r == RW_OK)
        r = check_states(s, x, m);
    if (r != RW_OK) return r;
    profile_call_begin(s, x);
    bind_states(s, x);
    r = params_refresh(s, x, m);
    if (r == RW_OK) r = session_run(s, x, m);
    if (r == RW_OK && s->gpu != NULL) r = device_end(s, m);
    profile_call_end(s, x);
    if (r != RW_OK) {
        s->last = NULL;
        s->is_fresh = true;
        return r;
    }
    for (uint32_t i = 0; i < x->e->n_outputs; i++)
        if (x->e->outputs[i].kind == OUT_STATE) s->is_fresh = false;
    return RW_OK;
}
