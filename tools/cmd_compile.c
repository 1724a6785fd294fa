/* `rwkvc MODEL.rwkv`: checks a text and shows what the compiler makes of it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../compiler/report.h"
#include "../dsl/ast.h"
#include "../runtime/file.h"
#include "../compiler/plan.h"
#include "commands.h"
#include "compile_file.h"

static const char help[] =
    "usage: rwkvc MODEL.rwkv -o OUT [--target=T[,T]...] [--dtype=D] [-D NAME=VALUE]...\n"
    "       rwkvc MODEL.rwkv [-D NAME=VALUE]... [--emit=STAGE] [--entry=NAME] [--report] ...\n"
    "       rwkvc eval MODEL.rwkv ENTRY ...    runs an entry in float64\n"
    "       rwkvc explain [CODE]               what a diagnostic means\n"
    "       rwkvc dump FILE [--json]           what a file of weights or an array holds\n"
    "\n"
    "Compiles a model text, with all its entries, into a file for 'rwkv' and the runtime. Without -o\n"
    "checks it and lists its entries; with --emit or --report shows what is made of it.\n"
    "\n" MODEL_HELP "  --emit=STAGE         ast      the syntax tree (nothing is checked)\n"
    "                       program  the checked program\n"
    "                       graph    equations and recurrences of an entry\n"
    "                       grad     the same after differentiation\n"
    "                       dot      the graph as a picture for graphviz\n"
    "                       memory   its tensors in bytes, as formulas in the run-time axes\n"
    "                       plan     kernels, what each computes, memory, and what is launched\n"
    "                       llvm     kernels as LLVM is given them\n"
    "                       asm      kernels in assembly\n"
    "                       obj      the object that is linked into the file; needs -o\n"
    "                       manifest what the file says of itself, as JSON\n"
    "  --entry=NAME         the entry to show: init step forward prefill grad train\n"
    "                       (default: forward; for --emit=grad: grad; for llvm and what follows\n"
    "                       it, all entries, as in the file)\n"
    "  -o OUT               the file; its ending says for what: .so processors, .hsaco AMD's GPUs,\n"
    "                       .ptx NVIDIA's as text for the driver, .cubin as machine code. With\n"
    "                       --emit, --report or --explain, where what they show goes\n"
    "  --target=T           .so     native (default) x86-64-v3 x86-64-v4 x86-64-amx\n"
    "                       .hsaco  gfx942 gfx1100, by default both: --target=gfx942,gfx1100\n"
    "                       .ptx    sm_80 (default, and all that is newer) sm_90\n"
    "                       .cubin  sm_80 (also 8.x) sm_90, by default both: --target=sm_80,sm_90\n"
    "  --ptxas=PATH         NVIDIA's assembler, for .cubin and what --report says of it (default:\n"
    "                       RWKVC_PTXAS, ptxas of PATH, /usr/local/cuda/bin/ptxas)\n"
    "  --dtype=D            f32 (default) bf16 f16: what weights and saved activations are kept in\n"
    "  --memory-budget=SIZE[@AXIS=N,...]\n"
    "                       recomputes in the backward pass what a run of SIZE (900M 2G 1.5GiB)\n"
    "                       has no room to keep, at these lengths (default: B=1, others 1024)\n"
    "  --report             parameters, and operations as formulas in the run-time axes\n"
    "  --explain=fuse:A,B   whether two values of the text are computed in one kernel, and by which\n"
    "                       rule; A is NAME, NAME:LINE or NAME@LAYER, of --entry\n"
    "  --verify             checks every entry's graph after every stage\n"
    "  --time-passes        seconds of each stage, on standard error\n"
    "  --version\n"
    "  --help\n"
    "\n"
    "Exit codes: 0 done, 1 the text's fault, 2 the command line's, 3 a file cannot be read or\n"
    "written, 70 a fault of the program itself.\n";

typedef enum Emit {
    EMIT_NONE,
    EMIT_AST,
    EMIT_PROGRAM,
    EMIT_GRAPH,
    EMIT_GRAD,
    EMIT_DOT,
    EMIT_MEMORY,
    EMIT_PLAN, /* from here on what a compilation makes, in the order of CodeStage */
    EMIT_LLVM,
    EMIT_ASM,
    EMIT_OBJ,
    EMIT_MANIFEST
} Emit;
static const char *const emit_name[] = {"",    "ast",      "program", "graph", "grad",
                                        "dot", "memory",   "plan",    "llvm",  "asm",
                                        "obj", "manifest", NULL};

