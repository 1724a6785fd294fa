/* Reading torch's .pth: a zip with the pickle <root>/data.pkl, which names the tensors and says how
 * each views one storage, and the bytes of each storage in <root>/data/<key>. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pickle.h"
#include "weights_impl.h"
#include "zip.h"

#define CHECK_ALL_BELOW ((uint64_t)64 << 20) /* storages are summed up while they are small */
#define DEPTH_MAX 16
#define NAME_MAX_BYTES 4096

typedef struct reader {
    rw_weights *w;
    zip_directory zip;
    const char *root; /* "archive/": what stands before the names of all entries */
    size_t root_length;
    size_t visits_left; /* a pickle can hold one dict many times: bounds what is walked ... */
    size_t names_left;  /* ... and the bytes of the names that makes */
    size_t copies_left;
    uint64_t storages;  /* bytes of all storages that are used, each once */
    rw_message *m;
} reader;

static zip_entry *entry_of(const reader *r, const char *name, size_t n) {
    return zip_find(&r->zip, r->root, r->root_length, name, n);
}

/* The pickle is the one entry named data.pkl in some folder. */
static rw_status find_root(reader *r, const zip_entry **pickled) {
    static const char name[] = "data.pkl";
    size_t n = sizeof name - 1;
    *pickled = NULL;
    for (size_t i = 0; i < r->zip.n; i++) {
        const zip_entry *e = &r->zip.entry[i];
        if (e->name_length < n || memcmp(e->name + e->name_length - n, name, n) != 0 ||
            (e->name_length > n && e->name[e->name_length - n - 1] != '/'))
            continue;
        if (*pickled != NULL && (*pickled)->name_length <= e->name_length)
            continue; /* the outermost one, were there several */
        *pickled = e;
        r->root = e->name;
        r->root_length = e->name_length - n;
    }
    if (*pickled == NULL)
        return rw_fail(r->m, RW_BAD_FILE, "%s: this zip file holds no data.pkl: it is no torch "
                       "file (an .npz, perhaps)", r->w->path);
    return RW_OK;
}

static rw_status check_order(const reader *r) {
    const uint8_t *p;
    const zip_entry *e = entry_of(r, "byteorder", 9);
    if (e == NULL || e->bytes != 3)
        return RW_OK;
    rw_status s = zip_data(&r->zip, e, &p, r->m);
    if (s == RW_OK && memcmp(p, "big", 3) == 0)
        s = rw_fail(r->m, RW_BAD_FILE, "%s: was written on a big-endian machine; load and save it "
                    "on a little-endian one", r->w->path);
    return s;
}

/* ---- one tensor ---------------------------------------------------------------------------- */

static rw_status bad_tensor(const reader *r, const char *name, const char *what) {
    char q[QUOTED];
    return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s': %s", r->w->path,
                   text_quote(name, strlen(name), q), what);
}

static rw_status find_storage(reader *r, const char *name, const pickle_tensor *t,
                              const uint8_t **data, size_t *count) {
    const pickle_storage *st = t->storage;
    char key[QUOTED], q[QUOTED];
    text_quote(st->key, st->key_length, key);
    char *path = malloc(st->key_length + 5);
    if (path == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory", r->w->path);
    memcpy(path, "data/", 5);
    memcpy(path + 5, st->key, st->key_length);
    zip_entry *e = entry_of(r, path, st->key_length + 5);
    free(path);
    if (e == NULL)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s': its storage data/%s is not in the file",
                       r->w->path, text_quote(name, strlen(name), q), key);
    size_t size = st->is_untyped ? 1 : rw_dtype_bytes(t->dtype);
    if ((uint64_t)st->count > e->bytes / size)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s': its storage data/%s is to have %lld "
                       "elements, but has %llu bytes", r->w->path,
                       text_quote(name, strlen(name), q), key, (long long)st->count,
                       (unsigned long long)e->bytes);
    *count = st->is_untyped ? (size_t)st->count / rw_dtype_bytes(t->dtype) : (size_t)st->count;
    rw_status s = zip_data(&r->zip, e, data, r->m);
    if (s == RW_OK && !e->is_used) {
        e->is_used = true;
        r->storages += e->bytes;
    }
    return s;
}

