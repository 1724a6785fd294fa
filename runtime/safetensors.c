/* .safetensors: u64 length of the header | the header, JSON: name -> {dtype, shape, data_offsets}
 * | the data the offsets count in. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "weights_impl.h"

#define HEADER_MAX ((size_t)100 * 1000 * 1000) /* the format's own limit */

static const char *const dtype_names[RW_DTYPES] = {
#define DTYPE(id, name, bytes, family, st, npy, storage, torch) [id] = st,
#include "dtypes.def"
#undef DTYPE
};

/* ---- reading ------------------------------------------------------------------------------- */

typedef struct reader {
    rw_weights *w;
    const uint8_t *data; /* what the offsets count from */
    size_t bytes;
    rw_message *m;
} reader;

/* A JSON reader spends a hundred bytes and more on each object. An honest header has one for each
 * tensor, which takes 40 characters, and nests three deep; anything denser is refused before it is
 * parsed, so that the memory taken stays within some 30 times the header. */
static bool is_plain(const char *text, size_t n) {
    size_t depth = 0, objects = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            objects += c == '{';
            if (++depth > 3)
                return false;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        }
    }
    return objects <= 2 + n / 32;
}

static rw_status bad_tensor(const reader *r, const char *name, const char *what) {
    char q[QUOTED];
    return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s': %s", r->w->path,
                   text_quote(name, strlen(name), q), what);
}

static rw_status read_dtype(const reader *r, const char *name, const json_t *entry, rw_tensor *t) {
    char q[QUOTED], d_quoted[QUOTED];
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (text == NULL)
        return bad_tensor(r, name, "its header has no \"dtype\"");
    for (int d = 0; d < RW_DTYPES; d++) {
        if (strcmp(dtype_names[d], text) == 0) {
            t->dtype = (rw_dtype)d;
            return RW_OK;
        }
    }
    return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s': elements of type %s cannot be read; save "
                   "it as F32, F16 or BF16", r->w->path, text_quote(name, strlen(name), q),
                   text_quote(text, strlen(text), d_quoted));
}

static rw_status read_shape(const reader *r, const char *name, const json_t *entry, rw_tensor *t) {
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return bad_tensor(r, name, "its header has no \"shape\"");
    if (json_array_size(shape) > RW_MAX_RANK)
        return bad_tensor(r, name, "has more than 8 dimensions");
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return bad_tensor(r, name, "a dimension is no whole number from 0 up");
        t->shape[i] = json_integer_value(d);
    }
    return RW_OK;
}

static rw_status read_place(const reader *r, const char *name, const json_t *entry, rw_tensor *t) {
    char q[QUOTED], shape[128];
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad_tensor(r, name, "\"data_offsets\" is missing, or not two whole numbers");
    json_int_t a = json_integer_value(from), b = json_integer_value(to);
    if (a < 0 || b < a || (uint64_t)b > r->bytes)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' lies at bytes %lld to %lld of the data, "
                       "which has %zu: the file was cut, or is damaged", r->w->path,
                       text_quote(name, strlen(name), q), (long long)a, (long long)b, r->bytes);
    size_t n;
    if (rw_tensor_count(t, &n) != RW_OK || n * rw_dtype_bytes(t->dtype) != (size_t)(b - a))
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s': %s %s does not take the %lld bytes its "
                       "offsets give it", r->w->path, text_quote(name, strlen(name), q),
                       rw_dtype_name(t->dtype), rw_tensor_shape(t, shape, sizeof shape),
                       (long long)(b - a));
    t->data = weights_place(r->w, r->data + a, (size_t)(b - a), t->dtype);
    if (t->data == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory for %lld bytes", r->w->path,
                       (long long)(b - a));
    return RW_OK;
}

