/* Files of weights made by hand, sound and unsound ones. */
#ifndef TESTS_RUNTIME_BUILD_H
#define TESTS_RUNTIME_BUILD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Bytes that are appended to. */
typedef struct bytes {
    uint8_t *p;
    size_t n, cap;
} bytes;

static inline void add(bytes *b, const void *data, size_t n) {
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 64;
        b->p = realloc(b->p, b->cap);
        if (b->p == NULL)
            abort();
    }
    if (n > 0)
        memcpy(b->p + b->n, data, n);
    b->n += n;
}

static inline void add_text(bytes *b, const char *s) {
    add(b, s, strlen(s));
}

static inline void add_int(bytes *b, uint64_t x, int n) {
    for (int i = 0; i < n; i++) {
        uint8_t c = (uint8_t)(i < 8 ? x >> 8 * i : 0);
        add(b, &c, 1);
    }
}

static inline void reset(bytes *b) {
    b->n = 0;
}

/* ---- zip ----------------------------------------------------------------------------------- */

typedef struct archive {
    bytes file, directory;
    int n;
    int is_wide;  /* all numbers in zip64 fields, which small files need not */
    int method;   /* of the entries that follow */
    int flags;
    uint32_t spoil; /* xor of their check sums */
} archive;

static inline void add_entry(archive *z, const char *name, const void *data, size_t n) {
    uint64_t at = z->file.n;
    uint32_t crc = (uint32_t)crc32(0, data, (unsigned)n) ^ z->spoil;
    add_text(&z->file, "PK\3\4");
    add_int(&z->file, 0x14, 2);
    add_int(&z->file, 0x808, 2);
    add_int(&z->file, 0, 18); /* sizes and check sum are zero, as torch leaves them */
    add_int(&z->file, strlen(name), 2);
    add_int(&z->file, 0, 2);
    add_text(&z->file, name);
    add(&z->file, data, n);
    bytes *d = &z->directory;
    add_text(d, "PK\1\2");
    add_int(d, 0x14, 2);
    add_int(d, 0x14, 2);
    add_int(d, (uint64_t)(0x808 | z->flags), 2);
    add_int(d, (uint64_t)z->method, 2);
    add_int(d, 0, 4);
    add_int(d, crc, 4);
    add_int(d, z->is_wide ? 0xffffffffu : n, 4);
    add_int(d, z->is_wide ? 0xffffffffu : n, 4);
    add_int(d, strlen(name), 2);
    add_int(d, z->is_wide ? 33 : 0, 2);
    add_int(d, 0, 10);
    add_int(d, z->is_wide ? 0xffffffffu : at, 4);
    add_text(d, name);
    if (z->is_wide) {
        add_int(d, 0x5455, 2); /* another field first */
        add_int(d, 1, 2);
        add_int(d, 0, 1);
        add_int(d, 1, 2);
        add_int(d, 24, 2);
        add_int(d, n, 8);
        add_int(d, n, 8);
        add_int(d, at, 8);
    }
    z->n++;
}

/* Ends the archive; its bytes are z->file. */
static inline void end_archive(archive *z) {
    uint64_t at = z->file.n, n = z->directory.n;
    bytes *f = &z->file;
    add(f, z->directory.p, z->directory.n);
    if (z->is_wide) {
        add_text(f, "PK\6\6");
        add_int(f, 44, 8);
        add_int(f, 45, 2);
        add_int(f, 45, 2);
        add_int(f, 0, 8);
        add_int(f, (uint64_t)z->n, 8);
        add_int(f, (uint64_t)z->n, 8);
        add_int(f, n, 8);
        add_int(f, at, 8);
        add_text(f, "PK\6\7");
        add_int(f, 0, 4);
        add_int(f, at + n, 8);
        add_int(f, 1, 4);
    }
    add_text(f, "PK\5\6");
    add_int(f, 0, 4);
    add_int(f, z->is_wide ? 0xffff : (uint64_t)z->n, 2);
    add_int(f, z->is_wide ? 0xffff : (uint64_t)z->n, 2);
    add_int(f, z->is_wide ? 0xffffffffu : n, 4);
    add_int(f, z->is_wide ? 0xffffffffu : at, 4);
    add_int(f, 0, 2);
}

static inline void reset_archive(archive *z) {
    free(z->file.p);
    free(z->directory.p);
    *z = (archive){.n = 0};
}

/* ---- pickles ------------------------------------------------------------------------------- */

static inline void p_text(bytes *b, const char *s) {
    add_text(b, "X");
    add_int(b, strlen(s), 4);
    add_text(b, s);
}

static inline void p_int(bytes *b, int64_t x) {
    add_int(b, 0x088a, 2);
    add_int(b, (uint64_t)x, 8);
}

static inline void p_storage(bytes *b, const char *type, const char *key, int64_t count) {
    add_text(b, "(");
    p_text(b, "storage");
    add_text(b, "ctorch\n");
    add_text(b, type);
    add_text(b, "\n");
    p_text(b, key);
    p_text(b, "cpu");
    p_int(b, count);
    add_text(b, "tQ");
}

/* A tensor of f32 over storage `key`. */
static inline void p_tensor(bytes *b, const char *key, int64_t count, int64_t offset, int rank,
                            const int64_t *shape, const int64_t *stride) {
    add_text(b, "ctorch._utils\n_rebuild_tensor_v2\n(");
    p_storage(b, "FloatStorage", key, count);
    p_int(b, offset);
    add_text(b, "(");
    for (int i = 0; i < rank; i++)
        p_int(b, shape[i]);
    add_text(b, "t(");
    for (int i = 0; i < rank; i++)
        p_int(b, stride[i]);
    add_text(b, "t\x89" "ccollections\nOrderedDict\n)RtR");
}

/* A .pth of this pickle and one storage "0" of n floats. */
static inline void make_pth(archive *z, const bytes *pickle, const float *data, size_t n) {
    add_entry(z, "a/data.pkl", pickle->p, pickle->n);
    add_entry(z, "a/data/0", data, n * sizeof *data);
    add_entry(z, "a/version", "3\n", 2);
    end_archive(z);
}

/* ---- rwkv.cpp ------------------------------------------------------------------------------ */

static inline void add_ggmf_header(bytes *b, int version, int type) {
    add_int(b, 0x67676d66, 4);
    add_int(b, (uint64_t)version, 4);
    add_int(b, 256, 4);
    add_int(b, 32, 4);
    add_int(b, 1, 4);
    add_int(b, (uint64_t)type, 4);
}

/* dims as torch has them */
static inline void add_ggmf_tensor(bytes *b, const char *name, int type, int rank,
                                   const int64_t *dims, const void *data, size_t n) {
    add_int(b, (uint64_t)rank, 4);
    add_int(b, strlen(name), 4);
    add_int(b, (uint64_t)type, 4);
    for (int i = rank - 1; i >= 0; i--)
        add_int(b, (uint64_t)dims[i], 4);
    add_text(b, name);
    add(b, data, n);
}

#endif
