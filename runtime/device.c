/* Numbers in and out of a session's memory. On a GPU they pass through pinned pieces of the host's memory. */
#include "device.h"

#include <string.h>

static const gpu_api *api_of(const rw_session *s) { return s->gpu->g->api; }

/* Room for n bytes, at most STAGE. What was used before is free when the device has read it. */
static rw_status take_stage(rw_session *s, size_t n, uint8_t **out, rw_message *m) {
    gpu_part *p = s->gpu;
    rw_status r = p->g->api->enter(p->g, m);
    if (r == RW_OK && p->stage_used + n > (size_t)STAGE * STAGES) {
        r = p->g->api->wait(p->g, p->queue, m);
        p->stage_used = 0;
    }
    *out = p->stage + p->stage_used;
    p->stage_used += (n + 63) & ~(size_t)63;
    return r;
}

rw_status device_store(rw_session *s, uint8_t *place, const void *from, size_t bytes,
                       rw_message *m) {
    if (s->gpu == NULL) {
        if (bytes > 0) memcpy(place, from, bytes);
        return RW_OK;
    }
    rw_status r = RW_OK;
    for (size_t at = 0; at < bytes && r == RW_OK; at += STAGE) {
        size_t n = bytes - at < STAGE ? bytes - at : STAGE;
        uint8_t *stage;
        r = take_stage(s, n, &stage, m);
        if (r != RW_OK) return r;
        memcpy(stage, (const uint8_t *)from + at, n);
        r = api_of(s)->up(s->gpu->g, s->gpu->queue, place + at, stage, n, m);
    }
    return r;
}

/* The pieces are free after a wait; what was on its way through them has arrived. */
rw_status device_fetch(const rw_session *s, void *to, const uint8_t *place, size_t bytes,
                       rw_message *m) {
    if (s->gpu == NULL) {
        if (bytes > 0) memcpy(to, place, bytes);
        return RW_OK;
    }
    gpu_part *p = s->gpu;
    rw_status r = p->g->api->enter(p->g, m);
    if (r == RW_OK && p->stage_used > 0) r = p->g->api->wait(p->g, p->queue, m);
    p->stage_used = 0;
    for (size_t at = 0; at < bytes && r == RW_OK; at += STAGE) {
        size_t n = bytes - at < STAGE ? bytes - at : STAGE;
        r = p->g->api->down(p->g, p->queue, p->stage, place + at, n, m);
        if (r == RW_OK) r = p->g->api->wait(p->g, p->queue, m);
        if (r == RW_OK) memcpy((uint8_t *)to + at, p->stage, n);
    }
    return r;
}

rw_status device_copy(rw_session *s, uint8_t *to, const uint8_t *from, size_t bytes,
                      rw_message *m) {
    if (bytes == 0 || to == from) return RW_OK;
    if (s->gpu != NULL) {
        rw_status r = api_of(s)->enter(s->gpu->g, m);
        return r == RW_OK ? api_of(s)->within(s->gpu->g, s->gpu->queue, to, from, bytes, m) : r;
    }
    memcpy(to, from, bytes);
    return RW_OK;
}

rw_status device_zero(rw_session *s, uint8_t *place, size_t bytes, rw_message *m) {
    if (bytes == 0) return RW_OK;
    if (s->gpu != NULL) {
        rw_status r = api_of(s)->enter(s->gpu->g, m);
        return r == RW_OK ? api_of(s)->zero(s->gpu->g, s->gpu->queue, place, bytes, m) : r;
    }
    memset(place, 0, bytes);
    return RW_OK;
}

/* ---- other types --------------------------------------------------------------------------------- */

rw_status device_store_as(rw_session *s, uint8_t to_type, uint8_t *place, uint8_t from_type,
                          const void *from, size_t n, rw_message *m) {
    if (s->gpu == NULL) {
        elements_convert(to_type, place, from_type, from, n);
        return RW_OK;
    }
    size_t to_each = file_dtype_bytes(to_type), from_each = file_dtype_bytes(from_type);
    size_t piece = STAGE / to_each;
    rw_status r = RW_OK;
    for (size_t at = 0; at < n && r == RW_OK; at += piece) {
        size_t k = n - at < piece ? n - at : piece;
        uint8_t *stage;
        r = take_stage(s, k * to_each, &stage, m);
        if (r != RW_OK) return r;
        elements_convert(to_type, stage, from_type, (const uint8_t *)from + at * from_each, k);
        r = api_of(s)->up(s->gpu->g, s->gpu->queue, place + at * to_each, stage, k * to_each, m);
    }
    return r;
}

