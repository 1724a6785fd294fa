/* Parameters of a session: where they lie, their first values, and values from files. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "rng.h"
#include "weights_impl.h"

/* ---- places ---------------------------------------------------------------------------------------- */

static bool same_but_ones(const int64_t *a, int n, const int64_t *b, int k) {
    int i = 0, j = 0;
    for (;;) {
        while (i < n && a[i] == 1) i++;
        while (j < k && b[j] == 1) j++;
        if (i == n || j == k) return i == n && j == k;
        if (a[i++] != b[j++]) return false;
    }
}

/* A tensor that kernels can read where it is: in the map of its file (or a copy that belongs to w), at
 * a multiple of 64, with 64 readable bytes behind it. */
static bool is_in_place(const rw_weights *w, const param *p, const rw_tensor *t, uint8_t dtype) {
    const uint8_t *data = t->data, *end = w->file.data + ((w->file.bytes + 4095) & ~(size_t)4095);
    return t->dtype == file_dtype(dtype) &&
           same_but_ones(t->shape, t->rank, p->stored, p->stored_rank) &&
           ((uintptr_t)data & (MEMORY_ALIGN - 1)) == 0 && w->file.is_mapped &&
           data >= w->file.data && data < end && (size_t)(end - data) >= t->bytes + MEMORY_ALIGN;
}

static bool map_members(const rw_session_options *o, const param *p, store *v, uint8_t dtype) {
    for (uint32_t k = 0; k < p->n_members; k++) {
        const rw_tensor *t = rw_weights_find(o->weights, p->members[k].name);
        if (t == NULL || !is_in_place(o->weights, p, t, dtype)) return false;
    }
    for (uint32_t k = 0; k < p->n_members; k++) {
        /* read only: a parameter some entry writes is never mapped */
        const void *data = rw_weights_find(o->weights, p->members[k].name)->data;
        memcpy(&v->member[k], &data, sizeof data);
    }
    return true;
}

/* The type that is set and trained: f32 where there is any. */
static void choose_master(session_param *x, bool keep_all) {
    int used = 0, which = RW_FILE_F32;
    for (int d = 0; d < RW_FILE_DTYPES; d++)
        if (x->by_dtype[d].is_used) {
            which = d;
            used++;
        }
    if (x->is_written || used > 1) which = RW_FILE_F32;
    if (used == 0 && !keep_all && !x->is_written) return;
    x->master = (uint8_t)which;
    x->by_dtype[which].is_used = true;
}

rw_status params_place(rw_session *s, const rw_session_options *o, rw_message *m) {
    for (uint32_t i = 0; i < s->p->n_params; i++) {
        const param *p = &s->p->params[i];
        session_param *x = &s->params[i];
        choose_master(x, o->weights == NULL);
        int used = 0;
        for (int d = 0; d < RW_FILE_DTYPES; d++) used += x->by_dtype[d].is_used;
        for (int d = 0; d < RW_FILE_DTYPES; d++) {
            store *v = &x->by_dtype[d];
            if (!v->is_used) continue;
            v->member = POOL_NEW(&s->pool, uint8_t *, p->n_members + 1u);
            if (v->member == NULL)
                return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", s->p->path);
            if (o->weights != NULL && s->c->gpu == NULL && used == 1 && !x->is_written &&
                !v->is_whole && map_members(o, p, v, (uint8_t)d))
                continue;
            v->bytes = p->count * p->n_members * file_dtype_bytes((uint8_t)d);
            if (!memory_place(&s->param_bytes, v->bytes, &v->at))
                return rw_fail(m, RW_BAD_SHAPE, "%s: its parameters are too large", s->p->path);
        }
    }
    return RW_OK;
}

/* ---- from the master to the others --------------------------------------------------------------------- */

typedef struct refresh {
    rw_session *s;
    const lane_entry *x;
} refresh;

/* The variant of parameter buffer i that is older than its master, or NULL. */
static store *stale(const refresh *r, uint32_t i) {
    const buffer *b = &r->x->e->buffers[i];
    if (b->role != RW_ROLE_PARAM) return NULL;
    session_param *p = &r->s->params[b->index];
    store *v = &p->by_dtype[b->dtype];
    return v->is_used && v->version != p->version && b->dtype != p->master ? v : NULL;
}

