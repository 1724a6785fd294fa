/* What a run is given from outside: inputs, run-time numbers, states; and the lengths of axes. */
#include <string.h>

#include "../runtime/npy.h"
#include "eval.h"

/* ---- inputs -------------------------------------------------------------------------------- */

static InputInfo *find_input(Graph *g, const char *name) {
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (strcmp(g->inputs.data[i].name, name) == 0) return &g->inputs.data[i];
    return NULL;
}

static const char *input_names(const Eval *e, bool scalars) {
    Text t = text_new(e->arena);
    for (uint32_t i = 0; i < e->g->inputs.n; i++)
        if (e->g->inputs.data[i].scalar == scalars)
            text_printf(&t, "%s%s", t.n ? ", " : "", e->g->inputs.data[i].name);
    return t.n ? t.data : "none";
}

/* Names that are no inputs are mistakes of the command line, found before any file is read. */
static int check_names(const Eval *e) {
    const EvalOptions *o = e->options;
    for (size_t i = 0; i < o->in.n; i++) {
        const char *name = o->in.data[i].name;
        const InputInfo *input = find_input(e->g, name);
        if (!input && e->start) input = find_input(e->start, name);
        if (!input)
            return failed(e->command, EXIT_USAGE, "--in %s: entry %s has no such input; it has: %s",
                          name, o->entry, input_names(e, false));
        if (input->scalar)
            return failed(e->command, EXIT_USAGE, "--in %s: that is a number: --set %s=VALUE", name,
                          name);
    }
    for (size_t i = 0; i < o->set.n; i++) {
        const char *name = o->set.data[i].name;
        const InputInfo *input = find_input(e->g, name);
        if ((input && input->scalar) || strcmp(name, "seed") == 0) continue;
        return failed(e->command, EXIT_USAGE, "--set %s: entry %s has no such number; it has: %s",
                      name, o->entry, input_names(e, true));
    }
    return EXIT_DONE;
}

static int read_scalar(const Eval *e, const InputInfo *input, Array *out) {
    const ValueInfo *info = graph_value(e->g, input->value);
    const char *text = find_pair(&e->options->set, input->name);
    *out = array_new(e->arena, info->type, NULL, 0);
    bool is_seed = strcmp(input->name, "seed") == 0;
    if (!text && !is_seed)
        return failed(e->command, EXIT_USAGE, "input '%s': not given; --set %s=NUMBER", input->name,
                      input->name);
    bool good = true;
    if (!text && info->type == T_INT)
        *out->ints = (int64_t)e->options->seed;
    else if (!text)
        *out->real = (double)e->options->seed;
    else
        good = info->type == T_INT ? parse_int(text, out->ints) : parse_real(text, out->real);
    if (good) return EXIT_DONE;
    return failed(e->command, EXIT_USAGE, "--set %s=%s: not %s", input->name, text,
                  info->type == T_INT ? "a whole number" : "a number");
}

/* The numbers of an input that the text declares index(V). */
static int check_range(const Eval *e, const char *what, const InputInfo *input, const Array *a) {
    if (!input->below || a->type != T_INT) return EXIT_DONE;
    size_t n = array_count(a);
    for (size_t i = 0; i < n; i++) {
        if (a->ints[i] >= 0 && a->ints[i] < input->below) continue;
        int64_t idx[MAX_RANK];
        size_t rest = i;
        for (int k = a->rank - 1; k >= 0; rest /= (size_t)a->dims[k], k--)
            idx[k] = (int64_t)(rest % (size_t)a->dims[k]);
        return failed(e->command, EXIT_INPUT,
                      "%s: the number at %s is %lld, and the text declares index(%lld): 0 to %lld",
                      what, shape_text(e->arena, idx, a->rank), (long long)a->ints[i],
                      (long long)input->below, (long long)input->below - 1);
    }
    return EXIT_DONE;
}

static int read_input(Eval *e, Graph *g, const InputInfo *input, Array *out) {
    const ValueInfo *info = graph_value(g, input->value);
    const char *what = arena_printf(e->arena, "input '%s'", input->name);
    const char *path = find_pair(&e->options->in, input->name);
    if (!path)
        return failed(e->command, EXIT_USAGE, "%s: not given; --in %s=FILE.npy, %s %s", what,
                      input->name, info->type == T_INT ? "whole numbers" : "numbers",
                      dims_text(e->arena, g->sizes, info->dims, info->rank));
    rw_message m = {""};
    rw_array file;
    rw_status s = rw_npy_load(path, &file, &m);
    if (s != RW_OK) return failed(e->command, exit_of_status(s), "%s: %s", what, m.text);
    int code = axes_claim(&e->axes, what, info->dims, info->rank, file.t.shape, file.t.rank);
    if (code == EXIT_DONE) {
        *out = array_new(e->arena, info->type, file.t.shape, (uint32_t)file.t.rank);
        code = array_take(e, what, &file.t, out, 0);
    }
    if (code == EXIT_DONE) code = check_range(e, what, input, out);
    rw_array_free(&file);
    return code;
}

