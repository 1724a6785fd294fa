/* Reading the .bin of rwkv.cpp: six int32 (magic, version, n_vocab, n_embed, n_layer, type), then
 * up to the end of the file tensors: int32 rank, length of the name, type; int32 dims, the fastest
 * first; the name; the data, with no padding anywhere. Quantised blocks of 32 become f32. */
#include <stdio.h>
#include <string.h>

#include "weights_impl.h"

enum { HEADER_BYTES = 24, BLOCK = 32, NAME_MAX_BYTES = 4096 };

/* How a type stores 32 numbers: f16 scale, f16 minimum, 32 fifth bits, then 16 bytes of two or 32
 * of one. A type without block bytes is plain. */
static const struct ggmf_type {
    int id;
    const char *name;
    rw_dtype dtype; /* as it is given out */
    size_t block_bytes;
    bool has_minimum, has_fifth;
} types[] = {
    {0, "FP32", RW_F32, 0, false, false},  {1, "FP16", RW_F16, 0, false, false},
    {2, "Q4_0", RW_F32, 18, false, false}, {3, "Q4_1", RW_F32, 20, true, false},
    {7, "Q5_0", RW_F32, 22, false, true},  {8, "Q5_1", RW_F32, 24, true, true},
    {9, "Q8_0", RW_F32, 34, false, false},
};

typedef struct reader {
    rw_weights *w;
    const uint8_t *data;
    size_t at, bytes;
    int version;
    rw_message *m;
} reader;

static int32_t i32(const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static float f16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return (float)rw_f16_to_f64(h);
}

/* ---- quantised blocks ---------------------------------------------------------------------- */

static void widen_q8(const uint8_t *p, float *dst) {
    float scale = f16_at(p);
    for (int i = 0; i < BLOCK; i++)
        dst[i] = (float)(int8_t)p[2 + i] * scale;
}

/* Number i < 16 is in the low half of byte i, i >= 16 in the high half of byte i - 16. */
static void widen_q4_q5(const struct ggmf_type *t, const uint8_t *p, float *dst) {
    float scale = f16_at(p), minimum = t->has_minimum ? f16_at(p + 2) : 0;
    const uint8_t *q = p + (t->has_minimum ? 4 : 2);
    uint32_t fifth = t->has_fifth ? (uint32_t)i32(q) : 0;
    int zero = t->has_minimum ? 0 : t->has_fifth ? 16 : 8;
    q += t->has_fifth ? 4 : 0;
    for (int i = 0; i < BLOCK; i++) {
        int x = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
        x |= (int)(fifth >> i & 1) << 4;
        dst[i] = (float)(x - zero) * scale + minimum;
    }
}

static rw_status widen(const reader *r, const struct ggmf_type *t, const uint8_t *src, size_t n,
                       const void **out) {
    float *dst = weights_own(r->w, n * sizeof *dst);
    if (dst == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory for %zu bytes", r->w->path,
                       n * sizeof *dst);
    for (size_t i = 0; i < n; i += BLOCK, src += t->block_bytes) {
        if (t->id == 9)
            widen_q8(src, dst + i);
        else
            widen_q4_q5(t, src, dst + i);
    }
    *out = dst;
    return RW_OK;
}

/* ---- tensors ------------------------------------------------------------------------------- */

static const struct ggmf_type *type_of(int id) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}

static rw_status check_type(const reader *r, const char *q, int id, const struct ggmf_type *t,
                            const rw_tensor *out) {
    if (t == NULL)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' is of type %d, which is not known; "
                       "convert and quantise the model again", r->w->path, q, id);
    if (t->block_bytes == 0)
        return RW_OK;
    if (r->version == 100)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' is quantised in the way of file version "
                       "100, which was given up; quantise the model again", r->w->path, q);
    if (out->rank == 0 || out->shape[out->rank - 1] % BLOCK != 0)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' is quantised, but its rows are no "
                       "multiple of %d", r->w->path, q, BLOCK);
    return RW_OK;
}

static rw_status cut(const reader *r, const char *what) {
    return rw_fail(r->m, RW_BAD_FILE, "%s: ends inside %s at byte %zu: the file was cut, or is "
                   "damaged", r->w->path, what, r->at);
}

