/* numpy's .npy: 6 magic bytes, 2 of version, the header's length (2 or 4 bytes), the header (a
 * Python dict with the keys descr, fortran_order and shape), then the elements. */
#include "npy.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

static const char *const npy_names[RW_DTYPES] = {
#define DTYPE(id, name, bytes, family, st, npy, storage, torch) [id] = npy,
#include "dtypes.def"
#undef DTYPE
};

/* ---- the header ---------------------------------------------------------------------------- */

typedef struct header {
    const char *path;
    const char *text; /* not NUL-terminated */
    size_t at, end;
    bool has_descr, has_order, has_shape;
    bool is_fortran, is_big;
    rw_tensor *t;
    rw_message *m;
} header;

static rw_status damaged(header *h, const char *what) {
    return rw_fail(h->m, RW_BAD_FILE, "%s: damaged .npy header: %s (at character %zu of it)",
                   h->path, what, h->at);
}

static void skip_space(header *h) {
    while (h->at < h->end && strchr(" \t\r\n", h->text[h->at]) != NULL && h->text[h->at] != '\0')
        h->at++;
}

static bool take(header *h, char c) {
    skip_space(h);
    if (h->at < h->end && h->text[h->at] == c) {
        h->at++;
        return true;
    }
    return false;
}

static bool take_word(header *h, const char *word) {
    size_t n = strlen(word);
    skip_space(h);
    if (h->end - h->at < n || memcmp(h->text + h->at, word, n) != 0)
        return false;
    h->at += n;
    return true;
}

/* A string literal without escapes, into text; too long ones are cut, they match nothing. */
static bool take_string(header *h, char *text, size_t cap) {
    skip_space(h);
    if (h->at == h->end || (h->text[h->at] != '\'' && h->text[h->at] != '"'))
        return false;
    char quote = h->text[h->at++];
    size_t n = 0;
    for (; h->at < h->end && h->text[h->at] != quote; h->at++)
        if (n + 1 < cap) /* it may be shown in a message: nothing a terminal would act upon */
            text[n++] = h->text[h->at] >= ' ' && h->text[h->at] <= '~' ? h->text[h->at] : '?';
    text[n] = '\0';
    return take(h, quote);
}

static rw_status refused(header *h, const char *descr) {
    const char *mend = "save it as another type";
    switch (descr[strspn(descr, "<>=|")]) {
    case 'O': mend = "Python objects cannot be read; save numbers"; break;
    case 'c': mend = "complex numbers; save the real and the imaginary part"; break;
    case 'V': mend = "raw bytes; save bfloat16 as float32"; break;
    case 'U':
    case 'S': mend = "text; save numbers"; break;
    case 'u': mend = "save it as int64"; break;
    default: break;
    }
    return rw_fail(h->m, RW_BAD_FILE, "%s: element type '%s' cannot be read: %s", h->path, descr,
                   mend);
}

static rw_status read_descr(header *h) {
    char descr[24];
    if (take(h, '[') || take(h, '('))
        return rw_fail(h->m, RW_BAD_FILE, "%s: holds a structured type (records); save each field "
                       "as an array of its own", h->path);
    if (!take_string(h, descr, sizeof descr))
        return damaged(h, "'descr' is no string");
    const char *type = descr + (descr[0] != '\0' && strchr("<>=|", descr[0]) != NULL);
    for (int d = 0; d < RW_DTYPES; d++) {
        if (npy_names[d][0] != '\0' && strcmp(npy_names[d], type) == 0) {
            h->t->dtype = (rw_dtype)d;
            h->is_big = descr[0] == '>';
            return RW_OK;
        }
    }
    return refused(h, descr);
}

static rw_status read_shape(header *h) {
    rw_tensor *t = h->t;
    if (!take(h, '('))
        return damaged(h, "'shape' is no tuple");
    t->rank = 0;
    while (!take(h, ')')) {
        int64_t d = 0;
        size_t digits = 0;
        skip_space(h);
        for (; h->at < h->end && h->text[h->at] >= '0' && h->text[h->at] <= '9'; h->at++, digits++)
            if (__builtin_mul_overflow(d, 10, &d) ||
                __builtin_add_overflow(d, h->text[h->at] - '0', &d))
                return damaged(h, "a dimension does not fit 63 bits");
        if (digits == 0)
            return damaged(h, "'shape' holds something that is no number");
        (void)take(h, 'L'); /* as Python 2 wrote long integers */
        if (t->rank == RW_MAX_RANK)
            return rw_fail(h->m, RW_BAD_FILE, "%s: more than %d dimensions", h->path, RW_MAX_RANK);
        t->shape[t->rank++] = d;
        if (!take(h, ',')) {
            if (!take(h, ')'))
                return damaged(h, "'shape' does not end");
            break;
        }
    }
    return RW_OK;
}

