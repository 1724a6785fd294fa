/* States of a session from files and from other sessions. */
#include <string.h>

#include "device.h"

rw_status rw_states_start(rw_session *s) {
    s->is_fresh = true;
    return RW_OK;
}

/* Takes the shape of one member; the axes that depend on run-time axes may have any length that fits. */
static rw_status take_shape(rw_session *s, uint32_t i, const rw_tensor *t, rw_message *m) {
    const state *x = &s->p->states[i];
    session_state *to = &s->states[i];
    char found[120], want[160];
    size_t bytes = file_dtype_bytes(x->dtype) * x->n_members, count;
    bool good = t->rank == x->rank && rw_tensor_count(t, &count) == RW_OK &&
                t->bytes == count * rw_dtype_bytes(t->dtype);
    for (uint32_t k = 0; good && k < x->rank; k++) {
        int64_t n = rw_size_eval(s->p, x->dims[k], NULL, NULL);
        good = t->shape[k] >= 1 && (n == SIZE_NONE || n == t->shape[k]) &&
               !__builtin_mul_overflow(bytes, (size_t)t->shape[k], &bytes);
    }
    rw_dims_text(s->p, x->dims, x->rank, want, sizeof want);
    if (!good)
        return rw_fail(m, RW_BAD_SHAPE, "state '%s': its shape is %s, the text wants %s", t->name,
                       rw_tensor_shape(t, found, sizeof found), want);
    if (bytes > to->capacity)
        return rw_fail(m, RW_BAD_SHAPE,
                       "state '%s' %s is larger than the session was created for (%s)", t->name,
                       rw_tensor_shape(t, found, sizeof found), want);
    memcpy(to->dims, t->shape, x->rank * sizeof *t->shape);
    return RW_OK;
}

static rw_status take_member(rw_session *s, uint32_t i, uint32_t k, const rw_tensor *t,
                             rw_message *m) {
    const state *x = &s->p->states[i];
    size_t count = t->bytes / rw_dtype_bytes(t->dtype);
    uint8_t *to = s->states[i].now + k * count * file_dtype_bytes(x->dtype);
    return device_store_tensor(s, x->dtype, to, t, true, m);
}

static rw_status load_state(rw_session *s, uint32_t i, const rw_weights *w, rw_message *m) {
    const state *x = &s->p->states[i];
    for (uint32_t k = 0; k < x->n_members; k++) {
        const rw_tensor *t = rw_weights_find(w, x->members[k]);
        if (t == NULL) return rw_fail(m, RW_NO_SUCH, "state '%s' is missing", x->members[k]);
        const rw_tensor *first = rw_weights_find(w, x->members[0]);
        rw_status r = take_shape(s, i, t, m);
        if (r != RW_OK) return r;
        if (t->rank != first->rank ||
            memcmp(t->shape, first->shape, (size_t)t->rank * sizeof *t->shape) != 0)
            return rw_fail(m, RW_BAD_SHAPE,
                           "states '%s' and '%s' are for different numbers of samples", first->name,
                           t->name);
        r = take_member(s, i, k, t, m);
        if (r != RW_OK) return r;
    }
    return RW_OK;
}

rw_status rw_states_load(rw_session *s, rw_kind kind, const rw_weights *w, rw_message *m) {
    if (kind != RW_STATE && kind != RW_OPTIMIZER)
        return rw_fail(m, RW_BAD_ARG, "that is no kind of states");
    for (uint32_t i = 0; i < s->p->n_states; i++) {
        if (!s->states[i].is_used || s->p->states[i].optimizer != (kind == RW_OPTIMIZER)) continue;
        rw_status r = load_state(s, i, w, m);
        if (r != RW_OK) {
            s->is_fresh = s->is_fresh || kind == RW_STATE; /* half of them are no state */
            return r;
        }
    }
    if (kind == RW_STATE) s->is_fresh = false;
    return RW_OK;
}

rw_status rw_states_copy(rw_session *to, const rw_session *from, rw_message *m) {
    if (to->p != from->p)
        return rw_fail(m, RW_BAD_ARG, "states go from one session to another of the same program");
    if (from->is_fresh) return rw_states_start(to);
    for (uint32_t i = 0; i < to->p->n_states; i++) {
        const state *x = &to->p->states[i];
        if (x->optimizer || !to->states[i].is_used) continue;
        size_t bytes = file_dtype_bytes(x->dtype) * x->n_members;
        for (uint32_t k = 0; k < x->rank; k++) bytes *= (size_t)from->states[i].dims[k];
        if (!from->states[i].is_used || bytes > to->states[i].capacity) {
            to->is_fresh = true;
            return rw_fail(m, RW_BAD_SHAPE, "state '%s': no room for it in the other session",
                           x->members[0]);
        }
        rw_status r = device_copy(to, to->states[i].now, from->states[i].now, bytes, m);
        if (r != RW_OK) return r;
        memcpy(to->states[i].dims, from->states[i].dims, sizeof to->states[i].dims);
    }
    to->is_fresh = false;
    return RW_OK;
}