/* n elements of t from `at` on; `wide`: with one rounding whatever they were. */
static void convert_part(uint8_t type, uint8_t *to, const rw_tensor *t, size_t at, size_t n,
                         bool wide) {
    enum { PIECE = 512 };
    double block[PIECE];
    size_t each = rw_dtype_bytes(t->dtype), to_each = file_dtype_bytes(type);
    for (size_t i = 0; i < n; i += PIECE) {
        size_t k = n - i < PIECE ? n - i : PIECE;
        rw_tensor part = {.dtype = t->dtype,
                          .rank = 1,
                          .shape = {(int64_t)k},
                          .data = (const uint8_t *)t->data + (at + i) * each,
                          .bytes = k * each};
        if (wide) {
            rw_tensor_to_f64(&part, block);
            rw_f64_to(file_dtype(type), block, to + i * to_each, k);
        } else {
            rw_tensor_to_f32(&part, (float *)block);
            rw_f32_to(file_dtype(type), (const float *)block, to + i * to_each, k);
        }
    }
}

rw_status device_store_tensor(rw_session *s, uint8_t type, uint8_t *place, const rw_tensor *t,
                              bool wide, rw_message *m) {
    size_t each = file_dtype_bytes(type), n = t->bytes / rw_dtype_bytes(t->dtype);
    if (t->dtype == file_dtype(type)) return device_store(s, place, t->data, t->bytes, m);
    if (s->gpu == NULL) {
        convert_part(type, place, t, 0, n, wide);
        return RW_OK;
    }
    rw_status r = RW_OK;
    for (size_t at = 0, piece = STAGE / each; at < n && r == RW_OK; at += piece) {
        size_t k = n - at < piece ? n - at : piece;
        uint8_t *stage;
        r = take_stage(s, k * each, &stage, m);
        if (r != RW_OK) return r;
        convert_part(type, stage, t, at, k, wide);
        r = api_of(s)->up(s->gpu->g, s->gpu->queue, place + at * each, stage, k * each, m);
    }
    return r;
}

/* Down, converted, and up again: only after parameters were set, or where a sequence starts. */
rw_status device_convert(rw_session *s, uint8_t to_type, uint8_t *to, uint8_t from_type,
                         const uint8_t *from, size_t n, rw_message *m) {
    size_t to_each = file_dtype_bytes(to_type), from_each = file_dtype_bytes(from_type);
    if (s->gpu == NULL) {
        elements_convert(to_type, to, from_type, from, n);
        return RW_OK;
    }
    if (to_type == from_type) return device_copy(s, to, from, n * to_each, m);
    gpu_part *p = s->gpu;
    rw_status r = p->g->api->enter(p->g, m);
    if (r == RW_OK) r = p->g->api->wait(p->g, p->queue, m); /* both pieces are needed */
    for (size_t at = 0, piece = STAGE / 4; at < n && r == RW_OK; at += piece) {
        size_t k = n - at < piece ? n - at : piece;
        uint8_t *other = p->stage + STAGE;
        r = p->g->api->down(p->g, p->queue, p->stage, from + at * from_each, k * from_each, m);
        if (r == RW_OK) r = p->g->api->wait(p->g, p->queue, m);
        if (r != RW_OK) break;
        elements_convert(to_type, other, from_type, p->stage, k);
        r = p->g->api->up(p->g, p->queue, to + at * to_each, other, k * to_each, m);
    }
    p->stage_used = (size_t)STAGE * STAGES; /* the second may still be read */
    return r;
}

/* ---- looking ------------------------------------------------------------------------------------- */

static mirror *find_mirror(gpu_part *p, const uint8_t *place) {
    for (size_t i = 0; i < p->n_mirrors; i++)
        if (p->mirrors[i].place == place) return &p->mirrors[i];
    return NULL;
}

static mirror *add_mirror(gpu_part *p, const rw_alloc *a, const uint8_t *place) {
    if (p->n_mirrors == p->cap_mirrors) {
        size_t each = sizeof *p->mirrors, cap = p->cap_mirrors > 0 ? 2 * p->cap_mirrors : 32;
        mirror *more = a->fn(a->user, p->mirrors, p->cap_mirrors * each, cap * each);
        if (more == NULL) return NULL;
        p->mirrors = more;
        p->cap_mirrors = cap;
    }
    p->mirrors[p->n_mirrors] = (mirror){.place = place};
    return &p->mirrors[p->n_mirrors++];
}

rw_status device_look(const rw_session *s, const uint8_t *place, size_t bytes, const uint8_t **out,
                      rw_message *m) {
    *out = place;
    if (s->gpu == NULL) return RW_OK;
    const rw_alloc *a = &s->c->alloc;
    mirror *x = find_mirror(s->gpu, place);
    if (x == NULL) x = add_mirror(s->gpu, a, place);
    if (x != NULL && x->block.bytes < bytes + MEMORY_ALIGN) { /* longer than it was */
        memory_give(a, &x->block);
        if (!memory_take(a, bytes + MEMORY_ALIGN, &x->block)) x = NULL;
    }
    if (x == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a copy of %zu bytes", bytes);
    *out = x->block.data;
    return device_fetch(s, x->block.data, place, bytes, m);
}

size_t device_copies(const rw_session *s) { return s->gpu != NULL ? s->gpu->n_mirrors : 0; }

void device_forget(const rw_session *s, size_t copies) {
    while (s->gpu != NULL && s->gpu->n_mirrors > copies)
        memory_give(&s->c->alloc, &s->gpu->mirrors[--s->gpu->n_mirrors].block);
}
