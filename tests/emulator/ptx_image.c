/* PTX as a module: its variables, its kernels with their parameters and sizes. What stands in a kernel's body is
 * decoded when it is launched. */
#include "ptx.h"

#include <stdlib.h>

/* Between two variables of local memory nothing is: a step too far is never in the next one. The gap has whole
 * lines of all banks, so that none moves to another bank. */
enum { GAP = 128 };

typedef struct Loader {
    EmuImage *m;
    PtxScan s;
    size_t kernel_cap, symbol_cap;
    EmuStatus status;
} Loader;

static bool wrong(Loader *l, EmuStatus status, const char *what) {
    if (l->status == EMU_OK)
        emu_say(l->m->emu, "PTX, line %u: %s: %.60s", l->s.line, what, l->s.at);
    l->status = status;
    return false;
}

static bool no_memory(Loader *l) { return wrong(l, EMU_NO_MEMORY, "no memory"); }

/* Makes room for one more. */
static void *room(void *all, size_t n, size_t *cap, size_t bytes) {
    if (n < *cap) return all;
    size_t more = *cap == 0 ? 16 : 2 * *cap;
    void *to = realloc(all, more * bytes);
    if (to != NULL) *cap = more;
    return to;
}

/* ---- variables of the module ----------------------------------------------------------------- */

/* One number, or some in braces; the rest is zero. */
static bool first_values(Loader *l, const PtxVariable *v, uint8_t *to) {
    uint64_t x;
    bool is_list = ptx_take(&l->s, "{");
    for (uint64_t at = 0; at < v->bytes; at += v->element) {
        if (!ptx_number(&l->s, &x)) return wrong(l, EMU_BAD_IMAGE, "a number was expected");
        memcpy(to + at, &x, v->element);
        if (!is_list) return true;
        if (!ptx_take(&l->s, ",")) break;
    }
    return ptx_take(&l->s, "}") || wrong(l, EMU_BAD_IMAGE, "values");
}

static bool module_variable(Loader *l) {
    EmuImage *m = l->m;
    PtxVariable v;
    if (!ptx_variable(&l->s, &v)) return wrong(l, EMU_BAD_IMAGE, "a variable was expected");
    size_t at = (m->memory_bytes + v.align - 1) & ~(size_t)(v.align - 1);
    uint8_t *more = realloc(m->memory, at + v.bytes + 1); /* none has no bytes */
    if (more == NULL) return no_memory(l);
    m->memory = more;
    memset(more + m->memory_bytes, 0, at + v.bytes - m->memory_bytes);
    m->memory_bytes = at + v.bytes;
    Symbol *all = room(m->symbols, m->n_symbols, &l->symbol_cap, sizeof *all);
    if (all == NULL) return no_memory(l);
    m->symbols = all;
    all[m->n_symbols++] = (Symbol){v.name, at, v.bytes};
    if (ptx_take(&l->s, "=") && !first_values(l, &v, m->memory + at)) return false;
    if (!ptx_take(&l->s, ";")) return wrong(l, EMU_BAD_IMAGE, "a semicolon was expected");
    m->file[v.name + v.length - (const char *)m->file] = '\0'; /* nobody reads it again */
    return true;
}

/* To where nothing moves any more. */
static bool settle_variables(Loader *l) {
    EmuImage *m = l->m;
    if (m->memory_bytes == 0) return true;
    size_t n = (m->memory_bytes + 4095) & ~(size_t)4095;
    uint8_t *to = aligned_alloc(4096, n);
    if (to == NULL) return no_memory(l);
    memcpy(to, m->memory, m->memory_bytes);
    free(m->memory);
    m->memory = to;
    m->memory_bytes = n;
    Buffer b = {.base = to, .bytes = n, .is_read_only = true};
    return buffers_add(&m->emu->buffers, b) || no_memory(l);
}

/* ---- kernels --------------------------------------------------------------------------------- */

