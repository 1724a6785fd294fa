/* `rwkv init FILE -o P`: first values of all parameters. */
#include <stdio.h>

#include "commands.h"
#include "compiled.h"

static const char help[] =
    "usage: rwkv init FILE -o P [--seed N]\n"
    "\n"
    "Writes the first values of all parameters of a compiled model, as its text says, into P\n"
    "(.safetensors or .pth).\n"
    "\n"
    "  -o P       what is written\n"
    "  --seed N   of what is drawn (default 0)\n"
    "  --help\n";

int cmd_init(const char *command, int argc, char **argv) {
    enum { SEED = OPTION_LONG, HELP };
    static const struct option longs[] = {
        {"seed", required_argument, NULL, SEED}, {"help", no_argument, NULL, HELP}, {0}};
    Compiled c = {.command = command};
    const char *out = NULL;
    uint64_t seed = 0;
    Line line = {command, argc, argv, "o:", longs, false};
    for (int k; (k = next_option(&line)) != -1;) {
        switch (k) {
        case 'o':
            if (out) return usage_error(command, "'%s' and '%s' for the same option", out, optarg);
            out = optarg;
            break;
        case SEED:
            if (parse_u64(optarg, &seed)) break;
            return usage_error(command, "--seed %s: a whole number from 0", optarg);
        case HELP: fputs(help, stdout); return finish_output(command, EXIT_DONE);
        case 1:
            if (c.path)
                return usage_error(command, "one file at a time: '%s' and '%s'", c.path, optarg);
            c.path = optarg;
            break;
        default: return EXIT_USAGE;
        }
    }
    if (!c.path) return usage_error(command, "which FILE?");
    if (!out) return usage_error(command, "where to? -o P.safetensors or -o P.pth");
    if (!has_ending(out, ".safetensors") && !has_ending(out, ".pth"))
        return usage_error(command, "'%s': its ending says what is written: .safetensors or .pth",
                           out);
    int code = compiled_open(&c, NULL, true);
    if (code == EXIT_DONE) code = compiled_init(&c, out, seed);
    compiled_close(&c);
    return finish_output(command, code);
}
