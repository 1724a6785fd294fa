/* From code to instructions that run: each is disassembled once, its line taken apart (text.c), its
 * name looked up (ops.c), and its operands laid out as the row's types say:
 *
 *   u i f x s   a register of 32 bits (s: scalar)      q l d F   a pair
 *   h w j       16 bits of one                          H         two halves of one
 *   m           a mask of lanes: one scalar register, two with 64 lanes
 *   +           the destination, read as well           k         the 16 bits of the instruction
 *   v           VCC, which the text does not name */
#include "valu.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- memory of a function -------------------------------------------------------------------- */

typedef struct Chunk {
    struct Chunk *next;
    size_t used, bytes;
    _Alignas(64) uint8_t data[];
} Chunk;

static void *take(Function *f, size_t bytes, size_t align) {
    Chunk *c = f->memory;
    size_t at = c == NULL ? 0 : (c->used + align - 1) & ~(align - 1);
    if (c == NULL || at + bytes > c->bytes) {
        size_t n = bytes > 65536 ? bytes : 65536;
        c = aligned_alloc(64, (sizeof *c + n + 63) & ~(size_t)63);
        if (c == NULL) return NULL;
        *c = (Chunk){f->memory, 0, n};
        f->memory = c;
        at = 0;
    }
    c->used = at + bytes;
    return c->data + at;
}