static bool parameters(Loader *l, EmuKernel *k) {
    uint32_t at = 0;
    size_t cap = 0;
    if (!ptx_take(&l->s, "(")) return true;
    k->ptx->params = l->s.at;
    while (!ptx_take(&l->s, ")")) {
        PtxVariable v;
        if (!ptx_take(&l->s, ".param") || !ptx_variable(&l->s, &v))
            return wrong(l, EMU_BAD_IMAGE, "a parameter was expected");
        EmuArgument *all = room(k->arguments, k->info.n_arguments, &cap, sizeof *all);
        if (all == NULL) return no_memory(l);
        k->arguments = all;
        at = (at + (uint32_t)v.align - 1) & ~((uint32_t)v.align - 1);
        all[k->info.n_arguments++] = (EmuArgument){.offset = at, .size = (uint32_t)v.bytes};
        at += (uint32_t)v.bytes;
        ptx_take(&l->s, ",");
    }
    k->info.arguments = k->arguments;
    k->info.kernarg = at;
    return true;
}

const EmuArgument *ptx_param(const EmuKernel *k, const char *name, size_t length) {
    PtxScan s = {k->ptx->params, 0};
    for (size_t i = 0; i < k->info.n_arguments; i++) {
        PtxVariable v;
        if (!ptx_take(&s, ".param") || !ptx_variable(&s, &v)) return NULL;
        if (v.length == length && memcmp(v.name, name, length) == 0) return &k->arguments[i];
        ptx_take(&s, ",");
    }
    return NULL;
}

static bool three(Loader *l, uint32_t out[3]) {
    for (unsigned i = 0; i < 3; i++) {
        uint64_t x = 1;
        bool is_there = i == 0 || ptx_take(&l->s, ",");
        if (is_there && (!ptx_number(&l->s, &x) || x > 1024)) return false;
        out[i] = (uint32_t)x;
    }
    return true;
}

static bool directives(Loader *l, EmuKernel *k) {
    uint32_t block[3];
    while (!ptx_take(&l->s, "{")) {
        bool requires = ptx_take(&l->s, ".reqntid");
        if (requires || ptx_take(&l->s, ".maxntid")) {
            if (!three(l, block)) return wrong(l, EMU_BAD_IMAGE, "sizes of a block");
            k->info.max_block = block[0] * block[1] * block[2];
            if (requires) memcpy(k->info.block, block, sizeof block);
            continue;
        }
        uint64_t x; /* for the assembler: how many registers, how many blocks at once */
        if (!ptx_take(&l->s, ".minnctapersm") && !ptx_take(&l->s, ".maxnreg"))
            return wrong(l, EMU_BAD_IMAGE, "a kernel's body was expected");
        if (!ptx_number(&l->s, &x)) return wrong(l, EMU_BAD_IMAGE, "a number was expected");
    }
    return true;
}

static bool add_shared(Loader *l, EmuKernel *k, size_t *cap) {
    PtxCode *c = k->ptx;
    PtxVariable v;
    if (!ptx_variable(&l->s, &v)) return wrong(l, EMU_BAD_IMAGE, "a variable was expected");
    PtxShared *all = room(c->shared, c->n_shared, cap, sizeof *all);
    if (all == NULL) return no_memory(l);
    c->shared = all;
    uint32_t at = (k->info.lds + (uint32_t)v.align - 1) & ~((uint32_t)v.align - 1);
    k->info.lds = at + (uint32_t)v.bytes;
    if (k->info.lds > 1u << 20) return wrong(l, EMU_BAD_IMAGE, "too much local memory");
    at += c->n_shared * GAP;
    all[c->n_shared++] = (PtxShared){v.name, v.length, at, (uint32_t)v.bytes};
    c->shared_bytes = at + (uint32_t)v.bytes;
    return true;
}