/* What first states are made of: mostly inputs of the entry itself, but not of a `step`. */
static int read_given(Eval *e) {
    Graph *g = e->start;
    int code = EXIT_DONE;
    if (!g) return code;
    e->given = NEWN(e->arena, Array, g->inputs.n + 1);
    for (uint32_t i = 0; i < g->inputs.n && code == EXIT_DONE; i++) {
        const InputInfo *own = find_input(e->g, g->inputs.data[i].name);
        if (own)
            e->given[i] = e->inputs[own - e->g->inputs.data];
        else
            code = read_input(e, g, &g->inputs.data[i], &e->given[i]);
    }
    return code;
}

/* ---- states -------------------------------------------------------------------------------- */

/* States of the optimizer are those an OUT_OPT output leads on; all others are of the model. */
static bool is_optimizer_state(const Graph *g, uint32_t state) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].kind == OUT_OPT && g->outputs.data[i].index == state) return true;
    return false;
}

/* A state that is not read by the entry needs no value. */
static bool is_fed(const StateInfo *s) { return s->value != 0; }

typedef struct StateFile {
    const char *path, *option;
    rw_weights *w;
    uint32_t used;
} StateFile;

static int missing_state(const Eval *e, const StateFile *f, const char *name) {
    return failed(e->command, EXIT_INPUT, "%s %s: state '%s' is missing", f->option, f->path, name);
}

/* Tells the axes the shape of every member of one state. */
static int claim_state(Eval *e, StateFile *f, const StateInfo *s) {
    const ValueInfo *info = graph_value(e->g, s->value);
    for (uint32_t k = 0; k < s->members.n; k++) {
        const char *name = s->members.data[k].name;
        const rw_tensor *t = rw_weights_find(f->w, name);
        if (!t) return missing_state(e, f, name);
        const char *what = arena_printf(e->arena, "%s: state '%s'", f->path, name);
        int code = axes_claim(&e->axes, what, info->dims + s->family,
                              (uint32_t)info->rank - s->family, t->shape, t->rank);
        if (code != EXIT_DONE) return code;
        f->used++;
    }
    return EXIT_DONE;
}

/* Every state of one kind: those of the model, or those of the optimizer. */
static int claim_states(Eval *e, StateFile *f, bool optimizer) {
    if (!f->path) return EXIT_DONE;
    uint32_t fed = 0;
    rw_message m = {""};
    for (uint32_t i = 0; i < e->g->states.n; i++)
        fed += is_fed(&e->g->states.data[i]) && is_optimizer_state(e->g, i) == optimizer;
    if (!fed && (optimizer || !keeps_nothing(e)))
        return failed(e->command, EXIT_USAGE, "%s: entry %s takes no %s", f->option,
                      e->options->entry, optimizer ? "state of an optimizer" : "state");
    rw_status r = rw_weights_open(f->path, &f->w, &m);
    if (r != RW_OK) return failed(e->command, exit_of_status(r), "%s", m.text);
    for (uint32_t i = 0; i < e->g->states.n; i++) {
        const StateInfo *s = &e->g->states.data[i];
        if (!is_fed(s) || is_optimizer_state(e->g, i) != optimizer) continue;
        int code = claim_state(e, f, s);
        if (code != EXIT_DONE) return code;
    }
    size_t n = rw_weights_count(f->w);
    if (n > f->used)
        fprintf(stderr, "%s: %s: %zu tensor%s of this text\n", e->command, f->path, n - f->used,
                n - f->used == 1 ? " is no state" : "s are no states");
    return EXIT_DONE;
}