/* The last element the view reaches must lie inside the storage. */
static bool fits(const pickle_tensor *t, size_t n, size_t count) {
    uint64_t last = (uint64_t)t->offset;
    if (n == 0)
        return last <= count;
    for (int i = 0; i < t->rank; i++) {
        uint64_t reach;
        if (__builtin_mul_overflow((uint64_t)t->shape[i] - 1, (uint64_t)t->stride[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return false;
    }
    return last < count;
}

static bool is_contiguous(const pickle_tensor *t) {
    uint64_t expected = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && (uint64_t)t->stride[i] != expected)
            return false;
        expected *= (uint64_t)t->shape[i];
    }
    return true;
}

/* Elements of a view in C order. requires: the view fits its storage. */
static void copy_view(const pickle_tensor *t, const uint8_t *src, uint8_t *dst, size_t n) {
    size_t size = rw_dtype_bytes(t->dtype), at[RW_MAX_RANK] = {0};
    for (size_t e = 0; e < n; e++) {
        memcpy(dst, src, size);
        dst += size;
        for (int i = t->rank - 1; i >= 0; i--) {
            size_t step = (size_t)t->stride[i] * size;
            if (++at[i] < (size_t)t->shape[i]) {
                src += step;
                break;
            }
            src -= step * ((size_t)t->shape[i] - 1);
            at[i] = 0;
        }
    }
}

static rw_status place_view(reader *r, const char *name, const pickle_tensor *t, size_t n,
                            const uint8_t *src, rw_tensor *out) {
    char q[QUOTED], shape[160];
    size_t size = rw_dtype_bytes(t->dtype);
    if (n == 0) {
        out->data = src;
        return RW_OK;
    }
    src += (size_t)t->offset * size;
    if (is_contiguous(t) && (uintptr_t)src % size == 0) {
        out->data = src;
        return RW_OK;
    }
    if (n * size > r->copies_left)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' is a view expanded to %s; the views of "
                       "this file would take more than %u times its size; save .contiguous() "
                       "tensors", r->w->path, text_quote(name, strlen(name), q),
                       rw_tensor_shape(out, shape, sizeof shape), WEIGHTS_GROWTH);
    uint8_t *copy = weights_own(r->w, n * size);
    if (copy == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory for %zu bytes of tensor '%s'", r->w->path,
                       n * size, text_quote(name, strlen(name), q));
    r->copies_left -= n * size;
    copy_view(t, src, copy, n);
    out->data = copy;
    return RW_OK;
}

static rw_status read_tensor(reader *r, const char *name, const pickle_tensor *t) {
    rw_tensor out = {.name = name, .dtype = t->dtype, .rank = t->rank};
    const uint8_t *src = NULL;
    size_t n, count = 0;
    for (int i = 0; i < t->rank; i++)
        out.shape[i] = t->shape[i];
    if (rw_tensor_count(&out, &n) != RW_OK)
        return bad_tensor(r, name, "its shape has more elements than can be counted");
    rw_status s = find_storage(r, name, t, &src, &count);
    if (s != RW_OK)
        return s;
    if (!fits(t, n, count))
        return bad_tensor(r, name, "its shape, strides and offset reach beyond its storage");
    s = place_view(r, name, t, n, src, &out);
    return s == RW_OK ? weights_add(r->w, &out, r->m) : s;
}

/* ---- the tree of dicts --------------------------------------------------------------------- */

/* The name so far; parts are joined by dots. */
typedef struct path {
    char text[NAME_MAX_BYTES];
    size_t n;
} path;

static rw_status append_part(const reader *r, path *at, const char *s, size_t n) {
    bool is_first = at->n == 0;
    if (n + 2 > sizeof at->text - at->n)
        return rw_fail(r->m, RW_BAD_FILE, "%s: a tensor's name has more than %d bytes", r->w->path,
                       NAME_MAX_BYTES);
    if (!text_is_valid(s, n))
        return rw_fail(r->m, RW_BAD_FILE, "%s: a name in the pickle is not UTF-8", r->w->path);
    if (!is_first)
        at->text[at->n++] = '.';
    memcpy(at->text + at->n, s, n);
    at->n += n;
    return RW_OK;
}

static rw_status append_key(const reader *r, path *at, const pickle_value *key) {
    char number[24];
    if (key->kind == P_TEXT)
        return append_part(r, at, key->text, key->n);
    int n = snprintf(number, sizeof number, "%lld", (long long)key->integer);
    return append_part(r, at, number, (size_t)n);
}

