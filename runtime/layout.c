/* Offsets for buffers of which not all live at once: the largest first, each at the lowest place that
 * is free while it lives. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

typedef struct item {
    const buffer *b;
    uint32_t number;
    size_t bytes, at;
} item;

/* Larger first; ties by number, so that the result depends on nothing else. */
static int by_size(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static bool live_together(const buffer *a, const buffer *b) {
    return a->born <= b->dies && b->born <= a->dies;
}

/* placed: n items by rising offset. */
static size_t lowest_place(item *const *placed, uint32_t n, const item *x) {
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const item *y = placed[i];
        if (!live_together(x->b, y->b)) continue;
        if (y->at >= at && y->at - at >= x->bytes) break;
        if (y->at + y->bytes > at) at = y->at + y->bytes;
    }
    return at;
}

static void insert(item **placed, uint32_t n, item *x) {
    uint32_t i = n;
    for (; i > 0 && placed[i - 1]->at > x->at; i--) placed[i] = placed[i - 1];
    placed[i] = x;
}

size_t layout_place(pool *scratch, const buffer *buffers, uint32_t n, const size_t *capacity,
                    size_t *at) {
    item *items = POOL_NEW(scratch, item, n + 1u);
    item **placed = POOL_NEW(scratch, item *, n + 1u);
    uint32_t count = 0;
    size_t total = 0;
    if (items == NULL || placed == NULL) return SIZE_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (capacity[i] == SIZE_MAX) continue;
        size_t room = 0, unused;
        if (!memory_place(&room, capacity[i], &unused)) return SIZE_MAX;
        items[count++] = (item){.b = &buffers[i], .number = i, .bytes = room};
    }
    qsort(items, count, sizeof *items, by_size);
    for (uint32_t i = 0; i < count; i++) {
        item *x = &items[i];
        x->at = lowest_place(placed, i, x);
        if (x->at > SIZE_MAX / 4) return SIZE_MAX;
        insert(placed, i, x);
        at[x->number] = x->at;
        if (x->at + x->bytes > total) total = x->at + x->bytes;
    }
    return total;
}
