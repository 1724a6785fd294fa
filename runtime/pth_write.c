/* Writing torch's .pth as torch.save does: a zip of stored entries with an OrderedDict of tensors
 * in data.pkl (protocol 2) and one storage for each tensor, aligned to 64 bytes. Sizes and check
 * sums stand in the local headers, since the bytes of an entry are known before it is written. All
 * dates are the first a zip file can hold: same tensors, same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "weights_impl.h"

#define ROOT "archive/" /* torch takes any folder */
#define SATURATED 0xffffffffu
enum { ALIGNMENT = 64, NAME_CAP = 48 };

static const struct {
    const char *storage, *dtype;
} torch_names[RW_DTYPES] = {
#define DTYPE(id, name, bytes, family, st, npy, storage, torch) [id] = {storage, torch},
#include "dtypes.def"
#undef DTYPE
};

/* ---- a growing text of bytes --------------------------------------------------------------- */

typedef struct buffer {
    uint8_t *data;
    size_t n, cap;
    bool has_failed; /* no memory */
} buffer;

static void put(buffer *b, const void *data, size_t n) {
    if (n > b->cap - b->n) {
        size_t cap = b->cap * 2 + n + 256;
        uint8_t *more = b->has_failed ? NULL : realloc(b->data, cap);
        if (more == NULL) {
            b->has_failed = true;
            return;
        }
        b->data = more;
        b->cap = cap;
    }
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

/* x in `bytes` bytes, little endian */
static void put_number(buffer *b, uint64_t x, size_t bytes) {
    uint8_t p[8];
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(x >> 8 * i);
    put(b, p, bytes);
}

static void put_op(buffer *b, int op) {
    put_number(b, (uint64_t)op, 1);
}

/* ---- the pickle ---------------------------------------------------------------------------- */

/* What is written once and then recalled, by its number in the pickle's memo. */
enum memo { M_DICT, M_REBUILD, M_REBUILD3, M_STORAGE, M_CPU, M_UNTYPED, M_CLASS,
            M_DTYPE = M_CLASS + RW_DTYPES, M_ALL = M_DTYPE + RW_DTYPES };

typedef struct pickler {
    buffer b;
    bool is_known[M_ALL];
} pickler;

static void put_text(buffer *b, const char *s) {
    put_op(b, 'X');
    put_number(b, strlen(s), 4);
    put(b, s, strlen(s));
}

static void put_int(buffer *b, int64_t x) {
    if (x < 256) {
        put_op(b, 'K');
        put_number(b, (uint64_t)x, 1);
    } else if (x < 65536) {
        put_op(b, 'M');
        put_number(b, (uint64_t)x, 2);
    } else if (x <= INT32_MAX) {
        put_op(b, 'J');
        put_number(b, (uint64_t)x, 4);
    } else {
        put_number(b, 0x088a, 2); /* LONG1 of 8 bytes */
        put_number(b, (uint64_t)x, 8);
    }
}

static bool recall(pickler *p, unsigned i) {
    if (p->is_known[i]) {
        put_op(&p->b, 'h');
        put_number(&p->b, i, 1);
    }
    return p->is_known[i];
}

static void remember(pickler *p, unsigned i) {
    put_op(&p->b, 'q');
    put_number(&p->b, i, 1);
    p->is_known[i] = true;
}

static void put_global(pickler *p, unsigned i, const char *module, const char *name) {
    if (recall(p, i))
        return;
    put_op(&p->b, 'c');
    put(&p->b, module, strlen(module));
    put_op(&p->b, '\n');
    put(&p->b, name, strlen(name));
    put_op(&p->b, '\n');
    remember(p, i);
}

static void put_known_text(pickler *p, unsigned i, const char *s) {
    if (recall(p, i))
        return;
    put_text(&p->b, s);
    remember(p, i);
}

static void put_dict(pickler *p) {
    put_global(p, M_DICT, "collections", "OrderedDict");
    put(&p->b, ")R", 2);
}

static void put_tuple(buffer *b, const int64_t *x, int n) {
    if (n == 0) {
        put_op(b, ')');
        return;
    }
    put_op(b, '(');
    for (int i = 0; i < n; i++)
        put_int(b, x[i]);
    put_op(b, 't');
}

/* ('storage', class, key, 'cpu', count); element types without a class are raw bytes */
static void put_storage(pickler *p, const rw_tensor *t, size_t key) {
    buffer *b = &p->b;
    bool is_untyped = torch_names[t->dtype].storage[0] == '\0';
    char text[24];
    snprintf(text, sizeof text, "%zu", key);
    put_op(b, '(');
    put_known_text(p, M_STORAGE, "storage");
    if (is_untyped)
        put_global(p, M_UNTYPED, "torch.storage", "UntypedStorage");
    else
        put_global(p, M_CLASS + (unsigned)t->dtype, "torch", torch_names[t->dtype].storage);
    put_text(b, text);
    put_known_text(p, M_CPU, "cpu");
    put_int(b, (int64_t)(is_untyped ? t->bytes : t->bytes / rw_dtype_bytes(t->dtype)));
    put(b, "tQ", 2);
}

static void put_tensor(pickler *p, const rw_tensor *t, size_t key) {
    buffer *b = &p->b;
    bool is_untyped = torch_names[t->dtype].storage[0] == '\0';
    int64_t stride[RW_MAX_RANK], step = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->shape[i] > 1 && t->bytes > 0 ? t->shape[i] : 1;
    }
    put_text(b, t->name);
    put_global(p, is_untyped ? M_REBUILD3 : M_REBUILD, "torch._utils",
               is_untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    put_op(b, '(');
    put_storage(p, t, key);
    put_int(b, 0);
    put_tuple(b, t->shape, t->rank);
    put_tuple(b, stride, t->rank);
    put_op(b, 0x89); /* requires_grad */
    put_dict(p);     /* hooks */
    if (is_untyped)
        put_global(p, M_DTYPE + (unsigned)t->dtype, "torch", torch_names[t->dtype].dtype);
    put(b, "tR", 2);
}

static void make_pickle(pickler *p, const save_plan *plan) {
    put(&p->b, "\x80\x02", 2);
    put_dict(p);
    put_op(&p->b, '(');
    for (size_t i = 0; i < plan->n; i++)
        put_tensor(p, &plan->t[i], i);
    put(&p->b, "u.", 2);
}

/* ---- the zip ------------------------------------------------------------------------------- */

typedef struct archive {
    save_plan *plan;
    buffer directory;
    size_t n;
} archive;

/* Fields that the local header and the directory have in common. */
static void put_common(buffer *b, bool is_wide, uint32_t crc, uint64_t bytes, size_t name,
                       size_t extra) {
    uint64_t narrow = bytes >= SATURATED ? SATURATED : bytes;
    put_number(b, is_wide ? 45 : 20, 2); /* version of zip it takes to read it */
    put_number(b, 0x0800, 2);            /* names are UTF-8 */
    put_number(b, 0, 2);                 /* stored */
    put_number(b, 0, 2);                 /* midnight */
    put_number(b, 0x0021, 2);            /* of 1980-01-01 */
    put_number(b, crc, 4);
    put_number(b, narrow, 4);
    put_number(b, narrow, 4);
    put_number(b, name, 2);
    put_number(b, extra, 2);
}

static void put_directory_entry(archive *a, const char *name, uint32_t crc, uint64_t bytes,
                                uint64_t at) {
    buffer *b = &a->directory;
    size_t wide = (bytes >= SATURATED ? 16u : 0u) + (at >= SATURATED ? 8u : 0u);
    put(b, "PK\1\2", 4);
    put_number(b, 45, 2);
    put_common(b, wide > 0, crc, bytes, strlen(name), wide > 0 ? wide + 4 : 0);
    put_number(b, 0, 2); /* no comment, */
    put_number(b, 0, 8); /* first disk, no attributes */
    put_number(b, at >= SATURATED ? SATURATED : at, 4);
    put(b, name, strlen(name));
    if (wide == 0)
        return;
    put_number(b, 1, 2);
    put_number(b, wide, 2);
    if (bytes >= SATURATED) {
        put_number(b, bytes, 8);
        put_number(b, bytes, 8);
    }
    if (at >= SATURATED)
        put_number(b, at, 8);
}

/* Header, padding in an extra field so that the data begins at a multiple of 64, data. */
static rw_status add_entry(archive *a, const char *tail, const void *data, size_t bytes) {
    static const uint8_t zeros[ALIGNMENT] = {0};
    char name[NAME_CAP];
    buffer b = {0};
    rw_output *out = a->plan->out;
    uint64_t at = rw_file_written(out);
    uint32_t crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, bytes);
    snprintf(name, sizeof name, ROOT "%s", tail);
    size_t wide = bytes >= SATURATED ? 20 : 0;
    size_t start = 30 + strlen(name) + wide + 4;
    size_t pad = (size_t)((ALIGNMENT - (at + start) % ALIGNMENT) % ALIGNMENT);
    put(&b, "PK\3\4", 4);
    put_common(&b, wide > 0, crc, bytes, strlen(name), wide + 4 + pad);
    put(&b, name, strlen(name));
    if (wide > 0) {
        put_number(&b, 1, 2);
        put_number(&b, 16, 2);
        put_number(&b, bytes, 8);
        put_number(&b, bytes, 8);
    }
    put(&b, "FB", 2); /* the field torch pads with */
    put_number(&b, pad, 2);
    put(&b, zeros, pad);
    put_directory_entry(a, name, crc, bytes, at);
    a->n++;
    rw_status s = b.has_failed || a->directory.has_failed
                      ? rw_fail(a->plan->m, RW_NO_MEMORY, "%s: no memory", a->plan->path)
                      : rw_file_write(out, b.data, b.n, a->plan->m);
    free(b.data);
    return s == RW_OK && bytes > 0 ? rw_file_write(out, data, bytes, a->plan->m) : s;
}

