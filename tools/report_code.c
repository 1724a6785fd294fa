/* `--report` of what is compiled: kernels, launches, bytes, code and scratch. */
#include <elf.h>
#include <string.h>

#include "../compiler/work.h"
#include "compile_file.h"
#include "report_gpu.h"

/* ---- sizes of functions -------------------------------------------------------------------------- */

typedef struct Object {
    const uint8_t *data;
    size_t bytes;
} Object;

/* The section of a type, or NULL. The object is LLVM's, made just now. */
static const Elf64_Shdr *section_of(const Object *o, uint32_t type, uint32_t number) {
    const Elf64_Ehdr *h = (const void *)o->data;
    if (o->bytes < sizeof *h || h->e_shoff + (size_t)h->e_shnum * sizeof(Elf64_Shdr) > o->bytes)
        return NULL;
    const Elf64_Shdr *s = (const void *)(o->data + h->e_shoff);
    for (uint32_t i = 0; i < h->e_shnum; i++)
        if (type ? s[i].sh_type == type : i == number) return &s[i];
    return NULL;
}

/* Bytes of machine code of a function; 0 if it has none by this name. */
static uint64_t code_bytes(const Object *o, const char *symbol) {
    const Elf64_Shdr *table = section_of(o, SHT_SYMTAB, 0);
    const Elf64_Shdr *names = table ? section_of(o, 0, table->sh_link) : NULL;
    if (!names) return 0;
    const Elf64_Sym *s = (const void *)(o->data + table->sh_offset);
    for (size_t i = 0; i < table->sh_size / sizeof *s; i++)
        if (ELF64_ST_TYPE(s[i].st_info) == STT_FUNC &&
            strcmp((const char *)o->data + names->sh_offset + s[i].st_name, symbol) == 0)
            return s[i].st_size;
    return 0;
}

/* ---- an entry ------------------------------------------------------------------------------------ */

typedef struct Code {
    Model *m;
    Object object;
    Text *out;
} Code;

static const char *const kind_name[KERNEL_KINDS] = {"row", "scan", "contract", "scatter"};

static void count_launch(Plan *p, const Op *o, int64_t times, uint32_t level, void *user) {
    int64_t *launches = user;
    (void)level;
    launches[o->kind == OP_LAUNCH ? o->kernel : p->kernels.n] += times;
}

static int64_t *launches_of(Model *m, Plan *p) {
    int64_t *n = NEWN(m->arena, int64_t, p->kernels.n + 1);
    plan_each(p, count_launch, n);
    return n;
}

static bool seen_before(const FileEntry *e, uint32_t k) {
    for (uint32_t i = 0; i < k; i++)
        if (strcmp(e->codes[i].symbol, e->codes[k].symbol) == 0) return true;
    return false;
}

/* "12288", or the formulas where run-time axes matter. */
static const char *most_scratch(Model *m, const FileEntry *e) {
    Sizes *s = e->plan->g->sizes;
    int64_t most = 0, one;
    Text t = text_new(m->arena);
    for (uint32_t i = 0; i < e->plan->kernels.n; i++)
        if (size_value(s, e->codes[i].scratch, &one)) {
            most = one > most ? one : most;
        } else {
            const char *formula = size_str(s, e->codes[i].scratch);
            if (!t.n || !strstr(t.data, formula)) text_printf(&t, ", %s", formula);
        }
    return arena_printf(m->arena, "%lld%s", (long long)most, t.n ? t.data : "");
}

static void print_summary(Code *c, const FileEntry *e) {
    Plan *p = e->plan;
    int64_t launches = 0, *each = launches_of(c->m, p);
    uint64_t bytes = 0;
    uint32_t functions = 0;
    for (uint32_t i = 0; i <= p->kernels.n; i++) launches += each[i];
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        if (seen_before(e, i)) continue;
        functions++;
        bytes += code_bytes(&c->object, e->codes[i].symbol);
    }
    text_printf(c->out, "  %-12s %8u %9lld %10u %11llu  %s\n", e->name, p->kernels.n,
                (long long)launches, functions, (unsigned long long)bytes, most_scratch(c->m, e));
}

static Size sum_of(Sizes *s, const Work *w, WorkPart first, WorkPart end) {
    Size sum = size_num(s, 0);
    for (int i = (int)first; i < (int)end; i++) sum = size_add(s, sum, w->of[i]);
    return sum;
}

