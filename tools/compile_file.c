/* `rwkvc MODEL.rwkv -o OUT.so`: every entry of a text planned and compiled into one file. */
#include <string.h>

#include "../dsl/program.h"
#include "compile_file.h"

enum { MOST_TARGETS = 8 };

/* "teacher." of "teacher.grad". */
static size_t prefix_length(const char *entry) {
    const char *dot = strrchr(entry, '.');
    return dot ? (size_t)(dot - entry) + 1 : 0;
}

/* The start of sequences is callable but not listed; a file has it where it has an entry beside it. */
static bool goes_with(const EntryInfo *e, const EntryInfo *all, uint32_t n) {
    if (!e->hidden) return true;
    if (e->kind != ENTRY_START) return false;
    size_t k = prefix_length(e->name);
    for (uint32_t i = 0; i < n; i++)
        if (!all[i].hidden && prefix_length(all[i].name) == k &&
            memcmp(all[i].name, e->name, k) == 0)
            return true;
    return false;
}

static bool is_wanted(const CompileFile *f, const EntryInfo *e) {
    if (!f->entry || e->kind == ENTRY_START || e->kind == ENTRY_INIT) return true;
    return strcmp(f->entry, e->name) == 0;
}

/* *why: there is no plan; *least (else 0): because that would be the least memory it can do with. */
static int add_entry(Model *m, const CompileFile *f, const EntryInfo *e, FileEntry *to,
                     const char **why, int64_t *least) {
    *to = (FileEntry){.name = e->name, .graph = model_graph(m, e->name)};
    if (!to->graph) return EXIT_INPUT;
    if (e->kind == ENTRY_INIT) return EXIT_DONE; /* what it has to say are the parameters */
    const char *reason = NULL;
    PlanOptions o = {.weights = f->dtype, .saved = f->dtype, .fuse = true};
    *least = 0;
    if (f->budget->is_wanted) {
        PlanBudget *b = memory_budget_of(m->arena, f->budget, to->graph->sizes);
        b->least = least;
        o.budget = b;
    }
    to->plan = plan_make(m->arena, to->graph, &o, &reason);
    if (to->plan) return EXIT_DONE;
    *why =
        arena_printf(m->arena, "entry %s: %s", e->name, reason ? reason : "it cannot be compiled");
    return EXIT_INPUT;
}

const char *program_name(Arena *a, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t n = strcspn(name, ".");
    return arena_strn(a, name, n ? n : strlen(name));
}

/* What a file's ending says of its targets. */
static const struct {
    const char *ending, *targets; /* of none given */
    uint8_t family, most;
    bool is_assembled;
} kinds[] = {{".so", "native", FAMILY_X86, 1, false},
             {".hsaco", "gfx942,gfx1100", FAMILY_AMD, MOST_TARGETS, false},
             {".ptx", "sm_80", FAMILY_NVIDIA, 1, false},
             {".cubin", "sm_80,sm_90", FAMILY_NVIDIA, MOST_TARGETS, true}};

/* The targets of "a,b"; -1: said what is wrong with them. *is_assembled: they are made with ptxas. */
static int find_targets(Model *m, const CompileFile *f, const TargetInfo **targets,
                        bool *is_assembled) {
    size_t kind = 0, n_kinds = sizeof kinds / sizeof *kinds;
    while (kind < n_kinds && !has_ending(f->out, kinds[kind].ending)) kind++;
    if (kind == n_kinds) {
        usage_error("rwkvc",
                    "-o %s: files end in .so (x86-64), .hsaco (AMD), .ptx or .cubin (NVIDIA)",
                    f->out);
        return -1;
    }
    *is_assembled = kinds[kind].is_assembled;
    int n = 0;
    for (const char *s = f->target ? f->target : kinds[kind].targets; *s && n < MOST_TARGETS;) {
        const char *name = arena_strn(m->arena, s, strcspn(s, ","));
        const TargetInfo *t = target_find(name);
        s += strlen(name) + (s[strlen(name)] == ',');
        if (!t || t->family == FAMILY_THREADS) {
            usage_error("rwkvc", "--target=%s: there is no such target", name);
            return -1;
        }
        if (t->family != kinds[kind].family) {
            usage_error("rwkvc", "-o %s: a file of this ending holds no code for %s", f->out, name);
            return -1;
        }
        for (int i = 0; i < n; i++)
            if (targets[i] == t) {
                usage_error("rwkvc", "--target=%s: %s twice", f->target, name);
                return -1;
            }
        targets[n++] = t;
    }
    if (n >= 1 && n <= kinds[kind].most) return n;
    if (n == 0)
        usage_error("rwkvc", "--target=: it names no target");
    else
        usage_error("rwkvc", "-o %s: a file of this ending holds code for one target", f->out);
    return -1;
}

const TargetInfo *compile_target(const CompileFile *f) {
    const TargetInfo *t = target_find(f->target ? f->target : "native");
    if (!t && strchr(f->target, ','))
        usage_error("rwkvc", "--target=%s: what is shown is of one target", f->target);
    else if (!t)
        usage_error("rwkvc", "--target=%s: there is no such target", f->target);
    return t;
}

int compile_entries(Model *m, const CompileFile *f, FileEntry **entries, uint32_t *n,
                    const char **why) {
    const EntryInfo *all = m->program->entries.data;
    uint32_t n_all = m->program->entries.n;
    *n = 0;
    *why = NULL;
    int64_t most = 0; /* of the least that entries can do with, where that is too much */
    if (f->entry && !model_graph(m, f->entry)) return EXIT_INPUT;
    *entries = NEWN(m->arena, FileEntry, n_all + 1);
    for (uint32_t i = 0; i < n_all; i++) {
        if (!goes_with(&all[i], all, n_all) || !is_wanted(f, &all[i])) continue;
        const char *wrong = NULL;
        int64_t least = 0;
        int code = add_entry(m, f, &all[i], &(*entries)[(*n)++], &wrong, &least);
        if (code != EXIT_DONE && least == 0) {
            *why = wrong;
            return code;
        }
        if (least > most) {
            most = least;
            *why = wrong;
        }
    }
    const char *axis = memory_budget_unused(f->budget);
    if (axis) {
        *why = NULL;
        return usage_error("rwkvc", "--memory-budget: there is no axis '%s'", axis);
    }
    return *why ? EXIT_INPUT : EXIT_DONE;
}

int compile_file(Model *m, const CompileFile *f) {
    const TargetInfo *targets[MOST_TARGETS];
    bool is_assembled;
    int n_targets = find_targets(m, f, targets, &is_assembled);
    if (n_targets < 0) return EXIT_USAGE;
    FileTo to = {.path = f->out, .program = program_name(m->arena, m->options->path)};
    const char *lacks = is_assembled ? ptxas_find(m->arena, f->ptxas, &to.ptxas) : NULL;
    if (lacks)
        return failed("rwkvc", EXIT_IO, "-o %s: %s. A .ptx, which drivers assemble, needs none",
                      f->out, lacks);
    FileEntry *entries;
    uint32_t n;
    const char *why;
    int code = compile_entries(m, f, &entries, &n, &why);
    if (why) return failed("rwkvc", code, "%s: %s", m->options->path, why);
    if (code != EXIT_DONE) return code;
    bool is_io = false;
    const char *wrong =
        file_write_all(m->arena, entries, n, targets, (uint32_t)n_targets, &to, &is_io);
    if (!wrong) return EXIT_DONE;
    return failed("rwkvc", is_io ? EXIT_IO : EXIT_INTERNAL, is_io ? "%s" : "internal error: %s",
                  wrong);
}
