/* A set of named tensors: what is common to all file formats. */
#include "weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights_impl.h"

/* ---- memory -------------------------------------------------------------------------------- */

/* Stands before each piece of owned memory; its size keeps malloc's alignment. */
typedef union weights_block {
    union weights_block *next;
    max_align_t align;
} weights_block;

void *weights_own(rw_weights *w, size_t bytes) {
    if (bytes > (size_t)PTRDIFF_MAX - sizeof(weights_block))
        return NULL;
    weights_block *b = malloc(sizeof *b + bytes);
    if (b == NULL)
        return NULL;
    b->next = w->blocks;
    w->blocks = b;
    return b + 1;
}

char *weights_text(rw_weights *w, const char *s, size_t n) {
    char *p = weights_own(w, n + 1);
    if (p != NULL) {
        if (n > 0)
            memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

const void *weights_place(rw_weights *w, const uint8_t *p, size_t bytes, rw_dtype d) {
    if ((uintptr_t)p % rw_dtype_bytes(d) == 0)
        return p;
    void *copy = weights_own(w, bytes);
    if (copy != NULL && bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

/* ---- texts --------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at s, 0 if it is none: no overlong forms, no surrogates, nothing
 * above U+10FFFF. */
static size_t sequence_length(const unsigned char *s, size_t n) {
    unsigned c = s[0];
    if (c < 0x80)
        return 1;
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool text_is_valid(const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t len = sequence_length((const unsigned char *)s + i, n - i);
        if (len == 0 || s[i] == '\0')
            return false;
        i += len;
    }
    return true;
}

char *text_quote(const char *s, size_t n, char out[QUOTED]) {
    const unsigned char *u = (const unsigned char *)s;
    size_t at = 0, i = 0;
    while (i < n && at < QUOTED - 8) {
        size_t len = sequence_length(u + i, n - i);
        if (len == 0 || u[i] < ' ' || u[i] == 127) {
            out[at++] = '?';
            i++;
            continue;
        }
        memcpy(out + at, s + i, len);
        at += len;
        i += len;
    }
    memcpy(out + at, i < n ? "..." : "", i < n ? 4 : 1);
    return out;
}

/* ---- the set ------------------------------------------------------------------------------- */

rw_status weights_add(rw_weights *w, const rw_tensor *t, rw_message *m) {
    char q[QUOTED], shape[160];
    size_t n, len = strlen(t->name);
    text_quote(t->name, len, q);
    if (len == 0 || !text_is_valid(t->name, len))
        return rw_fail(m, RW_BAD_FILE, "%s: a tensor's name is empty or not UTF-8: '%s'", w->path,
                       q);
    if (rw_tensor_count(t, &n) != RW_OK)
        return rw_fail(m, RW_BAD_FILE, "%s: tensor '%s' has the impossible shape %s", w->path, q,
                       rw_tensor_shape(t, shape, sizeof shape));
    if (w->n == w->cap) {
        size_t cap = w->cap == 0 ? 64 : w->cap * 2;
        rw_tensor *more = realloc(w->t, cap * sizeof *more);
        if (more == NULL)
            return rw_fail(m, RW_NO_MEMORY, "%s: no memory for %zu tensors", w->path, cap);
        w->t = more;
        w->cap = cap;
    }
    w->t[w->n] = *t;
    w->t[w->n++].bytes = n * rw_dtype_bytes(t->dtype);
    return RW_OK;
}

rw_status weights_add_meta(rw_weights *w, const char *key, const char *value, rw_message *m) {
    size_t at = 2 * w->n_meta;
    if ((w->n_meta & (w->n_meta + 1)) == 0) { /* full: there is room for 1, 3, 7, ... pairs */
        char **more = realloc(w->meta, (4 * w->n_meta + 4) * sizeof *more);
        if (more == NULL)
            return rw_fail(m, RW_NO_MEMORY, "%s: no memory", w->path);
        w->meta = more;
    }
    w->meta[at] = weights_text(w, key, strlen(key));
    w->meta[at + 1] = weights_text(w, value, strlen(value));
    if (w->meta[at] == NULL || w->meta[at + 1] == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory", w->path);
    w->n_meta++;
    return RW_OK;
}

static int order_by_name(const void *a, const void *b) {
    const rw_tensor *x = *(const rw_tensor *const *)a, *y = *(const rw_tensor *const *)b;
    return strcmp(x->name, y->name);
}

/* Sorted, not hashed: the order does not depend on a hash a file could be made to collide in. */
static const rw_tensor **sort_names(const rw_tensor *t, size_t n) {
    const rw_tensor **p = malloc((n + 1) * sizeof *p);
    if (p == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        p[i] = &t[i];
    qsort(p, n, sizeof *p, order_by_name);
    return p;
}

static const char *twice(const rw_tensor *const *sorted, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return sorted[i]->name;
    return NULL;
}

static rw_status index_names(rw_weights *w, rw_message *m) {
    char q[QUOTED];
    w->by_name = sort_names(w->t, w->n);
    if (w->by_name == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory for %zu names", w->path, w->n);
    const char *name = twice(w->by_name, w->n);
    if (name != NULL)
        return rw_fail(m, RW_BAD_FILE, "%s: two tensors are named '%s'", w->path,
                       text_quote(name, strlen(name), q));
    return RW_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Files people take for weights, by their first bytes, and what to do about each. */
static const struct {
    const char *magic;
    size_t n;
    const char *mend;
} strangers[] = {
    {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14,
     "a torch file from before torch 1.6 (no zip): load it and save it with a newer torch"},
    {"GGUF", 4, "a GGUF file of llama.cpp: take the .pth or .safetensors it was made from"},
    {"lmgg", 4, "an early ggml file without a version: convert the .pth again"},
    {"tjgg", 4, "a ggjt file: take the .pth or .safetensors it was made from"},
    {"\x93NUMPY", 6, "a single .npy array: weights are .safetensors, .pth or rwkv.cpp's .bin"},
    {"version https://git-lfs", 23,
     "only the pointer git-lfs leaves in place of a file: fetch the file itself (git lfs pull)"},
    {"\x1f\x8b", 2, "compressed by gzip: unpack it first"},
    {"\x7f" "ELF", 4, "a program, not weights"},
    {"<", 1, "a web page, not weights: the download went wrong"},
};

static rw_status stranger(const rw_weights *w, rw_message *m) {
    const rw_file *f = &w->file;
    if (f->bytes == 0)
        return rw_fail(m, RW_BAD_FILE, "%s: is empty", w->path);
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        if (f->bytes >= strangers[i].n && memcmp(f->data, strangers[i].magic, strangers[i].n) == 0)
            return rw_fail(m, RW_BAD_FILE, "%s: is %s", w->path, strangers[i].mend);
    return rw_fail(m, RW_BAD_FILE, "%s: is neither .safetensors nor a torch .pth nor a .bin of "
                   "rwkv.cpp (its %zu bytes begin in another way)", w->path, f->bytes);
}

static rw_status read_any(rw_weights *w, rw_message *m) {
    const uint8_t *p = w->file.data;
    size_t n = w->file.bytes;
    if (n >= 4 && (memcmp(p, "PK\3\4", 4) == 0 || memcmp(p, "PK\5\6", 4) == 0)) {
        w->kind = "pth";
        return pth_read(w, m);
    }
    if (n >= 4 && memcmp(p, "fmgg", 4) == 0) {
        w->kind = "ggmf";
        return ggmf_read(w, m);
    }
    /* a header that begins with '{', and before it its length, which is never beyond 2^32 */
    if (n >= 9 && p[8] == '{' && memcmp(p + 4, "\0\0\0\0", 4) == 0) {
        w->kind = "safetensors";
        return safetensors_read(w, m);
    }
    return stranger(w, m);
}

rw_status rw_weights_open(const char *path, rw_weights **out, rw_message *m) {
    *out = NULL;
    rw_weights *w = calloc(1, sizeof *w);
    if (w == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory", path);
    w->path = strdup(path);
    rw_status s = w->path == NULL ? rw_fail(m, RW_NO_MEMORY, "%s: no memory", path)
                                  : rw_file_map(path, &w->file, m);
    if (s == RW_OK)
        s = read_any(w, m);
    if (s == RW_OK)
        s = index_names(w, m);
    if (s != RW_OK) {
        rw_weights_close(w);
        return s;
    }
    *out = w;
    return RW_OK;
}

void rw_weights_close(rw_weights *w) {
    if (w == NULL)
        return;
    while (w->blocks != NULL) {
        weights_block *next = w->blocks->next;
        free(w->blocks);
        w->blocks = next;
    }
    rw_file_unmap(&w->file);
    free(w->by_name);
    free(w->meta);
    free(w->path);
    free(w->t);
    free(w);
}

size_t rw_weights_count(const rw_weights *w) {
    return w->n;
}

const rw_tensor *rw_weights_at(const rw_weights *w, size_t i) {
    return i < w->n ? &w->t[i] : NULL;
}

const rw_tensor *rw_weights_find(const rw_weights *w, const char *name) {
    size_t lo = 0, hi = w->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(name, w->by_name[mid]->name);
        if (c == 0)
            return w->by_name[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const char *rw_weights_kind(const rw_weights *w) {
    return w->kind;
}

const char *rw_weights_meta(const rw_weights *w, const char *key) {
    for (size_t i = 0; i < w->n_meta; i++)
        if (strcmp(w->meta[2 * i], key) == 0)
            return w->meta[2 * i + 1];
    return NULL;
}

/* ---- saving -------------------------------------------------------------------------------- */

rw_status save_data(save_plan *p, size_t i, const void **data) {
    *data = p->t[i].data;
    if (*data != NULL || p->t[i].bytes == 0)
        return RW_OK;
    *data = p->scratch;
    return p->fill(p->user, i, p->scratch, p->m);
}

static bool ends_with(const char *path, const char *ending) {
    size_t n = strlen(path), k = strlen(ending);
    return n > k && memcmp(path + n - k, ending, k) == 0;
}

/* Shapes, names; *most = bytes of the largest tensor still to be made. */
static rw_status check_tensors(const save_plan *p, size_t *most) {
    char q[QUOTED];
    *most = 0;
    for (size_t i = 0; i < p->n; i++) {
        const rw_tensor *t = &p->t[i];
        size_t n, len = t->name != NULL ? strlen(t->name) : 0;
        if (len == 0 || !text_is_valid(t->name, len))
            return rw_fail(p->m, RW_BAD_ARG, "%s: tensor %zu has no name, or one that is not UTF-8",
                           p->path, i);
        text_quote(t->name, len, q);
        if (rw_tensor_count(t, &n) != RW_OK || n * rw_dtype_bytes(t->dtype) != t->bytes ||
            (t->bytes != 0 && t->data == NULL && p->fill == NULL))
            return rw_fail(p->m, RW_BAD_SHAPE, "%s: tensor '%s': its shape and its bytes disagree",
                           p->path, q);
        if (t->data == NULL && t->bytes > *most)
            *most = t->bytes;
    }
    const rw_tensor **sorted = sort_names(p->t, p->n);
    if (sorted == NULL)
        return rw_fail(p->m, RW_NO_MEMORY, "%s: no memory for %zu names", p->path, p->n);
    const char *name = twice(sorted, p->n);
    free(sorted);
    if (name != NULL)
        return rw_fail(p->m, RW_BAD_ARG, "%s: two tensors are named '%s'", p->path,
                       text_quote(name, strlen(name), q));
    return RW_OK;
}

static rw_status save_planned(save_plan *p, rw_status (*write)(save_plan *)) {
    rw_status s = rw_file_create(p->path, &p->out, p->m);
    if (s != RW_OK)
        return s;
    s = write(p);
    if (s == RW_OK)
        return rw_file_commit(p->out, p->m);
    rw_file_abort(p->out);
    return s;
}

rw_status weights_save_filled(const char *path, const rw_tensor *t, size_t n,
                              const char *const *meta, weights_fill fill, void *user,
                              rw_message *m) {
    save_plan p = {.t = t, .n = n, .meta = meta, .fill = fill, .user = user, .path = path, .m = m};
    bool is_pth = ends_with(path, ".pth");
    size_t most;
    if (!is_pth && !ends_with(path, ".safetensors"))
        return rw_fail(m, RW_BAD_ARG, "%s: the name of a file of weights to write ends in "
                       ".safetensors or .pth", path);
    rw_status s = check_tensors(&p, &most);
    if (s != RW_OK)
        return s;
    if (most > 0 && (p.scratch = malloc(most)) == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory for %zu bytes", path, most);
    s = save_planned(&p, is_pth ? pth_write : safetensors_write);
    free(p.scratch);
    return s;
}

rw_status rw_weights_save(const char *path, const rw_tensor *t, size_t n, const char *const *meta,
                          rw_message *m) {
    return weights_save_filled(path, t, n, meta, NULL, NULL, m);
}