static void print_kernels(Code *c, const FileEntry *e) {
    Plan *p = e->plan;
    Sizes *s = p->g->sizes;
    int64_t *launches = launches_of(c->m, p);
    PlanWork work = plan_work(p);
    text_printf(c->out, "  %-32s %-8s %8s %7s %8s  %s\n", "kernel", "kind", "launches", "code",
                "scratch", "function; operations and bytes of a launch");
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const Work *w = &work.kernel[i];
        Size ops = sum_of(s, w, WORK_WEIGHTS, WORK_GIVEN),
             bytes = sum_of(s, w, WORK_GIVEN, WORK_PARTS);
        text_printf(c->out, "  %-32s %-8s %8lld %7llu %8s  %s; %s and %s\n",
                    p->kernels.data[i].name, kind_name[p->kernels.data[i].kind],
                    (long long)launches[i],
                    (unsigned long long)code_bytes(&c->object, e->codes[i].symbol),
                    size_str(s, e->codes[i].scratch), e->codes[i].symbol,
                    ops ? size_str(s, ops) : "?", bytes ? size_str(s, bytes) : "?");
    }
}

/* ---- all of them --------------------------------------------------------------------------------- */

static uint64_t all_code(const Object *o) {
    const Elf64_Ehdr *h = (const void *)o->data;
    uint64_t bytes = 0;
    for (uint32_t i = 0; o->bytes >= sizeof *h && i < h->e_shnum; i++) {
        const Elf64_Shdr *s = section_of(o, 0, i);
        if (s && (s->sh_flags & SHF_EXECINSTR)) bytes += s->sh_size;
    }
    return bytes;
}

/* What functions use; of NVIDIA's text, if there is an assembler, the machine code that it becomes too. */
typedef struct Uses {
    GpuUses all;
    const char *lacks; /* why nobody knows, or NULL */
} Uses;

static int find_uses(Code *c, const CompileFile *f, const TargetInfo *t, const Text *object,
                     Uses *out) {
    const char *wrong = NULL, *ptxas;
    if (t->family == FAMILY_AMD)
        wrong = gpu_uses_of_object(c->m->arena, object->data, object->n, &out->all);
    if (wrong) return failed("rwkvc", EXIT_INTERNAL, "%s: %s", t->name, wrong);
    if (t->family != FAMILY_NVIDIA) return EXIT_DONE;
    Image text = {object->data, object->n}, cubin = {NULL, 0};
    c->object = (Object){NULL, 0};
    out->lacks = ptxas_find(c->m->arena, f->ptxas, &ptxas);
    if (out->lacks) return EXIT_DONE;
    wrong = gpu_uses_of_ptx(c->m->arena, t, ptxas, &text, &out->all, &cubin);
    if (wrong) return failed("rwkvc", EXIT_IO, "%s: %s", t->name, wrong);
    c->object = (Object){cubin.data, cubin.bytes};
    return EXIT_DONE;
}

static void print_gpu(Code *c, const TargetInfo *t, const Uses *uses) {
    if (uses->lacks)
        text_printf(c->out, "registers and spills are not known: %s\n", uses->lacks);
    else
        gpu_print_uses(t, &uses->all, c->out);
}

int report_code(Model *m, const CompileFile *f, Text *out) {
    FileEntry *entries;
    uint32_t n;
    Text object = text_new(m->arena);
    const char *why;
    int code = compile_code(m, f, CODE_OBJ, &entries, &n, &object, &why);
    if (why && f->budget->bytes)
        return failed("rwkvc", EXIT_INPUT, "%s: %s", m->options->path, why);
    if (why) text_printf(out, "not compiled: %s\n", why);
    if (why || code != EXIT_DONE) return why ? EXIT_DONE : code;
    const TargetInfo *t = compile_target(f);
    Code c = {m, {(const uint8_t *)object.data, object.n}, out};
    Uses uses = {.lacks = NULL};
    code = find_uses(&c, f, t, &object, &uses);
    if (code != EXIT_DONE) return code;
    for (uint32_t i = 0; i < n; i++) {
        if (!entries[i].plan || (f->entry && strcmp(f->entry, entries[i].name) != 0)) continue;
        text_printf(out, "launches of %s\n", entries[i].name);
        plan_report(entries[i].plan, out);
        plan_print_memory(entries[i].plan,
                          memory_budget_of(m->arena, f->budget, entries[i].graph->sizes), m->diag,
                          out);
        if (f->entry) print_kernels(&c, &entries[i]);
    }
    if (t->family == FAMILY_AMD || t->family == FAMILY_NVIDIA) print_gpu(&c, t, &uses);
    text_printf(out, "compiled for %s: %llu bytes of code\n", t->name,
                (unsigned long long)all_code(&c.object));
    text_printf(out, "  %-12s %8s %9s %10s %11s  %s\n", "entry", "kernels", "launches", "functions",
                "code bytes",
                t->family == FAMILY_X86 ? "scratch bytes of a thread"
                                        : "scratch bytes of a workgroup");
    for (uint32_t i = 0; i < n; i++)
        if (entries[i].plan) print_summary(&c, &entries[i]);
    return code;
}
