/* Plans within a memory budget: of the choices of what to recompute (recompute.h), which rise in work and fall
 * in what is kept, the first whose plan needs no more than the budget.
 *
 * The choices are searched by halves: each costs a plan. Falling bytes need not mean a falling peak to the last
 * byte, because places of buffers leave gaps, so what is found fits but a choice before it might too; before a
 * budget is refused, every choice is planned. */
#include <string.h>

#include "edit.h"
#include "plan_impl.h"

/* Without a budget: only what is a few operations a number, and so costs about what reading it back would. */
static const double USUAL_RATE = 0.08;

enum { USUAL_STEPS = 1024 };

void plan_usual_axes(const Sizes *s, int64_t *axes) {
    for (uint32_t i = 0; i < size_axes(s); i++) {
        int64_t m = size_axis_multiple(s, i);
        int64_t n = strcmp(size_axis_name(s, i), "B") == 0 ? 1 : USUAL_STEPS;
        axes[i] = (n + m - 1) / m * m;
    }
}

typedef struct Try {
    RecomputeRule rule;
    Plan *plan;
    PlanPeak peak;
    RecomputeList again;
    bool done, fits; /* fits: the peak has a number within the budget */
} Try;

typedef struct Budget {
    Arena *arena;
    Graph *g;
    const PlanOptions *o;
    int64_t bytes;
    const int64_t *axes;
    Try *tries; /* by rising work; the first is what is usual */
    uint32_t n;
    const char *why;
} Budget;

static int64_t total(const PlanPeak *k) { return k->outside + k->tensors; }

static void plan_choice(Budget *b, uint32_t i, const PlanOptions *o) {
    Try *t = &b->tries[i];
    t->again.n = 0;
    Graph *g = graph_recompute(b->arena, graph_clone(b->g, b->g->entry), &t->rule, &t->again);
    if (!g && i) return;
    t->plan = plan_graph(b->arena, g ? g : graph_clone(b->g, b->g->entry), o, &b->why);
}

/* Decisions of a plan are told when it is the one. */
static bool tells(const PlanOptions *o) { return o->explain || o->log; }

static const Try *try_choice(Budget *b, uint32_t i) {
    Try *t = &b->tries[i];
    if (t->done) return t;
    t->done = true;
    PlanOptions o = *b->o;
    o.explain = NULL;
    o.log = NULL;
    plan_choice(b, i, &o);
    if (!b->o->budget || !t->plan || !plan_peak(t->plan, b->axes, &t->peak)) return t;
    t->fits = !b->bytes || total(&t->peak) <= b->bytes;
    return t;
}

/* The first of lo..hi that fits, of which hi does. */
static uint32_t first_fit(Budget *b, uint32_t lo, uint32_t hi) {
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (try_choice(b, mid)->fits)
            hi = mid;
        else
            lo = mid + 1;
    }
    return hi;
}

/* The one that takes least, of all. */
static uint32_t least(Budget *b) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < b->n; i++) {
        const Try *t = try_choice(b, i), *u = try_choice(b, best);
        bool known = t->plan && total(&t->peak);
        if (known && (!total(&u->peak) || total(&t->peak) < total(&u->peak))) best = i;
    }
    return best;
}

static uint32_t choose(Budget *b) {
    if (!b->bytes || try_choice(b, 0)->fits) return 0;
    return try_choice(b, b->n - 1)->fits ? first_fit(b, 1, b->n - 1) : least(b);
}

static void print_axes(const Sizes *s, const int64_t *axes, Text *t) {
    for (uint32_t i = 0; i < size_axes(s); i++)
        text_printf(t, "%s%s=%lld", i ? ", " : "", size_axis_name(s, i), (long long)axes[i]);
}

static const char *refusal(Budget *b, const Try *t) {
    if (!total(&t->peak)) return "a tensor is too large for a memory budget at these lengths";
    Text x = text_new(b->arena);
    text_printf(&x, "the memory budget of %lld bytes cannot be met at ", (long long)b->bytes);
    print_axes(b->g->sizes, b->axes, &x);
    text_printf(&x, ": the least that is reachable is %lld bytes", (long long)total(&t->peak));
    return x.data;
}

