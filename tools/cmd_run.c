/* `rwkv run FILE ENTRY`: one call of one entry, everything it gives written to files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/npy.h"
#include "commands.h"
#include "compiled.h"
#include "profile.h"

static const char help[] =
    "usage: rwkv run FILE ENTRY [--params P] [--in NAME=A.npy]... [--out NAME=B.npy]...\n"
    "\n"
    "Runs an entry of a compiled model: init step forward prefill grad train. Numbers it gives\n"
    "(loss, metrics) are printed. P, S and G are .safetensors or .pth files; arrays are .npy\n"
    "files, batch first.\n"
    "\n"
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
    "  --profile            where the time of this call went, kernel by kernel\n"
    "  --seed N             of first values and of random() (default 0)\n" MACHINE_HELP
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
    PROFILE,
    HELP
};

typedef struct RunOptions {
    const char *entry;
    Pairs in, out, set, axis;
    const char *params, *params_out, *state_in, *state_out, *opt_in, *opt_out, *grads;
    uint64_t seed;
    Machine machine;
    bool profile, help;
} RunOptions;

typedef struct Run {
    Compiled c;
    RunOptions o;
    rw_array *arrays;        /* by o.in */
    rw_weights *state, *opt; /* --state-in, --opt-in */
    Lengths lengths;
} Run;

/* ---- the command line ---------------------------------------------------------------------- */

static int take_path(RunOptions *o, int c, const char *command) {
    const char **const to = c == PARAMS      ? &o->params
                            : c == STATE_IN  ? &o->state_in
                            : c == STATE_OUT ? &o->state_out
                            : c == GRADS     ? &o->grads
                            : c == OPT_IN    ? &o->opt_in
                            : c == OPT_OUT   ? &o->opt_out
                                             : &o->params_out;
    bool written = c != PARAMS && c != STATE_IN && c != OPT_IN;
    if (*to) return usage_error(command, "'%s' and '%s' for the same option", *to, optarg);
    if (written && !has_ending(optarg, ".safetensors") && !has_ending(optarg, ".pth"))
        return usage_error(command, "'%s': its ending says what is written: .safetensors or .pth",
                           optarg);
    *to = optarg;
    return EXIT_DONE;
}

static int take_option(Run *r, int c) {
    RunOptions *o = &r->o;
    const char *command = r->c.command;
    bool good = true;
    if (c >= MACHINE) return set_machine(&o->machine, command, c, optarg);
    switch (c) {
    case 'o':
    case PARAMS:
    case PARAMS_OUT:
    case STATE_IN:
    case STATE_OUT:
    case GRADS:
    case OPT_IN:
    case OPT_OUT: return take_path(o, c, command);
    case IN: good = add_pair(command, "--in", optarg, &o->in); break;
    case OUT: good = add_pair(command, "--out", optarg, &o->out); break;
    case SET: good = add_pair(command, "--set", optarg, &o->set); break;
    case AXIS: good = add_pair(command, "--axis", optarg, &o->axis); break;
    case SEED:
        if (parse_u64(optarg, &o->seed)) break;
        return usage_error(command, "--seed %s: a whole number from 0", optarg);
    case PROFILE: o->profile = true; break;
    case HELP: o->help = true; break;
    case 1:
        if (r->c.path && o->entry)
            return usage_error(command, "one file and one entry, not '%s' too", optarg);
        *(r->c.path ? &o->entry : &r->c.path) = optarg;
        break;
    default: return EXIT_USAGE;
    }
    return good ? EXIT_DONE : EXIT_USAGE;
}

static int read_options(Run *r, int argc, char **argv) {
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
                                          {"profile", no_argument, NULL, PROFILE},
                                          MACHINE_OPTIONS,
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    Line line = {r->c.command, argc, argv, "o:", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        int code = take_option(r, c);
        if (code != EXIT_DONE || r->o.help) return code;
    }
    if (!r->c.path) return usage_error(r->c.command, "which FILE?");
    if (!r->o.entry)
        return usage_error(r->c.command,
                           "which entry of %s? init, step, forward, prefill, grad or train",
                           r->c.path);
    return EXIT_DONE;
}

/* ---- what the entry takes and gives, against what is asked for --------------------------------- */

/* "a, b" of the names of one kind; of inputs only the numbers or only the others. */
static const char *names_of(const Run *r, rw_kind kind, bool scalars, char *text, size_t cap) {
    size_t at = 0, n = rw_program_count(r->c.program, kind, r->o.entry);
    snprintf(text, cap, "none");
    for (size_t i = 0; i < n && at < cap; i++) {
        rw_info info;
        if (rw_program_info(r->c.program, kind, r->o.entry, i, &info) != RW_OK) continue;
        if (kind == RW_INPUT && info.scalar != scalars) continue;
        at += (size_t)snprintf(text + at, cap - at, "%s%s", at ? ", " : "", info.name);
    }
    return text;
}

