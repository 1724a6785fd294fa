/* The allocator hook, large blocks, pools. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *system_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes) {
    (void)user;
    (void)old_bytes;
    if (new_bytes > 0) return realloc(old, new_bytes);
    free(old);
    return NULL;
}

const rw_alloc memory_system = {system_alloc, NULL};

/* ---- large blocks ---------------------------------------------------------------------------- */

/* From here on a block of the system's is mapped by itself, on large pages where there are any. */
#define LARGE      ((size_t)4 << 20)
#define LARGE_PAGE ((size_t)2 << 20)

static bool map_block(size_t bytes, memory_block *b) {
    size_t room = bytes + LARGE_PAGE;
    uint8_t *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    size_t skip = (size_t)(-(uintptr_t)p & (LARGE_PAGE - 1));
    if (skip > 0) munmap(p, skip);
    if (room - skip > bytes) munmap(p + skip + bytes, room - skip - bytes);
    (void)madvise(p + skip, bytes, MADV_HUGEPAGE);
    *b = (memory_block){.data = p + skip, .bytes = bytes};
    return true;
}

bool memory_take(const rw_alloc *a, size_t bytes, memory_block *b) {
    *b = (memory_block){0};
    if (bytes > SIZE_MAX / 2) return false;
    if (a->fn == system_alloc && bytes >= LARGE)
        return map_block((bytes + 4095) & ~(size_t)4095, b);
    size_t room = bytes + MEMORY_ALIGN;
    uint8_t *p = a->fn(a->user, NULL, 0, room);
    if (p == NULL) return false;
    memset(p, 0, room);
    *b = (memory_block){
        .data = p + ((size_t) - (uintptr_t)p & (MEMORY_ALIGN - 1)), .taken = p, .bytes = room};
    return true;
}

void memory_give(const rw_alloc *a, memory_block *b) {
    if (b->taken != NULL)
        a->fn(a->user, b->taken, b->bytes, 0);
    else if (b->data != NULL)
        munmap(b->data, b->bytes);
    *b = (memory_block){0};
}

bool memory_place(size_t *total, size_t bytes, size_t *at) {
    size_t room;
    *at = *total;
    if (__builtin_add_overflow(bytes, 2 * (size_t)MEMORY_ALIGN - 1, &room)) return false;
    room &= ~(size_t)(MEMORY_ALIGN - 1);
    return !__builtin_add_overflow(*total, room, total) && *total < SIZE_MAX / 4;
}

/* ---- pools ----------------------------------------------------------------------------------- */

typedef struct pool_block {
    struct pool_block *next;
    size_t used, bytes;
    max_align_t data[];
} pool_block;

#if defined(__SANITIZE_ADDRESS__)
enum { POOL_BLOCK = 1 }; /* everything by itself, so that the sanitizer sees its ends */
#else
enum { POOL_BLOCK = 1 << 16 };
#endif

void *pool_take(pool *p, size_t count, size_t each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes) || bytes > SIZE_MAX / 4) bytes = SIZE_MAX / 4;
    bytes = (bytes + 15) & ~(size_t)15;
    pool_block *b = p->blocks;
    if (b == NULL || b->bytes - b->used < bytes) {
        size_t room = bytes > POOL_BLOCK / 4 ? bytes : POOL_BLOCK, all = room + sizeof *b;
        pool_block *fresh =
            p->is_out || room >= SIZE_MAX / 4 ? NULL : p->alloc->fn(p->alloc->user, NULL, 0, all);
        if (fresh == NULL) {
            p->is_out = true;
            return NULL;
        }
        *fresh = (pool_block){.bytes = room};
        p->bytes += all;
        /* a block for one large thing goes behind the one that still has room */
        if (b != NULL && room == bytes) {
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            p->blocks = fresh;
        }
        b = fresh;
    }
    uint8_t *at = (uint8_t *)b->data + b->used;
    b->used += bytes;
    return memset(at, 0, bytes);
}

char *pool_text(pool *p, const char *s, size_t n) {
    char *copy = pool_take(p, n + 1, 1);
    if (copy != NULL) memcpy(copy, s, n);
    return copy;
}

void pool_free(pool *p) {
    for (pool_block *b = p->blocks, *next; b != NULL; b = next) {
        next = b->next;
        p->alloc->fn(p->alloc->user, b, sizeof *b + b->bytes, 0);
    }
    p->blocks = NULL;
    p->bytes = 0;
}
