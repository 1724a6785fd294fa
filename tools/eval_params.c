/* Parameters: read from a checkpoint or made by their formulas and draws, and written. */
#include <math.h>
#include <string.h>

#include "../runtime/rng.h"
#include "eval.h"
#include "eval_mend.h"

/* ---- one parameter ------------------------------------------------------------------------- */

/* Shape of one member in memory (own) and in files (stored); both have as many elements. */
typedef struct Shape {
    int64_t own[MAX_RANK], stored[MAX_RANK];
    uint32_t own_rank, stored_rank;
    size_t count;
} Shape;

static int param_shape(const Eval *e, Graph *g, const ParamInfo *p, Shape *s) {
    int64_t dims[MAX_RANK];
    const char *what = p->members.data[0].name;
    int code = value_dims(e, g, p->value, what, dims);
    if (code != EXIT_DONE) return code;
    *s = (Shape){.own_rank = (uint32_t)graph_value(g, p->value)->rank - p->family, .count = 1};
    for (uint32_t i = 0; i < s->own_rank; i++)
        s->count *= (size_t)(s->own[i] = dims[p->family + i]);
    s->stored_rank = p->stored_rank ? p->stored_rank : s->own_rank;
    for (uint32_t i = 0; i < s->stored_rank; i++) {
        if (!p->stored_rank)
            s->stored[i] = s->own[i];
        else if (!size_value(g->sizes, p->stored[i], &s->stored[i]))
            return failed(e->command, EXIT_INTERNAL, "%s: its stored shape is no number", what);
    }
    return EXIT_DONE;
}

static bool same_but_ones(const int64_t *a, uint32_t n, const int64_t *b, uint32_t m) {
    uint32_t i = 0, k = 0;
    for (;;) {
        while (i < n && a[i] == 1) i++;
        while (k < m && b[k] == 1) k++;
        if (i == n || k == m) return i == n && k == m;
        if (a[i++] != b[k++]) return false;
    }
}