static rw_status read_data(reader *r, const char *q, int id, rw_tensor *t) {
    size_t n;
    const struct ggmf_type *type = type_of(id);
    rw_status s = check_type(r, q, id, type, t);
    if (s != RW_OK)
        return s;
    t->dtype = type->dtype;
    if (rw_tensor_count(t, &n) != RW_OK)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' has more elements than can be counted",
                       r->w->path, q);
    /* fewer than 2^63 bytes as f32, and blocks are smaller than that: no overflow */
    size_t bytes = type->block_bytes > 0 ? n / BLOCK * type->block_bytes
                                         : n * rw_dtype_bytes(t->dtype);
    const uint8_t *src = r->data + r->at;
    if (bytes > r->bytes - r->at)
        return rw_fail(r->m, RW_BAD_FILE, "%s: tensor '%s' is to have %zu bytes at byte %zu, where "
                       "%zu are left: the file was cut, or is damaged", r->w->path, q, bytes, r->at,
                       r->bytes - r->at);
    r->at += bytes;
    if (type->block_bytes > 0)
        return widen(r, type, src, n, &t->data);
    t->data = weights_place(r->w, src, bytes, t->dtype);
    return t->data != NULL ? RW_OK : rw_fail(r->m, RW_NO_MEMORY, "%s: no memory for %zu bytes",
                                             r->w->path, bytes);
}

static rw_status read_tensor(reader *r) {
    rw_tensor t = {0};
    char q[QUOTED];
    if (r->bytes - r->at < 12)
        return cut(r, "the header of a tensor");
    const uint8_t *p = r->data + r->at;
    int rank = i32(p), name_length = i32(p + 4), type = i32(p + 8);
    if (rank < 0 || rank > RW_MAX_RANK || name_length < 1 || name_length > NAME_MAX_BYTES)
        return rw_fail(r->m, RW_BAD_FILE, "%s: no tensor begins at byte %zu (%d dimensions, a name "
                       "of %d bytes): the file is damaged", r->w->path, r->at, rank, name_length);
    size_t header = 12 + 4 * (size_t)rank + (size_t)name_length;
    if (r->bytes - r->at < header)
        return cut(r, "the header of a tensor");
    t.rank = rank;
    for (int i = 0; i < rank; i++) {
        t.shape[rank - 1 - i] = i32(p + 12 + 4 * i);
        if (t.shape[rank - 1 - i] < 0)
            return rw_fail(r->m, RW_BAD_FILE, "%s: the tensor at byte %zu has a negative dimension",
                           r->w->path, r->at);
    }
    const char *name = (const char *)p + header - name_length;
    text_quote(name, (size_t)name_length, q);
    if (!text_is_valid(name, (size_t)name_length))
        return rw_fail(r->m, RW_BAD_FILE, "%s: the name at byte %zu is not UTF-8: '%s'", r->w->path,
                       r->at + header - (size_t)name_length, q);
    t.name = weights_text(r->w, name, (size_t)name_length);
    if (t.name == NULL)
        return rw_fail(r->m, RW_NO_MEMORY, "%s: no memory", r->w->path);
    r->at += header;
    rw_status s = read_data(r, q, type, &t);
    return s == RW_OK ? weights_add(r->w, &t, r->m) : s;
}

static rw_status read_numbers(reader *r) {
    static const char *const names[] = {"version", "n_vocab", "n_embed", "n_layer", "data_type"};
    char text[16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int32_t x = i32(r->data + 4 + 4 * i);
        if (x < 0 || (i > 0 && i < 4 && x == 0))
            return rw_fail(r->m, RW_BAD_FILE, "%s: its header says %s = %d", r->w->path, names[i],
                           x);
        snprintf(text, sizeof text, "%d", x);
        rw_status s = weights_add_meta(r->w, names[i], text, r->m);
        if (s != RW_OK)
            return s;
    }
    r->version = i32(r->data + 4);
    if (r->version != 100 && r->version != 101)
        return rw_fail(r->m, RW_BAD_FILE, "%s: file version %d is not known (100 and 101 are)",
                       r->w->path, r->version);
    return RW_OK;
}

rw_status ggmf_read(rw_weights *w, rw_message *m) {
    reader r = {.w = w, .data = w->file.data, .at = HEADER_BYTES, .bytes = w->file.bytes, .m = m};
    if (r.bytes < HEADER_BYTES) {
        r.at = 0;
        return cut(&r, "its header");
    }
    rw_status s = read_numbers(&r);
    while (s == RW_OK && r.at < r.bytes)
        s = read_tensor(&r);
    return s;
}
