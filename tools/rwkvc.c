/* The command `rwkvc`: the compiler. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "options.h"

static const struct {
    const char *name, *command;
    int (*run)(const char *command, int argc, char **argv);
} commands[] = {{"eval", "rwkvc eval", cmd_eval},
                {"explain", "rwkvc explain", cmd_explain},
                {"dump", "rwkvc dump", cmd_dump}};

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit of size is an error of writing */
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of writing, seen in finish_output */
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(commands[i].command, argc - 1, argv + 1);
    return cmd_compile("rwkvc", argc, argv);
}
