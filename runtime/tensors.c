/* Tensors of a session, looked at where they lie. */
#include <string.h>

#include "device.h"

static bool fill(rw_tensor *out, const char *name, rw_dtype dtype, int rank, const uint8_t *data) {
    out->name = name;
    out->dtype = dtype;
    out->rank = rank;
    out->data = data;
    size_t count = 0;
    (void)rw_tensor_count(out, &count);
    out->bytes = count * rw_dtype_bytes(dtype);
    return true;
}

static bool param_tensor(const param *p, uint32_t k, uint8_t dtype, const uint8_t *data,
                         rw_tensor *out) {
    memset(out, 0, sizeof *out);
    memcpy(out->shape, p->stored, sizeof out->shape);
    return fill(out, p->members[k].name, file_dtype(dtype), p->stored_rank, data);
}

/* Walks over the tensors of a kind: number `want`, or the one of this name, into *out; else counts. */
typedef struct walk {
    size_t n, want;
    const char *name; /* NULL: by number */
    rw_tensor *out;   /* NULL: only counted */
} walk;

static bool is_it(walk *w, const char *name) {
    bool hit = w->out != NULL && (w->name != NULL ? strcmp(w->name, name) == 0 : w->n == w->want);
    w->n++;
    return hit;
}

static bool walk_params(const rw_session *s, walk *w) {
    for (uint32_t i = 0; i < s->p->n_params; i++) {
        const param *p = &s->p->params[i];
        const store *v = &s->params[i].by_dtype[s->params[i].master];
        for (uint32_t k = 0; v->is_used && k < p->n_members; k++)
            if (is_it(w, p->members[k].name))
                return param_tensor(p, k, s->params[i].master, v->member[k], w->out);
    }
    return false;
}

static bool walk_states(const rw_session *s, bool optimizer, walk *w) {
    for (uint32_t i = 0; i < s->p->n_states; i++) {
        const state *t = &s->p->states[i];
        const session_state *x = &s->states[i];
        if (t->optimizer != optimizer || !x->is_used || (!optimizer && s->is_fresh)) continue;
        size_t bytes = file_dtype_bytes(t->dtype);
        for (uint32_t k = 0; k < t->rank; k++) bytes *= (size_t)x->dims[k];
        for (uint32_t k = 0; k < t->n_members; k++) {
            if (!is_it(w, t->members[k])) continue;
            memset(w->out, 0, sizeof *w->out);
            memcpy(w->out->shape, x->dims, t->rank * sizeof *x->dims);
            return fill(w->out, t->members[k], file_dtype(t->dtype), t->rank, x->now + k * bytes);
        }
    }
    return false;
}

static bool walk_gradients(const rw_session *s, walk *w) {
    const entry *e = s->last != NULL ? s->last->e : NULL;
    for (uint32_t i = 0; e != NULL && i < e->n_outputs; i++) {
        const output *o = &e->outputs[i];
        if (o->kind != OUT_GRAD) continue;
        const param *p = &s->p->params[o->index];
        uint8_t dtype = e->buffers[o->buf].dtype;
        for (uint32_t k = 0; k < p->n_members; k++)
            if (!p->members[k].frozen && is_it(w, p->members[k].name))
                return param_tensor(
                    p, k, dtype, s->lanes[0].ptr[o->buf] + k * p->count * file_dtype_bytes(dtype),
                    w->out);
    }
    return false;
}

static bool walk_outputs(const rw_session *s, walk *w) {
    const entry *e = s->last != NULL ? s->last->e : NULL;
    for (uint32_t i = 0; e != NULL && i < e->n_outputs; i++) {
        const output *o = &e->outputs[i];
        const buffer *b = &e->buffers[o->buf];
        bool is_result = o->kind == OUT_RESULT || o->kind == OUT_LOSS || o->kind == OUT_PENALTY ||
                         o->kind == OUT_METRIC;
        if (!is_result || b->rank > RW_MAX_RANK || !is_it(w, o->name)) continue;
        memset(w->out, 0, sizeof *w->out);
        for (uint32_t k = 0; k < b->rank; k++) w->out->shape[k] = s->value[b->dims[k]];
        const uint8_t *data = s->lanes[0].ptr[o->buf];
        if (data == NULL) /* a parameter as it is */
            data = s->params[b->index].by_dtype[b->dtype].member[0];
        return fill(w->out, o->name, file_dtype(b->dtype), b->rank, data);
    }
    return false;
}

