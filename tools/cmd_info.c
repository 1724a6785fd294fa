/* `rwkv info FILE`: what a compiled model holds and takes; files of weights as `rwkvc dump` does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/file.h"
#include "commands.h"
#include "compiled.h"
#include "json.h"

static const char help[] =
    "usage: rwkv info FILE [--axis NAME=N]... [--device D] [--json]\n"
    "\n"
    "Of a compiled model: target, entries with what they take, give and compute, parameters, states,\n"
    "and the memory of a session. Of a .safetensors, a torch .pth, a rwkv.cpp .bin or an .npy file:\n"
    "its tensors.\n"
    "\n"
    "  --axis NAME=N   the length of a run-time axis, for memory and work (default 1)\n"
    "  --json          one JSON object instead of lines\n"
    "  --device D      loads it for that device (hip:0, cuda:0), so that what it lacks is told, and\n"
    "                  counts the memory there\n"
    "  --hip-library PATH, --cuda-library PATH   drivers, where they are not the system's\n"
    "  --help\n";

/* Whether a file is of `rwkvc`: an object of this or another machine, several in a bundle, or PTX. */
static bool is_compiled(const char *path) {
    rw_file f;
    if (rw_file_map(path, &f, NULL) != RW_OK) return false;
    bool good = (f.bytes >= 4 && memcmp(f.data,
                                        "\x7f"
                                        "ELF",
                                        4) == 0) ||
                (f.bytes >= 24 && memcmp(f.data, "__CLANG_OFFLOAD_BUNDLE__", 24) == 0) ||
                (f.bytes >= 8 && memcmp(f.data, "//!rwkvc", 8) == 0);
    rw_file_unmap(&f);
    return good;
}

/* ---- what is counted ------------------------------------------------------------------------- */

typedef struct Counts {
    size_t tensors, numbers, bytes, frozen;
} Counts;

static Counts count_params(const rw_program *p) {
    Counts c = {0};
    size_t n = rw_program_count(p, RW_PARAM, NULL);
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        if (rw_program_info(p, RW_PARAM, NULL, i, &info) != RW_OK) continue;
        size_t k = 1;
        for (int d = 0; d < info.rank; d++) k *= (size_t)(info.shape[d] > 0 ? info.shape[d] : 1);
        c.tensors++;
        c.numbers += k;
        c.bytes += k * rw_dtype_bytes(info.dtype);
        c.frozen += info.frozen ? k : 0;
    }
    return c;
}

/* Bytes of a session of one entry; 0 where it cannot be said. */
static size_t memory_of(const rw_program *p, const Lengths *l, const char *entry) {
    size_t bytes = 0;
    rw_session_options o = {.dims = l->dim, .n_dims = l->n, .entries = &entry, .n_entries = 1};
    return rw_program_bytes(p, &o, &bytes, NULL) == RW_OK ? bytes : 0;
}

static const char *size_words(size_t bytes, char *text, size_t cap) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)bytes;
    int u = 0;
    for (; x >= 1024 && u < 4; u++) x /= 1024;
    snprintf(text, cap, u ? "%.1f %s" : "%.0f %s", x, units[u]);
    return text;
}

static rw_work work_of(const rw_program *p, const Lengths *l, const char *entry) {
    rw_work w;
    (void)rw_program_work(p, entry, l->dim, l->n, &w); /* zeros where it cannot be said */
    return w;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void print_tensors(const rw_program *p, rw_kind kind, const char *entry, const char *word) {
    size_t n = rw_program_count(p, kind, entry);
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        if (rw_program_info(p, kind, entry, i, &info) != RW_OK) continue;
        printf("    %-4s %-20s %-4s %s", i ? "" : word, info.name, rw_dtype_name(info.dtype),
               info.rank ? info.shape_text : "");
        if (info.below) printf("  0..%lld", (long long)info.below - 1);
        if (*info.what && strcmp(info.what, "result") != 0) printf("  %s", info.what);
        putchar('\n');
    }
}