static int check_given(const Run *r) {
    const RunOptions *o = &r->o;
    char all[400];
    rw_info info;
    for (size_t i = 0; i < o->in.n; i++) {
        const char *name = o->in.data[i].name;
        if (!compiled_find(&r->c, RW_INPUT, o->entry, name, &info))
            return failed(r->c.command, EXIT_USAGE,
                          "--in %s: entry %s has no such input; it has: %s", name, o->entry,
                          names_of(r, RW_INPUT, false, all, sizeof all));
        if (info.scalar)
            return failed(r->c.command, EXIT_USAGE, "--in %s: that is a number: --set %s=VALUE",
                          name, name);
    }
    for (size_t i = 0; i < o->set.n; i++) {
        const char *name = o->set.data[i].name;
        bool found = compiled_find(&r->c, RW_INPUT, o->entry, name, &info) && info.scalar;
        if (!found && strcmp(name, "seed") != 0)
            return failed(r->c.command, EXIT_USAGE,
                          "--set %s: entry %s has no such number; it has: %s", name, o->entry,
                          names_of(r, RW_INPUT, true, all, sizeof all));
    }
    for (size_t i = 0; i < o->out.n; i++)
        if (!compiled_find(&r->c, RW_OUTPUT, o->entry, o->out.data[i].name, &info))
            return failed(r->c.command, EXIT_USAGE,
                          "--out %s: entry %s has no such output; it has: %s", o->out.data[i].name,
                          o->entry, names_of(r, RW_OUTPUT, false, all, sizeof all));
    return EXIT_DONE;
}

/* The last word of "teacher.forward". */
static bool is_entry(const char *entry, const char *name) {
    const char *dot = strrchr(entry, '.');
    return strcmp(dot ? dot + 1 : entry, name) == 0;
}

static int check_states(const Run *r) {
    const RunOptions *o = &r->o;
    const rw_program *p = r->c.program;
    bool trains = is_entry(o->entry, "train");
    bool has_grads = rw_program_count(p, RW_GRADIENT, o->entry) > 0;
    /* of what hands states on; a text may have none, and then its file is empty */
    bool has_state = !trains && !has_grads && !is_entry(o->entry, "grad");
    bool has_opt = rw_program_count(p, RW_OPTIMIZER, NULL) > 0 && trains;
    const struct {
        const char *path, *option, *verb, *what;
        bool good;
    } asked[] = {{o->state_in, "--state-in", "takes", "state", has_state},
                 {o->state_out, "--state-out", "gives", "state", has_state},
                 {o->grads, "--grads", "gives", "gradients", has_grads},
                 {o->params_out, "--params-out", "gives", "new parameters", trains},
                 {o->opt_in, "--opt-in", "takes", "state of an optimizer", has_opt},
                 {o->opt_out, "--opt-out", "gives", "state of an optimizer", has_opt}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        if (asked[i].path && !asked[i].good)
            return failed(r->c.command, EXIT_USAGE, "%s: entry %s %s no %s", asked[i].option,
                          o->entry, asked[i].verb, asked[i].what);
    return EXIT_DONE;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int read_arrays(Run *r) {
    r->arrays = calloc(r->o.in.n + 1, sizeof *r->arrays);
    if (!r->arrays) return failed(r->c.command, EXIT_INTERNAL, "out of memory");
    for (size_t i = 0; i < r->o.in.n; i++) {
        const Pair *p = &r->o.in.data[i];
        rw_message m = {""};
        rw_info info;
        rw_status s = rw_npy_load(p->value, &r->arrays[i], &m);
        if (s != RW_OK)
            return failed(r->c.command, exit_of_status(s), "input '%s': %s", p->name, m.text);
        const rw_tensor *t = &r->arrays[i].t;
        if (compiled_find(&r->c, RW_INPUT, r->o.entry, p->name, &info))
            lengths_claim(&r->lengths, &info, t->shape, t->rank);
    }
    return EXIT_DONE;
}

static int check_missing(const Run *r) {
    size_t n = rw_program_count(r->c.program, RW_INPUT, r->o.entry);
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        if (rw_program_info(r->c.program, RW_INPUT, r->o.entry, i, &info) != RW_OK) continue;
        if (find_pair(info.scalar ? &r->o.set : &r->o.in, info.name)) continue;
        if (info.scalar && strcmp(info.name, "seed") != 0)
            return failed(r->c.command, EXIT_USAGE, "input '%s': not given; --set %s=NUMBER",
                          info.name, info.name);
        if (!info.scalar)
            return failed(r->c.command, EXIT_USAGE,
                          "input '%s': not given; --in %s=FILE.npy, %s %s", info.name, info.name,
                          rw_dtype_is_float(info.dtype) ? "numbers" : "whole numbers",
                          info.shape_text);
    }
    return EXIT_DONE;
}

/* Opens a file of states and lets their shapes say how long axes are. */
static int open_states(Run *r, rw_kind kind, const char *path, rw_weights **out) {
    if (!path) return EXIT_DONE;
    rw_message m = {""};
    rw_status s = rw_weights_open(path, out, &m);
    if (s != RW_OK) return compiled_failed(&r->c, s, &m);
    size_t n = rw_program_count(r->c.program, kind, NULL);
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        if (rw_program_info(r->c.program, kind, NULL, i, &info) != RW_OK) continue;
        const rw_tensor *t = rw_weights_find(*out, info.name);
        if (t) lengths_claim(&r->lengths, &info, t->shape, t->rank);
    }
    return EXIT_DONE;
}

