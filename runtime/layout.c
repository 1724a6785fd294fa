/* Offsets for buffers of which not all live at once: one after the other, each at the lowest place that is
 * free while it lives. The rule is in docs/format.md, section 4; compiler/plan_peak.c follows it too, and says
 * beforehand what a session takes. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { MOST_TRIES = 32 };

typedef struct item {
    const buffer *b;
    uint32_t number;
    size_t bytes, at;
    size_t crowd; /* most bytes that live at once with it, its own included */
} item;

/* Those of the worst moments first; of one moment those that live longest, so that they stand below and what
 * comes and goes stands on them. Ties by number, so that the result depends on nothing else. */
static int by_crowd(const void *a, const void *b) {
    const item *x = a, *y = b;
    uint32_t lx = x->b->dies - x->b->born, ly = y->b->dies - y->b->born;
    if (x->crowd != y->crowd) return x->crowd > y->crowd ? -1 : 1;
    if (lx != ly) return lx > ly ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static bool live_together(const buffer *a, const buffer *b) {
    return a->born <= b->dies && b->born <= a->dies;
}

/* Sets every crowd, which is greatest when something is born; the greatest of all, or SIZE_MAX. */
static size_t find_crowds(item *items, uint32_t count) {
    size_t most = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t now = items[i].b->born;
        size_t live = 0;
        for (uint32_t k = 0; k < count; k++)
            if (items[k].b->born <= now && now <= items[k].b->dies &&
                __builtin_add_overflow(live, items[k].bytes, &live))
                return SIZE_MAX;
        for (uint32_t k = 0; k < count; k++)
            if (items[k].b->born <= now && now <= items[k].b->dies && items[k].crowd < live)
                items[k].crowd = live;
        most = live > most ? live : most;
    }
    return most;
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

/* The first of those that end highest goes to the front. */
static void raise_top(item *items, size_t total) {
    uint32_t top = 0;
    while (items[top].at + items[top].bytes != total) top++;
    item x = items[top];
    memmove(items + 1, items, top * sizeof *items);
    items[0] = x;
}

size_t layout_place(pool *scratch, const buffer *buffers, uint32_t n, const size_t *capacity,
                    size_t *at) {
    item *items = POOL_NEW(scratch, item, n + 1u);
    item **placed = POOL_NEW(scratch, item *, n + 1u);
    uint32_t count = 0;
    if (items == NULL || placed == NULL) return SIZE_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (capacity[i] == SIZE_MAX) continue;
        size_t room = 0, unused;
        if (!memory_place(&room, capacity[i], &unused)) return SIZE_MAX;
        items[count++] = (item){.b = &buffers[i], .number = i, .bytes = room};
    }
    if (count == 0) return 0;
    size_t least = find_crowds(items, count), best = SIZE_MAX;
    qsort(items, count, sizeof *items, by_crowd);
    for (int k = 0; k < MOST_TRIES && best > least; k++) {
        size_t total = place_all(items, placed, count);
        if (total == SIZE_MAX) return SIZE_MAX;
        if (total < best) {
            best = total;
            for (uint32_t i = 0; i < count; i++) at[items[i].number] = items[i].at;
        }
        raise_top(items, total);
    }
    return best;
}