static rw_status leaf(reader *r, const path *at, const pickle_tensor *t) {
    if (at->n + 1 > r->names_left)
        return rw_fail(r->m, RW_BAD_FILE, "%s: the names in its pickle are nested more than any "
                       "checkpoint's are", r->w->path);
    r->names_left -= at->n + 1;
    char *name = at->n > 0 ? weights_text(r->w, at->text, at->n) : weights_text(r->w, "tensor", 6);
    if (name == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory", r->w->path);
    return read_tensor(r, name, t);
}

/* Depth first, in the order of the file; recursion is bounded by DEPTH_MAX. */
static rw_status walk(reader *r, path *at, const pickle_value *v, int depth) {
    if (v->kind == P_TENSOR)
        return leaf(r, at, v->tensor);
    bool is_dict = v->kind == P_DICT;
    if (!is_dict && v->kind != P_LIST && v->kind != P_TUPLE)
        return RW_OK;
    if (depth == DEPTH_MAX)
        return rw_fail(r->m, RW_BAD_FILE, "%s: its dicts nest more than %d deep", r->w->path,
                       DEPTH_MAX);
    size_t n = at->n, stride = is_dict ? 2 : 1;
    for (size_t i = 0; i < v->n; i += stride) {
        pickle_value index = {.kind = P_INT, .integer = (int64_t)i};
        const pickle_value *key = is_dict ? v->item[i] : &index;
        if (r->visits_left == 0)
            return rw_fail(r->m, RW_BAD_FILE, "%s: its pickle holds the same dicts again and again",
                           r->w->path);
        r->visits_left--;
        if (key->kind != P_TEXT && key->kind != P_INT && key->kind != P_BOOL)
            continue; /* tuples and the like name no tensor */
        rw_status s = append_key(r, at, key);
        if (s == RW_OK)
            s = walk(r, at, v->item[i + stride - 1], depth + 1);
        if (s != RW_OK)
            return s;
        at->n = n;
    }
    return RW_OK;
}

static rw_status read_tree(reader *r, const pickle_value *top, size_t pickled) {
    r->visits_left = 8 * pickled + 64;
    r->names_left = 16 * pickled + ((size_t)1 << 16);
    if (__builtin_mul_overflow(r->w->file.bytes, (size_t)WEIGHTS_GROWTH, &r->copies_left) ||
        __builtin_add_overflow(r->copies_left, WEIGHTS_SLACK, &r->copies_left))
        r->copies_left = (size_t)PTRDIFF_MAX;
    path *at = malloc(sizeof *at);
    if (at == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory", r->w->path);
    at->n = 0;
    rw_status s = walk(r, at, top, 0);
    free(at);
    return s;
}

/* ---- the file ------------------------------------------------------------------------------ */

static rw_status read_pickle(reader *r, const zip_entry *e) {
    const uint8_t *p;
    const pickle_value *top;
    pickle *values;
    rw_status s = zip_data(&r->zip, e, &p, r->m);
    if (s != RW_OK)
        return s;
    s = pickle_read(r->w->path, p, (size_t)e->bytes, &values, &top, r->m);
    if (s == RW_OK)
        s = read_tree(r, top, (size_t)e->bytes);
    pickle_free(values);
    return s;
}

static rw_status check_storages(reader *r) {
    rw_status s = RW_OK;
    if (r->storages >= CHECK_ALL_BELOW)
        return RW_OK;
    for (size_t i = 0; i < r->zip.n && s == RW_OK; i++)
        if (r->zip.entry[i].is_used)
            s = zip_check(&r->zip, &r->zip.entry[i], r->m);
    return s;
}

/* What rw_weights_save was given as meta: key and value, each NUL-terminated. */
static rw_status read_meta(reader *r) {
    const uint8_t *p;
    zip_entry *e = entry_of(r, "extra/meta", 10);
    if (e == NULL)
        return RW_OK;
    rw_status s = zip_data(&r->zip, e, &p, r->m);
    if (s == RW_OK)
        s = zip_check(&r->zip, e, r->m);
    size_t left = (size_t)e->bytes;
    while (s == RW_OK && left > 0) {
        const uint8_t *value = memchr(p, 0, left);
        const uint8_t *end = value != NULL ? memchr(value + 1, 0, left - (size_t)(value - p) - 1)
                                           : NULL;
        if (end == NULL)
            return rw_fail(r->m, RW_BAD_FILE, "%s: entry extra/meta is damaged", r->w->path);
        s = weights_add_meta(r->w, (const char *)p, (const char *)value + 1, r->m);
        left -= (size_t)(end - p) + 1;
        p = end + 1;
    }
    return s;
}

rw_status pth_read(rw_weights *w, rw_message *m) {
    reader r = {.w = w, .m = m};
    const zip_entry *e;
    rw_status s = zip_open(&w->file, w->path, &r.zip, m);
    if (s == RW_OK)
        s = find_root(&r, &e);
    if (s == RW_OK)
        s = zip_check(&r.zip, &r.zip.entry[e - r.zip.entry], m);
    if (s == RW_OK)
        s = check_order(&r);
    if (s == RW_OK)
        s = read_pickle(&r, e);
    if (s == RW_OK)
        s = read_meta(&r);
    if (s == RW_OK)
        s = check_storages(&r);
    free(r.zip.entry);
    return s;
}