static int read_axes(Run *r) {
    int code = lengths_begin(&r->lengths, &r->c);
    for (size_t i = 0; i < r->o.axis.n && code == EXIT_DONE; i++) {
        const Pair *p = &r->o.axis.data[i];
        int64_t n;
        if (!parse_int(p->value, &n) || n < 1)
            return usage_error(r->c.command, "--axis %s=%s: a length is a whole number from 1",
                               p->name, p->value);
        if (lengths_need(&r->lengths, p->name, n)) continue;
        char all[400] = "none";
        size_t at = 0;
        for (size_t k = 0; k < r->lengths.n && at < sizeof all; k++)
            at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", k ? " " : "",
                                   r->lengths.dim[k].name);
        code = failed(r->c.command, EXIT_USAGE, "--axis %s: this model has no such axis; it has %s",
                      p->name, all);
    }
    return code;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Arrays that do not fit are the file's fault, not the command line's. */
static int put_failed(const Run *r, rw_status s, const rw_message *m) {
    return compiled_failed(&r->c, s == RW_BAD_ARG ? RW_BAD_SHAPE : s, m);
}

static int put_numbers(Run *r) {
    rw_message m = {""};
    rw_info info;
    for (size_t i = 0; i < r->o.set.n; i++) {
        const Pair *p = &r->o.set.data[i];
        bool known = compiled_find(&r->c, RW_INPUT, r->o.entry, p->name, &info);
        bool whole = !known || !rw_dtype_is_float(info.dtype);
        double x;
        int64_t n;
        if (!parse_real(p->value, &x) || (whole && !parse_int(p->value, &n)))
            return failed(r->c.command, EXIT_USAGE, "--set %s=%s: not %s", p->name, p->value,
                          whole ? "a whole number" : "a number");
        rw_status s = known ? rw_put_number(r->c.session, p->name, x, &m) : RW_OK;
        if (s != RW_OK) return compiled_failed(&r->c, s, &m);
    }
    if (!find_pair(&r->o.set, "seed") &&
        compiled_find(&r->c, RW_INPUT, r->o.entry, "seed", &info) && info.scalar) {
        rw_status s = rw_put_number(r->c.session, "seed", (double)r->o.seed, &m);
        if (s != RW_OK) return compiled_failed(&r->c, s, &m);
    }
    return EXIT_DONE;
}

static int put_all(Run *r) {
    rw_message m = {""};
    rw_status s = RW_OK;
    for (size_t i = 0; i < r->o.in.n && s == RW_OK; i++) {
        rw_tensor t = r->arrays[i].t;
        t.name = r->o.in.data[i].name;
        s = rw_put(r->c.session, t.name, &t, &m);
        rw_array_free(&r->arrays[i]); /* the session has a copy */
    }
    for (size_t i = 0; i < r->o.axis.n && s == RW_OK; i++) {
        int64_t n = 0;
        (void)parse_int(r->o.axis.data[i].value, &n);
        s = rw_set_axis(r->c.session, r->o.axis.data[i].name, n, &m);
    }
    if (s == RW_OK && r->state) s = rw_states_load(r->c.session, RW_STATE, r->state, &m);
    if (s == RW_OK && r->opt) s = rw_states_load(r->c.session, RW_OPTIMIZER, r->opt, &m);
    return s == RW_OK ? put_numbers(r) : put_failed(r, s, &m);
}

static int save_outputs(Run *r) {
    rw_message m = {""};
    for (size_t i = 0; i < r->o.out.n; i++) {
        rw_tensor t;
        rw_status s = rw_session_find(r->c.session, RW_OUTPUT, r->o.out.data[i].name, &t);
        if (s == RW_OK) s = rw_npy_save(r->o.out.data[i].value, &t, &m);
        if (s != RW_OK) return compiled_failed(&r->c, s, &m);
    }
    return EXIT_DONE;
}