static rw_status add_end(archive *a) {
    buffer *b = &a->directory;
    uint64_t at = rw_file_written(a->plan->out), bytes = b->n;
    bool is_wide = a->n >= 0xffff || at >= SATURATED || bytes >= SATURATED;
    if (is_wide) {
        put(b, "PK\6\6", 4);
        put_number(b, 44, 8); /* bytes of this record that follow */
        put_number(b, 45, 2);
        put_number(b, 45, 2);
        put_number(b, 0, 8); /* two disk numbers */
        put_number(b, a->n, 8);
        put_number(b, a->n, 8);
        put_number(b, bytes, 8);
        put_number(b, at, 8);
        put(b, "PK\6\7", 4);
        put_number(b, 0, 4);
        put_number(b, at + bytes, 8);
        put_number(b, 1, 4);
    }
    put(b, "PK\5\6", 4);
    put_number(b, 0, 4);
    put_number(b, is_wide ? 0xffff : a->n, 2);
    put_number(b, is_wide ? 0xffff : a->n, 2);
    put_number(b, is_wide ? SATURATED : bytes, 4);
    put_number(b, is_wide ? SATURATED : at, 4);
    put_number(b, 0, 2);
    if (b->has_failed)
        return rw_fail(a->plan->m, RW_NO_MEMORY, "%s: no memory", a->plan->path);
    return rw_file_write(a->plan->out, b->data, b->n, a->plan->m);
}

