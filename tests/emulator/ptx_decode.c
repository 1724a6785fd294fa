/* The text of a kernel's body into instructions: registers are numbered, constants become arrays of lanes, labels
 * places. What is not understood stops whoever gets there. */
#include "ptx.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_ARGS = 20, MAX_RANGES_OF = 16, MAX_SCOPES = 4, INDEX = 2048, CONSTANTS = 8192 };

typedef enum ArgKind { ARG_REGISTER, ARG_NUMBER, ARG_NAME, ARG_MEMORY } ArgKind;

typedef struct Arg {
    ArgKind kind;
    char type; /* of a register: its letter */
    int32_t reg;
    uint64_t number; /* or an offset */
    bool has_base;   /* memory: a register is its base, else a name if length > 0 */
    const char *name;
    size_t length;
} Arg;

/* An instruction as it is written. */
typedef struct Line {
    const char *name;
    size_t length;
    Arg arg[MAX_ARGS];
    unsigned n, n_first; /* n_first: in the first operand, which may be a list */
} Line;

/* ".reg .b32 %r<10>": %r0 to %r9; or one without a number */
typedef struct RegRange {
    const char *name;
    size_t length;
    uint64_t count;
    int32_t first;
    char type;
} RegRange;

typedef struct Label {
    const char *name;
    size_t length;
    uint32_t at;
} Label;

typedef struct Jump {
    const char *name;
    size_t length;
    uint32_t from;
} Jump;

typedef struct Decoder {
    EmuKernel *k;
    PtxCode *c;
    PtxScan s;
    size_t cap, constant_cap, label_cap, jump_cap;
    RegRange range[MAX_RANGES_OF];
    unsigned n_ranges, n_scopes, outside[MAX_SCOPES];
    Label *labels;
    Jump *jumps;
    size_t n_labels, n_jumps;
    uint16_t ops[INDEX];          /* by the hash of the name: its row and 1 */
    uint32_t constant[CONSTANTS]; /* by the hash of the value: its number and 1 */
    bool has_memory;
} Decoder;

static void *grown(Decoder *d, void *all, size_t n, size_t *cap, size_t bytes) {
    if (n < *cap) return all;
    size_t more = *cap == 0 ? 64 : 2 * *cap;
    void *to = realloc(all, more * bytes);
    if (to == NULL) {
        d->has_memory = false;
        return NULL;
    }
    *cap = more;
    return to;
}

/* ---- operations by name ---------------------------------------------------------------------- */

static uint32_t hash_of(const char *name, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)name[i]) * 16777619u;
    return h ^ h >> 15;
}

static void index_ops(Decoder *d) {
    const PtxOp *op;
    for (size_t k = 0; (op = ptx_op_at(k)) != NULL; k++) {
        uint32_t at = hash_of(op->name, strlen(op->name)) % INDEX;
        while (d->ops[at] != 0) at = (at + 1) % INDEX;
        d->ops[at] = (uint16_t)(k + 1);
    }
}

/* The next row of this name, *at being where to look on: conversions take several kinds of registers. */
static const PtxOp *op_of(const Decoder *d, const char *name, size_t n, uint32_t *at) {
    for (; d->ops[*at % INDEX] != 0; ++*at) {
        const PtxOp *op = ptx_op_at(d->ops[*at % INDEX] - 1u);
        if (strncmp(op->name, name, n) != 0 || op->name[n] != '\0') continue;
        ++*at;
        return op;
    }
    return NULL;
}

/* ---- registers and constants ----------------------------------------------------------------- */

static char letter_of(const char *type) {
    if (strncmp(type, ".pred", 5) == 0) return 'p';
    switch (ptx_type_bytes(type)) {
    case 1:
    case 2: return 'h';
    case 4: return 'w';
    case 8: return 'd';
    default: return 0;
    }
}

static void declare(Decoder *d) {
    ptx_blank(&d->s);
    char type = letter_of(d->s.at);
    d->s.at += ptx_word(d->s.at);
    ptx_blank(&d->s);
    RegRange r = {
        .name = d->s.at, .length = ptx_word(d->s.at), .first = (int32_t)d->c->n_registers};
    d->s.at += r.length;
    bool is_many = ptx_take(&d->s, "<");
    bool good = type != 0 && d->n_ranges < MAX_RANGES_OF &&
                (!is_many || (ptx_number(&d->s, &r.count) && r.count < 1u << 20));
    if (good) {
        r.type = type;
        d->range[d->n_ranges++] = r;
        d->c->n_registers += (uint32_t)(is_many ? r.count : 1) * (type == 'd' ? 2 : 1);
    }
    ptx_statement(&d->s);
}

