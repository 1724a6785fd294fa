/* Token data. Files are mapped; what a sample is made of is computed from its number alone. */
#include "data.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "npy.h"
#include "rng.h"

struct rw_data {
    rw_file file;
    rw_array array; /* of an .npy file */
    const uint8_t *bytes;
    rw_dtype dtype;
    uint64_t count, row;
};

/* ---- opening ------------------------------------------------------------------------------- */

static int ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), k = strlen(ending);
    return n > k && strcmp(path + n - k, ending) == 0;
}

static uint64_t little_endian(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

/* The element type an index of the Megatron format gives. */
static rw_status read_index(const char *path, const rw_file *f, rw_dtype *out, rw_message *m) {
    static const rw_dtype codes[] = {RW_DTYPES, RW_U8,     RW_I8,     RW_I16, RW_I32,
                                     RW_I64,    RW_DTYPES, RW_DTYPES, RW_U16};
    if (f->bytes < 34 || memcmp(f->data, "MMIDIDX\0\0", 9) != 0)
        return rw_fail(m, RW_BAD_FILE, "%s: not an index of token data", path);
    if (little_endian(f->data + 9, 8) != 1)
        return rw_fail(m, RW_BAD_FILE, "%s: version %llu of the index is not known", path,
                       (unsigned long long)little_endian(f->data + 9, 8));
    unsigned code = f->data[17];
    *out = code < sizeof codes / sizeof *codes ? codes[code] : RW_DTYPES;
    if (*out != RW_DTYPES) return RW_OK;
    return rw_fail(m, RW_BAD_FILE, "%s: element type %u of the index holds no tokens", path, code);
}

/* "corpus.bin" with "corpus.idx" beside it. *out stays as it was where there is no index. */
static rw_status find_index(const char *path, rw_dtype *out, rw_message *m) {
    if (!ends_in(path, ".bin")) return RW_OK;
    size_t n = strlen(path);
    char *index = malloc(n + 1);
    if (index == NULL) return rw_fail(m, RW_NO_MEMORY, "%s: no memory", path);
    memcpy(index, path, n + 1);
    memcpy(index + n - 3, "idx", 3);
    rw_file f;
    rw_status s = rw_file_map(index, &f, NULL) == RW_OK ? read_index(index, &f, out, m) : RW_OK;
    rw_file_unmap(&f);
    free(index);
    return s;
}

static rw_status raw_type(const char *path, const char *type, rw_dtype *out, rw_message *m) {
    if (type == NULL) {
        *out = ends_in(path, ".u16") ? RW_U16 : ends_in(path, ".i32") ? RW_I32 : RW_U8;
        return find_index(path, out, m);
    }
    *out = rw_dtype_find(type);
    if (*out == RW_U8 || *out == RW_U16 || *out == RW_I32) return RW_OK;
    return rw_fail(m, RW_BAD_ARG, "token data of type '%s': u8, u16 or i32", type);
}

static rw_status open_array(const char *path, rw_data *d, rw_message *m) {
    rw_status s = rw_npy_load(path, &d->array, m);
    if (s != RW_OK) return s;
    const rw_tensor *t = &d->array.t;
    if (rw_dtype_is_float(t->dtype) || t->dtype == RW_BOOL)
        return rw_fail(m, RW_BAD_FILE, "%s: its elements are %s; tokens are whole numbers", path,
                       rw_dtype_name(t->dtype));
    size_t n;
    s = rw_tensor_count(t, &n);
    if (s != RW_OK) return rw_fail(m, s, "%s: its shape is too large", path);
    d->dtype = t->dtype;
    d->bytes = t->data;
    d->count = n;
    d->row = t->rank > 1 ? (uint64_t)t->shape[t->rank - 1] : 0;
    return RW_OK;
}

static rw_status open_file(const char *path, const char *type, rw_data *d, rw_message *m) {
    rw_status s = rw_file_map(path, &d->file, m);
    if (s != RW_OK) return s;
    if (d->file.bytes >= 6 && memcmp(d->file.data, "\x93NUMPY", 6) == 0 && type == NULL) {
        rw_file_unmap(&d->file);
        s = open_array(path, d, m);
    } else {
        s = raw_type(path, type, &d->dtype, m);
        if (s != RW_OK) return s;
        size_t each = rw_dtype_bytes(d->dtype);
        if (d->file.bytes % each != 0)
            return rw_fail(m, RW_BAD_FILE, "%s: %zu bytes are no whole number of %s tokens", path,
                           d->file.bytes, rw_dtype_name(d->dtype));
        d->bytes = d->file.data;
        d->count = d->file.bytes / each;
    }
    if (s == RW_OK && d->count == 0) return rw_fail(m, RW_BAD_FILE, "%s: holds no tokens", path);
    return s;
}

rw_status rw_data_open(const char *path, const char *type, rw_data **out, rw_message *m) {
    *out = NULL;
    rw_data *d = calloc(1, sizeof *d);
    if (d == NULL) return rw_fail(m, RW_NO_MEMORY, "%s: no memory", path);
    rw_status s = open_file(path, type, d, m);
    if (s == RW_OK)
        *out = d;
    else
        rw_data_close(d);
    return s;
}

void rw_data_close(rw_data *d) {
    if (d == NULL) return;
    rw_file_unmap(&d->file);
    rw_array_free(&d->array);
    free(d);
}

uint64_t rw_data_count(const rw_data *d) { return d->count; }
uint64_t rw_data_row(const rw_data *d) { return d->row; }
rw_dtype rw_data_dtype(const rw_data *d) { return d->dtype; }

/* ---- reading ------------------------------------------------------------------------------- */

static int64_t token_at(const rw_data *d, uint64_t i) {
    const uint8_t *p = d->bytes + i * rw_dtype_bytes(d->dtype);
    switch (d->dtype) {
    case RW_U8: return *p;
    case RW_I8: return (int8_t)*p;
    case RW_U16: return (int64_t)little_endian(p, 2);
    case RW_I16: return (int16_t)little_endian(p, 2);
    case RW_U32: return (int64_t)little_endian(p, 4);
    case RW_I32: return (int32_t)little_endian(p, 4);
    default: return (int64_t)little_endian(p, 8);
    }
}

void rw_data_read(const rw_data *d, uint64_t from, size_t n, int32_t *dst) {
    for (size_t i = 0; i < n; i++) {
        int64_t t = token_at(d, from + i);
        dst[i] = t >= INT32_MIN && t <= INT32_MAX ? (int32_t)t : -1;
    }
}

uint64_t rw_data_find_beyond(const rw_data *d, int64_t limit) {
    uint64_t i = 0;
    if (d->dtype == RW_U8 && limit > UINT8_MAX) return d->count;
    while (i < d->count) {
        int64_t t = token_at(d, i);
        if (t < 0 || t >= limit) break;
        i++;
    }
    return i;
}

/* ---- samples ------------------------------------------------------------------------------- */

/* A number below n from 64 random bits: the upper half of their product. */
static uint64_t below(uint64_t bits, uint64_t n) {
    uint64_t low = (bits & UINT32_MAX) * (n & UINT32_MAX);
    uint64_t mid = (bits >> 32) * (n & UINT32_MAX) + (low >> 32);
    uint64_t mid2 = (bits & UINT32_MAX) * (n >> 32) + (mid & UINT32_MAX);
    return (bits >> 32) * (n >> 32) + (mid >> 32) + (mid2 >> 32);
}

/* a*b mod m without a wider type: by doubling, one bit of b after the other. */
static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t m) {
    uint64_t r = 0;
    if (a < (uint64_t)1 << 32 && b < (uint64_t)1 << 32) return a * b % m;
    for (a %= m; b != 0; b >>= 1) {
        if (b & 1) r = r >= m - a ? r - (m - a) : r + a;
        a = a >= m - a ? a - (m - a) : a + a;
    }
    return r;
}

