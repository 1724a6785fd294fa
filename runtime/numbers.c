/* From the shapes of what was put to every number of a call: lengths of axes, bytes of buffers, grids. */
#include <stdio.h>
#include <string.h>

#include "session.h"

/* ---- axes -------------------------------------------------------------------------------------- */

/* The only axis of a size whose length is not known; UINT32_MAX: none, or more than one. */
static uint32_t one_unknown(const rw_program *p, uint32_t number, const int64_t *axes) {
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < p->n_axes; i++) {
        if (axes[i] > 0 || !size_uses(p, number, i)) continue;
        if (found != UINT32_MAX) return UINT32_MAX;
        found = i;
    }
    return found;
}

static int64_t value_at(rw_session *s, uint32_t number, int64_t *axes, uint32_t which,
                        int64_t length) {
    axes[which] = length;
    sizes_eval(s->p, axes, s->value);
    axes[which] = 0;
    return s->value[number];
}

/* The length at which a size that is linear in axis `which` is `wanted`; 0: none. */
static int64_t solve(rw_session *s, uint32_t number, int64_t *axes, uint32_t which,
                     int64_t wanted) {
    int64_t step = s->p->axes[which].multiple;
    int64_t a = value_at(s, number, axes, which, step),
            b = value_at(s, number, axes, which, 2 * step);
    int64_t slope, offset;
    if (a == SIZE_NONE || b == SIZE_NONE || __builtin_sub_overflow(b, a, &slope) || slope == 0 ||
        __builtin_sub_overflow(wanted, a, &offset) ||
        __builtin_mul_overflow(offset, step, &offset) || offset % slope != 0)
        return 0;
    offset = offset / slope + step;
    return offset >= 1 ? offset : 0;
}

static void find_axes(rw_session *s, const entry *e, int64_t *axes) {
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < e->n_inputs; i++) {
            const input *x = &e->inputs[i];
            for (uint32_t d = 0; d < x->rank; d++) {
                uint32_t which = one_unknown(s->p, x->dims[d], axes);
                if (which == UINT32_MAX) continue;
                axes[which] = solve(s, x->dims[d], axes, which, s->slots[x->slot].shape[d]);
                again = again || axes[which] > 0;
            }
        }
    }
    for (uint32_t i = 0; i < s->p->n_axes; i++) {
        if (axes[i] == 0) axes[i] = s->fixed[i];
        if (axes[i] == 0) axes[i] = s->axes[i];
        if (axes[i] == 0) axes[i] = s->most[i];
    }
}

/* "input 'token' [2,513]": where the length of an axis came from. */
static void input_text(const rw_session *s, const input *x, char *text, size_t cap) {
    char shape[120];
    rw_tensor t = {.rank = s->slots[x->slot].rank};
    memcpy(t.shape, s->slots[x->slot].shape, sizeof t.shape);
    rw_tensor_shape(&t, shape, sizeof shape);
    snprintf(text, cap, "input '%s' %s", x->name, shape);
}

static rw_status check_axis(const rw_session *s, const entry *e, uint32_t i, int64_t length,
                            rw_message *m) {
    const axis *a = &s->p->axes[i];
    char origin[240] = "";
    for (uint32_t k = 0; k < e->n_inputs && origin[0] == '\0'; k++)
        for (uint32_t d = 0; d < e->inputs[k].rank; d++)
            if (size_uses(s->p, e->inputs[k].dims[d], i) && origin[0] == '\0')
                input_text(s, &e->inputs[k], origin, sizeof origin);
    if (origin[0] == '\0') snprintf(origin, sizeof origin, "entry %s", e->name);
    if (length > s->most[i])
        return rw_fail(m, RW_BAD_SHAPE,
                       "%s: axis %s is %lld, the session was created for %s up to %lld", origin,
                       a->name, (long long)length, a->name, (long long)s->most[i]);
    if (length % a->multiple != 0)
        return rw_fail(m, RW_BAD_SHAPE, "%s: axis %s is %lld, and must be a multiple of %lld",
                       origin, a->name, (long long)length, (long long)a->multiple);
    return RW_OK;
}

static rw_status check_input(const rw_session *s, const input *x, rw_message *m) {
    const slot *k = &s->slots[x->slot];
    char text[240], want[160];
    input_text(s, x, text, sizeof text);
    rw_dims_text(s->p, x->dims, x->rank, want, sizeof want);
    if (k->rank != x->rank)
        return rw_fail(m, RW_BAD_SHAPE, "%s: the shape wanted is %s%s", text, want,
                       x->rank == k->rank + 1 ? " (the batch axis comes first, even for one sample)"
                                              : "");
    for (uint32_t d = 0; d < x->rank; d++)
        if (s->value[x->dims[d]] != k->shape[d])
            return rw_fail(m, RW_BAD_SHAPE,
                           "%s: the shape wanted is %s: axis %u is %lld and should be %lld", text,
                           want, d, (long long)k->shape[d], (long long)s->value[x->dims[d]]);
    return RW_OK;
}

/* ---- buffers and kernels ------------------------------------------------------------------------- */

