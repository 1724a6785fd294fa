/* `rwkv devices`: what --device can name. */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "compiled.h"
#include "json.h"

static const char help[] =
    "usage: rwkv devices [--hip-library PATH] [--cuda-library PATH] [--json]\n"
    "\n"
    "Lists the devices of this machine: the name that --device takes, what a file has to be\n"
    "compiled for, memory, and what its driver calls it. Where a driver cannot be used, why.\n"
    "\n"
    "  --hip-library PATH   AMD's driver, where it is not the system's\n"
    "  --cuda-library PATH  NVIDIA's\n"
    "  --json               one JSON object instead of lines\n"
    "  --help\n";

enum { MOST = 64 };

static void print_lines(const rw_device *d, size_t n) {
    for (size_t i = 0; i < n; i++)
        printf("%-8s %-10s %8.1f GiB, %.1f free  %3u units  %s\n", d[i].name, d[i].arch,
               (double)d[i].memory / 0x1p30, (double)d[i].free / 0x1p30, d[i].units, d[i].model);
}

static void print_json(const rw_device *d, size_t n) {
    for (size_t i = 0; i < n; i++) {
        fputs(",\n {\"device\": ", stdout);
        json_put_text(d[i].name);
        fputs(", \"target\": ", stdout);
        json_put_text(d[i].arch);
        fputs(", \"model\": ", stdout);
        json_put_text(d[i].model);
        printf(", \"units\": %u, \"memory\": %zu, \"free\": %zu}", d[i].units, d[i].memory,
               d[i].free);
    }
}

/* Devices of a kind; a kind without a driver is told about, and is no failure. */
static void list(const char *kind, const char *library, bool json) {
    rw_message m = {""};
    size_t n = 0;
    rw_device *d = calloc(MOST, sizeof *d);
    if (!d) return;
    rw_status s = rw_devices(kind, library, d, MOST, &n, &m);
    if (n > MOST) n = MOST;
    (json ? print_json : print_lines)(d, n);
    if (s != RW_OK && !json)
        printf("%-8s none: %s\n", kind, m.text);
    else if (n == 0 && !json)
        printf("%-8s none: its driver sees no GPU\n", kind);
    free(d);
}

int cmd_devices(const char *command, int argc, char **argv) {
    enum { JSON = OPTION_LONG, HELP };
    static const struct option longs[] = {{"hip-library", required_argument, NULL, MACHINE_HIP},
                                          {"cuda-library", required_argument, NULL, MACHINE_CUDA},
                                          {"json", no_argument, NULL, JSON},
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    Machine machine = {0};
    bool json = false;
    Line line = {command, argc, argv, "", longs, false};
    for (int k; (k = next_option(&line)) != -1;) {
        if (k >= MACHINE) {
            (void)set_machine(&machine, command, k, optarg);
            continue;
        }
        switch (k) {
        case JSON: json = true; break;
        case HELP: fputs(help, stdout); return finish_output(command, EXIT_DONE);
        case 1: return usage_error(command, "'%s': it takes no file", optarg);
        default: return EXIT_USAGE;
        }
    }
    fputs(json ? "{\"devices\": [{\"device\": \"cpu\"}" : "cpu\n", stdout);
    list("hip", machine.hip_library, json);
    list("cuda", machine.cuda_library, json);
    if (json) fputs("]}\n", stdout);
    return finish_output(command, EXIT_DONE);
}