static bool special_register(const char *name, size_t n, Arg *a) {
    static const struct {
        const char *name;
        int32_t reg;
    } all[] = {
        {"%tid", PTX_TID}, {"%ntid", PTX_NTID}, {"%ctaid", PTX_CTAID}, {"%nctaid", PTX_NCTAID}};
    a->type = 'w';
    if (n == 7 && memcmp(name, "%laneid", 7) == 0) {
        a->reg = PTX_LANEID;
        return true;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t k = strlen(all[i].name);
        if (n != k + 2 || memcmp(name, all[i].name, k) != 0 || name[k] != '.') continue;
        if (name[k + 1] < 'x' || name[k + 1] > 'z') return false;
        a->reg = all[i].reg + (name[k + 1] - 'x');
        return true;
    }
    return false;
}

static bool register_of(const Decoder *d, const char *name, size_t n, Arg *a) {
    size_t k = n;
    a->kind = ARG_REGISTER;
    while (k > 0 && isdigit((unsigned char)name[k - 1])) k--;
    uint64_t number = k < n ? strtoull(name + k, NULL, 10) : 0;
    for (unsigned i = d->n_ranges; i-- > 0;) {
        const RegRange *r = &d->range[i];
        size_t used = r->count > 0 ? k : n;
        if (r->length != used || memcmp(r->name, name, used) != 0) continue;
        if (r->count > 0 && number >= r->count) return false;
        a->type = r->type;
        a->reg = r->first + (int32_t)(r->count > 0 ? number : 0) * (r->type == 'd' ? 2 : 1);
        return true;
    }
    return special_register(name, n, a);
}

static PtxLanes spread(uint64_t x, char type) {
    PtxLanes l = {.u = {0}};
    uint32_t word = type == 'p' ? 0u - (uint32_t)(x != 0) : type == 'h' ? (uint16_t)x : (uint32_t)x;
    for (unsigned i = 0; i < PTX_LANES; i++) {
        if (type == 'd')
            l.U[i] = x;
        else
            l.u[i] = word;
    }
    return l;
}

/* Each constant once. */
static int32_t constant(Decoder *d, uint64_t x, char type) {
    PtxCode *c = d->c;
    PtxLanes l = spread(x, type);
    size_t bytes = type == 'd' ? sizeof l : PTX_UNIT;
    uint32_t at = hash_of((const char *)l.u, 12) % CONSTANTS;
    for (; d->constant[at] != 0; at = (at + 1) % CONSTANTS)
        if (memcmp(&c->constants[d->constant[at] - 1], &l, bytes) == 0)
            return ~(int32_t)(d->constant[at] - 1);
    PtxLanes *all = c->constants;
    if (c->n_constants == CONSTANTS - 1) { /* one place stays free, where looking ends */
        emu_say(d->k->image->emu, "kernel %s: more than %d constants", d->k->name, CONSTANTS - 1);
        d->has_memory = false;
        return 0;
    }
    if (c->n_constants == d->constant_cap) {
        size_t more = d->constant_cap == 0 ? 64 : 2 * d->constant_cap;
        all = aligned_alloc(64, more * sizeof *all);
        if (all == NULL) {
            d->has_memory = false;
            return 0;
        }
        if (c->n_constants > 0) memcpy(all, c->constants, c->n_constants * sizeof *all);
        free(c->constants);
        c->constants = all;
        d->constant_cap = more;
    }
    all[c->n_constants] = l;
    d->constant[at] = ++c->n_constants;
    return ~(int32_t)(c->n_constants - 1);
}

/* ---- operands as written --------------------------------------------------------------------- */

/* A variable's address: of local memory from 0 on, of the module where it is. */
static bool address_of(const Decoder *d, const char *name, size_t n, uint64_t *at) {
    for (uint32_t i = 0; i < d->c->n_shared; i++) {
        const PtxShared *v = &d->c->shared[i];
        if (v->length != n || memcmp(v->name, name, n) != 0) continue;
        *at = v->at;
        return true;
    }
    const EmuImage *m = d->k->image;
    for (size_t i = 0; i < m->n_symbols; i++) {
        const Symbol *v = &m->symbols[i];
        if (strlen(v->name) != n || memcmp(v->name, name, n) != 0) continue;
        *at = (uint64_t)(uintptr_t)m->memory + v->value;
        return true;
    }
    return false;
}

/* "+16", "+-16" or nothing. */
static bool plus(Decoder *d, uint64_t *out) {
    *out = 0;
    return !ptx_take(&d->s, "+") || ptx_number(&d->s, out);
}

