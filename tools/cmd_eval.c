/* `rwkvc eval MODEL.rwkv ENTRY`: runs one entry in the float64 interpreter. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "eval.h"

static const char help[] =
    "usage: rwkvc eval MODEL.rwkv ENTRY [--params P] [--in NAME=A.npy]... [--out NAME=B.npy]...\n"
    "\n"
    "Runs an entry in float64: init step forward prefill grad train. Numbers it gives (loss,\n"
    "metrics) are printed. P, S and G are .safetensors or .pth files; arrays are .npy files,\n"
    "batch first.\n"
    "\n" MODEL_HELP
    "  --params P           parameters; without it they get their first values, drawn from --seed\n"
    "  --in NAME=A.npy      an input: token=A.npy\n"
    "  --out NAME=B.npy     writes an output: logits=B.npy\n"
    "  --set NAME=NUMBER    a run-time number: lr decay step seed\n"
    "  --axis NAME=N        the length of an axis that no input has\n"
    "  --state-in S         state of the model (default: the start of a sequence)\n"
    "  --state-out S        writes the state after the run\n"
    "  --grads G            writes the gradients by parameter (grad)\n"
    "  --params-out P, -o P writes all parameters (init, train)\n"
    "  --opt-in S           state of the optimizer (default: zeros)\n"
    "  --opt-out S          writes it after the update (train)\n"
    "  --seed N             of first values and of random() (default 0)\n"
    "  --float32            rounds every number to float32, and writes float32\n"
    "  --taps FILE          writes every tensor that has a name in the text\n"
    "  --stage=STAGE        runs the graph after an earlier stage: checked, graph (default: grad)\n"
    "  --no-simplify        the same as --stage=checked\n"
    "  --memory-limit=MIB   most memory for the numbers of the run (default 8192)\n"
    "  -v                   lists all that is unused or missing\n"
    "  --help\n";

enum {
    PARAMS = OPTION_LONG,
    IN,
    OUT,
    SET,
    AXIS,
    STATE_IN,
    STATE_OUT,
    GRADS,
    PARAMS_OUT,
    OPT_IN,
    OPT_OUT,
    SEED,
    FLOAT32,
    TAPS,
    STAGE,
    NO_SIMPLIFY,
    MEMORY,
    DIAGNOSTICS,
    HELP
};

/* ---- the command line ---------------------------------------------------------------------- */

static int set_memory(EvalOptions *o, const char *command, const char *text) {
    uint64_t mib;
    if (!parse_u64(text, &mib) || mib < 1 || mib > (uint64_t)1 << 24)
        return usage_error(command, "--memory-limit=%s: MiB, from 1 to %d", text, 1 << 24);
    o->memory_limit = (size_t)mib << 20;
    return EXIT_DONE;
}

static int take_path(EvalOptions *o, int c, const char *command) {
    const char **const to = c == PARAMS      ? &o->params
                            : c == STATE_IN  ? &o->state_in
                            : c == STATE_OUT ? &o->state_out
                            : c == GRADS     ? &o->grads
                            : c == OPT_IN    ? &o->opt_in
                            : c == OPT_OUT   ? &o->opt_out
                            : c == TAPS      ? &o->taps
                                             : &o->params_out;
    bool written = c != PARAMS && c != STATE_IN && c != OPT_IN;
    if (*to) return usage_error(command, "'%s' and '%s' for the same option", *to, optarg);
    if (written && !has_ending(optarg, ".safetensors") && !has_ending(optarg, ".pth"))
        return usage_error(command, "'%s': its ending says what is written: .safetensors or .pth",
                           optarg);
    *to = optarg;
    return EXIT_DONE;
}

static int take_argument(EvalOptions *o, const char *command) {
    if (!o->model.path)
        o->model.path = optarg;
    else if (!o->entry)
        o->entry = optarg;
    else
        return usage_error(command, "one text and one entry, not '%s' too", optarg);
    return EXIT_DONE;
}

