/* `--explain=fuse:A,B`: whether two values of the text are computed in one kernel, and by which rule. */
#include <string.h>

#include "../compiler/plan_log.h"
#include "../dsl/program.h"
#include "compile_file.h"

enum { MOST_PAIRS = 16, MOST_NAMES = 40 };

/* "NAME", "NAME:LINE" of the text, "NAME@LAYER". */
typedef struct Wanted {
    const char *text, *name;
    int64_t line, layer; /* -1: any */
    VEC(Value) values;
} Wanted;

typedef struct Explain {
    Model *m;
    Plan *p;
    PlanLog log;
    const char *entry;
    Wanted want[2];
    VEC(const char *) told;
    Text *out;
} Explain;

/* ---- what is asked ---------------------------------------------------------------------------- */

static bool read_number(const char *s, int64_t *out) { return parse_int(s, out) && *out >= 0; }

static int read_wanted(Arena *a, const char *text, size_t n, Wanted *w) {
    *w = (Wanted){.text = arena_strn(a, text, n), .line = -1, .layer = -1};
    char *name = arena_strn(a, text, n), *layer = strchr(name, '@'), *line = strchr(name, ':');
    if (layer) *layer++ = 0;
    if (line) *line++ = 0;
    w->name = name;
    bool good = n > 0 && *name && (!line || read_number(line, &w->line)) &&
                (!layer || read_number(layer, &w->layer));
    return good ? EXIT_DONE
                : usage_error("rwkvc", "--explain: '%s': NAME, NAME:LINE or NAME@LAYER", w->text);
}

static int read_question(Explain *x, const char *text) {
    const char *comma = strchr(text, ',');
    if (strncmp(text, "fuse:", 5) != 0 || !comma || strchr(comma + 1, ','))
        return usage_error("rwkvc", "--explain=%s: fuse:A,B with two names of the text", text);
    text += 5;
    int code = read_wanted(x->m->arena, text, (size_t)(comma - text), &x->want[0]);
    if (code != EXIT_DONE) return code;
    return read_wanted(x->m->arena, comma + 1, strlen(comma + 1), &x->want[1]);
}

/* ---- values by name ---------------------------------------------------------------------------- */

static bool is_named(const Graph *g, Value v, const Wanted *w) {
    const ValueInfo *i = &g->values.data[v];
    return i->name && strcmp(i->name, w->name) == 0 &&
           (w->line < 0 || (int64_t)i->loc.line == w->line);
}

static void find_values(Explain *x, Wanted *w) {
    for (Value v = 1; v < x->p->g->values.n; v++) {
        uint32_t k = is_named(x->p->g, v, w) ? plan_kernel_of(x->p, v) : UINT32_MAX;
        if (k == UINT32_MAX || (w->layer >= 0 && !plan_log_in_layer(x->p, k, w->layer))) continue;
        *PUSH(x->m->arena, &w->values) = v;
    }
}

/* What stands outside: "an input", or NULL. */
static const char *given(const Graph *g, const char *name) {
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (strcmp(g->inputs.data[i].name, name) == 0) return "an input";
    for (uint32_t i = 0; i < g->params.n; i++)
        for (uint32_t k = 0; k < g->params.data[i].members.n; k++)
            if (strcmp(g->params.data[i].members.data[k].name, name) == 0) return "a parameter";
    return NULL;
}

/* Every tensor that the text names stands in the graph as the checker makes it. */
static bool text_names(Explain *x, const Wanted *w) {
    Graph *g = program_graph_stage(x->m->program, x->entry, "checked", x->m->diag);
    for (Value v = 1; g && v < g->values.n; v++)
        if (is_named(g, v, w)) return true;
    return false;
}

static int unknown(Explain *x, const Wanted *w) {
    Graph *g = x->p->g;
    const char *best = NULL, *seen[MOST_NAMES];
    uint32_t far = near_enough(w->name), n = 0;
    Text all = text_new(x->m->arena);
    for (Value v = 1; v < g->values.n; v++) {
        const char *name = graph_value(g, v)->name;
        if (!name || plan_kernel_of(x->p, v) == UINT32_MAX) continue;
        nearer(w->name, name, &best, &far);
        bool old = false;
        for (uint32_t i = 0; i < n; i++) old |= strcmp(seen[i], name) == 0;
        if (old || n == MOST_NAMES) continue;
        seen[n++] = name;
        text_printf(&all, "%s%s", n > 1 ? ", " : "", name);
    }
    if (best)
        return failed("rwkvc", EXIT_USAGE,
                      "--explain: entry %s has no value '%s'; did you mean '%s'?", x->entry,
                      w->text, best);
    return failed("rwkvc", EXIT_USAGE, "--explain: entry %s has no value '%s'; it has: %s",
                  x->entry, w->text, all.data);
}

