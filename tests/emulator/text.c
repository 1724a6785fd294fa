/* One line of disassembly taken apart: "name operand, operand, ... modifier modifier". What is not
 * understood makes the whole line not understood, so that nothing is dropped silently. */
#include "wave.h"

#include <stdlib.h>

typedef struct Cursor {
    const char *at;
    bool is_bad;
} Cursor;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool take(Cursor *c, const char *word) {
    size_t n = strlen(word);
    if (strncmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

static long number(Cursor *c) {
    char *end;
    unsigned long long x = strtoull(c->at + (*c->at == '-'), &end, 0);
    bool is_negative = *c->at == '-';
    if (end == c->at + is_negative) c->is_bad = true;
    c->at = end;
    return is_negative ? -(long)x : (long)x;
}

/* ---- operands -------------------------------------------------------------------------------- */

typedef struct Named {
    const char *name;
    uint8_t kind, count;
    uint16_t reg;
} Named;

static const Named named[] = {
    {"vcc", O_SCALAR, 2, S_VCC},
    {"vcc_lo", O_SCALAR, 1, S_VCC},
    {"vcc_hi", O_SCALAR, 1, S_VCC + 1},
    {"exec", O_SCALAR, 2, S_EXEC},
    {"exec_lo", O_SCALAR, 1, S_EXEC},
    {"exec_hi", O_SCALAR, 1, S_EXEC + 1},
    {"m0", O_SCALAR, 1, S_M0},
    {"null", O_SCALAR, 1, S_NULL},
    {"off", O_OFF, 0, 0},
    {"scc", O_SCC, 1, 0},
    {"src_scc", O_SCC, 1, 0},
    {"flat_scratch", O_SCALAR, 2, 102},
    {"flat_scratch_lo", O_SCALAR, 1, 102},
    {"flat_scratch_hi", O_SCALAR, 1, 103},
    {"xnack_mask", O_SCALAR, 2, 104},
    {"xnack_mask_lo", O_SCALAR, 1, 104},
    {"xnack_mask_hi", O_SCALAR, 1, 105},
};

static bool parse_named(const char *text, size_t n, Operand *o) {
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strlen(named[i].name) == n && memcmp(named[i].name, text, n) == 0) {
            o->kind = named[i].kind;
            o->count = named[i].count;
            o->reg = named[i].reg;
            return true;
        }
    return false;
}

/* v7, s[2:5], a[0:15], ttmp4 */
static bool parse_register(const char *text, size_t n, Operand *o) {
    unsigned base, limit;
    Cursor c = {text, false};
    o->kind = O_SCALAR;
    if (take(&c, "ttmp"))
        base = S_TTMP, limit = 16;
    else if (take(&c, "v"))
        base = 0, limit = 256, o->kind = O_VECTOR;
    else if (take(&c, "a"))
        base = FIRST_AGPR, limit = 256, o->kind = O_VECTOR;
    else if (take(&c, "s"))
        base = 0, limit = S_VCC;
    else
        return false;
    long first, last;
    if (take(&c, "[")) {
        first = number(&c);
        last = take(&c, ":") ? number(&c) : first;
        if (!take(&c, "]")) return false;
    } else {
        if (!is_digit(*c.at)) return false;
        first = last = number(&c);
    }
    if (c.is_bad || c.at != text + n || first < 0 || last < first || last >= (long)limit)
        return false;
    o->reg = (uint16_t)(base + (unsigned)first);
    o->count = (uint8_t)(last - first + 1);
    return true;
}

static bool parse_constant(const char *text, size_t n, Operand *o) {
    char copy[40], *end;
    if (n == 0 || n >= sizeof copy) return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    o->kind = O_CONST;
    if (strchr(copy, '.') != NULL) {
        o->is_real = true;
        o->real = strtod(copy, &end);
    } else {
        bool is_negative = copy[0] == '-';
        o->is_literal = strncmp(copy + is_negative, "0x", 2) == 0;
        unsigned long long x = strtoull(copy + is_negative, &end, 0);
        o->integer = is_negative ? (int64_t)(0 - x) : (int64_t)x;
        if (end == copy + is_negative) return false;
    }
    return *end == '\0';
}

/* A word in brackets behind a name: -, |x|, neg(x), sext(x). */
static bool parse_operand(const char *text, size_t n, Operand *o) {
    *o = (Operand){0};
    for (bool more = true; more && n > 0;) {
        more = false;
        if (text[0] == '-' && n > 1 && !is_digit(text[1])) {
            o->neg = true, text++, n--, more = true;
        } else if (text[0] == '|' && n > 2 && text[n - 1] == '|') {
            o->abs = true, text++, n -= 2, more = true;
        } else if (n > 5 && strncmp(text, "neg(", 4) == 0 && text[n - 1] == ')') {
            o->neg = true, text += 4, n -= 5, more = true;
        } else if (n > 5 && strncmp(text, "abs(", 4) == 0 && text[n - 1] == ')') {
            o->abs = true, text += 4, n -= 5, more = true;
        } else if (n > 6 && strncmp(text, "sext(", 5) == 0 && text[n - 1] == ')') {
            o->sext = true, text += 5, n -= 6, more = true;
        }
    }
    if (parse_named(text, n, o) || parse_register(text, n, o)) return true;
    return parse_constant(text, n, o);
}

/* ---- modifiers ------------------------------------------------------------------------------- */

/* [0,1,1] as a mask. */
static uint8_t bit_list(Cursor *c) {
    unsigned mask = 0, k = 0;
    if (!take(c, "[")) c->is_bad = true;
    do mask |= (unsigned)(number(c) & 1) << (k++ & 7);
    while (!c->is_bad && take(c, ","));
    if (!take(c, "]")) c->is_bad = true;
    return (uint8_t)mask;
}

static void byte_list(Cursor *c, uint8_t *out, unsigned n) {
    if (!take(c, "[")) c->is_bad = true;
    for (unsigned k = 0; k < n && !c->is_bad; k++) {
        if (k > 0 && !take(c, ",")) c->is_bad = true;
        out[k] = (uint8_t)number(c);
    }
    if (!take(c, "]")) c->is_bad = true;
}

static uint8_t select_word(Cursor *c) {
    static const char *const words[] = {"BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3",
                                        "WORD_0", "WORD_1", "DWORD"};
    for (uint8_t i = 0; i < 7; i++)
        if (take(c, words[i])) return i;
    c->is_bad = true;
    return SEL_DWORD;
}

static bool parse_dpp(Cursor *c, Modifiers *m) {
    static const struct {
        const char *word;
        uint8_t kind;
        bool has_number;
    } forms[] = {
        {"row_shl:", DPP_ROW_SHL, true},
        {"row_shr:", DPP_ROW_SHR, true},
        {"row_ror:", DPP_ROW_ROR, true},
        {"wave_shl:", DPP_WAVE_SHL, true},
        {"wave_rol:", DPP_WAVE_ROL, true},
        {"wave_shr:", DPP_WAVE_SHR, true},
        {"wave_ror:", DPP_WAVE_ROR, true},
        {"row_mirror", DPP_ROW_MIRROR, false},
        {"row_half_mirror", DPP_ROW_HALF_MIRROR, false},
        {"row_bcast:", DPP_ROW_BCAST, true},
        {"row_newbcast:", DPP_ROW_NEWBCAST, true},
        {"row_share:", DPP_ROW_SHARE, true},
        {"row_xmask:", DPP_ROW_XMASK, true},
    };
    if (take(c, "quad_perm:")) {
        m->dpp = DPP_QUAD_PERM;
        byte_list(c, m->dpp_arg, 4);
    } else if (take(c, "dpp8:")) {
        m->dpp = DPP_8;
        byte_list(c, m->dpp_arg, 8);
    } else {
        size_t i = 0, n = sizeof forms / sizeof *forms;
        while (i < n && !take(c, forms[i].word)) i++;
        if (i == n) return false;
        m->dpp = forms[i].kind;
        if (forms[i].has_number) m->dpp_arg[0] = (uint8_t)number(c);
    }
    m->has_dpp = true;
    return true;
}

static bool parse_selects(Cursor *c, Modifiers *m) {
    if (take(c, "dst_sel:"))
        m->dst_sel = select_word(c);
    else if (take(c, "src0_sel:"))
        m->src_sel[0] = select_word(c);
    else if (take(c, "src1_sel:"))
        m->src_sel[1] = select_word(c);
    else if (take(c, "dst_unused:UNUSED_PAD"))
        m->dst_unused = UNUSED_PAD;
    else if (take(c, "dst_unused:UNUSED_SEXT"))
        m->dst_unused = UNUSED_SEXT;
    else if (take(c, "dst_unused:UNUSED_PRESERVE"))
        m->dst_unused = UNUSED_PRESERVE;
    else
        return false;
    return true;
}

static bool parse_numbers(Cursor *c, Modifiers *m) {
    if (take(c, "offset:swizzle(")) { /* the pattern is read from the instruction itself */
        while (*c->at != '\0' && *c->at != ')') c->at++;
        if (!take(c, ")")) c->is_bad = true;
    } else if (take(c, "offset:") || take(c, "offset0:")) {
        m->offset = (int32_t)number(c);
    } else if (take(c, "offset1:")) {
        m->offset1 = (int32_t)number(c);
    } else if (take(c, "row_mask:")) {
        m->row_mask = (uint8_t)number(c);
    } else if (take(c, "bank_mask:")) {
        m->bank_mask = (uint8_t)number(c);
    } else if (take(c, "bound_ctrl:")) {
        m->bound_ctrl = true; /* 0 and 1 are two spellings of the same */
        number(c);
    } else if (take(c, "fi:")) {
        m->fetch_inactive = number(c) != 0;
    } else if (take(c, "blgp:")) {
        m->blgp = (uint8_t)number(c);
    } else if (take(c, "cbsz:")) {
        m->cbsz = (uint8_t)number(c);
    } else if (take(c, "abid:")) {
        m->abid = (uint8_t)number(c);
    } else {
        return false;
    }
    return true;
}

static bool parse_lists(Cursor *c, Modifiers *m) {
    if (take(c, "op_sel:")) {
        m->op_sel = bit_list(c);
    } else if (take(c, "op_sel_hi:")) {
        m->op_sel_hi = bit_list(c);
        m->has_op_sel_hi = true;
    } else if (take(c, "neg_lo:")) {
        m->neg_lo = bit_list(c);
    } else if (take(c, "neg_hi:")) {
        m->neg_hi = bit_list(c);
    } else {
        return false;
    }
    return true;
}

static bool parse_words(Cursor *c, Modifiers *m) {
    static const char *const caches[] = {"glc", "slc", "dlc", "sc0", "sc1", "nt"};
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
        if (take(c, caches[i])) {
            if (i == 0 || i == 3) m->returns = true;
            return true;
        }
    if (take(c, "clamp"))
        m->clamp = true;
    else if (take(c, "mul:2"))
        m->omod = 1;
    else if (take(c, "mul:4"))
        m->omod = 2;
    else if (take(c, "div:2"))
        m->omod = 3;
    else if (take(c, "offen"))
        m->offen = true;
    else if (take(c, "idxen"))
        m->idxen = true;
    else if (take(c, "lds"))
        m->lds = true;
    else
        return false;
    return true;
}

static void parse_modifiers(Cursor *c, Modifiers *m) {
    while (!c->is_bad) {
        while (*c->at == ' ') c->at++;
        if (*c->at == '\0') return;
        if (!parse_lists(c, m) && !parse_numbers(c, m) && !parse_selects(c, m) &&
            !parse_dpp(c, m) && !parse_words(c, m))
            c->is_bad = true;
        if (*c->at != ' ' && *c->at != '\0') c->is_bad = true;
    }
}

/* ---- the line -------------------------------------------------------------------------------- */

static void strip_suffix(Text *t) {
    static const char *const ends[] = {"_e64_dpp", "_e32", "_e64", "_dpp", "_sdwa"};
    size_t n = strlen(t->name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i]);
        if (n > k && strcmp(t->name + n - k, ends[i]) == 0) {
            t->name[n - k] = '\0';
            t->mod.has_sdwa = i == 4;
            return;
        }
    }
}