static rw_status add_pickle(archive *a) {
    pickler p = {.b = {0}};
    make_pickle(&p, a->plan);
    rw_status s = p.b.has_failed ? rw_fail(a->plan->m, RW_NO_MEMORY, "%s: no memory", a->plan->path)
                                 : add_entry(a, "data.pkl", p.b.data, p.b.n);
    free(p.b.data);
    return s;
}

static rw_status add_storages(archive *a) {
    char name[32];
    for (size_t i = 0; i < a->plan->n; i++) {
        const void *data = NULL;
        rw_status s = save_data(a->plan, i, &data);
        snprintf(name, sizeof name, "data/%zu", i);
        if (s == RW_OK)
            s = add_entry(a, name, data != NULL ? data : "", a->plan->t[i].bytes);
        if (s != RW_OK)
            return s;
    }
    return RW_OK;
}

/* An entry torch does not look at: key and value, each NUL-terminated. */
static rw_status add_meta(archive *a) {
    buffer b = {0};
    const char *const *k = a->plan->meta;
    if (k == NULL)
        return RW_OK;
    for (; k[0] != NULL && k[1] != NULL; k += 2) {
        put(&b, k[0], strlen(k[0]) + 1);
        put(&b, k[1], strlen(k[1]) + 1);
    }
    rw_status s = b.has_failed ? rw_fail(a->plan->m, RW_NO_MEMORY, "%s: no memory", a->plan->path)
                               : add_entry(a, "extra/meta", b.n > 0 ? b.data : (void *)"", b.n);
    free(b.data);
    return s;
}

rw_status pth_write(save_plan *plan) {
    archive a = {.plan = plan};
    rw_status s = add_pickle(&a);
    if (s == RW_OK)
        s = add_entry(&a, "byteorder", "little", 6);
    if (s == RW_OK)
        s = add_storages(&a);
    if (s == RW_OK)
        s = add_meta(&a);
    if (s == RW_OK)
        s = add_entry(&a, "version", "3\n", 2);
    if (s == RW_OK)
        s = add_end(&a);
    free(a.directory.data);
    return s;
}
