/* --memory-budget. */
#include "budget.h"

#include <stdlib.h>
#include <string.h>

#include "options.h"

static bool wrong(const char *text) {
    usage_error(
        "rwkvc",
        "--memory-budget=%s: SIZE or SIZE@AXIS=N,AXIS=N..., with a SIZE like 900M, 2G or 1.5GiB",
        text);
    return false;
}

/* "1.5GiB" */
static bool read_size(char *text, int64_t *bytes) {
    static const char units[] = "kMGT";
    char *end;
    size_t digits = strspn(text, "0123456789.");
    double n = strtod(text, &end);
    if (end != text + digits || !(n > 0)) return false;
    double unit = 1;
    const char *u = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
    if (u) {
        bool binary = end[1] == 'i';
        for (const char *k = units; k <= u; k++) unit *= binary ? 1024 : 1000;
        end += binary ? 2 : 1;
    }
    if (*end == 'B') end++;
    if (*end || n * unit < 1 || n * unit > 0x1p60) return false;
    *bytes = (int64_t)(n * unit);
    return true;
}

bool memory_budget_read(Arena *a, const char *text, MemoryBudget *to) {
    char *size = arena_str(a, text), *at = strchr(size, '@');
    *to = (MemoryBudget){.is_wanted = true};
    if (at) *at++ = 0;
    if (!read_size(size, &to->bytes)) return wrong(text);
    while (at) {
        char *next = strchr(at, ','), *equals;
        if (next) *next++ = 0;
        equals = strchr(at, '=');
        if (!equals || equals == at || to->n == sizeof to->axis / sizeof *to->axis)
            return wrong(text);
        *equals++ = 0;
        struct AxisLength *x = &to->axis[to->n++];
        x->name = at;
        for (struct AxisLength *o = to->axis; o < x; o++)
            if (strcmp(o->name, at) == 0) return wrong(text);
        if (!parse_int(equals, &x->length) || x->length < 1 || x->length > INT64_C(1) << 40)
            return wrong(text);
        at = next;
    }
    return true;
}

PlanBudget *memory_budget_of(Arena *a, MemoryBudget *b, const Sizes *s) {
    PlanBudget *p = NEW(a, PlanBudget);
    int64_t *axes = NEWN(a, int64_t, size_axes(s) + 1);
    p->bytes = b->bytes;
    p->axes = axes;
    plan_usual_axes(s, axes);
    for (uint32_t k = 0; k < b->n; k++)
        for (uint32_t i = 0; i < size_axes(s); i++) {
            if (strcmp(size_axis_name(s, i), b->axis[k].name) != 0) continue;
            int64_t m = size_axis_multiple(s, i);
            axes[i] = (b->axis[k].length + m - 1) / m * m;
            b->axis[k].is_used = true;
        }
    return p;
}

const char *memory_budget_unused(const MemoryBudget *b) {
    for (uint32_t k = 0; k < b->n; k++)
        if (!b->axis[k].is_used) return b->axis[k].name;
    return NULL;
}
