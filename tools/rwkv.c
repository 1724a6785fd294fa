/* The command `rwkv`: what users of models need, on the runtime alone. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "options.h"

static const char help[] =
    "usage: rwkv COMMAND ...\n"
    "\n"
    "  rwkv convert IN OUT     checkpoints among .safetensors, .pth and rwkv.cpp's .bin\n"
    "  rwkv info FILE          what a file holds\n"
    "  rwkv --version\n"
    "\n"
    "'rwkv COMMAND --help' says more. Compiled models, and with them the commands init, run,\n"
    "train, generate, chat, data, enhance, score and bench, are not in this version; 'rwkvc eval'\n"
    "runs any model text in float64.\n";

/* Commands of compiled files: named here so that they are told apart from typing mistakes. */
static const char *const later[] = {"init", "run",     "train", "generate", "chat",
                                    "data", "enhance", "score", "bench",    NULL};

static const struct {
    const char *name, *command;
    int (*run)(const char *command, int argc, char **argv);
} commands[] = {{"convert", "rwkv convert", cmd_convert}, {"info", "rwkv info", cmd_dump}};

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(commands[i].command, argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0) {
        fputs(help, stdout);
        return finish_output("rwkv", EXIT_DONE);
    }
    if (strcmp(name, "--version") == 0) {
        puts("rwkv " RWKVC_VERSION);
        return finish_output("rwkv", EXIT_DONE);
    }
    for (size_t i = 0; later[i]; i++)
        if (strcmp(name, later[i]) == 0)
            return failed("rwkv", EXIT_USAGE,
                          "'%s' works on compiled models, which this version does not make; "
                          "'rwkvc eval MODEL.rwkv ENTRY' runs a model text",
                          name);
    return usage_error("rwkv", "there is no command '%s'", name);
}
