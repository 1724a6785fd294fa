/* `rwkv convert IN OUT`: a checkpoint from one file format into another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/convert.h"
#include "commands.h"
#include "options.h"

static const char help[] =
    "usage: %s IN OUT [--dtype=keep|f32|f16|bf16] [--strip=PREFIX]...\n"
    "\n"
    "Reads IN (.safetensors, torch .pth, rwkv.cpp .bin) and writes OUT; its ending, .safetensors\n"
    "or .pth, says as what. Of a .bin the changes its converter made to values, names and shapes\n"
    "are undone, so that OUT is a checkpoint in the official form.\n"
    "\n"
    "  --dtype=TYPE     element type of the real tensors; keep: as they are (quantised: f32)\n"
    "  --strip=PREFIX   takes PREFIX off the names that begin with it\n"
    "  --help\n";

static bool dtype_of(const char *name, rw_convert_dtype *out) {
    static const struct {
        const char *name;
        rw_convert_dtype dtype;
    } all[] = {{"keep", RW_CONVERT_KEEP},
               {"f32", RW_CONVERT_F32},
               {"f16", RW_CONVERT_F16},
               {"bf16", RW_CONVERT_BF16}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) {
            *out = all[i].dtype;
            return true;
        }
    return false;
}

typedef struct Request {
    const char *path[2];
    int n_paths;
    rw_convert_options options;
    const char **strip;
} Request;

/* EXIT_DONE to go on, -1 when help was printed, EXIT_USAGE after a mistake. */
static int read_request(const char *command, int argc, char **argv, Request *q) {
    enum { DTYPE = OPTION_LONG, STRIP, HELP };
    static const struct option longs[] = {{"dtype", required_argument, NULL, DTYPE},
                                          {"strip", required_argument, NULL, STRIP},
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    Line line = {command, argc, argv, "", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        switch (c) {
        case DTYPE:
            if (dtype_of(optarg, &q->options.dtype)) break;
            return usage_error(command, "there is no type '%s': keep, f32, f16 or bf16", optarg);
        case STRIP: q->strip[q->options.n_strip++] = optarg; break;
        case HELP: printf(help, command); return -1;
        case 1:
            if (q->n_paths == 2)
                return usage_error(command, "one IN and one OUT, not '%s' too", optarg);
            q->path[q->n_paths++] = optarg;
            break;
        default: return EXIT_USAGE;
        }
    }
    if (q->n_paths < 2) return usage_error(command, "an IN and an OUT are wanted");
    return EXIT_DONE;
}

int cmd_convert(const char *command, int argc, char **argv) {
    Request q = {.strip = calloc((size_t)argc + 1, sizeof *q.strip)};
    if (!q.strip) return failed(command, EXIT_INTERNAL, "out of memory");
    q.options.strip = q.strip;
    int code = read_request(command, argc, argv, &q);
    if (code == EXIT_DONE) {
        rw_message m = {""};
        rw_status s = rw_convert(q.path[0], q.path[1], &q.options, &m);
        if (s != RW_OK) code = failed(command, exit_of_status(s), "%s", m.text);
    }
    free(q.strip);
    return finish_output(command, code == -1 ? EXIT_DONE : code);
}