static bool read_name(Decoder *d, Arg *a) {
    ptx_blank(&d->s);
    a->name = d->s.at;
    a->length = ptx_word(d->s.at);
    d->s.at += a->length;
    return a->length > 0;
}

static bool memory_arg(Decoder *d, Arg *a) {
    bool good = true;
    if (!ptx_number(&d->s, &a->number)) {
        good = read_name(d, a);
        if (good && *a->name == '%') {
            good = register_of(d, a->name, a->length, a) && a->type == 'd';
            a->has_base = true;
        }
        good = good && plus(d, &a->number);
    }
    a->kind = ARG_MEMORY;
    return good && ptx_take(&d->s, "]");
}

static bool plain_arg(Decoder *d, Arg *a) {
    if (ptx_number(&d->s, &a->number)) {
        a->kind = ARG_NUMBER;
        return true;
    }
    if (!read_name(d, a)) return false;
    if (register_of(d, a->name, a->length, a)) return true;
    if (*a->name == '%') return false;
    uint64_t at, more;
    a->kind = ARG_NAME;
    if (!address_of(d, a->name, a->length, &at)) return true; /* a label */
    if (!plus(d, &more)) return false;
    a->number = at + more;
    a->kind = ARG_NUMBER;
    return true;
}

static bool read_args(Decoder *d, Line *l) {
    bool in_list = false, is_first = true;
    for (;;) {
        if (ptx_take(&d->s, ";")) return !in_list;
        if (ptx_take(&d->s, ",") || ptx_take(&d->s, "|")) {
            if (!in_list) is_first = false;
            continue;
        }
        if (ptx_take(&d->s, "{") || ptx_take(&d->s, "}")) {
            in_list = !in_list;
            continue;
        }
        if (l->n == MAX_ARGS) return false;
        Arg *a = &l->arg[l->n++];
        *a = (Arg){0};
        bool good = ptx_take(&d->s, "[") ? memory_arg(d, a) : plain_arg(d, a);
        if (!good) return false;
        l->n_first += is_first;
    }
}

/* ---- instructions ---------------------------------------------------------------------------- */

static bool set_arg(Decoder *d, PtxInst *in, const Arg *a, char type) {
    int32_t *to = &in->arg[in->n_arg];
    if (type == 'l') {
        if (a->kind != ARG_NAME) return false;
        Jump *all = grown(d, d->jumps, d->n_jumps, &d->jump_cap, sizeof *all);
        if (all == NULL) return false;
        d->jumps = all;
        all[d->n_jumps++] = (Jump){a->name, a->length, in->index};
        return true;
    }
    if (type == '0') return a->kind == ARG_NUMBER && a->number == 0;
    if (in->n_arg == PTX_MAX_OPERANDS) return false;
    in->n_arg++;
    if (a->kind == ARG_REGISTER) {
        *to = a->reg;
        return a->type == type;
    }
    if (a->kind != ARG_NUMBER || in->n_arg <= in->n_dst) return false;
    *to = constant(d, a->number, type);
    return true;
}

static bool set_typed(Decoder *d, PtxInst *in, const Line *l) {
    const char *types = in->op->types, *sources = strchr(types, '=') + 1;
    in->n_dst = (uint8_t)(sources - 1 - types);
    in->n_arg = 0;
    if (l->n != strlen(types) - 1) return false;
    for (unsigned i = 0; i < l->n; i++)
        if (!set_arg(d, in, &l->arg[i], i < in->n_dst ? types[i] : sources[i - in->n_dst]))
            return false;
    in->exec = in->op->exec;
    in->lanes = in->op->lanes;
    in->kind = in->op->kind;
    return true;
}

/* Moves with a list of registers on either side have rows of their own: "mov.b32 from 2". */
static size_t row_name(const Line *l, char *name, size_t room) {
    bool is_plain = l->n == 2 || strncmp(l->name, "mov.", 4) != 0;
    bool joins = l->n_first == 1;
    int n = is_plain ? snprintf(name, room, "%.*s", (int)l->length, l->name)
                     : snprintf(name, room, "%.*s %s %u", (int)l->length, l->name,
                                joins ? "from" : "into", l->n - 1);
    return (size_t)n < room ? (size_t)n : 0;
}

static bool set_row(Decoder *d, PtxInst *in, const Line *l) {
    char name[100];
    size_t n = row_name(l, name, sizeof name);
    uint32_t at = hash_of(name, n) % INDEX;
    while ((in->op = op_of(d, name, n, &at)) != NULL)
        if (set_typed(d, in, l)) return true;
    return false;
}