static int is_prime(uint64_t n) {
    if (n < 4) return n > 1;
    if (n % 2 == 0) return 0;
    for (uint64_t k = 3; k <= n / k; k += 2)
        if (n % k == 0) return 0;
    return 1;
}

uint64_t rw_cube_prime(uint64_t n) {
    while (n > 1 && (n % 3 != 2 || !is_prime(n))) n--;
    return n > 1 ? n : 0;
}

rw_status rw_sampler_init(rw_sampler *s, const rw_data *d, rw_order order, size_t ctx,
                          uint64_t seed, rw_message *m) {
    *s = (rw_sampler){.data = d, .order = order, .ctx = ctx, .seed = seed};
    if (ctx == 0) return rw_fail(m, RW_BAD_ARG, "a context of 0 tokens");
    if (d->row != 0 && d->row != (uint64_t)ctx + 1)
        return rw_fail(m, RW_BAD_SHAPE,
                       "the data has rows of %llu tokens: the context is one less, %llu, not %zu",
                       (unsigned long long)d->row, (unsigned long long)d->row - 1, ctx);
    if (d->count <= ctx)
        return rw_fail(m, RW_BAD_SHAPE, "the data has %llu tokens: too few for a context of %zu",
                       (unsigned long long)d->count, ctx);
    if (d->row != 0)
        s->places = d->count / d->row;
    else if (order == RW_ORDER_RANDOM)
        s->places = d->count - ctx;
    else
        s->places = (d->count - 1) / ctx;
    if (order != RW_ORDER_CUBE) return RW_OK;
    if (d->row != 0) return rw_fail(m, RW_BAD_ARG, "rows are taken random or in sequence");
    s->prime = rw_cube_prime(d->count / ctx - 1);
    if (s->prime != 0) return RW_OK;
    return rw_fail(m, RW_BAD_SHAPE, "the data has %llu tokens: too few pieces of %zu to permute",
                   (unsigned long long)d->count, ctx);
}

uint64_t rw_sampler_place(const rw_sampler *s, uint64_t i) {
    uint64_t place = 0;
    switch (s->order) {
    case RW_ORDER_RANDOM: {
        uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), 0x61746164u, 0}, bits[4];
        uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};
        rw_philox(counter, key, bits);
        place = below((uint64_t)bits[1] << 32 | bits[0], s->places);
        if (s->data->row == 0) return place;
        break;
    }
    case RW_ORDER_SEQUENCE: place = i % s->places; break;
    case RW_ORDER_CUBE: {
        uint64_t p = s->prime, n = (i + 1) % p;
        uint64_t factor = (uint64_t)((double)p * (sqrt(5.0) - 1) / 2);
        place = mul_mod(mul_mod(mul_mod(n, n, p), n, p), factor, p);
        break;
    }
    }
    return place * (s->data->row != 0 ? s->data->row : s->ctx);
}

void rw_sampler_read(const rw_sampler *s, uint64_t i, int32_t *input, int32_t *target) {
    uint64_t at = rw_sampler_place(s, i);
    rw_data_read(s->data, at, s->ctx, input);
    rw_data_read(s->data, at + 1, s->ctx, target);
}