static int take_option(EvalOptions *o, Arena *a, int c, const char *command) {
    bool good = true;
    switch (c) {
    case 'D':
    case 'I':
    case 'W': good = model_option(&o->model, a, c, optarg); break;
    case DIAGNOSTICS: good = model_diagnostics(&o->model, optarg); break;
    case 'v': o->verbose = true; break;
    case 'o':
    case PARAMS:
    case PARAMS_OUT:
    case STATE_IN:
    case STATE_OUT:
    case GRADS:
    case OPT_IN:
    case OPT_OUT:
    case TAPS: return take_path(o, c, command);
    case IN: good = add_pair(command, "--in", optarg, &o->in); break;
    case OUT: good = add_pair(command, "--out", optarg, &o->out); break;
    case SET: good = add_pair(command, "--set", optarg, &o->set); break;
    case AXIS: good = add_pair(command, "--axis", optarg, &o->axis); break;
    case SEED:
        if (parse_u64(optarg, &o->seed)) break;
        return usage_error(command, "--seed %s: a whole number from 0", optarg);
    case FLOAT32: o->float32 = true; break;
    case STAGE: o->stage = optarg; break;
    case NO_SIMPLIFY: o->stage = "checked"; break;
    case MEMORY: return set_memory(o, command, optarg);
    case HELP: o->help = true; break;
    case 1: return take_argument(o, command);
    default: return EXIT_USAGE;
    }
    return good ? EXIT_DONE : EXIT_USAGE;
}

static const struct option longs[] = {{"params", required_argument, NULL, PARAMS},
                                      {"in", required_argument, NULL, IN},
                                      {"out", required_argument, NULL, OUT},
                                      {"set", required_argument, NULL, SET},
                                      {"axis", required_argument, NULL, AXIS},
                                      {"state-in", required_argument, NULL, STATE_IN},
                                      {"state-out", required_argument, NULL, STATE_OUT},
                                      {"grads", required_argument, NULL, GRADS},
                                      {"params-out", required_argument, NULL, PARAMS_OUT},
                                      {"opt-in", required_argument, NULL, OPT_IN},
                                      {"opt-out", required_argument, NULL, OPT_OUT},
                                      {"seed", required_argument, NULL, SEED},
                                      {"float32", no_argument, NULL, FLOAT32},
                                      {"taps", required_argument, NULL, TAPS},
                                      {"stage", required_argument, NULL, STAGE},
                                      {"no-simplify", no_argument, NULL, NO_SIMPLIFY},
                                      {"memory-limit", required_argument, NULL, MEMORY},
                                      {"diagnostics", required_argument, NULL, DIAGNOSTICS},
                                      {"help", no_argument, NULL, HELP},
                                      {0}};

static bool is_stage(const char *name) {
    return strcmp(name, "checked") == 0 || strcmp(name, "graph") == 0 || strcmp(name, "grad") == 0;
}

static int read_options(EvalOptions *o, Arena *a, const char *command, int argc, char **argv) {
    model_options(&o->model, a, command, argc);
    Line line = {command, argc, argv, MODEL_SHORTS "o:v", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        int code = take_option(o, a, c, command);
        if (code != EXIT_DONE || o->help) return code;
    }
    if (!o->model.path) return usage_error(command, "which MODEL.rwkv?");
    if (!o->entry)
        return usage_error(command,
                           "which entry of %s? init, step, forward, prefill, grad or train",
                           o->model.path);
    if (o->stage && !is_stage(o->stage))
        return usage_error(command, "there is no stage '%s': checked, graph or grad", o->stage);
    return EXIT_DONE;
}

/* ---- what the entry gives, against what is asked for ----------------------------------------- */

static bool gives(const Graph *g, OutputKind kind) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].kind == (int)kind) return true;
    return false;
}

static const char *result_names(const Eval *e) {
    Text t = text_new(e->arena);
    for (uint32_t i = 0; i < e->g->outputs.n; i++)
        if (e->g->outputs.data[i].kind <= OUT_METRIC && e->g->outputs.data[i].kind != OUT_STATE)
            text_printf(&t, "%s%s", t.n ? ", " : "", e->g->outputs.data[i].name);
    return t.n ? t.data : "none";
}

/* The last word of "teacher.forward". */
static bool is_entry(const char *entry, const char *name) {
    const char *dot = strrchr(entry, '.');
    return strcmp(dot ? dot + 1 : entry, name) == 0;
}

bool keeps_nothing(const Eval *e) {
    const char *entry = e->options->entry;
    return e->g->states.n == 0 &&
           (is_entry(entry, "step") || is_entry(entry, "forward") || is_entry(entry, "prefill"));
}

