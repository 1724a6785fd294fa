/* Memory of a context: through its hook, in large blocks on large pages, or in pools that are freed
 * at once. Not for users of the runtime. */
#ifndef RW_MEMORY_H
#define RW_MEMORY_H

#include "rw.h"

enum { MEMORY_ALIGN = 64 };

/* A block aligned to MEMORY_ALIGN, all zero. */
typedef struct memory_block {
    uint8_t *data;
    void *taken; /* what the hook gave, or NULL: mapped */
    size_t bytes;
} memory_block;

/* false: there is none left; *b is empty then. bytes may be 0. */
bool memory_take(const rw_alloc *a, size_t bytes, memory_block *b);
void memory_give(const rw_alloc *a, memory_block *b); /* may be called again */

/* Small things that live as long as their owner: zeroed, aligned to 16. */
typedef struct pool {
    const rw_alloc *alloc;
    struct pool_block *blocks;
    size_t bytes; /* taken so far */
    bool is_out;  /* an allocation has failed */
} pool;

void *pool_take(pool *p, size_t count, size_t each); /* NULL: none left, or too many */
char *pool_text(pool *p, const char *s, size_t n);   /* NUL-terminated copy */
void pool_free(pool *p);
#define POOL_NEW(p, T, n) ((T *)pool_take((p), (n), sizeof(T)))

/* The hook that rw_context_create uses when none is given. */
extern const rw_alloc memory_system;

/* *a += b rounded up to MEMORY_ALIGN and followed by as many spare bytes; false on overflow. Returns
 * the place in *at. Every buffer is readable for 64 bytes past its end. */
bool memory_place(size_t *total, size_t bytes, size_t *at);

#endif