/* The end of an operand: a comma or a blank outside brackets. */
static const char *operand_end(const char *p) {
    int depth = 0;
    for (; *p != '\0' && (depth > 0 || (*p != ',' && *p != ' ')); p++)
        depth += (*p == '(' || *p == '[') - (*p == ')' || *p == ']');
    return p;
}

bool text_parse(const char *line, Text *out) {
    *out = (Text){.mod = {.row_mask = 15,
                          .bank_mask = 15,
                          .dst_sel = SEL_DWORD,
                          .src_sel = {SEL_DWORD, SEL_DWORD}}};
    Cursor c = {line, false};
    if (strstr(line, "/*") != NULL) return false; /* a remark that something is invalid */
    size_t n = strcspn(line, " ");
    if (n >= sizeof out->name) return false;
    memcpy(out->name, line, n);
    strip_suffix(out);
    c.at = line + n;
    while (*c.at == ' ') c.at++;
    while (*c.at != '\0') {
        const char *end = operand_end(c.at);
        Operand o;
        if (!parse_operand(c.at, (size_t)(end - c.at), &o)) break; /* modifiers, if anything */
        if (out->n == MAX_OPERANDS) return false;
        out->operand[out->n++] = o;
        c.at = end;
        if (*end != ',') break;
        for (c.at++; *c.at == ' ';) c.at++;
    }
    parse_modifiers(&c, &out->mod);
    return !c.is_bad;
}