static bool body(Loader *l, EmuKernel *k) {
    size_t cap = 0;
    unsigned depth = 0; /* of scopes */
    k->ptx->body = l->s.at;
    k->ptx->line = l->s.line;
    for (;;) {
        ptx_blank(&l->s);
        if (*l->s.at == '\0') return wrong(l, EMU_BAD_IMAGE, "the text ends in a kernel");
        if (ptx_take(&l->s, "{")) {
            depth++;
            continue;
        }
        if (ptx_take(&l->s, "}")) {
            if (depth-- == 0) break;
            continue;
        }
        if (ptx_take(&l->s, ".shared") && !add_shared(l, k, &cap)) return false;
        ptx_statement(&l->s);
    }
    PtxCode *c = k->ptx;
    c->inside = calloc(c->shared_bytes + 1, 1);
    if (c->inside == NULL) return no_memory(l);
    for (uint32_t i = 0; i < c->n_shared; i++)
        memset(c->inside + c->shared[i].at, 1, c->shared[i].bytes);
    return true;
}

static bool kernel(Loader *l) {
    EmuImage *m = l->m;
    EmuKernel *all = room(m->kernels, m->n_kernels, &l->kernel_cap, sizeof *all);
    if (all == NULL) return no_memory(l);
    m->kernels = all;
    ptx_blank(&l->s);
    size_t n = ptx_word(l->s.at);
    if (n == 0) return wrong(l, EMU_BAD_IMAGE, "a name was expected");
    EmuKernel *k = &all[m->n_kernels++];
    *k = (EmuKernel){.image = m, .name = malloc(n + 1), .ptx = calloc(1, sizeof *k->ptx)};
    if (k->name == NULL || k->ptx == NULL) return no_memory(l);
    memcpy(k->name, l->s.at, n);
    k->name[n] = '\0';
    k->info.name = k->name;
    l->s.at += n;
    return parameters(l, k) && directives(l, k) && body(l, k);
}

/* ---- the module ------------------------------------------------------------------------------ */

static bool target(Loader *l) {
    uint64_t x;
    const Processor *p = l->m->emu->processor;
    ptx_blank(&l->s);
    if (strncmp(l->s.at, "sm_", 3) != 0) return wrong(l, EMU_BAD_IMAGE, "a processor was expected");
    l->s.at += 3;
    if (!ptx_number(&l->s, &x)) return wrong(l, EMU_NO_CODE, "code for one processor only");
    return x <= p->machine || wrong(l, EMU_NO_CODE, "the code is for a newer processor");
}

static bool item(Loader *l) {
    PtxScan *s = &l->s;
    uint64_t x;
    if (ptx_take(s, ".visible") || ptx_take(s, ".weak")) return true;
    if (ptx_take(s, ".target")) return target(l);
    if (ptx_take(s, ".address_size"))
        return (ptx_number(s, &x) && x == 64) || wrong(l, EMU_BAD_IMAGE, "addresses have 64 bits");
    if (ptx_take(s, ".entry")) return kernel(l);
    if (ptx_take(s, ".global") || ptx_take(s, ".const")) return module_variable(l);
    return wrong(l, EMU_BAD_IMAGE, "this is not understood");
}

EmuStatus ptx_load(EmuImage *m) {
    Loader l = {.m = m, .s = {(const char *)m->file, 1}};
    if (memchr(m->file, '\0', m->file_bytes) != NULL) {
        emu_say(m->emu, "not text");
        return EMU_BAD_IMAGE;
    }
    ptx_blank(&l.s);
    if (!ptx_take(&l.s, ".version")) {
        emu_say(m->emu, "not PTX");
        return EMU_BAD_IMAGE;
    }
    l.s.at += strcspn(l.s.at, "\n");
    for (ptx_blank(&l.s); *l.s.at != '\0' && l.status == EMU_OK; ptx_blank(&l.s)) item(&l);
    if (l.status == EMU_OK) settle_variables(&l);
    return l.status;
}
