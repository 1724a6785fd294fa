/* The memory a kernel may touch: pieces by address, each with what was written to it. Those of the
 * device have a gap around them, so that a step too far is never in the next one. */
#include "wave.h"

#include <stdlib.h>

enum { GAP = 4096 };

/* The number of buffers that start at or before an address. */
static size_t upto(const Buffers *b, uint64_t at) {
    size_t low = 0, high = b->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uint64_t)(uintptr_t)b->all[middle]->base <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const Buffer *buffers_near(const Buffers *b, uint64_t at) {
    size_t k = upto(b, at);
    return k == 0 ? NULL : b->all[k - 1];
}

const Buffer *buffers_find(const Buffers *b, uint64_t at, size_t bytes) {
    const Buffer *x = buffers_near(b, at);
    if (x == NULL) return NULL;
    uint64_t offset = at - (uint64_t)(uintptr_t)x->base;
    return offset <= x->bytes && bytes <= x->bytes - offset ? x : NULL;
}

bool buffers_add(Buffers *b, Buffer buffer) {
    if (b->n == b->cap) {
        size_t cap = b->cap == 0 ? 64 : 2 * b->cap;
        Buffer **more = realloc(b->all, cap * sizeof *more);
        if (more == NULL) return false;
        b->all = more;
        b->cap = cap;
    }
    Buffer *x = malloc(sizeof *x);
    if (x == NULL) return false;
    *x = buffer;
    size_t k = upto(b, (uint64_t)(uintptr_t)buffer.base);
    memmove(b->all + k + 1, b->all + k, (b->n - k) * sizeof *b->all);
    b->all[k] = x;
    b->n++;
    return true;
}

static void release(Buffer *x) {
    if (x->is_ours) free(x->block);
    free(x->known);
    free(x->writers);
    free(x->read_only);
    free(x);
}

void buffers_release(Buffers *b) {
    for (size_t i = 0; i < b->n; i++) release(b->all[i]);
    free(b->all);
    *b = (Buffers){0};
}

bool buffers_remove(Buffers *b, const void *base) {
    size_t k = upto(b, (uint64_t)(uintptr_t)base);
    if (k == 0 || b->all[k - 1]->base != base) return false;
    if (b->all[k - 1]->is_ours) b->allocated -= b->all[k - 1]->bytes;
    release(b->all[k - 1]);
    memmove(b->all + k - 1, b->all + k, (b->n - k) * sizeof *b->all);
    b->n--;
    return true;
}

/* ---- as a driver uses it --------------------------------------------------------------------- */

void *emu_alloc(Emu *emu, size_t bytes) {
    size_t room = (bytes + GAP - 1) & ~(size_t)(GAP - 1);
    if (room < bytes || room > SIZE_MAX - 2 * GAP) return NULL;
    Buffer b = {.bytes = bytes, .is_ours = true, .block_bytes = room + 2 * GAP};
    b.block = aligned_alloc(GAP, b.block_bytes);
    b.known = calloc(bytes + 16, 1); /* pages of what is never written are never touched */
    b.writers = calloc(bytes / 4 + 5, sizeof *b.writers);
    bool is_nvidia = emu->processor->family == &family_nvidia;
    b.read_only = is_nvidia ? calloc(bytes / 4 + 5, sizeof *b.read_only) : NULL;
    bool is_whole = b.known != NULL && b.writers != NULL && (!is_nvidia || b.read_only != NULL);
    if (b.block != NULL && is_whole) {
        b.base = (uint8_t *)b.block + GAP;
        memset(b.base, 0xa5, bytes);
        if (buffers_add(&emu->buffers, b)) {
            emu->buffers.allocated += bytes;
            return b.base;
        }
    }
    free(b.block);
    free(b.known);
    free(b.writers);
    free(b.read_only);
    return NULL;
}

EmuStatus emu_register(Emu *emu, void *base, size_t bytes) {
    Buffer b = {.base = base, .bytes = bytes};
    return buffers_add(&emu->buffers, b) ? EMU_OK : EMU_NO_MEMORY;
}

EmuStatus emu_free(Emu *emu, void *base) {
    return buffers_remove(&emu->buffers, base) ? EMU_OK : EMU_BAD_ARG;
}

bool emu_is_mapped(const Emu *emu, const void *at, size_t bytes) {
    return buffers_find(&emu->buffers, (uint64_t)(uintptr_t)at, bytes) != NULL;
}

bool emu_buffer_of(const Emu *emu, const void *at, void **base, size_t *bytes) {
    const Buffer *b = buffers_find(&emu->buffers, (uint64_t)(uintptr_t)at, 0);
    if (b == NULL) return false;
    *base = b->base;
    *bytes = b->bytes;
    return true;
}

static uint8_t *known_at(const Emu *emu, const void *at, size_t bytes) {
    const Buffer *b = buffers_find(&emu->buffers, (uint64_t)(uintptr_t)at, bytes);
    if (b == NULL || b->known == NULL) return NULL;
    return b->known + ((uintptr_t)at - (uintptr_t)b->base);
}

void emu_copy(Emu *emu, void *to, const void *from, size_t bytes) {
    uint8_t *known = known_at(emu, to, bytes);
    const uint8_t *source = known_at(emu, from, bytes);
    memmove(to, from, bytes);
    if (known == NULL) return;
    if (source != NULL)
        memmove(known, source, bytes);
    else
        memset(known, 0xff, bytes);
}

void emu_fill(Emu *emu, void *to, uint32_t value, unsigned width, size_t count) {
    uint8_t *known = known_at(emu, to, width * count);
    if (width == 1)
        memset(to, (int)(value & 255u), count);
    else
        for (size_t i = 0; i < count; i++) memcpy((uint8_t *)to + i * width, &value, width);
    if (known != NULL) memset(known, 0xff, width * count);
}