/* The first value of one member, rounded to float32 as an init file would hold it. */
static int first_value(Eval *e, Graph *g, const ParamInfo *p, uint32_t member, const Shape *s,
                       double *dst) {
    const Member *k = &p->members.data[member];
    double a = p->init_a.n > member ? p->init_a.data[member] : 0;
    double b = p->init_b.n > member ? p->init_b.data[member] : 0;
    uint64_t seed = e->options->seed;
    rw_message m = {""};
    rw_status r = RW_OK;
    size_t rows = s->own_rank ? (size_t)s->own[0] : 1;
    const char *wrong = NULL;
    switch ((InitKind)p->init) {
    case INIT_FORMULA:
        wrong = interp_fill_formula(e->arena, g, p->formula, s->own, s->own_rank, k->counters, dst);
        break;
    case INIT_UNIFORM: rw_draw_uniform(seed, k->name, a, b, dst, s->count); break;
    case INIT_NORMAL: rw_draw_normal(seed, k->name, a, dst, s->count); break;
    case INIT_TRUNC_NORMAL: rw_draw_trunc_normal(seed, k->name, a, dst, s->count); break;
    case INIT_ORTHOGONAL:
        r = rw_draw_orthogonal(seed, k->name, a, rows, rows ? s->count / rows : 0, dst, &m);
        break;
    }
    if (wrong) return failed(e->command, EXIT_INPUT, "first value of '%s': %s", k->name, wrong);
    if (r != RW_OK)
        return failed(e->command, exit_of_status(r), "first value of '%s': %s", k->name, m.text);
    for (size_t i = 0; i < s->count; i++) {
        dst[i] = (float)dst[i];
        if (!isfinite(dst[i]))
            return failed(e->command, EXIT_INPUT, "first value of '%s': element %zu is not finite",
                          k->name, i);
    }
    return EXIT_DONE;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Parameters whose absence from a file matters: what the entry reads, or, for an update, which
 * touches every parameter, what its gradients read. */
static bool *params_needed(Eval *e, Graph *g) {
    Graph *by = g;
    for (uint32_t i = 0; i < g->outputs.n && by == g; i++)
        if (g->outputs.data[i].kind == OUT_PARAM) by = sibling_graph(e, "grad");
    bool *read = values_read(e->arena, by ? by : g);
    bool *needed = NEWN(e->arena, bool, g->params.n + 1);
    for (uint32_t i = 0; i < g->params.n; i++) {
        const ParamInfo *p = &g->params.data[i];
        const char *name = p->members.data[0].name;
        needed[i] = by == g && read[p->value];
        for (uint32_t k = 0; by && by != g && k < by->params.n; k++)
            if (strcmp(by->params.data[k].members.data[0].name, name) == 0)
                needed[i] = read[by->params.data[k].value];
        if (p->promoted) needed[i] = false; /* it starts from its formula */
    }
    return needed;
}

/* One member from the file. What does not fit is noted in `mend`: all of it is told at once. */
static int read_member(Eval *e, Graph *g, const ParamInfo *p, uint32_t member, const Shape *s,
                       Mend *mend, Array *to) {
    const char *name = p->members.data[member].name;
    const rw_tensor *t = rw_weights_find(e->file, name);
    if (!t) {
        mend_missing(mend, name);
        return EXIT_DONE;
    }
    uint32_t rank = (uint32_t)t->rank;
    if (!same_but_ones(t->shape, rank, s->stored, s->stored_rank)) {
        mend_shape(mend, name, g->sizes, p, s->own, s->own_rank, s->stored, s->stored_rank, t);
        return EXIT_DONE;
    }
    return array_take(e, arena_printf(e->arena, "parameter '%s'", name), t, to, member * s->count);
}

static int load_param(Eval *e, Graph *g, uint32_t i, bool needed, Mend *mend, Array *out) {
    const ParamInfo *p = &g->params.data[i];
    const ValueInfo *info = graph_value(g, p->value);
    Shape s;
    int64_t dims[MAX_RANK];
    int code = param_shape(e, g, p, &s);
    if (code == EXIT_DONE) code = value_dims(e, g, p->value, p->members.data[0].name, dims);
    if (code != EXIT_DONE) return code;
    *out = array_new(e->arena, info->type, dims, info->rank);
    for (uint32_t k = 0; k < p->members.n && code == EXIT_DONE; k++) {
        const char *name = p->members.data[k].name;
        if (e->file && (needed || rw_weights_find(e->file, name)))
            code = read_member(e, g, p, k, &s, mend, out);
        else
            code = first_value(e, g, p, k, &s, out->real + k * s.count);
    }
    return code;
}

/* All parameters together, before room is made for any of them. */
static int check_total(const Eval *e, Graph *g) {
    size_t total = 0, limit = memory_limit(e);
    for (uint32_t i = 0; i < g->params.n; i++) {
        const ParamInfo *p = &g->params.data[i];
        Shape s;
        int code = param_shape(e, g, p, &s);
        if (code != EXIT_DONE) return code;
        total += 8 * s.count * p->members.n; /* each term is within the limit */
        if (total > limit)
            return failed(e->command, EXIT_INPUT,
                          "the parameters are larger than the %zu MiB this run may take "
                          "(--memory-limit)",
                          limit >> 20);
    }
    return EXIT_DONE;
}

static int load_all(Eval *e, Graph *g, Array **out) {
    int code = check_total(e, g);
    if (code != EXIT_DONE) return code;
    *out = NEWN(e->arena, Array, g->params.n + 1);
    bool *needed = e->file ? params_needed(e, g) : NULL;
    Mend *mend = mend_new(e->arena, e->command, e->options->params, e->file, &e->model);
    for (uint32_t i = 0; i < g->params.n; i++) {
        code = load_param(e, g, i, needed && needed[i], mend, &(*out)[i]);
        if (code != EXIT_DONE) return code;
    }
    return mend_end(mend, e->options->verbose);
}

int params_load(Eval *e, Graph *g, Array **out) {
    rw_message m = {""};
    if (e->options->params && !e->file) {
        rw_status s = rw_weights_open(e->options->params, &e->file, &m);
        if (s != RW_OK) return failed(e->command, exit_of_status(s), "%s", m.text);
    }
    return load_all(e, g, out);
}

int params_first(Eval *e, Graph *g, Array **out) {
    rw_weights *file = e->file;
    e->file = NULL;
    int code = load_all(e, g, out);
    e->file = file;
    return code;
}

/* ---- tensors of the file that the text does not name ---------------------------------------- */

static bool graph_names(const Graph *g, const char *name) {
    for (uint32_t i = 0; i < g->params.n; i++)
        for (uint32_t k = 0; k < g->params.data[i].members.n; k++)
            if (strcmp(g->params.data[i].members.data[k].name, name) == 0) return true;
    return false;
}

void params_unused(Eval *e) {
    if (!e->file) return;
    size_t n = rw_weights_count(e->file), unused = 0;
    size_t show = e->options->verbose ? n : 6;
    Text list = text_new(e->arena);
    Mend *mend = mend_new(e->arena, e->command, e->options->params, e->file, &e->model);
    Graph *all = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *name = rw_weights_at(e->file, i)->name;
        if (graph_names(e->g, name)) continue;
        /* an entry need not hold every parameter of the text; init does */
        if (!all) all = sibling_graph(e, "init");
        if (all && graph_names(all, name)) continue;
        mend_unused(mend, all ? all : e->g, name);
        if (unused++ < show) text_printf(&list, "%s%s", list.n ? ", " : "", name);
    }
    if (unused)
        fprintf(stderr, "%s: %s: %zu tensor%s not used: %s%s\n", e->command, e->options->params,
                unused, unused == 1 ? " is" : "s are", list.data,
                unused > show ? ", ... (-v lists all)" : "");
    mend_end(mend, false);
}