static Plan *chosen(Budget *b, uint32_t i) {
    const Try *t = try_choice(b, i);
    if (t->plan && tells(b->o)) plan_choice(b, i, b->o);
    if (!t->plan || !b->o->budget) return t->plan;
    if (b->bytes && !t->fits) {
        b->why = refusal(b, t);
        if (b->o->budget->least) *b->o->budget->least = total(&t->peak);
        return NULL;
    }
    PlanMemory *m = t->plan->memory = NEW(b->arena, PlanMemory);
    m->whole = b->tries[0].peak;
    m->peak = t->peak;
    m->again = t->again;
    return t->plan;
}

static void find_tries(Budget *b) {
    RecomputeChoices c = {0};
    if (b->bytes) recompute_choices(b->arena, b->g, b->axes, &c);
    b->tries = NEWN(b->arena, Try, c.n + 1);
    b->tries[b->n++].rule = (RecomputeRule){b->axes, USUAL_RATE, true};
    for (uint32_t i = 0; i < c.n; i++)
        b->tries[b->n++].rule = (RecomputeRule){b->axes, c.data[i].rate, false};
}

/* A copy in which the values that states start as are gone: whoever makes a session asks another entry for
 * them, and an optimizer's are in the manifest. */
static Graph *without_starts(Graph *g) {
    g = graph_clone(g, g->entry);
    for (uint32_t i = 0; i < g->states.n; i++) g->states.data[i].start = 0;
    return graph_clone(g, g->entry);
}

Plan *plan_make(Arena *a, Graph *g, const PlanOptions *o, const char **why) {
    g = graph_pull(without_starts(g), o->log);
    g = graph_pull(graph_replay(g, o->log), o->log);
    int64_t *usual = NEWN(a, int64_t, size_axes(g->sizes) + 1);
    plan_usual_axes(g->sizes, usual);
    Budget b = {.arena = a, .g = g, .o = o, .axes = o->budget ? o->budget->axes : usual};
    b.bytes = o->budget ? o->budget->bytes : 0;
    find_tries(&b);
    Plan *p = chosen(&b, choose(&b));
    *why = b.why;
    return p;
}

/* ---- text --------------------------------------------------------------------------------------------- */

static void print_bytes(Text *t, int64_t n) {
    static const char *const unit[] = {"kB", "MB", "GB", "TB", "PB"};
    text_printf(t, "%lld bytes", (long long)n);
    double x = (double)n / 1e3;
    uint32_t u = 0;
    for (; x >= 999.5 && u + 1 < sizeof unit / sizeof *unit; u++) x /= 1e3;
    if (n >= 1000) text_printf(t, " (%.3g %s)", x, unit[u]);
}

static void print_peak(Graph *g, const char *what, const PlanPeak *k, Text *t) {
    text_printf(t, "  %s: ", what);
    print_bytes(t, total(k));
    text_add(t, "\n    tensors: ");
    print_bytes(t, k->tensors);
    text_printf(t, "\n    most that live at once: %s bytes\n",
                k->formula ? size_str(g->sizes, k->formula) : "more than 2^53");
}

static void print_value(Graph *g, const Recomputed *r, const Diag *d, Text *t) {
    text_printf(t, "    %-12s [", r->info.name ? r->info.name : "-");
    for (uint32_t k = 0; k < r->info.rank; k++)
        text_printf(t, k ? ", %s" : "%s", size_str(g->sizes, r->info.dims[k]));
    text_printf(t, "], %u layer%s", r->layers, r->layers == 1 ? "" : "s");
    if (r->info.loc.line)
        text_printf(t, ", %s:%u", diag_file_name(d, r->info.loc.file), r->info.loc.line);
    text_add(t, "\n");
}

void plan_print_memory(Plan *p, const PlanBudget *b, const Diag *d, Text *t) {
    const PlanMemory *m = p->memory;
    text_printf(t, "memory of %s at ", p->g->entry);
    print_axes(p->g->sizes, b->axes, t);
    text_add(t, "\n  parameters, states and inputs: ");
    print_bytes(t, m->peak.outside);
    text_add(t, "\n");
    print_peak(p->g, b->bytes ? "without a budget" : "in all", &m->whole, t);
    if (b->bytes) print_peak(p->g, "within the budget", &m->peak, t);
    text_printf(t, "  recomputed in backward loops:%s\n", m->again.n ? "" : " nothing");
    for (uint32_t i = 0; i < m->again.n; i++) print_value(p->g, &m->again.data[i], d, t);
}
