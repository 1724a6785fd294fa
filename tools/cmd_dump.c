/* `rwkvc dump FILE`: what a file of weights or an array holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/file.h"
#include "../runtime/npy.h"
#include "../runtime/weights.h"
#include "commands.h"
#include "json.h"
#include "options.h"

static const char help[] =
    "usage: %s FILE [--json]\n"
    "\n"
    "Lists the tensors of a .safetensors, a torch .pth or a rwkv.cpp .bin file, or the array of\n"
    "an .npy file: name, element type, shape and bytes. What a file is, its first bytes say.\n"
    "\n"
    "  --json   one JSON object instead of lines\n"
    "  --help\n";

static void print_json_tensor(const rw_tensor *t) {
    printf("{\"name\": ");
    json_put_text(t->name);
    printf(", \"dtype\": \"%s\", \"shape\": [", rw_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++) printf("%s%lld", i ? ", " : "", (long long)t->shape[i]);
    printf("], \"bytes\": %zu}", t->bytes);
}

static void print_json(const char *kind, const rw_tensor *const *tensors, size_t n) {
    printf("{\"kind\": \"%s\", \"tensors\": [", kind);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ",\n  " : "\n  ", stdout);
        print_json_tensor(tensors[i]);
    }
    fputs(n ? "\n]}\n" : "]}\n", stdout);
}

static void print_lines(const char *kind, const rw_tensor *const *tensors, size_t n) {
    size_t width = 0, numbers = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(tensors[i]->name), count = 0;
        if (len > width) width = len;
        if (rw_tensor_count(tensors[i], &count) == RW_OK) numbers += count;
        bytes += tensors[i]->bytes;
    }
    if (width > 64) width = 64;
    for (size_t i = 0; i < n; i++) {
        char shape[128];
        const rw_tensor *t = tensors[i];
        printf("%-*s  %-4s  %-16s %12zu\n", (int)width, t->name, rw_dtype_name(t->dtype),
               rw_tensor_shape(t, shape, sizeof shape), t->bytes);
    }
    printf("%s: %zu tensor%s, %zu numbers, %zu bytes\n", kind, n, n == 1 ? "" : "s", numbers,
           bytes);
}

static rw_status dump_array(const char *path, const rw_file *f, bool json, rw_message *m) {
    rw_array array;
    rw_status s = rw_npy_parse(path, f->data, f->bytes, &array, m);
    if (s != RW_OK) return s;
    const rw_tensor *t = &array.t;
    (json ? print_json : print_lines)("npy", &t, 1);
    rw_array_free(&array);
    return RW_OK;
}

static rw_status dump_weights(const char *path, bool json, rw_message *m) {
    rw_weights *w = NULL;
    rw_status s = rw_weights_open(path, &w, m);
    if (s != RW_OK) return s;
    size_t n = rw_weights_count(w);
    const rw_tensor **all = malloc((n ? n : 1) * sizeof *all);
    if (all) {
        for (size_t i = 0; i < n; i++) all[i] = rw_weights_at(w, i);
        (json ? print_json : print_lines)(rw_weights_kind(w), all, n);
        free(all);
    } else {
        s = rw_fail(m, RW_NO_MEMORY, "%s: no memory for its list of tensors", path);
    }
    rw_weights_close(w);
    return s;
}

int dump_file(const char *command, const char *path, bool json) {
    rw_message m = {""};
    rw_file f;
    rw_status s = rw_file_map(path, &f, &m);
    if (s == RW_OK) {
        bool is_array = f.bytes >= 6 && memcmp(f.data, "\x93NUMPY", 6) == 0;
        bool is_stream = f.bytes && !f.is_mapped; /* read once, and gone */
        if (is_array) s = dump_array(path, &f, json, &m);
        rw_file_unmap(&f);
        if (!is_array && is_stream)
            s = rw_fail(&m, RW_IO, "%s: weights are listed from a file, not a pipe", path);
        else if (!is_array)
            s = dump_weights(path, json, &m);
    }
    return s == RW_OK ? EXIT_DONE : failed(command, exit_of_status(s), "%s", m.text);
}

int cmd_dump(const char *command, int argc, char **argv) {
    enum { JSON = OPTION_LONG, HELP };
    static const struct option longs[] = {
        {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, HELP}, {0}};
    const char *path = NULL;
    bool json = false;
    Line line = {command, argc, argv, "", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        switch (c) {
        case JSON: json = true; break;
        case HELP: printf(help, command); return finish_output(command, EXIT_DONE);
        case 1:
            if (path)
                return usage_error(command, "one file at a time: '%s' and '%s'", path, optarg);
            path = optarg;
            break;
        default: return EXIT_USAGE;
        }
    }
    if (!path) return usage_error(command, "which file?");
    return finish_output(command, dump_file(command, path, json));
}