static int save_files(Run *r) {
    const struct {
        rw_kind kind;
        const char *path;
    } files[] = {{RW_GRADIENT, r->o.grads},
                 {RW_PARAM, r->o.params_out},
                 {RW_STATE, r->o.state_out},
                 {RW_OPTIMIZER, r->o.opt_out}};
    rw_message m = {""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!files[i].path) continue;
        rw_status s = rw_session_save(r->c.session, files[i].kind, files[i].path, NULL, &m);
        if (s != RW_OK) return compiled_failed(&r->c, s, &m);
    }
    return EXIT_DONE;
}

/* Numbers as "loss 5.545", arrays as "logits [1,3,256]". */
static void print_outputs(const Run *r) {
    size_t n = rw_program_count(r->c.program, RW_OUTPUT, r->o.entry);
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        rw_tensor t;
        char shape[128];
        double x;
        int64_t whole;
        if (rw_program_info(r->c.program, RW_OUTPUT, r->o.entry, i, &info) != RW_OK) continue;
        if (rw_session_find(r->c.session, RW_OUTPUT, info.name, &t) != RW_OK) continue;
        if (t.rank) {
            printf("%s %s\n", info.name, rw_tensor_shape(&t, shape, sizeof shape));
        } else if (rw_dtype_is_float(t.dtype)) {
            rw_tensor_to_f64(&t, &x);
            printf("%s %.9g\n", info.name, x);
        } else if (rw_tensor_to_i64(&t, &whole, NULL) == RW_OK) {
            printf("%s %lld\n", info.name, (long long)whole);
        }
    }
}

static int run_init(Run *r) {
    const RunOptions *o = &r->o;
    if (!o->params_out)
        return usage_error(r->c.command, "init writes parameters: -o P.safetensors or -o P.pth");
    if (o->profile || o->params || o->in.n || o->out.n || o->state_in || o->state_out || o->grads ||
        o->opt_in || o->opt_out)
        return usage_error(r->c.command, "init takes a file, --seed and -o, and nothing else");
    return compiled_init(&r->c, o->params_out, o->seed);
}

static int run(Run *r) {
    int code = compiled_open(&r->c, &r->o.machine, is_entry(r->o.entry, "init"));
    if (code == EXIT_DONE && is_entry(r->o.entry, "init")) return run_init(r);
    if (code == EXIT_DONE) code = compiled_need_entry(&r->c, r->o.entry);
    if (code == EXIT_DONE) code = check_given(r);
    if (code == EXIT_DONE) code = check_states(r);
    if (code == EXIT_DONE) code = check_missing(r);
    if (code == EXIT_DONE) code = read_axes(r);
    if (code == EXIT_DONE) code = read_arrays(r);
    if (code == EXIT_DONE) code = open_states(r, RW_STATE, r->o.state_in, &r->state);
    if (code == EXIT_DONE) code = open_states(r, RW_OPTIMIZER, r->o.opt_in, &r->opt);
    if (code == EXIT_DONE && r->o.params) code = compiled_weights(&r->c, r->o.params);
    if (code != EXIT_DONE) return code;
    rw_session_options o = {.dims = r->lengths.dim,
                            .n_dims = r->lengths.n,
                            .entries = &r->o.entry,
                            .n_entries = 1,
                            .seed = r->o.seed};
    rw_message m = {""};
    code = compiled_session(&r->c, &o);
    if (code == EXIT_DONE) code = put_all(r);
    if (code != EXIT_DONE) return code;
    rw_status s = r->o.profile ? rw_profile_begin(r->c.session, r->o.entry, &m) : RW_OK;
    if (s == RW_OK) s = rw_call(r->c.session, r->o.entry, &m);
    if (s != RW_OK) return put_failed(r, s, &m);
    code = save_outputs(r);
    if (code == EXIT_DONE) code = save_files(r);
    if (code != EXIT_DONE) return code;
    print_outputs(r);
    if (!r->o.profile) return EXIT_DONE;
    Profile p;
    if (!profile_take(r->c.session, r->o.entry, rw_context_threads(r->c.context), &p))
        return failed(r->c.command, EXIT_INTERNAL, "out of memory");
    profile_print(&p);
    profile_drop(&p);
    return EXIT_DONE;
}

int cmd_run(const char *command, int argc, char **argv) {
    Run r = {.c = {.command = command}};
    int code = read_options(&r, argc, argv);
    if (code == EXIT_DONE && r.o.help) fputs(help, stdout);
    if (code == EXIT_DONE && !r.o.help) code = run(&r);
    compiled_close(&r.c);
    rw_weights_close(r.state);
    rw_weights_close(r.opt);
    for (size_t i = 0; r.arrays && i < r.o.in.n; i++) rw_array_free(&r.arrays[i]);
    free(r.arrays);
    free_pairs(&r.o.in);
    free_pairs(&r.o.out);
    free_pairs(&r.o.set);
    free_pairs(&r.o.axis);
    return finish_output(command, code);
}