static bool buffer_parts(const rw_session *s, const buffer *b, int64_t *part) {
    int64_t bytes = (int64_t)file_dtype_bytes(b->dtype);
    for (uint32_t i = b->rank; i > 0; i--) {
        if (i <= RW_FILE_MEMBER) part[i] = bytes;
        int64_t n = s->value[b->dims[i - 1]];
        if (n == SIZE_NONE || n < 0 || __builtin_mul_overflow(bytes, n, &bytes) ||
            bytes > INT64_MAX / 16)
            return false;
    }
    part[0] = bytes;
    return true;
}

rw_status entry_numbers(rw_session *s, lane_entry *x, rw_message *m) {
    for (uint32_t i = 0; i < x->e->n_buffers; i++)
        if (!buffer_parts(s, &x->e->buffers[i], x->part[i]))
            return rw_fail(
                m, RW_BAD_SHAPE,
                "entry %s: for these lengths of axes a tensor has no size or too large a one",
                x->e->name);
    for (uint32_t i = 0; i < x->e->n_kernels; i++) {
        const kernel *k = &x->e->kernels[i];
        x->grid[i] = s->value[k->grid];
        bool good = x->grid[i] >= 0 && s->value[k->scratch] >= 0;
        for (uint32_t j = 0; j < k->n_sizes; j++) {
            x->numbers[i][j] = s->value[k->sizes[j]];
            good = good && x->numbers[i][j] != SIZE_NONE;
        }
        if (!good)
            return rw_fail(m, RW_BAD_SHAPE,
                           "entry %s: kernel %s has no size for these lengths of axes", x->e->name,
                           k->symbol);
    }
    return RW_OK;
}

/* What an output leads on has as many elements, or, where a sequence starts, one sample of them. */
static bool output_fits(const rw_session *s, const lane_entry *x, const output *o) {
    int64_t has = x->part[o->buf][0] / (int64_t)file_dtype_bytes(x->e->buffers[o->buf].dtype);
    if (o->kind == OUT_PARAM || o->kind == OUT_GRAD) {
        const param *p = &s->p->params[o->index];
        return (size_t)has == p->count * p->n_members;
    }
    if (o->kind != OUT_STATE && o->kind != OUT_OPT) return true;
    const state *t = &s->p->states[o->index];
    int64_t count = t->n_members;
    for (uint32_t i = 0; i < t->rank; i++) {
        int64_t n = s->value[t->dims[i]];
        if (n == SIZE_NONE || n < 1 || __builtin_mul_overflow(count, n, &count)) return false;
    }
    int64_t bytes;
    if (__builtin_mul_overflow(count, (int64_t)file_dtype_bytes(t->dtype), &bytes) ||
        (size_t)bytes > s->states[o->index].capacity)
        return false;
    return has == count || (t->rank > 0 && has == count / s->value[t->dims[0]]);
}

/* What was taken for the largest lengths is enough for these. */
static rw_status check_room(const rw_session *s, const lane_entry *x, rw_message *m) {
    bool good = true;
    for (uint32_t i = 0; i < x->e->n_buffers; i++)
        good = good && (size_t)x->part[i][0] <= x->capacity[i];
    for (uint32_t i = 0; i < x->e->n_kernels; i++)
        good = good && (size_t)s->value[x->e->kernels[i].scratch] <= s->scratch;
    for (uint32_t i = 0; i < x->e->n_outputs; i++)
        good = good && output_fits(s, x, &x->e->outputs[i]);
    return good ? RW_OK
                : rw_fail(m, RW_BAD_SHAPE,
                          "entry %s: these lengths of axes need more memory than the largest ones",
                          x->e->name);
}

rw_status entry_at(rw_session *s, lane_entry *x, const int64_t *axes, rw_message *m) {
    const entry *e = x->e;
    s->value_of = NULL;
    x->ready_for = 0;
    if (axes != x->axes) memcpy(x->axes, axes, s->p->n_axes * sizeof *x->axes);
    sizes_eval(s->p, x->axes, s->value);
    for (uint32_t i = 0; i < e->n_inputs; i++) {
        rw_status r = check_input(s, &e->inputs[i], m);
        if (r != RW_OK) return r;
    }
    rw_status r = entry_numbers(s, x, m);
    if (r == RW_OK) r = check_room(s, x, m);
    if (r != RW_OK) return r;
    /* of what has inputs, the axes follow from their shapes alone, and so does all the rest */
    x->ready_for = e->n_inputs > 0 ? s->shapes : 0;
    s->value_of = x;
    memcpy(s->axes, x->axes, s->p->n_axes * sizeof *s->axes);
    return RW_OK;
}

rw_status entry_axes(rw_session *s, lane_entry *x, rw_message *m) {
    const entry *e = x->e;
    if (x->ready_for == s->shapes) {
        if (s->value_of != x) sizes_eval(s->p, x->axes, s->value);
        s->value_of = x;
        memcpy(s->axes, x->axes, s->p->n_axes * sizeof *s->axes);
        return RW_OK;
    }
    s->value_of = NULL;
    x->ready_for = 0;
    memset(x->axes, 0, s->p->n_axes * sizeof *x->axes);
    for (uint32_t i = 0; i < e->n_inputs; i++)
        if (s->slots[e->inputs[i].slot].rank != e->inputs[i].rank)
            return check_input(s, &e->inputs[i], m);
    find_axes(s, e, x->axes);
    for (uint32_t i = 0; i < s->p->n_axes; i++) {
        rw_status r = check_axis(s, e, i, x->axes[i], m);
        if (r != RW_OK) return r;
    }
    return entry_at(s, x, x->axes, m);
}