/* "work 1.25 MFLOP: ..., 3.1 MB: ..., 40 launches" of a call */
static void print_work(const rw_program *p, const Lengths *l, const char *entry) {
    rw_work w = work_of(p, l, entry);
    double ops = 0, bytes = 0;
    for (int i = 0; i < RW_WORKS; i++) *(i < RW_WORK_GIVEN ? &ops : &bytes) += w.of[i];
    printf("    work %.3f MFLOP in %llu launches:", ops / 1e6,
           (unsigned long long)rw_program_launches(p, entry));
    for (int i = 0; i < RW_WORK_GIVEN; i++)
        printf("%s %.3f %s", i ? "," : "", w.of[i] / 1e6, rw_work_name((rw_work_part)i));
    printf("\n         %.3f MB:", bytes / 1e6);
    for (int i = RW_WORK_GIVEN; i < RW_WORKS; i++)
        printf("%s %.3f %s", i > RW_WORK_GIVEN ? "," : "", w.of[i] / 1e6,
               rw_work_name((rw_work_part)i));
    putchar('\n');
}

static void print_lines(const rw_program *p, const Lengths *l) {
    char words[40];
    Counts c = count_params(p);
    printf("%s for %s, weights %s\n", rw_program_name(p), rw_program_target(p),
           rw_dtype_name(rw_program_weights(p)));
    printf("parameters: %zu tensors, %zu numbers, %s", c.tensors, c.numbers,
           size_words(c.bytes, words, sizeof words));
    if (c.frozen) printf(", %zu of them frozen", c.frozen);
    printf("\nstates: %zu of the model, %zu of the optimizer\n",
           rw_program_count(p, RW_STATE, NULL), rw_program_count(p, RW_OPTIMIZER, NULL));
    fputs("axes:", stdout);
    for (size_t i = 0; i < l->n; i++) {
        int64_t multiple = 1;
        rw_program_axis(p, i, &multiple);
        printf("%s %s = %lld", i ? "," : "", l->dim[i].name, (long long)l->dim[i].value);
        if (multiple > 1) printf(" (a multiple of %lld)", (long long)multiple);
    }
    puts(l->n ? "" : " none");
    for (size_t i = 0; i < rw_program_entries(p); i++) {
        const char *entry = rw_program_entry(p, i);
        size_t grads = rw_program_count(p, RW_GRADIENT, entry), bytes = memory_of(p, l, entry);
        printf("%s", entry);
        if (bytes) printf("  (%s)", size_words(bytes, words, sizeof words));
        putchar('\n');
        print_tensors(p, RW_INPUT, entry, "in");
        print_tensors(p, RW_OUTPUT, entry, "out");
        if (grads) printf("    out  %zu gradients\n", grads);
        print_work(p, l, entry);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_tensor(const rw_info *info) {
    printf("{\"name\": ");
    json_put_text(info->name);
    printf(", \"dtype\": \"%s\", \"shape\": ", rw_dtype_name(info->dtype));
    json_put_text(info->rank ? info->shape_text : "[]");
    if (info->below) printf(", \"below\": %lld", (long long)info->below);
    if (*info->what) printf(", \"what\": \"%s\"", info->what);
    if (info->scalar) printf(", \"scalar\": true");
    if (info->frozen) printf(", \"frozen\": true");
    putchar('}');
}

static void json_tensors(const rw_program *p, rw_kind kind, const char *entry, const char *key,
                         const char *indent) {
    size_t n = rw_program_count(p, kind, entry);
    printf(",\n%s\"%s\": [", indent, key);
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        if (rw_program_info(p, kind, entry, i, &info) != RW_OK) continue;
        printf("%s\n%s ", i ? "," : "", indent);
        json_tensor(&info);
    }
    putchar(']');
}

static void json_work(const rw_program *p, const Lengths *l, const char *entry) {
    rw_work w = work_of(p, l, entry);
    char text[4096];
    printf(",\n   \"launches\": %llu, \"work\": {",
           (unsigned long long)rw_program_launches(p, entry));
    for (int i = 0; i < RW_WORKS; i++) {
        (void)rw_program_work_text(p, entry, (rw_work_part)i, text, sizeof text);
        fputs(i ? ",\n    " : "\n    ", stdout);
        json_put_text(rw_work_name((rw_work_part)i));
        fputs(": {\"formula\": ", stdout);
        json_put_text(text);
        fputs(", \"number\": ", stdout);
        json_put_number(w.of[i]);
        putchar('}');
    }
    putchar('}');
}

static void print_json(const rw_program *p, const Lengths *l) {
    Counts c = count_params(p);
    fputs("{\"kind\": \"model\", \"name\": ", stdout);
    json_put_text(rw_program_name(p));
    printf(",\n \"targets\": [\"%s\"],\n \"numbers\": %zu,\n \"axes\": {", rw_program_target(p),
           c.numbers);
    for (size_t i = 0; i < l->n; i++) {
        if (i) fputs(", ", stdout);
        json_put_text(l->dim[i].name);
        printf(": %lld", (long long)l->dim[i].value);
    }
    putchar('}');
    json_tensors(p, RW_PARAM, NULL, "parameters", " ");
    json_tensors(p, RW_STATE, NULL, "states", " ");
    json_tensors(p, RW_OPTIMIZER, NULL, "optimizer", " ");
    fputs(",\n \"entries\": [", stdout);
    for (size_t i = 0; i < rw_program_entries(p); i++) {
        const char *entry = rw_program_entry(p, i);
        printf("%s\n  {\"name\": ", i ? "," : "");
        json_put_text(entry);
        printf(", \"memory\": %zu, \"gradients\": %zu", memory_of(p, l, entry),
               rw_program_count(p, RW_GRADIENT, entry));
        json_tensors(p, RW_INPUT, entry, "inputs", "   ");
        json_tensors(p, RW_OUTPUT, entry, "outputs", "   ");
        json_work(p, l, entry);
        putchar('}');
    }
    puts("]}");
}

/* ---- the command ----------------------------------------------------------------------------- */

static int info(Compiled *c, const Pairs *axes, const Machine *machine, bool json) {
    Lengths l;
    int code = compiled_open(c, machine, machine->device == NULL);
    if (code == EXIT_DONE) code = lengths_begin(&l, c);
    for (size_t i = 0; i < axes->n && code == EXIT_DONE; i++) {
        int64_t n;
        if (!parse_int(axes->data[i].value, &n) || n < 1)
            return usage_error(c->command, "--axis %s=%s: a length is a whole number from 1",
                               axes->data[i].name, axes->data[i].value);
        if (!lengths_need(&l, axes->data[i].name, n))
            return failed(c->command, EXIT_USAGE, "--axis %s: this model has no such axis",
                          axes->data[i].name);
    }
    if (code == EXIT_DONE) (json ? print_json : print_lines)(c->program, &l);
    return code;
}

int cmd_info(const char *command, int argc, char **argv) {
    enum { JSON = OPTION_LONG, AXIS, HELP };
    static const struct option longs[] = {{"json", no_argument, NULL, JSON},
                                          {"axis", required_argument, NULL, AXIS},
                                          MACHINE_OPTIONS,
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    Compiled c = {.command = command};
    Pairs axes = {0};
    Machine machine = {0};
    bool json = false;
    int code = EXIT_DONE;
    Line line = {command, argc, argv, "", longs, false};
    for (int k; code == EXIT_DONE && (k = next_option(&line)) != -1;) {
        if (k >= MACHINE) {
            code = set_machine(&machine, command, k, optarg);
            continue;
        }
        switch (k) {
        case JSON: json = true; break;
        case AXIS:
            code = add_pair(command, "--axis", optarg, &axes) ? EXIT_DONE : EXIT_USAGE;
            break;
        case HELP:
            fputs(help, stdout);
            free_pairs(&axes);
            return finish_output(command, EXIT_DONE);
        case 1:
            if (c.path)
                code = usage_error(command, "one file at a time: '%s' and '%s'", c.path, optarg);
            c.path = optarg;
            break;
        default: code = EXIT_USAGE;
        }
    }
    if (code == EXIT_DONE && !c.path) code = usage_error(command, "which file?");
    if (code == EXIT_DONE && is_compiled(c.path))
        code = info(&c, &axes, &machine, json);
    else if (code == EXIT_DONE)
        code = dump_file(command, c.path, json);
    compiled_close(&c);
    free_pairs(&axes);
    return finish_output(command, code);
}
