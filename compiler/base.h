/* What every room of the compiler stands on: arenas, growable arrays, strings, places in texts. */
#ifndef RWKVC_BASE_H
#define RWKVC_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- arenas -------------------------------------------------------------------------------- */

typedef struct Arena Arena;

/* Memory is given back only by arena_free. Out of memory ends the process with exit code 70:
 * the compiler bounds what an input may make it allocate before it asks. */
Arena *arena_new(void);
void arena_free(Arena *a);
void *arena_alloc(Arena *a, size_t bytes);             /* zeroed, 16-byte aligned             */
void *arena_copy(Arena *a, const void *p, size_t bytes);
char *arena_str(Arena *a, const char *s);
char *arena_strn(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const Arena *a);

#define NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define NEWN(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

/* Growable array in an arena: struct { T *data; uint32_t n, cap; }. PUSH returns a T * to the new
 * (zeroed) last element; earlier pointers into the array may move. */
#define VEC(T)                                                                                    \
    struct {                                                                                      \
        T *data;                                                                                  \
        uint32_t n, cap;                                                                          \
    }
void *vec_grow(Arena *a, void *data, uint32_t n, uint32_t *cap, size_t item);
#define PUSH(a, v)                                                                                \
    ((v)->data = vec_grow((a), (v)->data, (v)->n, &(v)->cap, sizeof *(v)->data),                  \
     &(v)->data[(v)->n++])

/* ---- text buffers -------------------------------------------------------------------------- */

typedef struct Text {
    Arena *arena;
    char *data; /* NUL-terminated */
    size_t n, cap;
} Text;
Text text_new(Arena *a);
void text_add(Text *t, const char *s);
void text_addn(Text *t, const char *s, size_t n);
void text_printf(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(Text *t, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0), nonnull(2)));

/* ---- names --------------------------------------------------------------------------------- */

/* Interned strings: equal text, equal pointer. */
typedef struct Names Names;
Names *names_new(Arena *a);
const char *name_of(Names *n, const char *s);
const char *name_ofn(Names *n, const char *s, size_t len);

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);
static inline uint64_t hash_mix(uint64_t h, uint64_t v) {
    h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 32);
}

/* ---- places in a text ---------------------------------------------------------------------- */

/* file: index into the diagnostics' list of sources (0 = none), line and col from 1, len in bytes. */
typedef struct Loc {
    uint32_t file, line, col, len;
} Loc;

#endif