/* ---- writing ------------------------------------------------------------------------------- */

typedef VEC(rw_tensor) Tensors;

static int add_members(Eval *e, Graph *g, const ParamInfo *p, const Array *value, bool trained_only,
                       Tensors *to) {
    Shape s;
    int code = param_shape(e, g, p, &s);
    for (uint32_t k = 0; k < p->members.n && code == EXIT_DONE; k++) {
        const Member *m = &p->members.data[k];
        if (trained_only && m->frozen) continue;
        code = array_give(e, m->name, value, k * s.count, s.stored, (int)s.stored_rank,
                          PUSH(e->arena, to));
    }
    return code;
}

static int save(Eval *e, const Tensors *t, const char *path) {
    rw_message m = {""};
    rw_status s = rw_weights_save(path, t->data, t->n, NULL, &m);
    return s == RW_OK ? EXIT_DONE : failed(e->command, exit_of_status(s), "%s", m.text);
}

int params_save(Eval *e, Graph *g, const Array *values, const char *path, bool as_f32) {
    EvalOptions options = *e->options;
    Eval as = *e;
    options.float32 |= as_f32;
    as.options = &options;
    Tensors t = {0};
    for (uint32_t i = 0; i < g->params.n; i++) {
        int code = add_members(&as, g, &g->params.data[i], &values[i], false, &t);
        if (code != EXIT_DONE) return code;
    }
    return save(e, &t, path);
}

int grads_save(Eval *e, Interp *in, const char *path) {
    Tensors t = {0};
    for (uint32_t i = 0; i < e->g->outputs.n; i++) {
        const OutputInfo *o = &e->g->outputs.data[i];
        if (o->kind != OUT_GRAD) continue;
        int code =
            add_members(e, e->g, &e->g->params.data[o->index], interp_get(in, o->value), true, &t);
        if (code != EXIT_DONE) return code;
    }
    return save(e, &t, path);
}

int params_out_save(Eval *e, Interp *in, const char *path) {
    Array *after = arena_copy(e->arena, e->params, sizeof(Array) * e->g->params.n);
    for (uint32_t i = 0; i < e->g->outputs.n; i++) {
        const OutputInfo *o = &e->g->outputs.data[i];
        if (o->kind == OUT_PARAM) after[o->index] = *interp_get(in, o->value);
    }
    return params_save(e, e->g, after, path, false);
}
