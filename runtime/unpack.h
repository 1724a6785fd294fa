/* MessagePack, the reading half, for bytes that may be anybody's. Every call looks at the bytes left
 * before it believes a length; after the first mistake every call answers 0 or "" and the reader
 * stays where it was. Not for users of the runtime. */
#ifndef RW_UNPACK_H
#define RW_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct unpacker {
    const uint8_t *at, *end;
    const uint8_t *start;
    const char *error; /* NULL while all is well */
    size_t error_at;   /* offset */
} unpacker;

void unpack_begin(unpacker *u, const void *data, size_t bytes);
/* Records a mistake at this place, if it is the first. */
void unpack_fail(unpacker *u, const char *what);
static inline bool unpack_good(const unpacker *u) { return u->error == NULL; }

/* The number of items that follow; never more than there are bytes left. */
size_t unpack_array(unpacker *u);
/* An array of exactly n items. */
void unpack_array_of(unpacker *u, size_t n);
void unpack_map_of(unpacker *u, size_t n);
/* The key must be this. */
void unpack_key(unpacker *u, const char *key);
/* A whole number from lo to hi. */
int64_t unpack_int(unpacker *u, int64_t lo, int64_t hi);
uint32_t unpack_below(unpacker *u, size_t n); /* 0..n-1 */
double unpack_real(unpacker *u);
bool unpack_bool(unpacker *u);
/* Text without control characters; not NUL-terminated. */
const char *unpack_text(unpacker *u, size_t *n);

#endif