/* Thread k's part of every stale variant. */
static void refresh_part(void *user, unsigned k) {
    const refresh *r = user;
    size_t n = r->s->n_lanes;
    for (uint32_t i = 0; i < r->x->e->n_buffers; i++) {
        const store *v = stale(r, i);
        if (v == NULL) continue;
        const buffer *b = &r->x->e->buffers[i];
        const param *p = &r->s->p->params[b->index];
        const session_param *x = &r->s->params[b->index];
        size_t begin = p->count / n * k, end = k + 1 == n ? p->count : p->count / n * (k + 1);
        size_t to = file_dtype_bytes(b->dtype), from = file_dtype_bytes(x->master);
        for (uint32_t j = 0; j < p->n_members; j++)
            elements_convert(b->dtype, v->member[j] + begin * to, x->master,
                             x->by_dtype[x->master].member[j] + begin * from, end - begin);
    }
}

static rw_status refresh_gpu(const refresh *r, rw_message *m) {
    for (uint32_t i = 0; i < r->x->e->n_buffers; i++) {
        const store *v = stale(r, i);
        if (v == NULL) continue;
        const buffer *b = &r->x->e->buffers[i];
        const param *p = &r->s->p->params[b->index];
        const session_param *x = &r->s->params[b->index];
        rw_status s = device_convert(r->s, b->dtype, v->base, x->master,
                                     x->by_dtype[x->master].base, p->count * p->n_members, m);
        if (s != RW_OK) return s;
    }
    return RW_OK;
}

rw_status params_refresh(rw_session *s, const lane_entry *x, rw_message *m) {
    refresh r = {s, x};
    bool any = false;
    for (uint32_t i = 0; i < x->e->n_buffers; i++) any = any || stale(&r, i) != NULL;
    if (!any) return RW_OK;
    rw_status status = s->gpu != NULL ? refresh_gpu(&r, m) : RW_OK;
    if (s->gpu == NULL) threads_run(s->c->threads, refresh_part, &r);
    for (uint32_t i = 0; i < x->e->n_buffers && status == RW_OK; i++) {
        store *v = stale(&r, i);
        if (v != NULL) v->version = s->params[x->e->buffers[i].index].version;
    }
    return status;
}

static void changed(session_param *x) {
    x->version++;
    x->by_dtype[x->master].version = x->version;
}

/* ---- first values ----------------------------------------------------------------------------------------- */

static rw_status draw(const param *p, uint32_t k, uint64_t seed, double *dst, float *out,
                      rw_message *m) {
    const member *x = &p->members[k];
    size_t rows = p->rank > 0 ? (size_t)p->shape[0] : 1;
    rw_status r = RW_OK;
    switch (p->init) {
    case INIT_FORMULA: return formula_fill(p, k, out, m);
    case INIT_UNIFORM: rw_draw_uniform(seed, x->name, x->a, x->b, dst, p->count); break;
    case INIT_NORMAL: rw_draw_normal(seed, x->name, x->a, dst, p->count); break;
    case INIT_TRUNC_NORMAL: rw_draw_trunc_normal(seed, x->name, x->a, dst, p->count); break;
    default: r = rw_draw_orthogonal(seed, x->name, x->a, rows, p->count / rows, dst, m);
    }
    for (size_t i = 0; r == RW_OK && i < p->count; i++) out[i] = (float)dst[i];
    return r;
}

static rw_status first_value(rw_session *s, uint32_t i, uint32_t k, uint64_t seed, double *dst,
                             float *out, rw_message *m) {
    const param *p = &s->p->params[i];
    const session_param *x = &s->params[i];
    rw_status r = draw(p, k, seed, dst, out, m);
    if (r != RW_OK) return r;
    for (size_t n = 0; n < p->count; n++)
        if (!isfinite(out[n]))
            return rw_fail(m, RW_BAD_FILE, "first value of '%s': element %zu is not finite",
                           p->members[k].name, n);
    return device_store_as(s, x->master, x->by_dtype[x->master].member[k], RW_FILE_F32, out,
                           p->count, m);
}

/* Members that lie in a file of weights have their values and keep them. */
static bool is_own(const session_param *x) {
    return x->by_dtype[x->master].is_used && x->by_dtype[x->master].base != NULL;
}

