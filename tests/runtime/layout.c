/* Places of buffers: what lives together never overlaps, and little is lost between. */
#include "check.h"
#include "runtime/session.h"

enum { MOST = 60, SPARE = 2 * MEMORY_ALIGN - 1 };

static size_t room_of(size_t bytes) { return (bytes + SPARE) / MEMORY_ALIGN * MEMORY_ALIGN; }

static bool together(const buffer *a, const buffer *b) {
    return a->born <= b->dies && b->born <= a->dies;
}

/* What lives at once when most does: less is not possible. */
static size_t bound_of(const buffer *b, uint32_t n, const size_t *capacity) {
    size_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t live = 0;
        for (uint32_t k = 0; k < n; k++)
            if (capacity[k] != SIZE_MAX && b[k].born <= b[i].born && b[i].born <= b[k].dies)
                live += room_of(capacity[k]);
        most = live > most ? live : most;
    }
    return most;
}

/* Places them and looks at the places; returns what they take. */
static size_t place(const buffer *b, uint32_t n, const size_t *capacity, const char *what) {
    pool scratch = {.alloc = &memory_system};
    size_t at[MOST], again[MOST], end = 0;
    size_t total = layout_place(&scratch, b, n, capacity, at);
    CHECK(layout_place(&scratch, b, n, capacity, again) == total, "%s: another total", what);
    pool_free(&scratch);
    for (uint32_t i = 0; i < n; i++) {
        if (capacity[i] == SIZE_MAX) continue;
        CHECK(at[i] % MEMORY_ALIGN == 0 && at[i] == again[i], "%s: buffer %u", what, i);
        size_t last = at[i] + room_of(capacity[i]);
        end = last > end ? last : end;
        for (uint32_t k = 0; k < i; k++)
            if (capacity[k] != SIZE_MAX && together(&b[i], &b[k]))
                CHECK(last <= at[k] || at[k] + room_of(capacity[k]) <= at[i],
                      "%s: %u and %u overlap", what, i, k);
    }
    CHECK(end == total, "%s: %zu bytes, said %zu", what, end, total);
    return total;
}

/* Of a picture network: kilobytes, first and last op. */
static const uint32_t picture[][3] = {
    {120, 1, 2},   {120, 2, 58},  {30, 3, 63},   {120, 4, 10},  {120, 7, 8},   {120, 8, 10},
    {10, 8, 11},   {120, 9, 54},  {10, 10, 11},  {480, 11, 12}, {60, 13, 15},  {60, 14, 53},
    {60, 15, 42},  {60, 18, 19},  {60, 19, 20},  {60, 19, 20},  {60, 19, 20},  {60, 19, 20},
    {60, 19, 20},  {60, 19, 20},  {60, 20, 21},  {60, 21, 22},  {240, 24, 25}, {30, 26, 28},
    {30, 27, 41},  {30, 28, 42},  {30, 30, 32},  {150, 32, 33}, {30, 33, 34},  {30, 34, 35},
    {120, 38, 39}, {120, 39, 40}, {30, 28, 42},  {60, 42, 43},  {60, 43, 54},  {60, 46, 47},
    {360, 47, 48}, {60, 48, 49},  {60, 49, 50},  {240, 52, 53}, {120, 54, 60}, {120, 57, 58},
    {120, 58, 60}, {10, 58, 61},  {120, 59, 62}, {10, 60, 61},  {480, 61, 62}, {120, 62, 63},
    {30, 63, 64},
};

static void test_picture(void) {
    uint32_t n = sizeof picture / sizeof *picture;
    buffer b[MOST] = {{0}};
    size_t capacity[MOST];
    for (uint32_t i = 0; i < n; i++) {
        b[i].born = picture[i][1];
        b[i].dies = picture[i][2];
        capacity[i] = (size_t)picture[i][0] << 10;
    }
    size_t total = place(b, n, capacity, "picture"), bound = bound_of(b, n, capacity);
    CHECK(total == bound, "%zu bytes, %zu live at once", total, bound);
}

static void test_random(void) {
    size_t totals = 0, bounds = 0;
    uint32_t seed = 1;
    for (int round = 0; round < 300; round++) {
        buffer b[MOST] = {{0}};
        size_t capacity[MOST];
        uint32_t n = 0;
        for (; n < MOST - (uint32_t)round % 50; n++) {
            uint32_t r[4];
            for (int k = 0; k < 4; k++) r[k] = (seed = seed * 1664525 + 1013904223) >> 8;
            b[n].born = r[0] % 80;
            b[n].dies = b[n].born + (r[1] % 4 ? r[2] % 5 : r[2] % 40);
            capacity[n] =
                r[3] % 16 == 0 ? SIZE_MAX : (size_t)(r[3] % 9 + 1) * (r[1] % 3 ? 6400 : 100);
        }
        totals += place(b, n, capacity, "random");
        bounds += bound_of(b, n, capacity);
    }
    CHECK(totals >= bounds && totals - bounds < bounds / 200, "%zu bytes, %zu live at once", totals,
          bounds);
}

static void test_ends(void) {
    pool scratch = {.alloc = &memory_system};
    buffer b[3] = {{.born = 1, .dies = 1}, {.born = 1, .dies = 2}, {.born = 1, .dies = 1}};
    size_t at[3], none[3] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};
    CHECK(layout_place(&scratch, b, 0, none, at) == 0, "no buffers");
    CHECK(layout_place(&scratch, b, 3, none, at) == 0, "none is wanted");
    CHECK(layout_place(&scratch, b, 3, (size_t[]){0, 0, 0}, at) == 3 * MEMORY_ALIGN, "of no bytes");
    size_t huge = SIZE_MAX / 5;
    CHECK(layout_place(&scratch, b, 1, (size_t[]){SIZE_MAX - 1}, at) == SIZE_MAX, "too large");
    CHECK(layout_place(&scratch, b, 3, (size_t[]){huge, huge, huge}, at) == SIZE_MAX, "together");
    pool_free(&scratch);
}

int main(void) {
    test_picture();
    test_random();
    test_ends();
    return finish();
}
