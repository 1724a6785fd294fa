/* PTX as text: words, numbers, declarations. */
#include "ptx.h"

#include <ctype.h>
#include <stdlib.h>

void ptx_blank(PtxScan *s) {
    for (;;) {
        if (*s->at == '\n') s->line++;
        if (isspace((unsigned char)*s->at)) {
            s->at++;
        } else if (s->at[0] == '/' && s->at[1] == '/') {
            s->at += strcspn(s->at, "\n");
        } else if (s->at[0] == '/' && s->at[1] == '*') {
            for (s->at += 2; *s->at != '\0' && (s->at[0] != '*' || s->at[1] != '/'); s->at++)
                s->line += *s->at == '\n';
            if (*s->at != '\0') s->at += 2;
        } else {
            return;
        }
    }
}

static bool is_of_name(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$'; }

/* A dot and a percent sign may begin a name; dots may stand inside. */
size_t ptx_word(const char *at) {
    size_t n = at[0] == '.' || at[0] == '%' ? 1 : 0;
    while (is_of_name(at[n]) || (n > 0 && at[n] == '.' && is_of_name(at[n + 1]))) n++;
    return n;
}

bool ptx_take(PtxScan *s, const char *word) {
    ptx_blank(s);
    size_t n = strlen(word);
    if (strncmp(s->at, word, n) != 0) return false;
    if (is_of_name(word[n - 1]) && is_of_name(s->at[n])) return false;
    s->at += n;
    return true;
}

/* 12, -3, 0x1f, 12U; 0f3F800000 and 0d3FF0000000000000 as their bits. */
bool ptx_number(PtxScan *s, uint64_t *out) {
    ptx_blank(s);
    const char *at = s->at;
    char *end;
    bool is_minus = *at == '-';
    if (is_minus) at++;
    if (!isdigit((unsigned char)*at)) return false;
    bool is_real = at[0] == '0' && strchr("fFdD", at[1]) != NULL && at[1] != '\0';
    uint64_t x = strtoull(is_real ? at + 2 : at, &end, is_real ? 16 : 0);
    if (*end == 'U') end++;
    if (is_of_name(*end)) return false;
    s->at = end;
    *out = is_minus ? 0 - x : x;
    return true;
}

/* A semicolon in a comment or in quotes is none. */
void ptx_statement(PtxScan *s) {
    for (;;) {
        ptx_blank(s);
        if (*s->at == '\0') return;
        if (*s->at == '"') s->at += 1 + strcspn(s->at + 1, "\"\n");
        if (*s->at == '\0') return;
        if (*s->at++ == ';') return;
    }
}

unsigned ptx_type_bytes(const char *type) {
    static const struct {
        char name[5];
        uint8_t bytes;
    } types[] = {{".b8", 1},  {".u8", 1},  {".s8", 1},  {".b16", 2}, {".u16", 2},
                 {".s16", 2}, {".f16", 2}, {".b32", 4}, {".u32", 4}, {".s32", 4},
                 {".f32", 4}, {".b64", 8}, {".u64", 8}, {".s64", 8}, {".f64", 8}};
    size_t n = ptx_word(type);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (n == strlen(types[i].name) && strncmp(type, types[i].name, n) == 0)
            return types[i].bytes;
    return 0;
}

bool ptx_variable(PtxScan *s, PtxVariable *out) {
    uint64_t n = 1;
    *out = (PtxVariable){0};
    if (ptx_take(s, ".align") && !ptx_number(s, &out->align)) return false;
    ptx_blank(s);
    out->element = ptx_type_bytes(s->at);
    if (out->element == 0) return false;
    if (out->align == 0) out->align = out->element;
    s->at += ptx_word(s->at);
    if (ptx_take(s, ".ptr")) /* of parameters: what they point to */
        while (ptx_take(s, ".global") || ptx_take(s, ".shared") || ptx_take(s, ".const") ||
               (ptx_take(s, ".align") && ptx_number(s, &n)))
            n = 1;
    ptx_blank(s);
    out->name = s->at;
    out->length = ptx_word(s->at);
    s->at += out->length;
    if (ptx_take(s, "[") && (!ptx_number(s, &n) || !ptx_take(s, "]"))) return false;
    out->bytes = n * out->element;
    bool is_sane = out->align <= 4096 && (out->align & (out->align - 1)) == 0 && n <= 1u << 28;
    return out->length > 0 && is_sane;
}
