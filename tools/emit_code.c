/* `--emit=plan|llvm|asm|obj|manifest`: what stands between a graph and its file, for people to read. */
#include <string.h>

#include "compile_file.h"

/* ---- the manifest as JSON ------------------------------------------------------------------------ */

typedef struct Json {
    const uint8_t *at, *end;
    Text *out;
} Json;

static uint64_t big_endian(Json *j, uint32_t bytes) {
    uint64_t x = 0;
    for (; bytes > 0 && j->at < j->end; bytes--) x = x << 8 | *j->at++;
    return x;
}

static void put_string(Json *j, size_t n) {
    text_add(j->out, "\"");
    for (; n > 0 && j->at < j->end; n--) {
        char c = (char)*j->at++;
        if (c == '"' || c == '\\') text_add(j->out, "\\");
        text_addn(j->out, &c, 1);
    }
    text_add(j->out, "\"");
}

static void put_real(Json *j) {
    uint64_t bits = big_endian(j, 8);
    double x;
    memcpy(&x, &bits, sizeof x);
    text_printf(j->out, "%.17g", x);
}

static void put_item(Json *j, uint32_t depth);

enum { INLINE = 9 }; /* a depth: nothing below it has lines of its own */

static bool is_list(uint8_t b) { return (b >= 0x80 && b < 0xa0) || (b >= 0xdc && b <= 0xdf); }

/* Lists of lists and the maps around them have a line for each item; all else stands in one. */
static bool has_lines(const Json *j, bool is_map, uint32_t depth) {
    if (is_map) return depth <= 2;
    return (depth == 1 || depth == 3) && j->at < j->end && is_list(*j->at);
}

static void put_items(Json *j, uint64_t n, bool is_map, uint32_t depth) {
    bool lines = has_lines(j, is_map, depth);
    uint32_t below = lines ? depth + 1 : INLINE;
    text_add(j->out, is_map ? "{" : "[");
    for (uint64_t i = 0; i < n && j->at < j->end; i++) {
        if (i) text_add(j->out, lines ? "," : ", ");
        if (lines) text_printf(j->out, "\n%*s", (int)below, "");
        put_item(j, below);
        if (!is_map) continue;
        text_add(j->out, ": ");
        put_item(j, below);
    }
    text_add(j->out, is_map ? "}" : "]");
}

/* What pack.c writes, and nothing else. */
static void put_item(Json *j, uint32_t depth) {
    uint8_t b = *j->at++;
    if (b < 0x80)
        text_printf(j->out, "%u", b);
    else if (b < 0x90)
        put_items(j, b & 15, true, depth);
    else if (b < 0xa0)
        put_items(j, b & 15, false, depth);
    else if (b < 0xc0)
        put_string(j, b & 31);
    else if (b >= 0xe0)
        text_printf(j->out, "%d", (int8_t)b);
    else if (b == 0xc2 || b == 0xc3)
        text_add(j->out, b == 0xc3 ? "true" : "false");
    else if (b == 0xcb)
        put_real(j);
    else if (b >= 0xcc && b <= 0xcf)
        text_printf(j->out, "%llu", (unsigned long long)big_endian(j, 1u << (b - 0xcc)));
    else if (b == 0xd0)
        text_printf(j->out, "%d", (int8_t)big_endian(j, 1));
    else if (b == 0xd1)
        text_printf(j->out, "%d", (int16_t)big_endian(j, 2));
    else if (b == 0xd2)
        text_printf(j->out, "%d", (int32_t)big_endian(j, 4));
    else if (b == 0xd3)
        text_printf(j->out, "%lld", (long long)big_endian(j, 8));
    else if (b >= 0xd9 && b <= 0xdb)
        put_string(j, big_endian(j, 1u << (b - 0xd9)));
    else
        put_items(j, big_endian(j, b & 1 ? 4 : 2), b >= 0xde, depth);
}

static void print_manifest(const void *blob, size_t bytes, Text *out) {
    Json j = {blob, (const uint8_t *)blob + bytes, out};
    put_item(&j, 0);
    text_add(out, "\n");
}

/* ---- stages ---------------------------------------------------------------------------------------- */

static void print_plans(const CompileFile *f, const FileEntry *entries, uint32_t n, Text *out) {
    for (uint32_t i = 0; i < n; i++)
        if (entries[i].plan && (!f->entry || strcmp(entries[i].name, f->entry) == 0))
            plan_print(entries[i].plan, out);
}

static const char *make(Model *m, Codegen *cg, FileEntry *entries, uint32_t n, CodeStage stage,
                        const TargetInfo *t, Text *out) {
    const void *blob, *object;
    size_t blob_bytes, object_bytes;
    const char *wrong = NULL;
    for (uint32_t i = 0; i < n && !wrong; i++) {
        if (!entries[i].plan) continue;
        entries[i].codes = NEWN(m->arena, KernelCode, entries[i].plan->kernels.n + 1);
        wrong = codegen_add(cg, entries[i].plan, entries[i].codes);
    }
    if (wrong) return wrong;
    Rates rates;
    codegen_rates(cg, &rates);
    if (stage == CODE_LLVM) return codegen_print_ir(cg, out), NULL;
    if (stage == CODE_ASM) return codegen_asm(cg, out);
    const char *name = program_name(m->arena, m->options->path);
    wrong = manifest_write(m->arena, entries, n, t, &rates, name, &blob, &blob_bytes);
    if (!wrong && stage == CODE_MANIFEST) print_manifest(blob, blob_bytes, out);
    if (wrong || stage == CODE_MANIFEST) return wrong;
    wrong = codegen_object(cg, blob, blob_bytes, &object, &object_bytes);
    if (!wrong) text_addn(out, object, object_bytes);
    return wrong;
}

int compile_code(Model *m, const CompileFile *f, CodeStage stage, FileEntry **entries, uint32_t *n,
                 Text *out, const char **why) {
    const TargetInfo *t = compile_target(f);
    *why = NULL;
    if (!t) return EXIT_USAGE;
    int code = compile_entries(m, f, entries, n, why);
    if (code != EXIT_DONE) return code;
    if (stage == CODE_PLAN) {
        print_plans(f, *entries, *n, out);
        return EXIT_DONE;
    }
    Codegen *cg = codegen_new(m->arena, t);
    const char *wrong = make(m, cg, *entries, *n, stage, t, out);
    if (wrong) code = failed("rwkvc", EXIT_INTERNAL, "internal error: %s", wrong);
    codegen_free(cg);
    return code;
}

int emit_code(Model *m, const CompileFile *f, CodeStage stage, Text *out) {
    FileEntry *entries;
    uint32_t n;
    const char *why;
    int code = compile_code(m, f, stage, &entries, &n, out, &why);
    return why ? failed("rwkvc", code, "%s: %s", m->options->path, why) : code;
}