static rw_status read_tensor(const reader *r, const char *name, const json_t *entry) {
    rw_tensor t = {0};
    if (!json_is_object(entry))
        return bad_tensor(r, name, "its header is no JSON object");
    rw_status s = read_dtype(r, name, entry, &t);
    if (s == RW_OK)
        s = read_shape(r, name, entry, &t);
    if (s == RW_OK)
        s = read_place(r, name, entry, &t);
    if (s != RW_OK)
        return s;
    t.name = weights_text(r->w, name, strlen(name));
    if (t.name == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory", r->w->path);
    return weights_add(r->w, &t, r->m);
}

static rw_status read_meta(const reader *r, json_t *meta) {
    const char *key;
    json_t *value;
    if (!json_is_object(meta))
        return rw_fail(r->m, RW_BAD_FILE, "%s: __metadata__ is no JSON object", r->w->path);
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value))
            return rw_fail(r->m, RW_BAD_FILE, "%s: __metadata__ holds something that is no text",
                           r->w->path);
        rw_status s = weights_add_meta(r->w, key, json_string_value(value), r->m);
        if (s != RW_OK)
            return s;
    }
    return RW_OK;
}

static int order_by_place(const void *a, const void *b) {
    const rw_tensor *x = *(const rw_tensor *const *)a, *y = *(const rw_tensor *const *)b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    return p != q ? (p < q ? -1 : 1) : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Two tensors of one file never share bytes; in a damaged header they do. Copies made for their
 * alignment lie elsewhere and cannot be compared: they are left out of the check. */
static rw_status check_overlap(const reader *r) {
    rw_weights *w = r->w;
    char q[QUOTED];
    const rw_tensor **p = malloc((w->n + 1) * sizeof *p);
    if (p == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory", w->path);
    size_t n = 0;
    uintptr_t start = (uintptr_t)r->data;
    for (size_t i = 0; i < w->n; i++)
        if ((uintptr_t)w->t[i].data - start <= r->bytes && w->t[i].bytes > 0)
            p[n++] = &w->t[i];
    qsort(p, n, sizeof *p, order_by_place);
    rw_status s = RW_OK;
    for (size_t i = 1; i < n && s == RW_OK; i++)
        if ((uintptr_t)p[i]->data - (uintptr_t)p[i - 1]->data < p[i - 1]->bytes)
            s = rw_fail(r->m, RW_BAD_FILE, "%s: the bytes of tensor '%s' overlap those of another",
                        w->path, text_quote(p[i]->name, strlen(p[i]->name), q));
    free(p);
    return s;
}

static rw_status read_entries(const reader *r, json_t *root) {
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        rw_status s = strcmp(key, "__metadata__") == 0 ? read_meta(r, value)
                                                       : read_tensor(r, key, value);
        if (s != RW_OK)
            return s;
    }
    return check_overlap(r);
}

rw_status safetensors_read(rw_weights *w, rw_message *m) {
    const uint8_t *p = w->file.data;
    uint64_t length;
    memcpy(&length, p, sizeof length);
    if (length > HEADER_MAX || length > w->file.bytes - 8)
        return rw_fail(m, RW_BAD_FILE, "%s: the .safetensors header is to have %llu bytes, but the "
                       "file has %zu: it was cut, or is damaged", w->path,
                       (unsigned long long)length, w->file.bytes);
    size_t n = (size_t)length;
    const char *text = (const char *)p + 8;
    if (!is_plain(text, n))
        return rw_fail(m, RW_BAD_FILE, "%s: the .safetensors header nests in a way no such header "
                       "does", w->path);
    json_error_t e;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL) {
        char q[QUOTED];
        if (json_error_code(&e) == json_error_out_of_memory)
            return rw_fail(m, RW_NO_MEMORY, "%s: no memory for its header", w->path);
        return rw_fail(m, RW_BAD_FILE, "%s: the .safetensors header is no JSON: %s (at byte %d)",
                       w->path, text_quote(e.text, strlen(e.text), q), e.position + 8);
    }
    reader r = {.w = w, .data = p + 8 + n, .bytes = w->file.bytes - 8 - n, .m = m};
    rw_status s = read_entries(&r, root); /* an object: the header begins with '{' */
    json_decref(root);
    return s;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The data of wide elements comes first: each tensor is then aligned to its element size without
 * holes, which the format forbids. In the header the tensors stand in the caller's order. */
static const size_t widths[] = {8, 4, 2, 1};
#define WIDTHS (sizeof widths / sizeof *widths)

static size_t *place_tensors(const save_plan *p) {
    size_t *at = malloc((p->n + 1) * sizeof *at), next = 0;
    if (at == NULL)
        return NULL;
    for (size_t k = 0; k < WIDTHS; k++) {
        for (size_t i = 0; i < p->n; i++) {
            if (rw_dtype_bytes(p->t[i].dtype) != widths[k])
                continue;
            at[i] = next;
            next += p->t[i].bytes;
        }
    }
    return at;
}

static json_t *entry_of(const rw_tensor *t, size_t at) {
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype_names[t->dtype], "shape", shape,
                     "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes));
}

/* NULL if there is no memory, or a text of the metadata is not UTF-8. */
static json_t *make_header(const save_plan *p, const size_t *at) {
    json_t *root = json_object();
    int failed = root == NULL;
    if (p->meta != NULL) {
        json_t *meta = json_object();
        for (const char *const *k = p->meta; k[0] != NULL && k[1] != NULL; k += 2)
            failed |= json_object_set_new(meta, k[0], json_string(k[1]));
        failed |= json_object_set_new(root, "__metadata__", meta);
    }
    for (size_t i = 0; i < p->n; i++)
        failed |= json_object_set_new(root, p->t[i].name, entry_of(&p->t[i], at[i]));
    if (!failed)
        return root;
    json_decref(root);
    return NULL;
}

/* Length, header, and spaces up to a multiple of 64, so that the data is aligned in a map. */
static rw_status write_header(save_plan *p, const size_t *at) {
    static const char spaces[] = "                                                                ";
    json_t *root = make_header(p, at);
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (text == NULL)
        return rw_fail(p->m, RW_NO_MEMORY, "%s: cannot make the header (no memory, or a text of "
                       "the metadata is not UTF-8)", p->path);
    size_t n = strlen(text), pad = (64 - (8 + n) % 64) % 64;
    uint64_t length = n + pad;
    rw_status s = length > HEADER_MAX ? rw_fail(p->m, RW_BAD_ARG, "%s: %zu tensors make a header "
                                                "of more than 100 MB, which .safetensors forbids; "
                                                "write a .pth", p->path, p->n)
                                      : rw_file_write(p->out, &length, sizeof length, p->m);
    if (s == RW_OK)
        s = rw_file_write(p->out, text, n, p->m);
    if (s == RW_OK)
        s = rw_file_write(p->out, spaces, pad, p->m);
    free(text);
    return s;
}

static rw_status write_data(save_plan *p) {
    for (size_t k = 0; k < WIDTHS; k++) {
        for (size_t i = 0; i < p->n; i++) {
            const void *data;
            if (rw_dtype_bytes(p->t[i].dtype) != widths[k] || p->t[i].bytes == 0)
                continue;
            rw_status s = save_data(p, i, &data);
            if (s == RW_OK)
                s = rw_file_write(p->out, data, p->t[i].bytes, p->m);
            if (s != RW_OK)
                return s;
        }
    }
    return RW_OK;
}

rw_status safetensors_write(save_plan *p) {
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->t[i].name, "__metadata__") == 0)
            return rw_fail(p->m, RW_BAD_ARG, "%s: no tensor of a .safetensors file can be named "
                           "__metadata__", p->path);
    size_t *at = place_tensors(p);
    if (at == NULL)
        return rw_fail(p->m, RW_NO_MEMORY, "%s: no memory", p->path);
    rw_status s = write_header(p, at);
    free(at);
    return s == RW_OK ? write_data(p) : s;
}