typedef struct Request {
    ModelOptions model;
    Emit emit;
    const char *entry, *out, *target, *explain, *ptxas;
    uint8_t dtype; /* of weights and saved activations */
    MemoryBudget budget;
    bool report, verify, times, done; /* done: --help or --version was printed */
} Request;

/* ---- the command line ---------------------------------------------------------------------- */

static bool set_emit(Request *q, const char *name) {
    for (int i = 1; emit_name[i]; i++)
        if (strcmp(emit_name[i], name) == 0) {
            q->emit = (Emit)i;
            return true;
        }
    usage_error(
        "rwkvc",
        "there is no stage '%s': ast program graph grad dot memory plan llvm asm obj manifest",
        name);
    return false;
}

static int set_dtype(Request *q, const char *name) {
    static const char *const names[] = {[DT_F32] = "f32", [DT_BF16] = "bf16", [DT_F16] = "f16"};
    for (uint8_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            q->dtype = i;
            return EXIT_DONE;
        }
    return usage_error("rwkvc", "--dtype=%s: f32, bf16 or f16", name);
}

enum {
    EMIT = OPTION_LONG,
    ENTRY,
    REPORT,
    VERIFY,
    TIMES,
    DIAGNOSTICS,
    VERSION,
    HELP,
    TARGET,
    DTYPE,
    BUDGET,
    EXPLAIN,
    PTXAS
};