static rw_status read_item(header *h) {
    char key[24];
    if (!take_string(h, key, sizeof key) || !take(h, ':'))
        return damaged(h, "a key in quotes and ':' expected");
    bool *seen = strcmp(key, "descr") == 0           ? &h->has_descr
                 : strcmp(key, "fortran_order") == 0 ? &h->has_order
                 : strcmp(key, "shape") == 0         ? &h->has_shape
                                                     : NULL;
    if (seen == NULL)
        return damaged(h, "a key other than descr, fortran_order and shape");
    if (*seen)
        return damaged(h, "a key stands twice");
    *seen = true;
    if (seen == &h->has_descr)
        return read_descr(h);
    if (seen == &h->has_shape)
        return read_shape(h);
    h->is_fortran = take_word(h, "True");
    if (!h->is_fortran && !take_word(h, "False"))
        return damaged(h, "'fortran_order' is neither True nor False");
    return RW_OK;
}

static rw_status read_header(header *h) {
    if (!take(h, '{'))
        return damaged(h, "'{' expected");
    while (!take(h, '}')) {
        rw_status s = read_item(h);
        if (s != RW_OK)
            return s;
        if (!take(h, ',')) {
            if (!take(h, '}'))
                return damaged(h, "',' or '}' expected");
            break;
        }
    }
    skip_space(h);
    if (h->at != h->end)
        return damaged(h, "something stands after '}'");
    if (!h->has_descr || !h->has_order || !h->has_shape)
        return damaged(h, "descr, fortran_order or shape is missing");
    return RW_OK;
}

/* ---- the elements -------------------------------------------------------------------------- */

static void copy_element(uint8_t *dst, const uint8_t *src, size_t size, bool is_big) {
    for (size_t i = 0; i < size; i++)
        dst[i] = src[is_big ? size - 1 - i : i];
}

/* src in Fortran order or big-endian -> dst in C order, little endian. An odometer over the
 * dimensions keeps the place in src; cost O(elements). */
static void copy_elements(const header *h, const uint8_t *src, uint8_t *dst, size_t n) {
    const rw_tensor *t = h->t;
    size_t size = rw_dtype_bytes(t->dtype), step[RW_MAX_RANK], at[RW_MAX_RANK] = {0}, from = 0;
    size_t run = size;
    for (int k = 0; k < t->rank; k++) {
        int i = h->is_fortran ? k : t->rank - 1 - k;
        step[i] = run;
        run *= (size_t)t->shape[i];
    }
    for (size_t e = 0; e < n; e++) {
        copy_element(dst + e * size, src + from, size, h->is_big);
        for (int i = t->rank - 1; i >= 0; i--) {
            from += step[i];
            if (++at[i] < (size_t)t->shape[i])
                break;
            from -= step[i] * (size_t)t->shape[i];
            at[i] = 0;
        }
    }
}

static rw_status read_elements(header *h, const uint8_t *src, size_t bytes, rw_array *out) {
    rw_tensor *t = h->t;
    char shape[128];
    size_t n;
    if (rw_tensor_count(t, &n) != RW_OK || n * rw_dtype_bytes(t->dtype) != bytes)
        return rw_fail(h->m, RW_BAD_FILE, "%s: the header says %s of shape %s, but %zu bytes of "
                       "elements follow it", h->path, rw_dtype_name(t->dtype),
                       rw_tensor_shape(t, shape, sizeof shape), bytes);
    size_t named = strlen(h->path) + 1;
    uint8_t *p = malloc(bytes + named); /* the elements come first: they need the alignment */
    if (p == NULL)
        return rw_fail(h->m, RW_NO_MEMORY, "%s: no memory for %zu bytes", h->path, bytes);
    if (h->is_big || (h->is_fortran && t->rank > 1))
        copy_elements(h, src, p, n);
    else
        memcpy(p, src, bytes);
    memcpy(p + bytes, h->path, named);
    t->name = (const char *)p + bytes;
    t->data = p;
    t->bytes = bytes;
    out->storage = p;
    return RW_OK;
}