rw_status params_first(rw_session *s, uint64_t seed, rw_message *m) {
    size_t most = 0;
    for (uint32_t i = 0; i < s->p->n_params; i++)
        if (is_own(&s->params[i]) && s->p->params[i].count > most) most = s->p->params[i].count;
    memory_block block;
    if (most > SIZE_MAX / 16 || !memory_take(&s->c->alloc, most * 12 + 12, &block))
        return rw_fail(m, RW_NO_MEMORY, "no memory for the first values of parameters");
    double *dst = (double *)(void *)block.data;
    float *out = (float *)(void *)(block.data + most * 8);
    rw_status r = RW_OK;
    for (uint32_t i = 0; i < s->p->n_params && r == RW_OK; i++) {
        if (!is_own(&s->params[i])) continue;
        for (uint32_t k = 0; k < s->p->params[i].n_members && r == RW_OK; k++)
            r = first_value(s, i, k, seed, dst, out, m);
        changed(&s->params[i]);
    }
    memory_give(&s->c->alloc, &block);
    return r;
}

rw_status rw_params_init(rw_session *s, uint64_t seed, rw_message *m) {
    for (uint32_t i = 0; i < s->p->n_params; i++)
        if (s->params[i].by_dtype[s->params[i].master].is_used && !is_own(&s->params[i]))
            return rw_fail(m, RW_BAD_ARG,
                           "the parameters of this session lie in a file of weights");
    return params_first(s, seed, m);
}

/* ---- from files ------------------------------------------------------------------------------------------- */

static rw_status set_member(rw_session *s, uint32_t i, uint32_t k, const rw_tensor *t,
                            rw_message *m) {
    const param *p = &s->p->params[i];
    session_param *x = &s->params[i];
    uint8_t *to = x->by_dtype[x->master].member[k];
    char found[120], want[120];
    if (!same_but_ones(t->shape, t->rank, p->stored, p->stored_rank) ||
        t->bytes != p->count * rw_dtype_bytes(t->dtype)) {
        rw_tensor like = {.rank = p->stored_rank};
        memcpy(like.shape, p->stored, sizeof like.shape);
        return rw_fail(m, RW_BAD_SHAPE, "parameter '%s': its shape is %s, the text wants %s",
                       t->name, rw_tensor_shape(t, found, sizeof found),
                       rw_tensor_shape(&like, want, sizeof want));
    }
    if (t->data == to) return RW_OK;
    if (!is_own(x))
        return rw_fail(m, RW_BAD_ARG, "parameter '%s' lies in another file of weights", t->name);
    if (!rw_dtype_is_float(t->dtype))
        return rw_fail(m, RW_BAD_SHAPE,
                       "parameter '%s': its elements are %s, and real ones are wanted", t->name,
                       rw_dtype_name(t->dtype));
    return device_store_tensor(s, x->master, to, t, false, m);
}

rw_status rw_param_set(rw_session *s, const rw_tensor *t, rw_message *m) {
    for (uint32_t i = 0; i < s->p->n_params; i++)
        for (uint32_t k = 0; k < s->p->params[i].n_members; k++) {
            if (strcmp(s->p->params[i].members[k].name, t->name) != 0) continue;
            if (!s->params[i].by_dtype[s->params[i].master].is_used)
                return RW_OK; /* no entry of this session reads it */
            changed(&s->params[i]);
            return set_member(s, i, k, t, m);
        }
    return rw_fail(m, RW_NO_SUCH, "there is no parameter '%s'", t->name);
}

rw_status rw_params_load(rw_session *s, const rw_weights *w, bool allow_missing, rw_message *m) {
    const char *missing = NULL;
    size_t n_missing = 0;
    for (uint32_t i = 0; i < s->p->n_params; i++) {
        const param *p = &s->p->params[i];
        session_param *x = &s->params[i];
        if (!x->by_dtype[x->master].is_used) continue;
        for (uint32_t k = 0; k < p->n_members; k++) {
            const rw_tensor *t = rw_weights_find(w, p->members[k].name);
            if (t == NULL) {
                if (x->is_needed && !p->promoted && n_missing++ == 0) missing = p->members[k].name;
                continue;
            }
            rw_status r = set_member(s, i, k, t, m);
            if (r != RW_OK) return r;
        }
        changed(x);
    }
    if (n_missing == 0 || allow_missing) return RW_OK;
    char more[48] = "";
    if (n_missing > 1) snprintf(more, sizeof more, ", and %zu more", n_missing - 1);
    return rw_fail(m, RW_NO_SUCH, "%s: parameter '%s' is missing%s", w->path, missing, more);
}