static int take_option(Request *q, Arena *a, int c) {
    switch (c) {
    case 'D':
    case 'I':
    case 'W': return model_option(&q->model, a, c, optarg) ? EXIT_DONE : EXIT_USAGE;
    case 'o': q->out = optarg; break;
    case EMIT: return set_emit(q, optarg) ? EXIT_DONE : EXIT_USAGE;
    case ENTRY: q->entry = optarg; break;
    case REPORT: q->report = true; break;
    case VERIFY: q->verify = true; break;
    case TIMES: q->times = true; break;
    case DIAGNOSTICS: return model_diagnostics(&q->model, optarg) ? EXIT_DONE : EXIT_USAGE;
    case VERSION:
        puts("rwkvc " RWKVC_VERSION);
        q->done = true;
        break;
    case HELP:
        fputs(help, stdout);
        q->done = true;
        break;
    case TARGET: q->target = optarg; break;
    case DTYPE: return set_dtype(q, optarg);
    case BUDGET: return memory_budget_read(a, optarg, &q->budget) ? EXIT_DONE : EXIT_USAGE;
    case EXPLAIN: q->explain = optarg; break;
    case PTXAS: q->ptxas = optarg; break;
    case 1:
        if (q->model.path)
            return usage_error("rwkvc", "one text at a time: '%s' and '%s'", q->model.path, optarg);
        q->model.path = optarg;
        break;
    default: return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static int read_request(Request *q, Arena *a, int argc, char **argv) {
    static const struct option longs[] = {{"emit", required_argument, NULL, EMIT},
                                          {"entry", required_argument, NULL, ENTRY},
                                          {"report", no_argument, NULL, REPORT},
                                          {"verify", no_argument, NULL, VERIFY},
                                          {"time-passes", no_argument, NULL, TIMES},
                                          {"diagnostics", required_argument, NULL, DIAGNOSTICS},
                                          {"version", no_argument, NULL, VERSION},
                                          {"help", no_argument, NULL, HELP},
                                          {"target", required_argument, NULL, TARGET},
                                          {"dtype", required_argument, NULL, DTYPE},
                                          {"memory-budget", required_argument, NULL, BUDGET},
                                          {"explain", required_argument, NULL, EXPLAIN},
                                          {"ptxas", required_argument, NULL, PTXAS},
                                          {0}};
    model_options(&q->model, a, "rwkvc", argc);
    Line line = {"rwkvc", argc, argv, MODEL_SHORTS "o:", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        int code = take_option(q, a, c);
        if (code != EXIT_DONE || q->done) return code;
    }
    if (!q->model.path) return usage_error("rwkvc", "which MODEL.rwkv?");
    if ((q->emit != EMIT_NONE) + q->report + (q->explain != NULL) > 1)
        return usage_error("rwkvc", "--emit, --report and --explain each have a text of their own; "
                                    "one at a time");
    if (q->emit == EMIT_OBJ && !q->out)
        return usage_error("rwkvc", "--emit=obj gives bytes, not text: -o OUT.o");
    return EXIT_DONE;
}

/* ---- time ---------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "what" took from `since` till now; returns now. */
static double print_time(const Request *q, const char *entry, const char *what, double since) {
    double now = seconds();
    if (q->times) fprintf(stderr, "%10.6f s  %-8s %s\n", now - since, entry, what);
    return now;
}

/* ---- stages -------------------------------------------------------------------------------- */

static const struct {
    const char *name, *what;
} stages[] = {
    {"checked", "elaborated"}, {"graph", "distributed and simplified"}, {"grad", "ready to run"}};

/* The graph is sound, and its text reads back as the same text. */
static int verify_graph(Model *m, Graph *g, const char *entry, const char *stage) {
    const char *wrong = graph_verify(g);
    if (!wrong) {
        Text once = text_new(m->arena), again = text_new(m->arena);
        const char *error = NULL;
        graph_print(g, &once);
        Graph *back = graph_read(m->arena, once.data, once.n, &error);
        if (back) graph_print(back, &again);
        if (!back)
            wrong = error;
        else if (once.n != again.n || memcmp(once.data, again.data, once.n) != 0)
            wrong = "its text reads back as another graph";
    }
    if (!wrong) return EXIT_DONE;
    return failed("rwkvc", EXIT_INTERNAL, "internal error: entry %s, stage %s: %s", entry, stage,
                  wrong);
}

/* Every stage of one entry, timed and, if asked for, verified. */
static int walk_entry(Model *m, const Request *q, const char *entry) {
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        double since = seconds();
        Graph *g = program_graph_stage(m->program, entry, stages[i].name, m->diag);
        print_time(q, entry, stages[i].what, since);
        if (!g) return EXIT_INPUT;
        if (!q->verify) continue;
        since = seconds();
        int code = verify_graph(m, g, entry, stages[i].name);
        print_time(q, entry, "verified", since);
        if (code != EXIT_DONE) return code;
    }
    return EXIT_DONE;
}

static int walk_entries(Model *m, const Request *q) {
    if (q->entry) return walk_entry(m, q, q->entry);
    for (uint32_t i = 0; i < program_entries(m->program); i++) {
        int code = walk_entry(m, q, program_entry(m->program, i));
        if (code != EXIT_DONE) return code;
    }
    return EXIT_DONE;
}

/* ---- what is shown ------------------------------------------------------------------------- */

static void list_entries(const Model *m, Text *out) {
    uint32_t n = program_entries(m->program);
    text_printf(out, "%s: %s", m->options->path, n ? "entries" : "no entries");
    for (uint32_t i = 0; i < n; i++)
        text_printf(out, "%s%s", i ? " " : ": ", program_entry(m->program, i));
    text_add(out, "\n");
}

/* What is wanted is a file, and no text about it. */
static bool is_compiled(const Request *q) {
    return q->out && !q->emit && !q->report && !q->explain;
}

static CompileFile compilation(Request *q) {
    q->budget.is_wanted |= q->report || q->emit == EMIT_MEMORY;
    return (CompileFile){.out = q->out,
                         .budget = &q->budget,
                         .target = q->target,
                         .entry = q->entry,
                         .ptxas = q->ptxas,
                         .dtype = q->dtype};
}

/* The values of a graph, and what its plan makes of them. */
static int emit_memory(Model *m, Request *q, Graph *g, const char *entry, Text *out) {
    graph_memory(g, out);
    CompileFile f = compilation(q);
    f.entry = entry;
    FileEntry *entries;
    uint32_t n;
    const char *why;
    int code = compile_entries(m, &f, &entries, &n, &why);
    if (why && q->budget.bytes) return failed("rwkvc", EXIT_INPUT, "%s: %s", q->model.path, why);
    if (why) text_printf(out, "not compiled: %s\n", why);
    if (why || code != EXIT_DONE) return why ? EXIT_DONE : code;
    for (uint32_t i = 0; i < n; i++)
        if (entries[i].plan && strcmp(entries[i].name, entry) == 0)
            plan_print_memory(entries[i].plan,
                              memory_budget_of(m->arena, &q->budget, entries[i].graph->sizes),
                              m->diag, out);
    return EXIT_DONE;
}

static int emit(Model *m, Request *q, Text *out) {
    const char *entry = q->entry ? q->entry : q->emit == EMIT_GRAD ? "grad" : "forward";
    if (q->emit == EMIT_PROGRAM) {
        program_print(m->program, out);
        return EXIT_DONE;
    }
    if (q->emit >= EMIT_PLAN) {
        CompileFile f = compilation(q);
        if (q->emit == EMIT_PLAN) f.entry = entry;
        return emit_code(m, &f, (CodeStage)(q->emit - EMIT_PLAN), out);
    }
    Graph *g =
        program_graph_stage(m->program, entry, q->emit == EMIT_GRAPH ? "graph" : "grad", m->diag);
    if (!g) return EXIT_INPUT;
    if (q->emit == EMIT_DOT)
        graph_dot(g, out);
    else if (q->emit == EMIT_MEMORY)
        return emit_memory(m, q, g, entry, out);
    else
        graph_print(g, out);
    return EXIT_DONE;
}

/* One entry whole, or every forward, and of the other entries the sum of operations. */
static int report_graphs(Model *m, const Request *q, Text *out) {
    Text sums = text_new(m->arena);
    for (uint32_t i = 0; i < program_entries(m->program); i++) {
        const char *entry = q->entry ? q->entry : program_entry(m->program, i);
        Graph *g = model_graph(m, entry);
        if (!g) return EXIT_INPUT;
        if (q->entry || has_ending(entry, "forward"))
            graph_report(g, out);
        else if (!has_ending(entry, "init"))
            text_printf(&sums, "  %-12s %s\n", entry, size_str(g->sizes, graph_flops(g).total));
        if (q->entry) return EXIT_DONE;
    }
    if (sums.n)
        text_printf(out, "operations of the other entries (--entry=NAME shows more)\n%s",
                    sums.data);
    return EXIT_DONE;
}

static int report(Model *m, Request *q, Text *out) {
    int code = report_graphs(m, q, out);
    if (code != EXIT_DONE || (q->entry && has_ending(q->entry, "init"))) return code;
    CompileFile f = compilation(q);
    return report_code(m, &f, out);
}

static int show(const Request *q, const Text *t) {
    if (is_compiled(q)) return EXIT_DONE; /* it is written */
    if (!q->out) {
        fwrite(t->data, 1, t->n, stdout);
        return finish_output("rwkvc", EXIT_DONE);
    }
    if (same_file(q->out, q->model.path))
        return failed("rwkvc", EXIT_USAGE, "-o %s: this is the text itself", q->out);
    rw_message why = {""};
    rw_status s = rw_file_save(q->out, t->data, t->n, &why);
    return s == RW_OK ? EXIT_DONE : failed("rwkvc", exit_of_status(s), "%s", why.text);
}

/* ---- the command --------------------------------------------------------------------------- */

/* --emit=ast needs no sound program, so that a text can be looked at while it is wrong. */
static int emit_ast(Model *m, const Request *q, Arena *a, Text *out) {
    *m = (Model){.options = &q->model, .arena = a};
    rw_message why = {""};
    rw_file f;
    rw_status s = rw_file_map(q->model.path, &f, &why);
    if (s != RW_OK) return failed("rwkvc", exit_of_status(s), "%s", why.text);
    m->diag = diag_new(a, 0);
    const char *text = arena_strn(a, (const char *)f.data, f.bytes);
    size_t n = f.bytes;
    rw_file_unmap(&f);
    uint32_t number = diag_source(m->diag, q->model.path, text, n);
    ast_print(parse_text(a, names_new(a), m->diag, number, q->model.path, text, n), out);
    return EXIT_DONE;
}

static int compile(Model *m, Request *q, Arena *a, Text *out) {
    if (q->emit == EMIT_AST) return emit_ast(m, q, a, out);
    double since = seconds();
    int code = model_read(m, a, &q->model);
    print_time(q, "", "read and checked", since);
    if (code == EXIT_DONE && (q->verify || q->times)) code = walk_entries(m, q);
    if (code != EXIT_DONE) return code;
    since = seconds();
    if (q->emit) {
        code = emit(m, q, out);
    } else if (q->report) {
        code = report(m, q, out);
    } else if (q->explain) {
        CompileFile f = compilation(q);
        code = explain_fuse(m, &f, q->explain, out);
    } else if (q->out) {
        CompileFile f = compilation(q);
        code = compile_file(m, &f);
    } else {
        list_entries(m, out);
    }
    print_time(q, "", is_compiled(q) ? "compiled" : "shown", since);
    return code;
}

int cmd_compile(const char *command, int argc, char **argv) {
    (void)command;
    if (argc < 2) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    Arena *a = arena_new();
    Request q = {0};
    int code = read_request(&q, a, argc, argv);
    if (code == EXIT_DONE && !q.done) {
        Model m;
        Text out = text_new(a);
        code = model_end(&m, compile(&m, &q, a, &out));
        if (code == EXIT_DONE) code = show(&q, &out);
    } else {
        code = finish_output("rwkvc", code);
    }
    arena_free(a);
    return code;
}