/* ---- loads and stores ------------------------------------------------------------------------ */

static bool word_of(const char **at, const char *end, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(end - *at) < n || memcmp(*at, word, n) != 0) return false;
    if ((size_t)(end - *at) > n && (*at)[n] != '.') return false;
    *at += n;
    return true;
}

/* "ld.global.nc.v4.f32": what of it there is. */
static bool memory_name(const Line *l, PtxMemory *m) {
    const char *at = l->name, *end = at + l->length;
    m->is_store = word_of(&at, end, "st");
    if (!m->is_store && !word_of(&at, end, "ld")) return false;
    if (word_of(&at, end, ".param"))
        m->space = PTX_SPACE_PARAM;
    else if (word_of(&at, end, ".global"))
        m->space = PTX_SPACE_GLOBAL;
    else if (word_of(&at, end, ".shared"))
        m->space = PTX_SPACE_SHARED;
    else
        return false;
    m->is_read_only = m->space == PTX_SPACE_GLOBAL && !m->is_store && word_of(&at, end, ".nc");
    m->count = word_of(&at, end, ".v2") ? 2 : word_of(&at, end, ".v4") ? 4 : 1;
    m->size = (uint8_t)ptx_type_bytes(at);
    m->is_signed = at[0] == '.' && at[1] == 's';
    return m->size > 0 && at + ptx_word(at) == end && m->size * m->count <= 16 &&
           !(m->is_store && m->space == PTX_SPACE_PARAM);
}

static bool set_place(Decoder *d, PtxInst *in, const Arg *a) {
    PtxMemory *m = &in->memory;
    if (a->kind != ARG_MEMORY) return false;
    m->offset = (int64_t)a->number;
    if (m->space == PTX_SPACE_PARAM) {
        const EmuArgument *p = a->length > 0 ? ptx_param(d->k, a->name, a->length) : NULL;
        uint64_t bytes = (uint64_t)m->size * m->count;
        if (p == NULL || a->number > p->size || p->size - a->number < bytes) return false;
        m->offset += p->offset;
        return m->offset % (int64_t)bytes == 0;
    }
    uint64_t base = 0;
    if (!a->has_base && a->length > 0 && !address_of(d, a->name, a->length, &base)) return false;
    in->arg[in->n_arg++] = a->has_base ? a->reg : constant(d, base, 'd');
    return true;
}

static char fitting(const PtxMemory *m, const Arg *a) {
    static const char letters[] = "hwd";
    unsigned bytes = a->type == 'h' ? 2 : a->type == 'w' ? 4 : 8;
    if (a->kind == ARG_NUMBER) return letters[m->size == 8 ? 2 : m->size == 4 ? 1 : 0];
    return a->type != 'p' && bytes >= m->size ? a->type : 0;
}

/* Destinations of a load or sources of a store, then the address. */
static bool set_memory(Decoder *d, PtxInst *in, const Line *l) {
    PtxMemory *m = &in->memory;
    if (l->n != m->count + 1u) return false;
    unsigned data = m->is_store ? 1 : 0;
    in->n_dst = m->is_store ? 0 : m->count;
    for (unsigned i = 0; i < m->count; i++) {
        char type = fitting(m, &l->arg[data + i]);
        if (type == 0 || type != fitting(m, &l->arg[data])) return false;
        if (!set_arg(d, in, &l->arg[data + i], type)) return false;
        m->is_wide = type == 'd';
        m->is_half = type == 'h';
    }
    in->exec = ptx_load_store;
    in->kind = m->space == PTX_SPACE_GLOBAL   ? PTX_GLOBAL
               : m->space == PTX_SPACE_SHARED ? PTX_LOCAL
                                              : PTX_SCALAR;
    return set_place(d, in, &l->arg[m->is_store ? 0 : m->count]);
}

/* ---- a line ---------------------------------------------------------------------------------- */

static PtxInst *append(Decoder *d) {
    PtxCode *c = d->c;
    PtxInst *all = grown(d, c->inst, d->k->code.n, &d->cap, sizeof *all);
    if (all == NULL) return NULL;
    c->inst = all;
    PtxInst *in = &all[d->k->code.n];
    *in = (PtxInst){
        .index = (uint32_t)d->k->code.n++, .guard = -1, .exec = ptx_not_known, .kind = PTX_SCALAR};
    return in;
}

