/* The command `rwkv`: what users of models need, on the runtime alone. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "options.h"

static const char help[] =
    "usage: rwkv COMMAND ...\n"
    "\n"
    "  rwkv info FILE             what a compiled model or a file of weights holds\n"
    "  rwkv init FILE -o P        first values of the parameters of a compiled model\n"
    "  rwkv run FILE ENTRY        one call of an entry, on arrays\n"
    "  rwkv train FILE --data D -o DIR\n"
    "                             trains on a text or on tokens\n"
    "  rwkv generate FILE --params P --vocab V --prompt TEXT\n"
    "                             continues a text\n"
    "  rwkv bench FILE            how fast it is, beside what the machine can do\n"
    "  rwkv devices               the GPUs there are, as --device names them\n"
    "  rwkv convert IN OUT        checkpoints among .safetensors, .pth and rwkv.cpp's .bin\n"
    "  rwkv --version\n"
    "\n"
    "'rwkv COMMAND --help' says more. FILE is what 'rwkvc MODEL.rwkv -o FILE' has made. The commands\n"
    "chat, data, enhance and score are not in this version.\n"
    "Exit codes: 0 done, 1 the input's fault, 2 usage, 3 input or output, 4 device, 70 our fault.\n";

/* Commands that are to come: named here so that they are told apart from typing mistakes. */
static const char *const later[] = {"chat", "data", "enhance", "score", NULL};

static const struct {
    const char *name, *command;
    int (*run)(const char *command, int argc, char **argv);
} commands[] = {{"info", "rwkv info", cmd_info},       {"init", "rwkv init", cmd_init},
                {"run", "rwkv run", cmd_run},          {"train", "rwkv train", cmd_train},
                {"bench", "rwkv bench", cmd_bench},    {"generate", "rwkv generate", cmd_generate},
                {"devices", "rwkv devices", cmd_devices},
                {"convert", "rwkv convert", cmd_convert}};

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit of size is an error of writing */
    if (argc < 2) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(commands[i].command, argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        fputs(help, stdout);
        return finish_output("rwkv", EXIT_DONE);
    }
    if (strcmp(name, "--version") == 0) {
        puts("rwkv " RWKVC_VERSION);
        return finish_output("rwkv", EXIT_DONE);
    }
    for (size_t i = 0; later[i]; i++)
        if (strcmp(name, later[i]) == 0)
            return failed("rwkv", EXIT_USAGE, "'%s' is not in this version", name);
    return usage_error("rwkv", "there is no command '%s'", name);
}