static bool walk_kind(const rw_session *s, rw_kind kind, walk *w) {
    switch (kind) {
    case RW_PARAM: return walk_params(s, w);
    case RW_STATE: return walk_states(s, false, w);
    case RW_OPTIMIZER: return walk_states(s, true, w);
    case RW_OUTPUT: return walk_outputs(s, w);
    case RW_GRADIENT: return walk_gradients(s, w);
    default: return false;
    }
}

size_t rw_session_count(const rw_session *s, rw_kind kind) {
    walk w = {0};
    (void)walk_kind(s, kind, &w);
    return w.n;
}

/* The host's view of what the walk found. */
static rw_status found(const rw_session *s, rw_kind kind, walk *w, rw_message *m) {
    const uint8_t *data;
    if (!walk_kind(s, kind, w)) return RW_NO_SUCH;
    rw_status r = device_look(s, w->out->data, w->out->bytes, &data, m);
    w->out->data = data;
    return r;
}

rw_status rw_session_tensor(const rw_session *s, rw_kind kind, size_t i, rw_tensor *out) {
    walk w = {.want = i, .out = out};
    return found(s, kind, &w, NULL);
}

rw_status rw_session_find(const rw_session *s, rw_kind kind, const char *name, rw_tensor *out) {
    walk w = {.name = name, .out = out};
    return found(s, kind, &w, NULL);
}

/* ---- out of the session ---------------------------------------------------------------------------- */

void elements_convert(uint8_t to_type, void *to, uint8_t from_type, const void *from, size_t n) {
    float block[512];
    size_t to_each = file_dtype_bytes(to_type), from_each = file_dtype_bytes(from_type);
    if (to_type == from_type) {
        memcpy(to, from, n * to_each);
        return;
    }
    for (size_t at = 0; at < n; at += 512) {
        size_t k = n - at < 512 ? n - at : 512;
        rw_tensor part = {.dtype = file_dtype(from_type),
                          .rank = 1,
                          .shape = {(int64_t)k},
                          .data = (const uint8_t *)from + at * from_each,
                          .bytes = k * from_each};
        rw_tensor_to_f32(&part, block);
        rw_f32_to(file_dtype(to_type), block, (uint8_t *)to + at * to_each, k);
    }
}

rw_status rw_get(rw_session *s, const char *name, rw_dtype dtype, void *dst, size_t bytes,
                 rw_message *m) {
    rw_tensor t;
    if (s->last == NULL)
        return rw_fail(m, RW_NO_SUCH, "output '%s': nothing has been called", name);
    walk w = {.name = name, .out = &t};
    rw_status r = found(s, RW_OUTPUT, &w, m);
    if (r == RW_NO_SUCH)
        return rw_fail(m, RW_NO_SUCH, "entry %s has no output '%s'", s->last->e->name, name);
    if (r != RW_OK) return r;
    size_t each = rw_dtype_bytes(dtype), count = t.bytes / rw_dtype_bytes(t.dtype);
    if (each == 0 || bytes < count * each)
        return rw_fail(m, RW_BAD_SHAPE, "output '%s': %zu bytes of room, and it takes %zu", name,
                       bytes, count * each);
    if (t.dtype == dtype) {
        memcpy(dst, t.data, t.bytes);
        return RW_OK;
    }
    double block[256];
    for (size_t at = 0; at < count; at += 256) {
        size_t n = count - at < 256 ? count - at : 256;
        rw_tensor part = {.dtype = t.dtype,
                          .rank = 1,
                          .shape = {(int64_t)n},
                          .data = (const uint8_t *)t.data + at * rw_dtype_bytes(t.dtype),
                          .bytes = n * rw_dtype_bytes(t.dtype)};
        rw_tensor_to_f64(&part, block);
        rw_f64_to(dtype, block, (uint8_t *)dst + at * each, n);
    }
    return RW_OK;
}

rw_status rw_session_save(const rw_session *s, rw_kind kind, const char *path,
                          const char *const *meta, rw_message *m) {
    pool scratch = {.alloc = &s->c->alloc};
    size_t n = rw_session_count(s, kind), copies = device_copies(s);
    rw_tensor *t = POOL_NEW(&scratch, rw_tensor, n + 1);
    if (t == NULL) return rw_fail(m, RW_NO_MEMORY, "%s: no memory for %zu tensors", path, n);
    rw_status r = RW_OK;
    for (size_t i = 0; i < n && r == RW_OK; i++) {
        walk w = {.want = i, .out = &t[i]};
        r = found(s, kind, &w, m);
    }
    if (r == RW_OK) r = rw_weights_save(path, t, n, meta, m);
    device_forget(s, copies);
    pool_free(&scratch);
    return r;
}
