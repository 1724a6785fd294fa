/* NVIDIA's assembler: where it is, and what it says of kernels. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile_file.h"
#include "report_gpu.h"

/* ---- where it is ------------------------------------------------------------------------------------ */

static const char usual[] = "/usr/local/cuda/bin/ptxas";

static const char *of_path(Arena *a) {
    const char *path = getenv("PATH");
    for (const char *s = path ? path : ""; *s;) {
        size_t n = strcspn(s, ":");
        const char *file = arena_printf(a, "%.*s/ptxas", (int)n, s);
        if (n && access(file, X_OK) == 0) return file;
        s += n + (s[n] == ':');
    }
    return access(usual, X_OK) == 0 ? usual : NULL;
}

const char *ptxas_find(Arena *a, const char *named, const char **path) {
    const char *by = "--ptxas";
    if (!named) {
        by = "RWKVC_PTXAS";
        named = getenv(by);
    }
    *path = named && *named ? named : of_path(a);
    if (!*path)
        return "there is no ptxas, NVIDIA's assembler, in PATH or /usr/local/cuda/bin; --ptxas=PATH or "
               "RWKVC_PTXAS=PATH names one";
    if (*path != named || access(named, X_OK) == 0) return NULL;
    return arena_printf(a, "%s=%s: there is no program of this name", by, named);
}

/* ---- what it says ------------------------------------------------------------------------------------- */

static uint32_t number_before(const char *line, const char *what) {
    const char *at = strstr(line, what);
    if (!at) return 0;
    while (at > line && at[-1] == ' ') at--;
    while (at > line && at[-1] >= '0' && at[-1] <= '9') at--;
    return (uint32_t)strtoul(at, NULL, 10);
}

static void read_line(Arena *a, const char *line, GpuUses *out) {
    static const char begins[] = "Compiling entry function '";
    const char *name = strstr(line, begins);
    if (name) {
        name += sizeof begins - 1;
        PUSH(a, out)->symbol = arena_strn(a, name, strcspn(name, "'"));
        return;
    }
    if (!out->n) return;
    GpuUse *u = &out->data[out->n - 1];
    if (strstr(line, "bytes stack frame")) {
        u->own = number_before(line, "bytes stack frame");
        u->spilled = number_before(line, "bytes spill stores");
    }
    if (!strstr(line, "Used ")) return;
    u->vector = number_before(line, "registers");
    u->local = number_before(line, "bytes smem");
}

/* Threads of a workgroup are in the text. */
static uint32_t block_of(const char *text, const char *symbol) {
    size_t n = strlen(symbol);
    for (const char *s = text; (s = strstr(s, ".entry "));) {
        s += strlen(".entry ");
        const char *block = strstr(s, ".reqntid ");
        if (strncmp(s, symbol, n) == 0 && s[n] == '(' && block)
            return (uint32_t)strtoul(block + strlen(".reqntid "), NULL, 10);
    }
    return 0;
}

const char *gpu_uses_of_ptx(Arena *a, const TargetInfo *t, const char *ptxas, const Image *text,
                            GpuUses *out, Image *cubin) {
    Text said = text_new(a);
    const char *wrong = ptxas_run(a, ptxas, t, "-v", text, cubin, &said);
    for (const char *s = said.data; !wrong && s && *s; s += strcspn(s, "\n"), s += *s == '\n')
        read_line(a, arena_strn(a, s, strcspn(s, "\n")), out);
    const char *whole = arena_strn(a, text->data, text->bytes);
    for (uint32_t i = 0; i < out->n; i++) out->data[i].block = block_of(whole, out->data[i].symbol);
    return wrong;
}
