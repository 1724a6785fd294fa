/* Arenas, growable arrays, text buffers and interned names. */
#include "base.h"

#include <stdlib.h>
#include <string.h>

/* ---- arenas -------------------------------------------------------------------------------- */

typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    size_t used, cap;
    _Alignas(16) unsigned char data[];
};

struct Arena {
    Chunk *head;
    size_t total;
};

enum { CHUNK_BYTES = 1 << 16 };

static void out_of_memory(void) {
    fputs("rwkvc: out of memory\n", stderr);
    exit(70);
}

Arena *arena_new(void) {
    Arena *a = calloc(1, sizeof *a);
    if (!a) out_of_memory();
    return a;
}

void arena_free(Arena *a) {
    if (!a) return;
    for (Chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

static Chunk *chunk_add(Arena *a, size_t bytes) {
    size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    if (cap > SIZE_MAX - sizeof(Chunk)) out_of_memory();
    Chunk *c = calloc(1, sizeof(Chunk) + cap);
    if (!c) out_of_memory();
    c->cap = cap;
    /* A large block goes behind the head, so that the room left in the head is still used. */
    if (bytes > CHUNK_BYTES / 4 && a->head) {
        c->next = a->head->next;
        a->head->next = c;
    } else {
        c->next = a->head;
        a->head = c;
    }
    return c;
}

void *arena_alloc(Arena *a, size_t bytes) {
    if (bytes > SIZE_MAX - 16) out_of_memory();
    bytes = (bytes + 15) & ~(size_t)15;
    Chunk *c = a->head;
    if (!c || c->cap - c->used < bytes) c = chunk_add(a, bytes);
    void *p = c->data + c->used;
    c->used += bytes;
    a->total += bytes;
    return p;
}

void *arena_copy(Arena *a, const void *p, size_t bytes) {
    void *q = arena_alloc(a, bytes);
    if (bytes) memcpy(q, p, bytes);
    return q;
}

char *arena_strn(Arena *a, const char *s, size_t n) {
    char *p = arena_alloc(a, n + 1);
    if (n) memcpy(p, s, n);
    return p;
}

char *arena_str(Arena *a, const char *s) { return arena_strn(a, s, strlen(s)); }

char *arena_printf(Arena *a, const char *fmt, ...) {
    Text t = text_new(a);
    va_list ap;
    va_start(ap, fmt);
    text_vprintf(&t, fmt, ap);
    va_end(ap);
    return t.data;
}

size_t arena_used(const Arena *a) { return a->total; }

void *vec_grow(Arena *a, void *data, uint32_t n, uint32_t *cap, size_t item) {
    if (n < *cap) return data;
    if (*cap > UINT32_MAX / 2) out_of_memory();
    uint32_t more = *cap ? *cap * 2 : 8;
    void *p = arena_alloc(a, item * more);
    if (n) memcpy(p, data, item * n);
    *cap = more;
    return p;
}

/* ---- text buffers -------------------------------------------------------------------------- */

Text text_new(Arena *a) {
    Text t = {.arena = a, .cap = 64};
    t.data = arena_alloc(a, t.cap);
    return t;
}

static void text_reserve(Text *t, size_t more) {
    if (t->cap - t->n > more) return;
    if (more > SIZE_MAX / 4 || t->cap > SIZE_MAX / 4) out_of_memory();
    size_t cap = t->cap * 2;
    while (cap - t->n <= more) cap *= 2;
    char *p = arena_alloc(t->arena, cap);
    memcpy(p, t->data, t->n);
    t->data = p;
    t->cap = cap;
}

void text_addn(Text *t, const char *s, size_t n) {
    text_reserve(t, n);
    if (n) memcpy(t->data + t->n, s, n);
    t->n += n;
    t->data[t->n] = 0;
}

void text_add(Text *t, const char *s) { text_addn(t, s, strlen(s)); }

void text_vprintf(Text *t, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0) return;
    text_reserve(t, (size_t)n);
    vsnprintf(t->data + t->n, (size_t)n + 1, fmt, ap);
    t->n += (size_t)n;
}

void text_printf(Text *t, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    text_vprintf(t, fmt, ap);
    va_end(ap);
}

/* ---- names --------------------------------------------------------------------------------- */

struct Names {
    Arena *arena;
    const char **table;
    uint32_t *lens;
    uint32_t n, cap;
};

Names *names_new(Arena *a) {
    Names *n = NEW(a, Names);
    n->arena = a;
    n->cap = 256;
    n->table = NEWN(a, const char *, n->cap);
    n->lens = NEWN(a, uint32_t, n->cap);
    return n;
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed) {
    const unsigned char *b = p;
    uint64_t h = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static void names_double(Names *n) {
    uint32_t cap = n->cap * 2;
    const char **table = NEWN(n->arena, const char *, cap);
    uint32_t *lens = NEWN(n->arena, uint32_t, cap);
    for (uint32_t i = 0; i < n->cap; i++) {
        if (!n->table[i]) continue;
        uint32_t at = (uint32_t)hash_bytes(n->table[i], n->lens[i], 0) & (cap - 1);
        while (table[at]) at = (at + 1) & (cap - 1);
        table[at] = n->table[i];
        lens[at] = n->lens[i];
    }
    n->table = table;
    n->lens = lens;
    n->cap = cap;
}

const char *name_ofn(Names *n, const char *s, size_t len) {
    if (n->n * 2 >= n->cap) names_double(n);
    uint32_t at = (uint32_t)hash_bytes(s, len, 0) & (n->cap - 1);
    for (; n->table[at]; at = (at + 1) & (n->cap - 1))
        if (n->lens[at] == len && memcmp(n->table[at], s, len) == 0) return n->table[at];
    n->table[at] = arena_strn(n->arena, s, len);
    n->lens[at] = (uint32_t)len;
    n->n++;
    return n->table[at];
}

const char *name_of(Names *n, const char *s) { return name_ofn(n, s, strlen(s)); }