void function_release(Function *f) {
    for (Chunk *c = f->memory, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    free(f->inst);
    *f = (Function){0};
}

/* ---- one instruction ------------------------------------------------------------------------- */

typedef struct Decoder {
    Emu *emu;
    const EmuKernel *kernel;
    Function *f;
    Inst *in;
    const Text *t;
    uint32_t raw; /* the first word */
    bool has_memory;
} Decoder;

void exec_unknown(Wave *w, const Inst *in) {
    wave_fault(w, in, -1, "this instruction is not emulated");
}

static void exec_beyond(Wave *w, const Inst *in) {
    wave_fault(w, in, -1, "it names a register beyond those the kernel asked for");
}

static bool is_small_type(char type) { return type == 'h' || type == 'w' || type == 'j'; }

static bool set_constant(Decoder *d, unsigned k, const Operand *o, Slot *s) {
    if (!constant_bits(d->in, o, k, s->type, &s->bits)) return false;
    if (d->in->op->kind != K_VALU) return true;
    Lanes *lane = take(d->f, 2 * sizeof *lane, 64);
    if (lane == NULL) {
        d->has_memory = false;
        return false;
    }
    for (unsigned i = 0; i < MAX_LANES; i++) {
        lane[0].u[i] = (uint32_t)s->bits;
        lane[1].u[i] = (uint32_t)(s->bits >> 32);
    }
    s->lane = lane;
    return true;
}

/* An operand of the text as source k (k < 0: a destination). */
static bool set_slot(Decoder *d, int k, const Operand *o, char type, Slot *s) {
    *s = (Slot){.kind = o->kind,
                .type = type,
                .reg = o->reg,
                .count = o->count,
                .neg = o->neg,
                .abs = o->abs,
                .sext = o->sext};
    if (o->kind == O_CONST) return k >= 0 && set_constant(d, (unsigned)k, o, s);
    if (type == 'm' || type == 's') return o->kind == O_SCALAR;
    if (is_wide(type) && o->kind != O_OFF && o->count != 2) return false;
    return true;
}

static void set_vcc(const Decoder *d, Slot *s) {
    uint8_t count = d->emu->processor->lanes == 64 ? 2 : 1;
    *s = (Slot){.kind = O_SCALAR, .type = 'm', .reg = S_VCC, .count = count};
}

/* The scalar register of SOP1 and SOPK, which has one place for it. */
static void set_raw_scalar(const Decoder *d, char type, Slot *s) {
    uint16_t reg = (uint16_t)(d->raw >> 16 & 127u);
    if (d->emu->processor->is_gfx11 && (reg == 124 || reg == 125)) reg = reg == 124 ? S_NULL : S_M0;
    *s = (Slot){.kind = O_SCALAR, .type = type, .reg = reg, .count = type == 'q' ? 2 : 1};
}

/* ---- operands as the row says ---------------------------------------------------------------- */

static bool set_control(Decoder *d) {
    const char *types = d->in->op->types;
    for (; *types != '\0' && *types != '='; types++)
        set_raw_scalar(d, *types, &d->in->dst[d->in->n_dst++]);
    if (*types == '=') types++;
    for (; *types != '\0'; types++) {
        Slot *s = &d->in->src[d->in->n_src++];
        if (*types == 'v')
            set_vcc(d, s);
        else
            set_raw_scalar(d, *types, s);
    }
    return true;
}

static bool set_source(Decoder *d, char type, unsigned *at) {
    Inst *in = d->in;
    int k = in->n_src;
    Slot *s = &in->src[in->n_src++];
    if (type == '+') {
        *s = in->dst[0];
        return true;
    }
    if (type == 'k') {
        *s = (Slot){.kind = O_CONST, .type = 'u', .bits = (uint32_t)in->imm};
        return true;
    }
    if (*at < d->t->n) return set_slot(d, k, &d->t->operand[(*at)++], type, s);
    if (type != 'm') return false;
    set_vcc(d, s);
    return true;
}

static bool set_typed(Decoder *d) {
    Inst *in = d->in;
    const char *types = in->op->types, *middle = strchr(types, '=');
    unsigned at = 0, sources = (unsigned)strlen(middle + 1);
    if (in->op->flags & F_ACCUMULATES) sources--;
    bool has_result = !in->is_cmpx || d->t->n > sources;
    for (const char *p = types; p < middle && has_result; p++) {
        const Operand *o = &d->t->operand[at++];
        if (at > d->t->n || o->kind == O_CONST || !set_slot(d, -1, o, *p, &in->dst[in->n_dst++]))
            return false;
        if (in->op->kind == K_VALU && *p != 'm' && o->kind != O_VECTOR) return false;
    }
    for (unsigned k = 0; k < sources; k++) {
        char type = middle[1 + k];
        if (type == 'k') at++; /* it stands in the text as well */
        if (!set_source(d, type, &at)) return false;
    }
    if (in->op->flags & F_ACCUMULATES) {
        in->src[in->n_src] = in->dst[0];
        in->src[in->n_src++].type = middle[1 + sources];
    }
    return at == d->t->n;
}

/* The order of memory's operands: which of the text is destination, address, base, data, and more
 * data or an offset; -1: none. */
static bool set_memory(Decoder *d, int dst, int address, int base, int data, int more) {
    Inst *in = d->in;
    const int index[4] = {address, base, data, more};
    for (unsigned k = 0; k < 4; k++) {
        in->src[k] = (Slot){.kind = O_NONE};
        if (index[k] < 0) continue;
        if (index[k] >= (int)d->t->n ||
            !set_slot(d, (int)k, &d->t->operand[index[k]], 'u', &in->src[k]))
            return false;
    }
    in->n_src = 4;
    if (dst >= 0 && !set_slot(d, -1, &d->t->operand[dst], 'u', &in->dst[in->n_dst++])) return false;
    return true;
}

static bool set_lds(Decoder *d) {
    uint32_t flags = d->in->op->flags;
    int n = (int)d->t->n, first = (flags & F_LOAD) || strstr(d->in->op->name, "_rtn_") != NULL;
    int dst = first ? 0 : -1, data = n > first + 1 ? first + 1 : -1,
        more = n > first + 2 ? first + 2 : -1;
    if ((flags & F_LOAD) ? n != 2 : data < 0) return false;
    return set_memory(d, dst, first, -1, data, more);
}

static bool set_access(Decoder *d) {
    uint32_t flags = d->in->op->flags;
    int n = (int)d->t->n;
    switch (d->in->op->kind) {
    case K_SMEM:
        if (n == 1) return set_memory(d, 0, -1, -1, -1, -1);
        return n == 3 && set_memory(d, 0, 1, 2, -1, -1);
    case K_BUFFER:
        if (n != 4) return false;
        if (flags & F_LOAD) return set_memory(d, 0, 1, 2, -1, 3);
        return set_memory(d, (flags & F_ATOMIC) && d->in->mod.returns ? 0 : -1, 1, 2, 0, 3);
    case K_LDS: return set_lds(d);
    default:
        if (flags & F_LOAD) return n == 3 && set_memory(d, 0, 1, 2, -1, -1);
        if (n == 4) return (flags & F_ATOMIC) && set_memory(d, 0, 1, 3, 2, -1);
        return n == 3 && set_memory(d, -1, 0, 2, 1, -1);
    }
}

static bool set_matrix(Decoder *d) {
    Inst *in = d->in;
    const Modifiers *m = &in->mod;
    if (d->t->n != 4 || m->blgp || m->cbsz || m->abid || m->neg_hi) return false;
    if (m->neg_lo && strstr(in->op->name, "_iu") == NULL) return false;
    if (!set_slot(d, -1, &d->t->operand[0], 'u', &in->dst[0])) return false;
    in->n_dst = 1;
    for (int k = 0; k < 3; k++)
        if (!set_slot(d, k, &d->t->operand[k + 1], 'u', &in->src[k])) return false;
    in->n_src = 3;
    return in->src[0].kind == O_VECTOR && in->src[1].kind == O_VECTOR;
}

/* ---- what it reads --------------------------------------------------------------------------- */

static unsigned words_of(const Decoder *d, const Slot *s) {
    if (s->type == 'm') return d->emu->processor->lanes / 32;
    if (d->in->op->kind == K_VALU || d->in->op->kind == K_SALU || d->in->op->kind == K_CROSS)
        return is_wide(s->type) || s->type == 'q' ? 2 : 1;
    return s->count;
}

static void add_range(const Decoder *d, const Slot *s, unsigned k) {
    Inst *in = d->in;
    Range r = {s->reg, (uint16_t)words_of(d, s)};
    if (s->type == 'F') {
        unsigned low = (unsigned)in->mod.op_sel >> k & 1u;
        unsigned high = (unsigned)in->mod.op_sel_hi >> k & 1u;
        if (low == high) r = (Range){(uint16_t)(s->reg + low), 1};
    }
    if (s->kind == O_VECTOR && in->n_reads < MAX_RANGES) in->reads[in->n_reads++] = r;
    if (s->kind == O_SCALAR && s->reg != S_NULL && in->n_scalar_reads < MAX_RANGES)
        in->scalar_reads[in->n_scalar_reads++] = r;
}

static bool has_register(const Decoder *d, const Slot *s, unsigned words) {
    if (s->kind != O_VECTOR) return true;
    if (s->reg >= FIRST_AGPR) return s->reg - FIRST_AGPR + words <= d->kernel->next_agpr;
    return s->reg + words <= d->kernel->next_vector;
}

static bool registers_exist(const Decoder *d) {
    const Inst *in = d->in;
    for (unsigned k = 0; k < in->n_src; k++)
        if (!has_register(d, &in->src[k], words_of(d, &in->src[k]))) return false;
    for (unsigned k = 0; k < in->n_dst; k++)
        if (!has_register(d, &in->dst[k], words_of(d, &in->dst[k]))) return false;
    return true;
}

/* ---- which executor -------------------------------------------------------------------------- */

static bool is_plain(const Inst *in) {
    const Modifiers *m = &in->mod;
    if (m->clamp || m->omod || m->has_dpp || m->has_sdwa) return false;
    for (unsigned k = 0; k < in->n_dst; k++)
        if (is_small_type(in->dst[k].type)) return false;
    for (unsigned k = 0; k < in->n_src; k++) {
        const Slot *s = &in->src[k];
        if (s->neg || s->abs || s->sext || s->type == 'x' || s->kind == O_SCC || s->kind == O_OFF)
            return false;
        if ((m->neg_lo | m->neg_hi) >> k & 1) return false;
        if (is_small_type(s->type) && m->op_sel >> k & 1) return false;
        if (s->type == 'H' && ((m->op_sel >> k & 1) || !(m->op_sel_hi >> k & 1))) return false;
    }
    return true;
}

/* Rows of whole numbers that saturate are rows of their own. */
static const Op *find_op(Decoder *d) {
    char name[64];
    const char *text = d->t->name;
    d->in->is_cmpx = strncmp(text, "v_cmpx_", 7) == 0;
    if (d->in->is_cmpx)
        snprintf(name, sizeof name, "v_cmp_%s", text + 7);
    else if (strncmp(text, "v_dual_", 7) == 0)
        snprintf(name, sizeof name, "v_%s", text + 7);
    else
        snprintf(name, sizeof name, "%s", text);
    const Op *op = op_find(d->emu->ops, name);
    if (op == NULL || !d->t->mod.clamp || op->kind != K_VALU) return op;
    char type = op->types[0];
    bool is_float =
        type == 'f' || type == 'F' || type == 'd' || type == 'h' || strstr(name, "f16") != NULL;
    if (is_float) return op;
    strncat(name, "_clamp", sizeof name - strlen(name) - 1);
    d->in->mod.clamp = false;
    return op_find(d->emu->ops, name);
}

static bool modifiers_fit(const Inst *in) {
    const Modifiers *m = &in->mod;
    bool is_valu = in->op->kind == K_VALU;
    if ((m->has_dpp || m->has_sdwa || m->omod) && !is_valu) return false;
    if (m->clamp && !is_valu && in->op->kind != K_MATRIX) return false;
    if (m->omod && strchr("fFdhH", in->op->types[0]) == NULL && strstr(in->op->name, "f16") == NULL)
        return false;
    if (m->offen || m->idxen || m->lds) return in->op->kind == K_BUFFER;
    return true;
}

static bool set_operands(Decoder *d) {
    switch (d->in->op->kind) {
    case K_CONTROL: return set_control(d);
    case K_VALU:
    case K_SALU:
    case K_CROSS: return set_typed(d);
    case K_MATRIX: return set_matrix(d);
    default: return set_access(d);
    }
}

static bool set_dpp(Decoder *d) {
    Inst *in = d->in;
    if (!in->mod.has_dpp) return true;
    int8_t *from = take(d->f, MAX_LANES, 1);
    if (from == NULL) {
        d->has_memory = false;
        return false;
    }
    dpp_lanes(&in->mod, d->emu->processor->lanes, from);
    in->dpp_from = from;
    for (unsigned i = 0; i < MAX_LANES; i++)
        if ((in->mod.row_mask >> i / 16 & 1) && (in->mod.bank_mask >> i % 16 / 4 & 1))
            in->dpp_lanes |= (uint64_t)1 << i;
    return true;
}

/* Fills d->in from d->t; false: it is not understood. */
static bool build(Decoder *d, bool is_parsed) {
    Inst *in = d->in;
    in->mod = d->t->mod;
    const Op *op = in->op = find_op(d);
    if (op == NULL || (!is_parsed && op->kind != K_CONTROL)) return false;
    bool is_mix = strchr(op->types, 'x') != NULL;
    if (!in->mod.has_op_sel_hi) in->mod.op_sel_hi = is_mix ? 0 : 0xff;
    if (op->kind != K_CONTROL && !modifiers_fit(in)) return false;
    if (!set_operands(d) || !set_dpp(d)) return false;
    for (unsigned k = 0; k < in->n_src; k++) add_range(d, &in->src[k], k);
    in->is_plain = op->kind == K_VALU && is_plain(in);
    in->exec = op->kind != K_VALU ? op->exec : in->is_plain ? exec_plain : exec_valu;
    if (!registers_exist(d)) in->exec = exec_beyond;
    return true;
}

static bool build_dual(Decoder *d, char *line) {
    Text second;
    Inst *first = d->in, *other = take(d->f, sizeof *other, 16);
    char *middle = strstr(line, " :: ");
    if (other == NULL) {
        d->has_memory = false;
        return false;
    }
    *middle = '\0';
    Text text;
    bool good = text_parse(line, &text);
    d->t = &text;
    if (!good || !build(d, true)) return false;
    *other = *first;
    other->n_dst = other->n_src = other->n_reads = other->n_scalar_reads = 0;
    d->in = other;
    d->t = &second;
    good = text_parse(middle + 4, &second) && build(d, true);
    d->in = first;
    if (!good) return false;
    if (first->exec != exec_beyond)
        first->exec = other->exec == exec_beyond ? exec_beyond : exec_dual;
    first->dual = other;
    return true;
}

static void count_barrier(Decoder *d) {
    if (d->in->op->flags & F_BARRIER) d->in->literal = d->f->n_barriers++;
}

static void decode_one(Decoder *d, const uint8_t *code, char *line) {
    Text t;
    Inst *in = d->in;
    memcpy(&d->raw, code, 4);
    in->imm = (int16_t)(uint16_t)d->raw;
    if (in->bytes >= 8) memcpy(&in->literal, code + 4, 4);
    d->t = &t;
    bool good;
    if (strstr(line, " :: ") != NULL) {
        good = build_dual(d, line);
    } else {
        bool is_parsed = text_parse(line, &t);
        good = build(d, is_parsed);
    }
    if (!good) {
        in->exec = exec_unknown;
        in->n_dst = in->n_src = 0;
        return;
    }
    count_barrier(d);
    bool is_global = in->op->kind == K_GLOBAL || in->op->kind == K_BUFFER;
    if (is_global && (in->op->flags & F_ATOMIC)) d->f->has_global_atomics = true;
}

/* ---- a function ------------------------------------------------------------------------------ */

static bool append(Function *f, size_t *cap, Inst **out) {
    if (f->n == *cap) {
        size_t n = *cap == 0 ? 512 : 2 * *cap;
        Inst *more = realloc(f->inst, n * sizeof *more);
        if (more == NULL) return false;
        f->inst = more;
        *cap = n;
    }
    *out = &f->inst[f->n];
    memset(*out, 0, sizeof **out);
    (*out)->index = (uint32_t)f->n++;
    return true;
}

static const Inst *at_address(const Function *f, uint64_t address) {
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->inst[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->n && f->inst[low].address == address ? &f->inst[low] : NULL;
}

static void link_branches(Function *f) {
    for (size_t i = 0; i < f->n; i++) {
        Inst *in = &f->inst[i];
        if (in->op == NULL || in->op->kind != K_CONTROL) continue;
        if (strncmp(in->op->name, "s_branch", 8) != 0 && strncmp(in->op->name, "s_cbranch", 9) != 0)
            continue;
        in->target = at_address(f, in->address + 4 + (uint64_t)((int64_t)in->imm * 4));
    }
}

static bool decode_next(Decoder *d, size_t *cap, uint64_t at) {
    char line[512];
    const uint8_t *code = (const uint8_t *)(uintptr_t)at;
    if (!append(d->f, cap, &d->in)) return false;
    size_t n = disassemble(d->emu, code, (size_t)(d->f->end - at), at, line, sizeof line);
    d->in->address = at;
    d->in->bytes = (uint8_t)(n == 0 ? 4 : n);
    if (n == 0) {
        uint32_t word;
        memcpy(&word, code, 4);
        snprintf(line, sizeof line, "0x%08x, which is no instruction", word);
    }
    char *text = take(d->f, strlen(line) + 1, 1);
    if (text == NULL) return false;
    strcpy(text, line);
    d->in->text = text;
    if (n == 0)
        d->in->exec = exec_unknown;
    else
        decode_one(d, code, line);
    return d->has_memory;
}

/* Behind the last instruction stands one that says so. */
static bool append_end(Decoder *d, size_t *cap) {
    if (!append(d->f, cap, &d->in)) return false;
    d->in->address = d->f->end;
    d->in->bytes = 4;
    d->in->exec = exec_unknown;
    d->in->text = "the end of the kernel's code, without s_endpgm";
    return true;
}

bool function_decode(Emu *emu, const EmuKernel *kernel, Function *f) {
    size_t cap = 0;
    *f = (Function){.start = kernel->entry, .end = kernel->entry + kernel->code_bytes};
    Decoder d = {.emu = emu, .kernel = kernel, .f = f, .has_memory = true};
    for (uint64_t at = f->start; at + 4 <= f->end; at += d.in->bytes)
        if (!decode_next(&d, &cap, at)) {
            function_release(f);
            return false;
        }
    if (!append_end(&d, &cap)) {
        function_release(f);
        return false;
    }
    link_branches(f);
    return true;
}