static bool guarded(Decoder *d, PtxInst *in) {
    Arg a = {0};
    if (!ptx_take(&d->s, "@")) return true;
    in->is_negated = ptx_take(&d->s, "!");
    if (!read_name(d, &a) || !register_of(d, a.name, a.length, &a) || a.type != 'p') return false;
    in->guard = a.reg;
    return true;
}

static bool build(Decoder *d, PtxInst *in, Line *l) {
    if (!guarded(d, in)) return false;
    ptx_blank(&d->s);
    l->name = d->s.at;
    l->length = ptx_word(d->s.at);
    d->s.at += l->length;
    if (!read_args(d, l)) return false;
    if (memory_name(l, &in->memory)) {
        if (!set_memory(d, in, l)) return false;
    } else if (!set_row(d, in, l)) {
        return false;
    }
    if (in->guard >= 0 && !(in->op != NULL && in->op->row == PTX_GUARDS)) {
        if (in->op != NULL && in->op->row == PTX_MEETS) return false;
        in->inner = in->exec;
        in->exec = ptx_guarded;
    }
    if (in->kind == PTX_BARRIER) in->number = d->k->code.n_barriers++;
    return true;
}

static void instruction(Decoder *d) {
    PtxInst *in = append(d);
    if (in == NULL) return;
    PtxScan start = d->s;
    in->text = start.at;
    in->line = start.line;
    Line l = {0};
    if (!build(d, in, &l)) {
        in->exec = ptx_not_known;
        in->guard = -1;
        d->s = start;
        ptx_statement(&d->s);
    }
    in->text_bytes = (uint32_t)(d->s.at - start.at);
    while (in->text_bytes > 0 && in->text[in->text_bytes - 1] == ';') in->text_bytes--;
}

static void add_label(Decoder *d, size_t length) {
    Label *all = grown(d, d->labels, d->n_labels, &d->label_cap, sizeof *all);
    if (all == NULL) return;
    d->labels = all;
    all[d->n_labels++] = (Label){d->s.at, length, (uint32_t)d->k->code.n};
}

/* What is declared in a scope is known there. */
static bool scope(Decoder *d) {
    if (*d->s.at++ == '{') {
        if (d->n_scopes == MAX_SCOPES) return false;
        d->outside[d->n_scopes++] = d->n_ranges;
        return true;
    }
    if (d->n_scopes == 0) return false;
    d->n_ranges = d->outside[--d->n_scopes];
    return true;
}

/* A label, a declaration, or an instruction; false: the body's end. */
static bool next(Decoder *d) {
    ptx_blank(&d->s);
    if (*d->s.at == '\0' || !d->has_memory) return false;
    if (*d->s.at == '{' || *d->s.at == '}') return scope(d);
    size_t n = ptx_word(d->s.at);
    if (n > 0 && d->s.at[n] == ':') {
        add_label(d, n);
        d->s.at += n + 1;
    } else if (ptx_take(&d->s, ".reg")) {
        declare(d);
    } else if (*d->s.at == '.') {
        ptx_statement(&d->s); /* .shared is known already, .pragma is for the assembler */
    } else {
        instruction(d);
    }
    return true;
}

static void link_jumps(Decoder *d) {
    for (size_t i = 0; i < d->n_jumps; i++) {
        const Jump *j = &d->jumps[i];
        PtxInst *in = &d->c->inst[j->from];
        size_t k = 0;
        while (k < d->n_labels && (d->labels[k].length != j->length ||
                                   memcmp(d->labels[k].name, j->name, j->length) != 0))
            k++;
        if (k < d->n_labels)
            in->target = d->labels[k].at;
        else
            in->exec = ptx_not_known;
    }
}

bool ptx_decode(EmuKernel *k) {
    Decoder *d = calloc(1, sizeof *d);
    if (d == NULL) return false;
    PtxCode *c = k->ptx;
    k->code = (Function){0};
    c->n_constants = 0;
    c->n_registers = PTX_SPECIALS;
    d->k = k;
    d->c = c;
    d->s = (PtxScan){c->body, c->line};
    d->has_memory = true;
    index_ops(d);
    while (next(d)) {
    }
    PtxInst *end = d->has_memory ? append(d) : NULL;
    if (end != NULL) {
        static const char text[] = "the end of the kernel's code, without ret";
        end->text = text;
        end->text_bytes = sizeof text - 1;
        link_jumps(d);
    }
    bool good = end != NULL && d->has_memory;
    free(d->labels);
    free(d->jumps);
    free(d);
    if (!good) ptx_forget(c);
    return good;
}

void ptx_forget(PtxCode *c) {
    free(c->inst);
    free(c->constants);
    c->inst = NULL;
    c->constants = NULL;
}