static int read_states(Eval *e, const StateFile *f, bool optimizer) {
    if (!f->path) return EXIT_DONE;
    for (uint32_t i = 0; i < e->g->states.n; i++) {
        const StateInfo *s = &e->g->states.data[i];
        if (!is_fed(s) || is_optimizer_state(e->g, i) != optimizer) continue;
        int64_t dims[MAX_RANK];
        const ValueInfo *info = graph_value(e->g, s->value);
        int code = value_dims(e, e->g, s->value, s->members.data[0].name, dims);
        if (code != EXIT_DONE) return code;
        Array *to = &e->states[i];
        *to = array_new(e->arena, info->type, dims, info->rank);
        size_t each = array_count(to) / s->members.n;
        for (uint32_t k = 0; k < s->members.n && code == EXIT_DONE; k++)
            code = array_take(e, s->members.data[k].name,
                              rw_weights_find(f->w, s->members.data[k].name), to, k * each);
        if (code != EXIT_DONE) return code;
    }
    return EXIT_DONE;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int read_all(Eval *e, StateFile *state, StateFile *opt) {
    const EvalOptions *o = e->options;
    int code = EXIT_DONE;
    for (size_t i = 0; i < o->axis.n && code == EXIT_DONE; i++)
        code = axes_set(&e->axes, o->axis.data[i].name, o->axis.data[i].value);
    for (uint32_t i = 0; i < e->g->inputs.n && code == EXIT_DONE; i++) {
        const InputInfo *input = &e->g->inputs.data[i];
        code = input->scalar ? read_scalar(e, input, &e->inputs[i])
                             : read_input(e, e->g, input, &e->inputs[i]);
    }
    if (code == EXIT_DONE) code = read_given(e);
    if (code == EXIT_DONE) code = claim_states(e, state, false);
    if (code == EXIT_DONE) code = claim_states(e, opt, true);
    if (code == EXIT_DONE) code = axes_solve(&e->axes);
    for (uint32_t i = 0; i < e->g->states.n && code == EXIT_DONE; i++) {
        const StateInfo *s = &e->g->states.data[i];
        if (!is_fed(s)) continue;
        const ValueInfo *info = graph_value(e->g, s->value);
        const char *what = arena_printf(e->arena, "state '%s'", s->members.data[0].name);
        code = axes_known(&e->axes, what, info->dims, info->rank);
    }
    if (code == EXIT_DONE) code = read_states(e, state, false);
    if (code == EXIT_DONE) code = read_states(e, opt, true);
    return code;
}

/* Whether the model's states begin here. */
static bool needs_start(const Eval *e) {
    for (uint32_t i = 0; i < e->g->states.n && !e->options->state_in; i++)
        if (is_fed(&e->g->states.data[i]) && !is_optimizer_state(e->g, i)) return true;
    return false;
}

int inputs_load(Eval *e) {
    StateFile state = {.path = e->options->state_in, .option = "--state-in"};
    StateFile opt = {.path = e->options->opt_in, .option = "--opt-in"};
    e->inputs = NEWN(e->arena, Array, e->g->inputs.n + 1);
    e->states = NEWN(e->arena, Array, e->g->states.n + 1);
    if (needs_start(e) && !(e->start = sibling_graph(e, "start"))) return EXIT_INPUT;
    int code = check_names(e);
    if (code == EXIT_DONE) code = read_all(e, &state, &opt);
    rw_weights_close(state.w);
    rw_weights_close(opt.w);
    return code;
}

/* ---- the start of a sequence ----------------------------------------------------------------- */

/* Whether the members of two states have the same names. */
static bool same_state(const StateInfo *a, const StateInfo *b) {
    if (a->members.n != b->members.n) return false;
    for (uint32_t i = 0; i < a->members.n; i++)
        if (strcmp(a->members.data[i].name, b->members.data[i].name) != 0) return false;
    return true;
}

static const Array *start_value(Graph *g, Interp *in, const StateInfo *s) {
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        if (o->kind == OUT_STATE && same_state(&g->states.data[o->index], s))
            return interp_get(in, o->value);
    }
    return NULL;
}

/* One start for all samples: `from` lacks the batch axis, which stands behind the leading ones. */
static void spread(const Array *from, uint32_t family, Array *to) {
    size_t outer = 1, batch = (size_t)to->dims[family];
    for (uint32_t i = 0; i < family; i++) outer *= (size_t)to->dims[i];
    size_t each = array_count(to) / outer / batch;
    for (size_t o = 0; o < outer; o++)
        for (size_t b = 0; b < batch; b++)
            memcpy(to->real + (o * batch + b) * each, from->real + o * each, 8 * each);
}

static int start_state(Eval *e, Graph *start, Interp *in, uint32_t i) {
    const StateInfo *s = &e->g->states.data[i];
    const ValueInfo *info = graph_value(e->g, s->value);
    int64_t dims[MAX_RANK];
    int code = value_dims(e, e->g, s->value, s->members.data[0].name, dims);
    if (code != EXIT_DONE) return code;
    Array *to = &e->states[i];
    *to = array_new(e->arena, info->type, dims, info->rank);
    const Array *from = in ? start_value(start, in, s) : NULL;
    if (!from) return EXIT_DONE; /* zeros: a state of the optimizer */
    if (from->rank == to->rank && array_count(from) == array_count(to))
        memcpy(to->real, from->real, 8 * array_count(to));
    else
        spread(from, s->family, to);
    return EXIT_DONE;
}

int states_start(Eval *e) {
    Interp *in = NULL;
    int code = EXIT_DONE;
    if (e->start) {
        Array *params;
        code = params_load(e, e->start, &params);
        if (code == EXIT_DONE) code = run_graph(e, e->start, params, NULL, e->given, NULL, &in);
    }
    for (uint32_t i = 0; i < e->g->states.n && code == EXIT_DONE; i++)
        if (is_fed(&e->g->states.data[i]) && !e->states[i].real)
            code = start_state(e, e->start, in, i);
    interp_free(in);
    return code;
}