static int check_outputs(const Eval *e) {
    const EvalOptions *o = e->options;
    const struct {
        const char *path, *option, *what;
        OutputKind kind;
    } asked[] = {{o->state_out, "--state-out", "state", OUT_STATE},
                 {o->grads, "--grads", "gradients", OUT_GRAD},
                 {o->params_out, "--params-out", "new parameters", OUT_PARAM},
                 {o->opt_out, "--opt-out", "state of an optimizer", OUT_OPT}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        if (asked[i].path && !gives(e->g, asked[i].kind) &&
            !(asked[i].kind == OUT_STATE && keeps_nothing(e)))
            return failed(e->command, EXIT_USAGE, "%s: entry %s gives no %s", asked[i].option,
                          o->entry, asked[i].what);
    for (size_t i = 0; i < o->out.n; i++) {
        bool found = false;
        for (uint32_t k = 0; k < e->g->outputs.n && !found; k++) {
            const OutputInfo *info = &e->g->outputs.data[k];
            found = info->kind <= OUT_METRIC && info->kind != OUT_STATE &&
                    strcmp(info->name, o->out.data[i].name) == 0;
        }
        if (!found)
            return failed(e->command, EXIT_USAGE,
                          "--out %s: entry %s has no such output; it has: %s", o->out.data[i].name,
                          o->entry, result_names(e));
    }
    return EXIT_DONE;
}

/* Nothing is written over the text, and no two results over each other. */
static int check_paths(const Eval *e) {
    const EvalOptions *o = e->options;
    const char *single[] = {o->state_out, o->grads, o->params_out, o->opt_out, o->taps};
    size_t n = 0, n_single = sizeof single / sizeof *single;
    const char **all = NEWN(e->arena, const char *, o->out.n + n_single);
    for (size_t i = 0; i < o->out.n; i++) all[n++] = o->out.data[i].value;
    for (size_t i = 0; i < n_single; i++)
        if (single[i]) all[n++] = single[i];
    for (size_t i = 0; i < n; i++) {
        if (same_file(all[i], o->model.path))
            return failed(e->command, EXIT_USAGE, "%s: this is the text itself", all[i]);
        for (size_t k = 0; k < i; k++)
            if (same_file(all[i], all[k]))
                return failed(e->command, EXIT_USAGE, "%s: two results for one file", all[i]);
    }
    return EXIT_DONE;
}

/* ---- running ------------------------------------------------------------------------------- */

Graph *sibling_graph(Eval *e, const char *name) {
    const char *entry = e->options->entry, *dot = strrchr(entry, '.');
    if (dot) {
        uint32_t mark = diag_mark(e->model.diag);
        int prefix = (int)(dot + 1 - entry);
        Graph *g = model_graph(&e->model, arena_printf(e->arena, "%.*s%s", prefix, entry, name));
        if (g) return g;
        diag_rewind(e->model.diag, mark);
    }
    return model_graph(&e->model, name);
}

static int run_failed(const Eval *e, Interp *in, const char *wrong) {
    Loc at = interp_error_loc(in);
    if (!at.line) return failed(e->command, EXIT_INPUT, "%s", wrong);
    fprintf(stderr, "%s:%u:%u: error: %s\n", diag_file_name(e->model.diag, at.file), at.line,
            at.col, wrong);
    return EXIT_INPUT;
}

/* NULL or what is wrong. */
static const char *bind_all(const Eval *e, Interp *in, Graph *g, const Array *params,
                            const Array *states, const Array *inputs) {
    const char *wrong = NULL;
    for (uint32_t i = 0; i < e->axes.n && !wrong; i++)
        if (e->axes.length[i])
            wrong = interp_axis(in, size_axis_name(e->axes.sizes, i), e->axes.length[i]);
    for (uint32_t i = 0; i < g->params.n && !wrong; i++)
        if (g->params.data[i].value) wrong = interp_bind(in, g->params.data[i].value, &params[i]);
    for (uint32_t i = 0; i < g->states.n && states && !wrong; i++)
        if (g->states.data[i].value) wrong = interp_bind(in, g->states.data[i].value, &states[i]);
    for (uint32_t i = 0; i < g->inputs.n && inputs && !wrong; i++)
        wrong = interp_bind(in, g->inputs.data[i].value, &inputs[i]);
    return wrong;
}

int run_graph(Eval *e, Graph *g, const Array *params, const Array *states, const Array *inputs,
              Taps *taps, Interp **out) {
    const char *text = find_pair(&e->options->set, "seed");
    uint64_t seed = e->options->seed;
    if (text && !parse_u64(text, &seed))
        return failed(e->command, EXIT_USAGE, "--set seed=%s: a whole number from 0", text);
    InterpOptions o = {.rounding = e->options->float32 ? ROUND_F32 : ROUND_NONE,
                       .seed = seed,
                       .memory_limit = e->options->memory_limit,
                       .tap = taps ? taps_take : NULL,
                       .tap_user = taps};
    *out = interp_new(g, &o);
    const char *wrong = bind_all(e, *out, g, params, states, inputs);
    if (!wrong) wrong = interp_run(*out);
    return wrong ? run_failed(e, *out, wrong) : EXIT_DONE;
}

static int save_all(Eval *e, Interp *in, Taps *taps) {
    const EvalOptions *o = e->options;
    int code = outputs_save(e, in);
    if (code == EXIT_DONE && o->grads) code = grads_save(e, in, o->grads);
    if (code == EXIT_DONE && o->params_out) code = params_out_save(e, in, o->params_out);
    if (code == EXIT_DONE && o->state_out) code = states_save(e, in, OUT_STATE, o->state_out);
    if (code == EXIT_DONE && o->opt_out) code = states_save(e, in, OUT_OPT, o->opt_out);
    if (code == EXIT_DONE && taps) code = taps_save(taps, o->taps);
    return code;
}

static int run_entry(Eval *e) {
    int code = check_outputs(e);
    if (code == EXIT_DONE) code = check_paths(e);
    if (code == EXIT_DONE) code = inputs_load(e);
    if (code == EXIT_DONE) code = params_load(e, e->g, &e->params);
    if (code == EXIT_DONE) code = states_start(e);
    if (code != EXIT_DONE) return code;
    params_unused(e);
    Taps *taps = e->options->taps ? taps_new(e) : NULL;
    Interp *in = NULL;
    code = run_graph(e, e->g, e->params, e->states, e->inputs, taps, &in);
    if (code == EXIT_DONE) code = save_all(e, in, taps);
    if (code == EXIT_DONE) outputs_print(e, in);
    interp_free(in);
    return code;
}

/* The host's entry: nothing is run, first values are written. */
static int run_init(Eval *e) {
    const EvalOptions *o = e->options;
    if (!o->params_out)
        return usage_error(e->command, "init writes parameters: -o P.safetensors or -o P.pth");
    if (o->params || o->in.n || o->out.n || o->state_in || o->state_out || o->grads || o->opt_in ||
        o->opt_out || o->taps)
        return usage_error(e->command, "init takes a text, -D, --seed and -o, and nothing else");
    int code = params_first(e, e->g, &e->params);
    return code == EXIT_DONE ? params_save(e, e->g, e->params, o->params_out, true) : code;
}

/* The graph to run. Taps want what the text names, so of forward they get the graph before
 * simplification, with its recurrences taken apart: what a cell computes is there for all steps. */
static Graph *entry_graph(Eval *e) {
    const EvalOptions *o = e->options;
    bool whole = o->taps && !o->stage && is_entry(o->entry, "forward");
    const char *stage = whole ? "checked" : o->stage ? o->stage : "grad";
    Graph *g = program_graph_stage(e->model.program, o->entry, stage, e->model.diag);
    return g && whole ? graph_distribute(g) : g;
}

static int eval(Eval *e, Arena *a, const EvalOptions *o) {
    int code = model_read(&e->model, a, &o->model);
    if (code != EXIT_DONE) return code;
    e->g = entry_graph(e);
    if (!e->g) return EXIT_INPUT;
    axes_begin(&e->axes, e->command, a, e->g->sizes);
    return is_entry(o->entry, "init") ? run_init(e) : run_entry(e);
}

int cmd_eval(const char *command, int argc, char **argv) {
    Arena *a = arena_new();
    EvalOptions o = {0};
    int code = read_options(&o, a, command, argc, argv);
    if (code == EXIT_DONE && o.help) fputs(help, stdout);
    if (code == EXIT_DONE && !o.help) {
        Eval e = {.command = command, .options = &o, .arena = a};
        code = model_end(&e.model, eval(&e, a, &o));
        rw_weights_close(e.file);
    }
    free_pairs(&o.in);
    free_pairs(&o.out);
    free_pairs(&o.set);
    free_pairs(&o.axis);
    arena_free(a);
    return finish_output(command, code);
}
