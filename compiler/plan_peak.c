/* How much memory a plan takes at given lengths. Buffers of which not all live at once are placed as the
 * runtime places them; the rule is in docs/format.md, section 4, and runtime/layout.c follows it too.
 * Cost: (buffers)^2. */
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "plan.h"

enum { MOST_TRIES = 32 };
enum { ALIGN = 64 }; /* of every buffer, with as much to read behind it */
static const int64_t MOST = INT64_C(1) << 60;

typedef struct Item {
    const PlanBuf *b;
    uint32_t number;
    int64_t bytes, room, at;
    int64_t crowd; /* most room that is taken at once with it, its own included */
} Item;

typedef struct Peak {
    Plan *p;
    const int64_t *axes;
    Item *items;
    uint32_t n;
} Peak;

static Size bytes_formula(Plan *p, const PlanBuf *b) {
    Sizes *s = p->g->sizes;
    int64_t item = b->dtype == DT_BF16 || b->dtype == DT_F16 ? 2 : 4;
    return size_mul(s, sizes_product(p->g, b->dims, b->rank), size_num(s, item));
}

/* Factor by factor: a product may have a number where its formula has none. */
static bool bytes_of(const Peak *k, const PlanBuf *b, int64_t *bytes) {
    *bytes = b->dtype == DT_BF16 || b->dtype == DT_F16 ? 2 : 4;
    for (uint32_t i = 0; i < b->rank; i++) {
        int64_t n;
        if (!size_eval(k->p->g->sizes, b->dims[i], k->axes, &n) || n < 0) return false;
        if (n && *bytes > MOST / n) return false;
        *bytes *= n;
    }
    return true;
}

static bool *written_over(Plan *p, Arena *scratch) {
    bool *over = NEWN(scratch, bool, p->bufs.n + 1);
    for (uint32_t i = 0; i < p->g->outputs.n; i++) {
        BufId b = p->buf_of[p->g->outputs.data[i].value];
        if (b != UINT32_MAX && plan_output_place(p, &p->g->outputs.data[i]) != UINT32_MAX)
            over[b] = true;
    }
    return over;
}

static bool find_items(Peak *k, Arena *scratch, int64_t *outside) {
    const bool *over = written_over(k->p, scratch);
    k->items = NEWN(scratch, Item, k->p->bufs.n + 1);
    *outside = 0;
    for (uint32_t i = 0; i < k->p->bufs.n; i++) {
        const PlanBuf *b = &k->p->bufs.data[i];
        int64_t bytes;
        if (over[i]) continue;
        if (!bytes_of(k, b, &bytes)) return false;
        int64_t room = (bytes + 2 * ALIGN - 1) / ALIGN * ALIGN;
        if (b->role == ROLE_TEMP || b->role == ROLE_OUTPUT)
            k->items[k->n++] = (Item){.b = b, .number = i, .bytes = bytes, .room = room};
        else
            *outside += room;
        if (*outside > MOST) return false;
    }
    return true;
}

/* ---- places ------------------------------------------------------------------------------------------ */

/* Those of the worst moments first, of one moment those that live longest, then the largest. */
static int by_crowd(const void *a, const void *b) {
    const Item *x = a, *y = b;
    uint32_t lx = x->b->dies - x->b->born, ly = y->b->dies - y->b->born;
    if (x->crowd != y->crowd) return x->crowd > y->crowd ? -1 : 1;
    if (lx != ly) return lx > ly ? -1 : 1;
    if (x->room != y->room) return x->room > y->room ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static bool together(const PlanBuf *a, const PlanBuf *b) {
    return a->born <= b->dies && b->born <= a->dies;
}

/* placed: n items by rising place. */
static int64_t free_place(Item *const *placed, uint32_t n, const Item *x) {
    int64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Item *y = placed[i];
        if (!together(x->b, y->b)) continue;
        if (y->at - at >= x->room) break;
        if (y->at + y->room > at) at = y->at + y->room;
    }
    return at;
}

static bool place_all(Peak *k, Item **placed, int64_t *total) {
    *total = 0;
    for (uint32_t i = 0; i < k->n; i++) {
        Item *x = &k->items[i];
        x->at = free_place(placed, i, x);
        if (x->at > MOST) return false;
        uint32_t at = i;
        for (; at > 0 && placed[at - 1]->at > x->at; at--) placed[at] = placed[at - 1];
        placed[at] = x;
        if (x->at + x->room > *total) *total = x->at + x->room;
    }
    return true;
}

static bool lives_at(const Item *x, uint32_t op) { return x->b->born <= op && op <= x->b->dies; }

/* What is taken at once is most when something is born. Sets every crowd and the greatest of all. */
static bool find_crowds(Peak *k, int64_t *most) {
    *most = 0;
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t now = k->items[i].b->born;
        int64_t taken = 0;
        for (uint32_t j = 0; j < k->n; j++) {
            if (lives_at(&k->items[j], now)) taken += k->items[j].room;
            if (taken > MOST) return false;
        }
        for (uint32_t j = 0; j < k->n; j++)
            if (lives_at(&k->items[j], now) && k->items[j].crowd < taken) k->items[j].crowd = taken;
        *most = taken > *most ? taken : *most;
    }
    return true;
}

/* The first of those that end highest goes to the front. */
static void raise_top(Peak *k, int64_t total) {
    uint32_t top = 0;
    while (k->items[top].at + k->items[top].room != total) top++;
    Item x = k->items[top];
    memmove(k->items + 1, k->items, top * sizeof *k->items);
    k->items[0] = x;
}

static bool place(Peak *k, Arena *scratch, int64_t *best) {
    Item **placed = NEWN(scratch, Item *, k->n + 1);
    int64_t least;
    *best = 0;
    if (!find_crowds(k, &least)) return false;
    qsort(k->items, k->n, sizeof *k->items, by_crowd);
    for (int i = 0; i < MOST_TRIES && k->n && (i == 0 || *best > least); i++) {
        int64_t total;
        if (!place_all(k, placed, &total)) return false;
        if (i == 0 || total < *best) *best = total;
        raise_top(k, total);
    }
    return true;
}

/* ---- the formula --------------------------------------------------------------------------------------- */

static int64_t live_at(const Peak *k, uint32_t op) {
    int64_t live = 0;
    for (uint32_t i = 0; i < k->n; i++)
        if (lives_at(&k->items[i], op)) live += k->items[i].bytes;
    return live;
}

/* Of what lives when most does; that is when something is born. */
static Size peak_formula(const Peak *k) {
    uint32_t op = 0;
    int64_t most = -1;
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t born = k->items[i].b->born;
        int64_t live = live_at(k, born);
        if (live < most || (live == most && born >= op)) continue;
        most = live;
        op = born;
    }
    Sizes *s = k->p->g->sizes;
    Size sum = size_num(s, 0);
    for (uint32_t i = 0; i < k->n && sum; i++)
        if (lives_at(&k->items[i], op)) sum = size_add(s, sum, bytes_formula(k->p, k->items[i].b));
    return sum;
}

bool plan_peak(Plan *p, const int64_t *axes, PlanPeak *out) {
    Arena *scratch = arena_new();
    Peak k = {.p = p, .axes = axes};
    memset(out, 0, sizeof *out);
    bool ok = find_items(&k, scratch, &out->outside) && place(&k, scratch, &out->tensors);
    if (ok) out->formula = peak_formula(&k);
    arena_free(scratch);
    return ok;
}
