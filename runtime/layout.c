/* Offsets for buffers of which not all live at once: one after the other, each at the lowest place that is
 * free while it lives; in whichever of a few orders that takes the least room. The rule is in docs/format.md,
 * section 4; compiler/plan_peak.c follows it too, and says beforehand what a session takes. */
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

/* Those that live longest first: they stand below, and what comes and goes stands on them. */
static int by_life(const void *a, const void *b) {
    const item *x = a, *y = b;
    uint32_t lx = x->b->dies - x->b->born, ly = y->b->dies - y->b->born;
    if (lx != ly) return lx > ly ? -1 : 1;
    return by_size(a, b);
}

static int by_birth(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->b->born != y->b->born) return x->b->born < y->b->born ? -1 : 1;
    return by_size(a, b);
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

/* SIZE_MAX: more than there can be. */
static size_t place_all(item *items, item **placed, uint32_t count) {
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        item *x = &items[i];
        x->at = lowest_place(placed, i, x);
        if (x->at > SIZE_MAX / 4) return SIZE_MAX;
        insert(placed, i, x);
        if (x->at + x->bytes > total) total = x->at + x->bytes;
    }
    return total;
}

size_t layout_place(pool *scratch, const buffer *buffers, uint32_t n, const size_t *capacity,
                    size_t *at) {
    item *items = POOL_NEW(scratch, item, n + 1u);
    item **placed = POOL_NEW(scratch, item *, n + 1u);
    uint32_t count = 0;
    size_t best = SIZE_MAX;
    if (items == NULL || placed == NULL) return SIZE_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (capacity[i] == SIZE_MAX) continue;
        size_t room = 0, unused;
        if (!memory_place(&room, capacity[i], &unused)) return SIZE_MAX;
        items[count++] = (item){.b = &buffers[i], .number = i, .bytes = room};
    }
    static int (*const order[])(const void *, const void *) = {by_size, by_life, by_birth};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        qsort(items, count, sizeof *items, order[k]);
        size_t total = place_all(items, placed, count);
        if (total == SIZE_MAX) return SIZE_MAX;
        if (total >= best) continue;
        best = total;
        for (uint32_t i = 0; i < count; i++) at[items[i].number] = items[i].at;
    }
    return count ? best : 0;
}