rw_status rw_npy_parse(const char *path, const void *data, size_t bytes, rw_array *out,
                       rw_message *m) {
    const uint8_t *p = data;
    *out = (rw_array){0};
    if (bytes < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
        return rw_fail(m, RW_BAD_FILE, "%s: is no .npy file (its first bytes are others)", path);
    if (p[6] < 1 || p[6] > 3)
        return rw_fail(m, RW_BAD_FILE, "%s: .npy version %d.%d is not known", path, p[6], p[7]);
    size_t start = p[6] == 1 ? 10 : 12;
    size_t length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1 && bytes >= 12)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (bytes < start || length > bytes - start)
        return rw_fail(m, RW_BAD_FILE, "%s: ends inside its header (%zu bytes)", path, bytes);
    header h = {.path = path, .text = (const char *)p + start, .end = length, .t = &out->t, .m = m};
    rw_status s = read_header(&h);
    if (s == RW_OK)
        s = read_elements(&h, p + start + length, bytes - start - length, out);
    if (s != RW_OK)
        rw_array_free(out);
    return s;
}

rw_status rw_npy_load(const char *path, rw_array *out, rw_message *m) {
    rw_file f;
    *out = (rw_array){0};
    rw_status s = rw_file_map(path, &f, m);
    if (s != RW_OK)
        return s;
    s = rw_npy_parse(path, f.data, f.bytes, out, m);
    rw_file_unmap(&f);
    return s;
}

void rw_array_free(rw_array *a) {
    free(a->storage);
    *a = (rw_array){0};
}

/* ---- writing ------------------------------------------------------------------------------- */

/* Header as numpy spells it, padded with spaces so that the elements start at a multiple of 64. */
static size_t make_header(const rw_tensor *t, rw_dtype d, char *text, size_t cap) {
    char shape[256];
    size_t n = 0;
    shape[0] = '\0';
    for (int i = 0; i < t->rank; i++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, i == 0 ? "%lld" : ", %lld",
                              (long long)t->shape[i]);
    if (t->rank == 1)
        snprintf(shape + n, sizeof shape - n, ",");
    n = (size_t)snprintf(text + 10, cap - 10,
                         "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                         rw_dtype_bytes(d) == 1 ? '|' : '<', npy_names[d], shape);
    size_t total = (10 + n + 1 + 63) / 64 * 64;
    memset(text + 10 + n, ' ', total - 10 - n);
    text[total - 1] = '\n';
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    text[8] = (char)((total - 10) & 255);
    text[9] = (char)((total - 10) >> 8);
    return total;
}

static rw_status write_elements(rw_output *o, const rw_tensor *t, size_t n, rw_message *m) {
    if (t->dtype != RW_BF16)
        return n == 0 ? RW_OK : rw_file_write(o, t->data, t->bytes, m);
    float wide[1024];
    rw_tensor part = *t;
    part.rank = 1;
    for (size_t i = 0; i < n; i += (size_t)part.shape[0]) {
        part.shape[0] = (int64_t)(n - i < 1024 ? n - i : 1024);
        part.data = (const uint16_t *)t->data + i;
        rw_tensor_to_f32(&part, wide);
        rw_status s = rw_file_write(o, wide, (size_t)part.shape[0] * sizeof *wide, m);
        if (s != RW_OK)
            return s;
    }
    return RW_OK;
}

rw_status rw_npy_save(const char *path, const rw_tensor *t, rw_message *m) {
    size_t n;
    char text[512];
    if (rw_tensor_count(t, &n) != RW_OK || t->bytes != n * rw_dtype_bytes(t->dtype) ||
        (n != 0 && t->data == NULL))
        return rw_fail(m, RW_BAD_SHAPE, "%s: cannot write: shape and bytes of the array disagree",
                       path);
    size_t length = make_header(t, t->dtype == RW_BF16 ? RW_F32 : t->dtype, text, sizeof text);
    rw_output *o;
    rw_status s = rw_file_create(path, &o, m);
    if (s != RW_OK)
        return s;
    s = rw_file_write(o, text, length, m);
    if (s == RW_OK)
        s = write_elements(o, t, n, m);
    if (s == RW_OK)
        return rw_file_commit(o, m);
    rw_file_abort(o);
    return s;
}