/* Nothing computes it: that is an answer, where the text has such a name. */
static int not_computed(Explain *x, const Wanted *w) {
    const char *what = given(x->p->g, w->name);
    if (what)
        text_printf(x->out, "%s is %s: it is read, not computed\n", w->text, what);
    else if (w->layer < 0 && text_names(x, w))
        text_printf(x->out,
                    "%s has no tensor of its own in entry %s: it is computed inside whatever reads "
                    "it, is a view of another value, or is not needed\n",
                    w->text, x->entry);
    else
        return unknown(x, w);
    return EXIT_DONE;
}

/* ---- answers ------------------------------------------------------------------------------------ */

/* "w:57", of another file "y:42 of std.rwkv". */
static const char *label(Explain *x, Value v) {
    const ValueInfo *i = graph_value(x->p->g, v);
    if (!i->loc.line) return i->name;
    const char *file = diag_file_name(x->m->diag, i->loc.file), *slash = strrchr(file, '/');
    if (strcmp(file, x->m->options->path) == 0)
        return arena_printf(x->m->arena, "%s:%u", i->name, i->loc.line);
    return arena_printf(x->m->arena, "%s:%u of %s", i->name, i->loc.line, slash ? slash + 1 : file);
}

/* Values that carry a name on are told alike, and once. */
static void tell(Explain *x, Value a, Value b) {
    Text t = text_new(x->m->arena);
    plan_log_tell(x->p, &x->log, a, b, label(x, a), label(x, b), &t);
    for (uint32_t i = 0; i < x->told.n; i++)
        if (strcmp(x->told.data[i], t.data) == 0) return;
    *PUSH(x->m->arena, &x->told) = t.data;
    if (x->told.n <= MOST_PAIRS) text_add(x->out, t.data);
}

/* Values of different bodies never meet; they are told only where no others are. */
static void tell_pairs(Explain *x) {
    for (int apart = 0; apart < 2 && x->told.n == 0; apart++)
        for (uint32_t i = 0; i < x->want[0].values.n; i++)
            for (uint32_t k = 0; k < x->want[1].values.n; k++) {
                Value a = x->want[0].values.data[i], b = x->want[1].values.data[k];
                if (a != b && (apart || plan_log_meet(x->p, a, b))) tell(x, a, b);
            }
    if (x->told.n == 0)
        text_printf(x->out, "%s and %s are one value\n", x->want[0].text, x->want[1].text);
    if (x->told.n > MOST_PAIRS)
        text_printf(x->out, "and %u pairs more: NAME:LINE and NAME@LAYER choose among them\n",
                    x->told.n - MOST_PAIRS);
}

int explain_fuse(Model *m, const CompileFile *f, const char *question, Text *out) {
    Explain x = {.m = m, .log = {.arena = m->arena}, .out = out};
    x.entry = f->entry ? f->entry : "forward";
    int code = read_question(&x, question);
    if (code != EXIT_DONE) return code;
    Graph *g = model_graph(m, x.entry);
    if (!g) return EXIT_INPUT;
    const char *why = NULL;
    PlanOptions o = {.weights = f->dtype, .saved = f->dtype, .fuse = true, .log = &x.log};
    if (f->budget->is_wanted) o.budget = memory_budget_of(m->arena, f->budget, g->sizes);
    x.p = plan_make(m->arena, g, &o, &why);
    if (!x.p)
        return failed("rwkvc", EXIT_INPUT, "%s: entry %s: %s", m->options->path, x.entry,
                      why ? why : "it cannot be compiled");
    bool found = true;
    for (int i = 0; i < 2 && code == EXIT_DONE; i++) {
        find_values(&x, &x.want[i]);
        if (x.want[i].values.n) continue;
        found = false;
        code = not_computed(&x, &x.want[i]);
    }
    if (code == EXIT_DONE && found) tell_pairs(&x);
    return code;
}
